/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Processes, read from outside: the table, the Process struct, names.
 *
 * A running VM moves while it is read: a structure is copied in one read, the copy decoded, and
 * its identity read again.  Bounded everywhere; what cannot be had is said, not guessed.
 */
#ifndef EBEAM_SNAP_PROC_H
#define EBEAM_SNAP_PROC_H

#include "vm.h"

/* Process.state, the same positions in all releases (erl_process.h) */
#define PSFLG_FREE (1u << 10)
#define PSFLG_EXITING (1u << 11)
#define PSFLG_RUNNING (1u << 15)
#define PSFLG_GC (1u << 17)
#define PSFLG_RUNNING_SYS (1u << 21)
#define PSFLG_DIRTY_RUNNING (1u << 29)
#define PSFLG_DIRTY_RUNNING_SYS (1u << 30)

struct proc_id {
	vmaddr_t addr; /* Process* */
	eterm_t id;
	uint64_t slot;
};

struct proc_ids {
	struct proc_id *v;
	size_t n;
	unsigned int used; /* slots in use, reserved ones included: what the table counts */
};

/* All processes of the table; -1 when it cannot be read, or is none: see most_used(). */
int snap_proc_ids(struct vm *vm, struct proc_ids *ids);
/*
 * The same of at most some 2000 of them, the oldest and a sample of the others: enough for a proof.
 * `used` counts all.
 */
int snap_proc_some(struct vm *vm, struct proc_ids *ids);
/* The same without their ids, for who copies the processes anyway. */
int snap_proc_slots(struct vm *vm, struct proc_ids *ids);
void snap_proc_ids_free(struct proc_ids *ids);

/* The fields of a Process that ebeam uses, from one copy of it. */
struct proc_image {
	vmaddr_t addr;
	eterm_t id, group_leader;
	uint64_t reg, heap, htop, stop, hend, heap_sz, abandoned_heap, high_water;
	uint64_t old_heap, old_htop, old_hend, mbuf, live_hf_end, mbuf_sz, msg_frag;
	uint64_t off_heap_first, off_heap_overhead, wrt_bins;
	uint64_t dictionary, initial[3], reds;
	uint32_t flags, state;
	uint16_t gen_gcs, max_gen_gcs;
	bool still; /* neither running, nor collecting, nor exiting: htop and stop are valid */
};

/* Copies and decodes a Process; -1 when unreadable. */
int snap_proc_image(struct vm *vm, vmaddr_t addr, struct proc_image *p);

/* The same of many in few reads; one that is unreadable has addr 0. */
void snap_proc_images(struct vm *vm, const struct proc_id *who, size_t n, struct proc_image *p);

/* The Process of a pid that is alive now; -1 when it is not. */
int snap_proc_find(struct vm *vm, eterm_t pid, struct proc_image *p);

struct proc_names {
	char *registered;   /* NULL: none */
	char *initial_call; /* "m:f/a": '$initial_call' where proc_lib set it; NULL: unknown */
};

/*
 * Names from raw words, as BPF or a Process has them.  @initial_call: module, function and arity
 * (a small integer term) of '$initial_call', zeros for none.
 */
void proc_names_make(struct vm *vm, eterm_t reg_name, const uint64_t initial_call[3],
		     const uint64_t initial[3], struct proc_names *names);
/* The same of a live process. */
void snap_proc_names(struct vm *vm, const struct proc_image *p, struct proc_names *names);
void proc_names_free(struct proc_names *names);

#endif
