# SPDX-License-Identifier: GPL-2.0-only
"""The part `reading` of scripts/bench: what a look from outside takes, and what
the same question takes when the node is asked (scripts/bench_read.erl).

Both are asked in turn of the same node. A row's median is ebeam's wall time, from
exec to exit; its remark has the node's own time for that answer, the share, and
what the look cost: CPU time of ebeam, its peak RSS, and CPU time of the node.
"""
import os
import subprocess
import time

MIB = 2**20

# name of the row, arguments of ebeam, what is asked inside, aim (ms), aim of the share
QUESTIONS = [
    ("ps --sort memory, {n} processes", ["ps", "--sort", "memory"], "proc_memory", None, 0.5),
    ("ps --sort binary_bytes, {n} processes", ["ps", "--sort", "binary_bytes"], "proc_binary",
     None, None),
    ("mem, {n} processes", ["mem"], "alloc", 30, None),
    ("carrier, {n} processes", ["carrier"], "carriers", None, None),
    ("ets, {n} processes", ["ets"], "ets", None, None),
]


class Look:
    """One run of ebeam: how long, at what cost to itself and to the node."""

    def __init__(self, bench, node, args):
        before_node, before = node.cpu_ns(), time.monotonic()
        p = subprocess.Popen([bench.EBEAM, *args, "--json", "-p", str(node.os_pid)],
                             env=bench.ENV, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE)
        err = p.stderr.read()
        _, status, used = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        self.wall_ms = (time.monotonic() - before) * 1e3
        self.node_ms = (node.cpu_ns() - before_node) / 1e6
        if p.returncode:
            raise bench.Trouble("ebeam %s: %s" % (args[0], err.decode(errors="replace").strip()))
        self.cpu_ms = (used.ru_utime + used.ru_stime) * 1e3
        self.rss_mib = used.ru_maxrss / 1024


def measure(bench, node, row, args, question, rounds):
    for _ in rounds:
        inside = int(node.ask("inside %s" % question)) / 1e3
        look = Look(bench, node, args)
        row.add(look.wall_ms)
        row.note("inside", inside)
        row.note("share", look.wall_ms / inside)
        row.note("cpu_share", look.cpu_ms / inside)
        row.note("cpu", look.cpu_ms)
        row.note("rss", look.rss_mib)
        row.note("node", look.node_ms)


REMARK = ("inside {inside:.1f} ms: {share:.2f} x; CPU {cpu:.0f} ms, {rss:.0f} MiB; "
          "node {node:.1f} ms")


def run(bench, args, root, clock):
    """Rows of the table; CLOCK(what) gives the rounds of one measurement."""
    rows = []
    sizes = [100000] if args.quick else [100000, 1000000]
    node = bench.Node(bench.SCHEDULERS, root, flags=("+P", "2000000", "+Q", "1024"))
    node.ask("setup tables 1000")
    there = 0
    for n in sizes:
        bench.say("reading: %d processes" % n)
        node.ask("setup processes %d" % (n - there))
        there = n
        for name, words, question, aim, share in QUESTIONS:
            row = bench.Row("reading", "`" + name.format(n=n).replace(", ", "`, "), "ms",
                            REMARK, aim=share or aim, aim_of="share" if share else None)
            measure(bench, node, row, words, question, clock("reading").rounds())
            rows.append(row)
        peak = bench.Row("reading", "peak RSS of `ps --sort memory`, %d processes" % n, "MiB",
                         aim=64 + 64 * n / MIB)
        for v in rows[-len(QUESTIONS)].samples["rss"]:
            peak.add(v)
        rows.append(peak)
    node.close()
    rows.append(queue(bench, args, root, clock))
    return rows


def queue(bench, args, root, clock):
    """The length of one long queue: a look at an idle node with it, less one without."""
    n = 500000 if args.quick else 5000000
    row = bench.Row("reading", "length of a queue of %d messages" % n, "ms", digits=2, aim=1,
                    remark="`ps -l 0` with it less the same without it; inside {inside:.2f} ms")
    with_it = bench.Node(bench.SCHEDULERS, root)
    without = bench.Node(bench.SCHEDULERS, root)
    with_it.ask("setup queue %d" % n)
    without.ask("setup queue 0")
    keys = ["ps", "-l", "0", "--sort", "message_queue_len"]
    for _ in clock("queue").rounds():
        row.note("inside", int(with_it.ask("inside queue")) / 1e3)
        long, short = Look(bench, with_it, keys), Look(bench, without, keys)
        row.add(long.cpu_ms - short.cpu_ms)
    with_it.close()
    without.close()
    return row
