"""docs/backends.md is true: the backend on that page compiles with the commands on that page, and the server runs it."""
import re
import shlex
import subprocess

import pytest

from conftest import ROOT, SLOW, TROUPE

PAGE = (ROOT / "docs/backends.md").read_text()


def block(language, containing):
    """The one block of the page that contains these words."""
    found = [text for text in re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S) if containing in text]
    assert len(found) == 1, containing
    return found[0]


@pytest.fixture
def folder(tmp_path):
    """Looks as the top folder of the repository does to somebody who follows the page."""
    (tmp_path / "include").symlink_to(ROOT / "include")
    (tmp_path / "scale.c").write_text(block("c", "scale.c"))
    done = subprocess.run(["sh", "-e", "-c", block("sh", "troupe_backend_scale.so")], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return tmp_path


def test_the_small_backend_of_the_page_serves(serve, folder):
    session = block("console", "build/troupe infer").splitlines()
    ask = next(line for line in session if line.startswith("$ build/troupe infer "))
    answer = session[session.index(ask) + 1:]
    server = serve(folder / "repository", settings={"backends.path": str(folder / "plugins")})
    server.wait_ready("triple")
    words = shlex.split(ask)[2:]
    done = subprocess.run([TROUPE, *words, "--server", server.url], capture_output=True, text=True, timeout=60 * SLOW)
    assert done.returncode == 0 and done.stdout.splitlines() == answer, done.stdout + done.stderr
    (folder / "repository/triple/factor").write_text("no number\n")
    done = subprocess.run([TROUPE, "load", "triple", "--server", server.url], capture_output=True, text=True, timeout=60 * SLOW)
    assert done.returncode == 1 and "expected a number in" in done.stderr


def test_the_small_backend_of_the_page_compiles_without_a_warning(folder):
    command = ["cc", "-std=c17", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", "-fPIC", "-shared", "-Iinclude", "-o", "strict.so", "scale.c"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
