"""A process that may not write large files (RLIMIT_FSIZE) says so where it tries, and serves on."""
import base64
import json
import resource

from triton_support import GOOD

BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}).encode()


def test_a_file_that_may_not_grow_does_not_end_the_server(serve, repository, tmp_path):
    repository.add(GOOD / "identity_fp32.onnx", "m.onnx")
    server = serve(repository.path, settings={"trace.file": tmp_path / "trace.json"}).wait_ready("m")
    server.wait(lambda: "ONNX Runtime is open (plugin " in server.log(), "the runtime's line")
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (64, 64))
    settings = {"trace_level": ["TIMESTAMPS"], "trace_rate": "1", "trace_count": "-1"}
    assert server.request("POST", "/v2/trace/setting", json.dumps(settings).encode())[0] == 200
    for _ in range(5):
        assert server.request("POST", "/v2/models/m/infer", BODY)[0] == 200
    files = {"config": "{}", "file:1/model.onnx": base64.b64encode((GOOD / "identity_fp32.onnx").read_bytes()).decode()}
    status, reply, _ = server.request("POST", "/v2/repository/models/m/load", json.dumps({"parameters": files}).encode())
    assert status >= 400 and "File too large" in json.loads(reply)["error"]
    assert server.request("POST", "/v2/models/m/infer", BODY)[0] == 200
    assert server.request("GET", "/v2/trace/setting")[0] == 200  # and all traces are written, or lost
    assert (tmp_path / "trace.json").stat().st_size <= 64
    assert server.metric("troupe_trace_records_lost_total", reason="write") >= 5
    assert server.log().count("trace.json' cannot be written") == 1
