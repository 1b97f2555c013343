"""bench/onnx_maker.py - writes ONNX files of any size with nothing but Python.

The saturation rows need models of a known cost; such files are large and say nothing, so they are made when they are needed. A
chain of MatMul and Tanh over matrices, square but perhaps for the first and the last, whose weights come from a fixed generator."""
import random
import struct


def varint(n):
    n &= (1 << 64) - 1  # a negative one has ten bytes
    out = bytearray()
    while True:
        out.append(n & 0x7F | (0x80 if n > 0x7F else 0))
        n >>= 7
        if not n:
            return bytes(out)


def field(number, value):
    """One protobuf field: an int as varint, bytes or text with its length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def value_info(name, dims, dtype=1):
    shape = b"".join(field(1, field(2, d) if isinstance(d, str) else field(1, d)) for d in dims)
    return field(1, name) + field(2, field(1, field(1, dtype) + field(2, shape)))


def node(op, inputs, outputs):
    return b"".join(field(1, i) for i in inputs) + b"".join(field(2, o) for o in outputs) + field(4, op)


def weights(name, rows, columns, seed):
    rng = random.Random(seed)
    scale = (3.0 / rows) ** 0.5
    pattern = [rng.uniform(-scale, scale) for _ in range(4093)]  # a prime: rows differ
    values = [pattern[(i * 31 + seed) % 4093] for i in range(rows * columns)]
    return field(1, rows) + field(1, columns) + field(2, 1) + field(8, name) + field(9, struct.pack(f"<{len(values)}f", *values))


def chain(path, rows, size, layers, first=None, last=None):
    """Writes a model x [rows, size] -> y [rows, size] of so many layers; or from as many columns as `first`, to as many as `last`."""
    widths = [first or size, *[size] * (layers - 1), last or size]
    graph, at = b"", "x"
    for k in range(layers):
        out = "y" if k == layers - 1 else f"h{k}"
        graph += field(1, node("MatMul", [at, f"w{k}"], [f"m{k}"])) + field(1, node("Tanh", [f"m{k}"], [out]))
        at = out
    graph += field(2, "chain")
    graph += b"".join(field(5, weights(f"w{k}", widths[k], widths[k + 1], k)) for k in range(layers))
    graph += field(11, value_info("x", [rows, widths[0]])) + field(12, value_info("y", [rows, widths[-1]]))
    model = field(1, 8) + field(2, "troupe bench") + field(7, graph) + field(8, field(1, "") + field(2, 17))
    with open(path, "wb") as f:
        f.write(model)
