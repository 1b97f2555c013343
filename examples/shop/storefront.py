"""The storefront: a page, and the few calls that it makes.  Each of them asks the server; nothing is answered from here.

    GET  /api/customer?kind=new|few|old   somebody of the day: {user, purchases, recent, viewed, profile}
    POST /api/recommend                   a customer -> {items, model, version, why, ms, rules}
    POST /api/load      {"on": true}      starts the newsletter's real load, a minute at most, or ends it
    POST /api/time      {"hour": 3}       sets the server's clock; null: back to now
    GET  /api/state                       {"load": bool, "lists": n, "time": "..."}
"""
import datetime
import http.server
import json
import threading
import time
import urllib.parse
from pathlib import Path

import client
import numpy as np
import replay

HERE = Path(__file__).resolve().parent
FILES = {"/": ("store/index.html", "text/html"), "/store.js": ("store/store.js", "text/javascript"),
         "/store.css": ("store/store.css", "text/css"), "/catalogue.json": ("catalogue.json", "application/json")}
LOAD_SECONDS_MAX = 60
BODY_MAX = 1 << 16


class Shop:
    """What all visitors share: the server's load and its clock."""

    def __init__(self, address, day):
        self.address, self.day, self.campaign = address, day, None
        self.troupe, self.lock, self.rng = client.Client(address), threading.Lock(), np.random.default_rng()
        self.clock, self.hour, self.hour_since = replay.Clock(self.troupe), None, 0.0

    def customer(self, kind):
        purchases = self.day.purchases
        who = {"new": purchases == 0, "few": (purchases > 0) & (purchases <= 4), "old": purchases > 8}[kind]
        return self.day.customer(int(self.rng.choice(np.flatnonzero(who)))) | {"viewed": [0] * 5}  # the visit begins

    def recommend(self, customer):
        body = client.question(customer)
        begun = time.monotonic()
        reply = self.troupe.json("POST", client.infer_path("recommend"), body)
        took = (time.monotonic() - begun) * 1e3
        rules = self.troupe.json("POST", "/api/routes/recommend/explain", body)
        return {"items": client.items_of(reply), "model": reply["model_name"], "version": reply["model_version"],
                "why": reply.get("parameters", {}).get("troupe_choice", ""), "ms": round(took, 2), "explained": rules}

    def load(self, on):
        with self.lock:
            if on and not (self.campaign and self.campaign.is_running):
                self.campaign = replay.Campaign(self.address, self.day, LOAD_SECONDS_MAX)
            elif not on and self.campaign:
                self.campaign.stop()
                self.campaign = None
        return self.state()

    def time(self, hour):
        with self.lock:
            if hour is None:
                self.clock.reset()
            else:
                self.clock.set(replay.DATE + datetime.timedelta(hours=int(hour) % 24))
            self.hour, self.hour_since = hour, time.monotonic()
        return self.state()

    def state(self):
        campaign, hour = self.campaign, self.hour
        now = datetime.datetime.now(datetime.timezone.utc)
        if hour is not None:
            now = replay.DATE + datetime.timedelta(hours=int(hour) % 24, seconds=time.monotonic() - self.hour_since)
        return {"load": bool(campaign and campaign.is_running), "lists": campaign.answered * replay.CAMPAIGN_ROWS if campaign else 0,
                "time": now.strftime("%H:%M"), "is_set": hour is not None}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    shop = None

    def log_message(self, *_):
        pass

    def answer(self, status, body, kind="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)

    def tried(self, work):
        try:
            self.answer(200, work())
        except (KeyError, ValueError, TypeError, json.JSONDecodeError) as error:
            self.answer(400, {"error": f"{type(error).__name__}: {error}"})
        except (RuntimeError, OSError) as error:
            self.answer(502, {"error": str(error)})

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path in FILES:
            name, kind = FILES[url.path]
            self.answer(200, (HERE / name).read_bytes(), kind)
        elif url.path == "/api/state":
            self.tried(self.shop.state)
        elif url.path == "/api/customer":
            self.tried(lambda: self.shop.customer(urllib.parse.parse_qs(url.query)["kind"][0]))
        else:
            self.answer(404, {"error": "no such page"})

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        origin = self.headers.get("Origin")
        if length > BODY_MAX or (origin and urllib.parse.urlsplit(origin).netloc != self.headers.get("Host")):
            self.close_connection = True
            self.answer(403, {"error": "refused"})
            return
        text = self.rfile.read(length)
        calls = {"/api/recommend": lambda: self.shop.recommend(json.loads(text)),
                 "/api/load": lambda: self.shop.load(json.loads(text)["on"]),
                 "/api/time": lambda: self.shop.time(json.loads(text)["hour"])}
        if self.path in calls:
            self.tried(calls[self.path])
        else:
            self.answer(404, {"error": "no such call"})


def listen(address, day, where):
    """The web server, not running yet; another port where that one is taken."""
    host, _, port = where.rpartition(":")
    handler = type("ShopHandler", (Handler,), {"shop": Shop(address, day)})
    for wanted in (int(port), 0):
        try:
            server = http.server.ThreadingHTTPServer((host, wanted), handler)
            server.daemon_threads = True
            return server
        except OSError:
            continue
    raise OSError(f"no port on {host}")


def serve(address, day, where, troupe_server):
    """Until Ctrl-C, or until the server ends."""
    web = listen(address, day, where)
    shop = web.RequestHandlerClass.shop
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    host, port = web.server_address[:2]
    print(f"\nThe shop is open: http://{host}:{port}/   (the server: http://{address}; its log: {troupe_server.log})\n"
          "Serving until Ctrl-C.", flush=True)
    try:
        troupe_server.process.wait()
    finally:
        shop.load(False)
        web.shutdown()
        web.server_close()
