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


def steps_of(path):
    """[(id, parent, model, step)] of a trace file, and each one's time stamps and tensors."""
    identities, stamps, tensors = [], {}, {}
    for record in json.loads(path.read_text()):
        if "model_name" in record:
            identities.append((record["id"], record.get("parent_id"), record["model_name"], record.get("step")))
        elif "timestamps" in record:
            stamps[record["id"]] = {s["name"]: s["ns"] for s in record["timestamps"]}
        else:
            tensors.setdefault(record["id"], set()).add((record["activity"], record["tensor"]["name"]))
    return identities, stamps, tensors


def test_steps_of_compositions_are_traced_with_their_parents(serve, repository, tmp_path):
    for name in ("a", "b", "slow"):
        repository.write(f"{name}/model.echo", "input x FP32 [-1,3]\noutput y FP32 [-1,3]\n" + ("sleep 10s\n" if name == "slow" else ""))
    repository.write("routes.yaml",
                     "ensembles: { both: { members: [a, b@1, slow], vote: mean, quorum: 2 } }\n"
                     "pipelines: { whole: { steps: [ { name: first, model: both, inputs: { x: x }, outputs: { y: m } },\n"
                     "                               { op: softmax, input: m, output: s } ], outputs: [s] } }\n"
                     "routes: { entry: [ { use: whole, shadow: a } ] }\n")
    file = tmp_path / "trace.json"
    server = serve(repository.path, settings={"trace.file": file}).wait_ready("a", "b", "slow")
    server.wait(lambda: server.get("/v2/models/entry/ready")[0] == 200, "the route")
    body = json.dumps({"id": "17", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}).encode()
    assert server.request("POST", "/v2/models/entry/infer", body)[0] == 200  # nobody traces it
    trace_setting(server, ON)
    assert server.request("POST", "/v2/models/entry/infer", body)[0] == 200

    def is_written():  # when the last of its steps has come back
        trace_setting(server)
        return file.exists() and len(steps_of(file)[0]) >= 6
    server.wait(is_written, "the trace")
    identities, stamps, tensors = steps_of(file)
    root = identities[0]
    assert root[1:] == (None, "whole", None), "the client's own comes first"
    by_step = {step: (id_, parent, model) for id_, parent, model, step in identities[1:]}
    assert len(identities) == len(by_step) + 1 == 6 and len({i[0] for i in identities}) == 6
    both = by_step["first"][0]
    assert by_step["first"][1:] == (root[0], "both") and by_step["shadow"][1:] == (root[0], "a")
    assert by_step["a"][1:] == (both, "a") and by_step["b@1"][1:] == (both, "b") and by_step["slow"][1:] == (both, "slow")
    for step in ("first", "a", "b@1"):
        times = stamps[by_step[step][0]]
        assert stamps[root[0]]["REQUEST_START"] <= times["REQUEST_START"] <= times["REQUEST_END"] <= stamps[root[0]]["REQUEST_END"]
        assert ("TENSOR_QUEUE_INPUT", "x") in tensors[by_step[step][0]] and ("TENSOR_BACKEND_OUTPUT", "y") in tensors[by_step[step][0]]
    assert "COMPUTE_START" in stamps[by_step["a"][0]]
    assert set(read_traces(file)) == {"17"}
    assert server.metric(LOST) == 0


def test_attempts_that_failed_on_the_way_are_traced_once_each(serve, repository, tmp_path):
    for name, fails in (("a", "fail BACKEND_FAILED it is broken\n"), ("b", "fail BACKEND_FAILED so is this\n"), ("c", "")):
        repository.write(f"{name}/model.echo", "input x FP32 [-1]\noutput y FP32 [-1]\n" + fails)
    repository.write("routes.yaml",
                     "pipelines: { whole: { steps: [ { name: first, model: safe, inputs: { x: x }, outputs: { y: m } } ], outputs: [m] } }\n"
                     "routes: { safe: [ { use: a, fallback: [b, c] } ] }\n")
    file = tmp_path / "trace.json"
    server = serve(repository.path, settings={"trace.file": file}).wait_ready("a", "b", "c")
    server.wait(lambda: server.get("/v2/models/whole/ready")[0] == 200, "the pipeline")
    trace_setting(server, ON)
    for name in ("safe", "whole"):  # the client's own call, and a child
        body = json.dumps({"id": name, "inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2]}]}).encode()
        assert server.request("POST", f"/v2/models/{name}/infer", body)[0] == 200
    trace_setting(server)
    identities = steps_of(file)[0]
    assert len(identities) == len({i[0] for i in identities}) == 7
    safe, whole = (i for i in identities if i[1] is None)
    (first,) = (i for i in identities if i[3] == "first")
    assert safe[2] == first[2] == "c" and whole[2] == "whole" and first[1] == whole[0]
    for asked in (safe, first):
        assert sorted(i[2:] for i in identities if i[1] == asked[0]) == [("a", "attempt"), ("b", "attempt")]
