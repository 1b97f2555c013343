/* route/key_list.c - see key_list.h. */
#include "route/key_list.h"

#include <stdio.h>
#include <time.h>

#include "base/atomic.h"
#include "base/thread.h"

#define SKIPS_MAX 63u /* looks that are left out after failures in a row */

struct place {
    struct trp_door door; /* open: `set` may be asked */
    struct trp_gauge inside;
    struct trp_key_set *set;
};

struct trp_key_list {
    struct place places[2];
    struct trp_gauge current; /* which place to try */
    struct trp_key_lists *lists;
    char *path;
    struct trp_counter reloads, failures;
    struct trp_file_stat seen; /* the refresher's: the newest file, taken up or not */
    bool must_retry;           /* the refresher's: it was no fault of the file itself */
    uint32_t skip, skips;      /* the refresher's: how often not to look, now and next time */
    /* from here on under the lock */
    struct trp_key_list *next;
    uint32_t opens;
    uint64_t keys, bytes;
    char trouble[256];
};

struct trp_key_lists {
    const struct trp_alloc *alloc;
    struct trp_key_lists_opts opts;
    struct trp_thread thread;
    struct trp_lock lock;
    struct trp_signal wake;
    /* from here on under the lock */
    struct trp_key_list *first;
    struct trp_key_reading *readings, *last_reading;
    bool is_refreshing, is_stopping;
};

static const struct trp_alloc *keys_of(const struct trp_key_lists *lists)
{
    return lists->opts.keys ? lists->opts.keys : trp_heap();
}

/* ---- one list ---- */

bool trp_key_list_has(struct trp_key_list *list, struct trp_str key)
{
    for (;;) { /* the other door was opened before this one was shut */
        struct place *p = &list->places[trp_gauge_get(&list->current) & 1];
        if (!trp_door_try_enter(&p->door, &p->inside))
            continue;
        const bool has = trp_key_set_has(p->set, key);
        trp_door_leave(&p->inside);
        return has;
    }
}

static void shut(struct place *p)
{
    while (!trp_door_shut(&p->door, &p->inside)) /* a look-up takes less than a microsecond */
        (void)nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
    trp_key_set_unref(p->set);
    p->set = NULL;
}

/* Puts a set in the old one's place; owns one reference from here on. */
static void turn_round(struct trp_key_list *list, struct trp_key_set *set)
{
    const int64_t old = trp_gauge_get(&list->current) & 1;
    list->places[!old].set = set;
    trp_door_open(&list->places[!old].door);
    trp_gauge_set(&list->current, !old);
    shut(&list->places[old]);
}

static void destroy_list(struct trp_key_list *list)
{
    if (!list)
        return;
    const struct trp_alloc *alloc = list->lists->alloc;
    trp_key_set_unref(list->places[0].set);
    trp_key_set_unref(list->places[1].set);
    trp_alloc_free(alloc, list->path);
    trp_alloc_free(alloc, list);
}

static trp_status make_list(struct trp_key_lists *lists, const char *path,
                            struct trp_key_list **out_list, struct trp_error *err)
{
    *out_list = NULL;
    struct trp_key_list *list = trp_alloc_zeroed(lists->alloc, 1, sizeof *list);
    if (!list)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%s: a list", path);
    list->lists = lists;
    list->opens = 1;
    list->path = trp_alloc_text(lists->alloc, path, strlen(path));
    trp_status st = list->path ? trp_ok() : trp_fail(err, TRP_OUT_OF_MEMORY, "%s: a list", path);
    if (!trp_failed(st))
        st = trp_key_set_load(keys_of(lists), path, &lists->opts.limits, &list->places[0].set, err);
    if (trp_failed(st)) {
        destroy_list(list);
        return st;
    }
    (void)trp_door_shut(&list->places[1].door, &list->places[1].inside);
    list->seen = *trp_key_set_source(list->places[0].set);
    list->keys = trp_key_set_count(list->places[0].set);
    list->bytes = trp_key_set_bytes(list->places[0].set);
    *out_list = list;
    return trp_ok();
}

/* ---- all lists ---- */

/* Under the lock. */
static struct trp_key_list *find(struct trp_key_lists *lists, const char *path)
{
    struct trp_key_list *list = lists->first;
    while (list && strcmp(list->path, path) != 0)
        list = list->next;
    if (list)
        list->opens++;
    return list;
}

static void count_keys(struct trp_key_lists *lists)
{
    uint64_t n = 0, keys = 0;
    if (!lists->opts.metrics)
        return;
    trp_lock_enter(&lists->lock);
    for (const struct trp_key_list *list = lists->first; list; list = list->next) {
        n++;
        keys += list->keys;
    }
    trp_lock_leave(&lists->lock);
    trp_metrics_set(lists->opts.metrics, TRP_METRIC_LISTS, n);
    trp_metrics_set(lists->opts.metrics, TRP_METRIC_LIST_KEYS, keys);
}

trp_status trp_key_list_open(struct trp_key_lists *lists, const char *path,
                             struct trp_key_list **out_list, struct trp_error *err)
{
    struct trp_key_list *made = NULL, *known;
    trp_lock_enter(&lists->lock);
    known = find(lists, path);
    trp_lock_leave(&lists->lock);
    *out_list = known;
    if (known)
        return trp_ok();
    TRP_CHECK(make_list(lists, path, &made, err));
    trp_lock_enter(&lists->lock);
    known = find(lists, path); /* somebody else may have been as quick */
    if (!known) {
        made->next = lists->first;
        lists->first = made;
    }
    trp_lock_leave(&lists->lock);
    if (known)
        destroy_list(made);
    *out_list = known ? known : made;
    count_keys(lists);
    return trp_ok();
}

void trp_key_list_retain(struct trp_key_list *list)
{
    trp_lock_enter(&list->lists->lock);
    list->opens++;
    trp_lock_leave(&list->lists->lock);
}

void trp_key_list_close(struct trp_key_list *list)
{
    if (!list)
        return;
    struct trp_key_lists *lists = list->lists;
    trp_lock_enter(&lists->lock);
    const bool is_last = --list->opens == 0;
    struct trp_key_list **at = &lists->first;
    while (is_last && *at != list)
        at = &(*at)->next;
    if (is_last)
        *at = list->next;
    trp_lock_leave(&lists->lock);
    if (!is_last)
        return;
    destroy_list(list);
    count_keys(lists);
}

void trp_key_list_look(struct trp_key_list *list, struct trp_key_list_state *out)
{
    *out = (struct trp_key_list_state){ .reloads = trp_counter_get(&list->reloads),
                                        .failures = trp_counter_get(&list->failures) };
    trp_lock_enter(&list->lists->lock);
    out->keys = list->keys;
    out->bytes = list->bytes;
    memcpy(out->trouble, list->trouble, sizeof out->trouble);
    trp_lock_leave(&list->lists->lock);
}

/* ---- reading again ---- */

static bool is_same(const struct trp_file_stat *a, const struct trp_file_stat *b)
{
    return a->kind == b->kind && a->bytes == b->bytes && a->inode == b->inode &&
           a->device == b->device && a->mtime_ns == b->mtime_ns;
}

static void note_failure(struct trp_key_list *list, trp_status st, const struct trp_error *err)
{
    struct trp_key_lists *lists = list->lists;
    char text[sizeof list->trouble];
    (void)trp_str_copy(trp_str_of(err->text), text, sizeof text);
    /* Reading it again helps when memory or the disk was short, and not when there is too much
     * in it. */
    list->must_retry = st.code != TRP_TOO_LARGE;
    list->skips = list->skips * 2 < SKIPS_MAX ? list->skips * 2 + 1 : SKIPS_MAX;
    list->skip = list->skips;
    trp_counter_add(&list->failures, 1);
    trp_lock_enter(&lists->lock);
    const bool is_news = strcmp(text, list->trouble) != 0;
    memcpy(list->trouble, text, sizeof text);
    trp_lock_leave(&lists->lock);
    if (lists->opts.metrics) {
        trp_metrics_add(lists->opts.metrics, TRP_METRIC_LIST_FAILURES, 1);
        trp_metrics_hit(lists->opts.metrics, err);
    }
    if (is_news && lists->opts.log)
        TRP_WARN(lists->opts.log, "route", "the list stays as it was: %s", text);
}

static void note_reload(struct trp_key_list *list, uint64_t keys, uint64_t bytes)
{
    struct trp_key_lists *lists = list->lists;
    list->must_retry = false;
    list->skip = list->skips = 0;
    trp_counter_add(&list->reloads, 1);
    trp_lock_enter(&lists->lock);
    list->keys = keys;
    list->bytes = bytes;
    list->trouble[0] = 0;
    trp_lock_leave(&lists->lock);
    if (lists->opts.metrics)
        trp_metrics_add(lists->opts.metrics, TRP_METRIC_LIST_RELOADS, 1);
    if (lists->opts.log)
        TRP_INFO(lists->opts.log, "route", "list %s: %llu keys", list->path,
                 (unsigned long long)keys);
}

/* True: it has changed. */
static bool refresh_list(struct trp_key_list *list)
{
    struct trp_file_stat now = { 0 };
    struct trp_error err = { .text = "" };
    struct trp_key_set *set;
    trp_status st = trp_file_stat(list->path, &now, &err);
    const bool is_news = !is_same(&now, &list->seen);
    if (!is_news && !list->must_retry)
        return false;
    if (!is_news && list->skip > 0) {
        list->skip--;
        return false;
    }
    list->seen = now;
    if (!trp_failed(st))
        st = trp_key_set_load(keys_of(list->lists), list->path, &list->lists->opts.limits, &set,
                              &err);
    if (trp_failed(st)) {
        note_failure(list, st, &err);
        return false;
    }
    list->seen = *trp_key_set_source(set);
    const uint64_t keys = trp_key_set_count(set), bytes = trp_key_set_bytes(set);
    turn_round(list, set);
    note_reload(list, keys, bytes);
    return true;
}

/* The list behind this one (NULL: the first), kept open; what stood there before is closed. */
static struct trp_key_list *step(struct trp_key_lists *lists, struct trp_key_list *from)
{
    trp_lock_enter(&lists->lock);
    struct trp_key_list *list = from ? from->next : lists->first;
    if (list)
        list->opens++;
    trp_lock_leave(&lists->lock);
    trp_key_list_close(from);
    return list;
}

bool trp_key_lists_refresh(struct trp_key_lists *lists)
{
    bool has_changed = false;
    trp_lock_enter(&lists->lock);
    while (lists->is_refreshing)
        trp_signal_wait(&lists->wake, &lists->lock);
    lists->is_refreshing = true;
    trp_lock_leave(&lists->lock);
    struct trp_key_list *list = NULL;
    while ((list = step(lists, list)) != NULL)
        has_changed |= refresh_list(list);
    trp_lock_enter(&lists->lock);
    lists->is_refreshing = false;
    trp_signal_all(&lists->wake);
    trp_lock_leave(&lists->lock);
    if (has_changed)
        count_keys(lists);
    return has_changed;
}

/* ---- files that somebody waits for ---- */

/* True: there is nothing to read. */
static bool take_known(struct trp_key_lists *lists, struct trp_key_reading *r)
{
    uint32_t n = 0;
    trp_lock_enter(&lists->lock);
    for (uint32_t i = 0; i < r->paths_n; i++) {
        r->lists[i] = find(lists, r->paths[i]);
        n += r->lists[i] != NULL;
    }
    trp_lock_leave(&lists->lock);
    return n == r->paths_n;
}

static bool is_stopping(struct trp_key_lists *lists)
{
    trp_lock_enter(&lists->lock);
    const bool is = lists->is_stopping;
    trp_lock_leave(&lists->lock);
    return is;
}

static void open_all(struct trp_key_lists *lists, struct trp_key_reading *r)
{
    for (uint32_t i = 0; i < r->paths_n; i++) {
        r->errors[i] = (struct trp_error){ 0 };
        if (r->lists[i])
            continue;
        if (is_stopping(lists))
            (void)trp_fail(&r->errors[i], TRP_UNAVAILABLE, "%s: the server stops", r->paths[i]);
        else
            (void)trp_key_list_open(lists, r->paths[i], &r->lists[i], &r->errors[i]);
    }
    r->done(r);
}

void trp_key_lists_read(struct trp_key_lists *lists, struct trp_key_reading *r)
{
    r->next = NULL;
    if (take_known(lists, r) || !lists->thread.started) {
        open_all(lists, r);
        return;
    }
    trp_lock_enter(&lists->lock);
    if (lists->readings)
        lists->last_reading->next = r;
    else
        lists->readings = r;
    lists->last_reading = r;
    trp_signal_all(&lists->wake);
    trp_lock_leave(&lists->lock);
}

/* ---- the thread ---- */

/* Waits until there is something to do; NULL: it is time to look at the files, or to stop. */
static struct trp_key_reading *wait_for_work(struct trp_key_lists *lists, int64_t due_ns,
                                             bool *out_stops)
{
    int64_t left_ns = due_ns - trp_clock_now_ns(lists->opts.clock);
    trp_lock_enter(&lists->lock);
    while (!lists->is_stopping && !lists->readings && left_ns > 0) {
        if (due_ns == INT64_MAX)
            trp_signal_wait(&lists->wake, &lists->lock);
        else
            trp_signal_wait_for(&lists->wake, &lists->lock, left_ns);
        left_ns = due_ns - trp_clock_now_ns(lists->opts.clock);
    }
    struct trp_key_reading *r = lists->is_stopping ? NULL : lists->readings;
    if (r)
        lists->readings = r->next;
    *out_stops = lists->is_stopping;
    trp_lock_leave(&lists->lock);
    return r;
}

static int64_t next_look_ns(const struct trp_key_lists *lists)
{
    const int64_t poll_ns = lists->opts.poll_ns;
    return poll_ns > 0 ? trp_clock_now_ns(lists->opts.clock) + poll_ns : INT64_MAX;
}

static void run(void *user)
{
    struct trp_key_lists *lists = user;
    int64_t due_ns = next_look_ns(lists);
    bool stops = false;
    for (;;) {
        struct trp_key_reading *r = wait_for_work(lists, due_ns, &stops);
        if (stops)
            return;
        if (r) {
            open_all(lists, r);
            continue;
        }
        (void)trp_key_lists_refresh(lists);
        due_ns = next_look_ns(lists);
    }
}

trp_status trp_key_lists_create(const struct trp_alloc *alloc,
                                const struct trp_key_lists_opts *opts,
                                struct trp_key_lists **out_lists, struct trp_error *err)
{
    *out_lists = NULL;
    struct trp_key_lists *lists = trp_alloc_zeroed(alloc, 1, sizeof *lists);
    if (!lists)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "lists of keys");
    lists->alloc = alloc;
    lists->opts = *opts;
    trp_lock_init(&lists->lock, TRP_LOCK_KEY_LISTS);
    trp_signal_init(&lists->wake);
    *out_lists = lists;
    return trp_ok();
}

trp_status trp_key_lists_start(struct trp_key_lists *lists, struct trp_error *err)
{
    return trp_thread_start(&lists->thread, "lists", run, lists, err);
}

void trp_key_lists_stop(struct trp_key_lists *lists)
{
    trp_lock_enter(&lists->lock);
    lists->is_stopping = true;
    trp_signal_all(&lists->wake);
    trp_lock_leave(&lists->lock);
    trp_thread_join(&lists->thread);
    lists->thread.started = false;
}

void trp_key_lists_destroy(struct trp_key_lists *lists)
{
    if (!lists)
        return;
    TRP_ASSERT(!lists->first); /* somebody would ask a list that is gone */
    trp_signal_deinit(&lists->wake);
    trp_lock_deinit(&lists->lock);
    trp_alloc_free(lists->alloc, lists);
}
