"""Inputs in shared memory at any offset: used where they lie when that is aligned, copied (and counted) when not."""
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import serialize_byte_tensor

from conftest import Server
from triton_support import DTYPES, GOOD, make_repository, same, values

COPIED = "troupe_copied_bytes_total"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    sources = [GOOD / f"identity_{d.lower()}.onnx" for d in DTYPES]
    started = Server(make_repository(tmp_path_factory.mktemp("shared") / "models", *sources), settings={"sched.split": "false"})  # what is divided is copied once more
    started.wait_ready()
    yield started
    started.stop()


@pytest.fixture
def region(server):
    """(handle, client): a registered segment "r" of 8,192 bytes."""
    handle = shm.create_shared_memory_region("r", "/troupe_test_alignment", 8192, create_only=True)
    client = triton_http.InferenceServerClient(server.url)
    client.register_system_shared_memory("r", "/troupe_test_alignment", 8192)
    yield handle, client
    client.unregister_system_shared_memory("r")
    client.close()
    shm.destroy_shared_memory_region(handle)


@pytest.mark.parametrize("offset", [0, 1, 2, 4, 8, 63])
@pytest.mark.parametrize("dtype", DTYPES)
def test_inputs_lie_anywhere(server, region, dtype, offset):
    handle, over_http = region
    x = values(dtype)
    raw = serialize_byte_tensor(x).item() if dtype == "BYTES" else x.tobytes()
    shm.set_shared_memory_region(handle, [np.frombuffer(raw, np.uint8)], offset=offset)
    in_place = dtype != "BYTES" and offset % x.itemsize == 0
    with triton_grpc.InferenceServerClient(server.url) as over_grpc:
        for client, module in ((over_http, triton_http), (over_grpc, triton_grpc)):
            made, output = module.InferInput("x", [2, 3], dtype), module.InferRequestedOutput("y")
            made.set_shared_memory("r", len(raw), offset=offset)
            output.set_shared_memory("r", 4000, offset=4096 + offset)  # the room for the answer may lie anywhere, too
            client.infer(f"identity_{dtype.lower()}", [made], outputs=[output])
            assert bytes(shm.get_contents_as_numpy(handle, np.uint8, [len(raw)], offset=4096 + offset)) == raw
            output.unset_shared_memory()
            before = server.metric(COPIED)
            same(client.infer(f"identity_{dtype.lower()}", [made], outputs=[output]).as_numpy("y"), x)
            copied = server.metric(COPIED) - before
            framing = 0 if module is triton_http else 300  # a gRPC message is copied once
            assert copied <= framing if in_place else copied >= len(raw)
