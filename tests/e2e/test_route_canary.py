"""Canaries of routes: one that does worse is taken back by itself, one that does not gets all requests, step by step."""
import threading

import pytest

from conftest import SLOW
from test_repository import load
from test_routes import PLAIN, ask, command, explain, routes

BROKEN = PLAIN + "fail BACKEND_FAILED it is broken\n"


def route_of(canary, rest=""):
    return ("routes:\n  r:\n    - use: old\n      canary: { use: %s, steps: [20%%, 60%%, 100%%], hold: 200ms, answers: 10, slower: 1000 }\n%s"
            % (canary, rest))


def canary(server, route="r"):
    return routes(server)[route]["rules"][0]["canary"]


@pytest.fixture
def canaries(serve, repository):
    def start(file, **more):
        for name, text in {"old": PLAIN, "good": PLAIN, "broken": BROKEN, **more}.items():
            repository.write(f"{name}/model.echo", text)
        repository.write("routes.yaml", file)
        server = serve(repository.path).wait_ready("old", "good", "broken")
        server.wait(lambda: "r" in routes(server) and canary(server)["step"] == 1, "the canary's first step")
        server.repository = repository
        return server
    return start


def ask_until(server, is_over, what, answers=None):
    """Asks all the time, on two connections, until something holds; the statuses and who answered."""
    answers = [] if answers is None else answers
    over = threading.Event()

    def work():
        while not over.is_set():
            status, reply = ask(server, "r")
            answers.append((status, reply.get("model_name")))
    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    try:
        server.wait(is_over, what)
    finally:
        over.set()
        for worker in workers:
            worker.join()
    return answers


def test_a_good_one_goes_through_its_steps(canaries):
    server = canaries(route_of("good"))
    assert canary(server)["share"] == 0.2 == server.metric("troupe_route_canary_share", route="r", rule="1")
    answers = ask_until(server, lambda: canary(server)["state"] == "done", "all steps")
    assert all(status == 200 for status, _ in answers)
    assert {"old", "good"} == {name for _, name in answers}
    now = canary(server)
    assert now["share"] == 1 and now["step"] == now["steps"] == 3 and "3 steps was held" in now["reason"]
    status, reply = ask(server, "r")
    assert reply["model_name"] == "good" and reply["parameters"]["troupe_choice"] == "route r, rule 1: canary -> good/1"
    assert server.metric("troupe_route_canary_step", route="r", rule="1") == 3
    assert server.metric("troupe_route_canary_rolled_back", route="r", rule="1") == 0
    assert server.metric("troupe_route_canary_moves_total", move="done") == 1


def test_a_bad_one_is_taken_back_by_itself(canaries):
    server = canaries(route_of("broken"))
    answers = ask_until(server, lambda: canary(server)["state"] == "rolled_back", "the canary is taken back")
    now = canary(server)
    assert now["share"] == 0 and "of its" in now["reason"] and "failed" in now["reason"]
    assert now["reason"].endswith("; the last one of: model 'broken/1': it is broken")
    server.wait_logged(now["reason"])
    wrong = [status for status, _ in answers if status != 200]
    assert 0 < len(wrong) <= 0.2 * len(answers) + 3  # never more than its share
    for _ in range(50):
        status, reply = ask(server, "r")
        assert status == 200 and reply["model_name"] == "old"
    chosen = explain(server, "r")["chosen"]
    assert chosen["target"] == "old" and chosen["by"] == "rule" and chosen["shares"] == []
    assert chosen["canary"] == {"target": "broken", "state": "rolled_back", "share": 0, "reason": now["reason"]}
    said = command(server, "explain", "r", "x=[1]")
    assert "by chance" not in said and "may get another one" not in said and f"broken, the canary, was taken back: {now['reason']}\n" in said
    assert server.metric("troupe_route_canary_rolled_back", route="r", rule="1") == 1
    assert server.metric("troupe_route_canary_share", route="r", rule="1") == 0
    server.wait_logged("is taken back: ")

    # It stays so when something else is written, and begins again when it is another one.
    server.repository.write("routes.yaml", route_of("broken", "  other: [ { use: good } ]\n"))
    assert load(server, "r")[0] == 200
    assert "other" in routes(server) and canary(server)["state"] == "rolled_back" and canary(server)["share"] == 0
    server.repository.write("routes.yaml", route_of("good"))
    assert load(server, "r")[0] == 200
    assert canary(server)["state"] == "watching" and canary(server)["share"] == 0.2
    chosen = explain(server, "r")["chosen"]
    assert chosen["by"] == "chance" and [s["share"] for s in chosen["shares"]] == [0.8, 0.2] and chosen["canary"]["state"] == "watching"


def test_a_slow_one_is_taken_back_by_itself(canaries):
    server = canaries(route_of("slow").replace("slower: 1000", f"slower: {2 * SLOW}").replace("[20%", "[50%"), slow=PLAIN + "sleep 300ms\n")
    answers = ask_until(server, lambda: canary(server)["state"] == "rolled_back", "the canary is taken back")
    assert all(status == 200 for status, _ in answers), "it answers, but late"
    now = canary(server)
    assert now["share"] == 0 and "p95 of its" in now["reason"], now
    assert ask(server, "r")[1]["model_name"] == "old"


def test_what_clients_do_wrong_is_no_failure_of_either(canaries):
    server = canaries(route_of("good").replace("hold: 200ms", "hold: 1h"))
    for _ in range(60):
        status, reply, _ = server.request("POST", "/v2/models/r/infer", b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,1],"data":[1]}]}')
        assert status == 400, reply
    now = canary(server)
    assert (now["calls"], now["failures"], now["beside"]) == (0, 0, {"calls": 0, "failures": 0})
    targets = {t["target"]: t for t in routes(server)["r"]["targets"]}
    assert targets["old"]["failed"] == targets["good"]["failed"] == 0
    assert targets["old"]["client_errors"] + targets["good"]["client_errors"] == 60
    assert server.metric("troupe_route_failed_total", route="r") == 0
    assert server.metric("troupe_route_client_errors_total", route="r") == 60
    assert "# HELP troupe_route_client_errors_total Attempts that were the client's own mistake; no failures" in server.get("/metrics")[1].decode()
    assert server.metric("troupe_route_asked_total", route="r") == 60


def test_with_a_fallback_nobody_sees_a_bad_one(canaries):
    server = canaries(route_of("broken", "      fallback: old\n"))
    answers = ask_until(server, lambda: canary(server)["state"] == "rolled_back", "the canary is taken back")
    assert all(answer == (200, "old") for answer in answers)


def test_a_hedge_does_not_hide_that_the_canary_fails(canaries):
    """It fails after the hedge was sent, which answers well: the canary is judged by what it did itself.  The fallback is for a machine that
    stands still until after the failure: then no hedge was sent."""
    server = canaries(route_of("late", "      hedge: { use: old, after: 5ms }\n      fallback: old\n").replace("  r:\n    - use", "  r:\n    budget: 100%\n    rules:\n    - use"),
                      late=BROKEN + "sleep 100ms\n")
    answers = ask_until(server, lambda: canary(server)["state"] == "rolled_back", "the canary is taken back")
    assert all(status == 200 for status, _ in answers)
    assert canary(server)["share"] == 0 and "failed" in canary(server)["reason"]
    hedge = routes(server)["r"]["rules"][0]["hedge"]
    assert hedge["sent"] >= 1 and hedge["won"] >= 1


def test_a_key_stays_with_the_canary_while_it_grows(canaries):
    file = route_of("good", "      sticky: params.user\n").replace("answers: 10", "answers: 1000000")
    server = canaries(file)
    users = [f"u{i}" for i in range(100)]

    def who_has():
        return {user for user in users if explain(server, "r", {"user": user})["chosen"]["target"] == "good"}
    first = who_has()
    assert 5 <= len(first) <= 40
    assert first == {u for u in users if ask(server, "r", {"user": u})[1]["model_name"] == "good"}
    server.repository.write("routes.yaml", file.replace("[20%, 60%", "[50%, 60%"))
    assert load(server, "r")[0] == 200
    assert first < who_has()


@pytest.mark.parametrize("text, words", [
    ("{ use: old, canary: old }", "'old' is a canary of itself"),
    ("{ use: old, canary: { steps: [1%] } }", "expected a target, or { use: TARGET, steps: [1%, 10%, 100%] }"),
    ("{ split: { old: 1, good: 1 }, canary: broken }", "a canary belongs to a rule with one target"),
    ("{ use: old, canary: { use: good, stpes: [1%] } }", "unknown key 'stpes' of canary; did you mean 'steps'?"),
    ("{ use: old, canary: { use: good, steps: [10%, 5%] } }", "expected shares that rise"),
])
def test_a_mistake_is_told_with_its_place(canaries, text, words):
    server = canaries(route_of("good"))
    server.repository.write("routes.yaml", "routes:\n  r:\n    - " + text + "\n")
    status, reply = load(server, "r")
    assert status == 400 and "routes.yaml:3:" in reply["error"] and words in reply["error"], reply
    assert canary(server)["state"] in ("watching", "done")
