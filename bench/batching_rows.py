"""bench/batching_rows.py - requests that share runs: what a row costs the executor, and that one client alone loses nothing.

The model is an MLP of 2 million weights, asked for one row at a time.  The floor is the same model in a process of its own, a loop of
OrtRun on one thread with the batch size that gives most rows: the best that anybody could do who had all rows at hand."""
import json
import os
import struct
import time

import onnx_maker
from bench_harness import Row, Troupe, binary_infer, median

SIZE, LAYERS, CLIENTS, DELAY_MS = 512, 8, 64, 2
STATIC_SIZES = (8, 16, 32, 64)


def executors_cpu_s(pid):
    """CPU time of the threads that run models: what else the process does is not theirs."""
    spent_ns = 0
    for task in os.scandir(f"/proc/{pid}/task"):
        with open(f"{task.path}/comm", encoding="ascii") as f:
            if not f.read().startswith("exec-"):
                continue
        with open(f"{task.path}/schedstat", encoding="ascii") as f:
            spent_ns += int(f.read().split()[0])
    return spent_ns / 1e9


def mlp(bench, rows):
    """The model with so many rows, or "rows": any number."""
    path = bench.path(f"mlp-{rows}.onnx")
    if not path.exists():
        onnx_maker.chain(path, rows, SIZE, LAYERS)
    return path


def mlp_server(bench, configuration):
    repository = bench.folder("batching")
    (repository / "mlp").mkdir()
    os.link(mlp(bench, "rows"), repository / "mlp/model.onnx")
    (repository / "mlp/model.yaml").write_text(configuration, encoding="utf-8")
    return bench.start(Troupe(repository, settings=("threads.executors=1",), cpus=None, models=["mlp"]))


def one_row(bench):
    return bench.file("mlp.request", binary_infer("mlp", [("x", "FP32", [1, SIZE], struct.pack("<f", 0.25) * SIZE)]))


def costs(bench, server):
    return json.loads(bench.get(server, "/api/models/mlp/cost"))["models"][0]


def crowd_until_known(bench, server, request):
    """Whether rows are independent is found out when requests wait together; then what so many of them cost is learned."""
    for _ in range(30):
        bench.load_http(server, request, CLIENTS, seconds=1, cpu=None)
        known = costs(bench, server)
        if known["batching"] == "on" and known["rows_best"] > 1:
            return
        time.sleep(0.1)
    raise RuntimeError(f"requests are not joined: {known}")


def static_rate(bench, rows, seconds):
    r = bench.run_floor("floor_ort", "--model", mlp(bench, rows), "--threads", 1, "--seconds", seconds)
    return rows * r["runs"] / r["cpu_seconds"]


def best_static(bench):
    """The batch size that gives most rows a CPU second, of those that the server may form."""
    return max(STATIC_SIZES, key=lambda rows: median(static_rate(bench, rows, bench.seconds / 3) for _ in range(3)))


def joined(bench, name, what, configuration, delay_ms):
    server = mlp_server(bench, configuration)
    request = one_row(bench)
    crowd_until_known(bench, server, request)
    rows = best_static(bench)
    p99_ms = []

    def served():
        spent, inline = executors_cpu_s(server.pid), bench.metric(server, 'troupe_runs_total{where="loop"}')
        r = bench.load_http(server, request, CLIENTS, cpu=None, warm=0)
        p99_ms.append(r["p99_us"] / 1e3)
        on_loops = bench.metric(server, 'troupe_runs_total{where="loop"}') - inline  # whose time is not the executor's
        return (r["requests"] - on_loops) / (executors_cpu_s(server.pid) - spent)
    rounds = bench.interleave(served, lambda: static_rate(bench, rows, bench.seconds))
    ratio = median(a / b for a, b in rounds)
    largest = costs(bench, server)["points"][-1]
    limit_ms, p99 = 2 * largest["run_ns"] / 1e6 + delay_ms, median(p99_ms)
    return [Row(name, f"dynamic batching, MLP, closed loop of {CLIENTS} clients{what}, rows per second of executor CPU / best static "
                f"batch ({rows}) in-process", f"{median(a for a, _ in rounds):,.0f} rows/cpu-s",
                f"{median(b for _, b in rounds):,.0f} rows/cpu-s", f"{ratio:.3f}", ">= 0.90", ratio >= 0.90),
            Row(f"{name}_p99", f"the same clients' p99 / 2 batches of {largest['rows']} rows and the delay", f"{p99:.2f} ms",
                f"{limit_ms:.2f} ms", f"{p99 / limit_ms:.2f}", "<= 1.00", p99 <= limit_ms)]


def batching_mlp(bench):
    """As Triton's users write it: a delay, so that runs are whole batches."""
    return joined(bench, "batching_mlp", f", {DELAY_MS} ms delay",
                  f"max_batch_size: {CLIENTS}\ndynamic_batching: {{max_queue_delay_microseconds: {DELAY_MS * 1000}}}\n", DELAY_MS)


def batching_auto(bench):
    """Nothing configured: a batch is what has gathered meanwhile, as many rows as are found to pay."""
    return joined(bench, "batching_auto", ", nothing configured", "batching: auto\n", 0)


def batching_one_client(bench):
    """Batching on and off, one client; first off against itself: a difference below that spread says nothing."""
    together = mlp_server(bench, "batching: auto\n")
    alone, again = (mlp_server(bench, "batching: off\n") for _ in range(2))
    request = one_row(bench)
    crowd_until_known(bench, together, request)

    def p50(server):
        return bench.load_http(server, request, 1, cpu=None)["p50_us"]
    same = [a / b for a, b in bench.interleave(lambda: p50(alone), lambda: p50(again))]
    rounds = bench.interleave(lambda: p50(together), lambda: p50(alone))
    ratio, spread = median(a / b for a, b in rounds), median(abs(r - 1) for r in same)
    return Row("batching_one_client", "one client, batching on / off", f"{median(a for a, _ in rounds):.0f} us p50",
               f"{median(b for _, b in rounds):.0f} us p50", f"{ratio:.3f} (A/A {spread:.3f})", "<= 1 + A/A, or 1.02",
               ratio <= 1 + max(spread, 0.02))


BATCHING_ROWS = {"batching_mlp": batching_mlp, "batching_auto": batching_auto, "batching_one_client": batching_one_client}
