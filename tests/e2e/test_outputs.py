"""A configuration that lists only some of a file's outputs: clients see and get those, in its order, over every protocol."""
import json

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from conftest import Server
from triton_support import GOOD

X = np.arange(16, dtype=np.float32).reshape(2, 8)
MEAN, SQUARE = X.mean(axis=1, keepdims=True), X * X  # "sum" is a mean
CONFIGURATIONS = {
    "whole": (None, ["sum", "square"]),
    "turned": ("output:\n- {name: square}\n- {name: sum}\n", ["square", "sum"]),
    "second": ("output: {name: square}\n", ["square"]),
    "first": ("max_batch_size: 4\noutput: {name: sum, dims: [1]}\n", ["sum"]),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    repository = tmp_path_factory.mktemp("outputs")
    for name, (text, _) in CONFIGURATIONS.items():
        (repository / name).mkdir()
        (repository / name / "model.onnx").write_bytes((GOOD / "two_outputs.onnx").read_bytes())
        if text:
            (repository / name / "model.yaml").write_text(text)
    with_pbtxt = repository / "pbtxt"
    with_pbtxt.mkdir()
    (with_pbtxt / "model.onnx").write_bytes((GOOD / "two_outputs.onnx").read_bytes())
    (with_pbtxt / "config.pbtxt").write_text('output [ { name: "square" data_type: TYPE_FP32 dims: [ -1, 8 ] } ]')
    started = Server(repository)
    started.wait_ready(*CONFIGURATIONS, "pbtxt")
    yield started
    started.stop()


def expected(name):
    return {"sum": MEAN, "square": SQUARE}[name]


@pytest.mark.parametrize("model, names", [(m, n) for m, (_, n) in CONFIGURATIONS.items()] + [("pbtxt", ["square"])])
def test_clients_see_and_get_what_is_listed(server, model, names):
    metadata = json.loads(server.get(f"/v2/models/{model}")[1])
    assert [o["name"] for o in metadata["outputs"]] == names
    assert [o["name"] for o in json.loads(server.get(f"/v2/models/{model}/config")[1])["output"]] == names
    with triton_http.InferenceServerClient(server.url) as over_http, triton_grpc.InferenceServerClient(server.url) as over_grpc:
        assert [o.name for o in over_grpc.get_model_metadata(model).outputs] == names
        for client, module in ((over_http, triton_http), (over_grpc, triton_grpc)):
            x = module.InferInput("x", list(X.shape), "FP32")
            x.set_data_from_numpy(X)
            result = client.infer(model, [x])
            reply = result.get_response() if module is triton_http else result.get_response(as_json=True)
            assert [o["name"] for o in reply["outputs"]] == names
            for name in names:
                assert np.array_equal(result.as_numpy(name), expected(name))
                alone = client.infer(model, [x], outputs=[module.InferRequestedOutput(name)])
                assert np.array_equal(alone.as_numpy(name), expected(name))
            for hidden in {"sum", "square"} - set(names):
                with pytest.raises(InferenceServerException, match=f"unexpected inference output '{hidden}'"):
                    client.infer(model, [x], outputs=[module.InferRequestedOutput(hidden)])


def test_an_output_that_the_file_lacks_is_refused(server):
    (server.repository / "second" / "model.yaml").write_text("output: {name: cube}\n")
    status, reply, _ = server.request("POST", "/v2/repository/models/second/load")
    assert status == 400
    assert 'the file has no output "cube"; its outputs are "sum", "square"' in json.loads(reply)["error"]
