// SPDX-License-Identifier: GPL-2.0-only
/* Which functions are probed for which section, and where exactly: see site.h for the latter. */
#include "bootstrap.h"
#include "probe_plan.h"

#include <string.h>

const enum eb_group probe_prog_group[PROG_N] = {
	[PROG_ALLOC] = EB_GROUP_ALLOC,
	[PROG_ALLOC_SESSION] = EB_GROUP_ALLOC,
	[PROG_ALLOC_RETURN] = EB_GROUP_ALLOC,
	[PROG_REALLOC] = EB_GROUP_ALLOC,
	[PROG_REALLOC_SESSION] = EB_GROUP_ALLOC,
	[PROG_FREE] = EB_GROUP_ALLOC,
	[PROG_GC_ENTER] = EB_GROUP_GC,
	[PROG_GC_RETURN] = EB_GROUP_GC,
	[PROG_EXIT] = EB_GROUP_EXIT,
	[PROG_CARRIER_ENTER] = EB_GROUP_CARRIER,
	[PROG_CARRIER_BELOW] = EB_GROUP_CARRIER,
	[PROG_CARRIER_CREATE] = EB_GROUP_CARRIER,
	[PROG_CARRIER_RETURN] = EB_GROUP_CARRIER,
	[PROG_POOL] = EB_GROUP_CARRIER,
	[PROG_REFC] = EB_GROUP_REFC,
};

const char *const probe_api_names[EB_NAPIS] = {
	[EB_API_DRV_INC] = "driver_binary_inc_refc",
	[EB_API_DRV_DEC] = "driver_binary_dec_refc",
	[EB_API_DRV_FREE] = "driver_free_binary",
	[EB_API_NIF_RELEASE] = "enif_release_binary",
};

bool probe_prog_is_return(enum probe_prog prog)
{
	return prog == PROG_ALLOC_RETURN || prog == PROG_GC_RETURN || prog == PROG_CARRIER_RETURN;
}

static bool keeps_stack(enum probe_prog prog)
{
	return probe_prog_is_return(prog) || prog == PROG_ALLOC_SESSION ||
	       prog == PROG_REALLOC_SESSION;
}

struct probe_site *probe_plan_add(struct vm *vm, struct probe_plan *plan, enum probe_prog prog,
				  vmaddr_t addr, const char *name, unsigned int args, uint64_t what)
{
	struct probe_site *s;
	char why[128] = "it has no symbol";
	size_t i;

	/* many tables hold the same function */
	for (i = 0; addr && i < plan->n; i++)
		if (plan->sites[i].prog == prog &&
		    plan->sites[i].site.link_addr == addr - vm->sym.bias)
			return NULL;
	if (plan->n == PROBE_MAX_SITES)
		return NULL;
	s = &plan->sites[plan->n];
	if (!addr || site_choose(&vm->sym, addr, args, keeps_stack(prog), &s->site, why,
				 sizeof(why))) {
		if (plan->nmissing < ARRAY_SIZE(plan->missing)) {
			snprintf(plan->missing[plan->nmissing].name, 64, "%s", name);
			snprintf(plan->missing[plan->nmissing++].why, 128, "%s", why);
		}
		return NULL;
	}
	if (s->site.name[0] == '0')
		snprintf(s->site.name, sizeof(s->site.name), "%s", name);
	s->site.cookie = EB_COOKIE(plan->n, what);
	s->prog = prog;
	s->group = probe_prog_group[prog];
	s->is_return = probe_prog_is_return(prog);
	plan->groups |= 1u << s->group;
	plan->n++;
	return s;
}

static bool has_instances(const struct vm *vm, unsigned int a)
{
	size_t i;

	for (i = 0; i < vm->ninsts; i++)
		if (vm->insts[i].alloc_no == a)
			return true;
	return false;
}

/*
 * The allocators' entry points are read from the VM's own table: right whatever +M flags say.
 * Without session probes the return of every call is probed for the sake of those whose birth is
 * recorded.
 */
static void plan_alloc(struct vm *vm, const struct probe_kernel *k, struct probe_plan *plan)
{
	const unsigned int alloc_args = SITE_ARG(0) | SITE_ARG(2);
	const unsigned int realloc_args = alloc_args | SITE_ARG(3);
	static const char *const kinds[] = { "ts", "thr_spec", "thr_pref" };
	const char *kind;
	char name[64];
	unsigned int a, pref;

	for (a = 1; a < VM_MAX_ALLOCATORS; a++) {
		if (!has_instances(vm, a))
			continue; /* sys_alloc, or switched off: not of alloc_util */
		pref = vm->allctrs_preferred[a] ? EB_ALLCTR_PREFERRED : EB_ALLCTR_FIXED;
		kind = kinds[pref ? 2 : vm->allctrs_specific[a]];
		snprintf(name, sizeof(name), "erts_alcu_alloc_%s", kind);
		probe_plan_add(vm, plan, k->session ? PROG_ALLOC_SESSION : PROG_ALLOC,
			 vm->allctrs[a].alloc, name, alloc_args, pref);
		if (!k->session)
			probe_plan_add(vm, plan, PROG_ALLOC_RETURN, vm->allctrs[a].alloc, name, 0, 0);
		snprintf(name, sizeof(name), "erts_alcu_free_%s", kind);
		probe_plan_add(vm, plan, PROG_FREE, vm->allctrs[a].free, name, alloc_args, pref);
		/* fix_alloc's realloc only ends the VM: no site */
		if (!strcmp(vm->allocator_name[a], "fix_alloc"))
			continue;
		snprintf(name, sizeof(name), "erts_alcu_realloc_%s", kind);
		probe_plan_add(vm, plan, k->session ? PROG_REALLOC_SESSION : PROG_REALLOC,
			 vm->allctrs[a].realloc, name, realloc_args, pref);
		if (!k->session)
			probe_plan_add(vm, plan, PROG_ALLOC_RETURN, vm->allctrs[a].realloc, name, 0, 0);
	}
}

/* Absent ones are no loss: what they would count is only what they themselves do. */
static void plan_refc(struct vm *vm, struct probe_plan *plan)
{
	unsigned int i;
	vmaddr_t addr;

	for (i = 0; i < EB_NAPIS; i++) {
		addr = symbols_addr(&vm->sym, probe_api_names[i]);
		if (addr)
			probe_plan_add(vm, plan, PROG_REFC, addr, probe_api_names[i], SITE_ARG(0), i);
	}
}

/*
 * All collections but hibernations and those of literals go through garbage_collect(), which is
 * static: where no rung of the ladder has it, its callers are probed.
 */
static void plan_gc(struct vm *vm, struct probe_plan *plan)
{
	static const struct { const char *name; uint64_t cookie; bool is_caller; } sites[] = {
		{ "garbage_collect", EB_GC_ORDINARY, false },
		{ "erts_garbage_collect_nobump", EB_GC_ORDINARY, true },
		{ "erts_garbage_collect", EB_GC_ORDINARY, true },
		{ "erts_gc_after_bif_call_lhf", EB_GC_ORDINARY, true },
		{ "erts_garbage_collect_literals", EB_GC_ORDINARY, false },
		{ "erts_garbage_collect_hibernate", EB_GC_HIBERNATE, false },
	};
	bool has_static = symbols_find(&vm->sym, sites[0].name);
	vmaddr_t addr;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sites); i++) {
		addr = symbols_addr(&vm->sym, sites[i].name);
		if (i ? has_static && sites[i].is_caller : !has_static)
			continue;
		probe_plan_add(vm, plan, PROG_GC_ENTER, addr, sites[i].name, SITE_ARG(0),
			 sites[i].cookie);
		probe_plan_add(vm, plan, PROG_GC_RETURN, addr, sites[i].name, 0, sites[i].cookie);
	}
}

int probe_plan(struct vm *vm, const struct probe_kernel *k, unsigned int want,
	       struct probe_plan *plan)
{
	struct functions f;
	char why[256];
	bool open;

	memset(plan, 0, sizeof(*plan));
	/* code that cannot be decoded cannot contradict either */
	open = !functions_open(&f, &vm->sym, why, sizeof(why));
	if (open && !bootstrap_code_agrees(&vm->sym, &f, why, sizeof(why))) {
		functions_close(&f);
		return fail(EXIT_UNSUPPORTED, "its symbols are not to be trusted: give those of this "
			    "build with --symbols FILE, or use an ordinary one",
			    "%s of pid %d: %s", vm->target.exe, vm->target.pid, why);
	}
	if (want & WANT_CARRIER)
		probe_plan_carriers(vm, open ? &f : NULL, plan);
	if (open)
		functions_close(&f);
	if (want & (WANT_GC | WANT_BIN))
		plan_gc(vm, plan);
	probe_plan_add(vm, plan, PROG_EXIT, symbols_addr(&vm->sym, "erts_do_exit_process"),
		 "erts_do_exit_process", SITE_ARG(0), 0);
	if (want & (WANT_ALLOC | WANT_BIN))
		plan_alloc(vm, k, plan);
	if (want & WANT_BIN)
		plan_refc(vm, plan);
	return 0;
}

double probe_group_ns(const struct probe_plan *plan, enum eb_group group,
		      const struct probe_cost *cost)
{
	double sum = 0, ns;
	size_t i, n = 0;

	for (i = 0; i < plan->n; i++) {
		if (plan->sites[i].group != group || plan->sites[i].is_return)
			continue;
		ns = cost->entry;
		if (plan->sites[i].site.class == SITE_STEPPED && cost->stepped > ns)
			ns = cost->stepped;
		sum += ns;
		n++;
	}
	return n ? sum / n : 0;
}

double probe_return_ns(const struct probe_cost *cost)
{
	/* it was measured with its entry */
	return cost->ret > cost->entry ? cost->ret - cost->entry : 0;
}
