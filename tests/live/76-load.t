#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""ps under load: ten thousand processes a second are born and die while it looks. Who lives all the
time is there once, under the right name; who is there was really born; counters never fall."""
import json
import subprocess
import time

import ebt

BORN_A_SECOND = 10000
LIVE_MS = 20
ELDERS = 200
SNAPSHOTS = 100     # while so many are born; what is seen meanwhile is checked, too
BATCH = (4, 16)     # runs of their own: numbers since the start; and of one with -i
PATIENCE_S = 150    # on a machine that is too busy to bear so many


def snapshots(node, count):
    """COUNT documents of `ps -i`, as they come."""
    child = ebt.start([ebt.EBEAM, "ps", "-l", "0", "--json", "-i", "0.05", "-p", str(node.os_pid)],
                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lines = ebt.Lines(child.stdout.fileno())
    try:
        for n in range(count):
            line = lines.next("snapshot %d" % n)
            if line is None:
                raise ebt.Failure("ps ended: %r" % child.stderr.read())
            yield json.loads(line)
    finally:
        ebt.end(child)


def one_by_one(node, count):
    """COUNT documents, each of a run of its own: absolute numbers."""
    for _ in range(count):
        r = ebt.ebeam("ps", "-l", "0", "--json", "-p", node.os_pid)
        if r.status:
            raise ebt.Failure("ps: %s" % r)
        yield r.json


def load(node):
    node.load("mayflies")
    if "\n  ps " not in ebt.ebeam("--help").out:
        ebt.missing("ps under load", "this ebeam has no ps")
        return
    before = {p for p in node.eval("[list_to_binary(pid_to_list(P)) || P <- processes()]")}
    elders = dict(node.eval("Elders = mayflies:elders(%d)" % ELDERS))
    node.eval("Flies = mayflies:start(%d, %d)" % (BORN_A_SECOND, LIVE_MS))
    single, stream, under_load, rates = [], [], 0, []
    until = time.monotonic() + PATIENCE_S
    try:
        while under_load < SNAPSHOTS and time.monotonic() < until:
            began = births(node)
            single += one_by_one(node, BATCH[0])
            stream += snapshots(node, BATCH[1])
            ended = births(node)
            rates.append((ended[1] - began[1]) * 1000 / (ended[0] - began[0]))
            under_load += sum(BATCH) if rates[-1] >= BORN_A_SECOND / 2 else 0
        breeder = node.eval("element(1, Flies)")
        log = set(node.eval("mayflies:log(Flies)"))
    finally:
        node.eval("mayflies:stop(Flies)")
        node.eval("mayflies:retire(Elders)")
    ebt.ok(under_load >= SNAPSHOTS, "load: %d snapshots while thousands were born a second"
           % under_load, ["%d" % r for r in rates])
    check(single + stream, elders, log, before | {breeder}, len(single))


def births(node):
    """(ms, how many were born by then)"""
    return node.eval("{erlang:monotonic_time(millisecond), mayflies:born(Flies)}")


def check(docs, elders, log, others, single):
    """DOCS are the snapshots; LOG has all mayflies there ever were, OTHERS those before them."""
    wrong, rows, skipped, flies, last, fell = [], 0, 0, 0, {}, []
    known = set(elders.values()) | others
    for n, doc in enumerate(docs):
        pids = [r["pid"] for r in doc["rows"] if r.get("mark") != "dead"]
        rows += len(pids)
        skipped += doc["skipped"]
        for name, pid in elders.items():
            found = [r for r in doc["rows"] if r["registered_name"] == name]
            if len(found) != 1 or found[0]["pid"] != pid:
                wrong.append("snapshot %d: %s is %s: %d rows" % (n, name, pid, len(found)))
        if len(set(pids)) != len(pids):
            wrong.append("snapshot %d: %d rows, %d processes" % (n, len(pids), len(set(pids))))
        born = [p for p in pids if p not in known]
        flies += len(born)
        wrong += ["snapshot %d: %s was never born" % (n, p) for p in born if p not in log]
        names = {r["pid"]: r["registered_name"] for r in doc["rows"]}
        wrong += ["snapshot %d: a mayfly is named %s" % (n, names[p]) for p in born if names[p]]
        if n >= single:
            continue                    # with -i they are of the interval
        for r in doc["rows"]:
            for key in ("reductions",):
                if r[key] is not None and last.get((r["pid"], key), 0) > r[key]:
                    fell.append("snapshot %d: %s of %s fell from %d to %d"
                                % (n, key, r["pid"], last[r["pid"], key], r[key]))
                if r[key] is not None:
                    last[r["pid"], key] = r[key]
    ebt.ok(not wrong, "load: %d snapshots, %d rows: the long-lived once each, the others all born"
           % (len(docs), rows), *wrong[:10])
    ebt.ok(flies >= len(docs), "load: %d rows are mayflies" % flies)
    ebt.ok(not fell, "load: counters never fall", *fell[:10])
    ebt.ok(len(last) >= ELDERS, "load: counters of %d processes" % len(last))
    ebt.ok(skipped < 0.01 * rows, "load: %d of %d skipped" % (skipped, rows))


def can_fail():
    """The check itself: what it is there for is found."""
    def doc(*rows, skipped=0):
        return {"rows": [dict(zip(("pid", "registered_name", "reductions"), r)) for r in rows],
                "skipped": skipped}
    old = ("<0.1.0>", "elder_1", 10)
    fly = ("<0.2.0>", None, 1)
    harness = ebt.load("05-ebt")
    # of the five: the rows, mayflies seen, counters, their number, skipped
    few = 1                             # one elder is not ELDERS
    for what, docs, bad in (
            ("right", [doc(old, fly), doc(old, fly)], 0),
            ("elder twice", [doc(old, old, fly), doc(old, fly)], 1),
            ("elder missing", [doc(fly), doc(old, fly)], 1),
            ("wrong name", [doc(("<0.1.0>", "elder_2", 1), fly), doc(old, fly)], 1),
            ("never born", [doc(old, fly, ("<0.3.0>", None, 1)), doc(old, fly)], 1),
            ("falls", [doc(old, fly), doc(("<0.1.0>", "elder_1", 9), fly)], 1),
            ("skipped", [doc(old, fly, skipped=1), doc(old, fly)], 1)):
        found, text = harness.failing(check, docs, {"elder_1": "<0.1.0>"}, {"<0.2.0>"}, set(),
                                       2)
        ebt.equal(found - few, bad, "check: " + what, text)


if __name__ == "__main__":
    ebt.run(load, once=[can_fail])
