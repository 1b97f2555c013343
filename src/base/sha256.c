/* base/sha256.c - see sha256.h. */
#include "base/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/torture.h"

#define PIECE_BYTES (256 * 1024)

static trp_status failed(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "SHA-256");
}

trp_status trp_sha256_memory(const void *data, size_t bytes, struct trp_sha256 *out,
                             struct trp_error *err)
{
    return EVP_Digest(data, bytes, out->bytes, NULL, EVP_sha256(), NULL) == 1 ? trp_ok()
                                                                              : failed(err);
}

static trp_status hash_rest(int fd, char *piece, EVP_MD_CTX *context,
                            const struct trp_sha256_pace *pace, struct trp_error *err)
{
    for (;;) {
        const ssize_t n =
            TRP_TORTURE_FAILS("read") ? (errno = EIO, -1) : read(fd, piece, PIECE_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return trp_fail_errno(err, errno, "read");
        if (n == 0)
            return trp_ok();
        if (EVP_DigestUpdate(context, piece, (size_t)n) != 1)
            return failed(err);
        if (pace && !pace->go_on(pace->user, (size_t)n))
            return trp_fail(err, TRP_CANCELLED, "given up");
    }
}

trp_status trp_sha256_file(const char *path, struct trp_sha256 *out, struct trp_error *err)
{
    return trp_sha256_file_paced(path, NULL, out, err);
}

trp_status trp_sha256_file_paced(const char *path, const struct trp_sha256_pace *pace,
                                 struct trp_sha256 *out, struct trp_error *err)
{
    int fd = -1;
    TRP_CHECK(trp_file_open(path, O_RDONLY, 0, &fd, err));
    char *piece = trp_alloc_get(trp_heap(), 1, PIECE_BYTES);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const bool is_begun = piece && context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
    trp_status st = is_begun ? hash_rest(fd, piece, context, pace, err) : failed(err);
    if (!trp_failed(st) && EVP_DigestFinal_ex(context, out->bytes, NULL) != 1)
        st = failed(err);
    EVP_MD_CTX_free(context);
    trp_alloc_free(trp_heap(), piece);
    close(fd);
    if (trp_failed(st))
        trp_error_within(err, "%s", path);
    return st;
}

void trp_sha256_format(const struct trp_sha256 *digest, char out[TRP_SHA256_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < TRP_SHA256_BYTES; i++) {
        out[2 * i] = digits[digest->bytes[i] >> 4];
        out[2 * i + 1] = digits[digest->bytes[i] & 15];
    }
    out[TRP_SHA256_TEXT - 1] = '\0';
}

static int value_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool trp_sha256_parse(const char *text, struct trp_sha256 *out)
{
    struct trp_sha256 digest;
    if (strlen(text) != TRP_SHA256_TEXT - 1)
        return false;
    for (size_t i = 0; i < TRP_SHA256_BYTES; i++) {
        const int high = value_of(text[2 * i]), low = value_of(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        digest.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *out = digest;
    return true;
}
