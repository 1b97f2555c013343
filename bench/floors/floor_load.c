/* bench/floors/floor_load.c - one plain CreateSession with ONNX Runtime's own options, and the
 * first runs of the session.
 *
 *   floor_load --model FILE.onnx --warm TINY.onnx [--free-size 1] [--runs 5]
 *
 * The tiny model is opened first: what a process pays once (the library, its environment) is not
 * the model's.  Prints {"load_ms":..,"first_ms":..,"run_ms":..,"private_bytes":..}; what the load
 * took and does not keep is given back to the system before the bytes are counted. */
#include <malloc.h>
#include <stdio.h>

#include "bench_common.h"
#include "floor_session.h"

int main(int argc, char **argv)
{
    const char *model = bench_text(argc, argv, "model", NULL);
    const int64_t free_size = (int64_t)bench_number(argc, argv, "free-size", "1");
    const uint64_t runs = bench_number(argc, argv, "runs", "5");
    floor_session_run(floor_session_open(bench_text(argc, argv, "warm", NULL), 1));
    malloc_trim(0);
    const uint64_t before = bench_own_private_bytes();
    const int64_t begun_ns = bench_now_ns();
    struct floor_session *session = floor_session_open(model, free_size);
    const int64_t loaded_ns = bench_now_ns();
    malloc_trim(0);
    const uint64_t private_bytes = bench_own_private_bytes() - before;
    const int64_t first_ns = bench_now_ns();
    floor_session_run(session);
    const int64_t warm_ns = bench_now_ns();
    for (uint64_t i = 0; i < runs; i++)
        floor_session_run(session);
    printf("{\"load_ms\":%.3f,\"first_ms\":%.3f,\"run_ms\":%.3f,\"private_bytes\":%llu}\n",
           (double)(loaded_ns - begun_ns) / 1e6, (double)(warm_ns - first_ns) / 1e6,
           runs ? (double)(bench_now_ns() - warm_ns) / 1e6 / (double)runs : 0,
           (unsigned long long)private_bytes);
    return 0;
}
