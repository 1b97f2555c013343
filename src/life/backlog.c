/* life/backlog.c - models that are loaded by themselves while the server serves already
 *
 * A few at a time, and one loader is left free where there are several: whoever asks for a model
 * that is not loaded does not stand behind thousands that nobody asked for yet. */
#include "life/demand.h"
#include "life/life_parts.h"

static uint32_t at_once(const struct trp_life *l)
{
    return l->opts.loaders_n > 1 ? l->opts.loaders_n - 1 : 1;
}

static struct trp_member *pop(struct trp_life *l)
{
    struct trp_member *m = l->backlog;
    l->backlog = m->backlog_next;
    if (!l->backlog)
        l->backlog_end = &l->backlog;
    m->in_backlog = false;
    m->backlog_next = NULL;
    return m;
}

static void begin_some(struct trp_life *l)
{
    const struct trp_op op = { .kind = TRP_OP_LOAD, .is_backlog = true };
    while (l->backlog && l->backlog_out < at_once(l) && !l->is_stopping) {
        struct trp_member *m = pop(l);
        if (m->serving.n || !m->wanted) {
            trp_member_tidy(m);
            continue;
        }
        l->backlog_out++;
        if (!trp_member_push(m, &op)) {
            l->backlog_out--;
            m->taken = 0; /* the next look finds it */
        }
    }
}

void trp_backlog_add(struct trp_member *m)
{
    struct trp_life *l = m->life;
    if (!m->in_backlog) {
        m->in_backlog = true;
        m->backlog_next = NULL;
        *l->backlog_end = m;
        l->backlog_end = &m->backlog_next;
    }
    begin_some(l);
}

void trp_backlog_drop(struct trp_member *m)
{
    struct trp_life *l = m->life;
    if (!m->in_backlog)
        return;
    struct trp_member **at = &l->backlog;
    while (*at != m)
        at = &(*at)->backlog_next;
    *at = m->backlog_next;
    if (!*at)
        l->backlog_end = at;
    m->in_backlog = false;
    m->backlog_next = NULL;
}

void trp_backlog_ended(struct trp_life *l)
{
    l->backlog_out--;
    begin_some(l);
}
