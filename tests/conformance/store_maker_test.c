/* tests/conformance/store_maker_test.c - models are prepared with the real backend, proven,
 * published, and opened from the store; what cannot be proven is refused with its reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk.h"
#include "onnxruntime_fixture.h"
#include "store/maker.h"
#include "store/prover.h"

#define SIDE 64
#define WEIGHT_BYTES (SIDE * SIDE * sizeof(float))

static struct trp_store *store;
static char store_folder[SCRATCH_PATH_MAX];

static int set_up(void **state)
{
    (void)open_onnxruntime(state);
    scratch_folder(store_folder, "maker");
    const struct trp_store_opts opts = { .path = store_folder };
    assert_int_equal(trp_store_open(trp_heap(), &opts, &store, &h.err).code, TRP_OK);
    return 0;
}

static int tear_down(void **state)
{
    trp_store_close(store);
    assert_int_equal(trp_disk_remove(store_folder, &h.err).code, TRP_OK);
    return close_onnxruntime(state);
}

/* --- making and opening ----------------------------------------------------------------------- */

struct making {
    char path[512];
    struct troupe_model_desc desc;
    struct trp_making making;
    struct trp_sha256 key;
};

static void begin(struct making *m, const char *name)
{
    (void)snprintf(m->path, sizeof m->path, "%s", harness_path(&h, name));
    m->desc =
        (struct troupe_model_desc){ .name = name, .path = m->path, .account = &h.account.plugin };
    m->making = (struct trp_making){ .store = store, .backend = h.backend, .desc = &m->desc };
    assert_int_equal(trp_making_key(&m->making, &m->key, &h.err).code, TRP_OK);
}

static trp_status prepare(struct making *m, const char *name)
{
    const uint64_t before = trp_counter_get(&h.account.bytes); /* models that are open */
    begin(m, name);
    const trp_status st = trp_making_run(&m->making, &m->key, &h.err);
    if (trp_failed(st))
        print_message("%s: %s: %s\n", name, trp_code_name(st.code), h.err.text);
    assert_int_equal(trp_counter_get(&h.account.bytes), before);
    return st;
}

static struct subject *open_from_store(struct making *m, const char *name)
{
    struct trp_artefact a;
    struct subject *s;
    assert_int_equal(trp_artefact_get(store, &m->key, &a, &h.err).code, TRP_OK);
    const struct troupe_model_desc desc = { .skeleton = a.skeleton, .blobs = a.blobs_folder };
    assert_int_equal(subject_try_open(&h, name, desc, &s).code, TRP_OK);
    trp_artefact_deinit(&a);
    return s;
}

static void expect_refusal(const char *name, const char *words)
{
    struct making m;
    struct trp_artefact a;
    assert_int_equal(prepare(&m, name).code, TRP_FAILED_PRECONDITION);
    assert_non_null(strstr(h.err.text, words));
    assert_int_equal(trp_artefact_get(store, &m.key, &a, &h.err).code, TRP_FAILED_PRECONDITION);
    assert_non_null(strstr(h.err.text, words)); /* and it is remembered */
}

/* --- models ----------------------------------------------------------------------------------- */

static float weights[SIDE * SIDE];

static void fill_weights(void)
{
    for (int i = 0; i < SIDE * SIDE; i++)
        weights[i] = (float)(i * 7 % 13) / 13 - 0.5f;
}

static void add_weights(struct onnx *g, const char *name)
{
    fill_weights();
    onnx_initializer(g, name, ONNX_FLOAT, 2, DIMS(SIDE, SIDE), weights, WEIGHT_BYTES);
}

static void save(struct onnx *g, const char *name)
{
    onnx_save(g, harness_path(&h, name));
}

static void write_dense(const char *name)
{
    struct onnx g = { 0 };
    onnx_simple(&g, "MatMul", "x w", "a");
    onnx_simple(&g, "Relu", "a", "y");
    onnx_input(&g, "x", ONNX_FLOAT, 2, DIMS(-1, SIDE));
    onnx_output(&g, "y", ONNX_FLOAT, 2, DIMS(-1, SIDE));
    add_weights(&g, "w");
    save(&g, name);
}

/* Rows of a table: the input is indices, and larger ones than the table are refused. */
static void write_lookup(const char *name)
{
    struct onnx g = { 0 };
    onnx_simple(&g, "Gather", "w ids", "y");
    onnx_input(&g, "ids", ONNX_INT64, 1, DIMS(-1));
    onnx_output(&g, "y", ONNX_FLOAT, 2, DIMS(-1, SIDE));
    add_weights(&g, "w");
    save(&g, name);
}

static void write_random(const char *name)
{
    struct onnx g = { 0 }, node = onnx_node("RandomNormalLike", "", "a", "r");
    onnx_simple(&g, "MatMul", "x w", "a");
    onnx_part(&g, 1, &node);
    onnx_simple(&g, "Add", "a r", "y");
    onnx_input(&g, "x", ONNX_FLOAT, 2, DIMS(-1, SIDE));
    onnx_output(&g, "y", ONNX_FLOAT, 2, DIMS(-1, SIDE));
    add_weights(&g, "w");
    save(&g, name);
}

/* Takes 3 x 5 and nothing else, which is not declared. */
static void write_picky(const char *name)
{
    struct onnx g = { 0 };
    const int64_t shape[2] = { 3, 5 };
    onnx_simple(&g, "Reshape", "x shape", "y");
    onnx_input(&g, "x", ONNX_FLOAT, 2, DIMS(-1, -1));
    onnx_output(&g, "y", ONNX_FLOAT, 2, DIMS(3, 5));
    onnx_initializer(&g, "shape", ONNX_INT64, 1, DIMS(2), shape, sizeof shape);
    save(&g, name);
}

/* Weights of both branches lie inside the branches. */
static void write_branches(const char *name)
{
    struct onnx g = { 0 }, node = onnx_node("If", "", "which", "y");
    for (int i = 0; i < 2; i++) {
        struct onnx branch = { 0 };
        onnx_simple(&branch, "MatMul", i ? "x wa" : "x wb", i ? "ya" : "yb");
        onnx_output(&branch, i ? "ya" : "yb", ONNX_FLOAT, 2, DIMS(-1, SIDE));
        add_weights(&branch, i ? "wa" : "wb");
        onnx_attr_graph(&node, i ? "then_branch" : "else_branch", &branch);
    }
    onnx_part(&g, 1, &node);
    onnx_input(&g, "which", ONNX_BOOL, 0, NULL);
    onnx_input(&g, "x", ONNX_FLOAT, 2, DIMS(-1, SIDE));
    onnx_output(&g, "y", ONNX_FLOAT, 2, DIMS(-1, SIDE));
    save(&g, name);
}

/* y = relu(x . w), with w in one place or another. */
enum place { IN_INITIALIZERS, IN_CONSTANT, IN_OTHER_FILE, IN_BRANCH_CONSTANTS, PLACES };

static void add_constant(struct onnx *g, const char *name)
{
    struct onnx node = onnx_node("Constant", "", "", name);
    struct onnx tensor =
        onnx_tensor("value", ONNX_FLOAT, 2, DIMS(SIDE, SIDE), weights, WEIGHT_BYTES);
    onnx_attr_tensor(&node, "value", &tensor);
    onnx_part(g, 1, &node);
}

static void add_external(struct onnx *g, const char *name)
{
    struct onnx tensor = onnx_external(name, ONNX_FLOAT, 2, DIMS(SIDE, SIDE), "weights.bin");
    FILE *f = fopen(harness_path(&h, "weights.bin"), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(weights, 1, WEIGHT_BYTES, f), WEIGHT_BYTES);
    assert_int_equal(fclose(f), 0);
    onnx_part(g, 5, &tensor);
}

static void add_branches(struct onnx *g)
{
    struct onnx node = onnx_node("If", "", "which", "a");
    for (int i = 0; i < 2; i++) {
        struct onnx branch = { 0 };
        add_constant(&branch, i ? "one" : "other");
        onnx_simple(&branch, "MatMul", i ? "x one" : "x other", i ? "ya" : "yb");
        onnx_output(&branch, i ? "ya" : "yb", ONNX_FLOAT, 2, DIMS(-1, SIDE));
        onnx_attr_graph(&node, i ? "then_branch" : "else_branch", &branch);
    }
    onnx_part(g, 1, &node);
    onnx_input(g, "which", ONNX_BOOL, 0, NULL);
}

static void write_placed(const char *name, enum place place, const char *weight)
{
    struct onnx g = { 0 };
    char inputs[64];
    fill_weights();
    if (place == IN_BRANCH_CONSTANTS)
        add_branches(&g);
    else if (place == IN_CONSTANT)
        add_constant(&g, weight);
    else if (place == IN_OTHER_FILE)
        add_external(&g, weight);
    else
        onnx_initializer(&g, weight, ONNX_FLOAT, 2, DIMS(SIDE, SIDE), weights, WEIGHT_BYTES);
    (void)snprintf(inputs, sizeof inputs, "x %s", weight);
    if (place != IN_BRANCH_CONSTANTS)
        onnx_simple(&g, "MatMul", inputs, "a");
    onnx_simple(&g, "Relu", "a", "y");
    onnx_input(&g, "x", ONNX_FLOAT, 2, DIMS(-1, SIDE));
    onnx_output(&g, "y", ONNX_FLOAT, 2, DIMS(-1, SIDE));
    save(&g, name);
}

/* --- the tests -------------------------------------------------------------------------------- */

static void a_proven_model_is_published_and_opens_from_the_store(void **state)
{
    (void)state;
    struct making m;
    static float x[2 * SIDE];
    write_dense("dense.onnx");
    assert_int_equal(prepare(&m, "dense.onnx").code, TRP_OK);
    assert_int_equal(trp_artefact_verify(store, &m.key, &h.err).code, TRP_OK);
    struct subject *plain = subject_open(&h, "dense.onnx");
    struct subject *mapped = open_from_store(&m, "dense.onnx");
    for (int i = 0; i < 2 * SIDE; i++)
        x[i] = (float)(i % 5) - 2;
    subject_send(plain, 0, TROUPE_FP32, x, sizeof x, 2, DIMS(2, SIDE));
    subject_send(mapped, 0, TROUPE_FP32, x, sizeof x, 2, DIMS(2, SIDE));
    assert_int_equal(subject_run(plain).code, TRP_OK);
    assert_int_equal(subject_run(mapped).code, TRP_OK);
    for (int i = 0; i < 2 * SIDE; i++)
        assert_float_equal(((float *)plain->out[0].data)[i], ((float *)mapped->out[0].data)[i],
                           1e-4);
}

static void indices_and_branches_are_proven_too(void **state)
{
    (void)state;
    struct making m;
    write_lookup("lookup.onnx");
    assert_int_equal(prepare(&m, "lookup.onnx").code, TRP_OK);
    (void)open_from_store(&m, "lookup.onnx");
    write_branches("branches.onnx");
    assert_int_equal(prepare(&m, "branches.onnx").code, TRP_OK);
    (void)open_from_store(&m, "branches.onnx");
    struct trp_artefact a;
    assert_int_equal(trp_artefact_get(store, &m.key, &a, &h.err).code, TRP_OK);
    assert_int_equal(a.blobs_n, 1); /* the weights of both branches are the same bytes */
    trp_artefact_deinit(&a);
}

static void a_weight_is_one_blob_wherever_it_stands_and_whatever_its_name(void **state)
{
    (void)state;
    static const char *const names[] = { "w", "another" };
    char first[TROUPE_BLOB_NAME_MAX] = "";
    for (int place = 0; place < PLACES; place++) {
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            struct making m;
            struct trp_artefact a;
            char file[64];
            (void)snprintf(file, sizeof file, "placed-%d-%zu.onnx", place, i);
            write_placed(file, (enum place)place, names[i]);
            print_message("%s\n", file);
            assert_int_equal(prepare(&m, file).code, TRP_OK);
            assert_int_equal(trp_artefact_get(store, &m.key, &a, &h.err).code, TRP_OK);
            assert_int_equal(a.blobs_n, 1);
            assert_string_equal(a.inside, "");
            if (!first[0])
                (void)trp_str_copy(trp_str_of(a.blobs[0].name), first, sizeof first);
            assert_string_equal(a.blobs[0].name, first);
            trp_artefact_deinit(&a);
            (void)open_from_store(&m, file);
        }
    }
}

static void a_model_that_answers_at_random_is_refused_with_that_reason(void **state)
{
    (void)state;
    write_random("random.onnx");
    expect_refusal("random.onnx", "differ from run to run");
}

static void a_model_that_takes_nothing_generated_is_refused_with_that_reason(void **state)
{
    (void)state;
    write_picky("picky.onnx");
    expect_refusal("picky.onnx", "none of the generated inputs");
}

static void what_is_full_is_not_remembered(void **state)
{
    (void)state;
    struct making m;
    struct trp_artefact a;
    volatile int32_t cancel = 1;
    write_dense("dense2.onnx");
    begin(&m, "dense2.onnx");
    h.account.limit = 100;
    assert_true(trp_failed(trp_artefact_drop(store, &m.key, NULL)) == false);
    assert_int_equal(trp_making_run(&m.making, &m.key, &h.err).code, TRP_OUT_OF_MEMORY);
    h.account.limit = 0;
    assert_int_equal(trp_artefact_get(store, &m.key, &a, &h.err).code, TRP_NOT_FOUND);
    m.desc.cancel = &cancel;
    assert_int_equal(trp_making_run(&m.making, &m.key, &h.err).code, TRP_CANCELLED);
    assert_int_equal(trp_artefact_get(store, &m.key, &a, &h.err).code, TRP_NOT_FOUND);
    m.desc.cancel = NULL;
    assert_int_equal(trp_making_run(&m.making, &m.key, &h.err).code, TRP_OK);
}

static void a_read_only_store_fails_with_its_path(void **state)
{
    (void)state;
    struct making m;
    char blobs[TRP_STORE_PATH_MAX];
    if (geteuid() == 0) { /* root writes everywhere; a file in the way stops it */
        struct onnx g = { 0 };
        onnx_simple(&g, "MatMul", "x w", "y");
        onnx_input(&g, "x", ONNX_FLOAT, 2, DIMS(-1, SIDE));
        onnx_output(&g, "y", ONNX_FLOAT, 2, DIMS(-1, SIDE));
        fill_weights();
        weights[0] = 77; /* content that was not stored before */
        onnx_initializer(&g, "w", ONNX_FLOAT, 2, DIMS(SIDE, SIDE), weights, WEIGHT_BYTES);
        save(&g, "other.onnx");
        begin(&m, "other.onnx");
        assert_true(trp_store_part(store, "tmp", NULL, blobs));
        assert_int_equal(trp_disk_remove(blobs, &h.err).code, TRP_OK);
        assert_int_equal(trp_disk_write(blobs, "", 0, 0644, &h.err).code, TRP_OK);
        const trp_status st = trp_making_run(&m.making, &m.key, &h.err);
        assert_true(trp_failed(st));
        assert_non_null(strstr(h.err.text, store_folder));
        assert_int_equal(unlink(blobs), 0);
        assert_int_equal(trp_disk_make_folder(blobs, &h.err).code, TRP_OK);
    }
}

/* A backend of which what it prepares is not what the model is; see faulty_plugin.c. */
static trp_status prepare_with(const char *backend, struct trp_artefact *out)
{
    const struct trp_backends_opts opts = { .clock = trp_clock_system(), .path = TRP_FAULTY };
    const struct troupe_model_desc desc = { .name = backend,
                                            .path = TRP_SOURCE
                                            "/tests/models/good/identity_fp32.onnx" };
    struct trp_making making = { .store = store, .desc = &desc };
    struct trp_backends *backends;
    struct trp_sha256 key;
    assert_int_equal(trp_backends_create(trp_heap(), &opts, &backends, &h.err).code, TRP_OK);
    assert_int_equal(trp_backends_get(backends, trp_str_of(backend), &making.backend, &h.err).code,
                     TRP_OK);
    assert_int_equal(trp_making_key(&making, &key, &h.err).code, TRP_OK);
    trp_status st = trp_making_run(&making, &key, &h.err);
    if (!trp_failed(st))
        st = trp_artefact_get(store, &key, out, &h.err);
    trp_backends_destroy(backends);
    return st;
}

static void weights_stay_in_the_skeleton_where_blobs_answer_otherwise(void **state)
{
    (void)state;
    struct trp_artefact a;
    struct troupe_model_desc desc = { .struct_size = sizeof desc };
    assert_int_equal(prepare_with("outside", &a).code, TRP_OK);
    assert_int_equal(a.blobs_n, 0);
    assert_non_null(strstr(a.inside, "differs"));
    trp_artefact_describe(&a, &desc);
    assert_non_null(desc.skeleton);
    assert_null(desc.blobs);
    trp_artefact_deinit(&a);
    assert_int_equal(prepare_with("nowhere", &a).code, TRP_FAILED_PRECONDITION);
    assert_non_null(strstr(h.err.text, "differs"));
}

static void a_model_that_is_replaced_meanwhile_is_not_published(void **state)
{
    (void)state;
    struct making m;
    struct trp_artefact a;
    write_dense("replaced.onnx");
    begin(&m, "replaced.onnx");
    assert_int_equal(trp_artefact_drop(store, &m.key, &h.err).code,
                     TRP_OK); /* of the same content */
    write_lookup("replaced.onnx");
    assert_int_equal(trp_making_run(&m.making, &m.key, &h.err).code, TRP_UNAVAILABLE);
    assert_non_null(strstr(h.err.text, "changed meanwhile"));
    assert_int_equal(trp_artefact_get(store, &m.key, &a, &h.err).code, TRP_NOT_FOUND);
}

/* --- the race --------------------------------------------------------------------------------- */

/* Like an encoder that tells two kinds of tokens apart: integers are 0 or 1, and its work grows
 * with their number. */
static void write_two_kinds(const char *name)
{
    struct onnx g = { 0 };
    fill_weights();
    onnx_simple(&g, "Gather", "kinds ids", "a");
    onnx_simple(&g, "MatMul", "a w", "b");
    onnx_simple(&g, "Relu", "b", "c");
    onnx_simple(&g, "MatMul", "c w", "y");
    onnx_input(&g, "ids", ONNX_INT64, 2, DIMS(-1, -1));
    onnx_output(&g, "y", ONNX_FLOAT, 3, DIMS(-1, -1, SIDE));
    onnx_initializer(&g, "kinds", ONNX_FLOAT, 2, DIMS(2, SIDE), weights, 2 * SIDE * sizeof(float));
    add_weights(&g, "w");
    save(&g, name);
}

static struct trp_race race_at(const struct subject *s, int64_t usual_ns)
{
    const struct trp_proof proof = { .plain = s->model,
                                     .prepared = s->model,
                                     .signature = &s->signature,
                                     .account = &h.account.plugin };
    struct trp_race race = { .usual_ns = usual_ns };
    assert_int_equal(trp_prover_race(&proof, &race, &h.err).code, TRP_OK);
    return race;
}

/* The smallest input says of an encoder that packed weights halve its runs, where they save an
 * eighth of those it really has. */
static void a_race_is_run_on_inputs_of_about_the_usual_length(void **state)
{
    (void)state;
    write_two_kinds("kinds.onnx");
    const struct subject *s = subject_open(&h, "kinds.onnx");
    const struct trp_race shortest = race_at(s, 1);
    assert_in_range(shortest.bytes, 1, 1 + 4 * sizeof(int64_t));
    assert_int_equal(race_at(s, 10 * shortest.plain_ns).bytes, 1 + 11 * 11 * sizeof(int64_t));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, close_what_is_open)
    const struct CMUnitTest tests[] = {
        TEST(a_proven_model_is_published_and_opens_from_the_store),
        TEST(indices_and_branches_are_proven_too),
        TEST(a_weight_is_one_blob_wherever_it_stands_and_whatever_its_name),
        TEST(a_model_that_answers_at_random_is_refused_with_that_reason),
        TEST(a_model_that_takes_nothing_generated_is_refused_with_that_reason),
        TEST(what_is_full_is_not_remembered),
        TEST(a_read_only_store_fails_with_its_path),
        TEST(weights_stay_in_the_skeleton_where_blobs_answer_otherwise),
        TEST(a_model_that_is_replaced_meanwhile_is_not_published),
        TEST(a_race_is_run_on_inputs_of_about_the_usual_length),
    };
    return cmocka_run_group_tests_name("store_maker", tests, set_up, tear_down);
}
