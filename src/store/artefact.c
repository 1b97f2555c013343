/* store/artefact.c - see artefact.h.
 *
 * The manifest is text, a line for each thing, so that whoever wonders can read it:
 *
 *     troupe prepared 1
 *     source /models/resnet50/1/model.onnx
 *     made-by onnxruntime 1.32.0
 *     content 3a7bd3e2... 97532104                   of the model's files together, and how many bytes the model file has
 *     inside initializer name is not unique          only where the weights are in the skeleton: why
 *     skeleton 38694 9f86d081...
 *     blob ab/cdef... 9437184 1f2e3d4c5b6a7988
 *     end 1
 *
 * The last line counts the blobs: a manifest that was cut is not believed. */
#include "store/artefact.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/disk.h"
#include "base/file.h"

#define HEAD "troupe prepared 1\n"
#define MANIFEST_MAX (256u << 20)
#define REASON_MAX 4096
#define LINE_MAX_BYTES 4608

static bool part_of(const struct trp_store *s, const char *part, const struct trp_sha256 *key,
                    const char *file, char out[TRP_STORE_PATH_MAX])
{
    char name[TRP_SHA256_TEXT + 32], text[TRP_SHA256_TEXT];
    trp_sha256_format(key, text);
    (void)snprintf(name, sizeof name, "%s%s%s", text, file ? "/" : "", file ? file : "");
    return trp_store_part(s, part, name, out);
}

static trp_status too_long(const struct trp_store *s, struct trp_error *err)
{
    return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: path too long", trp_store_path(s));
}

void trp_artefact_deinit(struct trp_artefact *a)
{
    trp_alloc_free(trp_heap(), a->blobs);
    trp_alloc_free(trp_heap(), a->text);
    a->source = a->made_by = a->inside = a->text = NULL;
    a->blobs = NULL;
    a->blobs_n = 0;
}

void trp_artefact_describe(const struct trp_artefact *a, struct troupe_model_desc *desc)
{
    desc->skeleton = a->skeleton;
    desc->blobs = a->blobs_n ? a->blobs_folder : NULL;
}

/* --- reading ---------------------------------------------------------------------------------- */

static trp_status is_damaged(struct trp_error *err)
{
    return trp_fail(err, TRP_DATA_LOSS, "the manifest is damaged");
}

static bool read_blob(const char *line, struct trp_artefact *a)
{
    struct trp_blob *blob = &a->blobs[a->blobs_n];
    char name[TROUPE_BLOB_NAME_MAX];
    if (sscanf(line, "blob %79s %" SCNu64 " %" SCNx64, name, &blob->bytes, &blob->edges) != 3 ||
        blob->bytes == 0 || strlen(name) != TRP_SHA256_TEXT || name[2] != '/' || strstr(name, ".."))
        return false;
    (void)trp_str_copy(trp_str_of(name), blob->name, sizeof blob->name);
    a->blobs_n++;
    a->blob_bytes += blob->bytes;
    return true;
}

static bool read_content(const char *line, struct trp_artefact *a)
{
    char digest[TRP_SHA256_TEXT];
    a->has_content = sscanf(line, "content %64s %" SCNu64, digest, &a->model_bytes) == 2 &&
                     trp_sha256_parse(digest, &a->content);
    return a->has_content;
}

/* One line, terminated; `is_over` when it was the last. */
static bool read_line(const char *line, struct trp_artefact *a, bool *is_over)
{
    char digest[TRP_SHA256_TEXT];
    uint32_t n = 0;
    if (strncmp(line, "source ", 7) == 0)
        return a->source = line + 7, true;
    if (strncmp(line, "made-by ", 8) == 0)
        return a->made_by = line + 8, true;
    if (strncmp(line, "inside ", 7) == 0)
        return a->inside = line + 7, true;
    if (strncmp(line, "blob ", 5) == 0)
        return read_blob(line, a);
    if (strncmp(line, "content ", 8) == 0)
        return read_content(line, a);
    if (sscanf(line, "skeleton %" SCNu64 " %64s", &a->skeleton_bytes, digest) == 2)
        return trp_sha256_parse(digest, &a->skeleton_digest);
    *is_over = sscanf(line, "end %" SCNu32, &n) == 1 && n == a->blobs_n;
    return *is_over;
}

static uint32_t count_lines(const char *text)
{
    uint32_t n = 0;
    for (; (text = strchr(text, '\n')); text++)
        n++;
    return n;
}

static trp_status read_manifest(char *text, struct trp_artefact *a, struct trp_error *err)
{
    const uint32_t lines = count_lines(text);
    bool is_over = false;
    if (strncmp(text, HEAD, strlen(HEAD)) != 0 || lines > TRP_ARTEFACT_BLOBS_MAX)
        return is_damaged(err);
    a->blobs = trp_alloc_zeroed(trp_heap(), lines + 1, sizeof *a->blobs);
    if (!a->blobs)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "manifest of %u lines", lines);
    for (char *line = text + strlen(HEAD), *end; !is_over && (end = strchr(line, '\n'));
         line = end + 1) {
        *end = '\0';
        if (!read_line(line, a, &is_over))
            return is_damaged(err);
    }
    return is_over && a->skeleton_bytes > 0 ? trp_ok() : is_damaged(err);
}

static trp_status load_manifest(const struct trp_store *s, const struct trp_sha256 *key,
                                struct trp_artefact *a, struct trp_error *err)
{
    char path[TRP_STORE_PATH_MAX];
    size_t n = 0;
    if (!part_of(s, "made", key, "manifest", path) ||
        !part_of(s, "made", key, "skeleton.onnx", a->skeleton) ||
        !trp_store_part(s, "blobs", NULL, a->blobs_folder))
        return too_long(s, err);
    TRP_CHECK(trp_file_read(trp_heap(), path, MANIFEST_MAX, &a->text, &n, err));
    a->source = a->made_by = a->inside = "";
    return strlen(a->text) == n ? read_manifest(a->text, a, err) : is_damaged(err);
}

trp_status trp_artefact_read(const struct trp_store *s, const struct trp_sha256 *key,
                             struct trp_artefact *out, struct trp_error *err)
{
    *out = (struct trp_artefact){ 0 };
    const trp_status st = load_manifest(s, key, out, err);
    if (trp_failed(st))
        trp_artefact_deinit(out);
    return st;
}

/* FAILED_PRECONDITION with the reason when it is known that this cannot be prepared. */
static trp_status look_for_reason(const struct trp_store *s, const struct trp_sha256 *key,
                                  struct trp_error *err)
{
    char path[TRP_STORE_PATH_MAX];
    char *text = NULL;
    size_t n = 0;
    if (!part_of(s, "bad", key, NULL, path))
        return too_long(s, err);
    if (trp_failed(trp_file_read(trp_heap(), path, REASON_MAX, &text, &n, NULL)))
        return trp_fail(err, TRP_NOT_FOUND, "not prepared");
    (void)utimensat(AT_FDCWD, path, NULL, 0); /* somebody still asks: see notes.h */
    const trp_status st = trp_fail(err, TRP_FAILED_PRECONDITION, "%s", text);
    trp_alloc_free(trp_heap(), text);
    return st;
}

static trp_status check_skeleton(const struct trp_artefact *a, struct trp_error *err)
{
    struct trp_file_stat st;
    TRP_CHECK(trp_file_stat(a->skeleton, &st, err));
    if (st.kind == 'f' && st.bytes == a->skeleton_bytes)
        return st.mtime_ns == TRP_STORE_DATE_S * 1000000000
                   ? trp_ok()
                   : trp_fail(err, TRP_DATA_LOSS,
                              "the skeleton was written to, or copied without its date");
    return trp_fail(err, TRP_DATA_LOSS, "the skeleton has %llu bytes, not %llu",
                    (unsigned long long)st.bytes, (unsigned long long)a->skeleton_bytes);
}

static trp_status check_parts(const struct trp_store *s, const struct trp_artefact *a,
                              trp_status (*check)(const struct trp_store *s,
                                                  const struct trp_blob *blob,
                                                  struct trp_error *err),
                              struct trp_error *err)
{
    TRP_CHECK(check_skeleton(a, err));
    for (uint32_t i = 0; i < a->blobs_n; i++)
        TRP_CHECK(check(s, &a->blobs[i], err));
    return trp_ok();
}

/* A manifest whose parts are not there is no longer whole, whatever the reason. */
static trp_status as_loss(trp_status st, struct trp_error *err)
{
    if (st.code != TRP_NOT_FOUND)
        return st;
    st.code = TRP_DATA_LOSS;
    if (err)
        err->status = st;
    return st;
}

trp_status trp_artefact_get(const struct trp_store *s, const struct trp_sha256 *key,
                            struct trp_artefact *out, struct trp_error *err)
{
    trp_status st = trp_artefact_read(s, key, out, err);
    if (st.code == TRP_NOT_FOUND)
        return look_for_reason(s, key, err);
    TRP_CHECK(st);
    st = as_loss(check_parts(s, out, trp_blob_check, err), err);
    if (trp_failed(st))
        trp_artefact_deinit(out);
    return st;
}

trp_status trp_artefact_verify_skeleton(const struct trp_artefact *a, struct trp_error *err)
{
    struct trp_sha256 digest;
    TRP_CHECK(check_skeleton(a, err));
    TRP_CHECK(trp_sha256_file(a->skeleton, &digest, err));
    return memcmp(&digest, &a->skeleton_digest, sizeof digest) == 0
               ? trp_ok()
               : trp_fail(err, TRP_DATA_LOSS, "the skeleton was changed");
}

static trp_status verify_blob(const struct trp_store *s, const struct trp_blob *blob,
                              struct trp_error *err)
{
    return trp_blob_verify(s, blob, NULL, err);
}

trp_status trp_artefact_verify(const struct trp_store *s, const struct trp_sha256 *key,
                               struct trp_error *err)
{
    struct trp_artefact a;
    TRP_CHECK(trp_artefact_get(s, key, &a, err));
    trp_status st = trp_artefact_verify_skeleton(&a, err);
    if (!trp_failed(st))
        st = check_parts(s, &a, verify_blob, err);
    trp_artefact_deinit(&a);
    return as_loss(st, err);
}

/* --- dropping --------------------------------------------------------------------------------- */

trp_status trp_artefact_drop(const struct trp_store *s, const struct trp_sha256 *key,
                             struct trp_error *err)
{
    char path[TRP_STORE_PATH_MAX];
    if (!part_of(s, "made", key, NULL, path))
        return too_long(s, err);
    return trp_disk_remove(path, err);
}

trp_status trp_artefact_refuse(struct trp_store *s, const struct trp_sha256 *key,
                               const char *reason, struct trp_error *err)
{
    char name[TRP_SHA256_TEXT];
    const size_t n = strlen(reason);
    trp_sha256_format(key, name);
    return trp_store_replace(s, "bad", name,
                             trp_str_make(reason, n < REASON_MAX ? n : REASON_MAX - 1), err);
}

/* --- making ----------------------------------------------------------------------------------- */

static bool has_room(struct trp_draft *d)
{
    struct trp_artefact *a = &d->artefact;
    if (a->blobs_n < d->blobs_capacity)
        return true;
    const uint32_t wanted = d->blobs_capacity ? 2 * d->blobs_capacity : 64;
    struct trp_blob *blobs =
        wanted <= TRP_ARTEFACT_BLOBS_MAX
            ? trp_alloc_resize(trp_heap(), a->blobs, a->blobs_n * sizeof *blobs,
                               wanted * sizeof *blobs)
            : NULL;
    if (!blobs)
        return false;
    a->blobs = blobs;
    d->blobs_capacity = wanted;
    return true;
}

static bool is_listed(const struct trp_artefact *a, const char *name)
{
    for (uint32_t i = 0; i < a->blobs_n; i++)
        if (strcmp(a->blobs[i].name, name) == 0)
            return true;
    return false;
}

static trp_status keep_blob(struct trp_draft *d, const void *data, const struct trp_blob *blob)
{
    TRP_CHECK(trp_pins_add(&d->pins, blob->name, &d->error));
    TRP_CHECK(trp_blob_put(d->store, data, blob, &d->error));
    d->artefact.blobs_n++;
    d->artefact.blob_bytes += blob->bytes;
    return trp_ok();
}

static int32_t take_blob(void *user, const void *data, uint64_t bytes, char *out_name)
{
    struct trp_draft *d = user;
    struct trp_artefact *a = &d->artefact;
    if (!has_room(d))
        return trp_fail(&d->error, TRP_OUT_OF_MEMORY, "%u blobs", a->blobs_n).code;
    struct trp_blob *blob = &a->blobs[a->blobs_n];
    trp_status st = trp_blob_describe(data, bytes, blob, &d->error);
    if (!trp_failed(st) && !is_listed(a, blob->name)) /* equal weights within one model */
        st = keep_blob(d, data, blob);
    if (!trp_failed(st))
        (void)trp_str_copy(trp_str_of(blob->name), out_name, TROUPE_BLOB_NAME_MAX);
    return st.code;
}

static int32_t take_skeleton(void *user, const void *data, uint64_t bytes)
{
    struct trp_draft *d = user;
    struct trp_artefact *a = &d->artefact;
    trp_status st = trp_sha256_memory(data, bytes, &a->skeleton_digest, &d->error);
    if (!trp_failed(st))
        st = trp_disk_write_dated(a->skeleton, data, bytes, 0444, TRP_STORE_DATE_S, &d->error);
    a->skeleton_bytes = bytes;
    d->has_skeleton = !trp_failed(st);
    return st.code;
}

trp_status trp_draft_begin(struct trp_draft *d, struct trp_store *s, struct trp_error *err)
{
    *d = (struct trp_draft){ .store = s };
    d->sink = (struct troupe_blob_sink){
        .struct_size = sizeof d->sink, .user = d, .blob = take_blob, .skeleton = take_skeleton
    };
    struct trp_artefact *a = &d->artefact;
    if (!trp_store_temporary(s, d->folder) ||
        snprintf(a->skeleton, sizeof a->skeleton, "%s/skeleton.onnx", d->folder) >=
            (int)sizeof a->skeleton ||
        !trp_store_part(s, "blobs", NULL, a->blobs_folder)) {
        d->folder[0] = '\0';
        return too_long(s, err);
    }
    TRP_CHECK(trp_store_is_there(s, err));
    TRP_CHECK(trp_disk_make_folder(d->folder, err));
    return trp_pins_open(&d->pins, s, d->folder, err);
}

static void write_text(struct trp_buf *b, const char *what, const char *text)
{
    trp_buf_add_text(b, what);
    for (; *text; text++) /* a line stays a line */
        trp_buf_add(b, *text == '\n' ? "?" : text, 1);
    trp_buf_add_text(b, "\n");
}

static void write_lines(struct trp_buf *b, const struct trp_draft *d, const char *source)
{
    const struct trp_artefact *a = &d->artefact;
    char digest[TRP_SHA256_TEXT], line[LINE_MAX_BYTES];
    trp_buf_add_text(b, HEAD);
    write_text(b, "source ", source);
    if (d->made_by[0])
        write_text(b, "made-by ", d->made_by);
    if (d->inside[0])
        write_text(b, "inside ", d->inside);
    if (a->has_content) {
        trp_sha256_format(&a->content, digest);
        (void)snprintf(line, sizeof line, "content %s %" PRIu64 "\n", digest, a->model_bytes);
        trp_buf_add_text(b, line);
    }
    trp_sha256_format(&a->skeleton_digest, digest);
    (void)snprintf(line, sizeof line, "skeleton %" PRIu64 " %s\n", a->skeleton_bytes, digest);
    trp_buf_add_text(b, line);
    for (uint32_t i = 0; i < a->blobs_n; i++) {
        (void)snprintf(line, sizeof line, "blob %s %" PRIu64 " %016" PRIx64 "\n", a->blobs[i].name,
                       a->blobs[i].bytes, a->blobs[i].edges);
        trp_buf_add_text(b, line);
    }
    (void)snprintf(line, sizeof line, "end %u\n", a->blobs_n);
    trp_buf_add_text(b, line);
}

trp_status trp_draft_finish(struct trp_draft *d, const char *source, struct trp_error *err)
{
    char path[TRP_STORE_PATH_MAX];
    struct trp_buf lines;
    if (!d->has_skeleton)
        return trp_fail(err, TRP_FAILED_PRECONDITION, "the backend made no skeleton");
    if (snprintf(path, sizeof path, "%s/manifest", d->folder) >= (int)sizeof path)
        return too_long(d->store, err);
    trp_buf_init(&lines, trp_heap(), MANIFEST_MAX);
    write_lines(&lines, d, source);
    const trp_status st = lines.failed ? trp_fail(err, TRP_OUT_OF_MEMORY, "manifest")
                                       : trp_disk_write(path, trp_buf_str(&lines).ptr,
                                                        trp_buf_str(&lines).len, 0444, err);
    trp_buf_deinit(&lines);
    return st;
}

/* What lies under a key already is as good, unless it cannot be opened: then it makes room.  With
 * the store to ourselves, so that of two who find the same damage none removes what the other
 * has just made. */
static trp_status replace_damaged(struct trp_draft *d, const struct trp_sha256 *key,
                                  const char *path, struct trp_error *err)
{
    struct trp_artefact other;
    int lock = -1;
    TRP_CHECK(trp_store_lock(d->store, TRP_STORE_ALONE, &lock, err));
    trp_status st = trp_artefact_get(d->store, key, &other, NULL);
    if (!trp_failed(st)) {
        trp_artefact_deinit(&other); /* somebody was faster; the draft is dropped */
    } else {
        st = trp_artefact_drop(d->store, key, err);
        if (!trp_failed(st))
            st = trp_disk_publish(d->folder, path, err);
        if (!trp_failed(st))
            d->folder[0] = '\0';
    }
    close(lock);
    return st;
}

trp_status trp_draft_publish(struct trp_draft *d, const struct trp_sha256 *key,
                             struct trp_error *err)
{
    char path[TRP_STORE_PATH_MAX];
    if (!part_of(d->store, "made", key, NULL, path))
        return too_long(d->store, err);
    const trp_status st = trp_disk_publish(d->folder, path, err);
    if (st.code == TRP_ALREADY_EXISTS)
        return replace_damaged(d, key, path, err);
    if (!trp_failed(st))
        d->folder[0] = '\0';
    return st;
}

void trp_draft_drop(struct trp_draft *d)
{
    struct trp_error err;
    if (d->folder[0] && trp_failed(trp_disk_remove(d->folder, &err)))
        TRP_WARN(trp_store_log(d->store), "store", "a temporary folder stays: %s", err.text);
    trp_pins_close(
        &d->pins); /* after it was published: no moment in which nobody names its blobs */
    trp_artefact_deinit(&d->artefact);
    d->folder[0] = '\0';
}
