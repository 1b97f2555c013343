"""Models that sleep instead of going: their pages are dropped, their sessions kept, and whoever asks for one has it woken."""
import json
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest

from conftest import ROOT, SLOW
from test_budget import MIB, memory_of
from test_eviction import floor_of, pytestmark as skip_thread_sanitizer
from test_prepared import blob_pss, prepared, store  # noqa: F401
from test_residency import one, order, residency, troupe

sys.path.insert(0, str(ROOT / "bench"))
from onnx_maker import chain  # noqa: E402

LAYERS = 8


KEEP_ALIVE = "keep_alive: 2s\n" if SLOW == 1 else "keep_alive: 5s\n"  # longer than a few questions take


class Chain:
    """A model of some 32 MiB whose weights no other one has."""

    def __init__(self, repository, name, size, config=""):
        self.name, self.size = name, size
        path = repository.path / name / "1" / "model.onnx"
        path.parent.mkdir(parents=True)
        chain(path, 1, size, LAYERS)
        if config:
            repository.write(f"{name}/model.yaml", config)
        self.bytes = size * size * 4 * LAYERS
        self.body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, size], "data": [1.0] * size}]}).encode()
        self.want = onnxruntime.InferenceSession(str(path)).run(None, {"x": np.ones((1, size), np.float32)})[0].ravel()

    def ask(self, server, headers=None):
        return self.judge(*server.request("POST", f"/v2/models/{self.name}/infer", self.body, headers)[:2])

    def judge(self, status, reply):
        """200 stands for an answer that is right."""
        if status == 200:
            assert np.allclose(json.loads(reply)["outputs"][0]["data"], self.want, rtol=1e-4, atol=1e-5)
        return status

    def is_(self, server, how):
        m = one(server, self.name)
        return m is not None and m["residency"] == how

    def falls_asleep(self, server):
        server.wait(lambda: self.is_(server, "hibernated"), f"{self.name} to hibernate")


@pytest.fixture
def prepare(repository, store):  # noqa: F811
    """All models of the repository, prepared; the settings of a server that maps them."""
    def run():
        troupe_prepare(repository, store)
        return {"store.path": store, "models.load": "on_demand", "store.pack_interval": "0s"}
    return run


def troupe_prepare(repository, folder):
    import os
    import subprocess

    from conftest import TROUPE
    env = dict(os.environ)
    env.setdefault("TROUPE_ONNXRUNTIME", str(ROOT / ".deps/onnxruntime/libonnxruntime.so"))
    done = subprocess.run([TROUPE, "prepare", str(repository.path), "--set", f"store.path={folder}"], capture_output=True, text=True, env=env,
                          timeout=120 * SLOW)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_idle_model_sleeps_and_wakes_with_the_same_answers(serve, repository, prepare):
    m = Chain(repository, "m", 1024, KEEP_ALIVE)
    server = serve(repository.path, settings=prepare()).wait_ready()
    assert m.ask(server) == 200
    assert server.metric("troupe_model_loads_mapped_total") == 1
    assert blob_pss(server) >= 0.9 * m.bytes
    m.falls_asleep(server)
    assert blob_pss(server) <= 0.05 * m.bytes
    assert server.metric("troupe_account_bytes", account="shared") == 0
    shown = one(server, "m")
    assert shown["state"] == "READY" and shown["asleep_seconds"] >= 0 and shown["private_bytes"] > 0 and shown["alone_bytes"] == 0
    assert shown["kept"].startswith("hibernated")
    assert server.get("/v2/models/m/ready")[0] == 200 and server.get("/v2/models/m")[0] == 200
    assert server.get("/v2/models/m/config")[0] == 200 and server.get("/v2/models/m/stats")[0] == 200
    if m.is_(server, "hibernated"):  # metadata woke nobody
        assert server.metric("troupe_wakes_total") == 0
        assert "hibernated" in troupe(server, "ps")
        asked = json.loads(server.get("/api/residency?name=m")[1])["asked"]
        assert asked["where"] == "hibernated" and "no request for" in asked["why"] and "its next request wakes it" in asked["why"]
        assert "m is hibernated, for" in troupe(server, "ps", "m")
    server.wait(lambda: one(server, "m") is None, "another keep_alive to pass")
    assert server.metric("troupe_model_idle_unloads_total") == 1
    assert m.ask(server) == 200


def test_it_is_woken_once_for_all_who_ask_at_once(serve, repository, prepare):
    m = Chain(repository, "m", 1024, KEEP_ALIVE)
    server = serve(repository.path, settings=prepare()).wait_ready()
    assert m.ask(server) == 200
    m.falls_asleep(server)
    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(lambda _: m.ask(server), range(20))) == [200] * 20
    assert server.metric("troupe_wakes_total", result="ok") == 1 and server.metric("troupe_model_loads_total", result="ok") == 1
    assert blob_pss(server) >= 0.9 * m.bytes
    assert server.metric("troupe_account_bytes", account="shared") == m.bytes
    assert one(server, "m")["wake_seconds"] >= 0
    server.wait_logged("woke 'm' in")
    server.wait_logged("hibernating 'm': no request for")


@skip_thread_sanitizer
def test_a_model_whose_room_is_wanted_sleeps_instead_of_going(serve, repository, prepare):
    floor = floor_of(serve, repository)
    models = [Chain(repository, f"m{i}", 1024 + 16 * i) for i in range(4)]
    settings = {**prepare(), "memory.budget": floor + sum(m.bytes for m in models[:2]) + 16 * MIB, "memory.stay": "0s",
                "memory.meter_interval": "100ms", "memory.hibernated_max": "64MiB"}
    server = serve(repository.path, settings=settings).wait_ready()
    budget = server.metric("troupe_budget_limit", resource="bytes")
    for m in models:
        assert m.ask(server) == 200
    assert server.metric("troupe_hibernations_total") >= 1
    for m in (models[0], models[3], models[1], models[2]):  # all: who of those that cost the same sleeps is chance
        assert m.ask(server) == 200
    assert server.metric("troupe_model_loads_total", result="ok") == 4
    assert server.metric("troupe_wakes_total", result="ok") >= 1
    assert len(residency(server)["models"]) == 4
    assert server.metric("troupe_hibernated_versions") >= 1
    if SLOW == 1:
        assert memory_of(server) <= budget * 1.02 + 32 * MIB
    assert blob_pss(server) <= budget - floor + 32 * MIB


@skip_thread_sanitizer
def test_without_hibernation_it_goes(serve, repository, prepare):
    m = Chain(repository, "m", 1024, "keep_alive: 500ms\n")
    server = serve(repository.path, settings={**prepare(), "memory.hibernate": "false"}).wait_ready()
    assert m.ask(server) == 200
    server.wait(lambda: one(server, "m") is None, "it to go")
    assert server.metric("troupe_hibernations_total") == 0


def test_files_swaps_and_orders_meet_one_that_sleeps(serve, repository, prepare):
    m = Chain(repository, "m", 1024, KEEP_ALIVE)
    server = serve(repository.path, settings=prepare()).wait_ready()
    assert m.ask(server) == 200
    m.falls_asleep(server)
    assert order(server, "pin", "m")[0] == 200
    assert m.is_(server, "mapped")
    assert m.ask(server) == 200
    assert order(server, "unpin", "m")[0] == 200
    m.falls_asleep(server)
    assert order(server, "evict", "m")[0] == 200
    assert one(server, "m") is None
    assert m.ask(server) == 200
    m.falls_asleep(server)
    newer = Chain(repository, "newer", 1040)
    (repository.path / "newer" / "1").rename(repository.path / "m" / "2")
    m.size, m.body, m.want = newer.size, newer.body, newer.want
    assert server.request("POST", "/v2/repository/index", b"{}")[0] == 200
    assert server.request("POST", "/api/rescan", b"")[0] in (200, 404)
    status, reply, _ = server.request("POST", "/v2/repository/models/m/load", b"{}")
    assert status == 200, reply
    assert m.ask(server) == 200
    assert server.request("POST", "/v2/repository/models/m/unload", b"{}")[0] == 200
    assert m.ask(server) in (404, 503)


def test_calls_and_sleep_meet_all_the_time(serve, repository, prepare):
    """With a keep_alive as short as the pauses between requests: nobody is lost, nobody gets anything wrong."""
    models = [Chain(repository, f"m{i}", 512 + 16 * i, "keep_alive: 100ms\n") for i in range(3)]
    server = serve(repository.path, settings=prepare()).wait_ready()

    def client(k):
        rng = np.random.default_rng(k)
        for _ in range(60):
            assert models[rng.integers(3)].ask(server) == 200
            import time
            time.sleep(float(rng.choice([0, 0.05, 0.1, 0.15])))
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(client, range(3)))
    for m in models:
        server.wait(lambda: one(server, m.name) is None, "all to go")
    assert server.metric("troupe_cold_calls_waiting") == 0
    assert server.metric("troupe_account_bytes", account="shared") == 0
