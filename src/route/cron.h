/* route/cron.h - windows of time, as crontabs write moments.
 * Answers "is it one of these minutes?".  "* 1-4 * * mon-fri" holds during each minute that a
 * crontab's line with these five fields would start something in: minute, hour, day of month,
 * month, day of week. */
#ifndef TRP_CRON_H
#define TRP_CRON_H

#include "base/status.h"
#include "base/str.h"
#include "route/zone.h"

struct trp_cron {
    uint64_t minutes; /* bit n: minute n */
    uint32_t hours;   /* bit n: hour n */
    uint32_t days;    /* bit n: day n of the month, 1..31 */
    uint16_t months;  /* bit n: month n, 1..12 */
    uint8_t weekdays; /* bit n: 0 Sunday .. 6 Saturday */
    bool either_day;  /* both day fields are restricted: one of them is enough */
};

/* Reads five fields separated by blanks.  A field is a list (1,15) of numbers, names (jan.., sun..;
 * any case), ranges (1-5) and steps (* /15 without the blank, 8-18/2, and 5/15 as 5-59/15); `*` and
 * `?` are any.  Sunday is 0 or 7; a range of weekdays, months or hours may run over its end
 * (fri-mon, 22-4).  Where both days are restricted, that is neither begins with `*`, either is
 * enough.
 *   Owns  : borrowed; *out is untouched on failure.
 *   Thread: any.
 *   Errors: INVALID_ARGUMENT: which field, and what was expected.
 *   Source: crontab(5) of Vixie cron. */
trp_status trp_cron_parse(struct trp_str text, struct trp_cron *out, struct trp_error *err);

/* Tells whether it holds in this minute.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Cost  : O(1).
 *   Errors: none. */
bool trp_cron_holds(const struct trp_cron *cron, const struct trp_civil *civil);

#endif
