// SPDX-License-Identifier: GPL-2.0-only
/*
 * Carriers and their blocks, on memory of this very process that is made to look like a VM's: right
 * ones of all shapes, and each way in which one can be torn, or be none.
 */
#include "snap_carrier.h"
#include "snap_tags.h"
#include "report_carrier.h"
#include "layout.h"
#include "tap.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define AREA (1 << 23)
#define UNIT (1 << 18) /* carriers are aligned to that, whatever the shift */
#define HEADER 440
#define BLOCKS_MAX 5000
#define TAG (1ULL << 63)

static unsigned char *area; /* AREA bytes, and behind them nothing */
static uint64_t seed = 1;

static unsigned int dice(unsigned int n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % n;
}

static uint64_t *at(uint64_t addr)
{
	return (uint64_t *)(uintptr_t)addr;
}

static uint64_t base(void)
{
	return (uintptr_t)area;
}

/* --- a carrier -------------------------------------------------------------------------------- */

struct made {
	uint64_t carrier, size;
	unsigned int shift, n;
	uint64_t addr[BLOCKS_MAX];
	bool is_free[BLOCKS_MAX];
	uint64_t blocks, bytes, free_blocks, largest_free, tags;
};

static uint64_t block_end(const struct made *m, unsigned int i)
{
	return i + 1 < m->n ? m->addr[i + 1] : m->carrier + m->size;
}

static void put_block(struct made *m, unsigned int i)
{
	uint64_t size = block_end(m, i) - m->addr[i], head = size;

	head |= i && m->is_free[i - 1] ? 2 : 0;
	head |= i + 1 == m->n ? 4 : 0;
	if (m->is_free[i]) {
		at(m->addr[i])[0] = head | 1;
		at(m->addr[i])[1] = m->carrier;
		if (i + 1 < m->n)
			at(block_end(m, i))[-1] = size;
		m->free_blocks++;
		if (size > m->largest_free)
			m->largest_free = size;
		return;
	}
	head |= (m->addr[i] - m->carrier) >> m->shift << 40;
	if (size >= 32 && dice(2)) {
		head |= TAG;
		at(block_end(m, i))[-2] = 7 << 8 | 214;
		at(block_end(m, i))[-1] = 0x123;
		m->tags++;
	}
	at(m->addr[i])[0] = head;
	m->blocks++;
	m->bytes += size;
}

/* Blocks up to @largest, some of them free, no two of those side by side. */
static void make(struct made *m, uint64_t carrier, uint64_t size, unsigned int shift,
		 unsigned int largest)
{
	uint64_t pos = carrier + HEADER, end = carrier + size, next;
	unsigned int i;

	memset(m, 0, sizeof(*m));
	m->carrier = carrier;
	m->size = size;
	m->shift = shift;
	memset(at(carrier), 0x5a, size);
	while (pos < end) {
		m->addr[m->n] = pos;
		m->is_free[m->n] = (!m->n || !m->is_free[m->n - 1]) && !dice(3);
		next = pos + 24 + 8 * dice(largest / 8);
		if (end - pos < 64 || next > end - 24 || m->n == BLOCKS_MAX - 1)
			next = end;
		m->n++;
		pos = next;
	}
	for (i = 0; i < m->n; i++)
		put_block(m, i);
}

static unsigned int tags_told;

static void on_tag(void *arg, const uint64_t *words, uint64_t size)
{
	tags_told += words[0] == (7 << 8 | 214) && words[1] == 0x123 && size >= 32;
}

static const struct size_rule old_blocks = { 128, 18, 0, false }, old_free = { 1024, 14, 0, false };
static const struct size_rule new_blocks = { 128, 18, 0, true }, new_free = { 1024, 14, 1, true };

static int walk(struct block_window *w, const struct made *m, struct block_walk *b)
{
	*b = (struct block_walk){
		.carrier = m->carrier, .size = m->size, .header = HEADER, .shift = m->shift,
		.tag_words = 2, .block_rule = new_blocks, .free_rule = new_free, .on_tag = on_tag,
	};
	tags_told = 0;
	return block_walk(w, b);
}

static uint64_t sum(const struct size_hist *h)
{
	uint64_t n = 0;
	int i;

	for (i = 0; i < BLOCK_SLOTS; i++)
		n += h->slot[i];
	return n;
}

static bool agrees(const struct made *m, const struct block_walk *b)
{
	return b->blocks == m->blocks && b->bytes == m->bytes && b->free_blocks == m->free_blocks &&
	       b->bytes + b->free_bytes == m->size - HEADER && b->largest_free == m->largest_free &&
	       tags_told == m->tags && sum(&b->sizes) == m->blocks &&
	       sum(&b->free_sizes) == m->free_blocks && sum(&b->untagged) == m->blocks - m->tags;
}

static void right(struct block_window *w)
{
	static const unsigned int largest[] = { 64, 700, 9000, 200000 };
	static const size_t most[] = { 0, 40, 4096 };
	unsigned int good = 0, tried = 0, i, k, round;
	struct block_walk b;
	struct made m;

	for (round = 0; round < 20; round++)
		for (i = 0; i < 4; i++)
			for (k = 0; k < 3; k++) {
				w->most = most[k];
				make(&m, base() + dice(8) * UNIT, 4096 + 8 * dice(UNIT),
				     dice(2) ? 18 : 14, largest[i]);
				tried++;
				good += !walk(w, &m, &b) && agrees(&m, &b);
			}
	w->most = 0;
	is_u64(good, tried, "carriers of all sizes are walked to their end, in pieces of any size");
}

/* --- torn ones -------------------------------------------------------------------------------- */

/* One word of a right carrier is another: the walk must stop there. */
static bool stops(struct block_window *w, struct made *m, uint64_t word, uint64_t value)
{
	uint64_t was = *at(word);
	struct block_walk b;
	int err;

	if (was == value)
		return true;
	*at(word) = value;
	err = walk(w, m, &b);
	*at(word) = was;
	return err == -EAGAIN;
}

static void torn(struct block_window *w)
{
	unsigned int i, good[10] = { 0 }, tried[10] = { 0 };
	static const char *const what[] = {
		"without a size", "larger than what is left", "marked as the last one, early",
		"not marked as the last one, late", "that denies a free one before it",
		"that claims a free one before it", "of another carrier",
		"that is free, of another carrier", "that is free and ends with another size",
		"that is free beside a free one",
	};
	uint64_t word, head;
	struct made m;
	int k;

#define TRY(k, word, value) (tried[k]++, good[k] += stops(w, &m, word, value))
	make(&m, base() + UNIT, UNIT, 14, 3000);
	for (i = 0; i < m.n; i++) {
		word = m.addr[i];
		head = *at(word);
		TRY(0, word, head & ~0xfffffffff8ULL);
		TRY(1, word, head + 2 * UNIT);
		if (i + 1 < m.n)
			TRY(2, word, head | 4);
		else
			TRY(3, word, head & ~4ULL);
		TRY(head & 2 ? 4 : 5, word, head ^ 2);
		if (!(head & 1))
			TRY(6, word, head + (1ULL << 40));
		else
			TRY(7, word + 8, m.carrier + UNIT);
		if ((head & 1) && i + 1 < m.n)
			TRY(8, m.addr[i + 1] - 8, 8);
		if (i && m.is_free[i - 1])
			TRY(9, word, head | 1);
	}
	for (k = 0; k < 10; k++)
		ok(tried[k] && good[k] == tried[k], "a block %s stops the walk (%u of %u)", what[k],
		   good[k], tried[k]);
}

/* Any word may be anything: what is told of it then still adds up. */
static void random_words(struct block_window *w)
{
	unsigned int i, round, odd = 0, through = 0;
	struct block_walk b;
	struct made m;
	int err;

	for (round = 0; round < 3000; round++) {
		if (round % 50 == 0)
			make(&m, base(), 40000, 14, 500);
		for (i = 0; i < 1 + round % 3; i++)
			at(m.carrier + HEADER)[dice((40000 - HEADER) / 8)] =
			    dice(2) ? (uint64_t)dice(1 << 30) << 34 | dice(1 << 30) : dice(70000);
		err = walk(w, &m, &b);
		through += !err;
		odd += err ? err != -EAGAIN && err != -EFAULT :
			     b.bytes + b.free_bytes != m.size - HEADER;
	}
	is_u64(odd, 0, "random words: stopped, or all of it was walked");
	ok(through > 20, "some of them were in the blocks' own bytes (%u)", through);
}

static void bounds(struct block_window *w)
{
	struct block_walk b;
	struct made m;

	make(&m, base() + AREA - 2 * UNIT, UNIT, 14, 500);
	is_u64(walk(w, &m, &b), 0, "a carrier is walked");
	m.size = 3 * UNIT;
	*at(m.addr[m.n - 1]) = (*at(m.addr[m.n - 1]) & ~4ULL) + UNIT;
	ok(walk(w, &m, &b) != 0, "one whose end is not there is not");
	m.size = UINT64_MAX - 7;
	is_u64(walk(w, &m, &b), -EAGAIN, "nor one that ends before it begins");
	m.size = HEADER;
	is_u64(walk(w, &m, &b), -EAGAIN, "nor one without room");
	m.carrier = 0x1000;
	m.size = UNIT;
	is_u64(walk(w, &m, &b), -EFAULT, "nor one that is not there");
	is_u64(block_single_size(1000 | 7, 4096, 32), 1000, "a single block");
	is_u64(block_single_size(TAG | 1000 | 7, 4096, 32), 1000, "a single block with a tag");
	is_u64(block_single_size(1000 | 5, 4096, 32), 0, "no single block: flags");
	is_u64(block_single_size(4072 | 7, 4096, 32), 0,
	       "no single block: larger than its carrier");
	is_u64(block_single_size(7, 4096, 32), 0, "no single block: no size");
}

/* --- buckets ---------------------------------------------------------------------------------- */

/* As the VM does it (erl_alloc_util.c), written down anew. */
static unsigned int vm_slot(uint64_t size, uint64_t start, bool from_27, bool of_free)
{
	unsigned int slot = 0, width = of_free ? 14 : 18;
	uint64_t n = size / start + !from_27;

	for (; n; n >>= 1)
		slot++;
	slot = slot - !from_27 + (from_27 && of_free);
	return slot < width ? slot : width - 1;
}

static bool buckets_right(const struct size_rule *r, bool from_27, bool of_free)
{
	uint64_t size;
	unsigned int i, slot;

	for (size = 0; size < 40000000; size += size < 20000 ? 1 : size / 1000) {
		slot = size_slot(r, size);
		if (slot != vm_slot(size, r->start, from_27, of_free) ||
		    size < size_slot_lo(r, slot) || size > size_slot_hi(r, slot))
			return false;
	}
	for (i = r->skip; i + 1 < r->slots; i++)
		if (size_slot_hi(r, i) + 1 != size_slot_lo(r, i + 1))
			return false;
	return size_slot_lo(r, r->skip) == 0 && size_slot_hi(r, r->slots - 1) == UINT64_MAX &&
	       size_slot(r, UINT64_MAX) == r->slots - 1;
}

static void buckets(void)
{
	ok(buckets_right(&old_blocks, false, false), "blocks, until 26");
	ok(buckets_right(&old_free, false, true), "free blocks, until 26");
	ok(buckets_right(&new_blocks, true, false), "blocks, from 27");
	ok(buckets_right(&new_free, true, true), "free blocks, from 27: the first one is left out");
	is_u64(size_slot_lo(&old_free, 2), 3072, "until 26: start * (2^i - 1)");
	is_u64(size_slot_lo(&new_free, 3), 2048, "from 27: powers of two");
}

/* --- tags ------------------------------------------------------------------------------------- */

static void tags(void)
{
	struct tag_table t, other;
	struct tag_sum *v, rest;
	uint64_t i, n = 0;
	size_t count;

	tag_table_open(&t, &new_blocks);
	tag_table_open(&other, &new_blocks);
	for (i = 0; i < 1000; i++)
		tag_table_add(&other, i % 10, i % 7, 100);
	tag_table_clear(&other);
	for (i = 0; i < 3000; i++)
		tag_table_add(&other, i % 30, i % 7, 200);
	tag_table_merge(&t, &other, 10);
	tag_table_merge(&t, &other, 10);
	tag_table_merge(&t, &other, 11);
	v = tag_table_take(&t, &count, &rest);
	for (i = 0; i < count; i++)
		n += v[i].blocks;
	ok(count == 2 * 210 && n == 9000 && !rest.blocks && v[0].bytes == 200 * v[0].blocks,
	   "tags are summed up by their words, and by allocator");
	free(v);
	tag_table_clear(&other);
	for (i = 0; i < TAGS_MAX + 5; i++)
		tag_table_add(&other, i, 0, 64);
	tag_table_add(&other, 3, 0, 64);
	v = tag_table_take(&other, &count, &rest);
	ok(count == TAGS_MAX && rest.blocks == 5 && v[3].blocks == 2,
	   "what is too many goes to the rest, what is there is found");
	free(v);
}

/* --- all carriers ----------------------------------------------------------------------------- */

static struct vm vm;
static uint64_t allctr, sentinel;

static uint64_t *field(uint64_t struc, unsigned int off)
{
	return at(struc + off);
}

/* As the VM has it: counters that agree, by allocator. */
static void count_in(const struct made *m, uint64_t addr, bool pooled)
{
	const struct layout_fields *f = &vm.lay->f;
	uint64_t stats = allctr + f->allctr_mbcs;

	memset(at(addr), 0, 424);
	*field(addr, f->carrier_chdr) = m->size | 1;
	*field(addr, f->carrier_allctr) = allctr | pooled;
	*field(addr, f->carrier_creator) = allctr;
	*field(addr, f->carrier_blocks + 8 * 9) = m->blocks;
	*field(addr, f->carrier_kinds_size + 8 * 9) = m->bytes;
	*field(addr, f->carrier_blocks_size) = m->bytes;
	if (pooled) {
		*field(allctr, f->allctr_pool_no_carriers) += 1;
		*field(allctr, f->allctr_pool_no_blocks + 8 * 9) += m->blocks;
		*field(allctr, f->allctr_pool_blocks_size + 8 * 9) += m->bytes;
	} else {
		*field(stats, f->cstats_carriers) += 1;
		*field(stats, f->cstats_blocks + 9 * f->cstats_block_stride) += m->blocks;
		*field(stats, f->cstats_blocks + 9 * f->cstats_block_stride + 8) += m->bytes;
	}
}

static uint64_t carrier_no(int i)
{
	return base() + UNIT * (4 + i);
}

/* An instance of binary_alloc with two carriers of many blocks, one of one, and two in the pool. */
static void make_vm(uint64_t *blocks)
{
	const struct layout_fields *f = &vm.lay->f;
	uint64_t single = base() + UNIT * 16, ring;
	struct made m;
	int i;

	memset(area, 0, UNIT);
	allctr = base();
	sentinel = base() + 8192;
	*(uint32_t *)field(allctr, f->allctr_pool_number) = 10;
	*field(allctr, f->allctr_sentinel) = sentinel;
	*field(allctr, f->allctr_mbc_header) = HEADER;
	*blocks = 1;
	for (i = 0; i < 4; i++) {
		make(&m, carrier_no(i), UNIT, 14, 2000);
		count_in(&m, carrier_no(i), i >= 2);
		*blocks += m.blocks;
	}
	*field(allctr, f->allctr_mbc_list) = carrier_no(0);
	*field(carrier_no(0), f->carrier_next) = carrier_no(1);
	/* marks in the low bits, as the VM sets them */
	ring = f->carrier_pool_next - f->carrier_cpool;
	*field(sentinel, ring) = carrier_no(2) + f->carrier_cpool;
	*field(carrier_no(2), f->carrier_pool_next) = (carrier_no(3) + f->carrier_cpool) | 1;
	*field(carrier_no(3), f->carrier_pool_next) = sentinel | 2;
	memset(at(single), 0, 4096);
	*field(single, f->carrier_chdr) = UNIT | 3;
	*field(single, f->carrier_allctr) = allctr;
	*field(single, f->carrier_cpool) = (UNIT - 64) | 7;
	*field(allctr, f->allctr_sbc_list) = single;
	*field(allctr + f->allctr_sbcs, f->cstats_carriers) = 1;
}

static int read_all(struct carrier_list *l)
{
	const struct carrier_want want = { .each = true, .tags = true };

	failure_clear();
	return snap_carriers(&vm, &want, l);
}

static bool all_there(const struct carrier_list *l, uint64_t blocks)
{
	const struct carrier_sum *s = &l->sums[0];

	return l->n == 5 && s->carriers == 5 && s->pooled == 2 && s->single == 1 && !l->skipped &&
	       !l->unseen && !l->moved && s->blocks == blocks && l->kinds_known && l->ntags == 1 &&
	       sum(&s->detail.blocks) == blocks && sum(&s->detail.free) == s->free_blocks &&
	       sum(&l->untagged[9]) + l->tags->blocks == blocks;
}

/* Offsets that no structure has, as from another build's debug information. */
static void odd_layouts(const struct layout *right)
{
	static const enum layout_field moved[] = {
		LF_carrier_chdr, LF_carrier_next, LF_carrier_allctr, LF_carrier_creator,
		LF_carrier_blocks_size, LF_carrier_blocks, LF_carrier_kinds_size,
	};
	static const unsigned int to[] = { 505, 4096, 0x7fffffff, 0xfffffff0, LAYOUT_ABSENT };
	struct carrier_list l;
	struct layout lay;
	size_t i, k, refused = 0;

	vm.lay = &lay;
	for (i = 0; i < ARRAY_SIZE(moved); i++)
		for (k = 0; k < ARRAY_SIZE(to); k++) {
			lay = *right;
			*layout_field_at(&lay, moved[i]) = to[k];
			refused += read_all(&l) && failure_get();
			failure_clear();
		}
	vm.lay = right;
	is_u64(refused, ARRAY_SIZE(moved) * ARRAY_SIZE(to), "offsets beyond a head are refused");
}

static void lists(void)
{
	const struct layout_fields *f;
	struct carrier_list l;
	uint64_t blocks, single = base() + UNIT * 16, was;
	struct instance in = { .alloc_no = 10, .ix = 1 };

	vm.lay = layout_find(27, true, "x86_64");
	vm.otp = 27;
	f = &vm.lay->f;
	vm.insts = &in;
	vm.ninsts = 1;
	reader_open_live(&vm.rd, getpid());
	make_vm(&blocks);
	in.allctr = allctr;
	ok(!read_all(&l) && all_there(&l, blocks), "all carriers of an instance, and its pool");
	carrier_list_free(&l);

	*field(carrier_no(1), f->carrier_next) = carrier_no(0);
	ok(!read_all(&l) && all_there(&l, blocks),
	   "a list that bites its tail ends, each carrier once");
	carrier_list_free(&l);
	*field(carrier_no(1), f->carrier_next) = 0x1000;
	ok(!read_all(&l) && all_there(&l, blocks), "a list that leads nowhere ends");
	carrier_list_free(&l);
	*field(carrier_no(1), f->carrier_next) = 0;
	*field(carrier_no(3), f->carrier_pool_next) = carrier_no(2) + f->carrier_cpool;
	ok(!read_all(&l) && all_there(&l, blocks), "a ring without its beginning ends");
	carrier_list_free(&l);
	*field(carrier_no(3), f->carrier_pool_next) = sentinel;

	*field(allctr, f->allctr_mbc_list) = carrier_no(1);
	ok(!read_all(&l) && l.n == 4 && l.unseen == 1, "one that no list has is missed");
	carrier_list_free(&l);
	*field(allctr, f->allctr_mbc_list) = carrier_no(0);

	*field(carrier_no(0), f->carrier_allctr) = 0x7000;
	ok(!read_all(&l) && l.n == 3 && l.unseen == 2,
	   "one of nobody's is not counted, and what comes behind it is missed");
	carrier_list_free(&l);
	*field(carrier_no(0), f->carrier_allctr) = allctr;

	was = *at(carrier_no(0) + HEADER);
	*at(carrier_no(0) + HEADER) ^= 2;
	ok(!read_all(&l) && l.n == 5 && l.skipped == 1 && l.sums[0].not_walked == 1 &&
		   l.sums[0].blocks == blocks && sum(&l.sums[0].detail.blocks) < blocks,
	   "a torn one is counted by its own counters, and skipped");
	carrier_list_free(&l);
	*at(carrier_no(1) + HEADER) ^= 2;
	*at(carrier_no(2) + HEADER) ^= 2;
	ok(read_all(&l) && failure_get() && failure_get()->status == EXIT_UNSUPPORTED,
	   "where most are torn it is another layout");
	failure_clear();
	*at(carrier_no(0) + HEADER) = was;
	*at(carrier_no(1) + HEADER) ^= 2;
	*at(carrier_no(2) + HEADER) ^= 2;

	*field(carrier_no(0), f->carrier_blocks + 8 * 9) += 1;
	ok(!read_all(&l) && l.n == 5 && l.moved == 1 && !l.kinds_known &&
	       l.sums[0].blocks == blocks,
	   "walked blocks are what counts, where counters tell otherwise");
	carrier_list_free(&l);
	*field(carrier_no(0), f->carrier_blocks + 8 * 9) -= 1;

	was = *field(carrier_no(0), f->carrier_blocks_size);
	*field(carrier_no(0), f->carrier_blocks_size) = ~0ULL;
	ok(!read_all(&l) && l.n == 4 && l.unseen == 1 && l.sums[0].allocated < l.sums[0].size,
	   "one that counts more bytes than it has is none");
	carrier_list_free(&l);
	*field(carrier_no(0), f->carrier_blocks_size) = was;

	*field(single, f->carrier_cpool) = 2 * UNIT | 7;
	ok(!read_all(&l) && l.n == 4 && l.unseen == 1 && !l.sums[0].single &&
		   l.sums[0].blocks == blocks - 1,
	   "a single block larger than its carrier is none, nor is the carrier counted without it");
	carrier_list_free(&l);
	odd_layouts(vm.lay);
	in.alloc_no = 15;
	ok(!read_all(&l) && !l.n, "an allocator of a number that there is not has no carriers");
	carrier_list_free(&l);
}

/* --- the map ---------------------------------------------------------------------------------- */

#define MANY 500
#define AT_HOME 200

static size_t signs(const struct text_block *b, char sign)
{
	size_t i, n = 0;
	const char *c;

	/* the title is of no interest, nor is the scale: an empty line comes before it */
	for (i = 0; i < b->n && b->lines[i][0]; i++)
		for (c = b->lines[i] + 19; *c && *c != ' '; c++)
			n += *c == sign;
	return n;
}

/* More carriers than there is room for: a sign stands for three, but never for both kinds. */
static void map(void)
{
	struct carrier_sum total = { .carriers = MANY, .size = MANY * 1000, .allocated = 210000 };
	struct carrier_list l = { .v = xcalloc(MANY, sizeof(*l.v)), .n = MANY, .sums = &total };
	struct blocks_row row = { .allocator = "binary_alloc", .instance = 1, .sum = &total };
	const void *rows[] = { &row };
	struct table t = { .rows = rows, .nrows = 1, .nrows_all = 1 };
	size_t i, wide = 0;

	setenv("COLUMNS", "80", 1);
	for (i = 0; i < MANY; i++) {
		l.v[i] = (struct carrier){ .size = 1000, .allocated = i % 5 < 2 ? 900 : 100,
					   .pooled = i % 5 >= 2, .walked = true };
	}
	carrier_map(&vm, &l, &t);
	for (i = 0; i < t.blocks[0].n; i++)
		if (strlen(t.blocks[0].lines[i]) > wide)
			wide = strlen(t.blocks[0].lines[i]);
	is_u64(signs(&t.blocks[0], '@'), (AT_HOME + 2) / 3, "map: a sign for three, those at home");
	is_u64(signs(&t.blocks[0], '.'), (MANY - AT_HOME) / 3, "map: those in the pool");
	is_u64(signs(&t.blocks[0], '|'), 1, "map: a bar between them");
	ok(wide <= 80 && !strncmp(t.blocks[0].lines[0], "binary_alloc 1     @@@@", 23),
	   "map: the fullest first, within the width");
	free(l.v);
	t.rows = NULL;
	report_table_free(&t);
}

int main(void)
{
	struct block_window w;
	struct reader rd;

	area = mmap(NULL, AREA + 2 * UNIT, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	area += UNIT - (uintptr_t)area % UNIT;
	munmap(area + AREA, UNIT);
	reader_open_live(&rd, getpid());
	block_window_open(&w, &rd);
	right(&w);
	torn(&w);
	random_words(&w);
	bounds(&w);
	buckets();
	tags();
	lists();
	map();
	block_window_close(&w);
	return done();
}
