/* life/glance.c - see glance.h. */
#include "life/glance.h"

#include "life/loading.h"

struct trp_glance {
    const struct trp_alloc *alloc;
    struct trp_matched matched;
    struct trp_loading_env env;
};

trp_status trp_glance_create(const struct trp_alloc *alloc, const struct trp_glance_opts *opts,
                             struct trp_glance **out_glance, struct trp_error *err)
{
    *out_glance = NULL;
    struct trp_glance *g = trp_alloc_zeroed(alloc, 1, sizeof *g);
    if (!g)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "looks into models");
    g->alloc = alloc;
    g->env = (struct trp_loading_env){ .backends = opts->backends,
                                       .metrics = opts->metrics,
                                       .matched = &g->matched,
                                       .clock = trp_clock_system(),
                                       .label_bytes_max = opts->label_bytes_max };
    *out_glance = g;
    return trp_ok();
}

void trp_glance_destroy(struct trp_glance *g)
{
    if (g)
        trp_alloc_free(g->alloc, g);
}

trp_status trp_glance_look(struct trp_glance *g, const struct trp_repo_model *source,
                           struct trp_version *v, struct trp_error *err)
{
    struct trp_loading l = { .env = &g->env, .version = v, .source = source, .survey = true };
    trp_loading_work(&l);
    const struct trp_loaded *found = &l.loaded;
    v->failure = found->error.status.code;
    if (trp_failed(found->error.status)) {
        trp_version_say(v, trp_str_of(found->error.text));
        if (err)
            *err = found->error;
        return found->error.status;
    }
    v->config = found->config;
    v->signature = found->signature;
    v->has_signature = true;
    return trp_ok();
}
