/* compose/image_png.c - PNG by libpng; see image_parts.h.
 *
 * As with JPEG, an error of the library jumps to read_guarded(), and everything that it owns hangs
 * on the reader.  Its memory is ours: what is not there is an error like any other.  Chunks that
 * say nothing about pixels are not read: profiles and texts are compressed, and small ones may
 * become large. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <png.h>

#include "compose/image_parts.h"

#define CHUNK_BYTES_MAX (1u << 20)
#define CHUNKS_MAX 128u

struct png_reader {
    png_structp png;
    png_infop info;
    jmp_buf back;
    char text[128];
    bool lacks_memory;
    const struct trp_alloc *alloc;
    struct trp_str file;
    size_t read;
    const struct trp_image_info *wanted;
    struct trp_image_info *found;
    uint32_t channels;
    uint8_t *out;
};

_Noreturn static void fail_reader(png_structp png, png_const_charp text)
{
    struct png_reader *r = png_get_error_ptr(png);
    (void)snprintf(r->text, sizeof r->text, "%s", text);
    longjmp(r->back, 1);
}

static void hear(png_structp png, png_const_charp text)
{
    (void)png; /* what is only a warning has not cost a pixel */
    (void)text;
}

static png_voidp get_memory(png_structp png, png_alloc_size_t bytes)
{
    struct png_reader *r = png_get_mem_ptr(png);
    void *block = trp_alloc_get(r->alloc, 1, bytes);
    r->lacks_memory = r->lacks_memory || !block;
    return block;
}

static void give_memory(png_structp png, png_voidp block)
{
    const struct png_reader *r = png_get_mem_ptr(png);
    trp_alloc_free(r->alloc, block);
}

static void read_bytes(png_structp png, png_bytep out, size_t n)
{
    struct png_reader *r = png_get_io_ptr(png);
    if (n > r->file.len - r->read)
        png_error(png, "the file ends too early");
    memcpy(out, r->file.ptr + r->read, n);
    r->read += n;
}

/* Returns false when `step` failed; the reader then holds the words. */
static bool read_guarded(struct png_reader *r, void (*step)(struct png_reader *))
{
    if (setjmp(r->back))
        return false;
    step(r);
    return true;
}

static trp_status run_reader(struct png_reader *r, void (*step)(struct png_reader *),
                             struct trp_error *err)
{
    const bool is_good = read_guarded(r, step);
    png_destroy_read_struct(&r->png, &r->info, NULL);
    if (is_good)
        return trp_ok();
    return trp_fail(err, r->lacks_memory ? TRP_OUT_OF_MEMORY : TRP_INVALID_ARGUMENT, "PNG: %s",
                    r->text);
}

static void open_file(struct png_reader *r)
{
    static const png_byte ignored[] = "iCCP\0tEXt\0zTXt\0iTXt\0sPLT\0pCAL\0eXIf\0hIST";
    const int ignored_n = sizeof ignored / 5;
    (void)snprintf(r->text, sizeof r->text, "no memory for its reader");
    r->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, r, fail_reader, hear, r, get_memory,
                                      give_memory);
    r->info = r->png ? png_create_info_struct(r->png) : NULL;
    if (!r->info)
        longjmp(r->back, 1);
    png_set_user_limits(r->png, TRP_IMAGE_SIDE_MAX, TRP_IMAGE_SIDE_MAX);
    png_set_chunk_malloc_max(r->png, CHUNK_BYTES_MAX);
    png_set_chunk_cache_max(r->png, CHUNKS_MAX);
    png_set_keep_unknown_chunks(r->png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
    png_set_keep_unknown_chunks(r->png, PNG_HANDLE_CHUNK_NEVER, ignored, ignored_n);
    png_set_read_fn(r->png, r, read_bytes);
    png_read_info(r->png, r->info);
}

static void read_info(struct png_reader *r)
{
    open_file(r);
    const int type = png_get_color_type(r->png, r->info);
    const bool has_alpha =
        (type & PNG_COLOR_MASK_ALPHA) || png_get_valid(r->png, r->info, PNG_INFO_tRNS);
    r->found->width = png_get_image_width(r->png, r->info);
    r->found->height = png_get_image_height(r->png, r->info);
    r->found->channels = (type & PNG_COLOR_MASK_COLOR ? 3 : 1) + (has_alpha ? 1u : 0);
}

/* What libpng is to make of the file's own kind of pixels. */
static void choose_pixels(struct png_reader *r)
{
    const int type = png_get_color_type(r->png, r->info);
    const bool has_key = png_get_valid(r->png, r->info, PNG_INFO_tRNS) != 0;
    if (png_get_bit_depth(r->png, r->info) == 16)
        png_set_scale_16(r->png);
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(r->png);
    else if (type == PNG_COLOR_TYPE_GRAY)
        png_set_expand_gray_1_2_4_to_8(r->png);
    if (r->channels >= 3 && !(type & PNG_COLOR_MASK_COLOR))
        png_set_gray_to_rgb(r->png);
    if (r->channels < 4)
        png_set_strip_alpha(r->png);
    else if (has_key)
        png_set_tRNS_to_alpha(r->png);
    else if (!(type & PNG_COLOR_MASK_ALPHA))
        png_set_add_alpha(r->png, 0xff, PNG_FILLER_AFTER);
}

static void read_pixels(struct png_reader *r)
{
    open_file(r);
    choose_pixels(r);
    const int passes = png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    const size_t step = (size_t)r->wanted->width * r->channels;
    if (png_get_image_width(r->png, r->info) != r->wanted->width ||
        png_get_image_height(r->png, r->info) != r->wanted->height ||
        png_get_rowbytes(r->png, r->info) != step)
        png_error(r->png, "it changed while it was read");
    for (int pass = 0; pass < passes; pass++)
        for (uint32_t y = 0; y < r->wanted->height; y++)
            png_read_row(r->png, r->out + y * step, NULL);
}

trp_status trp_image_png_info(const struct trp_alloc *alloc, struct trp_str file,
                              struct trp_image_info *out, struct trp_error *err)
{
    struct png_reader r = { .alloc = alloc, .file = file, .found = out };
    return run_reader(&r, read_info, err);
}

trp_status trp_image_png(const struct trp_alloc *alloc, struct trp_str file,
                         const struct trp_image_info *info, uint32_t channels, uint8_t *out,
                         struct trp_error *err)
{
    struct png_reader r = {
        .alloc = alloc, .file = file, .wanted = info, .channels = channels, .out = out
    };
    return run_reader(&r, read_pixels, err);
}
