"""Models in processes of their own: what ends such a process ends one run, and nothing else."""
import json
import os
import re
import signal
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc

from conftest import ROOT, SLOW, Server
from test_residency import troupe

MODELS = ROOT / "tests/models/good"
LOWEST = -(1 << 63)


def divide(server, a, b, model="div_int64"):
    body = {"inputs": [{"name": "a", "datatype": "INT64", "shape": [len(a)], "data": a},
                       {"name": "b", "datatype": "INT64", "shape": [len(b)], "data": b}]}
    status, reply, _ = server.request("POST", f"/v2/models/{model}/infer", json.dumps(body).encode())
    return status, json.loads(reply)


def divide_patiently(server, a, b):
    """Until there is a process again; until then the server says so."""
    end = time.monotonic() + 60 * SLOW
    status, reply = divide(server, a, b)
    while status == 503 and time.monotonic() < end:
        status, reply = divide(server, a, b)
    return status, reply


def echo(server, model, values):
    body = {"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, len(values)], "data": values}]}
    status, reply, _ = server.request("POST", f"/v2/models/{model}/infer", json.dumps(body).encode())
    return status, json.loads(reply)


def workers_of(server):
    """The process's children, by what the kernel says; a child of any of its threads."""
    found = []
    for task in Path(f"/proc/{server.process.pid}/task").iterdir():
        try:
            found += [int(pid) for pid in (task / "children").read_text().split()]
        except OSError:
            pass  # a thread that has ended meanwhile
    return found


def entry_of(server, model):
    _, reply, _ = server.request("POST", "/v2/repository/index", b"{}")
    (entry,) = [e for e in json.loads(reply) if e["name"] == model]
    return entry


@pytest.fixture
def deadly(serve, repository):
    """A server with a model that a request can end, and two that go on."""
    repository.add(MODELS / "div_int64.onnx")
    repository.add(ROOT / "examples/models/digits_linear.onnx")
    (repository.path / "plain.echo").write_text("")
    return serve(repository.path).wait_ready("div_int64", "plain", "digits_linear")


def test_the_lowest_number_by_minus_one(deadly):
    assert divide(deadly, [7, -9], [2, 3])[1]["outputs"][0]["data"] == [3, -3]
    assert "in a worker process" in entry_of(deadly, "div_int64")["reason"]
    for _ in range(3):
        status, reply = divide_patiently(deadly, [LOWEST], [-1])
        assert status == 500 and "SIGFPE" in reply["error"] and "div_int64" in reply["error"], (status, reply)
        assert echo(deadly, "plain", [1.0, 2.0])[0] == 200
        status, reply = divide_patiently(deadly, [7], [2])
        assert status == 200 and reply["outputs"][0]["data"] == [3], (status, reply)
    assert deadly.metric("troupe_worker_restarts_total") == 3
    assert deadly.metric("troupe_worker_processes") == 1
    assert entry_of(deadly, "div_int64")["state"] == "READY"


def test_others_are_answered_while_it_ends(deadly):
    wrong, answered, stop = [], [0], threading.Event()

    def ask():
        while not stop.is_set():
            status, reply = echo(deadly, "plain", [1.0, 2.0, 3.0])
            answered[0] += 1
            if status != 200 or reply["outputs"][0]["data"] != [1.0, 2.0, 3.0]:
                wrong.append((status, reply))
    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(4):
            status, _ = divide_patiently(deadly, [LOWEST, 1], [-1, 1])
            assert status == 500
    finally:
        stop.set()
        asking.join()
    assert answered[0] > 0 and not wrong, wrong[:3]


def test_kill_under_load(deadly):
    """Every request is answered: right, or with the reason."""
    bad, right, stop = [], [0], threading.Event()

    def ask():
        while not stop.is_set():
            status, reply = divide(deadly, [84], [2])
            if status == 200 and reply["outputs"][0]["data"] == [42]:
                right[0] += 1
            elif not (status in (500, 503) and "worker process" in reply.get("error", "")):
                bad.append((status, reply))
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for kills in range(1, 4):
            deadly.wait(lambda: workers_of(deadly), "a worker process")
            for pid in workers_of(deadly):
                os.kill(pid, signal.SIGKILL)
            deadly.wait(lambda: deadly.metric("troupe_worker_restarts_total") >= kills, "the restart")
            before = right[0]
            deadly.wait(lambda: right[0] > before, "an answer", 60)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not bad, bad[:3]


def test_configuration_says_otherwise(serve, repository):
    """`none` keeps a deadly model in the server, `process` isolates one that is not."""
    for name, wish in (("inside", "none"), ("outside", "process")):
        folder = repository.path / name
        (folder / "1").mkdir(parents=True)
        (folder / "1/model.onnx").write_bytes((MODELS / ("div_int64.onnx" if wish == "none" else "div_safe.onnx")).read_bytes())
        (folder / "model.yaml").write_text(f"isolation: {wish}\n")
    server = serve(repository.path).wait_ready("inside", "outside")
    assert entry_of(server, "inside")["reason"].startswith("warning: ")
    assert len(workers_of(server)) == 1
    assert any("'outside/1'" in line and "in a worker process: isolation: process" in line for line in server.lines), server.log()
    assert "in a worker process" in server.get("/api/residency")[1].decode()
    server.request("POST", "/v2/repository/models/outside/unload", b"{}")
    server.wait(lambda: not workers_of(server), "the process to end")


def test_large_tensors(serve, repository):
    """Every byte comes through, in both directions, and nothing is kept for long."""
    (repository.path / "big").mkdir(parents=True)
    (repository.path / "big/model.echo").write_text("input X FP32 [-1,-1]\n")
    (repository.path / "big/model.yaml").write_text("isolation: process\n")
    server = serve(repository.path).wait_ready("big")
    for n in (1, 1000, 150_000, 3_000_000):
        data = struct.pack(f"<{n}f", *((i * 7919) % 65536 for i in range(n)))
        head = json.dumps({"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, n], "parameters": {"binary_data_size": len(data)}}],
                           "parameters": {"binary_data_output": True}}).encode()
        status, reply, headers = server.request("POST", "/v2/models/big/infer", head + data,
                                                {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"})
        assert status == 200, reply
        assert reply[int(headers["Inference-Header-Content-Length"]):] == data


def test_large_inputs_are_not_copied_for_the_worker(serve, repository):
    """It looks at the body where the server has received it; what is copied of that came with the header."""
    (repository.path / "big").mkdir(parents=True)
    (repository.path / "big/model.echo").write_text("input X FP32 [-1,-1]\n")
    (repository.path / "big/model.yaml").write_text("isolation: process\n")
    server = serve(repository.path).wait_ready("big")
    for n in (150_000, 5_000_000):  # kept for the next one, and not
        data = struct.pack("<f", 0.5) * n
        head = json.dumps({"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, n], "parameters": {"binary_data_size": len(data)}}],
                           "parameters": {"binary_data_output": True}}).encode()
        before = server.metric("troupe_copied_bytes_total")
        for _ in range(5):
            status, reply, headers = server.request(
                "POST", "/v2/models/big/infer", head + data,
                {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"})
            assert status == 200, reply
            assert reply[int(headers["Inference-Header-Content-Length"]):] == data
        assert server.metric("troupe_copied_bytes_total") - before <= 5 * 80_000, n


def test_large_inputs_of_grpc_are_copied_out_of_frames_only(serve, repository):
    (repository.path / "big").mkdir(parents=True)
    (repository.path / "big/model.echo").write_text("input X FP32 [-1,-1]\n")
    (repository.path / "big/model.yaml").write_text("isolation: process\n")
    server = serve(repository.path).wait_ready("big")
    sent = np.arange(600_000, dtype=np.float32).reshape(2, -1)
    with triton_grpc.InferenceServerClient(server.url) as client:
        x = triton_grpc.InferInput("X", list(sent.shape), "FP32")
        x.set_data_from_numpy(sent)
        before = server.metric("troupe_copied_bytes_total")
        for _ in range(3):
            reply = client.infer("big", [x])
            assert np.array_equal(reply.as_numpy(reply.get_response().outputs[0].name), sent)
        copied = server.metric("troupe_copied_bytes_total") - before
        assert 3 * sent.nbytes <= copied < 3 * 1.1 * sent.nbytes, copied


def test_rows_of_a_batch_are_gathered_where_the_worker_looks(serve, repository):
    """Four requests, which wait for each other, are copied once into one."""
    (repository.path / "big").mkdir(parents=True)
    (repository.path / "big/model.echo").write_text("input X FP32 [-1,150000]\n")
    (repository.path / "big/model.yaml").write_text("isolation: process\nmax_batch_size: 8\n"
                                                    "dynamic_batching: {preferred_batch_size: [4], max_queue_delay_microseconds: 60000000}\n")
    server = serve(repository.path).wait_ready("big")
    replies = {}

    def ask(i):
        data = struct.pack("<f", i + 0.5) * 150_000
        head = json.dumps({"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 150_000], "parameters": {"binary_data_size": len(data)}}],
                           "parameters": {"binary_data_output": True}}).encode()
        status, reply, headers = server.request("POST", "/v2/models/big/infer", head + data,
                                                {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"})
        replies[i] = status == 200 and reply[int(headers["Inference-Header-Content-Length"]):] == data
    for turn in range(1, 4):  # the memory of the batch before may still be looked at, or not
        threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
        before = server.metric("troupe_copied_bytes_total")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert replies == {i: True for i in range(4)}, replies
        assert server.metric("troupe_batches_total") == turn
        copied = server.metric("troupe_copied_bytes_total") - before
        assert 4 * 600_000 <= copied <= 4 * (600_000 + 80_000), copied


def test_what_finds_no_room_in_the_commons_is_copied_and_told(serve, repository):
    """1 MiB of addresses: a body of 600 KB has room, a second one at the same time, or of another size, has none."""
    (repository.path / "plain.echo").write_text("sleep 300ms\n")
    repository.write("alone/model.echo", "sleep 300ms\n")
    repository.write("alone/model.yaml", "isolation: process\n")
    server = serve(repository.path, settings={"limits.commons_bytes": "1MiB", "threads.loops": 1, "memory.meter_interval": "100ms"})
    server.wait_ready("alone", "plain")
    assert "worker processes look at 0 of 1.0 MiB" in troupe(server, "ps")
    sent = [np.full((1, n), n, np.float32) for n in (150_000, 150_000, 200_000)]

    def ask(array):
        with triton_grpc.InferenceServerClient(server.url) as client:
            value = triton_grpc.InferInput("INPUT0", list(array.shape), "FP32")
            value.set_data_from_numpy(array)
            return client.infer("alone", [value]).as_numpy("OUTPUT0")
    with ThreadPoolExecutor(3) as pool:
        for array, reply in zip(sent, pool.map(ask, sent)):
            assert np.array_equal(array, reply)
    refused = server.metric("troupe_commons_refused_total")
    assert refused >= 1 and server.metric("troupe_commons_limit_bytes") == 1 << 20
    assert 0 < server.metric("troupe_commons_bytes") <= 1 << 20
    assert server.metric("troupe_copied_bytes_total") >= min(a.nbytes for a in sent)
    server.wait(lambda: "memory that worker processes read requests from is full" in server.log(), "the reason in the log")
    assert re.search(r"it was full \d+ times, and requests were copied for them \(limits.commons_bytes\)", troupe(server, "ps"))
    told = json.loads(server.get("/api/residency")[1])["commons"]
    assert told["limit_bytes"] == 1 << 20 and told["refused"] >= refused
    time.sleep(0.3)
    assert server.log().count("is full: what finds no room") == 1, "it is said once"


def test_without_commons_everything_is_copied(serve, repository):
    repository.write("alone/model.echo", "")
    repository.write("alone/model.yaml", "isolation: process\n")
    server = serve(repository.path, settings={"limits.commons_bytes": 0}).wait_ready("alone")
    array = np.arange(200_000, dtype=np.float32).reshape(1, -1)
    with triton_grpc.InferenceServerClient(server.url) as client:
        value = triton_grpc.InferInput("INPUT0", [1, 200_000], "FP32")
        value.set_data_from_numpy(array)
        assert np.array_equal(client.infer("alone", [value]).as_numpy("OUTPUT0"), array)
    assert server.metric("troupe_copied_bytes_total") >= array.nbytes
    assert "troupe_commons" not in server.get("/metrics")[1].decode() and "look at" not in troupe(server, "ps")


def test_its_memory_is_counted(serve, repository):
    """In the model's account, and in what the server says of itself."""
    folder = repository.path / "heavy"
    folder.mkdir(parents=True)
    (folder / "model.null").write_text("weighs 100000000\n")
    (folder / "model.yaml").write_text("isolation: process\n")
    server = serve(repository.path).wait_ready("heavy")
    assert server.metric("troupe_account_bytes", account="weights") >= 100_000_000


def test_the_worker_ends_with_the_server(repository):
    repository.add(MODELS / "div_int64.onnx")
    server = Server(repository.path).wait_ready("div_int64")
    pids = workers_of(server)
    assert len(pids) == 1
    server.process.kill()
    server.process.wait()
    server.stop(expect=-signal.SIGKILL)
    end = time.monotonic() + 30 * SLOW
    while any(Path(f"/proc/{pid}/exe").exists() for pid in pids) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(Path(f"/proc/{pid}/exe").exists() for pid in pids)
