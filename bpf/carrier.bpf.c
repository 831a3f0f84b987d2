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
 *
 * A compiler may have put a callback's body into its caller as well, behind a comparison of the
 * pointer.  What the body calls is probed then (EB_CARRIER_BELOW), which knows the instance by the
 * address of its mseg_opt, or by the carrier's own header:
 *
 *   erts_mseg_realloc_opt(no, seg, old, *new, flags, opt)     erts_sys_realloc(type, x, ptr, size)
 *   erts_mseg_dealloc_opt(no, seg, size, flags, opt)
 *
 * and for all creations create_carrier(allctr, ...), which returns a block of the carrier that it
 * made, or fetched from the pool; the instance's counters tell which.
 *
 * Moves between an instance and the pool of abandoned carriers are remove_mbc(allctr, carrier) and
 * add_mbc(allctr, carrier).  A multi-block carrier that is about to be destroyed is removed, too:
 * that one has no blocks left.
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

/* Takes a carrier's birth out of the map: when, or 0 for one that is older than the watch. */
static __always_inline __u64 take_birth(__u64 carrier)
{
	struct eb_carrier_birth *b = bpf_map_lookup_elem(&carriers, &carrier);
	__u64 ns;

	if (!b)
		return 0;
	ns = b->ns;
	bpf_map_delete_elem(&carriers, &carrier);
	return ns;
}

static __always_inline void put_birth(__u64 carrier, __u64 ns, struct eb_thread_state *st)
{
	struct eb_carrier_birth b = { .ns = ns, .allctr = st->carrier.allctr,
				      .kind = st->carrier.kind, .source = st->carrier.source };

	if (bpf_map_update_elem(&carriers, &carrier, &b, BPF_ANY))
		add(lost_births, 1);
}

static __always_inline void destroyed(__u64 allctr, __u64 carrier, __u64 size, __u32 kind,
				      __u32 source)
{
	struct eb_carrier *c = carrier_row(allctr, 0, kind, source);
	__u64 ns = take_birth(carrier);

	if (!c)
		return;
	add(c->destroyed, 1);
	add(c->destroyed_bytes, size);
	/* a multi-block carrier goes when its last block has gone; in the other kind there is one */
	if (kind == EB_SBC)
		add(c->destroyed_used, EB_BLOCK_BYTES(read_u64(carrier + EB_SBC_HEADER_BYTES)));
	if (ns)
		add(c->life_hist[log2_long(bpf_ktime_get_ns() - ns)], 1);
}

static __always_inline int is_instance(__u64 allctr)
{
	return bpf_map_lookup_elem(&instances, &allctr) != NULL;
}

/* The carrier call that was entered on this thread. */
static __always_inline void begin(struct eb_thread_state *st, __u64 allctr, __u32 what, __u32 source)
{
	st->carrier.epoch = epochs[EB_GROUP_CARRIER];
	st->carrier.allctr = allctr;
	st->carrier.source = source;
	st->carrier.what = what;
	st->carrier.kind = EB_SBC;
	st->carrier.size_ptr = 0;
}

static __always_inline void begin_realloc(struct eb_thread_state *st, __u64 old, __u64 old_size,
					  __u64 size_ptr)
{
	st->carrier.old = old;
	st->carrier.old_size = old_size;
	st->carrier.size_ptr = size_ptr;
	/* now: when it moves, its old place may be another carrier's before this returns */
	st->carrier.birth_ns = take_birth(old);
}

SEC("?uprobe")
int eb_on_carrier_enter(struct pt_regs *ctx)
{
	/* all at first: merged loads of ctx from branches are refused by the verifier */
	__u64 allctr = PT_REGS_PARM1(ctx), arg2 = PT_REGS_PARM2(ctx);
	__u64 arg3 = PT_REGS_PARM3(ctx), arg4 = PT_REGS_PARM4(ctx);
	struct eb_thread_state *st;
	__u32 source, what;
	struct who w;

	if (!enter_thread(&w, ctx, EB_GROUP_CARRIER, 1))
		return 0;
	st = w.st;
	count_hit(&w, EB_GROUP_CARRIER);
	source = w.cookie & EB_CARRIER_SYS ? EB_SYS_ALLOC : EB_MSEG;
	what = w.cookie & 3;
	if (what == EB_CARRIER_DEALLOC) {
		destroyed(allctr, arg2, arg3, arg4 & 1 ? EB_MBC : EB_SBC, source);
		goto out;
	}
	begin(st, allctr, what, source);
	if (what == EB_CARRIER_ALLOC) {
		st->carrier.size_ptr = arg2;
		st->carrier.kind = arg3 & 1 ? EB_MBC : EB_SBC;
	} else if (source == EB_MSEG) {
		begin_realloc(st, arg2, arg3, arg4);
	} else {
		begin_realloc(st, arg2, arg4, arg3);
	}
out:
	leave(&w, EB_GROUP_CARRIER);
	return 0;
}

/* Sites of EB_CARRIER_BELOW. */
SEC("?uprobe")
int eb_on_carrier_below(struct pt_regs *ctx)
{
	__u64 arg2 = PT_REGS_PARM2(ctx), arg3 = PT_REGS_PARM3(ctx), arg4 = PT_REGS_PARM4(ctx);
	__u64 arg5 = PT_REGS_PARM5(ctx), arg6 = EB_PARM6(ctx), allctr;
	struct who w;
	__u32 what;

	if (!enter_thread(&w, ctx, EB_GROUP_CARRIER, 1))
		return 0;
	count_hit(&w, EB_GROUP_CARRIER);
	what = w.cookie & 3;
	if (what == EB_CARRIER_DEALLOC) {
		allctr = arg5 - cfg.allctr_mseg_opt;
		if (is_instance(allctr))
			destroyed(allctr, arg2, arg3, arg4 & 1 ? EB_MBC : EB_SBC, EB_MSEG);
	} else if (w.cookie & EB_CARRIER_SYS) {
		/* malloc serves others, too: memory that is a carrier names its instance */
		allctr = read_u64(arg3 + cfg.carrier_allctr) & ~7ULL;
		if (is_instance(allctr)) {
			begin(w.st, allctr, what, EB_SYS_ALLOC);
			begin_realloc(w.st, arg3, read_u64(arg3) & ~7ULL, 0);
			w.st->carrier.size = arg4;
		}
	} else {
		allctr = arg6 - cfg.allctr_mseg_opt;
		if (is_instance(allctr)) {
			begin(w.st, allctr, what, EB_MSEG);
			begin_realloc(w.st, arg2, arg3, arg4);
		}
	}
	leave(&w, EB_GROUP_CARRIER);
	return 0;
}

static __always_inline __u64 carriers_created(__u64 allctr)
{
	return read_u64(allctr + cfg.allctr_call_mseg_alloc) +
	       read_u64(allctr + cfg.allctr_call_sys_alloc);
}

/* create_carrier(allctr, ...) */
SEC("?uprobe")
int eb_on_carrier_create(struct pt_regs *ctx)
{
	__u64 allctr = PT_REGS_PARM1(ctx);
	struct who w;

	if (!enter_thread(&w, ctx, EB_GROUP_CARRIER, 1))
		return 0;
	count_hit(&w, EB_GROUP_CARRIER);
	/* a compiler may have changed what a static function takes */
	if (is_instance(allctr)) {
		begin(w.st, allctr, EB_CARRIER_CREATE, EB_MSEG);
		w.st->carrier.created = carriers_created(allctr);
	}
	leave(&w, EB_GROUP_CARRIER);
	return 0;
}

static __always_inline void carrier_created(struct who *w, __u64 carrier, __u64 size)
{
	struct eb_thread_state *st = w->st;
	struct eb_carrier *c = carrier_row(st->carrier.allctr, 0, st->carrier.kind,
					   st->carrier.source);

	if (!c)
		return;
	put_birth(carrier, bpf_ktime_get_ns(), st);
	count_created(c, size);
	proc_row(w->key, w->proc);
	c = carrier_row(st->carrier.allctr, w->key, st->carrier.kind, st->carrier.source);
	if (c)
		count_created(c, size);
}

/*
 * create_carrier() has returned a block.  A new multi-block carrier is one free block, whose second
 * word is its carrier; before a single-block one stands the short header.
 */
static __always_inline void block_returned(struct who *w, __u64 block)
{
	struct eb_thread_state *st = w->st;
	__u64 carrier, chdr;

	if (carriers_created(st->carrier.allctr) == st->carrier.created)
		return; /* fetched from the pool */
	if ((read_u64(block) & 7) == 7) {
		carrier = block - EB_SBC_HEADER_BYTES;
	} else {
		carrier = read_u64(block + 8);
		st->carrier.kind = EB_MBC;
	}
	chdr = read_u64(carrier);
	st->carrier.source = chdr & 1 ? EB_MSEG : EB_SYS_ALLOC;
	carrier_created(w, carrier, chdr & ~7ULL);
}

SEC("?uretprobe")
int eb_on_carrier_return(struct pt_regs *ctx)
{
	__u64 carrier = PT_REGS_RC(ctx);
	struct eb_thread_state *st;
	struct eb_carrier *c;
	__u64 size, old;
	struct who w;

	if (!enter_thread(&w, ctx, EB_GROUP_CARRIER, 1))
		return 0;
	enter_process(&w, 0);
	st = w.st;
	st->returns[EB_GROUP_CARRIER]++;
	/* no entry seen; or a call inside of another one: create_carrier() ends a resize that failed */
	if (!st->carrier.allctr || st->carrier.epoch != epochs[EB_GROUP_CARRIER] ||
	    st->carrier.what != (w.cookie & 3))
		goto out;
	if (!carrier) {
		/* it failed: the VM tries another way, or reports out of memory */
		if (st->carrier.what == EB_CARRIER_REALLOC && st->carrier.birth_ns)
			put_birth(st->carrier.old, st->carrier.birth_ns, st);
		goto done;
	}
	if (st->carrier.what == EB_CARRIER_CREATE) {
		block_returned(&w, carrier);
		goto done;
	}
	size = st->carrier.size_ptr ? read_u64(st->carrier.size_ptr) : st->carrier.size;
	if (st->carrier.what == EB_CARRIER_ALLOC) {
		carrier_created(&w, carrier, size);
		goto done;
	}
	c = carrier_row(st->carrier.allctr, 0, st->carrier.kind, st->carrier.source);
	if (!c)
		goto done;
	if (st->carrier.birth_ns)
		put_birth(carrier, st->carrier.birth_ns, st);
	old = st->carrier.old_size;
	if (size > old) {
		add(c->grown, 1);
		add(c->grown_bytes, size - old);
	} else if (size < old) {
		add(c->shrunk, 1);
		add(c->shrunk_bytes, old - size);
	}
done:
	st->carrier.allctr = 0;
out:
	leave(&w, EB_GROUP_CARRIER);
	return 0;
}

/* remove_mbc(allctr, carrier), add_mbc(allctr, carrier); chdr bit 0: the carrier came from mseg. */
SEC("?uprobe")
int eb_on_pool(struct pt_regs *ctx)
{
	__u64 allctr = PT_REGS_PARM1(ctx), carrier = PT_REGS_PARM2(ctx), chdr;
	struct eb_carrier *c;
	struct who w;

	if (!enter_thread(&w, ctx, EB_GROUP_CARRIER, 1))
		return 0;
	count_hit(&w, EB_GROUP_CARRIER);
	if (EB_COOKIE_WHAT(w.cookie) == EB_POOL_ABANDON &&
	    !read_u64(carrier + cfg.carrier_blocks_size))
		goto out;
	chdr = read_u64(carrier);
	c = carrier_row(allctr, 0, EB_MBC, chdr & 1 ? EB_MSEG : EB_SYS_ALLOC);
	if (!c)
		goto out;
	if (EB_COOKIE_WHAT(w.cookie) == EB_POOL_ABANDON) {
		add(c->abandoned, 1);
		add(c->abandoned_bytes, chdr & ~7ULL);
	} else {
		add(c->fetched, 1);
		add(c->fetched_bytes, chdr & ~7ULL);
	}
out:
	leave(&w, EB_GROUP_CARRIER);
	return 0;
}
