/* catalog/settled_folders.h - a folder that is being written is not taken for what it says.
 * Answers "which definition of each folder counts now?": that which was taken up, until another one
 * has stayed.  Each folder waits by itself, and holds nobody else up.
 *
 *   what is found instead of it      nobody asked (a watcher)     somebody asked (SIGHUP, a load)
 *   another definition, or a first   when it stayed so            at once
 *   none: gone, or half of one       when it stayed so            at once */
#ifndef TRP_SETTLED_FOLDERS_H
#define TRP_SETTLED_FOLDERS_H

#include "repo/repo.h"

struct trp_settled_folders;

struct trp_settled_folders_look {
    const struct trp_repo_listing *listing;
    bool is_patient; /* nobody has asked */
    int64_t settle_ns, now_ns;
};

/* Makes it; nothing was taken up yet.
 *   Owns  : the caller destroys.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_settled_folders_create(const struct trp_alloc *alloc,
                                      struct trp_settled_folders **out_folders,
                                      struct trp_error *err);
void trp_settled_folders_destroy(struct trp_settled_folders *f); /* accepts NULL */

/* Judges a listing and keeps what counts of it.  *out_listing is the listing as if each folder that
 * waits were as it was when it was taken up, and not there if it never was; *out_waits: there are
 * such folders, and somebody looks again after settle_ns.
 *   Shape : both listings are sorted by name.
 *   Units : ns on the monotonic clock; settle_ns 0: nothing waits.
 *   Owns  : *out_listing is borrowed until the next look, and as long as the listing.
 *   Thread: control.
 *   Cost  : O(models), and a parse of the old text of each folder that waits.
 *   Errors: OUT_OF_MEMORY: what counted before still does. */
trp_status trp_settled_folders_look(struct trp_settled_folders *f,
                                    const struct trp_settled_folders_look *look,
                                    struct trp_repo_listing *out_listing, bool *out_waits,
                                    struct trp_error *err);

#endif
