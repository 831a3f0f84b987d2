/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The Erlang VM as a Linux process: which pid, which file, where loaded, in which container, and
 * whether it is still the same process (start time, and a pidfd that tells of its end).
 *
 * The executable is opened through /proc/PID/exe: right inside containers, and when the file was
 * replaced on disk while the VM runs.
 */
#ifndef EBEAM_TARGET_H
#define EBEAM_TARGET_H

#include <limits.h>
#include <sys/types.h>
#include "util.h"

struct target {
	pid_t pid;   /* as we see it */
	pid_t ns_pid; /* as it sees itself, in its own pid namespace */
	int pidfd;   /* -1 where the kernel has none */
	uint64_t start_ticks;
	char exe[PATH_MAX];	 /* as the target's mount namespace names it */
	char exe_path[64];	 /* /proc/PID/exe: what we open */
	bool exe_replaced;	 /* the file on disk is another one by now */
	uint64_t exe_dev, exe_ino; /* of the mapped file */
	uint64_t ns_dev, ns_ino; /* of its pid namespace */
	char container[80];	 /* short id, "" on the host */
	vmaddr_t map_start;	 /* lowest mapping of the executable, with its file offset */
	uint64_t map_offset;
};

/* One candidate of a look over the host; filled as far as permissions allow. */
struct candidate {
	pid_t pid;
	char node[256]; /* from the command line (-name, -sname), "" when not there */
};

/* All beam.smp of the host, in pid order; *out is malloc'ed.  Returns their number. */
int target_scan(struct candidate **out);

/**
 * target_open() - find out all of the above about a pid
 *
 * Fails with a message when there is no such process (usage), it is no BEAM (usage), or it may
 * not be looked at (permission).
 */
int target_open(struct target *t, pid_t pid);
void target_close(struct target *t);

/* False once the process has ended, or its pid belongs to another by now. */
bool target_alive(const struct target *t);

double target_uptime_s(const struct target *t);
/* Resident bytes; 0 when unknown. */
uint64_t target_rss(const struct target *t);

/* The capabilities that this process has, for messages and doctor. */
bool have_capability(int cap);

#endif
