"""bench/model_maker.py - models of real architectures with random weights, for the rows on loading, sharing and memory.

    python3 bench/model_maker.py FOLDER [NAME...]      writes NAME.onnx: resnet50, bert_base, mobilenet_v2

What exporters write is what is written: convolutions with their batch normalisations beside them, attention as MatMul, Reshape and
Transpose, Gelu by Erf.  So the runtime has as much to optimise as it has with a user's file.  Weights are made from the names of
their tensors and are the same on every machine.

A graph can be written three ways that mean the same: weights inside the file, in Constant nodes under other names, or in a file
beside it, which several models can have in common."""
import copy
import os
import random
import struct
import sys
from pathlib import Path

from onnx_maker import field, value_info, varint

FLOAT, INT64 = 1, 7
PATTERN = 4093  # a prime: rows of a matrix differ
SMALL_BYTES = 1024  # shapes, axes: always inside the file


def head(number, length):
    """The beginning of a field whose bytes follow."""
    return varint(number << 3 | 2) + varint(length)


def attribute(name, value):
    """One attribute of a node: a float, int, text, list of ints, or the bytes of a tensor."""
    if isinstance(value, float):
        return field(1, name) + varint(2 << 3 | 5) + struct.pack("<f", value) + field(20, 1)
    number, kind = {int: (3, 2), str: (4, 3), bytes: (5, 4)}.get(type(value), (8, 7))
    values = [value] if kind != 7 else value
    return field(1, name) + b"".join(field(number, v) for v in values) + field(20, kind)


class Graph:
    """Nodes and weights, in order; names of intermediate tensors are made as needed."""

    def __init__(self, name):
        self.name = name
        self.nodes, self.tensors, self.inputs, self.outputs, self.places = [], {}, [], [], {}

    def op(self, kind, *inputs, out=None, **attributes):
        """Adds a node; returns the name of its output."""
        out = out or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append((kind, inputs, out, attributes))
        return out

    def weight(self, name, dims, scale, offset=0.0, seed=""):
        """A tensor of random floats, uniform with the deviation `scale`."""
        rng = random.Random(f"{seed}/{self.name}/{name}")
        n = 4
        for d in dims:
            n *= d
        spread = 1.7320508 * scale
        pattern = struct.pack(f"<{PATTERN}f", *(offset + rng.uniform(-spread, spread) for _ in range(PATTERN)))
        self.tensors[name] = (FLOAT, dims, (pattern * (n // len(pattern) + 1))[:n])
        return name

    def ints(self, name, *values):
        self.tensors[name] = (INT64, [len(values)], struct.pack(f"<{len(values)}q", *values))
        return name

    def number(self, name, value):
        self.tensors[name] = (FLOAT, [], struct.pack("<f", value))
        return name

    def input(self, name, *dims, dtype=FLOAT):
        self.inputs.append(value_info(name, dims, dtype))
        return name

    def output(self, name, *dims):
        self.outputs.append(value_info(name, dims))

    def varied(self, seed, **scales):
        """Another model with this graph: the same weights but for those named, which get new values of that scale."""
        other = copy.copy(self)
        other.tensors, other.places = dict(self.tensors), {}
        for name, scale in scales.items():
            other.weight(name, self.tensors[name][1], scale, seed=seed)
        return other

    # ---- writing ----

    def encoded(self, called=lambda name: name):
        """The nodes, whose inputs are called so."""
        for i, (kind, inputs, out, attributes) in enumerate(self.nodes):
            text = b"".join(field(1, called(name)) for name in inputs) + field(2, out) + field(3, f"{kind}_{i}") + field(4, kind)
            yield field(1, text + b"".join(field(5, attribute(k, v)) for k, v in attributes.items()))

    def save(self, path, fields):
        """Writes a model of these fields of a graph; large ones are never joined."""
        fields = [*fields, field(2, self.name), *(field(11, i) for i in self.inputs), *(field(12, o) for o in self.outputs)]
        new = Path(f"{path}.new")
        with open(new, "wb") as f:
            f.write(field(1, 8) + field(2, "troupe bench") + head(7, sum(len(p) for p in fields)))
            f.writelines(fields)
            f.write(field(8, field(1, "") + field(2, 17)))
        os.replace(new, path)

    def write(self, path):
        """Weights inside the file."""
        self.save(path, [*self.encoded(), *(p for name in self.tensors for p in self.inside(name))])

    def inside(self, name):
        dtype, dims, data = self.tensors[name]
        text = b"".join(field(1, d) for d in dims) + field(2, dtype) + field(8, name) + head(9, len(data))
        return head(5, len(text) + len(data)) + text, data

    def write_constants(self, path):
        """Weights in Constant nodes, under other names."""
        large = {name for name, (_, _, data) in self.tensors.items() if len(data) >= SMALL_BYTES}
        fields = []
        for i, name in enumerate(sorted(large)):
            dtype, dims, data = self.tensors[name]
            tensor = b"".join(field(1, d) for d in dims) + field(2, dtype) + field(9, data)
            fields.append(field(1, field(2, f"other.{name}") + field(3, f"Constant_{i}") + field(4, "Constant") +
                                field(5, attribute("value", tensor))))
        fields += self.encoded(lambda name: f"other.{name}" if name in large else name)
        self.save(path, [*fields, *(p for name in self.tensors if name not in large for p in self.inside(name))])

    def write_beside(self, path, base=None):
        """Weights in a file beside it; with `base`, which was written so, its file is linked, and what differs is inside."""
        path = Path(path)
        if base:
            os.link(base.weights, path.with_name(base.weights.name))
            self.places, self.weights = base.places, base.weights
        else:
            self.weights = path.with_suffix(".weights")
            with open(self.weights, "wb") as f:
                for name, (_, _, data) in self.tensors.items():
                    if len(data) >= SMALL_BYTES:
                        f.seek(-f.tell() % 4096, os.SEEK_CUR)
                        self.places[name] = (f.tell(), data)
                        f.write(data)
        fields = [*self.encoded()]
        for name, (dtype, dims, data) in self.tensors.items():
            offset, there = self.places.get(name, (0, None))
            if there != data:
                fields += self.inside(name)
                continue
            where = {"location": self.weights.name, "offset": str(offset), "length": str(len(data))}
            text = b"".join(field(1, d) for d in dims) + field(2, dtype) + field(8, name)
            text += b"".join(field(13, field(1, k) + field(2, v)) for k, v in where.items()) + field(14, 1)
            fields.append(field(5, text))
        self.save(path, fields)


# ---- convolution nets ----

def convolution(g, name, x, c_in, c_out, size, stride=1, groups=1, gain=2.0):
    """Conv and BatchNormalization, as they are before an export folds them."""
    fan = c_in // groups * size * size
    w = g.weight(f"{name}.weight", [c_out, c_in // groups, size, size], (gain / fan) ** 0.5)
    pad = size // 2
    x = g.op("Conv", x, w, kernel_shape=[size, size], strides=[stride, stride], pads=[pad] * 4, group=groups, dilations=[1, 1])
    bn = [g.weight(f"{name}.bn.{part}", [c_out], 0.1, offset) for part, offset in
          (("weight", 1.0), ("bias", 0.0), ("mean", 0.0), ("var", 1.0))]
    return g.op("BatchNormalization", x, *bn, epsilon=1e-5)


def classifier(g, x, features, classes=1000):
    x = g.op("Flatten", g.op("GlobalAveragePool", x), axis=1)
    w = g.weight("fc.weight", [classes, features], features ** -0.5)
    g.op("Gemm", x, w, g.weight("fc.bias", [classes], 0.01), out="logits", transB=1)
    g.output("logits", "batch", classes)


def resnet50():
    """He, Zhang, Ren, Sun: Deep residual learning, 2015; the stride on the 3x3, as torchvision has it.  25.6 M parameters."""
    g = Graph("resnet50")
    x = g.input("image", "batch", 3, 224, 224)
    x = g.op("Relu", convolution(g, "conv1", x, 3, 64, 7, 2))
    x = g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    c_in = 64
    for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512))):
        for block in range(blocks):
            name, stride, c_out = f"layer{stage + 1}.{block}", 2 if stage and not block else 1, 4 * width
            y = g.op("Relu", convolution(g, f"{name}.conv1", x, c_in, width, 1))
            y = g.op("Relu", convolution(g, f"{name}.conv2", y, width, width, 3, stride))
            y = convolution(g, f"{name}.conv3", y, width, c_out, 1, gain=0.2)
            if not block:
                x = convolution(g, f"{name}.downsample", x, c_in, c_out, 1, stride, gain=1.0)
            x, c_in = g.op("Relu", g.op("Add", y, x)), c_out
    classifier(g, x, c_in)
    return g


def mobilenet_v2(width=1.0, seed="", image=224):
    """Sandler et al.: MobileNetV2, 2018.  3.5 M parameters at width 1.  `seed` makes another model of the same graph."""
    g = Graph(f"mobilenet_v2{seed}")
    zero, six = g.number("zero", 0.0), g.number("six", 6.0)

    def scaled(channels):
        return max(8, int(channels * width + 4) // 8 * 8)

    def relu6(x):
        return g.op("Clip", x, zero, six)

    c_in = scaled(32)
    x = relu6(convolution(g, "first", g.input("image", "batch", 3, image, image), 3, c_in, 3, 2))
    block = 0
    for expand, channels, repeat, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                             (6, 160, 3, 2), (6, 320, 1, 1)):
        for i in range(repeat):
            name, c_out, hidden = f"block{block}", scaled(channels), c_in * expand
            y = relu6(convolution(g, f"{name}.expand", x, c_in, hidden, 1)) if expand > 1 else x
            y = relu6(convolution(g, f"{name}.depth", y, hidden, hidden, 3, 1 if i else stride, hidden))
            y = convolution(g, f"{name}.project", y, hidden, c_out, 1, gain=1.0)
            x = g.op("Add", x, y) if i else y
            c_in, block = c_out, block + 1
    features = scaled(1280)
    classifier(g, relu6(convolution(g, "last", x, c_in, features, 1)), features)
    return g


# ---- an encoder ----

def linear(g, name, x, n_in, n_out):
    w = g.weight(f"{name}.weight", [n_in, n_out], 0.8 * n_in ** -0.5)
    return g.op("Add", g.weight(f"{name}.bias", [n_out], 0.02), g.op("MatMul", x, w))


def normalised(g, name, x, size):
    return g.op("LayerNormalization", x, g.weight(f"{name}.weight", [size], 0.1, 1.0), g.weight(f"{name}.bias", [size], 0.02),
                axis=-1, epsilon=1e-12)


def gelu(g, x):
    y = g.op("Add", g.op("Erf", g.op("Div", x, "sqrt2")), "one")
    return g.op("Mul", g.op("Mul", x, y), "half")


def attention(g, name, x, mask, size, heads):
    def split(part, order):
        y = g.op("Reshape", linear(g, f"{name}.{part}", x, size, size), "split")
        return g.op("Transpose", y, perm=order)

    q, k, v = split("query", [0, 2, 1, 3]), split("key", [0, 2, 3, 1]), split("value", [0, 2, 1, 3])
    scores = g.op("Add", g.op("Div", g.op("MatMul", q, k), "root"), mask)
    y = g.op("Transpose", g.op("MatMul", g.op("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
    return linear(g, f"{name}.output", g.op("Reshape", y, "join"), size, size)


def bert_base(layers=12, size=768, vocabulary=30522, seed=""):
    """Devlin et al.: BERT, 2018: an encoder with its embeddings and a classifier of two classes.  110 M parameters."""
    g = Graph(f"bert_base{seed}")
    heads = size // 64
    ids = [g.input(name, "batch", "sequence", dtype=INT64) for name in ("input_ids", "attention_mask", "token_type_ids")]
    for name, value in (("one", 1.0), ("half", 0.5), ("sqrt2", 2 ** 0.5), ("root", 8.0), ("far", -10000.0)):
        g.number(name, value)
    for name, values in (("split", (0, 0, heads, 64)), ("join", (0, 0, size)), ("zeros", (0,)), ("ones", (1,)), ("axes", (1, 2))):
        g.ints(name, *values)
    mask = g.op("Unsqueeze", g.op("Cast", ids[1], to=FLOAT), "axes")
    mask = g.op("Mul", g.op("Sub", "one", mask), "far")
    length = g.op("Gather", g.op("Shape", ids[0]), "ones", axis=0)
    x = g.op("Gather", g.weight("embeddings.word", [vocabulary, size], 0.5), ids[0], axis=0)
    x = g.op("Add", x, g.op("Gather", g.weight("embeddings.type", [2, size], 0.2), ids[2], axis=0))
    x = g.op("Add", x, g.op("Slice", g.weight("embeddings.position", [512, size], 0.3), "zeros", length, "zeros"))
    x = normalised(g, "embeddings.norm", x, size)
    for i in range(layers):
        name = f"layer{i}"
        x = normalised(g, f"{name}.attention.norm", g.op("Add", attention(g, f"{name}.attention", x, mask, size, heads), x), size)
        y = linear(g, f"{name}.down", gelu(g, linear(g, f"{name}.up", x, size, 4 * size)), 4 * size, size)
        x = normalised(g, f"{name}.norm", g.op("Add", y, x), size)
    first = g.op("Gather", x, g.ints("first", 0), axis=1)
    pooled = g.op("Tanh", linear(g, "pooler", g.op("Squeeze", first, "ones"), size, size))
    g.op("Gemm", pooled, g.weight("head.weight", [2, size], size ** -0.5), g.weight("head.bias", [2], 0.01), out="logits", transB=1)
    g.output("logits", "batch", 2)
    return g


ARCHITECTURES = {"resnet50": resnet50, "bert_base": bert_base, "mobilenet_v2": mobilenet_v2}


def made(folder, name):
    """The model of an architecture in this folder; it is made when it is not there."""
    path = Path(folder) / f"{name}.onnx"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        ARCHITECTURES[name]().write(path)
    return path


if __name__ == "__main__":
    if len(sys.argv) < 2 or any(name not in ARCHITECTURES for name in sys.argv[2:]):
        sys.exit(__doc__)
    for wanted in sys.argv[2:] or ARCHITECTURES:
        print(made(sys.argv[1], wanted))
