"""Replays the day that no model has seen, with the server's clock set to its hours, and keeps what was answered."""
import datetime
import json
import math
import queue
import threading
import time
from dataclasses import dataclass

import client
import numpy as np

DATE = datetime.datetime(2026, 3, 30, tzinfo=datetime.timezone.utc)  # the day that is replayed
QUARTERS = 96
WORKERS = 6
CAMPAIGN_ROWS = 256
CAMPAIGN_LINES = 12
HEADERS_OF_CAMPAIGN = {"Content-Type": "application/json", "troupe-priority": "batch"}  # customers go first


@dataclass
class Answer:
    """What became of one decision."""
    items: list
    model: str
    version: int
    why: str
    ms: float
    campaign: bool  # while the campaign ran


class Day:
    """The decisions of the day, one for each purchase, in their order."""

    def __init__(self, path):
        with np.load(path) as stored:
            self.__dict__.update({k: stored[k] for k in stored.files})
        self.profile = np.round(np.concatenate([self.interests, self.budget[:, None]], axis=1).astype(float), 4)

    def __len__(self):
        return len(self.item)

    def customer(self, row):
        """Who decides in this row, as the shop knew it just before."""
        return {"user": int(self.user[row]), "purchases": int(self.purchases[row]), "recent": self.recent[row].tolist(),
                "viewed": self.viewed[row].tolist(), "profile": self.profile[row].tolist()}

    def questions(self, rows):
        """One request of many rows."""
        others = (a[rows].ravel().tolist() for a in (self.recent, self.viewed, self.profile))
        return {"inputs": client.tensors(self.user[rows].tolist(), *others)}


def ask_all(troupe, model, day, rows_at_once=256):
    """The items that one model gives for every decision: [decisions, 20]."""
    name, _, version = model.partition("/")
    path = f"/v2/models/{name}" + (f"/versions/{version}" if version else "")
    parts = []
    for at in range(0, len(day), rows_at_once):
        body = day.questions(np.arange(at, min(at + rows_at_once, len(day))))
        reply = troupe.json("POST", path + "/infer", body)
        items = next(o for o in reply["outputs"] if o["name"] == "items")
        parts.append(np.array(items["data"], np.int64).reshape(items["shape"]))
    return np.concatenate(parts)


class Clock:
    """The server's wall clock, which `time.adjustable` lets us set."""

    def __init__(self, troupe):
        self.troupe = troupe

    def set(self, moment):
        ahead = moment - datetime.datetime.now(datetime.timezone.utc)
        self.troupe.json("POST", "/api/time", {"offset": f"{math.ceil(ahead.total_seconds())}s"})  # never before the moment

    def reset(self):
        self.troupe.json("POST", "/api/time", {"offset": "0s"})


class Campaign:
    """Real load: recommendations for the newsletter, for many customers at once, over and over, for so many seconds at most."""

    def __init__(self, address, day, seconds_max):
        body = day.questions(np.arange(CAMPAIGN_ROWS) % len(day))
        self.body, self.address, self.ended = json.dumps(body).encode(), address, threading.Event()
        self.until = time.monotonic() + seconds_max
        self.answered, self.refused, self.lock = 0, 0, threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(CAMPAIGN_LINES)]
        for thread in self.threads:
            thread.start()

    def run(self):
        line = client.Client(self.address)
        while not self.ended.is_set() and time.monotonic() < self.until:
            try:
                status, _ = line.request("POST", client.infer_path("two_tower"), self.body, HEADERS_OF_CAMPAIGN)
            except OSError:
                break
            with self.lock:
                self.answered += status == 200
                self.refused += status != 200
            if status != 200:
                time.sleep(0.05)
        line.close()

    @property
    def is_running(self):
        return any(thread.is_alive() for thread in self.threads)

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()


class Replay:
    """Sends every decision to the route, as fast as the day goes: `seconds` for all of it."""

    def __init__(self, address, day, seconds, route="recommend"):
        self.day, self.seconds, self.path = day, seconds, client.infer_path(route)
        self.answers, self.errors, self.campaign = [None] * len(day), [], False
        self.troupe, self.work = client.Client(address), queue.Queue()
        self.threads = [threading.Thread(target=self.serve, daemon=True) for _ in range(WORKERS)]
        for thread in self.threads:
            thread.start()

    def serve(self):
        while (row := self.work.get()) is not None:
            try:
                self.answers[row] = self.ask(row)
            except (OSError, RuntimeError, ValueError, KeyError, StopIteration) as error:
                self.errors.append(f"decision {row}: {type(error).__name__}: {error}")
            finally:
                self.work.task_done()
        self.troupe.close()
        self.work.task_done()

    def ask(self, row):
        body = json.dumps(client.question(self.day.customer(row))).encode()
        begun, campaign = time.monotonic(), self.campaign
        status, text = self.troupe.request("POST", self.path, body, {"Content-Type": "application/json"})
        took = (time.monotonic() - begun) * 1e3
        if status != 200:
            raise RuntimeError(f"{status} {text[:300].decode(errors='replace')}")
        reply = json.loads(text)
        why = reply.get("parameters", {}).get("troupe_choice", "")
        return Answer(client.items_of(reply), reply["model_name"], int(reply["model_version"]), why, took, campaign or self.campaign)

    def run(self, clock, at_quarter):
        """`at_quarter(n)` is called when the n-th quarter of an hour begins."""
        rows_of = np.searchsorted(self.day.second, np.arange(QUARTERS + 1) * 900)
        for quarter in range(QUARTERS):
            clock.set(DATE + datetime.timedelta(minutes=15 * quarter))
            at_quarter(quarter)
            begun, length = time.monotonic(), self.seconds / QUARTERS
            for row in range(rows_of[quarter], rows_of[quarter + 1]):
                ahead = begun + (int(self.day.second[row]) % 900) / 900 * length - time.monotonic()
                if ahead > 0.001:
                    time.sleep(ahead)
                self.work.put(row)
            self.work.join()  # so that no answer is of another hour than its question
            left = begun + length - time.monotonic()
            if left > 0:
                time.sleep(left)

    def end(self):
        for _ in self.threads:
            self.work.put(None)
        for thread in self.threads:
            thread.join()
        self.troupe.close()
