// SPDX-License-Identifier: GPL-2.0-only
#include "fold.h"

#include <stdlib.h>
#include <string.h>

/* What is left of a full table: so many rows may come until the next time. */
#define KEEP(n) ((n)-(n) / 4)

struct fold_candidate {
	uint64_t who, weight[FOLD_N];
	double share; /* of the whole, by the measure that makes it heaviest */
	size_t proc;  /* its row, + 1 */
	size_t alloc_rows;
	bool ended;
};

uint64_t fold_weight(const struct eb_proc *p, uint64_t alloc_bytes, enum fold_metric m)
{
	switch (m) {
	case FOLD_ALLOC:
		return alloc_bytes;
	case FOLD_BIN:
		return p ? p->created_bytes + p->acquired_bytes : 0;
	case FOLD_GC:
		return p ? p->pause_total_ns : 0;
	case FOLD_N:
		break;
	}
	return 0;
}

bool fold_due(const struct fold *f, const struct probe *p)
{
	struct probe_counts c;

	probe_counts(p, &c);
	return c.procs_made - f->procs_gone > f->max_processes ||
	       c.alloc_rows_made - f->alloc_rows_gone > 2 * f->max_processes;
}

static int by_share(const void *a, const void *b)
{
	const struct fold_candidate *x = a, *y = b;

	if (x->share != y->share)
		return x->share < y->share ? -1 : 1;
	return y->ended - x->ended;
}

static struct fold_candidate *candidates(const struct map_copy *procs, const struct map_copy *allocs,
				    struct pairs *by_who)
{
	struct fold_candidate *c = xcalloc(procs->n + allocs->n + 1, sizeof(*c));
	const struct eb_alloc_key *ak = allocs->keys;
	const struct eb_alloc *av = allocs->values;
	const struct eb_proc *pv = procs->values;
	const uint64_t *pk = procs->keys;
	double sum[FOLD_N] = { 0 }, share;
	size_t i, at;
	int m;

	for (i = 0; i < procs->n; i++) {
		at = pairs_add(by_who, pk[i], 0);
		c[at].who = pk[i];
		c[at].proc = i + 1;
		c[at].ended = pv[i].flags & EB_PROC_EXITED;
		for (m = 0; m < FOLD_N; m++)
			c[at].weight[m] = fold_weight(&pv[i], 0, m);
	}
	for (i = 0; i < allocs->n; i++) {
		at = pairs_add(by_who, ak[i].who, 0);
		c[at].who = ak[i].who;
		c[at].alloc_rows++;
		c[at].weight[FOLD_ALLOC] += av[i].alloc_bytes;
	}
	for (i = 0; i < by_who->n; i++)
		for (m = 0; m < FOLD_N; m++)
			sum[m] += c[i].weight[m];
	for (i = 0; i < by_who->n; i++)
		for (m = 0; m < FOLD_N; m++) {
			share = sum[m] ? c[i].weight[m] / sum[m] : 0;
			if (share > c[i].share)
				c[i].share = share;
		}
	return c;
}

/* Takes a row's earlier self off, and forgets that: the row will start from nothing. */
static void take_off(const struct row_index *ix, const void *key, enum probe_map map, void *value)
{
	long at = row_index_find(ix, key);
	void *old;

	if (at < 0)
		return;
	old = (char *)ix->of->values + at * rows_value_size(map);
	if (map == MAP_PROCS)
		proc_sub(value, old);
	else
		alloc_sub(value, old);
	memset(old, 0, rows_value_size(map));
}

static void add_allocs(struct fold *f, uint32_t type, const struct eb_alloc *a)
{
	size_t n = f->types.n, at = pairs_add(&f->types, type, 0);

	if (at == n) {
		f->allocs = xrealloc(f->allocs, (n + 1) * sizeof(*f->allocs));
		f->alloc_types = xrealloc(f->alloc_types, (n + 1) * sizeof(*f->alloc_types));
		memset(&f->allocs[at], 0, sizeof(f->allocs[at]));
		f->alloc_types[at] = type;
	}
	alloc_add(&f->allocs[at], a);
}

/* One that has ended comes with what was taken of it in the rounds before, while it lived. */
static void note_weights(struct fold *f, const struct fold_candidate *c, uint64_t heaviest[FOLD_N])
{
	uint64_t w;
	int m;

	for (m = 0; m < FOLD_N; m++) {
		w = c->weight[m];
		if (c->ended && w + f->live_sum[m] > f->dead_max[m])
			f->dead_max[m] = w + f->live_sum[m];
		if (!c->ended && w > heaviest[m])
			heaviest[m] = w;
	}
}

void fold_run(struct fold *f, struct probe *p, struct map_copy *procs, struct map_copy *allocs)
{
	struct map_copy pc, ac;
	struct row_index pix, aix;
	struct pairs by_who = { 0 };
	uint64_t heaviest[FOLD_N] = { 0 };
	struct fold_candidate *c, **gone, *g; /* gone: by number in by_who */
	const struct eb_alloc_key *ak;
	struct eb_alloc alloc;
	struct eb_proc proc;
	size_t i, nprocs, nallocs;
	int m;

	pc.n = probe_read_map(p, MAP_PROCS, &pc.keys, &pc.values);
	ac.n = probe_read_map(p, MAP_ALLOC, &ac.keys, &ac.values);
	row_index_make(&pix, procs, sizeof(uint64_t));
	row_index_make(&aix, allocs, sizeof(struct eb_alloc_key));
	c = candidates(&pc, &ac, &by_who);
	gone = xcalloc(by_who.n + 1, sizeof(*gone));
	nprocs = pc.n;
	for (nallocs = i = 0, ak = ac.keys; i < ac.n; i++)
		nallocs += ak[i].who != EB_KEY_OTHER; /* those are there from the start */
	qsort(c, by_who.n, sizeof(*c), by_share);
	for (i = 0; i < by_who.n && (nprocs > KEEP(f->max_processes) ||
			       nallocs > 2 * KEEP(f->max_processes));
	     i++) {
		/* threads, and the functions of drivers and NIFs, are few, and always of interest */
		if (EB_KEY_TAG(c[i].who) != 3 && EB_KEY_TAG(c[i].who) != 7)
			continue;
		nprocs -= c[i].proc ? 1 : 0;
		nallocs -= c[i].alloc_rows;
		gone[pairs_find(&by_who, c[i].who, 0)] = &c[i];
		c[i].weight[FOLD_ALLOC] = 0; /* of what is taken, below */
		if (c[i].proc && probe_take(p, MAP_PROCS, &c[i].who, &proc)) {
			/* it may have grown since it was read */
			c[i].ended = proc.flags & EB_PROC_EXITED;
			c[i].weight[FOLD_BIN] = fold_weight(&proc, 0, FOLD_BIN);
			c[i].weight[FOLD_GC] = fold_weight(&proc, 0, FOLD_GC);
			if (f->gone)
				f->gone(f->gone_arg, c[i].who, &proc);
			take_off(&pix, &c[i].who, MAP_PROCS, &proc);
			proc_add(&f->proc, &proc);
			f->procs_gone++;
			f->folded++;
		}
	}
	for (i = 0, ak = ac.keys; i < ac.n; i++) {
		g = gone[pairs_find(&by_who, ak[i].who, 0)];
		if (g && probe_take(p, MAP_ALLOC, &ak[i], &alloc)) {
			g->weight[FOLD_ALLOC] += alloc.alloc_bytes;
			take_off(&aix, &ak[i], MAP_ALLOC, &alloc);
			add_allocs(f, ak[i].type, &alloc);
			f->alloc_rows_gone++;
		}
	}
	for (i = 0; i < by_who.n; i++)
		if (gone[i])
			note_weights(f, gone[i], heaviest);
	for (m = 0; m < FOLD_N; m++)
		f->live_sum[m] += heaviest[m];
	f->last_ns = now_ns();
	log_all("%llu rows summed up so far, %zu left", (unsigned long long)f->folded, nprocs);
	free(gone);
	free(c);
	pairs_free(&by_who);
	row_index_free(&pix);
	row_index_free(&aix);
	map_copy_free(&pc);
	map_copy_free(&ac);
}

void fold_reported(struct fold *f)
{
	memset(&f->proc, 0, sizeof(f->proc));
	if (f->types.n)
		memset(f->allocs, 0, f->types.n * sizeof(*f->allocs));
}

uint64_t fold_bound(const struct fold *f, enum fold_metric m, uint64_t overflowed)
{
	uint64_t taken = f->live_sum[m] > f->dead_max[m] ? f->live_sum[m] : f->dead_max[m];

	return taken + overflowed;
}

void fold_free(struct fold *f)
{
	pairs_free(&f->types);
	free(f->allocs);
	free(f->alloc_types);
	memset(f, 0, sizeof(*f));
}
