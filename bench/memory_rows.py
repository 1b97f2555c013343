"""bench/memory_rows.py - the rows of the table on loading, sharing and giving back: what a prepared model saves, and what it costs.

The models are those of model_maker.py; they are made once and stay in the build folder.  Each row prepares what it needs in a store of
its own.  Memory is what the kernel says of the process: PSS counts a page that n processes map as 1/n of one; private is anonymous memory."""
import json
import os
import shutil
import threading
import time

import model_maker
from bench_harness import Row, Troupe, binary_infer, median
from onnx_maker import chain

TINY = "examples/models/digits_linear.onnx"
SEQUENCE = 128
TRIMMED_S = 7  # more than memory.trim_interval: what runs left behind is given back by then
# What one request of each architecture holds: name, type, shape, bytes of an element.
INPUTS = {
    "resnet50": [("image", "FP32", [1, 3, 224, 224], 4)],
    "mobilenet_v2": [("image", "FP32", [1, 3, 224, 224], 4)],
    "bert_base": [(name, "INT64", [1, SEQUENCE], 8) for name in ("input_ids", "attention_mask", "token_type_ids")],
}
MIB = 1 << 20
WOKEN = 'troupe_wakes_total{result="ok"}'
EXECUTOR_NICE = 5  # threads.executor_nice of a server that is told nothing
HOT_CONNECTIONS = 4 * len(os.sched_getaffinity(0))


def zeros(shape, width):
    n = width
    for d in shape:
        n *= d
    return bytes(n)


def infer_request(architecture, model=None, rows=1):
    return binary_infer(model or architecture, [(name, dtype, [rows, *shape[1:]], zeros([rows, *shape[1:]], width))
                                                for name, dtype, shape, width in INPUTS[architecture]])


def mib(n):
    return f"{n / MIB:,.1f} MiB"


def prepare(bench, repository, store):
    told = bench.command("prepare", repository, "--store", store, "--json")
    if told["failed"] or told["refused"]:
        raise RuntimeError(f"not prepared: {told['failed'] or told['refused']}")


def put(model, repository):
    """A second name where the disk is the same: a link that leaves the repository is refused."""
    try:
        os.link(model, repository / model.name)
    except OSError:
        shutil.copyfile(model, repository / model.name)


def order(bench, server, model, what):
    bench.post(server, f"/v2/repository/models/{model}/{what}", b"{}")


def ask(bench, server, request):
    with bench.connect(server) as line:
        return bench.exchange(line, request)


# ---- loading ----

def prepared_load(bench, architecture, required):
    """Opening what was prepared, as the server does it, against CreateSession of the file; each in a fresh process that has ONNX
    Runtime open already."""
    model, tiny, store = bench.model(architecture), bench.root / TINY, bench.path("store")
    options = ("--model", model, "--warm", tiny, "--free-size", SEQUENCE, "--runs", 1)
    bench.run_floor("mapped_load", *options, "--store", store)  # prepares it
    rounds = bench.interleave(lambda: bench.run_floor("mapped_load", *options, "--store", store),
                              lambda: bench.run_floor("floor_load", *options))
    ratio = median(b["load_ms"] / a["load_ms"] for a, b in rounds)
    memory = median(b["private_bytes"] / max(a["private_bytes"], 1) for a, b in rounds)
    return Row(f"prepared_load_{architecture}", f"load of {architecture}, prepared / plain CreateSession: time and private memory",
               f"{median(a['load_ms'] for a, _ in rounds):.1f} ms, {mib(median(a['private_bytes'] for a, _ in rounds))}",
               f"{median(b['load_ms'] for _, b in rounds):.0f} ms, {mib(median(b['private_bytes'] for _, b in rounds))}",
               f"{ratio:.0f} x faster, 1/{memory:.0f}", f">= {required} x, <= 1/20", ratio >= required and memory >= 20)


def changes(bench, server):
    """What has been opened and closed so far: while it stays the same, the same objects serve."""
    return tuple(bench.metric(server, f"troupe_{what}_total") for what in ("reopened", "model_loads", "model_unloads"))


def undisturbed(bench, server, window):
    """What a window measured in which nothing was opened or closed."""
    for _ in range(4):
        before = changes(bench, server)
        measured = window()
        if changes(bench, server) == before:
            return measured
    raise RuntimeError("models were opened or closed in every window")


def begin_hot(bench, architecture, request):
    """A server with a prepared model that was asked until its weights were packed, or long enough to say that it does not pay; whether
    they were.  It forgets in half a minute: while a floor runs, nobody asks."""
    model, store, repository = bench.model(architecture), bench.path("store"), bench.folder("repository")
    put(model, repository)
    prepare(bench, repository, store)
    server = bench.start(Troupe(repository, settings=(f"store.path={store}", "store.pack_interval=5s"), cpus=None, models=[architecture]))

    def is_packed():
        return bench.metric(server, 'troupe_reopened_total{as="packed"}') > 0 and bench.metric(server, "troupe_model_unloads_total") > 0
    for _ in range(15):
        if not is_packed():
            bench.load_http(server, request, HOT_CONNECTIONS, seconds=4, cpu=None)
    return server, is_packed()


def hot_throughput(bench, architecture, seconds):
    """A prepared model that is asked all the time, over HTTP, against a loop of OrtRun on a session with default options.  Both sides run
    on all cores, and both yield as much to whatever else the machine does: the server's executors are nice."""
    threads = len(os.sched_getaffinity(0))
    request = bench.file("hot.request", infer_request(architecture))
    troupe, packed = begin_hot(bench, architecture, request)

    def counted():
        return time.monotonic(), bench.metric(troupe, "nv_inference_request_success"), bench.cpu_seconds(troupe)

    def window():  # while the load goes on: what is half done at the ends of a window of few requests evens out
        beside = bench.begin_load_http(troupe, request, HOT_CONNECTIONS, seconds + 4)
        time.sleep(2)
        begun = counted()
        time.sleep(seconds)
        took, requests, cpu = (b - a for a, b in zip(begun, counted()))
        bench.end_load(beside)
        return requests / took, requests / cpu

    def floor():
        r = bench.run_floor("floor_ort", "--model", bench.model(architecture), "--threads", threads, "--seconds", seconds,
                            "--free-size", SEQUENCE, nice=EXECUTOR_NICE)
        return r["runs"] / r["seconds"], r["runs"] / r["cpu_seconds"]
    rounds = bench.interleave(lambda: undisturbed(bench, troupe, window), floor)
    ratio, of_cpu = (median(a[i] / b[i] for a, b in rounds) for i in range(2))
    return Row(f"hot_{architecture}", f"throughput of {architecture}, prepared and hot (weights {'packed' if packed else 'mapped'}), over HTTP / loop of OrtRun, "
               "default options",
               f"{median(a[0] for a, _ in rounds):.1f} /s", f"{median(b[0] for _, b in rounds):.1f} /s",
               f"{ratio:.3f} (per CPU second {of_cpu:.3f})", ">= 0.97", ratio >= 0.97)


def first_answer(bench, architecture):
    """A cold model is asked over HTTP: its load, its run and all that lies between, against a load and a first run in one process.  In
    each round the floor is measured twice: against itself, what lies between is noise."""
    model, store, tiny = bench.model(architecture), bench.path("store"), bench.root / TINY
    repository = bench.folder("repository")
    for source in (model, tiny):
        put(source, repository)
    prepare(bench, repository, store)
    request, warm = infer_request(architecture), binary_infer(tiny.stem, [("image", "FP32", [1, 64], zeros([1, 64], 4))])
    options = ("--model", model, "--warm", tiny, "--free-size", SEQUENCE, "--runs", 0, "--store", store)

    def cold():
        server = bench.start(Troupe(repository, settings=(f"store.path={store}", "models.load=on_demand"), cpus=None, models=[],
                                    wrapper=bench.ahead()))
        with bench.connect(server) as line:
            bench.exchange(line, warm)  # the runtime is open
            with bench.going_ahead():
                took_ms = bench.exchange(line, request)
        bench.stop(server)
        return took_ms

    def once():
        r = bench.run_floor("mapped_load", *options, wrapper=bench.ahead())
        return r["load_ms"] + r["first_ms"]
    bench.run_floor("mapped_load", *options)  # prepares it, if the server's options make another key
    rounds = bench.interleave(cold, lambda: (once(), once()))
    added, spread = median(a - sum(b) / 2 for a, b in rounds), median(abs(x - y) for _, (x, y) in rounds)
    return Row(f"first_answer_{architecture}", f"first answer of a cold {architecture} over HTTP / prepared load and first run in one process",
               f"{median(a for a, _ in rounds):.1f} ms", f"{median(sum(b) / 2 for _, b in rounds):.1f} ms",
               f"{added:+.1f} ms (A/A {spread:.1f})", "<= +5 ms", added <= 5)


def wake(bench, architecture):
    """What the first request after hibernation waits for beyond a warm run, against what it waits for beyond one after a load; in one process."""
    model, tiny, store = bench.model(architecture), bench.root / TINY, bench.path("store")
    options = ("--model", model, "--warm", tiny, "--free-size", SEQUENCE, "--runs", 3, "--store", store)
    bench.run_floor("mapped_load", *options)  # prepares it
    told = [bench.run_floor("mapped_load", *options) for _ in range(bench.rounds)]
    woken = [t["wake_ms"] + t["next_ms"] - t["run_ms"] for t in told]
    loaded = [t["load_ms"] + t["first_ms"] - t["run_ms"] for t in told]
    ratio = median(a / b for a, b in zip(woken, loaded))
    return Row(f"wake_{architecture}", f"{architecture}: wake from hibernation and next run, beyond a warm run / prepared load and first run, likewise",
               f"{median(woken):.1f} ms", f"{median(loaded):.1f} ms", f"{ratio:.2f}", "<= 0.50", ratio <= 0.5)


def wake_live(bench, architecture):
    """The same over HTTP: a request that wakes its model, beyond one that finds it awake, against load and first run in one process."""
    model, store, tiny = bench.model(architecture), bench.path("store"), bench.root / TINY
    repository = bench.folder("repository")
    put(model, repository)
    prepare(bench, repository, store)
    request = infer_request(architecture)
    options = ("--model", model, "--warm", tiny, "--free-size", SEQUENCE, "--runs", 3, "--store", store)
    server = bench.start(Troupe(repository, settings=(f"store.path={store}", "models.load=on_demand", "models.keep_alive=2s"), cpus=None, models=[]))

    def woken():
        with bench.connect(server) as line:
            bench.exchange(line, request)
            warm_ms = median(bench.exchange(line, request) for _ in range(3))
            before, end = bench.metric(server, WOKEN), time.monotonic() + 60
            while bench.metric(server, "troupe_hibernated_versions") == 0:
                if time.monotonic() > end:
                    raise RuntimeError("it does not hibernate")
                time.sleep(0.02)
            took_ms = bench.exchange(line, request)
        if bench.metric(server, WOKEN) != before + 1:
            raise RuntimeError("it was not woken")
        return took_ms - warm_ms

    def loaded():
        r = bench.run_floor("mapped_load", *options)
        return r["load_ms"] + r["first_ms"] - r["run_ms"]
    bench.run_floor("mapped_load", *options)  # prepares it, if the server's options make another key
    rounds = bench.interleave(woken, loaded)
    ratio = median(a / b for a, b in rounds)
    return Row(f"wake_live_{architecture}", f"{architecture}, hibernated: request that wakes it, over HTTP, beyond a warm one / prepared load and first run, likewise",
               f"{median(a for a, _ in rounds):.1f} ms", f"{median(b for _, b in rounds):.1f} ms", f"{ratio:.2f}", "<= 0.50", ratio <= 0.5)


# ---- sharing ----

def write_variants(folder):
    """Eight models of one base: each with a head of its own, one with another dense layer; the last two hold their weights in the file,
    one of them in Constant nodes under other names."""
    base = model_maker.bert_base()
    heads = {"head.weight": 0.036, "pooler.weight": 0.029}
    paths = [folder / f"v{i}" / "1" / "model.onnx" for i in range(8)]
    for path in paths:
        path.parent.mkdir(parents=True)
    base.write_beside(paths[0])
    for i, path in enumerate(paths[1:], 1):
        variant = base.varied(str(i), **heads, **({"layer11.attention.output.weight": 0.029} if i == 5 else {}))
        if i < 6:
            variant.write_beside(path, base)
        elif i == 6:
            variant.write(path)
        else:
            variant.write_constants(path)


def variants(bench):
    """What eight variants hold together, against one of them: PSS of the server after each has answered once."""
    repository, store = bench.folder("variants"), bench.path("store")
    write_variants(repository)
    prepare(bench, repository, store)
    troupe = bench.start(Troupe(repository, settings=(f"store.path={store}", "models.load=explicit"), cpus=None, models=[]))

    def grown_to(n):
        for i in range(n):
            order(bench, troupe, f"v{i}", "load")
            ask(bench, troupe, infer_request("bert_base", f"v{i}"))
        return bench.settled(lambda: bench.memory(troupe)["Pss"], TRIMMED_S)
    one, eight = grown_to(1), grown_to(8)
    return Row("variants", "eight variants of a BERT-base-like model, two of them stored otherwise / one: PSS of the server",
               mib(eight), mib(one), f"{eight / one:.3f}", "<= 1.15", eight <= 1.15 * one)


def two_processes(bench):
    """Two servers with one store, against one of them: sum of PSS."""
    model, store = bench.model("bert_base"), bench.path("store")
    repository = bench.folder("repository")
    put(model, repository)
    prepare(bench, repository, store)

    def begin():
        server = bench.start(Troupe(repository, settings=(f"store.path={store}",), cpus=None, models=["bert_base"]))
        ask(bench, server, infer_request("bert_base"))
        return server
    first = begin()
    one = bench.settled(lambda: bench.memory(first)["Pss"], TRIMMED_S)
    second = begin()
    two = bench.settled(lambda: bench.memory(first)["Pss"] + bench.memory(second)["Pss"], TRIMMED_S)
    return Row("two_processes", "two servers on one store, a BERT-base-like model / one: sum of PSS", mib(two), mib(one),
               f"{two / one:.3f}", "<= 1.15", two <= 1.15 * one)


# ---- giving back ----

def write_twenty(folder):
    """Twenty models of 4 KB to 60 MB, of four kinds; (name, request) of each."""
    out = []
    for i in range(8):
        model_maker.mobilenet_v2(0.25 + 0.15 * i, seed=f"_{i}").write(folder / f"mobile{i}.onnx")
        out.append((f"mobile{i}", infer_request("mobilenet_v2", f"mobile{i}")))
    for i in range(4):
        model_maker.bert_base(1 + i, 256, 8000).write(folder / f"encoder{i}.onnx")
        out.append((f"encoder{i}", infer_request("bert_base", f"encoder{i}")))
    for i in range(4):
        size = 256 << i // 2
        chain(folder / f"chain{i}.onnx", 4, size, 4 + i)
        out.append((f"chain{i}", binary_infer(f"chain{i}", [("x", "FP32", [4, size], zeros([4, size], 4))])))
    for i in range(4):
        chain(folder / f"small{i}.onnx", 4, 16 + i, 2)
        out.append((f"small{i}", binary_infer(f"small{i}", [("x", "FP32", [4, 16 + i], zeros([4, 16 + i], 4))])))
    return out


def cycles(bench, with_store):
    """Private memory of the server after 500 times load, one request, unload, against what it was when each model had its turn."""
    repository = bench.folder("twenty")
    models = write_twenty(repository)
    settings = ["models.load=explicit", "memory.trim_interval=1s"]
    if with_store:
        bench.command("prepare", repository, "--store", bench.path("store"), "--json")
        settings.append(f"store.path={bench.path('store')}")
    troupe = bench.start(Troupe(repository, settings=settings, cpus=None, models=[]))
    first = 0
    for i in range(500):
        name, request = models[i % len(models)]
        order(bench, troupe, name, "load")
        ask(bench, troupe, request)
        order(bench, troupe, name, "unload")
        if i == len(models) - 1:
            first = bench.settled(lambda: bench.memory(troupe)["Anonymous"])
    last = bench.settled(lambda: bench.memory(troupe)["Anonymous"])
    return Row("cycles_prepared" if with_store else "cycles_plain",
               f"500 times load, infer, unload over 20 models, {'prepared' if with_store else 'plain'}: private bytes after the last / "
               "after the first 20", mib(last), mib(first), f"{last / first:.3f}", "<= 1.05 + 1 MiB", last <= 1.05 * first + MIB)


# ---- replacing ----

def hot_swap(bench):
    """New versions of a model, each a file that was never seen, arrive while it is asked: loaded plainly, swapped, and prepared beside.  Twice
    a second: a version that serves for a few requests only is nothing but first answers."""
    folder, model = bench.folder("swap"), bench.path("swap.onnx")
    model_maker.mobilenet_v2(0.35, seed="_swap").write(model)
    content = model.read_bytes()
    versions = [0]

    def add():
        versions[0] += 1
        new = folder / "m" / str(versions[0])
        new.mkdir(parents=True)
        note = f"version {versions[0]}".encode()
        (new / "model.onnx").write_bytes(content + b"\x32" + bytes([len(note)]) + note)  # the model's doc_string
    add()
    troupe = bench.start(Troupe(folder, settings=(f"store.path={bench.path('store')}",), cpus=None, models=["m"]))
    request = bench.file("swap.request", infer_request("mobilenet_v2", "m"))
    bench.load_http(troupe, request, 4, cpu=None)
    errors, swaps, window_s = [], [], 3 * bench.seconds

    def swap_until(done):
        """One each half second, as long as requests are measured."""
        try:
            while not done.wait(0.5):
                add()
                order(bench, troupe, "m", "load")
                swaps.append(versions[0])
                shutil.rmtree(folder / "m" / str(versions[0] - 1))
        except OSError as error:
            errors.append(error)

    def p99():
        r = bench.load_http(troupe, request, 8, rate=150, seconds=window_s, cpu=None)
        errors.extend(["an answer"] * r["errors"])
        return r["p99_us"] / 1e3

    def during():
        done = threading.Event()
        beside = threading.Thread(target=swap_until, args=(done,))
        beside.start()
        value = p99()
        done.set()
        beside.join()
        return value
    rounds = bench.interleave(during, p99)
    if errors:
        raise RuntimeError(f"errors: {errors[:3]}")
    ratios = sorted(a / b for a, b in rounds)
    ratio = median(ratios)
    return Row("hot_swap", f"p99 at 150 requests/s while one new version after the other is loaded ({len(swaps) / len(rounds):.0f} in {window_s:.0f} s) "
               "/ without; 0 errors", f"{median(a for a, _ in rounds):.1f} ms", f"{median(b for _, b in rounds):.1f} ms",
               f"{ratio:.2f} (middle half {ratios[len(ratios) // 4]:.2f} to {ratios[-1 - len(ratios) // 4]:.2f})", "<= 2.00", ratio <= 2)


def loads_beside(bench):
    """A small model is asked all the time, at a third of what the machine can, while two others are loaded plainly and unloaded again
    and again, both at once: all cores are busy with loads."""
    repository, window = bench.folder("beside"), max(4 * bench.seconds, 4)
    model_maker.mobilenet_v2(0.35, seed="_swap").write(repository / "m.onnx")
    others = ("resnet50", "mobilenet_v2")
    for name in others:
        put(bench.model(name), repository)
    server = bench.start(Troupe(repository, settings=("models.load=explicit",), cpus=None, models=[]))
    request = bench.file("beside.request", infer_request("mobilenet_v2", "m"))
    order(bench, server, "m", "load")
    bench.load_http(server, request, 4, cpu=None)
    errors, loads = [], []

    def p99():
        r = bench.load_http(server, request, 8, rate=100, seconds=window, cpu=None)
        errors.extend(["an answer"] * r["errors"])
        return r["p99_us"] / 1e3

    def load_until(stop, name):
        try:
            while not stop.is_set():
                order(bench, server, name, "load")
                order(bench, server, name, "unload")
                loads.append(name)
        except OSError as error:
            errors.append(error)

    def during():
        stop = threading.Event()
        beside = [threading.Thread(target=load_until, args=(stop, name)) for name in others]
        for thread in beside:
            thread.start()
        try:
            return p99()
        finally:
            stop.set()
            for thread in beside:
                thread.join()
    rounds = bench.interleave(during, p99)
    if errors:
        raise RuntimeError(f"errors: {errors[:3]}")
    ratio = median(a / b for a, b in rounds)
    return Row("loads_beside", f"p99 of a warm model at 100 requests/s while two others are loaded all the time ({len(loads) // len(rounds)} loads) / without; 0 errors",
               f"{median(a for a, _ in rounds):.1f} ms", f"{median(b for _, b in rounds):.1f} ms", f"{ratio:.2f}", "<= 2.00", ratio <= 2)


MEMORY_ROWS = {
    "prepared_load_resnet50": lambda bench: prepared_load(bench, "resnet50", 30),
    "prepared_load_bert_base": lambda bench: prepared_load(bench, "bert_base", 15),
    "first_answer_resnet50": lambda bench: first_answer(bench, "resnet50"),
    "first_answer_bert_base": lambda bench: first_answer(bench, "bert_base"),
    "wake_bert_base": lambda bench: wake(bench, "bert_base"),
    "wake_live_bert_base": lambda bench: wake_live(bench, "bert_base"),
    "hot_resnet50": lambda bench: hot_throughput(bench, "resnet50", 2 * bench.seconds),
    "hot_bert_base": lambda bench: hot_throughput(bench, "bert_base", 4 * bench.seconds),
    "hot_mobilenet_v2": lambda bench: hot_throughput(bench, "mobilenet_v2", bench.seconds),
    "variants": variants,
    "two_processes": two_processes,
    "cycles_prepared": lambda bench: cycles(bench, True),
    "cycles_plain": lambda bench: cycles(bench, False),
    "hot_swap": hot_swap,
    "loads_beside": loads_beside,
}
