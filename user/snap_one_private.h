/* SPDX-License-Identifier: GPL-2.0-only */
/* What the snap_one*.c share. */
#ifndef EBEAM_SNAP_ONE_PRIVATE_H
#define EBEAM_SNAP_ONE_PRIVATE_H

#include "snap_one.h"

#define PROC_BYTES_MAX 1024

/* For visitors. */
struct one_arg {
	struct one_reader *r;
	struct one *one;
};

/* A word of a copy of a Process. */
uint64_t one_raw(const unsigned char *raw, unsigned int off);
const char *one_stack_why(enum stack_status s);

/*
 * Calls fn for each pair of a dictionary; @list: where it shares its slot with others, that slot's
 * list.  False where it is no dictionary: the pairs are not as many as it says.
 */
bool one_dict(struct one_reader *r, vmaddr_t dict,
	      void (*fn)(void *arg, eterm_t pair, eterm_t key, eterm_t value, eterm_t list),
	      void *arg);

/* snap_one_heap.c: see part_fn in snap_one.c. */
bool one_read_heap(struct one_reader *r, struct one *one, const struct proc_image *p,
		   const char **why);

#endif
