"""bench/route_rows.py - what a route costs a request, what clients see while its target fails, and what a shadow costs the first."""
import json
import struct
import time

import onnx_maker
from bench_harness import Row, Troupe, binary_infer, http_request, median

TINY = "examples/models/digits_linear.onnx"
RULES = """\
routes:
  plain:
    - when: params.kind == 'other'
      use: other
    - use: tiny
"""


def infer_of(model, name, shape, values):
    body = json.dumps({"inputs": [{"name": name, "shape": shape, "datatype": "FP32", "data": values}]}, separators=(",", ":"))
    return http_request(f"/v2/models/{model}/infer", body.encode(), {"Content-Type": "application/json"})


def per_cpu_second(result):
    return result["requests"] / result["server_cpu_seconds"]


def wait_for_route(bench, troupe, route):
    for _ in range(600):
        try:
            bench.get(troupe, f"/v2/models/{route}/ready")
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"route {route} was not taken up")


def routed_server(bench):
    """A really trained tiny model, once more under another name, and routes to it."""
    troupe = bench.start(Troupe({"tiny.onnx": bench.root / TINY, "other.onnx": bench.root / TINY, "routes.yaml": RULES}, models=["tiny", "other"]))
    wait_for_route(bench, troupe, "plain")
    told = json.loads(bench.get(troupe, "/v2/models/tiny"))["inputs"][0]
    shape = [1 if d < 0 else d for d in told["shape"]]
    values = [float(i % 17) for i in range(shape[-1])]
    return troupe, {m: bench.file(f"{m}.request", infer_of(m, told["name"], shape, values)) for m in ("tiny", "plain")}


def route_overhead(bench):
    troupe, requests = routed_server(bench)
    rounds = bench.interleave(lambda: per_cpu_second(bench.load_http(troupe, requests["plain"], 64)),
                              lambda: per_cpu_second(bench.load_http(troupe, requests["tiny"], 64)))
    ratio = median(a / b for a, b in rounds)
    return Row("route_overhead", "a route to a tiny ONNX model (its second rule) / asking it directly, HTTP", f"{median(a for a, _ in rounds):,.0f} req/cpu-s",
               f"{median(b for _, b in rounds):,.0f} req/cpu-s", f"{ratio:.3f}", ">= 0.95", ratio >= 0.95)


def target_of(bench, troupe, route, target):
    """What GET /api/routes says about a target of a route."""
    told = next(r for r in json.loads(bench.get(troupe, "/api/routes"))["routes"] if r["name"] == route)
    return next(t for t in told["targets"] if t["target"] == target)


FAILING = """\
routes:
  r:
    breaker: { pause: 500ms, pause_most: 2s }
    rules: [ { use: shaky, fallback: well } ]
"""
IO = "input INPUT0 FP32 [-1,-1]\noutput OUTPUT0 FP32 [-1,-1]\n"
FAILS = {"every call": "fail BACKEND_FAILED always\n", "every second call": "fail BACKEND_FAILED every second\nfail_every 2\n", "no more": ""}
ASKED_MOST, PHASE_S, CLOSES_S = 150, 3.0, 10.0


def change(bench, troupe, folder, how):
    """Another version of the first target takes the place of what is served; the route is what it was."""
    (folder / "shaky.echo").write_text(IO + FAILS[how], encoding="utf-8")
    bench.post(troupe, "/v2/repository/models/shaky/load", b"{}")


def watch_closing(bench, troupe, request):
    """(seconds until the breaker is closed, or None; what the clients saw meanwhile), under load all the time."""
    load = bench.begin_load_http(troupe, request, 16, CLOSES_S, keep=True)
    begun, closed_s = time.monotonic(), None
    while closed_s is None and load.poll() is None:
        if target_of(bench, troupe, "r", "shaky")["breaker"]["state"] == "closed":
            closed_s = time.monotonic() - begun
        time.sleep(0.02)
    return closed_s, json.loads(load.communicate()[0])


def route_failing(bench):
    """A target that fails every call, then every second one, then none, and another to fall back on: what clients see of it, how often the
    target is asked while it fails (a route without a breaker would ask it for each request), and that it gets the requests again by itself."""
    folder = bench.folder("failing")
    for name, text in {"shaky.echo": IO + FAILS["every call"], "well.echo": IO, "routes.yaml": FAILING}.items():
        (folder / name).write_text(text, encoding="utf-8")
    troupe = bench.start(Troupe(folder, models=["shaky", "well", "r"]))
    request = bench.file("failing.request", infer_of("r", "INPUT0", [1, 4], [1, 2, 3, 4]))
    seen, asked = [], []
    for how in ("every call", "every second call"):
        if asked:
            change(bench, troupe, folder, how)
        before = target_of(bench, troupe, "r", "shaky")["asked"]
        seen.append(bench.load_http(troupe, request, 16, seconds=PHASE_S, warm=0, may_fail=True))
        asked.append(target_of(bench, troupe, "r", "shaky")["asked"] - before)
    was_open = target_of(bench, troupe, "r", "shaky")["breaker"]["state"] != "closed"
    change(bench, troupe, folder, "no more")
    closed_s, meanwhile = watch_closing(bench, troupe, request)
    before = target_of(bench, troupe, "r", "shaky")["asked"], target_of(bench, troupe, "r", "well")["asked"]
    seen += [meanwhile, bench.load_http(troupe, request, 16, may_fail=True)]
    after = target_of(bench, troupe, "r", "shaky")["asked"], target_of(bench, troupe, "r", "well")["asked"]
    back = (after[0] - before[0]) / max(1, after[0] - before[0] + after[1] - before[1])
    return failing_rows(seen, asked, was_open, closed_s, back)


def failing_rows(seen, asked, was_open, closed_s, back):
    requests, share = sum(r["requests"] for r in seen), sum(r["errors"] for r in seen) / sum(r["requests"] for r in seen)
    told = f"{closed_s:.2f} s" if closed_s is not None else f"not in {CLOSES_S:.0f} s"
    return [Row("route_failing", f"a target that fails every call, then every second, then none, with a fallback: errors of {requests:,} requests",
                f"{100 * share:.3f} %", "", "", "<= 0.1 %", share <= 0.001),
            Row("route_failing_asked", f"the same: how often it was asked while it failed every call ({seen[0]['requests']:,} requests), and every second "
                f"({seen[1]['requests']:,})", f"{asked[0]:,} and {asked[1]:,}", "", "", f"<= {ASKED_MOST}", max(asked) <= ASKED_MOST),
            Row("route_failing_closes", f"the same: from when it is well until its breaker is closed{'' if was_open else ' (IT WAS NOT OPEN)'}; its share of the "
                "requests from then on", f"{told}; {100 * back:.1f} %", "", "", "<= 5 s; >= 99 %",
                was_open and closed_s is not None and closed_s <= 5 and back >= 0.99)]


SHADOWS = """\
routes:
  shadowed: [ { use: first, shadow: other } ]
  unshadowed: [ { use: first } ]
"""


ROWS, SIZE, LAYERS = 64, 512, 8  # compute more than memory: that neighbours of the machine take turns to slow
WINDOW_S, CORES = 5.0, 2


def shadow_server(bench):
    folder = bench.folder("shadow")
    for name in ("first", "other"):
        onnx_maker.chain(folder / f"{name}.onnx", ROWS, SIZE, LAYERS)
    (folder / "routes.yaml").write_text(SHADOWS, encoding="utf-8")
    troupe = bench.start(Troupe(folder, settings=("sched.split=false",), cpus=None, models=["first", "other", "shadowed", "unshadowed"]))
    values = struct.pack("<f", 0.25) * (ROWS * SIZE)
    requests = {m: bench.file(f"{m}.request", binary_infer(m, [("x", "FP32", [ROWS, SIZE], values)])) for m in ("first", "other", "shadowed", "unshadowed")}
    for name in requests:
        bench.load_http(troupe, requests[name], 1, cpu=None)  # what a run costs is learned
    return troupe, requests


def busy(result):
    """The part of the cores that the server had."""
    return result["server_cpu_seconds"] / result["seconds"] / CORES


def route_shadow(bench):
    """p99 of a model of some milliseconds while a shadow of everything runs, against none.  Requests come as a Poisson process, the same in each
    window, so often that the server has half of the two cores with the shadow.  A round is one window with it and two without, in turns; what
    the two differ by in the middle round is the spread."""
    troupe, requests = shadow_server(bench)
    one_ms = median(bench.load_http(troupe, requests["first"], 1, cpu=None)["p50_us"] for _ in range(3)) / 1e3

    def window(name, rate):
        return bench.load_http(troupe, requests[name], 16, seconds=max(bench.seconds, WINDOW_S), rate=rate, cpu=None, arrivals="poisson")
    rate = 500 / one_ms
    rate = int(rate * 0.5 / busy(window("shadowed", rate)))
    before = target_of(bench, troupe, "shadowed", "other")["asked"]
    rounds = bench.interleave(lambda: window("shadowed", rate), lambda: (window("unshadowed", rate), window("unshadowed", rate)))
    sent = target_of(bench, troupe, "shadowed", "other")["asked"] - before
    with_it = [a["p99_us"] for a, _ in rounds]
    without = [(x["p99_us"], y["p99_us"]) for _, (x, y) in rounds]
    ratio = median(a / (x * y) ** 0.5 for a, (x, y) in zip(with_it, without))
    spread = median(max(x / y, y / x) for x, y in without)
    limit, load = 1.05 * spread, median(busy(a) for a, _ in rounds)
    return Row("route_shadow", f"p99 of a {one_ms:.1f} ms model with a shadow of everything ({sent:,} sent) / without, {rate} requests a second, Poisson, "
               f"2 cores {load:.0%} busy (A/A {spread:.3f})", f"{median(with_it):,.0f} us", f"{median(x for pair in without for x in pair):,.0f} us",
               f"{ratio:.3f}", f"<= {limit:.3f}", ratio <= limit and one_ms >= 2 and sent > 0)


ROUTE_ROWS = {"route_overhead": route_overhead, "route_failing": route_failing, "route_shadow": route_shadow}
