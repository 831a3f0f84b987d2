# SPDX-License-Identifier: GPL-2.0-only
"""Harness of the live tests: real nodes, the real ebeam, TAP on stdout.

A test file defines functions that take a Node and ends with run(f, g, ...):
every function is called once for each OTP release, with one node per release
shared by the functions of a file. What a test needs of the node it asks with
Node.eval(); what ebeam says it gets as parsed JSON from Ebeam or ebeam().

Nothing here sleeps in the hope that it was long enough: everything waits for a
condition, at most TIMEOUT seconds. Every process started here is killed when
the test ends, however it ends (also where the test itself is killed: nodes and
ebeam get SIGKILL by the kernel when their parent dies).

Environment: EBEAM_BIN (the binary), EBEAM_OTP ("23 25 27 29"), EBEAM_CACHE
(see scripts/otp-root), CI=true (a release that is missing fails, not skips).
"""
import atexit
import contextlib
import ctypes
import glob
import importlib.machinery
import importlib.util
import json
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback

TIMEOUT = 30
LIVE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(LIVE)
TOP = os.path.dirname(TESTS)
EBEAM = os.path.abspath(os.environ.get("EBEAM_BIN") or os.path.join(TOP, ".output", "ebeam"))
RELEASES = os.environ.get("EBEAM_OTP", "23 25 27 29").split()
ENV = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin", LC_ALL="C.UTF-8")
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


class Failure(Exception):
    """A condition the rest of the test needs did not come true."""


class Missing(Exception):
    """Something of the machine is missing: skip, or fail under CI=true."""


# ---- TAP ---------------------------------------------------------------------

count = failed = 0
context = ""


def diag(text):
    for line in str(text).splitlines():
        print("#", line, flush=True)


def report(good, what, directive=""):
    global count, failed
    count += 1
    failed += not good
    what = (context + what).replace("#", r"\#")
    print("ok" if good else "not ok", count, "-", what, directive, flush=True)


def ok(good, what, *details):
    report(bool(good), what)
    if not good:
        for d in details:
            diag(d)
    return bool(good)


def equal(got, want, what, *details):
    return ok(got == want, what, "got %r, want %r" % (got, want), *details)


def between(low, got, high, what, *details):
    """The node was asked before and after: the truth lies between."""
    good = got is not None and low <= got <= high
    return ok(good, what, "got %r, want %r..%r" % (got, low, high), *details)


def skip(what, reason):
    report(True, what, "# SKIP " + reason)


def missing(what, reason):
    if os.environ.get("CI") == "true":
        ok(False, what, reason)
    else:
        skip(what, reason)


def guarded(what, function, *args):
    """Call a test function; what it throws is a failed test, not the end."""
    try:
        function(*args)
    except Missing as e:
        missing(what, str(e))
    except Failure as e:
        ok(False, what, e)
    except Exception:
        ok(False, what, traceback.format_exc())


def run(*functions, once=()):
    """The main program of a test file: FUNCTIONS per release, ONCE without."""
    global context
    if not os.access(EBEAM, os.X_OK):
        print("1..0 # SKIP no ebeam at %s: run make" % EBEAM if os.environ.get("CI") != "true"
              else "Bail out! no ebeam at %s" % EBEAM)
        sys.exit(os.environ.get("CI") == "true")
    print("TAP version 13", flush=True)
    for f in once:
        guarded(f.__name__, f)
    for release in RELEASES if functions else []:
        context = "otp %s: " % release
        node = None
        for f in functions:
            try:
                if node is None or not node.alive():
                    node = Node(release)
            except (Missing, Failure) as e:
                (missing if isinstance(e, Missing) else lambda w, r: ok(False, w, r))("node", str(e))
                break
            guarded(f.__name__, f, node)
        if node:
            node.close()
    context = ""
    print("1..%d" % count, flush=True)
    sys.exit(failed > 0)


def load(name):
    """The functions of another test file."""
    loader = importlib.machinery.SourceFileLoader(name, os.path.join(LIVE, name + ".t"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


# ---- children ------------------------------------------------------------------

children = []


def start(argv, **options):
    """Popen of a process that does not outlive this one."""
    def in_child():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # prove(1) and make(1) may hand down ignored signals.
        for s in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(s, signal.SIG_DFL)
    options.setdefault("env", ENV)
    child = subprocess.Popen(argv, preexec_fn=in_child, **options)
    children.append(child)
    return child


def end(child):
    if child.poll() is None:
        child.kill()
    child.wait()
    for f in (child.stdin, child.stdout, child.stderr):
        if f:
            with contextlib.suppress(OSError):
                f.close()
    if child in children:
        children.remove(child)


def end_all():
    for child in list(children):
        end(child)


def run_quick(argv, **options):
    """A helper program to its end; a failure of it ends the test."""
    p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, env=ENV, timeout=180, **options)
    if p.returncode:
        raise Failure("%s: exit %d: %s" % (" ".join(argv), p.returncode, p.stderr.strip()))
    return p.stdout


def wait_for(condition, what):
    """Poll until CONDITION() is true; its value. For states nobody announces."""
    until = time.monotonic() + TIMEOUT
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise Failure("waited %d s for %s" % (TIMEOUT, what))
        time.sleep(0.02)


class Lines:
    """Lines of a pipe, each waited for with a timeout."""

    def __init__(self, fd):
        self.fd, self.rest, self.seen = fd, b"", b""
        self.eof = False

    def next(self, what):
        """The next line without its end, or None at the end of the pipe."""
        until = time.monotonic() + TIMEOUT
        while b"\n" not in self.rest and not self.eof:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise Failure("waited %d s for %s; so far: %r"
                              % (TIMEOUT, what, self.seen[-2000:]))
            self.feed(os.read(self.fd, 65536))
        if not self.rest:
            return None
        line, _, self.rest = self.rest.partition(b"\n")
        return line.decode(errors="replace")

    def feed(self, data):
        self.eof = not data
        self.rest += data
        self.seen += data


folders = []
workdir = None


def new_dir(parent, name):
    """A folder named after this process; those of dead ones are cleared away."""
    for path in glob.glob("%s/%s.*.*" % (parent, name)):
        owner = path.rsplit(".", 2)[1]
        if owner.isdigit() and not os.path.exists("/proc/" + owner):
            shutil.rmtree(path, ignore_errors=True)
    path = tempfile.mkdtemp(prefix="%s.%d." % (name, os.getpid()), dir=parent)
    os.chmod(path, 0o755)
    folders.append(path)
    return path


def tmp(name=""):
    """A folder of this test run, or a path in it, that any user may read."""
    global workdir
    if workdir is None:
        workdir = new_dir(tempfile.gettempdir(), "ebt")
    return os.path.join(workdir, name)


@atexit.register
def tidy():
    end_all()
    for path in folders:
        shutil.rmtree(path, ignore_errors=True)


def on_signal(number, _frame):
    sys.exit(128 + number)          # runs the atexit functions


for _s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(_s, on_signal)


# What ebeam keeps of one run for the next, by build id, is of this test run alone.
ENV["XDG_CACHE_HOME"] = tmp("xdg")


def built(source, *flags, out=None):
    """Compile a C file of the tests (path below tests/) to the path OUT; that path."""
    out = out or tmp(os.path.basename(source)[:-2])
    if not os.path.exists(out):
        run_quick(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", *flags,
                   "-o", out, os.path.join(TESTS, source)])
    return out


# ---- nodes ---------------------------------------------------------------------

def root_of(release):
    p = subprocess.run([os.path.join(TOP, "scripts", "otp-root"), release], env=ENV, text=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=300)
    if p.returncode:
        raise Missing(p.stderr.strip() or "no root for OTP " + release)
    return p.stdout.strip()


def beam_of(root):
    return glob.glob(root + "/usr/lib/erlang/erts-*/bin/beam.smp")[0]


def copy_of(root):
    """A copy of a root with a beam.smp of its own (the rest are hard links)."""
    copy = new_dir(os.path.dirname(root), os.path.basename(root) + ".copy")
    run_quick(["cp", "-al", root + "/.", copy])
    replace_beam(copy)
    return copy


def replace_beam(root, edit=lambda data: data):
    """Put a new file in beam.smp's place by a rename, as an upgrade does."""
    beam = beam_of(root)
    with open(beam, "rb") as f:
        data = edit(f.read())
    with open(beam + ".new", "wb") as f:
        f.write(data)
    os.chmod(beam + ".new", 0o755)
    os.rename(beam + ".new", beam)


class Node:
    """A running node; its stdin and stdout lead to fixture:main()."""

    def __init__(self, release, *flags, root=None, wrap=()):
        """FLAGS are the emulator's; WRAP are words put before the command, of a program that
        forks once, such as unshare --fork."""
        self.release = release
        self.root = root or root_of(release)
        erts = os.path.dirname(os.path.dirname(beam_of(self.root)))
        self.erts = os.path.basename(erts)[len("erts-"):]
        bindir = "/usr/lib/erlang/erts-%s/bin" % self.erts
        self.dir = new_dir(self.root + "/tmp", "ebt")
        inside = self.dir[len(self.root):]
        shutil.copy(os.path.join(TESTS, "nodes", "fixture.erl"), self.dir)
        self.lines = None
        self.loaded, self.asked = set(), set()
        self.child = start(
            [*wrap, "chroot", self.root, bindir + "/erlexec", "+S", "2:2", *flags, "-noinput",
             "-eval", '{ok, M, Code} = compile:file("%s/fixture.erl", [binary, report]), '
                      '{module, M} = code:load_binary(M, "fixture.erl", Code), '
                      'fixture:main().' % inside],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/",
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/tmp", "ERL_CRASH_DUMP_SECONDS": "0",
                 "ROOTDIR": "/usr/lib/erlang", "BINDIR": bindir, "EMU": "beam",
                 "PROGNAME": "erl", "LC_ALL": "C.UTF-8"})
        # chroot and erlexec give way to the emulator: the pid stays.
        self.os_pid = self.child.pid
        if wrap:
            wait_for(self.find_forked, "the forked node")
        self.inside = inside
        self.lines = Lines(self.child.stdout.fileno())
        try:
            self.answer("the node to start")
        except Failure:
            self.close()
            raise

    def find_forked(self):
        with open("/proc/%d/task/%d/children" % (self.child.pid, self.child.pid)) as f:
            pids = f.read().split()
        self.os_pid = int(pids[0]) if pids else 0
        return self.os_pid

    def answer(self, what):
        while True:
            line = self.lines.next(what)
            if line is None:
                raise Failure("the node ended while waiting for %s: %r"
                              % (what, self.lines.seen[-2000:]))
            if line.startswith('{"ok":'):
                return json.loads(line)["ok"]
            if line.startswith('{"error":'):
                raise Failure("%s: %s" % (what, json.loads(line)["error"]))
            # Anything else is a message of the node's own logger.

    def eval(self, expr):
        """The value of an Erlang expression; variables last."""
        self.child.stdin.write((" ".join(expr.split()) + "\n").encode())
        self.child.stdin.flush()
        return self.answer("the value of " + expr)

    def alive(self):
        return self.child.poll() is None

    def ran_ns(self):
        """Time that its threads were on a CPU."""
        total = 0
        for path in glob.glob("/proc/%d/task/*/schedstat" % self.os_pid):
            with contextlib.suppress(OSError), open(path) as f:
                total += int(f.read().split()[0])
        return total

    def quiet(self):
        """Wait until delayed frees are done, and then until no thread has run for a while."""
        self.eval("fixture:drained()")
        seen = [self.ran_ns()]

        def still():
            seen.append(self.ran_ns())
            return len(seen) > 5 and len(set(seen[-6:])) == 1
        wait_for(still, "the node to be quiet")

    def load(self, name):
        """Compile tests/nodes/NAME.erl in the node, and load it; once."""
        if name in self.loaded:
            return
        shutil.copy(os.path.join(TESTS, "nodes", name + ".erl"), self.dir)
        self.eval("(fun() -> {ok, M, Code} = compile:file(\"%s/%s.erl\", [binary, return_errors]), "
                  "{module, M} = code:load_binary(M, \"%s.erl\", Code) end)()"
                  % (self.inside, name, name))
        self.loaded.add(name)

    def add_library(self, name):
        """A library for the node, made with the headers of this machine; False: it was there."""
        include = "/usr/lib/erlang/usr/include"
        if not os.path.exists(include + "/erl_nif.h"):
            raise Missing("no erl_nif.h: install erlang-dev")
        if os.path.exists("%s/%s.so" % (self.dir, name)):
            return False        # loaded; and a mapped file must not be written to
        so = built("nodes/%s.c" % name, "-shared", "-fPIC", "-nostdlib", "-fno-stack-protector",
                   "-I" + include)
        shutil.copy(so, "%s/%s.so" % (self.dir, name))
        return True

    def load_nif(self):
        """The NIF of the fixture."""
        if not self.add_library("fixture_nif"):
            return
        got = self.eval('fixture:nif_load("%s/fixture_nif")' % self.inside)
        if got != "ok":
            raise Failure("load_nif: %r" % (got,))

    def load_driver(self):
        """The driver of the fixture, with a port of it in the variable Driver."""
        if self.add_library("fixture_drv"):
            self.eval('Driver = fixture:driver_open("%s")' % self.inside)

    def close(self):
        end(self.child)
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# ---- ebeam ---------------------------------------------------------------------

class Ebeam:
    """A tracing ebeam, ready when the constructor returns.

    JSON, all rows, ends at stop(). WRAP are words put before the command;
    OUT is its stdout where a test wants another than a file of ours.
    """

    def __init__(self, *args, pid, wrap=(), env=None, out=None, ready=True, seconds=120):
        self.out = tempfile.TemporaryFile(dir=tmp())
        self.child = start([*wrap, EBEAM, *args, "--json", "-l", "0", "-d", str(seconds),
                            "-p", str(pid)],
                           stdin=subprocess.DEVNULL, stdout=self.out if out is None else out,
                           stderr=subprocess.PIPE, env=dict(ENV, **(env or {})))
        self.err = Lines(self.child.stderr.fileno())
        if ready:
            try:
                self.wait_ready()
            except Failure:
                end(self.child)
                raise

    def wait_ready(self):
        while True:
            line = self.err.next("ebeam to say Tracing")
            if line is None:
                self.child.wait(TIMEOUT)
                raise Failure("ebeam did not start: exit %d: %s %s"
                              % (self.child.returncode, self.stderr(), self.stdout()[:2000]))
            if line.startswith("Tracing"):
                return

    def send(self, number):
        self.child.send_signal(number)
        return self

    def wait(self):
        """Exit status, once it ended by itself or by a signal."""
        while not self.err.eof:
            self.err.next("ebeam to end")
        try:
            return self.child.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            raise Failure("ebeam closed its stderr but did not end")

    def stderr(self):
        return self.err.seen.decode(errors="replace")

    def stdout(self):
        self.out.seek(0)
        return self.out.read().decode(errors="replace")

    def document(self):
        text = self.stdout()
        try:
            return json.loads(text)
        except ValueError as e:
            raise Failure("stdout of ebeam is no JSON document: %s: %r" % (e, text[:500]))

    def stop(self, number=signal.SIGINT):
        """End it as Ctrl-C would; the report."""
        self.send(number)
        status = self.wait()
        if status:
            raise Failure("ebeam: exit %d: %s %s" % (status, self.stderr(), self.stdout()[:1000]))
        return self.document()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.child)
        self.out.close()


def trace(node, **options):
    return Ebeam("trace", "--exact", pid=node.os_pid, **options)


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    @property
    def json(self):
        try:
            return json.loads(self.out)
        except ValueError:
            raise Failure("no JSON on stdout: exit %s, %r, %r"
                          % (self.status, self.out[:500], self.err[:500]))

    def __str__(self):
        return "exit %s\nstdout: %s\nstderr: %s" % (self.status, self.out[:1500], self.err[:1500])


def ebeam(*args, wrap=(), env=None, out=subprocess.PIPE):
    """Run ebeam to its end."""
    child = start([*wrap, EBEAM, *map(str, args)], stdin=subprocess.DEVNULL, stdout=out,
                  stderr=subprocess.PIPE, text=True, errors="surrogateescape",
                  env=dict(ENV, **(env or {})))
    try:
        stdout, stderr = child.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise Failure("ebeam %s did not end in %d s" % (" ".join(map(str, args)), TIMEOUT))
    finally:
        end(child)
    return Result(child.returncode, stdout or "", stderr)


# ---- reading reports -------------------------------------------------------------

def rows(doc, section, **match):
    """Rows of a section (or of a plain document) whose keys have these values."""
    found = doc["sections"][section]["rows"] if section else doc["rows"]
    return [r for r in found if all(r.get(k) == v for k, v in match.items())]


def row(doc, section, **match):
    found = rows(doc, section, **match)
    if len(found) != 1:
        raise Failure("%d rows in %s with %r" % (len(found), section, match))
    return found[0]


def total(found, key):
    return sum(r[key] for r in found)


def bucket(found, size):
    """Count of a size in the histogram(s) of rows: that of its power of two."""
    return in_buckets(found, "size_histogram", size, size)


def in_buckets(found, key, low, high):
    """Count in the buckets of rows' histograms in which a value LOW..HIGH may be."""
    return sum(b["count"] for r in found for b in r[key] if b["hi"] >= low and b["lo"] <= high)


def entries(found, key):
    """Count in all buckets."""
    return sum(b["count"] for r in found for b in r[key])


# ---- the node's own word ---------------------------------------------------------

def sandwich(node, ask, read, moving=(), what="sandwich", at_least=1):
    """What READ() finds equals what the node says of itself.

    ASK is an Erlang expression for Node.eval(): a map of keys, or a list of {Row, map of keys}.
    READ returns the same as a dict, or as a dict or list of pairs of row and dict; keys that the
    node was not asked for do not count, rows do. The node answers, then is quiet, then READ runs,
    then the node answers again. A value that is the same in both answers must be ours, exactly.
    One that is not must have its key in MOVING (for a row that came or went: "row"), and ours must
    be between the two, or one of them where it is no number. At least AT_LEAST values are compared.
    What READ returned.
    """
    if ask not in node.asked:   # what is loaded, made and logged the first time
        node.eval(ask)
        node.quiet()
        node.asked.add(ask)
    before = node.eval(ask)
    node.quiet()
    ours = read()
    after = node.eval(ask)
    compared, wrong = differences(before, ours, after, moving)
    if compared < at_least:
        wrong.append("only %d values were compared, want %d" % (compared, at_least))
    more = ["... and %d more" % (len(wrong) - 30)] if len(wrong) > 30 else []
    ok(not wrong, "%s: %d values are the node's own" % (what, compared), *wrong[:30], *more)
    return ours


def by_row(answer):
    """{row: {key: value}} of a list of rows, or a dict of them. A row twice: Failure."""
    found = {}
    for name, keys in answer.items() if isinstance(answer, dict) else answer:
        name = tuple(name) if isinstance(name, list) else name
        if name in found:
            raise Failure("row %r is there twice" % (name,))
        found[name] = keys
    return found


def differences(before, ours, after, moving):
    """(how many values were compared, what is wrong with ours): see sandwich()."""
    if isinstance(before, dict):        # no rows, whatever the values are
        before, ours, after = {None: before}, {None: ours}, {None: after}
    before, ours, after = by_row(before), by_row(ours), by_row(after)
    wrong, compared = [], 0
    for name in {**before, **after, **ours}:
        told = (name in before) + (name in after)
        if told < 2:
            if name in ours and not told:
                wrong.append("row %r: not in the node's answers" % (name,))
            if told and "row" not in moving:
                wrong.append("row %r: in one of the node's answers only" % (name,))
            continue
        if name not in ours:
            wrong.append("row %r: missing in ours" % (name,))
            continue
        for key in {**before[name], **after[name]}:
            compared += 1
            values = [answer[name].get(key, "(no such key)") for answer in (before, ours, after)]
            reason = difference(*values, key in moving)
            if reason:
                wrong.append("%s%s: %s: before %r, ours %r, after %r"
                             % ("" if name is None else "row %r: " % (name,), key, reason, *values))
    return compared, wrong


def difference(before, ours, after, may_move):
    """What is wrong with one value, or None. True is not 1, and 1.0 is."""
    def same(a, b):
        return a == b and isinstance(a, bool) == isinstance(b, bool)

    def number(a):
        return isinstance(a, (int, float)) and not isinstance(a, bool)
    if same(before, after):
        return None if same(ours, before) else "differs"
    if not may_move:
        return "moved"
    if number(before) and number(after):
        good = number(ours) and min(before, after) <= ours <= max(before, after)
    else:
        good = same(ours, before) or same(ours, after)
    return None if good else "not between"


# ---- is it clean? ------------------------------------------------------------------

def held_by_others():
    """Ids of the programs in the hands of an ebeam that is no child of ours."""
    ids = set()
    for path in glob.glob("/proc/[0-9]*"):
        with contextlib.suppress(OSError):
            with open(path + "/comm") as f:
                if f.read().strip() != "ebeam" or \
                        int(path[len("/proc/"):]) in (c.pid for c in children):
                    continue
            for info in glob.glob(path + "/fdinfo/*"):
                with contextlib.suppress(OSError), open(info) as f:
                    ids.update(int(x) for x in re.findall(r"^prog_id:\s*(\d+)", f.read(), re.M))
    return ids


def bpf_left():
    """BPF programs with our names, and links to them; not those of another run."""
    others = held_by_others()
    progs = {p["id"]: p["name"] for p in bpftool("prog")
             if p.get("name", "").startswith("eb_") and p["id"] not in others}
    links = [x["id"] for x in bpftool("link") if x.get("prog_id") in progs]
    return ["program %s" % name for name in progs.values()] + ["link %d" % x for x in links]


def bpftool(what):
    return json.loads(run_quick(["bpftool", what, "show", "-j"]) or "[]")


def sites(os_pid):
    """{name: file offset} of the probe sites of a VM, from doctor."""
    found = {}
    doc = ebeam("doctor", "--json", "-p", os_pid).json
    for r in doc["rows"]:
        at = re.search(r"offset 0x([0-9a-f]+)", r["detail"] or "")
        if r["check"].startswith("site ") and at:
            found[r["check"][5:]] = int(at.group(1), 16)
    if not found:
        raise Failure("doctor names no probe site")
    return found


def changed_sites(os_pid, where):
    """The sites whose bytes in the process are not those of its file."""
    exe = os.stat("/proc/%d/exe" % os_pid)
    maps = []
    with open("/proc/%d/maps" % os_pid) as f:
        for line in f:
            span, perms, offset, _, inode = line.split()[:5]
            if int(inode) == exe.st_ino and "x" in perms:
                low, high = (int(x, 16) for x in span.split("-"))
                maps.append((low, high, int(offset, 16)))
    changed = []
    with open("/proc/%d/exe" % os_pid, "rb") as file, open("/proc/%d/mem" % os_pid, "rb") as mem:
        for name, at in where.items():
            for low, high, offset in maps:
                if offset <= at < offset + high - low:
                    file.seek(at)
                    mem.seek(low + at - offset)
                    if file.read(8) != mem.read(8):
                        changed.append(name)
                    break
            else:
                raise Failure("site %s: offset %#x is in no executable mapping" % (name, at))
    return changed


def clean(what, node=None, where=None):
    """Nothing of a tracer is left in the kernel, nor in the VM's code."""
    try:
        wait_for(lambda: not bpf_left(), "the BPF programs to go")
        ok(True, what + ": no BPF program or link left")
    except Failure:
        ok(False, what + ": no BPF program or link left", bpf_left())
    if node:
        equal(changed_sites(node.os_pid, where), [], what + ": bytes at all sites as in the file")


# ---- ELF -----------------------------------------------------------------------------

def file_offset(path, symbol):
    """Where the data of an exported symbol lies in a 64-bit ELF file."""
    value = None
    for line in run_quick(["nm", "-D", path]).splitlines():
        word = line.split()
        if len(word) == 3 and word[2].split("@")[0] == symbol:
            value = int(word[0], 16)
    if value is None:
        raise Failure("%s has no symbol %s" % (path, symbol))
    with open(path, "rb") as f:
        head = f.read(64)
        phoff, = struct.unpack_from("<Q", head, 32)
        size, number = struct.unpack_from("<HH", head, 54)
        for i in range(number):
            f.seek(phoff + i * size)
            kind, _, offset, vaddr, _, filesz = struct.unpack("<IIQQQQ", f.read(40))
            if kind == 1 and vaddr <= value < vaddr + filesz:
                return value - vaddr + offset
    raise Failure("%s: symbol %s is in no segment" % (path, symbol))


def symbol_offset(data, symbol):
    """Where the value of a symbol stands in the .dynsym of a 64-bit ELF file's bytes."""
    shoff, = struct.unpack_from("<Q", data, 40)
    size, number = struct.unpack_from("<HH", data, 58)
    heads = [struct.unpack_from("<IIQQQQII", data, shoff + i * size) for i in range(number)]
    for _, kind, _, _, offset, length, link, _ in heads:
        if kind != 11:
            continue
        strings = heads[link][4]
        for at in range(offset, offset + length, 24):
            name = strings + struct.unpack_from("<I", data, at)[0]
            if data[name:name + len(symbol) + 1] == symbol.encode() + b"\0":
                return at + 8
    raise Failure("no symbol " + symbol)
