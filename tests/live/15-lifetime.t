#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""How long refc binaries live, which are alive, who holds them, and what came to whom."""
import os

import ebt

SIZE = 4090
# In the middle of a bucket each (67..134 ms, 0.5..1.1 s, 4.3..8.6 s).
TIMES = (96, 800, 5000)


def ages(row):
    return ebt.entries([row], "age_histogram")


def held_by(row):
    return {(h["pid"], h["name"] if h["pid"] is None else ""): (h["binaries"], h["bytes"])
            for h in row["held_by"]}


def lived(node, doc, worker, n, what):
    """N binaries of a worker lived as long as it has noted."""
    pid, (low, high) = node.eval("[%s, fixture:noted(%s, lived)]" % (worker, worker))
    row = ebt.row(doc, "bin", pid=pid)
    ebt.equal([row["created"], ebt.entries([row], "lifetime_histogram")], [n, n],
              what + ": created and died", row)
    ebt.equal(ebt.in_buckets([row], "lifetime_histogram", low, high), n,
              what + ": at the age they had", low, high, row["lifetime_histogram"])
    ebt.equal([row["alive"], ages(row), row["held_by"]], [0, 0, []], what + ": none alive", row)


def lifetimes(node):
    node.eval("W = [fixture:worker([{min_heap_size, 20000}]) || _ <- lists:seq(1, %d)]" % len(TIMES))
    node.eval("Append = fixture:worker([{min_heap_size, 20000}])")
    # older than the watch: some of them die under it
    node.eval("Old = fixture:worker([], [{copy, 77, %d}])" % SIZE)
    node.eval("[Maker, Taker, Ets] = [fixture:worker([{min_heap_size, 20000}]) || _ <- [1, 2, 3]]")
    with ebt.trace(node) as t:
        node.eval("[fixture:send(P, {live, 100, %d, T}) || {P, T} <- lists:zip(W, %s)]"
                  % (SIZE, list(TIMES)))
        # From 4 KB to 100 KB, by turns on the schedulers: it moves between instances.
        node.eval("fixture:send(Append, {append_for, 25, 4096, 1500})")
        node.eval("Begin = os:perf_counter(nanosecond)")
        node.eval("fixture:do(Maker, {copy, 40, %d})" % SIZE)
        node.eval("fixture:do(Maker, {give, Taker})")
        node.eval("fixture:do(Maker, drop)")
        node.eval("fixture:do(Maker, {copy, 30, %d})" % SIZE)
        # A table holds them, and no process does.
        node.eval("[fixture:do(Ets, Op) || Op <- [{ets_new, [set]}, {ets_copies, 20, %d}]]" % SIZE)
        node.eval("[fixture:do(P, {gc, major, 1}) || P <- [Maker, Ets]]")
        made = node.eval("os:perf_counter(nanosecond) - Begin")
        node.eval("[fixture:do(Old, Op) || Op <- [{keep, 7}, {gc, major, 1}]]")
        node.eval("[fixture:await(P) || P <- [Append | W]]")
        least = node.eval("os:perf_counter(nanosecond) - Begin") - made
        doc = t.stop()
    most = node.eval("os:perf_counter(nanosecond) - Begin")
    ebt.equal(doc["lost"], 0, "lifetimes: nothing lost")
    for i, ms in enumerate(TIMES):
        lived(node, doc, "lists:nth(%d, W)" % (i + 1), 100, "%d ms" % ms)
    # What it began with, what it appended, and the one that grew.
    lived(node, doc, "Append", 3, "appended to for 1.5 s")
    rows = ebt.rows(doc, "alloc", pid=node.eval("Append"), allocator="binary_alloc")
    ebt.ok(ebt.total(rows, "reallocs") >= 3, "appended to for 1.5 s: it moved, in its one life", *rows)

    totals = doc["sections"]["bin"]["totals"]
    rows = ebt.rows(doc, "bin")
    old, maker, taker, ets = (ebt.row(doc, "bin", pid=p)
                              for p in node.eval("[Old, Maker, Taker, Ets]"))
    ebt.equal([old["freed"], old["created"], ebt.entries([old], "lifetime_histogram")], [70, 0, 0],
              "older than the watch: no lifetime", old)
    ebt.equal([totals["freed"] - totals["died"], totals["born_before"]],
              [ebt.total(rows, "freed") - ebt.entries(rows, "lifetime_histogram")] * 2,
              "older than the watch: counted apart", totals)
    ebt.between(70, totals["born_before"], 90, "older than the watch: those", totals)
    for row, n, what in ((maker, 70, "creator"), (ets, 20, "creator of what a table holds")):
        ebt.equal([row["created"], row["alive"], row["alive_bytes"], ages(row)],
                  [n, n, n * SIZE, n], what + ": alive", row)
        ebt.equal(ebt.in_buckets([row], "age_histogram", least, most), n, what + ": their age",
                  least, most, row["age_histogram"])
    ebt.equal(held_by(maker), {(taker["pid"], ""): (40, 40 * SIZE), (maker["pid"], ""):
                               (30, 30 * SIZE)}, "held_by: the other one, and itself", maker)
    ebt.equal(held_by(ets), {(None, "no process found"): (20, 20 * SIZE)},
              "held_by: nobody found", ets)
    ebt.equal([taker["created"], taker["alive"], taker["held_refs"]], [0, 0, 40],
              "held_by: the holder has created none", taker)
    ebt.equal([totals["alive"], totals["alive_bytes"]],
              [ebt.total(rows, "alive"), ebt.total(rows, "alive_bytes")], "alive: the totals")
    node.eval("[fixture:stop(P) || P <- [Append, Old, Maker, Taker, Ets | W]]")


def near(got, want, what, *details):
    """An estimate from a sample."""
    return ebt.between(want * 0.85, got, want * 1.15, what, *details)


def many(node):
    """Births at a high rate: counts stay exact, lives and what is alive come from a sample."""
    n = 200000
    node.eval("[M, D] = [fixture:worker() || _ <- [1, 2]]")
    maker, dropper = node.eval("[M, D]")
    with ebt.trace(node) as t:
        node.eval("fixture:do(M, {copy, %d, 100})" % n)
        for _ in range(4):
            node.eval("[fixture:do(D, Op) || Op <- [{copy, %d, 100}, drop, {gc, major, 1}]]"
                      % (n // 4))
        doc = t.stop()
    totals = doc["sections"]["bin"]["totals"]
    m, d = (ebt.row(doc, "bin", pid=p) for p in (maker, dropper))
    ebt.equal(doc["lost"], 0, "many: nothing lost")
    ebt.equal([m["created"], m["created_bytes"], d["created"]], [n, n * 100, n],
              "many: created is exact")
    ebt.equal(d["freed"], n, "many: freed is exact")
    ebt.equal(m["alive"], None, "many: where there is an estimate there is no count", m)
    near(m["alive_est"], n, "many: alive", m)
    near(m["alive_bytes_est"], n * 100, "many: their bytes", m)
    near(ages(m), n, "many: their ages", m["age_histogram"])
    near(ebt.entries([d], "lifetime_histogram"), n, "many: lifetimes", d["lifetime_histogram"])
    near(totals["died_est"], n, "many: the total of those that died", totals)
    near(totals["alive_est"], n, "many: the total of those alive", totals)
    near(sum(h["binaries"] for h in m["held_by"]), n, "many: held by", m["held_by"])
    near(sum(r["live_est"] for r in ebt.rows(doc, "alloc", pid=maker)
             if r["type"] in ("binary", "drv_binary")), n, "many: live of alloc")
    node.eval("[fixture:stop(P) || P <- [M, D]]")


def other_ways():
    """Without session probes every call has its return probe; older kernels have a link per site."""
    for way in ("EBEAM_NO_SESSION", "EBEAM_PERF_LINKS"):
        ebt.context = way + ": "
        ebt.ENV[way] = "1"
        with ebt.Node(ebt.RELEASES[-1]) as node:
            lifetimes(node)
            many(node)
        del ebt.ENV[way]
    ebt.context = ""


# ---- what came to whom ------------------------------------------------------------

def router(node):
    """Routers that receive binaries from several processes, in all ways that messages take."""
    n, size, senders = 60, 3000, 3
    node.eval("S = [fixture:worker() || _ <- lists:seq(1, %d)]" % senders)
    node.eval("Sink = fixture:router([])")
    # from before: not what came under watch
    # neither heap nor binaries make these collect
    roomy = "[{min_heap_size, 100000}, {min_bin_vheap_size, 1000000}]"
    node.eval("Never = fixture:router(%s)" % roomy)
    node.eval("[fixture:do(P, {route, Never, 5, %d}) || P <- S]" % size)
    node.eval("Forced = fixture:router(%s)" % roomy)
    node.eval("Busy = fixture:router([])")
    node.eval("Off = fixture:router([{message_queue_data, off_heap}])")
    node.eval("Dropper = fixture:router(%s)" % roomy)
    node.eval("[fixture:routed(P) || P <- [Never, Sink, Forced, Busy, Off, Dropper]]")
    everyone = "[Never, Sink, Forced, Busy, Off, Dropper, Born]"
    with ebt.trace(node) as t:
        node.eval("Born = fixture:router([])")

        def send(to, times=1):
            node.eval("[begin [fixture:send(P, {route, %s, %d, %d}) || P <- S], "
                      "[fixture:await(P) || P <- S] end || _ <- lists:seq(1, %d)]"
                      % (to, n, size, times))
        send("Never")
        send("Forced")
        node.eval("erlang:garbage_collect(Forced)")
        send("Forced")
        node.eval("fixture:routed(Forced)")
        # Messages wait while it works, and a collection finds them in the queue.
        node.eval("Busy ! {work, 300}")
        send("Busy")
        node.eval("fixture:routed(Busy)")
        node.eval("erlang:garbage_collect(Busy)")
        send("Busy")
        send("Off")
        node.eval("[Born ! {forward, Sink}, Dropper ! drop]")
        send("Born", 2)
        node.eval("fixture:routed(Born)")
        send("Dropper")
        node.eval("fixture:routed(Dropper)")
        node.eval("erlang:garbage_collect(Dropper)")
        send("Dropper")
        held = dict(zip(node.eval(everyone),
                        node.eval("[begin fixture:routed(P), fixture:held(P) end || P <- %s]" % everyone)))
        doc = t.stop()
    never, sink, forced, busy, off, dropper, born = node.eval(everyone)
    got = n * senders
    for pid, what, refs in ((never, "never collects", got), (forced, "collected by force", 2 * got),
                            (busy, "busy", 2 * got), (off, "queue off the heap", got),
                            (dropper, "drops", 2 * got), (born, "born under watch, forwards", 2 * got),
                            (sink, "is forwarded to", 2 * got)):
        r = ebt.row(doc, "bin", pid=pid)
        what = "router that %s: " % what
        ebt.equal([r["acquired_refs"], r["acquired_bytes"]], [refs, refs * size],
                  what + "what came to it", r)
        ebt.equal([r["created"], r["alive"] or 0], [0, 0], what + "created nothing", r)
        ebt.equal([r["held_refs"], r["held_bytes"]], held[pid], what + "holds what the node says", r)
        if pid != never:
            ebt.equal(r["released_refs"] + r["held_refs"], refs, what + "released what it let go", r)
        since = {never: got + 5 * senders, forced: got, dropper: got}.get(pid)
        if since:
            ebt.equal(r["since_gc"], since * size, what + "since_gc", r)
    ebt.equal(ebt.row(doc, "bin", pid=dropper)["released_refs"], got, "drops: released is exact")
    node.eval("[fixture:stop(P) || P <- %s ++ S]" % everyone)


if __name__ == "__main__":
    ebt.run(lifetimes, many, router, once=[other_ways])
