/* compose/rank_fusion.h - one ranking out of several.
 * Answers "what do they prefer together?", when scores of different models cannot be compared but
 * their orders can.
 *
 * Borda: the first of n places is worth n points, the last 1; n is the length of the longest list.
 * Reciprocal rank: place r is worth 1 / (k + r), k = 60 unless told otherwise.
 * The fused score is the weighted mean over the members that answered: the weights of the others
 * count as if they were all; when those sum to 0 they count alike.  What a member does not rank
 * is worth 0 with it. */
#ifndef TRP_RANK_FUSION_H
#define TRP_RANK_FUSION_H

#include "compose/vote.h"

#define TRP_RANK_PLACES_MAX 1048576u /* items of a row, or places of all lists of a row */

enum trp_rank_kind { TRP_RANK_BORDA, TRP_RANK_RECIPROCAL, TRP_RANKS };

struct trp_rank_opts {
    enum trp_rank_kind kind;
    double k;        /* reciprocal: 0: 60 */
    uint64_t places; /* of a fused list; >= 1 */
};

/* "borda", "reciprocal_rank" and back; the name that a wrong one may have meant.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: false: no such kind; near: NULL: none is near. */
bool trp_rank_parse(struct trp_str name, enum trp_rank_kind *out);
const char *trp_rank_near(struct trp_str name);
const char *trp_rank_name(enum trp_rank_kind kind);

/* Fuses scores: every member has one for each item, higher is better.  Equal scores share the mean
 * of their places; NaN is not ranked.
 *   Shape : members and *out are [.., items], all of one shape, of number types; out->dtype is FP32
 *           or FP64.
 *   Owns  : out->data is the caller's; `scratch` of trp_rank_scores_scratch() bytes, aligned to 16,
 *           may hold anything.
 *   Thread: any.
 *   Cost  : O(members * rows * items * log items), no allocation.
 *   Errors: INVALID_ARGUMENT: nobody answered, shapes, types or weights are not what they should
 *           be; TOO_LARGE. */
uint64_t trp_rank_scores_scratch(uint64_t items);
trp_status trp_rank_scores(const struct trp_rank_opts *opts, const struct trp_vote_member *members,
                           uint32_t members_n, struct troupe_tensor *out, void *scratch,
                           struct trp_error *err);

/* What trp_rank_lists_plan() says. */
struct trp_rank_room {
    uint64_t ids_bytes; /* memory for the ids: exact for whole numbers, for BYTES the most they may
                    * take */
    uint64_t scores_bytes;  /* for FP32 scores */
    uint64_t scratch_bytes; /* aligned to 16 */
};

/* Fuses lists of item ids, best first, of INT32, INT64 or BYTES.  An id of -1, or an empty one, is
 * a place that nobody has; an id that stands twice in a list counts where it stands first.  The
 * fused list is ordered by score (to 2^-36); then by the best place that a member gave; then by the
 * member that is named first.  Where there are fewer items than places the rest is -1 or empty,
 * with score 0.
 *   Shape : members are [rows, their own k]; ids_out is [rows, places] of their type, scores_out
 *           [rows, places] FP32.
 *   Owns  : ids_out->data (ids_bytes) and scores_out->data (scores_bytes) are the caller's; dtype,
 *           shape and bytes of both are filled in; ids_out->bytes is what was used.
 *   Thread: any.
 *   Cost  : O(places * log places) a row, no allocation.
 *   Errors: INVALID_ARGUMENT: nobody answered, shapes, types, strings or weights are not what
 *           they should be; TOO_LARGE. */
trp_status trp_rank_lists_plan(const struct trp_rank_opts *opts,
                               const struct trp_vote_member *members, uint32_t members_n,
                               struct trp_rank_room *out, struct trp_error *err);
trp_status trp_rank_lists(const struct trp_rank_opts *opts, const struct trp_vote_member *members,
                          uint32_t members_n, struct troupe_tensor *ids_out,
                          struct troupe_tensor *scores_out, void *scratch, struct trp_error *err);

#endif
