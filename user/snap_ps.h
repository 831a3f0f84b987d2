/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What process_info/2 tells of processes, read from outside: of one, or of all of a million.
 *
 * A Process struct has most of it: reductions, sizes, state, the length of the queue.  The rest
 * takes walks, each an enum ps_part, and only what was asked for is walked.  All processes are read
 * by address, neighbours together in large pieces, and handed to a visitor one by one, so that a
 * million of them need no more memory than what the visitor keeps.  One that moves while it is
 * walked is walked again, a few times; then what moved is not known.
 */
#ifndef EBEAM_SNAP_PS_H
#define EBEAM_SNAP_PS_H

#include "snap_held.h"
#include "snap_links.h"
#include "snap_msgq.h"
#include "snap_wait.h"
#include "term_print.h"

#define PS_WALK_MAX 10000     /* messages: queues up to this long are walked */
#define PS_WALK_ALL 2000000   /* messages of all queues in one look at all processes */

enum ps_part {
	PS_LINKS = 1,	 /* links and monitors: their numbers and sizes */
	PS_MESSAGES = 2, /* sizes of the messages in the queue */
	PS_DICT = 4,	 /* dictionary: size, number of pairs */
	PS_EXTRA = 8,	 /* saved calls */
	PS_BINS = 16,	 /* refc binaries */
	PS_FUNCTION = 32, /* the current function */
	PS_WAITS = 64,	 /* whom it waits for */
	PS_MEMORY = PS_LINKS | PS_MESSAGES | PS_DICT | PS_EXTRA,
	PS_ALL = PS_MEMORY | PS_BINS | PS_FUNCTION | PS_WAITS,
};

/* Which fields of the VM's structs hold what they should: see snap_ps_open(). */
struct ps_proven {
	bool registers, psd, queues, links, parent;
};

struct ps {
	struct vm *vm;
	struct pages pages;
	struct terms terms;
	struct code *code;	     /* NULL: functions have no names */
	struct snap_stacks *stacks; /* NULL: stacks are not known */
	struct stack stack;
	struct ps_proven ok;
	bool fits;	      /* all fields of a Process lie in it: else nothing is read */
	bool full;	      /* walk queues of any length */
	uint64_t walk_left;   /* of PS_WALK_ALL */
	uint64_t links_left, refs_left; /* how many may still be walked in this look */
	eterm_t label_key;    /* '$process_label'; 0: not yet, or no such thing */
	bool label_sought;
};

struct ps_proc {
	struct proc_id who;
	uint32_t state, flags;
	bool traps_exit;
	bool still;   /* neither runs nor is collected: its stack is known */
	uint64_t reds;
	uint64_t heap_size, total_heap_size, old_heap_size, mbuf_size, stack_size; /* words */
	uint16_t minor_gcs, fullsweep_after;
	eterm_t group_leader, parent; /* parent 0: not known */
	vmaddr_t reg, dictionary, off_heap, wrt_bins, mbuf;
	uint64_t initial[3];
	struct msgq_head queue;
	struct msgq_len len;
	struct ml_roots roots;
	uint64_t own_bytes; /* of memory: what needs no walk */

	unsigned int known; /* PS_* that were asked for and could be had */
	bool total_known;   /* total_heap_size: with on_heap it needs the messages */
	struct ml_sums links;
	struct msgq_sums messages;
	struct held_bins held;
	uint64_t dict_bytes, dict_pairs, extra_bytes;
	const struct code_at *function; /* where it is; NULL: not known.  Of this round */
	struct waits_for waits;
	bool long_queue; /* too long to be walked */
	/* process_info(P, memory); without its messages; and guessed where they are many */
	bool memory_known, rest_known;
	uint64_t memory, memory_rest, memory_est;
};

/**
 * snap_ps_open() - prove the fields that are read, on the processes there are
 * @why: what could not be proven, and is missing therefore; "" if nothing
 */
void snap_ps_open(struct ps *ps, struct vm *vm, char *why, size_t why_size);
void snap_ps_close(struct ps *ps);

/* Before each round of a command that repeats: takes in new code. */
void snap_ps_refresh(struct ps *ps);

/* snap_ps_prove.c: fills ps->ok. */
void snap_ps_prove(struct ps *ps, char *why, size_t why_size);
/* Its first part: do fields stand as far apart as they are declared? */
void snap_ps_places(struct ps *ps);

#define PS_CHUNK 256 /* processes read at once */
#define PS_SLACK 64  /* bytes behind a copy of one, that a field may reach into */

/* The binaries of one of them; see snap_ps_bins.c. */
struct ps_bins {
	uint64_t refs, bytes;
	bool known;
	vmaddr_t at, next; /* while they are followed */
	bool failed;
};

/* Of up to PS_CHUNK, from the bytes of their Process. */
void snap_ps_bins(struct vm *vm, const unsigned char *const *raw, size_t n, struct ps_bins *b);

struct ps_scan {
	unsigned int parts;
	/* of those that may wait for another one: each of so many is looked at; 0: none, 1: all */
	unsigned int waits_each, waits_most; /* twice that after so many looks */
	void (*found)(void *arg, const struct ps_proc *p);
	void *arg;
	/* out; skipped: something of it never held still, and is not known */
	uint64_t found_n, exiting, skipped, may_wait, waits_looks;
};

/* All processes, in the order of their addresses.  -1: the table cannot be read. */
int snap_ps_scan(struct ps *ps, struct ps_scan *s);

/**
 * snap_ps_read() - one process, now, again as long as it moves meanwhile
 *
 * 0; -ESRCH: it is gone, cannot be read, or exits, and process_info would answer undefined.
 */
int snap_ps_read(struct ps *ps, const struct proc_id *who, unsigned int parts, struct ps_proc *p);

/* Of a pid. */
bool snap_ps_find(struct ps *ps, eterm_t pid, struct proc_id *who);

/* As process_info(P, status) and (P, priority) say it. */
const char *snap_ps_status(uint32_t state);
const char *snap_ps_priority(uint32_t state);

/* A value of its dictionary, by an atom; false: it is not there. */
bool snap_ps_dict_find(struct ps *ps, vmaddr_t dictionary, eterm_t key, eterm_t *value);
/* proc_lib:set_label/1; false: it has none. */
bool snap_ps_label(struct ps *ps, const struct ps_proc *p, eterm_t *label);
/* Module, function, arity: of '$initial_call' where proc_lib set it, else process_info's. */
void snap_ps_initial_call(struct ps *ps, const struct ps_proc *p, uint64_t mfa[3]);
/* The atom, or 0. */
eterm_t snap_ps_registered(struct ps *ps, const struct ps_proc *p);

#endif
