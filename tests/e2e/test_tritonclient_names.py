"""Names that are no models, asked by all of Triton's clients: HTTP and gRPC, waiting and not, asyncio, streams.  To each of them a route,
an ensemble, a cascade, a pipeline and Triton's own ensemble is a model."""
import asyncio
import queue

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

from conftest import SLOW, Server

DOUBLE = "input x FP32 [-1,3]\noutput y FP32 [-1,3] labels=red,green,blue\n"
ROUTES = """
routes:
  plain: [ { when: params.user == 1, use: b }, { use: a } ]
  tried: [ { use: plain, timeout: 20s, fallback: [b] } ]
  composed: [ { use: vote } ]
ensembles: { vote: { members: [a, b], vote: soft } }
cascades: { cheap: { steps: [a, b], threshold: 0.9, per: row } }
pipelines:
  chain:
    steps:
      - { model: plain, inputs: { x: x }, outputs: { y: m }, each: row }
      - { op: softmax, input: m, output: y }
    outputs: [y]
"""
TRITON = """
name: "steps"
platform: "ensemble"
max_batch_size: 8
input [ { name: "x" data_type: TYPE_FP32 dims: [ 3 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 3 ] } ]
ensemble_scheduling { step [
  { model_name: "a" model_version: -1 input_map { key: "x" value: "x" } output_map { key: "y" value: "m" } },
  { model_name: "b" model_version: -1 input_map { key: "x" value: "m" } output_map { key: "y" value: "y" } }
] }
"""
NAMES = ("plain", "tried", "composed", "vote", "cheap", "chain", "steps")
X = np.array([[0.125, 0.25, 0.625], [0.0625, 0.9375, 0]], np.float32)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names") / "models"
    for model in ("a", "b"):
        (folder / model).mkdir(parents=True)
        (folder / model / "model.echo").write_text(DOUBLE)
        (folder / model / "model.yaml").write_text("max_batch_size: 8\n")
    (folder / "steps").mkdir()
    (folder / "steps/config.pbtxt").write_text(TRITON)
    (folder / "routes.yaml").write_text(ROUTES)
    started = Server(folder)
    started.wait_ready("a", "b", *NAMES)
    yield started
    started.stop()


def expected(name):
    return np.exp(X) / np.exp(X).sum(axis=1, keepdims=True) if name == "chain" else X


def tensor(module, x=X):
    value = module.InferInput("x", list(x.shape), "FP32")
    value.set_data_from_numpy(x)
    return [value]


def check(name, reply):
    np.testing.assert_allclose(reply.as_numpy("y"), expected(name), rtol=1e-6)


def check_classes(name, reply):
    words = [text.decode().split(":")[1:] for text in reply.as_numpy("y").reshape(-1)]
    assert reply.as_numpy("y").shape == (2, 1) and words == [["2", "blue"], ["1", "green"]], name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("module", [triton_http, triton_grpc], ids=["http", "grpc"])
def test_a_client_that_waits(server, module, name):
    with module.InferenceServerClient(server.url) as client:
        assert client.is_model_ready(name)
        check(name, client.infer(name, tensor(module), request_id="17"))
        classes = [module.InferRequestedOutput("y", class_count=1)]
        check_classes(name, client.infer(name, tensor(module), outputs=classes))
        with pytest.raises(InferenceServerException, match="shape"):
            client.infer(name, tensor(module, X[:, :2].copy()))


@pytest.mark.parametrize("module", [triton_http, triton_grpc], ids=["http", "grpc"])
def test_a_client_whose_tensors_lie_in_shared_memory(server, module):
    """What it sends and what it is answered, also where the answer is another's, or is put together of rows."""
    handle = shm.create_shared_memory_region("names", "/troupe_test_names", 8192)
    try:
        with module.InferenceServerClient(server.url) as client:
            client.register_system_shared_memory("names", "/troupe_test_names", 8192)
            for name in NAMES:
                shm.set_shared_memory_region(handle, [X, np.full_like(X, -1)])
                value, answer = module.InferInput("x", list(X.shape), "FP32"), module.InferRequestedOutput("y")
                value.set_shared_memory("names", X.nbytes)
                answer.set_shared_memory("names", X.nbytes, offset=X.nbytes)
                client.infer(name, [value], outputs=[answer])
                np.testing.assert_allclose(shm.get_contents_as_numpy(handle, np.float32, X.shape, offset=X.nbytes), expected(name), rtol=1e-6)
                answer.set_shared_memory("names", X.nbytes - 4, offset=X.nbytes)
                with pytest.raises(InferenceServerException):
                    client.infer(name, [value], outputs=[answer])
            client.unregister_system_shared_memory("names")
    finally:
        shm.destroy_shared_memory_region(handle)


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_does_not_wait(server, name):
    with triton_http.InferenceServerClient(server.url, concurrency=4) as client:
        for asked in [client.async_infer(name, tensor(triton_http)) for _ in range(8)]:
            check(name, asked.get_result(timeout=30 * SLOW))
    replies = queue.Queue()
    with triton_grpc.InferenceServerClient(server.url) as client:
        for _ in range(8):
            client.async_infer(name, tensor(triton_grpc), callback=lambda result, error: replies.put((result, error)))
        for _ in range(8):
            result, error = replies.get(timeout=30 * SLOW)
            assert error is None
            check(name, result)


@pytest.mark.parametrize("module", [triton_http_aio, triton_grpc_aio], ids=["http", "grpc"])
def test_asyncio_clients_ask_all_of_them_at_once(server, module):
    async def one(client, name):
        assert await client.is_model_ready(name)
        check(name, await client.infer(name, tensor(module)))
        classes = [module.InferRequestedOutput("y", class_count=1)]
        check_classes(name, await client.infer(name, tensor(module), outputs=classes))
        with pytest.raises(InferenceServerException, match="shape"):
            await client.infer(name, tensor(module, X[:, :2].copy()))

    async def inside():
        async with module.InferenceServerClient(server.url) as client:
            await asyncio.gather(*(one(client, name) for name in NAMES for _ in range(4)))
    asyncio.run(inside())


def test_a_stream_asks_all_of_them(server):
    replies = queue.Queue()
    with triton_grpc.InferenceServerClient(server.url) as client:
        client.start_stream(callback=lambda result, error: replies.put((result, error)))
        for i in range(3 * len(NAMES)):
            client.async_stream_infer(NAMES[i % len(NAMES)], tensor(triton_grpc), request_id=str(i))
        for i in range(3 * len(NAMES)):
            result, error = replies.get(timeout=30 * SLOW)
            assert error is None and result.get_response().id == str(i), "in their order"
            check(NAMES[i % len(NAMES)], result)
        client.stop_stream()


def test_an_asyncio_stream_asks_all_of_them(server):
    async def questions():
        for i, name in enumerate(NAMES):
            yield {"model_name": name, "inputs": tensor(triton_grpc_aio), "request_id": str(i)}

    async def inside():
        seen = []
        async with triton_grpc_aio.InferenceServerClient(server.url) as client:
            async for result, error in client.stream_infer(questions()):
                assert error is None
                check(NAMES[int(result.get_response().id)], result)
                seen.append(result.get_response().id)
        assert seen == [str(i) for i in range(len(NAMES))]
    asyncio.run(inside())


@pytest.mark.parametrize("module", [triton_http, triton_grpc], ids=["http", "grpc"])
def test_parameters_reach_the_rules(server, module):
    """Both models say the same: who answered is in the reply."""
    with module.InferenceServerClient(server.url) as client:
        for name in ("plain", "tried"):
            for user, model in ((1, "b"), (2, "a")):
                reply = client.infer(name, tensor(module), parameters={"user": user}).get_response()
                assert (reply["model_name"] if isinstance(reply, dict) else reply.model_name) == model
