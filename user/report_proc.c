// SPDX-License-Identifier: GPL-2.0-only
#include "report_proc.h"
#include "columns.h"

#include <stdlib.h>
#include <string.h>

#define GET_PS(fn, E) GET_IF(fn, struct proc_row, r->have_ps, VAL_U64, u, r->ps.E)
#define GET_LIST(fn) GET_ITEM(get_##fn, struct proc_row, r->fn)

GET_TEXT(get_pid, struct proc_row, r->pid)
GET_TEXT(get_name, struct proc_row, r->name)
GET_TEXT(get_label, struct proc_row, r->label)
GET_TEXT(get_initial, struct proc_row, r->initial_call)
GET_TEXT(get_current, struct proc_row, r->current_function)
GET_IF(get_status, struct proc_row, r->have_ps, VAL_TEXT, text, snap_ps_status(r->ps.state))
GET_IF(get_priority, struct proc_row, r->have_ps, VAL_TEXT, text, snap_ps_priority(r->ps.state))
GET_IF(get_memory, struct proc_row, r->memory_known, VAL_U64, u, r->memory)
GET_IF(get_queue, struct proc_row, r->have_ps && r->ps.len.known, VAL_U64, u, r->ps.len.len)
GET_PS(get_reds, reds)
GET_IF(get_total_heap, struct proc_row, r->have_ps && r->ps.total_known, VAL_U64, u,
       r->ps.total_heap_size)
GET_PS(get_heap_size, heap_size)
GET_IF(get_stack_size, struct proc_row, r->have_ps && r->ps.still, VAL_U64, u, r->ps.stack_size)
GET_PS(get_minor, minor_gcs)
GET_PS(get_fullsweep, fullsweep_after)
GET_IF(get_dict_size, struct proc_row, r->have_ps && (r->ps.known & PS_DICT), VAL_U64, u,
       r->ps.dict_pairs)
GET_IF(get_bin_refs, struct proc_row, r->have_ps && (r->ps.known & PS_BINS), VAL_U64, u,
       r->ps.held.refs)
GET_IF(get_bin_bytes, struct proc_row, r->have_ps && (r->ps.known & PS_BINS), VAL_U64, u,
       r->ps.held.bytes)
GET_TEXT(get_waits_for, struct proc_row, r->one.waits_for)
GET_TEXT(get_state, struct proc_row, r->one.state.text)
GET_TEXT(get_callback, struct proc_row, r->one.callback.text)
GET_TEXT(get_leader, struct proc_row, r->one.group_leader.text)
GET_TEXT(get_parent, struct proc_row, r->one.parent.text)
GET_TEXT(get_handler, struct proc_row, r->one.error_handler.text)
GET_TEXT(get_queue_data, struct proc_row, r->one.message_queue_data)
GET_IF(get_catchlevel, struct proc_row, !r->one.missing[ONE_STACK] && !r->one.stack_cut, VAL_U64,
       u, r->one.catchlevel)
GET_LIST(stacktrace)
GET_LIST(location)
GET_LIST(backtrace)
GET_LIST(registers)
GET_LIST(messages)
GET_LIST(census)
GET_LIST(dictionary)
GET_LIST(links)
GET_LIST(monitors)
GET_LIST(monitored_by)
GET_LIST(suspending)
GET_LIST(ancestors)
GET_LIST(binaries)
GET_LIST(gc)
GET_LIST(heap)

static void get_trap_exit(const void *row, struct value *v)
{
	const struct proc_row *r = row;

	v->kind = r->have_ps ? VAL_BOOL : VAL_NONE;
	v->b = r->traps_exit;
}

static void get_behaviour(const void *row, struct value *v)
{
	static const char *const names[] = { NULL, "gen_server", "gen_statem", "gen_event" };
	const struct proc_row *r = row;

	v->text = r->one.missing[ONE_STATE] ? NULL : names[r->one.gen.kind & 3];
	v->kind = v->text ? VAL_TEXT : VAL_NONE;
}

#define C(key, unit, get) { key, key, unit, COL_TEXT | COL_NO_SORT, "", get }
const struct column proc_columns[] = {
	{ "pid", "pid", UNIT_NONE, COL_TEXT | COL_LOW_BAD, "", get_pid },
	C("registered_name", UNIT_NONE, get_name),
	C("label", UNIT_NONE, get_label),
	C("initial_call", UNIT_NONE, get_initial),
	C("current_function", UNIT_NONE, get_current),
	C("status", UNIT_NONE, get_status),
	C("priority", UNIT_NONE, get_priority),
	C("memory", UNIT_BYTES, get_memory),
	C("message_queue_len", UNIT_NONE, get_queue),
	C("reductions", UNIT_NONE, get_reds),
	C("total_heap_size", UNIT_WORDS, get_total_heap),
	C("heap_size", UNIT_WORDS, get_heap_size),
	C("stack_size", UNIT_WORDS, get_stack_size),
	C("minor_gcs", UNIT_NONE, get_minor),
	C("fullsweep_after", UNIT_NONE, get_fullsweep),
	C("trap_exit", UNIT_NONE, get_trap_exit),
	C("links", UNIT_NONE, get_links),
	C("monitors", UNIT_NONE, get_monitors),
	C("monitored_by", UNIT_NONE, get_monitored_by),
	C("dictionary_size", UNIT_NONE, get_dict_size),
	C("binary_refs", UNIT_NONE, get_bin_refs),
	C("binary_bytes", UNIT_BYTES, get_bin_bytes),
	C("waits_for", UNIT_NONE, get_waits_for),
	C("current_location", UNIT_NONE, get_location),
	C("stacktrace", UNIT_NONE, get_stacktrace),
	C("backtrace", UNIT_NONE, get_backtrace),
	C("registers", UNIT_NONE, get_registers),
	C("catchlevel", UNIT_NONE, get_catchlevel),
	C("behaviour", UNIT_NONE, get_behaviour),
	C("callback_module", UNIT_NONE, get_callback),
	C("state", UNIT_NONE, get_state),
	C("messages", UNIT_NONE, get_messages),
	C("message_census", UNIT_NONE, get_census),
	C("message_queue_data", UNIT_NONE, get_queue_data),
	C("dictionary", UNIT_NONE, get_dictionary),
	C("suspending", UNIT_NONE, get_suspending),
	C("group_leader", UNIT_NONE, get_leader),
	C("parent", UNIT_NONE, get_parent),
	C("ancestors", UNIT_NONE, get_ancestors),
	C("error_handler", UNIT_NONE, get_handler),
	C("garbage_collection", UNIT_NONE, get_gc),
	C("binaries", UNIT_NONE, get_binaries),
	C("heap", UNIT_NONE, get_heap),
};
const size_t proc_ncolumns = ARRAY_SIZE(proc_columns);

/* --- items of JSON ---------------------------------------------------------------------------- */

static struct item *list(void)
{
	return item_new(ITEM_LIST);
}

static struct item *object(struct item *in)
{
	return item_push(in, item_new(ITEM_OBJECT));
}

static void set_place(struct item *o, const struct code_at *at)
{
	item_set(o, "function", item_text(at->known ? at->mfa : NULL));
	item_set(o, "file", item_text(at->known ? at->file : NULL));
	item_set(o, "line", at->known && at->line ? item_u64(at->line) : item_new(ITEM_NULL));
}

static void stack_items(struct proc_row *r)
{
	const struct one *one = &r->one;
	char pc[32];
	size_t i, k;

	if (one->missing[ONE_STACK])
		return;
	r->stacktrace = list();
	for (i = 0; i < one->ntrace; i++)
		set_place(object(r->stacktrace), one->trace[i]);
	if (r->at) {
		r->location = item_new(ITEM_OBJECT);
		set_place(r->location, r->at);
	}
	r->backtrace = list();
	for (i = 0; i < one->nframes; i++) {
		struct item *o = object(r->backtrace), *y;

		set_place(o, one->frames[i].at);
		snprintf(pc, sizeof(pc), "0x%016llx", (unsigned long long)one->frames[i].pc);
		item_set(o, "pc", item_text(pc));
		y = item_set(o, "y", list());
		for (k = 0; k < one->frames[i].ny; k++)
			item_push(y, item_text(one->frames[i].y[k].text ?
						       one->frames[i].y[k].text : "Catch"));
	}
	r->registers = list();
	for (i = 0; i < one->nx; i++)
		item_push(r->registers, item_text(one->x[i].text));
}

static void message_items(struct proc_row *r)
{
	const struct census *c = &r->one.census;
	struct item *rows;
	size_t i;

	if (r->one.missing[ONE_MESSAGES])
		return;
	r->messages = list();
	for (i = 0; i < c->nfirst; i++) {
		struct item *o = object(r->messages);

		item_set(o, "from", item_text(c->first[i].sender));
		item_set(o, "message", item_text(c->first[i].text));
		item_set(o, "in_transit", item_bool(c->first[i].in_transit));
	}
	r->census = item_new(ITEM_OBJECT);
	item_set(r->census, "messages", c->partial ? item_new(ITEM_NULL) : item_u64(c->messages));
	item_set(r->census, "in_transit",
		 c->partial ? item_new(ITEM_NULL) : item_u64(c->in_transit));
	item_set(r->census, "examined", item_u64(c->examined));
	item_set(r->census, "undecoded", item_u64(c->undecoded));
	rows = item_set(r->census, "shapes", list());
	for (i = 0; i < c->nrows; i++) {
		struct item *o = object(rows);

		item_set(o, "shape", item_text(c->rows[i].shape));
		item_set(o, "count", item_u64(c->rows[i].count));
		if (c->step > 1 && c->examined && !c->partial)
			item_set(o, "count_est",
				 item_u64((double)c->rows[i].count * c->messages / c->examined));
	}
}

static void dict_items(struct proc_row *r)
{
	const struct one *one = &r->one;
	size_t i;

	if (one->missing[ONE_DICT])
		return;
	r->dictionary = list();
	for (i = 0; i < one->ndict; i++) {
		struct item *o = object(r->dictionary);

		item_set(o, "key", item_text(one->dict[i].key.text));
		item_set(o, "value", item_text(one->dict[i].value.text));
	}
	if (!one->ancestors)
		return;
	r->ancestors = list();
	for (i = 0; i < one->nancestors; i++)
		item_push(r->ancestors, item_text(one->ancestors[i].text));
}

static struct item *peers(const struct one_peers *p, bool typed)
{
	struct item *to = list(), *o;
	size_t i;

	for (i = 0; i < p->n; i++) {
		if (!typed) {
			item_push(to, item_text(p->v[i].text));
			continue;
		}
		o = object(to);
		item_set(o, "type", item_text(p->v[i].type));
		item_set(o, "item", item_text(p->v[i].text));
	}
	return to;
}

static void link_items(struct proc_row *r)
{
	const struct one *one = &r->one;

	if (one->missing[ONE_LINKS])
		return;
	r->links = peers(&one->links, false);
	r->monitors = peers(&one->monitors, true);
	r->monitored_by = peers(&one->monitored_by, false);
	r->suspending = peers(&one->suspending, false);
}

static void binary_items(struct proc_row *r)
{
	const struct one *one = &r->one;
	size_t i;

	if (one->missing[ONE_BINARIES])
		return;
	r->binaries = list();
	for (i = 0; i < one->nbins; i++) {
		struct item *o = object(r->binaries);

		item_set(o, "address", item_u64(one->bins[i].addr));
		item_set(o, "size", item_u64(one->bins[i].size));
		item_set(o, "refc", item_u64(one->bins[i].refc));
	}
}

static void gc_items(struct vm *vm, struct proc_row *r)
{
	const struct one *one = &r->one;
	struct item *max;

	if (one->missing[ONE_SETTINGS] || !one->gc_known)
		return;
	r->gc = item_new(ITEM_OBJECT);
	item_set(r->gc, "minor_gcs", item_u64(one->minor_gcs));
	item_set(r->gc, "fullsweep_after", item_u64(one->fullsweep_after));
	item_set(r->gc, "min_heap_size", item_u64(one->min_heap_size));
	item_set(r->gc, "min_bin_vheap_size", item_u64(one->min_bin_vheap_size));
	max = item_set(r->gc, "max_heap_size", item_new(ITEM_OBJECT));
	item_set(max, "size", item_u64(one->max_heap_size));
	item_set(max, "kill", item_bool(one->max_kill));
	item_set(max, "error_logger", item_bool(one->max_log));
	if (vm->lay->otp >= 27)
		item_set(max, "include_shared_binaries", item_bool(one->max_shared));
}

static void heap_items(struct proc_row *r)
{
	const struct heap_sum *h = &r->one.heap;
	struct item *roots, *o;
	size_t *order, i;

	if (r->one.missing[ONE_HEAP])
		return;
	r->heap = item_new(ITEM_OBJECT);
	item_set(r->heap, "used_words", item_u64(h->used));
	item_set(r->heap, "young_words", item_u64(h->young_used));
	item_set(r->heap, "old_words", item_u64(h->old_used));
	item_set(r->heap, "fragment_words", item_u64(h->fragments));
	item_set(r->heap, "garbage_words", item_u64(h->garbage));
	item_set(r->heap, "stack_words", item_u64(h->stack));
	item_set(r->heap, "free_words", item_u64(h->young_free + h->old_free));
	roots = item_set(r->heap, "roots", list());
	order = proc_heap_order(h);
	for (i = 0; i < h->nroots; i++) {
		const struct heap_root *from = &h->roots[order[i]];

		if (!from->words)
			break;
		o = object(roots);
		item_set(o, "root", item_text(from->label));
		item_set(o, "words", item_u64(from->words));
		item_set(o, "bytes", item_u64(8 * from->words));
	}
	free(order);
	roots = item_set(r->heap, "parts", list());
	for (i = 0; i < h->nparts; i++) {
		o = object(roots);
		item_set(o, "root", item_text(h->roots[h->largest].label));
		item_set(o, "level", item_u64(h->parts[i].level));
		item_set(o, "part", item_text(h->parts[i].label));
		item_set(o, "others", h->parts[i].label ? item_new(ITEM_NULL) :
						       item_u64(h->parts[i].others));
		item_set(o, "words", item_u64(h->parts[i].words));
		item_set(o, "bytes", item_u64(8 * h->parts[i].words));
	}
}

void proc_report(struct vm *vm, struct proc_row *row, bool json, size_t limit, struct table *t)
{
	report_plain(t, "proc", proc_columns, proc_ncolumns, row, sizeof(*row), 1);
	if (json) {
		stack_items(row);
		message_items(row);
		dict_items(row);
		link_items(row);
		binary_items(row);
		gc_items(vm, row);
		heap_items(row);
	} else {
		t->rows_hidden = true;
		proc_text(row, limit, t);
	}
}

void proc_row_free(struct proc_row *r)
{
	struct item *items[] = { r->stacktrace, r->location, r->backtrace, r->registers,
				 r->messages, r->census, r->dictionary, r->links, r->monitors,
				 r->monitored_by, r->suspending, r->ancestors, r->binaries, r->gc,
				 r->heap };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(items); i++)
		item_free(items[i]);
	free(r->label);
	free(r->initial_call);
	free(r->current_function);
	one_free(&r->one);
	memset(r, 0, sizeof(*r));
}

/* --- order of roots --------------------------------------------------------------------------- */

static const struct heap_sum *sorting;

static int most_words(const void *pa, const void *pb)
{
	size_t a = *(const size_t *)pa, b = *(const size_t *)pb;

	if (sorting->roots[a].words != sorting->roots[b].words)
		return sorting->roots[a].words < sorting->roots[b].words ? 1 : -1;
	return a < b ? -1 : 1;
}

size_t *proc_heap_order(const struct heap_sum *h)
{
	size_t *order = xcalloc(h->nroots + 1, sizeof(*order)), i;

	for (i = 0; i < h->nroots; i++)
		order[i] = i;
	sorting = h;
	qsort(order, h->nroots, sizeof(*order), most_words);
	return order;
}
