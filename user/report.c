// SPDX-License-Identifier: GPL-2.0-only
/* Tables of any kind: sorted rows, totals. */
#include "columns.h"

#include <stdlib.h>
#include <string.h>

struct sort_item {
	const void *row;
	struct value v;
	size_t order;
};

static const struct column *sort_column;

static double value_number(const struct value *v)
{
	switch (v->kind) {
	case VAL_U64:
		return v->u;
	case VAL_I64:
		return v->i;
	case VAL_DOUBLE:
		return v->d;
	case VAL_BOOL:
		return v->b;
	default:
		return -1e300; /* what is missing comes last */
	}
}

/* Numbers: largest first; names: by alphabet.  Equal ones keep their order. */
static int by_value(const void *a, const void *b)
{
	const struct sort_item *x = a, *y = b;
	double p, q;
	int c;

	if (sort_column->flags & COL_LOW_BAD) {
		if (x->v.kind == VAL_TEXT && y->v.kind == VAL_TEXT) {
			c = strcmp(x->v.text, y->v.text);
			if (c)
				return c;
		} else if (x->v.kind != y->v.kind) {
			return x->v.kind == VAL_NONE ? 1 : -1;
		}
	}
	p = value_number(&x->v);
	q = value_number(&y->v);
	if (p != q)
		return (p < q ? 1 : -1) * (sort_column->flags & COL_LOW_BAD ? -1 : 1);
	return x->order < y->order ? -1 : 1;
}

const struct column *report_find(const struct column *cols, size_t n, const char *key)
{
	size_t i;

	for (i = 0; key && i < n; i++)
		if (!strcmp(cols[i].key, key))
			return &cols[i];
	return NULL;
}

void report_sort(struct table *t, const char *rows, size_t row_size, size_t n,
		      const struct column *by, const struct column *then)
{
	struct sort_item *items = xcalloc(n, sizeof(*items));
	const struct column *pass[2] = { then, by }, *est;
	char key[64];
	size_t i, k;

	for (i = 0; i < n; i++)
		items[i].row = rows + i * row_size;
	/* stable: first by the second key, then by the first */
	for (k = 0; k < 2; k++) {
		if (!pass[k])
			continue;
		sort_column = pass[k];
		snprintf(key, sizeof(key), "%s_est", sort_column->key);
		est = report_find(t->cols, t->ncols, key);
		for (i = 0; i < n; i++) {
			items[i].order = i;
			sort_column->get(items[i].row, &items[i].v);
			if (items[i].v.kind == VAL_NONE && est)
				est->get(items[i].row, &items[i].v);
		}
		qsort(items, n, sizeof(*items), by_value);
	}
	t->rows = xcalloc(n, sizeof(*t->rows));
	for (i = 0; i < n; i++)
		t->rows[i] = items[i].row;
	t->nrows = t->nrows_all = n;
	free(items);
}

void report_total(struct table *t, const char *key, uint64_t u)
{
	if (t->ntotals < TABLE_TOTALS)
		t->totals[t->ntotals++] = (struct total){ key, { .kind = VAL_U64, .u = u } };
}

void report_total_if(struct table *t, const char *key, bool known, uint64_t u)
{
	report_total(t, key, u);
	if (!known && t->ntotals)
		t->totals[t->ntotals - 1].value.kind = VAL_NONE;
}

void report_total_value(struct table *t, const char *key, struct value v)
{
	if (t->ntotals < TABLE_TOTALS)
		t->totals[t->ntotals++] = (struct total){ key, v };
}

struct hist *report_hist(struct table *t, const char *key, enum unit unit, int slots,
			 const char *label, const char *of)
{
	struct table_hist *h = &t->hists[t->nhists];

	if (t->nhists == TABLE_HISTS)
		abort();
	*h = (struct table_hist){
		.key = key, .unit = unit, .label = label, .of = of, .main = !t->nhists++,
	};
	h->slots = slots;
	return &h->hist;
}

void report_plain(struct table *t, const char *name, const struct column *cols, size_t ncols,
		  const void *rows, size_t row_size, size_t nrows)
{
	size_t i;

	memset(t, 0, sizeof(*t));
	t->name = name;
	t->cols = cols;
	t->ncols = ncols;
	t->rows = xcalloc(nrows, sizeof(*t->rows));
	for (i = 0; i < nrows; i++)
		t->rows[i] = (const char *)rows + i * row_size;
	t->nrows = t->nrows_all = nrows;
}

void report_rows(struct table *t, const char *name, const struct column *cols, size_t ncols,
		 const void *rows, size_t row_size, size_t nrows, const char *sort,
		 const char *default_sort, size_t limit)
{
	const struct column *by = report_find(cols, ncols, sort);

	memset(t, 0, sizeof(*t));
	t->name = name;
	t->cols = cols;
	t->ncols = ncols;
	if (!by)
		by = report_find(cols, ncols, default_sort);
	report_sort(t, rows, row_size, nrows, by, NULL);
	if (limit && t->nrows > limit)
		t->nrows = limit;
}

struct text_block *report_block(struct table *t, const char *title)
{
	struct text_block *b;

	t->blocks = xrealloc(t->blocks, (t->nblocks + 1) * sizeof(*t->blocks));
	b = &t->blocks[t->nblocks++];
	memset(b, 0, sizeof(*b));
	if (title)
		b->title = xstrdup(title);
	return b;
}

void report_line(struct text_block *b, const char *fmt, ...)
{
	va_list ap;

	if (b->n == b->cap) {
		b->cap = b->cap ? 2 * b->cap : 16;
		b->lines = xrealloc(b->lines, b->cap * sizeof(*b->lines));
	}
	va_start(ap, fmt);
	if (vasprintf(&b->lines[b->n], fmt, ap) < 0)
		abort();
	va_end(ap);
	b->n++;
}

void report_table_free(struct table *t)
{
	size_t i, k;

	for (i = 0; i < t->nblocks; i++) {
		for (k = 0; k < t->blocks[i].n; k++)
			free(t->blocks[i].lines[k]);
		free(t->blocks[i].lines);
		free(t->blocks[i].title);
	}
	free(t->blocks);
	free(t->rows);
	t->rows = NULL;
	t->blocks = NULL;
	t->nblocks = 0;
}
