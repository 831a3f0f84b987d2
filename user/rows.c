// SPDX-License-Identifier: GPL-2.0-only
#include "rows.h"

#include <stdlib.h>
#include <string.h>

void map_copy_free(struct map_copy *c)
{
	free(c->keys);
	free(c->values);
	memset(c, 0, sizeof(*c));
}

static size_t key_hash(const void *key, size_t size)
{
	const unsigned char *p = key;
	uint64_t h = 0xcbf29ce484222325ULL;

	while (size--)
		h = (h ^ *p++) * 0x100000001b3ULL;
	return h ^ h >> 32;
}

void row_index_make(struct row_index *ix, const struct map_copy *of, size_t key_size)
{
	size_t i, at;

	for (ix->cap = 16; ix->cap < 2 * of->n + 1; ix->cap *= 2)
		;
	ix->slots = xcalloc(ix->cap, sizeof(*ix->slots));
	ix->of = of;
	ix->key_size = key_size;
	for (i = 0; i < of->n; i++) {
		at = key_hash((char *)of->keys + i * key_size, key_size) & (ix->cap - 1);
		while (ix->slots[at])
			at = (at + 1) & (ix->cap - 1);
		ix->slots[at] = i + 1;
	}
}

long row_index_find(const struct row_index *ix, const void *key)
{
	size_t at = key_hash(key, ix->key_size) & (ix->cap - 1);

	for (; ix->slots[at]; at = (at + 1) & (ix->cap - 1))
		if (!memcmp((char *)ix->of->keys + (ix->slots[at] - 1) * ix->key_size, key,
			    ix->key_size))
			return ix->slots[at] - 1;
	return -1;
}

void row_index_free(struct row_index *ix)
{
	free(ix->slots);
	ix->slots = NULL;
}

/*
 * One list of members for both directions, so that none is forgotten in one of them.  acquired and
 * allocated_words are left alone: fresh.c takes off what was shown of them.
 */
#define PROC_SUMS(X)                                                                               \
	X(created) X(created_bytes) X(freed) X(freed_bytes) X(died) X(died_bytes) X(released)      \
	X(released_bytes) X(minor) X(major) X(pause_total_ns) X(reclaimed_words)                   \
	X(gc_released_bytes)
#define ALLOC_SUMS(X)                                                                              \
	X(allocs) X(alloc_bytes) X(frees) X(free_bytes) X(reallocs) X(realloc_bytes)
#define CARRIER_SUMS(X)                                                                            \
	X(created) X(destroyed) X(created_bytes) X(destroyed_bytes) X(destroyed_used) X(grown)     \
	X(grown_bytes) X(shrunk) X(shrunk_bytes) X(abandoned) X(abandoned_bytes) X(fetched)        \
	X(fetched_bytes)

#define ADD(m) a->m += b->m;
#define SUB(m) a->m -= b->m;

static void hist_plus(uint32_t *a, const uint32_t *b, size_t n)
{
	while (n--)
		*a++ += *b++;
}

static void hist_minus(uint32_t *a, const uint32_t *b, size_t n)
{
	while (n--)
		*a++ -= *b++;
}

void proc_add(struct eb_proc *a, const struct eb_proc *b)
{
	PROC_SUMS(ADD)
	if (b->pause_max_ns > a->pause_max_ns)
		a->pause_max_ns = b->pause_max_ns;
	a->flags |= b->flags & EB_PROC_PARTIAL;
	hist_plus(a->size_hist, b->size_hist, EB_HIST_SLOTS);
	hist_plus(a->pause_hist, b->pause_hist, EB_HIST_SLOTS);
	hist_plus(a->life_hist, b->life_hist, EB_LIFE_SLOTS);
}

void proc_sub(struct eb_proc *a, const struct eb_proc *b)
{
	PROC_SUMS(SUB)
	hist_minus(a->size_hist, b->size_hist, EB_HIST_SLOTS);
	hist_minus(a->pause_hist, b->pause_hist, EB_HIST_SLOTS);
	hist_minus(a->life_hist, b->life_hist, EB_LIFE_SLOTS);
}

void alloc_add(struct eb_alloc *a, const struct eb_alloc *b)
{
	ALLOC_SUMS(ADD)
	hist_plus(a->size_hist, b->size_hist, EB_HIST_SLOTS);
}

void alloc_sub(struct eb_alloc *a, const struct eb_alloc *b)
{
	ALLOC_SUMS(SUB)
	hist_minus(a->size_hist, b->size_hist, EB_HIST_SLOTS);
}

void carrier_sub(struct eb_carrier *a, const struct eb_carrier *b)
{
	CARRIER_SUMS(SUB)
	hist_minus(a->size_hist, b->size_hist, EB_HIST_SLOTS);
	hist_minus(a->life_hist, b->life_hist, EB_LIFE_SLOTS);
}

size_t rows_key_size(enum probe_map map)
{
	return map == MAP_ALLOC	  ? sizeof(struct eb_alloc_key) :
	       map == MAP_CARRIER ? sizeof(struct eb_carrier_key) :
				    sizeof(uint64_t);
}

size_t rows_value_size(enum probe_map map)
{
	static const size_t sizes[] = {
		[MAP_PROCS] = sizeof(struct eb_proc),
		[MAP_ALLOC] = sizeof(struct eb_alloc),
		[MAP_CARRIER] = sizeof(struct eb_carrier),
		[MAP_BIRTHS] = sizeof(struct eb_birth),
		[MAP_CARRIERS] = sizeof(struct eb_carrier_birth),
	};

	return sizes[map];
}

void rows_read_new(struct probe *p, enum probe_map map, struct map_copy *base,
		   struct map_copy *now)
{
	size_t ks = rows_key_size(map), vs = rows_value_size(map), i;
	struct row_index ix;
	struct map_copy full;
	char *value, *old;
	long at;

	full.n = probe_read_map(p, map, &full.keys, &full.values);
	now->n = full.n;
	now->keys = xcalloc(full.n, ks);
	now->values = xcalloc(full.n, vs);
	if (full.n) {
		memcpy(now->keys, full.keys, full.n * ks);
		memcpy(now->values, full.values, full.n * vs);
	}
	row_index_make(&ix, base, ks);
	for (i = 0; i < now->n; i++) {
		at = row_index_find(&ix, (char *)now->keys + i * ks);
		if (at < 0)
			continue;
		value = (char *)now->values + i * vs;
		old = (char *)base->values + at * vs;
		if (map == MAP_PROCS)
			proc_sub((struct eb_proc *)value, (struct eb_proc *)old);
		else if (map == MAP_ALLOC)
			alloc_sub((struct eb_alloc *)value, (struct eb_alloc *)old);
		else if (map == MAP_CARRIER)
			carrier_sub((struct eb_carrier *)value, (struct eb_carrier *)old);
	}
	row_index_free(&ix);
	map_copy_free(base);
	*base = full;
}
