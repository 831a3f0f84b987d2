#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""ets: what the node says of its tables; wrong offsets show nothing wrong; tables that come and
go."""
import os
import re

import ebt

# What snap_ets*.c prove themselves: as if each lay elsewhere, the answer must be right, or none.
# What is proven at attach (the rings, off-heap terms, binaries) is left to that.
FIELDS = """table_fix_count table_type table_fixing table_rwlock_size table_fixlock_size table_owner
    table_heir table_name table_btid table_nr_counters table_decentral table_decentral_size
    table_counters table_status table_keypos table_compress table_compress_size hash_nactive
    hash_segtab hash_nslots hash_nsegs tree_root catree_root hterm_next hterm_hvalue hterm_dbterm
    tterm_left tterm_right tterm_dbterm dbterm_first_oh dbterm_size dbterm_tpl""".split()
KEYS = """id name type protection owner owner_name size memory compressed named_table keypos
    read_concurrency write_concurrency binary_bytes binaries decentralized_counters heir fixed
    """.split()


def unescaped(text):
    return re.sub(r"\\x([0-9A-F]{2})", lambda m: chr(int(m.group(1), 16)), text)


def read(node, *args, **env):
    """{id: row} of all tables; each id once."""
    r = ebt.ebeam("ets", "--json", "-l", "0", "-p", node.os_pid, *args, env=env)
    if r.status:
        raise ebt.Failure(str(r))
    rows = {}
    for row in r.json["rows"]:
        row = {k: unescaped(v) if k in ("id", "name", "owner_name") and v else v
               for k, v in row.items()}
        if row["id"] in rows:
            raise ebt.Failure("twice: %r" % row["id"])
        rows[row["id"]] = row
    return rows


def tables(node, binaries="true"):
    return {k: v for k, v in node.eval("tables:all(%s)" % binaries)}


def kinds(node):
    """Every type, access and option; what is special; large ones."""
    node.load("tables")
    node.eval("[tables:make(), tables:special()]")
    rows = ebt.sandwich(node, "tables:all(true)", lambda: read(node, "--binaries"),
                        what="all kinds", at_least=2000)
    ebt.ok(len(rows) > 110, "all kinds: as many tables", len(rows))
    ebt.equal([k for k in KEYS if any(k not in r for r in rows.values())], [],
              "all kinds: all keys")
    ebt.ok(len({r["type"] for r in rows.values()}) == 4 and
           {r["write_concurrency"] for r in rows.values()} >= {True, False} and
           sum(r["fixed"] for r in rows.values()) >= 2 and
           sum(r["decentralized_counters"] for r in rows.values()) > 9 and
           sum(r["heir"] != "none" for r in rows.values()) >= 2 and
           sum(r["binary_bytes"] > 100000 for r in rows.values()) >= 2, "all kinds: there are some")
    ebt.ok(any("\x1b" in k for k in rows), "all kinds: a name with an escape was escaped")
    doc = ebt.ebeam("ets", "--json", "-l", "3", "-p", node.os_pid).json
    ebt.equal(len(doc["rows"]), 3, "limit")
    ebt.equal([doc["totals"][k] for k in ("tables", "size", "memory")],
              [len(rows)] + [sum(r[k] for r in rows.values()) for k in ("size", "memory")],
              "totals")
    memory = [r["memory"] for r in doc["rows"]]
    ebt.equal(memory, sorted((r["memory"] for r in rows.values()), reverse=True)[:3],
              "largest first")
    ebt.ok(all(r["binary_bytes"] is None for r in doc["rows"]), "binaries only where asked for")


def text(node):
    """Text: within the width, nothing unescaped; the verdict."""
    for columns in (80, 100):
        r = ebt.ebeam("ets", "-l", "0", "-p", node.os_pid, env={"COLUMNS": str(columns)})
        ebt.equal([x for x in r.out.splitlines() if len(x) > columns], [],
                  "text: %d columns" % columns)
        ebt.ok("\x1b" not in r.out and "\x07" not in r.out, "text: escaped")
    ebt.ok(re.search(r"^  \d+ tables, \d+ rows, .* MiB; largest: \S+ \(.*\) .*iB$", r.out, re.M),
           "text: the verdict", r.out[:500])
    for by in ("owner", "type", "name"):
        doc = ebt.ebeam("ets", "--json", "-l", "0", "--by", by, "-p", node.os_pid).json
        ebt.equal([sum(r["tables"] for r in doc["rows"]), sum(r["size"] for r in doc["rows"])],
                  [doc["totals"]["tables"], doc["totals"]["size"]], "by %s: all of them" % by)
    ebt.equal({r["group"] for r in
               ebt.ebeam("ets", "--json", "--by", "type", "-p", node.os_pid).json["rows"]},
              {"set", "bag", "duplicate_bag", "ordered_set"}, "by type: the types")
    help_text = ebt.ebeam("ets", "--sort", "help").out
    ebt.ok(all(k in help_text for k in KEYS), "--sort help lists the keys", help_text)


def moved(node):
    """As if a field lay elsewhere: right, or missing, or refused."""
    if node.release != ebt.RELEASES[0] and not os.environ.get("EBEAM_LONG"):
        return
    truth = {k: {**v, "id": k} for k, v in tables(node).items()}
    changed, said = 0, 0
    for field in FIELDS:
        for by in ("8", "-8", "4", "-4"):
            spec = "%s:%s" % (field, by)
            r = ebt.ebeam("ets", "--json", "-l", "0", "--binaries", "-p", node.os_pid,
                          env={"EBEAM_TEST_MOVE": spec})
            if r.status:
                said += 1
                if r.status != 3 or not r.json["error"]["message"]:
                    ebt.ok(False, "moved: %s: refused in one line" % spec, r)
                continue
            rows = {unescaped(x["id"]) if x["id"] else None: x for x in r.json["rows"]}
            wrong = []
            if None not in rows and set(rows) != set(truth):
                wrong.append("tables: %r" % (set(rows) ^ set(truth)))
            nulls = 0
            for name, row in rows.items():
                for key, want in truth.get(name, {}).items():
                    got = row[key]
                    nulls += got is None
                    if got is not None and \
                            (unescaped(got) if isinstance(got, str) else got) != want:
                        wrong.append((name, key, got, want))
            changed += nulls > 0 or None in rows
            if wrong:
                ebt.ok(False, "moved: %s" % spec, *wrong[:5], len(wrong))
    ebt.ok(changed > 40 and said >= 4,
           "moved: %d fields by 8 and 4 bytes: nothing wrong is shown" % len(FIELDS), changed, said)


def large(node):
    node.eval("Large = tables:large()")
    rows = ebt.sandwich(node, "tables:all(true)", lambda: read(node, "--binaries"), what="large",
                        at_least=2000)
    ebt.ok(sum(r["size"] >= 100000 and r["name"] == "large" and r["binary_bytes"] == 5000000
               for r in rows.values()) == 5, "large: five of 100 000 rows, 50 000 binaries each",
           *[r for r in rows.values() if r["name"] == "large"])
    node.eval("tables:drop(Large)")


def intervals(node):
    """-i: growth, what is new and what has gone."""
    node.eval("Old = tables:many(1)")
    child = ebt.start([ebt.EBEAM, "ets", "-p", str(node.os_pid), "--json", "-l", "0", "-i", "0.3"],
                      stdout=ebt.subprocess.PIPE, stderr=ebt.subprocess.DEVNULL)
    lines = ebt.Lines(child.stdout.fileno())

    def until(what, condition):
        for _ in range(50):
            for r in ebt.json.loads(lines.next(what))["rows"]:
                if r["name"] == "many" and condition(r):
                    return r
        return None
    first = until("a report", lambda r: True)
    ebt.ok(first and first["size_change"] is None and first["event"] is None,
           "interval: nothing to compare with at first", first)
    node.eval("tables:grow(Old, 100)")
    r = until("growth", lambda r: r["size_change"])
    ebt.ok(r and r["size_change"] == 100 and r["size"] == 100 and r["memory_change"] > 5000 and
           r["memory_bytes"] - r["memory_change"] == first["memory_bytes"], "interval: growth", r)
    node.eval("New = tables:many(1)")
    r = until("a new one", lambda r: r["event"])
    ebt.ok(r and r["event"] == "new" and r["size"] == 0, "interval: new", r)
    node.eval("tables:drop(Old)")
    r = until("one that has gone", lambda r: r["event"])
    ebt.ok(r and r["event"] == "dead" and r["size_change"] == -100 and r["id"] == first["id"],
           "interval: dead", r)
    ebt.end(child)
    node.eval("tables:drop(New)")


def grouped(node):
    """--by owner: owners that have gone have no name, and are told apart all the same."""
    node.eval("Gone = [tables:many(N) || N <- [1, 2, 3]]")
    pids = node.eval("[list_to_binary(pid_to_list(P)) || P <- Gone]")
    child = ebt.start([ebt.EBEAM, "ets", "-p", str(node.os_pid), "--json", "-l", "0", "--by",
                       "owner", "-i", "0.3"],
                      stdout=ebt.subprocess.PIPE, stderr=ebt.subprocess.DEVNULL)
    lines = ebt.Lines(child.stdout.fileno())
    lines.next("a report")
    node.eval("[tables:drop(P) || P <- Gone]")
    sums, after = {}, 0
    for _ in range(50):
        for r in ebt.json.loads(lines.next("groups"))["rows"]:
            if r["group"] in pids:
                sums[r["group"]] = sums.get(r["group"], 0) + r["memory_change"]
        after += len(sums) == 3
        if after == 3:
            break
    ebt.end(child)
    one = sums.get(pids[0], 0)
    ebt.ok(one < -1000 and [sums.get(p) for p in pids] == [one, 2 * one, 3 * one],
           "by owner: one, two and three tables of owners that have gone", pids, sums)


def churning(node):
    """Tables made and deleted all the time: those that stay are there, once, and as they are."""
    truth = tables(node, "false")
    node.eval("Churn = tables:churn(4)")
    bad, skipped, seen = [], 0, 0
    for _ in range(30):
        r = ebt.ebeam("ets", "--json", "-l", "0", "-p", node.os_pid)
        if r.status:
            raise ebt.Failure(str(r))
        doc = r.json
        rows, skipped = doc["rows"], skipped + doc["skipped"]
        ids = [unescaped(r["id"]) for r in rows]
        seen += sum(r["name"] == "mayfly" for r in rows)
        for name, want in truth.items():
            if ids.count(name) != 1:
                bad.append("%s: %d times" % (name, ids.count(name)))
            else:
                row = rows[ids.index(name)]
                bad += [(name, k, row[k], v) for k, v in want.items()
                        if k in ("type", "keypos", "owner", "protection", "heir", "compressed")
                        and row[k] != v]
        bad += [r for r in rows if r["id"] not in truth and unescaped(r["name"] or "?") not in
                {v["name"] for v in truth.values()} | {"mayfly"}]
        bad += [r for r in rows if r["name"] == "mayfly" and
                (r["type"] != "set" or r["size"] is None or not 0 <= r["size"] <= 5)]
    ebt.equal(bad[:5], [], "churning: in 30 snapshots, all that stay, once, and nothing odd")
    ebt.ok(seen, "churning: some of those that go were seen", seen, skipped)
    node.eval("[exit(P, kill) || P <- Churn]")


def many(node):
    """10 000 tables."""
    if node.release != "25":
        return
    node.eval("Many = tables:many(10000)")
    ids = set(node.eval("[tables:id(T) || T <- ets:all()]"))
    doc = ebt.ebeam("ets", "--json", "-l", "0", "-p", node.os_pid).json
    ebt.equal({unescaped(r["id"]) for r in doc["rows"]}, ids, "many: all of %d" % len(ids))
    ebt.ok(doc["cost"]["reader_cpu_ms"] < 1000, "many: %d ms" % doc["cost"]["reader_cpu_ms"])
    node.eval("tables:drop(Many)")


if __name__ == "__main__":
    ebt.run(kinds, text, moved, large, intervals, grouped, churning, many)
