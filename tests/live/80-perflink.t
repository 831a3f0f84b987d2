#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""What older kernels get: one perf link per site, and loops the verifier unrolls: same results."""

import ebt

ebt.ENV["EBEAM_PERF_LINKS"] = "1"
ebt.ENV["EBEAM_NO_BPF_LOOP"] = "1"


def links(node):
    where = ebt.sites(node.os_pid)
    with ebt.trace(node) as t:
        progs = {p["id"] for p in ebt.bpftool("prog") if p.get("name", "").startswith("eb_")}
        progs -= ebt.held_by_others()
        kinds = {x["type"] for x in ebt.bpftool("link") if x.get("prog_id") in progs}
        ebt.equal(kinds, {"perf_event"}, "the links are perf links")
        t.stop()
    ebt.clean("after it", node, where)


if __name__ == "__main__":
    BIN, GC = ebt.load("10-bin"), ebt.load("20-gc")
    ebt.run(links, BIN.made_and_dropped, BIN.exits, GC.forced, GC.natural)
