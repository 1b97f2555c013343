/* life/stored.c - see stored.h.
 *
 * The hold comes first: between the look whether an artefact is whole and the opening of it nobody may remove it. */
#include "life/stored.h"

#include <stdio.h>

#include "store/artefact.h"
#include "store/maker.h"

static void note(struct trp_stored *out, const char *what, const struct trp_error *why)
{
    (void)snprintf(out->note, sizeof out->note, "%s%s%s", what, why ? ": " : "",
                   why ? why->text : "");
}

/* Somebody else may be making it anew meanwhile; his is whole and stays: dropping fails only in vain. */
static void drop_damaged(const struct trp_stored_open *o, struct trp_stored *out,
                         const struct trp_error *why)
{
    struct trp_error err;
    TRP_WARN(o->log, "store", "'%s': what was prepared is not used any more: %s", o->desc->name,
             why->text);
    if (trp_failed(trp_artefact_drop(o->store, &out->key, &err)))
        TRP_WARN(o->log, "store", "'%s': it stays in the store: %s", o->desc->name, err.text);
    out->should_prepare = o->is_worth_it;
    note(out, "what was prepared was damaged", why);
}

/* Looks for it; true when `artefact` can be opened. */
static bool find(const struct trp_stored_open *o, struct trp_artefact *artefact,
                 struct trp_stored *out)
{
    struct trp_error err;
    const trp_status st = trp_artefact_get(o->store, &out->key, artefact, &err);
    switch (st.code) {
    case TRP_OK:
        return true;
    case TRP_NOT_FOUND:
        out->should_prepare = o->is_worth_it;
        note(out, o->is_worth_it ? "not prepared yet" : "too small for preparing to pay", NULL);
        return false;
    case TRP_FAILED_PRECONDITION:
        note(out, "cannot be prepared", &err);
        return false;
    case TRP_DATA_LOSS:
        drop_damaged(o, out, &err);
        return false;
    default:
        note(out, "the store cannot be read", &err);
        return false;
    }
}

static bool open_mapped(const struct trp_stored_open *o, struct trp_arena *arena,
                        struct trp_stored *out, struct trp_backend_model **out_model,
                        struct trp_signature *out_signature)
{
    struct trp_artefact artefact;
    struct troupe_model_desc desc = *o->desc;
    struct trp_error err;
    if (!find(o, &artefact, out))
        return false;
    desc.skeleton = artefact.skeleton;
    desc.blobs = artefact.blobs_folder;
    const trp_status st =
        trp_backend_open(o->backend, &desc, arena, out_model, out_signature, &err);
    out->is_mapped = !trp_failed(st);
    out->mapped_bytes = artefact.blob_bytes;
    trp_artefact_deinit(&artefact);
    if (out->is_mapped)
        return true;
    if (st.code == TRP_CANCELLED || st.code == TRP_OUT_OF_MEMORY)
        note(out, "what was prepared did not open", &err); /* which is not its fault */
    else
        drop_damaged(o, out, &err);
    return false;
}

static bool try_store(const struct trp_stored_open *o, struct trp_arena *arena,
                      struct trp_stored *out, struct trp_backend_model **out_model,
                      struct trp_signature *out_signature)
{
    const struct trp_making making = { .store = o->store, .backend = o->backend, .desc = o->desc };
    struct trp_error err;
    if (!o->store || !trp_backend_can_prepare(o->backend))
        return false;
    if (trp_failed(trp_making_key(&making, &out->key, &err))) {
        note(out, "the store has no name for it", &err);
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

trp_status trp_stored_open(const struct trp_stored_open *o, struct trp_arena *arena,
                           struct trp_stored *out, struct trp_backend_model **out_model,
                           struct trp_signature *out_signature, struct trp_error *err)
{
    *out = (struct trp_stored){ 0 };
    if (try_store(o, arena, out, out_model, out_signature))
        return trp_ok();
    return trp_backend_open(o->backend, o->desc, arena, out_model, out_signature, err);
}

void trp_stored_release(struct trp_store *store, struct trp_stored *stored)
{
    if (store)
        trp_store_lease_release(store, &stored->hold);
}
