#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""What options do to a report: intervals, sums, order, limits, width; the guard; containers."""
import json
import re

import ebt


def intervals(node):
    """With -i every document counts what is new since the one before."""
    pid = node.eval("I = fixture:worker([{min_heap_size, 20000}])")
    t = ebt.Ebeam("gc", "--exact", "-i", "0.3", pid=node.os_pid)
    node.eval("fixture:do(I, {gc, major, 11})")
    # A document that has the first eleven is out before the next ones are made.
    ebt.wait_for(lambda: '"major":11' in t.stdout(), "a first interval")
    node.eval("fixture:do(I, {gc, major, 7})")
    t.send(2)
    ebt.equal(t.wait(), 0, "interval: exit status")
    docs = [json.loads(line) for line in t.stdout().splitlines()]
    ebt.ok(len(docs) >= 2, "interval: a document a line", len(docs))
    counts = [r["major"] for d in docs for r in d["rows"] if r["pid"] == pid]
    ebt.equal(sum(counts), 18, "interval: each collection in one document", counts)
    ebt.ok(len(counts) >= 2, "interval: not all in one", counts)
    node.eval("fixture:stop(I)")


def sums(node):
    """--by sums up rows, and loses nothing."""
    node.eval("B = [fixture:worker() || _ <- lists:seq(1, 3)]")
    docs = []
    for by in ([], ["--by", "type"], ["--by", "process"], ["--by", "initial_call"]):
        t = ebt.Ebeam("alloc", "--exact", *by, pid=node.os_pid)
        node.eval("[fixture:do(P, {copy, 50, 4090}) || P <- B]")
        docs.append(t.stop())
        node.eval("[begin fixture:do(P, drop), fixture:do(P, {gc, major, 1}) end || P <- B]")
    plain, types, processes, calls = docs
    for d, what in ((types, "type"), (processes, "process"), (calls, "initial_call")):
        ebt.equal(sum(r["allocs"] for r in d["rows"]), d["totals"]["allocs"], "--by %s: sum" % what)
    binary = [r for r in types["rows"] if r["type"] in ("binary", "drv_binary")]
    ebt.ok(sum(r["allocs"] for r in binary) >= 150 and all(r["pid"] is None for r in binary),
           "--by type: one row for all processes", *binary)
    ebt.equal(len({r["type"] for r in types["rows"]}), len(types["rows"]),
              "--by type: a type, a row")
    mine = [r for r in calls["rows"] if r["name"] == "fixture:worker_init/0"]
    ebt.equal(len(mine), 1, "--by initial_call: one row for three processes", *mine)
    keys = [r["alloc_bytes"] for r in plain["rows"]]
    ebt.equal(keys, sorted(keys, reverse=True), "rows are sorted by bytes")
    node.eval("[fixture:stop(P) || P <- B]")


def text(node):
    """Text fits the width, names are cut, hostile ones escaped, and the limit is told."""
    node.eval("Bad = fixture:worker()")
    node.eval("register(list_to_atom([27] ++ \"[31mred\" ++ lists:duplicate(80, $x)), Bad)")
    node.eval("Many = [fixture:worker() || _ <- lists:seq(1, 12)]")
    node.eval("[fixture:do(P, {copy, 20, 4090}) || P <- [Bad | Many]]")
    for columns in (80, 100):
        out = ebt.ebeam("trace", "--exact", "-d", "0.3", "-p", node.os_pid,
                        env={"COLUMNS": str(columns)}).out
        table = [x for x in out.splitlines() if re.match(r"(PID|<0|ALLOCATOR|\w+_alloc) ?", x)]
        ebt.ok(table and max(map(len, table)) <= columns,
               "%d columns: tables fit" % columns, max(table, key=len) if table else out)
        ebt.ok("\x1b" not in out and "\\x1B[31mred" in out,
               "%d columns: the name of a process is escaped" % columns, *table)
        ebt.ok(re.search(r"\.\.\. \d+ more rows", out) and "-l 0 shows all" in out,
               "%d columns: the cut is told" % columns)
        ebt.ok(out.count("\n") <= (48 if columns == 100 else 50),
               "%d columns: it fits a screen" % columns, out)
    # What the README shows has the columns that are printed.
    wide = ebt.ebeam("trace", "--exact", "-d", "0.3", "-p", node.os_pid, env={"COLUMNS": "300"}).out
    with open(ebt.TOP + "/README.md") as f:
        shown = [x for x in f.read().splitlines() if re.match("(PID|ALLOCATOR) ", x)]
    ebt.ok(len(shown) >= 4, "README: shows the tables", *shown)
    known = {w for x in wide.splitlines() if re.match("(PID|ALLOCATOR) ", x) for w in x.split()}
    # a section that has seen nothing has no header: all titles are in the program
    with open(ebt.EBEAM, "rb") as f:
        image = f.read()
    ebt.equal([w for x in shown for w in re.split("  +", x.strip())
               if w not in known and w.encode() + b"\0" not in image], [],
              "README: columns are those of the program")
    node.eval("[fixture:stop(P) || P <- [Bad | Many]]")


def guard(node):
    """A node too busy for the budget is watched in bursts, and counts are scaled."""
    node.eval("G = [fixture:worker() || _ <- lists:seq(1, 2)]")
    before = node.eval("lists:sum([maps:get(alloc, I) || I <- fixture:allocator(binary_alloc)])")
    t = ebt.Ebeam("alloc", "--max-overhead", "1", pid=node.os_pid)
    for _ in range(60):
        node.eval("[fixture:send(P, {copy, 2000, 4090}) || P <- G]")
        node.eval("[fixture:await(P) || P <- G]")
        node.eval("[begin fixture:do(P, drop), fixture:do(P, {gc, major, 1}) end || P <- G]")
    doc = t.stop()
    after = node.eval("lists:sum([maps:get(alloc, I) || I <- fixture:allocator(binary_alloc)])")
    coverage = doc["totals"]["coverage"]["alloc"]
    ebt.ok(0 < coverage < 1, "guard: the hot group is watched in part", doc["totals"]["coverage"])
    ebt.equal(doc["totals"]["coverage"]["exit"], 1, "guard: the rare one all the time")
    binary = [r for r in doc["rows"] if r["allocator"] == "binary_alloc"]
    seen, est = (sum(r[k] for r in binary) for k in ("allocs", "allocs_est"))
    ebt.ok(seen < est, "guard: seen is less than estimated", seen, est)
    # The estimates of an allocator's rows sum to the VM's own count, whatever was watched.
    ebt.between(0, est, (after - before) * 1.001, "guard: the estimate is scaled by calls")
    ebt.ok(est >= 0.98 * 240000, "guard: and has what was made", est)
    ebt.ok(any("were watched" in n and "budget is 1 %" in n for n in doc["notes"]),
           "guard: a note says so", *doc["notes"])
    ebt.clean("guard", node, ebt.sites(node.os_pid))
    node.eval("[fixture:stop(P) || P <- G]")


def container():
    """A node in pid and mount namespaces of its own, seen from the host."""
    with ebt.Node(ebt.RELEASES[-1], wrap=["unshare", "--pid", "--mount", "--fork",
                                                 "--propagation", "unchanged", "--kill-child"]) as node:
        pid = node.eval("C = fixture:worker()")
        with ebt.trace(node) as t:
            node.eval("fixture:do(C, {copy, 100, 4090})")
            doc = t.stop()
        ebt.ok(doc["target"]["container"], "container: named", doc["target"])
        ebt.equal(ebt.row(doc, "bin", pid=pid)["created"], 100, "container: traced from the host")


if __name__ == "__main__":
    ebt.run(intervals, sums, text, guard, once=[container])
