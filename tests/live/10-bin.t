#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Refc binaries: births, deaths, references held and let go, to the unit."""
import ebt

N, SIZE = 10000, 4090
WAYS = ("copy", "bits", "nif_alloc", "nif_new")


def pids(node, variable):
    return dict(zip(WAYS, node.eval(variable)))


def made_and_dropped(node):
    """Every way to make a binary, each by a process of its own."""
    node.load_nif()
    node.eval("W = [fixture:worker() || _ <- lists:seq(1, %d)]" % len(WAYS))
    pid = pids(node, "W")
    with ebt.trace(node) as t:
        node.eval("[fixture:do(P, {Way, %d, %d}) || {P, Way} <- lists:zip(W, [%s])]"
                  % (N, SIZE, ", ".join(WAYS)))
        before = node.eval("[fixture:held(P) || P <- W]")
        doc = t.stop()
    after = node.eval("[fixture:held(P) || P <- W]")
    ebt.equal(doc["lost"], 0, "made: nothing lost")
    for i, way in enumerate(WAYS):
        r = ebt.row(doc, "bin", pid=pid[way])
        what = "made by %s: " % way
        ebt.equal(ebt.bucket([r], SIZE), N, what + "created in the histogram", r)
        ebt.equal([r["created"], r["created_bytes"]], [N, N * SIZE], what + "created_bytes", r)
        ebt.equal(before[i], after[i], what + "the node is quiet")
        ebt.equal([r["held_refs"], r["held_bytes"]], after[i],
                  what + "held as process_info(P, binary) says")
        ebt.equal(r["exited"], False, what + "not exited")
        mine = [a for a in ebt.rows(doc, "alloc", pid=pid[way])
                if a["type"] in ("binary", "drv_binary")]
        # Requested is the size and the header of a Binary, 24 or 32 bytes.
        ebt.equal(ebt.bucket(mine, SIZE + 24), N, what + "allocations, headers included", mine)
        ebt.equal({a["allocator"] for a in mine}, {"binary_alloc"}, what + "allocator")
        # OTP 23 makes all of them by way of the driver's variant.
        kind = "drv_binary" if way == "nif_alloc" or node.release == "23" else "binary"
        ebt.equal(ebt.bucket([a for a in mine if a["type"] == kind], SIZE + 24), N,
                  what + "type " + kind)

    with ebt.trace(node) as t:
        node.eval("[begin fixture:do(P, drop), fixture:do(P, {gc, major, 1}) end || P <- W]")
        doc = t.stop()
    for way in WAYS:
        r = ebt.row(doc, "bin", pid=pid[way])
        what = "dropped after %s: " % way
        ebt.ok(r["freed"] >= N, what + "freed", r)
        ebt.ok(r["freed_bytes"] >= N * SIZE, what + "freed_bytes", r)
        ebt.equal(r["released_refs"], N, what + "released_refs", r)
        ebt.equal(r["released_partial"], True, what + "marked: longer than a probe follows", r)
        ebt.equal([r["held_refs"], r["held_bytes"]], [0, 0], what + "nothing held", r)
    node.eval("[fixture:stop(P) || P <- W]")


def short_list(node):
    """A list a probe can follow to its end: nothing is left to guess."""
    node.eval("S = fixture:worker()")
    with ebt.trace(node) as t:
        node.eval("fixture:do(S, {copy, 500, %d})" % SIZE)
        node.eval("fixture:do(S, drop)")
        node.eval("fixture:do(S, {gc, major, 1})")
        pid = node.eval("S")
        doc = t.stop()
    r = ebt.row(doc, "bin", pid=pid)
    ebt.equal([r["created"], r["freed"], r["released_refs"]], [500, 500, 500],
              "500 made, dropped, collected", r)
    ebt.equal([r["created_bytes"], r["freed_bytes"], r["released_bytes"]], [500 * SIZE] * 3,
              "500 made, dropped, collected: bytes", r)
    ebt.equal(r["released_partial"], False, "500 dropped: counted in full", r)
    node.eval("fixture:stop(S)")


def shared(node):
    """Two hold the same binaries: only the last to let go frees them."""
    node.eval("A = fixture:worker([], [{copy, 300, %d}])" % SIZE)
    node.eval("B = fixture:worker()")
    a, b = node.eval("[A, B]")
    with ebt.trace(node) as t:
        node.eval("fixture:do(A, {give, B})")
        node.eval("fixture:do(A, drop)")
        node.eval("fixture:do(A, {gc, major, 1})")
        doc = t.stop()
    held = node.eval("fixture:held(B)")
    ra, rb = ebt.row(doc, "bin", pid=a), ebt.row(doc, "bin", pid=b)
    ebt.equal([ra["released_refs"], ra["freed"]], [300, 0], "the giver lets go, frees nothing", ra)
    ebt.equal([rb["held_refs"], rb["held_bytes"]], held, "the taker holds what the node says", rb)
    ebt.equal(held, [300, 300 * SIZE], "which is all of them")
    node.eval("[fixture:stop(P) || P <- [A, B]]")


def exits(node):
    """What a process held when it ended is not forgotten."""
    with ebt.trace(node) as t:
        pid = node.eval("X = spawn(fixture, plain, [500])")
        node.eval("X ! stop")
        node.eval("fixture:exited(X)")
        doc = t.stop()
    r = ebt.row(doc, "bin", pid=pid)
    ebt.equal(r["initial_call"], "fixture:plain/1", "exit: initial call is kept", r)
    ebt.equal(r["exited"], True, "exit: said so", r)
    ebt.equal([r["created"], r["released_refs"]], [500, 500], "exit: released_refs", r)


def native(node):
    """References that drivers and NIFs count by hand are rows of the functions they do it with."""
    node.load_nif()
    node.load_driver()
    with ebt.trace(node) as t:
        node.eval("[fixture:driver_call(Driver, 1, 50), fixture:driver_call(Driver, 2, 30)]")
        node.eval("fixture:nif_release_binary(40, 3000)")
        doc = t.stop()
    # The port that answers us has some of its own, of a few bytes each.
    for name, acquired, released, size in (("driver_binary_inc_refc", 30, 0, 5000),
                                           ("driver_binary_dec_refc", 0, 30, 5000),
                                           ("driver_free_binary", 0, 80, 5000),
                                           ("enif_release_binary", 0, 40, 3000)):
        r = ebt.row(doc, "bin", pid=None, name=name)
        for key, n in (("acquired", acquired), ("released", released)):
            ebt.between(n, r[key + "_refs"], n + 6 if n else 0, "%s: %s_refs" % (name, key), r)
            ebt.between(n * size, r[key + "_bytes"], n * size + 100 if n else 0,
                        "%s: %s_bytes" % (name, key), r)
        ebt.equal([r["created"], r["held_refs"]], [0, None], name + ": no process", r)


if __name__ == "__main__":
    ebt.run(made_and_dropped, short_list, shared, exits, native)
