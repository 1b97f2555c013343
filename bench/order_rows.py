"""bench/order_rows.py - the rows on who runs when: what a request in a hurry has of others' work, what a tenant gets beside one who asks
for ten times as much, what deadlines are worth under too much work, how soon it is refused, and how soon clients that go away are gone.

Models are the `echo` backend's, whose runs compute for as long as their file says, so the machine's speed is in none of the ratios."""
import json
import os
import socket
import struct
import subprocess
import time

from bench_harness import Row, Troupe, http_request, median

IO = "input x FP32 [-1]\noutput y FP32 [-1]\n"
BODY = json.dumps({"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}, separators=(",", ":")).encode()
EXECUTORS = ["sched.inline_run=0s"]  # nothing runs on the loop


def serve(bench, scripts, settings=()):
    """A server of such models, whose requests run one by one: a run of several takes no longer here, and nothing would be short."""
    folder = bench.folder("repository")
    for name, script in scripts.items():
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "1" / "model.echo").write_text(IO + script + "\n", encoding="utf-8")
        (folder / name / "model.yaml").write_text("batching: off\n", encoding="utf-8")
    return bench.start(Troupe(folder, [*EXECUTORS, *settings], models=list(scripts)))


def infer(model, **headers):
    return http_request(f"/v2/models/{model}/infer", BODY, {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}})


class Load:
    """A client beside others; it ends by itself."""

    def __init__(self, bench, server, request, connections, seconds, **options):
        command = bench._load("load_http", server, request, "1", seconds, {"connections": connections, "warm": 0.5, **options})
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def result(self):
        out, err = self.process.communicate()
        if self.process.returncode or not out.startswith("{"):
            raise RuntimeError(f"{out}{err}")
        return json.loads(out)


def urgent_tail(bench):
    """Interactive requests of one model while others are asked for twice as much batch work as there is time for."""
    bulk_ms = {"bulk10": 10, "bulk5": 5}
    troupe = serve(bench, {"quick": "busy 2ms", **{m: f"busy {ms}ms" for m, ms in bulk_ms.items()}})
    quick = bench.file("quick.request", infer("quick", troupe_priority="interactive"))
    files = {m: bench.file(f"{m}.request", infer(m, troupe_priority="batch")) for m in bulk_ms}
    longest_us = bench.load_http(troupe, files["bulk10"], 1, seconds=1)["p50_us"]
    seconds = 1.5

    def one(others):
        # Each of the two models is asked for all the time that there is.
        beside = [Load(bench, troupe, files[m], 64, seconds + 0.7, **{"rate": 1000 / ms, "in-time-ms": 60000}) for m, ms in bulk_ms.items()] if others else []
        result = Load(bench, troupe, quick, 16, seconds, rate=100).result()["p99_us"]
        for load in beside:
            load.result()
        return result
    rounds = bench.interleave(lambda: one(True), lambda: one(False))
    ratio = median(a / (b + longest_us) for a, b in rounds)
    return Row("urgent_tail", "high-priority p99 at 2x overload by batch-class work / p99 alone + one run of the longest other", f"{median(a for a, _ in rounds) / 1e3:.1f} ms",
               f"{median(b for _, b in rounds) / 1e3:.1f} + {longest_us / 1e3:.1f} ms", f"{ratio:.2f}", "<= 1.50", ratio <= 1.5)


def tenants(bench):
    """Two tenants that both ask all the time, one with ten times as many clients."""
    troupe = serve(bench, {"m": "busy 2ms"})
    many = bench.file("many.request", infer("m", troupe_tenant="many"))
    few = bench.file("few.request", infer("m", troupe_tenant="few"))
    shares = []
    for _ in range(bench.rounds):
        loads = [Load(bench, troupe, many, 80, 2), Load(bench, troupe, few, 8, 2)]
        a, b = (r["requests"] / r["seconds"] for r in [load.result() for load in loads])
        shares.append((a, b))
    worst = median(min(a, b) * 2 / (a + b) for a, b in shares)
    return Row("tenants", "two tenants, one asking 10x as much: the lesser share / half", f"{median(min(s) for s in shares):.0f}/s", f"{median(sum(s) / 2 for s in shares):.0f}/s",
               f"{worst:.3f}", ">= 0.95", worst >= 0.95)


DEADLINE_MS = 40


def goodput(bench):
    """Answers in time at twice the highest rate at which nearly all are in time."""
    troupe = serve(bench, {"m": "busy 4ms"})
    request = bench.file("due.request", infer("m", troupe_timeout_ms=str(DEADLINE_MS)))
    plain = bench.file("plain.request", infer("m"))

    def at(rate, seconds=1):
        return bench.load_http(troupe, request, 400, seconds=seconds, rate=rate, **{"in-time-ms": DEADLINE_MS})
    capacity = bench.load_http(troupe, plain, 4, seconds=1)
    capacity = capacity["requests"] / capacity["seconds"]
    rate = capacity
    while rate > capacity / 2:
        seen = at(rate)
        if seen["in_time"] >= 0.99 * (seen["requests"] + seen["refused"]):
            break
        rate *= 0.97
    refusals = []

    def good(times):
        seen = at(rate * times)
        if times > 1 and seen["refused"] > 0:
            refusals.append(seen["refused_p50_us"])
        return seen["in_time"] / seen["seconds"]
    rounds = bench.interleave(lambda: good(2), lambda: good(1))
    ratio = median(a / b for a, b in rounds)
    if not refusals:
        bench.fail("nothing was refused: the machine was too busy to find out what it can do")
    soon_us = median(refusals)
    return [Row("goodput", f"goodput at 2x overload, deadline {DEADLINE_MS} ms / at 1x ({rate:.0f}/s)", f"{median(a for a, _ in rounds):.0f}/s", f"{median(b for _, b in rounds):.0f}/s",
                f"{ratio:.2f}", ">= 0.90", ratio >= 0.9),
            Row("refused_at_once", "refused work at 2x overload: median from its due time to the answer", f"{soon_us / 1e3:.2f} ms", "", "", "<= 1 ms", soon_us <= 1000)]


# ---- clients that go away ----

CLIENTS = {"FIN": 400, "RST": 400, "RST_STREAM": 200}


def literal(name, value):
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Streams:
    """gRPC calls on one HTTP/2 connection, by hand: what matters is when they are reset."""

    def __init__(self, bench, server, calls, message):
        self.line, self.ids = bench.connect(server), range(1, 2 * calls, 2)
        head = b"".join(literal(*f) for f in [(":method", "POST"), (":scheme", "http"), (":path", "/inference.GRPCInferenceService/ModelInfer"), (":authority", "localhost"),
                                              ("content-type", "application/grpc"), ("te", "trailers")])
        begin = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
        body = struct.pack(">BI", 0, len(message)) + message
        self.line.sendall(begin + b"".join(frame(1, 4, i, head) + frame(0, 1, i, body) for i in self.ids))

    def reset(self):
        self.line.sendall(b"".join(frame(3, 0, i, struct.pack(">I", 8)) for i in self.ids))


def grpc_message(model):
    def field(number, data):
        return bytes([number << 3 | 2, len(data)]) + data
    tensor = field(1, b"x") + field(2, b"FP32") + field(3, b"\x01")
    return field(1, model.encode()) + field(5, tensor) + field(7, struct.pack("<f", 1))


def watch(bench, troupe):
    """A connection that looks at how many wait, as fast as it can."""
    line = bench.connect(troupe)
    request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"

    def waiting():
        line.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += line.recv(1 << 18)
        head, body = answer.split(b"\r\n\r\n", 1)
        length = int(next(f for f in head.lower().split(b"\r\n") if f.startswith(b"content-length")).split(b":")[1])
        while len(body) < length:
            body += line.recv(1 << 18)
        return sum(float(x.rsplit(b" ", 1)[1]) for x in body.split(b"\n") if x.startswith(b"nv_inference_pending_request_count"))
    return waiting


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("waited too long")
        time.sleep(0.01)


def leave_all(lines, streams):
    for kind, connections in lines.items():
        for line in connections:
            if kind == "RST":
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                line.close()
            else:
                line.shutdown(socket.SHUT_WR)
    streams.reset()


def disconnect(bench):
    """A thousand clients wait behind one long run, and all go away at once."""
    troupe = serve(bench, {"gate": "sleep 600s", "m": "busy 1ms"}, ["threads.executors=1", "limits.connections=4000"])
    waiting = watch(bench, troupe)
    gate = bench.connect(troupe)
    gate.sendall(infer("gate"))
    request, took_ms = infer("m"), []
    wait_until(lambda: bench.metric(troupe, 'troupe_model_in_flight{model="gate"') == 1)
    descriptors = len(os.listdir(f"/proc/{troupe.pid}/fd"))
    for _ in range(bench.rounds):
        lines = {kind: [bench.connect(troupe) for _ in range(CLIENTS[kind])] for kind in ("RST", "FIN")}
        for line in (x for group in lines.values() for x in group):
            line.sendall(request)
        streams = Streams(bench, troupe, CLIENTS["RST_STREAM"], grpc_message("m"))
        wait_until(lambda: waiting() >= sum(CLIENTS.values()))
        leave_all(lines, streams)
        begun = time.monotonic()
        while waiting() > 0:
            pass
        took_ms.append((time.monotonic() - begun) * 1e3)
        for line in (*lines["FIN"], streams.line):
            line.close()
    wait_until(lambda: bench.metric(troupe, 'troupe_model_in_flight{model="m"') == 0 and len(os.listdir(f"/proc/{troupe.pid}/fd")) <= descriptors)
    gate.close()
    worst = median(took_ms)
    return Row("disconnect", "1,000 waiting clients go (FIN, RST, RST_STREAM): queue empty after, as seen from outside; nothing left", f"{worst:.1f} ms", "", "", "<= 10 ms", worst <= 10)


ORDER_ROWS = {"urgent_tail": urgent_tail, "tenants": tenants, "goodput": goodput, "disconnect": disconnect}
