/* life/joining.c - see joining.h. */
#include "life/joining.h"

static int64_t rows_of(const struct trp_version *v)
{
    return v->config.batch_max > 0 ? v->config.batch_max : (int64_t)TRP_BATCH_ROWS;
}

void trp_joining_settle(struct trp_version *v)
{
    if (v->config.batching == TRP_BATCHING_ON)
        trp_gauge_set(&v->batch_rows, rows_of(v));
}
