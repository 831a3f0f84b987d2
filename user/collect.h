/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From raw to rows: copies what the probes have gathered out of the kernel, adds what is read from
 * the VM's memory (held refc binaries, carrier statistics, the VM's own counters), names it all,
 * and fills a model.
 */
#ifndef EBEAM_COLLECT_H
#define EBEAM_COLLECT_H

#include "fold.h"
#include "fresh.h"
#include "model.h"
#include "probe.h"
#include "rows.h"
#include "vm.h"

/* The VM's own exact counters, summed over instances and schedulers: they cost no probe. */
struct vm_counters {
	bool known;
	uint64_t calls[VM_MAX_ALLOCATORS][CALL_N];
	uint64_t gc_cols; /* by normal schedulers */
};

void collect_counters(struct vm *vm, struct vm_counters *c);

/* What goes from interval to interval; zeroed at first, then max_processes set. */
struct collect_base {
	struct map_copy procs, alloc, carrier; /* shown already */
	uint64_t calls[EB_MAX_ALLOCATORS][EB_NCALLS];
	uint64_t unrowed_words;
	struct fresh fresh;
	struct fold fold;
	struct came folded; /* what came to processes whose rows were summed up */
};

/* Right after the probes were set: what there was before is not to be taken for new. */
void collect_start(struct vm *vm, unsigned int want, struct collect_base *base);
/* Every now and then: keeps the rows in bounds. */
void collect_step(struct probe *p, struct collect_base *base);
void collect_base_free(struct collect_base *base);

struct collect_input {
	unsigned int want; /* WANT_* */
	/* counters at the start and the end of the interval, to scale what was not always watched */
	const struct vm_counters *before, *after;
	bool partial[EB_NGROUPS]; /* group was not watched all the time */
};

/**
 * collect() - fill a model with what came in since @base, and move @base on
 *
 * Works on a target that has ended, too: then names are those that BPF noted, and nothing is held.
 */
void collect(struct vm *vm, struct probe *p, const struct collect_input *in,
	     struct collect_base *base, struct model *m);

/* Parts of it: the carrier section, and who is behind a key (@raw: its row, NULL when none). */
void collect_carriers(struct vm *vm, struct probe *p, const struct map_copy *rows,
		      struct model *m);
struct who *collect_who(struct vm *vm, struct model *m, uint64_t key, const struct eb_proc *raw);

#endif
