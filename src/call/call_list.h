/* call/call_list.h - a row of calls, chained by queue_next.
 * Answers "which calls go there together?".  First in, first out; whoever holds the calls holds
 * the list. */
#ifndef TRP_CALL_LIST_H
#define TRP_CALL_LIST_H

#include "call/call.h"

struct trp_call_list { /* zero is empty */
    struct trp_call *first, *last;
    uint32_t count;
};

/* Puts a call at the end; takes the first one out (NULL when empty).
 *   Owns  : the list holds the call in between.
 *   Thread: owner.
 *   Errors: none. */
static inline void trp_call_list_push(struct trp_call_list *l, struct trp_call *call)
{
    call->queue_next = NULL;
    if (l->last)
        l->last->queue_next = call;
    else
        l->first = call;
    l->last = call;
    l->count++;
}

static inline struct trp_call *trp_call_list_pop(struct trp_call_list *l)
{
    struct trp_call *const call = l->first;
    if (!call)
        return NULL;
    l->first = call->queue_next;
    if (!l->first)
        l->last = NULL;
    l->count--;
    call->queue_next = NULL;
    return call;
}

#endif
