"""A load that brings its files: models up to limits.body_bytes, over HTTP (base64) and gRPC, and what is said above it."""
import base64
import json
import socket

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from conftest import SLOW, Server
from triton_support import GOOD
from test_repository import X, ask, padded

LIMIT = 128 << 20
LARGE = 80 << 20  # above all that is set aside for small requests; 107 MiB as base64


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    (folder / "m.onnx").write_bytes((GOOD / "identity_fp32.onnx").read_bytes())
    started = Server(folder, settings={"limits.body_bytes": LIMIT})
    started.wait_ready("m")
    yield started
    started.stop()


def load_over_http(server, data):
    parameters = {"config": "{}", "file:1/model.onnx": base64.b64encode(data).decode()}
    return server.request("POST", "/v2/repository/models/m/load", json.dumps({"parameters": parameters}).encode(), timeout=120)


def load_over_grpc(server, data):
    with grpc.insecure_channel(server.url) as channel:
        request = pb.RepositoryModelLoadRequest(model_name="m")
        request.parameters["config"].string_param = "{}"
        request.parameters["file:1/model.onnx"].bytes_param = data
        service_pb2_grpc.GRPCInferenceServiceStub(channel).RepositoryModelLoad(request, timeout=120 * SLOW)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_large_model_is_loaded(server, protocol):
    large = padded(GOOD / "any_rank.onnx", LARGE)
    assert (ask(server, "m")[0] == X).all()
    if protocol == "http":
        status, reply, _ = load_over_http(server, large)
        assert status == 200, reply
    else:
        load_over_grpc(server, large)
    assert (ask(server, "m")[0] == -X).all()
    assert server.request("POST", "/v2/repository/models/m/load", b"")[0] == 200  # what the folder has


def test_above_the_limit_its_name_is_said(server):
    with socket.create_connection(("127.0.0.1", server.port)) as peer:
        peer.sendall(b"POST /v2/repository/models/m/load HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (LIMIT + 1))
        reply = peer.recv(65536)
    assert reply.startswith(b"HTTP/1.1 413 ") and b"limits.body_bytes" in reply
    with pytest.raises(grpc.RpcError) as error:
        load_over_grpc(server, bytes(LIMIT))
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "limits.body_bytes" in error.value.details()
    assert (ask(server, "m")[0] == X).all()
