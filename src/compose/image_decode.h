/* compose/image_decode.h - JPEG and PNG as tensors of bytes.
 * Answers "which pixels are in this file?".  libjpeg-turbo and libpng do the work; sizes are read
 * and checked before anything is allocated for them.
 *
 * JPEG: baseline and progressive; grey, YCbCr, RGB, CMYK and YCCK (Adobe's inverted ones as well).
 * Fewer than 256 scans. PNG : all colour types and depths, interlaced too.  16 bits are scaled to
 *       8; grey of 1, 2, 4 bits to 0..255; palettes become colours.  Gamma and colour profiles are
 *       not applied.
 * Channels: 1 grey (of colours by ITU-R BT.601: (19595 R + 38470 G + 7471 B + 32768) >> 16; of a
 *       JPEG its luma), 3 RGB, 4 RGBA (opaque where the file has no alpha).  Alpha is dropped where
 *       it was not asked for, not blended.
 * These are Pillow's convert("L"), ("RGB") and ("RGBA"), but for 16 bits, which Pillow cuts at 255:
 * models see what they saw in training.
 * EXIF's orientation, of JPEG files, is applied when told.
 * A file that is cut off, or damaged so that pixels are missing, is refused. */
#ifndef TRP_IMAGE_DECODE_H
#define TRP_IMAGE_DECODE_H

#include "base/alloc.h"
#include "base/status.h"
#include "base/str.h"

#define TRP_IMAGE_SIDE_MAX 65535u

enum trp_image_format { TRP_IMAGE_JPEG, TRP_IMAGE_PNG };

struct trp_image_info {
    enum trp_image_format format;
    uint32_t width, height; /* as they come out: turned when the orientation is applied */
    uint32_t channels;      /* of the file: 1 grey, 2 with alpha, 3 colours, 4 with alpha or CMYK */
    uint32_t orientation;   /* as EXIF numbers them; 1: as it is, or it is not applied */
};

/* Reads the header only.
 *   Units : pixels_max bounds width * height; 0: none.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Cost  : the file's header.
 *   Errors: INVALID_ARGUMENT: neither JPEG nor PNG, or damaged; TOO_LARGE (limit IMAGE) with
 *           both sizes; OUT_OF_MEMORY. */
trp_status trp_image_info(const struct trp_alloc *alloc, struct trp_str file, bool is_upright,
                          uint64_t pixels_max, struct trp_image_info *out, struct trp_error *err);

/* Decodes what trp_image_info() has looked at.
 *   Shape : out is [info->height, info->width, channels] uint8, row-major; channels is 1, 3 or 4.
 *   Owns  : `alloc` pays for libpng's state and at most one more picture of 4 channels, and for the
 *           coefficients of a JPEG file in several scans; what else libjpeg takes is some rows.
 *           Nothing stays.
 *   Thread: any.
 *   Cost  : some 5 to 20 ns a pixel.
 *   Errors: INVALID_ARGUMENT with the library's words; OUT_OF_MEMORY; `out` may then hold
 *           anything. */
trp_status trp_image_decode(const struct trp_alloc *alloc, struct trp_str file,
                            const struct trp_image_info *info, uint32_t channels, uint8_t *out,
                            struct trp_error *err);

#endif
