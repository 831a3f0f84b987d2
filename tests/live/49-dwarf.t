#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""The layout of a VM from DWARF: right, it is what everything is read by; wrong or damaged, the
release's own row is used instead.

An unstripped emulator is not needed: tests/unit/row_source.c prints C structs with the offsets of
a row, and compiled with the VM's own build id they are a debug file of it."""
import os
import re
import struct

import ebt

LIBS = ("-lbpf", "-ldw", "-lelf", "-ljson-c", "-lcapstone", "-lz", "-ldl", "-pthread")
MOVED = ("proc_htop=8", "ptab_tab=8", "allctr_mbcs=8", "bin_orig_size=8", "sched_no=8")
files = {}          # of this release: what is different -> path


def row_source():
    out = ebt.tmp("row_source")
    if not os.path.exists(out):
        lib = os.path.join(os.environ.get("EBEAM_OUT") or os.path.dirname(ebt.EBEAM), "libebeam.a")
        # a library that was built with sanitizers needs theirs
        more = ("-fsanitize=address,undefined",) if "asan" in ebt.run_quick(
            ["ldd", ebt.EBEAM]) else ()
        ebt.run_quick(["gcc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-D_GNU_SOURCE", *more,
                       *("-I" + os.path.join(ebt.TOP, d)
                         for d in ("include", "user", "tests/unit")),
                       "-o", out, os.path.join(ebt.TESTS, "unit", "row_source.c"), lib, *LIBS])
    return out


def build_id(path):
    return re.search(r"Build ID: ([0-9a-f]+)", ebt.run_quick(["readelf", "-n", path])).group(1)


def debug_file(node, row, *moved):
    """A file with the DWARF of a row, some of whose fields lie elsewhere."""
    out = ebt.tmp("%s.so" % "-".join((row,) + moved))
    with open(out + ".c", "w") as f:
        f.write(ebt.run_quick([row_source(), row, *moved]))
    ebt.run_quick(["gcc", "-g", "-shared", "-fPIC", "-nostdlib", "-o", out, out + ".c",
                   "-Wl,--build-id=0x" + build_id(ebt.beam_of(node.root))])
    return out


def damaged(path, section, at, flip):
    """A copy with one byte of a section flipped."""
    out = "%s%s-%d.so" % (path, section, at)
    with open(path, "rb") as f:
        data = bytearray(f.read())
    shoff, = struct.unpack_from("<Q", data, 40)
    size, number, names = struct.unpack_from("<HHH", data, 58)
    heads = [struct.unpack_from("<IIQQQQ", data, shoff + i * size) for i in range(number)]
    for name, _, _, _, offset, _ in heads:
        start = heads[names][4] + name
        if data[start:data.index(0, start)] == section.encode():
            data[offset + at] ^= flip
            with open(out, "wb") as f:
                f.write(data)
            return out
    raise ebt.Failure("%s has no %s" % (path, section))


def listed(node, *args):
    """The node's row, and what -v says of it."""
    r = ebt.ebeam("-v", "list", "--json", "-l", "0", *args)
    row, = [x for x in r.json["rows"] if x["os_pid"] == node.os_pid]
    said = "pid %d: " % node.os_pid
    return row, [line.split(said)[1] for line in r.err.splitlines() if said in line]


def doctor(node, path):
    r = ebt.ebeam("-v", "doctor", "--json", "-l", "0", "--symbols", path, "-p", node.os_pid)
    return r, {x["check"]: x for x in r.json["rows"]}


def right(node):
    """Its DWARF is what the VM is read by."""
    own, _ = listed(node)
    files.clear()
    files["own"], files["right"] = own["layout"], debug_file(node, own["layout"])
    row, _ = listed(node, "--symbols", files["right"])
    ebt.equal((row["layout"], row["supported"], row["reason"]), ("dwarf", True, None),
              "list: the layout is from DWARF", row)
    ebt.equal({k: row[k] for k in ("node", "otp_release", "erts", "emulator")},
              {k: own[k] for k in ("node", "otp_release", "erts", "emulator")},
              "list: and all else as without it")
    r, found = doctor(node, files["right"])
    ebt.equal((r.status, r.json["target"]["layout"]), (0, "dwarf"), "doctor: layout", r)
    ebt.equal(found["layout trust"]["detail"], "dwarf: exact", "doctor: it is to be trusted")
    ebt.equal([x for x in found.values() if x["check"].startswith("layout") and x["status"] != "ok"],
              [], "doctor: all proofs pass")
    ebt.ok("layout read from the DWARF of its debug file" in r.err, "doctor -v: where it is from",
           r.err)


def traced(node):
    """Binaries, held ones too, are what the node says: see 10-bin.t."""
    saved = ebt.trace

    def trace(n, **options):
        return ebt.Ebeam("trace", "--exact", "--symbols", files["right"], pid=n.os_pid, **options)
    ebt.trace = trace
    try:
        with trace(node) as t:
            ebt.equal(t.stop()["target"]["layout"], "dwarf", "trace: layout")
        BIN.made_and_dropped(node)
        BIN.shared(node)
    finally:
        ebt.trace = saved


def own_row(node, what, path, *begins):
    """The DWARF is of no use, the release's row is; -v says lines that begin so, one by one."""
    row, said = listed(node, "--symbols", path)
    ebt.equal((row["layout"], row["supported"], row["reason"]), (files["own"], True, None),
              what + ": the release's own row", row)
    told = iter(said)
    ebt.ok(all(any(words in line for line in told) for words in begins),
           what + ": the steps are said with -v", *said)


def moved(node):
    """One field elsewhere: the proof finds it."""
    for move in MOVED:
        path = debug_file(node, files["own"], move)
        own_row(node, move, path, "layout read from the DWARF of its debug file",
                "layout dwarf (exact)", "layout %s (" % files["own"])
    doc = ebt.ebeam("trace", "--json", "-d", "0.1", "--symbols", path, "-p", node.os_pid).json
    ebt.equal((doc["target"]["layout"], doc["target"]["unverified"]), (files["own"], False),
              "trace: the release's own row, too")


def garbled(node):
    """One byte is not as it was: no layout from there, and doctor warns."""
    for section, at, flip in ((".debug_info", 4, 0xff), (".debug_abbrev", 1, 0x40),
                              (".debug_abbrev", 3, 0xff)):
        path = damaged(files["right"], section, at, flip)
        own_row(node, "%s+%d" % (section, at), path, "no layout from DWARF: ",
                "layout %s (" % files["own"])
    r, found = doctor(node, path)
    row = found.get("layout dwarf", {})
    ebt.ok(row.get("status") == "warn" and row["detail"], "garbled: doctor warns", row)
    ebt.equal((r.status, r.json["target"]["layout"]), (0, files["own"]), "garbled: only that")


if __name__ == "__main__":
    BIN = ebt.load("10-bin")
    ebt.run(right, garbled, traced, moved)
