/* route/key_list.h - named sets of keys, read again when their files change.
 * Answers "is this user on the list, as the list is now?".
 *
 * A list has one address for life, which a compiled rule keeps.  Behind it lies the set as it was
 * read last.  One thread looks at the files once in a while (size, time, inode), reads what has
 * changed, and puts the new set in the old one's place; a file that cannot be read leaves the old
 * set where it is, and the list says why.
 *
 *     rules: has ──> place 0 or 1, by a door ──> set          keeper's thread: read, put into the other place, open its door,
 *                                                              turn round, shut the old door, let the old set go when nobody is inside
 *
 *  1. A look-up never waits: it comes in by the open door, and finds one however often it is
 *     turned.
 *  2. A set goes when nobody is inside its place any more. */
#ifndef TRP_KEY_LIST_H
#define TRP_KEY_LIST_H

#include "base/clock.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "route/key_set.h"

struct trp_key_list;
struct trp_key_lists; /* all of a server */

struct trp_key_lists_opts {
    struct trp_key_set_limits limits; /* of each list */
    int64_t poll_ns;              /* how often files are looked at; 0: only when somebody asks */
    const struct trp_alloc *keys; /* whose account pays for the sets; NULL: the heap */
    const struct trp_clock *clock;
    struct trp_metrics *metrics; /* may be NULL */
    struct trp_log *log;         /* may be NULL */
};

/* Makes it without any list; start runs its thread, stop ends it once it has read what it is
 * reading.  Without a thread lists stay as they were opened.
 *   Owns  : the caller destroys, after every list was closed and with the thread stopped; opts
 *           copied.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY, IO. */
trp_status trp_key_lists_create(const struct trp_alloc *alloc,
                                const struct trp_key_lists_opts *opts,
                                struct trp_key_lists **out_lists, struct trp_error *err);
trp_status trp_key_lists_start(struct trp_key_lists *lists, struct trp_error *err);
void trp_key_lists_stop(struct trp_key_lists *lists);
void trp_key_lists_destroy(struct trp_key_lists *lists); /* accepts NULL */

/* Opens the list of a file, reading it when nobody has it open yet; retain: once more; close: the
 * last one lets it go.
 *   Owns  : counted; `path` is copied.
 *   Thread: any but a loop.
 *   Blocks: disk: until the file is read.
 *   Errors: as trp_key_set_load(). */
trp_status trp_key_list_open(struct trp_key_lists *lists, const char *path,
                             struct trp_key_list **out_list, struct trp_error *err);
void trp_key_list_retain(struct trp_key_list *list);
void trp_key_list_close(struct trp_key_list *list); /* accepts NULL */

/* Files that are to be opened by whoever may wait for a disk: ten million keys take more than a
 * second. */
struct trp_key_reading {
    const char *const *paths; /* borrowed until `done` */
    uint32_t paths_n;
    struct trp_key_list **lists; /* one for each path, open; NULL: it could not be opened */
    struct trp_error *errors;    /* one for each path: why it could not */
    void (*done)(struct trp_key_reading *reading);
    struct trp_key_reading *next; /* of whoever works on it */
};

/* Opens them: those that are open already at once, the others on the thread, one reading after the
 * other.  One that has not begun when the thread is stopped is never told.
 *   Owns  : the reading is the caller's, and the lists' until `done`; what was opened is the
 *           caller's, who closes it.
 *   Thread: any; `done` is called on the thread of the lists, or before this returns: there is
 *           nothing to wait for, or no thread.
 *   Blocks: never, unless there is no thread.
 *   Errors: in the reading. */
void trp_key_lists_read(struct trp_key_lists *lists, struct trp_key_reading *reading);

/* Tells whether a key is in the list as it is now.
 *   Owns  : borrowed.
 *   Thread: any that keeps the list open.
 *   Blocks: never.
 *   Cost  : as trp_key_set_has(), and two locked instructions.
 *   Errors: none. */
bool trp_key_list_has(struct trp_key_list *list, struct trp_str key);

/* Looks at all files now, as the thread does, and reads what has changed; true when a list has
 * changed.
 *   Owns  : nothing.
 *   Thread: any but a loop; one at a time.
 *   Blocks: disk.
 *   Errors: none: each list says of itself; see below. */
bool trp_key_lists_refresh(struct trp_key_lists *lists);

/* What a list is now.  `trouble` is why its newest file was not taken up; empty: it was.
 *   Units : bytes.
 *   Owns  : copied.
 *   Thread: any that keeps the list open.
 *   Errors: none. */
struct trp_key_list_state {
    uint64_t keys, bytes, reloads, failures;
    char trouble[256];
};
void trp_key_list_look(struct trp_key_list *list, struct trp_key_list_state *out);

#endif
