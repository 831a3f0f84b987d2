// SPDX-License-Identifier: GPL-2.0-only
#include "model.h"

#include <stdlib.h>
#include <string.h>

static size_t who_slot(const struct model *m, uint64_t key)
{
	size_t i = (key ^ key >> 29) * 0x9e3779b97f4a7c15ULL >> 20;

	for (i &= m->whos_cap - 1; m->whos[i] && m->whos[i]->key != key;)
		i = (i + 1) & (m->whos_cap - 1);
	return i;
}

struct who *model_who(const struct model *m, uint64_t key)
{
	return m->whos_cap ? m->whos[who_slot(m, key)] : NULL;
}

static void who_grow(struct model *m)
{
	struct who **old = m->whos;
	size_t i, n = m->whos_cap;

	m->whos_cap = n ? 2 * n : 1024;
	m->whos = xcalloc(m->whos_cap, sizeof(*m->whos));
	for (i = 0; i < n; i++)
		if (old[i])
			m->whos[who_slot(m, old[i]->key)] = old[i];
	free(old);
}

struct who *model_who_add(struct model *m, uint64_t key, bool *is_new)
{
	struct who *w = model_who(m, key);

	*is_new = !w;
	if (w)
		return w;
	if (2 * (m->nwhos + 1) > m->whos_cap)
		who_grow(m);
	w = xcalloc(1, sizeof(*w));
	w->key = key;
	m->whos[who_slot(m, key)] = w;
	m->nwhos++;
	return w;
}

void model_free(struct model *m)
{
	size_t i;

	for (i = 0; i < m->whos_cap; i++)
		if (m->whos[i]) {
			free(m->whos[i]->pid);
			free(m->whos[i]->name);
			free(m->whos[i]->initial_call);
			free(m->whos[i]);
		}
	free(m->whos);
	for (i = 0; i < m->carrier.n; i++)
		free(m->carrier.v[i].by);
	for (i = 0; i < m->bin.n; i++) {
		free(m->bin.v[i].sizes);
		free(m->bin.v[i].lives);
		free(m->bin.v[i].ages);
		free(m->bin.v[i].held_by);
	}
	for (i = 0; i < m->ngroups; i++)
		free(m->groups[i]);
	free(m->groups);
	free(m->alloc.v);
	free(m->bin.v);
	free(m->carrier.v);
	free(m->gc.v);
	memset(m, 0, sizeof(*m));
}

void hist_add(struct hist *to, const struct hist *from)
{
	size_t i;

	for (i = 0; from && i < HIST_SLOTS; i++)
		to->slot[i] += from->slot[i];
}

struct hist *hist_at(struct hist **at)
{
	if (!*at)
		*at = xcalloc(1, sizeof(**at));
	return *at;
}

void hist_from_u32(struct hist *to, const uint32_t *slots, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		to->slot[i] = slots[i];
}

unsigned int hist_slot(uint64_t value)
{
	unsigned int slot = value ? 63 - __builtin_clzll(value) : 0;

	return slot < HIST_SLOTS ? slot : HIST_SLOTS - 1;
}

uint64_t hist_lo(unsigned int slot)
{
	return slot ? 1ULL << slot : 0;
}

uint64_t hist_hi(unsigned int slot)
{
	return (2ULL << slot) - 1;
}

static int compare_group(const struct alloc_row *a, const struct alloc_row *b, enum alloc_by by)
{
	const char *x, *y;

	switch (by) {
	case BY_TYPE:
		return a->type < b->type ? -1 : a->type > b->type;
	case BY_PROCESS:
		return a->who->key < b->who->key ? -1 : a->who->key > b->who->key;
	case BY_INITIAL_CALL:
		x = a->who->initial_call ? a->who->initial_call : a->who->name;
		y = b->who->initial_call ? b->who->initial_call : b->who->name;
		return strcmp(x ? x : "", y ? y : "");
	case BY_ROW:
		break;
	}
	return 0;
}

static enum alloc_by sort_by;

static int by_group(const void *a, const void *b)
{
	return compare_group(a, b, sort_by);
}

static double est_sum(double a, double b)
{
	return a < 0 || b < 0 ? -1 : a + b;
}

void model_alloc_by(struct model *m, enum alloc_by by)
{
	struct alloc_row *rows = m->alloc.v, *to;
	size_t i, n = 0;

	if (by == BY_ROW || !m->alloc.n)
		return;
	sort_by = by;
	qsort(rows, m->alloc.n, sizeof(*rows), by_group);
	for (i = 0; i < m->alloc.n; i++) {
		if (!i || compare_group(&rows[n - 1], &rows[i], by)) {
			rows[n++] = rows[i];
			continue;
		}
		to = &rows[n - 1];
		to->allocs += rows[i].allocs;
		to->alloc_bytes += rows[i].alloc_bytes;
		to->frees += rows[i].frees;
		to->free_bytes += rows[i].free_bytes;
		to->reallocs += rows[i].reallocs;
		to->allocs_est = est_sum(to->allocs_est, rows[i].allocs_est);
		to->frees_est = est_sum(to->frees_est, rows[i].frees_est);
		to->reallocs_est = est_sum(to->reallocs_est, rows[i].reallocs_est);
		to->live_known = to->live_known && rows[i].live_known;
		to->live_est = to->live_est || rows[i].live_est;
		to->live += rows[i].live;
		to->live_bytes += rows[i].live_bytes;
		hist_add(&to->sizes, &rows[i].sizes);
	}
	m->alloc.n = n;
	for (i = 0; i < n; i++) {
		if (by == BY_INITIAL_CALL)
			rows[i].group = rows[i].who->initial_call ? rows[i].who->initial_call :
								    rows[i].who->name;
		if (by != BY_PROCESS)
			rows[i].who = NULL;
		if (by != BY_TYPE)
			rows[i].type_name = rows[i].allocator = NULL;
	}
}
