/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Common ground of the probe sets: the maps (defined in core.bpf.c), who is running, and rows.
 *
 * Every program starts with enter(): is this the target, which thread, which Erlang process?
 * The price of a hit is the trap, not the program; still, user memory is read in as few and wide
 * reads as the VM's structures allow.
 */
#ifndef EBEAM_BPF_H
#define EBEAM_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "ebeam_shared.h"


extern const volatile struct eb_config cfg;
/* Per group: a new epoch voids what threads remember of calls whose return was not watched. */
extern __u32 epochs[EB_NGROUPS];
/* Set at the end: what still traps while links are closing is not counted. */
extern __u32 stopped;
extern __u64 lost_rows, lost_threads, extra_threads;

struct threads_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EB_MAX_THREADS);
	__type(key, __u32); /* Linux tid, as in the target's pid namespace */
	__type(value, struct eb_thread);
};

struct thread_states_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EB_MAX_THREADS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct eb_thread_state);
};

struct procs_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EB_MAX_PROCS);
	__type(key, __u64);
	__type(value, struct eb_proc);
};

struct alloc_rows_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EB_MAX_ALLOC_ROWS);
	__type(key, struct eb_alloc_key);
	__type(value, struct eb_alloc);
};

struct carrier_rows_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EB_MAX_CARRIER_ROWS);
	__type(key, struct eb_carrier_key);
	__type(value, struct eb_carrier);
};

extern struct threads_map threads SEC(".maps");
extern struct thread_states_map thread_states SEC(".maps");
extern struct procs_map procs SEC(".maps");
extern struct alloc_rows_map alloc_rows SEC(".maps");
extern struct carrier_rows_map carrier_rows SEC(".maps");

/* core.bpf.c: verified once, called from every program. */
int eb_new_thread(__u32 tid);
int eb_new_proc(__u64 who, __u64 proc);
int eb_identify(__u64 who, __u64 proc);
int eb_walk_chain(__u32 idx, __u64 first);

struct who {
	struct eb_thread_state *st;
	__u64 sched; /* ErtsSchedulerData*, 0: not a scheduler */
	__u64 proc;  /* Process*, 0: none */
	__u64 key;   /* see EB_KEY_* */
	__u64 start_ns; /* set in timed samples */
	__u32 idx;
	__u32 dirty; /* a dirty scheduler */
};

static __always_inline __u32 log2_slot(__u64 v)
{
	__u32 r = 0;

	if (v >> 32) { v >>= 32; r += 32; }
	if (v >> 16) { v >>= 16; r += 16; }
	if (v >> 8) { v >>= 8; r += 8; }
	if (v >> 4) { v >>= 4; r += 4; }
	if (v >> 2) { v >>= 2; r += 2; }
	if (v >> 1) r += 1;
	return r < EB_HIST_SLOTS ? r : EB_HIST_SLOTS - 1;
}

#define add(where, n) __sync_fetch_and_add(&(where), (n))

static __always_inline __u64 read_u64(__u64 addr)
{
	__u64 v = 0;

	bpf_probe_read_user(&v, sizeof(v), (void *)addr);
	return v;
}

/* The thread's state, or NULL when this is not the target or the table of threads is full. */
static __always_inline int enter_thread(struct who *w, __u32 group, __u32 always)
{
	struct bpf_pidns_info ns = {};
	struct eb_thread *t;
	__u32 tid;

	if (stopped)
		return 0;
	/* timed from the very start: all the time, or for a sample */
	w->start_ns = 0;
	if (always || bpf_get_prandom_u32() % EB_BODY_SAMPLE == 0)
		w->start_ns = bpf_ktime_get_ns();
	if (bpf_get_ns_current_pid_tgid(cfg.ns_dev, cfg.ns_ino, &ns, sizeof(ns)) ||
	    ns.tgid != cfg.tgid)
		return 0;
	tid = ns.pid;
	t = bpf_map_lookup_elem(&threads, &tid);
	if (!t) {
		eb_new_thread(tid);
		t = bpf_map_lookup_elem(&threads, &tid);
		if (!t) {
			add(lost_threads, 1);
			return 0;
		}
	}
	w->sched = t->sched;
	w->idx = t->idx;
	w->dirty = t->dirty;
	w->st = bpf_map_lookup_elem(&thread_states, &w->idx);
	if (!w->st)
		return 0;
	w->st->hits[group]++;
	w->key = (__u64)tid << 8 | EB_KEY_THREAD;
	w->proc = 0;
	return 1;
}

/* As above, and the process or port that runs on this thread (ErtsSchedulerData). */
static __always_inline int enter(struct who *w, __u32 group, __u32 always)
{
	__u64 words[16];
	__u64 id, port;

	if (!enter_thread(w, group, always))
		return 0;
	if (!w->sched)
		return 1;
	/* one read covers current_process and current_port */
	if (bpf_probe_read_user(words, cfg.sched_read_bytes & 127,
				(void *)(w->sched + cfg.sched_read_off)))
		return 1;
	w->proc = words[cfg.sched_proc_rel & 15];
	if (w->proc) {
		id = read_u64(w->proc + cfg.proc_id);
		if ((id & 0xf) == 3)
			w->key = id;
		return 1;
	}
	port = words[cfg.sched_port_rel & 15];
	if (port) {
		id = read_u64(port); /* ErtsPTabElementCommon: id first, as in a Process */
		if ((id & 0xf) == 7)
			w->key = id;
	}
	return 1;
}

static __always_inline void leave(struct who *w, __u32 group, __u32 always)
{
	if (w->start_ns)
		w->st->body_ns[group] += (bpf_ktime_get_ns() - w->start_ns) *
					 (always ? 1 : EB_BODY_SAMPLE);
}

/* The row of a process, made on first sight; NULL (and counted) when the map is full. */
static __always_inline struct eb_proc *proc_row(__u64 who, __u64 proc)
{
	struct eb_proc *p = bpf_map_lookup_elem(&procs, &who);

	if (p)
		return p;
	eb_new_proc(who, proc);
	return bpf_map_lookup_elem(&procs, &who);
}

#endif
