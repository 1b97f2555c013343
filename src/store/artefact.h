/* store/artefact.h - one prepared model.
 * Answers "what does a backend open, and what does that need?".  An artefact is a folder: a
 * skeleton and a manifest that names the blobs.  It is made under a temporary name, and is there
 * whole or not at all. */
#ifndef TRP_ARTEFACT_H
#define TRP_ARTEFACT_H

#include "store/pins.h"

#define TRP_ARTEFACT_BLOBS_MAX 1000000u

struct trp_artefact {
    char skeleton[TRP_STORE_PATH_MAX]; /* for troupe_model_desc.skeleton */
    char blobs_folder[TRP_STORE_PATH_MAX];
    uint64_t skeleton_bytes;
    struct trp_sha256 skeleton_digest;
    struct trp_blob *blobs;
    uint32_t blobs_n;
    uint64_t blob_bytes; /* of all */
    char *text;          /* of the manifest, in which these lie; "" when it does not say */
    const char *source, *made_by;
    bool has_content; /* an older store does not say of what it was made: then these two say
                      * nothing */
    struct trp_sha256 content; /* of the model's files, as trp_store_content() has it */
    uint64_t model_bytes;      /* of the model file alone */
    const char *inside;        /* why its weights are in the skeleton; "": they are blobs */
};

/* What a backend is to open.
 *   Owns  : `desc` borrows from the artefact.
 *   Thread: any.
 *   Errors: none. */
void trp_artefact_describe(const struct trp_artefact *a, struct troupe_model_desc *desc);

/* Reads what was prepared under a key, and looks no further.
 *   Owns  : as trp_artefact_get().
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: NOT_FOUND, DATA_LOSS (the manifest is damaged), else as trp_fail_errno(). */
trp_status trp_artefact_read(const struct trp_store *s, const struct trp_sha256 *key,
                             struct trp_artefact *out, struct trp_error *err);

/* Finds what was prepared under a key, and looks whether it is still whole (trp_blob_check() for
 * each blob).
 *   Owns  : `out` is the caller's, trp_artefact_deinit().
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: NOT_FOUND (never prepared), FAILED_PRECONDITION (cannot be prepared: the reason),
 *           DATA_LOSS (what is wrong; prepare it anew), else as trp_fail_errno(); `out` needs no
 *           deinit then. */
trp_status trp_artefact_get(const struct trp_store *s, const struct trp_sha256 *key,
                            struct trp_artefact *out, struct trp_error *err);
void trp_artefact_deinit(struct trp_artefact *a);

/* As get, but every byte is looked at.
 *   Owns  : nothing.
 *   Thread: any.
 *   Blocks: disk; as long as reading all takes.
 *   Errors: as trp_artefact_get(). */
trp_status trp_artefact_verify(const struct trp_store *s, const struct trp_sha256 *key,
                               struct trp_error *err);
trp_status trp_artefact_verify_skeleton(const struct trp_artefact *a, struct trp_error *err);

/* Removes what was prepared under a key, or remembers that it cannot be and why.  Blobs stay:
 * others may need them.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(). */
trp_status trp_artefact_drop(const struct trp_store *s, const struct trp_sha256 *key,
                             struct trp_error *err);
trp_status trp_artefact_refuse(struct trp_store *s, const struct trp_sha256 *key,
                               const char *reason, struct trp_error *err);

/* --- making one ---
 *
 *   begin ──► the sink takes blobs and the skeleton ──► finish (it can be opened, and tried) ──► publish
 *     └──────────────────────────── any failure ───────────────────────────────────────────────► drop */
struct trp_draft {
    struct trp_store *store;
    char folder[TRP_STORE_PATH_MAX];
    struct trp_artefact artefact; /* its paths are the draft's until it is published */
    struct trp_pins pins;
    char made_by[128]; /* backend and version, for whoever looks into the manifest; may be "" */
    char inside[512];  /* why its weights stay in the skeleton; "": they do not */
    uint32_t blobs_capacity;
    bool has_skeleton;
    struct trp_error error; /* of the sink, which can only tell a code */
    struct troupe_blob_sink sink;
};

/* Begins one, and hands out the sink that a backend fills.
 *   Owns  : the caller drops it in any case; the store is borrowed.
 *   Thread: owner.
 *   Blocks: disk.
 *   Errors: as trp_store_is_there(), trp_fail_errno(). */
trp_status trp_draft_begin(struct trp_draft *d, struct trp_store *s, struct trp_error *err);

/* Writes the manifest; `source` is told to whoever looks into the folder, and artefact.content,
 * when it was set, to whoever asks whether there is such a model still (obsolete.h).
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Blocks: disk.
 *   Errors: FAILED_PRECONDITION (no skeleton came), as trp_fail_errno(). */
trp_status trp_draft_finish(struct trp_draft *d, const char *source, struct trp_error *err);

/* Makes it what trp_artefact_get() finds.  When somebody else was faster, his is as good, unless it
 * is damaged: then it is replaced.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(). */
trp_status trp_draft_publish(struct trp_draft *d, const struct trp_sha256 *key,
                             struct trp_error *err);
void trp_draft_drop(struct trp_draft *d); /* removes what was not published */

#endif
