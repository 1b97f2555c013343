"""bench/collection.py - a company's collection of models: two hundred small ones of a few kinds, for the rows on the budget.

    python3 bench/collection.py FOLDER [COUNT]

| kind | of a hundred | is | loading it |
|---|---|---|---|
| ranker | 35 | a table of embeddings and a small network | little to optimise |
| encoder | 30 | a BERT-like encoder of 1 to 4 layers; two thirds are variants of four bases that others hold too | much to optimise |
| classifier | 20 | MobileNetV2, 0.35 to 1 wide | most to optimise |
| sampler | 15 | a ranker that adds noise to what it says | cannot be prepared: no two runs say the same |

Sizes of the tables are lognormal as sizes in a collection are: median 5 MB, sigma 0.8, 1 to 40 MB.  Kind and size are drawn without regard to
who will be asked how often.  Everything follows from the seed; files are made once."""
import math
import os
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import model_maker
from bench_harness import binary_infer
from model_maker import INT64, Graph

WORDS, IMAGE, TOKENS = 32, 64, 16  # of a request
KINDS = [("ranker", 35), ("encoder", 30), ("classifier", 20), ("sampler", 15)]
BASES = 4


@dataclass
class Member:
    name: str
    kind: str
    path: Path

    def request(self, rows=1):
        if self.kind == "classifier":
            inputs = [("image", "FP32", [rows, 3, IMAGE, IMAGE], bytes(4 * rows * 3 * IMAGE * IMAGE))]
        elif self.kind == "encoder":
            inputs = [(name, "INT64", [rows, TOKENS], bytes(8 * rows * TOKENS)) for name in
                      ("input_ids", "attention_mask", "token_type_ids")]
        else:
            inputs = [("ids", "INT64", [rows, WORDS], bytes(8 * rows * WORDS))]
        return binary_infer(self.name, inputs)


def ranker(name, mb, is_sampling):
    width = 64
    g = Graph(name)
    ids = g.input("ids", "batch", WORDS, dtype=INT64)
    x = g.op("Gather", g.weight("table", [max(int(mb * 1e6) // (4 * width), 64), width], 0.5), ids, axis=0)
    x = g.op("ReduceMean", x, axes=[1], keepdims=0)
    for i, (n_in, n_out) in enumerate(((width, 256), (256, 128), (128, 1))):
        x = g.op("Gemm", x, g.weight(f"dense{i}.weight", [n_in, n_out], n_in ** -0.5), g.weight(f"dense{i}.bias", [n_out], 0.1))
        x = x if n_out == 1 else g.op("Relu", x)
    if is_sampling:
        x = g.op("Add", x, g.op("RandomNormalLike", x, mean=0.0, scale=1.0))
    g.op("Sigmoid", x, out="score")
    g.output("score", "batch", 1)
    return g


class Maker:
    """Draws one model after the other."""

    def __init__(self, folder, seed):
        self.folder, self.rng, self.bases = Path(folder), random.Random(seed), {}

    def base(self):
        i = self.rng.randrange(BASES)
        if i not in self.bases:
            self.bases[i] = model_maker.bert_base(1 + i, 256, 3000 + 3000 * i, seed=f"_base{i}")
        return self.bases[i]

    def graph(self, kind, i):
        rng = self.rng
        mb = min(max(5 * math.exp(0.8 * rng.gauss(0, 1)), 1), 40)
        if kind == "classifier":
            return model_maker.mobilenet_v2(rng.choice([0.35, 0.5, 0.75, 1.0]), seed=f"_{i}", image=IMAGE)
        if kind == "encoder" and rng.random() < 2 / 3:
            return self.base().varied(str(i), **{"head.weight": 0.06, "pooler.weight": 0.05})
        if kind == "encoder":
            return model_maker.bert_base(rng.randint(1, 4), 256, int(mb * 1e6) // 1024, seed=f"_{i}")
        return ranker(f"{kind}{i}", mb, kind == "sampler")

    def member(self, i):
        kind = self.rng.choices([k for k, _ in KINDS], [share for _, share in KINDS])[0]
        path = self.folder / f"{kind}{i:03d}.onnx"
        graph = self.graph(kind, i)  # drawn also when the file is there: what follows depends on it
        if not path.exists():  # several runs may make it at once, and one may be ended half-way: it is whole, or not there
            made = path.with_name(f".{path.name}.{os.getpid()}")
            graph.write(made)
            made.replace(path)
        return Member(path.stem, kind, path)


def collection(folder, count=200, seed=1):
    """The members of a collection, in no order; those that are not there are made."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    maker = Maker(folder, seed)
    return [maker.member(i) for i in range(count)]


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    made = collection(sys.argv[1], *map(int, sys.argv[2:3]))
    print(f"{len(made)} models, {sum(m.path.stat().st_size for m in made) / 1e6:,.0f} MB")
