"""Pictures that are too large are refused by their headers, before memory is taken for them, and counted."""
import json
import struct
import time
import urllib.error
import urllib.request
import zlib

from conftest import SLOW


def png(width, height, says=None):
    """A grey picture; `says` is the size in its header, when it lies."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    header = struct.pack(">IIBBBBB", *(says or (width, height)), 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress((b"\0" + b"\x80" * width) * height)) + chunk(b"IEND", b"")


def infer(server, *files):
    """(status, answer) of a request with these files as binary data."""
    data = b"".join(struct.pack("<I", len(f)) + f for f in files)
    head = json.dumps({"inputs": [{"name": "file", "datatype": "BYTES", "shape": [len(files)], "parameters": {"binary_data_size": len(data)}}],
                       "outputs": [{"name": "pixels"}]}).encode()
    request = urllib.request.Request(f"http://{server.url}/v2/models/look/infer", head + data, {"Inference-Header-Content-Length": str(len(head))})
    try:
        with urllib.request.urlopen(request, timeout=60 * SLOW) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)["error"]


def test_a_picture_is_measured_before_it_is_decoded(serve, repository):
    repository.write("routes.yaml", "pipelines:\n  look:\n    steps:\n      - { op: decode, input: file, output: pixels, channels: 1 }\n    outputs: [pixels]\n")
    server = serve(repository.path, settings={"limits.image_pixels": "1000", "limits.output_bytes": "1500"})
    limit = time.monotonic() + 30 * SLOW
    while infer(server, png(2, 2))[0] != 200 and time.monotonic() < limit:
        time.sleep(0.05)  # until the pipeline is read
    status, answer = infer(server, png(40, 25))
    assert status == 200 and answer["outputs"][0]["shape"] == [1, 25, 40, 1] and set(answer["outputs"][0]["data"]) == {128}
    before = server.metric("troupe_limit_hits_total", limit="image_pixels")
    for refused in (png(41, 25), png(8, 8, says=(60000, 60000))):
        status, text = infer(server, refused)
        assert status == 413 and "at most 1000 together (limits.image_pixels)" in text and "step 'decode'" in text, text
    assert server.metric("troupe_limit_hits_total", limit="image_pixels") == before + 2
    status, text = infer(server, png(40, 25), png(40, 25))  # each may be, but not both
    assert status == 413 and "2000 bytes, at most 1500 (limits.output_bytes)" in text, text
    status, text = infer(server, png(8, 8, says=(20, 20)))
    assert status == 400 and "PNG: " in text, text
