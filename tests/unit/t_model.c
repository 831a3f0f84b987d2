// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rows before they are shown: who they belong to, how they are grouped, sorted and summed.
 */
#include "probe.h"
#include "report.h"
#include "tap.h"

#include <stdlib.h>

static struct who *who(struct model *m, uint64_t key, const char *pid, const char *name,
		       const char *initial_call)
{
	bool is_new;
	struct who *w = model_who_add(m, key, &is_new);

	if (!is_new)
		return w;
	w->pid = pid ? xstrdup(pid) : NULL;
	w->name = name ? xstrdup(name) : NULL;
	w->initial_call = initial_call ? xstrdup(initial_call) : NULL;
	return w;
}

static void histograms(void)
{
	struct hist a = { { 1, 2, 3 } }, b = { { 10, 20 } };
	uint32_t raw[EB_HIST_SLOTS] = { [0] = 5, [EB_HIST_SLOTS - 1] = UINT32_MAX };
	unsigned int i, good = 0;

	is_u64(hist_lo(0), 0, "slot 0 begins at 0");
	is_u64(hist_hi(0), 1, "and ends at 1");
	is_u64(hist_lo(1), 2, "slot 1 begins at 2");
	is_u64(hist_lo(6), 64, "slot 6 begins at 64");
	is_u64(hist_hi(6), 127, "and ends at 127");
	is_u64(hist_hi(EB_HIST_SLOTS - 1), (1ULL << EB_HIST_SLOTS) - 1, "the last slot's end");
	for (i = 0; i + 1 < EB_HIST_SLOTS; i++)
		good += hist_hi(i) + 1 == hist_lo(i + 1);
	is_u64(good, EB_HIST_SLOTS - 1, "each slot begins where the one before ends");
	hist_add(&a, &b);
	ok(a.slot[0] == 11 && a.slot[1] == 22 && a.slot[2] == 3 && !a.slot[3], "sum of two");
	hist_from_u32(&a, raw, EB_HIST_SLOTS);
	ok(a.slot[0] == 5 && !a.slot[1] && a.slot[EB_HIST_SLOTS - 1] == UINT32_MAX,
	   "from the 32 bits of the kernel's rows");
	hist_add(&a, &a);
	is_u64(a.slot[EB_HIST_SLOTS - 1], 2ULL * UINT32_MAX, "sums are wider");
}

static void whos(void)
{
	struct model m = { 0 };
	struct who *w, *first = NULL;
	unsigned int i, new = 0, found = 0, n = 5000;
	bool is_new;

	ok(!model_who(&m, 3), "an empty model knows nobody");
	for (i = 0; i < n; i++) {
		/* keys as pids have them until 25: the low word hardly differs */
		w = model_who_add(&m, (uint64_t)i << 32 | 0x553, &is_new);
		new += is_new && w->key == ((uint64_t)i << 32 | 0x553);
		first = i ? first : w;
	}
	is_u64(new, n, "%u keys, each is new once", n);
	for (i = 0; i < n; i++) {
		w = model_who(&m, (uint64_t)i << 32 | 0x553);
		found += w && w->key == ((uint64_t)i << 32 | 0x553);
	}
	is_u64(found, n, "and is found again");
	ok(model_who_add(&m, 0x553, &is_new) == first && !is_new,
	   "once known it stays where it is");
	ok(!model_who(&m, 0x563), "others are not found");
	is_u64(m.nwhos, n, "they are counted");
	model_free(&m);
	ok(!m.whos && !m.nwhos, "and forgotten");
}

struct row_spec {
	uint64_t key;
	uint32_t type;
	uint64_t allocs, bytes, frees, freed;
	double est;
};

static void add_alloc(struct model *m, const struct row_spec *s)
{
	static const char *const types[] = { "nil", "heap", "msg", "binary" };
	struct alloc_row *r = vec_add(&m->alloc);

	r->who = model_who(m, s->key);
	r->type = s->type;
	r->type_name = types[s->type];
	r->allocator = s->type == 3 ? "binary_alloc" : "eheap_alloc";
	r->allocs = s->allocs;
	r->alloc_bytes = s->bytes;
	r->frees = s->frees;
	r->free_bytes = s->freed;
	r->reallocs = s->allocs / 2;
	r->allocs_est = r->frees_est = r->reallocs_est = s->est;
	r->sizes.slot[s->type] = s->allocs;
}

static void alloc_model(struct model *m)
{
	static const struct row_spec rows[] = {
		{ 0x13, 1, 10, 1000, 1, 100, 20 }, { 0x13, 3, 20, 4000, 2, 200, -1 },
		{ 0x23, 1, 30, 3000, 3, 300, 60 }, { 0x23, 2, 40, 500, 4, 400, 80 },
		{ 0x33, 1, 50, 2000, 5, 500, 100 }, { 0x10f, 3, 60, 9000, 6, 600, 120 },
	};
	size_t i;

	memset(m, 0, sizeof(*m));
	who(m, 0x13, "<0.1.0>", "rex", "rpc:init/1");
	who(m, 0x23, "<0.2.0>", NULL, "gen_server:init_it/6");
	who(m, 0x33, "<0.3.0>", NULL, "gen_server:init_it/6");
	who(m, 0x10f, NULL, "scheduler 1", NULL);
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		add_alloc(m, &rows[i]);
}

/* The row of a group; what makes the group is not NULL or zero. */
static const struct alloc_row *group(const struct model *m, uint64_t key, const char *call,
				     uint32_t type)
{
	size_t i;

	for (i = 0; i < m->alloc.n; i++) {
		const struct alloc_row *r = &m->alloc.v[i];

		if ((key && r->who && r->who->key == key) ||
		    (call && r->group && !strcmp(r->group, call)) ||
		    (!key && !call && r->type == type))
			return r;
	}
	return NULL;
}

static void grouping(void)
{
	const struct alloc_row *r;
	struct model m;

	alloc_model(&m);
	model_alloc_by(&m, BY_ROW);
	is_u64(m.alloc.n, 6, "by row: nothing is merged");
	model_alloc_by(&m, BY_TYPE);
	is_u64(m.alloc.n, 3, "by type: three types");
	r = group(&m, 0, NULL, 1);
	ok(r && r->allocs == 90 && r->alloc_bytes == 6000 && r->frees == 9 &&
		   r->free_bytes == 900 && r->reallocs == 45 && r->sizes.slot[1] == 90,
	   "all that was counted is summed");
	ok(r && r->allocs_est == 180, "estimates are summed");
	ok(r && !r->who && !strcmp(r->type_name, "heap") && r->allocator, "named by their type");
	r = group(&m, 0, NULL, 3);
	ok(r && r->allocs_est < 0, "one part without an estimate: no estimate of the sum");
	model_free(&m);

	alloc_model(&m);
	model_alloc_by(&m, BY_PROCESS);
	is_u64(m.alloc.n, 4, "by process: four of them");
	r = group(&m, 0x23, NULL, 0);
	ok(r && r->allocs == 70 && r->alloc_bytes == 3500, "its rows are summed");
	ok(r && !r->type_name && !r->allocator, "over all types");
	model_free(&m);

	alloc_model(&m);
	model_alloc_by(&m, BY_INITIAL_CALL);
	is_u64(m.alloc.n, 3, "by initial call: three of them");
	r = group(&m, 0, "gen_server:init_it/6", 0);
	ok(r && r->allocs == 120 && r->alloc_bytes == 5500, "those that began alike are summed");
	ok(r && !r->who, "and are no process");
	r = group(&m, 0, "scheduler 1", 0);
	ok(r && r->allocs == 60, "what is no process goes by its name");
	model_free(&m);

	memset(&m, 0, sizeof(m));
	model_alloc_by(&m, BY_TYPE);
	is_u64(m.alloc.n, 0, "nothing is grouped to nothing");
	model_free(&m);
}

static uint64_t total_of(const struct table *t, const char *key)
{
	size_t i;

	for (i = 0; i < t->ntotals; i++)
		if (!strcmp(t->totals[i].key, key))
			return t->totals[i].value.u;
	return UINT64_MAX;
}

/* The rows of a sorted bin table, by the last digit of their keys: "3124". */
static const char *order(const struct table *t)
{
	static char text[64];
	const struct bin_row *r;
	size_t i;

	for (i = 0; i < t->nrows && i + 1 < sizeof(text); i++) {
		r = t->rows[i];
		text[i] = '0' + (r->who->key >> 4) % 10;
	}
	text[i] = '\0';
	return text;
}

static void add_bin(struct model *m, uint64_t n, const char *name, int64_t held, uint64_t created)
{
	char pid[32];
	struct bin_row *r;

	snprintf(pid, sizeof(pid), "<0.%d.0>", (int)n);
	r = vec_add(&m->bin);
	r->who = who(m, n << 4 | 3, pid, name, NULL);
	r->held_known = held >= 0;
	r->held_bytes = held >= 0 ? held : 0;
	r->held_refs = held > 0;
	r->created_bytes = r->created = created;
	r->created_est = r->freed_est = n == 2 ? 7 : -1;
	hist_at(&r->sizes)->slot[3] = 1;
}

static void sorting(void)
{
	struct model m = { 0 };
	struct table t;

	/* rows point to whos: all of them first, for vec_add() moves rows, not whos */
	add_bin(&m, 1, "mid", 500, 1);
	add_bin(&m, 2, "zeta", -1, 90);
	add_bin(&m, 3, "alpha", 900, 2);
	add_bin(&m, 4, NULL, 0, 3);
	add_bin(&m, 5, "mid", 500, 4);
	add_bin(&m, 6, "Beta", -1, 80);
	add_bin(&m, 7, "mid", 500, 1);

	report_table(&m, WANT_BIN, NULL, 0, &t);
	is_str(order(&t), "3517426",
	       "largest first, ties by what was created, what is missing last");
	is_u64(t.nrows_all, 7, "all rows are counted");
	is_u64(total_of(&t, "held_bytes"), 2400, "total: bytes held");
	is_u64(total_of(&t, "held_refs"), 4, "total: references");
	is_u64(total_of(&t, "created"), 181, "total: created");
	is_u64(t.hists[0].hist.slot[3], 7, "total: sizes");
	ok(strstr(t.verdict, "4 hold 2.3 KiB; 181 created"), "the verdict says so: %s",
	   t.verdict);
	report_table_free(&t);

	report_table(&m, WANT_BIN, "created_bytes", 0, &t);
	is_str(order(&t), "2654317", "by another key; equal ones keep their order");
	report_table_free(&t);
	report_table(&m, WANT_BIN, "name", 0, &t);
	is_str(order(&t), "6351724", "names by alphabet, then by created; no name comes last");
	report_table_free(&t);
	report_table(&m, WANT_BIN, "created_est", 0, &t);
	is_str(order(&t), "2654317", "estimates: rows without one come last");
	report_table_free(&t);
	report_table(&m, WANT_BIN, "no such key", 3, &t);
	is_str(order(&t), "351", "an unknown key: the section's own; and the limit cuts");
	is_u64(t.nrows_all, 7, "a cut table still knows how many there are");
	is_u64(total_of(&t, "held_bytes"), 2400, "and its totals are over all");
	report_table_free(&t);
	report_table(&m, WANT_BIN, "pid", 0, &t);
	is_str(order(&t), "1234567", "pids go up");
	report_table_free(&t);
	model_free(&m);
}

/* Sorting compares by doubles: sizes beyond 2^53 must not end up in any odd place. */
static void extremes(void)
{
	struct model m = { 0 };
	struct gc_row *r;
	struct table t;
	bool is_new;
	int i;

	for (i = 1; i <= 4; i++) {
		r = vec_add(&m.gc);
		r->who = model_who_add(&m, i << 4 | 3, &is_new);
		r->reclaimed_words = i == 2 ? -5 : i == 3 ? INT64_MIN / 2 : i;
		r->minor_est = r->major_est = -1;
		r->pause_total_ns = UINT64_MAX - i * 4096ULL;
		r->pause_max_ns = i;
	}
	report_table(&m, WANT_GC, "reclaimed_words", 0, &t);
	ok(t.rows[0] == &m.gc.v[3] && t.rows[1] == &m.gc.v[0] && t.rows[2] == &m.gc.v[1] &&
		   t.rows[3] == &m.gc.v[2],
	   "negative numbers come behind, the largest of them last");
	report_table_free(&t);
	report_table(&m, WANT_GC, NULL, 0, &t);
	ok(t.rows[0] == &m.gc.v[0] && t.rows[3] == &m.gc.v[3], "huge ones are told apart");
	is_u64(total_of(&t, "pause_max_ns"), 4, "the longest is no sum");
	report_table_free(&t);
	model_free(&m);

	memset(&m, 0, sizeof(m));
	report_table(&m, WANT_CARRIER, NULL, 0, &t);
	is_u64(t.nrows, 0, "an empty section has no rows");
	is_u64(total_of(&t, "created"), 0, "and totals of zero");
	report_table_free(&t);
	model_free(&m);
}

static void columns(void)
{
	static const unsigned int sections[] = { WANT_ALLOC, WANT_BIN, WANT_CARRIER, WANT_GC };
	const struct column *c;
	unsigned int bad = 0, twice = 0, sorts = 0;
	size_t i, k, j, n;

	for (i = 0; i < ARRAY_SIZE(sections); i++) {
		c = report_columns(sections[i], &n);
		for (k = 0; k < n; k++) {
			bad += !c[k].key || !c[k].help || !c[k].help[0] || !c[k].get ||
			       (c[k].flags & COL_TEXT && !c[k].title[0]);
			for (j = 0; j < k; j++)
				twice += !strcmp(c[k].key, c[j].key);
			sorts += !strcmp(c[k].key, report_default_sort(sections[i]));
		}
	}
	is_u64(bad, 0, "every column has key, help and getter, and in text a title");
	is_u64(twice, 0, "no key is there twice");
	is_u64(sorts, 4, "every section sorts by a column of its own");
	ok(!report_columns(0, &n) && !n, "no section has no columns");
}

int main(void)
{
	histograms();
	whos();
	grouping();
	sorting();
	extremes();
	columns();
	return done();
}
