/* fuzz/schema_decode.c - any bytes as a protobuf ModelConfig: what is decoded encodes to bytes that
 * mean the same, and prints as JSON. */
#include "conf_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_prints(const struct trp_node *tree)
{
    struct trp_json_parser *parser;
    struct trp_json root;
    struct trp_error err = { 0 };
    struct trp_buf out;
    trp_buf_init(&out, trp_heap(), 64u << 20);
    trp_schema_write_json(&out, &trp_model_config_message, tree, true);
    TRP_ASSERT(out.failed == TRP_OK);
    TRP_ASSERT(!trp_failed(trp_json_parser_create(out.len, 200, &parser, &err)));
    TRP_ASSERT(!trp_failed(trp_json_parse(parser, trp_buf_str(&out), false, &root, &err)));
    trp_json_parser_destroy(parser);
    trp_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trp_arena a;
    struct trp_error err = { 0 };
    struct trp_node *tree, *normal;
    struct trp_model_config config;
    fuzz_arena_init(&a);
    const struct trp_str bytes = trp_str_make((const char *)data, size);
    const trp_status st = trp_schema_decode(&a, &trp_model_config_message, bytes, &tree, &err);
    TRP_ASSERT(st.code == err.status.code);
    TRP_ASSERT((tree != NULL) == !trp_failed(st));
    if (tree) {
        fuzz_check_wire(&a, tree);
        check_prints(tree);
        if (!trp_failed(trp_schema_normalise(&a, &trp_model_config_message, tree, NULL, NULL,
                                             &normal, &err)))
            (void)trp_model_config_peek(&a, normal, &config, &err);
    }
    trp_arena_deinit(&a);
    return 0;
}
