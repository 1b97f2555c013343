"""What perf_analyzer sends, in its order, byte for byte where it matters: it needs a newer C library than Debian 12 has, and CUDA's for
shared memory.  Where it can run, it does: test_perf_analyzer.py.  HTTP goes over plain sockets, as libcurl writes it; gRPC over grpcio
with Triton's own stubs."""
import json
import mmap
import os
import socket
import struct
import uuid

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from conftest import Server
from triton_support import EXAMPLES, GOOD, make_repository

MODEL, INPUT, OUTPUT = "digits_cnn", "image", "probabilities"
BATCH = np.linspace(0, 1, 64 * 4, dtype=np.float32).reshape(4, 64)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("perf")
    repository = make_repository(folder / "models", EXAMPLES / MODEL, GOOD / "identity_bytes.onnx")
    started = Server(repository, settings={"trace.file": folder / "trace.json"}).wait_ready(MODEL)
    yield started
    started.stop()


@pytest.fixture
def segments():
    """segments(bytes): a POSIX shared memory segment, as its creator sees it: (key, memory)."""
    made = []

    def make(size):
        key = f"/troupe_perf_{uuid.uuid4().hex}"
        with open("/dev/shm" + key, "wb+") as file:
            file.truncate(size)
            made.append((key, mmap.mmap(file.fileno(), size)))
        return made[-1]
    yield make
    for key, memory in made:
        memory.close()
        os.unlink("/dev/shm" + key)


class Curl:
    """One connection, written to as libcurl does: the body in a packet of its own."""

    def __init__(self, server):
        self.host = server.url
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")

    def close(self):
        self.reader.close()
        self.socket.close()

    def request(self, method, path, body=None, **fields):
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\nAccept: */*\r\n"
        for name, value in fields.items():
            head += f"{name.replace('_', '-')}: {value}\r\n"
        if body is not None:
            head += f"Content-Length: {len(body)}\r\n"
        self.socket.sendall(head.encode() + b"\r\n")
        if body:
            self.socket.sendall(body)
        status = int(self.reader.readline().split()[1])
        headers = {}
        for line in iter(self.reader.readline, b"\r\n"):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers, self.reader.read(int(headers["content-length"]))

    def get(self, path):
        status, _, body = self.request("GET", path)
        assert status == 200, body
        return json.loads(body)

    def form(self, path, body):
        """A POST for which libcurl was told no content type."""
        status, _, reply = self.request("POST", path, body, Content_Type="application/x-www-form-urlencoded")
        assert status == 200, reply
        return reply

    def infer(self, path, header, tensors=b"", id_=""):
        text = json.dumps({"id": id_, **header}, separators=(",", ":")).encode()
        status, headers, body = self.request("POST", path, text + tensors, Inference_Header_Content_Length=len(text),
                                             Content_Type="application/octet-stream")
        assert status == 200, body
        length = int(headers.get("inference-header-content-length", len(body)))
        reply = json.loads(body[:length])
        assert reply.get("id", "") == id_
        return reply["outputs"], body[length:]


@pytest.fixture
def curl(server):
    made = Curl(server)
    yield made
    made.close()


def check_metadata(metadata, config, server_metadata):
    """What perf_analyzer reads before it begins; the first dimension must be the batch, which it drops."""
    assert "statistics" in server_metadata["extensions"]
    tensors = {t["name"]: t for t in metadata["inputs"] + metadata["outputs"]}
    assert metadata["name"] == MODEL and set(tensors) == {INPUT, OUTPUT}
    assert int(config.get("max_batch_size", 0)) == 64
    for tensor in tensors.values():
        assert tensor["datatype"] == "FP32" and int(tensor["shape"][0]) == -1
    for key in ("input", "output"):
        assert {t["name"] for t in config[key]} <= set(tensors)
    for parent, child in (("model_transaction_policy", "decoupled"), ("response_cache", "enable")):
        assert child in config.get(parent, {child: False})


def read_statistics(entry):
    """Every field that it reads without looking whether it is there, as a number."""
    int(entry["version"])
    numbers = {"inferences": entry["inference_count"], "executions": entry["execution_count"]}
    for part in ("success", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss"):
        for field in ("count", "ns"):
            numbers[f"{part}.{field}"] = entry["inference_stats"][part][field]
    assert all(type(n) is int for n in numbers.values()), numbers
    return numbers


def check_window(before, after, requests, rows):
    assert after["inferences"] - before["inferences"] == rows
    assert 0 < after["executions"] - before["executions"] <= requests, "those that waited may have run together"
    for part in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        assert after[f"{part}.count"] - before[f"{part}.count"] == requests, part
    assert after["success.ns"] > before["success.ns"] and after["compute_infer.ns"] > before["compute_infer.ns"]


# ---- HTTP ----

@pytest.mark.parametrize("base", [f"/v2/models/{MODEL}", f"/v2/models/{MODEL}/versions/1"], ids=["default version", "-x 1"])
@pytest.mark.parametrize("binary", [True, False])
def test_http(server, curl, base, binary):
    check_metadata(curl.get(base), curl.get(base + "/config"), curl.get("/v2"))
    watcher = Curl(server)
    before = read_statistics(watcher.get(base + "/stats")["model_stats"][0])
    shape = {"name": INPUT, "datatype": "FP32", "shape": [4, 64]}
    outputs = [{"name": OUTPUT, "parameters": {"binary_data": binary}}]
    ids = ["", "0", "1", "18446744073709551615"]
    for id_ in ids:
        if binary:
            described, tensors = {**shape, "parameters": {"binary_data_size": BATCH.nbytes}}, BATCH.tobytes()
        else:
            described, tensors = {**shape, "data": BATCH.reshape(-1).tolist()}, b""
        (output,), data = curl.infer(base + "/infer", {"inputs": [described], "outputs": outputs}, tensors, id_)
        assert output["shape"] == [4, 10]
        scores = np.frombuffer(data, np.float32) if binary else np.array(output["data"], np.float32)
        assert np.allclose(scores.reshape(4, 10).sum(axis=1), 1, atol=1e-5)
    check_window(before, read_statistics(watcher.get(base + "/stats")["model_stats"][0]), len(ids), 4 * len(ids))
    watcher.close()


def test_http_strings(curl):
    text = b"".join(struct.pack("<I", len(s)) + s for s in (b"perf", b""))
    inputs = [{"name": "x", "datatype": "BYTES", "shape": [1, 2], "parameters": {"binary_data_size": len(text)}}]
    (output,), data = curl.infer("/v2/models/identity_bytes/infer", {"inputs": inputs, "outputs": [
        {"name": "y", "parameters": {"binary_data": True}}]}, text)
    assert data == text and output["parameters"]["binary_data_size"] == len(text)


def test_http_shared_memory(curl, segments):
    (key_in, memory_in), (key_out, memory_out) = segments(BATCH.nbytes), segments(4096)
    memory_in[:] = BATCH.tobytes()
    curl.form("/v2/systemsharedmemory/unregister", b"")
    curl.form("/v2/cudasharedmemory/unregister", b"")
    for name, key, size in (("image_0_data", key_in, BATCH.nbytes), ("output_0_data", key_out, 4096)):
        curl.form(f"/v2/systemsharedmemory/region/{name}/register", json.dumps({"key": key, "offset": 0, "byte_size": size}).encode())
    assert len(curl.get("/v2/systemsharedmemory/status")) == 2
    header = {"inputs": [{"name": INPUT, "datatype": "FP32", "shape": [4, 64], "parameters": {
                  "shared_memory_region": "image_0_data", "shared_memory_byte_size": BATCH.nbytes}}],
              "outputs": [{"name": OUTPUT, "parameters": {"shared_memory_region": "output_0_data", "shared_memory_byte_size": 4096}}]}
    for _ in range(3):
        (output,), rest = curl.infer(f"/v2/models/{MODEL}/infer", header)
        assert output["shape"] == [4, 10] and "data" not in output and rest == b""
        scores = np.frombuffer(memory_out[:160], np.float32).reshape(4, 10)
        assert np.allclose(scores.sum(axis=1), 1, atol=1e-5)
        del scores
        memory_out[:160] = bytes(160)
    curl.form("/v2/systemsharedmemory/unregister", b"")
    assert curl.get("/v2/systemsharedmemory/status") == []


def test_metrics_and_traces_are_asked_for_with_options(server, curl):
    status, _, page = curl.request("GET", "/metrics")
    assert status == 200 and b"nv_gpu_" not in page, "it looks for these and goes on without them"
    settings = {"trace_level": ["TIMESTAMPS"], "trace_rate": "1000", "trace_count": "-1", "log_frequency": "0"}
    curl.form("/v2/trace/setting", json.dumps(settings).encode())
    assert curl.get("/v2/trace/setting")["trace_level"] == ["TIMESTAMPS"]
    curl.form("/v2/trace/setting", b'{"trace_level":["OFF"]}')


# ---- gRPC ----

@pytest.fixture
def stub(server):
    with grpc.insecure_channel(server.url) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def as_dict(message):
    from google.protobuf.json_format import MessageToDict
    return MessageToDict(message, preserving_proto_field_name=True)


def grpc_request(id_, version="", region_in="", region_out=""):
    request = service_pb2.ModelInferRequest(model_name=MODEL, model_version=version, id=id_)
    request.parameters["triton_enable_empty_final_response"].bool_param = True
    tensor = request.inputs.add(name=INPUT, datatype="FP32", shape=[4, 64])
    output = request.outputs.add(name=OUTPUT)
    if region_in:
        for thing, region, size in ((tensor, region_in, BATCH.nbytes), (output, region_out, 4096)):
            thing.parameters["shared_memory_region"].string_param = region
            thing.parameters["shared_memory_byte_size"].int64_param = size
    else:
        request.raw_input_contents.append(BATCH.tobytes())
    return request


def grpc_statistics(stub, version=""):
    entry, = stub.ModelStatistics(service_pb2.ModelStatisticsRequest(name=MODEL, version=version)).model_stats
    assert int(entry.version) == 1
    numbers = {"inferences": entry.inference_count, "executions": entry.execution_count}
    for part in ("success", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss"):
        duration = getattr(entry.inference_stats, part)
        numbers[f"{part}.count"], numbers[f"{part}.ns"] = duration.count, duration.ns
    return numbers


def check_scores(response):
    scores = np.frombuffer(response.raw_output_contents[0], np.float32).reshape(list(response.outputs[0].shape))
    assert scores.shape == (4, 10) and np.allclose(scores.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("version", ["", "1"], ids=["default version", "-x 1"])
def test_grpc(stub, version):
    metadata = as_dict(stub.ModelMetadata(service_pb2.ModelMetadataRequest(name=MODEL, version=version)))
    config = as_dict(stub.ModelConfig(service_pb2.ModelConfigRequest(name=MODEL, version=version)).config)
    check_metadata(metadata, config, as_dict(stub.ServerMetadata(service_pb2.ServerMetadataRequest())))
    before = grpc_statistics(stub, version)
    for id_ in ("", "1", "18446744073709551615"):
        response = stub.ModelInfer(grpc_request(id_, version))
        assert response.id == id_ and "triton_final_response" not in response.parameters
        check_scores(response)
    check_window(before, grpc_statistics(stub, version), 3, 12)


def test_grpc_streaming(stub):
    before = grpc_statistics(stub)
    ids = [str(2**63 + i) for i in range(50)]
    answers = list(stub.ModelStreamInfer(grpc_request(id_) for id_ in ids))
    assert [a.infer_response.id for a in answers] == ids and not any(a.error_message for a in answers)
    for answer in answers:
        assert answer.infer_response.parameters["triton_final_response"].bool_param
        check_scores(answer.infer_response)
    check_window(before, grpc_statistics(stub), 50, 200)


def test_grpc_shared_memory(stub, segments):
    (key_in, memory_in), (key_out, memory_out) = segments(BATCH.nbytes), segments(4096)
    memory_in[:] = BATCH.tobytes()
    stub.SystemSharedMemoryUnregister(service_pb2.SystemSharedMemoryUnregisterRequest())
    stub.CudaSharedMemoryUnregister(service_pb2.CudaSharedMemoryUnregisterRequest())
    for name, key, size in (("in", key_in, BATCH.nbytes), ("out", key_out, 4096)):
        stub.SystemSharedMemoryRegister(service_pb2.SystemSharedMemoryRegisterRequest(name=name, key=key, offset=0, byte_size=size))
    response = stub.ModelInfer(grpc_request("1", "", "in", "out"))
    assert list(response.raw_output_contents) == [b""], "an empty entry stands for the output"
    scores = np.frombuffer(memory_out[:160], np.float32).reshape(4, 10)
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-5)
    stub.SystemSharedMemoryUnregister(service_pb2.SystemSharedMemoryUnregisterRequest())
    assert not stub.SystemSharedMemoryStatus(service_pb2.SystemSharedMemoryStatusRequest()).regions


def test_grpc_trace_option(stub):
    request = service_pb2.TraceSettingRequest()
    for key, value in (("trace_level", "TIMESTAMPS"), ("trace_rate", "1000"), ("trace_count", "-1"), ("log_frequency", "0")):
        request.settings[key].value.append(value)
    assert list(stub.TraceSetting(request).settings["trace_level"].value) == ["TIMESTAMPS"]
    request.settings["trace_level"].value[:] = ["OFF"]
    stub.TraceSetting(request)
