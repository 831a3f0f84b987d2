/* SPDX-License-Identifier: GPL-2.0-only */
/* Between the files that choose the sites: probe_plan.c, and probe_plan_carrier.c. */
#ifndef EBEAM_PROBE_PLAN_H
#define EBEAM_PROBE_PLAN_H

#include "functions.h"
#include "probe.h"

/*
 * Adds a site for a function: NULL when a program stands there already, or when it cannot be
 * probed (it is then among the missing ones).  @args: SITE_ARG() mask of what the program reads.
 */
struct probe_site *probe_plan_add(struct vm *vm, struct probe_plan *plan, enum probe_prog prog,
				  vmaddr_t addr, const char *name, unsigned int args,
				  uint64_t what);

/* @f: of the executable; NULL where its code cannot be decoded. */
void probe_plan_carriers(struct vm *vm, struct functions *f, struct probe_plan *plan);

#endif
