#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""ps: every key is what the node itself says of its processes."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ebt

# What changes by asking for it; and in the logger's processes, by what the node logs of that.  All
# others must not move, and ours is between the two.
# The node's own servers do their work, and some hibernate when nobody has asked for a second.
MOVING = ("reductions", "memory", "heap_size", "total_heap_size", "minor_gcs", "stack_size",
          "current_function")
NUMBERS = """memory message_queue_len reductions total_heap_size heap_size stack_size minor_gcs
    fullsweep_after links monitors monitored_by dictionary_size binary_refs binary_bytes""".split()
GROUPS = """registered_name label initial_call current_function waits_for status priority
    group_leader parent message_queue_data""".split()


def ps(node, *args, **options):
    return ebt.ebeam("ps", "--json", *args, "-p", node.os_pid, **options).json


def kinds(node):
    """A node with processes of every kind; the console's pid."""
    node.load("procs")
    if "procs" not in node.asked:
        node.eval("procs:start()")
        node.asked.add("procs")
    return node.eval("self()")


def read(node, *args):
    """{pid: row} of all but the console."""
    console = node.eval("whereis(console)")
    doc = ps(node, "-l", "0", *args)
    if doc["notes"] or doc["skipped"] or doc["faults"]:
        ebt.ok(False, "read: nothing left out", doc["notes"], doc["skipped"], doc["faults"])
    return {r["pid"]: r for r in doc["rows"] if r["pid"] != console}


def everything(node):
    kinds(node)
    ours = ebt.sandwich(node, "procs:info()", lambda: read(node), moving=MOVING,
                        what="every kind of process", at_least=4000)
    # a test of what is not there says nothing
    def some(what, condition):
        ebt.ok(any(condition(r) for r in ours.values()), "there is " + what)
    some("a heap in fragments", lambda r: r["heap_fragments_size"] > 0)
    some("an old heap", lambda r: r["old_heap_size"] > 0)
    some("a suspended process", lambda r: r["status"] == "suspended")
    some("a queue on the heap", lambda r: r["message_queue_len"] > 100
         and r["message_queue_data"] == "on_heap")
    some("a queue off the heap", lambda r: r["message_queue_len"] > 100
         and r["message_queue_data"] == "off_heap")
    some("a label", lambda r: r["label"] is not None or int(node.release) < 27)


def in_transit(node):
    """Messages that a suspended process has not fetched are in its queue, and told apart."""
    kinds(node)
    node.eval("""Stopped = spawn(fun() -> receive never -> ok end end), ok""")
    node.eval("erlang:suspend_process(Stopped), [Stopped ! {n, N} || N <- lists:seq(1, 7)], ok")
    pid = node.eval("Stopped")
    row = read(node)[pid]
    ebt.equal((row["message_queue_len"], row["message_queue_len_in_transit"]), (7, 7),
              "in transit: seven messages, none of them fetched")
    memory = row["memory"]
    ebt.equal(node.eval("element(2, process_info(Stopped, memory))"), memory,
              "in transit: and counted in its memory as the node does")
    row = read(node)[pid]
    ebt.equal((row["message_queue_len"], row["message_queue_len_in_transit"]), (7, 0),
              "in transit: asking made it fetch them")


def order(node):
    """Any key sorts, and the first are those that a look at all would have found."""
    kinds(node)
    node.quiet()
    rows = ps(node, "-l", "0")["rows"]
    keys = [l.split()[0] for l in ebt.ebeam("ps", "--sort", "help").out.splitlines()]
    ebt.ok(set(NUMBERS + GROUPS) <= set(keys), "order: --sort help has all keys", keys)
    wrong = []
    for key in keys:
        got = [r[key] for r in ps(node, "--sort", key, "-l", "7")["rows"]]
        have = [r[key] for r in rows if r[key] is not None]
        names = have and isinstance(have[0], str)
        if key == "pid":
            have = have and sorted(have, key=lambda p: int(p.split(".")[1]))
            got = sorted(got, key=lambda p: int(p.split(".")[1])) == got
            if not got:
                wrong.append((key, got))
            continue
        # those that have none come last
        want = sorted(have, reverse=not names, key=lambda n: n.encode() if names else n)
        want = (want + [None] * 7)[:7]
        if got != want:
            wrong.append((key, got, want))
    ebt.ok(not wrong and len(keys) > 25, "order: by each of %d keys" % len(keys), *wrong)
    for args, hint in ((["--sort", "nonsense"], "no key `nonsense`"),
                       (["--by", "memory"], "cannot sum up by"),
                       (["--by", "status", "--sort", "links"], "no key `links`")):
        r = ebt.ebeam("ps", *args, "-p", node.os_pid)
        ebt.ok(r.status == 2 and hint in r.err, "order: %s is refused" % " ".join(args), r)


def groups(node):
    """Groups have the sums of their processes."""
    kinds(node)
    node.quiet()
    rows = ps(node, "-l", "0", "--sort", "binary_bytes")["rows"]
    for by in GROUPS:
        doc = ps(node, "--by", by, "-l", "0", "--binaries")
        want = {}
        for r in rows:
            g = want.setdefault(r[by], dict(processes=0, memory=0, message_queue_len=0,
                                            reductions=0, binary_bytes=0, binary_refs=0,
                                            message_queue_len_max=0))
            g["processes"] += 1
            for key in ("memory", "message_queue_len", "reductions", "binary_bytes", "binary_refs"):
                g[key] += r[key]
            g["message_queue_len_max"] = max(g["message_queue_len_max"], r["message_queue_len"])
        got = {r[by]: {k: r[k] for k in next(iter(want.values()))} for r in doc["rows"]}
        ebt.equal(got, want, "groups: by %s" % by)
        counts = [r["processes"] for r in doc["rows"]]
        ebt.ok(counts == sorted(counts, reverse=True), "groups: by %s: most processes first" % by)
    ebt.equal(doc["totals"]["memory"], sum(r["memory"] for r in rows), "groups: total of memory")


# Fields that ps reads, and that attaching did not prove.
FIELDS = """proc_arity proc_arity_size proc_max_arg_reg proc_arg_reg proc_def_arg_reg proc_parent
    proc_psd psd_size psd_data proc_sig_first proc_sig_last proc_sig_save proc_sig_cont
    proc_sig_cont_last proc_sig_signals proc_sig_len proc_sig_mlenoffs proc_sig_flags proc_inq_first
    proc_inq_last proc_inq_len proc_inq_signals proc_inq_buffers inqbuf_slots inqbuf_slot_size
    inqbuf_queue msg_m msg_size sig_mlenoffs proc_links proc_lt_monitors proc_monitors ml_right
    ml_left ml_list_next ml_other ml_offset ml_key_offset ml_flags ml_type ml_size linkdata_size
    mondata_size mondata_origin mondata_ref proc_i proc_current""".split()


def moved(node):
    """A field that lies elsewhere is noticed: what is shown is right, or missing."""
    if node.release != "27" and len(ebt.RELEASES) > 1:
        return
    kinds(node)
    node.eval("erlang:suspend_process(T = spawn(fun() -> receive x -> ok end end)), "
              "[T ! {n, N} || N <- lists:seq(1, 5)], ok")
    node.quiet()
    def truth():
        return {r["pid"]: r for r in ps(node, "-l", "0")["rows"]}
    def compare(doc):
        rows = {x["pid"]: x for x in doc["rows"]}
        wrong = [] if set(rows) == set(right) else ["rows: %r" % (set(rows) ^ set(right))]
        nulls = 0
        for pid, row in rows.items():
            for key, want in right.get(pid, {}).items():
                nulls += row[key] is None and want is not None
                if row[key] is not None and row[key] != want:
                    wrong.append((pid, key, row[key], want))
        return wrong, nulls
    changed = refused = 0
    right = truth()
    for field in FIELDS:
        for by in ("8", "-8", "4"):
            spec = "%s:%s" % (field, by)
            r = ebt.ebeam("ps", "--json", "-l", "0", "-p", node.os_pid,
                          env={"EBEAM_TEST_MOVE": spec})
            if r.status:
                refused += 1
                if r.status != 3:
                    ebt.ok(False, "moved: %s: refused in one line" % spec, r)
                continue
            doc = r.json
            wrong, nulls = compare(doc)
            for _ in range(3):  # the node has done something on its own since: then again
                if not wrong:
                    break
                right = truth()
                doc = ps(node, "-l", "0", env={"EBEAM_TEST_MOVE": spec})
                wrong, nulls = compare(doc)
            changed += nulls > 0
            if wrong or (nulls and not doc["notes"]):
                ebt.ok(False, "moved: %s" % spec, *wrong[:5], len(wrong), doc["notes"])
    ebt.ok(changed + refused > 90, "moved: %d fields by 8 and 4 bytes: nothing wrong is shown"
           % len(FIELDS), changed, refused)


def long_queue(node):
    """A queue that is too long to be walked costs nothing, and its memory is a guess that says so."""
    node.load("procs")
    node.eval("procs:flood(flooded, 500000)")
    node.quiet()
    doc = ps(node, "-l", "1")
    row = doc["rows"][0]
    ebt.equal((row["registered_name"], row["message_queue_len"], row["memory"]),
              ("flooded", 500000, None), "long queue: first by memory, which is not known")
    ebt.ok(any("not walked" in n for n in doc["notes"]), "long queue: a note says so", doc["notes"])
    ebt.ok(doc["totals"]["memory"] is None and doc["totals"]["memory_est"] >= row["memory_est"],
           "long queue: nor is the sum", doc["totals"])
    memory = node.eval("element(2, process_info(whereis(flooded), memory))")
    ebt.between(0.98 * memory, row["memory_est"], 1.02 * memory, "long queue: the guess is good")
    ebt.between(0, row["memory_without_messages"], 100000, "long queue: what is not the queue's")
    node.quiet()
    full = ps(node, "-l", "1", "--full")
    ebt.equal((full["rows"][0]["memory"], full["rows"][0].get("memory_est")), (memory, None),
              "long queue: with --full it is the node's own")
    ebt.ok(full["cost"]["bytes_read"] - doc["cost"]["bytes_read"] > 500000 * 88,
           "long queue: which takes reading all of it", full["cost"], doc["cost"])
    text = ebt.ebeam("ps", "-l", "1", "-p", node.os_pid).out
    ebt.ok(re.search(r"^<\S+ +flooded +~\d", text, re.M) and "longest queue 500000: flooded" in text,
           "long queue: text marks the guess, and names the longest queue", text)
    node.eval("exit(whereis(flooded), kill)")


def intervals(node):
    """-i: what changed, what is new, and what has gone."""
    node.load("procs")
    node.eval("Old = procs:mortal(3)")
    child = ebt.start([ebt.EBEAM, "ps", "-p", str(node.os_pid), "--json", "-l", "0", "-i", "0.4"],
                      stdout=ebt.subprocess.PIPE, stderr=ebt.subprocess.DEVNULL)
    lines = ebt.Lines(child.stdout.fileno())
    first = json.loads(lines.next("the first report"))
    old = [r for r in first["rows"] if r["pid"] in node.eval("Old")]
    ebt.ok(len(old) == 3 and all(r["reductions"] == 0 and r["memory_change"] == 0
                                 and r["message_queue_len_change"] == 0 and r["mark"] is None
                                 for r in old), "intervals: what rests has changed by nothing", *old)
    node.eval("New = procs:mortal(2), [exit(P, kill) || P <- tl(Old)], "
              "[hd(Old) ! {N, a} || N <- lists:seq(1, 6)], ok")
    names = node.eval("{Old, New}")
    reports = []

    def until(done):
        while not done():
            reports.append(json.loads(lines.next("another report")))
    def marked(mark, pid):
        return [r for doc in reports for r in doc["rows"] if r["pid"] == pid and r["mark"] == mark]
    until(lambda: all(marked("new", p) for p in names[1]) and
          all(marked("dead", p) for p in names[0][1:]))
    dead, new = marked("dead", names[0][1]), marked("new", names[1][0])
    ebt.ok(len(dead) == 1 and dead[0]["memory"] is None and dead[0]["memory_change"] < -1000
           and dead[0]["reductions"] is None, "intervals: one that died lost all it had", *dead)
    ebt.ok(len(new) == 1 and new[0]["memory_change"] == new[0]["memory"],
           "intervals: one that is new has won all it has", *new)
    change = [r["message_queue_len_change"] for doc in reports for r in doc["rows"]
              if r["pid"] == names[0][0]]
    ebt.equal(sum(change), 6, "intervals: a queue grew by six", change)
    ebt.ok(sum(d["totals"]["born"] for d in reports) >= 2 and
           sum(d["totals"]["died"] for d in reports) >= 2, "intervals: births and deaths are counted")
    ebt.end(child)
    node.eval("[exit(P, kill) || P <- Old ++ New], ok")


def names(node):
    """A name is escaped; and one that a terminal would obey does not reach it."""
    node.load("procs")
    pid = node.eval("procs:odd('an odd\\n/\\x{1b}[31mname')")
    node.quiet()
    row = ebt.row(ps(node, "-l", "0"), None, pid=pid)
    ebt.equal(row["registered_name"], r"an odd\x0A/\x1B[31mname", "names: escaped")
    out = ebt.ebeam("ps", "-l", "0", "-p", node.os_pid).out
    ebt.ok("\x1b" not in out and "an odd" in out, "names: not for the terminal")
    node.eval("exit(whereis('an odd\\n/\\x{1b}[31mname'), kill)")
    wide = [l for l in out.splitlines() if len(l) > 100]
    ebt.ok(not wide, "names: lines of at most 100 columns", *wide[:3])


def unnoticed(node):
    """The node does not notice being read."""
    kinds(node)
    node.quiet()
    for _ in range(15):     # a timer of the node's own may go off meanwhile
        node.quiet()
        ran, before = node.ran_ns(), ps(node, "-l", "0")["rows"]
        for _ in range(3):
            ps(node)
        after, ran = ps(node, "-l", "0")["rows"], node.ran_ns() - ran
        if not ran:
            break
    ebt.equal(ran, 0, "unnoticed: no thread of the node has run")
    ebt.equal([(r["pid"], r["reductions"]) for r in after],
              [(r["pid"], r["reductions"]) for r in before], "unnoticed: and no process has worked")


def storm(node):
    """Processes dying and being born, fast: those that stay are there once each, rightly named."""
    kinds(node)
    node.quiet()
    stay = {r["pid"]: r for r in ps(node, "-l", "0")["rows"] if r["registered_name"]}
    node.eval("procs:storm()")
    wrong, skipped, seen, reds = [], 0, 0, {}
    for _ in range(15):
        doc = ps(node, "-l", "0")
        rows = {}
        for r in doc["rows"]:
            if r["pid"] in rows:
                wrong.append("twice: %s" % r["pid"])
            rows[r["pid"]] = r
        seen += len(rows)
        skipped += doc["skipped"]
        for pid, was in stay.items():
            now = rows.get(pid)
            if not now:
                wrong.append("missing: %s %s" % (pid, was["registered_name"]))
            elif now["registered_name"] != was["registered_name"]:
                wrong.append((now, was))
            elif now["reductions"] < reds.get(pid, 0):
                wrong.append("work undone: %s" % pid)
            else:
                reds[pid] = now["reductions"]
    node.eval("procs:calm()")
    ebt.ok(not wrong, "storm: %d that stay are in each of 15 looks" % len(stay), *wrong[:5])
    ebt.ok(skipped * 100 < seen, "storm: less than 1 % is skipped", skipped, seen)


def waiting(node):
    """Whom all wait for, at a glance."""
    node.load("procs")
    node.eval("procs:callers(300)")
    node.quiet()
    slow = node.eval("whereis(slow)")
    rows = [r for r in ps(node, "-l", "0")["rows"] if r["waits_for"]]
    ebt.equal({r["waits_for"] for r in rows if r["current_function"] == "gen:do_call/4"}, {slow},
              "waiting: for the one that does not answer")
    ebt.equal(len([r for r in rows if r["waits_for"] == slow]), 300, "waiting: all 300 of them")
    first = ps(node, "--by", "waits_for", "--sort", "processes", "-l", "0")["rows"]
    first = [r for r in first if r["waits_for"]]
    ebt.equal((first[0]["waits_for"], first[0]["name"], first[0]["processes"]), (slow, "slow", 300),
              "waiting: --by waits_for shows it")
    text = ebt.ebeam("ps", "-p", node.os_pid).out
    ebt.ok("300 wait for slow %s" % slow in text, "waiting: and so does the first line", text)
    node.eval("exit(whereis(slow), kill)")


ebt.run(everything, waiting, order, groups, in_transit, unnoticed, moved, long_queue, intervals,
        names, storm)
