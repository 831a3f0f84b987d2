/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tables of `ebeam carrier`: from a walk through all carriers (snap_carrier.h) to rows by instance,
 * by carrier, by creator and by type of block, to totals, and to the map.
 */
#ifndef EBEAM_REPORT_CARRIER_H
#define EBEAM_REPORT_CARRIER_H

#include "code.h"
#include "columns.h"
#include "snap_carrier.h"

/* A row of any of them: what belongs to others stays unset. */
struct blocks_row {
	const char *allocator;
	unsigned int instance;
	const struct carrier_sum *sum; /* of an instance */
	const struct carrier *carrier;
	char address[24];
	/* of a creator, or a type */
	char *creator;	    /* pid, port, place in the code; the origin where that is not told */
	const char *origin; /* system, a driver, the module of a NIF; the atom cache's */
	const char *type;   /* NULL: blocks without a tag */
	char *name;	    /* what the process is called, while it lives */
	const struct tag_sum *tags; /* ntags of them */
	size_t ntags;
	uint64_t blocks, bytes;
	bool counted, sizes_known;
	struct size_hist sizes;
	/* made for rows that are printed as JSON */
	struct item *block_hist, *free_hist, *kinds;
};

struct blocks_rows {
	struct blocks_row *v;
	size_t n, cap;
};

enum carrier_view { VIEW_INSTANCE, VIEW_EACH, VIEW_CREATOR, VIEW_TYPE };

const struct column *carrier_columns(enum carrier_view view, size_t *n);

/* True where tags name places in the code (+M<S>atags code, from 27) instead of processes. */
bool carrier_code_tags(const struct carrier_list *l);

/* @code: names places in the code; NULL: they have only addresses. */
void carrier_rows(struct vm *vm, struct carrier_list *l, struct code *code, enum carrier_view view,
		  struct blocks_rows *rows);
/* What takes time to find out, of rows that are shown: names, and with @json histograms. */
void carrier_rows_finish(struct vm *vm, const struct carrier_list *l, enum carrier_view view,
			 struct table *t, bool json);
void blocks_rows_free(struct blocks_rows *rows);

struct item *size_hist_item(const struct size_rule *rule, const struct size_hist *h);

/* One line: what is there, and which allocator has most that nobody uses. */
void carrier_verdict(const struct vm *vm, const struct carrier_list *l, char *buf, size_t size);

/* How full each multi-block carrier of the instances is that the table shows: report_map.c. */
void carrier_map(const struct vm *vm, const struct carrier_list *l, struct table *t);

#endif
