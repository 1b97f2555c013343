/* What a model file declares is known as long as the file is the same, and only then. */
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

#include "scratch.h"
#include "store/known_signature.h"

struct fixture {
    char base[SCRATCH_PATH_MAX], folder[128], model[128];
    struct trp_store *store;
    struct trp_arena arena;
    struct trp_file_stat stat;
    struct trp_signature got;
    struct trp_card card;
};

static void write_model(struct fixture *f, const char *text)
{
    (void)unlink(f->model); /* a new inode */
    FILE *out = fopen(f->model, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static int set_up(void **state)
{
    static struct fixture fixture; /* a set-up that fails is not torn down */
    struct fixture *f = &fixture;
    memset(f, 0, sizeof *f);
    scratch_folder(f->base, "known");
    (void)snprintf(f->folder, sizeof f->folder, "%s/store", f->base);
    (void)snprintf(f->model, sizeof f->model, "%s/m.onnx", f->base);
    trp_arena_init(&f->arena, trp_heap(), 1 << 12, 0);
    const struct trp_store_opts opts = { .path = f->folder };
    *state = f;
    write_model(f, "model");
    return trp_failed(trp_store_open(trp_heap(), &opts, &f->store, NULL)) ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    trp_store_close(f->store);
    trp_arena_deinit(&f->arena);
    (void)nftw(f->base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

static bool is_known(struct fixture *f)
{
    return trp_known_signature_get(f->store, f->model, &f->arena, &f->stat, &f->got, &f->card);
}

static void learn(struct fixture *f)
{
    static const struct trp_io input = { .name = { "x", 1 }, .dtype = TROUPE_FP32, .rank = 1 };
    static const struct trp_signature signature = { .inputs = &input, .inputs_n = 1 };
    static const struct trp_card card = { .task = { "ranking", 7 } };
    assert_false(is_known(f));
    assert_int_equal(f->stat.kind, 'f');
    trp_known_signature_put(f->store, f->model, &f->stat, &signature, &card);
}

/* The one file in the part. */
static void path_of_it(struct fixture *f, char out[256])
{
    char pattern[256];
    (void)snprintf(pattern, sizeof pattern, "ls %s/signatures/*", f->folder);
    FILE *list = popen(pattern, "r");
    assert_non_null(list);
    assert_non_null(fgets(out, 256, list));
    out[strcspn(out, "\n")] = '\0';
    assert_int_equal(pclose(list), 0);
}

static void what_was_written_down_is_known(void **state)
{
    struct fixture *f = *state;
    learn(f);
    assert_true(is_known(f));
    assert_int_equal(f->got.inputs_n, 1);
    assert_true(trp_str_is(f->got.inputs[0].name, "x"));
    assert_int_equal(f->got.inputs[0].rank, 1);
    assert_true(trp_str_is(f->card.task, "ranking"));
}

static void a_file_that_was_replaced_is_not_known(void **state)
{
    struct fixture *f = *state;
    learn(f);
    write_model(f, "other model");
    assert_false(is_known(f));
    (void)unlink(f->model);
    assert_false(is_known(f));
    assert_int_not_equal(f->stat.kind, 'f');
}

static void what_changed_while_it_was_read_is_not_written_down(void **state)
{
    struct fixture *f = *state;
    static const struct trp_signature signature = { .inputs_n = 0 };
    static const struct trp_card card = { .tags_n = 0 };
    assert_false(is_known(f));
    write_model(f, "changed meanwhile");
    trp_known_signature_put(f->store, f->model, &f->stat, &signature, &card);
    assert_false(is_known(f));
}

static void damage_is_as_good_as_nothing(void **state)
{
    struct fixture *f = *state;
    char path[256];
    struct stat st;
    learn(f);
    path_of_it(f, path);
    assert_int_equal(stat(path, &st), 0);
    for (off_t cut = st.st_size - 1; cut >= 0; cut -= 7) { /* half-written, after a crash */
        assert_int_equal(truncate(path, cut), 0);
        assert_false(is_known(f));
    }
    assert_int_equal(unlink(path), 0);
    learn(f);
    FILE *file = fopen(path, "r+"); /* one bit of the body */
    assert_non_null(file);
    assert_int_equal(fseek(file, -4, SEEK_END), 0);
    assert_int_equal(fputc(1, file), 1);
    assert_int_equal(fclose(file), 0);
    assert_false(is_known(f));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_written_down_is_known),
        TEST(a_file_that_was_replaced_is_not_known),
        TEST(what_changed_while_it_was_read_is_not_written_down),
        TEST(damage_is_as_good_as_nothing),
    };
    return cmocka_run_group_tests_name("known_signature", tests, NULL, NULL);
}
