/* tests/conformance/onnxruntime_prepare_test.c - a model is made into a skeleton and blobs, and
 * what opens from them answers like the model itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/map_loss.h"
#include "onnxruntime_fixture.h"

#define SIDE 64
#define WEIGHT_BYTES (SIDE * SIDE * sizeof(float))
#define GRAPH_BYTES 200000u /* of a session, at most: what is no weight */

/* --- a store that only counts ----------------------------------------------------------------- */

struct shelf {
    unsigned blobs_n, new_n;
    uint64_t blob_bytes, skeleton_bytes;
    char skeleton[512];
    int32_t refuses; /* a code; TROUPE_OK: takes everything */
    bool keeps_inside;
    unsigned cancelled_after; /* so many blobs; 0: never */
    volatile int32_t cancel;
};

static void put(const char *name, const void *data, uint64_t bytes)
{
    FILE *f = fopen(harness_path(&h, name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    assert_int_equal(fclose(f), 0);
}

static uint64_t digest(const unsigned char *at, uint64_t bytes)
{
    uint64_t d = 14695981039346656037u; /* FNV-1a */
    for (uint64_t i = 0; i < bytes; i++)
        d = (d ^ at[i]) * 1099511628211u;
    return d;
}

static int32_t take_blob(void *user, const void *data, uint64_t bytes, char *out_name)
{
    struct shelf *shelf = user;
    if (shelf->refuses != TROUPE_OK)
        return shelf->refuses;
    (void)snprintf(out_name, TROUPE_BLOB_NAME_MAX, "blob-%016llx",
                   (unsigned long long)digest(data, bytes));
    FILE *known = fopen(harness_path(&h, out_name), "rb");
    if (known)
        fclose(known);
    else
        put(out_name, data, bytes);
    shelf->new_n += !known;
    shelf->blobs_n++;
    shelf->blob_bytes += bytes;
    if (shelf->blobs_n == shelf->cancelled_after)
        shelf->cancel = 1;
    return TROUPE_OK;
}

static int32_t take_skeleton(void *user, const void *data, uint64_t bytes)
{
    struct shelf *shelf = user;
    put(shelf->skeleton, data, bytes);
    shelf->skeleton_bytes = bytes;
    return TROUPE_OK;
}

static trp_status prepare(const char *name, struct shelf *shelf)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s", harness_path(&h, name));
    const struct troupe_model_desc desc = {
        .name = name, .path = path, .account = &h.account.plugin, .cancel = &shelf->cancel
    };
    const struct troupe_blob_sink sink = { .user = shelf,
                                           .blob = shelf->keeps_inside ? NULL : take_blob,
                                           .skeleton = take_skeleton };
    (void)snprintf(shelf->skeleton, sizeof shelf->skeleton, "%s.skeleton", name);
    return trp_backend_prepare(h.backend, &desc, &sink, &h.err);
}

static trp_status open_prepared(const char *name, const struct shelf *shelf, struct subject **out)
{
    char skeleton[512];
    (void)snprintf(skeleton, sizeof skeleton, "%s", harness_path(&h, shelf->skeleton));
    return subject_try_open(
        &h, name,
        (struct troupe_model_desc){ .skeleton = skeleton,
                                    .blobs = shelf->keeps_inside ? NULL : h.folder },
        out);
}

/* --- models ----------------------------------------------------------------------------------- */

static float weights[2][SIDE * SIDE];

static void fill_weights(void)
{
    for (int i = 0; i < SIDE * SIDE; i++) {
        weights[0][i] = (float)(i * 7 % 13) / 13 - 0.5f;
        weights[1][i] = (float)(i * 11 % 17) / 17 - 0.5f;
    }
}

/* y = relu(x . base) . head: two that share a base differ in their head. */
static void write_chain(const char *name, const float *head)
{
    struct onnx g = { 0 };
    fill_weights();
    onnx_simple(&g, "MatMul", "x base", "a");
    onnx_simple(&g, "Relu", "a", "b");
    onnx_simple(&g, "MatMul", "b head", "y");
    onnx_input(&g, "x", ONNX_FLOAT, 2, DIMS(-1, SIDE));
    onnx_output(&g, "y", ONNX_FLOAT, 2, DIMS(-1, SIDE));
    onnx_initializer(&g, "base", ONNX_FLOAT, 2, DIMS(SIDE, SIDE), weights[0], WEIGHT_BYTES);
    onnx_initializer(&g, "head", ONNX_FLOAT, 2, DIMS(SIDE, SIDE), head, WEIGHT_BYTES);
    onnx_save(&g, harness_path(&h, name));
}

static void run(struct subject *s)
{
    static float x[3 * SIDE];
    for (int i = 0; i < 3 * SIDE; i++)
        x[i] = (float)(i % 5) - 2;
    subject_send(s, 0, TROUPE_FP32, x, sizeof x, 2, DIMS(3, SIDE));
    assert_int_equal(subject_run(s).code, TRP_OK);
    assert_int_equal(s->out[0].bytes, sizeof x);
}

static void expect_equal_answers(struct subject *plain, struct subject *prepared)
{
    run(plain);
    run(prepared);
    const float *a = plain->out[0].data, *b = prepared->out[0].data;
    for (int i = 0; i < 3 * SIDE; i++)
        assert_float_equal(a[i], b[i], 1e-4);
}

/* --- the tests -------------------------------------------------------------------------------- */

static void a_prepared_model_answers_like_the_model(void **state)
{
    (void)state;
    struct shelf shelf = { 0 };
    struct subject *prepared;
    write_chain("chain.onnx", weights[1]);
    assert_int_equal(prepare("chain.onnx", &shelf).code, TRP_OK);
    assert_int_equal(shelf.blobs_n, 2);
    assert_int_equal(shelf.blob_bytes, 2 * WEIGHT_BYTES);
    assert_in_range(shelf.skeleton_bytes, 1, WEIGHT_BYTES / 2);
    assert_int_equal(trp_counter_get(&h.account.bytes), 0);
    struct subject *plain = subject_open(&h, "chain.onnx");
    assert_int_equal(open_prepared("chain.onnx", &shelf, &prepared).code, TRP_OK);
    assert_int_equal(prepared->signature.inputs_n, plain->signature.inputs_n);
    assert_true(trp_str_is(prepared->signature.inputs[0].dim_names[0], "d0"));
    expect_equal_answers(plain, prepared);
}

static void weights_of_a_prepared_model_are_mapped_and_not_held(void **state)
{
    (void)state;
    struct shelf shelf = { 0 };
    struct subject *s;
    write_chain("chain.onnx", weights[1]);
    assert_int_equal(prepare("chain.onnx", &shelf).code, TRP_OK);
    assert_int_equal(open_prepared("chain.onnx", &shelf, &s).code, TRP_OK);
    assert_in_range(trp_counter_get(&h.account.bytes), 0, WEIGHT_BYTES / 4 + GRAPH_BYTES);
}

static void equal_weights_of_two_models_are_one_blob(void **state)
{
    (void)state;
    struct shelf one = { 0 }, other = { 0 };
    struct subject *a, *b;
    write_chain("one.onnx", weights[1]);
    write_chain("other.onnx", weights[0]); /* base and head are the same there */
    assert_int_equal(prepare("one.onnx", &one).code, TRP_OK);
    assert_int_equal(prepare("other.onnx", &other).code, TRP_OK);
    assert_int_equal(other.new_n, 0);
    assert_int_equal(open_prepared("one.onnx", &one, &a).code, TRP_OK);
    assert_int_equal(open_prepared("other.onnx", &other, &b).code, TRP_OK);
    expect_equal_answers(subject_open(&h, "other.onnx"), b);
    run(a);
}

static void what_the_server_refuses_to_store_ends_the_preparation_with_its_code(void **state)
{
    (void)state;
    struct shelf shelf = { .refuses = TROUPE_IO };
    write_chain("chain.onnx", weights[1]);
    assert_int_equal(prepare("chain.onnx", &shelf).code, TRP_IO);
    assert_int_equal(trp_counter_get(&h.account.bytes), 0);
}

static void a_model_that_is_none_is_not_prepared(void **state)
{
    (void)state;
    struct shelf shelf = { 0 };
    harness_write(&h, "broken.onnx", "no model");
    assert_int_equal(prepare("broken.onnx", &shelf).code, TRP_INVALID_ARGUMENT);
    assert_int_equal(prepare("absent.onnx", &shelf).code, TRP_NOT_FOUND);
    assert_int_equal(shelf.skeleton_bytes, 0);
}

static void a_blob_that_is_gone_or_short_fails_the_load_with_the_weights_name(void **state)
{
    (void)state;
    struct shelf shelf = { 0 };
    struct subject *s;
    char name[TROUPE_BLOB_NAME_MAX];
    write_chain("chain.onnx", weights[1]);
    assert_int_equal(prepare("chain.onnx", &shelf).code, TRP_OK);
    (void)snprintf(name, sizeof name, "blob-%016llx",
                   (unsigned long long)digest((const unsigned char *)weights[1], WEIGHT_BYTES));
    put(name, weights[1], WEIGHT_BYTES / 2);
    assert_true(trp_failed(open_prepared("chain.onnx", &shelf, &s)));
    assert_non_null(strstr(h.err.text, "head"));
    assert_int_equal(remove(harness_path(&h, name)), 0);
    assert_true(trp_failed(open_prepared("chain.onnx", &shelf, &s)));
    assert_non_null(strstr(h.err.text, "head"));
    assert_int_equal(trp_counter_get(&h.account.bytes), 0);
}

static void a_skeleton_that_is_gone_or_none_is_named(void **state)
{
    (void)state;
    struct shelf shelf = { .skeleton = "nowhere" };
    struct subject *s;
    assert_int_equal(open_prepared("chain.onnx", &shelf, &s).code, TRP_NOT_FOUND);
    assert_non_null(strstr(h.err.text, "nowhere"));
    harness_write(&h, "nowhere", "no skeleton");
    assert_int_equal(open_prepared("chain.onnx", &shelf, &s).code, TRP_INVALID_ARGUMENT);
}

/* --- mapped weights --------------------------------------------------------------------------- */

static unsigned mappings_of(const char *what)
{
    char line[8192];
    unsigned n = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        n += strstr(line, what) != NULL;
    fclose(maps);
    return n;
}

static const char *blob_of(const float *content)
{
    static char name[TROUPE_BLOB_NAME_MAX];
    (void)snprintf(name, sizeof name, "blob-%016llx",
                   (unsigned long long)digest((const unsigned char *)content, WEIGHT_BYTES));
    return name;
}

static void models_that_share_a_weight_share_its_one_mapping(void **state)
{
    (void)state;
    struct shelf one = { 0 }, other = { 0 };
    struct subject *a, *b, *c;
    write_chain("one.onnx", weights[1]);
    write_chain("other.onnx", weights[0]);
    assert_int_equal(prepare("one.onnx", &one).code, TRP_OK);
    assert_int_equal(prepare("other.onnx", &other).code, TRP_OK);
    assert_int_equal(open_prepared("one.onnx", &one, &a).code, TRP_OK);
    assert_int_equal(open_prepared("one.onnx", &one, &b).code, TRP_OK);
    const uint64_t before = trp_counter_get(&h.account.bytes);
    assert_int_equal(open_prepared("other.onnx", &other, &c).code, TRP_OK);
    const uint64_t private = trp_counter_get(&h.account.bytes) - before;
    assert_int_equal(mappings_of(blob_of(weights[0])), 1);
    assert_int_equal(mappings_of(blob_of(weights[1])), 1);
    struct troupe_memory memory;
    assert_true(trp_backend_memory(a->model, &memory));
    assert_int_equal(memory.shared_bytes, 2 * WEIGHT_BYTES);
    assert_true(trp_backend_memory(c->model, &memory));
    assert_int_equal(memory.shared_bytes, WEIGHT_BYTES); /* base and head are one there */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_in_range(private, 20000, GRAPH_BYTES); /* the graph of a session that maps them */
#else
    (void)private; /* the sanitizer's operators count nothing */
#endif
    subject_close(a);
    subject_close(b);
    assert_int_equal(mappings_of(blob_of(weights[1])), 0);
    run(c);
    subject_close(c);
    assert_int_equal(mappings_of("blob-"), 0);
}

static void a_model_that_slept_answers_as_before(void **state)
{
    (void)state;
    struct shelf shelf = { 0 };
    struct subject *s, *t;
    write_chain("chain.onnx", weights[1]);
    assert_int_equal(prepare("chain.onnx", &shelf).code, TRP_OK);
    struct subject *plain = subject_open(&h, "chain.onnx");
    assert_int_equal(open_prepared("chain.onnx", &shelf, &s).code, TRP_OK);
    assert_int_equal(open_prepared("chain.onnx", &shelf, &t).code, TRP_OK);
    assert_true(trp_backend_capabilities(s->model) & TROUPE_CAN_HIBERNATE);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(trp_backend_hibernate(s->model, &h.err).code, TRP_OK);
        assert_int_equal(trp_backend_hibernate(s->model, &h.err).code, TRP_OK);
        if (i == 1) /* both sleep: the pages go */
            assert_int_equal(trp_backend_hibernate(t->model, &h.err).code, TRP_OK);
        if (i < 2)
            assert_int_equal(trp_backend_wake(s->model, &h.err).code, TRP_OK);
        expect_equal_answers(plain, s); /* woken, or by the run itself */
        subject_release(plain);
        subject_release(s);
    }
    assert_int_equal(trp_backend_hibernate(s->model, &h.err).code, TRP_OK);
    assert_in_range(trp_counter_get(&h.account.bytes), 0, 8 * WEIGHT_BYTES + 3 * GRAPH_BYTES);
}

static void a_plain_model_keeps_what_it_has(void **state)
{
    (void)state;
    write_chain("chain.onnx", weights[1]);
    struct subject *plain = subject_open(&h, "chain.onnx");
    assert_false(trp_backend_capabilities(plain->model) & TROUPE_CAN_HIBERNATE);
    assert_int_equal(trp_backend_hibernate(plain->model, &h.err).code, TRP_UNIMPLEMENTED);
    assert_int_equal(trp_backend_wake(plain->model, &h.err).code, TRP_OK);
    run(plain);
}

static void a_file_that_was_written_to_is_not_shared_with_who_has_the_old_one(void **state)
{
    (void)state;
    struct shelf shelf = { 0 };
    struct subject *a, *b;
    write_chain("chain.onnx", weights[1]);
    assert_int_equal(prepare("chain.onnx", &shelf).code, TRP_OK);
    assert_int_equal(open_prepared("chain.onnx", &shelf, &a).code, TRP_OK);
    put(blob_of(weights[1]), weights[1], WEIGHT_BYTES); /* the same bytes, but who knows */
    assert_int_equal(open_prepared("chain.onnx", &shelf, &b).code, TRP_OK);
    assert_int_equal(mappings_of(blob_of(weights[1])), 2);
    assert_int_equal(mappings_of(blob_of(weights[0])), 1);
    run(b);
}

/* --- a blob that is cut short while it is mapped ---------------------------------------------- */

static char lost[1024];
static unsigned losses;

static bool is_a_blob(void *user, const char *path)
{
    (void)user;
    return strstr(path, "/blob-") != NULL;
}

static void note_loss(void *user, const char *path)
{
    (void)user;
    losses++;
    (void)snprintf(lost, sizeof lost, "%s", path);
}

static void a_blob_that_is_cut_fails_the_run_and_the_model_but_nobody_else(void **state)
{
    (void)state;
    static const struct trp_backend_watch watch = { .is_mine = is_a_blob, .on_loss = note_loss };
    struct shelf shelf = { 0 };
    struct subject *s;
    write_chain("chain.onnx", weights[1]);
    assert_int_equal(prepare("chain.onnx", &shelf).code, TRP_OK);
    assert_int_equal(trp_map_loss_watch(h.folder, &h.err).code, TRP_OK);
    struct subject *plain = subject_open(&h, "chain.onnx");
    assert_int_equal(open_prepared("chain.onnx", &shelf, &s).code, TRP_OK);
    trp_backend_watch(s->model, &watch);
    run(s);
    subject_release(s);
    assert_int_equal(truncate(harness_path(&h, blob_of(weights[1])), 0), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(subject_run(s).code, TRP_DATA_LOSS);
        assert_non_null(strstr(h.err.text, blob_of(weights[1])));
        assert_null(s->out[0].data);
    }
    assert_int_equal(losses, 1);
    assert_non_null(strstr(lost, blob_of(weights[1])));
    run(plain);
    assert_int_equal(remove(harness_path(&h, blob_of(weights[1]))), 0);
    trp_map_loss_unwatch(h.folder);
}

static void weights_can_stay_in_the_skeleton(void **state)
{
    (void)state;
    struct shelf shelf = { .keeps_inside = true };
    struct subject *s;
    write_chain("chain.onnx", weights[1]);
    assert_int_equal(prepare("chain.onnx", &shelf).code, TRP_OK);
    assert_int_equal(shelf.blobs_n, 0);
    assert_in_range(shelf.skeleton_bytes, 2 * WEIGHT_BYTES, 3 * WEIGHT_BYTES);
    struct subject *plain = subject_open(&h, "chain.onnx");
    assert_int_equal(open_prepared("chain.onnx", &shelf, &s).code, TRP_OK);
    assert_false(trp_backend_capabilities(s->model) & TROUPE_CAN_HIBERNATE);
    expect_equal_answers(plain, s);
}

static void a_preparation_that_nobody_wants_any_more_is_given_up(void **state)
{
    (void)state;
    struct shelf shelf = { .cancel = 1 };
    write_chain("chain.onnx", weights[1]);
    assert_int_equal(prepare("chain.onnx", &shelf).code, TRP_CANCELLED);
    assert_int_equal(shelf.blobs_n, 0);
    assert_int_equal(shelf.skeleton_bytes, 0);
    assert_int_equal(trp_counter_get(&h.account.bytes), 0);
}

static void a_preparation_is_given_up_between_two_weights(void **state)
{
    (void)state;
    struct shelf shelf = { .cancelled_after = 1 };
    write_chain("chain.onnx", weights[1]);
    assert_int_equal(prepare("chain.onnx", &shelf).code, TRP_CANCELLED);
    assert_int_equal(shelf.blobs_n, 1);
    assert_int_equal(shelf.skeleton_bytes, 0);
    assert_int_equal(trp_counter_get(&h.account.bytes), 0);
    shelf = (struct shelf){ 0 };
    assert_int_equal(prepare("chain.onnx", &shelf).code, TRP_OK);
}

static void it_says_what_a_skeleton_depends_on(void **state)
{
    (void)state;
    unsigned major = 0, minor = 0;
    assert_true(trp_backend_can_prepare(h.backend));
    assert_int_equal(sscanf(trp_backend_fingerprint(h.backend), "%u.%u", &major, &minor), 2);
    assert_true(major > 1 || minor >= 23);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, close_what_is_open)
    const struct CMUnitTest tests[] = {
        TEST(a_prepared_model_answers_like_the_model),
        TEST(weights_of_a_prepared_model_are_mapped_and_not_held),
        TEST(equal_weights_of_two_models_are_one_blob),
        TEST(what_the_server_refuses_to_store_ends_the_preparation_with_its_code),
        TEST(a_model_that_is_none_is_not_prepared),
        TEST(a_blob_that_is_gone_or_short_fails_the_load_with_the_weights_name),
        TEST(a_skeleton_that_is_gone_or_none_is_named),
        TEST(models_that_share_a_weight_share_its_one_mapping),
        TEST(a_model_that_slept_answers_as_before),
        TEST(a_plain_model_keeps_what_it_has),
        TEST(a_file_that_was_written_to_is_not_shared_with_who_has_the_old_one),
        TEST(a_blob_that_is_cut_fails_the_run_and_the_model_but_nobody_else),
        TEST(weights_can_stay_in_the_skeleton),
        TEST(a_preparation_that_nobody_wants_any_more_is_given_up),
        TEST(a_preparation_is_given_up_between_two_weights),
        TEST(it_says_what_a_skeleton_depends_on),
    };
    return cmocka_run_group_tests_name("onnxruntime_prepare", tests, open_onnxruntime,
                                       close_onnxruntime);
}
