"""bench/bench_harness.py - starts servers and floors, pins them, and runs load against them in turns.

One-core rows: whatever serves is pinned to CPU 0, the load generator to CPU 1.  The load generator itself reads the server's CPU
time (schedstat of all threads) at both ends of its window, after a warm-up.  Everything listens on loopback; only processes that
were started here are ended, by their process id."""
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import model_maker
import onnx_maker

SERVER_CPU, LOAD_CPU = "0", "1"


def median(values):
    return statistics.median(list(values))


def field_bytes(number, data):
    return onnx_maker.varint(number << 3 | 2) + onnx_maker.varint(len(data)) + data


def http_request(path, body, headers):
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def binary_infer(model, inputs, binary_output=True):
    """An infer request whose tensors (name, datatype, shape, bytes) follow the JSON."""
    head = {"inputs": [{"name": name, "shape": shape, "datatype": dtype, "parameters": {"binary_data_size": len(data)}}
                       for name, dtype, shape, data in inputs]}
    if binary_output:
        head["parameters"] = {"binary_data_output": True}
    text = json.dumps(head, separators=(",", ":")).encode()
    return http_request(f"/v2/models/{model}/infer", text + b"".join(data for *_, data in inputs), {
        "Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(text))})


@dataclass
class Row:
    name: str
    what: str
    measured: str
    floor: str
    ratio: str
    required: str
    ok: bool


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pinned(cpus, command):
    return ["taskset", "-c", cpus, *command] if cpus and len(os.sched_getaffinity(0)) > 1 else command


class Server:
    """A process that listens on `port`; `command(bench)` says how it is started."""
    process = pid = port = None
    cpus = SERVER_CPU
    environment = {}

    def is_up(self, bench):
        raise NotImplementedError


class Floor(Server):
    def __init__(self, program, *arguments):
        self.program, self.arguments = program, arguments

    def command(self, bench):
        return [bench.build / "bench" / self.program, "--port", self.port, *self.arguments]

    def is_up(self, bench):
        return self.process.stdout.readline() == b"ready\n"


class Troupe(Server):
    """troupe serve on a repository: a folder, or {file name: text or path of the file}.  It is up when its `models` are; those of a
    folder must be told."""
    def __init__(self, repository, settings=(), cpus=SERVER_CPU, wait=True, environment=None, wrapper=(), models=None):
        self.repository, self.settings, self.cpus, self.wait, self.wrapper = repository, settings, cpus, wait, wrapper
        self.models = models if models is not None else [name.rsplit(".", 1)[0] for name in repository] if wait else []
        self.environment = environment or {}

    def command(self, bench):
        repository = self.repository
        if isinstance(self.repository, dict):
            repository = bench.folder("repository")
            for name, what in self.repository.items():
                if isinstance(what, Path):
                    shutil.copyfile(what, repository / name)
                else:
                    (repository / name).write_text(what, encoding="utf-8")
        # Rows are about loaded models unless they say otherwise.
        settings = ["models.load=startup", *self.settings]
        options = ["--listen", f"127.0.0.1:{self.port}", *(x for s in settings for x in ("--set", s))]
        return [*self.wrapper, bench.build / "troupe", "serve", repository, *options]

    def is_up(self, bench):
        if not self.wait:
            return True
        for _ in range(1200):
            try:
                bench.get(self, "/v2/health/ready")
                return all(bench.get(self, f"/v2/models/{name}/ready") is not None for name in self.models)
            except OSError:
                if self.process.poll() is not None:
                    return False
                time.sleep(0.05)
        return False


class Bench:
    def __init__(self, root, build, rounds, seconds):
        self.root, self.build, self.rounds, self.seconds = root, build, rounds, seconds
        self.work = Path(tempfile.mkdtemp(prefix="troupe-bench-"))
        self.servers, self.folders, self.ahead_of_others = [], 0, None
        library = root / ".deps/onnxruntime/libonnxruntime.so"
        self.environment = dict(os.environ)
        if library.exists():
            self.environment.setdefault("TROUPE_ONNXRUNTIME", str(library))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop_all()
        shutil.rmtree(self.work, ignore_errors=True)

    # ---- files ----

    def path(self, name):
        return self.work / name

    def file(self, name, data):
        self.path(name).write_bytes(data)
        return self.path(name)

    def folder(self, name):
        self.folders += 1
        folder = self.work / f"{name}-{self.folders}"
        folder.mkdir()
        return folder

    def model(self, architecture):
        """A model of model_maker.py, from the build folder."""
        return model_maker.made(self.build / "bench" / "models", architecture)

    # ---- processes ----

    def start(self, server):
        server.port = free_port()
        command = [str(x) for x in pinned(server.cpus, server.command(self))]
        log = open(self.work / f"server-{len(self.servers)}.log", "w+b")
        server.log = log
        server.process = subprocess.Popen(command, cwd=self.root, env={**self.environment, **server.environment},
                                          stdout=subprocess.PIPE if isinstance(server, Floor) else log, stderr=log)
        server.pid = server.process.pid  # taskset and valgrind exec what they start
        self.servers.append(server)
        if not server.is_up(self):
            log.seek(0)
            raise RuntimeError(f"{command}\n{log.read().decode(errors='replace')[-2000:]}")
        return server

    def stop(self, server):
        self.servers.remove(server)
        server.process.send_signal(signal.SIGTERM)
        try:
            server.process.wait(60)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()
        if server.process.stdout:
            server.process.stdout.close()
        server.log.close()

    def stop_all(self):
        for server in list(self.servers):
            self.stop(server)

    def get(self, server, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as reply:
            return reply.read()

    def post(self, server, path, body, headers=None):
        request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", data=body, headers=headers or {})
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.read()

    def metric(self, server, series):
        """The sum of a series, or of all whose names and labels begin so; 0 where there is none."""
        lines = self.get(server, "/metrics").decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(series))

    def connect(self, server):
        line = socket.create_connection(("127.0.0.1", server.port), 60)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return line

    def exchange(self, line, request):
        """Sends a request and takes its whole answer, which must be 200; returns the milliseconds of both."""
        begun = time.monotonic()
        line.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += line.recv(1 << 16) or self.fail("the connection ended")
        head, body = answer.split(b"\r\n\r\n", 1)
        fields = dict(f.split(": ", 1) for f in head.decode().lower().split("\r\n")[1:])
        while len(body) < int(fields["content-length"]):
            body += line.recv(1 << 16) or self.fail("the connection ended")
        took_ms = (time.monotonic() - begun) * 1e3
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            self.fail(answer[:500].decode(errors="replace"))
        return took_ms

    def fail(self, why):
        raise RuntimeError(why)

    def command(self, *words):
        """What a command of ours prints as JSON, also when it fails."""
        command = [str(x) for x in (self.build / "troupe", *words)]
        return json.loads(subprocess.run(command, env=self.environment, stdout=subprocess.PIPE, check=False).stdout)

    def cpu_seconds(self, server):
        with open(f"/proc/{server.pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, server):
        """smaps_rollup of a server, in bytes: Pss, Anonymous and others."""
        with open(f"/proc/{server.pid}/smaps_rollup", encoding="ascii") as f:
            lines = (line.split() for line in f)
            return {words[0].rstrip(":"): int(words[1]) << 10 for words in lines if len(words) == 3 and words[2] == "kB"}

    def settled(self, number, quiet_s=3, limit_s=30):
        """The number when it has not become smaller for some seconds: what was left behind for the next run has been given back."""
        least, since, begun = number(), time.monotonic(), time.monotonic()
        while time.monotonic() - since < quiet_s and time.monotonic() - begun < limit_s:
            time.sleep(0.25)
            now = number()
            if now < least:
                least, since = now, time.monotonic()
        return number()

    def wait_for_port(self, server):
        while server.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", server.port), 1).close()
                return
            except OSError:
                time.sleep(0.0002)
        raise RuntimeError("the server ended before its port was open")

    # ---- load ----

    def _load(self, program, server, request, cpu, seconds, options):
        command = [self.build / "bench" / program, "--port", server.port, "--request", request, "--server-pid", server.pid,
                   "--seconds", seconds or self.seconds]
        for name, value in options.items():
            if value is not None:
                command += [f"--{name}", value]
        return [str(x) for x in pinned(cpu, command)]

    def _result(self, command, may_fail=False):
        """What a client says.  Without `may_fail` an answer that is no 200 ends the row: a number measured around errors is no number."""
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        result = json.loads(run.stdout) if run.stdout.startswith("{") else None
        if (run.returncode and not may_fail) or not result or (result["requests"] == 0 and "--requests" not in command):
            raise RuntimeError(f"{' '.join(command)}\n{run.stdout}{run.stderr}")
        return result

    def load_http(self, server, request, connections, seconds=None, cpu=LOAD_CPU, may_fail=False, **options):
        return self._result(self._load("load_http", server, request, cpu, seconds, {"connections": connections, **options}), may_fail)

    def load_grpc(self, server, request, connections, streams, seconds=None, cpu=LOAD_CPU, **options):
        return self._result(self._load("load_grpc", server, request, cpu, seconds,
                                       {"connections": connections, "streams": streams, **options}))

    def begin_load_http(self, server, request, connections, seconds, keep=False):
        return subprocess.Popen(self._load("load_http", server, request, None, seconds, {"connections": connections}),
                                stdout=subprocess.PIPE if keep else subprocess.DEVNULL)

    def end_load(self, process):
        if process.wait() != 0:
            raise RuntimeError("the load beside had errors")

    def run_floor(self, program, *arguments, cpus=None, nice=0, wrapper=()):
        command = [*wrapper, *(("nice", "-n", str(nice)) if nice else ()), *(str(x) for x in (self.build / "bench" / program, *arguments))]
        command = pinned(cpus, command)
        return json.loads(subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True).stdout)

    # ---- before all others ----
    # What is over in a blink can be measured on a busy machine, where the kernel lets us go first: what another process does then costs
    # us no time.  Where it does not, the noise is shown with the number.

    def ahead(self):
        """What a command is begun with, so that it goes first; nothing where that is not allowed."""
        if self.ahead_of_others is None:
            command = ("chrt", "--fifo", "1")
            can = shutil.which(command[0]) and subprocess.run([*command, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0
            self.ahead_of_others = command if can else ()
        return self.ahead_of_others

    @contextlib.contextmanager
    def going_ahead(self):
        """The same for this process."""
        if self.ahead():
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        try:
            yield
        finally:
            if self.ahead():
                os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))

    def interleave(self, ours, floor):
        """(ours, floor) of every round; the order within a round alternates, so that a drift favours nobody."""
        rounds = []
        for i in range(self.rounds):
            if i % 2:
                b = floor()
                rounds.append((ours(), b))
            else:
                a = ours()
                rounds.append((a, floor()))
        return rounds
