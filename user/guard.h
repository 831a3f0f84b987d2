/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guard: keeps what tracing costs the node below the user's budget.
 *
 * The budget is a share of wall time, for every thread of the target by itself, over any window of
 * 10 s.  A group of sites that costs more than that is watched in bursts of at most 100 ms, with
 * pauses in between that make up for them; the others stay on.  Pure logic: time and costs come
 * in, decisions go out, so that it is tested without a VM.
 */
#ifndef EBEAM_GUARD_H
#define EBEAM_GUARD_H

#include "ebeam_shared.h"
#include "util.h"

#define GUARD_WINDOW_NS 10000000000ULL
#define GUARD_SLOTS 100 /* the window in steps of 100 ms */
#define GUARD_BURST_NS 100000000ULL
#define GUARD_TICK_NS 20000000ULL /* how often it wants to be asked while something hot is on */

struct guard_thread {
	double total[EB_NGROUPS]; /* cost so far, as last told */
	double burst[EB_NGROUPS]; /* of the burst under way */
	double slot[GUARD_SLOTS];
	double window;		  /* sum of slot */
};

struct guard_group {
	bool present, on;
	uint64_t on_since, off_until;
	double burst_max;    /* ns that the dearest thread spent in the burst under way */
	double tick_max;     /* the same since the last tick */
	double rate;	     /* share of a thread's time while on, as last measured */
	uint64_t watched_ns; /* time on, up to the last tick */
	unsigned int bursts; /* times it was switched off */
	uint64_t first_off;  /* when, since the start; 0 = never */
};

struct guard {
	double budget; /* share of wall time: 0.02 is 2 % */
	bool exact;    /* keep everything on */
	uint64_t start, last;
	struct guard_group groups[EB_NGROUPS];
	struct guard_thread *threads;
	size_t nthreads;
	uint64_t slot_no;
	double worst; /* largest share of any thread's window seen so far */
};

void guard_init(struct guard *g, double percent, bool exact, unsigned int groups, uint64_t now);
void guard_free(struct guard *g);

/**
 * guard_tick() - take in what was spent, and decide
 * @cost: cost so far in ns, thread by thread, group by group
 * @want: out: which groups should be on from now
 */
void guard_tick(struct guard *g, uint64_t now, size_t nthreads, double (*cost)[EB_NGROUPS],
		bool want[EB_NGROUPS]);

/* To be told when a group has really been switched; takes effect on the accounting. */
void guard_switched(struct guard *g, int group, bool on, uint64_t now);

/* Share of the time since the start that a group was watched. */
double guard_coverage(const struct guard *g, int group, uint64_t now);

/* The budget, in percent, at which a group could be watched for one tick; 0 = it was watched. */
double guard_needs_percent(const struct guard *g, int group);

const char *guard_group_name(int group);

#endif
