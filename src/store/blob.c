/* store/blob.c - see blob.h.
 *
 *  1. A blob is written under a temporary name, dated, synced, and renamed, read only; nobody
 *     writes to it again.  So a mapping of it never changes, and removing it harms no mapping.  Who
 *     does write to it changes its date.
 *  2. One that is there is looked at before it is believed: a bad one is replaced, by rename, and
 *     whoever has mapped it keeps what he has. */
#include "store/blob.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#include "base/disk.h"
#include "base/file.h"

#define EDGE_BYTES 4096u
#define FOLDER_DIGITS 2

static bool path_of(const struct trp_store *s, const char *name, char out[TRP_STORE_PATH_MAX])
{
    return trp_store_part(s, "blobs", name, out);
}

static trp_status too_long(const struct trp_store *s, struct trp_error *err)
{
    return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: path too long", trp_store_path(s));
}

static uint64_t edges_of(const unsigned char *data, uint64_t bytes)
{
    const uint64_t n = bytes < EDGE_BYTES ? bytes : EDGE_BYTES;
    return XXH64(data, n, 0) ^ XXH64(data + (bytes - n), n, 1);
}

/* --- looking ---------------------------------------------------------------------------------- */

static trp_status is_bad(const struct trp_blob *blob, struct trp_error *err, const char *what)
{
    return trp_fail(err, TRP_DATA_LOSS, "blob %s %s", blob->name, what);
}

static trp_status check_edges(int fd, const struct trp_blob *blob, struct trp_error *err)
{
    unsigned char page[EDGE_BYTES];
    const size_t n = blob->bytes < EDGE_BYTES ? (size_t)blob->bytes : EDGE_BYTES;
    if (pread(fd, page, n, 0) != (ssize_t)n)
        return is_bad(blob, err, "cannot be read");
    uint64_t edges = XXH64(page, n, 0);
    if (pread(fd, page, n, (off_t)(blob->bytes - n)) != (ssize_t)n)
        return is_bad(blob, err, "cannot be read");
    edges ^= XXH64(page, n, 1);
    return edges == blob->edges ? trp_ok() : is_bad(blob, err, "was changed");
}

trp_status trp_blob_check(const struct trp_store *s, const struct trp_blob *blob,
                          struct trp_error *err)
{
    char path[TRP_STORE_PATH_MAX];
    struct stat st;
    int fd = -1;
    if (!path_of(s, blob->name, path))
        return too_long(s, err);
    TRP_TRY(trp_file_open(path, O_RDONLY | O_NOFOLLOW, 0, &fd, err), err, "blob %s", blob->name);
    trp_status status;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        status = is_bad(blob, err, "is no file");
    else if ((uint64_t)st.st_size != blob->bytes)
        status = trp_fail(err, TRP_DATA_LOSS, "blob %s has %lld bytes, not %llu", blob->name,
                          (long long)st.st_size, (unsigned long long)blob->bytes);
    else if (st.st_mtim.tv_sec != TRP_STORE_DATE_S || st.st_mtim.tv_nsec != 0)
        status = is_bad(blob, err, "was written to, or copied without its date");
    else
        status = check_edges(fd, blob, err);
    close(fd);
    return status;
}

trp_status trp_blob_verify(const struct trp_store *s, const struct trp_blob *blob,
                           const struct trp_sha256_pace *pace, struct trp_error *err)
{
    char path[TRP_STORE_PATH_MAX], text[TRP_SHA256_TEXT];
    struct trp_sha256 digest;
    TRP_CHECK(trp_blob_check(s, blob, err));
    if (!path_of(s, blob->name, path))
        return too_long(s, err);
    TRP_CHECK(trp_sha256_file_paced(path, pace, &digest, err));
    trp_sha256_format(&digest, text);
    const bool is_same = strncmp(blob->name, text, FOLDER_DIGITS) == 0 &&
                         strcmp(blob->name + FOLDER_DIGITS + 1, text + FOLDER_DIGITS) == 0;
    return is_same ? trp_ok() : is_bad(blob, err, "does not hold what its name says");
}

/* --- putting ---------------------------------------------------------------------------------- */

static trp_status write_blob(struct trp_store *s, const void *data, const struct trp_blob *blob,
                             const char *path, struct trp_error *err)
{
    char temporary[TRP_STORE_PATH_MAX], folder[TRP_STORE_PATH_MAX], name[FOLDER_DIGITS + 1];
    (void)trp_str_copy(trp_str_make(blob->name, FOLDER_DIGITS), name, sizeof name);
    if (!trp_store_temporary(s, temporary) || !path_of(s, name, folder))
        return too_long(s, err);
    TRP_CHECK(trp_disk_make_folder(folder, err));
    TRP_CHECK(trp_disk_write_dated(temporary, data, blob->bytes, 0444, TRP_STORE_DATE_S, err));
    const trp_status st = trp_disk_publish(temporary, path, err);
    if (trp_failed(st))
        (void)trp_disk_remove(temporary, NULL);
    return st;
}

trp_status trp_blob_describe(const void *data, uint64_t bytes, struct trp_blob *out,
                             struct trp_error *err)
{
    char text[TRP_SHA256_TEXT];
    struct trp_sha256 digest;
    TRP_CHECK(trp_sha256_memory(data, bytes, &digest, err));
    trp_sha256_format(&digest, text);
    *out = (struct trp_blob){ .bytes = bytes, .edges = edges_of(data, bytes) };
    (void)snprintf(out->name, sizeof out->name, "%.*s/%s", FOLDER_DIGITS, text,
                   text + FOLDER_DIGITS);
    return trp_ok();
}

trp_status trp_blob_put(struct trp_store *s, const void *data, const struct trp_blob *blob,
                        struct trp_error *err)
{
    char path[TRP_STORE_PATH_MAX];
    if (!path_of(s, blob->name, path))
        return too_long(s, err);
    return trp_failed(trp_blob_check(s, blob, NULL)) ? write_blob(s, data, blob, path, err)
                                                     : trp_ok();
}
