/* base/child.c - see child.h.
 *
 * A process of many threads may do nothing between fork and exec, so posix_spawn() does all. */
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/torture.h"

#define CHILD_FD 3
#define SHORT_NS TRP_US(200)
#define LONG_NS TRP_MS(10)

extern char **environ;

/* Which of our calls are to fail is the parent's matter. */
static bool is_for_parent(const char *variable)
{
    return strncmp(variable, "TRP_TORTURE", 11) == 0;
}

static char **environment_of_child(void)
{
    size_t n = 0, kept = 0;
    while (environ[n])
        n++;
    char **all = trp_alloc_zeroed(trp_heap(), n + 1, sizeof *all);
    for (size_t i = 0; all && i < n; i++)
        if (!is_for_parent(environ[i]))
            all[kept++] = environ[i];
    return all;
}

static int spawn(const char *program, const char *const *argv, int fd, char **environment,
                 pid_t *out_pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    if (posix_spawn_file_actions_init(&files) != 0)
        return ENOMEM;
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&files);
        return ENOMEM;
    }
    int failed = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!failed)
        failed = posix_spawn_file_actions_adddup2(&files, fd, CHILD_FD);
    if (!failed)
        failed = posix_spawnattr_setsigmask(&attributes, &none);
    if (!failed)
        failed = posix_spawnattr_setsigdefault(&attributes, &all);
    if (!failed)
        failed =
            posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (!failed)
        failed = posix_spawn(out_pid, program, &files, &attributes, (char *const *)(uintptr_t)argv,
                             environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return failed;
}

trp_status trp_child_start(const char *program, const char *const *argv, int fd,
                           struct trp_child *out, struct trp_error *err)
{
    pid_t pid = 0;
    *out = (struct trp_child){ 0 };
    char **environment = environment_of_child();
    if (!environment)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "the environment of %s", program);
    const int failed =
        TRP_TORTURE_FAILS("spawn") ? EAGAIN : spawn(program, argv, fd, environment, &pid);
    trp_alloc_free(trp_heap(), environment);
    if (failed)
        return trp_fail_errno(err, failed, "start %s", program);
    out->pid = pid;
    return trp_ok();
}

static void describe(int status, char out[TRP_CHILD_WORDS_MAX])
{
    const char *name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;
    if (name)
        (void)snprintf(out, TRP_CHILD_WORDS_MAX, "ended by SIG%s (%s)", name,
                       sigdescr_np(WTERMSIG(status)));
    else if (WIFSIGNALED(status))
        (void)snprintf(out, TRP_CHILD_WORDS_MAX, "ended by signal %d", WTERMSIG(status));
    else
        (void)snprintf(out, TRP_CHILD_WORDS_MAX, "ended with %d", WEXITSTATUS(status));
}

bool trp_child_wait(struct trp_child *c, int64_t wait_ns, char out_words[TRP_CHILD_WORDS_MAX])
{
    const int64_t until_ns = trp_clock_now_ns(trp_clock_system()) + wait_ns;
    int64_t pause_ns = SHORT_NS;
    for (;;) {
        int status = 0;
        const pid_t got = waitpid(c->pid, &status, WNOHANG);
        if (got == c->pid || (got < 0 && errno != EINTR)) {
            if (got == c->pid)
                describe(status, out_words);
            else
                (void)snprintf(out_words, TRP_CHILD_WORDS_MAX, "ended");
            c->pid = 0;
            return true;
        }
        if (trp_clock_now_ns(trp_clock_system()) >= until_ns)
            return false;
        const struct timespec pause = { .tv_nsec = pause_ns };
        (void)nanosleep(&pause, NULL);
        pause_ns = pause_ns * 2 < LONG_NS ? pause_ns * 2 : LONG_NS;
    }
}

void trp_child_kill(const struct trp_child *c)
{
    if (c->pid > 0)
        (void)kill(c->pid, SIGKILL); /* not reaped yet, so nobody else has that number */
}

void trp_child_follow_parent(void)
{
    static const int deaf_to[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };
    const struct rlimit none = { 0, 0 };
    for (size_t i = 0; i < ARRAY_LEN(deaf_to); i++)
        (void)signal(deaf_to[i], SIG_IGN);
    (void)signal(SIGFPE, SIG_DFL); /* nobody else's handler either */
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* besides, the talk with it is over then */
}
