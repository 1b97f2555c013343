#!/usr/bin/env python3
"""Writes the small odd models of this folder: good/ must load, bad/ must not.

    python3 -m venv /tmp/models-venv && /tmp/models-venv/bin/pip install -r tests/models/requirements.txt
    /tmp/models-venv/bin/python tests/models/generate.py [--check]

Each maker is one function; its docstring is its line in README.md, which is written too.  With --check every model is also
opened by ONNX Runtime, to see that it is as good or as bad as it claims to be.
"""

import os
import pathlib
import shutil
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

HERE = pathlib.Path(__file__).resolve().parent
OPSET = 17
IR = 8
MAKERS = []  # (folder, name, function, docstring)


def makes(folder, *names):
    """Registers a function that returns a ModelProto (or bytes) for each name, or writes files itself."""

    def register(function):
        for name in names or (function.__name__,):
            doc = (function.__doc__ or "").strip().replace("{name}", name)
            MAKERS.append((folder, name, function, doc))
        return function

    return register


def value(name, elem, shape):
    return h.make_tensor_value_info(name, elem, shape)


def model(nodes, inputs, outputs, initializers=(), ir=IR, opset=OPSET, ml=False, value_info=(), **graph):
    g = h.make_graph(nodes, "g", inputs, outputs, list(initializers), value_info=list(value_info), **graph)
    opsets = [h.make_opsetid("", opset)] + ([h.make_opsetid("ai.onnx.ml", 3)] if ml else [])
    return h.make_model(g, opset_imports=opsets, ir_version=ir, producer_name="troupe-tests")


def const(name, array):
    return nh.from_array(np.asarray(array), name)


# ---- good: element types ----------------------------------------------------------------------

DTYPES = {
    "bool": T.BOOL, "uint8": T.UINT8, "uint16": T.UINT16, "uint32": T.UINT32, "uint64": T.UINT64,
    "int8": T.INT8, "int16": T.INT16, "int32": T.INT32, "int64": T.INT64, "fp16": T.FLOAT16,
    "fp32": T.FLOAT, "fp64": T.DOUBLE, "bytes": T.STRING, "bf16": T.BFLOAT16,
}


@makes("good", *[f"identity_{name}" for name in DTYPES])
def identity(name):
    """`x` [rows, cols] to `y`, the same"""
    elem = DTYPES[name.removeprefix("identity_")]
    return model([h.make_node("Identity", ["x"], ["y"])], [value("x", elem, ["rows", "cols"])],
                 [value("y", elem, ["rows", "cols"])])


# ---- good: shapes -----------------------------------------------------------------------------


@makes("good")
def scalar(_):
    """rank 0 in and out: `y` = `x` + 1"""
    return model([h.make_node("Add", ["x", "one"], ["y"])], [value("x", T.FLOAT, [])],
                 [value("y", T.FLOAT, [])], [const("one", np.float32(1))])


@makes("good")
def any_rank(_):
    """no shape is declared at all: `y` = -`x`"""
    return model([h.make_node("Neg", ["x"], ["y"])], [value("x", T.FLOAT, None)],
                 [value("y", T.FLOAT, None)])


@makes("good")
def zero_size(_):
    """input [n, 0] and output [0, 3]: `y` is `x` reshaped"""
    return model([h.make_node("Reshape", ["x", "to"], ["y"], allowzero=1)], [value("x", T.FLOAT, ["n", 0])],
                 [value("y", T.FLOAT, [0, 3])], [const("to", np.array([0, 3], np.int64))])


@makes("good")
def zero_rows(_):
    """gives no rows, whatever comes in: `y` [0, 4]"""
    return model([h.make_node("Slice", ["x", "zero", "zero"], ["y"])], [value("x", T.FLOAT, ["n", 4])],
                 [value("y", T.FLOAT, [0, 4])], [const("zero", np.array([0], np.int64))])


@makes("good")
def rank_9(_):
    """rank 9: [n, 1, 2, 1, 2, 1, 2, 1, 2] doubled"""
    shape = ["n", 1, 2, 1, 2, 1, 2, 1, 2]
    return model([h.make_node("Add", ["x", "x"], ["y"])], [value("x", T.FLOAT, shape)], [value("y", T.FLOAT, shape)])


@makes("good")
def batch_fixed(_):
    """the batch is fixed at 2"""
    return model([h.make_node("Relu", ["x"], ["y"])], [value("x", T.FLOAT, [2, 3])], [value("y", T.FLOAT, [2, 3])])


@makes("good")
def batch_last(_):
    """the batch axis is the last one: [4, batch] summed to [1, batch]"""
    return model([h.make_node("ReduceMean", ["x"], ["y"], axes=[0])], [value("x", T.FLOAT, [4, "batch"])],
                 [value("y", T.FLOAT, [1, "batch"])])


@makes("good")
def rows_depend(_):
    """rows depend on each other (softmax over the batch axis), so batching requests would change answers"""
    return model([h.make_node("Softmax", ["x"], ["y"], axis=0)], [value("x", T.FLOAT, ["batch", 3])],
                 [value("y", T.FLOAT, ["batch", 3])])


@makes("good")
def symbol_misused(_):
    """both inputs are [n], yet 1 and 3 may be sent: they broadcast"""
    return model([h.make_node("Add", ["a", "b"], ["y"])], [value("a", T.FLOAT, ["n"]), value("b", T.FLOAT, ["n"])],
                 [value("y", T.FLOAT, ["n"])])


@makes("good")
def output_shape_wrong(_):
    """output declared [1, n]; [n, 1, 4] comes back"""
    return model([h.make_node("Reshape", ["x", "to"], ["y"])],
                 [value("x", T.FLOAT, ["n", 4]), value("to", T.INT64, [3])], [value("y", T.FLOAT, [1, "n"])],
                 [const("to", np.array([-1, 1, 4], np.int64))])


# ---- good: inputs and outputs -----------------------------------------------------------------


@makes("good")
def optional_inputs(_):
    """`y` = `x` * `scale` + `bias`; the last two have initialisers and may be left out"""
    return model([h.make_node("Mul", ["x", "scale"], ["t"]), h.make_node("Add", ["t", "bias"], ["y"])],
                 [value("scale", T.FLOAT, [1]), value("x", T.FLOAT, ["n", 3]), value("bias", T.FLOAT, [3])],
                 [value("y", T.FLOAT, ["n", 3])],
                 [const("scale", np.float32([2])), const("bias", np.float32([1, 2, 3]))])


@makes("good")
def initializer_ir3(_):
    """IR version 3: every initialiser must be an input too, but is a constant; only `x` is an input for clients"""
    return model([h.make_node("Mul", ["x", "scale"], ["y"])], [value("scale", T.FLOAT, [1]), value("x", T.FLOAT, ["n"])],
                 [value("y", T.FLOAT, ["n"])], [const("scale", np.float32([2]))], ir=3, opset=8)


@makes("good")
def inputs_64(_):
    """64 inputs `in_0`..`in_63` [n], summed"""
    names = [f"in_{i}" for i in range(64)]
    return model([h.make_node("Sum", names, ["y"])], [value(n, T.FLOAT, ["n"]) for n in names],
                 [value("y", T.FLOAT, ["n"])])


@makes("good")
def odd_names(_):
    """tensor names with spaces, slashes, colons, percent, quotes, and more than ASCII"""
    return model([h.make_node("Add", ["in put/0:a%20", 'quo"te\\'], ["o ut/0:é%"])],
                 [value("in put/0:a%20", T.FLOAT, ["n"]), value('quo"te\\', T.FLOAT, ["n"])],
                 [value("o ut/0:é%", T.FLOAT, ["n"])])


@makes("good", "odd name: 100% of it")
def odd_model_name(_):
    """the model's own name has spaces, a colon and a percent sign"""
    return identity("identity_fp32")


@makes("good")
def input_unused(_):
    """`ignored` is an input that nothing reads"""
    return model([h.make_node("Identity", ["x"], ["y"])], [value("x", T.FLOAT, ["n"]), value("ignored", T.INT64, ["n"])],
                 [value("y", T.FLOAT, ["n"])])


@makes("good")
def output_is_input(_):
    """the graph's output is its input itself; `y` is a copy"""
    return model([h.make_node("Identity", ["x"], ["y"])], [value("x", T.FLOAT, ["n"])],
                 [value("x", T.FLOAT, ["n"]), value("y", T.FLOAT, ["n"])])


@makes("good")
def two_outputs(_):
    """`sum` [n, 1] (a mean, in spite of its name) and `square` [n, 8], so that one of them can be asked for"""
    return model([h.make_node("ReduceMean", ["x"], ["sum"], axes=[1]), h.make_node("Mul", ["x", "x"], ["square"])],
                 [value("x", T.FLOAT, ["n", 8])], [value("sum", T.FLOAT, ["n", 1]), value("square", T.FLOAT, ["n", 8])])


@makes("good")
def running_sum(_):
    """a state of each row: `sum` and `after` are `x` + `before`, all [n, 2]"""
    names = ("x", "before"), ("sum", "after")
    inputs, outputs = ([value(name, T.FLOAT, ["n", 2]) for name in side] for side in names)
    return model([h.make_node("Add", ["x", "before"], ["sum"]), h.make_node("Identity", ["sum"], ["after"])], inputs, outputs)


@makes("good")
def metadata(_):
    """metadata properties, documentation, producer and version are filled in"""
    m = identity("identity_fp32")
    m.doc_string = "A model that says what it is.\nOver two lines."
    m.producer_version = "1.2"
    m.domain = "org.example"
    m.model_version = 7
    m.graph.doc_string = "One Identity node."
    h.set_model_props(m, {"author": "nobody", "license": "Apache-2.0", "note": "grün"})
    return m


@makes("good")
def string_lookup(_):
    """strings in, int64 out: cat 1, dog 2, anything else -1"""
    node = h.make_node("LabelEncoder", ["word"], ["id"], domain="ai.onnx.ml", keys_strings=["cat", "dog"],
                       values_int64s=[1, 2], default_int64=-1)
    return model([node], [value("word", T.STRING, ["n"])], [value("id", T.INT64, ["n"])], ml=True)


@makes("good")
def string_label(_):
    """int64 in, strings out: 0 no, 1 yes, anything else 'unknown'"""
    node = h.make_node("LabelEncoder", ["id"], ["word"], domain="ai.onnx.ml", keys_int64s=[0, 1],
                       values_strings=["no", "yes"], default_string="unknown")
    return model([node], [value("id", T.INT64, ["n"])], [value("word", T.STRING, ["n"])], ml=True)


def tidy(m):
    """What the exporter leaves to chance is made the same every time."""
    m.ir_version = IR
    m.graph.name = "g"
    opsets = sorted(m.opset_import, key=lambda o: o.domain)
    del m.opset_import[:]
    m.opset_import.extend(opsets)
    return m


def sklearn_model(classes, **options):
    from skl2onnx import to_onnx
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    data = load_iris()
    target = np.array(classes)[data.target]
    fitted = LogisticRegression(max_iter=500).fit(data.data, target)
    fitted.coef_ = np.array([[-0.4, 0.9, -2.3, -1.0], [0.5, -0.3, -0.2, -0.9], [-0.1, -0.6, 2.5, 1.9]])
    fitted.intercept_ = np.array([9.2, 2.2, -11.4])  # about what was fitted, and the same on every machine
    m = to_onnx(fitted, data.data[:1].astype(np.float32), target_opset={"": OPSET, "ai.onnx.ml": 3}, options=options)
    return tidy(m)


@makes("good")
def zipmap_string(_):
    """scikit-learn's default export: probabilities as a sequence of maps from string"""
    return sklearn_model(["setosa", "versicolor", "virginica"])


@makes("good")
def zipmap_int64(_):
    """the same from int64 classes 10, 20, 30"""
    return sklearn_model([10, 20, 30])


@makes("good")
def zipmap_off(_):
    """the same model exported without ZipMap: a plain tensor"""
    return sklearn_model([10, 20, 30], zipmap=False)


# ---- good: where weights may be ---------------------------------------------------------------


@makes("good")
def weights_in_if(_):
    """weights lie inside the branches of If: `y` = `x` * 2 or `x` * 3"""

    def branch(name, factor):
        return h.make_graph([h.make_node("Mul", ["x", f"w_{name}"], [f"y_{name}"])], name, [],
                            [value(f"y_{name}", T.FLOAT, ["n", 4])],
                            [const(f"w_{name}", np.full(4, factor, np.float32))])

    node = h.make_node("If", ["double"], ["y"], then_branch=branch("then", 2), else_branch=branch("else", 3))
    return model([node], [value("x", T.FLOAT, ["n", 4]), value("double", T.BOOL, [])], [value("y", T.FLOAT, ["n", 4])])


@makes("good")
def weights_in_constant(_):
    """weights lie in Constant nodes, one of them as value_floats"""
    return model([h.make_node("Constant", [], ["w"], value=const("", np.full((4, 4), 0.5, np.float32))),
                  h.make_node("Constant", [], ["b"], value_floats=[1.0, 2.0, 3.0, 4.0]),
                  h.make_node("Gemm", ["x", "w", "b"], ["y"])],
                 [value("x", T.FLOAT, ["n", 4])], [value("y", T.FLOAT, ["n", 4])])


@makes("good")
def weights_in_function(_):
    """weights lie inside a local function that is called twice"""
    function = h.make_function("local", "shift", ["a"], ["b"],
                               [h.make_node("Constant", [], ["w"], value=const("", np.float32([1, 2, 3, 4]))),
                                h.make_node("Add", ["a", "w"], ["b"])], [h.make_opsetid("", OPSET)])
    m = model([h.make_node("shift", ["x"], ["t"], domain="local"), h.make_node("shift", ["t"], ["y"], domain="local")],
              [value("x", T.FLOAT, ["n", 4])], [value("y", T.FLOAT, ["n", 4])])
    m.opset_import.append(h.make_opsetid("local", 1))
    m.functions.append(function)
    return m


@makes("good")
def weights_sparse(_):
    """the weights are a sparse initialiser: 2 of 16 are stored"""
    sparse = h.make_sparse_tensor(h.make_tensor("w", T.FLOAT, [2], [5.0, 7.0]), h.make_tensor("at", T.INT64, [2], [0, 15]),
                                  [4, 4])
    return model([h.make_node("MatMul", ["x", "w"], ["y"])], [value("x", T.FLOAT, ["n", 4])],
                 [value("y", T.FLOAT, ["n", 4])], sparse_initializer=[sparse])


@makes("good")
def weights_in_tree(_):
    """a small decision tree, kept in node attributes"""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_iris
    from sklearn.tree import DecisionTreeRegressor

    data = load_iris()
    fitted = DecisionTreeRegressor(max_depth=3, random_state=0).fit(data.data, data.target)
    m = to_onnx(fitted, data.data[:1].astype(np.float32), target_opset={"": OPSET, "ai.onnx.ml": 3})
    return tidy(m)


def write_external(folder, name, location, data=None, offset=64, in_file=None):
    """Writes folder/name/model.onnx whose weights `w` [4, 4] are said to lie at `location`."""
    target = HERE / folder / name
    target.mkdir()
    weights = np.arange(16, dtype=np.float32).reshape(4, 4)
    tensor = T(name="w", data_type=T.FLOAT, dims=[4, 4], data_location=T.EXTERNAL)
    for key, text in (("location", location), ("offset", str(offset)), ("length", "64")):
        tensor.external_data.add(key=key, value=text)
    m = model([h.make_node("MatMul", ["x", "w"], ["y"])], [value("x", T.FLOAT, ["n", 4])],
              [value("y", T.FLOAT, ["n", 4])], [tensor])
    (target / "model.onnx").write_bytes(m.SerializeToString(deterministic=True))
    if in_file:
        path = target / in_file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\0" * offset + weights.tobytes() if data is None else data)


@makes("good")
def external_data(name):
    """weights lie in weights.bin beside the model, 64 bytes from its start"""
    write_external("good", name, "weights.bin", in_file="weights.bin")


@makes("good")
def external_subfolder(name):
    """weights lie in data/weights.bin below the model"""
    write_external("good", name, "data/weights.bin", in_file="data/weights.bin")


# ---- good: what happens when they run ---------------------------------------------------------


@makes("good")
def div_int64(_):
    """DANGER: `y` = `a` / `b` on int64; a = -2^63 with b = -1 kills the process. b = 0 fails."""
    return model([h.make_node("Div", ["a", "b"], ["y"], name="divide")],
                 [value("a", T.INT64, ["n"]), value("b", T.INT64, ["n"])], [value("y", T.INT64, ["n"])])


@makes("good")
def div_safe(_):
    """int64 Div and Mod that cannot go wrong: the divisors are constants and sizes"""
    return model([h.make_node("Div", ["x", "three"], ["a"]), h.make_node("Shape", ["x"], ["size"]),
                  h.make_node("Mod", ["a", "size"], ["y"])], [value("x", T.INT64, ["n"])], [value("y", T.INT64, ["n"])],
                 [const("three", np.array([3], np.int64))])


@makes("good")
def div_by_zero(_):
    """int32 Div whose divisor `by` [1] is optional and 0 by default: fails unless it is sent"""
    return model([h.make_node("Div", ["x", "by"], ["y"])], [value("x", T.INT32, ["n"]), value("by", T.INT32, [1])],
                 [value("y", T.INT32, ["n"])], [const("by", np.array([0], np.int32))])


@makes("good")
def fails_when_run(_):
    """reshapes to [7]: loads, and fails for every input but 7 numbers"""
    return model([h.make_node("Reshape", ["x", "to"], ["y"])], [value("x", T.FLOAT, ["n"])],
                 [value("y", T.FLOAT, ["m"])], [const("to", np.array([7], np.int64))])


@makes("good")
def explodes(_):
    """`y` is `x` [1] expanded to the shape in `to` [r]: a few bytes ask for terabytes"""
    return model([h.make_node("Expand", ["x", "to"], ["y"])], [value("x", T.FLOAT, [1]), value("to", T.INT64, ["r"])],
                 [value("y", T.FLOAT, None)])


@makes("good")
def not_finite(_):
    """`y` = `x` / 0: NaN, Infinity and -Infinity; `z` = -abs(`x`) * 0, which is -0"""
    return model([h.make_node("Div", ["x", "zero"], ["y"]), h.make_node("Abs", ["x"], ["p"]), h.make_node("Neg", ["p"], ["m"]),
                  h.make_node("Mul", ["m", "zero"], ["z"])], [value("x", T.FLOAT, ["n"])],
                 [value("y", T.FLOAT, ["n"]), value("z", T.FLOAT, ["n"])], [const("zero", np.float32([0]))])


@makes("good")
def random_answers(_):
    """answers at random on purpose: `y` = `x` + noise"""
    return model([h.make_node("RandomNormalLike", ["x"], ["noise"]), h.make_node("Add", ["x", "noise"], ["y"])],
                 [value("x", T.FLOAT, ["n"])], [value("y", T.FLOAT, ["n"])])


@makes("good")
def slow(_):
    """`steps` (optional, [1], default 1300) products of 128 x 128 matrices, about 50 ms; `y` [1] = twice the sum of `x` [n]"""
    body = h.make_graph(
        [h.make_node("MatMul", ["state", "w"], ["product"]), h.make_node("Identity", ["go"], ["go_on"])], "body",
        [value("i", T.INT64, []), value("go", T.BOOL, []), value("state", T.FLOAT, [128, 128])],
        [value("go_on", T.BOOL, []), value("product", T.FLOAT, [128, 128])])
    nodes = [
        h.make_node("ReduceSum", ["x"], ["total"], keepdims=1),
        h.make_node("ConstantOfShape", ["square"], ["w"], value=const("", np.float32([1 / 128]))),
        h.make_node("Expand", ["total", "square"], ["start"]),
        h.make_node("Squeeze", ["steps"], ["count"]),
        h.make_node("Loop", ["count", "", "start"], ["end"], body=body),
        h.make_node("ReduceMean", ["end"], ["mean"], axes=[0, 1], keepdims=0),
        h.make_node("Add", ["total", "mean"], ["y"]),
    ]
    return model(nodes, [value("x", T.FLOAT, ["n"]), value("steps", T.INT64, [1])], [value("y", T.FLOAT, [1])],
                 [const("square", np.array([128, 128], np.int64)), const("steps", np.array([1300], np.int64))])


# ---- bad: files -------------------------------------------------------------------------------


def sound():
    return model([h.make_node("MatMul", ["x", "w"], ["y"])], [value("x", T.FLOAT, ["n", 4])],
                 [value("y", T.FLOAT, ["n", 4])],
                 [const("w", np.arange(16, dtype=np.float32).reshape(4, 4))]).SerializeToString(deterministic=True)


@makes("bad")
def truncated(_):
    """the second half of the file is missing"""
    whole = sound()
    return whole[:len(whole) // 2]


@makes("bad")
def corrupt(_):
    """bytes in the middle are overwritten with ff"""
    whole = bytearray(sound())
    whole[30:40] = b"\xff" * 10
    return bytes(whole)


@makes("bad")
def empty(_):
    """a file of no bytes"""
    return b""


@makes("bad")
def text(_):
    """plain text"""
    return b"This is not a model.\n"


@makes("bad")
def git_lfs_pointer(_):
    """what a clone without Git LFS leaves in a model's place"""
    return (b"version https://git-lfs.github.com/spec/v1\n"
            b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n")


@makes("bad")
def no_graph(_):
    """a model without a graph"""
    return onnx.ModelProto(ir_version=IR, producer_name="troupe-tests", opset_import=[h.make_opsetid("", OPSET)])


# ---- bad: contents ----------------------------------------------------------------------------


def with_weights(tensor):
    return model([h.make_node("Add", ["x", "w"], ["y"])], [value("x", T.FLOAT, ["n"])], [value("y", T.FLOAT, ["n"])],
                 [tensor])


@makes("bad")
def absurd_weights(_):
    """weights of shape [2^40, 2^40]"""
    return with_weights(T(name="w", data_type=T.FLOAT, dims=[1 << 40, 1 << 40], raw_data=b"\0" * 4))


@makes("bad")
def absurd_input(_):
    """an input of shape [2^40, 2^40]"""
    return model([h.make_node("Identity", ["x"], ["y"])], [value("x", T.FLOAT, [1 << 40, 1 << 40])],
                 [value("y", T.FLOAT, [1 << 40, 1 << 40])])


@makes("bad")
def negative_weights(_):
    """weights of shape [-4]"""
    return with_weights(T(name="w", data_type=T.FLOAT, dims=[-4], raw_data=b"\0" * 16))


@makes("bad")
def short_weights(_):
    """weights of shape [4] with bytes for 3"""
    return with_weights(T(name="w", data_type=T.FLOAT, dims=[4], raw_data=b"\0" * 12))


@makes("bad")
def unknown_operator(_):
    """an operator that does not exist"""
    return model([h.make_node("Frobnicate", ["x"], ["y"])], [value("x", T.FLOAT, ["n"])], [value("y", T.FLOAT, ["n"])])


@makes("bad")
def opset_99(_):
    """operator set 99, which is not released"""
    return model([h.make_node("Identity", ["x"], ["y"])], [value("x", T.FLOAT, ["n"])], [value("y", T.FLOAT, ["n"])],
                 opset=99)


@makes("bad")
def div_constant_zero(_):
    """int32 Div by a constant 0, which the runtime refuses"""
    return model([h.make_node("Div", ["x", "zero"], ["y"])], [value("x", T.INT32, ["n"])], [value("y", T.INT32, ["n"])],
                 [const("zero", np.array([0], np.int32))])


@makes("bad")
def cycle(_):
    """two nodes that need each other"""
    return model([h.make_node("Add", ["x", "b"], ["a"]), h.make_node("Add", ["x", "a"], ["b"]),
                  h.make_node("Identity", ["b"], ["y"])], [value("x", T.FLOAT, ["n"])], [value("y", T.FLOAT, ["n"])])


@makes("bad")
def type_mismatch(_):
    """adds a float and an int64"""
    return model([h.make_node("Add", ["a", "b"], ["y"])], [value("a", T.FLOAT, ["n"]), value("b", T.INT64, ["n"])],
                 [value("y", T.FLOAT, ["n"])])


# ---- bad: types that are not served -----------------------------------------------------------


@makes("bad")
def sequence_output(_):
    """the output is a sequence of tensors"""
    output = h.make_tensor_sequence_value_info("y", T.FLOAT, ["n"])
    return model([h.make_node("SequenceConstruct", ["x", "x"], ["y"])], [value("x", T.FLOAT, ["n"])], [output])


@makes("bad")
def sequence_input(_):
    """the input is a sequence of tensors"""
    return model([h.make_node("ConcatFromSequence", ["x"], ["y"], axis=0)],
                 [h.make_tensor_sequence_value_info("x", T.FLOAT, ["n"])], [value("y", T.FLOAT, ["n"])])


@makes("bad")
def map_input(_):
    """the input is a map from string to float"""
    x = onnx.ValueInfoProto(name="x")
    x.type.map_type.key_type = T.STRING
    x.type.map_type.value_type.tensor_type.elem_type = T.FLOAT
    node = h.make_node("DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml", string_vocabulary=["a", "b"])
    return model([node], [x], [value("y", T.FLOAT, [1, 2])], ml=True)


@makes("bad")
def optional_output(_):
    """the output is an optional tensor"""
    y = onnx.ValueInfoProto(name="y")
    y.type.optional_type.elem_type.tensor_type.elem_type = T.FLOAT
    y.type.optional_type.elem_type.tensor_type.shape.dim.add(dim_param="n")
    return model([h.make_node("Optional", ["x"], ["y"])], [value("x", T.FLOAT, ["n"])], [y])


@makes("bad")
def float8_input(_):
    """the input is float8, which no protocol here can carry"""
    return model([h.make_node("Cast", ["x"], ["y"], to=T.FLOAT)], [value("x", T.FLOAT8E4M3FN, ["n"])],
                 [value("y", T.FLOAT, ["n"])], opset=19, ir=9)


# ---- bad: external data -----------------------------------------------------------------------


@makes("bad")
def external_missing(name):
    """the file with the weights is not there"""
    write_external("bad", name, "weights.bin")


@makes("bad")
def external_short(name):
    """the file with the weights ends too early"""
    write_external("bad", name, "weights.bin", data=b"\0" * 100, in_file="weights.bin")


@makes("bad")
def external_parent(name):
    """the weights are said to lie in ../external_short/weights.bin"""
    write_external("bad", name, "../external_short/weights.bin")


@makes("bad")
def external_absolute(name):
    """the weights are said to lie in /etc/passwd"""
    write_external("bad", name, "/etc/passwd", offset=0)


@makes("bad")
def external_link(name):
    """weights.bin is a link that leaves the folder"""
    write_external("bad", name, "weights.bin")
    os.symlink("../../good/external_data/weights.bin", HERE / "bad" / name / "weights.bin")


# ---- running ----------------------------------------------------------------------------------


def write_all():
    for folder in ("good", "bad"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
        (HERE / folder).mkdir()
    for folder, name, function, _ in MAKERS:
        made = function(name)
        if made is None:
            continue  # it wrote a folder of its own
        if not isinstance(made, bytes):
            made = made.SerializeToString(deterministic=True)
        (HERE / folder / f"{name}.onnx").write_bytes(made)


README = """# Small odd models

Real model files do all of this; the tests use these to see that the server copes. `good/` is a repository in which every
model loads; in `bad/` none does, each for a reason of its own, and none may disturb the others. `generate.py` writes them
(and this list); it needs the packages of `requirements.txt`, the tests do not. With `--check` it opens each in ONNX Runtime.

The runtime alone would open six models of `bad/`; the server refuses them: `absurd_input`, because nobody could send that,
and for a type that is not served `sequence_output`, `sequence_input`, `map_input`, `optional_output` and `float8_input`.
"""


def write_readme():
    text = README
    for folder in ("good", "bad"):
        text += f"\n## {folder}\n\n| model | what |\n|---|---|\n"
        seen = set()
        for at, name, function, doc in MAKERS:
            if at != folder or function in seen:
                continue
            seen.add(function)
            names = [n for f, n, fn, _ in MAKERS if fn is function and f == folder]
            shown = ", ".join(f"`{n}`" for n in names)
            text += f"| {shown} | {doc} |\n"
    (HERE / "README.md").write_text(text)


NOT_SERVED = {"absurd_input", "sequence_output", "sequence_input", "map_input", "optional_output", "float8_input"}


def check():
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime as ort

    ort.set_default_logger_severity(4)
    wrong = 0
    for folder, name, _, _ in MAKERS:
        path = HERE / folder / f"{name}.onnx"
        if not path.exists():
            path = HERE / folder / name / "model.onnx"
        try:
            ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            loads, why = True, ""
        except Exception as e:  # noqa: BLE001 - whatever it is, it did not load
            loads, why = False, str(e).split("\n")[0][:150]
        expected = folder == "good" or name in NOT_SERVED
        if loads != expected:
            wrong += 1
            print(f"{folder}/{name}: {'loads' if loads else 'does not load'} {why}")
    print(f"{len(MAKERS)} models, {wrong} not as they should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    write_all()
    write_readme()
    sys.exit(check() if "--check" in sys.argv else 0)
