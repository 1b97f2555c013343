/* Binding: a row per way in which a request can fit a model, or not; the words are those that
 * clients match. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "call/call.h"

#define TEXT(literal)                \
    {                                \
        literal, sizeof(literal) - 1 \
    }
#define IO(label, type, ...)                                                       \
    {                                                                              \
        .name = TEXT(label), .dtype = TROUPE_##type,                               \
        .rank = (uint32_t)ARRAY_LEN(((const int64_t[]){ __VA_ARGS__ })), .dims = { \
            __VA_ARGS__                                                            \
        }                                                                          \
    }

struct world {
    struct trp_loop *loop;
    struct trp_call_pool *pool;
    struct trp_call *call;
    struct trp_error err;
};

static int set_up(void **state)
{
    static struct world w; /* one test at a time */
    w.err = (struct trp_error){ 0 };
    assert_false(
        trp_failed(trp_loop_create(trp_heap(), &(struct trp_loop_opts){ 0 }, &w.loop, NULL)));
    assert_false(
        trp_failed(trp_call_pool_create(trp_heap(), w.loop, 4096, 1 << 20, 3, &w.pool, NULL)));
    w.call = trp_call_take(w.pool);
    w.call->model = TRP_STR_LIT("m");
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    trp_call_give_back(w->call);
    trp_call_pool_destroy(w->pool);
    trp_loop_destroy(w->loop);
    return 0;
}

static char memory[4096];

/* An input as a client sends it, with as many bytes as its shape asks for unless `bytes` says
 * otherwise. */
struct sent {
    const char *name;
    int32_t dtype;
    uint32_t rank;
    int64_t shape[4];
    uint64_t bytes;
};

static void send_inputs(struct world *w, const struct sent *sent, uint32_t n)
{
    struct trp_call *call = w->call;
    call->inputs = trp_arena_zeroed(&call->arena, n + 1, sizeof *call->inputs);
    call->inputs_n = n;
    for (uint32_t i = 0; i < n; i++) {
        struct troupe_tensor *t = &call->inputs[i].tensor;
        call->inputs[i].name = trp_str_of(sent[i].name);
        t->dtype = sent[i].dtype;
        t->rank = sent[i].rank;
        for (uint32_t d = 0; d < sent[i].rank; d++)
            t->shape[d] = sent[i].shape[d];
        t->bytes = sent[i].bytes;
        t->data = sent[i].bytes > 0 ? memory : NULL;
    }
}

static const char *bind_text(struct world *w, const struct trp_signature *s)
{
    const trp_status st = trp_call_bind(w->call, s, &w->err);
    if (!trp_failed(st))
        return "";
    assert_int_equal(st.code, TRP_INVALID_ARGUMENT);
    return w->err.text;
}

static void binds_in_place_what_comes_in_order(void **state)
{
    struct world *w = *state;
    static const struct trp_io in[] = { IO("a", FP32, -1, 2), IO("b", INT64, 3) };
    static const struct trp_io out[] = { IO("x", FP32, -1), IO("y", FP32, -1) };
    const struct trp_signature s = { .inputs = in, .outputs = out, .inputs_n = 2, .outputs_n = 2 };
    const struct sent sent[] = { { "a", TROUPE_FP32, 2, { 5, 2 }, 40 },
                                 { "b", TROUPE_INT64, 1, { 3 }, 24 } };
    send_inputs(w, sent, 2);
    const struct trp_call_tensor *before = w->call->inputs;
    w->call->binary_default = true;
    assert_string_equal(bind_text(w, &s), "");
    assert_ptr_equal(w->call->inputs, before);
    assert_int_equal(w->call->wanted_n, 2);
    assert_int_equal(w->call->wanted[1].index, 1);
    assert_true(w->call->wanted[1].binary);
    assert_true(trp_str_is(w->call->wanted[1].name, "y"));
}

static void puts_inputs_in_the_order_of_the_signature(void **state)
{
    struct world *w = *state;
    static const struct trp_io in[] = {
        IO("a", FP32, 1),
        { .name = TEXT("b"), .dtype = TROUPE_FP32, .rank = 1, .dims = { 1 }, .optional = true },
        IO("c", INT8, 2)
    };
    const struct trp_signature s = { .inputs = in, .inputs_n = 3 };
    const struct sent sent[] = { { "c", TROUPE_INT8, 1, { 2 }, 2 },
                                 { "a", TROUPE_FP32, 1, { 1 }, 4 } };
    send_inputs(w, sent, 2);
    assert_string_equal(bind_text(w, &s), "");
    assert_int_equal(w->call->inputs_n, 3);
    assert_int_equal(w->call->inputs[0].tensor.bytes, 4);
    assert_null(w->call->inputs[1].tensor.data); /* not sent */
    assert_int_equal(w->call->inputs[1].tensor.dtype, TROUPE_FP32);
    assert_true(trp_str_is(w->call->inputs[1].name, "b"));
    assert_int_equal(w->call->inputs[2].tensor.bytes, 2);
}

/* One input `x` of the model, one request, what is said. */
static void says_what_came_and_what_was_expected(void **state)
{
    struct world *w = *state;
    static const struct row {
        struct trp_io io;
        int32_t batch_max;
        struct sent sent;
        const char *want;
    } rows[] = {
        { IO("x", FP32, -1, 16), 0, { "x", TROUPE_FP32, 2, { 3, 16 }, 192 }, "" },
        { IO("x", FP32, -1, 16), 0, { "x", TROUPE_FP32, 2, { 0, 16 }, 0 }, "" },
        { IO("x", FP32, 0, 16), 0, { "x", TROUPE_FP32, 2, { 0, 16 }, 0 }, "" },
        { { .name = TEXT("x"), .dtype = TROUPE_FP32 }, 0, { "x", TROUPE_FP32, 0, { 0 }, 4 }, "" },
        { IO("x", FP32, -1, 16),
          0,
          { "x", TROUPE_FP32, 2, { 1, 8 }, 32 },
          "unexpected shape for input 'x' for model 'm'. Expected [-1,16], got [1,8]." },
        { IO("x", FP32, -1, 16),
          0,
          { "x", TROUPE_FP32, 1, { 16 }, 64 },
          "unexpected shape for input 'x' for model 'm'. Expected [-1,16], got [16]." },
        { IO("x", FP32, 2),
          0,
          { "x", TROUPE_FP32, 1, { 0 }, 0 },
          "unexpected shape for input 'x' for model 'm'. Expected [2], got [0]." },
        { IO("x", FP32, -1, 16),
          8,
          { "x", TROUPE_FP32, 2, { 1, 8 }, 32 },
          "unexpected shape for input 'x' for model 'm'. Expected [-1,16], got [1,8]. NOTE: "
          "Setting "
          "a non-zero max_batch_size in the model config requires a batch dimension" },
        { IO("x", FP32, -1, 2), 8, { "x", TROUPE_FP32, 2, { 8, 2 }, 64 }, "" },
        { IO("x", FP32, -1, 2),
          8,
          { "x", TROUPE_FP32, 2, { 9, 2 }, 72 },
          "inference request batch-size must be <= 8 for 'm', got 9" },
        { IO("x", FP32, -1, 2),
          8,
          { "x", TROUPE_FP32, 2, { 0, 2 }, 0 },
          "inference request batch-size must be >= 1 for 'm', got 0" },
        { IO("x", FP32, -1),
          8,
          { "x", TROUPE_FP32, 0, { 0 }, 4 },
          "input 'x' has no shape but model requires batch dimension for 'm'" },
        { IO("x", FP32, 1),
          0,
          { "x", TROUPE_INT32, 1, { 1 }, 4 },
          "inference input 'x' data-type is 'INT32', but model 'm' expects 'FP32'" },
        { IO("x", FP32, -1),
          0,
          { "x", TROUPE_FP32, 1, { 2 }, 7 },
          "unexpected size for input 'x': got 7 bytes, shape [2] of FP32 needs 8" },
        { IO("x", FP32, -1),
          0,
          { "x", TROUPE_FP32, 1, { -2 }, 8 },
          "input 'x': shape [-2] has a negative or too large size" },
        { IO("x", FP32, -1, -1),
          0,
          { "x", TROUPE_FP32, 2, { INT64_MAX, 2 }, 8 },
          "input 'x': shape [9223372036854775807,2] has a negative or too large size" },
        { IO("x", FP64, -1),
          0,
          { "x", TROUPE_FP64, 1, { INT64_MAX }, 8 },
          "input 'x': shape [9223372036854775807] is too large" },
        { IO("x", FP32, 1),
          0,
          { "y", TROUPE_FP32, 1, { 1 }, 4 },
          "unexpected inference input 'y' for model 'm'. Its input(s) are ['x']" },
        { { .name = TEXT("x"), .dtype = TROUPE_FP32, .any_rank = true },
          0,
          { "x", TROUPE_FP32, 3, { 1, 2, 3 }, 24 },
          "" },
        { { .name = TEXT("x"), .dtype = TROUPE_FP32, .shape_unchecked = true },
          0,
          { "x", TROUPE_FP32, 3, { 1, 2, 3 }, 24 },
          "" },
        { { .name = TEXT("x"), .dtype = TROUPE_FP32, .any_rank = true },
          4,
          { "x", TROUPE_FP32, 1, { 5 }, 20 },
          "inference request batch-size must be <= 4 for 'm', got 5" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        const struct trp_signature s = { .inputs = &r->io,
                                         .inputs_n = 1,
                                         .batch_max = r->batch_max };
        send_inputs(w, &r->sent, 1);
        const char *got = bind_text(w, &s);
        if (strncmp(got, r->want, strlen(r->want)) != 0 || (r->want[0] == '\0') != (got[0] == '\0'))
            fail_msg("row %td: '%s' instead of '%s'", r - rows, got, r->want);
        if (got[0] == '\0')
            assert_non_null(w->call->inputs[0].tensor.data); /* even when there are no elements */
    }
}

/* Its sizes do not exist, so no message may spell them out: a fixed shape once was compared, and
 * printed, first. */
static void a_rank_that_no_tensor_has_is_refused_before_its_sizes_are_read(void **state)
{
    struct world *w = *state;
    const struct trp_io ios[] = { IO("x", FP32, 1, 2),
                                  { .name = TEXT("x"), .dtype = TROUPE_FP32, .any_rank = true } };
    for (size_t i = 0; i < ARRAY_LEN(ios); i++) {
        const struct trp_signature s = { .inputs = &ios[i], .inputs_n = 1 };
        const struct sent sent = { "x", TROUPE_FP32, 2, { 1, 2 }, 8 };
        char want[64];
        send_inputs(w, &sent, 1);
        w->call->inputs[0].tensor.rank = TROUPE_RANK_MAX + 1;
        (void)snprintf(want, sizeof want, "input 'x': rank %d is above %d", TROUPE_RANK_MAX + 1,
                       TROUPE_RANK_MAX);
        assert_string_equal(bind_text(w, &s), want);
    }
}

static void named_dimensions_are_hints_not_a_law(void **state)
{
    struct world *w = *state;
    static const struct trp_str names[] = { TEXT("n") };
    static const struct trp_io in[] = {
        { .name = TEXT("a"), .dtype = TROUPE_INT8, .rank = 1, .dims = { -1 }, .dim_names = names },
        { .name = TEXT("b"), .dtype = TROUPE_INT8, .rank = 1, .dims = { -1 }, .dim_names = names },
    };
    const struct trp_signature s = { .inputs = in, .inputs_n = 2 };
    const struct sent sent[] = { { "a", TROUPE_INT8, 1, { 2 }, 2 },
                                 { "b", TROUPE_INT8, 1, { 3 }, 3 } };
    send_inputs(w, sent, 2);
    assert_string_equal(bind_text(w, &s), "");
}

static void inputs_of_one_batch_must_agree(void **state)
{
    struct world *w = *state;
    static const struct trp_io in[] = { IO("a", INT8, -1, 1), IO("b", INT8, -1, 1) };
    const struct trp_signature s = { .inputs = in, .inputs_n = 2, .batch_max = 8 };
    const struct sent sent[] = { { "a", TROUPE_INT8, 2, { 2, 1 }, 2 },
                                 { "b", TROUPE_INT8, 2, { 3, 1 }, 3 } };
    send_inputs(w, sent, 2);
    assert_string_equal(
        bind_text(w, &s),
        "input 'b' batch size does not match other inputs for 'm': 3 rows, the others have 2");
}

static void counts_inputs_as_clients_expect(void **state)
{
    struct world *w = *state;
    static const struct trp_io in[] = { IO("A", INT8, 1), IO("B", INT8, 1) };
    static const struct trp_io optional[] = {
        IO("A", INT8, 1),
        { .name = TEXT("B"), .dtype = TROUPE_INT8, .rank = 1, .dims = { 1 }, .optional = true }
    };
    const struct trp_signature both = { .inputs = in, .inputs_n = 2 };
    const struct trp_signature one = { .inputs = optional, .inputs_n = 2 };
    const struct sent sent[] = { { "A", TROUPE_INT8, 1, { 1 }, 1 },
                                 { "B", TROUPE_INT8, 1, { 1 }, 1 },
                                 { "C", TROUPE_INT8, 1, { 1 }, 1 } };
    send_inputs(w, sent, 1);
    assert_string_equal(bind_text(w, &both),
                        "expected 2 inputs but got 1 inputs for model 'm'. Got input(s) ['A'], but "
                        "missing required input(s) ['B']. Please provide all required input(s).");
    send_inputs(w, sent, 3);
    assert_string_equal(bind_text(w, &both),
                        "expected 2 inputs but got 3 inputs for model 'm'. Got input(s) "
                        "['A','B','C'], but missing required input(s) []. Please provide all "
                        "required input(s).");
    send_inputs(w, sent, 0);
    assert_string_equal(bind_text(w, &one),
                        "expected number of inputs between 1 and 2 but got 0 inputs for model 'm'. "
                        "Got input(s) [], but missing required input(s) ['A']. Please provide all "
                        "required input(s).");
    const struct sent twice[] = { sent[0], sent[0] };
    send_inputs(w, twice, 2);
    assert_string_equal(bind_text(w, &both),
                        "input 'A' appears more than once in the request for model 'm'");
}

static void a_long_list_of_inputs_is_cut(void **state)
{
    struct world *w = *state;
    static const struct trp_io in[] = { IO("A", INT8, 1) };
    const struct trp_signature s = { .inputs = in, .inputs_n = 1 };
    struct sent sent[40];
    for (size_t i = 0; i < ARRAY_LEN(sent); i++)
        sent[i] = (struct sent){ "a name of twenty-five b..", TROUPE_INT8, 1, { 1 }, 1 };
    send_inputs(w, sent, ARRAY_LEN(sent));
    assert_non_null(strstr(bind_text(w, &s), "...]"));
}

static void checks_the_layout_of_strings(void **state)
{
    struct world *w = *state;
    static const struct trp_io in[] = { IO("x", BYTES, -1) };
    const struct trp_signature s = { .inputs = in, .inputs_n = 1 };
    memcpy(memory, "\3\0\0\0abc\0\0\0\0", 11);
    const struct sent two = { "x", TROUPE_BYTES, 1, { 2 }, 11 };
    const struct sent three = { "x", TROUPE_BYTES, 1, { 3 }, 11 };
    send_inputs(w, &two, 1);
    assert_string_equal(bind_text(w, &s), "");
    send_inputs(w, &three, 1);
    assert_non_null(strstr(bind_text(w, &s), "input 'x'"));
}

static void a_raw_body_becomes_the_only_input(void **state)
{
    struct world *w = *state;
    static const struct row {
        struct trp_io io;
        int32_t batch_max;
        uint64_t bytes;
        const char *want_error;
        uint32_t want_rank;
        int64_t want_shape[3];
    } rows[] = {
        { IO("x", FP32, 2, 2), 0, 16, "", 2, { 2, 2 } },
        { IO("x", FP32, 2, -1), 0, 24, "", 2, { 2, 3 } },
        { IO("x", FP32, -1, 4), 8, 16, "", 2, { 1, 4 } },
        { IO("x", FP32, -1, -1), 8, 12, "", 2, { 1, 3 } },
        { IO("x", FP32, -1), 0, 0, "", 1, { 0 } },
        { IO("x", FP32, -1, -1),
          0,
          16,
          "raw request: the shape of input 'x' cannot be deduced",
          0,
          { 0 } },
        { IO("x", FP32, 2, -1), 0, 20, "unexpected size for input 'x': got 20 bytes", 0, { 0 } },
        { { .name = TEXT("x"), .dtype = TROUPE_FP32, .any_rank = true },
          0,
          4,
          "raw request: the model does not say the shape",
          0,
          { 0 } },
        { IO("x", BYTES, 2), 0, 3, "For BYTES datatype raw input 'x'", 0, { 0 } },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        const struct trp_signature s = { .inputs = &r->io,
                                         .inputs_n = 1,
                                         .batch_max = r->batch_max };
        const struct sent sent = { "", TROUPE_NO_DTYPE, 0, { 0 }, r->bytes };
        send_inputs(w, &sent, 1);
        const char *got = bind_text(w, &s);
        if (strncmp(got, r->want_error, strlen(r->want_error)) != 0)
            fail_msg("row %td: '%s' instead of '%s'", r - rows, got, r->want_error);
        if (r->want_error[0] != '\0')
            continue;
        const struct troupe_tensor *t = &w->call->inputs[0].tensor;
        assert_int_equal(t->dtype, r->io.dtype);
        assert_int_equal(t->rank, r->want_rank);
        assert_memory_equal(t->shape, r->want_shape, r->want_rank * sizeof(int64_t));
        assert_true(trp_str_is(w->call->inputs[0].name, "x"));
    }
}

static void count_release(void *user, void *data)
{
    (void)data;
    ++*(int *)user;
}

static void a_raw_string_gets_its_length(void **state)
{
    struct world *w = *state;
    static const struct trp_io in[] = { IO("x", BYTES, 1) };
    const struct trp_signature s = { .inputs = in, .inputs_n = 1 };
    const struct sent sent = { "", TROUPE_NO_DTYPE, 0, { 0 }, 5 };
    int released = 0;
    send_inputs(w, &sent, 1);
    memcpy(memory, "hello", 5);
    w->call->inputs[0].tensor.release = count_release;
    w->call->inputs[0].tensor.release_user = &released;
    assert_string_equal(bind_text(w, &s), "");
    assert_int_equal(w->call->inputs[0].tensor.bytes, 9);
    assert_memory_equal(w->call->inputs[0].tensor.data, "\5\0\0\0hello", 9);
    assert_int_equal(released, 1); /* the body is not needed any more */
}

static void a_raw_body_needs_a_model_of_one_input(void **state)
{
    struct world *w = *state;
    static const struct trp_io in[] = { IO("a", INT8, 1), IO("b", INT8, 1) };
    const struct trp_signature s = { .inputs = in, .inputs_n = 2 };
    const struct sent sent = { "", TROUPE_NO_DTYPE, 0, { 0 }, 1 };
    send_inputs(w, &sent, 1);
    assert_non_null(strstr(bind_text(w, &s), "raw request must only have 1 input"));
}

static void finds_the_outputs_that_were_asked_for(void **state)
{
    struct world *w = *state;
    static const struct trp_io out[] = { IO("x", FP32, 1), IO("y", FP32, 1) };
    const struct trp_signature s = { .outputs = out, .outputs_n = 2 };
    struct trp_wanted wanted[2] = { { .name = TRP_STR_LIT("y") }, { .name = TRP_STR_LIT("x") } };
    w->call->wanted = wanted;
    w->call->wanted_n = 2;
    assert_string_equal(bind_text(w, &s), "");
    assert_int_equal(wanted[0].index, 1);
    assert_int_equal(wanted[1].index, 0);
    wanted[0].name = TRP_STR_LIT("x");
    assert_string_equal(bind_text(w, &s), "output 'x' is requested more than once");
    wanted[0].name = TRP_STR_LIT("z");
    assert_string_equal(
        bind_text(w, &s),
        "unexpected inference output 'z' for model 'm'. Its output(s) are ['x','y']");
    w->call->wanted_n = 0; /* the array ends with this function */
}

static void a_refused_call_keeps_what_it_came_with(void **state)
{
    struct world *w = *state;
    static const struct trp_io in[] = { IO("a", INT8, 1), IO("b", INT8, 1) };
    const struct trp_signature s = { .inputs = in, .inputs_n = 2 };
    const struct sent sent[] = { { "b", TROUPE_INT8, 1, { 1 }, 1 },
                                 { "a", TROUPE_FP32, 1, { 1 }, 4 } };
    int released = 0;
    send_inputs(w, sent, 2);
    for (int i = 0; i < 2; i++) {
        w->call->inputs[i].tensor.release = count_release;
        w->call->inputs[i].tensor.release_user = &released;
    }
    assert_non_null(strstr(bind_text(w, &s), "data-type is 'FP32'"));
    trp_call_give_back(w->call);
    assert_int_equal(released, 2);
    w->call = trp_call_take(w->pool);
}

static void a_call_without_memory_is_refused(void **state)
{
    struct world *w = *state;
    static const struct trp_io out[] = { IO("x", FP32, 1) };
    const struct trp_signature s = { .outputs = out, .outputs_n = 1 };
    while (trp_arena_get(&w->call->arena, 64 << 10) || trp_arena_get(&w->call->arena, 16))
        ; /* the arena's limit is reached */
    assert_int_equal(trp_call_bind(w->call, &s, &w->err).code, TRP_OUT_OF_MEMORY);
}

static void an_unbound_call_needs_nothing_of_what_it_was_bound_to(void **state)
{
    struct world *w = *state;
    char names[2][8] = { "a", "b" }, outs[8] = "y";
    const struct trp_io in[] = {
        { .name = { names[0], 1 }, .dtype = TROUPE_FP32, .optional = true },
        { .name = { names[1], 1 }, .dtype = TROUPE_FP32 }
    };
    const struct trp_io out[] = { { .name = { outs, 1 }, .dtype = TROUPE_FP32 } };
    const struct trp_signature s = { .inputs = in, .inputs_n = 2, .outputs = out, .outputs_n = 1 };
    struct trp_call_tensor sent = {
        .name = TRP_STR_LIT("b"), .tensor = { .dtype = TROUPE_FP32, .data = memory, .bytes = 4 }
    };
    w->call->inputs = &sent;
    w->call->inputs_n = 1;
    assert_int_equal(trp_call_bind(w->call, &s, &w->err).code, TRP_OK);
    assert_int_equal(w->call->inputs_n, 2);
    assert_int_equal(trp_call_unbind(w->call, &w->err).code, TRP_OK);
    memset(names, '?', sizeof names); /* what it was bound to has gone */
    memset(outs, '?', sizeof outs);
    assert_true(w->call->is_unbound);
    assert_int_equal(w->call->inputs_n, 1);
    assert_int_equal(w->call->wanted_n, 0);
    static const struct trp_io later[] = { { .name = TEXT("b"), .dtype = TROUPE_FP32 } };
    static const struct trp_io both[] = { { .name = TEXT("y"), .dtype = TROUPE_FP32 },
                                          { .name = TEXT("z"), .dtype = TROUPE_FP32 } };
    const struct trp_signature t = {
        .inputs = later, .inputs_n = 1, .outputs = both, .outputs_n = 2
    };
    assert_int_equal(trp_call_bind(w->call, &t, &w->err).code, TRP_OK);
    assert_int_equal(w->call->wanted_n, 2);
    w->call->inputs_n = 0; /* ours */
}

static void a_call_without_memory_is_not_unbound(void **state)
{
    struct world *w = *state;
    struct trp_call_tensor sent = {
        .name = TRP_STR_LIT("x"), .tensor = { .dtype = TROUPE_FP32, .data = memory, .bytes = 4 }
    };
    w->call->inputs = &sent;
    w->call->inputs_n = 1;
    while (trp_arena_get(&w->call->arena, 64 << 10) || trp_arena_get(&w->call->arena, 1))
        ; /* the arena's limit is reached */
    assert_int_equal(trp_call_unbind(w->call, &w->err).code, TRP_OUT_OF_MEMORY);
    assert_int_equal(w->call->inputs_n, 1);
    w->call->inputs_n = 0;
}

int main(void)
{
#define BIND_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        BIND_TEST(binds_in_place_what_comes_in_order),
        BIND_TEST(puts_inputs_in_the_order_of_the_signature),
        BIND_TEST(says_what_came_and_what_was_expected),
        BIND_TEST(a_rank_that_no_tensor_has_is_refused_before_its_sizes_are_read),
        BIND_TEST(named_dimensions_are_hints_not_a_law),
        BIND_TEST(inputs_of_one_batch_must_agree),
        BIND_TEST(counts_inputs_as_clients_expect),
        BIND_TEST(a_long_list_of_inputs_is_cut),
        BIND_TEST(checks_the_layout_of_strings),
        BIND_TEST(a_raw_body_becomes_the_only_input),
        BIND_TEST(a_raw_string_gets_its_length),
        BIND_TEST(a_raw_body_needs_a_model_of_one_input),
        BIND_TEST(finds_the_outputs_that_were_asked_for),
        BIND_TEST(a_refused_call_keeps_what_it_came_with),
        BIND_TEST(a_call_without_memory_is_refused),
        BIND_TEST(an_unbound_call_needs_nothing_of_what_it_was_bound_to),
        BIND_TEST(a_call_without_memory_is_not_unbound),
    };
    return cmocka_run_group_tests_name("bind", tests, NULL, NULL);
}
