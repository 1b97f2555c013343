"""Mappings and descriptors run out like bytes: models leave for each other's, and what can never be had is refused with the numbers, in
each protocol."""
import grpc
import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from test_repository import IDENTITY, X, index, post

QUESTION = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": X.ravel().tolist()}]}
EACH = 32  # mappings that a model which is not prepared is expected to take, see src/life/sizing.c


@pytest.fixture
def scarce(serve, repository):
    """scarce(KEY=VALUE): four models on demand, and a server with a limit."""
    for i in range(4):
        repository.add(IDENTITY, f"m{i}.onnx")

    def start(**limits):
        settings = {"models.load": "on_demand", "memory.stay": "0s", **{f"memory.{k}": v for k, v in limits.items()}}
        return serve(repository.path, settings=settings).wait_ready()
    return start


def in_memory(server):
    return {name.split("/")[0] for name, (state, reason) in index(server).items() if state == "READY" and reason != "on demand"}


def test_models_leave_for_each_others_mappings(scarce):
    server = scarce(mappings_max=3 * EACH + EACH // 2)
    for turn in range(3):
        for i in range(4):
            status, reply = post(server, f"/v2/models/m{i}/infer", QUESTION)
            assert status == 200 and reply["outputs"][0]["data"] == X.ravel().tolist(), (turn, reply)
            assert f"m{i}" in in_memory(server) and len(in_memory(server)) <= 3
    assert server.metric("troupe_evictions_total") >= 3
    server.wait(lambda: "go: room for 'm" in server.log(), "the log to say for whom")
    assert server.metric("troupe_loads_refused_total") == 0


@pytest.mark.parametrize("limit, words", [({"mappings_max": EACH // 2}, f"needs {EACH} mappings; at most {EACH // 2} of {EACH // 2}"),
                                          ({"descriptors_max": 1}, "descriptors; at most 1 of 1")])
def test_what_can_never_be_had_is_told_in_each_protocol(scarce, limit, words):
    server = scarce(**limit)
    status, reply = post(server, "/v2/models/m0/infer", QUESTION)
    assert status == 507 and words in reply["error"] and reply["error"].startswith("model 'm0' "), reply
    tensor = InferInput("x", list(X.shape), "FP32")
    tensor.set_data_from_numpy(X.astype(np.float32))
    with InferenceServerClient(server.url) as client, pytest.raises(InferenceServerException) as refused:
        client.infer("m1", [tensor])
    assert refused.value.status() == str(grpc.StatusCode.RESOURCE_EXHAUSTED) and words in refused.value.message()
    assert in_memory(server) == set() and server.metric("troupe_evictions_total") == 0
    state, reason = index(server)["m0/1"]
    assert state == "UNAVAILABLE" and words in reason
