/* A key is made of what matters and of nothing else; files are read once. */
#include "store/store_key.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/disk.h"
#include "base/file.h"
#include "base/machine.h"
#include "scratch.h"

static const char model_a[] = "tests/models/good/identity_fp32.onnx";
static const char model_b[] = "tests/models/good/identity_int8.onnx";
static const char with_external[] = "tests/models/good/external_data";

struct fixture {
    char folder[SCRATCH_PATH_MAX], store_path[128], path[128];
    struct trp_store *store;
    struct trp_error err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    scratch_folder(f->folder, "key");
    (void)snprintf(f->store_path, sizeof f->store_path, "%s/store", f->folder);
    (void)snprintf(f->path, sizeof f->path, "%s/m.onnx", f->folder);
    const struct trp_store_opts opts = { .path = f->store_path };
    assert_int_equal(trp_store_open(trp_heap(), &opts, &f->store, &f->err).code, TRP_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    trp_store_close(f->store);
    assert_int_equal(trp_disk_remove(f->folder, &f->err).code, TRP_OK);
    free(f);
    return 0;
}

static void copy(const char *from, const char *to)
{
    char *text;
    size_t n;
    assert_int_equal(trp_file_read(trp_heap(), from, 1 << 20, &text, &n, NULL).code, TRP_OK);
    assert_int_equal(trp_file_replace(to, text, n, NULL).code, TRP_OK);
    trp_alloc_free(trp_heap(), text);
}

static struct trp_sha256 key(struct fixture *f, const char *path, const char *fingerprint,
                             const struct troupe_option *options, uint32_t n)
{
    struct trp_sha256 out;
    const struct trp_store_subject subject = { .path = path,
                                               .backend = "onnxruntime",
                                               .fingerprint = fingerprint,
                                               .options = options,
                                               .options_n = n };
    if (trp_failed(trp_store_key(f->store, &subject, &out, &f->err)))
        fail_msg("%s", f->err.text);
    return out;
}

static bool are_equal(struct trp_sha256 a, struct trp_sha256 b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static void content_version_and_options_make_the_key_and_places_do_not(void **state)
{
    struct fixture *f = *state;
    static const struct troupe_option options[] = { { "graph.level", "1" }, { "a", "b" } },
                                      turned[] = { { "a", "b" }, { "graph.level", "1" } },
                                      joined[] = { { "a", "bgraph.level" }, { "1", "" } };
    copy(model_a, f->path);
    const struct trp_sha256 plain = key(f, model_a, "1.32.0", NULL, 0);
    assert_true(are_equal(plain, key(f, f->path, "1.32.0", NULL, 0)));
    assert_false(are_equal(plain, key(f, model_b, "1.32.0", NULL, 0)));
    assert_false(are_equal(plain, key(f, model_a, "1.32.1", NULL, 0)));
    const struct trp_sha256 with = key(f, model_a, "1.32.0", options, 2);
    assert_false(are_equal(plain, with));
    assert_true(are_equal(with, key(f, model_a, "1.32.0", turned, 2)));
    assert_false(are_equal(with, key(f, model_a, "1.32.0", joined, 2)));
}

static void a_model_that_changes_has_another_key(void **state)
{
    struct fixture *f = *state;
    copy(model_a, f->path);
    const struct trp_sha256 before = key(f, f->path, "1", NULL, 0);
    copy(model_b, f->path);
    assert_false(are_equal(before, key(f, f->path, "1", NULL, 0)));
    copy(model_a, f->path);
    assert_true(are_equal(before, key(f, f->path, "1", NULL, 0)));
}

/* The first reading is written down; a damaged note only costs another reading. */
static trp_status spoil(void *user, const char *name, struct trp_error *err)
{
    char path[TRP_STORE_PATH_MAX];
    assert_true(trp_store_part(user, "seen", name, path));
    return trp_file_replace(path, "troupe seen 1\nfile 1 2\ndigest x\n", 32, err);
}

static void what_was_seen_is_not_read_again_and_a_damaged_note_is_not_believed(void **state)
{
    struct fixture *f = *state;
    char seen[TRP_STORE_PATH_MAX];
    struct timespec times[2] = { { 1000000000, 5 }, { 1000000000, 5 } };
    copy(model_a, f->path);
    assert_int_equal(utimensat(AT_FDCWD, f->path, times, 0), 0);
    const struct trp_sha256 before = key(f, f->path, "1", NULL, 0);
    FILE *same = fopen(f->path, "r+b"); /* other bytes behind the same stat(): believed */
    assert_non_null(same);
    assert_int_equal(fseek(same, 10, SEEK_SET), 0);
    const int was = fgetc(same);
    assert_int_equal(fseek(same, 10, SEEK_SET), 0);
    assert_int_equal(fputc(was ^ 1, same), was ^ 1);
    assert_int_equal(fclose(same), 0);
    assert_int_equal(utimensat(AT_FDCWD, f->path, times, 0), 0);
    assert_true(are_equal(before, key(f, f->path, "1", NULL, 0)));
    copy(model_a, f->path);
    assert_true(trp_store_part(f->store, "seen", NULL, seen));
    assert_int_equal(trp_dir_each(seen, 10, spoil, f->store, &f->err).code, TRP_OK);
    assert_true(are_equal(before, key(f, f->path, "1", NULL, 0)));
}

struct copying {
    const char *from, *to;
};

static trp_status copy_entry(void *user, const char *name, struct trp_error *err)
{
    const struct copying *c = user;
    char from[512], to[512];
    (void)err;
    (void)snprintf(from, sizeof from, "%s/%s", c->from, name);
    (void)snprintf(to, sizeof to, "%s/%s", c->to, name);
    copy(from, to);
    return trp_ok();
}

static void external_data_is_part_of_the_content(void **state)
{
    struct fixture *f = *state;
    struct copying copying = { with_external, f->folder };
    char model[128], data[128];
    assert_int_equal(trp_dir_each(with_external, 10, copy_entry, &copying, &f->err).code, TRP_OK);
    (void)snprintf(model, sizeof model, "%s/model.onnx", f->folder);
    (void)snprintf(data, sizeof data, "%s/weights.bin", f->folder);
    const struct trp_sha256 before = key(f, model, "1", NULL, 0);
    struct trp_file_stat st;
    assert_int_equal(trp_file_stat(data, &st, &f->err).code, TRP_OK);
    char *text;
    size_t n;
    assert_int_equal(trp_file_read(trp_heap(), data, 1 << 20, &text, &n, NULL).code, TRP_OK);
    text[0] = (char)(text[0] ^ 1);
    assert_int_equal(trp_file_replace(data, text, n, NULL).code, TRP_OK);
    trp_alloc_free(trp_heap(), text);
    assert_false(are_equal(before, key(f, model, "1", NULL, 0)));
    assert_int_equal(remove(data), 0);
    struct trp_sha256 out;
    const struct trp_store_subject subject = { .path = model, .backend = "b", .fingerprint = "1" };
    assert_int_equal(trp_store_key(f->store, &subject, &out, &f->err).code, TRP_NOT_FOUND);
    assert_non_null(strstr(f->err.text, "weights.bin"));
}

static void a_model_that_is_none_has_no_key(void **state)
{
    struct fixture *f = *state;
    struct trp_sha256 out;
    const struct trp_store_subject subject = { .path = f->path,
                                               .backend = "b",
                                               .fingerprint = "1" };
    assert_int_equal(trp_store_key(f->store, &subject, &out, &f->err).code, TRP_NOT_FOUND);
    assert_int_equal(trp_file_replace(f->path, "no model", 8, NULL).code, TRP_OK);
    assert_true(trp_failed(trp_store_key(f->store, &subject, &out, &f->err)));
}

static void a_model_is_known_only_after_it_was_read_and_until_it_changes(void **state)
{
    struct fixture *f = *state;
    const struct trp_store_subject subject = { .path = f->path,
                                               .backend = "onnxruntime",
                                               .fingerprint = "1" };
    struct trp_sha256 known;
    copy(model_a, f->path);
    assert_int_equal(trp_store_key_known(f->store, &subject, &known, &f->err).code, TRP_NOT_FOUND);
    const struct trp_sha256 read = key(f, f->path, "1", NULL, 0);
    assert_int_equal(trp_store_key_known(f->store, &subject, &known, &f->err).code, TRP_OK);
    assert_true(are_equal(known, read));
    copy(model_b, f->path);
    assert_int_equal(trp_store_key_known(f->store, &subject, &known, &f->err).code, TRP_NOT_FOUND);
}

static void a_reading_that_is_given_up_leaves_no_note(void **state)
{
    struct fixture *f = *state;
    static const volatile int32_t raised = 1;
    struct trp_store_subject subject = {
        .path = f->path, .backend = "b", .fingerprint = "1", .cancel = &raised
    };
    struct trp_sha256 out;
    copy(model_a, f->path);
    assert_int_equal(trp_store_key(f->store, &subject, &out, &f->err).code, TRP_CANCELLED);
    assert_int_equal(trp_store_key_known(f->store, &subject, &out, &f->err).code, TRP_NOT_FOUND);
}

static void a_processor_has_a_name(void **state)
{
    (void)state;
    char text[256], cut[4];
    trp_machine_processor(text, sizeof text);
    assert_true(strlen(text) > 4);
    trp_machine_processor(cut, sizeof cut);
    assert_int_equal(strlen(cut), 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(content_version_and_options_make_the_key_and_places_do_not),
        TEST(a_model_that_changes_has_another_key),
        TEST(what_was_seen_is_not_read_again_and_a_damaged_note_is_not_believed),
        TEST(external_data_is_part_of_the_content),
        TEST(a_model_that_is_none_has_no_key),
        TEST(a_model_is_known_only_after_it_was_read_and_until_it_changes),
        TEST(a_reading_that_is_given_up_leaves_no_note),
        TEST(a_processor_has_a_name),
    };
    return cmocka_run_group_tests_name("store_key", tests, NULL, NULL);
}
