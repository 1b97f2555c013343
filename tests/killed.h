/* tests/killed.h - a child that is killed at the moment of one's choice.
 * Answers "what if the power had gone just there?", for every system call: what a disk holds
 * changes in them and nowhere else. */
#ifndef TRP_TEST_KILLED_H
#define TRP_TEST_KILLED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct killed {
    bool is_killed; /* else it ended by itself */
    int exit_code;
    uint32_t calls_n; /* that counted */
};

/* What may change a file or a name, on this architecture's table. */
static inline bool killed_changes_files(const struct __ptrace_syscall_info *info)
{
    switch (info->entry.nr) {
    case SYS_openat:
        return (info->entry.args[2] & (O_CREAT | O_TRUNC)) != 0;
    case SYS_write:
    case SYS_pwrite64:
    case SYS_ftruncate:
    case SYS_fsync:
    case SYS_flock:
    case SYS_mkdirat:
    case SYS_unlinkat:
    case SYS_renameat2:
    case SYS_utimensat:
#ifdef SYS_open
    case SYS_open:
    case SYS_mkdir:
    case SYS_unlink:
    case SYS_rmdir:
    case SYS_rename:
#endif
#ifdef SYS_renameat
    case SYS_renameat:
#endif
        return true;
    default:
        return false;
    }
}

static inline bool killed_counts_all(const struct __ptrace_syscall_info *info)
{
    (void)info;
    return true;
}

/* Runs the child on to the next stop; false when it is gone.  One that was killed where it
 * stands cannot be told to go on. */
static inline bool killed_go_on(pid_t child, int signal_number, struct killed *out)
{
    int status = 0;
    (void)ptrace(PTRACE_SYSCALL, child, NULL, (void *)(intptr_t)signal_number);
    assert_int_equal(waitpid(child, &status, __WALL), child);
    out->exit_code = WIFSTOPPED(status) ? WSTOPSIG(status) : WEXITSTATUS(status);
    out->is_killed = WIFSIGNALED(status);
    return WIFSTOPPED(status);
}

/* Runs `body` in a child, whose exit code is what it returns, and kills it when it is about to make
 * its n-th call that counts, which it does not make then; 0: never.  Only the thread that runs
 * `body` is watched; all are killed. */
static inline struct killed killed_at(uint32_t n,
                                      bool (*counts)(const struct __ptrace_syscall_info *info),
                                      int (*body)(void *user), void *user)
{
    struct __ptrace_syscall_info info;
    struct killed out = { 0 };
    int status = 0, deliver = 0;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(99);
        (void)raise(SIGSTOP);
        _exit(body(user));
    }
    assert_int_equal(waitpid(child, &status, __WALL), child);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, child, NULL,
                            (void *)(intptr_t)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)),
                     0);
    while (killed_go_on(child, deliver, &out)) {
        const int stop = out.exit_code;
        deliver = stop == (SIGTRAP | 0x80) ? 0 : stop;
        if (deliver || ptrace(PTRACE_GET_SYSCALL_INFO, child, (void *)sizeof info, &info) <= 0 ||
            info.op != PTRACE_SYSCALL_INFO_ENTRY || !counts(&info))
            continue;
        if (++out.calls_n == n)
            assert_int_equal(kill(child, SIGKILL), 0);
    }
    return out;
}

#endif
