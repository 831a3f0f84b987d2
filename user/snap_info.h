/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A node at a glance: how full its tables are, how busy its schedulers, how it was configured.
 *
 * Oracles: system_info/1 and statistics/1 under the names of the members, and the options in
 * system_info({allocator, A}).  ERTS: ErtsPTab, IndexTable, ErtsRunQueue, ErtsSchedulerSleepInfo,
 * Allctr_t (erl_alloc_util.c, info_options()), ErtsMsegAllctr_t (erl_mseg.c).
 */
#ifndef EBEAM_SNAP_INFO_H
#define EBEAM_SNAP_INFO_H

#include "cgroup.h"
#include "snap_mem.h"
#include "vm.h"

/* A number, or none. */
struct known {
	bool is;
	uint64_t n;
};

/* The options of an allocator, in the order in which system_info({allocator, A}) lists them. */
enum info_setting {
	SET_T, SET_ATAGS, SET_RAMV, SET_SBCT, SET_ASBCST, SET_RSBCST, SET_RSBCMT, SET_RMBCMT,
	SET_MMBCS, SET_MMMBC, SET_MMSBC, SET_LMBCS, SET_SMBCS, SET_MBCGS, SET_ACFUL, SET_ACUL,
	SET_ACNL, SET_ACFML, SET_N
};

/* "sbct"; and whether it is no number but a switch. */
const char *info_setting_name(enum info_setting s);
bool info_setting_is_switch(enum info_setting s);

/* Neighbouring instances of an allocator that have the same options. */
struct info_allocator {
	const char *allocator; /* "binary_alloc" */
	bool enabled;
	unsigned int first, last; /* instances; number 0 is that of threads without one */
	const char *strategy;	  /* "aoffcbf"; NULL: not known */
	struct known set[SET_N];
	const char *pool; /* cp: "B", "@", "undefined"; NULL: not known */
};

/* Settings of the cache of mseg_alloc; the same for all its instances. */
struct info_mseg {
	struct known amcbf, rmcbf, mcs;
};

struct snap_info {
	struct known processes, process_limit, ports, port_limit, atoms, atom_limit, tables;
	unsigned int schedulers, dirty_cpu, dirty_io;
	struct known online, dirty_cpu_online;
	bool blocked_or_offline; /* all but one scheduler are suspended: why is not known */
	bool online_unclear;	 /* schedulers and their queues did not agree */
	bool queues_unclear;	 /* of some the length was not the sum of their priorities' */
	struct known *queues;	 /* one for each scheduler, then dirty CPU and dirty I/O */
	size_t nqueues;
	struct known run_queue;	 /* all but that of dirty I/O, as statistics(run_queue) */
	struct known reductions, context_switches;
	struct info_allocator *allocators;
	size_t nallocators;
	struct info_mseg mseg;
	const char **newest_atoms; /* escaped; the newest first; NULL where it could not be read */
	size_t nnewest;
	uint64_t rss; /* 0: not known */
	struct cgroup_memory cgroup;
	double uptime_s;
};

/* What has been proven of the fields that the rest reads. */
struct snap_info_proof {
	bool atom_limit, queues, reductions, sleeping, settings, pools, mseg;
	struct snap_mem_proof mem; /* strategies, and where mseg_alloc is */
	char why[8][120]; /* what failed, for notes */
	size_t nwhy;
};

void snap_info_open(struct vm *vm, struct snap_info_proof *proof);
/* @newest: how many of the newest atoms to read. */
int snap_info_read(struct vm *vm, const struct snap_info_proof *proof, size_t newest,
		   struct snap_info *s);
void snap_info_free(struct snap_info *s);

#endif
