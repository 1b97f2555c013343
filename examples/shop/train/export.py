"""Writes the learnt models as ONNX files.  All take what the shop's requests carry, whether they look at it or not, and give the
same two outputs, so that any of them can stand behind one name:

    user     INT64 [batch, 1]                who asks; 0: nobody known
    recent   INT64 [batch, 20]               the last purchases, the last one first, then 0
    viewed   INT64 [batch, 5]                what is looked at in this visit, then 0
    profile  FP32  [batch, 25]               24 interests, 0 or 1, and the budget
    items    INT64 [batch, 20]               the best items first, none of `recent` among them
    scores   FP32  [batch, 20]
"""

import learn
import numpy as np
import world
from onnx import TensorProto, checker, helper, numpy_helper

OPSET, IR_VERSION = 17, 8
TOP = 20
NEVER = np.float32(-1e9)
INPUTS = {"user": (TensorProto.INT64, 1), "recent": (TensorProto.INT64, world.RECENT), "viewed": (TensorProto.INT64, world.VIEWED),
          "profile": (TensorProto.FLOAT, len(world.CATEGORIES) + 1)}


class Graph:
    """Nodes and constants, in the order in which they are added."""

    def __init__(self):
        self.nodes, self.constants, self.count = [], {}, 0

    def constant(self, value):
        value = np.ascontiguousarray(value)
        for name, other in self.constants.items():
            if other.dtype == value.dtype and other.shape == value.shape and np.array_equal(other, value):
                return name
        name = f"c{len(self.constants)}"
        self.constants[name] = value
        return name

    def add(self, op, *inputs, outputs=None, **attributes):
        """Inputs are names, or arrays, which become constants."""
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        self.count += 1
        outputs = outputs or [f"v{self.count}"]
        self.nodes.append(helper.make_node(op, names, outputs, **attributes))
        return outputs[0]

    def ints(self, *values):
        return np.array(values, np.int64)

    def floats(self, items):
        """[batch, n] item numbers to 1 where there is one, 0 where not."""
        return self.add("Cast", self.add("Greater", items, self.ints(0)), to=TensorProto.FLOAT)

    def finish(self, score, sold):
        """From [batch, ITEMS + 1] scores to the best TOP."""
        score = self.add("Add", score, np.where(sold, np.float32(0), NEVER))
        never = self.add("Expand", np.array([NEVER]), self.add("Shape", "recent"))
        score = self.add("ScatterElements", score, "recent", never, axis=1)
        self.add("TopK", score, self.ints(TOP), outputs=["scores", "items"], axis=1)

    def save(self, name, path):
        inputs = [helper.make_tensor_value_info(k, t, ["batch", n]) for k, (t, n) in INPUTS.items()]
        outputs = [helper.make_tensor_value_info("items", TensorProto.INT64, ["batch", TOP]),
                   helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", TOP])]
        constants = [numpy_helper.from_array(v, k) for k, v in self.constants.items()]
        graph = helper.make_graph(self.nodes, name, inputs, outputs, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="troupe-examples")
        model.ir_version = IR_VERSION
        checker.check_model(model)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model.SerializeToString(deterministic=True))
        return path


def daily(p, days, day):
    return (p["lately"] * days.log_bought[day] + p["new"] * days.newness[day]).astype(np.float32)


def popularity(p, days, day, path):
    g = Graph()
    rows = g.add("Concat", g.add("Slice", g.add("Shape", "recent"), g.ints(0), g.ints(1)), g.ints(learn.ITEMS + 1), axis=0)
    g.finish(g.add("Expand", p["score"][None], rows), days.is_sold[day])
    return g.save("popularity", path)


def mean_of(g, features, items):
    """learn.mean_of."""
    has = g.floats(items)
    total = g.add("ReduceSum", g.add("Gather", features, items), g.ints(1), keepdims=0)  # item 0 has no features
    count = g.add("ReduceSum", has, g.ints(1), keepdims=1)
    return g.add("Div", total, g.add("Max", count, np.float32([1]))), g.add("Min", count, np.float32([1]))


def content_based(p, days, day, features, path):
    g = Graph()
    x = g.add("Concat", "profile", *mean_of(g, features, "viewed"), *mean_of(g, features, "recent"), axis=1)
    z = g.add("Relu", g.add("Gemm", x, p["w1"], p["b1"]))
    q = g.add("Add", g.add("Gemm", z, p["w2"], p["b2"]), g.add("MatMul", x, p["w3"]))
    g.finish(g.add("Gemm", q, features, daily(p, days, day), transB=1), days.is_sold[day])
    return g.save("content_based", path)


def collaborative(p, days, day, path):
    g = Graph()
    known = g.add("Clip", "user", g.ints(0)[0], g.ints(len(p["row_of"]) - 1)[0])  # whoever came later is not known either
    row = g.add("Squeeze", g.add("Gather", p["row_of"], known), g.ints(1))
    user = g.add("Cast", g.add("Gather", p["users"], row), to=TensorProto.FLOAT)
    g.finish(g.add("Gemm", user, p["items"], transB=1), days.is_sold[day])
    return g.save("collaborative", path)


def two_tower(p, days, day, features, path):
    """The items' tower is done here, once: a file holds what it says of every item."""
    _, vectors, seen = learn.item_tower(p, features, np.float32(1))
    g = Graph()
    has = g.floats("recent")
    gathered = g.add("Gather", seen, "recent")
    means = []
    for position in p["position"]:
        weight = g.add("Mul", has, np.exp(position)[None])
        total = g.add("Max", g.add("ReduceSum", weight, g.ints(1), keepdims=1), np.float32([1e-6]))
        share = g.add("Unsqueeze", g.add("Div", weight, total), g.ints(2))
        means.append(g.add("ReduceSum", g.add("Mul", gathered, share), g.ints(1), keepdims=0))
    count = g.add("ReduceSum", has, g.ints(1), keepdims=1)
    x = g.add("Concat", *means, g.add("Div", g.add("Log", g.add("Add", count, np.float32([1]))), np.float32([3])), axis=1)
    z = g.add("Relu", g.add("Gemm", x, p["w1"], p["b1"]))
    user = g.add("Add", g.add("Gemm", z, p["w2"], p["b2"]), g.add("MatMul", x, p["w3"]))
    g.finish(g.add("Gemm", user, vectors, p["bias"] + daily(p, days, day), transB=1), days.is_sold[day])
    return g.save("two_tower", path)
