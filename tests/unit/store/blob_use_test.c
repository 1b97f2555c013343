/* Weights that several models have are charged once, as long as one of them is awake. */
#include "store/blob_use.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "scratch.h"

struct fixture {
    char folder[SCRATCH_PATH_MAX];
    struct trp_account account;
    struct trp_blob_uses *uses;
    struct trp_error err;
};

static const struct trp_blob base = { .name = "aa/base", .bytes = 1000 },
                             head = { .name = "bb/head", .bytes = 10 },
                             other = { .name = "cc/other", .bytes = 20 };

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    scratch_folder(f->folder, "use");
    trp_account_init(&f->account, TRP_ACCOUNT_SHARED, NULL, 0);
    assert_false(trp_failed(trp_blob_uses_create(trp_heap(), &f->account, &f->uses, &f->err)));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    trp_blob_uses_destroy(f->uses);
    trp_account_deinit(&f->account);
    (void)remove(f->folder);
    free(f);
    return 0;
}

static struct trp_blob_use *begin(struct fixture *f, const struct trp_blob *a,
                                  const struct trp_blob *b)
{
    const struct trp_blob blobs[] = { *b, *a, *b }; /* in any order, one of them twice */
    struct trp_blob_use *use;
    if (trp_failed(trp_blob_use_begin(f->uses, f->folder, blobs, 3, &use, &f->err)))
        fail_msg("%s", f->err.text);
    return use;
}

static uint64_t charged(const struct fixture *f)
{
    return trp_counter_get(&f->account.bytes);
}

static void what_two_models_have_in_common_is_charged_once(void **state)
{
    struct fixture *f = *state;
    struct trp_blob_use *one = begin(f, &base, &head), *two = begin(f, &base, &other);
    uint32_t n;
    assert_int_equal(charged(f), 1030);
    assert_int_equal(trp_blob_use_bytes(one), 1010);
    assert_int_equal(trp_blob_use_frees(one), 10);
    const struct trp_used_blob *const *list = trp_blob_use_list(two, &n);
    assert_int_equal(n, 2);
    assert_string_equal(list[0]->name, "aa/base");
    assert_int_equal(list[0]->users_n, 2);
    assert_string_equal(list[1]->name, "cc/other");
    trp_blob_use_end(one);
    assert_int_equal(charged(f), 1020);
    assert_int_equal(trp_blob_use_frees(two), 1020);
    trp_blob_use_end(two);
    assert_int_equal(charged(f), 0);
}

static void who_sleeps_pays_for_nothing_and_others_still_do(void **state)
{
    struct fixture *f = *state;
    struct trp_blob_use *one = begin(f, &base, &head), *two = begin(f, &base, &other);
    trp_blob_use_sleep(one);
    trp_blob_use_sleep(one); /* sleeps already */
    assert_int_equal(charged(f), 1020);
    assert_int_equal(trp_blob_use_frees(one), 0);
    assert_int_equal(trp_blob_use_frees(two), 1020);
    trp_blob_use_end(two);
    assert_int_equal(charged(f), 0);
    assert_int_equal(trp_blob_use_wake(one, &f->err).code, TRP_OK);
    assert_int_equal(trp_blob_use_wake(one, &f->err).code, TRP_OK);
    assert_int_equal(charged(f), 1010);
    trp_blob_use_sleep(one);
    trp_blob_use_end(one);
    assert_int_equal(charged(f), 0);
}

static void what_would_pass_the_limit_is_refused_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct trp_blob_use *one = begin(f, &base, &head), *two;
    const struct trp_blob blobs[] = { base, other };
    f->account.limit = 1020;
    assert_int_equal(trp_blob_use_begin(f->uses, f->folder, blobs, 2, &two, &f->err).code,
                     TRP_OVER_BUDGET);
    assert_non_null(strstr(f->err.text, "20 bytes of shared weights"));
    assert_int_equal(charged(f), 1010);
    assert_int_equal(trp_blob_use_frees(one), 1010);
    trp_blob_use_sleep(one);
    f->account.limit = 500;
    assert_int_equal(trp_blob_use_wake(one, &f->err).code, TRP_OVER_BUDGET);
    assert_int_equal(charged(f), 0);
    trp_blob_use_end(one);
}

static void a_model_without_blobs_is_a_use_of_nothing(void **state)
{
    struct fixture *f = *state;
    struct trp_blob_use *use;
    uint32_t n = 1;
    assert_false(trp_failed(trp_blob_use_begin(f->uses, f->folder, NULL, 0, &use, &f->err)));
    (void)trp_blob_use_list(use, &n);
    assert_int_equal(n, 0);
    trp_blob_use_end(use);
    trp_blob_use_end(NULL);
}

static void a_mapped_file_is_known_by_its_path(void **state)
{
    struct fixture *f = *state;
    char path[4200], real[4096];
    struct trp_blob_use *use = begin(f, &base, &head);
    assert_non_null(realpath(f->folder, real));
    (void)snprintf(path, sizeof path, "%s/aa/base", real);
    assert_true(trp_blob_use_has(use, path));
    (void)snprintf(path, sizeof path, "%s/cc/other", real);
    assert_false(trp_blob_use_has(use, path));
    assert_false(trp_blob_use_has(use, "/elsewhere/aa/base"));
    assert_false(trp_blob_use_has(use, real));
    trp_blob_use_end(use);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_two_models_have_in_common_is_charged_once),
        TEST(who_sleeps_pays_for_nothing_and_others_still_do),
        TEST(what_would_pass_the_limit_is_refused_and_changes_nothing),
        TEST(a_model_without_blobs_is_a_use_of_nothing),
        TEST(a_mapped_file_is_known_by_its_path),
    };
    return cmocka_run_group_tests_name("blob_use", tests, NULL, NULL);
}
