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

struct snap_stacks {
	struct vm *vm;
	struct code *code; /* may be NULL */
	uint32_t depth;	   /* backtrace_depth */
	bool monitors_known;
};

/* snap_wait.c */
void snap_waits_open(struct snap_stacks *s);

#endif
