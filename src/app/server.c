/* app/server.c - see server.h.
 *
 * Start: ports first (so that a client never sees a refused connection for a server that was
 * started), then the rooms from the bottom up, then threads: loops, executors; `life` lists the
 * repository on a loader.  ONNX Runtime is opened beside all that, by a thread of its own, because
 * it takes some 30 ms.
 *
 * End, driven by the control loop:
 *
 *   signal -> listeners close, fronts drain (keep-alive ends, GOAWAY) -> all gone
 *          -> life stops (versions leave, close) -> control loop ends -> executors, loops, the
 *          rest, top down
 *
 * After timeouts.drain the connections that are left are closed and their runs cancelled, so that
 * the same way is gone to its end. A backend that does not heed that in END_NS, or a second
 * signal, ends the process at once. */
#include "app/server.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/server_internal.h"

#define END_NS TRP_MS(5000) /* from the cancelling of what is left to the end of the process */

void trp_server_block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write(), not the end */
}

trp_status trp_server_create(const struct trp_alloc *alloc, const struct trp_server_opts *opts,
                             struct trp_server **out_server, struct trp_error *err)
{
    *out_server = NULL;
    struct trp_server *s = trp_alloc_zeroed(alloc, 1, sizeof *s);
    if (!s)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "server");
    s->alloc = alloc;
    s->opts = *opts;
    s->signals_fd = -1;
    const trp_status st = trp_server_assemble(s, err);
    if (trp_failed(st)) {
        trp_server_destroy(s);
        return st;
    }
    *out_server = s;
    return st;
}

static void close_models(struct trp_server *s);

/* Orders of clients that the control loop has not come to, because it ended early: they are
 * refused, or the fronts would wait for them for ever. */
static void refuse_orders(struct trp_server *s)
{
    if (!s->life || s->phase == PHASE_CLOSING)
        return;
    close_models(s);
    (void)trp_loop_turn(s->control, 0, NULL);
}

void trp_server_destroy(struct trp_server *s)
{
    if (!s)
        return;
    trp_acceptor_destroy(s->acceptor);
    refuse_orders(s);
    for (uint32_t i = 0; s->rooms && i < s->readers.n; i++)
        trp_front_destroy(s->rooms[i].front);
    if (s->crew)
        trp_crew_stop(s->crew); /* no request is left */
    trp_admin_destroy(s->admin);
    trp_meter_deinit(&s->meter);
    trp_routing_stop(s->routing);
    trp_life_destroy(s->life);
    trp_directories_close(&s->directories);
    trp_exec_destroy(s->exec);
    for (uint32_t i = 0; s->pools && i < s->readers.n; i++)
        trp_pool_destroy(s->pools[i]);
    trp_trace_destroy(s->trace); /* its thread may still be inside a post to a loop */
    if (s->facts)
        trp_load_facts_stop(s->facts);
    trp_canary_watch_stop(&s->canaries);
    trp_loop_destroy(s->control);
    trp_readers_deinit(&s->readers);
    trp_server_end_routing(s);
    trp_load_facts_destroy(s->facts); /* these two after whatever has rules */
    trp_key_lists_destroy(s->lists);
    trp_registry_destroy(s->before);
    trp_headrooms_destroy(s->headrooms);
    trp_ledger_destroy(s->ledger);
    trp_backends_destroy(s->backends);
    trp_commons_destroy(s->commons);
    trp_store_close(s->store);
    for (uint32_t i = 0; !s->acceptor && i < s->listeners_n; i++)
        close(s->listeners[i]); /* the acceptor would own them */
    for (int i = 0; i < TRP_ACCOUNT_KINDS; i++)
        trp_account_deinit(&s->accounts[i]);
    trp_metrics_destroy(s->metrics);
    trp_log_destroy(s->log);
    trp_alloc_free(s->alloc, s->named);
    trp_alloc_free(s->alloc, s->loops);
    trp_alloc_free(s->alloc, s->fronts);
    trp_alloc_free(s->alloc, s->rooms);
    trp_alloc_free(s->alloc, s->pools);
    trp_alloc_free(s->alloc, s->tenant_rules);
    if (s->signals_fd >= 0)
        close(s->signals_fd);
    trp_alloc_free(s->alloc, s);
}

/* -- shutdown, on the control loop -- */

static void life_stopped(void *user)
{
    struct trp_server *s = user;
    trp_timer_disarm(s->control, &s->drain_timer);
    trp_loop_stop(s->control);
}

static void close_models(struct trp_server *s)
{
    if (s->phase == PHASE_CLOSING)
        return;
    s->phase = PHASE_CLOSING;
    trp_routing_close(s->routing);
    trp_life_stop(s->life, life_stopped, s);
}

static void front_is_empty(struct trp_mail *mail)
{
    struct loop_room *room = TRP_CONTAINER_OF(mail, struct loop_room, drained_mail);
    struct trp_server *s = room->server;
    if (++s->drained_n == s->readers.n)
        close_models(s);
}

static void front_drained(void *user)
{
    struct loop_room *room = user;
    room->drained_mail.deliver = front_is_empty;
    trp_loop_post(room->server->control, &room->drained_mail);
}

static void drain_front(struct trp_mail *mail)
{
    struct loop_room *room = TRP_CONTAINER_OF(mail, struct loop_room, drain_mail);
    trp_front_drain(room->front, front_drained, room);
}

static void stop_accepting(struct trp_mail *mail)
{
    struct trp_server *s = TRP_CONTAINER_OF(mail, struct trp_server, acceptor_mail);
    trp_acceptor_stop(s->acceptor);
}

static void give_up_front(struct trp_mail *mail)
{
    struct loop_room *room = TRP_CONTAINER_OF(mail, struct loop_room, give_up_mail);
    trp_front_give_up(room->front);
}

static void end_is_overdue(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_server *s = TRP_CONTAINER_OF(timer, struct trp_server, drain_timer);
    (void)now_ns;
    TRP_ERROR_LOG(s->log, "app", "a backend does not come back: ending without it");
    _exit(EXIT_FAILURE); /* tidying up would free what it may still write to */
}

static void drain_is_over(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_server *s = TRP_CONTAINER_OF(timer, struct trp_server, drain_timer);
    if (s->phase == PHASE_DRAINING) {
        s->drain_expired = true;
        TRP_WARN(s->log, "app",
                 "requests are still in flight after timeouts.drain: giving them up");
        for (uint32_t i = 0; i < s->readers.n; i++) {
            s->rooms[i].give_up_mail.deliver = give_up_front;
            trp_loop_post(s->loops[i], &s->rooms[i].give_up_mail);
        }
    }
    s->drain_timer.due = end_is_overdue;
    if (trp_failed(trp_timer_arm(s->control, timer, now_ns + END_NS, NULL)))
        end_is_overdue(timer, now_ns);
}

static void begin_drain(struct trp_server *s)
{
    const int64_t drain_ns = (int64_t)trp_settings_u64(s->opts.settings, TRP_SETTING_ID_DRAIN);
    if (s->phase != PHASE_SERVING)
        return;
    s->phase = PHASE_DRAINING;
    TRP_INFO(s->log, "app", "draining: no new connections, requests in flight are answered");
    trp_admin_set_draining(s->admin);
    s->acceptor_mail.deliver = stop_accepting;
    trp_loop_post(s->loops[0], &s->acceptor_mail);
    for (uint32_t i = 0; i < s->readers.n; i++) {
        s->rooms[i].drain_mail.deliver = drain_front;
        trp_loop_post(s->loops[i], &s->rooms[i].drain_mail);
    }
    s->drain_timer.due = drain_is_over;
    if (trp_failed(trp_timer_arm(s->control, &s->drain_timer,
                                 trp_loop_now_ns(s->control) + drain_ns, NULL)))
        drain_is_over(&s->drain_timer, trp_loop_now_ns(s->control));
}

static void stop_asked(struct trp_mail *mail)
{
    begin_drain(TRP_CONTAINER_OF(mail, struct trp_server, stop_mail));
}

void trp_server_stop(struct trp_server *s)
{
    if (trp_flag_is_up(&s->stop_asked))
        return;
    trp_flag_raise(&s->stop_asked);
    s->stop_mail.deliver = stop_asked;
    trp_loop_post(s->control, &s->stop_mail);
}

/* -- signals -- */

/* What was wrong before is not told again by who reads it, and whoever has asked should know
 * that it still is. */
static void tell_refused(const struct trp_server *s, struct trp_str name, struct trp_str why)
{
    const char *end = memchr(why.ptr, '\n', why.len);
    why.len = end ? (size_t)(end - why.ptr) : why.len;
    TRP_WARN(s->log, "app", "SIGHUP: not taken up: %.*s%s%.*s", TRP_STR(name), name.len ? ": " : "",
             TRP_STR(why));
}

static void rescanned(struct trp_routing_order *order)
{
    struct trp_server *s = TRP_CONTAINER_OF(order, struct trp_server, rescan);
    const struct trp_directory *names = s->directories.newest;
    const struct trp_str trouble = trp_directory_trouble(names);
    s->rescan_running = false;
    if (trp_failed(order->error.status) && trouble.len == 0) /* it could not even be listed */
        TRP_ERROR_LOG(s->log, "app", "rescan: %s", order->error.text);
    if (trouble.len > 0)
        tell_refused(s, TRP_STR_LIT(""), trouble);
    for (uint32_t i = 0; i < trp_directory_count(names); i++) {
        const struct trp_directory_item *item = trp_directory_at(names, i);
        if (item->reason.len > 0 && !trp_str_is_equal(item->reason, trouble))
            tell_refused(s, item->name, item->reason);
    }
}

static void named_loaded(struct trp_routing_order *order)
{
    struct trp_server *s = order->user;
    if (order->is_there && trp_failed(order->error.status))
        TRP_ERROR_LOG(s->log, "app", "--load-model: %s", order->error.text);
}

static trp_status make_named(struct trp_server *s, struct trp_error *err)
{
    const uint32_t n = s->opts.load_at_start_n;
    s->named = trp_alloc_zeroed(s->alloc, (size_t)n + 1, sizeof *s->named);
    return s->named ? trp_ok() : trp_fail(err, TRP_OUT_OF_MEMORY, "%u names to load", n);
}

/* Life loads those that are models; of those that are made of some, what they need. */
static void load_named(struct trp_server *s)
{
    for (uint32_t i = 0; i < s->opts.load_at_start_n; i++) {
        s->named[i] = (struct trp_routing_order){ .name = trp_str_of(s->opts.load_at_start[i]),
                                                  .loads = true,
                                                  .done = named_loaded,
                                                  .user = s };
        trp_routing_reload(s->routing, &s->named[i]);
    }
}

static void rescan(struct trp_server *s)
{
    if (s->rescan_running || s->phase != PHASE_SERVING)
        return;
    s->rescan_running = true;
    s->rescan = (struct trp_routing_order){ .name = TRP_STR_LIT(""), .done = rescanned };
    TRP_INFO(s->log, "app", "SIGHUP: rescanning the repository");
    trp_routing_reload(s->routing, &s->rescan);
}

static void take_signal(struct trp_watch *watch, uint32_t events)
{
    struct trp_server *s = TRP_CONTAINER_OF(watch, struct trp_server, signals);
    struct signalfd_siginfo info;
    (void)events;
    while (read(s->signals_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP)
            rescan(s);
        else if (s->phase == PHASE_SERVING)
            begin_drain(s);
        else
            _exit(130); /* asked twice: the operator does not want to wait */
    }
}

static trp_status watch_signals(struct trp_server *s, struct trp_error *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    s->signals_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (s->signals_fd < 0)
        return trp_fail_errno(err, errno, "signalfd");
    s->signals.ready = take_signal;
    return trp_loop_watch(s->control, &s->signals, s->signals_fd, EPOLLIN, err);
}

/* -- running -- */

/* The address that a listener really has: a port of 0 was chosen by the kernel. */
static void tell_address(const struct trp_server *s, uint32_t index)
{
    struct sockaddr_storage bound = { 0 };
    socklen_t len = sizeof bound;
    char host[64], port[16], text[96];
    if (getsockname(s->listeners[index], (struct sockaddr *)&bound, &len) == 0 &&
        bound.ss_family != AF_UNIX &&
        getnameinfo((struct sockaddr *)&bound, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
        const bool is_v6 = bound.ss_family == AF_INET6;
        snprintf(text, sizeof text, "%s%s%s:%s", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
        s->opts.on_listening(s->opts.user, text);
    } else {
        s->opts.on_listening(s->opts.user,
                             trp_settings_list_at(s->opts.settings, TRP_SETTING_ID_LISTEN, index));
    }
}

static void tell_addresses(const struct trp_server *s)
{
    for (uint32_t i = 0; s->opts.on_listening && i < s->listeners_n; i++)
        tell_address(s, i);
}

/* Whoever copies a file into the folder and sees nothing happen finds the reason at the top of
 * the log. */
static void tell_repository(const struct trp_server *s)
{
    const char *mode = trp_settings_text(s->opts.settings, TRP_SETTING_ID_WATCH);
    const bool is_watched = strcmp(mode, "off") != 0;
    for (uint32_t i = 1; i < s->opts.repositories_n; i++)
        TRP_INFO(s->log, "app", "repository %s, after those named before", s->opts.repositories[i]);
    TRP_INFO(s->log, "app", "repository %s; repository.watch: %s (%s)", s->opts.repositories[0],
             mode,
             is_watched ? "changed files are taken up by themselves"
                        : "changed files wait for SIGHUP or a load: troupe load MODEL");
}

/* ONNX Runtime takes some 30 ms and 18 MiB to open; nobody should wait for that, and a server whose
 * models do not need it should only say that it is not there. */
static void open_runtime(void *user)
{
    struct trp_server *s = user;
    struct trp_backend *backend;
    struct trp_error err = { 0 };
    if (trp_failed(trp_backends_get(s->backends, TRP_STR_LIT("onnxruntime"), &backend, &err)))
        TRP_WARN(s->log, "app", "ONNX models cannot be served: %s", err.text);
    else
        TRP_INFO(s->log, "app", "ONNX Runtime is open (plugin %s)", trp_backend_version(backend));
}

/* As many descriptors as the system lets us have: a connection is one. */
uint64_t trp_server_raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    const struct rlimit all = { limit.rlim_max, limit.rlim_max };
    if (limit.rlim_cur != limit.rlim_max && setrlimit(RLIMIT_NOFILE, &all) == 0)
        limit = all; /* the old limit stays otherwise */
    return limit.rlim_cur == RLIM_INFINITY ? 0 : limit.rlim_cur;
}

static trp_status start_threads(struct trp_server *s, struct trp_error *err)
{
    TRP_CHECK(watch_signals(s, err));
    TRP_CHECK(trp_exec_start(s->exec, err));
    TRP_CHECK(trp_meter_start(&s->meter, err));
    TRP_CHECK(trp_key_lists_start(s->lists, err));
    TRP_CHECK(trp_crew_start(s->crew, err));
    TRP_CHECK(trp_readers_start(&s->readers, err));
    return trp_thread_start(&s->opener, "opener", open_runtime, s, err);
}

trp_status trp_server_run(struct trp_server *s, struct trp_error *err)
{
    trp_status st = make_named(s, err);
    if (!trp_failed(st))
        st = start_threads(s, err);
    if (!trp_failed(st)) {
        tell_addresses(s);
        tell_repository(s);
        trp_life_start(s->life);
        load_named(s);
        st = trp_loop_run(s->control, err);
    }
    trp_meter_stop(&s->meter);
    trp_key_lists_stop(s->lists);
    trp_exec_stop(s->exec);
    trp_readers_stop(&s->readers);
    trp_thread_join(&s->opener);
    if (!trp_failed(st) && s->drain_expired)
        st = trp_fail(err, TRP_DEADLINE_EXCEEDED, "requests were given up after timeouts.drain");
    return st;
}
