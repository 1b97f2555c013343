"""What is in memory, and why: over HTTP and by `troupe ps`; pinned, unpinned and evicted by an operator, beside requests."""
import json
import os
import shutil
import subprocess
import sys
import threading

import tritonclient.http

from conftest import ROOT, SLOW, TROUPE
from triton_support import GOOD

sys.path.insert(0, str(ROOT / "bench"))
from onnx_maker import chain  # noqa: E402

SCRIPT = "input x FP32 [-1,4]\noutput y FP32 [-1,4]\n"


def residency(server, name=""):
    status, body, _ = server.get("/api/residency" + (f"?name={name}" if name else ""))
    assert status == 200, body
    return json.loads(body)


def one(server, name):
    models = residency(server, name)["models"]
    return models[0] if models else None


def order(server, verb, model):
    status, body, _ = server.request("POST", f"/api/models/{model}/{verb}", b"")
    return status, json.loads(body)


def ask(server, model):
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [0.5] * 4}]}
    return server.request("POST", f"/v2/models/{model}/infer", json.dumps(body).encode())[0]


def troupe(server, *words, expect=0):
    done = subprocess.run([TROUPE, *words], capture_output=True, text=True, env=dict(os.environ, TROUPE_SERVER=server.url), timeout=60 * SLOW)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout if expect == 0 else done.stderr


def test_a_model_is_in_memory_from_its_first_request_on(serve, repository):
    repository.write("m.echo", SCRIPT)
    server = serve(repository.path, settings={"models.load": "on_demand"}).wait_ready()
    assert residency(server)["models"] == []
    assert "nothing is in memory" in troupe(server, "ps")
    assert ask(server, "m") == 200
    m = one(server, "m")
    assert m["state"] == "READY" and m["residency"] == "mapped" and m["inferences"] == 1 and not m["pinned"]
    assert m["kept"] == "until its room is wanted" and "keep_alive_seconds" not in m
    assert 0 <= m["idle_seconds"] <= m["for_seconds"] + 1 and m["load_seconds"] >= 0
    shown = troupe(server, "ps")
    assert "until its room is wanted" in shown and "budget: " in shown and shown.splitlines()[1].split()[:3] == ["m", "1", "mapped"]
    assert json.loads(troupe(server, "ps", "--json"))["models"][0]["name"] == "m"


def test_pinned_models_stay_until_they_are_unpinned(serve, repository):
    repository.write("m.echo", SCRIPT)
    repository.write("always/model.echo", SCRIPT)
    repository.write("always/model.yaml", "pin: true\n")
    server = serve(repository.path, settings={"models.load": "on_demand", "models.keep_alive": "200ms"}).wait_ready()
    assert "m is loaded and pinned" in troupe(server, "pin", "m")
    assert one(server, "m")["kept"] == "pinned by an operator" and one(server, "m")["pinned"]
    assert ask(server, "always") == 200
    assert one(server, "always")["kept"] == "pinned by its configuration"
    status, reply = order(server, "evict", "m")
    assert status == 400 and reply["error"] == "'m' is pinned; unpin it first"
    assert "unpin it first" in troupe(server, "evict", "always", expect=1)
    assert order(server, "unpin", "m") == (200, {})
    server.wait(lambda: one(server, "m") is None, "the unpinned model to go")
    gone = residency(server)["let_go"]
    assert gone[0]["name"] == "m" and "keep_alive" in gone[0]["why"]
    assert one(server, "always") is not None, "what its configuration pins stays"
    assert order(server, "unpin", "always")[0] == 200, "but an operator comes first"
    server.wait(lambda: one(server, "always") is None, "the unpinned model to go")
    assert "let go" in troupe(server, "ps")


def test_an_evicted_model_is_loaded_again_by_its_next_request(serve, repository):
    repository.write("m.echo", SCRIPT)
    server = serve(repository.path, settings={"models.load": "startup"}).wait_ready("m")
    assert ask(server, "m") == 200
    assert "m is not in memory" in troupe(server, "evict", "m")
    assert one(server, "m") is None
    assert residency(server)["let_go"][0]["why"] == "an operator asked for it"
    assert server.get("/v2/models/m/ready")[0] == 200, "to clients it is ready"
    assert order(server, "evict", "m")[0] == 200, "what is not in memory is evicted"
    assert ask(server, "m") == 200 and one(server, "m")["state"] == "READY"
    for verb in ("pin", "unpin", "evict"):
        assert order(server, verb, "nobody")[0] == 404
        assert "nobody" in troupe(server, verb, "nobody", expect=4)


def test_nothing_fails_while_a_model_is_evicted_again_and_again(serve, repository):
    repository.write("m.echo", SCRIPT)
    server = serve(repository.path, settings={"models.load": "on_demand"}).wait_ready()
    failures, stop = [], threading.Event()

    def hammer():
        while not stop.is_set():
            status = ask(server, "m")
            if status != 200:
                failures.append(status)
    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    evicted = [order(server, "evict", "m")[0] for _ in range(50)]
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == [] and set(evicted) == {200}


def test_what_an_order_brought_cannot_be_evicted(serve, repository):
    repository.add(GOOD / "identity_fp32.onnx", "m.onnx")
    server = serve(repository.path, settings={"models.load": "startup"}).wait_ready("m")
    with tritonclient.http.InferenceServerClient(server.url) as client:
        client.load_model("m", config='{"parameters": {"intra_op_thread_count": {"string_value": "1"}}}')
    assert "own files or configuration" in one(server, "m")["kept"]
    assert order(server, "unpin", "m")[0] == 400
    assert order(server, "evict", "m")[0] == 400


def test_those_who_share_are_named(serve, repository, tmp_path):
    """Copies of one prepared model: each is told of the others, what they share is counted once, and frees nothing when one goes."""
    chain(repository.path / "a.onnx", 2, 128, 4)  # 4 tensors of 64 KiB
    for name in ("b", "c"):
        shutil.copy(repository.path / "a.onnx", repository.path / f"{name}.onnx")
    environment = dict(os.environ)
    environment.setdefault("TROUPE_ONNXRUNTIME", str(ROOT / ".deps/onnxruntime/libonnxruntime.so"))
    done = subprocess.run([TROUPE, "prepare", repository.path, "--store", tmp_path / "store"], capture_output=True, text=True,
                          env=environment, timeout=120 * SLOW)
    assert done.returncode == 0, done.stdout + done.stderr
    server = serve(repository.path, settings={"models.load": "on_demand", "store.path": tmp_path / "store"}).wait_ready()
    for name in ("a", "b", "c"):
        body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 128], "data": [0.5] * 256}]}
        assert server.request("POST", f"/v2/models/{name}/infer", json.dumps(body).encode())[0] == 200
    models = {m["name"]: m for m in residency(server)["models"]}
    assert models["a"]["shared_with"] == ["b/1", "c/1"] and models["c"]["shared_with"] == ["a/1", "b/1"]
    assert models["a"]["shared_bytes"] >= 4 * 65536 and models["a"]["alone_bytes"] == 0 and models["a"]["opened"].startswith("mapped")
    assert residency(server)["accounts"]["shared"] == models["a"]["shared_bytes"], "counted once"
    for name in ("b", "c"):
        assert order(server, "evict", name)[0] == 200
    server.wait(lambda: one(server, "a")["alone_bytes"] == models["a"]["shared_bytes"], "what is nobody else's any more to be told so")
    assert one(server, "a")["shared_with"] == []


def heavy(repository, name, more=""):
    repository.write(f"{name}/1/model.echo", SCRIPT + f"weighs {40 << 20}\nload_sleep 200ms\n")  # what they cost to load is alike
    repository.write(f"{name}/model.yaml", f"max_bytes: {41 << 20}\n" + more)


def test_who_would_go_next_goes_next(serve, repository):
    """The order that is shown is the order in which models leave when room is wanted; who would not go says why."""
    for name in ("a", "b", "c", "d"):
        heavy(repository, name, "pin: true\n" if name == "c" else "")
    server = serve(repository.path, settings={"models.load": "on_demand", "memory.stay": "0s"}).wait_ready()
    for name in ("a", "b", "c", "d"):
        assert ask(server, name) == 200
    for _ in range(20):
        assert ask(server, "b") == 200 and ask(server, "d") == 200
    models = {m["name"]: m for m in residency(server)["models"]}
    assert models["c"]["standing"] == "pinned" and "next" not in models["c"]
    assert [models[n]["standing"] for n in "abd"] == ["may go"] * 3 and models["a"]["next"] == 1
    assert sorted(models[n]["next"] for n in "abd") == [1, 2, 3]
    assert models["a"]["score"] <= models["b"]["score"] and models["b"]["asked_per_second"] > models["a"]["asked_per_second"] > 0
    assert models["a"]["frees_bytes"] >= 40 << 20
    lines = {line.split()[0]: line for line in troupe(server, "ps").splitlines() if line}
    assert "NEXT" in lines["MODEL"] and "pinned" in lines["c"]


def test_one_model_says_why_it_is_in_memory_or_not(serve, repository):
    repository.write("m.echo", SCRIPT)
    repository.write("broken.echo", SCRIPT + "load_fail no luck\n")
    heavy(repository, "large")
    repository.write("large/1/model.echo", SCRIPT + f"weighs {1 << 40}\n")
    repository.write("large/model.yaml", f"max_bytes: {1 << 39}\n")
    server = serve(repository.path, settings={"models.load": "on_demand", "memory.budget": "8GiB"}).wait_ready()

    def where(name):
        asked = residency(server, name)["asked"]
        assert asked["name"] == name
        return asked["where"], asked["why"]

    assert "asked" not in residency(server)
    assert where("m") == ("not in memory", "nobody has asked for it yet; its next request loads it")
    assert "nobody has asked for it yet" in troupe(server, "ps", "m")
    assert ask(server, "m") == 200
    assert where("m")[0] == "in memory" and "until its room is wanted" in where("m")[1]
    assert troupe(server, "ps", "m").splitlines()[2].split()[:2] == ["m", "1"]
    troupe(server, "evict", "m")
    assert where("m") == ("not in memory", "an operator asked for it; its next request loads it")
    assert residency(server, "m")["asked"]["for_seconds"] >= 0
    troupe(server, "unload", "m")
    assert where("m")[0] == "unloaded" and "troupe load" in troupe(server, "ps", "m")
    assert ask(server, "broken") != 200
    assert where("broken")[0] == "failed" and "no luck; a request has it tried again" in where("broken")[1]
    assert residency(server, "broken")["asked"]["retry_seconds"] <= 60
    assert ask(server, "large") == 507
    assert where("large")[0] == "failed" and "at most" in where("large")[1]
    assert where("nobody")[0] == "unknown"
    assert "no repository has a model of this name" in troupe(server, "ps", "nobody", expect=4)
