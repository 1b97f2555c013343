"""Votes, fused ranks, confidences and built-in steps on thousands of random cases, against numpy.

The arithmetic is asked through tests/arithmetic/arithmetic_driver.c, without a server.  Every reference here is written from the
definition in the header of its C file, the slow and plain way."""
import struct
import subprocess
import zlib

import numpy as np
import pytest

from conftest import BUILD

CASES = 400  # of each of some seventy kinds
NUMPY = {"BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2",
         "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
FLOATS = ["FP16", "BF16", "FP32", "FP64"]
NUMBERS = [*NUMPY, "BF16"]
CLOSE = {"FP16": 1e-3, "BF16": 8e-3, "FP32": 3e-7, "FP64": 1e-11}


def to_bytes(dtype, array):
    """The raw layout of doubles (of str or bytes for BYTES)."""
    if dtype == "BYTES":
        items = [x if isinstance(x, bytes) else str(x).encode() for x in np.asarray(array, dtype=object).reshape(-1)]
        return b"".join(struct.pack("<I", len(x)) + x for x in items)
    if dtype == "BF16":
        fraction, exponent = np.frexp(np.asarray(array, dtype=float))  # eight binary digits, halves to even
        kept = np.ldexp(np.rint(np.ldexp(fraction, 8)), exponent - 8)
        return (np.ascontiguousarray(kept, dtype="<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return np.asarray(array).astype(NUMPY[dtype]).tobytes()


def from_bytes(dtype, raw, shape):
    if dtype == "BYTES":
        items, at = [], 0
        while at < len(raw):
            n = struct.unpack_from("<I", raw, at)[0]
            items.append(raw[at + 4:at + 4 + n])
            at += 4 + n
        return np.array(items, dtype=object).reshape(shape)
    if dtype == "BF16":
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4").astype(float).reshape(shape)
    return np.frombuffer(raw, NUMPY[dtype]).reshape(shape)


def rounded(dtype, array):
    """What is left of doubles in a type of floats."""
    with np.errstate(over="ignore"):
        return from_bytes(dtype, to_bytes(dtype, array), np.shape(array)).astype(float)


class Failed(Exception):
    pass


class Arithmetic:
    def __init__(self):
        self.process = subprocess.Popen([BUILD / "tests/arithmetic_driver"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, case, *tensors):
        """Each tensor is None or (dtype, array) or (dtype, array, weight); gives a list of (dtype, array)."""
        message = [f"{case} {len(tensors)}\n".encode()]
        for tensor in tensors:
            if tensor is None:
                message.append(b"- 1 0 0\n")
                continue
            dtype, array, *weight = tensor
            raw = to_bytes(dtype, array)
            shape = " ".join(map(str, (np.ndim(array), *np.shape(array))))
            message.append(f"{dtype} {weight[0] if weight else 1!r} {len(raw)} {shape}\n".encode() + raw)
        self.process.stdin.write(b"".join(message))
        self.process.stdin.flush()
        word, *rest = self.process.stdout.readline().decode(errors="replace").rstrip("\n").split(" ", 2)
        if word == "error":
            raise Failed(" ".join(rest))
        assert word == "ok", f"the driver ended: {word} {rest}"
        return [self.read() for _ in range(int(rest[0]))]

    def read(self):
        dtype, _, size, rank, *shape = self.process.stdout.readline().decode().split()
        assert int(rank) == len(shape)
        return dtype, from_bytes(dtype, self.process.stdout.read(int(size)), tuple(map(int, shape)))

    def one(self, case, *tensors):
        (dtype, array), = self.ask(case, *tensors)
        return dtype, array


@pytest.fixture
def arithmetic():
    a = Arithmetic()
    yield a
    a.process.stdin.close()
    assert a.process.wait(60) == 0


@pytest.fixture
def rng(request):
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


def assert_close(dtype, got, want, context):
    want = rounded(dtype, want)
    np.testing.assert_allclose(got.astype(float), want, rtol=CLOSE[dtype], atol=CLOSE[dtype] * 1e-3, err_msg=str(context))


def random_values(rng, dtype, shape, nans=0.0):
    if dtype in FLOATS:
        values = rounded(dtype, rng.normal(0, 3, shape))
        return np.where(rng.random(shape) < nans, np.nan, values) if nans else values
    if dtype == "BOOL":
        return rng.integers(0, 2, shape).astype(float)
    info = np.iinfo(NUMPY[dtype])
    return rng.integers(max(info.min, -1000), min(info.max, 1000), shape).astype(float)


def softmax(x, axis=-1):
    with np.errstate(invalid="ignore", over="ignore"):
        e = np.exp(x - np.max(x, axis=axis, keepdims=True))
        return e / e.sum(axis=axis, keepdims=True)


def shape_of(rng, least=1, most=4):
    return tuple(int(n) for n in rng.integers(1, 7, rng.integers(least, most + 1)))


# ---- votes ----

def random_members(rng, shape, types, nans):
    members = []
    for _ in range(rng.integers(1, 7)):
        if rng.random() < 0.15:
            members.append(None)
            continue
        dtype = str(rng.choice(types))
        weight = float(rng.choice([0, 1, 1, 2, rng.random()]))
        members.append((dtype, random_values(rng, dtype, shape, nans), weight))
    return members


def present(members):
    """Arrays and weights of those that answered; weights sum to 1."""
    values = np.array([m[1] for m in members if m])
    weights = np.array([m[2] for m in members if m])
    return values, weights / weights.sum() if weights.sum() > 0 else np.full(len(weights), 1 / len(weights))


def by_element(kind, values, weights, trim):
    out = np.full(values.shape[1:], np.nan)
    for at in np.ndindex(out.shape):
        column = values[(slice(None), *at)]
        some = ~np.isnan(column)
        w = weights[some] if kind == "average" else np.ones(some.sum())
        column = np.sort(column[some]) if kind in ("median", "trimmed_mean") else column[some]
        if len(column) == 0 or w.sum() == 0:
            continue
        cut = int(trim * len(column))
        out[at] = {"average": lambda: (column * w).sum() / w.sum(), "mean": column.mean, "max": column.max,
                   "median": lambda: np.median(column), "trimmed_mean": lambda: column[cut:len(column) - cut].mean()}[kind]()
    return out


@pytest.mark.parametrize("kind", ["average", "mean", "median", "trimmed_mean", "max"])
def test_votes_on_elements(arithmetic, rng, kind):
    for case in range(CASES):
        shape, nans = shape_of(rng, 0), float(rng.choice([0, 0.2, 0.9]))
        members, trim, to = random_members(rng, shape, NUMBERS, nans), float(rng.choice([0, 0.1, 0.25, 0.49])), str(rng.choice(FLOATS))
        if not any(members):
            with pytest.raises(Failed, match="no member answered"):
                arithmetic.ask(f"vote {kind} 0 {trim} {to}", *members)
            continue
        dtype, got = arithmetic.one(f"vote {kind} 0 {trim} {to}", *members)
        assert dtype == to
        assert_close(to, got, by_element(kind, *present(members), trim), (case, members))


def usable_rows(values, weights, logits):
    """Scores of each member and row, NaN in all of a row that does not count."""
    rows = values.reshape(len(values), -1, values.shape[-1])
    if logits:
        rows = softmax(rows)
    bad = np.isnan(rows).any(axis=-1) | (weights == 0)[:, None]
    return np.where(bad[..., None], np.nan, rows)


def soft_vote(values, weights, logits):
    rows = usable_rows(values, weights, logits)
    out = np.full(rows.shape[1:], np.nan)
    for r in range(rows.shape[1]):
        some = ~np.isnan(rows[:, r, 0])
        if some.any():
            out[r] = (rows[some, r] * weights[some, None]).sum(axis=0) / weights[some].sum()
    return out.reshape(values.shape[1:])


@pytest.mark.parametrize("logits", [0, 1])
def test_soft_votes(arithmetic, rng, logits):
    for case in range(CASES):
        shape, nans = shape_of(rng), float(rng.choice([0, 0.1]))
        members, to = random_members(rng, shape, FLOATS, nans), str(rng.choice(FLOATS))
        if any(members):
            _, got = arithmetic.one(f"vote soft {logits} 0 {to}", *members)
            assert_close(to, got, soft_vote(*present(members), logits), (case, members))


@pytest.mark.parametrize("logits", [0, 1])
def test_hard_votes(arithmetic, rng, logits):
    ties = 0
    for case in range(CASES):
        shape, nans = shape_of(rng), float(rng.choice([0, 0.1]))
        members, to = random_members(rng, shape, FLOATS, nans), str(rng.choice(FLOATS))
        if not any(members):
            continue
        values, weights = present(members)
        _, got = arithmetic.one(f"vote hard {logits} 0 {to}", *members)
        got = got.astype(float).reshape(-1, shape[-1])
        rows = usable_rows(values, weights, logits)
        for r, row in enumerate(got):
            voters = [m for m in range(len(weights)) if not np.isnan(rows[m, r, 0])]
            if not voters:
                assert np.isnan(row).all(), (case, members)
                continue
            share = np.zeros(shape[-1])
            for m in voters:
                share[np.argmax(rows[m, r])] += weights[m]
            share /= sum(weights[m] for m in voters)
            score = rows[voters, r].sum(axis=0)
            best = [c for c in range(len(share)) if share[c] >= share.max() - 1e-9]
            winner = max(best, key=lambda c: (round(score[c], 9), -c))
            assert np.argmax(row) == winner, (case, r, members)
            if len(best) > 1:
                ties += 1
                assert (row[winner] > np.delete(row, winner)).all()
            np.testing.assert_allclose(row, share, atol=2 * CLOSE[to])
    assert ties > 20


def test_votes_of_labels(arithmetic, rng):
    for case in range(CASES):
        shape = shape_of(rng, 0)
        types = [t for t in NUMPY if t not in ("FP16", "FP32", "FP64", "UINT64")]
        members = [m and (m[0], np.clip(m[1], 0, 4), m[2]) for m in random_members(rng, shape, types, 0)]
        if not any(members):
            continue
        values, weights = present(members)
        _, got = arithmetic.one("vote hard 0 0 INT64", *members)
        for at in np.ndindex(shape):
            column = values[(slice(None), *at)]
            sums = {label: weights[column == label].sum() for label in column}
            best = max(sums.values())
            assert got[at] == min(label for label, w in sums.items() if w >= best - 1e-9), (case, at, members)


# ---- ranks ----

def worth(kind, k, place, places):
    return places - place + 1 if kind == "borda" else 1 / (k + place)


@pytest.mark.parametrize("kind", ["borda", "reciprocal_rank"])
def test_fused_scores(arithmetic, rng, kind):
    for case in range(CASES):
        shape, k, to = shape_of(rng), float(rng.choice([60, 1, 10])), str(rng.choice(["FP32", "FP64"]))
        members = random_members(rng, shape, NUMBERS, float(rng.choice([0, 0.2])))
        members = [m and (m[0], np.round(m[1]), m[2]) for m in members]  # so that some are equal
        if not any(members):
            continue
        values, weights = present(members)
        want = np.zeros(values.shape[1:])
        for m, w in enumerate(weights):
            for row in np.ndindex(shape[:-1]):
                scores = values[m][row]
                for i, score in enumerate(scores):
                    if not np.isnan(score):
                        place = 1 + (scores > score).sum() + ((scores == score).sum() - 1) / 2
                        want[(*row, i)] += w * worth(kind, k, place, shape[-1])
        _, got = arithmetic.one(f"rank {kind} {k} {to}", *members)
        assert_close(to, got, want, (case, members))


@pytest.mark.parametrize("dtype", ["INT32", "INT64", "BYTES"])
@pytest.mark.parametrize("kind", ["borda", "reciprocal_rank"])
def test_fused_lists(arithmetic, rng, kind, dtype):
    nobody = b"" if dtype == "BYTES" else -1
    for case in range(CASES // 2):
        rows, k, k_out = int(rng.integers(1, 4)), float(rng.choice([60, 1])), int(rng.integers(1, 9))
        members = []
        for _ in range(rng.integers(1, 5)):
            lists = rng.integers(-1, 8, (rows, int(rng.integers(0, 7))))
            if dtype == "BYTES":
                lists = np.array([b"" if x < 0 else b"x" * (x % 3) + str(x).encode() for x in lists.reshape(-1)],
                                 dtype=object).reshape(lists.shape)
            members.append((dtype, lists, float(rng.choice([1, 2, 0.5]))))
        weights = np.array([m[2] for m in members])
        weights = weights / weights.sum()
        longest = max(m[1].shape[1] for m in members)
        (_, ids), (_, scores) = arithmetic.ask(f"lists {kind} {k} {k_out}", *members)
        assert ids.shape == scores.shape == (rows, k_out)
        for r in range(rows):
            found = {}
            for m, (_, lists, _) in enumerate(members):
                seen = set()
                for place, item in enumerate(lists[r], 1):
                    if item == nobody or item in seen:
                        continue
                    seen.add(item)
                    score, best = found.get(item, (0, (10**9, 0)))
                    found[item] = (score + weights[m] * worth(kind, k, place, longest), min(best, (place, m)))
            order = sorted(found.items(), key=lambda x: (-round(x[1][0] * 2**36), x[1][1]))[:k_out]
            want = [item for item, _ in order] + [nobody] * (k_out - len(order))
            assert list(ids[r]) == want, (case, members)
            np.testing.assert_allclose(scores[r], [s for _, (s, _) in order] + [0] * (k_out - len(order)), rtol=1e-6)


# ---- confidence ----

@pytest.mark.parametrize("kind", ["max", "margin", "entropy"])
@pytest.mark.parametrize("logits", [0, 1])
def test_confidence(arithmetic, rng, kind, logits):
    for case in range(CASES):
        shape, dtype = shape_of(rng, 1, 3), str(rng.choice(FLOATS))
        x = random_values(rng, dtype, shape, float(rng.choice([0, 0.05])))
        if not logits:
            x = rounded(dtype, softmax(x) if rng.random() < 0.7 else x)
        p = x.reshape((1, 1, -1) if len(shape) == 1 else (shape[0], -1, shape[-1]))
        with np.errstate(over="ignore"):
            if p.shape[-1] == 1:
                one = 1 / (1 + np.exp(-p)) if logits else p
                p = np.concatenate([one, 1 - one], axis=-1)
            elif logits:
                p = softmax(p)
        want = np.ones(p.shape[0])
        for r, place in np.ndindex(p.shape[:2]):
            q = np.clip(p[r, place], 0, 1)
            if np.isnan(q).any() or q.sum() == 0:
                sure = 0
            elif kind == "max":
                sure = q.max()
            elif kind == "margin":
                sure = q.max() - np.sort(q)[-2]
            else:
                q = q[q > 0] / q.sum()
                sure = 1 + (q * np.log(q)).sum() / np.log(p.shape[-1])
            want[r] = min(want[r], sure)
        _, got = arithmetic.one(f"confidence {kind} {logits}", (dtype, x))
        np.testing.assert_allclose(got, np.clip(want, 0, 1), atol=1e-9, err_msg=str((case, x)))


# ---- built-in steps ----

def axis_of(rng, rank):
    return int(rng.integers(-rank, rank))


def test_softmax(arithmetic, rng):
    for case in range(CASES):
        shape, dtype = shape_of(rng), str(rng.choice(FLOATS))
        x, axis = random_values(rng, dtype, shape, float(rng.choice([0, 0.02]))), axis_of(rng, len(shape))
        got_type, got = arithmetic.one(f"op {{kind: softmax, axis: {axis}}}", (dtype, x))
        assert got_type == dtype
        assert_close(dtype, got, softmax(x, axis), (case, x))


def nan_is_least(x):
    return np.where(np.isnan(x), -np.inf, x)


def test_argmax(arithmetic, rng):
    for _ in range(CASES):
        shape, dtype = shape_of(rng), str(rng.choice(NUMBERS))
        x, axis = np.round(random_values(rng, dtype, shape, 0.1 if dtype in FLOATS else 0)), axis_of(rng, len(shape))
        keep = bool(rng.integers(0, 2))
        got_type, got = arithmetic.one(f"op {{kind: argmax, axis: {axis}, keep_axis: {str(keep).lower()}}}", (dtype, x))
        assert got_type == "INT64"
        np.testing.assert_array_equal(got, np.argmax(nan_is_least(x), axis=axis, keepdims=keep))


def test_top_k(arithmetic, rng):
    for _ in range(CASES):
        shape, dtype = shape_of(rng), str(rng.choice(NUMBERS))
        x, axis = np.round(random_values(rng, dtype, shape, 0.1 if dtype in FLOATS else 0)), axis_of(rng, len(shape))
        k = int(rng.integers(1, shape[axis] + 1))
        (value_type, values), (index_type, indices) = arithmetic.ask(f"op {{kind: top_k, axis: {axis}, k: {k}}}", (dtype, x))
        assert (value_type, index_type) == (dtype, "INT64")
        order = np.argsort(-nan_is_least(x), axis=axis, kind="stable").take(range(k), axis=axis)
        np.testing.assert_array_equal(indices, order)
        np.testing.assert_array_equal(values.astype(float), np.take_along_axis(x, order, axis))


def test_concatenate(arithmetic, rng):
    for _ in range(CASES):
        shape, dtype = shape_of(rng), str(rng.choice([*NUMBERS, "BYTES"]))
        axis, arrays = axis_of(rng, len(shape)), []
        for _ in range(rng.integers(1, 5)):
            one = list(shape)
            one[axis] = int(rng.integers(0, 4))
            arrays.append(random_strings(rng, one) if dtype == "BYTES" else random_values(rng, dtype, one))
        got_type, got = arithmetic.one(f"op {{kind: concatenate, axis: {axis}}}", *((dtype, a) for a in arrays))
        assert got_type == dtype
        np.testing.assert_array_equal(got if dtype == "BYTES" else got.astype(float), np.concatenate(arrays, axis=axis))


def random_strings(rng, shape):
    flat = [bytes(rng.integers(0, 256, rng.integers(0, 5), dtype="u1")) for _ in range(int(np.prod(shape)))]
    out = np.empty(len(flat), dtype=object)
    out[:] = flat
    return out.reshape(shape)


def test_gather(arithmetic, rng):
    for _ in range(CASES):
        shape, dtype = shape_of(rng), str(rng.choice([*NUMBERS, "BYTES"]))
        data = random_strings(rng, shape) if dtype == "BYTES" else random_values(rng, dtype, shape)
        axis = axis_of(rng, len(shape))
        n = shape[axis]
        indices = rng.integers(-n, n, shape_of(rng, 0, 3))
        index_type = str(rng.choice(["INT32", "INT64"]))
        case = f"op {{kind: gather, axis: {axis}}}"
        got_type, got = arithmetic.one(case, (dtype, data), (index_type, indices))
        assert got_type == dtype
        np.testing.assert_array_equal(got if dtype == "BYTES" else got.astype(float), np.take(data, indices, axis=axis))
        with pytest.raises(Failed, match=f"index {n}, of {n} elements"):
            arithmetic.ask(case, (dtype, data), (index_type, np.array([0, n])))


def test_threshold(arithmetic, rng):
    for _ in range(CASES):
        shape, dtype, to = shape_of(rng, 0), str(rng.choice(NUMBERS)), str(rng.choice(["BOOL", "FP32", "INT8"]))
        x, value = random_values(rng, dtype, shape, 0.1 if dtype in FLOATS else 0), float(rng.choice([0, 1, -2.5]))
        got_type, got = arithmetic.one(f"op {{kind: threshold, value: {value}, to: {to}}}", (dtype, x))
        assert got_type == to
        np.testing.assert_array_equal(got.astype(float), (x >= value).astype(float))


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("to", NUMBERS)
def test_cast(arithmetic, rng, dtype, to):
    for _ in range(CASES // 50):
        shape = shape_of(rng, 0)
        if dtype in FLOATS:
            x = rounded(dtype, rng.normal(0, 10.0 ** rng.integers(-3, 12), shape))
            x = np.where(rng.random(shape) < 0.1, rng.choice([np.nan, np.inf, -np.inf, 0.5, -0.5], shape), x)
        elif dtype == "BOOL":
            x = rng.integers(0, 2, shape).astype(bool)
        else:
            info = np.iinfo(NUMPY[dtype])
            x = rng.integers(info.min, info.max, shape, dtype=NUMPY[dtype], endpoint=True)
        raw = from_bytes(dtype, to_bytes(dtype, x), shape)
        got_type, got = arithmetic.one(f"op {{kind: cast, to: {to}}}", (dtype, raw))
        assert got_type == to
        if to in FLOATS:
            with np.errstate(over="ignore"):
                want = rounded(to, raw)
                rtol = CLOSE[to] if dtype in ("INT64", "UINT64") else 0  # these are rounded to doubles first
                np.testing.assert_allclose(got.astype(float), want, rtol=rtol)
            continue
        for a, b in zip(np.asarray(raw).reshape(-1), np.asarray(got).reshape(-1)):
            if to == "BOOL":
                assert b == (a != 0)
                continue
            info = np.iinfo(NUMPY[to])
            exact = 0 if a != a else float(a) if np.isinf(a) else int(a)
            assert int(b) == int(min(max(exact, info.min), info.max)), (a, b)


# ---- pictures ----

def as_nhwc(x, layout):
    x = x if x.ndim == 4 else x[None]
    return x if layout == "nhwc" else x.transpose(0, 2, 3, 1)


def from_nhwc(x, layout, rank):
    x = x if layout == "nhwc" else x.transpose(0, 3, 1, 2)
    return x if rank == 4 else x[0]


def random_picture(rng, dtype, layout):
    n, h, w, c = (int(v) for v in rng.integers(1, (3, 12, 12, 5)))
    x = random_values(rng, dtype, (n, h, w, c))
    rank = int(rng.integers(3, 5))
    return from_nhwc(x if rank == 4 else x[:1], layout, rank), c


def test_normalise(arithmetic, rng):
    for case in range(CASES):
        layout, to_layout = str(rng.choice(["nhwc", "nchw"])), str(rng.choice(["nhwc", "nchw"]))
        dtype, to = str(rng.choice(NUMBERS)), str(rng.choice(FLOATS))
        x, c = random_picture(rng, dtype, layout)
        scale = float(rng.choice([1 / 255, 1, 2]))
        mean, std = (rng.random(c) + 0.1).round(3), (rng.random(c) + 0.1).round(3)
        step = f"op {{kind: normalise, layout: {layout}, to_layout: {to_layout}, to: {to}, scale: {scale!r}, " \
               f"mean: {mean.tolist()}, std: {std.tolist()}}}"
        _, got = arithmetic.one(step, (dtype, x))
        want = (as_nhwc(x, layout) * scale - mean) / std
        assert_close(to, got, from_nhwc(want, to_layout, x.ndim), (case, step))


def weights_of(method, source, target):
    """The matrix that makes `target` pixels of `source`."""
    m, ratio = np.zeros((target, source)), source / target
    for i in range(target):
        centre = (i + 0.5) * ratio
        if method == "nearest":
            m[i, (2 * i + 1) * source // (2 * target)] = 1
        elif method == "bilinear":
            at = centre - 0.5
            low = int(np.floor(at))
            m[i, np.clip(low, 0, source - 1)] += 1 - (at - low)
            m[i, np.clip(low + 1, 0, source - 1)] += at - low
        else:
            reach = max(1.0, ratio)
            m[i] = np.maximum(0, 1 - np.abs(np.arange(source) + 0.5 - centre) / reach)
            m[i] /= m[i].sum()
    return m


@pytest.mark.parametrize("method", ["bilinear", "nearest", "area"])
def test_resize(arithmetic, rng, method):
    for case in range(CASES // 2):
        layout, dtype = str(rng.choice(["nhwc", "nchw"])), str(rng.choice(["UINT8", "FP32", "FP16", "INT16"]))
        x, _ = random_picture(rng, dtype, layout)
        h, w = (int(v) for v in rng.integers(1, 14, 2))
        _, got = arithmetic.one(f"op {{kind: resize, layout: {layout}, size: [{h}, {w}], method: {method}}}", (dtype, x))
        pixels = as_nhwc(x, layout)
        want = np.einsum("yh,nhwc,xw->nyxc", weights_of(method, pixels.shape[1], h), pixels, weights_of(method, pixels.shape[2], w))
        want = from_nhwc(want, layout, x.ndim)
        if dtype in FLOATS:
            np.testing.assert_allclose(got.astype(float), want, rtol=CLOSE[dtype], atol=1e-2 if dtype == "FP16" else 1e-5, err_msg=str(case))
        else:
            assert np.abs(got - want).max() <= 0.5 + 1e-9, case


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def pack_line(line, depth):
    """One line of samples, [w, samples]."""
    flat = line.reshape(-1)
    if depth == 16:
        return flat.astype(">u2").tobytes()
    bits = "".join(f"{int(v):0{depth}b}" for v in flat)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))


def png(samples, kind, depth, interlaced, extra=b""):
    h, w = samples.shape[:2]
    passes = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlaced else [samples]
    raw = b"".join(b"\0" + pack_line(line, depth) for p in passes if p.size for line in p)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, kind, 0, 0, int(interlaced))) + extra + \
        chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def rgba_of(samples, kind, depth, palette):
    """What the samples mean, [h, w, 4] of 0..255."""
    if kind == 3:
        return palette[samples[..., 0]]
    eight = (samples.astype(np.int64) * 255 * 2 + (1 << depth) - 1) // (2 * ((1 << depth) - 1))  # rounded half up
    colours = eight[..., :3] if kind in (2, 6) else np.repeat(eight[..., :1], 3, axis=-1)
    alpha = eight[..., -1:] if kind in (4, 6) else np.full(eight.shape[:2] + (1,), 255)
    return np.concatenate([colours, alpha], axis=-1)


@pytest.mark.parametrize("kind,depths", [(0, (1, 2, 4, 8, 16)), (2, (8, 16)), (3, (1, 2, 4, 8)), (4, (8, 16)), (6, (8, 16))])
def test_png(arithmetic, rng, kind, depths):
    for case in range(CASES // 10):
        depth, interlaced = int(rng.choice(depths)), bool(rng.integers(0, 2))
        h, w = (int(v) for v in rng.integers(1, 20, 2))
        samples = rng.integers(0, 1 << depth, (h, w, SAMPLES[kind]))
        palette, extra = rng.integers(0, 256, (256, 4)), b""
        if kind == 3:
            palette[:, 3] = 255
            palette[:100, 3] = rng.integers(0, 256, 100)
            n = 1 << depth
            extra = chunk(b"PLTE", palette[:n, :3].astype("u1").tobytes()) + chunk(b"tRNS", palette[:min(n, 100), 3].astype("u1").tobytes())
        if rng.random() < 0.3:
            extra = chunk(b"gAMA", struct.pack(">I", 100000)) + extra  # not applied
        file, rgba = png(samples, kind, depth, interlaced, extra), rgba_of(samples, kind, depth, palette)
        grey = (19595 * rgba[..., 0] + 38470 * rgba[..., 1] + 7471 * rgba[..., 2] + 32768) >> 16
        for channels, want in ((1, grey[..., None]), (3, rgba[..., :3]), (4, rgba)):
            dtype, got = arithmetic.one(f"op {{kind: decode, channels: {channels}}}", ("BYTES", np.array([file, file], dtype=object)))
            assert dtype == "UINT8" and got.shape == (2, h, w, channels)
            # libpng scales 16 bits with an error of its own below half a step
            assert np.abs(got[0].astype(int) - want).max() <= (1 if depth == 16 else 0), (case, depth, interlaced, channels)
            np.testing.assert_array_equal(got[0], got[1])


def test_pictures_of_several_sizes(arithmetic, rng):
    files = np.array([png(rng.integers(0, 256, (h, w, 3)), 2, 8, False) for h, w in ((5, 9), (8, 8), (20, 3))], dtype=object)
    _, got = arithmetic.one("op {kind: decode, size: [8, 8]}", ("BYTES", files[:, None]))
    assert got.shape == (3, 8, 8, 3)
    for i, file in enumerate(files):
        _, alone = arithmetic.one("op {kind: decode}", ("BYTES", np.array([file], dtype=object)))
        _, small = arithmetic.one("op {kind: resize, size: [8, 8]}", ("UINT8", alone))
        np.testing.assert_array_equal(got[i], small[0])
    with pytest.raises(Failed, match="file 1: 8 x 8 pixels, the first has 9 x 5: give the step a size"):
        arithmetic.ask("op {kind: decode}", ("BYTES", files))
