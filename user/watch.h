/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A watch: probes under a guard.  It measures what a hit costs, attaches what may be on, and from
 * then on is stepped: each step tells the guard what was spent and switches groups as it says.
 */
#ifndef EBEAM_WATCH_H
#define EBEAM_WATCH_H

#include "guard.h"
#include "probe.h"

/* Hits that are in a thread's cost already. */
struct watch_seen {
	uint64_t hits, returns;
};

struct watch {
	struct probe_plan plan;
	struct probe_kernel kernel;
	struct probe_cost cost;
	struct probe *probe;
	struct guard guard;
	double ns[EB_NGROUPS]; /* of a hit at an entry, without the programs' own time */
	double return_ns;      /* of one at a return */
	struct watch_seen (*seen)[EB_NGROUPS]; /* by thread */
	double (*paid)[EB_NGROUPS];	       /* of each thread so far, ns */
	uint64_t end;	       /* when the watching stopped; 0 while it goes on */
};

struct watch_spent {
	uint64_t hits;
	double ns;	    /* over all threads */
	double busiest_ns;  /* of the thread that paid most */
	double share;	    /* of that thread's time so far */
};

/* Prepares and attaches; -1 with a failure noted. */
int watch_open(struct watch *w, struct vm *vm, unsigned int want, double max_overhead, bool exact,
	       unsigned int max_processes);
/* To be called every watch_tick_ns(); -1 when the target is gone or probes cannot be set. */
int watch_step(struct watch *w);
uint64_t watch_tick_ns(const struct watch *w);
/* Takes all probes out; what was gathered stays readable. */
void watch_stop(struct watch *w);
void watch_close(struct watch *w);

void watch_spent(struct watch *w, struct watch_spent *s);
/* Share of time watched; -1 when the group has no sites here. */
double watch_coverage(const struct watch *w, int group);

#endif
