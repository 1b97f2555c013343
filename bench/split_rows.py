"""bench/split_rows.py - one large request shared by both cores."""
import struct

import onnx_maker
from bench_harness import Row, Troupe, binary_infer, median

ROWS, SIZE, LAYERS = 256, 256, 128  # a few tens of ms, whose weights fit into the caches


def split(bench):
    """The time of one request of many rows, one after the other from one client, with sharing forbidden and allowed: a model that only
    computes, each run on one thread.  Both servers have both cores, and only one of them is asked at a time."""
    folder = bench.folder("split")
    (folder / "m").mkdir()
    onnx_maker.chain(folder / "m" / "model.onnx", "rows", SIZE, LAYERS)
    (folder / "m" / "model.yaml").write_text("batching: on\n", encoding="utf-8")
    values = struct.pack("<f", 0.25) * (ROWS * SIZE)
    request = bench.file("split.request", binary_infer("m", [("x", "FP32", [ROWS, SIZE], values)]))
    whole, shared = (bench.start(Troupe(folder, settings=("threads.executors=2", f"sched.split={on}"), cpus=None, models=["m"]))
                     for on in ("false", "true"))
    for server in (whole, shared):
        bench.load_http(server, request, 1, cpu=None)  # what a run costs is learned
    rounds = bench.interleave(lambda: bench.load_http(shared, request, 1, cpu=None)["p50_us"],
                              lambda: bench.load_http(whole, request, 1, cpu=None)["p50_us"])
    runs = bench.metric(shared, "troupe_runs_shared_total")
    if runs == 0 or bench.metric(whole, "troupe_runs_shared_total") != 0:
        raise RuntimeError(f"{runs:.0f} runs were shared")
    ratio = median(b / a for a, b in rounds)
    return Row("split", f"one large batch split over 2 cores (server has both): {ROWS} rows, time whole / time shared",
               f"{median(a for a, _ in rounds) / 1e3:.2f} ms", f"{median(b for _, b in rounds) / 1e3:.2f} ms", f"{ratio:.2f}",
               ">= 1.8", ratio >= 1.8)


SPLIT_ROWS = {"split": split}
