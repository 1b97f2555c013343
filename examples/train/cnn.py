"""digits_cnn: a small convolutional network, trained here in plain numpy.

image [batch, 64] -> /255 -> [batch, 1, 8, 8] -> 3x3 convolution to 16, ReLU -> 3x3 convolution to 32, ReLU
-> 2x2 maximum -> 512 -> dense to 10 -> softmax.  Cross-entropy, Adam, images shifted by up to one pixel.
"""

import digits
import numpy as np
from onnx import TensorProto, helper, numpy_helper

EPOCHS = 40
BATCH = 32
RATE = 2e-3
DECAY = 1e-4


def patches(x):
    """[n, c, 8, 8] to [n * 64, c * 9]: the 3 x 3 neighbourhood of every pixel, zeros outside."""
    n, c, h, w = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return np.ascontiguousarray(windows.transpose(0, 2, 3, 1, 4, 5)).reshape(n * h * w, c * 9)


def unpatch(g, n, c):
    """The gradient of patches(): [n * 64, c * 9] summed back to [n, c, 8, 8]."""
    g = g.reshape(n, 8, 8, c, 3, 3)
    x = np.zeros((n, c, 10, 10), np.float32)
    for i in range(3):
        for j in range(3):
            x[:, :, i:i + 8, j:j + 8] += g[:, :, :, :, i, j].transpose(0, 3, 1, 2)
    return x[:, :, 1:9, 1:9]


def convolve(x, w, b):
    """Same-size convolution; w is [out, in, 3, 3]."""
    columns = patches(x)
    y = columns @ w.reshape(len(w), -1).T + b
    return y.reshape(len(x), 8, 8, len(w)).transpose(0, 3, 1, 2), columns


def convolve_back(g, columns, w, wants_input):
    """Gradients of weights, bias and (if wanted) input."""
    flat = g.transpose(0, 2, 3, 1).reshape(-1, len(w))
    gw = (flat.T @ columns).reshape(w.shape)
    gx = unpatch(flat @ w.reshape(len(w), -1), len(g), w.shape[1]) if wants_input else None
    return gw, flat.sum(axis=0), gx


def forward(p, image):
    """Returns probabilities and what the way back needs."""
    x = (image / np.float32(255)).reshape(-1, 1, 8, 8)
    a, columns_1 = convolve(x, p["w1"], p["b1"])
    b, columns_2 = convolve(np.maximum(a, 0), p["w2"], p["b2"])
    quads = np.maximum(b, 0).reshape(len(x), 32, 4, 2, 4, 2).transpose(0, 1, 2, 4, 3, 5).reshape(len(x), 32, 4, 4, 4)
    flat = quads.max(axis=4).reshape(len(x), 512)
    logits = flat @ p["w3"] + p["b3"]
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True), (a, columns_1, b, columns_2, quads, flat)


def backward(p, probabilities, target, saved):
    """The gradient of the mean cross-entropy for every parameter."""
    a, columns_1, b, columns_2, quads, flat = saved
    n = len(target)
    g = probabilities.copy()
    g[np.arange(n), target] -= 1
    g /= n
    grads = {"w3": flat.T @ g, "b3": g.sum(axis=0)}
    g = (g @ p["w3"].T).reshape(n, 32, 4, 4, 1)
    is_max = np.arange(4) == quads.argmax(axis=4)[..., None]  # the first of equals
    g = (g * is_max).reshape(n, 32, 4, 4, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, 32, 8, 8) * (b > 0)
    grads["w2"], grads["b2"], g = convolve_back(g, columns_2, p["w2"], True)
    grads["w1"], grads["b1"], _ = convolve_back(g * (a > 0), columns_1, p["w1"], False)
    return grads


def initial(rng):
    """He's initialisation."""

    def normal(*shape, inputs):
        return rng.normal(0, np.sqrt(2 / inputs), shape).astype(np.float32)

    return {"w1": normal(16, 1, 3, 3, inputs=9), "b1": np.zeros(16, np.float32),
            "w2": normal(32, 16, 3, 3, inputs=144), "b2": np.zeros(32, np.float32),
            "w3": normal(512, 10, inputs=512), "b3": np.zeros(10, np.float32)}


def shifted(x, rng):
    """Each image moved by -1, 0 or 1 pixel either way."""
    padded = np.pad(x.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    dy, dx = rng.integers(0, 3, (2, len(x)))
    rows = dy[:, None, None] + np.arange(8)[None, :, None]
    columns = dx[:, None, None] + np.arange(8)[None, None, :]
    return padded[np.arange(len(x))[:, None, None], rows, columns].reshape(len(x), 64)


def fit():
    rng = np.random.default_rng(digits.SEED)
    x, y, _, _ = digits.load()
    p = initial(rng)
    mean = {k: np.zeros_like(v) for k, v in p.items()}
    square = {k: np.zeros_like(v) for k, v in p.items()}
    step = 0
    for epoch in range(EPOCHS):
        rate = RATE * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        order = rng.permutation(len(x))
        for at in range(0, len(x), BATCH):
            chosen = order[at:at + BATCH]
            probabilities, saved = forward(p, shifted(x[chosen], rng))
            grads = backward(p, probabilities, y[chosen], saved)
            step += 1
            for k, g in grads.items():  # Adam with decoupled decay
                mean[k] = 0.9 * mean[k] + 0.1 * g
                square[k] = 0.999 * square[k] + 0.001 * g * g
                change = (mean[k] / (1 - 0.9 ** step)) / (np.sqrt(square[k] / (1 - 0.999 ** step)) + 1e-8)
                p[k] = (p[k] - rate * (change + DECAY * p[k])).astype(np.float32)
    return p


def export(p):
    def node(op, inputs, output, **attributes):
        return helper.make_node(op, inputs, [output], **attributes)

    nodes = [
        node("Mul", ["image", "scale"], "scaled"),
        node("Reshape", ["scaled", "square"], "pixels"),
        node("Conv", ["pixels", "w1", "b1"], "conv1", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Relu", ["conv1"], "relu1"),
        node("Conv", ["relu1", "w2", "b2"], "conv2", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Relu", ["conv2"], "relu2"),
        node("MaxPool", ["relu2"], "pooled", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["pooled"], "features"),
        node("Gemm", ["features", "w3", "b3"], "logits"),
        node("Softmax", ["logits"], "probabilities", axis=1),
    ]
    constants = [numpy_helper.from_array(v, k) for k, v in p.items()]
    constants.append(numpy_helper.from_array(np.float32(1 / 255), "scale"))
    constants.append(numpy_helper.from_array(np.array([-1, 1, 8, 8], np.int64), "square"))
    graph = helper.make_graph(
        nodes, "digits", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10])], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", digits.OPSET)],
                             producer_name="troupe-examples")


def train():
    path = digits.save(export(fit()), "digits_cnn", "1", "model.onnx")
    (digits.MODELS / "digits_cnn" / "labels.txt").write_text("\n".join(digits.WORDS) + "\n")
    return path


if __name__ == "__main__":
    print(f"digits_cnn {digits.accuracy(train()):.4f}")
