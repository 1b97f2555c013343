/* store/trial.c - see trial.h. */
#include "store/trial.h"

#include "store/prover.h"
#include "store/store_lease.h"

#define SCRATCH_BLOCK 16384
#define SCRATCH_MAX (64u << 20)

struct pair {
    const struct trp_making *making;
    struct troupe_model_desc desc;
    struct trp_account account; /* of the packed one alone */
    struct trp_arena arena;
    struct trp_backend_model *mapped, *packed;
    struct trp_signature signature;
};

static trp_status open_both(struct pair *pair, struct trp_account *account, struct trp_error *err)
{
    struct trp_signature same;
    pair->desc.account = &account->plugin;
    TRP_CHECK(trp_backend_open(pair->making->backend, &pair->desc, &pair->arena, &pair->mapped,
                               &pair->signature, err));
    pair->desc.account = &pair->account.plugin;
    pair->desc.packed = 1;
    return trp_backend_open(pair->making->backend, &pair->desc, &pair->arena, &pair->packed, &same,
                            err);
}

static trp_status race(const struct pair *pair, struct trp_account *account, int64_t usual_ns,
                       struct trp_trial *out, struct trp_error *err)
{
    const struct trp_proof proof = { .plain = pair->mapped,
                                     .prepared = pair->packed,
                                     .signature = &pair->signature,
                                     .account = &account->plugin,
                                     .memory_bytes_max = pair->making->memory_bytes_max,
                                     .cancel = pair->making->desc->cancel };
    struct trp_race seen = { .usual_ns = usual_ns };
    out->private_bytes = trp_counter_get(&pair->account.bytes);
    TRP_CHECK(trp_prover_race(&proof, &seen, err));
    out->mapped_ns = seen.plain_ns;
    out->packed_ns = seen.prepared_ns;
    return trp_ok();
}

static trp_status try(struct pair *pair, const struct trp_artefact *artefact,
                      struct trp_account *account, int64_t usual_ns, struct trp_trial *out,
                      struct trp_error *err)
{
    trp_account_init(&pair->account, TRP_ACCOUNT_WEIGHTS, account, 0);
    trp_arena_init(&pair->arena, trp_heap(), SCRATCH_BLOCK, SCRATCH_MAX);
    trp_artefact_describe(artefact, &pair->desc);
    trp_status st = open_both(pair, account, err);
    if (!trp_failed(st))
        st = race(pair, account, usual_ns, out, err);
    trp_backend_close(pair->packed);
    trp_backend_close(pair->mapped);
    trp_arena_deinit(&pair->arena);
    trp_account_deinit(&pair->account);
    return st;
}

trp_status trp_trial_run(const struct trp_making *m, const struct trp_sha256 *key,
                         struct trp_account *account, int64_t usual_ns, struct trp_trial *out,
                         struct trp_error *err)
{
    struct pair pair = { .making = m, .desc = *m->desc };
    struct trp_store_hold hold;
    struct trp_artefact artefact;
    *out = (struct trp_trial){ 0 };
    TRP_CHECK(trp_store_lease_hold(m->store, key, &hold, err));
    trp_status st = trp_artefact_get(m->store, key, &artefact, err);
    if (!trp_failed(st)) {
        st = try(&pair, &artefact, account, usual_ns, out, err);
        trp_artefact_deinit(&artefact);
    }
    trp_store_lease_release(m->store, &hold);
    return st;
}
