"""New versions of models that routes and compositions ask: what would break one is held back, unless it is forced."""
import json
import re
import subprocess

import pytest
import tritonclient.grpc as triton_grpc
from tritonclient.grpc import service_pb2

from conftest import TROUPE
from test_replacement import WATCHED, put
from test_repository import index, load, post
from test_routes import ask, body_of, explain, routes, who

PLAIN = "input x FP32 [-1]\noutput y FP32 [-1]\n"
OTHER = "input z FP32 [-1]\noutput y FP32 [-1]\n"
MORE = "input x FP32 [-1]\ninput k INT64 [1] optional\noutput y FP32 [-1]\n"
HELD = "troupe_model_loads_held_back_total"


def version_of(server, name):
    status, reply = ask(server, name)
    assert status == 200, reply
    return reply["model_version"]


@pytest.fixture
def served(serve, repository):
    """Starts a server with a, b and c, and this text in routes.yaml."""
    def begin(text, *names, **settings):
        for name in ("a", "b", "c"):
            repository.write(f"{name}/1/model.echo", PLAIN)
        repository.write("routes.yaml", text)
        server = serve(repository.path, **settings).wait_ready("a", "b", "c")
        server.wait(lambda: all(index(server).get(f"{n}/1", ("",))[0] == "READY" for n in names), "the routes")
        return server
    return begin


ROUTE = "routes:\n  r:\n    - use: a\n      fallback: b\n"


def test_a_version_that_would_break_a_route_is_held_back_unless_it_is_forced(served, repository):
    server = served(ROUTE, "r")
    put(OTHER, repository.path / "a/2/model.echo")
    status, reply = load(server, "a")
    assert status == 400 and "held back: it would break route 'r': " in reply["error"], reply
    assert "routes.yaml:4:" in reply["error"] and "needs the input 'z'" in reply["error"]
    assert version_of(server, "a") == "1" and version_of(server, "r") == "1"
    state, reason = index(server)["a/1"]
    assert state == "READY" and "held back" in reason and "routes.yaml:4" in reason
    assert server.metric(HELD) == 1
    server.wait(lambda: "held back" in server.log(), "the log to say so")
    assert load(server, "a")[0] == 400 and server.metric(HELD) == 2, "asking again changes nothing"
    assert load(server, "a", force="yes")[0] == 400 and load(server, "a", force=False)[0] == 400
    assert load(server, "a", force=True)[0] == 200
    assert index(server)["a/2"] == ("READY", "") and "a/1" not in index(server)
    server.wait(lambda: "because it is forced" in server.log(), "the log to say so")
    assert ask(server, "r")[0] == 400, "the operator wanted that"
    put(PLAIN, repository.path / "a/3/model.echo")
    assert load(server, "a")[0] == 200 and version_of(server, "r") == "3"


def test_a_version_that_still_fits_is_taken_up(served, repository):
    server = served(ROUTE, "r")
    put(MORE, repository.path / "a/2/model.echo")
    assert load(server, "a")[0] == 200 and version_of(server, "r") == "2"
    put(OTHER, repository.path / "c/2/model.echo")  # nothing asks it
    assert load(server, "c")[0] == 200 and index(server)["c/2"] == ("READY", "")
    assert server.metric(HELD) == 0


@pytest.mark.parametrize("how", WATCHED)
def test_what_was_held_back_is_tried_again_with_other_routes(served, repository, how):
    server = served(ROUTE, "r", settings=WATCHED[how])
    put(OTHER, repository.path / "a/2/model.echo")
    server.wait(lambda: "held back" in index(server)["a/1"][1], "the version to be held back")
    assert version_of(server, "r") == "1"
    repository.write("routes.yaml", "routes: { r: [ { use: b, fallback: c } ] }\n")
    server.wait(lambda: index(server).get("a/2") == ("READY", ""), "the version to be taken up")
    assert who(server, "r") == "b" and server.metric(HELD) == 1


def test_the_version_that_a_route_names_does_not_leave(served, repository):
    server = served("routes: { r: [ { use: a@1, fallback: b } ] }\n", "r")
    put(PLAIN, repository.path / "a/2/model.echo")  # the newest alone is served unless somebody says otherwise
    status, reply = load(server, "a")
    assert status == 400 and "'a' has no such version or label" in reply["error"]
    assert version_of(server, "r") == "1"
    repository.write("a/config.pbtxt", "version_policy: { all {} }\n")
    assert load(server, "a")[0] == 200 and version_of(server, "r") == "1" and version_of(server, "a") == "2"


@pytest.mark.parametrize("kind, text, words", [
    ("ensemble", "ensembles: { e: { members: { a: 1, b: 1 }, vote: mean } }\n", "input \"x\" of 'a', which would have none"),
    ("ensemble", "routes: { way: [ { use: a } ] }\nensembles: { e: { members: { way: 1, b: 1 }, vote: mean } }\n",
     "input \"x\" of 'way', which would have none"),
    ("pipeline", "pipelines: { e: { steps: [ { model: a, inputs: { x: in }, outputs: { y: out } } ], outputs: [out] } }\n",
     "'a' has no input \"x\""),
    ("cascade", "cascades: { e: { steps: [ { model: b, inputs: { x: x } }, { model: a, inputs: { x: x } } ], confidence: max, threshold: 0.9 } }\n",
     "\"x\""),
])
def test_a_version_that_would_break_a_composition_is_held_back(served, repository, kind, text, words):
    server = served(text, "e")
    put(OTHER, repository.path / "a/2/model.echo")
    status, reply = load(server, "a")
    assert status == 400 and f"held back: it would break {kind} 'e': " in reply["error"], reply
    assert re.search(r"routes\.yaml:\d+:\d+: ", reply["error"]) and words in reply["error"]
    status, reply, _ = server.request("POST", "/v2/models/e/infer", body_of(name="in" if kind == "pipeline" else "x"))
    assert status == 200, reply
    put(MORE, repository.path / "a/3/model.echo")
    assert load(server, "a")[0] == 200 and version_of(server, "a") == "3"


def test_a_composition_behind_another_one_is_found(served, repository):
    repository.write("d/1/model.echo", "input x FP32 [3]\noutput y FP32 [3]\n")
    server = served("pipelines:\n"
                    "  inner: { steps: [ { model: a, inputs: { x: x }, outputs: { y: y } } ], outputs: [y] }\n"
                    "  outer: { steps: [ { model: inner, inputs: { x: x }, outputs: { y: h } }, "
                    "{ model: d, inputs: { x: h }, outputs: { y: y } } ], outputs: [y] }\n", "outer")
    put("input x FP32 [4]\noutput y FP32 [4]\n", repository.path / "a/2/model.echo")  # the inner one could live with it
    status, reply = load(server, "a")
    assert status == 400 and "held back: it would break pipeline 'outer': " in reply["error"], reply
    assert "\"h\" is FP32 [4], but its input \"x\" takes FP32 [3]" in reply["error"]


def test_a_route_behind_a_route_is_found(served, repository):
    server = served("routes: { outer: [ { use: inner, fallback: b } ], inner: [ { use: a } ] }\n", "outer")
    put(OTHER, repository.path / "a/2/model.echo")  # the inner one could live with it
    status, reply = load(server, "a")
    assert status == 400 and "held back: it would break route 'outer': " in reply["error"], reply
    assert version_of(server, "outer") == "1"


def test_a_label_that_moves_is_checked_as_well(served, repository):
    repository.write("a/model.yaml", "version_policy: { all: {} }\nlabels: { stable: 1 }\n")
    repository.write("a/2/model.echo", OTHER)
    server = served("routes: { r: [ { use: a@stable, fallback: b } ] }\n", "r")
    status, reply = post(server, "/api/models/a/labels", {"labels": {"stable": 2}})
    assert status == 400 and "held back: it would break route 'r': " in reply["error"], reply
    assert json.loads(server.get("/api/models/a/labels")[1])["labels"] == {"stable": 1}
    assert version_of(server, "r") == "1" and server.metric(HELD) == 1
    assert post(server, "/api/models/a/labels", {"labels": {"stable": 2}, "force": "yes"})[0] == 400
    assert subprocess.run([str(TROUPE), "label", "a", "stable=2", "--force", "--server", server.url]).returncode == 0
    assert json.loads(server.get("/api/models/a/labels")[1])["labels"] == {"stable": 2}


def test_force_over_grpc_and_from_the_command_line(served, repository):
    server = served(ROUTE, "r")
    put(OTHER, repository.path / "a/2/model.echo")
    refused = subprocess.run([str(TROUPE), "load", "a", "--server", server.url], capture_output=True, text=True)
    assert refused.returncode == 1 and "held back" in refused.stderr
    assert subprocess.run([str(TROUPE), "load", "a", "--force", "--server", server.url]).returncode == 0
    assert index(server)["a/2"] == ("READY", "")
    put(PLAIN, repository.path / "a/3/model.echo")
    assert load(server, "a")[0] == 200
    put(OTHER, repository.path / "a/4/model.echo")
    with triton_grpc.InferenceServerClient(server.url) as client:
        request = service_pb2.RepositoryModelLoadRequest(model_name="a")
        request.parameters["force"].bool_param = True
        client._client_stub.RepositoryModelLoad(request)
    assert index(server)["a/4"] == ("READY", "")


def test_a_model_that_is_not_loaded_is_held_back_as_well(serve, repository):
    """Nobody has asked yet: what a route needs is found by the look at the new files, and the old ones are what the route gets."""
    for name in ("a", "b"):
        repository.write(f"{name}/1/model.echo", PLAIN)
    repository.write("routes.yaml", ROUTE + "ensembles: { e: { members: { a: 1, b: 1 }, vote: mean } }\n")
    server = serve(repository.path, settings={"models.load": "on_demand", **WATCHED["poll"]}).wait_ready("r", "e")
    put(OTHER, repository.path / "a/2/model.echo")
    server.wait(lambda: "held back: it would break" in index(server).get("a/1", ("", ""))[1], "the version to be held back")
    assert "a/2" not in index(server) and server.metric("troupe_models_resident") == 0
    assert version_of(server, "r") == "1" and version_of(server, "a") == "1" and ask(server, "e")[0] == 200
    assert load(server, "a", force=True)[0] == 200 and index(server)["a/2"] == ("READY", "")


def test_what_does_not_work_already_holds_nothing_back(served, repository):
    server = served(ROUTE, "r")
    put(OTHER, repository.path / "a/2/model.echo")
    assert load(server, "a", force=True)[0] == 200
    put("input other FP32 [-1]\noutput y FP32 [-1]\n", repository.path / "a/3/model.echo")
    assert load(server, "a")[0] == 200 and server.metric(HELD) == 0


def test_routes_and_compositions_that_ask_each_other_are_refused(served, repository):
    server = served(ROUTE, "r")
    repository.write("routes.yaml", "routes:\n  r:\n    - use: a\n      fallback: e\nensembles:\n  e: { members: { b: 1, r: 1 }, vote: mean }\n")
    status, reply = load(server, "r")
    assert status == 400 and "routes.yaml:2:3: route 'r' leads back to itself: 'r' asks 'e', which asks 'r'" in reply["error"], reply
    assert who(server, "r") == "a" and ask(server, "e")[0] == 404


def test_a_model_that_comes_under_the_name_of_a_route_is_told_of_and_not_reached(served, repository):
    server = served(ROUTE, "r")
    put(PLAIN, repository.path / "r/1/model.echo")
    assert load(server, "r")[0] == 200, "that is the route, read again"
    warning = "model 'r' is not reached by its name, because a route has it: "
    server.wait(lambda: warning in server.log(), "the warning")
    assert who(server, "r") == "a" and load(server, "r")[0] == 200
    assert server.log().count(warning) == 1


def test_a_choice_by_chance_says_so_and_shows_the_shares(served):
    server = served("routes: { r: [ { split: { a: 3, b: 1 }, sticky: params.user } ] }\n", "r")
    chosen = explain(server, "r")["chosen"]
    assert chosen["by"] == "chance" and chosen["shares"] == [{"target": "a", "share": 0.75}, {"target": "b", "share": 0.25}]
    assert explain(server, "r", {"user": "eve"})["chosen"]["by"] == "key"
    said = subprocess.run([str(TROUPE), "explain", "r", "x=[1,2]", "--server", server.url], capture_output=True, text=True).stdout
    assert "; by chance: a 75 %, b 25 %)" in said and "there was no key" in said
    assert routes(server)["r"]["rules"][0]["matched"] == 0


def test_a_model_that_comes_later_is_compared_with_the_rules_that_wait_for_it(served, repository):
    """`missing: allow`: nobody knew what it takes when the rules were read.  The route goes on, and says what does not fit."""
    server = served("routes:\n  r:\n    missing: allow\n    rules:\n      - { when: inputs.z.max > 1, use: late, fallback: a }\n      - { use: a }\n", "r")
    assert index(server)["r/1"] == ("READY", "") and routes(server)["r"]["doubt"] is None and explain(server, "r")["doubt"] is None
    put(PLAIN, repository.path / "late/1/model.echo")
    assert load(server, "late")[0] == 200, "nothing else could answer for it, so nothing is held back"
    server.wait(lambda: index(server)["r/1"][1], "the index to say that it does not fit")
    state, reason = index(server)["r/1"]
    assert state == "READY" and "no input 'z'" in reason and "routes.yaml:5:" in reason, reason
    assert routes(server)["r"]["doubt"] == routes(server)["r"]["reason"] == explain(server, "r")["doubt"] == reason
    server.wait(lambda: "route 'r' goes on, and may not fit its targets: " in server.log(), "the log to say so")
    assert server.log().count("no input 'z'") == 1, "it is told once"
    said = subprocess.run([str(TROUPE), "explain", "r", "x=[1,2]", "--server", server.url], capture_output=True, text=True).stdout
    assert "it may not fit its targets: " in said and "-> rule 2" in said, said
    assert who(server, "r") == "a" and ask(server, "r")[0] == 200
    put("input x FP32 [-1]\ninput z FP32 [-1] optional\noutput y FP32 [-1]\n", repository.path / "late/2/model.echo")
    assert load(server, "late")[0] == 200
    server.wait(lambda: index(server)["r/1"] == ("READY", ""), "it to fit")
    server.wait(lambda: "route 'r' fits its targets now" in server.log(), "the log to say so")
    assert explain(server, "r")["doubt"] is None


def test_a_version_of_other_shapes_is_taken_up_and_doubted_until_another_one_fits(served, repository):
    """Of a route without `missing: allow`, whose targets were all known when it was read."""
    server = served(ROUTE, "r")
    assert routes(server)["r"]["doubt"] is None
    for version, shape, doubt in (2, "[2,2]", "no request fits both"), (3, "[-1]", None), (4, "[2,3]", "[2,3]"):
        put(f"input x FP32 {shape}\noutput y FP32 {shape}\n", repository.path / f"b/{version}/model.echo")
        assert load(server, "b")[0] == 200
        server.wait(lambda: doubt in routes(server)["r"]["doubt"] if doubt else routes(server)["r"]["doubt"] is None, "the doubt")
    assert index(server)["r/1"][0] == "READY" and who(server, "r") == "a"
