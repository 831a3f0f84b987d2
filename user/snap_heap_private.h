/* SPDX-License-Identifier: GPL-2.0-only */
/* What snap_heap.c and snap_heap_parts.c share: the copy of a heap, and a trace through it. */
#ifndef EBEAM_SNAP_HEAP_PRIVATE_H
#define EBEAM_SNAP_HEAP_PRIVATE_H

#include "snap_heap.h"

/* Words of the copy have one number through all areas: see heap_place(). */
struct area {
	vmaddr_t start, end;
	uint64_t first; /* number of its first word */
};

/* Words still to be followed: terms, one after the other. */
struct pending {
	vmaddr_t at;
	uint64_t left;
};

struct heap {
	struct vm *vm;
	struct area *areas; /* by address */
	size_t nareas, areas_cap, last;
	size_t nfrags; /* so far; messages among them */
	uint64_t words;
	uint64_t **chunks;
	size_t nchunks, *kept, nkept, oldest; /* kept: a ring of those that are loaded */
	uint64_t *marks;
	struct pending *stack;
	size_t depth, depth_cap;
	uint64_t young, old, frags, young_free, old_free, stack_words;
	uint64_t spent; /* words traced since the marks were last counted */
	int err;
};

/* Size of an object with its header; terms in it: @n words from the @from'th on, and one more. */
struct heap_shape {
	uint64_t words, from, n;
	uint64_t extra; /* a word that is a term, too; 0: none */
};

/* The number of the word at an address; false where that is in no area. */
bool heap_place(struct heap *h, vmaddr_t addr, uint64_t *n);
bool heap_word_no(struct heap *h, uint64_t n, uint64_t *w);
/* A word of an object that begins in an area: all of it is there, else the copy is torn. */
bool heap_word(struct heap *h, vmaddr_t addr, uint64_t *w);
bool heap_shape(struct heap *h, vmaddr_t at, uint64_t hdr, struct heap_shape *s);
bool heap_marked(struct heap *h, uint64_t n);
/* Marks one object, and has its terms followed; 0 where it was marked, or is not of this heap. */
uint64_t heap_enter(struct heap *h, eterm_t t);
/* Words that a term reaches and that were not marked before. */
uint64_t heap_trace(struct heap *h, eterm_t t);

/* snap_heap_parts.c: fills in the parts of the largest root. */
void heap_parts(struct heap *h, struct terms *ts, struct heap_sum *s);

#endif
