/* base/sha256.h - names made of content.
 * Answers "are these the same bytes?", also against somebody who wants us to believe so. */
#ifndef TRP_SHA256_H
#define TRP_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define TRP_SHA256_BYTES 32
#define TRP_SHA256_TEXT 65 /* hexadecimal, with its end */

struct trp_sha256 {
    uint8_t bytes[TRP_SHA256_BYTES];
};

/* Hashes a piece of memory.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Cost  : some 0.6 ns a byte where the processor helps.
 *   Errors: OUT_OF_MEMORY (the library's).
 *   Source: FIPS 180-4, by OpenSSL. */
trp_status trp_sha256_memory(const void *data, size_t bytes, struct trp_sha256 *out,
                             struct trp_error *err);

/* Hashes a file to its end.
 *   Owns  : nothing.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(), OUT_OF_MEMORY. */
trp_status trp_sha256_file(const char *path, struct trp_sha256 *out, struct trp_error *err);

/* As trp_sha256_file(), but asks after each piece whether to go on: somebody who reads all day does
 * it slowly.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Blocks: disk, and as long as `go_on` does.
 *   Errors: as trp_sha256_file(); CANCELLED when go_on() was false. */
struct trp_sha256_pace {
    bool (*go_on)(void *user, size_t bytes); /* read just now */
    void *user;
};
trp_status trp_sha256_file_paced(const char *path, const struct trp_sha256_pace *pace,
                                 struct trp_sha256 *out, struct trp_error *err);

/* Writes 64 lower-case digits and an end; reads them back.
 *   Owns  : `out` is the caller's.
 *   Thread: any.
 *   Errors: parse is false for anything but 64 lower-case hexadecimal digits. */
void trp_sha256_format(const struct trp_sha256 *digest, char out[TRP_SHA256_TEXT]);
bool trp_sha256_parse(const char *text, struct trp_sha256 *out);

#endif
