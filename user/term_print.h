/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Terms in the node's memory, as the text that io_lib of that very release makes of them.
 *
 * term_text() gives what io_lib:format("~p", [T]) gives (pretty), or "~0p" (one line).  Nothing
 * from the node's memory is trusted: every walk has a budget of terms and of bytes, so that a term
 * nested a million deep, a cyclic list in torn memory or a tuple of a billion end soon; what was
 * left out is "..." and told by @cut.  What cannot be read is printed as "?".  The text is UTF-8
 * without control characters other than the line breaks of the pretty layout.
 *
 * Tags and headers of terms: ERTS erl_term.h; offsets in heap objects: the layout's, which
 * terms_open() proves as far as that can be done without an object, and every object again.
 */
#ifndef EBEAM_TERM_PRINT_H
#define EBEAM_TERM_PRINT_H

#include "pages.h"
#include "term.h"

/* What reading terms needs: one per command, opened after the VM and its page cache. */
struct terms {
	struct vm *vm;
	struct pages *pages;
	/* kinds of terms whose layout is not as expected here: they are printed as "?" */
	bool no_funs, no_exports, no_binaries, no_sub_binaries, no_externals, no_magic,
		no_refs;
	uint64_t unread; /* subterms so far that could not be read or decoded */
};

void terms_open(struct terms *ts, struct vm *vm, struct pages *pages);

struct term_limits {
	unsigned int depth; /* as ~P cuts: nesting, and elements of a list or tuple; 0: no limit */
	uint64_t max_terms; /* subterms that are read; 0: TERM_MAX_TERMS */
	size_t max_bytes;   /* of text, about; 0: TERM_MAX_BYTES */
	bool pretty;	    /* ~p: line breaks and indentation; else one line */
	unsigned int column; /* pretty: where the text begins, 1 is the first; 0: 1 */
	unsigned int width;  /* pretty: of a line; 0: 80, as ~p has it */
};

#define TERM_MAX_TERMS 250000
#define TERM_MAX_BYTES (4u << 20)

/**
 * term_text() - a term as the node would print it
 * @lim: NULL: one line, no depth, default budgets
 * @cut: may be NULL; true where the term is larger than the limits, and the text ends in "..."
 *
 * Returns text to be freed; never NULL.
 */
char *term_text(struct terms *ts, eterm_t t, const struct term_limits *lim, bool *cut);

/**
 * term_shape() - what kind of message this is, for a census
 *
 * The outer constructor and its atoms are kept, everything else becomes "_"; tuples in tuples are
 * kept to @depth (1: the outer one only): {'$gen_call',_,{log,_,_}}.  A list is "[]" or "[...]", a
 * map "#{...}" (with the atom keys), a binary "<<...>>" at the outermost level.  To be freed.
 */
char *term_shape(struct terms *ts, eterm_t t, unsigned int depth);

/**
 * term_flat_size() - words of the term on the heap, as erts_debug:flat_size/1 counts
 * @budget: subterms to look at; is decreased by those that were
 *
 * false when the budget is used up or something cannot be read; *words is then what was counted.
 */
bool term_flat_size(struct terms *ts, eterm_t t, uint64_t *budget, uint64_t *words);

/* Cells and elements.  false: it is not of that kind, or cannot be read. */
bool term_is_nil(const struct terms *ts, eterm_t t);
static inline bool term_is_cons(eterm_t t)
{
	return (t & 3) == 1;
}
static inline bool term_is_boxed(eterm_t t)
{
	return (t & 3) == 2;
}
/* @list: moves on to the tail. */
bool term_list_next(struct terms *ts, eterm_t *list, eterm_t *head);
/* @addr: of the first element, for term_element(). */
bool term_tuple(struct terms *ts, eterm_t t, uint64_t *arity, vmaddr_t *addr);
/* @n from 0; checks the bounds. */
bool term_element(struct terms *ts, eterm_t tuple, uint64_t n, eterm_t *e);
bool term_small(eterm_t t, int64_t *n);
/* The value of a key that is an atom (or another immediate); a flat map. */
bool term_map_get(struct terms *ts, eterm_t map, eterm_t key, eterm_t *value);

/* A local reference's three numbers, of plain, pid and magic ones. */
bool term_ref(struct terms *ts, eterm_t t, uint32_t num[3]);
/* True where both are local references, and the same. */
bool term_ref_equal(struct terms *ts, eterm_t a, eterm_t b);
/*
 * A NIF's resource, by its address, as the magic reference that the node makes of it:
 * "#Ref<0.1.2.3>". erl_nif.c: erts_bld_resource_ref().  False where no magic binary is around it.
 */
bool term_resource_text(struct terms *ts, vmaddr_t resource, char *buf, size_t size);
bool term_is_map(struct terms *ts, eterm_t t);

/* Words of a boxed object with its header, without what its terms lead to; 0: it is none. */
uint64_t term_object_words(struct terms *ts, vmaddr_t addr);

#endif
