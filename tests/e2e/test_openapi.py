"""docs/openapi.json against the server: every operation of it is called, every reply fits its schema, and no path under /api is missing."""
import json
import re
import urllib.parse

import openapi_spec_validator
import pytest
from jsonschema import Draft202012Validator

from conftest import ROOT, Server
from triton_support import BAD, GOOD

SPEC = json.loads((ROOT / "docs/openapi.json").read_text())
OPERATIONS = {operation["operationId"]: (method.upper(), path, operation)
              for path, item in SPEC["paths"].items() for method, operation in item.items() if method != "parameters"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("openapi")
    for name, script, config in [
            ("aisles", "input pixels FP32 [-1,3,224,224]\noutput p FP32 [-1,10]\n",
             "task: classification\ntags: [shop]\ndescription: Finds the aisle.\nquality: {name: accuracy, value: 0.91}\n"),
            ("any", "input x FP32 *\noutput y FP32 *\n", "load: explicit\n"), ("quick", "", None)]:
        (folder / name).mkdir()
        (folder / name / "model.echo").write_text(script)
        if config:
            (folder / name / "model.yaml").write_text(config)
    (folder / "identity.onnx").write_bytes((GOOD / "identity_fp32.onnx").read_bytes())
    (folder / "broken.onnx").write_bytes((BAD / "truncated.onnx").read_bytes())
    started = Server(folder, settings={"models.load": "startup"}).wait_ready("aisles", "quick", "identity")
    yield started
    started.stop()


def resolve(node):
    """A $ref of the document, followed."""
    while "$ref" in node:
        target = SPEC
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def check(operation_id, status, body, headers):
    """The reply of an operation fits what the document says of it."""
    responses = OPERATIONS[operation_id][2]["responses"]
    assert str(status) in responses, f"{operation_id}: {status} is not described: {body[:300]}"
    content = resolve(responses[str(status)]).get("content")
    if not content:
        assert body == b"", f"{operation_id}: {status} has no body"
        return None
    assert headers["Content-Type"] in content
    reply = json.loads(body)
    schema = dict(content[headers["Content-Type"]]["schema"], components=SPEC["components"])
    errors = [f"{list(e.absolute_path)}: {e.message}" for e in Draft202012Validator(schema).iter_errors(reply)]
    assert not errors, f"{operation_id}, {status}: {errors}"
    return reply


def call(server, operation_id, expect=200, query=None, body=None, **path):
    method, template, _ = OPERATIONS[operation_id]
    url = re.sub(r"{(\w+)}", lambda m: urllib.parse.quote(path[m.group(1)], safe=""), template)
    status, reply, headers = server.request(method, url + ("?" + urllib.parse.urlencode(query, doseq=True) if query else ""), body)
    assert status == expect, reply
    return check(operation_id, status, reply, headers)


def find_models(server):
    assert len(call(server, "findModels")["models"]) == 5
    values = {"task": "classification", "tag": ["shop"], "input": "image", "dtype": "FP32", "shape": "-1,3,224,224", "name": "aisles",
              "state": "READY", "limit": 1, "page_token": "aisles/1"}
    described = {p["name"]: p for p in OPERATIONS["findModels"][2]["parameters"]}
    assert set(values) == set(described)
    for name, parameter in described.items():
        Draft202012Validator(dict(parameter["schema"], components=SPEC["components"])).validate(values[name])
        assert call(server, "findModels", query={name: values[name]})["models"][0]["name"] == "aisles", name
    for name, value in [("input", "picture"), ("dtype", "float"), ("state", "HAPPY"), ("limit", 0), ("limit", 1001), ("shape", "x")]:
        assert list(Draft202012Validator(dict(described[name]["schema"], components=SPEC["components"])).iter_errors(value)), name
        call(server, "findModels", expect=400, query={name: value})
    call(server, "findModels", expect=400, query={"unknown": 1})
    for name, schema in [("state", "State"), ("input", "Kind"), ("dtype", "Datatype")]:
        for value in SPEC["components"]["schemas"][schema]["enum"]:
            call(server, "findModels", query={name: value})


def describe_api(server):
    assert call(server, "describeApi") == SPEC


def get_labels(server):
    assert call(server, "getLabels", model="quick")["labels"] == {}
    call(server, "getLabels", expect=404, model="nobody")


def set_labels(server):
    change = {"labels": {"stable": 1}}
    Draft202012Validator(dict(SPEC["components"]["schemas"]["LabelChange"])).validate(change)
    call(server, "setLabels", model="quick", body=json.dumps(change).encode())
    assert call(server, "getLabels", model="quick") == change
    call(server, "setLabels", expect=400, model="quick", body=b"{}")
    call(server, "setLabels", expect=404, model="nobody", body=json.dumps(change).encode())
    call(server, "setLabels", model="quick", body=b'{"labels": {"stable": null}}')
    assert call(server, "getLabels", model="quick") == {"labels": {}}


def pin(server):
    call(server, "pin", model="identity")
    assert call(server, "showResidency", query={"name": "identity"})["models"][0]["pinned"]
    call(server, "pin", expect=404, model="nobody")
    call(server, "pin", expect=400, model="broken")


def unpin(server):
    call(server, "pin", model="identity")
    call(server, "unpin", model="identity")
    assert not call(server, "showResidency", query={"name": "identity"})["models"][0]["pinned"]
    call(server, "unpin", expect=404, model="nobody")


def evict(server):
    call(server, "pin", model="identity")
    call(server, "evict", expect=400, model="identity")
    call(server, "unpin", model="identity")
    call(server, "evict", model="identity")
    residency = call(server, "showResidency", query={"name": "identity"})
    assert residency["models"] == [] and residency["let_go"][0]["name"] == "identity"
    call(server, "evict", model="identity")  # once more changes nothing
    call(server, "evict", expect=404, model="nobody")
    call(server, "pin", model="identity")
    call(server, "unpin", model="identity")


def show_residency(server):
    residency = call(server, "showResidency")
    assert {m["name"] for m in residency["models"]} >= {"aisles", "quick"}
    assert call(server, "showResidency", query={"name": "nobody"})["models"] == []
    call(server, "showResidency", expect=400, query={"model": "aisles"})


CALLS = {"pin": pin, "unpin": unpin, "evict": evict, "showResidency": show_residency, "findModels": find_models, "describeApi": describe_api, "getLabels": get_labels, "setLabels": set_labels}


def test_the_document_is_valid():
    openapi_spec_validator.validate(SPEC)


def test_every_operation_has_a_call_here():
    assert set(CALLS) == set(OPERATIONS)


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_every_operation_answers_as_described(server, operation):
    CALLS[operation](server)


def test_no_path_is_missing(server):
    text = (ROOT / "src/wire/oip_route.c").read_text()
    rows = re.findall(r'\{\s*\{\s*"api",([^}]*)\},\s*(GET|POST|EITHER)\(', text)
    assert rows
    served = set()
    for parts, kind in rows:
        path = "/api/" + "/".join({"*m": "{model}"}.get(p, p) for p in re.findall(r'"([^"]+)"', parts))
        served |= {(method, path) for method in {"GET": ["GET"], "POST": ["POST"], "EITHER": ["GET", "POST"]}[kind]}
    assert served == {(method, path) for method, path, _ in OPERATIONS.values()}
    for method, path, _ in OPERATIONS.values():  # and no other method
        other = "POST" if method == "GET" else "GET"
        if (other, path) not in served:
            assert server.request(other, path.replace("{model}", "quick"), b"" if other == "POST" else None)[0] == 405


def test_who_changes_state_is_asked_where_from(server):
    for method, path, operation in OPERATIONS.values():
        if method != "POST":
            continue
        status, body, headers = server.request("POST", path.replace("{model}", "quick"), b"{}", {"Origin": "http://elsewhere.example"})
        assert status == 403, path
        check(operation["operationId"], status, body, headers)
