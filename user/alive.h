/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Blocks that were allocated under watch and are alive: how many of each process and type, how old,
 * and, of refc binaries, who holds them now.  Where births were sampled each stands for `weight`.
 */
#ifndef EBEAM_ALIVE_H
#define EBEAM_ALIVE_H

#include "ebeam_shared.h"
#include "model.h"
#include "pairs.h"
#include "probe.h"

struct live_sum {
	uint64_t who;
	uint32_t type;
	uint64_t blocks, bytes; /* bytes as asked for */
};

struct alive_bin {
	uint64_t ptr, creator, size; /* its own size */
	uint64_t ns;		     /* when it was born */
	uint32_t weight;
	bool held;	      /* some process has a reference */
	uint64_t last_holder; /* to count a holder of many references once */
};

struct holding {
	uint64_t creator, holder; /* holder 0: nobody was found */
	uint64_t binaries, bytes;
};

struct alive {
	struct live_sum *live;
	size_t nlive;
	struct alive_bin *bins;
	struct pairs bin_at; /* by address */
	struct holding *holdings;
	struct pairs holding_at; /* (creator, holder) */
	size_t holdings_cap;
	size_t *seen; /* references of the process that is being walked */
	size_t nseen, seen_cap;
};

/* Reads what is alive; with @bins also each refc binary, for the two below. */
void alive_read(struct alive *a, struct vm *vm, struct probe *p, bool bins);
/* A walk over what processes hold: callbacks of struct held_walk and held_visitor. */
void alive_start(struct alive *a);
void alive_on_ref(struct alive *a, uint64_t binary);
void alive_found(struct alive *a, uint64_t holder);
/* After the walk: what is left has no holder among the processes. */
void alive_rest(struct alive *a);
void alive_free(struct alive *a);

#endif
