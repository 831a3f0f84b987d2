/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The probes' rows as they come from the kernel: copies of maps, finding a row by its key, and
 * arithmetic on rows.
 */
#ifndef EBEAM_ROWS_H
#define EBEAM_ROWS_H

#include "probe.h"

struct map_copy {
	void *keys, *values;
	size_t n;
};

void map_copy_free(struct map_copy *c);

/* Finds entries of a copy by their key. */
struct row_index {
	size_t *slots, cap;
	const struct map_copy *of;
	size_t key_size;
};

void row_index_make(struct row_index *ix, const struct map_copy *of, size_t key_size);
long row_index_find(const struct row_index *ix, const void *key);
void row_index_free(struct row_index *ix);

/* a += b, a -= b; what is no sum (names, flags, maxima) is taken over, or left. */
void proc_add(struct eb_proc *a, const struct eb_proc *b);
void proc_sub(struct eb_proc *a, const struct eb_proc *b);
void alloc_add(struct eb_alloc *a, const struct eb_alloc *b);
void alloc_sub(struct eb_alloc *a, const struct eb_alloc *b);
void carrier_sub(struct eb_carrier *a, const struct eb_carrier *b);

size_t rows_key_size(enum probe_map map);
size_t rows_value_size(enum probe_map map);

/*
 * Reads a map; @now becomes what is new since @base (values changed in place), and @base becomes
 * the full copy.
 */
void rows_read_new(struct probe *p, enum probe_map map, struct map_copy *base,
		   struct map_copy *now);

#endif
