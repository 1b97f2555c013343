/* cli/port_owner.c - see port_owner.h.
 *
 * /proc/net/tcp knows the number of the socket that listens, /proc/PID/fd who holds a socket of
 * that number. */
#include "cli/port_owner.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"

#define PROCESSES_MAX 100000
#define DESCRIPTORS_MAX 1000000
#define TABLE_BYTES_MAX (64u << 20)
#define LISTENS 0x0a /* TCP_LISTEN, in the kernel's table */

struct search {
    char socket[40]; /* "socket:[4711]" */
    const char *process;
    char *out;
    bool found;
};

/* The socket of a table's line; 0: it is another port's, or no listener. */
static unsigned long long socket_in(const char *line, uint64_t port)
{
    unsigned int local = 0, state = 0;
    unsigned long long number = 0;
    const int n =
        sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*s %*s %llu", &local,
               &state, &number);
    return n == 3 && local == port && state == LISTENS ? number : 0;
}

static unsigned long long socket_of(const char *table, uint64_t port)
{
    char *text;
    size_t len;
    unsigned long long number = 0;
    if (trp_failed(trp_file_read(trp_heap(), table, TABLE_BYTES_MAX, &text, &len, NULL)))
        return 0;
    for (const char *line = text; line && number == 0;) {
        number = socket_in(line, port);
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    trp_alloc_free(trp_heap(), text);
    return number;
}

/* The program's file, which may have been replaced since ("/usr/bin/troupe (deleted)"): its name
 * is enough. */
static void tell(const struct search *s)
{
    char path[64], program[256];
    snprintf(path, sizeof path, "/proc/%s/exe", s->process);
    const ssize_t n = readlink(path, program, sizeof program - 1);
    program[n > 0 ? n : 0] = '\0';
    const char *slash = strrchr(program, '/');
    const char *name = slash ? slash + 1 : "a program";
    snprintf(s->out, CLI_OWNER_MAX, "%.40s (process %s)", name, s->process);
}

static trp_status look_at_descriptor(void *user, const char *name, struct trp_error *err)
{
    struct search *s = user;
    char path[128], target[64];
    (void)err;
    snprintf(path, sizeof path, "/proc/%s/fd/%s", s->process, name);
    const ssize_t n = readlink(path, target, sizeof target - 1);
    s->found |= n > 0 && trp_str_is(trp_str_make(target, (size_t)n), s->socket);
    return trp_ok();
}

static trp_status look_at_process(void *user, const char *name, struct trp_error *err)
{
    struct search *s = user;
    char path[64];
    uint64_t process;
    (void)err;
    if (s->found || !trp_str_parse_u64(trp_str_of(name), &process))
        return trp_ok();
    s->process = name;
    snprintf(path, sizeof path, "/proc/%s/fd", name);
    (void)trp_dir_each(path, DESCRIPTORS_MAX, look_at_descriptor, s,
                       NULL); /* may be gone, or not ours */
    if (s->found)
        tell(s);
    return trp_ok();
}

bool cli_port_owner(uint64_t port, char out[CLI_OWNER_MAX])
{
    struct search s = { .out = out };
    unsigned long long number = socket_of("/proc/net/tcp", port);
    if (number == 0)
        number = socket_of("/proc/net/tcp6", port);
    if (number == 0)
        return false;
    out[0] = '\0';
    snprintf(s.socket, sizeof s.socket, "socket:[%llu]", number);
    (void)trp_dir_each("/proc", PROCESSES_MAX, look_at_process, &s, NULL);
    return out[0] != '\0';
}
