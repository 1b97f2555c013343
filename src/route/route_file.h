/* route/route_file.h - all routes of a server, as they were written at one moment.
 * Answers "which routes are there?": those of routes.yaml, and of model folders that declare one.
 *
 *     time_zone: Europe/Berlin                  what time.hour means; UTC unless said
 *     lists: { regulars: lists/regulars.txt }   files of keys, for `in lists.regulars`
 *     routes: { recommend: [ ... ], ... }
 *     ensembles: ... cascades: ... pipelines: ...      not ours: handed on
 *
 * All or nothing: what is wrong with one of them is wrong with the file, and the routes that serve
 * go on as they were.  Whoever reads it may leave out folders that are wrong. */
#ifndef TRP_ROUTE_FILE_H
#define TRP_ROUTE_FILE_H

#include "call/directory.h"
#include "route/route.h"

struct trp_key_lists;
struct trp_route_file;

#define TRP_ROUTE_FILE_ROUTES_MAX 10000u
#define TRP_ROUTE_VERSIONS_MAX 96u /* bytes of a message that tell versions */

/* A model folder that declares a route. */
struct trp_route_folder {
    struct trp_str name;
    const struct trp_node *tree; /* as written; copied, as is the text of the file */
    struct trp_str text;         /* empty: messages tell its lines only */
};

struct trp_route_file_opts {
    const char *path;    /* of routes.yaml, as messages call it */
    struct trp_str text; /* empty: there is none; copied */
    const struct trp_route_folder *folders;
    uint32_t folders_n;
    const struct trp_route_env *env;
    /* The files of its lists (trp_route_file_list_paths()), as they were opened; NULL: a file
     * that has lists is refused. */
    const struct trp_key_reading *lists;
    const char *folder; /* that their paths are relative to */
    /* Takes a section that is not ours, of the file's tree, which lives as long as the routes do;
     * NULL: they are refused. Its lists are open by then. */
    trp_status (*section)(void *user, const struct trp_node *at, struct trp_route_file *file,
                          struct trp_error *err);
    /* The route of a folder is wrong: OK: the others are read without it; NULL: all or nothing. */
    trp_status (*refused)(void *user, struct trp_str folder, const struct trp_error *why,
                          struct trp_error *err);
    void *section_user; /* of both */
};

/* Which files of keys the text names, so that they can be opened before it is read: each path once.
 *   Owns  : all lives in `arena`.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY; what is wrong with the text is found when it is read, and names none. */
trp_status trp_route_file_list_paths(const struct trp_route_file_opts *opts,
                                     struct trp_arena *arena, const char *const **out_paths,
                                     uint32_t *out_n, struct trp_error *err);

/* Reads everything and makes the routes.
 *   Owns  : one reference for the caller; each route keeps it, too; env is borrowed as long as
 *           there is one, the reading for the call.
 *   Thread: control.
 *   Blocks: disk, when it has a time zone.
 *   Errors: INVALID_ARGUMENT with file:line:column, the line and a caret; as
 *           trp_key_list_open(); TOO_LARGE; OUT_OF_MEMORY. */
trp_status trp_route_file_read(const struct trp_alloc *alloc,
                               const struct trp_route_file_opts *opts,
                               struct trp_route_file **out_file, struct trp_error *err);
void trp_route_file_unref(struct trp_route_file *f); /* accepts NULL */

/* One reference more, and one less: for who uses what the file has in common for all its rules
 * (zone, lists), their names, and how it is written.
 *   Owns  : counted; borrowed from the file.
 *   Thread: retain, common, lists, source: control; let_go: any.
 *   Errors: none. */
void trp_route_file_retain(struct trp_route_file *f);
void trp_route_file_let_go(struct trp_route_file *f);
const struct trp_route_common *trp_route_file_common(const struct trp_route_file *f);
const struct trp_str *trp_route_file_lists(const struct trp_route_file *f, uint32_t *out_n);
const struct trp_route_source *trp_route_file_source(const struct trp_route_file *f);

/* Takes in a route that serves already and goes on, because what is written in its place is wrong:
 * it is found, asked and counted like the file's own, behind which it stands, but not checked with
 * them.
 *   Owns  : one reference is the file's; no route of the file may have its name.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_route_file_adopt(struct trp_route_file *f, struct trp_router *route,
                                struct trp_error *err);

/* The routes, in their order, and by name.
 *   Owns  : borrowed from the file.
 *   Thread: control.
 *   Errors: NULL: there is no such one. */
uint32_t trp_route_file_count(const struct trp_route_file *f);
struct trp_router *trp_route_file_at(const struct trp_route_file *f, uint32_t index);
struct trp_router *trp_route_file_find(const struct trp_route_file *f, struct trp_str name);

/* What stands behind a name: for the check.  known: a name that is no route of this file;
 * signature: what it takes, as far as that is known (NULL: it is not, or it is a route, of which
 * `lead` tells). */
struct trp_route_check {
    void *user;
    bool (*known)(void *user, struct trp_str name, int64_t version);
    const struct trp_signature *(*signature)(void *user, struct trp_str name, int64_t version);
    /* Where the route of this name mostly leads; NULL: no route is called so.  May be NULL:
     * there are no routes. */
    const struct trp_route_goal *(*lead)(void *user, struct trp_str name);
    /* Appends "; did you mean 'x'?" if a known name is near; may be NULL. */
    void (*nearest)(void *user, struct trp_str name, char hint[TRP_ROUTE_HINT_MAX]);
    /* Writes which versions and labels it has: "1, 2, stable"; may be NULL. */
    void (*versions)(void *user, struct trp_str name, char out[TRP_ROUTE_VERSIONS_MAX]);
    /* A check has failed for the one of this name: true: the others are checked all the same, as if
     * nobody knew yet what it takes; false, or NULL: that is the answer. */
    bool (*spare)(void *user, struct trp_str name, const struct trp_error *why);
    void *spare_user;
};

/* What a model takes is to change: `next` is how it would be, `now` how it is. */
struct trp_route_trial {
    struct trp_str model;
    const struct trp_route_check *next, *now;
};

/* Checks what can be known of the targets: that there are such names, that no route leads back to
 * itself or through more than TRP_ROUTE_DEPTH_MAX others, that what is renamed, cast and given
 * exists, and that targets which stand in for each other take the same; and that conditions ask for
 * the load of models that there are.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: INVALID_ARGUMENT, NOT_FOUND (a name that nobody has), with file:line:column, the line
 *           and a caret; adopted ones are checked by their index only. */
trp_status trp_route_file_check(const struct trp_route_file *f, const struct trp_route_check *check,
                                struct trp_error *err);
trp_status trp_route_file_check_one(const struct trp_route_file *f, uint32_t index,
                                    const struct trp_route_check *check, struct trp_error *err);

/* Of a file that serves: what nobody knew of targets when it was checked may be known by now, and
 * models may have been replaced by others, or have left.  Routes whose targets take something else
 * than at the last look are checked once more, for whether they are there and fit; `news` is told
 * of each of which the check says something else than before: trp_route_doubt(), in all its words;
 * NULL: it fits.
 *   Owns  : nothing; `doubt` is borrowed for the call.
 *   Thread: control.
 *   Cost  : a look-up of each target, and a check where one takes something else than before.
 *   Errors: none: without memory it is looked at the next time. */
typedef void (*trp_route_news_fn)(void *user, const struct trp_router *route, const char *doubt);
void trp_route_file_look_again(const struct trp_route_file *f, const struct trp_route_check *check,
                               trp_route_news_fn news, void *user);

#endif
