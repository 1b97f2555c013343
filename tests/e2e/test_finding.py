"""Models are found by what they are for: over HTTP and by `troupe ls`, loaded or not, page by page."""
import json
import os
import subprocess
import urllib.parse

import pytest

from conftest import SLOW, TROUPE, Server
from triton_support import GOOD

MODELS = {  # name: (script, model.yaml)
    "aisles": ("input pixels FP32 [-1,3,224,224]\noutput p FP32 [-1,10]\n",
               "task: classification\ntags: [shop, vision]\ndescription: Finds the aisle.\nquality: {name: accuracy, value: 0.91}\n"),
    "aisles_large": ("input pixels FP32 [-1,3,448,448]\noutput p FP32 [-1,10]\n",
                     "task: classification\ntags: [shop, vision, slow]\nquality: {name: accuracy, value: 0.95}\n"),
    "boxes": ("input frame UINT8 [-1,-1,-1,3]\noutput boxes UINT8 [-1,-1,-1,3]\n", "task: detection\ntags: [vision]\n"),
    "sentences": ("input input_ids INT64 [-1,-1]\noutput e INT64 [-1,-1]\n", "task: embedding\n"),
    "speech": ("input features FP32 [-1,80,-1]\noutput t FP32 [-1,80,-1]\n",
               "task: transcription\ninput_kinds: {features: audio}\nquality: {name: wer, value: 0.08, lower_is_better: true}\n"),
    "plain": ("input x FP32 [-1,-1]\noutput y FP32 [-1,-1]\n", None),
}


def metadata(**entries):
    """metadata_props (field 14 of ModelProto) as protobuf: fields may stand anywhere, so they can be appended to a file."""
    out = b""
    for key, value in entries.items():
        pair = b"".join(bytes([number << 3 | 2, len(text)]) + text for number, text in ((1, key.encode()), (2, value.encode())))
        out += bytes([14 << 3 | 2, len(pair)]) + pair
    return out


@pytest.fixture(scope="module", params=["on_demand", "explicit", "startup"])
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finding")
    for name, (script, config) in MODELS.items():
        (folder / name).mkdir()
        (folder / name / "model.echo").write_text(script)
        if config:
            (folder / name / "model.yaml").write_text(config)
    for name in ("exported", "overruled"):
        (folder / name).mkdir()
        said = metadata(task="detect", tags="street, Signs", description="Signs of the street.", quality="mAP50=0.61")
        (folder / name / "model.onnx").write_bytes((GOOD / "identity_fp32.onnx").read_bytes() + said)
    (folder / "overruled/model.yaml").write_text("task: tracking\n")
    (folder / "broken").mkdir()
    (folder / "broken/model.onnx").write_bytes(b"nothing")
    (folder / "misspelt").mkdir()
    (folder / "misspelt/model.echo").write_text("")
    (folder / "misspelt/model.yaml").write_text("tags: [vision]\ntask: Image Classification\n")
    started = Server(folder, settings={"models.load": request.param}).wait_ready()
    everything = len(MODELS) + 2  # those that can be read
    started.wait(lambda: sum("inputs" in m for m in search(started)) == everything, "what every model takes to be known")
    yield started
    started.stop()


def ask(server, **query):
    status, body, _ = server.get("/api/models?" + urllib.parse.urlencode(query, doseq=True))
    return status, json.loads(body)


def search(server, **query):
    status, reply = ask(server, **query)
    assert status == 200, reply
    assert "next_page_token" not in reply
    return reply["models"]


def names(server, **query):
    return [m["name"] for m in search(server, **query)]


def test_models_are_found_by_task_tag_and_name(server):
    assert names(server, task="classification") == ["aisles", "aisles_large"]
    assert names(server, tag="vision") == ["aisles", "aisles_large", "boxes"]
    assert names(server, tag=["vision", "slow"]) == ["aisles_large"]
    assert names(server, task="classification", tag="slow", name="AISLE") == ["aisles_large"]
    assert names(server, name="a*s") == ["aisles"]
    assert names(server, task="poetry") == []


def test_models_are_found_by_what_they_take(server):
    assert names(server, input="image") == ["aisles", "aisles_large", "boxes"]
    assert names(server, input="image", dtype="FP32", shape="-1,3,224,224") == ["aisles"]
    assert names(server, input="image", dtype="FP32", shape="8,3,-1,448") == ["aisles_large"]
    assert names(server, input="text") == ["sentences"]
    assert names(server, input="audio") == ["speech"]
    assert names(server, input="image", dtype="INT64") == [], "one input must be all of it"
    assert "plain" in names(server, input="tensor", shape="3,5")


def test_a_card_says_what_its_owner_or_its_file_says(server):
    found = {m["name"]: m for m in search(server)}
    aisles = found["aisles"]
    assert aisles["task"] == "classification" and aisles["tags"] == ["shop", "vision"] and aisles["description"] == "Finds the aisle."
    assert aisles["quality"] == {"name": "accuracy", "value": 0.91, "lower_is_better": False}
    assert aisles["inputs"] == [{"name": "pixels", "datatype": "FP32", "shape": [-1, 3, 224, 224], "kind": "image", "kind_from": "signature"}]
    speech = found["speech"]
    assert speech["inputs"][0]["kind"] == "audio" and speech["inputs"][0]["kind_from"] == "owner"
    assert speech["quality"]["lower_is_better"]
    exported = found["exported"]
    assert exported["task"] == "detection" and exported["tags"] == ["street", "signs"]
    assert exported["description"] == "Signs of the street." and exported["quality"]["name"] == "map50"
    assert found["overruled"]["task"] == "tracking" and found["overruled"]["tags"] == ["street", "signs"]
    assert not {"task", "tags", "description", "quality"} & set(found["plain"])
    assert found["misspelt"]["state"] == "FAILED" and "model.yaml:2: task is" in found["misspelt"]["reason"]


def test_what_is_not_known_is_refused_with_what_was_meant(server):
    for query, words in [({"tasks": "x"}, "unknown parameter 'tasks'; did you mean 'task'?"), ({"inptu": "image"}, "did you mean 'input'?"),
                         ({"input": "picture"}, "input 'picture' is none of image"), ({"dtype": "float"}, "dtype 'float' is none of BOOL"),
                         ({"shape": "a,b"}, "shape 'a,b' is no list"), ({"state": "HAPPY"}, "state 'HAPPY' is none of READY"),
                         ({"limit": "0"}, "limit '0' is no number from 1 to 1000"), ({"limit": "1001"}, "limit '1001'"),
                         ({"page_token": "nowhere"}, "page_token 'nowhere'"), ({"task": ["a", "b"]}, "'task' comes twice")]:
        status, reply = ask(server, **query)
        assert status == 400 and words in reply["error"], (query, reply)
    assert server.get("/api/models?task=%zz")[0] == 400


def test_pages_are_complete_and_in_order(server):
    everything = search(server)
    assert everything == sorted(everything, key=lambda m: (m["name"].encode(), m.get("version", 0)))
    for limit in (1, 2, 5, 1000):
        pages, token = [], {}
        while True:
            status, reply = ask(server, limit=limit, **token)
            assert status == 200 and len(reply["models"]) <= limit
            pages += reply["models"]
            if "next_page_token" not in reply:
                break
            token = {"page_token": reply["next_page_token"]}
        assert [m["name"] for m in pages] == [m["name"] for m in everything]
    assert ask(server, limit=2, tag="vision")[1]["next_page_token"] == "boxes/1"


def test_states_can_be_asked_for(server):
    assert names(server, state="failed") == ["broken", "misspelt"]
    rest = {m["state"] for m in search(server)} - {"FAILED"}
    assert len(rest) == 1 and len(search(server, state=rest.pop())) == len(MODELS) + 2


def test_ls_finds_them_too(server):
    def ls(*words, expect=0):
        environment = dict(os.environ, TROUPE_SERVER=server.url)
        done = subprocess.run([TROUPE, "ls", *words], capture_output=True, text=True, env=environment, timeout=60 * SLOW)
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout if expect == 0 else done.stderr
    lines = ls("--task", "classification", "--tag", "shop", "--input", "image", "--dtype", "FP32", "--shape", "-1,3,224,224").splitlines()
    assert lines[0].split()[:4] == ["MODEL", "VERSION", "STATE", "TASK"]
    assert len([line for line in lines[1:] if line.startswith("aisles")]) == 1 and "classification" in lines[1]
    found = json.loads(ls("--tag", "vision", "--tag", "slow", "--json"))["models"]
    assert [m["name"] for m in found] == ["aisles_large"]
    assert "no such models" in ls("--name", "nothing like it")
    assert "TASK" not in ls("--name", "plain")
    assert "none of image" in ls("--input", "picture", expect=1)


def test_what_a_file_says_is_known_without_reading_it_again(serve, repository, tmp_path):
    said = metadata(task="detect", tags="street", description="Signs.", quality="mAP50=0.61")
    repository.write("exported.onnx", (GOOD / "identity_fp32.onnx").read_bytes() + said)
    cards = []
    for known in (0, 1):
        server = serve(repository.path, settings={"models.load": "explicit", "store.path": tmp_path / "store"}).wait_ready()
        server.wait(lambda: "inputs" in search(server)[0], "what the model takes to be known")
        cards.append({k: search(server)[0].get(k) for k in ("task", "tags", "description", "quality", "inputs")})
        assert server.metric("troupe_signatures_recalled_total") == known
        server.stop()
    assert cards[0] == cards[1] and cards[0]["task"] == "detection"


def test_ls_shows_all_pages(serve, repository):
    for i in range(1203):
        repository.write(f"m{i:04}.echo", "")
    server = serve(repository.path, settings={"models.load": "explicit"}).wait_ready()
    server.wait(lambda: len(ask(server, name="m12*")[1]["models"]) == 3, "all models to be listed")
    first = ask(server)[1]
    assert len(first["models"]) == 1000 and first["next_page_token"].startswith("m1000/")
    environment = dict(os.environ, TROUPE_SERVER=server.url)
    for words, count in (([], 1203), (["--name", "m11"], 100)):
        done = subprocess.run([TROUPE, "ls", "--json", *words], capture_output=True, text=True, env=environment, timeout=60 * SLOW)
        assert done.returncode == 0, done.stderr
        assert len(json.loads(done.stdout)["models"]) == count
