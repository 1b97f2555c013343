"""What is a model, what its configuration does, and how models are loaded, unloaded and listed, over HTTP and gRPC."""
import base64
import contextlib
import json
import pathlib
import threading

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from conftest import SLOW, Server
from triton_support import BAD, EXAMPLES, GOOD

IDENTITY, NEGATED = GOOD / "identity_fp32.onnx", GOOD / "any_rank.onnx"  # y = x, y = -x
X = np.array([[1, 2, 3]], np.float32)


def post(server, path, body=None):
    status, reply, _ = server.request("POST", path, b"" if body is None else json.dumps(body).encode())
    return status, json.loads(reply) if reply else None


def index(server):
    """{"name/version": (state, reason)}; "name" for a model without a version."""
    return {"/".join(filter(None, (m["name"], m.get("version")))): (m.get("state", ""), m.get("reason", ""))
            for m in post(server, "/v2/repository/index")[1]}


def refusals(server, *well):
    """{"name/version": reason} of all other models, when no load of them is under way: one that failed is tried again by itself."""
    states = {}

    def are_refused():
        states.clear()
        states.update((name, said) for name, said in index(server).items() if name.split("/")[0] not in well)
        return all(state == "UNAVAILABLE" for state, _ in states.values())
    server.wait(are_refused, "the others to be refused")
    return {name: reason for name, (_, reason) in states.items()}


def load(server, name, **parameters):
    return post(server, f"/v2/repository/models/{name}/load", {"parameters": parameters} if parameters else None)


def ask(server, model, array=X, version=None, name="x"):
    """The first output of a model as (array, version that answered)."""
    path = f"/v2/models/{model}" + (f"/versions/{version}" if version else "") + "/infer"
    status, reply = post(server, path, {"inputs": [{"name": name, "datatype": "FP32", "shape": list(array.shape),
                                                    "data": array.ravel().tolist()}]})
    assert status == 200, reply
    output = reply["outputs"][0]
    return np.array(output["data"], np.float32).reshape(output["shape"]), reply["model_version"]


def config_of(server, model):
    return json.loads(server.get(f"/v2/models/{model}/config")[1])


def versions_of(server, model):
    return json.loads(server.get(f"/v2/models/{model}")[1])["versions"]


@contextlib.contextmanager
def clients(server):
    """Both of Triton's clients, by name."""
    with triton_http.InferenceServerClient(server.url, network_timeout=60 * SLOW) as over_http, \
            triton_grpc.InferenceServerClient(server.url) as over_grpc:
        yield {"http": over_http, "grpc": over_grpc}


def padded(model, size):
    """An ONNX file grown to more than `size` bytes by its documentation."""
    def varint(n):
        out = b""
        while n > 0x7F:
            out, n = out + bytes([n & 0x7F | 0x80]), n >> 7
        return out + bytes([n])
    return model.read_bytes() + b"\x32" + varint(size) + b"d" * size


# ---- what is a model ----

def test_files_and_folders_are_models_without_any_configuration(serve, repository):
    repository.add(IDENTITY, "file.onnx")
    repository.add(IDENTITY, "folder/model.onnx")
    repository.add(IDENTITY, "numbered/1/model.onnx")
    repository.add(NEGATED, "numbered/2/model.onnx")
    repository.add(NEGATED, "numbered/10/model.onnx")
    repository.add(GOOD / "external_data")
    repository.add(GOOD / "external_data", "external_numbered/1")
    repository.add(GOOD / "external_subfolder", "external_deeper/3/model.onnx")
    repository.write("tested.echo", "")
    repository.write(".hidden/model.onnx", IDENTITY.read_bytes())
    repository.write("README.md", "not a model")
    repository.write("numbers.bin", b"\0" * 10)
    (repository.path / "nothing_in_it").mkdir()
    server = serve(repository.path)
    server.wait_ready()
    ready = {name for name, (state, _) in index(server).items() if state == "READY"}
    assert ready == {"file/1", "folder/1", "numbered/10", "external_data/1", "external_numbered/1", "external_deeper/3", "tested/1"}
    assert set(index(server)) - ready == {"nothing_in_it"}
    assert "model.onnx" in index(server)["nothing_in_it"][1]
    for name, sign, version in (("file", 1, "1"), ("folder", 1, "1"), ("numbered", -1, "10")):
        answer, by = ask(server, name)
        assert by == version and np.array_equal(answer, sign * X)
    metadata = json.loads(server.get("/v2/models/file")[1])
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, -1]}]
    assert config_of(server, "file")["max_batch_size"] == 0, "no batch dimension is assumed"
    assert server.get("/v2/models/numbered/versions/2/ready")[0] != 200, "only the highest version is served"


def test_both_spellings_of_a_configuration_make_the_same_model(serve, repository):
    pbtxt = repository.add(EXAMPLES / "digits_cnn", "in_pbtxt")
    text = (pbtxt / "config.pbtxt").read_text().replace("digits_cnn", "in_pbtxt")
    (pbtxt / "config.pbtxt").write_text(text + 'parameters { key: "intra_op_thread_count" value { string_value: "1" } }\n')
    yaml = repository.add(EXAMPLES / "digits_cnn", "in_yaml")
    (yaml / "config.pbtxt").unlink()
    (yaml / "model.yaml").write_text("""\
name: in_yaml
max_batch_size: 64
input:
  - {name: image, data_type: TYPE_FP32, dims: [64]}
output:
  name: probabilities
  data_type: TYPE_FP32
  dims: [10]
  label_filename: labels.txt
parameters:
  intra_op_thread_count: {string_value: 1}
""")
    repository.add(EXAMPLES / "digits_cnn", "bare/").joinpath("config.pbtxt").unlink()
    server = serve(repository.path)
    server.wait_ready("in_pbtxt", "in_yaml", "bare")
    first, second = config_of(server, "in_pbtxt"), config_of(server, "in_yaml")
    assert first.pop("name") == "in_pbtxt" and second.pop("name") == "in_yaml"
    assert first == second
    image = np.load(EXAMPLES.parent / "inputs/digit_3.npy").reshape(1, 64).astype(np.float32)
    answers = [ask(server, name, image, name="image")[0] for name in ("in_pbtxt", "in_yaml", "bare")]
    assert all(np.array_equal(a, answers[0]) for a in answers) and answers[0].argmax() == 3


@pytest.mark.parametrize("policy, served", [
    ("", ["9"]), ("version_policy { latest { num_versions: 2 } }", ["4", "9"]), ("version_policy { all {} }", ["1", "4", "9"]),
    ("version_policy { specific { versions: [ 1, 9 ] } }", ["1", "9"])])
def test_a_version_policy_says_which_versions_are_served(serve, repository, policy, served):
    for version, source in (("1", IDENTITY), ("4", IDENTITY), ("9", NEGATED)):
        repository.add(source, f"m/{version}/model.onnx")
    repository.write("m/config.pbtxt", policy)
    server = serve(repository.path)
    server.wait_ready("m")
    assert versions_of(server, "m") == served
    assert set(index(server)) == {f"m/{v}" for v in served}
    assert ask(server, "m")[1] == "9", "the highest one answers when none is named"
    for version in served:
        answer, by = ask(server, "m", version=version)
        assert by == version and np.array_equal(answer, -X if version == "9" else X)


def test_a_version_that_the_policy_names_and_nobody_has_is_an_error(serve, repository):
    repository.add(IDENTITY, "m/1/model.onnx")
    repository.write("m/config.pbtxt", "version_policy { specific { versions: 7 } }")
    server = serve(repository.path)
    server.wait_ready()
    [reason] = refusals(server).values()
    assert "version_policy" in reason


@pytest.mark.parametrize("file, text, words", [
    ("config.pbtxt", "max_batch_size: 0\nmax_batchsize: 8\n",
     'm/config.pbtxt:2: unknown key "max_batchsize"; did you mean "max_batch_size"?'),
    ("config.pbtxt", "# a comment\n\ninput {\n  name: \"x\"\n  dim: [ 1 ]\n}\n",
     'm/config.pbtxt:5: unknown key "dim" in "input"; did you mean "dims"?'),
    ("model.yaml", "input:\n  - name: x\n    data_typ: TYPE_FP32\n",
     'm/model.yaml:3: unknown key "data_typ" in "input"; did you mean "data_type"?'),
    ("model.yaml", "max_batch_size: 0\nmax_batch_size: 1\n", "m/model.yaml:2: "),
    ("model.yaml", "max_batch_size: many\n", "m/model.yaml:1: "),
    ("config.pbtxt", "max_batch_size: \n{", "m/config.pbtxt:2: "),
    ("config.pbtxt", 'input { name: "x" data_type: TYPE_INT8 dims: [ -1, -1 ] }', "TYPE_INT8"),
    ("config.pbtxt", 'input { name: "z" data_type: TYPE_FP32 dims: [ -1, -1 ] }', 'm/config.pbtxt:1: the file has no input "z"; its inputs are "x"'),
    ("config.pbtxt", 'output { name: "y" data_type: TYPE_FP32 dims: [ 3 ] }',
     'm/config.pbtxt:1: output "y": the configuration says [3], the file [-1,-1]'),
    ("config.pbtxt", 'name: "other"', "other")])
def test_a_wrong_configuration_is_refused_with_its_place_and_disturbs_nobody(serve, repository, file, text, words):
    repository.add(IDENTITY, "m/1/model.onnx")
    repository.write(f"m/{file}", text)
    repository.add(IDENTITY, "well.onnx")
    server = serve(repository.path)
    server.wait_ready("well")
    [reason] = refusals(server, "well").values()
    assert words in reason
    server.wait_logged(words)
    status, reply = load(server, "m")
    assert status == 400 and words in reply["error"]


def test_two_configurations_are_one_too_many(serve, repository):
    repository.add(IDENTITY, "m/1/model.onnx")
    repository.write("m/config.pbtxt", "")
    repository.write("m/model.yaml", "")
    server = serve(repository.path)
    server.wait_ready()
    assert "config.pbtxt" in index(server)["m"][1] and "model.yaml" in index(server)["m"][1]


def test_a_key_that_does_nothing_yet_is_named_and_the_model_served(serve, repository):
    repository.add(IDENTITY, "m/1/model.onnx")
    repository.write("m/config.pbtxt", "max_batch_size: 8\n\noptimization { priority: PRIORITY_MAX }\n")
    repository.add(IDENTITY, "y/1/model.onnx")
    repository.write("y/model.yaml", "response_cache: {enable: true}\n")
    server = serve(repository.path)
    server.wait_ready("m", "y")
    server.wait_logged('m/config.pbtxt:3: "priority" is understood but not acted upon yet')
    server.wait_logged('y/model.yaml:1: "response_cache" is understood but not acted upon yet')
    assert config_of(server, "m")["optimization"]["priority"] == "PRIORITY_MAX", "it is kept"


def test_models_of_gpu_servers_run_on_the_cpu_and_say_so_once(serve, repository):
    repository.add(IDENTITY, "m/1/model.onnx")
    repository.write("m/config.pbtxt", "instance_group [\n{ kind: KIND_GPU count: 1 gpus: [0, 1] },\n{ kind: KIND_GPU } ]\n")
    repository.add(IDENTITY, "auto/1/model.onnx")
    repository.write("auto/config.pbtxt", "instance_group { kind: KIND_AUTO count: 2 }\ninstance_group { kind: KIND_MODEL count: 2 }\n")
    server = serve(repository.path, settings={"models.load": "on_demand"}).wait_ready()
    for _ in range(2):  # the second time it comes back unchanged
        for model in ("m", "auto"):
            assert load(server, model)[0] == 200
        assert index(server)["m/1"][0] == "READY" and "it runs on the CPU" in index(server)["m/1"][1] and not index(server)["auto/1"][1]
        for model in ("m", "auto"):
            assert post(server, f"/v2/repository/models/{model}/unload")[0] == 200
    told = [line for line in server.log().splitlines() if "GPU" in line or "understood" in line]
    assert len(told) == 1, told
    assert "m/config.pbtxt:2: \"gpus\" asks for a GPU, and backend 'onnxruntime' has none: it runs on the CPU" in told[0], told
    repository.write("m/config.pbtxt", "instance_group { gpus: 1 }\n")
    assert load(server, "m")[0] == 200
    server.wait(lambda: 'm/config.pbtxt:1: "gpus" asks for a GPU' in server.log(), "it to be told of other files")
    assert config_of(server, "m")["instance_group"][0]["gpus"] == [1], "it is kept"


def test_broken_models_say_why_and_stop_nobody(serve, repository):
    for model in sorted(BAD.iterdir()):
        repository.add(model)
    repository.add(IDENTITY, "well.onnx")
    server = serve(repository.path)
    server.wait_ready("well")
    assert index(server)["well/1"] == ("READY", "")
    reasons = refusals(server, "well")
    assert {n.split("/")[0] for n in reasons} == {m.name.removesuffix(".onnx") for m in BAD.iterdir()}
    for name, reason in reasons.items():
        assert len(reason) > 10, f"{name}: {reason}"
    assert np.array_equal(ask(server, "well")[0], X)


# ---- load, unload, index ----

@pytest.fixture(scope="module")
def explicit(tmp_path_factory):
    """A server that loads what it is told to, with models that are not loaded yet."""
    folder = tmp_path_factory.mktemp("explicit")
    for name in ("first", "second", "third"):
        (folder / f"{name}.onnx").write_bytes(IDENTITY.read_bytes())
    (folder / "truncated.onnx").write_bytes((BAD / "truncated.onnx").read_bytes())
    server = Server(folder, "--load-model", "first", "--load-model", "missing", "--exit-on-error=false", settings={"models.load": "explicit"})
    server.wait_ready("first")
    yield server
    server.stop()


def test_only_what_was_named_is_loaded_and_a_name_that_is_missing_says_so(explicit):
    states = index(explicit)
    assert states["first/1"][0] == "READY" and states["second/1"] == ("", "")
    assert states["missing"][0] == "UNAVAILABLE" and "missing" in states["missing"][1]
    entries = {m["name"]: m for m in json.loads(explicit.get("/api/models")[1])["models"]}
    assert entries["second"]["state"] == "UNLOADED" and not entries["second"]["wanted"]
    assert entries["second"]["inputs"] == entries["first"]["inputs"], "what it takes is known before it is loaded"
    status, reply = post(explicit, "/v2/models/second/infer", {"inputs": []})
    assert status in (404, 503) and "second" in reply["error"]


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_model_is_loaded_listed_and_unloaded(explicit, protocol):
    with clients(explicit) as both:
        client, other = both[protocol], both["grpc" if protocol == "http" else "http"]
        assert not client.is_model_ready("third")
        client.load_model("third")
        assert client.is_model_ready("third") and other.is_model_ready("third"), "on every connection at once"
        assert index(explicit)["third/1"] == ("READY", "")
        assert np.array_equal(ask(explicit, "third")[0], X)
        ready = post(explicit, "/v2/repository/index", {"ready": True})[1]
        assert sorted(m["name"] for m in ready) == ["first", "third"]
        client.unload_model("third")
        assert not client.is_model_ready("third") and not other.is_model_ready("third")
        assert index(explicit)["third/1"] == ("UNAVAILABLE", "unloaded")
        client.unload_model("third")  # once more changes nothing
        with pytest.raises(InferenceServerException, match="nobody"):
            client.load_model("nobody")
        with pytest.raises(InferenceServerException, match="version 1 is at UNAVAILABLE state"):
            client.load_model("truncated")


def test_the_index_over_grpc_says_what_it_says_over_http(explicit):
    with clients(explicit) as both:
        over_grpc = {(m.name, m.version, m.state, m.reason) for m in both["grpc"].get_model_repository_index().models}
        over_http = {(m["name"], m.get("version", ""), m.get("state", ""), m.get("reason", ""))
                     for m in both["http"].get_model_repository_index()}
        assert over_grpc == over_http and len(over_http) == 5


def test_a_model_decides_for_itself_when_it_is_loaded(serve, repository):
    for name, when in (("at_once", "startup"), ("later", "explicit"), ("default", "default")):
        repository.add(IDENTITY, f"{name}/1/model.onnx")
        repository.write(f"{name}/model.yaml", f"load: {when}\n")
    server = serve(repository.path)
    server.wait_ready("at_once", "default")
    assert index(server)["later/1"] == ("", "")
    assert load(server, "later")[0] == 200
    assert np.array_equal(ask(server, "later")[0], X)
    assert "load" not in config_of(server, "later"), "clients never see this key"


def test_a_thousand_models_are_listed_with_inputs_and_outputs_before_any_is_loaded(serve, repository):
    for i in range(1000):
        repository.add(IDENTITY, f"model_{i:04}.onnx")
    server = serve(repository.path, settings={"models.load": "explicit"})

    def complete():
        models = json.loads(server.get("/api/models")[1])["models"]
        return len(models) == 1000 and all(m.get("inputs") and m.get("outputs") for m in models)
    server.wait(complete, "a complete index", seconds=10)
    models = json.loads(server.get("/api/models")[1])["models"]
    assert {m["name"] for m in models} == {f"model_{i:04}" for i in range(1000)}
    assert all(m["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, -1], "kind": "tensor", "kind_from": "signature"}] for m in models)
    assert all(m["state"] == "UNLOADED" for m in models)
    assert len(index(server)) == 1000
    assert load(server, "model_0500")[0] == 200
    assert np.array_equal(ask(server, "model_0500")[0], X)


def nice_of(pid, name):
    """How nice the threads of a process are whose name begins so."""
    found = set()
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread may end meanwhile
            comm, rest = (task / "stat").read_text(encoding="ascii").split("(", 1)[1].rsplit(")", 1)
            if comm.startswith(name):
                found.add(int(rest.split()[16]))
    return found


@pytest.mark.parametrize("settings", [{}, {"threads.loader_nice": 7, "threads.executor_nice": 3}])
def test_loading_yields_to_running_and_running_to_the_loops(serve, repository, settings):
    repository.write("m.echo", "")
    server = serve(repository.path, settings=settings)
    server.wait_ready()
    own = min(nice_of(server.process.pid, "loop"))

    def nicer(n):  # the kernel stops at 19
        return {min(own + n, 19)}
    executors, loaders = nicer(settings.get("threads.executor_nice", 5)), nicer(settings.get("threads.loader_nice", 10))
    server.wait(lambda: nice_of(server.process.pid, "exec-") == executors, "the executors to be nice")
    server.wait(lambda: nice_of(server.process.pid, "loader") == loaders, "the loaders to be nicer")


def test_a_model_that_loads_slowly_keeps_nobody_waiting(serve, repository, gate):
    for i in range(2):
        repository.write(f"slow_{i}.echo", gate.load_until)
    repository.write("quick.echo", "")
    server = serve(repository.path, settings={"models.load": "explicit", "threads.loaders": 3})
    server.wait_ready()
    slow = [threading.Thread(target=load, args=(server, f"slow_{i}")) for i in range(2)]
    for thread in slow:
        thread.start()
    server.wait(lambda: index(server).get("slow_1/1", ("",))[0] == "LOADING", "the slow one to begin")
    assert load(server, "quick")[0] == 200
    assert np.array_equal(ask(server, "quick", name="INPUT0")[0], X)
    assert index(server)["slow_1/1"][0] == "LOADING", "the quick one waited for the slow ones"
    status, reply = post(server, "/v2/models/slow_0/infer", {"inputs": []})
    assert status == 503 and "slow_0" in reply["error"]
    gate.open()
    for thread in slow:
        thread.join()
    assert index(server)["slow_0/1"] == ("READY", "")


def test_a_load_that_takes_too_long_is_given_up(serve, repository):
    repository.write("slow.echo", "load_sleep 60s\n")
    server = serve(repository.path, settings={"models.load": "explicit", "timeouts.load": "200ms"})
    server.wait_ready()
    status, reply = load(server, "slow")
    assert status == 504 and "timeouts.load" in reply["error"]
    assert "timeouts.load" in index(server)["slow/1"][1]


# ---- loads that bring their own ----

@pytest.fixture(scope="module")
def overridden(tmp_path_factory):
    folder = tmp_path_factory.mktemp("overridden")
    (folder / "m/1").mkdir(parents=True)
    (folder / "m/1/model.onnx").write_bytes(IDENTITY.read_bytes())
    (folder / "outside.onnx").write_bytes(IDENTITY.read_bytes())
    server = Server(folder)
    server.wait_ready("m")
    yield server
    server.stop()


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_load_with_a_configuration_lasts_until_the_next_load(overridden, protocol):
    with clients(overridden) as both:
        client = both[protocol]
        assert config_of(overridden, "m")["max_batch_size"] == 0
        client.load_model("m", config=json.dumps({"max_batch_size": 2}))
        assert config_of(overridden, "m")["max_batch_size"] == 2
        status, reply = post(overridden, "/v2/models/m/infer", {"inputs": [
            {"name": "x", "datatype": "FP32", "shape": [3, 1], "data": [1, 2, 3]}]})
        assert status == 400 and "2" in reply["error"]
        client.load_model("m")
        assert config_of(overridden, "m")["max_batch_size"] == 0
        with pytest.raises(InferenceServerException, match='unknown key "max_batch_siz"; did you mean "max_batch_size"'):
            client.load_model("m", config=json.dumps({"max_batch_siz": 2}))
        assert np.array_equal(ask(overridden, "m")[0], X), "it goes on as it was"
        client.load_model("m")
        assert index(overridden)["m/1"] == ("READY", "")


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("size", [0, 20 << 20])
def test_a_load_with_files_lasts_until_the_next_load(overridden, protocol, size):
    with clients(overridden) as both:
        client = both[protocol]
        files = {"file:7/model.onnx": padded(NEGATED, size) if size else NEGATED.read_bytes()}
        client.load_model("m", config="{}", files=files)
        answer, version = ask(overridden, "m")
        assert version == "7" and np.array_equal(answer, -X)
        assert versions_of(overridden, "m") == ["7"], "the files stand for the whole folder"
        client.load_model("m")
        answer, version = ask(overridden, "m")
        assert version == "1" and np.array_equal(answer, X)


@pytest.mark.parametrize("path", ["../m/1/model.onnx", "/etc/passwd", "1/../../outside.onnx", "1/./model.onnx", "", "1//model.onnx",
                                  "1/model.onnx/", "..", "1/" + "n" * 300])
def test_files_cannot_be_put_elsewhere(overridden, path):
    before = (overridden.repository / "outside.onnx").read_bytes()
    with clients(overridden) as both:
        for client in both.values():
            files = {"file:1/model.onnx": NEGATED.read_bytes(), f"file:{path}": b"escaped"}
            with pytest.raises(InferenceServerException, match="file"):
                client.load_model("m", config="{}", files=files)
    assert (overridden.repository / "outside.onnx").read_bytes() == before
    assert np.array_equal(ask(overridden, "m")[0], X)


def test_what_is_not_base64_is_refused(overridden):
    for text in ("%%%", "A" * 5, "AA=A"):
        status, reply = load(overridden, "m", config="{}", **{"file:1/model.onnx": text})
        assert status == 400 and "base64" in reply["error"], text
    good = base64.b64encode(NEGATED.read_bytes()).decode()
    assert load(overridden, "m", config="{}", **{"file:1/model.onnx": good})[0] == 200
    assert np.array_equal(ask(overridden, "m")[0], -X)
    assert load(overridden, "m")[0] == 200
    assert np.array_equal(ask(overridden, "m")[0], X)
