/* route/route_rows.c - see route_rows.h. */
#include "route/route_rows.h"

#include "route/route_canary.h"
#include "route/route_hedge.h"

void trp_route_rows_init(struct trp_route_rows *rows, const struct trp_route_plan *plan)
{
    *rows = (struct trp_route_rows){ .least = INT64_MAX };
    for (uint32_t r = 0; r < plan->rules_n; r++) {
        const struct trp_route_rule *rule = &plan->rules[r];
        for (uint32_t i = 0; i < rule->choices_n; i++)
            rows->answers[rule->choices[i].goal] = true;
        for (uint32_t i = 0; i < rule->fallback_n; i++)
            rows->answers[rule->fallback[i]] = true;
        if (rule->canary)
            rows->answers[rule->canary->goal] = true;
        if (rule->hedge && rule->hedge->goal)
            rows->answers[rule->hedge->goal - 1] = true;
    }
}

bool trp_route_rows_asks(const struct trp_route_rows *rows, uint32_t goal)
{
    return rows->least > 0 && rows->answers[goal];
}

void trp_route_rows_add(struct trp_route_rows *rows, const struct trp_signature *s)
{
    const int64_t n = s ? trp_signature_rows_max(s) : 0;
    rows->least = n < rows->least ? n : rows->least;
}

/* All of its tensors have rows. */
static bool has_rows(const struct trp_io *ios, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (ios[i].any_rank || ios[i].rank == 0 || ios[i].dims[0] >= 0)
            return false;
    return true;
}

int32_t trp_route_rows_limit(const struct trp_route_rows *rows, const struct trp_signature *s)
{
    const bool is_less = rows->least > 0 && rows->least < trp_signature_rows_max(s);
    return is_less && has_rows(s->inputs, s->inputs_n) && has_rows(s->outputs, s->outputs_n)
               ? (int32_t)rows->least
               : 0;
}
