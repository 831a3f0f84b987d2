// SPDX-License-Identifier: GPL-2.0-only
/*
 * The map of carriers: for each instance a line of signs, one a carrier, as high as the carrier is
 * full; the fullest first, so that fragmentation is a long low tail.  Those in the pool come behind
 * a bar.  Where an instance has more than a few lines' worth of them, a sign stands for several.
 */
#include "report_carrier.h"

#include <stdlib.h>
#include <string.h>

#define LINES_MAX 4 /* of an instance */
#define HEIGHTS 9   /* none, and eight */
#define LABEL 19
#define TAIL 16
#define NARROWEST 16

struct dot {
	double usage;
	bool pooled;
};

struct map {
	const char *const *signs;
	const char *bar;
	size_t width;	/* of a line's signs */
	size_t per;	/* carriers a sign */
	uint64_t of[HEIGHTS]; /* carriers by height */
	struct dot *dots;
	size_t n;
};

/* Rounded up: what is there is seen. */
static unsigned int height_of(double usage)
{
	double h = usage * (HEIGHTS - 1);
	unsigned int up = (unsigned int)h + (h > (unsigned int)h);

	return up < HEIGHTS ? up : HEIGHTS - 1;
}

/* First those at home, then the pool; in both the fullest first. */
static int dot_order(const void *a, const void *b)
{
	const struct dot *x = a, *y = b;

	if (x->pooled != y->pooled)
		return x->pooled - y->pooled;
	return x->usage < y->usage ? 1 : x->usage > y->usage ? -1 : 0;
}

static void collect(struct map *m, const struct carrier_list *l, const struct carrier_sum *sum)
{
	const struct carrier *c;
	size_t i;

	m->n = 0;
	for (i = 0; i < l->n; i++) {
		c = &l->v[i];
		if (&l->sums[c->instance] == sum && !c->single)
			m->dots[m->n++] = (struct dot){ (double)c->allocated / c->size, c->pooled };
	}
	if (m->n)
		qsort(m->dots, m->n, sizeof(*m->dots), dot_order);
}

/* Signs from dot @i on that share the pool or not: the average of at most m->per; how many. */
static size_t one_sign(const struct map *m, size_t i, double *usage)
{
	size_t k;

	*usage = 0;
	for (k = 0; k < m->per && i + k < m->n && m->dots[i + k].pooled == m->dots[i].pooled; k++)
		*usage += m->dots[i + k].usage;
	*usage /= k;
	return k;
}

static void draw(struct map *m, struct text_block *b, const char *label, const char *tail)
{
	char *line = xcalloc(m->width + 2, 4);
	size_t i = 0, k, used = 0, n = 0;
	bool bar = false, first = true;
	double usage;

	do {
		if (i < m->n && m->dots[i].pooled && !bar) {
			n += sprintf(line + n, "%s", m->bar);
			bar = true;
			used++;
		} else if (i < m->n) {
			k = one_sign(m, i, &usage);
			n += sprintf(line + n, "%s", m->signs[height_of(usage)]);
			i += k;
			used++;
		}
		if (used < m->width && i < m->n)
			continue;
		report_line(b, "%-*s%s%*s%s", LABEL, first ? label : "", line,
			    first ? (int)(m->width - used) : 0, "", first ? tail : "");
		first = false;
		line[0] = '\0';
		used = n = 0;
	} while (i < m->n);
	free(line);
}

static void draw_row(struct map *m, struct text_block *b, const struct carrier_list *l,
		     const struct blocks_row *r)
{
	char label[LABEL + 8], tail[TAIL + 16], size[32];
	uint64_t multi = r->sum->size - r->sum->single_size;
	uint64_t used = r->sum->allocated - r->sum->single_allocated;
	size_t i;

	collect(m, l, r->sum);
	if (!m->n)
		return;
	for (i = 0; i < m->n; i++)
		m->of[height_of(m->dots[i].usage)]++;
	snprintf(label, sizeof(label), "%.13s %u", r->allocator ? r->allocator : "-",
		 r->instance);
	snprintf(tail, sizeof(tail), " %9s %3.0f %%", fmt_bytes(multi, size, sizeof(size)),
		 multi ? 100.0 * used / multi : 0);
	draw(m, b, label, tail);
}

/* The scale is the sum, too: how many carriers there are of each height. */
static void draw_scale(const struct map *m, struct text_block *b)
{
	char line[400], count[32], bound[16] = "none";
	size_t n = 0, i, at = 0, wide;

	for (i = 0; i < HEIGHTS; i++) {
		if (i)
			snprintf(bound, sizeof(bound), "%.0f %%", 100.0 * i / (HEIGHTS - 1));
		fmt_count(m->of[i], count, sizeof(count));
		wide = 4 + strlen(bound) + strlen(count);
		if (at + 2 + wide > out_text_width()) {
			report_line(b, "%s", line);
			n = at = 0;
		}
		at += wide + (at ? 2 : 0);
		n += snprintf(line + n, sizeof(line) - n, "%s%s %s: %s", n ? "  " : "", m->signs[i],
			      bound, count);
	}
	report_line(b, "%s", line);
}

static uint64_t longest(const struct carrier_list *l, const struct table *t)
{
	uint64_t most = 0, n;
	size_t i;

	for (i = 0; i < t->nrows; i++) {
		const struct carrier_sum *s = ((const struct blocks_row *)t->rows[i])->sum;

		n = s->carriers - s->single;
		most = n > most ? n : most;
	}
	return most;
}

void carrier_map(const struct vm *vm, const struct carrier_list *l, struct table *t)
{
	static const char *const heights[] = { "\u00b7", "\u2581", "\u2582", "\u2583", "\u2584",
					       "\u2585", "\u2586", "\u2587", "\u2588" };
	static const char *const ascii[] = { "_", ".", ":", "-", "=", "+", "*", "#", "@" };
	struct map m = { .signs = out_text_utf8() ? heights : ascii,
			 .bar = out_text_utf8() ? "\u2502" : "|" };
	size_t wide = out_text_width(), i;
	struct text_block *b;
	char title[100];

	m.width = wide > LABEL + TAIL + NARROWEST ? wide - LABEL - TAIL : NARROWEST;
	m.per = (longest(l, t) + m.width * LINES_MAX - 1) / (m.width * LINES_MAX);
	m.per = m.per ? m.per : 1;
	m.dots = xcalloc(l->n + 1, sizeof(*m.dots));
	if (m.per == 1)
		snprintf(title, sizeof(title), "how full each multi-block carrier is; behind %s "
			 "those in the pool", m.bar);
	else
		snprintf(title, sizeof(title), "how full multi-block carriers are, %zu a sign; "
			 "behind %s those in the pool", m.per, m.bar);
	b = report_block(t, title);
	for (i = 0; i < t->nrows; i++)
		draw_row(&m, b, l, t->rows[i]);
	if (t->nrows < t->nrows_all)
		report_line(b, "... %zu more instances (-l 0 shows all)", t->nrows_all - t->nrows);
	report_line(b, "%s", "");
	report_line(b, "%s", "carriers by how much of them is used, up to:");
	draw_scale(&m, b);
	free(m.dots);
}
