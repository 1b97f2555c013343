"""What `troupe ls` and `troupe inspect` say of what is wrong: an unload is not hidden by a mistake, and reasons of several lines stay out of the table."""
import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conftest import SLOW, TROUPE
from test_replacement import WATCHED
from test_repository import index, post
from test_routes import command, routes

PLAIN = "input x FP32 [-1,%d]\noutput y FP32 [-1,%d]\n"


def line_of(text, name):
    return next(line for line in text.splitlines() if line.split()[:1] == [name])


def test_an_unloaded_model_is_unloaded_whatever_is_found_in_its_files(serve, repository):
    repository.write("m/model.echo", PLAIN % (4, 4))
    server = serve(repository.path, settings=WATCHED["poll"]).wait_ready("m")
    assert post(server, "/v2/repository/models/m/unload")[0] == 200
    assert line_of(command(server, "ls"), "m").endswith("[-1,4]")  # nothing besides
    repository.write("m/model.yaml", "max_batchsize: 3\n")
    words = 'unloaded; its files are wrong: m/model.yaml:1: unknown key "max_batchsize"'
    server.wait(lambda: words in command(server, "ls"), "the mistake")
    assert "UNLOADED" in line_of(command(server, "ls"), "m")
    assert "UNLOADED" in command(server, "inspect", "m") and words in command(server, "inspect", "m")
    assert words in command(server, "ls", "--state", "unloaded") and words in index(server)["m"][1]
    assert "max_batchsize" in command(server, "load", "m", code=1)
    failed = line_of(command(server, "ls"), "m")  # somebody wants it now
    assert "FAILED" in failed and "unloaded" not in failed


def test_a_reason_of_several_lines_stands_below_the_table(serve, repository):
    repository.write("four/model.echo", PLAIN % (4, 4))
    repository.write("five/model.echo", PLAIN % (5, 5))
    repository.write("routes.yaml", "routes:\n  r:\n    - { use: four, fallback: five }\n  s: [ { use: four } ]\n")
    server = serve(repository.path, settings=WATCHED["poll"]).wait_ready("four", "five")
    server.wait(lambda: "r" in routes(server) and routes(server)["r"]["doubt"], "the doubt")
    text = command(server, "ls")
    assert line_of(text, "r").endswith("routes.yaml:3:30: 'four' takes [-1,4] for 'x', and 'five' [-1,5]: no request fits both [1]")
    assert "no request fits both\n      - { use: four, fallback: five }\n" in text[text.index("\n[1] "):]
    shown = command(server, "inspect", "r")
    at = shown.index("  reason    ")
    assert shown[at:].splitlines()[1].strip() == "- { use: four, fallback: five }" and shown[at:].splitlines()[2].strip() == "^"
    repository.write("routes.yaml", "routes:\n  r:\n    - { use: fuor }\n")
    server.wait(lambda: "not taken up: " in command(server, "ls"), "the mistake")
    text = command(server, "ls")
    assert all(line_of(text, name).endswith("older files serve, see below") for name in "rs")
    assert text.count("did you mean 'four'?") == 1 and text.rstrip().endswith("^")


def test_a_folder_that_declares_a_route_waits_for_a_file_that_is_wrong_and_says_so(serve, repository):
    repository.write("four/model.echo", PLAIN % (4, 4))
    repository.write("routes.yaml", "routes:\n  r:\n    - { use: four }\n")
    server = serve(repository.path).wait_ready("four")
    server.wait(lambda: "r" in routes(server), "the route")
    repository.write("routes.yaml", "routes:\n  r:\n    - { use: fuor }\n")
    repository.write("late/model.yaml", "route:\n  - use: four\n")
    said = command(server, "load", "late", code=1)
    assert "its configuration declares 'route'; routes are not as they are written, because: " in said and "did you mean 'four'?" in said
    repository.write("routes.yaml", "routes:\n  r:\n    - { use: four }\n")
    assert "late is loaded" in command(server, "load", "late")
    assert "late" in routes(server)


MODEL = {"name": "m", "version": 1, "state": "COLD", "reason": "", "wanted": False, "weights_bytes": 0, "inferences": 0, "run_ns": 0}
ROUTE = {"name": "r", "kind": "route", "place": "routes.yaml:1", "ready": True, "reason": ""}


@pytest.fixture
def hesitant():
    """A server that has seen nothing of its repository yet when it is asked for the first so many times."""
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):  # pylint: disable=invalid-name
            key, found, word = ("routes", ROUTE, "read") if self.path.startswith("/api/routes") else ("models", MODEL, "listed")
            self.server.asked[key] += 1
            is_over = self.server.asked[key] > self.server.hesitates
            reply = json.dumps({key: [found] if is_over else [], "trouble": "", word: is_over}, separators=(",", ":")).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format, *args):  # pylint: disable=redefined-builtin
            pass
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.asked, server.hesitates = {"routes": 0, "models": 0}, 3
    server.url = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_first_look_of_a_server_at_its_repository_is_waited_for(hesitant):
    text = command(hesitant, "ls")
    assert line_of(text, "m") and line_of(text, "r") and "still looking" not in text
    assert hesitant.asked == {"routes": 4, "models": 4}
    hesitant.asked = {"routes": 0, "models": 0}
    shown = json.loads(command(hesitant, "ls", "--json"))
    assert shown["listed"] and shown["read"] and shown["models"] == [MODEL] and shown["routes"] == [ROUTE]
    hesitant.asked = {"routes": 0, "models": 0}
    assert line_of(command(hesitant, "ls", "--name", "m"), "m") and hesitant.asked == {"routes": 0, "models": 4}


def test_a_server_that_is_still_looking_after_some_seconds_is_not_taken_for_an_empty_one(hesitant):
    hesitant.hesitates = 10 ** 9
    text = command(hesitant, "ls")
    assert text.startswith("no models yet\n") and text.endswith("the server is still looking through its repository: more may come\n")
    assert "empty" not in text and hesitant.asked["models"] > 3 and hesitant.asked["routes"] == 1  # one patience for both


def test_whoever_is_told_that_all_was_listed_is_shown_all(serve, repository):
    names = [f"m{i:03}" for i in range(500)]
    for name in names:
        repository.write(f"{name}/model.echo", PLAIN % (4, 4))
        repository.write(f"{name}/model.yaml", "max_batch_size: 4\n")
    repository.write("routes.yaml", "routes: { r: [ { use: m000 } ] }\n")
    server = serve(repository.path)
    done = subprocess.run([str(TROUPE), "ls", "--json", "--server", server.url], capture_output=True, text=True, timeout=60 * SLOW, check=True)
    shown = json.loads(done.stdout)
    assert not shown["listed"] or [m["name"] for m in shown["models"]] == names
    assert not shown["read"] or [r["name"] for r in shown["routes"]] == ["r"]
    server.wait(lambda: json.loads(server.get("/api/models")[1])["listed"], "the first look")
    assert [m["name"] for m in json.loads(command(server, "ls", "--json"))["models"]] == names


def test_an_empty_repository_is_told_as_such(serve, repository):
    assert command(serve(repository.path), "ls") == "no models: the repository is empty\n"
