"""Malformed, truncated and slow HTTP/1.1; each test is a row of docs/bad-input.md."""
import gzip
import json
import zlib

import pytest

from bad_input import Peer, post, row, say, slowly  # noqa: F401 (row is a fixture)
from conftest import SLOW, Server

INFER = "/v2/models/echo/infer"
GOOD = '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}'
GET = "GET /v2/health/live HTTP/1.1\r\n"
PATIENCE_MS = 500 if SLOW == 1 else 2000  # who is not slow on purpose is not that slow
SETTINGS = {"timeouts.header": f"{PATIENCE_MS}ms", "timeouts.body": f"{PATIENCE_MS}ms", "timeouts.idle": f"{3 * PATIENCE_MS}ms", "limits.body_bytes": 65536,
            "limits.header_bytes": 8192, "limits.headers": 40}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    (folder / "echo.echo").write_text("input x FP32 [-1]\noutput y FP32 [-1]\n")
    server = Server(folder, settings=SETTINGS).wait_ready("echo")
    yield server
    server.stop()


# -- framing --

def test_content_length_beside_transfer_encoding(server, row):
    for lines in ["Content-Length: 4\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 4",
                  "Content-Length: 0\r\ntransfer-encoding: Chunked"]:
        say(server, row, f"POST {INFER} HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n0\r\n\r\n")


def test_two_content_lengths(server, row):
    for lines in ["Content-Length: 4\r\nContent-Length: 5", "Content-Length: 4\r\ncontent-length: 4", "Content-Length: 4, 4"]:
        say(server, row, f"POST {INFER} HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\nabcd")


def test_content_length_is_no_number(server, row):
    for value in ["-1", "+1", "1x", "0x10", "1.0", "", "99999999999999999999", "18446744073709551616", "1 2"]:
        say(server, row, f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: {value}\r\n\r\n")


def test_unknown_transfer_coding(server, row):
    for value in ["gzip, chunked", "xchunked, chunked", "identity"]:
        say(server, row, f"POST {INFER} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {value}\r\n\r\n0\r\n\r\n")


def test_transfer_coding_that_is_not_chunked_last(server, row):
    for value in ["chunked, gzip", "chunked, chunked", "\x0bchunked"]:
        say(server, row, f"POST {INFER} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {value}\r\n\r\n0\r\n\r\n")


def test_transfer_encoding_in_http_1_0(server, row):
    say(server, row, f"POST {INFER} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")


def test_bare_lf(server, row):
    for data in ["GET / HTTP/1.1\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\n",
                 f"POST {INFER} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\nabcd\r\n0\r\n\r\n"]:
        say(server, row, data)


def test_bare_cr(server, row):
    for data in ["GET / HTTP/1.1\r\nHost: a\r\r\nX: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\rX",
                 "GET / HTTP/1.1\rX: a\r\nHost: a\r\n\r\n"]:
        say(server, row, data)


def test_folded_header(server, row):
    for fold in [" b", "\tb"]:
        say(server, row, f"{GET}Host: a\r\nX: a\r\n{fold}\r\n\r\n")


def test_space_around_a_header_name(server, row):
    for line in ["X : a", " X: a", "Content-Length : 4", "X Y: a"]:
        say(server, row, f"{GET}Host: a\r\n{line}\r\n\r\n")


def test_bad_bytes_in_a_header(server, row):
    for line in [": a", "X\x00Y: a", "X: a\x00b", "X: a\x01b", "X\x7f: a", "X(: a", "no colon", "H\xf6st: a"]:
        say(server, row, f"{GET}Host: a\r\n{line}\r\n\r\n")


def test_hosts(server, row):
    for lines in ["", "Host: a\r\nHost: b\r\n", "Host: a\r\nhost: a\r\n"]:
        say(server, row, f"{GET}{lines}\r\n")


def test_bad_chunks(server, row):
    for chunks in ["x\r\n", "-1\r\n", "0x4\r\nabcd\r\n", "ffffffffffffffffff\r\n", "4\r\nabcdX\r\n", "4\r\nabcde\r\n0\r\n\r\n", "4 4\r\nabcd\r\n",
                   "\r\nabcd", "4;\x00\r\nabcd\r\n", "0\r\nX : a\r\n\r\n"]:
        say(server, row, f"POST {INFER} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")


def test_endless_trailers(server, row):
    trailer = "".join(f"X-{i}: {'a' * 60}\r\n" for i in range(400))
    say(server, row, f"POST {INFER} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{trailer}\r\n")


def test_http_versions(server, row):
    for version in ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/3.0", "HTTP/9.9", "HTTP/11", "HTTP/1.1 "]:
        say(server, row, f"GET / {version}\r\nHost: a\r\n\r\n")


def test_http_0_9(server, row):
    say(server, row, "GET /\r\n\r\n")


def test_malformed_request_line(server, row):
    for line in ["GET / HTP/1.1", "GET / ", "GET", "G\x00T / HTTP/1.1", "get / HTTP/1.1",
                 "FROBNICATE / HTTP/1.1", "GET /a b HTTP/1.1", "GET /\x00 HTTP/1.1", "GET /\xff\x01 HTTP/1.1", "GET /a\x7f HTTP/1.1",
                 "GET v2 HTTP/1.1", "GET * HTTP/1.1", "GET http:/x HTTP/1.1"]:
        say(server, row, f"{line}\r\nHost: a\r\n\r\n")


def test_other_protocols(server, row):
    for data in [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00" * 64]:
        say(server, row, data)


# -- sizes --

def test_large_header(server, row):
    for lines in ["X: " + "a" * 9000 + "\r\n", "".join(f"X{i}: {'a' * 1000}\r\n" for i in range(12))]:
        say(server, row, f"{GET}Host: a\r\n{lines}\r\n")


def test_endless_header(server, row):
    say(server, row, f"{GET}Host: a\r\nX: ", then=lambda peer: peer.send("a" * 4_000_000))


def test_many_headers(server, row):
    say(server, row, f"{GET}Host: a\r\n" + "".join(f"X{i}: a\r\n" for i in range(60)) + "\r\n")


def test_long_target(server, row):
    say(server, row, f"GET /{'a' * 9000} HTTP/1.1\r\nHost: a\r\n\r\n")


def test_large_body(server, row):
    for length in [65537, 2**32, 2**63, 2**64 - 1]:
        say(server, row, f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")


def test_large_chunked_body(server, row):
    chunk = "4000\r\n" + "a" * 0x4000 + "\r\n"
    say(server, row, f"POST {INFER} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 5 + "0\r\n\r\n")


def test_decompression_bomb(server, row):
    for name, body in [("gzip", gzip.compress(bytes(30_000_000))), ("deflate", zlib.compress(bytes(30_000_000)))]:
        say(server, row, post(INFER, body, f"Content-Encoding: {name}"))


# -- codings and header fields of ours --

def test_unknown_content_encoding(server, row):
    for name in ["br", "zstd", "gzip, gzip", "gzip, br", "x"]:
        _, headers = say(server, row, post(INFER, GOOD, f"Content-Encoding: {name}"))
        assert headers["Accept-Encoding"] == "gzip, deflate"


def test_body_that_is_not_as_encoded(server, row):
    packed = gzip.compress(GOOD.encode())
    flipped = packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:]
    for name, body in [("gzip", GOOD.encode()), ("gzip", packed[:-9]), ("gzip", flipped), ("gzip", packed + b"x"), ("deflate", b"\xff\xff"),
                       ("deflate", zlib.compress(GOOD.encode())[:-5]), ("gzip", b"\x1f\x8b")]:
        say(server, row, post(INFER, body, f"Content-Encoding: {name}"))


def test_unknown_expectation(server, row):
    say(server, row, post(INFER, GOOD, "Expect: 200-ok"))


def test_expectation_of_a_body_that_is_refused(server, row):
    for data in ["POST /v2/models/no/such/path HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
                 "POST /v2/nothing HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"]:
        say(server, row, data)


def test_inference_header_length(server, row):
    for value in ["-1", "x", "1.5", "", "99999999999999999999", str(len(GOOD) + 1), "3"]:
        say(server, row, post(INFER, GOOD, f"Inference-Header-Content-Length: {value}"))
    say(server, row, post(INFER, GOOD, *[f"Inference-Header-Content-Length: {len(GOOD)}"] * 2))


def test_timeout_header(server, row):
    for value in ["0", "-1", "x", "1.5", "99999999999999999999"]:
        say(server, row, post(INFER, GOOD, f"troupe-timeout-ms: {value}"))


def test_priority_header(server, row):
    for value in ["urgent", "-1", "1.5", "normal,batch", "99999999999999999999"]:
        say(server, row, post(INFER, GOOD, f"troupe-priority: {value}"))


# -- targets --

def test_bad_percent_encoding(server, row):
    for name in ["%", "%4", "%zz", "a%2", "%00", "a%00b", "%u0041"]:
        say(server, row, post(f"/v2/models/{name}/infer", GOOD))


def test_line_ends_in_a_name(server, row):
    for name in ["a%0d%0aX:%20b", "%0A", "a%7f"]:
        _, headers = say(server, row, post(f"/v2/models/{name}/infer", GOOD))
        assert "X" not in headers


def test_quotes_in_a_name(server, row):
    for name in ["a%22%5c", "%22,%22x%22:%22", "%e2%82%ac", "a%2fb"]:
        say(server, row, post(f"/v2/models/{name}/infer", GOOD))


def test_unknown_path(server, row):
    for target in ["/v1/models", "/v2/models/echo/infer/x", "/v2//models", "/../etc/passwd", "/v2/models/%2e%2e/x", "/V2", "http://localhost/no"]:
        say(server, row, f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")


def test_wrong_method(server, row):
    for method, path, allowed in [("DELETE", INFER, "POST"), ("GET", INFER, "POST"), ("POST", "/v2/health/live", "GET, HEAD"), ("PUT", "/metrics", "GET, HEAD")]:
        _, headers = say(server, row, f"{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n")
        assert headers["Allow"] == allowed
        status, reply, _ = server.request(method, path)
        assert status == 405 and f"takes {allowed}" in json.loads(reply)["error"]


def test_trace_and_connect(server, row):
    for line in ["TRACE / HTTP/1.1", "CONNECT a:80 HTTP/1.1"]:
        say(server, row, f"{line}\r\nHost: a\r\n\r\n")


# -- truncated --

def test_truncated_header(server, row):
    for data in ["G", "GET / HT", f"{GET}Host: a", f"{GET}Host: a\r\n"]:
        say(server, row, data, then=Peer.end)


def test_truncated_body(server, row):
    say(server, row, post(INFER, GOOD)[:-1], then=Peer.end)
    say(server, row, f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n", then=Peer.end)


def test_truncated_chunks(server, row):
    for chunks in ["", "4\r\nab", "4\r\nabcd\r\n", "4\r\nabcd\r\n0\r\n"]:
        say(server, row, f"POST {INFER} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}", then=Peer.end)


def test_gone_in_the_middle(server, row):
    before = server.metric("troupe_connections")
    for data in [f"{GET}Host", post(INFER, GOOD)[:-3]]:
        with Peer(server) as peer:
            peer.send(data)
    server.wait(lambda: server.metric("troupe_connections") <= before, "the connections to be gone")


# -- slow --

def test_slow_header(server, row):
    say(server, row, f"{GET}Ho")


def test_header_that_drips(server, row):
    with Peer(server) as peer:
        slowly(peer.send(f"{GET}X: "), b"a" * 50, PATIENCE_MS / 16000)  # three times as long as it may take
        row.check(*peer.answer()[:2])
        assert peer.is_closed()


def test_slow_body(server, row):
    say(server, row, post(INFER, GOOD)[:-1])
    say(server, row, f"POST {INFER} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab")


def test_slow_body_of_a_refused_request(server, row):
    say(server, row, f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Encoding: br\r\nContent-Length: 10\r\n\r\nab")


def test_silence(server, row):
    with Peer(server) as peer:
        assert peer.socket.recv(1) == b""


def test_idle_connection(server, row):
    with Peer(server) as peer:
        assert peer.is_usable() and peer.socket.recv(1) == b""


def test_answer_that_nobody_reads(server, row):
    with Peer(server) as peer:
        peer.socket.settimeout(0.2)
        try:
            for _ in range(3000):
                peer.socket.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 50)
        except OSError:
            pass
        closed = server.metric("troupe_connections")
        server.wait(lambda: server.metric("troupe_connections") < closed or closed == 1, "the connection to be closed")


# -- what follows --

def test_bad_behind_good(server, row):
    with Peer(server) as peer:
        peer.send(f"{GET}Host: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n{GET}Host: a\r\n\r\n")
        whole = peer.everything()
    assert whole.count(b"HTTP/1.1 ") == 2, whole
    assert whole.startswith(b"HTTP/1.1 200 ") and f"HTTP/1.1 {row.http} ".encode() in whole
