/* base/map_guard.c - see map_guard.h.
 *
 * Reading a large file whole before looking into it would be safe too, and cost its size in memory
 * and time for a few kilobytes that matter.  So the signal is answered: it comes to the very thread
 * that touched the page, whose guard says whether the page is one of ours; if so, a page of zeros
 * takes its place, and the instruction is tried again.  Any other SIGBUS ends the process as it
 * always did.
 *
 *  1. What the handler does is allowed in a signal handler: it looks at thread-local memory and
 *     calls the kernel.
 *  2. The handler is put in place anew by each guard, which is the same handler every time, so
 *     threads need not agree on it. */
#include "base/map_guard.h"

#include "base/map_loss.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

static _Thread_local struct trp_map_guard *guarding;

static bool is_guarded(const struct trp_map_guard *g, const char *at)
{
    return g && at >= g->start && at < g->start + g->len;
}

static bool put_zeros(struct trp_map_guard *g, const char *at)
{
    char *page = (char *)((uintptr_t)at & ~(uintptr_t)(g->page_bytes - 1));
    if (mmap(page, g->page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
        MAP_FAILED)
        return false;
    g->was_cut = 1;
    return true;
}

static void handle(int signal, siginfo_t *info, void *context)
{
    struct trp_map_guard *g = guarding;
    const int before = errno;
    (void)context;
    /* BUS_ADRERR: behind the end of a file.  Broken memory, say, is another matter. */
    const bool is_mended = info->si_code == BUS_ADRERR &&
                           (is_guarded(g, info->si_addr) ? put_zeros(g, info->si_addr)
                                                         : trp_map_loss_mend(info->si_addr));
    errno = before;
    if (!is_mended)
        (void)sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL); /* once more */
}

void trp_map_guard_arm(void)
{
    struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO };
    sigset_t bus;
    sigemptyset(&action.sa_mask);
    (void)sigaction(SIGBUS, &action, NULL); /* cannot fail: the signal exists and may be caught */
    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS);
    (void)pthread_sigmask(SIG_UNBLOCK, &bus, NULL);
}

void trp_map_guard_enter(struct trp_map_guard *g, const struct trp_map *map)
{
    *g = (struct trp_map_guard){ .start = map->ptr,
                                 .len = map->len,
                                 .page_bytes = (size_t)sysconf(_SC_PAGESIZE) };
    guarding = g;
    trp_map_guard_arm();
}

bool trp_map_guard_leave(struct trp_map_guard *g)
{
    guarding = NULL;
    return g->was_cut != 0;
}
