"""The `troupe` command as people and scripts use it: every command, its words, its exit codes."""
import json
import os
import re
import shutil
import struct
import subprocess
import zlib

import numpy as np
import pytest

from conftest import COMPLAINT, ROOT, SLOW, TROUPE, Server
from triton_support import BAD, EXAMPLES, GOOD, make_repository

INPUTS = ROOT / "examples/inputs"
COMMANDS = ["serve", "ls", "ps", "inspect", "infer", "explain", "calibrate", "load", "unload", "pin", "unpin", "evict", "label", "scale", "prepare", "store", "simulate", "config", "version"]
DONE, FAILED, USAGE, UNREACHABLE, NOT_FOUND = range(5)
NOBODY = "127.0.0.1:1"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    repository = make_repository(folder / "models", *EXAMPLES.iterdir(), BAD / "truncated.onnx",
                                 *(GOOD / f"{m}.onnx" for m in ("string_lookup", "string_label", "scalar", "two_outputs", "identity_int64",
                                                               "identity_bool", "not_finite", "odd name: 100% of it", "fails_when_run", "inputs_64")))
    (repository / "two/1").mkdir(parents=True)
    (repository / "two/2").mkdir()
    shutil.copy(GOOD / "identity_fp32.onnx", repository / "two/1/model.onnx")
    shutil.copy(GOOD / "any_rank.onnx", repository / "two/2/model.onnx")
    (repository / "two/model.yaml").write_text("version_policy: {all: {}}\n")
    started = Server(repository, "--listen", f"unix:{folder}/it's a socket")
    started.wait_ready("digits_cnn", "two")
    yield started
    started.stop()


def troupe(*words, expect=DONE, server=None, env=None, cwd=None):
    """Runs the command; returns what it printed, or what it complained of when it was expected to fail."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TROUPE_")}
    environment.update(env or {})
    if server:
        environment["TROUPE_SERVER"] = server if isinstance(server, str) else server.url
    done = subprocess.run([TROUPE, *words], capture_output=True, text=True, env=environment, cwd=cwd, timeout=60 * SLOW)
    assert done.returncode == expect, f"exit code {done.returncode}:\n{done.stdout}{done.stderr}"
    assert not COMPLAINT.search(done.stderr), done.stderr
    if expect == DONE:
        return done.stdout
    assert done.stderr.startswith("troupe"), done.stderr
    return done.stderr


def outputs(text):
    return {o["name"]: o for o in json.loads(text)["outputs"]}


# ---- help ----

@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    text = troupe(command, "--help")
    assert text.startswith(f"troupe {command} - ") and f"Usage: troupe {command} [options]" in text and "--help" in text
    assert text == troupe(command, "-h") == troupe("help", command)
    assert max(map(len, text.splitlines())) <= 140


def test_the_overview_names_every_command():
    text = troupe("--help")
    assert re.findall(r"^  (\w+) +\S", text, re.M) == COMMANDS
    assert text == troupe("help") == troupe("-h")
    assert "there is no command 'nosuch'" in troupe("help", "nosuch", expect=USAGE)
    assert subprocess.run([TROUPE], capture_output=True, text=True).returncode == USAGE


@pytest.mark.parametrize("words, advice", [
    (["lss"], "there is no command 'lss'; did you mean 'ls'?"), (["inferr", "m"], "did you mean 'infer'?"), (["frobnicate"], "try: troupe --help"),
    (["ls", "--jsn"], "unknown option --jsn; did you mean --json?"), (["infer", "m", "--tpo=3"], "did you mean --top?"),
    (["ls", "--zzzzz"], "unknown option --zzzzz"), (["ls", "-x"], "unknown option"), (["ls", "word"], "'word' is one word too many"),
    (["ls", "--json=yes"], "--json takes no value"), (["infer"], "something is missing: MODEL"), (["ls", "--server"], "--server needs a value"),
    (["load"], "something is missing: MODEL"), (["inspect", "a", "b"], "one word too many"), (["infer", "m", "--top=many"], "--top needs a number"),
    (["infer", "m", "--param", "user"], "--param 'user' is not NAME=VALUE"), (["explain", "m", "--param", "=x"], "is not NAME=VALUE"),
    (["infer", "m", "--header", "a"], "--header 'a' is not NAME=VALUE"), (["infer", "m", "--header", "a=b\r\nc: d"], "is not NAME=VALUE"),
    (["calibrate", "a", "b", "sample.npy"], "'sample.npy' is not NAME=FILE.npy"),
    (["infer", "m", "--scale=x"], "need numbers"), (["infer", "m", "-v", "x"], "--version needs a number")])
def test_a_slip_is_met_with_advice(words, advice):
    text = troupe(*words, expect=USAGE)
    assert advice in text and "--help" in text


@pytest.mark.skipif(not shutil.which("groff"), reason="no groff here")
def test_the_manual_is_a_manual_page():
    page = troupe("--manual")
    done = subprocess.run(["groff", "-man", "-ww", "-Tascii", "-P-cbou"], input=page, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    for command in COMMANDS:
        assert re.search(rf"^ +troupe {command}\b", done.stdout, re.M)
        for option in re.findall(r"--[a-z-]+", troupe(command, "--help")):
            assert option in done.stdout
    assert "--listen, -l ADDR:PORT" in done.stdout and '"' not in done.stdout


def test_bash_completes_commands_and_options():
    def complete(*words):
        script = 'source <("$0" --bash-completion); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _troupe; printf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(["bash", "-c", script, TROUPE, "troupe", *words], capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0 and done.stderr == ""
        return done.stdout.split()
    assert complete("") == [*COMMANDS, "--help", "--version"]
    assert complete("in") == ["inspect", "infer"]
    assert complete("infer", "--t") == ["--top"]
    assert complete("inspect", "READ") == ["README.md"]


# ---- commands about a server ----

def test_ls_shows_every_model_and_why(server):
    lines = troupe("ls", server=server).splitlines()
    assert lines[0].split() == ["MODEL", "VERSION", "STATE", "ANSWERED", "INPUTS", "OUTPUTS", "REASON"]
    rows = {tuple(line.split()[:2]): line for line in lines[1:]}
    assert "READY" in rows["digits_cnn", "1"] and "image FP32[-1,64]" in rows["digits_cnn", "1"]
    assert {("two", "1"), ("two", "2")} <= set(rows)
    assert "FAILED" in rows["truncated", "1"] and "cut off" in rows["truncated", "1"]
    models = json.loads(troupe("ls", "--json", server=server))["models"]
    assert len(models) == len(rows) and all(line == line.rstrip() for line in lines)
    assert "[any]" in rows["two", "2"] and "[]" in rows["scalar", "1"]
    assert ", 60 more" in rows["inputs_64", "1"] and max(map(len, lines)) < 400
    assert troupe("ls", "-s", server.url) and troupe("ls", f"--server=http://{server.url}")


def test_a_repository_of_no_models_is_said_to_be_one(serve, repository):
    assert troupe("ls", server=serve(repository.path)).startswith("no models")


def test_servers_are_found_on_unix_sockets(server):
    address = f"unix:{server.repository.parent}/it's a socket"
    assert "digits_cnn" in troupe("ls", server=address)
    assert "3" in troupe("infer", "digits_mlp", f"image={INPUTS}/digit_3.npy", "-o", "label", server=address)


@pytest.mark.parametrize("words", [["ls"], ["infer", "m", "x=1"], ["load", "m"], ["unload", "m"], ["inspect", "m"]])
def test_a_server_that_is_not_there_is_3(words):
    text = troupe(*words, expect=UNREACHABLE, server=NOBODY)
    assert f"no server answers at {NOBODY}" in text and "is it running?" in text


def test_an_address_that_is_none_is_refused():
    assert "is not ADDR:PORT" in troupe("ls", "-s", "nowhere", expect=FAILED)


def test_what_is_wrong_with_many_models_is_said_once(serve, repository):
    for name in ("a", "b", "c"):
        repository.add(GOOD / "scalar.onnx", f"{name}.onnx")
    repository.add(GOOD / "scalar.onnx", "later/model.onnx")
    repository.write("later/model.yaml", "load: explicit\n")
    repository.write("typo/model.yaml", "max_batchsize: 3\n")
    repository.add(GOOD / "scalar.onnx", "typo/model.onnx")
    server = serve(repository.path, settings={"backends.onnxruntime.library": "/nowhere/libonnxruntime.so"}, env={"TROUPE_ONNXRUNTIME": ""})
    server.wait(lambda: troupe("ls", server=server).count("see [1]") == 3, "the loads to fail")
    text = troupe("ls", server=server)
    assert text.count("/nowhere/libonnxruntime.so") == 1 and "\n[1] " in text
    assert re.search(r"^typo .*FAILED.*did you mean \"max_batch_size\"", text, re.M)
    assert re.search(r"^later .*UNLOADED", text, re.M) and "as in: troupe load later" in text
    states = {m["name"]: m["state"] for m in json.loads(troupe("ls", "--json", server=server))["models"]}
    assert states == {"a": "FAILED", "b": "FAILED", "c": "FAILED", "later": "UNLOADED", "typo": "FAILED"}


@pytest.mark.parametrize("words", [["infer", "nobody", "x=1"], ["load", "nobody"], ["unload", "nobody"], ["inspect", "nobody"], ["infer", "two", "x=1", "-v", "9"]])
def test_what_nobody_knows_is_4(server, words):
    text = troupe(*words, expect=NOT_FOUND, server=server)
    assert "troupe ls" in text and "did you mean" not in text


@pytest.mark.parametrize("words", [["infer", "digits_mpl", "image=1"], ["explain", "digits_mpl"], ["load", "digits_mpl"], ["pin", "digits_mpl"],
                                   ["unload", "digits_mpl"], ["inspect", "digits_mpl"], ["ps", "digits_mpl"], ["load", "digits_mlp@stable"]])
def test_a_name_that_is_nearly_one_is_met_with_that(server, words):
    assert "did you mean 'digits_mlp'? what there is: troupe ls" in troupe(*words, expect=NOT_FOUND, server=server)


def test_two_letters_in_the_wrong_order_are_a_slip_of_a_short_name_too(server):
    assert "did you mean 'scalar'?" in troupe("explain", "sclaar", expect=NOT_FOUND, server=server)
    assert "did you mean" not in troupe("explain", "owt", expect=NOT_FOUND, server=server)


def test_a_version_behind_a_name_is_an_option_here(server):
    text = troupe("infer", "digits_mlp@1", "image=1", expect=NOT_FOUND, server=server)
    assert "a version is asked for by: troupe infer digits_mlp --version 1" in text


def test_models_are_loaded_and_unloaded(server):
    assert troupe("unload", "two", server=server) == "two is unloaded\n"
    listed = troupe("ls", server=server)
    assert re.search(r"^two .*UNLOADED", listed, re.M) and "as in: troupe load two" in listed
    assert "to load it: troupe load two" in troupe("inspect", "two", server=server)
    assert "to load it: troupe load two" in troupe("infer", "two", "x=[[1]]", server=server, expect=NOT_FOUND)
    assert troupe("load", "two", server=server) == "two is loaded\n"
    refusal = troupe("load", "truncated", server=server, expect=FAILED)
    assert "cut off" in refusal and not refusal.rstrip().endswith(";")
    odd = "odd name: 100% of it"
    assert troupe("unload", odd, server=server) and troupe("load", odd, server=server) == f"{odd} is loaded\n"


# ---- infer ----

def write_jpeg(path, blocks):
    """A grey baseline JPEG in which each value of `blocks` is a square of 8 x 8 pixels: only DC coefficients, quantised by 1."""
    sizes = [0, 1, 5, 1, 1, 1, 1, 1, 1] + [0] * 7  # how many codes of each length
    symbols = range(12)
    codes, code, at = {}, 0, 0
    for length, n in enumerate(sizes, 1):
        for _ in range(n):
            codes[symbols[at]], code, at = (code, length), code + 1, at + 1
        code <<= 1
    bits, last = "", 0
    for value in np.asarray(blocks).ravel():
        dc = 8 * (int(value) - 128)
        difference, last = dc - last, dc
        size = abs(difference).bit_length()
        word, length = codes[size]
        bits += f"{word:0{length}b}"
        if size:
            bits += f"{difference if difference > 0 else difference + (1 << size) - 1:0{size}b}"
        bits += "0"  # end of block, the only AC code
    bits += "1" * (-len(bits) % 8)
    data = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8)).replace(b"\xff", b"\xff\x00")

    def segment(marker, content):
        return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content
    height, width = (8 * n for n in np.shape(blocks))
    path.write_bytes(b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64) + segment(0xC0, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0")
                     + segment(0xC4, b"\0" + bytes(sizes) + bytes(symbols)) + segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\0")
                     + segment(0xDA, b"\1\1\0\0\x3f\0") + data + b"\xff\xd9")


def test_an_image_may_be_numbers_png_or_jpeg(server, tmp_path):
    digit = np.load(INPUTS / "digit_3.npy").reshape(8, 8)
    write_jpeg(tmp_path / "three.jpg", digit)
    for value, *options in ((INPUTS / "digit_3.npy",), (tmp_path / "three.jpg",), (INPUTS / "digit_3.png", "--invert"),
                            (INPUTS / "digit_3_scan.png", "--invert")):
        answer = outputs(troupe("infer", "digits_mlp", f"image={value}", "--json", *options, server=server))
        assert answer["label"]["data"] == [3], value
    white = troupe("infer", "digits_mlp", f"image={tmp_path}/three.jpg", "--scale", "0", "--offset", "1.5", "--json", server=server)
    flat = json.dumps([1.5] * 64)
    assert outputs(white) == outputs(troupe("infer", "digits_mlp", f"image={flat}", "--json", server=server))


def test_what_is_transparent_in_an_image_is_paper(server, tmp_path):
    ink = np.load(INPUTS / "digit_3.npy").reshape(8, 8)  # 0..255; drawn in black, as thick as that

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    lines = b"".join(b"\0" + b"".join(bytes([0, 0, 0, int(v)]) for v in row) for row in ink.tolist())
    (tmp_path / "ink.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 6, 0, 0, 0))
                                      + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))
    answer = outputs(troupe("infer", "digits_mlp", f"image={tmp_path}/ink.png", "--invert", "--json", server=server))
    assert answer["label"]["data"] == [3]


def test_an_image_that_is_none_is_refused(server, tmp_path):
    for name, content in (("x.png", b"no png"), ("x.jpg", b"no jpeg"), ("x.npy", b"no npy"), ("cut.png", (INPUTS / "digit_3.png").read_bytes()[:60])):
        (tmp_path / name).write_bytes(content)
        assert name.split(".")[1].upper()[:2] in troupe("infer", "digits_mlp", f"image={tmp_path / name}", server=server, expect=FAILED).upper()
    text = troupe("infer", "digits_mlp", "image=nothing.npy", server=server, expect=NOT_FOUND, cwd=tmp_path)
    assert "nothing.npy: No such file" in text and f"from {tmp_path} on" in text and "troupe ls" not in text
    assert "neither JSON nor a file" in troupe("infer", "digits_mlp", "image=x.bmp", server=server, expect=FAILED)


def test_json_comes_from_a_file_or_from_the_line(server, tmp_path):
    image = np.load(INPUTS / "digit_3.npy").reshape(-1).tolist()
    (tmp_path / "flat.json").write_text(json.dumps(image))
    (tmp_path / "rows.json").write_text(json.dumps([image, image]))
    expected = outputs(troupe("infer", "digits_cnn", f"image={INPUTS}/digit_3.npy", "--json", server=server))
    assert outputs(troupe("infer", "digits_cnn", f"image={tmp_path}/flat.json", "--json", server=server)) == expected
    assert outputs(troupe("infer", "digits_cnn", f"image={json.dumps(image)}", "--json", server=server)) == expected
    assert outputs(troupe("infer", "digits_cnn", f"image={tmp_path}/rows.json", "--json", server=server))["probabilities"]["shape"] == [2, 10]
    assert "v2/models/digits_cnn/infer -d @FILE" in troupe("infer", "digits_cnn", f"image={INPUTS}/digit_3.json", server=server, expect=FAILED)
    assert outputs(troupe("infer", "scalar", "x=41", "--json", server=server))["y"]["data"] == [42]
    assert outputs(troupe("infer", "identity_int64", "x=[[-9223372036854775808]]", "--json", server=server))["y"]["data"] == [-2**63]
    assert outputs(troupe("infer", "identity_bool", "x=[[true,false]]", "--json", server=server))["y"]["data"] == [True, False]


def test_words_are_texts_where_texts_are_wanted(server):
    assert outputs(troupe("infer", "string_lookup", "word=dog", "--json", server=server))["id"]["data"] == [2]
    assert outputs(troupe("infer", "string_lookup", 'word=["cat","dog","cow"]', "--json", server=server))["id"]["data"] == [1, 2, -1]
    assert "yes" in troupe("infer", "string_label", "id=[1]", server=server)


def test_an_answer_is_a_table(server):
    text = troupe("infer", "digits_mlp", f"image={INPUTS}/digit_3.npy", server=server)
    rows = [re.split(r"  +", line) for line in text.splitlines()]
    assert rows[0] == ["OUTPUT", "TYPE", "SHAPE", "VALUES"]
    assert rows[1][:3] == ["label", "INT64", "[1]"] and rows[1][3].strip() == "3"
    assert rows[2][:3] == ["probabilities", "FP32", "[1,10]"] and len(rows[2][3].split()) == 10
    assert "NaN" in troupe("infer", "not_finite", "x=[0]", server=server)


def test_the_best_classes_have_their_labels(server):
    text = troupe("infer", "digits_cnn", f"image={INPUTS}/digit_3.npy", "-o", "probabilities", "--top", "3", server=server)
    assert re.search(r"BYTES +\[1,3\] +0\.9\d+:3:three 0\.0", text)
    assert text == troupe("infer", "digits_cnn", f"image=@{INPUTS}/digit_3.npy", "--top", "3", server=server)
    assert "no output of floats" in troupe("infer", "identity_int64", "x=[[1]]", "--top", "3", server=server, expect=FAILED)


def test_outputs_and_versions_are_chosen(server):
    x = "x=[[1,2,3,4,5,6,7,8]]"
    assert list(outputs(troupe("infer", "two_outputs", x, "--output", "sum", "--json", server=server))) == ["sum"]
    assert list(outputs(troupe("infer", "two_outputs", x, "-o", "square", "-o", "sum", "--json", server=server))) == ["square", "sum"]
    assert "y" in troupe("infer", "two", "x=[[5]]", "-v", "1", server=server)
    for version, sign in ((None, -1), ("1", 1), ("2", -1)):
        words = ["-v", version] if version else []
        assert outputs(troupe("infer", "two", "x=[[5]]", "--json", *words, server=server))["y"]["data"] == [5 * sign]


def test_what_does_not_fit_is_told_with_what_would(server):
    takes = "digits_cnn takes: image FP32[-1,64]"
    for words in (["picture=[1]"], [], ["image=[[1,2]]"], ["image=[[[1],[2]]]"], ["image=[[1,"]):
        assert takes in troupe("infer", "digits_cnn", *words, server=server, expect=FAILED)
    for word in "image", "=3", f"{INPUTS}/digit_3.png":
        text = troupe("infer", "digits_cnn", word, server=server, expect=USAGE)
        assert f"'{word}' is not NAME=VALUE" in text and takes in text
    assert "input 'image'" in troupe("infer", "digits_cnn", "image=[[1,2]]", server=server, expect=FAILED)
    assert "input 'image'" in troupe("infer", "digits_cnn", "image=[[1,", server=server, expect=FAILED)
    assert "output" in troupe("infer", "digits_cnn", f"image={INPUTS}/digit_3.npy", "-o", "nothing", server=server, expect=FAILED)
    assert troupe("infer", "fails_when_run", "x=[1,2]", server=server, expect=FAILED)


@pytest.mark.parametrize("kind", ["tcp", "http", "unix"])
def test_the_curl_line_does_the_same(server, kind):
    where = {"tcp": server.url, "http": f"http://{server.url}", "unix": f"unix:{server.repository.parent}/it's a socket"}[kind]
    for model, value in (("digits_cnn", "image=" + json.dumps([0.5] * 64)), ("string_lookup", "word=it's \"a\" $HOME `cat`"),
                         ("odd name: 100% of it", "x=[1,2]")):
        line, answer = troupe("infer", model, value, "--curl", "--json", server=where).splitlines()
        assert line.startswith("curl ")
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
        assert done.returncode == 0 and json.loads(done.stdout) == json.loads(answer)


@pytest.mark.parametrize("model, words", [
    ("digits_cnn", [f"image={INPUTS}/digits_0_to_9.npy"]),
    ("digits_cnn", [f"image={INPUTS}/digit_3_scan.png", "--invert", "--param", "note=it's", "--header", "troupe-tenant=gold"]),
    ("string_lookup", ["word=@{}/it's.txt"]),
])
def test_the_curl_line_sends_files_too(server, tmp_path, model, words):
    (tmp_path / "it's.txt").write_bytes(b"cat")
    text = troupe("infer", model, *[w.format(tmp_path) for w in words], "--curl", "--json", server=server.url)
    line, answer = text.splitlines()
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and json.loads(done.stdout) == json.loads(answer), line
    assert ("-H 'troupe-tenant: gold'" in line) == ("--header" in words)


# ---- inspect, config, version ----

@pytest.mark.parametrize("model", sorted([*GOOD.iterdir(), *EXAMPLES.iterdir()]), ids=lambda m: m.name)
def test_inspect_tells_what_is_in_a_file_without_a_server(model):
    text = troupe("inspect", str(model), server=NOBODY)
    for title in ("model", "inputs", "outputs", "operators", "parameters"):
        assert re.search(rf"^{title}$", text, re.M), text
    report = json.loads(troupe("inspect", "--json", str(model), server=NOBODY))
    assert report["inputs"] and report["outputs"] and report["bytes"] > 0
    if "div_int64" in model.name:
        assert "hazards" in text and report["hazards"]


# What only the runtime finds out: these files are well-formed.
ONLY_THE_RUNTIME_KNOWS = {"cycle.onnx", "div_constant_zero.onnx", "external_short", "opset_99.onnx", "type_mismatch.onnx", "unknown_operator.onnx"}


@pytest.mark.parametrize("model", sorted(BAD.iterdir()), ids=lambda m: m.name)
def test_inspect_says_what_is_wrong_with_a_file(model):
    if model.name in ONLY_THE_RUNTIME_KNOWS:
        assert troupe("inspect", str(model))
    else:
        text = troupe("inspect", str(model), expect=FAILED)
        assert str(model) in text and len(text.splitlines()) == 1


def test_inspect_tells_of_a_served_model_as_of_a_file(server):
    text = troupe("inspect", "digits_cnn", server=server)
    assert text.startswith(f"digits_cnn at {server.url}\n")
    for title in ("model", "versions", "inputs", "outputs"):
        assert re.search(rf"^{title}$", text, re.M), text
    assert re.search(r"^  image +FP32 +\[-1,64\]$", text, re.M) and "of up to 64 rows" in text
    assert re.search(r"^  1  READY .* answered$", text, re.M)
    assert len(re.findall(r"^  [12]  READY ", troupe("inspect", "two", server=server), re.M)) == 2
    told = json.loads(troupe("inspect", "--json", "digits_cnn", server=server))
    assert told["metadata"]["platform"] == "onnxruntime_onnx" and told["config"]["max_batch_size"] == 64
    assert told["versions"][0]["state"] == "READY" and told["versions"][0]["inputs"] == told["metadata"]["inputs"]
    odd = "odd name: 100% of it"
    assert json.loads(troupe("inspect", "--json", odd, server=server))["name"] == odd


def test_inspect_of_a_model_that_failed_is_1_and_says_why(server):
    done = subprocess.run([TROUPE, "inspect", "truncated", "-s", server.url], capture_output=True, text=True)
    assert done.returncode == FAILED and re.search(r"^  1  FAILED +\S.*cut off", done.stdout, re.M)


def test_inspect_of_no_file_is_4(tmp_path):
    assert "No such file" in troupe("inspect", "nothing.onnx", expect=NOT_FOUND)
    assert "holds no model.onnx" in troupe("inspect", f"{tmp_path}/", expect=USAGE)


def test_inspect_of_a_repository_names_a_model_of_it(server, tmp_path):
    (tmp_path / "repo/b/3").mkdir(parents=True)
    (tmp_path / "repo/a").mkdir()
    shutil.copy(GOOD / "scalar.onnx", tmp_path / "repo/b/3/model.onnx")
    words = "is a folder of models, and one is told of by: troupe inspect"
    assert f"'repo' here {words} repo/b\n" in troupe("inspect", "repo", expect=NOT_FOUND, server=server, cwd=tmp_path)
    assert f"{words} repo/b\n" in troupe("inspect", "repo", expect=UNREACHABLE, server=NOBODY, cwd=tmp_path)
    assert f"'repo/' here {words} repo/b\n" in troupe("inspect", "repo/", expect=USAGE, cwd=tmp_path)
    assert troupe("inspect", "repo/b", cwd=tmp_path)
    shutil.copy(GOOD / "scalar.onnx", tmp_path / "repo/a.onnx")
    assert f"{words} repo/a.onnx\n" in troupe("inspect", "repo", expect=UNREACHABLE, server=NOBODY, cwd=tmp_path)
    assert words not in troupe("inspect", "repo/a", expect=USAGE, cwd=tmp_path)


def test_config_says_where_each_value_comes_from(tmp_path):
    (tmp_path / "troupe.yaml").write_text("threads:\n  loaders: 5\n  executors: 4\nlimits.models: 6\nthreads.loops: 1\n")
    env = {"TROUPE_THREADS_EXECUTORS": "7", "TROUPE_THREADS_LOOPS": "2"}
    text = troupe("config", str(tmp_path), "--set", "threads.loops=3", "--listen", "127.0.0.1:9999", env=env)
    rows = {line.split()[0]: line for line in text.splitlines()[1:]}
    values = json.loads(troupe("config", "--json", str(tmp_path), "--set", "threads.loops=3", "-l", "127.0.0.1:9999", env=env))
    assert list(rows) == list(values)
    for key, value, source in (("threads.loaders", "5", "troupe.yaml"), ("limits.models", "6", "troupe.yaml"),
                               ("threads.executors", "7", "TROUPE_THREADS_EXECUTORS"), ("threads.loops", "3", "--set"),
                               ("listen", "127.0.0.1:9999", "--listen"), ("log.level", "info", "default")):
        assert values[key]["value"] == value and source in values[key]["source"], values[key]
        assert re.search(rf"^{re.escape(key)} +{re.escape(value)} +\S*{re.escape(source)}", rows[key])
    assert re.search(r"^threads.loaders .* 1 to 64 +Models loaded at once\.$", troupe("config", "--explain"), re.M)
    assert "No such file" in troupe("config", str(tmp_path / "nowhere"), expect=NOT_FOUND)
    elsewhere = tmp_path / "other.yaml"
    elsewhere.write_text("threads: {loaders: 9}\n")
    assert json.loads(troupe("config", "--json", "-c", str(elsewhere)))["threads.loaders"]["value"] == "9"


@pytest.mark.parametrize("words, env, advice", [
    (["--set", "threads.lops=3"], {}, 'threads.loops'), (["--set", "threads.loops=many"], {}, "threads.loops"),
    (["--set", "threads.loops=1000"], {}, "256"), (["--set", "nonsense"], {}, "nonsense"), (["-c", "/nothing.yaml"], {}, "/nothing.yaml"),
    ([], {"TROUPE_THREADS_LOOPS": "x"}, "TROUPE_THREADS_LOOPS"), (["--set", "models.load=someday"], {}, "startup"),
    (["--set", "sched.tenants=gold weight=0"], {}, "sched.tenants (--set)"), ([], {"TROUPE_SCHED_TENANTS": "gold wait=3"}, "TROUPE_SCHED_TENANTS")])
def test_a_wrong_setting_is_named(tmp_path, words, env, advice):
    for command in ("config", "serve"):
        done = subprocess.run([TROUPE, command, *words, str(tmp_path)], capture_output=True, text=True, timeout=30 * SLOW,
                              env={**os.environ, **env})
        assert done.returncode in (FAILED, USAGE, NOT_FOUND) and advice in done.stderr, done.stderr


def test_serve_says_what_stops_it(server, tmp_path):
    text = troupe("serve", str(tmp_path), "--listen", server.url, expect=FAILED)
    assert "in use" in text and f"port {server.port} is held by troupe (process {server.process.pid})" in text and "--listen" in text
    assert "as 127.0.0.1:9000" in troupe("serve", str(tmp_path), "--listen", "nowhere", expect=USAGE)


@pytest.mark.parametrize("option, here", [
    ("--http-port=8000", "--listen ADDR:PORT"), ("--grpc-port", "--listen ADDR:PORT"), ("--model-repository=x", "troupe serve FOLDER"),
    ("--watch=poll", "--set repository.watch="), ("--body-bytes=1", "--set limits.body_bytes="), ("--lisen", "did you mean --listen?")])
def test_an_option_of_other_servers_is_named_as_it_is_here(option, here):
    assert here in troupe("serve", option, expect=USAGE)


def test_a_model_that_is_named_at_start_must_be_there(serve, repository):
    repository.add(GOOD / "scalar.onnx")
    repository.add(BAD / "truncated.onnx")
    words = ["serve", str(repository.path), "--listen", "127.0.0.1:0", "--load-model", "sclar"]
    text = troupe(*words, expect=NOT_FOUND)
    assert "has no model 'sclar'" in text and "scalar, truncated" in text and "--exit-on-error=false" in text
    assert "true or false" in troupe(*words, "--exit-on-error=perhaps", expect=USAGE)
    for names in (["scalar", "truncated"], ["*"]):  # one that is there and broken stops nobody
        server = serve(repository.path, *(word for name in names for word in ("--load-model", name)), settings={"models.load": "explicit"})
        server.wait_ready("scalar")
        assert re.search(r"^truncated .*FAILED", troupe("ls", server=server), re.M)
    server = serve(repository.path, "--load-model", "sclar", "--exit-on-error=false")
    server.wait_ready("scalar")
    server.wait_logged("no model 'sclar'")


@pytest.mark.parametrize("mode, words", [("off", "troupe load MODEL"), ("poll", "by themselves"), ("notify", "by themselves")])
def test_the_log_says_how_new_files_are_noticed(serve, repository, mode, words):
    server = serve(repository.path, settings={"repository.watch": mode})
    line = rf"repository {re.escape(str(repository.path))}; repository.watch: {mode} \(.*{words}"
    server.wait(lambda: re.search(line, server.log()), "the log to tell", seconds=10)


def test_the_version_is_told():
    assert re.match(r"troupe \d+\.\d+\.\d+\b", troupe("version"))
    assert re.match(r"\d+\.\d+\.\d+", json.loads(troupe("version", "--json"))["version"])
    assert troupe("--version") == troupe("version") == troupe("-V")


@pytest.mark.parametrize("args, code, words", [
    (["serve", "no-such-folder"], 4, "no-such-folder"),
    (["serve", str(ROOT / "README.md")], 1, "is not a folder"),
    (["serve", str(ROOT / "examples/models"), "--set", "limits.bodybytes=1"], 2, "limits.body_bytes"),
    (["config", "--set", "limits.json_depth=many"], 2, "limits.json_depth"),
])
def test_a_start_that_cannot_be_meant_ends_at_once(args, code, words):
    run = subprocess.run([str(TROUPE), *args], capture_output=True, text=True, timeout=60)
    assert run.returncode == code and words in run.stderr, (run.returncode, run.stderr)
