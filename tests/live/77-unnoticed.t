#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""The node does not notice that it is read: nothing in it runs, is written, or stops."""
import glob
import subprocess
import threading
import time

import ebt

reads = ebt.load("54-bad-reads")

SNAPSHOTS = 1000
BATCH_S = 3
# A node's own timers wake it now and then; those batches do not count.  A busy machine takes as
# many snapshots, in more time.
PATIENCE_S = 300
REST_TRIES = 100


def tasks(node):
    """{tid: [time on a CPU, time waiting, times it was woken]}"""
    found = {}
    for path in glob.glob("/proc/%d/task/*/schedstat" % node.os_pid):
        with open(path) as f:
            found[path.split("/")[4]] = [int(x) for x in f.read().split()]
    return found


def reductions(node):
    """Of all processes but the console, and those of the VM with work of their own."""
    return dict(map(tuple, node.eval(
        "[{P, R} || P <- processes(), P =/= self(), "
        "[{reductions, R}, {initial_call, {M, _, _}}] <- "
        "[process_info(P, [reductions, initial_call])], not lists:member(M, "
        "[erts_literal_area_collector, erts_trace_cleaner, erts_code_purger])]")))


def memory(node):
    """A sum of each page that the node could write to, and has."""
    sums = {}
    with open("/proc/%d/maps" % node.os_pid) as f:
        spans = [x.split() for x in f if x.split()[1].startswith("rw")]
    with open("/proc/%d/mem" % node.os_pid, "rb", buffering=0) as mem, \
            open("/proc/%d/pagemap" % node.os_pid, "rb", buffering=0) as pagemap:
        for span in spans:
            low, high = (int(x, 16) for x in span[0].split("-"))
            pagemap.seek(low // 4096 * 8)
            pages = pagemap.read((high - low) // 4096 * 8)
            for n in range(0, len(pages), 8):
                if not pages[n + 7] & 0xc0:
                    continue
                try:
                    mem.seek(low + n // 8 * 4096)
                    page = mem.read(4096)
                except OSError:     # the kernel's own
                    continue
                sums[low + n // 8 * 4096] = hash(page)
    return sums


def resident(node):
    with open("/proc/%d/smaps_rollup" % node.os_pid) as f:
        return {x.split()[0]: int(x.split()[1]) for x in f if x.split()[-1] == "kB"}


def at_rest(node):
    """(tasks, memory) at a moment, in which no thread ran."""
    for _ in range(REST_TRIES):
        before = tasks(node)
        content = memory(node)
        if tasks(node) == before:
            return before, content
    raise ebt.Failure("otp %s: never at rest" % node.release)


def settle(nodes):
    """A node that has just started frees what it had cached, once a second: wait for the end."""
    def still(seen=[]):
        seen.append((time.monotonic(), [tasks(n) for n in nodes]))
        return any(at < seen[-1][0] - 4 and old == seen[-1][1] for at, old in seen) and \
            all(old == seen[-1][1] for at, old in seen if at > seen[-1][0] - 4)
    for _ in range(2):
        try:
            return ebt.wait_for(still, "idle nodes")
        except ebt.Failure:
            pass
    raise ebt.Failure("nodes do not come to rest")


class Watch(threading.Thread):
    """Looks all the time whether a node is stopped, or traced."""

    def __init__(self, nodes):
        super().__init__(daemon=True)
        self.nodes, self.done, self.looks, self.bad = nodes, False, 0, set()

    def run(self):
        while not self.done:
            for node in self.nodes:
                try:
                    with open("/proc/%d/status" % node.os_pid) as f:
                        words = dict(x.split(":", 1) for x in f)
                except OSError:
                    words = {"State": "Terminated", "TracerPid": "?"}
                self.looks += 1
                if words["State"].split()[0] in "Tt" or words["TracerPid"].strip() != "0":
                    self.bad.add((node.release, words["State"], words["TracerPid"]))
            time.sleep(0.01)


def batch(nodes):
    """All commands on all nodes, every 50 ms for a while; reports by node."""
    every = [(n, c, ebt.start([ebt.EBEAM, *c, "--json", "-i", "0.05", "-d", str(BATCH_S),
                               "-p", str(n.os_pid)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE))
             for n in nodes for c in reads.commands() if "-v" not in c]
    counts = dict.fromkeys((n.release for n in nodes), 0)
    wrong = []

    def drain(node, command, child):
        out, err = child.communicate()
        if child.returncode:
            wrong.append("%s %s: exit %d %s" % (node.release, command, child.returncode, err))
        counts[node.release] += out.count(b'"schema":1')
    threads = [threading.Thread(target=drain, args=x) for x in every]
    for t in threads:
        t.start()
    for t in threads:
        t.join(ebt.TIMEOUT)
    for _, _, child in every:
        ebt.end(child)
    ebt.ok(not wrong, "all commands read", *wrong)
    return counts


def unnoticed():
    nodes = []
    try:
        nodes += [ebt.Node(r) for r in ebt.RELEASES]
        all_of_it(nodes)
    finally:
        for node in nodes:
            node.close()


def all_of_it(nodes):
    for node in nodes:
        node.eval("Idle = [fixture:worker() || _ <- lists:seq(1, 100)]")
        node.eval("Servers = [fixture:start_server() || _ <- lists:seq(1, 20)]")
        node.eval("[ets:insert(ets:new(idle, []), [{N, N} || N <- lists:seq(1, 100)]) "
                  "|| _ <- lists:seq(1, 10)]")
        reductions(node)
    settle(nodes)
    reds = [reductions(n) for n in nodes]
    settle(nodes)
    rss = [resident(n) for n in nodes]
    watch = Watch(nodes)
    watch.start()
    ebt.atexit.register(setattr, watch, "done", True)
    asleep, awake = dict.fromkeys(ebt.RELEASES, 0), dict.fromkeys(ebt.RELEASES, 0)
    changed, until = [], time.monotonic() + PATIENCE_S
    while min(asleep.values()) < SNAPSHOTS and time.monotonic() < until:
        before = [at_rest(n) for n in nodes]
        counts = batch(nodes)
        for node, (old, content) in zip(nodes, before):
            if tasks(node) != old:
                awake[node.release] += counts[node.release]
                continue
            # a page may come by being read: zeros, or what its file has
            new = memory(node)
            pages = [hex(p) for p, h in content.items() if new.get(p, h) != h]
            if tasks(node) != old:
                continue
            asleep[node.release] += counts[node.release]
            if pages:
                changed.append("%s: %s" % (node.release, pages[:5]))
    watch.done = True
    watch.join()
    for node, old, kb in zip(nodes, reds, rss):
        what = "otp %s: no thread of the node ran during %d snapshots" \
            % (node.release, asleep[node.release])
        ebt.ok(asleep[node.release] >= SNAPSHOTS, what, "and while it had work of its own:", awake)
        what = "otp %s: " % node.release
        ebt.ok(not [c for c in changed if c.startswith(node.release)],
               what + "no byte of its memory changed", *changed)
        now = resident(node)
        # asked in the same kilobytes; a page that is read for the first time may become resident
        ebt.ok(now["Anonymous:"] <= kb["Anonymous:"] + 64,
               what + "it takes no more memory", kb["Anonymous:"], now["Anonymous:"])
        new = reductions(node)
        ebt.equal({p: (r, new.get(p)) for p, r in old.items() if new.get(p) != r}, {},
                  what + "no process has worked")
        ebt.ok(len(old) >= 140, what + "of %d processes" % len(old))
    ebt.ok(watch.looks >= 100 and not watch.bad, "never stopped, nor traced", watch.looks,
           *watch.bad)


def only_reads(node):
    """Where nothing but reading is possible, all is as ever."""
    helper = ebt.built("helpers/onlyread.c")
    if node.release == ebt.RELEASES[0]:
        r = ebt.ebeam("gc", "--json", "-d", "1", "-p", node.os_pid, wrap=[helper])
        ebt.ok(r.status < 0, "only reading is possible: a tracer is killed", r)
    for command in reads.commands():
        # once, for what is kept of a build between runs
        ebt.ebeam(*command, "--json", "-p", node.os_pid)
        r = ebt.ebeam(*command, "--json", "-p", node.os_pid, wrap=[helper])
        ebt.ok(r.status == 0 and r.json["rows"], " ".join(command) + ": does nothing but read", r)


if __name__ == "__main__":
    ebt.run(only_reads, once=[unnoticed])
