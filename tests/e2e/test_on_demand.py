"""Models that are loaded by their first request: what is said of them before, who waits for the load, what becomes of one that
fails, and how they are let go again."""
import json
import queue
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from conftest import SLOW
from test_replacement import Hammer
from test_repository import IDENTITY, NEGATED, X, ask, config_of, index, load, post, versions_of

ON_DEMAND = {"models.load": "on_demand"}
ECHO = "input x FP32 [-1,-1]\noutput y FP32 [-1,-1]\n"
BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}).encode()


def loads(server, result="ok"):
    return server.metric("troupe_model_loads_total", result=result)


def becomes(server, version, state, reason=""):
    """What a client was told by an answer is in the index when the loop has the next snapshot: soon, not at once."""
    server.wait(lambda: index(server).get(version) == (state, reason), f"{version} to be {state} {reason}")


def infer(server, model, headers=None):
    status, reply, _ = server.request("POST", f"/v2/models/{model}/infer", BODY, headers)
    return status, json.loads(reply)


def crowd(n, one):
    """Calls one(i) for each of n at the same time, and gives what they returned."""
    results, gate = [None] * n, threading.Barrier(n)

    def run(i):
        gate.wait(60 * SLOW)
        results[i] = one(i)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# ---- before the first request ----

def test_a_cold_model_counts_as_ready_and_answers_questions_without_being_loaded(serve, repository):
    repository.add(IDENTITY, "m/1/model.onnx")
    repository.add(NEGATED, "m/2/model.onnx")
    repository.write("m/model.yaml", "version_policy: {all: {}}\n")
    server = serve(repository.path, settings=ON_DEMAND).wait_ready("m")
    assert index(server) == {"m/1": ("READY", "on demand"), "m/2": ("READY", "on demand")}
    assert post(server, "/v2/repository/index", {"ready": True})[1] == post(server, "/v2/repository/index")[1]
    assert versions_of(server, "m") == ["1", "2"]
    assert config_of(server, "m")["name"] == "m"
    metadata = json.loads(server.get("/v2/models/m/versions/1")[1])
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}] or metadata["inputs"][0]["name"] == "x"
    assert json.loads(server.get("/v2/models/m/stats")[1])["model_stats"][0]["inference_count"] == 0
    with triton_grpc.InferenceServerClient(server.url) as client:
        assert client.is_model_ready("m") and client.is_model_ready("m", "1")
        assert client.get_model_metadata("m").inputs[0].name == "x"
        assert client.get_model_config("m").config.name == "m"
    assert server.get("/v2/models/m/versions/3/ready")[0] != 200
    assert loads(server) == 0, "nobody has asked it for anything"


def test_what_the_file_says_is_known_as_soon_as_somebody_asks(serve, repository):
    """Files are looked into beside serving; a question does not wait for those before it, and is never answered by half."""
    for i in range(200):
        repository.add(IDENTITY, f"m{i:03}.onnx")
    server = serve(repository.path, settings=ON_DEMAND)
    server.wait(lambda: len(index(server)) == 200, "the index to be complete")
    for name in ("m199", "m000", "m100"):
        assert json.loads(server.get(f"/v2/models/{name}")[1])["inputs"][0]["name"] == "x"
        assert config_of(server, name)["input"][0]["name"] == "x"
    assert loads(server) == 0


def test_a_file_that_cannot_be_read_is_not_called_ready(serve, repository):
    repository.write("broken.onnx", b"no model at all")
    server = serve(repository.path, settings=ON_DEMAND)
    server.wait(lambda: index(server).get("broken/1", ("READY",))[0] != "READY", "the file to be looked into")
    state, reason = index(server)["broken/1"]
    assert state == "UNAVAILABLE" and reason
    assert server.get("/v2/models/broken/ready")[0] != 200
    status, reply, _ = server.get("/v2/models/broken")
    assert status != 200 and reason in json.loads(reply)["error"]
    status, reply = infer(server, "broken")
    assert status != 200 and reply["error"] == f"model 'broken' version 1 cannot be loaded: {reason}"


# ---- the first request ----

def test_a_hundred_first_requests_share_one_load(serve, repository):
    repository.write("m.echo", ECHO + "load_sleep 500ms\n")
    repository.add(IDENTITY, "real/1/model.onnx")
    server = serve(repository.path, settings=ON_DEMAND).wait_ready("m", "real")

    def over_http(model):
        with triton_http.InferenceServerClient(server.url, network_timeout=60 * SLOW) as client:
            tensor = triton_http.InferInput("x", list(X.shape), "FP32")
            tensor.set_data_from_numpy(X)
            return client.infer(model, [tensor])

    def over_grpc(model):
        with triton_grpc.InferenceServerClient(server.url) as client:
            tensor = triton_grpc.InferInput("x", list(X.shape), "FP32")
            tensor.set_data_from_numpy(X)
            return client.infer(model, [tensor])
    for model in ("m", "real"):
        for answer in crowd(100, lambda i: (over_http if i % 2 else over_grpc)(model)):
            assert np.array_equal(answer.as_numpy("y"), X)
    assert loads(server) == 2
    assert server.metric("troupe_cold_loads_total") == 2
    assert server.metric("troupe_cold_calls_total") > 0
    assert server.metric("troupe_cold_calls_waiting") == 0
    stats = json.loads(server.get("/v2/models/m/stats")[1])["model_stats"][0]
    assert stats["inference_stats"]["success"]["count"] == 100
    becomes(server, "m/1", "READY")


def test_a_request_names_the_version_that_answers_it(serve, repository):
    repository.add(IDENTITY, "m/1/model.onnx")
    repository.add(NEGATED, "m/2/model.onnx")
    repository.write("m/model.yaml", "version_policy: {all: {}}\n")
    server = serve(repository.path, settings=ON_DEMAND).wait_ready("m")
    answers = crowd(20, lambda i: ask(server, "m", version=(None, 1, 2)[i % 3]))
    for i, (array, version) in enumerate(answers):
        assert version == ("2", "1", "2")[i % 3] and np.array_equal(array, X if version == "1" else -X)
    status, reply, _ = server.request("POST", "/v2/models/m/versions/7/infer", BODY)
    assert status == 404 and "Request for unknown model: 'm' version 7 is not found" in json.loads(reply)["error"]


def test_a_stream_may_be_the_first_to_ask(serve, repository):
    repository.write("m.echo", ECHO + "load_sleep 200ms\n")
    server = serve(repository.path, settings=ON_DEMAND).wait_ready("m")
    answers = queue.Queue()
    with triton_grpc.InferenceServerClient(server.url) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        tensor = triton_grpc.InferInput("x", list(X.shape), "FP32")
        tensor.set_data_from_numpy(X)
        for i in range(5):
            client.async_stream_infer("m", [tensor], request_id=str(i))
        for _ in range(5):
            result, error = answers.get(timeout=30 * SLOW)
            assert error is None and np.array_equal(result.as_numpy("y"), X)
        client.stop_stream()
    assert loads(server) == 1


def test_what_is_wrong_with_a_request_is_told_when_the_model_is_known(serve, repository):
    repository.add(IDENTITY, "m.onnx")
    server = serve(repository.path, settings=ON_DEMAND).wait_ready("m")
    body = {"inputs": [{"name": "nonsense", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
    status, reply = post(server, "/v2/models/m/infer", body)
    assert status == 400 and "nonsense" in reply["error"]
    assert np.array_equal(ask(server, "m")[0], X)


def test_a_deadline_holds_while_the_model_loads_and_the_load_goes_on(serve, repository, gate):
    repository.write("m.echo", ECHO + gate.load_until)
    server = serve(repository.path, settings=ON_DEMAND).wait_ready("m")
    status, reply = infer(server, "m", {"troupe-timeout-ms": "100"})
    assert status == 504, reply
    with triton_grpc.InferenceServerClient(server.url) as client:
        tensor = triton_grpc.InferInput("x", list(X.shape), "FP32")
        tensor.set_data_from_numpy(X)
        with pytest.raises(InferenceServerException, match="[Dd]eadline"):
            client.infer("m", [tensor], client_timeout=0.1)
        assert loads(server) == 0
        gate.open()
        assert np.array_equal(client.infer("m", [tensor]).as_numpy("y"), X)
    server.wait(lambda: server.metric("troupe_cold_calls_waiting") == 0, "nobody to wait any more")
    assert loads(server) == 1


def test_only_so_many_wait(serve, repository, gate):
    repository.write("m.echo", ECHO + gate.load_until)
    server = serve(repository.path, settings={**ON_DEMAND, "sched.model_queue_max": 5}).wait_ready("m")
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(infer, server, "m") for _ in range(12)]
        server.wait(lambda: sum(one.done() for one in asked) == 7, "those to be refused for whom there is no room")
        gate.open()
        answers = [one.result() for one in asked]
    assert sorted(status for status, _ in answers) == [200] * 5 + [429] * 7
    assert all("Exceeds maximum queue size" in reply["error"] for status, reply in answers if status == 429)
    assert server.metric("troupe_limit_hits_total", limit="queue") == sum(status == 429 for status, _ in answers)


def test_the_least_urgent_makes_room_for_others_who_wait(serve, repository, gate):
    repository.write("m.echo", ECHO + gate.load_until)
    server = serve(repository.path, settings={**ON_DEMAND, "sched.model_queue_max": 3}).wait_ready("m")
    answers = {}

    def start(name, word):
        thread = threading.Thread(target=lambda: answers.update({name: infer(server, "m", {"troupe-priority": word})}))
        thread.start()
        return thread
    threads = []
    for i in range(3):
        threads.append(start(i, "batch"))
        server.wait(lambda n=i + 1: server.metric("troupe_cold_calls_waiting") == n, "it to wait")
    threads.append(start("urgent", "interactive"))
    server.wait(lambda: server.metric("troupe_requests_refused_total", reason="shed") == 1, "somebody to make room")
    assert infer(server, "m", {"troupe-priority": "batch"})[0] == 429, "the newest of the least urgent class"
    gate.open()
    for thread in threads:
        thread.join()
    assert {name: status for name, (status, _) in answers.items()} == {0: 200, 1: 200, 2: 429, "urgent": 200}
    assert "it made room for a more urgent one" in answers[2][1]["error"]
    assert loads(server) == 1


def is_refused(server):
    try:
        socket.create_connection(("127.0.0.1", server.port), 30 * SLOW).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_server_that_ends_answers_those_who_wait(serve, repository, gate):
    repository.write("m.echo", ECHO + gate.load_until)
    server = serve(repository.path, settings=ON_DEMAND).wait_ready("m")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(infer(server, "m")))
    thread.start()
    server.wait(lambda: server.metric("troupe_cold_calls_waiting") == 1, "the call to wait")
    server.process.send_signal(signal.SIGTERM)
    server.wait(lambda: is_refused(server), "the server to begin to end")
    assert not answers
    gate.open()
    thread.join()
    server.process.wait(40 * SLOW)
    assert answers[0][0] == 200, answers  # what was begun is answered


# ---- loads that fail ----

def test_a_load_that_fails_is_told_at_once_and_tried_again_later(serve, repository):
    repository.write("m.echo", ECHO + "load_fail no luck today\n")
    server = serve(repository.path, settings=ON_DEMAND).wait_ready("m")
    began = time.monotonic()
    for status, reply in crowd(10, lambda i: infer(server, "m")):
        assert status == 400 or status == 503, reply
        assert reply["error"].startswith("model 'm' version 1 cannot be loaded: ") and "no luck today" in reply["error"]
    before = loads(server, "failed")  # 1, unless some came so late that it was tried again for them
    assert before == 1 or SLOW > 1 or time.monotonic() - began >= 1
    server.wait(lambda: index(server)["m/1"][0] == "UNAVAILABLE", "the failure to be in the index")
    assert "no luck today" in index(server)["m/1"][1]
    assert server.get("/v2/models/m/ready")[0] != 200

    def has_failed_again():
        status, reply = infer(server, "m")
        assert status != 200 and "no luck today" in reply["error"]
        return loads(server, "failed") > before
    server.wait(has_failed_again, "the load to be tried again")
    assert server.metric("troupe_model_load_retries_total") == loads(server, "failed") - 1
    repository.write("m.echo", ECHO)  # no watch: the next try finds it
    server.wait(lambda: infer(server, "m")[0] == 200, "the load to go well")
    becomes(server, "m/1", "READY")


def test_a_load_that_hangs_is_given_up_and_others_go_on(serve, repository, gate):
    repository.write("hangs.echo", ECHO + gate.load_until)
    repository.write("m.echo", ECHO)
    server = serve(repository.path, settings={**ON_DEMAND, "timeouts.load": "3s" if SLOW == 1 else "10s"}).wait_ready("m")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(infer(server, "hangs")))
    thread.start()
    server.wait(lambda: server.metric("troupe_cold_calls_waiting") == 1, "the call to wait")
    assert infer(server, "m")[0] == 200 and not answers
    thread.join()
    status, reply = answers[0]
    assert status == 503 and "timeouts.load" in reply["error"]


def test_other_files_are_tried_at_once(serve, repository):
    repository.write("m.echo", ECHO + "load_fail no luck today\n")
    server = serve(repository.path, settings={**ON_DEMAND, "repository.watch": "poll", "repository.poll": "100ms",
                                              "repository.settle": "0s"}).wait_ready("m")
    assert infer(server, "m")[0] != 200
    server.wait(lambda: index(server)["m/1"][0] == "UNAVAILABLE", "the failure to be in the index")
    repository.write("m.echo", ECHO)
    becomes(server, "m/1", "READY", "on demand")
    assert infer(server, "m")[0] == 200


def test_models_that_load_by_themselves_are_tried_again_by_themselves(serve, repository):
    for name in ("startup", "background"):
        repository.write(f"{name}/1/model.echo", ECHO + "load_fail no luck today\n")
        repository.write(f"{name}/model.yaml", f"load: {name}\n")
    server = serve(repository.path)
    server.wait(lambda: loads(server, "failed") >= 2, "both loads to fail")
    for name in ("startup", "background"):
        repository.write(f"{name}/1/model.echo", ECHO)
    server.wait_ready("startup", "background")
    assert loads(server) == 2


def test_a_model_that_would_hold_too_much_is_refused_with_the_numbers(serve, repository):
    repository.add(IDENTITY, "m/1/model.onnx")
    repository.write("m/model.yaml", "max_bytes: 1\n")
    server = serve(repository.path, settings=ON_DEMAND).wait_ready("m")
    for _ in range(2):
        status, reply = infer(server, "m")
        assert status == 507 and re.match(r"model 'm' version 1 cannot be loaded: .*max_bytes is 1", reply["error"]), reply


# ---- when models are loaded ----

def test_each_model_may_say_when_it_is_loaded(serve, repository):
    for word in ("on_demand", "startup", "background", "explicit"):
        repository.write(f"{word}/1/model.echo", ECHO)
        repository.write(f"{word}/model.yaml", f"load: {word}\n")
    server = serve(repository.path, settings=ON_DEMAND).wait_ready("startup")
    server.wait(lambda: index(server)["background/1"] == ("READY", ""), "the background to be loaded")
    assert index(server)["startup/1"] == ("READY", "")
    assert index(server)["on_demand/1"] == ("READY", "on demand")
    assert index(server)["explicit/1"][0] == ""
    assert loads(server) == 2
    assert infer(server, "explicit")[0] == 404
    assert infer(server, "on_demand")[0] == 200
    assert load(server, "explicit")[0] == 200 and infer(server, "explicit")[0] == 200


def test_a_name_given_to_the_server_is_loaded_before_it_is_ready(serve, repository):
    repository.write("named.echo", ECHO)
    repository.write("other.echo", ECHO)
    server = serve(repository.path, "--load-model", "named", settings=ON_DEMAND).wait_ready("named")
    assert index(server) == {"named/1": ("READY", ""), "other/1": ("READY", "on demand")}


def test_readiness_does_not_wait_for_the_background_and_requests_do_not_stand_behind_it(serve, repository):
    for i in range(10):
        repository.write(f"m{i}.echo", ECHO + "load_sleep 1s\n")
    server = serve(repository.path, settings={"models.load": "background"})
    server.wait_ready()
    assert loads(server) < 10
    assert infer(server, "m9")[0] == 200
    assert loads(server) < 9, "whoever asks does not wait for those that nobody asked for"
    server.wait(lambda: loads(server) == 10, "all to be loaded")


# ---- unloading and loading by name ----

def test_what_was_unloaded_waits_for_a_load(serve, repository):
    repository.write("m.echo", ECHO)
    server = serve(repository.path, settings=ON_DEMAND).wait_ready("m")
    for was_loaded in (False, True):
        if was_loaded:
            assert infer(server, "m")[0] == 200
        assert post(server, "/v2/repository/models/m/unload")[0] == 200
        assert index(server)["m/1"] == ("UNAVAILABLE", "unloaded")
        status, reply = infer(server, "m")
        assert status == 404 and "has no available versions" in reply["error"]
        assert server.get("/v2/models/m/ready")[0] != 200
        assert load(server, "m")[0] == 200
        assert index(server)["m/1"] == ("READY", "")


def test_an_unload_sends_those_away_who_wait(serve, repository, gate):
    repository.write("m.echo", ECHO + gate.load_until)
    server = serve(repository.path, settings=ON_DEMAND).wait_ready("m")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(infer(server, "m")))
    thread.start()
    server.wait(lambda: server.metric("troupe_cold_calls_waiting") == 1, "the call to wait")
    unloaded = []
    unload = threading.Thread(target=lambda: unloaded.append(post(server, "/v2/repository/models/m/unload")[0]))
    unload.start()
    server.wait(lambda: server.metric("troupe_requests_in_flight") == 3, "the call, the unload and this question to be there")
    gate.open()
    for one in (thread, unload):
        one.join()
    assert unloaded == [200] and answers[0][0] == 200, "its load came first"
    assert infer(server, "m")[0] == 404


# ---- letting go ----

def test_a_model_goes_when_nobody_asks_for_it_and_comes_back(serve, repository):
    repository.write("idle/1/model.echo", ECHO)
    repository.write("idle/model.yaml", "keep_alive: 300ms\n")
    repository.write("pinned/1/model.echo", ECHO)
    repository.write("pinned/model.yaml", "keep_alive: 300ms\npin: true\n")
    repository.write("stays.echo", ECHO)
    server = serve(repository.path, settings=ON_DEMAND).wait_ready("idle")
    for goes in (1, 2):
        for name in ("idle", "pinned", "stays"):
            assert infer(server, name)[0] == 200
        server.wait(lambda: server.metric("troupe_model_idle_unloads_total") == goes, "the idle one to go")
        server.wait(lambda: index(server)["idle/1"] == ("READY", "on demand"), "it to be cold again")
        assert json.loads(server.get("/v2/models/idle")[1])["inputs"][0]["name"] == "x"
    assert index(server)["pinned/1"] == index(server)["stays/1"] == ("READY", "")
    server.wait_logged("letting 'idle' go: no request for")
    assert loads(server) == 4


def test_the_servers_keep_alive_holds_and_a_load_by_name_is_to_stay(serve, repository):
    for name in ("asked", "named", "brief"):
        repository.write(f"{name}.echo", ECHO)
    server = serve(repository.path, settings={**ON_DEMAND, "models.keep_alive": "200ms"}).wait_ready("asked")
    assert load(server, "named")[0] == 200
    assert load(server, "brief", keep_alive="100ms")[0] == 200
    assert infer(server, "asked")[0] == 200
    server.wait(lambda: server.metric("troupe_model_idle_unloads_total") == 2, "both to go")
    assert index(server)["named/1"] == ("READY", "")
    assert load(server, "named", keep_alive=0)[0] == 200
    server.wait(lambda: index(server)["named/1"] == ("READY", "on demand"), "the named one to go as well")
    status, reply = load(server, "named", keep_alive="soon")
    assert status == 400 and "keep_alive" in reply["error"]


def test_models_come_and_go_under_load_without_one_failed_request(serve, repository):
    repository.add(IDENTITY, "m/1/model.onnx")
    repository.write("m/model.yaml", "keep_alive: 0s\n")
    server = serve(repository.path, settings=ON_DEMAND).wait_ready("m")
    with Hammer(server, "m", over_http=1, over_grpc=1) as hammer:
        server.wait(lambda: server.metric("troupe_model_idle_unloads_total") >= 10 or hammer.failures,
                    "it to go ten times", 120)
    assert not hammer.failures, hammer.failures[0]
    assert hammer.answers


# ---- many ----

def test_two_thousand_models_on_demand(serve, repository):
    for i in range(2000):
        repository.write(f"m{i:04}.echo", ECHO)
    server = serve(repository.path, settings=ON_DEMAND).wait_ready("m0000")
    server.wait(lambda: len(index(server)) == 2000, "the index to be complete", 120)
    assert all(state == ("READY", "on demand") for state in index(server).values())
    for status, _ in crowd(50, lambda i: infer(server, f"m{i * 40:04}")):
        assert status == 200
    assert loads(server) == 50
