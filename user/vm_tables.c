// SPDX-License-Identifier: GPL-2.0-only
/* What hardly ever changes in a VM: its tables, schedulers, allocators, types and names. */
#include "term.h"
#include "vm_private.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

/* A mask of ErtsPTab: u32 until 25, u64 from 26. */
static bool ptab_mask(struct vm *vm, unsigned int off, uint64_t *v)
{
	*v = 0;
	return reader_copy(&vm->rd, vm->proc_tab + off, v, vm->lay->f.ptab_pix_mask_size & 8 ? 8 : 4);
}

static void read_process_table(struct vm *vm)
{
	const struct layout_fields *f = &vm->lay->f;

	vm->proc_tab = symbols_addr(&vm->sym, "erts_proc");
	vm->port_tab = symbols_addr(&vm->sym, "erts_port");
	vm->atom_tab = symbols_addr(&vm->sym, "erts_atom_table");
	reader_u64(&vm->rd, vm->proc_tab + f->ptab_tab, &vm->tab);
	reader_u32(&vm->rd, vm->proc_tab + f->ptab_max, &vm->proc_max);
	reader_u64(&vm->rd, vm->proc_tab + f->ptab_invalid_element, &vm->invalid_element);
	ptab_mask(vm, f->ptab_pix_mask, &vm->pix_mask);
	ptab_mask(vm, f->ptab_pix_cl_mask, &vm->pix_cl_mask);
	ptab_mask(vm, f->ptab_pix_cli_mask, &vm->pix_cli_mask);
	reader_u32(&vm->rd, vm->proc_tab + f->ptab_pix_cl_shift, &vm->pix_cl_shift);
	reader_u32(&vm->rd, vm->proc_tab + f->ptab_pix_cli_shift, &vm->pix_cli_shift);
	vm->pix_cl_shift &= 63;
	vm->pix_cli_shift &= 63;
}

/* struct pthread's tid: glibc 2.31 to 2.43. */
#define PTHREAD_TID_X86_64 0x2d0
#define PTHREAD_TID_AARCH64 0xd0
#define PID_MAX (1u << 22)

static unsigned int pthread_tid(const struct vm *vm)
{
	return vm->sym.machine == EM_AARCH64 ? PTHREAD_TID_AARCH64 : PTHREAD_TID_X86_64;
}

unsigned int vm_pthread_list(const struct vm *vm)
{
	return pthread_tid(vm) - 16;
}

bool vm_pthread_tid(struct vm *vm, uint64_t pthread, uint32_t *tid)
{
	return reader_u32(&vm->rd, pthread + pthread_tid(vm), tid) && *tid && *tid <= PID_MAX;
}

/*
 * How many elements an array has whose count is hidden: they number themselves, and each has a
 * thread.
 */
static uint32_t count_schedulers(struct vm *vm, vmaddr_t first, enum sched_kind kind)
{
	const struct layout_fields *f = &vm->lay->f;
	uint32_t n, type, tid;
	uint64_t no, pthread;
	vmaddr_t at;

	for (n = 0; n < VM_MAX_SCHEDULERS; n++) {
		at = first + (uint64_t)n * f->sched_stride;
		if (!reader_u32(&vm->rd, at + f->sched_type, &type) || type != kind ||
		    !reader_u64(&vm->rd, at + (kind == SCHED_NORMAL ? f->sched_no :
								      f->sched_dirty_no), &no) ||
		    no != n + 1 || !reader_u64(&vm->rd, at + f->sched_tid, &pthread) ||
		    !vm_pthread_tid(vm, pthread, &tid))
			break;
	}
	return n;
}

static void add_schedulers(struct vm *vm, const char *array, const char *count,
			   enum sched_kind kind)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t first, pthread, no, faults = vm->rd.faults;
	vmaddr_t base = symbols_addr(&vm->sym, array);
	struct scheduler *s;
	uint32_t i, n, tid;

	if (!base || !reader_u64(&vm->rd, base, &first))
		return;
	if (symbols_find(&vm->sym, count)) {
		n = vm_exported_u32(vm, count, 0);
	} else {
		n = count_schedulers(vm, first, kind);
		vm->rd.faults = faults; /* what lies behind the last need not be readable */
	}
	if (!n || n > VM_MAX_SCHEDULERS)
		return;
	vm->scheds = xrealloc(vm->scheds, (vm->nscheds + n) * sizeof(*vm->scheds));
	for (i = 0; i < n; i++) {
		s = &vm->scheds[vm->nscheds];
		s->addr = first + (uint64_t)i * f->sched_stride;
		s->kind = kind;
		s->tid = 0;
		if (!reader_u64(&vm->rd, s->addr + f->sched_tid, &pthread) ||
		    !reader_u64(&vm->rd, s->addr +
				(kind == SCHED_NORMAL ? f->sched_no : f->sched_dirty_no), &no))
			continue;
		s->no = no;
		if (vm_pthread_tid(vm, pthread, &tid))
			s->tid = tid;
		vm->nscheds++;
		vm->nnormal += kind == SCHED_NORMAL;
	}
}

static void vm_string_array(struct vm *vm, const char *name, size_t max,
			    char (*out)[VM_NAME])
{
	const struct symbol *sym = symbols_find(&vm->sym, name);
	size_t i, n = sym->size / 8 < max ? sym->size / 8 : max;
	char raw[VM_NAME];
	uint64_t p;

	for (i = 0; i < n; i++)
		if (reader_u64(&vm->rd, sym->addr + vm->sym.bias + 8 * i, &p) && p &&
		    reader_string(&vm->rd, p, raw, sizeof(raw)))
			text_escape(raw, strlen(raw), out[i], VM_NAME);
}

static void read_types(struct vm *vm)
{
	const struct symbol *n2t = symbols_find(&vm->sym, "erts_alc_n2t");
	const struct symbol *n2td = symbols_find(&vm->sym, "erts_alc_n2td");
	size_t i, n = n2td->size / 8, width;
	uint64_t v;

	if (n > VM_MAX_TYPES)
		n = VM_MAX_TYPES;
	vm_string_array(vm, "erts_alc_a2ad", VM_MAX_ALLOCATORS, vm->allocator_name);
	vm_string_array(vm, "erts_alc_n2td", VM_MAX_TYPES, vm->type_name);
	width = n ? n2t->size / n : 0;
	for (i = 0; i < n && (width == 4 || width == 8); i++) {
		v = 0;
		reader_copy(&vm->rd, n2t->addr + vm->sym.bias + width * i, &v, width);
		vm->type_full[i] = v;
		if (!strcmp(vm->type_name[i], "binary"))
			vm->type_binary = v;
		else if (!strcmp(vm->type_name[i], "drv_binary"))
			vm->type_drv_binary = v;
		else if (!strcmp(vm->type_name[i], "proc"))
			vm->type_proc = v;
	}
}

static void add_instance(struct vm *vm, vmaddr_t allctr, unsigned int alloc_no, unsigned int ix)
{
	if (vm->ninsts == VM_MAX_INSTANCES)
		return;
	if (!(vm->ninsts & (vm->ninsts - 1)))
		vm->insts = xrealloc(vm->insts, (vm->ninsts ? 2 * vm->ninsts : 1) *
						sizeof(*vm->insts));
	vm->insts[vm->ninsts++] = (struct instance){ allctr, alloc_no, ix };
}

/* An Allctr_t that says so itself: its allocator's number and its index. */
static bool is_instance(struct vm *vm, vmaddr_t allctr, unsigned int a, unsigned int ix)
{
	const struct layout_fields *f = &vm->lay->f;
	uint32_t no, have;

	return reader_u32(&vm->rd, allctr + f->allctr_alloc_no, &no) && no == a &&
	       reader_u32(&vm->rd, allctr + f->allctr_ix, &have) && have == ix;
}

/*
 * The word `extra` of an entry of erts_allctrs is 0 for the system's malloc, else the allocator's
 * one instance, or its ErtsAllocatorThrSpec_t, which has an instance per scheduler and one for all
 * others (erl_alloc.c, set_au_allocator).
 */
static void read_allocators(struct vm *vm)
{
	const struct layout_fields *f = &vm->lay->f;
	vmaddr_t table = symbols_addr(&vm->sym, "erts_allctrs"), spec;
	uint32_t enabled, size, dd, j;
	uint64_t array, allctr, faults = vm->rd.faults;
	unsigned int a;

	for (a = 1; a < VM_MAX_ALLOCATORS; a++) {
		if (!vm->allocator_name[a][0] ||
		    !reader_copy(&vm->rd, table + 32 * a, &vm->allctrs[a], 32) ||
		    !vm->allctrs[a].extra)
			continue;
		spec = vm->allctrs[a].extra;
		if (is_instance(vm, spec, a, 0)) {
			add_instance(vm, spec, a, 0);
			continue;
		}
		if (!reader_u32(&vm->rd, spec + f->thrspec_enabled, &enabled) || enabled != 1 ||
		    !reader_u32(&vm->rd, spec + f->thrspec_dd, &dd) ||
		    !reader_u32(&vm->rd, spec + f->thrspec_size, &size) ||
		    size > VM_MAX_SCHEDULERS ||
		    !reader_u64(&vm->rd, spec + f->thrspec_allctr, &array))
			continue;
		vm->allctrs_preferred[a] = dd;
		vm->allctrs_specific[a] = !dd;
		for (j = 0; j < size; j++)
			if (reader_u64(&vm->rd, array + 8 * j, &allctr) && allctr)
				add_instance(vm, allctr, a, j);
	}
	/* an `extra` was taken for what it is not */
	vm->rd.faults = faults;
}

static void read_node_name(struct vm *vm)
{
	vmaddr_t this_node = symbols_addr(&vm->sym, "erts_this_node");
	uint64_t node, sysname;
	const char *text;

	if (this_node && reader_u64(&vm->rd, this_node, &node) &&
	    reader_u64(&vm->rd, node + vm->lay->f.node_sysname, &sysname) &&
	    (text = term_atom(vm, sysname)))
		snprintf(vm->node, sizeof(vm->node), "%s", text);
}

/*
 * '$initial_call' is an atom somewhere in a table of ten thousands.  It is a key in the
 * dictionary of every process that proc_lib started, so a few dictionaries give it away.
 */
static eterm_t find_initial_call_key(struct vm *vm)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t slots[512], proc, dict, words[64], pair[3];
	uint32_t size, seen = 0;
	const char *text;
	size_t i, k, n, at;

	for (at = 0; at < vm->proc_max && seen < 256; at += n) {
		n = vm->proc_max - at < ARRAY_SIZE(slots) ? vm->proc_max - at : ARRAY_SIZE(slots);
		if (!reader_copy(&vm->rd, vm->tab + 8 * at, slots, 8 * n))
			return 0;
		for (i = 0; i < n; i++) {
			proc = slots[i];
			if (!proc || proc == vm->invalid_element)
				continue;
			seen++;
			if (!reader_u64(&vm->rd, proc + f->proc_dictionary, &dict) || !dict ||
			    !reader_u32(&vm->rd, dict + f->dict_array_size, &size) || !size)
				continue;
			if (size > ARRAY_SIZE(words))
				size = ARRAY_SIZE(words);
			if (!reader_copy(&vm->rd, dict + f->dict_data, words, 8 * size))
				continue;
			for (k = 0; k < size; k++) {
				if ((words[k] & 3) != 2 ||
				    !reader_copy(&vm->rd, words[k] & ~7ULL, pair, sizeof(pair)) ||
				    pair[0] != 2 << 6)
					continue;
				text = term_atom(vm, pair[1]);
				if (text && !strcmp(text, "$initial_call"))
					return pair[1];
			}
		}
	}
	return 0;
}

void vm_read_tables(struct vm *vm)
{
	read_process_table(vm);
	add_schedulers(vm, "erts_aligned_scheduler_data", "erts_no_schedulers", SCHED_NORMAL);
	add_schedulers(vm, "erts_aligned_dirty_cpu_scheduler_data",
		       "erts_no_dirty_cpu_schedulers", SCHED_DIRTY_CPU);
	add_schedulers(vm, "erts_aligned_dirty_io_scheduler_data",
		       "erts_no_dirty_io_schedulers", SCHED_DIRTY_IO);
	read_types(vm);
	read_allocators(vm);
}

void vm_read_names(struct vm *vm)
{
	read_node_name(vm);
	vm->atom_initial_call = find_initial_call_key(vm);
}

void vm_forget(struct vm *vm)
{
	term_atoms_free(vm);
	free(vm->scheds);
	free(vm->insts);
	vm->scheds = NULL;
	vm->insts = NULL;
	memset(vm->allctrs_preferred, 0, sizeof(vm->allctrs_preferred));
	memset(vm->allctrs_specific, 0, sizeof(vm->allctrs_specific));
	vm->nscheds = vm->nnormal = vm->ninsts = vm->nchecks = vm->npassed = 0;
}
