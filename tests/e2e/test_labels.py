"""Versions by name, several repositories, manifests, and what many models cost whoever watches the server."""
import hashlib
import json
import shutil
import subprocess
import threading

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from conftest import SLOW, TROUPE
from test_replacement import WATCHED, put
from test_repository import IDENTITY, NEGATED, X, ask, clients, index, load, post, versions_of

LABELS = "version_policy: {all: {}}\nlabels: {stable: 1, canary: 2}\n"


def labels_of(server, model):
    return json.loads(server.get(f"/api/models/{model}/labels")[1])["labels"]


def move(server, model, **labels):
    return post(server, f"/api/models/{model}/labels", {"labels": labels})


@pytest.fixture
def labelled(serve, repository):
    """Version 1 answers x and is stable, version 2 answers -x and is canary."""
    repository.add(IDENTITY, "m/1/model.onnx")
    repository.add(NEGATED, "m/2/model.onnx")
    repository.write("m/model.yaml", LABELS)
    return serve(repository.path)


# ---- labels ----

def test_a_label_is_a_version_in_every_request(labelled):
    labelled.wait_ready()
    for label, sign, number in (("stable", 1, "1"), ("canary", -1, "2")):  # the first of them has the model loaded
        answer, version = ask(labelled, "m", version=label)
        assert np.array_equal(answer, sign * X) and version == number
        for path in ("", "/ready", "/config", "/stats"):
            assert labelled.get(f"/v2/models/m/versions/{label}{path}")[0] == 200
        metadata = json.loads(labelled.get(f"/v2/models/m/versions/{label}")[1])
        assert metadata["versions"] == [number]
    with clients(labelled) as both:
        for name, client in both.items():
            library = triton_http if name == "http" else triton_grpc
            tensor = library.InferInput("x", list(X.shape), "FP32")
            tensor.set_data_from_numpy(X)
            answer = client.infer("m", [tensor], model_version="canary")
            assert np.array_equal(answer.as_numpy("y"), -X)
            assert client.is_model_ready("m", "stable")
            with pytest.raises(InferenceServerException, match="its labels are stable, canary"):
                client.infer("m", [tensor], model_version="beta")
    assert labels_of(labelled, "m") == {"stable": 1, "canary": 2}


def test_an_operator_moves_labels_all_at_once_and_only_to_what_is_there(labelled):
    assert load(labelled, "m")[0] == 200
    assert move(labelled, "m", stable=2, canary=None) == (200, {})
    assert labels_of(labelled, "m") == {"stable": 2}
    assert np.array_equal(ask(labelled, "m", version="stable")[0], -X)
    status, reply = move(labelled, "m", stable=1, next=9)
    assert status == 400 and "version 9 of 'm', which is not available" in reply["error"]
    assert labels_of(labelled, "m") == {"stable": 2}, "all of them or none"
    for body, words in (({"labels": {"5": 1}}, "is no label"), ({"labels": {"a": 0}}, "number of a version"),
                        ({"labels": []}, "lacks 'labels'"), ({}, "lacks 'labels'")):
        status, reply = post(labelled, "/api/models/m/labels", body)
        assert status == 400 and words in reply["error"]
    assert move(labelled, "nobody", stable=1)[0] == 404
    assert labelled.get("/api/models/nobody/labels")[0] == 404


def troupe(server, *words, expect=0):
    done = subprocess.run([TROUPE, *words, "--server", server.url], capture_output=True, text=True, timeout=60 * SLOW)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout if expect == 0 else done.stderr


def test_the_command_shows_moves_and_takes_labels_away(labelled):
    labelled.wait_ready()
    assert [line.split() for line in troupe(labelled, "label", "m").splitlines()] == [["LABEL", "VERSION"], ["stable", "1"], ["canary", "2"]]
    moved = troupe(labelled, "label", "m", "stable=2", "canary=", "next=1").splitlines()
    assert sorted(line.split() for line in moved[1:]) == [["next", "1"], ["stable", "2"]]
    assert labels_of(labelled, "m") == {"stable": 2, "next": 1}
    assert json.loads(troupe(labelled, "label", "m", "--json")) == {"labels": {"stable": 2, "next": 1}}
    assert "version 9 of 'm', which is not available" in troupe(labelled, "label", "m", "next=2", "stable=9", expect=1)
    assert labels_of(labelled, "m") == {"stable": 2, "next": 1}, "all of them or none"
    for wish in ("stable", "=2", "stable=two", "stable=0", "stable=-1", "stable=99999999999999999999"):
        assert "neither LABEL=VERSION nor LABEL=" in troupe(labelled, "label", "m", wish, expect=2)
    assert "has no labels" in troupe(labelled, "label", "m", "stable=", "next=")
    assert "nobody" in troupe(labelled, "label", "nobody", expect=4)
    assert "nobody" in troupe(labelled, "label", "nobody", "a=1", expect=4)


def test_a_label_is_moved_under_load_without_one_failed_or_wrong_request(labelled):
    assert load(labelled, "m")[0] == 200
    stopped, failures, answers = threading.Event(), [], []

    def hammer():
        try:
            while not stopped.is_set():
                answer, version = ask(labelled, "m", version="stable")
                assert np.array_equal(answer, X if version == "1" else -X)
                answers.append(version)
        except Exception as error:  # whatever it is, a client saw it
            failures.append(error)
    threads = [threading.Thread(target=hammer) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(40):
        number = 2 - i % 2
        assert move(labelled, "m", stable=number)[0] == 200
        assert ask(labelled, "m", version="stable")[1] == str(number), "whoever moved it finds it moved"
    labelled.wait(lambda: len(answers) > 100 or failures, "some answers")
    stopped.set()
    for thread in threads:
        thread.join()
    assert failures == [] and set(answers) == {"1", "2"}


def test_a_configuration_moves_labels_and_may_not_point_at_nothing(serve, repository):
    repository.add(IDENTITY, "m/1/model.onnx")
    repository.add(NEGATED, "m/2/model.onnx")
    repository.write("m/model.yaml", LABELS)
    server = serve(repository.path, settings=WATCHED["notify"])
    assert load(server, "m")[0] == 200
    put(LABELS.replace("stable: 1", "stable: 2"), repository.path / "m/model.yaml")
    server.wait(lambda: labels_of(server, "m") == {"stable": 2, "canary": 2}, "the labels of the file")
    put(LABELS.replace("stable: 1", "stable: 7"), repository.path / "m/model.yaml")
    server.wait(lambda: "label 'stable' is for version 7, which is not there" in index(server)["m/2"][1], "the reason")
    assert labels_of(server, "m") == {"stable": 2, "canary": 2} and ask(server, "m", version="stable")[1] == "2"
    put(LABELS.replace("{all: {}}", "{specific: {versions: [1]}}").replace(", canary: 2", ""), repository.path / "m/model.yaml")
    server.wait(lambda: labels_of(server, "m") == {"stable": 1}, "the labels that are left")
    assert versions_of(server, "m") == ["1"]


# ---- several repositories ----

def test_of_several_repositories_the_first_that_has_a_name_serves_it(serve, repository, tmp_path):
    second, third = tmp_path / "second", tmp_path / "third"
    repository.add(IDENTITY, "both/1/model.onnx")
    for folder, name in ((second, "both/1"), (second, "shared/1"), (third, "last/1")):
        (folder / name).mkdir(parents=True)
        shutil.copy(NEGATED, folder / name / "model.onnx")
    server = serve(repository.path, str(second), settings={"repository.paths": third, **WATCHED["poll"]})
    server.wait_ready("both", "shared", "last")
    assert np.array_equal(ask(server, "both")[0], X)
    assert np.array_equal(ask(server, "shared")[0], -X) and np.array_equal(ask(server, "last")[0], -X)
    assert load(server, "both")[0] == 200 and np.array_equal(ask(server, "both")[0], X)
    server.wait_logged(f"model 'both' is served from {repository.path}; the one in {second} is not")
    shutil.rmtree(repository.path / "both")
    server.wait(lambda: np.array_equal(ask(server, "both")[0], -X), "the one that was hidden")
    (third / "new/1").mkdir(parents=True)
    put(IDENTITY, third / "new/1/model.onnx")
    server.wait(lambda: "new/1" in index(server), "a model of the third repository")


def test_a_repository_given_twice_is_refused(repository):
    done = subprocess.run([TROUPE, "serve", repository.path, f"{repository.path}/", "--listen", "127.0.0.1:0"], capture_output=True,
                          text=True, timeout=60 * SLOW, check=False)
    assert done.returncode != 0 and "are the same folder: a repository is given once" in done.stderr


# ---- manifests ----

def test_a_version_with_a_manifest_waits_until_it_is_whole(serve, repository):
    repository.add(IDENTITY, "m/1/model.onnx")
    server = serve(repository.path, settings=WATCHED["poll"]).wait_ready("m")
    digest = hashlib.sha256(NEGATED.read_bytes()).hexdigest()
    repository.write("m/2/manifest.json", json.dumps({"files": {"model.onnx": digest}}))
    repository.write("m/2/model.onnx", NEGATED.read_bytes()[:-9])
    server.wait(lambda: "manifest.json: 'model.onnx' is not whole" in index(server)["m/1"][1], "the reason in the index")
    assert np.array_equal(ask(server, "m")[0], X), "what served goes on"
    put(NEGATED, repository.path / "m/2/model.onnx")
    server.wait(lambda: versions_of(server, "m") == ["2"], "the whole version")
    server.wait(lambda: np.array_equal(ask(server, "m")[0], -X), "it to answer on each loop")
    server.wait(lambda: index(server).get("m/2") == ("READY", ""), "the index to say so on each loop")


# ---- many models ----

def test_a_second_start_reads_no_model_file(serve, repository, tmp_path):
    for i in range(30):
        repository.add(IDENTITY, f"m{i}.onnx")
    settings = {"store.path": tmp_path / "store", "models.load": "on_demand"}
    first = serve(repository.path, settings=settings)
    first.wait(lambda: first.metric("troupe_model_files_read_total") == 30, "every file to be read")
    first.stop()
    second = serve(repository.path, settings=settings)
    second.wait(lambda: second.metric("troupe_signatures_recalled_total") == 30, "every signature to be recalled")
    assert second.metric("troupe_model_files_read_total") == 0
    assert json.loads(second.get("/v2/models/m7")[1])["inputs"][0]["name"] == "x"


def test_models_beyond_the_limit_share_their_series(serve, repository):
    for i in range(12):
        repository.add(IDENTITY, f"m{i}.onnx")
    server = serve(repository.path, settings={"metrics.models_max": 4}).wait_ready(*(f"m{i}" for i in range(12)))
    for i in range(12):
        for _ in range(1 + (i < 4)):
            ask(server, f"m{i}")
    page = server.get("/metrics")[1].decode()
    named = [line for line in page.splitlines() if line.startswith("nv_inference_request_success{")]
    assert len(named) == 5 and sum(float(line.split()[-1]) for line in named) == 16
    assert server.metric("nv_inference_request_success", model="(others)") == 8
    assert server.metric("nv_inference_request_success", model="m2") == 2
    assert server.metric("troupe_metrics_versions_summed") == 8
