"""What rules of routes see besides the request itself: the kind of content of real files, the clock, lists that change, and the load."""
import calendar
import io
import json
import os
import struct
import threading
import time
import wave
import zlib

import numpy as np
import tritonclient.http as triton_http

from conftest import SLOW
from test_repository import post

PLAIN = "input x FP32 [-1]\noutput y FP32 [-1]\n"
BYTES = "input content BYTES [-1]\noutput y BYTES [-1]\n"


def start(serve, repository, models, routes, **settings):
    """A server with these models (name: lines of its script besides the tensors) and routes.yaml."""
    for name, script in models.items():
        repository.write(f"{name}/model.echo", script if script.startswith("input") else PLAIN + script)
    repository.write("routes.yaml", routes)
    server = serve(repository.path, settings=settings).wait_ready(*models)
    server.wait(lambda: json.loads(server.get("/api/routes")[1])["routes"], "the routes")
    return server


def ask(server, model, params=None):
    request = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}], "parameters": params or {}}
    return post(server, f"/v2/models/{model}/infer", request)


def who(server, route, params=None):
    status, reply = ask(server, route, params)
    assert status == 200, reply
    return reply["model_name"]


def png():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes(3 * 4) for _ in range(4))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def wav():
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(1600))
    return out.getvalue()


def test_the_kind_of_content_is_told_by_its_first_bytes(serve, repository):
    kinds = ["image", "audio", "text", "pdf", "rest"]
    rules = "".join(f"    - when: inputs.content.kind == '{kind}'\n      use: {kind}\n" for kind in kinds[:-1])
    server = start(serve, repository, dict.fromkeys(kinds, BYTES), "routes:\n  describe:\n" + rules + "    - use: rest\n")
    samples = {"image": [png(), b"GIF89a" + bytes(20)], "audio": [wav(), b"fLaC" + bytes(40)], "pdf": [b"%PDF-1.7\n"],
               "text": ["Grüße aus München".encode(), b"", b"{}", b"BMW"], "rest": [b"\0\1\2\3", b"PK\3\4\0\0", np.arange(9, dtype=np.float32).tobytes()]}
    with triton_http.InferenceServerClient(server.url, network_timeout=60 * SLOW) as client:
        for kind, contents in samples.items():
            for content in contents:
                tensor = triton_http.InferInput("content", [1], "BYTES")
                tensor.set_data_from_numpy(np.array([content], dtype=np.object_))
                answer = client.infer("describe", [tensor])
                assert answer.get_response()["model_name"] == kind, (kind, content[:20])
                assert answer.as_numpy("y")[0] == content


def set_time(server, year, month, day, hour, minute):
    """Moves the clock that rules read to a moment in UTC."""

    offset_s = calendar.timegm((year, month, day, hour, minute, 30)) - int(time.time())
    status, reply = post(server, "/api/time", {"offset": f"{offset_s}s"})
    assert status == 200, reply


def test_the_clock_is_that_of_the_zone_and_can_be_moved(serve, repository):
    routes = """\
time_zone: Europe/Berlin
routes:
  r:
    - when: time.within('* 1-4 * * mon-fri')
      use: night
    - when: time.weekday == 'sun'
      use: sunday
    - use: day
"""
    server = start(serve, repository, dict.fromkeys(["night", "sunday", "day"], ""), routes, **{"time.adjustable": "true"})
    # 2026-07-01 is a Wednesday, 2026-01-14 too; Berlin is two hours ahead of UTC in summer, one in winter.
    for moment, model in {(2026, 7, 1, 0, 0): "night", (2026, 7, 1, 2, 58): "night", (2026, 7, 1, 3, 0): "day", (2026, 6, 30, 22, 58): "day",
                          (2026, 6, 30, 23, 0): "night", (2026, 1, 14, 3, 58): "night", (2026, 1, 14, 4, 0): "day", (2026, 7, 4, 22, 0): "sunday",
                          (2026, 7, 5, 2, 0): "sunday", (2026, 7, 4, 2, 0): "day"}.items():
        set_time(server, *moment)
        assert who(server, "r") == model, moment


def replace(repository, name, keys):
    new = repository.write(name + ".new", "".join(key + "\n" for key in keys))
    os.replace(new, repository.path / name)


def test_a_list_follows_its_file_and_a_bad_one_changes_nothing(serve, repository):
    routes = "lists: { known: known.txt }\nroutes:\n  r:\n    - when: params.user in lists.known\n      use: warm\n    - use: cold\n"
    replace(repository, "known.txt", ["ann", "17"])
    server = start(serve, repository, {"warm": "", "cold": ""}, routes, **{"routes.lists_poll": "100ms", "limits.list_keys": 4})
    assert [who(server, "r", {"user": user}) for user in ("ann", "bob", 17, 18)] == ["warm", "cold", "warm", "cold"]
    assert server.metric("troupe_route_list_keys") == 2
    replace(repository, "known.txt", ["# a remark", "bob", "", "18", "eve"])
    server.wait(lambda: who(server, "r", {"user": "bob"}) == "warm", "the new list")
    assert [who(server, "r", {"user": user}) for user in ("ann", "eve", 17, 18)] == ["cold", "warm", "cold", "warm"]
    replace(repository, "known.txt", ["one", "two", "three", "four", "five"])
    server.wait(lambda: server.metric("troupe_route_list_reloads_total", result="failed") >= 1, "the list to be refused")
    assert server.metric("troupe_limit_hits_total", limit="list_keys") >= 1
    server.wait(lambda: "5 keys, the limit is 4" in server.log(), "the reason")
    assert who(server, "r", {"user": "bob"}) == "warm" and who(server, "r", {"user": "five"}) == "cold"
    replace(repository, "known.txt", ["five"])
    server.wait(lambda: who(server, "r", {"user": "five"}) == "warm", "the list that was mended")
    assert server.metric("troupe_route_list_keys") == 1 and server.metric("troupe_account_bytes", account="lists") > 0


def test_conditions_of_steps_see_what_rules_see(serve, repository):
    repository.write("known.txt", "bob\n")
    step = "{ steps: [ { model: a, when: \"%s\" } ], outputs: [y] }\n"
    routes = ("time_zone: Asia/Tokyo\nlists: { known: known.txt }\nroutes: { r: [ { use: a } ] }\npipelines:\n"
              "  night: " + step % "time.hour < 5" + "  known: " + step % "params.user in lists.known" + "  failed: " + step % "models.flaky.errors > 0.4" +
              "  ready: " + step % "models.r.ready && server.memory >= 0.0")
    server = start(serve, repository, {"a": "", "flaky": "fail INTERNAL\n"}, routes, **{"time.adjustable": "true"})
    for name in ("night", "known", "failed", "ready"):
        server.wait(lambda: server.get(f"/v2/models/{name}/ready")[0] == 200, name)

    def holds(pipeline, params=None):
        status, reply = ask(server, pipeline, params)
        assert status == 200 or "no step has made output 'y'" in reply["error"], reply
        return status == 200

    set_time(server, 2026, 7, 1, 16, 0)  # one in the morning, nine hours to the east
    assert holds("night")
    set_time(server, 2026, 7, 1, 2, 0)
    assert not holds("night")
    assert holds("known", {"user": "bob"}) and not holds("known", {"user": "eve"})
    server.wait(lambda: holds("ready"), "a route to be looked at")
    before = server.metric("troupe_composition_conditions_unknown_total")
    status, reply = ask(server, "known")
    assert status == 400 and "whether step 'a' is wanted cannot be told: params.user is missing" in reply["error"], reply
    assert server.metric("troupe_composition_conditions_unknown_total") == before + 1
    assert not holds("failed")
    assert ask(server, "flaky")[0] == 500
    server.wait(lambda: holds("failed"), "a model's errors to be seen")
    for word, place in {"lists.unknown": "lists.unknown", "models.falky.ready": "did you mean 'flaky'?"}.items():
        repository.write("routes.yaml", "lists: { known: known.txt }\npipelines:\n  p: " + step % (f"'x' in {word}" if "lists" in word else word))
        server.process.send_signal(1)
        server.wait(lambda: place in server.log(), word)


def test_rules_see_how_busy_a_model_is_and_what_it_has_been_like(serve, repository, gate):
    """The model's own requests go past the route, so that it does not change what it asks for."""
    routes = """\
routes:
  queue: [ { when: models.slow.queue > 1, use: spare }, { use: main } ]
  busy: [ { when: models.slow.busy > 0, use: spare }, { use: main } ]
  flight: [ { when: server.in_flight > 3, use: spare }, { use: main } ]
  errors: [ { when: models.flaky.errors > 0.4, use: spare }, { use: main } ]
  late: [ { when: models.tardy.p50 > 60ms, use: spare }, { use: main } ]
  bytes: [ { when: models.heavy.bytes >= 1000000, use: spare }, { use: main } ]
"""
    models = {"spare": "", "main": "", "slow": gate.until + "alone\n", "flaky": "fail BACKEND_FAILED the fan stopped\n",
              "tardy": "sleep 100ms\n", "heavy": "weighs 1000000\n"}
    server = start(serve, repository, models, routes)
    server.wait(lambda: who(server, "bytes") == "spare", "what is loaded to be seen")  # what rules see is a moment old
    assert [who(server, route) for route in ("queue", "busy", "flight", "errors", "late")] == ["main"] * 5
    asking = [threading.Thread(target=ask, args=(server, "slow")) for _ in range(4)]
    for thread in asking:
        thread.start()
    for route in ("queue", "busy", "flight"):
        server.wait(lambda route=route: who(server, route) == "spare", f"{route} to be seen")

    def has_seen():
        assert ask(server, "flaky")[0] == 500 and ask(server, "tardy")[0] == 200
        return who(server, "errors") == "spare" and who(server, "late") == "spare"
    server.wait(has_seen, "errors and times to be seen")
    gate.open()
    for thread in asking:
        thread.join()
    for route in ("queue", "busy", "flight"):
        server.wait(lambda route=route: who(server, route) == "main", f"{route} to be over")
    # What nobody has asked for ten seconds has had no errors and no times.
    server.wait(lambda: who(server, "errors") == "main" and who(server, "late") == "main", "the window to be over", seconds=60)
