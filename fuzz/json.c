/* fuzz/json.c - any text: parse it, walk it, fill tensors of every type from it, print it, and
 * read that again. */
#include <stdlib.h>

#include "base/json.h"
#include "troupe/tensor.h"

enum { DEPTH_MAX = 64, FILL_MAX = 4, BYTES_MAX = 4096 }; /* small: setting up is most of the time */

static trp_status count_bytes(void *user, struct trp_str s, struct trp_error *err)
{
    (void)err;
    size_t *bytes = user;
    for (size_t i = 0; i < s.len; i++)
        *bytes += s.ptr[i] != 0; /* looks at every byte */
    return trp_ok();
}

/* Visits everything below `v`; recursion is bounded by the parser's depth limit. */
static void walk(struct trp_json v, uint32_t depth)
{
    TRP_ASSERT(depth <= DEPTH_MAX + 1);
    bool b;
    int64_t i;
    uint64_t u;
    double d;
    struct trp_str s;
    size_t bytes = 0, children = 0;
    (void)trp_json_as_bool(v, &b);
    (void)trp_json_as_i64(v, &i);
    (void)trp_json_as_u64(v, &u);
    (void)trp_json_as_f64(v, &d);
    if (trp_json_as_str(v, &s))
        TRP_ASSERT(trp_str_is_utf8(s));
    (void)trp_json_each_string(v, count_bytes, &bytes, NULL);
    struct trp_json_iter it;
    struct trp_json child, found;
    struct trp_str key = { 0 };
    if (trp_json_begin(v, &it)) {
        while (trp_json_next(&it, &key, &child)) {
            children++;
            walk(child, depth + 1);
        }
    }
    TRP_ASSERT(children == trp_json_count(v));
    (void)trp_json_find(v, "data", &found);
}

/* What fills a tensor must print to a text that fills it again with the same bytes. */
static void fill_and_print(struct trp_json v, int32_t dtype, size_t count,
                           struct trp_json_parser *p)
{
    uint64_t first[FILL_MAX] = { 0 }, second[FILL_MAX] = { 0 };
    struct trp_error err = { 0 };
    if (trp_failed(trp_json_fill(v, dtype, first, count, &err)))
        return;
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), BYTES_MAX);
    trp_buf_add_char(&b, '[');
    trp_json_write_values(&b, dtype, first, count);
    trp_buf_add_char(&b, ']');
    TRP_ASSERT(b.failed == TRP_OK);
    struct trp_json again;
    TRP_ASSERT(!trp_failed(trp_json_parse(p, trp_buf_str(&b), false, &again, &err)));
    TRP_ASSERT(!trp_failed(trp_json_fill(again, dtype, second, count, &err)));
    TRP_ASSERT(memcmp(first, second, sizeof first) == 0);
    trp_buf_deinit(&b);
}

static void print_str(struct trp_str s)
{
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 16 + 6 * s.len);
    trp_json_write_str(&b, s);
    TRP_ASSERT(b.failed == TRP_OK);
    TRP_ASSERT(trp_str_is_utf8(trp_buf_str(&b)));
    trp_buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trp_json_parser *p, *again;
    struct trp_json root;
    struct trp_error err = { 0 };
    const struct trp_str text = trp_str_make((const char *)data, size);
    TRP_ASSERT(!trp_failed(trp_json_parser_create(BYTES_MAX, DEPTH_MAX, &p, &err)));
    TRP_ASSERT(!trp_failed(trp_json_parser_create(BYTES_MAX, 2, &again, &err)));
    print_str(text);
    if (!trp_failed(trp_json_parse(p, text, false, &root, &err))) {
        walk(root, 1);
        for (int32_t dtype = -1; dtype <= TROUPE_DTYPES; dtype++)
            for (size_t count = 0; count <= FILL_MAX; count++)
                fill_and_print(root, dtype, count, again);
    } else {
        TRP_ASSERT(err.text[0] != '\0'); /* a refusal always has words */
    }
    trp_json_parser_destroy(again);
    trp_json_parser_destroy(p);
    return 0;
}
