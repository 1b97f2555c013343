/* app/listing_opts.h - how repositories are listed.
 * Answers "which limits of the settings hold for a listing?": the same for a server, for what looks
 * at its repositories before it, and for what prepares them. */
#ifndef TRP_LISTING_OPTS_H
#define TRP_LISTING_OPTS_H

#include "conf/settings.h"
#include "repo/repo.h"

/* What trp_repo_list() and trp_repo_find() are given.  What models are by default (load_default,
 * keeping) is a server's alone to say, and not in it.
 *   Shape : paths: [paths_n], paths_n >= 1; the first that has a name has the model.
 *   Owns  : paths are borrowed as long as the options are used.
 *   Thread: any.
 *   Errors: none. */
struct trp_repo_opts trp_listing_opts_make(const struct trp_settings *settings,
                                           const char *const *paths, uint32_t paths_n);

#endif
