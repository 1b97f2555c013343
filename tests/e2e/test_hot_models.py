"""A mapped model that is asked all the time gets copies of its weights, and loses them when nobody asks any more."""
import json
import threading

from conftest import BUILD, SLOW
from test_prepared import field, prepared, store  # noqa: F401


PACK = "300ms" if SLOW == 1 else "1s"  # six looks without a run make a model cold: who asks must not be away for so long


def write_model(repository):
    """x INT64 [n] -> y INT64 [n], and weights that make it worth preparing; the backend of this test does not read them."""
    def io(name):
        return field(1, name) + field(2, field(1, field(1, 7) + field(2, field(1, field(2, "n")))))
    node = field(1, "x") + field(2, "y") + field(4, "Identity")
    weights = field(1, 20000) + field(2, 1) + field(8, "w") + field(9, bytes(80000))
    graph = field(1, node) + field(2, "hot") + field(5, weights) + field(11, io("x")) + field(12, io("y"))
    repository.write("hot.onnx", field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17)))


class Asker(threading.Thread):
    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.over, self.failed = server, threading.Event(), []

    def run(self):
        body = json.dumps({"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [0]}]}).encode()
        while not self.over.is_set():
            status, reply, _ = self.server.request("POST", "/v2/models/hot/infer", body)
            if status != 200:
                self.failed.append(reply)


def reopened(server, how):
    return server.metric("troupe_reopened_total", **{"as": how})


def test_a_hot_model_gets_packed_weights_and_gives_them_back(serve, repository, store):  # noqa: F811
    write_model(repository)
    settings = {"store.path": store, "backends.path": BUILD / "tests/hot", "store.pack_interval": PACK}
    server = serve(repository.path, settings=settings).wait_ready("hot")
    prepared(server, 1)
    server.stop()
    server = serve(repository.path, settings=settings).wait_ready("hot")
    assert server.metric("troupe_model_loads_mapped_total") == 1
    own = server.metric("troupe_account_bytes", account="weights")
    askers = [Asker(server) for _ in range(2)]
    for asker in askers:
        asker.start()
    server.wait(lambda: reopened(server, "packed") == 1, "the model to be found hot")
    server.wait(lambda: "replaced 'hot/1'" in server.log(), "the packed one to take over")
    server.wait(lambda: server.metric("troupe_account_bytes", account="weights") >= own + (1 << 20), "its copies to be charged")
    assert reopened(server, "mapped") == 0
    for asker in askers:
        asker.over.set()
        asker.join(60)
        assert not asker.failed
    server.wait(lambda: reopened(server, "mapped") == 1, "the model to be found cold", 60)
    server.wait(lambda: server.metric("troupe_account_bytes", account="weights") <= own, "the copies to go")
    for words in ("it is opened with packed weights", "it is opened mapped"):
        server.wait(lambda: words in server.log(), f"the log to say: {words}")


def test_a_model_that_was_prepared_since_is_mapped_when_nobody_asks(serve, repository, store):  # noqa: F811
    write_model(repository)
    settings = {"store.path": store, "backends.path": BUILD / "tests/hot", "store.pack_interval": PACK}
    server = serve(repository.path, settings=settings).wait_ready("hot")
    prepared(server, 1)
    server.wait(lambda: reopened(server, "mapped") == 1, "it to be found cold")
    server.wait(lambda: server.metric("troupe_model_loads_mapped_total") == 1, "it to be mapped")
    assert server.get("/v2/models/hot/ready")[0] == 200


def test_who_is_asked_now_and_then_stays_mapped(serve, repository, store):  # noqa: F811
    write_model(repository)
    settings = {"store.path": store, "backends.path": BUILD / "tests/hot", "store.pack_interval": "0s"}
    prepared(serve(repository.path, settings=settings).wait_ready("hot"), 1)
    server = serve(repository.path, settings=settings).wait_ready("hot")
    asker = Asker(server)
    asker.start()
    server.wait(lambda: server.metric("troupe_runs_total") > 200, "some runs")
    asker.over.set()
    asker.join(60)
    assert reopened(server, "packed") == 0 and not asker.failed
