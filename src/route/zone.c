/* route/zone.c - see zone.h.
 *
 *   moment < first transition ......... the first type of the file (local mean time, as a rule)
 *   between two transitions ........... what the earlier one says
 *   behind the last ................... the footer, a rule as in the variable TZ:
 *   "CET-1CEST,M3.5.0,M10.5.0/3"
 *
 * Files that count leap seconds ("right/...") are refused: a Unix time has none. */
#include "route/zone.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "route/zone_rule.h"

#define HEADER_BYTES 44u
#define TYPES_MAX 256u
#define TIMES_MAX 16384u
#define NAME_MAX_BYTES 63u
#define FOLDER_DEFAULT "/usr/share/zoneinfo"

struct trp_zone {
    const struct trp_alloc *alloc;
    uint32_t times_n, types_n;
    int64_t *times;     /* rising; s since the epoch */
    uint8_t *kinds;     /* which type begins at each */
    int32_t *offsets_s; /* of each type */
    bool has_rule;
    struct trp_zone_rule rule;
};

void trp_zone_close(struct trp_zone *zone)
{
    if (!zone)
        return;
    trp_alloc_free(zone->alloc, zone->times);
    trp_alloc_free(zone->alloc, zone->kinds);
    trp_alloc_free(zone->alloc, zone->offsets_s);
    trp_alloc_free(zone->alloc, zone);
}

/* ---- the file ---- */

static uint32_t big32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t big64(const unsigned char *p)
{
    return (int64_t)((uint64_t)big32(p) << 32 | big32(p + 4));
}

struct head {
    char version;
    uint32_t isut, isstd, leap, times, types, chars;
};

static bool read_head(const unsigned char *p, size_t n, struct head *out)
{
    if (n < HEADER_BYTES || memcmp(p, "TZif", 4) != 0)
        return false;
    *out = (struct head){ .version = (char)p[4],
                          .isut = big32(p + 20),
                          .isstd = big32(p + 24),
                          .leap = big32(p + 28),
                          .times = big32(p + 32),
                          .types = big32(p + 36),
                          .chars = big32(p + 40) };
    return out->types >= 1 && out->types <= TYPES_MAX && out->times <= TIMES_MAX &&
           out->isut <= out->types && out->isstd <= out->types && out->leap <= TIMES_MAX &&
           out->chars <= UINT16_MAX;
}

/* Bytes behind the header; `width` of a moment. */
static size_t body_bytes(const struct head *h, size_t width)
{
    return (size_t)h->times * (width + 1) + (size_t)h->types * 6 + h->chars +
           (size_t)h->leap * (width + 4) + h->isstd + h->isut;
}

static bool reserve(struct trp_zone *z, const struct head *h)
{
    z->times = trp_alloc_get(z->alloc, h->times + 1u, sizeof *z->times);
    z->kinds = trp_alloc_get(z->alloc, h->times + 1u, sizeof *z->kinds);
    z->offsets_s = trp_alloc_get(z->alloc, h->types, sizeof *z->offsets_s);
    return z->times && z->kinds && z->offsets_s;
}

/* False: moments do not rise, or a type is not there, or its offset is longer than a day. */
static bool take_body(struct trp_zone *z, const struct head *h, size_t width,
                      const unsigned char *p)
{
    const unsigned char *kinds = p + h->times * width, *types = kinds + h->times;
    for (uint32_t i = 0; i < h->times; i++) {
        z->times[i] = width == 8 ? big64(p + i * 8) : (int32_t)big32(p + i * 4);
        z->kinds[i] = kinds[i];
        if (kinds[i] >= h->types || (i > 0 && z->times[i] <= z->times[i - 1]))
            return false;
    }
    for (uint32_t i = 0; i < h->types; i++) {
        z->offsets_s[i] = (int32_t)big32(types + i * 6);
        if (z->offsets_s[i] < -TRP_ZONE_OFFSET_MAX || z->offsets_s[i] > TRP_ZONE_OFFSET_MAX)
            return false;
    }
    z->times_n = h->times;
    z->types_n = h->types;
    return true;
}

/* Behind the body of a file of version 2 or later: a line with the rule, which may be empty. */
static bool take_footer(struct trp_zone *z, const unsigned char *p, size_t n)
{
    const unsigned char *end = n > 1 && p[0] == '\n' ? memchr(p + 1, '\n', n - 1) : NULL;
    if (!end)
        return false;
    const struct trp_str text = trp_str_make((const char *)p + 1, (size_t)(end - p) - 1);
    if (text.len == 0)
        return true;
    z->has_rule = true;
    return trp_zone_rule_parse(text, &z->rule);
}

static trp_status take_file(struct trp_zone *z, const unsigned char *p, size_t n,
                            struct trp_error *err)
{
    struct head h;
    size_t width = 4, at = HEADER_BYTES;
    if (!read_head(p, n, &h))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "not a time zone file (TZif)");
    if (h.version >= '2') { /* the same again, with moments of 64 bits, and a footer */
        at += body_bytes(&h, 4);
        if (at > n || !read_head(p + at, n - at, &h))
            return trp_fail(err, TRP_INVALID_ARGUMENT, "the time zone file is cut");
        at += HEADER_BYTES;
        width = 8;
    }
    const size_t body = body_bytes(&h, width);
    if (body > n - at)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "the time zone file is cut");
    if (h.leap > 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "it counts leap seconds, which no clock here does");
    if (!reserve(z, &h))
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%u changes of time", h.times);
    if (!take_body(z, &h, width, p + at))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "the time zone file is damaged");
    if (width == 8 && !take_footer(z, p + at + body, n - at - body))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "the rule at the file's end cannot be read");
    return trp_ok();
}

static struct trp_zone *make(const struct trp_alloc *alloc)
{
    struct trp_zone *z = trp_alloc_zeroed(alloc, 1, sizeof *z);
    if (z)
        z->alloc = alloc;
    return z;
}

trp_status trp_zone_parse(const struct trp_alloc *alloc, const void *bytes, size_t n,
                          struct trp_zone **out_zone, struct trp_error *err)
{
    *out_zone = NULL;
    struct trp_zone *z = make(alloc);
    if (!z)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "a time zone");
    const trp_status st = take_file(z, bytes, n, err);
    if (trp_failed(st)) {
        trp_zone_close(z);
        return st;
    }
    *out_zone = z;
    return trp_ok();
}

/* ---- by name ---- */

static bool is_name(struct trp_str name)
{
    if (name.len == 0 || name.len > NAME_MAX_BYTES || name.ptr[0] == '/' ||
        name.ptr[name.len - 1] == '/')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        const bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                             (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '+';
        if (!is_word && !(c == '/' && name.ptr[i - 1] != '/'))
            return false; /* no dots: nobody leads out of the folder */
    }
    return true;
}

static trp_status missing(const char *folder, struct trp_str name, struct trp_error *err)
{
    struct trp_file_stat st;
    if (trp_failed(trp_file_stat(folder, &st, NULL)))
        return trp_fail(err, TRP_NOT_FOUND,
                        "time zone '%.*s': there is no folder '%s': install tzdata, or set TZDIR",
                        TRP_STR(name), folder);
    return trp_fail(err, TRP_NOT_FOUND,
                    "no time zone '%.*s' in '%s' (names are as in 'Europe/Berlin', case counts)",
                    TRP_STR(name), folder);
}

trp_status trp_zone_open_in(const struct trp_alloc *alloc, const char *folder, struct trp_str name,
                            struct trp_zone **out_zone, struct trp_error *err)
{
    char path[4096];
    char *bytes;
    size_t n;
    *out_zone = NULL;
    if (!is_name(name))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "'%.*s' is no name of a time zone",
                        name.len > 64 ? 64 : (int)name.len, name.ptr);
    if (trp_str_is(name, "UTC")) {
        *out_zone = make(alloc);
        return *out_zone ? trp_ok() : trp_fail(err, TRP_OUT_OF_MEMORY, "a time zone");
    }
    if ((size_t)snprintf(path, sizeof path, "%s/%.*s", folder, TRP_STR(name)) >= sizeof path)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "the folder's path is too long");
    trp_status st = trp_file_read(alloc, path, TRP_ZONE_FILE_MAX, &bytes, &n, err);
    if (st.code == TRP_NOT_FOUND)
        return missing(folder, name, err);
    if (trp_failed(st)) {
        trp_error_within(err, "time zone '%.*s'", TRP_STR(name));
        return st;
    }
    st = trp_zone_parse(alloc, bytes, n, out_zone, err);
    trp_alloc_free(alloc, bytes);
    if (trp_failed(st))
        trp_error_within(err, "time zone '%.*s' in '%s'", TRP_STR(name), folder);
    return st;
}

trp_status trp_zone_open(const struct trp_alloc *alloc, struct trp_str name,
                         struct trp_zone **out_zone, struct trp_error *err)
{
    const char *folder = getenv("TZDIR");
    return trp_zone_open_in(alloc, folder && folder[0] ? folder : FOLDER_DEFAULT, name, out_zone,
                            err);
}

/* ---- moments ---- */

static int32_t offset_at(const struct trp_zone *z, int64_t at_s)
{
    if (!z || z->types_n == 0)
        return 0; /* UTC */
    if (z->has_rule && (z->times_n == 0 || at_s >= z->times[z->times_n - 1]))
        return trp_zone_rule_offset(&z->rule, at_s);
    if (z->times_n == 0 || at_s < z->times[0])
        return z->offsets_s[0];
    uint32_t low = 0, high = z->times_n; /* times[low] <= at_s < times[high] */
    while (high - low > 1) {
        const uint32_t mid = low + (high - low) / 2;
        if (z->times[mid] <= at_s)
            low = mid;
        else
            high = mid;
    }
    return z->offsets_s[z->kinds[low]];
}

void trp_zone_civil(const struct trp_zone *zone, int64_t unix_ns, struct trp_civil *out)
{
    const int64_t at_s = unix_ns / TRP_S(1) - (unix_ns % TRP_S(1) < 0);
    const int32_t offset_s = offset_at(zone, at_s);
    const int64_t local_s = at_s + offset_s;
    const int64_t day = local_s / 86400 - (local_s % 86400 < 0);
    const int32_t second = (int32_t)(local_s - day * 86400);
    const struct trp_zone_date d = trp_zone_date_of(day);
    *out = (struct trp_civil){
        .year = (int32_t)d.year,
        .month = (uint8_t)d.month,
        .day = (uint8_t)d.day,
        .weekday = (uint8_t)(((day + 4) % 7 + 7) % 7), /* the epoch's was a Thursday */
        .hour = (uint8_t)(second / 3600),
        .minute = (uint8_t)(second / 60 % 60),
        .second = (uint8_t)(second % 60),
        .yearday = (uint16_t)(day - trp_zone_day_of((struct trp_zone_date){ d.year, 1, 1 }) + 1),
        .offset_s = offset_s,
    };
}
