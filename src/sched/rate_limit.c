/* sched/rate_limit.c - see rate_limit.h. */
#include "sched/rate_limit.h"

#include <stddef.h>

#include "base/status.h"

#define LONGEST_NS 9e18

static int64_t whole_ns(double ns)
{
    return ns < LONGEST_NS ? (int64_t)ns : INT64_MAX / 2;
}

/* How long `amount` of a flow takes. */
static int64_t time_of(const struct trp_rate_flow *f, double amount)
{
    return whole_ns(amount / f->per_second * 1e9);
}

static int64_t later(int64_t a_ns, int64_t b_ns)
{
    return a_ns > b_ns ? a_ns : b_ns;
}

static int64_t sum(int64_t a_ns, int64_t b_ns)
{
    return a_ns > INT64_MAX - b_ns ? INT64_MAX : a_ns + b_ns;
}

/* How long until so much may pass; 0: now. */
static int64_t wait_of(const struct trp_rate_flow *f, double amount, int64_t now_ns)
{
    if (f->per_second <= 0)
        return 0;
    const double burst = f->burst < 1 ? 1 : f->burst;
    const double needs = amount < burst ? amount : burst; /* more than a burst: a whole one */
    const int64_t may_lag_ns = time_of(f, burst - needs);
    const int64_t wait_ns = f->used_till_ns - now_ns - may_lag_ns;
    return wait_ns > 0 ? wait_ns : 0;
}

static void pass(struct trp_rate_flow *f, double amount, int64_t now_ns)
{
    if (f->per_second > 0)
        f->used_till_ns = sum(later(f->used_till_ns, now_ns), time_of(f, amount));
}

static bool refuses(const struct trp_rate_limit *l, uint32_t rows, int64_t now_ns,
                    struct trp_rate_answer *out)
{
    const int64_t requests_ns = wait_of(&l->requests, 1, now_ns),
                  rows_ns = wait_of(&l->rows, rows, now_ns);
    if (l->calls_max > 0 && l->calls >= l->calls_max)
        *out = (struct trp_rate_answer){ .verdict = TRP_RATE_CALLS };
    else if (requests_ns > 0 || rows_ns > 0)
        *out = (struct trp_rate_answer){
            .verdict = requests_ns >= rows_ns ? TRP_RATE_REQUESTS : TRP_RATE_ROWS,
            .retry_after_ns = later(requests_ns, rows_ns),
        };
    return out->verdict != TRP_RATE_FREE;
}

struct trp_rate_answer trp_rate_limit_ask(struct trp_rate_limit *const *limits, uint32_t limits_n,
                                          uint32_t rows, int64_t now_ns)
{
    struct trp_rate_answer answer = { .verdict = TRP_RATE_FREE };
    for (uint32_t i = 0; i < limits_n; i++)
        if (limits[i] && refuses(limits[i], rows, now_ns, &answer)) {
            answer.limit = i;
            return answer;
        }
    for (uint32_t i = 0; i < limits_n; i++) {
        if (!limits[i])
            continue;
        pass(&limits[i]->requests, 1, now_ns);
        pass(&limits[i]->rows, rows, now_ns);
        limits[i]->calls++;
    }
    return answer;
}

void trp_rate_limit_end(struct trp_rate_limit *const *limits, uint32_t limits_n)
{
    for (uint32_t i = 0; i < limits_n; i++) {
        if (!limits[i])
            continue;
        TRP_ASSERT(limits[i]->calls > 0);
        limits[i]->calls--;
    }
}
