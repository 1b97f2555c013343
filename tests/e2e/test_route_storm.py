"""Everything that routes can do, read again and again under load: no request fails, and whoever answers was named by a version of the
file that was in force while the request was under way."""
import collections
import os
import signal
import threading
import time

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from conftest import COMPLAINT, SLOW
from test_replacement import put
from test_repository import load
from test_routes import routes

MODELS = 6
VERSIONS = 40
KINDS = ("listed", "broken", "whole", "inner", "split", "keyless")
PLAIN = "input x FP32 [-1,-1,-1]\noutput y FP32 [-1,-1,-1]\n"
X = np.array([[[1, 2]]], np.float32)  # a picture of one point, which a built-in step can scale


def model(number):
    return f"m{number % MODELS}"


def text_of(version):
    """routes.yaml: each version names other models everywhere, and opens another list."""
    v = version
    return f"""\
lists:
  members: ../lists/{v % 3}.txt
routes:
  r:
    - when: params.kind == 'listed' && params.user in lists.members
      use: {model(v + 1)}
      shadow: {model(v + 2)}
    - when: params.kind == 'broken'
      use: broken
      retries: 1
      fallback: [absent, {model(v + 3)}]
    - when: params.kind == 'whole'
      use: whole
    - when: params.kind == 'inner'
      use: inner
      timeout: 60s
    - split: {{ {model(v)}: 60, {model(v + 4)}: 40 }}
      sticky: params.user
      shadow: {{ use: {model(v + 5)}, share: 50% }}
  inner: [{{ when: request.rows == 1, use: {model(v + 2)}, hedge: 50ms }}, {{ use: broken }}]
  unseen: [{{ use: {model(v)} }}]
pipelines:
  whole:
    steps:
      - {{ model: unseen, inputs: {{ x: x }}, outputs: {{ y: h }} }}
      - {{ model: {model(v + 1)}, inputs: {{ x: h }}, outputs: {{ y: k }}, when: params.kind == 'whole' }}
      - {{ op: normalise, input: k, output: y, scale: {v + 1} }}
    outputs: [y]
"""


WRONG = ("  r: 7\n", "  broken: [{ use: nobody }]\n", "lists: { again: ../lists/nowhere.txt }\n", "ensembles: { e: { members: [m0, zz] } }\n")


def allowed(version, kind):
    """Who may answer by this version."""
    if kind in ("split", "keyless"):
        return {model(version), model(version + 4)}
    return {{"listed": model(version + 1), "broken": model(version + 3), "whole": "whole", "inner": model(version + 2)}[kind]}


class Storm:
    """Which versions may be in force: from the last one that was taken up to the last one that was written."""
    def __init__(self):
        self.settled = self.written = 0
        self.stopped = threading.Event()
        self.problems, self.counts = [], collections.Counter()
        self.stuck = {}
        self.lock = threading.Lock()

    def judge(self, first, last, kind, user, name, values):
        versions = range(first, last + 1)
        right = [v for v in versions if name in allowed(v, kind)]
        want = {tuple((X * (v + 1)).ravel()) for v in versions} if kind == "whole" else {tuple(X.ravel())}
        with self.lock:
            self.counts[kind] += 1
            if not right or tuple(values.ravel()) not in want:
                self.problems.append(f"{kind} of {user} by {first}..{last}: {name} {values}")
            if kind == "split" and first == last and self.stuck.setdefault((first, user), name) != name:
                self.problems.append(f"{user} was {self.stuck[first, user]}'s by version {first}, and is {name}'s")

    def ask(self, client, module, number):
        x = module.InferInput("x", list(X.shape), "FP32")
        x.set_data_from_numpy(X)
        for turn in range(1 << 30):
            if self.stopped.is_set():
                return
            kind, user = KINDS[(number + turn) % len(KINDS)], f"u{turn % 5}"
            parameters = {"kind": kind} | ({} if kind == "keyless" else {"user": user})
            first = self.settled
            try:
                answer = client.infer("r", [x], parameters=parameters)
            except InferenceServerException as error:
                self.problems.append(f"{kind}: {error}")
                continue
            reply = answer.get_response()
            name = reply["model_name"] if isinstance(reply, dict) else reply.model_name
            self.judge(first, self.written, kind, user, name, answer.as_numpy("y"))

    def hammer(self, url, number):
        if number % 2:
            with triton_http.InferenceServerClient(url, network_timeout=60 * SLOW) as client:
                self.ask(client, triton_http, number)
        else:
            with triton_grpc.InferenceServerClient(url) as client:
                self.ask(client, triton_grpc, number)


def change(server, repository, storm, version):
    """A mistake changes nothing; a version that was taken up holds for all that come later."""
    if version % 4 == 3:
        put(text_of(version) + WRONG[version // 4 % len(WRONG)], repository.path / "routes.yaml")
        status, reply = load(server, "r")
        assert status == 400, reply
    storm.written = version
    put("".join(f"u{i}\n" for i in range(5)) + f"# {version}\n", repository.path.parent / f"lists/{version % 3}.txt")
    put(text_of(version), repository.path / "routes.yaml")
    if version % 5 == 0:
        os.kill(server.process.pid, signal.SIGHUP)
    status, reply = load(server, "r")
    assert status == 200, reply
    storm.settled = version
    if version % 6 == 0:
        assert load(server, model(version))[0] == 200


def is_used(rules):
    return all(r["matched"] > 0 for r in rules) and rules[1]["fell_back"] > 0 and all(rules[i]["shadow"]["compared"] > 0 for i in (0, 4))


def test_a_storm_of_reloads_of_all_that_routes_can_do_costs_no_request(serve, repository):
    for i in range(MODELS):
        repository.write(f"m{i}/model.echo", PLAIN)
    repository.write("broken/model.echo", PLAIN + "fail BACKEND_FAILED it is broken\n")
    repository.write("absent/model.echo", PLAIN + "load_fail it never was\n")
    for i in range(3):
        put("".join(f"u{k}\n" for k in range(5)), repository.path.parent / f"lists/{i}.txt")
    repository.write("routes.yaml", text_of(0))
    server = serve(repository.path).wait_ready("m0", "broken")
    server.wait(lambda: server.get("/v2/models/whole/ready")[0] == 200 and "r" in routes(server), "all of it")
    storm = Storm()
    threads = [threading.Thread(target=storm.hammer, args=(server.url, i)) for i in range(4)]
    for thread in threads:
        thread.start()
    try:
        for version in range(1, VERSIONS + 1):
            change(server, repository, storm, version)
            time.sleep(0.02)
        server.wait(lambda: is_used(routes(server)["r"]["rules"]), "the last version to be asked for all that it does")
    finally:
        storm.stopped.set()
        for thread in threads:
            thread.join()
    assert not storm.problems, storm.problems[:10]
    assert min(storm.counts[kind] for kind in KINDS) >= 20, storm.counts
    told = routes(server)["r"]
    assert told["reason"] == "" and told["doubt"] is None
    assert server.metric("troupe_route_reloads_total", result="refused") >= VERSIONS // 4
    assert not COMPLAINT.search(server.log())
