/* What was prepared of a model that is gone is found by what was in its files, and nothing else
 * is. */
#include "store/obsolete.h"

#include "made.h"
#include "store/store_key.h"
#include "store/sweeper.h"

static const char model_a[] = "tests/models/good/identity_fp32.onnx";
static const char model_b[] = "tests/models/good/identity_int8.onnx";
static const char with_external[] = "tests/models/good/external_data";

struct repository {
    struct fixture f;
    char path[TRP_STORE_PATH_MAX];
    const char *folders[2];
    uint32_t folders_n;
};

static int set_up_both(void **state)
{
    struct repository *r = calloc(1, sizeof *r);
    scratch_folder(r->f.folder, "obsolete");
    (void)snprintf(r->f.path, sizeof r->f.path, "%s/store", r->f.folder);
    (void)snprintf(r->path, sizeof r->path, "%s/models", r->f.folder);
    *state = r;
    open_store(&r->f);
    r->folders[0] = r->path;
    r->folders_n = 1;
    return mkdir(r->path, 0755);
}

/* A path in the repository, whose folders are made. */
static const char *place(const struct repository *r, const char *name)
{
    static char path[TRP_STORE_PATH_MAX + 128];
    (void)snprintf(path, sizeof path, "%s/%s", r->path, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(trp_disk_make_folder(path, NULL).code, TRP_OK);
    *slash = '/';
    return path;
}

static void copy_to(const char *from, const char *to)
{
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(trp_file_read(trp_heap(), from, 1 << 20, &text, &n, NULL).code, TRP_OK);
    assert_int_equal(trp_file_replace(to, text, n, NULL).code, TRP_OK);
    trp_alloc_free(trp_heap(), text);
}

static void put(const struct repository *r, const char *from, const char *name)
{
    copy_to(from, place(r, name));
}

/* Publishes what was made of a file, as trp_making_run() does; it was used long ago. */
static void make_of(struct repository *r, const char *key_text, const char *path)
{
    const struct trp_sha256 key = key_of(key_text);
    struct trp_file_stat st;
    struct trp_draft d;
    char blob[TROUPE_BLOB_NAME_MAX];
    assert_int_equal(trp_draft_begin(&d, r->f.store, &r->f.err).code, TRP_OK);
    assert_int_equal(d.sink.blob(d.sink.user, key_text, strlen(key_text), blob), TRP_OK);
    assert_int_equal(d.sink.skeleton(d.sink.user, "skeleton", 8), TRP_OK);
    assert_int_equal(trp_store_content(r->f.store, path, NULL, &d.artefact.content, &r->f.err).code,
                     TRP_OK);
    assert_int_equal(trp_file_stat(path, &st, &r->f.err).code, TRP_OK);
    d.artefact.model_bytes = st.bytes;
    d.artefact.has_content = true;
    assert_int_equal(trp_draft_finish(&d, path, &r->f.err).code, TRP_OK);
    assert_int_equal(trp_draft_publish(&d, &key, &r->f.err).code, TRP_OK);
    trp_draft_drop(&d);
    used_at(&r->f, key_text, 1000);
}

static trp_status forget_note(void *user, const char *name, struct trp_error *err)
{
    char path[TRP_STORE_PATH_MAX];
    assert_true(trp_store_part(user, "seen", name, path));
    return trp_disk_remove(path, err);
}

/* As in a store that was made on another machine. */
static void forget_all(struct repository *r)
{
    char seen[TRP_STORE_PATH_MAX];
    assert_true(trp_store_part(r->f.store, "seen", NULL, seen));
    assert_int_equal(trp_dir_each(seen, 100, forget_note, r->f.store, NULL).code, TRP_OK);
}

static struct trp_swept collect(struct repository *r)
{
    struct trp_swept swept = { 0 };
    struct trp_obsolete *o;
    if (trp_failed(trp_obsolete_find(r->f.store, r->folders, r->folders_n, &o, &r->f.err)))
        fail_msg("%s", r->f.err.text);
    const struct trp_gc_opts opts = { .obsolete = o };
    const trp_status st = trp_sweeper_gc(r->f.store, &opts, &swept, &r->f.err);
    trp_obsolete_destroy(o);
    if (trp_failed(st))
        fail_msg("%s", r->f.err.text);
    return swept;
}

static int32_t code_of_find(struct repository *r)
{
    struct trp_obsolete *o;
    const trp_status st = trp_obsolete_find(r->f.store, r->folders, r->folders_n, &o, &r->f.err);
    trp_obsolete_destroy(o);
    return st.code;
}

/* ---- what goes ---- */

static void what_was_made_of_a_model_that_is_gone_goes(void **state)
{
    struct repository *r = *state;
    put(r, model_a, "a.onnx");
    put(r, model_b, "b.onnx");
    make_of(r, "a", place(r, "a.onnx"));
    make_of(r, "b", place(r, "b.onnx"));
    struct trp_swept swept = collect(r);
    assert_int_equal(swept.removed_n, 0);
    assert_int_equal(remove(place(r, "b.onnx")), 0);
    swept = collect(r);
    assert_int_equal(swept.artefacts_n, 2);
    assert_int_equal(swept.removed_n, 1);
    assert_int_equal(swept.obsolete_n, 1);
    assert_int_equal(swept.blobs_n, 1);
    assert_int_equal(state_of(&r->f, "a"), TRP_OK);
    assert_int_equal(state_of(&r->f, "b"), TRP_NOT_FOUND);
    assert_int_equal(entries(&r->f, "seen"), 1);
    assert_int_equal(entries(&r->f, "tmp"), 0);
}

static void of_a_model_that_was_replaced_the_old_one_goes(void **state)
{
    struct repository *r = *state;
    put(r, model_a, "m/1/model.onnx");
    make_of(r, "a", place(r, "m/1/model.onnx"));
    put(r, model_b, "m/1/model.onnx");
    make_of(r, "b", place(r, "m/1/model.onnx"));
    assert_int_equal(collect(r).obsolete_n, 1);
    assert_int_equal(state_of(&r->f, "a"), TRP_NOT_FOUND);
    assert_int_equal(state_of(&r->f, "b"), TRP_OK);
}

/* The weights beside the model are part of it, though only the model's size is compared. */
static void a_model_with_other_weights_is_another(void **state)
{
    struct repository *r = *state;
    char from[256];
    (void)snprintf(from, sizeof from, "%s/model.onnx", with_external);
    put(r, from, "m/model.onnx");
    (void)snprintf(from, sizeof from, "%s/weights.bin", with_external);
    put(r, from, "m/weights.bin");
    make_of(r, "a", place(r, "m/model.onnx"));
    assert_int_equal(collect(r).obsolete_n, 0);
    forget_all(r);
    assert_int_equal(collect(r).obsolete_n, 0);
    FILE *file = fopen(place(r, "m/weights.bin"), "r+b");
    assert_non_null(file);
    const int was = fgetc(file);
    assert_int_equal(fseek(file, 0, SEEK_SET), 0);
    assert_int_equal(fputc(was ^ 1, file), was ^ 1);
    assert_int_equal(fclose(file), 0);
    forget_all(r);
    assert_int_equal(collect(r).obsolete_n, 1);
}

/* ---- what stays ---- */

static void a_model_that_was_moved_and_renamed_is_still_there(void **state)
{
    struct repository *r = *state;
    char from[TRP_STORE_PATH_MAX + 128];
    put(r, model_a, "a.onnx");
    put(r, model_b, "other.onnx");
    make_of(r, "a", place(r, "a.onnx"));
    (void)snprintf(from, sizeof from, "%s", place(r, "a.onnx"));
    assert_int_equal(rename(from, place(r, "deep/3/folder/network.bin")), 0);
    assert_int_equal(collect(r).removed_n, 0);
    assert_int_equal(state_of(&r->f, "a"), TRP_OK);
}

static void a_store_that_was_made_elsewhere_keeps_what_models_here_need(void **state)
{
    struct repository *r = *state;
    put(r, model_a, "other.onnx");
    make_of(r, "a", model_a);
    make_of(r, "b", model_b);
    forget_all(r);
    assert_int_equal(collect(r).obsolete_n, 1);
    assert_int_equal(state_of(&r->f, "a"), TRP_OK);
    assert_int_equal(state_of(&r->f, "b"), TRP_NOT_FOUND);
}

/* Of another server on this machine, which has a repository that nobody named. */
static void what_was_read_before_and_is_as_it_was_counts_wherever_it_lies(void **state)
{
    struct repository *r = *state;
    put(r, model_a, "a.onnx");
    make_of(r, "b", model_b);
    assert_int_equal(collect(r).removed_n, 0);
    forget_all(r);
    assert_int_equal(collect(r).removed_n, 1);
}

static void what_is_in_use_or_was_used_since_stays(void **state)
{
    struct repository *r = *state;
    const struct trp_sha256 held = key_of("held"), used = key_of("used");
    struct trp_store_hold hold;
    struct trp_obsolete *o;
    put(r, model_a, "a.onnx");
    make_of(r, "held", model_b);
    make_of(r, "used", model_b);
    forget_all(r);
    assert_int_equal(trp_store_lease_hold(r->f.store, &held, &hold, &r->f.err).code, TRP_OK);
    used_at(&r->f, "held", 1000);
    assert_int_equal(trp_obsolete_find(r->f.store, r->folders, 1, &o, &r->f.err).code, TRP_OK);
    assert_false(trp_obsolete_has(o, &held, TRP_S(1000)));
    assert_true(trp_obsolete_has(o, &used, TRP_S(1000)));
    assert_false(trp_obsolete_has(o, &used, INT64_MAX));
    trp_obsolete_destroy(o);
    assert_int_equal(collect(r).removed_n, 1);
    assert_int_equal(state_of(&r->f, "held"), TRP_OK);
    trp_store_lease_release(r->f.store, &hold);
    used_at(&r->f, "held", 1000);
    assert_int_equal(collect(r).removed_n, 1);
}

static void what_does_not_say_of_what_it_is_stays_and_is_counted(void **state)
{
    struct repository *r = *state;
    put(r, model_a, "a.onnx");
    make(&r->f, "old", "x");
    make_of(r, "b", model_b);
    used_at(&r->f, "old", 1000);
    forget_all(r);
    const struct trp_swept swept = collect(r);
    assert_int_equal(swept.nameless_n, 1);
    assert_int_equal(swept.removed_n, 1);
    assert_int_equal(state_of(&r->f, "old"), TRP_OK);
}

static void nothing_goes_by_this_rule_when_nobody_looked(void **state)
{
    struct repository *r = *state;
    const struct trp_gc_opts opts = { .bytes_max = 0 };
    struct trp_swept swept = { 0 };
    make_of(r, "a", model_a);
    forget_all(r);
    assert_int_equal(trp_sweeper_gc(r->f.store, &opts, &swept, &r->f.err).code, TRP_OK);
    assert_int_equal(swept.removed_n, 0);
    assert_int_equal(state_of(&r->f, "a"), TRP_OK);
}

/* ---- what ends the look ---- */

static void a_repository_without_any_model_tells_nothing(void **state)
{
    struct repository *r = *state;
    char second[TRP_STORE_PATH_MAX + 16];
    (void)snprintf(second, sizeof second, "%s2", r->path);
    put(r, model_a, "a.onnx");
    assert_int_equal(mkdir(second, 0755), 0);
    r->folders[1] = second;
    r->folders_n = 2;
    make_of(r, "b", model_b);
    assert_int_equal(code_of_find(r), TRP_OK); /* there is nothing to be asked */
    forget_all(r);
    assert_int_equal(code_of_find(r), TRP_FAILED_PRECONDITION);
    assert_non_null(strstr(r->f.err.text, "no model at all"));
    assert_int_equal(rmdir(second), 0);
    assert_int_equal(code_of_find(r), TRP_NOT_FOUND);
    assert_int_equal(state_of(&r->f, "b"), TRP_OK);
}

/* Links in circles, to nothing and into a hidden folder, a pipe, what is no model though it has
 * the size of one. */
static void odd_things_in_a_repository_do_no_harm(void **state)
{
    struct repository *r = *state;
    char text[TRP_STORE_PATH_MAX];
    struct trp_file_stat st;
    put(r, model_a, ".hidden/v1/model.onnx");
    make_of(r, "a", place(r, ".hidden/v1/model.onnx"));
    make_of(r, "b", model_b);
    forget_all(r);
    assert_int_equal(symlink(".hidden/v1", place(r, "m")), 0);
    assert_int_equal(symlink("..", place(r, "x/up")), 0);
    assert_int_equal(symlink("nowhere", place(r, "x/nothing")), 0);
    assert_int_equal(mkfifo(place(r, "x/pipe"), 0600), 0);
    assert_int_equal(trp_file_stat(model_b, &st, NULL).code, TRP_OK);
    memset(text, '?', sizeof text);
    assert_in_range(st.bytes, 1, sizeof text);
    assert_int_equal(trp_file_replace(place(r, "x/notes.onnx"), text, st.bytes, NULL).code, TRP_OK);
    assert_int_equal(collect(r).obsolete_n, 1);
    assert_int_equal(state_of(&r->f, "a"), TRP_OK);
}

static void a_store_that_is_only_looked_at_can_be_asked(void **state)
{
    struct repository *r = *state;
    const struct trp_sha256 key = key_of("b");
    const struct trp_store_opts opts = { .path = r->f.path, .look_only = true };
    struct trp_obsolete *o;
    put(r, model_a, "a.onnx");
    put(r, model_a, "b.onnx");
    make_of(r, "a", model_a);
    make_of(r, "b", model_b);
    forget_all(r);
    trp_store_close(r->f.store);
    assert_int_equal(trp_store_open(trp_heap(), &opts, &r->f.store, &r->f.err).code, TRP_OK);
    assert_int_equal(trp_obsolete_find(r->f.store, r->folders, 1, &o, &r->f.err).code, TRP_OK);
    assert_true(trp_obsolete_has(o, &key, TRP_S(1000)));
    trp_obsolete_destroy(o);
    assert_int_equal(entries(&r->f, "seen"), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_both, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_made_of_a_model_that_is_gone_goes),
        TEST(of_a_model_that_was_replaced_the_old_one_goes),
        TEST(a_model_with_other_weights_is_another),
        TEST(a_model_that_was_moved_and_renamed_is_still_there),
        TEST(a_store_that_was_made_elsewhere_keeps_what_models_here_need),
        TEST(what_was_read_before_and_is_as_it_was_counts_wherever_it_lies),
        TEST(what_is_in_use_or_was_used_since_stays),
        TEST(what_does_not_say_of_what_it_is_stays_and_is_counted),
        TEST(nothing_goes_by_this_rule_when_nobody_looked),
        TEST(a_repository_without_any_model_tells_nothing),
        TEST(odd_things_in_a_repository_do_no_harm),
        TEST(a_store_that_is_only_looked_at_can_be_asked),
    };
    return cmocka_run_group_tests_name("obsolete", tests, NULL, NULL);
}
