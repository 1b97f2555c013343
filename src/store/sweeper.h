/* store/sweeper.h - what lies in a store, whether it is whole, and what may go.
 * Answers "what is all this, and do I need it?". */
#ifndef TRP_SWEEPER_H
#define TRP_SWEEPER_H

#include "base/clock.h"
#include "store/artefact.h"

struct trp_obsolete;

/* One prepared model, as somebody reads of it. */
struct trp_stored {
    struct trp_sha256 key;
    const char *source, *made_by; /* "" when it does not say */
    bool has_content;             /* else it does not say the next two */
    struct trp_sha256 content;    /* of the model's files */
    uint64_t model_bytes;         /* of the model file */
    uint64_t skeleton_bytes, blob_bytes;
    uint64_t own_bytes; /* of skeleton and blobs that nobody else has: what its removal frees */
    uint32_t blobs_n;
    int64_t used_ns;         /* wall clock; prepared, opened or closed last */
    bool is_held;            /* by some process */
    struct trp_error damage; /* of its manifest: status OK: none */
};

/* Lists the store, the least recently used first.
 *   Owns  : what `each` gets is borrowed for the call.
 *   Thread: any.
 *   Blocks: disk; reads each manifest.
 *   Errors: OUT_OF_MEMORY, as trp_fail_errno(), or what `each` returned. */
trp_status trp_sweeper_list(const struct trp_store *s,
                            trp_status (*each)(void *user, const struct trp_stored *what,
                                               struct trp_error *err),
                            void *user, struct trp_error *err);

struct trp_gc_opts {
    uint64_t bytes_max; /* 0: no limit */
    const struct trp_obsolete
        *obsolete;  /* of models that are gone, see obsolete.h; NULL: nobody looked */
    bool only_tell; /* remove nothing */
    /* Told of each artefact that goes, and why; may be NULL. */
    void (*on_removal)(void *user, const struct trp_stored *what, const char *why);
    void *user;
};

struct trp_swept {
    uint32_t artefacts_n, held_n; /* that were there; of them, held by some process */
    uint32_t removed_n, blobs_n,
        temporaries_n;                /* that went: artefacts, blobs, left-overs of the dead */
    uint32_t notes_n;                 /* likewise, see notes.h */
    uint32_t obsolete_n;              /* of those removed: no model has it any more */
    uint32_t nameless_n;              /* that were there, and do not say of what they were made */
    uint64_t freed_bytes, kept_bytes; /* of blobs and skeletons */
};

/* Removes damaged artefacts, those of models that are gone, then the least recently used until the
 * rest fits, then blobs that nobody names, what dead processes left, and notes that nobody needs.
 * Nothing goes that a process holds (store_lease.h) or builds upon (pins.h).
 *   Owns  : borrowed.
 *   Thread: any; one at a time in all processes, the others wait.
 *   Blocks: disk; who wants to hold something waits until all manifests are read and names are
 *           moved away; files are removed after that.
 *   Errors: UNAVAILABLE (another removal takes too long), FAILED_PRECONDITION (a store that is only
 *           looked at), OUT_OF_MEMORY, as trp_fail_errno(): nothing, or not all, was removed. */
trp_status trp_sweeper_gc(struct trp_store *s, const struct trp_gc_opts *opts,
                          struct trp_swept *out, struct trp_error *err);

struct trp_verify_opts {
    uint64_t bytes_per_second;     /* 0: as fast as it goes */
    const struct trp_clock *clock; /* with bytes_per_second */
    void (*sleep)(void *user, int64_t ns);
    const volatile int32_t *cancel; /* may be NULL */
    bool only_tell;                 /* remove nothing */
    /* Told of each damaged artefact, and what is wrong; may be NULL. */
    void (*on_damage)(void *user, const struct trp_stored *what, const char *why);
    void (*on_progress)(void *user, uint64_t bytes, uint64_t of); /* may be NULL */
    void *user;
};

struct trp_verified {
    uint32_t artefacts_n, damaged_n; /* looked at; of them, damaged */
    uint32_t blobs_n;
    uint64_t bytes; /* read */
};

/* Reads every byte of everything that an artefact names, each blob once.  What is damaged is
 * removed with the artefacts that need it, so that it is prepared anew; whoever has it mapped keeps
 * what he has.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Blocks: disk, as long as reading takes, and `sleep`.
 *   Errors: CANCELLED, OUT_OF_MEMORY, as trp_fail_errno(); damage is none. */
trp_status trp_sweeper_verify(struct trp_store *s, const struct trp_verify_opts *opts,
                              struct trp_verified *out, struct trp_error *err);

#endif
