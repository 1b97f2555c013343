/* tests/unit/store/made.h - a store with something in it.
 * Answers "what would a backend have prepared?", without one. */
#ifndef TRP_TEST_MADE_H
#define TRP_TEST_MADE_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/disk.h"
#include "base/file.h"
#include "scratch.h"
#include "store/artefact.h"
#include "store/store_lease.h"

#define BLOB_BYTES 5000

struct fixture {
    char folder[SCRATCH_PATH_MAX], path[TRP_STORE_PATH_MAX];
    struct trp_store *store;
    struct trp_error err;
};

static inline void open_store(struct fixture *f)
{
    const struct trp_store_opts opts = { .path = f->path };
    if (trp_failed(trp_store_open(trp_heap(), &opts, &f->store, &f->err)))
        fail_msg("%s", f->err.text);
}

static inline int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    scratch_folder(f->folder, "store");
    (void)snprintf(f->path, sizeof f->path, "%s/store", f->folder);
    *state = f;
    open_store(f);
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    trp_store_close(f->store);
    assert_int_equal(trp_disk_remove(f->folder, &f->err).code, TRP_OK);
    free(f);
    return 0;
}

static inline struct trp_sha256 key_of(const char *text)
{
    struct trp_sha256 key = { { 0 } };
    (void)trp_sha256_memory(text, strlen(text), &key, NULL);
    return key;
}

/* Publishes a model whose blobs are each filled with one of `letters`. */
static inline trp_status make_in(struct trp_store *s, const char *name, const char *letters,
                                 struct trp_error *err)
{
    static const char skeleton[] = "skeleton";
    const struct trp_sha256 key = key_of(name);
    char data[BLOB_BYTES], blob[TROUPE_BLOB_NAME_MAX];
    struct trp_draft d;
    trp_status st = trp_draft_begin(&d, s, err);
    for (const char *letter = letters; *letter && !trp_failed(st); letter++) {
        memset(data, *letter, sizeof data);
        st.code = d.sink.blob(d.sink.user, data, sizeof data, blob);
    }
    if (!trp_failed(st))
        st.code = d.sink.skeleton(d.sink.user, skeleton, strlen(skeleton));
    if (trp_failed(d.error.status) && err)
        *err = d.error;
    (void)snprintf(d.made_by, sizeof d.made_by, "test 1");
    if (!trp_failed(st))
        st = trp_draft_finish(&d, name, err);
    if (!trp_failed(st))
        st = trp_draft_publish(&d, &key, err);
    trp_draft_drop(&d);
    return st;
}

static inline void make(struct fixture *f, const char *name, const char *letters)
{
    if (trp_failed(make_in(f->store, name, letters, &f->err)))
        fail_msg("%s: %s", name, f->err.text);
}

/* How the manifest of a model says when it was used. */
static inline void used_at(struct fixture *f, const char *name, time_t seconds)
{
    const struct trp_sha256 key = key_of(name);
    const struct timespec times[2] = { { .tv_sec = seconds }, { .tv_sec = seconds } };
    char path[TRP_STORE_PATH_MAX], file[TRP_SHA256_TEXT + 16], text[TRP_SHA256_TEXT];
    trp_sha256_format(&key, text);
    (void)snprintf(file, sizeof file, "%s/manifest", text);
    assert_true(trp_store_part(f->store, "made", file, path));
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* OK when it can be opened. */
static inline int32_t state_of(struct fixture *f, const char *name)
{
    const struct trp_sha256 key = key_of(name);
    struct trp_artefact a;
    const trp_status st = trp_artefact_get(f->store, &key, &a, &f->err);
    if (!trp_failed(st))
        trp_artefact_deinit(&a);
    return st.code;
}

static inline trp_status count_entry(void *user, const char *name, struct trp_error *err)
{
    (void)name;
    (void)err;
    ++*(uint32_t *)user;
    return trp_ok();
}

static inline uint32_t entries(const struct fixture *f, const char *part)
{
    char path[TRP_STORE_PATH_MAX];
    uint32_t n = 0;
    assert_true(trp_store_part(f->store, part, NULL, path));
    assert_int_equal(trp_dir_each(path, 1000000, count_entry, &n, NULL).code, TRP_OK);
    return n;
}

#endif
