/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What came to each process: references to refc binaries, and heap words.
 *
 * The probes see it at collections, since the one before.  What came before the first collection
 * under watch is partly older than the watch, and what came after the last one shows at no probe:
 * both ends are read from memory, at the start and at the end of an interval.
 */
#ifndef EBEAM_FRESH_H
#define EBEAM_FRESH_H

#include "ebeam_shared.h"
#include "pairs.h"
#include "snap_held.h"

/* Amounts, as of some moment. */
struct came {
	uint64_t refs, bytes, words;
	bool refs_known, words_known;
};

struct fresh_entry {
	uint64_t pid;
	uint64_t ns;	   /* when it was looked at first; 0: it was not there at the start */
	struct came start; /* since its last collection, at that moment */
	struct came shown; /* up to the end of the last interval that was reported */
	unsigned int round; /* when it was last asked about */
};

struct fresh {
	struct pairs by_pid;
	struct fresh_entry *v;
	size_t cap;
	bool taken; /* the look at the start took place */
	unsigned int round;
	/* called now and then during a look: on large nodes it takes seconds */
	void (*tick)(void *arg);
	void *tick_arg;
};

/* The look at the start, soon after the probes were set. */
void fresh_take(struct fresh *f, struct vm *vm);
/**
 * fresh_came() - what came to a process since the end of the last interval
 * @raw: what the probes have, of the whole run; NULL: nothing
 * @now: what memory shows now; NULL: the process is gone, or would not hold still
 *
 * Never more than really came; parts that cannot be had are left out, or nothing is known.
 */
void fresh_came(struct fresh *f, uint64_t pid, const struct eb_proc *raw,
		const struct held_bins *now, struct came *out);
/* The same of a process whose row is taken out: a row that it gets later starts from nothing. */
void fresh_row_gone(struct fresh *f, uint64_t pid, const struct eb_proc *raw, struct came *out);
/* Once per interval: processes that ended and were not asked about are forgotten. */
void fresh_forget(struct fresh *f, struct vm *vm);
void fresh_free(struct fresh *f);

#endif
