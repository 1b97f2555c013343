"""Every model that is here, asked over every protocol: answers equal those of Python's onnxruntime on the same inputs."""
import json
import re
import zlib
from urllib.parse import quote

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import np_to_triton_dtype

from conftest import ROOT, SLOW, Server
from triton_support import BAD, EXAMPLES, GOOD, make_repository

THIRD_PARTY = ROOT / ".deps/models"  # from the packages magika and silero-vad
TYPES = {"float": np.float32, "double": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "bool": np.bool_, "string": object,
         **{f"{sign}int{bits}": np.dtype(f"{sign}int{bits}").type for sign in ("", "u") for bits in (8, 16, 32, 64)}}
RANDOM = {"random_answers"}  # differs from run to run on purpose
ONNX = {(path.parent if path.name == "model.onnx" else path).name.removesuffix(".onnx"): path
        for path in [*GOOD.glob("*.onnx"), *GOOD.glob("*/model.onnx"), *EXAMPLES.glob("*.onnx"), *THIRD_PARTY.glob("*/model.onnx")]}
ONNX |= {path.parents[1].name: path for path in EXAMPLES.glob("*/1/model.onnx")}
MODELS = sorted(set(ONNX) - RANDOM)
SIZES = {"silero_vad": {"input": [2, 512], "state": [2, 2, 128]}, "explodes": {"to": [2]}, "fails_when_run": {"x": [7]},
         "symbol_misused": {"b": [1]}}  # both are called n


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    repository = make_repository(tmp_path_factory.mktemp("real") / "models", *GOOD.iterdir(), *EXAMPLES.iterdir(), *THIRD_PARTY.iterdir(),
                                 BAD / "sequence_output.onnx", BAD / "sequence_input.onnx", BAD / "map_input.onnx", BAD / "optional_output.onnx")
    started = Server(repository)
    started.wait_ready("magika", "silero_vad", "digits_cnn")
    yield started
    started.stop()


def value_for(model, name, dtype, shape, rng):
    """An input that the model can do something with."""
    if model == "silero_vad" and name == "sr":
        return np.array(16000, np.int64)
    if model == "magika":
        return rng.integers(0, 257, shape).astype(np.int32)  # bytes, and a mark for none
    if model == "explodes" and name == "to":
        return np.array([4, 3], np.int64)
    if model == "output_shape_wrong" and name == "to":
        return np.array([-1, 1, 4], np.int64)
    if model.startswith("div_"):
        return rng.integers(1, 100, shape).astype(dtype)  # nothing that ends the process, or fails
    if dtype is object:
        return rng.choice(np.array(["cat", "dog", "zwölf", ""], dtype=object), shape)
    if dtype is np.bool_:
        return rng.integers(0, 2, shape).astype(np.bool_)
    if np.issubdtype(dtype, np.integer):
        wide = np.iinfo(dtype).bits == 64 and model.startswith("identity")
        return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype=dtype) if wide else rng.integers(0, 4, shape).astype(dtype)
    return np.asarray(rng.normal(0, 2, shape)).astype(dtype)


class Reference:
    """The model in Python's onnxruntime, and inputs made for it."""

    def __init__(self, model):
        self.model = model
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        self.session = onnxruntime.InferenceSession(ONNX[model], options, providers=["CPUExecutionProvider"])
        self.outputs = [o.name for o in self.session.get_outputs()]

    def inputs(self, seed=0, with_optional=False):
        rng = np.random.default_rng(zlib.crc32(self.model.encode()) + seed)
        wanted = self.session.get_inputs() + (self.session.get_overridable_initializers() if with_optional else [])
        made = {}
        for arg in wanted:
            dtype = TYPES[re.fullmatch(r"tensor\((\w+)\)", arg.type).group(1)]
            shape = [d if isinstance(d, int) else 3 for d in arg.shape]
            if self.model == "any_rank":
                shape = [2, 3, 4]
            shape = SIZES.get(self.model, {}).get(arg.name, shape)
            made[arg.name] = value_for(self.model, arg.name, dtype, shape, rng)
        return made

    def run(self, inputs):
        if self.model == "identity_bf16":  # numpy's onnxruntime cannot carry it
            return {"y": inputs["x"]}
        return dict(zip(self.outputs, self.session.run(None, inputs)))


# ---- three ways to ask ----

def over_json(server, model, inputs):
    def plain(array):
        values = array.astype(np.float64) if array.dtype in (ml_dtypes.bfloat16, np.float16) else array
        return ["NaN" if x != x else x for x in values.ravel().tolist()]
    body = {"inputs": [{"name": name, "shape": list(array.shape), "data": plain(array),
                        "datatype": "BF16" if array.dtype == ml_dtypes.bfloat16 else np_to_triton_dtype(array.dtype)}
                       for name, array in inputs.items()]}
    status, reply, _ = server.request("POST", f"/v2/models/{quote(model, safe='')}/infer", json.dumps(body).encode())
    assert status == 200, reply
    dtypes = {"FP16": np.float16, "BF16": ml_dtypes.bfloat16, "FP32": np.float32, "FP64": np.float64, "BOOL": np.bool_, "BYTES": object}
    outputs = {}
    for o in json.loads(reply)["outputs"]:
        dtype = dtypes.get(o["datatype"]) or np.dtype(o["datatype"].lower())
        data = [float(x.replace("Infinity", "inf")) if isinstance(x, str) and dtype is not object else x for x in o["data"]]
        outputs[o["name"]] = np.array(data, dtype=dtype).reshape(o["shape"])
    return outputs


def over_client(library, server, model, inputs):
    with library.InferenceServerClient(server.url) as client:
        tensors = []
        for name, array in inputs.items():
            dtype = "BF16" if array.dtype == ml_dtypes.bfloat16 else np_to_triton_dtype(array.dtype)
            tensors.append(library.InferInput(name, list(array.shape), dtype).set_data_from_numpy(array))
        timeout = {"client_timeout": 60 * SLOW} if library is triton_grpc else {}
        result = client.infer(model, tensors, **timeout)
        reply = result.get_response()
        names = [o["name"] for o in reply["outputs"]] if library is triton_http else [o.name for o in reply.outputs]
        outputs = {}
        for name in names:
            value = result.as_numpy(name)
            if value.dtype == object:
                value = np.array([x.decode() for x in value.ravel()], dtype=object).reshape(value.shape)
            outputs[name] = value
        return outputs


def over_binary(server, model, inputs):
    return over_client(triton_http, server, model, inputs)


def over_grpc(server, model, inputs):
    return over_client(triton_grpc, server, model, inputs)


EVERY_WAY = pytest.mark.parametrize("way", [over_json, over_binary, over_grpc], ids=["json", "binary", "grpc"])


def check(got, expected):
    assert list(got) == list(expected)
    for name, value in expected.items():
        if isinstance(value, list):  # a sequence of maps, from ZipMap: served dense
            assert got[name].shape == (len(value), len(value[0])), name
            for row, wanted in zip(got[name], value):
                np.testing.assert_allclose(sorted(row), sorted(wanted.values()), rtol=1e-4, atol=1e-5)
            continue
        value = np.asarray(value)
        assert got[name].shape == value.shape, name
        if value.dtype in (np.float32, np.float64, np.float16, ml_dtypes.bfloat16):
            np.testing.assert_allclose(got[name].astype(np.float64), value.astype(np.float64), rtol=1e-4, atol=1e-5, equal_nan=True)
        else:
            assert got[name].dtype == value.dtype and got[name].tolist() == value.tolist(), name


@EVERY_WAY
@pytest.mark.parametrize("model", MODELS)
def test_answers_are_those_of_the_runtime(server, model, way):
    reference = Reference(model)
    optional = bool(reference.session.get_overridable_initializers())
    for seed in range(2):
        for with_optional in [False, True] if optional and model != "slow" else [False]:
            if model == "div_by_zero":
                with_optional = True  # without it, it divides by zero
            inputs = reference.inputs(seed, with_optional)
            check(way(server, model, inputs), reference.run(inputs))


@EVERY_WAY
def test_a_voice_is_followed_when_its_state_is_fed_back(server, way):
    reference = Reference("silero_vad")
    rng = np.random.default_rng(5)
    state = {"ours": np.zeros((2, 1, 128), np.float32), "theirs": np.zeros((2, 1, 128), np.float32)}
    time = np.arange(512 * 8) / 16000
    voice = (0.4 * np.sin(2 * np.pi * 180 * time) * np.sin(2 * np.pi * 3 * time) + 0.05 * rng.normal(size=time.size)).astype(np.float32)
    heard = []
    for step in range(8):
        chunk = {"input": voice[None, step * 512:(step + 1) * 512], "sr": np.array(16000, np.int64)}
        got = way(server, "silero_vad", {**chunk, "state": state["ours"]})
        expected = reference.run({**chunk, "state": state["theirs"]})
        check(got, expected)
        state = {"ours": got["stateN"], "theirs": expected["stateN"]}
        heard.append(float(got["output"][0, 0]))
    assert len(set(heard)) > 4, "the state went in and came back"


def test_file_types_are_told_apart(server):
    """magika on files whose content is plain: its answer is the runtime's, and the same for equal contents."""
    reference = Reference("magika")
    rows = []
    for path in (ROOT / "README.md", ROOT / "src/app/server.c", ROOT / "CMakeLists.txt", ROOT / "examples/inputs/digit_3.png"):
        content = path.read_bytes()
        begin, end = content[:1024], content[-1024:]
        rows.append(list(begin.ljust(1024, b"\0")) + list(end.rjust(1024, b"\0")))
    data = {"bytes": np.array(rows, np.int32)}
    got, expected = over_grpc(server, "magika", data), reference.run(data)
    check(got, expected)
    assert len(set(got["target_label"].argmax(axis=1))) == 4


@pytest.mark.parametrize("model", ["zipmap_string", "zipmap_int64"])
def test_maps_are_served_dense_with_their_keys_as_labels(server, model):
    reference = Reference(model)
    inputs = reference.inputs()
    [(name, maps)] = [(n, v) for n, v in reference.run(inputs).items() if isinstance(v, list)]
    with triton_http.InferenceServerClient(server.url) as client:
        metadata = {o["name"]: o for o in client.get_model_metadata(model)["outputs"]}[name]
        assert metadata["datatype"] == "FP32" and metadata["shape"][-1] == len(maps[0])
        dense = over_binary(server, model, inputs)[name]
        labels = [None] * dense.shape[1]
        one = {n: a[:1] for n, a in inputs.items()}
        tensors = [triton_http.InferInput(n, list(a.shape), np_to_triton_dtype(a.dtype)).set_data_from_numpy(a) for n, a in one.items()]
        wanted = triton_http.InferRequestedOutput(name, class_count=len(labels))
        for text in client.infer(model, tensors, outputs=[wanted]).as_numpy(name).ravel():
            _, index, label = text.decode().split(":")
            labels[int(index)] = label
    assert sorted(labels) == sorted(str(key) for key in maps[0])
    for row, wanted in zip(dense, maps):
        by_label = {str(key): value for key, value in wanted.items()}
        np.testing.assert_allclose(row, [by_label[label] for label in labels], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model, which, what", [("sequence_output", "output 'y'", "sequence(tensor(float))"),
                                                ("sequence_input", "input 'x'", "sequence(tensor(float))"),
                                                ("map_input", "input 'x'", "map(string, tensor(float))"),
                                                ("optional_output", "output 'y'", "optional(tensor(float))")])
def test_other_sequences_and_maps_are_refused_with_the_reason(server, model, which, what):
    def entry():
        [found] = [m for m in json.loads(server.request("POST", "/v2/repository/index", b"{}")[1]) if m["name"] == model]
        return found
    server.wait(lambda: entry()["state"] != "LOADING", f"{model} to be tried")
    entry = entry()
    assert entry["state"] == "UNAVAILABLE"
    assert which in entry["reason"] and what in entry["reason"] and "not served" in entry["reason"]


def test_a_model_that_answers_at_random_answers(server):
    got = [over_grpc(server, "random_answers", Reference("random_answers").inputs()) for _ in range(2)]
    assert got[0]["y"].shape == got[1]["y"].shape and not np.array_equal(got[0]["y"], got[1]["y"])
