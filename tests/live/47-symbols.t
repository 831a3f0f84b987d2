#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""The ladder of symbols on a real VM: what the executable lacks comes from a debug file, wherever
that is, and a file of another build is refused.

The VM's own file is made to lack one name, by writing over its first letter; the name is put into
debug files with objcopy, as it would be in those of a distribution."""
import contextlib
import http.server
import os
import pty
import select
import shutil
import signal
import subprocess
import threading
import time
import zlib

import ebt

NAME = "erts_proc"
RELEASE = "25"


def hide(data):
    whole = b"\0" + NAME.encode() + b"\0"
    if data.count(whole) != 1:
        raise ebt.Failure("%s is there %d times" % (NAME, data.count(whole)))
    return data.replace(whole, b"\0_" + NAME[1:].encode() + b"\0")


def sections(path):
    """Name, address and size of each."""
    for line in ebt.run_quick(["readelf", "-WS", path]).splitlines():
        word = line.replace("[ ", "[").split()
        if len(word) > 5 and word[0].startswith("[") and word[0] != "[Nr]":
            yield word[1], int(word[3], 16), int(word[5], 16)


def debug_file(beam, path):
    """A file as `objcopy --only-keep-debug` leaves it, with the name in its .symtab."""
    for line in ebt.run_quick(["nm", "-D", beam]).splitlines():
        word = line.split()
        if len(word) == 3 and word[2] == NAME:
            addr = int(word[0], 16)
    name, start = next((n, a) for n, a, size in sections(beam) if a and a <= addr < a + size)
    full = path + ".full"
    ebt.run_quick(["objcopy", "--add-symbol",
                   "%s=%s:%#x,global,object" % (NAME, name, addr - start), beam, full])
    ebt.run_quick(["objcopy", "--only-keep-debug", full, path])
    os.unlink(full)
    return path


def build_id(path):
    for line in ebt.run_quick(["readelf", "-n", path]).splitlines():
        if "Build ID:" in line:
            return line.split()[-1]
    raise ebt.Failure("%s has no build id" % path)


def error(what, result, status, *words):
    ebt.equal(result.status, status, what + ": exit status", result)
    text = result.json["error"]["message"] if result.out.startswith('{"error"') else result.err
    if not text:
        text = str([r["detail"] for r in result.json["rows"]])
    ebt.ok(all(w in text for w in words), what + ": says " + ", ".join(words), result)


def doctor(node, *args, **options):
    r = ebt.ebeam("doctor", "--json", "-l", "0", "-p", node.os_pid, *args, **options)
    return r, {x["check"]: x for x in r.json.get("rows", [])}


def trace(node, *args, **options):
    return ebt.ebeam("trace", "--json", "-d", "0.2", "-p", node.os_pid, *args, **options)


# ---- --symbols on an ordinary node -------------------------------------------------

def rungs(node):
    r, found = doctor(node)
    ebt.equal(r.status, 0, "doctor: exit status", r)
    # OTP 29 exports the API alone
    rung = "symbols " + ("dynsym" if node.release != "29" else "bootstrap")
    ebt.ok(found[rung]["status"] == "ok" and ", all " in found[rung]["detail"],
           "doctor: %s has all" % rung, found[rung])
    others = ("symtab", "debugfile", "file", "debuginfod")
    ebt.equal([found["symbols " + n]["status"] for n in others], ["skip"] * len(others),
              "doctor: and the others need not be there", *found.values())
    ebt.ok("symbols bootstrap" in found, "doctor: a row for every rung", *found)
    ebt.equal(found["build id"]["detail"], build_id(ebt.beam_of(node.root)), "doctor: build id")


def wrong(node):
    other = ebt.beam_of(ebt.root_of("27" if node.release != "27" else "25"))
    text = ebt.tmp("text")
    with open(text, "w") as f:
        f.write("hello\n")
    program = ebt.tmp("program")
    shutil.copy(shutil.which("true"), program)
    os.chmod(text, 0o644)
    for command in (trace, lambda *a: doctor(*a)[0]):
        error("another build", command(node, "--symbols", other), 3, "build id differs")
        error("no ELF", command(node, "--symbols", text), 3, text, "is no ELF file")
        error("no file", command(node, "--symbols", text + ".not"), 1, text + ".not", "No such file")
        error("a folder", command(node, "--symbols", "/"), 3, "no regular file")

    def ls(*args, **options):
        return ebt.ebeam("list", "--json", *args, **options)
    error("list, the file of no VM", ls("--symbols", program), 3, program, "no VM on this host")
    error("list, no ELF", ls("--symbols", text), 3, "is no ELF file")
    error("list, no file", ls("--symbols", text + ".not"), 1, "No such file")
    r = ebt.ebeam("trace", "--symbols")
    ebt.ok(r.status == 2 and "--symbols" in r.err, "--symbols without a file: exit 2", r)


def unreadable(node):
    closed = ebt.tmp("closed")
    shutil.copy(ebt.beam_of(node.root), closed)
    os.chmod(closed, 0)
    binary = ebt.tmp("ebeam")
    shutil.copy(ebt.EBEAM, binary)
    saved, ebt.EBEAM = ebt.EBEAM, binary
    try:
        error("unreadable", trace(node, "--symbols", closed, wrap=[
            "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]), 4, closed,
            "Permission denied")
    finally:
        ebt.EBEAM = saved


# ---- the cache of what was found in code and memory -------------------------------------

def cached(node, path):
    """What is kept serves the next run; what cannot be trusted does not, and is no failure."""
    def run(what, *words):
        r = trace(node, "-v")
        ebt.ok(r.status == 0 and r.json["target"]["symbols"] == "bootstrap"
               and all(w in r.err for w in words), what, r)

    def text():
        with open(path) as f:
            return f.read()

    def write(lines):
        body = "".join(line + "\n" for line in lines)
        with open(path, "w") as f:
            f.write("%scrc32 %08x\n" % (body, zlib.crc32(body.encode())))

    good = text()
    lines = good.splitlines()[:-1]
    ebt.ok(any(line.startswith(NAME + " ") for line in lines), "cache: has the name", good)
    ebt.equal([os.stat(p).st_mode & 0o7777 for p in (os.path.dirname(path), path)],
              [0o700, 0o600], "cache: is its owner's alone")
    run("cache: serves the next run", "from the cache")
    os.chmod(path, 0o666)
    run("cache: others may write it", "can be written by others")
    ebt.equal([text(), os.stat(path).st_mode & 0o777], [good, 0o600], "cache: made anew")
    with open(path, "w") as f:
        f.write(good[:-20])
    run("cache: cut off", "garbled")
    ebt.equal(text(), good, "cache: made anew")
    # Sound to look at, and wrong: the proof on the VM's memory is what finds it.
    write([line.replace(line.split()[1], "%x" % (int(line.split()[1], 16) + 8), 1)
           if line.startswith(NAME + " ") else line for line in lines])
    run("cache: a wrong address", "from the cache")
    ebt.equal(text(), good, "cache: dropped, and made anew")
    with open(path, "w") as f:
        f.write("x")
    os.chmod(os.path.dirname(path), 0o777)
    run("cache: others may write the folder", "folder can be written by others")
    ebt.equal(text(), "x", "cache: nothing is written there")
    os.chmod(os.path.dirname(path), 0o700)


# ---- a VM that lacks a name ----------------------------------------------------------

class Server(http.server.BaseHTTPRequestHandler):
    """Files by path; below /slow it stalls until `go` is set."""
    files = {}
    asked, go = threading.Event(), threading.Event()

    def do_GET(self):
        data = self.files.get(self.path.replace("/slow/", "/", 1))
        if self.path.startswith("/slow/"):
            self.asked.set()
            self.go.wait(ebt.TIMEOUT)
        with contextlib.suppress(OSError):      # who asked may have gone
            self.send_response(200 if data else 404)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

    def log_message(self, *_args):
        pass


def on_terminal(node, env):
    """Progress is shown where stderr is a terminal, and a signal ends the transfer."""
    main, sub = pty.openpty()
    child = ebt.start([ebt.EBEAM, "trace", "-d", "1", "-p", str(node.os_pid)],
                      env=dict(ebt.ENV, **env), stdin=subprocess.DEVNULL,
                      stdout=subprocess.DEVNULL, stderr=sub)
    os.close(sub)
    seen = b""
    try:
        ebt.ok(Server.asked.wait(ebt.TIMEOUT), "a slow server: asked")
        while b"waiting" not in seen and select.select([main], [], [], ebt.TIMEOUT)[0]:
            seen += os.read(main, 1000)
        ebt.ok(b"\rebeam: debuginfod: debug file of " in seen, "a slow server: progress", seen)
        start = time.monotonic()
        child.send_signal(signal.SIGINT)
        while select.select([main], [], [], ebt.TIMEOUT)[0]:
            try:
                seen += os.read(main, 1000)
            except OSError:         # the terminal has no other end any more
                break
        child.wait(ebt.TIMEOUT)
        ebt.ok(time.monotonic() - start < 10, "a slow server: Ctrl-C ends the waiting", seen)
        ebt.ok(b"\r\033[K" in seen, "a slow server: the line is wiped", seen)
    finally:
        Server.go.set()
        ebt.end(child)
        os.close(main)


def from_rung(node, rung, what, *args, **options):
    r = trace(node, *args, **options)
    ebt.ok(r.status == 0 and r.json["target"]["symbols"] == rung, what + ": traced", r)
    r, found = doctor(node, *args, **options)
    row = found.get("symbols " + rung, {})
    ebt.ok(row.get("status") == "ok" and "1 of the " in row["detail"], what + ": doctor says so",
           row, r)
    return row.get("detail", "")


def ladder():
    root = ebt.root_of(RELEASE)
    copy = ebt.copy_of(root)
    debug = debug_file(ebt.beam_of(root), ebt.tmp("beam.debug"))
    ebt.replace_beam(copy, hide)
    ident = build_id(ebt.beam_of(copy))
    with ebt.Node(RELEASE, root=copy) as node:
        bare = trace(node)
        ebt.ok(bare.status == 0 and bare.json["target"]["symbols"] == "bootstrap",
               "a name is missing: searched for", bare)
        cached(node, "%s/ebeam/%s.symbols" % (ebt.ENV["XDG_CACHE_HOME"], ident))
        ebt.ok(debug in from_rung(node, "file", "--symbols", "--symbols", debug),
               "--symbols: the file is named")
        listed = ebt.ebeam("list", "--json", "--symbols", debug).json["rows"]
        ebt.ok([r for r in listed if r["os_pid"] == node.os_pid and r["supported"]
                and r["symbols"] == "file"], "--symbols: list takes it, too", *listed)
        inside = "/usr/lib/debug/.build-id/%s/%s.debug" % (ident[:2], ident[2:])
        os.makedirs(os.path.dirname(copy + inside))
        shutil.copy(debug, copy + inside)
        ebt.ok("/proc/%d/root%s" % (node.os_pid, inside)
               in from_rung(node, "debugfile", "in its root"), "in its root: the file is named")
        os.unlink(copy + inside)
        os.symlink(debug, copy + inside)
        _, found = doctor(node)
        ebt.equal(found["symbols debugfile"]["status"], "skip", "a link out of its root: no",
                  found["symbols debugfile"])
        os.unlink(copy + inside)
        with open(debug, "rb") as f:
            Server.files = {"/buildid/%s/debuginfo" % ident: f.read()}
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        env = {"DEBUGINFOD_URLS": "http://127.0.0.1:%d" % server.server_port,
               "DEBUGINFOD_CACHE_PATH": ebt.tmp("cache"), "no_proxy": "127.0.0.1"}
        try:
            ebt.ok(ebt.tmp("cache") in from_rung(node, "debuginfod", "debuginfod", env=env),
                   "debuginfod: the file is named")
            on_terminal(node, dict(env, DEBUGINFOD_URLS=env["DEBUGINFOD_URLS"] + "/slow",
                                   DEBUGINFOD_CACHE_PATH=ebt.tmp("cache2")))
        finally:
            server.shutdown()
    ebt.clean("the ladder")


if __name__ == "__main__":
    ebt.run(rungs, wrong, unreadable, once=[ladder])
