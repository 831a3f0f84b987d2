/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Do the sites see what happens?  Compilers inline differently from build to build: a function may
 * be there, probed, and bypassed by all its callers.  So for a second the hits of each site are
 * compared with the VM's own counter of the same calls.
 */
#ifndef EBEAM_HITS_H
#define EBEAM_HITS_H

#include "watch.h"

struct site_hits {
	const char *name;
	bool counted;	  /* the VM counts these calls, too */
	uint64_t hits, vm; /* while its group was on */
	uint64_t watched_ns;
};

/**
 * hits_compare() - watch all sites for a while
 * @w: opened, so that the guard keeps what it costs within the budget
 * @n: out: number of entries
 *
 * Returns an array, to be freed, with an entry for each site that is no return; NULL with a failure
 * noted.  The two counts of a busy site differ a little: they cannot be read at the same moment.
 */
struct site_hits *hits_compare(struct vm *vm, struct watch *w, uint64_t ns, size_t *n);

#endif
