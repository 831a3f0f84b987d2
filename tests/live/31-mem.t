#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""mem: allocators, erlang:memory(), and where resident memory is, against the node and the OS."""
import os
import re

import ebt
from ebt import ok, equal

NUMBERS = ("total", "processes", "processes_used", "system", "atom", "atom_used", "binary", "code",
           "ets")
# Between two questions the asker's own heap and messages, and what replies were made in, move.
ASKER = ("system", "binary")
HEAPS = ("total", "processes", "processes_used")
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


def explained(node, what, env=None):
    """Parts that sum to what the system says, within 2 %, and of which nearly all are known."""
    before = rss_now(node)
    doc = mem(node, env=env)
    after, part = rss_now(node), parts(doc)
    # mseg_alloc gives back what it keeps, bit by bit
    ebt.between(min(before, after) * 0.98, sum(part.values()), max(before, after) * 1.02,
                what + ": the parts sum to RSS")
    ok(abs(part["unexplained"]) <= after * 0.02 or before < 40e6, what + ": what they are is known",
       after, part)
    equal(doc["totals"]["rss"], sum(part.values()), what + ": rss is their sum")
    return doc


def nine(node, what, env=None):
    """The nine numbers; those that heaps are in, but for what the asker's replies are made in."""
    ours = {}

    def read():
        ours.update(numbers(mem(node, env=env)))
        return {k: v for k, v in ours.items() if k not in HEAPS}
    ebt.sandwich(node, "maps:without([%s], churn:memory())" % ", ".join(HEAPS), read, moving=ASKER,
                 what=what, at_least=6)
    told = node.eval("churn:memory()")
    for k in HEAPS:
        ebt.between(told[k] - 65536, ours[k], told[k] + 65536, what + ": " + k)
    equal([k for k in NUMBERS if ours[k] is None], [], what + ": all nine are known")


def memory(node):
    """erlang:memory(), and what it is made of."""
    node.load("churn")
    node.eval("churn:hold([{200, 1000}, {20, 100000}, {3, 3000000}])")
    node.eval("churn:blocks(1000, 20)")
    nine(node, "erlang:memory()")
    ebt.sandwich(node, "churn:areas()", lambda: areas(mem(node)), what="allocated_areas",
                 at_least=11)


def hidden(node):
    """The same where no symbol tells of the VM's tables."""
    node.load("churn")
    nine(node, "erlang:memory() of a build without symbols", {"EBEAM_IGNORE_SYMBOLS": "1"})


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
    """RSS is several times what is in use, or in carriers that allocators have: it is in the
    pool."""
    node.load("churn")
    explained(node, "at first")
    node.eval("churn:pool(20000)")
    node.quiet()
    doc = explained(node, "after the churn")
    # by /proc/PID/smaps and pagemap, where there is no PAGEMAP_SCAN
    old = explained(node, "after the churn, before Linux 6.7", {"EBEAM_TEST_KERNEL": "6.6"})
    new, rss = parts(doc), doc["totals"]["rss"]
    equal([k for k, v in parts(old).items() if abs(v - new[k]) > 0.02 * rss and
           k != "mseg_cache"], [],      # it is given back meanwhile, bit by bit
          "before Linux 6.7: the same parts", parts(old), new)
    t, part = doc["totals"], parts(doc)
    told = node.eval("churn:sums()")
    own = sum(r["mbcs_carriers_size"] + r["sbcs_carriers_size"] for r in doc["rows"])
    ok(told["allocated"] > 1.5 * own and t["rss"] > 2 * t["total"],
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
    # all of them on one release; two on each of the others, not the same
    at = ebt.RELEASES.index(node.release) if node.release in ebt.RELEASES else 0
    some = SETTINGS if node.release == "25" or os.environ.get("EBEAM_LONG") else \
        (SETTINGS + SETTINGS)[2 * at:2 * at + 2]
    for what, flags in some:
        with ebt.Node(node.release, *flags) as other:
            other.load("churn")
            other.eval("churn:hold([{200, 1000}, {20, 100000}, {3, 3000000}])")
            other.eval("churn:pool(1000)")
            other.eval("churn:drop(7)")
            nine(other, what + ": erlang:memory()")
            allocators(other, what)
            explained(other, what)


# Fields of the layout that only this reads, or this and others that read.
FIELDS = """
    allctr_strategy allctr_size aoff_block_order aoff_carrier_order bf_address_order block_max
    block_max_ever cstats_max cstats_max_ever allctr_fix fix_stride fix_type_size fix_list_size
    fix_type fix_pool_allocated fix_pool_used fix_nopool_allocated fix_nopool_used allctr_dc_list
    mseg_stride mseg_ix mseg_init_done mseg_cache mseg_cache_free mseg_cache_stride mseg_cache_size
    mseg_cache_hits mseg_segments mseg_segments_size mseg_segments_max mseg_segments_ever
    mseg_cache_nodes mseg_max_cache mseg_calls_alloc cachet_seg cachet_next mapper_super
    mapper_super_total mapper_super_used mapper_super_start mapper_super_end htable_name
    htable_shift htable_max_shift htable_grow htable_size index_size index_limit index_table_size
    index_slot_size ptab_free_ids module_size module_name module_curr_length module_old_length
    export_size funentry_size ranges_stride ranges_modules ranges_n ranges_allocated range_stride
""".split()


def told(doc):
    """All that mem says, but for the system's part: {path: value}."""
    found = {}

    def add(path, value):
        if isinstance(value, dict):
            for k, v in value.items():
                add("%s.%s" % (path, k), v)
        elif isinstance(value, list):
            for i, v in enumerate(value):
                add("%s.%s" % (path, i), v)
        else:
            found[path] = value
    for k, v in doc["totals"].items():
        if k not in ("waterfall", "rss", "swap", "lazy_free", "huge_pages"):
            add(k, v)
    for r in doc["rows"]:
        for k, v in r.items():
            if not k.startswith("resident"):
                found["%s.%s.%s" % (r["allocator"], r["instance"], k)] = v
    return found


def moved(node):
    """A field that lies elsewhere in this build: what it leads to is right, or null."""
    if node.release not in (("25", "29") if os.environ.get("EBEAM_LONG") else ("29",)):
        return
    node.load("churn")
    node.eval("churn:hold([{200, 1000}, {20, 100000}, {3, 3000000}])")
    node.quiet()
    wrong, gone = [], 0
    first = told(mem(node))
    for field in FIELDS:
        for by in (8, -8, 4):
            r = ebt.ebeam("mem", "--json", "-l", 0, "-p", node.os_pid,
                          env={"EBEAM_TEST_MOVE": "%s:%d" % (field, by)})
            if r.status == 3:
                gone += 1
                continue
            if r.status:
                wrong.append("%s:%d: %s" % (field, by, r))
                continue
            have = told(r.json)
            # what is left out with all that is below it is null above
            other = [k for k in first if have.get(k) is not None and have[k] != first[k]] + \
                    [k for k in have if k not in first and have[k] is not None]
            for _ in range(4):
                if not other:
                    break
                # mseg_alloc gives back bit by bit: what is wrong is so each time
                first = told(mem(node))
                r = ebt.ebeam("mem", "--json", "-l", 0, "-p", node.os_pid,
                              env={"EBEAM_TEST_MOVE": "%s:%d" % (field, by)})
                have = told(r.json)
                other = [k for k in other if have.get(k) is not None and
                         have[k] != first.get(k)]
            gone += any(have.get(k) is None and first[k] is not None for k in first)
            if other:
                wrong.append("%s:%d: %s" % (field, by, [(k, first.get(k), have.get(k))
                                                        for k in other[:4]]))
    ok(not wrong, "%d fields that are elsewhere: nothing is wrong" % len(FIELDS), *wrong)
    ok(gone > 2 * len(FIELDS), "and what needs them is missing", gone)


if __name__ == "__main__":
    ebt.run(memory, hidden, allocators, moved, pooled, no_memory, settings)
