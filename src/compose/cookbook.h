/* compose/cookbook.h - all compositions of a server, as they were written at one moment.
 * Answers "which ensembles, cascades and pipelines are there, and do they fit the models?": those
 * of the sections `ensembles`, `cascades` and `pipelines` of routes.yaml, and of model folders that
 * declare one.
 *
 * All or nothing, as with routes: one that does not fit is an error of the whole reading.  They may
 * name each other, but not themselves by a detour. */
#ifndef TRP_COOKBOOK_H
#define TRP_COOKBOOK_H

#include "compose/composition.h"
#include "route/route_file.h"

struct trp_cookbook;

#define TRP_COOKBOOK_MAX 10000u

/* What every reading is given; outlives all compositions. */
struct trp_cookbook_opts {
    const struct trp_alloc *alloc;
    struct trp_cook_env env;
};

struct trp_cookbook_folder { /* one whose file says that it is a composition */
    struct trp_str name;
    const struct trp_node *tree;   /* all of its configuration */
    struct trp_str text;           /* the same as it is written, for messages; may be empty */
    const struct trp_node *labels; /* of its outputs, as the listing has them; NULL: none */
};

/* Makes an empty one, and reads into it: a section of routes.yaml, the configuration of a folder.
 * Its compositions live on as long as somebody retains them.
 *   Owns  : the caller destroys; opts are borrowed, what is read is copied; the file is kept for
 *           its lists and time zone (NULL: there are none).
 *   Thread: control.
 *   Errors: INVALID_ARGUMENT with file:line; ALREADY_EXISTS: two have one name; TOO_LARGE;
 *           OUT_OF_MEMORY. */
trp_status trp_cookbook_create(const struct trp_cookbook_opts *opts, struct trp_cookbook **out_book,
                               struct trp_error *err);
trp_status trp_cookbook_read_section(struct trp_cookbook *b, const struct trp_node *at,
                                     struct trp_route_file *file, struct trp_error *err);
trp_status trp_cookbook_read_folder(struct trp_cookbook *b,
                                    const struct trp_cookbook_folder *folder,
                                    struct trp_route_file *file, struct trp_error *err);
void trp_cookbook_destroy(struct trp_cookbook *b); /* accepts NULL */

/* Takes in a composition that serves already and goes on, because what is written in its place is
 * wrong: it is found, asked, walked and judged like the others.  It is what it was checked to be;
 * one that was not checked yet is, as soon as this reading serves.
 *   Owns  : one reference is the book's; no composition of it may have that name.
 *   Thread: control.
 *   Errors: TOO_LARGE; OUT_OF_MEMORY. */
trp_status trp_cookbook_adopt(struct trp_cookbook *b, struct trp_target *target,
                              struct trp_error *err);

/* The compositions, in the order in which they were read, and by name; a book may be NULL: nothing
 * is composed.
 *   Owns  : borrowed from the book.
 *   Thread: control.
 *   Cost  : the same for any number of them.
 *   Errors: NULL: there is no such one. */
uint32_t trp_cookbook_count(const struct trp_cookbook *b);
struct trp_composition *trp_cookbook_at(const struct trp_cookbook *b, uint32_t index);
struct trp_composition *trp_cookbook_find(const struct trp_cookbook *b, struct trp_str name);

/* Who is told of what a look at those that serve has found. */
struct trp_cookbook_news {
    void *user;
    /* One does not fit its models, as it is known now, and is not ready. */
    void (*unfit)(void *user, const struct trp_error *why);
    /* A name that one asks is nobody's any more; NULL: all are somebody's again. */
    void (*gone)(void *user, struct trp_composition *c, const char *doubt);
};

/* Checks all: each after those that it asks.  One whose models are not known yet is not ready, and
 * no error; look_again tries it once more, when more is known: what is wrong then is the reason why
 * it is not ready.  look_at_members, of as many as `most`, the next ones each time: whether all
 * names that they ask are somebody's, and how many rows these take.  Whoever wants the news is told
 * each once.
 *   Owns  : nothing; borrowed for the calls.
 *   Thread: control.
 *   Cost  : look_again: nothing but for those that were not checked yet, which are read anew only
 *           when what they were answered has changed; look_at_members: two
 *           look-ups of each name that is asked.
 *   Errors: INVALID_ARGUMENT with file:line: one asks itself, types that do not agree, ...;
 *           NOT_FOUND: a name that nobody has. */
trp_status trp_cookbook_check(struct trp_cookbook *b, const struct trp_route_check *check,
                              struct trp_error *err);
void trp_cookbook_look_again(struct trp_cookbook *b, const struct trp_route_check *check,
                             const struct trp_cookbook_news *news);
void trp_cookbook_look_at_members(struct trp_cookbook *b, const struct trp_route_check *check,
                                  const struct trp_cookbook_news *news, uint32_t most);

/* Looks for the first one that works now and would not any more, when a model takes something else:
 * copies of those that ask it, by whatever detour, are checked.
 *   Owns  : *out_broken is borrowed from the book.
 *   Thread: control.
 *   Errors: what is wrong with it then, as of check; OUT_OF_MEMORY: nothing is known. */
trp_status trp_cookbook_judge(const struct trp_cookbook *b, const struct trp_route_trial *trial,
                              struct trp_composition **out_broken, struct trp_error *err);

#endif
