/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The report of `mem`: rows of allocator instances, totals, and the way from what is used to RSS.
 */
#ifndef EBEAM_REPORT_MEM_H
#define EBEAM_REPORT_MEM_H

#include "columns.h"
#include "mem_map.h"
#include "snap_memory.h"

/* A row: an instance of an allocator, or all of them. */
struct mem_row {
	const char *allocator, *strategy;
	bool one;    /* an instance; else the sum of all */
	unsigned int ix, n; /* n: instances in it */
	bool pooled, maxima, resident_known;
	struct mem_carriers of[MEM_KINDS];
	struct mem_resident resident;
	/* since the round before */
	bool changed;
	int64_t carriers_size_change, blocks_size_change, resident_change;
};

/* All that one look has found. */
struct mem_look {
	struct snap_mem mem;
	struct snap_memory memory;
	struct mem_map map;
	struct mem_row *rows; /* one for each instance that was read */
	size_t nrows;
	struct mem_row *sums; /* one for each allocator */
	size_t nsums;
};

#define MEM_MAX_COLUMNS 64

size_t report_mem_columns(struct column *cols, bool changes, bool each);
/* Rows of @look->mem; what they were before, where there is a before. */
void report_mem_rows(struct mem_look *look, const struct mem_look *before);
void report_mem_free(struct mem_look *look);

/* Totals, verdict and blocks; @items: trees that the table points to, to be freed after it. */
#define MEM_MAX_ITEMS 8
void report_mem_table(struct table *t, const struct mem_look *look, const struct mem_look *before,
		      struct item **items);

/* recon_alloc's: blocks over carriers, 1 where there is no carrier. */
double mem_row_usage(const struct mem_row *r);

#endif
