/* admin/openapi.h - the description of everything under /api.
 * Answers "which operations are there, and what do they take and give?", for programs:
 * docs/openapi.json, which the build puts into the binary. */
#ifndef TRP_OPENAPI_H
#define TRP_OPENAPI_H

#include <stddef.h>

extern const unsigned char trp_openapi_text[]; /* JSON, not terminated */
extern const size_t trp_openapi_bytes;

#endif
