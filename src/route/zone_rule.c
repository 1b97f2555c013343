/* route/zone_rule.c - see zone_rule.h. */
#include "route/zone_rule.h"

/* ---- days and dates ---- */

/* Years begin in March here, so that the day that is not always there is a year's last; 400 of
 * them are an era. */
struct trp_zone_date trp_zone_date_of(int64_t day)
{
    const int64_t z = day + 719468; /* since 1 March of year 0 */
    const int64_t era = z / 146097 - (z % 146097 < 0);
    const int64_t doe = z - era * 146097;
    const int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    const int64_t m = (5 * doy + 2) / 153;
    const int32_t month = (int32_t)(m < 10 ? m + 3 : m - 9);
    return (struct trp_zone_date){ .year = yoe + era * 400 + (month <= 2),
                                   .month = month,
                                   .day = (int32_t)(doy - (153 * m + 2) / 5 + 1) };
}

int64_t trp_zone_day_of(struct trp_zone_date date)
{
    const int64_t y = date.year - (date.month <= 2);
    const int64_t era = y / 400 - (y % 400 < 0);
    const int64_t yoe = y - era * 400;
    const int64_t m = date.month > 2 ? date.month - 3 : date.month + 9;
    const int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + (153 * m + 2) / 5 + date.day - 1;
    return era * 146097 + doe - 719468;
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* ---- reading ---- */

struct reader {
    const char *at, *end;
};

static bool take(struct reader *r, char c)
{
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool take_number(struct reader *r, int32_t most, int32_t *out)
{
    int32_t n = 0;
    const char *begin = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9' && r->at - begin < 4)
        n = n * 10 + (*r->at++ - '0');
    *out = n;
    return r->at > begin && n <= most;
}

/* [+-]hh[:mm[:ss]], with at most so many hours. */
static bool take_time(struct reader *r, int32_t hours_max, int32_t *out_s)
{
    int32_t h, m = 0, s = 0;
    const bool is_negative = take(r, '-');
    if (!is_negative)
        (void)take(r, '+');
    if (!take_number(r, hours_max, &h))
        return false;
    if (take(r, ':')) {
        if (!take_number(r, 59, &m) || (take(r, ':') && !take_number(r, 59, &s)))
            return false;
    }
    const int32_t sum = h * 3600 + m * 60 + s;
    *out_s = is_negative ? -sum : sum;
    return true;
}

/* Three letters or more, or anything but '>' in angle brackets. */
static bool take_name(struct reader *r)
{
    const char *begin = r->at;
    if (take(r, '<')) {
        while (r->at < r->end && *r->at != '>')
            r->at++;
        return take(r, '>') && r->at - begin >= 5;
    }
    while (r->at < r->end && ((*r->at >= 'a' && *r->at <= 'z') || (*r->at >= 'A' && *r->at <= 'Z')))
        r->at++;
    return r->at - begin >= 3;
}

static bool take_day(struct reader *r, struct trp_zone_change *out)
{
    if (take(r, 'M')) {
        out->kind = 'M';
        return take_number(r, 12, &out->month) && out->month >= 1 && take(r, '.') &&
               take_number(r, 5, &out->week) && out->week >= 1 && take(r, '.') &&
               take_number(r, 6, &out->day);
    }
    if (take(r, 'J')) {
        out->kind = 'J';
        return take_number(r, 365, &out->day) && out->day >= 1;
    }
    out->kind = 'D';
    return take_number(r, 365, &out->day);
}

static bool take_change(struct reader *r, struct trp_zone_change *out)
{
    *out = (struct trp_zone_change){ .time_s = 2 * 3600 };
    if (!take(r, ',') || !take_day(r, out))
        return false;
    return !take(r, '/') || take_time(r, 167, &out->time_s);
}

bool trp_zone_rule_parse(struct trp_str text, struct trp_zone_rule *out)
{
    struct reader r = { text.ptr, text.ptr + text.len };
    int32_t west_s;
    *out = (struct trp_zone_rule){ .has_summer = false };
    if (text.len == 0 || !take_name(&r) || !take_time(&r, 24, &west_s))
        return false;
    out->offset_s = -west_s;
    if (r.at == r.end)
        return true;
    out->has_summer = true;
    if (!take_name(&r))
        return false;
    out->summer_offset_s = out->offset_s + 3600;
    if (r.at < r.end && *r.at != ',') {
        if (!take_time(&r, 24, &west_s))
            return false;
        out->summer_offset_s = -west_s;
    }
    return take_change(&r, &out->begin) && take_change(&r, &out->end) && r.at == r.end;
}

/* ---- moments ---- */

/* The day of a change in a year, as days since the epoch. */
static int64_t change_day(const struct trp_zone_change *c, int64_t year)
{
    const int64_t first = trp_zone_day_of((struct trp_zone_date){ year, 1, 1 });
    if (c->kind == 'D')
        return first + c->day;
    if (c->kind == 'J')
        return first + c->day - 1 + (c->day >= 60 && is_leap(year));
    const int64_t month = trp_zone_day_of((struct trp_zone_date){ year, c->month, 1 });
    const int64_t next =
        trp_zone_day_of((struct trp_zone_date){ year + c->month / 12, c->month % 12 + 1, 1 });
    const int64_t weekday = ((month + 4) % 7 + 7) % 7;
    int64_t day = month + (c->day - weekday + 7) % 7 + 7 * (c->week - 1);
    if (day >= next) /* there is no fifth one: the last */
        day -= 7;
    return day;
}

/* The latest change before or at this moment tells.  A change may lie outside of its year, so the
 * years beside it are looked at as well; where the end and the beginning of summer time fall
 * together, it is summer all the year. */
int32_t trp_zone_rule_offset(const struct trp_zone_rule *rule, int64_t at_s)
{
    if (!rule->has_summer)
        return rule->offset_s;
    const int64_t year = trp_zone_date_of(at_s / 86400 - (at_s % 86400 < 0)).year;
    int64_t latest = INT64_MIN;
    int32_t offset_s = rule->offset_s;
    for (int64_t y = year - 1; y <= year + 1; y++) {
        const int64_t end =
            change_day(&rule->end, y) * 86400 + rule->end.time_s - rule->summer_offset_s;
        const int64_t begin =
            change_day(&rule->begin, y) * 86400 + rule->begin.time_s - rule->offset_s;
        if (end <= at_s && end > latest) {
            latest = end;
            offset_s = rule->offset_s;
        }
        if (begin <= at_s && begin >= latest) {
            latest = begin;
            offset_s = rule->summer_offset_s;
        }
    }
    return offset_s;
}
