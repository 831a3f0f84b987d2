// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VM's tables of modules, exported functions and funs: how many bytes they and their entries
 * have (index.c, hash.c, module.c, export.c, erl_fun.c).
 *
 * No symbol names them, but they know their own names: three tables in a row, one for each code
 * index, that have the text.  What the VM adds up in counters of its own follows from them.
 */
#include "bootstrap.h"
#include "data_scan.h"
#include "snap_memory.h"

#include <stdlib.h>
#include <string.h>

#define CODE_INDICES 3
#define PAGE 1024 /* INDEX_PAGE_SIZE: entries by which a table grows */
#define MAX_TABLE 512
#define LOOKED_AT 64 /* entries, for a proof */

/* A table as it is now. */
struct table_image {
	uint64_t slots, slots_at_first; /* of the hash */
	uint64_t size, entries;
	uint64_t segs;	     /* seg_table */
	uint64_t name_bytes; /* with its NUL */
};

/* A field of @len bytes in a structure of @size. */
static bool within(unsigned int off, unsigned int len, unsigned int size)
{
	return len <= size && off <= size - len;
}

/* A hash knows how far it may fill, by its size. */
static bool read_hash(struct vm *vm, vmaddr_t at, struct table_image *t)
{
	const struct layout_fields *f = &vm->lay->f;
	unsigned char b[MAX_TABLE];
	uint32_t shift, max;
	char name[64];

	memset(t, 0, sizeof(*t));
	/* an IndexTable begins with a Hash, and its type: so long is a Hash */
	if (f->htable_size > MAX_TABLE || f->index_size != f->htable_size + 4 ||
	    !within(f->htable_name, 8, f->htable_size) ||
	    !within(f->htable_shift, 4, f->htable_size) ||
	    !within(f->htable_max_shift, 4, f->htable_size) ||
	    !within(f->htable_grow, 4, f->htable_size) ||
	    !reader_copy(&vm->rd, at, b, f->htable_size))
		return false;
	shift = raw_u32(b, f->htable_shift);
	max = raw_u32(b, f->htable_max_shift);
	if (shift < 33 || max > 63 || shift > max)
		return false;
	t->slots = 1ULL << (64 - shift);
	t->slots_at_first = 1ULL << (64 - max);
	if (raw_u32(b, f->htable_grow) != (uint32_t)(8 * t->slots / 5) ||
	    !reader_string(&vm->rd, raw_u64(b, f->htable_name), name, sizeof(name)))
		return false;
	t->name_bytes = strlen(name) + 1;
	return true;
}

/* Entries come in pages; few are given up again. */
static bool read_index(struct vm *vm, vmaddr_t at, struct table_image *t)
{
	const struct layout_fields *f = &vm->lay->f;
	unsigned char b[MAX_TABLE];
	uint32_t limit;

	if (f->index_table_size > MAX_TABLE || !within(f->index_size, 4, f->index_table_size) ||
	    !within(f->index_limit, 4, f->index_table_size) ||
	    !within(f->index_entries, 4, f->index_table_size) ||
	    !within(f->index_seg_table, 8, f->index_table_size) ||
	    f->index_seg_table + 8 != f->index_table_size ||
	    f->index_limit != f->index_size + 4 || !read_hash(vm, at, t) ||
	    !reader_copy(&vm->rd, at, b, f->index_table_size))
		return false;
	t->size = raw_u32(b, f->index_size);
	t->entries = raw_u32(b, f->index_entries);
	t->segs = raw_u64(b, f->index_seg_table);
	limit = raw_u32(b, f->index_limit);
	return t->size % PAGE == 0 && t->entries <= t->size && t->entries <= limit &&
	       t->size - t->entries < 8 * PAGE;
}

static uint64_t hash_bytes(const struct vm *vm, const struct table_image *t)
{
	return vm->lay->f.htable_size + 8 * t->slots + t->name_bytes;
}

static uint64_t index_bytes(const struct vm *vm, const struct table_image *t)
{
	return vm->lay->f.index_table_size - vm->lay->f.htable_size + 8 * t->size +
	       hash_bytes(vm, t);
}

/* --- finding ---------------------------------------------------------------------------------- */

/* The one run of @count tables of this name; 0 when there is none, or more. */
static vmaddr_t find_tables(struct vm *vm, const struct data_scan *d, const char *name,
			    bool indexed)
{
	const struct layout_fields *f = &vm->lay->f;
	unsigned int i, count = indexed ? CODE_INDICES : 1;
	struct table_image t;
	uint64_t texts[4], text;
	vmaddr_t at, base, hit = 0;
	size_t k, n;

	n = bootstrap_find_text(&vm->sym, name, strlen(name) + 1, texts, ARRAY_SIZE(texts));
	for (k = 0; k < n && k < ARRAY_SIZE(texts); k++) {
		text = texts[k] + vm->sym.bias;
		for (at = 0; (at = data_scan_word(d, text, at)); at += 8) {
			base = at - f->htable_name;
			for (i = 0; i < count; i++)
				if (!(indexed ? read_index(vm, base + i * f->index_table_size, &t) :
						read_hash(vm, base, &t)))
					break;
			if (i < count)
				continue;
			if (hit)
				return 0;
			hit = base;
			at += (count - 1) * (uint64_t)f->index_table_size;
		}
	}
	return hit;
}

/* The first entries of a table: addresses of their slots. */
static size_t first_slots(struct vm *vm, vmaddr_t table, uint64_t *slots)
{
	struct table_image t;
	uint64_t seg;
	size_t n;

	if (!read_index(vm, table, &t) || !reader_u64(&vm->rd, t.segs, &seg))
		return 0;
	n = t.entries < LOOKED_AT ? t.entries : LOOKED_AT;
	return n && reader_copy(&vm->rd, seg, slots, 8 * n) ? n : 0;
}

/*
 * Exports, and from OTP 28 funs: a slot of a table is followed by a pointer to the thing, behind
 * which, at a distance of its size, the slots of all three tables stand.
 */
static bool thing_size_right(struct vm *vm, vmaddr_t table, unsigned int size)
{
	unsigned int slot = vm->lay->f.index_slot_size, each = slot + 8;
	uint64_t slots[LOOKED_AT], thing, off;
	size_t i, n = first_slots(vm, table, slots);

	for (i = 0; i < n; i++) {
		if (!reader_u64(&vm->rd, slots[i] + slot, &thing))
			return false;
		off = slots[i] - thing - size;
		if (off % each || off / each >= CODE_INDICES)
			return false;
	}
	return n > 8;
}

/* Modules are blocks of their own: none is smaller, some are just as large, and a header. */
static bool module_size_right(struct vm *vm, vmaddr_t table)
{
	uint64_t slots[LOOKED_AT], header, size, least = UINT64_MAX;
	size_t i, n = first_slots(vm, table, slots);

	for (i = 0; i < n; i++) {
		if (!reader_u64(&vm->rd, slots[i] - 8, &header))
			return false;
		size = header & 0xfffffffff8ULL;
		if (size < least)
			least = size;
	}
	return n > 8 && least == vm->lay->f.module_size + 8ULL;
}

void memory_tables_open(struct vm *vm, struct memory_areas *a)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t faults = vm->rd.faults;
	struct data_scan d;

	if (!vm->target.pid)
		return;
	data_scan_read(vm, &d);
	a->modules = find_tables(vm, &d, "module_code", true);
	a->exports = find_tables(vm, &d, "export_list", true);
	if (!a->exports) /* from OTP 28 on */
		a->exports = find_tables(vm, &d, "export_staged_index", true);
	a->funs = find_tables(vm, &d, "fun_staged_index", true);
	a->funs_indexed = a->funs;
	if (!a->funs)
		a->funs = find_tables(vm, &d, "fun_table", false);
	data_scan_free(&d);
	if (a->modules && (f->module_name != f->index_slot_size ||
			   !module_size_right(vm, a->modules)))
		a->modules = 0;
	if (a->exports && !thing_size_right(vm, a->exports, f->export_size))
		a->exports = 0;
	if (a->funs_indexed && !thing_size_right(vm, a->funs, f->funentry_size))
		a->funs = 0;
	vm->rd.faults = faults;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void set(struct snap_memory *s, enum memory_area area, uint64_t v)
{
	s->area[area] = v;
	s->area_known[area] = true;
}

/* Three tables: their bytes, those by which they grew since the start, and the most entries. */
struct three {
	uint64_t bytes, grown, entries, most;
};

static bool read_three(struct vm *vm, vmaddr_t first, struct three *sum)
{
	struct table_image t;
	unsigned int i;

	memset(sum, 0, sizeof(*sum));
	for (i = 0; i < CODE_INDICES; i++) {
		if (!first || !read_index(vm, first + i * vm->lay->f.index_table_size, &t))
			return false;
		sum->bytes += index_bytes(vm, &t);
		sum->grown += 8 * (t.size + t.slots - t.slots_at_first);
		sum->entries += t.entries;
		if (t.entries > sum->most)
			sum->most = t.entries;
	}
	return true;
}

/* Bytes of all code that modules have, by one table: the largest, which is the newest, counts. */
static bool read_code(struct vm *vm, vmaddr_t table, uint64_t *bytes)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t seg, *slots, i, done;
	struct read_req *reqs;
	struct table_image t;
	unsigned char *buf;
	bool good;

	*bytes = 0;
	if (!read_index(vm, table, &t) || t.entries > 1 << 20 || f->module_size > 1024 ||
	    !within(f->module_curr_length, 4, f->module_size) ||
	    !within(f->module_old_length, 4, f->module_size))
		return false;
	slots = xcalloc(t.entries + 1, sizeof(*slots));
	reqs = xcalloc(t.entries + 1, sizeof(*reqs));
	buf = xcalloc(t.entries + 1, f->module_size);
	good = true;
	for (done = 0; good && done < t.entries; done += PAGE)
		good = reader_u64(&vm->rd, t.segs + done / PAGE * 8, &seg) &&
		       reader_copy(&vm->rd, seg, slots + done,
				   8 * (t.entries - done < PAGE ? t.entries - done : PAGE));
	for (i = 0; i < t.entries; i++)
		reqs[i] = (struct read_req){ slots[i], buf + i * f->module_size, f->module_size,
					     false };
	if (good)
		reader_batch(&vm->rd, reqs, t.entries);
	for (i = 0; i < t.entries; i++) {
		good &= reqs[i].ok;
		*bytes += raw_u32(buf + i * f->module_size, f->module_curr_length);
		*bytes += raw_u32(buf + i * f->module_size, f->module_old_length);
	}
	free(slots);
	free(reqs);
	free(buf);
	return good;
}

bool memory_tables_code(struct vm *vm, const struct memory_areas *a, uint64_t bytes)
{
	uint64_t sum;
	unsigned int i;

	for (i = 0; a->modules && i < CODE_INDICES; i++)
		if (read_code(vm, a->modules + i * vm->lay->f.index_table_size, &sum) &&
		    sum == bytes)
			return true;
	return false;
}

bool memory_tables_read(struct vm *vm, const struct memory_areas *a, struct snap_memory *s)
{
	const struct layout_fields *f = &vm->lay->f;
	unsigned int per = CODE_INDICES * (f->index_slot_size + 8);
	struct table_image t;
	struct three sum;

	/* atoms' table never shrinks */
	if (read_index(vm, vm->atom_tab, &t) && t.size - t.entries < PAGE)
		set(s, AREA_ATOM_TABLE, index_bytes(vm, &t));
	if (read_three(vm, a->modules, &sum))
		set(s, AREA_MODULE_TABLE, sum.entries * f->module_size + sum.grown);
	if (read_three(vm, a->exports, &sum)) {
		set(s, AREA_EXPORT_TABLE, sum.bytes);
		set(s, AREA_EXPORT_LIST, sum.most * (f->export_size + per));
	}
	if (a->funs && a->funs_indexed && read_three(vm, a->funs, &sum)) {
		set(s, AREA_FUN_TABLE, sum.bytes);
		set(s, AREA_FUN_LIST, sum.most * (f->funentry_size + per));
	} else if (a->funs && !a->funs_indexed && read_hash(vm, a->funs, &t)) {
		set(s, AREA_FUN_TABLE, hash_bytes(vm, &t));
		set(s, AREA_FUN_LIST, 0); /* not counted */
	}
	return s->area_known[AREA_ATOM_TABLE];
}
