"""The wall clock that rules read: shown, moved where a setting allows it, and nobody else's."""
import datetime
import email.utils
import json
import subprocess
import time

from conftest import SLOW, TROUPE
from test_repository import post


def shown(server):
    status, body = server.get("/api/time")[:2]
    assert status == 200, body
    return json.loads(body)


def is_now(reply, offset_s=0):
    return abs(reply["unix_ms"] / 1000 - time.time() - offset_s) < 60 * SLOW


def test_it_is_the_machines_and_not_to_be_changed_unless_a_setting_says_so(serve, repository):
    server = serve(repository.path)
    reply = shown(server)
    assert is_now(reply) and reply["offset_ms"] == 0 and reply["adjustable"] is False
    said = datetime.datetime.strptime(reply["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
    assert int(said.timestamp()) == reply["unix_ms"] // 1000
    status, refused = post(server, "/api/time", {"offset": "3h"})
    assert status == 403 and "time.adjustable is false" in refused["error"]
    assert shown(server)["offset_ms"] == 0


def test_it_is_moved_while_the_server_runs_and_nothing_else_is(serve, repository):
    repository.write("m/model.echo", "input x FP32 [-1]\noutput y FP32 [-1]\n")
    server = serve(repository.path, settings={"time.adjustable": "true"}).wait_ready("m")
    status, reply = post(server, "/api/time", {"offset": "3h"})
    assert status == 200 and is_now(reply, 3 * 3600) and reply["offset_ms"] == 3 * 3600 * 1000 and reply["adjustable"] is True
    assert server.metric("troupe_time_offset_seconds") == 3 * 3600
    # Dates, deadlines and requests go by the machine's clocks.
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}).encode()
    status, _, headers = server.request("POST", "/v2/models/m/infer", body, {"troupe-timeout-ms": str(30000 * SLOW)})
    assert status == 200
    assert abs(email.utils.parsedate_to_datetime(headers["Date"]).timestamp() - time.time()) < 60 * SLOW
    status, reply = post(server, "/api/time", {"offset": "-36500d"})
    assert status == 200 and reply["time"].startswith("19"), reply
    for wrong in ("", "3", "soon", "--3h", "36526d", "forever"):
        status, refused = post(server, "/api/time", {"offset": wrong})
        assert status == 400 and "offset: expected a duration" in refused["error"], (wrong, refused)
    assert shown(server)["offset_ms"] == -36500 * 86400 * 1000  # what was wrong has changed nothing
    assert post(server, "/api/time", {"offset": "0s"})[1]["offset_ms"] == 0


def test_a_page_of_somebody_else_may_not_move_it(serve, repository):
    server = serve(repository.path, settings={"time.adjustable": "true"})
    status, body, _ = server.request("POST", "/api/time", b'{"offset": "3h"}', {"Origin": "http://evil.example"})
    assert status == 403, body
    assert shown(server)["offset_ms"] == 0


def test_the_setting_moves_it_from_the_start(serve, repository):
    server = serve(repository.path, settings={"time.offset": "-12h"})
    assert is_now(shown(server), -12 * 3600)
    done = subprocess.run([str(TROUPE), "serve", str(repository.path), "--listen", "127.0.0.1:0", "--set", "time.offset=noon"], capture_output=True, text=True,
                          timeout=60 * SLOW, check=False)
    assert done.returncode != 0 and "time.offset: expected a duration" in done.stderr
