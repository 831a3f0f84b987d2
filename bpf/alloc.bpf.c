// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocator entry points (erl_alloc_util.c): erts_alcu_{alloc,realloc,free}_{thr_pref,thr_spec,ts}.
 *
 * One function serves all types, so a type cannot be chosen before the trap.  Births and deaths
 * of refc binaries are the calls of type `binary` and `drv_binary`; changes of their reference
 * counts are inlined atomics that no probe sees.
 */
#include "ebeam.bpf.h"

static const struct eb_alloc zero_alloc = {};

static __always_inline int is_binary(__u32 type)
{
	return type == cfg.type_binary || type == cfg.type_drv_binary;
}

static __always_inline struct eb_alloc *alloc_row(struct who *w, __u32 type)
{
	struct eb_alloc_key key = { .who = w->key, .type = type };
	struct eb_alloc *a = bpf_map_lookup_elem(&alloc_rows, &key);

	if (a)
		return a;
	if (!proc_row(w->key, w->proc)) /* the names of this row's owner */
		return NULL;
	if (bpf_map_update_elem(&alloc_rows, &key, &zero_alloc, BPF_NOEXIST)) {
		add(lost_rows, 1);
		return NULL;
	}
	return bpf_map_lookup_elem(&alloc_rows, &key);
}

SEC("?uprobe")
int eb_on_alloc(struct pt_regs *ctx)
{
	__u32 type = PT_REGS_PARM1(ctx);
	__u64 size = PT_REGS_PARM3(ctx);
	struct eb_alloc *a;
	struct eb_proc *p;
	struct who w;
	__u64 own;

	if (!enter(&w, EB_GROUP_ALLOC, 0))
		return 0;
	if (cfg.want_alloc_rows && (a = alloc_row(&w, type))) {
		add(a->allocs, 1);
		add(a->alloc_bytes, size);
		add(a->size_hist[log2_slot(size)], 1);
	}
	if (cfg.want_bin_rows && is_binary(type) && (p = proc_row(w.key, w.proc))) {
		own = size - cfg.bin_data -
		      (type == cfg.type_drv_binary ? cfg.drv_bin_pad : cfg.bin_pad);
		add(p->created, 1);
		add(p->created_bytes, own);
		add(p->size_hist[log2_slot(own)], 1);
	}
	leave(&w, EB_GROUP_ALLOC, 0);
	return 0;
}

SEC("?uprobe")
int eb_on_realloc(struct pt_regs *ctx)
{
	__u32 type = PT_REGS_PARM1(ctx);
	__u64 old = PT_REGS_PARM3(ctx);
	__u64 size = PT_REGS_PARM4(ctx);
	struct eb_alloc *a;
	struct who w;

	if (!enter(&w, EB_GROUP_ALLOC, 0))
		return 0;
	/* ..._thr_pref(NULL) calls alloc_thr_pref, which is probed itself */
	if (!old && bpf_get_attach_cookie(ctx) == EB_REALLOC_DELEGATES)
		return 0;
	if (cfg.want_alloc_rows && (a = alloc_row(&w, type))) {
		add(a->reallocs, 1);
		add(a->realloc_bytes, size);
	}
	leave(&w, EB_GROUP_ALLOC, 0);
	return 0;
}

SEC("?uprobe")
int eb_on_free(struct pt_regs *ctx)
{
	__u32 type = PT_REGS_PARM1(ctx);
	__u64 ptr = PT_REGS_PARM3(ctx);
	__u64 blk[6] = {}, block_size, own;
	struct eb_alloc *a;
	struct eb_proc *p;
	struct who w;
	int bin;

	if (!enter(&w, EB_GROUP_ALLOC, 0) || !ptr)
		return 0;
	bin = is_binary(type);
	/* the block header, and behind it the Binary, whose orig_size is its fourth word at most */
	bpf_probe_read_user(blk, bin ? 40 : 8, (void *)(ptr - 8));
	block_size = EB_BLOCK_BYTES(blk[0]);
	if (cfg.want_alloc_rows && (a = alloc_row(&w, type))) {
		add(a->frees, 1);
		add(a->free_bytes, block_size);
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
	leave(&w, EB_GROUP_ALLOC, 0);
	return 0;
}
