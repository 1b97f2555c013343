"""docs/bad-input.md is complete: each row names a test, each test is named by one row, each limit of docs/settings.md is in it."""
import ast
import re
from pathlib import Path

from bad_input import PAGE, rows

HERE = Path(__file__).parent
FILES = ["test_bad_http.py", "test_bad_tensors.py", "test_bad_grpc.py", "test_bad_models.py", "test_limits.py", "test_guards.py"]


def functions_of(name):
    tree = ast.parse((HERE / name).read_text())
    return [f"{name}::{node.name}" for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


def test_each_row_names_a_test_and_each_test_stands_in_one_row():
    tests = [test for name in FILES for test in functions_of(name)]
    named = [row.test for row in rows()]
    assert sorted(set(named)) == sorted(named), "a test stands in two rows"
    assert sorted(named) == sorted(tests)


def test_no_row_makes_a_clients_mistake_a_500():
    ours = {"test_bad_models.py::test_backend_that_fails", "test_bad_models.py::test_division_that_kills",
            "test_bad_tensors.py::test_input_that_the_model_refuses"}
    assert [row.test for row in rows() if (row.http == 500 or row.grpc in ("INTERNAL", "UNKNOWN")) and row.test not in ours] == []


def test_each_limit_that_can_be_hit_from_outside_is_named():
    settings = (PAGE.parent / "settings.md").read_text()
    keys = re.findall(r"^\| `((?:limits|timeouts)\.\w+|sched\.\w*queue_max)`", settings, re.M)
    assert len(keys) > 20
    page = PAGE.read_text()
    assert [key for key in keys if f"`{key}`" not in page] == []


def test_each_counter_is_documented():
    metrics = (PAGE.parent / "metrics.md").read_text()
    for row in rows():
        if row.counter != "–":
            name, label = re.match(r'(\w+)(?:\{\w+="(\w+)"\})?$', row.counter).groups()
            assert f"`{name}`" in metrics and (label is None or name != "troupe_limit_hits_total" or label in metrics), row
