// SPDX-License-Identifier: GPL-2.0-only
/*
 * mem: what the VM's allocators have taken and use, the numbers of erlang:memory(), and where the
 * rest of its resident memory is.
 */
#include "reading.h"
#include "report_mem.h"

#include <stdlib.h>
#include <string.h>

struct mem_state {
	struct snap_mem_proof proof;
	struct memory_areas areas;
	struct mem_look look, before;
	bool has_before;
	struct item *items[MEM_MAX_ITEMS];
	struct column cols[MEM_MAX_COLUMNS];
};

static struct column all_columns[MEM_MAX_COLUMNS];

static int mem_open(struct reading *r)
{
	struct mem_state *st = r->state;

	snap_mem_open(&r->vm, &st->proof);
	memory_areas_open(&r->vm, &st->areas);
	return 0;
}

static void add_notes(struct reading *r, const struct mem_state *st)
{
	size_t i;

	for (i = 0; i < st->proof.nwhy; i++)
		reading_note(r, "%s", st->proof.why[i]);
	if (st->areas.missing[0])
		reading_note(r, "not known of this build, and missing in what they are part of: %s",
			     st->areas.missing);
	if (st->look.map.err)
		reading_note(r, "resident memory is not known: %s", strerror(-st->look.map.err));
	if (st->look.map.known && st->look.map.other_malloc)
		reading_note(r, "malloc is %s here: what it has taken for drivers, NIFs and the VM "
			     "itself is among `unexplained`", st->look.map.other_malloc);
	if (st->look.map.known && st->look.map.swap)
		reading_note(r, "part of the node is in swap: of a carrier that is not in memory "
			     "as a whole, what is there is taken to be blocks first");
	if (st->look.mem.unread)
		reading_note(r, "%llu allocator instances could not be read",
			     (unsigned long long)st->look.mem.unread);
	if (st->proof.msegs && !st->look.mem.mseg_known)
		reading_note(r, "mseg_alloc moved under all tries to read it");
}

static int mem_round(struct reading *r, struct table *t)
{
	struct mem_state *st = r->state;
	struct mem_look *look = &st->look;
	const struct mem_look *before = st->has_before ? &st->before : NULL;
	bool each = r->opt->each || r->opt->json;
	size_t ncols = report_mem_columns(st->cols, before, each);

	snap_mem_read(&r->vm, &st->proof, &look->mem);
	snap_memory_read(&r->vm, &st->areas, &look->mem, &look->memory);
	mem_map_read(&r->vm, &look->mem, &look->map);
	if (r->vm.rd.lost)
		return -1;
	report_mem_rows(look, before);
	r->skipped = look->mem.unread + look->map.skipped;
	report_rows(t, "mem", st->cols, ncols, each ? look->rows : look->sums,
		    sizeof(struct mem_row), each ? look->nrows : look->nsums, r->opt->sort,
		    "unused", r->limit);
	report_mem_table(t, look, before, st->items);
	add_notes(r, st);
	return 0;
}

static void mem_release(struct reading *r)
{
	struct mem_state *st = r->state;
	size_t i;

	for (i = 0; i < MEM_MAX_ITEMS; i++) {
		item_free(st->items[i]);
		st->items[i] = NULL;
	}
	if (st->has_before)
		report_mem_free(&st->before);
	st->before = st->look;
	st->has_before = true;
	memset(&st->look, 0, sizeof(st->look));
}

static void mem_close(struct reading *r)
{
	struct mem_state *st = r->state;

	if (st->has_before)
		report_mem_free(&st->before);
}

int cmd_mem(const struct cmd *cmd, const struct options *opt)
{
	const struct reading_ops ops = {
		.cols = all_columns,
		.ncols = report_mem_columns(all_columns, opt->interval_s >= 0, true),
		.default_sort = "unused", .state_size = sizeof(struct mem_state), .open = mem_open,
		.round = mem_round, .release = mem_release, .close = mem_close,
	};

	return reading_run(cmd, opt, &ops);
}
