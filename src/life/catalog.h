/* life/catalog.h - what the repository held at one moment.
 * Answers "which models are there?", for all of them or for one, and keeps the answer as long as
 * somebody works from it. Private to this room. */
#ifndef TRP_CATALOG_H
#define TRP_CATALOG_H

#include "life/life.h"
#include "life/loader.h"
#include "life/set.h"

struct trp_catalog {
    struct trp_job job; /* first */
    const struct trp_alloc *alloc;
    uint32_t refs; /* control's */
    struct trp_arena arena;
    struct trp_repo_opts opts;
    /* asked */
    struct trp_str name;           /* empty: all models */
    const struct trp_order *order; /* a load whose configuration or files override; NULL: none */
    void (*answer)(struct trp_catalog *catalog);
    void *user; /* whoever asked */
    /* answered */
    struct trp_error error;          /* status OK: the rest holds */
    struct trp_repo_listing listing; /* one entry when a name was asked for */
    struct trp_str temporary;        /* the folder of an order's files; empty: none */
    uint64_t override_digest;        /* 0: nothing is overridden */
    struct trp_loaders *loaders;     /* where the folder is removed */
};

/* Asks for all models (`name` empty) or for one, perhaps as an order changes it; `done` gets the
 * catalog on the control loop, with one reference for whoever asked.
 *   Owns  : counted; `order` and its texts are borrowed until `done`, `name` and `only` are copied.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY. */
struct trp_catalog_request {
    const struct trp_repo_opts *opts;
    struct trp_str name;
    const struct trp_order *order;
    const struct trp_set *only; /* of one model, versions of these numbers; NULL: what it wants */
    void (*done)(struct trp_catalog *catalog);
    void *user;
};
trp_status trp_catalog_ask(const struct trp_alloc *alloc, struct trp_loaders *loaders,
                           const struct trp_catalog_request *request, struct trp_error *err);

/* Owners work from the entries; the last one lets the memory and the temporary folder go.
 *   Owns  : counted.
 *   Thread: control.
 *   Errors: none. */
void trp_catalog_ref(struct trp_catalog *c);
void trp_catalog_unref(struct trp_catalog *c); /* accepts NULL */

/* One number for all that matters of a model's files: other files or another mistake give another
 * one.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
uint64_t trp_catalog_digest(const struct trp_repo_model *m);

#endif
