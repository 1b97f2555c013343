"""HTTP as its own clients speak it: curl, wrk and h2load, and bytes on a socket where those are too polite."""
import gzip
import json
import re
import socket
import subprocess
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc

from conftest import ROOT, SLOW, Server
from triton_support import EXAMPLES, GOOD, make_repository

X = np.arange(6, dtype=np.float32).reshape(2, 3)
JSON_REQUEST = json.dumps({"id": "seven", "inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 3], "data": X.ravel().tolist()}]}).encode()
INFER = "/v2/models/identity_fp32/infer"
ECHO = "/v2/models/echo/infer"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server on three addresses, a Unix socket among them."""
    folder = tmp_path_factory.mktemp("http")
    repository = make_repository(folder / "models", GOOD / "identity_fp32.onnx", GOOD / "identity_bytes.onnx", EXAMPLES / "digits_cnn")
    (repository / "echo.echo").write_text("input x FP32 [-1,-1]\noutput y FP32 [-1,-1]\n")
    (repository / "long.echo").write_text("sleep 600s\ninput x FP32 [-1,-1]\noutput y FP32 [-1,-1]\n")
    (repository / "slow.echo").write_text("sleep 300ms\ninput x FP32 [-1,-1]\noutput y FP32 [-1,-1]\n")
    # As in test_tritonclient_http.py: late is to be late, whatever still runs; and what is divided is copied once more.
    started = Server(repository, "--listen", f"unix:{folder}/socket", "--listen", "127.0.0.1:0", *ipv6(),
                     settings={"sched.forecast": "false", "sched.split": "false"})
    started.wait_ready("identity_fp32", "digits_cnn", "echo", "slow", "long")
    started.socket = folder / "socket"
    yield started
    started.stop()


def ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return "--listen", "[::1]:0"
    except OSError:
        return ()


class Reply:
    """What curl received: the last header block (names in lower case), the body, and how it came."""

    def __init__(self, done, headers, body):
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        self.log, self.body = done.stderr.decode(errors="replace"), body
        self.version, status, connects = done.stdout.decode().split()[-3:]
        self.status, self.connects = int(status), int(connects)
        last = headers.decode().strip().split("\r\n\r\n")[-1]
        self.headers = {k.lower(): v for k, v in re.findall(r"^([^:\r\n]+): *([^\r\n]*)\r?$", last, re.M)}

    def json(self):
        assert self.headers["content-type"] == "application/json"
        assert int(self.headers["content-length"]) == len(self.body)
        return json.loads(self.body)


def curl(url, *options, data=None):
    """Runs curl once; `data` goes through its standard input."""
    with tempfile.TemporaryDirectory() as folder:
        headers, body = Path(folder, "headers"), Path(folder, "body")
        command = ["curl", "-sS", "-v", "--globoff", "--max-time", str(30 * SLOW), "-D", headers, "-o", body,
                   "-w", "%{http_version} %{http_code} %{num_connects}\n", *options, url]
        if data is not None:
            command += ["--data-binary", "@-"]
        done = subprocess.run(command, input=data, capture_output=True, timeout=60 * SLOW)
        return Reply(done, headers.read_bytes() if headers.exists() else b"", body.read_bytes() if body.exists() else b"")


def check_answer(reply):
    assert reply.status == 200, reply.body
    answer = reply.json() if "content-encoding" not in reply.headers else json.loads(reply.body)
    assert answer["id"] == "seven" and answer["outputs"] == [
        {"name": "y", "datatype": "FP32", "shape": [2, 3], "data": X.ravel().tolist()}]


def binary_request(array, name="x"):
    """(body, header option for curl) of a request with one binary tensor, whose answer is binary too."""
    head = json.dumps({"inputs": [{"name": name, "datatype": "FP32", "shape": list(array.shape),
                                   "parameters": {"binary_data_size": array.nbytes}}],
                       "parameters": {"binary_data_output": True}}).encode()
    return head + array.tobytes(), ("-H", f"Inference-Header-Content-Length: {len(head)}")


def check_binary_answer(reply, array):
    assert reply.status == 200, reply.body[:300]
    assert reply.headers["content-type"] == "application/octet-stream"
    cut = int(reply.headers["inference-header-content-length"])
    assert json.loads(reply.body[:cut])["outputs"][0]["parameters"] == {"binary_data_size": array.nbytes}
    assert reply.body[cut:] == array.tobytes()


def wait_until_read(server, client):
    """Until the server has taken from the kernel all that this connection of ours has sent."""
    ends = [f"0100007F:{port:04X}" for port in (server.port, client.getsockname()[1])]

    def is_read():
        for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines():
            words = line.split()
            if words[1:3] == ends:
                return words[4].endswith(":00000000")  # nothing in its queue
        return False
    server.wait(is_read, "the first part to be read")


def exchange(server, data, pause=None):
    """Sends bytes on a connection of their own, in two parts when `pause` says where, and returns all that comes until the end."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30 * SLOW) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if pause:
            s.sendall(data[:pause])
            wait_until_read(server, s)
        s.sendall(data[pause or 0:])
        received = b""
        while chunk := s.recv(1 << 20):
            received += chunk
        return received


def request_bytes(path, body, *fields):
    lines = [f"POST {path} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


EVERY_VERSION = pytest.mark.parametrize("version", ["--http1.0", "--http1.1", "--http2", "--http2-prior-knowledge"])


# ---- connections ----

def test_a_connection_is_kept_and_closed_as_the_client_says(server):
    url = f"http://{server.url}/v2/health/live"
    both = curl(url, url, "-o", "/dev/null")
    assert both.connects == 0, "the second request had no connection to make"
    assert re.search(r"Re-?using existing (http: )?connection", both.log), both.log
    closing = curl(url, url, "-o", "/dev/null", "-H", "Connection: close")
    assert closing.connects == 1 and closing.headers["connection"] == "close"
    old = curl(url, url, "-o", "/dev/null", "--http1.0")
    assert old.connects == 1, "HTTP/1.0 keeps nothing unless asked to"


def test_pipelined_requests_are_answered_in_order(server):
    def ask(model, number, *fields):
        body = json.dumps({"id": str(number), "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [number]}]}).encode()
        return request_bytes(f"/v2/models/{model}/infer", body, *fields)
    models = [("slow" if number % 20 == 3 else "echo") for number in range(60)]
    sent = b"".join(ask(model, n, *(["Connection: close"] if n == 59 else [])) for n, model in enumerate(models))
    received = exchange(server, sent)
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 60
    assert [int(n) for n in re.findall(rb'"id": ?"(\d+)"', received)] == list(range(60))


def test_every_address_serves_and_speaks_all_protocols(server):
    assert len(server.addresses) >= 3
    for address in server.addresses:
        where = ("--unix-socket", address.removeprefix("unix:")) if address.startswith("unix:") else ()
        url = "http://localhost" if where else f"http://{address}"
        check_answer(curl(url + INFER, *where, data=JSON_REQUEST))
        check_answer(curl(url + INFER, *where, "--http2-prior-knowledge", data=JSON_REQUEST))
        with triton_grpc.InferenceServerClient(address) as client:
            tensor = triton_grpc.InferInput("x", [2, 3], "FP32").set_data_from_numpy(X)
            assert client.is_server_ready() and np.array_equal(client.infer("echo", [tensor]).as_numpy("y"), X)


def test_calls_that_change_state_are_served_on_a_unix_socket(server):
    url = "http://localhost/v2/repository/models/echo/load"
    assert curl(url, "--unix-socket", server.socket, "-X", "POST").status == 200


def test_a_stale_socket_file_is_replaced(serve, repository, tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    server = serve(repository.path, "--listen", f"unix:{path}")
    assert curl("http://localhost/v2/health/live", "--unix-socket", path).status == 200
    assert server.process.poll() is None


# ---- bodies ----

@EVERY_VERSION
def test_a_question_in_json_is_answered(server, version):
    reply = curl(f"http://{server.url}{INFER}", version, data=JSON_REQUEST)
    check_answer(reply)
    assert reply.version == {"--http1.0": "1.1", "--http1.1": "1.1", "--http2": "1.1", "--http2-prior-knowledge": "2"}[version]


@EVERY_VERSION
@pytest.mark.parametrize("rows", [1, 250, 50000])
def test_binary_tensors_go_and_come(server, version, rows):
    array = np.random.default_rng(rows).random((rows, 100), np.float32)
    data, header = binary_request(array)
    check_binary_answer(curl(f"http://{server.url}{ECHO}", version, *header, data=data), array)


def test_chunked_bodies_are_read(server):
    check_answer(curl(f"http://{server.url}{INFER}", "-H", "Transfer-Encoding: chunked", data=JSON_REQUEST))
    array = np.random.default_rng(0).random((300, 1000), np.float32)
    data, header = binary_request(array)
    check_binary_answer(curl(f"http://{server.url}{ECHO}", "-H", "Transfer-Encoding: chunked", *header, data=data), array)
    pieces = b"".join(b"%x;ext=1\r\n%s\r\n" % (1, bytes([b])) for b in JSON_REQUEST) + b"0\r\nTrailer: t\r\n\r\n"
    head = f"POST {INFER} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode()
    received = exchange(server, head + pieces)
    assert received.startswith(b"HTTP/1.1 200 OK\r\n") and b'"seven"' in received


def test_a_client_that_asks_first_is_told_to_go_on(server):
    array = np.zeros((600, 1000), np.float32)  # curl asks above 1 MB
    data, header = binary_request(array)
    reply = curl(f"http://{server.url}{ECHO}", *header, data=data)
    assert "> Expect: 100-continue" in reply.log and "< HTTP/1.1 100 Continue" in reply.log
    check_binary_answer(reply, array)
    reply = curl(f"http://{server.url}/v2/nothing", *header, data=data)
    assert reply.status == 404 and "100 Continue" not in reply.log, "a body that nobody wants is not asked for"


@EVERY_VERSION
@pytest.mark.parametrize("coding, pack", [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_questions_are_understood(server, version, coding, pack):
    check_answer(curl(f"http://{server.url}{INFER}", version, "-H", f"Content-Encoding: {coding}", data=pack(JSON_REQUEST)))
    array = np.tile(np.arange(1000, dtype=np.float32), (100, 1))
    data, header = binary_request(array)
    reply = curl(f"http://{server.url}{ECHO}", version, "-H", f"Content-Encoding: {coding}", *header, data=pack(data))
    check_binary_answer(reply, array)


@EVERY_VERSION
@pytest.mark.parametrize("coding, unpack", [("gzip", gzip.decompress), ("deflate", zlib.decompress)])
def test_answers_are_compressed_when_the_client_takes_it(server, version, coding, unpack):
    array = np.tile(np.arange(1000, dtype=np.float32), (100, 1))
    data, header = binary_request(array)
    reply = curl(f"http://{server.url}{ECHO}", version, "-H", f"Accept-Encoding: {coding}", *header, data=data)
    assert reply.headers["content-encoding"] == coding and "Accept-Encoding" in reply.headers["vary"]
    assert int(reply.headers["content-length"]) == len(reply.body) < array.nbytes / 2
    reply.body = unpack(reply.body)
    check_binary_answer(reply, array)
    small = curl(f"http://{server.url}{INFER}", version, "-H", f"Accept-Encoding: {coding}", data=JSON_REQUEST)
    assert "content-encoding" not in small.headers, "not worth the while"
    never = curl(f"http://{server.url}{ECHO}", version, "-H", f"Accept-Encoding: {coding};q=0, br", *header, data=data)
    assert "content-encoding" not in never.headers
    check_binary_answer(never, array)
    assert curl(f"http://{server.url}/metrics", version, "--compressed").body.startswith(b"# HELP")


@EVERY_VERSION
def test_a_header_can_say_how_long_the_answer_may_take(server, version):
    ask = ("-H", "troupe-timeout-ms: 50", version)
    late = curl(f"http://{server.url}/v2/models/long/infer", *ask, data=JSON_REQUEST)
    assert late.status == 504 and "DEADLINE" in late.json()["error"].upper()
    check_answer(curl(f"http://{server.url}{INFER}", "-H", "troupe-timeout-ms: 30000", version, data=JSON_REQUEST))


# ---- methods ----

@EVERY_VERSION
@pytest.mark.parametrize("path", ["/v2", "/v2/health/ready", "/v2/models/echo", "/v2/models/echo/config", "/v2/models/nobody"])
def test_head_gives_what_get_gives_without_the_body(server, version, path):
    get, head = curl(f"http://{server.url}{path}", version), curl(f"http://{server.url}{path}", version, "--head")
    assert b"{" not in head.body, "curl shows the header again, and nothing else came"
    for reply in (get, head):
        reply.headers.pop("date")
    assert head.status == get.status and head.headers == get.headers
    assert int(get.headers["content-length"]) == len(get.body)


@EVERY_VERSION
def test_options_name_the_methods_and_no_origin(server, version):
    for path, allowed in (("/v2", "GET, HEAD"), (INFER, "POST"), ("/v2/logging", "GET, HEAD, POST"), ("/nothing", None)):
        reply = curl(f"http://{server.url}{path}", version, "-X", "OPTIONS", "-H", "Origin: http://page", "-H",
                     "Access-Control-Request-Method: POST")
        assert reply.status == (204 if allowed else 404) and reply.headers.get("allow") == allowed
        assert not any(name.startswith("access-control-") for name in reply.headers)
    reply = curl(f"http://{server.url}/v2", version, "-X", "DELETE")
    assert reply.status == 405 and reply.headers["allow"] == "GET, HEAD"


def test_browsers_may_call_from_the_origins_that_are_allowed(serve, repository):
    repository.add(GOOD / "identity_fp32.onnx")
    server = serve(repository.path, settings={"http.cors": "http://one,http://two"})
    server.wait_ready("identity_fp32")
    url = f"http://{server.url}{INFER}"
    asked = curl(url, "-X", "OPTIONS", "-H", "Origin: http://two", "-H", "Access-Control-Request-Method: POST", "-H",
                 "Access-Control-Request-Headers: content-type")
    assert asked.status == 204 and asked.headers["access-control-allow-origin"] == "http://two"
    assert asked.headers["access-control-allow-methods"] == "POST"
    assert "content-type" in asked.headers["access-control-allow-headers"].lower()
    answered = curl(url, "-H", "Origin: http://one", data=JSON_REQUEST)
    check_answer(answered)
    assert answered.headers["access-control-allow-origin"] == "http://one" and "Origin" in answered.headers["vary"]
    stranger = curl(url, "-H", "Origin: http://three", data=JSON_REQUEST)
    assert "access-control-allow-origin" not in stranger.headers
    with_star = serve(repository.path, settings={"http.cors": "*"})
    with_star.wait_ready("identity_fp32")
    assert curl(f"http://{with_star.url}/v2", "-H", "Origin: http://x").headers["access-control-allow-origin"] == "*"


def test_many_streams_share_a_connection(server, tmp_path):
    (tmp_path / "body").write_bytes(JSON_REQUEST)
    done = subprocess.run(["nghttp", "--null-out", "--stat", "--multiply=40", "--data", tmp_path / "body", f"http://{server.url}{INFER}"],
                          capture_output=True, text=True, timeout=60 * SLOW)
    assert done.returncode == 0 and len(re.findall(rf" 200 +\d+\w* {INFER}$", done.stdout, re.M)) == 40, done.stdout + done.stderr


# ---- load ----

def test_wrk_finds_no_error(server, tmp_path):
    script = tmp_path / "post.lua"
    script.write_text(f"""
wrk.method = "POST"
wrk.body = [[{JSON_REQUEST.decode()}]]
local pipelined
init = function()
  local all = {{}}
  for i = 1, 8 do all[i] = wrk.format() end
  pipelined = table.concat(all)
end
request = function() return pipelined end
""")
    done = subprocess.run(["wrk", "-t1", "-c16", "-d2s", "--timeout", f"{20 * SLOW}s", "-s", script, f"http://{server.url}{INFER}"],
                          capture_output=True, text=True, timeout=60 * SLOW)
    assert done.returncode == 0 and "Non-2xx" not in done.stdout and "Socket errors" not in done.stdout, done.stdout
    assert int(re.search(r"(\d+) requests in", done.stdout).group(1)) > 100


@pytest.mark.parametrize("options", [(), ("--h1",)])
def test_h2load_finds_no_error(server, tmp_path, options):
    body = tmp_path / "body"
    body.write_bytes(JSON_REQUEST)
    done = subprocess.run(["h2load", "-n3000", "-c8", "-m16", *options, "-d", body, "-H", "content-type: application/json",
                           f"http://{server.url}{INFER}"], capture_output=True, text=True, timeout=60 * SLOW)
    assert "3000 done, 3000 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout, done.stdout
    assert "status codes: 3000 2xx, 0 3xx, 0 4xx, 0 5xx" in done.stdout


# ---- what is counted ----

def test_the_metrics_can_be_read_line_by_line_and_are_those_of_the_page(server):
    check_answer(curl(f"http://{server.url}{INFER}", data=JSON_REQUEST))
    reply = curl(f"http://{server.url}/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    number = r"(?:[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?|NaN|[-+]Inf)"
    sample = re.compile(rf'(\w+)(?:\{{((?:\w+="(?:[^"\\\n]|\\[\\"n])*",?)*)\}})? ({number})')
    types, families, seen, last = {}, [], set(), {}
    for line in reply.body.decode().splitlines():
        if line.startswith("# HELP "):
            families.append(line.split()[2])
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert families[-1] == name and kind in ("counter", "gauge", "histogram")
            types[name] = kind
        else:
            match = sample.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            assert (name, labels) not in seen, f"twice: {line}"
            seen.add((name, labels))
            if types.get(name) is None:
                family, _, part = name.rpartition("_")
                assert types[family] == "histogram" and part in ("bucket", "sum", "count"), line
                name = family
                if part == "bucket":
                    key = (name, re.sub(r',?le="[^"]*"', "", labels))
                    assert float(value) >= last.get(key, 0), f"buckets must not fall: {line}"
                    last[key] = float(value)
            assert families[-1] == name, f"outside of its family: {line}"
    assert len(families) == len(set(families))
    documented = set(re.findall(r"^\| `([a-z_]+)` \| (?:counter|gauge|histogram)", (ROOT / "docs/metrics.md").read_text(), re.M))
    assert set(families) <= documented
    of_others = {name for name in documented if name.startswith(("troupe_route_", "troupe_ensemble_", "troupe_cascade_"))}
    assert documented - set(families) - of_others <= {"troupe_request_errors_total"}, "no failure yet, and nothing but models"


def test_a_model_that_nobody_has_asked_has_no_histograms(serve, repository):
    for name in ("asked", "idle"):
        repository.add(GOOD / "identity_fp32.onnx", f"{name}.onnx")
    server = serve(repository.path).wait_ready("asked", "idle")
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}).encode()
    assert server.request("POST", "/v2/models/asked/infer", body)[0] == 200
    page = server.request("GET", "/metrics")[1].decode()
    assert 'troupe_compute_duration_seconds_count{model="asked",version="1"} 1\n' in page
    assert 'nv_inference_request_success{model="idle",version="1"} 0\n' in page
    assert 'seconds_bucket{model="idle"' not in page


def grown(server, call):
    before = server.metric("troupe_copied_bytes_total")
    call()
    return server.metric("troupe_copied_bytes_total") - before


TENSOR = np.random.default_rng(1).random((150, 1000), np.float32)  # 600 KB


@pytest.mark.parametrize("model", ["echo", "identity_fp32"])
def test_tensors_over_http_are_copied_only_as_far_as_they_came_with_the_header(server, model):
    data, header = binary_request(TENSOR)
    message = request_bytes(f"/v2/models/{model}/infer", data, header[1], "Connection: close")
    head = message.index(b"\r\n\r\n") + 4

    def ask(pause):
        received = exchange(server, message, pause)
        assert received.startswith(b"HTTP/1.1 200 OK\r\n") and received.endswith(TENSOR.tobytes())
    assert grown(server, lambda: ask(head)) == 0, "the body came by itself"
    assert grown(server, lambda: ask(head + 1000)) == 1000, "this much came with the header"
    assert grown(server, lambda: ask(None)) <= 65536, "one read"


@pytest.mark.parametrize("model", ["echo", "identity_fp32"])
def test_tensors_over_grpc_are_copied_once(server, model):
    with triton_grpc.InferenceServerClient(server.url) as client:
        tensor = triton_grpc.InferInput("x", list(TENSOR.shape), "FP32").set_data_from_numpy(TENSOR)

        def ask():
            assert np.array_equal(client.infer(model, [tensor]).as_numpy("y"), TENSOR)
        copied = grown(server, ask)
        assert TENSOR.nbytes <= copied < TENSOR.nbytes + 1000
