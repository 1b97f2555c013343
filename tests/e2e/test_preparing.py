"""A preparation is under way, half done, while other things happen: the server ends, the model is unloaded or replaced, requests come, its
memory is wanted.  The backend of these tests goes no further while a file MODEL.hold lies beside the model, and says that a model holds as
much as its file is long."""
import json
import re

import pytest

from conftest import BUILD, COUNTS_MEMORY, SLOW
from test_hot_models import Asker, write_model
from test_budget import MIB
from test_prepared import blobs, chain, field, prepared, store  # noqa: F401
from test_repository import load, post


def logged(server, *words):
    """Waits until one of these stands in the log, which is read behind the server's back."""
    server.wait(lambda: any(re.search(w, server.log()) for w in words), f"the log to say {words}")


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
    logged(held.server, "changed meanwhile")
    assert held.is_empty("made", "bad")
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


# ---- memory ----

SIZE = 50 * MIB  # 2.75 times as much while it is loaded, 2.7 times while it is prepared


def write_large(repository, name, size=SIZE):
    def io(name):
        return field(1, name) + field(2, field(1, field(1, 7) + field(2, field(1, field(2, "n")))))
    weights = field(1, size // 4) + field(2, 1) + field(8, "w") + field(9, name.encode() + bytes(size - len(name)))
    graph = field(1, field(1, "x") + field(2, "y") + field(4, "Identity")) + field(2, "g") + field(5, weights) + field(11, io("x")) + field(12, io("y"))
    repository.write(f"{name}.onnx", field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17)))


@pytest.fixture
def serve_with(serve, repository, store):  # noqa: F811
    """serve_with(n): a server with a budget of n bytes beside what it takes itself."""
    if not COUNTS_MEMORY:
        pytest.skip("the sanitizer's memory counts as the server's")
    empty = serve(repository.path, settings={"backends.path": BUILD / "tests/hot"}).wait_ready()
    floor = int(re.search(r"^Rss:\s+(\d+) kB", open(f"/proc/{empty.process.pid}/smaps_rollup").read(), re.M).group(1)) * 1024
    empty.stop()

    def start(bytes_n, **more):
        settings = {"store.path": store, "backends.path": BUILD / "tests/hot", "store.pack_interval": "0s", "models.load": "explicit",
                    "memory.budget": floor + bytes_n, "memory.meter_interval": "100ms", "memory.stay": "0s", **more}
        return serve(repository.path, settings=settings).wait_ready()
    return start


def test_it_waits_for_memory_and_has_others_go_when_nobody_leaves_any(serve_with, repository, store):  # noqa: F811
    size = 2 * SIZE  # large beside what a sanitizer takes at one time and not at another
    for name in "abc":
        write_large(repository, name, size)
    for name in "ab":
        repository.write(f"{name}.onnx.hold", "")
    server = serve_with(5 * size)  # room to load the third (4.75), and not to prepare one beside the others (5.7)
    repository.write("c.onnx.hold", "")
    for name in "abc":
        assert load(server, name)[0] == 200
    server.wait(lambda: server.metric("troupe_preparations_waiting") == 3, "all of them to wait")
    for name in "abc":
        (repository.path / f"{name}.onnx.hold").unlink()
    assert server.metric("troupe_budget_used", part="reserved") < size and server.metric("troupe_prepared_total") == 0
    assert post(server, "/api/models/a/unpin")[0] == 200 and post(server, "/api/models/b/unpin")[0] == 200
    prepared(server, 3)
    logged(server, "letting '[ab]' go: room for a run")
    server.wait(lambda: server.metric("troupe_budget_used", part="reserved") == 0, "its memory to be given back")


def test_a_load_that_waits_for_its_memory_has_it(serve_with, repository, store):  # noqa: F811
    for name in "ab":
        write_large(repository, name)
    hold = repository.write("a.onnx.hold", "")
    server = serve_with(255 * MIB)
    assert load(server, "a")[0] == 200
    server.wait(lambda: blobs(store), "the preparation to be half done")
    assert server.metric("troupe_budget_used", part="reserved") > 2 * SIZE
    assert load(server, "b")[0] == 200
    assert server.metric("troupe_preparations_put_off_total") >= 1
    logged(server, "'a/1' is prepared later")
    hold.unlink()
    prepared(server, 2)


def test_a_load_that_waits_for_the_memory_of_a_trial_has_it(serve_with, repository, store):  # noqa: F811
    """The trial waits as long as the file `race` is there, so without giving way it would keep its memory for ever."""
    weighs = 64 * MIB  # and a trial takes as much again
    write_model(repository)
    write_large(repository, "b")
    repository.write("hot.onnx.weighs", str(weighs))
    server = serve_with(300 * MIB)
    assert load(server, "hot")[0] == 200
    prepared(server, 1)
    server.stop()
    race = repository.write("hot.onnx.race", "")
    server = serve_with(weighs + 3 * SIZE, **{"store.pack_interval": "300ms"})
    assert load(server, "hot")[0] == 200 and server.metric("troupe_model_loads_mapped_total") == 1
    asker = Asker(server)
    asker.start()
    server.wait(lambda: server.metric("troupe_budget_used", part="reserved") >= weighs, "the trial to begin")
    assert load(server, "b")[0] == 200
    assert server.metric("troupe_preparations_put_off_total") >= 1
    logged(server, "'hot/1': whether packed weights pay is tried later")
    race.unlink()
    assert post(server, "/v2/repository/models/b/unload")[0] == 200
    server.wait(lambda: server.metric("troupe_reopened_total", **{"as": "packed"}) == 1, "it to be tried again, and packed")
    asker.over.set()
    asker.join(60)
    assert not asker.failed


def test_what_can_never_be_prepared_here_is_told_with_the_numbers(serve_with, repository, store):  # noqa: F811
    write_large(repository, "a")
    with open(repository.path / "a.onnx", "ab") as file:
        file.write(field(6, bytes(30 * MIB)))  # it holds more than its weights tell
    server = serve_with(155 * MIB)
    assert load(server, "a")[0] == 200
    prepared(server, 1, "failed")
    logged(server, r"'a/1' was not prepared: .*needs \d+ bytes; at most \d+ of \d+ can be had")
    assert server.metric("troupe_preparations_waiting") == 0 and list((store / "made").iterdir()) == []
    row = next(m for m in json.loads(server.get("/api/residency")[1])["models"] if m["name"] == "a")
    assert "was not prepared: " in row["opened"]


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
