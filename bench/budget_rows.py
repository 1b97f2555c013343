"""bench/budget_rows.py - the rows on the budget: does the process stay within it, does every byte have an account, and is reloading rare?

One trace is sent to a live server, in turns with either eviction policy, while its memory is watched from outside.  What the trace is, was
decided before anything was measured: see zipf_live()."""
import json
import random
import subprocess
import sys
import threading
from contextlib import contextmanager

import model_maker
from bench_harness import Row, Troupe, median
from collection import collection
from memory_rows import MIB, infer_request, mib

MODELS, ROOM, REQUESTS, CLIENTS = 200, 40, 1500, 4
TRIES = 20  # of a sample while accounts move
STORY = "Zipf(1.0) over 200 models, room for 40"


def pss_limit(budget):
    return 1.02 * budget + 32 * MIB


class Watch:
    """What a server holds: PSS every 10 ms, and what has no account every half second."""

    def __init__(self, bench, server):
        self.bench, self.server = bench, server
        self.unaccounted, self.over = 0.0, 0.0  # the most: bytes, and bytes beyond 5 % of PSS
        self.samples, self.torn = 0, 0
        self.pss = {}

    def look(self):
        """Both numbers at one time: a sample during which the accounts moved says nothing of either, and is taken again."""
        accounts = self.bench.metric(self.server, "troupe_account_bytes")
        for _ in range(TRIES):
            pss = self.bench.memory(self.server)["Pss"]
            before, accounts = accounts, self.bench.metric(self.server, "troupe_account_bytes")
            if abs(accounts - before) <= MIB:
                break
        else:
            self.torn += 1
            return
        self.samples += 1
        self.unaccounted = max(self.unaccounted, pss - accounts)
        self.over = max(self.over, pss - accounts - 0.05 * pss)

    @contextmanager
    def during(self):
        script = self.bench.root / "bench" / "watch_memory.py"
        process = subprocess.Popen([sys.executable, script, str(self.server.pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        done, failures = threading.Event(), []

        def accounts():
            try:
                while not done.wait(0.5):
                    self.look()
            except Exception as failure:  # whatever it is: without samples there is no row
                failures.append(failure)
        beside = threading.Thread(target=accounts)
        beside.start()
        try:
            yield self
        finally:
            done.set()
            beside.join()
            told = process.communicate()[0]
        if failures or process.returncode:
            raise RuntimeError(f"not watched: {failures}")
        self.pss = json.loads(told)


def in_turn(bench, server, requests, clients):
    """Sends the requests in order, so many at a time; each must be answered."""
    todo, lock, failures = iter(requests), threading.Lock(), []

    def client():
        try:
            with bench.connect(server) as line:
                line.settimeout(300)  # a busy machine is no failure: memory is what is measured
                while not failures:
                    with lock:
                        request = next(todo, None)
                    if request is None:
                        return
                    bench.exchange(line, request)
        except (OSError, RuntimeError) as failure:
            failures.append(failure)
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failures:
        raise RuntimeError(str(failures[0]))


# ---- Zipf ----

def prepare_what_can_be(bench, members, repository, store):
    told = bench.command("prepare", repository, "--store", store, "--json")
    refused = {m["model"].split("/")[0] for m in told["refused"]}
    if told["failed"] or refused != {m.name for m in members if m.kind == "sampler"}:
        raise RuntimeError(f"not prepared: {told['failed']} {refused}")


def live(bench, repository, settings, policy, once, trace):
    """One run of a fresh server: every model is asked once, so that each load of the trace is a reload; then the trace."""
    server = bench.start(Troupe(repository, settings=(*settings, f"memory.policy={policy}"), cpus=None, models=[]))
    watch = Watch(bench, server)

    def loads():
        return [bench.metric(server, name) for name in ("troupe_model_load_us_total", 'troupe_model_loads_total{result="ok"')]
    with watch.during():
        in_turn(bench, server, once, CLIENTS)
        begun = loads()
        in_turn(bench, server, trace, CLIENTS)
        us, n = (b - a for a, b in zip(begun, loads()))
    bench.stop(server)
    return {"reload_s": us / 1e6, "reloads": n, "watch": watch}


def zipf_live(bench):
    """The trace: rank i of a random order of the collection is asked for 1 / i as often as the first; 1,500 requests after one for each model.
    Four clients send it, each request when one before it is answered.  So it goes some twenty times faster than ten requests a second would, and
    `memory.stay` is a twentieth of its default.  Packed weights are off: opening them is a load, and no reload."""
    members = collection(bench.build / "bench" / "models" / "collection", MODELS)
    repository, store = members[0].path.parent, bench.path("store")
    prepare_what_can_be(bench, members, repository, store)
    budget = int(sum(m.path.stat().st_size for m in members) / MODELS * ROOM)
    rng = random.Random(1)
    ranked = rng.sample(members, MODELS)
    trace = [m.request() for m in rng.choices(ranked, [1 / (i + 1) for i in range(MODELS)], k=REQUESTS)]
    once = [m.request() for m in rng.sample(members, MODELS)]
    settings = (f"store.path={store}", "models.load=on_demand", f"memory.budget={budget}", "memory.stay=50ms", "store.pack_interval=0")
    bench.rounds = min(bench.rounds, 3)
    rounds = bench.interleave(lambda: live(bench, repository, settings, "cost", once, trace),
                              lambda: live(bench, repository, settings, "lru", once, trace))
    cost, lru = [a for a, _ in rounds], [b for _, b in rounds]
    ratios = sorted(a["reload_s"] / b["reload_s"] for a, b in rounds)
    watches = [r["watch"] for r in cost + lru]

    def told(runs):
        return f"{median(r['reload_s'] for r in runs):.2f} s ({median(r['reloads'] for r in runs):,.0f} loads)"
    return [
        pss_row("pss_zipf", STORY, budget, watches),
        accounts_row("pss_accounts", STORY, watches),
        Row("zipf_live", f"seconds of reloading, {STORY}, a live server: memory.policy cost / lru", told(cost), told(lru),
            f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})", "<= 0.80", median(ratios) <= 0.8),
    ]


def pss_row(name, story, budget, watches):
    most = max(w.pss["max_bytes"] for w in watches)
    samples, seconds = (sum(w.pss[k] for w in watches) for k in ("samples", "seconds"))
    return Row(name, f"{story}: most PSS of {samples:,} samples, one in {1e3 * seconds / samples:.0f} ms / memory.budget", mib(most), mib(budget),
               f"{most / budget:.3f} ({mib(most - budget)} above)" if most > budget else f"{most / budget:.3f}", "<= 1.02 + 32 MiB",
               most <= pss_limit(budget))


def accounts_row(name, story, watches):
    worst = max(watches, key=lambda w: w.over)
    samples, torn = (sum(getattr(w, k) for w in watches) for k in ("samples", "torn"))
    if samples < 10 * torn or samples == 0:
        raise RuntimeError(f"{torn} of {samples + torn} samples were torn")
    return Row(name, f"{story}: most PSS without an account, of {samples} samples", mib(worst.unaccounted), "-", "-", "<= 5 % of PSS + 32 MiB", worst.over <= 32 * MIB)


# ---- large batches ----

def batches(bench):
    """Three models whose activations are much larger than their weights, asked by six clients for batches of up to 16 rows at the same time: all
    runs together would hold several times the budget."""
    repository, budget = bench.folder("large"), 512 * MIB
    requests = []
    for i, width in enumerate((1.0, 0.75, 0.5)):
        model_maker.mobilenet_v2(width, seed=f"_{i}").write(repository / f"large{i}.onnx")
        requests.append([infer_request("mobilenet_v2", f"large{i}", rows) for rows in (1, 4, 16)])
    todo = [by_model[i] for i in (0, 1, 2, 2, 2) for by_model in requests for _ in range(4)]
    server = bench.start(Troupe(repository, settings=("models.load=on_demand", f"memory.budget={budget}", "memory.run_wait=5m"), cpus=None, models=[]))
    watch = Watch(bench, server)
    with watch.during():
        in_turn(bench, server, todo, 6)
    story = f"three MobileNetV2, six batches of 16 at once ({bench.metric(server, 'troupe_runs_short_total'):.0f} times no room)"
    return [pss_row("pss_batches", story, budget, [watch]), accounts_row("pss_batches_accounts", story, [watch])]


BUDGET_ROWS = {"zipf_live": zipf_live, "pss_batches": batches}
