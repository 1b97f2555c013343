"""Storms: clients that are answered, give up, shut, reset and cancel, over both protocols, with every priority, tenant and deadline, while an
operator changes instances, unloads, loads, evicts, pins and swaps under them.  What must hold: whoever stays is answered exactly once and with
his own rows, or told why not in words that fit; no connection ends that its client did not end; and when the storm is over nothing waits, runs
or is held, and the server ends cleanly.  The seed is printed; TROUPE_SEED and TROUPE_STORM_SECONDS choose others."""
import json
import os
import random
import signal
import socket
import struct
import threading
import time

import numpy as np
import tritonclient.grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from conftest import COUNTS_MEMORY, SLOW
from test_budget import ENV, MIB, baseline
from test_repository import load, post
from test_replacement import put

SEED = int(os.environ.get("TROUPE_SEED", "1"))
SECONDS = float(os.environ.get("TROUPE_STORM_SECONDS", "12" if SLOW > 1 else "6"))
CALLERS = 10
ROW = "input x FP32 [-1,3]\noutput y FP32 [-1,3]\n"
# A model: its file, its configuration; whether its answers may be missing because it is unloaded for a while.
MODELS = {
    "quick": (ROW, "", False),
    "slow": (ROW + "sleep 4ms\n", "instance_group { count: 2 }\n", False),
    "busy": (ROW + "busy 1ms\n", "", False),
    "joined": (ROW + "sleep 2ms\n", "max_batch_size: 8\ndynamic_batching { }\n", False),
    "swapped": (ROW + "sleep 1ms\n", "", False),
    "wide": (ROW + "sleep_row 2ms\n", "max_batch_size: 16\ndynamic_batching { }\n", False),  # is done in parts where somebody has time
    "comes": (ROW + "sleep 2ms\n", "", True),
    "sequel": ("input x FP32 [-1,1]\ninput s FP32 [-1,1]\noutput s_out FP32 [-1,1]\noutput before FP32 [-1,1]\nsleep 1ms\n", """max_batch_size: 8
sequence_batching {
  max_sequence_idle_microseconds: 300000
  oldest { max_candidate_sequences: 12 }
  state [ { input_name: "s" output_name: "s_out" data_type: TYPE_FP32 dims: [ 1 ] } ]
}
""", False),
    "fails": (ROW + "fail_every 3\nfail BACKEND_FAILED the fan stopped\n", "max_batch_size: 4\ndynamic_batching { }\n", False),
}
SEQUEL, SCALED = "sequel", list(MODELS)
PRIORITIES = ["interactive", "normal", "batch"]
SETTINGS = {"threads.executors": 3, "threads.loops": 2, "sched.queue_max": 64, "sched.model_queue_max": 24,
            "memory.trim_interval": "100ms", "sched.tenants": "red weight=3,green concurrency=4,* weight=1"}
REFUSED = {429: "", 503: "", 504: "", 507: "", 500: "the fan stopped"}
GRPC_REFUSED = {"RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"}


class Closed(AssertionError):
    """The server closed a connection that its client keeps."""


class Http:
    """A connection that reads replies byte by byte, so that one too many is seen."""

    def __init__(self, server):
        host, port = server.url.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=60 * SLOW)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def send(self, model, body, headers):
        head = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        self.socket.sendall(f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: localhost\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def more(self):
        got = self.socket.recv(65536)
        if not got:
            raise Closed("the server closed a connection that its client keeps")
        self.rest += got

    def reply(self):
        while b"\r\n\r\n" not in self.rest:
            self.more()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        while len(self.rest) < length:
            self.more()
        body, self.rest = self.rest[:length], self.rest[length:]
        return int(head.split(b" ", 2)[1]), json.loads(body)

    def close(self, how):
        """FIN of both sides, FIN of the sending side first, or RST."""
        if how == "half":
            self.socket.shutdown(socket.SHUT_WR)
            try:
                while self.socket.recv(65536):
                    pass
            except ConnectionResetError:
                pass
        if how == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Caller(threading.Thread):
    """One client, with a random number generator of its own."""

    def __init__(self, server, number, end, models=None, ending=None):
        super().__init__(daemon=True)  # one that hangs does not keep the test
        self.server, self.number, self.end, self.models = server, number, end, models or MODELS
        self.ending = ending or threading.Event()  # set: the server has been told to end
        self.rng = random.Random(f"{SEED}/{number}")
        self.asked = self.answered = self.refused = self.left = 0
        self.error = None
        self.http = None

    def run(self):
        try:
            options = [("grpc.use_local_subchannel_pool", 1)]
            with triton_grpc.InferenceServerClient(self.server.url, channel_args=options) as client:
                kinds = [self.ask_http, self.leave_http, self.pipeline, self.ask_grpc, self.cancel_grpc, self.stream, self.sequence]
                while time.monotonic() < self.end and not self.ending.is_set():
                    kind = self.rng.choices(kinds, [30, 12, 8, 25, 15, *((4, 8) if self.models is MODELS else (0, 0))])[0]
                    kind(client)
            if self.http:
                self.http.close("")
        except BaseException as error:  # pylint: disable=broad-except
            if not self.ending.is_set() or not isinstance(error, (OSError, Closed)):
                self.error = error

    # ---- what is asked ----

    def make(self):
        """A model, an id, and rows that nobody else has."""
        self.asked += 1
        name = f"{self.number}-{self.asked}"
        model = self.rng.choice([m for m in self.models if m != SEQUEL])
        rows = self.rng.choice([1, 1, 1, 2, 3] if model != "wide" else [1, 6, 12])
        first = self.number * 100000 + self.asked % 30000 * 3
        return model, name, [[float(first + 10 * r + i) for i in range(3)] for r in range(rows)]

    def headers(self):
        h = {}
        if self.rng.random() < 0.5:
            h["troupe-priority"] = self.rng.choice(PRIORITIES)
        if self.rng.random() < 0.5:
            h["troupe-tenant"] = self.rng.choice(["red", "green", "blue"])
        if self.rng.random() < 0.3:
            h["troupe-timeout-ms"] = str(self.rng.choice([1, 5, 20, 100, 30000]))
        return h

    def body(self, name, rows):
        parameters = {"priority": self.rng.randint(0, 3)} if self.rng.random() < 0.2 else {}
        return json.dumps({"id": name, "parameters": parameters,
                           "inputs": [{"name": "x", "datatype": "FP32", "shape": [len(rows), 3], "data": sum(rows, [])}]}).encode()

    def check(self, sent, status, reply):
        model, name, rows = sent
        if status == 200:
            assert reply["id"] == name, (name, reply)
            assert reply["outputs"][0]["data"] == sum(rows, []), (sent, reply)
            self.answered += 1
            return
        self.refused += 1
        if status == 404:
            assert self.models[model][2], (model, reply)
            return
        assert status in REFUSED and REFUSED[status] in reply["error"], (sent, status, reply)
        assert status != 500 or model == "fails", (sent, reply)

    def connected(self):
        if not self.http:
            self.http = Http(self.server)
        return self.http

    def ask_http(self, _):
        sent = self.make()
        http = self.connected()
        http.send(sent[0], self.body(*sent[1:]), self.headers())
        self.check(sent, *http.reply())
        assert http.rest == b"", "more than one reply"

    def leave_http(self, _):
        sent = self.make()
        http = self.connected()
        http.send(sent[0], self.body(*sent[1:]), self.headers())
        if self.rng.random() < 0.7:
            time.sleep(self.rng.random() * 0.006)
        http.close(self.rng.choice(["", "half", "reset"]))
        self.http = None
        self.left += 1

    def pipeline(self, _):
        """Several at once; the replies come in order, and sometimes not all are waited for."""
        http, all_sent = self.connected(), [self.make() for _ in range(self.rng.randint(2, 6))]
        for sent in all_sent:
            http.send(sent[0], self.body(*sent[1:]), self.headers())
        stays = self.rng.random() < 0.6
        for sent in all_sent if stays else all_sent[:self.rng.randint(0, 2)]:
            self.check(sent, *http.reply())
        if stays:
            assert http.rest == b"", "more than one reply"
        else:
            http.close(self.rng.choice(["", "reset"]))
            self.http = None
            self.left += 1

    def send_grpc(self, client, sent, told):
        model, name, rows = sent
        x = triton_grpc.InferInput("x", [len(rows), 3], "FP32")
        x.set_data_from_numpy(np.array(rows, np.float32))
        kwargs = {"priority": self.rng.randint(0, 3)} if self.rng.random() < 0.3 else {}
        if self.rng.random() < 0.2:
            kwargs["timeout"] = self.rng.choice([500, 5000, 30000000])
        return client.async_infer(model, [x], lambda result, error: told.append((result, error)), request_id=name, headers=self.headers(),
                                  client_timeout=self.rng.choice([None, 0.003, 0.05, 60 * SLOW]), **kwargs)

    def wait_for(self, told):
        end = time.monotonic() + 60 * SLOW
        while not told:
            assert time.monotonic() < end, "a call over gRPC was never answered"
            time.sleep(0.0005)
        return told[0]

    def ask_grpc(self, client):
        sent, told = self.make(), []
        self.send_grpc(client, sent, told)
        self.check_grpc(sent, *self.wait_for(told))

    def check_grpc(self, sent, result, error):
        if error is None:
            assert result.get_response().id == sent[1]
            assert result.as_numpy("y").tolist() == sent[2]
            self.answered += 1
            return
        self.refused += 1
        assert isinstance(error, InferenceServerException)
        if error.status() is None:  # of a stream, which has words only
            return
        code = error.status().removeprefix("StatusCode.")
        allowed = code in GRPC_REFUSED or (code == "NOT_FOUND" and self.models[sent[0]][2]) or (code == "INTERNAL" and sent[0] == "fails")
        assert allowed, (sent, code, error.message())

    def cancel_grpc(self, client):
        calls = []
        for _ in range(self.rng.randint(1, 4)):
            sent, told = self.make(), []
            calls.append((self.send_grpc(client, sent, told), told))
        time.sleep(self.rng.random() * 0.005)
        for context, _ in calls:
            if self.rng.random() < 0.8:
                context.cancel()
        for _, told in calls:
            self.wait_for(told)
        assert all(len(told) == 1 for _, told in calls)
        self.left += len(calls)


    def sequence(self, _):
        """Requests that belong together: each is told what the one before has sent.  Some are not ended, and some end in the middle."""
        self.asked += 1
        number, before, n = self.number * 1000000 + self.asked, 0.0, self.rng.randint(1, 5)
        for i in range(n):
            x = float(100 * self.number + i + 1)
            body = {"parameters": {"sequence_id": number, "sequence_start": i == 0, "sequence_end": i == n - 1 and self.rng.random() < 0.7},
                    "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [x]}], "outputs": [{"name": "before"}]}
            http = self.connected()
            http.send(SEQUEL, json.dumps(body).encode(), self.headers())
            if self.rng.random() < 0.1:
                http.close(self.rng.choice(["", "half", "reset"]))
                self.http = None
                self.left += 1
                return
            status, reply = http.reply()
            if status != 200:  # its model was evicted, or there is no place for it
                assert status in (400, 429, 503, 504), reply
                self.refused += 1
                return
            assert reply["outputs"][0]["data"] == [before], (number, i, reply)
            self.answered += 1
            before = x

    def stream(self, client):
        """A stream of requests, which is read to its end, or cancelled."""
        told, all_sent = [], {}
        client.start_stream(lambda result, error: told.append((result, error)), headers=self.headers())
        for _ in range(self.rng.randint(1, 8)):
            model, name, rows = sent = self.make()
            x = triton_grpc.InferInput("x", [len(rows), 3], "FP32")
            x.set_data_from_numpy(np.array(rows, np.float32))
            client.async_stream_infer(model, [x], request_id=name)
            all_sent[name] = sent
        if self.rng.random() < 0.5:
            time.sleep(self.rng.random() * 0.005)
            client.stop_stream(cancel_requests=True)
            self.left += 1
            return
        client.stop_stream()
        for result, error in told:
            self.check_grpc(all_sent.pop(result.get_response().id) if error is None else None, result, error)


class Operator(threading.Thread):
    """Changes everything that may be changed while it is asked."""

    def __init__(self, server, folder, end):
        super().__init__(daemon=True)
        self.server, self.folder, self.end = server, folder, end
        self.rng = random.Random(f"{SEED}/operator")
        self.version, self.done, self.error = 1, {}, None

    def run(self):
        steps = [(self.resize, 10), (self.unload, 2), (self.load, 3), (self.evict, 3), (self.swap, 2), (self.look, 3)]
        try:
            while time.monotonic() < self.end:
                step = self.rng.choices([s for s, _ in steps], [w for _, w in steps])[0]
                step()
                self.done[step.__name__] = self.done.get(step.__name__, 0) + 1
                time.sleep(self.rng.random() * 0.02)
        except BaseException as error:  # pylint: disable=broad-except
            self.error = error

    def resize(self):
        model, count = self.rng.choice(SCALED), self.rng.choice([1, 1, 2, 3, 8, None])
        status, reply = post(self.server, f"/api/models/{model}/instances", {"count": count})
        assert status == 200, reply
        if count:
            assert {v["instances"] for v in reply["versions"]} == {count}, reply

    def unload(self):
        assert post(self.server, "/v2/repository/models/comes/unload")[0] == 200

    def load(self):
        status, reply = load(self.server, "comes")
        assert status == 200, reply

    def evict(self):
        model = self.rng.choice(["quick", "slow", "joined", SEQUEL])
        assert post(self.server, f"/api/models/{model}/unpin")[0] == 200
        status, reply = post(self.server, f"/api/models/{model}/evict")
        assert status == 200, reply

    def swap(self):
        self.version += 1
        put(MODELS["swapped"][0], self.folder / "swapped" / str(self.version) / "model.echo")
        status, reply = load(self.server, "swapped")
        assert status == 200, reply

    def look(self):
        for path in ("/metrics", "/api/residency", "/v2/models/stats", "/api/models/slow/instances"):
            assert self.server.get(path)[0] == 200


def check_calm(server):
    """Nothing waits, nothing runs, nobody holds anything."""
    def value(name, **labels):
        return server.metric(name, **labels)
    server.wait(lambda: value("troupe_requests_in_flight") == 1, "nobody to be in flight but this question")
    server.wait(lambda: value("troupe_model_in_flight") == 0 and value("nv_inference_pending_request_count") == 0, "the queues to be empty")
    server.wait(lambda: value("troupe_cold_calls_waiting") == 0, "nobody to wait for a load")
    server.wait(lambda: value("troupe_sequences_open") == 0, "sequences that nobody goes on with to be ended")
    server.wait(lambda: value("troupe_account_bytes", account="activations") == 0, "what runs held to come back")
    server.wait(lambda: value("troupe_connections") == 1, "all connections to be closed but this one")


def start(serve, repository, models, env=None, **settings):
    for name, (script, config, _) in models.items():
        put(script, repository.path / name / "1" / "model.echo")
        repository.write(f"{name}/config.pbtxt", 'backend: "echo"\n' + config)
    server = serve(repository.path, settings=SETTINGS | {"models.load": "on_demand"} | settings, env=env).wait_ready()
    for name in models:
        assert load(server, name, keep_alive="forever")[0] == 200  # not pinned
    return server


def rage(server, threads):
    """All of them to their end; returns what the callers counted."""
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS + 90 * SLOW)
    assert not any(t.is_alive() for t in threads), "somebody is never answered:\n" + server.get("/api/residency")[1].decode() + server.log()[-4000:]
    errors = [repr(t.error) for t in threads if t.error]
    assert not errors, "\n".join(errors) + "\n" + server.log()[-4000:]
    counted = {what: sum(getattr(t, what, 0) for t in threads) for what in ("asked", "answered", "refused", "left")}
    print(counted, [t.done for t in threads if isinstance(t, Operator)])
    return counted


def test_a_storm_leaves_nothing_behind(serve, repository):
    print(f"TROUPE_SEED={SEED} TROUPE_STORM_SECONDS={SECONDS}")
    server = start(serve, repository, MODELS)
    before = server.metric("troupe_account_bytes", account="request")
    end = time.monotonic() + SECONDS
    counted = rage(server, [*(Caller(server, i, end) for i in range(CALLERS)), Operator(server, repository.path, end)])
    assert counted["answered"] > 0 and counted["left"] > 0
    assert server.metric("troupe_requests_cancelled_total") > 0 and server.metric("troupe_instance_changes_total") > 0
    check_calm(server)
    server.wait(lambda: server.metric("troupe_account_bytes", account="request") <= before + (1 << 20), "what requests held to come back")
    for name in MODELS:  # and everybody is served as before
        assert load(server, name)[0] == 200
        for _ in range(2):
            status, reply = post(server, f"/v2/models/{name}/infer", {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]})
            if name not in ("fails", SEQUEL):
                assert status == 200 and reply["outputs"][0]["data"] == [1, 2, 3], reply
    check_calm(server)


def test_a_storm_with_too_little_memory(serve, repository):
    """Runs wait for room, models are let go for each other, and calls go on at the next version of theirs.  Without streams: an answer that has
    to wait there for one before it keeps its model, and all of them may wait for each other then until the first is refused (docs/memory.md)."""
    print(f"TROUPE_SEED={SEED} TROUPE_STORM_SECONDS={SECONDS}")
    models = {f"heavy{i}": (ROW + f"holds_row {4 * MIB}\nweighs {30 * MIB}\nsleep 1ms\n", "max_batch_size: 16\ndynamic_batching { }\n" if i % 2 else "", False)
              for i in range(6)}
    models["quick"] = MODELS["quick"]
    meter = "100ms" if COUNTS_MEMORY else "1h"  # what a sanitizer takes for itself would count
    budget = baseline(serve, repository) + 120 * MIB
    server = start(serve, repository, models, ENV, **{"memory.budget": budget, "memory.meter_interval": meter, "memory.run_wait": "2s", "memory.stay": "50ms"})
    end = time.monotonic() + SECONDS
    counted = rage(server, [Caller(server, i, end, models) for i in range(CALLERS)])
    assert counted["answered"] > 0
    assert server.metric("troupe_evictions_total") > 0
    check_calm(server)


def test_a_server_that_is_told_to_end_in_a_storm_answers_whom_it_has_heard(serve, repository):
    print(f"TROUPE_SEED={SEED}")
    server, ending = start(serve, repository, MODELS), threading.Event()
    callers = [Caller(server, i, time.monotonic() + 600, ending=ending) for i in range(CALLERS)]
    for caller in callers:
        caller.start()
    server.wait(lambda: sum(c.answered for c in callers) > 200 or any(c.error for c in callers), "the storm to rise")
    ending.set()
    server.process.send_signal(signal.SIGTERM)
    for caller in callers:
        caller.join()
    errors = [repr(c.error) for c in callers if c.error]
    assert not errors, "\n".join(errors) + "\n" + server.log()[-4000:]
    server.process.wait(40 * SLOW)  # a second signal would end it at once
    server.stop()
