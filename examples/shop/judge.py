"""How good a list of recommendations is: the item that was bought next is among the first ten (HR@10), and how far in front
(NDCG@10).  With one right item NDCG is 1 / log2(2 + place)."""

import numpy as np

SEGMENTS = ("new", "few", "regular")


def segment_of(purchases, few):
    """0: never bought; 1: up to `few` purchases; 2: more."""
    return np.where(purchases == 0, 0, np.where(purchases <= few, 1, 2))


def place_of(items, truth):
    """Where the truth stands in each row of items: 0 is first; 10 and more: not among the first ten."""
    is_it = items[:, :10] == truth[:, None]
    return np.where(is_it.any(axis=1), is_it.argmax(axis=1), 10)


def hits(place):
    return (place < 10).astype(float)


def ndcg(place):
    return np.where(place < 10, 1 / np.log2(2 + place), 0.0)


def paired_interval(first, second, rng, rounds=2000):
    """The mean of first - second, decision by decision, and its 95 % bootstrap interval."""
    difference = first - second
    if not len(difference):
        return 0.0, 0.0, 0.0
    # Differences of hits are -1, 0 or 1 and those of NDCG few enough: drawing counts of each value is drawing decisions.
    values, counts = np.unique(np.round(difference, 9), return_counts=True)
    means = rng.multinomial(len(difference), counts / len(difference), rounds) @ values / len(difference)
    return float(difference.mean()), *(float(v) for v in np.quantile(means, [0.025, 0.975]))


def fuse(lists, weights, k=60.0):
    """Reciprocal rank fusion of [rows, n] lists of items, as the server's: sum of weight / (k + place), places from 1; equals are
    ordered by their best place, then by the list that has it first."""
    rows = np.arange(len(lists[0]))[:, None]
    shape = len(lists[0]), int(max(items.max() for items in lists)) + 1
    score, best = np.zeros(shape), np.full(shape, 1e6)
    for member, (items, weight) in enumerate(zip(lists, weights)):
        place = np.arange(1, items.shape[1] + 1)
        score[rows, items] += weight / (k + place)
        best[rows, items] = np.minimum(best[rows, items], place + member / len(lists))
    return np.argsort(best * 1e-12 - score, axis=1, kind="stable")[:, :lists[0].shape[1]]
