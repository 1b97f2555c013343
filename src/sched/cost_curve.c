/* sched/cost_curve.c - see cost_curve.h. */
#include "sched/cost_curve.h"

#include "sched/placement.h"

#define TRY_EVERY 64  /* choices; */
#define TRY_TIMES 2   /* so many of them are tries */
#define SEEN_ENOUGH 4 /* runs that tell what a size costs */
#define GAIN 1.1      /* in rows a second, for which it is worth waiting for each other */

static uint32_t point_of(uint32_t rows)
{
    uint32_t i = 0;
    while (i + 1 < TRP_COST_CURVE_POINTS && (uint64_t)rows * 3 > ((uint64_t)4 << i))
        i++; /* the nearest: what is more than 4/3 of a power is the next one's */
    return i;
}

void trp_cost_curve_learn(struct trp_cost_curve *curve, uint32_t rows, int64_t run_ns)
{
    if (rows == 0 || run_ns <= 0)
        return;
    const uint32_t i = point_of(rows);
    const int64_t known_ns = curve->points[i].run_ns, milli_rows = (int64_t)rows * 1000;
    const int64_t expected_ns = known_ns > 0 ? trp_cost_curve_estimate(curve, rows) : run_ns;
    const int64_t believed_ns =
        trp_cost_believe(known_ns, expected_ns, run_ns, &curve->points[i].surprises);
    if (curve->points[i].seen < SEEN_ENOUGH)
        curve->points[i].seen++;
    if (curve->points[i].runs < UINT32_MAX && run_ns < INT64_MAX - curve->points[i].all_ns) {
        curve->points[i].runs++;
        curve->points[i].all_ns += run_ns;
        curve->points[i].all_rows += rows;
    }
    if (believed_ns == 0)
        return;
    if (known_ns == 0 || (curve->points[i].seen < SEEN_ENOUGH && run_ns < known_ns)) {
        curve->points[i].run_ns = run_ns; /* of the first ones the shortest: noise makes longer */
        curve->points[i].milli_rows = milli_rows;
        return;
    }
    curve->points[i].run_ns += (believed_ns - known_ns) / 4;
    curve->points[i].milli_rows += (milli_rows - curve->points[i].milli_rows) / 4;
}

static int64_t scaled(int64_t run_ns, int64_t milli_rows, int64_t known_milli_rows)
{
    const double ns = (double)run_ns * ((double)milli_rows / (double)known_milli_rows);
    return ns < 9e18 ? (int64_t)ns : INT64_MAX;
}

int64_t trp_cost_curve_estimate(const struct trp_cost_curve *curve, uint32_t rows)
{
    const int64_t want = (int64_t)rows * 1000;
    int64_t below_rows = 0, below_ns = 0;
    for (uint32_t i = 0; i < TRP_COST_CURVE_POINTS; i++) {
        const int64_t at = curve->points[i].milli_rows;
        if (curve->points[i].run_ns == 0)
            continue;
        /* noise may have made a point cheaper than one of fewer rows */
        const int64_t ns = curve->points[i].run_ns > below_ns ? curve->points[i].run_ns : below_ns;
        if (at >= want && below_rows == 0)
            return ns;
        if (at >= want)
            return below_ns + (int64_t)((double)(ns - below_ns) * (double)(want - below_rows) /
                                        (double)(at - below_rows));
        below_rows = at;
        below_ns = ns;
    }
    return below_rows > 0 ? scaled(below_ns, want, below_rows) : 0;
}

int64_t trp_cost_curve_at_most(const struct trp_cost_curve *curve, uint32_t rows)
{
    const int64_t want = (int64_t)rows * 1000;
    int64_t least_ns = 0, last_rows = 0, last_ns = 0;
    for (uint32_t i = 0; i < TRP_COST_CURVE_POINTS; i++) {
        const int64_t ns = curve->points[i].run_ns;
        if (ns == 0)
            continue;
        last_rows = curve->points[i].milli_rows;
        last_ns = ns;
        if (last_rows >= want && (least_ns == 0 || ns < least_ns))
            least_ns = ns;
    }
    return least_ns > 0 || last_ns == 0 ? least_ns : scaled(last_ns, want, last_rows);
}

void trp_cost_curve_learn_part(struct trp_cost_curve *curve, uint32_t rows, int64_t run_ns)
{
    if (rows == 0 || run_ns <= 0)
        return;
    const uint32_t i = point_of(rows);
    const int64_t most_ns =
        trp_cost_curve_at_most(curve, (uint32_t)((curve->points[i].milli_rows + 999) / 1000));
    if (curve->points[i].run_ns > most_ns)
        curve->points[i].run_ns = most_ns;
    trp_cost_curve_learn(curve, rows, run_ns);
}

/* Rows a second. */
static double rate_of(const struct trp_cost_curve *curve, uint32_t rows)
{
    return (double)rows / (double)trp_cost_curve_estimate(curve, rows);
}

static uint32_t doubled(uint32_t rows, uint32_t rows_max)
{
    return rows > rows_max / 2 ? rows_max : 2 * rows;
}

bool trp_cost_curve_is_known(const struct trp_cost_curve *curve, uint32_t rows)
{
    return curve->points[point_of(rows)].seen >= SEEN_ENOUGH;
}

/* The largest size that was tried. */
static uint32_t largest_tried(const struct trp_cost_curve *curve, uint32_t rows_min,
                              uint32_t rows_max)
{
    int64_t largest = 0;
    for (uint32_t i = 0; i < TRP_COST_CURVE_POINTS; i++)
        if (curve->points[i].run_ns > 0 && curve->points[i].milli_rows > largest)
            largest = curve->points[i].milli_rows;
    const uint32_t rows = (uint32_t)((largest + 500) / 1000);
    return rows < rows_min ? rows_min : rows > rows_max ? rows_max : rows;
}

/* The best of the sizes up to `tried`. */
static uint32_t best_known(const struct trp_cost_curve *curve, uint32_t rows_min, uint32_t tried)
{
    const double alone = rate_of(curve, rows_min);
    double best_rate = alone;
    uint32_t rows = rows_min;
    while (rows < tried) {
        rows = doubled(rows, tried);
        if (rate_of(curve, rows) > best_rate)
            best_rate = rate_of(curve, rows);
    }
    rows = rows_min;
    if (best_rate > GAIN * alone)
        while (rows < tried && rate_of(curve, rows) < 0.97 * best_rate)
            rows = doubled(rows, tried);
    return rows;
}

/* Another size than the best one, to see whether it still is that. */
static uint32_t some_other(uint32_t turn, uint32_t best, uint32_t rows_min, uint32_t rows_max)
{
    switch (turn % 4) {
    case 0:
        return doubled(best, rows_max);
    case 2:
        return best / 2 > rows_min ? best / 2 : rows_min;
    default:
        return rows_min;
    }
}

uint32_t trp_cost_curve_best_rows(struct trp_cost_curve *curve, uint32_t rows_min,
                                  uint32_t rows_max)
{
    if (rows_min >= rows_max || !trp_cost_curve_is_known(curve, rows_min))
        return rows_min; /* a single one is measured first */
    const uint32_t tried = largest_tried(curve, rows_min, rows_max);
    const uint32_t half = tried / 2 > rows_min ? tried / 2 : rows_min;
    if (!trp_cost_curve_is_known(curve, tried))
        return tried;
    if (tried < rows_max &&
        (tried == rows_min || rate_of(curve, tried) > GAIN * rate_of(curve, half)))
        return doubled(tried, rows_max);
    const uint32_t best = best_known(curve, rows_min, tried), asked = curve->asked++;
    return asked % TRY_EVERY < TRY_TIMES ? some_other(asked / TRY_EVERY, best, rows_min, rows_max)
                                         : best;
}

uint32_t trp_cost_curve_known_best(const struct trp_cost_curve *curve, uint32_t rows_max)
{
    if (rows_max == 0 || trp_cost_curve_estimate(curve, 1) == 0)
        return 0;
    return best_known(curve, 1, largest_tried(curve, 1, rows_max));
}

uint32_t trp_cost_curve_rows_within(const struct trp_cost_curve *curve, int64_t limit_ns,
                                    uint32_t rows_max)
{
    uint32_t fits = 1, beyond = rows_max + 1; /* `fits` does or is the least; `beyond` does not */
    if (trp_cost_curve_estimate(curve, rows_max) <= limit_ns)
        return rows_max;
    while (beyond - fits > 1) {
        const uint32_t middle = fits + (beyond - fits) / 2;
        if (trp_cost_curve_estimate(curve, middle) <= limit_ns)
            fits = middle;
        else
            beyond = middle;
    }
    return fits;
}
