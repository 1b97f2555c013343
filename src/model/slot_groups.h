/* model/slot_groups.h - run slots that are not all alike.
 * Answers "which of a model's slots does a run take, and on which cores is that?".
 * `instance_group` may give each group cores of its own, or a device (model/slot_devices.h); then
 * it matters which group a run belongs to, otherwise only how many slots there are. Pure: who
 * runs where is kept by the caller (exec/lines.h), as a number of runs for each group. */
#ifndef TRP_SLOT_GROUPS_H
#define TRP_SLOT_GROUPS_H

#include "base/arena.h"
#include "base/cores.h"
#include "conf/node.h"

#define TRP_SLOT_GROUPS_MAX 64u /* unlike ones, of a model */

struct trp_slot_group {
    struct trp_cores cores;
    uint32_t count;  /* slots, as it was written: 1 or more */
    bool is_bound;   /* its runs go to `cores`; else wherever an executor is */
    uint32_t device; /* of the model's (model/slot_devices.h); 0 where it has none */
};

struct trp_slot_groups {
    uint32_t groups_n;
    uint64_t count; /* of all groups */
    struct trp_slot_group groups[];
};

/* Takes `cores` out of a model's configuration (normal form), its own and those of its groups.  A
 * group without any has the model's. Where all groups have the same they are *out_cores (NULL:
 * none), and *out_groups is NULL.
 *   Owns  : in `a`.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT with file:line: no list of cores, a group without a count beside
 *           others that are unlike, too many; OUT_OF_MEMORY. */
trp_status trp_slot_groups_take(struct trp_arena *a, const struct trp_node *tree,
                                const struct trp_cores **out_cores,
                                const struct trp_slot_groups **out_groups, struct trp_error *err);

/* Reads what one group says, whose cores are the model's (`own`, may be NULL) where it names none;
 * device 0.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT with file:line: no list of cores. */
trp_status trp_slot_groups_read(const struct trp_node *group, const struct trp_node *own,
                                struct trp_slot_group *out, struct trp_error *err);

/* Whether all cores that a configuration names, whose `cores` could be read, are among the allowed
 * ones.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: INVALID_ARGUMENT with file:line, and which ones may be used. */
trp_status trp_slot_groups_check(const struct trp_node *tree, const struct trp_cores *allowed,
                                 struct trp_error *err);

/* How many of `slots` a group has: as many as were written, or, when an operator has said another
 * number, so many in proportion; those of all groups are `slots` together.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
uint32_t trp_slot_groups_share(const struct trp_slot_groups *g, uint32_t slots, uint32_t group);

/* Which group the next run belongs to: the one with the smallest part of its slots taken, among
 * equals `usual` (where the thread was before; groups_n or more: nowhere) before the first.  When
 * all are taken (fewer slots than runs, after a change), the one that has fewest too many.
 *   Shape : busy: [groups_n] runs that are going on.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : O(groups).
 *   Errors: none. */
uint32_t trp_slot_groups_choose(const struct trp_slot_groups *g, const uint32_t *busy,
                                uint32_t slots, uint32_t usual);

#endif
