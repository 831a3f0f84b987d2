// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proof of the layout on live memory.
 *
 * The row was chosen by what the VM says of itself.  Each check ties a field to something known
 * another way: ids that map to their slots, pointers that lead back, counts against list lengths,
 * the words `false` and `true`, kernel thread ids.  A wrong offset fails at least one of them; then
 * nothing is read or traced, and the check is named.
 *
 * Members that are 0 in most VMs prove nothing by themselves.  They stand between landmarks: words
 * that look like nothing else (an invalid heap fragment, a pool number of -1, code, NULL, code).
 * Where the landmarks on both sides are in their place, and the members stand as close to them as
 * they were declared (struct near), the members are in their place as well.
 *
 * The VM runs meanwhile: checks on things that move are tried a few times, and judge what holds
 * still.
 */
#include "prove.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PASS_MIN 30 /* checks that pass on any VM */
#define MANY 16

bool prove_skips_order;

uint64_t prove_word(const unsigned char *raw, size_t len, size_t off)
{
	uint64_t v = 0;

	if (off <= len && len - off >= sizeof(v))
		memcpy(&v, raw + off, sizeof(v));
	return v;
}

bool prove_enough(unsigned int good, unsigned int of, unsigned int slack)
{
	return good && good + of / slack + (slack != ALL && of >= MANY) >= of;
}

#define AGAIN 20
#define AGAIN_NS 2000000

bool prove_again(const struct vm *vm, unsigned int *n)
{
	struct timespec pause = { 0, AGAIN_NS };

	if (!vm->target.pid || vm->rd.lost || ++*n > AGAIN)
		return false;
	nanosleep(&pause, NULL);
	return true;
}

bool prove_has_instances(const struct vm *vm, const char *allocator)
{
	size_t i;

	for (i = 0; i < vm->ninsts; i++)
		if (!strcmp(vm->allocator_name[vm->insts[i].alloc_no], allocator))
			return true;
	return false;
}

void prove_cannot(struct vm *vm, enum layout_field field)
{
	vm->unproven[field] = true;
	if (vm->trust != LAYOUT_EXACT)
		*layout_field_at(&vm->layout, field) = LAYOUT_ABSENT;
}

static void prove_release(struct vm *vm)
{
	/* erts 11 is OTP 23, 12 is 24, and so on */
	if (atoi(vm->erts) + 12 == vm->otp)
		OK("layout release", "erts %s belongs to OTP %d", vm->erts, vm->otp);
	else
		BAD("layout release", "erts %s is not of OTP %d", vm->erts, vm->otp);
}

/* Members that are declared one after the other, and the bytes from one to the next. */
static const struct near {
	enum layout_field from, to;
	unsigned int bytes;
} near[] = {
	{ LF_proc_gen_gcs, LF_proc_max_gen_gcs, 2 },
	{ LF_proc_old_hend, LF_proc_old_htop, 8 },
	{ LF_proc_old_htop, LF_proc_old_heap, 8 },
	{ LF_proc_off_heap_first, LF_proc_off_heap_overhead, 8 },
	{ LF_proc_off_heap_overhead, LF_proc_wrt_bins, 8 },
	{ LF_proc_wrt_bins, LF_proc_mbuf, 8 },
	{ LF_proc_mbuf, LF_proc_live_hf_end, 8 },
	{ LF_proc_live_hf_end, LF_proc_msg_frag, 8 },
	{ LF_proc_msg_frag, LF_proc_mbuf_sz, 8 },
	{ LF_sched_gc_reclaimed, LF_sched_gc_cols, 8 },
	{ LF_sched_gc_cols, LF_sched_ets_count, 16 },
	{ LF_sched_ets_count, LF_sched_ets_clist, 8 },
	{ LF_allctr_mbc_list, LF_allctr_sbc_list, 16 },
	{ LF_allctr_pool_number, LF_allctr_pool_blocks_size, 8 },
	{ LF_allctr_pool_blocks_size, LF_allctr_pool_no_blocks, 96 },
	{ LF_allctr_pool_no_blocks, LF_allctr_pool_carriers_size, 96 },
	{ LF_allctr_pool_carriers_size, LF_allctr_pool_no_carriers, 8 },
	{ LF_allctr_pool_no_carriers, LF_allctr_pool_fetch, 40 },
	{ LF_allctr_pool_fetch, LF_allctr_main_carrier, 56 },
	{ LF_allctr_main_carrier, LF_allctr_creating_mbc, 48 },
	{ LF_allctr_creating_mbc, LF_allctr_destroying_mbc, 8 },
	{ LF_allctr_destroying_mbc, LF_allctr_add_mbc, 8 },
	{ LF_allctr_add_mbc, LF_allctr_remove_mbc, 8 },
	{ LF_allctr_remove_mbc, LF_allctr_mseg_alloc, 32 },
	{ LF_allctr_mseg_alloc, LF_allctr_mseg_realloc, 8 },
	{ LF_allctr_mseg_realloc, LF_allctr_mseg_dealloc, 8 },
	{ LF_allctr_mseg_dealloc, LF_allctr_mseg_mmapper, 8 },
	{ LF_allctr_mseg_mmapper, LF_allctr_sys_alloc, 8 },
	{ LF_allctr_sys_alloc, LF_allctr_sys_realloc, 8 },
	{ LF_allctr_sys_realloc, LF_allctr_sys_dealloc, 8 },
	{ LF_allctr_calls, LF_allctr_sbcs, 8 * CALL_N },
	{ LF_bin_refc, LF_bin_orig_size, 8 },
	{ LF_bin_orig_size, LF_bin_data, 8 },
	{ LF_msg_next, LF_msg_attached, 8 },
	{ LF_msg_attached, LF_msg_frag, 32 },
	{ LF_dict_array_size, LF_dict_num, 8 },
	{ LF_dict_num, LF_dict_data, 8 },
	{ LF_carrier_pool_next, LF_carrier_creator, 16 },
	{ LF_thrspec_enabled, LF_thrspec_dd, 4 },
	{ LF_thrspec_dd, LF_thrspec_aix, 4 },
	{ LF_thrspec_aix, LF_thrspec_size, 4 },
	{ LF_thrspec_size, LF_thrspec_allctr, 4 },
	{ LF_allctr_mseg_opt, LF_allctr_mbc_header, 32 },
	{ LF_frag_next, LF_frag_off_heap_first, 8 },
	{ LF_frag_off_heap_first, LF_frag_alloc_size, 16 },
	{ LF_frag_alloc_size, LF_frag_used_size, 8 },
	{ LF_frag_used_size, LF_frag_mem, 8 },
};

bool prove_order(const struct layout *lay, const char **from, const char **to)
{
	const struct layout_fields *f = &lay->f;
	unsigned int a, b;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(near); i++) {
		a = *layout_field_at((struct layout *)lay, near[i].from);
		b = *layout_field_at((struct layout *)lay, near[i].to);
		if (a != LAYOUT_ABSENT && b != LAYOUT_ABSENT && a + near[i].bytes != b) {
			*from = layout_field_name(near[i].from);
			*to = layout_field_name(near[i].to);
			return false;
		}
	}
	/* without writable binaries (until 24) mbuf takes their place */
	*from = "proc_off_heap_overhead";
	*to = "proc_mbuf";
	if (f->proc_wrt_bins == LAYOUT_ABSENT && f->proc_off_heap_overhead + 8 != f->proc_mbuf)
		return false;
	*from = "allctr_sbcs";
	*to = "allctr_mbcs";
	return f->allctr_sbcs + f->cstats_size == f->allctr_mbcs;
}

/* Where DWARF tells otherwise, that is right: the row itself then is as exact as can be. */
static void prove_neighbourhood(struct vm *vm)
{
	const char *from, *to;

	if (vm->trust == LAYOUT_EXACT || prove_skips_order)
		return;
	if (prove_order(vm->lay, &from, &to))
		OK("layout neighbours", "%zu pairs stand as they are declared",
		   ARRAY_SIZE(near) + 2);
	else
		BAD("layout neighbours", "%s and %s are not as far apart as they are declared", from,
		    to);
}

/* What the code of ebeam takes for granted, and does not look up. */
static void prove_shapes(struct vm *vm)
{
	const struct layout_fields *f = &vm->lay->f;
	unsigned int mask_bytes = vm->lay->facts->slot_in_high_word ? 4 : 8;

	if (f->oh_next == 16 && !(f->oh_val & 7) && f->proc_id == 0 &&
	    f->ptab_pix_mask_size == mask_bytes &&
	    f->ptab_pix_cl_mask == f->ptab_pix_mask + mask_bytes &&
	    f->ptab_pix_cli_mask == f->ptab_pix_cl_mask + 8 &&
	    f->ptab_pix_cl_shift == f->ptab_pix_cl_mask + (mask_bytes == 4 ? 4 : 16) &&
	    f->ptab_pix_cli_shift == f->ptab_pix_cl_shift + (mask_bytes == 4 ? 8 : 4))
		OK("layout shapes", "nodes, ids and pid masks are as the code knows them");
	else
		BAD("layout shapes",
		    "next of a node at %u, val at %u, id at %u, pid masks of %u bytes", f->oh_next,
		    f->oh_val, f->proc_id, f->ptab_pix_mask_size);
}

static void prove_atoms(struct vm *vm)
{
	const char *zero = term_atom_index(vm, 0), *one = term_atom_index(vm, 1);
	uint32_t entries = 0, i, good = 0;
	const char *text;

	if (zero && one && !strcmp(zero, "false") && !strcmp(one, "true"))
		OK("layout atoms", "atoms 0 and 1 are false and true");
	else
		BAD("layout atoms", "atoms 0 and 1 are %s and %s", zero ? zero : "unreadable",
		    one ? one : "unreadable");
	reader_u32(&vm->rd, vm->atom_tab + vm->lay->f.index_entries, &entries);
	for (i = 0; i < 64; i++) {
		text = term_atom_index(vm, (uint64_t)i * entries / 64);
		good += text != NULL;
	}
	if (entries > 1000 && good == 64)
		OK("layout atom table", "64 of %u atoms know their index", entries);
	else
		BAD("layout atom table", "%u of 64 atoms of %u know their index", good, entries);
}

/* name@host; nonode@nohost where the node is not distributed. */
static void prove_node(struct vm *vm)
{
	vmaddr_t this_node = symbols_addr(&vm->sym, "erts_this_node");
	uint64_t node, sysname;
	const char *text = NULL;

	if (!this_node) {
		SKIP("layout node", "where it keeps its name is not known");
		prove_cannot(vm, LF_node_sysname);
		return;
	}
	if (reader_u64(&vm->rd, this_node, &node) &&
	    reader_u64(&vm->rd, node + vm->lay->f.node_sysname, &sysname))
		text = term_atom(vm, sysname);
	if (text && strchr(text, '@'))
		OK("layout node", "it is called %s", text);
	else
		BAD("layout node", "%s is no name of a node", text ? text : "what stands there");
}

/* What is in use although, or not in use because, nothing here could prove it. */
static void tell_trust(struct vm *vm)
{
	char names[160] = "";
	size_t n = 0;
	int i;

	for (i = 0; i < LAYOUT_NFIELDS; i++) {
		vm->unproven[i] |= layout_field_unproven(i);
		if (vm->unproven[i] && n < sizeof(names))
			n += snprintf(names + n, sizeof(names) - n, "%s%s", n ? " " : "",
				      layout_field_name(i));
	}
	vm_check(vm, vm->trust == LAYOUT_NEIGHBOUR ? CHECK_WARN : CHECK_OK, "layout trust", "%s: %s",
		 vm->lay->name, layout_trust_name(vm->trust));
	if (n)
		vm_check(vm, vm->trust == LAYOUT_EXACT ? CHECK_OK : CHECK_WARN, "layout unproven",
			 "%s: %s", vm->trust == LAYOUT_EXACT ? "used as this build's" : "not used",
			 names);
	else
		OK("layout unproven", "none: each field that is used was proven");
}

int prove_layout(struct vm *vm)
{
	struct proc_ids ids = { 0 };
	const struct vm_check *c;
	size_t i;

	memset(vm->unproven, 0, sizeof(vm->unproven));
	prove_release(vm);
	prove_shapes(vm);
	prove_neighbourhood(vm);
	prove_atoms(vm);
	prove_node(vm);
	prove_schedulers(vm);
	prove_process_table(vm, &ids);
	if (prove_process_fields(vm)) {
		prove_processes(vm, &ids);
		prove_binaries(vm, &ids);
		prove_fragments(vm, &ids);
	}
	snap_proc_ids_free(&ids);
	prove_allocators(vm);
	prove_books(vm);
	prove_gc_counters(vm);
	for (i = 0; i < vm->nchecks; i++) {
		c = &vm->checks[i];
		if (c->status == CHECK_FAIL)
			return fail(EXIT_UNSUPPORTED,
				    "`ebeam doctor` shows all checks; this build may be patched",
				    "layout %s does not fit the memory of pid %d: %s: %s",
				    vm->lay->name, vm->target.pid, c->name, c->detail);
	}
	if (vm->npassed < PASS_MIN)
		return fail(EXIT_UNSUPPORTED, "`ebeam doctor` shows all checks",
			    "only %zu checks of layout %s could be made on pid %d", vm->npassed,
			    vm->lay->name, vm->target.pid);
	tell_trust(vm);
	return 0;
}
