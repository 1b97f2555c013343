/* route/cron.c - see cron.h. */
#include "route/cron.h"

struct field {
    const char *name; /* for messages */
    int32_t low, high;
    bool may_wrap;
    const char *words; /* three letters each, from `first_word` on; "": none */
    int32_t first_word;
    const char *expected;
};

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };

static const struct field fields[FIELDS] = {
    [MINUTE] = { "minute", 0, 59, true, "", 0, "0 to 59" },
    [HOUR] = { "hour", 0, 23, true, "", 0, "0 to 23" },
    [DAY] = { "day of month", 1, 31, false, "", 0, "1 to 31" },
    [MONTH] = { "month", 1, 12, true, "janfebmaraprmayjunjulaugsepoctnovdec", 1,
                "1 to 12, or jan to dec" },
    [WEEKDAY] = { "day of week", 0, 7, true, "sunmontuewedthufrisat", 0, "0 to 7, or sun to sat" },
};

static trp_status unexpected(const struct field *f, struct trp_str item, struct trp_error *err)
{
    return trp_fail(err, TRP_INVALID_ARGUMENT,
                    "%s '%.*s': expected %s, as a list of numbers and ranges with steps, or *",
                    f->name, TRP_STR(item), f->expected);
}

static bool read_word(const struct field *f, struct trp_str s, int32_t *out)
{
    if (s.len != 3)
        return false;
    for (const char *w = f->words; *w; w += 3)
        if (trp_str_is_equal_nocase(s, trp_str_make(w, 3))) {
            *out = f->first_word + (int32_t)((w - f->words) / 3);
            return true;
        }
    return false;
}

static bool read_value(const struct field *f, struct trp_str s, int32_t *out)
{
    uint64_t n;
    if (read_word(f, s, out))
        return true;
    if (!trp_str_parse_u64(s, &n) || n < (uint64_t)f->low || n > (uint64_t)f->high)
        return false;
    *out = (int32_t)n;
    return true;
}

/* Cuts `s` at the first `c`; false: there is none, and `out_tail` is empty. */
static bool cut(struct trp_str *s, char c, struct trp_str *out_tail)
{
    const char *at = s->len > 0 ? memchr(s->ptr, c, s->len) : NULL;
    *out_tail = (struct trp_str){ NULL, 0 };
    if (!at)
        return false;
    *out_tail = trp_str_make(at + 1, s->len - (size_t)(at - s->ptr) - 1);
    s->len = (size_t)(at - s->ptr);
    return true;
}

/* One item of a list: `*`, `7`, `mon-fri`, each with a step if wanted. */
static trp_status read_item(const struct field *f, struct trp_str item, uint64_t *bits,
                            struct trp_error *err)
{
    struct trp_str range = item, step_text, last_text;
    int32_t first = f->low, last = f == &fields[WEEKDAY] ? 6 : f->high;
    uint64_t step = 1;
    const bool has_step = cut(&range, '/', &step_text);
    if (has_step && (!trp_str_parse_u64(step_text, &step) || step == 0 || step > 60))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "%s '%.*s': expected a step of 1 to 60 behind '/'", f->name, TRP_STR(item));
    if (!trp_str_is(range, "*") && !trp_str_is(range, "?")) {
        const bool is_range = cut(&range, '-', &last_text);
        if (!read_value(f, range, &first))
            return unexpected(f, item, err);
        if (is_range && !read_value(f, last_text, &last))
            return unexpected(f, item, err);
        if (!is_range && !has_step)
            last = first;
    }
    const int32_t round = f == &fields[WEEKDAY] ? 7 : f->high - f->low + 1;
    if (last < first) {
        if (!f->may_wrap)
            return trp_fail(err, TRP_INVALID_ARGUMENT, "%s '%.*s': the range ends before it begins",
                            f->name, TRP_STR(item));
        last += round;
    }
    for (int32_t v = first; v <= last; v += (int32_t)step)
        *bits |= UINT64_C(1) << ((v - f->low) % round + f->low);
    return trp_ok();
}

static trp_status read_field(const struct field *f, struct trp_str text, uint64_t *bits,
                             struct trp_error *err)
{
    struct trp_str rest;
    *bits = 0;
    bool more = true;
    while (more) {
        more = cut(&text, ',', &rest);
        TRP_CHECK(read_item(f, text, bits, err));
        text = rest;
    }
    return trp_ok();
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The next field of the text; false: there is none. */
static bool next(struct trp_str *text, struct trp_str *out)
{
    while (text->len > 0 && is_blank(text->ptr[0]))
        *text = trp_str_make(text->ptr + 1, text->len - 1);
    size_t n = 0;
    while (n < text->len && !is_blank(text->ptr[n]))
        n++;
    *out = trp_str_make(text->ptr, n);
    *text = trp_str_make(text->ptr + n, text->len - n);
    return n > 0;
}

trp_status trp_cron_parse(struct trp_str text, struct trp_cron *out, struct trp_error *err)
{
    uint64_t bits[FIELDS];
    bool is_any[FIELDS]; /* as Vixie cron has it: the field begins with a star */
    struct trp_str field, rest = text;
    for (int i = 0; i < FIELDS; i++) {
        if (!next(&rest, &field))
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "'%.*s': the %s is missing; expected five fields: minute, hour, day of "
                            "month, month, day of week",
                            TRP_STR(text), fields[i].name);
        is_any[i] = field.ptr[0] == '*' || field.ptr[0] == '?';
        TRP_CHECK(read_field(&fields[i], field, &bits[i], err));
    }
    if (next(&rest, &field))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "'%.*s' behind the five fields: minute, hour, day of month, month, day of "
                        "week",
                        TRP_STR(field));
    *out = (struct trp_cron){ .minutes = bits[MINUTE],
                              .hours = (uint32_t)bits[HOUR],
                              .days = (uint32_t)bits[DAY],
                              .months = (uint16_t)bits[MONTH],
                              .weekdays = (uint8_t)bits[WEEKDAY],
                              .either_day = !is_any[DAY] && !is_any[WEEKDAY] };
    return trp_ok();
}

bool trp_cron_holds(const struct trp_cron *cron, const struct trp_civil *civil)
{
    const bool day = cron->days >> civil->day & 1, weekday = cron->weekdays >> civil->weekday & 1;
    return (cron->minutes >> civil->minute & 1) && (cron->hours >> civil->hour & 1) &&
           (cron->months >> civil->month & 1) &&
           (cron->either_day ? day || weekday : day && weekday);
}
