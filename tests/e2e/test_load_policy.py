"""`load: on_demand` and `background` are reserved words: refused where they are written, with what to write instead."""
import json
import subprocess

import pytest

from conftest import TROUPE
from triton_support import GOOD

RESERVED = ["on_demand", "background"]
WORDS = "is reserved for a later release; use startup or explicit"


@pytest.mark.parametrize("word", RESERVED)
def test_a_server_does_not_start_with_a_reserved_word(tmp_path, word):
    command = [TROUPE, "serve", tmp_path, "--listen", "127.0.0.1:0", "--set", f"models.load={word}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0
    assert f"models.load: {word} {WORDS}" in ended.stderr


def test_a_model_with_a_reserved_word_is_refused_and_the_others_serve(serve, repository):
    repository.add(GOOD / "identity_fp32.onnx", "plain.onnx")
    for word in RESERVED:
        repository.add(GOOD / "identity_fp32.onnx", f"{word}/model.onnx")
        repository.write(f"{word}/model.yaml", f"load: {word}\n")
    server = serve(repository.path)
    server.wait_ready("plain")
    models = {m["name"]: m for m in json.loads(server.request("POST", "/v2/repository/index", b"")[1])}
    for word in RESERVED:
        reason = f"{word}/model.yaml:1: load: {word} {WORDS}"
        assert models[word]["state"] == "UNAVAILABLE" and reason in models[word]["reason"]
        assert server.get(f"/v2/models/{word}/ready")[0] != 200
        status, reply, _ = server.request("POST", f"/v2/repository/models/{word}/load", b"")
        assert status == 501 and reason in json.loads(reply)["error"]
        assert reason in server.log()
    repository.write("on_demand/model.yaml", "load: explicit\n")
    assert server.request("POST", "/v2/repository/models/on_demand/load", b"")[0] == 200
