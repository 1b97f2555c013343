"""`troupe simulate`: what it prints and draws, which files it takes, and that a server's own trace can be played again."""
import json
import os
import subprocess
import xml.dom.minidom

import pytest

from conftest import COMPLAINT, SLOW, TROUPE
from triton_support import GOOD

DONE, FAILED, USAGE, UNREACHABLE, NOT_FOUND = range(5)
NOBODY = "127.0.0.1:1"
COST = ["--cost", "a=1:2ms,8:5ms", "--cost", "b=12ms"]
MIX = ["poisson:model=a,rate=200,class=interactive,tenant=x", "bursts:model=b,rate=20,class=batch", "even:model=a,rate=30"]


def simulate(*words, expect=DONE, cwd=None, server=NOBODY):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TROUPE_")}
    environment["TROUPE_SERVER"] = server
    command = [str(TROUPE), "simulate", *(str(w) for w in words)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd, timeout=60 * SLOW)
    assert done.returncode == expect, f"exit code {done.returncode}:\n{done.stdout}{done.stderr}"
    assert not COMPLAINT.search(done.stderr), done.stderr
    return done.stdout if expect == DONE else done.stderr


def result(*words, **options):
    return json.loads(simulate(*words, "--json", **options))["result"]


def by_name(lines):
    return {line["name"]: line for line in lines}


def test_tables_for_people(tmp_path):
    out = simulate(*MIX, *COST, "--seconds", 5, "--executors", 2, cwd=tmp_path)
    assert "arrivals in" in out.splitlines()[0] and "2 executors" in out.splitlines()[0]
    for title in ("CLASS", "MODEL", "TENANT"):
        assert any(line.startswith(title) for line in out.splitlines())
    assert "executors were busy for" in out


def test_the_same_seed_gives_the_same_and_another_one_another(tmp_path):
    def run(seed):
        return result(*MIX, *COST, "--seed", seed, "--seconds", 5, "--jitter", "20%", cwd=tmp_path)
    assert run(3) == run(3)
    assert run(3)["all"] != run(4)["all"]


def test_twice_as_many_executors_wait_less(tmp_path):
    def p99(executors):
        return result("poisson:model=b,rate=75", *COST, "--executors", executors, "--seconds", 20, cwd=tmp_path)["all"]["p99_ns"]
    assert p99(1) > 2 * p99(2)


def test_every_arrival_of_a_file_is_accounted_for(tmp_path):
    lines = [f"{i * 0.002:.3f},a,{('interactive', 'normal', 'batch')[i % 3]},{20 if i % 5 == 0 else ''}" for i in range(1000)]
    (tmp_path / "log.csv").write_text("at_s,model,class,timeout_ms\n" + "\n".join(lines) + "\n")
    told = result("log.csv", "--cost", "a=4ms", "--executors", 1, "--set", "sched.queue_max=50", cwd=tmp_path)
    total = told["all"]
    assert total["arrived"] == 1000
    assert total["answered"] + total["expired"] + total["refused"] + total["shed"] == 1000
    classes = by_name(told["classes"])
    assert classes["batch"]["shed"] > classes["normal"]["shed"] > classes["interactive"]["shed"] == 0
    assert told["queued_most"] == 50
    faster = result("log.csv", "--cost", "a=4ms", "--executors", 1, "--rate-scale", "0.4", cwd=tmp_path)
    assert faster["all"]["answered"] == 1000


def test_a_picture_is_xml_without_scripts_or_links(tmp_path):
    simulate(*MIX, *COST, "--seconds", 5, "--plot", "day.svg", cwd=tmp_path)
    document = xml.dom.minidom.parse(str(tmp_path / "day.svg"))
    assert document.documentElement.tagName == "svg"
    assert {node.tagName for node in document.getElementsByTagName("*")} <= {"svg", "rect", "line", "path", "text"}
    assert len(document.getElementsByTagName("path")) >= 4


def test_settings_are_those_of_the_folder(tmp_path):
    (tmp_path / "troupe.yaml").write_text("threads: {executors: 3, loops: 2}\n")
    told = json.loads(simulate("even:model=b,rate=10", *COST, "--seconds", 1, "--json", cwd=tmp_path))
    assert (told["executors"], told["loops"]) == (3, 2)


def test_tenants_have_the_weights_of_the_settings(tmp_path):
    streams = [f"even:model=b,rate=100,tenant={name},timeout=400ms" for name in ("x", "y")]
    words = [*streams, *COST, "--executors", 1, "--seconds", 10, "--set", "sched.forecast=false"]
    heavy = by_name(result(*words, "--set", "sched.tenants=x weight=4", cwd=tmp_path)["tenants"])
    assert heavy["x"]["answered"] > 3 * heavy["y"]["answered"]
    level = by_name(result(*words, "--set", "sched.tenants=* weight=4", cwd=tmp_path)["tenants"])
    assert 0.8 < level["x"]["answered"] / level["y"]["answered"] < 1.25


@pytest.mark.parametrize("words, code, says", [
    (["missing.csv", "--cost", "a=1ms"], NOT_FOUND, "missing.csv"),
    (["bad.csv", "--cost", "a=1ms"], USAGE, "bad.csv: line 2: at_s: 'soon'"),
    (["poisson:model=a"], USAGE, "the rate is missing"),
    (["poison:model=a,rate=1"], USAGE, "'poison:model=a,rate=1': a stream begins with poisson:, even:, bursts: or diurnal:"),
    (["c:/missing.csv", "--cost", "a=1ms"], NOT_FOUND, "c:/missing.csv"),
    (["poisson:model=a,rate=1"], UNREACHABLE, "--cost MODEL=5ms"),
    (["poisson:model=a,rate=1", "--cost", "a=fast"], USAGE, "'fast' is no cost"),
    (["poisson:model=a,rate=1", "--cost", "a=1ms", "--executors", "none"], USAGE, "--executors none"),
    (["poisson:model=a,rate=1", "--cost", "a=1ms", "--floor", "batch=100"], USAGE, "less than 100"),
    (["poisson:model=a,rate=1", "--cost", "a=1ms", "--set", "sched.tenants=x weight=0"], USAGE, "weight=0"),
    (["poisson:model=a,rate=1", "--cost", "a=1ms", "--weight", "nobody=3"], NOT_FOUND, "no arrival is of this tenant"),
    (["poisson:model=a,rate=1", "--cost", "a=1ms", "--instances", "z=3"], NOT_FOUND, "nobody knows a model"),
    (["poisson:model=a,rate=1", "--costs", "costs.json"], NOT_FOUND, "nobody says what runs of model 'a' take"),
    (["poisson:model=a,rate=0.001", "--cost", "a=1ms", "--seconds", "1"], USAGE, "nobody comes"),
    ([], USAGE, "something is missing"),
])
def test_what_is_wrong_is_said(tmp_path, words, code, says):
    (tmp_path / "bad.csv").write_text("at_s,model\nsoon,a\n")
    (tmp_path / "costs.json").write_text('{"models": [{"name": "b", "points": [{"rows": 1, "run_ns": 5000000}]}]}')
    assert says in simulate(*words, expect=code, cwd=tmp_path)


def test_the_trace_of_a_server_can_be_played_again(serve, repository, tmp_path):
    """Arrivals, rows, class, tenant and deadline come back from the file that the server wrote."""
    repository.add(GOOD / "identity_fp32.onnx", "m.onnx")
    server = serve(repository.path, settings={"trace.file": tmp_path / "trace.json"}).wait_ready("m")
    on = {"trace_level": ["TIMESTAMPS"], "trace_rate": "1", "trace_count": "-1"}
    assert server.request("POST", "/v2/trace/setting", json.dumps(on).encode())[0] == 200
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}).encode()
    for i in range(9):
        headers = {"troupe-priority": "interactive", "troupe-tenant": "alice", "troupe-timeout-ms": "30000"} if i % 3 == 0 else {}
        assert server.request("POST", "/v2/models/m/infer", body, headers=headers)[0] == 200
    assert server.request("GET", "/v2/trace/setting")[0] == 200  # the file is complete now
    told = result("trace.json", "--cost", "m=1ms", "--executors", 1, cwd=tmp_path)
    assert told["all"]["answered"] == 9
    assert by_name(told["classes"])["interactive"]["arrived"] == 3
    assert by_name(told["tenants"])["alice"]["arrived"] == 3
    first = json.loads((tmp_path / "trace.json").read_text())[0]
    assert first["tenant"] == "alice" and first["priority"] == "interactive" and 29_000_000 < first["timeout_us"] <= 30_000_000


def test_a_running_server_says_what_runs_cost(serve, repository, tmp_path):
    (tmp_path / "m.echo").write_text("input x FP32 [-1,-1]\noutput y FP32 [-1,-1]\nsleep 3ms\n")
    repository.add(tmp_path / "m.echo")
    repository.write("routes.yaml", "routes: { way: [ { use: m } ] }\n")
    server = serve(repository.path).wait_ready("m", "way")
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}).encode()
    for _ in range(6):
        assert server.request("POST", "/v2/models/m/infer", body)[0] == 200
    told = result("even:model=m,rate=10", "--seconds", 5, "--executors", 1, cwd=tmp_path, server=server.url)
    assert told["all"]["answered"] >= 49 and told["all"]["p50_ns"] >= 2_000_000  # without what it waited for a processor
    status, costs, _ = server.request("GET", "/api/cost")
    assert status == 200
    (tmp_path / "costs.json").write_bytes(costs)
    again = result("even:model=m,rate=10", "--seconds", 5, "--executors", 1, "--costs", "costs.json", cwd=tmp_path)
    assert abs(again["all"]["p50_ns"] - told["all"]["p50_ns"]) < 1000
    assert "nobody says what runs of model 'n' take" in simulate("even:model=n,rate=10", expect=NOT_FOUND, cwd=tmp_path, server=server.url)
    said = simulate("even:model=m,rate=10", "even:model=way,rate=10", expect=NOT_FOUND, cwd=tmp_path, server=server.url)
    assert "'way' is no model but a route, which makes no runs itself: name the models that it asks (troupe inspect way)" in said
    told = result("even:model=way,rate=10", "--cost", "way=1ms", "--seconds", 5, cwd=tmp_path, server=server.url)
    assert told["all"]["answered"] >= 49
