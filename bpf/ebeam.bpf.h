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

/* The sixth argument: libbpf has no name for it before 1.2. */
#if defined(__TARGET_ARCH_x86)
#define EB_PARM6(ctx) ((ctx)->r9)
#else
#define EB_PARM6(ctx) (((struct user_pt_regs *)(ctx))->regs[5])
#endif

extern const volatile struct eb_config cfg;
/* Per group: a new epoch voids what threads remember of calls whose return was not watched. */
extern __u32 epochs[EB_NGROUPS];
/* Set at the end: what still traps while links are closing is not counted. */
extern __u32 stopped;
/* Moves when a Process was freed: from then on its address may mean another process. */
extern __u64 process_gen;
extern __u64 lost_rows, lost_births, lost_threads, extra_threads;
/* How many rows were made, births recorded and ended: user space takes rows out when many. */
extern __u64 procs_made, alloc_rows_made, births_made, births_gone;
/* Events that were added to the rows of EB_KEY_OTHER, because a map was full. */
extern __u64 overflows;

/* Threads of the target, filled at attach. */
struct threads_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EB_MAX_THREADS);
	__type(key, __u32); /* Linux tid, as in the target's pid namespace */
	__type(value, struct eb_thread);
};

/* The same by task, made at a thread's first hit: cheaper to find than by tid. */
struct tasks_map {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct eb_thread);
};

struct thread_states_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EB_MAX_THREADS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct eb_thread_state);
};

/* Sized before loading, by --max-processes. */
struct procs_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct eb_proc);
};

struct alloc_rows_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct eb_alloc_key);
	__type(value, struct eb_alloc);
};

/* By address of the block. */
struct births_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EB_MAX_BIRTHS);
	__type(key, __u64);
	__type(value, struct eb_birth);
};

struct carrier_rows_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EB_MAX_CARRIER_ROWS);
	__type(key, struct eb_carrier_key);
	__type(value, struct eb_carrier);
};

/* By address of the carrier. */
struct carriers_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EB_MAX_CARRIERS);
	__type(key, __u64);
	__type(value, struct eb_carrier_birth);
};

/* Allctr_t* -> allocator number << 16 | index */
struct instances_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EB_MAX_INSTANCES);
	__type(key, __u64);
	__type(value, __u32);
};

extern struct threads_map threads SEC(".maps");
extern struct tasks_map tasks SEC(".maps");
extern struct thread_states_map thread_states SEC(".maps");
extern struct procs_map procs SEC(".maps");
extern struct alloc_rows_map alloc_rows SEC(".maps");
extern struct births_map births SEC(".maps");
extern struct carrier_rows_map carrier_rows SEC(".maps");
extern struct carriers_map carriers SEC(".maps");
extern struct instances_map instances SEC(".maps");

/* core.bpf.c: verified once, called from every program. */
int eb_new_proc(__u64 who, __u64 proc);
int eb_identify(__u64 who, __u64 proc);
int eb_walk_chain(__u32 idx, __u64 first);

struct who {
	struct eb_thread_state *st;
	__u64 sched; /* ErtsSchedulerData*, 0: not a scheduler */
	__u64 proc;  /* Process*, 0: none */
	__u64 key;   /* see EB_KEY_* */
	__u64 cookie;
	__u64 start_ns; /* set in timed hits */
	__u32 idx;
	__u32 dirty; /* a dirty scheduler */
	__u32 ix;    /* see struct eb_thread */
	__u32 tid;
};

static __always_inline __u32 log2_u64(__u64 v)
{
	__u32 r = 0;

	if (v >> 32) { v >>= 32; r += 32; }
	if (v >> 16) { v >>= 16; r += 16; }
	if (v >> 8) { v >>= 8; r += 8; }
	if (v >> 4) { v >>= 4; r += 4; }
	if (v >> 2) { v >>= 2; r += 2; }
	if (v >> 1) r += 1;
	return r;
}

/* Slots of histograms; what is larger than all of them is in the last. */
static __always_inline __u32 log2_slot(__u64 v)
{
	__u32 r = log2_u64(v);

	return r < EB_HIST_SLOTS ? r : EB_HIST_SLOTS - 1;
}

static __always_inline __u32 log2_long(__u64 v)
{
	__u32 r = log2_u64(v);

	return r < EB_LIFE_SLOTS ? r : EB_LIFE_SLOTS - 1;
}

#define add(where, n) __sync_fetch_and_add(&(where), (n))

static __always_inline __u64 read_u64(__u64 addr)
{
	__u64 v = 0;

	bpf_probe_read_user(&v, sizeof(v), (void *)addr);
	return v;
}

/* A word of the Process that was copied to the thread's scratch. */
static __always_inline __u64 process_field(struct eb_thread_state *st, __u32 off)
{
	return st->scratch[off / 8 < EB_SCRATCH_BYTES / 8 ? off / 8 : 0];
}

/* Process.state, the same in all releases (erl_process.h) */
#define PSFLG_EXITING (1u << 11)

/* A task that was not seen before: is it a thread of the target, and which? */
static __always_inline struct eb_thread *new_task(struct task_struct *task, struct eb_thread *fresh)
{
	struct bpf_pidns_info ns = {};
	struct eb_thread *t;
	__u64 idx;
	__u32 tid;

	if (bpf_get_ns_current_pid_tgid(cfg.ns_dev, cfg.ns_ino, &ns, sizeof(ns)) ||
	    ns.tgid != cfg.tgid)
		return NULL;
	tid = ns.pid;
	t = bpf_map_lookup_elem(&threads, &tid);
	if (!t) {
		/* not there at attach (a NIF's own, say): not a scheduler, those never come */
		idx = add(extra_threads, 1);
		if (idx >= EB_MAX_THREADS) {
			add(lost_threads, 1);
			return NULL;
		}
		fresh->idx = idx;
		fresh->tid = tid;
		bpf_map_update_elem(&threads, &tid, fresh, BPF_NOEXIST);
		t = fresh;
	}
	/* where there is no memory for it now, the next hit tries again */
	bpf_task_storage_get(&tasks, task, t, BPF_LOCAL_STORAGE_GET_F_CREATE);
	return t;
}

/* The thread's state; 0 when this is not the target or the table of threads is full. */
static __always_inline int enter_thread(struct who *w, void *ctx, __u32 group, __u32 always)
{
	struct task_struct *task;
	struct eb_thread fresh = {};
	struct eb_thread *t;

	if (stopped)
		return 0;
	/* timed from the very start: all the time, or now and then */
	w->start_ns = 0;
	if (always || bpf_jiffies64() % EB_BODY_JIFFIES == 0)
		w->start_ns = bpf_ktime_get_ns();
	task = bpf_get_current_task_btf();
	t = bpf_task_storage_get(&tasks, task, NULL, 0);
	if (!t)
		t = new_task(task, &fresh);
	if (!t)
		return 0;
	w->sched = t->sched;
	w->idx = t->idx;
	w->dirty = t->dirty;
	w->ix = t->ix;
	w->tid = t->tid;
	w->st = bpf_map_lookup_elem(&thread_states, &w->idx);
	if (!w->st)
		return 0;
	w->cookie = bpf_get_attach_cookie(ctx);
	w->key = (__u64)w->tid << 8 | EB_KEY_THREAD;
	w->proc = 0;
	return 1;
}

/* A trap at an entry; those at a return are counted by their programs. */
static __always_inline void count_hit(struct who *w, __u32 group)
{
	w->st->hits[group]++;
	w->st->site_hits[EB_COOKIE_SITE(w->cookie)]++;
}

/*
 * Adds the process or port that runs on this thread (ErtsSchedulerData).
 * @remember: a Process that is freed is seen by the same group, so its id need not be read again
 */
static __always_inline void enter_process(struct who *w, __u32 remember)
{
	struct eb_thread_state *st = w->st;
	__u64 words[16];
	__u64 id, port, gen;

	if (!w->sched)
		return;
	/* one read covers current_process and current_port */
	if (bpf_probe_read_user(words, cfg.sched_read_bytes & 127,
				(void *)(w->sched + cfg.sched_read_off)))
		return;
	w->proc = words[cfg.sched_proc_rel & 15];
	if (w->proc) {
		gen = process_gen;
		if (remember && cfg.type_proc && st->last_proc == w->proc && st->last_gen == gen) {
			w->key = st->last_id;
			return;
		}
		id = read_u64(w->proc + cfg.proc_id);
		if ((id & 0xf) != 3)
			return;
		w->key = id;
		st->last_proc = w->proc;
		st->last_id = id;
		st->last_gen = gen;
		return;
	}
	port = words[cfg.sched_port_rel & 15];
	if (port) {
		id = read_u64(port); /* ErtsPTabElementCommon: id first, as in a Process */
		if ((id & 0xf) == 7)
			w->key = id;
	}
}

static __always_inline void leave(struct who *w, __u32 group)
{
	__u64 ns;

	if (!w->start_ns)
		return;
	ns = bpf_ktime_get_ns() - w->start_ns;
	/* what took much longer than it can lost the CPU: no price of ours */
	if (ns > (group == EB_GROUP_ALLOC ? EB_BODY_MAX_NS : EB_WALK_MAX_NS))
		return;
	w->st->body_ns[group] += ns;
	w->st->body_hits[group]++;
}

/* The row of a process, made on first sight; that of all others together when the map is full. */
static __always_inline struct eb_proc *proc_row(__u64 who, __u64 proc)
{
	struct eb_proc *p = bpf_map_lookup_elem(&procs, &who);
	__u64 other = EB_KEY_OTHER;

	if (p)
		return p;
	if (!eb_new_proc(who, proc)) {
		add(overflows, 1);
		return bpf_map_lookup_elem(&procs, &other);
	}
	return bpf_map_lookup_elem(&procs, &who);
}

#endif
