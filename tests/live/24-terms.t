#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Terms in the node's memory against the node's own io_lib, byte for byte.

A process of the node holds terms in its dictionary, and has written down what
io_lib:format makes of each with ~p, ~0p and ~P, and its flat size. A small
program on libebeam reads the same terms from outside. Every kind of term, then
random ones by seed; a term must also be right, or said to be unreadable, when a
field lies elsewhere than the layout says.
"""
import os
import subprocess
import time

import ebt

RANDOM_BATCHES = 20 if os.environ.get("EBEAM_LONG") else 4
BATCH = 200
LONG_TIMEOUT = 120
MOVES = ("8", "-8", "4", "-4") if os.environ.get("EBEAM_LONG") else ("8", "-4")
DEPTH = 1000000

# Every field that term_*.c read and that is not proven when the VM is opened.
OLD = """procbin_size procbin_bytes subbin_size subbin_offs subbin_bitsize subbin_bitoffs
         subbin_orig fun_arity_size fun_num_free fun_creator""".split()
NEW = "subbits_base subbits_start subbits_end subbits_orig".split()
MOVED = OLD + NEW + """fun_entry fun_env funentry_module funentry_index funentry_old_index
                       funentry_old_uniq funentry_uniq funentry_size export_mfa ext_node ext_data
                       oref_num mref_mb bin_flags""".split()


def reader():
    lib = os.path.join(os.environ.get("EBEAM_OUT") or os.path.dirname(ebt.EBEAM), "libebeam.a")
    if not os.path.exists(lib):
        raise ebt.Missing("no %s: run make" % lib)
    with open(os.path.join(ebt.TOP, "Makefile")) as f:
        libs = [x for x in f if x.startswith("ldlibs =")][0].split("=")[1].split()
    out = ebt.tmp("terms")
    if not os.path.exists(out):
        # a library that was built with sanitizers needs theirs
        sanitize = (["-fsanitize=address,undefined"]
                    if "asan" in ebt.run_quick(["ldd", ebt.EBEAM]) else [])
        ebt.run_quick(["gcc", "-O2", "-g", "-std=gnu11", "-D_GNU_SOURCE", "-pthread", *sanitize,
                       "-I" + ebt.TOP + "/include", "-I" + ebt.TOP + "/user", "-o", out,
                       os.path.join(ebt.TESTS, "unit", "terms.c"), lib, *libs])
    return out


def parsed(data):
    """{(number, what): text} of the format that terms.c and terms.erl write."""
    found, at = {}, 0
    while at < len(data):
        end = data.index(b"\n", at)
        key, what, size = data[at:end].decode().split()
        at = end + 1 + int(size) + 1
        found[int(key), what] = data[end + 1:at - 1].decode()
    return found


def read(node, name, mode="", env=None):
    p = subprocess.run([reader(), str(node.os_pid), name, mode], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LONG_TIMEOUT,
                       env=dict(ebt.ENV, **(env or {})))
    if p.returncode:
        raise ebt.Failure("terms: exit %d: %s" % (p.returncode, p.stderr.decode()[-500:]))
    return parsed(p.stdout)


def held(node, name, call):
    """What the node says of the terms that its process of that name now holds."""
    path = os.path.join(node.inside, name + ".answers")
    count = node.eval(call.format(name=name, file=path))
    with open(node.root + path, "rb") as f:
        want = parsed(f.read())
    return count, want


def compare(got, want, count, what):
    wrong = [(k, got.get(k), want[k]) for k in want if got.get(k) != want[k]]
    ebt.equal({k[0] for k in got}, set(range(count)), what + ": all terms are found")
    ebt.ok(not wrong, what + ": %d texts as the node prints them" % len(want),
           *["term %d as %s:\n%s\nthe node has\n%s" % (*k, g, w) for k, g, w in wrong[:8]],
           "%d of %d" % (len(wrong), len(want)))


def cases(node):
    node.load("terms")
    count, want = held(node, "cases", 'terms:hold_cases({name}, "{file}", "%s")' % node.inside)
    node.quiet()
    compare(read(node, "cases"), want, count, "every kind")


def randoms(node):
    for batch in range(RANDOM_BATCHES):
        seed = int(node.release) * 1000 + batch
        name = "random%d" % seed
        count, want = held(node, name,
                           'terms:random_terms({name}, "{file}", {{%d, %d}})' % (seed, BATCH))
        node.quiet()
        compare(read(node, name), want, count, "seed %d" % seed)
        node.eval("terms:release(%s)" % name)


def moved(node):
    """Right, or unreadable; what cannot be read is ? in its place."""
    node.load("terms")
    _, want = held(node, "moved", 'terms:hold_cases({name}, "{file}", "%s")' % node.inside)
    node.quiet()
    felt = set()
    for field in MOVED:
        for by in MOVES:
            try:
                got = read(node, "moved", env={"EBEAM_TEST_MOVE": "%s:%s" % (field, by)})
            except ebt.Failure as e:
                ebt.ok("exit 3" in str(e), "%s moved by %s: refused" % (field, by), e)
                continue
            if any("?" in got[k] and "?" not in want[k] for k in want if k in got):
                felt.add(field)
            wrong = [(k, got[k], want[k]) for k in want
                     if got.get(k) not in (None, want[k]) and "?" not in got[k]]
            ebt.ok(not wrong, "%s moved by %s: right or nothing" % (field, by),
                   *["term %d as %s: %s\nthe node has %s" % (*k, g, w) for k, g, w in wrong[:3]])
    # the size only bounds what is read
    absent = NEW if int(node.release) < 27 else OLD
    ebt.equal(felt, set(MOVED) - set(absent) - {"funentry_size"}, "each field counts")


def shapes(node):
    want = node.eval("terms:shapes(shapes)")
    got = read(node, "shapes", "shapes")
    ebt.equal([got.get((i, "shape")) for i in range(len(want))], want, "shapes of messages")


def limits(node):
    node.eval("terms:deep(deep, %d)" % DEPTH)
    begun = time.monotonic()
    got = read(node, "deep", "limits")
    ebt.between(0, time.monotonic() - begun, 20, "large and deep terms end soon")
    for (i, what), text in sorted(got.items()):
        size, cut, marked = map(int, text.split())
        ebt.ok(cut and marked and size < 2000000,
               "large term %d as a %s: cut, and marked so" % (i, what), text)
    ebt.equal(len(got), 16, "all large terms are found")
    node.eval("exit(whereis(deep), kill)")


def move_once(node):
    # On a release of each layout of objects.
    if node.release in ("25", "27") or os.environ.get("EBEAM_LONG"):
        moved(node)


ebt.run(cases, randoms, shapes, limits, move_once)
