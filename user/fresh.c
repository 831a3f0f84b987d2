// SPDX-License-Identifier: GPL-2.0-only
#include "fresh.h"

#include <stdlib.h>
#include <string.h>

#define START_NODES_MAX 5000000ULL /* off-heap nodes looked at in the beginning */

static struct fresh_entry *entry_of(struct fresh *f, uint64_t pid)
{
	size_t n = f->by_pid.n, at = pairs_add(&f->by_pid, pid, 0);

	if (at >= f->cap) {
		f->cap = f->cap ? 2 * f->cap : 256;
		f->v = xrealloc(f->v, f->cap * sizeof(*f->v));
	}
	if (at == n) {
		memset(&f->v[at], 0, sizeof(f->v[at]));
		f->v[at].pid = pid;
	}
	f->v[at].round = f->round;
	return &f->v[at];
}

static void start_process(void *arg)
{
	struct fresh *f = arg;

	if (f->tick)
		f->tick(f->tick_arg);
}

static void note_start(void *arg, const struct proc_id *who, const struct held_bins *held)
{
	struct fresh_entry *e = entry_of(arg, who->id);

	e->ns = now_ns();
	e->start.refs = held->fresh_refs;
	e->start.bytes = held->fresh_bytes;
	e->start.words = held->fresh_words;
	e->start.refs_known = !held->partial;
	e->start.words_known = held->words_known;
}

void fresh_take(struct fresh *f, struct vm *vm)
{
	struct held_walk walk = { .refs_budget = START_NODES_MAX, .fresh_only = true };
	struct held_visitor v = { start_process, note_start, f };
	struct proc_ids ids;
	uint64_t now;
	size_t i;

	/* all that are there, so that the later born are known as such */
	if (snap_proc_ids(vm, &ids))
		return;
	now = now_ns();
	for (i = 0; i < ids.n; i++)
		entry_of(f, ids.v[i].id)->ns = now;
	snap_proc_ids_free(&ids);
	f->taken = snap_held_all(vm, &walk, &v) >= 0;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* What of a sum was not told yet; from now on it is. */
static uint64_t beyond(uint64_t sum, uint64_t *shown)
{
	uint64_t new = less(sum, *shown);

	*shown += new;
	return new;
}

void fresh_came(struct fresh *f, uint64_t pid, const struct eb_proc *raw,
		const struct held_bins *now, struct came *out)
{
	struct fresh_entry *e = entry_of(f, pid);
	bool collected = raw && raw->first_ns, exited = raw && raw->flags & EB_PROC_EXITED;
	struct came sum = { .refs_known = f->taken, .words_known = f->taken };

	/* born under watch: nothing to take off */
	if (!e->ns)
		e->start.refs_known = e->start.words_known = true;
	if (raw) {
		sum.refs = raw->acquired;
		sum.bytes = raw->acquired_bytes;
		sum.words = raw->allocated_words;
	}
	/* what the first collection found, if we had looked before it */
	if (collected && e->ns < raw->first_ns && e->start.refs_known) {
		sum.refs += less(raw->first_refs, e->start.refs);
		sum.bytes += less(raw->first_bytes, e->start.bytes);
	}
	if (collected && e->ns < raw->first_ns && e->start.words_known)
		sum.words += less(raw->first_words, e->start.words);
	/* what came after the last one */
	if (now && !exited && (collected || e->start.refs_known)) {
		sum.refs += collected ? now->fresh_refs : less(now->fresh_refs, e->start.refs);
		sum.bytes += collected ? now->fresh_bytes : less(now->fresh_bytes, e->start.bytes);
	} else if (!collected) {
		sum.refs_known = false;
	}
	if (now && now->words_known && !exited && (collected || e->start.words_known))
		sum.words += collected ? now->fresh_words : less(now->fresh_words, e->start.words);
	else if (!collected)
		sum.words_known = false;
	*out = (struct came){ .refs_known = sum.refs_known, .words_known = sum.words_known };
	/* each by itself: binaries grow, and a list may be read further the second time */
	if (sum.refs_known) {
		out->refs = beyond(sum.refs, &e->shown.refs);
		out->bytes = beyond(sum.bytes, &e->shown.bytes);
	}
	if (sum.words_known)
		out->words = beyond(sum.words, &e->shown.words);
}

void fresh_row_gone(struct fresh *f, uint64_t pid, const struct eb_proc *raw, struct came *out)
{
	struct fresh_entry *e;

	fresh_came(f, pid, raw, NULL, out);
	if (!raw->first_ns)
		return; /* what it had at the start still counts */
	/* told up to its last collection; the next one finds what came since that */
	e = entry_of(f, pid);
	e->ns = 0;
	memset(&e->start, 0, sizeof(e->start));
	memset(&e->shown, 0, sizeof(e->shown));
}

void fresh_forget(struct fresh *f, struct vm *vm)
{
	struct pairs kept = { 0 };
	struct proc_image image;
	size_t i;

	for (i = 0; i < f->by_pid.n; i++)
		if (f->v[i].round == f->round || !snap_proc_find(vm, f->v[i].pid, &image))
			f->v[pairs_add(&kept, f->v[i].pid, 0)] = f->v[i];
	pairs_free(&f->by_pid);
	f->by_pid = kept;
	f->round++;
}

void fresh_free(struct fresh *f)
{
	pairs_free(&f->by_pid);
	free(f->v);
	memset(f, 0, sizeof(*f));
}
