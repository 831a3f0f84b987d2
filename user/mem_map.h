/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a VM's resident memory is: from what is in use, by what allocators keep, to what the system
 * counts (RSS).
 *
 * Every resident page is given to what it belongs to.  Carriers, kept segments, stacks and malloc's
 * arenas are known by their addresses; mappings of files and code by the system.  What belongs to
 * nothing that is known is "unexplained".
 *
 * Empty carriers that wait to be destroyed (cpool.dc_list) are in no statistic of the VM; their
 * pages are slack of the instance that made them.  Those on their way to it are on no list, and so
 * are unexplained, as is what a malloc other than glibc's has.
 *
 * Oracle: Rss of /proc/PID/smaps_rollup, which the parts sum to.
 */
#ifndef EBEAM_MEM_MAP_H
#define EBEAM_MEM_MAP_H

#include "smaps.h"
#include "snap_mem.h"

enum mem_part_kind {
	PART_USED,    /* blocks in use, in whatever carrier */
	PART_SLACK,   /* the rest of carriers that instances have, or are to destroy */
	PART_POOL,    /* the rest of carriers that wait in the pool for one */
	PART_MSEG,    /* segments that mseg_alloc keeps for the next carrier */
	PART_SUPER,   /* of a super carrier, not used for carriers */
	PART_JIT,     /* code made at run time */
	PART_FILES,   /* beam.smp, libraries, and their data */
	PART_STACKS,  /* of threads */
	PART_HEAP,    /* libc's malloc: drivers, NIFs, the VM's own beyond its allocators */
	PART_OTHER,   /* unexplained */
	PART_N,
};

struct mem_part {
	uint64_t resident; /* bytes in memory */
	uint64_t size;	   /* bytes of address space, or of blocks */
};

struct mem_resident {
	uint64_t carriers, used; /* resident bytes of an instance's carriers; of it, in blocks */
	uint64_t pool, pool_used; /* the same of carriers in the pool */
};

struct mem_map {
	bool known; /* false: the system does not tell; why: err */
	int err;
	struct mem_part part[PART_N];
	int64_t unexplained; /* resident; less than 0 where pages came while we looked */
	uint64_t rss, swap, lazy_free, huge;
	bool lazy_free_known; /* to ask for it takes the system 40 ms a GiB: see mem_map.c */
	unsigned int threads;
	const char *other_malloc; /* what is in place of libc's, as far as that is known; or NULL */
	struct mem_resident *insts; /* of m->insts, in that order */
	/* lists of carriers that moved under all tries, mappings whose pages were not told */
	uint64_t skipped;
};

void mem_map_read(struct vm *vm, const struct snap_mem *m, struct mem_map *map);
void mem_map_free(struct mem_map *map);

const char *mem_part_key(enum mem_part_kind k);
const char *mem_part_title(enum mem_part_kind k);

/* --- its parts ------------------------------------------------------------------------------ */

/* An address range that belongs to something. */
struct mem_range {
	vmaddr_t start, end;
	enum mem_part_kind kind; /* PART_USED: a carrier, in use and not */
	bool pooled;
	uint32_t inst;	   /* of a carrier: its index in m->insts */
	uint64_t used;	   /* of a carrier: bytes in blocks */
	uint64_t resident; /* filled in by mem_map_read() */
};

struct mem_ranges {
	struct mem_range *v;
	size_t n, cap;
};

void mem_ranges_add(struct mem_ranges *r, const struct mem_range *one);

/*
 * mem_carriers.c: all carriers, in the pool and out of it, and those that wait to be destroyed.
 * @moved: lists that kept moving.  False where the layout cannot be one of carriers.
 */
bool mem_carriers(struct vm *vm, const struct snap_mem *m, struct mem_ranges *r, uint64_t *moved);

/* mem_native.c: stacks of threads; arenas and large blocks of malloc; super carriers. */
unsigned int mem_stacks(struct vm *vm, const struct smaps *s, struct mem_ranges *r);
void mem_arenas(struct vm *vm, const struct smaps *s, struct mem_ranges *r);
/*
 * A library that is loaded to be malloc in place of libc's: "jemalloc"; NULL: none that is known.
 */
const char *mem_other_malloc(const struct smaps *s);
/* A block of its own that malloc took from the system begins at @at: its bytes, or 0. */
uint64_t mem_malloc_block(struct vm *vm, vmaddr_t at, uint64_t room);
void mem_super_carriers(struct vm *vm, struct mem_ranges *r);

#endif
