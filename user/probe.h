/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The probes: which sites, the BPF object, links, and groups that are switched on and off.
 *
 * Everything that belongs to BPF and libbpf is here.  Sites are chosen once (probe_plan), the
 * object is loaded once, and groups are attached and detached as the guard decides.  Links are
 * file descriptors: when ebeam dies, however it dies, the kernel takes the breakpoints out.
 */
#ifndef EBEAM_PROBE_H
#define EBEAM_PROBE_H

#include "ebeam_shared.h"
#include "site.h"
#include "vm.h"

#define PROBE_MAX_SITES EB_MAX_SITES

/* What a site's program is; each is one BPF program. */
enum probe_prog {
	PROG_ALLOC, PROG_ALLOC_SESSION, PROG_ALLOC_RETURN, PROG_REALLOC, PROG_REALLOC_SESSION,
	PROG_FREE, PROG_GC_ENTER, PROG_GC_RETURN, PROG_EXIT, PROG_CARRIER_ENTER,
	PROG_CARRIER_BELOW, PROG_CARRIER_CREATE, PROG_CARRIER_RETURN, PROG_POOL, PROG_REFC, PROG_N,
};

struct probe_site {
	struct site site;
	enum probe_prog prog;
	enum eb_group group;
	bool is_return;
	vmaddr_t callback; /* of carriers: the instance's callback that it is, or is for; else 0 */
};

/* Sections asked for. */
enum { WANT_ALLOC = 1, WANT_BIN = 2, WANT_CARRIER = 4, WANT_GC = 8 };

struct probe_plan {
	struct probe_site sites[PROBE_MAX_SITES];
	size_t n;
	unsigned int groups; /* bit per group that has sites */
	struct { char name[64]; char why[128]; } missing[16]; /* sites that cannot be had */
	size_t nmissing;
};

/* What a hit costs on this machine, measured at start; ns. */
struct probe_cost {
	double entry, ret, stepped; /* stepped: 0 when no site needs it */
};

struct probe;

/* Of a program: its group, and whether it is a return probe. */
extern const enum eb_group probe_prog_group[PROG_N];
bool probe_prog_is_return(enum probe_prog prog);
/* By EB_API_*. */
extern const char *const probe_api_names[EB_NAPIS];

/* Kernel features as they matter here. */
struct probe_kernel {
	bool multi;	   /* uprobe_multi links work */
	bool multi_pid;	   /* and their filter by process does */
	bool session;	   /* and session probes do (6.13) */
	int err;	   /* errno of loading the smallest program; 0 when that works */
};
void probe_kernel_check(struct probe_kernel *k);

/*
 * Chooses the sites for the wanted sections.  Fails where the code is not what the symbols say it
 * is.
 */
int probe_plan(struct vm *vm, const struct probe_kernel *k, unsigned int want,
		struct probe_plan *plan);

/* Measures what a hit costs, with an empty program on functions of our own. */
int probe_calibrate(const struct probe_kernel *k, bool stepped, struct probe_cost *cost);

/**
 * probe_open() - load the programs, fill the map of threads; nothing is attached yet
 *
 * Fails with what the kernel, or the lack of a capability, forbids.
 */
struct probe *probe_open(struct vm *vm, const struct probe_plan *plan,
			 const struct probe_kernel *k, const struct probe_cost *cost,
			 unsigned int want, unsigned int max_processes);
int probe_attach(struct probe *p, enum eb_group group);
/*
 * Starts to take a group's breakpoints out, without waiting: the kernel needs a grace period for
 * each link.  probe_attach() and probe_close() wait for it.
 */
void probe_detach(struct probe *p, enum eb_group group);
bool probe_attached(const struct probe *p, enum eb_group group);
/* The end of the watch: nothing more is counted. */
void probe_stop(struct probe *p);
/* All links start to close. */
void probe_detach_all(struct probe *p);
/* When it returns, no breakpoint is left. */
void probe_close(struct probe *p);

/* Cost of a hit of a group's average site; ns, without the program's own time. */
double probe_group_ns(const struct probe_plan *plan, enum eb_group group,
		      const struct probe_cost *cost);
/* And what is added where the return is probed. */
double probe_return_ns(const struct probe_cost *cost);

/* --- reading what BPF has gathered ------------------------------------------------------------- */

/* Threads that have state: known ones first; a live view, mapped from the kernel. */
const volatile struct eb_thread_state *probe_thread_states(const struct probe *p, size_t *n);

/* Events that nothing shows, because a map was full or there were too many threads. */
uint64_t probe_lost(const struct probe *p);

/* Global counts of the programs. */
struct probe_counts {
	uint64_t procs_made, alloc_rows_made; /* rows made so far */
	uint64_t lost_births; /* births that should have been recorded and were not */
	uint64_t overflows; /* events added to the row of all others, because a map was full */
	uint32_t alloc_epoch; /* of births that are still certain */
};
void probe_counts(const struct probe *p, struct probe_counts *c);

/* Copies all entries of a map; *keys and *values are malloc'ed arrays.  Returns their number. */
enum probe_map { MAP_PROCS, MAP_ALLOC, MAP_CARRIER, MAP_BIRTHS, MAP_CARRIERS };
size_t probe_read_map(const struct probe *p, enum probe_map map, void **keys, void **values);
/* Takes an entry out, with its last value; false when it is not there any more. */
bool probe_take(const struct probe *p, enum probe_map map, const void *key, void *value);

#endif
