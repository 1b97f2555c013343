/* life/watcher.h - when to look again.
 * Answers "has something changed in the repository?".  Private to this room. */
#ifndef TRP_WATCHER_H
#define TRP_WATCHER_H

#include <stdbool.h>

#include "base/status.h"

struct trp_life;
struct trp_watcher;

/* Makes one that does nothing yet.
 *   Owns  : the caller destroys, when no job of it is out any more; `l` is borrowed.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_watcher_create(struct trp_life *l, struct trp_watcher **out_watcher,
                              struct trp_error *err);
void trp_watcher_destroy(struct trp_watcher *w); /* accepts NULL */

/* Begins; stops (a job may still be out); is told that a listing ended well, and whether something
 * has yet to settle, or that it failed.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: logged; `notify` falls back to `poll`. */
void trp_watcher_start(struct trp_watcher *w);
void trp_watcher_stop(struct trp_watcher *w);
void trp_watcher_listed(struct trp_watcher *w, bool is_unsettled);
void trp_watcher_failed(struct trp_watcher *w);

#endif
