#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""What goes wrong is said in one message, with the right exit status, and
leaves nothing behind."""
import os
import shutil
import signal

import ebt


def refused(what, result, status, *words):
    """The exit status, and a JSON error whose text has all the words."""
    wanted = status if isinstance(status, tuple) else (status,)
    ebt.ok(result.status in wanted, "%s: exit %s" % (what, " or ".join(map(str, wanted))), result)
    try:
        error = result.json["error"]
    except (ebt.Failure, KeyError, TypeError):
        ebt.ok(False, what + ": JSON error on stdout", result)
        return
    text = "%s %s" % (error["message"], error.get("hint") or "")
    ebt.ok(error["code"] and error["message"] and all(str(w) in text for w in words),
           what + ": the error says why" + ("".join(", " + str(w) for w in words
                                                    if not str(w).isdigit())), result)


def trace(pid, *more, **options):
    return ebt.ebeam("trace", "--json", "-d", "1", "-p", pid, *more, **options)


# ---- the command line and the target ---------------------------------------------

def usage():
    r = ebt.ebeam("no-such-command")
    ebt.ok(r.status == 2 and "no-such-command" in r.err, "unknown command: exit 2, named", r)
    r = ebt.ebeam("list", "--no-such-option")
    ebt.ok(r.status == 2 and "no-such-option" in r.err, "unknown option: exit 2, named", r)
    r = ebt.ebeam()
    ebt.ok(r.status == 2 and r.err and not r.out, "no command: exit 2, on stderr", r)
    for args in (("-p", "abc"), ("-p", "-5"), ("-p", "1", "-d", "never"), ("-l", "x")):
        r = ebt.ebeam("trace", *args)
        ebt.ok(r.status == 2 and r.err, "trace %s: exit 2" % " ".join(args), r)
    r = ebt.ebeam("--help")
    ebt.ok(r.status == 0 and "trace" in r.out, "--help: exit 0, on stdout", r)


def wrong_pids():
    with open("/proc/sys/kernel/pid_max") as f:
        nobody = int(f.read()) + 1
    refused("a pid that cannot be", trace(nobody), (1, 2), nobody)
    child = ebt.start(["true"])
    child.wait()
    refused("a dead pid", trace(child.pid), (1, 2), child.pid)
    refused("a pid that is no BEAM", trace(os.getpid()), 2, os.getpid())
    # A kernel thread has no executable at all.
    if os.path.exists("/proc/2/comm") and not os.path.exists("/proc/2/exe"):
        refused("a kernel thread", trace(2), 2, 2)


def several(node):
    with ebt.Node(node.release) as other:
        r = ebt.ebeam("trace", "--json", "-d", "1")
        refused("several nodes and no -p", r, 2, node.os_pid, other.os_pid)


# ---- the VM ------------------------------------------------------------------------

def killed_in_between(node):
    with ebt.Node(node.release) as victim, ebt.trace(victim) as t:
        victim.eval("fixture:worker([], [{copy, 100, 4090}, {gc, major, 3}])")
        victim.child.kill()
        victim.child.wait(ebt.TIMEOUT)
        status = t.wait()
        ebt.ok(status in (0, 1), "the node is killed: ebeam ends by itself", status, t.stderr())
        doc = t.document()
        ebt.ok("sections" in doc and (status or doc["notes"]),
               "the node is killed: still a report, with a note", doc.get("notes"))
    ebt.clean("the node is killed")


def ended_in_between(node):
    """An orderly end: everything that was seen is reported."""
    with ebt.Node(node.release) as victim, ebt.trace(victim) as t:
        pid = victim.eval("P = fixture:worker([], [{gc, major, 3}])")
        victim.child.stdin.close()
        victim.child.wait(ebt.TIMEOUT)
        status = t.wait()
        ebt.ok(status in (0, 1), "the node ends: ebeam ends by itself", status, t.stderr())
        found = ebt.rows(t.document(), "gc", pid=pid)
        ebt.equal([r["major"] for r in found], [3], "the node ends: what was seen is reported")
    ebt.clean("the node ends")


def upgraded(node):
    """The file of a running VM is replaced, as a package upgrade does."""
    copy = ebt.copy_of(node.root)
    with ebt.Node(node.release, root=copy) as old:
        ebt.replace_beam(copy)
        ebt.ok(os.readlink("/proc/%d/exe" % old.os_pid).endswith("(deleted)"),
               "upgraded: its file is gone from the disk")
        pid = old.eval("P = fixture:worker()")
        with ebt.trace(old) as t:
            old.eval("fixture:do(P, {gc, major, 3})")
            doc = t.stop()
        ebt.equal(ebt.row(doc, "gc", pid=pid)["major"], 3, "upgraded: traced all the same")
        ebt.clean("upgraded", old, ebt.sites(old.os_pid))


def unknown_release(node):
    """A VM that says it is OTP 99, or two things at once, is refused, not misread."""
    text = b"Erlang/OTP " + node.release.encode() + b"%s [erts-"
    exported = node.release != "29"

    def edit(data, name, version):
        at = data.index(text) + len("Erlang/OTP ")
        if data.count(text) != 1:
            raise ebt.Failure("the version's text is there %d times" % data.count(text))
        data = data[:at] + version + data[at + 2:]
        if exported:
            at = ebt.file_offset(ebt.beam_of(node.root), "etp_otp_release")
            if data[at:at + 3] != node.release.encode() + b"\0":
                raise ebt.Failure("etp_otp_release is %r" % data[at:at + 8])
            data = data[:at] + name + data[at + 2:]
        return data
    kinds = [(b"99", b"99"), (b"22", b"22")] + [(b"99", node.release.encode())] * exported
    for name, version in kinds:
        copy = ebt.copy_of(node.root)
        ebt.replace_beam(copy, lambda data: edit(data, name, version))
        with ebt.Node(node.release, root=copy) as strange:
            refused("OTP %s, %s" % (name.decode(), version.decode()), trace(strange.os_pid), 3,
                    name.decode())


def other_build(node):
    """A build whose structures differ is known by the version's text alone."""
    if node.release not in ("25", "29"):
        return
    plain = b" [async-threads:%d]"
    for tag, why in ((b" [lock-counting]", "lock counting"), (b" [debug-compiled]", "debug build"),
                     (b" [dtrace]", "dynamic tracing")):
        def edit(data):
            if data.count(plain) != 1:
                raise ebt.Failure("%r is there %d times" % (plain, data.count(plain)))
            return data.replace(plain, tag.ljust(len(plain)))
        copy = ebt.copy_of(node.root)
        ebt.replace_beam(copy, edit)
        with ebt.Node(node.release, root=copy) as strange:
            refused(tag.decode().strip(), trace(strange.os_pid), 3, why, "ordinary build")


def faked_symbols(node):
    """Symbols that lie: of data, refused by the proof; of code, by what the code does."""
    if node.release == "29":
        return
    for name, other, why in (("erts_proc", "erts_port", "layout"),
                             ("erts_atom_table", "erts_proc", "atoms"),
                             ("erts_do_exit_process", "erts_send_message", "erts_do_exit_process"),
                             ("erts_garbage_collect_nobump", "erts_schedule", "the collector")):
        def edit(data):
            at, of = ebt.symbol_offset(data, name), ebt.symbol_offset(data, other)
            return data[:at] + data[of:of + 8] + data[at + 8:]
        copy = ebt.copy_of(node.root)
        ebt.replace_beam(copy, edit)
        with ebt.Node(node.release, root=copy) as strange:
            refused("%s is where %s is" % (name, other), trace(strange.os_pid), 3, why)


# ---- the kernel and permissions ------------------------------------------------------

def forbidden(node):
    # The workspace of a developer is often closed to others.
    binary = ebt.tmp("ebeam")
    if not os.path.exists(binary):
        shutil.copy(ebt.EBEAM, binary)
    saved, ebt.EBEAM = ebt.EBEAM, binary
    try:
        refused("another user", trace(node.os_pid, wrap=[
            "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]), 4, "CAP_SYS_PTRACE")
        refused("root without BPF", trace(node.os_pid, wrap=[
            "setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin"]), 4, "CAP_BPF")
        refused("bpf(2) forbidden", trace(node.os_pid, wrap=[ebt.built("helpers/nobpf.c")]), 4)
    finally:
        ebt.EBEAM = saved


def old_kernel(node):
    refused("an old kernel", trace(node.os_pid, env={"EBEAM_TEST_KERNEL": "5.4"}), 3, "5.4")


# ---- output and signals --------------------------------------------------------------

def output(node):
    where = ebt.sites(node.os_pid)
    with open("/dev/full", "w") as full:
        r = trace(node.os_pid, out=full)
        ebt.ok(r.status == 1 and r.err.strip(), "stdout is full: exit 1, said on stderr", r)
    read, write = os.pipe()
    os.close(read)
    try:
        with ebt.Ebeam("trace", "--exact", pid=node.os_pid, out=write) as t:
            t.send(signal.SIGINT)
            status = t.wait()
            ebt.ok(status != 0, "nobody reads stdout: not a success", status)
            ebt.ok("rror" not in t.stderr(), "nobody reads stdout: quiet", t.stderr())
    finally:
        os.close(write)
    ebt.clean("nobody reads stdout", node, where)


def signals(node):
    where = ebt.sites(node.os_pid)
    for number in (signal.SIGINT, signal.SIGTERM):
        with ebt.trace(node) as t:
            doc = t.stop(number)
            ebt.ok("sections" in doc, "%s: exit 0 and a report" % number.name)
        ebt.clean(number.name, node, where)
    with ebt.trace(node) as t:
        ebt.ok(ebt.changed_sites(node.os_pid, where), "SIGKILL: the probes were there")
        t.send(signal.SIGKILL)
        ebt.equal(t.wait(), -signal.SIGKILL, "SIGKILL: it is dead")
    ebt.clean("SIGKILL", node, where)
    ebt.equal(node.eval("1 + 1"), 2, "the node lives on")


if __name__ == "__main__":
    ebt.run(several, killed_in_between, ended_in_between, upgraded, unknown_release, other_build,
            faked_symbols, forbidden, old_kernel, output, signals, once=[usage, wrong_pids])
