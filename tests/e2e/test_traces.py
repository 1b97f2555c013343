"""Traces are written beside the requests, never before them: when a file is complete, and what a disk that refuses costs."""
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

from triton_support import GOOD, read_traces

ON = {"trace_level": ["TIMESTAMPS", "TENSORS"], "trace_rate": "1", "trace_count": "-1"}
LOST = "troupe_trace_records_lost_total"


def start(serve, repository, file, **settings):
    repository.add(GOOD / "identity_fp32.onnx", "m.onnx")
    server = serve(repository.path, settings={"trace.file": file, **settings}).wait_ready("m")
    trace_setting(server, ON)
    return server


def trace_setting(server, settings=None):
    """Sets, or asks for, the settings; the reply comes when all earlier traces are in their file."""
    method, body = ("POST", json.dumps(settings).encode()) if settings else ("GET", None)
    assert server.request(method, "/v2/trace/setting", body)[0] == 200


def infer(server, name):
    body = {"id": name, "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
    assert server.request("POST", "/v2/models/m/infer", json.dumps(body).encode())[0] == 200


def test_a_file_is_complete_when_an_answer_about_tracing_comes(serve, repository, tmp_path):
    """On whichever loop the requests were, and on whichever the question is."""
    server = start(serve, repository, tmp_path / "trace.json", **{"threads.loops": 3})
    names = set()
    for round_ in range(20):
        new = {f"{round_}.{i}" for i in range(10)}
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda name: infer(server, name), new))
        trace_setting(server, ON if round_ % 2 else None)
        names |= new
        assert set(read_traces(tmp_path / "trace.json")) == names
    assert server.metric(LOST) == 0


def test_a_file_is_complete_when_the_server_has_ended(serve, repository, tmp_path):
    server = start(serve, repository, tmp_path / "trace.json")
    trace_setting(server, {"log_frequency": "30"})
    for i in range(100):
        infer(server, str(i))
    server.stop()
    read = [read_traces(tmp_path / f"trace.json.{k}") for k in range(4)]
    assert [len(traces) for traces in read] == [30, 30, 30, 10]
    assert {name for traces in read for name in traces} == {str(i) for i in range(100)}


def test_a_folder_that_is_gone_is_told_once_and_costs_the_traces_only(serve, repository, tmp_path):
    folder = tmp_path / "traces"
    folder.mkdir()
    server = start(serve, repository, folder / "trace.json")
    infer(server, "before")
    trace_setting(server)
    shutil.rmtree(folder)
    for i in range(20):
        infer(server, str(i))
        trace_setting(server)
    assert server.metric(LOST, reason="write") == 20 and server.metric(LOST, reason="full") == 0
    assert server.log().count("trace.json' cannot be written") == 1, server.log()
    folder.mkdir()
    infer(server, "after")
    trace_setting(server)
    assert set(read_traces(folder / "trace.json")) == {"after"}
