// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters that erlang:memory() needs and few builds name.
 *
 * Where there are symbols, of the counter or of the function that returns it, they lead there.
 * Where there are none: erts_allocated_areas() names each area by a text, and calls a function for
 * its size right behind it; that function does little more than to load the counter.  What was
 * found so is kept with the other symbols of such a build.  Each counter then has to hold something
 * that only it can hold.
 */
#include "bootstrap.h"
#include "data_scan.h"
#include "snap_memory.h"
#include "symcache.h"

#include <stdlib.h>
#include <string.h>

#define MAX_REFS 256
/* AtomText, in which the text of atoms was kept until OTP 27: a link and 32 KiB */
#define ATOM_TEXT 32776

struct finder {
	struct vm *vm;
	struct functions f;
	bool tried, open;
	bool added;
	struct code_ref areas[MAX_REFS]; /* of erts_allocated_areas */
	size_t nareas;
};

static bool finder_open(struct finder *fi)
{
	char why[256];

	if (fi->tried)
		return fi->open;
	fi->tried = true;
	fi->open = fi->vm->target.pid && !functions_open(&fi->f, &fi->vm->sym, why, sizeof(why));
	return fi->open;
}

/* --- erts_allocated_areas --------------------------------------------------------------------- */

static void find_areas(struct finder *fi)
{
	static const char text[] = "=allocated_areas\n";
	const struct function *fn;

	if (fi->nareas || !finder_open(fi))
		return;
	fn = bootstrap_user_of(&fi->vm->sym, &fi->f, text, sizeof(text));
	if (fn)
		fi->nareas = functions_refs(&fi->f, fn->addr, fi->areas, MAX_REFS);
}

/* Where in its code the area's name is taken; nareas when nowhere, or twice. */
static size_t area_at(struct finder *fi, const char *name)
{
	uint64_t texts[4];
	size_t i, k, n, hit;

	find_areas(fi);
	hit = fi->nareas;
	n = bootstrap_find_text(&fi->vm->sym, name, strlen(name) + 1, texts, ARRAY_SIZE(texts));
	for (i = 0; i < fi->nareas; i++)
		for (k = 0; k < n && k < ARRAY_SIZE(texts); k++)
			if (fi->areas[i].kind == CODE_ADDRESS && fi->areas[i].addr == texts[k]) {
				if (hit != fi->nareas)
					return fi->nareas;
				hit = i;
			}
	return hit;
}

/* The function called, or the data loaded, next to the name; 0 when it is neither. */
static uint64_t area_ref(struct finder *fi, const char *name, enum code_ref_kind kind, bool before)
{
	size_t i = area_at(fi, name);

	if (i == fi->nareas)
		return 0;
	if (before)
		return i && fi->areas[i - 1].kind == kind ? fi->areas[i - 1].addr : 0;
	return i + 1 < fi->nareas && fi->areas[i + 1].kind == kind ? fi->areas[i + 1].addr : 0;
}

/* --- counters --------------------------------------------------------------------------------- */

/* The words that a function loads, in the order of its code; addresses in the target. */
static size_t loads_of(struct finder *fi, uint64_t fn, vmaddr_t *out, size_t max)
{
	struct code_ref refs[64];
	size_t i, k, n, found = 0;
	vmaddr_t at;

	n = fn && finder_open(fi) ? functions_refs(&fi->f, fn, refs, ARRAY_SIZE(refs)) : 0;
	for (i = 0; i < n && found < max; i++) {
		at = refs[i].addr + fi->vm->sym.bias;
		for (k = 0; k < found && out[k] != at; k++)
			;
		if (refs[i].kind == CODE_LOAD && !(at & 7) && k == found)
			out[found++] = at;
	}
	return found;
}

static void keep(struct finder *fi, const char *name, vmaddr_t at)
{
	if (!at || symbols_find(&fi->vm->sym, name))
		return;
	log_all("memory: %s at %#llx", name, (unsigned long long)(at - fi->vm->sym.bias));
	symbols_add(&fi->vm->sym, name, at - fi->vm->sym.bias, 8, false, RUNG_BOOTSTRAP);
	fi->added = true;
}

/* A counter by its own symbol, or by the function that only returns it. */
static vmaddr_t counter(struct finder *fi, const char *name, const char *getter, const char *area)
{
	vmaddr_t at = symbols_addr(&fi->vm->sym, name), loads[3];
	const struct symbol *fn;
	uint64_t addr;

	if (at)
		return at;
	fn = symbols_find(&fi->vm->sym, getter);
	addr = fn ? fn->addr : area_ref(fi, area, CODE_CALL, false);
	if (loads_of(fi, addr, loads, ARRAY_SIZE(loads)) != 1)
		return 0;
	keep(fi, name, loads[0]);
	return loads[0];
}

/*
 * erts_atom_get_text_space_sizes(reserved, used) loads the two, if there are two: from OTP 28 on
 * the text of an atom is a block of its own, and nothing is reserved.  Before them it may load
 * other things.
 */
static void find_atom_space(struct finder *fi, struct memory_areas *a)
{
	const struct symbol *fn = symbols_find(&fi->vm->sym, "erts_atom_get_text_space_sizes");
	bool one = fi->vm->lay->facts->atom_name_is_term;
	vmaddr_t loads[8];
	size_t n;

	a->atom_space_used = symbols_addr(&fi->vm->sym, "atom_space");
	a->atom_space = one ? a->atom_space_used :
			      symbols_addr(&fi->vm->sym, "reserved_atom_space");
	if (a->atom_space && a->atom_space_used)
		return;
	a->atom_space = a->atom_space_used = 0;
	n = loads_of(fi, fn ? fn->addr : area_ref(fi, "atom_space", CODE_CALL, true), loads,
		     ARRAY_SIZE(loads));
	if (n < (one ? 1 : 2))
		return;
	a->atom_space_used = loads[n - 1];
	a->atom_space = one ? loads[n - 1] : loads[n - 2];
	keep(fi, "atom_space", a->atom_space_used);
	if (!one)
		keep(fi, "reserved_atom_space", a->atom_space);
}

/*
 * Names have a character at least, and 1020 bytes at most; those of the VM itself are not
 * counted.
 */
static bool atom_space_right(struct vm *vm, const struct memory_areas *a)
{
	uint64_t reserved, used;
	uint32_t atoms;

	if (!reader_u64(&vm->rd, a->atom_space, &reserved) ||
	    !reader_u64(&vm->rd, a->atom_space_used, &used) ||
	    !reader_u32(&vm->rd, vm->atom_tab + vm->lay->f.index_entries, &atoms) ||
	    used < atoms / 4 || used > 1024ULL * atoms)
		return false;
	return vm->lay->facts->atom_name_is_term ? reserved == used :
						   used <= reserved && reserved % ATOM_TEXT == 0;
}

/*
 * `mem_used` of beam_ranges.c stands right before the three struct ranges, and is the sum of what
 * they have: nothing else in the VM's data is.
 */
static vmaddr_t find_ranges_used(struct vm *vm)
{
	const struct layout_fields *f = &vm->lay->f;
	unsigned int stride = f->ranges_stride / 8, mod = f->ranges_modules / 8,
		     n = f->ranges_n / 8;
	unsigned int all = f->ranges_allocated / 8, i;
	const struct data_area *ar;
	const uint64_t *w;
	vmaddr_t hit = 0;
	struct data_scan d;
	uint64_t sum;
	size_t k, hits = 0;

	if (stride != 4 || mod || n != 1 || all != 2 || f->range_stride != 16 || !vm->target.pid)
		return 0;
	data_scan_read(vm, &d);
	for (ar = d.areas; ar < d.areas + d.nareas; ar++)
		for (k = 0; k + 13 <= ar->n; k++) {
			for (sum = i = 0; i < 3; i++) {
				w = ar->words + k + 1 + i * stride;
				if (w[n] > w[all] || w[all] > 1 << 24 || !w[mod] != !w[all] ||
				    (w[mod] && (w[mod] & 7 || w[mod] < 4096 || w[mod] >> 47)) ||
				    (w[n] && w[3] - w[mod] > 16 * w[n]))
					break;
				sum += w[all];
			}
			if (i == 3 && sum && sum == ar->words[k]) {
				hit = ar->addr + 8 * k;
				hits++;
			}
		}
	data_scan_free(&d);
	return hits == 1 ? hit : 0;
}

static bool plausible(struct vm *vm, vmaddr_t at)
{
	uint64_t v;

	return at && reader_u64(&vm->rd, at, &v) && v && v < 1ULL << 40;
}

void memory_find_counters(struct vm *vm, struct memory_areas *a)
{
	struct finder fi = { .vm = vm };
	uint64_t faults = vm->rd.faults;
	vmaddr_t load;
	char why[256];

	find_atom_space(&fi, a);
	if (!atom_space_right(vm, a))
		a->atom_space = a->atom_space_used = 0;
	a->ets_misc = counter(&fi, "erts_ets_misc_mem_size", "erts_get_ets_misc_mem_size",
			      "ets_misc");
	if (!plausible(vm, a->ets_misc))
		a->ets_misc = 0;
	a->code_size = symbols_addr(&vm->sym, "erts_total_code_size");
	if (!a->code_size) {
		load = area_ref(&fi, "loaded_code", CODE_LOAD, false);
		a->code_size = load ? load + vm->sym.bias : 0;
		keep(&fi, "erts_total_code_size", a->code_size);
	}
	a->ranges_used = find_ranges_used(vm);
	if (fi.open)
		functions_close(&fi.f);
	/* only builds that hide their symbols are searched again and again */
	if (fi.added && !vm->sym.api_only && vm->sym.source_rung == RUNG_BOOTSTRAP &&
	    symcache_store(vm->sym.build_id, &vm->sym, why, sizeof(why)))
		log_step("what was found is not kept: %s", why);
	vm->rd.faults = faults;
}
