"""Who runs when: classes and numbers of priority, shares of tenants, deadlines from everywhere, what is refused at once and when to
come back, who makes room in a full queue, rate limits. One thread runs models, and a long run holds it while others gather; it ends when
its client goes away, so nothing here waits for time to pass."""
import json
import re
import socket
import subprocess
import threading
import time

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import InferenceServerException

from conftest import SLOW, TROUPE

IO = "input x FP32 [-1]\noutput y FP32 [-1]\n"
ROWS = "input x FP32 [-1,1]\noutput y FP32 [-1,1]\n"
APART = f"sleep {100 if SLOW == 1 else 400}ms\n"  # whoever is answered first is also the first to say so
ONE = {"threads.executors": 1, "sched.inline_run": "0s", "threads.loops": 1}
INFER = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}


def ask(server, model, headers=None, shape=(1,), **parameters):
    body = {"inputs": [dict(INFER["inputs"][0], shape=list(shape), data=[1] * shape[0])], "parameters": parameters}
    return server.request("POST", f"/v2/models/{model}/infer", json.dumps(body).encode(), headers)


class Crowd:
    """Requests that wait together, and the order in which they were answered."""

    def __init__(self, server):
        self.server, self.threads, self.order, self.replies, self.lock = server, [], [], {}, threading.Lock()

    def send(self, name, model, headers=None, **parameters):
        """Returns when it waits (or was answered)."""
        def run():
            reply = ask(self.server, model, headers, **parameters)
            with self.lock:
                self.order.append(name)
                self.replies[name] = reply
        before = self.waiting()
        thread = threading.Thread(target=run)
        thread.start()
        self.threads.append(thread)
        self.server.wait(lambda: self.waiting() > before or name in self.replies, f"{name} to wait")

    def waiting(self):
        return self.server.metric("nv_inference_pending_request_count")

    def hold(self, model="gate", rows=1):
        """Whoever is sent now waits, until join()."""
        runs = self.server.metric("nv_inference_exec_count", model=model)
        body = json.dumps({"inputs": [dict(INFER["inputs"][0], shape=[rows], data=[1] * rows)]}).encode()
        self.gate = socket.create_connection(("127.0.0.1", self.server.port), 30 * SLOW)
        self.gate.sendall(f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        self.server.wait(lambda: self.server.metric("nv_inference_exec_count", model=model) > runs, "the gate to close")

    def join(self):
        self.gate.close()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def models(repository):
    for name, sleep in {"gate": "sleep 600s", "grows": "sleep_row 200ms"}.items():
        repository.write(f"{name}/1/model.echo", f"{IO}{sleep}\n")
        repository.write(f"{name}/model.yaml", "batching: off\n")  # nobody tries its rows
    repository.write("short/1/model.echo", IO + APART)
    repository.write("short/model.yaml", "batching: off\n")
    return repository


def test_classes_come_in_their_order(serve, models):
    server = serve(models.path, settings={**ONE, "sched.floor_batch": 0, "sched.floor_normal": 0}).wait_ready("gate", "short")
    crowd = Crowd(server)
    crowd.hold()
    crowd.send("batch", "short", {"troupe-priority": "batch"})
    crowd.send("normal", "short")
    crowd.send("interactive", "short", {"troupe-priority": "interactive"})
    crowd.join()
    assert crowd.order == ["interactive", "normal", "batch"]


def test_numbers_of_priority_are_the_models(serve, models):
    models.write("levels/1/model.echo", IO + APART)
    models.write("levels/config.pbtxt", "max_batch_size: 0\ndynamic_batching { priority_levels: 5 default_priority_level: 3 }\n")
    server = serve(models.path, settings={**ONE, "sched.floor_batch": 0, "sched.floor_normal": 0}).wait_ready("gate", "levels", "short")
    assert "understood but not acted upon" not in server.log()
    crowd = Crowd(server)
    crowd.hold()
    crowd.send("5", "levels", priority=5)
    crowd.send("usual", "levels")
    crowd.send("other", "short", priority=5)  # a model without levels: says nothing
    crowd.send("1", "levels", priority=1)
    crowd.send("9", "levels", priority=9)  # beyond the levels: the usual one
    crowd.send("named", "levels", {"troupe-priority": "interactive"}, priority=5)
    crowd.send("named normal", "levels", {"troupe-priority": "normal"}, priority=1)
    crowd.join()
    assert crowd.order == ["1", "named", "usual", "other", "9", "named normal", "5"]
    with triton_grpc.InferenceServerClient(server.url) as client:  # the peer's own client
        x = triton_grpc.InferInput("x", [1], "FP32")
        x.set_data_from_numpy(np.ones(1, "float32"))
        client.infer("levels", [x], priority=1, timeout=20_000_000)


def test_tenants_are_served_in_turn(serve, models):
    server = serve(models.path, settings={**ONE, "sched.tenants": "gold weight=2"}).wait_ready("gate", "short")
    crowd = Crowd(server)
    crowd.hold()
    for i in range(12):
        crowd.send(f"many{i}", "short", {"troupe-tenant": "many"})
    for i in range(4):
        crowd.send(f"few{i}", "short", {"troupe-tenant": "few"})
        crowd.send(f"gold{i}", "short", {"troupe-tenant": "gold"})
    crowd.join()
    assert all(reply[0] == 200 for reply in crowd.replies.values())
    last = {name: max(i for i, who in enumerate(crowd.order) if who.startswith(name)) for name in ("few", "gold")}
    assert last["gold"] <= 9 and last["few"] <= 13, crowd.order
    assert server.metric("troupe_tenants") == 3


def test_grpc_metadata_names_the_tenant(serve, models):
    server = serve(models.path, settings={**ONE, "sched.tenants": "small requests_per_second=0.01"}).wait_ready("short")
    request = pb.ModelInferRequest(model_name="short", raw_input_contents=[bytes(4)])
    request.inputs.add(name="x", datatype="FP32", shape=[1])
    with grpc.insecure_channel(server.url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        stub.ModelInfer(request, metadata=[("troupe-tenant", "small")], timeout=30 * SLOW)
        stub.ModelInfer(request, metadata=[("troupe-tenant", "large")], timeout=30 * SLOW)
        with pytest.raises(grpc.RpcError) as error:
            stub.ModelInfer(request, metadata=[("troupe-tenant", "small")], timeout=30 * SLOW)
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "small" in error.value.details()
    pushback = dict(error.value.trailing_metadata())["grpc-retry-pushback-ms"]
    assert 1000 < int(pushback) <= 100_000


def test_the_earliest_of_all_deadlines_holds(serve, models):
    """No source of a deadline can put off another's."""
    models.write("long/1/model.echo", IO + "sleep 600s\n")
    models.write("long/model.yaml", "batching: off\n")  # nobody tries its rows meanwhile: that would take as long
    models.write("mine/1/model.echo", IO + "sleep 600s\n")
    models.write("mine/model.yaml", "deadline: 300ms\n")
    models.write("policy/1/model.echo", IO + "sleep 600s\n")
    models.write("policy/model.yaml", "dynamic_batching:\n  default_queue_policy: {default_timeout_microseconds: 300000}\n")
    server = serve(models.path, settings={"threads.executors": 8}).wait_ready("long", "mine", "policy")
    far_ms, far_us = {"troupe-timeout-ms": "90000"}, 90_000_000
    for model, headers, parameters in [("long", {"troupe-timeout-ms": "300"}, {}), ("long", None, {"timeout": 300_000}), ("mine", None, {}), ("policy", None, {}),
                                       ("long", {"troupe-timeout-ms": "300"}, {"timeout": far_us}), ("long", far_ms, {"timeout": 300_000}), ("mine", far_ms, {"timeout": far_us}),
                                       ("policy", far_ms, {"timeout": far_us})]:
        begun = time.monotonic()
        status, reply, _ = ask(server, model, headers, **parameters)
        assert status == 504, (model, headers, parameters, reply)
        assert 0.25 < time.monotonic() - begun < 60, (model, headers, parameters)
    for model, metadata, parameters, timeout in [("long", [], {}, 0.3), ("long", [], {"timeout": 300_000}, 90), ("long", [("troupe-timeout-ms", "300")], {}, 90), ("mine", [], {}, 90)]:
        request = pb.ModelInferRequest(model_name=model, raw_input_contents=[bytes(4)])
        request.inputs.add(name="x", datatype="FP32", shape=[1])
        for key, value in parameters.items():
            request.parameters[key].int64_param = value
        begun = time.monotonic()
        with grpc.insecure_channel(server.url) as channel, pytest.raises(grpc.RpcError) as error:
            service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, metadata=metadata, timeout=timeout)
        assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED and time.monotonic() - begun < 60, (model, metadata, parameters)
    request = pb.ModelInferRequest(model_name="long", raw_input_contents=[bytes(4)])
    request.inputs.add(name="x", datatype="FP32", shape=[1])
    with grpc.insecure_channel(server.url) as channel:  # of a stream it holds for each message
        replies = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelStreamInfer(iter([request, request]), metadata=[("troupe-timeout-ms", "300")], timeout=90)
        assert ["deadline exceeded" in reply.error_message for reply in replies] == [True, True]


HOLD_ROWS = 5000  # at 200 ms each (less is learned where the machine is busy): minutes, which nobody waits for


def hold_for_long(server):
    """A run is under way that is known to take long, because one of fewer rows was measured."""
    assert ask(server, "grows")[0] == 200
    crowd = Crowd(server)
    crowd.hold("grows", HOLD_ROWS)
    return crowd


def test_what_cannot_be_in_time_is_refused_at_once(serve, models):
    server = serve(models.path, settings=ONE).wait_ready("grows")
    crowd = hold_for_long(server)
    begun = time.monotonic()
    status, reply, headers = ask(server, "grows", {"troupe-timeout-ms": "20000"})
    assert status == 503 and b"in time" in reply, reply
    assert time.monotonic() - begun < 15, "it was not answered at once"
    end_ms, left_ms = (float(ms) for ms in re.search(rb"end in ([\d.]+) ms; ([\d.]+) ms are left", reply).groups())
    assert 0 < left_ms <= 20_000 < end_ms, reply
    assert int(headers["Retry-After"]) == pytest.approx((end_ms - left_ms) / 1000, abs=1.01)  # whole seconds
    x = triton_http.InferInput("x", [1], "FP32")
    x.set_data_from_numpy(np.ones(1, "float32"))
    with triton_http.InferenceServerClient(server.url, network_timeout=60 * SLOW) as client, pytest.raises(InferenceServerException) as error:
        client.infer("grows", [x], timeout=20_000_000)
    assert "in time" in str(error.value)
    request = pb.ModelInferRequest(model_name="grows", raw_input_contents=[bytes(4)])
    request.inputs.add(name="x", datatype="FP32", shape=[1])
    request.parameters["timeout"].int64_param = 20_000_000
    with grpc.insecure_channel(server.url) as channel, pytest.raises(grpc.RpcError) as refused:
        service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=60 * SLOW)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert int(dict(refused.value.trailing_metadata())["grpc-retry-pushback-ms"]) > 0
    assert server.metric("troupe_requests_refused_total", reason="deadline") == 3
    crowd.send("patient", "grows", {"troupe-timeout-ms": "10000000"})
    crowd.join()
    assert crowd.replies["patient"][0] == 200


def test_it_can_be_turned_off(serve, models):
    server = serve(models.path, settings={**ONE, "sched.forecast": "false"}).wait_ready("grows")
    crowd = hold_for_long(server)
    assert ask(server, "grows", {"troupe-timeout-ms": "200"})[0] == 504
    crowd.join()
    assert server.metric("troupe_requests_refused_total", reason="deadline") == 0


def test_a_full_queue_lets_go_of_the_least_urgent(serve, models):
    server = serve(models.path, settings={**ONE, "sched.queue_max": 2}).wait_ready("gate", "short")
    crowd = Crowd(server)
    crowd.hold()
    crowd.send("older", "short", {"troupe-priority": "batch"})
    crowd.send("newer", "short", {"troupe-priority": "batch"})
    status, reply, headers = ask(server, "short", {"troupe-priority": "batch"})
    assert status == 429 and int(headers["Retry-After"]) >= 1, reply
    thread = threading.Thread(target=lambda: crowd.replies.update(urgent=ask(server, "short", {"troupe-priority": "interactive"})))
    thread.start()
    server.wait(lambda: "newer" in crowd.replies, "the newer one to be let go")
    assert crowd.replies["newer"][0] == 429 and b"made room" in crowd.replies["newer"][1]
    crowd.join()
    thread.join()
    assert crowd.replies["urgent"][0] == crowd.replies["older"][0] == 200
    assert server.metric("troupe_requests_refused_total", reason="shed") == 1
    assert server.metric("troupe_requests_refused_total", reason="queue") == 1


def test_a_model_has_a_queue_of_its_own_length(serve, models):
    models.write("m/1/model.echo", IO)
    models.write("m/model.yaml", "dynamic_batching:\n  default_queue_policy: {max_queue_size: 2}\n")
    server = serve(models.path, settings=ONE).wait_ready("gate", "m")
    crowd = Crowd(server)
    crowd.hold()
    for i in range(4):
        crowd.send(i, "m")
    crowd.join()
    assert [crowd.replies[i][0] for i in range(4)] == [200, 200, 429, 429]


def test_rates_of_models(serve, models):
    models.write("calls/1/model.echo", IO)
    models.write("calls/model.yaml", "rate_limit: {requests_per_second: 0.01}\n")
    models.write("rows/1/model.echo", ROWS)
    models.write("rows/model.yaml", "max_batch_size: 100\nrate_limit: {rows_per_second: 0.02}\n")
    models.write("once/1/model.echo", IO + "sleep 600s\n")
    models.write("once/model.yaml", "batching: off\nrate_limit: {concurrency: 1}\n")
    server = serve(models.path).wait_ready("calls", "rows", "once")
    assert ask(server, "calls")[0] == 200
    status, reply, headers = ask(server, "calls")
    assert status == 429 and b"0.01 requests a second" in reply and 1 <= int(headers["Retry-After"]) <= 100, reply
    assert ask(server, "rows", shape=(2, 1))[0] == 200
    assert ask(server, "rows", shape=(1, 1))[0] == 429
    crowd = Crowd(server)
    crowd.hold("once")
    status, reply, headers = ask(server, "once")
    assert status == 429 and b"1 requests at once" in reply and int(headers["Retry-After"]) == 1, reply
    crowd.join()
    server.wait(lambda: server.metric("troupe_model_in_flight", model="once") == 0, "the first one to leave")
    assert ask(server, "once", {"troupe-timeout-ms": "100"})[0] == 504, "its place is free again"
    for reason in ("requests_per_second", "rows_per_second", "concurrency"):
        assert server.metric("troupe_requests_refused_total", reason=reason) == 1


def test_a_reload_does_not_reset_a_rate(serve, models):
    models.write("calls/1/model.echo", IO)
    models.write("calls/model.yaml", "rate_limit: {requests_per_second: 0.01}\n")
    server = serve(models.path, settings={"models.load": "explicit"})
    assert server.request("POST", "/v2/repository/models/calls/load", b"{}")[0] == 200
    assert ask(server, "calls")[0] == 200
    models.write("calls/2/model.echo", IO)
    assert server.request("POST", "/v2/repository/models/calls/load", b"{}")[0] == 200
    assert ask(server, "calls")[0] == 429


def test_many_tenants_come_and_go(serve, models):
    models.write("tiny.echo", IO)
    server = serve(models.path, settings={**ONE, "sched.tenants_max": 8}).wait_ready("tiny")
    threads = [threading.Thread(target=lambda n=n: [ask(server, "tiny", {"troupe-tenant": f"tenant {n} {i}"}) for i in range(10)]) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.metric("nv_inference_request_success", model="tiny") == 160
    assert 1 <= server.metric("troupe_tenants") <= 8


@pytest.mark.parametrize("rule, words", [("gold weight=0", "weight=0"), ("gold weight", "none of weight"), ("=x", "tenant's name")])
def test_a_rule_that_says_nothing_is_refused(models, rule, words):
    done = subprocess.run([TROUPE, "serve", models.path, "--listen", "127.0.0.1:0", "--set", f"sched.tenants={rule}"],
                          capture_output=True, text=True, timeout=30 * SLOW, check=False)
    assert done.returncode != 0 and words in done.stderr and "sched.tenants" in done.stderr, done.stderr
