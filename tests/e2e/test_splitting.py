"""One large request is shared by executors that have nothing to do, where its rows are independent: the answer is the same."""
import sys

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

from conftest import ROOT, SLOW
from test_batching import alone, batching_of, dynamic_int8, rows_for

sys.path.insert(0, str(ROOT / "bench"))
from onnx_maker import chain  # noqa: E402

SIZE = 128
ROWS = 256
TWO = {"threads.executors": 2, "sched.inline_run": "0s", "sched.split_part": "10us"}
SHARED, PARTS = "troupe_runs_shared_total", "troupe_runs_shared_parts_total"


def mlp(repository, name, configuration=""):
    chain_at = repository.path / name / "model.onnx"
    if configuration:
        repository.write(f"{name}/model.yaml", configuration)
    chain_at.parent.mkdir(parents=True, exist_ok=True)
    chain(chain_at, "rows", SIZE, 24)


def ask_until_shared(server, model, sent):
    """What a run costs is learned first, and an executor that has just answered is not idle yet."""
    answers = []

    def shared():
        before = server.metric(SHARED)
        answers.append(alone(server, model, sent))
        return server.metric(SHARED) > before
    server.wait(shared, f"a run of {model} to be shared", 60)
    return answers


@pytest.mark.parametrize("where", ["", "isolation: process\n"], ids=["here", "in_a_worker_process"])
def test_the_answer_is_that_of_one_run(serve, repository, where):
    mlp(repository, "m", "batching: on\n" + where)
    sent = rows_for(3, ROWS)
    whole = serve(repository.path, settings={**TWO, "sched.split": "false"}).wait_ready("m")
    expected = [alone(whole, "m", sent) for _ in range(4)]
    assert whole.metric(SHARED) == 0
    server = serve(repository.path, settings=TWO).wait_ready("m")
    for answer in ask_until_shared(server, "m", sent):
        assert answer.shape == expected[0].shape
        np.testing.assert_allclose(answer, expected[0], rtol=1e-4, atol=1e-5)
    assert server.metric(PARTS) == 2 * server.metric(SHARED)


def test_it_happens_by_itself_once_rows_are_known_to_be_independent(serve, repository):
    mlp(repository, "m")
    server = serve(repository.path, settings=TWO).wait_ready("m")
    sent = rows_for(5, ROWS)
    first = alone(server, "m", sent)
    for answer in ask_until_shared(server, "m", sent):
        np.testing.assert_allclose(answer, first, rtol=1e-4, atol=1e-5)
    assert batching_of(server, "m").startswith("on: its rows are independent")


def test_rows_that_depend_on_each_other_are_never_divided(serve, repository):
    dynamic_int8(repository.path / "m" / "model.onnx")
    server = serve(repository.path, settings=TWO).wait_ready("m")
    sent = rows_for(7, 4096)
    first = alone(server, "m", sent)

    def is_known():
        assert np.array_equal(alone(server, "m", sent), first)
        return batching_of(server, "m")
    server.wait(is_known, "m to be tried", 60)
    assert batching_of(server, "m").startswith("off")
    for _ in range(5):
        assert np.array_equal(alone(server, "m", sent), first)
    assert server.metric(SHARED) == 0


def test_an_output_goes_into_shared_memory(serve, repository):
    mlp(repository, "m", "batching: on\n")
    server = serve(repository.path, settings=TWO).wait_ready("m")
    sent = rows_for(9, ROWS)
    expected = alone(server, "m", sent)
    region = shm.create_shared_memory_region("out", f"/troupe_split_{server.port}", sent.nbytes)
    try:
        with triton_http.InferenceServerClient(server.url, network_timeout=60 * SLOW) as client:
            client.register_system_shared_memory("out", f"/troupe_split_{server.port}", sent.nbytes)
            x = triton_http.InferInput("x", list(sent.shape), "FP32")
            x.set_data_from_numpy(sent)
            y = triton_http.InferRequestedOutput("y")
            y.set_shared_memory("out", sent.nbytes)

            def shared():
                before = server.metric(SHARED)
                shm.set_shared_memory_region(region, [np.zeros_like(sent)])
                client.infer("m", [x], outputs=[y])
                np.testing.assert_allclose(shm.get_contents_as_numpy(region, np.float32, sent.shape), expected, rtol=1e-4, atol=1e-5)
                return server.metric(SHARED) > before
            server.wait(shared, "a run to be shared", 60)
            client.unregister_system_shared_memory("out")
    finally:
        shm.destroy_shared_memory_region(region)


def test_a_deadline_ends_all_parts(serve, repository):
    repository.write("slow/model.echo", "input x FP32 [-1,1]\noutput y FP32 [-1,1]\nsleep_row 20ms\n")
    repository.write("slow/model.yaml", "batching: on\n")
    server = serve(repository.path, settings=TWO).wait_ready("slow")
    with triton_grpc.InferenceServerClient(server.url) as client:
        def infer(rows, timeout=None):
            x = triton_grpc.InferInput("x", [rows, 1], "FP32")
            x.set_data_from_numpy(np.zeros((rows, 1), np.float32))
            return client.infer("slow", [x], client_timeout=timeout)
        infer(10)
        with pytest.raises(InferenceServerException, match="(?i)deadline"):
            infer(20000, timeout=0.5)  # 400 s, or half of it
        infer(10)  # there is an executor for it
        runs = server.metric("troupe_runs_total", where="executor")
        server.wait(lambda: infer(10) and server.metric("troupe_runs_total", where="executor") >= runs + 2,
                    "both executors to be free", 30)  # one that is still busy could not share a run
