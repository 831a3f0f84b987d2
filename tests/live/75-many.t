#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Many processes: rows stay bounded, sums stay exact, the heavy ones stay apart.

EBEAM_LONG=1: a million of them.
"""
import os

import ebt

N = 1000000 if os.environ.get("EBEAM_LONG") else 100000
BOUND = 500
FEW = 10
SLOTS = 200000      # each of the 1024 many times
if N > 100000:
    ebt.TIMEOUT = 600


def exact_sums(node, doc, made, size, what, slack=FEW):
    """Rows, those of all others among them, sum up to what was made and to what the VM counts."""
    calls = doc["sections"]["alloc"]["totals"]["by_allocator"]
    # OTP 23 puts frees down elsewhere where carriers move: see 40-alloc.t.
    ends = ("allocs", "frees") if node.release != "23" else ("allocs",)
    rows = ebt.rows(doc, "alloc")
    ebt.equal(doc["lost"], 0, what + "nothing lost")
    # A block whose carrier goes elsewhere just after we looked is moved: an allocation and a free.
    # Blocks of fixed sizes that find their carrier elsewhere are freed twice by the VM's count.
    few = FEW
    for c in calls:
        off = {k: c[k] + c["reallocs"] - c["vm_" + k] - c["vm_reallocs"] for k in ends}
        off["reallocs"] = c["reallocs"] - c["vm_reallocs"]
        twice = c["frees"] if c["allocator"] == "fix_alloc" else few
        ebt.ok(abs(off["allocs"]) <= few and 0 <= off["reallocs"] <= few
               and -twice <= off.get("frees", 0) <= few,
               what + c["allocator"] + ": calls as the VM counts them, but for a few", off, c)
    # An event that is being counted while its row is taken out may find it gone: hence the slack.
    lacks = [sum(c["allocs"] + c["reallocs"] for c in calls)
             - ebt.total(rows, "allocs") - ebt.total(rows, "reallocs"),
             sum(c["frees"] - c["allocs"] for c in calls)
             - ebt.total(rows, "frees") + ebt.total(rows, "allocs")]
    ebt.ok(0 <= lacks[0] <= slack and abs(lacks[1]) <= slack,
           what + "the rows of alloc have all calls, but for a few", lacks)
    binaries = ebt.rows(doc, "bin")
    totals = doc["sections"]["bin"]["totals"]
    ebt.equal(totals["created"], ebt.total(binaries, "created"), what + "the total of bin")
    # Whatever else is there makes binaries only to answer us.
    ebt.between(made - slack, ebt.total(binaries, "created"), made + 50, what + "binaries created")
    ebt.between((made - slack) * size, ebt.total(binaries, "created_bytes"), made * size + 5000,
                what + "their bytes") if size else None
    ebt.between(totals["created"] - slack, ebt.entries(binaries, "size_histogram"),
                totals["created"] + slack, what + "by size")
    ebt.between(ebt.total(rows, "allocs") - slack, ebt.entries(rows, "size_histogram"),
                ebt.total(rows, "allocs") + slack, what + "allocations by size")


def storm(node):
    """Three heavy ones among them: one that works before, one while, one after it."""
    n, size = 4000, 2000
    node.eval("H = [fixture:worker([{min_heap_size, 100000}]) || _ <- [1, 2, 3]]")
    node.quiet()
    with ebt.Ebeam("trace", "--exact", "--max-processes", str(BOUND), pid=node.os_pid) as t:
        node.eval("fixture:do(lists:nth(1, H), {copy, %d, %d})" % (n, size))
        node.eval("fixture:send(lists:nth(2, H), {copy_slowly, %d, %d, 1000})" % (n, size))
        ebt.equal(node.eval("fixture:storm(%d)" % N), "normal", "storm: it took place")
        node.eval("fixture:await(lists:nth(2, H))")
        node.eval("fixture:do(lists:nth(3, H), {copy, %d, %d})" % (n, size))
        node.quiet()
        doc = t.stop()
    exact_sums(node, doc, N + 3 * n, 0, "storm: ")
    totals = {s: doc["sections"][s]["totals"] for s in ("bin", "alloc", "gc")}
    rows = {s: ebt.rows(doc, s) for s in totals}
    ebt.between(N * 200 + 3 * n * size - FEW * size, totals["bin"]["created_bytes"],
                N * 200 + 3 * n * size + 5000, "storm: bytes created", totals["bin"])
    for section, t in totals.items():
        pids = {r["pid"] for r in rows[section] if r["pid"]}
        ebt.ok(len(pids) <= BOUND, "storm: %s: rows are bounded" % section, len(pids))
        # but for a few that died before they had a row
        ebt.ok(t["other_processes"] >= 0.95 * N, "storm: %s: so many are summed up" % section, t)
    others = ebt.row(doc, "bin", pid=None, name="other")
    ebt.ok(others["created"] >= N - BOUND, "storm: the row of all others", others)
    for i, pid in enumerate(node.eval("H")):
        r = ebt.row(doc, "bin", pid=pid)
        bound = totals["bin"]["error_bound"]
        ebt.between(n * size - bound, r["created_bytes"], n * size, "storm: heavy %d: bytes created, "
                    "within the error bound" % i, r, totals["bin"])
        # what it lacks it had before it was heavy
        ebt.between(n - bound // size, r["created"], n, "storm: heavy %d: created" % i, r)
        ebt.equal(r["held_refs"], n, "storm: heavy %d: holds" % i, r)
        a = [x for x in rows["alloc"] if x["pid"] == pid and x["type"] in ("binary", "drv_binary")]
        ebt.between(n - totals["alloc"]["error_bound"] // size, ebt.total(a, "allocs"), n,
                    "storm: heavy %d: allocations" % i, totals["alloc"], *a)
    # an estimate of what any one may lack is worth something only if it is small
    ebt.ok(totals["bin"]["error_bound"] < n * size / 10, "storm: the bound is small", totals["bin"])
    order = [r["pid"] for r in sorted(rows["bin"], key=lambda r: -r["created_bytes"]) if r["pid"]]
    ebt.equal(sorted(order[:3]), sorted(node.eval("H")), "storm: the heavy ones come first")
    node.eval("[fixture:stop(P) || P <- H]")


def slots_reused(release):
    """A small process table, every slot of which is used many times over."""
    with ebt.Node(release, "+P", "1024") as node:
        node.quiet()
        with ebt.Ebeam("trace", "--exact", "--max-processes", "300", pid=node.os_pid) as t:
            ebt.equal(node.eval("fixture:storm(%d)" % SLOTS), "normal", "slots: it took place")
            node.quiet()
            doc = t.stop()
        exact_sums(node, doc, SLOTS, 200, "slots: ")


def many_schedulers(release):
    """64 schedulers: as many instances of most allocators."""
    with ebt.Node(release, "+S", "64:64") as node:
        node.eval("M = fixture:worker()")
        node.quiet()
        with ebt.trace(node) as t:
            for _ in range(3):
                node.eval("fixture:do(M, {spawn, 640})")
            node.eval("fixture:do(M, {copy, 1, 9000})")
            for i in range(1, 65, 9):
                node.eval("[fixture:do(M, Op) || Op <- [{scheduler, %d}, {append, 20, 9000}]]" % i)
            node.eval("[fixture:do(M, Op) || Op <- [drop, {gc, major, 1}]]")
            node.quiet()
            doc = t.stop()
        ebt.equal(doc["target"]["schedulers"], 64, "64 schedulers: they are there")
        exact_sums(node, doc, 3 * 640 + 3, 0, "64 schedulers: ", slack=0)
        moved = ebt.total(ebt.rows(doc, "alloc"), "reallocs") - sum(
            c["reallocs"] for c in doc["sections"]["alloc"]["totals"]["by_allocator"])
        ebt.ok(moved >= 3, "64 schedulers: blocks moved from instance to instance", moved)


def alone():
    """With nodes of their own."""
    for release in ebt.RELEASES:
        ebt.context = "otp %s: " % release
        ebt.guarded("slots", slots_reused, release)
        ebt.guarded("64 schedulers", many_schedulers, release)
    ebt.context = ""


if __name__ == "__main__":
    ebt.run(storm, once=[alone])
