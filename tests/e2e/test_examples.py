"""What `make run` shows a newcomer: answers in words, a curl line that repeats each of them, and a server that serves until Ctrl-C."""
import json
import re
import shlex
import signal
import subprocess
import sys

import pytest

from conftest import ROOT, SLOW, TROUPE

RUN = [sys.executable, "-u", ROOT / "examples/run", "--troupe", TROUPE, "--listen", "127.0.0.1:0"]
DIGITS = ["digits_linear", "digits_mlp", "digits_cnn"]


def digits_of(reply):
    """The most likely digit of each row."""
    data = next(o for o in reply["outputs"] if o["name"] == "probabilities")["data"]
    rows = [data[i:i + 10] for i in range(0, len(data), 10)]
    return [max(range(10), key=row.__getitem__) for row in rows]


def check_words(words, digits):
    if len(digits) == 1:
        assert words.startswith(f"it is a {digits[0]} (")
    else:
        assert words == "they are " + ", ".join(map(str, digits))


def test_asked_once_it_answers_and_ends():
    done = subprocess.run([*RUN, "--once"], capture_output=True, text=True, timeout=120 * SLOW)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^  (\w+), .* says: ", done.stdout, re.M) == DIGITS * 2
    assert done.stdout.count("it is a 3 (") == 3, done.stdout
    assert "they are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9\n" in done.stdout, "the best of them reads all"


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_its_curl_lines_repeat_its_answers_until_it_is_told_to_end(end):
    with subprocess.Popen(RUN, stdout=subprocess.PIPE, text=True) as running:
        text = ""
        for line in running.stdout:
            text += line
            if "until Ctrl-C" in line:
                break
        said = re.findall(r"says: (.*)\n +(curl .*)\n", text)
        assert len(said) == 6, text
        for words, line in said:
            done = subprocess.run(shlex.split(line), cwd=ROOT, capture_output=True, text=True, timeout=60 * SLOW)
            assert done.returncode == 0, line
            check_words(words, digits_of(json.loads(done.stdout)))
        running.send_signal(end)
        assert running.wait(60 * SLOW) == 0
        assert "Stopping." in running.stdout.read()
