#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Where processes are, by their stacks: the node's own words for it, process_info(P, ...)."""
import contextlib
import glob
import json
import os
import re
import subprocess

import ebt

MANY = 8
# Of the node's own servers: some hibernate when nobody has asked for a second.
MOVING = ("current_function", "stacktrace", "backtrace")


def dump_stacks():
    """The program that tells what the library has read."""
    lib = os.path.join(os.environ.get("EBEAM_OUT") or os.path.dirname(ebt.EBEAM), "libebeam.a")
    if not os.path.exists(lib):
        raise ebt.Missing("no libebeam.a beside ebeam: run make")
    flags = ["-std=gnu11", "-D_GNU_SOURCE", "-Wno-unused-parameter", "-I" + ebt.TOP + "/include",
             "-I" + ebt.TOP + "/user"]
    libs = ["-lbpf", "-ldw", "-lelf", "-ljson-c", "-lcapstone", "-lz", "-ldl", "-pthread"]
    if "sanitize" in lib:
        libs += ["-fsanitize=address,undefined"]
    out = ebt.tmp("dump_stacks")
    if not os.path.exists(out):
        ebt.run_quick(["gcc", "-O1", *flags, "-o", out, ebt.TESTS + "/unit/dump_stacks.c", lib, *libs])
    return out


def read(node, **env):
    done = subprocess.run([dump_stacks(), str(node.os_pid)], env=dict(ebt.ENV, **env),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=ebt.TIMEOUT)
    if done.returncode:
        raise ebt.Failure("dump_stacks: %s" % done.stderr)
    return json.loads(done.stdout)


class Reader:
    """One that looks again and again, and remembers code that it has seen."""

    def __init__(self, node):
        self.child = ebt.start([dump_stacks(), str(node.os_pid), "again"], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.doc = json.loads(self.child.stdout.readline())

    def again(self):
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())


def by_pid(node, doc):
    """Of all but the process that the test talks to."""
    asked = node.eval("self()")
    return {r["pid"]: {k: v for k, v in r.items() if v is not None}
            for r in doc["rows"] if r["pid"] != asked}


def places(node):
    node.load("stacks")
    node.eval("stacks:start(%d)" % MANY)
    ebt.sandwich(node, "stacks:ask()", lambda: by_pid(node, read(node)), what="places",
                 moving=MOVING, at_least=300)
    doc = read(node)
    ebt.equal(doc["refused"], 0, "every range of code is a module")


def hidden(node):
    """Nothing needs symbols."""
    node.load("stacks")
    node.eval("stacks:start(1)")
    ebt.sandwich(node, "stacks:ask()", lambda: by_pid(node, read(node, EBEAM_IGNORE_SYMBOLS="1")),
                 what="without symbols", moving=MOVING, at_least=100)


def reloaded(node):
    """Code that is loaded, replaced and purged while it is looked at."""
    node.load("stacks")
    node.eval("Moving = stacks:reload(moving, first)")
    reader = Reader(node)
    live = "Moving"
    for i, step in enumerate(["Second = stacks:reload(moving, second)",
                              "begin stacks:purge(moving), ok end",
                              "Third = stacks:reload(moving, third)",
                              "begin stacks:purge(moving), ok end",
                              "Fourth = stacks:reload(moving, fourth)"]):
        node.eval(step)
        live += "++" + step.split()[0] if "=" in step else ""
        node.quiet()                # else some may run just then
        ask = "stacks:ask([P || P <- %s, is_process_alive(P)])" % live
        want = dict(node.eval(ask))
        node.quiet()
        got = by_pid(node, reader.again())
        for pid, answer in want.items():
            ebt.equal({k: got[pid].get(k) for k in answer}, answer,
                      "%d: %s of reloaded code" % (i, pid))
        ebt.ok(len(want) in (3, 6), "%d: processes in new code, and in old" % i, len(want))
    ebt.end(reader.child)


def with_perf(node):
    """Frame pointers on the stack."""
    if node.release == "23":
        return          # it has no JIT
    with ebt.Node(node.release, "+JPperf", "true") as other:
        other.load("stacks")
        other.eval("stacks:start(2)")
        ebt.sandwich(other, "stacks:ask()", lambda: by_pid(other, read(other)),
                     what="+JPperf true", moving=MOVING, at_least=150)
        waits(other)
        states(other)
        for path in glob.glob("%s/tmp/*-%d.*" % (other.root, other.os_pid)):
            os.unlink(path)         # what +JPperf writes


FIELDS = """ranges_stride ranges_modules ranges_n ranges_allocated range_start range_end range_stride
    code_num_functions code_line_table code_literal_area code_functions line_fname line_loc_size
    line_loc_tab line_func_tab codeinfo_mfa codeinfo_size proc_arity proc_arity_size proc_arg_reg
    proc_def_arg_reg proc_i proc_current proc_parent proc_monitors proc_links proc_stop proc_hend
    proc_state ml_right ml_left ml_other ml_offset ml_key_offset ml_flags ml_type ml_size
    mondata_size mondata_origin mondata_ref oref_num ext_node node_sysname""".split()


def wrong(row, right):
    """The keys of a row that are neither right nor missing."""
    found = []
    for key in ("current_function", "backtrace", "waits_for", "kind", "state", "hibernates"):
        if row.get(key) is not None and row[key] != right.get(key):
            found.append((key, row[key], right.get(key)))
    trace = row.get("stacktrace")
    if trace is not None:
        want = right.get("stacktrace", [])
        masked = [w if e[1] is not None else [w[0], None, 0] for e, w in zip(trace, want)]
        if len(trace) != len(want) or trace != masked:
            found.append(("stacktrace", trace, want))
    return found


def moved_fields(node):
    """Where a field lies elsewhere what it tells is missing, or refused: never wrong."""
    fields = {"25": FIELDS, "29": [f for f in FIELDS if re.match("ml_|mondata_|proc_arity", f)]}
    node.quiet()
    before = by_pid(node, read(node))
    moves = ["%s:%d" % (f, by) for f in fields.get(node.release, []) for by in (8, -8, 4)]
    docs = {}
    for move in moves:
        with contextlib.suppress(ebt.Failure):
            docs[move] = read(node, EBEAM_TEST_MOVE=move)
    # some go to sleep after a while
    after = by_pid(node, read(node))
    right = {p: r for p, r in after.items() if before.get(p) == r}
    ebt.between(len(before) - 10, len(right), len(before), "processes hold still")
    for move, doc in docs.items():
        bad = [(r["pid"], w) for r in doc["rows"] if r["pid"] in right
               for w in wrong(r, right[r["pid"]])]
        if bad:
            ebt.ok(False, "nothing wrong with " + move, *bad[:3])
    if moves:
        refused = len(moves) - len(docs)
        ebt.between(len(moves) // 10, refused, len(moves) - 3, "%d moves, refused" % len(moves))


def waits(node):
    """Whom processes wait for: those that the test made, and no one else."""
    node.load("stacks")
    want = dict(node.eval("Waiters = stacks:waiters()"))
    node.quiet()
    got = by_pid(node, read(node))
    for pid, answer in want.items():
        ebt.equal(got[pid].get("waits_for"), answer["waits_for"],
                  "%s in %s waits for" % (pid, got[pid]["current_function"]), got[pid]["backtrace"])
    others = {p: r["waits_for"] for p, r in got.items() if p not in want and r.get("waits_for") != ""}
    ebt.equal(others, {}, "nobody else waits for somebody",
              *[got[p]["stacktrace"] for p in others])


def states(node):
    """What sys:get_state() says, without asking."""
    node.load("stacks")
    want = node.eval("Servers = stacks:servers(), stacks:states(Servers)")
    node.quiet()
    got = by_pid(node, read(node))
    for pid, answer in want:
        r = got[pid]
        ebt.equal((r.get("kind"), r.get("state")), (answer["kind"], answer["state"]),
                  "state of " + pid, r)
    hibernating = [p for p, _ in want if got[p].get("hibernates")]
    ebt.between(3, len(hibernating), 6, "some of them hibernate")
    asked = {p for p, _ in want}
    idle = [p for p in got if p not in asked and got[p].get("state")]
    ebt.between(10, len(idle), 100, "servers of the node itself have a state")
    rest = node.eval("[{list_to_pid(P), #{state => "
                     "stacks:plain(sys:get_state(list_to_pid(P)))}} || P <- %s]" % json.dumps(idle))
    for pid, answer in rest:
        ebt.equal(got[pid]["state"], answer["state"], "state of " + pid)


ebt.run(places, hidden, reloaded, waits, states, moved_fields, with_perf)
