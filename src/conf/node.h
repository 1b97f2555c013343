/* conf/node.h - a tree of values with the place where each was written.
 * Answers "what did the user write?".  YAML, pbtxt, JSON and protobuf all become this; a schema
 * (conf/schema.h) then says what it means.  Nodes live in an arena and are immutable once handed
 * out. */
#ifndef TRP_NODE_H
#define TRP_NODE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/status.h"
#include "base/str.h"

#define TRP_NODE_DEPTH_MAX 64u

enum trp_node_kind {
    TRP_NODE_NULL,
    TRP_NODE_BOOL,
    TRP_NODE_INT,
    TRP_NODE_UINT, /* above INT64_MAX */
    TRP_NODE_FLOAT,
    TRP_NODE_STR,  /* quoted text */
    TRP_NODE_WORD, /* unquoted text: an enum's name, or a YAML plain scalar whose type the schema
                    * decides */
    TRP_NODE_LIST,
    TRP_NODE_MAP
};

struct trp_node_written; /* conf/node_written.h */

struct trp_node {
    enum trp_node_kind kind;
    uint32_t children_n;
    struct trp_str key; /* inside a map; empty in a list */
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double d;
        struct trp_str s;
    } v;
    struct trp_node *first, *last, *next; /* children, sibling */
    const char *file;                     /* NULL: not from a file */
    uint32_t line;
    uint32_t
        column; /* of a YAML scalar's first character, from 1; 0: not in that line, or not told */
    const struct trp_node_written *written; /* NULL: the text stands there as it is, or not told */
};

/* Make nodes in an arena; `add` appends to a list or map (key empty for lists).  NULL parents and
 * children are passed over, so that a builder checks for memory once: trp_node_add() returns NULL
 * when there was none.
 *   Owns  : the arena; texts are borrowed, not copied (use trp_arena_dup()).
 *   Thread: owner.
 *   Errors: NULL when there is no memory. */
struct trp_node *trp_node_new(struct trp_arena *a, enum trp_node_kind kind);
struct trp_node *trp_node_add(struct trp_arena *a, struct trp_node *parent, struct trp_str key,
                              enum trp_node_kind kind);
struct trp_node *trp_node_add_str(struct trp_arena *a, struct trp_node *parent, const char *key,
                                  struct trp_str s);
struct trp_node *trp_node_add_i64(struct trp_arena *a, struct trp_node *parent, const char *key,
                                  int64_t v);
struct trp_node *trp_node_add_u64(struct trp_arena *a, struct trp_node *parent, const char *key,
                                  uint64_t v);
struct trp_node *trp_node_add_bool(struct trp_arena *a, struct trp_node *parent, const char *key,
                                   bool v);
struct trp_node *trp_node_add_copy(struct trp_arena *a, struct trp_node *parent,
                                   const struct trp_node *n); /* deep, as trp_node_dup() */
struct trp_node *trp_node_add_map(struct trp_arena *a, struct trp_node *parent, const char *key);
struct trp_node *trp_node_add_list(struct trp_arena *a, struct trp_node *parent, const char *key);

/* Look things up: the child under a key; a scalar with a default when absent or of another kind.  A
 * NULL node is an empty map.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
const struct trp_node *trp_node_get(const struct trp_node *map, const char *key);
const struct trp_node *trp_node_get_str(const struct trp_node *map, struct trp_str key);
struct trp_str trp_node_str(const struct trp_node *map, const char *key, struct trp_str otherwise);
int64_t trp_node_i64(const struct trp_node *map, const char *key, int64_t otherwise);
uint64_t trp_node_u64(const struct trp_node *map, const char *key, uint64_t otherwise);
bool trp_node_bool(const struct trp_node *map, const char *key, bool otherwise);
double trp_node_f64(const struct trp_node *map, const char *key, double otherwise);
double trp_node_as_f64(const struct trp_node *n, double otherwise);

/* Finds a key that stands twice in a map, or takes all but the last of each out.
 *   Owns  : the arena gets scratch space of one pointer per child.
 *   Thread: owner.
 *   Cost  : O(n log n), O(n^2) for a few.
 *   Errors: OUT_OF_MEMORY.  *out_second is NULL when every key is there once; its twin came
 *           before it. */
trp_status trp_node_find_twin(struct trp_arena *a, const struct trp_node *map,
                              const struct trp_node **out_first, const struct trp_node **out_second,
                              struct trp_error *err);
trp_status trp_node_drop_twins(struct trp_arena *a, struct trp_node *map, struct trp_error *err);

/* What a node is, in words for messages: "a list", "the text".
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const char *trp_node_kind_name(enum trp_node_kind kind);

/* Copies a tree, texts and the name of its file included, into another arena.
 *   Owns  : the copy belongs to `a`.
 *   Thread: owner.
 *   Errors: NULL when there is no memory. */
struct trp_node *trp_node_dup(struct trp_arena *a, const struct trp_node *n);

/* Fails with the place in front: "config.pbtxt:12: ...".
 *   Owns  : as trp_fail().
 *   Thread: owner.
 *   Errors: returns `code`. */
trp_status trp_node_fail(const struct trp_node *at, struct trp_error *err, enum trp_code code,
                         const char *format, ...) TRP_PRINTF(4, 5);

/* Make a tree from JSON (parsed already), from YAML, from protobuf text format.  `file` names the
 * source in messages and must outlive the tree.  Depth is limited to TRP_NODE_DEPTH_MAX, nodes to
 *   `nodes_max`.
 *   JSON  : null is NULL; a key that stands twice is an error; there are no lines.
 *   YAML  : a plain scalar is a WORD (with empty text where nothing was written), but `null` and
 *           `~` are NULL; one document; anchors, aliases, tags but !!str, and keys that stand twice
 *           are errors; nothing at all is an empty map.
 *   pbtxt : numbers are INT, UINT, FLOAT; identifiers are WORDs; a field written twice stands
 *   twice, in the order written.
 *   Owns  : the tree lives in `a`, texts copied.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT with file:line, TOO_LARGE, OUT_OF_MEMORY. */
trp_status trp_node_from_json(struct trp_arena *a, struct trp_json json, const char *file,
                              struct trp_node **out_root, struct trp_error *err);
trp_status trp_node_from_yaml(struct trp_arena *a, struct trp_str text, const char *file,
                              uint32_t nodes_max, struct trp_node **out_root,
                              struct trp_error *err);
trp_status trp_node_from_pbtxt(struct trp_arena *a, struct trp_str text, const char *file,
                               uint32_t nodes_max, struct trp_node **out_root,
                               struct trp_error *err);

/* Prints a tree as it is: compact JSON, or YAML for people.
 *   Owns  : copied.
 *   Thread: any.
 *   Errors: see b->failed. */
void trp_node_write_json(struct trp_buf *b, const struct trp_node *n);

/* Is the same written in both, wherever they stand?
 *   Owns  : nothing; alloc for the call.
 *   Thread: any.
 *   Errors: false, when there is no memory to tell. */
bool trp_node_is_same(const struct trp_alloc *alloc, const struct trp_node *a,
                      const struct trp_node *b);
void trp_node_write_yaml(struct trp_buf *b, const struct trp_node *n);

#endif
