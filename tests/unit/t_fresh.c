// SPDX-License-Identifier: GPL-2.0-only
/*
 * What came to a process, from both ends read from memory and from what the probes saw between.
 *
 * First case by case, then 2000 random lives, of which the truth is known: what is told may fall
 * short of it, and must never exceed it.  Processes and their lists are made by hand here.
 */
#include "fresh.h"
#include "tap.h"

#include <stdlib.h>

/* --- a table of processes ----------------------------------------------------------------------- */

static struct fake_proc {
	eterm_t id;
	bool found; /* it stood still when it was looked at */
	struct held_bins held;
} table[8];
static size_t ntable;
static bool no_table, no_walk;
static unsigned int ticks;

int snap_proc_ids(struct vm *vm, struct proc_ids *ids)
{
	size_t i;

	if (no_table)
		return -1;
	ids->v = xcalloc(ntable + 1, sizeof(*ids->v));
	ids->n = ntable;
	for (i = 0; i < ntable; i++)
		ids->v[i].id = table[i].id;
	return 0;
}

void snap_proc_ids_free(struct proc_ids *ids)
{
	free(ids->v);
}

int snap_proc_find(struct vm *vm, eterm_t pid, struct proc_image *p)
{
	size_t i;

	for (i = 0; i < ntable; i++)
		if (table[i].id == pid)
			return 0;
	return -1;
}

long snap_held_all(struct vm *vm, struct held_walk *walk, const struct held_visitor *v)
{
	struct proc_id who = { 0 };
	size_t i;

	if (no_walk)
		return -1;
	for (i = 0; i < ntable; i++) {
		who.id = table[i].id;
		v->start(v->arg);
		if (table[i].found)
			v->found(v->arg, &who, &table[i].held);
	}
	return 0;
}

static void tick(void *arg)
{
	++*(unsigned int *)arg;
}

/* --- case by case ------------------------------------------------------------------------------- */

#define P 0x1003ULL

static struct held_bins held(uint64_t refs, uint64_t words)
{
	return (struct held_bins){ .refs = 99, .bytes = 9999, .fresh_refs = refs,
				   .fresh_bytes = 100 * refs, .fresh_words = words,
				   .words_known = true };
}

/* A process collected at ns: what the first collection found, and what came until the last. */
static struct eb_proc row(uint64_t ns, uint64_t first, uint64_t then)
{
	return (struct eb_proc){ .first_ns = ns, .first_refs = first, .first_bytes = 100 * first,
				 .first_words = 10 * first, .acquired = then,
				 .acquired_bytes = 100 * then, .allocated_words = 10 * then };
}

/* A look at the start, at P with so much since its last collection; NULL: it was not there. */
static struct fresh start(const struct held_bins *at, bool found)
{
	struct fresh f = { .tick = tick, .tick_arg = &ticks };

	ntable = 0;
	table[ntable++] = (struct fake_proc){ .id = 0x2003, .found = true, .held = held(70, 700) };
	if (at || !found)
		table[ntable++] = (struct fake_proc){ .id = P, .found = found };
	if (at)
		table[1].held = *at;
	fresh_take(&f, NULL);
	return f;
}

#define LATER UINT64_MAX /* a collection after the look */

static void is_came(const struct came *got, long refs, long words, const char *what)
{
	bool good = got->refs_known == (refs >= 0) && got->words_known == (words >= 0) &&
		    got->refs == (refs > 0 ? (uint64_t)refs : 0) && got->bytes == 100 * got->refs &&
		    got->words == (words > 0 ? (uint64_t)words : 0);

	if (!ok(good, "%s", what))
		diag("refs %" PRIu64 "%s, bytes %" PRIu64 ", words %" PRIu64 "%s", got->refs,
		     got->refs_known ? "" : " (unknown)", got->bytes, got->words,
		     got->words_known ? "" : " (unknown)");
}

static void check(struct fresh f, const struct eb_proc *raw, const struct held_bins *now, long refs,
		  long words, const char *what)
{
	struct came came;

	fresh_came(&f, P, raw, now, &came);
	is_came(&came, refs, words, what);
	fresh_free(&f);
}

static void cases(void)
{
	struct held_bins some = held(7, 70), more = held(12, 130), part = held(7, 70);
	struct held_bins odd = held(12, 0);
	struct eb_proc r = row(LATER, 9, 20), early = row(1, 9, 20), none = row(0, 0, 0), end;
	struct fresh f;

	part.partial = true;
	odd.words_known = false;
	end = r;
	end.flags = EB_PROC_EXITED;

	check(start(&some, true), NULL, &more, 5, 60,
	      "alive at the start, never collected: the difference");
	check(start(&some, true), &none, &more, 5, 60, "with a row for other reasons: the same");
	check(start(&some, true), NULL, &some, 0, 0, "nothing came");
	check(start(&more, true), NULL, &some, 0, 0,
	      "less than before: nothing, not a huge number");
	check(start(&some, true), NULL, NULL, -1, -1,
	      "it would not hold still in the end: unknown");
	check(start(&some, true), NULL, &odd, 5, -1, "running in the end: its heap is unknown");
	check(start(&some, true), &r, &more, 2 + 20 + 12, 20 + 200 + 130,
	      "collected: before the first, less what was there; between; after the last");
	check(start(&some, true), &r, NULL, 2 + 20, 20 + 200,
	      "and gone in the end: without what came last");
	check(start(&some, true), &r, &odd, 2 + 20 + 12, 20 + 200,
	      "and running: its heap, without the last part");
	check(start(&more, true), &r, &more, 20 + 12, 200 + 130,
	      "the first collection found less than was there: some had gone, none is made up");
	check(start(&some, true), &early, &more, 20 + 12, 200 + 130,
	      "collected before it was looked at: what the first one found is older");
	check(start(&part, true), NULL, &more, -1, 60,
	      "its list was not read to the end: no difference");
	check(start(&part, true), &r, &more, 20 + 12, 20 + 200 + 130, "but what came later counts");
	check(start(&odd, true), NULL, &more, 0, -1,
	      "running at the start: no difference of heaps");
	check(start(&odd, true), &r, &odd, 20 + 12, 200, "but what came later counts");
	check(start(NULL, false), NULL, &more, -1, -1,
	      "it would not hold still at the start: unknown");
	check(start(NULL, false), &r, &more, 20 + 12, 200 + 130, "but what came later counts");
	check(start(&some, true), &end, NULL, 2 + 20, 20 + 200,
	      "exited: up to its last collection");
	check(start(&some, true), &end, &more, 2 + 20, 20 + 200,
	      "exited while it was looked at: memory is not asked");
	end.first_ns = end.acquired = end.acquired_bytes = end.allocated_words = 0;
	check(start(&some, true), &end, NULL, -1, -1, "exited without a collection: unknown");

	check(start(NULL, true), NULL, &more, 12, 130, "born under watch: all that it has");
	check(start(NULL, true), &r, &more, 9 + 20 + 12, 90 + 200 + 130,
	      "born and collected: all three parts");
	check(start(NULL, true), &r, NULL, 9 + 20, 90 + 200, "born, collected, and gone");
	check(start(NULL, true), NULL, NULL, -1, -1, "born, and gone at once: unknown");

	no_table = true;
	check(start(&some, true), &r, &more, -1, -1, "no look at the start was possible: unknown");
	no_table = false;
	no_walk = true;
	check(start(&some, true), &r, &more, -1, -1, "nor was a walk: unknown");
	no_walk = false;

	ticks = 0;
	f = start(&some, true);
	ok(f.taken && ticks == 2 && f.by_pid.n == 2, "the look at the start lets the guard run");
	fresh_free(&f);
	ok(!f.v && !f.taken, "and is forgotten");
}

/* --- in intervals ------------------------------------------------------------------------------- */

static void intervals(void)
{
	struct held_bins some = held(7, 70), more = held(12, 130), grown = held(12, 130);
	struct eb_proc r = row(LATER, 15, 0);
	struct fresh f = start(&some, true);
	struct came came;

	fresh_came(&f, P, NULL, &more, &came);
	is_came(&came, 5, 60, "the first interval");
	fresh_came(&f, P, NULL, &more, &came);
	is_came(&came, 0, 0, "the second has only what came since");
	grown.fresh_bytes += 5000;
	fresh_came(&f, P, NULL, &grown, &came);
	ok(!came.refs && came.bytes == 5000, "binaries that grew: their bytes come");
	fresh_came(&f, P, NULL, &grown, &came);
	ok(!came.refs && !came.bytes, "and come once");
	fresh_free(&f);

	f = start(&some, true);
	fresh_came(&f, P, NULL, &more, &came);
	fresh_came(&f, P, NULL, NULL, &came);
	is_came(&came, -1, -1, "an interval in which it would not hold still");
	r.first_words = 160;
	fresh_came(&f, P, &r, &some, &came);
	is_came(&came, 3 + 7, 30 + 70,
		"then collected: what was told is taken off, nothing is lost");
	fresh_came(&f, P, &r, NULL, &came);
	is_came(&came, 0, 0, "it moves: nothing, until there is more than was told");
	r.acquired = 10, r.acquired_bytes = 1000, r.allocated_words = 100;
	fresh_came(&f, P, &r, NULL, &came);
	is_came(&came, 3, 30, "collected again: what is beyond that");
	/* its row was summed up: the next one knows nothing of what was before */
	r = row(LATER, 4, 1);
	fresh_came(&f, P, &r, NULL, &came);
	is_came(&came, 0, 0, "its row was taken out: nothing is told twice");
	fresh_free(&f);
}

/* --- any life ----------------------------------------------------------------------------------- */

static uint64_t rng = 0x853c49e6748fea9bULL;

static uint64_t rnd(uint64_t below)
{
	rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
	return (rng * 0x2545f4914f6cdd1dULL >> 20) % below;
}

struct life {
	struct held_bins mem; /* since the last collection */
	struct eb_proc raw;
	struct came truth; /* under watch */
	bool watched, exited;
};

static void work(struct life *l)
{
	uint64_t refs = rnd(4), bytes = refs ? rnd(1000) : 0, words = rnd(500);

	l->mem.fresh_refs += refs;
	l->mem.fresh_bytes += bytes;
	l->mem.fresh_words += words;
	if (!l->watched)
		return;
	l->truth.refs += refs;
	l->truth.bytes += bytes;
	l->truth.words += words;
}

static void gc(struct life *l)
{
	if (l->watched && !l->raw.first_ns) {
		l->raw.first_ns = now_ns();
		l->raw.first_refs = l->mem.fresh_refs;
		l->raw.first_bytes = l->mem.fresh_bytes;
		l->raw.first_words = l->mem.fresh_words;
	} else if (l->watched) {
		l->raw.acquired += l->mem.fresh_refs;
		l->raw.acquired_bytes += l->mem.fresh_bytes;
		l->raw.allocated_words += l->mem.fresh_words;
	}
	l->mem.fresh_refs = l->mem.fresh_bytes = l->mem.fresh_words = 0;
}

static void step(struct life *l, unsigned int n)
{
	while (n--) {
		work(l);
		if (!rnd(4))
			gc(l);
	}
}

/* A look at it: where it does not hold still there is none, or not of its heap, or of its list. */
static bool look(const struct life *l, struct held_bins *out)
{
	*out = l->mem;
	out->words_known = rnd(4);
	if (!rnd(8)) {
		out->partial = true;
		out->fresh_refs /= 2;
		out->fresh_bytes /= 2;
	}
	return rnd(6);
}

/* True while what was told is no more than what came; it adds up what was told. */
static bool live(unsigned int *exact)
{
	struct came told = { 0 }, came;
	struct life l = { 0 };
	struct held_bins at;
	struct fresh f = { 0 };
	bool born = !rnd(3), complete = true, seen;
	unsigned int i, n = 1 + rnd(4);

	step(&l, born ? 0 : rnd(8));
	/* probes are set before the look */
	l.watched = true;
	if (!born)
		step(&l, rnd(3) ? 0 : rnd(3));
	ntable = born ? 0 : 1;
	table[0] = (struct fake_proc){ .id = P };
	table[0].found = look(&l, &table[0].held);
	/* the clock must not stand still in between */
	for (told.words = now_ns(); now_ns() == told.words;)
		;
	told.words = 0;
	fresh_take(&f, NULL);
	for (i = now_ns(); (unsigned int)now_ns() == i;)
		;
	for (i = 0; i < n && !l.exited; i++) {
		step(&l, rnd(6));
		if (!rnd(12)) {
			l.exited = true;
			l.raw.flags = EB_PROC_EXITED;
		}
		seen = look(&l, &at);
		fresh_came(&f, P, rnd(8) ? &l.raw : l.raw.first_ns ? &l.raw : NULL,
			   seen ? &at : NULL, &came);
		complete = !l.exited && seen && !at.partial && at.words_known && came.refs_known &&
			   came.words_known;
		told.refs += came.refs;
		told.bytes += came.bytes;
		told.words += came.words;
		if (!came.refs_known && (came.refs || came.bytes))
			return false;
		if (!came.words_known && came.words)
			return false;
	}
	fresh_free(&f);
	if (told.refs > l.truth.refs || told.bytes > l.truth.bytes || told.words > l.truth.words) {
		diag("told %" PRIu64 " refs, %" PRIu64 " bytes, %" PRIu64 " words; came %" PRIu64
		     ", %" PRIu64 ", %" PRIu64, told.refs, told.bytes, told.words, l.truth.refs,
		     l.truth.bytes, l.truth.words);
		return false;
	}
	/* and all of it, where nothing was in the way: born under watch, and looked at in the end */
	*exact += born && complete && told.refs == l.truth.refs && told.bytes == l.truth.bytes &&
		  told.words == l.truth.words;
	return !born || !complete ||
	       (told.refs == l.truth.refs && told.bytes == l.truth.bytes &&
		told.words == l.truth.words);
}

/* Rows that are taken out, and processes that end. */
static void gone(void)
{
	struct held_bins some = held(7, 70), now = held(4, 40);
	struct eb_proc r = row(LATER, 9, 20), again = row(LATER, 3, 0), none = row(0, 0, 0);
	struct fresh f = start(&some, true);
	struct came came;

	fresh_row_gone(&f, P, &r, &came);
	is_came(&came, 22, 220, "row taken out: all up to its last collection is told");
	fresh_came(&f, P, &again, &now, &came);
	is_came(&came, 7, 70, "row taken out: a later row tells what came since");
	fresh_free(&f);
	f = start(&some, true);
	fresh_row_gone(&f, P, &none, &came);
	fresh_came(&f, P, &r, NULL, &came);
	is_came(&came, 22, 220, "row taken out before a collection: the start still counts");
	fresh_forget(&f, NULL);
	is_u64(f.by_pid.n, 2, "forget: those that were asked about, and those that live, stay");
	ntable = 1; /* P has ended */
	fresh_forget(&f, NULL);
	is_u64(f.by_pid.n, 1, "forget: what ended and is not asked about any more goes");
	fresh_free(&f);
}

int main(void)
{
	unsigned int i, good = 0, exact = 0;

	cases();
	gone();
	intervals();
	for (i = 0; i < 2000; i++)
		good += live(&exact);
	is_u64(good, 2000, "any life: never more is told than came");
	ok(exact > 200, "any life: and all, where nothing was in the way (%u times)", exact);
	return done();
}
