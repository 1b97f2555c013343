/* Whether rows are independent: what the test backends pretend to be, and what is written down of
 * it.  Real models whose rows depend on each other are in tests/e2e/test_batching.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "memory/account.h"
#include "scratch.h"
#include "store/likeness.h"
#include "store/row_note.h"
#include "store/row_proof.h"
#include "store/sample.h"

struct fixture {
    struct trp_backends *backends;
    struct trp_account account;
    struct trp_arena arena;
    struct trp_backend_model *model;
    struct trp_signature signature;
    struct trp_error err;
    bool is_given_up;
    uint64_t bytes_allowed; /* of inputs; 0: any number */
    uint32_t begun, ended;
};

static trp_status may_run(void *user, uint64_t input_bytes, uint64_t *bytes_max,
                          struct trp_error *err)
{
    struct fixture *f = user;
    assert_true(*bytes_max == 0 && input_bytes > 0);
    if (f->is_given_up)
        return trp_fail(err, TRP_CANCELLED, "given up");
    if (f->bytes_allowed && input_bytes > f->bytes_allowed)
        return trp_fail(err, TRP_OVER_BUDGET, "no room");
    f->begun++;
    return trp_ok();
}

static void ran(void *user, uint64_t peak_bytes)
{
    (void)peak_bytes;
    ((struct fixture *)user)->ended++;
}

static void open_model(struct fixture *f, const char *script)
{
    char path[SCRATCH_PATH_MAX];
    struct trp_backend *echo;
    const struct trp_backends_opts opts = { .clock = trp_clock_system() };
    *f = (struct fixture){ .is_given_up = false };
    trp_account_init(&f->account, TRP_ACCOUNT_ACTIVATIONS, NULL, 0);
    trp_arena_init(&f->arena, trp_heap(), 4096, 0);
    close(scratch_file(path, "rows"));
    assert_false(trp_failed(trp_file_replace(path, script, strlen(script), &f->err)));
    assert_false(trp_failed(trp_backends_create(trp_heap(), &opts, &f->backends, &f->err)));
    assert_false(trp_failed(trp_backends_get(f->backends, TRP_STR_LIT("echo"), &echo, &f->err)));
    const struct troupe_model_desc desc = {
        .struct_size = sizeof desc, .name = "m/1", .path = path, .account = &f->account.plugin
    };
    const trp_status st =
        trp_backend_open(echo, &desc, &f->arena, &f->model, &f->signature, &f->err);
    unlink(path);
    if (trp_failed(st))
        fail_msg("%s", f->err.text);
}

static void close_model(struct fixture *f)
{
    trp_backend_close(f->model);
    trp_backends_destroy(f->backends);
    trp_arena_deinit(&f->arena);
    trp_account_deinit(&f->account); /* asserts that nothing is held */
}

static int prove(struct fixture *f, int64_t rows_max)
{
    const struct trp_row_proof proof = { .model = f->model,
                                         .signature = &f->signature,
                                         .account = &f->account.plugin,
                                         .rows_max = rows_max,
                                         .clock = trp_clock_system(),
                                         .may_run = may_run,
                                         .ran = ran,
                                         .user = f };
    const int code = trp_row_proof_run(&proof, &f->err).code;
    assert_int_equal(f->begun, f->ended);
    return code;
}

static void what_is_proven_of_what(void **state)
{
    (void)state;
    static const struct row {
        const char *script;
        int code;
        const char *why;
    } rows[] = {
        { "input x FP32 [-1,3]\noutput y FP32 [-1,3]\n", TRP_OK, "" },
        { "input x BYTES [-1]\ninput n INT64 [-1,-1]\noutput y BYTES [-1]\noutput m INT64 "
          "[-1,-1]\n",
          TRP_OK, "" },
        { "input x FP16 [-1]\ninput o FP32 [-1] optional\noutput y FP16 [-1]\n", TRP_OK, "" },
        { "input x FP32 [-1]\noutput y FP32 [-1]\ngrow 2\n", TRP_FAILED_PRECONDITION,
          "output 'y' has 6 rows for 3" },
        { "input x FP32 [-1]\noutput y FP32 [-1]\nfail BACKEND_FAILED no\n", TRP_UNIMPLEMENTED,
          "the model takes none of the generated inputs" },
        { "input x FP32 [-1]\noutput y FP32 [-1]\nfail BACKEND_FAILED no\nfail_every 5\n",
          TRP_FAILED_PRECONDITION, "3 rows together" },
        { "input x FP32 [-1]\noutput y FP32 [-1]\nfail OUT_OF_MEMORY no\nfail_every 5\n",
          TRP_OUT_OF_MEMORY, "too little memory" },
        { "input x FP32 [-1]\noutput y FP32 [-1]\nfail OVER_BUDGET no\n", TRP_OUT_OF_MEMORY,
          "too little memory" },
        { "input x FP32 [-1]\noutput y FP32 [-1]\nfail OUT_OF_MEMORY no\nfail_every 7\n", TRP_OK,
          "" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        print_message("%s\n", r->script);
        open_model(&f, r->script);
        assert_int_equal(prove(&f, 0), r->code);
        assert_non_null(strstr(f.err.text, r->why));
        close_model(&f);
    }
}

static void few_rows_must_do_where_more_are_not_allowed(void **state)
{
    (void)state;
    struct fixture f;
    open_model(&f, "input x FP32 [-1]\noutput y FP32 [-1]\ngrow 3\n");
    assert_int_equal(prove(&f, 2), TRP_FAILED_PRECONDITION);
    assert_non_null(strstr(f.err.text, "output 'y' has 6 rows for 2"));
    close_model(&f);
}

static void it_gives_up_when_told(void **state)
{
    (void)state;
    struct fixture f;
    open_model(&f, "input x FP32 [-1]\noutput y FP32 [-1]\n");
    f.is_given_up = true;
    assert_int_equal(prove(&f, 0), TRP_CANCELLED);
    close_model(&f);
}

static void without_room_nothing_is_known(void **state)
{
    (void)state;
    struct fixture f;
    open_model(&f, "input x FP32 [-1,2]\noutput y FP32 [-1,2]\n");
    f.bytes_allowed = 1;
    assert_int_equal(prove(&f, 0), TRP_OUT_OF_MEMORY);
    assert_int_equal(f.begun, 0);
    f.bytes_allowed = 3 * 2 * 4; /* three rows, and no more: they must do */
    assert_int_equal(prove(&f, 0), TRP_OK);
    assert_true(f.begun > 0);
    close_model(&f);
}

static void samples_differ_in_scale_from_row_to_row(void **state)
{
    (void)state;
    const struct trp_io io = { .dtype = TROUPE_FP32, .rank = 2, .dims = { -1, 64 } };
    const struct trp_sample_size size = { .free = 2, .first = 3, .top = 1, .is_varied = true };
    struct troupe_tensor t, other;
    uint64_t seed = 1, again = 1;
    float most[3] = { 0 };
    assert_true(trp_sample_make(&io, &size, &seed, &t));
    assert_true(trp_sample_make(&io, &size, &again, &other));
    assert_memory_equal(t.data, other.data, t.bytes);
    for (int i = 0; i < 3 * 64; i++) {
        const float v = ((const float *)t.data)[i], size_of = v < 0 ? -v : v;
        most[i / 64] = size_of > most[i / 64] ? size_of : most[i / 64];
    }
    assert_true(most[1] > 50 * most[0] && most[1] <= 10);
    trp_sample_drop(&t);
    trp_sample_drop(&other);
    assert_null(t.data);
}

static void answers_are_alike_within_their_steps(void **state)
{
    (void)state;
    struct trp_error err = { 0 };
    const struct trp_io io = { .name = TRP_STR_LIT("y") };
    float a[] = { 1, 1000 }, b[] = { 1.00005F, 1000.05F }, c[] = { 1, 1001 };
    struct troupe_tensor x = { .dtype = TROUPE_FP32,
                               .rank = 1,
                               .shape = { 2 },
                               .data = a,
                               .bytes = 8 },
                         y = x;
    y.data = b;
    assert_int_equal(trp_likeness_check(&io, &x, &y, &err).code, TRP_OK);
    y.data = c;
    assert_int_equal(trp_likeness_check(&io, &x, &y, &err).code, TRP_FAILED_PRECONDITION);
    assert_non_null(strstr(err.text, "element 1"));
    y = x;
    y.shape[0] = 1;
    assert_int_equal(trp_likeness_check(&io, &x, &y, &err).code, TRP_FAILED_PRECONDITION);
}

/* ---- notes ---- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static void what_was_found_is_known_again_and_what_is_damaged_is_not(void **state)
{
    (void)state;
    char base[SCRATCH_PATH_MAX], why[TRP_ROW_NOTE_MAX], name[TRP_SHA256_TEXT], long_why[1000];
    struct trp_store *store;
    struct trp_error err = { 0 };
    struct trp_sha256 key = { { 1 } }, other = { { 2 } };
    scratch_folder(base, "rows");
    const struct trp_store_opts opts = { .path = base };
    assert_false(trp_failed(trp_store_open(trp_heap(), &opts, &store, &err)));
    assert_false(trp_row_note_get(store, &key, why));
    trp_row_note_put(store, &key, "");
    trp_row_note_put(store, &other, "rows depend");
    assert_true(trp_row_note_get(store, &key, why));
    assert_string_equal(why, "");
    assert_true(trp_row_note_get(store, &other, why));
    assert_string_equal(why, "rows depend");
    memset(long_why, 'x', sizeof long_why - 1);
    long_why[sizeof long_why - 1] = '\0';
    trp_row_note_put(store, &key, long_why);
    assert_true(trp_row_note_get(store, &key, why));
    assert_int_equal(strlen(why), TRP_ROW_NOTE_MAX - 1);
    static const char *const damaged[] = { "", "troupe rows 1\n", "troupe rows 1\nrows dep",
                                           "troupe rows 2\n\nend\n" };
    trp_sha256_format(&other, name);
    for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
        assert_false(
            trp_failed(trp_store_replace(store, "rows", name, trp_str_of(damaged[i]), &err)));
        assert_false(trp_row_note_get(store, &other, why));
    }
    trp_store_close(store);
    (void)nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_proven_of_what),
        cmocka_unit_test(few_rows_must_do_where_more_are_not_allowed),
        cmocka_unit_test(it_gives_up_when_told),
        cmocka_unit_test(without_room_nothing_is_known),
        cmocka_unit_test(samples_differ_in_scale_from_row_to_row),
        cmocka_unit_test(answers_are_alike_within_their_steps),
        cmocka_unit_test(what_was_found_is_known_again_and_what_is_damaged_is_not),
    };
    return cmocka_run_group_tests_name("row_proof", tests, NULL, NULL);
}
