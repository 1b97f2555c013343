"""The data that all three models learn from: scikit-learn's digits, 1,797 handwritten digits of 8 by 8 pixels.

A sample is 64 numbers from 0 (paper) to 255 (ink), row by row: what an 8-bit grey image holds, inverted.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one order of additions, so that results repeat
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import pathlib

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent
MODELS = EXAMPLES / "models"
SEED = 7
OPSET = 17
IR_VERSION = 8
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def load():
    """Training and test halves: (x_train, y_train, x_test, y_test); 450 samples are kept for the test."""
    data = load_digits()
    ink = np.round(data.data * 255 / 16).astype(np.float32)
    x_train, x_test, y_train, y_test = train_test_split(
        ink, data.target, test_size=450, random_state=SEED, stratify=data.target)
    return x_train, y_train, x_test, y_test


def save(model, *path):
    """Writes a model below examples/models with nothing in it that changes from run to run."""
    import onnx

    model.ir_version = IR_VERSION
    model.graph.name = "digits"
    opsets = {o.domain if o.domain != "ai.onnx" else "": o.version for o in model.opset_import}  # one spelling each
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in sorted(opsets.items()))
    onnx.checker.check_model(model)
    target = MODELS.joinpath(*path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(model.SerializeToString(deterministic=True))
    return target


def accuracy(path):
    """Share of the test samples that the file at `path` gets right, in ONNX Runtime."""
    import onnxruntime

    _, _, x_test, y_test = load()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(["probabilities"], {"image": x_test})
    assert probabilities.shape == (len(x_test), 10)
    return float(np.mean(probabilities.argmax(axis=1) == y_test))


def save_sklearn(pipeline, *path):
    """Exports a fitted pipeline: `image` [batch, 64] to `label` int64 [batch] and `probabilities` [batch, 10]."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    model = to_onnx(pipeline, initial_types=[("image", FloatTensorType([None, 64]))],
                    options={id(pipeline): {"zipmap": False}}, target_opset={"": OPSET, "ai.onnx.ml": 3})
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return save(model, *path)
