"""HTTP/2 and gRPC that break the rules, frame by frame, and gRPC calls that are wrong; each test is a row of docs/bad-input.md."""
import gzip
import struct
import time

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb

from bad_input import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS,
                       WINDOW_UPDATE, H2Peer, Peer, call_fields, fields, frame, get_fields, message, row)  # noqa: F401
from conftest import SLOW, Server

PATIENCE = "1s" if SLOW == 1 else "3s"  # who is not slow on purpose is not that slow
INFER = "/inference.GRPCInferenceService/ModelInfer"
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = 5, 6, 7, 8, 9, 10, 11


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    (folder / "echo.echo").write_text("input x FP32 [-1]\noutput y FP32 [-1]\n")
    (folder / "slow.echo").write_text("input x FP32 [-1]\noutput y FP32 [-1]\nsleep 600s\n")
    settings = {"limits.body_bytes": 65536, "limits.header_bytes": 8192, "limits.headers": 40, "limits.streams": 10, "timeouts.body": PATIENCE, "timeouts.header": PATIENCE}
    server = Server(folder, settings=settings).wait_ready("echo", "slow")
    yield server
    server.stop()


def get(stream, *more):
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, get_fields("/v2/health/live", *more))


def cancel(stream):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL))


def refused(server, row, *frames, code=None):
    """Sends frames on a fresh connection; the row says whether the connection ends (GOAWAY) or only stream 1 (RST_STREAM)."""
    with H2Peer(server) as peer:
        for data in frames:
            peer.send(data)
        if row.stays:
            got = peer.reset(1)
            assert got is not None and (code is None or got == code), (frames, got)
            assert peer.is_usable(3), frames
        else:
            got = peer.goaway()
            assert got not in (None, NO_ERROR) and (code is None or got == code), (frames, got)
            assert peer.is_closed(), frames


# -- HTTP/2 --

def test_broken_preface(server, row):
    with Peer(server) as peer:
        peer.send(PREFACE + frame(PING, 0, 0, bytes(8)))
        assert peer.is_closed()
    with Peer(server) as peer:
        peer.send(PREFACE + b"GET / HTTP/1.1\r\n\r\n")
        assert peer.is_closed()


def test_frames_on_the_wrong_stream(server, row):
    for data in [frame(DATA, END_STREAM, 0, b"x"), frame(HEADERS, END_HEADERS | END_STREAM, 0, get_fields()), get(2), frame(SETTINGS, 0, 1),
                 frame(PING, 0, 1, bytes(8)), frame(RST_STREAM, 0, 0, bytes(4)), frame(GOAWAY, 0, 1, bytes(8)), frame(RST_STREAM, 0, 9, bytes(4)),
                 frame(DATA, 0, 9, b"x"), frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4) + get_fields()), frame(CONTINUATION, END_HEADERS, 1, get_fields())]:
        refused(server, row, data)


def test_frames_of_the_wrong_size(server, row):
    for data in [frame(PING, 0, 0, bytes(7)), frame(SETTINGS, 0, 0, bytes(5)), frame(SETTINGS, ACK, 0, bytes(6)), frame(WINDOW_UPDATE, 0, 0, bytes(3)),
                 frame(GOAWAY, 0, 0, bytes(7)), get(1) + frame(RST_STREAM, 0, 1, bytes(3)), frame(DATA, 0, 1, length=2**24 - 1),
                 frame(HEADERS, END_HEADERS, 1, length=2**20)]:
        refused(server, row, data)


def test_bad_settings(server, row):
    for key, value in [(2, 2), (4, 2**31), (5, 100), (5, 2**24)]:
        refused(server, row, frame(SETTINGS, 0, 0, struct.pack(">HI", key, value)))


def test_bad_padding(server, row):
    for data in [frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\xff" + get_fields()), frame(HEADERS, END_HEADERS, 1, call_fields()) + frame(DATA, PADDED, 1, b"\x09x")]:
        refused(server, row, data)


def test_broken_header_compression(server, row):
    for block in [b"\xff" * 20, b"\x80", b"\xc0\xff", b"\x00\x7f\xff\xff\xff\xff\xff\x0f", b"\x00\x85\xff\xff\xff\xff\xff", b"\x3f\xff\xff\xff\xff\x0f"]:
        refused(server, row, frame(HEADERS, END_HEADERS | END_STREAM, 1, block), code=COMPRESSION_ERROR)


def test_interrupted_headers(server, row):
    start = frame(HEADERS, END_STREAM, 1, get_fields())
    for data in [get(3), frame(DATA, 0, 1, b"x"), frame(PING, 0, 0, bytes(8)), frame(CONTINUATION, END_HEADERS, 3, b"")]:
        refused(server, row, start + data)


def test_windows_that_overflow(server, row):
    refused(server, row, frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 1)), code=FLOW_CONTROL_ERROR)
    refused(server, row, frame(WINDOW_UPDATE, 0, 0, bytes(4)), code=PROTOCOL_ERROR)


def test_window_of_a_stream_that_overflows(server, row):
    refused(server, row, frame(HEADERS, END_HEADERS, 1, call_fields()), frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 2**31 - 1)), code=FLOW_CONTROL_ERROR)


def test_unknown_frames(server, row):
    with H2Peer(server) as peer:
        peer.send(frame(0x77, 0xFF, 0, b"whatever") + frame(0x99, 0, 1, b"x" * 100) + get(1))
        assert peer.status() == row.http and peer.is_usable(3)


def test_malformed_fields(server, row):
    whole = [(":method", "GET"), (":scheme", "http"), (":path", "/v2"), (":authority", "a")]
    for bad in [whole[1:], whole[:1] + whole[2:], whole[:2] + whole[3:], whole + [(":path", "/v2")], whole + [(":status", "200")], whole + [("x", "y"), (":method", "GET")],
                whole + [("Upper", "case")], whole + [("connection", "close")], whole + [("transfer-encoding", "chunked")], whole + [("te", "gzip")],
                whole + [("x", "a\r\nb")], whole + [("x", "a\x00b")], whole + [("a b", "c")], whole + [("", "c")], whole + [("upgrade", "x")],
                whole[:2] + [(":path", "")] + whole[3:], whole + [("content-length", "x")]]:
        refused(server, row, frame(HEADERS, END_HEADERS | END_STREAM, 1, fields(*bad)), code=PROTOCOL_ERROR)


def test_content_length_that_lies(server, row):
    post = [(":method", "POST"), (":scheme", "http"), (":path", "/v2/models/echo/infer"), (":authority", "a"), ("content-length", "5")]
    for body in [b"", b"1234", b"123456"]:
        refused(server, row, frame(HEADERS, END_HEADERS, 1, fields(*post)), frame(DATA, END_STREAM, 1, body), code=PROTOCOL_ERROR)


def test_large_h2_header(server, row):
    for more in [[("x", "a" * 9000)], [(f"x-{i}", "a" * 100) for i in range(100)]]:
        with H2Peer(server) as peer:
            peer.send(get(1, *more))
            assert peer.status() == row.http and peer.is_usable(3)


def test_many_h2_headers(server, row):
    with H2Peer(server) as peer:
        peer.send(get(1, *[(f"x-{i}", "a") for i in range(60)]))
        assert peer.status() == row.http and peer.is_usable(3)


def test_large_h2_body(server, row):
    post = [(":method", "POST"), (":scheme", "http"), (":path", "/v2/models/echo/infer"), (":authority", "a")]
    for more, data in [([("content-length", "65537")], b""), ([], b"".join(frame(DATA, 0, 1, bytes(16384)) for _ in range(5)))]:
        with H2Peer(server) as peer:
            peer.until(SETTINGS)  # acknowledged, its window is the stream's: what follows is too large for the limit, not for the window
            peer.send(frame(SETTINGS, ACK, 0) + frame(HEADERS, END_HEADERS, 1, fields(*post, *more)) + data)
            assert peer.status() == row.http and peer.is_usable(3)


def test_slow_h2_body(server, row):
    post = [(":method", "POST"), (":scheme", "http"), (":path", "/v2/models/echo/infer"), (":authority", "a")]
    with H2Peer(server) as peer:
        peer.send(frame(HEADERS, END_HEADERS, 1, fields(*post)) + frame(DATA, 0, 1, b"{"))
        assert peer.status() == row.http and peer.is_usable(3)


def test_slow_h2_headers(server, row):
    with H2Peer(server) as peer:
        peer.send(frame(HEADERS, END_STREAM, 1, get_fields()))
        assert peer.is_closed()


def test_answer_without_a_window(server, row):
    with H2Peer(server, settings=struct.pack(">HI", 4, 0)) as peer:  # SETTINGS_INITIAL_WINDOW_SIZE
        peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, get_fields("/metrics")))
        assert peer.status() == 200
        assert peer.goaway() == NO_ERROR and peer.is_closed()


# -- floods --

def test_too_many_streams(server, row):
    with H2Peer(server) as peer:
        peer.until(SETTINGS)
        peer.send(b"".join(frame(HEADERS, END_HEADERS, 2 * i + 1, call_fields()) for i in range(11)))
        assert peer.reset(21) == REFUSED_STREAM
        peer.send(cancel(1))
        assert peer.is_usable(101)


def test_too_many_streams_after_the_settings(server, row):
    with H2Peer(server) as peer:
        peer.until(SETTINGS)
        peer.send(frame(SETTINGS, ACK, 0) + b"".join(frame(HEADERS, END_HEADERS, 2 * i + 1, call_fields()) for i in range(11)))
        assert peer.goaway() == PROTOCOL_ERROR and peer.is_closed()


def test_rapid_reset(server, row):
    with H2Peer(server, settings=struct.pack(">HI", 3, 1)) as peer:
        for i in range(0, 4000, 100):
            peer.send(b"".join(frame(HEADERS, END_HEADERS, 2 * n + 1, call_fields()) + cancel(2 * n + 1) for n in range(i, i + 100)))
        assert peer.is_closed()


def test_ping_flood(server, row):
    with H2Peer(server) as peer:
        peer.socket.settimeout(0.5)
        try:
            for _ in range(20000):
                peer.socket.sendall(frame(PING, 0, 0, bytes(8)) * 1000)
        except OSError:
            pass
        server.wait(lambda: server.metric("troupe_connections") <= 1, "the connection to be closed")


def test_settings_flood(server, row):
    with H2Peer(server) as peer:
        peer.socket.settimeout(0.5)
        try:
            for _ in range(20000):
                peer.socket.sendall(frame(SETTINGS, 0, 0, struct.pack(">HI", 3, 9)) * 1000)
        except OSError:
            pass
        server.wait(lambda: server.metric("troupe_connections") <= 1, "the connection to be closed")


def test_continuation_flood(server, row):
    with H2Peer(server) as peer:
        peer.send(frame(HEADERS, END_STREAM, 1, get_fields()))
        for _ in range(2000):
            peer.send(frame(CONTINUATION, 0, 1, fields(("x", "y"))))
        assert peer.is_closed()


def test_empty_frames_flood(server, row):
    with H2Peer(server) as peer:
        peer.send(frame(HEADERS, END_HEADERS, 1, call_fields()))
        peer.send(frame(DATA, 0, 1) * 50000 + frame(PRIORITY, 0, 1, bytes(5)) * 5000)
        assert peer.is_usable(3)


# -- gRPC --

def call(server, row, path, *data, more=(), finish=True):
    """A call by hand on a fresh connection; its status must be the row's, and the connection usable."""
    with H2Peer(server) as peer:
        peer.send(frame(HEADERS, END_HEADERS, 1, call_fields(path, *more)))
        for part in data:
            peer.send(frame(DATA, 0, 1, part))
        if finish:
            peer.send(frame(DATA, END_STREAM, 1))
        status, words = peer.grpc_status()
        assert status == row.grpc and words, (data, status, words)
        assert peer.is_usable(3)
        return words


class Raw:
    """Bytes as messages, over grpcio."""

    def __init__(self, server, **options):
        self.channel = grpc.insecure_channel(server.url, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def fails(self, row, path, payload, **kwargs):
        with pytest.raises(grpc.RpcError) as error:
            self.channel.unary_unary(path)(payload, timeout=20 * SLOW, **kwargs)
        assert error.value.code().name == row.grpc, (payload[:100], error.value.details())
        return error.value.details()


def test_unknown_method(server, row):
    with Raw(server) as raw:
        for path in ["/inference.GRPCInferenceService/Frobnicate", "/inference.GRPCInferenceService/", "/inference.GRPCInferenceService/modelinfer"]:
            raw.fails(row, path, b"")


def test_unknown_service(server, row):
    with Raw(server) as raw:
        for path in ["/no.Service/Do", "/x", "/", "/inference.GRPCInferenceService", "/v2/health/live"]:
            raw.fails(row, path, b"")


def test_protobuf_that_is_cut_or_corrupt(server, row):
    good = pb.ModelInferRequest(model_name="echo", raw_input_contents=[bytes(8)])
    good.inputs.add(name="x", datatype="FP32", shape=[2])
    whole = good.SerializeToString()
    with Raw(server) as raw:
        for payload in [*(whole[:n] for n in range(1, len(whole))), b"\xff" * 20, b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x0b", b"\x07",
                        b"\x0a\x02\xff\xfe", b"\x08\x01"]:
            with pytest.raises(grpc.RpcError) as error:
                raw.channel.unary_unary(INFER)(payload, timeout=20 * SLOW)
            assert error.value.code().name in (row.grpc, "NOT_FOUND"), (payload, error.value.details())
        raw.fails(row, INFER, whole[:-1])
        raw.fails(row, "/inference.GRPCInferenceService/ModelMetadata", b"\x0a\x09x")
        raw.fails(row, "/grpc.health.v1.Health/Check", b"\x0a\x09x")


def test_large_message(server, row):
    with Raw(server) as raw:
        assert "limits.body_bytes" in raw.fails(row, INFER, bytes(65537))
    call(server, row, INFER, message(length=2**32 - 1), finish=False)


def test_compressed_bomb(server, row):
    with Raw(server) as raw:
        raw.fails(row, INFER, bytes(8_000_000), compression=grpc.Compression.Gzip)
        raw.fails(row, INFER, bytes(8_000_000), compression=grpc.Compression.Deflate)


def test_bad_prefix(server, row):
    for data in [message(b"x", flag=2), message(b"x", flag=255)]:
        call(server, row, INFER, data)


def test_message_that_is_cut(server, row):
    for data in [b"\x00", b"\x00\x00\x00\x00", message(b"abc", length=4), message(length=60000)]:
        call(server, row, INFER, data)


def test_no_message_or_two(server, row):
    call(server, row, INFER)
    call(server, row, INFER, message(b"") + message(b""))
    call(server, row, "/inference.GRPCInferenceService/ServerLive", message(b"") + message(b"") + message(b""))


def test_compressed_without_a_name(server, row):
    call(server, row, INFER, message(gzip.compress(b""), flag=1))
    call(server, row, INFER, message(gzip.compress(b""), flag=1), more=[("grpc-encoding", "identity")])


def test_unknown_grpc_encoding(server, row):
    for name in ["br", "zstd", "snappy", "x"]:
        call(server, row, INFER, message(b"x", flag=1), more=[("grpc-encoding", name)])


def test_corrupt_compression(server, row):
    for payload in [b"x", gzip.compress(b"abc")[:-4], b"\x1f\x8b\x08"]:
        call(server, row, INFER, message(payload, flag=1), more=[("grpc-encoding", "gzip")])


def test_bad_grpc_timeout(server, row):
    for value in ["x", "1", "S", "-1S", "1.5S", "123456789S", "1X", "1 S"]:
        call(server, row, INFER, message(b""), more=[("grpc-timeout", value)])


def test_deadline_that_passes(server, row):
    made = pb.ModelInferRequest(model_name="slow", raw_input_contents=[bytes(4)])
    made.inputs.add(name="x", datatype="FP32", shape=[1])
    begin = time.monotonic()
    call(server, row, INFER, message(made.SerializeToString()), more=[("grpc-timeout", "100m")])
    assert time.monotonic() - begin < 60, "nobody waits for the end of the run"


def test_wrong_http_method(server, row):
    with H2Peer(server) as peer:
        peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, fields((":method", "GET"), (":scheme", "http"), (":path", INFER), (":authority", "a"), ("content-type", "application/grpc"))))
        assert peer.grpc_status()[0] == row.grpc and peer.is_usable(3)


def test_wrong_content_type(server, row):
    for value in ["application/json", "application/grpcx", "text/plain"]:
        with H2Peer(server) as peer:
            peer.send(frame(HEADERS, END_HEADERS, 1, fields((":method", "POST"), (":scheme", "http"), (":path", INFER), (":authority", "a"), ("content-type", value)))
                      + frame(DATA, END_STREAM, 1, message(b"")))
            assert peer.status() == row.http and peer.is_usable(3)


def test_stalled_message(server, row):
    with H2Peer(server) as peer:
        peer.send(frame(HEADERS, END_HEADERS, 1, call_fields(INFER)) + frame(DATA, 0, 1, message(b"abc", length=100)))
        assert peer.grpc_status()[0] == row.grpc and peer.is_usable(3)


def test_bad_message_in_a_stream(server, row):
    good = pb.ModelInferRequest(model_name="echo", id="good", raw_input_contents=[bytes(4)])
    good.inputs.add(name="x", datatype="FP32", shape=[1])
    bad = pb.ModelInferRequest(model_name="echo", id="bad")
    with Raw(server) as raw:
        stream = raw.channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer", response_deserializer=pb.ModelStreamInferResponse.FromString)
        replies = list(stream(iter([m.SerializeToString() for m in [good, bad, good]]), timeout=20 * SLOW))
        assert [bool(r.error_message) for r in replies] == [False, True, False] and replies[1].infer_response.id == "bad"
