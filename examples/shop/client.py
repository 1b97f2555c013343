"""Asks the server as any HTTP client would: one connection for each thread, JSON there and back."""
import http.client
import json
import threading
import urllib.parse


class Client:
    def __init__(self, address, timeout=60):
        self.address, self.timeout, self.kept = address, timeout, threading.local()

    def request(self, method, path, body=None, headers=None):
        """(status, bytes).  A connection that the server has closed meanwhile is opened anew, once."""
        for is_last in (False, True):
            line = getattr(self.kept, "line", None)
            if line is None:
                line = self.kept.line = http.client.HTTPConnection(self.address, timeout=self.timeout)
            try:
                line.request(method, path, body, headers or {})
                reply = line.getresponse()
                return reply.status, reply.read()
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self.close()
                if is_last:
                    raise
            except BaseException:
                self.close()
                raise

    def close(self):
        line = getattr(self.kept, "line", None)
        if line is not None:
            line.close()
            self.kept.line = None

    def json(self, method, path, body=None):
        """What the server says; RuntimeError where it says no."""
        data = None if body is None else json.dumps(body).encode()
        status, text = self.request(method, path, data, {"Content-Type": "application/json"} if data else None)
        if status != 200:
            raise RuntimeError(f"{method} {path}: {status} {text[:500].decode(errors='replace')}")
        return json.loads(text or b"null")

    def metrics(self):
        """{series: value} of /metrics, the labels as they are written."""
        status, text = self.request("GET", "/metrics")
        if status != 200:
            raise RuntimeError(f"/metrics: {status}")
        lines = (line.rsplit(" ", 1) for line in text.decode().splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in lines}


def total(metrics, name):
    """The sum of all series of a name."""
    return sum(v for k, v in metrics.items() if k == name or k.startswith(name + "{"))


def infer_path(model):
    return f"/v2/models/{urllib.parse.quote(model)}/infer"


def tensors(user, recent, viewed, profile):
    """What the shop knows of whoever asks, as the models take it: one row or many, all of them flat lists."""
    rows = len(user)
    return [{"name": name, "datatype": kind, "shape": [rows, len(data) // rows], "data": data}
            for name, kind, data in (("user", "INT64", user), ("recent", "INT64", recent), ("viewed", "INT64", viewed),
                                     ("profile", "FP32", profile))]


def question(customer):
    """The body of a request for recommendations: rules read the parameters, models the tensors."""
    return {"parameters": {"user": customer["user"], "purchases": customer["purchases"]},
            "inputs": tensors([customer["user"]], customer["recent"], customer["viewed"], customer["profile"])}


def items_of(reply):
    """The recommended items, best first; of one row."""
    return next(o["data"] for o in reply["outputs"] if o["name"] == "items")
