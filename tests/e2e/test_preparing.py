"""A preparation is under way, half done, while other things happen: the server ends, the model is unloaded or replaced, requests come.  The
backend of these tests goes no further while a file MODEL.hold lies beside the model."""
import json

import pytest

from conftest import BUILD, SLOW
from test_hot_models import write_model
from test_prepared import blobs, chain, prepared, store  # noqa: F401
from test_repository import load, post


class Held:
    """A server that prepares `hot` until release()."""

    def __init__(self, serve, repository, store):
        write_model(repository)
        self.repository, self.store = repository, store
        self.hold = repository.write("hot.onnx.hold", "")
        self.settings = {"store.path": store, "backends.path": BUILD / "tests/hot", "store.pack_interval": "0s"}
        self.serve = serve
        self.server = serve(repository.path, settings=self.settings).wait_ready("hot")
        self.server.wait(lambda: blobs(store), "the preparation to be half done")

    def release(self):
        self.hold.unlink()

    def is_empty(self, *parts):
        return all(list((self.store / part).iterdir()) == [] for part in parts)


@pytest.fixture
def held(serve, repository, store):  # noqa: F811
    return Held(serve, repository, store)


def infer(server, headers=None):
    body = json.dumps({"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [0]}]}).encode()
    return server.request("POST", "/v2/models/hot/infer", body, headers)[0]


def test_a_server_that_ends_gives_it_up_and_leaves_nothing(held):
    held.server.stop()
    assert held.is_empty("tmp", "leases", "made", "bad"), "a preparation that was given up is no refusal"
    held.release()
    server = held.serve(held.repository.path, settings=held.settings).wait_ready("hot")
    prepared(server, 1)
    server.stop()
    server = held.serve(held.repository.path, settings=held.settings).wait_ready("hot")
    assert server.metric("troupe_model_loads_mapped_total") == 1


def test_an_unload_waits_for_no_preparation(held):
    assert post(held.server, "/v2/repository/models/hot/unload")[0] == 200
    held.server.wait(lambda: held.server.metric("troupe_account_bytes", account="weights") == 0, "its memory to be given back")
    assert infer(held.server) in (404, 503) and not held.is_empty("tmp")
    assert load(held.server, "hot")[0] == 200, "nor does a load, which is plain"
    assert infer(held.server) == 200 and held.server.metric("troupe_model_loads_mapped_total") == 0
    held.release()
    prepared(held.server, 1)
    for order in ("unload", "load"):
        assert post(held.server, f"/v2/repository/models/hot/{order}")[0] == 200
    assert held.server.metric("troupe_model_loads_mapped_total") == 1 and infer(held.server) == 200
    assert held.server.metric("troupe_prepared_total", result="ok") == 1, "what was under way is not begun twice"


def test_requests_and_loads_beside_it_keep_their_deadlines(held):
    for i in range(3):
        held.repository.write(f"other{i}.onnx", (held.repository.path / "hot.onnx").read_bytes() + b"\x32\x02o" + bytes([97 + i]))
    for i in range(3):
        assert load(held.server, f"other{i}")[0] == 200, "a plain load behind a preparation"
    deadline = {"troupe-timeout-ms": str(20_000 * SLOW)}
    assert [infer(held.server, deadline) for _ in range(20)] == [200] * 20
    assert held.server.metric("troupe_prepared_total", result="ok") == 0
    held.release()
    prepared(held.server, 4)


def test_what_is_replaced_meanwhile_is_prepared_as_it_is_then(held):
    path = held.repository.path / "hot.onnx"
    path.write_bytes(path.read_bytes() + b"\x32\x03new")
    assert load(held.server, "hot")[0] == 200
    held.release()
    prepared(held.server, 1, "failed")
    assert "changed meanwhile" in held.server.log() and held.is_empty("made", "bad")
    for order in ("unload", "load"):
        assert post(held.server, f"/v2/repository/models/hot/{order}")[0] == 200
    prepared(held.server, 1)


def test_the_model_is_deleted_meanwhile(held):
    (held.repository.path / "hot.onnx").unlink()
    status, reply = load(held.server, "hot")
    assert status in (400, 404) and "hot" in reply["error"]
    held.release()
    prepared(held.server, 1, "failed")
    held.server.wait(lambda: held.is_empty("tmp"), "what was half made to go")
    assert held.is_empty("made", "bad") and held.server.get("/v2/health/live")[0] == 200


def test_the_runtime_itself_is_stopped_in_the_middle_of_a_compilation(serve, repository, store):  # noqa: F811
    """As many weights as take a while: whatever it is at when the server ends, it ends, and the next one has it prepared."""
    chain(repository.path / "deep.onnx", 1, 128, 400)
    settings = {"store.path": store}
    server = serve(repository.path, settings=settings).wait_ready("deep")
    server.wait(lambda: (store / "tmp").is_dir() and list((store / "tmp").iterdir()) or list((store / "made").iterdir()), "it to begin")
    server.stop()
    assert list((store / "tmp").iterdir()) == [] and list((store / "bad").iterdir()) == []
    server = serve(repository.path, settings=settings).wait_ready("deep")
    if server.metric("troupe_model_loads_mapped_total") == 0:
        prepared(server, 1)
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 128], "data": [1.0] * 128}]}).encode()
    assert server.request("POST", "/v2/models/deep/infer", body)[0] == 200
