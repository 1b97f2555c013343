"""Routes that name labels of models which are loaded at the start: those are known only when the models have arrived."""
import json

from conftest import ROOT

ROUTES = "routes:\n  digits:\n    - split: {digits_mlp@stable: 95, digits_mlp@canary: 5}\n"


def test_labels_of_models_that_are_on_their_way_are_no_mistake(serve, repository):
    for version in "12":
        repository.add(ROOT / "examples/models/digits_mlp/1", f"digits_mlp/{version}")
    repository.write("digits_mlp/model.yaml", "version_policy: {all: {}}\nlabels: {stable: 1, canary: 2}\n")
    repository.write("routes.yaml", ROUTES)
    server = serve(repository.path, settings={"models.load": "startup"})
    server.wait_ready("digits_mlp", "digits")
    body = (ROOT / "examples/inputs/digit_3.json").read_bytes()
    status, reply, _ = server.request("POST", "/v2/models/digits/infer", body)
    assert status == 200, reply
    assert json.loads(reply)["model_name"] == "digits_mlp"
    assert "routes stay as they were" not in server.log() and "of the file serves" not in server.log()
