"""A server that has no descriptor left (RLIMIT_NOFILE) serves those it has, counts what it cannot accept, and accepts again."""
import http.client
import os
import resource
import time

from conftest import SLOW


def page(line):
    line.request("GET", "/metrics")
    return line.getresponse().read().decode()


def value(text, name):
    return next(float(row.split()[-1]) for row in text.split("\n") if row.startswith(name + " "))


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_out_of_descriptors_and_back(serve, repository):
    repository.write("m.echo", "input x FP32 [-1]\noutput y FP32 [-1]\n")
    server = serve(repository.path).wait_ready("m")
    pid, counter = server.process.pid, 'troupe_accept_errors_total{reason="descriptors"}'
    host, port = server.url.split(":")
    here = http.client.HTTPConnection(host, int(port), timeout=30 * SLOW)
    assert value(page(here), counter) == 0
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), before[1]))
    begun, used = time.monotonic(), cpu_seconds(pid)
    waiting = [http.client.HTTPConnection(host, int(port), timeout=30 * SLOW) for _ in range(20)]
    for line in waiting:
        line.request("GET", "/v2/health/live")  # the kernel takes it, nobody accepts
    time.sleep(2)
    seen = value(page(here), counter)
    assert 1 <= seen <= (time.monotonic() - begun) * 11 + 2  # ten times a second, not as often as it can
    assert cpu_seconds(pid) - used < 1
    server.wait_logged("cannot accept connections: Too many open files")
    assert server.log().count("cannot accept connections") == 1
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    for line in waiting:
        assert line.getresponse().status == 200
        line.close()
    assert value(page(here), counter) >= seen
    here.close()
