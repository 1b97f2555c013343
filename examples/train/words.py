#!/usr/bin/env python3
"""examples/kinds: the digit that a word names, -1 for every other word; what answers -1 whatever it is asked; and digits_linear once
more, which takes pictures there.  Nothing is learnt; needs the package onnx only.

    /tmp/train-venv/bin/python examples/train/words.py
"""

import pathlib
import shutil

import onnx
from onnx import TensorProto, helper

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent
KINDS = EXAMPLES / "kinds"
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def write(name, nodes):
    """`content` string [n] to `digit` int64 [n]; the same bytes each time."""
    graph = helper.make_graph(nodes, name, [helper.make_tensor_value_info("content", TensorProto.STRING, ["n"])],
                              [helper.make_tensor_value_info("digit", TensorProto.INT64, ["n"])])
    model = helper.make_model(graph, ir_version=8,
                              opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)])
    onnx.checker.check_model(model)
    (KINDS / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    write("digit_of_word", [helper.make_node("LabelEncoder", ["content"], ["digit"], domain="ai.onnx.ml", keys_strings=WORDS,
                                             values_int64s=list(range(10)), default_int64=-1)])
    write("no_digit", [helper.make_node("Shape", ["content"], ["shape"]),
                       helper.make_node("ConstantOfShape", ["shape"], ["digit"],
                                        value=helper.make_tensor("value", TensorProto.INT64, [1], [-1]))])
    shutil.copyfile(EXAMPLES / "models/digits_linear.onnx", KINDS / "digit_reader/1/model.onnx")
