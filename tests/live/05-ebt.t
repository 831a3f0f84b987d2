#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""The harness itself: what the other tests compare with must be able to fail."""
import contextlib
import io

import ebt


def wrong(before, ours, after, moving=()):
    return ebt.differences(before, ours, after, moving)[1]


def values():
    """Equal values must be equal, moved ones bracketed and expected."""
    for value, other in ((1, 2), (1, None), (None, 0), (0, False), ("a", "b"), ([1, 2], [2, 1]),
                         (1, "1"), ({"a": 1}, {"a": 2})):
        ebt.equal(wrong({"k": value}, {"k": value}, {"k": value}), [], "%r is itself" % (value,))
        ebt.equal(len(wrong({"k": value}, {"k": other}, {"k": value}, ["k"])), 1,
                  "%r is not %r" % (other, value))
    ebt.equal(wrong({"k": 1}, {"k": 2}, {"k": 3}), ["k: moved: before 1, ours 2, after 3"],
              "what moved must be expected to")
    for ours, good in ((0, False), (1, True), (2, True), (3, True), (4, False), (None, False),
                       (True, False), ("2", False)):
        ebt.equal(not wrong({"k": 1}, {"k": ours}, {"k": 3}, ["k"]), good, "1..3, ours %r" % ours)
        ebt.equal(not wrong({"k": 3}, {"k": ours}, {"k": 1}, ["k"]), good, "3..1, ours %r" % ours)
    ebt.equal(wrong({"k": "a"}, {"k": "b"}, {"k": "b"}, ["k"]), [], "a moved text is one of both")
    ebt.equal(len(wrong({"k": "a"}, {"k": "c"}, {"k": "b"}, ["k"])), 1, "and no third one")
    ebt.equal(len(wrong({"k": 1}, {}, {"k": 1})), 1, "a key of ours that is missing")
    ebt.equal(len(wrong({"k": 1}, {"k": 1}, {})), 1, "a key that the node has lost")
    ebt.equal(ebt.differences({"k": 1}, {"k": 1, "more": 2}, {"k": 1}, ()), (1, []),
              "a key that was not asked for is not compared")


def by_rows():
    """Rows: the node's, each once, none of our own."""
    node = [["a", {"k": 1}], ["b", {"k": 2}]]
    ebt.equal(ebt.differences(node, {"a": {"k": 1}, "b": {"k": 2}}, node, ()), (2, []), "rows")
    ebt.equal(ebt.differences(node, list(reversed(node)), node, ()), (2, []), "in any order")
    ebt.equal(len(wrong(node, {"a": {"k": 1}, "b": {"k": 1}}, node)), 1, "a wrong value in a row")
    ebt.equal(len(wrong(node, node[:1], node)), 1, "a row that is missing")
    ebt.equal(len(wrong(node, node + [["c", {"k": 2}]], node)), 1, "a row of ours alone")
    ebt.equal(len(wrong(node[:1], node, node)), 1, "a row that came")
    ebt.equal([wrong(node[:1], node, node, ["row"]), wrong(node, node[:1], node[:1], ["row"])],
              [[], []], "a row that came, or went, as expected")
    ebt.equal(len(wrong(node, node + [["c", {}]], node, ["row"])), 1, "a row that never was")
    ebt.equal(len(wrong([[["a", 1], {"k": 1}]], {("a", 1): {"k": 2}}, [[["a", 1], {"k": 1}]])), 1,
              "rows named by tuples")
    try:
        wrong(node, node + node[:1], node)
        ebt.ok(False, "a row twice fails")
    except ebt.Failure:
        ebt.ok(True, "a row twice fails")


def failing(function, *args, **options):
    """How many checks of a test fail."""
    count, failed = ebt.count, ebt.failed
    with contextlib.redirect_stdout(io.StringIO()) as out:
        function(*args, **options)
    found, ebt.count, ebt.failed = ebt.failed - failed, count, failed
    return found, out.getvalue()


def whole(node):
    """A module of the tests is loaded, and the whole sandwich fails where ours is wrong."""
    node.load("loaded")
    node.load("loaded")
    pid = node.eval("self()")

    def sandwich(ours, **options):
        return failing(ebt.sandwich, node, "loaded:answer()", lambda: ours, what="w", **options)
    good = [[pid, {"pid": pid, "number": 42}]]
    ebt.equal(sandwich(good, at_least=2)[0], 0, "sandwich: what is right")
    got = sandwich([[pid, {"pid": pid, "number": 43}]])
    ebt.ok(got[0] == 1 and "before 42, ours 43, after 42" in got[1], "sandwich: what is wrong", got)
    ebt.equal(sandwich(good, at_least=3)[0], 1, "sandwich: too little was compared")
    moved = "#{n => erlang:unique_integer([monotonic])}"
    got = failing(ebt.sandwich, node, moved, lambda: {"n": -(2 ** 62)}, ["n"])
    ebt.equal(got[0], 1, "sandwich: a moved value that is not between")
    got = failing(ebt.sandwich, node, moved, lambda: {"n": node.eval("(%s)" % moved)["n"]}, ["n"])
    ebt.equal(got[0], 0, "sandwich: a moved value that is", got)


if __name__ == "__main__":
    ebt.run(whole, once=[values, by_rows])
