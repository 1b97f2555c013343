"""A thousand clients wait for a model that is busy, and go: by FIN, by RST, by RST_STREAM.  Each time their requests leave the queue, the run that
nobody waits for any more ends, and nothing is left of them."""
import json
import os
import resource
import socket
import struct

import pytest
from tritonclient.grpc import service_pb2 as pb

from bad_input import DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, H2Peer, call_fields, frame, message
from conftest import SLOW
from test_storms import check_calm

CLIENTS = 1000
BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}).encode()
REQUEST = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


@pytest.fixture
def server(serve, repository):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = CLIENTS + 500
    if hard != resource.RLIM_INFINITY and hard < want:
        pytest.skip(f"this machine allows {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, want), hard))
    repository.write("m/model.echo", "input x FP32 [-1]\noutput y FP32 [-1]\nsleep 3600s\n")
    repository.write("m/config.pbtxt", 'backend: "echo"\ninstance_group { count: 1 }\n')
    yield serve(repository.path, settings={"sched.queue_max": 2 * CLIENTS, "sched.model_queue_max": 2 * CLIENTS,
                                           "memory.trim_interval": "100ms"}).wait_ready("m")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def left(server):
    return {"descriptors": len(os.listdir(f"/proc/{server.process.pid}/fd")), "bytes": server.metric("troupe_account_bytes", account="request")}


def check_gone(server, before, cancelled):
    """The counters say so, and what they held has come back."""
    check_calm(server)
    assert server.metric("troupe_requests_cancelled_total") == cancelled
    assert server.metric("nv_inference_request_success", model="m") == 0
    server.wait(lambda: left(server)["descriptors"] <= before["descriptors"] + 2, f"no more descriptors than {before}")
    server.wait(lambda: left(server)["bytes"] <= before["bytes"] + (1 << 20), f"no more bytes than {before}")


def address(server):
    host, port = server.url.rsplit(":", 1)
    return host, int(port)


def wait_until_all_wait(server):
    """One runs, as there is one instance; the others are in the queue."""
    server.wait(lambda: server.metric("nv_inference_pending_request_count", model="m") == CLIENTS - 1, "all to wait", 60)


@pytest.mark.parametrize("how", ["fin", "half", "reset"])
def test_a_thousand_connections_that_end_empty_the_queue(server, how):
    before = left(server)
    for round_ in (1, 2):  # the second time with what the first has left
        clients = []
        for _ in range(CLIENTS):
            clients.append(socket.create_connection(address(server), timeout=30 * SLOW))
            clients[-1].sendall(REQUEST)
        wait_until_all_wait(server)
        for client in clients:
            if how == "half":
                client.shutdown(socket.SHUT_WR)
                continue
            if how == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        if how == "half":
            for client in clients:
                while client.recv(4096):
                    pass
                client.close()
        check_gone(server, before, round_ * CLIENTS)


def test_a_thousand_streams_that_are_reset_empty_the_queue(server):
    before, connections = left(server), 4
    request = pb.ModelInferRequest(model_name="m", inputs=[pb.ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[1])],
                                   raw_input_contents=[struct.pack("<f", 1)])
    body = message(request.SerializeToString())
    streams = range(1, 2 * CLIENTS // connections, 2)
    peers = [H2Peer(server, 30) for _ in range(connections)]
    for round_ in (0, 1):
        for peer in peers:
            for stream in streams:
                stream += 2 * CLIENTS * round_
                peer.send(frame(HEADERS, END_HEADERS, stream, call_fields("/inference.GRPCInferenceService/ModelInfer")) + frame(DATA, END_STREAM, stream, body))
        wait_until_all_wait(server)
        for peer in peers:
            peer.send(b"".join(frame(RST_STREAM, 0, stream + 2 * CLIENTS * round_, struct.pack(">I", 8)) for stream in streams))
        server.wait(lambda: server.metric("nv_inference_pending_request_count", model="m") == 0, "the queue to be empty")
        server.wait(lambda: server.metric("troupe_model_in_flight", model="m") == 0, "the run to end")
    for peer in peers:  # the connections live on
        assert peer.is_usable(8 * CLIENTS + 1)
        peer.socket.close()
    check_gone(server, before, 2 * CLIENTS)
