/* call/cancel.c - see cancel.h.
 *
 * Raising walks the tree below a token while callbacks of its owners run, and these may attach and
 * detach at will.  So no pointer into the tree is kept over a callback: after each one the walk
 * begins again at the first child that is not raised yet.  Raised children stay raised, which is
 * why the walk ends.  A token's own callback comes last: it may detach the token or give its
 * memory back. */
#include "call/cancel.h"

#include <stddef.h>

#include "base/status.h"

void trp_cancel_attach(struct trp_cancel *parent, struct trp_cancel *child)
{
    TRP_ASSERT(child != parent && !child->parent);
    child->parent = parent;
    child->prev = NULL;
    child->next = parent->child;
    if (parent->child)
        parent->child->prev = child;
    parent->child = child;
    if (trp_cancel_is_raised(parent))
        trp_cancel_raise(child);
}

static void unlink_from_parent(struct trp_cancel *token)
{
    if (!token->parent)
        return;
    if (token->prev)
        token->prev->next = token->next;
    else
        token->parent->child = token->next;
    if (token->next)
        token->next->prev = token->prev;
    token->parent = token->next = token->prev = NULL;
}

void trp_cancel_detach(struct trp_cancel *token)
{
    while (token->child)
        unlink_from_parent(token->child);
    unlink_from_parent(token);
}

static struct trp_cancel *first_untold(const struct trp_cancel *token)
{
    struct trp_cancel *child = token->child;
    while (child && trp_cancel_is_raised(child))
        child = child->next;
    return child;
}

void trp_cancel_raise(struct trp_cancel *token)
{
    if (trp_cancel_is_raised(token))
        return;
    trp_flag_raise(&token->raised);
    for (struct trp_cancel *child = first_untold(token); child; child = first_untold(token))
        trp_cancel_raise(child); /* as deep as calls are nested: TRP_CHILD_DEPTH_MAX */
    if (token->on_raise)
        token->on_raise(token);
}
