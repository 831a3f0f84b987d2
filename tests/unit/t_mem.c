// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sums and texts of `mem`, from allocators made by hand; and what a recording, which has none of
 * the structures that only `mem` reads, makes of it.
 */
#include "fixture.h"
#include "report_mem.h"
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

#define MB (1ULL << 20)

static struct instance where[3] = { { 0x1000, 10, 0 }, { 0x2000, 10, 1 }, { 0x3000, 9, 0 } };

static void set(struct mem_carriers *c, uint64_t n, uint64_t size, uint64_t blocks, uint64_t used)
{
	c->carriers.now = n;
	c->carriers_size.now = size;
	c->carriers_size.max = 2 * size;
	c->blocks.now = blocks;
	c->blocks_size.now = used;
	c->blocks_size.max = 2 * used;
}

/* Two instances of binary_alloc, of which one has carriers in the pool, and literal_alloc. */
static void make(struct mem_look *look)
{
	static const char *const names[] = { "binary_alloc", "binary_alloc", "literal_alloc" };
	struct snap_mem *m = &look->mem;
	struct mem_map *map = &look->map;
	size_t i;

	memset(look, 0, sizeof(*look));
	m->ninsts = 3;
	m->insts = xcalloc(3, sizeof(*m->insts));
	m->maxima_known = true;
	for (i = 0; i < 3; i++) {
		m->insts[i].in = &where[i];
		m->insts[i].allocator = names[i];
		m->insts[i].strategy = i == 1 ? "aobf" : "aoffcbf";
		m->insts[i].read = true;
	}
	set(&m->insts[0].of[MEM_MBCS], 1, 2 * MB, 10, MB);
	set(&m->insts[1].of[MEM_MBCS], 2, 4 * MB, 30, MB);
	set(&m->insts[1].of[MEM_SBCS], 4, 8 * MB, 4, 7 * MB);
	m->insts[1].pooled = true;
	set(&m->insts[1].of[MEM_POOL], 5, 20 * MB, 60, MB);
	set(&m->insts[2].of[MEM_MBCS], 1, MB, 5, MB / 2);
	map->known = true;
	map->insts = xcalloc(3, sizeof(*map->insts));
	map->insts[1] = (struct mem_resident){ 30 * MB, 9 * MB, 20 * MB, MB };
	map->part[PART_USED].resident = 10 * MB;
	map->part[PART_POOL].resident = 18 * MB;
	map->part[PART_JIT].resident = 3 * MB;
	map->rss = 32 * MB;
	map->unexplained = MB;
	map->part[PART_OTHER].resident = MB;
}

static double total(const struct table *t, const char *key)
{
	size_t i;

	for (i = 0; i < t->ntotals; i++)
		if (!strcmp(t->totals[i].key, key))
			return t->totals[i].value.kind == VAL_DOUBLE ? t->totals[i].value.d :
			       t->totals[i].value.kind == VAL_U64 ? (double)t->totals[i].value.u :
								    -1;
	return -2;
}

static const struct item *item_of(const struct table *t, const char *key)
{
	size_t i;

	for (i = 0; i < t->ntotals; i++)
		if (!strcmp(t->totals[i].key, key) && t->totals[i].value.kind == VAL_ITEM)
			return t->totals[i].value.item;
	return NULL;
}

static void test_sums(void)
{
	struct item *items[MEM_MAX_ITEMS] = { NULL };
	const struct item *it;
	struct mem_look look;
	struct table t = { 0 };
	uint64_t sum = 0;
	size_t i, k;

	make(&look);
	report_mem_rows(&look, NULL);
	is_u64(look.nrows, 3, "a row for each instance");
	is_u64(look.nsums, 2, "a sum for each allocator");
	ok(!strcmp(look.sums[0].strategy, "mixed"), "instances' strategies differ");
	ok(mem_row_usage(&look.rows[0]) == 0.5, "usage of one");
	ok(mem_row_usage(&look.rows[1]) == 9 / 32.0, "usage of one with a pool");
	report_mem_table(&t, &look, NULL, items);
	ok(total(&t, "used") == 10 * MB, "used, without literals, pool included");
	ok(total(&t, "allocated") == 34 * MB, "allocated");
	ok(total(&t, "used_max") == 20 * MB && total(&t, "allocated_max") == 68 * MB,
	   "highest values");
	ok(total(&t, "total") == -1, "what is not known is none");
	it = item_get(item_of(&t, "average_block_size"), "binary_alloc");
	ok(it && item_get(it, "mbcs")->d == 3 * MB / 100.0, "average block, pool included");
	ok(it && item_get(it, "sbcs")->d == 7 * MB / 4.0, "average single block");
	it = item_get(item_of(&t, "sbcs_to_mbcs"), "binary_alloc");
	ok(it && it->d == 4 / 100.0, "single blocks to others");
	ok(!item_get(item_of(&t, "sbcs_to_mbcs"), "literal_alloc"), "recon_alloc has no literals");
	it = item_of(&t, "waterfall");
	for (i = 0; it && i < it->list.n; i++)
		sum += item_get(it->list.v[i], "resident")->u;
	is_u64(sum, 32 * MB, "the parts are RSS");
	ok(strstr(t.verdict, "RSS 32.0 MiB: 10.0 MiB in use (31 %), 18.0 MiB free in pooled"),
	   "the verdict tells the largest part: %s", t.verdict);
	for (i = 0; i < t.nblocks; i++)
		for (k = 0; k < t.blocks[i].n; k++)
			if (strlen(t.blocks[i].lines[k]) > 400)
				ok(false, "a line is too long");
	report_table_free(&t);
	for (i = 0; i < MEM_MAX_ITEMS; i++)
		item_free(items[i]);
	report_mem_free(&look);
}

/* An instance that could not be read before has no change, nor has the sum that it is in. */
static void test_changes(void)
{
	struct mem_look before, look;

	make(&before);
	make(&look);
	report_mem_rows(&before, NULL);
	report_mem_rows(&look, &before);
	ok(look.rows[0].changed && look.sums[0].changed && !look.sums[0].blocks_size_change,
	   "a change is known, of each and of all");
	report_mem_free(&look);
	make(&look);
	before.rows[0] = before.rows[1];
	before.nrows = 1;
	report_mem_rows(&look, &before);
	ok(!look.rows[0].changed && look.rows[1].changed && !look.sums[0].changed,
	   "one that is new has none: nor has the sum");
	report_mem_free(&look);
	report_mem_free(&before);
}

static void test_recordings(void)
{
	struct snap_mem_proof proof;
	struct memory_areas areas;
	struct snap_memory memory;
	struct snap_mem m;
	struct mem_map map;
	struct vm vm;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(releases); i++) {
		if (vm_open_recording(&vm, fixture_path(releases[i], "rec.gz"))) {
			ok(false, "otp %d: the recording opens: %s", releases[i],
			   failure_get()->message);
			failure_clear();
			continue;
		}
		snap_mem_open(&vm, &proof);
		memory_areas_open(&vm, &areas);
		snap_mem_read(&vm, &proof, &m);
		snap_memory_read(&vm, &areas, &m, &memory);
		mem_map_read(&vm, &m, &map);
		ok(!map.known && map.err, "otp %d: no process, no pages", releases[i]);
		ok(!m.mseg_known && !memory.known[MEMORY_CODE] && areas.missing[0],
		   "otp %d: what is not there is not known", releases[i]);
		mem_map_free(&map);
		snap_mem_free(&m);
		vm_close(&vm);
	}
}

/*
 * A single-block carrier that is its own neighbour on the list; then offsets that no structure
 * has.
 */
static void test_carriers(void)
{
	static unsigned char allctr[8192] __attribute__((aligned(64))), carrier[64];
	struct instance in = { (uintptr_t)allctr, 10, 1 };
	struct mem_instance inst = { .in = &in, .allocator = "binary_alloc", .read = true };
	struct snap_mem m = { .insts = &inst, .ninsts = 1 };
	struct mem_ranges r = { 0 };
	const struct layout *row;
	static struct vm vm;
	struct layout lay;
	uint64_t moved, at = (uintptr_t)carrier, chdr = 4096 | 3;
	size_t i, fits = 0;

	vm.lay = &lay;
	reader_open_live(&vm.rd, getpid());
	inst.of[MEM_SBCS].carriers.now = 1;
	for (i = 0; (row = layout_row(i)); i++) {
		lay = *row;
		memcpy(allctr + lay.f.allctr_sbc_list, &at, 8);
		memcpy(carrier + lay.f.carrier_chdr, &chdr, 8);
		memcpy(carrier + lay.f.carrier_allctr, &in.allctr, 8);
		memset(carrier + lay.f.carrier_next, 0, 8);
		r.n = 0;
		fits += mem_carriers(&vm, &m, &r, &moved) && !moved && r.n == 1 &&
			r.v[0].end - r.v[0].start == 4096;
	}
	is_u64(fits, i, "every layout's carriers are read");
	memcpy(carrier + lay.f.carrier_next, &at, 8);
	r.n = 0;
	ok(mem_carriers(&vm, &m, &r, &moved) && moved == 1 && r.n < 10000,
	   "a list that goes round and round ends soon, and is said: %zu", r.n);
	lay.f.carrier_creator = 4096;
	ok(!mem_carriers(&vm, &m, &r, &moved), "a creator beyond the head is none");
	lay.f.carrier_creator = layout_row(i - 1)->f.carrier_creator;
	lay.f.carrier_blocks_size = LAYOUT_ABSENT - 3;
	ok(!mem_carriers(&vm, &m, &r, &moved), "nor are counters");
	lay.f.carrier_blocks_size = layout_row(i - 1)->f.carrier_blocks_size;
	lay.f.carrier_next = 32;
	ok(!mem_carriers(&vm, &m, &r, &moved), "nor is a link that not all carriers have");
	free(r.v);
	reader_close(&vm.rd);
}

int main(void)
{
	test_sums();
	test_changes();
	test_carriers();
	test_recordings();
	return done();
}
