#!/usr/bin/env python3
"""bench/watch_memory.py PID [INTERVAL_MS] - looks at the proportional set size of a process from outside, every 10 ms.

Ends when its input does, and prints one JSON object: how many samples, the largest in bytes and when it was, the longest time between two.
A process of its own, because what asks the server at the same time must not make it late."""
import json
import os
import select
import sys
import time
from contextlib import suppress


def pss_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup", "rb") as f:
        for line in f:
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) << 10
    raise RuntimeError("the kernel does not say")


def main():
    pid, interval = sys.argv[1], float(sys.argv[2] if len(sys.argv) > 2 else 10) / 1e3
    with suppress(PermissionError):
        os.nice(-10)  # or it comes late when all cores are busy
    samples, most, at_s, gap = 0, 0, 0.0, 0.0
    begun = last = due = time.monotonic()
    while not select.select([0], [], [], max(due - time.monotonic(), 0))[0] or os.read(0, 1):
        now = time.monotonic()
        due = max(due + interval, now)
        bytes_now = pss_bytes(pid)
        if bytes_now > most:
            most, at_s = bytes_now, now - begun
        samples, gap, last = samples + 1, max(gap, now - last), now
    print(json.dumps({"samples": samples, "max_bytes": most, "max_at_s": at_s, "gap_ms": gap * 1e3, "seconds": time.monotonic() - begun}))


if __name__ == "__main__":
    main()
