"""Calls that change the server, from where they must not come: another machine, a foreign Host, a foreign Origin.  Each test is a row of
docs/bad-input.md.  The other machine's part is played inside a network namespace, so that nothing listens on a real interface."""
import os
import re
import struct
import subprocess

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from bad_input import Peer, row, row_of, sample  # noqa: F401
from conftest import SLOW, Server

IO = "input x FP32 [-1]\noutput y FP32 [-1]\n"
CHANGES = {"/v2/repository/models/echo/load": "", "/v2/repository/models/echo/unload": "", "/v2/systemsharedmemory/region/r/register": '{"key":"/none","byte_size":4}',
           "/v2/systemsharedmemory/unregister": "", "/v2/systemsharedmemory/region/r/unregister": "", "/v2/cudasharedmemory/region/r/register": "{}",
           "/v2/cudasharedmemory/unregister": "", "/v2/cudasharedmemory/region/r/unregister": "", "/v2/trace/setting": '{"log_frequency":"0"}',
           "/v2/models/echo/trace/setting": '{"log_frequency":"0"}', "/v2/logging": '{"log_verbose_level":0}'}
READS = ["/v2", "/v2/health/ready", "/v2/models/echo", "/v2/models/echo/config", "/v2/models/echo/stats", "/v2/logging", "/v2/trace/setting", "/metrics"]
HARMLESS = "/v2/logging"  # may be changed for real
ASIDE = "192.0.2.77"  # an address for documentation: of nobody


def grpc_changes():
    trace, log = pb.TraceSettingRequest(), pb.LogSettingsRequest()
    trace.settings["log_frequency"].value.append("0")
    log.settings["log_verbose_level"].uint32_param = 0
    return {"RepositoryModelLoad": pb.RepositoryModelLoadRequest(model_name="echo"), "RepositoryModelUnload": pb.RepositoryModelUnloadRequest(model_name="echo"),
            "SystemSharedMemoryRegister": pb.SystemSharedMemoryRegisterRequest(name="r", key="/none", byte_size=4),
            "SystemSharedMemoryUnregister": pb.SystemSharedMemoryUnregisterRequest(), "CudaSharedMemoryRegister": pb.CudaSharedMemoryRegisterRequest(name="r"),
            "CudaSharedMemoryUnregister": pb.CudaSharedMemoryUnregisterRequest(), "TraceSetting": trace, "LogSettings": log}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    (folder / "echo.echo").write_text(IO)
    server = Server(folder, settings={"http.cors": "https://good.example", "admin.hosts": "models.example"}).wait_ready("echo")
    yield server
    server.stop()


def ask(server, method, path, body="", host="localhost", **headers):
    with Peer(server) as peer:
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        peer.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{lines}Content-Length: {len(body)}\r\n\r\n{body}")
        return peer.answer(method)


def grpc_status(server, method, request, authority=None, metadata=()):
    options = [("grpc.default_authority", authority)] if authority else []
    with grpc.insecure_channel(server.url, options=options) as channel:
        try:
            getattr(service_pb2_grpc.GRPCInferenceServiceStub(channel), method)(request, timeout=30 * SLOW, metadata=metadata)
            return "OK"
        except grpc.RpcError as error:
            assert error.code().name != "PERMISSION_DENIED" or "calls that change the server" in error.details(), error.details()
            return error.code().name


def test_foreign_host(server, row):
    for host in ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "local", "xlocalhost", "2130706433", "0x7f.1"]:
        for path, body in CHANGES.items():
            status, reply, _ = ask(server, "POST", path, body, host=host)
            assert status == row.http and "admin.hosts" in reply["error"], (host, path, status, reply)
    status, _, _ = ask(server, "POST", "http://evil.example/v2/logging", "{}", host="localhost")
    assert status == row.http, "the target's authority is the host"
    for method, request in grpc_changes().items():
        assert grpc_status(server, method, request, authority="evil.example") == row.grpc, method
    assert server.get("/v2/models/echo/ready")[0] == 200


def test_known_hosts(server, row):
    for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8000", "[::1]:8000", "models.example", "Models.Example:443"]:
        status, reply, _ = ask(server, "POST", HARMLESS, CHANGES[HARMLESS], host=host)
        assert status == row.http, (host, reply)
    for authority in ["localhost", "models.example:1"]:
        assert grpc_status(server, "LogSettings", grpc_changes()["LogSettings"], authority=authority) == row.grpc


def test_foreign_origin(server, row):
    for origin in ["https://evil.example", "http://good.example", "https://good.example.evil.example", "https://good.example:444", "null", "", "*"]:
        for path, body in CHANGES.items():
            status, reply, headers = ask(server, "POST", path, body, Origin=origin)
            assert status == row.http and "http.cors" in reply["error"], (origin, path, status, reply)
            assert "Access-Control-Allow-Origin" not in headers
    for method, request in grpc_changes().items():
        assert grpc_status(server, method, request, metadata=[("origin", "https://evil.example")]) == row.grpc, method
    assert server.get("/v2/models/echo/ready")[0] == 200


def test_origin_that_is_allowed(server, row):
    status, reply, headers = ask(server, "POST", HARMLESS, CHANGES[HARMLESS], Origin="https://good.example")
    assert status == row.http and headers["Access-Control-Allow-Origin"] == "https://good.example" and "Origin" in headers["Vary"], reply
    assert grpc_status(server, "LogSettings", grpc_changes()["LogSettings"], metadata=[("origin", "https://good.example")]) == row.grpc


def test_reading_under_foreign_names(server, row):
    for path in READS:
        status, _, headers = ask(server, "GET", path, host="evil.example", Origin="https://evil.example")
        assert status == row.http and not [name for name in headers if name.startswith("Access-Control")], (path, status)
    for method, request in {"TraceSetting": pb.TraceSettingRequest(), "LogSettings": pb.LogSettingsRequest(), "ServerLive": pb.ServerLiveRequest()}.items():
        assert grpc_status(server, method, request, authority="evil.example", metadata=[("origin", "https://evil.example")]) == row.grpc, method


def test_preflight_of_a_foreign_origin(server, row):
    for path in ["/v2/models/echo/infer", "/v2/logging", "*"]:
        status, body, headers = ask(server, "OPTIONS", path, Origin="https://evil.example", Access_Control_Request_Method="POST")
        assert status == row.http and not body and not [name for name in headers if name.startswith("Access-Control")], path
        status, _, headers = ask(server, "OPTIONS", path, Origin="https://good.example", Access_Control_Request_Method="POST")
        assert status == row.http and headers["Access-Control-Allow-Origin"] == "https://good.example" and "POST" in headers["Access-Control-Allow-Methods"]


def test_origins_without_cors(serve, repository, request):
    repository.write("echo.echo", IO)
    server, mine = serve(repository.path).wait_ready("echo"), row_of(request)
    before = sample(server, mine.counter)
    status, _, headers = ask(server, "POST", HARMLESS, "{}", Origin="https://good.example")
    assert status == mine.http and not [name for name in headers if name.startswith("Access-Control")]
    assert grpc_status(server, "LogSettings", grpc_changes()["LogSettings"], metadata=[("origin", "https://good.example")]) == mine.grpc
    status, _, headers = ask(server, "OPTIONS", "/v2/logging", Origin="https://good.example", Access_Control_Request_Method="POST")
    assert status == 204 and not [name for name in headers if name.startswith("Access-Control")]
    assert sample(server, mine.counter) >= before + 2


# -- another machine --

IS_ROOT = os.geteuid() == 0  # who is not needs a user namespace, which there is none of inside a chroot


class Aside:
    """A server alone in a network namespace whose loopback interface has an address that is none; curl is the client there."""

    def __init__(self, serve, repository, **settings):
        alone = ["unshare", "--net", *([] if IS_ROOT else ["--map-root-user"])]
        if subprocess.run([*alone, "true"], capture_output=True).returncode:
            pytest.skip("no network namespaces here")
        repository.write("echo.echo", IO)
        prefix = [*alone, "sh", "-c", f'ip link set lo up && ip addr add {ASIDE}/32 dev lo && exec "$@"', "sh"]
        self.server = serve(repository.path, "--listen", f"{ASIDE}:8000", settings=settings, prefix=prefix)
        self.server.wait(lambda: self.ask("GET", "/v2/models/echo/ready")[0] == 200, "the model to be ready")

    def curl(self, *args, body=None):
        inside = ["nsenter", "--target", str(self.server.process.pid), "--net", *([] if IS_ROOT else ["--user", "--preserve-credentials"])]
        return subprocess.run([*inside, "curl", "-s", "-D", "-", "-o", "-", "--max-time", str(20 * SLOW), *args], input=body, capture_output=True).stdout

    def ask(self, method, path, body="", address=ASIDE + ":8000"):
        more = ["--data-binary", body] if method == "POST" else []
        told = self.curl(*more, f"http://{address}{path}").decode(errors="replace")
        return int(told.split()[1]) if told.startswith("HTTP/") else None, told

    def grpc(self, method, request):
        payload = request.SerializeToString()
        told = self.curl("--http2-prior-knowledge", "-H", "content-type: application/grpc", "-H", "te: trailers", "--data-binary", "@-",
                         f"http://{ASIDE}:8000/inference.GRPCInferenceService/{method}", body=struct.pack(">BI", 0, len(payload)) + payload)
        code = int(re.search(rb"grpc-status: (\d+)", told).group(1))
        return next(c.name for c in grpc.StatusCode if c.value[0] == code)

    def errors(self):
        return float(re.search(r"^troupe_protocol_errors_total (\S+)", self.ask("GET", "/metrics")[1], re.M).group(1))


def test_changes_from_another_machine(serve, repository, request):
    aside, mine = Aside(serve, repository), row_of(request)
    before = aside.errors()
    for path, body in CHANGES.items():
        status, told = aside.ask("POST", path, body)
        assert status == mine.http and "admin.remote" in told, (path, told)
    for method, message in grpc_changes().items():
        assert aside.grpc(method, message) == mine.grpc, method
    assert aside.errors() == before + len(CHANGES) + len(grpc_changes())
    assert aside.ask("GET", "/v2/models/echo/ready")[0] == 200
    assert aside.ask("POST", HARMLESS, CHANGES[HARMLESS], address=aside.server.url)[0] == 200, "over loopback it is served"


def test_reading_from_another_machine(serve, repository, request):
    aside, mine = Aside(serve, repository), row_of(request)
    for path in READS:
        assert aside.ask("GET", path)[0] == mine.http, path
    assert aside.ask("POST", "/v2/models/echo/infer", '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}')[0] == mine.http
    assert aside.grpc("LogSettings", pb.LogSettingsRequest()) == mine.grpc


def test_changes_from_another_machine_when_allowed(serve, repository, request):
    aside, mine = Aside(serve, repository, **{"admin.remote": "true"}), row_of(request)
    for path in ["/v2/repository/models/echo/load", "/v2/systemsharedmemory/unregister", "/v2/cudasharedmemory/unregister", HARMLESS]:
        status, told = aside.ask("POST", path, CHANGES[path])
        assert status == mine.http, told
    for method in ["RepositoryModelLoad", "SystemSharedMemoryUnregister", "LogSettings", "TraceSetting"]:
        assert aside.grpc(method, grpc_changes()[method]) == mine.grpc, method
    assert aside.ask("POST", HARMLESS, "{}", address=f"{ASIDE}:8000")[0] == 200
    assert b"403" in aside.curl("-H", "Host: evil.example", "--data-binary", "{}", f"http://{ASIDE}:8000{HARMLESS}").split(b"\r\n")[0], "the other guards stay"
