// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the allocators count, read from copies of their instances (Allctr_t).
 *
 * Carriers, blocks and the pool are proven at attach.  What is read here beyond that is proven by
 * snap_mem_open(): the strategy, the highest values, and fix_alloc's lists.
 */
#include "snap_mem.h"

#include <stdlib.h>
#include <string.h>

#define MAX_IMAGE 8192
#define TRIES 5

static uint64_t word(const unsigned char *image, size_t len, uint64_t at)
{
	uint64_t v = 0;

	if (at <= len && len - at >= sizeof(v))
		memcpy(&v, image + at, sizeof(v));
	return v;
}

static uint32_t half(const unsigned char *image, size_t len, uint64_t at)
{
	uint32_t v = 0;

	if (at <= len && len - at >= sizeof(v))
		memcpy(&v, image + at, sizeof(v));
	return v;
}

/* --- one instance ----------------------------------------------------------------------------- */

/* How many bytes of an instance are needed; 0 when that is absurd. */
static size_t image_bytes(const struct layout_fields *f)
{
	const uint64_t ends[] = {
		(uint64_t)f->allctr_mbcs + f->cstats_size,
		(uint64_t)f->allctr_sbcs + f->cstats_size,
		f->allctr_calls + 8ULL * CALL_N, f->allctr_pool_number + 4ULL,
		f->allctr_pool_carriers_size + 8ULL, f->allctr_pool_no_carriers + 8ULL,
		f->allctr_pool_no_blocks + 8ULL * MEM_ALLOCATORS,
		f->allctr_pool_blocks_size + 8ULL * MEM_ALLOCATORS,
		f->aoff_block_order + 4ULL, f->aoff_carrier_order + 4ULL,
		f->bf_address_order + 4ULL, f->allctr_fix + 8ULL, f->allctr_strategy + 4ULL,
	};
	uint64_t len = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ends); i++)
		if (ends[i] > len)
			len = ends[i];
	return len <= MAX_IMAGE ? len : 0;
}

/* The VM brings max_ever up to date when it is asked. */
static struct mem_stat stat_of(uint64_t now, uint64_t max, uint64_t max_ever)
{
	return (struct mem_stat){ now, max, max_ever > max ? max_ever : max };
}

static void add_stat(struct mem_stat *to, uint64_t now, uint64_t max, uint64_t max_ever)
{
	to->now += now;
	to->max += max;
	to->max_ever += max_ever > max ? max_ever : max;
}

static void read_carriers(const struct layout_fields *f, const unsigned char *im, size_t len,
			  unsigned int at, struct mem_carriers *c)
{
	uint64_t b, mseg = at + f->cstats_carriers, sys = mseg + 16;
	uint64_t max = at + f->cstats_max, ever = at + f->cstats_max_ever;
	unsigned int a;

	c->mseg = word(im, len, mseg);
	c->mseg_size = word(im, len, mseg + 8);
	c->carriers = stat_of(c->mseg + word(im, len, sys), word(im, len, max),
			      word(im, len, ever));
	c->carriers_size = stat_of(c->mseg_size + word(im, len, sys + 8), word(im, len, max + 8),
				   word(im, len, ever + 8));
	for (a = 1; a < MEM_ALLOCATORS; a++) {
		b = at + f->cstats_blocks + (uint64_t)f->cstats_block_stride * (a - 1);
		c->by[a].n = word(im, len, b);
		c->by[a].size = word(im, len, b + 8);
		add_stat(&c->blocks, c->by[a].n, word(im, len, b + f->block_max),
			 word(im, len, b + f->block_max_ever));
		add_stat(&c->blocks_size, c->by[a].size, word(im, len, b + f->block_max + 8),
			 word(im, len, b + f->block_max_ever + 8));
	}
}

static void read_pool(const struct layout_fields *f, const unsigned char *im, size_t len,
		      struct mem_carriers *c)
{
	unsigned int a;

	c->carriers.now = word(im, len, f->allctr_pool_no_carriers);
	c->carriers_size.now = word(im, len, f->allctr_pool_carriers_size);
	for (a = 1; a < MEM_ALLOCATORS; a++) {
		c->by[a].n = word(im, len, f->allctr_pool_no_blocks + 8 * (a - 1));
		c->by[a].size = word(im, len, f->allctr_pool_blocks_size + 8 * (a - 1));
		c->blocks.now += c->by[a].n;
		c->blocks_size.now += c->by[a].size;
	}
}

/* ErtsAlcStrat_t */
enum { GOODFIT = 1, BESTFIT, AFIT, FIRSTFIT };

static const char *strategy_name(const struct layout_fields *f, const unsigned char *im, size_t len)
{
	/* enum AOFFSortOrder: by age, or address; blocks by address, address best fit, best fit */
	static const char *const names[2][3] = {
		{ "ageffcaoff", "ageffcaobf", "ageffcbf" },
		{ "aoff", "aoffcaobf", "aoffcbf" },
	};
	uint32_t carriers, blocks;

	switch (half(im, len, f->allctr_strategy)) {
	case GOODFIT:
		return "gf";
	case BESTFIT:
		blocks = half(im, len, f->bf_address_order);
		return blocks > 1 ? NULL : blocks ? "aobf" : "bf";
	case AFIT:
		return "af";
	case FIRSTFIT:
		carriers = half(im, len, f->aoff_carrier_order);
		blocks = half(im, len, f->aoff_block_order);
		return carriers > 1 || blocks < 1 || blocks > 3 ? NULL
								: names[carriers][blocks - 1];
	}
	return NULL;
}

static void read_instance(struct vm *vm, const struct snap_mem_proof *proof,
			  const unsigned char *im, size_t len, struct mem_instance *mi)
{
	const struct layout_fields *f = &vm->lay->f;
	int i;

	mi->read = true;
	mi->strategy = proof->strategies ? strategy_name(f, im, len) : NULL;
	mi->pooled = (int32_t)half(im, len, f->allctr_pool_number) >= 0;
	read_carriers(f, im, len, f->allctr_mbcs, &mi->of[MEM_MBCS]);
	read_carriers(f, im, len, f->allctr_sbcs, &mi->of[MEM_SBCS]);
	if (mi->pooled)
		read_pool(f, im, len, &mi->of[MEM_POOL]);
	for (i = 0; i < CALL_N; i++)
		mi->calls[i] = word(im, len, f->allctr_calls + 8 * i);
}

/* --- all of them ------------------------------------------------------------------------------ */

struct images {
	unsigned char *bytes;
	struct read_req *reqs;
	size_t len, n;
};

static void images_read(struct vm *vm, struct images *im)
{
	size_t i;

	im->n = vm->ninsts;
	im->len = image_bytes(&vm->lay->f);
	im->bytes = xcalloc(im->n + 1, im->len + 8);
	im->reqs = xcalloc(im->n + 1, sizeof(*im->reqs));
	for (i = 0; i < im->n; i++)
		im->reqs[i] = (struct read_req){ vm->insts[i].allctr, im->bytes + i * im->len,
						 im->len, false };
	if (im->len)
		reader_batch(&vm->rd, im->reqs, im->n);
}

static void images_free(struct images *im)
{
	free(im->bytes);
	free(im->reqs);
}

static void make_instances(struct vm *vm, const struct snap_mem_proof *proof,
			   const struct images *im, struct snap_mem *m)
{
	struct mem_instance *mi;
	size_t i;

	m->ninsts = vm->ninsts;
	m->insts = xcalloc(m->ninsts + 1, sizeof(*m->insts));
	for (i = 0; i < m->ninsts; i++) {
		mi = &m->insts[i];
		mi->in = &vm->insts[i];
		mi->allocator = vm->allocator_name[mi->in->alloc_no];
		if (im->reqs[i].ok && mi->in->alloc_no < MEM_ALLOCATORS)
			read_instance(vm, proof, im->bytes + i * im->len, im->len, mi);
		else
			m->unread++;
	}
}

/* --- fix_alloc -------------------------------------------------------------------------------- */

/* The lists of all instances summed up; false when they are none. */
static bool add_fix(struct vm *vm, vmaddr_t lists, bool pooled, struct snap_mem *m,
		    uint64_t *free_n)
{
	const struct layout_fields *f = &vm->lay->f;
	unsigned int size = f->fix_stride, k, n = 0, type, first = 0;
	unsigned char raw[256];
	uint64_t each, allocated, used;

	if (size < 16 || size > sizeof(raw))
		return false;
	for (k = 0; k < MEM_MAX_FIX; k++) {
		if (!reader_copy(&vm->rd, lists + (uint64_t)k * size, raw, size))
			break;
		type = half(raw, size, f->fix_type);
		each = word(raw, size, f->fix_type_size);
		n = VM_TYPE_NUMBER(type);
		/* they number themselves; behind the last there is something else */
		if (type >> 15 ||
		    strcmp(vm->allocator_name[VM_TYPE_ALLOCATOR(type)], "fix_alloc") ||
		    (k && n != first + k) || each < 8 || each > 1 << 20 || each & 7)
			break;
		if (!k)
			first = n;
		allocated =
		    word(raw, size, pooled ? f->fix_pool_allocated : f->fix_nopool_allocated);
		used = word(raw, size, pooled ? f->fix_pool_used : f->fix_nopool_used);
		if (m->nfix == k) {
			m->fix[k] = (struct mem_fix){ vm->type_name[n], each, 0, 0 };
			m->nfix++;
		} else if (m->fix[k].size != each) {
			return false;
		}
		/* what one instance gives another frees: sums alone are right, modulo 2^64 */
		m->fix[k].allocated += allocated * each;
		m->fix[k].used += used * each;
		*free_n += word(raw, size, f->fix_list_size);
	}
	return k >= 4 && k == m->nfix;
}

static bool read_fix(struct vm *vm, const struct images *im, struct snap_mem *m, uint64_t *free_n)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t lists;
	size_t i, seen = 0;

	*free_n = m->nfix = 0;
	for (i = 0; i < m->ninsts; i++) {
		if (strcmp(m->insts[i].allocator, "fix_alloc"))
			continue;
		lists = word(im->bytes + i * im->len, im->len, f->allctr_fix);
		if (!m->insts[i].read || !lists ||
		    !add_fix(vm, lists, m->insts[i].pooled, m, free_n))
			return false;
		seen++;
	}
	return seen > 0;
}

/* --- proof ------------------------------------------------------------------------------------ */

static void does_not_hold(struct snap_mem_proof *p, const char *what)
{
	if (p->nwhy < ARRAY_SIZE(p->why))
		snprintf(p->why[p->nwhy++], sizeof(p->why[0]), "%s", what);
}

/*
 * Strategies have their settings right behind Allctr_t and the root of a tree.  Only the first fit
 * ones take part in a pool, and there is nothing but the four.
 */
static bool strategies_right(struct vm *vm, const struct images *im, const struct snap_mem *m)
{
	const struct layout_fields *f = &vm->lay->f;
	const unsigned char *b;
	size_t i;

	if (f->aoff_block_order != f->allctr_size + 8 ||
	    f->aoff_carrier_order != f->aoff_block_order + 4 ||
	    f->bf_address_order != f->aoff_block_order)
		return false;
	for (i = 0; i < m->ninsts; i++) {
		b = im->bytes + i * im->len;
		if (m->insts[i].read &&
		    (!strategy_name(f, b, im->len) ||
		     (m->insts[i].pooled && half(b, im->len, f->allctr_strategy) != FIRSTFIT)))
			return false;
	}
	return true;
}

/* A number of things and the bytes in them: none without the other, and a word at least each. */
static bool pair_right(uint64_t n, uint64_t size)
{
	return !n == !size && n < 1ULL << 40 && size < 1ULL << 56 && size >= 8 * n;
}

/* The highest values stand between what there is now and the next thing that is counted. */
static bool maxima_right(struct vm *vm, const struct images *im, const struct snap_mem *m)
{
	const struct layout_fields *f = &vm->lay->f;
	const unsigned int kinds[] = { f->allctr_mbcs, f->allctr_sbcs };
	uint64_t at, max, used = 0;
	const unsigned char *b;
	size_t i, len = im->len;
	unsigned int a, k;

	if (3 * f->block_max != f->cstats_block_stride || f->block_max_ever != 2 * f->block_max ||
	    f->cstats_max_ever != f->cstats_max + 16 || f->cstats_blocks != f->cstats_max + 32)
		return false;
	for (i = 0; i < m->ninsts; i++)
		for (k = 0; m->insts[i].read && k < ARRAY_SIZE(kinds); k++) {
			b = im->bytes + i * len;
			max = kinds[k] + f->cstats_max;
			if (!pair_right(word(b, len, max), word(b, len, max + 8)) ||
			    word(b, len, max) < m->insts[i].of[k].carriers.now ||
			    word(b, len, max + 8) < m->insts[i].of[k].carriers_size.now)
				return false;
			for (a = 1; a < MEM_ALLOCATORS; a++) {
				at = kinds[k] + f->cstats_blocks + f->cstats_block_stride * (a - 1);
				max = at + f->block_max;
				if (!pair_right(word(b, len, max), word(b, len, max + 8)) ||
				    word(b, len, max) < word(b, len, at) ||
				    word(b, len, max + 8) < word(b, len, at + 8))
					return false;
				used += word(b, len, max);
			}
		}
	return used > 0;
}

static unsigned int fix_number(const struct vm *vm)
{
	unsigned int a;

	for (a = 1; a < MEM_ALLOCATORS && strcmp(vm->allocator_name[a], "fix_alloc"); a++)
		;
	return a;
}

static uint64_t fix_blocks(const struct vm *vm, const struct snap_mem *m)
{
	unsigned int a = fix_number(vm);
	uint64_t n = 0;
	size_t i, k;

	for (i = 0; a < MEM_ALLOCATORS && i < m->ninsts; i++)
		for (k = 0; k < MEM_KINDS; k++)
			n += m->insts[i].of[k].by[a].n;
	return n;
}

/* What the lists took from the carriers is either in use or on the lists, and all of fix_alloc. */
static bool fix_right(struct vm *vm, const struct images *im, struct snap_mem *m)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t free_n, allocated = 0, used = 0, blocks;
	bool proc = false;
	size_t i;

	if (f->fix_pool_used != f->fix_pool_allocated + 8 ||
	    f->fix_nopool_used != f->fix_nopool_allocated + 8 || !read_fix(vm, im, m, &free_n))
		return false;
	for (i = 0; i < m->nfix; i++) {
		allocated += m->fix[i].allocated / m->fix[i].size;
		used += m->fix[i].used / m->fix[i].size;
		proc |= !strcmp(m->fix[i].type, "proc") && m->fix[i].size >= f->proc_size;
	}
	blocks = fix_blocks(vm, m);
	log_all("fix_alloc: %llu objects taken, %llu in use, %llu on lists, %llu blocks",
		(unsigned long long)allocated, (unsigned long long)used, (unsigned long long)free_n,
		(unsigned long long)blocks);
	/* on their way from one instance to another they are in one book only */
	return proc && used + free_n <= allocated + allocated / 16 &&
	       used + free_n + allocated / 16 >= allocated &&
	       blocks <= allocated + allocated / 16 && blocks + allocated / 16 >= allocated;
}

static bool has_fix(const struct vm *vm)
{
	size_t i;

	for (i = 0; i < vm->ninsts; i++)
		if (vm->insts[i].alloc_no == fix_number(vm))
			return true;
	return false;
}

void snap_mem_open(struct vm *vm, struct snap_mem_proof *p)
{
	struct images im;
	struct snap_mem m = { 0 };
	bool last = false;
	int try;

	memset(p, 0, sizeof(*p));
	/* an instance may change while it is copied: what holds once holds */
	for (try = 0; try < TRIES && !last; try++) {
		images_read(vm, &im);
		make_instances(vm, p, &im, &m);
		p->strategies |= strategies_right(vm, &im, &m);
		p->maxima |= maxima_right(vm, &im, &m);
		p->fix |= fix_right(vm, &im, &m);
		last = (p->strategies && p->maxima && p->fix) || try == TRIES - 1;
		if (last)
			snap_mseg_open(vm, p, &m);
		snap_mem_free(&m);
		images_free(&im);
	}
	if (!p->strategies)
		does_not_hold(p, "allocators' strategies are not where they should be");
	if (!p->maxima)
		does_not_hold(p, "allocators' highest values are not where they should be");
	if (!p->fix && has_fix(vm))
		does_not_hold(p, "fix_alloc's lists are not where they should be");
	if (!p->msegs)
		does_not_hold(p, "mseg_alloc's instances are not found");
}

/* --- reading ---------------------------------------------------------------------------------- */

void snap_mem_read(struct vm *vm, const struct snap_mem_proof *proof, struct snap_mem *m)
{
	struct images im;
	uint64_t free_n;

	memset(m, 0, sizeof(*m));
	images_read(vm, &im);
	make_instances(vm, proof, &im, m);
	m->maxima_known = proof->maxima;
	m->fix_known = proof->fix && read_fix(vm, &im, m, &free_n);
	images_free(&im);
	snap_mseg_read(vm, proof, m);
}

void snap_mem_free(struct snap_mem *m)
{
	free(m->insts);
	free(m->msegs);
	memset(m, 0, sizeof(*m));
}

uint64_t snap_mem_blocks_of(const struct snap_mem *m, unsigned int alloc_no)
{
	uint64_t size = 0;
	size_t i, k;

	for (i = 0; alloc_no < MEM_ALLOCATORS && i < m->ninsts; i++)
		for (k = 0; k < MEM_KINDS; k++)
			size += m->insts[i].of[k].by[alloc_no].size;
	return size;
}
