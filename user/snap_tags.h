/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sums of tagged blocks: a hash table of struct tag_sum, of bounded size.  What comes when it is
 * full is summed up in one place.
 */
#ifndef EBEAM_SNAP_TAGS_H
#define EBEAM_SNAP_TAGS_H

#include "snap_carrier.h"

struct tag_table {
	const struct size_rule *rule;
	struct tag_sum *v;
	size_t n, cap;
	uint32_t *at; /* 1 + index in v, by hash; 0: free */
	struct tag_sum other;
};

void tag_table_open(struct tag_table *t, const struct size_rule *rule);
void tag_table_close(struct tag_table *t);
/* Takes time by what is in it, not by its size. */
void tag_table_clear(struct tag_table *t);
void tag_table_add(struct tag_table *t, uint64_t packed, uint64_t term, uint64_t size);
/* All of @from, as blocks of @allocator's carriers. */
void tag_table_merge(struct tag_table *t, const struct tag_table *from, unsigned int allocator);
/* Its sums, to be freed by the caller, instead of closing it. */
struct tag_sum *tag_table_take(struct tag_table *t, size_t *n, struct tag_sum *other);

#endif
