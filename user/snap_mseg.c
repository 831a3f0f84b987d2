// SPDX-License-Identifier: GPL-2.0-only
/*
 * mseg_alloc: where carriers come from, and what it keeps of those given back (erl_mseg.c).
 *
 * Its instances are an array of which no symbol tells, one for each scheduler and one for all
 * others.  They number themselves, and together count as many segments as the allocators have
 * carriers of it: by that they are found, in what the VM's data points to.
 */
#include "data_scan.h"
#include "snap_mem.h"

#include <stdlib.h>
#include <string.h>

#define MAX_STRIDE 16384

/* The layout as far as it can be known to be none: all within an element, in the source's order. */
static bool layout_sane(const struct layout_fields *f)
{
	return f->mseg_stride >= 512 && f->mseg_stride <= MAX_STRIDE &&
	       f->mseg_cache_stride == 32 && f->cachet_seg == 8 && f->cachet_next == 16 &&
	       f->mseg_cache + ARRAY_SIZE(((struct mem_mseg *)0)->cache) * f->mseg_cache_stride +
			       f->mseg_cache_stride == f->mseg_cache_nodes &&
	       f->mseg_cache_nodes < f->mseg_cache_free &&
	       f->mseg_cache_free + f->mseg_cache_stride == f->mseg_cache_size &&
	       f->mseg_cache_hits == f->mseg_cache_size + 8 &&
	       f->mseg_segments == f->mseg_cache_hits + 16 &&
	       f->mseg_segments_size == f->mseg_segments + 8 &&
	       f->mseg_segments_max == f->mseg_segments_size + 8 &&
	       f->mseg_segments_ever == f->mseg_segments_max + 16 &&
	       f->mseg_max_cache == f->mseg_segments_ever + 16 &&
	       f->mseg_calls_alloc == f->mseg_max_cache + 24 &&
	       f->mseg_calls_alloc <= f->mseg_stride - 8 &&
	       f->mseg_init_done <= f->mseg_stride - 4 &&
	       f->mseg_ix + 4 == f->mseg_init_done;
}

/* Segments that are kept: all elements of the cache but those on the list of the free ones. */
static bool read_cache(const struct layout_fields *f, const unsigned char *b, vmaddr_t at,
		       struct mem_mseg *ms)
{
	bool unused[ARRAY_SIZE(ms->cache)] = { false };
	uint64_t head = at + f->mseg_cache_free,
		 p = raw_u64(b, f->mseg_cache_free + f->cachet_next),
		 i;
	const unsigned char *e;
	unsigned int k, n = 0;

	for (k = 0; p != head; k++, p = raw_u64(b, p - at + f->cachet_next)) {
		i = (p - at - f->mseg_cache) / f->mseg_cache_stride;
		if (k == ARRAY_SIZE(unused) || p < at + f->mseg_cache || i >= ARRAY_SIZE(unused) ||
		    p != at + f->mseg_cache + i * f->mseg_cache_stride || unused[i])
			return false;
		unused[i] = true;
	}
	ms->cached = raw_u64(b, f->mseg_cache_size);
	ms->cached_size = 0;
	for (k = 0; k < ARRAY_SIZE(unused); k++) {
		e = b + f->mseg_cache + k * f->mseg_cache_stride;
		/* +MMmcs lets fewer be used than there are: the others are on no list */
		if (unused[k] || !raw_u64(e, 0) || !raw_u64(e, f->cachet_seg))
			continue;
		ms->cache[n].addr = raw_u64(e, f->cachet_seg);
		ms->cache[n++].size = raw_u64(e, 0);
		ms->cached_size += raw_u64(e, 0);
	}
	return n == ms->cached;
}

static bool decode(const struct layout_fields *f, const unsigned char *b, vmaddr_t at,
		   struct mem_mseg *ms)
{
	uint64_t max = raw_u64(b, f->mseg_segments_max), ever = raw_u64(b, f->mseg_segments_ever);
	uint64_t max_size = raw_u64(b, f->mseg_segments_max + 8);
	uint64_t ever_size = raw_u64(b, f->mseg_segments_ever + 8);

	memset(ms, 0, sizeof(*ms));
	ms->ix = raw_u32(b, f->mseg_ix);
	ms->hits = raw_u64(b, f->mseg_cache_hits);
	/* calls are counted in thousand millions and ones */
	ms->calls = raw_u32(b, f->mseg_calls_alloc) * 1000000000ULL +
		    raw_u32(b, f->mseg_calls_alloc + 4);
	ms->segments = (struct mem_stat){ raw_u64(b, f->mseg_segments), max,
					  ever > max ? ever : max };
	ms->segments_size = (struct mem_stat){ raw_u64(b, f->mseg_segments_size), max_size,
					       ever_size > max_size ? ever_size : max_size };
	return ms->hits <= ms->calls && ms->segments.now <= max &&
	       ms->segments_size.now <= max_size && read_cache(f, b, at, ms);
}

/* The instances in a row from @at on; stops behind the last. */
static size_t read_row(struct vm *vm, vmaddr_t at, size_t max, struct mem_mseg **out)
{
	const struct layout_fields *f = &vm->lay->f;
	unsigned char *b = xcalloc(1, f->mseg_stride + 8);
	uint64_t faults = vm->rd.faults;
	struct mem_mseg *v = NULL;
	size_t n;

	for (n = 0; n < max; n++, at += f->mseg_stride) {
		v = xrealloc(v, (n + 1) * sizeof(*v));
		if (!reader_copy(&vm->rd, at, b, f->mseg_stride) ||
		    raw_u32(b, f->mseg_ix) != n || raw_u32(b, f->mseg_init_done) != 1 ||
		    !decode(f, b, at, &v[n]))
			break;
	}
	free(b);
	vm->rd.faults = faults;
	*out = v;
	return n;
}

/* --- the search ------------------------------------------------------------------------------- */

struct search {
	struct vm *vm;
	const struct snap_mem *m;
	vmaddr_t hits[8]; /* what looks like a first element */
	size_t nhits;
};

static void visit(void *arg, vmaddr_t at, vmaddr_t p, const void *bytes)
{
	struct search *s = arg;
	const struct layout_fields *f = &s->vm->lay->f;
	const unsigned char *b = bytes;
	size_t i;

	(void)at;
	if (raw_u32(b, f->mseg_ix) || raw_u32(b, f->mseg_init_done) != 1)
		return;
	for (i = 0; i < s->nhits && s->hits[i] != p; i++)
		;
	if (i == s->nhits && s->nhits < ARRAY_SIZE(s->hits))
		s->hits[s->nhits++] = p;
}

/*
 * Segments in use are carriers: those on the lists, those in the pool, of which some may be
 * sys_alloc's, and those that wait to be destroyed.  literal_alloc has a place of its own.
 */
static bool counts_agree(const struct snap_mem *m, const struct mem_mseg *ms, size_t n)
{
	uint64_t segs = 0, size = 0, have = 0, have_size = 0, pool = 0, pool_size = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		segs += ms[i].segments.now;
		size += ms[i].segments_size.now;
	}
	for (i = 0; i < m->ninsts; i++) {
		if (!strcmp(m->insts[i].allocator, "literal_alloc"))
			continue;
		have += m->insts[i].of[MEM_MBCS].mseg + m->insts[i].of[MEM_SBCS].mseg;
		have_size +=
		    m->insts[i].of[MEM_MBCS].mseg_size + m->insts[i].of[MEM_SBCS].mseg_size;
		pool += m->insts[i].of[MEM_POOL].carriers.now;
		pool_size += m->insts[i].of[MEM_POOL].carriers_size.now;
	}
	log_all(
	    "mseg_alloc: %zu instances, %llu segments of %llu bytes, allocators have %llu of %llu",
	    n, (unsigned long long)segs, (unsigned long long)size, (unsigned long long)have,
	    (unsigned long long)have_size);
	/* a busy VM moves between the two looks */
	return segs + 2 >= have && segs <= have + pool + 2 + have / 16 &&
	       size + size / 16 >= have_size &&
	       size <= have_size + pool_size + size / 16 + (8 << 20);
}

void snap_mseg_open(struct vm *vm, struct snap_mem_proof *proof, const struct snap_mem *m)
{
	struct search s = { .vm = vm, .m = m };
	unsigned int found = 0;
	struct data_scan d;
	struct mem_mseg *v;
	size_t i, n;

	proof->msegs = 0;
	if (!layout_sane(&vm->lay->f) || !vm->target.pid)
		return;
	data_scan_read(vm, &d);
	data_scan_pointers(vm, &d, 64, vm->lay->f.mseg_init_done + 4, visit, &s);
	data_scan_free(&d);
	for (i = 0; i < s.nhits; i++) {
		n = read_row(vm, s.hits[i], VM_MAX_SCHEDULERS, &v);
		if (n > vm->nnormal && counts_agree(m, v, n)) {
			proof->msegs = s.hits[i];
			proof->nmsegs = n;
			found++;
		}
		free(v);
	}
	if (found != 1)
		proof->msegs = 0;
}

void snap_mseg_read(struct vm *vm, const struct snap_mem_proof *proof, struct snap_mem *m)
{
	int try;

	/* a cache that changes while it is copied does not add up */
	for (try = 0; proof->msegs && !m->mseg_known && try < 5; try++) {
		free(m->msegs);
		m->nmsegs = read_row(vm, proof->msegs, proof->nmsegs, &m->msegs);
		m->mseg_known = m->nmsegs == proof->nmsegs;
	}
}
