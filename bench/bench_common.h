/* bench/bench_common.h - what floors and load generators share.
 * Answers "how is a benchmark's number made?".  Small on purpose: these programs are the reference,
 * so nothing in them may be clever.  They stop at the first thing that goes wrong: a number that
 * was measured around an error is no number. */
#ifndef TRP_BENCH_COMMON_H
#define TRP_BENCH_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

__attribute__((noreturn, format(printf, 1, 2))) void bench_die(const char *format, ...);
void *bench_alloc(size_t bytes); /* zeroed; never NULL */

/* The value behind `--name` among the arguments, or `otherwise`; NULL as otherwise: it must be
 * there. */
const char *bench_text(int argc, char **argv, const char *name, const char *otherwise);
uint64_t bench_number(int argc, char **argv, const char *name, const char *otherwise);

struct bench_bytes {
    char *ptr;
    size_t len;
};
struct bench_bytes bench_read_file(const char *path);

int64_t bench_now_ns(void);                    /* monotonic */
int64_t bench_own_cpu_ns(void);                /* CPU time of this process */
int64_t bench_process_cpu_ns(uint64_t pid);    /* of all threads of another one; 0 for pid 0 */
uint64_t bench_own_private_bytes(void);        /* anonymous memory of this process */
double bench_median(double *values, size_t n); /* puts them in order; the upper one of two */

int bench_listen(uint64_t port);  /* loopback, not blocking */
int bench_accept(int listener);   /* not blocking, no delay; -1: nobody there */
int bench_connect(uint64_t port); /* loopback, not blocking, no delay */

/* Latencies of one window, printed as one JSON object: requests, errors, seconds, cpu_seconds
 * (ours), server_cpu_seconds, p50_us, p90_us, p99_us, p999_us, max_us; with `refused` also how many
 * were refused (they are not among the requests), how soon (refused_p50_us, refused_p99_us), and
 * how many of the others were answered in time. */
struct bench_window {
    uint64_t server_pid;
    int64_t opens_ns, closes_ns; /* requests that finish in between are counted */
    int64_t opened_ns, own_cpu_ns, server_cpu_ns;
    bool is_open;
    uint32_t *samples_ns;
    size_t samples_n, samples_capacity;
    uint64_t errors;
    struct bench_window *refused; /* NULL: whatever is not answered well is an error */
    int64_t in_time_ns;
};
void bench_window_init(struct bench_window *w, uint64_t server_pid, double warm_s,
                       double measured_s);
/* Opens the window when its time has come; false when it is over. */
bool bench_window_turn(struct bench_window *w, int64_t now_ns);
void bench_window_add(struct bench_window *w, int64_t begun_ns, int64_t now_ns, bool ok);
void bench_window_print(struct bench_window *w, int64_t now_ns);

#endif
