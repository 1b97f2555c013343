/* backend/device_list.c - see device_list.h. */
#include "backend/device_list.h"

#include <stdio.h>

trp_status trp_device_list_init(struct trp_device_list *l, struct trp_arena *arena,
                                struct trp_error *err)
{
    *l = (struct trp_device_list){ .arena = arena };
    l->all = trp_arena_zeroed(arena, TROUPE_DEVICES_MAX, sizeof *l->all);
    return l->all ? trp_ok() : trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for a list of devices");
}

void trp_device_list_tell(void *list, const struct troupe_device *device)
{
    struct trp_device_list *l = list;
    struct troupe_device d = { .struct_size = 0 };
    const size_t known = device->struct_size < sizeof d ? device->struct_size : sizeof d;
    memcpy(&d, device, known);
    if (d.id.kind != TROUPE_DEVICE_GPU)
        return;
    if (trp_device_list_find(l, d.id)) {
        l->fault = "it names a device twice";
        return;
    }
    if (l->n == TROUPE_DEVICES_MAX) {
        l->fault = "it names too many devices";
        return;
    }
    const char *name =
        d.name ? trp_arena_dup(l->arena, trp_str_of(d.name)).ptr : ""; /* its own may go */
    l->is_short_of_memory = l->is_short_of_memory || !name;
    l->all[l->n++] =
        (struct trp_device){ .id = d.id, .name = name, .memory_bytes = d.memory_bytes };
}

trp_status trp_device_list_check(const struct trp_device_list *l, struct trp_error *err)
{
    if (l->is_short_of_memory)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for a list of devices");
    return l->fault ? trp_fail(err, TRP_INTERNAL, "%s", l->fault) : trp_ok();
}

const struct trp_device *trp_device_list_find(const struct trp_device_list *l,
                                              struct troupe_device_id id)
{
    for (uint32_t i = 0; i < l->n; i++)
        if (trp_device_is_same(l->all[i].id, id))
            return &l->all[i];
    return NULL;
}

void trp_device_format(struct troupe_device_id id, char out[TRP_DEVICE_TEXT_MAX])
{
    if (id.kind == TROUPE_DEVICE_GPU)
        (void)snprintf(out, TRP_DEVICE_TEXT_MAX, "gpu%u", id.ordinal);
    else
        (void)trp_str_copy(TRP_STR_LIT("cpu"), out, TRP_DEVICE_TEXT_MAX);
}

void trp_device_add_names(struct trp_buf *b, const struct troupe_device_id *ids, uint32_t n,
                          const char *between)
{
    char text[TRP_DEVICE_TEXT_MAX];
    for (uint32_t i = 0; i < n; i++) {
        trp_device_format(ids[i], text);
        trp_buf_addf(b, "%s%s", i > 0 ? between : "", text);
    }
}
