// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tables of a VM that hides its symbols: what the API's code mentions, and what live memory proves.
 */
#include "bootstrap.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>

#define MAX_REFS 64
/* A VM has some 400 kB of data with some 5000 pointers out of it; a hostile file has no end. */
#define MAX_DATA (64u << 20)
#define MAX_POINTERS 200000
#define MAX_TEXT_HITS 1000
#define ALLCTRS 13 /* allocator numbers 0 to 12: the same in all releases */
#define DRIVER_ALLOC 11
#define BINARY_ALLOC 10

/* The VM's writable data as it is now: .data.rel.ro, .data, .bss; addresses in the target. */
struct area {
	vmaddr_t addr;
	uint64_t *words;
	size_t n;
};

struct search {
	struct vm *vm;
	struct functions *f;
	struct area areas[16];
	size_t nareas;
	struct segment_map image[16]; /* of the executable, addresses in the target */
	char why[200];
};

static int missing(const struct search *s, const char *name)
{
	return fail(EXIT_UNSUPPORTED, "give an unstripped beam.smp or its debug file: --symbols FILE",
		    "%s of pid %d hides its symbols, and %s is not found: %s", s->vm->target.exe,
		    s->vm->target.pid, name, s->why[0] ? s->why : "nothing fits");
}

static void found(struct search *s, const char *name, vmaddr_t addr, uint64_t size)
{
	log_all("bootstrap: %s at %#llx", name, (unsigned long long)(addr - s->vm->sym.bias));
	symbols_add(&s->vm->sym, name, addr - s->vm->sym.bias, size, false, RUNG_BOOTSTRAP);
}

/* A second candidate that differs from the first: neither is to be trusted. */
static bool contested(struct search *s, vmaddr_t have, vmaddr_t other)
{
	if (!have || have == other)
		return false;
	snprintf(s->why, sizeof(s->why), "two candidates, %#llx and %#llx",
		 (unsigned long long)have, (unsigned long long)other);
	return true;
}

static const struct segment_map *image_at(const struct search *s, vmaddr_t addr)
{
	size_t i;

	for (i = 0; i < s->vm->sym.nsegs; i++)
		if (addr - s->image[i].vaddr < s->image[i].memsz)
			return &s->image[i];
	return NULL;
}

static bool is_code(const struct search *s, vmaddr_t addr)
{
	const struct segment_map *seg = image_at(s, addr);

	return seg && seg->exec;
}

static void read_areas(struct search *s)
{
	struct symbols *sym = &s->vm->sym;
	vmaddr_t lo, hi, at;
	struct area *a;
	size_t i, len, total = 0;

	for (i = 0; i < sym->nsegs; i++) {
		s->image[i] = sym->segs[i];
		s->image[i].vaddr += sym->bias;
		if (!sym->segs[i].write || sym->segs[i].memsz > MAX_DATA - total)
			continue;
		total += sym->segs[i].memsz;
		lo = (s->image[i].vaddr + 7) & ~7ULL;
		hi = (s->image[i].vaddr + sym->segs[i].memsz) & ~7ULL;
		if (hi <= lo)
			continue;
		a = &s->areas[s->nareas++];
		*a = (struct area){ lo, xcalloc(1, hi - lo), (hi - lo) / 8 };
		/* page by page where some cannot be read: the rest stays 0 */
		if (reader_copy(&s->vm->rd, lo, a->words, hi - lo))
			continue;
		for (at = lo; at < hi; at += len) {
			len = 4096 - (at & 4095);
			if (len > hi - at)
				len = hi - at;
			reader_copy(&s->vm->rd, at, (char *)a->words + (at - lo), len);
		}
	}
}

static void free_areas(struct search *s)
{
	while (s->nareas)
		free(s->areas[--s->nareas].words);
}

/* References of a function of the API; 0 when it has no symbol. */
static size_t api_refs(const struct search *s, const char *name, struct code_ref *refs)
{
	const struct symbol *sym = symbols_find(&s->vm->sym, name);

	return sym ? functions_refs(s->f, sym->addr, refs, MAX_REFS) : 0;
}

/* --- allocators --------------------------------------------------------------------------------- */

/*
 * erts_alloc(type, size) is (*erts_allctrs[A].alloc)(type, erts_allctrs[A].extra, size) inlined:
 * the call's word lies 32 * A from the start, and the type's low bits are A.  Returns the start
 * that the code of an API function gives for allocator @a, 0 when it is other code.
 */
static vmaddr_t allctrs_of(const struct search *s, const char *api, unsigned int a, uint32_t *type)
{
	struct code_ref refs[MAX_REFS];
	size_t i, k, n = api_refs(s, api, refs);
	uint64_t kind = 0;

	for (i = 0; i < n; i++) {
		if (refs[i].kind == CODE_FIRST_ARG)
			kind = refs[i].addr;
		if (refs[i].kind != CODE_CALL_PTR || (kind & 15) != a)
			continue;
		/* the argument `extra` stands 24 bytes behind `alloc` */
		for (k = 0; k < n; k++)
			if (refs[k].kind == CODE_LOAD && refs[k].addr == refs[i].addr + 24) {
				*type = kind;
				return refs[i].addr - 32 * a + s->vm->sym.bias;
			}
	}
	return 0;
}

static int find_allctrs(struct search *s, uint32_t *drv_binary)
{
	struct { uint64_t alloc, realloc, free, extra; } table[ALLCTRS];
	vmaddr_t base, other;
	uint32_t type;
	size_t i;

	base = allctrs_of(s, "driver_alloc", DRIVER_ALLOC, &type);
	other = allctrs_of(s, "enif_alloc_binary", BINARY_ALLOC, drv_binary);
	if (!base || !other) {
		snprintf(s->why, sizeof(s->why), "the code of driver_alloc or enif_alloc_binary is "
			 "unknown");
		return missing(s, "erts_allctrs");
	}
	if (contested(s, base, other) ||
	    !reader_copy(&s->vm->rd, base, table, sizeof(table)))
		return missing(s, "erts_allctrs");
	for (i = 1; i < ALLCTRS; i++)
		if (!is_code(s, table[i].alloc) || !is_code(s, table[i].realloc) ||
		    !is_code(s, table[i].free)) {
			snprintf(s->why, sizeof(s->why), "entry %zu does not point to code", i);
			return missing(s, "erts_allctrs");
		}
	found(s, "erts_allctrs", base, sizeof(table));
	return 0;
}

/* The text that a word of the data points to, in the file's constants; NULL when it is none. */
static const char *constant_text(const struct search *s, vmaddr_t addr, char *buf, size_t size)
{
	const struct segment_map *seg = image_at(s, addr);
	size_t n;

	if (!seg || seg->exec || seg->write)
		return NULL;
	n = symbols_code(&s->vm->sym, addr - s->vm->sym.bias, buf, size);
	return n && memchr(buf, 0, n) ? buf : NULL;
}

static bool points_to(const struct search *s, vmaddr_t addr, const char *text)
{
	char buf[32];

	return constant_text(s, addr, buf, sizeof(buf)) && !strcmp(buf, text);
}

/*
 * The array of pointers to texts that has @text at one place and @other @apart elements further;
 * the address of the first of the two, 0 when there is none, or more than one.
 */
static vmaddr_t text_array(struct search *s, const char *text, size_t apart, const char *other)
{
	uint64_t texts[4];
	vmaddr_t hit = 0;
	size_t i, k, t, n, hits = 0;

	n = bootstrap_find_text(&s->vm->sym, text, strlen(text) + 1, texts, ARRAY_SIZE(texts));
	for (i = 0; i < s->nareas; i++)
		for (k = 0; k + apart < s->areas[i].n; k++) {
			const uint64_t *w = &s->areas[i].words[k];

			for (t = 0; t < n && *w != texts[t] + s->vm->sym.bias; t++)
				;
			if (t == n || hits++ > MAX_TEXT_HITS || !points_to(s, w[apart], other))
				continue;
			if (contested(s, hit, s->areas[i].addr + 8 * k))
				return 0;
			hit = s->areas[i].addr + 8 * k;
		}
	return hit;
}

/*
 * erts_alc_n2t[N] is the type whose bits 7 to 14 are N: found around a type that is known, as far
 * as that rule holds.  Elements are 4 or 8 bytes wide.
 */
static bool types_around(const unsigned char *buf, size_t len, size_t at, size_t width, size_t n,
			 size_t *first, size_t *count)
{
	size_t i;
	uint64_t v;

	if (at < n * width)
		return false;
	*first = at - n * width;
	for (i = 1; i < VM_MAX_TYPES && (i + 1) * width <= len - *first; i++) {
		v = 0;
		memcpy(&v, buf + *first + i * width, width);
		if (VM_TYPE_NUMBER(v) != i || v >> 15 || !VM_TYPE_ALLOCATOR(v) ||
		    VM_TYPE_ALLOCATOR(v) >= ALLCTRS)
			break;
	}
	*count = i;
	return i > n + 1 && i > 32;
}

static int find_types(struct search *s, uint32_t drv_binary)
{
	const struct symbols *sym = &s->vm->sym;
	size_t i, at, width, first, count, best = 0, best_width = 0;
	unsigned char *buf;
	uint64_t hit = 0;
	vmaddr_t names;

	for (i = 0; i < sym->nsegs; i++) {
		if (sym->segs[i].exec || sym->segs[i].write || sym->segs[i].filesz > MAX_DATA)
			continue;
		buf = xcalloc(1, sym->segs[i].filesz + 8);
		symbols_code(sym, sym->segs[i].vaddr, buf, sym->segs[i].filesz);
		for (at = 0; at + 8 <= sym->segs[i].filesz; at += 4) {
			if (memcmp(buf + at, &drv_binary, 4))
				continue;
			for (width = 4; width <= 8; width += 4)
				if (types_around(buf, sym->segs[i].filesz, at, width,
						 VM_TYPE_NUMBER(drv_binary), &first, &count) &&
				    count > best) {
					best = count;
					best_width = width;
					hit = sym->segs[i].vaddr + first;
				}
		}
		free(buf);
	}
	if (!best)
		return missing(s, "erts_alc_n2t");
	found(s, "erts_alc_n2t", hit + sym->bias, best * best_width);
	names = text_array(s, "invalid_type", VM_TYPE_NUMBER(drv_binary), "drv_binary");
	if (!names)
		return missing(s, "erts_alc_n2td");
	found(s, "erts_alc_n2td", names, 8 * best);
	names = text_array(s, "sys_alloc", 1, "temp_alloc");
	if (!names)
		return missing(s, "erts_alc_a2ad");
	found(s, "erts_alc_a2ad", names - 8, 8 * ALLCTRS);
	return 0;
}

/* --- tables of processes, ports and atoms ------------------------------------------------------- */

/* A table of this size whose elements know their slot; one element is enough, and must be there. */
static bool is_ptab(struct search *s, vmaddr_t ptab, bool (*right)(eterm_t))
{
	const struct layout_fields *f = &s->vm->lay->f;
	struct reader *rd = &s->vm->rd;
	uint64_t tab, slots[1024], id, slot;
	uint32_t max, i, n;

	if (!reader_u32(rd, ptab + f->ptab_max, &max) || max < 16 || (max & (max - 1)) ||
	    max > 1u << 27 || !reader_u64(rd, ptab + f->ptab_tab, &tab))
		return false;
	n = max < ARRAY_SIZE(slots) ? max : ARRAY_SIZE(slots);
	if (!reader_copy(rd, tab, slots, 8 * n))
		return false;
	for (i = 0; i < n; i++) {
		if (!slots[i] || !reader_u64(rd, slots[i] + f->proc_id, &id) || !right(id))
			continue;
		slot = s->vm->lay->facts->slot_in_high_word ? id >> 32 : id >> 4 & (max - 1);
		if (slot == i)
			return true;
	}
	return false;
}

static int find_ptab(struct search *s, const char *name, const char *api, bool (*right)(eterm_t))
{
	struct code_ref refs[MAX_REFS];
	size_t i, n = api_refs(s, api, refs);
	vmaddr_t hit = 0, at;

	for (i = 0; i < n; i++) {
		at = refs[i].addr + s->vm->sym.bias - s->vm->lay->f.ptab_tab;
		if (refs[i].kind != CODE_LOAD || !is_ptab(s, at, right))
			continue;
		if (contested(s, hit, at))
			return missing(s, name);
		hit = at;
	}
	if (!hit)
		return missing(s, name);
	found(s, name, hit, 0);
	return 0;
}

static int find_atoms(struct search *s)
{
	static const char *const apis[] = { "enif_get_atom_length", "enif_get_atom" };
	struct code_ref refs[MAX_REFS];
	struct vm *vm = s->vm;
	const char *text;
	size_t i, k, n;
	vmaddr_t hit = 0, at;

	for (k = 0; k < ARRAY_SIZE(apis); k++) {
		n = api_refs(s, apis[k], refs);
		for (i = 0; i < n; i++) {
			if (refs[i].kind != CODE_LOAD)
				continue;
			at = refs[i].addr + vm->sym.bias - vm->lay->f.index_seg_table;
			vm->atom_tab = at;
			text = term_atom_index(vm, 1);
			if (text && !strcmp(text, "true") && (text = term_atom_index(vm, 0)) &&
			    !strcmp(text, "false")) {
				if (contested(s, hit, at))
					return missing(s, "erts_atom_table");
				hit = at;
			}
			term_atoms_free(vm);
		}
	}
	vm->atom_tab = hit;
	if (!hit)
		return missing(s, "erts_atom_table");
	found(s, "erts_atom_table", hit, 0);
	return 0;
}

/* --- schedulers and the node -------------------------------------------------------------------- */

/* Calls @visit for each word of the data that may point to something, with @len bytes from there. */
static void each_pointer(struct search *s, uint64_t align, const unsigned int *offs,
			 size_t noffs, void (*visit)(struct search *, vmaddr_t at, uint64_t p,
						     const uint64_t *words, void *arg),
			 void *arg)
{
	struct read_req req[240];
	uint64_t words[240];
	vmaddr_t at[240];
	uint64_t p[240];
	size_t i, k, j, n, tried = 0, each = ARRAY_SIZE(req) / noffs;

	for (i = 0; i < s->nareas; i++)
		for (k = 0; k < s->areas[i].n && tried < MAX_POINTERS; tried += n) {
			for (n = 0; n < each && k < s->areas[i].n; k++) {
				uint64_t w = s->areas[i].words[k];

				if (w < 4096 || w & (align - 1) || w >> 47 || image_at(s, w))
					continue;
				at[n] = s->areas[i].addr + 8 * k;
				p[n] = w;
				for (j = 0; j < noffs; j++)
					req[n * noffs + j] = (struct read_req){
						w + offs[j], &words[n * noffs + j], 8, false };
				n++;
			}
			reader_batch(&s->vm->rd, req, n * noffs);
			for (j = 0; j < n; j++)
				if (req[j * noffs].ok && req[j * noffs + noffs - 1].ok)
					visit(s, at[j], p[j], &words[j * noffs], arg);
		}
}

struct sched_arrays {
	vmaddr_t at[3], array[3];
	bool contested;
};

/*
 * ErtsSchedulerData[0] says of itself what kind it is and that it is the first, and a thread of
 * the VM runs it.  Several variables may point to an array; two arrays of a kind are one too many.
 */
static void visit_scheduler(struct search *s, vmaddr_t at, uint64_t p, const uint64_t *w, void *arg)
{
	struct sched_arrays *a = arg;
	uint32_t type = (uint32_t)w[0], tid;

	if (type > SCHED_DIRTY_IO || (type ? w[2] : w[1]) != 1 || (type ? w[1] : w[2]) != 0 ||
	    !vm_pthread_tid(s->vm, w[3], &tid))
		return;
	if (!a->array[type]) {
		a->array[type] = p;
		a->at[type] = at;
	} else if (a->array[type] != p) {
		a->contested |= contested(s, a->array[type], p);
	}
}

static int find_schedulers(struct search *s)
{
	static const char *const names[] = {
		"erts_aligned_scheduler_data", "erts_aligned_dirty_cpu_scheduler_data",
		"erts_aligned_dirty_io_scheduler_data",
	};
	const struct layout_fields *f = &s->vm->lay->f;
	const unsigned int offs[] = { f->sched_type, f->sched_no, f->sched_dirty_no, f->sched_tid };
	struct sched_arrays a = { 0 };
	size_t i;

	/* the arrays begin at a cache line */
	each_pointer(s, 64, offs, ARRAY_SIZE(offs), visit_scheduler, &a);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (!a.at[i] || a.contested)
			return missing(s, names[i]);
		found(s, names[i], a.at[i], 8);
	}
	return 0;
}

struct node_search {
	vmaddr_t at;
	uint64_t node;
	bool contested;
};

/* ErlNode: its name is an atom with an @. */
static void visit_node(struct search *s, vmaddr_t at, uint64_t p, const uint64_t *w, void *arg)
{
	struct node_search *n = arg;
	const char *text = term_atom(s->vm, w[0]);

	if (!text || !strchr(text, '@'))
		return;
	if (!n->node) {
		n->node = p;
		n->at = at;
	} else if (n->node != p) {
		n->contested |= contested(s, n->node, p);
	}
}

static int find_node(struct search *s)
{
	const unsigned int offs[] = { s->vm->lay->f.node_sysname };
	struct node_search n = { 0 };

	each_pointer(s, 8, offs, ARRAY_SIZE(offs), visit_node, &n);
	if (!n.at || n.contested)
		return missing(s, "erts_this_node");
	found(s, "erts_this_node", n.at, 8);
	return 0;
}

int bootstrap_data(struct vm *vm, struct functions *f)
{
	struct search s = { .vm = vm, .f = f };
	uint32_t drv_binary = 0;
	int err;

	read_areas(&s);
	err = find_allctrs(&s, &drv_binary) || find_types(&s, drv_binary) ||
	      find_ptab(&s, "erts_proc", "enif_is_process_alive", term_is_pid) ||
	      find_ptab(&s, "erts_port", "enif_is_port_alive", term_is_port) || find_atoms(&s) ||
	      find_schedulers(&s) || find_node(&s) ? -1 : 0;
	free_areas(&s);
	return err;
}
