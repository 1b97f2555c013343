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
    (folder / "routes.yaml").write_text("routes: { chooser: [ { when: params.n == 1, use: aisles }, { use: quick } ] }\n"
                                       "ensembles: { several: { members: [quick, quick@1], vote: soft, learn: true } }\n")
    (folder / "identity.onnx").write_bytes((GOOD / "identity_fp32.onnx").read_bytes())
    (folder / "broken.onnx").write_bytes((BAD / "truncated.onnx").read_bytes())
    started = Server(folder, settings={"models.load": "startup", "time.adjustable": "true"}).wait_ready("aisles", "quick", "identity")
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


def get_instances(server):
    reply = call(server, "getInstances", model="aisles")
    assert reply["name"] == "aisles" and reply["versions"][0]["instances"] == reply["versions"][0]["configured"] == 0
    call(server, "getInstances", expect=404, model="nobody")


def set_instances(server):
    change = {"count": 2}
    Draft202012Validator(dict(SPEC["components"]["schemas"]["InstanceChange"])).validate(change)
    reply = call(server, "setInstances", model="aisles", body=json.dumps(change).encode())
    assert reply["versions"][0]["instances"] == 2 and "operator" in reply["versions"][0]["why"]
    assert call(server, "showResidency", query={"name": "aisles"})["models"][0]["instances"] == 2
    for wrong in (b"", b"{}", b"{\"count\": 0}", b"{\"count\": 1025}", b"{\"count\": \"2\"}", b"[2]"):
        call(server, "setInstances", expect=400, model="aisles", body=wrong)
    call(server, "setInstances", expect=404, model="nobody", body=json.dumps(change).encode())
    assert call(server, "setInstances", model="aisles", body=b"{\"count\": null}")["versions"][0]["instances"] == 0


def get_version_instances(server):
    assert len(call(server, "getVersionInstances", model="aisles", version="1")["versions"]) == 1
    call(server, "getVersionInstances", expect=404, model="aisles", version="7")
    call(server, "getVersionInstances", expect=400, model="aisles", version="-1")


def set_version_instances(server):
    reply = call(server, "setVersionInstances", model="aisles", version="1", body=b"{\"count\": 3}")
    assert reply["versions"][0]["instances"] == 3
    call(server, "setVersionInstances", expect=404, model="aisles", version="7", body=b"{\"count\": 3}")
    call(server, "setVersionInstances", expect=400, model="aisles", version="1", body=b"{}")
    call(server, "setVersionInstances", model="aisles", version="1", body=b"{\"count\": null}")


def show_residency(server):
    residency = call(server, "showResidency")
    assert {m["name"] for m in residency["models"]} >= {"aisles", "quick"}
    assert call(server, "showResidency", query={"name": "nobody"})["models"] == []
    call(server, "showResidency", expect=400, query={"model": "aisles"})


def show_costs(server):
    body = json.dumps({"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}).encode()
    metadata = json.loads(server.get("/v2/models/identity")[1])["inputs"][0]
    body = body.replace(b'"X"', json.dumps(metadata["name"]).encode())
    assert server.request("POST", "/v2/models/identity/infer", body)[0] == 200
    costs = {m["name"]: m for m in call(server, "showCosts")["models"]}
    assert set(costs) >= {"aisles", "quick", "identity"}
    assert costs["identity"]["points"][0]["rows"] == 1, "it has run"


def show_cost(server):
    assert [m["name"] for m in call(server, "showCost", model="quick")["models"]] == ["quick"]
    assert call(server, "showCost", model="any")["models"] == []
    call(server, "showCost", expect=404, model="nobody")


def show_routes(server):
    server.wait(lambda: server.get("/v2/models/chooser/ready")[0] == 200, "the route")
    assert {r["name"] for r in call(server, "showRoutes")["routes"]} == {"chooser", "several"}


def show_route(server):
    server.wait(lambda: server.get("/v2/models/chooser/ready")[0] == 200, "the route")
    assert [r["name"] for r in call(server, "showRoute", route="chooser")["routes"]] == ["chooser"]
    call(server, "showRoute", expect=404, route="quick")


def explain(server):
    server.wait(lambda: server.get("/v2/models/chooser/ready")[0] == 200, "the route")
    request = {"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, 1], "data": [1]}]}
    said = call(server, "explain", body=json.dumps(request).encode(), route="chooser")
    assert said["chosen"]["model"] == "quick" and said["rules"][0]["when"]["value"] is None
    server.wait(lambda: server.get("/v2/models/several/ready")[0] == 200, "the ensemble")
    said = call(server, "explain", body=json.dumps(request).encode(), route="several")
    assert said["kind"] == "ensemble" and [s["done"] for s in said["steps"]] == ["yes"] * 3
    call(server, "explain", expect=404, body=json.dumps(request).encode(), route="quick")
    call(server, "explain", body=json.dumps(request | {"protocol": "grpc"}).encode(), route="chooser")
    call(server, "explain", expect=400, body=b"{", route="chooser")


def tell_outcome(server):
    server.wait(lambda: server.get("/v2/models/several/ready")[0] == 200, "the ensemble")
    metadata = json.loads(server.get("/v2/models/quick")[1])["inputs"][0]
    request = {"id": "17", "inputs": [{"name": metadata["name"], "datatype": "FP32", "shape": [1, 2], "data": [0.25, 0.75]}]}
    assert server.request("POST", "/v2/models/several/infer", json.dumps(request).encode())[0] == 200
    call(server, "tellOutcome", expect=400, body=b'{"id": "17", "label": 2}')
    said = call(server, "tellOutcome", body=b'{"id": "17", "label": 1}')
    assert said["learned"][0]["learned"]["losses"] == {"quick": 0.25, "quick@1": 0.25}
    call(server, "tellOutcome", expect=404, body=b'{"id": "17", "label": 1}')
    for wrong in (b'{"label": 1}', b'{"id": "17"}', b'{"id": "", "label": 1}', b'{"id": "17", "label": 1.5}', b'{"id": 17, "label": 1}', b"[]", b""):
        call(server, "tellOutcome", expect=400, body=wrong)


def get_time(server):
    assert call(server, "getTime")["offset_ms"] == 0


def set_time(server):
    assert call(server, "setTime", body=b"{\"offset\": \"-90m\"}")["offset_ms"] == -90 * 60 * 1000
    for wrong in (b"", b"{}", b"{\"offset\": 3}", b"{\"offset\": \"tomorrow\"}"):
        call(server, "setTime", expect=400, body=wrong)
    assert call(server, "setTime", body=b"{\"offset\": \"0s\"}")["offset_ms"] == 0


CALLS = {"showRoutes": show_routes, "showRoute": show_route, "explain": explain, "tellOutcome": tell_outcome, "getTime": get_time, "setTime": set_time, "showCosts": show_costs, "showCost": show_cost, "getInstances": get_instances, "setInstances": set_instances, "getVersionInstances": get_version_instances,
         "setVersionInstances": set_version_instances, "pin": pin, "unpin": unpin, "evict": evict, "showResidency": show_residency,
         "findModels": find_models, "describeApi": describe_api, "getLabels": get_labels, "setLabels": set_labels}


def test_the_document_is_valid():
    openapi_spec_validator.validate(SPEC)


def test_every_operation_has_a_call_here():
    assert set(CALLS) == set(OPERATIONS)


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_every_operation_answers_as_described(server, operation):
    CALLS[operation](server)


def test_no_path_is_missing(server):
    text = (ROOT / "src/wire/oip_route.c").read_text()
    rows = re.findall(r'\{\s*\{\s*"api",([^}]*)\},\s*(GET|POST|EITHER|EXPLAIN)\b', text)
    assert rows
    served = set()
    for parts, kind in rows:
        path = "/api/" + "/".join({"*m": "{model}", "*v": "{version}"}.get(p, p) for p in re.findall(r'"([^"]+)"', parts))
        path = path.replace("routes/{model}", "routes/{route}")
        served |= {(method, path) for method in {"GET": ["GET"], "POST": ["POST"], "EITHER": ["GET", "POST"], "EXPLAIN": ["POST"]}[kind]}
    assert served == {(method, path) for method, path, _ in OPERATIONS.values()}
    for method, path, _ in OPERATIONS.values():  # and no other method
        other = "POST" if method == "GET" else "GET"
        if (other, path) not in served:
            assert server.request(other, path.replace("{model}", "quick").replace("{version}", "1").replace("{route}", "chooser"), b"" if other == "POST" else None)[0] == 405


def test_who_changes_state_is_asked_where_from(server):
    for method, path, operation in OPERATIONS.values():
        if method != "POST" or path.endswith("/explain"):  # which changes nothing
            continue
        status, body, headers = server.request("POST", path.replace("{model}", "quick").replace("{version}", "1"), b"{}", {"Origin": "http://elsewhere.example"})
        assert status == 403, path
        check(operation["operationId"], status, body, headers)
