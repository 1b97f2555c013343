"""Starts real servers for the end-to-end tests, on ports that the kernel chooses, and ends them by SIGTERM: a server that does not
drain and exit with 0 fails its test, and so does one whose sanitizer had something to say."""
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("TROUPE_BUILD", ROOT / "build"))
TROUPE = BUILD / "troupe"
SLOW = 10 if os.environ.get("TROUPE_SANITIZER") else 1  # sanitizers are slow; nothing here measures time
# What a server says that is never right.  tools/again looks for the same in what a failed test wrote, and for the words below of a server
# that ended, or did not; it must not find them in the source.
COMPLAINT = re.compile("Sanitizer|runtime error:|troupe: bug:")
COUNTS_MEMORY = os.environ.get("TROUPE_SANITIZER") != "thread"  # else the sanitizer's memory counts as the server's
counts_memory = pytest.mark.skipif(not COUNTS_MEMORY, reason="the sanitizer's memory counts as the server's")


class Server:
    """A troupe process.  `url` is host:port; every port speaks HTTP and gRPC."""

    def __init__(self, repository, *args, settings=None, env=None, prefix=()):
        """Models are loaded at the start unless `settings` or `args` say otherwise: most tests are about loaded ones."""
        self.repository = Path(repository)
        command = [*prefix, str(TROUPE), "serve", str(repository), "--listen", "127.0.0.1:0", *args]
        if not any("models.load=" in str(word) for word in args):
            settings = {"models.load": "startup", **(settings or {})}
        for key, value in (settings or {}).items():
            command += ["--set", f"{key}={value}"]
        environment = dict(os.environ, **(env or {}))
        environment.setdefault("TROUPE_ONNXRUNTIME", str(ROOT / ".deps/onnxruntime/libonnxruntime.so"))
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, errors="replace")
        self.lines, self.url, self.addresses = [], None, []
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._listening.wait(30 * SLOW):
            self.process.kill()
            raise AssertionError("the server did not listen:\n" + self.log())

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            match = re.match(r"troupe: listening on (\S+)", line)
            if match:
                self.addresses.append(match.group(1))
                if not self.url:
                    self.url = match.group(1)
                    self._listening.set()
        self._listening.set()

    def log(self):
        return "".join(self.lines)

    @property
    def port(self):
        return int(self.url.rsplit(":", 1)[1])

    def wait_ready(self, *models, seconds=30):
        """Waits until the server, and each of the models named, is ready."""
        self.wait(lambda: self.get("/v2/health/ready")[0] == 200, "the server to be ready", seconds)
        for model in models:
            self.wait(lambda: self.get(f"/v2/models/{model}/ready")[0] == 200, f"model {model} to be ready", seconds)
        return self

    def wait(self, condition, what, seconds=30):
        """Time in which the whole machine stands still is not the server's: a pause counts for a second at most.  What `condition` takes
        counts in full: it may be a request that the server does not answer."""
        waited, asked = 0.0, time.monotonic()
        while not condition():
            slept = time.monotonic()
            waited += slept - asked
            assert self.process.poll() is None, "the server ended:\n" + self.log()
            assert waited < seconds * SLOW, f"waited too long for {what}:\n" + self.log()
            time.sleep(0.02)
            asked = time.monotonic()
            waited += min(asked - slept, 1.0)

    def wait_logged(self, words):
        """Until these stand in the log, which is read behind the server's back."""
        self.wait(lambda: words in self.log(), f"the log to say {words!r}")

    def request(self, method, path, body=None, headers=None, timeout=60):
        """One request with the standard library: (status, body bytes, headers)."""
        request = urllib.request.Request(f"http://{self.url}{path}", data=body, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=timeout * SLOW) as reply:
                return reply.status, reply.read(), reply.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers

    def get(self, path):
        return self.request("GET", path)

    def metric(self, name, **labels):
        """The sum of all samples of `name` whose labels match."""
        total, found = 0.0, False
        for line in self.get("/metrics")[1].decode().splitlines():
            match = re.match(r"(\w+)(?:\{(.*)\})? (\S+)$", line)
            if match and match.group(1) == name:
                have = dict(re.findall(r'(\w+)="((?:\\.|[^"\\])*)"', match.group(2) or ""))
                if all(have.get(k) == v for k, v in labels.items()):
                    total, found = total + float(match.group(3)), True
        assert found, f"no metric {name} {labels}"
        return total

    def stop(self, expect=0):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40 * SLOW)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise AssertionError("the server did not end after SIGTERM:\n" + self.log())
        self._reader.join(10)
        log = self.log()
        assert not COMPLAINT.search(log), log
        assert self.process.returncode == expect, f"exit code {self.process.returncode}:\n{log}"


class Gate:
    """What a model of a test backend waits for, instead of for so many seconds: `f"{gate.until}"` in its script holds its runs, and
    `f"{gate.load_until}"` its loads, until open()."""

    def __init__(self, path):
        self.path, self.until, self.load_until = path, f"until {path}\n", f"load_until {path}\n"

    def open(self):
        self.path.touch()

    def shut(self):
        self.path.unlink(missing_ok=True)


@pytest.fixture
def serve(tmp_path):
    """serve(repository, *args, settings={...}) starts a server; all are stopped, and checked, when the test ends."""
    servers = []

    def start(repository, *args, **kwargs):
        servers.append(Server(repository, *args, **kwargs))
        return servers[-1]
    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def gate(serve, tmp_path):  # pylint: disable=unused-argument,redefined-outer-name
    """A gate that is shut; it is opened before servers are stopped, so that a test that fails does not wait for runs to end."""
    made = Gate(tmp_path / "gate")
    yield made
    made.open()


@pytest.fixture
def repository(tmp_path):
    """An empty folder to put models in: repository("name", ...) copies from tests/models or examples/models."""
    class Repository:
        path = tmp_path / "repository"

        def add(self, source, name=None):
            source = Path(source)
            target = self.path / (name or source.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True)
            else:
                shutil.copy(source, target)
            return target

        def write(self, name, text):
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text if isinstance(text, bytes) else text.encode())
            return target
    Repository.path.mkdir()
    return Repository()
