// SPDX-License-Identifier: GPL-2.0-only
/* Open addressing, indices into an array that grows: see snap_tags.h. */
#include "snap_tags.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS (4 * TAGS_MAX) /* a power of two; at most a quarter of them is taken */

void tag_table_open(struct tag_table *t, const struct size_rule *rule)
{
	*t = (struct tag_table){ .rule = rule, .at = xcalloc(SLOTS, sizeof(*t->at)) };
}

void tag_table_close(struct tag_table *t)
{
	free(t->v);
	free(t->at);
	memset(t, 0, sizeof(*t));
}

static uint32_t *slot_of(struct tag_table *t, uint64_t packed, uint64_t term,
			 unsigned int allocator)
{
	uint64_t h = (packed * 0x9e3779b97f4a7c15ULL ^ term) * 0xc2b2ae3d27d4eb4fULL + allocator;
	const struct tag_sum *s;
	size_t i;

	/* more slots than sums: it ends at a free one */
	for (i = (h ^ h >> 32) % SLOTS; t->at[i]; i = (i + 1) % SLOTS) {
		s = &t->v[t->at[i] - 1];
		if (s->packed == packed && s->term == term && s->allocator == allocator)
			break;
	}
	return &t->at[i];
}

/* The sum of this key, made when there is none; the rest's when there is no room. */
static struct tag_sum *sum_of(struct tag_table *t, uint64_t packed, uint64_t term,
			      unsigned int allocator)
{
	uint32_t *at = slot_of(t, packed, term, allocator);

	if (*at)
		return &t->v[*at - 1];
	if (t->n == TAGS_MAX)
		return &t->other;
	if (t->n == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64;
		t->v = xrealloc(t->v, t->cap * sizeof(*t->v));
	}
	t->v[t->n] = (struct tag_sum){ .packed = packed, .term = term, .allocator = allocator };
	*at = ++t->n;
	return &t->v[t->n - 1];
}

void tag_table_clear(struct tag_table *t)
{
	size_t i;

	/* all marks are taken before any is needed to find another: from the last one back */
	for (i = t->n; i-- > 0;)
		*slot_of(t, t->v[i].packed, t->v[i].term, t->v[i].allocator) = 0;
	t->n = 0;
	memset(&t->other, 0, sizeof(t->other));
}

void tag_table_add(struct tag_table *t, uint64_t packed, uint64_t term, uint64_t size)
{
	struct tag_sum *s = sum_of(t, packed, term, 0);

	s->blocks++;
	s->bytes += size;
	s->sizes.slot[size_slot(t->rule, size)]++;
}

static void add(struct tag_sum *to, const struct tag_sum *from)
{
	int i;

	to->blocks += from->blocks;
	to->bytes += from->bytes;
	for (i = 0; i < BLOCK_SLOTS; i++)
		to->sizes.slot[i] += from->sizes.slot[i];
}

void tag_table_merge(struct tag_table *t, const struct tag_table *from, unsigned int allocator)
{
	size_t i;

	for (i = 0; i < from->n; i++)
		add(sum_of(t, from->v[i].packed, from->v[i].term, allocator), &from->v[i]);
	add(&t->other, &from->other);
}

struct tag_sum *tag_table_take(struct tag_table *t, size_t *n, struct tag_sum *other)
{
	struct tag_sum *v = t->v;

	*n = t->n;
	*other = t->other;
	t->v = NULL;
	tag_table_close(t);
	return v;
}
