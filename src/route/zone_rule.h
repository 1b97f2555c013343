/* route/zone_rule.h - a time zone as one line, and days as dates.
 * Answers "from when to when is it summer time?", for "CET-1CEST,M3.5.0,M10.5.0/3".  For zone.c
 * only: files of time zones end with such a rule. */
#ifndef TRP_ZONE_RULE_H
#define TRP_ZONE_RULE_H

#include "base/str.h"

#define TRP_ZONE_OFFSET_MAX 93599 /* s: 25:59:59, as RFC 9636 has it */

/* A date of the Gregorian calendar, also before it was one, and the days since 1 January 1970.
 *   Units : month 1..12, day 1..31; the year within some billions of years.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none.
 *   Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". */
struct trp_zone_date {
    int64_t year;
    int32_t month, day;
};
struct trp_zone_date trp_zone_date_of(int64_t day);
int64_t trp_zone_day_of(struct trp_zone_date date);

/* When a change takes place in a year. */
struct trp_zone_change {
    char kind; /* 'J': day 1..365 without 29 February; 'D': day 0..365; 'M': month, week, weekday */
    int32_t day;         /* of 'M' the weekday, 0 Sunday */
    int32_t month, week; /* 1..12; 1..5, 5 is the last */
    int32_t time_s;      /* of the day, by the clock before the change; may be outside of it */
};

struct trp_zone_rule {
    int32_t offset_s, summer_offset_s; /* east of UTC */
    bool has_summer;
    struct trp_zone_change begin, end; /* of summer time */
};

/* Reads a rule; all of it must be one, and who has summer time must say when.
 *   Owns  : borrowed; *out holds nothing useful on false.
 *   Thread: any.
 *   Errors: false: it is none.
 *   Source: POSIX.1-2017 section 8.3, TZ, in its second form; RFC 9636 section 3.3.1. */
bool trp_zone_rule_parse(struct trp_str text, struct trp_zone_rule *out);

/* Tells how far east of UTC the clocks are at a moment.
 *   Units : s since the epoch; s.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
int32_t trp_zone_rule_offset(const struct trp_zone_rule *rule, int64_t at_s);

#endif
