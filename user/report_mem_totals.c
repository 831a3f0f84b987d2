// SPDX-License-Identifier: GPL-2.0-only
/* Totals of `mem`, its verdict, and the bars from what is used to RSS. */
#include "report_mem.h"

#include <stdlib.h>
#include <string.h>

/* --- totals ----------------------------------------------------------------------------------- */

/* The allocators that recon_alloc sums up. */
static bool of_recon(const struct mem_row *r)
{
	return strcmp(r->allocator, "literal_alloc") && strcmp(r->allocator, "test_alloc");
}

struct sum {
	uint64_t used, allocated, used_max, allocated_max;
	bool maxima;
};

static struct sum sum_of(const struct mem_look *look)
{
	struct sum s = { .maxima = look->mem.maxima_known };
	size_t i, k;

	for (i = 0; i < look->nsums; i++)
		for (k = 0; k < MEM_KINDS && of_recon(&look->sums[i]); k++) {
			s.used += look->sums[i].of[k].blocks_size.now;
			s.allocated += look->sums[i].of[k].carriers_size.now;
			s.used_max += look->sums[i].of[k].blocks_size.max;
			s.allocated_max += look->sums[i].of[k].carriers_size.max;
		}
	return s;
}

static double ratio(uint64_t a, uint64_t b, double none)
{
	return b ? (double)a / b : none;
}

static struct item *average_items(const struct mem_look *look)
{
	struct item *all = item_new(ITEM_OBJECT), *one;
	const struct mem_row *r;
	size_t i;

	for (i = 0; i < look->nsums; i++) {
		r = &look->sums[i];
		if (!of_recon(r))
			continue;
		one = item_set(all, r->allocator, item_new(ITEM_OBJECT));
		item_set(one, "mbcs", item_double(ratio(r->of[MEM_MBCS].blocks_size.now +
							r->of[MEM_POOL].blocks_size.now,
							r->of[MEM_MBCS].blocks.now +
							r->of[MEM_POOL].blocks.now, 0)));
		item_set(one, "sbcs", item_double(ratio(r->of[MEM_SBCS].blocks_size.now,
							r->of[MEM_SBCS].blocks.now, 0)));
	}
	return all;
}

static struct item *sbcs_to_mbcs_items(const struct mem_look *look)
{
	struct item *all = item_new(ITEM_OBJECT);
	const struct mem_row *r;
	uint64_t mbcs, sbcs;
	size_t i;

	for (i = 0; i < look->nsums; i++) {
		r = &look->sums[i];
		mbcs = r->of[MEM_MBCS].blocks.now + r->of[MEM_POOL].blocks.now;
		sbcs = r->of[MEM_SBCS].blocks.now;
		if (of_recon(r))
			item_set(all, r->allocator, sbcs && !mbcs ? item_new(ITEM_NULL) :
							item_double(ratio(sbcs, mbcs, 0)));
	}
	return all;
}

static struct item *mseg_items(const struct snap_mem *m)
{
	struct item *list = item_new(ITEM_LIST), *one;
	size_t i;

	for (i = 0; i < m->nmsegs; i++) {
		one = item_push(list, item_new(ITEM_OBJECT));
		item_set(one, "instance", item_u64(m->msegs[i].ix));
		item_set(one, "hit_rate",
			 item_double(ratio(m->msegs[i].hits, m->msegs[i].calls, 1)));
		item_set(one, "hits", item_u64(m->msegs[i].hits));
		item_set(one, "calls", item_u64(m->msegs[i].calls));
		item_set(one, "cached_segments", item_u64(m->msegs[i].cached));
		item_set(one, "cached_size", item_u64(m->msegs[i].cached_size));
		item_set(one, "segments", item_u64(m->msegs[i].segments.now));
		item_set(one, "segments_size", item_u64(m->msegs[i].segments_size.now));
	}
	return list;
}

static struct item *waterfall_items(const struct mem_map *map)
{
	struct item *list = item_new(ITEM_LIST), *one;
	size_t k;

	for (k = 0; k < PART_N; k++) {
		one = item_push(list, item_new(ITEM_OBJECT));
		item_set(one, "part", item_text(mem_part_key(k)));
		if (k == PART_OTHER && map->unexplained < 0) {
			struct item *less = item_new(ITEM_I64);

			less->i = map->unexplained;
			item_set(one, "resident", less);
		} else {
			item_set(one, "resident", item_u64(k == PART_OTHER ?
								   (uint64_t)map->unexplained :
								   map->part[k].resident));
		}
		item_set(one, "size", item_u64(map->part[k].size));
	}
	return list;
}

static struct item *area_items(const struct snap_memory *s)
{
	struct item *all = item_new(ITEM_OBJECT);
	size_t i;

	for (i = 0; i < AREA_N; i++)
		item_set(all, memory_area_name(i),
			 s->area_known[i] ? item_u64(s->area[i]) : item_new(ITEM_NULL));
	return all;
}

static struct item *fix_items(const struct snap_mem *m)
{
	struct item *all = item_new(ITEM_OBJECT), *one;
	size_t i;

	for (i = 0; i < m->nfix; i++) {
		one = item_set(all, m->fix[i].type, item_new(ITEM_OBJECT));
		item_set(one, "allocated", item_u64(m->fix[i].allocated));
		item_set(one, "used", item_u64(m->fix[i].used));
	}
	return all;
}

static void total_item(struct table *t, const char *key, struct item *it, struct item **items)
{
	struct value v = { .kind = it ? VAL_ITEM : VAL_NONE, .item = it };
	size_t i;

	for (i = 0; i < MEM_MAX_ITEMS && items[i]; i++)
		;
	if (i < MEM_MAX_ITEMS)
		items[i] = it;
	report_total_value(t, key, v);
}

static void total_double(struct table *t, const char *key, bool known, double d)
{
	struct value v = { .kind = known ? VAL_DOUBLE : VAL_NONE, .d = d };

	report_total_value(t, key, v);
}

static void total_change(struct table *t, const char *key, bool known, uint64_t now, uint64_t was)
{
	struct value v = { .kind = known ? VAL_I64 : VAL_NONE, .i = (int64_t)(now - was) };

	report_total_value(t, key, v);
}

static void add_totals(struct table *t, const struct mem_look *look, const struct mem_look *before,
		       struct item **items)
{
	const struct mem_map *map = &look->map;
	struct sum s = sum_of(look);
	uint64_t hits = 0, calls = 0;
	size_t i;

	for (i = 0; i < MEMORY_N; i++)
		report_total_if(t, memory_key_name(i), look->memory.known[i], look->memory.v[i]);
	report_total(t, "used", s.used);
	report_total(t, "allocated", s.allocated);
	report_total(t, "unused", s.allocated - s.used);
	total_double(t, "usage", true, ratio(s.used, s.allocated, 1));
	report_total_if(t, "used_max", s.maxima, s.used_max);
	report_total_if(t, "allocated_max", s.maxima, s.allocated_max);
	report_total_if(t, "unused_max", s.maxima, s.allocated_max - s.used_max);
	total_double(t, "usage_max", s.maxima, ratio(s.used_max, s.allocated_max, 1));
	report_total_if(t, "rss", map->known, map->rss);
	report_total_if(t, "swap", map->known, map->swap);
	report_total_if(t, "lazy_free", map->known && map->lazy_free_known,
			map->lazy_free);
	report_total_if(t, "huge_pages", map->known, map->huge);
	report_total_if(t, "threads", map->known, map->threads);
	total_item(t, "waterfall", map->known ? waterfall_items(map) : NULL, items);
	total_item(t, "average_block_size", average_items(look), items);
	total_item(t, "sbcs_to_mbcs", sbcs_to_mbcs_items(look), items);
	for (i = 0; i < look->mem.nmsegs; i++) {
		hits += look->mem.msegs[i].hits;
		calls += look->mem.msegs[i].calls;
	}
	total_double(t, "cache_hit_rate", look->mem.mseg_known, ratio(hits, calls, 1));
	total_item(t, "mseg_alloc", look->mem.mseg_known ? mseg_items(&look->mem) : NULL, items);
	total_item(t, "allocated_areas", area_items(&look->memory), items);
	total_item(t, "fix_types", look->mem.fix_known ? fix_items(&look->mem) : NULL, items);
	if (!before)
		return;
	total_change(t, "total_change", look->memory.known[MEMORY_TOTAL] &&
					before->memory.known[MEMORY_TOTAL],
		     look->memory.v[MEMORY_TOTAL], before->memory.v[MEMORY_TOTAL]);
	total_change(t, "rss_change", map->known && before->map.known, map->rss, before->map.rss);
}

/* --- text ------------------------------------------------------------------------------------- */

static const char *bytes(int64_t n, char *buf, size_t size)
{
	buf[0] = '-';
	fmt_bytes(n < 0 ? -(double)n : n, buf + (n < 0), size - 1);
	return buf;
}

/* A bar in eighths of a character; `#` where there is but ASCII. */
static void bar(double share, int width, char *buf, size_t size)
{
	static const char *const eighths[] = { "", "\u258f", "\u258e", "\u258d", "\u258c", "\u258b",
					       "\u258a", "\u2589" };
	int n = share <= 0 ? 0 : share >= 1 ? width * 8 : (int)(share * width * 8 + 0.5), i;
	size_t len = 0;

	/* what there is can be seen */
	if (!n && share > 0)
		n = 1;
	buf[0] = '\0';
	for (i = 0; i < n / 8; i++)
		len += snprintf(buf + len, size - len, "%s", out_text_utf8() ? "\u2588" : "#");
	if (n & 7)
		snprintf(buf + len, size - len, "%s", out_text_utf8() ? eighths[n & 7] :
						      n & 4 ? "=" : "-");
}

/* Parts that hardly matter are left out, but for those that answer the question. */
static bool part_shown(const struct mem_map *map, enum mem_part_kind k)
{
	return k <= PART_SLACK || k == PART_FILES || k == PART_OTHER || map->part[k].resident ||
	       (k == PART_POOL && map->part[k].size);
}

static void waterfall(struct table *t, const struct mem_map *map)
{
	struct text_block *b = report_block(t, "from what is in use to what the system counts");
	char bar_text[300], resident[32], size[32];
	int width = (int)out_text_width() - 60, k;
	int64_t n;

	if (width > 40)
		width = 40;
	if (width < 8)
		width = 8;
	report_line(b, "%-24s %10s %11s %6s", "", "RESIDENT", "OF", "SHARE");
	for (k = 0; k < PART_N; k++) {
		n = k == PART_OTHER ? map->unexplained : (int64_t)map->part[k].resident;
		if (!part_shown(map, k))
			continue;
		bar(map->rss ? (double)n / map->rss : 0, width, bar_text, sizeof(bar_text));
		report_line(b, "%-24s %10s %11s %4.0f %%%s%s", mem_part_title(k),
			    bytes(n, resident, sizeof(resident)),
			    k == PART_OTHER ? "" : bytes(map->part[k].size, size, sizeof(size)),
			    map->rss ? 100.0 * n / map->rss : 0, bar_text[0] ? "  " : "", bar_text);
	}
	report_line(b, "%-24s %10s", "RSS", bytes(map->rss, resident, sizeof(resident)));
	if (map->swap)
		report_line(b, "%-24s %10s  in swap, beside it", "",
			    bytes(map->swap, resident, sizeof(resident)));
	if (map->lazy_free)
		report_line(b, "%-24s %10s  of RSS given back, to be taken when short", "",
			    bytes(map->lazy_free, resident, sizeof(resident)));
	if (map->huge)
		report_line(b, "%-24s %10s  of RSS in huge pages", "",
			    bytes(map->huge, resident, sizeof(resident)));
}

static void memory_lines(struct table *t, const struct snap_memory *s)
{
	struct text_block *b = report_block(t, "erlang:memory()");
	size_t i, n = 0, each = out_text_width() / 30, have = 0;
	char text[32], line[512];

	if (each > 5)
		each = 5;
	for (i = 0; i < MEMORY_N; i++) {
		n += snprintf(line + n, sizeof(line) - n, "%s%-14s %10s", have ? "    " : "",
			      memory_key_name(i),
			      s->known[i] ? bytes(s->v[i], text, sizeof(text)) : "-");
		if (++have < each && i + 1 < MEMORY_N)
			continue;
		report_line(b, "%s", line);
		n = have = 0;
	}
}

/* What there is most of beyond what is used, at first. */
static void verdict(struct table *t, const struct mem_look *look)
{
	static const char *const words[] = {
		[PART_SLACK] = "free in carriers", [PART_POOL] = "free in pooled carriers",
		[PART_MSEG] = "kept by mseg_alloc", [PART_SUPER] = "spare in a super carrier",
		[PART_JIT] = "JIT code", [PART_FILES] = "beam.smp and files",
		[PART_STACKS] = "stacks", [PART_HEAP] = "libc heap",
		[PART_OTHER] = "unexplained",
	};
	const struct mem_map *map = &look->map;
	char a[32], b[32];
	bool told[PART_N] = { false };
	size_t n, k, best;
	int i;

	if (!map->known) {
		snprintf(t->verdict, sizeof(t->verdict), "what the system counts is not known");
		return;
	}
	n = snprintf(t->verdict, sizeof(t->verdict), "RSS %s: %s in use (%.0f %%)",
		     bytes(map->rss, a, sizeof(a)),
		     bytes(map->part[PART_USED].resident, b, sizeof(b)),
		     100 * ratio(map->part[PART_USED].resident, map->rss, 0));
	for (i = 0; i < 3; i++) {
		for (best = 0, k = PART_SLACK; k < PART_N; k++)
			if (!told[k] && words[k] &&
			    (!best || map->part[k].resident > map->part[best].resident))
				best = k;
		told[best] = true;
		if (map->part[best].resident * 50 > map->rss && n < sizeof(t->verdict))
			n += snprintf(t->verdict + n, sizeof(t->verdict) - n, ", %s %s",
				      bytes(map->part[best].resident, a, sizeof(a)), words[best]);
	}
}

void report_mem_table(struct table *t, const struct mem_look *look, const struct mem_look *before,
		      struct item **items)
{
	add_totals(t, look, before, items);
	verdict(t, look);
	if (look->map.known)
		waterfall(t, &look->map);
	memory_lines(t, &look->memory);
	t->blocks_first = true;
}
