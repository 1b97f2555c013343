"""Warm-up requests whose data lie in files, with ONNX Runtime: numbers and strings, a batch, a file that is mended while the server watches."""
import json
import struct

from triton_support import GOOD

CONFIG = """
model_warmup {
  name: "from files" batch_size: 1 count: 3
  inputs { key: "x" value { data_type: %s dims: %s input_data_file: "data/%s" } }
}
"""


def strings(*texts):
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def add(repository, model, dtype, dims, file, data):
    repository.add(GOOD / f"{model}.onnx", f"{model}/1/model.onnx")
    repository.write(f"{model}/config.pbtxt", CONFIG % (dtype, dims, file))
    folder = repository.path / model / "warmup/data"
    folder.mkdir(parents=True)
    (folder / file).write_bytes(data)


def reason(server, model):
    index = json.loads(server.request("POST", "/v2/repository/index", b"")[1])
    return "".join(m.get("reason", "") for m in index if m["name"] == model)


def test_a_model_is_warmed_with_files_before_it_is_ready(serve, repository):
    add(repository, "identity_fp32", "TYPE_FP32", "[ 2, 3 ]", "numbers", struct.pack("<6f", *range(6)))
    add(repository, "identity_bytes", "TYPE_STRING", "[ 2, 1 ]", "words", strings(b"cat", b""))
    server = serve(repository.path).wait_ready("identity_fp32", "identity_bytes")
    assert "input_data_file" not in server.log()  # once it was passed over with a warning
    assert server.metric("troupe_model_loads_total", result="ok") == 2


def test_a_half_written_file_fails_the_load_and_is_tried_again_when_it_is_whole(serve, repository):
    whole = struct.pack("<6f", *range(6))
    add(repository, "identity_fp32", "TYPE_FP32", "[ 2, 3 ]", "numbers", whole[:10])
    add(repository, "identity_bytes", "TYPE_STRING", "[ 2, 1 ]", "words", strings(b"cat", b"dog")[:-1])
    server = serve(repository.path, settings={"repository.watch": "notify", "repository.settle": "100ms"})
    server.wait(lambda: reason(server, "identity_fp32") and reason(server, "identity_bytes"), "both loads to fail")
    assert "10 bytes" in reason(server, "identity_fp32") and "24" in reason(server, "identity_fp32")
    assert "element 1 of 2" in reason(server, "identity_bytes")
    (repository.path / "identity_fp32/warmup/data/numbers").write_bytes(whole)
    (repository.path / "identity_bytes/warmup/data/words").write_bytes(strings(b"cat", b"dog"))
    server.wait_ready("identity_fp32", "identity_bytes")
    assert reason(server, "identity_fp32") == ""
