"""docs/bad-input.md says what bad input gets, a row for each test; here the tests read what they have to see.

`row` is the row of the running test: its fixture reads the row's counter before and after, and looks that the server lives on.  `Peer` is a
client that can say anything: it sends bytes as they are.  `frame` and `fields` make HTTP/2 by hand."""
import ctypes
import http.client
import json
import re
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from conftest import SLOW

PAGE = Path(__file__).resolve().parents[2] / "docs/bad-input.md"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
grpc_names = {code.value[0]: code.name for code in grpc.StatusCode}
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8


@dataclass
class Row:
    what: str
    http: int | None
    grpc: str | None
    connection: str
    counter: str
    test: str

    @property
    def stays(self):
        return self.connection.startswith("stays")

    def check(self, status, words=None):
        assert status == self.http, (status, words)


def rows():
    """Every row of every table of the page, in order."""
    found = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)][1:-1]
        if len(cells) == 6 and "::" in cells[5]:
            http_text, grpc_text = cells[1], cells[2]
            found.append(Row(cells[0], int(http_text[:3]) if http_text[:3].isdigit() else None, grpc_text if grpc_text.isupper() else None,
                             cells[3], cells[4].strip("`"), cells[5].strip("`")))
    return found


def row_of(request):
    name = f"{Path(request.node.fspath).name}::{request.node.originalname}"
    mine = [row for row in rows() if row.test == name]
    assert len(mine) == 1, f"docs/bad-input.md has {len(mine)} rows for {name}"
    return mine[0]


def sample(server, counter):
    """The value of `name` or `name{label="value"}`; a counter that was never touched is 0."""
    match = re.match(r'(\w+)(?:\{(\w+)="(\w+)"\})?$', counter)
    try:
        return server.metric(match.group(1), **({match.group(2): match.group(3)} if match.group(2) else {}))
    except AssertionError:
        return 0.0


@pytest.fixture
def row(request, server):
    """The test's row.  Its counter must move, the server must answer on a fresh connection, and nothing may count as our own fault."""
    mine = row_of(request)
    has_counter = mine.counter.startswith(("troupe_", "nv_"))
    before = sample(server, mine.counter) if has_counter else 0
    internal = sample(server, 'troupe_request_errors_total{reason="INTERNAL"}')
    yield mine
    if has_counter:
        server.wait(lambda: sample(server, mine.counter) > before, f"{mine.counter} to move", 5)
    assert server.get("/v2/health/live")[0] == 200
    if mine.http != 500 and mine.grpc != "INTERNAL":
        assert sample(server, 'troupe_request_errors_total{reason="INTERNAL"}') == internal


class Peer:
    """A connection that sends what it is told."""

    def __init__(self, server, timeout=20):
        host, port = server.url.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=timeout * SLOW)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """Sends; a server that has said its word and closed is no failure of ours."""
        try:
            self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def end(self):
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def answer(self, method="POST"):
        """The next HTTP/1 answer: (status, body, headers)."""
        reply = http.client.HTTPResponse(self.socket, method=method)
        reply.begin()
        body = reply.read()
        if reply.headers.get_content_type() == "application/json" and body:
            body = json.loads(body)
        return reply.status, body, reply.headers

    def everything(self):
        """The bytes until the other side closes."""
        whole = b""
        while data := self.socket.recv(65536):
            whole += data
        return whole

    def is_closed(self):
        """Whether the other side closes; what it still sends is read away."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        except TimeoutError:
            return False
        return True

    def is_usable(self):
        return self.send("GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n").answer("GET")[0] == 200


def say(server, row, data, then=None):
    """Sends `data` on a fresh connection and compares status, words and what becomes of the connection with the row."""
    with Peer(server) as peer:
        peer.send(data)
        if then:
            then(peer)
        status, body, headers = peer.answer()
        assert status == row.http, (data[:200], status, body)
        assert isinstance(body, dict) and body["error"], (data[:200], body)
        if row.stays:
            assert headers["Connection"] != "close" and peer.is_usable(), data[:200]
        else:
            assert headers["Connection"] == "close" and peer.is_closed(), data[:200]
        return body["error"], headers


def post(path, body, *lines):
    """The bytes of a POST with the length that its body has."""
    body = body.encode() if isinstance(body, str) else body
    head = [f"POST {path} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


# -- HTTP/2 by hand --

def frame(kind, flags, stream, payload=b"", length=None):
    return struct.pack(">I", len(payload) if length is None else length)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def fields(*pairs):
    """HPACK, every field literal and without an index."""
    def text(value):
        value = value.encode("latin-1") if isinstance(value, str) else value
        if len(value) < 127:
            return bytes([len(value)]) + value
        rest, size = len(value) - 127, b"\x7f"
        while rest >= 128:
            size, rest = size + bytes([rest & 127 | 128]), rest >> 7
        return size + bytes([rest]) + value
    return b"".join(b"\x00" + text(name) + text(value) for name, value in pairs)


def message(payload=b"", flag=0, length=None):
    """A gRPC message with its prefix."""
    return struct.pack(">BI", flag, len(payload) if length is None else length) + payload


def call_fields(path="/inference.GRPCInferenceService/ServerLive", *more):
    return fields((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"), ("te", "trailers"),
                  ("content-type", "application/grpc"), *more)


def get_fields(path="/v2/health/live", *more):
    return fields((":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "localhost"), *more)


class Inflater:
    """nghttp2's header decompression, which this test's side needs to read answers."""

    class Field(ctypes.Structure):
        _fields_ = [("name", ctypes.POINTER(ctypes.c_char)), ("value", ctypes.POINTER(ctypes.c_char)), ("name_len", ctypes.c_size_t),
                    ("value_len", ctypes.c_size_t), ("flags", ctypes.c_uint8)]

    def __init__(self):
        self.library = ctypes.CDLL("libnghttp2.so.14")
        self.library.nghttp2_hd_inflate_hd2.restype = ctypes.c_ssize_t
        self.inflater = ctypes.c_void_p()
        assert self.library.nghttp2_hd_inflate_new(ctypes.byref(self.inflater)) == 0

    def __del__(self):
        self.library.nghttp2_hd_inflate_del(self.inflater)

    def fields(self, block):
        found, field, flags = {}, self.Field(), ctypes.c_int(0)
        while True:
            n = self.library.nghttp2_hd_inflate_hd2(self.inflater, ctypes.byref(field), ctypes.byref(flags), block, ctypes.c_size_t(len(block)), 1)
            assert n >= 0, n
            block = block[n:]
            if flags.value & 2:
                found[field.name[:field.name_len].decode()] = field.value[:field.value_len].decode()
            if flags.value & 1:
                self.library.nghttp2_hd_inflate_end_headers(self.inflater)
                return found


class H2Peer(Peer):
    """HTTP/2 without a library: frames out as told; frames in as they come.  It acknowledges nothing by itself."""

    def __init__(self, server, timeout=20, settings=b""):
        super().__init__(server, timeout)
        self.pending, self.inflater = b"", Inflater()
        self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def frames(self):
        """(kind, flags, stream, payload) until the other side closes; the payload of HEADERS is the fields."""
        while True:
            while len(self.pending) >= 9:
                length = int.from_bytes(self.pending[:3], "big")
                if len(self.pending) < 9 + length:
                    break
                kind, flags, stream = struct.unpack(">BBI", self.pending[3:9])
                payload, self.pending = self.pending[9:9 + length], self.pending[9 + length:]
                if kind == HEADERS:
                    payload = self.inflater.fields(payload)
                yield kind, flags, stream, payload
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                return
            if not data:
                return
            self.pending += data

    def until(self, kind, stream=None, flags=0):
        """The payload of the next such frame; None when the connection ends without one."""
        for got, has, on, payload in self.frames():
            if got == kind and (stream is None or on == stream) and has & flags == flags:
                return payload
        return None

    def goaway(self):
        """The error code of the GOAWAY; None: closed without one."""
        payload = self.until(GOAWAY)
        return None if payload is None else int.from_bytes(payload[4:8], "big")

    def reset(self, stream):
        """The error code of the stream's RST_STREAM."""
        payload = self.until(RST_STREAM, stream)
        return None if payload is None else int.from_bytes(payload, "big")

    def status(self, stream=1):
        """The status of a REST answer."""
        return int(self.until(HEADERS, stream)[":status"])

    def grpc_status(self, stream=1):
        """(the status, the words) of a gRPC call."""
        found = self.until(HEADERS, stream)
        if "grpc-status" not in found:
            found = self.until(HEADERS, stream)
        return grpc_names[int(found["grpc-status"])], found.get("grpc-message", "")

    def is_usable(self, stream=2**31 - 1):
        self.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, get_fields()))
        return self.status(stream) == 200


def slowly(peer, data, pause):
    """A byte at a time, until the other side has had enough."""
    for at in range(len(data)):
        peer.send(data[at:at + 1])
        time.sleep(pause)
