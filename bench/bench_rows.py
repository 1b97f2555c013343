"""bench/bench_rows.py - the rows of the table: what each one starts, asks and compares.

A row is a function that takes a Bench and returns a Row; `bench/run` chooses and prints them. bench/README.md says why each
floor is what it is."""
import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import time

import onnx_maker
from bench_harness import Floor, Row, Troupe, binary_infer, field_bytes, http_request, median
from batching_rows import BATCHING_ROWS
from budget_rows import BUDGET_ROWS
from compose_rows import COMPOSE_ROWS
from list_rows import LIST_ROWS
from many_models import many_models
from memory_rows import MEMORY_ROWS
from order_rows import ORDER_ROWS
from route_policy_rows import ROUTE_POLICY_ROWS
from route_rows import ROUTE_ROWS
from rule_rows import RULE_ROWS
from split_rows import SPLIT_ROWS
from worker_rows import WORKER_ROWS
from simulate_rows import SIMULATE_ROWS

SIXTEEN = ["--connections", "16"]
ECHO = "input INPUT0 FP32 [-1,-1]\noutput OUTPUT0 FP32 [-1,-1]\n"


def json_infer(model, name, shape, values):
    body = json.dumps({"inputs": [{"name": name, "shape": shape, "datatype": "FP32", "data": values}]}, separators=(",", ":"))
    return http_request(f"/v2/models/{model}/infer", body.encode(), {"Content-Type": "application/json"})


def grpc_infer(model, name, shape, data):
    """inference.ModelInferRequest with its gRPC prefix."""
    tensor = field_bytes(1, name.encode()) + field_bytes(2, b"FP32") + field_bytes(3, b"".join(onnx_maker.varint(d) for d in shape))
    message = field_bytes(1, model.encode()) + field_bytes(5, tensor) + field_bytes(7, data)
    return struct.pack(">BI", 0, len(message)) + message


def per_cpu_second(result):
    return result["requests"] / result["server_cpu_seconds"]


def compare_cost(bench, name, what, required, troupe, floor, load):
    """Requests per second of server CPU, ours over the floor's: the median of the rounds' ratios."""
    rounds = bench.interleave(lambda: per_cpu_second(load(troupe)), lambda: per_cpu_second(load(floor)))
    ratio = median(a / b for a, b in rounds)
    return Row(name, what, f"{median(a for a, _ in rounds):,.0f} req/cpu-s", f"{median(b for _, b in rounds):,.0f} req/cpu-s",
               f"{ratio:.2f}", f">= {required:.2f}", ratio >= required)


def http_row(bench, name, what, required, troupe, request, connections, floor_arguments=()):
    request_file = bench.file(f"{name}.request", request)
    reply_file = bench.path(f"{name}.reply")
    bench.load_http(troupe, request_file, 1, seconds=0.2, save=reply_file)
    floor = bench.start(Floor("floor_echo", "--request-bytes", len(request), "--reply", reply_file, *floor_arguments))
    return compare_cost(bench, name, what, required, troupe, floor, lambda s: bench.load_http(s, request_file, connections))


def grpc_row(bench, name, what, required, troupe, message, streams, floor_arguments=()):
    request_file = bench.file(f"{name}.request", message)
    reply_file = bench.path(f"{name}.reply")
    bench.load_grpc(troupe, request_file, 1, 1, seconds=0.2, save=reply_file)
    floor = bench.start(Floor("floor_grpc", "--reply", reply_file, *floor_arguments))
    return compare_cost(bench, name, what, required, troupe, floor, lambda s: bench.load_grpc(s, request_file, 16, streams))


FOUR = struct.pack("<4f", 1.5, 2.25, -3.125, 4.0)


def http_echo(bench):
    troupe = bench.start(Troupe({"echo.echo": ECHO}))
    request = json_infer("echo", "INPUT0", [1, 4], [1.5, 2.25, -3.125, 4.0])
    return http_row(bench, "http_echo", "HTTP, `echo` backend / epoll echo", 0.60, troupe, request, 64)


def grpc_echo(bench, streams):
    troupe = bench.start(Troupe({"echo.echo": ECHO}))
    message = grpc_infer("echo", "INPUT0", [1, 4], FOUR)
    return grpc_row(bench, f"grpc_echo_16x{streams}", f"gRPC, `echo` backend, 16 x {streams} / canned nghttp2", 0.50, troupe,
                    message, streams)


TINY = "examples/models/digits_linear.onnx"


def tiny_server(bench):
    """The server with one really trained tiny model, and what its metadata says about the input."""
    troupe = bench.start(Troupe({"tiny.onnx": bench.root / TINY}))
    told = json.loads(bench.get(troupe, "/v2/models/tiny"))["inputs"][0]
    shape = [1 if d < 0 else d for d in told["shape"]]
    return troupe, told["name"], shape


def tiny_values(shape):
    n = 1
    for d in shape:
        n *= d
    return [float(i % 17) for i in range(n)]


def tiny_http(bench):
    troupe, name, shape = tiny_server(bench)
    return http_row(bench, "tiny_http", "tiny ONNX model over HTTP / echo + OrtRun", 0.75, troupe,
                    json_infer("tiny", name, shape, tiny_values(shape)), 64, ("--model", bench.root / TINY))


def tiny_grpc(bench):
    troupe, name, shape = tiny_server(bench)
    values = tiny_values(shape)
    return grpc_row(bench, "tiny_grpc", "tiny ONNX model over gRPC, 16 x 1 / canned nghttp2 + OrtRun", 0.70, troupe,
                    grpc_infer("tiny", name, shape, struct.pack(f"<{len(values)}f", *values)), 1, ("--model", bench.root / TINY))


def latency(bench):
    """Added to an echo round trip.  First the floor against itself: a difference below that spread says nothing."""
    request = json_infer("echo", "INPUT0", [1, 4], [1.5, 2.25, -3.125, 4.0])
    request_file, reply_file = bench.file("latency.request", request), bench.path("latency.reply")
    troupe = bench.start(Troupe({"echo.echo": ECHO}))
    bench.load_http(troupe, request_file, 1, seconds=0.2, save=reply_file)
    floors = [bench.start(Floor("floor_echo", "--request-bytes", len(request), "--reply", reply_file)) for _ in range(2)]

    def p50(server):
        return bench.load_http(server, request_file, 1)["p50_us"]
    same = [a - b for a, b in bench.interleave(lambda: p50(floors[0]), lambda: p50(floors[1]))]
    rounds = bench.interleave(lambda: p50(troupe), lambda: p50(floors[0]))
    added, spread = median(a - b for a, b in rounds), median(abs(d) for d in same)
    return Row("latency", "latency added to an echo round trip, one client", f"{median(a for a, _ in rounds):.1f} us p50",
               f"{median(b for _, b in rounds):.1f} us p50", f"+{added:.1f} us (A/A {spread:.1f})", "<= 15 us", added <= 15)


def tail(bench):
    """A tiny model asked 200 times a second beside a 50 ms model that keeps all executors busy."""
    troupe = bench.start(Troupe({"tiny.onnx": bench.root / TINY, "long.echo": ECHO + "busy 50ms\n"}, cpus=None))
    told = json.loads(bench.get(troupe, "/v2/models/tiny"))["inputs"][0]
    shape = [1 if d < 0 else d for d in told["shape"]]
    tiny = bench.file("tail.request", json_infer("tiny", told["name"], shape, tiny_values(shape)))
    long_one = bench.file("tail_long.request", json_infer("long", "INPUT0", [1, 4], [1.0, 2.0, 3.0, 4.0]))
    alone, beside = [], []
    for _ in range(bench.rounds):
        alone.append(bench.load_http(troupe, tiny, 8, rate=200, cpu=None)["p99_us"])
        saturate = bench.begin_load_http(troupe, long_one, 8, seconds=bench.seconds + 1.0)
        time.sleep(0.3)
        beside.append(bench.load_http(troupe, tiny, 8, rate=200, cpu=None)["p99_us"])
        bench.end_load(saturate)
    p99_ms = median(beside) / 1e3
    return Row("tail", "tiny model's p99 while a 50 ms model saturates the executors", f"{p99_ms:.2f} ms",
               f"{median(alone) / 1e3:.2f} ms alone", f"{p99_ms / (median(alone) / 1e3):.1f} x", "<= 10 ms", p99_ms <= 10)


def saturated(bench):
    """Runs per second of a model of some milliseconds, both cores, 8 requests in flight."""
    path, rows, size = bench.path("chain.onnx"), 8, 512
    onnx_maker.chain(path, rows, size, 36)
    threads = len(os.sched_getaffinity(0))
    troupe = bench.start(Troupe({"chain.onnx": path}, cpus=None))
    values = struct.pack("<f", 0.25) * (rows * size)
    request = bench.file("saturated.request", binary_infer("chain", [("x", "FP32", [rows, size], values)]))

    def served():
        r = bench.load_http(troupe, request, 4 * threads, cpu=None)
        return r["requests"] / r["seconds"], r["cpu_seconds"] / r["seconds"]

    def floor():
        r = bench.run_floor("floor_ort", "--model", path, "--threads", threads, "--seconds", bench.seconds)
        return r["runs"] / r["seconds"]
    rounds = bench.interleave(served, floor)
    ratio, client = median(a[0] / b for a, b in rounds), median(a[1] for a, _ in rounds)
    run_ms = 1e3 * threads / median(b for _, b in rounds)
    return Row("saturated", f"saturated throughput, {run_ms:.1f} ms model / loop of OrtRun on {threads} threads",
               f"{median(a[0] for a, _ in rounds):,.0f} /s (client {client:.1%} of a core)",
               f"{median(b for _, b in rounds):,.0f} /s", f"{ratio:.3f}", ">= 0.97", ratio >= 0.97)


def tensor_600k(bench):
    """1 x 3 x 224 x 224 FP32, which a null backend answers with four bytes."""
    troupe = bench.start(Troupe({"sink.null": "input x FP32 [1,3,224,224]\noutput y FP32 [1]\n"}))
    data = bytes(4 * 3 * 224 * 224)
    return http_row(bench, "tensor_600k", "600 KB tensor over HTTP, `null` backend / receive into a pooled buffer", 0.70, troupe,
                    binary_infer("sink", [("x", "FP32", [1, 3, 224, 224], data)]), 4)


def json_150k(bench):
    """150,528 floats of nine digits, in and out; CPU time of the server against parsing and printing them alone."""
    import random
    rng = random.Random(1)
    values = [float(f"{rng.uniform(-3, 3):.9g}") for _ in range(3 * 224 * 224)]
    troupe = bench.start(Troupe({"echo.echo": ECHO}))
    request = json_infer("echo", "INPUT0", [1, len(values)], values)
    request_file = bench.file("json_150k.request", request)
    body_file = bench.file("json_150k.body", request[request.index(b"\r\n\r\n") + 4:])

    def served():
        r = bench.load_http(troupe, request_file, 1)
        return r["server_cpu_seconds"] / r["requests"] * 1e3

    def alone():
        r = bench.run_floor("floor_json", "--request", body_file, "--seconds", bench.seconds, cpus="0")
        return r["cpu_seconds"] / r["rounds"] * 1e3
    rounds = bench.interleave(served, alone)
    ratio = median(a / b for a, b in rounds)
    return Row("json_150k", "150,528 floats as JSON, in and out / parsing and printing them alone",
               f"{median(a for a, _ in rounds):.2f} ms", f"{median(b for _, b in rounds):.2f} ms", f"{ratio:.2f} x", "<= 1.5 x",
               ratio <= 1.5)


def is_index_complete(bench, troupe, n):
    models = json.loads(bench.get(troupe, "/api/models"))["models"]
    return len(models) == n and all(m.get("inputs") and m.get("outputs") for m in models)


def start_1000(bench):
    """1,000 models that are not loaded: how long until the port answers, and until every one shows its inputs and outputs."""
    repository = bench.folder("thousand")
    for i in range(1000):
        shutil.copyfile(bench.root / TINY, repository / f"m{i:04d}.onnx")
    ports_ms, index_ms = [], []
    for _ in range(5):
        begun = time.monotonic()
        troupe = bench.start(Troupe(repository, settings=("models.load=explicit",), cpus=None, wait=False))
        bench.wait_for_port(troupe)
        ports_ms.append((time.monotonic() - begun) * 1e3)
        while not is_index_complete(bench, troupe, 1000) and time.monotonic() - begun < 30:
            time.sleep(0.005)
        index_ms.append((time.monotonic() - begun) * 1e3)
        bench.stop(troupe)
    ports, index = statistics.median(ports_ms), statistics.median(index_ms)
    return Row("start_1000", "1,000 models, explicit: ports open / index complete with inputs and outputs",
               f"{ports:.0f} ms / {index:.0f} ms", "-", "-", "<= 50 ms / <= 1 s", ports <= 50 and index <= 1000)


def resident_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:")) / 1024


def is_runtime_open(pid):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
        return "libonnxruntime" in f.read()


def size(bench):
    """The stripped binary, and memory with no model, before and after ONNX Runtime is there."""
    stripped = bench.path("troupe.stripped")
    subprocess.run(["strip", "-o", stripped, bench.build / "troupe"], check=True)
    binary_mb = os.stat(stripped).st_size / 1e6
    without = bench.start(Troupe({}, cpus=None, environment={"TROUPE_ONNXRUNTIME": "/nonexistent"}))
    time.sleep(1)
    before = resident_mb(without.pid)
    with_runtime = bench.start(Troupe({}, cpus=None))
    for _ in range(100):
        if is_runtime_open(with_runtime.pid):
            break
        time.sleep(0.1)
    opened = is_runtime_open(with_runtime.pid)
    time.sleep(1)
    after = resident_mb(with_runtime.pid)
    ok = binary_mb <= 3 and before <= 20 and after <= 45 and opened
    note = "" if opened else " (the runtime was not opened)"
    return Row("size", "stripped binary / resident before and after the runtime is opened, no models",
               f"{binary_mb:.2f} MB / {before:.1f} and {after:.1f} MB{note}", "-", "-", "<= 3 MB / <= 20 and 45 MB", ok)


def zipf_policy(bench):
    """Who leaves when memory is short: one trace through our policy and through plain LRU.  Eleven traces must all meet it."""
    traces = [bench.run_floor("zipf_policy", "--seed", seed) for seed in range(1, 12)]
    first, worst = traces[0], max(t["ratio"] for t in traces)
    return Row("zipf_policy", "seconds of loading, Zipf(1.0) over 200 models, room for 40: our policy / LRU",
               f"{first['cost_s']:,.0f} s ({first['cost_loads']:,} loads)", f"{first['lru_s']:,.0f} s ({first['lru_loads']:,} loads)",
               f"{first['ratio']:.2f} (worst of {len(traces)} traces {worst:.2f})", "<= 0.80", worst <= 0.80)


def sched_cost(bench):
    """A request's way through src/sched: usual deadlines, the same with more tenants and models, and any deadlines."""
    costs = bench.run_floor("sched_cost")
    return [Row(f"sched_cost_{kind}", f"scheduling a request, 100,000 waiting / 100, {kind}; {cost['allocated']} bytes allocated",
                f"{cost['many_ns']:.0f} ns", f"{cost['few_ns']:.0f} ns", f"{cost['ratio']:.2f}", "<= 1000 ns; <= 2.00",
                cost["many_ns"] <= 1000 and cost["ratio"] <= 2 and cost["allocated"] == 0)
            for kind, cost in costs.items()]


ROWS = {
    "http_echo": http_echo,
    "grpc_echo_16x1": lambda bench: grpc_echo(bench, 1),
    "grpc_echo_16x100": lambda bench: grpc_echo(bench, 100),
    "tiny_http": tiny_http,
    "tiny_grpc": tiny_grpc,
    "latency": latency,
    "tail": tail,
    "saturated": saturated,
    "tensor_600k": tensor_600k,
    "json_150k": json_150k,
    "start_1000": start_1000,
    "many_models": many_models,
    "size": size,
    "zipf_policy": zipf_policy,
    "sched_cost": sched_cost,
    **MEMORY_ROWS,
    **BUDGET_ROWS,
    **BATCHING_ROWS,
    **ORDER_ROWS,
    **SPLIT_ROWS,
    **WORKER_ROWS,
    **SIMULATE_ROWS,
    **RULE_ROWS,
    **COMPOSE_ROWS,
    **ROUTE_POLICY_ROWS,
    **ROUTE_ROWS,
    **LIST_ROWS,
}


# ---- instructions per request: the check that no noise can move ----

def instructions_of(bench, request_file, is_grpc, requests):
    """Instructions of a whole server life with so many requests, under callgrind."""
    out = bench.path(f"callgrind.{requests}")
    generous = ("sched.inline_run=1s", "sched.inline_turn=1s", "threads.executors=1", "threads.loops=1")
    troupe = bench.start(Troupe({"echo.echo": ECHO}, settings=generous, cpus=None, environment={"TROUPE_ONNXRUNTIME": "/nonexistent"},
                                wrapper=("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--quiet")))
    load = bench.load_grpc if is_grpc else bench.load_http
    load(troupe, request_file, 1, *([1] if is_grpc else []), seconds=300, requests=requests, cpu=None)
    bench.stop(troupe)
    with open(out, encoding="utf-8") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(("summary:", "totals:")))


def instructions(bench):
    requests = {
        "http_echo": (json_infer("echo", "INPUT0", [1, 4], [1.5, 2.25, -3.125, 4.0]), False),
        "grpc_echo": (grpc_infer("echo", "INPUT0", [1, 4], FOUR), True),
    }
    few, many = 500, 2500
    counts = {}
    for name, (request, is_grpc) in requests.items():
        request_file = bench.file(f"{name}.request", request)
        spent = [instructions_of(bench, request_file, is_grpc, n) for n in (few, many)]
        counts[name] = round((spent[1] - spent[0]) / (many - few))
    return counts
