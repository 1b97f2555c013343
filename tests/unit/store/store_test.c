/* A store's folder: what is put there is found again, whole or not at all, by this process and
 * the next. */
#include "store/artefact.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/disk.h"
#include "base/file.h"
#include "scratch.h"
#include "store/store_key.h"

struct fixture {
    char folder[SCRATCH_PATH_MAX], path[TRP_STORE_PATH_MAX];
    struct trp_store *store;
    struct trp_error err;
};

static void open_store(struct fixture *f)
{
    const struct trp_store_opts opts = { .path = f->path };
    if (trp_failed(trp_store_open(trp_heap(), &opts, &f->store, &f->err)))
        fail_msg("%s", f->err.text);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    scratch_folder(f->folder, "store");
    (void)snprintf(f->path, sizeof f->path, "%s/deep/store", f->folder);
    *state = f;
    open_store(f);
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

static bool is_there(const struct fixture *f, const char *part, const char *name)
{
    char path[TRP_STORE_PATH_MAX];
    struct trp_file_stat st;
    assert_true(trp_store_part(f->store, part, name, path));
    return !trp_failed(trp_file_stat(path, &st, NULL));
}

static trp_status count_entry(void *user, const char *name, struct trp_error *err)
{
    (void)name;
    (void)err;
    ++*(uint32_t *)user;
    return trp_ok();
}

static uint32_t entries(const struct fixture *f, const char *part)
{
    char path[TRP_STORE_PATH_MAX];
    uint32_t n = 0;
    assert_true(trp_store_part(f->store, part, NULL, path));
    assert_int_equal(trp_dir_each(path, 1000, count_entry, &n, NULL).code, TRP_OK);
    return n;
}

/* --- blobs ------------------------------------------------------------------------------------ */

static trp_status put(struct fixture *f, const void *data, uint64_t bytes, struct trp_blob *out)
{
    TRP_CHECK(trp_blob_describe(data, bytes, out, &f->err));
    return trp_blob_put(f->store, data, out, &f->err);
}

static void equal_content_is_one_blob(void **state)
{
    struct fixture *f = *state;
    static uint8_t data[10000];
    struct trp_blob one, other, another;
    assert_int_equal(put(f, data, sizeof data, &one).code, TRP_OK);
    assert_int_equal(put(f, data, sizeof data, &other).code, TRP_OK);
    assert_string_equal(one.name, other.name);
    assert_string_equal(one.name,
                        "95/b532cc4381affdff0d956e12520a04129ed49d37e154228368fe5621f0b9a2");
    data[5000] = 1;
    assert_int_equal(put(f, data, sizeof data, &another).code, TRP_OK);
    assert_string_not_equal(one.name, another.name);
    assert_int_equal(trp_blob_verify(f->store, &one, NULL, &f->err).code, TRP_OK);
    assert_int_equal(trp_blob_verify(f->store, &another, NULL, &f->err).code, TRP_OK);
    assert_int_equal(entries(f, "tmp"), 0);
}

static void overwrite(const struct fixture *f, const struct trp_blob *blob, off_t at,
                      const char *with)
{
    char path[TRP_STORE_PATH_MAX];
    assert_true(trp_store_part(f->store, "blobs", blob->name, path));
    assert_int_equal(chmod(path, 0644), 0);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_true(fputs(with, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* As a disk changes bytes: nobody wrote. */
static void date_again(const char *path)
{
    const struct timespec dates[] = { { .tv_sec = TRP_STORE_DATE_S },
                                      { .tv_sec = TRP_STORE_DATE_S } };
    assert_int_equal(utimensat(AT_FDCWD, path, dates, 0), 0);
}

static void a_blob_that_was_changed_cut_or_removed_is_noticed(void **state)
{
    struct fixture *f = *state;
    static uint8_t data[100000];
    struct trp_blob blob, again;
    char path[TRP_STORE_PATH_MAX];
    assert_int_equal(put(f, data, sizeof data, &blob).code, TRP_OK);
    assert_true(trp_store_part(f->store, "blobs", blob.name, path));
    overwrite(f, &blob, 50000,
              "x"); /* in the middle: a look sees the date, or a reading must tell */
    assert_int_equal(trp_blob_check(f->store, &blob, &f->err).code, TRP_DATA_LOSS);
    assert_non_null(strstr(f->err.text, "was written to"));
    date_again(path);
    assert_int_equal(trp_blob_check(f->store, &blob, &f->err).code, TRP_OK);
    assert_int_equal(trp_blob_verify(f->store, &blob, NULL, &f->err).code, TRP_DATA_LOSS);
    overwrite(f, &blob, 99990, "x");
    date_again(path);
    assert_int_equal(trp_blob_check(f->store, &blob, &f->err).code, TRP_DATA_LOSS);
    assert_non_null(strstr(f->err.text, blob.name));
    assert_int_equal(truncate(path, 99999), 0);
    assert_int_equal(trp_blob_check(f->store, &blob, &f->err).code, TRP_DATA_LOSS);
    assert_non_null(strstr(f->err.text, "99999 bytes, not 100000"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(trp_blob_check(f->store, &blob, &f->err).code, TRP_NOT_FOUND);
    assert_int_equal(symlink("/etc/passwd", path), 0); /* never followed */
    assert_true(trp_failed(trp_blob_check(f->store, &blob, &f->err)));
    assert_int_equal(put(f, data, sizeof data, &again).code, TRP_OK);
    assert_int_equal(trp_blob_verify(f->store, &again, NULL, &f->err).code,
                     TRP_OK); /* mended by putting it anew */
}

/* --- artefacts -------------------------------------------------------------------------------- */

static struct trp_sha256 key_of(const char *text)
{
    struct trp_sha256 key;
    assert_int_equal(trp_sha256_memory(text, strlen(text), &key, NULL).code, TRP_OK);
    return key;
}

static void fill_draft(struct fixture *f, struct trp_draft *d, const char *skeleton, int blobs)
{
    char name[TROUPE_BLOB_NAME_MAX];
    assert_int_equal(trp_draft_begin(d, f->store, &f->err).code, TRP_OK);
    for (int i = 0; i < blobs; i++) {
        char data[2000];
        memset(data, 'a' + i % 26, sizeof data);
        assert_int_equal(d->sink.blob(d->sink.user, data, sizeof data, name), TRP_OK);
    }
    assert_int_equal(d->sink.skeleton(d->sink.user, skeleton, strlen(skeleton)), TRP_OK);
    assert_int_equal(trp_draft_finish(d, "/models/a\nb.onnx", &f->err).code, TRP_OK);
}

static void make(struct fixture *f, const struct trp_sha256 *key, const char *skeleton, int blobs)
{
    struct trp_draft d;
    fill_draft(f, &d, skeleton, blobs);
    assert_int_equal(trp_draft_publish(&d, key, &f->err).code, TRP_OK);
    trp_draft_drop(&d);
}

static void what_was_published_is_found_by_this_process_and_the_next(void **state)
{
    struct fixture *f = *state;
    const struct trp_sha256 key = key_of("a");
    struct trp_artefact a;
    assert_int_equal(trp_artefact_get(f->store, &key, &a, &f->err).code, TRP_NOT_FOUND);
    make(f, &key, "skeleton", 100);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(trp_artefact_get(f->store, &key, &a, &f->err).code, TRP_OK);
        assert_int_equal(a.blobs_n, 26); /* equal pieces of one model are one */
        assert_int_equal(a.blob_bytes, 26 * 2000);
        assert_int_equal(a.skeleton_bytes, 8);
        trp_artefact_deinit(&a);
        assert_int_equal(trp_artefact_verify(f->store, &key, &f->err).code, TRP_OK);
        trp_store_close(f->store);
        open_store(f);
    }
    assert_int_equal(entries(f, "tmp"), 0);
}

static void a_draft_that_is_dropped_was_never_there(void **state)
{
    struct fixture *f = *state;
    const struct trp_sha256 key = key_of("a");
    struct trp_artefact a;
    struct trp_draft d;
    fill_draft(f, &d, "skeleton", 3);
    assert_int_equal(entries(f, "tmp"), 2); /* the folder, and the list of its blobs */
    trp_draft_drop(&d);
    assert_int_equal(entries(f, "tmp"), 0);
    assert_int_equal(trp_artefact_get(f->store, &key, &a, &f->err).code, TRP_NOT_FOUND);
    assert_int_equal(trp_draft_begin(&d, f->store, &f->err).code, TRP_OK);
    assert_int_equal(trp_draft_finish(&d, "x", &f->err).code, TRP_FAILED_PRECONDITION);
    trp_draft_drop(&d);
}

static void of_two_that_publish_the_first_stays(void **state)
{
    struct fixture *f = *state;
    const struct trp_sha256 key = key_of("a");
    struct trp_artefact a;
    make(f, &key, "first", 1);
    make(f, &key, "the second", 2);
    assert_int_equal(trp_artefact_get(f->store, &key, &a, &f->err).code, TRP_OK);
    assert_int_equal(a.skeleton_bytes, 5);
    trp_artefact_deinit(&a);
    assert_int_equal(entries(f, "tmp"), 0);
}

static void what_cannot_be_prepared_is_remembered_with_its_reason(void **state)
{
    struct fixture *f = *state;
    const struct trp_sha256 key = key_of("a");
    struct trp_artefact a;
    assert_int_equal(trp_artefact_refuse(f->store, &key, "output 'y' differs", &f->err).code,
                     TRP_OK);
    assert_int_equal(trp_artefact_get(f->store, &key, &a, &f->err).code, TRP_FAILED_PRECONDITION);
    assert_string_equal(f->err.text, "output 'y' differs");
}

static void damage_is_told_and_dropping_makes_room_for_a_new_one(void **state)
{
    struct fixture *f = *state;
    static const char *const manifests[] = {
        "",
        "troupe prepared 1\n",
        "troupe prepared 2\nend 0\n",
        "troupe prepared 1\nskeleton 8 x\nend 0\n",
        "troupe prepared 1\nskeleton 8 "
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\nend 1\n",
        "troupe prepared 1\nskeleton 8 "
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\nblob ../../x 5 0\nend "
        "1\n",
        "troupe prepared 1\nskeleton 8 "
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\nwhat\nend 0\n",
    };
    const struct trp_sha256 key = key_of("a");
    struct trp_artefact a;
    char path[TRP_STORE_PATH_MAX], text[TRP_SHA256_TEXT], name[TRP_SHA256_TEXT + 16];
    trp_sha256_format(&key, text);
    (void)snprintf(name, sizeof name, "%s/manifest", text);
    assert_true(trp_store_part(f->store, "made", name, path));
    for (size_t i = 0; i < ARRAY_LEN(manifests); i++) {
        print_message("manifest %zu\n", i);
        make(f, &key, "skeleton", 1);
        assert_int_equal(trp_file_replace(path, manifests[i], strlen(manifests[i]), &f->err).code,
                         TRP_OK);
        assert_int_equal(trp_artefact_get(f->store, &key, &a, &f->err).code, TRP_DATA_LOSS);
        assert_int_equal(trp_artefact_drop(f->store, &key, &f->err).code, TRP_OK);
        assert_int_equal(trp_artefact_get(f->store, &key, &a, &f->err).code, TRP_NOT_FOUND);
    }
}

static void a_missing_or_changed_part_is_damage(void **state)
{
    struct fixture *f = *state;
    const struct trp_sha256 key = key_of("a");
    struct trp_artefact a;
    make(f, &key, "skeleton", 2);
    assert_int_equal(trp_artefact_get(f->store, &key, &a, &f->err).code, TRP_OK);
    assert_int_equal(chmod(a.skeleton, 0644), 0);
    assert_int_equal(trp_file_replace(a.skeleton, "skELeton", 8, &f->err).code, TRP_OK);
    date_again(a.skeleton);
    assert_int_equal(trp_artefact_verify(f->store, &key, &f->err).code, TRP_DATA_LOSS);
    assert_int_equal(trp_file_replace(a.skeleton, "skeleton", 8, &f->err).code, TRP_OK);
    date_again(a.skeleton);
    assert_int_equal(trp_artefact_verify(f->store, &key, &f->err).code, TRP_OK);
    char path[TRP_STORE_PATH_MAX];
    assert_true(trp_store_part(f->store, "blobs", a.blobs[1].name, path));
    assert_int_equal(unlink(path), 0);
    trp_artefact_deinit(&a);
    assert_int_equal(trp_artefact_get(f->store, &key, &a, &f->err).code, TRP_DATA_LOSS);
}

/* --- others ----------------------------------------------------------------------------------- */

static void what_a_dead_process_left_is_removed_and_what_a_living_one_has_stays(void **state)
{
    struct fixture *f = *state;
    struct fixture second = *f;
    char mine[TRP_STORE_PATH_MAX];
    assert_true(trp_store_temporary(f->store, mine));
    assert_int_equal(trp_disk_write(mine, "x", 1, 0644, &f->err).code, TRP_OK);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) { /* dies with a temporary file and its lease */
        char temporary[TRP_STORE_PATH_MAX];
        struct trp_store *s;
        const struct trp_store_opts opts = { .path = f->path };
        const bool is_made = !trp_failed(trp_store_open(trp_heap(), &opts, &s, NULL)) &&
                             trp_store_temporary(s, temporary) &&
                             !trp_failed(trp_disk_write(temporary, "y", 1, 0644, NULL));
        _exit(is_made ? 7 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_int_equal(entries(f, "tmp"), 2);
    assert_int_equal(entries(f, "leases"), 2);
    open_store(&second);
    assert_int_equal(entries(f, "tmp"), 1);
    assert_int_equal(entries(f, "leases"), 2); /* ours, and the second of this process */
    trp_store_close(second.store);
    assert_int_equal(entries(f, "leases"), 1);
}

static void a_folder_of_somebody_else_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[TRP_STORE_PATH_MAX];
    struct trp_store *s;
    assert_true(trp_store_part(f->store, "format", NULL, path));
    assert_int_equal(trp_file_replace(path, "troupe store 99\n", 16, &f->err).code, TRP_OK);
    const struct trp_store_opts opts = { .path = f->path };
    assert_int_equal(trp_store_open(trp_heap(), &opts, &s, &f->err).code, TRP_FAILED_PRECONDITION);
    assert_null(s);
    const struct trp_store_opts nowhere = { .path = "/proc/store" };
    assert_true(trp_failed(trp_store_open(trp_heap(), &nowhere, &s, &f->err)));
    assert_true(is_there(f, "blobs", NULL));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(equal_content_is_one_blob),
        TEST(a_blob_that_was_changed_cut_or_removed_is_noticed),
        TEST(what_was_published_is_found_by_this_process_and_the_next),
        TEST(a_draft_that_is_dropped_was_never_there),
        TEST(of_two_that_publish_the_first_stays),
        TEST(what_cannot_be_prepared_is_remembered_with_its_reason),
        TEST(damage_is_told_and_dropping_makes_room_for_a_new_one),
        TEST(a_missing_or_changed_part_is_damage),
        TEST(what_a_dead_process_left_is_removed_and_what_a_living_one_has_stays),
        TEST(a_folder_of_somebody_else_is_refused),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
