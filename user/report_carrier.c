// SPDX-License-Identifier: GPL-2.0-only
/* Columns and rows of `carrier`, and what it says in words: see report_carrier.h. */
#include "report_carrier.h"
#include "snap_proc.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>

/* --- columns ---------------------------------------------------------------------------------- */

GET_TEXT(row_allocator, struct blocks_row, r->allocator)
GET_U(row_instance, struct blocks_row, r->instance)
GET_ITEM(row_block_hist, struct blocks_row, r->block_hist)
GET_ITEM(row_free_hist, struct blocks_row, r->free_hist)
GET_ITEM(row_kinds, struct blocks_row, r->kinds)

static double share(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / whole : 0;
}

#define SUM(name) GET_U(sum_##name, struct blocks_row, r->sum->name)
SUM(carriers)
SUM(size)
SUM(allocated)
SUM(single)
SUM(single_size)
SUM(single_allocated)
SUM(pooled)
SUM(pooled_size)
SUM(pooled_allocated)
SUM(few)
/* what was not walked has its counters, but no free blocks */
GET_IF(sum_blocks, struct blocks_row, r->counted, VAL_U64, u, r->sum->blocks)
GET_IF(sum_free, struct blocks_row, !r->sum->not_walked, VAL_U64, u, r->sum->free_blocks)
GET_IF(sum_largest, struct blocks_row, !r->sum->not_walked, VAL_U64, u, r->sum->largest_free)
GET_U(sum_unused, struct blocks_row, r->sum->size - r->sum->allocated)
GET_IF(sum_usage, struct blocks_row, r->sum->size, VAL_DOUBLE, d,
       share(r->sum->allocated, r->sum->size))

#define ALLOCATOR_COLUMNS                                                                          \
	{ "allocator", "ALLOCATOR", UNIT_NONE, COL_TEXT | COL_LOW_BAD,                             \
	  "allocator whose carriers these are", row_allocator },                                   \
	{ "instance", "INST", UNIT_NONE, COL_TEXT | COL_LOW_BAD,                                   \
	  "its instance: 0 is shared, others are a scheduler's", row_instance }
#define HIST_COLUMNS                                                                               \
	{ "block_histogram", "BLOCKS", UNIT_NONE, COL_NO_SORT, "blocks in use by size",            \
	  row_block_hist },                                                                        \
	{ "free_block_histogram", "FREE", UNIT_NONE, COL_NO_SORT, "free blocks by size",           \
	  row_free_hist },                                                                         \
	{ "allocations", "OF", UNIT_NONE, COL_NO_SORT,                                             \
	  "blocks of multi-block carriers by the allocator they are of", row_kinds }

static const struct column instance_columns[] = {
	ALLOCATOR_COLUMNS,
	{ "carriers", "CARRIERS", UNIT_NONE, COL_TEXT, "carriers, those in the pool included",
	  sum_carriers },
	{ "in_pool", "IN POOL", UNIT_NONE, COL_TEXT,
	  "of them, those that it created and that are abandoned to the pool", sum_pooled },
	{ "size", "SIZE", UNIT_BYTES, COL_TEXT, "bytes of the carriers", sum_size },
	{ "allocated", "USED", UNIT_BYTES, COL_TEXT, "bytes of blocks in use", sum_allocated },
	{ "unused", "UNUSED", UNIT_BYTES, COL_TEXT, "bytes of the carriers that no block uses",
	  sum_unused },
	{ "usage", "USAGE", UNIT_SHARE, COL_TEXT, "share of the carriers that is in use",
	  sum_usage },
	{ "blocks", "BLOCKS", UNIT_NONE, COL_TEXT | COL_SOONER(1), "blocks in use", sum_blocks },
	{ "free_blocks", "FREE", UNIT_NONE, COL_TEXT | COL_SOONER(3), "free blocks", sum_free },
	{ "largest_free", "LARGEST", UNIT_BYTES, COL_TEXT | COL_SOONER(4), "the largest free block",
	  sum_largest },
	{ "few_blocks", "<=3 BLOCKS", UNIT_NONE, COL_TEXT | COL_SOONER(5),
	  "multi-block carriers that three blocks or less keep", sum_few },
	{ "single_carriers", "SINGLE", UNIT_NONE, 0, "of the carriers, those of one block each",
	  sum_single },
	{ "single_size", "BYTES", UNIT_BYTES, 0, "their bytes", sum_single_size },
	{ "single_allocated", "USED", UNIT_BYTES, 0, "bytes of their blocks",
	  sum_single_allocated },
	{ "pool_size", "POOLED", UNIT_BYTES, 0, "bytes of carriers in the pool", sum_pooled_size },
	{ "pool_allocated", "USED", UNIT_BYTES, 0, "bytes of blocks in the pool",
	  sum_pooled_allocated },
	HIST_COLUMNS,
};

#define EACH(name, e) GET_U(each_##name, struct blocks_row, e)
#define EACH_WALKED(name)                                                                          \
	GET_IF(each_##name, struct blocks_row, r->carrier->walked, VAL_U64, u, r->carrier->name)
GET_TEXT(each_address, struct blocks_row, r->address)
GET_TEXT(each_kind, struct blocks_row, r->carrier->single ? "sbc" : "mbc")
GET_TEXT(each_source, struct blocks_row, r->carrier->mseg ? "mseg" : "sys_alloc")
GET(each_in_pool, struct blocks_row, VAL_BOOL, b, r->carrier->pooled)
EACH(size, r->carrier->size)
EACH_WALKED(free_blocks)
EACH_WALKED(largest_free)
GET_IF(each_blocks, struct blocks_row, r->counted, VAL_U64, u, r->carrier->blocks)
EACH(allocated, r->carrier->allocated)
EACH(unused, r->carrier->size - r->carrier->allocated)
GET(each_usage, struct blocks_row, VAL_DOUBLE, d, share(r->carrier->allocated, r->carrier->size))

static const struct column each_columns[] = {
	{ "address", "ADDRESS", UNIT_NONE, COL_TEXT | COL_LOW_BAD, "where the carrier is",
	  each_address },
	ALLOCATOR_COLUMNS,
	{ "kind", "KIND", UNIT_NONE, COL_TEXT | COL_LOW_BAD, "mbc: many blocks, sbc: one block",
	  each_kind },
	{ "source", "SOURCE", UNIT_NONE, COL_TEXT | COL_LOW_BAD | COL_SOONER(5),
	  "mseg: mapped for it, sys_alloc: from malloc()", each_source },
	{ "in_pool", "IN POOL", UNIT_NONE, COL_TEXT | COL_LOW_BAD | COL_SOONER(2),
	  "abandoned: free for any instance of its allocator to take", each_in_pool },
	{ "size", "SIZE", UNIT_BYTES, COL_TEXT, "bytes of the carrier", each_size },
	{ "allocated", "USED", UNIT_BYTES, COL_TEXT | COL_SOONER(1), "bytes of blocks in use",
	  each_allocated },
	{ "unused", "UNUSED", UNIT_BYTES, COL_TEXT, "bytes of it that no block uses", each_unused },
	{ "usage", "USAGE", UNIT_SHARE, COL_TEXT, "share of it that is in use", each_usage },
	{ "blocks", "BLOCKS", UNIT_NONE, COL_TEXT, "blocks in use", each_blocks },
	{ "free_blocks", "FREE", UNIT_NONE, COL_TEXT | COL_SOONER(4), "free blocks",
	  each_free_blocks },
	{ "largest_free", "LARGEST", UNIT_BYTES, COL_TEXT | COL_SOONER(3), "the largest free block",
	  each_largest_free },
	HIST_COLUMNS,
};

GET_TEXT(row_creator, struct blocks_row, r->creator)
GET_TEXT(row_origin, struct blocks_row, r->origin)
GET_TEXT(row_name, struct blocks_row, r->name)
GET_TEXT(row_type, struct blocks_row, r->type)
GET_IF(row_blocks, struct blocks_row, r->counted, VAL_U64, u, r->blocks)
GET_IF(row_bytes, struct blocks_row, r->counted, VAL_U64, u, r->bytes)
GET_IF(row_average, struct blocks_row, r->counted && r->blocks, VAL_U64, u, r->bytes / r->blocks)

#define BLOCK_COLUMNS                                                                              \
	{ "blocks", "BLOCKS", UNIT_NONE, COL_TEXT, "blocks in use", row_blocks },                  \
	{ "size", "BYTES", UNIT_BYTES, COL_TEXT, "bytes of those blocks", row_bytes },             \
	{ "average", "AVERAGE", UNIT_BYTES, COL_TEXT, "bytes of one of them, on average",          \
	  row_average },                                                                           \
	{ "block_histogram", "SIZES", UNIT_NONE, COL_NO_SORT, "blocks by size", row_block_hist }

static const struct column creator_columns[] = {
	{ "creator", "CREATOR", UNIT_NONE, COL_TEXT | COL_LOW_BAD,
	  "process, port or function that allocated them (from OTP 27), else their origin",
	  row_creator },
	{ "name", "NAME", UNIT_NONE, COL_TEXT | COL_SHRINK | COL_NO_SORT,
	  "the process's registered name, or its initial call; none when it has ended", row_name },
	{ "origin", "ORIGIN", UNIT_NONE, COL_TEXT | COL_LOW_BAD,
	  "driver, module of a NIF, or else system", row_origin },
	BLOCK_COLUMNS,
	{ "types", "TYPES", UNIT_NONE, COL_NO_SORT, "the same by allocator and type", row_kinds },
};

static const struct column type_columns[] = {
	{ "allocator", "ALLOCATOR", UNIT_NONE, COL_TEXT | COL_LOW_BAD, "allocator of the blocks",
	  row_allocator },
	{ "type", "TYPE", UNIT_NONE, COL_TEXT | COL_SHRINK | COL_LOW_BAD,
	  "what they were allocated for; -: those that have no tag", row_type },
	BLOCK_COLUMNS,
};

const struct column *carrier_columns(enum carrier_view view, size_t *n)
{
	static const struct { const struct column *cols; size_t n; } of[] = {
		[VIEW_INSTANCE] = { instance_columns, ARRAY_SIZE(instance_columns) },
		[VIEW_EACH] = { each_columns, ARRAY_SIZE(each_columns) },
		[VIEW_CREATOR] = { creator_columns, ARRAY_SIZE(creator_columns) },
		[VIEW_TYPE] = { type_columns, ARRAY_SIZE(type_columns) },
	};

	*n = of[view].n;
	return of[view].cols;
}

/* --- rows ------------------------------------------------------------------------------------- */

static struct blocks_row *add_row(struct blocks_rows *rows)
{
	if (rows->n == rows->cap) {
		rows->cap = rows->cap ? 2 * rows->cap : 64;
		rows->v = xrealloc(rows->v, rows->cap * sizeof(*rows->v));
	}
	memset(&rows->v[rows->n], 0, sizeof(*rows->v));
	return &rows->v[rows->n++];
}

static const char *allocator_of(const struct vm *vm, unsigned int no)
{
	return no < VM_MAX_ALLOCATORS && vm->allocator_name[no][0] ? vm->allocator_name[no] : NULL;
}

static struct blocks_row *instance_row(const struct vm *vm, const struct carrier_list *l, size_t i,
				       struct blocks_rows *rows)
{
	struct blocks_row *r = add_row(rows);

	r->allocator = allocator_of(vm, vm->insts[i].alloc_no);
	r->instance = vm->insts[i].ix;
	r->sum = &l->sums[i];
	r->counted = !r->sum->not_walked || l->kinds_known;
	return r;
}

static void instance_rows(const struct vm *vm, const struct carrier_list *l,
			  struct blocks_rows *rows)
{
	size_t i;

	for (i = 0; i < vm->ninsts; i++)
		instance_row(vm, l, i, rows);
}

static void each_rows(const struct vm *vm, const struct carrier_list *l, struct blocks_rows *rows)
{
	const struct carrier *c;
	struct blocks_row *r;
	size_t i;

	for (i = 0; i < l->n; i++) {
		c = &l->v[i];
		r = instance_row(vm, l, c->instance, rows);
		r->carrier = c;
		r->counted = c->walked || l->kinds_known;
		snprintf(r->address, sizeof(r->address), "0x%llx", (unsigned long long)c->addr);
	}
}

static void add_sizes(struct blocks_row *r, const struct tag_sum *s)
{
	int i;

	r->blocks += s->blocks;
	r->bytes += s->bytes;
	for (i = 0; i < BLOCK_SLOTS; i++)
		r->sizes.slot[i] += s->sizes.slot[i];
}

static bool is_code(uint64_t term)
{
	return term && !(term & 3);
}

bool carrier_code_tags(const struct carrier_list *l)
{
	size_t i;

	for (i = 0; i < l->ntags && !is_code(l->tags[i].term); i++)
		;
	return i < l->ntags;
}

static void creator_text(const struct vm *vm, struct code *code, uint64_t term, const char *origin,
			 char *buf, size_t size)
{
	const struct code_at *at = code && is_code(term) ? code_mfa_at(code, term) : NULL;

	if (!term)
		snprintf(buf, size, "%s", origin ? origin : "-");
	else if (term_is_pid(term))
		term_pid_text(vm, term, buf, size);
	else if (term_is_port(term))
		term_port_text(vm, term, buf, size);
	else if (at && at->known)
		snprintf(buf, size, "%s", at->mfa);
	else
		snprintf(buf, size, "code 0x%llx", (unsigned long long)term);
}

static int compare(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* By creator, then by type, then by allocator of the carrier. */
static int tag_order(const void *a, const void *b)
{
	const struct tag_sum *x = a, *y = b;
	int by = compare(TAG_ATOM(x->packed), TAG_ATOM(y->packed));

	by = by ? by : compare(x->term, y->term);
	by = by ? by : compare(TAG_TYPE(x->packed), TAG_TYPE(y->packed));
	return by ? by : compare(x->allocator, y->allocator);
}

/* A function has many places that allocate: they become one, that of its ErtsCodeMFA. */
static void name_places(struct carrier_list *l, struct code *code)
{
	const struct code_at *at;
	size_t i;

	for (i = 0; i < l->ntags; i++) {
		if (!is_code(l->tags[i].term))
			continue;
		at = code_at(code, l->tags[i].term);
		/* code that is gone: instrument tells the origin alone, too */
		l->tags[i].term = at->known ? at->info : 0;
	}
}

/* Those that are the same by now, side by side. */
static void merge_tags(struct carrier_list *l)
{
	struct tag_sum *to;
	size_t i, n = 0;
	int k;

	for (i = 0; i < l->ntags; i++) {
		to = n ? &l->tags[n - 1] : NULL;
		if (!to || tag_order(to, &l->tags[i])) {
			l->tags[n++] = l->tags[i];
			continue;
		}
		to->blocks += l->tags[i].blocks;
		to->bytes += l->tags[i].bytes;
		for (k = 0; k < BLOCK_SLOTS; k++)
			to->sizes.slot[k] += l->tags[i].sizes.slot[k];
	}
	l->ntags = n;
}

static void other_row(const struct carrier_list *l, struct blocks_rows *rows)
{
	struct blocks_row *r;

	if (!l->other_tags.blocks)
		return;
	r = add_row(rows);
	r->creator = xstrdup("others");
	r->type = "others";
	r->counted = r->sizes_known = true;
	add_sizes(r, &l->other_tags);
}

static void creator_rows(struct vm *vm, struct carrier_list *l, struct code *code,
			 struct blocks_rows *rows)
{
	struct blocks_row *r = NULL;
	char text[TERM_TEXT];
	size_t i;

	if (code)
		name_places(l, code);
	if (l->ntags)
		qsort(l->tags, l->ntags, sizeof(*l->tags), tag_order);
	merge_tags(l);
	for (i = 0; i < l->ntags; i++) {
		if (!i || TAG_ATOM(l->tags[i].packed) != TAG_ATOM(l->tags[i - 1].packed) ||
		    l->tags[i].term != l->tags[i - 1].term) {
			r = add_row(rows);
			r->tags = &l->tags[i];
			r->origin = term_atom_index(vm, TAG_ATOM(l->tags[i].packed));
			creator_text(vm, code, l->tags[i].term, r->origin, text, sizeof(text));
			r->creator = xstrdup(text);
			r->counted = r->sizes_known = true;
		}
		r->ntags++;
		add_sizes(r, &l->tags[i]);
	}
	other_row(l, rows);
}

/* The allocator that blocks of a tag are of: its type's. */
static unsigned int tag_allocator(const struct vm *vm, const struct tag_sum *s)
{
	unsigned int type = TAG_TYPE(s->packed);

	return vm->type_name[type][0] ? VM_TYPE_ALLOCATOR(vm->type_full[type]) : s->allocator;
}

/* What has no tag is what there is less what has one. */
static void untagged_row(const struct vm *vm, const struct carrier_list *l, unsigned int no,
			 const struct block_sum *tagged, struct blocks_rows *rows)
{
	struct block_sum all = { 0 };
	struct blocks_row *r;
	size_t i;

	for (i = 0; i < vm->ninsts; i++) {
		all.n += l->sums[i].detail.by[no - 1].n;
		all.bytes += l->sums[i].detail.by[no - 1].bytes;
		if (vm->insts[i].alloc_no != no)
			continue;
		all.n += l->sums[i].single;
		all.bytes += l->sums[i].single_allocated;
	}
	if (all.n == tagged->n && all.bytes == tagged->bytes)
		return;
	r = add_row(rows);
	r->allocator = allocator_of(vm, no);
	r->counted = l->kinds_known && !l->other_tags.blocks && all.n >= tagged->n &&
		     all.bytes >= tagged->bytes;
	r->sizes_known = r->counted && !l->untagged_mixed;
	r->blocks = all.n - tagged->n;
	r->bytes = all.bytes - tagged->bytes;
	r->sizes = l->untagged[no - 1];
}

static void type_rows(const struct vm *vm, const struct carrier_list *l, struct blocks_rows *rows)
{
	struct block_sum tagged[VM_MAX_ALLOCATORS] = { 0 };
	size_t at[VM_MAX_TYPES] = { 0 }, i;
	struct blocks_row *r;
	unsigned int no, type;

	for (i = 0; i < l->ntags; i++) {
		type = TAG_TYPE(l->tags[i].packed);
		no = tag_allocator(vm, &l->tags[i]);
		if (!at[type]) {
			r = add_row(rows);
			r->allocator = allocator_of(vm, no);
			r->type = vm->type_name[type][0] ? vm->type_name[type] : "unknown";
			r->counted = r->sizes_known = true;
			at[type] = rows->n;
		}
		add_sizes(&rows->v[at[type] - 1], &l->tags[i]);
		tagged[no].n += l->tags[i].blocks;
		tagged[no].bytes += l->tags[i].bytes;
	}
	for (no = 1; no <= ALLOCATORS; no++)
		if (allocator_of(vm, no))
			untagged_row(vm, l, no, &tagged[no], rows);
	other_row(l, rows);
}

void carrier_rows(struct vm *vm, struct carrier_list *l, struct code *code, enum carrier_view view,
		  struct blocks_rows *rows)
{
	switch (view) {
	case VIEW_INSTANCE:
		instance_rows(vm, l, rows);
		break;
	case VIEW_EACH:
		each_rows(vm, l, rows);
		break;
	case VIEW_CREATOR:
		creator_rows(vm, l, code, rows);
		break;
	case VIEW_TYPE:
		type_rows(vm, l, rows);
		break;
	}
}

void blocks_rows_free(struct blocks_rows *rows)
{
	size_t i;

	for (i = 0; i < rows->n; i++) {
		free(rows->v[i].creator);
		free(rows->v[i].name);
		item_free(rows->v[i].block_hist);
		item_free(rows->v[i].free_hist);
		item_free(rows->v[i].kinds);
	}
	free(rows->v);
	memset(rows, 0, sizeof(*rows));
}

/* --- what only some rows need ----------------------------------------------------------------- */

struct item *size_hist_item(const struct size_rule *rule, const struct size_hist *h)
{
	struct item *list = item_new(ITEM_LIST), *o;
	uint64_t hi;
	unsigned int i;

	for (i = 0; i < rule->slots; i++) {
		if (!h->slot[i])
			continue;
		hi = size_slot_hi(rule, i);
		o = item_push(list, item_new(ITEM_OBJECT));
		item_set(o, "lo", item_u64(size_slot_lo(rule, i)));
		item_set(o, "hi", hi == UINT64_MAX ? item_new(ITEM_NULL) : item_u64(hi));
		item_set(o, "count", item_u64(h->slot[i]));
	}
	return list;
}

static struct item *kinds_item(const struct vm *vm, const struct block_sum *by)
{
	struct item *list = item_new(ITEM_LIST), *o;
	unsigned int i;

	for (i = 0; i < ALLOCATORS; i++) {
		if (!by[i].n)
			continue;
		o = item_push(list, item_new(ITEM_OBJECT));
		item_set(o, "allocator", item_text(allocator_of(vm, i + 1)));
		item_set(o, "blocks", item_u64(by[i].n));
		item_set(o, "size", item_u64(by[i].bytes));
	}
	return list;
}

static struct item *tags_item(const struct vm *vm, const struct carrier_list *l,
			      const struct blocks_row *r)
{
	struct item *list = item_new(ITEM_LIST), *o;
	const struct tag_sum *s;
	size_t i;

	for (i = 0; i < r->ntags; i++) {
		s = &r->tags[i];
		o = item_push(list, item_new(ITEM_OBJECT));
		item_set(o, "allocator", item_text(allocator_of(vm, s->allocator)));
		item_set(o, "type", item_text(vm->type_name[TAG_TYPE(s->packed)]));
		item_set(o, "blocks", item_u64(s->blocks));
		item_set(o, "size", item_u64(s->bytes));
		item_set(o, "block_histogram", size_hist_item(&l->block_rule, &s->sizes));
	}
	return list;
}

/* A process that has ended has no name any more; another may have its slot. */
static void find_name(struct vm *vm, struct blocks_row *r)
{
	struct proc_image p;
	struct proc_names names;

	if (!r->ntags || !term_is_pid(r->tags->term) || snap_proc_find(vm, r->tags->term, &p))
		return;
	snap_proc_names(vm, &p, &names);
	if (names.registered || names.initial_call)
		r->name = xstrdup(names.registered ? names.registered : names.initial_call);
	proc_names_free(&names);
}

static void instance_items(const struct vm *vm, const struct carrier_list *l, struct blocks_row *r)
{
	if (!r->sum->not_walked) {
		r->block_hist = size_hist_item(&l->block_rule, &r->sum->detail.blocks);
		r->free_hist = size_hist_item(&l->free_rule, &r->sum->detail.free);
	}
	if (l->kinds_known)
		r->kinds = kinds_item(vm, r->sum->detail.by);
}

static void each_items(const struct vm *vm, const struct carrier_list *l, struct blocks_row *r)
{
	const struct carrier_blocks *d = r->carrier->detail;

	if (!d)
		return;
	r->block_hist = size_hist_item(&l->block_rule, &d->blocks);
	r->free_hist = size_hist_item(&l->free_rule, &d->free);
	if (l->kinds_known)
		r->kinds = kinds_item(vm, d->by);
}

void carrier_rows_finish(struct vm *vm, const struct carrier_list *l, enum carrier_view view,
			 struct table *t, bool json)
{
	struct blocks_row *r;
	size_t i;

	for (i = 0; i < t->nrows; i++) {
		r = (struct blocks_row *)t->rows[i];
		if (view == VIEW_CREATOR)
			find_name(vm, r);
		if (!json)
			continue;
		if (view == VIEW_INSTANCE)
			instance_items(vm, l, r);
		else if (view == VIEW_EACH)
			each_items(vm, l, r);
		else if (r->sizes_known)
			r->block_hist = size_hist_item(&l->block_rule, &r->sizes);
		if (view == VIEW_CREATOR)
			r->kinds = tags_item(vm, l, r);
	}
}

/* --- in words --------------------------------------------------------------------------------- */

struct allocator_sum {
	uint64_t carriers, size, allocated, pooled_unused, few;
};

static void add_allocator(struct allocator_sum *to, const struct carrier_sum *s)
{
	to->carriers += s->carriers;
	to->size += s->size;
	to->allocated += s->allocated;
	to->pooled_unused += s->pooled_size - s->pooled_allocated;
	to->few += s->few;
}

void carrier_verdict(const struct vm *vm, const struct carrier_list *l, char *buf, size_t size)
{
	struct allocator_sum of[VM_MAX_ALLOCATORS] = { 0 }, all = { 0 };
	unsigned int no, worst = 0;
	char a[32], b[32], c[32];
	size_t i, n;

	for (i = 0; i < vm->ninsts; i++) {
		add_allocator(&of[vm->insts[i].alloc_no], &l->sums[i]);
		add_allocator(&all, &l->sums[i]);
	}
	for (no = 1; no < VM_MAX_ALLOCATORS; no++)
		if (of[no].size - of[no].allocated > of[worst].size - of[worst].allocated)
			worst = no;
	n = snprintf(buf, size, "all: %llu carriers, %s, %.0f %% used",
		     (unsigned long long)all.carriers, fmt_bytes(all.size, a, sizeof(a)),
		     100 * share(all.allocated, all.size));
	if (!worst || !allocator_of(vm, worst) || n >= size)
		return;
	n += snprintf(buf + n, size - n, "; %s: %llu carriers, %s, %.0f %% used: %s unused",
		      allocator_of(vm, worst), (unsigned long long)of[worst].carriers,
		      fmt_bytes(of[worst].size, a, sizeof(a)),
		      100 * share(of[worst].allocated, of[worst].size),
		      fmt_bytes(of[worst].size - of[worst].allocated, b, sizeof(b)));
	if (of[worst].pooled_unused && n < size)
		n += snprintf(buf + n, size - n, ", %s of that in the pool",
			      fmt_bytes(of[worst].pooled_unused, c, sizeof(c)));
	if (of[worst].few && n < size)
		snprintf(buf + n, size - n, "; %llu %s kept by 3 blocks or less",
			 (unsigned long long)of[worst].few,
			 of[worst].few == 1 ? "carrier is" : "carriers are");
}
