// SPDX-License-Identifier: GPL-2.0-only
/*
 * carrier: how full the node's carriers are, block by block.  With --trace: carriers as they come
 * and go (cmd_trace.c).
 */
#include "reading.h"
#include "report_carrier.h"

#include <string.h>

struct state {
	struct carrier_list list;
	struct blocks_rows rows;
	struct item *block_hist, *free_hist; /* of all, for totals */
	struct code *code; /* where tags name places in the code; NULL: not needed, or not found */
	bool code_tried;
};

static enum carrier_view view_of(const struct options *opt)
{
	if (opt->by)
		return strcmp(opt->by, "creator") ? VIEW_TYPE : VIEW_CREATOR;
	return opt->each ? VIEW_EACH : VIEW_INSTANCE;
}

static int check(const struct options *opt)
{
	if (opt->each && opt->by)
		return fail(EXIT_USAGE, "one of them at a time",
			    "--each shows carriers, --by %s sums up their blocks", opt->by);
	if (opt->map && (opt->each || opt->by))
		return fail(EXIT_USAGE, "leave the other one out",
			    "--map shows instances, with a sign for each carrier");
	return 0;
}

static const char *const headlines[] = {
	[VIEW_INSTANCE] = "carriers of allocators' instances, and how full they are",
	[VIEW_EACH] = "each carrier, and how full it is",
	[VIEW_CREATOR] = "who allocated the blocks that have a tag",
	[VIEW_TYPE] = "what blocks were allocated for",
};

/* --- totals ----------------------------------------------------------------------------------- */

static void add_hist(struct size_hist *to, const struct size_hist *from)
{
	int i;

	for (i = 0; i < BLOCK_SLOTS; i++)
		to->slot[i] += from->slot[i];
}

static void sum_up(const struct vm *vm, const struct carrier_list *l, struct carrier_sum *all)
{
	const struct carrier_sum *s;
	size_t i;

	memset(all, 0, sizeof(*all));
	for (i = 0; i < vm->ninsts; i++) {
		s = &l->sums[i];
		all->carriers += s->carriers;
		all->size += s->size;
		all->allocated += s->allocated;
		all->blocks += s->blocks;
		all->single += s->single;
		all->single_size += s->single_size;
		all->pooled += s->pooled;
		all->pooled_size += s->pooled_size;
		all->pooled_allocated += s->pooled_allocated;
		all->free_blocks += s->free_blocks;
		all->few += s->few;
		all->not_walked += s->not_walked;
		add_hist(&all->detail.blocks, &s->detail.blocks);
		add_hist(&all->detail.free, &s->detail.free);
	}
}

static void add_totals(struct reading *r, struct state *s, enum carrier_view view, struct table *t)
{
	const struct carrier_list *l = &s->list;
	struct carrier_sum all;
	struct block_sum tagged = { l->other_tags.blocks, l->other_tags.bytes };
	bool whole;
	size_t i;

	sum_up(&r->vm, l, &all);
	whole = !all.not_walked;
	report_total(t, "carriers", all.carriers);
	report_total(t, "size", all.size);
	report_total(t, "allocated", all.allocated);
	report_total(t, "unused", all.size - all.allocated);
	report_total_value(t, "usage", (struct value){ .kind = all.size ? VAL_DOUBLE : VAL_NONE,
				       .d = (double)all.allocated / (all.size ? all.size : 1) });
	report_total_if(t, "blocks", whole || l->kinds_known, all.blocks);
	report_total_if(t, "free_blocks", whole, all.free_blocks);
	report_total(t, "in_pool", all.pooled);
	report_total(t, "pool_size", all.pooled_size);
	report_total(t, "pool_allocated", all.pooled_allocated);
	report_total(t, "single_carriers", all.single);
	report_total(t, "single_size", all.single_size);
	report_total(t, "few_blocks", all.few);
	report_total(t, "unseen", l->unseen);
	if (view == VIEW_CREATOR || view == VIEW_TYPE) {
		for (i = 0; i < l->ntags; i++) {
			tagged.n += l->tags[i].blocks;
			tagged.bytes += l->tags[i].bytes;
		}
		report_total_if(t, "tagged_blocks", whole, tagged.n);
		report_total_if(t, "tagged_size", whole, tagged.bytes);
	}
	if (r->opt->json && whole) {
		s->block_hist = size_hist_item(&l->block_rule, &all.detail.blocks);
		s->free_hist = size_hist_item(&l->free_rule, &all.detail.free);
	}
	report_total_value(t, "block_histogram",
			   (struct value){ .kind = s->block_hist ? VAL_ITEM : VAL_NONE,
					   .item = s->block_hist });
	report_total_value(t, "free_block_histogram",
			   (struct value){ .kind = s->free_hist ? VAL_ITEM : VAL_NONE,
					   .item = s->free_hist });
}

/* --- notes ------------------------------------------------------------------------------------ */

static void add_notes(struct reading *r, const struct carrier_list *l, enum carrier_view view)
{
	if (l->skipped)
		reading_note(r, "%llu carriers changed as often as they were read: they are counted "
			     "by their own counters, and in no histogram",
			     (unsigned long long)l->skipped);
	if (l->unseen)
		reading_note(r, "%llu carriers more are counted than were found: they moved from "
			     "list to list meanwhile", (unsigned long long)l->unseen);
	if (!l->kinds_known)
		reading_note(r, "carriers' own counters do not agree with those of their "
			     "instances: blocks are not told by allocator");
	if (l->n >= CARRIERS_MAX)
		reading_note(r, "there are more carriers than the %d that were read", CARRIERS_MAX);
	if (view == VIEW_CREATOR && !l->ntags)
		reading_note(r, "no block has a tag: the node was started with +M<S>atags false");
	else if (view == VIEW_CREATOR)
		reading_note(r, "blocks have a tag where the node was started with +M<S>atags: by "
			     "default those of binary_alloc and driver_alloc%s",
			     r->vm.otp < 27 ? "; processes are told from OTP 27 on" : "");
	if (l->other_tags.blocks)
		reading_note(r, "there are more creators than the %d that are told apart",
			     TAGS_MAX);
}

/* --- the command ------------------------------------------------------------------------------ */

static void release(struct reading *r)
{
	struct state *s = r->state;

	blocks_rows_free(&s->rows);
	carrier_list_free(&s->list);
	item_free(s->block_hist);
	item_free(s->free_hist);
	s->block_hist = s->free_hist = NULL;
}

static void open_code(struct reading *r, struct state *s)
{
	char why[200] = "";

	if (!carrier_code_tags(&s->list))
		return;
	if (s->code)
		code_refresh(s->code);
	else if (!s->code_tried)
		s->code = code_open(&r->vm, why, sizeof(why));
	s->code_tried = true;
	if (!s->code)
		reading_note(r, "tags name places in the code, which have no names: %s", why);
}

static void close_state(struct reading *r)
{
	struct state *s = r->state;

	if (s->code)
		code_close(s->code);
}

static int make_round(struct reading *r, struct table *t)
{
	enum carrier_view view = view_of(r->opt);
	struct carrier_want want = {
		.each = view == VIEW_EACH, .tags = view == VIEW_CREATOR || view == VIEW_TYPE,
	};
	const char *by_default = view == VIEW_CREATOR || view == VIEW_TYPE ? "size" : "unused";
	const struct column *cols;
	struct state *s = r->state;
	size_t ncols;

	if (snap_carriers(&r->vm, &want, &s->list))
		return -1;
	r->skipped = s->list.skipped;
	cols = carrier_columns(view, &ncols);
	if (view == VIEW_CREATOR)
		open_code(r, s);
	carrier_rows(&r->vm, &s->list, s->code, view, &s->rows);
	report_rows(t, "carrier", cols, ncols, s->rows.v, sizeof(*s->rows.v), s->rows.n,
		    r->opt->sort, by_default, r->limit);
	t->headline = headlines[view];
	carrier_rows_finish(&r->vm, &s->list, view, t, r->opt->json);
	add_totals(r, s, view, t);
	carrier_verdict(&r->vm, &s->list, t->verdict, sizeof(t->verdict));
	if (r->opt->map) {
		carrier_map(&r->vm, &s->list, t);
		t->rows_hidden = true;
	}
	add_notes(r, &s->list, view);
	return 0;
}

int cmd_carrier(const struct cmd *cmd, const struct options *opt)
{
	static const char *const bys[] = { "creator", "type", NULL };
	struct reading_ops ops = {
		.default_sort = view_of(opt) >= VIEW_CREATOR ? "size" : "unused",
		.bys = bys,
		.default_limit = 20,
		.state_size = sizeof(struct state),
		.check = check,
		.round = make_round,
		.release = release,
		.close = close_state,
	};

	if (opt->trace)
		return cmd_trace(cmd, opt);
	ops.cols = carrier_columns(view_of(opt), &ops.ncols);
	return reading_run(cmd, opt, &ops);
}
