// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parts of the largest root of a heap: which element of the tuple, which key of the map, which item
 * of the list; and again in the largest of these, a few levels down.
 */
#include "snap_heap_private.h"

#include <stdlib.h>
#include <string.h>

#define PART_LEVELS 6
#define PART_TOP 3	 /* parts named per level */
#define PART_SHARE 10	 /* a part below this share (1/n) of the root is not looked into */
#define OWN_MIN 64	 /* words of a term itself that are worth a line */
#define PARTS_WORDS 8	 /* times the heap: what looking for parts may cost */

/* The parts of one term, as they are measured. */
struct level {
	struct heap *h;
	struct terms *ts;
	eterm_t stop_at;	/* leave the marks as they are before this part; 0: none */
	uint64_t stop_no;
	uint64_t no;		/* of the part that comes next */
	uint64_t sum, own;
	struct { struct heap_part part; uint64_t no; } top[PART_TOP];
	size_t ntop;
	bool stopped;
};

enum label_kind { LABEL_ELEMENT, LABEL_ITEM, LABEL_KEY, LABEL_FREE, LABEL_TAIL };

static char *part_label(struct level *l, enum label_kind kind, uint64_t no, eterm_t key)
{
	struct term_limits lim = { .depth = 4, .max_terms = 20, .max_bytes = 60 };
	char buf[160], *text;

	switch (kind) {
	case LABEL_KEY:
		text = term_text(l->ts, key, &lim, NULL);
		memcpy(buf, "key ", 4);
		text_escape(text, strlen(text), buf + 4, sizeof(buf) - 4);
		free(text);
		break;
	case LABEL_ELEMENT:
		snprintf(buf, sizeof(buf), "element %llu", (unsigned long long)no);
		break;
	case LABEL_ITEM:
		snprintf(buf, sizeof(buf), "item %llu", (unsigned long long)no);
		break;
	case LABEL_FREE:
		snprintf(buf, sizeof(buf), "variable %llu", (unsigned long long)no);
		break;
	case LABEL_TAIL:
		snprintf(buf, sizeof(buf), "tail");
		break;
	}
	return xstrdup(buf);
}

/* Measures a part, and keeps it among the largest of its level.  False: stop here. */
static bool part(struct level *l, enum label_kind kind, uint64_t no, eterm_t key, eterm_t t)
{
	uint64_t words, this = l->no++;
	size_t i;

	if (l->stop_at && this == l->stop_no) {
		l->stopped = true;
		return false;
	}
	words = kind == LABEL_KEY ? heap_trace(l->h, key) : 0;
	words += heap_trace(l->h, t);
	if (l->h->err)
		return false;
	l->sum += words;
	if (!words || l->stop_at)
		return true;
	for (i = l->ntop; i && l->top[i - 1].part.words < words; i--)
		;
	if (i == PART_TOP)
		return true;
	if (l->ntop == PART_TOP)
		free(l->top[--l->ntop].part.label);
	memmove(&l->top[i + 1], &l->top[i], (l->ntop - i) * sizeof(l->top[0]));
	l->ntop++;
	l->top[i].no = this;
	l->top[i].part = (struct heap_part){ .label = part_label(l, kind, no, key), .term = t,
					     .words = words };
	return true;
}

/* Marks an object that is looked into, but nothing in it. */
static void take(struct level *l, eterm_t t)
{
	l->h->depth = 0;
	l->own += heap_enter(l->h, t);
	l->h->depth = 0;
}

static void list_parts(struct level *l, eterm_t t)
{
	uint64_t no, w[2], n;

	for (no = 1; (t & 3) == 1; no++) {
		if (!heap_place(l->h, t & ~7ULL, &n) || (heap_marked(l->h, n)))
			return;
		if (!heap_word_no(l->h, n, &w[0]) || !heap_word(l->h, (t & ~7ULL) + 8, &w[1]))
			return;
		take(l, t);
		if (!part(l, LABEL_ITEM, no, 0, w[0]))
			return;
		t = w[1];
	}
	/* [] is no part: there would be one more than there are */
	if (!term_is_nil(l->ts, t))
		part(l, LABEL_TAIL, 0, 0, t);
}

static void flat_map_parts(struct level *l, vmaddr_t at)
{
	uint64_t size, keys, i, k, v;

	if (!heap_word(l->h, at + 8, &size) || !heap_word(l->h, at + 16, &keys))
		return;
	l->own += heap_trace(l->h, keys); /* the tuple of keys, and what is large in them */
	for (i = 0; i < size; i++) {
		k = 0;
		if (!term_element(l->ts, keys, i, &k) || !heap_word(l->h, at + 24 + 8 * i, &v) ||
		    !part(l, LABEL_KEY, 0, k, v))
			return;
	}
}

/* Nodes of a hash map: at most so many levels, and 16 children each. */
#define HASH_LEVELS 20

static void hash_map_parts(struct level *l, eterm_t root)
{
	struct { vmaddr_t at; uint64_t left; } path[HASH_LEVELS];
	uint64_t n, w, hdr, pair[2];
	struct heap_shape s;
	int depth = 0;
	eterm_t t = root;

	for (;;) {
		if (((t & 3) == 1 || ((t & 3) == 2 && t != root)) &&
		    (!heap_place(l->h, t & ~7ULL, &n) || heap_marked(l->h, n)))
			t = 0; /* shared with what came before */
		if ((t & 3) == 2) { /* a node */
			if (depth == HASH_LEVELS || !heap_word(l->h, t & ~7ULL, &hdr) ||
			    !heap_shape(l->h, t & ~7ULL, hdr, &s))
				return;
			if (t != root)
				take(l, t);
			if (l->h->err)
				return;
			path[depth].at = (t & ~7ULL) + 8 * s.from;
			path[depth++].left = s.n;
		} else if ((t & 3) == 1) { /* a pair */
			if (!heap_word_no(l->h, n, &pair[0]) ||
			    !heap_word(l->h, (t & ~7ULL) + 8, &pair[1]))
				return;
			take(l, t);
			if (!part(l, LABEL_KEY, 0, pair[0], pair[1]))
				return;
		}
		while (depth && !path[depth - 1].left)
			depth--;
		if (!depth || !heap_word(l->h, path[depth - 1].at, &w))
			return;
		path[depth - 1].at += 8;
		path[depth - 1].left--;
		t = w;
	}
}

static void boxed_parts(struct level *l, eterm_t t)
{
	vmaddr_t at = t & ~7ULL;
	bool old = l->h->vm->lay->otp < 27;
	uint64_t n, hdr, i, w;
	struct heap_shape s;

	if (!heap_place(l->h, at, &n) || heap_marked(l->h, n) || !heap_word_no(l->h, n, &hdr) ||
	    !heap_shape(l->h, at, hdr, &s))
		return;
	take(l, t);
	if ((hdr & 0x3f) == (old ? 0x3c : 0x2c)) {
		if (hdr >> 6 & 3)
			hash_map_parts(l, t);
		else
			flat_map_parts(l, at);
		return;
	}
	for (i = 0; i < s.n; i++)
		if (!heap_word(l->h, at + 8 * (s.from + i), &w) ||
		    !part(l, (hdr & 0x3f) == 0x14 ? LABEL_FREE : LABEL_ELEMENT, i + 1, 0, w))
			return;
}

static void measure(struct level *l, eterm_t t)
{
	if ((t & 3) == 1)
		list_parts(l, t);
	else if ((t & 3) == 2)
		boxed_parts(l, t);
}

static void add_part(struct heap_sum *s, struct heap_part p)
{
	if (s->nparts == s->parts_cap) {
		s->parts_cap = s->parts_cap ? 2 * s->parts_cap : 16;
		s->parts = xrealloc(s->parts, s->parts_cap * sizeof(*s->parts));
	}
	s->parts[s->nparts++] = p;
}

/* What the term itself takes: cells of a list, nodes of a map. */
static void add_own(struct heap_sum *s, const struct level *l, eterm_t t, unsigned int depth)
{
	bool old = l->h->vm->lay->otp < 27;
	uint64_t hdr = 0;
	char buf[80];

	if ((t & 3) == 1)
		snprintf(buf, sizeof(buf), "cells of a list of %llu", (unsigned long long)l->no);
	else if (heap_word(l->h, t & ~7ULL, &hdr) && (hdr & 0x3f) == (old ? 0x3c : 0x2c))
		snprintf(buf, sizeof(buf), "nodes of a map of %llu keys",
			 (unsigned long long)l->no);
	else
		snprintf(buf, sizeof(buf), "itself, with %llu elements", (unsigned long long)l->no);
	add_part(s, (struct heap_part){ .level = depth, .label = xstrdup(buf), .term = t,
					.words = l->own });
}

/* The pair of a key in the dictionary is no tuple that anybody knows. */
static const char *of_pair(const struct heap_sum *s, const char *label)
{
	if (strncmp(s->roots[s->largest].label, "dictionary ", 11))
		return NULL;
	return !strcmp(label, "element 2") ? "the value" :
	       !strcmp(label, "element 1") ? "the key" : NULL;
}

/*
 * Down from the root's largest term into the largest part of each level.  @base: the marks as they
 * are before that term.
 */
static void find_parts(struct heap *h, struct terms *ts, struct heap_sum *s, eterm_t t,
		       uint64_t *base)
{
	uint64_t most = s->roots[s->largest].words, named, size = (h->words / 64 + 1) * 8;
	unsigned int depth;
	const char *pair;
	size_t i;

	for (depth = 0; depth < PART_LEVELS && !h->err; depth++) {
		struct level l = { .h = h, .ts = ts }, to = { .h = h, .ts = ts };

		if (h->spent > PARTS_WORDS * h->words) {
			s->parts_cut = true;
			return;
		}
		memcpy(h->marks, base, size);
		measure(&l, t);
		if (!depth)
			s->own = l.own;
		for (i = named = 0; i < l.ntop; i++) {
			l.top[i].part.level = depth;
			pair = depth ? NULL : of_pair(s, l.top[i].part.label);
			if (pair) {
				free(l.top[i].part.label);
				l.top[i].part.label = xstrdup(pair);
			}
			add_part(s, l.top[i].part);
			named += l.top[i].part.words;
		}
		if (l.own >= OWN_MIN && l.own > most / PART_SHARE)
			add_own(s, &l, t, depth);
		if (l.sum > named)
			add_part(s, (struct heap_part){ .level = depth, .words = l.sum - named,
							.others = l.no - l.ntop });
		if (!l.ntop || l.top[0].part.words < most / PART_SHARE || l.top[0].part.words < 64)
			return;
		/* the same again, up to the part that is looked into next */
		memcpy(h->marks, base, size);
		to.stop_at = 1;
		to.stop_no = l.top[0].no;
		measure(&to, t);
		if (!to.stopped)
			return;
		memcpy(base, h->marks, size);
		t = l.top[0].part.term;
	}
}

/* As they are read: a part, what is in it, and then the other parts of its level. */
static void nest_parts(struct heap_sum *s)
{
	struct heap_part *from = s->parts, *to = xcalloc(s->nparts + 1, sizeof(*to));
	size_t first[PART_LEVELS + 1], n = 0, i, k;
	unsigned int levels = 0, l;

	for (i = 0; i < s->nparts; i++)
		if (from[i].level == levels)
			first[levels++] = i;
	for (l = 0; l < levels; l++)
		to[n++] = from[first[l]];
	for (l = levels; l--;)
		for (k = first[l] + 1; k < s->nparts && from[k].level == l; k++)
			to[n++] = from[k];
	free(s->parts);
	s->parts = to;
	s->parts_cap = s->nparts + 1;
}

void heap_parts(struct heap *h, struct terms *ts, struct heap_sum *s)
{
	uint64_t size = (h->words / 64 + 1) * 8, *base;
	size_t i, k;

	/* of many terms, as all the messages are: none of them is worth a walk down */
	if (s->roots[s->largest].n != 1)
		return;
	memset(h->marks, 0, size);
	for (i = 0; i < s->largest; i++)
		for (k = 0; k < s->roots[i].n; k++)
			heap_trace(h, s->roots[i].terms[k]);
	base = xcalloc(1, size);
	memcpy(base, h->marks, size);
	h->spent = 0;
	if (!h->err)
		find_parts(h, ts, s, s->roots[s->largest].terms[0], base);
	nest_parts(s);
	free(base);
}
