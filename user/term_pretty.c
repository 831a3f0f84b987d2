// SPDX-License-Identifier: GPL-2.0-only
/*
 * The layout of ~p.
 *
 * What fits the rest of its line, and the ribbon, stays on one line.  Else elements go below each
 * other; those that are texts share lines as long as there is room.  A tuple that begins with an
 * atom puts its other elements behind the atom, or, where that leaves too little room anywhere in
 * the term, four columns (if not, one) below its brace: one choice for the whole term.
 *
 * Names here: @col is the column where the item begins, @ind the spaces after a line break, @left
 * how many brackets follow the item on its line, @used the characters of the line so far that are
 * no indentation.
 */
#include "term_tree.h"

#include <stdlib.h>
#include <string.h>

#define INDENT 4
#define NARROW 1

struct layout_pass {
	struct text_out *out;
	int64_t width, ribbon;
	int64_t step; /* the choice: spaces below a tuple's brace, or -1 for behind its atom */
	bool bad;     /* while choosing: this step leaves too little room */
};

void text_out_add(struct text_out *o, const char *s, size_t n)
{
	if (o->full || n > o->max - o->n) {
		/* not half a character: it is left out as a whole */
		o->full = true;
		return;
	}
	if (o->n + n + 1 > o->cap) {
		o->cap = 2 * (o->n + n) + 64;
		o->s = xrealloc(o->s, o->cap);
	}
	memcpy(o->s + o->n, s, n);
	o->n += n;
	o->s[o->n] = 0;
}

static void put(struct text_out *o, const char *s)
{
	text_out_add(o, s, strlen(s));
}

static void line_break(struct text_out *o, int64_t ind)
{
	static const char spaces[] = "                                                ";
	int64_t n;

	put(o, "\n");
	for (; ind > 0 && !o->full; ind -= n) {
		n = ind < (int64_t)sizeof(spaces) - 1 ? ind : (int64_t)sizeof(spaces) - 1;
		text_out_add(o, spaces, n);
	}
}

/* ---- one line ------------------------------------------------------------------------------- */

static void write_all(const struct tree *t, const char *open, const char *close,
		      struct text_out *o)
{
	size_t i;

	put(o, open);
	for (i = 0; i < t->n && !o->full; i++) {
		if (i)
			put(o, ",");
		tree_write(t->kid[i], o);
	}
	if (t->tail) {
		if (t->n)
			put(o, t->kind == TREE_LIST ? "|" : ",");
		tree_write(t->tail, o);
	}
	put(o, close);
}

void tree_write(const struct tree *t, struct text_out *o)
{
	switch (t->kind) {
	case TREE_TEXT:
	case TREE_BINARY:
		text_out_add(o, t->text, t->bytes);
		break;
	case TREE_LIST:
		write_all(t, "[", "]", o);
		break;
	case TREE_TUPLE:
		write_all(t, "{", "}", o);
		break;
	case TREE_MAP:
		write_all(t, "#{", "}", o);
		break;
	case TREE_RECORD:
		text_out_add(o, t->text, t->bytes);
		write_all(t, "{", "}", o);
		break;
	case TREE_PAIR:
		tree_write(t->kid[0], o);
		put(o, " => ");
		tree_write(t->kid[1], o);
		break;
	case TREE_FIELD:
		text_out_add(o, t->text, t->bytes);
		put(o, " = ");
		tree_write(t->kid[0], o);
		break;
	}
}

/* ---- what fits ------------------------------------------------------------------------------ */

static bool fits(const struct layout_pass *p, const struct tree *t, int64_t col, int64_t left,
		 int64_t used)
{
	int64_t len = t->len;

	return len < p->width - col - left && len + used + left <= p->ribbon;
}

static bool plain(const struct tree *t)
{
	switch (t->kind) {
	case TREE_PAIR:
		return plain(t->kid[0]) && plain(t->kid[1]);
	case TREE_FIELD:
		return plain(t->kid[0]);
	default:
		return t->kind == TREE_TEXT;
	}
}

/* Brackets that follow the i-th item: none, unless it is the last one. */
static int64_t left_of(const struct tree *t, size_t i, int64_t left)
{
	return i + 1 < t->n ? 0 : left + 1;
}

/* A later item, behind a separator on the line of the one before. */
static bool joins(const struct layout_pass *p, const struct tree *item, int64_t col, int64_t left,
		  int64_t used)
{
	int64_t len = 1 + (int64_t)item->len;

	if (!plain(item))
		return false;
	if (!left)
		return len + 1 < p->width - col && used + len + 1 <= p->ribbon;
	return len < p->width - col - left && used + len + left <= p->ribbon;
}

/* The last part of an improper list, on the line of the element before. */
static bool tail_joins(const struct layout_pass *p, const struct tree *tail, int64_t col,
		       int64_t left, int64_t used)
{
	int64_t len = 1 + (int64_t)tail->len;

	return plain(tail) && len < p->width - col - (left + 1) &&
	       len + used + left + 1 <= p->ribbon;
}

static int64_t value_indent(const struct layout_pass *p)
{
	return p->step > 0 ? p->step : INDENT;
}

/* ---- choosing the step -------------------------------------------------------------------- */

static void try_item(struct layout_pass *p, const struct tree *t, int64_t col, int64_t left,
		     int64_t used);

/* Returns the width that the item takes: all of the line, where it is to be followed by a break. */
static int64_t try_element(struct layout_pass *p, const struct tree *t, int64_t col, int64_t left,
			   int64_t used)
{
	if (plain(t) && fits(p, t, col, left, used))
		return t->len;
	try_item(p, t, col, left, used);
	return p->width;
}

static void try_tail(struct layout_pass *p, const struct tree *t, size_t i, int64_t col0,
		     int64_t col, int64_t left, int64_t used)
{
	int64_t l, w;

	for (; i < t->n && !p->bad; i++) {
		l = left_of(t, i, left);
		if (joins(p, t->kid[i], col, l, used)) {
			col += 1 + t->kid[i]->len;
			used += 1 + t->kid[i]->len;
			continue;
		}
		w = try_element(p, t->kid[i], col0, l, 0);
		col = col0 + w;
		used = w;
	}
	if (t->tail && !t->tail->dots && !p->bad && !tail_joins(p, t->tail, col, left, used))
		try_item(p, t->tail, col, left + 1, 0);
}

static void try_list(struct layout_pass *p, const struct tree *t, size_t i, int64_t col,
		     int64_t left, int64_t used)
{
	int64_t w;

	if (i == t->n)
		return;
	w = try_element(p, t->kid[i], col, left_of(t, i, left), used);
	try_tail(p, t, i + 1, col, col + w, left, used + w);
}

static bool room(const struct layout_pass *p, int64_t col)
{
	return p->ribbon + col <= p->width || col <= p->width / 2;
}

static void try_tagged(struct layout_pass *p, const struct tree *t, int64_t col, int64_t left,
		       int64_t used)
{
	int64_t tag, behind;

	if (!t->n)
		return;
	tag = t->kid[0]->len;
	behind = col + tag + 2;
	if (p->step > 0 && tag + 2 > p->step) {
		p->bad |= !room(p, col + p->step);
		if (!p->bad)
			try_tail(p, t, 1, col + p->step, behind, left, used + tag);
		return;
	}
	p->bad |= !(p->ribbon + behind < p->width || behind < p->width / 2);
	if (!p->bad)
		try_list(p, t, 1, behind, left, used + tag + 1);
}

static int64_t try_pair(struct layout_pass *p, const struct tree *t, int64_t col, int64_t left,
			int64_t used)
{
	if (fits(p, t, col, left, used))
		return plain(t) ? (int64_t)t->len : p->width;
	if (t->kind == TREE_PAIR) {
		try_item(p, t->kid[0], col, left, used);
		try_item(p, t->kid[1], col + value_indent(p), left, 0);
	}
	return p->width;
}

static void try_map(struct layout_pass *p, const struct tree *t, int64_t col, int64_t left,
		    int64_t used)
{
	int64_t w, l, at = col;
	size_t i;

	for (i = 0; i < t->n && !p->bad; i++) {
		l = left_of(t, i, left);
		if (i && joins(p, t->kid[i], at, l, used)) {
			at += 1 + t->kid[i]->len;
			used += 1 + t->kid[i]->len;
			continue;
		}
		w = try_pair(p, t->kid[i], col, l, i ? 0 : used);
		at = col + w;
		used = i ? w : used + w;
	}
}

/* Where a record's field, or its value, goes: behind what is @tag characters long, or below. */
static bool below(const struct layout_pass *p, int64_t tag, int64_t *col, int64_t *ind,
		  int64_t *used)
{
	bool breaks = p->step > 0 && tag > p->step;
	int64_t by = breaks ? p->step : tag;

	*col += by;
	*ind += by;
	if (breaks)
		*used = 0;
	return breaks;
}

static int64_t try_field(struct layout_pass *p, const struct tree *t, int64_t col, int64_t left,
			 int64_t used)
{
	int64_t ind = 0, name = t->text_len + 3;

	if (fits(p, t, col, left, used))
		return plain(t) ? (int64_t)t->len : p->width;
	if (t->kind == TREE_FIELD) {
		used += name;
		below(p, name, &col, &ind, &used);
		p->bad |= !room(p, col);
		if (!p->bad)
			try_item(p, t->kid[0], col, left, used);
	}
	return p->width;
}

static void try_record(struct layout_pass *p, const struct tree *t, int64_t col, int64_t left,
		       int64_t used)
{
	int64_t ind = 0, w, l, at;
	size_t i;

	if (!t->n)
		return;
	below(p, t->text_len + 1, &col, &ind, &used);
	p->bad |= !room(p, col);
	for (at = col, i = 0; i < t->n && !p->bad; i++) {
		l = left_of(t, i, left);
		if (i && joins(p, t->kid[i], at, l, used)) {
			at += 1 + t->kid[i]->len;
			used += 1 + t->kid[i]->len;
			continue;
		}
		w = try_field(p, t->kid[i], col, l, i ? 0 : used);
		/* the widths of fields add up here, though each is on a line of its own */
		at = i ? at + w : col + w;
		used = i ? w : used + w;
	}
}

static void try_item(struct layout_pass *p, const struct tree *t, int64_t col, int64_t left,
		     int64_t used)
{
	if (p->bad || fits(p, t, col, left, used))
		return;
	switch (t->kind) {
	case TREE_LIST:
		try_list(p, t, 0, col + 1, left, used + 1);
		break;
	case TREE_TUPLE:
		if (t->tagged)
			try_tagged(p, t, col, left, used + 1);
		else
			try_list(p, t, 0, col + 1, left, used + 1);
		break;
	case TREE_MAP:
		try_map(p, t, col + 2, left, used + 2);
		break;
	case TREE_RECORD:
		try_record(p, t, col, left, used + t->text_len + 1);
		break;
	default:
		break;
	}
}

/* ---- printing ----------------------------------------------------------------------------- */

static void print(struct layout_pass *p, const struct tree *t, int64_t col, int64_t ind,
		  int64_t left, int64_t used);

static int64_t print_element(struct layout_pass *p, const struct tree *t, int64_t col, int64_t ind,
			     int64_t left, int64_t used)
{
	if (plain(t) && fits(p, t, col, left, used)) {
		tree_write(t, p->out);
		return t->len;
	}
	print(p, t, col, ind, left, used);
	return p->width;
}

static void print_tail(struct layout_pass *p, const struct tree *t, size_t i, int64_t col0,
		       int64_t col, int64_t ind, int64_t left, int64_t used)
{
	const char *separator = t->kind == TREE_LIST ? "|" : ",";
	int64_t l, w;

	for (; i < t->n && !p->out->full; i++) {
		l = left_of(t, i, left);
		put(p->out, ",");
		if (joins(p, t->kid[i], col, l, used)) {
			tree_write(t->kid[i], p->out);
			col += 1 + t->kid[i]->len;
			used += 1 + t->kid[i]->len;
			continue;
		}
		line_break(p->out, ind);
		w = print_element(p, t->kid[i], col0, ind, l, 0);
		col = col0 + w;
		used = w;
	}
	if (!t->tail)
		return;
	put(p->out, separator);
	if (t->tail->dots || tail_joins(p, t->tail, col, left, used)) {
		tree_write(t->tail, p->out);
		return;
	}
	line_break(p->out, ind);
	print(p, t->tail, col0, ind, left + 1, 0);
}

static void print_list(struct layout_pass *p, const struct tree *t, size_t i, int64_t col,
		       int64_t ind, int64_t left, int64_t used)
{
	int64_t w;

	if (i == t->n) {
		if (t->tail)
			tree_write(t->tail, p->out);
		return;
	}
	w = print_element(p, t->kid[i], col, ind, left_of(t, i, left), used);
	print_tail(p, t, i + 1, col, col + w, ind, left, used + w);
}

static void print_tagged(struct layout_pass *p, const struct tree *t, int64_t col, int64_t ind,
			 int64_t left, int64_t used)
{
	int64_t tag;

	if (!t->n) {
		tree_write(t->tail, p->out);
		return;
	}
	tag = t->kid[0]->len;
	tree_write(t->kid[0], p->out);
	if (p->step > 0 && tag + 2 > p->step) {
		print_tail(p, t, 1, col + p->step, col + tag + 2, ind + p->step, left, used + tag);
		return;
	}
	put(p->out, ",");
	print_list(p, t, 1, col + tag + 2, ind + tag + 2, left, used + tag + 1);
}

static int64_t print_pair(struct layout_pass *p, const struct tree *t, int64_t col, int64_t ind,
			  int64_t left, int64_t used)
{
	int64_t by = value_indent(p);

	if (t->kind != TREE_PAIR || fits(p, t, col, left, used)) {
		tree_write(t, p->out);
		return plain(t) ? (int64_t)t->len : p->width;
	}
	print(p, t->kid[0], col, ind, left, used);
	put(p->out, " =>");
	line_break(p->out, ind + by);
	print(p, t->kid[1], col + by, ind + by, left, 0);
	return p->width;
}

static int64_t print_field(struct layout_pass *p, const struct tree *t, int64_t col, int64_t ind,
			   int64_t left, int64_t used)
{
	int64_t name = t->text_len + 3;

	if (t->kind != TREE_FIELD || fits(p, t, col, left, used)) {
		tree_write(t, p->out);
		return plain(t) ? (int64_t)t->len : p->width;
	}
	used += name;
	text_out_add(p->out, t->text, t->bytes);
	if (below(p, name, &col, &ind, &used)) {
		put(p->out, " =");
		line_break(p->out, ind);
	} else {
		put(p->out, " = ");
	}
	print(p, t->kid[0], col, ind, left, used);
	return p->width;
}

/* Pairs of a map, fields of a record. */
static void print_members(struct layout_pass *p, const struct tree *t, int64_t col, int64_t ind,
			  int64_t left, int64_t used)
{
	int64_t w, l, at = col;
	size_t i;

	for (i = 0; i < t->n && !p->out->full; i++) {
		l = left_of(t, i, left);
		if (i)
			put(p->out, ",");
		if (i && joins(p, t->kid[i], at, l, used)) {
			tree_write(t->kid[i], p->out);
			at += 1 + t->kid[i]->len;
			used += 1 + t->kid[i]->len;
			continue;
		}
		if (i)
			line_break(p->out, ind);
		if (t->kind == TREE_MAP)
			w = print_pair(p, t->kid[i], col, ind, l, i ? 0 : used);
		else
			w = print_field(p, t->kid[i], col, ind, l, i ? 0 : used);
		at = col + w;
		/* a map's first pair counts alone, a record's first field with its name */
		used = i || t->kind == TREE_MAP ? w : used + w;
	}
	if (t->tail) {
		if (t->n)
			put(p->out, ",");
		tree_write(t->tail, p->out);
	}
}

static void print_record(struct layout_pass *p, const struct tree *t, int64_t col, int64_t ind,
			 int64_t left, int64_t used)
{
	if (!t->n) {
		if (t->tail)
			tree_write(t->tail, p->out);
		return;
	}
	if (below(p, t->text_len + 1, &col, &ind, &used))
		line_break(p->out, ind);
	print_members(p, t, col, ind, left, used);
}

/* Bytes fill lines; the last one only breaks off where it does not fit either. */
static void print_binary(struct layout_pass *p, const struct tree *t, int64_t col, int64_t ind,
			 int64_t left, int64_t used)
{
	const char *s = t->text + 2, *end = t->text + t->bytes - 2, *comma;
	int64_t all = p->width - col, n, len, rest;

	if (p->ribbon - 4 - used < all)
		all = p->ribbon - 4 - used;
	all -= left;
	if (all < 8)
		all = 8;
	rest = all;
	put(p->out, "<<");
	while ((comma = memchr(s, ',', end - s))) {
		len = comma + 1 - s;
		n = rest - len;
		if (n < 0) {
			line_break(p->out, ind);
			n = all - len;
		}
		rest = n;
		text_out_add(p->out, s, len);
		s += len;
	}
	if (end - s > rest)
		line_break(p->out, ind);
	text_out_add(p->out, s, end - s);
	put(p->out, ">>");
}

static void print(struct layout_pass *p, const struct tree *t, int64_t col, int64_t ind,
		  int64_t left, int64_t used)
{
	if (p->out->full)
		return;
	if (fits(p, t, col, left, used)) {
		tree_write(t, p->out);
		return;
	}
	switch (t->kind) {
	case TREE_LIST:
		put(p->out, "[");
		print_list(p, t, 0, col + 1, ind + 1, left, used + 1);
		put(p->out, "]");
		break;
	case TREE_TUPLE:
		put(p->out, "{");
		if (t->tagged)
			print_tagged(p, t, col, ind, left, used + 1);
		else
			print_list(p, t, 0, col + 1, ind + 1, left, used + 1);
		put(p->out, "}");
		break;
	case TREE_MAP:
		put(p->out, "#{");
		print_members(p, t, col + 2, ind + 2, left, used + 1);
		put(p->out, "}");
		break;
	case TREE_RECORD:
		text_out_add(p->out, t->text, t->bytes);
		put(p->out, "{");
		print_record(p, t, col, ind, left, used + t->text_len + 1);
		put(p->out, "}");
		break;
	case TREE_BINARY:
		print_binary(p, t, col + 2, ind + 2, left, used);
		break;
	default:
		tree_write(t, p->out);
	}
}

void tree_pretty(const struct tree *t, unsigned int column, unsigned int width, struct text_out *o)
{
	static const int64_t steps[] = { -1, INDENT, NARROW };
	struct layout_pass p = { .out = o, .width = width, .ribbon = t->len };
	size_t i;

	if ((int64_t)t->len < (int64_t)width - column) {
		tree_write(t, o);
		return;
	}
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		p.step = steps[i];
		p.bad = false;
		if (steps[i] != NARROW)
			try_item(&p, t, column, 0, 0);
		if (!p.bad)
			break;
	}
	print(&p, t, column, column - 1, 0, 0);
}
