// SPDX-License-Identifier: GPL-2.0-only
#include "term_read.h"
#include "term_tree.h"

#include <stdlib.h>
#include <string.h>

#define WIDTH 80
#define SHAPE_ELEMENTS 16 /* of a tuple; what follows is "..." */
#define SHAPE_BYTES 4096

char *term_text(struct terms *ts, eterm_t t, const struct term_limits *lim, bool *cut)
{
	static const struct term_limits none;
	struct tree_build b = { .ts = ts };
	struct text_out out = { 0 };
	struct tree *tree;

	if (!lim)
		lim = &none;
	b.terms = lim->max_terms ? lim->max_terms : TERM_MAX_TERMS;
	b.bytes = lim->max_bytes ? lim->max_bytes : TERM_MAX_BYTES;
	/* room for brackets and separators; and indentation, which deep terms have much of */
	out.max = 4 * b.bytes + 1024;
	tree = tree_make(&b, t, lim->depth ? (int64_t)lim->depth : -1);
	if (lim->pretty)
		tree_pretty(tree, lim->column ? lim->column : 1, lim->width ? lim->width : WIDTH,
			    &out);
	else
		tree_write(tree, &out);
	tree_free(&b);
	if (out.full) {
		b.cut = true;
		out.full = false;
		out.max += 4;
		text_out_add(&out, "...", 3);
	}
	if (cut)
		*cut = b.cut;
	return out.s ? out.s : xstrdup("");
}

/* ---- shapes ----------------------------------------------------------------------------- */

static void put(struct text_out *o, const char *s)
{
	text_out_add(o, s, strlen(s));
}

static void put_atom(struct terms *ts, eterm_t atom, struct text_out *o)
{
	char *s = term_atom_quoted(ts, atom);

	put(o, s ? s : "?");
	free(s);
}

static void shape_of(struct terms *ts, eterm_t t, unsigned int depth, bool outer,
		     struct text_out *o);

static void tuple_shape(struct terms *ts, eterm_t t, unsigned int depth, struct text_out *o)
{
	uint64_t arity, i;
	vmaddr_t addr;
	eterm_t e;

	if (!term_tuple(ts, t, &arity, &addr)) {
		put(o, "?");
		return;
	}
	put(o, "{");
	for (i = 0; i < arity; i++) {
		put(o, i ? "," : "");
		if (i == SHAPE_ELEMENTS) {
			put(o, "...");
			break;
		}
		if (!pages_u64(ts->pages, addr + 8 * i, &e)) {
			put(o, "?");
			break;
		}
		shape_of(ts, e, depth - 1, false, o);
	}
	put(o, "}");
}

/* Only keys that are atoms: others may be as many as there are messages. */
static void map_shape(struct terms *ts, eterm_t t, struct text_out *o)
{
	struct term_map_walk w;
	eterm_t key, value;
	unsigned int n = 0;

	if (!term_map_open(ts, t, &w) || !w.flat) {
		put(o, "#{...}");
		return;
	}
	put(o, "#{");
	while (n < SHAPE_ELEMENTS && term_map_next(&w, &key, &value)) {
		put(o, n++ ? "," : "");
		if (term_is_atom(key))
			put_atom(ts, key, o);
		else
			put(o, "_");
		put(o, " => _");
	}
	put(o, w.at < w.size ? ",...}" : "}");
}

static void record_shape(struct terms *ts, eterm_t t, struct text_out *o)
{
	struct term_record r;

	if (!term_record(ts, t, &r)) {
		put(o, "?");
		return;
	}
	put(o, "#");
	put_atom(ts, r.module, o);
	put(o, ":");
	put_atom(ts, r.name, o);
	put(o, "{...}");
}

static void shape_of(struct terms *ts, eterm_t t, unsigned int depth, bool outer,
		     struct text_out *o)
{
	uint64_t header;
	enum term_kind kind = term_boxed(ts, t, &header);

	if (term_is_atom(t))
		put_atom(ts, t, o);
	else if (kind == KIND_TUPLE && depth)
		tuple_shape(ts, t, depth, o);
	else if (!outer)
		put(o, "_");
	else if (term_is_nil(ts, t))
		put(o, "[]");
	else if (term_is_cons(t))
		put(o, "[...]");
	else if (kind == KIND_MAP)
		map_shape(ts, t, o);
	else if (kind == KIND_BITS)
		put(o, "<<...>>");
	else if (kind == KIND_RECORD)
		record_shape(ts, t, o);
	else
		put(o, "_");
}

char *term_shape(struct terms *ts, eterm_t t, unsigned int depth)
{
	struct text_out out = { .max = SHAPE_BYTES };

	shape_of(ts, t, depth ? depth : 1, true, &out);
	if (out.full) {
		out.full = false;
		out.max += 4;
		text_out_add(&out, "...", 3);
	}
	return out.s ? out.s : xstrdup("_");
}
