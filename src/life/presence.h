/* life/presence.h - who is in memory.
 * Answers "what is loaded, how was it opened, with whom does it share, and why does it stay?", for
 * whoever shows it to people; and "who went lately, and why?". */
#ifndef TRP_PRESENCE_H
#define TRP_PRESENCE_H

#include "life/life.h"
#include "residence/guest.h"
#include "store/blob_use.h"

struct trp_member;

struct trp_presence {
    const struct trp_version *version; /* READY, or on its way there */
    const char *kept;                  /* why it stays, or until when */
    int64_t keep_alive_ns;             /* without a request; < 0: it does not go for that */
    bool is_pinned;
    int64_t asleep_ns; /* when it was hibernated, monotonic; 0: it is not */
    int64_t wake_ns;   /* what waking it takes; 0: not known */
    const struct trp_prospect
        *prospect;         /* how its model stands should room be wanted; NULL: not known */
    uint64_t shared_bytes; /* of blobs, mapped, also by others */
    uint64_t frees_bytes;  /* of them, that nobody else needs now */
    const struct trp_used_blob *const *blobs; /* each once, sorted by name */
    uint32_t blobs_n;
};

struct trp_departure {
    struct trp_str name;
    const char *why;
    int64_t at_ns; /* monotonic */
};
#define TRP_DEPARTURES_MAX 64u

struct trp_gone {     /* as this room keeps it */
    char *name, *why; /* why NULL: never, or there was no memory for it */
    int64_t at_ns;
};

/* Visits those who are in memory, in no order that matters; those who were let go lately, the last
 * one first.
 *   Owns  : borrowed for the call.
 *   Thread: control.
 *   Errors: none. */
void trp_presence_each(struct trp_life *l, void (*each)(void *user, const struct trp_presence *p),
                       void *user);
void trp_presence_each_gone(struct trp_life *l,
                            void (*each)(void *user, const struct trp_departure *d), void *user);

/* Looks who would go next, for what the others tell.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_presence_rank(struct trp_life *l, struct trp_error *err);

/* Notes that a model is let go, or that it hibernates or was not let in; forgets all, at the end;
 * says why one stays.  For this room.
 *   Owns  : copied; static.
 *   Thread: control.
 *   Errors: none: without memory it is not noted. */
void trp_presence_note(struct trp_member *m, const char *why);
void trp_presence_note_out(struct trp_member *m, const char *why);
void trp_presence_forget(struct trp_life *l);
const char *trp_presence_kept(const struct trp_member *m);

#endif
