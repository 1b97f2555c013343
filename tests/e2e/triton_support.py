"""What the tests with tritonclient share: which calls a client has, and which of them a test made; a value of every dtype; traces."""
import functools
import inspect
import json
import sys
import types
from pathlib import Path

import ml_dtypes
import numpy as np

from conftest import ROOT

GOOD, BAD, EXAMPLES = ROOT / "tests/models/good", ROOT / "tests/models/bad", ROOT / "examples/models"
INTS = ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"]
FLOATS = {"FP16": np.float16, "BF16": ml_dtypes.bfloat16, "FP32": np.float32, "FP64": np.float64}
DTYPES = ["BOOL", *INTS, *FLOATS, "BYTES"]


def values(dtype):
    """[2, 3] elements of a dtype, its extremes among them."""
    if dtype == "BOOL":
        return np.array([[True, False, True], [False, False, True]])
    if dtype == "BYTES":
        return np.array([["", "one", "zwölf"], ["\x00\n\"\\", "👍", "x" * 300]], dtype=object)
    if dtype in INTS:
        info = np.iinfo(dtype.lower())
        return np.array([[info.min, info.max, 0], [1, info.max - 1, 7]], dtype=dtype.lower())
    info = ml_dtypes.finfo(FLOATS[dtype])
    return np.array([[info.max, info.min, info.smallest_subnormal], [-0.0, 1.5, info.eps]], dtype=FLOATS[dtype])


def same(got, expected):
    """Bit for bit; strings come as bytes when binary, as text when JSON."""
    assert got.shape == expected.shape
    if expected.dtype == object:
        texts = [x.decode() if isinstance(x, bytes) else str(x) for x in got.reshape(-1)]
        assert texts == list(expected.reshape(-1))
    else:
        assert got.dtype == expected.dtype
        assert got.tobytes() == expected.tobytes()


def make_repository(path, *sources, **renamed):
    """A repository of models copied from files and folders: renamed={name: source}."""
    import shutil
    path.mkdir()
    for name, source in [(Path(s).name, s) for s in sources] + list(renamed.items()):
        source = Path(source)
        if source.is_dir():
            shutil.copytree(source, path / name)
        else:
            shutil.copy(source, path / (name if name.endswith(".onnx") else name + ".onnx"))
    return path


class Calls:
    """Which public calls of a class exist, and which of them, with which parameters, the tests made.

    `made_by(cls)` gives a class that behaves as `cls` does and notes what code outside of tritonclient calls.
    """

    def __init__(self):
        self.classes, self.made = [], set()

    def made_by(self, cls):
        calls = self
        self.classes.append(cls)

        def __getattribute__(instance, name):
            value = object.__getattribute__(instance, name)
            caller = sys._getframe(1).f_code.co_filename
            if name.startswith("_") or not callable(value) or "tritonclient" in Path(caller).parts:
                return value
            return calls._noting(cls, name, value)
        return type(cls.__name__, (cls,), {"__getattribute__": __getattribute__})

    def made_in(self, module):
        """The module's functions, each noting its calls."""
        functions = types.SimpleNamespace(__qualname__=module.__name__.rpartition(".")[2])
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                setattr(functions, name, self._noting(functions, name, function))
        self.classes.append(functions)
        return functions

    def _noting(self, cls, name, value):
        signature = inspect.signature(value)

        @functools.wraps(value)
        def call(*args, **kwargs):
            self.made.add((cls.__qualname__, name))
            for parameter in signature.bind(*args, **kwargs).arguments:
                self.made.add((cls.__qualname__, name, parameter))
            return value(*args, **kwargs)
        return call

    def left_out(self):
        """Calls, and parameters of calls, that exist and were never used."""
        missing = []
        for cls in self.classes:
            for name, member in inspect.getmembers(cls, callable):
                if name.startswith("_"):
                    continue
                parameters = [p for p in inspect.signature(member).parameters if p not in ("self", "cls")]
                wanted = [(cls.__qualname__, name)] + [(cls.__qualname__, name, p) for p in parameters]
                missing += [w for w in wanted if w not in self.made]
        return missing


# The stamps that a traced request has, in the order of time.
STAMPS = ["{}_START", "{}_END", "REQUEST_START", "QUEUE_START", "COMPUTE_START", "COMPUTE_INPUT_END",
          "COMPUTE_OUTPUT_START", "COMPUTE_END", "REQUEST_END", "{}_SEND_START", "{}_SEND_END"]


def stamp_names(protocol):
    receive = {"HTTP": "HTTP_RECV", "GRPC": "GRPC_WAITREAD"}[protocol]
    return [s.format(protocol if "SEND" in s else receive) for s in STAMPS]


def read_traces(path):
    """{request id: {"model", "version", "stamps": [(name, ns)], "tensors": {(activity, name): (dtype, shape, data)}}}"""
    traces, steps = {}, set()
    for record in json.loads(Path(path).read_text()):
        if "parent_id" in record:
            steps.add(record["id"])
        if record["id"] in steps:
            continue
        if "model_name" in record:
            traces[record["id"]] = {"model": record["model_name"], "version": record["model_version"],
                                    "request": record["request_id"], "stamps": [], "tensors": {}}
        elif "timestamps" in record:
            traces[record["id"]]["stamps"] += [(s["name"], s["ns"]) for s in record["timestamps"]]
        else:
            t = record["tensor"]
            traces[record["id"]]["tensors"][record["activity"], t["name"]] = (t["dtype"], t["shape"], t["data"])
    assert len({t["request"] for t in traces.values()}) == len(traces), "a request was traced twice"
    return {t["request"]: t for t in traces.values()}


def check_trace(trace, protocol, model, tensors):
    """A trace has each stamp once, in order, and exactly these tensors."""
    assert trace["model"] == model and trace["version"] == 1
    assert [name for name, _ in trace["stamps"]] == stamp_names(protocol)
    times = [ns for _, ns in trace["stamps"]]
    assert times == sorted(times) and times[0] > 0
    assert trace["tensors"] == tensors


def statistics_of(entry):
    """The numbers of one model's statistics, as JSON gives them (gRPC's JSON writes them as strings)."""
    def count(name):
        return int(entry["inference_stats"].get(name, {}).get("count", 0))
    return {"inferences": int(entry.get("inference_count", 0)), "executions": int(entry.get("execution_count", 0)),
            **{name: count(name) for name in ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output",
                                              "cache_hit", "cache_miss")},
            "batches": {int(b["batch_size"]): int(b["compute_infer"]["count"]) for b in entry.get("batch_stats", [])}}
