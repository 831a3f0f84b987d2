// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocator entry points (erl_alloc_util.c): erts_alcu_{alloc,realloc,free}_{thr_pref,thr_spec,ts}.
 *
 * One function serves all types, so a type cannot be chosen before the trap.  Births and deaths
 * of refc binaries are the calls of type `binary` and `drv_binary`; changes of their reference
 * counts are inlined atomics that no probe sees.
 *
 * How long a block lives, and which are alive, takes the address that an allocation returns.  A
 * return is a second trap, so births are recorded one and all only while they are few, and a
 * sample of them above that, each with the number of births it stands for (struct sampler).
 * With session probes (kernel 6.13) the entry decides whether there is a return; without, every
 * call has one.
 */
#include "ebeam.bpf.h"

extern _Bool bpf_session_is_return(void) __ksym __weak;

static const struct eb_alloc zero_alloc = {};

static __always_inline int is_binary(__u32 type)
{
	return type == cfg.type_binary || type == cfg.type_drv_binary;
}

static __always_inline struct eb_alloc *alloc_row(struct who *w, __u32 type)
{
	struct eb_alloc_key key = { .who = w->key, .type = type };
	struct eb_alloc *a = bpf_map_lookup_elem(&alloc_rows, &key);
	__u64 who = w->key;

	if (a)
		return a;
	/* the names of this row's owner; without them the row would be nobody's */
	if ((bpf_map_lookup_elem(&procs, &who) || eb_new_proc(w->key, w->proc)) &&
	    !bpf_map_update_elem(&alloc_rows, &key, &zero_alloc, BPF_NOEXIST)) {
		add(alloc_rows_made, 1);
	} else if (!bpf_map_lookup_elem(&alloc_rows, &key)) {
		key.who = EB_KEY_OTHER;
		add(overflows, 1);
	}
	return bpf_map_lookup_elem(&alloc_rows, &key);
}

/* How many births the next one stands for if it is recorded; 0: it is not. */
static __always_inline __u32 birth_weight(struct eb_thread_state *st, int bin)
{
	int class = bin ? EB_BIRTH_BINARY : EB_BIRTH_OTHER;
	__u32 window = bpf_jiffies64() >> 6, shift, floor;
	__s64 alive = births_made - births_gone;

	if (!(bin ? cfg.want_bin_rows : cfg.want_alloc_rows))
		return 0;
	shift = st->sampler[class].shift;
	if (st->sampler[class].window != window) {
		/* as the window just before would have needed it; after a rest, all of them again */
		shift = log2_slot(st->sampler[class].n / EB_BIRTH_TARGET);
		if (st->sampler[class].n < EB_BIRTH_BURST || window - st->sampler[class].window > 1)
			shift = 0;
		st->sampler[class].window = window;
		st->sampler[class].n = 0;
	}
	if (++st->sampler[class].n > EB_BIRTH_BURST << (shift & 15) && shift < 15)
		shift++;
	/* a map that fills with what does not die must not overflow */
	floor = alive > EB_MAX_BIRTHS / 2 ? (alive - EB_MAX_BIRTHS / 2) / (EB_MAX_BIRTHS / 32) + 1 : 0;
	st->sampler[class].shift = shift;
	if (shift < floor)
		shift = floor;
	shift &= 31;
	if (!shift || !(bpf_get_prandom_u32() & ((1u << shift) - 1)))
		return 1u << shift;
	st->sampler[class].skipped++;
	return 0;
}

/* Counted; does its return matter? */
static __always_inline int alloc_enter(struct pt_regs *ctx)
{
	__u32 type = PT_REGS_PARM1(ctx);
	__u64 size = PT_REGS_PARM3(ctx);
	int bin = is_binary(type);
	struct eb_alloc *a;
	struct eb_proc *p;
	struct who w;
	__u64 own;

	if (!enter_thread(&w, ctx, EB_GROUP_ALLOC, 0))
		return 0;
	enter_process(&w, 1);
	count_hit(&w, EB_GROUP_ALLOC);
	w.st->calls[type % EB_MAX_ALLOCATORS][EB_CALL_ALLOC]++;
	if (cfg.want_alloc_rows && (a = alloc_row(&w, type))) {
		add(a->allocs, 1);
		add(a->alloc_bytes, size);
		add(a->size_hist[log2_slot(size)], 1);
	}
	if (cfg.want_bin_rows && bin && (p = proc_row(w.key, w.proc))) {
		own = size - cfg.bin_data -
		      (type == cfg.type_drv_binary ? cfg.drv_bin_pad : cfg.bin_pad);
		add(p->created, 1);
		add(p->created_bytes, own);
		add(p->size_hist[log2_slot(own)], 1);
	}
	w.st->birth.weight = birth_weight(w.st, bin);
	if (w.st->birth.weight) {
		w.st->birth.ns = 0;
		w.st->birth.who = w.key;
		w.st->birth.size = size;
		w.st->birth.type = type;
		w.st->birth.epoch = epochs[EB_GROUP_ALLOC];
	}
	leave(&w, EB_GROUP_ALLOC);
	return w.st->birth.weight != 0;
}

/* The result of a call that a birth was prepared for: now its address is known. */
static __always_inline void birth_return(struct pt_regs *ctx)
{
	__u64 ptr = PT_REGS_RC(ctx);
	struct eb_thread_state *st;
	struct who w;

	if (!enter_thread(&w, ctx, EB_GROUP_ALLOC, 0))
		return;
	st = w.st;
	st->returns[EB_GROUP_ALLOC]++;
	if (!st->birth.weight || st->birth.epoch != epochs[EB_GROUP_ALLOC])
		goto out;
	if (!st->birth.ns) /* an allocation; a block that moves keeps its birth */
		st->birth.ns = bpf_ktime_get_ns();
	else if (!ptr)
		ptr = st->birth_old; /* a failed realloc leaves it where it was */
	if (ptr) {
		/* again: over an older block whose end was not seen, or when a lock was not to be had */
		if (!bpf_map_update_elem(&births, &ptr, &st->birth, BPF_NOEXIST))
			add(births_made, 1);
		else if (bpf_map_update_elem(&births, &ptr, &st->birth, BPF_ANY))
			add(lost_births, 1);
	}
out:
	st->birth.weight = 0;
	leave(&w, EB_GROUP_ALLOC);
}

SEC("?uprobe")
int eb_on_alloc(struct pt_regs *ctx)
{
	alloc_enter(ctx);
	return 0;
}

SEC("?uprobe")
int eb_on_alloc_session(struct pt_regs *ctx)
{
	if (bpf_session_is_return()) {
		birth_return(ctx);
		return 0;
	}
	return !alloc_enter(ctx);
}

/*
 * The instance that owns a block: from its header to its carrier to Carrier_t.allctr.  0 when that
 * cannot be read.
 */
static __always_inline __u64 owner_of(__u64 ptr, __u64 bhdr)
{
	__u64 blk = ptr - 8, carrier;

	if ((bhdr & 7) == 7)
		carrier = blk - 32; /* SBC_HEADER_SIZE */
	else
		carrier = (blk >> (cfg.carrier_shift & 63) << (cfg.carrier_shift & 63)) -
			  ((bhdr >> 40 & 0x7fffff) << (cfg.carrier_shift & 63));
	return read_u64(carrier + cfg.carrier_allctr) & ~7ULL;
}

/*
 * A realloc of a block that another instance owns is an allocation here and a free there, for the
 * VM's own counters too (realloc_thr_pref).
 */
static __always_inline void count_realloc(struct who *w, __u32 type, __u64 old)
{
	__u32 a = type % EB_MAX_ALLOCATORS, *in;
	__u64 owner = 0;

	if (EB_COOKIE_WHAT(w->cookie) == EB_ALLCTR_PREFERRED) {
		owner = owner_of(old, read_u64(old - 8));
		in = bpf_map_lookup_elem(&instances, &owner);
		if (in && *in != (a << 16 | w->ix)) {
			w->st->calls[a][EB_CALL_ALLOC]++;
			w->st->calls[*in >> 16 & (EB_MAX_ALLOCATORS - 1)][EB_CALL_FREE]++;
			return;
		}
	}
	w->st->calls[a][EB_CALL_REALLOC]++;
}

static __always_inline int realloc_enter(struct pt_regs *ctx)
{
	__u32 type = PT_REGS_PARM1(ctx);
	__u64 old = PT_REGS_PARM3(ctx);
	__u64 size = PT_REGS_PARM4(ctx);
	struct eb_birth *b;
	struct eb_alloc *a;
	struct who w;
	int moves = 0;

	if (!enter_thread(&w, ctx, EB_GROUP_ALLOC, 0))
		return 0;
	enter_process(&w, 1);
	count_hit(&w, EB_GROUP_ALLOC);
	w.st->birth.weight = 0;
	/* ..._thr_pref(NULL) calls alloc_thr_pref, which is probed itself */
	if (!old && EB_COOKIE_WHAT(w.cookie) == EB_ALLCTR_PREFERRED)
		goto out;
	if (old)
		count_realloc(&w, type, old);
	else
		w.st->calls[type % EB_MAX_ALLOCATORS][EB_CALL_REALLOC]++;
	if (cfg.want_alloc_rows && (a = alloc_row(&w, type))) {
		add(a->reallocs, 1);
		add(a->realloc_bytes, size);
	}
	b = bpf_map_lookup_elem(&births, &old);
	if (b) {
		/* out of the way at once: the old address may be another block's before we return */
		w.st->birth = *b;
		w.st->birth.size = size;
		w.st->birth_old = old;
		bpf_map_delete_elem(&births, &old);
		add(births_gone, 1);
		moves = 1;
	}
out:
	leave(&w, EB_GROUP_ALLOC);
	return moves;
}

SEC("?uprobe")
int eb_on_realloc(struct pt_regs *ctx)
{
	realloc_enter(ctx);
	return 0;
}

SEC("?uprobe")
int eb_on_realloc_session(struct pt_regs *ctx)
{
	if (bpf_session_is_return()) {
		birth_return(ctx);
		return 0;
	}
	return !realloc_enter(ctx);
}

/* Without session probes: the returns of both. */
SEC("?uretprobe")
int eb_on_alloc_return(struct pt_regs *ctx)
{
	birth_return(ctx);
	return 0;
}

/* The end of a block whose birth was recorded. */
static __always_inline void died(__u64 ptr, const struct eb_birth *b, int bin)
{
	__u64 who = b->who, age = bpf_ktime_get_ns() - b->ns, other = EB_KEY_OTHER;
	__u32 slot = log2_long(age);
	struct eb_proc *p;

	if (bin && cfg.want_bin_rows && b->epoch == epochs[EB_GROUP_ALLOC]) {
		p = bpf_map_lookup_elem(&procs, &who);
		if (!p)
			p = bpf_map_lookup_elem(&procs, &other);
		if (p) {
			add(p->died, b->weight);
			add(p->died_bytes, (b->size - cfg.bin_data -
					    (b->type == cfg.type_drv_binary ? cfg.drv_bin_pad :
									      cfg.bin_pad)) *
						   b->weight);
			add(p->life_hist[slot], b->weight);
		}
	}
	bpf_map_delete_elem(&births, &ptr);
	add(births_gone, 1);
}

SEC("?uprobe")
int eb_on_free(struct pt_regs *ctx)
{
	__u32 type = PT_REGS_PARM1(ctx), no, *in;
	__u64 ptr = PT_REGS_PARM3(ctx);
	__u64 blk[6] = {}, own, owner;
	struct eb_birth *b;
	struct eb_alloc *a;
	struct eb_proc *p;
	struct who w;
	int bin;

	if (!enter_thread(&w, ctx, EB_GROUP_ALLOC, 0))
		return 0;
	count_hit(&w, EB_GROUP_ALLOC);
	if (!ptr)
		return 0;
	enter_process(&w, 1);
	if (type == cfg.type_proc)
		add(process_gen, 1);
	bin = is_binary(type);
	/* the block header, and behind it the Binary, whose orig_size is its fourth word at most */
	bpf_probe_read_user(blk, bin ? 40 : 8, (void *)(ptr - 8));
	no = type % EB_MAX_ALLOCATORS;
	if (cfg.shared_pool && EB_COOKIE_WHAT(w.cookie) == EB_ALLCTR_PREFERRED) {
		/* counted by the instance that owns the carrier, of whichever allocator */
		owner = owner_of(ptr, blk[0]);
		in = bpf_map_lookup_elem(&instances, &owner);
		if (in)
			no = *in >> 16 & (EB_MAX_ALLOCATORS - 1);
	}
	w.st->calls[no][EB_CALL_FREE]++;
	if (cfg.want_alloc_rows && (a = alloc_row(&w, type))) {
		add(a->frees, 1);
		add(a->free_bytes, EB_BLOCK_BYTES(blk[0]));
	}
	if (bin) {
		own = blk[(cfg.bin_orig_size / 8 + 1) & 7];
		if (w.st->gc.depth) {
			w.st->gc.deaths++;
			w.st->gc.death_bytes += own;
		}
		if (cfg.want_bin_rows && (p = proc_row(w.key, w.proc))) {
			add(p->freed, 1);
			add(p->freed_bytes, own);
		}
	}
	b = bpf_map_lookup_elem(&births, &ptr);
	if (b)
		died(ptr, b, bin);
	leave(&w, EB_GROUP_ALLOC);
	return 0;
}

/*
 * References that drivers and NIFs count by hand (erl_drv.h, erl_nif.h).
 *   driver_binary_inc_refc, driver_binary_dec_refc, driver_free_binary(ErlDrvBinary *)
 *   enif_release_binary(ErlNifBinary *): gives its reference up where it has one
 */
SEC("?uprobe")
int eb_on_refc(struct pt_regs *ctx)
{
	__u64 arg = PT_REGS_PARM1(ctx), words[3], size, api;
	struct eb_proc *p;
	struct who w;

	if (!enter_thread(&w, ctx, EB_GROUP_REFC, 1))
		return 0;
	count_hit(&w, EB_GROUP_REFC);
	api = EB_COOKIE_WHAT(w.cookie);
	if (api == EB_API_NIF_RELEASE) {
		/* size, data, ref_bin; one that was made into a term has no ref_bin any more */
		if (bpf_probe_read_user(words, sizeof(words), (void *)arg) || !words[2])
			goto out;
		size = words[0];
	} else {
		/* an ErlDrvBinary begins with its size */
		if (!arg || bpf_probe_read_user(&size, sizeof(size), (void *)arg))
			goto out;
	}
	p = proc_row(api << 8 | EB_KEY_API, 0);
	if (!p)
		goto out;
	if (api == EB_API_DRV_INC) {
		add(p->acquired, 1);
		add(p->acquired_bytes, size);
	} else {
		add(p->released, 1);
		add(p->released_bytes, size);
	}
out:
	leave(&w, EB_GROUP_REFC);
	return 0;
}
