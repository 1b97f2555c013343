"""tools/again, which `make asan` and `make tsan` run ctest with: who is run a second time, and who is not."""
import subprocess

import pytest

from conftest import ROOT, SLOW

# Fails the first time and passes the second, unless it is told otherwise; every time it notes that it was run.
FLAKY = "echo {name} >> runs; echo '{says}'; test $(grep -c '^{name}$' runs) -ge {passes_at}"


@pytest.fixture
def again(tmp_path):
    """again({name: (passes at which run, says)}) runs these tests: (exit code, what was said, how often each was run)."""
    def run(tests):
        lines = [f'add_test({name} "/bin/sh" "-c" "{FLAKY.format(name=name, passes_at=at, says=says)}")' for name, (at, says) in tests.items()]
        (tmp_path / "CTestTestfile.cmake").write_text("\n".join(line.replace("$", "\\$") for line in lines) + "\n")
        done = subprocess.run([ROOT / "tools/again", tmp_path, "ctest", "--test-dir", tmp_path, "--output-on-failure", "-j", "2"],
                              cwd=tmp_path, capture_output=True, text=True, timeout=60 * SLOW)
        runs = (tmp_path / "runs").read_text().split()
        return done.returncode, done.stdout + done.stderr, {name: runs.count(name) for name in tests}
    return run


def test_nobody_is_run_twice_where_all_pass(again):
    code, said, runs = again({"e2e/a": (1, ""), "unit/b": (1, "")})
    assert code == 0 and "again" not in said and runs == {"e2e/a": 1, "unit/b": 1}


def test_few_that_failed_without_a_report_have_a_second_chance(again):
    code, said, runs = again({"e2e/late": (2, "E   it was late"), "e2e/slow": (2, ""), "e2e/good": (1, "")})
    assert code == 0 and runs == {"e2e/late": 2, "e2e/slow": 2, "e2e/good": 1}
    for words in ("again: e2e/late failed, without a report", "E   it was late", "passed the second time: e2e/late e2e/slow"):
        assert words in said, said


def test_there_is_no_third(again):
    code, said, runs = again({"e2e/late": (3, "")})
    assert code != 0 and "failed the second time too" in said and runs == {"e2e/late": 2}


@pytest.mark.parametrize("report", ["WARNING: ThreadSanitizer: data race", "ERROR: AddressSanitizer: heap-use-after-free", "ERROR: LeakSanitizer: leaks",
                                    "a.c:1:2: runtime error: overflow", "troupe: bug: a.c:1", "E   terminate called without an active exception",
                                    "E           AssertionError: the server ended:", "E               AssertionError: exit code -6:",
                                    "E               AssertionError: the server did not end after SIGTERM:"])
def test_who_shows_a_report_has_none(again, report):
    code, said, runs = again({"e2e/bad": (2, report), "e2e/late": (2, "")})
    assert code != 0 and "e2e/bad failed with a report" in said and runs == {"e2e/bad": 1, "e2e/late": 1}


@pytest.mark.parametrize("line", [
    '>           assert self.process.poll() is None, "the server ended:" + self.log()',
    '                raise AssertionError("the server did not end after SIGTERM:" + self.log())',
    '>       assert self.process.returncode == expect, f"exit code {self.process.returncode}:{log}"',
    "E   AssertionError: waited too long for rain:", "E   AssertionError: exit code 1:"])
def test_the_lines_of_a_test_that_could_tell_of_a_crash_are_no_report(again, line):
    code, said, runs = again({"e2e/late": (2, line.replace('"', "_"))})
    assert code == 0 and "again: e2e/late failed, without a report" in said and runs == {"e2e/late": 2}


def test_neither_have_others_than_end_to_end_tests(again):
    code, said, runs = again({"unit/bad": (2, "")})
    assert code != 0 and "unit/bad failed, which is no end-to-end test" in said and runs == {"unit/bad": 1}


def test_nor_many(again):
    code, said, runs = again({f"e2e/t{i}": (2, "") for i in range(4)})
    assert code != 0 and "4 tests failed, more than 3" in said and set(runs.values()) == {1}
