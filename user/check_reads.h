/* SPDX-License-Identifier: GPL-2.0-only */
/* For doctor: does what the reading commands need hold on this VM? */
#ifndef EBEAM_CHECK_READS_H
#define EBEAM_CHECK_READS_H

#include "vm.h"

/* @why: what is missing there, "" where nothing is; escaped. */
typedef void (*read_check_fn)(void *arg, const char *part, const char *command, const char *why);

/* Proves each part as its commands do, and tells of each. */
void check_reads(struct vm *vm, read_check_fn tell, void *arg);

#endif
