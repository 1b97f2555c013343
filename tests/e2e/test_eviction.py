"""A budget for a few of many models: all of them answer, who leaves and why can be seen, and what can never fit is refused with the
numbers before anybody leaves."""
import json
import os
import random
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import ROOT, SLOW, counts_memory
from test_budget import IO, MIB, infer, memory_of
from test_repository import index

sys.path.insert(0, str(ROOT / "bench"))
from onnx_maker import chain  # noqa: E402

# The thread sanitizer remembers who wrote where, in memory of the process: what a model takes cannot be told then.
pytestmark = counts_memory

SIZE = 64 * MIB  # half of it is more than the pages of libraries that others may have mapped, too, or not
# The address sanitizer keeps what was freed for a while, and the process would never get smaller.
GIVES_BACK = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}


def add(repository, name, size=SIZE, more="", config=""):
    """A model that holds so many bytes, and is known to."""
    repository.write(f"{name}/1/model.echo", IO + f"weighs {size}\n{more}")
    repository.write(f"{name}/model.yaml", f"max_bytes: {size + 4096}\n{config}")


def floor_of(serve, repository):
    """What a server takes here before it has loaded anything, ONNX Runtime included, which is opened after the ports are."""
    server = serve(repository.path)
    server.wait_ready()
    server.wait(lambda: "ONNX Runtime is open" in server.log(), "ONNX Runtime to be open")
    floor = resident_of(server)
    server.stop()
    return floor


def resident_of(server):
    """Not its share: how many others have the libraries mapped, and for how long, is chance."""
    text = open(f"/proc/{server.process.pid}/smaps_rollup").read()
    return int(re.search(r"^Rss:\s+(\d+) kB", text, re.M).group(1)) * 1024


@pytest.fixture
def serve_few(serve, repository):
    """serve_few(n): a server with room for so many models of SIZE."""
    floor = floor_of(serve, repository)

    def start(n, **settings):
        # Beside the models room for a first run, of which a quarter of the weights is expected, and not for one more model.
        budget = int(floor + n * SIZE + SIZE * 3 // 8)
        settings = {"memory.budget": budget, "models.load": "on_demand", "memory.meter_interval": "100ms", "memory.stay": "0s", **settings}
        return serve(repository.path, settings=settings, env=GIVES_BACK).wait_ready()
    return start


def in_memory(server):
    return {name.split("/")[0] for name, (state, reason) in index(server).items() if state == "READY" and reason != "on demand"}


def test_twenty_models_answer_with_room_for_five(serve_few, repository):
    names = [f"m{i}" for i in range(20)]
    for name in names:
        add(repository, name)
    server = serve_few(5, **{"memory.stay": "100ms"})
    budget = server.metric("troupe_budget_limit", resource="bytes")
    most = 5 + 2 * (SLOW > 1)  # what a sanitizer takes for itself is not the same each time
    for _ in range(2):
        for name in names:
            assert infer(server, name)[0] == 200
            server.wait(lambda: name in in_memory(server), f"{name} to be in the index")  # a snapshot later, perhaps
            assert len(in_memory(server)) <= most, server.log()
            if SLOW == 1:
                assert memory_of(server) <= budget * 1.02 + 32 * MIB
    server.wait(lambda: server.metric("troupe_models_resident") <= most, "the last to have left")
    assert server.metric("troupe_evictions_total") >= 30
    assert server.metric("troupe_evicted_bytes_total") >= 30 * SIZE
    assert server.metric("troupe_model_loads_total", result="failed") == 0
    with ThreadPoolExecutor(20) as pool:  # all at the same time: they wait for each other's memory
        assert [status for status, _, _ in pool.map(lambda name: infer(server, name), names)] == [200] * 20
    words = r"letting 'm\d+' go: room for 'm\d+': \d+ bytes(?: together with \d+ others?)?, asked for \S+ times a second, \d+ ms to load again, score \S+"
    assert re.search(words, server.log())


def test_models_that_fit_but_for_their_first_runs_all_answer(serve, repository):
    """Room for all models and for half of a first run beside them: somebody has to go, though a request waits for each."""
    names, size = [f"m{i}" for i in range(4)], 3 * SIZE
    for name in names:
        add(repository, name, size, more="holds 1000000\n")
    settings = {"models.load": "startup", "memory.meter_interval": "100ms", "memory.stay": "0s"}
    server = serve(repository.path, settings=settings, env=GIVES_BACK).wait_ready(*names)
    server.wait(lambda: "ONNX Runtime is open" in server.log(), "ONNX Runtime to be open")
    used = resident_of(server)
    server.stop()
    # A quarter of the weights is expected of a first run; a 64th of the budget is kept for requests.
    settings["memory.budget"] = used * 64 // 63  # what the first server took beyond its accounts is half of that already
    server = serve(repository.path, settings=settings, env=GIVES_BACK).wait_ready()
    server.wait(lambda: in_memory(server) == set(names), "all to be loaded")
    server.wait(lambda: server.metric("troupe_process_proportional_bytes") > 4 * size, "the meter to have seen them")
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda i: infer(server, names[i % 4]), range(12)))
    assert [(status, body) for status, body, _ in answers if status != 200] == [], server.log()
    assert server.metric("troupe_limit_hits_total", limit="budget") == 0
    assert SLOW > 1 or server.metric("troupe_evictions_total", **{"for": "run"}) > 0, server.log()


def test_what_never_fits_is_refused_with_the_numbers_and_nobody_leaves(serve_few, repository):
    add(repository, "small")
    add(repository, "large", 10 * SIZE)
    server = serve_few(3)
    assert infer(server, "small")[0] == 200
    status, body, _ = infer(server, "large")
    assert status == 507, body
    assert re.search(rf"needs {10 * SIZE + 4096} bytes; at most \d+ of \d+ can be had", json.loads(body)["error"]), body
    server.wait(lambda: in_memory(server) == {"small"}, "the index to say so")
    assert server.metric("troupe_loads_refused_total") == 1
    assert server.metric("troupe_evictions_total") == 0
    assert infer(server, "small")[0] == 200


def test_who_is_pinned_or_busy_stays(serve_few, repository):
    add(repository, "pinned", 3 * SIZE, config="pin: true\n")
    add(repository, "busy", more=f"sleep {3 * SLOW}s\n")
    for i in range(2):
        add(repository, f"m{i}")
    server = serve_few(5, **{"memory.stay": "2s"})  # long enough for the run to have begun
    assert infer(server, "pinned")[0] == 200
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        run = pool.submit(infer, server, "busy")
        server.wait(lambda: "busy" in in_memory(server), "the busy one to be loaded")
        for i in range(2):
            assert infer(server, f"m{i}")[0] == 200
            there = in_memory(server)  # what is loaded anew may come into the index a little later, but nothing leaves it so
            assert "pinned" in there and ("busy" in there or time.monotonic() - began > 3 * SLOW), server.log()
        assert run.result()[0] == 200
    add(repository, "four", 4 * SIZE)
    assert server.request("POST", "/v2/repository/index")[0] == 200
    status, body, _ = server.request("POST", "/v2/repository/models/four/load")
    assert status == 507, body  # not beside what is pinned
    assert "pinned" in in_memory(server)


def test_a_load_waits_until_the_busy_one_has_answered(serve_few, repository):
    add(repository, "busy", more="sleep 500ms\n")
    add(repository, "next")
    server = serve_few(1)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(infer, server, "busy")
        server.wait(lambda: "busy" in in_memory(server), "the busy one to be loaded")
        status, body, _ = infer(server, "next")
        assert status == 200, (body, server.log())
        assert run.result()[0] == 200
    # With a sanitizer the process is larger than its floor says: both may have fitted, until it was measured.
    server.wait(lambda: in_memory(server) == {"next"} if SLOW == 1 else len(in_memory(server)) == 1, "the index to say so")


def test_nobody_fails_while_models_come_and_go(serve_few, repository):
    names = [f"m{i}" for i in range(8)]
    for name in names:
        add(repository, name, more="load_sleep 5ms\n")
    server = serve_few(3)
    seed = random.randrange(1 << 30)
    print("seed", seed)

    def ask_some(worker):
        choice = random.Random(seed + worker)
        return [infer(server, choice.choice(names))[:2] for _ in range(25)]
    with ThreadPoolExecutor(8) as pool:
        answers = [answer for some in pool.map(ask_some, range(8)) for answer in some]
    assert [answer for answer in answers if answer[0] != 200] == []
    assert server.metric("troupe_evictions_total") > 0


def test_what_does_not_fit_at_the_start_is_loaded_when_it_is_asked_for(serve_few, repository):
    for i in range(6):
        add(repository, f"m{i}")
    server = serve_few(3, **{"models.load": "startup"})
    assert 3 <= len(in_memory(server)) <= 3 + 2 * (SLOW > 1)  # as above
    assert server.metric("troupe_evictions_total") == 0
    for i in range(6):
        assert infer(server, f"m{i}")[0] == 200


def slowest_load(serve_few, repository):
    """How many seconds it takes here, now, to load a model that is not dear at all."""
    for i in range(3):
        add(repository, f"probe{i}")
    server = serve_few(3)
    for i in range(3):
        assert infer(server, f"probe{i}")[0] == 200
    server.stop()
    return max(int(ms) for ms in re.findall(r"loaded 'probe\d/1' in (\d+) ms", server.log())) / 1000


def load_seconds(server, costs):
    return sum(costs[name] for name in re.findall(r"loaded '(\w+)/1'", server.log()))


def test_cost_keeps_what_is_dear_to_load_and_lru_does_not(serve_few, repository):
    """Half of the models take long to load.  All are asked for equally often, so it pays to let the cheap ones come and go."""
    dear = min(max(0.2, 5 * slowest_load(serve_few, repository)), 3)
    costs = {f"dear{i}": dear for i in range(4)} | {f"cheap{i}": 0.005 for i in range(4)}
    for name, seconds in costs.items():
        add(repository, name, more=f"load_sleep {int(seconds * 1000)}ms\n")
    spent = {}
    for policy in ("cost", "lru"):
        server = serve_few(5, **{"memory.policy": policy})
        choice = random.Random(7)
        for _ in range(80):
            assert infer(server, choice.choice(sorted(costs)))[0] == 200
        server.stop()
        spent[policy] = load_seconds(server, costs)
    assert spent["cost"] <= 0.9 * spent["lru"], spent  # how much less is the benchmark's to say


def test_thrashing_is_said_with_the_bytes_that_would_end_it(serve_few, repository):
    names = [f"m{i}" for i in range(4)]
    for name in names:
        add(repository, name, more="load_sleep 250ms\n")  # most of the time goes to loading
    server = serve_few(2)
    ended = threading.Event()

    def go_in_circles():
        while not ended.is_set():
            for name in names:
                infer(server, name)
    runner = threading.Thread(target=go_in_circles)
    runner.start()
    try:
        server.wait(lambda: server.metric("troupe_memory_thrashing") == 1, "thrashing to be seen", 120)
    finally:
        ended.set()
        runner.join()
    assert server.metric("troupe_evicted_returns_total") >= 3
    assert SIZE // 2 <= server.metric("troupe_memory_cure_bytes") <= 6 * SIZE
    server.wait_logged("memory is too small for what is asked for")


def private_bytes(server):
    text = open(f"/proc/{server.process.pid}/smaps_rollup").read()
    return sum(int(kib) for kib in re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.M)) * 1024


def test_memory_is_given_back_hundreds_of_loads_long(serve, repository):
    """A dozen real models, room for four: what is private does not grow from one time around to the next."""
    floor = floor_of(serve, repository)
    names = [f"net{i}" for i in range(12)]
    for i, name in enumerate(names):
        (repository.path / name / "1").mkdir(parents=True)
        chain(repository.path / name / "1" / "model.onnx", rows=4, size=256 + 16 * (i % 3), layers=8)
    budget = int(floor + 60 * MIB)
    server = serve(repository.path, env=GIVES_BACK,
                   settings={"memory.budget": budget, "models.load": "on_demand", "memory.stay": "0s", "memory.trim_interval": "100ms"}).wait_ready()
    metadata = {name: json.loads(server.get(f"/v2/models/{name}")[1]) for name in names}

    def cycle():
        for name in names:
            (entry,) = metadata[name]["inputs"]
            shape = [4 if d < 0 else d for d in entry["shape"]]
            count = 1
            for d in shape:
                count *= d
            body = json.dumps({"inputs": [{"name": entry["name"], "datatype": "FP32", "shape": shape, "data": [0.5] * count}]}).encode()
            status, reply, _ = infer(server, name, body)
            assert status == 200, reply
            assert server.request("POST", f"/v2/repository/models/{name}/unload")[0] == 200
            assert server.request("POST", f"/v2/repository/models/{name}/load", b'{"parameters": {"keep_alive": "forever"}}')[0] == 200
            assert server.request("POST", f"/v2/repository/models/{name}/unload")[0] == 200
            assert server.request("POST", f"/v2/repository/models/{name}/load", b'{"parameters": {"keep_alive": "forever"}}')[0] == 200

    def settled():
        server.wait(lambda: server.metric("troupe_models_resident") >= 1, "somebody to be in")
        return private_bytes(server)
    cycle()
    first = settled()
    for _ in range(12):
        cycle()
    assert server.metric("troupe_model_loads_total", result="ok") >= 300
    if SLOW == 1:
        server.wait(lambda: private_bytes(server) <= first * 1.05 + 4 * MIB, "memory to be given back")
