"""Models that are broken, half there, or in a state that serves nothing; each test is a row of docs/bad-input.md."""
import json
import shutil
import subprocess
import threading

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from bad_input import row  # noqa: F401
from conftest import ROOT, SLOW, TROUPE, Gate, Server

MODELS = ROOT / "tests/models"
BODY = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}'
IO = "input x FP32 [-1]\noutput y FP32 [-1]\n"
WARM_UPS = {"warm_missing": "other", "warm_half": "half", "warm_outside": "../model.echo", "warm_absolute": "/etc/passwd"}  # input_data_file
# What each reason has to say; a model of tests/models/bad without a line here fails the test.
REASONS = {
    "absurd_input": ["input 'x'", "2^63"], "absurd_weights": ["tensor 'w'", "2^63"], "corrupt": ["corrupt at byte 38"], "cycle": ["acyclic"], "div_constant_zero": ["division by zero"],
    "empty": ["the file is empty"], "external_absolute": ["'/etc/passwd' leaves"], "external_link": ["weights.bin", "link leaves"], "external_missing": ["'weights.bin'", "No such file"],
    "external_parent": ["'../external_short/weights.bin' leaves"], "external_short": ["'weights.bin' has 100 bytes", "end at 128"], "float8_input": ["float8"], "git_lfs_pointer": ["git lfs pull"], "map_input": ["map("],
    "negative_weights": ["negative"], "no_graph": ["no graph"], "opset_99": ["99"], "optional_output": ["optional("], "sequence_input": ["input 'x'", "sequence("],
    "sequence_output": ["output 'y'", "sequence("], "short_weights": ["12 bytes", "16"], "text": ["not an ONNX model"], "truncated": ["cut off"], "type_mismatch": ["Add"],
    "unknown_operator": ["Frobnicate"],
}


def copy(source, folder):
    target = folder / source.name
    folder.mkdir(exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy(source, target)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    base = tmp_path_factory.mktemp("base")
    copy(MODELS / "good/external_data", base / "good")  # where external_link leads to
    folder = base / "repository"
    folder.mkdir()
    for source in (MODELS / "bad").iterdir():
        copy(source, folder)
    for name in ["identity_fp32.onnx", "div_int64.onnx", "external_data"]:
        copy(MODELS / "good" / name, folder)
    whole = (MODELS / "good/two_outputs.onnx").read_bytes()
    (folder / "half.onnx").write_bytes(whole[:len(whole) // 2])
    (folder / "good.echo").write_text(IO)
    (folder / "never.echo").write_text(IO + "load_fail no luck today\n")
    (folder / "breaks.echo").write_text(IO + "fail INTERNAL the fan stopped\n")
    (folder / "away.echo").write_text(IO + "fail UNAVAILABLE the fan stopped\n")
    (folder / "mute.echo").write_text("input x FP32 [-1]\noutput y FP32 [-1]\nwhatever 3\n")
    gates = {name: Gate(base / f"{name}.gate") for name in ("asleep", "busy")}
    for name, text in {"asleep": gates["asleep"].load_until, "busy": gates["busy"].until, "later": ""}.items():
        (folder / name).mkdir()
        (folder / name / "model.echo").write_text(IO + text)
        (folder / name / "model.yaml").write_text("load: explicit\n")
    for name, text in {"typo": "max_batchsize: 4\n", "renamed": "name: other\n", "broken": "input: [\n", "shapes": "input: {name: x, data_type: TYPE_FP32, dims: [2, 3]}\n",
                       "types": "input: {name: x, data_type: TYPE_INT8, dims: [-1]}\n", "nobody": "backend: nobody\ndefault_model_filename: model.echo\n", "labels": "output: {name: y, label_filename: ../labels.txt}\n"}.items():
        (folder / name).mkdir()
        (folder / name / "model.echo").write_text(IO)
        (folder / name / "model.yaml").write_text(text)
    for name, file in WARM_UPS.items():
        (folder / name / "warmup").mkdir(parents=True)
        (folder / name / "model.echo").write_text(IO)
        (folder / name / "warmup/half").write_bytes(b"123")
        (folder / name / "model.yaml").write_text(
            f"model_warmup: {{name: w, inputs: {{x: {{data_type: TYPE_FP32, dims: [1], input_data_file: {file}}}}}}}\n")
    (folder / "two_texts").mkdir()
    (folder / "two_texts/model.echo").write_text(IO)
    (folder / "two_texts/model.yaml").write_text("max_batch_size: 0\n")
    (folder / "two_texts/config.pbtxt").write_text("max_batch_size: 0\n")
    (folder / "hollow").mkdir()
    (folder / "out.onnx").symlink_to("/etc/passwd")
    server = Server(folder, settings={"threads.executors": 4}).wait_ready("good", "identity_fp32", "external_data")
    server.gates = gates
    yield server
    for gate in gates.values():
        gate.open()
    server.stop()


@pytest.fixture(scope="module")
def stub(server):
    with grpc.insecure_channel(server.url) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def index(server):
    return json.loads(server.request("POST", "/v2/repository/index", b"")[1])


def entries(server, name):
    return [entry for entry in index(server) if entry["name"] == name]


def asked(row, server, stub, model, *words):
    """Both protocols answer as the row says, with these words."""
    status, body, _ = server.request("POST", f"/v2/models/{model}/infer", BODY)
    assert status == row.http, body
    request = pb.ModelInferRequest(model_name=model, raw_input_contents=[bytes(4)])
    request.inputs.add(name="x", datatype="FP32", shape=[1])
    with pytest.raises(grpc.RpcError) as error:
        stub.ModelInfer(request, timeout=30 * SLOW)
    assert error.value.code().name == row.grpc, error.value.details()
    for word in words:
        assert word in body.decode() and word in error.value.details(), (word, body)


def load(server, name, what="load", body=b""):
    return server.request("POST", f"/v2/repository/models/{name}/{what}", body)


def test_broken_models(server, row, stub):
    names = sorted(path.name.removesuffix(".onnx") for path in (MODELS / "bad").iterdir())
    assert names == sorted(REASONS)
    listed = subprocess.run([TROUPE, "ls", "--server", server.url], capture_output=True, text=True, check=True).stdout
    found, log = {}, server.log()
    for name in names:
        (entry,) = entries(server, name)
        assert entry["state"] == "UNAVAILABLE", entry
        found[name] = entry["reason"]
        assert all(word.lower() in entry["reason"].lower() for word in REASONS[name]), (name, entry["reason"])
        assert entry["reason"].split("\n")[0][:60] in log, (name, entry["reason"])
        assert any(line.split()[0] == name for line in listed.splitlines() if line.split()), name
        assert entry["reason"][:30] in listed, (name, listed)
        if name != "external_link":  # its version is not taken up at all: see test_broken_configurations
            asked(row, server, stub, name)
    assert len(set(found.values())) == len(found), "each has a reason of its own"
    assert str(ROOT) not in "".join(found.values())
    assert server.get("/v2/models/good/ready")[0] == server.get("/v2/models/identity_fp32/ready")[0] == 200


def test_broken_configurations(server, row, stub):
    for name, words in {"typo": ["max_batchsize", "max_batch_size", "model.yaml:1"], "renamed": ["other"], "broken": ["model.yaml:"], "two_texts": ["config.pbtxt", "model.yaml"],
                        "hollow": [], "out": ["link leaves"], "external_link": ["link leaves"]}.items():
        found = entries(server, name)
        assert found and all(word in found[0]["reason"] for word in words), (name, found)
        asked(row, server, stub, name)


def test_configurations_against_their_files(server, row, stub):
    for name, words in {"shapes": ["x", "[2,3]", "[-1]"], "types": ["INT8", "FP32"], "nobody": ["nobody"], "labels": ["labels.txt"], "mute": ["whatever"]}.items():
        found = entries(server, name)
        assert found and all(word in found[0]["reason"] for word in words), (name, found)
        asked(row, server, stub, name)


def test_data_of_a_warm_up(server, row, stub):
    words = {"warm_missing": ["No such file"], "warm_half": ["3 bytes", "4", "half written"], "warm_outside": ["leaves"], "warm_absolute": ["leaves"]}
    for name, file in WARM_UPS.items():
        (entry,) = entries(server, name)
        assert all(word in entry["reason"] for word in ["warm-up 'w': input 'x'", f"'{file}'", *words[name]]), entry
        asked(row, server, stub, name, "warm-up 'w'")


def test_half_written_file(server, row, stub):
    (entry,) = entries(server, "half")
    assert entry["state"] == "UNAVAILABLE" and entry["reason"]
    asked(row, server, stub, "half")
    shutil.copy(MODELS / "good/two_outputs.onnx", server.repository / "half.onnx")
    assert load(server, "half")[0] == 200
    assert server.get("/v2/models/half/ready")[0] == 200


def test_model_that_failed(server, row, stub):
    asked(row, server, stub, "never", "never")
    assert "no luck today" in entries(server, "never")[0]["reason"]
    assert server.get("/v2/models/never/ready")[0] == 400


def test_model_that_was_not_loaded(server, row, stub):
    asked(row, server, stub, "later", "later")
    assert load(server, "later")[0] == 200 and server.get("/v2/models/later/ready")[0] == 200


def test_model_that_loads(server, row, stub):
    order = threading.Thread(target=load, args=(server, "asleep"))
    order.start()
    server.wait(lambda: any(e.get("state") == "LOADING" for e in entries(server, "asleep")), "the load to begin")
    asked(row, server, stub, "asleep", "asleep")
    server.gates["asleep"].open()
    order.join()
    assert server.request("POST", "/v2/models/asleep/infer", BODY)[0] == 200


def test_model_that_leaves(server, row, stub):
    assert load(server, "busy")[0] == 200
    answers = []
    running = threading.Thread(target=lambda: answers.append(server.request("POST", "/v2/models/busy/infer", BODY)[0]))
    running.start()
    server.wait(lambda: server.metric("troupe_model_in_flight", model="busy") == 1, "the run to begin")
    assert load(server, "busy", "unload")[0] == 200
    asked(row, server, stub, "busy", "busy")
    server.gates["busy"].open()
    running.join()
    assert answers == [200], "who was inside is answered"


def test_order_that_fails(server, row, stub):
    for name in ["never", "typo", "truncated"]:
        status, body, _ = load(server, name)
        assert status == row.http and json.loads(body)["error"], body
        with pytest.raises(grpc.RpcError) as error:
            stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name=name), timeout=30 * SLOW)
        assert error.value.code().name == row.grpc, error.value.details()


def test_order_for_a_name_that_nobody_knows(server, row, stub):
    for name in ["no", "../good", ".hidden", "good.echo", "%20x"]:
        status, body, _ = load(server, name)
        assert status == row.http, (name, body)
    for name in ["no", ".hidden", "good.echo"]:
        with pytest.raises(grpc.RpcError) as error:
            stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name=name), timeout=30 * SLOW)
        assert error.value.code().name == row.grpc, (name, error.value.details())


def test_order_for_a_path(server, row, stub):
    for name in ["..", ".", "%2e%2e%2fgood", "a%2fb", "%2fetc%2fpasswd", "x" * 256]:
        status, body, _ = load(server, name)
        assert status == row.http, (name, body)
    for name in ["..", "../good", "/etc/passwd", "good/model.echo", "x" * 256]:
        with pytest.raises(grpc.RpcError) as error:
            stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name=name), timeout=30 * SLOW)
        assert error.value.code().name == row.grpc, (name, error.value.details())


def test_bad_orders(server, row, stub):
    for body in [b"[", b"[]", b"1", json.dumps({"parameters": []}).encode(), json.dumps({"parameters": {"config": 1}}).encode(), json.dumps({"parameters": {"config": "{"}}).encode(),
                 json.dumps({"parameters": {"config": '{"max_batchsize":4}'}}).encode(), json.dumps({"parameters": {"config": "{}", "file:1/model.echo": "%%%"}}).encode(),
                 json.dumps({"parameters": {"file:1/model.echo": "AAAA"}}).encode(), json.dumps({"parameters": {"config": "{}", "file:../model.echo": "AAAA"}}).encode(),
                 json.dumps({"parameters": {"config": "{}", "file:/tmp/model.echo": "AAAA"}}).encode(), json.dumps({"parameters": {"config": "{}", "file:1/../../x": "AAAA"}}).encode()]:
        status, reply, _ = load(server, "good", body=body)
        assert status == row.http and json.loads(reply)["error"], (body, status, reply)
    assert server.get("/v2/models/good/ready")[0] == 200


def test_backend_that_fails(server, row, stub):
    asked(row, server, stub, "breaks", "the fan stopped")
    assert server.get("/v2/models/breaks/ready")[0] == 200


def test_backend_that_is_unavailable(server, row, stub):
    asked(row, server, stub, "away", "the fan stopped")


def test_division_that_can_kill(server, row):
    (entry,) = entries(server, "div_int64")
    assert entry["state"] == "READY" and "Div" in entry["reason"], entry
    assert any("div_int64" in line and "Div" in line and " W" in " " + line[:2] for line in server.lines), server.log()
    told = subprocess.run([TROUPE, "inspect", MODELS / "good/div_int64.onnx"], capture_output=True, text=True, check=True).stdout
    assert "DANGER" in told and "ends the whole process" in told, told
    safe = subprocess.run([TROUPE, "inspect", MODELS / "good/div_safe.onnx"], capture_output=True, text=True, check=True).stdout
    assert "DANGER" not in safe, safe
    status, body, _ = server.request("POST", "/v2/models/div_int64/infer", json.dumps({"inputs": [
        {"name": "a", "datatype": "INT64", "shape": [1], "data": [7]}, {"name": "b", "datatype": "INT64", "shape": [1], "data": [2]}]}).encode())
    assert status == row.http and json.loads(body)["outputs"][0]["data"] == [3], body


def test_division_that_kills(server, row):
    ask = json.dumps({"inputs": [{"name": "a", "datatype": "INT64", "shape": [1], "data": [-(1 << 63)]},
                                 {"name": "b", "datatype": "INT64", "shape": [1], "data": [-1]}]}).encode()
    before = server.metric("troupe_worker_restarts_total")
    status, body, _ = server.request("POST", "/v2/models/div_int64/infer", ask)
    assert status == row.http and "SIGFPE" in json.loads(body)["error"], body
    server.wait(lambda: server.metric("troupe_worker_restarts_total") == before + 1 and server.metric("troupe_worker_processes") == 1, "another process")
    assert server.get("/v2/models/good/ready")[0] == 200
