"""Large compressed bodies and replies, and zip bombs, go through a loop in pieces: whoever shares the loop with them does not wait."""
import gzip
import json
import threading
import time
import zlib

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from conftest import SLOW
from triton_support import GOOD

TURN = 256 << 10
SMALL = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}).encode()


@pytest.fixture
def server(serve, repository):
    repository.add(GOOD / "identity_fp32.onnx", "m.onnx")
    return serve(repository.path, settings={"threads.loops": 1, "limits.body_bytes": "32MiB"}).wait_ready("m")


def large(megabytes):
    """What shrinks to a third or so, as real bodies do."""
    return np.resize(np.random.default_rng(1).integers(0, 1000, 50000).astype(np.float32), (1, megabytes << 18))


def binary_request(x):
    head = {"inputs": [{"name": "x", "datatype": "FP32", "shape": list(x.shape), "parameters": {"binary_data_size": x.nbytes}}],
            "outputs": [{"name": "y", "parameters": {"binary_data": True}}]}
    text = json.dumps(head).encode()
    return text + x.tobytes(), {"Inference-Header-Content-Length": str(len(text))}


class Neighbour:
    """Asks small questions, one after the other, as long as the block lasts; each is answered."""

    def __init__(self, server):
        self.server, self.stop, self.answered, self.wrong = server, threading.Event(), 0, []
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stop.is_set():
            status, body, _ = self.server.request("POST", "/v2/models/m/infer", SMALL)
            if status != 200:
                self.wrong.append(body)
            self.answered += 1
            time.sleep(0.005)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        assert not self.wrong and self.answered > 0


def check_turns(server, postponed):
    assert 0 < server.metric("troupe_packing_turn_bytes_max") <= TURN
    assert server.metric("troupe_packing_postponed_total") >= postponed


def test_thirty_megabytes_are_unpacked_beside_others(server):
    x = large(30)
    plain, headers = binary_request(x)
    for coding, body in (("gzip", gzip.compress(plain, 1)), ("deflate", zlib.compress(plain, 1))):
        assert len(body) > 5 << 20
        with Neighbour(server):
            status, reply, fields = server.request("POST", "/v2/models/m/infer", body, {**headers, "Content-Encoding": coding})
        assert status == 200
        assert reply[int(fields["Inference-Header-Content-Length"]):] == x.tobytes()
    check_turns(server, 2 * x.nbytes / TURN)


def test_a_bomb_is_refused_beside_others(server):
    bomb = gzip.compress(bytes(100 << 20), 1)
    with Neighbour(server):
        for _ in range(3):
            status, reply, _ = server.request("POST", "/v2/models/m/infer", bomb, {"Content-Encoding": "gzip"})
            assert status == 413 and "when unpacked (limits.body_bytes)" in json.loads(reply)["error"]
    assert server.metric("troupe_limit_hits_total", limit="body_bytes") == 3
    check_turns(server, 3 * (32 << 20) / TURN)


def test_large_replies_are_packed_beside_others(server):
    x = large(7)
    plain, headers = binary_request(x)
    with Neighbour(server):
        for coding, unpack in (("gzip", gzip.decompress), ("deflate", zlib.decompress)):
            status, reply, fields = server.request("POST", "/v2/models/m/infer", plain, {**headers, "Accept-Encoding": coding})
            assert status == 200 and fields["Content-Encoding"] == coding
            assert unpack(reply)[int(fields["Inference-Header-Content-Length"]):] == x.tobytes()
    check_turns(server, 2 * x.nbytes / TURN)


def test_the_same_over_grpc_and_with_tritons_client(server):
    x = large(8)
    http = triton_http.InferenceServerClient(server.url)
    over_grpc = triton_grpc.InferenceServerClient(server.url)
    for module, client, more in ((triton_http, http, {"request_compression_algorithm": "deflate"}),
                                 (triton_grpc, over_grpc, {"compression_algorithm": "gzip"})):
        tensor = module.InferInput("x", list(x.shape), "FP32")
        tensor.set_data_from_numpy(x)
        with Neighbour(server):
            assert (client.infer("m", [tensor], **more).as_numpy("y") == x).all()
    http.close()
    over_grpc.close()
    check_turns(server, 2 * x.nbytes / TURN)


def test_messages_of_a_stream_do_not_overtake_a_large_one(server):
    answers, done = [], threading.Event()

    def take(result, error):
        answers.append(error or result.get_response().id)
        if len(answers) == 6:
            done.set()
    x, small = large(4), np.zeros((1, 2), np.float32)
    with triton_grpc.InferenceServerClient(server.url) as client:
        client.start_stream(take, compression_algorithm="gzip")
        for i, data in enumerate((x, small, small, x, small, small)):
            tensor = triton_grpc.InferInput("x", list(data.shape), "FP32")
            tensor.set_data_from_numpy(data)
            client.async_stream_infer("m", [tensor], request_id=str(i))
        assert done.wait(120)
        client.stop_stream()
    assert answers == [str(i) for i in range(6)]
    check_turns(server, 2 * x.nbytes / TURN)


def test_a_client_that_leaves_meanwhile_takes_its_body_with_it(server):
    body, headers = binary_request(large(30))
    packed = gzip.compress(body, 1)
    headers["Content-Encoding"] = "gzip"
    assert server.request("POST", "/v2/models/m/infer", packed, headers)[0] == 200
    for _ in range(5):
        with pytest.raises(OSError):
            server.request("POST", "/v2/models/m/infer", packed, headers, timeout=0.01 / SLOW)
    server.wait(lambda: server.metric("troupe_account_bytes", account="request") <= 1 << 20, "the memory of those who left")
    assert server.metric("troupe_requests_in_flight") <= 1
