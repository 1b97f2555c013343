/* life/mapping.c - see mapping.h.
 *
 * The hold comes first: between the look whether an artefact is whole and the opening of it
 * nobody may remove it. */
#include "life/mapping.h"

#include <stdio.h>

#include "store/artefact.h"
#include "store/maker.h"

static void note(struct trp_mapping *out, const char *what, const struct trp_error *why)
{
    (void)snprintf(out->note, sizeof out->note, "%s%s%s", what, why ? ": " : "",
                   why ? why->text : "");
}

/* It stays where it is until it is prepared anew: publishing replaces what is damaged, and
 * another process may be at that. */
static void note_damage(const struct trp_mapping_opts *o, struct trp_mapping *out,
                        const struct trp_error *why)
{
    TRP_WARN(o->log, "store", "'%s': what was prepared is not used any more: %s", o->desc->name,
             why->text);
    out->should_prepare = o->is_worth_it;
    note(out, "what was prepared was damaged", why);
}

/* Whole, and yet the backend does not open it: nothing would replace it. */
static void drop_useless(const struct trp_mapping_opts *o, struct trp_mapping *out,
                         const struct trp_error *why)
{
    struct trp_error err;
    note_damage(o, out, why);
    if (trp_failed(trp_artefact_drop(o->store, &out->key, &err)))
        TRP_WARN(o->log, "store", "'%s': it stays in the store: %s", o->desc->name, err.text);
}

static void note_absence(const struct trp_mapping_opts *o, struct trp_mapping *out)
{
    out->should_prepare = o->is_worth_it;
    note(out, o->is_worth_it ? "not prepared yet" : "too small for preparing to pay", NULL);
}

/* Looks for it; true when `artefact` can be opened. */
static bool find(const struct trp_mapping_opts *o, struct trp_artefact *artefact,
                 struct trp_mapping *out)
{
    struct trp_error err;
    const trp_status st = trp_artefact_get(o->store, &out->key, artefact, &err);
    switch (st.code) {
    case TRP_OK:
        return true;
    case TRP_NOT_FOUND:
        note_absence(o, out);
        return false;
    case TRP_FAILED_PRECONDITION:
        note(out, "cannot be prepared", &err);
        return false;
    case TRP_DATA_LOSS:
        note_damage(o, out, &err);
        return false;
    default:
        note(out, "the store cannot be read", &err);
        return false;
    }
}

static trp_status open_artefact(const struct trp_mapping_opts *o, const struct trp_artefact *found,
                                struct trp_arena *arena, struct trp_mapping *out,
                                struct trp_backend_model **out_model,
                                struct trp_signature *out_signature, struct trp_error *err)
{
    struct troupe_model_desc desc = *o->desc;
    trp_artefact_describe(found, &desc);
    desc.packed = o->is_packed;
    if (o->uses)
        TRP_CHECK(trp_blob_use_begin(o->uses, found->blobs_folder, found->blobs, found->blobs_n,
                                     &out->use, err));
    const trp_status st = trp_backend_open(o->backend, &desc, arena, out_model, out_signature, err);
    if (found->inside[0])
        (void)snprintf(out->note, sizeof out->note, "prepared with its weights inside: %s",
                       found->inside);
    if (!trp_failed(st))
        return st;
    trp_blob_use_end(out->use);
    out->use = NULL;
    return st;
}

/* What says nothing about the artefact. */
static bool is_the_moments(int32_t code)
{
    return code == TRP_CANCELLED || code == TRP_OUT_OF_MEMORY || code == TRP_OVER_BUDGET;
}

static bool open_mapped(const struct trp_mapping_opts *o, struct trp_arena *arena,
                        struct trp_mapping *out, struct trp_backend_model **out_model,
                        struct trp_signature *out_signature)
{
    struct trp_artefact artefact;
    struct trp_error err;
    if (!find(o, &artefact, out))
        return false;
    const trp_status st = open_artefact(o, &artefact, arena, out, out_model, out_signature, &err);
    out->is_mapped = !trp_failed(st);
    out->is_packed = o->is_packed && artefact.blobs_n > 0;
    out->mapped_bytes = artefact.blob_bytes;
    trp_artefact_deinit(&artefact);
    if (out->is_mapped)
        return true;
    if (is_the_moments(st.code))
        note(out, "what was prepared did not open", &err);
    else
        drop_useless(o, out, &err);
    return false;
}

static bool try_store(const struct trp_mapping_opts *o, struct trp_arena *arena,
                      struct trp_mapping *out, struct trp_backend_model **out_model,
                      struct trp_signature *out_signature)
{
    const struct trp_making making = { .store = o->store, .backend = o->backend, .desc = o->desc };
    struct trp_error err;
    if (!o->store || !trp_backend_can_prepare(o->backend))
        return false;
    if (trp_failed(trp_making_known(&making, &out->key, &err))) {
        note_absence(o, out); /* naming it means reading it whole, and somebody may be waiting */
        return false;
    }
    if (trp_failed(trp_store_lease_hold(o->store, &out->key, &out->hold, &err))) {
        note(out, "the store cannot be used", &err);
        return false;
    }
    if (open_mapped(o, arena, out, out_model, out_signature))
        return true;
    trp_store_lease_release(o->store, &out->hold);
    return false;
}

trp_status trp_mapping_open(const struct trp_mapping_opts *o, struct trp_arena *arena,
                            struct trp_mapping *out, struct trp_backend_model **out_model,
                            struct trp_signature *out_signature, struct trp_error *err)
{
    *out = (struct trp_mapping){ 0 };
    if (try_store(o, arena, out, out_model, out_signature))
        return trp_ok();
    return trp_backend_open(o->backend, o->desc, arena, out_model, out_signature, err);
}

void trp_mapping_release(struct trp_store *store, struct trp_mapping *mapping)
{
    trp_blob_use_end(mapping->use);
    mapping->use = NULL;
    if (store)
        trp_store_lease_release(store, &mapping->hold);
}
