/* life/watcher.c - when to look again
 *
 *   off      never by itself
 *   poll     every `poll_ns`
 *   notify   when the kernel says (inotify) that something changed in the repository, a model or a version
 *
 * An event only says "look again": which file it was does not matter, and so nothing is lost when
 * the kernel drops events (an overflow is one more reason to look).  Looking is cheap, but a copy
 * of a large model makes thousands of events, so they are gathered for a moment.  What was found
 * changed is looked at once more after `settle_ns` (rescan.c).
 *
 * A listing that fails (the repository is moved away, or descriptors are short) is tried again
 * after `poll_ns`.
 *
 * New folders are covered after each listing; since something may have happened in one before it
 * was covered, finding a new one means one more look. */
#include "life/watcher.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/file.h"
#include "life/life_parts.h"
#include "life/rescan.h"

#define GATHER_NS TRP_MS(50)
#define DEPTH_MAX 3         /* model, version, model.onnx/ */
#define ENTRIES_MAX 100000u /* of one folder */
#define EVENTS                                                                          \
    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB | \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

struct trp_watcher {
    struct trp_job cover; /* first */
    struct trp_life *life;
    struct trp_watch watch;
    struct trp_timer look_timer; /* after an event, or to see whether a change has settled */
    struct trp_timer poll_timer;
    enum trp_watch_mode mode;
    int fd; /* of inotify; -1: none */
    bool is_running, is_covering;
    /* the job's, while it is out */
    int newest; /* the highest watch so far: numbers rise, so a higher one is a new folder */
    bool found_new;
    int failed; /* errno */
};

static void arm(struct trp_watcher *w, struct trp_timer *timer, int64_t after_ns)
{
    struct trp_loop *control = w->life->opts.control;
    struct trp_error err;
    if (timer->slot) /* the earlier one is soon enough */
        return;
    if (trp_failed(trp_timer_arm(control, timer, trp_loop_now_ns(control) + after_ns, &err)))
        TRP_WARN(w->life->opts.log, "life", "the repository is not watched any more: %s", err.text);
}

static void look_due(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_watcher *w = TRP_CONTAINER_OF(timer, struct trp_watcher, look_timer);
    (void)now_ns;
    trp_rescan_begin(w->life, true, NULL);
}

static void poll_due(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_watcher *w = TRP_CONTAINER_OF(timer, struct trp_watcher, poll_timer);
    (void)now_ns;
    trp_rescan_begin(w->life, true, NULL);
    arm(w, &w->poll_timer, w->life->opts.poll_ns);
}

static void something_happened(struct trp_watch *watch, uint32_t events)
{
    struct trp_watcher *w = TRP_CONTAINER_OF(watch, struct trp_watcher, watch);
    char buffer[4096] __attribute__((aligned(8)));
    (void)events;
    while (read(w->fd, buffer, sizeof buffer) > 0) {
    }
    const int64_t settle_ns = w->life->opts.settle_ns;
    arm(w, &w->look_timer, settle_ns < GATHER_NS ? settle_ns : GATHER_NS);
}

/* ---- covering ---- */

struct covering {
    struct trp_watcher *watcher;
    char path[PATH_MAX];
    size_t len;
    int depth;
};

static trp_status cover_entry(void *user, const char *name, struct trp_error *err);

/* Watches the folder at `path` and those below it; what is no folder is passed over by the
 * kernel's answer. */
static void cover_here(struct covering *c, uint32_t more)
{
    struct trp_watcher *w = c->watcher;
    const int wd = inotify_add_watch(w->fd, c->path, EVENTS | more);
    if (wd < 0) {
        if (errno == ENOSPC || errno == ENOMEM)
            w->failed = errno;
        return;
    }
    w->found_new |= wd > w->newest;
    w->newest = wd > w->newest ? wd : w->newest;
    if (c->depth == DEPTH_MAX)
        return;
    c->depth++;
    (void)trp_dir_each(c->path, ENTRIES_MAX, cover_entry, c, NULL);
    c->depth--;
}

static trp_status cover_entry(void *user, const char *name, struct trp_error *err)
{
    struct covering *c = user;
    const size_t len = c->len;
    (void)err;
    if (name[0] == '.' || c->watcher->failed)
        return trp_ok();
    const int n = snprintf(c->path + len, sizeof c->path - len, "/%s", name);
    if (n > 0 && (size_t)n < sizeof c->path - len) {
        c->len += (size_t)n;
        cover_here(c, IN_DONT_FOLLOW);
    }
    c->len = len;
    c->path[len] = '\0';
    return trp_ok();
}

static void cover_repository(struct trp_watcher *w, const char *path)
{
    struct covering c = { .watcher = w };
    const int n = snprintf(c.path, sizeof c.path, "%s", path);
    if (n < 0 || (size_t)n >= sizeof c.path)
        return;
    c.len = (size_t)n;
    cover_here(&c, 0);
}

static void cover(struct trp_job *job)
{
    struct trp_watcher *w = (struct trp_watcher *)job;
    const struct trp_repo_opts *repo = &w->life->opts.repo;
    w->found_new = false;
    cover_repository(w, repo->path);
    for (uint32_t i = 0; i < repo->further_n; i++)
        cover_repository(w, repo->further[i]);
}

static void fall_back(struct trp_watcher *w)
{
    TRP_WARN(w->life->opts.log, "life",
             "repository.watch: notify is not possible (%s); polling instead", strerror(w->failed));
    trp_loop_unwatch(w->life->opts.control, &w->watch);
    w->mode = TRP_WATCH_POLL;
    arm(w, &w->poll_timer, w->life->opts.poll_ns);
}

static void covered(struct trp_job *job)
{
    struct trp_watcher *w = (struct trp_watcher *)job;
    w->is_covering = false;
    if (!w->is_running)
        return;
    if (w->failed && w->mode == TRP_WATCH_NOTIFY)
        fall_back(w);
    else if (w->found_new)
        arm(w, &w->look_timer, GATHER_NS);
}

void trp_watcher_listed(struct trp_watcher *w, bool is_unsettled)
{
    if (!w->is_running)
        return;
    if (is_unsettled)
        arm(w, &w->look_timer, w->life->opts.settle_ns);
    if (w->mode != TRP_WATCH_NOTIFY || w->is_covering)
        return;
    w->is_covering = true;
    w->cover.work = cover;
    w->cover.done = covered;
    trp_loaders_submit(w->life->loaders, TRP_LANE_CHORE, &w->cover);
}

/* The kernel tells of what happens in a folder, not of its coming back. */
void trp_watcher_failed(struct trp_watcher *w)
{
    if (w->is_running)
        arm(w, &w->look_timer, w->life->opts.poll_ns);
}

/* ---- from beginning to end ---- */

trp_status trp_watcher_create(struct trp_life *l, struct trp_watcher **out_watcher,
                              struct trp_error *err)
{
    struct trp_watcher *w = trp_alloc_zeroed(l->alloc, 1, sizeof *w);
    *out_watcher = w;
    if (!w)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "watcher");
    w->life = l;
    w->fd = -1;
    w->mode = l->opts.watch;
    w->look_timer.due = look_due;
    w->poll_timer.due = poll_due;
    w->watch.ready = something_happened;
    return trp_ok();
}

void trp_watcher_start(struct trp_watcher *w)
{
    struct trp_error err = { 0 };
    w->is_running = w->mode != TRP_WATCH_OFF;
    if (w->mode == TRP_WATCH_NOTIFY) {
        w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        w->failed = w->fd < 0 ? errno : 0;
        if (w->fd >= 0 &&
            trp_failed(trp_loop_watch(w->life->opts.control, &w->watch, w->fd, EPOLLIN, &err)))
            w->failed = ENOMEM;
        if (w->failed)
            fall_back(w);
    } else if (w->mode == TRP_WATCH_POLL) {
        arm(w, &w->poll_timer, w->life->opts.poll_ns);
    }
}

void trp_watcher_stop(struct trp_watcher *w)
{
    struct trp_loop *control = w->life->opts.control;
    w->is_running = false;
    trp_loop_unwatch(control, &w->watch);
    trp_timer_disarm(control, &w->look_timer);
    trp_timer_disarm(control, &w->poll_timer);
}

void trp_watcher_destroy(struct trp_watcher *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        (void)close(w->fd);
    trp_alloc_free(w->life->alloc, w);
}
