"""ONNX models on GPUs.  The machine only pretends to have two: a library beside the real ONNX Runtime answers for CUDA and its driver, and runs on
the CPU what it is given (tests/conformance/fake_cuda.h)."""
import json
import re
import subprocess

import numpy as np
import pytest
import tritonclient.http as triton_http

from conftest import BUILD, ROOT, SLOW, TROUPE
from test_repository import IDENTITY, config_of, index, load, post
from test_residency import one

FAKE, BROKEN = BUILD / "tests/fake_cuda", BUILD / "tests/fake_cuda_broken"
ON_GPUS = "instance_group: [{kind: KIND_GPU}]\n"


def serve_with(serve, repository, gpus="2", library=FAKE, settings=None, **env):
    env = {"TROUPE_ONNXRUNTIME": str(library / "libonnxruntime.so"), "TRP_FAKE_GPUS": gpus,
           "TRP_REAL_ONNXRUNTIME": str(ROOT / ".deps/onnxruntime/libonnxruntime.so"), **env}
    return serve(repository.path, settings={"threads.executors": 4, **(settings or {})}, env=env)


def model(repository, name, configuration, file="model.yaml"):
    repository.add(IDENTITY, f"{name}/1/model.onnx")
    repository.write(f"{name}/{file}", configuration)


def answers(server, name):
    """The model gives back what it is given."""
    with triton_http.InferenceServerClient(server.url, network_timeout=60 * SLOW) as client:
        told = client.get_model_metadata(name)
        sent = np.arange(4, dtype=np.float32).reshape([4 if d < 0 and i == 0 else 1 for i, d in enumerate(told["inputs"][0]["shape"])])
        x = triton_http.InferInput(told["inputs"][0]["name"], list(sent.shape), "FP32")
        x.set_data_from_numpy(sent)
        got = client.infer(name, [x]).as_numpy(told["outputs"][0]["name"])
    np.testing.assert_array_equal(got, sent)


def runs(server, name, device):
    return server.metric("troupe_device_runs_total", model=name, device=device)


def warnings(server):
    return [line for line in server.log().splitlines() if "asks for a GPU" in line]


def command(server, *words):
    return subprocess.run([str(TROUPE), *words, "--server", server.url], capture_output=True, text=True, timeout=60 * SLOW, check=True).stdout


@pytest.mark.parametrize("where", ["", "isolation: process\n"], ids=["here", "in_a_worker_process"])
def test_a_model_runs_on_the_gpus_that_its_configuration_names(serve, repository, where):
    model(repository, "both", where + ON_GPUS)
    model(repository, "second", where + "instance_group: [{kind: KIND_GPU, count: 2, gpus: [1]}]\n")
    model(repository, "mixed", where + "instance_group: [{kind: KIND_GPU, gpus: [0]}, {kind: KIND_CPU}]\n")
    model(repository, "plain", where)
    server = serve_with(serve, repository).wait_ready("both", "second", "mixed", "plain")
    assert {m: one(server, m)["devices"] for m in ("both", "second", "mixed", "plain")} == {
        "both": ["gpu0", "gpu1"], "second": ["gpu1"], "mixed": ["gpu0", "cpu"], "plain": ["cpu"]}
    for m in ("both", "second", "mixed", "plain"):
        answers(server, m)
    assert runs(server, "both", "gpu0") + runs(server, "both", "gpu1") == 1 and runs(server, "second", "gpu1") == 1
    assert runs(server, "mixed", "gpu0") + runs(server, "mixed", "cpu") == 1
    memory = [server.metric("troupe_device_memory_bytes", backend="onnxruntime", device=d) for d in ("gpu0", "gpu1")]
    assert memory == [8 << 30, 9 << 30] and server.get("/metrics")[1].count(b"troupe_device_memory_bytes{") == 2
    assert re.search(r"gpu1 is Fake GPU B, 9216 MiB, by CUDA of ONNX Runtime \S+", server.log())
    assert not warnings(server)


def test_people_are_shown_where_it_is(serve, repository):
    model(repository, "m", ON_GPUS)
    server = serve_with(serve, repository).wait_ready("m")
    answers(server, "m")
    line = next(words for words in command(server, "ps").splitlines() if words.startswith("m "))
    assert "gpu0, gpu1" in line and "on gpu0, gpu1: what is prepared is for the CPU alone" in line
    assert "KIND_GPU" in json.dumps(config_of(server, "m")["instance_group"])
    assert re.search(r"\bREADY\b", command(server, "inspect", "m"))


def test_cuda_is_looked_for_when_a_model_asks_for_it(serve, repository):
    model(repository, "plain", "")
    server = serve_with(serve, repository).wait_ready("plain")
    assert b"troupe_device_memory_bytes{" not in server.get("/metrics")[1] and "Fake GPU" not in server.log()
    model(repository, "m", "instance_group: [{kind: KIND_AUTO}]\n")
    assert load(server, "m")[0] == 200
    server.wait_logged("gpu0 is Fake GPU A")
    assert one(server, "m")["devices"] == ["gpu0", "gpu1"]


def test_one_that_is_not_there_is_named(serve, repository):
    model(repository, "m", "instance_group:\n- {kind: KIND_GPU, gpus: [7]}\n")
    server = serve_with(serve, repository)
    server.wait(lambda: index(server).get("m/1", ("",))[0] in ("FAILED", "UNAVAILABLE"), "it to be refused")
    assert "m/model.yaml:2: instance_group wants GPU 7; onnxruntime has 0, 1" in index(server)["m/1"][1]


@pytest.mark.parametrize("library, gpus, env, why", [
    (FAKE, "0", {}, r"the NVIDIA driver shows no GPU"),
    (FAKE, "-1", {}, r"the NVIDIA driver answers with error 999"),
    (BROKEN, "2", {"TRP_FAKE_BROKEN": "1"}, r"libonnxruntime_providers_cuda\.so cannot be used: libtrp_not_there\.so: cannot open shared object file"),
    (None, "2", {}, r"libonnxruntime_providers_cuda\.so is not beside ONNX Runtime \S+ in \S+/: it is in builds for GPUs"),
], ids=["none", "driver", "library", "provider"])
@pytest.mark.parametrize("where", ["", "isolation: process\n"], ids=["here", "in_a_worker_process"])
def test_without_one_it_runs_on_the_cpu_and_is_told_once_what_is_missing(serve, repository, library, gpus, env, why, where):
    model(repository, "m", where + ON_GPUS)
    server = serve_with(serve, repository, gpus, library or ROOT / ".deps/onnxruntime", **env).wait_ready("m")
    for _ in range(2):
        assert post(server, "/v2/repository/models/m/unload")[0] == 200 and load(server, "m")[0] == 200
    answers(server, "m")
    assert one(server, "m")["devices"] == ["cpu"]
    told = warnings(server)
    assert len(told) == 1 and re.search(rf'm/model\.yaml:\d: "kind" asks for a GPU, and backend \'onnxruntime\' has none: it runs on the CPU \({why}', told[0]), told


def test_options_for_a_gpu_do_nothing_on_the_cpu_and_that_is_told(serve, repository):
    model(repository, "m", "optimization:\n  execution_accelerators:\n    gpu_execution_accelerator: [{name: cuda}, {name: tensorrt}]\n")
    server = serve_with(serve, repository).wait_ready("m")
    answers(server, "m")
    words = 'm/model.yaml:3: "gpu_execution_accelerator" does nothing: the model runs on the CPU'
    assert server.log().count(words) == 1 and words in index(server)["m/1"][1]
    assert "there is no accelerator" not in server.log()


def test_options_of_a_triton_server_act(serve, repository):
    accelerator = 'optimization {{ execution_accelerators {{ gpu_execution_accelerator : [ {{ name : "{}" parameters {{ key: "{}" value: "{}" }} }} ] }} }}\n'
    group = 'instance_group [ { kind: KIND_GPU count: 1 gpus: [ 0 ] } ]\n'
    model(repository, "exact", group + accelerator.format("cuda", "use_tf32", 0), "config.pbtxt")
    model(repository, "trt", group + accelerator.format("tensorrt", "precision_mode", "FP16"), "config.pbtxt")
    model(repository, "limited", group + 'parameters { key: "gpu_mem_limit" value: { string_value: "33554432" } }\n', "config.pbtxt")
    model(repository, "wrong", group + accelerator.format("cuda", "user_compute_stream", 1), "config.pbtxt")
    server = serve_with(serve, repository).wait_ready("exact", "trt", "limited")
    for m in ("exact", "trt", "limited"):
        answers(server, m)
        assert runs(server, m, "gpu0") == 1
    for _ in range(2):
        assert post(server, "/v2/repository/models/trt/unload")[0] == 200 and load(server, "trt")[0] == 200
    told = [line for line in server.log().splitlines() if "there is no accelerator" in line]
    assert len(told) == 1 and 'trt/config.pbtxt:2: there is no accelerator "tensorrt" here; CUDA runs it' in told[0], told
    assert "understood but not acted upon" not in server.log()
    server.wait(lambda: index(server).get("wrong/1", ("",))[0] in ("FAILED", "UNAVAILABLE"), "it to be refused")
    assert "'user_compute_stream' is no parameter of the accelerator \"cuda\" that can be set" in index(server)["wrong/1"][1]
