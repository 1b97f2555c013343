"""Inference requests that are wrong in what they say: JSON, shapes, types, sizes, names; over HTTP and gRPC.  Each test is a row of
docs/bad-input.md."""
import json
import shutil
import struct

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from bad_input import Peer, post, row  # noqa: F401 (row is a fixture)
from conftest import ROOT, Server

GOOD = ROOT / "tests/models/good"
DTYPES = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "fp16", "bf16", "fp32", "fp64", "bytes"]
MODELS = [f"identity_{dtype}.onnx" for dtype in DTYPES] + ["batch_fixed.onnx", "two_outputs.onnx", "optional_inputs.onnx", "explodes.onnx", "fails_when_run.onnx"]
RANGES = {"INT8": (-2**7, 2**7 - 1), "INT16": (-2**15, 2**15 - 1), "INT32": (-2**31, 2**31 - 1), "INT64": (-2**63, 2**63 - 1),
          "UINT8": (0, 2**8 - 1), "UINT16": (0, 2**16 - 1), "UINT32": (0, 2**32 - 1), "UINT64": (0, 2**64 - 1)}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    for name in MODELS:
        shutil.copy(GOOD / name, folder)
    (folder / "two.echo").write_text("input a FP32 [2]\ninput b INT64 [-1,3]\noutput a FP32 [2]\noutput b INT64 [-1,3]\n")
    (folder / "rows").mkdir()
    (folder / "rows/model.echo").write_text("input x FP32 [-1,2]\noutput y FP32 [-1,2]\n")
    (folder / "rows/model.yaml").write_text("max_batch_size: 4\n")
    (folder / "rest.echo").write_text("input x FP32 *\noutput y FP32 *\n")
    server = Server(folder, settings={"limits.json_depth": 20, "limits.output_bytes": 65536}).wait_ready("two", "rows", "identity_fp32")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def stub(server):
    with grpc.insecure_channel(server.url) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


class Asking:
    """Sends one bad request after the other over the same connection, and compares each answer with the row."""

    def __init__(self, server, stub, row):
        self.server, self.stub, self.row = server, stub, row
        self.peer = Peer(server)

    def http(self, body, *words, model="identity_fp32", lines=()):
        body = body if isinstance(body, (bytes, str)) else json.dumps(body)
        self.peer.send(post(f"/v2/models/{model}/infer", body, *lines))
        status, reply, _ = self.peer.answer()
        assert status == self.row.http, (body[:300], status, reply)
        if status != 200:
            self.has_words(reply["error"], words, body)
        assert not self.row.stays or self.peer.is_usable()
        return reply

    def grpc(self, request, *words):
        try:
            reply = self.stub.ModelInfer(request, timeout=30)
            assert self.row.grpc == "OK", request
            return reply
        except grpc.RpcError as error:
            assert error.code().name == self.row.grpc, (request, error.details())
            self.has_words(error.details(), words, request)

    @staticmethod
    def has_words(text, words, request):
        assert text, request
        for word in words:
            assert str(word) in text, (text, request)


@pytest.fixture
def ask(server, stub, row):
    asking = Asking(server, stub, row)
    yield asking
    asking.peer.socket.close()


def tensor(name="x", datatype="FP32", shape=(1, 1), **more):
    return {"name": name, "datatype": datatype, "shape": list(shape), **({"data": [1]} if not more else more)}


def request(*inputs, **more):
    return {"inputs": list(inputs) or [tensor()], **more}


def wire(*inputs, model="identity_fp32", raw=None, outputs=(), **more):
    """A ModelInferRequest of (name, datatype, shape, contents) or of raw bytes."""
    made = pb.ModelInferRequest(model_name=model, raw_input_contents=raw or [], **more)
    for name, datatype, shape, contents in inputs or [("x", "FP32", [1, 1], {"fp32_contents": [1]})]:
        made.inputs.add(name=name, datatype=datatype, shape=shape, **({"contents": pb.InferTensorContents(**contents)} if contents else {}))
    for name in outputs:
        made.outputs.add(name=name)
    return made


# -- JSON --

def test_invalid_json(ask):
    whole = json.dumps(request())
    for body in ["", " ", whole[:-1], whole + "x", whole + whole, whole.replace(":", "=", 1), whole.replace('"', "'"), whole.replace("[1]", "[1,]", 1),
                 whole.replace("FP32", "\\x"), whole.replace("FP32", "\\ud800"), whole.replace("FP32", "a\nb"), whole.replace("[1]", "[01]", 1),
                 whole.replace("[1]", "[1.]", 1), whole.replace("[1]", "[+1]", 1), whole.replace("[1]", "[0x1]", 1), whole.replace("[1]", "[tru]", 1),
                 whole.replace("[1]", "[", 1), "{", "[", '"', "\x00", "{}" + "\x00"]:
        ask.http(body)
    for body in [b"\xff\xfe{\x00}\x00", whole.encode().replace(b"FP32", b"FP\xff2"), whole.encode().replace(b"FP32", b"\xc0\x80"), whole.encode("utf-16")]:
        ask.http(body)


def test_json_that_is_no_object(ask):
    for body in ["[]", "1", '"text"', "null", "true"]:
        ask.http(body)


def test_deep_json(ask):
    for opening, closing in [("[", "]"), ('{"a":', "}")]:
        for depth in [21, 1000, 100_000]:
            inner = "1" if opening == '{"a":' else ""
            ask.http('{"inputs":' + opening * depth + inner + closing * depth + "}")
            ask.http('{"parameters":{"p":' + opening * depth + inner + closing * depth + '},"inputs":[]}')
    ask.http('{"inputs":' + "[" * 100_000)


def test_huge_numbers(ask):
    for number in ["1e39", "-1e39", "1e400", "1e999999999", "9" * 5000, "1" + "0" * 400 + ".5"]:
        ask.http(json.dumps(request()).replace('"data": [1]', f'"data": [{number}]'))


def test_wrong_json_types(ask):
    bad = [None, 1, "x", True, {"a": 1}, []]
    for value in bad[1:5]:
        ask.http({"inputs": value}, "inputs")
        ask.http(request(outputs=value), "outputs")
    for value in [1, "x", True, []]:
        ask.http(request(parameters=value), "parameters")
        ask.http(request(dict(tensor(), parameters=value)), "parameters")
        ask.http(request(outputs=[{"name": "y", "parameters": value}]), "parameters")
    for value in [1, "x", True, None, []]:
        ask.http({"inputs": [value]}, "inputs")
        ask.http(request(outputs=[value]), "outputs")
    for value in [1, True, {}, []]:
        ask.http(request(tensor(name=value, data=[1])), "name")
        ask.http(request(tensor(datatype=value, data=[1])), "datatype")
        ask.http(request(outputs=[{"name": value}]), "name")
        ask.http(request(id=value), "id")
    for value in [1, "x", True, {"a": 1}]:
        ask.http(request(dict(tensor(), shape=value)), "shape")
    for value in ["x", True, {"a": 1}, [[]], ["1"], [True], [None], [{}]]:
        ask.http(request(dict(tensor(), data=value)), "x")


def test_missing_keys(ask):
    for body in [{}, {"inputs": None}, {"inputs": [{}]}]:
        ask.http(body, "inputs")
    for key in ["name", "datatype", "shape", "data"]:
        ask.http(request({k: v for k, v in tensor().items() if k != key}), key)
    ask.http(request(outputs=[{}]), "name")


def test_keys_that_stand_twice(ask):
    reply = ask.http('{"id":"a","id":"b","inputs":[],"inputs":[{"name":"no","name":"x","datatype":"FP32","shape":[9],"shape":[1,1],"data":[7],"data":[8]}]}')
    assert reply["id"] == "b" and reply["outputs"][0]["data"] == [8]


def test_keys_that_nobody_knows(ask):
    ask.http(request(dict(tensor(), colour="red"), colour={"deep": [1, {"er": None}]}, parameters={"mine": 1, "yours": "x", "ours": True}))


def test_two_sources_of_data(ask):
    ask.http(request(dict(tensor(), parameters={"binary_data_size": 4})), "binary_data_size")
    ask.http(request(dict(tensor(), parameters={"shared_memory_region": "r", "shared_memory_byte_size": 4})), "shared_memory_region")


def test_bad_parameters(ask):
    for name, value in [("timeout", -1), ("timeout", "1"), ("timeout", 1.5), ("priority", -1), ("priority", "high"), ("sequence_id", True), ("sequence_id", -1),
                        ("sequence_start", 1), ("sequence_end", "true"), ("binary_data_output", 1), ("triton_secret", 1), ("mine", {}), ("mine", [1])]:
        ask.http(request(parameters={name: value}), name)
    for name, value in [("timeout", pb.InferParameter(int64_param=-1)), ("timeout", pb.InferParameter(string_param="1")),
                        ("sequence_start", pb.InferParameter(int64_param=1)), ("triton_secret", pb.InferParameter(bool_param=True))]:
        made = wire()
        made.parameters[name].CopyFrom(value)
        ask.grpc(made, name)


# -- shapes --

def test_negative_sizes(ask):
    for shape in [[-1], [-1, 1], [1, -2], [-2**63]]:
        ask.http(request(tensor(shape=shape)), "x", min(shape))
        ask.grpc(wire(("x", "FP32", shape, {"fp32_contents": [1]})), "x")
        ask.grpc(wire(("x", "FP32", shape, None), raw=[bytes(4)]), "x")


def test_shapes_that_overflow(ask):
    for shape in [[2**62, 4], [2**32, 2**32], [2**62, 2], [2**63 - 1, 2**63 - 1], [2**31, 2**31, 2**2], [2**61, 1]]:
        for model in ["identity_fp32", "rest"]:
            ask.http(request(tensor(shape=shape)), "x", model=model)
            ask.grpc(wire(("x", "FP32", shape, {"fp32_contents": [1]}), model=model), "x")
            ask.grpc(wire(("x", "FP32", shape, None), raw=[bytes(4)], model=model), "x")


def test_shapes_that_are_no_integers(ask):
    for size in ["1.5", '"1"', "true", "null", "[1]", "1e2", "9223372036854775808", "18446744073709551616", "1" + "0" * 60, "-9223372036854775809", "NaN"]:
        ask.http(json.dumps(request()).replace('"shape": [1, 1]', f'"shape": [{size}, 1]'), "shape")


def test_high_ranks(ask):
    for shape in [[1] * 17, [1] * 1000]:
        for model in ["identity_fp32", "rest"]:
            ask.http(request(tensor(shape=shape)), "x", model=model)
            ask.grpc(wire(("x", "FP32", shape, {"fp32_contents": [1]}), model=model), "x")


def test_wrong_rank(ask):
    for shape in [[1], [1, 1, 1], []]:
        ask.http(request(tensor(shape=shape)), "x")
        ask.grpc(wire(("x", "FP32", shape, {"fp32_contents": [1]})), "x")


def test_wrong_fixed_size(ask):
    b = {"name": "b", "datatype": "INT64", "shape": [1, 3], "data": [1, 2, 3]}
    ask.http(request(tensor("a", shape=[3], data=[1, 2, 3]), b), "'a'", "[2]", "[3]", model="two")
    ask.http(request(tensor("a", shape=[2], data=[1, 2]), dict(b, shape=[3, 1])), "'b'", "[-1,3]", "[3,1]", model="two")
    ask.grpc(wire(("a", "FP32", [3], {"fp32_contents": [1, 2, 3]}), ("b", "INT64", [1, 3], {"int64_contents": [1, 2, 3]}), model="two"), "'a'", "[2]", "[3]")


def test_wrong_batch(ask):
    for rows in [0, 5, 1000]:
        ask.http(request(tensor(shape=[rows, 2], data=[1] * rows * 2)), "batch-size", model="rows")
        ask.grpc(wire(("x", "FP32", [rows, 2], {"fp32_contents": [1] * rows * 2}), model="rows"), "batch-size")


# -- elements --

def test_wrong_number_of_elements(ask):
    for data in [[], [1], [1, 2, 3], [[1, 2, 3]], [[1], []]]:
        ask.http(request(tensor(shape=[2, 1], data=data)), "x", 2)
    for values in [[], [1], [1, 2, 3]]:
        ask.grpc(wire(("x", "FP32", [2, 1], {"fp32_contents": values})), "x")
    for size in [0, 4, 7, 9, 12]:
        ask.grpc(wire(("x", "FP32", [2, 1], None), raw=[bytes(size)]), "x")


def test_more_elements_than_the_body_could_hold(ask):
    for shape in [[2**40, 1], [2**28, 1]]:
        ask.http(request(tensor(shape=shape)), "x")
        ask.grpc(wire(("x", "FP32", shape, {"fp32_contents": [1]})), "x")


def test_wrong_datatype(ask):
    for name in ["FP64", "INT32", "BOOL", "BYTES"]:
        ask.http(request(tensor(datatype=name, data=["1"] if name == "BYTES" else [True] if name == "BOOL" else [1])), name, "FP32")
    ask.grpc(wire(("x", "INT32", [1, 1], {"int_contents": [1]})), "INT32", "FP32")
    ask.grpc(wire(("x", "FP64", [1, 1], None), raw=[bytes(8)]), "FP64", "FP32")


def test_unknown_datatype(ask):
    for name in ["FLOAT", "fp32", "TYPE_FP32", "INT4", "", "FP32 ", "x" * 5000]:
        ask.http(request(tensor(datatype=name, data=[1])), "datatype", name[:20])
        ask.grpc(wire(("x", name, [1, 1], {"fp32_contents": [1]})), "datatype")


def test_numbers_out_of_range(ask):
    for dtype, (low, high) in RANGES.items():
        for value in [low - 1, high + 1, 10**30, -10**30, 1.5, "1", True, 1e300]:
            ask.http(request(tensor(datatype=dtype, data=[value])), "x", model=f"identity_{dtype.lower()}")
    for dtype, value in [("FP16", 65520), ("FP16", -1e6), ("BF16", 3.4e38 * 1.1), ("FP32", 3.5e38), ("FP64", None)]:
        text = json.dumps(request(tensor(datatype=dtype, data=[value]))).replace("null", "1e309")
        ask.http(text, model=f"identity_{dtype.lower()}")
    for dtype, field, value in [("INT8", "int_contents", 128), ("INT8", "int_contents", -129), ("INT16", "int_contents", 2**15), ("UINT8", "uint_contents", 256),
                                ("UINT16", "uint_contents", 65536)]:
        ask.grpc(wire(("x", dtype, [1, 1], {field: [value]}), model=f"identity_{dtype.lower()}"), "x", value)


def test_numbers_at_the_ends_of_their_range(ask):
    for dtype, (low, high) in RANGES.items():
        reply = ask.http(request(tensor(datatype=dtype, shape=[1, 2], data=[low, high])), model=f"identity_{dtype.lower()}")
        assert reply["outputs"][0]["data"] == [low, high]
    for dtype, field, values in [("INT8", "int_contents", [-128, 127]), ("UINT64", "uint64_contents", [0, 2**64 - 1])]:
        reply = ask.grpc(wire(("x", dtype, [1, 2], {field: values}), model=f"identity_{dtype.lower()}"))
        assert reply.raw_output_contents[0] == b"".join(struct.pack("b" if dtype == "INT8" else "<Q", v) for v in values)


def test_bools_that_are_none(ask):
    for value in [0, 1, 2, "true", 1.0]:
        ask.http(request(tensor(datatype="BOOL", data=[value])), "x", model="identity_bool")


def test_not_a_number(ask):
    for dtype in ["FP16", "BF16", "FP32", "FP64"]:
        body = json.dumps(request(tensor(datatype=dtype, shape=[1, 6], data=["NaN", "Infinity", "-Infinity", 1, 2, 3])))
        body = body.replace("1, 2, 3]", "NaN, Infinity, -Infinity]")
        reply = ask.http(body, model=f"identity_{dtype.lower()}")
        assert reply["outputs"][0]["data"] == ["NaN", "Infinity", "-Infinity"] * 2
    ask.grpc(wire(("x", "FP32", [1, 2], {"fp32_contents": [float("nan"), float("inf")]})))


def test_not_a_number_where_there_is_none(ask):
    for dtype in [*RANGES, "BOOL"]:
        for value in ["NaN", "Infinity"]:
            ask.http(request(tensor(datatype=dtype, data=[value])), "x", model=f"identity_{dtype.lower()}")
            ask.http(json.dumps(request(tensor(datatype=dtype, data=[1]))).replace("[1]", f"[{value}]", 1), model=f"identity_{dtype.lower()}")
    for value in ["nan", "inf", "+Infinity", "-NaN", "infinity", "", "1.0"]:
        ask.http(request(tensor(data=[value])), "x")


def test_strings_that_are_none(ask):
    for value in [1, True, None, {}, ["a", 1]]:
        ask.http(request(tensor(datatype="BYTES", data=[value])), "x", model="identity_bytes")


def test_wrong_layout_of_strings(ask):
    one = struct.pack("<I", 1) + b"a"
    for raw in [b"", b"\0\0\0", struct.pack("<I", 2) + b"a", struct.pack("<I", 2**32 - 1) + b"a", one + one, one + b"x"]:
        ask.grpc(wire(("x", "BYTES", [1, 1], None), raw=[raw], model="identity_bytes"), "x")
        head = json.dumps(request(tensor(datatype="BYTES", parameters={"binary_data_size": len(raw)})))
        ask.http(head.encode() + raw, "x", model="identity_bytes", lines=[f"Inference-Header-Content-Length: {len(head)}"])


# -- binary tensors --

def test_wrong_binary_sizes(ask):
    for size, there in [(4, 0), (4, 3), (4, 5), (3, 3), (8, 8), (0, 0), (2**40, 4), (2**63, 4), (2**64 - 1, 4)]:
        head = json.dumps(request(tensor(parameters={"binary_data_size": size})))
        ask.http(head.encode() + bytes(there), lines=[f"Inference-Header-Content-Length: {len(head)}"])
    for size in [-1, "4", 4.5, True, None, 2**64]:
        head = json.dumps(request(tensor(parameters={"binary_data_size": size})))
        ask.http(head.encode() + bytes(4), lines=[f"Inference-Header-Content-Length: {len(head)}"])
    ask.http(request(tensor(parameters={"binary_data_size": 4})), "Inference-Header-Content-Length")
    for raw in [[], [bytes(4)] * 2]:
        ask.grpc(wire(("x", "FP32", [1, 1], None), raw=raw))


def test_raw_request_that_does_not_fit(ask):
    for model, body in [("two", bytes(8)), ("identity_fp32", bytes(8)), ("rows", bytes(7)), ("rest", bytes(4))]:
        ask.http(body, model=model, lines=["Inference-Header-Content-Length: 0"])


def test_raw_and_typed_contents(ask):
    typed = ("a", "FP32", [2], {"fp32_contents": [1, 2]})
    ask.grpc(wire(typed, ("b", "INT64", [1, 3], None), raw=[bytes(24)], model="two"))
    ask.grpc(wire(("x", "FP32", [1, 1], {"fp32_contents": [1]}), raw=[bytes(4)]))
    for field, value in [("fp64_contents", 1.0), ("int_contents", 1), ("bytes_contents", b"1"), ("bool_contents", True)]:
        ask.grpc(wire(("x", "FP32", [1, 1], {field: [value]})), "x")
    for dtype in ["FP16", "BF16"]:
        ask.grpc(wire(("x", dtype, [1, 1], {"fp32_contents": [1]}), model=f"identity_{dtype.lower()}"), "x")


# -- names --

def test_unknown_input(ask):
    for name in ["y", "", "X", "x\u0000", "x" * 5000]:
        ask.http(request(tensor(name, data=[1])))
        ask.grpc(wire((name, "FP32", [1, 1], {"fp32_contents": [1]})))


def test_input_that_stands_twice(ask):
    ask.http(request(tensor("a", shape=[2], data=[1, 2]), tensor("a", shape=[2], data=[1, 2])), "'a'", "more than once", model="two")
    one = ("a", "FP32", [2], {"fp32_contents": [1, 2]})
    ask.grpc(wire(one, one, model="two"), "'a'", "more than once")


def test_missing_input(ask):
    ask.http({"inputs": []}, "'x'", "identity_fp32")
    ask.http(request(tensor("a", shape=[2], data=[1, 2])), "'b'", "two", model="two")
    ask.grpc(wire(("a", "FP32", [2], {"fp32_contents": [1, 2]}), model="two"), "'b'")
    ask.grpc(pb.ModelInferRequest(model_name="two"), "'a'")


def test_too_many_inputs(ask):
    ask.http(request(tensor(), tensor("y", data=[1])), "1 inputs", "2 inputs")
    one = ("x", "FP32", [1, 1], {"fp32_contents": [1]})
    ask.grpc(wire(one, ("y", *one[1:])), "2 inputs")


def test_unknown_output(ask):
    for name in ["z", "", "x"]:
        ask.http(request(outputs=[{"name": name}]), "output")
        ask.grpc(wire(outputs=[name]), "output")


def test_output_that_stands_twice(ask):
    ask.http(request(outputs=[{"name": "y"}, {"name": "y"}]), "'y'", "more than once")
    ask.grpc(wire(outputs=["y", "y"]), "'y'", "more than once")


def test_bad_classification(ask):
    for n in [0, -1, 1.5, "1", True, 2**32, 2**64 - 1]:
        ask.http(request(outputs=[{"name": "y", "parameters": {"classification": n}}]), "classification")
    for dtype, value in [("BYTES", "a"), ("BOOL", True), ("FP16", 1)]:
        ask.http(request(tensor(datatype=dtype, data=[value]), outputs=[{"name": "y", "parameters": {"classification": 1}}]), model=f"identity_{dtype.lower()}")
    made = wire(outputs=["y"])
    made.outputs[0].parameters["classification"].int64_param = 0
    ask.grpc(made, "classification")


def test_unknown_model(ask):
    for name in ["no", "identity_fp3", "x" * 1000, "..", "identity_fp32.onnx"]:
        ask.http(request(), model=name)
        ask.grpc(wire(model=name))
    for body in ("", "{", "[]", {"inputs": [{"name": "x", "datatype": "FP31", "shape": [1], "data": [1]}]}, {"inputs": 5}):
        ask.http(body, "unknown model: 'no'", model="no")
    ask.grpc(wire(("x", "FP32", [1], None), model="no", raw=[b"123"]), "unknown model: 'no'")


def test_unknown_version(ask):
    for version in ["2", "99", "9223372036854775807"]:
        ask.http(request(), version, model=f"identity_fp32/versions/{version}")
        ask.grpc(wire(model_version=version), version)


def test_version_that_is_no_number(ask):
    for version in ["0", "-1", ".x", "1.0", "1x", "99999999999999999999", "+1"]:
        ask.http(request(), model=f"identity_fp32/versions/{version}")
        ask.grpc(wire(model_version=version))


def test_id_that_is_no_text(ask):
    made = bytearray(wire(id="abc").SerializeToString())
    at = made.index(b"abc")
    made[at:at + 3] = b"\xff\xfe\xfd"
    call = ask.server
    with grpc.insecure_channel(call.url) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError) as error:
            infer(bytes(made), timeout=30)
        assert error.value.code().name == ask.row.grpc


# -- shared memory --

def test_unknown_region(ask):
    place = {"shared_memory_region": "no", "shared_memory_byte_size": 4}
    ask.http(request(tensor(parameters=place)), "no")
    ask.http(request(outputs=[{"name": "y", "parameters": place}]), "no")
    made = wire(("x", "FP32", [1, 1], None))
    made.inputs[0].parameters["shared_memory_region"].string_param = "no"
    made.inputs[0].parameters["shared_memory_byte_size"].int64_param = 4
    ask.grpc(made, "no")


def test_bad_region_parameters(ask):
    for place in [{"shared_memory_region": "no"}, {"shared_memory_byte_size": 4}, {"shared_memory_region": "", "shared_memory_byte_size": 4},
                  {"shared_memory_region": 1, "shared_memory_byte_size": 4}, {"shared_memory_region": "no", "shared_memory_byte_size": -4},
                  {"shared_memory_region": "no", "shared_memory_byte_size": 5}, {"shared_memory_region": "no", "shared_memory_byte_size": 4, "shared_memory_offset": -1},
                  {"shared_memory_region": "no", "shared_memory_byte_size": "4"}]:
        ask.http(request(tensor(parameters=place)))


# -- what a model does with what came --

def test_output_that_explodes(ask):
    to = {"name": "to", "datatype": "INT64", "shape": [3], "data": [17, 31, 32]}
    ask.http(request(tensor(shape=[1]), to), "outputs", "65536", model="explodes")
    ask.grpc(wire(("x", "FP32", [1], {"fp32_contents": [1]}), ("to", "INT64", [3], {"int64_contents": to["data"]}), model="explodes"), "65536")


def test_output_that_no_memory_can_hold(ask):
    to = {"name": "to", "datatype": "INT64", "shape": [3], "data": [2**20, 2**20, 2**10]}
    words = ("asked for 4503599627370496 more", "a run may hold")
    ask.http(request(tensor(shape=[1]), to), *words, model="explodes")
    ask.grpc(wire(("x", "FP32", [1], {"fp32_contents": [1]}), ("to", "INT64", [3], {"int64_contents": to["data"]}), model="explodes"), *words)


def test_input_that_the_model_refuses(ask):
    ask.http(request(tensor(shape=[3], data=[1, 2, 3])), model="fails_when_run")
    ask.grpc(wire(("x", "FP32", [3], {"fp32_contents": [1, 2, 3]}), model="fails_when_run"))
