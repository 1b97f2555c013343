"""What docs/routing.md and docs/composition.md begin with works as it is written."""
import json
import re
import subprocess

import numpy as np
import pytest
import tritonclient.http as triton_http

from conftest import ROOT, TROUPE
from test_composition import DIGITS, ask, digits, wait_for

KINDS = ROOT / "examples/kinds"


def first_example(page):
    return re.search(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / page).read_text(), re.M | re.S).group(1)


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
    repository.write("routes.yaml", first_example("composition.md"))
    server = serve(repository.path)
    wait_for(server, name)
    if name == "digit_of_file":
        assert re.search(r"^digit +INT64 +\[1\] +3$", cli(server, "infer", name, "file=@examples/inputs/digit_3.png"), re.M)
        return
    with triton_http.InferenceServerClient(server.url) as client:
        said = ask(client, name, digits()).as_numpy("probabilities").argmax(1)
    assert np.count_nonzero(said == np.arange(10)) >= 9
