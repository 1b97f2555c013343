"""What `make install` puts somewhere works from there: the command finds its plugin and the runtime, the manual and the completion
are there."""
import os
import subprocess

import conftest
from conftest import BUILD, ROOT


def test_an_installation_serves_from_its_own_folder(tmp_path, monkeypatch):
    prefix = tmp_path / "prefix"
    subprocess.run(["cmake", "--install", str(BUILD), "--prefix", str(prefix)], check=True, capture_output=True)
    assert (prefix / "include/troupe/backend.h").is_file()
    assert (prefix / "share/man/man1/troupe.1").read_text().startswith(".TH TROUPE 1")
    assert "complete " in (prefix / "share/bash-completion/completions/troupe").read_text()
    monkeypatch.setattr(conftest, "TROUPE", prefix / "bin/troupe")
    server = conftest.Server(ROOT / "examples/models", env={"TROUPE_ONNXRUNTIME": "", "PATH": os.environ["PATH"]})
    try:
        server.wait_ready("digits_linear", "digits_mlp", "digits_cnn")
        assert str(prefix) in server.log() or f"{prefix.name}/" in server.log(), server.log()
    finally:
        server.stop()
