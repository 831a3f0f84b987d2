// SPDX-License-Identifier: GPL-2.0-only
/* What the nine numbers are made of, and how, as erlang:memory/0 does it: see snap_memory.h. */
#include "snap_memory.h"

#include <stdlib.h>
#include <string.h>

const char *memory_key_name(enum memory_key key)
{
	static const char *const names[] = {
		"total", "processes", "processes_used", "system", "atom", "atom_used", "binary",
		"code", "ets",
	};

	return names[key];
}

const char *memory_area_name(enum memory_area area)
{
	static const char *const names[] = {
		"atom_space", "atom_space_used", "atom_table", "module_table", "export_table",
		"export_list", "fun_table", "fun_list", "module_refs", "loaded_code",
		"process_table", "ets_misc",
	};

	return names[area];
}

static void set(struct snap_memory *s, enum memory_area area, uint64_t v)
{
	s->area[area] = v;
	s->area_known[area] = true;
}

static void read_counters(struct vm *vm, const struct memory_areas *a, struct snap_memory *s)
{
	const struct { enum memory_area area; vmaddr_t at; unsigned int times; } counters[] = {
		{ AREA_ATOM_SPACE, a->atom_space, 1 },
		{ AREA_ATOM_SPACE_USED, a->atom_space_used, 1 },
		{ AREA_MODULE_REFS, a->ranges_used, vm->lay->f.range_stride },
		{ AREA_LOADED_CODE, a->code_size, 1 },
		{ AREA_ETS_MISC, a->ets_misc, 1 },
	};
	uint64_t v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(counters); i++)
		if (counters[i].at && reader_u64(&vm->rd, counters[i].at, &v))
			set(s, counters[i].area, v * counters[i].times);
}

/* A word for each process that there may be, and half a one for the order of free ids. */
static void read_process_table(struct vm *vm, struct snap_memory *s)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t ids;

	if (f->ptab_free_ids == f->ptab_tab + 8 &&
	    reader_u64(&vm->rd, vm->proc_tab + f->ptab_free_ids, &ids) && !(ids & 3))
		set(s, AREA_PROCESS_TABLE, (uint64_t)vm->proc_max * (ids ? 12 : 8));
}

static bool area(const struct snap_memory *s, enum memory_area a, uint64_t *sum)
{
	*sum += s->area[a];
	return s->area_known[a];
}

/* Objects that belong to processes, of those that fix_alloc keeps. */
static bool of_processes(const char *type)
{
	static const char *const types[] = { "proc", "monitor", "link", "msg_ref", "ll_ptimer",
					     "hl_ptimer", "bif_timer", "accessor_bif_timer" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(types) && strcmp(types[i], type); i++)
		;
	return i < ARRAY_SIZE(types);
}

static unsigned int number_of(const struct vm *vm, const char *allocator)
{
	unsigned int a;

	for (a = 1; a < MEM_ALLOCATORS && strcmp(vm->allocator_name[a], allocator); a++)
		;
	return a;
}

/* All allocators but the one for tests must be on: the VM itself refuses otherwise. */
static bool all_enabled(const struct vm *vm)
{
	unsigned int a, n;
	size_t i;

	for (a = 1; a < MEM_ALLOCATORS; a++) {
		if (!vm->allocator_name[a][0] || !strcmp(vm->allocator_name[a], "sys_alloc") ||
		    !strcmp(vm->allocator_name[a], "test_alloc"))
			continue;
		for (n = 0, i = 0; i < vm->ninsts; i++)
			n += vm->insts[i].alloc_no == a;
		if (!n)
			return false;
	}
	return true;
}

static void put(struct snap_memory *s, enum memory_key key, bool known, uint64_t v)
{
	s->known[key] = known;
	s->v[key] = known ? v : 0;
}

static void compute(struct vm *vm, const struct snap_mem *m, struct snap_memory *s)
{
	uint64_t total = 0, processes, used, atom = 0, atom_used = 0, code = 0, ets = 0;
	bool whole = all_enabled(vm) && !m->unread, processes_known, code_known, known;
	unsigned int a;
	size_t i;

	for (a = 1; a < MEM_ALLOCATORS; a++)
		total += snap_mem_blocks_of(m, a);
	processes = snap_mem_blocks_of(m, number_of(vm, "eheap_alloc"));
	processes_known = area(s, AREA_PROCESS_TABLE, &processes) && m->fix_known && whole;
	used = processes;
	for (i = 0; i < m->nfix; i++)
		if (of_processes(m->fix[i].type)) {
			processes += m->fix[i].allocated;
			used += m->fix[i].used;
		}
	code_known = area(s, AREA_LOADED_CODE, &code);
	/* code of the JIT lies outside of the allocators */
	if (vm->jit)
		total += code;
	put(s, MEMORY_TOTAL, whole && (!vm->jit || code_known), total);
	put(s, MEMORY_PROCESSES, processes_known, processes);
	put(s, MEMORY_PROCESSES_USED, processes_known, used);
	put(s, MEMORY_SYSTEM, s->known[MEMORY_TOTAL] && processes_known, total - processes);
	known = area(s, AREA_ATOM_TABLE, &atom) & area(s, AREA_ATOM_SPACE, &atom) & whole;
	put(s, MEMORY_ATOM, known, atom);
	known = area(s, AREA_ATOM_TABLE, &atom_used) & area(s, AREA_ATOM_SPACE_USED, &atom_used) &
		whole;
	put(s, MEMORY_ATOM_USED, known, atom_used);
	put(s, MEMORY_BINARY, whole, snap_mem_blocks_of(m, number_of(vm, "binary_alloc")));
	ets = snap_mem_blocks_of(m, number_of(vm, "ets_alloc"));
	known = area(s, AREA_ETS_MISC, &ets) & whole;
	put(s, MEMORY_ETS, known, ets);
	code_known &= area(s, AREA_MODULE_TABLE, &code) & area(s, AREA_EXPORT_TABLE, &code) &
		      area(s, AREA_EXPORT_LIST, &code) & area(s, AREA_FUN_TABLE, &code) &
		      area(s, AREA_FUN_LIST, &code) & area(s, AREA_MODULE_REFS, &code);
	put(s, MEMORY_CODE, code_known && whole, code);
}

void memory_areas_open(struct vm *vm, struct memory_areas *a)
{
	struct snap_memory s;
	uint64_t bytes;
	size_t i, n = 0;

	memset(a, 0, sizeof(*a));
	memory_tables_open(vm, a);
	memory_find_counters(vm, a);
	/* the counter, as wherever it was found, is the sum over all modules */
	if (a->code_size && (!reader_u64(&vm->rd, a->code_size, &bytes) ||
			     !memory_tables_code(vm, a, bytes)))
		a->code_size = 0;
	snap_memory_areas(vm, a, &s);
	for (i = 0; i < AREA_N; i++)
		if (!s.area_known[i] && n < sizeof(a->missing))
			n += snprintf(a->missing + n, sizeof(a->missing) - n, "%s%s", n ? ", " : "",
				      memory_area_name(i));
}

void snap_memory_areas(struct vm *vm, const struct memory_areas *a, struct snap_memory *s)
{
	memset(s, 0, sizeof(*s));
	read_counters(vm, a, s);
	read_process_table(vm, s);
	memory_tables_read(vm, a, s);
}

void snap_memory_read(struct vm *vm, const struct memory_areas *a, const struct snap_mem *m,
		      struct snap_memory *s)
{
	snap_memory_areas(vm, a, s);
	compute(vm, m, s);
}
