#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""The demo shows what it claims to: the three troubles head their sections."""
import glob
import os
import subprocess

import ebt

ebt.TIMEOUT = 120


def demo_nodes():
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as f:
                line = f.read()
        except OSError:
            continue
        if b"scripts/demo.erl" in line and b"beam.smp" in line.split(b"\0")[0]:
            found.append(path)
    return found


def demo():
    before = demo_nodes()
    env = dict(ebt.ENV, EBEAM_BIN=ebt.EBEAM, DEMO_SECONDS="6")
    child = ebt.start([os.path.join(ebt.TOP, "scripts", "demo"), "--json"],
                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                      text=True, env=env)
    try:
        out, err = child.communicate(timeout=ebt.TIMEOUT)
    finally:
        ebt.end(child)
    result = ebt.Result(child.returncode, out, err)
    if not ebt.equal(child.returncode, 0, "demo: exit status", result):
        return
    doc = result.json

    def first(section):
        rows = doc["sections"][section]["rows"]
        return rows[0] if rows else {}
    ebt.equal(first("bin").get("name"), "router", "the router heads the binaries", first("bin"))
    ebt.ok(first("bin").get("held_bytes", 0) > 50e6, "it holds more than 50 MB", first("bin"))
    ebt.ok("grower" in (first("alloc").get("name"), first("gc").get("name")),
           "the grower heads the allocations or the collections", first("alloc"), first("gc"))
    ebt.equal(first("carrier").get("allocator"), "binary_alloc",
              "binary_alloc heads the carriers", first("carrier"))
    churned = [r for r in doc["sections"]["carrier"]["rows"] if r["allocator"] == "binary_alloc"]
    ebt.ok(sum(r["created"] for r in churned) > 0 and sum(r["destroyed"] for r in churned) > 0,
           "its carriers come and go", *churned)
    ebt.equal(demo_nodes(), before, "the node is gone")
    ebt.clean("demo")


if __name__ == "__main__":
    ebt.run(once=[demo])
