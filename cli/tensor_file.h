/* cli/tensor_file.h - a tensor from a file or a word of the command line.
 * Answers "which tensor did the user mean?".  NumPy's .npy, JPEG and PNG images, JSON. */
#ifndef TRP_TENSOR_FILE_H
#define TRP_TENSOR_FILE_H

#include "base/arena.h"
#include "base/status.h"
#include "troupe/tensor.h"

/* What the model wants, as its metadata says. */
struct cli_wanted {
    int32_t dtype;
    uint32_t rank;
    int64_t dims[TROUPE_RANK_MAX]; /* -1: any */
};

struct cli_image_opts {
    double scale, offset; /* pixel * scale + offset; pixels are 0..255 */
    bool invert;          /* 255 - pixel first: ink is dark on paper, and high in most data sets */
};

/* Reads an .npy file (versions 1 to 3, C order, little-endian or bytes).
 *   Shape : the file's.
 *   Owns  : data lives in `arena`.
 *   Thread: owner.
 *   Blocks: disk.
 *   Errors: INVALID_ARGUMENT (which part), UNIMPLEMENTED (Fortran order, other types), and those of
 *           trp_file_read().
 *   Source: NumPy Enhancement Proposal 1. */
trp_status cli_read_npy(struct trp_arena *arena, const char *path, struct troupe_tensor *out,
                        struct trp_error *err);

/* Reads an image and resizes it (area average) to what the model wants: [.., 1|3, h, w],
 * [.., h, w, 1|3], [h, w], or flat [.., n] with n a square (grey) or three times one.  Free sizes
 * take the image's own; a free batch is 1.
 *   Shape : as wanted.
 *   Owns  : data lives in `arena`.
 *   Thread: owner.
 *   Blocks: disk.
 *   Errors: INVALID_ARGUMENT: not an image, or a shape that is none of these; UNIMPLEMENTED:
 *           dtype other than UINT8 and FP32. */
trp_status cli_read_image(struct trp_arena *arena, const char *path,
                          const struct cli_wanted *wanted, const struct cli_image_opts *opts,
                          struct troupe_tensor *out, struct trp_error *err);

#endif
