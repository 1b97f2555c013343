/* store/maker.c - see maker.h. */
#include "store/maker.h"

#include <stdio.h>

#include "base/file.h"
#include "store/prover.h"

#define SCRATCH_BLOCK 16384
#define SCRATCH_MAX (64u << 20)

static struct trp_store_subject subject_of(const struct trp_making *m)
{
    return (struct trp_store_subject){ .path = m->desc->path,
                                       .backend = trp_backend_name(m->backend),
                                       .fingerprint = trp_backend_fingerprint(m->backend),
                                       .options = m->desc->options,
                                       .options_n = m->desc->options_n,
                                       .cancel = m->desc->cancel };
}

trp_status trp_making_key(const struct trp_making *m, struct trp_sha256 *out, struct trp_error *err)
{
    const struct trp_store_subject subject = subject_of(m);
    return trp_store_key(m->store, &subject, out, err);
}

trp_status trp_making_known(const struct trp_making *m, struct trp_sha256 *out,
                            struct trp_error *err)
{
    const struct trp_store_subject subject = subject_of(m);
    return trp_store_key_known(m->store, &subject, out, err);
}

/* A failure that comes back whenever it is tried, and is worth remembering. */
static bool is_final(int32_t code)
{
    switch (code) {
    case TRP_FAILED_PRECONDITION:
    case TRP_INVALID_ARGUMENT:
    case TRP_UNIMPLEMENTED:
    case TRP_BACKEND_FAILED:
    case TRP_DATA_LOSS:
        return true;
    default:
        return false;
    }
}

static trp_status compare(const struct trp_making *m, struct trp_backend_model *plain,
                          const struct trp_signature *signature, const struct trp_draft *draft,
                          struct trp_arena *arena, struct trp_error *err)
{
    struct troupe_model_desc desc = *m->desc;
    struct trp_backend_model *prepared;
    struct trp_signature seen;
    trp_artefact_describe(&draft->artefact, &desc);
    TRP_TRY(trp_backend_open(m->backend, &desc, arena, &prepared, &seen, err), err,
            "what was prepared cannot be opened");
    const struct trp_proof proof = { .plain = plain,
                                     .prepared = prepared,
                                     .signature = signature,
                                     .account = m->desc->account,
                                     .memory_bytes_max = m->memory_bytes_max,
                                     .cancel = m->desc->cancel };
    trp_status st = trp_ok();
    if (seen.inputs_n != signature->inputs_n || seen.outputs_n != signature->outputs_n)
        st =
            trp_fail(err, TRP_FAILED_PRECONDITION, "what was prepared has other inputs or outputs");
    if (!trp_failed(st))
        st = trp_prover_compare(&proof, err);
    trp_backend_close(prepared);
    return st;
}

static trp_status prove(const struct trp_making *m, const struct trp_draft *draft,
                        struct trp_error *err)
{
    struct trp_backend_model *plain;
    struct trp_signature signature;
    struct trp_arena arena;
    trp_arena_init(&arena, trp_heap(), SCRATCH_BLOCK, SCRATCH_MAX);
    trp_status st = trp_backend_open(m->backend, m->desc, &arena, &plain, &signature, err);
    if (!trp_failed(st)) {
        st = compare(m, plain, &signature, draft, &arena, err);
        trp_backend_close(plain);
    }
    trp_arena_deinit(&arena);
    return st;
}

/* What was made says what the files say now, and they may have been replaced since the key was
 * made. */
static trp_status check_files(const struct trp_making *m, const struct trp_sha256 *key,
                              struct trp_error *err)
{
    struct trp_sha256 now;
    TRP_CHECK(trp_making_key(m, &now, err));
    return memcmp(&now, key, sizeof now) == 0
               ? trp_ok()
               : trp_fail(err, TRP_UNAVAILABLE, "%s changed meanwhile", m->desc->path);
}

/* Of what it is made, so that it can be told when no such model is left. */
static trp_status name_content(const struct trp_making *m, struct trp_artefact *a,
                               struct trp_error *err)
{
    struct trp_file_stat st;
    TRP_CHECK(trp_store_content(m->store, m->desc->path, m->desc->cancel, &a->content, err));
    TRP_CHECK(trp_file_stat(m->desc->path, &st, err));
    a->model_bytes = st.bytes;
    a->has_content = true;
    return trp_ok();
}

/* `inside`: why its weights are to stay in the skeleton; NULL: they become blobs. */
static trp_status fill(const struct trp_making *m, const struct trp_sha256 *key, const char *inside,
                       struct trp_draft *draft, struct trp_error *err)
{
    TRP_CHECK(trp_draft_begin(draft, m->store, err));
    if (inside) {
        draft->sink.blob = NULL;
        (void)trp_str_copy(trp_str_of(inside), draft->inside, sizeof draft->inside);
    }
    const trp_status st = trp_backend_prepare(m->backend, m->desc, &draft->sink, err);
    if (trp_failed(draft->error.status)) { /* the backend could only pass its code on */
        if (err)
            *err = draft->error;
        return draft->error.status;
    }
    TRP_CHECK(st);
    (void)snprintf(draft->made_by, sizeof draft->made_by, "%s %s", trp_backend_name(m->backend),
                   trp_backend_fingerprint(m->backend));
    TRP_CHECK(name_content(m, &draft->artefact, err));
    TRP_CHECK(trp_draft_finish(draft, m->desc->path, err));
    TRP_CHECK(prove(m, draft, err));
    TRP_CHECK(check_files(m, key, err));
    return trp_draft_publish(draft, key, err);
}

static trp_status make(const struct trp_making *m, const struct trp_sha256 *key, const char *inside,
                       struct trp_error *err)
{
    struct trp_draft draft;
    const trp_status st = fill(m, key, inside, &draft, err);
    trp_draft_drop(&draft);
    return st;
}

/* Weights that lie elsewhere are what went wrong most often: a skeleton that has them inside still
 * spares the optimising.  What cannot be compared (UNIMPLEMENTED) cannot be so either way. */
static trp_status make_somehow(const struct trp_making *m, const struct trp_sha256 *key,
                               struct trp_error *err)
{
    struct trp_error why = { 0 }, again = { 0 };
    trp_status st = make(m, key, NULL, &why);
    if (trp_failed(st) && is_final(st.code) && st.code != TRP_UNIMPLEMENTED) {
        const trp_status inside = make(m, key, why.text, &again);
        if (!trp_failed(inside) || !is_final(inside.code)) {
            st = inside;
            why = again;
        }
    }
    if (trp_failed(st) && err)
        *err = why;
    return st;
}

trp_status trp_making_run(const struct trp_making *m, const struct trp_sha256 *key,
                          struct trp_error *err)
{
    trp_status st = make_somehow(m, key, err);
    if (!trp_failed(st) || !is_final(st.code) || trp_failed(check_files(m, key, NULL)))
        return st; /* the last: it may not be the fault of what the key names */
    st.code = TRP_FAILED_PRECONDITION;
    struct trp_error ignored;
    const char *why = err ? err->text : "cannot be prepared";
    if (trp_failed(trp_artefact_refuse(m->store, key, why, &ignored)))
        TRP_WARN(trp_store_log(m->store), "store", "will be tried again: %s", ignored.text);
    if (err)
        err->status = st;
    return st;
}
