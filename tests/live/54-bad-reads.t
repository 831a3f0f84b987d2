#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Bad input for the commands that only read: wrong targets, hostile names, a VM that moves, crashes
or is stopped, no permission, no room for the output. One clear line, or the right report."""
import glob
import json
import os
import re
import shutil
import signal
import threading

import ebt

bad = ebt.load("50-bad")

ALL = (["info"], ["info", "-v"], ["ps"], ["proc", "init"], ["mem"], ["mem", "--each"],
       ["carrier"], ["carrier", "--each"], ["carrier", "--map"], ["ets"], ["ets", "--binaries"],
       ["port"])
SETPRIV = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def commands():
    """Those that this ebeam has."""
    text = ebt.ebeam("--help").out
    return [c for c in ALL if re.search(r"^  %s " % c[0], text, re.M)]


def names():
    return list(dict.fromkeys(c[0] for c in commands()))


def read(node, command, *more, **options):
    return ebt.ebeam(*command, "-p", node.os_pid, *more, **options)


def said(what, result, status, *words):
    """One line on stderr, with all the words, and nothing on stdout."""
    lines = result.err.strip().splitlines()
    ebt.ok(result.status == status and not result.out and len(lines) == 1 and
           lines[0].startswith("ebeam: ") and all(w in lines[0] for w in words),
           "%s: exit %d, one line" % (what, status), result)


# ---- usage and targets ---------------------------------------------------------------

def usage():
    """Keys and options that a command has not; targets that are none."""
    not_its_own = {"--each": (), "--map": (), "--binaries": (), "--depth": ("3",),
                   "--max-terms": ("3",), "--trace": (), "--exact": (), "--full": ()}
    own = {"carrier": ("--each", "--map", "--trace", "--exact"), "ets": ("--binaries",),
           "ps": ("--binaries", "--full"), "mem": ("--each",),
           "proc": ("--depth", "--max-terms")}
    ebt.ok(len(names()) >= 3, "reading commands there are", names())
    for name in names():
        about = ["init"] if name == "proc" else []
        pid = str(os.getpid())
        for option, value in not_its_own.items():
            if option not in own.get(name, ()):
                said("%s %s" % (name, option),
                     ebt.ebeam(name, *about, option, *value, "-p", pid), 2, option, name)
        said("%s --sort nonsense" % name,
             ebt.ebeam(name, *about, "--sort", "nonsense", "-p", pid), 2, "nonsense")
        said("%s --by nonsense" % name,
             ebt.ebeam(name, *about, "--by", "nonsense", "-p", pid), 2)
        bad.refused("%s of no BEAM" % name,
                    ebt.ebeam(name, *about, "--json", "-p", pid), 2, pid)
        with ebt.start(["true"]) as child:
            child.wait()
        bad.refused("%s of a dead pid" % name,
                    ebt.ebeam(name, *about, "--json", "-p", child.pid), 2, child.pid)
        ebt.ebeam(name, "--sort", "help")
    if "proc" in names():
        said("proc of nothing", ebt.ebeam("proc", "-p", str(os.getpid())), 2)


def permission(node):
    """Another user may not read; to read, CAP_SYS_PTRACE is enough."""
    binary = ebt.tmp("ebeam")
    if not os.path.exists(binary):
        shutil.copy(ebt.EBEAM, binary)
    saved, ebt.EBEAM = ebt.EBEAM, binary
    try:
        for command in commands():
            what = " ".join(command)
            said(what + " as another user", read(node, command, wrap=SETPRIV), 4,
                 "CAP_SYS_PTRACE")
            bad.refused(what + " as another user", read(node, command, "--json", wrap=SETPRIV), 4,
                        "CAP_SYS_PTRACE")
            r = read(node, command, "--json",
                     wrap=["setpriv", "--bounding-set=-all,+sys_ptrace", "--inh-caps=-all"])
            ebt.ok(r.status == 0 and r.json["rows"], what + ": CAP_SYS_PTRACE is enough", r)
    finally:
        ebt.EBEAM = saved


def lines(result, command):
    """Lines on stderr, without the steps that -v tells."""
    return 1 if "-v" in command else len(result.err.strip().splitlines())


# ---- the output ----------------------------------------------------------------------

def output(node):
    """No room, no reader; and never wider than the terminal."""
    for command in commands():
        what = " ".join(command)
        for more in ((), ("--json",)):
            with open("/dev/full", "w") as full:
                r = read(node, command, *more, out=full)
            ebt.ok(r.status == 1 and lines(r, command) == 1,
                   "%s: stdout is full: exit 1, one line" % " ".join([what, *more]), r)
            end, write = os.pipe()
            os.close(end)
            r = read(node, command, *more, out=write)
            os.close(write)
            ebt.ok(r.status == 1 and lines(r, command) <= 1,
                   "%s: nobody reads stdout: exit 1" % " ".join([what, *more]), r)
        for columns in (80, 100):
            r = read(node, command, "-l", "0", env={"COLUMNS": str(columns)})
            # a string within a term stays whole, as ~p prints it
            wide = [x for x in r.out.splitlines() if len(x) > columns and
                    not (command[0] == "proc" and re.match(r' {8,}.*"', x))]
            ebt.ok(r.status == 0 and not wide, "%s: within %d columns" % (what, columns), r.err,
                   *wide[:5])


# ---- names ---------------------------------------------------------------------------

# and what is no UTF-8, which comes as a surrogate
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def hostile_names(node):
    """Names with control characters, of all charsets, as long as they can be; damaged ones."""
    texts = ["\x1b[2J\x1b[31mred", "tab\tnew\nline\rback\x08", "nul\x00byte", "\x7f\x9bdel",
             "\xe4\xf6\xfc\xff", "\u20ac\U0001f41d", "\U0001f41d" * 255, "'quote\"\\", "",
             "\u202eright to left", "half torn"]
    node.eval("Evil = [fixture:worker() || _ <- lists:seq(1, %d)]" % len(texts))
    for n, text in enumerate(texts):
        node.eval("(fun(Atom) -> ets:new(Atom, [named_table]), register(Atom, lists:nth(%d, Evil)) "
                  "end)(binary_to_atom(<<%s>>, utf8))"
                  % (n + 1, ",".join(map(str, text.encode()))))
    node.eval("register('\\e[5mport', open_port({spawn, \"/bin/sh -c 'read \\e[5mx'\"}, []))")
    torn = tear(node, b"half torn", b"h\xe2\x82 \x1bto\xff")
    ebt.ok(torn, "names: the memory of one was damaged")
    for command in commands():
        what = " ".join(command)
        texts = [read(node, command, "-l", "0", env={"LC_ALL": lc}) for lc in ("C.UTF-8", "C")]
        ebt.ok(all(r.status == 0 for r in texts), what + ": hostile names: exit 0", *texts)
        found = [CONTROL.search(r.out.replace("\n", "")) for r in texts]
        ebt.equal(found, [None, None], what + ": no control character in text")
        ebt.ok(texts[1].out.isascii(), what + ": ASCII where the locale is", texts[1])
        r = read(node, command, "-l", "0", "--json")
        ebt.ok(r.status == 0 and not CONTROL.search(r.out.replace("\n", "")) and r.json["rows"],
               what + ": no control character in JSON", r)
        if command[0] in ("ps", "ets"):
            ebt.ok("red" in r.out and "\\\\x1B[31mred" in r.out and "\\\\xFF" in r.out,
                   what + ": and yet they are shown", r.out[:2000])
    tear(node, b"h\xe2\x82 \x1bto\xff", b"half torn")
    node.eval("[fixture:stop(P) || P <- Evil]")


def tear(node, old, new):
    """Overwrite a text in the node's memory, wherever it is; how many times it was there."""
    found = 0
    with open("/proc/%d/maps" % node.os_pid) as f:
        spans = [x.split() for x in f if x.split()[1].startswith("rw")]
    with open("/proc/%d/mem" % node.os_pid, "r+b", buffering=0) as mem:
        for span in spans:
            low, high = (int(x, 16) for x in span[0].split("-"))
            if high - low > 1 << 28:
                continue
            try:
                mem.seek(low)
                data = mem.read(high - low) or b""
            except (OSError, OverflowError):
                continue
            at = data.find(old)
            while at >= 0:
                mem.seek(low + at)
                mem.write(new)
                found += 1
                at = data.find(old, at + 1)
    return found


# ---- a VM that moves, or does not ------------------------------------------------------

def churn(node):
    """Processes die while they are printed, names vanish, tables are deleted mid-walk."""
    node.load("mayflies")
    elders = node.eval("Elders = mayflies:elders(20)")
    node.eval("Kept = [begin T = ets:new(kept, []), ets:insert(T, {N}), T end "
              "|| N <- lists:seq(1, 20)]")
    kept = sorted(node.eval("Kept"))
    node.eval("Churn = mayflies:churn_names(8) ++ mayflies:churn_tables(8)")
    wrong, runs, without = [], 0, 0
    try:
        for n in range(50):
            for command in commands():
                if n >= (50 if command == ["ets"] else 20 if command == ["ps"] else 2):
                    continue
                r = read(node, command, "-l", "0", "--json")
                runs += 1
                if r.status:
                    wrong.append("%s: %s" % (" ".join(command), r))
                    continue
                rows = r.json["rows"]
                if command[0] == "ets":
                    ours = [(x["id"], x["size"]) for x in rows if x["name"] == "kept"]
                    # where tables never hold still, what their sizes are may stay unproven
                    unproven = [k for k, size in ours if size is None]
                    without += 1 if unproven else 0
                    if sorted(k for k, _ in ours) != kept or \
                            [x for x in ours if x[1] not in (1, None)] or \
                            (unproven and not r.json["notes"]):
                        wrong.append("ets: of 20 tables that stay: %r; skipped %d, %r"
                                     % (ours, r.json["skipped"], r.json["notes"]))
                if command[0] == "ps":
                    seen = sorted((x["registered_name"], x["pid"]) for x in rows
                                  if (x["registered_name"] or "").startswith("elder_"))
                    if seen != sorted(map(tuple, elders)):
                        wrong.append("ps: of 20 processes that stay: %r" % seen)
    finally:
        node.eval("[exit(P, kill) || P <- Churn]")
        node.eval("mayflies:retire(Elders)")
        node.eval("[ets:delete(T) || T <- Kept]")
    ebt.ok(without <= 5, "churn: sizes of tables are there in most reports", without)
    ebt.ok(not wrong, "churn: %d reports while names and tables come and go" % runs, *wrong[:5])


def vanished(node):
    """A process, or a name, that is no more."""
    if "proc" not in names():
        return
    pid = node.eval("Gone = fixture:worker()")
    node.eval("begin register(was_here, Gone), fixture:stop(Gone) end")
    said("proc of a name that vanished", read(node, ["proc", "was_here"]), 2, "was_here")
    said("proc of a process that died", read(node, ["proc", pid]), 2, pid)
    said("proc of no pid", read(node, ["proc", "<0.x.0>"]), 2)


def stopped(node):
    """A VM that the kernel has stopped is read all the same, and is still stopped then."""
    node.quiet()
    os.kill(node.os_pid, signal.SIGSTOP)
    try:
        ebt.wait_for(lambda: state_of(node) == "T", "the node to stop")
        for command in commands():
            r = read(node, command, "--json")
            ebt.ok(r.status == 0 and r.json["rows"], " ".join(command) + ": of a stopped VM", r)
        ebt.equal(state_of(node), "T", "stopped: it still is")
    finally:
        os.kill(node.os_pid, signal.SIGCONT)
    ebt.equal(node.eval("1 + 1"), 2, "stopped: it goes on")


def state_of(node):
    with open("/proc/%d/stat" % node.os_pid) as f:
        return f.read().rpartition(")")[2].split()[0]


def dumping(node):
    """A VM that writes a crash dump, and does not get on with it."""
    with ebt.Node(node.release) as victim:
        fifo = victim.dir + "/dump"
        os.mkfifo(fifo)
        victim.eval('begin os:putenv("ERL_CRASH_DUMP", "%s/dump"), '
                    'os:putenv("ERL_CRASH_DUMP_SECONDS", "-1"), '
                    'fixture:worker([], [{copy, 2000, 4090}]) end' % victim.inside)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        try:
            os.kill(victim.os_pid, signal.SIGUSR1)
            # it fills the pipe, and then waits for us
            ebt.wait_for(lambda: waiting_bytes(reader) >= 65536, "the crash dump to begin")
            for command in commands():
                r = read(victim, command, "--json")
                ebt.ok(r.status == 0 and r.json["rows"] or
                       r.status in (1, 3) and r.json["error"]["message"],
                       "%s: of a VM that dumps: exit %s" % (" ".join(command), r.status), r)
            ebt.ok(victim.alive(), "dumping: it still is")
        finally:
            os.close(reader)


def waiting_bytes(fd):
    import array
    import fcntl
    n = array.array("i", [0])
    fcntl.ioctl(fd, 0x541B, n)          # FIONREAD
    return n[0]


def killed(node):
    """The VM ends between two reports: those before stand, and it is said."""
    with ebt.Node(node.release) as victim:
        running = [(c, ebt.start([ebt.EBEAM, *c, "-i", "0.1", "--json", "-p", str(victim.os_pid)],
                                 stdin=ebt.subprocess.DEVNULL, stdout=ebt.subprocess.PIPE,
                                 stderr=ebt.subprocess.PIPE)) for c in commands()]
        first = [ebt.Lines(p.stdout.fileno()).next("a report of " + " ".join(c))
                 for c, p in running]
        victim.child.kill()
        victim.child.wait(ebt.TIMEOUT)
        for (command, p), line in zip(running, first):
            out, err = p.communicate(timeout=ebt.TIMEOUT)
            what = " ".join(command)
            ebt.ok(json.loads(line)["rows"], what + ": reported before the end")
            ebt.ok(p.returncode == 0 and b"ended" in err, what + ": the end: exit 0, and said",
                   p.returncode, err)
            ebt.end(p)


def ends_while_read(node):
    """The VM ends at any moment of a report: a report, or one line."""
    wrong, statuses = [], set()
    for n in range(4):
        with ebt.Node(node.release) as victim:
            victim.eval("[fixture:worker() || _ <- lists:seq(1, 3000)]")
            for command in commands()[n % 2::2]:
                timer = threading.Timer(0.002 + 0.006 * n, lambda v=victim: v.child.kill())
                timer.start()
                r = read(victim, command, "--json")
                timer.join()
                statuses.add(r.status)
                try:
                    good = r.json["rows"] if r.status == 0 else r.json["error"]["message"]
                except (ebt.Failure, KeyError):
                    good = False
                if not good or r.status not in (0, 1, 2):
                    wrong.append("%s: %s" % (" ".join(command), r))
                break
    ebt.ok(not wrong, "the VM ends while it is read: %s" % sorted(statuses), *wrong[:5])


def paged_out(node):
    """Pages that are not resident are read as well: what the VM lets go of, and what is in swap."""
    with open("/proc/swaps") as f:
        swap = len(f.read().splitlines()) > 1
    groups = glob.glob("/sys/fs/cgroup/memory/cgroup.procs")
    if not swap or not groups:
        # process_vm_readv() faults pages in as any access does; without swap none are out
        ebt.diag("no swap here: nothing can be paged out")
        return
    folder = "/sys/fs/cgroup/memory/ebeam-swap.%d" % os.getpid()
    with ebt.Node(node.release) as victim:
        victim.eval("Held = [fixture:worker([], [{copy, 100, 4090}]) || _ <- lists:seq(1, 200)]")
        os.mkdir(folder)
        try:
            with open(folder + "/cgroup.procs", "w") as f:
                f.write(str(victim.os_pid))
            with open(folder + "/memory.force_empty", "w") as f:
                f.write("0")
            for command in commands():
                r = read(victim, command, "--json")
                ebt.ok(r.status == 0 and r.json["rows"] and not r.json["faults"],
                       " ".join(command) + ": of a VM that is in swap", r)
        finally:
            victim.close()
            ebt.wait_for(lambda: not os.path.exists(folder) or not os.rmdir(folder), "cgroup")


if __name__ == "__main__":
    ebt.run(permission, output, hostile_names, churn, vanished, stopped, dumping, killed,
            ends_while_read, paged_out, once=[usage])
