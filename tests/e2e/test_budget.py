"""memory.budget: runs wait for each other when they do not fit together, what can never fit is refused with the numbers, and what the
process really uses stays within it."""
import json
import os
import re
import socket
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import ROOT, SLOW, counts_memory

sys.path.insert(0, str(ROOT / "bench"))
from onnx_maker import field, node, value_info  # noqa: E402

# The thread sanitizer remembers who wrote where, in memory of the process: what a model takes cannot be told then.
pytestmark = counts_memory

IO = "input x FP32 [-1]\noutput y FP32 [-1]\n"
BODY = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}'
MIB = 1 << 20
# The address sanitizer keeps what was freed; what it keeps counts, as all that the process has.
ENV = {"ASAN_OPTIONS": ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "quarantine_size_mb=1", "thread_local_quarantine_size_kb=64"]))}


def infer(server, model, body=BODY):
    return server.request("POST", f"/v2/models/{model}/infer", body, timeout=60)


def memory_of(server):
    text = open(f"/proc/{server.process.pid}/smaps_rollup").read()
    return int(re.search(r"^Pss:\s+(\d+) kB", text, re.M).group(1)) * 1024


def baseline(serve, repository):
    """What a server without models takes here: sanitizers make it much."""
    server = serve(repository.path, env=ENV)
    server.wait_ready()
    used = memory_of(server)
    server.stop()
    return used


def test_big_runs_take_turns(serve, repository):
    floor = baseline(serve, repository)
    big = 192 * MIB
    for name in ("first", "second"):
        repository.write(f"{name}.echo", IO + f"holds {big}\nsleep 100ms\n")
    budget = floor + big + big // 2
    server = serve(repository.path, env=ENV, settings={"memory.budget": budget, "threads.executors": 4, "memory.meter_interval": "100ms",
                                                       "memory.run_wait": "120s"})
    server.wait_ready("first", "second")
    for name in ("first", "second"):  # learned one by one
        assert infer(server, name)[0] == 200
    peak, ended = [0], threading.Event()

    def watch():
        while not ended.is_set():
            peak[0] = max(peak[0], memory_of(server))
            time.sleep(0.01)
    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: infer(server, ("first", "second")[i % 2]), range(16)))
    ended.set()
    watcher.join()
    assert [status for status, _, _ in answers] == [200] * 16
    assert server.metric("troupe_runs_short_total") > 0
    if SLOW == 1:  # the address sanitizer keeps what was freed
        assert peak[0] <= budget * 1.02 + 32 * MIB, (peak[0], budget)
    assert server.metric("troupe_budget_limit", resource="bytes") == budget


def test_a_run_that_can_never_fit(serve, repository):
    floor = baseline(serve, repository)
    repository.write("huge.echo", IO + f"holds {600 * MIB}\n")
    repository.write("small.echo", IO)
    server = serve(repository.path, env=ENV, settings={"memory.budget": floor + 700 * MIB, "memory.meter_interval": "100ms"})
    server.wait_ready("huge", "small")
    assert infer(server, "huge")[0] == 200  # nothing was known, and it fitted
    data = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2]}]}).encode()
    status, body, _ = infer(server, "huge", data)  # twice the input may hold twice as much
    assert status == 507, body
    words = json.loads(body)["error"]
    assert re.search(r"model 'huge/1': a run: needs \d+ bytes; at most \d+ of \d+ can be had", words), words
    assert infer(server, "huge")[0] == 200
    assert infer(server, "small")[0] == 200
    assert server.metric("troupe_limit_hits_total", limit="budget") == 1


def test_a_budget_below_what_the_process_takes_is_told_at_the_start(serve, repository):
    repository.write("m.echo", IO)
    server = serve(repository.path, env=ENV, settings={"memory.budget": MIB, "models.load": "on_demand"}).wait_ready()
    said = r"memory\.budget is too small: it is 1048576 bytes, and the process itself takes (\d+)"
    server.wait(lambda: re.search(said, server.log()), "the log to say so")
    assert int(re.search(said, server.log())[1]) > MIB
    status, body, _ = infer(server, "m")
    assert status == 507 and json.loads(body)["error"].startswith("model 'm' "), body


def test_who_waits_too_long_is_refused(serve, repository):
    floor = baseline(serve, repository)
    big = 192 * MIB
    repository.write("slow.echo", IO + f"holds {big}\nsleep {5 if SLOW == 1 else 3 * SLOW}s\n")
    repository.write("other.echo", IO + f"holds {big}\n")
    server = serve(repository.path, env=ENV, settings={"memory.budget": floor + big + big // 2, "memory.run_wait": "50ms", "memory.meter_interval": "100ms",
                                              "threads.executors": 4})
    server.wait_ready("slow", "other")
    assert infer(server, "slow")[0] == 200
    assert infer(server, "other")[0] == 200
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(infer, server, "slow")
        server.wait(lambda: server.metric("troupe_runs_expected_bytes") >= big, "the slow run to begin")
        status, body, _ = infer(server, "other")
        assert status == 507 and " now " in json.loads(body)["error"], body
        assert first.result()[0] == 200
    assert infer(server, "other")[0] == 200


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_who_hangs_up_does_not_wait_for_memory_any_more(serve, repository, how):
    """The client goes while its request waits for room: it is let go at once, long before there is any."""
    floor = baseline(serve, repository)
    big = 192 * MIB
    repository.write("slow.echo", IO + f"holds {big}\nsleep 60s\n")
    repository.write("other.echo", IO + f"holds {big}\n")
    server = serve(repository.path, env=ENV, settings={"memory.budget": floor + big + big // 2, "memory.meter_interval": "100ms", "memory.run_wait": "1h",
                                                       "threads.executors": 4})
    server.wait_ready("slow", "other")
    assert infer(server, "other")[0] == 200  # learned
    held, waits = (socket.create_connection(("127.0.0.1", server.port)) for _ in range(2))
    post = "POST /v2/models/{}/infer HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n"
    held.sendall(post.format("slow", len(BODY)).encode() + BODY)
    server.wait(lambda: server.metric("troupe_runs_held_bytes") >= big, "the slow run to hold its memory")
    waits.sendall(post.format("other", len(BODY)).encode() + BODY)
    server.wait(lambda: server.metric("troupe_runs_short_total") > 0, "the other to wait for memory")
    assert server.metric("troupe_model_in_flight", model="other") == 1
    if how == "rst":
        waits.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    waits.close()
    server.wait(lambda: server.metric("troupe_model_in_flight", model="other") == 0, "the other to be let go")
    assert server.metric("troupe_model_in_flight", model="slow") == 1
    held.close()  # and the slow run with it


def test_what_the_process_uses_is_compared_with_the_accounts(serve, repository):
    repository.write("echo.echo", IO)
    server = serve(repository.path, env=ENV, settings={"memory.meter_interval": "50ms"})
    server.wait_ready("echo")
    server.wait(lambda: server.metric("troupe_process_proportional_bytes") > 0, "the meter to look")
    used = server.metric("troupe_process_proportional_bytes")
    assert used > 1 * MIB
    assert server.metric("troupe_budget_used", resource="bytes", part="fixed") > 0
    assert server.metric("troupe_budget_limit", resource="mappings") > 0


def test_a_budget_that_is_none_is_refused(repository):
    import subprocess

    from conftest import TROUPE
    made = subprocess.run([TROUPE, "serve", repository.path, "--memory-budget", "120%"], capture_output=True, text=True, timeout=60 * SLOW)
    assert made.returncode == 2 and "1% to 100%" in made.stderr, made.stderr


COLUMNS = 1 << 20  # 4 MiB for each row, between 16 bytes and 4


def write_wide(path):
    """A model x [rows, 4] -> y [rows, 1]: the greatest of a million sums, a row alone."""
    pattern = struct.pack("<4093f", *[(i * 37 % 4093) / 4093 - 0.5 for i in range(4093)])
    values = (pattern * (4 * COLUMNS // 4093 + 1))[:16 * COLUMNS]
    axes = field(5, field(1, "axes") + field(8, 1) + field(20, 7))
    graph = field(1, node("MatMul", ["x", "w"], ["m"])) + field(1, node("Tanh", ["m"], ["t"]))
    graph += field(1, node("ReduceMax", ["t"], ["y"]) + axes) + field(2, "wide")
    graph += field(5, field(1, 4) + field(1, COLUMNS) + field(2, 1) + field(8, "w") + field(9, values))
    graph += field(11, value_info("x", ["rows", 4])) + field(12, value_info("y", ["rows", 1]))
    path.write_bytes(field(1, 8) + field(2, "troupe test") + field(7, graph) + field(8, field(1, "") + field(2, 17)))


def greatest(server, rows):
    data = [((i * 29) % 101 - 50) / 50 for i in range(4 * rows)]
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [rows, 4], "data": data}]}).encode()
    status, reply, _ = infer(server, "wide", body)
    assert status == 200, reply
    output = json.loads(reply)["outputs"][0]
    assert output["shape"] == [rows, 1]
    return output["data"]


def test_a_batch_that_never_fits_is_answered_in_parts(serve, repository):
    rows = 64  # 256 MiB, and as much again
    folder = repository.path / "wide/1"
    folder.mkdir(parents=True)
    write_wide(folder / "model.onnx")
    repository.write("wide/config.pbtxt", f"max_batch_size: {rows}\n")
    server = serve(repository.path, env=ENV)
    server.wait_ready("wide")
    whole = greatest(server, rows)
    assert server.metric("troupe_runs_split_total") == 0
    server.stop()
    server = serve(repository.path, env=ENV, settings={"memory.budget": baseline(serve, repository) + 160 * MIB, "memory.meter_interval": "100ms"})
    server.wait_ready("wide")
    peak, ended = [0], threading.Event()

    def watch():
        while not ended.is_set():
            peak[0] = max(peak[0], memory_of(server))
            time.sleep(0.01)
    watcher = threading.Thread(target=watch)
    watcher.start()
    answers = [greatest(server, rows) for _ in range(3)]
    ended.set()
    watcher.join()
    for answer in answers:
        assert answer == pytest.approx(whole, rel=1e-4, abs=1e-5)
    assert server.metric("troupe_runs_split_total") == 3
    assert server.metric("troupe_limit_hits_total", limit="budget") == 0
    if SLOW == 1:
        assert peak[0] <= server.metric("troupe_budget_limit", resource="bytes") * 1.02 + 32 * MIB
