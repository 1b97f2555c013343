#!/usr/bin/env python3
"""Makes the shop's world, learns its models, writes everything that `make shop` needs, and says how good each model is.

    python3 -m venv /tmp/train-venv && /tmp/train-venv/bin/pip install -r examples/train/requirements.txt
    /tmp/train-venv/bin/python examples/shop/train/train.py            the last day is kept, everything before it is learnt from
    /tmp/train-venv/bin/python examples/shop/train/train.py --choose   the same one day earlier, writing nothing: what choices of
                                                                       thresholds and weights were made by

Days are numbered from 0.  Of a day D that is kept: popularity, content_based and collaborative know the days before D, two_tower/1
those before D - 2 (it is three days old), two_tower/2, its next version, those before D.
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile
import time

SHOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.append(str(SHOP))
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import world  # first: it sets the number of threads

import export
import judge
import learn
import numpy as np
import onnxruntime

FEW = 4
BLEND = {"content_based": 1.0, "two_tower/1": 2.0}
STALE = 2


def say(begun, what):
    print(f"{time.monotonic() - begun:6.1f} s  {what}", flush=True)


def learn_all(made, day, folder, begun):
    """Learns everything as of the morning of `day`; {name: path}."""
    catalogue, log = made.catalogue, made.log
    features, days = learn.item_features(catalogue), learn.Days(catalogue, log)
    before = log.rows(log.day < day)
    older = log.rows(log.day < day - STALE)
    paths = {}

    def done(name, path):
        paths[name] = path
        say(begun, f"{name}: {path.stat().st_size:,} bytes")

    done("popularity", export.popularity(learn.popularity(before, days, day), days, day, folder / "popularity/1/model.onnx"))
    p = learn.content_based(before, days, features, made.profile)
    done("content_based", export.content_based(p, days, day, features, folder / "content_based/1/model.onnx"))
    done("collaborative", export.collaborative(learn.collaborative(before), days, day, folder / "collaborative/1/model.onnx"))
    p = learn.two_tower(older, days, features)
    done("two_tower/1", export.two_tower(p, days, day - STALE, features, folder / "two_tower/1/model.onnx"))
    p = learn.two_tower(before, days, features)
    done("two_tower/2", export.two_tower(p, days, day, features, folder / "two_tower/2/model.onnx"))
    return paths


def ask(path, log, profile):
    """The items that a file gives for every row of the log."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    every = {"user": log.user[:, None].astype(np.int64), "recent": log.recent.astype(np.int64),
             "viewed": log.viewed.astype(np.int64), "profile": profile[log.user]}
    parts = [session.run(["items"], {k: v[at:at + 512] for k, v in every.items()})[0] for at in range(0, len(log.item), 512)]
    return np.concatenate(parts)


def tell(lists, log, few):
    """A table: HR@10 and NDCG@10 by segment and over all."""
    segment = judge.segment_of(log.purchases, few)
    print(f"{'':34}" + "".join(f"{s:>17}" for s in (*judge.SEGMENTS, "all")) + "      HR@10 NDCG@10")
    print(f"{'decisions':34}" + "".join(f"{n:>17}" for n in (*np.bincount(segment, minlength=3), len(segment))))
    for name, items in lists.items():
        place = items if items.ndim == 1 else judge.place_of(items, log.item)
        cells = [(judge.hits(place[m]).mean(), judge.ndcg(place[m]).mean())
                 for m in (segment == 0, segment == 1, segment == 2, segment >= 0)]
        print(f"{name:34}" + "".join(f"{h:>10.4f} {n:.4f}" for h, n in cells))


def routed(lists, log, few, blend):
    segment = judge.segment_of(log.purchases, few)[:, None]
    return np.where(segment == 0, lists["content_based"], np.where(segment == 1, blend, lists["two_tower/1"]))


def write_day(made, log, folder):
    """The day that is kept, and the catalogue, for whoever replays it and for the storefront."""
    rows = log.user
    np.savez_compressed(folder / "day.npz", second=log.second, user=log.user, purchases=log.purchases, recent=log.recent,
                        viewed=log.viewed, interests=made.profile[rows, :-1].astype(np.uint8),
                        budget=made.profile[rows, -1], item=log.item, best=log.best)
    catalogue = made.catalogue
    tags = [[world.TAG_NAMES[t] for t in np.flatnonzero(row)] for row in catalogue.tags]
    names = [f"{tags[i][i % 4]} {tags[i][(i + 1) % 4]} {world.NOUNS[catalogue.category[i]]}".capitalize() if i else ""
             for i in range(len(tags))]
    items = [{"id": i, "name": names[i], "category": world.CATEGORIES[catalogue.category[i]], "price": float(catalogue.price[i]),
              "tags": tags[i], "new": bool(catalogue.launch[i] > world.DAYS - 6)} for i in range(1, len(tags))]
    text = {"categories": world.CATEGORIES, "items": items}
    (folder / "catalogue.json").write_text(json.dumps(text, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--choose", action="store_true", help="keep the day before the last, and write nothing")
    args = parser.parse_args()
    begun = time.monotonic()
    made = world.make()
    say(begun, f"{len(made.log.item):,} purchases of {len(np.unique(made.log.user)):,} customers")
    day = world.DAYS - (2 if args.choose else 1)
    kept = made.log.rows(made.log.day == day)
    with tempfile.TemporaryDirectory() as scratch:
        paths = learn_all(made, day, pathlib.Path(scratch) if args.choose else SHOP / "models", begun)
        lists = {name: ask(path, kept, made.profile) for name, path in paths.items()}
    blend = judge.fuse([lists[m] for m in BLEND], BLEND.values())
    lists["blend"] = blend
    lists["route"] = routed(lists, kept, FEW, blend)
    if args.choose:
        for few in (1, 2, 3, 4, 6, 8, 12):
            lists[f"route, few <= {few}"] = routed(lists, kept, few, blend)
        for other in ("two_tower/1", "collaborative"):
            for weight in (0.5, 1.0, 2.0):
                lists[f"content_based + {weight} {other}"] = judge.fuse([lists["content_based"], lists[other]], [1, weight])
    lists["the truth's own order"] = np.minimum(kept.best, 10)
    tell(lists, kept, FEW)
    if not args.choose:
        write_day(made, kept, SHOP)
    say(begun, "done")


if __name__ == "__main__":
    main()
