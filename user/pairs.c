// SPDX-License-Identifier: GPL-2.0-only
#include "pairs.h"

#include <stdlib.h>
#include <string.h>

static size_t slot_of(const struct pairs *p, uint64_t a, uint64_t b)
{
	uint64_t h = (a ^ (b << 32 | b >> 32)) * 0x9e3779b97f4a7c15ULL;
	size_t at = (h ^ h >> 29) & (p->cap - 1);

	while (p->slots[at].entry && (p->slots[at].a != a || p->slots[at].b != b))
		at = (at + 1) & (p->cap - 1);
	return at;
}

static void grow(struct pairs *p)
{
	struct pairs old = *p;
	size_t i;

	p->cap = old.cap ? 2 * old.cap : 64;
	p->slots = xcalloc(p->cap, sizeof(*p->slots));
	for (i = 0; i < old.cap; i++)
		if (old.slots[i].entry)
			p->slots[slot_of(p, old.slots[i].a, old.slots[i].b)] = old.slots[i];
	free(old.slots);
}

long pairs_find(const struct pairs *p, uint64_t a, uint64_t b)
{
	return p->cap ? (long)p->slots[slot_of(p, a, b)].entry - 1 : -1;
}

size_t pairs_add(struct pairs *p, uint64_t a, uint64_t b)
{
	size_t at;

	if (2 * p->n >= p->cap)
		grow(p);
	at = slot_of(p, a, b);
	if (!p->slots[at].entry) {
		p->slots[at].a = a;
		p->slots[at].b = b;
		p->slots[at].entry = ++p->n;
	}
	return p->slots[at].entry - 1;
}

void pairs_free(struct pairs *p)
{
	free(p->slots);
	memset(p, 0, sizeof(*p));
}
