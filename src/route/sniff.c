/* route/sniff.c - see sniff.h.
 *
 * A beginning that text could have as well ("BM", "ID3") must be followed by what a file of that
 * format goes on with.  Numbers of a tensor that somebody packed into strings have no beginning of
 * their own: those that are short, or made of zeros, are not in the table (icons: 00 00 01 00). */
#include "route/sniff.h"

#include "base/status.h"

struct magic {
    enum trp_content kind;
    uint8_t offset, len;
    const char *format, *bytes;
};

#define AT(kind_, format_, offset_, bytes_)                                          \
    {                                                                                \
        .kind = TRP_CONTENT_##kind_, .offset = (offset_), .len = sizeof(bytes_) - 1, \
        .format = (format_), .bytes = (bytes_)                                       \
    }

static const struct magic magics[] = {
    AT(IMAGE, "jpeg", 0, "\xff\xd8\xff"), /* ISO/IEC 10918-1: SOI, and a marker */
    AT(IMAGE, "png", 0, "\x89PNG\r\n\x1a\n"),
    AT(IMAGE, "gif", 0, "GIF87a"),
    AT(IMAGE, "gif", 0, "GIF89a"),
    AT(IMAGE, "tiff", 0, "II*\0"), /* TIFF 6.0, either order of bytes; BigTIFF */
    AT(IMAGE, "tiff", 0, "MM\0*"),
    AT(IMAGE, "tiff", 0, "II+\0\x08\0\0\0"),
    AT(IMAGE, "tiff", 0, "MM\0+\0\x08\0\0"),
    AT(IMAGE, "jxl", 0, "\0\0\0\x0cJXL \r\n\x87\n"),
    AT(IMAGE, "jp2", 0, "\0\0\0\x0cjP  \r\n\x87\n"),
    AT(IMAGE, "psd", 0, "8BPS\0\x01"),
    AT(AUDIO, "flac", 0, "fLaC"),
    AT(AUDIO, "amr", 0, "#!AMR\n"),
    AT(AUDIO, "au", 0, ".snd\0\0"),
    AT(AUDIO, "midi", 0, "MThd\0\0\0\x06"),
    AT(VIDEO, "webm", 0, "\x1a\x45\xdf\xa3"), /* EBML: Matroska or WebM, with sound alone as well */
    AT(VIDEO, "flv", 0, "FLV\x01"),
    AT(VIDEO, "mpeg", 0, "\0\0\x01\xba"),
    AT(VIDEO, "asf", 0, "\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    AT(PDF, "pdf", 0, "%PDF-"),
};

/* What a container says that it holds, where its own beginning has said that it is one. */
static const struct magic riff[] = {
    AT(IMAGE, "webp", 8, "WEBP"),
    AT(AUDIO, "wav", 8, "WAVE"),
    AT(VIDEO, "avi", 8, "AVI "),
};
static const struct magic iff[] = {
    AT(AUDIO, "aiff", 8, "AIFF"),
    AT(AUDIO, "aiff", 8, "AIFC"),
};
static const struct magic brands[] = {
    /* ISO/IEC 14496-12; others are taken for video */
    AT(IMAGE, "avif", 8, "avif"), AT(IMAGE, "avif", 8, "avis"), AT(IMAGE, "heif", 8, "heic"),
    AT(IMAGE, "heif", 8, "heix"), AT(IMAGE, "heif", 8, "mif1"), AT(IMAGE, "heif", 8, "msf1"),
    AT(IMAGE, "heif", 8, "hevc"), AT(AUDIO, "m4a", 8, "M4A "),  AT(AUDIO, "m4a", 8, "M4B "),
    AT(AUDIO, "m4a", 8, "M4P "),
};

struct verdict {
    enum trp_content kind;
    const char *format;
};
static const struct verdict other = { TRP_CONTENT_OTHER, "" };

static bool begins(const unsigned char *p, size_t n, size_t offset, const char *bytes, size_t len)
{
    return n >= offset + len && memcmp(p + offset, bytes, len) == 0;
}

static struct verdict look_up(const struct magic *table, size_t rows, const unsigned char *p,
                              size_t n)
{
    for (size_t i = 0; i < rows; i++)
        if (begins(p, n, table[i].offset, table[i].bytes, table[i].len))
            return (struct verdict){ table[i].kind, table[i].format };
    return other;
}

static struct verdict container(const unsigned char *p, size_t n)
{
    if (begins(p, n, 0, "RIFF", 4) || begins(p, n, 0, "RF64", 4))
        return look_up(riff, ARRAY_LEN(riff), p, n);
    if (begins(p, n, 0, "FORM", 4))
        return look_up(iff, ARRAY_LEN(iff), p, n);
    if (n >= 12 && begins(p, n, 4, "ftyp", 4) && p[0] == 0) {
        const struct verdict v = look_up(brands, ARRAY_LEN(brands), p, n);
        return v.kind != TRP_CONTENT_OTHER ? v : (struct verdict){ TRP_CONTENT_VIDEO, "mp4" };
    }
    return other;
}

/* RFC 3533: pages; the first begins with a packet that names its codec. */
static struct verdict ogg(const unsigned char *p, size_t n)
{
    if (!begins(p, n, 0, "OggS\0", 5))
        return other;
    const size_t packet = n > 26 ? 27u + p[26] : n; /* behind the table of segments */
    if (packet < n && begins(p, n, packet, "\x80theora", 7))
        return (struct verdict){ TRP_CONTENT_VIDEO, "ogv" };
    return (struct verdict){ TRP_CONTENT_AUDIO, "ogg" };
}

static uint32_t little32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* "BM", what is reserved is zero, and behind it one of the headers that there are, by its size. */
static struct verdict bitmap(const unsigned char *p, size_t n)
{
    if (n < 18 || !begins(p, n, 0, "BM", 2) || little32(p + 6) != 0)
        return other;
    switch (little32(p + 14)) {
    case 12:
    case 40:
    case 52:
    case 56:
    case 64:
    case 108:
    case 124:
        return (struct verdict){ TRP_CONTENT_IMAGE, "bmp" };
    default:
        return other;
    }
}

/* ---- MPEG audio without a container: frames behind one another, each with eleven bits set at
 * its beginning ---- */

/* Bytes of the frame that begins here, of layer III; 0: none does.  ISO/IEC 11172-3, 13818-3. */
static size_t mp3_frame(const unsigned char *p)
{
    static const uint16_t kbits[2][16] = {
        { 0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0 }, /* MPEG 1 */
        { 0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0 },     /* MPEG 2, 2.5 */
    };
    static const uint16_t rates[4] = { 44100, 48000, 32000, 0 };
    const unsigned version = (p[1] >> 3) & 3, layer = (p[1] >> 1) & 3;
    if (p[0] != 0xff || (p[1] & 0xe0) != 0xe0 || version == 1 || layer != 1)
        return 0;
    const bool is_first = version == 3;
    uint32_t rate = rates[(p[2] >> 2) & 3];
    const uint32_t bits = kbits[!is_first][p[2] >> 4] * 1000u;
    if (rate == 0 || bits == 0)
        return 0;
    rate >>= is_first ? 0 : (version == 2 ? 1 : 2);
    return (is_first ? 144u : 72u) * bits / rate + ((p[2] >> 1) & 1);
}

/* As MP3, in ADTS frames; ISO/IEC 13818-7. */
static size_t aac_frame(const unsigned char *p)
{
    if (p[0] != 0xff || (p[1] & 0xf6) != 0xf0 || ((p[2] >> 2) & 15) > 12)
        return 0;
    const size_t bytes = (size_t)(p[3] & 3) << 11 | (size_t)p[4] << 3 | p[5] >> 5;
    return bytes >= 7 ? bytes : 0;
}

static struct verdict frames(const unsigned char *p, size_t n)
{
    if (n >= 10 && begins(p, n, 0, "ID3", 3) && p[3] < 0x10 && p[4] < 0xff)
        return (struct verdict){ TRP_CONTENT_AUDIO, "mp3" };
    if (n < 8)
        return other;
    const size_t mp3 = mp3_frame(p), aac = aac_frame(p);
    /* Where the second frame can be seen it must be there: four bytes alone are no proof. */
    if (mp3 > 0 && (n - 4 < mp3 || mp3_frame(p + mp3) > 0))
        return (struct verdict){ TRP_CONTENT_AUDIO, "mp3" };
    if (aac > 0 && (n < 8 + aac || aac_frame(p + aac) > 0))
        return (struct verdict){ TRP_CONTENT_AUDIO, "aac" };
    return other;
}

/* What WHATWG calls binary data bytes, and DEL. */
static bool is_control(unsigned char c)
{
    return c <= 0x08 || c == 0x0b || (c >= 0x0e && c <= 0x1a) || (c >= 0x1c && c <= 0x1f) ||
           c == 0x7f;
}

/* Eight bytes of plain text: none below 0x20, none from 0x7f on. */
static bool is_plain(const unsigned char *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return ((w | (w - 0x20 * ones) | (w + ones)) & tops) == 0;
}

static bool is_text(const unsigned char *p, size_t n)
{
    const size_t look = n < TRP_SNIFF_TEXT_BYTES ? n : TRP_SNIFF_TEXT_BYTES;
    for (size_t i = 0; i < look;) {
        if (look - i >= 8 && is_plain(p + i)) {
            i += 8;
            continue;
        }
        if (p[i] < 0x80) {
            if (is_control(p[i]))
                return false;
            i++;
            continue;
        }
        const size_t len = trp_str_utf8_length((const char *)p + i, n - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

static struct verdict judge(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    const size_t head = n < TRP_SNIFF_MAGIC_BYTES ? n : TRP_SNIFF_MAGIC_BYTES;
    struct verdict v = look_up(magics, ARRAY_LEN(magics), p, head);
    if (v.kind == TRP_CONTENT_OTHER)
        v = container(p, head);
    if (v.kind == TRP_CONTENT_OTHER)
        v = ogg(p, head);
    if (v.kind == TRP_CONTENT_OTHER)
        v = bitmap(p, head);
    if (v.kind == TRP_CONTENT_OTHER)
        v = frames(p, n);
    if (v.kind == TRP_CONTENT_OTHER && is_text(p, n))
        v = (struct verdict){ TRP_CONTENT_TEXT, "utf-8" };
    return v;
}

enum trp_content trp_sniff(const void *bytes, size_t n)
{
    return judge(bytes, n).kind;
}

const char *trp_sniff_format(const void *bytes, size_t n)
{
    return judge(bytes, n).format;
}

static const char *const names[TRP_CONTENTS] = {
    [TRP_CONTENT_OTHER] = "other", [TRP_CONTENT_TEXT] = "text",   [TRP_CONTENT_IMAGE] = "image",
    [TRP_CONTENT_AUDIO] = "audio", [TRP_CONTENT_VIDEO] = "video", [TRP_CONTENT_PDF] = "pdf",
};

const char *trp_content_name(enum trp_content kind)
{
    TRP_ASSERT(kind < TRP_CONTENTS);
    return names[kind];
}
