#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Carriers made and given back against system_info({allocator, A}).

The VM counts the calls that get and return carriers per instance, and the
carriers there are. A carrier made by one instance may be taken over by another,
on OTP 23 even of another allocator; so what exists is compared over all of them.
"""
import ebt

# allocator: operations that fill it (small blocks, then blocks above 512 KiB,
# each with a carrier of its own), and those that empty it.
WORK = {
    "binary_alloc": (["{copy, 4000, 4090}", "{copy, 20, 700000}"], ["drop", "{gc, major, 1}"]),
    "ets_alloc": (["{ets_new, [set, public]}", "{ets_insert, 1, 200000}"], ["{ets_delete}"]),
    "driver_alloc": (["{driver, 4000, 4000}", "{driver, 12, 700000}"],
                     ["{driver_free}", "{driver_free}"]),
}
SINGLE = {"binary_alloc": 20, "ets_alloc": 0, "driver_alloc": 12}


def difference(a, b):
    """What changed, per allocator and instance: calls that made and that gave back, then carriers
    and bytes there, of multi-block (with the pool) and of single-block ones."""
    def state(i):
        there = [i[what]["mbcs"] + i[what].get("mbcs_pool", 0) for what in ("carriers",
                                                                          "carriers_size")]
        return [i["mseg_alloc"] + i["sys_alloc"], i["mseg_dealloc"] + i["sys_free"], *there,
                i["carriers"]["sbcs"], i["carriers_size"]["sbcs"]]
    return {(name, y["instance"]): [v - u for u, v in zip(state(x), state(y))]
            for name in a for x, y in zip(a[name], b[name])}


def carriers(node):
    node.load_nif()
    for name, (fill, empty) in WORK.items():
        pid = node.eval("C = fixture:worker()")
        for keep in (True, False):
            what = "%s %s: " % (name, "filled" if keep else "filled and emptied")
            outer = node.eval("fixture:settled()")
            with ebt.trace(node) as t:
                inner = node.eval("fixture:settled()")
                for op in fill + ([] if keep else empty):
                    node.eval("fixture:do(C, %s)" % op)
                inner = difference(inner, node.eval("fixture:settled()"))
                doc = t.stop()
            outer = difference(outer, node.eval("fixture:settled()"))
            ebt.equal(doc["lost"], 0, what + "nothing lost")
            for a, i in inner:
                if a != name:
                    continue
                mine = ebt.rows(doc, "carrier", allocator=a, instance=i)
                ebt.between(inner[a, i][0], ebt.total(mine, "created"), outer[a, i][0],
                            what + "instance %d: created" % i, *mine)
                ebt.between(inner[a, i][1], ebt.total(mine, "destroyed"), outer[a, i][1],
                            what + "instance %d: destroyed" % i, *mine)
            if inner == outer:
                for kind, at in (("mbc", 2), ("sbc", 4)):
                    every = ebt.rows(doc, "carrier", kind=kind)
                    ebt.equal(ebt.total(every, "created") - ebt.total(every, "destroyed"),
                              sum(v[at] for v in inner.values()),
                              what + kind + " created less destroyed is the change of what is there")
                    ebt.equal(ebt.total(every, "created_bytes") - ebt.total(every, "destroyed_bytes")
                              + ebt.total(every, "grown_bytes") - ebt.total(every, "shrunk_bytes"),
                              sum(v[at + 1] for v in inner.values()),
                              what + kind + " bytes, too")
            found = ebt.rows(doc, "carrier", allocator=name)
            made = ebt.total(found, "created")
            ebt.ok(made >= 3, what + "there was something to see")
            single = [r for r in found if r["kind"] == "sbc"]
            ebt.ok(ebt.total(single, "created") >= SINGLE[name],
                   what + "single-block carriers", *single)
            ebt.ok(ebt.total(single, "created_bytes") >= SINGLE[name] * 700000,
                   what + "bytes of single-block carriers", *single)
            ebt.ok({r["source"] for r in found} <= {"mseg", "sys_alloc"}, what + "source", *found)
            for r in found:
                ebt.equal(sum(b["count"] for b in r["size_histogram"]), r["created"],
                          what + "histogram of %s %s" % (r["instance"], r["kind"]))
            ebt.ok(any(pid in str(r["by_process"]) for r in found),
                   what + "by_process names the process that filled it", *found)
            if keep:
                for op in empty:
                    node.eval("fixture:do(C, %s)" % op)
        node.eval("fixture:stop(C)")


def watched(node, ops):
    """What a load does: the report, and the VM's own states before and after it: just inside of the
    watch and just outside.  To ask for them takes a carrier now and then."""
    outer = [node.eval("fixture:settled()")]
    with ebt.trace(node) as t:
        inner = [node.eval("fixture:settled()")]
        for who, op in ops:
            node.eval("fixture:do(%s, %s)" % (who, op))
        inner.append(node.eval("fixture:settled()"))
        doc = t.stop()
    outer.append(node.eval("fixture:settled()"))
    ebt.equal(doc["lost"], 0, "%s: nothing lost" % ops[0][1])
    return doc, inner, outer


def change(states, value):
    """By allocator and instance, how much a value of it changed."""
    before, after = states
    return {(a, x["instance"]): value(y) - value(x)
            for a in before for x, y in zip(before[a], after[a])}


def pool(node):
    """Carriers that are little used go to the pool and come back from there."""
    node.eval("[C, D] = [fixture:worker([{scheduler, I}]) || I <- [1, 2]]")
    loads = (
        # one in a hundred stays, so that every carrier stays
        ("fragmented", [("C", "{copy, 8000, 4090}"), ("C", "{keep_nth, 100}"), ("C", "{gc, major, 1}")]),
        ("filled again", [("C", "{copy, 3000, 4090}"), ("D", "{copy, 3000, 4090}")]),
        ("emptied", [(p, op) for op in ("drop", "{gc, major, 1}") for p in "CD"]))
    for what, ops in loads:
        what = "pool, %s: " % what
        doc, inner, outer = watched(node, ops)
        found = ebt.rows(doc, "carrier", kind="mbc")
        low, high = (change(x, lambda i: i["fetch"]) for x in (inner, outer))
        seen = {k: sum(r["fetched"] for r in found if (r["allocator"], r["instance"]) == k)
                for k in low}
        ebt.ok(all(low[k] <= seen[k] <= high[k] for k in low),
               what + "fetched as every instance counts it", low, seen, high)
        there = [sum(change(x, lambda i: i["carriers"].get("mbcs_pool", 0)).values())
                 for x in (inner, outer)]
        net = ebt.total(found, "abandoned") - ebt.total(found, "fetched")
        # What becomes empty in the pool is destroyed.
        ebt.ok(any(net - ebt.total(found, "destroyed") <= x <= net for x in there),
               what + "abandoned less fetched is the change of the pool", there, *found)
        binary = [r for r in found if r["allocator"] == "binary_alloc"]
        key, least = {"fragmented": ("abandoned", 5), "filled again": ("fetched", 3),
                      # in a pool that all share (23) some empty ones wait for their creator
                      "emptied": ("destroyed", 2)}[what[6:-2]]
        ebt.ok(ebt.total(binary, key) >= least, what + key, *binary)
        for r in found:
            mean = [r[k + "_bytes"] / r[k] for k in ("abandoned", "fetched") if r[k]]
            ebt.ok(all(32768 <= m <= 8 << 20 for m in mean), what + "sizes of carriers", r)
            ebt.equal((r["destroyed_usage"] or 0), 0, what + "destroyed when empty", r)
            ebt.ok(0 <= (r["alive_usage"] or 0) <= 1 and bool(r["alive"]) == bool(r["alive_bytes"]),
                   what + "alive", r)
        if "fragmented" in what:
            r = ebt.row(doc, "carrier", allocator="binary_alloc", instance=1, kind="mbc",
                        source="mseg")
            ebt.ok(0.005 < r["alive_usage"] < 0.05, what + "one block in a hundred is left", r)
            ebt.equal([r["alive"], r["alive_bytes"]],
                      [r["created"] - r["destroyed"], r["created_bytes"] - r["destroyed_bytes"]],
                      what + "alive are those created", r)
    node.eval("[fixture:stop(P) || P <- [C, D]]")


def lifetimes(node):
    """Carriers that were created and destroyed under watch, after a time the node has measured."""
    node.eval("L = fixture:worker()")
    # one from before
    node.eval("fixture:do(L, {copy, 1, 700000})")
    doc, _, _ = watched(node, [("L", "{live, 12, 700000, 96}"), ("L", "drop"),
                               ("L", "{copy, 3, 700000}"), ("L", "{gc, major, 1}")])
    low, high = node.eval("fixture:noted(L, lived)")
    rows = ebt.rows(doc, "carrier", allocator="binary_alloc", kind="sbc")
    ebt.equal([ebt.total(rows, k) for k in ("created", "destroyed", "alive")], [15, 13, 3],
              "lifetimes: created, destroyed, alive", *rows)
    ebt.equal(ebt.entries(rows, "lifetime_histogram"), 12, "lifetimes: of those that were created "
              "under watch", *rows)
    ebt.equal(ebt.in_buckets(rows, "lifetime_histogram", low, high), 12, "lifetimes: as measured",
              low, high, *rows)
    for r in rows:
        # The rest is the carrier's head, the tail of a page, or more where mseg had one at hand.
        for n, size, usage in (("destroyed", "destroyed_bytes", "destroyed_usage"),
                               ("alive", "alive_bytes", "alive_usage")):
            if r[n]:
                ebt.between(700000, r[usage] * r[size] / r[n], 700100,
                            "lifetimes: what is in one of those %s is the binary" % n, r)
    totals = doc["sections"]["carrier"]["totals"]
    ebt.equal(sum(b["count"] for b in totals["lifetime_histogram"]),
              ebt.entries(ebt.rows(doc, "carrier"), "lifetime_histogram"), "lifetimes: the total")
    node.eval("fixture:stop(L)")


def grown(node):
    """A binary that is appended to moves from carrier to carrier, and then its carrier grows."""
    node.eval("G = fixture:worker([{scheduler, 1}], [{copy, 1, 100000}])")
    doc, _, outer = watched(node, [("G", "{append, 40, 100000}"), ("G", "{gc, major, 1}"),
                                   ("G", "{gc, major, 1}")])
    rows = ebt.rows(doc, "carrier", allocator="binary_alloc", kind="sbc")
    calls, size = (sum(n for (a, _), n in change(outer, value).items() if a == "binary_alloc")
                   for value in (lambda i: i["mseg_realloc"] + i["sys_realloc"],
                                 lambda i: i["carriers_size"]["sbcs"]))
    ebt.ok(ebt.total(rows, "grown") >= 2, "grown: it grows", *rows)
    ebt.equal(ebt.total(rows, "grown") + ebt.total(rows, "shrunk"), calls,
              "grown, shrunk: as the allocator counts its calls", *rows)
    ebt.equal(ebt.total(rows, "created_bytes") - ebt.total(rows, "destroyed_bytes")
              + ebt.total(rows, "grown_bytes") - ebt.total(rows, "shrunk_bytes"), size,
              "grown, shrunk: bytes", *rows)
    ebt.ok(sum(r["alive_bytes"] for r in rows) >= 4000000, "grown: alive with all its bytes", *rows)
    node.eval("fixture:stop(G)")


def no_pool():
    """Carriers that only come and go: where there is no pool none is abandoned."""
    for release in ebt.RELEASES:
        with ebt.Node(release, "+Muacul", "0") as node:
            node.eval("C = fixture:worker()")
            doc, _, _ = watched(node, [("C", "{copy, 4000, 4090}"), ("C", "drop"),
                                       ("C", "{gc, major, 1}")])
            rows = ebt.rows(doc, "carrier", allocator="binary_alloc", kind="mbc")
            ebt.ok(ebt.total(rows, "destroyed") >= 2, "otp %s: no pool: destroyed" % release, *rows)
            ebt.equal([ebt.total(rows, k) for k in ("abandoned", "fetched")], [0, 0],
                      "otp %s: no pool: none abandoned, none fetched" % release, *rows)


if __name__ == "__main__":
    ebt.run(carriers, pool, lifetimes, grown, once=[no_pool])
