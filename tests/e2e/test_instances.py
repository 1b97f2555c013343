"""How many runs of a model go on at once, and where: set by its configuration, changed while it serves, over the API and by `troupe scale`; runs
on cores of their own; one thread for a run, or several."""
import json
import os
import subprocess
import threading
import urllib.parse

import pytest

from conftest import SLOW, TROUPE
from test_isolation import workers_of
from test_replacement import put
from test_repository import index, load, post
from test_residency import one
from test_storms import check_calm

ROW = "input x FP32 [-1]\noutput y FP32 [-1]\n"
REQUEST = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}
FOUR = {"threads.executors": 4}
ALLOWED = sorted(os.sched_getaffinity(0))
SHARING_N = max(4, len(ALLOWED) + 2)  # more executors than cores: none has one of its own, and all have the same home
SHARING = {"threads.executors": SHARING_N}


def scale(server, *words, expect=0):
    done = subprocess.run([str(TROUPE), "scale", *words, "--server", server.url], capture_output=True, text=True, timeout=60 * SLOW, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def instances(server, model):
    return {v["version"]: v["instances"] for v in json.loads(server.get(f"/api/models/{model}/instances")[1])["versions"]}


class Asking:
    """Requests that are under way, each on a thread."""

    def __init__(self, server, model, n):
        self.server, self.replies = server, []
        self.threads = [threading.Thread(target=lambda: self.replies.append(post(server, f"/v2/models/{model}/infer", REQUEST))) for _ in range(n)]
        for thread in self.threads:
            thread.start()

    def end(self):
        for thread in self.threads:
            thread.join()
        return [status for status, _ in self.replies]


def runs(server, model):
    """How many have begun: the backend was called so often."""
    return server.metric("troupe_model_in_flight", model=model) - server.metric("nv_inference_pending_request_count", model=model)


def test_more_instances_are_used_at_once_and_fewer_let_what_runs_end(serve, repository, gate):
    repository.write("m/model.echo", ROW + gate.until)
    repository.write("m/model.yaml", "instance_group: [{count: 1}]\n")
    server = serve(repository.path, settings=FOUR).wait_ready("m")
    asking = Asking(server, "m", 8)
    server.wait(lambda: server.metric("nv_inference_pending_request_count", model="m") == 7, "one to run and seven to wait")
    status, reply = post(server, "/api/models/m/instances", {"count": 4})
    assert status == 200 and reply["versions"][0]["instances"] == 4 and reply["versions"][0]["configured"] == 1, reply
    server.wait(lambda: server.metric("nv_inference_pending_request_count", model="m") == 4, "four to run")
    assert one(server, "m")["instances"] == 4 and server.metric("troupe_model_instances", model="m") == 4
    assert post(server, "/api/models/m/instances", {"count": 1})[0] == 200
    assert asking.replies == []
    gate.open()
    assert asking.end() == [200] * 8
    assert server.metric("troupe_instance_changes_total") == 2
    check_calm(server)


def test_the_command_shows_sets_and_takes_back(serve, repository):
    repository.write("m/model.echo", ROW)
    repository.write("m/model.yaml", "instance_group: [{count: 2}, {count: 3}]\n")
    repository.write("n/model.echo", ROW)
    server = serve(repository.path).wait_ready("m", "n")
    assert "5" in scale(server, "m") and "no limit" in scale(server, "n")
    text = scale(server, "m=3", "n=1")
    assert "an operator said so" in text and instances(server, "m") == {1: 3} and instances(server, "n") == {1: 1}
    ps = subprocess.run([str(TROUPE), "ps", "--server", server.url], capture_output=True, text=True, timeout=60 * SLOW, check=True).stdout
    assert "INSTANCES" in ps
    assert "its configuration says so" in scale(server, "m=") and instances(server, "m") == {1: 5}
    assert json.loads(scale(server, "m", "--json"))["versions"][0]["configured"] == 5
    for wrong in ("m=0", "m=-1", "m=x", "=3"):
        assert "MODEL=COUNT" in scale(server, wrong, expect=2)
    assert "not found" in scale(server, "nobody=2", expect=4)
    assert "1024" in scale(server, "m=5000", expect=1)
    assert "version 7" in scale(server, "m=2", "--version", "7", expect=4)
    assert instances(server, "m") == {1: 5}


def test_it_holds_until_the_files_change(serve, repository):
    for version in ("1", "2"):
        put(ROW, repository.path / "m" / version / "model.echo")
    repository.write("m/config.pbtxt", 'backend: "echo"\nversion_policy { all { } }\ninstance_group { count: 2 }\n')
    server = serve(repository.path, settings={"models.load": "on_demand"}).wait_ready()
    assert post(server, "/api/models/m/instances", {"count": 7})[0] == 200  # it is not in memory
    assert post(server, "/api/models/m/versions/2/instances", {"count": 3})[0] == 200
    assert instances(server, "m") == {1: 7, 2: 3}
    assert post(server, "/v2/models/m/infer", REQUEST)[0] == 200
    assert instances(server, "m") == {1: 7, 2: 3}
    assert post(server, "/api/models/m/evict")[0] == 200
    assert post(server, "/v2/models/m/infer", REQUEST)[0] == 200
    assert post(server, "/v2/repository/models/m/unload")[0] == 200
    assert load(server, "m")[0] == 200
    assert instances(server, "m") == {1: 7, 2: 3}
    put(ROW + "# other files\n", repository.path / "m" / "2" / "model.echo")
    assert load(server, "m")[0] == 200
    assert instances(server, "m") == {1: 7, 2: 2}
    put('backend: "echo"\nversion_policy { all { } }\ninstance_group { count: 4 }\n', repository.path / "m" / "config.pbtxt")
    assert load(server, "m")[0] == 200
    assert instances(server, "m") == {1: 4, 2: 4}


def test_a_backend_that_makes_one_run_at_a_time_keeps_one(serve, repository):
    repository.write("m/model.echo", ROW + "alone\n")
    repository.write("m/model.yaml", "instance_group: {count: 4}\n")
    server = serve(repository.path).wait_ready("m")
    shown = json.loads(server.get("/api/models/m/instances")[1])["versions"][0]
    assert (shown["instances"], shown["configured"], shown["why"]) == (1, 4, "its backend makes one run at a time")
    assert "keeps one instance: its backend makes one run at a time" in scale(server, "m=2", expect=1)
    assert Asking(server, "m", 8).end() == [200] * 8


def test_labels_name_versions_here_too(serve, repository):
    for version in ("1", "2"):
        put(ROW, repository.path / "m" / version / "model.echo")
    repository.write("m/model.yaml", "backend: echo\nversion_policy: {all: }\nlabels: {stable: 1}\n")
    server = serve(repository.path).wait_ready("m")
    assert post(server, f"/api/models/m/versions/{urllib.parse.quote('stable')}/instances", {"count": 2})[0] == 200
    assert instances(server, "m") == {1: 2, 2: 0}
    assert post(server, "/api/models/m/versions/canary/instances", {"count": 2})[0] == 404


# ---- cores ----

def cores_of_threads(pid, name):
    """Which cores each thread that is called so may use now."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as f:
                status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        except OSError:
            continue  # it has ended meanwhile
        if status["Name"].startswith(name):
            found.append(status["Cpus_allowed_list"])
    return found


def cores_of_executors(server):
    return cores_of_threads(server.process.pid, "exec-")


def test_runs_go_to_the_cores_that_their_model_names_and_home_again(serve, repository, gate):
    core = str(ALLOWED[-1])
    repository.write("m/model.echo", ROW + gate.until)
    repository.write("m/model.yaml", f"cores: {core}\n")
    repository.write("free/model.echo", ROW + gate.until)
    server = serve(repository.path, settings=SHARING).wait_ready("m", "free")
    home = cores_of_executors(server)
    assert len(home) == SHARING_N and len(set(home)) == 1
    asking = Asking(server, "m", 2)
    server.wait(lambda: cores_of_executors(server).count(core) >= 2, "two to be where the model wants them")
    others = Asking(server, "free", 2)
    server.wait(lambda: server.metric("troupe_model_in_flight", model="free") == 2, "the others to be there")
    gate.open()
    assert asking.end() == others.end() == [200] * 2
    server.wait(lambda: cores_of_executors(server) == home, "all to be home")
    if len(ALLOWED) > 1:
        assert server.metric("troupe_executor_moves_total", result="moved") >= 4
    assert server.metric("troupe_executor_moves_total", result="refused") == 0


@pytest.mark.skipif(len(ALLOWED) < 2, reason="one core: there is none for each of two executors")
def test_executors_have_homes_of_their_own_where_there_are_cores_for_all(serve, repository, gate):
    core = str(ALLOWED[-1])
    repository.write("m/model.echo", ROW + gate.until)
    repository.write("m/model.yaml", f"cores: {core}\n")
    server = serve(repository.path, settings={"threads.executors": 2}).wait_ready("m")
    own = [[str(ALLOWED[0])], [str(ALLOWED[1])]]

    def homes():
        return [cores_of_threads(server.process.pid, name) for name in ("exec-0", "exec-1")]

    server.wait(lambda: homes() == own, "each to have a core of its own")
    asking = Asking(server, "m", 2)
    server.wait(lambda: homes() == [[core], [core]], "both to be where the model wants them")
    gate.open()
    assert asking.end() == [200] * 2
    server.wait(lambda: homes() == own, "each to be home")
    assert server.metric("troupe_executor_moves_total", result="refused") == 0


@pytest.mark.parametrize("words", ["cores: {}\n", "instance_group: [{{count: 2, cores: {}}}]\n"])
def test_a_worker_process_runs_on_the_cores_that_its_model_names(serve, repository, words):
    core = str(max(os.sched_getaffinity(0)))
    repository.write("m/model.echo", ROW)
    repository.write("m/model.yaml", "isolation: process\n" + words.format(core))
    server = serve(repository.path, settings=FOUR).wait_ready("m")
    worker, = workers_of(server)
    assert post(server, "/v2/models/m/infer", REQUEST)[0] == 200
    server.wait(lambda: core in cores_of_threads(worker, "lane-"), "its thread to be where the model wants it")
    assert b"cores" not in server.get("/v2/models/m/config")[1], "clients of Triton know no such key"


def test_groups_with_cores_of_their_own_share_the_runs(serve, repository, gate):
    first, last = str(ALLOWED[0]), str(ALLOWED[-1])
    repository.write("m/model.echo", ROW + gate.until)
    repository.write("m/model.yaml", f"instance_group:\n- {{count: 1, cores: {first}}}\n- {{count: 1, cores: {last}}}\n- {{count: 1}}\n")
    server = serve(repository.path, settings=SHARING).wait_ready("m")
    home = cores_of_executors(server)
    asking = Asking(server, "m", 6)
    there = sorted([first, last] + [home[0]] * (SHARING_N - 2))
    server.wait(lambda: sorted(cores_of_executors(server)) == there, "each where its group wants it, the others at home")
    gate.open()
    assert asking.end() == [200] * 6
    server.wait(lambda: cores_of_executors(server) == home, "all to be home")
    if len(ALLOWED) > 1:
        assert server.metric("troupe_executor_moves_total", result="moved") >= 4
    assert server.metric("troupe_executor_moves_total", result="refused") == 0


def test_an_operators_number_is_dealt_among_groups(serve, repository):
    core = str(min(os.sched_getaffinity(0)))
    repository.write("m/model.echo", ROW)
    repository.write("m/model.yaml", f"instance_group:\n- {{count: 1, cores: {core}}}\n- {{count: 2}}\n")
    server = serve(repository.path, settings=FOUR).wait_ready("m")

    def groups():
        return [(g["instances"], g.get("cores")) for g in json.loads(server.get("/api/models/m/instances")[1])["versions"][0]["groups"]]

    assert groups() == [(1, core), (2, None)]
    scale(server, "m=6")
    assert groups() == [(2, core), (4, None)]
    scale(server, "m=1")
    assert groups() == [(1, core), (0, None)]
    assert Asking(server, "m", 8).end() == [200] * 8
    scale(server, "m=")
    assert groups() == [(1, core), (2, None)]


def test_a_group_without_a_count_beside_unlike_ones_is_refused_with_its_line(serve, repository):
    core = str(min(os.sched_getaffinity(0)))
    repository.write("m/model.echo", ROW)
    repository.write("m/model.yaml", f"instance_group:\n- {{count: 1, cores: {core}}}\n- {{kind: KIND_CPU}}\n")
    server = serve(repository.path)
    server.wait(lambda: "model.yaml:3: instance_group: where groups have unlike cores" in server.log(), "it to be refused")


def test_tiny_runs_with_cores_are_not_made_by_loops(serve, repository):
    core = min(os.sched_getaffinity(0))
    repository.write("m/model.echo", ROW)
    repository.write("m/model.yaml", f"cores: '{core}'\n")
    server = serve(repository.path).wait_ready("m")
    before = server.metric("troupe_runs_total", where="loop")
    for _ in range(50):
        assert post(server, "/v2/models/m/infer", REQUEST)[0] == 200
    assert server.metric("troupe_runs_total", where="loop") == before


@pytest.mark.parametrize("load_when", ["startup", "on_demand"])
def test_cores_that_the_server_may_not_use_are_named(serve, repository, load_when):
    repository.write("m/model.echo", ROW)
    repository.write("m/model.yaml", "name: m\ncores: 0-1023\n")
    server = serve(repository.path, settings={"models.load": load_when})
    server.wait(lambda: index(server).get("m/1", ("",))[0] in ("FAILED", "UNAVAILABLE"), "it to be refused")
    reason = index(server)["m/1"][1]
    assert 'model.yaml:2: cores is "0-1023"; this server may run on ' in reason, reason
    assert post(server, "/v2/models/m/infer", REQUEST)[0] in (400, 404, 503)


# ---- threads of a run ----

def test_the_hint_chooses_the_threads_of_a_run(serve, repository):
    for name, config, threads in [("plain", "", "one"), ("wide", "hint: throughput\n", "one"), ("fast", "hint: latency\n", "shared")]:
        repository.write(f"{name}/model.echo", ROW + f"threads {threads}\n")
        repository.write(f"{name}/model.yaml", config)
    repository.write("wrong/model.echo", ROW + "threads shared\n")
    repository.write("wrong/model.yaml", "hint: throughput\n")
    server = serve(repository.path).wait_ready("plain", "wide", "fast")
    assert post(server, "/v2/models/fast/infer", REQUEST)[0] == 200
    server.wait(lambda: "opened the other way" in index(server).get("wrong/1", ("", ""))[1], "it to be refused")
