// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sites of carriers: the callbacks of every instance, or what a compiler's cleverness leaves of them.
 *
 * The callbacks are good sites: reached through a pointer that can be read, with the instance as
 * first argument.  But GCC 16 puts the body of one into the function that calls it, behind `if the
 * pointer is that function`; then the callback is never hit.  Such a caller mentions the callback's
 * address and calls what the callback calls; both can be seen in the code.
 */
#include "functions.h"
#include "probe_plan.h"

#include <string.h>

#define MAX_CALLEES 8
#define MAX_REFS 64
#define ALL_ARGS (SITE_ARG(0) | SITE_ARG(1) | SITE_ARG(2) | SITE_ARG(3))

struct callback {
	const char *name; /* member of Allctr_t */
	unsigned int off, args;
	uint64_t what;
	const char *below; /* the function below it that can stand for it, or NULL */
};

/* Direct callees of the function at a link address, in order. */
static size_t callees(struct functions *f, uint64_t fn, uint64_t *out)
{
	struct code_ref refs[MAX_REFS];
	const struct function *callee;
	size_t i, n, found = 0;

	n = f ? functions_refs(f, fn, refs, MAX_REFS) : 0;
	for (i = 0; i < n && found < MAX_CALLEES; i++) {
		/* what comes through the PLT is no function of the table's */
		callee = functions_at(f, refs[i].addr);
		if (refs[i].kind == CODE_CALL && callee && callee->addr == refs[i].addr)
			out[found++] = refs[i].addr;
	}
	return found;
}

/* The function that holds a copy of a callback's body, or NULL: it is the only one, so far. */
static const struct function *copied_into(struct functions *f, uint64_t fn)
{
	struct xref calls[MAX_REFS], mentions[MAX_REFS];
	uint64_t below[MAX_CALLEES];
	size_t i, k, j, n = callees(f, fn, below), ncalls, nmentions = 0;
	bool looked = false;

	for (i = 0; i < n; i++) {
		ncalls = functions_branches(f, below[i], calls, MAX_REFS);
		for (k = 0; k < ncalls; k++) {
			if (calls[k].from->addr == fn || calls[k].kind != XREF_CALL)
				continue;
			if (!looked)
				nmentions = functions_mentions(f, fn, mentions, MAX_REFS);
			looked = true;
			for (j = 0; j < nmentions; j++)
				if (mentions[j].from == calls[k].from)
					return calls[k].from;
		}
	}
	return NULL;
}

static void add_with_return(struct vm *vm, struct probe_plan *plan, enum probe_prog prog,
			    vmaddr_t addr, const char *name, unsigned int args, uint64_t what,
			    vmaddr_t callback)
{
	struct probe_site *s = probe_plan_add(vm, plan, prog, addr, name, args, what);

	if (s)
		s->callback = callback;
	if (s && (what & 3) != EB_CARRIER_DEALLOC)
		probe_plan_add(vm, plan, PROG_CARRIER_RETURN, addr, name, 0, what);
}

/* The last callee of a callback that resizes or gives back memory is the one that does it. */
static void add_callback(struct vm *vm, struct probe_plan *plan, struct functions *f,
			 const struct callback *cb, vmaddr_t addr)
{
	uint64_t below[MAX_CALLEES], link = addr - vm->sym.bias;
	char name[64];
	size_t i, n;

	for (i = 0; i < plan->n; i++)
		if (plan->sites[i].callback == addr)
			return;
	snprintf(name, sizeof(name), "Allctr_t.%s", cb->name);
	if (!cb->below || !copied_into(f, link)) {
		add_with_return(vm, plan, PROG_CARRIER_ENTER, addr, name, cb->args, cb->what, addr);
		return;
	}
	n = callees(f, link, below);
	add_with_return(vm, plan, PROG_CARRIER_BELOW, below[n - 1] + vm->sym.bias, cb->below,
			ALL_ARGS | SITE_ARG(4) | SITE_ARG(5), cb->what | EB_CARRIER_BELOW, addr);
}

/* create_carrier(), where a rung names it, or where mseg_alloc was copied into it. */
static vmaddr_t find_create(struct vm *vm, struct functions *f)
{
	vmaddr_t addr = symbols_addr(&vm->sym, "create_carrier");
	const struct function *fn;
	uint64_t callback;
	size_t i;

	for (i = 0; i < vm->ninsts && !addr; i++) {
		if (!reader_u64(&vm->rd, vm->insts[i].allctr + vm->lay->f.allctr_mseg_alloc,
				&callback) || !callback ||
		    (i && vm->insts[i].alloc_no == vm->insts[i - 1].alloc_no))
			continue;
		fn = copied_into(f, callback - vm->sym.bias);
		if (fn)
			addr = fn->addr + vm->sym.bias;
	}
	return addr;
}

/* The callbacks differ where strategies do: all distinct ones, over all instances. */
void probe_plan_carriers(struct vm *vm, struct functions *f, struct probe_plan *plan)
{
	const struct layout_fields *lf = &vm->lay->f;
	const struct callback callbacks[] = {
		{ "mseg_alloc", lf->allctr_mseg_alloc, SITE_ARG(0) | SITE_ARG(1) | SITE_ARG(2),
		  EB_CARRIER_ALLOC, NULL },
		{ "mseg_realloc", lf->allctr_mseg_realloc, ALL_ARGS, EB_CARRIER_REALLOC,
		  "erts_mseg_realloc_opt" },
		{ "mseg_dealloc", lf->allctr_mseg_dealloc, ALL_ARGS, EB_CARRIER_DEALLOC,
		  "erts_mseg_dealloc_opt" },
		{ "sys_alloc", lf->allctr_sys_alloc, SITE_ARG(0) | SITE_ARG(1) | SITE_ARG(2),
		  EB_CARRIER_ALLOC | EB_CARRIER_SYS, NULL },
		{ "sys_realloc", lf->allctr_sys_realloc, ALL_ARGS,
		  EB_CARRIER_REALLOC | EB_CARRIER_SYS, "erts_sys_realloc" },
		{ "sys_dealloc", lf->allctr_sys_dealloc, ALL_ARGS,
		  EB_CARRIER_DEALLOC | EB_CARRIER_SYS, NULL },
	};
	const struct instance *in;
	vmaddr_t create;
	uint64_t addr;
	size_t i, k;

	create = find_create(vm, f);
	if (create)
		add_with_return(vm, plan, PROG_CARRIER_CREATE, create, "create_carrier", SITE_ARG(0),
				EB_CARRIER_CREATE, 0);
	for (i = 0; i < vm->ninsts; i++) {
		in = &vm->insts[i];
		for (k = 0; k < ARRAY_SIZE(callbacks); k++) {
			if (create && (callbacks[k].what & 3) == EB_CARRIER_ALLOC)
				continue;
			if (reader_u64(&vm->rd, in->allctr + callbacks[k].off, &addr) && addr)
				add_callback(vm, plan, f, &callbacks[k], addr);
		}
		/* strategies without a pool have no such callbacks */
		if (reader_u64(&vm->rd, in->allctr + lf->allctr_remove_mbc, &addr) && addr)
			probe_plan_add(vm, plan, PROG_POOL, addr, "Allctr_t.remove_mbc",
				       SITE_ARG(0) | SITE_ARG(1), EB_POOL_ABANDON);
		if (reader_u64(&vm->rd, in->allctr + lf->allctr_add_mbc, &addr) && addr)
			probe_plan_add(vm, plan, PROG_POOL, addr, "Allctr_t.add_mbc",
				       SITE_ARG(0) | SITE_ARG(1), EB_POOL_FETCH);
	}
}
