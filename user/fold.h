/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keeps the probes' rows in bounds: when many processes have come by, the lightest are taken out
 * of the kernel's maps and summed up as one, "other".  What a process had before its row was
 * taken out is missing from a row it gets later; by how much that can be wrong is known.
 */
#ifndef EBEAM_FOLD_H
#define EBEAM_FOLD_H

#include "pairs.h"
#include "rows.h"

/* What weighs; each has its own bound. */
enum fold_metric { FOLD_ALLOC, FOLD_BIN, FOLD_GC, FOLD_N };

struct fold {
	unsigned int max_processes;
	struct eb_proc proc; /* sums since the last report */
	struct pairs types;
	struct eb_alloc *allocs;	     /* by type */
	uint32_t *alloc_types;
	uint64_t folded;		     /* rows of processes, of the whole run */
	/* told of each row before it is summed up */
	void (*gone)(void *arg, uint64_t who, const struct eb_proc *row);
	void *gone_arg;
	uint64_t last_ns;		     /* when rows were last taken out */
	uint64_t procs_gone, alloc_rows_gone;
	/* the heaviest that had ended and cannot come back; live_sum as it was then included */
	uint64_t dead_max[FOLD_N];
	uint64_t live_sum[FOLD_N]; /* the heaviest of each round that can, one on top of the other */
};

/* Are there so many rows that some should go? */
bool fold_due(const struct fold *f, const struct probe *p);
/*
 * Takes the lightest rows out.  @procs, @allocs: what was reported of them before, not to be
 * reported again.
 */
void fold_run(struct fold *f, struct probe *p, struct map_copy *procs, struct map_copy *allocs);
/* The sums were reported. */
void fold_reported(struct fold *f);
/**
 * fold_bound() - how much any one process's amount may be wrong
 * @overflowed: what went to the row of all others because a map was full at the moment
 */
uint64_t fold_bound(const struct fold *f, enum fold_metric m, uint64_t overflowed);
void fold_free(struct fold *f);

/* The amount by which a row weighs. */
uint64_t fold_weight(const struct eb_proc *p, uint64_t alloc_bytes, enum fold_metric m);

#endif
