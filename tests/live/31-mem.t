#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""mem: allocators, erlang:memory(), and where resident memory is, against the node and the OS."""
import re

import ebt
from ebt import ok, equal

NUMBERS = ("total", "processes", "processes_used", "system", "atom", "atom_used", "binary", "code",
           "ets")
# Between two questions the asker's own heap and messages, and what replies were made in, move.
ASKER = ("total", "processes", "processes_used", "system", "binary")
BLOCKS = [kind + "_" + what + more for kind in ("mbcs", "sbcs") for what in
          ("blocks", "blocks_size", "carriers", "carriers_size") for more in
          ("", "_max", "_max_ever")] + ["mbcs_pool_blocks", "mbcs_pool_blocks_size",
                                        "mbcs_pool_carriers", "mbcs_pool_carriers_size"]
SETTINGS = (
    ("as aobf", ("+MBas", "aobf")),
    ("as ageffcaoff", ("+MHas", "ageffcaoff", "+MEas", "gf")),
    ("one instance each", ("+Mut", "false")),
    ("binary_alloc without threads", ("+MBt", "false")),
    ("no pool", ("+MHacul", "0", "+MBacul", "0", "+MFacul", "0")),
    ("a pool of its own kind", ("+MBcp", "B", "+MHcp", "H", "+MEcp", "E")),
    ("small carriers", ("+MBlmbcs", "512", "+MBsmbcs", "128", "+MHlmbcs", "1024")),
    ("no mseg cache", ("+MMmcs", "0")),
    ("super carrier", ("+MMscs", "512")),
)


def mem(node, *args, env=None):
    r = ebt.ebeam("mem", "--json", "-l", 0, "-p", node.os_pid, *args, env=env)
    if r.status:
        raise ebt.Failure("mem: %s" % r)
    return r.json


def numbers(doc):
    return {k: doc["totals"][k] for k in NUMBERS}


def areas(doc):
    return {k: v for k, v in doc["totals"]["allocated_areas"].items()}


def instances(doc):
    return [((r["allocator"], r["instance"]), r) for r in doc["rows"]
            if r["allocator"] not in ("temp_alloc", "sl_alloc")]


def recon(doc):
    found = {}
    for a, v in doc["totals"]["average_block_size"].items():
        found["%s_mbcs" % a], found["%s_sbcs" % a] = v["mbcs"], v["sbcs"]
    for a, v in doc["totals"]["sbcs_to_mbcs"].items():
        found["%s_sbcs_to_mbcs" % a] = v
    return found


def sums_right(doc, what):
    """recon_alloc's sums over the rows, which are the node's own."""
    def total(key, more=""):
        return sum(r.get(kind + "_" + key + more) or 0 for r in doc["rows"]
                   for kind in ("mbcs", "sbcs", "mbcs_pool") if r["allocator"] != "literal_alloc")
    t = doc["totals"]
    for more in ("", "_max"):
        if more:
            used, allocated = (sum(r[kind + key + more] for r in doc["rows"]
                                   for kind in ("mbcs", "sbcs")
                                   if r["allocator"] != "literal_alloc")
                               for key in ("_blocks_size", "_carriers_size"))
        else:
            used, allocated = total("blocks_size"), total("carriers_size")
        equal([t["used" + more], t["allocated" + more], t["unused" + more]],
              [used, allocated, allocated - used], what + ": sums over the rows " + more)
        ok(abs(t["usage" + more] - used / allocated) < 1e-5, what + ": usage " + more)


def msegs(doc):
    return [((m["instance"],), m) for m in doc["totals"]["mseg_alloc"]]


def parts(doc):
    return {w["part"]: w["resident"] for w in doc["totals"]["waterfall"]}


def rss_now(node):
    """In full: VmRSS of /proc/PID/status is an estimate from Linux 6.2 on."""
    with open("/proc/%d/smaps_rollup" % node.os_pid) as f:
        return int(re.search(r"^Rss:\s*(\d+) kB", f.read(), re.M).group(1)) * 1024


def explained(node, what):
    """Parts that sum to what the system says, within 2 %, and of which nearly all are known."""
    before = rss_now(node)
    doc = mem(node)
    after, part = rss_now(node), parts(doc)
    # mseg_alloc gives back what it keeps, bit by bit
    ebt.between(min(before, after) * 0.98, sum(part.values()), max(before, after) * 1.02,
                what + ": the parts sum to RSS")
    ok(abs(part["unexplained"]) <= after * 0.02 or before < 40e6, what + ": what they are is known",
       after, part)
    equal(doc["totals"]["rss"], sum(part.values()), what + ": rss is their sum")
    return doc


def memory(node):
    """erlang:memory(), and what it is made of."""
    node.load("churn")
    node.eval("churn:hold([{200, 1000}, {20, 100000}, {3, 3000000}])")
    node.eval("churn:blocks(1000, 20)")
    doc = ebt.sandwich(node, "churn:memory()", lambda: numbers(mem(node)), moving=ASKER,
                       what="erlang:memory()", at_least=9)
    equal([k for k in NUMBERS if doc[k] is None], [], "all nine are known")
    ebt.sandwich(node, "churn:areas()", lambda: areas(mem(node)), what="allocated_areas",
                 at_least=11)


def hidden(node):
    """The same where no symbol tells of the VM's tables."""
    node.load("churn")
    env = {"EBEAM_IGNORE_SYMBOLS": "1"}
    doc = ebt.sandwich(node, "churn:memory()", lambda: numbers(mem(node, env=env)), moving=ASKER,
                       what="erlang:memory() of a build without symbols", at_least=9)
    equal([k for k in NUMBERS if doc[k] is None], [], "all nine are known")


def allocators(node, what="allocators"):
    node.load("churn")
    ebt.sandwich(node, "churn:instances()", lambda: instances(mem(node)), moving=BLOCKS,
                 what=what + ": system_info({allocator, A})", at_least=200)
    ebt.sandwich(node, "churn:recon()", lambda: recon(mem(node)),
                 moving=("fix_alloc_mbcs", "std_alloc_mbcs", "ll_alloc_mbcs"),
                 what=what + ": recon_alloc's averages", at_least=15)
    doc = mem(node)
    sums_right(doc, what)
    told = node.eval("churn:sums()")
    ok(abs(told["used"] - doc["totals"]["used"]) < 1 << 20 and
       abs(told["allocated"] - doc["totals"]["allocated"]) < 8 << 20,
       what + ": recon_alloc:memory(), but for the asker", told, doc["totals"]["used"])
    ebt.sandwich(node, "churn:mseg()", lambda: msegs(mem(node)),
                 moving=("hits", "calls", "segments", "segments_size", "cached_segments"),
                 what=what + ": mseg_alloc", at_least=3)


def pooled(node):
    """RSS is several times what is in use, or in carriers that allocators have: it is in the pool."""
    node.load("churn")
    explained(node, "at first")
    node.eval("churn:pool(20000)")
    node.quiet()
    doc = explained(node, "after the churn")
    t, part = doc["totals"], parts(doc)
    told = node.eval("churn:sums()")
    own = sum(r["mbcs_carriers_size"] + r["sbcs_carriers_size"] for r in doc["rows"])
    ok(told["allocated"] > 2 * own and t["rss"] > 2 * t["total"],
       "much more is in the pool than in carriers that allocators have",
       told["allocated"], own, t["rss"], t["total"])
    ok(part["pool"] > 50e6 and part["pool"] > part["carrier_slack"], "and it is resident", part)


def no_memory(node):
    """Where an allocator is off the node itself has no such numbers."""
    with ebt.Node(node.release, "+MBe", "false") as other:
        other.load("churn")
        equal(other.eval("try erlang:memory() catch error:notsup -> notsup end"), "notsup",
              "+MBe false: the node does not know")
        other.quiet()
        doc = mem(other)
        equal([doc["totals"][k] for k in NUMBERS], [None] * 9, "+MBe false: neither do we")
        explained(other, "+MBe false")


def settings(node):
    for what, flags in SETTINGS:
        with ebt.Node(node.release, *flags) as other:
            other.load("churn")
            other.eval("churn:hold([{200, 1000}, {20, 100000}, {3, 3000000}])")
            other.eval("churn:pool(1000)")
            other.eval("churn:drop(7)")
            ebt.sandwich(other, "churn:memory()", lambda: numbers(mem(other)), moving=ASKER,
                         what=what + ": erlang:memory()", at_least=9)
            allocators(other, what)
            explained(other, what)


if __name__ == "__main__":
    ebt.run(memory, hidden, allocators, pooled, no_memory, settings)
