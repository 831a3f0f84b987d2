// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads a term into a tree of texts, as the first pass of io_lib_pretty does.
 *
 * Recursion is bounded by MAX_NESTING, reading by the budgets of terms and bytes.  The depth of ~P
 * counts elements as well as levels: a list of depth 4 shows three of its elements.
 */
#include "term_read.h"
#include "term_tree.h"

#include <stdlib.h>
#include <string.h>

#define MAX_NESTING 2000
#define ARENA_BLOCK (64u << 10)
#define BITS_CHUNK 4096
#define CHARS_PER_DEPTH 4 /* of a printable binary: io_lib_pretty */

struct tree_arena {
	struct tree_arena *next;
	size_t n, size;
	char bytes[];
};

static void *arena_get(struct tree_build *b, size_t size)
{
	struct tree_arena *a = b->arena;
	void *p;

	size = (size + 7) & ~7ULL;
	if (!a || a->size - a->n < size) {
		size_t room = size > ARENA_BLOCK ? size : ARENA_BLOCK;

		a = xcalloc(1, sizeof(*a) + room);
		a->size = room;
		a->next = b->arena;
		b->arena = a;
	}
	p = a->bytes + a->n;
	a->n += size;
	return p;
}

void tree_free(struct tree_build *b)
{
	struct tree_arena *a = b->arena, *next;

	for (; a; a = next) {
		next = a->next;
		free(a);
	}
	b->arena = NULL;
}

static struct tree *node(struct tree_build *b, enum tree_kind kind)
{
	struct tree *t = arena_get(b, sizeof(*t));

	memset(t, 0, sizeof(*t));
	t->kind = kind;
	return t;
}

static uint64_t chars(const char *s, size_t n)
{
	uint64_t count = 0;

	while (n--)
		count += (*s++ & 0xc0) != 0x80;
	return count;
}

static void set_text(struct tree_build *b, struct tree *t, const char *s, size_t n)
{
	char *copy = arena_get(b, n + 1);

	memcpy(copy, s, n);
	copy[n] = 0;
	t->text = copy;
	t->bytes = n;
	t->text_len = chars(s, n);
	t->len = t->text_len;
	b->bytes -= n < b->bytes ? n : b->bytes;
}

static struct tree *text(struct tree_build *b, const char *s)
{
	struct tree *t = node(b, TREE_TEXT);

	set_text(b, t, s, strlen(s));
	return t;
}

static struct tree *dots(struct tree_build *b)
{
	struct tree *t = text(b, "...");

	t->dots = true;
	b->cut = true;
	return t;
}

static struct tree *unreadable(struct tree_build *b)
{
	b->ts->unread++;
	return text(b, "?");
}

static bool spent(const struct tree_build *b)
{
	return !b->terms || !b->bytes;
}

/* ---- children ----------------------------------------------------------------------------- */

struct kids {
	struct tree **v;
	size_t n, cap;
};

static void kids_add(struct kids *k, struct tree *t)
{
	if (k->n == k->cap) {
		k->cap = k->cap ? 2 * k->cap : 8;
		k->v = xrealloc(k->v, k->cap * sizeof(*k->v));
	}
	k->v[k->n++] = t;
}

/* Moves the children into the tree, and adds up: @around for brackets, one for each separator. */
static struct tree *closed(struct tree_build *b, struct tree *t, struct kids *k, uint64_t around)
{
	size_t i;

	t->n = k->n;
	t->kid = arena_get(b, (k->n + 1) * sizeof(*t->kid));
	if (k->n)
		memcpy(t->kid, k->v, k->n * sizeof(*t->kid));
	free(k->v);
	t->len += around;
	for (i = 0; i < t->n; i++)
		t->len += t->kid[i]->len + (i > 0);
	if (t->tail)
		t->len += t->tail->len + (t->n > 0);
	return t;
}

/* ---- strings and binaries ------------------------------------------------------------------- */

struct quoted {
	char *s;
	size_t n, cap;
};

static void quoted_add(struct quoted *q, uint32_t c)
{
	if (q->n + 16 > q->cap) {
		q->cap = q->cap ? 2 * q->cap : 64;
		q->s = xrealloc(q->s, q->cap);
	}
	q->n += term_escaped(c, '"', q->s + q->n);
}

static bool printable(uint32_t c)
{
	return (c >= ' ' && c <= '~') || (c >= 0xa0 && c <= 0xff) || (c >= '\b' && c <= '\r') ||
	       c == 27;
}

/* A list of printable characters, in quotes; NULL when it is none. */
static struct tree *string(struct tree_build *b, eterm_t list)
{
	struct quoted q = { 0 };
	struct tree *t = NULL;
	char *all;
	eterm_t c;
	bool cut;

	while (term_is_cons(list) && q.n < b->bytes) {
		if (!term_list_next(b->ts, &list, &c) || !term_is_small(c) || c >> 4 > 0xff ||
		    !printable(c >> 4))
			goto out;
		quoted_add(&q, c >> 4);
	}
	cut = term_is_cons(list);
	if (!q.n || (!cut && !term_is_nil(b->ts, list)))
		goto out;
	all = xcalloc(1, q.n + 8);
	sprintf(all, "\"%.*s\"%s", (int)q.n, q.s, cut ? "..." : "");
	b->cut |= cut;
	t = text(b, all);
	free(all);
out:
	free(q.s);
	return t;
}

/* Whether the first @n bytes are printable; if not, how many are. */
static bool printable_bytes(struct tree_build *b, const struct term_bits *bits, size_t n,
			    size_t *good)
{
	unsigned char buf[BITS_CHUNK];
	size_t i, len;

	for (*good = 0; *good < n; *good += len) {
		len = n - *good < sizeof(buf) ? n - *good : sizeof(buf);
		if (!term_bits_copy(b->ts, bits, *good, len, buf))
			return false;
		for (i = 0; i < len; i++)
			if (!printable(buf[i])) {
				*good += i;
				return false;
			}
	}
	return true;
}

static struct tree *quoted_bytes(struct tree_build *b, const struct term_bits *bits, size_t n,
				 bool cut)
{
	unsigned char buf[BITS_CHUNK];
	struct quoted q = { 0 };
	struct tree *t;
	size_t at, i, len;
	char *all;

	for (at = 0; at < n; at += len) {
		len = n - at < sizeof(buf) ? n - at : sizeof(buf);
		if (!term_bits_copy(b->ts, bits, at, len, buf)) {
			free(q.s);
			return unreadable(b);
		}
		for (i = 0; i < len; i++)
			quoted_add(&q, buf[i]);
	}
	all = xcalloc(1, q.n + 16);
	sprintf(all, "<<\"%.*s\"%s>>", (int)q.n, q.s, cut ? "..." : "");
	b->cut |= cut;
	t = text(b, all);
	free(all);
	free(q.s);
	return t;
}

/* <<1,2,3:4>>; @n bytes of it. */
static struct tree *numbers(struct tree_build *b, const struct term_bits *bits, size_t n, bool cut)
{
	size_t total = (bits->bits + 7) / 8, at, i, len;
	char *all = xcalloc(1, 6 * n + 16), *p = all;
	unsigned int rest = bits->bits & 7;
	unsigned char buf[BITS_CHUNK];
	struct tree *t;

	p += sprintf(p, "<<");
	for (at = 0; at < n; at += len) {
		len = n - at < sizeof(buf) ? n - at : sizeof(buf);
		if (!term_bits_copy(b->ts, bits, at, len, buf)) {
			free(all);
			return unreadable(b);
		}
		for (i = 0; i < len; i++) {
			if (at + i)
				*p++ = ',';
			if (at + i + 1 == total && rest)
				p += sprintf(p, "%u:%u", buf[i] >> (8 - rest), rest);
			else
				p += sprintf(p, "%u", buf[i]);
		}
	}
	if (cut)
		p += sprintf(p, "%s...", n ? "," : "");
	sprintf(p, ">>");
	b->cut |= cut;
	t = node(b, TREE_BINARY);
	set_text(b, t, all, strlen(all));
	free(all);
	return t;
}

static struct tree *binary(struct tree_build *b, eterm_t term, int64_t depth)
{
	struct term_bits bits;
	size_t total, max, good;
	bool whole;

	if (!term_bits(b->ts, term, &bits))
		return unreadable(b);
	if (!bits.bits)
		return text(b, "<<>>");
	if (depth == 1) {
		b->cut = true;
		return text(b, "<<...>>");
	}
	total = (bits.bits + 7) / 8;
	max = total < b->bytes ? total : b->bytes;
	if (bits.bits % 8 == 0) {
		good = max;
		if (depth > 0 && (uint64_t)(depth - 1) * CHARS_PER_DEPTH < max)
			good = (depth - 1) * CHARS_PER_DEPTH;
		whole = printable_bytes(b, &bits, good, &good);
		if (whole || (depth > 1 && good >= (uint64_t)depth - 1))
			return quoted_bytes(b, &bits, good, good < total);
	}
	/* each byte takes up to four characters */
	if (max > b->bytes / 4 + 1)
		max = b->bytes / 4 + 1;
	if (depth > 0 && (uint64_t)depth - 1 < max)
		max = depth - 1;
	return numbers(b, &bits, max, max < total);
}

/* ---- what has terms in it ------------------------------------------------------------------- */

static struct tree *list(struct tree_build *b, eterm_t term, int64_t depth)
{
	struct tree *t = depth == 1 ? NULL : string(b, term);
	struct kids k = { 0 };
	eterm_t head;

	if (t)
		return t;
	t = node(b, TREE_LIST);
	while (term_is_cons(term)) {
		if (depth == 1 || spent(b)) {
			t->tail = dots(b);
			return closed(b, t, &k, 2);
		}
		if (!term_list_next(b->ts, &term, &head)) {
			t->tail = unreadable(b);
			return closed(b, t, &k, 2);
		}
		depth--;
		kids_add(&k, tree_make(b, head, depth));
	}
	if (!term_is_nil(b->ts, term))
		t->tail = depth == 1 || spent(b) ? dots(b) : tree_make(b, term, depth - 1);
	return closed(b, t, &k, 2);
}

static struct tree *tuple(struct tree_build *b, eterm_t term, int64_t depth)
{
	uint64_t arity, i;
	struct kids k = { 0 };
	struct tree *t;
	eterm_t e;
	vmaddr_t addr;

	if (!term_tuple(b->ts, term, &arity, &addr))
		return unreadable(b);
	if (!arity)
		return text(b, "{}");
	if (depth == 1) {
		b->cut = true;
		return text(b, "{...}");
	}
	t = node(b, TREE_TUPLE);
	for (i = 0; i < arity; i++) {
		if (depth == 1 || spent(b)) {
			t->tail = dots(b);
			break;
		}
		depth--;
		if (!pages_u64(b->ts->pages, addr + 8 * i, &e)) {
			t->tail = unreadable(b);
			break;
		}
		if (!i)
			t->tagged = arity > 1 && term_is_atom(e);
		kids_add(&k, tree_make(b, e, depth));
	}
	return closed(b, t, &k, 2);
}

static struct tree *pair(struct tree_build *b, eterm_t key, eterm_t value, int64_t depth)
{
	struct tree *t = node(b, TREE_PAIR);
	struct kids k = { 0 };

	kids_add(&k, tree_make(b, key, depth));
	kids_add(&k, tree_make(b, value, depth));
	return closed(b, t, &k, 3); /* " => ": three and a separator */
}

static struct tree *map(struct tree_build *b, eterm_t term, int64_t depth)
{
	struct term_map_walk w;
	int64_t inner = depth - 1;
	struct kids k = { 0 };
	eterm_t key, value;
	struct tree *t;

	if (!term_map_open(b->ts, term, &w))
		return unreadable(b);
	if (!w.size)
		return text(b, "#{}");
	if (depth == 1) {
		b->cut = true;
		return text(b, "#{...}");
	}
	t = node(b, TREE_MAP);
	while (term_map_next(&w, &key, &value)) {
		if (depth == 1 || spent(b)) {
			t->tail = dots(b);
			break;
		}
		depth--;
		kids_add(&k, pair(b, key, value, inner));
	}
	if (w.bad)
		t->tail = unreadable(b);
	return closed(b, t, &k, 3);
}

static char *record_name(struct terms *ts, const struct term_record *r)
{
	char *module = term_atom_quoted(ts, r->module), *name = term_atom_quoted(ts, r->name);
	char *all = NULL;

	if (module && name) {
		all = xcalloc(1, strlen(module) + strlen(name) + 3);
		sprintf(all, "#%s:%s", module, name);
	}
	free(module);
	free(name);
	return all;
}

static struct tree *field(struct tree_build *b, const struct term_record *r, uint64_t i,
			  int64_t depth)
{
	struct tree *t = node(b, TREE_FIELD);
	struct kids k = { 0 };
	eterm_t key, value;
	char *name;

	if (!term_record_field(b->ts, r, i, &key, &value))
		return unreadable(b);
	name = term_atom_quoted(b->ts, key);
	if (!name)
		return unreadable(b);
	set_text(b, t, name, strlen(name));
	free(name);
	kids_add(&k, tree_make(b, value, depth));
	return closed(b, t, &k, 3); /* and " = " */
}

static struct tree *record(struct tree_build *b, eterm_t term, int64_t depth)
{
	struct term_record r;
	struct kids k = { 0 };
	struct tree *t;
	char *name;
	uint64_t i;

	if (!term_record(b->ts, term, &r))
		return unreadable(b);
	name = record_name(b->ts, &r);
	if (!name)
		return unreadable(b);
	t = node(b, TREE_RECORD);
	set_text(b, t, name, strlen(name));
	free(name);
	for (i = 0, depth--; i < r.n; i++) {
		if (depth == 0 || depth == 1 || spent(b)) {
			t->tail = dots(b);
			break;
		}
		depth--;
		kids_add(&k, field(b, &r, i, depth));
	}
	return closed(b, t, &k, 2);
}

static struct tree *leaf(struct tree_build *b, eterm_t term)
{
	char *s = term_leaf(b->ts, term);
	struct tree *t = text(b, s);

	free(s);
	return t;
}

struct tree *tree_make(struct tree_build *b, eterm_t t, int64_t depth)
{
	struct tree *made;
	uint64_t header = 0;

	if (depth == 0 || b->nested == MAX_NESTING || spent(b))
		return dots(b);
	b->terms--;
	b->nested++;
	if (term_is_cons(t)) {
		made = list(b, t, depth);
	} else {
		switch (term_is_boxed(t) ? term_boxed(b->ts, t, &header) : KIND_BAD) {
		case KIND_TUPLE:
			made = tuple(b, t, depth);
			break;
		case KIND_MAP:
			made = map(b, t, depth);
			break;
		case KIND_BITS:
			made = binary(b, t, depth);
			break;
		case KIND_RECORD:
			made = record(b, t, depth);
			break;
		case KIND_BIG:
			made = header >> 6 > TERM_BIG_MAX ? dots(b) : leaf(b, t);
			break;
		default:
			made = leaf(b, t);
		}
	}
	b->nested--;
	return made;
}
