"""Models are prepared beside serving and mapped by the next load; whatever happens to the store, they are served."""
import json

import numpy as np
import onnxruntime
import pytest

from conftest import ROOT, SLOW

MAGIKA, SILERO = ROOT / ".deps/models/magika/model.onnx", ROOT / ".deps/models/silero_vad/model.onnx"


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def settings(store):
    return {"store.path": store}


def prepared(server, n, result="ok"):
    server.wait(lambda: server.metric("troupe_prepared_total", result=result) >= n, f"{n} models to be prepared", 120)


def ask(server, seed=7):
    data = np.random.default_rng(seed).integers(0, 256, (2, 2048)).astype(np.int32)
    body = {"inputs": [{"name": "bytes", "datatype": "INT32", "shape": [2, 2048], "data": data.ravel().tolist()}]}
    status, reply, _ = server.request("POST", "/v2/models/magika/infer", json.dumps(body).encode())
    assert status == 200, reply
    session = onnxruntime.InferenceSession(str(MAGIKA))
    np.testing.assert_allclose(json.loads(reply)["outputs"][0]["data"], session.run(None, {"bytes": data})[0].ravel(), rtol=1e-4, atol=1e-5)


def test_the_first_load_is_plain_and_the_next_one_maps(serve, repository, store):
    repository.add(MAGIKA, "magika.onnx")
    server = serve(repository.path, settings=settings(store)).wait_ready("magika")
    ask(server)
    assert server.metric("troupe_model_loads_mapped_total") == 0
    prepared(server, 1)
    plain_bytes = server.metric("troupe_account_bytes", account="weights")
    for order in ("unload", "load"):
        assert server.request("POST", f"/v2/repository/models/magika/{order}", b"{}")[0] == 200
    assert server.metric("troupe_model_loads_mapped_total") == 1
    ask(server)
    assert server.metric("troupe_account_bytes", account="weights") < plain_bytes / 4
    server.stop()
    server = serve(repository.path, settings=settings(store)).wait_ready("magika")
    assert server.metric("troupe_model_loads_mapped_total") == 1 and " mapped (onnxruntime)" in server.log()
    ask(server)


def test_two_servers_share_one_store(serve, repository, store):
    repository.add(MAGIKA, "magika.onnx")
    repository.add(SILERO, "silero.onnx")
    prepared(serve(repository.path, settings=settings(store)).wait_ready("magika", "silero"), 2)
    servers = [serve(repository.path, settings=settings(store)).wait_ready("magika", "silero") for _ in range(2)]
    for server in servers:
        assert server.metric("troupe_model_loads_mapped_total") == 2
        ask(server)


def blobs(store):
    return sorted((p for p in (store / "blobs").glob("*/*")), key=lambda p: p.stat().st_size)


@pytest.mark.parametrize("damage", ["cut", "changed", "removed"])
def test_a_damaged_blob_is_noticed_and_prepared_anew(serve, repository, store, damage):
    repository.add(MAGIKA, "magika.onnx")
    server = serve(repository.path, settings=settings(store)).wait_ready("magika")
    prepared(server, 1)
    server.stop()
    victim = blobs(store)[-1]
    victim.chmod(0o644)
    content = bytearray(victim.read_bytes())
    if damage == "removed":
        victim.unlink()
    else:
        content[0] ^= 255
        victim.write_bytes(content if damage == "changed" else content[:-1])
    server = serve(repository.path, settings=settings(store)).wait_ready("magika")
    ask(server)
    assert server.metric("troupe_model_loads_mapped_total") == 0 and "is not used any more" in server.log()
    prepared(server, 1)
    server.stop()
    server = serve(repository.path, settings=settings(store)).wait_ready("magika")
    assert server.metric("troupe_model_loads_mapped_total") == 1
    ask(server)


def test_the_store_keeps_within_its_size(serve, repository, store):
    repository.add(MAGIKA, "magika.onnx")
    repository.add(SILERO, "silero.onnx")
    server = serve(repository.path, settings={**settings(store), "store.max_bytes": "4MB"}).wait_ready("magika", "silero")
    prepared(server, 2)
    server.wait(lambda: len(list((store / "made").iterdir())) == 1, "the older one to go")
    assert sum(b.stat().st_size for b in blobs(store)) <= 4_000_000
    ask(server)


def test_a_small_model_is_not_worth_it(serve, repository, store):
    repository.add(ROOT / "examples/models/digits_linear.onnx")
    server = serve(repository.path, settings=settings(store)).wait_ready("digits_linear")
    assert "too small for preparing to pay" in server.log()
    server.stop()
    assert not list((store / "made").iterdir()) and not list((store / "tmp").iterdir()) and not list((store / "leases").iterdir())


def test_a_store_that_cannot_be_used_is_said_and_done_without(serve, repository, tmp_path):
    (tmp_path / "file").write_text("in the way")
    repository.add(MAGIKA, "magika.onnx")
    server = serve(repository.path, settings=settings(tmp_path / "file/store")).wait_ready("magika")
    assert "serving without a store" in server.log()
    ask(server)


def test_the_end_does_not_wait_for_a_preparation(serve, repository, store):
    for i in range(4 if SLOW == 1 else 2):
        repository.add(MAGIKA, f"m{i}/model.onnx")
        with open(repository.path / f"m{i}/model.onnx", "ab") as f:
            f.write(b"\x32\x03" + bytes([97 + i]) * 3)  # another doc_string: another model
    server = serve(repository.path, settings=settings(store)).wait_ready("m0")
    server.stop()
    assert not list((store / "tmp").iterdir())
