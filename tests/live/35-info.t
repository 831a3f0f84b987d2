#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""info: what a node says of its limits, schedulers and allocators, read from outside."""
import contextlib
import os
import re

import ebt

# Those that the console's own work moves; nothing else may.
MOVING = ["reductions", "context_switches"]


def info(node, *args, **options):
    result = ebt.ebeam("info", "--json", "-p", node.os_pid, *args, **options)
    if result.status:
        raise ebt.Failure("info: %s" % result)
    return result.json


def row(node, *args):
    return ebt.row(info(node, *args), None)


def resident(node):
    with open("/proc/%d/statm" % node.os_pid) as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def numbers(node):
    """All numbers of the row are the node's own."""
    node.load("info_told")
    ours = ebt.sandwich(node, "info_told:info()", lambda: row(node), MOVING, "info", at_least=16)
    ebt.equal(ours["run_queues"], [0, 0, 0, 0], "info: all queues of a quiet node are empty")
    ebt.equal([k for k, v in ours.items() if v is None and k not in
               ("cgroup_limit", "cgroup_used", "newest_atoms")], [], "info: nothing is missing")
    wall = "element(1, statistics(wall_clock))"
    before = node.eval(wall) / 1000
    up = row(node)["uptime_s"]
    # the process is older than the VM in it
    ebt.between(before - 0.02, up, node.eval(wall) / 1000 + 1, "info: uptime")
    rss = resident(node), row(node)["rss"], resident(node)
    # the kernel counts in batches
    ebt.between(min(rss[::2]) * 0.9, rss[1], max(rss[::2]) * 1.1, "info: resident memory")


def counted(node):
    """What is made shows, exactly; it cannot be a constant."""
    node.load("info_told")
    node.eval("Made = [fixture:worker() || _ <- lists:seq(1, 137)]")
    node.eval("Tabs = [ets:new(t, []) || _ <- lists:seq(1, 53)]")
    node.eval("Ports = [open_port({spawn, \"/bin/sh -c 'read x'\"}, []) || _ <- lists:seq(1, 7)]")
    node.eval("[list_to_atom(\"info atom \" ++ integer_to_list(N)) || N <- lists:seq(1, 3001)]")
    ebt.sandwich(node, "info_told:info()", lambda: row(node), MOVING, "info: more of everything",
                 at_least=16)
    node.eval("begin [port_close(P) || P <- Ports], [ets:delete(T) || T <- Tabs], "
              "[fixture:stop(P) || P <- Made] end")
    ebt.sandwich(node, "info_told:info()", lambda: row(node), MOVING, "info: and less again",
                 at_least=16)


def rows_of(settings):
    """A row for each instance, as the node has them."""
    skip = ("allocator", "first_instance", "last_instance")
    return [((a["allocator"], n), {k: v for k, v in a.items() if k not in skip})
            for a in settings if a["e"] for n in range(a["first_instance"], a["last_instance"] + 1)]


def settings(node):
    """Settings of all instances are the node's; a key that it has not is null."""
    node.load("info_told")
    ours = ebt.sandwich(node, "info_told:settings()", lambda: rows_of(row(node)["allocators"]), (),
                        "info: settings", at_least=400)
    told = {tuple(n): set(keys) for n, keys in node.eval("info_told:settings()")}
    extra = [(n, k) for n, keys in ours for k, v in keys.items()
             if v is not None and k not in told[n]]
    ebt.equal(extra, [], "info: no setting that the node has not")
    ebt.sandwich(node, "info_told:mseg()", lambda: row(node)["mseg_alloc"], (), "info: mseg cache",
                 at_least=3)


FLAGS = ["+MBas", "ageffcbf", "+MBsbct", "1024", "+MBlmbcs", "20480", "+MBsmbcs", "256",
         "+MBacul", "33", "+MHas", "aobf", "+MEas", "gf", "+MSe", "false", "+MDramv", "true",
         "+MRt", "false", "+MLas", "aoff", "+MRas", "bf", "+MFas", "ageffcaoff", "+MDas",
         "ageffcaobf", "+MHatags", "true", "+MBmmbcs", "128", "+MBmbcgs", "7", "+MBrsbcst", "31",
         "+MBrsbcmt", "71", "+MBrmbcmt", "41", "+MBasbcst", "2048", "+MBmmsbc", "99", "+MMmcs",
         "17", "+MMrmcbf", "27", "+MMamcbf", "2048", "+P", "50000", "+Q", "3000", "+t", "300000"]


def flags(_node):
    """A node that was configured otherwise."""
    with ebt.Node(_node.release, *FLAGS) as node:
        numbers(node)
        settings(node)
        ours = {a["allocator"]: a for a in row(node)["allocators"]}
        ebt.equal([ours["binary_alloc"][k] for k in ("as", "sbct", "lmbcs", "smbcs", "acul")],
                  ["ageffcbf", 1 << 20, 20 << 20, 256 << 10, 33], "flags: of binary_alloc")
        ebt.equal(ours["sl_alloc"]["e"], False, "flags: an allocator that is disabled")


def online(node):
    """Schedulers that were taken away."""
    node.load("info_told")
    with ebt.Node(node.release, "+S", "4:3", "+SDcpu", "4:2") as node:
        node.load("info_told")
        ask = "info_told:info()"
        ours = ebt.sandwich(node, ask, lambda: row(node), MOVING, "online: 3 of 4", at_least=16)
        ebt.equal(ours["schedulers_online"], 3, "online: three")
        node.eval("erlang:system_flag(dirty_cpu_schedulers_online, 1)")
        node.eval("erlang:system_flag(schedulers_online, 2)")
        ours = ebt.sandwich(node, ask, lambda: row(node), MOVING, "online: 2 of 4", at_least=16)
        ebt.equal([ours["schedulers_online"], ours["dirty_cpu_schedulers_online"]], [2, 1],
                  "online: two, and one")
        # all but one are suspended: how many are online cannot be told from outside
        node.eval("erlang:system_flag(multi_scheduling, block_normal)")
        doc = info(node)
        ours = doc["rows"][0]
        ebt.equal(ours["schedulers_online"], None, "blocked: unknown, not one")
        ebt.ok(any("suspended" in n for n in doc["notes"]), "blocked: a note", doc["notes"])
        node.eval("erlang:system_flag(multi_scheduling, unblock_normal)")
        node.eval("erlang:system_flag(multi_scheduling, block)")
        ours = row(node)
        ebt.equal([ours["schedulers_online"], ours["dirty_cpu_schedulers_online"]], [None, None],
                  "blocked, dirty ones, too: unknown")
        node.eval("erlang:system_flag(multi_scheduling, unblock)")
        ebt.sandwich(node, ask, lambda: row(node), MOVING, "online: unblocked", at_least=16)


def busy(node):
    """Run queues of a node whose schedulers have more to do than they can."""
    node.eval("Spin = fun S() -> S() end")
    node.eval("Spinning = [spawn_opt(Spin, [{priority, P}]) || P <- [low, normal], "
              "_ <- lists:seq(1, 20)]")
    try:
        low = [row(node) for _ in range(20)]
        queues = [r for r in low if r["run_queue"] is not None]
        ebt.ok(len(queues) >= 15, "busy: queues are read", *[r["run_queues"] for r in low])
        good = [r for r in queues if 30 <= r["run_queue"] <= 41]
        ebt.ok(len(good) == len(queues), "busy: 40 run, or wait to",
               *[r["run_queues"] for r in low])
        ebt.ok(all(sum(r["run_queues"][:3]) == r["run_queue"] for r in queues),
               "busy: all but that of dirty I/O are summed up")
        reds = [r["reductions"] for r in low]
        ebt.ok(None not in reds and reds == sorted(reds) and reds[0] < reds[-1],
               "busy: reductions grow", reds)
    finally:
        node.eval("[exit(P, kill) || P <- Spinning]")


def intervals(node):
    """With -i counters are of the interval."""
    result = ebt.ebeam("info", "--json", "-i", "0.3", "-d", "1", "-p", node.os_pid)
    docs = [ebt.json.loads(x)["rows"][0] for x in result.out.splitlines()]
    ebt.ok(len(docs) >= 3, "interval: a document each", len(docs))
    ebt.ok(docs[0]["reductions"] > 100000 > max(d["reductions"] for d in docs[1:]),
           "interval: reductions are of the interval", [d["reductions"] for d in docs])


def newest(node):
    """With -v the atoms made last, whatever is in their names."""
    names = ["first of the newest", "n\xe4chstes \u20ac", "\x1b[31mred\x07", "last one"]
    for name in names:
        node.eval("binary_to_atom(<<%s>>, utf8)" % ",".join(map(str, name.encode())))
    atoms = row(node, "-v")["newest_atoms"]
    ebt.equal(len(atoms), 20, "newest: as many as by default")
    want = ["last one", "\\x1B[31mred\\x07", "n\xe4chstes \u20ac", "first of the newest"]
    ebt.equal([a for a in atoms if a in want], want, "newest: the last one first", atoms)
    ebt.equal(row(node)["newest_atoms"], None, "newest: only where asked for")
    ebt.equal(len(row(node, "-v", "-l", "3")["newest_atoms"]), 3, "newest: as many as wanted")
    count = node.eval("erlang:system_info(atom_count)")
    ebt.equal(len(row(node, "-v", "-l", "0")["newest_atoms"]), count, "newest: or all")
    out = ebt.ebeam("info", "-v", "-p", node.os_pid).out
    ebt.ok("\x1b" not in out and "\\x1B[31mred" in out, "newest: escaped in text", out)


def text(node):
    """At a glance: what is near its limit, within the terminal."""
    for columns in (80, 100):
        out = ebt.ebeam("info", "-v", "-p", node.os_pid, env={"COLUMNS": str(columns)}).out
        wide = [x for x in out.splitlines() if len(x) > columns]
        ebt.equal(wide, [], "text: within %d columns" % columns)
        ebt.ok("no limit is near" in out and "binary_alloc" in out, "text: says so", out)
    with ebt.Node(node.release, "+P", "1024", "+Q", "1024") as small:
        small.eval("Many = [fixture:worker() || _ <- lists:seq(1, 900)]")
        count = small.eval("erlang:system_info(process_count)")
        out = ebt.ebeam("info", "-p", small.os_pid).out
        share = "%.0f %%" % (100 * count / 1024)
        ebt.ok("NEAR A LIMIT: processes at %s" % share in out, "text: near a limit", out)
        ebt.ok(re.search(r"^processes +%d of 1024 +%s !" % (count, share), out, re.M),
               "text: marked where it stands", out)


@contextlib.contextmanager
def memory_cgroup(limit):
    """A cgroup of v1 or v2 with a limit, and one below it without; the folder of that one."""
    for top, file in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                      ("/sys/fs/cgroup", "memory.max")):
        outer = "%s/ebeam-test.%d" % (top, os.getpid())
        inner = outer + "/inner"
        if not os.path.isdir(top) or not os.path.exists(top + "/cgroup.procs"):
            continue
        made = []
        try:
            try:
                for folder in (outer, inner):
                    os.mkdir(folder)
                    made.append(folder)
                with open(outer + "/" + file, "w") as f:
                    f.write(str(limit))
            except OSError:
                continue
            yield inner
            return
        finally:
            for folder in reversed(made):
                ebt.wait_for(lambda d=folder: remove(d), "the cgroup to be empty")
    raise ebt.Missing("no memory cgroup can be made here")


def remove(folder):
    with contextlib.suppress(OSError):
        os.rmdir(folder)
    return not os.path.exists(folder)


def cgroup(node):
    """The limit of a cgroup above the node's own."""
    with memory_cgroup(1 << 30) as folder, ebt.Node(node.release) as inside:
        ours = row(inside)
        limit = ours["cgroup_limit"]
        ebt.ok(limit is None or limit != 1 << 30, "cgroup: not yet in it", ours)
        with open(folder + "/cgroup.procs", "w") as f:
            f.write(str(inside.os_pid))
        ours = row(inside)
        ebt.equal(ours["cgroup_limit"], 1 << 30, "cgroup: the limit of the one above")
        used = ours["cgroup_used"]
        ebt.ok(used is not None and used < 1 << 30, "cgroup: used of it", used)
        out = ebt.ebeam("info", "-p", inside.os_pid).out
        ebt.ok(re.search(r"^memory +[\d.]+ [KM]iB of +1.0 GiB", out, re.M), "cgroup: in text", out)


FIELDS = """index_size index_limit index_entries ptab_count ptab_max sched_ets_count sched_run_queue
runq_ix runq_scheduler runq_len runq_flags runq_reductions runq_switches runq_prio runq_prio_size
runq_ports sched_reductions sched_ssi ssi_scheduler ssi_flags allctr_t allctr_ramv allctr_atags
allctr_sbc_threshold allctr_sbc_move allctr_mbc_move allctr_main_size allctr_max_mseg_sbcs
allctr_max_mseg_mbcs allctr_largest_mbc allctr_smallest_mbc allctr_growth_stages allctr_mseg_opt
allctr_util_limit allctr_free_limit allctr_pool_limit allctr_pool_free allctr_pool_number
allctr_strategy mseg_max_cache mseg_abs_fit mseg_rel_fit mseg_ix mseg_init_done
mseg_stride""".split()


def moved(node):
    """A field that lies elsewhere: what it gave is the node's own still, or null, or refused."""
    if node.release != ebt.RELEASES[-1] and not os.environ.get("EBEAM_LONG"):
        return
    node.load("info_told")
    seen = {"refused": 0, "null": 0, "right": 0}
    wrong = []

    def flat(doc):
        found = dict(doc["rows"][0])
        for name, keys in rows_of(found.pop("allocators") or []):
            found.update({(name, k): v for k, v in keys.items()})
        found.update(("queue %d" % i, v) for i, v in enumerate(found.pop("run_queues") or []))
        found.update({("mseg", k): v for k, v in (found.pop("mseg_alloc") or {}).items()})
        return found

    def moves(a, b):
        return a is not None and isinstance(b, (int, float)) and abs(a - b) < 0.2 * b + 1e5

    good = flat(info(node))
    for field in FIELDS:
        for by in (-8, -4, 4, 8):
            result = ebt.ebeam("info", "--json", "-p", node.os_pid,
                               env={"EBEAM_TEST_MOVE": "%s:%d" % (field, by)})
            if result.status:
                seen["refused"] += 1
                if result.status != 3:
                    wrong.append("%s:%d: %s" % (field, by, result))
                continue
            got = flat(result.json)
            bad = [(k, v, good.get(k)) for k, v in got.items() if v is not None and
                   v != good.get(k) and not (k in MOVING + ["uptime_s", "rss", "cgroup_used"] and
                                             moves(v, good.get(k)))]
            gone = [k for k, v in good.items() if v is not None and got.get(k) is None]
            if gone and not result.json["notes"]:
                bad.append("no note of what is missing: %s" % gone[:3])
            seen["null" if gone else "right"] += 1
            if bad:
                wrong.append("%s:%d: %s" % (field, by, bad[:3]))
    ebt.equal(wrong, [], "moved: nothing is wrong", seen)
    ebt.ok(seen["refused"] >= 20 and seen["null"] >= 60, "moved: most are noticed", seen)


if __name__ == "__main__":
    ebt.run(numbers, counted, settings, flags, online, busy, intervals, newest, text, cgroup,
            moved)
