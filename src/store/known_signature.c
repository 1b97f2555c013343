/* store/known_signature.c - see known_signature.h
 *
 *   troupe signature 2
 *   file BYTES TIME INODE DEVICE PATH
 *   sha256 DIGITS of all that follows
 *   how many bytes the signature has, in 8 · its bytes (tensor/signature_bytes.h) · the card's
 *   (model/card_bytes.h)
 *
 * A file is looked at before it is read, and again when its signature is written down: what
 * changed in between is not kept. */
#include "store/known_signature.h"

#include <inttypes.h>
#include <stdio.h>

#include <xxhash.h>

#include "base/disk.h"
#include "base/file.h"
#include "model/card_bytes.h"
#include "tensor/signature_bytes.h"

#define BYTES_MAX (4u << 20)
#define NAME_MAX_ 33
#define PART "signatures"
#define HEAD "troupe signature 2\n"
#define DIGITS (TRP_SHA256_TEXT - 1u)

static void name_of(const char *path, char out[NAME_MAX_])
{
    const XXH128_hash_t hash = XXH3_128bits(path, strlen(path));
    (void)snprintf(out, NAME_MAX_, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64,
                   (uint64_t)hash.low64);
}

/* All that must be the same for the signature to hold, as the file's first lines. */
static void add_head(struct trp_buf *b, const char *path, const struct trp_file_stat *st)
{
    trp_buf_addf(b, HEAD "file %" PRIu64 " %" PRId64 " %" PRIu64 " %" PRIu64 " %s\nsha256 ",
                 st->bytes, st->mtime_ns, st->inode, st->device, path);
}

static bool is_same(const struct trp_file_stat *a, const struct trp_file_stat *b)
{
    return a->kind == b->kind && a->bytes == b->bytes && a->mtime_ns == b->mtime_ns &&
           a->inode == b->inode && a->device == b->device;
}

static bool add_digest(struct trp_buf *b, struct trp_str body)
{
    struct trp_sha256 digest;
    char text[TRP_SHA256_TEXT];
    if (trp_failed(trp_sha256_memory(body.ptr, body.len, &digest, NULL)))
        return false;
    trp_sha256_format(&digest, text);
    trp_buf_add_text(b, text);
    trp_buf_add_char(b, '\n');
    return b->failed == TRP_OK;
}

/* ---- recalling ---- */

static bool read_body(struct trp_str body, struct trp_arena *arena, struct trp_signature *out,
                      struct trp_card *out_card)
{
    uint64_t n = 0;
    if (body.len < sizeof n)
        return false;
    memcpy(&n, body.ptr, sizeof n);
    const struct trp_str rest = trp_str_make(body.ptr + sizeof n, body.len - sizeof n);
    return n <= rest.len &&
           !trp_failed(
               trp_signature_bytes_decode(trp_str_make(rest.ptr, (size_t)n), arena, out, NULL)) &&
           !trp_failed(trp_card_bytes_decode(trp_str_make(rest.ptr + n, rest.len - (size_t)n),
                                             arena, out_card, NULL));
}

/* The part of a text behind the head that a file as it is now must have; false: it has another. */
static bool check_head(struct trp_str text, const char *path, const struct trp_file_stat *st,
                       struct trp_str *out_body)
{
    struct trp_buf want;
    bool is_right = false;
    trp_buf_init(&want, trp_heap(), BYTES_MAX);
    add_head(&want, path, st);
    if (!want.failed && text.len > want.len + DIGITS + 1) {
        const size_t head = want.len + DIGITS + 1;
        const struct trp_str body = trp_str_make(text.ptr + head, text.len - head);
        is_right = add_digest(&want, body) && memcmp(text.ptr, want.ptr, head) == 0;
        *out_body = body;
    }
    trp_buf_deinit(&want);
    return is_right;
}

bool trp_known_signature_get(const struct trp_store *s, const char *path, struct trp_arena *arena,
                             struct trp_file_stat *out_stat, struct trp_signature *out,
                             struct trp_card *out_card)
{
    struct trp_str body;
    char file[TRP_STORE_PATH_MAX], name[NAME_MAX_];
    char *text = NULL;
    size_t n = 0;
    *out_stat = (struct trp_file_stat){ .kind = 'o' };
    name_of(path, name);
    if (trp_failed(trp_file_stat(path, out_stat, NULL)) || out_stat->kind != 'f' ||
        !trp_store_part(s, PART, name, file) ||
        trp_failed(trp_file_read(trp_heap(), file, BYTES_MAX, &text, &n, NULL)))
        return false;
    const bool is_known = check_head(trp_str_make(text, n), path, out_stat, &body) &&
                          read_body(body, arena, out, out_card);
    trp_alloc_free(trp_heap(), text);
    return is_known;
}

/* ---- writing down ---- */

static void write_down(struct trp_store *s, const char *path, struct trp_str text)
{
    char temporary[TRP_STORE_PATH_MAX], file[TRP_STORE_PATH_MAX], name[NAME_MAX_];
    name_of(path, name);
    if (!trp_store_temporary(s, temporary) || !trp_store_part(s, PART, name, file))
        return;
    if (trp_failed(trp_disk_write_soon(temporary, text.ptr, text.len, 0644, NULL)) ||
        trp_failed(trp_disk_move(temporary, file, NULL)))
        (void)trp_disk_remove(temporary, NULL);
}

void trp_known_signature_put(struct trp_store *s, const char *path,
                             const struct trp_file_stat *stat,
                             const struct trp_signature *signature, const struct trp_card *card)
{
    struct trp_file_stat now;
    struct trp_buf text, body;
    if (trp_failed(trp_file_stat(path, &now, NULL)) || !is_same(&now, stat))
        return;
    trp_buf_init(&text, trp_heap(), BYTES_MAX);
    trp_buf_init(&body, trp_heap(), BYTES_MAX / 2);
    trp_signature_bytes_encode(signature, &text);
    const uint64_t signature_bytes = text.len;
    trp_buf_add(&body, &signature_bytes, sizeof signature_bytes);
    trp_buf_add_str(&body, trp_buf_str(&text));
    trp_card_bytes_encode(card, &body);
    body.failed = body.failed ? body.failed : text.failed;
    trp_buf_reset(&text);
    add_head(&text, path, stat);
    if (!body.failed && add_digest(&text, trp_buf_str(&body))) {
        trp_buf_add_str(&text, trp_buf_str(&body));
        if (!text.failed)
            write_down(s, path, trp_buf_str(&text));
    }
    trp_buf_deinit(&text);
    trp_buf_deinit(&body);
}
