/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A term as a tree of texts with their lengths: what the layout of io_lib_pretty works on.
 * term_tree.c reads it from the node, term_pretty.c prints it.
 */
#ifndef EBEAM_TERM_TREE_H
#define EBEAM_TERM_TREE_H

#include "term_print.h"

enum tree_kind {
	TREE_TEXT,   /* never broken: atoms, numbers, strings, [], {}, ... */
	TREE_BINARY, /* text of a binary's bytes, which may be broken behind a comma */
	TREE_LIST, TREE_TUPLE, TREE_MAP, TREE_RECORD,
	TREE_PAIR,  /* of a map: two children */
	TREE_FIELD, /* of a record: its name is the text, and a child */
};

struct tree {
	enum tree_kind kind;
	bool tagged;	   /* tuple of more than one element, the first an atom */
	bool dots;	   /* this is "..." in the place of what was left out */
	const char *text;  /* TEXT, BINARY; the name in RECORD and FIELD; UTF-8 */
	size_t bytes;	   /* of the text */
	uint64_t text_len; /* in characters */
	uint64_t len;	   /* characters of all of it on one line */
	struct tree **kid;
	size_t n;
	struct tree *tail; /* the tail of an improper list; or dots, of any kind */
};

struct tree_arena;

struct tree_build {
	struct terms *ts;
	uint64_t terms;	    /* budgets: what may still be read */
	size_t bytes;	    /* of text */
	unsigned int nested;
	bool cut;
	struct tree_arena *arena;
};

/* @depth as in ~P: -1 without limit. */
struct tree *tree_make(struct tree_build *b, eterm_t t, int64_t depth);
void tree_free(struct tree_build *b);

/* Growing text that never gets longer than its limit. */
struct text_out {
	char *s;
	size_t n, cap, max;
	bool full; /* something did not fit */
};

void text_out_add(struct text_out *o, const char *s, size_t n);

/* One line, and the layout of ~p. */
void tree_write(const struct tree *t, struct text_out *o);
void tree_pretty(const struct tree *t, unsigned int column, unsigned int width, struct text_out *o);

/* Text of what has no terms in it (not of lists, tuples, maps, records and bit strings). */
char *term_leaf(struct terms *ts, eterm_t t);
/* An atom's name quoted as ~p does it; false when there is no such atom.  To be freed. */
char *term_atom_quoted(struct terms *ts, eterm_t atom);
/* Appends a character of a quoted text, with quote @q: see io_lib:write_string_as_latin1/2. */
size_t term_escaped(uint32_t c, char q, char out[16]);
/* One character of UTF-8 from @s; bytes that are none are taken as they are.  Returns its bytes. */
size_t term_char(const char *s, size_t n, uint32_t *c);

#endif
