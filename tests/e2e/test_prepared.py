"""Models are prepared beside serving and mapped by the next load; whatever happens to the store, they are served."""
import json
import os
import re
import shutil
import sys
import threading

import numpy as np
import onnxruntime
import pytest

from conftest import ROOT, SLOW

sys.path.insert(0, str(ROOT / "bench"))
from onnx_maker import chain, field  # noqa: E402,F401

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
    assert server.metric("troupe_model_loads_mapped_total") == 1
    server.wait_logged(" mapped (onnxruntime)")
    ask(server)


def test_a_model_that_moved_is_opened_at_once_and_known_afterwards(serve, repository, store, tmp_path):
    repository.add(MAGIKA, "magika.onnx")
    server = serve(repository.path, settings=settings(store)).wait_ready("magika")
    prepared(server, 1)
    server.stop()
    elsewhere = tmp_path / "elsewhere"
    repository.path.rename(elsewhere)
    server = serve(elsewhere, settings=settings(store)).wait_ready("magika")
    assert server.metric("troupe_model_loads_mapped_total") == 0  # naming it means reading it whole
    ask(server)
    server.wait(lambda: "was prepared before" in server.log(), "the store to recognise it")
    for order in ("unload", "load"):
        assert server.request("POST", f"/v2/repository/models/magika/{order}", b"{}")[0] == 200
    assert server.metric("troupe_model_loads_mapped_total") == 1 and server.metric("troupe_prepared_total", result="ok") == 0
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


@pytest.mark.parametrize("damage", ["cut", "changed", "changed inside", "removed"])
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
        content[len(content) // 2 if damage == "changed inside" else 0] ^= 255
        victim.write_bytes(content[:-1] if damage == "cut" else content)
    server = serve(repository.path, settings=settings(store)).wait_ready("magika")
    ask(server)
    assert server.metric("troupe_model_loads_mapped_total") == 0
    server.wait_logged("is not used any more")
    prepared(server, 1)
    server.stop()
    server = serve(repository.path, settings=settings(store)).wait_ready("magika")
    assert server.metric("troupe_model_loads_mapped_total") == 1
    ask(server)


class Asker(threading.Thread):
    """Asks one model again and again, and keeps what was not answered as it should be."""

    def __init__(self, server, name, want):
        super().__init__(daemon=True)
        self.server, self.name, self.want = server, name, want
        self.over, self.good, self.failed, self.wrong = threading.Event(), 0, [], []

    def run(self):
        body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 256], "data": [1.0] * 256}]}).encode()
        while not self.over.is_set():
            status, reply, _ = self.server.request("POST", f"/v2/models/{self.name}/infer", body)
            if status != 200:
                self.failed.append((status, reply.decode()))
            elif np.allclose(json.loads(reply)["outputs"][0]["data"], self.want, rtol=1e-4, atol=1e-5):
                self.good += 1
            else:
                self.wrong.append(reply)


def made_chain(repository, name, layers=6):
    path = repository.path / name
    chain(path, 1, 256, layers)
    want = onnxruntime.InferenceSession(str(path)).run(None, {"x": np.ones((1, 256), np.float32)})[0].ravel()
    return want


def test_a_blob_that_is_cut_while_requests_run_is_survived(serve, repository, store):
    """The process lives, nobody gets an answer that was made of zeros, the failures name the blob, and the model is opened anew."""
    repository.add(MAGIKA, "magika.onnx")
    want = made_chain(repository, "chain.onnx")
    server = serve(repository.path, settings=settings(store)).wait_ready("chain", "magika")
    prepared(server, 2)
    server.stop()
    server = serve(repository.path, settings=settings(store)).wait_ready("chain", "magika")
    assert server.metric("troupe_model_loads_mapped_total") == 2
    askers = [Asker(server, "chain", want) for _ in range(3)]
    for asker in askers:
        asker.start()
    server.wait(lambda: all(a.good > 5 for a in askers), "answers before")
    victim = next(b for b in blobs(store) if b.stat().st_size == 256 * 256 * 4)
    victim.chmod(0o644)
    with open(victim, "r+b") as f:
        f.truncate(0)
    server.wait(lambda: server.metric("troupe_mapping_losses_total") >= 1, "the loss to be noticed")
    server.wait(lambda: "replaced 'chain/1'" in server.log(), "the model to be opened anew")
    before = [a.good for a in askers]
    server.wait(lambda: all(a.good > b + 5 for a, b in zip(askers, before)), "answers afterwards")
    for asker in askers:
        asker.over.set()
        asker.join(60)
        assert not asker.wrong
        assert all(victim.name in text or "chain" in text for _, text in asker.failed), asker.failed
    assert any(victim.name in text for asker in askers for _, text in asker.failed)
    server.wait_logged(f"{victim.parent.name}/{victim.name} was cut short")
    ask(server)
    prepared(server, 1)  # and prepared again
    server.stop()
    server = serve(repository.path, settings=settings(store)).wait_ready("chain", "magika")
    assert server.metric("troupe_model_loads_mapped_total") == 2


def test_what_a_disk_changed_is_found_beside_serving(serve, repository, store):
    """A byte in the middle of a blob, without a date that tells: no look at its ends sees it, so somebody must read it."""
    want = made_chain(repository, "chain.onnx")
    server = serve(repository.path, settings=settings(store)).wait_ready("chain")
    prepared(server, 1)
    server.stop()
    server = serve(repository.path, settings={**settings(store), "store.verify_interval": "200ms", "store.verify_rate": 0}).wait_ready("chain")
    assert server.metric("troupe_model_loads_mapped_total") == 1
    server.wait(lambda: server.metric("troupe_store_verified_total", result="whole") >= 1, "a first reading")
    assert server.metric("troupe_store_verified_total", result="damaged") == 0
    victim = blobs(store)[0]
    victim.chmod(0o644)
    date = victim.stat().st_mtime_ns
    with open(victim, "r+b") as f:
        f.seek(victim.stat().st_size // 2)
        f.write(b"\xff\xff\x7f\x7f")
        f.flush()
        os.utime(victim, ns=(date, date))
    server.wait(lambda: server.metric("troupe_store_verified_total", result="damaged") >= 1, "the damage to be found")
    server.wait(lambda: "replaced 'chain/1'" in server.log(), "the model to be opened anew")
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 256], "data": [1.0] * 256}]}).encode()
    status, reply, _ = server.request("POST", "/v2/models/chain/infer", body)
    assert status == 200
    np.testing.assert_allclose(json.loads(reply)["outputs"][0]["data"], want, rtol=1e-4, atol=1e-5)
    prepared(server, 1)
    server.wait(lambda: victim.exists() and victim.stat().st_mode & 0o222 == 0, "the blob to be written again")


def test_shared_weights_are_counted_once(serve, repository, store):
    """Two models with equal weights: what is charged is what is there."""
    for name in ("one.onnx", "two.onnx"):
        made_chain(repository, name)
    with open(repository.path / "two.onnx", "ab") as f:
        f.write(b"\x32\x03two")  # another doc_string: another model
    server = serve(repository.path, settings=settings(store)).wait_ready("one", "two")
    assert server.metric("troupe_account_bytes", account="shared") == 0
    prepared(server, 2)
    server.stop()
    server = serve(repository.path, settings=settings(store)).wait_ready("one", "two")
    each = 6 * 256 * 256 * 4
    assert server.metric("troupe_account_bytes", account="shared") == each
    assert sum(b.stat().st_size for b in blobs(store)) == each
    for name, left in (("one", each), ("two", 0)):
        assert server.request("POST", f"/v2/repository/models/{name}/unload", b"{}")[0] == 200
        server.wait(lambda: server.metric("troupe_account_bytes", account="shared") == left, f"{left} bytes")


def blob_pss(server):
    """Bytes of memory that this process is charged for mapped blobs: pages that n processes map count a n-th in each."""
    total, is_blob = 0, False
    for line in open(f"/proc/{server.process.pid}/smaps"):
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            is_blob = "/blobs/" in line
        elif is_blob and line.startswith("Pss:"):
            total += int(line.split()[1]) * 1024
    return total


def test_variants_of_one_base_are_in_memory_once(serve, repository, store):
    """Eight models with the same weights, each used, in two servers on one store: one set of pages."""
    names = [f"v{i}" for i in range(8)]
    made_chain(repository, "v0.onnx")
    for name in names[1:]:
        shutil.copy(repository.path / "v0.onnx", repository.path / f"{name}.onnx")
        with open(repository.path / f"{name}.onnx", "ab") as f:
            f.write(b"\x32\x02" + name.encode())  # another doc_string: another model
    server = serve(repository.path, settings=settings(store)).wait_ready(*names)
    prepared(server, 8)
    server.stop()
    servers = [serve(repository.path, settings=settings(store)).wait_ready(*names) for _ in range(2)]
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 256], "data": [1.0] * 256}]}).encode()
    for server in servers:
        for name in names:
            assert server.request("POST", f"/v2/models/{name}/infer", body)[0] == 200
    there = sum(b.stat().st_size for b in blobs(store))
    assert there == 6 * 256 * 256 * 4
    pss = [blob_pss(server) for server in servers]
    assert there * 0.9 <= sum(pss) <= there * 1.02, (there, pss)


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
    server.wait_logged("too small for preparing to pay")
    server.stop()
    assert not list((store / "made").iterdir()) and not list((store / "tmp").iterdir()) and not list((store / "leases").iterdir())


def test_a_store_that_cannot_be_used_is_said_and_done_without(serve, repository, tmp_path):
    (tmp_path / "file").write_text("in the way")
    repository.add(MAGIKA, "magika.onnx")
    server = serve(repository.path, settings=settings(tmp_path / "file/store")).wait_ready("magika")
    server.wait_logged("serving without a store")
    ask(server)


def test_the_end_does_not_wait_for_a_preparation(serve, repository, store):
    for i in range(4 if SLOW == 1 else 2):
        repository.add(MAGIKA, f"m{i}/model.onnx")
        with open(repository.path / f"m{i}/model.onnx", "ab") as f:
            f.write(b"\x32\x03" + bytes([97 + i]) * 3)  # another doc_string: another model
    server = serve(repository.path, settings=settings(store)).wait_ready("m0")
    server.stop()
    assert not list((store / "tmp").iterdir())
