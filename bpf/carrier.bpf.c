// SPDX-License-Identifier: GPL-2.0-only
/*
 * Carriers: the callbacks that every Allctr_t instance keeps for getting, resizing and returning
 * memory (mseg_alloc, mseg_realloc, mseg_dealloc, sys_*; erl_alloc_util.c).  All have the
 * Allctr_t* as first argument, so the instance is known without a lookup.  A carrier fetched from
 * the pool is not created, one put there not destroyed: neither comes through here.
 *
 *   mseg_alloc(allctr, UWord *size, flags)     sys_alloc(allctr, UWord *size, superalign)
 *   mseg_realloc(allctr, seg, old, *new)       sys_realloc(allctr, ptr, *new, old, superalign)
 *   mseg_dealloc(allctr, seg, size, flags)     sys_dealloc(allctr, ptr, size, superalign)
 *
 * flags bit 0 and superalign are set for multi-block carriers.  *size is what was asked for at
 * entry and what was got at return.
 */
#include "ebeam.bpf.h"

static const struct eb_carrier zero_carrier = {};

static __always_inline struct eb_carrier *carrier_row(__u64 allctr, __u64 who, __u32 kind,
						      __u32 source)
{
	struct eb_carrier_key key = { .allctr = allctr, .who = who, .kind = kind,
				      .source = source };
	struct eb_carrier *c = bpf_map_lookup_elem(&carrier_rows, &key);

	if (c)
		return c;
	if (bpf_map_update_elem(&carrier_rows, &key, &zero_carrier, BPF_NOEXIST)) {
		add(lost_rows, 1);
		return NULL;
	}
	return bpf_map_lookup_elem(&carrier_rows, &key);
}

static __always_inline void count_created(struct eb_carrier *c, __u64 size)
{
	add(c->created, 1);
	add(c->created_bytes, size);
	add(c->size_hist[log2_slot(size)], 1);
}

SEC("?uprobe")
int eb_on_carrier_enter(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	__u64 allctr = PT_REGS_PARM1(ctx);
	__u32 source = cookie & EB_CARRIER_SYS ? EB_SYS_ALLOC : EB_MSEG;
	struct eb_thread_state *st;
	struct eb_carrier *c;
	struct who w;
	__u64 size;

	if (!enter_thread(&w, EB_GROUP_CARRIER, 1))
		return 0;
	st = w.st;
	if ((cookie & 3) == EB_CARRIER_DEALLOC) {
		size = PT_REGS_PARM3(ctx);
		c = carrier_row(allctr, 0, PT_REGS_PARM4(ctx) & 1 ? EB_MBC : EB_SBC, source);
		if (c) {
			add(c->destroyed, 1);
			add(c->destroyed_bytes, size);
		}
		goto out;
	}
	st->carrier.epoch = epochs[EB_GROUP_CARRIER];
	st->carrier.allctr = allctr;
	st->carrier.source = source;
	st->carrier.what = cookie & 3;
	if ((cookie & 3) == EB_CARRIER_ALLOC) {
		st->carrier.size_ptr = PT_REGS_PARM2(ctx);
		st->carrier.kind = PT_REGS_PARM3(ctx) & 1 ? EB_MBC : EB_SBC;
	} else if (source == EB_MSEG) {
		st->carrier.old_size = PT_REGS_PARM3(ctx);
		st->carrier.size_ptr = PT_REGS_PARM4(ctx);
		st->carrier.kind = EB_SBC;
	} else {
		st->carrier.size_ptr = PT_REGS_PARM3(ctx);
		st->carrier.old_size = PT_REGS_PARM4(ctx);
		st->carrier.kind = EB_SBC;
	}
out:
	leave(&w, EB_GROUP_CARRIER, 1);
	return 0;
}

SEC("?uretprobe")
int eb_on_carrier_return(struct pt_regs *ctx)
{
	struct eb_thread_state *st;
	struct eb_carrier *c;
	__u64 size, old, allctr;
	struct who w;

	if (!enter(&w, EB_GROUP_CARRIER, 1))
		return 0;
	st = w.st;
	allctr = st->carrier.allctr;
	st->carrier.allctr = 0;
	/* no entry seen, or the call failed: the VM tries another way, or reports out of memory */
	if (!allctr || st->carrier.epoch != epochs[EB_GROUP_CARRIER] || !PT_REGS_RC(ctx))
		goto out;
	size = read_u64(st->carrier.size_ptr);
	c = carrier_row(allctr, 0, st->carrier.kind, st->carrier.source);
	if (!c)
		goto out;
	if (st->carrier.what == EB_CARRIER_ALLOC) {
		count_created(c, size);
		proc_row(w.key, w.proc);
		c = carrier_row(allctr, w.key, st->carrier.kind, st->carrier.source);
		if (c)
			count_created(c, size);
		goto out;
	}
	old = st->carrier.old_size;
	if (size > old) {
		add(c->grown, 1);
		add(c->grown_bytes, size - old);
	} else if (size < old) {
		add(c->shrunk, 1);
		add(c->shrunk_bytes, old - size);
	}
out:
	leave(&w, EB_GROUP_CARRIER, 1);
	return 0;
}
