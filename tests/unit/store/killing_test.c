/* Whoever works on a store is killed at each of its system calls: afterwards the store opens, what
 * is visible is whole, nothing is left lying about, and the same work succeeds. */
#include "killed.h"
#include "made.h"
#include "store/store_key.h"
#include "store/sweeper.h"

#define MODEL "tests/models/good/inputs_64.onnx"
#define REASON "output 'y' differs by 0.5 at 3"
#define CALLS_MIN 60u   /* a run makes more: else nothing was watched */
#define CALLS_MAX 5000u /* and fewer */

/* In memory, where there is some: thousands of syncs are asked for. */
static int set_up_fast(void **state)
{
    if (access("/dev/shm", W_OK) == 0)
        assert_int_equal(setenv("TMPDIR", "/dev/shm", 1), 0);
    return set_up(state);
}

/* --- the works -------------------------------------------------------------------------------- */

static struct trp_store *open_at(const char *path)
{
    const struct trp_store_opts opts = { .path = path };
    struct trp_store *s;
    return trp_failed(trp_store_open(trp_heap(), &opts, &s, NULL)) ? NULL : s;
}

/* All that becomes of a model: its files are read, it is prepared, opened, closed; another is
 * refused. */
static int prepare(void *path)
{
    const struct trp_store_subject subject = { .path = MODEL, .backend = "b", .fingerprint = "1" };
    const struct trp_sha256 key = key_of("a"), bad = key_of("bad");
    struct trp_store *s = open_at(path);
    struct trp_sha256 digest;
    struct trp_store_hold hold;
    struct trp_artefact a;
    if (!s || trp_failed(trp_store_key(s, &subject, &digest, NULL)) ||
        trp_failed(trp_store_lease_hold(s, &key, &hold, NULL)) ||
        trp_failed(make_in(s, "a", "xyz", NULL)) ||
        trp_failed(trp_artefact_get(s, &key, &a, NULL)) ||
        trp_failed(trp_artefact_refuse(s, &bad, REASON, NULL)))
        return 1;
    trp_artefact_deinit(&a);
    trp_store_lease_release(s, &hold);
    trp_store_close(s);
    return 0;
}

/* Two of three go, with what they alone need. */
static int collect(void *path)
{
    const struct trp_gc_opts opts = { .bytes_max = 2 * BLOB_BYTES + 100 };
    struct trp_swept swept;
    struct trp_store *s = open_at(path);
    if (!s || trp_failed(trp_sweeper_gc(s, &opts, &swept, NULL)))
        return 1;
    trp_store_close(s);
    return 0;
}

static int verify(void *path)
{
    const struct trp_verify_opts opts = { 0 };
    struct trp_verified v;
    struct trp_store *s = open_at(path);
    if (!s || trp_failed(trp_sweeper_verify(s, &opts, &v, NULL)))
        return 1;
    trp_store_close(s);
    return 0;
}

/* --- what must hold --------------------------------------------------------------------------- */

static void expect_whole_or_absent(struct fixture *f, const char *name)
{
    const int32_t code = state_of(f, name);
    if (code != TRP_OK && code != TRP_NOT_FOUND)
        fail_msg("%s: %s", name, f->err.text);
}

static void expect_nothing_damaged(struct fixture *f)
{
    const struct trp_verify_opts opts = { .only_tell = true };
    struct trp_verified v;
    assert_int_equal(trp_sweeper_verify(f->store, &opts, &v, &f->err).code, TRP_OK);
    assert_int_equal(v.damaged_n, 0);
}

static void expect_clean(struct fixture *f)
{
    assert_int_equal(entries(f, "tmp"), 0);
    assert_int_equal(entries(f, "leases"), 1); /* ours */
}

static void after_preparing(struct fixture *f)
{
    const int32_t refused = state_of(f, "bad");
    expect_whole_or_absent(f, "a");
    assert_true(refused == TRP_NOT_FOUND || refused == TRP_FAILED_PRECONDITION);
    if (refused == TRP_FAILED_PRECONDITION)
        assert_string_equal(f->err.text, REASON);
    expect_nothing_damaged(f);
    expect_clean(f);
    assert_int_equal(prepare(f->path), 0);
    assert_int_equal(state_of(f, "a"), TRP_OK);
    expect_nothing_damaged(f);
    expect_clean(f);
}

static void make_three(struct fixture *f)
{
    make(f, "a", "1x");
    make(f, "b", "2x");
    make(f, "c", "3x");
}

static void after_collecting(struct fixture *f)
{
    static const char *const names[] = { "a", "b", "c" };
    uint32_t left = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        expect_whole_or_absent(f, names[i]);
    expect_nothing_damaged(f);
    expect_clean(f);
    assert_int_equal(collect(f->path), 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        left += state_of(f, names[i]) == TRP_OK;
    assert_int_equal(left, 1);
    expect_nothing_damaged(f);
    expect_clean(f);
}

static void make_damaged(struct fixture *f)
{
    const struct trp_sha256 key = key_of("a");
    struct trp_artefact a;
    char path[TRP_STORE_PATH_MAX];
    make(f, "a", "1x");
    make(f, "b", "2x");
    assert_int_equal(trp_artefact_get(f->store, &key, &a, &f->err).code, TRP_OK);
    assert_true(trp_store_part(f->store, "blobs", a.blobs[0].name, path));
    assert_int_equal(truncate(path, 10), 0);
    trp_artefact_deinit(&a);
}

/* The damaged one may be there still; it is never believed. */
static void after_verifying(struct fixture *f)
{
    assert_int_not_equal(state_of(f, "a"), TRP_OK);
    assert_int_equal(state_of(f, "b"), TRP_OK);
    expect_clean(f);
    assert_int_equal(verify(f->path), 0);
    assert_int_equal(state_of(f, "a"), TRP_NOT_FOUND);
    make(f, "a", "1x");
    expect_nothing_damaged(f);
    expect_clean(f);
}

/* --- the tests -------------------------------------------------------------------------------- */

static void kill_everywhere(struct fixture *f, void (*before)(struct fixture *f),
                            int (*body)(void *path), void (*after)(struct fixture *f))
{
    struct killed k = { .is_killed = true };
    uint32_t n = 0;
    while (k.is_killed && n < CALLS_MAX) {
        if (before)
            before(f);
        trp_store_close(f->store);
        if (!before) /* also the making of the store itself */
            assert_int_equal(trp_disk_remove(f->path, &f->err).code, TRP_OK);
        k = killed_at(++n, killed_counts_all, body, f->path);
        open_store(f);
        after(f);
        trp_store_close(f->store);
        assert_int_equal(trp_disk_remove(f->path, &f->err).code, TRP_OK);
        open_store(f);
    }
    print_message("killed at each of %u system calls\n", n - 1);
    assert_false(k.is_killed);
    assert_int_equal(k.exit_code, 0);
    assert_true(n > CALLS_MIN);
}

static void preparing_can_be_killed_at_every_system_call(void **state)
{
    kill_everywhere(*state, NULL, prepare, after_preparing);
}

static void removing_can_be_killed_at_every_system_call(void **state)
{
    kill_everywhere(*state, make_three, collect, after_collecting);
}

static void verifying_can_be_killed_at_every_system_call(void **state)
{
    kill_everywhere(*state, make_damaged, verify, after_verifying);
}

int main(void)
{
#ifdef TRP_TORTURE
    return 0; /* the calls that fail there are failed one by one in store_test and sweeper_test */
#endif
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_fast, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(preparing_can_be_killed_at_every_system_call),
        TEST(removing_can_be_killed_at_every_system_call),
        TEST(verifying_can_be_killed_at_every_system_call),
    };
    return cmocka_run_group_tests_name("killing", tests, NULL, NULL);
}
