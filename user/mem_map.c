// SPDX-License-Identifier: GPL-2.0-only
/* Gives every resident page to what it belongs to, and sums up: see mem_map.h. */
#include "mem_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *mem_part_key(enum mem_part_kind k)
{
	static const char *const keys[] = {
		"used", "carrier_slack", "pool", "mseg_cache", "super_carrier", "jit_code",
		"code_and_files", "thread_stacks", "libc_heap", "unexplained",
	};

	return keys[k];
}

const char *mem_part_title(enum mem_part_kind k)
{
	static const char *const titles[] = {
		"blocks in use", "free in carriers", "free in pooled carriers", "mseg cache",
		"super carrier, spare", "JIT code", "beam.smp and files", "thread stacks",
		"libc heap, NIFs", "unexplained",
	};

	return titles[k];
}

/* --- ranges ----------------------------------------------------------------------------------- */

static int by_start(const void *a, const void *b)
{
	const struct mem_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Sorted, and none reaches into the next: a list that moved may have given a carrier twice. */
static void put_in_order(struct mem_ranges *r)
{
	size_t i, n = 0;

	if (r->n)
		qsort(r->v, r->n, sizeof(*r->v), by_start);
	for (i = 0; i < r->n; i++) {
		if (n && r->v[i].start < r->v[n - 1].end)
			r->v[i].start = r->v[n - 1].end;
		if (r->v[i].start < r->v[i].end)
			r->v[n++] = r->v[i];
	}
	r->n = n;
}

struct maker {
	struct vm *vm;
	const struct snap_mem *m;
	struct smaps s;
	struct mem_ranges things; /* carriers, kept segments, stacks */
	struct mem_ranges around; /* arenas and super carriers: what is in none of the things */
	size_t thing, other;	  /* the first that may lie behind the place we are at */
	enum mem_part_kind kind_here;
	bool sizes; /* count address space, not residency */
	struct residency res;
	struct mem_map *map;
};

/* The first of them that ends behind an address, from where we were on. */
static const struct mem_range *next_at(const struct mem_ranges *r, size_t *from, vmaddr_t at)
{
	while (*from < r->n && r->v[*from].end <= at)
		(*from)++;
	return *from < r->n ? &r->v[*from] : NULL;
}

static void count(struct maker *mk, enum mem_part_kind kind, uint64_t bytes)
{
	if (mk->sizes)
		mk->map->part[kind].size += bytes;
	else
		mk->map->part[kind].resident += bytes;
}

/* Up to where the same holds, at most to @end. */
static vmaddr_t until(const struct mem_range *r, vmaddr_t at, vmaddr_t end)
{
	vmaddr_t to = !r ? end : r->start > at ? r->start : r->end;

	return to < end ? to : end;
}

static void give_rest(struct maker *mk, vmaddr_t at, vmaddr_t end)
{
	const struct mem_range *r;
	vmaddr_t to;

	for (; at < end; at = to) {
		r = next_at(&mk->around, &mk->other, at);
		to = until(r, at, end);
		count(mk, r && r->start <= at ? r->kind : mk->kind_here, to - at);
	}
}

/* Resident pages, one run after the other, to what they belong to. */
static void give(void *arg, vmaddr_t at, vmaddr_t end)
{
	struct maker *mk = arg;
	struct mem_range *r;
	vmaddr_t to;

	if (!mk->sizes)
		mk->map->rss += end - at;
	for (; at < end; at = to) {
		r = (struct mem_range *)next_at(&mk->things, &mk->thing, at);
		to = until(r, at, end);
		if (!r || r->start > at)
			give_rest(mk, at, to);
		else if (r->kind != PART_USED)
			count(mk, r->kind, to - at);
		else if (!mk->sizes)
			r->resident += to - at;
	}
}

/* --- mappings --------------------------------------------------------------------------------- */

/* What a mapping is, where nothing that is known lies in it. */
static enum mem_part_kind kind_of(const struct smaps *s, const struct mapping *m)
{
	bool code = m->perms[2] == 'x';

	if (m->file || !strncmp(m->name, "[v", 2)) /* vdso, vvar, vsyscall */
		return PART_FILES;
	if (!strcmp(m->name, "[stack]"))
		return PART_STACKS;
	if (!strcmp(m->name, "[heap]"))
		return PART_HEAP;
	/* the JIT writes its code through a second mapping of the same pages */
	if (code || !strncmp(m->name, "/memfd:", 7))
		return PART_JIT;
	/* what an executable or a library has beyond its file: .bss */
	if (m > s->v && m[-1].file && m[-1].end == m->start && m->perms[1] == 'w')
		return PART_FILES;
	return PART_OTHER;
}

/* In mappings of nothing known: large blocks of malloc, one behind the other. */
static void find_malloc(struct maker *mk)
{
	struct mem_range one = { .kind = PART_HEAP };
	struct mem_ranges found = { 0 };
	const struct mem_range *r, *a;
	size_t i, thing = 0, other = 0;
	vmaddr_t at, room;
	uint64_t bytes;

	for (i = 0; i < mk->s.n; i++) {
		const struct mapping *m = &mk->s.v[i];

		if ((!m->rss && !mk->res.scan) || kind_of(&mk->s, m) != PART_OTHER ||
		    m->perms[1] != 'w')
			continue;
		for (at = m->start; at < m->end; at += bytes) {
			r = next_at(&mk->things, &thing, at);
			a = next_at(&mk->around, &other, at);
			room = until(r, at, until(a, at, m->end)) - at;
			bytes = room;
			/* free memory beside a thing is on whole pages */
			if ((r && r->start <= at) || (a && a->start <= at) || at & 4095)
				continue;
			bytes = mem_malloc_block(mk->vm, at, room);
			if (!bytes) {
				bytes = room;
				continue;
			}
			one.start = at;
			one.end = at + bytes;
			mem_ranges_add(&found, &one);
		}
	}
	for (i = 0; i < found.n; i++)
		mem_ranges_add(&mk->around, &found.v[i]);
	free(found.v);
	put_in_order(&mk->around);
}

static void begin_pass(struct maker *mk, bool sizes)
{
	mk->sizes = sizes;
	mk->thing = mk->other = 0;
}

/* Resident pages of a mapping: false when the system would not tell. */
static bool give_mapping(struct maker *mk, const struct mapping *m)
{
	/* those of the kernel are in no process' RSS */
	if (m->end >> 47 || (mk->res.scan && !strncmp(m->name, "[v", 2)))
		return true;
	/* most are there as a whole, or not at all: of those pages need not be asked for */
	if (!mk->res.scan && (!m->rss || m->rss >= m->end - m->start)) {
		if (m->rss)
			give(mk, m->start, m->end);
		return true;
	}
	return residency_runs(&mk->res, m->start, m->end, give, mk);
}

static int give_all(struct maker *mk)
{
	size_t i, failed = 0;

	begin_pass(mk, false);
	for (i = 0; i < mk->s.n; i++) {
		mk->kind_here = kind_of(&mk->s, &mk->s.v[i]);
		/* of one that ended in between there is nothing, and that is told */
		failed += !give_mapping(mk, &mk->s.v[i]);
	}
	mk->map->skipped += failed;
	begin_pass(mk, true);
	for (i = 0; i < mk->s.n; i++) {
		mk->kind_here = kind_of(&mk->s, &mk->s.v[i]);
		if (mk->s.v[i].perms[0] == 'r' || mk->s.v[i].perms[1] == 'w')
			give(mk, mk->s.v[i].start, mk->s.v[i].end);
	}
	return failed * 8 > mk->s.n ? -EIO : 0;
}

/* --- the sum ---------------------------------------------------------------------------------- */

/*
 * Of a carrier that is not resident as a whole, free memory is taken to be what is not: nobody
 * touched it yet, or it was given back.
 */
static void sum_carriers(struct maker *mk)
{
	struct mem_part *part = mk->map->part;
	struct mem_resident *in;
	uint64_t used;
	size_t i, k;

	for (i = 0; i < mk->things.n; i++) {
		const struct mem_range *r = &mk->things.v[i];

		if (r->kind != PART_USED)
			continue;
		in = &mk->map->insts[r->inst];
		used = r->used < r->resident ? r->used : r->resident;
		part[PART_USED].resident += used;
		part[r->pooled ? PART_POOL : PART_SLACK].resident += r->resident - used;
		in->carriers += r->resident;
		in->used += used;
		in->pool += r->pooled ? r->resident : 0;
		in->pool_used += r->pooled ? used : 0;
	}
	part[PART_USED].size = part[PART_SLACK].size = part[PART_POOL].size = 0;
	for (i = 0; i < mk->m->ninsts; i++)
		for (k = 0; k < MEM_KINDS; k++) {
			const struct mem_carriers *c = &mk->m->insts[i].of[k];

			part[PART_USED].size += c->blocks_size.now;
			if (c->carriers_size.now > c->blocks_size.now)
				part[k == MEM_POOL ? PART_POOL : PART_SLACK].size +=
					c->carriers_size.now - c->blocks_size.now;
		}
}

static void add_kept(struct maker *mk)
{
	struct mem_range one = { .kind = PART_MSEG };
	size_t i, k;

	for (i = 0; i < mk->m->nmsegs; i++)
		for (k = 0; k < mk->m->msegs[i].cached; k++) {
			one.start = mk->m->msegs[i].cache[k].addr;
			one.end = one.start + mk->m->msegs[i].cache[k].size;
			if (one.end > one.start && !(one.end >> 47))
				mem_ranges_add(&mk->things, &one);
		}
}

static int open_system(struct maker *mk)
{
	pid_t pid = mk->vm->target.pid;
	int err = pid ? residency_open(&mk->res, pid) : -ENOENT;

	if (!err)
		err = smaps_read(pid, !mk->res.scan, &mk->s);
	return err;
}

#define LAZY_CHEAP (256ULL << 20) /* resident; so much is looked through in 10 ms */

/*
 * Where no carrier is in a pool now or was fetched from one the VM gives nothing back that way, and
 * only a large VM is not asked: what a NIF's own malloc gives back is then not known.
 */
static bool may_have_lazy(const struct maker *mk)
{
	uint64_t fetched;
	size_t i;

	for (i = 0; i < mk->m->ninsts; i++)
		if (mk->m->insts[i].of[MEM_POOL].carriers.now ||
		    (mk->m->insts[i].pooled &&
		     reader_u64(&mk->vm->rd, mk->m->insts[i].in->allctr +
				mk->vm->lay->f.allctr_pool_fetch, &fetched) && fetched))
			return true;
	return false;
}

/* What the system tells beside the pages. */
static void read_system(struct maker *mk)
{
	pid_t pid = mk->vm->target.pid;

	if (!mk->res.scan) {
		/* exact, where runs of pages may have counted the page of zeros */
		mk->map->rss = mk->s.rss;
		mk->map->lazy_free = mk->s.lazy_free;
		mk->map->lazy_free_known = true;
		mk->map->huge = mk->s.huge;
		mk->map->swap = mk->s.swap;
		return;
	}
	mk->map->lazy_free_known = target_rss(&mk->vm->target) < LAZY_CHEAP || verbosity ||
				   may_have_lazy(mk);
	if (mk->map->lazy_free_known)
		mk->map->lazy_free = smaps_lazy_free(pid);
	mk->map->huge = mk->res.huge;
	mk->map->swap = smaps_swap(pid);
}

void mem_map_read(struct vm *vm, const struct snap_mem *m, struct mem_map *map)
{
	struct maker mk = { .vm = vm, .m = m, .map = map, .res = { .fd = -1 } };
	uint64_t sum = 0, faults = vm->rd.faults;
	size_t k;

	memset(map, 0, sizeof(*map));
	map->insts = xcalloc(m->ninsts + 1, sizeof(*map->insts));
	map->err = open_system(&mk);
	if (map->err)
		goto out;
	if (!mem_carriers(vm, m, &mk.things, &map->skipped)) {
		map->err = -ENOTSUP;
		goto out;
	}
	add_kept(&mk);
	map->threads = mem_stacks(vm, &mk.s, &mk.things);
	put_in_order(&mk.things);
	mem_super_carriers(vm, &mk.around);
	mem_arenas(vm, &mk.s, &mk.around);
	put_in_order(&mk.around);
	find_malloc(&mk);
	map->other_malloc = mem_other_malloc(&mk.s);
	map->err = give_all(&mk);
	map->known = !map->err;
	sum_carriers(&mk);
	read_system(&mk);
	for (k = 0; k < PART_OTHER; k++)
		sum += map->part[k].resident;
	map->unexplained = (int64_t)(map->rss - sum);
	/* what was looked at to see what it is need not be there */
	vm->rd.faults = faults;
out:
	residency_close(&mk.res);
	free(mk.things.v);
	free(mk.around.v);
	smaps_free(&mk.s);
}

void mem_map_free(struct mem_map *map)
{
	free(map->insts);
	memset(map, 0, sizeof(*map));
}
