"""A request for `task:classification` is answered by the best model for it that takes its inputs, and the reply says which, and why."""
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from conftest import Server

SMALL, LARGE, BYTES = "input x FP32 [-1,4]\noutput y FP32 [-1,4]\n", "input x FP32 [-1,8]\noutput y FP32 [-1,8]\n", "input x BYTES [-1]\noutput y BYTES [-1]\n"
MODELS = {  # name: (script, quality, what else stands in model.yaml)
    "good": (SMALL, 0.50, ""),  # so far behind that a run of it that happened to be quick does not make up for it
    "better": (SMALL, 0.95, ""),
    "slow": ("sleep 200ms\n" + SMALL, 0.951, ""),
    "wide": (LARGE, 0.80, ""),
    "waiting": (LARGE, 0.99, "load: explicit\n"),
    "other": (SMALL, 0.99, "task: ranking\n"),
}


def write(folder, name, script, quality, more):
    (folder / name).mkdir()
    (folder / name / "model.echo").write_text(script)
    task = "" if "task:" in more else "task: classification\n"
    (folder / name / "model.yaml").write_text(task + f"quality: {{name: accuracy, value: {quality}}}\n" + more)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    for name, facts in MODELS.items():
        write(folder, name, *facts)
    started = Server(folder, settings={"models.load": "startup"}).wait_ready("good", "better", "slow", "wide", "other")
    for name in ("good", "better", "slow"):
        ask(started, name, 4)  # how long a run takes is known now
    yield started
    started.stop()


def ask(server, model, width, headers=None):
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, width], "data": [0.5] * width}]}
    status, reply, _ = server.request("POST", f"/v2/models/{model}/infer", json.dumps(body).encode(), headers)
    return status, json.loads(reply)


def test_the_best_for_these_inputs_answers_and_says_why(server):
    status, reply = ask(server, "task:classification", 4)
    assert status == 200 and reply["model_name"] == "better" and reply["model_version"] == "1"
    assert reply["parameters"]["troupe_choice"].startswith("better/1 (accuracy 0.95, ")
    assert " of 3; next slow/1 (accuracy 0.951, " in reply["parameters"]["troupe_choice"]
    assert ask(server, "task:classification", 8)[1]["model_name"] == "wide"
    assert ask(server, "task:ranking", 4)[1]["model_name"] == "other"
    assert "parameters" not in ask(server, "better", 4)[1], "who names a model is not told why"


def test_it_is_the_same_over_grpc(server):
    client = tritonclient.grpc.InferenceServerClient(server.url)
    tensor = tritonclient.grpc.InferInput("x", [1, 4], "FP32")
    tensor.set_data_from_numpy(np.ones((1, 4), np.float32))
    reply = client.infer("task:classification", [tensor]).get_response()
    assert reply.model_name == "better" and reply.model_version == "1"
    assert reply.parameters["troupe_choice"].string_param.startswith("better/1 (")
    assert client.get_model_metadata("task:classification").name == "better"
    client.close()


def test_it_is_a_model_like_others_to_clients(server):
    client = tritonclient.http.InferenceServerClient(server.url)
    assert client.is_model_ready("task:classification")
    assert client.get_model_metadata("task:classification")["name"] == "better"
    assert client.get_model_config("task:classification")["name"] == "better"
    tensor = tritonclient.http.InferInput("x", [1, 4], "FP32")
    tensor.set_data_from_numpy(np.full((1, 4), 2, np.float32))
    reply = client.infer("task:classification", [tensor])
    assert reply.get_response()["model_name"] == "better" and np.array_equal(reply.as_numpy("y"), np.full((1, 4), 2, np.float32))
    client.close()


def test_what_cannot_be_answered_is_told_apart(server):
    status, reply = ask(server, "task:poetry", 4)
    assert status == 404 and "no model has this task" in reply["error"]
    status, reply = ask(server, "task:classification", 5)
    assert status == 400 and "takes these inputs" in reply["error"]
    status, reply = ask(server, "task:classification/versions/1", 4)
    assert status == 404 and "a task has no versions" in reply["error"]
    assert ask(server, "task:", 4)[0] == 404
    with tritonclient.grpc.InferenceServerClient(server.url) as client:
        with pytest.raises(InferenceServerException, match="no model has this task"):
            client.get_model_metadata("task:poetry")


def test_a_model_that_comes_or_goes_counts_at_once(server):
    assert ask(server, "task:classification", 8)[1]["model_name"] == "wide"
    assert server.request("POST", "/v2/repository/models/waiting/load")[0] == 200
    assert ask(server, "task:classification", 8)[1]["model_name"] == "waiting"
    assert server.request("POST", "/v2/repository/models/waiting/unload")[0] == 200
    assert ask(server, "task:classification", 8)[1]["model_name"] == "wide"


def test_a_deadline_leaves_out_who_would_be_late(serve, repository):
    write(repository.path, "quick", SMALL, 0.5, "")
    write(repository.path, "thorough", "sleep 4s\n" + SMALL, 0.99, "batching: off\n")  # nobody tries its rows: that takes as long
    server = serve(repository.path, settings={"models.load": "startup"}).wait_ready("quick", "thorough")
    for name in ("quick", "thorough"):
        assert ask(server, name, 4)[0] == 200
    assert ask(server, "task:classification", 4)[1]["model_name"] == "thorough"
    reply = ask(server, "task:classification", 4, {"troupe-timeout-ms": "3000"})[1]
    assert reply.get("model_name") == "quick", reply


def test_a_new_name_is_found_soon(serve, repository):
    write(repository.path, "first", SMALL, 0.5, "")
    server = serve(repository.path, settings={"models.load": "startup"}).wait_ready("first")
    assert ask(server, "task:classification", 4)[1]["model_name"] == "first"
    write(repository.path, "second", SMALL, 0.9, "")
    assert server.request("POST", "/v2/repository/models/second/load")[0] == 200
    server.wait(lambda: ask(server, "task:classification", 4)[1]["model_name"] == "second", "the better one to answer")


def test_a_cold_model_is_loaded_by_a_request_for_its_task(serve, repository):
    write(repository.path, "cold", "load_sleep 1s\n" + SMALL, 0.9, "")
    write(repository.path, "cold_wide", LARGE, 0.9, "")
    server = serve(repository.path, settings={"models.load": "on_demand"}).wait_ready()
    server.wait(lambda: b"classification" in server.get("/api/models?name=cold_wide")[1], "what the models are for to be known")
    server.wait(lambda: b"classification" in server.get("/api/models?name=*cold&state=cold")[1], "what the models are for to be known")
    assert server.get("/v2/models/task%3Aclassification/ready")[0] == 200
    with ThreadPoolExecutor(8) as pool:  # while it loads, it is still known what for
        replies = list(pool.map(lambda _: ask(server, "task:classification", 4), range(24)))
    assert {(status, reply.get("model_name")) for status, reply in replies} == {(200, "cold")}
    assert " with its load)" in "".join(reply["parameters"]["troupe_choice"] for _, reply in replies)
    assert server.metric("troupe_model_loads_total", result="ok") == 1


def test_a_warm_model_is_preferred_to_one_that_must_be_loaded_first(serve, repository):
    # A load costs more than what the cold one is better, and that costs more than a run that happened to be slow.
    write(repository.path, "cold", "load_sleep 1s\n" + SMALL, 0.98, "load: on_demand\n")
    write(repository.path, "warm", "load_sleep 1s\n" + SMALL, 0.87, "load: startup\n")  # so is a usual load
    server = serve(repository.path).wait_ready("warm")
    server.wait(lambda: b"classification" in server.get("/api/models?name=*cold&state=cold")[1], "what the models are for to be known")
    assert ask(server, "task:classification", 4)[1]["model_name"] == "warm"
    assert ask(server, "cold", 4)[0] == 200
    assert ask(server, "task:classification", 4)[1]["model_name"] == "cold", "loaded by somebody else, it is the better one"
