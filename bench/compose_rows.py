"""bench/compose_rows.py - the rows on models that answer together: ensembles, pipelines, cascades."""
import json
import shutil
import struct

import onnx_maker
from bench_harness import Row, Troupe, binary_infer, http_request, median

EXECUTOR_NICE = 5  # threads.executor_nice
EXECUTORS = ("threads.executors=2", "sched.split=false")  # one run stays on one core: what is measured is runs side by side


def serve(bench, folder, models, settings=(), cpus=None):
    """A server whose compositions are ready, too: they are when their models are known."""
    return bench.start(Troupe(folder, settings=settings, cpus=cpus, models=models))


def ensemble_4(bench):
    """The time of one request to four equal models and their mean, and to one of them; both cores, one client.  Cores that slow each other
    down, as a virtual machine's may, cannot run four models in the time of two: how far they do is measured without a server and printed.  Their weights (under
    1 MB each) stay in the processor's caches: with 25 MB each, one model asked alone finds its own there and four never do, and the
    row would compare memory with caches."""
    rows, size, layers = 512, 128, 14
    folder = bench.folder("ensemble")
    names = [f"m{i}" for i in range(4)]
    for name in names:
        onnx_maker.chain(folder / f"{name}.onnx", rows, size, layers)
    (folder / "routes.yaml").write_text(f"ensembles: {{ all: {{ members: [{', '.join(names)}], vote: mean }} }}\n", encoding="utf-8")
    server = serve(bench, folder, [*names, "all"], EXECUTORS)
    values = struct.pack("<f", 0.25) * (rows * size)
    one, all_four = (bench.file(f"{m}.request", binary_infer(m, [("x", "FP32", [rows, size], values)])) for m in ("m0", "all"))
    for request in (one, all_four):
        bench.load_http(server, request, 1, cpu=None)  # what a run costs is learned
    rounds = bench.interleave(lambda: bench.load_http(server, all_four, 1, cpu=None)["p50_us"],
                              lambda: bench.load_http(server, one, 1, cpu=None)["p50_us"])
    ratio = median(a / b for a, b in rounds)
    one_ms = median(b for _, b in rounds) / 1e3

    def runs_of_each(threads):
        """How often one thread of so many runs the model in a second, without a server."""
        r = bench.run_floor("floor_ort", "--model", folder / "m0.onnx", "--threads", threads, "--seconds", bench.seconds / 2, nice=EXECUTOR_NICE)
        return r["runs"] / r["seconds"] / threads
    beside = median(a / b for a, b in bench.interleave(lambda: runs_of_each(2), lambda: runs_of_each(1)))
    return [Row("ensemble_4", f"mean of 4 equal models on 2 cores / one of them, {one_ms:.1f} ms each; the machine runs two at once at "
                f"{beside:.0%} of the speed of one", f"{median(a for a, _ in rounds) / 1e3:.2f} ms",
                f"{one_ms:.2f} ms", f"{ratio:.2f}", "<= 2.1", ratio <= 2.1 and one_ms >= 2), ensemble_step(bench)]


def ensemble_step(bench):
    """What a step costs beyond its model: server CPU of a request to four models that do nothing and their mean, less that of a request
    to one of them, by the four steps more (three members and the vote)."""
    folder = bench.folder("steps")
    for name in "abcd":
        (folder / f"{name}.echo").write_text("input x FP32 [-1,16]\noutput y FP32 [-1,16]\n", encoding="utf-8")
    (folder / "routes.yaml").write_text("ensembles: { all: { members: [a, b, c, d], vote: mean } }\n", encoding="utf-8")
    server = serve(bench, folder, [*"abcd", "all"], cpus="0")
    values = struct.pack("<f", 0.25) * 16
    one, all_four = (bench.file(f"{m}.request", binary_infer(m, [("x", "FP32", [1, 16], values)])) for m in ("a", "all"))

    def cpu_us(request):
        r = bench.load_http(server, request, 16)
        return r["server_cpu_seconds"] / r["requests"] * 1e6
    rounds = bench.interleave(lambda: cpu_us(all_four), lambda: cpu_us(one))
    step = median((a - b) / 4 for a, b in rounds)
    return Row("ensemble_step", "server CPU of a step beyond its model's run: 4 `echo` models and their mean / one of them",
               f"{median(a for a, _ in rounds):.1f} us", f"{median(b for _, b in rounds):.1f} us", f"{step:.1f} us a step", "<= 20 us", step <= 20)


PIPELINE = """pipelines:
  chain:
    steps:
      - { model: a, inputs: { x: x }, outputs: { y: s } }
      - { model: b, inputs: { x: s }, outputs: { y: t } }
      - { model: c, inputs: { x: t }, outputs: { y: y } }
    outputs: [y]
"""


def pipeline_3(bench):
    """Three models behind one another with 600 KB between them: steps as short as the requirement goes; longer ones, of which the way in
    and out of the server is a smaller part; and with 2 KB there and back, which leaves what is between the steps."""
    return [*pipeline_of(bench, "pipeline_3", 4, True), *pipeline_of(bench, "pipeline_3_long", 10, False),
            *pipeline_of(bench, "pipeline_3_inside", 4, False, 1)]


def pipeline_of(bench, row, layers, counts_copies, ends=256):
    """`ends`: columns of what is sent and answered.  Requests a second, and how often two threads of a process of its own run the same three models, each on what the one before has given:
    three models' weights want more of the caches than one model's."""
    rows, size = 600, 256
    folder = bench.folder(row)
    for name, columns in {"a": {"first": ends}, "b": {}, "c": {"last": ends}}.items():
        onnx_maker.chain(folder / f"{name}.onnx", rows, size, layers, **columns)
    (folder / "routes.yaml").write_text(PIPELINE, encoding="utf-8")
    server = serve(bench, folder, [*"abc", "chain"], EXECUTORS)
    values = struct.pack("<f", 0.25) * (rows * ends)
    single, request = (bench.file(f"{m}.request", binary_infer(m, [("x", "FP32", [rows, ends], values)])) for m in ("a", "chain"))

    def copied(file):
        """Bytes copied for one request.  How much of a body comes with its head is the network's, and is copied out of the head's buffer."""
        before = bench.metric(server, "troupe_copied_bytes_total")
        bench.load_http(server, file, 1, cpu=None, requests=1)
        return bench.metric(server, "troupe_copied_bytes_total") - before

    def served():
        r = bench.load_http(server, request, 8, cpu=None)
        return r["requests"] / r["seconds"], r["cpu_seconds"] / r["seconds"]

    def floor():
        r = bench.run_floor("floor_ort", "--model", folder / "a.onnx", "--then", folder / "b.onnx", "--last", folder / "c.onnx",
                            "--threads", 2, "--seconds", bench.seconds, nice=EXECUTOR_NICE)
        return r["runs"] / r["seconds"]
    bench.load_http(server, request, 8, cpu=None)
    between = median(copied(request) - copied(single) for _ in range(21)) if counts_copies else 0
    rounds = bench.interleave(served, floor)
    bench.stop(server)
    ratio, client = median(a[0] / b for a, b in rounds), median(a[1] for a, _ in rounds)
    run_ms = 2e3 / 3 / median(b for _, b in rounds)
    result = [Row(row, f"3 steps of {run_ms:.1f} ms with {4 * rows * size:,} bytes between them, {len(values):,} there and back / the same three OrtRun on 2 threads",
                  f"{median(a[0] for a, _ in rounds):,.1f} /s (client {client:.1%} of a core)", f"{median(b for _, b in rounds):,.1f} /s", f"{ratio:.3f}",
                  ">= 0.95, >= 2 ms a step", ratio >= 0.95 and run_ms >= 2)]
    if counts_copies:
        result.append(Row("pipeline_copies", "the same, bytes copied for a request beyond those for one model", f"{between:,.0f}", "", "", "0", between <= 0))
    return result


CASCADE_WINDOW_S = 0.1  # for each request of a pass


def cascade_digits(bench):
    """The linear model first, and the CNN for those rows where it is not sure, against the CNN alone, fifty digits at a time.  Every second one of
    the held-out digits finds the threshold, the others measure."""
    folder = bench.folder("digits")
    for name in ("digits_linear.onnx", "digits_cnn"):
        source = bench.root / "examples/models" / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, folder / name)
    digits, labels = held_out(bench)
    server = serve(bench, folder, ["digits_linear", "digits_cnn"], cpus="0")
    threshold, known = find_threshold(*(ask_all(bench, server, m, digits[::2]) for m in ("digits_linear", "digits_cnn")), labels[::2])
    (folder / "routes.yaml").write_text(f"cascades: {{ cheap: {{ steps: [digits_linear, digits_cnn], threshold: {threshold:.6f}, per: row }} }}\n",
                                        encoding="utf-8")
    bench.stop(server)
    server = serve(bench, folder, ["digits_linear", "digits_cnn", "cheap"], cpus="0")
    digits, labels = digits[1::2], labels[1::2]

    right, right_large = (sum(most(row) == label for row, label in zip(ask_all(bench, server, m, digits), labels)) for m in ("cheap", "digits_cnn"))
    requests = {m: [bench.file(f"{m}.{i}.request", http_request(f"/v2/models/{m}/infer", body, {"Content-Type": "application/json"}))
                    for i, body in enumerate(bodies(digits))] for m in ("cheap", "digits_cnn")}

    def pass_ms(model):
        """Time of the runs for all the digits that measure."""
        return sum(runs_ms(bench, server, request, "digits_linear" if model == "cheap" else "digits_cnn") for request in requests[model])
    for model in requests:
        pass_ms(model)  # warm
    rounds = bench.interleave(lambda: pass_ms("cheap"), lambda: pass_ms("digits_cnn"))
    ratio = median(a / b for a, b in rounds)
    off = (right_large - right) / len(labels)
    return [Row("cascade_digits", f"linear, then the CNN below {threshold:.3f} (found on {known} other digits) / the CNN alone: runs of {len(labels)} held-out "
                "digits, 50 a request", f"{median(a for a, _ in rounds):.2f} ms", f"{median(b for _, b in rounds):.2f} ms", f"{ratio:.2f}", "<= 0.4",
                ratio <= 0.4),
            Row("cascade_accuracy", "the same, accuracy", f"{right / len(labels):.4f}", f"{right_large / len(labels):.4f}",
                f"{off:+.4f}", "<= 0.005", off <= 0.005)]


def find_threshold(small, large, labels):
    """The least one with which as many are right as the large model alone has, or more; and of how many digits that is known."""
    goal = sum(most(row) == label for row, label in zip(large, labels))

    def right(threshold):
        return sum(most(s if max(s) >= threshold else g) == label for s, g, label in zip(small, large, labels))
    return min(t for t in [*(max(row) for row in small), 1.01] if right(t) >= goal), len(labels)


def most(row):
    return row.index(max(row))


def held_out(bench):
    """The digits that no model was trained on, and what they are."""
    data = (bench.root / "bench/digits_held_out.bin").read_bytes()
    n = len(data) // 65
    return [data[i * 65 + 1:i * 65 + 65] for i in range(n)], [data[i * 65] for i in range(n)]


def bodies(digits):
    """Requests for all of them, fifty at a time."""
    for some in (digits[i:i + 50] for i in range(0, len(digits), 50)):
        yield json.dumps({"inputs": [{"name": "image", "datatype": "FP32", "shape": [len(some), 64], "data": [v for d in some for v in d]}],
                          "outputs": [{"name": "probabilities"}]}).encode()


def ask_all(bench, server, model, digits):
    """The probabilities of each digit."""
    rows = []
    for body in bodies(digits):
        values = json.loads(bench.post(server, f"/v2/models/{model}/infer", body))["outputs"][0]["data"]
        rows += [values[i:i + 10] for i in range(0, len(values), 10)]
    return rows


def busy(bench, server):
    """(ns of all runs of both models so far, how many each of them has done)"""
    stats = {m: json.loads(bench.get(server, f"/v2/models/{m}/stats"))["model_stats"][0] for m in ("digits_linear", "digits_cnn")}
    return (sum(s["inference_stats"][part]["ns"] for s in stats.values() for part in ("compute_input", "compute_infer", "compute_output")),
            {m: s["execution_count"] for m, s in stats.items()})


def runs_ms(bench, server, request, first):
    """Time of the runs for one request, which the model `first` has one of; while the same one is sent again and again, one after the other: a
    server that sleeps in between is measured cold."""
    ns, done = busy(bench, server)
    bench.load_http(server, request, 1, seconds=CASCADE_WINDOW_S)
    ns_after, done_after = busy(bench, server)
    return (ns_after - ns) / 1e6 / (done_after[first] - done[first])


COMPOSE_ROWS = {"ensemble_4": ensemble_4, "pipeline_3": pipeline_3, "cascade_digits": cascade_digits}
