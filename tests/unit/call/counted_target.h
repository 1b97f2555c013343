/* A target that answers nothing, and knows how many keep it. */
#ifndef COUNTED_TARGET_H
#define COUNTED_TARGET_H

#include "call/directory.h"

struct counted {
    struct trp_target target;
    int refs;
};

static inline void counted_retain(struct trp_target *t)
{
    TRP_CONTAINER_OF(t, struct counted, target)->refs++;
}

static inline void counted_release(struct trp_target *t)
{
    TRP_CONTAINER_OF(t, struct counted, target)->refs--;
}

static inline struct trp_directory_item counted_item(const char *name, const char *kind,
                                                     struct counted *c)
{
    return (struct trp_directory_item){ .name = trp_str_of(name),
                                        .kind = kind,
                                        .place = TRP_STR_LIT("routes.yaml:7"),
                                        .target = &c->target,
                                        .retain = counted_retain,
                                        .release = counted_release };
}

#endif
