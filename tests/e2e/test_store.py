"""The store of prepared models, by the commands and real models: preparing, again, damage, removal beside others, and disks that are
full, read-only or not there."""
import fcntl
import json
import os
import pty
import random
import resource
import shutil
import signal
import subprocess
import time

import pytest

from conftest import COMPLAINT, ROOT, SLOW, TROUPE
from triton_support import BAD, EXAMPLES, GOOD

THIRD_PARTY = ROOT / ".deps/models"
DONE, FAILED, USAGE, _, NOT_FOUND = range(5)
RUNTIME = str(ROOT / ".deps/onnxruntime/libonnxruntime.so")


def command(*words, expect=DONE, env=None, prefix=(), **kwargs):
    """Runs `troupe WORDS`; returns what it printed, or what it complained of when it was to fail without printing."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TROUPE_")}
    environment.update({"TROUPE_ONNXRUNTIME": RUNTIME}, **(env or {}))
    done = subprocess.run([*prefix, TROUPE, *map(str, words)], capture_output=True, text=True, env=environment, timeout=300 * SLOW, **kwargs)
    assert done.returncode == expect, f"exit code {done.returncode}:\n{done.stdout}{done.stderr}"
    assert not COMPLAINT.search(done.stderr), done.stderr
    return done.stdout if expect == DONE else done.stdout + done.stderr


def told(*words, **kwargs):
    """The JSON of a command, whatever it complains of after that."""
    return json.JSONDecoder().raw_decode(command(*words, "--json", **kwargs))[0]


def prepare(repository, store, *words, **kwargs):
    return told("prepare", repository, "--store", store, *words, **kwargs)


def verify(store, *words, **kwargs):
    return told("store", "verify", "--store", store, *words, **kwargs)


def gc(store, *words):
    return told("store", "gc", "--store", store, *words)


def ls(store):
    return told("store", "ls", "--store", store)


def blobs(store):
    return sorted(p for p in (store / "blobs").glob("??/*"))


def expect_clean(store):
    assert list((store / "tmp").iterdir()) == []
    assert list((store / "leases").iterdir()) == []
    assert verify(store)["damaged_artefacts"] == 0


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """What may be loaded at all: the models of the tests, the examples, two of other people."""
    folder = tmp_path_factory.mktemp("store") / "models"
    folder.mkdir()
    for source in [*GOOD.iterdir(), *EXAMPLES.iterdir(), *THIRD_PARTY.iterdir()]:
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / source.name)
    return folder


@pytest.fixture(scope="module")
def first(models, tmp_path_factory):
    """A store in which everything was prepared once; whoever changes it takes a copy."""
    folder = tmp_path_factory.mktemp("store") / "prepared"
    return folder, prepare(models, folder)


@pytest.fixture
def store(first, tmp_path):
    return shutil.copytree(first[0], tmp_path / "copy")


@pytest.fixture
def few(tmp_path):
    """A repository of a model with weights, and of another that shares them."""
    folder = tmp_path / "few"
    for name in ("one", "other"):
        shutil.copytree(THIRD_PARTY / "silero_vad", folder / name)
    shutil.copy(EXAMPLES / "digits_mlp/1/model.onnx", folder / "digits_mlp.onnx")
    return folder


# ---- preparing ----

def test_every_model_is_prepared_or_refused_with_a_reason(models, first):
    store, said = first
    assert said["failed"] == [] and said["not_tried"] == 0 and said["prepared"] > 20
    assert said["prepared"] + said["already_there"] + len(said["refused"]) == said["models"]  # some are the same file
    reasons = {r["model"]: r["reason"] for r in said["refused"]}
    assert "differ from run to run" in reasons["random_answers/1"]
    assert all(reasons.values())
    expect_clean(store)
    assert len(ls(store)["artefacts"]) <= said["prepared"]  # equal files are one
    assert {a["made_by"].split()[0] for a in ls(store)["artefacts"]} == {"onnxruntime"}


def test_a_second_time_there_is_nothing_to_do(models, first, store):
    said = prepare(models, store)
    assert said["prepared"] == 0 and said["already_there"] == first[1]["prepared"] + first[1]["already_there"]
    assert said["refused"] == first[1]["refused"]
    expect_clean(store)


def test_people_read_a_table_and_totals(models, store):
    text = command("prepare", models, "--store", store, "--jobs", "1")
    assert " 0 prepared, " in text and " already there, " in text and "random_answers/1 " in text and "loads plainly" in text
    text = command("store", "ls", "--store", store)
    assert text.startswith("KEY") and "onnxruntime" in text and "prepared models, " in text
    assert "0 damaged" in command("store", "verify", "--store", store, "--rate", "1GiB")
    assert "removed 0 prepared models, 0 blobs" in command("store", "gc", "--store", store)


def test_equal_weights_are_shared(few, tmp_path):
    one = prepare(few, tmp_path / "s")
    assert one["prepared"] + one["already_there"] == 3 and one["shared_bytes"] * 2 >= one["weights_bytes"] * 0.9
    assert one["stored_bytes"] == sum(p.stat().st_size for p in blobs(tmp_path / "s"))


def test_a_broken_model_fails_and_the_others_are_prepared(few, tmp_path):
    shutil.copy(BAD / "truncated.onnx", few)
    (few / "typo").mkdir()
    (few / "typo/model.yaml").write_text("max_batchsize: 3\n")
    shutil.copy(EXAMPLES / "digits_linear.onnx", few / "typo/model.onnx")
    shutil.copytree(GOOD / "external_data", few / "outside")
    model = few / "outside/model.onnx"
    names = [p.name for p in (few / "outside").iterdir() if p.name != "model.onnx"]
    model.write_bytes(model.read_bytes().replace(names[0].encode(), b"../" + names[0][3:].encode()))
    said = prepare(few, tmp_path / "s", expect=FAILED)
    failed = {f["model"]: f["reason"] for f in said["failed"]}
    assert set(failed) == {"truncated/1", "typo", "outside/1"} and said["prepared"] + said["already_there"] == 3
    assert "max_batch_size" in failed["typo"] and "external data" in failed["outside/1"]


def test_several_repositories_are_prepared_as_a_server_would_have_them(few, tmp_path):
    """Of two models of one name the first folder's is meant, as with `troupe serve`; a folder may stand in the settings as well."""
    for folder, names in (("second", ("digits_mlp", "fourth")), ("third", ("third",))):
        for name in names:
            (tmp_path / folder / name).mkdir(parents=True)
            shutil.copy(EXAMPLES / "digits_linear.onnx", tmp_path / folder / name / "model.onnx")
    (tmp_path / "second/digits_mlp/model.onnx").write_bytes(b"broken, and hidden by the first one")
    said = prepare(few, tmp_path / "s", tmp_path / "second", "--set", f"repository.paths={tmp_path / 'third'}")
    assert said["failed"] == [] and said["models"] == 3 + 2 and said["prepared"] + said["already_there"] == 5
    assert "the same folder" in command("prepare", few, few, "--store", tmp_path / "s", expect=FAILED)


def test_a_terminal_gets_a_bar(few, tmp_path):
    ours, theirs = pty.openpty()
    environment = dict(os.environ, TROUPE_ONNXRUNTIME=RUNTIME)
    with subprocess.Popen([TROUPE, "prepare", few, "--store", tmp_path / "s"], stdout=subprocess.PIPE, stderr=theirs, env=environment) as process:
        os.close(theirs)
        out = process.stdout.read().decode()
        drawn = os.read(ours, 65536).decode()
    os.close(ours)
    assert process.returncode == DONE and "3 models: 3 prepared" in out
    assert "] 1/3 " in drawn and "] 3/3 " in drawn and "[#" in drawn and drawn.endswith("\x1b[K")


def test_slips(few, tmp_path):
    for words, code, text in [
            (["prepare", few], USAGE, "which store"), (["prepare"], USAGE, "which store"), (["prepare", tmp_path / "no"], NOT_FOUND, "No such file"),
            (["prepare", few, "--store", "s", "--jobs", "0"], USAGE, "--jobs is a number"), (["store", "ls"], USAGE, "which store"),
            (["store", "lsd", "--store", "s"], USAGE, "none of ls, verify, gc"), (["store", "ls", "--store", tmp_path / "no"], NOT_FOUND, "is no store"),
            (["store", "gc", "--store", few], NOT_FOUND, "is no store"), (["prepare", few, "--max-bytes", "1"], USAGE, "max_bytes=VALUE")]:
        assert text in command(*words, expect=code, cwd=tmp_path)
    assert not (tmp_path / "no").exists() and not (few / "format").exists()


def test_the_store_is_a_setting(few, tmp_path):
    (few / "troupe.yaml").write_text(f"store: {{path: {tmp_path}/s, max_bytes: 1MiB}}\n")
    text = command("prepare", few)
    assert "3 prepared" in text and "went again, the least recently used: store.max_bytes" in text
    assert "prepared models" in command("store", "ls", cwd=few)
    assert "prepared models" in command("store", "ls", env={"TROUPE_STORE_PATH": str(tmp_path / "s")})
    assert sum(p.stat().st_size for p in blobs(tmp_path / "s")) <= 1 << 20


# ---- damage ----

def change(path, how):
    """As a disk does (flip), or somebody (write, cut, replace, remove), of whom the file's date tells."""
    path.chmod(0o644)
    data, date = bytearray(path.read_bytes()), path.stat().st_mtime_ns
    if how in ("flip", "write"):
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        if how == "flip":
            os.utime(path, ns=(date, date))
    elif how == "cut":
        os.truncate(path, len(data) - 1)
    elif how == "replace":
        path.write_bytes(os.urandom(len(data)))
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["flip", "write", "cut", "replace", "remove"])
def test_damage_is_named_and_mended(few, tmp_path, how):
    store = tmp_path / "s"
    prepare(few, store)
    victim = max(blobs(store), key=lambda p: p.stat().st_size)
    name = f"{victim.parent.name}/{victim.name}"
    change(victim, how)
    seen = verify(store, "--dry-run", expect=FAILED)
    assert seen["damaged_artefacts"] >= 1 and all(name in a["damage"] for a in seen["damaged"])
    if how != "flip":  # a look at its size, its date and its first and last page finds it, with no verification before
        assert prepare(few, store)["prepared"] >= 1
        assert verify(store)["damaged_artefacts"] == 0
        change(victim, how)
    text = command("store", "verify", "--store", store, expect=FAILED)
    assert name in text and "damaged and removed" in text
    assert prepare(few, store)["prepared"] >= 1
    expect_clean(store)


@pytest.mark.parametrize("how, words", [("flip", "the skeleton was changed"), ("write", "the skeleton was written to")])
def test_a_changed_skeleton_is_mended(few, tmp_path, how, words):
    store = tmp_path / "s"
    prepare(few, store)
    skeleton = next((store / "made").glob("*/skeleton.onnx"))
    change(skeleton, how)
    assert words in command("store", "verify", "--store", store, expect=FAILED)
    assert prepare(few, store)["prepared"] >= 1
    expect_clean(store)


# ---- removal ----

class Holder:
    """Another process that uses some artefacts, as docs/store.md says it; this one is Python."""

    def __init__(self, store, *keys):
        self.path = store / f"leases/{os.getpid()}.0"
        self.file = open(self.path, "w")
        fcntl.flock(self.file, fcntl.LOCK_EX)
        self.file.write("".join(k + "\n" for k in keys))
        self.file.flush()

    def end(self):
        self.file.close()  # its lease stays, unlocked: it was killed


def test_what_is_used_stays_and_the_rest_goes(few, tmp_path):
    store = tmp_path / "s"
    prepare(few, store)
    shutil.copy(EXAMPLES / "digits_cnn/1/model.onnx", few / "digits_cnn.onnx")
    prepare(few, store)
    keep = next(a for a in ls(store)["artefacts"] if "digits_cnn" in a["source"])
    before = ls(store)["artefacts"]
    holder = Holder(store, keep["key"])
    would = gc(store, "--max-bytes", "1", "--dry-run")
    assert would["removed_artefacts"] == len(before) - 1 and len(ls(store)["artefacts"]) == len(before)
    assert gc(store, "--max-bytes", "1") == would
    assert [(a["key"], a["in_use"]) for a in ls(store)["artefacts"]] == [(keep["key"], True)]
    assert verify(store)["damaged_artefacts"] == 0
    holder.end()
    assert gc(store, "--max-bytes", "1")["removed_artefacts"] == 1
    assert blobs(store) == [] and not holder.path.exists()


def test_what_was_prepared_of_models_that_are_gone_goes(few, tmp_path):
    """By what is in the files: a store that is carried to where the models lie elsewhere keeps all that they need."""
    store = tmp_path / "s"
    prepare(few, store)
    assert gc(store, "--repository", few)["removed_artefacts"] == 0
    (few / "digits_mlp.onnx").unlink()
    assert gc(store, "--dry-run")["removed_artefacts"] == 0  # nobody said where the models are
    assert "was not asked: --repository" in command("store", "gc", "--dry-run", "--store", store)
    would = gc(store, "--repository", few, "--dry-run")
    assert would["obsolete"] == would["removed_artefacts"] == 1 and "no model is like that" in would["removed"][0]["reason"]
    assert would["removed"][0]["source"].endswith("digits_mlp.onnx")
    assert gc(store, "--repository", few) == would
    assert len(ls(store)["artefacts"]) == 1
    few.rename(tmp_path / "elsewhere")
    assert gc(store, "--repository", tmp_path / "elsewhere")["removed_artefacts"] == 0
    assert prepare(tmp_path / "elsewhere", store)["prepared"] == 0
    expect_clean(store)


def test_the_models_that_stay_are_those_of_the_settings(few, tmp_path):
    store, models = tmp_path / "s", tmp_path / "models"
    prepare(few, store)
    models.mkdir()
    (models / "troupe.yaml").write_text(f"store: {{path: {store}}}\n")
    few.rename(tmp_path / "moved")
    assert "removed 0 prepared models" in command("store", "gc", cwd=models)  # there is no model in it, and nobody said that there is
    assert "holds no model at all" in command("store", "gc", "--repository", models, cwd=models, expect=FAILED)
    shutil.copy(EXAMPLES / "digits_mlp/1/model.onnx", models / "digits.onnx")
    listed = ["--set", f"repository.paths={models},{tmp_path / 'moved'}"]
    assert "removed 0 prepared models" in command("store", "gc", "--store", store, *listed)
    shutil.rmtree(tmp_path / "moved")
    text = command("store", "gc", cwd=models)
    assert "removed 1 prepared models" in text and "silero_vad" not in text
    assert [a["source"].rsplit("/", 1)[1] for a in ls(store)["artefacts"]] == ["digits_mlp.onnx"]


def test_what_is_in_use_or_of_an_unknown_model_stays(few, tmp_path):
    store = tmp_path / "s"
    prepare(few, store)
    one, other = ls(store)["artefacts"]
    manifest = store / "made" / one["key"] / "manifest"
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.chmod(0o644)
    manifest.write_text("".join(line for line in lines if not line.startswith("content ")))  # as an older troupe wrote it
    for path in few.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copy(EXAMPLES / "digits_cnn/1/model.onnx", few / "digits_cnn.onnx")
    holder = Holder(store, other["key"])
    said = gc(store, "--repository", few)
    assert said["removed_artefacts"] == 0 and said["of_unknown_models"] == 1 and said["in_use"] == 1
    holder.end()
    text = command("store", "gc", "--store", store, "--repository", few)
    assert "removed 1 prepared models" in text and "1 do not say of which model they are, and stay" in text
    assert [a["key"] for a in ls(store)["artefacts"]] == [one["key"]]


def test_two_remove_while_two_prepare(few, tmp_path):
    store = tmp_path / "s"
    prepare(few, store)
    environment = dict(os.environ, TROUPE_ONNXRUNTIME=RUNTIME)
    end = time.monotonic() + 6
    removals = 0

    def start(*words):
        return subprocess.Popen([TROUPE, *map(str, words), "--store", store, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    while time.monotonic() < end:
        running = [start("prepare", few), start("store", "gc", "--max-bytes", "1"), start("prepare", few), start("store", "gc", "--max-bytes", "1")]
        for process in running:
            out, err = process.communicate(timeout=120 * SLOW)
            assert process.returncode == DONE, err.decode()
            removals += json.loads(out).get("removed_artefacts", 0)
    assert removals > 0
    assert verify(store)["damaged_artefacts"] == 0
    prepare(few, store)
    expect_clean(store)


def test_killed_preparations_leave_nothing(few, tmp_path):
    store = tmp_path / "s"
    environment = dict(os.environ, TROUPE_ONNXRUNTIME=RUNTIME)
    chance = random.Random(1)
    for _round in range(12):
        process = subprocess.Popen([TROUPE, "prepare", few, "--store", store], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        time.sleep(chance.uniform(0.02, 0.6))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (store / "format").exists():
            assert verify(store)["damaged_artefacts"] == 0
    assert prepare(few, store)["failed"] == []
    gc(store)
    expect_clean(store)


# ---- disks ----

def in_namespace(script):
    """A shell with mounts of its own, in which `script` is run before the command; skipped where that is not allowed."""
    if subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode != 0:
        pytest.skip("no user namespaces here")
    return ["unshare", "-Urm", "sh", "-ec", script + '; "$@"', "sh"]


def test_a_full_disk_is_told_and_leaves_nothing_half(few, tmp_path):
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    script = f"""mount -t tmpfs -o size=400k none {mounted}
        trap '"$1" store verify --store {mounted}/s && ls {mounted}/s/tmp | wc -l && ls {mounted}/s/bad' EXIT; true"""
    prefix = in_namespace(script)
    text = command("prepare", few, "--store", mounted / "s", "--jobs", "1", expect=FAILED, prefix=prefix)
    assert "No space left on device" in text and "failed" in text
    assert "0 damaged\n0\n" in text and text.count("No space left") <= 3


def test_a_file_size_limit_is_told(few, tmp_path):
    text = command("prepare", few, "--store", tmp_path / "s", expect=FAILED,
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)))
    assert "File too large" in text
    expect_clean(tmp_path / "s")
    assert prepare(few, tmp_path / "s")["failed"] == []  # nothing of that was remembered
    expect_clean(tmp_path / "s")


def test_a_read_only_store_is_looked_at_and_not_written(few, tmp_path):
    store = tmp_path / "s"
    prepare(few, store)
    prefix = in_namespace(f"mount --bind {store} {store}; mount -o remount,ro,bind {store}")
    assert "prepared models, " in command("store", "ls", "--store", store, prefix=prefix)
    assert "0 damaged" in command("store", "verify", "--dry-run", "--store", store, prefix=prefix)
    assert "would remove" in command("store", "gc", "--dry-run", "--max-bytes", "1", "--store", store, prefix=prefix)
    for words in (["prepare", few], ["store", "gc"], ["store", "verify"]):
        assert "Read-only file system" in command(*words, "--store", store, expect=FAILED, prefix=prefix)
    expect_clean(store)


def test_a_folder_that_cannot_be_written_is_told(few, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    if subprocess.run(["unshare", "-U", "true"], capture_output=True).returncode == 0:  # root without its rights
        text = command("prepare", few, "--store", closed / "s", expect=FAILED, prefix=["unshare", "-U"])
        assert "Permission denied" in text and str(closed) in text
    (tmp_path / "file").write_text("")
    assert "Not a directory" in command("prepare", few, "--store", tmp_path / "file/s", expect=FAILED)


def test_a_store_of_another_version_is_refused(few, tmp_path):
    store = tmp_path / "s"
    prepare(few, store)
    (store / "format").write_text("troupe store 99\n")
    assert "no store of this version" in command("prepare", few, "--store", store, expect=FAILED)
    assert "no store of this version" in command("store", "ls", "--store", store, expect=FAILED)
