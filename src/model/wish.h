/* model/wish.h - what somebody looks for.
 * Answers "does this model do what is wanted?".  Pure: the name, the card and the signature are all
 * that is asked, so a model that is not loaded is found like one that is. */
#ifndef TRP_WISH_H
#define TRP_WISH_H

#include "model/card.h"
#include "tensor/signature.h"

/* What is left at its zero is not asked for, but `kind`: TRP_INPUT_KINDS, and `dtype`:
 * TROUPE_NO_DTYPE. */
struct trp_wish {
    struct trp_str task;
    struct trp_str name; /* a part of it, in any case; with '*': all of it, '*' being anything */
    const struct trp_str *tags; /* all of them */
    uint32_t tags_n;
    /* One input that is all of this at once. */
    enum trp_input_kind kind;
    int32_t dtype;
    bool has_shape;
    uint32_t rank;
    int64_t dims[TROUPE_RANK_MAX]; /* -1: of any size */
};

/* Reads "-1,3,224,224", in brackets or not; "" and "[]" are a scalar.
 *   Owns  : borrowed; *w is untouched on a failure.
 *   Thread: any.
 *   Errors: INVALID_ARGUMENT. */
trp_status trp_wish_read_shape(struct trp_wish *w, struct trp_str text, struct trp_error *err);

/* Whether a model fits.  A size fits when it is the same, or open on either side.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Cost  : linear in the tags and the inputs; no allocation.
 *   Errors: none: whose signature is not known (no inputs and no outputs) fits no wish for an
 *           input. */
bool trp_wish_fits(const struct trp_wish *w, struct trp_str name, const struct trp_card *card,
                   const struct trp_signature *signature);

#endif
