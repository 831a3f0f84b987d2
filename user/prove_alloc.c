// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proofs of allocators: instances know their number, carriers lead back to their instance, are as
 * many as are counted and hold what is counted; callbacks are code where there must be code.
 *
 * An Allctr_t is copied whole.  It has counters that stand at 0 in most nodes (the pool's, those of
 * single-block carriers): the landmarks around them are the pool's number, -1 where an instance
 * takes no part, the main carrier, and the callbacks: code, NULL, code, code, and code except for
 * the mapper.
 */
#include "prove.h"

#include <stdlib.h>
#include <string.h>

#define LIST_MAX 100000 /* carriers of one instance */
#define BATCH 256
#define CARRIER_BYTES 512 /* of a multi-block carrier's header that are looked at */
#define SBC_BYTES 32	  /* all there is of the header of a single-block carrier */
#define POOLS 16

/* A copy of an instance. */
struct image {
	unsigned char *raw;
	size_t len;
};

struct tally {
	unsigned int seen, numbered, named, code, strategy, pooled, unpooled, pool_right;
	unsigned int mains, mains_right, firsts, firsts_right;
};

static uint64_t word(const struct image *im, unsigned int off)
{
	return prove_word(im->raw, im->len, off);
}

/* All instances at once: they are few, and some KiB each. */
static struct image *read_images(struct vm *vm)
{
	struct image *im = xcalloc(vm->ninsts ? vm->ninsts : 1, sizeof(*im));
	size_t len = vm->lay->f.allctr_mbcs + vm->lay->f.cstats_size, from, i, k;
	struct read_req req[BATCH];

	for (from = 0; from < vm->ninsts && len < 1 << 16; from += k) {
		k = vm->ninsts - from < BATCH ? vm->ninsts - from : BATCH;
		for (i = 0; i < k; i++) {
			im[from + i].raw = xcalloc(1, len);
			req[i] = (struct read_req){ vm->insts[from + i].allctr, im[from + i].raw, len,
						    false };
		}
		reader_batch(&vm->rd, req, k);
		for (i = 0; i < k; i++)
			im[from + i].len = req[i].ok ? len : 0;
	}
	return im;
}

static void free_images(struct vm *vm, struct image *im)
{
	size_t i;

	for (i = 0; i < vm->ninsts; i++)
		free(im[i].raw);
	free(im);
}

/* --- callbacks -------------------------------------------------------------------------------- */

/* To get and give back memory there are three functions each; between them what maps it. */
static bool has_sources(const struct vm *vm, const struct image *im)
{
	unsigned int first = vm->lay->f.allctr_mseg_alloc, at;

	for (at = first; at < first + 7 * 8; at += 8)
		if (vm_is_code(vm, word(im, at)) == (at == vm->lay->f.allctr_mseg_mmapper))
			return false;
	return true;
}

/*
 * Strategies that can work with the pool have functions for what is created, put in and taken out,
 * and none, in a release build, for what is destroyed.  The others have none for the pool.
 */
static bool has_strategy(const struct vm *vm, const struct image *im)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t creating = word(im, f->allctr_creating_mbc);
	uint64_t destroying = word(im, f->allctr_destroying_mbc);
	uint64_t adds = word(im, f->allctr_add_mbc), removes = word(im, f->allctr_remove_mbc);

	if (adds || removes)
		return vm_is_code(vm, creating) && !destroying && vm_is_code(vm, adds) &&
		       vm_is_code(vm, removes);
	return creating == destroying && (!creating || vm_is_code(vm, creating));
}

/* --- the pool --------------------------------------------------------------------------------- */

/* Counters of carriers that an instance created and gave to the pool: all of them 0, or none. */
static bool pool_agrees(const struct vm *vm, const struct image *im)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t carriers = word(im, f->allctr_pool_no_carriers), blocks = 0, bytes = 0;
	uint64_t size = word(im, f->allctr_pool_carriers_size);
	unsigned int i;

	for (i = 0; i < 12; i++) {
		blocks += word(im, f->allctr_pool_no_blocks + 8 * i);
		bytes += word(im, f->allctr_pool_blocks_size + 8 * i);
	}
	if (!carriers)
		return !size && !blocks && !bytes;
	return size / carriers >= 4096 && carriers < 1ULL << 40 && bytes <= size && !blocks == !bytes;
}

static void tally_pool(const struct vm *vm, const struct image *im, struct tally *t)
{
	const struct layout_fields *f = &vm->lay->f;
	int32_t number = word(im, f->allctr_pool_number);

	if (number == -1) {
		t->unpooled++;
		t->pool_right += pool_agrees(vm, im);
		return;
	}
	/* one that takes part has a ring to put carriers into, and a strategy that can */
	t->pooled++;
	t->pool_right += number >= 0 && number < POOLS && word(im, f->allctr_add_mbc) &&
			 word(im, f->allctr_sentinel) && !(word(im, f->allctr_sentinel) & 3) &&
			 pool_agrees(vm, im);
}

/* The first carrier that an instance made: it knows its creator, wherever it is by now. */
static void tally_main(struct vm *vm, const struct image *im, vmaddr_t allctr, struct tally *t)
{
	uint64_t main = word(im, vm->lay->f.allctr_main_carrier), creator;

	if (!main)
		return;
	t->mains++;
	t->mains_right += reader_u64(&vm->rd, main + vm->lay->f.carrier_creator, &creator) &&
			  creator == allctr;
}

/* --- carriers --------------------------------------------------------------------------------- */

/* What a list of carriers says. */
struct carriers {
	uint64_t n, bytes, blocks_size;
	unsigned int strays; /* that belong to another instance */
};

static bool is_instance(const struct vm *vm, vmaddr_t allctr)
{
	size_t i;

	for (i = 0; i < vm->ninsts; i++)
		if (vm->insts[i].allctr == allctr)
			return true;
	return false;
}

/* False when the list does not end, or moves. */
static bool carrier_list(struct vm *vm, vmaddr_t first, vmaddr_t allctr, bool multi,
			 struct carriers *c)
{
	const struct layout_fields *f = &vm->lay->f;
	size_t len = multi ? f->carrier_blocks_size + 8 : SBC_BYTES;
	unsigned char raw[CARRIER_BYTES];
	uint64_t at;

	memset(c, 0, sizeof(*c));
	if (len > sizeof(raw))
		return false;
	for (at = first; at; at = prove_word(raw, len, f->carrier_next)) {
		if (++c->n > LIST_MAX || !reader_copy(&vm->rd, at, raw, len))
			return false;
		c->bytes += prove_word(raw, len, f->carrier_chdr) & ~7ULL;
		c->strays += (prove_word(raw, len, f->carrier_allctr) & ~7ULL) != allctr;
		if (!multi)
			continue;
		c->blocks_size += prove_word(raw, len, f->carrier_blocks_size);
		c->strays += !is_instance(vm, prove_word(raw, len, f->carrier_creator));
	}
	return true;
}

/* Bytes in blocks, whosoever's, of the multi-block carriers. */
static bool blocks_size(struct vm *vm, vmaddr_t stats, uint64_t *size)
{
	const struct layout_fields *f = &vm->lay->f;
	unsigned char raw[1024];
	unsigned int at;

	*size = 0;
	if (f->cstats_size > sizeof(raw) || !f->cstats_block_stride ||
	    !reader_copy(&vm->rd, stats, raw, f->cstats_size))
		return false;
	for (at = f->cstats_blocks; at < f->cstats_size; at += f->cstats_block_stride)
		*size += prove_word(raw, sizeof(raw), at + 8);
	return true;
}

/*
 * The first block of a multi-block carrier: free, it names its carrier; else its header has the
 * distance to it.  No block is in front of it that could be free.
 */
static bool first_block(struct vm *vm, const struct image *im, vmaddr_t carrier)
{
	unsigned int shift = vm->lay->facts->carrier_shift;
	uint64_t header = word(im, vm->lay->f.allctr_mbc_header), block[2], at;

	at = carrier + header;
	if (header >= 4096 || (header & 7) || !reader_copy(&vm->rd, at, block, sizeof(block)) ||
	    block[0] & 2)
		return false;
	if (block[0] & 1)
		return block[1] == carrier;
	return (at >> shift << shift) - ((block[0] >> 40 & 0x7fffff) << shift) == carrier;
}

struct lists {
	unsigned int tried, right, back, full, multi;
	unsigned int single, single_right; /* of single-block carriers, with any in them */
};

static void tally_lists(struct vm *vm, vmaddr_t allctr, bool multi, struct lists *t)
{
	const struct layout_fields *f = &vm->lay->f;
	vmaddr_t stats = allctr + (multi ? f->allctr_mbcs : f->allctr_sbcs);
	vmaddr_t list = allctr + (multi ? f->allctr_mbc_list : f->allctr_sbc_list);
	struct carriers c = { .strays = 1 };
	uint64_t first, num[4], size;
	bool counted = false;
	int try;

	for (try = 0; try < TRIES; try++) {
		counted = false;
		if (!reader_u64(&vm->rd, list, &first) ||
		    !carrier_list(vm, first, allctr, multi, &c) ||
		    !reader_copy(&vm->rd, stats + f->cstats_carriers, num, sizeof(num)) ||
		    !blocks_size(vm, stats, &size))
			continue;
		counted = num[0] + num[2] == c.n && num[1] + num[3] == c.bytes;
		if (counted && !c.strays && (!multi || size == c.blocks_size))
			break;
	}
	t->tried++;
	t->right += counted;
	t->back += !c.strays;
	t->single += !multi && c.n;
	t->single_right += !multi && c.n && counted;
	t->multi += multi;
	t->full += multi && try < TRIES;
}

static void prove_carriers(struct vm *vm)
{
	unsigned int again = 0;
	struct lists t;
	size_t i;

	do {
		memset(&t, 0, sizeof(t));
		for (i = 0; i < vm->ninsts; i++) {
			tally_lists(vm, vm->insts[i].allctr, true, &t);
			tally_lists(vm, vm->insts[i].allctr, false, &t);
		}
		/* of few lists all that have any may just be moving */
	} while (t.single && !t.single_right && prove_again(vm, &again));
	/* the tables of a VM fill single-block carriers that never change */
	if (t.single)
		vm_check(vm, t.single_right ? CHECK_OK : CHECK_FAIL, "layout single-block carriers",
			 "%u of %u lists that have any agree with their counters", t.single_right,
			 t.single);
	/* a busy instance may move under all tries; most hold still */
	JUDGE("layout carrier lists", t.right, t.tried, 16,
	      "lists have the length and bytes of their counters");
	JUDGE("layout carriers", t.back, t.tried, 16, "lists' carriers point back to their instance");
	JUDGE("layout carrier blocks", t.full, t.multi, 4,
	      "instances' carriers hold as much as the instance counts");
}

/* --- carriers in the pool --------------------------------------------------------------------- */

/* What hangs on the rings, by the instance that created it. */
struct pooled {
	uint64_t n, bytes, blocks_size;
};

static size_t index_of(const struct vm *vm, vmaddr_t allctr)
{
	size_t i;

	for (i = 0; i < vm->ninsts && vm->insts[i].allctr != allctr; i++)
		;
	return i;
}

/* One ring from its sentinel round to it; links have marks in their low bits. */
static bool walk_ring(struct vm *vm, vmaddr_t sentinel, struct pooled *by)
{
	const struct layout_fields *f = &vm->lay->f;
	unsigned int next = f->carrier_pool_next - f->carrier_cpool, n;
	uint64_t at = sentinel, link[2], back[2], carrier;
	unsigned char raw[CARRIER_BYTES];
	size_t len = f->carrier_blocks_size + 8, i;

	for (n = 0; n < LIST_MAX && len <= sizeof(raw); n++) {
		if (!reader_copy(&vm->rd, at + next, link, sizeof(link)) ||
		    !reader_copy(&vm->rd, (link[0] & ~3ULL) + next, back, sizeof(back)) ||
		    (back[1] & ~3ULL) != at)
			return false;
		at = link[0] & ~3ULL;
		if (at == sentinel)
			return true;
		carrier = at - f->carrier_cpool;
		if (!reader_copy(&vm->rd, carrier, raw, len))
			return false;
		i = index_of(vm, prove_word(raw, len, f->carrier_creator));
		if (i == vm->ninsts)
			return false;
		by[i].n++;
		by[i].bytes += prove_word(raw, len, f->carrier_chdr) & ~7ULL;
		by[i].blocks_size += prove_word(raw, len, f->carrier_blocks_size);
	}
	return false;
}

static bool first_with(const struct vm *vm, const struct image *im, size_t i)
{
	uint64_t sentinel = word(&im[i], vm->lay->f.allctr_sentinel);
	size_t k;

	for (k = 0; k < i; k++)
		if (word(&im[k], vm->lay->f.allctr_sentinel) == sentinel)
			return false;
	return (int32_t)word(&im[i], vm->lay->f.allctr_pool_number) >= 0;
}

/* As much as the instance counts in the pool: carriers, their bytes, and what is used of them. */
static bool pool_counted(struct vm *vm, vmaddr_t allctr, const struct pooled *by)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t n, bytes, sizes[12], used = 0;
	int i;

	if (!reader_u64(&vm->rd, allctr + f->allctr_pool_no_carriers, &n) ||
	    !reader_u64(&vm->rd, allctr + f->allctr_pool_carriers_size, &bytes) ||
	    !reader_copy(&vm->rd, allctr + f->allctr_pool_blocks_size, sizes, sizeof(sizes)))
		return false;
	for (i = 0; i < 12; i++)
		used += sizes[i];
	return n == by->n && bytes == by->bytes && used == by->blocks_size;
}

/*
 * The rings against the counters.  Most are empty most of the time, and agree on that.  Where there
 * is traffic a carrier may be out for a moment, or wait to be given back: few agree then.
 */
static void prove_pools(struct vm *vm, const struct image *im)
{
	struct pooled *by = xcalloc(vm->ninsts + 1, sizeof(*by));
	struct pooled *found = xcalloc(vm->ninsts + 1, sizeof(*found));
	unsigned int rings = 0, closed = 0, counted = 0, members = 0;
	size_t i, k;
	int try;

	for (i = 0; i < vm->ninsts; i++) {
		if (!im[i].len || !first_with(vm, im, i))
			continue;
		rings++;
		for (try = 0; try < TRIES; try++) {
			memset(found, 0, vm->ninsts * sizeof(*found));
			if (walk_ring(vm, word(&im[i], vm->lay->f.allctr_sentinel), found))
				break;
		}
		closed += try < TRIES;
		for (k = 0; k < vm->ninsts && try < TRIES; k++) {
			by[k].n += found[k].n;
			by[k].bytes += found[k].bytes;
			by[k].blocks_size += found[k].blocks_size;
		}
	}
	free(found);
	for (i = 0; i < vm->ninsts; i++) {
		if (!im[i].len || (int32_t)word(&im[i], vm->lay->f.allctr_pool_number) < 0)
			continue;
		members++;
		counted += pool_counted(vm, vm->insts[i].allctr, &by[i]);
	}
	free(by);
	if (!rings) {
		SKIP("layout pool rings", "no allocator has a pool");
		return;
	}
	MOSTLY("layout pool rings", closed, rings, "pools are rings of carriers");
	MOSTLY("layout pool counters", counted, members,
	       "instances have as much in them as they count");
}

/* --- the table of allocators ------------------------------------------------------------------ */

static unsigned int instances_of(const struct vm *vm, unsigned int a)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < vm->ninsts; i++)
		n += vm->insts[i].alloc_no == a;
	return n;
}

/*
 * An allocator's `extra` is its one instance, or its place in the table of those that have one for
 * each scheduler (vm.c).  That place knows its own number, and all its instances were found.  How
 * blocks of other threads are freed is told by the place and by the function that frees.
 */
static bool place_right(struct vm *vm, unsigned int a, unsigned int other)
{
	const struct layout_fields *f = &vm->lay->f;
	vmaddr_t extra = vm->allctrs[a].extra;
	uint32_t aix, size;

	return reader_u32(&vm->rd, extra + f->thrspec_aix, &aix) && aix == a &&
	       reader_u32(&vm->rd, extra + f->thrspec_size, &size) && size > vm->nnormal &&
	       size == instances_of(vm, a) &&
	       (vm->allctrs_preferred[a] == vm->allctrs_preferred[other]) ==
		       (vm->allctrs[a].free == vm->allctrs[other].free);
}

static void prove_table(struct vm *vm)
{
	unsigned int a, tried = 0, right = 0, other = 0;

	for (a = 1; a < VM_MAX_ALLOCATORS; a++) {
		if (!vm->allocator_name[a][0] || !vm->allctrs[a].extra)
			continue;
		tried++;
		if (!vm->allctrs_preferred[a] && !vm->allctrs_specific[a]) {
			right += instances_of(vm, a) == 1;
			continue;
		}
		if (!other)
			other = a;
		right += place_right(vm, a, other);
	}
	JUDGE("layout allocator table", right, tried, ALL,
	      "allocators have their instances, one or one a scheduler");
}

void prove_allocators(struct vm *vm)
{
	const struct layout_fields *f = &vm->lay->f;
	struct image *im = read_images(vm);
	struct tally t = { 0 };
	char text[VM_NAME];
	size_t i, len;

	for (i = 0; i < vm->ninsts; i++) {
		const struct instance *in = &vm->insts[i];

		if (!im[i].len)
			continue;
		t.seen++;
		t.numbered += (uint32_t)word(&im[i], f->allctr_alloc_no) == in->alloc_no &&
			      (uint32_t)word(&im[i], f->allctr_ix) == in->ix;
		/* name_prefix "binary_" and the table's "binary_alloc" */
		if (reader_string(&vm->rd, word(&im[i], f->allctr_name_prefix), text, sizeof(text))) {
			len = strlen(text);
			t.named += len && !strncmp(text, vm->allocator_name[in->alloc_no], len);
		}
		t.code += has_sources(vm, &im[i]);
		t.strategy += has_strategy(vm, &im[i]);
		tally_pool(vm, &im[i], &t);
		tally_main(vm, &im[i], in->allctr, &t);
		if (word(&im[i], f->allctr_mbc_list)) {
			t.firsts++;
			t.firsts_right += first_block(vm, &im[i], word(&im[i], f->allctr_mbc_list));
		}
	}
	prove_pools(vm, im);
	free_images(vm, im);
	JUDGE("layout allocators", t.numbered, vm->ninsts, ALL,
	      "instances know allocator and index");
	JUDGE("layout allocator names", t.named, vm->ninsts, ALL,
	      "instances have the prefix of their name");
	JUDGE("layout callbacks", t.code, vm->ninsts, ALL,
	      "instances have code to get and give back memory");
	JUDGE("layout strategy callbacks", t.strategy, vm->ninsts, ALL,
	      "instances have code for the pool, or none");
	/* temp_alloc and literal_alloc never take part */
	JUDGE("layout pool", t.unpooled ? t.pool_right : 0, vm->ninsts, 16,
	      "instances have a pool, or none, and the counters of that");
	if (t.mains)
		JUDGE("layout main carriers", t.mains_right, t.mains, ALL,
		      "main carriers know their instance");
	JUDGE("layout first blocks", t.firsts_right, t.firsts, 4,
	      "first blocks know their carrier");
	prove_table(vm);
	prove_carriers(vm);
	if (vm->type_binary && VM_TYPE_ALLOCATOR(vm->type_binary) < VM_MAX_ALLOCATORS &&
	    !strcmp(vm->allocator_name[VM_TYPE_ALLOCATOR(vm->type_binary)], "binary_alloc"))
		OK("layout types", "type %u (binary) belongs to binary_alloc", vm->type_binary);
	else
		BAD("layout types", "type %u (binary) does not belong to binary_alloc",
		    vm->type_binary);
}
