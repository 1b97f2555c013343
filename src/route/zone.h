/* route/zone.h - what the clock on the wall says, in a named place.
 * Answers "which hour, which weekday is it in Berlin?".  A zone is read once from the system's time
 * zone files (TZif) and is constant from then on; "UTC" needs no file.  Moments behind the last one
 * in the file follow the rule that the file ends with. */
#ifndef TRP_ZONE_H
#define TRP_ZONE_H

#include "base/alloc.h"
#include "base/status.h"
#include "base/str.h"

struct trp_zone;

struct trp_civil {
    int32_t year;
    uint8_t month;                /* 1..12 */
    uint8_t day;                  /* 1..31 */
    uint8_t weekday;              /* 0 Sunday .. 6 Saturday, as in cron and CEL */
    uint8_t hour, minute, second; /* 0..23, 0..59, 0..59 */
    uint16_t yearday;             /* 1..366 */
    int32_t offset_s;             /* east of UTC */
};

#define TRP_ZONE_FILE_MAX (256u * 1024)

/* Opens a zone by its name, such as "Europe/Berlin", in the folder that the environment names with
 * TZDIR, or in the system's; open_in: in this folder.  close accepts NULL.
 *   Owns  : the caller closes; `alloc` is borrowed until then.
 *   Thread: any; a zone is constant.
 *   Blocks: disk.
 *   Errors: NOT_FOUND: no such zone here (and whether there are any), INVALID_ARGUMENT: no name of
 *           a zone, or the file is no whole TZif file; TOO_LARGE, OUT_OF_MEMORY, IO.
 *   Source: RFC 9636 (TZif), POSIX.1-2017 section 8.3 (TZ). */
trp_status trp_zone_open(const struct trp_alloc *alloc, struct trp_str name,
                         struct trp_zone **out_zone, struct trp_error *err);
trp_status trp_zone_open_in(const struct trp_alloc *alloc, const char *folder, struct trp_str name,
                            struct trp_zone **out_zone, struct trp_error *err);
void trp_zone_close(struct trp_zone *zone);

/* Reads a zone from the bytes of a TZif file.
 *   Owns  : as trp_zone_open(); `bytes` are borrowed for the call.
 *   Thread: any.
 *   Errors: INVALID_ARGUMENT, OUT_OF_MEMORY. */
trp_status trp_zone_parse(const struct trp_alloc *alloc, const void *bytes, size_t n,
                          struct trp_zone **out_zone, struct trp_error *err);

/* Tells the civil time of a moment; NULL as a zone is UTC.
 *   Units : ns since the epoch, any int64.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Cost  : O(log transitions), no allocation.
 *   Errors: none. */
void trp_zone_civil(const struct trp_zone *zone, int64_t unix_ns, struct trp_civil *out);

#endif
