/* bench/bench_common.c - see bench_common.h. */
#include "bench_common.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void bench_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "bench: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(1);
}

void *bench_alloc(size_t bytes)
{
    void *ptr = calloc(1, bytes ? bytes : 1);
    if (!ptr)
        bench_die("%zu bytes: out of memory", bytes);
    return ptr;
}

const char *bench_text(int argc, char **argv, const char *name, const char *otherwise)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, name) == 0)
            return argv[i + 1];
    if (!otherwise)
        bench_die("--%s is missing", name);
    return otherwise;
}

uint64_t bench_number(int argc, char **argv, const char *name, const char *otherwise)
{
    return strtoull(bench_text(argc, argv, name, otherwise), NULL, 10);
}

struct bench_bytes bench_read_file(const char *path)
{
    struct bench_bytes bytes = { 0 };
    struct stat st;
    FILE *f = fopen(path, "rb");
    if (!f || fstat(fileno(f), &st) != 0)
        bench_die("%s: %s", path, strerror(errno));
    bytes.len = (size_t)st.st_size;
    bytes.ptr = bench_alloc(bytes.len);
    if (fread(bytes.ptr, 1, bytes.len, f) != bytes.len)
        bench_die("%s: cut short", path);
    fclose(f);
    return bytes;
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t bench_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t bench_own_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* The first number of schedstat is the time on a CPU in ns: exact, where /proc/<pid>/stat counts
 * ticks of 10 ms. */
static int64_t thread_cpu_ns(const char *path)
{
    long long ns = 0;
    FILE *f = fopen(path, "r");
    if (!f)
        return 0; /* the thread has ended */
    if (fscanf(f, "%lld", &ns) != 1)
        ns = 0;
    fclose(f);
    return ns;
}

int64_t bench_process_cpu_ns(uint64_t pid)
{
    char path[320];
    int64_t sum_ns = 0;
    if (pid == 0)
        return 0;
    snprintf(path, sizeof path, "/proc/%llu/task", (unsigned long long)pid);
    DIR *tasks = opendir(path);
    if (!tasks)
        bench_die("%s: %s", path, strerror(errno));
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        if (task->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%llu/task/%s/schedstat", (unsigned long long)pid,
                 task->d_name);
        sum_ns += thread_cpu_ns(path);
    }
    closedir(tasks);
    return sum_ns;
}

uint64_t bench_own_private_bytes(void)
{
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    unsigned long long kib = 0;
    char line[256];
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f))
        found = sscanf(line, "Anonymous: %llu kB", &kib) == 1;
    if (!found)
        bench_die("/proc/self/smaps_rollup: no line about anonymous memory");
    fclose(f);
    return kib << 10;
}

static struct sockaddr_in loopback(uint64_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void no_delay(int fd)
{
    const int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        bench_die("TCP_NODELAY: %s", strerror(errno));
}

int bench_listen(uint64_t port)
{
    const int on = 1;
    const struct sockaddr_in address = loopback(port);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1024) != 0)
        bench_die("port %llu: %s", (unsigned long long)port, strerror(errno));
    printf("ready\n");
    fflush(stdout);
    return fd;
}

int bench_accept(int listener)
{
    const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        no_delay(fd);
    return fd;
}

int bench_connect(uint64_t port)
{
    const struct sockaddr_in address = loopback(port);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        bench_die("connect to port %llu: %s", (unsigned long long)port, strerror(errno));
    no_delay(fd);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        bench_die("O_NONBLOCK: %s", strerror(errno));
    return fd;
}

void bench_window_init(struct bench_window *w, uint64_t server_pid, double warm_s,
                       double measured_s)
{
    const int64_t now_ns = bench_now_ns();
    *w = (struct bench_window){ .server_pid = server_pid };
    w->opens_ns = now_ns + (int64_t)(warm_s * 1e9);
    w->closes_ns = w->opens_ns + (int64_t)(measured_s * 1e9);
    w->samples_capacity = 1u << 20;
    w->samples_ns = bench_alloc(w->samples_capacity * sizeof *w->samples_ns);
}

bool bench_window_turn(struct bench_window *w, int64_t now_ns)
{
    if (!w->is_open && now_ns >= w->opens_ns) {
        w->is_open = true;
        w->server_cpu_ns = bench_process_cpu_ns(w->server_pid);
        w->own_cpu_ns = bench_own_cpu_ns();
        w->opened_ns = bench_now_ns();
    }
    return now_ns < w->closes_ns;
}

void bench_window_add(struct bench_window *w, int64_t begun_ns, int64_t now_ns, bool ok)
{
    if (!w->is_open)
        return;
    w->errors += !ok;
    if (w->samples_n == w->samples_capacity) {
        w->samples_capacity *= 2;
        w->samples_ns = realloc(w->samples_ns, w->samples_capacity * sizeof *w->samples_ns);
        if (!w->samples_ns)
            bench_die("samples: out of memory");
    }
    const int64_t ns = now_ns - begun_ns;
    w->samples_ns[w->samples_n++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_size);
    return values[n / 2];
}

static int by_value(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double percentile_us(const struct bench_window *w, double share)
{
    if (w->samples_n == 0)
        return 0;
    const size_t at = (size_t)(share * (double)(w->samples_n - 1) + 0.5);
    return w->samples_ns[at] / 1e3;
}

static size_t in_time(const struct bench_window *w)
{
    size_t n = 0;
    while (n < w->samples_n && w->samples_ns[n] <= w->in_time_ns)
        n++;
    return n;
}

static void print_refused(const struct bench_window *w)
{
    struct bench_window *const r = w->refused;
    qsort(r->samples_ns, r->samples_n, sizeof *r->samples_ns, by_value);
    printf(",\"refused\":%zu,\"refused_p50_us\":%.2f,\"refused_p99_us\":%.2f,\"in_time\":%zu",
           r->samples_n, percentile_us(r, 0.5), percentile_us(r, 0.99), in_time(w));
}

void bench_window_print(struct bench_window *w, int64_t now_ns)
{
    const double server_cpu_s =
        (double)(bench_process_cpu_ns(w->server_pid) - w->server_cpu_ns) / 1e9;
    const double own_cpu_s = (double)(bench_own_cpu_ns() - w->own_cpu_ns) / 1e9;
    qsort(w->samples_ns, w->samples_n, sizeof *w->samples_ns, by_value);
    printf("{\"requests\":%zu,\"errors\":%llu,\"seconds\":%.6f,\"cpu_seconds\":%.6f,"
           "\"server_cpu_seconds\":%.6f,\"p50_us\":%.2f,\"p90_us\":%.2f,\"p99_us\":%.2f,"
           "\"p999_us\":%.2f,\"max_us\":%.2f",
           w->samples_n, (unsigned long long)w->errors, (double)(now_ns - w->opened_ns) / 1e9,
           own_cpu_s, server_cpu_s, percentile_us(w, 0.5), percentile_us(w, 0.9),
           percentile_us(w, 0.99), percentile_us(w, 0.999), percentile_us(w, 1.0));
    if (w->refused)
        print_refused(w);
    printf("}\n");
}
