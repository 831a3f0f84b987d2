/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel lets a process take: the memory limit of its cgroup, v1 or v2, and of all cgroups
 * above it; the tightest of them ends the VM.
 */
#ifndef EBEAM_CGROUP_H
#define EBEAM_CGROUP_H

#include <limits.h>
#include <sys/types.h>
#include "util.h"

struct cgroup_memory {
	bool known;   /* false: its cgroups cannot be seen from here */
	bool limited; /* some of them has a limit: the rest tells of the tightest */
	uint64_t limit, used; /* used: page cache included, as the kernel counts it */
	bool used_known;
};

void cgroup_memory(pid_t pid, struct cgroup_memory *m);

/**
 * cgroup_memory_in() - the same from texts
 * @cgroup:    of /proc/PID/cgroup; NULL: whatever the mounts show, as a container's own do
 * @mountinfo: of /proc/PID/mountinfo
 * @prefix:    put before every path
 */
void cgroup_memory_in(const char *cgroup, const char *mountinfo, const char *prefix,
		      struct cgroup_memory *m);

#endif
