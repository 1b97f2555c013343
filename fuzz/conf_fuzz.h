/* fuzz/conf_fuzz.h - what must hold for every model configuration that is accepted, however it
 * was spelled. */
#ifndef TRP_CONF_FUZZ_H
#define TRP_CONF_FUZZ_H

#include "conf/model_schema.h"
#include "model/model_config.h"

static inline void fuzz_arena_init(struct trp_arena *a)
{
    trp_arena_init(a, trp_heap(), 16384, 256u << 20);
}

/* Protobuf bytes keep everything but the difference between empty and absent: what they decode
 * to encodes the same. */
static inline void fuzz_check_wire(struct trp_arena *a, const struct trp_node *tree)
{
    struct trp_error err = { 0 };
    struct trp_node *back;
    struct trp_buf once, twice;
    trp_buf_init(&once, trp_heap(), 64u << 20);
    trp_buf_init(&twice, trp_heap(), 64u << 20);
    trp_schema_encode(&once, &trp_model_config_message, tree);
    const trp_status st =
        trp_schema_decode(a, &trp_model_config_message, trp_buf_str(&once), &back, &err);
    TRP_ASSERT(!trp_failed(st) || st.code == TRP_OUT_OF_MEMORY);
    if (!trp_failed(st)) {
        trp_schema_encode(&twice, &trp_model_config_message, back);
        TRP_ASSERT(trp_str_is_equal(trp_buf_str(&once), trp_buf_str(&twice)));
    }
    trp_buf_deinit(&once);
    trp_buf_deinit(&twice);
}

/* The JSON of /config is a configuration as well, and its JSON is the same. */
static inline void fuzz_check_json(struct trp_arena *a, const struct trp_node *tree, bool defaults)
{
    struct trp_error err = { 0 };
    struct trp_node *back;
    struct trp_buf once, twice;
    trp_buf_init(&once, trp_heap(), 64u << 20);
    trp_buf_init(&twice, trp_heap(), 64u << 20);
    trp_schema_write_json(&once, &trp_model_config_message, tree, defaults);
    TRP_ASSERT(once.failed == TRP_OK);
    const trp_status st =
        trp_model_config_parse(a, trp_buf_str(&once), "config", &back, NULL, &err);
    TRP_ASSERT(!trp_failed(st) || st.code == TRP_OUT_OF_MEMORY);
    if (!trp_failed(st)) {
        trp_schema_write_json(&twice, &trp_model_config_message, back, defaults);
        TRP_ASSERT(trp_str_is_equal(trp_buf_str(&once), trp_buf_str(&twice)));
    }
    trp_buf_deinit(&once);
    trp_buf_deinit(&twice);
}

/* Reads a text as the configuration `file` and checks all of this. */
static inline void fuzz_config(struct trp_str text, const char *file)
{
    struct trp_arena a;
    struct trp_error err = { 0 };
    struct trp_node *tree;
    struct trp_str warnings;
    struct trp_model_config config;
    fuzz_arena_init(&a);
    const trp_status st = trp_model_config_parse(&a, text, file, &tree, &warnings, &err);
    TRP_ASSERT(st.code == err.status.code);
    TRP_ASSERT((tree != NULL) == !trp_failed(st));
    if (tree) {
        fuzz_check_wire(&a, tree);
        fuzz_check_json(&a, tree, false);
        fuzz_check_json(&a, tree, true);
        (void)trp_model_config_peek(&a, tree, &config, &err);
    }
    trp_arena_deinit(&a);
}

#endif
