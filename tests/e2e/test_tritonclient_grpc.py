"""Every public call of tritonclient.grpc, with each of its parameters, against a real server."""
import base64
import json
import queue
import time
import uuid

import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.auth
import tritonclient.utils.shared_memory as shm
from google.protobuf.json_format import MessageToDict
from tritonclient.utils import InferenceServerException, serialize_byte_tensor

from conftest import SLOW, Server
from triton_support import (BAD, DTYPES, EXAMPLES, GOOD, Calls, check_trace, make_repository, read_traces, same,
                            statistics_of, values)

CALLS = Calls()
Client = CALLS.made_by(triton.InferenceServerClient)
Input = CALLS.made_by(triton.InferInput)
Output = CALLS.made_by(triton.InferRequestedOutput)
Result = CALLS.made_by(triton.InferResult)
SHM = CALLS.made_in(shm)
EXTRA = {"headers": {"x-extra": "1"}, "client_timeout": 60.0}
JSON = {"as_json": True}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grpc")
    models = [GOOD / f"identity_{d.lower()}.onnx" for d in DTYPES]
    models += [GOOD / f"{m}.onnx" for m in ("scalar", "zero_size", "zero_rows", "two_outputs", "string_lookup", "slow",
                                            "fails_when_run", "optional_inputs", "inputs_64", "odd name: 100% of it")]
    repository = make_repository(folder / "models", *models, EXAMPLES / "digits_cnn", BAD / "truncated.onnx",
                                 counted=GOOD / "identity_fp32.onnx", counted_batches=EXAMPLES / "digits_cnn",
                                 traced=GOOD / "identity_fp32.onnx", own=GOOD / "identity_fp32.onnx")
    (repository / "counted_batches/config.pbtxt").write_text(
        (EXAMPLES / "digits_cnn/config.pbtxt").read_text().replace('"digits_cnn"', '"counted_batches"'))
    for version, source in ((1, "identity_fp32"), (2, "two_outputs")):
        (repository / f"versions/{version}").mkdir(parents=True)
        (repository / f"versions/{version}/model.onnx").write_bytes((GOOD / f"{source}.onnx").read_bytes())
    (repository / "versions/config.pbtxt").write_text("version_policy { all {} }")
    # Late requests are to be late here, and not refused beforehand because others that they cancelled still run.
    started = Server(repository, settings={"trace.file": folder / "trace.json", "limits.shared_memory_bytes": "1MiB", "sched.forecast": "false"})
    started.wait_ready("digits_cnn", "versions")
    started.trace_file = folder / "trace.json"
    yield started
    started.stop()


@pytest.fixture
def client(server):
    with Client(server.url) as made:
        yield made


def tensor(array, name="x", dtype="FP32"):
    return Input(name, list(array.shape), dtype).set_data_from_numpy(array)


ONE = np.ones((1, 3), np.float32)


def long_run():
    """Inputs of model `slow` that keep it busy until somebody ends it."""
    return [tensor(np.ones(3, np.float32)), tensor(np.array([3_000_000], np.int64), "steps", "INT64")]


def runs_end(server):
    server.wait(lambda: server.metric("troupe_model_in_flight", model="slow") == 0, "cancelled runs to end")


def result_of(result):
    """The same result, but noting its calls."""
    result.__class__ = Result
    return result


def check_refusal(error, status, text):
    assert isinstance(error, InferenceServerException)
    assert error.status() == f"StatusCode.{status}", error
    assert text in error.message()


def refusal(status, text, call, *args, **kwargs):
    with pytest.raises(InferenceServerException) as caught:
        call(*args, **kwargs)
    check_refusal(caught.value, status, text)


# ---- health and metadata ----

def test_health_is_told_for_the_server_and_each_model_and_version(client):
    assert client.is_server_live(**EXTRA) and client.is_server_ready(**EXTRA)
    assert client.is_model_ready("digits_cnn", **EXTRA)
    assert client.is_model_ready("versions", model_version="2")
    assert not client.is_model_ready("versions", model_version="3")
    assert not client.is_model_ready("truncated")
    refusal("NOT_FOUND", "nobody", client.is_model_ready, "nobody")


def test_server_metadata_lists_the_extensions_that_clients_look_for(client):
    metadata = client.get_server_metadata(**EXTRA)
    assert metadata.name == "troupe" and metadata.version
    assert {"statistics", "trace", "logging", "classification", "system_shared_memory"} <= set(metadata.extensions)
    assert client.get_server_metadata(**JSON)["name"] == "troupe"


def test_model_metadata_says_what_goes_in_and_out(client):
    assert MessageToDict(client.get_model_metadata("digits_cnn", **EXTRA), preserving_proto_field_name=True) == {
        "name": "digits_cnn", "versions": ["1"], "platform": "onnxruntime_onnx",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": ["-1", "64"]}],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": ["-1", "10"]}]}
    assert client.get_model_metadata("versions", **JSON)["versions"] == ["1", "2"]
    assert [o.name for o in client.get_model_metadata("versions", model_version="1").outputs] == ["y"]
    assert client.get_model_metadata("odd name: 100% of it").name == "odd name: 100% of it"
    refusal("NOT_FOUND", "Request for unknown model: 'nobody' is not found", client.get_model_metadata, "nobody")
    refusal("NOT_FOUND", "version 9 is not found", client.get_model_metadata, "versions", model_version="9")
    refusal("NOT_FOUND", "no version of this label", client.get_model_metadata, "versions", model_version="first")
    refusal("INVALID_ARGUMENT", "", client.get_model_metadata, "versions", model_version="1st")


def test_the_model_configuration_is_complete(client):
    config = client.get_model_config("digits_cnn", **EXTRA).config
    assert config.max_batch_size == 64 and config.backend == "onnxruntime" and list(config.input[0].dims) == [64]
    assert config.output[0].label_filename == "labels.txt"
    assert client.get_model_config("versions", model_version="1", **JSON)["config"]["output"][0]["name"] == "y"


# ---- inference ----

@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_comes_back_as_it_went(client, dtype):
    x = values(dtype)
    result = client.infer(f"identity_{dtype.lower()}", [tensor(x, dtype=dtype)])
    same(result.as_numpy("y"), x)
    assert result.get_output("y").datatype == dtype
    empty = np.empty((0, 3), x.dtype)
    assert client.infer(f"identity_{dtype.lower()}", [tensor(empty, dtype=dtype)]).as_numpy("y").shape == (0, 3)


def typed(dtype, array):
    """A request with `contents` instead of raw bytes, as clients without numpy send it."""
    field = {"BOOL": "bool", "INT64": "int64", "UINT64": "uint64", "FP32": "fp32", "FP64": "fp64", "BYTES": "bytes"}.get(
        dtype, "int" if dtype.startswith("INT") else "uint")
    request = triton.service_pb2.ModelInferRequest(model_name=f"identity_{dtype.lower()}")
    made = request.inputs.add(name="x", datatype=dtype, shape=array.shape)
    elements = array.reshape(-1)
    getattr(made.contents, field + "_contents").extend(
        [text.encode() for text in elements] if dtype == "BYTES" else elements.tolist())
    return request


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d not in ("FP16", "BF16")])
def test_typed_contents_are_taken_too(client, dtype):
    x = values(dtype)
    same(Result(client._client_stub.ModelInfer(typed(dtype, x))).as_numpy("y"), x)


def test_scalars_and_shapes_without_elements(client):
    y = client.infer("scalar", [tensor(np.array(41, np.float32))]).as_numpy("y")
    assert y.shape == () and y == 42
    assert client.infer("zero_size", [tensor(np.empty((4, 0), np.float32))]).as_numpy("y").shape == (0, 3)
    info = client.get_model_metadata("zero_rows").inputs[0]
    x = np.ones([1] * (len(info.shape) - 1) + [4], np.float32)
    assert client.infer("zero_rows", [tensor(x, info.name)]).as_numpy("y").shape == (0, 4)


def test_only_the_outputs_asked_for_come(client):
    x = np.arange(8, dtype=np.float32).reshape(1, 8)
    result = result_of(client.infer("two_outputs", [tensor(x)], outputs=[Output("square")]))
    assert (result.as_numpy("square") == x * x).all() and result.as_numpy("sum") is None
    assert result.get_output("sum") is None and result.get_output("square", as_json=False).name == "square"
    both = client.infer("two_outputs", [tensor(x)], outputs=[Output("square"), Output("sum")]).get_response()
    assert [o.name for o in both.outputs] == ["square", "sum"] and len(both.raw_output_contents) == 2
    refusal("INVALID_ARGUMENT", "nothing", client.infer, "two_outputs", [tensor(x)], outputs=[Output("nothing")])
    refusal("INVALID_ARGUMENT", "sum", client.infer, "two_outputs", [tensor(x)], outputs=[Output("sum"), Output("sum")])


def test_optional_and_many_inputs(client):
    x = np.array([[1, 2, 3]], np.float32)
    assert client.infer("optional_inputs", [tensor(x)]).as_numpy("y").shape == (1, 3)
    inputs = [tensor(np.full(2, i, np.float32), f"in_{i}") for i in range(64)]
    name = client.get_model_metadata("inputs_64").outputs[0].name
    assert client.infer("inputs_64", inputs[::-1]).as_numpy(name).tolist() == [sum(range(64))] * 2


def test_ids_versions_and_parameters_are_understood(client):
    x = np.arange(8, dtype=np.float32).reshape(1, 8)
    result = result_of(client.infer(
        "versions", [tensor(x)], model_version="1", request_id="an id ü", sequence_id=0, sequence_start=False,
        sequence_end=False, priority=1, timeout=30_000_000, parameters={"text": "a", "int": -3, "true": True, "float": 1.5}, **EXTRA))
    response = result.get_response(as_json=True)
    assert response["id"] == "an id ü" and response["model_version"] == "1" and response["model_name"] == "versions"
    assert client.infer("versions", [tensor(x)]).get_response().model_version == "2"
    for sequence in (7, "a text"):
        client.infer("versions", [tensor(x)], sequence_id=sequence, sequence_start=True, sequence_end=True)
    made = Input("x", [1], "FP32").set_shape([2, 3])
    assert (made.name(), list(made.shape()), made.datatype()) == ("x", [2, 3], "FP32") and Output("y").name() == "y"


def test_classification_gives_values_indices_and_labels(client):
    image = np.load(EXAMPLES.parent / "inputs/digit_3.npy").reshape(1, 64).astype(np.float32)
    images = np.concatenate([image, image[:, ::-1]])
    scores = client.infer("digits_cnn", [tensor(images, "image")]).as_numpy("probabilities")
    names = (EXAMPLES / "digits_cnn/labels.txt").read_text().split()
    result = client.infer("digits_cnn", [tensor(images, "image")], outputs=[Output("probabilities", class_count=3)])
    expected = [[f"{row[i]:.6f}:{i}:{names[i]}" for i in np.argsort(-row, kind="stable")[:3]] for row in scores]
    same(result.as_numpy("probabilities"), np.array(expected, dtype=object))
    assert expected[0][0].endswith(":3:three")


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_messages(client, algorithm):
    x = np.arange(30000, dtype=np.float32).reshape(100, 300)
    same(client.infer("identity_fp32", [tensor(x)], compression_algorithm=algorithm).as_numpy("y"), x)


def test_many_requests_at_once(client):
    answers = queue.Queue()

    def start(i, model="identity_fp32"):
        return client.async_infer(
            model, [tensor(np.full((1, 4), i, np.float32))], callback=lambda result, error: answers.put((i, result, error)),
            model_version="1", outputs=[Output("y")], request_id=str(i), sequence_id=0, sequence_start=False, sequence_end=False,
            priority=0, timeout=None, compression_algorithm="gzip" if i % 2 else None, parameters={"i": i}, **EXTRA)
    contexts = [start(i) for i in range(100)] + [start(100, "nobody")]
    got = {i: (result, error) for i, result, error in (answers.get(timeout=60) for _ in contexts)}
    for i in range(100):
        result, error = got[i]
        assert error is None and result.get_response().id == str(i) and (result.as_numpy("y") == i).all()
    assert got[100][0] is None
    check_refusal(got[100][1], "NOT_FOUND", "nobody")


def test_a_call_that_is_cancelled_ends(server, client):
    answers = queue.Queue()
    context = client.async_infer("slow", long_run(), callback=lambda result, error: answers.put(error))
    time.sleep(0.1)
    began = time.monotonic()
    context.cancel()
    check_refusal(answers.get(timeout=60), "CANCELLED", "")
    runs_end(server)
    assert client.infer("slow", [tensor(np.ones(3, np.float32))]).as_numpy("y").shape == (1,)
    assert time.monotonic() - began < 10 * SLOW, "a cancelled run must not go on to its end"


def test_deadlines_of_the_client_and_in_the_request(client):
    for limit in ({"client_timeout": 0.1}, {"timeout": 100_000}):
        began = time.monotonic()
        refusal("DEADLINE_EXCEEDED", "", client.infer, "slow", long_run(), **limit)
        assert time.monotonic() - began < 5 * SLOW
    answers = queue.Queue()
    client.async_infer("slow", long_run(), callback=lambda result, error: answers.put(error), client_timeout=0.1)
    check_refusal(answers.get(timeout=60), "DEADLINE_EXCEEDED", "")


@pytest.mark.parametrize("make, status, text", [
    (lambda c: c.infer("nobody", [tensor(ONE)]), "NOT_FOUND", "Request for unknown model: 'nobody' is not found"),
    (lambda c: c.infer("versions", [tensor(ONE)], model_version="7"), "NOT_FOUND", "version 7 is not found"),
    (lambda c: c.infer("identity_fp32", []), "INVALID_ARGUMENT", "x"),
    (lambda c: c.infer("identity_fp32", [tensor(ONE, "z")]), "INVALID_ARGUMENT", "z"),
    (lambda c: c.infer("identity_fp32", [tensor(ONE.astype(np.int32), dtype="INT32")]), "INVALID_ARGUMENT", "expects 'FP32'"),
    (lambda c: c.infer("identity_fp32", [tensor(ONE[0])]), "INVALID_ARGUMENT", "Expected [-1,-1], got [3]"),
    (lambda c: c.infer("identity_fp32", [Input("x", [1, 1], "FP32")]), "INVALID_ARGUMENT", "x"),
    (lambda c: c.infer("identity_fp32", [tensor(ONE).set_shape([2, 3])]), "INVALID_ARGUMENT", "x"),
    (lambda c: c.infer("digits_cnn", [tensor(np.ones((65, 64), np.float32), "image")]), "INVALID_ARGUMENT", "batch-size must be <= 64"),
    (lambda c: c.infer("fails_when_run", [tensor(ONE[0])]), "INTERNAL", "fails_when_run"),
])
def test_mistakes_are_told_by_name(client, make, status, text):
    refusal(status, text, make, client)


# ---- streams ----

class Answers(queue.Queue):
    def __call__(self, result, error):
        self.put((result, error))

    def take(self, n=1):
        return [self.get(timeout=60) for _ in range(n)]


def test_a_stream_answers_many_requests_in_order_errors_among_them(client):
    answers = Answers()
    client.start_stream(answers, stream_timeout=60, headers={"x-extra": "1"}, compression_algorithm="gzip")
    for i in range(300):
        client.async_stream_infer("nobody" if i % 50 == 49 else "identity_fp32" if i % 2 else "versions",
                                  [tensor(np.full((1, 8), i, np.float32))], model_version="1", outputs=[Output("y")],
                                  request_id=str(i), sequence_id=0, sequence_start=False, sequence_end=False,
                                  enable_empty_final_response=i % 3 == 0, priority=0, timeout=None, parameters={"i": i})
    for i, (result, error) in enumerate(answers.take(300)):
        if i % 50 == 49:
            assert result is None and "unknown model: 'nobody'" in error.message()
        else:
            assert error is None and result.get_response().id == str(i) and (result.as_numpy("y") == i).all()
            assert result.get_response().parameters["triton_final_response"].bool_param
    with pytest.raises(InferenceServerException, match="stream"):
        client.start_stream(answers)
    client.stop_stream()
    assert answers.empty()
    with pytest.raises(InferenceServerException, match="stream"):
        client.async_stream_infer("identity_fp32", [tensor(ONE)])


def test_a_stream_that_is_stopped_gives_what_is_under_way(client):
    answers = Answers()
    client.start_stream(answers)
    for i in range(5):
        client.async_stream_infer("slow", [tensor(np.ones(3, np.float32))], request_id=str(i))
    client.stop_stream(cancel_requests=False)
    assert [result.get_response().id for result, _ in answers.take(5)] == list("01234")


def test_an_error_in_a_stream_names_its_request(client):
    request = triton.service_pb2.ModelInferRequest(model_name="nobody", id="this one")
    answer, = client._client_stub.ModelStreamInfer(iter([request]))
    assert "nobody" in answer.error_message and answer.infer_response.id == "this one"


def test_a_stream_can_be_asked_to_end_with_the_first_error(client):
    answers = Answers()
    client.start_stream(answers, headers={"triton_grpc_error": "true"})
    client.async_stream_infer("identity_fp32", [tensor(ONE)])
    assert answers.take()[0][1] is None
    client.async_stream_infer("nobody", [tensor(ONE)])
    check_refusal(answers.take()[0][1], "NOT_FOUND", "nobody")
    with pytest.raises(InferenceServerException, match="no longer in valid state"):
        for _ in range(100):
            client.async_stream_infer("identity_fp32", [tensor(ONE)])
            time.sleep(0.05)
    client.stop_stream()
    client.start_stream(answers)
    client.async_stream_infer("identity_fp32", [tensor(ONE)])
    assert answers.take()[0][0] is not None
    client.stop_stream()


def test_a_stream_that_is_cancelled_cancels_its_requests(server, client):
    answers = Answers()
    client.start_stream(answers)
    for _ in range(4):
        client.async_stream_infer("slow", long_run())
    time.sleep(0.2)
    began = time.monotonic()
    client.stop_stream(cancel_requests=True)
    check_refusal(answers.take()[0][1], "CANCELLED", "")
    runs_end(server)
    client.infer("slow", [tensor(np.ones(3, np.float32))])
    assert time.monotonic() - began < 10 * SLOW


def test_a_stream_has_a_deadline(client):
    answers = Answers()
    client.start_stream(answers, stream_timeout=0.2)
    client.async_stream_infer("slow", long_run())
    check_refusal(answers.take()[0][1], "DEADLINE_EXCEEDED", "")
    client.stop_stream()


# ---- shared memory ----

@pytest.fixture
def region(client):
    """region(bytes) makes a segment and gives its key and handle; all are removed."""
    handles = []

    def make(size):
        key = f"/troupe_test_{uuid.uuid4().hex}"
        handles.append(SHM.create_shared_memory_region(f"region{len(handles)}", key, size, create_only=True))
        return key, handles[-1]
    yield make
    client.unregister_system_shared_memory()
    for handle in handles:
        SHM.destroy_shared_memory_region(handle)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_goes_through_shared_memory(client, region, dtype):
    x = values(dtype)
    raw = serialize_byte_tensor(x) if dtype == "BYTES" else x
    size = len(raw.item()) if dtype == "BYTES" else x.nbytes
    (key_in, handle_in), (key_out, handle_out) = region(size + 16), region(4096)
    SHM.set_shared_memory_region(handle_in, [raw], offset=16)
    client.register_system_shared_memory("in", key_in, size, offset=16, **EXTRA)
    client.register_system_shared_memory("out", key_out, 4096)
    made, output = Input("x", [2, 3], dtype), Output("y")
    made.set_shared_memory("in", size, offset=0)
    output.set_shared_memory("out", 2048, offset=64)
    response = client.infer(f"identity_{dtype.lower()}", [made], outputs=[output]).get_response()
    assert list(response.raw_output_contents) == [b""] and response.outputs[0].datatype == dtype
    same(SHM.get_contents_as_numpy(handle_out, x.dtype, [2, 3], offset=64), x)
    output.unset_shared_memory()
    same(client.infer(f"identity_{dtype.lower()}", [made], outputs=[output]).as_numpy("y"), x)


def test_shared_memory_inputs_take_no_raw_entry(client, region):
    key, handle = region(64)
    SHM.set_shared_memory_region(handle, [np.full(2, 1000, np.float32)])
    client.register_system_shared_memory("in", key, 8)
    inputs = [tensor(np.full(2, i, np.float32), f"in_{i}") for i in range(64)]
    inputs[1] = Input("in_1", [2], "FP32")
    inputs[1].set_shared_memory("in", 8)
    name = client.get_model_metadata("inputs_64").outputs[0].name
    assert client.infer("inputs_64", inputs).as_numpy(name).tolist() == [sum(range(64)) + 999] * 2


def test_regions_are_listed_until_they_are_unregistered(client, region):
    key, _ = region(256)
    assert client.get_system_shared_memory_status(**JSON) == {}
    client.register_system_shared_memory("a", key, 128)
    client.register_system_shared_memory("b", key, 64, offset=128)
    status = client.get_system_shared_memory_status(region_name="b", **EXTRA).regions
    assert list(status) == ["b"]
    b = status["b"]
    assert (b.name, b.key, b.offset, b.byte_size) == ("b", key, 128, 64)
    assert set(client.get_system_shared_memory_status().regions) == {"a", "b"} and key in SHM.mapped_shared_memory_regions()
    client.unregister_system_shared_memory(name="a", **EXTRA)
    assert set(client.get_system_shared_memory_status().regions) == {"b"}
    client.unregister_system_shared_memory("never registered")
    client.unregister_system_shared_memory()
    refusal("NOT_FOUND", "a", client.get_system_shared_memory_status, "a")


def test_regions_have_bounds(client, region):
    key, _ = region(256)
    client.register_system_shared_memory("a", key, 24, offset=8)
    x = Input("x", [2, 3], "FP32")
    x.set_shared_memory("a", 24)

    def infer(made, output):
        return client.infer("identity_fp32", [made], outputs=[output])

    def place(thing, region_name, size, offset):
        thing.set_shared_memory(region_name, size, offset=offset)
        return thing
    for size, offset in ((24, 4), (28, 0), (24, 2**62), (2**63 - 1, 1), (20, 0), (0, 0), (24, -8), (-1, 0)):
        refusal("INVALID_ARGUMENT", "'x'", infer, place(Input("x", [2, 3], "FP32"), "a", size, offset), Output("y"))
    refusal("NOT_FOUND", "nobody", infer, place(Input("x", [2, 3], "FP32"), "nobody", 24, 0), Output("y"))
    for size, offset in ((20, 0), (24, 1), (1, 2**62), (24, -1), (-24, 0)):
        refusal("INVALID_ARGUMENT", "'y'", infer, x, place(Output("y"), "a", size, offset))
    refusal("NOT_FOUND", "nobody", infer, x, place(Output("y"), "nobody", 24, 0))
    refusal("NOT_FOUND", "", client.register_system_shared_memory, "none", "/troupe_no_such_key", 16)
    refusal("INVALID_ARGUMENT", "", client.register_system_shared_memory, "long", key, 1 << 16)
    refusal("INVALID_ARGUMENT", "holds", client.register_system_shared_memory, "huge", key, 1 << 21)
    refusal("ALREADY_EXISTS", "already", client.register_system_shared_memory, "a", key, 16)


def test_cuda_shared_memory_is_answered_as_by_a_server_without_it(client):
    assert client.get_cuda_shared_memory_status(**JSON) == {} and not client.get_cuda_shared_memory_status(**EXTRA).regions
    refusal("NOT_FOUND", "c", client.get_cuda_shared_memory_status, region_name="c")
    refusal("INVALID_ARGUMENT", "GPU", client.register_cuda_shared_memory, "c", base64.b64encode(b"handle"), 0, 64, **EXTRA)
    client.unregister_cuda_shared_memory(name="c", **EXTRA)
    client.unregister_cuda_shared_memory()


# ---- model control ----

def test_the_index_names_every_model_and_what_is_wrong_with_it(client):
    index = {(m.name, m.version): m for m in client.get_model_repository_index(**EXTRA).models}
    assert index["digits_cnn", "1"].state == "READY" and ("versions", "2") in index
    broken, = [m for m in client.get_model_repository_index(**JSON)["models"] if m["name"] == "truncated"]
    assert broken["state"] == "UNAVAILABLE" and broken["reason"]


def test_models_are_unloaded_and_loaded(client):
    client.unload_model("own", unload_dependents=True, **EXTRA)
    assert not client.is_model_ready("own")
    refusal("NOT_FOUND", "own", client.infer, "own", [tensor(ONE)])
    client.load_model("own", **EXTRA)
    client.load_model("own")
    assert client.is_model_ready("own") and client.infer("own", [tensor(ONE)]).as_numpy("y").shape == (1, 3)
    refusal("NOT_FOUND", "nobody", client.load_model, "nobody")
    refusal("INVALID_ARGUMENT", "truncated", client.load_model, "truncated")


def test_a_load_can_bring_a_configuration_and_files(client):
    files = {"file:1/model.onnx": (GOOD / "two_outputs.onnx").read_bytes()}
    try:
        client.load_model("own", config=json.dumps({"max_batch_size": 4}))
        assert client.get_model_config("own").config.max_batch_size == 4
        refusal("INVALID_ARGUMENT", "batch-size must be <= 4", client.infer, "own", [tensor(np.ones((5, 2), np.float32))])
        refusal("INVALID_ARGUMENT", "max_batch_siz", client.load_model, "own", config=json.dumps({"max_batch_siz": 4}))
        client.load_model("own", config="{}", files=files)
        assert {o.name for o in client.get_model_metadata("own").outputs} == {"sum", "square"}
        refusal("INVALID_ARGUMENT", "config", client.load_model, "own", files=files)
        refusal("INVALID_ARGUMENT", "", client.load_model, "own", config="{}", files={"file:../../escape": b"x", **files})
        refusal("INVALID_ARGUMENT", "", client.load_model, "own", config="{}", files={"file:1/model.onnx": b"nonsense"})
        assert {o.name for o in client.get_model_metadata("own").outputs} == {"sum", "square"}
    finally:
        client.load_model("own")
    assert [o.name for o in client.get_model_metadata("own").outputs] == ["y"]
    assert client.get_model_config("own").config.max_batch_size == 0


# ---- statistics, traces, log ----

def test_statistics_equal_what_was_sent(client):
    def counted(model, version=""):
        entry, = client.get_inference_statistics(model_name=model, model_version=version, **EXTRA, **JSON)["model_stats"]
        return statistics_of(entry)
    for _ in range(3):
        client.infer("counted", [tensor(np.ones((2, 3), np.float32))])
    for _ in range(2):
        refusal("INVALID_ARGUMENT", "", client.infer, "counted", [tensor(np.ones(3, np.float32))])
    assert counted("counted") == {
        "inferences": 3, "executions": 3, "success": 3, "fail": 2, "queue": 3, "compute_input": 3, "compute_infer": 3,
        "compute_output": 3, "cache_hit": 0, "cache_miss": 0, "batches": {1: 3}}
    answers = Answers()
    client.start_stream(answers)
    for rows in (1, 5, 5, 64, 65):
        client.async_stream_infer("counted_batches", [tensor(np.zeros((rows, 64), np.float32), "image")])
    client.stop_stream()
    got = counted("counted_batches", "1")
    batches = got["batches"]  # those that waited may have run together
    assert got["inferences"] == sum(rows * n for rows, n in batches.items()) == 75 and got["fail"] == 1
    assert got["executions"] == sum(batches.values()) <= 4
    assert {"counted", "digits_cnn"} <= {e.name for e in client.get_inference_statistics().model_stats}
    refusal("INVALID_ARGUMENT", "requested model 'nobody' is not available", client.get_inference_statistics, "nobody")


def as_values(settings):
    return {key: list(value.value) for key, value in settings.settings.items()}


def test_a_trace_level_that_is_set_writes_that_trace(server, client):
    defaults = as_values(client.get_trace_settings(**EXTRA))
    assert defaults["trace_level"] == ["OFF"] and defaults["trace_file"] == [str(server.trace_file)]
    settings = {"trace_level": ["TIMESTAMPS", "TENSORS"], "trace_rate": "1", "trace_count": "2", "log_frequency": "0"}
    got = as_values(client.update_trace_settings(model_name="traced", settings=settings, **EXTRA))
    assert got["trace_level"] == ["TIMESTAMPS", "TENSORS"] and got["trace_rate"] == ["1"]
    assert as_values(client.get_trace_settings())["trace_level"] == ["OFF"]
    x = np.array([[1.5, -2, 3]], np.float32)
    client.infer("traced", [tensor(x)], request_id="unary")
    answers = Answers()
    client.start_stream(answers)
    client.async_stream_infer("traced", [tensor(x)], request_id="stream")
    client.async_stream_infer("traced", [tensor(x)], request_id="beyond the count")
    client.stop_stream()
    assert client.get_trace_settings(model_name="traced", **JSON)["settings"]["trace_count"]["value"] == ["0"]
    cleared = client.update_trace_settings(model_name="traced", settings={key: None for key in settings}, **JSON)
    assert {k: v["value"] for k, v in cleared["settings"].items()} == defaults
    client.infer("traced", [tensor(x)], request_id="after")
    server.wait(lambda: len(read_traces(server.trace_file)) == 2, "two traces")
    traces = read_traces(server.trace_file)
    text = ("FP32", "1,3", "1.5,-2,3")
    for name in ("unary", "stream"):
        check_trace(traces[name], "GRPC", "traced", {("TENSOR_QUEUE_INPUT", "x"): text, ("TENSOR_BACKEND_OUTPUT", "y"): text})
    refusal("INVALID_ARGUMENT", "trace_rate", client.update_trace_settings, settings={"trace_rate": "0"})
    refusal("NOT_FOUND", "nobody", client.get_trace_settings, model_name="nobody")


def test_log_settings_act(server, client):
    defaults = client.get_log_settings(**EXTRA).settings
    assert defaults["log_info"].bool_param and defaults["log_format"].string_param == "default"
    assert client.get_log_settings(**JSON)["settings"]["log_verbose_level"]["uint32_param"] == 0
    try:
        got = client.update_log_settings({"log_info": False, "log_verbose_level": 0, "log_format": "ISO8601"}, **EXTRA).settings
        assert not got["log_info"].bool_param and got["log_format"].string_param == "ISO8601"
        begin = len(server.lines)
        client.load_model("own", config="{}")
        client.update_log_settings({"log_info": True}, **JSON)
        client.load_model("own")
        server.wait(lambda: any("replaced 'own/1'" in line for line in server.lines[begin:]), "a line about the load")
        lines = [line for line in server.lines[begin:] if "replaced 'own/1'" in line]
        assert len(lines) == 1 and lines[0].startswith("20"), "only the second load was logged, and as ISO 8601"
    finally:
        client.update_log_settings({"log_info": True, "log_format": "default"})
    refusal("INVALID_ARGUMENT", "log_format", client.update_log_settings, {"log_info": False, "log_format": "XML"})
    assert client.get_log_settings().settings["log_info"].bool_param


# ---- the client itself ----

def test_plugins_keepalive_and_talkative_clients(server, capsys):
    class Plugin(triton.InferenceServerClientPlugin):
        calls = 0

        def __call__(self, request):
            self.calls += 1
            request.headers["authorization"] = "Bearer nobody-asks"
    keepalive = triton.KeepAliveOptions(keepalive_time_ms=1000, keepalive_timeout_ms=5000, keepalive_permit_without_calls=True,
                                        http2_max_pings_without_data=0)
    plugin, client = Plugin(), Client(server.url, verbose=True, keepalive_options=keepalive)
    client.register_plugin(plugin)
    assert client.plugin() is plugin and client.is_server_live() and plugin.calls == 1
    client.unregister_plugin()
    assert client.plugin() is None and client.is_server_live() and plugin.calls == 1
    time.sleep(2.5)  # two pings
    client.register_plugin(tritonclient.grpc.auth.BasicAuth("nobody", "asks"))
    client.infer("identity_fp32", [tensor(ONE)])
    client.close()
    assert "identity_fp32" in capsys.readouterr().out
    own = Client(server.url, channel_args=[("grpc.enable_retries", 0)])
    assert own.is_server_live()
    own.close()


def test_zz_no_public_call_or_parameter_was_left_out():
    assert CALLS.left_out() == []
