/* memory/eviction.h - who leaves when there is no room.
 * Answers "which models go for this one?", and whether it can be had at all.
 *
 * To lose a model costs what loading it again takes, as often as it is asked for:
 *     cost  = requests per second * seconds to load it again * weight
 *     score = cost / bytes that its going really frees
 * and whoever has the least score goes first.  What really becomes free are a model's own bytes and
 * those shared blobs that nobody else who is resident needs.  The same for mappings and
 * descriptors, when it is those that are missing.
 *
 * Pure: time is an argument, nothing is locked, nothing is allocated, nothing is changed but the
 * caller's arrays; the answer depends on nothing else.  Whether something is unloaded or hibernated
 * is told by the numbers that the caller puts in: what either frees, and how long either takes to
 * undo. */
#ifndef TRP_EVICTION_H
#define TRP_EVICTION_H

#include "memory/budget.h"
#include "memory/rate.h"

enum trp_eviction_policy {
    TRP_EVICTION_COST, /* as above */
    TRP_EVICTION_LRU,  /* who was asked for least recently, until there is room: to compare with */
    TRP_EVICTION_POLICIES
};

/* "cost", "lru".
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const char *trp_eviction_policy_name(enum trp_eviction_policy policy);

struct trp_eviction_opts {
    enum trp_eviction_policy policy;
    int64_t half_life_ns;   /* of the residents' rates; > 0 */
    int64_t fresh_ns;       /* who was loaded less long ago is safe */
    uint32_t fresh_reloads; /* or less long ago than so many times what loading it takes */
};

enum trp_standing {
    TRP_STANDING_MAY_GO,
    TRP_STANDING_PINNED,
    TRP_STANDING_BUSY,  /* has requests in flight, or is being loaded */
    TRP_STANDING_FRESH, /* just loaded, or kept for some time yet */
    TRP_STANDINGS
};

/* "may go", "pinned", "busy", "just loaded".
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const char *trp_standing_name(enum trp_standing standing);

/* Bytes that several residents have in common. */
struct trp_shared {
    uint64_t bytes;
    bool is_wanted; /* by what the room is for: it does not become free whoever goes */
    /* a decision's own */
    bool is_held, is_counted;
    uint32_t users_left, first_user, goers_left;
    uint64_t part_bytes_left;
};

/* Somebody in memory, or on the way there. */
struct trp_resident {
    struct trp_rate rate;   /* of requests; the last one is its `at_ns` */
    int64_t loaded_ns;      /* when it came */
    int64_t safe_until_ns;  /* kept until then in any case; 0: no such promise */
    int64_t reload_ns;      /* what loading it again would take */
    double weight;          /* what its requests count in comparison with others'; 0: as 1 */
    struct trp_amounts own; /* what nobody else has a part in */
    const uint32_t *shared; /* indexes into trp_residents.shared, each once */
    uint32_t shared_n;
    uint32_t in_flight; /* requests; a load counts as one */
    bool is_pinned;
    /* written by each decision, for whoever explains it */
    enum trp_standing standing;
    struct trp_amounts frees; /* if it alone went: of bytes, what it owns and alone still needs */
    double cost;              /* reload seconds per second */
    double score;             /* cost / frees bytes; INFINITY when alone it frees none */
    uint64_t part_bytes;      /* its part of what the victims free together: all parts are that */
    /* a decision's own */
    struct trp_amounts gain;
    double order;
    uint32_t rank, group;
    bool is_taken;
};

struct trp_residents {
    struct trp_resident *all;
    uint32_t n;
    struct trp_shared *shared; /* of all of them */
    uint32_t shared_n;
};

struct trp_eviction_need {
    const struct trp_budget *budget; /* in its numbers the residents are contained */
    struct trp_amounts amounts;      /* without shared bytes that are resident already */
    double worth; /* what not having it costs, as `cost` above; victims that together cost as much
                     are not evicted for it; 0: somebody waits for it, whatever it costs */
};

enum trp_fit {
    TRP_FIT_FREE,      /* nobody needs to go */
    TRP_FIT_EVICT,     /* the victims make room */
    TRP_FIT_NOT_NOW,   /* too many are pinned down just now; see retry_ns */
    TRP_FIT_NOT_WORTH, /* there are victims, but it is not worth them; they are counted, not
                        * listed */
    TRP_FIT_NEVER      /* not beside what is fixed and pinned, even if everybody else went */
};

struct trp_eviction {
    enum trp_fit fit;
    uint32_t victims_n;
    double cost;                  /* of all victims: expected reload seconds per second */
    struct trp_amounts missing;   /* of the need, before anybody goes */
    struct trp_amounts freed;     /* by the victims together */
    struct trp_amounts evictable; /* by all who may go now together */
    struct trp_amounts reach;     /* the most there could be beside what is fixed and pinned */
    uint32_t standing_n[TRP_STANDINGS];
    int64_t retry_ns; /* when the next one stops being just loaded; INT64_MAX: nobody is */
};

/* Decides who goes so that `need` fits, and what is used beyond a limit now is given back; a need
 * of nothing asks for the latter alone.  The victims of TRP_EVICTION_COST, in the order in which
 * they should leave, are such that
 *   - each is needed: without any one of them the rest would not make room;
 *   - no single resident that makes room alone costs less than all of them: several small ones go
 *     for a large one only when that costs less;
 *   - when nothing is shared and one resource is missing, they cost at most twice what the best
 *     choice costs.
 *   Units : ns on the clock of the rates.
 *   Owns  : `who` is the caller's, out_victims has room for who->n indexes into who->all.
 *   Thread: owner.
 *   Blocks: never.
 *   Cost  : O(victims * residents + all residents' shared), no allocation; for each victim that
 *           shares, what those have who share with it once more.  Measured: 0.1 ms of 40 residents
 *           with 150 blobs each, 1.3 ms for 125 victims of 400; 1 ms for 10 victims of 10,000
 *           residents without blobs.
 *   Errors: none; see enum trp_fit, which *out has too.
 *   Source: rate * cost / size is GreedyDual-Size-Frequency with an aged frequency: Cherkasova,
 *           HP Labs HPL-98-69R1 (1998); Cao, Irani: Cost-Aware WWW Proxy Caching, USITS 1997;
 *           Fuerst, Sharma: FaasCache, ASPLOS 2021.  The choice of a set is the greedy for the
 *           minimum knapsack cover with completion: Csirik, Frenk, Labbe, Zhang: Heuristics for
 *           the 0-1 min-knapsack problem, Acta Cybernetica 10 (1991). */
enum trp_fit trp_eviction_decide(const struct trp_eviction_opts *opts, struct trp_residents *who,
                                 const struct trp_eviction_need *need, int64_t now_ns,
                                 uint32_t *out_victims, struct trp_eviction *out);

/* Ranks those who may go by the order in which they would, were more and more bytes wanted, at most
 * `max` of them; and writes the standing, cost and score of everybody.  Blobs that several share
 * count in parts, so that those who free something only together stand together.  A wish for little
 * room may differ from it: whoever makes room alone and costs less than all before it goes alone.
 *   Owns  : out_order is the caller's: indexes into who->all, the first to go first.
 *   Thread: owner.
 *   Cost  : O(max * residents), no allocation.
 *   Errors: none; returns how many. */
uint32_t trp_eviction_order(const struct trp_eviction_opts *opts, struct trp_residents *who,
                            int64_t now_ns, uint32_t *out_order, uint32_t max);

/* Puts a decision that found no room (NOT_NOW, NOT_WORTH, NEVER) into words with its numbers.
 *   Owns  : as trp_fail().
 *   Thread: any.
 *   Errors: returns OVER_BUDGET. */
trp_status trp_eviction_refuse(const struct trp_eviction *e, const struct trp_eviction_need *need,
                               struct trp_error *err);

#endif
