"""Every limit of docs/settings.md that can be hit from outside and is not hit elsewhere; each test is a row of docs/bad-input.md."""
import json
import os
import signal
import struct
import subprocess
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from bad_input import Peer, post, row, row_of, sample  # noqa: F401
from conftest import SLOW, TROUPE, Gate, Server

IO = "input x FP32 [-1]\noutput y FP32 [-1]\n"
BODY = '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}'
SETTINGS = {"limits.tensors": 4, "limits.parameters": 4, "limits.output_bytes": 65536, "limits.request_memory": "8MiB", "limits.shared_memory_bytes": 8192,
            "limits.shared_memory_regions": 2, "limits.stream_requests": 2, "limits.body_bytes": "16MiB", "sched.queue_max": 3, "sched.model_queue_max": 2,
            "limits.sequences": 2, "threads.executors": 1, "sched.inline_run": "0us", "threads.loops": 1}
TALKS = """max_batch_size: 1
sequence_batching {
  max_sequence_idle_microseconds: 600000000
  control_input [ { name: "start" control [ { kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] } ] } ]
  oldest { max_candidate_sequences: 4 }
}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    gate = Gate(folder.parent / f"{folder.name}.gate")
    for name, text in {"echo": "", "grows": "grow 100000\n", "slow": gate.until, "other": gate.until}.items():
        (folder / f"{name}.echo").write_text(IO + text)
    (folder / "talks/1").mkdir(parents=True)
    (folder / "talks/1/model.echo").write_text("input x FP32 [-1,1]\ninput start FP32 [-1,1]\noutput y FP32 [-1,1]\noutput s FP32 [-1,1]\n")
    (folder / "talks/config.pbtxt").write_text(TALKS)
    server = Server(folder, settings=SETTINGS).wait_ready("echo", "grows", "slow", "other", "talks")
    server.gate = gate
    yield server
    gate.open()
    server.stop()


@pytest.fixture(scope="module")
def stub(server):
    with grpc.insecure_channel(server.url) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def infer(server, body=BODY, model="echo"):
    return server.request("POST", f"/v2/models/{model}/infer", body.encode() if isinstance(body, str) else body)


def asking(model="echo", **more):
    made = pb.ModelInferRequest(model_name=model, raw_input_contents=[bytes(4)], **more)
    made.inputs.add(name="x", datatype="FP32", shape=[1])
    return made


def wait_for_run(server, model):
    server.wait(lambda: server.metric("troupe_model_in_flight", model=model) - server.metric("nv_inference_pending_request_count", model=model) == 1,
                f"{model} to run")


def statuses_beside_a_run(server, gate, enough, *models):
    """What is answered to requests over HTTP, one for each of `models`: the first runs while the gate is shut and the others come; it is
    opened when so many were refused as had to be."""
    gate.shut()
    with ThreadPoolExecutor(len(models)) as pool:
        asked = [pool.submit(lambda: infer(server, model=models[0])[0])]
        wait_for_run(server, models[0])
        asked += [pool.submit(lambda m=m: infer(server, model=m)[0]) for m in models[1:]]
        server.wait(lambda: sum(one.done() for one in asked) >= enough, "some to be refused")
        gate.open()
        return [one.result() for one in asked]


def codes_beside_a_run(server, stub, gate, enough, n):
    """The same of n requests to slow over gRPC: the names of their codes."""
    gate.shut()
    calls = [stub.ModelInfer.future(asking("slow"), timeout=60 * SLOW)]
    wait_for_run(server, "slow")
    calls += [stub.ModelInfer.future(asking("slow"), timeout=60 * SLOW) for _ in range(n - 1)]
    server.wait(lambda: sum(call.done() for call in calls) >= enough, "some to be refused")
    gate.open()
    return [call.code().name for call in calls]


def refused(row, stub, request):
    with pytest.raises(grpc.RpcError) as error:
        stub.ModelInfer(request, timeout=30 * SLOW)
    assert error.value.code().name == row.grpc, error.value.details()
    return error.value.details()


def test_tensors(server, row, stub):
    one = json.loads(BODY)["inputs"][0]
    for body in [{"inputs": [one] * 5}, {"inputs": [one], "outputs": [{"name": "y"}] * 5}]:
        status, reply, _ = infer(server, json.dumps(body))
        assert status == row.http, reply
    made = asking()
    for _ in range(4):
        made.inputs.add(name="x", datatype="FP32", shape=[1])
    assert "4" in refused(row, stub, made)


def test_parameters(server, row, stub):
    more = {f"p{i}": i for i in range(5)}
    one = json.loads(BODY)["inputs"]
    for body in [{"inputs": one, "parameters": more}, {"inputs": [dict(one[0], parameters=more)]}, {"inputs": one, "outputs": [{"name": "y", "parameters": more}]}]:
        status, reply, _ = infer(server, json.dumps(body))
        assert status == row.http, reply
    made = asking()
    for name in more:
        made.parameters[name].int64_param = 1
    refused(row, stub, made)


def test_output_bytes(server, row, stub):
    status, reply, _ = infer(server, model="grows")
    assert status == row.http and b"65536" in reply, reply
    assert "65536" in refused(row, stub, asking("grows"))


def test_request_memory(server, row, stub):
    status, reply, _ = infer(server, bytes(12 << 20))
    assert status == row.http, reply
    made = asking()
    made.raw_input_contents[0] = bytes(12 << 20)
    refused(row, stub, made)


def test_queue_of_a_model(server, row, stub):
    answers = statuses_beside_a_run(server, server.gate, 5, *["slow"] * 8)
    assert sorted(answers) == [200] * 3 + [row.http] * 5, "one runs, and two may wait"
    assert sorted(codes_beside_a_run(server, stub, server.gate, 5, 8)) == sorted(["OK"] * 3 + [row.grpc] * 5)


def test_queue(server, row, stub):
    answers = statuses_beside_a_run(server, server.gate, 4, *["slow", "other"] * 4)
    assert sorted(answers) == [200] * 4 + [row.http] * 4, "one runs, and three may wait"


def test_sequences(server, row, stub):
    def said(number, start=True, end=False):
        body = json.loads(BODY) | {"parameters": {"sequence_id": number, "sequence_start": start, "sequence_end": end}}
        body["inputs"][0]["shape"] = [1, 1]
        return infer(server, json.dumps(body), "talks")[0]
    assert [said(1), said(2), said(3)] == [200, 200, row.http]
    made = pb.ModelInferRequest(model_name="talks", raw_input_contents=[bytes(4)])
    made.inputs.add(name="x", datatype="FP32", shape=[1, 1])
    made.parameters["sequence_id"].int64_param = 4
    made.parameters["sequence_start"].bool_param = True
    assert "limits.sequences" in refused(row, stub, made)
    assert [said(1, start=False, end=True), said(3), said(2, start=False, end=True), said(3, start=False, end=True)] == [200] * 4


def test_requests_of_a_stream(server, row, stub):
    server.gate.shut()  # else they may be answered before the next arrives
    before = server.metric("troupe_limit_hits_total", limit="stream_requests")
    answers = stub.ModelStreamInfer(iter([asking("slow", id=str(i)) for i in range(5)]), timeout=60 * SLOW)
    server.wait(lambda: server.metric("troupe_limit_hits_total", limit="stream_requests") > before, "one to have to wait")
    server.gate.open()
    replies = list(answers)
    assert {r.infer_response.id for r in replies} == {str(i) for i in range(5)} and not any(r.error_message for r in replies)


@pytest.fixture
def shared(server):
    name = f"/troupe-test-{os.getpid()}"
    with open(f"/dev/shm{name}", "wb") as file:
        file.write(bytes(16384))
    yield name
    os.unlink(f"/dev/shm{name}")
    no_regions(server)


def register(server, region, key, size, offset=0):
    return server.request("POST", f"/v2/systemsharedmemory/region/{region}/register", json.dumps({"key": key, "offset": offset, "byte_size": size}).encode())


def no_regions(server):
    assert server.request("POST", "/v2/systemsharedmemory/unregister", b"")[0] == 200


def test_shared_memory_bytes(server, row, stub, shared):
    assert register(server, "a", shared, 4096)[0] == 200
    status, reply, _ = register(server, "b", shared, 4097)
    assert status == row.http and b"limits.shared_memory_bytes" in reply, reply
    with pytest.raises(grpc.RpcError) as error:
        stub.SystemSharedMemoryRegister(pb.SystemSharedMemoryRegisterRequest(name="b", key=shared, byte_size=8192))
    assert error.value.code().name == row.grpc


def test_shared_memory_regions(server, row, stub, shared):
    for name in "ab":
        assert register(server, name, shared, 64)[0] == 200
    status, reply, _ = register(server, "c", shared, 64)
    assert status == row.http and b"limits.shared_memory_regions" in reply, reply
    with pytest.raises(grpc.RpcError) as error:
        stub.SystemSharedMemoryRegister(pb.SystemSharedMemoryRegisterRequest(name="c", key=shared, byte_size=64))
    assert error.value.code().name == row.grpc


def test_bad_regions(server, row, stub, shared):
    for key, size, offset in [(shared, 0, 0), (shared, 4096, 2**63 - 1), (shared, 2**63 - 1, 1), (shared, 4096, 16384), (shared, 16385 - 12288, 12288), ("", 64, 0), ("../etc/passwd", 64, 0),
                              ("/a/b", 64, 0)]:
        status, reply, _ = register(server, "bad", key, size, offset)
        assert status == row.http and json.loads(reply)["error"], (key, size, offset, status, reply)
        with pytest.raises(grpc.RpcError) as error:
            stub.SystemSharedMemoryRegister(pb.SystemSharedMemoryRegisterRequest(name="bad", key=key, byte_size=size, offset=offset))
        assert error.value.code().name == row.grpc, (key, size, offset, error.value.details())
    for body in ["{}", "[", '{"key":1,"byte_size":1}', '{"key":"/a","byte_size":-1}', '{"key":"/a","byte_size":"1"}', '{"byte_size":1}']:
        assert server.request("POST", "/v2/systemsharedmemory/region/bad/register", body.encode())[0] == row.http, body


def test_region_that_is_left(server, row, stub, shared):
    assert register(server, "r", shared, 4096)[0] == 200
    for offset, size in [(4096, 4), (4093, 4), (2**63, 4), (2**64 - 4, 4)]:
        place = {"shared_memory_region": "r", "shared_memory_byte_size": size, "shared_memory_offset": offset}
        body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "parameters": place}]}
        status, reply, _ = infer(server, json.dumps(body))
        assert status == row.http and b"'r'" in reply, (offset, status, reply)
    body = json.dumps({"inputs": json.loads(BODY)["inputs"], "outputs": [{"name": "y", "parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 2}}]})
    status, reply, _ = infer(server, body)
    assert status == row.http and b"'y'" in reply, reply
    made = asking()
    del made.raw_input_contents[:]
    made.inputs[0].parameters["shared_memory_region"].string_param = "r"
    made.inputs[0].parameters["shared_memory_byte_size"].int64_param = 4
    made.inputs[0].parameters["shared_memory_offset"].int64_param = 4096
    refused(row, stub, made)


# -- limits that need a server of their own --

def counted(server, mine, act):
    before = sample(server, mine.counter) if mine.counter != "–" else 0
    act()
    if mine.counter != "–":
        server.wait(lambda: sample(server, mine.counter) > before, f"{mine.counter} to move", 5)
    assert server.get("/v2/health/live")[0] == 200


def test_connections(serve, repository, request):
    repository.write("echo.echo", IO)
    server, mine = serve(repository.path, settings={"limits.connections": 4}).wait_ready("echo"), row_of(request)

    def act():
        server.wait(lambda: server.metric("troupe_connections") == 1, "old connections to be gone")
        peers = [Peer(server) for _ in range(4)]
        for peer in peers[:3]:
            assert peer.is_usable()
        late = Peer(server)
        peers[3].is_usable()
        head, body = late.everything().split(b"\r\n\r\n", 1)
        assert head.startswith(f"HTTP/1.1 {mine.http} ".encode()) and b"Connection: close" in head, head
        assert f"Content-Length: {len(body)}".encode() in head and json.loads(body)["error"], (head, body)
        assert peers[0].is_usable()
        for peer in [*peers, late]:
            peer.socket.close()
        server.wait(lambda: sample(server, "troupe_connections") == 1, "the connections to be gone")
    counted(server, mine, act)


def test_calls(serve, repository, request, gate):
    repository.write("slow.echo", IO + gate.until)
    server, mine = serve(repository.path, settings={"limits.calls": 2, "threads.loops": 1}).wait_ready("slow"), row_of(request)

    def act():
        assert sorted(statuses_beside_a_run(server, gate, 4, *["slow"] * 6)) == [200] * 2 + [mine.http] * 4
        with grpc.insecure_channel(server.url) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            assert sorted(codes_beside_a_run(server, stub, gate, 4, 6)) == sorted(["OK"] * 2 + [mine.grpc] * 4)
    counted(server, mine, act)


def test_models(serve, repository, request):
    for name in "abcd":
        repository.write(f"{name}.echo", IO)
    server, mine = serve(repository.path, settings={"limits.models": 3}), row_of(request)

    def act():
        server.wait_ready()
        served = [name for name in "abcd" if infer(server, model=name)[0] == 200]
        refused = [name for name in "abcd" if infer(server, model=name)[0] == mine.http]
        server.process.send_signal(signal.SIGHUP)  # lists again
        assert len(served) <= 3 and len(served) + len(refused) == 4 and "limits.models" in server.log(), (served, server.log())
    counted(server, mine, act)


def test_versions(serve, repository, request):
    for version in range(1, 5):
        repository.write(f"many/{version}/model.echo", IO)
    repository.write("many/model.yaml", "version_policy: {all: {}}\n")
    repository.write("good.echo", IO)
    server, mine = serve(repository.path, settings={"limits.versions_per_model": 3}).wait_ready("good"), row_of(request)

    def act():
        assert server.request("POST", "/v2/repository/models/many/load", b"")[0] >= 400
        assert infer(server, model="many")[0] == mine.http
        assert "limits.versions_per_model" in server.request("POST", "/v2/repository/index", b"")[1].decode()
    counted(server, mine, act)


def test_config_bytes(serve, repository, request):
    repository.write("large/model.echo", IO)
    repository.write("large/model.yaml", "# " + "a" * 4000 + "\nmax_batch_size: 0\n")
    repository.write("good.echo", IO)
    server, mine = serve(repository.path, settings={"limits.config_bytes": 2048}).wait_ready("good"), row_of(request)

    def act():
        assert server.request("POST", "/v2/repository/models/large/load", b"")[0] >= 400
        assert infer(server, model="large")[0] == mine.http
        assert "limits.config_bytes" in server.request("POST", "/v2/repository/index", b"")[1].decode()
    counted(server, mine, act)


def test_image_pixels(serve, repository, request):
    """The size stands in the picture's header; nothing else of it is looked at."""
    repository.write("echo.echo", IO)
    repository.write("routes.yaml", "pipelines:\n  look:\n    steps:\n      - { op: decode, input: file, output: pixels }\n    outputs: [pixels]\n")
    server, mine = serve(repository.path, settings={"limits.image_pixels": 1000}).wait_ready("echo", "look"), row_of(request)

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    picture = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9) * 8)) + chunk(b"IEND", b"")

    def act():
        message = pb.ModelInferRequest(model_name="look", raw_input_contents=[struct.pack("<I", len(picture)) + picture])
        message.inputs.add(name="file", datatype="BYTES", shape=[1])
        with grpc.insecure_channel(server.url) as channel, pytest.raises(grpc.RpcError) as refused:
            service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(message, timeout=30 * SLOW)
        assert refused.value.code().name == mine.grpc and "limits.image_pixels" in refused.value.details()
        data = struct.pack("<I", len(picture)) + picture
        head = json.dumps({"inputs": [{"name": "file", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(data)}}]}).encode()
        status, _, _ = server.request("POST", "/v2/models/look/infer", head + data, {"Inference-Header-Content-Length": str(len(head))})
        assert status == mine.http
    counted(server, mine, act)


def a_list_that_is_too_large(serve, repository, request, settings, too_large):
    """Rules go on asking the list as it was."""
    for name in ("known", "unknown"):
        repository.write(f"{name}.echo", IO)
    repository.write("keys.txt", "ann\n")
    repository.write("routes.yaml", "lists: { keys: keys.txt }\nroutes:\n  r:\n    - when: params.user in lists.keys\n      use: known\n    - use: unknown\n")
    server, mine = serve(repository.path, settings={"routes.lists_poll": "100ms", **settings}).wait_ready("known", "unknown", "r"), row_of(request)

    def act():
        os.replace(repository.write("keys.new", too_large), repository.path / "keys.txt")
        server.wait(lambda: sample(server, mine.counter) > 0, "the list to be refused")
        server.wait(lambda: "list stays as it was" in server.log() and "the limit is" in server.log(), "the reason")
        body = json.dumps({"parameters": {"user": "ann"}, "inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}).encode()
        status, answer, _ = server.request("POST", "/v2/models/r/infer", body)
        assert status == mine.http and json.loads(answer)["model_name"] == "known", answer
    counted(server, mine, act)


def test_keys_of_a_list(serve, repository, request):
    a_list_that_is_too_large(serve, repository, request, {"limits.list_keys": 2}, "one\ntwo\nthree\n")


def test_bytes_of_a_list(serve, repository, request):
    a_list_that_is_too_large(serve, repository, request, {"limits.list_bytes": 1024}, "one\n" * 1000)


def one_tensor(n):
    return json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [n], "data": [0.5] * n}]})


def isolated(serve, repository, **settings):
    repository.write("alone/model.echo", IO)
    repository.write("alone/model.yaml", "isolation: process\n")
    return serve(repository.path, settings=settings).wait_ready("alone")


def test_worker_bytes(serve, repository, request):
    server, mine = isolated(serve, repository, **{"limits.worker_bytes": "1MiB", "limits.commons_bytes": 0}), row_of(request)

    def act():
        status, reply, _ = infer(server, one_tensor(400_000), "alone")
        assert status == mine.http and b"limits.worker_bytes" in reply, (status, reply)
        with grpc.insecure_channel(server.url) as channel:
            made = pb.ModelInferRequest(model_name="alone", raw_input_contents=[bytes(1_600_000)])
            made.inputs.add(name="x", datatype="FP32", shape=[400_000])
            assert "limits.worker_bytes" in refused(mine, service_pb2_grpc.GRPCInferenceServiceStub(channel), made)
        assert infer(server, model="alone")[0] == 200
    counted(server, mine, act)


def test_commons_bytes(serve, repository, request):
    """The first body has taken what there is, for bodies of its size; the second is of another."""
    server, mine = isolated(serve, repository, **{"limits.commons_bytes": "1MiB", "threads.loops": 1}), row_of(request)

    def act():
        for n in (50_000, 190_000):
            status, reply, _ = infer(server, one_tensor(n), "alone")
            assert status == mine.http and len(json.loads(reply)["outputs"][0]["data"]) == n
    counted(server, mine, act)


def test_time_of_a_load(serve, repository, request):
    repository.write("asleep.echo", IO + "load_sleep 3s\n")
    repository.write("good.echo", IO)
    server, mine = serve(repository.path, settings={"timeouts.load": "300ms"}), row_of(request)

    def act():
        server.wait_ready("good")
        server.wait(lambda: "timeouts.load" in server.request("POST", "/v2/repository/index", b"")[1].decode(), "the load to be given up")
        assert infer(server, model="asleep")[0] == mine.http
    counted(server, mine, act)


def test_time_to_drain(serve, repository, request):
    repository.write("slow.echo", IO + "sleep 20s\n")
    server, mine = serve(repository.path, settings={"timeouts.drain": "300ms"}).wait_ready("slow"), row_of(request)
    with Peer(server) as peer:
        peer.send(post("/v2/models/slow/infer", BODY))
        server.wait(lambda: server.metric("troupe_model_in_flight", model="slow") == 1, "the run to begin")
        begin = time.monotonic()
        server.stop(expect=1)
        server.stop = lambda: None  # the fixture expects 0
        assert time.monotonic() - begin < 10 * SLOW and mine.http is None
        assert peer.is_closed()


def test_shared_memory_switched_off(serve, repository, request):
    repository.write("echo.echo", IO)
    server, mine = serve(repository.path, settings={"http.shared_memory": "false"}).wait_ready("echo"), row_of(request)
    status, reply, _ = register(server, "r", "/x", 64)
    assert status == mine.http, reply
    with grpc.insecure_channel(server.url) as channel, pytest.raises(grpc.RpcError) as error:
        service_pb2_grpc.GRPCInferenceServiceStub(channel).SystemSharedMemoryRegister(pb.SystemSharedMemoryRegisterRequest(name="r", key="/x", byte_size=64))
    assert error.value.code().name == mine.grpc


def test_settings_out_of_range(tmp_path, request):
    for key, value in [("limits.body_bytes", "1"), ("limits.headers", "100000"), ("limits.json_depth", "x"), ("timeouts.header", "-1s"), ("limits.nothing", "1"), ("threads.loops", "1.5")]:
        done = subprocess.run([TROUPE, "serve", tmp_path, "--listen", "127.0.0.1:0", "--set", f"{key}={value}"], capture_output=True, text=True, timeout=30 * SLOW)
        assert done.returncode and key in done.stderr, (key, done)
    assert row_of(request).http is None
