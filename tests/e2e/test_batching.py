"""Requests that wait are joined into one run where that is asked for: every client gets the answer that it would have had alone."""
import json
import sys
import threading
import time

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from conftest import ROOT, SLOW
from test_cli import troupe
from test_repository import IDENTITY, config_of, load
from triton_support import GOOD

sys.path.insert(0, str(ROOT / "bench"))
from onnx_maker import chain, field, node, value_info  # noqa: E402

SIZE = 128
EXECUTORS_ONLY = {"threads.executors": 1, "sched.inline_run": "0s"}


def stats_of(server, model):
    return json.loads(server.get(f"/v2/models/{model}/stats")[1])["model_stats"][0]


def rows_for(client, rows):
    """Answers differ from row to row, and rows in size."""
    rng = np.random.default_rng(client)
    return (rng.standard_normal((rows, SIZE)) * 10.0 ** rng.integers(-2, 3, (rows, 1))).astype(np.float32)


class Crowd:
    """Clients that ask at the same time, over both protocols, until they have been answered `rounds` times."""

    def __init__(self, server, model, make, clients, rounds, dtype="FP32"):
        self.server, self.model, self.make, self.rounds, self.dtype = server, model, make, rounds, dtype
        self.answers, self.errors = [None] * clients, []
        threads = [threading.Thread(target=self.run, args=(i,)) for i in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def run(self, i):
        module = (triton_http, triton_grpc)[i % 2]
        sent = self.make(i)
        try:
            with module.InferenceServerClient(self.server.url, **({"network_timeout": 60 * SLOW} if i % 2 == 0 else {})) as client:
                x = module.InferInput("x", list(sent.shape), self.dtype)
                x.set_data_from_numpy(sent)
                self.answers[i] = [client.infer(self.model, [x]).as_numpy("y") for _ in range(self.rounds)]
        except Exception as error:  # pylint: disable=broad-except
            self.errors.append(error)


def alone(server, model, sent, dtype="FP32"):
    with triton_http.InferenceServerClient(server.url, network_timeout=60 * SLOW) as client:
        x = triton_http.InferInput("x", list(sent.shape), dtype)
        x.set_data_from_numpy(sent)
        return client.infer(model, [x]).as_numpy("y")


def check_crowd(server, model, make=lambda i: rows_for(i, 1 + i % 3), dtype="FP32", clients=48, rounds=8):
    """Asks as a crowd, and compares with what each is told alone."""
    crowd = Crowd(server, model, make, clients, rounds, dtype)
    assert not crowd.errors, crowd.errors[:3]
    for i in range(clients):
        expected = alone(server, model, make(i), dtype)
        for answer in crowd.answers[i]:
            if dtype == "BYTES":
                assert np.array_equal(answer, expected)
            else:
                np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-5)


def mlp(repository, name, configuration, file="model.yaml"):
    repository.write(f"{name}/{file}", configuration)
    chain(repository.path / name / "model.onnx", "rows", SIZE, 8)


def test_what_waits_runs_together_and_each_gets_its_own_rows(serve, repository):
    mlp(repository, "m", "max_batch_size: 16\ndynamic_batching { }\n", "config.pbtxt")
    server = serve(repository.path, settings=EXECUTORS_ONLY).wait_ready("m")
    assert "understood but not acted upon" not in server.log()
    check_crowd(server, "m")
    assert server.metric("troupe_batches_total") > 0
    stats = stats_of(server, "m")
    assert stats["execution_count"] < stats["inference_stats"]["success"]["count"]
    sizes = {b["batch_size"]: b["compute_infer"]["count"] for b in stats["batch_stats"]}
    assert max(sizes) <= 16 and sum(n for n in sizes.values()) == stats["execution_count"]
    assert sum(size * n for size, n in sizes.items()) == stats["inference_count"]
    assert server.metric("troupe_batches_failed_total", reason="run") == 0


def test_a_small_batch_waits_for_company(serve, repository):
    wait = "max_batch_size: 16\ndynamic_batching { preferred_batch_size: [ 4 ] max_queue_delay_microseconds: %d }\n"
    mlp(repository, "short", wait % 400_000, "config.pbtxt")
    mlp(repository, "long", wait % 50_000_000, "config.pbtxt")
    server = serve(repository.path, settings={"threads.executors": 2}).wait_ready("short", "long")
    assert "understood but not acted upon" not in server.log()
    begun = time.monotonic()
    alone(server, "short", rows_for(0, 1))
    assert time.monotonic() - begun >= 0.4
    begun = time.monotonic()
    crowd = Crowd(server, "long", lambda i: rows_for(i, 1), clients=4, rounds=1)
    assert not crowd.errors, crowd.errors
    assert time.monotonic() - begun < 50, "the fourth one ends the wait"
    assert [(b["batch_size"], b["compute_infer"]["count"]) for b in stats_of(server, "long")["batch_stats"]] == [(4, 1)]
    assert server.metric("troupe_run_rows_sum", model="long") == 4


def test_a_delay_that_nobody_could_mean_is_refused(serve, repository):
    mlp(repository, "m", "dynamic_batching: {max_queue_delay_microseconds: 60000001}\n")
    server = serve(repository.path, settings={"models.load": "explicit"})
    status, reply = load(server, "m")
    assert status == 400 and "it is 60000000 at most" in reply["error"], reply


def table(path):
    """y = table[x]: an index that is not there fails the whole run."""
    values = np.arange(SIZE, dtype=np.float32).tobytes()
    graph = field(1, node("Gather", ["table", "x"], ["y"])) + field(2, "table")
    graph += field(5, field(1, SIZE) + field(2, 1) + field(8, "table") + field(9, values))
    graph += field(11, value_info("x", ["rows", 1], 7)) + field(12, value_info("y", ["rows", 1]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(field(1, 8) + field(2, "troupe test") + field(7, graph) + field(8, field(1, "") + field(2, 17)))


def test_who_is_wrong_fails_alone(serve, repository):
    table(repository.path / "m" / "model.onnx")
    repository.write("m/model.yaml", "batching: on\n")
    server = serve(repository.path, settings=EXECUTORS_ONLY).wait_ready("m")

    def make(i):
        if i % 8 == 3:
            return np.array([[1_000_000 + i]], np.int64)  # only the model can tell
        return np.array([[i, i]], np.int64) if i % 8 == 5 else np.array([[i], [i + 1]], np.int64)

    def ask():
        crowd = Crowd(server, "m", make, 64, 4, "INT64")
        assert len(crowd.errors) == 16
        for i in range(64):
            if i % 8 in (3, 5):
                assert crowd.answers[i] is None
            else:
                assert all(np.array_equal(answer, make(i)) for answer in crowd.answers[i]), i
        words = sorted(e.message() for e in crowd.errors)
        for i in range(3, 64, 8):
            assert sum(f"idx={1_000_000 + i} " in w for w in words) == 1, "each is told of its own index"
        assert sum("unexpected shape for input 'x'" in w for w in words) == 8
        return server.metric("troupe_batches_failed_total", reason="run") > 0
    server.wait(ask, "a batch with somebody who is wrong", 60)


def test_strings_are_joined(serve, repository):
    repository.add(GOOD / "identity_bytes.onnx", "m/model.onnx")
    repository.write("m/model.yaml", "batching: on\n")
    server = serve(repository.path, settings=EXECUTORS_ONLY).wait_ready("m")
    rank = len(json.loads(server.get("/v2/models/m")[1])["inputs"][0]["shape"])
    check_crowd(server, "m", dtype="BYTES", clients=32,
                make=lambda i: np.array([("ü" * (i % 7) + str(i)).encode(), b""], object).reshape([2] + [1] * (rank - 1)))


def test_nothing_is_joined_where_it_is_forbidden(serve, repository):
    mlp(repository, "m", "max_batch_size: 16\ndynamic_batching: {}\nbatching: off\n")
    server = serve(repository.path, settings=EXECUTORS_ONLY).wait_ready("m")
    check_crowd(server, "m", clients=16, rounds=4)
    stats = stats_of(server, "m")
    assert stats["execution_count"] == stats["inference_stats"]["success"]["count"]
    assert server.metric("troupe_batches_total") == 0
    assert "batching" not in config_of(server, "m"), "clients of Triton know no such key"


def test_who_asks_for_it_must_have_rows(serve, repository):
    repository.add(GOOD / "batch_fixed.onnx", "m/model.onnx")
    server = serve(repository.path, settings={"models.load": "explicit"})
    assert load(server, "m")[0] == 200
    repository.write("m/model.yaml", "batching: on\n")
    status, reply = load(server, "m")
    assert status == 400 and "has no free first dimension" in reply["error"], reply


# ---- found out by itself ----

def dynamic_int8(path):
    """y = x W with x quantised while it runs, by the largest of all rows: the usual way to make an encoder small."""
    cast = field(5, field(1, "to") + field(3, 1) + field(20, 2))
    values = bytes((i * 37 + 11) % 255 for i in range(SIZE * SIZE))
    graph = b"".join(field(1, n) for n in (
        node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]), node("MatMulInteger", ["q", "w", "zero"], ["i"]),
        node("Cast", ["i"], ["f"]) + cast, node("Mul", ["f", "scale"], ["y"])))
    graph += field(2, "dynamic") + field(5, field(1, SIZE) + field(1, SIZE) + field(2, 3) + field(8, "w") + field(9, values))
    graph += field(11, value_info("x", ["rows", SIZE])) + field(12, value_info("y", ["rows", SIZE]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(field(1, 8) + field(2, "troupe test") + field(7, graph) + field(8, field(1, "") + field(2, 17)))


def batching_of(server, model):
    return {m["name"]: m.get("batching", "") for m in json.loads(server.get("/api/residency")[1])["models"]}[model]


def settle(server, model, **crowd):
    """Asks until it is known whether requests may be joined, and says what came of it."""
    def known():
        if not batching_of(server, model):
            Crowd(server, model, crowd.get("make", lambda i: rows_for(i, 1)), 16, 4)
        return batching_of(server, model)
    server.wait(known, f"{model} to be tried", 60)
    return batching_of(server, model)


def test_rows_that_are_independent_are_joined_without_being_asked(serve, repository):
    mlp(repository, "m", "load: startup\n")
    server = serve(repository.path, settings=EXECUTORS_ONLY).wait_ready("m")
    assert batching_of(server, "m") == ""
    assert settle(server, "m") == "on: its rows are independent"
    before = server.metric("troupe_batches_total")
    check_crowd(server, "m")
    cost = json.loads(server.get("/api/models/m/cost")[1])["models"][0]
    assert (cost["batching"], cost["batching_reason"], cost["rows_max"]) == ("on", "its rows are independent", 64)
    assert 1 <= cost["rows_best"] <= 64 and cost["points"][0]["rows"] == 1
    assert [p["rows"] for p in cost["points"]] == sorted({p["rows"] for p in cost["points"]})
    assert all(p["run_ns"] > 0 and p["runs"] > 0 for p in cost["points"])
    told = troupe("ps", "--cost", "m", server=server).splitlines()
    assert told[0].split()[:4] == ["MODEL", "VERSION", "INSTANCES", "JOINS"]
    assert told[1].split()[:4] == ["m", "1", "-", "on"] and "its rows are independent" in told[1]
    assert server.metric("troupe_batches_total") > before
    assert server.metric("troupe_batches_failed_total") == 0


def test_rows_that_depend_on_each_other_are_never_joined(serve, repository):
    repository.add(GOOD / "rows_depend.onnx", "softmax/model.onnx")
    dynamic_int8(repository.path / "int8" / "model.onnx")
    server = serve(repository.path, settings=EXECUTORS_ONLY).wait_ready("softmax", "int8")
    few = {"make": lambda i: rows_for(i, 1)[:, :3]}
    for model, crowd in (("int8", {}), ("softmax", few)):
        said = settle(server, model, **crowd)
        assert said.startswith("off: ") and "alone and together" in said, said
    check_crowd(server, "int8")
    check_crowd(server, "softmax", make=few["make"])
    assert server.metric("troupe_batches_total") == 0


def test_its_owner_may_say_otherwise(serve, repository):
    repository.add(GOOD / "rows_depend.onnx", "m/model.onnx")
    repository.write("m/model.yaml", "batching: on\n")
    server = serve(repository.path, settings=EXECUTORS_ONLY).wait_ready("m")
    assert batching_of(server, "m") == "on: its configuration says so"
    for _ in range(20):
        if server.metric("troupe_batches_total") > 0:
            break
        Crowd(server, "m", lambda i: rows_for(i, 1)[:, :3], 16, 4)
    assert server.metric("troupe_batches_total") > 0


@pytest.mark.parametrize("model, why", [("batch_fixed", "has no free first axis"), ("scalar", "has no free first axis")])
def test_what_has_no_rows_is_told_at_once(serve, repository, model, why):
    repository.add(GOOD / f"{model}.onnx", "m/model.onnx")
    server = serve(repository.path).wait_ready("m")
    assert why in batching_of(server, "m")


def test_what_was_found_out_is_kept_in_the_store(serve, repository, tmp_path):
    mlp(repository, "m", "load: startup\n")
    settings = {**EXECUTORS_ONLY, "store.path": str(tmp_path / "store")}
    server = serve(repository.path, settings=settings).wait_ready("m")
    assert settle(server, "m") == "on: its rows are independent"
    notes = list((tmp_path / "store" / "rows").iterdir())
    assert [n.read_text() for n in notes] == ["troupe rows 1\n\nend\n"]
    server.stop()
    notes[0].write_text("troupe rows 1\nsomebody said so\nend\n")
    server = serve(repository.path, settings=settings).wait_ready("m")
    assert settle(server, "m") == "off: somebody said so", "it is not found out twice"
    server.stop()
    notes[0].write_text("troupe rows 1\nsomebody")  # damaged
    server = serve(repository.path, settings=settings).wait_ready("m")
    assert settle(server, "m") == "on: its rows are independent"
