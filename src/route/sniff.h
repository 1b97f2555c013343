/* route/sniff.h - what kind of content these bytes are.
 * Answers "is that a picture, a sound, a text?", by the first bytes, as browsers do.  A guess about
 * a stranger's bytes, never a promise: what begins like a JPEG may be broken further on. */
#ifndef TRP_SNIFF_H
#define TRP_SNIFF_H

#include "base/str.h"

enum trp_content {
    TRP_CONTENT_OTHER, /* none of these */
    TRP_CONTENT_TEXT,  /* UTF-8 without control characters, as far as it was looked at; also no byte
                       * at all */
    TRP_CONTENT_IMAGE,
    TRP_CONTENT_AUDIO,
    TRP_CONTENT_VIDEO,
    TRP_CONTENT_PDF,
    TRP_CONTENTS
};

#define TRP_SNIFF_MAGIC_BYTES 512u /* as far as is looked for a known beginning */
#define TRP_SNIFF_TEXT_BYTES 1024u /* as far as is looked whether it is text */

/* Tells the kind of content; its format, such as "jpeg" or "wav" ("utf-8" for text, "" for other).
 *   Owns  : borrowed; the format is static.
 *   Thread: any.
 *   Cost  : O(1): the bounds above; no allocation.
 *   Errors: none.
 *   Source: WHATWG MIME Sniffing; the formats' own specifications, see the table in sniff.c. */
enum trp_content trp_sniff(const void *bytes, size_t n);
const char *trp_sniff_format(const void *bytes, size_t n);

/* "other", "text", "image", "audio", "video", "pdf".
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const char *trp_content_name(enum trp_content kind);

#endif
