"""Every public call of tritonclient.http, with each of its parameters, against a real server."""
import base64
import json
import re
import time
import uuid

import numpy as np
import pytest
import tritonclient.http as http
import tritonclient.http.auth
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException, serialize_byte_tensor

from conftest import SLOW, Server
from triton_support import (BAD, DTYPES, EXAMPLES, GOOD, Calls, check_trace, make_repository, read_traces, same,
                            statistics_of, values)

CALLS = Calls()
Client = CALLS.made_by(http.InferenceServerClient)
Input = CALLS.made_by(http.InferInput)
Output = CALLS.made_by(http.InferRequestedOutput)
Result = CALLS.made_by(http.InferResult)
SHM = CALLS.made_in(shm)
Pending = CALLS.made_by(http.InferAsyncRequest)
EXTRA = {"headers": {"x-extra": "1"}, "query_params": {"a b": "c/d", "list": [1, 2]}}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("http")
    models = [GOOD / f"identity_{d.lower()}.onnx" for d in DTYPES]
    models += [GOOD / f"{m}.onnx" for m in ("scalar", "zero_size", "zero_rows", "two_outputs", "string_lookup", "string_label",
                                            "slow", "fails_when_run", "optional_inputs", "inputs_64", "odd_names",
                                            "odd name: 100% of it", "rank_9")]
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
    with Client(server.url, concurrency=8) as made:
        yield made


def tensor(array, name="x", dtype="FP32", binary=True):
    made = Input(name, list(array.shape), dtype)
    return made.set_data_from_numpy(array, binary_data=binary)


def result_of(result):
    """The same result, but noting its calls."""
    result.__class__ = Result
    return result


def refusal(status, text, call, *args, **kwargs):
    with pytest.raises(InferenceServerException) as caught:
        call(*args, **kwargs)
    assert caught.value.status() == str(status), caught.value
    assert text in caught.value.message()


# ---- health and metadata ----

def test_health_is_told_for_the_server_and_each_model_and_version(client):
    assert client.is_server_live(**EXTRA) and client.is_server_ready(**EXTRA)
    assert client.is_model_ready("digits_cnn", **EXTRA)
    assert client.is_model_ready("versions", model_version="2")
    assert not client.is_model_ready("versions", model_version="3")
    assert not client.is_model_ready("truncated")
    assert not client.is_model_ready("nobody")


def test_server_metadata_lists_the_extensions_that_clients_look_for(client):
    metadata = client.get_server_metadata(**EXTRA)
    assert metadata["name"] == "troupe" and metadata["version"]
    assert {"classification", "sequence", "model_repository", "model_configuration", "system_shared_memory",
            "cuda_shared_memory", "binary_tensor_data", "parameters", "statistics", "trace", "logging"} <= set(metadata["extensions"])


def test_model_metadata_says_what_goes_in_and_out(client):
    assert client.get_model_metadata("digits_cnn", **EXTRA) == {
        "name": "digits_cnn", "versions": ["1"], "platform": "onnxruntime_onnx",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 64]}],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}]}
    assert client.get_model_metadata("versions")["versions"] == ["1", "2"]
    assert [o["name"] for o in client.get_model_metadata("versions", model_version="2")["outputs"]] == ["sum", "square"]
    assert [o["name"] for o in client.get_model_metadata("versions", model_version="1")["outputs"]] == ["y"]
    assert client.get_model_metadata("scalar")["inputs"] == [{"name": "x", "datatype": "FP32", "shape": []}]
    refusal(404, "Request for unknown model: 'nobody' is not found", client.get_model_metadata, "nobody")
    refusal(404, "version 9 is not found", client.get_model_metadata, "versions", model_version="9")


def test_the_model_configuration_is_complete(client):
    config = client.get_model_config("digits_cnn", **EXTRA)
    assert config["max_batch_size"] == 64 and config["backend"] == "onnxruntime"
    assert config["input"][0]["dims"] == [64] and config["output"][0]["label_filename"] == "labels.txt"
    assert client.get_model_config("versions", model_version="1")["output"][0]["name"] == "y"
    refusal(404, "nobody", client.get_model_config, "nobody")


def test_names_with_blanks_and_percent_signs_work(client):
    name = "odd name: 100% of it"
    assert client.is_model_ready(name)
    assert client.get_model_metadata(name)["name"] == name
    x = np.ones([1] * len(client.get_model_metadata(name)["inputs"][0]["shape"]), np.float32)
    assert client.infer(name, [tensor(x)]).get_response()["model_name"] == name
    metadata = client.get_model_metadata("odd_names")
    inputs = [tensor(np.ones([1] * len(i["shape"]), np.float32), i["name"], i["datatype"]) for i in metadata["inputs"]]
    result = client.infer("odd_names", inputs)
    assert all(result.as_numpy(o["name"]) is not None for o in metadata["outputs"])


# ---- inference ----

# The client itself refuses to send BF16 as JSON; a test of its own does.
DTYPES_AND_FORMS = [(dtype, binary) for dtype in DTYPES for binary in (True, False) if binary or dtype != "BF16"]


@pytest.mark.parametrize("reply_binary", [True, False], ids=["reply-binary", "reply-json"])
@pytest.mark.parametrize("dtype, request_binary", DTYPES_AND_FORMS)
def test_every_dtype_comes_back_as_it_went(client, dtype, request_binary, reply_binary):
    x, model = values(dtype), f"identity_{dtype.lower()}"
    result = client.infer(model, [tensor(x, dtype=dtype, binary=request_binary)], outputs=[Output("y", binary_data=reply_binary)])
    same(result.as_numpy("y"), x)
    assert ("parameters" in result.get_output("y")) == reply_binary


@pytest.mark.parametrize("reply_binary", [True, False], ids=["reply-binary", "reply-json"])
def test_bf16_comes_back_as_it_went_as_json_too(server, client, reply_binary):
    x = values("BF16")
    body = json.dumps({"inputs": [{"name": "x", "datatype": "BF16", "shape": [2, 3], "data": [float(v) for v in x.reshape(-1)]}],
                       "parameters": {"binary_data_output": reply_binary}}).encode()
    status, reply, headers = server.request("POST", "/v2/models/identity_bf16/infer", body)
    assert status == 200, reply
    same(client.parse_response_body(reply, header_length=headers.get("Inference-Header-Content-Length")).as_numpy("y"), x)


def test_bytes_that_are_not_text_go_binary(client):
    x = np.array([[b"\xff\xfe", b"", b"\x00\x01"]], dtype=object)
    result = client.infer("identity_bytes", [tensor(x, dtype="BYTES")], outputs=[Output("y", binary_data=True)])
    assert result.as_numpy("y").tolist() == x.tolist()
    text = client.infer("identity_bytes", [tensor(x, dtype="BYTES")], outputs=[Output("y", binary_data=False)]).as_numpy("y")
    assert text.tolist() == [["\ufffd\ufffd", "", "\x00\x01"]], "JSON is valid whatever the bytes are"
    fixed = np.array([[b"ab", b"cde"]])
    assert client.infer("identity_bytes", [tensor(fixed, dtype="BYTES")]).as_numpy("y").tolist() == fixed.tolist()


@pytest.mark.parametrize("binary", [True, False])
def test_numbers_that_are_not_finite_go_both_ways(client, binary):
    x = np.array([[np.nan, np.inf, -np.inf]], np.float32)
    for dtype, kind in (("FP32", np.float32), ("FP64", np.float64), ("FP16", np.float16)):
        y = client.infer(f"identity_{dtype.lower()}", [tensor(x.astype(kind), dtype=dtype, binary=binary)],
                         outputs=[Output("y", binary_data=binary)]).as_numpy("y")
        assert np.isnan(y[0, 0]) and y[0, 1] == np.inf and y[0, 2] == -np.inf


@pytest.mark.parametrize("binary", [True, False])
def test_scalars_and_high_ranks(client, binary):
    outputs = [Output("y", binary_data=binary)]
    y = client.infer("scalar", [tensor(np.array(41, np.float32), binary=binary)], outputs=outputs).as_numpy("y")
    assert y.shape == () and y == 42
    x = np.arange(32, dtype=np.float32).reshape(2, 1, 2, 1, 2, 1, 2, 1, 2)
    assert (client.infer("rank_9", [tensor(x, binary=binary)], outputs=outputs).as_numpy("y") == 2 * x).all()


@pytest.mark.parametrize("dtype, binary", DTYPES_AND_FORMS)
def test_tensors_without_elements(client, dtype, binary):
    x = np.empty((0, 3), values(dtype).dtype)
    y = client.infer(f"identity_{dtype.lower()}", [tensor(x, dtype=dtype, binary=binary)],
                     outputs=[Output("y", binary_data=binary)]).as_numpy("y")
    assert y.shape == (0, 3)
    if dtype == "FP32":
        assert client.infer("zero_size", [tensor(np.empty((4, 0), np.float32), binary=binary)]).as_numpy("y").shape == (0, 3)
        name, rank = [(i["name"], len(i["shape"])) for i in client.get_model_metadata("zero_rows")["inputs"]][0]
        x = np.ones([1] * (rank - 1) + [4], np.float32)
        assert client.infer("zero_rows", [tensor(x, name, binary=binary)]).as_numpy("y").shape == (0, 4)


def test_binary_and_json_tensors_share_a_request(client):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    inputs = [tensor(np.full(2, i, np.float32), f"in_{i}", binary=i % 2 == 0) for i in range(64)]
    name = client.get_model_metadata("inputs_64")["outputs"][0]["name"]
    assert client.infer("inputs_64", inputs).as_numpy(name).tolist() == [sum(range(64))] * 2
    x = np.arange(8, dtype=np.float32).reshape(1, 8)
    result = client.infer("two_outputs", [tensor(x)], outputs=[Output("square", binary_data=False), Output("sum", binary_data=True)])
    assert [o["name"] for o in result.get_response()["outputs"]] == ["square", "sum"]
    assert (result.as_numpy("square") == x * x).all() and result.as_numpy("sum").shape == (1, 1)


def test_only_the_outputs_asked_for_come(client):
    x = np.arange(8, dtype=np.float32).reshape(1, 8)
    result = result_of(client.infer("two_outputs", [tensor(x)], outputs=[Output("square")]))
    assert result.get_output("sum") is None and result.as_numpy("sum") is None
    assert {o["name"] for o in client.infer("two_outputs", [tensor(x)]).get_response()["outputs"]} == {"sum", "square"}
    refusal(400, "nothing", client.infer, "two_outputs", [tensor(x)], outputs=[Output("nothing")])


def test_optional_inputs_may_be_left_out(client):
    x = np.array([[1, 2, 3]], np.float32)
    shapes = {i["name"]: i["shape"] for i in client.get_model_metadata("optional_inputs")["inputs"]}
    assert set(shapes) == {"x", "scale", "bias"}
    plain = client.infer("optional_inputs", [tensor(x)]).as_numpy("y")
    bias = np.full(shapes["bias"], 100, np.float32)
    assert (client.infer("optional_inputs", [tensor(bias, "bias"), tensor(x)]).as_numpy("y") != plain).all()


def test_strings_in_and_strings_out(client):
    info = client.get_model_metadata("string_lookup")
    x = np.array(["cat", "dog", "cow"], dtype=object).reshape([3 if d == -1 else d for d in info["inputs"][0]["shape"]])
    y = client.infer("string_lookup", [tensor(x, info["inputs"][0]["name"], "BYTES")]).as_numpy(info["outputs"][0]["name"])
    assert y.reshape(-1).tolist() == [1, 2, -1]
    info = client.get_model_metadata("string_label")
    y = client.infer("string_label", [tensor(np.array([0, 1, 5]), info["inputs"][0]["name"], "INT64")])
    assert y.as_numpy(info["outputs"][0]["name"]).reshape(-1).tolist() == [b"no", b"yes", b"unknown"]


def test_ids_versions_and_parameters_are_understood(client):
    x = np.arange(8, dtype=np.float32).reshape(1, 8)
    result = result_of(client.infer("versions", [tensor(x)], model_version="1", request_id="an id, \"quoted\" ü",
                                    sequence_id=0, sequence_start=False, sequence_end=False, priority=1, timeout=30_000_000,
                                    parameters={"text": "a", "int": -3, "true": True, "float": 1.5}, **EXTRA))
    response = result.get_response()
    assert response["id"] == "an id, \"quoted\" ü" and response["model_version"] == "1" and response["model_name"] == "versions"
    assert (result.as_numpy("y") == x).all() and result.get_output("y")["shape"] == [1, 8]
    assert client.infer("versions", [tensor(x)]).get_response()["model_version"] == "2"
    assert "id" not in client.infer("versions", [tensor(x)]).get_response()
    for sequence in (7, "a text"):
        client.infer("versions", [tensor(x)], sequence_id=sequence, sequence_start=True, sequence_end=True)
    refusal(404, "version 3 is not found", client.infer, "versions", [tensor(x)], model_version="3")


def test_classification_gives_values_indices_and_labels(client):
    image = np.load(EXAMPLES.parent / "inputs/digit_3.npy").reshape(1, 64).astype(np.float32)
    images = np.concatenate([image, image[:, ::-1]])
    scores = client.infer("digits_cnn", [tensor(images, "image")]).as_numpy("probabilities")
    names = (EXAMPLES / "digits_cnn/labels.txt").read_text().split()
    for binary in (True, False):
        result = client.infer("digits_cnn", [tensor(images, "image")],
                              outputs=[Output("probabilities", binary_data=binary, class_count=3)])
        expected = [[f"{row[i]:.6f}:{i}:{names[i]}" for i in np.argsort(-row, kind="stable")[:3]] for row in scores]
        same(result.as_numpy("probabilities"), np.array(expected, dtype=object))
        assert result.get_output("probabilities")["datatype"] == "BYTES"
    assert expected[0][0].endswith(":3:three")
    x = np.array([[5, 9, 7]], np.int32)
    result = client.infer("identity_int32", [tensor(x, dtype="INT32")], outputs=[Output("y", class_count=99)])
    assert [b.split(b":")[1] for b in result.as_numpy("y").reshape(-1)] == [b"1", b"2", b"0"]
    refusal(400, "y", client.infer, "identity_bytes", [tensor(values("BYTES"), dtype="BYTES")], outputs=[Output("y", class_count=1)])


@pytest.mark.parametrize("reply", [None, "gzip", "deflate"])
@pytest.mark.parametrize("request_", [None, "gzip", "deflate"])
def test_compression_both_ways(client, request_, reply):
    x = np.arange(30000, dtype=np.float32).reshape(100, 300)
    for binary in (True, False):
        result = client.infer("identity_fp32", [tensor(x, binary=binary)], outputs=[Output("y", binary_data=binary)],
                              request_compression_algorithm=request_, response_compression_algorithm=reply)
        same(result.as_numpy("y"), x)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_bodies_made_and_parsed_by_the_client_itself(server, client, encoding):
    x = np.zeros((100, 300), np.float32)
    body, header_length = client.generate_request_body([tensor(x)], outputs=[Output("y")], request_id="42", sequence_id=0,
                                                       sequence_start=False, sequence_end=False, priority=0, timeout=None,
                                                       parameters={"a": 1})
    headers = {"Inference-Header-Content-Length": str(header_length), "Accept-Encoding": encoding}
    status, reply, got = server.request("POST", "/v2/models/identity_fp32/infer", body, headers)
    assert status == 200 and got["Content-Encoding"] == encoding and len(reply) < x.nbytes / 10
    length = int(got["Inference-Header-Content-Length"])
    result = client.parse_response_body(reply, verbose=False, header_length=length, content_encoding=encoding)
    same(result.as_numpy("y"), x)
    again = Result.from_response_body(reply, verbose=True, header_length=length, content_encoding=encoding)
    assert again.get_response()["id"] == "42"
    CALLS.made |= {("InferResult", "from_response_body", *p) for p in
                   [(), ("response_body",), ("verbose",), ("header_length",), ("content_encoding",)]}


def test_inputs_and_outputs_tell_what_they_are(client):
    made = Input("x", [1, 2], "FP32").set_shape([2, 3])
    assert (made.name(), made.shape(), made.datatype()) == ("x", [2, 3], "FP32")
    assert Output("y").name() == "y"


def test_many_requests_at_once(client):
    def start(i):
        return client.async_infer("identity_fp32", [tensor(np.full((1, 4), i, np.float32))], model_version="1",
                                  outputs=[Output("y")], request_id=str(i), sequence_id=0, sequence_start=False,
                                  sequence_end=False, priority=0, timeout=None, request_compression_algorithm="gzip" if i % 2 else None,
                                  response_compression_algorithm="deflate" if i % 3 else None, parameters={"i": i},
                                  headers={"x-extra": "1"}, query_params={"i": i})
    pending = [start(i) for i in range(40)]
    for i, request in enumerate(pending):
        request.__class__ = Pending
        result = request.get_result(block=True, timeout=60)
        assert result.get_response()["id"] == str(i) and (result.as_numpy("y") == i).all()
    bad = client.async_infer("nobody", [tensor(np.ones((1, 1), np.float32))])
    refusal(404, "nobody", bad.get_result)


def test_a_client_gives_up_and_the_server_goes_on(server):
    impatient = Client(server.url, connection_timeout=5, network_timeout=0.2)
    steps = tensor(np.array([3_000_000], np.int64), "steps", "INT64")
    with pytest.raises(Exception) as caught:
        impatient.infer("slow", [tensor(np.ones(3, np.float32)), steps])
    assert "timed out" in str(caught.value).lower() or "timeout" in type(caught.value).__name__.lower()
    impatient.close()
    with Client(server.url) as client:
        request = client.async_infer("slow", [tensor(np.ones(3, np.float32))])
        with pytest.raises(InferenceServerException, match="failed to obtain inference response"):
            request.get_result(timeout=0.001)
        assert request.get_result().as_numpy("y").shape == (1,)


def test_a_request_can_say_how_long_it_may_take(client):
    steps = tensor(np.array([3_000_000], np.int64), "steps", "INT64")
    began = time.monotonic()
    refusal(504, "deadline", client.infer, "slow", [tensor(np.ones(3, np.float32)), steps], timeout=100_000)
    assert time.monotonic() - began < 5 * SLOW


@pytest.mark.parametrize("make, text", [
    (lambda c: c.infer("identity_fp32", []), "x"),
    (lambda c: c.infer("identity_fp32", [tensor(np.ones((1, 1), np.float32), "z")]), "z"),
    (lambda c: c.infer("identity_fp32", [tensor(np.ones((1, 1), np.int32), dtype="INT32")]), "expects 'FP32'"),
    (lambda c: c.infer("identity_fp32", [tensor(np.ones(1, np.float32))]), "Expected [-1,-1], got [1]"),
    (lambda c: c.infer("identity_fp32", [Input("x", [1, 1], "FP32")]), "x"),
    (lambda c: c.infer("identity_fp32", [tensor(np.ones((2, 2), np.float32)).set_shape([2, 3])]), "x"),
    (lambda c: c.infer("digits_cnn", [tensor(np.ones((65, 64), np.float32), "image")]), "batch-size must be <= 64"),
])
def test_mistakes_are_told_by_name(client, make, text):
    refusal(400, text, make, client)


def test_a_model_that_fails_says_so(client):
    refusal(500, "fails_when_run", client.infer, "fails_when_run", [tensor(np.ones(3, np.float32))])
    assert client.infer("fails_when_run", [tensor(np.ones(7, np.float32))]).as_numpy("y") is not None


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
    result = client.infer(f"identity_{dtype.lower()}", [made], outputs=[output])
    described = result.get_output("y")
    assert described["shape"] == [2, 3] and described["datatype"] == dtype and "data" not in described
    same(SHM.get_contents_as_numpy(handle_out, x.dtype, [2, 3], offset=64), x)


def test_regions_are_listed_until_they_are_unregistered(client, region):
    key, handle = region(256)
    assert client.get_system_shared_memory_status() == []
    client.register_system_shared_memory("a", key, 128)
    client.register_system_shared_memory("b", key, 64, offset=128)
    assert client.get_system_shared_memory_status(region_name="b", **EXTRA) == [
        {"name": "b", "key": key, "offset": 128, "byte_size": 64}]
    assert {r["name"] for r in client.get_system_shared_memory_status()} == {"a", "b"}
    assert handle is not None and len(SHM.mapped_shared_memory_regions()) >= 1
    client.unregister_system_shared_memory(name="a", **EXTRA)
    assert [r["name"] for r in client.get_system_shared_memory_status()] == ["b"]
    client.unregister_system_shared_memory("never registered")
    client.unregister_system_shared_memory()
    assert client.get_system_shared_memory_status() == []
    refusal(404, "a", client.get_system_shared_memory_status, "a")


def test_regions_have_bounds(client, region):
    key, _ = region(256)
    client.register_system_shared_memory("a", key, 24, offset=8)
    x, y = Input("x", [2, 3], "FP32"), Output("y")
    x.set_shared_memory("a", 24)

    def infer(made, output):
        return client.infer("identity_fp32", [made], outputs=[output])
    for size, offset in ((24, 4), (28, 0), (24, 2**63), (2**63 - 1, 1), (20, 0), (0, 0)):
        refusal(400, "'x'", infer, Input("x", [2, 3], "FP32").set_shared_memory("a", size, offset=offset), y)
    refusal(404, "nobody", infer, Input("x", [2, 3], "FP32").set_shared_memory("nobody", 24), y)
    for size, offset in ((20, 0), (24, 1), (1, 2**62)):
        refusal(400, "'y'", infer, x, set_region(Output("y"), "a", size, offset))
    refusal(404, "nobody", infer, x, set_region(Output("y"), "nobody", 24, 0))
    refusal(400, "both", infer, x, set_region(Output("y", class_count=1), "a", 24, 0))
    y.set_shared_memory("a", 24)
    assert set(infer(x, y).get_output("y")) == {"name", "datatype", "shape"}
    y.unset_shared_memory()
    assert infer(x, y).as_numpy("y").shape == (2, 3)


def set_region(output, name, size, offset):
    """What set_shared_memory() sets, together with what the client would not let it be set with."""
    output._parameters.pop("binary_data", None)
    output._parameters.update(shared_memory_region=name, shared_memory_byte_size=size, shared_memory_offset=offset)
    return output


def test_registrations_that_cannot_be(client, region):
    key, _ = region(256)
    refusal(404, "no_such_key", client.register_system_shared_memory, "none", "/troupe_there_is_no_such_key", 16)
    refusal(400, "", client.register_system_shared_memory, "long", key, 1 << 16)
    refusal(400, "", client.register_system_shared_memory, "late", key, 16, offset=1 << 16)
    refusal(400, "holds", client.register_system_shared_memory, "huge", key, 1 << 21)
    refusal(400, "reserved", client.register_system_shared_memory, "triton_python_backend_shm_region_1", key, 16)
    client.register_system_shared_memory("twice", key, 16)
    refusal(409, "already", client.register_system_shared_memory, "twice", key, 16)


def test_shared_memory_can_be_switched_off(serve, tmp_path):
    server = serve(make_repository(tmp_path / "models", GOOD / "scalar.onnx"), settings={"http.shared_memory": "false"})
    with Client(server.url) as client:
        refusal(501, "switched off", client.register_system_shared_memory, "a", "/troupe_any_key", 16)
        refusal(501, "switched off", client.unregister_system_shared_memory)
        assert client.get_system_shared_memory_status() == []


def test_cuda_shared_memory_is_answered_as_by_a_server_without_it(client):
    assert client.get_cuda_shared_memory_status(**EXTRA) == []
    refusal(404, "c", client.get_cuda_shared_memory_status, region_name="c")
    refusal(400, "GPU", client.register_cuda_shared_memory, "c", base64.b64encode(b"handle"), 0, 64, **EXTRA)
    client.unregister_cuda_shared_memory(name="c", **EXTRA)
    client.unregister_cuda_shared_memory()


# ---- model control ----

def test_the_index_names_every_model_and_what_is_wrong_with_it(client):
    index = client.get_model_repository_index(**EXTRA)
    entries = {(m["name"], m.get("version")): m for m in index}
    assert entries["digits_cnn", "1"]["state"] == "READY"
    assert ("versions", "1") in entries and ("versions", "2") in entries
    broken = [m for m in index if m["name"] == "truncated"]
    assert len(broken) == 1 and broken[0]["state"] == "UNAVAILABLE" and broken[0]["reason"]


def test_models_are_unloaded_and_loaded(client):
    x = [tensor(np.ones((1, 2), np.float32))]
    client.unload_model("own", unload_dependents=True, **EXTRA)
    assert not client.is_model_ready("own")
    refusal(404, "own", client.infer, "own", x)
    assert [m["reason"] for m in client.get_model_repository_index() if m["name"] == "own"] == ["unloaded"]
    client.load_model("own", **EXTRA)
    client.load_model("own")
    assert client.is_model_ready("own") and client.infer("own", x).as_numpy("y").shape == (1, 2)
    refusal(404, "nobody", client.load_model, "nobody")
    refusal(400, "truncated", client.load_model, "truncated")


def test_a_load_can_bring_a_configuration(client):
    try:
        client.load_model("own", config=json.dumps({"max_batch_size": 4}))
        assert client.get_model_config("own")["max_batch_size"] == 4
        refusal(400, "batch-size must be <= 4", client.infer, "own", [tensor(np.ones((5, 2), np.float32))])
        refusal(400, "max_batch_siz", client.load_model, "own", config=json.dumps({"max_batch_siz": 4}))
        refusal(400, "", client.load_model, "own", config="{")
        assert client.get_model_config("own")["max_batch_size"] == 4, "a bad override must not disturb what serves"
    finally:
        client.load_model("own")
    assert client.get_model_config("own")["max_batch_size"] == 0, "a plain load goes back to the files"


def test_a_load_can_bring_files(client):
    files = {"file:1/model.onnx": (GOOD / "two_outputs.onnx").read_bytes()}
    try:
        client.load_model("own", config="{}", files=files)
        assert {o["name"] for o in client.get_model_metadata("own")["outputs"]} == {"sum", "square"}
        refusal(400, "config", client.load_model, "own", files=files)
        refusal(400, "", client.load_model, "own", config="{}", files={"file:../../escape": b"x", **files})
        refusal(400, "", client.load_model, "own", config="{}", files={"file:1/model.onnx": b"nonsense"})
        refusal(400, "", client.load_model, "own", config="{}", files={"file:" + "n" * 300: b"x", **files})
        assert {o["name"] for o in client.get_model_metadata("own")["outputs"]} == {"sum", "square"}
        client.load_model("brought", config="{}", files={"file:3/model.onnx": (GOOD / "scalar.onnx").read_bytes()})
        assert client.infer("brought", [tensor(np.array(1, np.float32))]).get_response()["model_version"] == "3"
        client.unload_model("brought")
        assert not client.is_model_ready("brought")
    finally:
        client.load_model("own")
    assert [o["name"] for o in client.get_model_metadata("own")["outputs"]] == ["y"]


# ---- statistics, traces, log ----

def counted(client, model, version=""):
    entries = client.get_inference_statistics(model_name=model, model_version=version, **EXTRA)["model_stats"]
    assert [(e["name"], e["version"]) for e in entries] == [(model, "1")]
    return statistics_of(entries[0]), entries[0]


def test_statistics_equal_what_was_sent(client):
    before = time.time()
    for _ in range(3):
        client.infer("counted", [tensor(np.ones((2, 3), np.float32))])
    for _ in range(2):
        refusal(400, "", client.infer, "counted", [tensor(np.ones(3, np.float32))])
    got, entry = counted(client, "counted")
    assert got == {"inferences": 3, "executions": 3, "success": 3, "fail": 2, "queue": 3, "compute_input": 3, "compute_infer": 3,
                   "compute_output": 3, "cache_hit": 0, "cache_miss": 0, "batches": {1: 3}}
    assert before * 1000 - 1 <= entry["last_inference"] <= time.time() * 1000 + 1
    stats = entry["inference_stats"]
    parts = sum(stats[p]["ns"] for p in ("queue", "compute_input", "compute_infer", "compute_output"))
    assert 0 < stats["compute_infer"]["ns"] <= parts <= stats["success"]["ns"]
    for rows in (1, 5, 5, 64):
        client.infer("counted_batches", [tensor(np.zeros((rows, 64), np.float32), "image")])
    got, _ = counted(client, "counted_batches", "1")
    assert got["inferences"] == 75 and got["executions"] == 4 and got["batches"] == {1: 1, 5: 2, 64: 1}
    everything = {e["name"] for e in client.get_inference_statistics()["model_stats"]}
    assert {"counted", "counted_batches", "digits_cnn"} <= everything and "truncated" not in everything
    refusal(400, "requested model 'nobody' is not available", client.get_inference_statistics, "nobody")
    refusal(400, "requested model version is not available for model 'counted'", client.get_inference_statistics, "counted", "9")


def test_a_trace_level_that_is_set_writes_that_trace(server, client):
    defaults = client.get_trace_settings(**EXTRA)
    assert defaults["trace_level"] == ["OFF"] and defaults["trace_file"] == str(server.trace_file)
    x = np.array([[1.5, -2, 3]], np.float32)

    def infer(name, model="traced"):
        client.infer(model, [tensor(x)], request_id=name)
    infer("before")
    settings = {"trace_level": ["TIMESTAMPS", "TENSORS"], "trace_rate": "1", "trace_count": "2", "log_frequency": "0"}
    got = client.update_trace_settings(model_name="traced", settings=settings, **EXTRA)
    assert got["trace_level"] == ["TIMESTAMPS", "TENSORS"] and got["trace_rate"] == "1" and got["trace_count"] == "2"
    assert client.get_trace_settings()["trace_level"] == ["OFF"], "the others stay as they were"
    infer("other model", "identity_fp32")
    for name in ("first", "second", "beyond the count"):
        infer(name)
    assert client.get_trace_settings(model_name="traced")["trace_count"] == "0"
    client.update_trace_settings(model_name="traced", settings={"trace_level": ["TIMESTAMPS"], "trace_rate": "2", "trace_count": "-1"})
    for name in ("skipped", "stamps only"):
        infer(name)
    client.update_trace_settings(model_name="traced", settings={key: None for key in settings})
    assert client.get_trace_settings(model_name="traced") == defaults
    infer("after")
    client.update_trace_settings(settings={"trace_level": "TENSORS", "trace_rate": "1"})
    infer("tensors only", "identity_fp32")
    assert client.update_trace_settings(settings={"trace_level": None, "trace_rate": None}) == defaults

    text = ("FP32", "1,3", "1.5,-2,3")
    tensors = {("TENSOR_QUEUE_INPUT", "x"): text, ("TENSOR_BACKEND_OUTPUT", "y"): text}
    traces = read_traces(server.trace_file)
    assert set(traces) == {"first", "second", "stamps only", "tensors only"}
    check_trace(traces["first"], "HTTP", "traced", tensors)
    check_trace(traces["second"], "HTTP", "traced", tensors)
    check_trace(traces["stamps only"], "HTTP", "traced", {})
    assert traces["tensors only"]["stamps"] == [] and traces["tensors only"]["tensors"] == tensors


def test_traces_go_to_new_files_as_often_as_asked(server, client):
    client.update_trace_settings(model_name="traced", settings={"trace_level": ["TIMESTAMPS"], "trace_rate": "1", "trace_count": "5",
                                                                "log_frequency": "2"})
    for i in range(6):
        client.infer("traced", [tensor(np.ones((1, 1), np.float32))], request_id=f"file {i}")
    client.update_trace_settings(model_name="traced", settings={"trace_level": None, "trace_rate": None, "trace_count": None,
                                                                "log_frequency": None})
    files = [server.trace_file.with_name(f"trace.json.{k}") for k in range(3)]
    assert [sorted(read_traces(f)) for f in files] == [["file 0", "file 1"], ["file 2", "file 3"], ["file 4"]]


def test_trace_settings_that_are_refused_change_nothing(client):
    before = client.get_trace_settings()
    for settings in ({"trace_level": ["EVERYTHING"]}, {"trace_rate": "0"}, {"trace_rate": "x"}, {"trace_count": "-2"},
                     {"log_frequency": "-1"}, {"trace_rat": "1"}, {"trace_level": ["TIMESTAMPS"], "trace_rate": "none"}):
        refusal(400, "", client.update_trace_settings, settings=settings)
    with pytest.raises(InferenceServerException):
        client.update_trace_settings(settings={"trace_file": "/tmp/elsewhere"})
    refusal(404, "nobody", client.get_trace_settings, model_name="nobody")
    refusal(404, "nobody", client.update_trace_settings, model_name="nobody", settings={"trace_rate": "1"})
    assert client.get_trace_settings() == before


def lines_of(server, act):
    """The log lines that `act`, which loads model `own`, writes."""
    begin = len(server.lines)
    act()
    server.wait(lambda: any(re.search("(?<!un)loaded 'own/1'", line) for line in server.lines[begin:]), "a line about the load")
    return server.lines[begin:]


def test_log_settings_act(server, client):
    defaults = client.get_log_settings(**EXTRA)
    assert defaults == {"log_file": "", "log_info": True, "log_warning": True, "log_error": True, "log_verbose_level": 0,
                        "log_format": "default"}

    def reload():
        client.unload_model("own")
        client.load_model("own")
    try:
        assert any(line.startswith("I") for line in lines_of(server, reload))
        assert client.update_log_settings({"log_info": False}, **EXTRA)["log_info"] is False
        before = len(server.lines)
        reload()
        client.update_log_settings({"log_info": True, "log_format": "ISO8601"})
        assert len(server.lines) == before, "nothing is logged while info is off"
        assert all(line.startswith("20") for line in lines_of(server, reload))
        assert client.get_log_settings()["log_format"] == "ISO8601"
        client.update_log_settings({"log_format": "JSON"})
        assert all(json.loads(line) for line in lines_of(server, reload))
        assert client.update_log_settings({"log_verbose_level": 1})["log_verbose_level"] == 1
    finally:
        assert client.update_log_settings({k: v for k, v in defaults.items() if k != "log_file"}) == defaults
    for settings in ({"log_info": "yes"}, {"log_verbose_level": -1}, {"log_format": "XML"}, {"log_colour": True},
                     {"log_info": False, "log_format": "XML"}):
        with pytest.raises(InferenceServerException) as caught:
            client.update_log_settings(settings)
        assert int(caught.value.status()) < 500, caught.value
    with pytest.raises(InferenceServerException):
        client.update_log_settings({"log_file": "/tmp/elsewhere"})
    assert client.get_log_settings() == defaults


# ---- the client itself ----

def test_plugins_and_talkative_clients(server, capsys):
    class Plugin(http.InferenceServerClientPlugin):
        calls = 0

        def __call__(self, request):
            self.calls += 1
            request.headers["authorization"] = "Bearer nobody-asks"
    plugin, client = Plugin(), Client(server.url, verbose=True)
    client.register_plugin(plugin)
    assert client.plugin() is plugin and client.is_server_live() and plugin.calls == 1
    client.unregister_plugin()
    assert client.plugin() is None and client.is_server_live() and plugin.calls == 1
    client.register_plugin(tritonclient.http.auth.BasicAuth("nobody", "asks"))
    client.infer("identity_fp32", [tensor(np.ones((1, 1), np.float32))])
    client.close()
    assert "POST" in capsys.readouterr().out


def test_zz_no_public_call_or_parameter_was_left_out():
    assert CALLS.left_out() == []
