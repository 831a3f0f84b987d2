#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Allocations: whose, of what allocator and type, and how many."""
import ebt

ALLOCATORS = {"sys_alloc", "temp_alloc", "sl_alloc", "std_alloc", "ll_alloc", "eheap_alloc",
              "ets_alloc", "fix_alloc", "literal_alloc", "binary_alloc", "driver_alloc"}


def ets(node):
    """A known number of terms put into a table."""
    pid = node.eval("E = fixture:worker([], [{ets_new, [set, public]}])")
    calls = "[maps:get(alloc, I) || I <- fixture:allocator(ets_alloc)]"
    outer = sum(node.eval(calls))
    with ebt.trace(node) as t:
        inner = sum(node.eval(calls))
        node.eval("fixture:do(E, {ets_insert, 1, 5000})")
        inner = sum(node.eval(calls)) - inner
        doc = t.stop()
    outer = sum(node.eval(calls)) - outer
    mine = ebt.rows(doc, "alloc", pid=pid, allocator="ets_alloc")
    ebt.equal(doc["lost"], 0, "ets: nothing lost")
    ebt.equal(ebt.total([r for r in mine if r["type"] == "db_term"], "allocs"), 5000,
              "ets: 5000 inserts are 5000 terms", *mine)
    ebt.between(inner, ebt.total(ebt.rows(doc, "alloc", allocator="ets_alloc"), "allocs"), outer,
                "ets: allocations as ets_alloc counts its calls")
    for r in mine:
        ebt.equal(sum(b["count"] for b in r["size_histogram"]), r["allocs"],
                  "ets: histogram of " + r["type"])
    node.eval("fixture:stop(E)")


def names(node):
    """Allocators and types are called what the VM calls them."""
    node.eval("Mix = fixture:worker()")
    with ebt.trace(node) as t:
        for op in ("{copy, 100, 4090}", "{ets_new, [set]}", "{ets_insert, 1, 100}",
                   "{garbage, 2000}", "{ets_delete}", "drop"):
            node.eval("fixture:do(Mix, %s)" % op)
        node.eval("fixture:stop(Mix)")
        doc = t.stop()
    rows = ebt.rows(doc, "alloc")
    ebt.ok({r["allocator"] for r in rows} <= ALLOCATORS, "allocators",
           {r["allocator"] for r in rows})
    types = {r["type"] for r in rows}
    ebt.ok({"heap", "old_heap", "binary", "db_term"} <= types, "types seen", types)
    with open(ebt.beam_of(node.root), "rb") as f:
        image = f.read()
    # a name may be the tail of another one: the linker merges those
    ebt.equal([x for x in types if x.encode() + b"\0" not in image], [],
              "every type is a name in the emulator")


def whose(node):
    """Processes are shown by the best name they have, dead ones too."""
    with ebt.trace(node) as t:
        node.eval("Reg = fixture:worker()")
        node.eval("register(fixture_reg, Reg)")
        node.eval("fixture:do(Reg, {garbage, 500})")
        node.eval("Srv = fixture:start_server()")
        node.eval("gen_server:call(Srv, {{garbage, 500}})")
        node.eval("Anon = fixture:worker([], [{garbage, 500}])")
        node.eval("Dead = spawn(fixture, plain, [3])")
        node.eval("Dead ! stop")
        node.eval("fixture:exited(Dead)")
        reg, srv, anon, dead = node.eval("[Reg, Srv, Anon, Dead]")
        doc = t.stop()
    for what, pid, call in (("registered", reg, "fixture:worker_init/0"),
                            ("gen_server", srv, "fixture:init/1"),
                            ("plain spawn", anon, "fixture:worker_init/0"),
                            ("dead", dead, "fixture:plain/1")):
        rows = ebt.rows(doc, "alloc", pid=pid)
        ebt.ok(rows, what + ": has rows")
        ebt.equal({r["initial_call"] for r in rows}, {call}, what + ": initial_call")
        # the first heap is allocated by the parent: a short life needs no other
        ebt.ok(what == "dead" or any(r["type"] == "heap" and r["allocs"] for r in rows),
               what + ": made heaps", *rows)
    ebt.equal({r["name"] for r in ebt.rows(doc, "alloc", pid=reg)}, {"fixture_reg"},
              "registered: name")
    node.eval("[fixture:stop(P) || P <- [Reg, Srv, Anon]]")


def port(node):
    """What a port does for itself is not put on a process's bill."""
    with ebt.trace(node) as t:
        node.eval("fixture:spawn_chatter()")
        doc = t.stop()
    rows = [r for r in ebt.rows(doc, "alloc", pid=None) if r["name"].startswith("port #Port<")]
    ebt.ok(rows, "port: a row of its own",
           {r["name"] for r in ebt.rows(doc, "alloc", pid=None)})
    ebt.ok(ebt.total(rows, "allocs") > 0, "port: allocates", *rows)


if __name__ == "__main__":
    ebt.run(ets, names, whose, port)
