"""Server.wait() of conftest.py, which most tests wait with: which time counts, and when it gives up."""
import types

import pytest

import conftest
from conftest import SLOW, Server


class Clock:
    """Stands in for the module `time`; a pause takes `pause_s`."""

    def __init__(self, pause_s):
        self.now_s, self.pause_s = 0.0, pause_s

    def monotonic(self):
        return self.now_s

    def sleep(self, _):
        self.now_s += self.pause_s


@pytest.fixture
def waiting(monkeypatch):
    """waiting(how long a question takes, a pause takes, asked how often until it is true): how often it was asked when wait() ended."""
    def run(question_s, pause_s, true_at, ended=None):
        clock, asked = Clock(pause_s), []
        monkeypatch.setattr(conftest, "time", clock)
        server = Server.__new__(Server)  # no process is started
        server.process, server.lines = types.SimpleNamespace(poll=lambda: ended), ["its log\n"]

        def condition():
            clock.now_s += question_s
            asked.append(clock.now_s)
            return len(asked) >= true_at
        try:
            server.wait(condition, "rain", seconds=30)
        except AssertionError as error:
            return len(asked), str(error)
        return len(asked), ""
    return run


def test_it_ends_when_the_condition_is_true(waiting):
    assert waiting(0.001, 0.02, true_at=7) == (7, "")


def test_a_machine_that_stands_still_is_waited_for(waiting):
    assert waiting(0.001, 60.0, true_at=20) == (20, "")


def test_questions_that_are_not_answered_are_not_asked_for_half_an_hour(waiting):
    asked, said = waiting(60.0 * SLOW, 0.02, true_at=30)
    assert asked == 1 and "waited too long for rain" in said and "its log" in said


def test_many_quick_questions_end_too(waiting):
    asked, said = waiting(0.08, 0.02, true_at=10**6)
    assert 300 * SLOW - 2 <= asked <= 300 * SLOW + 2 and "waited too long for rain" in said


def test_a_server_that_ended_is_not_waited_for(waiting):
    asked, said = waiting(0.001, 0.02, true_at=7, ended=-6)
    assert asked == 1 and "the server ended" in said and "its log" in said
