/* Warm-up: a model's first runs, with zeros, random numbers, and files in its folder `warmup`. */
#include <unistd.h>

#include "conf/model_schema.h"
#include "life/warmup_input.h"
#include "life_asking.h"

#define ECHO "input X FP32 [-1,4]\n"
#define SAMPLE(head, input)                                                                     \
    "model_warmup { name: \"first\" " head " inputs { key: \"X\" value { data_type: TYPE_FP32 " \
    "dims: [ 4 ] " input " } } }\nmax_batch_size: 8\n"

static void put_bytes(struct fixture *f, const char *path, const void *bytes, size_t n)
{
    char full[512];
    put(f, path, "");
    (void)snprintf(full, sizeof full, "%s/%s", f->root, path);
    FILE *out = fopen(full, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

static void a_warm_up_runs_before_a_model_is_ready_and_its_failure_is_the_loads(void **state)
{
    struct fixture *f = *state;
    put(f, "good/config.pbtxt", SAMPLE("batch_size: 2 count: 3", "random_data: true"));
    put(f, "good/1/model.echo", ECHO);
    put(f, "bad/config.pbtxt", SAMPLE("batch_size: 2", "zero_data: true"));
    put(f, "bad/1/model.echo", ECHO "fail BACKEND_FAILED the fan stopped\n");
    put(f, "other/config.pbtxt", SAMPLE("", "zero_data: true"));
    put(f, "other/1/model.echo", "input Y FP32 [-1,4]\n");
    start(f);
    pump(f, is(f, "good", "READY"));
    assert_true(is(f, "bad", "FAILED"));
    assert_non_null(strstr(highest(f, "bad")->reason, "warm-up 'first'"));
    assert_non_null(strstr(highest(f, "bad")->reason, "the fan stopped"));
    assert_non_null(strstr(highest(f, "other")->reason, "input 'Y' is missing"));
}

/* The echo model refuses what does not have its shape, so READY says that the shape was right. */
static void a_sample_is_checked_like_a_request(void **state)
{
    struct fixture *f = *state;
    static const struct row {
        const char *model, *config, *file, *words; /* NULL: it loads */
    } rows[] = {
        { "absent-batch", SAMPLE("", "zero_data: true"), ECHO, NULL },
        { "largest-batch", SAMPLE("batch_size: 8", "zero_data: true"), ECHO, NULL },
        { "too-large-batch", SAMPLE("batch_size: 9", "zero_data: true"), ECHO,
          "batch_size is 9, the model takes at most 8" },
        { "no-batch",
          "model_warmup { batch_size: 1 inputs { key: \"X\" value { "
          "data_type: TYPE_FP32 dims: [ 4 ] zero_data: true } } }\n",
          "input X FP32 [4]\n", NULL }, /* what Triton demands of a model without batches */
        { "no-such-batch",
          "model_warmup { batch_size: 2 inputs { key: \"X\" value { "
          "data_type: TYPE_FP32 dims: [ 4 ] zero_data: true } } }\n",
          "input X FP32 [4]\n", "batch_size is 2, the model takes at most 1" },
        { "shape",
          "model_warmup { inputs { key: \"X\" value { data_type: TYPE_FP32 dims: [ 5 ] "
          "zero_data: true } } }\n",
          "input X FP32 [4]\n", "the sample has shape [5], the model takes [4]" },
        { "type",
          "model_warmup { inputs { key: \"X\" value { data_type: TYPE_INT8 dims: [ 4 ] "
          "zero_data: true } } }\n",
          "input X FP32 [4]\n", "data_type is 'TYPE_INT8', the model takes TYPE_FP32" },
        { "negative",
          "model_warmup { inputs { key: \"X\" value { data_type: TYPE_FP32 "
          "dims: [ -1 ] zero_data: true } } }\n",
          "input X FP32 [-1]\n", "dims are not sizes" },
        { "overflow",
          "model_warmup { inputs { key: \"X\" value { data_type: TYPE_FP32 "
          "dims: [ 4611686018427387904, 4 ] zero_data: true } } }\n",
          "input X FP32 [-1,-1]\n", "dims are not sizes" },
        { "huge",
          "model_warmup { inputs { key: \"X\" value { data_type: TYPE_FP32 "
          "dims: [ 1000000000000 ] random_data: true } } }\n",
          "input X FP32 [-1]\n", "limits.body_bytes" },
        { "reshaped",
          "input { name: \"X\" data_type: TYPE_FP32 dims: [ 2, 2 ] reshape { shape: "
          "[ 4 ] } }\nmodel_warmup { inputs { key: \"X\" value { "
          "data_type: TYPE_FP32 dims: [ 2, 2 ] zero_data: true } } }\n",
          "input X FP32 [4]\n", NULL }, /* a sample has the shape that clients send */
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        char path[64];
        (void)snprintf(path, sizeof path, "%s/config.pbtxt", r->model);
        put(f, path, r->config);
        (void)snprintf(path, sizeof path, "%s/1/model.echo", r->model);
        put(f, path, r->file);
    }
    start(f);
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        const char *why = highest(f, r->model)->reason;
        print_message("%s: %s\n", r->model, why);
        assert_true(is(f, r->model, r->words ? "FAILED" : "READY"));
        assert_true(!r->words || strstr(why, r->words));
    }
}

static void data_from_a_file_is_checked_before_the_model_sees_it(void **state)
{
    struct fixture *f = *state;
    static const struct row {
        const char *model, *file;
        size_t bytes; /* of warmup/digit */
        const char *words;
    } rows[] = {
        { "whole", "digit", 16, NULL },
        { "half", "digit", 7, "it has 7 bytes, one row of 4 FP32 has 16 (half written?)" },
        { "more", "digit", 17, "it has 17 bytes" },
        { "empty", "digit", 0, "it has 0 bytes" },
        { "absent", "other", 16, "No such file" },
        { "nameless", "", 16, "leaves the model's folder" },
        { "up", "../1/model.echo", 16, "leaves the model's folder" },
        { "absolute", "/etc/passwd", 16, "leaves the model's folder" },
        { "link", "link", 16, "a link leaves" },
        { "folder", "folder", 16, "no file" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        char path[128], text[512];
        (void)snprintf(path, sizeof path, "%s/config.pbtxt", r->model);
        (void)snprintf(text, sizeof text,
                       SAMPLE("batch_size: 2 count: 2", "input_data_file: \"%s\""), r->file);
        put(f, path, text);
        (void)snprintf(path, sizeof path, "%s/1/model.echo", r->model);
        put(f, path, ECHO);
        (void)snprintf(path, sizeof path, "%s/warmup/digit", r->model);
        put_bytes(f, path, "0123456789abcdef!", r->bytes);
        (void)snprintf(path, sizeof path, "%s/warmup/folder/x", r->model);
        put(f, path, "x");
        (void)snprintf(text, sizeof text, "%s/%s/warmup/link", f->root, r->model);
        assert_int_equal(symlink("../1/model.echo", text), 0);
    }
    put(f, "bare.echo", ECHO);
    start(f);
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        const char *why = highest(f, r->model)->reason;
        print_message("%s: %s\n", r->model, why);
        assert_true(is(f, r->model, r->words ? "FAILED" : "READY"));
        assert_true(!r->words || strstr(why, r->words));
        assert_true(!r->words || strstr(why, "warm-up 'first': input 'X': input_data_file '"));
    }
    struct wish w = { .order.config =
                          TRP_STR_LIT("{\"model_warmup\": [{\"inputs\": {\"X\": {\"data_type\": "
                                      "\"TYPE_FP32\", \"dims\": [1, 4], \"input_data_file\": "
                                      "\"digit\"}}}]}") };
    submit_load(f, &w, "bare");
    check_order(f, &w, TRP_INVALID_ARGUMENT, "single file");
}

static void a_half_written_file_is_tried_again_when_it_has_grown(void **state)
{
    struct fixture *f = *state;
    f->opts.watch = TRP_WATCH_POLL;
    f->opts.poll_ns = TRP_MS(100);
    put(f, "m/config.pbtxt", SAMPLE("", "input_data_file: \"digit\""));
    put(f, "m/1/model.echo", ECHO);
    put_bytes(f, "m/warmup/digit", "0123456", 7);
    start(f);
    assert_true(is(f, "m", "FAILED"));
    put_bytes(f, "m/warmup/digit", "0123456789abcdef", 16);
    for (int i = 0; i < 40 && !is(f, "m", "READY"); i++) {
        f->now_ns += TRP_MS(99);
        turn(f);
    }
    pump(f, is(f, "m", "READY"));
}

/* ---- one input, byte by byte ---- */

struct one {
    struct trp_arena arena;
    struct trp_account account;
    struct trp_signature seen;
    struct trp_warmup warmup;
    struct troupe_tensor tensor;
};

static trp_status make_one(struct fixture *f, struct one *o, const char *entry, struct trp_io io,
                           int64_t batch)
{
    char text[512], folder[128];
    struct trp_node *tree;
    struct trp_error err = { 0 };
    trp_arena_init(&o->arena, trp_heap(), 4096, 0);
    trp_account_init(&o->account, TRP_ACCOUNT_ACTIVATIONS, NULL, 0);
    (void)snprintf(text, sizeof text, "model_warmup { inputs { key: \"X\" value { %s } } }", entry);
    must(trp_model_config_parse(&o->arena, trp_str_of(text), "config.pbtxt", &tree, NULL, &err),
         &err);
    (void)snprintf(folder, sizeof folder, "%s/m", f->root);
    o->seen.batch_max = batch > 0 ? 8 : 0;
    o->warmup = (struct trp_warmup){ .seen = &o->seen,
                                     .folder = trp_str_of(folder),
                                     .account = &o->account,
                                     .input_bytes_max = 1 << 16 };
    const struct trp_node *inputs =
        trp_node_get(trp_node_get(tree, "model_warmup")->first, "inputs");
    const trp_status st =
        trp_warmup_input_make(&o->warmup, trp_node_get(inputs, "X"), &io, batch, &o->tensor, &err);
    print_message("%s\n", err.text);
    return st;
}

static void end_one(struct one *o)
{
    trp_alloc_free(&o->account.alloc, o->tensor.data);
    assert_int_equal(trp_counter_get(&o->account.bytes), 0);
    trp_account_deinit(&o->account);
    trp_arena_deinit(&o->arena);
}

static void a_file_is_one_row_and_a_batch_repeats_it(void **state)
{
    struct fixture *f = *state;
    const struct trp_io io = { .dtype = TROUPE_INT16, .rank = 3, .dims = { -1, 2, -1 } };
    struct one o = { 0 };
    put_bytes(f, "m/warmup/row", "abcdefgh", 8);
    assert_false(trp_failed(
        make_one(f, &o, "data_type: TYPE_INT16 dims: [ 2, 2 ] input_data_file: \"row\"", io, 3)));
    assert_int_equal(o.tensor.rank, 3);
    assert_int_equal(o.tensor.shape[0], 3);
    assert_int_equal(o.tensor.bytes, 24);
    assert_memory_equal(o.tensor.data, "abcdefghabcdefghabcdefgh", 24);
    end_one(&o);
}

static void strings_in_a_file_have_their_lengths_in_front(void **state)
{
    struct fixture *f = *state;
    static const char two[] = "\2\0\0\0hi\5\0\0\0there";
    static const struct row {
        size_t bytes;
        const char *dims;
        int32_t code;
    } rows[] = {
        { sizeof two - 1, "[ 2 ]", TRP_OK },
        { sizeof two - 2, "[ 2 ]", TRP_INVALID_ARGUMENT }, /* the last letter is not there yet */
        { 2, "[ 2 ]", TRP_INVALID_ARGUMENT },
        { sizeof two - 1, "[ 1 ]", TRP_INVALID_ARGUMENT },
        { sizeof two - 1, "[ 3 ]", TRP_INVALID_ARGUMENT },
        { 0, "[ 0 ]", TRP_OK },
    };
    const struct trp_io io = { .dtype = TROUPE_BYTES, .rank = 2, .dims = { -1, -1 } };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct one o = { 0 };
        char entry[128];
        put_bytes(f, "m/warmup/words", two, r->bytes);
        (void)snprintf(entry, sizeof entry,
                       "data_type: TYPE_STRING dims: %s input_data_file: \"words\"", r->dims);
        assert_int_equal(make_one(f, &o, entry, io, 2).code, r->code);
        if (r->code != TRP_OK) {
            assert_null(o.tensor.data);
        } else {
            assert_int_equal(o.tensor.bytes, 2 * r->bytes);
            assert_memory_equal(o.tensor.data, two, r->bytes);
            assert_memory_equal((char *)o.tensor.data + r->bytes, two, r->bytes);
        }
        end_one(&o);
    }
}

static void random_numbers_are_the_same_each_time_and_safe(void **state)
{
    struct fixture *f = *state;
    static const struct row {
        const char *type;
        int32_t dtype;
    } rows[] = { { "TYPE_FP32", TROUPE_FP32 }, { "TYPE_INT64", TROUPE_INT64 } };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        const struct trp_io io = { .dtype = r->dtype, .rank = 1, .dims = { 100 } };
        struct one a = { 0 }, b = { 0 };
        char entry[128];
        (void)snprintf(entry, sizeof entry, "data_type: %s dims: [ 100 ] random_data: true",
                       r->type);
        assert_false(trp_failed(make_one(f, &a, entry, io, 0)));
        assert_false(trp_failed(make_one(f, &b, entry, io, 0)));
        assert_memory_equal(a.tensor.data, b.tensor.data, a.tensor.bytes);
        double sum = 0;
        for (size_t i = 0; i < 100; i++) {
            const double v = r->dtype == TROUPE_FP32 ? (double)((float *)a.tensor.data)[i]
                                                     : (double)((int64_t *)a.tensor.data)[i];
            assert_true(v >= 0 && v <= 1);
            sum += v;
        }
        assert_true(sum > 25 && sum < 75);
        end_one(&a);
        end_one(&b);
    }
}

/* ---- memory ---- */

#define MIB (UINT64_C(1) << 20)

struct budget {
    struct trp_ledger *ledger;
    struct trp_headrooms *headrooms;
    struct trp_admission admission;
    struct trp_hold taken; /* given back as soon as somebody asks for room */
    bool is_asked;
};

static void give_way(void *user, struct trp_amounts need)
{
    struct budget *b = user;
    (void)need;
    b->is_asked = true;
    trp_ledger_release(b->ledger, &b->taken);
}

static void make_budget(struct budget *b, uint64_t limit_bytes)
{
    const struct trp_ledger_opts ledger = { .limit = { { limit_bytes } } };
    struct trp_error err = { 0 };
    *b = (struct budget){ 0 };
    must(trp_ledger_create(trp_heap(), &ledger, &b->ledger, &err), &err);
    const struct trp_headrooms_opts opts = { .ledger = b->ledger, .patience_ns = TRP_S(1) };
    must(trp_headrooms_create(trp_heap(), &opts, &b->headrooms, &err), &err);
    b->admission = (struct trp_admission){ b->headrooms, b->ledger, TRP_S(30) };
    trp_ledger_on_short(b->ledger, give_way, b);
}

static void drop_budget(struct budget *b, struct trp_version *v)
{
    trp_headroom_close(&v->headroom);
    trp_headrooms_destroy(b->headrooms);
    trp_ledger_destroy(b->ledger);
}

static const struct trp_flag never;

static struct trp_warmup warmup_of(struct fixture *f, struct trp_version *v, const struct budget *b)
{
    return (struct trp_warmup){ .model = v->model,
                                .version = v,
                                .admission = &b->admission,
                                .clock = &f->clock,
                                .config = v->config.tree,
                                .seen = &v->signature,
                                .signature = &v->file_signature,
                                .account = &v->activations,
                                .stop = &never,
                                .input_bytes_max = 1 << 20 };
}

static trp_status warm(struct fixture *f, struct trp_version *v, const struct budget *b,
                       struct trp_error *err)
{
    const struct trp_warmup w = warmup_of(f, v, b);
    return trp_warmup_run(&w, err);
}

/* What the next run of 16 bytes is expected to hold. */
static uint64_t expected(const struct budget *b, struct trp_version *v)
{
    const struct trp_admission_wish wish = { .size = 16 };
    struct trp_admitted a;
    assert_int_equal(trp_admission_ask(&b->admission, v, &wish, 1, &a), TRP_RESERVE_DONE);
    const uint64_t bytes = a.pass.bytes;
    trp_admission_end(&b->admission, v, &a, 0);
    return bytes;
}

static void warm_ups_wait_for_room_and_teach_what_runs_hold(void **state)
{
    struct fixture *f = *state;
    struct budget b;
    struct trp_error err = { 0 };
    put(f, "m/config.pbtxt", SAMPLE("batch_size: 1", "zero_data: true"));
    put(f, "m/1/model.echo", ECHO "holds 41943040\n");
    start(f);
    struct trp_version *v = highest(f, "m");
    make_budget(&b, 100 * MIB);
    assert_int_equal(trp_ledger_reserve(b.ledger, (struct trp_amounts){ { 99 * MIB } }, &b.taken),
                     TRP_RESERVE_DONE);
    const trp_status st = warm(f, v, &b, &err);
    print_message("%s\n", err.text);
    assert_int_equal(st.code, TRP_OK);
    assert_int_equal(expected(&b, v), 40 * MIB);
    drop_budget(&b, v);
}

static bool is_logged(const struct fixture *f, const char *words)
{
    char text[16384];
    const ssize_t n = pread(f->log_fd, text, sizeof text - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    return strstr(text, words) != NULL;
}

static void who_takes_over_has_run_before_well_or_not(void **state)
{
    struct fixture *f = *state;
    put(f, "m/1/model.echo", ECHO "fail BACKEND_FAILED the first one\n");
    start(f);
    pump(f, is(f, "m", "READY"));
    put(f, "m/2/model.echo", ECHO "fail BACKEND_FAILED the second one\n");
    rescan(f);
    pump(f, highest(f, "m")->target.version == 2 && is(f, "m", "READY"));
    assert_true(is_logged(f, "'m/2' takes over without having run before: "));
    assert_true(is_logged(f, "the second one"));
    assert_false(
        is_logged(f, "the first one")); /* nobody waited for a second answer like its own */
}

static bool serves(const struct fixture *f, int64_t version)
{
    return is(f, "m", "READY") && highest(f, "m")->target.version == version;
}

static void a_rehearsal_that_does_not_end_is_ended_and_its_version_takes_over(void **state)
{
    struct fixture *f = *state;
    f->opts.load_ns_max = 0;
    put(f, "m/1/model.echo", ECHO);
    start(f);
    pump(f, serves(f, 1));
    put(f, "m/2/model.echo", ECHO "sleep 3600s\n");
    rescan(f);
    for (int i = 0; i < TURNS_MAX && !serves(f, 2); i++) {
        f->now_ns += TRP_MS(100); /* the rehearsal begins in one of these turns */
        turn(f);
    }
    assert_true(serves(f, 2));
    assert_false(trp_flag_is_up(&highest(f, "m")->stop)); /* whoever waits for it goes on */
    assert_true(is_logged(f, "'m/2' takes over without having run before: its run was ended"));
}

/* Else the end of this test waited for an hour. */
static void a_load_that_is_given_up_ends_its_rehearsal(void **state)
{
    struct fixture *f = *state;
    f->opts.load_ns_max = TRP_S(9); /* before the rehearsal's own time is over */
    put(f, "m/1/model.echo", ECHO);
    start(f);
    pump(f, serves(f, 1));
    put(f, "m/2/model.echo", ECHO "sleep 3600s\n");
    rescan(f);
    for (int i = 0; i < TURNS_MAX && !is_logged(f, "the load did not end within 9000 ms"); i++) {
        f->now_ns += TRP_MS(20);
        turn(f);
    }
    assert_true(is_logged(f, "the load did not end within 9000 ms"));
    assert_true(serves(f, 1));
}

static void a_rehearsal_asks_for_room_and_nobody_leaves_for_it(void **state)
{
    struct fixture *f = *state;
    struct budget b;
    struct trp_error err = { 0 };
    put(f, "m/1/model.echo", ECHO "holds 41943040\n");
    start(f);
    struct trp_version *v = highest(f, "m");
    make_budget(&b, 100 * MIB);
    const struct trp_warmup w = warmup_of(f, v, &b);
    assert_int_equal(trp_ledger_reserve(b.ledger, (struct trp_amounts){ { 99 * MIB } }, &b.taken),
                     TRP_RESERVE_DONE);
    assert_int_equal(trp_warmup_rehearse(&w, &err).code, TRP_OVER_BUDGET);
    assert_false(b.is_asked);
    trp_ledger_release(b.ledger, &b.taken);
    assert_int_equal(trp_warmup_rehearse(&w, &err).code, TRP_OK);
    assert_int_equal(expected(&b, v), 40 * MIB);
    drop_budget(&b, v);
}

static void a_warm_up_that_can_never_fit_is_refused_with_the_numbers(void **state)
{
    struct fixture *f = *state;
    struct budget b;
    struct trp_error err = { 0 };
    put(f, "m/config.pbtxt", SAMPLE("batch_size: 1", "zero_data: true"));
    put(f, "m/1/model.echo", ECHO "holds 41943040\n");
    start(f);
    struct trp_version *v = highest(f, "m");
    make_budget(&b, 20 * MIB);
    assert_int_equal(warm(f, v, &b, &err).code, TRP_OVER_BUDGET);
    assert_non_null(strstr(err.text,
                           "warm-up 'first': model 'm/1': a run: needs 41943040 bytes; at "
                           "most 20971520 of 20971520 can be had"));
    drop_budget(&b, v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LIFE(a_warm_up_runs_before_a_model_is_ready_and_its_failure_is_the_loads),
        WITH_LIFE(a_sample_is_checked_like_a_request),
        WITH_LIFE(data_from_a_file_is_checked_before_the_model_sees_it),
        WITH_LIFE(a_half_written_file_is_tried_again_when_it_has_grown),
        WITH_LIFE(a_file_is_one_row_and_a_batch_repeats_it),
        WITH_LIFE(strings_in_a_file_have_their_lengths_in_front),
        WITH_LIFE(random_numbers_are_the_same_each_time_and_safe),
        WITH_LIFE(warm_ups_wait_for_room_and_teach_what_runs_hold),
        WITH_LIFE(who_takes_over_has_run_before_well_or_not),
        WITH_LIFE(a_rehearsal_that_does_not_end_is_ended_and_its_version_takes_over),
        WITH_LIFE(a_load_that_is_given_up_ends_its_rehearsal),
        WITH_LIFE(a_rehearsal_asks_for_room_and_nobody_leaves_for_it),
        WITH_LIFE(a_warm_up_that_can_never_fit_is_refused_with_the_numbers),
    };
    return cmocka_run_group_tests_name("warmup", tests, NULL, NULL);
}
