/* Kinds of content by their first bytes. */
#include "route/sniff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/clock.h"

struct sample {
    const char *bytes;
    size_t n;
    enum trp_content kind;
    const char *format;
};
#define SAMPLE(kind, format, literal)                            \
    {                                                            \
        literal, sizeof(literal) - 1, TRP_CONTENT_##kind, format \
    }

/* The beginnings of files as programs write them. */
static const struct sample samples[] = {
    SAMPLE(IMAGE, "jpeg", "\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"),
    SAMPLE(IMAGE, "jpeg", "\xff\xd8\xff\xdb\0\x43\0"),
    SAMPLE(IMAGE, "png", "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0"),
    SAMPLE(IMAGE, "gif", "GIF89a\1\0\1\0\x80\0\0"), SAMPLE(IMAGE, "gif", "GIF87a\1\0\1\0\x80\0\0"),
    SAMPLE(IMAGE, "webp", "RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0"),
    SAMPLE(IMAGE, "bmp", "BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\1\0\0\0\1\0\0\0"),
    SAMPLE(IMAGE, "bmp", "BM\x8e\0\0\0\0\0\0\0\x8a\0\0\0\x7c\0\0\0\1\0\0\0"),
    SAMPLE(IMAGE, "tiff", "II*\0\x08\0\0\0\x0a\0"), SAMPLE(IMAGE, "tiff", "MM\0*\0\0\0\x08\0\x0a"),
    SAMPLE(IMAGE, "tiff", "II+\0\x08\0\0\0\x10\0\0\0"),
    SAMPLE(IMAGE, "avif",
           "\0\0\0\x1c"
           "ftypavif\0\0\0\0mif1avifmiaf"),
    SAMPLE(IMAGE, "heif",
           "\0\0\0\x18"
           "ftypheic\0\0\0\0mif1heic"),
    SAMPLE(IMAGE, "jxl", "\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14"),
    SAMPLE(IMAGE, "jp2", "\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14"),
    SAMPLE(IMAGE, "psd", "8BPS\0\1\0\0\0\0\0\0"),
    SAMPLE(AUDIO, "wav", "RIFF\x26\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0"),
    SAMPLE(AUDIO, "wav", "RF64\xff\xff\xff\xffWAVEds64"),
    SAMPLE(AUDIO, "mp3", "ID3\4\0\0\0\0\0\x23TSSE\0\0\0\x0f"),
    SAMPLE(AUDIO, "mp3", "\xff\xfb\x90\x64\0\0\0\0\0\0"), /* too short for a second frame */
    SAMPLE(AUDIO, "aac", "\xff\xf1\x50\x80\x02\x1f\xfc\0"),
    SAMPLE(AUDIO, "flac", "fLaC\0\0\0\x22\x10\0\x10\0"),
    SAMPLE(AUDIO, "ogg",
           "OggS\0\2\0\0\0\0\0\0\0\0\1\2\3\4\0\0\0\0\5\6\7\x08\1\x1e\1vorbis\0\0\0\0"),
    SAMPLE(AUDIO, "ogg", "OggS\0\2\0\0\0\0\0\0\0\0\1\2\3\4\0\0\0\0\5\6\7\x08\1\x13OpusHead\1"),
    SAMPLE(AUDIO, "m4a",
           "\0\0\0\x20"
           "ftypM4A \0\0\2\0M4A mp42"),
    SAMPLE(AUDIO, "aiff",
           "FORM\0\0\0\x2e"
           "AIFFCOMM"),
    SAMPLE(AUDIO, "amr", "#!AMR\n\x3c\x91"), SAMPLE(AUDIO, "midi", "MThd\0\0\0\6\0\1\0\1"),
    SAMPLE(VIDEO, "mp4",
           "\0\0\0\x20"
           "ftypisom\0\0\2\0isomiso2avc1mp41"),
    SAMPLE(VIDEO, "mp4",
           "\0\0\0\x14"
           "ftypqt  \0\0\2\0qt  "),
    SAMPLE(VIDEO, "webm", "\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f\x42\x86\x81\1"),
    SAMPLE(VIDEO, "avi", "RIFF\x26\0\0\0AVI LIST"),
    SAMPLE(VIDEO, "ogv",
           "OggS\0\2\0\0\0\0\0\0\0\0\1\2\3\4\0\0\0\0\5\6\7\x08\1\x2a\x80theora\3\2\1"),
    SAMPLE(VIDEO, "mpeg", "\0\0\1\xba\x44\0\4\0"),
    SAMPLE(PDF, "pdf", "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), SAMPLE(TEXT, "utf-8", ""),
    SAMPLE(TEXT, "utf-8", "hello, world\r\n\tand more"),
    SAMPLE(TEXT, "utf-8",
           "Gr\xc3\xbc\xc3\x9f"
           "e \xe2\x82\xac \xf0\x9f\x98\x80"),
    SAMPLE(TEXT, "utf-8", "\xef\xbb\xbfwith a mark"), SAMPLE(TEXT, "utf-8", "{\"json\": [1, 2]}"),
    SAMPLE(TEXT, "utf-8", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
    /* words that begin as a file would */
    SAMPLE(TEXT, "utf-8", "BMW builds cars, and has done so for a long time"),
    SAMPLE(TEXT, "utf-8", "ID3 is how MP3 files carry their titles"),
    SAMPLE(TEXT, "utf-8", "RIFF, RAFF and other nonsense"),
    SAMPLE(TEXT, "utf-8", "GIF is said in two ways"), SAMPLE(TEXT, "utf-8", "OggS"),
    SAMPLE(TEXT, "utf-8", "FORM follows function"), SAMPLE(TEXT, "utf-8", "II*"),
    SAMPLE(OTHER, "", "\0"), SAMPLE(OTHER, "", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
    SAMPLE(OTHER, "", "\0\0\x80\x3f\0\0\0\x40"), /* two numbers */
    SAMPLE(OTHER, "", "\0\0\1\0\2\0\0\0"), SAMPLE(OTHER, "", "text with a zero\0 in it"),
    SAMPLE(OTHER, "",
           "Gr\xfc\xdf"
           "e from 1985"),               /* Latin-1 */
    SAMPLE(OTHER, "", "\xff\xfeh\0i\0"), /* UTF-16 */
    SAMPLE(OTHER, "", "cut \xe2\x82"), SAMPLE(OTHER, "", "overlong \xc0\xaf"),
    SAMPLE(OTHER, "", "deleted \x7f"), SAMPLE(OTHER, "", "\x1f\x8b\x08\0\0\0\0\0"), /* gzip */
    SAMPLE(OTHER, "", "PK\3\4\x14\0"),
    SAMPLE(OTHER, "",
           "\x7f"
           "ELF\2\1\1"),
    SAMPLE(OTHER, "", "\xff\xe0\0\0\0\0\0\0"), /* a beginning of a frame, and no frame */
};

static void each_kind_is_told_by_its_beginning(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < ARRAY_LEN(samples); i++) {
        const struct sample *s = &samples[i];
        print_message("sample %u: %s %s\n", i, trp_content_name(s->kind), s->format);
        assert_int_equal(trp_sniff(s->bytes, s->n), s->kind);
        assert_string_equal(trp_sniff_format(s->bytes, s->n), s->format);
    }
}

static void no_byte_behind_the_end_is_looked_at(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < ARRAY_LEN(samples); i++)
        for (size_t n = 0; n <= samples[i].n; n++) {
            char *piece = malloc(n > 0 ? n : 1); /* so that a sanitizer sees who reads on */
            assert_non_null(piece);
            memcpy(piece, samples[i].bytes, n);
            assert_true(trp_sniff(piece, n) < TRP_CONTENTS);
            free(piece);
        }
    assert_int_equal(trp_sniff(NULL, 0), TRP_CONTENT_TEXT);
}

static void text_is_looked_at_as_far_as_is_said(void **state)
{
    (void)state;
    char text[TRP_SNIFF_TEXT_BYTES + 8];
    memset(text, 'a', sizeof text);
    text[TRP_SNIFF_TEXT_BYTES] = 0; /* behind the bound */
    assert_int_equal(trp_sniff(text, sizeof text), TRP_CONTENT_TEXT);
    text[TRP_SNIFF_TEXT_BYTES - 1] = 0;
    assert_int_equal(trp_sniff(text, sizeof text), TRP_CONTENT_OTHER);
    memcpy(text + TRP_SNIFF_TEXT_BYTES - 1, "\xe2\x82\xac", 3); /* a letter across the bound */
    assert_int_equal(trp_sniff(text, sizeof text), TRP_CONTENT_TEXT);
    assert_int_equal(trp_sniff(text, TRP_SNIFF_TEXT_BYTES), TRP_CONTENT_OTHER); /* cut for good */
}

/* MPEG-1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes a frame. */
static void frames_of_sound_must_follow_one_another(void **state)
{
    (void)state;
    unsigned char sound[900] = { 0xff, 0xfb, 0x90, 0x64 };
    memcpy(sound + 417, sound, 4);
    assert_int_equal(trp_sniff(sound, sizeof sound), TRP_CONTENT_AUDIO);
    sound[417] = 0;
    assert_int_equal(trp_sniff(sound, sizeof sound), TRP_CONTENT_OTHER);
    unsigned char aac[64] = { 0xff, 0xf1, 0x50, 0x80, 0x02, 0x1f, 0xfc }; /* 16 bytes a frame */
    memcpy(aac + 16, aac, 7);
    assert_string_equal(trp_sniff_format(aac, sizeof aac), "aac");
    aac[17] = 0;
    assert_string_equal(trp_sniff_format(aac, sizeof aac), "");
}

static void random_bytes_are_nearly_always_nothing_in_particular(void **state)
{
    (void)state;
    struct trp_random r = { 9 };
    uint32_t others = 0, rounds = 100000;
    for (uint32_t i = 0; i < rounds; i++) {
        uint64_t bytes[8];
        for (uint32_t k = 0; k < ARRAY_LEN(bytes); k++)
            bytes[k] = trp_random_next(&r);
        others += trp_sniff(bytes, sizeof bytes) == TRP_CONTENT_OTHER;
    }
    assert_true(others > rounds - rounds / 1000);
}

static void kinds_have_names_of_their_own(void **state)
{
    (void)state;
    for (int k = 1; k < TRP_CONTENTS; k++)
        for (int other = 0; other < k; other++)
            assert_string_not_equal(trp_content_name((enum trp_content)k),
                                    trp_content_name((enum trp_content)other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_is_told_by_its_beginning),
        cmocka_unit_test(no_byte_behind_the_end_is_looked_at),
        cmocka_unit_test(text_is_looked_at_as_far_as_is_said),
        cmocka_unit_test(frames_of_sound_must_follow_one_another),
        cmocka_unit_test(random_bytes_are_nearly_always_nothing_in_particular),
        cmocka_unit_test(kinds_have_names_of_their_own),
    };
    return cmocka_run_group_tests_name("sniff", tests, NULL, NULL);
}
