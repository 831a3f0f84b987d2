/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The nine numbers of erlang:memory(), and the areas that they are made of.
 *
 * Blocks of all allocators, plus what the VM counts apart (erts_allocated_areas() in erl_alloc.c):
 * tables, text of atoms, code.  Those are computed from the tables themselves, which are found by
 * their names (memory_tables.c), or read from counters, which are found by symbols or by the code
 * that reads them (memory_find.c).  What is not found makes the numbers that need it unknown.
 */
#ifndef EBEAM_SNAP_MEMORY_H
#define EBEAM_SNAP_MEMORY_H

#include "snap_mem.h"

/* As erlang:system_info(allocated_areas) names them. */
enum memory_area {
	AREA_ATOM_SPACE, AREA_ATOM_SPACE_USED, AREA_ATOM_TABLE, AREA_MODULE_TABLE,
	AREA_EXPORT_TABLE, AREA_EXPORT_LIST, AREA_FUN_TABLE, AREA_FUN_LIST, AREA_MODULE_REFS,
	AREA_LOADED_CODE, AREA_PROCESS_TABLE, AREA_ETS_MISC, AREA_N,
};

enum memory_key {
	MEMORY_TOTAL, MEMORY_PROCESSES, MEMORY_PROCESSES_USED, MEMORY_SYSTEM, MEMORY_ATOM,
	MEMORY_ATOM_USED, MEMORY_BINARY, MEMORY_CODE, MEMORY_ETS, MEMORY_N,
};

/* Where they are counted, in the target; 0: not found. */
struct memory_areas {
	vmaddr_t atom_space, atom_space_used, ranges_used, code_size, ets_misc; /* words */
	bool tables;			/* what is known of tables holds */
	vmaddr_t modules, exports, funs; /* the first of three tables, one for each code index */
	bool funs_indexed;		/* funs: from OTP 28; before, one Hash */
	char missing[240]; /* the names of those areas that cannot be had, for a note */
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

/* What the VM counts apart from its allocators. */
void snap_memory_areas(struct vm *vm, const struct memory_areas *a, struct snap_memory *s);

/* memory_find.c: the counters. */
void memory_find_counters(struct vm *vm, struct memory_areas *a);
/* memory_tables.c */
void memory_tables_open(struct vm *vm, struct memory_areas *a);
/* Sizes of tables and of what is in them: fills in areas, false where one cannot be read. */
bool memory_tables_read(struct vm *vm, const struct memory_areas *a, struct snap_memory *s);
/* Whether modules have as many bytes of code, by any of the three tables. */
bool memory_tables_code(struct vm *vm, const struct memory_areas *a, uint64_t bytes);

const char *memory_key_name(enum memory_key key);
const char *memory_area_name(enum memory_area area);

#endif
