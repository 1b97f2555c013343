"""Every public call of tritonclient.http.aio and tritonclient.grpc.aio, with each of its parameters, against a real server."""
import asyncio
import base64
import json
import time
import uuid

import numpy as np
import pytest
import tritonclient.grpc.aio
import tritonclient.grpc.aio.auth
import tritonclient.http.aio
import tritonclient.http.aio.auth
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException, serialize_byte_tensor

from conftest import SLOW, Server
from triton_support import (BAD, DTYPES, EXAMPLES, GOOD, Calls, check_trace, make_repository, read_traces, same,
                            statistics_of, values)


class Side:
    """One of the two clients, and what differs between them."""

    def __init__(self, name, module, extra, settings_of, as_dict):
        self.name, self.extra, self.settings_of, self.as_dict = name, extra, settings_of, as_dict
        self.calls = Calls()
        self.Client = self.calls.made_by(module.InferenceServerClient)
        self.Input, self.Output = module.InferInput, module.InferRequestedOutput

    def tensor(self, array, name="x", dtype="FP32"):
        return self.Input(name, list(array.shape), dtype).set_data_from_numpy(array)

    async def refusal(self, http_status, grpc_status, text, call):
        with pytest.raises(InferenceServerException) as caught:
            await call
        status = str(http_status) if self.name == "http" else f"StatusCode.{grpc_status}"
        assert caught.value.status() == status, caught.value
        assert text in caught.value.message()

    def unknown(self, text, call):
        return self.refusal(404, "NOT_FOUND", text, call)

    def invalid(self, text, call):
        return self.refusal(400, "INVALID_ARGUMENT", text, call)


HTTP = Side("http", tritonclient.http.aio, {"headers": {"x-extra": "1"}, "query_params": {"a b": "c/d"}}, lambda s: s, {})
GRPC = Side("grpc", tritonclient.grpc.aio, {"headers": {"x-extra": "1"}, "client_timeout": 60.0},
            lambda s: {k: v["value"] if len(v["value"]) > 1 or k == "trace_level" else v["value"][0]
                       for k, v in s["settings"].items()}, {"as_json": True})
ONE = np.ones((1, 3), np.float32)


def with_each_client(test):
    """Runs an asynchronous test once with each of the two clients."""
    @pytest.mark.parametrize("side", [HTTP, GRPC], ids=lambda s: s.name)
    def run(server, side):
        async def inside():
            async with side.Client(server.url) as client:
                await test(server, side, client)
        asyncio.run(inside())
    run.__doc__ = test.__doc__
    return run


def with_grpc_client(test):
    def run(server):
        async def inside():
            async with GRPC.Client(server.url) as client:
                await test(server, client)
        asyncio.run(inside())
    return run


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("aio")
    models = [GOOD / f"identity_{d.lower()}.onnx" for d in DTYPES]
    models += [GOOD / f"{m}.onnx" for m in ("scalar", "two_outputs", "slow")]
    repository = make_repository(folder / "models", *models, EXAMPLES / "digits_cnn", BAD / "truncated.onnx",
                                 counted_http=GOOD / "identity_fp32.onnx", counted_grpc=GOOD / "identity_fp32.onnx",
                                 traced=GOOD / "identity_fp32.onnx", own=GOOD / "identity_fp32.onnx")
    # Late requests are to be late here, and not refused beforehand because others that they cancelled still run.
    started = Server(repository, settings={"trace.file": folder / "trace.json", "sched.forecast": "false"})
    started.wait_ready("digits_cnn")
    started.trace_file = folder / "trace.json"
    yield started
    started.stop()


# ---- health and metadata ----

@with_each_client
async def test_health_is_told_for_the_server_and_each_model(server, side, client):
    assert await client.is_server_live(**side.extra) and await client.is_server_ready(**side.extra)
    assert await client.is_model_ready("digits_cnn", model_version="1", **side.extra)
    assert not await client.is_model_ready("digits_cnn", model_version="3")
    assert not await client.is_model_ready("truncated")


@with_each_client
async def test_metadata_and_configuration(server, side, client):
    assert (await client.get_server_metadata(**side.extra, **side.as_dict))["name"] == "troupe"
    metadata = await client.get_model_metadata("digits_cnn", model_version="1", **side.extra, **side.as_dict)
    assert metadata["versions"] == ["1"] and [int(d) for d in metadata["inputs"][0]["shape"]] == [-1, 64]
    config = await client.get_model_config("digits_cnn", model_version="1", **side.extra, **side.as_dict)
    assert config.get("config", config)["max_batch_size"] == 64
    await side.unknown("unknown model: 'nobody'", client.get_model_metadata("nobody"))
    await side.unknown("nobody", client.get_model_config("nobody"))


# ---- inference ----

@with_each_client
async def test_every_dtype_comes_back_as_it_went(server, side, client):
    async def check(dtype):
        x = values(dtype)
        same((await client.infer(f"identity_{dtype.lower()}", [side.tensor(x, dtype=dtype)])).as_numpy("y"), x)
    await asyncio.gather(*(check(dtype) for dtype in DTYPES))
    assert (await client.infer("scalar", [side.tensor(np.array(41, np.float32))])).as_numpy("y") == 42
    empty = np.empty((0, 3), np.float32)
    assert (await client.infer("identity_fp32", [side.tensor(empty)])).as_numpy("y").shape == (0, 3)


def test_every_dtype_that_the_client_can_send_goes_as_json(server):
    async def inside():
        async with HTTP.Client(server.url) as client:
            for dtype in DTYPES:
                x, made = values(dtype), HTTP.Input("x", [2, 3], dtype)
                made.set_data_from_numpy(x, binary_data=dtype == "BF16")
                outputs = [HTTP.Output("y", binary_data=False)]
                same((await client.infer(f"identity_{dtype.lower()}", [made], outputs=outputs)).as_numpy("y"), x)
    asyncio.run(inside())


@with_each_client
async def test_all_that_a_request_can_say(server, side, client):
    compression = ({"request_compression_algorithm": "gzip", "response_compression_algorithm": "deflate"}
                   if side is HTTP else {"compression_algorithm": "gzip"})
    x = np.arange(8000, dtype=np.float32).reshape(1000, 8)
    result = await client.infer("two_outputs", [side.tensor(x)], model_version="1", outputs=[side.Output("square")], request_id="7",
                                sequence_id=5, sequence_start=True, sequence_end=True, priority=1, timeout=60_000_000,
                                parameters={"text": "a", "int": 1, "true": True, "float": 1.5}, **compression,
                                **{**side.extra, "headers": {"x-extra": "1"}})
    assert (result.as_numpy("square") == x * x).all() and result.as_numpy("sum") is None
    if side is HTTP:
        for algorithm in ("gzip", "deflate"):
            result = await client.infer("two_outputs", [side.tensor(x)], request_compression_algorithm=algorithm,
                                        response_compression_algorithm=algorithm)
            assert (result.as_numpy("square") == x * x).all()


@with_each_client
async def test_classification(server, side, client):
    image = np.load(EXAMPLES.parent / "inputs/digit_3.npy").reshape(1, 64).astype(np.float32)
    result = await client.infer("digits_cnn", [side.tensor(image, "image")], outputs=[side.Output("probabilities", class_count=2)])
    assert result.as_numpy("probabilities").shape == (1, 2) and result.as_numpy("probabilities")[0, 0].endswith(b":3:three")


@with_each_client
async def test_many_requests_at_once(server, side, client):
    async def one(i):
        result = await client.infer("identity_fp32", [side.tensor(np.full((1, 4), i, np.float32))], request_id=str(i))
        assert (result.as_numpy("y") == i).all()
    await asyncio.gather(*(one(i) for i in range(300)))


@with_each_client
async def test_mistakes_are_told_by_name(server, side, client):
    await side.unknown("unknown model: 'nobody'", client.infer("nobody", [side.tensor(ONE)]))
    await side.invalid("Expected [-1,-1], got [3]", client.infer("identity_fp32", [side.tensor(ONE[0])]))
    await side.invalid("expects 'FP32'", client.infer("identity_fp32", [side.tensor(ONE.astype(np.int32), dtype="INT32")]))
    await side.invalid("nothing", client.infer("identity_fp32", [side.tensor(ONE)], outputs=[side.Output("nothing")]))


def long_run(side):
    return [side.tensor(np.ones(3, np.float32)), side.tensor(np.array([3_000_000], np.int64), "steps", "INT64")]


@with_each_client
async def test_a_task_that_is_cancelled_frees_the_server(server, side, client):
    task = asyncio.create_task(client.infer("slow", long_run(side)))
    await asyncio.sleep(0.2)
    began = time.monotonic()
    task.cancel()
    with pytest.raises((asyncio.CancelledError, InferenceServerException)):
        await task
    while await asyncio.to_thread(server.metric, "troupe_model_in_flight", model="slow"):
        assert time.monotonic() - began < 10 * SLOW, "a cancelled run must not go on to its end"
        await asyncio.sleep(0.02)
    assert (await client.infer("slow", [side.tensor(np.ones(3, np.float32))])).as_numpy("y").shape == (1,)


@with_each_client
async def test_a_request_can_say_how_long_it_may_take(server, side, client):
    await side.refusal(504, "DEADLINE_EXCEEDED", "deadline", client.infer("slow", long_run(side), timeout=100_000))


def test_clients_have_deadlines(server):
    async def inside():
        async with HTTP.Client(server.url, conn_timeout=0.2) as client:
            with pytest.raises(asyncio.TimeoutError):
                await client.infer("slow", long_run(HTTP))
        async with GRPC.Client(server.url) as client:
            await GRPC.refusal(None, "DEADLINE_EXCEEDED", "", client.infer("slow", long_run(GRPC), client_timeout=0.2))
    asyncio.run(inside())


def test_bodies_made_and_parsed_by_the_client_itself(server):
    async def inside():
        async with HTTP.Client(server.url) as client:
            body, length = client.generate_request_body([HTTP.tensor(ONE)], outputs=[HTTP.Output("y")], request_id="42", sequence_id=0,
                                                        sequence_start=False, sequence_end=False, priority=0, timeout=None,
                                                        parameters={"a": 1})
            status, reply, headers = await asyncio.to_thread(server.request, "POST", "/v2/models/identity_fp32/infer", body,
                                                             {"Inference-Header-Content-Length": str(length)})
            assert status == 200
            result = client.parse_response_body(reply, verbose=False, content_encoding=None,
                                                header_length=int(headers["Inference-Header-Content-Length"]))
            assert (result.as_numpy("y") == ONE).all() and result.get_response()["id"] == "42"
    asyncio.run(inside())


# ---- streams ----

async def requests(n, model=lambda i: "identity_fp32"):
    for i in range(n):
        yield {"model_name": model(i), "inputs": [GRPC.tensor(np.full((1, 4), i, np.float32))], "request_id": str(i),
               "outputs": [GRPC.Output("y")], "model_version": "1", "sequence_id": 0, "sequence_start": False,
               "sequence_end": False, "priority": 0, "timeout": None, "parameters": {"i": i}}


@with_grpc_client
async def test_a_stream_answers_in_order_errors_among_them(server, client):
    n = 0
    answers = client.stream_infer(requests(300, lambda i: "nobody" if i % 50 == 49 else "identity_fp32"), stream_timeout=60,
                                  headers={"x-extra": "1"}, compression_algorithm="deflate")
    async for result, error in answers:
        if n % 50 == 49:
            assert result is None and "nobody" in error.message()
        else:
            assert error is None and result.get_response().id == str(n) and (result.as_numpy("y") == n).all()
        n += 1
    assert n == 300


@with_grpc_client
async def test_many_streams_at_once(server, client):
    async def one():
        return [error async for _, error in client.stream_infer(requests(20))]
    for errors in await asyncio.gather(*(one() for _ in range(50))):
        assert errors == [None] * 20


@with_grpc_client
async def test_a_stream_ends_with_the_first_error_when_it_asks_for_that(server, client):
    # grpc.aio forgets a stream's status when it writes after the end, and answers not read before it: no writing, no hurry
    got, are_read = [], asyncio.Event()

    async def until_the_bad_one():
        async for request in requests(4, lambda i: "nobody" if i == 3 else "identity_fp32"):
            if request["model_name"] == "nobody":
                await are_read.wait()
            yield request
        await asyncio.Event().wait()
    with pytest.raises(tritonclient.grpc.aio.grpc.RpcError) as caught:
        async for result, error in client.stream_infer(until_the_bad_one(), headers={"triton_grpc_error": "true"}):
            got.append(result.get_response().id)
            if len(got) == 3:
                are_read.set()
    assert caught.value.code().name == "NOT_FOUND" and "nobody" in caught.value.details() and got == ["0", "1", "2"]


@with_grpc_client
async def test_a_stream_that_is_cancelled_cancels_its_requests(server, client):
    async def slow_ones():
        for _ in range(4):
            yield {"model_name": "slow", "inputs": long_run(GRPC)}
    answers = client.stream_infer(slow_ones())
    reading = asyncio.create_task(answers.__anext__())
    await asyncio.sleep(0.3)
    began = time.monotonic()
    assert answers.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    while await asyncio.to_thread(server.metric, "troupe_model_in_flight", model="slow"):
        assert time.monotonic() - began < 10 * SLOW
        await asyncio.sleep(0.02)


# ---- shared memory ----

@with_each_client
async def test_tensors_go_through_shared_memory(server, side, client):
    keys = [f"/troupe_test_{uuid.uuid4().hex}" for _ in range(2)]
    handles = [shm.create_shared_memory_region("region", key, 4096, create_only=True) for key in keys]
    try:
        await client.register_system_shared_memory("in", keys[0], 4096, **side.extra)
        await client.register_system_shared_memory("out", keys[1], 2048, offset=64)
        status = await client.get_system_shared_memory_status(region_name="out", **side.extra, **side.as_dict)
        entry = status[0] if side is HTTP else status["regions"]["out"]
        assert entry["key"] == keys[1] and int(entry["offset"]) == 64 and int(entry["byte_size"]) == 2048
        for dtype in DTYPES:
            x = values(dtype)
            raw = serialize_byte_tensor(x) if dtype == "BYTES" else x
            size = len(raw.item()) if dtype == "BYTES" else x.nbytes
            shm.set_shared_memory_region(handles[0], [raw], offset=8)
            made, output = side.Input("x", [2, 3], dtype), side.Output("y")
            made.set_shared_memory("in", size, offset=8)
            output.set_shared_memory("out", 1024, offset=128)
            await client.infer(f"identity_{dtype.lower()}", [made], outputs=[output])
            same(shm.get_contents_as_numpy(handles[1], x.dtype, [2, 3], offset=192), x)
        made.set_shared_memory("in", 4096, offset=8)
        await side.invalid("'x'", client.infer("identity_bytes", [made]))
        await client.unregister_system_shared_memory(name="in", **side.extra)
        await side.unknown("in", client.get_system_shared_memory_status("in"))
        await side.refusal(404, "NOT_FOUND", "", client.register_system_shared_memory("none", "/troupe_no_such_key", 16))
    finally:
        await client.unregister_system_shared_memory()
        for handle in handles:
            shm.destroy_shared_memory_region(handle)
    assert not await client.get_system_shared_memory_status(**side.as_dict)


@with_each_client
async def test_cuda_shared_memory_is_answered_as_by_a_server_without_it(server, side, client):
    assert not await client.get_cuda_shared_memory_status(**side.extra, **side.as_dict)
    await side.unknown("c", client.get_cuda_shared_memory_status(region_name="c"))
    await side.invalid("GPU", client.register_cuda_shared_memory("c", base64.b64encode(b"handle"), 0, 64, **side.extra))
    await client.unregister_cuda_shared_memory(name="c", **side.extra)
    await client.unregister_cuda_shared_memory()


# ---- model control ----

@with_each_client
async def test_models_are_listed_unloaded_and_loaded(server, side, client):
    index = await client.get_model_repository_index(**side.extra, **side.as_dict)
    broken, = [m for m in (index if side is HTTP else index["models"]) if m["name"] == "truncated"]
    assert broken["state"] == "UNAVAILABLE" and broken["reason"]
    try:
        await client.unload_model("own", unload_dependents=True, **side.extra)
        assert not await client.is_model_ready("own")
        await client.load_model("own", config=json.dumps({"max_batch_size": 4}),
                                files={"file:1/model.onnx": (GOOD / "two_outputs.onnx").read_bytes()}, **side.extra)
        x = np.ones((5, 8), np.float32)
        await side.invalid("batch-size must be <= 4", client.infer("own", [side.tensor(x)]))
        assert (await client.infer("own", [side.tensor(x[:4])])).as_numpy("square").shape == (4, 8)
        await side.invalid("max_batch_siz", client.load_model("own", config=json.dumps({"max_batch_siz": 4})))
    finally:
        await client.load_model("own")
    assert (await client.infer("own", [side.tensor(ONE)])).as_numpy("y").shape == (1, 3)
    await side.unknown("nobody", client.load_model("nobody"))


@with_each_client
async def test_a_replacement_has_no_gap(server, side, client):
    async def reload():
        for _ in range(10):
            await client.load_model("own", config="{}")
    loading = asyncio.create_task(reload())
    n = 0
    while not loading.done():
        await client.infer("own", [side.tensor(ONE)])
        assert await client.is_model_ready("own")
        assert (await client.get_model_metadata("own", **side.as_dict))["versions"] == ["1"]
        assert len((await client.get_inference_statistics("own", **side.as_dict))["model_stats"]) == 1
        n += 1
    await loading
    assert n > 0
    await client.load_model("own")


# ---- statistics, traces, log ----

@with_each_client
async def test_statistics_equal_what_was_sent(server, side, client):
    model = f"counted_{side.name}"
    await asyncio.gather(*(client.infer(model, [side.tensor(ONE)]) for _ in range(20)))
    await side.invalid("", client.infer(model, [side.tensor(ONE[0])]))
    entry, = (await client.get_inference_statistics(model_name=model, model_version="1", **side.extra, **side.as_dict))["model_stats"]
    got = statistics_of(entry)
    batches = got["batches"]  # those that wait at the same time may run together
    assert sum(rows * n for rows, n in batches.items()) == 20 and sum(batches.values()) == got["executions"] and got["fail"] == 1
    assert all(got[k] == 20 for k in ("inferences", "success", "queue", "compute_input", "compute_infer"))


@with_each_client
async def test_a_trace_level_that_is_set_writes_that_trace(server, side, client):
    defaults = side.settings_of(await client.get_trace_settings(**side.extra, **side.as_dict))
    assert defaults["trace_level"] == ["OFF"]
    settings = {"trace_level": ["TIMESTAMPS", "TENSORS"], "trace_rate": "1", "trace_count": "1"}
    await client.update_trace_settings(model_name="traced", settings=settings, **side.extra, **side.as_dict)
    assert side.settings_of(await client.get_trace_settings(model_name="traced", **side.as_dict))["trace_count"] == "1"
    request = f"of {side.name}"
    for name in (request, "beyond the count"):
        await client.infer("traced", [side.tensor(ONE)], request_id=name)
    await client.update_trace_settings(model_name="traced", settings={key: None for key in settings})
    assert side.settings_of(await client.get_trace_settings(model_name="traced", **side.as_dict)) == defaults
    trace = read_traces(server.trace_file)[request]
    text = ("FP32", "1,3", "1,1,1")
    check_trace(trace, side.name.upper(), "traced", {("TENSOR_QUEUE_INPUT", "x"): text, ("TENSOR_BACKEND_OUTPUT", "y"): text})
    assert "beyond the count" not in read_traces(server.trace_file)


@with_each_client
async def test_log_settings_act(server, side, client):
    def level(settings):
        value = settings.get("settings", settings)["log_verbose_level"]
        return int(value["uint32_param"]) if isinstance(value, dict) else value
    assert level(await client.get_log_settings(**side.extra, **side.as_dict)) == 0
    assert level(await client.update_log_settings({"log_verbose_level": 1}, **side.extra, **side.as_dict)) == 1
    begin = len(server.lines)
    await client.update_log_settings({"log_verbose_level": 0, "log_format": "JSON"})
    await client.load_model("own", config="{}")
    await client.load_model("own")
    await asyncio.to_thread(server.wait, lambda: len(server.lines) > begin, "a log line")
    assert json.loads(server.lines[-1])
    await client.update_log_settings({"log_format": "default"})


# ---- the clients themselves ----

@with_each_client
async def test_plugins(server, side, client):
    class Plugin(tritonclient.http.InferenceServerClientPlugin):
        calls = 0

        def __call__(self, request):
            self.calls += 1
    plugin = Plugin()
    client.register_plugin(plugin)
    assert client.plugin() is plugin and await client.is_server_live() and plugin.calls == 1
    client.unregister_plugin()
    assert client.plugin() is None
    auth = {"http": tritonclient.http.aio.auth, "grpc": tritonclient.grpc.aio.auth}[side.name]
    client.register_plugin(auth.BasicAuth("nobody", "asks"))
    assert await client.is_server_live()
    talkative = side.Client(server.url, verbose=True)
    await talkative.infer("identity_fp32", [side.tensor(ONE)])
    await talkative.close()


@pytest.mark.parametrize("side", [HTTP, GRPC], ids=lambda s: s.name)
def test_zz_no_public_call_or_parameter_was_left_out(side):
    assert side.calls.left_out() == []
