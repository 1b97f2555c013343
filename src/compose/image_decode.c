/* compose/image_decode.c - see image_decode.h.  What both formats share: sizes, grey of colours,
 * turning. */
#include "compose/image_decode.h"

#include "compose/image_parts.h"

/* The shortest files that are worth asking a library about. */
static bool is_png(struct trp_str file)
{
    return file.len > 8 && memcmp(file.ptr, "\x89PNG\r\n\x1a\n", 8) == 0;
}

static bool is_jpeg(struct trp_str file)
{
    return file.len > 3 && memcmp(file.ptr, "\xff\xd8\xff", 3) == 0;
}

static bool is_on_its_side(uint32_t orientation)
{
    return orientation >= 5;
}

trp_status trp_image_info(const struct trp_alloc *alloc, struct trp_str file, bool is_upright,
                          uint64_t pixels_max, struct trp_image_info *out, struct trp_error *err)
{
    struct trp_image_info info = { .format = TRP_IMAGE_PNG, .orientation = 1 };
    if (is_png(file)) {
        TRP_CHECK(trp_image_png_info(alloc, file, &info, err));
    } else if (is_jpeg(file)) {
        info.format = TRP_IMAGE_JPEG;
        TRP_CHECK(trp_image_jpeg_info(file, is_upright, &info, err));
    } else {
        return trp_fail(err, TRP_INVALID_ARGUMENT, "neither a JPEG nor a PNG image");
    }
    const uint64_t pixels = (uint64_t)info.width * info.height;
    if (pixels == 0 || info.width > TRP_IMAGE_SIDE_MAX || info.height > TRP_IMAGE_SIDE_MAX ||
        (pixels_max > 0 && pixels > pixels_max))
        return trp_fail_limit(err, TRP_TOO_LARGE, TRP_LIMIT_IMAGE,
                              "an image of %u x %u pixels, at most %llu together (limits."
                              "image_pixels) and %u a side",
                              info.width, info.height, (unsigned long long)pixels_max,
                              TRP_IMAGE_SIDE_MAX);
    if (is_on_its_side(info.orientation)) {
        const uint32_t width = info.width;
        info.width = info.height;
        info.height = width;
    }
    *out = info;
    return trp_ok();
}

/* As Pillow's convert("L"); in place, because three bytes become one. */
static void make_grey(uint8_t *pixels, uint64_t n, uint8_t *out)
{
    for (uint64_t i = 0; i < n; i++) {
        const uint8_t *p = pixels + 3 * i;
        out[i] = (uint8_t)((19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 32768u) >> 16);
    }
}

/* Source and result of a turn; sizes are those of the source. */
static void turn(const uint8_t *from, const struct trp_image_info *lying, uint32_t channels,
                 uint8_t *out)
{
    const uint32_t o = lying->orientation;
    const bool is_turned = is_on_its_side(o);
    const bool flips_x = o == 2 || o == 3 || o == 7 || o == 8;
    const bool flips_y = o == 3 || o == 4 || o == 6 || o == 7;
    const uint32_t height = is_turned ? lying->width : lying->height;
    const uint32_t width = is_turned ? lying->height : lying->width;
    for (uint32_t y = 0; y < height; y++) {
        for (uint32_t x = 0; x < width; x++) {
            const uint32_t a = is_turned ? y : x, b = is_turned ? x : y;
            const uint32_t sx = flips_x ? lying->width - 1 - a : a;
            const uint32_t sy = flips_y ? lying->height - 1 - b : b;
            memcpy(out + ((uint64_t)y * width + x) * channels,
                   from + ((uint64_t)sy * lying->width + sx) * channels, channels);
        }
    }
}

static trp_status decode(const struct trp_alloc *alloc, struct trp_str file,
                         const struct trp_image_info *info, uint32_t channels, uint8_t *out,
                         struct trp_error *err)
{
    if (info->format == TRP_IMAGE_JPEG)
        return trp_image_jpeg(alloc, file, info, channels, out, err);
    return trp_image_png(alloc, file, info, channels, out, err);
}

trp_status trp_image_decode(const struct trp_alloc *alloc, struct trp_str file,
                            const struct trp_image_info *info, uint32_t channels, uint8_t *out,
                            struct trp_error *err)
{
    const uint64_t pixels = (uint64_t)info->width * info->height;
    /* of a PNG's colours grey is made here: libpng would apply gamma on the way */
    const bool makes_grey = channels == 1 && info->format == TRP_IMAGE_PNG && info->channels >= 3;
    struct trp_image_info lying = *info;
    if (channels != 1 && channels != 3 && channels != 4)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%u channels, expected 1, 3 or 4", channels);
    if (is_on_its_side(info->orientation)) {
        lying.width = info->height;
        lying.height = info->width;
    }
    if (!makes_grey && info->orientation == 1)
        return decode(alloc, file, &lying, channels, out, err);
    uint8_t *other = trp_alloc_get(alloc, pixels, makes_grey ? 3 : channels);
    if (!other)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "an image of %u x %u pixels", info->width,
                        info->height);
    const trp_status st = decode(alloc, file, &lying, makes_grey ? 3 : channels, other, err);
    if (!trp_failed(st) && makes_grey)
        make_grey(other, pixels, out); /* a PNG is never turned */
    else if (!trp_failed(st))
        turn(other, &lying, channels, out);
    trp_alloc_free(alloc, other);
    return st;
}
