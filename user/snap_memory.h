/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The nine numbers of erlang:memory(), and the areas that they are made of.
 *
 * Blocks of all allocators, plus what the VM counts apart (erts_allocated_areas() in erl_alloc.c):
 * tables, text of atoms, code.  Those counters are static in most builds; memory_areas_open() finds
 * them by the code that reads them.  What is not found makes the numbers that need it unknown.
 */
#ifndef EBEAM_SNAP_MEMORY_H
#define EBEAM_SNAP_MEMORY_H

#include "snap_mem.h"

/* As erlang:system_info(allocated_areas) names them. */
enum memory_area {
	AREA_ATOM_SPACE, AREA_ATOM_SPACE_USED, AREA_ATOM_TABLE, AREA_MODULE_TABLE,
	AREA_EXPORT_TABLE, AREA_EXPORT_LIST, AREA_FUN_TABLE, AREA_MODULE_REFS, AREA_LOADED_CODE,
	AREA_PROCESS_TABLE, AREA_ETS_MISC, AREA_N,
};

enum memory_key {
	MEMORY_TOTAL, MEMORY_PROCESSES, MEMORY_PROCESSES_USED, MEMORY_SYSTEM, MEMORY_ATOM,
	MEMORY_ATOM_USED, MEMORY_BINARY, MEMORY_CODE, MEMORY_ETS, MEMORY_N,
};

struct memory_areas {
	/* in the target; 0: not found */
	vmaddr_t atom_space, atom_space_used, module_bytes, export_tables, export_bytes, fun_table,
		ranges_used, code_size, ets_misc;
	char missing[200]; /* names of those, for a note */
};

struct snap_memory {
	uint64_t area[AREA_N];
	bool area_known[AREA_N];
	uint64_t v[MEMORY_N];
	bool known[MEMORY_N];
};

void memory_areas_open(struct vm *vm, struct memory_areas *a);
void snap_memory_read(struct vm *vm, const struct memory_areas *a, const struct snap_mem *m,
		      struct snap_memory *s);

const char *memory_key_name(enum memory_key key);
const char *memory_area_name(enum memory_area area);

#endif
