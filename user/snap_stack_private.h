/* SPDX-License-Identifier: GPL-2.0-only */
/* Between snap_stack.c, which reads stacks, and snap_wait.c, which understands some of them. */
#ifndef EBEAM_SNAP_STACK_PRIVATE_H
#define EBEAM_SNAP_STACK_PRIVATE_H

#include "snap_stack.h"

#define STACK_PROC_MAX 1024

/* Its registers are on a CPU, or it is not there any more. */
#define STACK_NOT_STILL                                                                            \
	(PSFLG_FREE | PSFLG_EXITING | PSFLG_RUNNING | PSFLG_GC | PSFLG_RUNNING_SYS |               \
	 PSFLG_DIRTY_RUNNING_SYS)

#define ROLES 256 /* of functions that processes wait in; a power of two */

struct snap_stacks {
	struct vm *vm;
	struct code *code; /* may be NULL */
	uint32_t depth;	   /* backtrace_depth */
	bool monitors_known;
	struct {
		vmaddr_t i;
		int role;
	} roles[ROLES]; /* see snap_wait.c */
	struct wait_batch *batch;
};

/*
 * The stack of a Process whose copy is at hand.  Words of the stack, and live x registers, are to
 * be copied to st->words and st->x by @req, which is filled with at most two; their number, or -1
 * where there is no stack.  snap_stack_take() makes frames of them.
 */
int snap_stack_prepare(struct snap_stacks *s, const struct proc_id *who, const void *raw,
		       size_t max_words, struct stack *st, struct read_req *req);
void snap_stack_take(struct snap_stacks *s, struct stack *st);
/* Whether two copies of a Process are of the same moment, as far as its stack goes. */
bool snap_stack_same(const struct snap_stacks *s, const void *a, const void *b);

/* snap_wait.c */
void snap_waits_close(struct snap_stacks *s);

/* snap_wait_monitors.c */
#define WAIT_REFS_MAX 64
#define MONITOR_BLOCK 192

struct waits_for;

struct ref_number {
	unsigned char n[12];
};

struct wait_refs {
	eterm_t term[WAIT_REFS_MAX];
	struct ref_number number[WAIT_REFS_MAX];
	size_t n;
};

/* A node of the tree with what is behind it, where it was copied before. */
struct monitor_block {
	vmaddr_t addr;
	bool ok;
	unsigned char raw[MONITOR_BLOCK];
};

void snap_waits_open(struct snap_stacks *s);
/* The numbers of a local reference, from the words of its heap object; false where it is none. */
bool wait_ref_number(const struct layout_fields *f, const uint64_t *words, struct ref_number *out);
/*
 * Whom it monitors by one of these references, or which of these pids; one alone.  1: w says whom;
 * 0: nobody; more: too many; -1: not known.
 */
int wait_by_refs(struct snap_stacks *s, vmaddr_t root, const struct wait_refs *refs,
		 struct monitor_block *block, struct waits_for *w);
int wait_by_pids(struct snap_stacks *s, vmaddr_t root, const eterm_t *pids, size_t npids,
		 struct monitor_block *block, struct waits_for *w);

#endif
