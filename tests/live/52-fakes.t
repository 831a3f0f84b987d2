#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""What calls itself beam.smp and is no VM, or means harm, is refused with a reason, and is not
touched: tests/nodes/fake_beam.c has a little of what ebeam goes by, in each fake a little more."""
import glob
import os
import re
import subprocess

import ebt

TEXT = ('Erlang/OTP %s%%%%s [erts-%s] [64-bit] [smp:%%%%beu:%%%%beu] [ds:%%%%beu:%%%%beu:%%%%beu]'
        ' [async-threads:%%%%d] [jit:ns%%%%s]\\n')
BARE = ("-s", "-rdynamic", "-Wno-unused-parameter")


def text(otp, erts):
    return '-DTEXT="%s"' % (TEXT % (otp, erts)).replace("%%", "%")


T29 = (text("29", "17.1"),)
ALLOC = (*T29, "-DALLCTRS")
TYPES = (*ALLOC, "-DTYPES")
# offsets of the layout, the same in all releases
PLACES = ("-DPTAB_TAB=@r.o.tab", "-DPTAB_MAX=@r.o.max", "-DPTAB_COUNT=@vola.tile.count",
          "-DPROC_ID=@common.id")
PTAB = (*TYPES, "-DA2AD=1", *PLACES)
CODE = "the code of driver_alloc or enif_alloc_binary is unknown"

# what it is, how it is compiled, words of the reason
FAKES = (
    ("no version", (), "cannot tell the OTP release"),
    ("nothing but a version", T29, "erts_allctrs is not found: " + CODE),
    ("two versions", (*T29, "-DTEXT_TWICE"), "cannot tell the OTP release"),
    ("two tables of allocators", (*ALLOC, "-DOTHER_ALLCTRS"),
     "erts_allctrs is not found: two candidates"),
    ("a table that leads to no code", (*ALLOC, "-DNO_CODE"),
     "erts_allctrs is not found: entry 1 does not point to code"),
    ("no types", ALLOC, "erts_alc_n2t is not found"),
    ("no names of allocators", TYPES, "erts_alc_a2ad is not found: nothing fits"),
    ("names of allocators twice", (*TYPES, "-DA2AD=2"),
     "erts_alc_a2ad is not found: two candidates"),
    ("no code of processes", (*TYPES, "-DA2AD=1"), "erts_proc is not found: nothing fits"),
    ("processes in a circle", (*PTAB, "-DPTAB_KIND=CIRCLES"), "erts_proc is not found: nothing fits"),
    ("processes nowhere", (*PTAB, "-DPTAB_KIND=UNREADABLE"), "erts_proc is not found: nothing fits"),
    ("a process table that is too large", (*PTAB, "-DPTAB_KIND=HUGE"),
     "erts_proc is not found: nothing fits"),
    ("one process", (*PTAB, "-DPTAB_KIND=ONE_RIGHT"), "erts_port is not found: nothing fits"),
    ("OTP 22", (text("22", "10.7"),), "runs OTP 22"),
    ("OTP 30", (text("30", "18.0"),), "erts_allctrs is not found: " + CODE),
    ("no unwind table", (*T29, "-Wl,--no-eh-frame-hdr"), "has no table of its functions"),
    ("symbols of zeros", ("-DEXPORTED=ZEROED",), "layout otp25-x86_64 does not fit"),
    ("symbols that lead to one another", ("-DEXPORTED=POINTERS",),
     "layout otp25-x86_64 does not fit"),
    ("symbols of a crowd", ("-DEXPORTED=CROWDED", *PLACES), "layout otp25-x86_64 does not fit"),
    ("symbols of what changes", ("-DEXPORTED=CHANGING",), "layout otp25-x86_64 does not fit"),
)


def offsets(pid):
    """What ebeam takes for the layout of a release: path and offset of each field."""
    err = ebt.ebeam("-vv", "doctor", "-p", pid).err
    found = dict(re.findall(r"^ebeam: layout: (?:ErtsPTab|Process)\.(\S+) = (\d+)$", err, re.M))
    if not found:
        raise ebt.Failure("no layout in %s" % err[-1000:])
    return found


class Fake:
    def __init__(self, name, flags, fields):
        self.dir = ebt.tmp("fake-" + name.replace(" ", "-"))
        os.mkdir(self.dir, 0o755)
        flags = [re.sub("@(.*)", lambda m: fields[m.group(1)], f) for f in flags]
        exe = ebt.built("nodes/fake_beam.c", *BARE, *flags, out=self.dir + "/beam.smp")
        self.build_id = re.search("Build ID: (.*)", ebt.run_quick(["readelf", "-n", exe])).group(1)
        self.child = ebt.start([exe], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.pid = self.child.pid
        if ebt.Lines(self.child.stdout.fileno()).next("the fake to start") != "ready":
            raise ebt.Failure("%s does not start" % exe)

    def touched(self):
        """Offsets of pages of its code that are not as in its file."""
        changed = []
        with open(self.dir + "/beam.smp", "rb") as f:
            data = f.read()
        with open("/proc/%d/maps" % self.pid) as f, open("/proc/%d/mem" % self.pid, "rb") as mem:
            for line in f:
                word = line.split()
                if len(word) < 6 or not word[5].endswith("/beam.smp") or "x" not in word[1]:
                    continue
                low, high = (int(x, 16) for x in word[0].split("-"))
                offset = int(word[2], 16)
                for at in range(0, min(high - low, len(data) - offset), 4096):
                    mem.seek(low + at)
                    part = data[offset + at:offset + at + 4096]
                    if mem.read(len(part)) != part:
                        changed.append(offset + at)
                changed.append(None)
        if not changed:
            raise ebt.Failure("no code of %s is mapped" % self.dir)
        return [x for x in changed if x is not None]


def refused(name, fake, words):
    what = name + ": "
    r = ebt.ebeam("trace", "--json", "-d", "1", "-p", fake.pid)
    ebt.equal(r.status, 3, what + "trace: exit 3", r)
    error = r.json.get("error", {})
    ebt.ok(words in error.get("message", "") and str(fake.pid) in error["message"]
           and error.get("hint"), what + "trace: says why, and what to do", r)
    r = ebt.ebeam("doctor", "--json", "-l", "0", "-p", fake.pid)
    ebt.equal(r.status, 3, what + "doctor: exit 3", r)
    row = [x for x in r.json["rows"] if x["check"] == "target"]
    ebt.ok(len(row) == 1 and row[0]["status"] == "fail" and words in row[0]["detail"]
           and row[0]["hint"], what + "doctor: says why, and what to do", r)
    ebt.ok(not [x for x in r.json["rows"] if x["check"].startswith(("site ", "hits "))],
           what + "doctor: looks for no site", r)
    ebt.equal(fake.child.poll(), None, what + "lives on")
    ebt.equal(fake.touched(), [], what + "its code is as in its file")


def fakes():
    fields, found = {}, []
    for name, flags, words in FAKES:
        found.append((name, Fake(name, flags, fields), words))
        fields = fields or name == "nothing but a version" and offsets(found[-1][1].pid)
    for fake in found:
        ebt.guarded(fake[0], refused, *fake)
    doc = ebt.ebeam("list", "--json", "-l", "0")
    ebt.equal(doc.status, 0, "list: exit status", doc)
    rows = {r["os_pid"]: r for r in doc.json["rows"]}
    for name, fake, words in found:
        row = rows.get(fake.pid, {})
        ebt.ok(row.get("supported") is False and words in (row.get("reason") or ""),
               name + ": list: not supported, and why", row)
    ebt.clean("fakes")
    # there may be other nodes on this host, which list keeps what it found of
    kept = "".join(glob.glob(ebt.tmp("xdg/ebeam/*")))
    ebt.equal([name for name, fake, _ in found if fake.build_id in kept], [],
              "nothing of them is kept in the cache")


if __name__ == "__main__":
    ebt.run(once=[fakes])
