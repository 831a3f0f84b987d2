// SPDX-License-Identifier: GPL-2.0-only
#include "snap_census.h"

#include <stdlib.h>
#include <string.h>

#define SHAPE_DEPTH 2
#define MESSAGE_EXTRA 256 /* what keeping a message takes besides its text: millions are short */
#define SLOTS (4 * CENSUS_SHAPES) /* of the hash, a power of two */

struct counting {
	struct terms *ts;
	const struct census_limits *lim;
	struct census *c;
	uint64_t no;	  /* of the message that comes next */
	uint64_t *slots;  /* 1 + index of a row */
	size_t first_cap;
	uint64_t rest;	  /* whose shape found the table full */
};

static uint64_t hash_text(const char *s)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3ULL;
	return h ^ h >> 29;
}

/* Takes the text over. */
static void count_shape(struct counting *k, char *shape)
{
	struct census *c = k->c;
	size_t at;

	for (at = hash_text(shape) & (SLOTS - 1); k->slots[at]; at = (at + 1) & (SLOTS - 1))
		if (!strcmp(c->rows[k->slots[at] - 1].shape, shape)) {
			c->rows[k->slots[at] - 1].count++;
			free(shape);
			return;
		}
	if (c->nrows == CENSUS_SHAPES) {
		k->rest++;
		free(shape);
		return;
	}
	c->rows[c->nrows] = (struct census_row){ shape, 1 };
	k->slots[at] = ++c->nrows;
}

static void keep(struct counting *k, const struct msgq_message *m)
{
	struct census *c = k->c;
	struct term_limits sender = { .max_terms = 100, .max_bytes = 4096 };
	struct census_message *to;
	char pid[64];
	size_t len;

	if (!*k->lim->text_left) {
		c->first_cut = true;
		return;
	}
	if (c->nfirst == k->first_cap) {
		k->first_cap = k->first_cap ? 2 * k->first_cap : 16;
		c->first = xrealloc(c->first, k->first_cap * sizeof(*c->first));
	}
	to = &c->first[c->nfirst++];
	memset(to, 0, sizeof(*to));
	to->in_transit = m->in_transit;
	len = MESSAGE_EXTRA;
	if (m->term) {
		to->text = term_text(k->ts, m->term, &k->lim->text, &to->cut);
		len += strlen(to->text);
	}
	*k->lim->text_left -= len < *k->lim->text_left ? len : *k->lim->text_left;
	if (term_is_pid(m->from)) {
		term_pid_text(k->ts->vm, m->from, pid, sizeof(pid));
		to->sender = xstrdup(pid);
	} else if (m->term && term_is_boxed(m->from)) {
		to->sender = term_text(k->ts, m->from, &sender, NULL);
	}
}

/*
 * One of each `step` messages, at a place that differs from one step to the next: queues often have
 * a rhythm of their own, of which every step'th message might see but one beat.
 */
static bool picked(uint64_t no, uint64_t step)
{
	uint64_t h = no / step + 1;

	h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9ULL;
	h = (h ^ h >> 27) * 0x94d049bb133111ebULL;
	return no % step == (h ^ h >> 31) % step;
}

/* The end of what is in quotes, or of a single character. */
static const char *past(const char *s)
{
	char quote = *s++;

	if (quote != '\'' && quote != '"')
		return s;
	while (*s && *s != quote)
		s += *s == '\\' && s[1] ? 2 : 1;
	return *s ? s + 1 : s;
}

/*
 * A tuple in the message that says nothing, {_,_}, is "_": who asks, and the like.  In place; the
 * outermost one stays.
 */
static void plain_parts(char *shape)
{
	const char *from, *end;
	char *to = shape;

	for (from = shape; *from; from = end) {
		end = past(from);
		if (*from == '{' && from != shape && from[1] == '_') {
			while (*end == '_' || *end == ',')
				end++;
			if (*end == '}') {
				*to++ = '_';
				end++;
				continue;
			}
			end = from + 1;
		}
		memmove(to, from, end - from);
		to += end - from;
	}
	*to = '\0';
}

static bool on_message(void *arg, const struct msgq_message *m)
{
	struct counting *k = arg;
	struct census *c = k->c;
	char *shape;

	if (c->nfirst < k->lim->first)
		keep(k, m);
	if (!picked(k->no++, c->step))
		return true;
	c->examined++;
	if (!m->term) {
		c->undecoded++;
		return true;
	}
	shape = term_shape(k->ts, m->term, SHAPE_DEPTH);
	plain_parts(shape);
	count_shape(k, shape);
	return true;
}

static int most_first(const void *pa, const void *pb)
{
	const struct census_row *a = pa, *b = pb;

	if (a->count != b->count)
		return a->count < b->count ? 1 : -1;
	return strcmp(a->shape, b->shape);
}

void snap_census(struct terms *ts, const struct msgq_head *head, const struct census_limits *lim,
		 struct census *c)
{
	struct counting k = { .ts = ts, .lim = lim, .c = c };
	struct msgq_visitor v = { on_message, &k };
	uint64_t budget = CENSUS_WALK;
	struct msgq_sums sums;

	memset(c, 0, sizeof(*c));
	snap_msgq_len(ts->vm, head, &c->len);
	c->step = 1;
	if (lim->examined && c->len.known && c->len.len > lim->examined)
		c->step = (c->len.len + lim->examined - 1) / lim->examined;
	c->rows = xcalloc(CENSUS_SHAPES + 1, sizeof(*c->rows));
	k.slots = xcalloc(SLOTS, sizeof(*k.slots));
	snap_msgq_walk(ts->vm, ts->pages, head, &budget, &v, &sums);
	free(k.slots);
	c->messages = sums.messages;
	c->in_transit = sums.in_transit;
	c->partial = sums.partial;
	c->bytes = sums.bytes;
	c->bytes_known = sums.words_known && !sums.partial;
	qsort(c->rows, c->nrows, sizeof(*c->rows), most_first);
	if (k.rest)
		c->rows[c->nrows++] = (struct census_row){ NULL, k.rest };
}

void census_free(struct census *c)
{
	size_t i;

	for (i = 0; i < c->nrows; i++)
		free(c->rows[i].shape);
	for (i = 0; i < c->nfirst; i++) {
		free(c->first[i].sender);
		free(c->first[i].text);
	}
	free(c->rows);
	free(c->first);
	memset(c, 0, sizeof(*c));
}
