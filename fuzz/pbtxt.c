/* fuzz/pbtxt.c - any text as protobuf text format: the tree can be printed, and as a model's
 * configuration it keeps its meaning through JSON and protobuf. */
#include "conf_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct trp_str text = trp_str_make((const char *)data, size);
    struct trp_arena a;
    struct trp_error err = { 0 };
    struct trp_node *root;
    struct trp_buf out;
    fuzz_arena_init(&a);
    trp_buf_init(&out, trp_heap(), 64u << 20);
    const trp_status st = trp_node_from_pbtxt(&a, text, "c.pbtxt", 100000, &root, &err);
    TRP_ASSERT(st.code == err.status.code);
    TRP_ASSERT((root != NULL) == !trp_failed(st));
    if (root) {
        TRP_ASSERT(root->kind == TRP_NODE_MAP);
        trp_node_write_json(&out, root);
        trp_node_write_yaml(&out, root);
        fuzz_config(text, "c.pbtxt");
    }
    trp_buf_deinit(&out);
    trp_arena_deinit(&a);
    return 0;
}
