"""Hedges of routes: an answer that is late is asked for a second time, within a budget, and the first good answer is the answer."""
import time

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from test_repository import clients
from test_routes import PLAIN, ask, routes

ROUTES = """\
routes:
  r:
    budget: 100%
    rules:
      - use: slow
        hedge: { use: fast, after: 20ms }
  sparing:
    budget: { share: 0%, floor: 0 }
    rules:
      - use: brief
        hedge: { use: fast, after: 20ms }
  known:
    - use: fast
      hedge: p95
"""


def hedge(server, route):
    return routes(server)[route]["rules"][0]["hedge"]


def start(serve, repository):
    repository.write("slow/model.echo", PLAIN + "sleep 60s\n")
    repository.write("brief/model.echo", PLAIN + "sleep 1s\n")  # the wait for the hedge is over long before
    repository.write("fast/model.echo", PLAIN)
    repository.write("routes.yaml", ROUTES)
    server = serve(repository.path, settings={"threads.executors": 4}).wait_ready("slow", "brief", "fast")
    server.wait(lambda: "r" in routes(server), "the routes")
    return server


def test_what_is_late_is_asked_for_twice(serve, repository):
    server = start(serve, repository)
    began = time.monotonic()
    status, reply = ask(server, "r")
    assert status == 200 and reply["model_name"] == "fast", reply
    assert reply["outputs"][0]["data"] == [1.0, 2.0]
    assert reply["parameters"]["troupe_choice"] == "route r, rule 1: hedge -> fast/1"
    assert time.monotonic() - began < 50  # nobody waited for the first
    with clients(server) as both:
        for name, client in both.items():
            library = triton_http if name == "http" else triton_grpc
            tensor = library.InferInput("x", [3], "FP32")
            tensor.set_data_from_numpy(np.array([1, 2, 3], np.float32))
            answer = client.infer("r", [tensor], outputs=[library.InferRequestedOutput("y")])
            assert np.array_equal(answer.as_numpy("y"), np.array([1, 2, 3], np.float32))
    now = hedge(server, "r")
    assert now == {"target": "fast", "wait_ms": 20, "sent": 3, "won": 3, "refused": 0}
    assert server.metric("troupe_route_hedges_total", route="r", rule="1") == 3
    assert server.metric("troupe_route_hedges_won_total", route="r", rule="1") == 3


def test_a_budget_limits_it(serve, repository):
    server = start(serve, repository)
    for _ in range(2):
        status, reply = ask(server, "sparing")
        assert status == 200 and reply["model_name"] == "brief", reply
    now = hedge(server, "sparing")
    assert now["sent"] == 0 and now["refused"] == 2


def test_what_is_usual_is_found_out(serve, repository):
    server = start(serve, repository)
    assert hedge(server, "known")["wait_ms"] == 0
    for _ in range(110):
        status, reply = ask(server, "known")
        assert status == 200 and reply["model_name"] == "fast", reply

    def is_known():
        return ask(server, "known")[0] == 200 and hedge(server, "known")["wait_ms"] > 0
    server.wait(is_known, "a wait that is known")
