/* front/acceptor.c - new connections, handed to whichever front has the fewest.
 *
 * One thread accepts for all: a hand-over costs once per connection, while sockets shared by
 * SO_REUSEPORT leave loops idle when clients are few and long-lived.  A connection on its way is
 * counted, or a burst would all go to one front.
 *
 * accept() fails for two kinds of reasons.  Some are about one client (he gave up while he waited):
 * the next one may be there. Others last: descriptors or memory have run out, and the listener
 * would be told as readable in every turn.  Then all listeners rest, and are looked at again after
 * a pause, for ever.
 *
 *  1. Every failure is counted by reason; those that last are told in the log, one line in ten
 *     seconds at most.
 *  2. `pause` is armed for as long as there is an acceptor, so moving it takes no memory: a pause
 *     always ends.
 *  3. A listener that could not be watched again is tried again after the next pause. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "front/front.h"

#define ACCEPTS 64           /* of one listener in one turn */
#define PAUSE_NS TRP_MS(100) /* after a failure that lasts */
#define TELL_NS TRP_S(10)    /* from one line in the log to the next */
#define NEVER_NS INT64_MAX

struct listener {
    struct trp_watch watch;
    struct trp_acceptor *acceptor;
    int fd;
};

struct lane { /* one front */
    struct trp_front *front;
    struct trp_loop *loop;
    struct trp_counter on_the_way;
};

struct trp_acceptor {
    const struct trp_alloc *alloc;
    struct trp_loop *loop;
    struct lane *lanes;
    struct listener *listeners;
    uint32_t lanes_n, listeners_n;
    struct trp_metrics_shard *metrics;
    struct trp_log *log;
    struct trp_timer pause;
    int64_t tell_ns;   /* when the log may be written to again */
    uint64_t untold_n; /* failures that it was not told of */
};

struct handover {
    struct trp_mail mail;
    const struct trp_alloc *alloc;
    struct lane *lane;
    int fd;
    bool is_local;
};

static void deliver(struct trp_mail *mail)
{
    struct handover *h = TRP_CONTAINER_OF(mail, struct handover, mail);
    trp_counter_sub(&h->lane->on_the_way, 1);
    trp_front_take(h->lane->front, h->fd, h->is_local);
    trp_alloc_free(h->alloc, h);
}

static struct lane *emptiest(struct trp_acceptor *a)
{
    struct lane *best = NULL;
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < a->lanes_n; i++) {
        const uint64_t n =
            trp_front_connections(a->lanes[i].front) + trp_counter_get(&a->lanes[i].on_the_way);
        if (n < least) {
            least = n;
            best = &a->lanes[i];
        }
    }
    return best;
}

static bool is_local(const struct sockaddr_storage *peer)
{
    const void *p = peer; /* sockaddr_storage is made to be read as the others */
    if (peer->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = p;
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    }
    if (peer->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = p;
        return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ||
               (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) && v6->sin6_addr.s6_addr[12] == 127);
    }
    return peer->ss_family == AF_UNIX;
}

static void hand_over(struct trp_acceptor *a, int fd, bool local)
{
    struct lane *lane = emptiest(a);
    if (lane->loop == a->loop) {
        trp_front_take(lane->front, fd, local);
        return;
    }
    struct handover *h = trp_alloc_zeroed(a->alloc, 1, sizeof *h);
    if (!h) {
        trp_metric_add(a->metrics, TRP_METRIC_ACCEPT_MEMORY, 1);
        close(fd);
        return;
    }
    *h = (struct handover){ { .deliver = deliver }, a->alloc, lane, fd, local };
    trp_counter_add(&lane->on_the_way, 1);
    trp_loop_post(lane->loop, &h->mail);
}

/* -- failures -- */

/* Linux also hands over what the network has said about the new connection: accept(2). */
static bool is_of_one_client(int error)
{
    switch (error) {
    case ECONNABORTED:
    case EPERM: /* a firewall's */
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
        return true;
    default:
        return false;
    }
}

static enum trp_metric reason_of(int error)
{
    if (error == EMFILE || error == ENFILE)
        return TRP_METRIC_ACCEPT_DESCRIPTORS;
    if (error == ENOMEM || error == ENOBUFS)
        return TRP_METRIC_ACCEPT_MEMORY;
    return is_of_one_client(error) ? TRP_METRIC_ACCEPT_GONE : TRP_METRIC_ACCEPT_OTHER;
}

static void tell(struct trp_acceptor *a, const char *reason)
{
    const int64_t now_ns = trp_loop_now_ns(a->loop);
    a->untold_n++;
    if (now_ns < a->tell_ns)
        return;
    TRP_WARN(a->log, "front", "cannot accept connections: %s (%llu failures since the last line)",
             reason, (unsigned long long)a->untold_n);
    a->untold_n = 0;
    a->tell_ns = now_ns + TELL_NS;
}

static void rest(struct trp_acceptor *a)
{
    for (uint32_t i = 0; i < a->listeners_n; i++)
        if (a->listeners[i].watch.slot)
            (void)trp_loop_rewatch(a->loop, &a->listeners[i].watch, 0, NULL);
    (void)trp_timer_arm(a->loop, &a->pause, trp_loop_now_ns(a->loop) + PAUSE_NS, NULL);
}

static void pause_is_over(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_acceptor *a = TRP_CONTAINER_OF(timer, struct trp_acceptor, pause);
    int64_t next_ns = NEVER_NS;
    for (uint32_t i = 0; i < a->listeners_n; i++) {
        struct listener *l = &a->listeners[i];
        struct trp_error error;
        const trp_status st = l->watch.slot
                                  ? trp_loop_rewatch(a->loop, &l->watch, EPOLLIN, &error)
                                  : trp_loop_watch(a->loop, &l->watch, l->fd, EPOLLIN, &error);
        if (!trp_failed(st))
            continue;
        trp_metric_add(
            a->metrics,
            st.code == TRP_OUT_OF_MEMORY ? TRP_METRIC_ACCEPT_MEMORY : TRP_METRIC_ACCEPT_OTHER, 1);
        tell(a, error.text);
        next_ns = now_ns + PAUSE_NS;
    }
    (void)trp_timer_arm(a->loop, timer, next_ns, NULL);
}

/* Returns whether it is worth trying the next client. */
static bool outlives(struct trp_acceptor *a, int error)
{
    char words[128];
    trp_metric_add(a->metrics, reason_of(error), 1);
    if (is_of_one_client(error))
        return true;
    tell(a, strerror_r(error, words, sizeof words));
    rest(a);
    return false;
}

/* -- accepting -- */

static void accept_some(struct trp_watch *watch, uint32_t events)
{
    struct trp_acceptor *a = TRP_CONTAINER_OF(watch, struct listener, watch)->acceptor;
    (void)events;
    for (int i = 0; i < ACCEPTS; i++) {
        struct sockaddr_storage peer = { 0 };
        socklen_t len = sizeof peer;
        const int fd = accept4(watch->fd, (struct sockaddr *)(void *)&peer, &len,
                               SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            hand_over(a, fd, len == 0 || is_local(&peer));
        else if (errno == EAGAIN || (errno != EINTR && !outlives(a, errno)))
            return;
    }
}

static trp_status watch_all(struct trp_acceptor *a, const struct trp_acceptor_opts *opts,
                            struct trp_error *err)
{
    TRP_CHECK(trp_timer_arm(a->loop, &a->pause, NEVER_NS, err));
    for (; a->listeners_n < opts->listeners_n; a->listeners_n++) {
        struct listener *l = &a->listeners[a->listeners_n];
        l->acceptor = a;
        l->fd = opts->listeners[a->listeners_n];
        l->watch.ready = accept_some;
        TRP_CHECK(trp_loop_watch(a->loop, &l->watch, l->fd, EPOLLIN, err));
    }
    return trp_ok();
}

trp_status trp_acceptor_create(const struct trp_alloc *alloc, const struct trp_acceptor_opts *opts,
                               struct trp_acceptor **out_acceptor, struct trp_error *err)
{
    *out_acceptor = NULL;
    struct trp_acceptor *a = trp_alloc_zeroed(alloc, 1, sizeof *a);
    if (!a)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "acceptor");
    a->alloc = alloc;
    a->loop = opts->loop;
    a->metrics = opts->metrics;
    a->log = opts->log;
    a->pause.due = pause_is_over;
    a->lanes = trp_alloc_zeroed(alloc, opts->fronts_n, sizeof *a->lanes);
    a->listeners =
        trp_alloc_zeroed(alloc, opts->listeners_n ? opts->listeners_n : 1, sizeof *a->listeners);
    if (!a->lanes || !a->listeners) {
        trp_acceptor_destroy(a);
        return trp_fail(err, TRP_OUT_OF_MEMORY, "acceptor");
    }
    for (; a->lanes_n < opts->fronts_n; a->lanes_n++)
        a->lanes[a->lanes_n] =
            (struct lane){ .front = opts->fronts[a->lanes_n], .loop = opts->loops[a->lanes_n] };
    const trp_status st = watch_all(a, opts, err);
    if (trp_failed(st)) {
        while (a->listeners_n) /* the sockets stay the caller's when we fail */
            trp_loop_unwatch(a->loop, &a->listeners[--a->listeners_n].watch);
        trp_acceptor_destroy(a);
        return st;
    }
    *out_acceptor = a;
    return trp_ok();
}

void trp_acceptor_stop(struct trp_acceptor *a)
{
    trp_timer_disarm(a->loop, &a->pause);
    for (uint32_t i = 0; i < a->listeners_n; i++) {
        trp_loop_unwatch(a->loop, &a->listeners[i].watch);
        close(a->listeners[i].fd);
    }
    a->listeners_n = 0;
}

void trp_acceptor_destroy(struct trp_acceptor *a)
{
    if (!a)
        return;
    trp_acceptor_stop(a);
    trp_alloc_free(a->alloc, a->lanes);
    trp_alloc_free(a->alloc, a->listeners);
    trp_alloc_free(a->alloc, a);
}
