"""Models change while they are in use: replaced under load, broken, removed, half copied; and a server that is told to end."""
import contextlib
import json
import os
import shutil
import signal
import socket
import threading
import time

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from conftest import SLOW, Gate, Server
from test_repository import IDENTITY, NEGATED, X, ask, index, load, post, versions_of
from triton_support import BAD

WATCHED = {"poll": {"repository.watch": "poll", "repository.poll": "100ms", "repository.settle": "50ms"},
           "notify": {"repository.watch": "notify", "repository.settle": "50ms"}}


def put(source, target):
    """Copies a file as careful people do: beside its place first, then there in one step."""
    beside = target.parent.parent / f".{target.name}.new"
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(source, str):
        beside.write_text(source)
    else:
        shutil.copy(source, beside)
    os.replace(beside, target)


class Hammer:
    """Client threads that ask one model over and over, until the end of the block; every answer must be `x` or `-x`."""

    def __init__(self, server, model, over_http=3, over_grpc=2):
        self.server, self.model, self.failures, self.answers = server, model, [], []
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(triton_http,)) for _ in range(over_http)]
        self.threads += [threading.Thread(target=self._run, args=(triton_grpc,)) for _ in range(over_grpc)]

    def _run(self, library):
        try:
            with library.InferenceServerClient(self.server.url) as client:
                tensor = library.InferInput("x", list(X.shape), "FP32")
                tensor.set_data_from_numpy(X)
                while not self.stopped.is_set():
                    answer = client.infer(self.model, [tensor]).as_numpy("y")
                    sign = 1 if np.array_equal(answer, X) else -1
                    assert np.array_equal(answer, sign * X), answer
                    self.answers.append(sign)
        except Exception as error:  # whatever it is, a client saw it
            self.failures.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


# ---- replacement ----

def test_versions_are_swapped_under_load_without_one_failed_request(serve, repository):
    repository.add(IDENTITY, "m/1/model.onnx")
    server = serve(repository.path)
    server.wait_ready("m")
    with Hammer(server, "m") as hammer:
        for number in range(2, 14):
            source, sign = (NEGATED, -1) if number % 2 == 0 else (IDENTITY, 1)
            put(source, repository.path / f"m/{number}/model.onnx")
            assert load(server, "m")[0] == 200
            answer, version = ask(server, "m")
            assert version == str(number) and np.array_equal(answer, sign * X), "whoever was told so finds the new version"
            time.sleep(0.05)
        for number in range(13, 8, -1):  # and back, by taking versions away
            shutil.rmtree(repository.path / f"m/{number}")
            assert load(server, "m")[0] == 200
            assert versions_of(server, "m") == [str(number - 1)]
    assert hammer.failures == []
    assert {1, -1} == set(hammer.answers) and len(hammer.answers) > 100
    assert server.metric("nv_inference_request_failure", model="m") == 0


def test_a_file_is_replaced_in_its_place_under_load(serve, repository):
    put(IDENTITY, repository.path / "m/model.onnx")
    server = serve(repository.path, settings=WATCHED["notify"])
    server.wait_ready("m")
    with Hammer(server, "m") as hammer:
        for i in range(6):
            source, sign = (IDENTITY, 1) if i % 2 else (NEGATED, -1)
            put(source, repository.path / "m/model.onnx")
            server.wait(lambda: np.array_equal(ask(server, "m")[0], sign * X), "the new file to be served")
    assert hammer.failures == []
    assert index(server)["m/1"] == ("READY", "")


def test_requests_finish_on_the_version_they_began_on(serve, repository, gate):
    repository.write("m/1/model.echo", gate.until)
    repository.write("m/config.pbtxt", 'backend: "echo"')
    server = serve(repository.path, settings={"threads.executors": 8})
    server.wait_ready("m")
    answers = []
    slow = [threading.Thread(target=lambda: answers.append(ask(server, "m", name="INPUT0"))) for _ in range(3)]
    for thread in slow:
        thread.start()
    server.wait(lambda: server.metric("troupe_model_in_flight", model="m") == 3, "the requests to begin")
    repository.write("m/2/model.echo", "")
    assert load(server, "m")[0] == 200
    assert ask(server, "m", name="INPUT0")[1] == "2" and answers == [], "the new version serves while the old one still answers"
    gate.open()
    for thread in slow:
        thread.join()
    assert [version for _, version in answers] == ["1"] * 3
    assert all(np.array_equal(answer, X) for answer, _ in answers)
    server.wait(lambda: server.metric("troupe_model_unloads_total") == 1, "the old version to go")


def test_a_request_that_runs_outlives_the_unload_of_its_model(serve, repository, gate):
    repository.write("m.echo", gate.until)
    server = serve(repository.path)
    server.wait_ready("m")
    answers = []
    slow = threading.Thread(target=lambda: answers.append(ask(server, "m", name="INPUT0")))
    slow.start()
    server.wait(lambda: server.metric("troupe_model_in_flight", model="m") == 1, "the request to begin")
    assert post(server, "/v2/repository/models/m/unload")[0] == 200
    status, reply = post(server, "/v2/models/m/infer", {"inputs": []})
    assert status in (404, 503) and answers == [], "nobody new is let in"
    gate.open()
    slow.join()
    assert np.array_equal(answers[0][0], X)
    assert index(server)["m/1"] == ("UNAVAILABLE", "unloaded")


@pytest.mark.parametrize("broken, words", [("truncated.onnx", "cut off"), ("corrupt.onnx", ""), ("unknown_operator.onnx", "Frobnicate"),
                                           ("text.onnx", "not an ONNX model"), ("git_lfs_pointer.onnx", "LFS")])
def test_a_broken_new_version_leaves_the_old_one_serving_and_says_why(serve, repository, broken, words):
    repository.add(IDENTITY, "m/1/model.onnx")
    server = serve(repository.path)
    server.wait_ready("m")
    repository.add(BAD / broken, "m/2/model.onnx")
    status, reply = load(server, "m")
    assert status == 400 and "version 2 is at UNAVAILABLE state" in reply["error"] and words in reply["error"]
    assert np.array_equal(ask(server, "m")[0], X)
    state, reason = index(server)["m/1"]
    assert state == "READY" and reason.startswith("the last load failed, older files are served: version 2") and words in reason
    put(NEGATED, repository.path / "m/2/model.onnx")
    assert load(server, "m")[0] == 200
    assert ask(server, "m")[1] == "2" and index(server) == {"m/2": ("READY", "")}


def test_what_serves_beside_a_broken_version_comes_back_after_an_eviction(serve, repository):
    """Clients do not see that it went: not by its name, not by its number, and the index goes on saying what is wrong with the newest."""
    repository.add(IDENTITY, "m/1/model.onnx")
    server = serve(repository.path, settings={"models.load": "on_demand", **WATCHED["poll"]}).wait_ready()
    assert np.array_equal(ask(server, "m")[0], X)
    put(BAD / "truncated.onnx", repository.path / "m/2/model.onnx")
    server.wait(lambda: "cut off" in str(index(server)), "the broken version to be tried")
    for version in ("", "1", ""):
        assert post(server, "/api/models/m/evict", {})[0] == 200
        assert json.loads(server.get("/api/residency?name=m")[1])["asked"]["where"] == "not in memory"
        assert server.get("/v2/models/m/ready")[0] == 200
        answer, number = ask(server, "m", version=version) if version else ask(server, "m")
        assert np.array_equal(answer, X) and number == "1"
        server.wait(lambda: "cut off" in str(index(server)), "the index to say why the newest does not serve")
    put(NEGATED, repository.path / "m/2/model.onnx")
    server.wait(lambda: np.array_equal(ask(server, "m")[0], -X), "the mended version to serve")


def test_a_broken_new_configuration_leaves_the_old_one_serving_and_says_why(serve, repository):
    repository.add(IDENTITY, "m/1/model.onnx")
    server = serve(repository.path)
    server.wait_ready("m")
    repository.write("m/config.pbtxt", "max_batchsize: 1")
    status, reply = load(server, "m")
    assert status == 400 and 'm/config.pbtxt:1: unknown key "max_batchsize"' in reply["error"]
    state, reason = index(server)["m/1"]
    assert state == "READY" and "older files are served" in reason and "max_batchsize" in reason
    assert np.array_equal(ask(server, "m")[0], X)


# ---- who notices ----

@pytest.mark.parametrize("how", ["poll", "notify"])
def test_a_watched_repository_is_followed(serve, repository, how):
    repository.add(IDENTITY, "there.onnx")
    server = serve(repository.path, settings=WATCHED[how])
    server.wait_ready("there")
    put(NEGATED, repository.path / "new/1/model.onnx")
    server.wait_ready("new")
    put(IDENTITY, repository.path / "new/2/model.onnx")
    server.wait(lambda: ask(server, "new")[1] == "2", "the new version")
    put("version_policy { all {} }", repository.path / "new/config.pbtxt")
    server.wait(lambda: versions_of(server, "new") == ["1", "2"], "the new configuration")
    put(NEGATED, repository.path / "new/2/model.onnx")
    server.wait(lambda: np.array_equal(ask(server, "new", version=2)[0], -X), "the file in place of another")
    shutil.rmtree(repository.path / "new")
    server.wait(lambda: "new" not in {n.split("/")[0] for n in index(server)}, "the model to leave")
    status, reply = post(server, "/v2/models/new/infer", {"inputs": []})
    assert status == 404 and "Request for unknown model: 'new' is not found" in reply["error"]
    (repository.path / "there.onnx").unlink()
    server.wait(lambda: index(server) == {}, "the other model to leave")
    repository.add(IDENTITY, "there.onnx")
    server.wait_ready("there")


@pytest.mark.parametrize("how", ["poll", "notify"])
def test_what_is_still_being_copied_is_not_taken_up(serve, repository, how):
    repository.add(IDENTITY, "m.onnx")
    server = serve(repository.path, settings=dict(WATCHED[how], **{"repository.settle": "600ms" if SLOW == 1 else "3s"}))
    server.wait_ready("m")
    with open(repository.path / "m.onnx", "wb") as copy, open(repository.path / "new.onnx", "wb") as other:
        for byte in NEGATED.read_bytes():
            for file in (copy, other):
                file.write(bytes([byte]))
                file.flush()
            time.sleep(0.02)
            assert "failed" not in server.log()
    server.wait(lambda: np.array_equal(ask(server, "m")[0], -X), "the finished copy")
    server.wait_ready("new")
    assert server.metric("troupe_model_loads_total", result="failed") == 0
    assert server.metric("troupe_model_loads_total", result="ok") == 3, "nothing was loaded on the way"


def test_what_was_unloaded_is_not_loaded_by_a_change_of_its_files(serve, repository):
    put(IDENTITY, repository.path / "m/model.onnx")
    server = serve(repository.path, settings=WATCHED["notify"])
    server.wait_ready("m")
    assert post(server, "/v2/repository/models/m/unload")[0] == 200
    put(NEGATED, repository.path / "m/model.onnx")
    repository.add(IDENTITY, "witness.onnx")
    server.wait_ready("witness")
    assert index(server)["m/1"] == ("UNAVAILABLE", "unloaded")
    assert load(server, "m")[0] == 200
    assert np.array_equal(ask(server, "m")[0], -X)


def test_a_hangup_signal_takes_up_what_changed(serve, repository):
    repository.add(IDENTITY, "m/1/model.onnx")
    repository.add(IDENTITY, "gone.onnx")
    server = serve(repository.path)
    server.wait_ready("m", "gone")
    repository.add(NEGATED, "m/2/model.onnx")
    (repository.path / "gone.onnx").unlink()
    repository.add(IDENTITY, "new.onnx")
    time.sleep(0.2)
    assert ask(server, "m")[1] == "1", "nobody looks by himself"
    server.process.send_signal(signal.SIGHUP)
    server.wait(lambda: set(index(server)) == {"m/2", "new/1"}, "the folder to be looked at")
    server.wait_ready("new")
    assert np.array_equal(ask(server, "m")[0], -X)


# ---- the end ----

@contextlib.contextmanager
def ending(tmp_path, script, settings=None):
    """A server of its own with one model, `m`; whoever uses it ends it."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "m.echo").write_text(script)
    server = Server(folder, settings=settings)
    server.wait_ready("m")
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def ended(server, code):
    """Waits for a server that was told to end already: a second signal would not let it end in peace."""
    server.process.wait(30 * SLOW)
    server.stop(expect=code)


def in_flight(server, replies):
    """A thread that waits for one answer, begun for certain."""
    thread = threading.Thread(target=lambda: replies.append(attempt(server)))
    thread.start()
    server.wait(lambda: server.metric("troupe_model_in_flight", model="m") >= 1, "the request to begin")
    return thread


def attempt(server):
    try:
        return post(server, "/v2/models/m/infer", {"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, 1], "data": [5]}]})
    except OSError as error:
        return error


def test_a_server_that_is_told_to_end_answers_what_is_in_flight(tmp_path):
    gate = Gate(tmp_path / "gate")
    with ending(tmp_path, gate.until) as server:
        replies = []
        thread = in_flight(server, replies)
        with socket.create_connection(("127.0.0.1", server.port)) as idle:
            server.process.send_signal(signal.SIGTERM)
            idle.settimeout(10 * SLOW)
            assert idle.recv(1) == b"", "a connection without a request is closed"
        with pytest.raises(OSError):
            for _ in range(200):  # no new connections
                socket.create_connection(("127.0.0.1", server.port)).close()
                time.sleep(0.01)
        assert replies == []
        gate.open()
        thread.join()
        status, reply = replies[0]
        assert status == 200 and reply["outputs"][0]["data"] == [5]
        ended(server, 0)


def test_a_stream_in_flight_is_answered_too(tmp_path):
    gate = Gate(tmp_path / "gate")
    with ending(tmp_path, gate.until) as server:
        answers = []
        with triton_grpc.InferenceServerClient(server.url) as client:
            client.start_stream(lambda result, error: answers.append(error or result.as_numpy("OUTPUT0").tolist()))
            tensor = triton_grpc.InferInput("INPUT0", [1, 1], "FP32").set_data_from_numpy(np.array([[5]], np.float32))
            client.async_stream_infer("m", [tensor])
            server.wait(lambda: server.metric("troupe_model_in_flight", model="m") == 1, "the request to begin")
            server.process.send_signal(signal.SIGTERM)
            server.wait(lambda: "draining" in server.log(), "the end to begin")
            assert answers == []
            gate.open()
            client.stop_stream()
            assert answers == [[[5.0]]]
        ended(server, 0)


def test_an_end_that_takes_too_long_gives_up_and_says_so(tmp_path):
    with ending(tmp_path, "sleep 60s\n", {"timeouts.drain": "300ms"}) as server:
        replies = []
        thread = in_flight(server, replies)
        began = time.monotonic()
        server.stop(expect=1)
        assert time.monotonic() - began < 10 * SLOW
        thread.join()
        assert not isinstance(replies[0], tuple) or replies[0][0] == 503
        server.wait_logged("timeouts.drain")


def test_a_second_signal_ends_the_server_at_once(tmp_path):
    with ending(tmp_path, "sleep 60s\n") as server:
        replies = []
        thread = in_flight(server, replies)
        server.process.send_signal(signal.SIGTERM)
        server.wait(lambda: "draining" in server.log(), "the end to begin")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10 * SLOW) == 130
        thread.join()
        assert isinstance(replies[0], OSError)


def test_readiness_ends_before_the_server_does(tmp_path):
    gate = Gate(tmp_path / "gate")
    with ending(tmp_path, gate.until) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as kept:
            body = json.dumps({"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, 1], "data": [5]}]}).encode()
            kept.sendall(b"POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            server.wait(lambda: server.metric("troupe_model_in_flight", model="m") == 1, "the request to begin")
            server.process.send_signal(signal.SIGTERM)
            server.wait(lambda: "draining" in server.log(), "the end to begin")
            gate.open()
            kept.settimeout(10 * SLOW)
            reply = b""
            while chunk := kept.recv(4096):
                reply += chunk
        assert reply.startswith(b"HTTP/1.1 200 ") and b"\r\nConnection: close\r\n" in reply, reply
        ended(server, 0)
