/* fuzz/rule_facts.c - what rules read that strangers have written: content, windows, time zones.
 * The first byte chooses. */
#include "base/clock.h"
#include "base/status.h"
#include "route/cron.h"
#include "route/sniff.h"
#include "route/zone.h"

/* More bytes never change what a known beginning says; text may turn out to be none. */
static void sniff(const uint8_t *data, size_t size)
{
    const enum trp_content kind = trp_sniff(data, size);
    TRP_ASSERT(kind < TRP_CONTENTS);
    const bool is_named = trp_sniff_format(data, size)[0] != 0;
    TRP_ASSERT(is_named == (kind != TRP_CONTENT_OTHER));
    if (kind == TRP_CONTENT_TEXT && size <= TRP_SNIFF_TEXT_BYTES)
        TRP_ASSERT(trp_str_is_utf8(trp_str_make((const char *)data, size)));
}

static void cron(const uint8_t *data, size_t size)
{
    struct trp_cron c;
    struct trp_civil at;
    if (trp_failed(trp_cron_parse(trp_str_make((const char *)data, size), &c, NULL)))
        return;
    for (int64_t hour = 0; hour < 24 * 40; hour++) {
        trp_zone_civil(NULL, hour * TRP_S(3600), &at);
        (void)trp_cron_holds(&c, &at);
    }
    TRP_ASSERT(c.minutes >> 60 == 0 && c.hours >> 24 == 0 && c.weekdays >> 7 == 0);
    TRP_ASSERT((c.days & 1) == 0 && (c.months & 1) == 0 && c.months >> 13 == 0);
}

static void zone(const uint8_t *data, size_t size)
{
    struct trp_zone *z;
    if (trp_failed(trp_zone_parse(trp_heap(), data, size, &z, NULL)))
        return;
    for (int64_t at_s = -9000000000; at_s < 9000000000; at_s += 123456789) {
        struct trp_civil c;
        trp_zone_civil(z, at_s * TRP_S(1), &c);
        TRP_ASSERT(c.month >= 1 && c.month <= 12 && c.day >= 1 && c.day <= 31 && c.weekday <= 6);
        TRP_ASSERT(c.hour <= 23 && c.minute <= 59 && c.second <= 59 && c.yearday <= 366);
    }
    trp_zone_close(z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const uint8_t *data, size_t size) = { sniff, cron, zone };
    if (size > 0)
        readers[data[0] % ARRAY_LEN(readers)](data + 1, size - 1);
    return 0;
}
