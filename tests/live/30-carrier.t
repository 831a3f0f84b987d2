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


if __name__ == "__main__":
    ebt.run(carriers)
