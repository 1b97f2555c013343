"""The clients of Triton against routes, in all that they can ask of a model: binary and JSON tensors, classes, shared memory, streams, asyncio,
sequences; whether the rule asks by the client's own call or by one of its own, and whoever answers under names and types of its own."""
import asyncio
import json
import queue

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio
import tritonclient.utils.shared_memory as shm

from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import InferenceServerException

from conftest import SLOW
from test_repository import clients, load
from test_routes import PLAIN, routes
from test_sequences import ECHO, ECHO_CONFIG, MINUTES

ROUTES = """\
routes:
  r:
    targets:
      other: { model: theirs, inputs: { x: pixels }, outputs: { y: top }, cast: { pixels: FP64, top: FP32 }, constants: { k: 10 } }
    rules:
      - { when: params.how == 'plain', use: own }
      - { when: params.how == 'fitted', use: other }
      - { when: params.how == 'fallback', use: broken, fallback: other }
      - { when: params.how == 'timed', use: other, timeout: 60s }
      - { when: params.how == 'hedged', use: own, hedge: 50s, shadow: other }
      - { when: params.how == 'behind', use: inner }
  inner: [ { use: own, timeout: 60s } ]
"""
HOW = {"plain": "own", "fitted": "theirs", "fallback": "theirs", "timed": "theirs", "hedged": "own", "behind": "own"}
X = np.array([0.5, 3, 2, 1], np.float32)


@pytest.fixture
def server(serve, repository):
    repository.write("own/model.echo", PLAIN)
    repository.write("theirs/model.echo", "input pixels FP64 [-1]\ninput k INT64 [1]\noutput top FP64 [-1]\noutput rest INT64 [1]\n")
    repository.write("broken/model.echo", PLAIN + "fail BACKEND_FAILED it is broken\n")
    repository.write("routes.yaml", ROUTES)
    started = serve(repository.path).wait_ready("own", "theirs", "broken")
    started.wait(lambda: "r" in routes(started), "the routes")
    return started


def tensor(library):
    x = library.InferInput("x", [4], "FP32")
    x.set_data_from_numpy(X)
    return x


def chosen(answer):
    """Who answered, and what the answer says of that."""
    reply = answer.get_response()
    if isinstance(reply, dict):
        return reply["model_name"], reply["parameters"]["troupe_choice"]
    return reply.model_name, reply.parameters["troupe_choice"].string_param


@pytest.mark.parametrize("how", HOW)
def test_tensors_classes_and_shared_memory(server, how):
    with clients(server) as both:
        for name, client in both.items():
            library = triton_http if name == "http" else triton_grpc
            asked = [{}, {"outputs": [library.InferRequestedOutput("y")]}]
            if name == "http":
                asked.append({"outputs": [library.InferRequestedOutput("y", binary_data=False)]})
            for more in asked:
                answer = client.infer("r", [tensor(library)], parameters={"how": how}, **more)
                assert answer.as_numpy("y").dtype == np.float32 and np.array_equal(answer.as_numpy("y"), X)
                who, why = chosen(answer)
                assert who == HOW[how] and why.startswith("route r, rule ") and why.endswith(f" -> {who}/1")
            answer = client.infer("r", [tensor(library)], parameters={"how": how}, outputs=[library.InferRequestedOutput("y", class_count=2)])
            assert list(answer.as_numpy("y")) == [b"3.000000:1", b"2.000000:2"]
            given, taken = (shm.create_shared_memory_region(f"{word}_{name}", f"/routes_{word}_{server.port}_{name}", 16) for word in ("in", "out"))
            try:
                shm.set_shared_memory_region(given, [X])
                for word in ("in", "out"):
                    client.register_system_shared_memory(f"{word}_{name}", f"/routes_{word}_{server.port}_{name}", 16)
                x, y = library.InferInput("x", [4], "FP32"), library.InferRequestedOutput("y")
                x.set_shared_memory(f"in_{name}", 16)
                y.set_shared_memory(f"out_{name}", 16)  # no room for FP64: what is cast goes there as clients get it
                client.infer("r", [x], parameters={"how": how}, outputs=[y])
                assert np.array_equal(shm.get_contents_as_numpy(taken, np.float32, [4]), X)
            finally:
                client.unregister_system_shared_memory()
                shm.destroy_shared_memory_region(given)
                shm.destroy_shared_memory_region(taken)


def test_outputs_that_a_model_does_not_have_come_all_the_same(server, repository):
    repository.write("routes.yaml", ROUTES + "  given:\n    targets:\n      plain: { model: own, constant_outputs: { sure: [0.25, 0.75], by: nobody } }\n"
                                             "      shaky: { model: broken, constant_outputs: { sure: [0.5, 0.5], by: nobody } }\n"
                                             "    rules:\n      - { when: params.how == 'timed', use: plain, timeout: 60s }\n"
                                             "      - { use: shaky, fallback: plain }\n")
    assert load(server, "given")[0] == 200
    with clients(server) as both:
        for name, client in both.items():
            library = triton_http if name == "http" else triton_grpc
            for how in ("timed", "fallback"):
                for asked in ([], ["sure", "y", "by"], ["by"]):
                    for binary in (True, False) if name == "http" else (None,):
                        outputs = [library.InferRequestedOutput(o, **({} if binary is None else {"binary_data": binary})) for o in asked]
                        answer = client.infer("given", [tensor(library)], parameters={"how": how}, outputs=outputs or None)
                        told = answer.get_response()
                        names = [o["name"] for o in told["outputs"]] if isinstance(told, dict) else [o.name for o in told.outputs]
                        assert names == (asked or ["y", "sure", "by"])
                        for output, values in {"y": X, "sure": np.array([0.25, 0.75], np.float32)}.items():
                            assert output not in names or np.array_equal(answer.as_numpy(output), values)
                        assert answer.as_numpy("by")[0] in (b"nobody", "nobody")
                best = client.infer("given", [tensor(library)], parameters={"how": how}, outputs=[library.InferRequestedOutput("sure", class_count=1)])
                assert list(best.as_numpy("sure")) == [b"0.750000:1"]
            region = shm.create_shared_memory_region(f"given_{name}", f"/routes_given_{server.port}_{name}", 8)
            try:
                client.register_system_shared_memory(f"given_{name}", f"/routes_given_{server.port}_{name}", 8)
                sure = library.InferRequestedOutput("sure")
                sure.set_shared_memory(f"given_{name}", 8)
                client.infer("given", [tensor(library)], outputs=[sure])
                assert list(shm.get_contents_as_numpy(region, np.float32, [2])) == [0.25, 0.75]
            finally:
                client.unregister_system_shared_memory()
                shm.destroy_shared_memory_region(region)


def test_streams_and_asyncio(server):
    answers = queue.Queue()
    with triton_grpc.InferenceServerClient(server.url) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        for i, how in enumerate([*HOW, "nobody's"]):
            client.async_stream_infer("r", [tensor(triton_grpc)], request_id=str(i), parameters={"how": how})
        met = {}
        for _ in range(len(HOW) + 1):
            result, error = answers.get(timeout=30 * SLOW)
            if error:
                assert "no rule of route 'r' matches" in str(error)
                continue
            assert np.array_equal(result.as_numpy("y"), X)
            met[list(HOW)[int(result.get_response().id)]] = chosen(result)[0]
        client.stop_stream()
    assert met == HOW

    async def ask_all():
        async with triton_http_aio.InferenceServerClient(server.url) as http, triton_grpc_aio.InferenceServerClient(server.url) as grpc:
            for library, client in ((triton_http, http), (triton_grpc, grpc)):
                assert await client.is_model_ready("r")
                all_of_it = [client.infer("r", [tensor(library)], parameters={"how": how}) for how in HOW]
                assert [chosen(answer)[0] for answer in await asyncio.gather(*all_of_it)] == list(HOW.values())
    asyncio.run(ask_all())


def test_who_answered_is_told_where_only_ascii_goes(server, repository):
    """A rule's name is anybody's text; HTTP/2 and gRPC would take no header with it."""
    repository.write("routes.yaml", ROUTES + '  named: [ { name: "größer als 100 %", use: own } ]\n  outer: [ { name: first, use: lost } ]\n'
                                             "  lost: [ { name: second, use: broken } ]\n")
    assert load(server, "named")[0] == 200
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}).encode()
    status, reply, headers = server.request("POST", "/v2/models/named/infer", body)
    assert status == 200 and json.loads(reply)["parameters"]["troupe_choice"] == "route named, rule größer als 100 % -> own/1"
    assert headers["Troupe-Choice"] == "route named, rule gr%C3%B6%C3%9Fer als 100 %25 -> own/1"
    request = pb.ModelInferRequest(model_name="named", raw_input_contents=[bytes(4)])
    request.inputs.add(name="x", datatype="FP32", shape=[1])
    with grpc.insecure_channel(server.url) as channel:
        future = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer.future(request, timeout=30 * SLOW)
        assert future.code() == grpc.StatusCode.OK and dict(future.trailing_metadata())["troupe-choice"] == headers["Troupe-Choice"]
    status, _, headers = server.request("POST", "/v2/models/outer/infer", body)
    assert status == 500 and headers["Troupe-Choice"] == "route outer, rule first -> broken", "of an error, too, the rule is the first one's"


def test_rules_see_the_same_request_over_every_protocol(server, repository):
    rules = {"bool": "params.flag == true", "int": "params.n == 5", "double": "params.d > 1.5 && params.d < 2.0", "text": "params.n == '5'",
             "header": "headers['X-Tier'] == 'gold'", "tenant": "request.tenant == 'acme' && request.class == 'batch'", "id": "request.id == 'mine'",
             "rows": "request.rows == 3 && inputs.x.bytes == 12", "mean": "inputs.x.mean == 9.0", "rest": "true"}
    asked = {"bool": {"parameters": {"flag": True}}, "int": {"parameters": {"n": 5}}, "double": {"parameters": {"d": 1.75}},
             "text": {"parameters": {"n": "5"}}, "header": {"headers": {"x-tier": "gold"}},
             "tenant": {"headers": {"troupe-tenant": "acme", "troupe-priority": "batch"}}, "id": {"request_id": "mine"},
             "rows": {"x": [1, 2, 3]}, "mean": {"x": [8, 10]}, "rest": {"parameters": {"flag": "true"}}}
    repository.write("routes.yaml", "routes:\n  seen:\n" + "".join(f"    - name: {name}\n      when: {rule}\n      use: own\n" for name, rule in rules.items())
                     + "  mine:\n    - { name: http, when: request.protocol == 'http', use: own }\n    - { name: grpc, use: own }\n")
    assert load(server, "seen")[0] == 200
    with clients(server) as both:
        for protocol, client in both.items():
            library = triton_http if protocol == "http" else triton_grpc

            def rule_of(route, x=(1, 2), headers=None, library=library, client=client, **more):
                values = np.array(x, np.float32)
                tensor_ = library.InferInput("x", list(values.shape), "FP32")
                tensor_.set_data_from_numpy(values)
                return chosen(client.infer(route, [tensor_], headers=dict(headers or {}), **more))[1]
            for name, more in asked.items():
                assert rule_of("seen", **more) == f"route seen, rule {name} -> own/1"
            assert rule_of("mine") == f"route mine, rule {protocol} -> own/1"


def test_a_route_has_settings_of_its_traces(server):
    with clients(server) as both:
        for client in both.values():
            client.update_trace_settings("r", {"trace_rate": "7"})
            told = client.get_trace_settings("r")
            assert "7" in str(told["trace_rate"] if isinstance(told, dict) else told.settings["trace_rate"].value)
            with pytest.raises(InferenceServerException, match="unknown model: 'nobody'"):
                client.get_trace_settings("nobody")


def test_a_sequence_stays_with_a_model_and_moves_its_state_on_once(serve, repository):
    """Whatever the rule does besides: a hedge or a shadow of the same model would be a step too many."""
    for name in ("one", "two"):
        repository.write(f"{name}/model.echo", ECHO + "sleep 20ms\n")
        repository.write(f"{name}/config.pbtxt", ECHO_CONFIG.format(idle_us=MINUTES, strategy="direct { }", initial=""))
    repository.write("routes.yaml", "routes:\n  split: [ { split: { one: 1, two: 1 } } ]\n"
                                    "  hedged: { budget: 100%, rules: [ { use: one, hedge: 1ms, shadow: one } ] }\n"
                                    "  timed: [ { use: one, timeout: 60s, fallback: two, shadow: two } ]\n")
    server = serve(repository.path).wait_ready("one", "two")
    server.wait(lambda: "timed" in routes(server), "the routes")
    met = set()
    with triton_grpc.InferenceServerClient(server.url) as client:
        for route in ("split", "hedged", "timed"):
            for sequence in (*range(1, 9), "a word"):
                who = set()
                for step in range(3):
                    x = triton_grpc.InferInput("x", [1, 1], "FP32")
                    x.set_data_from_numpy(np.array([[step + 1]], np.float32))
                    own = sequence if isinstance(sequence, str) else sequence + 100 * len(route)
                    answer = client.infer(route, [x], sequence_id=own, sequence_start=step == 0, sequence_end=step == 2)
                    assert answer.as_numpy("before")[0, 0] == step, "the state is what the request before has sent"
                    who.add(chosen(answer)[0])
                assert len(who) == 1
                met |= {(route, *who)}
    assert met == {("split", "one"), ("split", "two"), ("hedged", "one"), ("timed", "one")}
    assert routes(server)["hedged"]["rules"][0]["hedge"]["sent"] == 0


def test_only_what_the_route_gives_itself_may_be_asked_for(serve, repository):
    """The target has nothing left to be asked for: what asks it in a time of its own asks for all, and there is more of that than of wishes."""
    repository.write("many/model.echo", "".join(f"input x{i} FP32 [-1,4]\noutput y{i} FP32 [-1,4]\n" for i in range(6)))
    repository.write("routes.yaml", "routes:\n  inner: [ { use: many, timeout: 60s } ]\n"
                     "  r: { targets: { t: { model: inner, constant_outputs: { sure: 1.5 } } }, rules: [ { use: t } ] }\n"
                     "  direct: { targets: { t: { model: many, constant_outputs: { sure: 1.5 } } }, rules: [ { use: t } ] }\n")
    started = serve(repository.path).wait_ready("many")
    started.wait(lambda: "r" in routes(started), "the routes")
    given = [{"name": f"x{i}", "shape": [3, 4], "datatype": "FP32", "data": [1.0] * 12} for i in range(6)]
    for route in ("r", "direct"):
        status, body, _ = started.request("POST", f"/v2/models/{route}/infer", json.dumps({"inputs": given, "outputs": [{"name": "sure"}]}).encode())
        assert status == 200, body
        answer = json.loads(body)["outputs"]
        assert [(o["name"], o["shape"], o["data"]) for o in answer] == [("sure", [1], [1.5])], body
