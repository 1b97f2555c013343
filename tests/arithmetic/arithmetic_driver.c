/* tests/arithmetic/arithmetic_driver.c - the arithmetic of compositions, by hand: cases come in,
 * results go out.
 *
 * tests/e2e/test_arithmetic.py asks and compares with numpy.  A case is a line of words and then
 *   tensors:
 *   CASE: `op {kind: softmax, axis: 1} N`              | `vote KIND LOGITS TRIM OUT_DTYPE N`
 *         `rank KIND K OUT_DTYPE N` (scores)           | `lists KIND K PLACES N`
 *         `confidence KIND LOGITS N` (N is 1)
 *   N TENSORS: `DTYPE WEIGHT BYTES RANK DIMS..` and a line feed, then so many bytes; DTYPE `-` is a
 *   member that is missing.
 * The answer is `ok N` and N tensors in the same form, or `error CODE TEXT`. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/status.h"
#include "compose/confidence.h"
#include "compose/known_name.h"
#include "compose/op_text.h"
#include "compose/rank_fusion.h"
#include "compose/tensor_ops.h"
#include "compose/vote.h"
#include "conf/node.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define TENSORS_MAX 64u
#define LINE_MAX 4096u

struct asked {
    struct trp_arena arena;
    struct troupe_tensor tensors[TENSORS_MAX];
    struct trp_vote_member members[TENSORS_MAX];
    unsigned n;
    struct trp_error err;
};

static void *get(struct asked *a, uint64_t bytes)
{
    void *block = trp_arena_get(&a->arena, bytes > 0 ? bytes : 1);
    TRP_ASSERT(block);
    return block;
}

static void read_tensor(struct asked *a, unsigned i)
{
    char dtype[16];
    unsigned long long bytes;
    struct troupe_tensor *t = &a->tensors[i];
    *t = (struct troupe_tensor){ 0 };
    TRP_ASSERT(scanf("%15s %lf %llu %u", dtype, &a->members[i].weight, &bytes, &t->rank) == 4);
    for (uint32_t d = 0; d < t->rank; d++) {
        long long dim;
        TRP_ASSERT(scanf("%lld", &dim) == 1);
        t->shape[d] = dim;
    }
    TRP_ASSERT(getchar() == '\n');
    t->dtype = (int32_t)trp_dtype_parse(trp_str_of(dtype));
    t->bytes = bytes;
    t->data = get(a, bytes);
    TRP_ASSERT(fread(t->data, 1, bytes, stdin) == bytes);
    a->members[i].tensor = dtype[0] == '-' ? NULL : t;
}

static void read_tensors(struct asked *a)
{
    TRP_ASSERT(a->n <= TENSORS_MAX);
    for (unsigned i = 0; i < a->n; i++)
        read_tensor(a, i);
}

static void print_tensor(const struct troupe_tensor *t)
{
    printf("%s 1 %llu %u", trp_dtype_name(t->dtype), (unsigned long long)t->bytes, t->rank);
    for (uint32_t d = 0; d < t->rank; d++)
        printf(" %lld", (long long)t->shape[d]);
    printf("\n");
    fwrite(t->data, 1, t->bytes, stdout);
}

static void answer(const struct asked *a, trp_status st, const struct troupe_tensor *out,
                   unsigned out_n)
{
    if (trp_failed(st)) {
        printf("error %s %s\n", trp_code_name(st.code), a->err.text);
    } else {
        printf("ok %u\n", out_n);
        for (unsigned i = 0; i < out_n; i++)
            print_tensor(&out[i]);
    }
    fflush(stdout);
}

/* ---- cases ---- */

static trp_status run_op(struct asked *a, struct trp_str text, struct troupe_tensor *out,
                         unsigned *out_n)
{
    static const char *const others[] = { "kind" };
    const struct trp_tensor_op_limits limits = { .alloc = trp_heap() };
    struct trp_node *map;
    enum trp_tensor_op_kind kind;
    struct trp_tensor_op op;
    struct trp_tensor_op_scratch scratch;
    uint32_t least, most;
    TRP_CHECK(trp_node_from_yaml(&a->arena, text, "case", 1000, &map, &a->err));
    TRP_ASSERT(trp_tensor_op_parse(trp_node_str(map, "kind", (struct trp_str){ "", 0 }), &kind));
    TRP_CHECK(trp_op_text_read(map, kind, others, 1, &op, &a->err));
    trp_tensor_op_counts(&op, &least, &most, out_n);
    TRP_CHECK(trp_tensor_op_plan(&op, &limits, a->tensors, a->n, out, &scratch, &a->err));
    for (unsigned i = 0; i < *out_n; i++)
        out[i].data = get(a, out[i].bytes);
    scratch.ptr = get(a, scratch.bytes);
    return trp_tensor_op_run(&op, &limits, a->tensors, a->n, out, &scratch, &a->err);
}

static trp_status like_first(struct asked *a, const char *dtype, struct troupe_tensor *out)
{
    const struct troupe_tensor *first = NULL;
    for (unsigned i = 0; i < a->n && !first; i++)
        first = a->members[i].tensor;
    if (!first)
        first = &a->tensors[0];
    *out = (struct troupe_tensor){ .rank = first->rank };
    memcpy(out->shape, first->shape, sizeof out->shape);
    out->dtype = (int32_t)trp_dtype_parse(trp_str_of(dtype));
    if (!trp_shape_bytes(out->shape, out->rank, out->dtype, &out->bytes))
        return trp_fail(&a->err, TRP_INVALID_ARGUMENT, "no such output");
    out->data = get(a, out->bytes);
    return trp_ok();
}

static trp_status run_vote(struct asked *a, const char *words, struct troupe_tensor *out)
{
    char kind[32], dtype[16];
    int logits;
    struct trp_vote_opts opts = { 0 };
    TRP_ASSERT(sscanf(words, "%31s %d %lf %15s %u", kind, &logits, &opts.trim, dtype, &a->n) == 5);
    TRP_ASSERT(trp_vote_parse(trp_str_of(kind), &opts.kind));
    opts.logits = logits != 0;
    read_tensors(a);
    TRP_CHECK(like_first(a, dtype, out));
    void *scratch = get(a, trp_vote_scratch(&opts, a->n, out));
    return trp_vote_run(&opts, a->members, a->n, out, scratch, NULL, &a->err);
}

static trp_status run_rank(struct asked *a, const char *words, struct troupe_tensor *out)
{
    char kind[32], dtype[16];
    struct trp_rank_opts opts = { 0 };
    TRP_ASSERT(sscanf(words, "%31s %lf %15s %u", kind, &opts.k, dtype, &a->n) == 4);
    TRP_ASSERT(trp_rank_parse(trp_str_of(kind), &opts.kind));
    read_tensors(a);
    TRP_CHECK(like_first(a, dtype, out));
    const uint64_t items = out->rank > 0 ? (uint64_t)out->shape[out->rank - 1] : 0;
    void *scratch = get(a, trp_rank_scores_scratch(items));
    return trp_rank_scores(&opts, a->members, a->n, out, scratch, &a->err);
}

static trp_status run_lists(struct asked *a, const char *words, struct troupe_tensor *out)
{
    char kind[32];
    unsigned long long places;
    struct trp_rank_opts opts = { 0 };
    struct trp_rank_room room;
    TRP_ASSERT(sscanf(words, "%31s %lf %llu %u", kind, &opts.k, &places, &a->n) == 4);
    opts.places = places;
    TRP_ASSERT(trp_rank_parse(trp_str_of(kind), &opts.kind));
    read_tensors(a);
    TRP_CHECK(trp_rank_lists_plan(&opts, a->members, a->n, &room, &a->err));
    out[0].data = get(a, room.ids_bytes);
    out[1].data = get(a, room.scores_bytes);
    return trp_rank_lists(&opts, a->members, a->n, &out[0], &out[1], get(a, room.scratch_bytes),
                          &a->err);
}

static trp_status run_confidence(struct asked *a, const char *words, struct troupe_tensor *out)
{
    char kind[32];
    int logits;
    enum trp_confidence_kind k;
    TRP_ASSERT(sscanf(words, "%31s %d %u", kind, &logits, &a->n) == 3 && a->n == 1);
    TRP_ASSERT(trp_confidence_parse(trp_str_of(kind), &k));
    read_tensors(a);
    const struct troupe_tensor *t = &a->tensors[0];
    const uint64_t rows = t->rank > 1 ? (uint64_t)t->shape[0] : 1;
    *out = (struct troupe_tensor){ .dtype = TROUPE_FP64, .rank = 1, .shape = { (int64_t)rows } };
    out->bytes = rows * sizeof(double);
    out->data = get(a, out->bytes);
    return trp_confidence_rows(k, logits != 0, t, out->data, rows, &a->err);
}

static void run_case(struct asked *a, char *line)
{
    struct troupe_tensor out[TRP_TENSOR_OP_OUTPUTS_MAX] = { { 0 } };
    unsigned out_n = 1;
    trp_status st;
    char *words = strchr(line, ' ');
    TRP_ASSERT(words);
    *words++ = '\0';
    if (strcmp(line, "op") == 0) {
        char *end = strrchr(words, '}');
        TRP_ASSERT(end && sscanf(end + 1, "%u", &a->n) == 1);
        read_tensors(a);
        st = run_op(a, trp_str_make(words, (size_t)(end + 1 - words)), out, &out_n);
    } else if (strcmp(line, "vote") == 0) {
        st = run_vote(a, words, out);
    } else if (strcmp(line, "rank") == 0) {
        st = run_rank(a, words, out);
    } else if (strcmp(line, "lists") == 0) {
        st = run_lists(a, words, out);
        out_n = 2;
    } else {
        TRP_ASSERT(strcmp(line, "confidence") == 0);
        st = run_confidence(a, words, out);
    }
    answer(a, st, out, out_n);
}

int main(void)
{
    char line[LINE_MAX];
    while (fgets(line, sizeof line, stdin)) {
        struct asked a = { 0 };
        trp_arena_init(&a.arena, trp_heap(), 65536, 0);
        run_case(&a, line);
        trp_arena_deinit(&a.arena);
    }
    return 0;
}
