// SPDX-License-Identifier: GPL-2.0-only
#include "check_reads.h"
#include "code.h"
#include "snap_ets.h"
#include "snap_info.h"
#include "snap_mem.h"
#include "snap_memory.h"
#include "snap_port.h"
#include "snap_ps.h"
#include "snap_stack.h"
#include "term_print.h"

#include <string.h>

#define PAGES_BYTES (1 << 20)

/* What a part that fails as a whole has noted. */
static const char *noted(void)
{
	return failure_get() ? failure_get()->message : "cannot be read";
}

static void check_processes(struct vm *vm, read_check_fn tell, void *arg)
{
	char why[256] = "";
	struct ps ps;

	snap_ps_open(&ps, vm, why, sizeof(why));
	tell(arg, "processes", "ps, proc", why);
	snap_ps_close(&ps);
}

static void check_stacks(struct vm *vm, read_check_fn tell, void *arg)
{
	char why[256] = "";
	struct snap_stacks *stacks;
	struct code *code = code_open(vm, why, sizeof(why));

	tell(arg, "code", "ps, proc", code ? "" : why);
	why[0] = '\0';
	stacks = snap_stacks_open(vm, code, why, sizeof(why));
	tell(arg, "stacks", "ps, proc", stacks ? "" : why);
	if (stacks)
		snap_stacks_close(stacks);
	if (code)
		code_close(code);
}

static void check_terms(struct vm *vm, read_check_fn tell, void *arg)
{
	struct pages pages;
	struct terms ts;
	char why[160];

	pages_open(&pages, &vm->rd, PAGES_BYTES);
	terms_open(&ts, vm, &pages);
	snprintf(why, sizeof(why), "%s%s%s%s%s%s%s", ts.no_funs ? "funs " : "",
		 ts.no_exports ? "external funs " : "", ts.no_binaries ? "refc binaries " : "",
		 ts.no_sub_binaries ? "sub binaries " : "",
		 ts.no_externals ? "pids of other nodes " : "",
		 ts.no_magic ? "magic references " : "", ts.no_refs ? "references " : "");
	if (why[0])
		why[strlen(why) - 1] = '\0';
	tell(arg, "terms", "proc", why);
	pages_close(&pages);
}

static void check_tables(struct vm *vm, read_check_fn tell, void *arg)
{
	struct snap_ets ets;
	struct snap_port port;

	tell(arg, "tables", "ets", snap_ets_open(&ets, vm) ? noted() : ets.unproven);
	failure_clear();
	if (snap_port_open(&port, vm)) {
		tell(arg, "ports", "port", noted());
		failure_clear();
		return;
	}
	tell(arg, "ports", "port", port.unproven);
	snap_port_close(&port);
}

static void check_memory(struct vm *vm, read_check_fn tell, void *arg)
{
	struct snap_mem_proof mem = { 0 };
	struct snap_info_proof info = { 0 };
	struct memory_areas areas = { 0 };

	snap_mem_open(vm, &mem);
	tell(arg, "allocators", "mem", mem.nwhy ? mem.why[0] : "");
	memory_areas_open(vm, &areas);
	tell(arg, "memory", "mem", areas.missing);
	snap_info_open(vm, &info);
	tell(arg, "limits", "info", info.nwhy ? info.why[0] : "");
}

void check_reads(struct vm *vm, read_check_fn tell, void *arg)
{
	check_processes(vm, tell, arg);
	check_stacks(vm, tell, arg);
	check_terms(vm, tell, arg);
	check_tables(vm, tell, arg);
	check_memory(vm, tell, arg);
}
