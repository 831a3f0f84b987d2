/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small map from two words to the number of an entry, given out from 0 upwards: the caller
 * keeps the entries in an array of its own.
 */
#ifndef EBEAM_PAIRS_H
#define EBEAM_PAIRS_H

#include "util.h"

struct pairs {
	struct pair_slot {
		uint64_t a, b;
		size_t entry; /* 1 + its number; 0: free */
	} *slots;
	size_t cap, n;
};

/* The number of an entry, or -1. */
long pairs_find(const struct pairs *p, uint64_t a, uint64_t b);
/* The same, given out now if there is none: then it is what p->n was before. */
size_t pairs_add(struct pairs *p, uint64_t a, uint64_t b);
void pairs_free(struct pairs *p);

#endif
