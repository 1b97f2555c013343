"""Writes examples/inputs: digits from the test half, as images, arrays and ready requests."""

import json

import digits
import numpy as np
from PIL import Image, ImageFilter

INPUTS = digits.EXAMPLES / "inputs"


def as_image(sample):
    """Ink on paper: dark is high."""
    return Image.fromarray((255 - sample.reshape(8, 8)).astype(np.uint8), "L")


def as_scan(sample):
    """What a scanner makes of it: larger, smooth, on paper that is not quite white."""
    large = as_image(sample).resize((160, 160), Image.Resampling.NEAREST).filter(ImageFilter.GaussianBlur(4))
    light = np.asarray(large, np.float32)[..., None] / 255
    ink, paper = np.array([12, 14, 40], np.float32), np.array([255, 254, 246], np.float32)
    return Image.fromarray(np.round(ink + (paper - ink) * light).astype(np.uint8), "RGB")


def request(images, **output):
    body = {"inputs": [{"name": "image", "shape": list(images.shape), "datatype": "FP32",
                        "data": [int(v) for v in images.ravel()]}]}
    if output:
        body["outputs"] = [{"name": "probabilities", "parameters": output}]
    return json.dumps(body, separators=(",", ":")) + "\n"


def write():
    _, _, x_test, y_test = digits.load()
    INPUTS.mkdir(exist_ok=True)
    first = [int(np.flatnonzero(y_test == digit)[0]) for digit in range(10)]
    ten = x_test[first]
    three = ten[3]
    as_image(three).save(INPUTS / "digit_3.png", optimize=True)
    as_scan(three).save(INPUTS / "digit_3_scan.png", optimize=True)
    as_image(ten[7]).save(INPUTS / "digit_7.png", optimize=True)
    np.save(INPUTS / "digit_3.npy", three[None])
    np.save(INPUTS / "digits_0_to_9.npy", ten)
    (INPUTS / "digit_3.json").write_text(request(three[None]))
    (INPUTS / "digit_3_top_3.json").write_text(request(three[None], classification=3))
    (INPUTS / "digits_0_to_9.json").write_text(request(ten))


if __name__ == "__main__":
    write()
