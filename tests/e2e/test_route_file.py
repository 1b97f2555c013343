"""routes.yaml while somebody writes it: it is taken up whole, or not at all."""
import contextlib
import json
import shutil
import signal
import threading
import time

import pytest

from conftest import SLOW
from test_repository import index, load
from test_route_canary import PLAIN, ask_until, canary
from test_routes import ask, command, routes, who

ROUTE = "routes:\n  r:\n    - use: old\n      canary: { use: good, steps: [20%, 60%, 100%], hold: 200ms, answers: 10, slower: 1000 }\n"
WATCHED = {"repository.watch": "notify", "repository.settle": "200ms"}


@pytest.fixture
def started(serve, repository):
    def start(settings, file=ROUTE):
        for name in ("old", "good"):
            repository.write(f"{name}/model.echo", PLAIN)
        repository.write("routes.yaml", file)
        server = serve(repository.path, settings=settings).wait_ready("old", "good")
        server.wait(lambda: "r" in routes(server), "the route")
        return server
    return start


@contextlib.contextmanager
def always_answered(server, name="r"):
    over, statuses = threading.Event(), []

    def work():
        while not over.is_set():
            statuses.append(ask(server, name)[0])
    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        over.set()
        worker.join()
    assert set(statuses) == {200}


def far(server):
    """The canary has gone past its first step, and would begin there again."""
    ask_until(server, lambda: canary(server)["state"] == "done", "the canary's steps")


@pytest.mark.parametrize("how", ["watch", "SIGHUP"])
def test_a_file_that_is_written_slowly_is_not_taken_for_an_empty_one(started, repository, how):
    server = started(WATCHED if how == "watch" else {"repository.settle": "200ms"})
    far(server)
    with always_answered(server):
        with open(repository.path / "routes.yaml", "w", encoding="utf-8") as file:
            if how == "watch":
                (repository.path / "good/model.echo").touch()  # something else is a reason to look
            else:
                server.process.send_signal(signal.SIGHUP)
            server.wait(lambda: "is empty" in index(server)["r/1"][1], "it to be looked at")
            file.write(ROUTE + "  s: [ { use: good } ]\n")
        if how == "SIGHUP":
            server.process.send_signal(signal.SIGHUP)
        server.wait(lambda: "s" in routes(server), "the new file")
    assert canary(server)["state"] == "done"
    server.wait(lambda: index(server)["r/1"] == ("READY", ""), "the trouble to be over")
    assert " 0 routes and compositions" not in server.log()


def test_a_folder_that_is_written_slowly_keeps_its_name(started, repository):
    """Half of a route is no route, and would be a model without a file."""
    server = started(dict(WATCHED, **{"repository.settle": "1s" if SLOW == 1 else "10s"}))
    repository.write("x/model.yaml", "route: [ { use: old } ]\n")
    assert load(server, "x")[0] == 200  # whoever asks has it read at once
    text = "# what x asks\nroute:\n  - { when: params.n == 1, use: old }\n  - { use: good }\n"
    with always_answered(server, "x"):
        for end in range(0, len(text) - 1, 3):
            repository.write("x/model.yaml", text[:end])
            time.sleep(0.03)  # time in which somebody could look
            assert who(server, "x") == "old" and index(server)["x/1"] == ("READY", "")
        repository.write("x/model.yaml", text)
        server.wait(lambda: who(server, "x") == "good", "the whole file")
    assert "x/model.yaml" not in server.log()
    (repository.path / "x/model.yaml").write_text("route: [ { use: old } ]\n")
    server.process.send_signal(signal.SIGHUP)
    server.wait(lambda: who(server, "x") == "old", "the file that SIGHUP has read")
    shutil.rmtree(repository.path / "x")
    server.wait(lambda: ask(server, "x")[0] == 404, "the folder to be gone long enough")


def test_a_load_waits_for_a_file_that_is_away_for_a_moment(started, repository):
    server = started({"repository.settle": "1h"})
    path = repository.path / "routes.yaml"
    (repository.path / ".next").write_text(ROUTE + "  s: [ { use: good } ]\n")
    path.unlink()
    with always_answered(server):
        replies = []
        loading = threading.Thread(target=lambda: replies.append(load(server, "s")))
        loading.start()
        (repository.path / ".next").rename(path)
        assert load(server, "s")[0] == 200  # whoever asks now has it read now
        loading.join()
        assert replies[0][0] == 200
    assert who(server, "s") == "good"


def test_an_empty_file_is_refused_and_one_that_stays_away_is_told(started, repository):
    server = started({"repository.settle": "100ms"})
    (repository.path / "routes.yaml").write_text("# nothing here\n")
    status, reply = load(server, "r")
    assert status == 400 and "routes.yaml is empty; `routes: {}` in it says that there are none" in reply["error"]
    assert ask(server, "r")[0] == 200 and "is empty" in index(server)["r/1"][1]
    (repository.path / "routes.yaml").unlink()
    assert load(server, "r")[0] == 404
    assert ask(server, "r")[0] == 404
    server.wait(lambda: "routes.yaml is not there any more, and the names that it declared (1) go with it" in server.log(), "a word of warning")


def test_names_of_a_file_that_is_wrong_at_the_start_say_so_and_the_server_is_not_ready(serve, repository):
    """A rolling update stops there, and clients are not told that nobody knows the name."""
    repository.write("old/model.echo", PLAIN)
    repository.write("good/model.echo", PLAIN)
    repository.write("pair/model.yaml", "ensemble: { members: [old, r], vote: mean }\n")
    repository.write("routes.yaml", "routes:\n  r: [ { use: old, fallback: nobody } ]\nensembles:\n  e: { members: [old, good], vote: mean }\n")
    server = serve(repository.path, "--set", "health.strict_readiness=true")
    server.wait(lambda: "r/1" in index(server), "the file to be looked at")
    server.wait(lambda: ask(server, "old")[0] == 200, "the model")
    assert server.get("/v2/health/ready")[0] != 200 and server.get("/v2/health/live")[0] == 200
    for name in ("r", "e"):
        status, reply = ask(server, name)
        assert status == 503 and "not at ready state" in reply["error"] and "routes.yaml:2:" in reply["error"] and "'nobody'" in reply["error"]
        assert index(server)[f"{name}/1"][0] == "UNAVAILABLE" and "'nobody'" in index(server)[f"{name}/1"][1]
        assert server.get(f"/v2/models/{name}")[0] == 503 and server.get(f"/v2/models/{name}/ready")[0] == 400
    assert ask(server, "pair")[0] == 503 and ask(server, "nobody")[0] == 404
    assert "no route or composition of the file serves: " in server.log() and "stay as they were" not in server.log()
    assert command(server, "ls").count("there is no model") == 1
    status, reply = load(server, "r")
    assert status == 400 and "'nobody'" in reply["error"]
    assert server.get("/metrics")[0] == 200 and server.get("/api/routes")[0] == 200
    repository.write("routes.yaml", "routes:\n  r: [ { use: old } ]\n  e: [ {\n")  # no YAML
    status, reply = load(server, "e")
    assert status == 400 and "routes.yaml:" in reply["error"]
    assert server.get("/v2/health/ready")[0] != 200
    repository.write("routes.yaml", "routes:\n  r: [ { use: old } ]\n")
    assert load(server, "r")[0] == 200
    server.wait(lambda: server.get("/v2/health/ready")[0] == 200, "the server to be ready")
    assert who(server, "r") == "old" and ask(server, "e")[0] == 404
    repository.write("routes.yaml", "routes:\n  r: [ { use: nobody } ]\n")  # what serves goes on, so nothing is missing
    assert load(server, "r")[0] == 400
    assert server.get("/v2/health/ready")[0] == 200 and who(server, "r") == "old"
    assert json.loads(server.get("/api/routes")[1])["trouble"] != ""


def test_who_asks_a_model_that_leaves_says_so_until_it_is_back(started, repository):
    file = ("routes:\n  r: [ { use: old, fallback: good } ]\n  s: [ { use: old } ]\n"
            "ensembles:\n  jury: { members: [old, good], vote: mean, quorum: 1 }\n")
    server = started({"repository.settle": "100ms"}, file)
    server.wait(lambda: index(server)["jury/1"] == ("READY", ""), "the ensemble")
    (repository.path / "good").rename(repository.path / ".good")
    server.process.send_signal(signal.SIGHUP)
    server.wait(lambda: "ensemble 'jury': 'good', which it asks, is not there any more" in server.log(), "a word of the ensemble")
    server.wait_logged("route 'r' goes on, and may not fit its targets: ")
    server.wait_logged("2:30: 'good' is not there any more")
    assert "'s'" not in server.log()
    for name in ("r", "jury"):
        state, reason = index(server)[f"{name}/1"]
        assert state == "READY" and "'good'" in reason and "is not there any more" in reason
        assert ask(server, name)[0] == 200
    assert "is not there any more" in command(server, "ls")
    (repository.path / ".good").rename(repository.path / "good")
    server.process.send_signal(signal.SIGHUP)
    server.wait(lambda: "all that ensemble 'jury' asks are there now" in server.log(), "a word of the ensemble")
    assert index(server)["jury/1"] == ("READY", "") and index(server)["r/1"] == ("READY", "")
    said = server.log().count("is not there any more")
    server.stop()
    assert server.log().count("is not there any more") == said  # that models leave at the end concerns nobody
