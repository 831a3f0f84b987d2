/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Refc binaries that processes hold, and what came to them since their last collection, read from
 * their off-heap lists and heap pointers.
 */
#ifndef EBEAM_SNAP_HELD_H
#define EBEAM_SNAP_HELD_H

#include "snap_proc.h"

/* What one process holds: refc binaries on its off-heap lists. */
struct held_bins {
	/*
	 * As process_info(P, binary) lists them: off_heap, from OTP 26 on also the writable ones,
	 * and heap fragments; duplicates included.  Bytes are the binaries' own size (orig_size).
	 */
	uint64_t refs, bytes;
	/* Being appended to (wrt_bins; OTP 25 keeps them out of its answer).  0 before 25. */
	uint64_t writable_refs, writable_bytes;
	/*
	 * Of all these, what came since the last collection: nodes above high_water (where that one
	 * left off), or in fragments of messages received since.
	 */
	uint64_t fresh_refs, fresh_bytes;
	/* Heap words allocated since then; not known while it runs: htop is in a register. */
	uint64_t fresh_words;
	bool words_known;
	bool partial; /* the list could not be walked to its end, or is too long */
};

struct held_walk {
	uint64_t refs_budget; /* how many nodes may still be read; shared by all processes */
	bool fresh_only;      /* stop where older nodes begin: refs and bytes are the fresh ones */
	/* told each reference; may be told again what a process that moved was walked for before */
	void (*on_ref)(void *arg, vmaddr_t binary);
	bool listed_only; /* tell but those that process_info(P, binary) lists */
	void *arg;
};

/**
 * snap_held_bins() - walk the off-heap lists of a process
 *
 * Returns 0; -EAGAIN when the process moved while it was read (retry); -ESRCH when it is gone.
 * Oracle: process_info(P, binary).
 */
int snap_held_bins(struct vm *vm, const struct proc_id *who, struct held_walk *walk,
		   struct held_bins *out, struct proc_image *image);

/* Of all processes; found() is called once for each, start() before each attempt at one. */
struct held_visitor {
	void (*start)(void *arg);
	void (*found)(void *arg, const struct proc_id *who, const struct held_bins *held);
	void *arg;
};

/**
 * snap_held_all() - walk all processes, again and again those that move
 *
 * Returns how many never held still, or -1 when the process table cannot be read.
 */
long snap_held_all(struct vm *vm, struct held_walk *walk, const struct held_visitor *v);

#endif
