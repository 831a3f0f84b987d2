/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What fills the heap of a process: words by root (a register, a key of the dictionary, a message),
 * and by subterm of the largest root.
 *
 * The collector's own question, asked of a copy: young and old heap and fragments are copied, and
 * traced from the roots that erl_gc.c has.  What several roots share is counted once: the first one
 * has it.  What none reaches is garbage: gone at the next collection (of the old heap: the next
 * full one).  So roots and garbage sum to the words in use.
 *
 * Up to 256 MiB of a heap are kept at a time; a larger one is read in pieces, and some of them
 * again.  Marks take one bit a word.
 */
#ifndef EBEAM_SNAP_HEAP_H
#define EBEAM_SNAP_HEAP_H

#include "snap_proc.h"
#include "term_print.h"

struct heap_root {
	char *label;	 /* "gen_server:loop/7 y2"; owned */
	eterm_t *terms;	 /* owned */
	size_t n, cap;
	uint64_t words;	 /* of what it reaches and none before it does */
};

/* Part of the largest root, in the order of a walk down: a part, then parts of it. */
struct heap_part {
	unsigned int level; /* 0: of the root's term */
	char *label;	    /* "element 3", "key cache"; NULL: all others of this level */
	eterm_t term;
	uint64_t words;	    /* what it reaches and none before it does */
	uint64_t others;    /* label NULL: how many they are */
};

struct heap_sum {
	struct heap_root *roots; /* in the order they were added */
	size_t nroots, cap;
	struct heap_part *parts;
	size_t nparts, parts_cap;
	size_t largest;		 /* index of the root whose parts these are */
	/* words */
	uint64_t young_used, old_used, fragments; /* in use; they sum to `used` */
	uint64_t used;
	uint64_t young_free, old_free, stack;
	uint64_t garbage;	 /* of `used`: no root reaches it */
	uint64_t own;		 /* of the largest root's term itself, in no part of it */
	bool parts_cut;		 /* more could be said of the parts, at a price */
};

/* A term of a root; the label is copied.  With the label of the root before: the same root. */
void heap_root_add(struct heap_sum *s, const char *label, eterm_t term);
void heap_sum_free(struct heap_sum *s);

struct heap;

/**
 * snap_heap_open() - copy the heap of a process that does not run
 * @p: of just now; the caller looks again after snap_heap_trace(), whether it is still so
 *
 * NULL with @why where it cannot be had; a moment later the same may work.
 */
struct heap *snap_heap_open(struct vm *vm, const struct proc_image *p, const char **why);
void snap_heap_close(struct heap *h);

/**
 * snap_heap_trace() - fill in what the roots of @s reach
 * @ts: to name keys of maps
 *
 * 0; -EAGAIN when the copy is torn; -EFAULT when not all can be read; -E2BIG when it is nested too
 * deeply for the memory that may be used.
 */
int snap_heap_trace(struct heap *h, struct terms *ts, struct heap_sum *s);

#endif
