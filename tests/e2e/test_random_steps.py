"""A thousand random loads, unloads, swaps, evictions and requests, broken files, requests in flight and bursts of batches that do not fit
into memory together among them, against a model of what must hold after each: who answers, with what, which states the index has, how
often something was loaded; and, when all of it is unloaded, that nothing is left.  The seed is printed; TROUPE_SEED and TROUPE_STEPS choose others."""
import json
import os
import random
import shutil
import threading

import numpy as np
import onnxruntime

from conftest import COUNTS_MEMORY, SLOW
from test_budget import ENV, MIB, baseline
from test_prepared import MAGIKA
from test_replacement import put
from test_residency import one
from test_repository import IDENTITY, NEGATED, X, index, load, post
from triton_support import BAD

SEED, STEPS = int(os.environ.get("TROUPE_SEED", "1")), int(os.environ.get("TROUPE_STEPS", "1000"))
BROKEN = [BAD / name for name in ("truncated.onnx", "corrupt.onnx", "unknown_operator.onnx", "text.onnx", "git_lfs_pointer.onnx")]
ROW, ROWS_MAX = 2 << 20, 64
BYTES = np.random.default_rng(7).integers(0, 256, (1, 2048)).astype(np.int32)


class Model:
    """What a model of the repository should be: the files it has, the version that was loaded of them (0: none), and whether it was
    evicted since."""

    def __init__(self, folder, name):
        self.folder, self.name = folder / name, name
        self.newest = self.loaded = 0
        self.is_cold = False

    def path(self, version):
        return self.folder / str(version) / "model.onnx"

    def add(self, rng):
        """Puts the next version beside the others; sometimes they go."""
        older, self.newest = self.newest, self.newest + 1
        self.write(rng, self.path(self.newest))
        if older and older != self.loaded and rng.random() < 0.5:
            shutil.rmtree(self.folder / str(older))

    def ask(self, server):
        return post(server, f"/v2/models/{self.name}/infer", self.request())


class Sign(Model):
    """y = x or y = -x, by version: small, loaded plainly."""

    def __init__(self, folder, name):
        super().__init__(folder, name)
        self.signs = {}

    def write(self, rng, path):
        self.signs[self.newest] = rng.choice([1, -1])
        put(IDENTITY if self.signs[self.newest] == 1 else NEGATED, path)

    def request(self):
        return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": X.ravel().tolist()}]}

    def is_right(self, version, data):
        return data == (self.signs[version] * X).ravel().tolist()


class Weighty(Model):
    """A model that is prepared; each version is another file with the same answers."""
    session, expected = None, None

    def write(self, rng, path):
        note = f"{rng.random():.9f}".encode()  # in its doc_string
        path.parent.mkdir(parents=True)
        beside = self.folder / ".new"
        beside.write_bytes(MAGIKA.read_bytes() + b"\x32" + bytes([len(note)]) + note)
        os.replace(beside, path)

    def request(self):
        return {"inputs": [{"name": "bytes", "datatype": "INT32", "shape": [1, 2048], "data": BYTES.ravel().tolist()}]}

    def is_right(self, version, data):
        if Weighty.expected is None:
            Weighty.expected = onnxruntime.InferenceSession(str(MAGIKA)).run(None, {"bytes": BYTES})[0].ravel()
        return np.allclose(data, Weighty.expected, rtol=1e-4, atol=1e-5)


class Slow(Model):
    """Answers after a while, so that there is always something in flight when it is swapped or unloaded."""

    def write(self, rng, path):
        put(f"sleep {rng.choice([5, 20, 50])}ms\n", path.with_name("model.echo"))

    def request(self):
        return {"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, 3], "data": X.ravel().tolist()}]}

    def is_right(self, version, data):
        return data == X.ravel().tolist()


class Wide(Slow):
    """Takes batches, and holds so much for each row that large ones wait for each other, or are done in parts."""

    def write(self, rng, path):
        put(f"input INPUT0 FP32 [-1,3]\noutput OUTPUT0 FP32 [-1,3]\nholds_row {ROW}\nsleep {rng.choice([1, 5])}ms\n", path.with_name("model.echo"))

    def batch(self, rows, first):
        data = [float(first + i) for i in range(3 * rows)]
        return data, {"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [rows, 3], "data": data}]}


class Steps:
    def __init__(self, server, models, rng):
        self.server, self.models, self.rng = server, models, rng
        self.loads = self.failures = 0
        self.history = []

    def pick(self, *kinds):
        return self.rng.choice([m for m in self.models if not kinds or isinstance(m, kinds)])

    # ---- what is done ----

    def infer(self):
        model = self.pick()
        self.expect_answer(model)
        return model.name

    def expect_answer(self, model):
        status, reply = model.ask(self.server)
        if not model.loaded:
            assert status in (404, 503) and model.name in reply["error"], reply
            return
        assert status == 200, reply
        if model.is_cold:  # and pinned again, as what is loaded by name
            assert post(self.server, f"/api/models/{model.name}/pin")[0] == 200
        self.loads += model.is_cold
        model.is_cold = False
        assert reply["model_version"] == str(model.loaded)
        assert model.is_right(model.loaded, reply["outputs"][0]["data"])

    def load(self):
        model = self.pick()
        self.load_newest(model)
        return model.name

    def load_newest(self, model):
        status, reply = load(self.server, model.name)
        assert status == 200, reply
        self.loads += model.loaded != model.newest or model.is_cold
        model.loaded, model.is_cold = model.newest, False

    def unload(self):
        model = self.pick()
        self.unload_one(model)
        return model.name

    def unload_one(self, model):
        assert post(self.server, f"/v2/repository/models/{model.name}/unload")[0] == 200
        model.loaded, model.is_cold = 0, False

    def evict(self):
        """It goes, and the next request has it loaded again; what was loaded by name is pinned until then."""
        model = self.pick()
        for verb in ("unpin", "evict"):
            status, reply = post(self.server, f"/api/models/{model.name}/{verb}")
            assert status == 200, reply
        model.is_cold = bool(model.loaded)
        return model.name

    def sleep(self):
        """Nobody asks for it until it hibernates, or has gone where that does not pay or was not known to; the next request finds it either way."""
        model, metric = self.pick(Weighty), self.server.metric
        self.load_newest(model)
        status, reply = post(self.server, f"/v2/repository/models/{model.name}/load", {"parameters": {"keep_alive": "300ms"}})
        assert status == 200, reply

        def is_awake():
            m = one(self.server, model.name)
            return m is not None and m["residency"] == "mapped"
        self.server.wait(lambda: not is_awake(), f"{model.name} to sleep or go")
        self.expect_answer(model)
        self.load_newest(model)  # pinned again
        assert metric("troupe_model_loads_total", result="ok") in (self.loads, self.loads + 1)
        self.loads = metric("troupe_model_loads_total", result="ok")
        return model.name

    def swap(self):
        model = self.pick()
        model.add(self.rng)
        self.load_newest(model)
        self.expect_answer(model)
        return f"{model.name} to {model.newest}"

    def broken_swap(self):
        """A version that cannot be loaded: what served goes on serving."""
        model = self.pick(Sign, Weighty)
        if model.is_cold:  # else nothing serves that could go on
            self.expect_answer(model)
        broken = model.path(model.newest + 1)
        put(self.rng.choice(BROKEN), broken)
        status, reply = load(self.server, model.name)
        assert status == 400 and f"version {model.newest + 1}" in reply["error"], reply
        self.failures += 1
        self.expect_answer(model)
        shutil.rmtree(broken.parent)
        if model.loaded:
            self.load_newest(model)
        return model.name

    def in_flight(self):
        """Requests run while their model is swapped or unloaded: each is answered rightly, or told that there is none."""
        model, replies = self.pick(Slow), []
        self.load_newest(model)
        version = model.loaded
        threads = [threading.Thread(target=lambda: replies.append(model.ask(self.server))) for _ in range(4)]
        for thread in threads:
            thread.start()
        if self.rng.random() < 0.5:
            model.add(self.rng)
            self.load_newest(model)
        else:
            self.unload_one(model)
        for thread in threads:
            thread.join()
        assert len(replies) == 4
        for status, reply in replies:
            if status == 200:
                assert reply["model_version"] in (str(version), str(model.loaded))
                assert model.is_right(version, reply["outputs"][0]["data"])
            else:
                assert not model.loaded and status in (404, 503), reply
        return model.name

    def burst(self):
        """Batches of many sizes at once: whatever has to wait for memory, or to be cut, is answered rightly."""
        wide, answers = [m for m in self.models if isinstance(m, Wide)], []
        for model in wide:
            self.load_newest(model)

        def ask(model, rows, first):
            data, request = model.batch(rows, first)
            status, reply = post(self.server, f"/v2/models/{model.name}/infer", request)
            answers.append((status, reply, data))
        threads = [threading.Thread(target=ask, args=(self.rng.choice(wide), self.rng.randint(1, ROWS_MAX), 1000 * i)) for i in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == len(threads)
        for status, reply, data in answers:
            assert status == 200, reply
            assert reply["outputs"][0]["data"] == data
        return ", ".join(m.name for m in wide)

    # ---- what must hold ----

    def look(self):
        """The index, and the counters: as many versions live as were loaded and not closed."""
        wanted = {f"{model.name}/{model.loaded}" for model in self.models if model.loaded}

        def is_shown():  # what a client was told is there a snapshot later
            return {name for name, (state, _) in index(self.server).items() if state == "READY"} == wanted
        self.server.wait(is_shown, f"the index to say that {wanted} are ready")
        ready = sum(bool(m.loaded) and not m.is_cold for m in self.models)
        metric = self.server.metric
        assert metric("troupe_model_loads_total", result="ok") == self.loads
        assert metric("troupe_model_loads_total", result="failed") == self.failures
        self.server.wait(lambda: metric("troupe_requests_in_flight") == 1, "no request but this one to be there")
        self.server.wait(lambda: metric("troupe_model_unloads_total") == self.loads - ready, "what was replaced to be closed")
        return f"{ready} ready"

    def unload_all(self):
        for model in self.models:
            self.unload_one(model)
        self.look()

    def left(self):
        """What is held when nothing is loaded: bytes by account, descriptors, places in the store."""
        def of(account):
            return self.server.metric("troupe_account_bytes", account=account)
        self.server.wait(lambda: of("weights") == 0 and of("activations") == 0, "the memory to come back", 120)
        pid = self.server.process.pid
        return {"descriptors": len(os.listdir(f"/proc/{pid}/fd")), "threads": len(os.listdir(f"/proc/{pid}/task"))}

    def run(self, n):
        kinds = [self.infer, self.load, self.unload, self.swap, self.broken_swap, self.in_flight, self.evict, self.sleep, self.look,
                 self.burst]
        for i in range(n):
            step = self.rng.choices(kinds, [38, 13, 11, 12, 5, 5, 7, 3, 6, 2])[0]
            try:
                self.history.append(f"{i} {step.__name__}: {step()}")
            except BaseException:
                print(*self.history[-20:], f"{i} {step.__name__} failed", sep="\n")
                raise


def anonymous_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("Anonymous:"))


def test_random_steps_leave_what_a_model_of_them_says(serve, repository, tmp_path):
    print(f"TROUPE_SEED={SEED} TROUPE_STEPS={STEPS}")
    rng, store = random.Random(SEED), tmp_path / "store"
    models = [Sign(repository.path, f"sign{i}") for i in range(4)]
    models += [Weighty(repository.path, f"weighty{i}") for i in range(2)]
    models += [Slow(repository.path, f"slow{i}") for i in range(2)]
    models += [Wide(repository.path, f"wide{i}") for i in range(2)]
    settings = {"models.load": "explicit", "store.path": store, "memory.trim_interval": "200ms", "threads.executors": 4}
    if COUNTS_MEMORY:
        settings |= {"memory.budget": baseline(serve, repository) + 100 * MIB * (1 + (SLOW > 1)), "memory.meter_interval": "100ms",
                     "memory.run_wait": "10m"}
    for model in models:
        model.folder.mkdir()
        model.add(rng)
        if isinstance(model, Slow):
            batches = f"max_batch_size: {ROWS_MAX}\n" if isinstance(model, Wide) else ""
            repository.write(f"{model.name}/config.pbtxt", 'backend: "echo"\n' + batches)
    server = serve(repository.path, settings=settings, env=ENV).wait_ready()
    steps = Steps(server, models, rng)
    for model in models:  # everything once: what a process opens only once is open now
        steps.load_newest(model)
        steps.expect_answer(model)
    steps.unload_all()
    before, private = steps.left(), anonymous_bytes(server.process.pid)
    steps.run(STEPS)
    steps.unload_all()
    if SLOW == 1 and STEPS >= 1000:
        assert server.metric("troupe_runs_short_total") > 0 and server.metric("troupe_runs_split_total") > 0
    assert server.metric("troupe_evictions_total") == 0  # all of them are pinned
    server.wait(lambda: all(n <= before[what] + 1 for what, n in steps.left().items()), f"no more to be open than {before}")
    if SLOW == 1:
        assert anonymous_bytes(server.process.pid) <= 1.1 * private + (32 << 20)
    server.stop()
    assert not list((store / "tmp").iterdir()) and not list((store / "leases").iterdir())
