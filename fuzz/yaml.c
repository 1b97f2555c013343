/* fuzz/yaml.c - any text as YAML: what is read can be written and read again as the same tree, and
 * as a model's configuration it keeps its meaning through JSON and protobuf. */
#include "conf_fuzz.h"

#include "conf/node_written.h"

enum { KEY_BYTES_MAX = 1000 }; /* YAML itself refuses a longer key on one line */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(struct trp_arena *a, const struct trp_node *root)
{
    struct trp_error err = { 0 };
    struct trp_node *again;
    struct trp_buf yaml, once, twice;
    trp_buf_init(&yaml, trp_heap(), 64u << 20);
    trp_buf_init(&once, trp_heap(), 64u << 20);
    trp_buf_init(&twice, trp_heap(), 64u << 20);
    trp_node_write_yaml(&yaml, root);
    trp_node_write_json(&once, root);
    TRP_ASSERT(
        !trp_failed(trp_node_from_yaml(a, trp_buf_str(&yaml), "again.yaml", 100000, &again, &err)));
    trp_node_write_json(&twice, again);
    TRP_ASSERT(trp_str_is_equal(trp_buf_str(&once), trp_buf_str(&twice)));
    trp_buf_deinit(&yaml);
    trp_buf_deinit(&once);
    trp_buf_deinit(&twice);
}

/* What is known of how a text was written lies within the file. */
static void check_places(const struct trp_node *n, uint32_t lines, uint32_t nodes_left)
{
    for (size_t at = 0; n->written && at <= n->v.s.len && at < 100; at++) {
        uint32_t line = 0, column = 0;
        if (trp_node_written_at(n, at, &line, &column))
            TRP_ASSERT(line >= n->written->line && line <= lines && column > 0);
    }
    for (const struct trp_node *c = n->first; c && nodes_left > 0; c = c->next)
        check_places(c, lines, nodes_left - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct trp_str text = trp_str_make((const char *)data, size);
    struct trp_arena a;
    struct trp_error err = { 0 };
    struct trp_node *root;
    fuzz_arena_init(&a);
    const trp_status st = trp_node_from_yaml(&a, text, "m.yaml", 100000, &root, &err);
    TRP_ASSERT(st.code == err.status.code);
    TRP_ASSERT((root != NULL) == !trp_failed(st));
    if (root && size < KEY_BYTES_MAX / 10) /* an escape is at most ten times as long as its text */
        check_same(&a, root);
    uint32_t lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    if (root && size < 10000)
        check_places(root, lines + 1, TRP_NODE_DEPTH_MAX);
    if (root)
        fuzz_config(text, "m.yaml");
    trp_arena_deinit(&a);
    return 0;
}
