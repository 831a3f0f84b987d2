#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""port: what the node says of its ports; wrong offsets show nothing wrong; ports that come and
go."""
import contextlib
import os
import re
import signal

import ebt

# What snap_port.c proves itself; links and monitors have a part of theirs in the process's.
FIELDS = """port_reg port_links port_monitors port_lt_monitors port_connected port_bytes_in
    port_bytes_out port_ioq_size port_name port_driver port_os_pid port_state port_control_flags
    port_linebuf regproc_pt ml_right ml_left ml_list_next ml_other ml_offset ml_flags ml_size
    linkdata_size mondata_size mondata_origin mondata_ref""".split()
KEYS = """id name connected os_pid input output queue_size registered_name links monitors monitored_by
    driver state""".split()


def unescaped(text):
    return re.sub(r"\\x([0-9A-F]{2})", lambda m: chr(int(m.group(1), 16)), text)


def by_id(doc):
    """{id: row}; an owner without a name of its own is called by what it runs."""
    rows = {}
    for r in doc["rows"]:
        if r["id"] in rows:
            raise ebt.Failure("twice: %r" % r["id"])
        rows[r["id"]] = {k: unescaped(v) if isinstance(v, str) else v for k, v in r.items()}
        if ":" in (r["connected_name"] or ""):
            rows[r["id"]]["connected_name"] = "unregistered"
    return rows


def read(node, *args):
    r = ebt.ebeam("port", "--json", "-l", "0", "-p", node.os_pid, *args)
    if r.status:
        raise ebt.Failure(str(r))
    return by_id(r.json)


@contextlib.contextmanager
def made(node):
    """With ports of all kinds; one has a stopped process at its end, which outlives its node."""
    node.load("ports")
    node.load_driver()
    node.eval("Ports = ports:make()")
    stopped = node.eval("[element(2, erlang:port_info(P, os_pid)) || P <- erlang:ports(), "
                        "erlang:port_info(P, queue_size) > {queue_size, 0}, "
                        "erlang:port_info(P, name) =:= {name, \"/bin/sh\"}]")
    try:
        yield
    finally:
        for pid in stopped:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if node.alive():
            node.eval("ports:drop(Ports)")


def kinds(node):
    with made(node):
        # the console's own port has a byte more for each question
        rows = ebt.sandwich(node, "ports:all()", lambda: read(node), what="all kinds",
                            moving=("input", "output"), at_least=80)
        ebt.equal([k for k in KEYS if any(k not in r for r in rows.values())], [], "all keys")
        drivers = {r["driver"] for r in rows.values()}
        ebt.ok(drivers >= {"fd", "spawn", "tcp_inet", "udp_inet", "fixture_drv"}, "drivers",
               drivers)
        ebt.ok(sum(r["queue_size"] > 100000 for r in rows.values()) == 2, "two queues are long",
               *rows.values())
        ebt.ok(any(r["registered_name"] and "\x1b" in r["registered_name"]
                   for r in rows.values()) and
               any(r["links"] == 6 for r in rows.values()) and
               any(r["monitored_by"] == 7 for r in rows.values()) and
               any(r["os_pid"] for r in rows.values()), "there are some of each",
               *rows.values())
        doc = ebt.ebeam("port", "--json", "-l", "1", "-p", node.os_pid).json
        ebt.equal([doc["totals"]["ports"], doc["totals"]["queue_size"]],
                  [len(rows), sum(r["queue_size"] for r in rows.values())], "totals")
        ebt.equal([r["queue_size"] for r in doc["rows"]],
                  [max(r["queue_size"] for r in rows.values())], "longest queue first, limit")
        text(node, rows)
        moved(node)


def text(node, rows):
    for columns in (80, 100):
        r = ebt.ebeam("port", "-l", "0", "-p", node.os_pid, env={"COLUMNS": str(columns)})
        ebt.equal([x for x in r.out.splitlines() if len(x) > columns], [],
                  "text: %d columns" % columns)
        ebt.ok("\x1b" not in r.out, "text: escaped")
    ebt.ok(re.search(r"^  \d+ ports, .* queued, .* in, .* out; longest queue: #Port<0.\d+> "
                     r"tcp_inet \(ports_owner\)\s+.*iB$", r.out, re.M), "text: the verdict", r.out[:500])
    types = {}
    for r in rows.values():
        types[r["name"]] = types.get(r["name"], 0) + 1
    doc = ebt.ebeam("port", "--json", "-l", "0", "--by", "name", "-p", node.os_pid).json
    ebt.equal({unescaped(r["group"]): r["ports"] for r in doc["rows"]}, types,
              "by name: recon's port_types")
    for by in ("driver", "owner"):
        doc = ebt.ebeam("port", "--json", "-l", "0", "--by", by, "-p", node.os_pid).json
        ebt.equal(sum(r["ports"] for r in doc["rows"]), len(rows), "by %s: all of them" % by)


def moved(node):
    """As if a field lay elsewhere: right, or missing, or refused."""
    if node.release != ebt.RELEASES[0] and not os.environ.get("EBEAM_LONG"):
        return
    truth, nulls = dict(node.eval("ports:all()")), 0
    console = [k for k, v in truth.items() if v["name"] == "0/1"]
    for field in FIELDS:
        for by in ("8", "-8", "4", "-4"):
            spec = "%s:%s" % (field, by)
            r = ebt.ebeam("port", "--json", "-l", "0", "-p", node.os_pid,
                          env={"EBEAM_TEST_MOVE": spec})
            if r.status:
                if r.status != 3 or not r.json["error"]["message"]:
                    ebt.ok(False, "moved: %s: refused in one line" % spec, r)
                continue
            rows, wrong = by_id(r.json), []
            if set(rows) != set(truth):
                wrong.append("ports: %r" % (set(rows) ^ set(truth)))
            for name, want in truth.items():
                got = rows.get(name, {})
                for key in want:
                    nulls += got.get(key) is None and want[key] is not None
                    if got.get(key) not in (None, want[key]) and \
                            not (name in console and key in ("input", "output")):
                        wrong.append((name, key, got[key], want[key]))
                    # null where there is one: said to be unknown
                    if got.get(key) is None and want[key] is not None and not r.json["notes"]:
                        wrong.append((name, key, "missing, and no note"))
            if wrong:
                ebt.ok(False, "moved: %s" % spec, *wrong[:5], len(wrong))
    ebt.ok(nulls > 100, "moved: %d fields by 8 and 4 bytes: nothing wrong is shown" % len(FIELDS),
           nulls)


def intervals(node):
    """-i: what went through in the interval, what is new and what has gone."""
    node.load("ports")
    child = ebt.start([ebt.EBEAM, "port", "-p", str(node.os_pid), "--json", "-l", "0", "-i", "0.3"],
                      stdout=ebt.subprocess.PIPE, stderr=ebt.subprocess.DEVNULL)
    lines = ebt.Lines(child.stdout.fileno())

    def until(what, condition):
        for _ in range(50):
            for r in ebt.json.loads(lines.next(what))["rows"]:
                if condition(r):
                    return r
        return None
    first = until("a report", lambda r: r["driver"] == "fd")
    ebt.ok(first and first["input_change"] is None and first["event"] is None,
           "interval: nothing to compare with at first", first)
    node.eval("{ok, U} = gen_udp:open(0)")
    port = node.eval("U")
    r = until("a new one", lambda r: r["event"])
    ebt.ok(r and r["event"] == "new" and r["id"] == port, "interval: new", r)
    node.eval("ok = gen_udp:send(U, {127,0,0,1}, 9, lists:duplicate(500, $u))")
    r = until("traffic", lambda r: r["id"] == port and r["output_change"])
    ebt.ok(r and 500 <= r["output_change"] < 600 and r["output"] == r["output_change"],
           "interval: bytes out", r)
    node.eval("gen_udp:close(U)")
    r = until("one that has gone", lambda r: r["event"])
    ebt.ok(r and r["event"] == "dead" and r["id"] == port and r["output_change"] is None,
           "interval: dead", r)
    ebt.end(child)


def churning(node):
    """Ports made and closed all the time: those that stay are there, once, and as they are."""
    node.load("ports")
    truth = dict(node.eval("ports:all()"))
    node.eval("Churn = ports:churn(4)")
    bad, seen = [], 0
    for _ in range(30):
        r = ebt.ebeam("port", "--json", "-l", "0", "-p", node.os_pid)
        if r.status:
            raise ebt.Failure(str(r))
        rows = by_id(r.json)
        seen += sum(r["name"] == "udp_inet" for r in rows.values())
        bad += [k for k in truth if k not in rows]
        bad += [(k, key, rows[k][key], v[key]) for k, v in truth.items() if k in rows
                for key in ("name", "connected", "os_pid", "links") if rows[k][key] != v[key]]
        bad += [r for k, r in rows.items() if k not in truth and
                (r["name"] not in ("udp_inet", None) or r["driver"] not in ("udp_inet", None))]
    ebt.equal(bad[:5], [], "churning: in 30 snapshots, all that stay, once, and nothing odd")
    ebt.ok(seen, "churning: some of those that go were seen", seen)
    node.eval("[exit(P, kill) || P <- Churn]")


if __name__ == "__main__":
    ebt.run(kinds, intervals, churning)
