"""What goes wrong around a server and must not take it down: a store whose disk is full, read-only or gone, a repository that goes away
while it is read, no descriptors left, loads that hang.  Models are served all the same, and somebody is told."""
import http.client
import json
import os
import resource
import shutil
import subprocess
import threading

import numpy as np
import pytest

from conftest import SLOW
from test_prepared import MAGIKA, ask, prepared, settings
from test_replacement import put
from test_repository import IDENTITY, NEGATED, X, index, load, post
from test_repository import ask as ask_sign


def mounted(script):
    """The beginning of a command that has mounts of its own and runs `script` first; it keeps its process number."""
    if subprocess.run(["unshare", "-Urm", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no user namespaces here")
    return ["unshare", "-Urm", "sh", "-ec", script + '; exec "$@"', "sh"]


def reload(server, model="magika"):
    for order in ("unload", "load"):
        assert post(server, f"/v2/repository/models/{model}/{order}")[0] == 200


@pytest.fixture
def store(repository, tmp_path):
    repository.add(MAGIKA, "magika.onnx")
    return tmp_path / "store"


# ---- the store ----

def test_a_store_on_a_full_disk_is_done_without(serve, repository, store):
    store.mkdir()
    server = serve(repository.path, settings=settings(store), prefix=mounted(f"mount -t tmpfs -o size=400k none {store}"))
    server.wait_ready("magika")
    prepared(server, 1, "failed")
    server.wait_logged("No space left on device")
    ask(server)
    reload(server)
    ask(server)
    assert server.metric("troupe_model_loads_mapped_total") == 0
    seen = f"/proc/{server.process.pid}/root{store}"
    server.wait(lambda: os.listdir(f"{seen}/tmp") == [], "what was half written to go")
    assert os.listdir(f"{seen}/made") == []


def test_a_read_only_store_is_done_without(serve, repository, store):
    server = serve(repository.path, settings=settings(store)).wait_ready("magika")
    prepared(server, 1)
    server.stop()
    server = serve(repository.path, settings=settings(store),
                   prefix=mounted(f"mount --bind {store} {store}; mount -o remount,ro,bind {store}")).wait_ready("magika")
    server.wait_logged("serving without a store")
    server.wait_logged("Read-only file system")
    ask(server)


def test_a_store_that_vanishes_while_it_is_used(serve, repository, store):
    server = serve(repository.path, settings=settings(store)).wait_ready("magika")
    prepared(server, 1)
    reload(server)
    assert server.metric("troupe_model_loads_mapped_total") == 1
    shutil.rmtree(store)
    ask(server)  # what is mapped stays
    reload(server)
    ask(server)
    assert server.metric("troupe_model_loads_mapped_total") == 1, "the model itself was loaded"
    server.stop()


def test_a_store_whose_file_system_is_unmounted_and_comes_back(serve, repository, store, tmp_path):
    """What is mapped stays, loads go on plainly, nothing is written to the folder that lay below, and nobody need start the server
    again when the store is back."""
    disk = tmp_path / "disk"
    disk.mkdir()
    store.mkdir()
    server = serve(repository.path, settings=settings(store), prefix=mounted(f"mount --bind {disk} {store}")).wait_ready("magika")
    prepared(server, 1)
    reload(server)
    assert server.metric("troupe_model_loads_mapped_total") == 1

    def in_its_place(*command):
        words = ["nsenter", "-t", str(server.process.pid), "-U", "-m", "--preserve-credentials", *map(str, command)]
        subprocess.run(words, check=True, capture_output=True)
    in_its_place("umount", "-l", store)
    ask(server)
    reload(server)
    ask(server)
    assert server.metric("troupe_model_loads_mapped_total") == 1, "the model itself was loaded"
    prepared(server, 1, "failed")
    assert list(store.iterdir()) == [], "it is no store"
    in_its_place("mount", "--bind", disk, store)
    reload(server)
    ask(server)
    assert server.metric("troupe_model_loads_mapped_total") == 2
    server.stop()
    assert os.listdir(disk / "tmp") == [] and os.listdir(disk / "leases") == []


# ---- the repository ----

def test_a_folder_that_goes_away_while_it_is_loaded(serve, repository):
    repository.write("slow/1/model.echo", "load_sleep 1s\n")
    repository.write("slow/config.pbtxt", 'backend: "echo"')
    repository.add(IDENTITY, "other.onnx")
    server = serve(repository.path, settings={"models.load": "explicit"}).wait_ready()
    assert load(server, "other")[0] == 200
    replies = []
    thread = threading.Thread(target=lambda: replies.append(load(server, "slow")))
    thread.start()
    server.wait(lambda: index(server).get("slow/1", ("",))[0] == "LOADING" or replies, "the load to begin")
    shutil.rmtree(repository.path / "slow")
    thread.join()
    assert replies[0][0] == 200 or "slow" in replies[0][1]["error"]
    assert np.array_equal(ask_sign(server, "other")[0], X)
    status, reply = load(server, "slow")
    assert status in (400, 404) and "slow" in reply["error"]
    assert np.array_equal(ask_sign(server, "other")[0], X)


def test_a_repository_that_comes_and_goes_under_many_loads(serve, repository):
    """Folders are moved away and back while loads read them: a load is done or says why not, and in the end all is as it should be."""
    for i in range(4):
        put(IDENTITY if i % 2 else NEGATED, repository.path / f"m{i}/1/model.onnx")
    repository.add(MAGIKA, "large/1/model.onnx")
    server = serve(repository.path, settings={"models.load": "explicit", "threads.loaders": 3}).wait_ready()
    names, strange, over = [*(f"m{i}" for i in range(4)), "large"], [], threading.Event()

    def order(name):
        while not over.is_set():
            for what in ("load", "unload"):
                status, reply = post(server, f"/v2/repository/models/{name}/{what}")
                if status not in (200, 400, 404) or (status != 200 and name not in reply["error"]):
                    strange.append((name, what, status, reply))
    threads = [threading.Thread(target=order, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    away = repository.path.with_name("away")
    for i in range(60):
        what = repository.path / names[i % 5] if i % 3 else repository.path
        what.rename(away)
        threading.Event().wait(0.002 * (i % 4))
        away.rename(what)
    over.set()
    for thread in threads:
        thread.join()
    assert strange == []
    for name in names:
        assert load(server, name)[0] == 200
        assert index(server)[f"{name}/1"] == ("READY", "")
    assert np.array_equal(ask_sign(server, "m1")[0], X) and np.array_equal(ask_sign(server, "m0")[0], -X)


# ---- the process ----

class Line:
    """One connection that is kept: where no descriptor is left, a new one would not be accepted."""

    def __init__(self, server):
        host, port = server.url.split(":")
        self.line = http.client.HTTPConnection(host, int(port), timeout=60 * SLOW)

    def post(self, path, body=None):
        self.line.request("POST", path, b"" if body is None else json.dumps(body).encode())
        reply = self.line.getresponse()
        text = reply.read()
        return reply.status, json.loads(text) if text else None


def test_a_load_without_descriptors_fails_and_the_next_one_does_not(serve, repository, store):
    repository.add(IDENTITY, "small.onnx")
    server = serve(repository.path, settings={**settings(store), "models.load": "explicit"}).wait_ready()
    line, pid = Line(server), server.process.pid
    question = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
    assert line.post("/v2/repository/models/small/load")[0] == 200
    assert line.post("/v2/repository/models/magika/load")[0] == 200  # whatever is opened once is open
    prepared(server, 1)
    assert line.post("/v2/repository/models/magika/unload")[0] == 200
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    for _ in range(3):
        status, reply = line.post("/v2/repository/models/magika/load")
        assert status >= 400 and "magika" in reply["error"] and "Too many open files" in reply["error"], reply
        assert line.post("/v2/models/small/infer", question)[1]["outputs"][0]["data"] == [1, 2, 3]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    assert line.post("/v2/repository/models/magika/load")[0] == 200
    assert server.metric("troupe_model_loads_mapped_total") == 1, "what was prepared was not thrown away"
    ask(server)


def test_loads_that_hang_are_given_up_and_keep_nobody(serve, repository):
    for i in range(3):
        repository.write(f"hangs{i}.echo", "load_sleep 600s\n")
        repository.write(f"quick{i}.echo", "")
    server = serve(repository.path, settings={"models.load": "explicit", "timeouts.load": "1s", "threads.loaders": 2}).wait_ready()
    replies = []
    threads = [threading.Thread(target=lambda name=f"hangs{i}": replies.append(load(server, name))) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [status for status, _ in replies] == [504] * 3 and all("timeouts.load" in reply["error"] for _, reply in replies)
    assert server.metric("troupe_limit_hits_total", limit="load_time") == 3
    for i in range(3):
        assert load(server, f"quick{i}")[0] == 200
        assert np.array_equal(ask_sign(server, f"quick{i}", name="INPUT0")[0], X)
        assert "timeouts.load" in index(server)[f"hangs{i}/1"][1]
