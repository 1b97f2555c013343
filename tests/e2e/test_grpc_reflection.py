"""grpcio without any proto file: all that it knows of this server it asks the server for.  And what gRPC itself promises: health,
deadlines, cancellation, compression, many streams, large messages."""
import queue
import signal
import threading
import time

import grpc
import numpy as np
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from conftest import SLOW, Server
from triton_support import EXAMPLES, GOOD, make_repository

INFERENCE, HEALTH = "inference.GRPCInferenceService", "grpc.health.v1.Health"
REFLECTION = ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"]
MESSAGES = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
BODY_LIMIT = 80 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reflection")
    models = [GOOD / "identity_fp32.onnx", GOOD / "slow.onnx", EXAMPLES / "digits_cnn"]
    started = Server(make_repository(folder / "models", *models, own=GOOD / "identity_fp32.onnx"),
                     settings={"trace.file": folder / "trace.json", "limits.body_bytes": str(BODY_LIMIT)})
    yield started.wait_ready("digits_cnn", "slow")
    started.stop()


@pytest.fixture
def channel(server):
    with grpc.insecure_channel(server.url, options=MESSAGES) as made:
        yield made


class Reflected:
    """A server's services, as it describes them itself."""

    def __init__(self, channel):
        self.channel, self.database = channel, ProtoReflectionDescriptorDatabase(channel)
        self.pool = DescriptorPool(self.database)

    def services(self):
        return sorted(self.database.get_services())

    def methods(self, service):
        return {m.name: m for m in self.pool.FindServiceByName(service).methods}

    def message(self, method, fields):
        return ParseDict(fields, message_factory.GetMessageClass(method.input_type)())

    def call(self, service, name):
        """The multi-callable of a method: unary or streaming, as its descriptor says."""
        method = self.methods(service)[name]
        kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
        reply = message_factory.GetMessageClass(method.output_type)
        return getattr(self.channel, kind)(f"/{service}/{name}", request_serializer=lambda m: m.SerializeToString(),
                                           response_deserializer=reply.FromString)

    def ask(self, name, fields, service=INFERENCE, **kwargs):
        """One request to a method that answers once; as dicts."""
        method = self.methods(service)[name]
        reply = self.call(service, name)(self.message(method, fields), timeout=60, **kwargs)
        return MessageToDict(reply, preserving_proto_field_name=True)

    def infer_request(self, model, array, name="x", **fields):
        request = self.message(self.methods(INFERENCE)["ModelInfer"], {
            "model_name": model, "inputs": [{"name": name, "datatype": "FP32", "shape": list(array.shape)}], **fields})
        request.raw_input_contents.append(array.astype(np.float32).tobytes())
        return request

    def long_run(self):
        request = self.infer_request("slow", np.ones(3))
        request.inputs.add(name="steps", datatype="INT64", shape=[1])
        request.raw_input_contents.append(np.array([3_000_000], np.int64).tobytes())
        return request


@pytest.fixture
def reflected(channel):
    return Reflected(channel)


def array_of(response):
    return np.frombuffer(response.raw_output_contents[0], np.float32).reshape(list(response.outputs[0].shape))


def fails_with(code, call, *args, **kwargs):
    with pytest.raises(grpc.RpcError) as caught:
        call(*args, **kwargs)
    assert caught.value.code() == code, caught.value
    return caught.value.details()


def runs_end(server):
    server.wait(lambda: server.metric("troupe_model_in_flight", model="slow") == 0, "runs to end", 10)


# ---- reflection ----

def test_the_services_are_listed(reflected):
    assert reflected.services() == sorted([INFERENCE, HEALTH, *REFLECTION])


def test_every_message_of_every_service_is_described(reflected):
    seen = set()

    def follow(message):
        if message.full_name in seen:
            return
        seen.add(message.full_name)
        for field in message.fields:
            if field.message_type:
                follow(field.message_type)
    for service in reflected.services():
        for method in reflected.methods(service).values():
            follow(method.input_type)
            follow(method.output_type)
    assert {"inference.ModelConfig", "inference.InferTensorContents", "inference.ModelStatistics"} <= seen


def test_files_can_be_asked_for_by_name_and_by_symbol(reflected):
    file = reflected.pool.FindFileContainingSymbol("inference.ModelInferRequest")
    assert reflected.pool.FindFileByName(file.name) is file
    with pytest.raises(KeyError):
        reflected.pool.FindFileByName("no_such_file.proto")
    with pytest.raises(KeyError):
        reflected.pool.FindMessageTypeByName("inference.NoSuchMessage")


@pytest.mark.parametrize("service", REFLECTION)
def test_both_versions_of_reflection_answer_every_kind_of_question(channel, service):
    questions = [{"list_services": ""}, {"file_containing_symbol": INFERENCE}, {"file_containing_symbol": "nobody"},
                 {"file_by_filename": "nobody.proto"}, {"all_extension_numbers_of_type": "inference.ModelInferRequest"},
                 {"file_containing_extension": {"containing_type": "inference.ModelInferRequest", "extension_number": 1}}]
    call = channel.stream_stream(f"/{service}/ServerReflectionInfo", request_serializer=lambda m: m.SerializeToString(),
                                 response_deserializer=reflection_pb2.ServerReflectionResponse.FromString)
    requests = [ParseDict(q, reflection_pb2.ServerReflectionRequest()) for q in questions]
    answers = list(call(iter(requests), timeout=60))
    assert [a.original_request for a in answers] == requests
    assert {s.name for s in answers[0].list_services_response.service} == {INFERENCE, HEALTH, *REFLECTION}
    assert answers[1].file_descriptor_response.file_descriptor_proto
    for answer in (answers[2], answers[3], answers[5]):
        assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0] and answer.error_response.error_message
    assert not answers[4].all_extension_numbers_response.extension_number


# A request for each method, and what its reply holds.
ASKED = [
    ("ServerLive", {}, {"live": True}),
    ("ServerReady", {}, {"ready": True}),
    ("ModelReady", {"name": "own"}, {"ready": True}),
    ("ServerMetadata", {}, {"name": "troupe"}),
    ("ModelMetadata", {"name": "own"}, {"platform": "onnxruntime_onnx"}),
    ("ModelConfig", {"name": "own"}, {}),
    ("ModelStatistics", {"name": "own"}, {}),
    ("RepositoryIndex", {"ready": True}, {}),
    ("RepositoryModelUnload", {"model_name": "own"}, {}),
    ("RepositoryModelLoad", {"model_name": "own", "parameters": {"config": {"string_param": "{}"}}}, {}),
    ("SystemSharedMemoryStatus", {}, {}),
    ("SystemSharedMemoryUnregister", {}, {}),
    ("CudaSharedMemoryStatus", {}, {}),
    ("CudaSharedMemoryUnregister", {}, {}),
    ("TraceSetting", {}, {}),
    ("LogSettings", {"settings": {"log_info": {"bool_param": True}}}, {}),
]
ASKED_IN_VAIN = [
    ("SystemSharedMemoryRegister", {"name": "r", "key": "/troupe_no_such_key", "byte_size": 8}, grpc.StatusCode.NOT_FOUND),
    ("CudaSharedMemoryRegister", {"name": "r", "byte_size": 8}, grpc.StatusCode.INVALID_ARGUMENT),
]


def test_every_method_can_be_called_through_its_descriptor(reflected):
    for name, fields, expected in ASKED:
        reply = reflected.ask(name, fields)
        assert {key: reply.get(key) for key in expected} == expected, name
    for name, fields, code in ASKED_IN_VAIN:
        fails_with(code, reflected.ask, name, fields)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    request = reflected.infer_request("own", x, id="1")
    assert (array_of(reflected.call(INFERENCE, "ModelInfer")(request, timeout=60)) == x).all()
    answer, = reflected.call(INFERENCE, "ModelStreamInfer")(iter([request]), timeout=60)
    assert answer.infer_response.id == "1" and (array_of(answer.infer_response) == x).all()
    called = {name for name, _, _ in ASKED + ASKED_IN_VAIN} | {"ModelInfer", "ModelStreamInfer"}
    assert called == set(reflected.methods(INFERENCE))


def test_what_does_not_exist_is_unimplemented(channel):
    for path in (f"/{INFERENCE}/NoSuchMethod", "/no.such.Service/Method"):
        fails_with(grpc.StatusCode.UNIMPLEMENTED, channel.unary_unary(path), b"", timeout=60)


def test_bytes_that_are_no_message_are_refused(channel):
    for method in ("ModelInfer", "ModelMetadata", "LogSettings"):
        fails_with(grpc.StatusCode.INVALID_ARGUMENT, channel.unary_unary(f"/{INFERENCE}/{method}"), b"\xff\xff\xff", timeout=60)


# ---- health ----

def test_health_check(channel, reflected):
    stub = health_pb2_grpc.HealthStub(channel)
    assert stub.Check(health_pb2.HealthCheckRequest(), timeout=60).status == health_pb2.HealthCheckResponse.SERVING
    assert stub.Check(health_pb2.HealthCheckRequest(service=INFERENCE), timeout=60).status == health_pb2.HealthCheckResponse.SERVING
    fails_with(grpc.StatusCode.NOT_FOUND, stub.Check, health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=60)
    assert reflected.ask("Check", {}, service=HEALTH) == {"status": "SERVING"}


def test_health_watch_tells_of_the_end(serve, tmp_path):
    server = serve(make_repository(tmp_path / "models", GOOD / "slow.onnx")).wait_ready("slow")
    with grpc.insecure_channel(server.url) as channel:
        stub, seen = health_pb2_grpc.HealthStub(channel), queue.Queue()

        def watch(service):
            try:
                for answer in stub.Watch(health_pb2.HealthCheckRequest(service=service), timeout=60):
                    seen.put((service, answer.status))
            except grpc.RpcError as error:
                seen.put((service, error.code()))
        for service in ("", "no.such.Service"):
            threading.Thread(target=watch, args=(service,), daemon=True).start()
        first = {seen.get(timeout=30 * SLOW) for _ in range(2)}
        assert first == {("", health_pb2.HealthCheckResponse.SERVING),
                         ("no.such.Service", health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)}
        server.process.send_signal(signal.SIGTERM)
        while True:
            service, status = seen.get(timeout=30 * SLOW)
            if service == "" and status != health_pb2.HealthCheckResponse.SERVING:
                break
        assert status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert server.process.wait(20 * SLOW) == 0, "who only watches does not hold up the end"


# ---- what gRPC promises ----

def test_a_deadline_ends_the_call_and_the_run(server, reflected):
    call = reflected.call(INFERENCE, "ModelInfer")
    began = time.monotonic()
    fails_with(grpc.StatusCode.DEADLINE_EXCEEDED, call, reflected.long_run(), timeout=0.2)
    assert time.monotonic() - began < 5 * SLOW
    runs_end(server)
    fails_with(grpc.StatusCode.DEADLINE_EXCEEDED, list,
               reflected.call(INFERENCE, "ModelStreamInfer")(iter([reflected.long_run()]), timeout=0.2))
    runs_end(server)


def test_a_cancelled_call_ends_its_run(server, reflected):
    futures = [reflected.call(INFERENCE, "ModelInfer").future(reflected.long_run(), timeout=60) for _ in range(4)]
    server.wait(lambda: server.metric("troupe_model_in_flight", model="slow") == 4, "four calls to come")
    before = server.metric("troupe_requests_cancelled_total")
    for future in futures:
        future.cancel()
    runs_end(server)
    assert server.metric("troupe_requests_cancelled_total") == before + 4
    stream = reflected.call(INFERENCE, "ModelStreamInfer")(iter([reflected.long_run()] * 3), timeout=60)
    server.wait(lambda: server.metric("troupe_model_in_flight", model="slow") >= 1, "the stream's runs to begin")
    stream.cancel()
    fails_with(grpc.StatusCode.CANCELLED, next, stream)
    runs_end(server)


def test_a_channel_that_is_closed_ends_its_runs(server):
    channel = grpc.insecure_channel(server.url)
    reflected = Reflected(channel)
    pending = reflected.call(INFERENCE, "ModelInfer").future(reflected.long_run(), timeout=60)
    server.wait(lambda: server.metric("troupe_model_in_flight", model="slow") == 1, "the run to begin")
    channel.close()
    runs_end(server)
    assert pending.cancelled() or pending.code() == grpc.StatusCode.CANCELLED


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_messages_are_compressed_both_ways(server, algorithm):
    x = np.zeros((1000, 1000), np.float32)
    with grpc.insecure_channel(server.url, options=MESSAGES, compression=algorithm) as channel:
        reflected = Reflected(channel)
        received, sent = (server.metric(f"troupe_{way}_bytes_total") for way in ("received", "sent"))
        request = reflected.infer_request("identity_fp32", x)
        assert (array_of(reflected.call(INFERENCE, "ModelInfer")(request, timeout=60)) == x).all()
        answers = list(reflected.call(INFERENCE, "ModelStreamInfer")(iter([request] * 3), timeout=60))
        assert len(answers) == 3 and all((array_of(a.infer_response) == x).all() for a in answers)
        assert server.metric("troupe_received_bytes_total") - received < x.nbytes / 10
        assert server.metric("troupe_sent_bytes_total") - sent < x.nbytes / 10


def test_three_hundred_streams_at_once(server, reflected):
    streams = []
    for i in range(300):
        requests = queue.Queue()
        answers = reflected.call(INFERENCE, "ModelStreamInfer")(iter(requests.get, None), timeout=120)
        streams.append((i, requests, answers))
    for turn in range(3):
        for i, requests, _ in streams:
            requests.put(reflected.infer_request("identity_fp32", np.full((1, 4), i), id=f"{i}.{turn}"))
        for i, _, answers in streams:
            answer = next(answers)
            assert answer.infer_response.id == f"{i}.{turn}" and (array_of(answer.infer_response) == i).all()
    for _, requests, answers in streams:
        requests.put(None)
        assert list(answers) == []


def test_large_messages(server, reflected):
    call = reflected.call(INFERENCE, "ModelInfer")
    x = np.arange(16 << 20, dtype=np.float32).reshape(4096, 4096)
    assert x.nbytes == 64 << 20
    assert array_of(call(reflected.infer_request("identity_fp32", x), timeout=120)).tobytes() == x.tobytes()
    too_large = np.zeros((1, (BODY_LIMIT >> 2) + 1), np.float32)
    details = fails_with(grpc.StatusCode.RESOURCE_EXHAUSTED, call, reflected.infer_request("identity_fp32", too_large), timeout=120)
    assert str(BODY_LIMIT) in details
    small = np.ones((1, 1), np.float32)
    assert array_of(call(reflected.infer_request("identity_fp32", small), timeout=60)) == 1, "the connection goes on"


def test_a_large_message_does_not_hold_up_small_ones(reflected):
    call = reflected.call(INFERENCE, "ModelInfer")
    large = call.future(reflected.infer_request("identity_fp32", np.zeros((4096, 2048), np.float32)), timeout=120)
    small = reflected.infer_request("identity_fp32", np.ones((1, 1), np.float32))
    for _ in range(50):
        assert array_of(call(small, timeout=60)) == 1
    assert array_of(large.result()).shape == (4096, 2048)
