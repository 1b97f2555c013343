#!/usr/bin/env python3
"""Trains the three example models, tests each file, and writes the sample inputs.

    python3 -m venv /tmp/train-venv && /tmp/train-venv/bin/pip install -r examples/train/requirements.txt
    /tmp/train-venv/bin/python examples/train/train.py
"""

import cnn
import digits
import inputs
import linear
import mlp

if __name__ == "__main__":
    for module in (linear, mlp, cnn):
        path = module.train()
        print(f"{str(path.relative_to(digits.EXAMPLES)):30} {path.stat().st_size:7} bytes, "
              f"test accuracy {digits.accuracy(path):.4f}")
    inputs.write()
