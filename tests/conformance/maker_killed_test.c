/* A preparation with the real backend is killed wherever it changes a file: afterwards the store
 * opens, nothing of it is visible or all of it, and the same preparation succeeds.  Between two
 * such calls nothing on the disk changes, so these are all the states that there are.  ONNX
 * Runtime is started in children only: its threads do not survive a fork. */
#include "harness.h"
#include "killed.h"
#include "store/maker.h"
#include "store/store_lease.h"
#include "store/sweeper.h"

#include "base/disk.h"
#include "base/file.h"

#define SIDE 64
#define CALLS_MIN 20u
#define CALLS_MAX 2000u
#define SANITIZED_STEP 3u /* a child takes ten times as long; `make test` kills at every call */

struct fixture {
    char folder[SCRATCH_PATH_MAX], model[TRP_STORE_PATH_MAX], store[TRP_STORE_PATH_MAX];
    struct trp_error err;
};

static void write_model(const char *path)
{
    static float w[SIDE * SIDE], v[SIDE * SIDE];
    struct onnx g = { 0 };
    for (int i = 0; i < SIDE * SIDE; i++) {
        w[i] = (float)(i * 7 % 13) / 13 - 0.5f;
        v[i] = (float)(i * 5 % 11) / 11 - 0.5f;
    }
    onnx_simple(&g, "MatMul", "x w", "a");
    onnx_simple(&g, "Relu", "a", "b");
    onnx_simple(&g, "MatMul", "b v", "y");
    onnx_input(&g, "x", ONNX_FLOAT, 2, DIMS(-1, SIDE));
    onnx_output(&g, "y", ONNX_FLOAT, 2, DIMS(-1, SIDE));
    onnx_initializer(&g, "w", ONNX_FLOAT, 2, DIMS(SIDE, SIDE), w, sizeof w);
    onnx_initializer(&g, "v", ONNX_FLOAT, 2, DIMS(SIDE, SIDE), v, sizeof v);
    onnx_save(&g, path);
}

static int set_up(void **state)
{
    static struct fixture f;
    if (access("/dev/shm", W_OK) == 0)
        assert_int_equal(setenv("TMPDIR", "/dev/shm", 1), 0);
    f = (struct fixture){ 0 };
    scratch_folder(f.folder, "killed");
    (void)snprintf(f.model, sizeof f.model, "%s/model.onnx", f.folder);
    (void)snprintf(f.store, sizeof f.store, "%s/store", f.folder);
    assert_int_equal(setenv("TMPDIR", f.folder, 1), 0); /* for what killed children leave */
    write_model(f.model);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(trp_disk_remove(f->folder, &f->err).code, TRP_OK);
    return 0;
}

/* Prepares, and looks for what was prepared. */
static int prepare(void *user)
{
    struct fixture *f = user;
    static struct harness h;
    const struct trp_store_opts opts = { .path = f->store };
    struct trp_store *store;
    struct trp_sha256 key;
    struct trp_artefact a;
    harness_set_up(&h, "onnxruntime");
    const struct troupe_model_desc desc = { .name = "m",
                                            .path = f->model,
                                            .account = &h.account.plugin };
    struct trp_making making = { .backend = h.backend, .desc = &desc };
    const bool is_made = !trp_failed(trp_store_open(trp_heap(), &opts, &store, &h.err)) &&
                         (making.store = store) &&
                         !trp_failed(trp_making_key(&making, &key, &h.err)) &&
                         !trp_failed(trp_making_run(&making, &key, &h.err)) &&
                         !trp_failed(trp_artefact_get(store, &key, &a, &h.err));
    if (!is_made)
        fprintf(stderr, "%s\n", h.err.text);
    else
        trp_artefact_deinit(&a);
    trp_store_close(store);
    harness_tear_down(&h);
    return is_made ? 0 : 1;
}

static int prepare_untraced(struct fixture *f)
{
    int status = 0;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(prepare(f));
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

struct seen {
    uint32_t entries;
};

static trp_status count(void *user, const char *name, struct trp_error *err)
{
    (void)name;
    (void)err;
    ((struct seen *)user)->entries++;
    return trp_ok();
}

static uint32_t entries(const struct trp_store *s, const char *part)
{
    char path[TRP_STORE_PATH_MAX];
    struct seen seen = { 0 };
    assert_true(trp_store_part(s, part, NULL, path));
    assert_int_equal(trp_dir_each(path, 1000, count, &seen, NULL).code, TRP_OK);
    return seen.entries;
}

/* Opens the store, as the next process would; returns how many artefacts are visible, all of
 * them whole. */
static uint32_t look(struct fixture *f)
{
    const struct trp_store_opts opts = { .path = f->store };
    const struct trp_verify_opts tell = { .only_tell = true };
    struct trp_verified v;
    struct trp_store *s;
    if (trp_failed(trp_store_open(trp_heap(), &opts, &s, &f->err)))
        fail_msg("%s", f->err.text);
    assert_int_equal(trp_sweeper_verify(s, &tell, &v, &f->err).code, TRP_OK);
    assert_int_equal(v.damaged_n, 0);
    assert_int_equal(entries(s, "tmp"), 0);
    assert_int_equal(entries(s, "leases"), 1);
    assert_int_equal(entries(s, "bad"), 0); /* a death is no reason */
    trp_store_close(s);
    return v.artefacts_n;
}

static void a_preparation_can_be_killed_wherever_it_changes_a_file(void **state)
{
    struct fixture *f = *state;
    struct killed k = { .is_killed = true };
    const uint32_t step = getenv("TROUPE_SANITIZER") ? SANITIZED_STEP : 1;
    uint32_t n = 1, published = 0;
    for (; k.is_killed && n < CALLS_MAX; n += step) {
        k = killed_at(n, killed_changes_files, prepare, f);
        const uint32_t visible = look(f);
        assert_true(visible <= 1);
        published += visible;
        assert_int_equal(prepare_untraced(f), 0);
        assert_int_equal(trp_disk_remove(f->store, &f->err).code, TRP_OK);
    }
    print_message("killed at calls 1 to %u, each by %u; it was published after %u of them\n",
                  n - 2 * step, step, published);
    assert_false(k.is_killed);
    assert_int_equal(k.exit_code, 0);
    assert_true(n > CALLS_MIN);
    assert_true(published * step > 1); /* the last ones only clean up */
}

int main(void)
{
#ifdef TRP_TORTURE
    return 0; /* store_maker_test fails these calls one by one */
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_preparation_can_be_killed_wherever_it_changes_a_file),
    };
    return cmocka_run_group_tests_name("maker_killed", tests, set_up, tear_down);
}
