// SPDX-License-Identifier: GPL-2.0-only
#include "alive.h"

#include <stdlib.h>
#include <string.h>

static void add_live(struct alive *a, struct pairs *at, const struct eb_birth *b)
{
	size_t n = at->n, i = pairs_add(at, b->who, b->type);

	if (i == n) {
		if (!(n & (n - 1)))
			a->live = xrealloc(a->live, (n ? 2 * n : 1) * sizeof(*a->live));
		a->live[i] = (struct live_sum){ .who = b->who, .type = b->type };
		a->nlive = at->n;
	}
	a->live[i].blocks += b->weight;
	a->live[i].bytes += b->weight * b->size;
}

void alive_read(struct alive *a, struct vm *vm, struct probe *p, bool bins)
{
	const struct release_facts *r = vm->lay->facts;
	struct pairs live_at = { 0 };
	struct probe_counts counts;
	struct alive_bin *bin;
	const struct eb_birth *b;
	void *keys, *values;
	size_t n, i, k;
	uint32_t extra;

	memset(a, 0, sizeof(*a));
	probe_counts(p, &counts);
	n = probe_read_map(p, MAP_BIRTHS, &keys, &values);
	a->bins = xcalloc(bins && n ? n : 1, sizeof(*a->bins));
	for (i = 0; i < n; i++) {
		b = (struct eb_birth *)values + i;
		if (b->epoch != counts.alloc_epoch)
			continue;
		add_live(a, &live_at, b);
		if (!bins || (b->type != vm->type_binary && b->type != vm->type_drv_binary))
			continue;
		k = pairs_add(&a->bin_at, ((uint64_t *)keys)[i], 0);
		bin = &a->bins[k];
		extra = vm->lay->f.bin_data +
			(b->type == vm->type_drv_binary ? r->drv_bin_pad : r->bin_pad);
		*bin = (struct alive_bin){ .ptr = ((uint64_t *)keys)[i], .creator = b->who,
					   .size = b->size > extra ? b->size - extra : 0,
					   .ns = b->ns, .weight = b->weight };
	}
	pairs_free(&live_at);
	free(keys);
	free(values);
}

void alive_start(struct alive *a)
{
	a->nseen = 0;
}

void alive_on_ref(struct alive *a, uint64_t binary)
{
	long at = pairs_find(&a->bin_at, binary, 0);

	if (at < 0)
		return;
	if (a->nseen == a->seen_cap) {
		a->seen_cap = a->seen_cap ? 2 * a->seen_cap : 256;
		a->seen = xrealloc(a->seen, a->seen_cap * sizeof(*a->seen));
	}
	a->seen[a->nseen++] = at;
}

static void add_holding(struct alive *a, const struct alive_bin *b, uint64_t holder)
{
	size_t n = a->holding_at.n, i = pairs_add(&a->holding_at, b->creator, holder);

	if (i == n) {
		if (i == a->holdings_cap) {
			a->holdings_cap = i ? 2 * i : 64;
			a->holdings = xrealloc(a->holdings, a->holdings_cap * sizeof(*a->holdings));
		}
		a->holdings[i] = (struct holding){ .creator = b->creator, .holder = holder };
	}
	a->holdings[i].binaries += b->weight;
	a->holdings[i].bytes += b->weight * b->size;
}

void alive_found(struct alive *a, uint64_t holder)
{
	struct alive_bin *b;
	size_t i;

	for (i = 0; i < a->nseen; i++) {
		b = &a->bins[a->seen[i]];
		if (b->last_holder == holder)
			continue;
		b->last_holder = holder;
		b->held = true;
		add_holding(a, b, holder);
	}
	a->nseen = 0;
}

void alive_rest(struct alive *a)
{
	size_t i;

	for (i = 0; i < a->bin_at.n; i++)
		if (!a->bins[i].held)
			add_holding(a, &a->bins[i], 0);
}

void alive_free(struct alive *a)
{
	free(a->live);
	free(a->bins);
	free(a->holdings);
	free(a->seen);
	pairs_free(&a->bin_at);
	pairs_free(&a->holding_at);
	memset(a, 0, sizeof(*a));
}
