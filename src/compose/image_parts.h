/* compose/image_parts.h - one library for each format.
 * Answers "who reads which file?".  Private to this room; image_decode.c has told the formats
 * apart. */
#ifndef TRP_IMAGE_PARTS_H
#define TRP_IMAGE_PARTS_H

#include "compose/image_decode.h"

/* What is in the header: width, height, channels, orientation; then pixels [height, width,
 * channels] of these sizes, not turned. trp_image_jpeg() decodes to 1, 3 or 4 channels;
 * trp_image_png() to 1 only what is grey. */
trp_status trp_image_jpeg_info(struct trp_str file, bool is_upright, struct trp_image_info *out,
                               struct trp_error *err);
trp_status trp_image_jpeg(const struct trp_alloc *alloc, struct trp_str file,
                          const struct trp_image_info *info, uint32_t channels, uint8_t *out,
                          struct trp_error *err);
trp_status trp_image_png_info(const struct trp_alloc *alloc, struct trp_str file,
                              struct trp_image_info *out, struct trp_error *err);
trp_status trp_image_png(const struct trp_alloc *alloc, struct trp_str file,
                         const struct trp_image_info *info, uint32_t channels, uint8_t *out,
                         struct trp_error *err);

#endif
