#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""ebeam proc: everything about one process is what the node itself says of it."""
import os
import re

import ebt

CONTROL = "one\n\x1b[31m \xe5"
NAMES = ["one_server", "one_statem", "one_event", "one_caller", "one_monitors", "one_links",
         "one_bins", "one_stack", "one_dict", "one_flags", "one_suspended",
         "one_file", CONTROL,
         "one_hibernated", "one_asleep", "one_nothing", "logger", "code_server",
         "application_controller", "kernel_sup", "rex"]
SEEDS = 200 if os.environ.get("EBEAM_LONG") else 50
# What asking moves: the process answers some of the questions itself.
MOVING = ("reductions",)
CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


def started(node):
    if "one" in node.loaded:
        return
    node.load("one")
    node.eval("one:start()")


def run(node, name, *args, **options):
    return ebt.ebeam("proc", name, "-p", node.os_pid, *args, **options)


def row(node, name, *args, **options):
    got = run(node, name, "--json", *args, **options)
    if got.status:
        raise ebt.Failure("proc %r: %s" % (name, got))
    return got.json["rows"][0]


def pairs(items, *keys):
    return None if items is None else sorted([i[k] for k in keys] for i in items)


def as_facts(r):
    """A row in the form of one:facts/1."""
    facts = dict(r)
    for key in ("links", "monitored_by", "suspending"):
        facts[key] = r[key] and sorted(r[key])
    facts["monitors"] = pairs(r["monitors"], "type", "item")
    facts["dictionary"] = pairs(r["dictionary"], "key", "value")
    facts["binaries"] = pairs(r["binaries"], "address", "size")
    facts["messages"] = [m["message"] for m in r["messages"]] if r["messages"] is not None else None
    return facts


def erlang_atom(name):
    return "list_to_atom([%s])" % ",".join(str(ord(c)) for c in name)


def same_as_node(node, names, what, at_least):
    ask = "[{N, one:facts(N)} || N <- [%s], whereis(N) =/= undefined]" \
        % ", ".join(map(erlang_atom, names))
    there = node.eval("[N || N <- [%s], whereis(N) =/= undefined]"
                      % ", ".join(map(erlang_atom, names)))
    return ebt.sandwich(node, ask,
                        lambda: {n: as_facts(row(node, n, "-l", "0")) for n in there},
                        moving=MOVING, what=what, at_least=at_least)


def facts(node):
    ebt.ok(row(node, "code_server")["heap"], "a heap is told of a node with no process of ours")
    started(node)
    same_as_node(node, NAMES, "all kinds of processes", 500)
    want = node.eval("one:refs(one_bins)")
    node.quiet()
    ebt.equal(pairs(row(node, "one_bins")["binaries"], "address", "size", "refc"), want,
              "how often its binaries are referred to")


def resources(node):
    """Monitors of NIFs have no process: the node makes references of their resources."""
    started(node)
    want = node.eval("one:facts(one_file)")["monitored_by"]
    ebt.ok(any(m.startswith("#Ref<0.") for m in want), "a resource monitors it", want)
    ebt.equal(row(node, "one_file")["monitored_by"], want, "by the reference that the node makes")
    doc = run(node, "one_file", "--json", env={"EBEAM_TEST_MOVE": "bin_flags:8"})
    if doc.status == 0:
        ebt.ok(doc.json["rows"][0]["monitored_by"] in (want, [None]), "known, or null", doc.out)


def random_terms(node):
    started(node)
    node.eval("one:holder(one_random, lists:seq(1, %d))" % SEEDS)
    node.eval("one:idle(one_queue)")
    node.eval("one:fill(one_queue, fun() -> [one:term(S) || S <- lists:seq(1001, %d)] end)"
              % (1000 + SEEDS))
    got = same_as_node(node, ["one_random", "one_queue"], "random terms", 40)
    ebt.equal(len(got["one_random"]["dictionary"]), SEEDS, "all terms in the dictionary")
    ebt.equal(len(got["one_queue"]["messages"]), SEEDS, "all messages")
    sender = node.eval("one:pid_text(one_sender)")
    first = row(node, "one_queue", "-l", "7")
    ebt.equal([m["from"] for m in first["messages"]], [sender] * 7, "seven messages, their sender")
    census = first["message_census"]
    ebt.equal((census["messages"], census["examined"],
               sum(s["count"] for s in census["shapes"])), (SEEDS, SEEDS, SEEDS),
              "the census has all of them", census)
    node.eval("one:stop(one_random)")
    node.eval("one:stop(one_queue)")


def states(node):
    started(node)
    names = node.eval("one:servers(lists:seq(301, 310))")
    for name in ["one_server", "one_statem", "one_event", *names]:
        want = node.eval("one:ask_state(%s)" % name)
        node.quiet()
        r = row(node, name, "-l", "0")
        ebt.equal(r["state"], want, "state of %s" % name)
    for name, kind, module in (("one_server", "gen_server", "one"),
                               ("one_statem", "gen_statem", "one"),
                               ("one_event", "gen_event", None)):
        r = row(node, name)
        ebt.equal((r["behaviour"], r["callback_module"]), (kind, module), "kind of " + name)
    r = row(node, "one_blocked")
    ebt.equal(r["state"], None, "a server in its callback has no state to tell")
    r = row(node, "one_caller")
    ebt.equal(r["waits_for"], node.eval("one:pid_text(one_blocked)"), "whom the caller waits for")
    got = run(node, "one_caller")
    ebt.ok("waits for   %s one_blocked, in gen:do_call/4" % r["waits_for"] in got.out,
           "in words, with its name", got.out)
    ebt.equal(row(node, "one_nothing")["waits_for"], None, "who waits for nobody in particular")
    ebt.equal(row(node, "one_blocked")["message_census"]["shapes"],
              [{"shape": "{'$gen_call',_,{log,_,_}}", "count": 1}], "shape of a call")
    for name in names:
        node.eval("one:stop(%s)" % name)


def frames_of(text):
    """[[M:F/A, [y registers]]] of the text that process_info(P, backtrace) is."""
    frames = []
    for line in text.splitlines():
        at = re.match(r"(?:Program counter: |0x\w+ Return addr )0x\w+ \((.*)\)$", line)
        # OTP 23 does not number those of the current function
        y = re.match(r"(y\(\d+\)|0x\w+)\s+(?!Return addr)(.*)$", line)
        if at:
            frames.append([re.sub(r" \+ (0x)?\w+$", "", at.group(1)), []])
        elif y and frames:
            frames[-1][1].append(y.group(2))
    return frames


def backtraces(node):
    started(node)
    for name in ("one_stack", "one_server", "one_caller", "one_asleep", "one_hibernated",
                 "logger", "application_controller"):
        want = frames_of(node.eval("one:mfas(%s)" % name))
        node.quiet()
        r = row(node, name, "-l", "0")
        got = [[f["function"], f["y"]] for f in r["backtrace"]]
        # the last one is where a process ends: no function, a text of the node's own
        ebt.equal([f[0] or "unknown function" for f in got[:-1]], [f[0] for f in want[:-1]],
                  name + ": its functions")
        ebt.equal([len(f[1]) for f in got], [len(f[1]) for f in want], name + ": registers of each")
        plain = [(g, w) for f, h in zip(got, want) for g, w in zip(f[1], h[1])
                 if re.match(r"(<[\d.]+>|[a-z]\w*|-?\d+|\[\])$", w)]
        ebt.equal([g for g, _ in plain], [w for _, w in plain], name + ": what is in them")
        ebt.ok(all(g.startswith("Catch") == w.startswith("Catch")
                   for f, h in zip(got, want) for g, w in zip(f[1], h[1])),
               name + ": catches", got, want)
    for depth in (3, 20):
        old = node.eval("erlang:system_flag(backtrace_depth, %d)" % depth)
        want = node.eval("length(element(2, process_info(whereis(one_caller), "
                         "current_stacktrace)))")
        ebt.equal(len(row(node, "one_caller")["stacktrace"]), want, "backtrace_depth %d" % depth)
        node.eval("erlang:system_flag(backtrace_depth, %d)" % old)


def heaps(node):
    started(node)
    want = dict(map(tuple, node.eval("one:sizes(one_sizes)")))
    for name in ("one_sizes", "one_dict", "one_server", "one_links", "one_stack", "one_asleep",
                 "logger", "application_controller", "code_server"):
        told = node.eval("one:heap(%s)" % name)
        node.quiet()
        heap = row(node, name)["heap"]
        if not ebt.ok(heap, name + ": heap"):
            continue
        ebt.equal((heap["used_words"], heap["stack_words"]), (told["used"], told["stack"]),
                  name + ": words in use are the node's")
        ebt.equal(sum(r["words"] for r in heap["roots"]) + heap["garbage_words"],
                  heap["used_words"], name + ": roots and garbage sum up", heap)
        if name == "one_sizes":
            ebt.equal({r["root"]: r["words"] for r in heap["roots"] if r["root"] in want}, want,
                      "each key keeps what erts_debug:size/1 says", heap["roots"])
            top = [p for p in heap["parts"] if p["level"] == 0]
            ebt.ok(top and heap["roots"][0]["root"] == top[0]["root"],
                   "the largest root is looked into", heap["parts"])
            ebt.equal(sum(p["words"] for p in top) + 3, heap["roots"][0]["words"],
                      "its parts and the pair are what it is", heap["parts"])
            ebt.equal([p["part"] for p in heap["parts"][:1]], ["the value"], "a key's value", heap)
            inner = [p for p in heap["parts"] if p["level"] == 1]
            ebt.ok(any(p["part"] == "nodes of a map of 3000 keys" for p in inner),
                   "a map is told as one", inner)
            ebt.equal(sum(p["words"] for p in inner), top[0]["words"], "and so is all of it",
                      inner, top)
        node.eval("erlang:yield()")
        if name.startswith("one_"):
            live = node.eval("one:collected(%s)" % name)
            ebt.equal(heap["used_words"] - heap["garbage_words"], live,
                      name + ": a full collection leaves what is no garbage")
    node.eval("one:stop(one_sizes)")
    # a key that is cut where its label ends: between characters
    node.eval("register(one_long, spawn(fun() -> put(list_to_atom(lists:duplicate(255, 229)), "
              "lists:seq(1, 5000)), receive stop -> ok end end))")
    node.quiet()
    heap = row(node, "one_long")["heap"]
    ebt.ok([p for p in heap["parts"] if p["part"] == "cells of a list of 5000"],
           "a list is as long as it is", heap["parts"])
    ebt.ok(heap["roots"][0]["root"].startswith("dictionary \xe5\xe5"), "its key", heap["roots"])
    node.eval("one_long ! stop")


def long_queue(node):
    started(node)
    n = 1000000
    node.eval("one:idle(one_flood)")
    node.eval("one:flood(one_flood, %d)" % n)
    node.quiet()
    doc = run(node, "one_flood", "--json").json
    r = doc["rows"][0]
    census = r["message_census"]
    ebt.equal((r["message_queue_len"], census["messages"]), (n, n), "a million messages")
    ebt.equal([s["shape"] for s in census["shapes"]],
              ["{'$gen_call',_,{log,_,_}}", "{data,_,_,_}", "{tick,_}"]
              if census["shapes"][1]["shape"].startswith("{data") else
              ["{'$gen_call',_,{log,_,_}}", "{tick,_}", "{data,_,_,_}"], "of three shapes", census)
    ebt.ok(0 < census["examined"] < n and
           sum(s["count"] for s in census["shapes"]) == census["examined"],
           "not all are examined, and it says so", census)
    for s in census["shapes"]:
        share = 8 if "gen_call" in s["shape"] else 1
        ebt.between(0.8 * share * n / 10, s["count_est"], 1.2 * share * n / 10,
                    "share of " + s["shape"])
    ebt.ok(doc["cost"]["reader_cpu_ms"] < 5000, "a long queue does not take long", doc["cost"])
    ebt.equal(r["memory"], node.eval("element(2, process_info(whereis(one_flood), memory))"),
              "its memory is the node's")
    node.eval("one:stop(one_flood)")


def deep_terms(node):
    started(node)
    node.eval("one:deep(one_deep, 1000000)")
    node.quiet()
    for args in ((), ("--json",), ("-l", "0", "--max-terms", "5000"), ("--json", "--depth", "5")):
        got = run(node, "one_deep", *args)
        ebt.equal((got.status, "..." in got.out), (0, True), "a term a million deep %r" % (args,),
                  got.err, got.out[:300])
    heap = row(node, "one_deep")["heap"]
    ebt.equal(sum(r["words"] for r in heap["roots"]) + heap["garbage_words"], heap["used_words"],
              "its heap sums up")
    node.eval("one:stop(one_deep)")
    node.eval("one:frames(one_frames, 2000)")
    node.quiet()
    got = run(node, "one_frames", "--json")
    ebt.ok(got.status == 0 and len(got.out) < 100e6 and
           any("more text" in n for n in got.json["notes"]),
           "a large term in each of many frames", got.status, len(got.out), got.err)
    ebt.ok(len(got.json["rows"][0]["backtrace"]) > 2000, "the frames are there")
    node.eval("one:stop(one_frames)")


def short_lives(node):
    started(node)
    node.eval("one:mayflies()")
    for i in range(16):
        got = run(node, "one_mayfly", *(("--json",) if i % 2 else ()))
        if got.status not in (0, 2) or CONTROLS.search(got.out):
            ebt.ok(False, "a process that dies while it is read", got)
            return
        if got.status == 0 and got.out.startswith("{"):
            r = got.json["rows"][0]
            if r["registered_name"] not in ("one_mayfly", None) or \
                    (r["dictionary_size"] or 0) > 2 or (r["message_queue_len"] or 0) > 1:
                ebt.ok(False, "what is told of it is its own", r)
                return
    ebt.ok(True, "processes that die while they are read")
    node.eval("one:stop(one_mayflies)")


def finding(node):
    started(node)
    pid = node.eval("one:pid_text(one_dict)")
    for word in (pid, pid.strip("<>"), pid.strip("<>")[2:], "one_dict", "'one_dict'"):
        ebt.equal(row(node, word)["pid"], pid, "found by %s" % word)
    for word, text in (("<0.99999.0>", "pid <0.99999.0> is not alive"),
                       ("no_such_name", "no process has the name"),
                       ("\x1b[31mx", "\\x1B[31mx")):
        got = run(node, word, "--json")
        ebt.equal((got.status, got.json["error"]["message"].count(text)), (2, 1),
                  "not found: %r" % word, got)
        got = run(node, word)
        ebt.ok(got.status == 2 and not got.out and text in got.err and
               not CONTROLS.search(got.err), "said once, in a line: %r" % word, got)
    got = ebt.ebeam("proc", "-p", node.os_pid)
    ebt.equal(got.status, 2, "no process given", got)
    for args in ((), ("-l", "0")):
        got = run(node, CONTROL, *args)
        ebt.ok(got.status == 0 and not CONTROLS.search(got.out), "a name with control characters",
               got)
    if int(node.release) < 27:
        return
    node.eval('one:label(one_labelled, "a label")')
    node.eval("one:label(one_labelled2, {shard, 7, <<\"\\e[2J\">>})")
    ebt.equal(row(node, "a label")["registered_name"], "one_labelled", "found by its label")
    ebt.equal(row(node, '"a label"')["label"], '"a label"', "the label is a term")
    pids = node.eval("one:same_label(worker, 3)")
    got = run(node, "worker", "--json")
    ebt.ok(got.status == 2 and all(p in got.json["error"]["hint"] for p in pids),
           "several have the label: they are listed", got, pids)
    got = run(node, "one_labelled2")
    ebt.ok(got.status == 0 and not CONTROLS.search(got.out), "a label with control characters", got)


def running(node):
    """A process that runs all the time."""
    started(node)
    node.eval("Spin = spawn(fun() -> register(one_running, self()), one:spinner(0) end), ok")
    ebt.wait_for(lambda: node.eval("whereis(one_running)") != "undefined", "it to run")
    for _ in range(5):
        doc = run(node, "one_running", "--json").json
        r = doc["rows"][0]
        told = "".join(doc["notes"])
        # it collects all the time: what was moved meanwhile each time is null, and said to be
        ebt.ok(r["dictionary"] == [] or r["dictionary"] is None and "dictionary: it ran" in told,
               "its dictionary", r["dictionary"], told)
        ebt.ok(r["links"] == [] or r["links"] is None and "links: it ran" in told, "its links",
               r["links"], told)
        # on a machine that has more to do it was seen between two turns of its
        ebt.ok((r["backtrace"] is None and r["registers"] is None) or
               any(f["function"] == "one:spinner/1" for f in r["backtrace"][:-1]),
               "no stack of what runs, or a true one", r["backtrace"])
    node.eval("exit(Spin, kill)")


def text(node):
    started(node)
    for width in (80, 100):
        for name in NAMES[:17]:
            got = run(node, name, env={"COLUMNS": str(width)})
            wide = [x for x in got.out.splitlines() if len(x) > width]
            ebt.ok(got.status == 0 and not wide and not CONTROLS.search(got.out),
                   "%r fits into %d columns" % (name, width), wide, got.err)
            if not 5 < got.out.count("\n") < 130:
                ebt.ok(False, "%r is a screen or two" % name, got.out.count("\n"))


# Every field that only this command uses, or that what it shows depends on.
FIELDS = """proc_min_heap_size proc_min_vheap_size proc_max_heap_size proc_psd psd_data proc_parent
proc_seq_token proc_fvalue proc_ftrace subbits_base subbits_start subbits_end subbits_orig
subbin_offs subbin_orig fun_arity fun_num_free fun_creator fun_env table_owner dict_array_size
dict_num dict_data proc_dictionary regproc_name frag_mem frag_used_size bin_refc""".split()


def moved_fields(node):
    """A field that is elsewhere in this build: right, null, or refused; never wrong."""
    if node.release not in (("25", "27") if os.environ.get("EBEAM_LONG") else ("25",)):
        return
    started(node)
    names = ["one_flags", "one_bins"]
    others = ("subbin_", "fun_") if int(node.release) >= 27 else ("subbits_",)
    node.quiet()
    right = {n: as_facts(row(node, n)) for n in names}
    wrong, done = [], 0
    for field in (f for f in FIELDS if not f.startswith(others)):
        for by in ("8", "-8", "4"):
            for n in names:
                got = run(node, n, "--json", env={"EBEAM_TEST_MOVE": "%s:%s" % (field, by)})
                done += 1
                if got.status:
                    if got.status not in (2, 3):
                        wrong.append("%s:%s: %s" % (field, by, got))
                    continue
                r = as_facts(got.json["rows"][0])
                for key, value in r.items():
                    if value is not None and value != right[n][key] and \
                            not says_unknown(value):
                        wrong.append("%s:%s %s: %s is %.200r, not %.200r"
                                     % (field, by, n, key, value, right[n][key]))
    far = [f for f in FIELDS if f.startswith("proc_")]
    for field in far:
        got = run(node, "one_flags", "--json",
                  env={"EBEAM_TEST_MOVE": "%s:1000000000" % field})
        ebt.ok(got.status in (0, 2, 3), "%s in no process" % field, got)
    ebt.ok(not wrong, "%d moved fields do not make wrong answers" % done, *wrong[:40])


def says_unknown(value):
    """Something in it is null, or a term that is printed as one that cannot be read."""
    if isinstance(value, dict):
        return any(map(says_unknown, value.values()))
    if isinstance(value, list):
        return any(map(says_unknown, value))
    return value is None or isinstance(value, str) and "?" in value


if __name__ == "__main__":
    ebt.run(facts, resources, random_terms, states, backtraces, heaps, finding, text, running,
            short_lives, deep_terms, long_queue, moved_fields)
