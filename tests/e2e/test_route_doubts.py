"""What a route or ensemble says of itself that serves and may refuse a client all the same: its targets take unlike numbers of rows, or
its rules give unlike outputs."""
import json

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from test_replacement import WATCHED
from test_repository import clients, index, load
from test_routes import ask, command, routes

ROWS = "input x FP32 [-1,2]\noutput y FP32 [-1,2]\n"


def of_rows(repository, name, rows):
    repository.write(f"{name}/1/model.echo", ROWS)
    repository.write(f"{name}/config.pbtxt", f"max_batch_size: {rows}\ninput [ {{ name: 'x' data_type: TYPE_FP32 dims: [ 2 ] }} ]\n"
                                             "output [ { name: 'y' data_type: TYPE_FP32 dims: [ 2 ] } ]\n")


def config(server, name):
    return json.loads(server.get(f"/v2/models/{name}/config")[1])


def test_targets_that_take_unlike_numbers_of_rows_are_doubted_and_the_route_takes_the_fewest(serve, repository):
    of_rows(repository, "few", 4)
    of_rows(repository, "many", 64)
    repository.write("any/model.echo", ROWS)
    repository.write("routes.yaml", "routes:\n  r:\n    - { use: many, fallback: few }\n  s: [ { use: many } ]\n"
                                    "ensembles: { jury: { members: [any, few], vote: mean, quorum: 1 } }\n")
    server = serve(repository.path, settings=WATCHED["poll"]).wait_ready("few", "many", "any")
    words = "routes.yaml:3:30: 'few' takes at most 4 rows, and 'many' 64: a request of more is refused where it meets 'few'"
    server.wait(lambda: routes(server)["r"]["doubt"], "the doubt")
    assert words in routes(server)["r"]["doubt"] and not routes(server)["s"]["doubt"]
    assert config(server, "r")["max_batch_size"] == 4 and config(server, "s")["max_batch_size"] == 64
    assert words in index(server)["r/1"][1]
    server.wait_logged(words)
    assert words in command(server, "explain", "r", "x=[[1,2]]")
    assert "'few' takes at most 4 rows, and 'any' more: a request of more is answered without it" in index(server)["jury/1"][1]
    assert "it is in doubt: " in command(server, "explain", "jury", "x=[[1,2]]")
    server.wait_logged("ensemble 'jury' goes on: ")
    of_rows(repository, "few", 64)
    server.wait(lambda: not routes(server)["r"]["doubt"], "another version")
    assert config(server, "r")["max_batch_size"] == 64


@pytest.mark.parametrize("timeout", ["", ", timeout: 30s"])  # by the client's own request, and by one of the route's
def test_a_mistake_is_told_with_the_name_that_the_client_has_asked_for(serve, repository, timeout):
    repository.write("scores/model.echo", "input x FP32 [-1]\noutput y FP32 [-1]\n")
    repository.write("names/model.echo", "input x FP32 [-1]\noutput label FP32 [-1]\n")
    repository.write("routes.yaml", "routes:\n  digit:\n    - { when: params.new == 1, use: names }\n"
                                    f"    - {{ use: scores{timeout} }}\n")
    server = serve(repository.path).wait_ready("scores", "names")
    words = "routes.yaml:3:37: 'scores' gives 'y', and 'names' of another rule does not: clients are told of what the last rule gives"
    server.wait(lambda: routes(server)["digit"]["doubt"], "the doubt")
    assert words in routes(server)["digit"]["doubt"]
    with clients(server) as both:
        for module, client in (triton_http, both["http"]), (triton_grpc, both["grpc"]):
            x = module.InferInput("x", [2], "FP32")
            x.set_data_from_numpy(np.array([1, 2], dtype=np.float32))
            with pytest.raises(InferenceServerException, match="unexpected inference output 'label' for model 'digit'"):
                client.infer("digit", [x], outputs=[module.InferRequestedOutput("label")])
    assert ask(server, "digit", {"new": 1})[0] == 200


def test_what_is_found_when_models_have_loaded_is_shown_where_it_is_written(serve, repository):
    """Types that nobody knew when the files were read: the line, the column and a caret, as for what is found at reading."""
    repository.write("a/model.echo", "input x FP32 [-1,2]\noutput y FP32 [-1,2]\n")
    repository.write("b/model.echo", "input x INT64 [-1,2]\noutput y INT64 [-1,2]\n")
    repository.write("routes.yaml", "routes:\n  rule: [ { when: inputs.z.max > 1, use: b }, { use: b } ]\n"
                                    "ensembles:\n  pair: { members: { a: 1, b: 1 }, vote: mean }\n")
    repository.write("folder/model.yaml", "route:\n  - use: a\n    fallback: b\n")
    repository.write("jury/model.yaml", "ensemble:\n  members: { a: 1, b: 1 }\n  vote: mean\n")
    server = serve(repository.path, settings={"models.load": "explicit"}).wait_ready()
    server.wait(lambda: "jury/1" in index(server), "the folders to be read")
    assert index(server)["jury/1"] == ("UNAVAILABLE", "jury/model.yaml:2: step 'a': nobody knows yet what 'a' takes")
    for name in "ab":
        assert load(server, name)[0] == 200
    server.wait(lambda: all("^" in index(server)[f"{name}/1"][1] for name in ("rule", "folder", "pair", "jury")), "all to be looked at again")
    said = index(server)
    for name, words, caret in (
            ("rule", "routes.yaml:2:26: no input 'z'; there are x\n  inputs.z.max > 1\n", 9),
            ("folder", "folder/model.yaml:3:15: 'a' takes FP32 for 'x', and 'b' takes INT64: one cannot stand in for the other\n"
                       "      fallback: b\n", 16),
            ("pair", "routes.yaml:4:28: step 'b': \"x\" is FP32 [-1,2], but its input \"x\" takes INT64 [-1,2]\n"
                     "    pair: { members: { a: 1, b: 1 }, vote: mean }\n", 29),
            ("jury", "jury/model.yaml:2:20: step 'b': \"x\" is FP32 [-1,2], but its input \"x\" takes INT64 [-1,2]\n"
                     "    members: { a: 1, b: 1 }\n", 21)):
        state, reason = said[f"{name}/1"]
        assert state == ("READY" if name in ("rule", "folder") else "UNAVAILABLE")
        assert words + " " * caret + "^" in reason, reason
        place, line = words.split("\n")[:2]
        server.wait_logged(place)
        server.wait_logged(f"troupe route: {line}\n")
    status, reply = ask(server, "jury")
    assert status == 503 and "jury/model.yaml:2:20: step 'b'" in reply["error"], reply
