#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""list finds the nodes of the host; doctor proves what a trace will rely on."""
import re

import ebt

MNEMONIC = re.compile(r"`[a-z]+[^`]*` at \+[0-9]+, (emulated|single-stepped)")


def listed(node):
    r = [x for x in ebt.ebeam("list", "--json", "-l", "0").json["rows"]
         if x["os_pid"] == node.os_pid]
    if not ebt.equal(len(r), 1, "list: the node has a row"):
        return
    r = r[0]
    ebt.equal([r["otp_release"], r["erts"]], [node.release, node.erts], "list: versions")
    # Up to OTP 23 the interpreter is all there is, and the node cannot tell.
    emulator = "emu" if node.release == "23" else node.eval("erlang:system_info(emu_flavor)")
    ebt.equal(r["emulator"], emulator, "list: emulator")
    ebt.equal(r["node"], node.eval("node()"), "list: node name")
    ebt.equal(r["supported"], True, "list: supported")


def all_listed():
    """Several at a time, each with its own release."""
    nodes = []
    try:
        for release in ebt.RELEASES:
            nodes.append(ebt.Node(release))
        found = {x["os_pid"]: x["otp_release"]
                 for x in ebt.ebeam("list", "--json", "-l", "0").json["rows"]}
        ebt.equal([found.get(n.os_pid) for n in nodes], [n.release for n in nodes],
                  "list: all running nodes")
    finally:
        for n in nodes:
            n.close()


def by_name(node):
    """A node that has a name is found by it. (No daemon of names is started.)"""
    with ebt.Node(node.release, "-sname", "ebeam_test", "-start_epmd", "false",
                  "-dist_listen", "false") as named:
        full = named.eval("node()")
        ebt.ok(full.startswith("ebeam_test@"), "the node has a name", full)
        for name in (full, "ebeam_test"):
            r = ebt.ebeam("doctor", "--json", "-n", name)
            ebt.ok(r.status == 0 and r.json["target"]["os_pid"] == named.os_pid
                   and r.json["target"]["node"] == full, "-n %s" % name.split("@")[0] +
                   (" in full" if "@" in name else ""), r)
        r = ebt.ebeam("doctor", "--json", "-n", "no_such_node")
        ebt.ok(r.status == 2 and "no_such_node" in r.json["error"]["message"],
               "-n of no node: exit 2, named", r)


def doctor(node):
    r = ebt.ebeam("doctor", "--json", "-l", "0", "-p", node.os_pid)
    ebt.equal(r.status, 0, "doctor: exit status", r)
    rows = r.json["rows"]
    # A site that must be single-stepped is worth a warning, and nothing else is.
    ebt.equal([x for x in rows if x["status"] not in ("ok", "skip") and
               not (x["status"] == "warn" and "single-stepped" in x["detail"])], [],
              "doctor: all is well")
    proofs = [x for x in rows if x["check"].startswith("layout")]
    ebt.ok(len(proofs) >= 12 and all(x["status"] == "ok" for x in proofs),
           "doctor: at least 12 proofs of the layout", *proofs)
    sites = [x for x in rows if x["check"].startswith("site ")]
    ebt.ok(len(sites) >= 5, "doctor: probe sites", *rows)
    ebt.equal([x for x in sites if not re.search(r"offset 0x[0-9a-f]+", x["detail"])
               or not MNEMONIC.search(x["detail"])], [], "doctor: sites name offset and instruction")
    ebt.equal(ebt.changed_sites(node.os_pid, ebt.sites(node.os_pid)), [],
              "doctor: sets no probe")


def reads(node):
    """What the reading commands need is proven, part by part."""
    def parts(**env):
        return {r["check"][5:]: r for r in
                ebt.ebeam("doctor", "--json", "-l", "0", "-p", node.os_pid, env=env).json["rows"]
                if r["check"].startswith("read ")}
    found = parts()
    ebt.equal(sorted(found), ["allocators", "code", "limits", "memory", "ports", "processes", "stacks",
                              "tables", "terms"], "doctor: parts of the reading commands")
    ebt.equal([r for r in found.values() if r["status"] != "ok"], [], "doctor: all of them hold")
    moved = parts(EBEAM_TEST_MOVE="table_name:8,port_name:8,proc_sig_len:8,fix_type:8,proc_i:8")
    ebt.equal(sorted(n for n, r in moved.items() if r["status"] == "warn"),
              ["allocators", "ports", "processes", "stacks", "tables"],
              "doctor: where fields lie elsewhere, the parts are named", *moved.values())


def hits(node):
    """For a second the hits of each site are compared with what the VM counts."""
    busy = ("collections", "erts_alcu_alloc_thr_pref", "erts_alcu_free_thr_pref")

    def rows(**env):
        doc = ebt.ebeam("doctor", "--json", "-l", "0", "--max-overhead", "100", "-p", node.os_pid,
                        env=env).json
        return {r["check"][5:]: r for r in doc["rows"] if r["check"].startswith("hits ")}

    node.eval("D = fixture:worker()")
    node.eval("fixture:send(D, {garbage, 1000000000})")
    found = rows()
    for name in busy:
        r = found[name]
        numbers = re.match(r"(\d+) hits, (\d+) calls by the VM's own counter$", r["detail"])
        ebt.ok(r["status"] == "ok" and numbers, "hits: %s: compared" % name, r)
        seen, counted = [int(n) for n in numbers.groups()] if numbers else (0, 1)
        ebt.between(0.9 * counted, seen, 1.1 * counted + 20, "hits: %s: as the VM counts" % name, r)
        ebt.ok(counted >= 20, "hits: %s: there was something to count" % name, r)
    # where the callback was copied into its caller, what it calls is probed
    rare = found.get("Allctr_t.sys_realloc") or found["erts_sys_realloc"]
    ebt.equal(rare["status"], "skip", "hits: what was not called is no finding")
    found = rows(EBEAM_TEST_SILENT=busy[2])
    ebt.equal([found[n]["status"] for n in busy], ["ok", "ok", "warn"], "hits: a silent site is named",
              *[found[n] for n in busy])
    ebt.ok(found[busy[2]]["detail"].startswith("silent: no hit, while the VM counted"),
           "hits: and what speaks against it", found[busy[2]])
    node.eval("fixture:stop(D)")


def head(node):
    """The head of the documents says what was looked at."""
    with ebt.trace(node) as t:
        changed = ebt.changed_sites(node.os_pid, ebt.sites(node.os_pid))
        ebt.ok(changed, "trace: the probes can be seen in memory (so clean() can fail)")
        node.eval("lists:sum(lists:seq(1, 1000))")
        doc = t.stop()
    target = doc["target"]
    ebt.equal([doc["schema"], doc["command"]], [1, "trace"], "head: schema and command")
    ebt.equal([target["os_pid"], target["otp_release"], target["erts"], target["schedulers"]],
              [node.os_pid, node.release, node.erts, 2], "head: target")
    ebt.equal(sorted(doc["sections"]), ["alloc", "bin", "carrier", "gc"], "head: sections")
    ebt.ok(doc["cost"]["probe_hits"] > 0, "head: cost", doc["cost"])


if __name__ == "__main__":
    ebt.run(listed, by_name, doctor, reads, hits, head, once=[all_listed])
