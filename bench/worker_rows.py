"""bench/worker_rows.py - what it costs that a model runs in a process of its own."""
import json
import os
import struct

import onnx_maker
from bench_harness import Row, Troupe, binary_infer, median

ROWS, SIZE, LAYERS = 600, 256, 1  # 614,400 bytes in, as many out; a millisecond or two of computing between them


def worker(bench):
    """Answers per second of a model whose tensors are large for what it computes: in a worker process, and in the server.  Both servers
    have both cores, and only one of them is asked at a time."""
    def repository(isolation):
        folder = bench.folder(f"worker_{isolation}")
        (folder / "m").mkdir()
        onnx_maker.chain(folder / "m" / "model.onnx", ROWS, SIZE, LAYERS)
        (folder / "m" / "model.yaml").write_text(f"isolation: {isolation}\n", encoding="utf-8")
        return folder
    inside, outside = (bench.start(Troupe(repository(i), cpus=None, models=["m"])) for i in ("none", "process"))
    values = struct.pack("<f", 0.25) * (ROWS * SIZE)
    request = bench.file("worker.request", binary_infer("m", [("x", "FP32", [ROWS, SIZE], values)]))
    if bench.metric(outside, "troupe_worker_processes") != 1 or bench.metric(inside, "troupe_worker_processes") != 0:
        raise RuntimeError("the models do not run where they should")

    def served(server):
        r = bench.load_http(server, request, 2 * len(os.sched_getaffinity(0)), cpu=None)
        return r["requests"] / r["seconds"], r["cpu_seconds"] / r["seconds"]

    def run_ms(server):
        """Of one run, without what comes before and after it."""
        infer = json.loads(bench.get(server, "/v2/models/m/stats"))["model_stats"][0]["inference_stats"]["compute_infer"]
        return infer["ns"] / infer["count"] / 1e6
    for server in (inside, outside):
        served(server)  # what a run costs is learned
    rounds = bench.interleave(lambda: served(outside), lambda: served(inside))
    ratio, client = median(a[0] / b[0] for a, b in rounds), median(a[1] for a, _ in rounds)
    return Row("worker", f"worker process / in-process, {run_ms(inside):.1f} ms model, {len(values):,} bytes in and out",
               f"{median(a[0] for a, _ in rounds):,.0f} /s (client {client:.0%} of a core)", f"{median(b[0] for _, b in rounds):,.0f} /s",
               f"{ratio:.3f}", ">= 0.95", ratio >= 0.95)


WORKER_ROWS = {"worker": worker}
