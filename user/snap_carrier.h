/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Carriers, read from outside: all of all instances, those in the pool included, each walked block
 * by block.  See erl_alloc_util.c: blocks follow one another from the carrier's header to its end,
 * and each says how long it is.
 *
 * Where a carrier is counted: at the instance whose list it is on; in the pool, at the instance
 * that created it.  That is how the VM's own statistics have it, and instrument.
 *
 * Nothing is stopped: carriers come, go, and change hands meanwhile.  They are listed again until
 * as many were found as are counted, each is looked at once, by address, and walked again where its
 * blocks do not fit together.  What never does is counted by the carrier's own counters, and has no
 * place in histograms: see carrier.walked.
 */
#ifndef EBEAM_SNAP_CARRIER_H
#define EBEAM_SNAP_CARRIER_H

#include "vm.h"

#define BLOCK_SLOTS 18 /* instrument's defaults: blocks from 128 bytes on */
#define FREE_SLOTS 14  /* free blocks from 512 bytes on */
#define ALLOCATORS 12  /* ERTS_ALC_A_COUNT */

/* Blocks by size, in the buckets of instrument of this release. */
struct size_hist {
	uint64_t slot[BLOCK_SLOTS];
};

/*
 * Buckets have bounds of their own: instrument's rule, and what it makes of histogram_start,
 * changed with OTP 27.  See size_slot().
 */
struct size_rule {
	uint64_t start;
	unsigned int slots, skip; /* the first ones, never used */
	bool doubled;		  /* bounds are powers of two times start (from 27) */
};

struct size_rule size_rule_blocks(const struct vm *vm);
struct size_rule size_rule_free(const struct vm *vm);
unsigned int size_slot(const struct size_rule *rule, uint64_t size);
/* Bounds, both included; the last slot has none: UINT64_MAX. */
uint64_t size_slot_lo(const struct size_rule *rule, unsigned int slot);
uint64_t size_slot_hi(const struct size_rule *rule, unsigned int slot);

/* Blocks of one allocator: a carrier may have others' (the pool that all share). */
struct block_sum {
	uint64_t n, bytes;
};

struct carrier_blocks {
	struct size_hist blocks, free;
	struct block_sum by[ALLOCATORS]; /* [allocator number - 1], as the carrier counts them */
};

struct carrier {
	vmaddr_t addr;
	uint64_t size;
	uint64_t allocated;	 /* bytes of its blocks that are in use, their headers included */
	uint64_t largest_free;
	uint32_t blocks, free_blocks;
	uint32_t instance;	 /* index in vm->insts: where it is counted */
	bool single, mseg, pooled;
	bool walked;	 /* else its own counters tell, and nothing of its free blocks is known */
	bool mixed;	 /* blocks of several allocators */
	struct carrier_blocks *detail; /* carrier_want.each, and walked; else NULL */
};

/* What an instance has. */
struct carrier_sum {
	uint64_t carriers, size, allocated, blocks;
	uint64_t single, single_size, single_allocated; /* of them, with one block each */
	uint64_t pooled, pooled_size, pooled_allocated, pooled_blocks;
	uint64_t free_blocks, largest_free;
	uint64_t few; /* multi-block carriers that three blocks or less keep */
	uint64_t not_walked;
	struct carrier_blocks detail; /* of those walked */
};

/* Blocks by what made them: see the tags of erl_alloc_util.c.  Only where they have any. */
struct tag_sum {
	uint64_t packed; /* atom: driver, module of a NIF, or system; and the number of the type */
	uint64_t term;	 /* pid, port, or where in the code; 0: not told (before 27: never) */
	unsigned int allocator;
	uint64_t blocks, bytes;
	struct size_hist sizes;
};

#define TAG_TYPE(packed) ((packed)&255)
#define TAG_ATOM(packed) ((packed) >> 8) /* index in the atom table */
#define TAGS_MAX (1 << 17) /* sums kept */

struct carrier_want {
	bool each; /* detail of each carrier */
	bool tags;
};

struct carrier_list {
	struct carrier *v; /* by address */
	size_t n;
	struct carrier_sum *sums; /* of instances, as vm->insts */
	struct size_rule block_rule, free_rule;
	bool kinds_known; /* the counters by allocator proved right: detail.by */
	uint64_t skipped; /* carriers that could not be walked */
	uint64_t unseen;  /* carriers that are counted, but were found nowhere */
	uint64_t moved;	  /* walked, but they changed meanwhile: their counters tell otherwise */
	struct tag_sum *tags;
	size_t ntags;
	struct tag_sum other_tags; /* beyond TAGS_MAX; packed and term mean nothing */
	/* blocks that have no tag, by allocator of the carrier; of mixed carriers apart */
	struct size_hist untagged[ALLOCATORS];
	bool untagged_mixed;
};

/**
 * snap_carriers() - list and walk all carriers
 *
 * Bounded: carriers by CARRIERS_MAX, blocks by the size of their carrier.  Memory is read in
 * pieces of at most 1 MiB, and where blocks are large only around their borders.
 *
 * Returns 0, or -1 with a failure noted: nothing could be walked, the node is gone.
 * Oracle: instrument:carriers/1, instrument:allocations/1, erlang:system_info({allocator, A}).
 */
int snap_carriers(struct vm *vm, const struct carrier_want *want, struct carrier_list *ret);
void carrier_list_free(struct carrier_list *l);

#define CARRIERS_MAX (1 << 21)

/* --- one carrier: snap_blocks.c --------------------------------------------------------------- */

/* What is copied of a carrier at a time. */
struct block_window {
	struct reader *rd;
	unsigned char *buf;
	vmaddr_t base;
	size_t len;
	uint64_t gap; /* bytes from one border of blocks to the next, on average */
	size_t most;  /* bytes in one copy; 0: the default */
};

void block_window_open(struct block_window *w, struct reader *rd);
void block_window_close(struct block_window *w);

struct block_walk {
	/* in */
	vmaddr_t carrier;
	uint64_t size, header; /* of the carrier, and bytes in it before the first block */
	unsigned int shift;    /* unit of the distance that blocks keep to their carrier */
	unsigned int tag_words;
	struct size_rule block_rule, free_rule;
	/* told each tag; may be NULL */
	void (*on_tag)(void *arg, const uint64_t *words, uint64_t size);
	void *arg;
	/* out; of the blocks so far, where it failed */
	uint64_t blocks, bytes, free_blocks, free_bytes, largest_free;
	struct size_hist sizes, free_sizes, untagged;
};

/**
 * block_walk() - walk a multi-block carrier from its first block to its end
 *
 * Every block is checked: size and alignment, the distance to the carrier that one in use keeps,
 * the carrier that a free one names and the size at its end, that its neighbour knows it to be
 * free, that no two free ones meet, and that the last one ends where the carrier does.
 *
 * Returns 0, -EFAULT where memory cannot be read, -EAGAIN where blocks do not fit together.
 */
int block_walk(struct block_window *w, struct block_walk *b);

/* The block of a single-block carrier, from its header word; 0: that is none. */
uint64_t block_single_size(uint64_t header, uint64_t carrier_size, uint64_t header_size);

#endif
