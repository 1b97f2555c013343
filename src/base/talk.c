/* base/talk.c - see talk.h. */
#include "base/talk.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/torture.h"

union control { /* aligned as the kernel wants it */
    struct cmsghdr head;
    char bytes[CMSG_SPACE(TRP_TALK_FDS_MAX * sizeof(int))];
};

trp_status trp_talk_pair(int out_ends[2], struct trp_error *err)
{
    const int failed = TRP_TORTURE_FAILS("open")
                           ? (errno = EMFILE, -1)
                           : socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, out_ends);
    return failed ? trp_fail_errno(err, errno, "a pair of sockets") : trp_ok();
}

bool trp_talk_send(int end, const void *bytes, size_t len, const int *fds, uint32_t fds_n)
{
    union control control = { .bytes = { 0 } };
    struct iovec part = { (void *)(uintptr_t)bytes, len };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    ssize_t n;
    if (fds_n > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(fds_n * sizeof(int));
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(fds_n * sizeof(int));
        memcpy(CMSG_DATA(head), fds, fds_n * sizeof(int));
    }
    do {
        n = sendmsg(end, &message, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)len;
}

static void take_descriptors(struct msghdr *message, int fds[TRP_TALK_FDS_MAX])
{
    for (uint32_t i = 0; i < TRP_TALK_FDS_MAX; i++)
        fds[i] = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(fds, CMSG_DATA(c),
                   c->cmsg_len - CMSG_LEN(0)); /* `control` has room for no more */
}

enum trp_talk trp_talk_receive(int end, void *bytes, size_t len, int fds[TRP_TALK_FDS_MAX])
{
    union control control = { .bytes = { 0 } };
    struct iovec part = { bytes, len };
    struct msghdr message = { .msg_iov = &part,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof control.bytes };
    ssize_t n;
    do {
        n = recvmsg(end, &message, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    const bool is_late = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    if (n < 0)
        message.msg_controllen = 0;
    take_descriptors(&message, fds);
    if (is_late)
        return TRP_TALK_NOT_YET;
    if (n == (ssize_t)len && !(message.msg_flags & MSG_TRUNC))
        return TRP_TALK_MESSAGE;
    for (uint32_t i = 0; i < TRP_TALK_FDS_MAX; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return TRP_TALK_OVER;
}

void trp_talk_set_patience(int end, int64_t wait_ns)
{
    const struct timeval wait = { .tv_sec = wait_ns / 1000000000,
                                  .tv_usec = wait_ns % 1000000000 / 1000 };
    (void)setsockopt(end, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait); /* else it waits for ever */
}

void trp_talk_hang_up(int end)
{
    (void)shutdown(end, SHUT_RDWR); /* it fails when the other one has gone already */
}
