/* tensor/commons.h - memory of the server's that worker processes may look at, and do not write to
 * by mistake.
 * Answers "must this input be copied, for another process to see it?".  One for the whole server,
 * whatever the number of workers: addresses in plenty, of which only pages that somebody writes
 * to are taken.  There is none until the first worker is started. */
#ifndef TRP_COMMONS_H
#define TRP_COMMONS_H

#include "tensor/yard.h"
#include "troupe/backend.h"

struct trp_commons;

/* Makes one that is not open: nothing can be taken from it.
 *   Units : bytes of addresses, >= 1.
 *   Owns  : the caller destroys, when nothing lies in it and no process is started any more.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_commons_create(const struct trp_alloc *alloc, uint64_t bytes,
                              struct trp_commons **out_commons, struct trp_error *err);
void trp_commons_destroy(struct trp_commons *c); /* accepts NULL */

/* Opens it; once it is open that costs nothing.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: as trp_shm_create(), trp_shm_open_reader(); it is as it was, and may be opened
 *           later. */
trp_status trp_commons_open(struct trp_commons *c, struct trp_error *err);
bool trp_commons_is_open(const struct trp_commons *c);

/* Takes a plot of `bytes` or more, as trp_yard_take(), in somebody's name (NULL: the caller counts
 * it); gives it back, and its pages to the system.
 *   Units : bytes; give: as many as were asked for.
 *   Owns  : the caller gives it back; `payer` is borrowed until then.
 *   Thread: any.
 *   Errors: NULL: it is not open, or full; the account refuses; no memory. */
struct trp_plot *trp_commons_take(struct trp_commons *c, const struct troupe_account *payer,
                                  uint64_t bytes);
void trp_commons_give(struct trp_commons *c, const struct troupe_account *payer,
                      struct trp_plot *plot, uint64_t bytes);

/* What was taken in somebody's name.
 *   Units : bytes.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
uint64_t trp_commons_paid_bytes(const struct trp_commons *c);

/* How full it is, and how often something had no place in it and was put elsewhere: that is copied
 * for each worker process.
 *   Units : bytes of addresses: all, and those of plots that are taken.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
struct trp_commons_use {
    uint64_t limit_bytes, bytes, refused;
};
struct trp_commons_use trp_commons_look(const struct trp_commons *c);

/* What another process maps: a descriptor that cannot be written through, and how much it is.
 *   Units : bytes; 0: it is not open.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
uint64_t trp_commons_bytes(const struct trp_commons *c, int *out_fd);

/* Where a range lies in it.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: false: not in it, or not whole. */
bool trp_commons_find(const struct trp_commons *c, const void *ptr, uint64_t bytes,
                      uint64_t *out_at);

/* The bytes there; whoever asks has made sure that it is open and that they lie in it.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
char *trp_commons_at(const struct trp_commons *c, uint64_t at);

#endif
