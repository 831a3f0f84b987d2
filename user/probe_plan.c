// SPDX-License-Identifier: GPL-2.0-only
/* Which functions are probed for which section, and where exactly: see site.h for the latter. */
#include "probe.h"

#include <string.h>

const enum eb_group probe_prog_group[PROG_N] = {
	[PROG_ALLOC] = EB_GROUP_ALLOC,	     [PROG_REALLOC] = EB_GROUP_ALLOC,
	[PROG_FREE] = EB_GROUP_ALLOC,	     [PROG_GC_ENTER] = EB_GROUP_GC,
	[PROG_GC_RETURN] = EB_GROUP_GC,	     [PROG_EXIT] = EB_GROUP_EXIT,
	[PROG_CARRIER_ENTER] = EB_GROUP_CARRIER, [PROG_CARRIER_RETURN] = EB_GROUP_CARRIER,
};

bool probe_prog_is_return(enum probe_prog prog)
{
	return prog == PROG_GC_RETURN || prog == PROG_CARRIER_RETURN;
}

static void add_site(struct vm *vm, struct probe_plan *plan, enum probe_prog prog, vmaddr_t addr,
		     const char *name, unsigned int args, uint64_t cookie)
{
	struct probe_site *s;
	char why[128] = "it has no symbol";
	size_t i;

	/* many tables hold the same function */
	for (i = 0; addr && i < plan->n; i++)
		if (plan->sites[i].prog == prog &&
		    plan->sites[i].site.link_addr == addr - vm->sym.bias)
			return;
	if (plan->n == PROBE_MAX_SITES)
		return;
	s = &plan->sites[plan->n];
	if (!addr || site_choose(&vm->sym, addr, args, probe_prog_is_return(prog), &s->site, why,
				 sizeof(why))) {
		if (plan->nmissing < ARRAY_SIZE(plan->missing)) {
			snprintf(plan->missing[plan->nmissing].name, 64, "%s", name);
			snprintf(plan->missing[plan->nmissing++].why, 128, "%s", why);
		}
		return;
	}
	if (s->site.name[0] == '0')
		snprintf(s->site.name, sizeof(s->site.name), "%s", name);
	s->site.cookie = cookie;
	s->prog = prog;
	s->group = probe_prog_group[prog];
	s->is_return = probe_prog_is_return(prog);
	plan->groups |= 1u << s->group;
	plan->n++;
}

/* The allocators' entry points are read from the VM's own table: right whatever +M flags say. */
static void plan_alloc(struct vm *vm, struct probe_plan *plan)
{
	const struct symbol *s;
	unsigned int a;

	for (a = 1; a < VM_MAX_ALLOCATORS; a++) {
		s = symbols_at(&vm->sym, vm->allctrs[a].alloc);
		if (!s || strncmp(s->name, "erts_alcu_", 10))
			continue; /* sys_alloc, or switched off: not of alloc_util */
		add_site(vm, plan, PROG_ALLOC, vm->allctrs[a].alloc, s->name,
			 SITE_ARG(0) | SITE_ARG(2), 0);
		s = symbols_at(&vm->sym, vm->allctrs[a].free);
		if (s && !strncmp(s->name, "erts_alcu_", 10))
			add_site(vm, plan, PROG_FREE, vm->allctrs[a].free, s->name,
				 SITE_ARG(0) | SITE_ARG(2), 0);
		s = symbols_at(&vm->sym, vm->allctrs[a].realloc);
		/* fix_alloc's realloc only ends the VM: no site */
		if (s && !strncmp(s->name, "erts_alcu_", 10))
			add_site(vm, plan, PROG_REALLOC, vm->allctrs[a].realloc, s->name,
				 SITE_ARG(0) | SITE_ARG(2) | SITE_ARG(3),
				 strstr(s->name, "thr_pref") ? EB_REALLOC_DELEGATES :
							       EB_REALLOC_OWN);
	}
}

static void plan_gc(struct vm *vm, struct probe_plan *plan)
{
	static const struct { const char *name; uint64_t cookie; } sites[] = {
		{ "erts_garbage_collect_nobump", EB_GC_ORDINARY },
		{ "erts_garbage_collect", EB_GC_ORDINARY },
		{ "erts_gc_after_bif_call_lhf", EB_GC_ORDINARY },
		{ "erts_garbage_collect_literals", EB_GC_ORDINARY },
		{ "erts_garbage_collect_hibernate", EB_GC_HIBERNATE },
	};
	vmaddr_t addr;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sites); i++) {
		addr = symbols_addr(&vm->sym, sites[i].name);
		add_site(vm, plan, PROG_GC_ENTER, addr, sites[i].name, SITE_ARG(0),
			 sites[i].cookie);
		add_site(vm, plan, PROG_GC_RETURN, addr, sites[i].name, 0, sites[i].cookie);
	}
}

/* The callbacks differ where strategies do: all distinct ones, over all instances. */
static void plan_carrier(struct vm *vm, struct probe_plan *plan)
{
	const struct layout_fields *f = &vm->lay->f;
	const struct { unsigned int off; const char *name; unsigned int args; uint64_t cookie; }
	callbacks[] = {
		{ f->allctr_mseg_alloc, "mseg_alloc", SITE_ARG(0) | SITE_ARG(1) | SITE_ARG(2),
		  EB_CARRIER_ALLOC },
		{ f->allctr_mseg_realloc, "mseg_realloc", SITE_ARG(0) | SITE_ARG(2) | SITE_ARG(3),
		  EB_CARRIER_REALLOC },
		{ f->allctr_mseg_dealloc, "mseg_dealloc", SITE_ARG(0) | SITE_ARG(2) | SITE_ARG(3),
		  EB_CARRIER_DEALLOC },
		{ f->allctr_sys_alloc, "sys_alloc", SITE_ARG(0) | SITE_ARG(1) | SITE_ARG(2),
		  EB_CARRIER_ALLOC | EB_CARRIER_SYS },
		{ f->allctr_sys_realloc, "sys_realloc", SITE_ARG(0) | SITE_ARG(2) | SITE_ARG(3),
		  EB_CARRIER_REALLOC | EB_CARRIER_SYS },
		{ f->allctr_sys_dealloc, "sys_dealloc", SITE_ARG(0) | SITE_ARG(2) | SITE_ARG(3),
		  EB_CARRIER_DEALLOC | EB_CARRIER_SYS },
	};
	const struct instance *in;
	char name[64];
	uint64_t addr;
	size_t i, k;

	for (i = 0; i < vm->ninsts; i++) {
		in = &vm->insts[i];
		for (k = 0; k < ARRAY_SIZE(callbacks); k++) {
			if (!reader_u64(&vm->rd, in->allctr + callbacks[k].off, &addr) || !addr)
				continue;
			snprintf(name, sizeof(name), "Allctr_t.%s", callbacks[k].name);
			add_site(vm, plan, PROG_CARRIER_ENTER, addr, name, callbacks[k].args,
				 callbacks[k].cookie);
			if ((callbacks[k].cookie & 3) != EB_CARRIER_DEALLOC)
				add_site(vm, plan, PROG_CARRIER_RETURN, addr, name, 0,
					 callbacks[k].cookie);
		}
	}
}

void probe_plan(struct vm *vm, unsigned int want, struct probe_plan *plan)
{
	memset(plan, 0, sizeof(*plan));
	if (want & WANT_CARRIER)
		plan_carrier(vm, plan);
	if (want & (WANT_GC | WANT_BIN))
		plan_gc(vm, plan);
	add_site(vm, plan, PROG_EXIT, symbols_addr(&vm->sym, "erts_do_exit_process"),
		 "erts_do_exit_process", SITE_ARG(0), 0);
	if (want & (WANT_ALLOC | WANT_BIN))
		plan_alloc(vm, plan);
}

double probe_group_ns(const struct probe_plan *plan, enum eb_group group,
		      const struct probe_cost *cost)
{
	double sum = 0, ns;
	size_t i, n = 0;

	for (i = 0; i < plan->n; i++) {
		if (plan->sites[i].group != group)
			continue;
		/* entry and return of a call are two hits; cost.ret was measured for both */
		ns = plan->sites[i].is_return ? cost->ret - cost->entry : cost->entry;
		if (plan->sites[i].site.class == SITE_STEPPED && cost->stepped > ns)
			ns = cost->stepped;
		sum += ns;
		n++;
	}
	return n ? sum / n : 0;
}
