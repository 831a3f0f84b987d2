#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Collections per process against the VM's tracing and its own statistics.

Counted apart: forced major and minor ones, those the heap asks for, those of a
hibernation (which neither erlang:trace nor statistics counts), and long ones
that a scheduler hands to a dirty scheduler.
"""
import ebt

# A heap that no operation of a worker fills, with live words on it: without any
# a minor collection has nothing to promote and becomes a major one.
ROOMY = "fixture:worker([{min_heap_size, 20000}], [{list, 4000}, {gc, major, 1}])"


def minor_major(doc, pid):
    r = ebt.row(doc, "gc", pid=pid)
    return [r["minor"], r["major"]]


def forced(node):
    node.eval("Major = %s" % ROOMY)
    node.eval("Minor = %s" % ROOMY)
    node.eval("Other = %s" % ROOMY)
    node.eval("Large = fixture:worker([], [{list, 600000}])")
    node.eval("Zero = fixture:worker([{fullsweep_after, 0}])")
    node.eval("Sleepy = %s" % ROOMY)
    node.eval("Traced = [{T, P} || P <- [Zero, Sleepy, Large], T <- [fixture:trace_gcs(P)]]")
    major, minor, other, large, zero, sleepy = node.eval(
        "[Major, Minor, Other, Large, Zero, Sleepy]")
    with ebt.trace(node) as t:
        node.eval("fixture:do(Major, {gc, major, 37})")
        node.eval("fixture:do(Minor, {gc, minor, 41})")
        node.eval("[true = erlang:garbage_collect(Other) || _ <- lists:seq(1, 13)]")
        node.eval("fixture:do(Large, {gc, major, 5})")
        node.eval("fixture:do(Zero, {garbage, 5000})")
        node.eval("fixture:hibernate(Sleepy, 17)")
        (zero_minor, zero_major), (sleepy_minor, sleepy_major), large_traced = node.eval(
            "[fixture:traced_gcs(T) || T <- Traced]")
        doc = t.stop()
    ebt.equal(doc["lost"], 0, "forced: nothing lost")
    ebt.equal(minor_major(doc, major), [0, 37], "garbage_collect()")
    ebt.equal(minor_major(doc, minor), [41, 0], "garbage_collect(self(), [{type, minor}])")
    ebt.equal(minor_major(doc, other), [0, 13], "garbage_collect(OtherPid)")
    ebt.equal(large_traced, [0, 5], "the large heap is collected five times")
    ebt.equal(minor_major(doc, large), [0, 5],
              "a collection on a dirty scheduler counts once, for its process")
    ebt.ok(zero_minor == 0 and zero_major > 100, "fullsweep_after 0 means many majors")
    ebt.equal(minor_major(doc, zero), [0, zero_major], "fullsweep_after 0")
    ebt.equal(minor_major(doc, sleepy), [sleepy_minor, sleepy_major + 17],
              "hibernation is a major collection, though the VM traces none")
    r = ebt.row(doc, "gc", pid=large)
    ebt.ok(r["pause_total_ns"] >= r["pause_max_ns"] > 0, "pauses have a length", r)
    ebt.equal(sum(b["count"] for b in r["pause_histogram"]), 5, "one pause per collection", r)
    node.eval("[fixture:stop(P) || P <- [Major, Minor, Other, Large, Zero, Sleepy]]")


def natural(node):
    """Collections nobody asked for, by kind, as the VM traces them."""
    node.eval("N = [fixture:worker([{fullsweep_after, F}]) || F <- [65535, 20, 3, 65535]]")
    node.eval("NT = [{fixture:trace_gcs(P), P} || P <- N]")
    pids = node.eval("N")
    with ebt.trace(node) as t:
        # All at a time, so that processes move between schedulers.
        node.eval("[fixture:send(P, {garbage, 30000}) || P <- N]")
        node.eval("[fixture:await(P) || P <- N]")
        traced = node.eval("[fixture:traced_gcs(T) || T <- NT]")
        doc = t.stop()
    ebt.equal(doc["lost"], 0, "natural: nothing lost")
    for pid, counts in zip(pids, traced):
        ebt.ok(min(counts) >= 1 and sum(counts) > 100, "%s collects both ways" % pid, counts)
        ebt.equal(minor_major(doc, pid), counts, "%s: minor and major as erlang:trace has them"
                  % pid)
    node.eval("[fixture:stop(P) || P <- N]")


def statistics(node):
    """The sum over all processes.  Nothing is traced by the VM: trace messages would be collected
    too, and what queued messages bring to a heap on a dirty scheduler is not seen from outside."""
    statistics = "statistics(garbage_collection)"
    node.eval("S = [fixture:worker([{fullsweep_after, F}]) || F <- [65535, 20, 3, 65535]]")
    node.eval("Big = fixture:worker()")
    outer = node.eval(statistics)
    with ebt.trace(node) as t:
        inner = node.eval(statistics)
        node.eval("[fixture:send(P, {garbage, 30000}) || P <- S]")
        node.eval("[fixture:await(P) || P <- S]")
        # A large one, on dirty schedulers.
        node.eval("fixture:do(Big, {list, 600000})")
        inner = [b - a for a, b in zip(inner, node.eval(statistics))]
        doc = t.stop()
    outer = [b - a for a, b in zip(outer, node.eval(statistics))]
    rows = ebt.rows(doc, "gc")
    ebt.between(inner[0], ebt.total(rows, "minor") + ebt.total(rows, "major"), outer[0],
                "all collections as statistics(garbage_collection) counts them")
    ebt.between(inner[1], ebt.total(rows, "reclaimed_words"), outer[1],
                "words reclaimed as statistics(garbage_collection) counts them")
    node.eval("[fixture:stop(P) || P <- [Big | S]]")


def attached_under_load(node):
    """Collections that go on while the probes are set leave nothing behind that hides later ones."""
    node.eval("A = [fixture:worker([{min_heap_size, 20000}]) || _ <- lists:seq(1, 8)]")
    node.eval("B = [fixture:worker() || _ <- lists:seq(1, 6)]")
    pids = node.eval("A")
    node.eval("[fixture:send(P, {garbage, 200000}) || P <- B]")
    with ebt.trace(node) as t:
        node.eval("[fixture:await(P) || P <- B]")
        # All at a time, so that every scheduler has its part.
        node.eval("[fixture:send(P, {gc, major, 60}) || P <- A]")
        node.eval("[fixture:await(P) || P <- A]")
        doc = t.stop()
    ebt.equal([minor_major(doc, p) for p in pids], [[0, 60]] * 8,
              "attached under load: every later collection is counted")
    node.eval("[fixture:stop(P) || P <- A ++ B]")


def allocated(node):
    """Heap words that came to a process: as the VM traces them, and as an operation is known to
    need: two words an element of a list, the same more for all sizes."""
    ops = ("{list, 3000}", "{garbage, 3000}", "{copy, 1000, 3000}", "{gc, minor, 3}")
    sizes = (1000, 5000, 90000, 1500000)        # the last ones are collected on dirty schedulers
    node.eval("A = [fixture:worker([], [{list, 10}]) || _ <- lists:seq(1, %d)]" % len(ops))
    node.eval("AT = [{fixture:trace_gcs(P), P} || P <- A]")
    node.eval("K = [fixture:worker([], [{list, 10}]) || _ <- lists:seq(1, %d)]" % len(sizes))
    node.eval("Old = fixture:worker([{min_heap_size, 20000}], [{list, 4000}])")
    start = node.eval("[fixture:fresh_words(P) || P <- A]")
    with ebt.trace(node) as t:
        node.eval("Young = [fixture:worker([], [{list, 10}, {list, N}]) || N <- %s]" % list(sizes))
        node.eval("[fixture:send(P, Op) || {P, Op} <- lists:zip(A, [%s])]" % ", ".join(ops))
        node.eval("[fixture:send(P, {list, N}) || {P, N} <- lists:zip(K, %s)]" % list(sizes))
        node.eval("[fixture:await(P) || P <- A ++ K]")
        node.quiet()
        doc = t.stop()
    traced, end = node.eval("[[fixture:traced_words(T) || T <- AT], "
                            "[fixture:fresh_words(P) || P <- A]]")
    ebt.equal(doc["lost"], 0, "allocated: nothing lost")
    for pid, op, a, b, c in zip(node.eval("A"), ops, start, traced, end):
        rows = ebt.rows(doc, "gc", pid=pid)
        ebt.equal(ebt.total(rows, "allocated_words"), b - a + c,
                  "allocated: %s: as erlang:trace has it" % op, *rows)
    for who in ("K", "Young"):
        words = [ebt.row(doc, "gc", pid=p)["allocated_words"] for p in node.eval(who)]
        ebt.equal([w - words[0] for w in words], [n - sizes[0] for n in sizes],
                  "allocated: lists of known lengths, %s" % ("old" if who == "K" else "born under "
                                                             "watch"), words)
        ebt.between(sizes[0], words[0], sizes[0] + 100, "allocated: and little more")
    ebt.equal(ebt.rows(doc, "gc", pid=node.eval("Old")), [],
              "allocated: who does nothing has no row, whatever it had before")
    node.eval("[fixture:stop(P) || P <- [Old | A ++ K ++ Young]]")


def minor_gcs(node):
    """The process's own count, which starts anew at a major collection."""
    pid = node.eval("G = %s" % ROOMY)
    with ebt.trace(node) as t:
        node.eval("fixture:do(G, {gc, minor, 8})")
        doc = t.stop()
    ebt.equal(minor_major(doc, pid), [node.eval("fixture:gcs(G)"), 0],
              "as process_info(P, garbage_collection) has minor_gcs")
    node.eval("fixture:stop(G)")


if __name__ == "__main__":
    ebt.run(forced, natural, statistics, attached_under_load, allocated, minor_gcs)
