"""Models on devices: where `instance_group` places them, that all of these are used, what is shown of it, and what cannot be.  The backend
`echo` pretends to have two GPUs; a model's output `where` says for each row which one has run it."""
import json
import re
import subprocess

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from conftest import SLOW, TROUPE
from test_batching import settle
from test_instances import instances, scale
from test_isolation import workers_of
from test_repository import index, load, post
from test_residency import one

TWO = {"backends.echo.devices": 2, "threads.executors": 4, "sched.inline_run": "0s"}
ROWS = "input x FP32 [-1,2]\noutput y FP32 [-1,2]\ndevice where\n"
ON_GPUS = "instance_group: [{kind: KIND_GPU}]\n"
TWO_EACH = "instance_group: [{count: 2, kind: KIND_GPU}]\n"
CPU = -1


def model(repository, name, configuration, words=""):
    repository.write(f"{name}/model.echo", ROWS + words)
    repository.write(f"{name}/model.yaml", configuration)


def sent(rows):
    x = triton_grpc.InferInput("x", [rows, 2], "FP32")
    x.set_data_from_numpy(np.arange(2 * rows, dtype=np.float32).reshape(rows, 2))
    return x


def places(server, name, rows=1):
    """Where each row of one request was run, after a look whether the answer is right."""
    with triton_grpc.InferenceServerClient(server.url) as client:
        reply = client.infer(name, [sent(rows)], client_timeout=60 * SLOW)
    np.testing.assert_array_equal(reply.as_numpy("y"), np.arange(2 * rows, dtype=np.float32).reshape(rows, 2))
    where = reply.as_numpy("where")
    assert where.shape == (rows, 1)
    return where[:, 0].tolist()


def places_of_many(server, name, n, gate, run):
    """Of so many requests of one row that are under way together, of which `run` have a slot at once."""
    gate.shut()
    with triton_http.InferenceServerClient(server.url, concurrency=n, network_timeout=60 * SLOW) as client:
        x = triton_http.InferInput("x", [1, 2], "FP32")
        x.set_data_from_numpy(np.zeros((1, 2), np.float32))
        asked = [client.async_infer(name, [x]) for _ in range(n)]
        server.wait(lambda: server.metric("troupe_model_in_flight", model=name) == n and
                    server.metric("nv_inference_pending_request_count", model=name) == n - run, f"{run} of {n} to run")
        gate.open()
        return sorted(int(a.get_result().as_numpy("where")[0, 0]) for a in asked)


def runs(server, name, device):
    return server.metric("troupe_device_runs_total", model=name, device=device)


def groups(server, name):
    shown = json.loads(server.get(f"/api/models/{name}/instances")[1])["versions"][0]
    return [(g["instances"], g["device"]) for g in shown["groups"]]


def why_not(server, name):
    server.wait(lambda: index(server).get(f"{name}/1", ("",))[0] in ("FAILED", "UNAVAILABLE"), f"{name} to be refused")
    return index(server)[f"{name}/1"][1]


@pytest.mark.parametrize("configuration, devices, slots", [
    ("", ["cpu"], 0),
    ("instance_group: [{count: 2, kind: KIND_CPU}]\n", ["cpu"], 2),
    ("instance_group: [{count: 2}]\n", ["cpu"], 2),
    (ON_GPUS, ["gpu0", "gpu1"], 2),
    ("instance_group: [{count: 3, kind: KIND_GPU}]\n", ["gpu0", "gpu1"], 6),
    ("instance_group: [{count: 2, kind: KIND_GPU, gpus: [1]}]\n", ["gpu1"], 2),
    ("instance_group: [{kind: KIND_AUTO}]\n", ["gpu0", "gpu1"], 2),
    ("instance_group: [{count: 4, kind: KIND_AUTO, gpus: [2]}]\n", ["cpu"], 4),
    ("instance_group: [{kind: KIND_GPU, gpus: [0]}, {count: 2, kind: KIND_CPU}]\n", ["gpu0", "cpu"], 3),
])
def test_kind_and_gpus_place_a_model(serve, repository, configuration, devices, slots):
    model(repository, "m", configuration)
    server = serve(repository.path, settings=TWO).wait_ready("m")
    assert one(server, "m")["devices"] == devices and instances(server, "m") == {1: slots}
    numbers = [int(d[3:]) if d != "cpu" else CPU for d in devices]
    assert places(server, "m", 3) == [numbers[0]] * 3  # the first slot of all
    if devices != ["cpu"]:
        assert sum(runs(server, "m", d) for d in devices) == 1
        assert server.metric("troupe_runs_total", where="loop") == 0


def test_config_pbtxt_of_a_triton_server_is_placed_the_same(serve, repository):
    repository.write("m/1/model.echo", "input x FP32 [-1,2]\noutput y FP32 [-1,2]\ndevice where\n")
    repository.write("m/config.pbtxt", 'backend: "echo"\nmax_batch_size: 8\ninstance_group [ { count: 1 kind: KIND_GPU gpus: [ 1, 0 ] } ]\n')
    server = serve(repository.path, settings=TWO).wait_ready("m")
    assert groups(server, "m") == [(1, "gpu1"), (1, "gpu0")]
    assert places(server, "m") == [1]
    shown = json.loads(server.get("/v2/models/m/config")[1])["instance_group"][0]
    assert (shown["kind"], shown["gpus"], shown["count"]) == ("KIND_GPU", [1, 0], 1)
    assert "GPU" not in server.log().replace("gpu", ""), "nothing is asked for in vain"


def test_requests_side_by_side_are_spread_over_the_devices(serve, repository, gate):
    model(repository, "m", TWO_EACH + "batching: off\n", gate.until)
    server = serve(repository.path, settings=TWO).wait_ready("m")
    assert places_of_many(server, "m", 4, gate, run=4) == [0, 0, 1, 1]
    assert runs(server, "m", "gpu0") == runs(server, "m", "gpu1") == 2


def test_a_large_request_is_divided_among_the_devices(serve, repository):
    model(repository, "m", ON_GPUS + "batching: on\n", "sleep_row 5ms\n")
    server = serve(repository.path, settings={**TWO, "sched.split_part": "10us"}).wait_ready("m")
    seen = []

    def is_shared():
        seen.append(places(server, "m", 40))
        return set(seen[-1]) == {0, 1}
    server.wait(is_shared, "a run to be shared by both devices", 60)
    assert seen[0] == [0] * 40, "nobody knew what it costs"
    assert seen[-1] in ([0] * 20 + [1] * 20, [1] * 20 + [0] * 20), "a part is on one device"
    assert server.metric("troupe_runs_shared_total") == 1


def test_requests_that_waited_together_run_where_a_slot_is_free(serve, repository, gate):
    model(repository, "m", "instance_group: [{kind: KIND_GPU}]\nbatching: on\nmax_batch_size: 4\n", gate.until)
    server = serve(repository.path, settings={**TWO, "sched.split": "false"}).wait_ready("m")
    assert set(places_of_many(server, "m", 10, gate, run=2)) == {0, 1}
    assert server.metric("troupe_batches_total") >= 1
    total = runs(server, "m", "gpu0") + runs(server, "m", "gpu1")
    assert total < 10 and total == server.metric("nv_inference_exec_count", model="m")


def test_scale_deals_slots_to_the_devices_in_turn(serve, repository, gate):
    model(repository, "m", ON_GPUS + "batching: off\n", gate.until)
    server = serve(repository.path, settings=TWO).wait_ready("m")
    assert groups(server, "m") == [(1, "gpu0"), (1, "gpu1")]
    scale(server, "m=3")
    assert groups(server, "m") == [(2, "gpu0"), (1, "gpu1")]
    status, reply = post(server, "/api/models/m/instances", {"count": 4})
    assert status == 200 and reply["versions"][0]["groups"] == [{"instances": 2, "device": "gpu0"}, {"instances": 2, "device": "gpu1"}]
    assert places_of_many(server, "m", 4, gate, run=4) == [0, 0, 1, 1]
    scale(server, "m=1")
    assert groups(server, "m") == [(1, "gpu0"), (0, "gpu1")]
    assert places_of_many(server, "m", 2, gate, run=1) == [0, 0]
    scale(server, "m=")
    assert groups(server, "m") == [(1, "gpu0"), (1, "gpu1")]


def test_a_device_that_is_not_there_is_named_with_those_that_are(serve, repository):
    model(repository, "m", "instance_group:\n- {kind: KIND_GPU, gpus: [0, 3]}\n")
    server = serve(repository.path, settings=TWO)
    assert "m/model.yaml:2: instance_group wants GPU 3; echo has 0, 1" in why_not(server, "m")
    repository.write("m/model.yaml", "instance_group:\n- {kind: KIND_GPU, gpus: [0, 1]}\n")
    assert load(server, "m")[0] == 200
    assert places(server, "m") == [0]


def test_a_backend_without_devices_runs_gpu_models_on_the_cpu_and_says_so_once(serve, repository):
    model(repository, "m", ON_GPUS)
    model(repository, "auto", "instance_group: [{kind: KIND_AUTO, gpus: [0]}]\n")
    server = serve(repository.path).wait_ready("m", "auto")
    for _ in range(2):
        assert post(server, "/v2/repository/models/m/unload")[0] == 200 and load(server, "m")[0] == 200
    assert places(server, "m") == [CPU] and places(server, "auto") == [CPU]
    assert one(server, "m")["devices"] == ["cpu"]
    told = [line for line in server.log().splitlines() if "GPU" in line]
    assert len(told) == 1 and "m/model.yaml:1: \"kind\" asks for a GPU, and backend 'echo' has none: it runs on the CPU" in told[0], told
    assert b"troupe_device_runs_total{" not in server.get("/metrics")[1]


def test_a_group_that_may_be_elsewhere_says_that_its_gpu_is_not_there(serve, repository):
    model(repository, "m", "instance_group:\n- {gpus: [7]}\n")
    server = serve(repository.path, settings=TWO).wait_ready("m")
    assert places(server, "m") == [CPU]
    told = [line for line in server.log().splitlines() if "GPU" in line]
    assert len(told) == 1 and "m/model.yaml:2: \"gpus\" asks for a GPU, and backend 'echo' has others: it runs on the CPU" in told[0], told


@pytest.mark.parametrize("where", ["", "isolation: process\n"], ids=["here", "in_a_worker_process"])
def test_first_runs_are_made_on_each_device(serve, repository, where):
    sample = "model_warmup: [{name: s, batch_size: 1, count: 2, inputs: {x: {data_type: TYPE_FP32, dims: [2], zero_data: true}}}]\nmax_batch_size: 4\n"
    model(repository, "m", where + ON_GPUS + sample)
    server = serve(repository.path, settings=TWO).wait_ready("m")
    assert runs(server, "m", "gpu0") == runs(server, "m", "gpu1") == 2
    server.stop()


def test_a_worker_process_runs_on_the_devices_of_its_model(serve, repository, gate):
    model(repository, "m", "isolation: process\nbatching: off\n" + TWO_EACH, gate.until)
    server = serve(repository.path, settings=TWO).wait_ready("m")
    assert len(workers_of(server)) == 1, "one process for all of them"
    assert places_of_many(server, "m", 4, gate, run=4) == [0, 0, 1, 1]
    assert one(server, "m")["devices"] == ["gpu0", "gpu1"]
    assert "in a worker process: isolation: process; on gpu0, gpu1" in one(server, "m")["opened"]
    assert runs(server, "m", "gpu0") == runs(server, "m", "gpu1") == 2


def test_people_are_shown_where_a_model_is(serve, repository):
    model(repository, "m", ON_GPUS)
    model(repository, "plain", "")
    server = serve(repository.path, settings=TWO).wait_ready("m", "plain")
    text = subprocess.run([str(TROUPE), "ps", "--server", server.url], capture_output=True, text=True, timeout=60 * SLOW, check=True).stdout
    line = {words.split()[0]: words for words in text.splitlines() if words}
    assert "DEVICES" in line["MODEL"]
    assert "gpu0, gpu1" in line["m"] and "on gpu0, gpu1: what is prepared is for the CPU alone" in line["m"]
    assert re.search(r"\bcpu\b", line["plain"])
    shown = subprocess.run([str(TROUPE), "ps", "--json", "--server", server.url], capture_output=True, text=True, timeout=60 * SLOW, check=True).stdout
    assert {m["name"]: m["devices"] for m in json.loads(shown)["models"]} == {"m": ["gpu0", "gpu1"], "plain": ["cpu"]}


def test_rows_are_found_to_be_independent_on_a_device_too(serve, repository):
    model(repository, "m", ON_GPUS, "sleep 5ms\n")
    server = serve(repository.path, settings={**TWO, "threads.executors": 1}).wait_ready("m")
    assert settle(server, "m", make=lambda i: np.full((1, 2), i, np.float32)) == "on: its rows are independent"
    assert runs(server, "m", "gpu0") > 0
