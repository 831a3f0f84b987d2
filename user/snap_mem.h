/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the allocators count: carriers and blocks of each instance, fix_alloc's objects by type, and
 * the caches of mseg_alloc.
 *
 * The same numbers as erlang:system_info({allocator, A}); recon_alloc and erlang:memory() are sums
 * of them.  Oracle: those three.  ERTS: Allctr_t (erl_alloc_util.c), ErtsMsegAllctr_t (erl_mseg.c).
 */
#ifndef EBEAM_SNAP_MEM_H
#define EBEAM_SNAP_MEM_H

#include "vm.h"

#define MEM_ALLOCATORS 13 /* allocator numbers 0 to 12: the same in all releases */

/* As system_info({allocator, A}) gives a number: now, since it was last asked, since the start. */
struct mem_stat {
	uint64_t now, max, max_ever;
};

enum mem_kind { MEM_MBCS, MEM_SBCS, MEM_POOL, MEM_KINDS };

struct mem_carriers {
	struct mem_stat carriers, carriers_size;
	struct mem_stat blocks, blocks_size; /* whosever blocks they are */
	/* Of it by allocator: carriers from a shared pool hold blocks of others, too. */
	struct { uint64_t n, size; } by[MEM_ALLOCATORS];
	uint64_t mseg, mseg_size; /* from mseg_alloc; the rest are sys_alloc's; not of pools */
};

struct mem_instance {
	const struct instance *in;
	const char *allocator; /* "binary_alloc" */
	const char *strategy;  /* "aoffcbf", as +M<S>as has it; NULL: one that is not known */
	bool read;	       /* false: the rest is zero */
	bool pooled;	       /* has a pool: what it says of MEM_POOL counts */
	struct mem_carriers of[MEM_KINDS]; /* of MEM_POOL max and max_ever are not kept */
	uint64_t calls[CALL_N];
};

/* Objects of fixed size: what a type has taken from the carriers, and what of it is in use. */
struct mem_fix {
	const char *type; /* "proc" */
	uint64_t size;	  /* of one */
	uint64_t allocated, used; /* bytes */
};

#define MEM_MAX_FIX 64

/* An instance of mseg_alloc: segments in use, and those that it keeps for the next carrier. */
struct mem_mseg {
	int ix;
	uint64_t cached, cached_size, hits, calls;
	struct mem_stat segments, segments_size;
	struct { vmaddr_t addr; uint64_t size; } cache[30];
};

struct snap_mem {
	struct mem_instance *insts; /* one for each of vm->insts, in that order */
	size_t ninsts;
	struct mem_fix fix[MEM_MAX_FIX]; /* sums over all instances of fix_alloc */
	size_t nfix;
	bool fix_known;
	struct mem_mseg *msegs;
	size_t nmsegs;
	bool mseg_known;
	bool maxima_known;
	uint64_t unread; /* instances that could not be read */
};

/* What the fields that only this reads have shown of themselves. */
struct snap_mem_proof {
	bool strategies, maxima, fix;
	vmaddr_t msegs; /* ErtsAlgndMsegAllctr_t[]; 0: not found */
	unsigned int nmsegs;
	char why[4][160]; /* what did not hold, for notes */
	size_t nwhy;
};

/* Proves them: once. */
void snap_mem_open(struct vm *vm, struct snap_mem_proof *proof);
void snap_mem_read(struct vm *vm, const struct snap_mem_proof *proof, struct snap_mem *m);
void snap_mem_free(struct snap_mem *m);

/* Blocks of an allocator's own, wherever they lie: B(A) of erlang:memory(). */
uint64_t snap_mem_blocks_of(const struct snap_mem *m, unsigned int alloc_no);

/* snap_mseg.c: finds mseg_alloc's instances, and reads them. */
void snap_mseg_open(struct vm *vm, struct snap_mem_proof *proof, const struct snap_mem *m);
void snap_mseg_read(struct vm *vm, const struct snap_mem_proof *proof, struct snap_mem *m);

#endif
