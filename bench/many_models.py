"""bench/many_models.py - the row of ten thousand models that nobody has asked for yet.

Everything is told by the server's process: when its port opens, when its index is whole, what it holds once it has looked into
every file, and what a request costs that names one of so many."""
import json
import random
import shutil
import statistics
import time
import urllib.request

MANY, FEW = 10_000, 10
REQUESTS = 3000


def fill(bench, folder, model, n):
    for i in range(n):
        shutil.copyfile(model, folder / f"m{i:05d}.onnx")
    return folder


def ask(troupe, path, body=None):
    with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{troupe.port}{path}", data=body), timeout=60) as reply:
        return reply.read()


def metric(troupe, name):
    for line in ask(troupe, "/metrics").decode().splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    return 0.0


def private_kb(pid):
    """What would be free if the process ended: pages that it shares with nobody."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        return sum(int(line.split()[1]) for line in f if line.startswith(("Private_Dirty:", "Private_Clean:")))


def wait_until(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise SystemExit("many_models: waited too long")
        time.sleep(0.005)


def lowest(read, pause_s=0.5, times=20):
    """What stays when everything has come to rest: memory of a burst goes back a little later."""
    value = read()
    for _ in range(times):
        time.sleep(pause_s)
        value = min(value, read())
    return value


def start(bench, make, folder, n):
    """Port and index in ms after exec; every name is there, and counts as ready."""
    begun = time.monotonic()
    troupe = bench.start(make(folder))
    bench.wait_for_port(troupe)
    ports_ms = (time.monotonic() - begun) * 1e3

    def is_whole():
        return len(json.loads(ask(troupe, "/v2/repository/index", b'{"ready": true}'))) == n
    wait_until(is_whole)
    return troupe, ports_ms, (time.monotonic() - begun) * 1e3


def look_up_us(bench, troupe, n):
    """CPU time of the server for one question whether a model is ready, asked for names in random order on one connection."""
    rng = random.Random(1)
    request_file = bench.file(f"ready-{n}.request", b"".join(
        f"GET /v2/models/m{rng.randrange(n):05d}/ready HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for _ in range(1)))
    result = bench.load_http(troupe, request_file, 1)
    return result["server_cpu_seconds"] / result["requests"] * 1e6


def many_models(bench, model, make, row):
    """10,000 models on demand, none of them asked: ports, index, memory of each, and what a name costs among them."""
    many = fill(bench, bench.folder("many"), model, MANY)
    few = fill(bench, bench.folder("few"), model, FEW)
    ports_ms, index_ms, kb = [], [], []
    for _ in range(3):
        small, _, _ = start(bench, make, few, FEW)
        wait_until(lambda: metric(small, "troupe_model_files_read_total") >= FEW)
        base = lowest(lambda: private_kb(small.pid))
        bench.stop(small)
        large, ports, index = start(bench, make, many, MANY)
        wait_until(lambda: metric(large, "troupe_model_files_read_total") >= MANY)
        kb.append((lowest(lambda: private_kb(large.pid)) - base) / (MANY - FEW))
        ports_ms.append(ports)
        index_ms.append(index)
        bench.stop(large)
    cost = bench.run_floor("registry_cost")
    ports, index, each = (statistics.median(x) for x in (ports_ms, index_ms, kb))
    ok = ports <= 50 and index <= 1000 and each <= 4 and cost["ratio"] <= 2 and cost["publish_us"] <= 50
    return row("many_models", "10,000 models on demand: ports / index whole / memory of each; a name among 10,000 / among 10; one change "
               "among 100,000", f"{ports:.0f} ms / {index:.0f} ms / {each:.2f} KB; {cost['many_ns']:.0f} ns; {cost['publish_us']:.0f} us",
               f"{cost['few_ns']:.0f} ns", f"{cost['ratio']:.2f}", "<= 50 ms / <= 1 s / <= 4 KB; <= 2 x; <= 50 us", ok)
