"""Routes and compositions whose models are not there: the name is, so clients are told what it lacks and may ask again; what can still be
said and answered is."""
import json
import re
import subprocess

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from conftest import TROUPE
from test_repository import index, post
from test_routes import ask, command, routes, who

PLAIN = "input x FP32 [-1]\noutput y FP32 [-1]\n"
NAMES = ("r", "back", "pair", "chain")
ROUTES = """\
routes:
  r:
    - { name: first, when: params.n == 1, use: a, shadow: c }
    - { use: b }
  back: [ { use: b, fallback: a } ]
  timed: [ { use: b, timeout: 5s } ]
ensembles:
  pair: { members: [a, b], vote: mean }
cascades:
  sure: { steps: [a, c], threshold: 0.5 }
pipelines:
  chain:
    steps:
      - { model: a, inputs: { x: x }, outputs: { y: h } }
      - { model: b, inputs: { x: h }, outputs: { y: z } }
    outputs: [z]
"""


@pytest.fixture
def server(serve, repository):
    for name in ("a", "b", "c"):
        repository.write(f"{name}/model.echo", PLAIN)
    repository.write("routes.yaml", ROUTES)
    running = serve(repository.path).wait_ready("a", "b", "c")
    running.wait(lambda: "r" in routes(running), "the routes")
    running.wait(lambda: all(running.get(f"/v2/models/{name}/ready")[0] == 200 for name in NAMES), "what is made of them")
    return running


def lose(server, name):
    assert post(server, f"/v2/repository/models/{name}/unload")[0] == 200
    server.wait(lambda: server.get(f"/v2/models/{name}/ready")[0] != 200, f"{name} to be gone")


def test_what_another_rule_takes_is_shown_while_the_last_ones_target_is_gone(server):
    lose(server, "b")
    status, reply, _ = server.get("/v2/models/r")
    assert status == 200 and [i["name"] for i in json.loads(reply)["inputs"]] == ["x"]
    assert "a answered" in command(server, "infer", "r", "x=[1,2]", "--param", "n=1")
    assert "a answers" in command(server, "explain", "r", "x=[1,2]", "--param", "n=1")
    assert server.get("/v2/models/r/ready")[0] == 400  # one of its rules cannot be followed
    assert index(server)["r/1"][0] == "UNAVAILABLE" and "'b'" in index(server)["r/1"][1]
    lose(server, "a")
    status, reply, _ = server.get("/v2/models/r")
    assert status == 503 and json.loads(reply)["error"].startswith("route 'r': 'b' has no available versions")


def test_a_name_that_is_there_and_lacks_its_models_is_no_unknown_one(server):
    lose(server, "b")
    words = {"r": "route 'r', rule 2: 'b' has no", "timed": "route 'timed', rule 1: 'b' has no", "pair": "step 'b': 'b' has no",
             "chain": "step 'b': 'b' has no"}
    for name, lead in words.items():
        status, reply = ask(server, name)
        assert status == 503 and reply["error"].startswith(lead) and "unknown" not in reply["error"], reply
    assert who(server, "back") == "a" and who(server, "r", {"n": 1}) == "a"
    assert ask(server, "b")[0] == 404 and ask(server, "nobody")[0] == 404  # names that clients named themselves
    with grpc.insecure_channel(server.url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        tensor = pb.ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[2])
        tensor.contents.fp32_contents.extend([1, 2])
        for name, lead in words.items():
            with pytest.raises(grpc.RpcError) as error:
                stub.ModelInfer(pb.ModelInferRequest(model_name=name, inputs=[tensor]))
            assert error.value.code() == grpc.StatusCode.UNAVAILABLE and error.value.details().startswith(lead)
        with pytest.raises(grpc.RpcError) as error:
            stub.ModelInfer(pb.ModelInferRequest(model_name="b", inputs=[tensor]))
        assert error.value.code() == grpc.StatusCode.NOT_FOUND
    assert post(server, "/v2/repository/models/b/load")[0] == 200
    for name in NAMES:
        server.wait(lambda name=name: ask(server, name)[0] == 200, f"{name} to answer again")


def test_an_explanation_says_who_is_missing_and_who_is_asked_besides(server):
    said = command(server, "explain", "r", "x=[1,2]", "--param", "n=1")
    assert "a answers (route r, rule first)" in said and "c is asked as well, and its answer is compared only (a shadow)" in said
    lose(server, "c")
    assert "c cannot answer now: 'c' has no available versions" in command(server, "explain", "r", "x=[1,2]", "--param", "n=1")
    lose(server, "b")
    said = command(server, "explain", "back", "x=[1,2]")
    assert "b is chosen (route back, rule 1)\nb cannot answer now: 'b' has no" in said and said.endswith("so a is asked\n")
    said = command(server, "explain", "r", "x=[1,2]")
    assert "b cannot answer now: 'b' has no" in said and "so such a request fails" in said
    lose(server, "a")
    assert "so such a request fails" in command(server, "explain", "back")  # nobody knows what it takes, and it takes nothing here
    assert "b cannot answer now: 'b' has no available versions" in command(server, "explain", "r", "x=[1,2]")


def test_values_are_what_they_look_like_while_nobody_knows_what_a_route_takes(serve, repository, tmp_path):
    for name in ("a", "b"):
        repository.write(f"{name}/model.echo", PLAIN)
    repository.write("routes.yaml", "routes: { r: [ { when: 'inputs.x[0] > 1', use: a }, { use: b } ] }\n")
    server = serve(repository.path).wait_ready("a", "b", "r")
    lose(server, "a")
    lose(server, "b")
    np.save(tmp_path / "x.npy", np.array([3], np.float32))
    (tmp_path / "x.json").write_text("[[0.5, 1e3]]")
    for given, taken, name in (("[2,0]", "INT64[2]", "a"), ("0.5", "FP32[1]", "b"), ("true", "BOOL[1]", None), ("some words", "BYTES[1]", None),
                               (f"{tmp_path}/x.npy", "FP32[1]", "a"), (f"{tmp_path}/x.json", "FP32[1,2]", "b"),
                               ('["u","v"]', "BYTES[2]", None), (f"@{tmp_path}/x.json", "BYTES[1]", None)):
        done = subprocess.run([str(TROUPE), "explain", "r", f"x={given}", "--server", server.url], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert f"what r takes is known when its models are loaded; until then 'x' is taken for {taken}\n" in done.stderr
        if name:
            assert f"{name} is chosen" in done.stdout and f"{name} cannot answer now: '{name}' has no" in done.stdout, done.stdout
    assert "known when the models of r are loaded" in command(server, "explain", "r", "x=picture.png", code=1)
    assert "an object; expected an array" in command(server, "explain", "r", "x={}", code=1)
    assert "has no available versions" in command(server, "infer", "r", "x=[2,0]", code=1)  # an answer takes the models
    assert post(server, "/v2/repository/models/b/load")[0] == 200
    done = subprocess.run([str(TROUPE), "explain", "r", "x=[2,0]", "--server", server.url], capture_output=True, text=True, check=True)
    assert done.stderr == "" and "a is chosen" in done.stdout


def test_what_a_composition_lacks_and_hands_on_is_explained_too(server):
    said = command(server, "explain", "chain")
    assert "there is no input 'x'\n  chain takes: x FP32[-1]; give each as NAME=VALUE" in said
    assert "-> step a  x -> h\n-> step b  h -> z\n" in said
    assert "chain takes" not in command(server, "explain", "chain", "x=[1,2]")
    lose(server, "b")
    assert "        'b' has no available versions" in command(server, "explain", "chain", "x=[1,2]")


def test_a_cascade_says_who_was_asked_and_why(server):
    assert "sure answered (a is sure: max 0.6, threshold 0.5)" in command(server, "infer", "sure", "x=[0.6,0.4]")
    assert "sure answered (a is not sure: max 0.4, threshold 0.5; asked: c)" in command(server, "infer", "sure", "x=[0.4,0.3]")


def test_a_stand_in_of_another_shape_is_doubted_and_asked_all_the_same(serve, repository):
    repository.write("four/model.echo", "input x FP32 [-1,4]\noutput y FP32 [-1,4]\n")
    repository.write("five/model.echo", "input x FP32 [-1,5]\noutput y FP32 [-1,5]\n")
    repository.write("routes.yaml", "routes:\n  r:\n    - use: four\n      fallback: five\n")
    running = serve(repository.path).wait_ready("four", "five")
    words = "routes.yaml:4:17: 'four' takes [-1,4] for 'x', and 'five' [-1,5]: no request fits both"
    running.wait(lambda: "r" in routes(running) and words in (routes(running)["r"]["doubt"] or ""), "the doubt")
    assert index(running)["r/1"][0] == "READY" and words in index(running)["r/1"][1]
    assert "it may not fit its targets: " in command(running, "explain", "r", "x=[[1,2,3,4]]") and words in running.log()
    assert "four answered" in command(running, "infer", "r", "x=[[1,2,3,4]]")


def test_inspect_shows_whom_a_name_asks_and_how_often(server):
    command(server, "infer", "r", "x=[1,2]", "--param", "n=1")
    command(server, "infer", "sure", "x=[0.4,0.3]")
    shown = command(server, "inspect", "r")
    assert re.search(r"^  first +params.n == 1 +a +shadow c +1 matched$", shown, re.M), shown
    assert re.search(r"^  2 +always +b +0 matched$", shown, re.M), shown
    assert re.search(r"^  b +0 asked +0 failed +breaker closed$", shown, re.M), shown
    shown = command(server, "inspect", "sure")
    assert re.search(r"^  a +1 asked +0 answered$", shown, re.M) and re.search(r"^  c +1 asked +1 answered$", shown, re.M), shown
