#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""carrier: every carrier block by block, equal to instrument:carriers/1 and
instrument:allocations/1 bucket for bucket, and to the statistics of instances; with carriers in
the pool, other strategies, and tags of all kinds; while carriers come and go; and where fields lie
elsewhere."""
import re

import ebt

# as blocks:carriers/0 and blocks:heaps/0 have them
CARRIERS = ["std_alloc", "ll_alloc", "ets_alloc", "fix_alloc", "literal_alloc", "binary_alloc",
            "driver_alloc"]
HEAPS = ["eheap_alloc"]
SCANNED = 16000     # blocks of a carrier that the VM looks at
# what of an instance the questions themselves may move: the console's heap has them
MOVING = ("allocated", "blocks", "carriers", "size", "single_carriers", "single_size",
          "single_allocated", "pool_allocated")


# ---- instrument's buckets, by their bounds --------------------------------------

def bounds(release, what):
    """[(lo, hi)] of instrument's buckets; from 27 on the first one of free blocks is never used."""
    start, width = (128, 18) if what == "blocks" else (1024, 14)
    low = [start * (2 ** i - 1) for i in range(width)] if release < "27" else \
        [0] + [start * 2 ** i for i in range(width - 1)]
    if release >= "27" and what == "free":
        low = [None] + low[:-1]
    return [(lo, None if i + 1 == width else low[i + 1] - 1) for i, lo in enumerate(low)]


def slots(release, what, histogram):
    """The counts of all buckets, as instrument has them."""
    if histogram is None:
        return None
    found = {(b["lo"], b["hi"]): b["count"] for b in histogram}
    counts = [found.pop(b, 0) for b in bounds(release, what)]
    return counts if not found and len(histogram) == sum(map(bool, counts)) else histogram


# ---- what ebeam says, in instrument's form --------------------------------------

def run(node, *args, env=None):
    r = ebt.ebeam("carrier", *args, "--json", "-l", "0", "-p", node.os_pid, env=env)
    if r.status:
        raise ebt.Failure(str(r))
    return r.json


def carriers(node, names):
    """As blocks:carriers/1. Of a single-block carrier instrument tells the carrier's size."""
    found = {}
    doc = run(node, "--each")
    for r in doc["rows"]:
        if r["allocator"] not in names or r["instance"] > 2:
            continue
        blocks = [[r["allocator"], 1, r["size"]]] if r["kind"] == "sbc" else \
            sorted([a["allocator"], a["blocks"], a["size"]] for a in r["allocations"])
        free = slots(node.release, "free", r["free_block_histogram"]) \
            if r["blocks"] + r["free_blocks"] <= SCANNED else None
        found.setdefault("%s %d" % (r["allocator"], r["instance"]), []).append(
            [r["in_pool"], r["size"], blocks, free])
    return {row: {"each": sorted(v)} for row, v in found.items()}, doc


def tags(node, of):
    """As blocks:tags/1: OF is the key that tells creators apart."""
    found = {}
    for r in run(node, "--by", "creator")["rows"]:
        types = found.setdefault(r[of], {})
        for t in r["types"]:
            counts = slots(node.release, "blocks", t["block_histogram"])
            old = types.get(t["type"], [0] * 18)
            types[t["type"]] = [a + b for a, b in zip(old, counts)]
    return found


def each_equal(node, what):
    """Each carrier of each instance."""
    told = {}

    def read():
        ours, told["doc"] = carriers(node, CARRIERS)
        # instances that have none have no row of ours
        return {**{row: {"each": []} for row, _ in rows}, **ours}
    rows = node.eval("blocks:carriers()")
    # the console keeps a binary of each question: then as before it, or as after it, exactly
    ebt.sandwich(node, "blocks:carriers()", read, what=what + ": carriers", at_least=12,
                 moving=("each",))
    return told["doc"]


def heaps_equal(node, what):
    """The same of heaps: each question stays on the instance that the console runs on just then."""
    node.eval("blocks:heaps()")
    before = dict(node.eval("blocks:heaps()"))
    node.quiet()
    ours = carriers(node, HEAPS)[0]
    after = dict(node.eval("blocks:heaps()"))
    right = [row for row in before if ours.get(row) in (before[row], after[row])]
    ebt.ok(right, what + ": heaps", before, ours, after)


def sums_equal(node, what):
    """Each instance against its statistics: walked blocks are as many as are counted."""
    rows = ebt.sandwich(
        node, "blocks:sums()",
        lambda: {"%s %d" % (r["allocator"], r["instance"]): r for r in run(node)["rows"]
                 if r["allocator"] not in ("sl_alloc", "temp_alloc", "eheap_alloc")},
        what=what + ": instances", at_least=120, moving=MOVING)
    for name, r in rows.items():
        free = r["free_block_histogram"]
        ok = r["usage"] is None if not r["size"] else \
            abs(r["usage"] - r["allocated"] / r["size"]) < 1e-5
        if not ok or r["unused"] != r["size"] - r["allocated"] or \
           sum(b["count"] for b in free) != r["free_blocks"] or \
           sum(b["count"] for b in r["block_histogram"]) != r["blocks"]:
            ebt.ok(False, "%s: %s: usage, unused, histograms" % (what, name), r)


def tags_equal(node, what, at_least):
    ebt.sandwich(node, "blocks:tags(0)", lambda: tags(node, "origin"), what=what + ": origins",
                 at_least=at_least, moving=("binary", "drv_binary"))
    if node.release >= "27":
        ebt.sandwich(node, "blocks:tags(3)", lambda: tags(node, "creator"),
                     what=what + ": creators", at_least=at_least, moving=("binary", "drv_binary"))


# ---- tests ------------------------------------------------------------------------

def quiet(node):
    """A node that has just started."""
    node.load("blocks")
    sums_equal(node, "quiet")
    each_equal(node, "quiet")
    heaps_equal(node, "quiet")
    tags_equal(node, "quiet", 3)


def fragmented(node):
    """Many binaries of random sizes, of which few stay: carriers in the pool."""
    node.load_nif()
    node.load_driver()
    node.eval("W = blocks:fill(2, 6000, 4000, 1)")
    each_equal(node, "filled")
    node.eval("N = fixture:worker([], [{nif_alloc, 30, 5000}, {driver, 20, 300}])")
    node.eval("blocks:thin(W, 40)")
    doc = each_equal(node, "thinned")
    pooled = ebt.rows(doc, None, in_pool=True)
    ebt.ok(len(pooled) >= 4, "thinned: carriers are in the pool", len(pooled))
    ebt.ok(all(r["kind"] == "mbc" and r["usage"] < 0.6 for r in pooled),
           "thinned: those in the pool are little used", *pooled)
    ebt.ok({r["kind"] for r in doc["rows"]} == {"mbc", "sbc"}, "thinned: both kinds")
    ebt.ok({r["source"] for r in doc["rows"]} == {"mseg", "sys_alloc"}, "thinned: both sources")
    ebt.equal([doc["skipped"], doc["totals"]["unseen"]], [0, 0],
              "thinned: none skipped, none unseen")
    sums_equal(node, "thinned")
    tags_equal(node, "thinned", 5)
    by = run(node, "--by", "creator")
    if node.release >= "27":
        pid = node.eval("hd(W)")
        r = ebt.row(by, None, creator=pid)
        ebt.equal(r["blocks"], 150, "creator: as many blocks as it kept", r)
        node.eval("register(keeper, hd(W))")
        r = ebt.row(run(node, "--by", "creator"), None, creator=pid)
        ebt.equal(r["name"], "keeper", "creator: its registered name", r)
    ebt.ok({"system", "fixture"} <= {r["origin"] for r in by["rows"]}, "creators: VM and NIF",
           *by["rows"][:5])
    node.eval("[blocks:stop(W), exit(N, kill)]")


def small(node):
    """More blocks in a carrier than the VM itself would scan (16000): all are walked."""
    node.eval("S = blocks:fill(1, 60000, 60, 9)")
    sums_equal(node, "small")
    most = max(r["blocks"] for r in run(node, "--each")["rows"])
    ebt.ok(most > SCANNED, "small: more than the VM would scan", most)
    node.eval("blocks:stop(S)")


def types(node):
    """Blocks by type: those with a tag by their type, the rest by allocator; together all."""
    node.eval("T = fixture:worker([], [{copy, 50, 1000}])")
    node.quiet()
    doc = run(node, "--by", "type")
    rows, t = doc["rows"], doc["totals"]
    ebt.equal([ebt.total(rows, "blocks"), ebt.total(rows, "size")], [t["blocks"], t["allocated"]],
              "types: all blocks")
    ebt.equal(sum(r["blocks"] for r in rows if r["type"]), t["tagged_blocks"],
              "types: those tagged")
    # binary:copy/1 of 23 makes the kind that drivers use
    made = [r for r in rows if r["type"] in ("binary", "drv_binary")]
    ebt.ok(made and ebt.total(made, "blocks") >= 50 and
           {r["allocator"] for r in made} == {"binary_alloc"},
           "types: binaries", *made)
    ebt.ok(ebt.row(doc, None, allocator="eheap_alloc")["type"] is None, "types: no tag, no type")
    whole = [r for r in rows if r["block_histogram"] is not None]
    ebt.ok(len(whole) >= 3 and all(sum(b["count"] for b in r["block_histogram"]) == r["blocks"]
                                   for r in whole), "types: histograms", *rows)
    node.eval("fixture:stop(T)")


def text(node):
    """What people see, at 80 and 100 columns."""
    node.eval("M = blocks:fill(2, 3000, 4000, 3)")
    node.eval("blocks:thin(M, 30)")
    node.quiet()
    wide = {}
    for columns in (80, 100):
        for charset in ("C.UTF-8", "C"):
            env = {"COLUMNS": str(columns), "LC_ALL": charset}
            for args in ((), ("--map",), ("--each",), ("--by", "creator"), ("--by", "type")):
                r = ebt.ebeam("carrier", *args, "-p", node.os_pid, env=env)
                what = "text: %s, %s, %d columns" % (" ".join(args), charset, columns)
                lines = r.out.splitlines()
                ebt.ok(r.status == 0 and len(lines) > 8, what, r)
                ebt.ok(all(len(x) <= columns for x in lines), what + ": fits",
                       *[x for x in lines if len(x) > columns])
                ebt.ok(charset == "C.UTF-8" or r.out.isascii(), what + ": ASCII", r.out)
                wide[args, charset, columns] = r.out
    out = wide[("--map",), "C", 80]
    ebt.ok(re.search(r"^binary_alloc 1 +[_.:\-=+*#@]+\|[_.:\-=+*#@]+ +[0-9.]+ MiB +\d+ %$",
                     out, re.M),
           "map: a sign for each carrier, the pool behind a bar", out)
    doc = run(node)
    row = ebt.row(doc, None, allocator="binary_alloc", instance=1)
    line = re.search(r"^binary_alloc 1 +([^ ]+) ", out, re.M).group(1)
    ebt.equal([len(line) - 1, len(line.split("|")[1])],
              [row["carriers"] - row["single_carriers"], row["in_pool"]], "map: all of them", line)
    counts = re.search(r"used, up to:\n(.*?)\n\n", out, re.S).group(1)
    ebt.equal(sum(int(n) for n in re.findall(r"(?:none|%): (\d+)", counts)),
              sum(r["carriers"] - r["single_carriers"] for r in
                  sorted(doc["rows"], key=lambda r: -r["unused"])[:20]),
              "map: the scale sums them up")
    node.eval("blocks:stop(M)")


def busy(node):
    """Carriers come, go, and change hands: each once, none torn, sums as large as they may be."""
    node.eval("K = blocks:fill(2, 1500, 4000, 5)")
    node.eval("B = spawn(fun() -> (fun F(S) -> P = blocks:fill(2, 2000, 4000, S), "
              "blocks:thin(P, 50), blocks:stop(P), F(S + 1) end)(1) end)")
    skipped = n = 0
    for _ in range(5):
        doc = run(node, "--each")
        addresses = [r["address"] for r in doc["rows"]]
        ebt.equal(len(addresses), len(set(addresses)), "busy: each carrier once")
        ebt.ok(all(0 <= (r["allocated"] or 0) <= r["size"] for r in doc["rows"]),
               "busy: nothing has more blocks than room")
        skipped += doc["skipped"]
        n += len(addresses)
        kept = [r for r in doc["rows"] if r["allocator"] == "binary_alloc"]
        ebt.ok(sum(r["allocated"] or 0 for r in kept) >= 2 * 1500 * 2000,
               "busy: what stays is there", sum(r["allocated"] or 0 for r in kept))
    ebt.ok(skipped <= n / 100, "busy: hardly any skipped", skipped, n)
    node.eval("[exit(B, kill), blocks:stop(K)]")


FIELDS = """allctr_mbc_header allctr_mbc_list allctr_sbc_list allctr_pool_number allctr_sentinel
    allctr_pool_no_carriers allctr_pool_no_blocks allctr_pool_blocks_size allctr_mbcs allctr_sbcs
    cstats_carriers cstats_blocks cstats_block_stride carrier_chdr carrier_next carrier_allctr
    carrier_cpool carrier_creator carrier_pool_next carrier_blocks_size carrier_blocks
    carrier_kinds_size""".split()


def moved(node):
    """A field that lies elsewhere: the same answer, less of it, or a refusal; never a wrong one."""
    if node.release != ebt.RELEASES[-1]:
        return
    node.eval("V = blocks:fill(2, 3000, 4000, 7)")
    node.eval("blocks:thin(V, 30)")
    node.quiet()

    def rows(doc):
        return {r["address"]: r for r in doc["rows"]}
    before = rows(run(node, "--each"))
    for field in FIELDS:
        for by in (-8, 8):
            r = ebt.ebeam("carrier", "--each", "--json", "-l", "0", "-p", node.os_pid,
                          env={"EBEAM_TEST_MOVE": "%s:%d" % (field, by)})
            what = "moved: %s by %d" % (field, by)
            if r.status == 3:
                ebt.ok(len(r.err.strip().splitlines()) <= 1, what + ": refused", r)
                continue
            if r.status:
                ebt.ok(False, what + ": neither answered nor refused", r)
                continue
            # the node itself moves a little now and then
            after = rows(run(node, "--each"))
            got = rows(r.json)
            wrong = [(a, k, v, before.get(a, {}).get(k)) for a, row in got.items()
                     for k, v in row.items()
                     if v is not None and v not in (x.get(a, {}).get(k) for x in (before, after))]
            ebt.ok(not wrong and
                   (set(got) in (set(before), set(after)) or r.json["totals"]["unseen"]),
                   what + ": right, or null", len(got), len(before), *wrong[:5])
            before = after
    node.eval("blocks:stop(V)")


def strategies():
    """Other strategies keep free blocks in other ways, and have other headers; and tags by
    option."""
    mixed = ("+MBas", "ageffcaobf", "+MEas", "gf", "+MDas", "aoffcbf", "+MRas", "aobf")
    cases = [(release, mixed) for release in ebt.RELEASES]
    cases += [(ebt.RELEASES[-1], ("+MBatags", "false", "+MEatags", "true", "+MBas", "bf"))]
    for release, flags in cases:
        what = "otp %s: %s" % (release, " ".join(flags))
        with ebt.Node(release, *flags) as node:
            node.load("blocks")
            node.eval("W = blocks:fill(2, 2000, 4000, 1)")
            node.eval("blocks:thin(W, 20)")
            each_equal(node, what)
            tags_equal(node, what, 1)
            sums_equal(node, what)


def functions():
    """Tags that name functions instead of processes: +M<S>atags code."""
    for release in ebt.RELEASES:
        if release < "27":
            continue
        with ebt.Node(release, "+MBatags", "code") as node:
            node.load("blocks")
            node.eval("W = blocks:fill(2, 500, 4000, 1)")

            ours = ebt.sandwich(node, "blocks:tags(7)", lambda: tags(node, "creator"),
                                moving=("binary", "drv_binary"), at_least=8,
                                what="otp %s: functions" % release)
            made = {row: t for row, t in ours.items() if sum(t.get("binary", [])) >= 1000}
            ebt.ok(len(made) == 1 and re.match(r"(blocks|binary):.*/\d+$", "".join(made)),
                   "otp %s: functions: who made the binaries" % release, *ours)


def malloc():
    """Without allocators there are no carriers, and that is no failure."""
    release = ebt.RELEASES[-1]
    with ebt.Node(release, "+Mea", "min") as node:
        r = ebt.ebeam("carrier", "--json", "-p", node.os_pid)
        ebt.ok(r.status == 3 or all(x["size"] for x in r.json["rows"]),
               "otp %s: +Mea min: what there is, or a refusal" % release, r)


def refused():
    """Options that do not go together."""
    for args in (("--each", "--map"), ("--each", "--by", "type"), ("--map", "--by", "creator"),
                 ("--by", "nothing"), ("--sort", "nothing")):
        r = ebt.ebeam("carrier", *args)
        ebt.equal(r.status, 2, "refused: " + " ".join(args), r)


if __name__ == "__main__":
    ebt.run(quiet, fragmented, small, types, text, busy, moved,
            once=[strategies, functions, malloc, refused])
