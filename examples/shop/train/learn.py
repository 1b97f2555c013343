"""The four models, each learnt in plain numpy from what a shop knows (world.Log), and nothing else.

Every one of them gives a score to each item of the catalogue.  They differ in what they look at:

    popularity      what was bought lately, by anybody
    content_based   the profile, what is viewed, and what was bought, all by the catalogue's features: knows a customer at once
    collaborative   who bought what: implicit alternating least squares; has a vector of customers that it has learnt from, only
    two_tower       the last purchases in their order, through a network; an item has features and something of its own
"""

import numpy as np
import world

ITEMS = world.ITEMS


def item_features(catalogue):
    """[ITEMS + 1, features]: category, tags, price as five soft steps; zeros for item 0."""
    category = np.zeros((ITEMS + 1, len(world.CATEGORIES)), np.float32)
    category[np.arange(1, ITEMS + 1), catalogue.category[1:]] = 1
    level = np.log(np.maximum(catalogue.price, 0.01))
    level = (level - level[1:].mean()) / level[1:].std()
    steps = np.exp(-((level[:, None] - np.linspace(-1.6, 1.6, 5)[None, :]) ** 2) / 0.8)
    features = np.concatenate([category, catalogue.tags, steps], axis=1).astype(np.float32)
    features[0] = 0
    return features


class Days:
    """What is known of every item in the morning of a day: how often it was bought lately, and how new it is."""

    def __init__(self, catalogue, log, half_life=3.0):
        self.log_bought = np.zeros((world.DAYS + 1, ITEMS + 1), np.float32)
        self.newness = np.zeros((world.DAYS + 1, ITEMS + 1), np.float32)
        self.is_sold = np.zeros((world.DAYS + 1, ITEMS + 1), bool)
        lately = np.zeros(ITEMS + 1)
        for day in range(world.DAYS + 1):
            age = day - catalogue.launch
            self.is_sold[day] = age >= 0
            self.newness[day] = np.where(age >= 0, np.exp(-np.maximum(age, 0) / 3.0), 0)
            self.log_bought[day] = np.log(lately + 0.5)
            bought = np.bincount(log.item[log.day == day], minlength=ITEMS + 1)
            lately = lately * 0.5 ** (1 / half_life) + bought
        self.is_sold[:, 0] = False


class Adam:
    def __init__(self, params, rate, decay=0.0):
        self.p, self.rate, self.decay, self.step = params, rate, decay, 0
        self.mean = {k: np.zeros_like(v) for k, v in params.items()}
        self.square = {k: np.zeros_like(v) for k, v in params.items()}

    def update(self, grads, share):
        """One step; `share` of the learning rate."""
        self.step += 1
        for k, g in grads.items():
            self.mean[k] += 0.1 * (g - self.mean[k])
            self.square[k] += 0.001 * (g * g - self.square[k])
            change = (self.mean[k] / (1 - 0.9 ** self.step)) / (np.sqrt(self.square[k] / (1 - 0.999 ** self.step)) + 1e-8)
            self.p[k] -= np.float32(self.rate * share) * (change + np.float32(self.decay) * self.p[k]).astype(np.float32)


def batches(rng, rows, size, epochs):
    """(rows of a batch, share of the learning rate): every row once in an epoch."""
    total, done = epochs * ((rows + size - 1) // size), 0
    for _ in range(epochs):
        order = rng.permutation(rows)
        for at in range(0, rows, size):
            yield order[at:at + size], 0.5 * (1 + np.cos(np.pi * done / total))
            done += 1


def softmax_gradient(score, log, chosen, days):
    """The gradient of the mean cross-entropy for [rows, ITEMS + 1] scores; what cannot be bought does not count."""
    score[~days.is_sold[log.day[chosen]]] = -1e9
    rows = np.arange(len(chosen))[:, None]
    score[rows, log.recent[chosen]] = -1e9
    score -= score.max(axis=1, keepdims=True)
    g = np.exp(score, out=score)
    g /= g.sum(axis=1, keepdims=True)
    g[rows[:, 0], log.item[chosen]] -= 1
    g /= np.float32(len(chosen))
    return g


def daily_score(p, log, chosen, days):
    day = log.day[chosen]
    return p["lately"] * days.log_bought[day] + p["new"] * days.newness[day]


def daily_gradient(g, log, chosen, days):
    day = log.day[chosen]
    return {"lately": np.float32((g * days.log_bought[day]).sum()), "new": np.float32((g * days.newness[day]).sum())}


def dense(rng, inputs, outputs, gain=1.0):
    return (rng.standard_normal((inputs, outputs)) * gain / inputs ** 0.5).astype(np.float32)


# ---- popularity ----

def popularity(log, days, day):
    return {"score": days.log_bought[day].copy()}


# ---- content-based ----

HIDDEN = 64


def mean_of(features, items):
    """The mean features of a row's items, and whether it has any."""
    count = (items > 0).sum(axis=1, keepdims=True).astype(np.float32)
    weight = np.zeros((len(items), len(features)), np.float32)
    np.add.at(weight, (np.arange(len(items))[:, None], items), 1)
    weight[:, 0] = 0
    return (weight @ features) / np.maximum(count, 1), np.minimum(count, 1)


def content_inputs(features, profile, recent, viewed):
    return np.concatenate([profile, *mean_of(features, viewed), *mean_of(features, recent)], axis=1)


def content_based(log, days, features, profile, epochs=4, size=256):
    rng = np.random.default_rng(1)
    inputs, width = profile.shape[1] + 2 * (features.shape[1] + 1), features.shape[1]
    p = {"w1": dense(rng, inputs, HIDDEN), "b1": np.zeros(HIDDEN, np.float32), "w2": dense(rng, HIDDEN, width, 0.3),
         "w3": dense(rng, inputs, width, 0.3), "b2": np.zeros(width, np.float32), "lately": np.float32(1), "new": np.float32(0)}
    p = {k: np.asarray(v) for k, v in p.items()}
    adam = Adam(p, 3e-3, 1e-4)
    for chosen, share in batches(rng, len(log.item), size, epochs):
        x = content_inputs(features, profile[log.user[chosen]], log.recent[chosen], log.viewed[chosen])
        a = x @ p["w1"] + p["b1"]
        z = np.maximum(a, 0)
        wanted = z @ p["w2"] + x @ p["w3"] + p["b2"]
        g = softmax_gradient(wanted @ features.T + daily_score(p, log, chosen, days), log, chosen, days)
        dq = g @ features
        da = (dq @ p["w2"].T) * (a > 0)
        adam.update({"w1": x.T @ da, "b1": da.sum(axis=0), "w2": z.T @ dq, "w3": x.T @ dq, "b2": dq.sum(axis=0),
                     **daily_gradient(g, log, chosen, days)}, share)
    return p


# ---- collaborative ----

FACTORS = 32
LEAST = 3  # purchases of a customer who gets a vector
CONFIDENCE = 30.0
SHRINK = 6.0


def solve_side(other, rows, columns, count):
    """One half of a turn: for each row the vector that explains its columns best, all others counting a little against them."""
    gram = other.T @ other + SHRINK * np.eye(FACTORS)
    order = np.argsort(rows, kind="stable")
    rows, columns = rows[order], columns[order]
    ends = np.searchsorted(rows, np.arange(count + 1))
    vectors = np.zeros((count, FACTORS))
    for at in range(0, count, 512):
        many = min(512, count - at)
        left, right = np.repeat(gram[None], many, axis=0), np.zeros((many, FACTORS))
        for k in range(many):
            mine = other[columns[ends[at + k]:ends[at + k + 1]]]
            left[k] += CONFIDENCE * mine.T @ mine
            right[k] = (1 + CONFIDENCE) * mine.sum(axis=0)
        vectors[at:at + many] = np.linalg.solve(left, right[..., None])[..., 0]
    return vectors


def collaborative(log, turns=8):
    """Hu, Koren, Volinsky (ICDM 2008): vectors of customers with at least LEAST purchases, and of items."""
    count = np.bincount(log.user)
    members = np.flatnonzero(count >= LEAST)
    row_of = np.zeros(world.REGULARS + world.NEW_A_DAY * world.DAYS + 1, np.int32)
    row_of[members] = np.arange(1, len(members) + 1)
    known = row_of[log.user] > 0
    rows, columns = row_of[log.user[known]] - 1, log.item[known].astype(np.int64)
    rng = np.random.default_rng(2)
    items = 0.1 * rng.standard_normal((ITEMS + 1, FACTORS))
    for _ in range(turns):
        users = solve_side(items, rows, columns, len(members))
        items = solve_side(users, columns, rows, ITEMS + 1)
    users = np.concatenate([users.mean(axis=0, keepdims=True), users])  # who is not known is everybody
    return {"row_of": row_of, "users": users.astype(np.float16), "items": items.astype(np.float32)}


# ---- two towers ----

OUT = 32
HEADS = 2  # two weighted means over the last purchases, e.g. of the very last ones and of all


def position_weights(p, recent):
    """[HEADS, rows, RECENT]: how much each of the last purchases counts; they add up to 1, or 0 where there are none."""
    weight = np.exp(p["position"])[:, None, :] * (recent > 0)[None]
    return weight / np.maximum(weight.sum(axis=2, keepdims=True), 1e-6)


def item_tower(p, features, keep):
    hidden = np.maximum(features @ p["fa"] + p["fb"], 0)
    return hidden, hidden @ p["fc"] + keep * p["own"], keep * p["seen"] + features @ p["fs"]


def two_tower(log, days, features, epochs=8, size=256, rate=5e-3, decay=0.02):
    """Learns from purchases of customers who have bought before."""
    rng = np.random.default_rng(3)
    width, inputs = features.shape[1], HEADS * OUT + 1
    p = {"fa": dense(rng, width, HIDDEN, 2.0), "fb": np.zeros(HIDDEN, np.float32), "fc": dense(rng, HIDDEN, OUT),
         "own": dense(rng, ITEMS + 1, OUT, 1.0), "seen": dense(rng, ITEMS + 1, OUT, 1.0), "fs": dense(rng, width, OUT),
         "position": np.stack([-0.3 * np.arange(world.RECENT), np.zeros(world.RECENT)]).astype(np.float32)[:HEADS],
         "w1": dense(rng, inputs, HIDDEN), "b1": np.zeros(HIDDEN, np.float32), "w2": dense(rng, HIDDEN, OUT, 0.5),
         "w3": dense(rng, inputs, OUT, 0.5), "b2": np.zeros(OUT, np.float32), "bias": np.zeros(ITEMS + 1, np.float32),
         "lately": np.float32(1), "new": np.float32(0)}
    p = {k: np.array(v) for k, v in p.items()}
    adam = Adam(p, rate, decay)
    log = log.rows(log.purchases > 0)
    for chosen, share in batches(rng, len(log.item), size, epochs):
        recent = log.recent[chosen]
        keep = (rng.random((ITEMS + 1, 1)) > 0.1).astype(np.float32)  # so that features are learnt too
        hidden, vectors, seen = item_tower(p, features, keep)
        weight = position_weights(p, recent)
        pick = np.zeros((HEADS, len(chosen), ITEMS + 1), np.float32)
        rows = np.arange(len(chosen))[:, None]
        for h in range(HEADS):
            np.add.at(pick[h], (rows, recent), weight[h])
        x = np.concatenate([*(pick @ seen), np.log1p((recent > 0).sum(axis=1, keepdims=True)) / 3], axis=1).astype(np.float32)
        a = x @ p["w1"] + p["b1"]
        z = np.maximum(a, 0)
        user = z @ p["w2"] + x @ p["w3"] + p["b2"]
        g = softmax_gradient(user @ vectors.T + p["bias"] + daily_score(p, log, chosen, days), log, chosen, days)

        grads = {"bias": g.sum(axis=0), **daily_gradient(g, log, chosen, days)}
        dvectors, duser = g.T @ user, g @ vectors
        da = (duser @ p["w2"].T) * (a > 0)
        dx = da @ p["w1"].T + duser @ p["w3"].T
        grads |= {"w1": x.T @ da, "b1": da.sum(axis=0), "w2": z.T @ duser, "w3": x.T @ duser, "b2": duser.sum(axis=0)}
        dseen, dposition = np.zeros_like(seen), np.zeros_like(p["position"])
        for h in range(HEADS):
            dh = dx[:, h * OUT:(h + 1) * OUT]
            dseen += pick[h].T @ dh
            dweight = np.take_along_axis(dh @ seen.T, recent.astype(np.int64), axis=1)
            dposition[h] = (weight[h] * (dweight - (weight[h] * dweight).sum(axis=1, keepdims=True))).sum(axis=0)
        dhidden = (dvectors @ p["fc"].T) * (hidden > 0)
        grads |= {"own": keep * dvectors, "seen": keep * dseen, "fs": features.T @ dseen, "fc": hidden.T @ dvectors,
                  "fa": features.T @ dhidden, "fb": dhidden.sum(axis=0), "position": dposition}
        adam.update(grads, share)
    return p
