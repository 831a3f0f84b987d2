// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fields of Process that only `proc` uses, proven on the processes of the node: what most of them
 * have there, and no neighbouring word has.  And that objects on the heap are laid out without
 * gaps, as the compiler does it: a field that is elsewhere leaves one.
 */
#include "snap_one.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLE 512
#define PROC_BYTES_MAX 1024
#define PSD_TABLES 6 /* ERTS_PSD_ETS_OWNED_TABLES */

struct votes {
	size_t seen, min_heap, vheap, token, fvalue, ftrace, parent; /* that are as expected */
	size_t max_bad, fvalue_bad, psd_bad, psd_owner;
};

/* A table's owner has it on its list: that list is where it should be. */
static void vote_psd(struct vm *vm, const unsigned char *raw, struct votes *v)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t psd = raw_u64(raw, f->proc_psd), data[PSD_TABLES + 1], owner;

	if (!psd)
		return;
	if ((psd & 7) || !reader_copy(&vm->rd, psd + f->psd_data, data, sizeof(data)) ||
	    (data[0] && !term_is_atom(data[0]))) {
		v->psd_bad++;
		return;
	}
	if (data[PSD_TABLES] && !(data[PSD_TABLES] & 7) &&
	    reader_u64(&vm->rd, data[PSD_TABLES] + f->table_owner, &owner) &&
	    owner == raw_u64(raw, f->proc_id))
		v->psd_owner++;
}

static void vote(struct vm *vm, const unsigned char *raw, struct votes *v)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t nil = vm->lay->facts->nil, parent = raw_u64(raw, f->proc_parent);
	uint64_t fvalue = raw_u64(raw, f->proc_fvalue);
	uint64_t max = raw_u64(raw, f->proc_max_heap_size) >> (vm->lay->otp >= 27 ? 3 : 2);

	v->seen++;
	v->min_heap += raw_u64(raw, f->proc_min_heap_size) <= raw_u64(raw, f->proc_heap_sz);
	v->vheap += raw_u64(raw, f->proc_min_vheap_size) <= raw_u64(raw, f->proc_bin_vheap_sz) &&
		    raw_u64(raw, f->proc_min_vheap_size) >= 10;
	v->max_bad += max && max < raw_u64(raw, f->proc_min_heap_size);
	v->token += raw_u64(raw, f->proc_seq_token) == nil;
	v->fvalue += fvalue == nil;
	v->fvalue_bad += fvalue && !(fvalue & 3);
	v->ftrace += raw_u64(raw, f->proc_ftrace) == nil;
	v->parent += term_is_pid(parent) || term_is_atom(parent) || parent == nil;
	vote_psd(vm, raw, v);
}

/* The settings lie behind heap_sz, which was proven when the VM was opened. */
static bool gc_in_a_row(const struct layout_fields *f)
{
	return f->proc_min_heap_size == f->proc_heap_sz + 8 &&
	       f->proc_min_vheap_size == f->proc_heap_sz + 16 &&
	       f->proc_max_heap_size == f->proc_heap_sz + 24;
}

/* All of them lie in a Process, or nothing may be read by them. */
static bool offsets_fit(const struct layout_fields *f)
{
	const unsigned int words[] = { f->proc_id, f->proc_min_heap_size, f->proc_min_vheap_size,
				       f->proc_max_heap_size, f->proc_heap_sz, f->proc_bin_vheap_sz,
				       f->proc_parent, f->proc_fvalue, f->proc_ftrace,
				       f->proc_seq_token, f->proc_psd };
	size_t i;

	if (f->proc_size < 8 || f->proc_size > PROC_BYTES_MAX)
		return false;
	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i] > f->proc_size - 8)
			return false;
	return true;
}

static bool objects_without_gaps(const struct vm *vm)
{
	const struct layout_fields *f = &vm->lay->f;

	if (vm->lay->otp >= 27)
		return f->subbits_base == 8 && f->subbits_start == 16 && f->subbits_end == 24 &&
		       f->subbits_orig == 32 && f->fun_env == 16;
	return f->subbin_orig == 32 && f->fun_num_free == f->fun_arity + f->fun_arity_size &&
	       f->fun_creator == ((f->fun_num_free + f->fun_arity_size + 7) & ~7u) &&
	       f->fun_env == f->fun_creator + 8;
}

static bool most(size_t n, const struct votes *v)
{
	return n > v->seen / 2;
}

void one_prove(struct one_reader *r)
{
	const struct layout_fields *f = &r->vm->lay->f;
	unsigned char raw[PROC_BYTES_MAX];
	struct votes v = { 0 };
	struct proc_ids ids;
	size_t i;

	r->objects_proven = objects_without_gaps(r->vm);
	if (!offsets_fit(f) || snap_proc_ids(r->vm, &ids))
		return;
	for (i = 0; i < ids.n && v.seen < SAMPLE; i++)
		if (reader_copy(&r->vm->rd, ids.v[i].addr, raw, f->proc_size) &&
		    raw_u64(raw, f->proc_id) == ids.v[i].id)
			vote(r->vm, raw, &v);
	snap_proc_ids_free(&ids);
	r->gc_proven = gc_in_a_row(f) && most(v.min_heap, &v) && most(v.vheap, &v) && !v.max_bad;
	/* the value of an exception stays after it was caught: many have one */
	r->roots_proven = most(v.token, &v) && 8 * v.fvalue > v.seen && !v.fvalue_bad &&
			  most(v.ftrace, &v) && most(v.parent, &v);
	r->psd_proven = v.psd_owner && !v.psd_bad;
	log_step("proc: %zu processes: settings %s, roots %s, process specific data %s, objects %s",
		 v.seen, r->gc_proven ? "proven" : "not as expected",
		 r->roots_proven ? "proven" : "not as expected",
		 r->psd_proven ? "proven" : "not as expected",
		 r->objects_proven ? "proven" : "not as expected");
}
