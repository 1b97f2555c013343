"""Routes: one name, and rules that choose which model answers; over HTTP and gRPC, reloaded under load, explained as they are served."""
import json
import random
import socket
import subprocess
import threading

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import InferenceServerException

from conftest import ROOT, SLOW, TROUPE
from test_replacement import WATCHED, put
from test_repository import clients, index, load, post

PLAIN = "input x FP32 [-1]\noutput y FP32 [-1]\n"
ROUTES = """\
routes:
  recommend:
    - when: params.purchases == 0
      use: cold
    - when: params.user in ['ann', 'bob']
      use: warm
    - split: { deep: 90, next: 10 }
      sticky: params.user
"""


def body_of(params=None, data=(1.0, 2.0), name="x"):
    request = {"inputs": [{"name": name, "datatype": "FP32", "shape": [len(data)], "data": list(data)}]}
    if params:
        request["parameters"] = params
    return json.dumps(request).encode()


def ask(server, route, params=None, **kwargs):
    """(status, reply) of one inference over HTTP."""
    status, reply, _ = server.request("POST", f"/v2/models/{route}/infer", body_of(params, **kwargs))
    return status, json.loads(reply)


def who(server, route, params=None, **kwargs):
    status, reply = ask(server, route, params, **kwargs)
    assert status == 200, reply
    return reply["model_name"]


def explain(server, route, params=None):
    status, reply, _ = server.request("POST", f"/api/routes/{route}/explain", body_of(params))
    assert status == 200, reply
    return json.loads(reply)


def routes(server):
    return {r["name"]: r for r in json.loads(server.get("/api/routes")[1])["routes"]}


@pytest.fixture
def models(repository):
    for name in ("cold", "warm", "deep", "next"):
        repository.write(f"{name}/model.echo", PLAIN)
    return repository


@pytest.fixture
def routed(serve, models):
    models.write("routes.yaml", ROUTES)
    server = serve(models.path).wait_ready("cold", "warm", "deep", "next")
    server.wait(lambda: "recommend" in routes(server), "the route")
    return server


def test_the_first_rule_that_holds_decides(routed):
    assert who(routed, "recommend", {"purchases": 0, "user": "ann"}) == "cold"
    assert who(routed, "recommend", {"purchases": 3, "user": "ann"}) == "warm"
    assert who(routed, "recommend", {"purchases": 3, "user": "eve"}) in ("deep", "next")
    assert who(routed, "recommend", {"user": "bob"}) == "warm"  # the first rule is unknown, which is no match
    headers = routed.request("POST", "/v2/models/recommend/infer", body_of({"purchases": 0}))[2]
    assert headers["Troupe-Choice"] == "route recommend, rule 1 -> cold/1"
    status, reply = ask(routed, "recommend", {"purchases": 0})
    assert reply["parameters"]["troupe_choice"] == "route recommend, rule 1 -> cold/1" and reply["model_version"] == "1"
    recent = routes(routed)["recommend"]["recent"]
    assert recent and recent[-1]["rule"] == "1" and recent[-1]["target"] == "cold"
    assert recent[-1]["answered"] == "cold/1" and recent[-1]["because"] == "first choice" and recent[-1]["error"] is None
    counts = {r["name"]: (r["matched"], r["unknown"]) for r in routes(routed)["recommend"]["rules"]}
    assert counts["1"] == (3, 1) and counts["2"] == (2, 0) and counts["3"] == (1, 0)


def test_metrics_tell_of_the_name_that_clients_ask_for_and_of_who_answered(serve, models):
    models.write("routes.yaml", ROUTES + "pipelines:\n  pipe: { steps: [ { model: cold } ], outputs: [ y ] }\n")
    server = serve(models.path).wait_ready("cold", "warm", "deep", "next")
    server.wait(lambda: "recommend" in routes(server), "the route")
    asked = server.metric("troupe_requests_total")
    for _ in range(3):
        assert who(server, "recommend", {"purchases": 0}) == "cold"
    assert ask(server, "recommend", {"purchases": 0}, name="z")[0] == 400
    assert ask(server, "pipe")[0] == 200
    route = {"model": "recommend", "version": "1", "kind": "route"}
    assert server.metric("nv_inference_request_success", **route) == 3
    assert server.metric("nv_inference_request_failure", **route) == 1
    assert server.metric("troupe_request_errors_total", reason="INVALID_ARGUMENT", **route) == 1
    assert server.metric("troupe_request_duration_seconds_count", **route) == 4
    assert server.metric("nv_inference_request_duration_us", **route) > 0
    assert server.metric("nv_inference_request_success", model="pipe", kind="pipeline") == 1
    # Once more under each model that was asked; what has no kind is models, and nothing is lost.
    assert server.metric("nv_inference_request_success", model="cold") == 4
    page = server.get("/metrics")[1].decode()
    models_alone = [line for line in page.splitlines() if line.startswith("nv_inference_request_success{") and "kind=" not in line]
    assert sum(float(line.split()[-1]) for line in models_alone) == 4
    assert server.metric("troupe_requests_total") > asked
    assert not [line for line in page.splitlines() if line.startswith("troupe_model_") and "kind=" in line]


def test_a_route_looks_like_a_model_to_the_clients_of_triton(routed):
    with clients(routed) as both:
        for name, client in both.items():
            library = triton_http if name == "http" else triton_grpc
            assert client.is_model_ready("recommend") and client.is_model_ready("recommend", "1")
            keywords = {} if name == "http" else {"as_json": True}
            metadata = client.get_model_metadata("recommend", **keywords)
            assert [i["name"] for i in metadata["inputs"]] == ["x"] and metadata["platform"] == "route"
            config = client.get_model_config("recommend", **keywords)
            assert config.get("config", config)["name"] == "recommend"
            tensor = library.InferInput("x", [2], "FP32")
            tensor.set_data_from_numpy(np.array([1, 2], np.float32))
            answer = client.infer("recommend", [tensor], parameters={"purchases": 0},
                                  outputs=[library.InferRequestedOutput("y")])
            assert np.array_equal(answer.as_numpy("y"), np.array([1, 2], np.float32))
            with pytest.raises(InferenceServerException, match="has no versions"):
                client.infer("recommend", [tensor], model_version="7")
            with pytest.raises(InferenceServerException, match="unexpected inference input"):
                wrong = library.InferInput("z", [2], "FP32")
                wrong.set_data_from_numpy(np.array([1, 2], np.float32))
                client.infer("recommend", [wrong], parameters={"purchases": 0})
    assert index(routed)["recommend/1"] == ("READY", "")
    stats = json.loads(routed.get("/v2/models/recommend/stats")[1])["model_stats"][0]
    assert stats["inference_stats"]["success"]["count"] == 2 and stats["inference_stats"]["fail"]["count"] >= 2
    assert json.loads(routed.get("/v2/models/cold/stats")[1])["model_stats"][0]["inference_count"] == 2
    assert post(routed, "/v2/repository/models/recommend/unload")[0] == 400
    assert post(routed, "/api/models/recommend/pin")[0] == 400


def test_nothing_matches_and_the_answer_says_what_each_rule_found(serve, models):
    models.write("routes.yaml", "routes: { r: [ { when: params.n > 3, use: cold }, { name: named, when: has(params.m), use: warm } ] }")
    server = serve(models.path).wait_ready()
    server.wait(lambda: "r" in routes(server), "the route")
    status, reply = ask(server, "r", {"n": 1})
    assert status == 404 and "rule 1 does not hold; rule named does not hold" in reply["error"]
    status, reply = ask(server, "r")
    assert status == 404 and "params.n is missing" in reply["error"]
    assert explain(server, "r")["chosen"] is None


def test_a_split_is_sticky_and_by_weight(routed):
    first = {f"u{i}": who(routed, "recommend", {"user": f"u{i}"}) for i in range(200)}
    assert first == {user: who(routed, "recommend", {"user": user}) for user in first}
    share = sum(model == "next" for model in first.values()) / len(first)
    assert 0.03 < share < 0.2
    by_chance = [who(routed, "recommend") for _ in range(100)]
    assert 5 <= by_chance.count("next") <= 15


def test_what_is_explained_is_what_is_served(routed):
    """One client, thousands of requests: each is explained first, and served then."""
    chosen = random.Random(4)
    for _ in range(1000 // SLOW):
        params = {}
        if chosen.random() < 0.8:
            params["user"] = chosen.choice(["ann", "bob"] + [f"u{i}" for i in range(50)])
        if chosen.random() < 0.7:
            params["purchases"] = chosen.choice([0, 1, "0"])
        said = explain(routed, "recommend", params)
        status, reply = ask(routed, "recommend", params)
        assert status == 200, reply
        if "user" not in params and said["chosen"]["rule"] == "3":  # drawn anew: both come from the same split
            assert said["chosen"]["by"] == "chance" and reply["model_name"] in ("deep", "next")
            assert reply["parameters"]["troupe_choice"].startswith("route recommend, rule 3")
            continue
        assert reply["model_name"] == said["chosen"]["model"], params
        assert reply["parameters"]["troupe_choice"] == f'{said["chosen"]["reason"]} -> {reply["model_name"]}/{reply["model_version"]}'
    unknown = explain(routed, "recommend", {"purchases": "0", "user": "ann"})["rules"][0]["when"]
    assert unknown["value"] is None and unknown["why"]


MANY_FACTS = """\
lists: { known: known.txt }
routes:
  r:
    - when: params.user in lists.known && time.hour >= 0
      use: cold
    - when: models.warm.ready && models.warm.queue < 1000 && params.n == 1
      use: warm
    - when: params.n == 2
      use: inner
    - use: deep
      canary: { use: next, steps: [40%, 100%], hold: 1h, answers: 1000000 }
      sticky: params.user
  inner:
    - when: request.protocol == 'http' && params.user == 'u7'
      use: next
    - use: warm
"""


def test_what_is_explained_is_what_is_served_whatever_rules_look_at(serve, models):
    """Lists, time, load, a route behind the route, and the keys of a canary."""
    models.write("known.txt", "".join(f"u{i}\n" for i in range(5)))
    models.write("routes.yaml", MANY_FACTS)
    server = serve(models.path).wait_ready("cold", "warm", "deep", "next")
    server.wait(lambda: "r" in routes(server), "the route")
    for n, user, rule in ((0, "u1", "1"), (1, "u9", "2")):
        server.wait(lambda: explain(server, "r", {"user": user, "n": n})["chosen"]["rule"] == rule, "the list and the load to be known")
    chosen, met = random.Random(6), set()
    for _ in range(400 // SLOW):
        params = {"user": f"u{chosen.randrange(40)}", "n": chosen.randrange(4)}
        said = explain(server, "r", params)["chosen"]
        status, reply = ask(server, "r", params)
        assert status == 200, reply
        met.add((said["rule"], reply["model_name"]))
        if said["target"] == "inner":
            assert reply["model_name"] == ("next" if params["user"] == "u7" else "warm"), params
        else:
            assert reply["model_name"] == said["target"], params
            assert reply["parameters"]["troupe_choice"] == f'{said["reason"]} -> {reply["model_name"]}/{reply["model_version"]}'
    assert {rule for rule, _ in met} == {"1", "2", "3", "4"} and {("4", "deep"), ("4", "next")} <= met


BREAKING = """\
routes:
  r:
    breaker: { row: 5, pause: %s, pause_most: %s }
    rules: [ { use: shaky, fallback: warm } ]
"""


def breaking(serve, models, pause):
    """A server whose route has asked its first target until the breaker opened; it stays open for `pause`."""
    models.write("shaky/model.echo", PLAIN + "fail BACKEND_FAILED it is broken\n")
    models.write("routes.yaml", BREAKING % (pause, pause))
    server = serve(models.path).wait_ready("shaky", "warm")
    server.wait(lambda: "r" in routes(server), "the route")
    for _ in range(6):
        assert who(server, "r") == "warm"
    assert asked(server, "shaky") >= 5
    return server


def test_a_timeout_includes_the_load_of_a_cold_target(serve, repository, gate):
    limit = f"{300 * SLOW}ms"
    repository.write("late/model.echo", PLAIN + gate.load_until)
    repository.write("warm/model.echo", PLAIN)
    repository.write("routes.yaml", f"routes:\n  r: [ {{ use: late, timeout: {limit}, fallback: warm }} ]\n"
                                    f"  alone: [ {{ use: late, timeout: {limit} }} ]\n")
    server = serve(repository.path, settings={"models.load": "on_demand"}).wait_ready("warm")
    server.wait(lambda: {"r", "alone"} <= set(routes(server)), "the routes")
    status, reply = ask(server, "r")
    assert status == 200 and reply["parameters"]["troupe_choice"] == "route r, rule 1: fallback after a timeout -> warm/1", reply
    assert ask(server, "alone")[0] == 504
    gate.open()
    server.wait(lambda: server.metric("troupe_model_loads_total", result="ok") == 2, "the load to end, for which nobody waits")
    assert who(server, "r") == "late" and who(server, "alone") == "late"


def asked(server, target):
    return next(t["asked"] for t in routes(server)["r"]["targets"] if t["target"] == target)


def test_an_open_breaker_outlives_changes_of_other_things(serve, models):
    server = breaking(serve, models, "10m")
    assert asked(server, "shaky") == 5 and server.metric("troupe_route_breaker_open", route="r", target="shaky") == 1
    models.write("routes.yaml", BREAKING % ("10m", "10m") + "  other: [ { use: cold } ]\n")
    assert load(server, "other")[0] == 200
    server.wait(lambda: "other" in routes(server), "the other route")
    models.write("shaky/model.echo", PLAIN)  # nobody knows that it is well: the pause is not over
    assert load(server, "shaky")[0] == 200
    for _ in range(5):
        assert who(server, "r") == "warm"
    assert asked(server, "shaky") == 5 and server.metric("troupe_route_breaker_open", route="r", target="shaky") == 1
    assert who(server, "shaky") == "shaky"


def test_a_breaker_closes_by_itself(serve, models):
    server = breaking(serve, models, "100ms")
    models.write("shaky/model.echo", PLAIN)
    assert load(server, "shaky")[0] == 200
    server.wait(lambda: all(who(server, "r") == "shaky" for _ in range(4)), "the target to be asked again")  # one more than probes
    assert server.metric("troupe_route_breaker_open", route="r", target="shaky") == 0


FAILING = f"""\
routes:
  safe:
    breaker: {{ row: 3, pause: 10m, pause_most: 10m }}
    rules:
      - use: broken
        fallback: [slow, warm]
        timeout: {1 if SLOW == 1 else 3}s
"""


def test_fallbacks_timeouts_and_breakers(serve, models):
    models.write("broken/model.echo", PLAIN + "fail BACKEND_FAILED it is broken\n")
    models.write("slow/model.echo", PLAIN + "sleep 600s\n")
    models.write("routes.yaml", FAILING)
    server = serve(models.path).wait_ready("broken", "slow", "warm")
    server.wait(lambda: "safe" in routes(server), "the route")
    status, reply = ask(server, "safe")
    assert status == 200 and reply["model_name"] == "warm", reply
    assert reply["outputs"][0]["name"] == "y" and reply["outputs"][0]["data"] == [1.0, 2.0]
    assert "fallback after a timeout" in reply["parameters"]["troupe_choice"]
    for _ in range(7):
        assert ask(server, "safe")[0] == 200
    targets = {t["target"]: t for t in routes(server)["safe"]["targets"]}
    assert targets["broken"]["breaker"]["state"] == "open" and targets["broken"]["asked"] == targets["slow"]["asked"] == 3
    assert targets["warm"]["failed"] == 0 and targets["warm"]["asked"] == 8
    rule = routes(server)["safe"]["rules"][0]
    assert rule["timed_out"] == 3 and rule["fell_back"] >= 8
    before = targets["broken"]["breaker"]
    models.write("routes.yaml", FAILING + "  other: [ { use: warm } ]\n")
    assert load(server, "other")[0] == 200  # another route is no reason to ask it again
    after = {t["target"]: t for t in routes(server)["safe"]["targets"]}
    assert after["broken"]["breaker"]["opened"] >= before["opened"] >= 1
    assert after["broken"]["breaker"]["refused"] >= before["refused"] and after["warm"]["asked"] == 8
    assert after["broken"]["breaker"]["state"] == "open"
    assert server.metric("troupe_route_breaker_opened_total", route="safe", target="broken") >= 1
    status, reply = ask(server, "safe", name="wrong")  # the client's own fault is nobody else's
    assert status == 400
    status, _, headers = server.request("POST", "/v2/models/safe/infer", body_of(name="wrong"))
    assert status == 400 and headers["Troupe-Choice"].startswith("route safe, rule 1 -> ")


def test_without_an_own_time_a_fallback_takes_the_same_call(serve, models):
    models.write("broken/model.echo", PLAIN + "fail BACKEND_FAILED it is broken\n")
    models.write("routes.yaml", "routes: { safe: [ { use: broken, fallback: warm } ] }")
    server = serve(models.path).wait_ready("broken", "warm")
    server.wait(lambda: "safe" in routes(server), "the route")
    for _ in range(5):
        status, reply = ask(server, "safe")
        assert status == 200 and reply["outputs"][0]["data"] == [1.0, 2.0] and reply["model_name"] == "warm"
    with clients(server) as both:
        for name, client in both.items():
            library = triton_http if name == "http" else triton_grpc
            tensor = library.InferInput("x", [3], "FP32")
            tensor.set_data_from_numpy(np.array([1, 2, 3], np.float32))
            assert np.array_equal(client.infer("safe", [tensor]).as_numpy("y"), np.array([1, 2, 3], np.float32))


def test_grpc_trailers_say_who_answered_or_failed(serve, models):
    models.write("broken/model.echo", PLAIN + "fail BACKEND_FAILED it is broken\n")
    models.write("routes.yaml", "routes: { safe: [ { use: broken, fallback: warm } ], bad: [ { use: broken } ] }")
    server = serve(models.path).wait_ready("broken", "warm")
    server.wait(lambda: "bad" in routes(server), "the routes")

    def trailers(name):
        request = pb.ModelInferRequest(model_name=name, raw_input_contents=[bytes(12)])
        request.inputs.add(name="x", datatype="FP32", shape=[3])
        with grpc.insecure_channel(server.url) as channel:
            future = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer.future(request, timeout=30 * SLOW)
            return future.code(), dict(future.trailing_metadata())
    code, fields = trailers("safe")
    assert code == grpc.StatusCode.OK and fields["troupe-choice"] == "route safe, rule 1: fallback after an error -> warm/1"
    code, fields = trailers("bad")
    assert code == grpc.StatusCode.INTERNAL and fields["troupe-choice"] == "route bad, rule 1 -> broken"
    assert "troupe-choice" not in trailers("warm")[1]


def test_a_shadow_is_compared_and_nobody_waits_for_it(serve, models):
    models.write("slow/model.echo", PLAIN + "sleep 100ms\n")
    models.write("broken/model.echo", PLAIN + "fail BACKEND_FAILED it is broken\n")
    models.write("routes.yaml", "routes:\n  same: [ { use: warm, shadow: cold } ]\n  late: [ { use: warm, shadow: slow } ]\n"
                                "  bad: [ { use: warm, shadow: broken } ]\n  some: [ { use: warm, shadow: { use: cold, share: 20% } } ]\n")
    server = serve(models.path).wait_ready("warm", "cold", "slow", "broken")
    server.wait(lambda: "same" in routes(server), "the routes")

    def shadow(route):
        return routes(server)[route]["rules"][0]["shadow"]
    assert shadow("same")["agreement"] is None  # of nothing
    for _ in range(10):
        for route in ("same", "late", "bad", "some"):
            assert who(server, route) == "warm"
    server.wait(lambda: shadow("same")["compared"] == 10, "the comparisons")
    assert shadow("same")["same"] == 10 and shadow("same")["agreement"] == 1
    server.wait(lambda: shadow("late")["compared"] + shadow("late")["dropped"] == 10, "the late ones")
    server.wait(lambda: shadow("bad")["failed"] == 10, "the failures")
    assert shadow("bad")["compared"] == 0
    assert shadow("some")["compared"] < 10
    assert "shadow cold (20 %)" in command(server, "inspect", "some")
    assert "cold is asked as well, for 20 % of such requests" in command(server, "explain", "some", "x=[1]")
    for name, want in [("shadows_compared", 10), ("shadow_rows", 20), ("shadow_rows_agreeing", 20), ("shadows_failed", 0), ("shadows_dropped", 0)]:
        assert server.metric(f"troupe_route_{name}_total", route="same", rule="1") == want
    assert server.metric("troupe_route_shadows_failed_total", route="bad", rule="1") == 10
    assert server.metric("troupe_route_metrics_left_out") == 0


FITTED = """\
routes:
  one:
    targets:
      other:
        model: theirs
        inputs: { x: pixels }
        outputs: { y: probabilities }
        cast: { pixels: FP64, probabilities: FP32 }
        constants: { k: 10 }
      narrow: { model: theirs, inputs: { x: pixels }, outputs: { y: probabilities }, cast: { pixels: FP64, probabilities: INT8 }, constants: { k: 10 } }
    rules:
      - when: params.which == 'theirs'
        use: other
        fallback: warm
      - when: params.which == 'narrow'
        use: narrow
      - use: warm
"""


def test_models_of_unlike_signatures_stand_behind_one_name(serve, models):
    models.write("theirs/model.echo", "input pixels FP64 [-1]\ninput k INT64 [1]\noutput probabilities FP64 [-1]\noutput rest INT64 [1]\n")
    models.write("routes.yaml", FITTED)
    server = serve(models.path).wait_ready("theirs", "warm")
    server.wait(lambda: "one" in routes(server), "the route")
    status, reply = ask(server, "one", {"which": "theirs"})
    assert status == 200, reply
    outputs = {o["name"]: o for o in reply["outputs"]}
    assert outputs["y"]["datatype"] == "FP32" and outputs["y"]["data"] == [1.0, 2.0]  # as what stands in for it gives
    assert outputs["rest"]["data"] == [10]
    assert who(server, "one") == "warm"
    status, reply = ask(server, "one", {"which": "narrow"})
    assert status == 200 and reply["outputs"][0]["datatype"] == "INT8" and reply["outputs"][0]["data"] == [1, 2]
    status, reply = ask(server, "one", {"which": "narrow"}, data=(1, 300))
    assert status == 500 and "output 'probabilities': element 1 of FP64 cannot become INT8" in reply["error"], reply


LARGE = """\
routes:
  plain: { targets: { t: { model: theirs, inputs: { x: pixels }, outputs: { y: top }, cast: { pixels: FP64, top: FP32 } } }, rules: [ { use: t } ] }
  timed: { targets: { t: { model: theirs, inputs: { x: pixels }, outputs: { y: top }, cast: { pixels: FP64, top: FP32 } } }, rules: [ { use: t, timeout: 100s } ] }
  narrow: { targets: { t: { model: theirs, inputs: { x: pixels }, outputs: { y: top }, cast: { pixels: FP64, top: INT8 } } }, rules: [ { use: t, fallback: warm } ] }
"""


def test_large_tensors_are_cast_by_helpers(serve, models):
    """There and back, several at once, by the client's own call and by one with a time of its own; what cannot be cast falls back, and who leaves is let go."""
    models.write("theirs/model.echo", "input pixels FP64 [-1]\noutput top FP64 [-1]\n")
    models.write("routes.yaml", LARGE)
    server = serve(models.path, settings={"threads.helpers": 2}).wait_ready("theirs", "warm")
    server.wait(lambda: {"plain", "timed", "narrow"} <= set(routes(server)), "the routes")
    x, wrong = (np.arange(500_000, dtype=np.float32) % 100), []

    def infer(client, route, x):
        module = triton_http if isinstance(client, triton_http.InferenceServerClient) else triton_grpc
        value = module.InferInput("x", list(x.shape), "FP32")
        value.set_data_from_numpy(x)
        return client.infer(route, [value])

    def client_of(k):
        with clients(server) as both:
            for route, client in ((r, c) for r in ("plain", "timed", "narrow") for c in both.values()):
                y = infer(client, route, x + k).as_numpy("y")
                if y.dtype != (np.int8 if route == "narrow" else np.float32) or not np.array_equal(y, x + k):
                    wrong.append((k, route, y.dtype))
    threads = [threading.Thread(target=client_of, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    with clients(server) as both:
        for client in both.values():
            reply = infer(client, "narrow", x + 200)
            assert reply.as_numpy("y").dtype == np.float32 and np.array_equal(reply.as_numpy("y"), x + 200)  # 'warm' has answered
    head = f"POST /v2/models/plain/infer HTTP/1.1\r\nHost: h\r\nInference-Header-Content-Length: {{}}\r\nContent-Length: {{}}\r\n\r\n"
    text = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [x.size], "parameters": {"binary_data_size": x.nbytes}}]})
    for _ in range(10):  # some are gone while a helper works for them
        with socket.create_connection(("127.0.0.1", server.port)) as gone:
            gone.sendall(head.format(len(text), len(text) + x.nbytes).encode() + text.encode() + x.tobytes())
    server.wait(lambda: server.metric("troupe_requests_in_flight") <= 1, "nothing to be left")
    assert who(server, "plain") == "theirs"


def test_routes_stand_behind_routes_and_never_behind_themselves(serve, models):
    models.write("routes.yaml", "routes:\n  a: [ { use: b } ]\n  b: [ { use: c } ]\n  c: [ { use: warm } ]\n")
    server = serve(models.path).wait_ready()
    server.wait(lambda: "a" in routes(server), "the routes")
    assert who(server, "a") == "warm"
    models.write("routes.yaml", "routes:\n  a: [ { use: b } ]\n  b: [ { use: c } ]\n  c: [ { use: a } ]\n")
    status, reply = load(server, "a")
    assert status == 400 and "leads back to itself" in reply["error"] and "routes.yaml:4:15" in reply["error"]
    assert who(server, "a") == "warm"  # all or nothing


@pytest.mark.parametrize("text, words", [
    ("routes: { r: [ { usse: warm } ] }", "unknown key 'usse' of a rule; did you mean 'use'?"),
    ("routes: { r: [ { use: wram } ] }", "no model, route or composition 'wram'; did you mean 'warm'?"),
    ("routes: { r: [ { when: params.n == , use: warm } ] }", "routes.yaml:1:"),
    ("routes: { r: [ { use: warm }, { use: cold } ] }", "no request comes here"),
    ("routes: { r: [ { split: { warm: -1 } } ] }", "is no number"),
    ("routes: { r: [ { use: warm, timeout: soon } ] }", "expected a duration"),
    ("routes: { r: [ { use: warm@7 } ] }", "'warm' has no such version or label; it has 1"),
    ("routes: { warm: [ { use: cold } ] }", "the repository has a model 'warm'"),
    ("routes: { r: [ { use: warm, fallback: other } ] }", "one cannot stand in for the other"),
    ("routes: { r: [ { use: warm, sticky: params.u } ] }", "sticky belongs to a split"),
    ("routess: {}", "did you mean 'routes'?"),
    ("routes:\n  r:\n    - when: |\n        params.n == 1 &&\n        paramz.m == 2\n      use: cold\n    - use: warm\n",
     "routes.yaml:5:9: no name 'paramz'; did you mean 'params'?"),
    ("routes: { r: [ { use: p } ] }\npipelines:\n  p:\n    steps:\n      - model: warm\n        when: >\n          params.n == 1\n          || paramz.m\n"
     "    outputs: [y]\n", "routes.yaml:8:14: no name 'paramz'"),
    ("routes: { r: [ { name: \"a\\r\\nX-Other: 1\", use: warm } ] }", "name: expected a text without control characters"),
    ("routes:\n  r: [ { use: warm@canry } ]\n", "routes.yaml:2:15: 'warm' has no such version or label; did you mean 'warm@canary'?"),
    ("routes:\n  r:\n    - { when: \"models['warm@canry'].p99 > 1s\", use: cold }\n    - use: warm\n",
     "routes.yaml:3:24: 'warm' has no such version or label; did you mean 'warm@canary'?"),
    ("routes:\n  r: { targets: { night: { model: warm } }, rules: [ { use: nigt } ] }\n", "'nigt'; did you mean 'night'?"),
    ("routes:\n  r: { breaker: { rwo: 3 }, rules: [ { use: warm } ] }\n", "routes.yaml:2:19: unknown key 'rwo' of breaker; did you mean 'row'?"),
    ("routes: { r: [ { when: in lists.nobody, use: warm } ] }", "routes.yaml:1:"),
])
def test_a_mistake_keeps_the_old_routes_and_shows_where_it_is(serve, models, text, words):
    models.write("other/model.echo", "input z INT64 [-1]\n")
    models.write("warm/model.yaml", "labels: { canary: 1 }\n")
    models.write("routes.yaml", "routes: { r: [ { use: cold } ] }")
    server = serve(models.path).wait_ready()
    server.wait(lambda: "r" in routes(server), "the route")
    models.write("routes.yaml", text)
    status, reply = load(server, "r")
    assert status == 400 or status == 409, reply
    assert words in reply["error"]
    assert "^" in reply["error"] or "the repository has" in words  # two names that meet have no column of their own
    assert who(server, "r") == "cold"
    server.wait(lambda: words in index(server)["r/1"][1], "the reason in the index")
    assert server.metric("troupe_route_reloads_total", result="refused") >= 1
    server.wait(lambda: words in server.log(), "the words in the log")
    models.write("routes.yaml", "routes: { r: [ { use: warm } ] }")
    assert load(server, "r")[0] == 200
    server.wait(lambda: who(server, "r") == "warm", "the new route")
    server.wait(lambda: index(server)["r/1"][1] == "", "the trouble to be over")


@pytest.mark.parametrize("how", WATCHED)
def test_a_changed_file_is_taken_up_by_itself(serve, models, how):
    server = serve(models.path, settings=WATCHED[how]).wait_ready()
    put("routes: { r: [ { use: cold } ] }", models.path / "routes.yaml")
    server.wait(lambda: "r" in routes(server), "the route")
    put("routes: { r: [ { use: warm } ] }", models.path / "routes.yaml")
    server.wait(lambda: who(server, "r") == "warm", "the new rule")
    (models.path / "routes.yaml").unlink()
    server.wait(lambda: "r" not in routes(server), "the route to go")
    assert ask(server, "r")[0] == 404


def test_a_folder_may_declare_a_route(serve, models):
    models.write("chooser/model.yaml", "route:\n  - when: params.n == 1\n    use: cold\n  - use: warm\n")
    server = serve(models.path).wait_ready()
    server.wait(lambda: "chooser" in routes(server), "the route")
    assert who(server, "chooser", {"n": 1}) == "cold" and who(server, "chooser") == "warm"
    assert index(server)["chooser/1"][0] == "READY"


def test_a_storm_of_reloads_costs_no_request(serve, models):
    """Rules change while clients ask: each request is answered by the old rules or by the new ones."""
    models.write("routes.yaml", ROUTES)
    server = serve(models.path).wait_ready("cold", "warm", "deep", "next")
    server.wait(lambda: "recommend" in routes(server), "the route")
    failures, answered, stopped = [], [], threading.Event()

    def hammer(number):
        with triton_http.InferenceServerClient(server.url, network_timeout=60 * SLOW) as client:
            tensor = triton_http.InferInput("x", [2], "FP32")
            tensor.set_data_from_numpy(np.array([1, 2], np.float32))
            while not stopped.is_set():
                try:
                    client.infer("recommend", [tensor], parameters={"purchases": number % 2, "user": f"u{number}"})
                    answered.append(number)
                except InferenceServerException as error:
                    failures.append(str(error))

    threads = [threading.Thread(target=hammer, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(20):
            models.write("routes.yaml", ROUTES.replace("90", str(80 + turn % 10)) if turn % 3 else ROUTES + "  broken: 7\n")
            load(server, "recommend")
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
    assert not failures and len(answered) > 20


def test_the_command_line_explains(routed, models):
    answer = subprocess.run([str(TROUPE), "explain", "recommend", "x=[1,2]", "--param", "purchases=0", "--server", routed.url],
                            capture_output=True, text=True, timeout=60 * SLOW)
    assert answer.returncode == 0, answer.stderr
    assert "rule 1" in answer.stdout and "cold" in answer.stdout and "params.purchases == 0" in answer.stdout
    text = command(routed, "explain", "recommend", "x=[1,2]", "--param", "user=\x1b[2Jann\n")
    assert r"params.user = '\x1b[2Jann\x0a'" in text and "\x1b" not in text
    models.write("routes.yaml", ROUTES + "  shaped:\n    - when: inputs.x.shape == [2]\n      use: cold\n    - use: warm\n")
    assert load(routed, "shaped")[0] == 200
    assert "inputs.x.shape = [3]" in command(routed, "explain", "shaped", "x=[1,2,3]")


def test_what_is_explained_is_what_is_served_over_either_protocol(serve, models):
    models.write("routes.yaml", "routes:\n  r:\n    - { when: request.protocol == 'grpc', use: cold }\n"
                                "    - { when: request.protocol == 'internal', use: deep }\n    - use: warm\n")
    server = serve(models.path).wait_ready("cold", "warm", "deep")
    server.wait(lambda: "r" in routes(server), "the route")

    def explained(**fields):
        return post(server, "/api/routes/r/explain", json.loads(body_of()) | fields)
    with clients(server) as both:
        for name, client in both.items():
            library = triton_http if name == "http" else triton_grpc
            tensor = library.InferInput("x", [2], "FP32")
            tensor.set_data_from_numpy(np.array([1, 2], np.float32))
            served = client.infer("r", [tensor]).get_response()
            served = served["model_name"] if name == "http" else served.model_name
            assert explained(protocol=name)[1]["chosen"]["model"] == served == {"http": "warm", "grpc": "cold"}[name]
    assert explained()[1]["chosen"]["model"] == "warm", "as it came"
    assert explained(protocol="internal")[1]["chosen"]["model"] == "deep"
    assert explained(protocol="gprc") == (400, {"error": "Unable to parse 'protocol': 'gprc' is not http, grpc or internal"})
    assert "warm answers" in command(server, "explain", "r", "x=[1,2]")
    assert "cold answers" in command(server, "explain", "r", "x=[1,2]", "--protocol", "grpc")
    assert "--protocol needs http, grpc or internal" in command(server, "explain", "r", "x=[1,2]", "--protocol", "gprc", code=2)
    assert who(server, "r") == "warm"  # a body's `protocol` is nothing to a request that is answered
    status, reply = post(server, "/v2/models/r/infer", json.loads(body_of()) | {"protocol": "grpc"})
    assert status == 200 and reply["model_name"] == "warm"


def command(server, *words, code=0):
    done = subprocess.run([str(TROUPE), *words, "--server", server.url], capture_output=True, text=True, timeout=60 * SLOW)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stdout + done.stderr


NESTED = """\
routes:
  outer:
    - when: params.n == 1
      use: inner
    - when: params.m == 2
      use: cold
    - use: warm
  inner:
    breaker: { row: 1, pause: 10m }
    rules:
      - split: { broken: 1000000, cold: 1 }
        sticky: params.user
        timeout: 20s
        hedge: 15s
        fallback: warm
"""


def test_explain_tells_what_would_happen(serve, models):
    models.write("broken/model.echo", PLAIN + "fail BACKEND_FAILED it is broken\n")
    models.write("routes.yaml", NESTED)
    server = serve(models.path).wait_ready("broken", "warm", "cold")
    server.wait(lambda: "outer" in routes(server), "the route")
    said = explain(server, "outer", {"n": 1, "m": 2, "user": "ann"})
    assert [(r["asked"], r["chosen"]) for r in said["rules"]] == [(True, True), (False, False), (False, False)]
    assert said["rules_not_asked"] == 2 and said["rules"][1]["when"]["value"] is True
    assert said["chosen"]["timeout_ms"] is None and said["chosen"]["hedge"] is None and said["chosen"]["key"] is None
    inner = said["chosen"]["then"]
    assert inner["route"] == "inner" and inner["chosen"]["target"] == "broken" and inner["chosen"]["then"] is None
    assert inner["chosen"]["key"]["value"] == "ann" and inner["chosen"]["timeout_ms"] == 20000
    assert inner["chosen"]["hedge"]["wait_ms"] == 15000 and inner["chosen"]["retries"] == 0
    assert inner["chosen"]["order"] == [{"target": "broken", "breaker": "closed", "passed_by": False, "trouble": None},
                                        {"target": "warm", "breaker": "closed", "passed_by": False, "trouble": None}]
    assert who(server, "outer", {"n": 1, "user": "ann"}) == "warm"  # and that opened the breaker
    inner = explain(server, "outer", {"n": 1})["chosen"]["then"]["chosen"]
    assert inner["order"][0] == {"target": "broken", "breaker": "open", "passed_by": True, "trouble": None}
    assert inner["key"]["value"] is None and "missing" in inner["key"]["why"] and inner["by"] == "chance"
    text = subprocess.run([str(TROUPE), "explain", "outer", "x=[1,2]", "--param", "n=1", "--server", server.url],
                          capture_output=True, text=True, timeout=60 * SLOW).stdout
    for words in ["rule 2 (not asked)  params.m == 2  is  unknown", "route inner", "broken is passed by: its breaker is open",
                  "so warm is asked", "each attempt has 20000 ms", "after 15000 ms", "the key params.user is unknown"]:
        assert words in text, text


def test_the_command_line_shows_routes_beside_models(routed):
    lines = command(routed, "ls").splitlines()
    assert lines[0].split()[:4] == ["MODEL", "KIND", "VERSION", "STATE"]
    rows = {line.split()[0]: line for line in lines[1:]}
    assert rows["recommend"].split()[1:4] == ["route", "-", "READY"] and "x FP32[-1]" in rows["recommend"]
    assert rows["cold"].split()[1:3] == ["model", "1"]
    assert "recommend" not in command(routed, "ls", "--name", "*")
    told = json.loads(command(routed, "ls", "--json"))
    assert len(told["models"]) == 4 and told["routes"][0]["kind"] == "route" and told["trouble"] == ""

    text = command(routed, "inspect", "recommend")
    assert "\nroute\n" in text and "routes.yaml:2" in text and "params.purchases == 0" in text and "deep, next" in text
    assert "\ninputs\n  x  FP32  [-1]" in text
    told = json.loads(command(routed, "inspect", "recommend", "--json"))
    assert told["ready"] and told["inputs"][0]["name"] == "x" and len(told["rules"]) == 3
    assert "is a route" in command(routed, "ps", "recommend", code=1)
    assert "is called 'nobody'" in command(routed, "inspect", "nobody", code=4)
    for words in (["explain", "recomend"], ["inspect", "recommned"], ["infer", "recomment", "x=[1]"]):
        assert "did you mean 'recommend'?" in command(routed, *words, code=4)
    text = command(routed, "infer", "recommend", "x=[1,2]", "--param", "purchases=0")
    assert "cold answered (route recommend, rule 1 -> cold/1)" in text
    assert "answered" not in command(routed, "infer", "cold", "x=[1,2]")


def test_ls_tells_what_was_not_taken_up(routed, models):
    models.write("routes.yaml", ROUTES.replace("use: warm", "use: wram"))
    assert load(routed, "recommend")[0] == 400
    text = command(routed, "ls")
    assert "recommend" in text and "\nnot taken up: " in text and "did you mean 'warm'?" in text
    routed.wait(lambda: any(line.endswith(" ^\n") for line in routed.lines), "the caret in the log")
    assert "\\n" not in routed.log()


def test_a_cold_server_explains_the_bytes_of_a_file(serve, repository, tmp_path):
    for name in ("picture", "text"):
        repository.write(f"{name}/model.echo", "input content BYTES [1]\noutput said BYTES [1]\n")
    repository.write("routes.yaml", "routes:\n  describe:\n    - when: inputs.content.kind == 'image'\n      use: picture\n"
                                    "    - use: text\n")
    server = serve(repository.path, "--set", "models.load=on_demand")
    server.wait(lambda: "describe" in routes(server), "the route")
    server.wait(lambda: server.get("/v2/models/describe")[0] == 200, "its metadata")
    picture = tmp_path / "a.png"
    picture.write_bytes((ROOT / "examples/inputs/digit_3.png").read_bytes())
    assert "picture answers" in command(server, "explain", "describe", f"content=@{picture}")
    assert "text answers" in command(server, "explain", "describe", "content=some words")
    assert "text answers" in command(server, "explain", "describe", 'content="@home"')
    assert f"content=@{picture}" in command(server, "explain", "describe", f"content={picture}", code=1)
    assert all(m["state"] == "COLD" for m in json.loads(command(server, "ls", "--json"))["models"])
    assert "picture answered" in command(server, "infer", "describe", f"content=@{picture}")


def test_the_configuration_tells_a_mistake_in_routes(models):
    def config():
        return subprocess.run([str(TROUPE), "config", str(models.path)], capture_output=True, text=True, timeout=60 * SLOW)
    assert config().returncode == 0
    models.write("routes.yaml", ROUTES + "lists: { known: known.txt }\n")
    models.write("known.txt", "ann\n")
    assert config().returncode == 0
    models.write("routes.yaml", ROUTES.replace("use: warm", "usee: warm"))
    answer = config()
    assert answer.returncode == 1 and "did you mean 'use'?" in answer.stderr and "^" in answer.stderr
    models.write("routes.yaml", "ensembles: { e: { members: [warm, r], vote: mean } }\nroutes: { r: [ { use: e } ] }\n")
    answer = config()
    assert answer.returncode == 1 and "leads back to itself: 'r' asks 'e', which asks 'r'" in answer.stderr, answer.stderr
    models.write("routes.yaml", "cascades: { warm: { steps: [warm, cold], threshold: 0.5 } }\n")
    answer = config()
    assert answer.returncode == 1 and "cascade 'warm' leads back to itself: 'warm' asks 'warm'" in answer.stderr, answer.stderr


BAD_ENSEMBLE = "ensemble: { members: [warm, cold], vote: meen }\n"
GOOD_ENSEMBLE = "ensemble: { members: [warm, cold], vote: mean }\n"


def test_a_folder_that_is_wrong_takes_nobody_else_away(serve, models):
    models.write("pair/model.yaml", BAD_ENSEMBLE)
    models.write("chooser/model.yaml", "route: [ { use: nobody } ]\n")
    models.write("alone/model.yaml", "route: [ { use: warm } ]\n")
    models.write("routes.yaml", "routes: { r: [ { when: params.n == 1, use: pair }, { use: cold } ] }\n")
    server = serve(models.path).wait_ready()
    server.wait(lambda: "r" in routes(server), "the routes")
    assert who(server, "r") == "cold" and who(server, "alone") == "warm"
    state, reason = index(server)["pair/1"]
    assert state == "UNAVAILABLE" and "model.yaml:1" in reason and "did you mean 'mean'?" in reason
    state, reason = index(server)["chooser/1"]
    assert state == "UNAVAILABLE" and "no model, route or composition 'nobody'" in reason
    assert "rule 1" in index(server)["r/1"][1] and index(server)["alone/1"] == ("READY", "")
    server.wait_logged("ensemble 'pair' is not taken up")
    status, reply = ask(server, "pair")
    assert status == 503 and "did you mean 'mean'?" in reply["error"]
    assert ask(server, "r", {"n": 1})[0] == 503
    assert server.get("/v2/models/pair")[0] == 503 and server.get("/v2/models/pair/ready")[0] == 400
    assert server.get("/v2/models/pair/stats")[0] in (200, 400) and server.get("/v2/models/stats")[0] == 200
    assert server.get("/metrics")[0] == 200 and server.get("/v2/models/pair/config")[0] == 503
    status, reply = load(server, "pair")
    assert status == 400 and "did you mean 'mean'?" in reply["error"]
    models.write("pair/model.yaml", GOOD_ENSEMBLE)
    assert load(server, "pair")[0] == 200
    server.wait(lambda: ask(server, "pair")[0] == 200, "the ensemble")
    assert ask(server, "r", {"n": 1})[0] == 200
    models.write("pair/model.yaml", BAD_ENSEMBLE)  # what served goes on, and the others change
    models.write("routes.yaml", "routes: { r: [ { use: warm } ] }\n")
    status, reply = load(server, "pair")
    assert status == 400 and "did you mean 'mean'?" in reply["error"]
    server.wait(lambda: who(server, "r") == "warm", "the new rule")
    assert ask(server, "pair")[0] == 200
    server.wait(lambda: "mean" in index(server)["pair/1"][1], "the reason")
    assert index(server)["pair/1"][0] == "READY" and index(server)["r/1"] == ("READY", "")


@pytest.mark.parametrize("x, y, new_y", [("route: [ { use: y } ]\n", GOOD_ENSEMBLE, "ensemble: { members: [warm, x] }\n"),
                                         ("route: [ { use: y } ]\n", "route: [ { use: warm } ]\n",
                                          "route: [ { when: params.n == 1, use: x }, { use: warm } ]\n")])
def test_nobody_is_taken_up_who_leads_back_to_what_goes_on(serve, models, x, y, new_y):
    """One edit turns two folders round, and one of them is wrong: looking whether they are ready would never end."""
    models.write("x/model.yaml", x)
    models.write("y/model.yaml", y)
    server = serve(models.path).wait_ready()
    server.wait(lambda: ask(server, "x")[0] == 200, "what leads to the other")
    models.write("x/model.yaml", BAD_ENSEMBLE)
    models.write("y/model.yaml", new_y)
    status, reply = load(server, "y")
    assert status == 400 and "leads back to itself" in reply["error"], reply
    assert "meen" in index(server)["x/1"][1] and "leads back to itself" in index(server)["y/1"][1]
    for name in "xy":
        assert ask(server, name, {"n": 1})[0] == 200 and server.get(f"/v2/models/{name}/ready")[0] == 200
    explain(server, "x", {"n": 1})
    models.write("x/model.yaml", "route: [ { use: cold } ]\n")
    assert load(server, "y")[0] == 200
    assert who(server, "x") == "cold" and index(server)["y/1"] == ("READY", "")


def test_folders_do_not_wait_for_routes_yaml(serve, models):
    models.write("pair/model.yaml", GOOD_ENSEMBLE)
    models.write("alone/model.yaml", "route: [ { use: warm } ]\n")
    models.write("routes.yaml", "routes: { r: [ { use: wram } ] }\n")
    server = serve(models.path).wait_ready()
    server.wait(lambda: "alone" in routes(server), "the route")
    server.wait(lambda: ask(server, "pair")[0] == 200, "the ensemble")
    assert who(server, "alone") == "warm" and index(server)["alone/1"] == ("READY", "")
    assert "wram" in json.loads(server.get("/api/routes")[1])["trouble"]
    status, reply = load(server, "r")
    assert status == 400 and "did you mean 'warm'?" in reply["error"], reply
    models.write("routes.yaml", "routes: { r: [ { use: warm } ] }\n")
    assert load(server, "r")[0] == 200  # a name that was not in force
    server.wait(lambda: "r" in routes(server) and who(server, "r") == "warm", "the route")
    assert json.loads(server.get("/api/routes")[1])["trouble"] == ""


def test_loading_a_new_name_reads_the_file_and_a_name_that_went_is_refused(serve, models):
    models.write("routes.yaml", "routes: { r: [ { use: warm } ] }\n")
    server = serve(models.path).wait_ready()
    server.wait(lambda: "r" in routes(server), "the route")
    models.write("routes.yaml", "routes: { new: [ { use: cold } ] }\n")
    assert load(server, "new")[0] == 200
    server.wait(lambda: "r" not in routes(server) and who(server, "new") == "cold", "the new route")
    models.write("routes.yaml", "routes: {}\n")
    assert load(server, "new")[0] != 200
    status, reply = load(server, "nobody")
    assert status != 200 and "no model 'nobody'" in reply["error"]


def test_a_condition_names_models_that_there_are(serve, models):
    models.write("routes.yaml", "routes: { r: [ { use: cold } ] }\n")
    server = serve(models.path).wait_ready()
    server.wait(lambda: "r" in routes(server), "the route")
    models.write("routes.yaml", "routes:\n  r:\n    - when: models.wram.p99 > 30ms\n      use: warm\n    - use: cold\n")
    status, reply = load(server, "r")
    assert status == 400 and "routes.yaml:3:20" in reply["error"] and "did you mean 'warm'?" in reply["error"], reply
    models.write("routes.yaml", "routes:\n  r:\n    - when: models.warm.p99 > 30ms || models['r'].busy > 5\n"
                 "      use: warm\n    - use: cold\n")
    assert load(server, "r")[0] == 200


def test_what_did_not_change_goes_on_counting(serve, models):
    text = "routes:\n  r:\n    - when: params.n == 1\n      use: warm\n    - use: cold\n"
    models.write("pair/model.yaml", GOOD_ENSEMBLE)
    models.write("routes.yaml", text)
    server = serve(models.path).wait_ready()
    server.wait(lambda: "r" in routes(server) and ask(server, "pair")[0] == 200, "all of them")
    for _ in range(3):
        who(server, "r", {"n": 1})

    def counted(name):
        return json.loads(server.get(f"/v2/models/{name}/stats")[1])["model_stats"][0]["inference_stats"]["success"]["count"]

    pairs = counted("pair")
    assert counted("r") == 3 and pairs >= 1 and routes(server)["r"]["rules"][0]["matched"] == 3
    models.write("routes.yaml", text + "  other: [ { use: warm } ]\n")
    assert load(server, "other")[0] == 200
    server.wait(lambda: "other" in routes(server), "the new one")
    assert counted("r") == 3 and counted("pair") == pairs and routes(server)["r"]["rules"][0]["matched"] == 3
    models.write("routes.yaml", text.replace("== 1", "== 2"))
    assert load(server, "r")[0] == 200
    server.wait(lambda: routes(server)["r"]["rules"][0]["matched"] == 0, "another rule, which has counted nothing")
    assert counted("r") == 3 and counted("pair") == pairs
