"""bench/simulate_rows.py - `troupe simulate`: how fast it is, and how near to a live server.

The comparison: one trace of two models and three classes is sent to a live server, twice, and then played by the simulator with what
that server says its runs cost.  What two live rounds differ by is what nobody can predict.  The server has both cores,
one for its executor and one for its loop, and where that is allowed it and its client go before whatever else the machine does: the
simulator does not know of others."""
import json
import random
import struct
import subprocess

import onnx_maker
from bench_harness import Row, Troupe, binary_infer, median

CLASSES = ("interactive", "normal", "batch")
P50_WITHIN, P99_WITHIN = 0.20, 0.30


def simulate(bench, *words):
    """The command's JSON; it needs no server when it is told what runs cost."""
    command = [str(x) for x in (bench.build / "troupe", "simulate", "--json", *words)]
    run = subprocess.run(command, cwd=bench.work, env=bench.environment, capture_output=True, text=True, check=False)
    return json.loads(run.stdout) if run.returncode == 0 else bench.fail(run.stderr)


def simulate_speed(bench):
    """Arrivals per second of CPU, of the whole command: streams made, played and reported."""
    streams = ["poisson:model=a,rate=20000,class=interactive,tenant=x", "poisson:model=a,rate=20000,rows=1-4,tenant=y",
               "bursts:model=b,rate=4000,class=batch", "diurnal:model=c,rate=6000,timeout=20ms"]
    costs = ["--cost", "a=1:100us,8:250us,32:700us", "--cost", "b=900us", "--cost", "c=400us", "--batch", "a=32"]
    speeds = []
    for seed in range(bench.rounds):
        told = simulate(bench, *streams, *costs, "--seconds", 20, "--executors", 16, "--loops", 2, "--seed", seed,
                        "--plot", bench.path("speed.svg"))
        speeds.append(told["arrivals"] / told["cpu_seconds"])
    return Row("simulate_speed", f"simulator, {told['arrivals']:,} arrivals of 3 models, 3 classes, 2 tenants, 16 executors, with a plot",
               f"{median(speeds):,.0f} arrivals/cpu-s", "-", "-", ">= 300,000 arrivals/cpu-s", median(speeds) >= 300000)


def make_trace(rates, seconds, seed):
    """Poisson arrivals (seconds, model, class) of each model and class, in order of time."""
    rng, trace = random.Random(seed), []
    for (model, name), rate in rates.items():
        at = rng.expovariate(rate)
        while at < seconds:
            trace.append((at, model, name))
            at += rng.expovariate(rate)
    return sorted(trace)


def write_trace(bench, trace, requests):
    """The same arrivals for the simulator (CSV) and for the client (a schedule)."""
    csv = "at_s,model,class\n" + "".join(f"{at:.9f},{model},{name}\n" for at, model, name in trace)
    kinds = list(requests)
    schedule = "".join(f"request {requests[kind]}\n" for kind in kinds) + "".join(f"class {name}\n" for name in CLASSES)
    schedule += "".join(f"{int(at * 1e9)} {kinds.index((model, name))} {CLASSES.index(name)}\n" for at, model, name in trace)
    return bench.file("trace.csv", csv.encode()), bench.file("trace.schedule", schedule.encode())


def replay(bench, server, schedule):
    command = [bench.build / "bench" / "replay_http", "--port", server.port, "--schedule", schedule, "--connections", 256]
    run = subprocess.run([*bench.ahead(), *(str(x) for x in command)], capture_output=True, text=True, check=False)
    told = json.loads(run.stdout) if run.returncode == 0 else bench.fail(run.stderr)
    errors = sum(c["errors"] for c in told["classes"].values())
    return told["classes"] if errors == 0 else bench.fail(f"{errors} errors in a live round")


def mean_run_ms(bench, server, model):
    """Of all runs so far, as the server counts them."""
    stats = json.loads(bench.get(server, f"/v2/models/{model}/stats"))["model_stats"][0]
    parts = [stats["inference_stats"][part] for part in ("compute_input", "compute_infer", "compute_output")]
    return sum(p["ns"] for p in parts) / max(1, stats["execution_count"]) / 1e6


def off_by(a, b):
    return abs(a / b - 1)


def compare(live, again, played):
    """(class, quantile, simulated, live, off, A/A, limit) of each class: a limit counts beyond what two live rounds differ by."""
    found = []
    for name in CLASSES:
        for quantile, within in (("p50", P50_WITHIN), ("p99", P99_WITHIN)):
            one, two = (x[name][f"{quantile}_us"] for x in (live, again))
            mean, simulated = (one + two) / 2, played[name][f"{quantile}_ns"] / 1e3
            found.append((name, quantile, simulated, mean, off_by(simulated, mean), off_by(one, two), within))
    return found


def simulate_live(bench):
    """Two models of different cost, three classes, seven tenths of one core; 20 s, twice live, then simulated.  Both models compute more
    than they read, so that a run takes as long after the other one's as after its own."""
    seconds, rows, size = 20, 32, 256
    paths = {"small": bench.path("small.onnx"), "large": bench.path("large.onnx")}
    onnx_maker.chain(paths["small"], rows, size, 24)
    onnx_maker.chain(paths["large"], rows, size, 96)
    troupe = bench.start(Troupe({f"{m}.onnx": p for m, p in paths.items()}, settings=("threads.executors=1", "threads.loops=1"),
                               cpus=None, wrapper=bench.ahead()))
    values = struct.pack("<f", 0.25) * (rows * size)
    requests = {}
    for model in paths:
        plain = binary_infer(model, [("x", "FP32", [rows, size], values)])
        for name in CLASSES:
            line, rest = plain.split(b"\r\n", 1)
            requests[model, name] = bench.file(f"{model}.{name}.request", line + f"\r\ntroupe-priority: {name}\r\n".encode() + rest)
        bench.load_http(troupe, requests[model, "normal"], 1, seconds=1, cpu=None)
    cost_ms = {model: mean_run_ms(bench, troupe, model) for model in paths}  # with one run after the other
    share = {("small", "interactive"): 0.25, ("small", "normal"): 0.15, ("large", "normal"): 0.15, ("large", "batch"): 0.15}
    trace = make_trace({kind: part / cost_ms[kind[0]] * 1e3 for kind, part in share.items()}, seconds, seed=5)
    csv, schedule = write_trace(bench, trace, requests)
    live, again = replay(bench, troupe, schedule), replay(bench, troupe, schedule)
    costs = bench.file("costs.json", bench.get(troupe, "/api/cost"))
    told = simulate(bench, csv, "--costs", costs, "--executors", 1, "--loops", 1)
    found = compare(live, again, {c["name"]: c for c in told["result"]["classes"]})
    ok = all(off <= within + spread for *_, off, spread, within in found)
    words = "; ".join(f"{name} {q} {simulated / 1e3:.2f}/{mean / 1e3:.2f} ms ({off:.0%}, A/A {spread:.0%})"
                      for name, q, simulated, mean, off, spread, _ in found)
    worst = max(off - spread for *_, off, spread, _ in found)
    return Row("simulate_live", f"simulated/live, {len(trace):,} arrivals, models of {cost_ms['small']:.1f} and {cost_ms['large']:.1f} ms",
               words, "live", f"worst {worst:.0%} beyond A/A", "p50 within 20 %, p99 within 30 %", ok)


SIMULATE_ROWS = {"simulate_speed": simulate_speed, "simulate_live": simulate_live}
