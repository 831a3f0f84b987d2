// SPDX-License-Identifier: GPL-2.0-only
/* Maps, settings and the functions that all probe sets call. */
#include "ebeam.bpf.h"

char LICENSE[] SEC("license") = "GPL";

const volatile struct eb_config cfg = {};
__u32 epochs[EB_NGROUPS] = {};
__u32 stopped = 0;
__u64 process_gen = 0;
__u64 lost_rows = 0;	 /* a row of a carrier could not be made: map full */
__u64 lost_births = 0;	 /* a birth could not be recorded */
__u64 lost_threads = 0;	 /* hits of threads beyond EB_MAX_THREADS */
__u64 extra_threads = 0; /* next free slot for threads that were not known at attach */
__u64 procs_made = 0, alloc_rows_made = 0, births_made = 0, births_gone = 0;
__u64 overflows = 0;

struct threads_map threads SEC(".maps");
struct tasks_map tasks SEC(".maps");
struct thread_states_map thread_states SEC(".maps");
struct procs_map procs SEC(".maps");
struct alloc_rows_map alloc_rows SEC(".maps");
struct births_map births SEC(".maps");
struct carrier_rows_map carrier_rows SEC(".maps");
struct carriers_map carriers SEC(".maps");
struct instances_map instances SEC(".maps");

/* Too large for the stack, so new rows are copied from here. */
static const struct eb_proc zero_proc = {};

/* Find {'$initial_call', {M, F, A}} in a pair of the dictionary. */
static __always_inline int initial_call_of(__u64 pair, __u64 *mfa)
{
	__u64 t[4];

	if ((pair & 3) != 2 || bpf_probe_read_user(t, 24, (void *)(pair & ~7ULL)))
		return 0;
	if (t[0] != 2 << 6 || t[1] != cfg.atom_initial_call || (t[2] & 3) != 2)
		return 0;
	if (bpf_probe_read_user(t, 32, (void *)(t[2] & ~7ULL)) || t[0] != 3 << 6)
		return 0;
	mfa[0] = t[1];
	mfa[1] = t[2];
	mfa[2] = t[3];
	return 1;
}

/*
 * The dictionary is a linear hash table (erl_process_dict.c): an atom's hash is its number, and the
 * slot is that number under the mask of the table, or half of it where that slot is not there yet.
 * A slot is a pair, or a list of pairs.
 */
static __always_inline int search_dictionary(__u64 dict, __u64 *mfa)
{
	__u32 head[3], hash = cfg.atom_initial_call >> 6, slot_no;
	__u64 slot, cons[2];
	int j;

	/* sizeMask, usedSlots, arraySize */
	if (bpf_probe_read_user(head, sizeof(head), (void *)(dict + cfg.dict_array_size - 8)))
		return 0;
	slot_no = hash & head[0];
	if (slot_no >= head[1])
		slot_no = hash & head[0] >> 1;
	slot = read_u64(dict + cfg.dict_data + 8ULL * slot_no);
	for (j = 0; j < EB_DICT_CHAIN && (slot & 3) == 1; j++) {
		if (bpf_probe_read_user(cons, 16, (void *)(slot & ~7ULL)))
			return 0;
		if (initial_call_of(cons[0], mfa))
			return 1;
		slot = cons[1];
	}
	return initial_call_of(slot, mfa);
}

/*
 * Names of a process, kept as atoms: registered name, '$initial_call', initial call.  Called when
 * its row is made and again when it exits, since both names are usually set after the spawn.
 */
__noinline int eb_identify(__u64 who, __u64 proc)
{
	struct eb_proc *p = bpf_map_lookup_elem(&procs, &who);
	__u64 mfa[3], dict;
	__u32 state = 0;
	__u64 reg;

	if (!p || !proc)
		return 0;
	bpf_probe_read_user(&state, sizeof(state), (void *)(proc + cfg.proc_state));
	if (state & PSFLG_EXITING)
		p->flags |= EB_PROC_EXITED; /* what it frees now is the last of it */
	if (!p->initial[0])
		bpf_probe_read_user(p->initial, 24, (void *)(proc + cfg.proc_initial));
	reg = read_u64(proc + cfg.proc_reg);
	if (reg)
		p->reg_name = read_u64(reg + cfg.regproc_name);
	if (p->initial_call[0] || !cfg.atom_initial_call)
		return 0;
	dict = read_u64(proc + cfg.proc_dictionary);
	if (dict && search_dictionary(dict, mfa)) {
		p->initial_call[0] = mfa[0];
		p->initial_call[1] = mfa[1];
		p->initial_call[2] = mfa[2];
	}
	return 0;
}

/* 0 when there is no room. */
__noinline int eb_new_proc(__u64 who, __u64 proc)
{
	struct eb_proc *p;

	if (bpf_map_update_elem(&procs, &who, &zero_proc, BPF_NOEXIST)) {
		/* another thread may have made it just now */
		return bpf_map_lookup_elem(&procs, &who) != NULL;
	}
	add(procs_made, 1);
	if (EB_KEY_TAG(who) == EB_KEY_THREAD) {
		p = bpf_map_lookup_elem(&procs, &who);
		if (p)
			bpf_get_current_comm(p->comm, sizeof(p->comm));
		return 1;
	}
	if (EB_KEY_TAG(who) != EB_KEY_API)
		eb_identify(who, proc);
	return 1;
}

struct chain_walk {
	__u64 at, refs, bytes, fresh_refs, fresh_bytes;
	/* what survived the last collection lies here */
	__u64 survivors, survivors_end, old, old_end;
	__u32 failed, pad;
};

static long walk_node(__u32 i, void *arg)
{
	struct chain_walk *c = arg;
	__u64 node[4], size;

	if (!c->at)
		return 1;
	if (bpf_probe_read_user(node, cfg.oh_node_bytes & 63, (void *)c->at)) {
		c->failed = 1;
		return 1;
	}
	if (node[0] == cfg.oh_header) {
		size = read_u64(node[cfg.oh_val / 8 & 3] + cfg.bin_orig_size);
		c->refs++;
		c->bytes += size;
		if ((c->at < c->survivors || c->at >= c->survivors_end) &&
		    (c->at < c->old || c->at >= c->old_end)) {
			c->fresh_refs++;
			c->fresh_bytes += size;
		}
	}
	c->at = node[2]; /* `next` is the third word of every kind of node */
	return 0;
}

/*
 * Walk an off-heap chain (ErlOffHeap.first, or wrt_bins) of the Process in the thread's scratch,
 * and add its refc binaries to the thread's walk_* and fresh_*.  Bounded: a longer chain sets
 * walk_truncated.  A Binary's own size is orig_size; nodes of other kinds (magic refs, externals,
 * funs) are skipped.
 *
 * Fresh is what came since the last collection: high_water marks the end of what that one left on
 * the young heap; younger nodes lie above it, or in fragments of received messages.
 */
__noinline int eb_walk_chain(__u32 idx, __u64 first)
{
	struct eb_thread_state *st = bpf_map_lookup_elem(&thread_states, &idx);
	struct chain_walk c = { .at = first };
	int i;

	if (!st)
		return 0;
	c.survivors = process_field(st, cfg.proc_abandoned_heap);
	if (!c.survivors)
		c.survivors = process_field(st, cfg.proc_heap);
	c.survivors_end = process_field(st, cfg.proc_high_water);
	c.old = process_field(st, cfg.proc_old_heap);
	c.old_end = process_field(st, cfg.proc_old_hend);
	if (cfg.have_bpf_loop)
		bpf_loop(EB_CHAIN_MAX, walk_node, &c, 0);
	else
		for (i = 0; i < EB_CHAIN_MAX; i++)
			if (walk_node(i, &c))
				break;
	if (c.failed || c.at)
		st->walk_truncated = 1;
	st->walk_refs += c.refs;
	st->walk_bytes += c.bytes;
	st->fresh_refs += c.fresh_refs;
	st->fresh_bytes += c.fresh_bytes;
	return 0;
}
