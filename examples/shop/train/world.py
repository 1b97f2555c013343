"""The shop's world: what is sold, who comes, and who buys what, day by day, drawn from tastes that are known.

Nothing here is looked at by a model but what a shop sees: the catalogue (category, tags, price, day of launch), the profile that
a customer fills in, what is viewed in a visit, and what is bought.  A taste has two halves.  One is about what the catalogue says
of an item, the other about its look, which nothing in the catalogue tells: it shows only in who else buys it.  Tastes drift from day
to day, categories come into fashion and go, items are launched (15 % of them during the month), and of every day's customers many
were never there before.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one order of additions, so that results repeat
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from dataclasses import dataclass

import numpy as np

SEED = 11
DAYS = 30
ITEMS = 1200  # numbered from 1; 0 is "none"
RECENT = 20  # purchases that a request carries, the last one first
VIEWED = 5  # items viewed in this visit
REGULARS = 4000  # customers of the first day
NEW_A_DAY = 1000
RETURN_SHARE = 0.2  # of the new ones, who become customers
TASTE = 8  # numbers in either half of a taste
TAGS = 24
TAGS_EACH = 4

CATEGORIES = ["shoes", "bags", "watches", "kettles", "lamps", "chairs", "rugs", "knives", "tents", "bicycles", "skis", "books",
              "games", "puzzles", "headphones", "cameras", "keyboards", "plants", "teas", "coffees", "soaps", "scarves", "coats",
              "toys"]
NOUNS = ["shoes", "bag", "watch", "kettle", "lamp", "chair", "rug", "knife", "tent", "bicycle", "skis", "book", "game", "puzzle",
         "headphones", "camera", "keyboard", "plant", "tea", "coffee", "soap", "scarf", "coat", "toy"]
TAG_NAMES = ["wool", "linen", "oak", "steel", "glass", "brass", "cork", "leather", "light", "sturdy", "foldable", "handmade",
             "travel", "garden", "kitchen", "office", "winter", "summer", "gift", "quiet", "bright", "organic", "repairable",
             "classic"]

# How much of a choice is what: standard deviations in the logarithm of a choice's odds.
ZIPF = 0.75
CONTENT = 1.5
LOOK = 2.2
PRICE = 0.7
FASHION = 0.35
NOVELTY = 1.2
DRIFT_CONTENT, DRIFT_LOOK = 0.985, 0.985  # what is left of a taste after a day
VIEW_HEAT = 1.6  # visits are less choosy than purchases

# Purchases by hour of the day.
HOURS = np.array([14, 8, 6, 5, 5, 7, 14, 26, 38, 46, 50, 52, 58, 54, 48, 46, 50, 60, 74, 92, 100, 84, 52, 28], float)


@dataclass
class Catalogue:
    category: np.ndarray  # [ITEMS + 1] of CATEGORIES; of item 0: -1
    tags: np.ndarray  # [ITEMS + 1, TAGS] 0 or 1
    price: np.ndarray  # [ITEMS + 1] in the currency's units
    launch: np.ndarray  # [ITEMS + 1] the day from which on it is sold; before the first: -100


@dataclass
class Log:
    """One row for each purchase, in the order in which they happened, with what the shop knew just before it."""
    day: np.ndarray
    second: np.ndarray  # of the day
    user: np.ndarray  # from 1
    item: np.ndarray
    purchases: np.ndarray  # of this user, before this one
    recent: np.ndarray  # [rows, RECENT] items, the last one first, then 0
    viewed: np.ndarray  # [rows, VIEWED] items, then 0
    best: np.ndarray  # where the item stands in the order of the true odds, from 0: how good anybody could be

    def rows(self, mask):
        return Log(*(getattr(self, f)[mask] for f in self.__dataclass_fields__))


@dataclass
class World:
    catalogue: Catalogue
    profile: np.ndarray  # [users + 1, len(CATEGORIES) + 1]: 1 for what one says to like, and the budget
    log: Log


def normal(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def gumbel(rng, shape):
    return -np.log(-np.log(rng.random(shape, dtype=np.float32) + np.float32(1e-12)))


def make_items(rng):
    category = rng.integers(0, len(CATEGORIES), ITEMS)
    centre = normal(rng, len(CATEGORIES), TASTE)
    content = centre[category] + 0.6 * normal(rng, ITEMS, TASTE)
    direction = normal(rng, TAGS, TASTE)
    wanted = content @ direction.T + 0.7 * normal(rng, ITEMS, TAGS)
    tags = np.zeros((ITEMS + 1, TAGS), np.float32)
    np.put_along_axis(tags[1:], np.argsort(-wanted, axis=1)[:, :TAGS_EACH], 1, axis=1)
    level = 0.8 * normal(rng, len(CATEGORIES))[category] + 0.6 * normal(rng, ITEMS)  # the logarithm of the price, standard
    looks = normal(rng, 14, TASTE)
    look = looks[rng.integers(0, len(looks), ITEMS)] + 0.5 * normal(rng, ITEMS, TASTE)
    rank = rng.permutation(ITEMS) + 1
    launch = np.where(rng.random(ITEMS) < 0.15, rng.integers(3, DAYS, ITEMS), -100)
    none = np.array([-1])
    catalogue = Catalogue(np.concatenate([none, category]), tags, np.concatenate([[0.0], np.round(np.exp(3.4 + 0.9 * level), 2)]),
                          np.concatenate([none * 100, launch]))
    hidden = {"content": content / content.std(), "look": look / look.std(), "level": level / level.std(), "centre": centre,
              "base": (-ZIPF * np.log(rank)).astype(np.float32), "category": category, "launch": launch}
    return catalogue, hidden


def make_users(rng, hidden):
    users = REGULARS + NEW_A_DAY * DAYS
    joined = np.concatenate([np.full(REGULARS, -1), np.repeat(np.arange(DAYS), NEW_A_DAY)])
    favourites = rng.integers(0, len(CATEGORIES), (users, 3))
    share = np.array([1.0, 0.7, 0.4], np.float32)[None, :, None]
    content = (hidden["centre"][favourites] * share).sum(axis=1) + 0.7 * normal(rng, users, TASTE)
    content /= content.std()
    tribes = normal(rng, 14, TASTE)
    look = tribes[rng.integers(0, len(tribes), users)] + 0.5 * normal(rng, users, TASTE)
    look /= look.std()
    budget = normal(rng, users)
    stays = (joined < 0) | (rng.random(users) < RETURN_SHARE)
    rate = np.exp(np.log(np.where(joined < 0, 0.35, 0.25)) + 0.8 * rng.standard_normal(users)) * stays
    likes = content @ hidden["centre"].T
    likes = likes / likes.std() + 0.6 * normal(rng, users, len(CATEGORIES))
    profile = np.zeros((users + 1, len(CATEGORIES) + 1), np.float32)
    np.put_along_axis(profile[1:, :-1], np.argsort(-likes, axis=1)[:, :3], 1, axis=1)
    profile[1:, -1] = np.round(budget + 0.4 * normal(rng, users), 2)
    return {"joined": joined, "content": content, "look": look, "budget": budget, "rate": rate, "profile": profile}


def odds(world_day, hidden, users, who):
    """The logarithm of the odds, but for a constant: [len(who), ITEMS]."""
    score = (users["content"][who] @ hidden["content"].T) * np.float32(CONTENT / TASTE ** 0.5)
    score += (users["look"][who] @ hidden["look"].T) * np.float32(LOOK / TASTE ** 0.5)
    score -= np.float32(PRICE) * np.abs(users["budget"][who, None] - hidden["level"][None, :])
    return score + world_day


def visits(rng, users, day):
    """Who comes today, and when: for each visit its user and second, those of one user in the order of time."""
    come = rng.poisson(users["rate"] * (users["joined"] < day))
    come += np.where(users["joined"] == day, 1 + rng.poisson(0.4, len(come)), 0)
    who = np.repeat(np.arange(len(come)), come)
    second = rng.choice(24, len(who), p=HOURS / HOURS.sum()) * 3600 + rng.integers(0, 3600, len(who))
    order = np.lexsort((second, who))
    who, second = who[order], second[order]
    nth = np.arange(len(who)) - np.repeat(np.cumsum(come) - come, come)
    return who, second, nth


class Shop:
    """Keeps what has been bought, and draws what is bought next."""

    def __init__(self, users):
        self.bought = np.zeros((users, ITEMS), bool)
        self.recent = np.zeros((users, RECENT), np.int16)
        self.count = np.zeros(users, np.int32)

    def buy(self, rng, who, score):
        """One purchase of each of `who`, who are different: what was known before it, what was viewed, the item, its rank."""
        score = np.where(self.bought[who], np.float32(-1e9), score)
        item = np.argmax(score + gumbel(rng, score.shape), axis=1)
        seen = score / np.float32(VIEW_HEAT) + gumbel(rng, score.shape)
        rows = np.arange(len(who))
        seen[rows, item] = -np.inf  # what is bought is not what was looked at before
        top = np.argpartition(-seen, VIEWED, axis=1)[:, :VIEWED]
        viewed = rng.permuted(top, axis=1) + 1
        viewed[np.arange(VIEWED)[None, :] >= rng.integers(1, VIEWED + 1, len(who))[:, None]] = 0
        best = (score > score[rows, item][:, None]).sum(axis=1)
        known = self.count[who].copy(), self.recent[who].copy()
        self.bought[who, item] = True
        self.recent[who] = np.concatenate([(item + 1).astype(np.int16)[:, None], self.recent[who][:, :-1]], axis=1)
        self.count[who] += 1
        return *known, viewed.astype(np.int16), (item + 1).astype(np.int16), best.astype(np.int16)


def make():
    rng = np.random.default_rng(SEED)
    catalogue, hidden = make_items(rng)
    users = make_users(rng, hidden)
    shop = Shop(len(users["joined"]))
    fashion = FASHION * normal(rng, len(CATEGORIES))
    parts = []
    for day in range(DAYS):
        for half, left in (("content", DRIFT_CONTENT), ("look", DRIFT_LOOK)):
            users[half] = left * users[half] + np.float32((1 - left ** 2) ** 0.5) * normal(rng, *users[half].shape)
        fashion = 0.9 * fashion + FASHION * np.float32(0.19 ** 0.5) * normal(rng, len(CATEGORIES))
        age = day - hidden["launch"]
        today = hidden["base"] + fashion[hidden["category"]] + np.float32(NOVELTY) * np.exp(-np.maximum(age, 0) / 3.0)
        today = np.where(age >= 0, today, -1e9).astype(np.float32)
        who, second, nth = visits(rng, users, day)
        for turn in range(nth.max() + 1):
            chosen = np.flatnonzero(nth == turn)
            for at in range(0, len(chosen), 1000):
                part = chosen[at:at + 1000]
                count, recent, viewed, item, best = shop.buy(rng, who[part], odds(today, hidden, users, who[part]))
                parts.append((np.full(len(part), day, np.int16), second[part].astype(np.int32), (who[part] + 1).astype(np.int32),
                              item, count.astype(np.int16), recent, viewed, best))
    columns = [np.concatenate(c) for c in zip(*parts)]
    order = np.lexsort((columns[1], columns[0]))
    return World(catalogue, users["profile"], Log(*(c[order] for c in columns)))
