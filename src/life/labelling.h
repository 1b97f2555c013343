/* life/labelling.h - which labels stand for which versions.
 * Answers "who writes them, and which hold?".  Control's, and private to this room. */
#ifndef TRP_LABELLING_H
#define TRP_LABELLING_H

#include "model/model_config.h"

struct trp_member;

/* The labels of a model, in one block with their names. */
struct trp_labelling {
    struct trp_version_label *labels; /* NULL: none */
    uint32_t n;
    uint64_t written; /* digest of the configuration's labels, from which these come */
};

/* Reads the labels of the configuration that is being taken up; they hold from keep() on, and are
 * forgotten by drop().
 *   Owns  : copied.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY; what held goes on. */
trp_status trp_labelling_read(struct trp_member *m, const struct trp_model_config *config,
                              struct trp_error *err);
void trp_labelling_keep(struct trp_member *m);
void trp_labelling_drop(struct trp_member *m);
void trp_labelling_forget(struct trp_member *m); /* all of them */

/* Moves labels, all or none; version 0 takes one away.  They hold from keep() on, and are forgotten
 * by drop(), as above; the caller shows the member.
 *   Owns  : copied.
 *   Thread: control.
 *   Errors: INVALID_ARGUMENT: no label; FAILED_PRECONDITION: the version is not available;
 *           TOO_LARGE; OUT_OF_MEMORY. */
trp_status trp_labelling_move(struct trp_member *m, const struct trp_version_label *wishes,
                              uint32_t wishes_n, struct trp_error *err);

/* The number of a version, or of the one that the key of a label stands for now; the key itself:
 * none.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
int64_t trp_labelling_number(const struct trp_member *m, int64_t version);

/* The labels whose versions are shown; returns how many.
 *   Owns  : names are borrowed from the member.
 *   Thread: control.
 *   Errors: none. */
uint32_t trp_labelling_shown(const struct trp_member *m,
                             struct trp_version_label out[TRP_VERSION_LABELS_MAX]);

#endif
