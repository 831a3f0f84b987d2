/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the operating system says of a process' memory: its mappings and how much of each is
 * resident, and which pages those are.
 *
 * /proc/PID/smaps, task/ and pagemap; the latter by the ioctl PAGEMAP_SCAN (6.7) where there is
 * one.
 */
#ifndef EBEAM_SMAPS_H
#define EBEAM_SMAPS_H

#include <sys/types.h>
#include "util.h"

struct mapping {
	vmaddr_t start, end;
	char perms[5];		/* "rw-p" */
	bool file;		/* of a file on disk; memfd and /dev/shm are none */
	char name[96];		/* cut at the front; "[heap]"; "" */
	uint64_t rss, swap;	/* bytes */
	uint64_t lazy_free;	/* of rss: given back by MADV_FREE, not yet taken */
	uint64_t huge;		/* of rss: in transparent huge pages */
};

struct smaps {
	struct mapping *v; /* by address */
	size_t n;
	uint64_t rss, swap, lazy_free, huge; /* sums */
};

/*
 * 0, or -errno: -EACCES without the permission to trace the process.  Without @counts only where
 * the mappings are: counting pages takes the system 40 ms a GiB.
 */
int smaps_read(pid_t pid, bool counts, struct smaps *s);
/*
 * Bytes that were given back by MADV_FREE and are resident still: 0 at once where nobody does so.
 */
uint64_t smaps_lazy_free(pid_t pid);
/* Bytes in swap. */
uint64_t smaps_swap(pid_t pid);
void smaps_free(struct smaps *s);

/* The mapping with this address, or NULL. */
const struct mapping *smaps_find(const struct smaps *s, vmaddr_t addr);

/* Resident pages, a range at a time, in order. */
struct residency {
	int fd;
	bool scan;	/* PAGEMAP_SCAN works: ten times as fast as smaps */
	uint64_t page;	/* bytes */
	uint64_t huge;	/* counted as runs are found, with PAGEMAP_SCAN: of them, in huge pages */
};

/* 0, or -errno. */
int residency_open(struct residency *r, pid_t pid);
void residency_close(struct residency *r);
/*
 * Calls @each for every run of resident pages within [start, end), ends of pages; false when it
 * cannot be read.
 */
bool residency_runs(struct residency *r, vmaddr_t start, vmaddr_t end,
		    void (*each)(void *arg, vmaddr_t start, vmaddr_t end), void *arg);

#endif
