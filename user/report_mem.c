// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sums are those of recon_alloc: a pool's carriers are counted with their creator's multi-block
 * ones, literal_alloc is left out of its totals, and "max" is a sum of highest values that need not
 * have been there at one time.
 */
#include "report_mem.h"

#include <stdlib.h>
#include <string.h>

/* --- rows ------------------------------------------------------------------------------------- */

static void add_stat(struct mem_stat *to, const struct mem_stat *s)
{
	to->now += s->now;
	to->max += s->max;
	to->max_ever += s->max_ever;
}

static void add_row(struct mem_row *to, const struct mem_row *r)
{
	size_t k;

	if (!to->n)
		to->strategy = r->strategy;
	else if (!to->strategy || !r->strategy || strcmp(to->strategy, r->strategy))
		to->strategy = to->strategy && r->strategy ? "mixed" : NULL;
	to->allocator = r->allocator;
	/* a change of all is known where that of each is */
	to->changed = (!to->n || to->changed) && r->changed;
	to->n += r->n;
	to->pooled |= r->pooled;
	to->maxima = r->maxima;
	to->resident_known = r->resident_known;
	for (k = 0; k < MEM_KINDS; k++) {
		add_stat(&to->of[k].carriers, &r->of[k].carriers);
		add_stat(&to->of[k].carriers_size, &r->of[k].carriers_size);
		add_stat(&to->of[k].blocks, &r->of[k].blocks);
		add_stat(&to->of[k].blocks_size, &r->of[k].blocks_size);
		to->of[k].mseg += r->of[k].mseg;
		to->of[k].mseg_size += r->of[k].mseg_size;
	}
	to->resident.carriers += r->resident.carriers;
	to->resident.used += r->resident.used;
	to->resident.pool += r->resident.pool;
	to->resident.pool_used += r->resident.pool_used;
	to->carriers_size_change += r->carriers_size_change;
	to->blocks_size_change += r->blocks_size_change;
	to->resident_change += r->resident_change;
}

static uint64_t carriers_size(const struct mem_row *r)
{
	return r->of[MEM_MBCS].carriers_size.now + r->of[MEM_SBCS].carriers_size.now +
	       r->of[MEM_POOL].carriers_size.now;
}

static uint64_t blocks_size(const struct mem_row *r)
{
	return r->of[MEM_MBCS].blocks_size.now + r->of[MEM_SBCS].blocks_size.now +
	       r->of[MEM_POOL].blocks_size.now;
}

static const struct mem_row *same_row(const struct mem_look *before, const struct mem_row *r)
{
	size_t i;

	for (i = 0; before && i < before->nrows; i++)
		if (before->rows[i].ix == r->ix && before->rows[i].allocator == r->allocator)
			return &before->rows[i];
	return NULL;
}

void report_mem_rows(struct mem_look *look, const struct mem_look *before)
{
	const struct snap_mem *m = &look->mem;
	const struct mem_row *was;
	struct mem_row *r;
	size_t i, k;

	look->rows = xcalloc(m->ninsts + 1, sizeof(*look->rows));
	look->sums = xcalloc(m->ninsts + 1, sizeof(*look->sums));
	for (i = 0; i < m->ninsts; i++) {
		if (!m->insts[i].read)
			continue;
		r = &look->rows[look->nrows++];
		*r = (struct mem_row){
			.allocator = m->insts[i].allocator, .strategy = m->insts[i].strategy,
			.one = true, .ix = m->insts[i].in->ix, .n = 1,
			.pooled = m->insts[i].pooled, .maxima = m->maxima_known,
			.resident_known = look->map.known, .resident = look->map.insts[i],
		};
		memcpy(r->of, m->insts[i].of, sizeof(r->of));
		was = same_row(before, r);
		if (was) {
			r->changed = true;
			r->carriers_size_change = (int64_t)(carriers_size(r) - carriers_size(was));
			r->blocks_size_change = (int64_t)(blocks_size(r) - blocks_size(was));
			r->resident_change = (int64_t)(r->resident.carriers -
						       was->resident.carriers);
		}
		for (k = 0; k < look->nsums && look->sums[k].allocator != r->allocator; k++)
			;
		look->nsums += k == look->nsums;
		add_row(&look->sums[k], r);
	}
}

void report_mem_free(struct mem_look *look)
{
	snap_mem_free(&look->mem);
	mem_map_free(&look->map);
	free(look->rows);
	free(look->sums);
	memset(look, 0, sizeof(*look));
}

/* --- columns ---------------------------------------------------------------------------------- */

static double usage(uint64_t blocks, uint64_t carriers)
{
	return carriers ? (double)blocks / carriers : 1;
}

double mem_row_usage(const struct mem_row *r)
{
	return usage(blocks_size(r), carriers_size(r));
}

static double mbcs_usage(const struct mem_row *r)
{
	return usage(r->of[MEM_MBCS].blocks_size.now + r->of[MEM_POOL].blocks_size.now,
		     r->of[MEM_MBCS].carriers_size.now + r->of[MEM_POOL].carriers_size.now);
}

static double sbcs_usage(const struct mem_row *r)
{
	return usage(r->of[MEM_SBCS].blocks_size.now, r->of[MEM_SBCS].carriers_size.now);
}

static uint64_t mbc_blocks(const struct mem_row *r)
{
	return r->of[MEM_MBCS].blocks.now + r->of[MEM_POOL].blocks.now;
}

static uint64_t mbc_bytes(const struct mem_row *r)
{
	return r->of[MEM_MBCS].blocks_size.now + r->of[MEM_POOL].blocks_size.now;
}

static double average(uint64_t size, uint64_t n)
{
	return n ? (double)size / n : 0;
}

#define ROW struct mem_row

GET_TEXT(get_allocator, ROW, r->allocator)
GET_IF(get_instance, ROW, r->one, VAL_U64, u, r->ix)
GET_U(get_instances, ROW, r->n)
GET_TEXT(get_strategy, ROW, r->strategy)
/* now, the highest since last asked, the highest ever */
#define GET_STAT(kind, KIND, what)                                                                 \
	GET_U(get_##kind##_##what, ROW, r->of[KIND].what.now)                                      \
	GET_IF(get_##kind##_##what##_max, ROW, r->maxima, VAL_U64, u, r->of[KIND].what.max)        \
	GET_IF(get_##kind##_##what##_ever, ROW, r->maxima, VAL_U64, u, r->of[KIND].what.max_ever)
#define GET_STATS(kind, KIND)                                                                      \
	GET_STAT(kind, KIND, carriers)                                                             \
	GET_STAT(kind, KIND, carriers_size)                                                        \
	GET_STAT(kind, KIND, blocks)                                                               \
	GET_STAT(kind, KIND, blocks_size)
GET_STATS(mbcs, MEM_MBCS)
GET_STATS(sbcs, MEM_SBCS)
#define GET_POOL(what)                                                                             \
	GET_IF(get_pool_##what, ROW, r->pooled, VAL_U64, u, r->of[MEM_POOL].what.now)
GET_POOL(carriers)
GET_POOL(carriers_size)
GET_POOL(blocks)
GET_POOL(blocks_size)
GET_U(get_mbcs_mseg, ROW, r->of[MEM_MBCS].mseg)
GET_U(get_mbcs_mseg_size, ROW, r->of[MEM_MBCS].mseg_size)
GET_U(get_sbcs_mseg, ROW, r->of[MEM_SBCS].mseg)
GET_U(get_sbcs_mseg_size, ROW, r->of[MEM_SBCS].mseg_size)
GET_U(get_allocated, ROW, carriers_size(r))
GET_U(get_used, ROW, blocks_size(r))
GET(get_unused, ROW, VAL_I64, i, (int64_t)(carriers_size(r) - blocks_size(r)))
GET(get_usage, ROW, VAL_DOUBLE, d, mem_row_usage(r))
GET(get_mbcs_usage, ROW, VAL_DOUBLE, d, mbcs_usage(r))
GET(get_sbcs_usage, ROW, VAL_DOUBLE, d, sbcs_usage(r))
GET(get_mbcs_average, ROW, VAL_DOUBLE, d, average(mbc_bytes(r), mbc_blocks(r)))
GET(get_sbcs_average, ROW, VAL_DOUBLE, d,
    average(r->of[MEM_SBCS].blocks_size.now, r->of[MEM_SBCS].blocks.now))
/* infinitely many is no number; none of either is 0 */
GET_IF(get_sbcs_to_mbcs, ROW, (mbc_blocks(r) || !r->of[MEM_SBCS].blocks.now), VAL_DOUBLE, d,
       average(r->of[MEM_SBCS].blocks.now, mbc_blocks(r)))
GET_IF(get_resident, ROW, r->resident_known, VAL_U64, u, r->resident.carriers)
GET_IF(get_resident_used, ROW, r->resident_known, VAL_U64, u, r->resident.used)
GET_IF(get_resident_pool, ROW, r->resident_known, VAL_U64, u, r->resident.pool)
GET_IF(get_allocated_change, ROW, r->changed, VAL_I64, i, r->carriers_size_change)
GET_IF(get_used_change, ROW, r->changed, VAL_I64, i, r->blocks_size_change)
GET_IF(get_resident_change, ROW, (r->changed && r->resident_known), VAL_I64, i,
       r->resident_change)

#define STAT(kind, what, unit, help)                                                               \
	{ #kind "_" #what, "", unit, 0, help, get_##kind##_##what },                               \
	{ #kind "_" #what "_max", "", unit, 0, help ": highest since it was last asked",           \
	  get_##kind##_##what##_max },                                                             \
	{ #kind "_" #what "_max_ever", "", unit, 0, help ": highest ever",                       \
	  get_##kind##_##what##_ever }
#define STATS(kind, of)                                                                            \
	STAT(kind, carriers, UNIT_NONE, of " carriers"),                                           \
	STAT(kind, carriers_size, UNIT_BYTES, "bytes of " of " carriers"),                         \
	STAT(kind, blocks, UNIT_NONE, "blocks in " of " carriers"),                                \
	STAT(kind, blocks_size, UNIT_BYTES, "bytes of blocks in " of " carriers")

static const struct column columns[] = {
	{ "allocator", "ALLOCATOR", UNIT_NONE, COL_TEXT | COL_LOW_BAD, "", get_allocator },
	{ "instance", "INST", UNIT_NONE, COL_TEXT | COL_SOONER(9), "0: all but schedulers' threads",
	  get_instance },
	{ "instances", "", UNIT_NONE, 0, "how many are summed up", get_instances },
	{ "strategy", "STRATEGY", UNIT_NONE, COL_TEXT | COL_SOONER(5) | COL_LOW_BAD,
	  "how it chooses a free block", get_strategy },
	{ "allocated", "CARRIERS", UNIT_BYTES, COL_TEXT, "bytes of all its carriers",
	  get_allocated },
	{ "allocated_change", "CHANGE", UNIT_BYTES, COL_TEXT | COL_SOONER(7), "",
	  get_allocated_change },
	{ "used", "USED", UNIT_BYTES, COL_TEXT, "bytes of all blocks in them", get_used },
	{ "used_change", "CHANGE", UNIT_BYTES, COL_TEXT | COL_SOONER(7), "", get_used_change },
	{ "unused", "FREE", UNIT_BYTES, COL_TEXT, "bytes of carriers without those of blocks",
	  get_unused },
	{ "usage", "USAGE", UNIT_SHARE, COL_TEXT, "of its carriers", get_usage },
	{ "mbcs_pool_carriers_size", "IN POOL", UNIT_BYTES, COL_TEXT | COL_SOONER(3),
	  "bytes of its carriers in the pool", get_pool_carriers_size },
	{ "resident", "RESIDENT", UNIT_BYTES, COL_TEXT, "of its carriers, in memory",
	  get_resident },
	{ "resident_change", "CHANGE", UNIT_BYTES, COL_TEXT | COL_SOONER(7), "",
	  get_resident_change },
	{ "resident_used", "", UNIT_BYTES, 0, "of it, blocks", get_resident_used },
	{ "resident_pool", "", UNIT_BYTES, 0, "of it, carriers in the pool", get_resident_pool },
	{ "mbcs_average_block_size", "AVG BLOCK", UNIT_BYTES, COL_TEXT | COL_SOONER(6),
	  "in multi-block carriers", get_mbcs_average },
	{ "sbcs_average_block_size", "AVG SBC", UNIT_BYTES, COL_TEXT | COL_SOONER(8),
	  "in single-block carriers", get_sbcs_average },
	{ "mbcs_usage", "", UNIT_SHARE, 0, "of multi-block carriers", get_mbcs_usage },
	{ "sbcs_usage", "", UNIT_SHARE, 0, "of single-block carriers", get_sbcs_usage },
	{ "sbcs_to_mbcs", "", UNIT_NONE, 0, "blocks in single-block carriers for each other one",
	  get_sbcs_to_mbcs },
	STATS(mbcs, "multi-block"),
	STATS(sbcs, "single-block"),
	{ "mbcs_pool_carriers", "", UNIT_NONE, 0, "its carriers in the pool", get_pool_carriers },
	{ "mbcs_pool_blocks", "", UNIT_NONE, 0, "blocks in them", get_pool_blocks },
	{ "mbcs_pool_blocks_size", "", UNIT_BYTES, 0, "bytes of those", get_pool_blocks_size },
	{ "mbcs_mseg_carriers", "", UNIT_NONE, 0, "multi-block carriers from mseg_alloc",
	  get_mbcs_mseg },
	{ "mbcs_mseg_carriers_size", "", UNIT_BYTES, 0, "bytes of them", get_mbcs_mseg_size },
	{ "sbcs_mseg_carriers", "", UNIT_NONE, 0, "single-block carriers from mseg_alloc",
	  get_sbcs_mseg },
	{ "sbcs_mseg_carriers_size", "", UNIT_BYTES, 0, "bytes of them", get_sbcs_mseg_size },
};
_Static_assert(ARRAY_SIZE(columns) <= MEM_MAX_COLUMNS, "room for them");

size_t report_mem_columns(struct column *cols, bool changes, bool each)
{
	size_t i, n = 0;

	for (i = 0; i < ARRAY_SIZE(columns); i++) {
		if (strstr(columns[i].key, "_change") && !changes)
			continue;
		cols[n] = columns[i];
		/* which one it is matters where there are several; sums have none */
		if (!strcmp(columns[i].key, "instance"))
			cols[n].flags = each ? COL_TEXT : 0;
		n++;
	}
	return n;
}
