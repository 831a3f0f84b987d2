// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first N of all processes by one column.  Only N are kept, in a heap with the last of them on
 * top: a million processes need no more memory than their place in the table.
 */
#include "ps_rows.h"

#include <stdlib.h>
#include <string.h>

#define MISSING (-1e300)

static bool ascending; /* names; of the sort under way: qsort() has no argument for it */

/* < 0: a stands before b.  Equal ones: the older process first, as its number tells. */
static int before(const struct ps_choice *a, const struct ps_choice *b)
{
	int c;

	if (ascending) {
		if (!a->text != !b->text)
			return a->text ? -1 : 1;
		c = a->text ? strcmp(a->text, b->text) : 0;
		if (c)
			return c;
	} else if (a->n != b->n) {
		return a->n > b->n ? -1 : 1;
	}
	return a->who.id < b->who.id ? -1 : a->who.id > b->who.id;
}

static int by_order(const void *a, const void *b)
{
	return before(a, b);
}

static void swap(struct ps_choice *a, struct ps_choice *b)
{
	struct ps_choice t = *a;

	*a = *b;
	*b = t;
}

static void sift_down(struct ps_chooser *c, size_t at)
{
	size_t kid;

	while ((kid = 2 * at + 1) < c->n) {
		if (kid + 1 < c->n && before(&c->v[kid + 1], &c->v[kid]) > 0)
			kid++;
		if (before(&c->v[kid], &c->v[at]) <= 0)
			return;
		swap(&c->v[kid], &c->v[at]);
		at = kid;
	}
}

static void sift_up(struct ps_chooser *c, size_t at)
{
	while (at && before(&c->v[at], &c->v[(at - 1) / 2]) > 0) {
		swap(&c->v[at], &c->v[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
}

static void value_of(const struct column *by, const struct ps_row *row, struct ps_choice *ch)
{
	const struct column *est;
	struct value v = { 0 };

	by->get(row, &v);
	if (v.kind == VAL_NONE && !strcmp(by->key, "memory")) {
		est = report_find(ps_columns, ps_ncolumns, "memory_est");
		est->get(row, &v);
	}
	/* a pid's number orders better than its text: as equal ones are */
	ch->text = v.kind == VAL_TEXT && strcmp(by->key, "pid") ? (char *)v.text : NULL;
	ch->n = v.kind == VAL_U64  ? v.u :
		v.kind == VAL_I64  ? v.i :
		v.kind == VAL_BOOL ? v.b :
				     MISSING;
}

void ps_choose(struct ps_chooser *c, const struct ps_row *row)
{
	struct ps_choice ch = { .who = row->p.who, .dead = row->dead, .before = row->before };

	ascending = c->by->flags & COL_LOW_BAD;
	value_of(c->by, row, &ch);
	c->seen++;
	if (c->limit && c->n == c->limit) {
		if (before(&ch, &c->v[0]) >= 0)
			return;
		free(c->v[0].text);
		c->v[0] = ch;
		c->v[0].text = ch.text ? xstrdup(ch.text) : NULL;
		sift_down(c, 0);
		return;
	}
	if (c->n == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 64;
		c->v = xrealloc(c->v, c->cap * sizeof(*c->v));
	}
	ch.text = ch.text ? xstrdup(ch.text) : NULL;
	c->v[c->n++] = ch;
	if (c->limit)
		sift_up(c, c->n - 1);
}

void ps_choose_sort(struct ps_chooser *c)
{
	ascending = c->by->flags & COL_LOW_BAD;
	qsort(c->v, c->n, sizeof(*c->v), by_order);
}

void ps_choose_free(struct ps_chooser *c)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		free(c->v[i].text);
	free(c->v);
	memset(c, 0, sizeof(*c));
}
