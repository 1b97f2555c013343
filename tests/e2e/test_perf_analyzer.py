"""perf_analyzer itself, unmodified, where it can run: it needs glibc 2.38, so Debian 13.  What it asks for over shared memory is replayed
in test_perf_analyzer_replay.py everywhere, because it opens CUDA's library for that."""
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import SLOW, Server
from triton_support import EXAMPLES, make_repository

PERF_ANALYZER = Path(sys.executable).with_name("perf_analyzer")
REQUESTS = 100
pytestmark = pytest.mark.skipif(not PERF_ANALYZER.exists(), reason="perf_analyzer needs a newer C library; its calls are replayed instead")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("perf_analyzer")
    started = Server(make_repository(folder / "models", *EXAMPLES.iterdir()), settings={"trace.file": folder / "trace.json"})
    yield started.wait_ready("digits_linear", "digits_mlp", "digits_cnn")
    started.stop()


def counts(server):
    """Of model digits_cnn: requests answered, runs, rows, requests failed."""
    entry, = json.loads(server.get("/v2/models/digits_cnn/stats")[1])["model_stats"]
    stats = entry["inference_stats"]
    return stats["success"]["count"], entry["execution_count"], entry["inference_count"], stats["fail"]["count"]


@pytest.mark.parametrize("rows, options", [
    (1, ["-i", "http"]), (1, ["-i", "grpc"]), (4, ["-i", "grpc", "--streaming", "--async", "-b", "4"]), (8, ["-i", "http", "-b", "8", "-x", "1"]),
    (1, ["-i", "http", "--async", "--concurrency-range", "4"]), (1, ["-i", "grpc", "--async", "--concurrency-range", "4"]),
    (1, ["-i", "http", "--input-tensor-format", "json", "--output-tensor-format", "json"]), (1, ["-i", "http", "--request-rate-range", "50"]),
    (1, ["-i", "grpc", "--grpc-compression-algorithm", "gzip"]), (1, ["-i", "grpc", "--trace-level", "TIMESTAMPS", "--trace-rate", "10"]),
    (1, ["-i", "http", "--collect-metrics", "--metrics-interval", "100"]),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_it_measures_and_finds_what_it_sent(server, tmp_path, rows, options):
    if "--collect-metrics" in options:
        options = [*options, "--metrics-url", f"{server.url}/metrics", "--verbose-csv", "-f", tmp_path / "out.csv"]
    before = counts(server)
    done = subprocess.run([PERF_ANALYZER, "-m", "digits_cnn", "-u", server.url, "--request-count", str(REQUESTS), *options],
                          capture_output=True, text=True, timeout=120 * SLOW)
    told = done.stdout + done.stderr
    sent, found = (int(re.search(rf"{what}: (\d+)", told).group(1)) for what in ("  Request count", "Successful request count"))
    # it reads the server's counts while its first requests are under way
    assert done.returncode == 0 and sent >= REQUESTS and sent - 4 <= found <= sent, told
    server.wait(lambda: server.metric("troupe_model_in_flight", model="digits_cnn") == 0, "the last requests to end")
    success, executions, inferences, failures = (after - was for after, was in zip(counts(server), before))
    assert success >= sent and 0 < executions <= success and inferences == rows * success and failures == 0, told
