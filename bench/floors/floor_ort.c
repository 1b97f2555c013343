/* bench/floors/floor_ort.c - a loop of OrtRun on some threads: what the machine and ONNX Runtime
 * allow.
 *
 *   floor_ort --model FILE.onnx --threads N --seconds S [--free-size 1] [--rows 1] [--gpu 0]
 *   [--then FILE.onnx] [--last FILE.onnx]
 *
 * With models behind the first one (`then`, `last`) a run is one of all of them, each with what the
 * one before has given.  Prints {"runs":N,"seconds":S,"cpu_seconds":C}. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench_common.h"
#include "floor_session.h"

#define THREADS_MAX 256

struct loop {
    struct floor_session *session;
    int64_t until_ns;
    _Atomic uint64_t runs;
};

static void *run_on(void *user)
{
    struct loop *l = user;
    uint64_t runs = 0;
    for (; bench_now_ns() < l->until_ns; runs++)
        floor_session_run(l->session);
    atomic_fetch_add(&l->runs, runs);
    return NULL;
}

int main(int argc, char **argv)
{
    const uint64_t threads = bench_number(argc, argv, "threads", "1");
    const double seconds = strtod(bench_text(argc, argv, "seconds", "1"), NULL);
    pthread_t ids[THREADS_MAX];
    if (threads < 1 || threads > THREADS_MAX)
        bench_die("--threads: 1 to %d", THREADS_MAX);
    const struct floor_session_opts opts = { .rows = (int64_t)bench_number(argc, argv, "rows", "1"),
                                             .free_size = (int64_t)bench_number(argc, argv,
                                                                                "free-size", "1"),
                                             .gpu = bench_text(argc, argv, "gpu", "") };
    struct loop l = { .session =
                          floor_session_open_as(bench_text(argc, argv, "model", NULL), &opts) };
    const char *const behind[] = { bench_text(argc, argv, "then", ""),
                                   bench_text(argc, argv, "last", "") };
    for (size_t i = 0; i < sizeof behind / sizeof *behind; i++)
        if (behind[i][0])
            floor_session_append(l.session, behind[i]);
    for (int i = 0; i < 5; i++)
        floor_session_run(l.session); /* warm */
    const int64_t begun_ns = bench_now_ns(), cpu_ns = bench_own_cpu_ns();
    l.until_ns = begun_ns + (int64_t)(seconds * 1e9);
    for (uint64_t i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, run_on, &l) != 0)
            bench_die("thread %llu", (unsigned long long)i);
    for (uint64_t i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    printf("{\"runs\":%llu,\"seconds\":%.6f,\"cpu_seconds\":%.6f}\n",
           (unsigned long long)atomic_load(&l.runs), (double)(bench_now_ns() - begun_ns) / 1e9,
           (double)(bench_own_cpu_ns() - cpu_ns) / 1e9);
    return 0;
}
