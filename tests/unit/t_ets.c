// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tables that no node has: rings that never close, chains and trees in circles, counters that
 * cannot be. They are made in this program's own memory, and read from there as those of a VM are.
 */
#include "layout.h"
#include "snap_ets.h"
#include "snap_ets_private.h"
#include "tap.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARENA (1 << 20)
#define ROWS 5000

static unsigned char arena[ARENA] __attribute__((aligned(64)));
static size_t used;
static struct vm vm;
static const struct layout_fields *f;
static unsigned char *sched;

static unsigned char *take(size_t bytes)
{
	unsigned char *p = arena + used;

	used += (bytes + 63) & ~(size_t)63;
	if (used > ARENA)
		abort();
	memset(p, 0, bytes);
	return p;
}

static void put(unsigned char *at, unsigned int off, uint64_t v)
{
	memcpy(at + off, &v, 8);
}

static void put4(unsigned char *at, unsigned int off, uint32_t v)
{
	memcpy(at + off, &v, 4);
}

static uint64_t addr(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

static void set_up(struct snap_ets *s)
{
	static struct scheduler one;

	memset(arena, 0, sizeof(arena));
	memset(&vm, 0, sizeof(vm));
	used = 0;
	vm.lay = layout_find(27, true, "x86_64");
	vm.otp = 27;
	f = &vm.lay->f;
	reader_open_live(&vm.rd, getpid());
	vm.scheds = &one;
	vm.nscheds = vm.nnormal = 1;
	sched = take(f->sched_ets_clist + 64);
	one = (struct scheduler){ .addr = addr(sched), .kind = SCHED_NORMAL, .no = 1 };
	memset(s, 0, sizeof(*s));
	s->vm = &vm;
	memset(s->proven, true, sizeof(s->proven));
}

/* A table in a ring of its own. */
static unsigned char *make_table(uint32_t type)
{
	unsigned char *t = take(ETS_TABLE_BYTES), *tid = take(128);

	put(t, f->table_btid, addr(tid));
	put(tid, f->bin_data + 24, addr(t));
	put4(t, f->table_type, type | ETS_PUBLIC);
	put4(t, f->table_status, type | ETS_PUBLIC);
	put4(t, f->table_keypos, 1);
	put4(t, f->table_nr_counters, 2);
	put(t, f->table_counters + 8, 1 << 20);
	put(t, f->table_next, addr(t));
	put(t, f->table_next + 8, addr(t));
	return t;
}

static void ring(unsigned char **t, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		put(t[i], f->table_next, addr(t[(i + 1) % n]));
		put(t[i], f->table_next + 8, addr(t[(i + n - 1) % n]));
	}
	put(sched, f->sched_ets_count, n);
	put(sched, f->sched_ets_clist, n ? addr(t[0]) : 0);
}

static void set_size(unsigned char *t, uint64_t size)
{
	put(t, f->table_counters, size);
}

/* A row of a hash table with this hash, in front of @next. */
static unsigned char *hash_row(uint32_t hash, uint64_t next, uint64_t first_oh)
{
	unsigned char *row = take(64);

	put(row, f->hterm_next, next);
	put4(row, f->hterm_hvalue, hash);
	put(row, f->hterm_dbterm + f->dbterm_first_oh, first_oh);
	put(row, f->hterm_dbterm + f->dbterm_tpl, 2 << 6);
	return row;
}

static unsigned char *tree_row(uint64_t left, uint64_t right)
{
	unsigned char *row = take(64);

	put(row, f->tterm_left, left);
	put(row, f->tterm_right, right);
	put(row, f->tterm_dbterm + f->dbterm_tpl, 2 << 6);
	return row;
}

/* Its first segment; the table points to it. */
static uint64_t *hash_table(unsigned char **t)
{
	uint64_t *segment = (uint64_t *)take(256 * 8);

	*t = make_table(ETS_SET);
	put(*t, f->hash_nactive, 256);
	put4(*t, f->hash_nslots, 256);
	put4(*t, f->hash_nsegs, 1);
	put(*t, f->hash_segtab, addr(*t) + f->hash_segtab + 8);
	put(*t, f->hash_segtab + 8, addr(segment));
	return segment;
}

/* A refc binary in a block, and a term that refers to it; its chain goes on at @next. */
static unsigned char *off_heap(uint64_t bytes, uint64_t next)
{
	unsigned char *block = take(256), *term = take(64);

	put(block, 0, 256);
	put(block + 8, f->bin_refc, 1);
	put(block + 8, f->bin_orig_size, bytes);
	put(term, 0, vm.lay->facts->bin_header);
	put(term, f->oh_val, addr(block + 8));
	put(term, f->oh_next, next);
	return term;
}

static struct ets_table walked(struct snap_ets *s)
{
	struct ets_budget budget = { .rows = ROWS, .binaries = 100 };
	struct ets_table t = { 0 };
	struct ets_tables all;

	if (!snap_ets_tables(s, &all) && all.n == 1) {
		t = all.v[0];
		snap_ets_binaries(s, &t, &budget, NULL, NULL);
	}
	snap_ets_free(&all);
	return t;
}

/* --- rings ------------------------------------------------------------------------------------ */

static void rings(void)
{
	unsigned char *t[5], *other, *many[100];
	struct ets_tables all;
	struct snap_ets s;
	size_t i;

	set_up(&s);
	for (i = 0; i < 5; i++)
		t[i] = make_table(ETS_SET);
	ring(t, 5);
	snap_ets_tables(&s, &all);
	is_u64(all.n, 5, "a ring: all of it");
	snap_ets_free(&all);

	put(t[2] + 0, f->table_btid, addr(t[2]) + 1);
	snap_ets_tables(&s, &all);
	is_u64(all.n, 2, "one whose tid is none: those before it, and an end");
	ok(all.skipped, "which is said");
	snap_ets_free(&all);

	set_up(&s);
	for (i = 0; i < 5; i++)
		t[i] = make_table(ETS_SET);
	ring(t, 5);
	put(t[3], f->table_next, addr(t[1]));
	snap_ets_tables(&s, &all);
	is_u64(all.n, 4, "a ring that closes too early has an end");
	snap_ets_free(&all);

	/* deleted while the ring was walked: the one before leads on, to what comes next now */
	ring(t, 5);
	memcpy(&other, &t[4], sizeof(other));
	put((unsigned char *)(uintptr_t)*(uint64_t *)(other + f->table_btid), f->bin_data + 24, 0);
	snap_ets_tables(&s, &all);
	is_u64(all.n, 4, "one that is being deleted is left out");
	is_u64(all.deleting, 1, "and counted");
	snap_ets_free(&all);

	set_up(&s);
	for (i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = make_table(ETS_SET);
	ring(many, ARRAY_SIZE(many));
	snap_ets_tables(&s, &all);
	is_u64(all.n, ARRAY_SIZE(many), "a long ring");
	is_u64(all.skipped, 0, "of which nothing is missing");
	snap_ets_free(&all);
	put(sched, f->sched_ets_count, 1);
	snap_ets_tables(&s, &all);
	ok(all.n < ARRAY_SIZE(many) && all.skipped,
	   "one that is far longer than it counts: it is said");
	snap_ets_free(&all);

	ring(t, 0);
	snap_ets_tables(&s, &all);
	is_u64(all.n, 0, "a scheduler without tables");
	snap_ets_free(&all);
	put(sched, f->sched_ets_clist, 0x7ff000000000ULL);
	put(sched, f->sched_ets_count, ~0ULL);
	snap_ets_tables(&s, &all);
	is_u64(all.n, 0, "a ring that is nowhere");
	snap_ets_free(&all);
}

/* --- counters --------------------------------------------------------------------------------- */

static bool counted(uint64_t size, uint64_t bytes)
{
	struct snap_ets s;
	unsigned char *t;

	set_up(&s);
	hash_table(&t);
	ring(&t, 1);
	set_size(t, size);
	put(t, f->table_counters + 8, bytes);
	return walked(&s).counted;
}

/* Decentralised ones: an array in a block of @block bytes, of @slots slots that hold something. */
static struct ets_table shared(uint64_t block, size_t slots, uint32_t status)
{
	unsigned char *t, *start, *array;
	struct snap_ets s;
	size_t i;

	set_up(&s);
	hash_table(&t);
	ring(&t, 1);
	start = take(4096) + 8;
	array = start + 40; /* its slots begin a cache line */
	put(start - 8, 0, block);
	put(array, 0, addr(start));
	put4(array, 8, status);
	for (i = 0; i < slots; i++) {
		put(array, 16 + 64 * i, i ? -3 : 10);
		put(array, 24 + 64 * i, 1000);
	}
	put4(t, f->table_decentral, 1);
	put(t, f->table_counters, addr(array));
	vm.nnormal = 4;
	return walked(&s);
}

static void counters(void)
{
	struct ets_table t;

	ok(counted(0, 2600), "an empty table's counters");
	ok(!counted(1ULL << 60, 1ULL << 40), "more rows than memory can hold");
	ok(!counted((uint64_t)-1, 2600), "fewer than none");
	ok(!counted(5, 1ULL << 60), "more bytes than there are addresses");
	ok(!counted(100, 256), "more rows than bytes");
	t = shared(88 + 3 * 64, 3, 0);
	ok(t.counted && t.size == 4 && t.memory_bytes == 3000, "slots are summed up");
	t = shared(88 + 3 * 64 + 56, 3, 0);
	ok(t.counted && t.size == 4, "in a block that is a little larger, too");
	ok(!shared(88 + 3 * 64, 3, 1).counted, "not while the node sums them up");
	ok(!shared(88 + 40 * 64, 3, 0).counted, "not more slots than schedulers");
	ok(!shared(8, 3, 0).counted, "not in a block without room");
	ok(!shared(1 | (88 + 3 * 64), 3, 0).counted, "not in a free block");
	ok(!shared(88 + 5 * 64, 5, 0).counted, "nothing below zero");
}

/* --- rows ------------------------------------------------------------------------------------- */

/* Tables whose counters are never to be had: a few are waited for, not each. */
static void uncounted(void)
{
	unsigned char *t[200];
	struct ets_tables all;
	struct snap_ets s;
	uint64_t begun;
	size_t i;

	set_up(&s);
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		t[i] = make_table(ETS_SET);
		t[i][f->table_decentral] = 1;
		put(t[i], f->table_counters, 0);
	}
	ring(t, ARRAY_SIZE(t));
	begun = now_ns();
	snap_ets_tables(&s, &all);
	is_u64(all.n, ARRAY_SIZE(t), "tables whose counters cannot be read are there");
	ok(now_ns() - begun < 1000000000, "and not each is waited for: %llu ms",
	   (unsigned long long)(now_ns() - begun) / 1000000);
	snap_ets_free(&all);
}

/* Nothing but segments without rows, all the same one, as many as there may be said to be. */
static void empty_segments(void)
{
	uint64_t *segment, *table;
	unsigned char *t;
	struct snap_ets s;
	size_t i, n = 1000;

	set_up(&s);
	hash_table(&t);
	ring(&t, 1);
	segment = (uint64_t *)take(2048 * 8);
	table = (uint64_t *)take((n + 1) * 8);
	for (i = 0; i <= n; i++)
		table[i] = addr(segment);
	put(t, f->hash_segtab, addr(table));
	put(t, f->hash_nactive, 256 + 2048 * n);
	put4(t, f->hash_nslots, 256 + 2048 * n);
	put4(t, f->hash_nsegs, n + 1);
	set_size(t, 0);
	ok(!walked(&s).walked, "empty segments come out of the budget, too");
	put(t, f->hash_nactive, 256 + 2048 * 10);
	ok(walked(&s).walked, "a few of them fit");
}

static void hashes(void)
{
	unsigned char *t, *row, *term;
	uint64_t *segment;
	struct ets_table got;
	struct snap_ets s;

	set_up(&s);
	segment = hash_table(&t);
	ring(&t, 1);
	term = off_heap(200, addr(off_heap(50, 0)));
	segment[7] = addr(hash_row(7, addr(hash_row(0x107, 0, addr(term))), addr(term)));
	segment[255] = addr(hash_row(0xff, 0, 0));
	set_size(t, 3);
	got = walked(&s);
	ok(got.walked && got.rows_seen == 3, "rows of two buckets");
	ok(got.binaries == 2 && got.binary_bytes == 250, "their binaries, each once");

	set_size(t, 4);
	s.proven[ETS_PROVEN_HASH] = false;
	ok(!walked(&s).walked, "fewer than the table counts, before that was ever right");
	set_size(t, 3);

	put(term, f->oh_next, addr(term));
	ok(!walked(&s).walked, "an off-heap chain in a circle");
	put(term, f->oh_next, 0);
	put(term, 0, 0x80);
	ok(!walked(&s).walked, "an off-heap term of no kind");
	put(term, 0, vm.lay->facts->bin_header);
	put((unsigned char *)(uintptr_t)*(uint64_t *)(term + f->oh_val), f->bin_orig_size, 1 << 20);
	vm.ninsts = 1;
	vm.insts = calloc(1, sizeof(*vm.insts));
	strcpy(vm.allocator_name[0], "binary_alloc");
	ok(!walked(&s).walked, "a binary that is larger than its block");
	free(vm.insts);
	vm.ninsts = 0;
	ok(walked(&s).walked, "which is not known without blocks");

	row = hash_row(7, 0, 0);
	put(row, f->hterm_next, addr(row));
	segment[7] = addr(row);
	ok(!walked(&s).walked, "a chain in a circle");
	segment[7] = addr(hash_row(8, 0, 0));
	ok(!walked(&s).walked, "a row in another's bucket");
	segment[7] = addr(hash_row(7, 0, 0)) + 1;
	ok(!walked(&s).walked, "a row that is not aligned");
	segment[7] = 0x7ff000000000ULL;
	ok(!walked(&s).walked, "a row that is nowhere");
	row = hash_row(7, 0, 0);
	put(row, f->hterm_dbterm + f->dbterm_tpl, 0);
	segment[7] = addr(row);
	ok(!walked(&s).walked, "a row without a key");
	put(t, f->hash_nactive, 1ULL << 60);
	ok(!walked(&s).walked, "more buckets than slots");
	put4(t, f->hash_nslots, 0xffffffff);
	put4(t, f->hash_nsegs, 0xffffffff);
	ok(!walked(&s).walked, "more slots than there can be");
	put(t, f->hash_nactive, 256);
	put4(t, f->hash_nslots, 256);
	put4(t, f->hash_nsegs, 1);
	put(t, f->hash_segtab, 0);
	ok(!walked(&s).walked, "no segments");
}

static void trees(void)
{
	unsigned char *t, *row, *node[2];
	uint64_t at = 0;
	struct snap_ets s;
	struct ets_table got;
	int i;

	set_up(&s);
	t = make_table(ETS_ORDERED_SET);
	ring(&t, 1);
	set_size(t, 3);
	row = tree_row(addr(tree_row(0, 0)), addr(tree_row(0, 0)));
	put(t, f->tree_root, addr(row));
	got = walked(&s);
	ok(got.walked && got.rows_seen == 3, "a tree of three");
	put(row, f->tterm_left, addr(row));
	ok(!walked(&s).walked, "a tree in a circle");
	put(row, f->tterm_right, addr(row));
	ok(!walked(&s).walked, "in two");
	for (i = 0; i < 4000; i++)
		at = addr(tree_row(at, 0));
	put(t, f->tree_root, at);
	set_size(t, 4000);
	ok(walked(&s).walked, "a tree as deep as it has rows");
	for (i = 0; i < 4000; i++)
		at = addr(tree_row(0, at));
	put(t, f->tree_root, at);
	set_size(t, 8000);
	ok(!walked(&s).walked, "one that is larger than the budget");

	set_up(&s);
	t = make_table(ETS_CA_ORDERED_SET);
	ring(&t, 1);
	set_size(t, 2);
	for (i = 0; i < 2; i++) {
		node[i] = take(256);
		node[i][0] = 1;
		put(node[i], 8 + f->table_rwlock_size + 16, addr(tree_row(0, 0)));
	}
	row = take(256);
	put(row, 8 + 32 + f->table_fixlock_size + 8, addr(node[0]));
	put(row, 8 + 32 + f->table_fixlock_size + 16, addr(node[1]));
	put(t, f->catree_root, addr(row));
	ok(walked(&s).walked, "a tree of two base nodes");
	put(row, 8 + 32 + f->table_fixlock_size + 16, addr(row));
	ok(!walked(&s).walked, "route nodes in a circle");
	row[0] = 2;
	ok(!walked(&s).walked, "a node of no kind");
	put(t, f->catree_root, 0);
	ok(!walked(&s).walked, "no node at all");
}

/* --- anything --------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	return *x ^= *x << 17;
}

/* Every word may be anything: it ends, within its budget, and nothing is read beyond the copies. */
static void anything(void)
{
	struct ets_budget budget;
	unsigned char *t[3];
	struct ets_tables all;
	uint64_t x = 88172645463325252ULL, v, *segment;
	struct snap_ets s;
	size_t i, k, rounds = 300, found = 0;

	for (k = 0; k < rounds; k++) {
		set_up(&s);
		segment = hash_table(&t[0]);
		for (i = 0; i < 50; i++)
			segment[i] = addr(hash_row(i, i ? segment[i - 1] : 0,
						   addr(off_heap(i, 0))));
		t[1] = make_table(ETS_ORDERED_SET);
		put(t[1], f->tree_root, addr(tree_row(addr(tree_row(0, 0)), 0)));
		t[2] = make_table(ETS_CA_ORDERED_SET);
		put(t[2], f->catree_root, addr(take(256)));
		ring(t, 3);
		for (i = 0; i < 20; i++) {
			v = next_random(&x);
			put(arena, next_random(&x) % (used / 8) * 8,
			    v & 3 ? addr(arena) + v / 16 % used / 8 * 8 : v & 4 ? v >> 8 : v >> 60);
		}
		snap_ets_tables(&s, &all);
		found += all.n;
		for (i = 0; i < all.n; i++) {
			budget = (struct ets_budget){ .rows = 2000, .binaries = 100 };
			snap_ets_binaries(&s, &all.v[i], &budget, NULL, NULL);
		}
		snap_ets_free(&all);
	}
	ok(found > rounds, "%zu tables of which any word may be wrong: it comes to an end", found);
}

int main(void)
{
	rings();
	counters();
	uncounted();
	empty_segments();
	hashes();
	trees();
	anything();
	return done();
}
