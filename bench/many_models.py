"""bench/many_models.py - the row of ten thousand models that nobody has asked for yet.

Everything is told by the server's process: when its port opens, when its index is whole, what it holds once it has looked into
every file, and what a request costs that names one of so many."""
import json
import os
import random
import shutil
import socket
import time

from bench_harness import Row, Troupe, median

TINY = "examples/models/digits_linear.onnx"

MANY, FEW = 10_000, 10
REQUESTS = 3000


def fill(bench, n):
    folder = bench.folder(f"models-{n}")
    for i in range(n):
        shutil.copyfile(bench.root / TINY, folder / f"m{i:05d}.onnx")
    return folder


def metric(bench, troupe, name):
    for line in bench.get(troupe, "/metrics").decode().splitlines():
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
            raise RuntimeError("many_models: waited too long")
        time.sleep(0.005)


def lowest(read, pause_s=0.5, times=14):
    """What stays when everything has come to rest: memory of a burst goes back a little later."""
    value = read()
    for _ in range(times):
        time.sleep(pause_s)
        value = min(value, read())
    return value


def cpu_ns(pid):
    """CPU time of all threads of a process."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total


def request_us(troupe, n):
    """CPU time of the server for one question whether a model is ready, asked for names in random order on one connection."""
    rng = random.Random(n)
    with socket.create_connection(("127.0.0.1", troupe.port), 60) as line:
        def questions(count):
            for _ in range(count):
                line.sendall(f"GET /v2/models/m{rng.randrange(n):05d}/ready HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                if not line.recv(4096).startswith(b"HTTP/1.1 200"):
                    raise RuntimeError("many_models: a model is not ready")
        questions(100)
        begun = cpu_ns(troupe.pid)
        questions(REQUESTS)
        return (cpu_ns(troupe.pid) - begun) / REQUESTS / 1e3


def start(bench, folder, n):
    """The server, and the ms after exec until its port is open and until every name counts as ready."""
    begun = time.monotonic()
    troupe = bench.start(Troupe(folder, settings=("models.load=on_demand",), cpus=None, wait=False))
    bench.wait_for_port(troupe)
    ports_ms = (time.monotonic() - begun) * 1e3
    wait_until(lambda: len(json.loads(bench.post(troupe, "/v2/repository/index", b'{"ready": true}'))) == n)
    index_ms = (time.monotonic() - begun) * 1e3
    wait_until(lambda: metric(bench, troupe, "troupe_model_files_read_total") >= n)
    return troupe, ports_ms, index_ms


def many_models(bench):
    """10,000 models on demand, none of them asked: ports, index, memory of each, and what a name costs among so many."""
    folders = {n: fill(bench, n) for n in (FEW, MANY)}
    ports_ms, index_ms, kb = [], [], []
    for _ in range(3):
        few, _, _ = start(bench, folders[FEW], FEW)
        many, ports, index = start(bench, folders[MANY], MANY)
        kb.append((lowest(lambda: private_kb(many.pid)) - lowest(lambda: private_kb(few.pid))) / (MANY - FEW))
        ports_ms.append(ports)
        index_ms.append(index)
        rounds = bench.interleave(lambda: request_us(many, MANY), lambda: request_us(few, FEW))
        bench.stop(few)
        bench.stop(many)
    names = bench.run_floor("registry_cost")
    ports, index, each = median(ports_ms), median(index_ms), median(kb)
    ratio = median(a / b for a, b in rounds)
    return [
        Row("many_models", "10,000 models on demand, none asked: ports open / index complete / private memory of each",
            f"{ports:.0f} ms / {index:.0f} ms / {each:.2f} KB", "-", "-", "<= 50 ms / <= 1 s / <= 4 KB",
            ports <= 50 and index <= 1000 and each <= 4),
        Row("many_names", f"CPU of a request that names one of 10,000 / of 10; finding the name alone: {names['many_ns']:.0f} / "
            f"{names['few_ns']:.0f} ns; one change among 100,000 published: {names['publish_us']:.0f} us",
            f"{median(a for a, _ in rounds):.1f} us", f"{median(b for _, b in rounds):.1f} us", f"{ratio:.2f}", "<= 2.00; <= 50 us",
            ratio <= 2 and names["publish_us"] <= 50),
    ]
