#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""VMs that hide their symbols: what is found in code and memory is what exported names say.

OTP 29 hides them itself. The others are searched as if they did
(EBEAM_IGNORE_SYMBOLS=1), and every address is compared with the file's own
.dynsym; then bin, gc and carriers are traced with nothing else to go by.
"""
import glob
import os
import re
import zlib

import ebt

ebt.ENV["EBEAM_IGNORE_SYMBOLS"] = "1"
# found where the VM exports them, too
EXPORTED = {
    "erts_allctrs", "erts_alc_n2t", "erts_alc_n2td", "erts_alc_a2ad", "erts_proc", "erts_port",
    "erts_atom_table", "erts_aligned_scheduler_data", "erts_aligned_dirty_cpu_scheduler_data",
    "erts_aligned_dirty_io_scheduler_data", "erts_this_node", "erts_do_exit_process",
    "erts_garbage_collect_hibernate", "erts_garbage_collect_literals",
}
# static in every build: garbage_collect() of Debian's builds, by their build id's first digits,
# as disassembled by hand
STATIC = {"6b8d8579": 0x1818e0, "94bcd90b": 0x204e00, "d9c20f2e": 0x3dc8a0, "a1a858f8": 0x41d100}


def doctor(node):
    return ebt.ebeam("-vv", "doctor", "-p", node.os_pid)


def found(text):
    return {name: int(at, 16)
            for name, at in re.findall(r"^ebeam: bootstrap: (\w+) at 0x([0-9a-f]+)$", text, re.M)}


def exported(path):
    words = (line.split() for line in ebt.run_quick(["nm", "-D", path]).splitlines())
    return {w[2].split("@")[0]: int(w[0], 16) for w in words if len(w) == 3}


def same_as_exported(node):
    beam = ebt.beam_of(node.root)
    p = doctor(node)
    ebt.ok(p.status == 0, "doctor finds all it needs", p)
    got, names = found(p.err), exported(beam)
    ebt.equal(EXPORTED - set(got), set(), "everything is found")
    if node.release != "29":
        ebt.equal({n: got.get(n) for n in EXPORTED}, {n: names[n] for n in EXPORTED},
                  "and lies where the exported symbols say")
    else:
        ebt.ok(not EXPORTED & set(names), "none of it is exported")
    build_id = re.search(r"Build ID: ([0-9a-f]{8})", ebt.run_quick(["readelf", "-n", beam])).group(1)
    if build_id in STATIC:
        ebt.equal(got.get("garbage_collect"), STATIC[build_id], "garbage_collect(), which is static")
    else:
        ebt.ok("garbage_collect" in got, "garbage_collect(), which is static")
    sites = {r["check"] for r in ebt.ebeam("doctor", "--json", "-p", str(node.os_pid)).json["rows"]}
    ebt.ok("site garbage_collect" in sites and "site erts_garbage_collect" not in sites,
           "it is probed in place of its callers", *sorted(sites))


def reported(node):
    doc = ebt.ebeam("list", "--json").json
    row, = [r for r in doc["rows"] if r["os_pid"] == node.os_pid]
    ebt.equal((row["symbols"], row["supported"], row["otp_release"], row["erts"], row["node"]),
              ("bootstrap", True, node.release, node.erts, node.eval("node()")),
              "list tells where the symbols come from")
    ebt.equal(doc["faults"], 0, "addresses that were tried are no faults")


def cached(node):
    """By build id, in the user's folder; what does not hold there is found anew."""
    if node.release != "29":
        return
    del ebt.ENV["EBEAM_IGNORE_SYMBOLS"]
    try:
        first = doctor(node)
        want = found(first.err)
        ebt.ok(EXPORTED <= set(want), "the first run searches", first.err[-500:])
        path, = glob.glob(ebt.tmp("xdg/ebeam/*"))
        ebt.equal(os.stat(path).st_mode & 0o777, 0o600, "what it found is the user's own")
        second = doctor(node)
        ebt.ok(not found(second.err) and "come from the cache" in second.err,
               "the second one does not", second.err[-500:])
        with open(path) as f:
            good = f.read()
        for what, edit in (("an address that is wrong", wrong_address),
                           ("a line that is cut", lambda t: t[:-40]),
                           ("another build", lambda t: t.replace("build-id a", "build-id b"))):
            with open(path, "w") as f:
                f.write(edit(good))
            again = doctor(node)
            ebt.equal((again.status, found(again.err)), (0, want),
                      what + ": it is searched again", again.err[-800:])
            with open(path) as f:
                ebt.equal(f.read(), good, what + ": and kept again")
    finally:
        ebt.ENV["EBEAM_IGNORE_SYMBOLS"] = "1"


def wrong_address(text):
    """The cache of another day: whole, but it does not hold."""
    body = re.sub(r"^erts_proc ([0-9a-f]+)", lambda m: "erts_proc %x" % (int(m.group(1), 16) + 64),
                  text[:text.rindex("crc32")], flags=re.M)
    return body + "crc32 %08x\n" % zlib.crc32(body.encode())


if __name__ == "__main__":
    BIN, GC, CARRIER = ebt.load("10-bin"), ebt.load("20-gc"), ebt.load("30-carrier")
    # carriers first: on a fresh node nothing is in the pool that could be fetched instead
    ebt.run(same_as_exported, CARRIER.carriers, reported, cached, BIN.made_and_dropped, BIN.exits,
            GC.forced, GC.natural)
