/* What lies in a store is listed, verified and removed; what somebody uses stays, whoever he is
 * and whenever he comes. */
#include "store/sweeper.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "made.h"

/* --- helpers ---------------------------------------------------------------------------------- */

struct files {
    uint32_t n;
    char folder[TRP_STORE_PATH_MAX];
};

static trp_status count_files(void *user, const char *name, struct trp_error *err)
{
    struct files *files = user;
    char path[TRP_STORE_PATH_MAX + 300];
    (void)snprintf(path, sizeof path, "%s/%s", files->folder, name);
    return trp_dir_each(path, 1000, count_entry, &files->n, err);
}

static uint32_t blobs(const struct fixture *f)
{
    struct files files = { .n = 0 };
    assert_true(trp_store_part(f->store, "blobs", NULL, files.folder));
    assert_int_equal(trp_dir_each(files.folder, 1000, count_files, &files, NULL).code, TRP_OK);
    return files.n;
}

static struct trp_swept gc(struct fixture *f, uint64_t bytes_max)
{
    const struct trp_gc_opts opts = { .bytes_max = bytes_max };
    struct trp_swept swept = { 0 };
    if (trp_failed(trp_sweeper_gc(f->store, &opts, &swept, &f->err)))
        fail_msg("%s", f->err.text);
    return swept;
}

static void blob_path(const struct fixture *f, char letter, char out[TRP_STORE_PATH_MAX])
{
    char data[BLOB_BYTES];
    struct trp_blob blob;
    memset(data, letter, sizeof data);
    assert_int_equal(trp_blob_describe(data, sizeof data, &blob, NULL).code, TRP_OK);
    assert_true(trp_store_part(f->store, "blobs", blob.name, out));
}

static void damage_blob(const struct fixture *f, char letter)
{
    char path[TRP_STORE_PATH_MAX];
    blob_path(f, letter, path);
    assert_int_equal(chmod(path, 0644), 0);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 4500, SEEK_SET), 0);
    assert_true(fputs("!", file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* Another process that does `what` with the store, tells that it has, and waits to be ended. */
static pid_t begin_other(struct fixture *f, bool (*what)(struct trp_store *s))
{
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct trp_store_opts opts = { .path = f->path };
        struct trp_store *s;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody behind */
        if (trp_failed(trp_store_open(trp_heap(), &opts, &s, NULL)) || !what(s) ||
            write(ready[1], "r", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static void end_other(pid_t child)
{
    int status = 0;
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

/* --- listing ---------------------------------------------------------------------------------- */

struct listed {
    struct trp_stored items[8];
    uint32_t n;
};

static trp_status take(void *user, const struct trp_stored *what, struct trp_error *err)
{
    struct listed *l = user;
    (void)err;
    l->items[l->n] = *what;
    l->items[l->n].source = what->source[0] ? (what->source[0] == 'a' ? "a" : "b") : "";
    l->n++;
    return trp_ok();
}

static void a_list_says_what_is_shared_and_what_was_used_last(void **state)
{
    struct fixture *f = *state;
    struct listed l = { .n = 0 };
    struct trp_store_hold hold;
    make(f, "a", "xyz");
    make(f, "b", "zy1");
    used_at(f, "a", 2000);
    used_at(f, "b", 1000);
    assert_int_equal(trp_sweeper_list(f->store, take, &l, &f->err).code, TRP_OK);
    assert_int_equal(l.n, 2);
    assert_string_equal(l.items[0].source, "b");
    assert_int_equal(l.items[0].used_ns, TRP_S(1000));
    assert_int_equal(l.items[0].blobs_n, 3);
    assert_int_equal(l.items[0].blob_bytes, 3 * BLOB_BYTES);
    assert_int_equal(l.items[0].own_bytes, BLOB_BYTES + 8);
    assert_false(l.items[0].is_held);
    assert_int_equal(trp_store_lease_hold(f->store, &l.items[0].key, &hold, &f->err).code, TRP_OK);
    l.n = 0;
    assert_int_equal(trp_sweeper_list(f->store, take, &l, &f->err).code, TRP_OK);
    assert_string_equal(l.items[1].source, "b"); /* held: used now */
    assert_true(l.items[1].is_held);
    trp_store_lease_release(f->store, &hold);
    trp_store_lease_release(f->store, &hold); /* nothing happens */
}

static void a_store_that_is_only_looked_at_is_listed_and_not_changed(void **state)
{
    struct fixture *f = *state;
    const struct trp_store_opts opts = { .path = f->path, .look_only = true };
    const struct trp_store_opts nowhere = { .path = "/tmp/there-is-none", .look_only = true };
    const struct trp_sha256 key = key_of("a");
    const struct trp_gc_opts really = { 0 }, told = { .bytes_max = 1, .only_tell = true };
    const struct trp_verify_opts mend = { 0 };
    struct trp_verified verified;
    struct listed l = { .n = 0 };
    struct trp_swept swept;
    struct trp_store_hold hold;
    make(f, "a", "x");
    struct fixture other = *f;
    assert_int_equal(trp_store_open(trp_heap(), &opts, &other.store, &f->err).code, TRP_OK);
    assert_int_equal(entries(f, "leases"), 1);
    assert_int_equal(trp_sweeper_list(other.store, take, &l, &f->err).code, TRP_OK);
    assert_int_equal(l.n, 1);
    assert_int_equal(trp_store_lease_hold(other.store, &key, &hold, &f->err).code,
                     TRP_FAILED_PRECONDITION);
    assert_int_equal(trp_sweeper_gc(other.store, &really, &swept, &f->err).code,
                     TRP_FAILED_PRECONDITION);
    assert_int_equal(trp_sweeper_verify(other.store, &mend, &verified, &f->err).code,
                     TRP_FAILED_PRECONDITION);
    assert_int_equal(trp_sweeper_gc(other.store, &told, &swept, &f->err).code, TRP_OK);
    assert_int_equal(swept.removed_n, 1);
    assert_int_equal(swept.blobs_n, 1);
    assert_int_equal(swept.freed_bytes, BLOB_BYTES + 8);
    assert_int_equal(state_of(f, "a"), TRP_OK);
    trp_store_close(other.store);
    assert_int_equal(trp_store_open(trp_heap(), &nowhere, &other.store, &f->err).code,
                     TRP_NOT_FOUND);
}

/* --- removing --------------------------------------------------------------------------------- */

static void blobs_that_nobody_names_go_and_the_others_stay(void **state)
{
    struct fixture *f = *state;
    const struct trp_sha256 key = key_of("a");
    make(f, "a", "xyz");
    make(f, "b", "zy1");
    assert_int_equal(blobs(f), 4);
    struct trp_swept swept = gc(f, 0);
    assert_int_equal(swept.artefacts_n, 2);
    assert_int_equal(swept.blobs_n, 0);
    assert_int_equal(swept.kept_bytes, 4 * BLOB_BYTES + 16);
    assert_int_equal(trp_artefact_drop(f->store, &key, &f->err).code, TRP_OK);
    swept = gc(f, 0);
    assert_int_equal(swept.blobs_n, 1); /* x */
    assert_int_equal(swept.freed_bytes, BLOB_BYTES);
    assert_int_equal(blobs(f), 3);
    assert_int_equal(state_of(f, "b"), TRP_OK);
    assert_int_equal(entries(f, "tmp"), 0);
}

struct removals {
    char names[8], why[64];
    uint32_t n;
};

static void note_removal(void *user, const struct trp_stored *what, const char *why)
{
    struct removals *r = user;
    r->names[r->n++] = what->source[0];
    (void)trp_str_copy(trp_str_of(why), r->why, sizeof r->why);
}

static void the_least_recently_used_go_until_the_rest_fits(void **state)
{
    struct fixture *f = *state;
    struct removals r = { .n = 0 };
    const struct trp_gc_opts opts = { .bytes_max = 3 * BLOB_BYTES,
                                      .on_removal = note_removal,
                                      .user = &r };
    struct trp_swept swept;
    make(f, "a", "1x");
    make(f, "b", "2x");
    make(f, "c", "3x");
    make(f, "d", "4x");
    used_at(f, "a", 2000);
    used_at(f, "b", 4000);
    used_at(f, "c", 1000);
    used_at(f, "d", 3000);
    assert_int_equal(trp_sweeper_gc(f->store, &opts, &swept, &f->err).code, TRP_OK);
    assert_string_equal(r.names, "cad"); /* 3 blobs and two skeletons would be too much */
    assert_string_equal(r.why, "least recently used, and the store is full");
    assert_int_equal(swept.removed_n, 3);
    assert_int_equal(swept.blobs_n, 3);
    assert_int_equal(swept.kept_bytes, 2 * BLOB_BYTES + 8);
    assert_int_equal(state_of(f, "b"), TRP_OK);
    assert_int_equal(state_of(f, "c"), TRP_NOT_FOUND);
}

static bool hold_a(struct trp_store *s)
{
    const struct trp_sha256 key = key_of("a"), none = key_of("none");
    static struct trp_store_hold holds[100];
    for (int i = 0; i < 100; i++) { /* more than one word of places */
        if (trp_failed(trp_store_lease_hold(s, i == 99 ? &key : &none, &holds[i], NULL)))
            return false;
    }
    for (int i = 0; i < 99; i++)
        trp_store_lease_release(s, &holds[i]);
    return true;
}

static void what_another_process_holds_stays_until_it_ends(void **state)
{
    struct fixture *f = *state;
    make(f, "a", "1x");
    make(f, "b", "2x");
    const pid_t other = begin_other(f, hold_a);
    used_at(f, "a", 1000);
    struct trp_swept swept = gc(f, 1);
    assert_int_equal(swept.held_n, 1);
    assert_int_equal(swept.removed_n, 1);
    assert_int_equal(state_of(f, "a"), TRP_OK);
    assert_int_equal(state_of(f, "b"), TRP_NOT_FOUND);
    assert_int_equal(blobs(f), 2);
    end_other(other); /* killed: nothing was released */
    assert_int_equal(entries(f, "leases"), 2);
    swept = gc(f, 1);
    assert_int_equal(swept.removed_n, 1);
    assert_int_equal(blobs(f), 0);
    assert_int_equal(entries(f, "leases"), 1);
}

static bool build_upon_x(struct trp_store *s)
{
    static struct trp_draft d;
    char data[BLOB_BYTES], name[TROUPE_BLOB_NAME_MAX];
    memset(data, 'x', sizeof data);
    return !trp_failed(trp_draft_begin(&d, s, NULL)) &&
           d.sink.blob(d.sink.user, data, sizeof data, name) == TRP_OK;
}

static void what_another_process_builds_upon_stays_until_it_ends(void **state)
{
    struct fixture *f = *state;
    make(f, "a", "x1");
    const pid_t other = begin_other(f, build_upon_x);
    gc(f, 1);
    assert_int_equal(state_of(f, "a"), TRP_NOT_FOUND);
    assert_int_equal(blobs(f), 1);
    end_other(other);
    const struct trp_swept swept = gc(f, 1);
    assert_int_equal(swept.temporaries_n, 2); /* its folder, its list */
    assert_int_equal(blobs(f), 0);
    assert_int_equal(entries(f, "tmp"), 0);
}

static void damaged_manifests_and_left_overs_go_and_what_is_not_ours_stays(void **state)
{
    struct fixture *f = *state;
    char path[TRP_STORE_PATH_MAX], name[TRP_SHA256_TEXT + 16], text[TRP_SHA256_TEXT];
    static const char *const theirs[][2] = { { "blobs", "notes" },
                                             { "made", "notes" },
                                             { "tmp", "notes" } };
    const struct trp_sha256 key = key_of("a");
    make(f, "a", "x");
    make(f, "b", "y");
    trp_sha256_format(&key, text);
    (void)snprintf(name, sizeof name, "%s/manifest", text);
    assert_true(trp_store_part(f->store, "made", name, path));
    assert_int_equal(trp_file_replace(path, "?", 1, &f->err).code, TRP_OK);
    assert_true(trp_store_part(f->store, "tmp", "999999.0.7", path));
    assert_int_equal(trp_disk_write(path, "x", 1, 0644, &f->err).code, TRP_OK);
    for (size_t i = 0; i < ARRAY_LEN(theirs); i++) {
        assert_true(trp_store_part(f->store, theirs[i][0], theirs[i][1], path));
        assert_int_equal(trp_disk_write(path, "mine", 4, 0644, &f->err).code, TRP_OK);
    }
    const struct trp_swept swept = gc(f, 0);
    assert_int_equal(swept.removed_n, 1);
    assert_int_equal(swept.blobs_n, 1);
    assert_int_equal(swept.temporaries_n, 1);
    assert_int_equal(state_of(f, "a"), TRP_NOT_FOUND);
    assert_int_equal(state_of(f, "b"), TRP_OK);
    for (size_t i = 0; i < ARRAY_LEN(theirs); i++) {
        assert_true(trp_store_part(f->store, theirs[i][0], theirs[i][1], path));
        assert_int_equal(access(path, F_OK), 0);
    }
}

static void blobs_of_a_held_artefact_that_cannot_be_read_stay_with_all_others(void **state)
{
    struct fixture *f = *state;
    char path[TRP_STORE_PATH_MAX], name[TRP_SHA256_TEXT + 16], text[TRP_SHA256_TEXT];
    const struct trp_sha256 key = key_of("a");
    struct trp_store_hold hold;
    make(f, "a", "x");
    assert_int_equal(trp_store_lease_hold(f->store, &key, &hold, &f->err).code, TRP_OK);
    trp_sha256_format(&key, text);
    (void)snprintf(name, sizeof name, "%s/manifest", text);
    assert_true(trp_store_part(f->store, "made", name, path));
    assert_int_equal(trp_file_replace(path, "?", 1, &f->err).code, TRP_OK);
    struct trp_swept swept = gc(f, 0);
    assert_int_equal(swept.removed_n + swept.blobs_n, 0);
    trp_store_lease_release(f->store, &hold);
    swept = gc(f, 0);
    assert_int_equal(swept.removed_n, 1);
    assert_int_equal(swept.blobs_n, 1);
}

/* A child that publishes and one that removes all that it may, as fast as they can: what is
 * published and held can be opened, each time. */
static int publish_and_open(const char *path, int rounds)
{
    const struct trp_store_opts opts = { .path = path };
    const struct trp_sha256 key = key_of("a");
    struct trp_store *s;
    struct trp_error err = { 0 };
    if (trp_failed(trp_store_open(trp_heap(), &opts, &s, &err)))
        return 1;
    for (int i = 0; i < rounds; i++) {
        struct trp_store_hold hold;
        struct trp_artefact a;
        if (trp_failed(trp_store_lease_hold(s, &key, &hold, &err)) ||
            trp_failed(make_in(s, "a", "xyz", &err)) ||
            trp_failed(trp_artefact_get(s, &key, &a, &err))) {
            fprintf(stderr, "round %d: %s\n", i, err.text);
            return 2;
        }
        trp_artefact_deinit(&a);
        trp_store_lease_release(s, &hold);
    }
    trp_store_close(s);
    return 0;
}

static void a_removal_never_takes_what_is_being_published(void **state)
{
    struct fixture *f = *state;
    int status = 0;
    uint32_t removed = 0;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(publish_and_open(f->path, 150));
    }
    while (waitpid(child, &status, WNOHANG) == 0)
        removed += gc(f, 1).removed_n;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(removed > 0);
    gc(f, 1);
    assert_int_equal(blobs(f), 0);
}

/* --- threads ---------------------------------------------------------------------------------- */

#define THREADS 4
#define HOLDS 200

struct worker {
    struct trp_store *store;
    struct trp_thread thread;
    struct trp_sha256 key;
    uint32_t failed_n;
};

static void hold_and_release(void *user)
{
    struct worker *w = user;
    struct trp_store_hold holds[3];
    for (int i = 0; i < HOLDS; i++) {
        for (int k = 0; k < 3; k++)
            w->failed_n += trp_failed(trp_store_lease_hold(w->store, &w->key, &holds[k], NULL));
        for (int k = 0; k < 3; k++)
            trp_store_lease_release(w->store, &holds[k]);
    }
}

static void loaders_of_one_process_hold_and_release_beside_each_other(void **state)
{
    struct fixture *f = *state;
    static const char *const names[THREADS] = { "a", "b", "c", "d" };
    struct worker workers[THREADS];
    struct trp_store_hold hold;
    const struct trp_sha256 key = key_of("a");
    const struct trp_gc_opts keep_all = { 0 };
    uint32_t failed = 0;
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){ .store = f->store, .key = key_of(names[i]) };
        make(f, names[i], "x");
    }
    const trp_status held = trp_store_lease_hold(f->store, &key, &hold, &f->err);
    for (int i = 0; i < THREADS; i++)
        failed += trp_failed(
            trp_thread_start(&workers[i].thread, "hold", hold_and_release, &workers[i], NULL));
    for (int i = 0; i < 20;
         i++) { /* no assertion while they run: it would jump out from under them */
        struct trp_swept swept = { 0 };
        failed += trp_failed(trp_sweeper_gc(f->store, &keep_all, &swept, NULL)) || !swept.held_n;
    }
    for (int i = 0; i < THREADS; i++) {
        trp_thread_join(&workers[i].thread);
        failed += workers[i].failed_n;
    }
    assert_int_equal(held.code, TRP_OK);
    assert_int_equal(failed, 0);
    assert_int_equal(gc(f, 1).held_n, 1);
    assert_int_equal(state_of(f, "a"), TRP_OK);
    trp_store_lease_release(f->store, &hold);
    assert_int_equal(gc(f, 1).held_n, 0);
}

/* --- verifying -------------------------------------------------------------------------------- */

struct damages {
    uint32_t n;
    char text[300];
};

static void note_damage(void *user, const struct trp_stored *what, const char *why)
{
    struct damages *d = user;
    (void)what;
    d->n++;
    (void)trp_str_copy(trp_str_of(why), d->text, sizeof d->text);
}

static struct trp_verified verify(struct fixture *f, bool only_tell, struct damages *d)
{
    const struct trp_verify_opts opts = { .only_tell = only_tell,
                                          .on_damage = note_damage,
                                          .user = d };
    struct trp_verified v = { 0 };
    *d = (struct damages){ 0 };
    if (trp_failed(trp_sweeper_verify(f->store, &opts, &v, &f->err)))
        fail_msg("%s", f->err.text);
    return v;
}

static void verifying_names_what_is_damaged_and_makes_room_for_a_new_one(void **state)
{
    struct fixture *f = *state;
    struct damages d;
    make(f, "a", "xy");
    make(f, "b", "yz");
    struct trp_verified v = verify(f, false, &d);
    assert_int_equal(v.artefacts_n, 2);
    assert_int_equal(v.blobs_n, 3);
    assert_int_equal(v.bytes, 3 * BLOB_BYTES);
    assert_int_equal(v.damaged_n, 0);
    damage_blob(f, 'x');
    v = verify(f, true, &d);
    assert_int_equal(v.damaged_n, 1);
    assert_non_null(strstr(d.text, "blob "));
    assert_int_equal(blobs(f), 3);
    v = verify(f, false, &d);
    assert_int_equal(d.n, 1);
    assert_int_equal(blobs(f), 2);
    assert_int_equal(state_of(f, "a"), TRP_NOT_FOUND);
    assert_int_equal(state_of(f, "b"), TRP_OK);
    make(f, "a", "xy");
    assert_int_equal(verify(f, false, &d).damaged_n, 0);
    damage_blob(f, 'y'); /* both need it */
    assert_int_equal(verify(f, false, &d).damaged_n, 2);
    assert_int_equal(entries(f, "made"), 0);
    assert_int_equal(entries(f, "tmp"), 0);
}

static void a_changed_skeleton_and_a_missing_blob_are_damage(void **state)
{
    struct fixture *f = *state;
    const struct trp_sha256 key = key_of("a");
    char path[TRP_STORE_PATH_MAX];
    struct trp_artefact a;
    struct damages d;
    make(f, "a", "x");
    assert_int_equal(trp_artefact_get(f->store, &key, &a, &f->err).code, TRP_OK);
    assert_int_equal(trp_file_replace(a.skeleton, "skELeton", 8, &f->err).code, TRP_OK);
    trp_artefact_deinit(&a);
    assert_int_equal(verify(f, false, &d).damaged_n, 1);
    assert_non_null(strstr(d.text, "skeleton"));
    make(f, "a", "x");
    blob_path(f, 'x', path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(verify(f, true, &d).damaged_n, 1);
    assert_int_equal(state_of(f, "a"), TRP_DATA_LOSS);
    make(f, "a", "x"); /* replaces what is damaged */
    assert_int_equal(state_of(f, "a"), TRP_OK);
}

struct time_of {
    int64_t now_ns, slept_ns;
};

static int64_t fake_now(void *user)
{
    return ((struct time_of *)user)->now_ns;
}

static void fake_sleep(void *user, int64_t ns)
{
    struct time_of *t = user;
    t->now_ns += ns;
    t->slept_ns += ns;
}

static void verifying_in_the_background_reads_so_much_a_second_and_can_be_stopped(void **state)
{
    struct fixture *f = *state;
    struct time_of t = { .now_ns = TRP_S(100) };
    volatile int32_t cancel = 0;
    const struct trp_clock clock = { .now_ns = fake_now, .user = &t };
    const struct trp_verify_opts opts = { .bytes_per_second = BLOB_BYTES / 2,
                                          .clock = &clock,
                                          .sleep = fake_sleep,
                                          .cancel = &cancel,
                                          .user = &t };
    struct trp_verified v;
    make(f, "a", "xyz");
    assert_int_equal(trp_sweeper_verify(f->store, &opts, &v, &f->err).code, TRP_OK);
    assert_true(t.slept_ns >= TRP_S(6) - 10 && t.slept_ns <= TRP_S(6) + 10);
    cancel = 1;
    assert_int_equal(trp_sweeper_verify(f->store, &opts, &v, &f->err).code, TRP_CANCELLED);
    assert_int_equal(state_of(f, "a"), TRP_OK);
}

/* --- others ----------------------------------------------------------------------------------- */

static void a_number_that_comes_back_finds_nothing_of_its_predecessor(void **state)
{
    struct fixture *f = *state;
    char lease[TRP_STORE_PATH_MAX], left[TRP_STORE_PATH_MAX];
    trp_store_close(f->store);
    (void)snprintf(lease, sizeof lease, "%s/leases/%ld.0", f->path, (long)getpid());
    (void)snprintf(left, sizeof left, "%s/tmp/%ld.0.1", f->path, (long)getpid());
    char key[TRP_SHA256_TEXT];
    const struct trp_sha256 a = key_of("a");
    trp_sha256_format(&a, key);
    key[TRP_SHA256_TEXT - 1] = '\n';
    assert_int_equal(trp_disk_write(lease, key, sizeof key, 0644, &f->err).code, TRP_OK);
    assert_int_equal(trp_disk_write(left, "x", 1, 0644, &f->err).code, TRP_OK);
    open_store(f);
    assert_int_equal(entries(f, "tmp"), 0);
    make(f, "a", "x"); /* writes under the name that was left */
    assert_int_equal(gc(f, 1).held_n, 0);
    assert_int_equal(state_of(f, "a"), TRP_NOT_FOUND);
}

static void who_waits_in_vain_for_the_store_says_so(void **state)
{
    struct fixture *f = *state;
    char path[TRP_STORE_PATH_MAX];
    int alone = -1, other = -1;
    assert_true(trp_store_part(f->store, "lock", NULL, path));
    assert_int_equal(trp_disk_lock_wait(path, true, 0, &alone, &f->err).code, TRP_OK);
    assert_int_equal(trp_disk_lock_wait(path, false, TRP_MS(5), &other, &f->err).code,
                     TRP_UNAVAILABLE);
    close(alone);
    assert_int_equal(trp_disk_lock_wait(path, false, 0, &alone, &f->err).code, TRP_OK);
    assert_int_equal(trp_disk_lock_wait(path, false, 0, &other, &f->err).code, TRP_OK);
    close(alone);
    close(other);
}

/* --- notes ------------------------------------------------------------------------------------ */

static void write_note(struct fixture *f, const char *part, const char *name, const char *text,
                       time_t age_s)
{
    char path[TRP_STORE_PATH_MAX];
    const struct timespec then = { .tv_sec = time(NULL) - age_s }, times[2] = { then, then };
    assert_int_equal(trp_store_replace(f->store, part, name, trp_str_of(text), &f->err).code,
                     TRP_OK);
    assert_true(trp_store_part(f->store, part, name, path));
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool has_note(const struct fixture *f, const char *part, const char *name)
{
    char path[TRP_STORE_PATH_MAX];
    return trp_store_part(f->store, part, name, path) && access(path, F_OK) == 0;
}

static void notes_of_what_is_gone_and_old_refusals_go(void **state)
{
    struct fixture *f = *state;
    char here[TRP_STORE_PATH_MAX + 64];
    (void)snprintf(here, sizeof here, "troupe seen 1\nfile 1 2 3 4 %s/format\ndigest 0\n", f->path);
    write_note(f, "seen", "here", here, 40 * 86400);
    write_note(f, "seen", "gone", "troupe seen 1\nfile 1 2 3 4 /nowhere/model.onnx\ndigest 0\n", 0);
    write_note(f, "seen", "nonsense", "nonsense", 0);
    write_note(f, "bad", "fresh", "no", 29 * 86400);
    write_note(f, "bad", "old", "no", 31 * 86400);
    write_note(f, "rows", "fresh", "no", 29 * 86400);
    write_note(f, "rows", "old", "no", 31 * 86400);
    const struct trp_gc_opts look = { .only_tell = true };
    struct trp_swept swept;
    assert_int_equal(trp_sweeper_gc(f->store, &look, &swept, &f->err).code, TRP_OK);
    assert_int_equal(swept.notes_n, 4);
    assert_true(has_note(f, "bad", "old"));
    assert_int_equal(gc(f, 0).notes_n, 4);
    assert_true(has_note(f, "seen", "here"));
    assert_true(has_note(f, "bad", "fresh"));
    assert_false(has_note(f, "seen", "gone"));
    assert_false(has_note(f, "seen", "nonsense"));
    assert_false(has_note(f, "bad", "old"));
    assert_true(has_note(f, "rows", "fresh"));
    assert_false(has_note(f, "rows", "old"));
}

static void a_refusal_that_is_asked_for_stays(void **state)
{
    struct fixture *f = *state;
    const struct trp_sha256 key = key_of("refused");
    char name[TRP_SHA256_TEXT];
    struct trp_artefact a;
    trp_sha256_format(&key, name);
    write_note(f, "bad", name, "it is odd", 31 * 86400);
    assert_int_equal(trp_artefact_get(f->store, &key, &a, &f->err).code, TRP_FAILED_PRECONDITION);
    assert_int_equal(gc(f, 0).notes_n, 0);
    assert_true(has_note(f, "bad", name));
}

/* An unmounted file system leaves a folder behind. */
static void nothing_is_written_where_the_store_was(void **state)
{
    struct fixture *f = *state;
    char away[TRP_STORE_PATH_MAX];
    const struct trp_sha256 key = key_of("a");
    struct trp_store_hold hold;
    (void)snprintf(away, sizeof away, "%s/away", f->folder);
    make(f, "a", "x");
    assert_int_equal(rename(f->path, away), 0);
    assert_int_equal(mkdir(f->path, 0755), 0);
    assert_int_equal(make_in(f->store, "b", "y", &f->err).code, TRP_UNAVAILABLE);
    assert_non_null(strstr(f->err.text, "is not there any more"));
    assert_int_equal(trp_store_lease_hold(f->store, &key, &hold, &f->err).code, TRP_UNAVAILABLE);
    assert_int_equal(rmdir(f->path), 0); /* it is empty */
    assert_int_equal(rename(away, f->path), 0);
    assert_int_equal(trp_store_lease_hold(f->store, &key, &hold, &f->err).code, TRP_OK);
    trp_store_lease_release(f->store, &hold);
    make(f, "b", "y");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_list_says_what_is_shared_and_what_was_used_last),
        TEST(a_store_that_is_only_looked_at_is_listed_and_not_changed),
        TEST(blobs_that_nobody_names_go_and_the_others_stay),
        TEST(the_least_recently_used_go_until_the_rest_fits),
        TEST(what_another_process_holds_stays_until_it_ends),
        TEST(what_another_process_builds_upon_stays_until_it_ends),
        TEST(damaged_manifests_and_left_overs_go_and_what_is_not_ours_stays),
        TEST(blobs_of_a_held_artefact_that_cannot_be_read_stay_with_all_others),
        TEST(a_removal_never_takes_what_is_being_published),
        TEST(loaders_of_one_process_hold_and_release_beside_each_other),
        TEST(verifying_names_what_is_damaged_and_makes_room_for_a_new_one),
        TEST(a_changed_skeleton_and_a_missing_blob_are_damage),
        TEST(verifying_in_the_background_reads_so_much_a_second_and_can_be_stopped),
        TEST(a_number_that_comes_back_finds_nothing_of_its_predecessor),
        TEST(notes_of_what_is_gone_and_old_refusals_go),
        TEST(a_refusal_that_is_asked_for_stays),
        TEST(who_waits_in_vain_for_the_store_says_so),
        TEST(nothing_is_written_where_the_store_was),
    };
    return cmocka_run_group_tests_name("sweeper", tests, NULL, NULL);
}
