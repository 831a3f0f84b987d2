/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Everything about one process: finding it, and reading it.
 *
 * A process may run while it is read.  Each part of the answer is read between two looks at the
 * Process: where they differ it is read again, a few times, and then left out, with a note.  So each
 * part is true of a moment; of a process at rest all are of the same.
 */
#ifndef EBEAM_SNAP_ONE_H
#define EBEAM_SNAP_ONE_H

#include "snap_proc.h"

/* Processes that a word means: more than one can have the same label. */
struct one_found {
	struct proc_id *v;
	size_t n, cap;
	bool by_pid; /* the word was a pid */
};

/**
 * one_find() - the process that the user means
 * @word: "<0.12.0>", "0.12.0" or "12.0"; a registered name; a label (OTP 27 and later)
 *
 * Names are tried first, then labels.  0, also where there is none; -1 when the process table cannot
 * be read.
 */
int one_find(struct vm *vm, const char *word, struct one_found *found);
void one_found_free(struct one_found *found);

#endif
