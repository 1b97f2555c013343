/* compose/image_jpeg.c - JPEG by libjpeg-turbo; see image_parts.h.
 *
 * The library reports errors by a call that must not return.  Here it jumps to read_guarded(),
 * which is the only place that does so: everything that the library owns hangs on the reader, which
 * its caller destroys, whatever happened.
 *
 * What makes a hostile file dear: its size, which is compared before memory is taken; coefficients
 * of a progressive file, bounded by max_memory_to_use and held in the request's account meanwhile;
 * and scans, each of which goes over the whole picture, bounded by SCANS_MAX.
 * Warnings of the library are of two kinds.  Pixels are missing (the file ends, or a code in it has
 * no meaning): refused, because a model would see grey where a picture was.  Anything else is
 * let pass, as every viewer does. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

/* after stdio.h, which it needs */
#include <jpeglib.h>

#include <jerror.h>

#include "compose/image_parts.h"

#define SCANS_MAX 255
#define MEMORY_FIXED ((long)32 << 20)
#define MEMORY_PER_PIXEL 10L /* 4 channels of 2 bytes, and what is rounded up */
#define EXIF_MARKER (JPEG_APP0 + 1)
#define EXIF_BYTES_MAX 65533u

struct jpeg_reader {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf back;
    char text[JMSG_LENGTH_MAX];
    int32_t code; /* enum trp_code */
    const struct trp_alloc *alloc;
    struct trp_str file;
    bool is_upright;
    const struct trp_image_info *wanted;
    struct trp_image_info *found;
    uint32_t channels;
    uint8_t *out, *line; /* line: of CMYK */
    void *reserved;      /* in the account, for what the library takes elsewhere */
};

static struct jpeg_reader *reader_of(j_common_ptr info)
{
    return TRP_CONTAINER_OF(info->err, struct jpeg_reader, errors);
}

_Noreturn static void fail_reader(j_common_ptr info)
{
    struct jpeg_reader *r = reader_of(info);
    const int said = info->err->msg_code;
    r->code = said == JERR_OUT_OF_MEMORY      ? TRP_OUT_OF_MEMORY
              : said == JERR_NO_BACKING_STORE ? TRP_TOO_LARGE
                                              : TRP_INVALID_ARGUMENT;
    info->err->format_message(info, r->text);
    longjmp(r->back, 1);
}

static void hear(j_common_ptr info, int level)
{
    if (level >= 0)
        return;
    switch (info->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
    case JWRN_BOGUS_PROGRESSION:
        fail_reader(info);
    default:
        info->err->num_warnings++;
    }
}

static void count_scans(j_common_ptr info)
{
    struct jpeg_reader *r = reader_of(info);
    if (r->info.input_scan_number <= SCANS_MAX)
        return;
    (void)snprintf(r->text, sizeof r->text, "more than %d scans", SCANS_MAX);
    r->code = TRP_TOO_LARGE;
    longjmp(r->back, 1);
}

/* Returns false when `step` failed; the reader then holds the words. */
static bool read_guarded(struct jpeg_reader *r, void (*step)(struct jpeg_reader *))
{
    if (setjmp(r->back))
        return false;
    step(r);
    return true;
}

static trp_status run_reader(struct jpeg_reader *r, void (*step)(struct jpeg_reader *),
                             struct trp_error *err)
{
    r->info.err = jpeg_std_error(&r->errors);
    r->errors.error_exit = fail_reader;
    r->errors.emit_message = hear;
    r->progress.progress_monitor = count_scans;
    const bool is_good = read_guarded(r, step);
    trp_alloc_free(r->alloc, r->line);
    trp_alloc_free(r->alloc, r->reserved);
    jpeg_destroy_decompress(&r->info); /* also of one that was not created: it is zero */
    if (is_good)
        return trp_ok();
    return trp_fail(err, (enum trp_code)r->code, "JPEG: %s", r->text);
}

static void open_file(struct jpeg_reader *r)
{
    jpeg_create_decompress(&r->info);
    r->info.progress = &r->progress;
    jpeg_mem_src(&r->info, (const unsigned char *)r->file.ptr, (unsigned long)r->file.len);
    if (r->is_upright)
        jpeg_save_markers(&r->info, EXIF_MARKER, EXIF_BYTES_MAX);
    (void)jpeg_read_header(&r->info, TRUE);
}

/* ---- EXIF ---- */

struct exif {
    const uint8_t *ptr;
    size_t len;
    bool is_big_endian;
};

static uint32_t number_at(const struct exif *x, size_t at, size_t bytes)
{
    uint32_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v |= (uint32_t)x->ptr[at + i] << 8 * (x->is_big_endian ? bytes - 1 - i : i);
    return v;
}

/* The orientation in the first directory; 1 where there is none that makes sense.  Source: TIFF
 * 6.0, section 2. */
static uint32_t orientation_in(const uint8_t *ptr, size_t len)
{
    const size_t head = 6, entry = 12;
    if (len < head + 8 || memcmp(ptr, "Exif\0\0", head) != 0)
        return 1;
    struct exif x = { ptr + head, len - head, ptr[head] == 'M' };
    const size_t start = number_at(&x, 4, 4);
    if (start > x.len - 2)
        return 1;
    const size_t entries = number_at(&x, start, 2);
    for (size_t i = 0; i < entries && start + 2 + (i + 1) * entry <= x.len; i++) {
        const size_t at = start + 2 + i * entry;
        if (number_at(&x, at, 2) != 0x0112)
            continue;
        const uint32_t said = number_at(&x, at + 8, 2);
        return said >= 1 && said <= 8 ? said : 1;
    }
    return 1;
}

static uint32_t orientation_of(const struct jpeg_reader *r)
{
    for (jpeg_saved_marker_ptr m = r->info.marker_list; m; m = m->next)
        if (m->marker == EXIF_MARKER && m->data_length > 6 && memcmp(m->data, "Exif", 4) == 0)
            return orientation_in(m->data, m->data_length);
    return 1;
}

/* ---- pixels ---- */

static bool is_cmyk(const struct jpeg_reader *r)
{
    return r->info.jpeg_color_space == JCS_CMYK || r->info.jpeg_color_space == JCS_YCCK;
}

static J_COLOR_SPACE space_of(const struct jpeg_reader *r)
{
    if (is_cmyk(r))
        return JCS_CMYK;
    return r->channels == 1 ? JCS_GRAYSCALE : r->channels == 3 ? JCS_RGB : JCS_EXT_RGBA;
}

static uint8_t times(uint32_t a, uint32_t b)
{
    const uint32_t v = a * b + 128;
    return (uint8_t)(((v >> 8) + v) >> 8);
}

/* CMYK is stored inverted, as Adobe does it: each number is what is left of the light. */
static void convert_line(const struct jpeg_reader *r, uint8_t *out)
{
    for (uint32_t x = 0; x < r->info.output_width; x++) {
        const uint8_t *in = r->line + (size_t)4 * x;
        uint8_t rgb[4], *to = out + (size_t)r->channels * x;
        for (uint32_t c = 0; c < 3; c++)
            rgb[c] = (uint8_t)(in[3] - times(255u - in[c], in[3]));
        rgb[3] = 255;
        if (r->channels == 1)
            *to = (uint8_t)((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 32768u) >> 16);
        else
            memcpy(to, rgb, r->channels);
    }
}

/* What the library takes for the coefficients of a picture in several scans: it takes them where no
 * account sees it, so as much is held in the account meanwhile, without being touched. */
static uint64_t coefficients_bytes(const struct jpeg_decompress_struct *info)
{
    uint64_t bytes = 0;
    for (int i = 0; i < info->num_components; i++) {
        const jpeg_component_info *c = &info->comp_info[i];
        const uint64_t wide = (uint64_t)c->width_in_blocks + (uint64_t)c->h_samp_factor;
        bytes += wide * (c->height_in_blocks + (uint64_t)c->v_samp_factor) * sizeof(JBLOCK);
    }
    return bytes;
}

static void reserve(struct jpeg_reader *r)
{
    struct jpeg_decompress_struct *info = &r->info;
    if (!jpeg_has_multiple_scans(info))
        return; /* some rows at a time */
    r->reserved = trp_alloc_get(r->alloc, 1, coefficients_bytes(info));
    if (!r->reserved)
        ERREXIT1(info, JERR_OUT_OF_MEMORY, 0);
}

static void read_pixels(struct jpeg_reader *r)
{
    struct jpeg_decompress_struct *info = &r->info;
    open_file(r);
    if (info->image_width != r->wanted->width || info->image_height != r->wanted->height)
        ERREXIT(info, JERR_BAD_LENGTH); /* somebody wrote to it since its header was read */
    info->out_color_space = space_of(r);
    info->mem->max_memory_to_use =
        MEMORY_FIXED + MEMORY_PER_PIXEL * (long)info->image_width * (long)info->image_height;
    if (is_cmyk(r)) {
        r->line = trp_alloc_get(r->alloc, info->image_width, 4);
        if (!r->line)
            ERREXIT1(info, JERR_OUT_OF_MEMORY, 0);
    }
    reserve(r);
    (void)jpeg_start_decompress(info);
    const size_t step = (size_t)info->output_width * r->channels;
    while (info->output_scanline < info->output_height) {
        uint8_t *to = r->out + info->output_scanline * step;
        JSAMPROW row = r->line ? r->line : to;
        (void)jpeg_read_scanlines(info, &row, 1);
        if (r->line)
            convert_line(r, to);
    }
    (void)jpeg_finish_decompress(info);
}

static void read_info(struct jpeg_reader *r)
{
    open_file(r);
    r->found->width = r->info.image_width;
    r->found->height = r->info.image_height;
    r->found->channels = (uint32_t)r->info.num_components;
    r->found->orientation = r->is_upright ? orientation_of(r) : 1;
}

trp_status trp_image_jpeg_info(struct trp_str file, bool is_upright, struct trp_image_info *out,
                               struct trp_error *err)
{
    struct jpeg_reader r = {
        .file = file, .is_upright = is_upright, .alloc = trp_heap(), .found = out
    };
    return run_reader(&r, read_info, err);
}

trp_status trp_image_jpeg(const struct trp_alloc *alloc, struct trp_str file,
                          const struct trp_image_info *info, uint32_t channels, uint8_t *out,
                          struct trp_error *err)
{
    struct jpeg_reader r = {
        .file = file, .alloc = alloc, .wanted = info, .channels = channels, .out = out
    };
    return run_reader(&r, read_pixels, err);
}
