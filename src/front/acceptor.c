/* front/acceptor.c - new connections, handed to whichever front has the fewest.
 *
 * One thread accepts for all: a hand-over costs once per connection, while sockets shared by SO_REUSEPORT leave loops idle
 * when clients are few and long-lived.  A connection on its way is counted, or a burst would all go to one front.  When
 * descriptors run out, accepting pauses instead of spinning. */
#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "front/front.h"

#define ACCEPTS 64           /* of one listener in one turn */
#define PAUSE_NS TRP_MS(100) /* after running out of descriptors */

struct listener {
    struct trp_watch watch;
    struct trp_acceptor *acceptor;
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
    struct trp_timer pause;
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
        close(fd);
        return;
    }
    *h = (struct handover){ { .deliver = deliver }, a->alloc, lane, fd, local };
    trp_counter_add(&lane->on_the_way, 1);
    trp_loop_post(lane->loop, &h->mail);
}

static void watch_all(struct trp_acceptor *a, uint32_t events)
{
    for (uint32_t i = 0; i < a->listeners_n; i++)
        if (a->listeners[i].watch.slot)
            (void)trp_loop_rewatch(a->loop, &a->listeners[i].watch, events, NULL);
}

static void pause_is_over(struct trp_timer *timer, int64_t now_ns)
{
    (void)now_ns;
    watch_all(TRP_CONTAINER_OF(timer, struct trp_acceptor, pause), EPOLLIN);
}

static void accept_some(struct trp_watch *watch, uint32_t events)
{
    struct trp_acceptor *a = TRP_CONTAINER_OF(watch, struct listener, watch)->acceptor;
    (void)events;
    for (int i = 0; i < ACCEPTS; i++) {
        struct sockaddr_storage peer = { 0 };
        socklen_t len = sizeof peer;
        const int fd = accept4(watch->fd, (struct sockaddr *)(void *)&peer, &len,
                               SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            hand_over(a, fd, len == 0 || is_local(&peer));
            continue;
        }
        if (errno == EAGAIN)
            return;
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            watch_all(a, 0);
            a->pause.due = pause_is_over;
            if (trp_failed(
                    trp_timer_arm(a->loop, &a->pause, trp_loop_now_ns(a->loop) + PAUSE_NS, NULL)))
                watch_all(a, EPOLLIN);
            return;
        }
        /* the client gave up while it waited: the next one */
    }
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
    for (uint32_t i = 0; i < opts->listeners_n; i++) {
        struct listener *l = &a->listeners[i];
        l->acceptor = a;
        l->watch.ready = accept_some;
        const trp_status st = trp_loop_watch(a->loop, &l->watch, opts->listeners[i], EPOLLIN, err);
        if (trp_failed(st)) {
            while (a->listeners_n) /* the sockets stay the caller's when we fail */
                trp_loop_unwatch(a->loop, &a->listeners[--a->listeners_n].watch);
            trp_acceptor_destroy(a);
            return st;
        }
        a->listeners_n++;
    }
    *out_acceptor = a;
    return trp_ok();
}

void trp_acceptor_stop(struct trp_acceptor *a)
{
    trp_timer_disarm(a->loop, &a->pause);
    for (uint32_t i = 0; i < a->listeners_n; i++) {
        trp_loop_unwatch(a->loop, &a->listeners[i].watch);
        close(a->listeners[i].watch.fd);
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
