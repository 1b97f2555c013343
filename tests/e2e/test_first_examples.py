"""What docs/routing.md and docs/composition.md begin with works as it is written, and so does every other example in them."""
import json
import re
import subprocess

import numpy as np
import pytest
import tritonclient.http as triton_http

from conftest import ROOT, TROUPE
from test_composition import DIGITS, ask, digits, wait_for

KINDS = ROOT / "examples/kinds"


def examples_of(page):
    return re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / page).read_text(), re.M | re.S)


def first_example(page):
    return examples_of(page)[0]


def cli(server, *words):
    done = subprocess.run([TROUPE, *words, "--server", server.url], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_six_lines_choose_by_what_kind_of_thing_came(serve):
    lines = first_example("routing.md")
    assert lines.count("\n") == 6
    assert (KINDS / "routes.yaml").read_text().startswith(lines), "the example is the committed file"
    server = serve(KINDS)
    wait_for(server, "digit", "digit_of_picture")
    for value, digit, who in [("seven", 7, "digit_of_word"), ("@examples/inputs/digit_3.png", 3, "digit_of_picture"),
                              ("@examples/inputs/digit_7.png", 7, "digit_of_picture"), ("@examples/inputs/digit_3.npy", -1, "no_digit")]:
        reply = json.loads(cli(server, "infer", "digit", f"content={value}", "--json"))
        assert (reply["model_name"], reply["outputs"][0]["data"]) == (who, [digit]), value
        assert f"{who} answers (route digit, rule" in cli(server, "explain", "digit", f"content={value}")
    assert re.search(r"^digit +route ", cli(server, "ls"), re.M)
    cli(server, "inspect", "digit")


@pytest.mark.parametrize("name", ["digits", "digits_cheap", "digit_of_file"])
def test_compositions_of_the_first_example_answer(serve, repository, name):
    for model in DIGITS:
        source = ROOT / "examples/models" / model
        repository.add(source if source.is_dir() else source.with_suffix(".onnx"))
    repository.add(KINDS / "digit_reader")
    repository.write("routes.yaml", next(e for e in examples_of("composition.md") if f"  {name}:" in e))
    server = serve(repository.path)
    wait_for(server, name)
    if name == "digit_of_file":
        assert re.search(r"^digit +INT64 +\[1\] +3$", cli(server, "infer", name, "file=@examples/inputs/digit_3.png"), re.M)
        return
    with triton_http.InferenceServerClient(server.url) as client:
        said = ask(client, name, digits()).as_numpy("probabilities").argmax(1)
    assert np.count_nonzero(said == np.arange(10)) >= 9


@pytest.mark.parametrize("page", ["routing.md", "composition.md"])
def test_a_page_begins_with_something_to_try(page):
    lines = (ROOT / "docs" / page).read_text().splitlines()
    assert "```yaml" in lines[:6] and "```" in lines[6:14], "an example of ten lines at most, and soon"
    after = "\n".join(lines[lines.index("```"):][:6])
    assert "`troupe infer " in after, "and what to do with it"


# ---- the others ----

TAKES = "input user INT64 [-1]\noutput items INT64 [-1]\n"
OTHERWISE = "input user_id INT32 [-1]\ninput k INT64 [-1]\noutput top_items INT32 [-1]\noutput rest INT64 [-1]\n"


def wrapped(example):
    """An example as a whole file: rules and routes that stand alone get what is around them in the page."""
    if example.startswith("    - "):
        rules = re.split(r"^(?=    - )", example, flags=re.M)[1:]
        return "routes:\n" + "".join(f"  r{i}:\n{rule}" for i, rule in enumerate(rules))
    return "routes:\n" + example if example.startswith("  ") else example


@pytest.mark.parametrize("example", [e for e in examples_of("routing.md")[1:] if "pipelines:" not in e], ids=lambda e: re.sub(r"\W+", "_", e.strip())[:40])
def test_every_example_of_routes_answers(serve, repository, example):
    otherwise = "user_id" in example
    for name in ("popularity", "content_based", "collaborative", "two_tower", "two_tower_small"):
        for version in (1, 2, 3):
            repository.write(f"{name}/{version}/model.echo", OTHERWISE if otherwise and name == "two_tower" else TAKES)
        repository.write(f"{name}/model.yaml", "version_policy: {all: {}}\nlabels: {canary: 2, next: 3}\n")
    repository.write("lists/with_history.txt", "ann\n")
    repository.write("routes.yaml", wrapped(example))
    server = serve(repository.path)
    names = re.findall(r"^  (\w+):$", wrapped(example), re.M)
    assert names
    wait_for(server, *[n for n in names if n in wrapped(example).split("lists:")[0]])
    for name in names:
        body = {"parameters": {"purchases": 1, "user": "ann"}, "inputs": [{"name": "user", "datatype": "INT64", "shape": [2], "data": [3, 4]}]}
        for tenant in ("gold", "other"):
            status, reply, _ = server.request("POST", f"/v2/models/{name}/infer", json.dumps(body).encode(), {"troupe-tenant": tenant})
            reply = json.loads(reply)
            assert status == 200 and reply["outputs"][0] == {"name": "items", "datatype": "INT64", "shape": [2], "data": [3, 4]}, reply
            if otherwise:
                assert reply["model_name"] == ("two_tower" if tenant == "gold" else "popularity")


def test_the_ensemble_that_learns_learns(serve, repository):
    """The third example of docs/composition.md, and the requests below it."""
    for model in DIGITS:
        source = ROOT / "examples/models" / model
        repository.add(source if source.is_dir() else source.with_suffix(".onnx"))
    example, = (e for e in examples_of("composition.md") if "learn: true" in e)
    repository.write("routes.yaml", example)
    server = serve(repository.path)
    wait_for(server, "digits")
    lines = re.search(r"^```sh\n(.*?)^```$", (ROOT / "docs/composition.md").read_text(), re.M | re.S).group(1)
    inputs = json.dumps([{"name": "image", "datatype": "FP32", "shape": [1, 64], "data": digits()[3].tolist()}])
    for path, data in re.findall(r"^curl localhost:8000(\S+) -d '(.*)'$", lines, re.M):
        status, reply, _ = server.request("POST", path, data.replace("[...]", inputs).encode())
        assert status == 200, reply
    learned = json.loads(reply)
    assert learned["id"] == "17" and learned["learned"][0]["model"] == "digits" and learned["learned"][0]["learned"]["outcomes"] == 1
