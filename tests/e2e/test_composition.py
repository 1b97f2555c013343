"""Ensembles, cascades and pipelines: served under a name of their own, over HTTP and gRPC, to Triton's clients."""
import itertools
import json
import re
import signal
import socket
import subprocess
import threading

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from conftest import ROOT, SLOW, TROUPE
from test_repository import clients

DIGITS = ("digits_linear", "digits_mlp", "digits_cnn")
ECHO = "input x FP32 [-1,3]\noutput y FP32 [-1,3]\n"


def names(server):
    return {m["name"]: m for m in json.loads(server.request("POST", "/v2/repository/index", b"")[1])}


def wait_for(server, *wanted):
    server.wait(lambda: all(w in names(server) for w in wanted), f"{wanted}")
    for name in wanted:
        server.wait(lambda: server.get(f"/v2/models/{name}/ready")[0] == 200, f"{name} to be ready")


def digits():
    return np.load(ROOT / "examples/inputs/digits_0_to_9.npy").astype(np.float32).reshape(10, 64)


def ask(client, model, x, name="image", outputs=None):
    """The reply of one inference, whichever client it is."""
    module = triton_http if isinstance(client, triton_http.InferenceServerClient) else triton_grpc
    value = module.InferInput(name, list(x.shape), "FP32")
    value.set_data_from_numpy(x)
    wanted = [module.InferRequestedOutput(o) for o in outputs] if outputs else None
    return client.infer(model, [value], outputs=wanted)


def body(x, name="x"):
    return json.dumps({"inputs": [{"name": name, "datatype": "FP32", "shape": list(x.shape),
                                   "data": x.ravel().tolist()}]}).encode()


@pytest.fixture
def examples(repository):
    for name in DIGITS:
        source = ROOT / "examples/models" / name
        repository.add(source if source.is_dir() else source.with_suffix(".onnx"))
    return repository


def single(client, x):
    return [ask(client, name, x).as_numpy("probabilities") for name in DIGITS]


def test_an_ensemble_in_ten_lines(serve, examples):
    examples.write("routes.yaml", "ensembles:\n  digits:\n    members: { digits_linear: 1, digits_mlp: 2, digits_cnn: 3 }\n"
                                  "    vote: soft\n    output: probabilities\n")
    server = serve(examples.path).wait_ready(*DIGITS)
    wait_for(server, "digits")
    x = digits()
    with clients(server) as both:
        for client in both.values():
            each = single(client, x)
            reply = ask(client, "digits", x)
            want = (each[0] + 2 * each[1] + 3 * each[2]) / 6
            np.testing.assert_allclose(reply.as_numpy("probabilities"), want, rtol=1e-5, atol=1e-6)
            metadata = client.get_model_metadata("digits")
            if not isinstance(metadata, dict):
                metadata = {"inputs": [{"name": i.name, "shape": list(i.shape)} for i in metadata.inputs],
                            "platform": metadata.platform, "versions": list(metadata.versions)}
            assert metadata["inputs"][0]["name"] == "image" and [int(d) for d in metadata["inputs"][0]["shape"]] == [-1, 64]
            assert metadata["platform"] == "troupe_ensemble" and metadata["versions"] == ["1"]
            assert client.is_model_ready("digits")
            client.get_model_config("digits")
            with pytest.raises(InferenceServerException, match="unexpected shape for input 'image'"):
                ask(client, "digits", x[:, :3].copy())
    stats = json.loads(server.get("/v2/models/digits/stats")[1])["model_stats"][0]
    assert stats["inference_count"] == 2 and stats["execution_count"] == 2  # one of its members has no max_batch_size
    assert stats["inference_stats"]["success"]["count"] == 2
    member = json.loads(server.get("/v2/models/digits_cnn/stats")[1])["model_stats"][0]
    assert member["inference_count"] == 40  # asked alone, and as a member


def test_an_ensemble_in_a_folder_of_the_repository(serve, examples):
    examples.write("digits/model.yaml", "ensemble: { members: { digits_linear: 1, digits_mlp: 2 }, vote: hard, output: probabilities }\n")
    server = serve(examples.path).wait_ready(*DIGITS)
    wait_for(server, "digits")
    with triton_http.InferenceServerClient(server.url) as client:
        reply = ask(client, "digits", digits()).as_numpy("probabilities")
        each = [ask(client, name, digits()).as_numpy("probabilities") for name in DIGITS[:2]]
        want = np.where((each[0].argmax(1) == each[1].argmax(1))[:, None], np.eye(10)[each[1].argmax(1)],
                        (np.eye(10)[each[0].argmax(1)] + 2 * np.eye(10)[each[1].argmax(1)]) / 3)
        np.testing.assert_allclose(reply, want, rtol=1e-6)


def test_a_mistake_in_a_folder_is_shown_where_it_is(serve, repository):
    repository.write("a/model.echo", ECHO)
    repository.write("both/model.yaml", "ensemble:\n  members:\n    a: 1\n    nobody: 2\n  vote: average\n")
    repository.write("same/model.yaml", "ensemble:\n  members: [a]\n  vote: meen\n")
    repository.write("tri/config.pbtxt", 'platform: "ensemble"\nmax_batch_size: 8\ninput { name: "x" data_type: TYPE_FP32 dims: 3 }\n'
                     'output { name: "y" data_type: TYPE_FP32 dims: 3 }\nensemble_scheduling { step {\n  model_name: "nobody"\n  model_version: -1\n'
                     '  input_map { key: "x" value: "x" }\n  output_map { key: "y" value: "y" }\n} }\n')
    server = serve(repository.path).wait_ready("a")
    server.wait(lambda: all(names(server).get(name, {}).get("reason") for name in ("both", "same", "tri")), "the folders to be told")
    reasons = {name: names(server)[name]["reason"] for name in ("both", "same", "tri")}
    assert "both/model.yaml:4:5: there is no model, route or composition 'nobody'" in reasons["both"], reasons
    assert reasons["both"].endswith("\n      nobody: 2\n      ^"), reasons
    assert "same/model.yaml:3:9: 'meen' is no vote" in reasons["same"], reasons
    assert "tri/config.pbtxt:" in reasons["tri"] and "'nobody'" in reasons["tri"] and reasons["tri"].endswith("^"), reasons


def test_fifty_folders_that_are_wrong_are_told_at_once(serve, repository):
    """Each with the word that is wrong in the text that was read; the others are served."""
    for name in "ab":
        repository.write(f"{name}/model.echo", ECHO)
    for i in range(50):
        repository.write(f"w{i:02}/model.yaml", f"route: [{{ use: gone{i:02} }}]\n" if i % 2 else f"ensemble:\n  members: [a, gone{i:02}]\n")
        repository.write(f"r{i:02}/model.yaml", f"route: [{{ use: a, fallback: w{i:02} }}]\n")
    server = serve(repository.path).wait_ready("a", "b")
    server.wait(lambda: "w49" in names(server) and server.get("/v2/models/r49/ready")[0] == 200, "them all")
    found = names(server)
    for i in range(50):
        line, place = (f"route: [{{ use: gone{i:02} }}]", "1:16") if i % 2 else (f"  members: [a, gone{i:02}]", "2:16")
        reason = found[f"w{i:02}"]["reason"]
        assert reason.startswith(f"w{i:02}/model.yaml:{place}: there is no model, route or composition 'gone{i:02}'"), reason
        assert reason.endswith(f"\n  {line}\n  {' ' * (int(place[2:]) - 1)}^"), reason
        assert "reason" not in found[f"r{i:02}"], "who asks one of them is not wrong"
    assert json.loads(server.request("POST", "/v2/models/r07/infer", body(np.zeros((1, 3), np.float32)))[1])["model_name"] == "a"


@pytest.mark.parametrize("text,place", [
    ("ensembles:\n  e: { members: [a, b], vote: maen }\n", "routes.yaml:2:31: 'maen' is no vote"),
    ("ensembles:\n  e: { members: [a, b], vote: brda }\n", "did you mean 'borda'?"),
    ("cascades:\n  c: { steps: [a, b], confidence: margn, threshold: 0.5 }\n", "did you mean 'margin'?"),
    ("cascades:\n  c: { steps: [a, b], threshold: 5 }\n", "routes.yaml:2:23: 'threshold' is a number from 0 to 1"),
    ("pipelines:\n  p: { steps: [{ modle: a }], outputs: [y] }\n", "routes.yaml:2:"),
    ("ensembles:\n  e: { members: [a, bee], vote: mean }\n", "routes.yaml:2:21: there is no model, route or composition 'bee'"),
    ("cascades:\n  c: { steps: [a, aa], threshold: 0.5 }\n", "'aa'; did you mean 'a'?"),
    ("pipelines:\n  p: { steps: [{ model: a, inputs: { q: x } }], outputs: [y] }\n", "'a' has no input \"q\""),
    ("ensembles:\n  e: { members: [a, b], vote: mean }\n", None),
])
def test_config_reads_what_is_composed(repository, text, place):
    for name in "ab":
        repository.write(f"{name}.echo", ECHO)
    repository.write("routes.yaml", text)
    run = subprocess.run([str(TROUPE), "config", str(repository.path)], capture_output=True, text=True, timeout=60 * SLOW)
    assert run.returncode == (1 if place else 0), run.stderr
    assert (place or "") in run.stderr


DEADLINE = "500ms" if SLOW == 1 else "3s"  # whoever does not sleep answers in it


def test_what_is_missing_is_told(serve, repository):
    for name, more in (("a", ""), ("b", "fail UNAVAILABLE it is out\n"), ("c", "sleep 600s\n")):
        repository.write(f"{name}/model.echo", ECHO + more)
    repository.write("routes.yaml", "ensembles:\n"
                     "  two: { members: [a, b], vote: mean, quorum: 1, deadline: 60s }\n"
                     "  late: { members: [a, c], vote: mean, quorum: 1, deadline: " + DEADLINE + " }\n"
                     "  none: { members: [a, b], vote: mean }\n")
    server = serve(repository.path).wait_ready("a", "b", "c")
    wait_for(server, "two", "late", "none")
    x = np.array([[1, 2, 3]], dtype=np.float32)
    for model, missing, why in (("two", "b", "b: model 'b/1': it is out"), ("late", "c", "c: it did not answer in time")):
        reply = json.loads(server.request("POST", f"/v2/models/{model}/infer", body(x))[1])
        assert reply["parameters"] == {"troupe_partial": True, "troupe_missing": missing, "troupe_missing_because": why}
        assert reply["outputs"][0]["data"] == [1, 2, 3]
        with triton_grpc.InferenceServerClient(server.url) as client:
            parameters = ask(client, model, x, "x").get_response().parameters
            assert parameters["troupe_partial"].bool_param and parameters["troupe_missing"].string_param == missing
            assert parameters["troupe_missing_because"].string_param == why
    assert server.metric("troupe_ensemble_missing_total", ensemble="two", member="b") == server.metric("troupe_ensemble_partial_total", ensemble="two") == 2
    assert server.metric("troupe_ensemble_missing_total", ensemble="two", member="a") == 0
    assert server.metric("troupe_ensemble_missing_total", ensemble="late", member="c") == 2

    def troupe(*words):
        return subprocess.run([str(TROUPE), *words, "-s", server.url], capture_output=True, text=True, timeout=60 * SLOW).stdout
    assert "partial: without b (b: model 'b/1': it is out)\n" in troupe("infer", "two", "x=[[1,2,3]]")
    assert re.search(r"^late +ensemble +- +READY +2 ", troupe("ls"), re.M)
    assert "ensemble" in troupe("inspect", "late") and "a, c" in troupe("inspect", "late")
    status, reply, _ = server.request("POST", "/v2/models/none/infer", body(x))
    assert status == 503 and "step 'b': model 'b/1': it is out" in json.loads(reply)["error"]
    assert server.metric("troupe_compositions_partial_total") == 5
    assert server.metric("troupe_composition_steps_total", result="late") >= 2


def test_a_request_of_less_time_gets_the_quorums_answer(serve, repository):
    """Whose own deadline comes before the ensemble's is answered by it, and not told that its time is up, once the quorum has spoken."""
    for name, more in (("a", ""), ("b", "sleep 600s\n"), ("c", "sleep 600s\n")):
        repository.write(f"{name}/model.echo", ECHO + more)
    repository.write("routes.yaml", "ensembles:\n"
                     "  late: { members: [a, b], vote: mean, quorum: 1, deadline: 600s }\n"
                     "  over: { members: [late, c, a], vote: mean, quorum: 2, deadline: 600s }\n"
                     "  few: { members: [a, b, c], vote: mean, quorum: 2, deadline: 600s }\n"
                     "routes: { way: [ { use: late, timeout: 500s } ] }\n")
    server = serve(repository.path, settings={"threads.executors": 6}).wait_ready("a", "b", "c")  # those that sleep are in nobody's way
    wait_for(server, "late", "over", "few", "way")
    x, seconds = np.array([[1, 2, 3]], dtype=np.float32), SLOW
    web, rpc = triton_http.InferenceServerClient(server.url, network_timeout=120.0 * SLOW), triton_grpc.InferenceServerClient(server.url)

    def tensor(module):
        value = module.InferInput("x", [1, 3], "FP32")
        value.set_data_from_numpy(x)
        return [value]

    def parameters(reply):
        return {k: getattr(v, v.WhichOneof("parameter_choice")) for k, v in reply.get_response().parameters.items()}
    ways = {"parameter, HTTP": lambda m: web.infer(m, tensor(triton_http), timeout=seconds * 1000000).get_response()["parameters"],
            "header, HTTP": lambda m: web.infer(m, tensor(triton_http), headers={"troupe-timeout-ms": str(seconds * 1000)}).get_response()["parameters"],
            "parameter, gRPC": lambda m: parameters(rpc.infer(m, tensor(triton_grpc), timeout=seconds * 1000000)),
            "deadline, gRPC": lambda m: parameters(rpc.infer(m, tensor(triton_grpc), client_timeout=seconds))}
    for model, missing in (("late", "b"), ("way", "b"), ("over", "late/b, c")):
        for way, infer in ways.items():
            if model != "late" and way not in ("parameter, HTTP", "deadline, gRPC"):
                continue
            said = infer(model)
            assert (said["troupe_partial"], said["troupe_missing"]) == (True, missing), (model, way)
            assert "did not answer in time" in said["troupe_missing_because"]
    assert server.metric("troupe_requests_expired_total") == 0
    for infer in ways.values():  # one is no quorum
        with pytest.raises(InferenceServerException, match="(?i)timeout|deadline"):
            infer("few")
    web.close(), rpc.close()


def test_a_partial_answer_is_told_by_whatever_stands_on_it(serve, repository):
    """A composition behind a composition or behind a route's own attempt (a timeout, a hedge) says who was missing as it does itself."""
    for name, more in (("a", ""), ("b", "fail UNAVAILABLE it is out\n")):
        repository.write(f"{name}/model.echo", ECHO + more)
    repository.write("routes.yaml",
                     "ensembles:\n  two: { members: [a, b], vote: mean, quorum: 1, deadline: 30s }\n"
                     "  outer: { members: [two, a, b], vote: mean, quorum: 2, deadline: 30s }\n"
                     "cascades: { surer: { steps: [two, a], threshold: 0.9 } }\n"
                     "pipelines:\n  piped: { steps: [ { name: pair, model: two, outputs: { y: m } }, { op: softmax, input: m, output: z } ], outputs: { y: z } }\n"
                     "  rows: { steps: [ { model: two, each: row } ], outputs: [y] }\n"
                     "routes:\n  timed: [ { use: two, timeout: 30s } ]\n  hedged: [ { use: two, hedge: 30s } ]\n"
                     "  instead: [ { use: b, fallback: two } ]\n  over: [ { use: rows, timeout: 30s } ]\n  whole: [ { use: b, fallback: a } ]\n")
    server = serve(repository.path).wait_ready("a", "b")
    missing = {"two": "b", "outer": "two/b, b", "surer": "two/b", "piped": "pair/b", "rows": "two/b", "timed": "b", "hedged": "b",
               "instead": "b", "over": "two/b", "whole": None}
    why = "b: model 'b/1': it is out"
    because = {"two": why, "piped": f"pair ({why})", "rows": f"two ({why})", "hedged": why, "over": f"two ({why})"}
    wait_for(server, *missing)
    x = np.array([[1, 2, 3], [3, 2, 1]], dtype=np.float32)
    with triton_grpc.InferenceServerClient(server.url) as client:
        for model, names_of in missing.items():
            said = json.loads(server.request("POST", f"/v2/models/{model}/infer", body(x))[1]).get("parameters", {})
            assert (said.get("troupe_partial"), said.get("troupe_missing")) == (names_of and True, names_of), model
            if model in because:
                assert said["troupe_missing_because"] == because[model]
            said = ask(client, model, x, "x").get_response().parameters
            assert ("troupe_partial" in said, said["troupe_missing"].string_param) == (names_of is not None, names_of or ""), model


def test_a_cascade_asks_the_large_model_for_doubtful_rows_only(serve, examples):
    examples.write("routes.yaml", "cascades:\n  cheap: { steps: [digits_linear, digits_cnn], threshold: 0.9, per: row }\n")
    server = serve(examples.path).wait_ready(*DIGITS)
    wait_for(server, "cheap")
    x = np.concatenate([digits(), digits() * 0.5, digits() * 0.25]).astype(np.float32)
    with triton_http.InferenceServerClient(server.url) as client:
        small, large = [ask(client, m, x).as_numpy("probabilities") for m in ("digits_linear", "digits_cnn")]
        sure = small.max(1) >= 0.9
        assert 0 < sure.sum() < len(x)
        got = ask(client, "cheap", x).as_numpy("probabilities")
        np.testing.assert_allclose(got, np.where(sure[:, None], small, large), rtol=1e-4, atol=1e-5)
    stats = json.loads(server.get("/v2/models/digits_cnn/stats")[1])["model_stats"][0]
    assert stats["inference_count"] == len(x) + (~sure).sum()


PIPELINE = """\
pipelines:
  chain:
    steps:
      - { model: a, inputs: { x: image }, outputs: { y: first } }
      - { model: b, inputs: { x: first }, outputs: { y: second } }
      - { model: c, inputs: { x: second }, outputs: { y: third } }
    outputs: { out: third }
  best:
    steps:
      - { model: a, outputs: { y: scores } }
      - { op: softmax, input: scores, output: shares }
      - { op: top_k, k: 1, input: shares, output: [share, place] }
      - { model: b, inputs: { x: scores }, outputs: { y: again }, when: inputs.scores.max > 10 }
    outputs: { share: share, place: place, y: [again, scores] }
"""


@pytest.fixture
def chained(serve, repository):
    for name in "abc":
        repository.write(f"{name}/model.echo", ECHO)
    repository.write("routes.yaml", PIPELINE)
    server = serve(repository.path).wait_ready("a", "b", "c")
    wait_for(server, "chain", "best")
    return server


def test_tensors_pass_between_steps_without_copies(chained):
    x = np.random.default_rng(1).random((50000, 3), dtype=np.float32)  # 600 KB
    with triton_http.InferenceServerClient(chained.url) as client:
        ask(client, "a", x, "x")
        before = chained.metric("troupe_copied_bytes_total")
        ask(client, "a", x, "x")
        alone = chained.metric("troupe_copied_bytes_total") - before
        reply = ask(client, "chain", x, "image")
        assert (reply.as_numpy("out") == x).all()
        whole = chained.metric("troupe_copied_bytes_total") - before - alone
        assert whole - alone < 1000, (whole, alone)  # longer names in the head; no tensor


def test_a_pipeline_with_built_in_steps(chained):
    with clients(chained) as both:
        for client in both.values():
            x = np.array([[1, 2, 3], [3, 2, 1]], dtype=np.float32)
            reply = ask(client, "best", x, "x")
            shares = np.exp(x) / np.exp(x).sum(1, keepdims=True)
            np.testing.assert_allclose(reply.as_numpy("share"), shares.max(1, keepdims=True), rtol=1e-6)
            assert reply.as_numpy("place").tolist() == [[2], [0]]
            assert (ask(client, "best", x, "x", ["place"]).as_numpy("place") == [[2], [0]]).all()


TRITON = """\
name: "triton"
platform: "ensemble"
max_batch_size: 8
input [ { name: "IN" data_type: TYPE_FP32 dims: [ 64 ] } ]
output [ { name: "PROBABILITIES" data_type: TYPE_FP32 dims: [ 10 ] } ]
ensemble_scheduling {
  step [
    { model_name: "echo" model_version: -1
      input_map { key: "x" value: "IN" }
      output_map { key: "y" value: "same" } },
    { model_name: "digits_cnn" model_version: -1
      input_map { key: "image" value: "same" }
      output_map { key: "probabilities" value: "PROBABILITIES" } }
  ]
}
"""


def test_tritons_ensembles_are_served_unchanged(serve, examples):
    examples.write("echo/model.echo", "input x FP32 [-1,64]\noutput y FP32 [-1,64]\n")
    examples.write("triton/config.pbtxt", TRITON)
    (examples.path / "triton/1").mkdir()
    server = serve(examples.path).wait_ready("digits_cnn", "echo")
    wait_for(server, "triton")
    with clients(server) as both:
        for client in both.values():
            x = digits()[:8]
            got = ask(client, "triton", x, "IN").as_numpy("PROBABILITIES")
            np.testing.assert_allclose(got, ask(client, "digits_cnn", x).as_numpy("probabilities"), rtol=1e-5)
            with pytest.raises(InferenceServerException, match="batch-size must be <= 8"):
                ask(client, "triton", digits(), "IN")
    config = json.loads(server.get("/v2/models/triton/config")[1])
    assert config["platform"] == "ensemble" and config["max_batch_size"] == 8
    assert [s["model_name"] for s in config["ensemble_scheduling"]["step"]] == ["echo", "digits_cnn"]


@pytest.fixture
def told(repository):
    """Models that are loaded when told, and what is made of them."""
    for name in ("one", "two", "three"):
        repository.write(f"{name}/model.echo", ECHO)
    repository.write("bad/model.echo", ECHO + "load_fail no luck today\n")
    repository.write("whole/model.echo", ECHO.replace("FP32", "INT64"))
    repository.write("tri/config.pbtxt", 'platform: "ensemble"\nmax_batch_size: 0\ninput { name: "x" data_type: TYPE_FP32 dims: [ -1, 3 ] }\n'
                     'output { name: "y" data_type: TYPE_FP32 dims: [ -1, 3 ] }\nensemble_scheduling { step [\n'
                     '  { model_name: "one" model_version: -1 input_map { key: "x" value: "x" } output_map { key: "y" value: "m" } },\n'
                     '  { model_name: "way" model_version: -1 input_map { key: "x" value: "m" } output_map { key: "y" value: "y" } } ] }\n')
    repository.write("routes.yaml", "routes:\n  way: [ { use: two } ]\nensembles:\n  broken: { members: [three, bad], vote: mean }\n")
    repository.write("unlike/model.yaml", "ensemble: { members: [three, whole], vote: mean }\n")
    return repository


def states(server):
    return {name: m.get("state") for name, m in names(server).items()}


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_who_loads_an_ensemble_loads_its_models(serve, told, kind):
    """As Triton does; through the routes and compositions that stand between."""
    server = serve(told.path, settings={"models.load": "explicit"})
    server.wait(lambda: "tri" in names(server), "the ensemble to be read")
    x = np.array([[1, 2, 3]], dtype=np.float32)
    with clients(server) as both:
        client = both[kind]
        with pytest.raises(InferenceServerException, match="nobody knows yet what 'one' takes"):
            ask(client, "tri", x, "x")
        client.load_model("tri")
        assert client.is_model_ready("tri") and (ask(client, "tri", x, "x").as_numpy("y") == x).all()
        assert {n: s for n, s in states(server).items() if s == "READY"}.keys() == {"one", "two", "way", "tri"}
        with pytest.raises(InferenceServerException, match="'broken': load failed for model 'bad'.*no luck today"):
            client.load_model("broken")
        with pytest.raises(InferenceServerException, match="unlike/model.yaml:1.*INT64"):
            client.load_model("unlike")  # what its models take is known only now
        assert not client.is_model_ready("unlike")
        with pytest.raises(InferenceServerException, match="takes no 'config' from a request"):
            client.load_model("tri", config='{"max_batch_size": 4}')
        client.load_model("way")  # a route goes on without some of its targets: its file is read again
        told.write("late/model.yaml", "ensemble: { members: [ one, three ], vote: mean }\n")
        client.load_model("late")  # which nobody has listed yet
        assert (ask(client, "late", x, "x").as_numpy("y") == x).all()


def test_an_ensemble_may_be_named_for_the_start(serve, told):
    server = serve(told.path, "--load-model=tri", settings={"models.load": "explicit"})
    wait_for(server, "tri")
    assert {n for n, s in states(server).items() if s == "READY"} == {"one", "two", "way", "tri"}
    assert "is no model" not in server.log()


def test_so_may_a_name_of_routes_yaml_and_no_model_is_missed(serve, told):
    told.write("routes.yaml", "routes:\n  way: [ { use: two } ]\nensembles:\n  pair: { members: [one, way], vote: mean }\n")
    server = serve(told.path, "--load-model=pair", "--exit-on-error=false", settings={"models.load": "explicit", "health.strict_readiness": "true"})
    server.wait(lambda: server.get("/v2/health/ready")[0] == 200, "all that should be loaded to be ready")
    wait_for(server, "pair")
    assert {n for n, s in states(server).items() if s == "READY"} == {"one", "two", "way", "pair", "tri"}
    assert states(server)["unlike"] == "UNAVAILABLE", "taken up, and nobody asked for its models: that is no reason not to be ready"
    assert [m["name"] for m in json.loads(server.request("POST", "/v2/repository/index", b"")[1])].count("pair") == 1
    assert "no model 'pair'" not in server.log()


def test_compositions_and_routes_nest(serve, repository):
    for name in "abc":
        repository.write(f"{name}/model.echo", ECHO)
    repository.write("routes.yaml",
                     "routes:\n  choose: [{ when: params.pair == true, use: pair }, { use: c }]\n"
                     "ensembles: { pair: { members: [a, b], vote: mean } }\n"
                     "pipelines:\n  last: { steps: [{ model: pair, outputs: { y: z } }], outputs: { z: z } }\n")
    server = serve(repository.path).wait_ready("a", "b", "c")
    wait_for(server, "choose", "pair", "last")
    x = np.array([[1, 2, 3]], dtype=np.float32)
    request = json.loads(body(x))
    request["parameters"] = {"pair": True}
    status, reply, _ = server.request("POST", "/v2/models/choose/infer", json.dumps(request).encode())
    assert status == 200 and json.loads(reply)["model_name"] == "pair", reply
    status, reply, _ = server.request("POST", "/v2/models/last/infer", body(x))
    assert status == 200 and json.loads(reply)["outputs"][0]["data"] == [1, 2, 3]


def test_eight_compositions_stand_behind_each_other_whatever_routes_lead_to_them(serve, repository):
    """A route with a timeout or a hedge asks with a call of its own: it is a level more, and not one of the eight."""
    repository.write("a/model.echo", ECHO)
    levels = range(1, 9)
    repository.write("routes.yaml", "ensembles:\n" + "".join(f"  e{i}: {{ members: [r{i}], vote: mean }}\n" for i in levels) + "routes:\n  top: [ { use: e8, timeout: 40s } ]\n"
                     + "".join(f"  r{i}: [ {{ use: s{i}, timeout: 30s }} ]\n  s{i}: [ {{ use: {f'e{i - 1}' if i > 1 else 'a'}, hedge: 30s }} ]\n" for i in levels))
    server = serve(repository.path).wait_ready("a")
    wait_for(server, "top", "e8")
    x = np.array([[1, 2, 3]], dtype=np.float32)
    with clients(server) as both:
        for client in both.values():
            assert (ask(client, "top", x, "x").as_numpy("y") == x).all()
    with open(repository.path / "routes.yaml", "a", encoding="utf-8") as file:
        file.write("  over: [ { use: e8 } ]\npipelines: { ninth: { steps: [ { model: over } ], outputs: [y] } }\n")
    server.process.send_signal(signal.SIGHUP)
    server.wait(lambda: "more than 8 compositions stand behind each other, from pipeline 'ninth' on" in server.log(), "the ninth to be refused")


EXPLAINED = """
routes:
  choose: [{ when: inputs.x.max > 2, use: pair }, { use: c }]
  doubting: [{ when: inputs.x.max > 2, use: a }, { use: b }]
ensembles:
  pair: { members: { a: 1, b@1: 2 }, vote: soft, learn: true }
  some: { members: { a: 1, b: 1, c: 1 }, vote: mean, quorum: 2, deadline: 20ms }
cascades:
  cheap: { steps: [a, { model: b, threshold: 0.75 }, c], confidence: margin, threshold: 0.9 }
pipelines:
  last:
    steps:
      - { model: choose, inputs: { x: x }, outputs: { y: z } }
      - { model: doubting, inputs: { x: z }, outputs: { y: u } }
      - { model: cheap, inputs: { x: z }, outputs: { y: w }, when: inputs.z.max > 3 }
      - { name: extra, model: a, inputs: { x: x }, outputs: { y: v }, when: params.extra == true }
    outputs: { z: [w, z], u: u, v: v }
"""


def test_it_is_told_what_a_composition_would_do(serve, repository):
    for name in "abc":
        repository.write(f"{name}/model.echo", ECHO)
    repository.write("routes.yaml", EXPLAINED)
    server = serve(repository.path).wait_ready("a", "b", "c")
    wait_for(server, "last", "some")
    x = np.array([[1, 0, 3]], dtype=np.float32)

    def explain(name, **params):
        status, reply, _ = server.request("POST", f"/api/routes/{name}/explain", json.dumps(json.loads(body(x)) | {"parameters": params}).encode())
        assert status == 200, reply
        return json.loads(reply)

    said = explain("last")
    assert (said["composition"], said["kind"], said["missing"]) == ("last", "pipeline", [])
    choose, doubting, cheap, extra = said["steps"]
    assert choose["done"] == "yes" and choose["then"]["chosen"]["target"] == "pair"
    assert choose["then"]["chosen"]["then"]["learned"]["outcomes"] == 0, "a composition behind a route behind a step"
    assert doubting["done"] == "yes" and doubting["then"]["chosen"] is None and doubting["then"]["undecided"] == "1"
    assert cheap["done"] == "depends" and cheap["when"]["value"] is None and cheap["then"]["steps"][0]["done"] == "yes"
    assert extra["done"] == "no" and "params.extra is missing" in extra["when"]["why"]
    assert [o["from"][0]["made"] for o in said["outputs"]] == ["depends", "yes", "no"]
    assert explain("last", extra=True)["steps"][3]["done"] == "yes"
    for step in explain("cheap")["steps"][1:]:
        assert step["done"] == "depends" and step["unless_sure"]["confidence"] == "margin"
    assert [s["unless_sure"]["threshold"] for s in explain("cheap")["steps"][1:]] == [0.9, 0.75]
    some = explain("some")
    assert (some["vote"], some["quorum"], some["deadline_ms"]) == ("mean", 2, 20) and some["steps"][0]["may_fail"]
    assert server.request("POST", "/v2/models/pair/infer", json.dumps(json.loads(body(x)) | {"id": "9"}).encode())[0] == 200
    assert server.request("POST", "/api/feedback", b'{"id": "9", "label": 2}')[0] == 200
    pair = explain("pair")
    assert pair["learned"]["outcomes"] == 1 and pair["steps"][1]["asks"] == "b@1" and pair["steps"][1]["weight"] == 2
    counted = {m["name"]: m.get("inference_stats", {}).get("success", {}).get("count", 0) for m in json.loads(server.get("/v2/models/stats")[1])["model_stats"]}
    assert counted["a"] == 1 and counted["c"] == 0, "only the request was counted"
    text = subprocess.run([str(TROUPE), "explain", "last", "x=[1,0,3]", "--server", server.url], capture_output=True, text=True).stdout
    for words in ["-> step choose", " ? step cheap", "   step extra  asks a", "not done: nobody can tell", "\nroute choose\n-> rule 1", "\nensemble pair (",
                  "its weights were learned from 1 outcomes", "where b is less sure than 0.75 (margin, by request)", "v comes from step extra (not made)",
                  "what rule 1 looks at is not known before other steps are done"]:
        assert words in text, text
    assert server.request("POST", "/api/routes/a/explain", body(x))[0] == 404


def test_a_route_to_a_composition_with_names_of_its_own_is_a_step(serve, repository):
    for name in "ab":
        repository.write(f"{name}/model.echo", ECHO)
    repository.write("two/model.echo", "input given FP32 [-1,3]\ninput k INT64 [-1]\noutput out FP32 [-1,3]\n")
    repository.write("routes.yaml",
                     "routes:\n  to_pair: [{ use: pair }]\n"
                     "  whole: [{ when: models.lame.ready, use: lame }, { when: models.pair.queue > 0, use: b }, { use: a }]\n"
                     "  fitted:\n    rules: [{ use: two }]\n"
                     "    targets: { two: { inputs: { sent: given }, outputs: { got: out }, constants: { k: 3 } } }\n"
                     "ensembles:\n  pair: { members: [a, b], vote: mean }\n"
                     "  some: { members: [a, b, lame], vote: mean, quorum: 2 }\n"
                     "  lame: { members: [a, gone], vote: mean }\n"
                     "pipelines:\n  chain:\n    steps:\n"
                     "      - { model: to_pair, inputs: { x: x }, outputs: { y: h } }\n"
                     "      - { model: fitted, inputs: { sent: h }, outputs: { got: z } }\n"
                     "    outputs: [z]\n")
    repository.write("gone/model.echo", ECHO)
    server = serve(repository.path).wait_ready("a", "b", "two")
    wait_for(server, "chain", "to_pair", "pair", "some")
    metadata = json.loads(server.get("/v2/models/chain")[1])
    assert [i["name"] for i in metadata["inputs"]] == ["x"] and [o["name"] for o in metadata["outputs"]] == ["z"]
    x = np.array([[1, 2, 3]], dtype=np.float32)
    status, reply, _ = server.request("POST", "/v2/models/chain/infer", body(x))
    assert status == 200 and json.loads(reply)["outputs"][0]["data"] == [1, 2, 3], reply
    def who():
        status, reply, _ = server.request("POST", "/v2/models/whole/infer", body(x))
        return json.loads(reply).get("model_name")

    server.wait(lambda: who() == "lame", "a composition to be ready for a rule")
    # A member that may fail is a composition whose own model is not there any more: the whole stays ready, and says who was missing.
    assert server.request("POST", "/v2/repository/models/gone/unload", b"{}")[0] == 200
    server.wait(lambda: server.get("/v2/models/lame/ready")[0] != 200, "lame to be lame")
    assert server.get("/v2/models/some/ready")[0] == 200
    assert who() == "a"
    status, reply, _ = server.request("POST", "/v2/models/some/infer", body(x))
    answer = json.loads(reply)
    assert status == 200 and answer["parameters"]["troupe_missing"] == "lame", reply


@pytest.mark.parametrize("text,error", [
    ("ensembles: { e: { members: [a, nobody], vote: mean } }", "routes.yaml:1:32: there is no model, route or composition 'nobody'"),
    ("ensembles:\n  e:\n    members:\n      - a\n      - bb\n", "routes.yaml:5:9: there is no model, route or composition 'bb'; did you mean 'b'?"),
    ("ensembles: { e: { members: [a, b@7] } }", "step 'b@7': 'b' has no such version or label"),
    ("cascades: { c: { steps: [a, b@canary], threshold: 0.9 } }", "step 'b@canary': 'b' has no such version or label"),
    ("ensembles: { first: { members: [a, b] }, e: { members: [a, frist] } }", "did you mean 'first'?"),
    ("ensembles: { e: { members: [a, b], vote: meen } }", "did you mean 'mean'?"),
    ("ensembles: { e: { members: [labels] } }", "gives INT64, and a soft vote (the default) takes probabilities"),
    ("ensembles: { e: { memberz: [a, b] } }", "routes.yaml:1:19: there is no key 'memberz' here; did you mean 'members'?"),
    ("ensembles: { e: { members: [a, e] } }", "ensemble 'e' leads back to itself: 'e' asks 'e'"),
    ("ensembles: { e: { members: [f] }, f: { members: [e] } }", "leads back to itself: 'e' asks 'f', which asks 'e'"),
    ("pipelines: { p: { steps: [{ model: a, outputs: { z: t } }], outputs: { t: t } } }", "'a' has no output \"z\""),
    ("pipelines: { p: { steps: [{ op: softmacks, input: x, output: y }], outputs: { y: y } } }", "did you mean 'softmax'?"),
    ("cascades: { c: { steps: [a, b] } }", "nothing says when this step is sure"),
    ("pipelines: { p: { steps: [{ model: words, each: row, inputs: { x: x }, outputs: { y: y } }], outputs: [y] } }",
     "step 'words' is asked row by row, which strings cannot be: \"x\" is BYTES"),
    ("pipelines: { p: { steps: [{ model: a, when: inputs.x.mean == 'high', inputs: { x: x }, outputs: { y: y } }], outputs: [y] } }",
     "routes.yaml:1:45: cannot compare a double with a text"),
    ("pipelines:\n  p:\n    steps:\n      - { model: words, inputs: { x: x }, outputs: { y: m } }\n"
     "      - { model: a, inputs: { x: z }, outputs: { y: y },\n          when: \"inputs.m.kind == 'text'\" }\n    outputs: [y]\n",
     "routes.yaml:6:25: no tensor that the step uses is called 'm'; there are z"),
])
def test_mistakes_are_found_when_the_file_is_read(serve, repository, text, error):
    for name in "ab":
        repository.write(f"{name}/model.echo", ECHO)
    repository.write("words/model.echo", "input x BYTES [-1,1]\noutput y BYTES [-1,1]\n")
    repository.write("labels/model.echo", "input x INT64 [-1,1]\noutput y INT64 [-1,1]\n")
    repository.write("routes.yaml", text + "\n")
    server = serve(repository.path).wait_ready("a", "b")
    server.wait(lambda: error in server.log(), error)
    assert set(names(server)) >= {"a", "b"}


def test_a_pipeline_of_one_step_hides_the_output_that_a_stand_in_lacks(serve, examples):
    """As the page on routes shows it."""
    examples.write("routes.yaml", "pipelines:\n  digit_scores: { steps: [ { model: digits_mlp } ], outputs: [ probabilities ] }\n"
                                  "routes:\n  digit: [ { use: digit_scores, fallback: digits_cnn } ]\n")
    server = serve(examples.path).wait_ready("digits_mlp", "digits_cnn")
    wait_for(server, "digit_scores", "digit")
    assert "stand in for" not in server.log()
    server.wait_logged("'digits_cnn' takes at most 64 rows, and 'digit_scores' any number")  # which is doubted, and serves
    with triton_http.InferenceServerClient(server.url) as client:
        assert [o["name"] for o in client.get_model_metadata("digit")["outputs"]] == ["probabilities"]
        assert ask(client, "digit", digits()).as_numpy("probabilities").argmax(axis=1).tolist()[:3] == [0, 1, 2]


def test_a_client_that_goes_away_stops_all_steps(serve, repository):
    for name in "abc":
        repository.write(f"{name}/model.echo", ECHO + "sleep 200s\n")  # longer than anybody waits here
    repository.write("routes.yaml", "ensembles: { slow: { members: [a, b, c], vote: mean } }\n")
    server = serve(repository.path).wait_ready("a", "b", "c")
    wait_for(server, "slow")
    request = body(np.array([[1, 2, 3]], dtype=np.float32))

    def at_work():
        return [server.metric("troupe_model_in_flight", model=name) for name in "abc"]
    with socket.create_connection(server.url.split(":")) as line:
        line.sendall(b"POST /v2/models/slow/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(request) + request)
        server.wait(lambda: at_work() == [1, 1, 1], "all members to be asked")
    server.wait(lambda: at_work() == [0, 0, 0], "no member to be at work any more")
    assert server.metric("troupe_requests_cancelled_total") >= 1


def test_many_clients_at_once(serve, examples):
    examples.write("routes.yaml", "ensembles:\n  digits: { members: [digits_linear, digits_mlp, digits_cnn], vote: soft, quorum: 2, output: probabilities }\n"
                                  "cascades:\n  cheap: { steps: [digits_linear, digits_mlp], threshold: 0.9, per: row, output: probabilities }\n")
    server = serve(examples.path).wait_ready(*DIGITS)
    wait_for(server, "digits", "cheap")
    x, wrong = digits(), []
    with triton_http.InferenceServerClient(server.url) as client:
        cheap, each = ask(client, "cheap", x).as_numpy("probabilities"), single(client, x)
    # With a quorum the ensemble's answer is that of two or of three members.
    expected = {"cheap": [cheap], "digits": [np.mean(some, axis=0) for n in (2, 3) for some in itertools.combinations(each, n)]}

    def work(model):
        with triton_http.InferenceServerClient(server.url) as client:
            for _ in range(20):
                got = ask(client, model, x).as_numpy("probabilities")
                if not any(np.allclose(got, e, rtol=1e-4, atol=1e-5) for e in expected[model]):
                    wrong.append(model)
    threads = [threading.Thread(target=work, args=(m,)) for m in ("digits", "cheap") * 3]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60 * SLOW)
    assert not wrong and not any(t.is_alive() for t in threads)


def test_pictures_are_decoded_beside_the_loop(serve, repository):
    repository.write("reader/model.echo", "input x FP32 [-1,8,8,1]\noutput y FP32 [-1,8,8,1]\n")
    repository.write("routes.yaml",
                     "pipelines:\n  read:\n    steps:\n      - { op: decode, input: file, output: pixels, channels: 1 }\n"
                     "      - { op: normalise, input: pixels, output: image, scale: 0.0625 }\n"
                     "      - { model: reader, inputs: { x: image }, outputs: { y: ink } }\n    outputs: [ink, pixels]\n")
    server = serve(repository.path).wait_ready("reader")
    wait_for(server, "read")
    picture = (ROOT / "examples/inputs/digit_3.png").read_bytes()
    with clients(server) as both:
        for client in both.values():
            module = triton_http if isinstance(client, triton_http.InferenceServerClient) else triton_grpc
            value = module.InferInput("file", [2], "BYTES")
            value.set_data_from_numpy(np.array([picture, picture], dtype=object))
            reply = client.infer("read", [value])
            ink, pixels = reply.as_numpy("ink"), reply.as_numpy("pixels")
            assert ink.shape == (2, 8, 8, 1) and pixels.dtype == np.uint8 and pixels.min() < pixels.max()
            np.testing.assert_allclose(ink, pixels / 16)
            value = module.InferInput("file", [1], "BYTES")
            value.set_data_from_numpy(np.array([b"no picture"], dtype=object))
            with pytest.raises(InferenceServerException, match="step 'decode'"):
                client.infer("read", [value])


def test_calibrate_finds_the_threshold_that_agrees_often_enough(serve, examples, tmp_path):
    server = serve(examples.path).wait_ready(*DIGITS)
    rng = np.random.default_rng(3)
    x = np.clip(np.repeat(digits(), 30, 0) + rng.normal(0, 25, (300, 64)), 0, 255).astype(np.float32)
    np.save(tmp_path / "sample.npy", x)
    said = subprocess.run([TROUPE, "calibrate", "digits_linear", "digits_cnn", f"image={tmp_path}/sample.npy", "--agreement", "97",
                           "--server", server.url], capture_output=True, text=True, check=True).stdout
    with triton_http.InferenceServerClient(server.url) as client:
        small, large = [np.concatenate([ask(client, m, x[i:i + 60]).as_numpy("probabilities") for i in range(0, 300, 60)])
                        for m in ("digits_linear", "digits_cnn")]
    agrees = small.argmax(1) == large.argmax(1)
    threshold, share, agreement = (float(v) for v in re.search(r"threshold (\S+): \S+ answers (\S+) %.* on (\S+) %", said).groups())
    sure = small.max(1) >= threshold
    assert abs(sure.mean() * 100 - share) < 1.5 and (agrees | ~sure).mean() >= 0.97 and agreement >= 97
    lower = np.sort(small.max(1)[small.max(1) < threshold - 1e-5])[::-1]
    assert any((agrees | ~(small.max(1) >= t)).mean() < 0.97 for t in lower[:40]) or share == 100
    assert f"steps: [digits_linear, digits_cnn], output: probabilities, confidence: max, threshold: {threshold:g}" in said
    done = subprocess.run([TROUPE, "calibrate", "digits_linear", "nobody", f"image={tmp_path}/sample.npy", "--server", server.url],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 4 and "nobody" in done.stderr
    assert "say little" not in done.stderr, "300 rows are enough for 97 %"
    done = calibrate(server, f"image={tmp_path}/sample.npy", "--output", "label", large="digits_mlp")
    assert done.returncode == 1 and "output 'label' is INT64: labels do not say how sure a model is" in done.stderr


def calibrate(server, *words, large="digits_cnn"):
    return subprocess.run([TROUPE, "calibrate", "digits_linear", large, *words, "--server", server.url],
                          capture_output=True, text=True, check=False)


def test_calibrate_says_when_nothing_can_be_had_and_when_rows_say_little(serve, examples, tmp_path):
    server = serve(examples.path).wait_ready(*DIGITS)
    with triton_http.InferenceServerClient(server.url) as client:
        small, large = [ask(client, m, digits()).as_numpy("probabilities") for m in ("digits_linear", "digits_cnn")]
    wrong = np.flatnonzero(small.argmax(1) != large.argmax(1))
    assert len(wrong), "they disagree about the nine"
    np.save(tmp_path / "wrong.npy", digits()[wrong])
    np.save(tmp_path / "few.npy", digits())
    done = calibrate(server, f"image={tmp_path}/wrong.npy")
    assert done.returncode == 1 and done.stdout == "" and "no threshold: where digits_linear is surest" in done.stderr
    assert "0.00 % is what they can agree on" in done.stderr
    done = calibrate(server, f"image={tmp_path}/few.npy", "--agreement", "90")
    assert done.returncode == 0 and "cascades:" in done.stdout
    for agreement, rows in ("90", 30), ("99.5", 600), ("99.9", 3000):
        done = calibrate(server, f"image={tmp_path}/few.npy", "--agreement", agreement)
        assert f"10 rows say little: that --agreement {agreement} holds for others as well takes some {rows} at least" in done.stderr
    done = calibrate(server, f"image={tmp_path}/few.npy", "--agreement", "100")
    assert "no number of rows says that --agreement 100 holds for others as well: 10 rows say 70 at most" in done.stderr


def test_labels_are_no_confidence(serve, examples):
    examples.write("routes.yaml", "cascades:\n  cheap: { steps: [digits_linear, digits_mlp], output: label, threshold: 0.9 }\n")
    server = serve(examples.path).wait_ready(*DIGITS)
    words = "is INT64, which does not say how sure a model is: `output` names another one"
    server.wait(lambda: words in server.get("/api/routes")[1].decode(), "the cascade to be refused")
    assert server.get("/v2/models/cheap/ready")[0] != 200


def test_how_often_each_step_of_a_cascade_was_needed_can_be_read(serve, examples):
    examples.write("routes.yaml", "cascades:\n  cheap: { steps: [digits_linear, digits_cnn], output: probabilities, threshold: 0.9, per: row }\n"
                   "routes: { way: [ { use: cheap } ], timed: [ { use: cheap, timeout: 30s } ] }\n")
    server = serve(examples.path).wait_ready(*DIGITS)
    wait_for(server, "cheap", "way", "timed")
    with triton_http.InferenceServerClient(server.url) as client:
        sure = int((ask(client, "digits_linear", digits()).as_numpy("probabilities").max(1) >= 0.9).sum())
        assert 0 < sure < 10
        for name in ("cheap", "way", "timed"):
            ask(client, name, digits(), outputs=["probabilities"])
        counts = {n: client.get_inference_statistics(n)["model_stats"][0] for n in ("way", "timed", "cheap")}
    steps = next(r for r in json.loads(server.get("/api/routes")[1])["routes"] if r["name"] == "cheap")["steps"]
    assert steps == [{"name": "digits_linear", "asked": 30, "answered": 3 * sure},
                     {"name": "digits_cnn", "asked": 30 - 3 * sure, "answered": 30 - 3 * sure}]
    assert server.metric("troupe_cascade_rows_total", cascade="cheap", step="digits_cnn") == 30 - 3 * sure
    assert [(c["execution_count"], c["inference_stats"]["success"]["count"]) for c in counts.values()] == [(1, 1), (1, 1), (3, 3)]
    assert [c["batch_stats"][0]["compute_infer"]["count"] for c in counts.values()] == [1, 1, 3]


def test_a_route_counts_the_rows_that_its_models_answer(serve, examples):
    examples.write("routes.yaml", "routes:\n  plain: [ { use: digits_cnn } ]\n  timed: [ { use: digits_cnn, timeout: 30s } ]\n"
                   "  hedged: [ { use: digits_cnn, hedge: 20s } ]\n  nested: [ { use: plain } ]\n")
    server = serve(examples.path).wait_ready(*DIGITS)
    wait_for(server, "plain", "timed", "hedged", "nested")
    with triton_http.InferenceServerClient(server.url) as client:
        for name in ("plain", "timed", "hedged", "nested"):
            before = client.get_inference_statistics("digits_cnn")["model_stats"][0]["inference_count"]
            ask(client, name, digits())
            counts = client.get_inference_statistics(name)["model_stats"][0]
            assert client.get_inference_statistics("digits_cnn")["model_stats"][0]["inference_count"] == before + 10
            assert (counts["inference_count"], counts["execution_count"]) == (10, 1), name
            assert [b["batch_size"] for b in counts["batch_stats"]] == [10], name


def test_whoever_asks_for_another_look_is_told_what_is_still_wrong(serve, examples):
    examples.write("routes.yaml", "ensembles: { bad: { members: [digits_linear, nobody] } }\n")
    examples.write("folder/model.yaml", "ensemble: { members: [digits_linear, nowhere] }\n")
    server = serve(examples.path).wait_ready(*DIGITS)
    server.wait(lambda: "nobody" in server.get("/api/routes")[1].decode(), "the file to be refused")
    for times in (1, 2):
        server.process.send_signal(signal.SIGHUP)
        server.wait(lambda n=times: len(re.findall(r"SIGHUP: not taken up: .*nobody", server.log())) == n, "the old reason")
        server.wait(lambda n=times: len(re.findall(r"SIGHUP: not taken up: folder: .*nowhere", server.log())) == n, "the folder's")
    examples.write("routes.yaml", "ensembles: { bad: { members: [digits_linear, digits_mlp], output: probabilities } }\n")
    server.process.send_signal(signal.SIGHUP)
    wait_for(server, "bad")
    assert len(re.findall(r"not taken up: .*nobody", server.log())) == 2


LABELLED = "input x FP32 [-1,3]\noutput y FP32 [-1,3] labels=red,green,blue\n"


@pytest.mark.parametrize("name", ["vote", "cheap", "rows", "piped", "routed", "tried", "nested", "each", "deep", "deeper"])
def test_classes_have_the_names_that_the_models_give_them(serve, repository, name):
    for model in ("a", "b"):
        repository.write(f"{model}/model.echo", LABELLED)
        repository.write(f"{model}/model.yaml", "max_batch_size: 8\n")
    repository.write("routes.yaml",
                     "ensembles: { vote: { members: [a, b], vote: soft } }\n"
                     "cascades:\n  cheap: { steps: [a, b], threshold: 0.9 }\n  rows: { steps: [a, b], threshold: 0.9, per: row }\n"
                     "pipelines:\n"
                     "  piped: { steps: [ { model: a, inputs: { x: x }, outputs: { y: m } }, { op: softmax, input: m, output: y } ] , outputs: [y] }\n"
                     "  nested: { steps: [ { model: vote, inputs: { x: x }, outputs: { y: y } } ], outputs: [y] }\n"
                     "  each: { steps: [ { model: deep, inputs: { x: x }, outputs: { y: y }, each: row } ], outputs: [y] }\n"
                     "routes: { routed: [ { use: vote } ], tried: [ { use: vote, timeout: 20s } ],\n"
                     "          deep: [ { use: one, timeout: 20s } ], one: [ { use: a, timeout: 15s } ], deeper: [ { use: deep, timeout: 25s } ] }\n")
    server = serve(repository.path).wait_ready("a", "b")
    wait_for(server, name)
    x = np.array([[0.1, 0.2, 0.7], [0.1, 0.95, 0.05]], dtype=np.float32)
    with clients(server) as both:
        for kind, client in both.items():
            module = triton_http if kind == "http" else triton_grpc
            value = module.InferInput("x", [2, 3], "FP32")
            value.set_data_from_numpy(x)
            reply = client.infer(name, [value], outputs=[module.InferRequestedOutput("y", class_count=1)]).as_numpy("y")
            assert reply.shape == (2, 1), "one of each row"
            words = [text.decode().split(":") for text in reply.reshape(-1)]
            assert [w[1:] for w in words] == [["2", "blue"], ["1", "green"]], (kind, words)


NAMED = """\
platform: "ensemble"
max_batch_size: 8
input { name: "x" data_type: TYPE_FP32 dims: 3 }
output { name: "y" data_type: TYPE_FP32 dims: 3 label_filename: "animals.txt" }
output { name: "plain" data_type: TYPE_FP32 dims: 3 }
ensemble_scheduling { step [
  { model_name: "a" model_version: -1 input_map { key: "x" value: "x" } output_map { key: "y" value: "y" } },
  { model_name: "a" model_version: -1 input_map { key: "x" value: "x" } output_map { key: "y" value: "plain" } }
] }
"""


def test_tritons_ensembles_name_the_classes_of_their_own_outputs(serve, repository):
    """As Triton does: before the names that the step's model gives; a file that is not there leaves the ensemble out, one that changes is read again."""
    repository.write("a/model.echo", LABELLED)
    repository.write("a/model.yaml", "max_batch_size: 8\n")
    repository.write("zoo/config.pbtxt", NAMED)
    repository.write("zoo/animals.txt", "ant\nbee\r\ncow\n")
    repository.write("none/config.pbtxt", NAMED)
    repository.write("out/config.pbtxt", NAMED.replace("animals.txt", "../zoo/animals.txt"))
    repository.write("routes.yaml", "routes: { way: [ { use: zoo, timeout: 100s } ] }\npipelines:\n  outer: { steps: [ { model: zoo, inputs: { x: x }, "
                     "outputs: { y: y, plain: plain } } ], outputs: [y, plain] }\n")
    server = serve(repository.path, settings={"repository.watch": "poll", "repository.poll": "100ms", "repository.settle": "50ms"}).wait_ready("a")
    wait_for(server, "zoo", "way", "outer")
    x = np.array([[0.1, 0.2, 0.7], [0.1, 0.95, 0.05]], dtype=np.float32)

    def classes(client, name, output):
        module = triton_http if isinstance(client, triton_http.InferenceServerClient) else triton_grpc
        value = module.InferInput("x", [2, 3], "FP32")
        value.set_data_from_numpy(x)
        reply = client.infer(name, [value], outputs=[module.InferRequestedOutput(output, class_count=1)]).as_numpy(output)
        return [text.decode().split(":")[2] for text in reply.reshape(-1)]
    with clients(server) as both:
        for client in both.values():
            for name in ("zoo", "way", "outer"):
                assert classes(client, name, "y") == ["cow", "bee"], name
                assert classes(client, name, "plain") == ["blue", "green"], name
        for name, why in (("none", "labels of output 'y'"), ("out", "labels of output 'y'")):
            assert server.get(f"/v2/models/{name}/ready")[0] != 200
            assert why in names(server)[name]["reason"]
        repository.write("zoo/animals.txt", "ape\nboa\ncat\n")
        server.wait(lambda: classes(both["http"], "zoo", "y") == ["cat", "boa"], "the file to be read again")
        repository.write("none/animals.txt", "asp\nbat\ncod\n")
        wait_for(server, "none")
        assert classes(both["grpc"], "none", "y") == ["cod", "bat"]
