#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""A real program: Debian's RabbitMQ under steady load, watched with every probe for 10 s.

The broker is one of our own, with its node name, ports, data, log and epmd. The console of
fixture.erl runs in it beside RabbitMQ and answers for the VM within milliseconds, where
rabbitmqctl takes seconds: so the VM's counters bracket ours closely. The load is that of
amqp-tools: durable and transient queues, persistent and other messages, bodies that are copied (up
to 64 bytes) and shared (above), lasting connections and ones that bring a single message.
"""
import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import ebt

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
SECONDS = 10
COUNTS = ("allocs", "frees", "reallocs")
# A call may be between the VM's count and ours when the VM is asked: some per thread.
EDGE = 10

# Initial calls of RabbitMQ's processes.
QUEUE, CHANNEL, READER, STORE = ("rabbit_prequeue:init/1", "rabbit_channel:init/1",
                                 "rabbit_reader:init/3", "rabbit_msg_store:init/1")
COMPLAINT = re.compile(r"\[(warning|error|critical|alert|emergency)\]")

ebt.TIMEOUT = 60        # a broker takes ten to twenty seconds to start

# queue, durable, persistent messages, body, messages a second, consumers' options (None: a pile)
QUEUES = [("durable.small", True, True, 40, 80, ["-p", "20"]),
          ("durable.large", True, True, 6000, 80, ["-p", "20"]),
          ("transient.small", False, False, 60, 80, ["-A"]),
          ("transient.large", False, False, 9000, 80, ["-A"]),
          ("transient.mixed", False, True, 2000, 60, ["-p", "5"]),
          ("durable.pile", True, True, 3000, 60, None)]
CHURNED = "durable.small"


def free_ports(number):
    """Ports nobody listens on now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True


class Broker(ebt.Node):
    """RabbitMQ without plugins, its epmd with it; both end with this test however it ends."""

    def __init__(self):
        if not os.access(SERVER, os.X_OK) or not shutil.which("amqp-publish"):
            raise ebt.Missing("no rabbitmq-server or amqp-tools: run scripts/setup test")
        self.dir = ebt.new_dir(tempfile.gettempdir(), "ebt")
        os.chmod(self.dir, 0o700)
        self.log = os.path.join(self.dir, "node.log")
        self.name = "ebt%d@localhost" % os.getpid()
        epmd, distribution, self.port = free_ports(3)
        env = {k: v for k, v in ebt.ENV.items()
               if not k.startswith(("RABBITMQ_", "ERL_", "NOTIFY_"))}
        env.update(
            HOME=self.dir, ERL_EPMD_PORT=str(epmd), ERL_EPMD_ADDRESS="127.0.0.1",
            ERL_CRASH_DUMP_SECONDS="0", RABBITMQ_NODENAME=self.name,
            RABBITMQ_DIST_PORT=str(distribution), RABBITMQ_CONF_ENV_FILE="/dev/null",
            RABBITMQ_CONFIG_FILE=self.file("rabbitmq.conf",
                                           "listeners.tcp.1 = 127.0.0.1:%d\n"
                                           "log.file = %s\nlog.file.level = info\n"
                                           "disk_free_limit.absolute = 1MB\n"
                                           % (self.port, self.log)),
            RABBITMQ_ENABLED_PLUGINS_FILE=self.file("enabled_plugins", "[].\n"),
            RABBITMQ_MNESIA_BASE=self.dir + "/mnesia", RABBITMQ_LOG_BASE=self.dir,
            RABBITMQ_GENERATED_CONFIG_DIR=self.dir + "/config",
            RABBITMQ_SCHEMA_DIR=self.dir + "/schema", RABBITMQ_PID_FILE=self.dir + "/pid",
            # Allowing input makes the script give way to the emulator: the pid stays.
            RABBITMQ_ALLOW_INPUT="1")
        shutil.copy(os.path.join(ebt.TESTS, "nodes", "fixture.erl"), self.dir)
        self.lines = None
        # Where none answers, the emulator would start an epmd that stays.
        self.epmd = ebt.start(["epmd", "-port", str(epmd)], env=env,
                              stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ebt.wait_for(lambda: answers(epmd), "epmd")
        # The console starts after RabbitMQ's own start function, which returns when all is up.
        self.child = ebt.start(
            [SERVER, "-noinput", "-eval",
             '{ok, M, Code} = compile:file("%s/fixture.erl", [binary, report]), '
             '{module, M} = code:load_binary(M, "fixture.erl", Code), '
             'fixture:main().' % self.dir],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
            cwd=self.dir)
        self.os_pid = self.child.pid
        self.lines = ebt.Lines(self.child.stdout.fileno())
        try:
            self.answer("RabbitMQ to start")
        except ebt.Failure:
            self.close()
            raise

    def file(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def client(self, tool, *args):
        """The command of a client from amqp-tools."""
        return ["amqp-" + tool, "--server=127.0.0.1", "--port=%d" % self.port, *args]

    def logged(self, mark):
        """The log up to now. RabbitMQ logs our mark itself: what it logged before is there then."""
        def lines():
            with open(self.log, errors="replace") as f:
                return f.read().splitlines()
        self.eval('rabbit_log:info("%s")' % mark)
        ebt.wait_for(lambda: any(mark in x for x in lines()), "the mark in RabbitMQ's log")
        return lines()

    def counters(self):
        """What the VM says of itself, at one time as nearly as it can."""
        gcs, words, calls = self.eval(
            "[element(1, statistics(garbage_collection)), "
            "element(2, statistics(garbage_collection)), "
            "[{A, [lists:sum([maps:get(K, I) || I <- fixture:allocator(A)])"
            " || K <- [alloc, free, realloc]]}"
            " || A <- erlang:system_info(alloc_util_allocators)]]")
        return {"gcs": gcs, "words": words, "calls": dict(calls)}

    def close(self):
        ebt.end(self.child)
        ebt.end(self.epmd)
        shutil.rmtree(self.dir, ignore_errors=True)


class Load:
    """Publishers that send at a fixed pace and consumers that take what comes, until stopped."""

    def __init__(self, broker):
        self.broker, self.stopped = broker, threading.Event()
        self.sent, self.short_lived = dict.fromkeys([q[0] for q in QUEUES], 0), 0
        self.publishers, self.consumers, self.threads = [], [], []
        for name, durable, persistent, size, pace, consumer in QUEUES:
            ebt.run_quick(broker.client("declare-queue", "-q", name, *["-d"] * durable))
            if consumer is not None:
                # wc says a line a message, which also tells how many there were.
                with open(self.taken_file(name), "wb") as out:
                    self.consumers.append(
                        self.start("consume", "-q", name, *consumer, "--", "wc", "-c",
                                   stdin=subprocess.DEVNULL, stdout=out))
            child = self.start("publish", "-l", "-r", name, *["-p"] * persistent,
                               stdin=subprocess.PIPE)
            self.publishers.append(child)
            self.thread(self.publish, child, name, size, pace)
        self.thread(self.churn)

    def start(self, tool, *args, **options):
        return ebt.start(self.broker.client(tool, *args), stderr=subprocess.DEVNULL, **options)

    def thread(self, function, *args):
        self.threads.append(threading.Thread(target=function, args=args, daemon=True))
        self.threads[-1].start()

    def publish(self, child, name, size, pace):
        """A twentieth of a second's messages, twenty times a second."""
        due = time.monotonic()
        while not self.stopped.wait(max(0, due - time.monotonic())):
            try:
                child.stdin.write((b"m" * (size - 1) + b"\n") * (pace // 20))
                child.stdin.flush()
            except (OSError, ValueError):
                return          # it has ended: running() tells
            self.sent[name] += pace // 20
            due += 1 / 20

    def churn(self):
        """Connections of a single message: their processes are born and die under watch."""
        while not self.stopped.wait(0.1):
            done = subprocess.run(self.broker.client("publish", "-r", CHURNED, "-b", "c" * 700),
                                  env=ebt.ENV, stdin=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, timeout=ebt.TIMEOUT)
            self.short_lived += done.returncode == 0

    def taken_file(self, name):
        return os.path.join(self.broker.dir, name + ".taken")

    def taken(self):
        """Messages consumed, by queue."""
        found = {}
        for q in QUEUES:
            if q[5] is not None:
                with open(self.taken_file(q[0]), "rb") as f:
                    found[q[0]] = f.read().count(b"\n")
        return found

    def running(self):
        return all(c.poll() is None for c in self.publishers + self.consumers)

    def stop(self):
        self.stopped.set()
        for child in self.publishers + self.consumers:
            ebt.end(child)
        for thread in self.threads:
            thread.join(ebt.TIMEOUT)


# ---- what is checked, each by functions that a canned report could be given to ----------------

def loss(doc):
    ebt.equal(doc["lost"], 0, "nothing lost")
    ebt.between(0, doc["faults"], 10, "faults")
    coverage = doc["totals"]["coverage"]
    ebt.equal(set(coverage.values()), {1}, "every group watched all the time", coverage)
    ebt.ok(doc["duration_ms"] >= SECONDS * 1000, "watched for %d s" % SECONDS, doc["duration_ms"])


def collections(doc, inner, outer):
    """The queues are busy: none hibernates, which ebeam counts and statistics/1 does not."""
    totals = doc["sections"]["gc"]["totals"]
    ebt.ok(inner["gcs"] > 1000, "gc: there is something to count", inner["gcs"])
    ebt.between(inner["gcs"], totals["minor"] + totals["major"], outer["gcs"],
                "gc: as many as statistics(garbage_collection) counts")


def allocations(doc, inner, outer):
    """Ours, the VM's own as ebeam reads them, and the VM's own as the node tells them."""
    found = {r["allocator"]: r for r in doc["sections"]["alloc"]["totals"].get("by_allocator", [])}
    ebt.equal([a for a in inner["calls"] if a not in found], [],
              "alloc: totals for every allocator")
    ebt.ok(sum(map(sum, inner["calls"].values())) > 20000, "alloc: there is something to count",
           inner["calls"])
    wrong, far, misread = [], [], []
    for name, r in found.items():
        for i, what in enumerate(COUNTS):
            ours, vm = r[what], r["vm_" + what]
            low, high = (b["calls"].get(name, [0] * 3)[i] for b in (inner, outer))
            told = ("%s %s: ours %d, VM's %d, told by the node %d..%d"
                    % (name, what, ours, vm, low, high))
            if not low - EDGE <= ours <= high + EDGE:
                wrong.append(told)
            if abs(ours - vm) > 0.005 * vm + 200:
                far.append(told)
            if not low - EDGE <= vm <= high + EDGE:
                misread.append(told)
    ebt.ok(found and not wrong, "alloc: counts between what the node tells", *wrong)
    ebt.ok(found and not far, "alloc: counts as the VM's own in its memory", *far)
    ebt.ok(found and not misread, "alloc: the VM's own between what the node tells", *misread)


def names(doc):
    """Rows say whose they are, also of connections that came and went."""
    large = sum(q[3] > 64 for q in QUEUES)
    acking = sum(q[5] is not None and "-A" not in q[5] for q in QUEUES)
    consumers = sum(q[5] is not None for q in QUEUES)
    for section, lasting, done in (
            # A message of 64 bytes or less is copied from heap to heap.
            ("bin", {QUEUE: large, CHANNEL: large, READER: large, STORE: 1},
             lambda r: r["created"] or r["held_refs"] or r["released_refs"]),
            # The reader of a consumer that never acknowledges has nothing to do.
            ("gc", {QUEUE: len(QUEUES), CHANNEL: len(QUEUES) + consumers,
                    READER: len(QUEUES) + acking, STORE: 1},
             lambda r: r["minor"] + r["major"])):
        for call, least in lasting.items():
            found = [r for r in ebt.rows(doc, section, initial_call=call) if done(r)]
            alive = [r["pid"] for r in found if not r["exited"]]
            ebt.ok(len(alive) >= least, "%s: %d or more of %s" % (section, least, call), alive)
            if call in (CHANNEL, READER):
                ebt.ok(len(found) > len(alive),
                       "%s: also of %s that ended" % (section, call), alive)
        ebt.ok(ebt.rows(doc, section, name="rabbit_event"), section + ": rabbit_event by its name")
    held = [r["held_bytes"] for r in ebt.rows(doc, "bin", initial_call=QUEUE)]
    ebt.ok(any((n or 0) > 1 << 20 for n in held),
           "bin: the queue without a consumer holds what it got", held)


def complaints(before, after):
    """A log grows only: the reports in AFTER that were not there before.

    Left out: a supervisor of channels that finds one already ending while it ends them, as
    RabbitMQ does, traced or not, at every twentieth or so of connections closed at once.
    """
    entries = {}
    for line in after[len(before):]:
        # The lines of a report have the same time, level and process.
        head = tuple(line.split()[:4])
        entries.setdefault(head, []).append(line)
    found = [lines for lines in entries.values()
             if any(COMPLAINT.search(x) for x in lines)
             and not re.search(r"supervisor: .*,rabbit_channel_sup(_sup)?}.*"
                               r"errorContext: shutdown_error.*reason: (noproc|shutdown)",
                               " ".join(lines))]
    ebt.ok(not found, "RabbitMQ's log has no complaint", *[x for lines in found for x in lines])


def works(broker):
    body = "still here %d" % os.getpid()
    for command in (("declare-queue", "-q", "after"), ("publish", "-r", "after", "-b", body)):
        ebt.run_quick(broker.client(*command))
    ebt.equal(ebt.run_quick(broker.client("get", "-q", "after")).strip(), body,
              "RabbitMQ works: a message sent and got")


def difference(a, b):
    return {"gcs": b["gcs"] - a["gcs"],
            "calls": {name: [y - x for x, y in zip(calls, b["calls"][name])]
                      for name, calls in a["calls"].items()}}


def watched(broker, load):
    """The report of a watch; what the VM counted within it and around it."""
    ebt.wait_for(lambda: min(load.taken().values()) >= 20, "messages to flow")
    outer = broker.counters()
    with ebt.trace(broker) as t:
        inner = broker.counters()
        taken = [load.taken()]
        for _ in range(5):
            time.sleep(SECONDS / 5)
            taken.append(load.taken())
        inner = difference(inner, broker.counters())
        doc = t.stop()
    outer = difference(outer, broker.counters())
    still = [(a, b) for a, b in zip(taken, taken[1:]) if any(b[q] <= a[q] for q in a)]
    ebt.ok(load.running() and not still, "load: every queue, all the time", *still)
    ebt.ok(load.short_lived > 10, "load: connections come and go", load.short_lived)
    return doc, inner, outer


def rabbitmq():
    broker = Broker()
    load = None
    try:
        where = ebt.sites(broker.os_pid)
        load = Load(broker)
        before = broker.logged("ebt: before")
        doc, inner, outer = watched(broker, load)
        loss(doc)
        collections(doc, inner, outer)
        allocations(doc, inner, outer)
        names(doc)
        works(broker)
        complaints(before, broker.logged("ebt: after"))
        ebt.clean("RabbitMQ", broker, where)
        ebt.diag("%d messages sent, %d connections of one; %d collections, %d allocations; %s"
                 % (sum(load.sent.values()), load.short_lived, inner["gcs"],
                    sum(c[0] for c in inner["calls"].values()), doc["cost"]))
    finally:
        if load:
            load.stop()
        broker.close()


if __name__ == "__main__":
    ebt.run(once=[rabbitmq])
