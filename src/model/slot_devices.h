/* model/slot_devices.h - run slots on devices.
 * Answers "on which of its backend's devices are a model's runs made, and how many on each?".
 * `kind` and `gpus` of a group in `instance_group` say so; each slot is of one device.  Once that
 * is settled a device is one more thing in which slots are unlike (model/slot_groups.h): each
 * device of each group is a group of its own. */
#ifndef TRP_SLOT_DEVICES_H
#define TRP_SLOT_DEVICES_H

#include "backend/device_list.h"
#include "model/model_config.h"

/* Whether any group asks for a device, or takes one where there is one: else there is no need to
 * look for any.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
bool trp_slot_devices_is_asked_for(const struct trp_node *tree);

/* Places the slots of a completed configuration on what its backend has besides the CPU:
 *
 *   KIND_GPU   on each of `gpus`, or on all there are: `count` slots each, one where none is written; all have to be there
 *   KIND_AUTO  the same where there is a GPU, and `gpus` are; else on the CPU.  So is a group that
 *   names `gpus` and no kind
 *   others     on the CPU, and beside groups on GPUs one slot where no count is written
 *
 * A backend without any GPU runs all on the CPU; trp_slot_devices_in_vain() says who wanted another
 * place.  Where a group is on a GPU, c->devices are those that are used, c->groups say which slots
 * are where, and c->instances is their number; else nothing changes.
 *   Owns  : in `a`.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT with file:line: a device that is not there, and which are; more than
 *           TRP_SLOT_GROUPS_MAX groups; OUT_OF_MEMORY. */
trp_status trp_slot_devices_take(struct trp_arena *a, const struct trp_device_list *there,
                                 struct trp_model_config *c, struct trp_error *err);

/* What asks for a GPU in a configuration and is on the CPU, as the backend has none, or not those;
 * NULL: nothing does.
 *   Owns  : borrowed from the tree.
 *   Thread: any.
 *   Errors: none. */
const struct trp_node *trp_slot_devices_in_vain(const struct trp_device_list *there,
                                                const struct trp_node *tree);

#endif
