/* Pictures: what comes out of files that the libraries' own encoders made, and what is said
 * about bad ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* after stdio.h, which it needs */
#include <jpeglib.h>
#include <png.h>

#include "compose/image_decode.h"

#define WIDTH 40u
#define HEIGHT 24u
#define PIXELS (WIDTH * HEIGHT)
#define NEAR 6 /* what JPEG of quality 95 may change of a gradient */

struct encoded {
    unsigned char *ptr;
    unsigned long len;
};

static struct trp_str file_of(const struct encoded *e)
{
    return trp_str_make((const char *)e->ptr, e->len);
}

/* Four corners that differ, so that a turn is seen. */
static unsigned char sample(uint32_t x, uint32_t y, uint32_t c)
{
    const uint32_t v = c == 0 ? x * 5 : c == 1 ? y * 8 : c == 2 ? (x + y) * 3 : 255 - x * 2;
    return (unsigned char)v;
}

static void paint(unsigned char *out, uint32_t channels)
{
    for (uint32_t y = 0; y < HEIGHT; y++)
        for (uint32_t x = 0; x < WIDTH; x++)
            for (uint32_t c = 0; c < channels; c++)
                out[(y * WIDTH + x) * channels + c] = sample(x, y, c);
}

struct jpeg_kind {
    uint32_t channels;
    J_COLOR_SPACE in, space;
    bool progressive;
    uint32_t orientation; /* 0: no EXIF */
};

static struct encoded make_jpeg(const struct jpeg_kind *k)
{
    unsigned char pixels[PIXELS * 4],
        exif[] = "Exif\0\0MM\0*\0\0\0\10\0\1\1\22\0\3\0\0\0\1\0\1\0\0\0\0\0\0";
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    struct encoded out = { 0 };
    paint(pixels, k->channels);
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &out.ptr, &out.len);
    info.image_width = WIDTH;
    info.image_height = HEIGHT;
    info.input_components = (int)k->channels;
    info.in_color_space = k->in;
    jpeg_set_defaults(&info);
    jpeg_set_colorspace(&info, k->space);
    jpeg_set_quality(&info, 95, TRUE);
    for (int c = 0; c < info.num_components; c++)
        info.comp_info[c].h_samp_factor = info.comp_info[c].v_samp_factor = 1;
    if (k->progressive)
        jpeg_simple_progression(&info);
    jpeg_start_compress(&info, TRUE);
    exif[25] = (unsigned char)k->orientation;
    if (k->orientation > 0)
        jpeg_write_marker(&info, JPEG_APP0 + 1, exif, sizeof exif - 1);
    while (info.next_scanline < HEIGHT) {
        JSAMPROW row = pixels + (size_t)info.next_scanline * WIDTH * k->channels;
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    return out;
}

static const struct jpeg_kind colours = { .channels = 3, .in = JCS_RGB, .space = JCS_YCbCr },
                              grey = { .channels = 1, .in = JCS_GRAYSCALE, .space = JCS_GRAYSCALE };

static struct encoded make_png(uint32_t format, uint32_t channels)
{
    unsigned char pixels[PIXELS * 4];
    png_image image = {
        .version = PNG_IMAGE_VERSION, .width = WIDTH, .height = HEIGHT, .format = format
    };
    png_alloc_size_t bytes = 0;
    struct encoded out = { 0 };
    paint(pixels, channels);
    assert_true(png_image_write_to_memory(&image, NULL, &bytes, 0, pixels, 0, NULL));
    out.ptr = malloc(bytes);
    assert_non_null(out.ptr);
    assert_true(png_image_write_to_memory(&image, out.ptr, &bytes, 0, pixels, 0, NULL));
    out.len = bytes;
    return out;
}

static trp_status decode(struct trp_str file, bool is_upright, uint32_t channels,
                         unsigned char *out, struct trp_error *err)
{
    struct trp_image_info info;
    TRP_CHECK(trp_image_info(trp_heap(), file, is_upright, PIXELS, &info, err));
    return trp_image_decode(trp_heap(), file, &info, channels, out, err);
}

static void decode_good(const struct encoded *e, uint32_t channels, unsigned char *out)
{
    struct trp_error err = { 0 };
    if (trp_failed(decode(file_of(e), false, channels, out, &err)))
        fail_msg("%s", err.text);
}

static int grey_of(const unsigned char *rgb)
{
    return (int)((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 32768u) >> 16);
}

/* Compares with the picture that was painted; `made` is how many channels the file has. */
static void expect(const unsigned char *got, uint32_t channels, uint32_t made, int near)
{
    for (uint32_t i = 0; i < PIXELS; i++) {
        unsigned char rgba[4] = { 0, 0, 0, 255 };
        for (uint32_t c = 0; c < 4; c++)
            rgba[c] =
                c == 3 && made < 4 ? 255 : sample(i % WIDTH, i / WIDTH, made < 3 && c < 3 ? 0 : c);
        for (uint32_t c = 0; c < channels; c++) {
            const int want = channels == 1 ? grey_of(rgba) : rgba[c], is = got[i * channels + c];
            if (abs(want - is) > near)
                fail_msg("pixel %u channel %u: %d, expected %d", i, c, is, want);
        }
    }
}

static void jpeg_files_are_decoded(void **state)
{
    (void)state;
    unsigned char out[PIXELS * 4];
    const struct jpeg_kind kinds[] = {
        colours,
        grey,
        { .channels = 3, .in = JCS_RGB, .space = JCS_RGB },
        { .channels = 3, .in = JCS_RGB, .space = JCS_YCbCr, .progressive = true },
    };
    for (const struct jpeg_kind *k = kinds; k < kinds + ARRAY_LEN(kinds); k++) {
        struct encoded e = make_jpeg(k);
        for (uint32_t channels = 1; channels <= 4; channels += channels == 1 ? 2 : 1) {
            decode_good(&e, channels, out);
            expect(out, channels, k->channels, NEAR);
        }
        free(e.ptr);
    }
}

/* Adobe's: what is stored is what is left of the light, so colour times black is the colour that
 * is seen. */
static void cmyk_is_inverted(void **state)
{
    (void)state;
    unsigned char out[PIXELS * 4];
    const J_COLOR_SPACE spaces[] = { JCS_CMYK, JCS_YCCK };
    for (uint32_t s = 0; s < 2; s++) {
        const struct jpeg_kind k = { .channels = 4, .in = JCS_CMYK, .space = spaces[s] };
        struct encoded e = make_jpeg(&k);
        decode_good(&e, 3, out);
        for (uint32_t i = 0; i < PIXELS; i++)
            for (uint32_t c = 0; c < 3; c++) {
                const int want = sample(i % WIDTH, i / WIDTH, c) * sample(i % WIDTH, i / WIDTH, 3);
                assert_true(abs(want / 255 - out[i * 3 + c]) <= 2 * NEAR);
            }
        decode_good(&e, 4, out);
        assert_int_equal(out[3], 255);
        decode_good(&e, 1, out);
        free(e.ptr);
    }
}

static void png_files_are_decoded(void **state)
{
    (void)state;
    unsigned char out[PIXELS * 4];
    const struct {
        uint32_t format, channels;
    } kinds[] = { { PNG_FORMAT_RGB, 3 }, { PNG_FORMAT_RGBA, 4 }, { PNG_FORMAT_GRAY, 1 } };
    for (uint32_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct encoded e = make_png(kinds[i].format, kinds[i].channels);
        for (uint32_t channels = 1; channels <= 4; channels += channels == 1 ? 2 : 1) {
            decode_good(&e, channels, out);
            expect(out, channels, kinds[i].channels, 0);
        }
        free(e.ptr);
    }
}

static void pictures_are_turned_when_that_is_asked_for(void **state)
{
    (void)state;
    unsigned char out[PIXELS];
    /* where the first pixel of the result lies in the file, and how the result's x and y go
     * through it */
    static const struct turn {
        uint32_t x, y;
        int x_by_x, y_by_x, x_by_y, y_by_y;
    } turns[9] = {
        [1] = { 0, 0, 1, 0, 0, 1 },
        [2] = { WIDTH - 1, 0, -1, 0, 0, 1 },
        [3] = { WIDTH - 1, HEIGHT - 1, -1, 0, 0, -1 },
        [4] = { 0, HEIGHT - 1, 1, 0, 0, -1 },
        [5] = { 0, 0, 0, 1, 1, 0 },
        [6] = { 0, HEIGHT - 1, 0, -1, 1, 0 },
        [7] = { WIDTH - 1, HEIGHT - 1, 0, -1, -1, 0 },
        [8] = { WIDTH - 1, 0, 0, 1, -1, 0 },
    };
    for (uint32_t o = 1; o <= 8; o++) {
        struct jpeg_kind k = grey;
        struct trp_image_info info;
        k.orientation = o;
        struct encoded e = make_jpeg(&k);
        assert_false(trp_failed(trp_image_info(trp_heap(), file_of(&e), false, 0, &info, NULL)));
        assert_int_equal(info.orientation, 1);
        assert_int_equal(info.width, WIDTH);
        assert_false(trp_failed(trp_image_info(trp_heap(), file_of(&e), true, 0, &info, NULL)));
        assert_int_equal(info.orientation, o);
        assert_int_equal(info.width, o >= 5 ? HEIGHT : WIDTH);
        assert_int_equal(info.height, o >= 5 ? WIDTH : HEIGHT);
        assert_false(trp_failed(trp_image_decode(trp_heap(), file_of(&e), &info, 1, out, NULL)));
        for (uint32_t y = 0; y < info.height; y++)
            for (uint32_t x = 0; x < info.width; x++) {
                const struct turn *t = &turns[o];
                const int sx = (int)t->x + t->x_by_x * (int)x + t->x_by_y * (int)y;
                const int sy = (int)t->y + t->y_by_x * (int)x + t->y_by_y * (int)y;
                const int want = sample((uint32_t)sx, (uint32_t)sy, 0);
                assert_true(abs(want - out[y * info.width + x]) <= NEAR);
            }
        free(e.ptr);
    }
}

static void sizes_are_compared_before_anything_is_decoded(void **state)
{
    (void)state;
    struct trp_image_info info;
    struct trp_error err = { 0 };
    struct encoded files[] = { make_jpeg(&colours), make_png(PNG_FORMAT_RGB, 3) };
    for (uint32_t i = 0; i < 2; i++) {
        const trp_status st =
            trp_image_info(trp_heap(), file_of(&files[i]), false, PIXELS - 1, &info, &err);
        assert_int_equal(st.code, TRP_TOO_LARGE);
        assert_int_equal(err.limit, TRP_LIMIT_IMAGE);
        assert_non_null(strstr(err.text, "an image of 40 x 24 pixels, at most 959"));
        assert_false(
            trp_failed(trp_image_info(trp_heap(), file_of(&files[i]), false, 0, &info, &err)));
        assert_int_equal(info.channels, 3);
        free(files[i].ptr);
    }
}

/* Cut off at every length: never a picture with a grey rest. */
static void files_that_are_cut_off_are_refused(void **state)
{
    (void)state;
    unsigned char out[PIXELS * 3];
    struct encoded files[] = { make_jpeg(&colours), make_png(PNG_FORMAT_RGB, 3) };
    for (uint32_t i = 0; i < 2; i++) {
        const size_t end = i == 0 ? 2 : 12; /* what stands behind the last pixel may be missing */
        for (size_t len = 0; len + end < files[i].len; len++) {
            struct trp_error err = { 0 };
            char *exact = malloc(len + 1); /* so that a sanitizer sees an over-read */
            assert_non_null(exact);
            memcpy(exact, files[i].ptr, len);
            const trp_status st = decode(trp_str_make(exact, len), false, 3, out, &err);
            if (st.code != TRP_INVALID_ARGUMENT)
                fail_msg("file %u of %zu bytes at %zu: %s", i, (size_t)files[i].len, len, err.text);
            free(exact);
        }
        free(files[i].ptr);
    }
}

/* Each byte changed: a picture or a reason, and no sanitizer has anything to say. */
static void damaged_files_are_survived(void **state)
{
    (void)state;
    unsigned char out[PIXELS * 4];
    const struct jpeg_kind progressive = { 3, JCS_RGB, JCS_YCbCr, true, 6 };
    struct encoded files[] = { make_jpeg(&colours), make_jpeg(&progressive),
                               make_png(PNG_FORMAT_RGBA, 4) };
    for (uint32_t i = 0; i < ARRAY_LEN(files); i++) {
        for (unsigned long at = 0; at < files[i].len; at += at < 700 ? 1 : 13) {
            const unsigned char was = files[i].ptr[at];
            files[i].ptr[at] = (unsigned char)(was ^ (1u << at % 8) ^ 0x80);
            struct trp_error err = { 0 };
            const trp_status st = decode(file_of(&files[i]), true, 4, out, &err);
            assert_true(trp_failed(st) == (err.text[0] != '\0'));
            files[i].ptr[at] = was;
        }
        free(files[i].ptr);
    }
}

static void other_files_are_refused(void **state)
{
    (void)state;
    struct trp_image_info info;
    struct trp_error err = { 0 };
    const char *const texts[] = { "", "GIF89a", "\xff\xd8\xff", "\x89PNG\r\n\x1a\n" };
    for (uint32_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_int_equal(
            trp_image_info(trp_heap(), trp_str_of(texts[i]), false, 0, &info, &err).code,
            TRP_INVALID_ARGUMENT);
    struct encoded e = make_png(PNG_FORMAT_GRAY, 1);
    unsigned char out[PIXELS];
    assert_false(trp_failed(trp_image_info(trp_heap(), file_of(&e), false, 0, &info, NULL)));
    assert_int_equal(trp_image_decode(trp_heap(), file_of(&e), &info, 2, out, &err).code,
                     TRP_INVALID_ARGUMENT);
    info.width++; /* as when somebody writes to the file after its header was read */
    assert_int_equal(trp_image_decode(trp_heap(), file_of(&e), &info, 1, out, &err).code,
                     TRP_INVALID_ARGUMENT);
    free(e.ptr);
}

/* An allocator that has nothing after a few calls. */
struct scarce {
    struct trp_alloc alloc;
    int left;
};

static void *get_scarce(const struct trp_alloc *a, size_t bytes, size_t align)
{
    struct scarce *s = a->user;
    return s->left-- > 0 ? trp_alloc_aligned(trp_heap(), bytes, align) : NULL;
}

static void free_scarce(const struct trp_alloc *a, void *block)
{
    (void)a;
    trp_alloc_free(trp_heap(), block);
}

static void want_of_memory_is_said(void **state)
{
    (void)state;
    unsigned char out[PIXELS * 3];
    struct scarce s = { .alloc = { get_scarce, free_scarce, &s, "scarce" } };
    struct trp_image_info info;
    const struct jpeg_kind turned = { 1, JCS_GRAYSCALE, JCS_GRAYSCALE, false, 3 },
                           cmyk = { 4, JCS_CMYK, JCS_CMYK, false, 0 },
                           scans = { 1, JCS_GRAYSCALE, JCS_GRAYSCALE, true, 3 };
    struct encoded files[] = { make_png(PNG_FORMAT_RGB, 3), make_jpeg(&turned), make_jpeg(&cmyk),
                               make_jpeg(&scans) };
    for (uint32_t i = 0; i < ARRAY_LEN(files); i++) {
        const struct trp_str file = file_of(&files[i]);
        assert_false(trp_failed(trp_image_info(trp_heap(), file, true, 0, &info, NULL)));
        trp_status st = { TRP_OUT_OF_MEMORY };
        int calls = 0;
        for (; trp_failed(st); calls++) {
            s.left = calls;
            st = trp_image_decode(&s.alloc, file, &info, 1, out, NULL);
            if (trp_failed(st))
                assert_int_equal(st.code, TRP_OUT_OF_MEMORY);
        }
        assert_true(calls > 1);
        free(files[i].ptr);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jpeg_files_are_decoded),
        cmocka_unit_test(cmyk_is_inverted),
        cmocka_unit_test(png_files_are_decoded),
        cmocka_unit_test(pictures_are_turned_when_that_is_asked_for),
        cmocka_unit_test(sizes_are_compared_before_anything_is_decoded),
        cmocka_unit_test(files_that_are_cut_off_are_refused),
        cmocka_unit_test(damaged_files_are_survived),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(want_of_memory_is_said),
    };
    return cmocka_run_group_tests_name("image_decode", tests, NULL, NULL);
}
