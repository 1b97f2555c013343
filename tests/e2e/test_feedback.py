"""Ensembles that learn whom to listen to: outcomes are told by request id, over HTTP, of requests of Triton's clients."""
import json

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from conftest import ROOT
from test_composition import DIGITS, digits, examples, wait_for  # noqa: F401 (a fixture)
from test_repository import clients

LEARNS = ("ensembles:\n  digits: { members: { digits_linear: 1, digits_mlp: 1, digits_cnn: 1 }, vote: soft, output: probabilities,\n"
          "            learn: { rate: 0.5 } }\n")


def ask(client, model, x, request_id, name="image"):
    module = triton_http if isinstance(client, triton_http.InferenceServerClient) else triton_grpc
    value = module.InferInput(name, list(x.shape), "FP32")
    value.set_data_from_numpy(x)
    return client.infer(model, [value], request_id=request_id)


def tell(server, body, expect=200):
    status, reply = server.request("POST", "/api/feedback", json.dumps(body).encode())[:2]
    assert status == expect, reply
    return json.loads(reply)


def load(server, name):
    """Reads the file again that declares it."""
    status, body = server.request("POST", f"/v2/repository/models/{name}/load", b"{}")[:2]
    assert status == 200, body


def learned(server, name):
    item, = json.loads(server.get(f"/api/routes/{name}")[1])["routes"]
    return item["learned"]


def test_weights_follow_what_turns_out_to_be_right(serve, examples):  # noqa: F811
    examples.write("routes.yaml", LEARNS)
    server = serve(examples.path).wait_ready(*DIGITS)
    wait_for(server, "digits")
    x, labels = digits(), list(range(10))
    with clients(server) as both:
        each = {name: ask(both["http"], name, x, "").as_numpy("probabilities").astype(float) for name in DIGITS}
        assert learned(server, "digits")["weights"] == dict.fromkeys(DIGITS, 1)
        losses = {name: 1 - p[np.arange(10), labels].mean() for name, p in each.items()}
        for i, client in enumerate(both.values()):
            before = server.metric("troupe_account_bytes", account="feedback")
            ask(client, "digits", x, f"request {i}")
            grown, told = server.metric("troupe_account_bytes", account="feedback") - before, server.metric("troupe_feedback_bytes")
            assert 10 * 10 * 4 < grown <= told, "what is remembered has an account, and the limit is of all that it holds"
            assert json.loads(server.get("/api/residency")[1])["accounts"]["feedback"] == before + grown
            reply = tell(server, {"id": f"request {i}", "label": labels})
            assert reply["id"] == f"request {i}" and reply["learned"][0]["model"] == "digits"
        told = learned(server, "digits")
        assert told == reply["learned"][0]["learned"] and told["outcomes"] == len(both)
        # Multiplicative weights, once more in numpy.
        weights = np.exp([-0.5 * losses[name] * len(both) for name in DIGITS])
        weights *= len(DIGITS) / weights.sum()
        np.testing.assert_allclose([told["weights"][name] for name in DIGITS], weights, rtol=1e-6)
        np.testing.assert_allclose([told["losses"][name] for name in DIGITS], list(losses.values()), rtol=1e-6)
        for name, weight in zip(DIGITS, weights):
            assert server.metric("troupe_ensemble_weight", ensemble="digits", member=name) == pytest.approx(weight, rel=1e-6)
        assert server.metric("troupe_ensemble_outcomes_total", ensemble="digits") == len(both)
        # The next answer is made with them.
        want = sum(w * each[name] for w, name in zip(weights, DIGITS)) / weights.sum()
        for client in both.values():
            np.testing.assert_allclose(ask(client, "digits", x, "").as_numpy("probabilities"), want, rtol=1e-5, atol=1e-6)
    # An outcome is learned from once; what cannot be right is refused, and may be told again.
    assert "nothing is kept of request 'request 0'" in tell(server, {"id": "request 0", "label": labels}, 404)["error"]
    assert server.metric("troupe_feedback_total", result="learned") == 2
    assert server.metric("troupe_feedback_total", result="unknown") == 1
    assert server.metric("troupe_feedback_answers") == 0


def test_what_was_learned_survives_that_the_file_is_read_again(serve, examples):  # noqa: F811
    examples.write("routes.yaml", LEARNS)
    server = serve(examples.path).wait_ready(*DIGITS)
    wait_for(server, "digits")
    x = digits()[:1]
    with clients(server) as both:
        ask(both["grpc"], "digits", x, "1")
        ask(both["grpc"], "digits", x, "2")
    tell(server, {"id": "1", "label": 0})
    before = learned(server, "digits")
    examples.write("routes.yaml", LEARNS + "  other: { members: [digits_linear, digits_mlp], vote: hard, output: probabilities, learn: true }\n")
    load(server, "digits")
    wait_for(server, "other")
    assert learned(server, "digits") == before
    tell(server, {"id": "2", "label": 0})  # asked before, told after
    assert learned(server, "digits")["outcomes"] == 2
    # Written otherwise it begins anew.
    examples.write("routes.yaml", LEARNS.replace("digits_cnn: 1", "digits_cnn: 2"))
    load(server, "digits")
    server.wait(lambda: learned(server, "digits")["outcomes"] == 0, "the new weights")
    assert learned(server, "digits")["weights"] == {"digits_linear": 1, "digits_mlp": 1, "digits_cnn": 2}


LISTS = "input x INT64 [-1,3]\noutput y INT64 [-1,3]\n"


def test_an_ensemble_behind_a_route_and_lists_of_items(serve, repository):
    for name in ("left", "right"):
        repository.write(f"{name}/model.echo", LISTS)
    repository.write("routes.yaml",
                     "ensembles: { blend: { members: { left: { inputs: { x: a } }, right: { inputs: { x: b } } }, vote: reciprocal_rank, learn: true } }\n"
                     "routes: { shop: [ { use: blend } ] }\n")
    server = serve(repository.path).wait_ready("left", "right")
    wait_for(server, "blend", "shop")
    body = {"id": "visit 7", "inputs": [{"name": n, "datatype": "INT64", "shape": [1, 3], "data": d} for n, d in (("a", [7, 5, 3]), ("b", [3, 2, 7]))]}
    assert server.request("POST", "/v2/models/shop/infer", json.dumps(body).encode())[0] == 200
    assert tell(server, {"id": "visit 7", "label": "7"}, 400)["error"].startswith("'blend': label: expected a whole number")
    said = tell(server, {"id": "visit 7", "label": 7, "model": "shop"}, 404)["error"]
    assert said.startswith("'shop' has not answered request 'visit 7'") and "the answer of 'blend', which `model` may name" in said
    assert "unknown key 'modl'" in tell(server, {"id": "visit 7", "label": 7, "modl": "blend"}, 400)["error"]
    assert "nothing is kept" in tell(server, {"id": "visit 8", "label": 7, "model": "blend"}, 404)["error"]
    said = tell(server, {"id": "visit 7", "label": 7, "model": "blend"})["learned"][0]["learned"]
    assert said["losses"]["left"] == 0 and said["losses"]["right"] == pytest.approx(2 / 3)
    assert said["weights"]["left"] > 1 > said["weights"]["right"]


def test_what_is_remembered_is_bounded(serve, repository):
    for name in ("one", "two"):
        repository.write(f"{name}/model.echo", "input x FP32 [-1,3]\noutput y FP32 [-1,3]\n")
    repository.write("routes.yaml", "ensembles: { both: { members: [one, two], learn: true } }\n")
    server = serve(repository.path, settings={"feedback.answers": "3"}).wait_ready("one", "two")
    wait_for(server, "both")
    x = np.array([[0.25, 0.5, 0.25]], np.float32)
    with clients(server) as both:
        for i in range(5):
            ask(both["http"], "both", x, str(i), "x")
        ask(both["http"], "both", x, "", "x")
        ask(both["http"], "both", x, "i" * 300, "x")
    assert server.metric("troupe_feedback_answers") == 3
    assert server.metric("troupe_feedback_forgotten_total", reason="room") == 2
    assert server.metric("troupe_feedback_forgotten_total", reason="size") == 1
    tell(server, {"id": "1", "label": 1}, 404)
    tell(server, {"id": "4", "label": 3}, 400)
    tell(server, {"id": "4", "label": 1})
    assert server.metric("troupe_feedback_total", result="refused") == 1
