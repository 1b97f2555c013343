"""What a route or ensemble says of itself that serves and may refuse a client all the same: its targets take unlike numbers of rows, or
its rules give unlike outputs."""
import json

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from test_replacement import WATCHED
from test_repository import clients, index
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
    assert words in index(server)["r/1"][1] and words in server.log()
    assert words in command(server, "explain", "r", "x=[[1,2]]")
    assert "'few' takes at most 4 rows, and 'any' more: a request of more is answered without it" in index(server)["jury/1"][1]
    assert "it is in doubt: " in command(server, "explain", "jury", "x=[[1,2]]")
    assert "ensemble 'jury' goes on: " in server.log()
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
