/* model/task_pick.c - see task_pick.h. */
#include "model/task_pick.h"

#include <math.h>
#include <stdlib.h>

#define SHORTEST_NS 100000 /* who is faster is as good as this */
#define TINY 1e-12

static const struct trp_str prefix = { "task:", 5 };

struct trp_str trp_task_of_name(struct trp_str name)
{
    if (!trp_str_starts_with(name, prefix))
        return (struct trp_str){ 0 };
    return trp_str_make(name.ptr + prefix.len, name.len - prefix.len);
}

static int by_number(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Of what was measured; `otherwise` when nothing was. */
static int64_t median(const struct trp_candidate *c, uint32_t n, bool is_load, int64_t otherwise)
{
    int64_t known[TRP_TASK_CANDIDATES_MAX];
    uint32_t known_n = 0;
    for (uint32_t i = 0; i < n; i++) {
        const int64_t ns = is_load ? c[i].load_ns : c[i].run_ns;
        if (ns > 0)
            known[known_n++] = ns;
    }
    qsort(known, known_n, sizeof *known, by_number);
    return known_n ? known[known_n / 2] : otherwise;
}

static void expect_times(struct trp_candidate *c, uint32_t n, int64_t left_ns)
{
    const int64_t usual_run = median(c, n, false, 0);
    const int64_t usual_load = median(c, n, true, TRP_TASK_LOAD_NS);
    bool are_all_late = true;
    for (uint32_t i = 0; i < n; i++) {
        const int64_t run = c[i].run_ns > 0 ? c[i].run_ns : usual_run;
        const int64_t load = c[i].load_ns > 0 ? c[i].load_ns : usual_load;
        int64_t runs, all;
        if (__builtin_mul_overflow(run, (int64_t)c[i].queued + 1, &runs) ||
            __builtin_add_overflow(runs, c[i].is_cold ? load : 0, &all))
            all = INT64_MAX;
        c[i].expected_ns = all;
        c[i].is_late = left_ns > 0 && all > left_ns;
        are_all_late = are_all_late && c[i].is_late;
    }
    for (uint32_t i = 0; are_all_late && i < n; i++)
        c[i].is_late = false;
}

/* The name under which most can be compared. */
static const struct trp_quality *common_quality(const struct trp_candidate *c, uint32_t n)
{
    const struct trp_quality *best = NULL;
    uint32_t best_n = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct trp_quality *q = &c[i].quality;
        uint32_t same = 0;
        if (q->name.len == 0 || (best && trp_str_is_equal(q->name, best->name) &&
                                 q->lower_is_better == best->lower_is_better))
            continue;
        for (uint32_t k = 0; k < n; k++)
            same += trp_str_is_equal(q->name, c[k].quality.name) &&
                    q->lower_is_better == c[k].quality.lower_is_better;
        if (same > best_n || (same == best_n && best && trp_str_compare(q->name, best->name) < 0)) {
            best = q;
            best_n = same;
        }
    }
    return best;
}

static bool has_quality(const struct trp_candidate *c, struct trp_quality common)
{
    return common.name.len > 0 && trp_str_is_equal(c->quality.name, common.name) &&
           c->quality.lower_is_better == common.lower_is_better;
}

static void judge_quality(struct trp_candidate *c, uint32_t n)
{
    const struct trp_quality *found = common_quality(c, n);
    const struct trp_quality common = found ? *found : (struct trp_quality){ 0 };
    const double sign = common.lower_is_better ? -1 : 1;
    double best = -INFINITY, worst_loss = 0;
    for (uint32_t i = 0; i < n; i++)
        if (has_quality(&c[i], common))
            best = fmax(best, sign * c[i].quality.value);
    for (uint32_t i = 0; i < n; i++) {
        c[i].loss = 0;
        if (!has_quality(&c[i], common))
            continue;
        c[i].loss = (best - sign * c[i].quality.value) / fmax(fabs(best), TINY);
        worst_loss = fmax(worst_loss, c[i].loss);
    }
    for (uint32_t i = 0; found && i < n; i++)
        if (!has_quality(&c[i], common))
            c[i].loss = worst_loss + TRP_TASK_UNKNOWN;
}

static int64_t at_least_short(int64_t ns)
{
    return ns > SHORTEST_NS ? ns : SHORTEST_NS;
}

static void add_up(struct trp_candidate *c, uint32_t n)
{
    int64_t fastest = INT64_MAX;
    for (uint32_t i = 0; i < n; i++)
        if (c[i].expected_ns < fastest)
            fastest = c[i].expected_ns;
    for (uint32_t i = 0; i < n; i++)
        c[i].cost = c[i].loss + TRP_TASK_DOUBLING * log2((double)at_least_short(c[i].expected_ns) /
                                                         (double)at_least_short(fastest));
}

static int by_time(const struct trp_candidate *a, const struct trp_candidate *b)
{
    if (a->expected_ns != b->expected_ns)
        return a->expected_ns < b->expected_ns ? -1 : 1;
    const int order = trp_str_compare(a->name, b->name);
    return order ? order : (a->version < b->version) - (a->version > b->version);
}

static int by_cost(const void *left, const void *right)
{
    const struct trp_candidate *a = left, *b = right;
    if (a->is_late != b->is_late)
        return a->is_late - b->is_late;
    if (a->cost != b->cost)
        return a->cost < b->cost ? -1 : 1;
    return by_time(a, b);
}

static int by_time_only(const void *left, const void *right)
{
    return by_time(left, right);
}

void trp_task_rank(struct trp_candidate *candidates, uint32_t n, int64_t left_ns)
{
    bool is_any_in_time = left_ns <= 0;
    TRP_ASSERT(n <= TRP_TASK_CANDIDATES_MAX);
    if (n == 0)
        return;
    expect_times(candidates, n, left_ns);
    judge_quality(candidates, n);
    add_up(candidates, n);
    for (uint32_t i = 0; i < n; i++)
        is_any_in_time = is_any_in_time || candidates[i].expected_ns <= left_ns;
    qsort(candidates, n, sizeof *candidates, is_any_in_time ? by_cost : by_time_only);
}
