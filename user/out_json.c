// SPDX-License-Identifier: GPL-2.0-only
/* Reports as JSON: one document a line.  Key names are the columns' and CONTRACT's. */
#include "report.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static json_object *text(const char *s)
{
	return s && *s ? json_object_new_string(s) : NULL;
}

static json_object *u64(uint64_t u)
{
	return json_object_new_uint64(u);
}

/* A double with the digits it deserves, not seventeen. */
static json_object *number(double d)
{
	char buf[64];

	if (!isfinite(d)) /* JSON has no such number */
		return NULL;
	snprintf(buf, sizeof(buf), "%.6g", d);
	return json_object_new_double_s(d, buf);
}

static json_object *hist_json(const struct hist *h)
{
	json_object *list = json_object_new_array(), *o;
	unsigned int i;

	for (i = 0; h && i < HIST_SLOTS; i++) {
		if (!h->slot[i])
			continue;
		o = json_object_new_object();
		json_object_object_add(o, "lo", u64(hist_lo(i)));
		json_object_object_add(o, "hi", u64(hist_hi(i)));
		json_object_object_add(o, "count", u64(h->slot[i]));
		json_object_array_add(list, o);
	}
	return list;
}

static json_object *by_json(const struct carrier_row *r)
{
	json_object *list = json_object_new_array(), *o;
	size_t i;

	for (i = 0; i < r->nby; i++) {
		o = json_object_new_object();
		json_object_object_add(o, "pid", text(r->by[i].who->pid));
		json_object_object_add(o, "name", text(r->by[i].who->name));
		json_object_object_add(o, "created", u64(r->by[i].created));
		json_object_object_add(o, "created_bytes", u64(r->by[i].created_bytes));
		json_object_array_add(list, o);
	}
	return list;
}

static json_object *holders_json(const struct bin_row *r)
{
	json_object *list = json_object_new_array(), *o;
	size_t i;

	for (i = 0; i < r->nheld_by; i++) {
		const struct who *who = r->held_by[i].who;

		o = json_object_new_object();
		json_object_object_add(o, "pid", who ? text(who->pid) : NULL);
		json_object_object_add(o, "name", text(who ? who->name : "no process found"));
		json_object_object_add(o, "binaries", u64(r->held_by[i].binaries));
		json_object_object_add(o, "bytes", u64(r->held_by[i].bytes));
		json_object_array_add(list, o);
	}
	return list;
}

static json_object *calls_json(const struct model *m)
{
	static const char *const keys[EB_NCALLS] = {
		[EB_CALL_ALLOC] = "allocs", [EB_CALL_FREE] = "frees",
		[EB_CALL_REALLOC] = "reallocs",
	};
	json_object *list = json_object_new_array(), *o;
	char key[32];
	size_t i, k;

	for (i = 0; i < m->ncalls; i++) {
		o = json_object_new_object();
		json_object_object_add(o, "allocator", text(m->calls[i].allocator));
		for (k = 0; k < EB_NCALLS; k++)
			json_object_object_add(o, keys[k], u64(m->calls[i].seen[k]));
		for (k = 0; k < EB_NCALLS; k++) {
			snprintf(key, sizeof(key), "vm_%s", keys[k]);
			json_object_object_add(o, key, m->vm_calls_known ? u64(m->calls[i].vm[k]) :
									  NULL);
		}
		json_object_array_add(list, o);
	}
	return list;
}

static json_object *item_json(const struct item *it)
{
	json_object *o;
	size_t i;

	switch (it->kind) {
	case ITEM_NULL:
		return NULL;
	case ITEM_U64:
		return u64(it->u);
	case ITEM_I64:
		return json_object_new_int64(it->i);
	case ITEM_DOUBLE:
		return number(it->d);
	case ITEM_BOOL:
		return json_object_new_boolean(it->b);
	case ITEM_TEXT:
		return json_object_new_string(it->text);
	case ITEM_LIST:
		o = json_object_new_array();
		for (i = 0; i < it->list.n; i++)
			json_object_array_add(o, item_json(it->list.v[i]));
		return o;
	case ITEM_OBJECT:
		o = json_object_new_object();
		for (i = 0; i < it->list.n; i++)
			json_object_object_add(o, it->list.v[i]->key, item_json(it->list.v[i]));
		return o;
	}
	return NULL;
}

static json_object *value_json(const struct value *v)
{
	switch (v->kind) {
	case VAL_NONE:
		return NULL;
	case VAL_U64:
		return u64(v->u);
	case VAL_I64:
		return json_object_new_int64(v->i);
	case VAL_DOUBLE:
		return number(v->d);
	case VAL_TEXT:
		return json_object_new_string(v->text);
	case VAL_BOOL:
		return json_object_new_boolean(v->b);
	case VAL_HIST:
		return hist_json(v->hist);
	case VAL_BY:
		return by_json(v->by);
	case VAL_HOLDERS:
		return holders_json(v->holders);
	case VAL_CALLS:
		return calls_json(v->calls);
	case VAL_ITEM:
		return v->item ? item_json(v->item) : NULL;
	}
	return NULL;
}

static json_object *rows_json(const struct table *t)
{
	json_object *rows = json_object_new_array(), *row;
	const struct column *c;
	size_t i, k;

	for (i = 0; i < t->nrows; i++) {
		row = json_object_new_object();
		for (k = 0; k < t->ncols; k++) {
			struct value v = { 0 };

			c = &t->cols[k];
			c->get(t->rows[i], &v);
			if (v.kind == VAL_NONE && c->flags & COL_EST)
				continue;
			json_object_object_add(row, c->key, value_json(&v));
		}
		json_object_array_add(rows, row);
	}
	return rows;
}

static json_object *totals_json(const struct table *t)
{
	json_object *o = json_object_new_object();
	size_t i;

	for (i = 0; i < t->ntotals; i++)
		json_object_object_add(o, t->totals[i].key, value_json(&t->totals[i].value));
	json_object_object_add(o, "rows", u64(t->nrows_all));
	for (i = 0; i < t->nhists; i++)
		json_object_object_add(o, t->hists[i].key, hist_json(&t->hists[i].hist));
	return o;
}

static json_object *coverage_json(const struct run_info *run)
{
	json_object *o = json_object_new_object();
	int i;

	for (i = 0; i < EB_NGROUPS; i++)
		if (run->coverage[i] >= 0)
			json_object_object_add(o, guard_group_name(i), number(run->coverage[i]));
	return o;
}

static json_object *target_json(const struct vm *vm)
{
	json_object *o = json_object_new_object();
	const char *arch = vm->lay ? vm->lay->arch : "unknown";
	char otp[16];

	snprintf(otp, sizeof(otp), "%d", vm->otp);
	json_object_object_add(o, "os_pid", json_object_new_int(vm->target.pid));
	json_object_object_add(o, "node", text(vm->node));
	json_object_object_add(o, "otp_release", vm->otp ? text(otp) : NULL);
	json_object_object_add(o, "erts", text(vm->erts));
	json_object_object_add(o, "emulator", text(vm->jit ? "jit" : "emu"));
	json_object_object_add(o, "arch", text(arch));
	json_object_object_add(o, "schedulers", json_object_new_int(vm->nnormal));
	json_object_object_add(o, "symbols", text(vm->sym.source));
	json_object_object_add(o, "layout", text(vm->lay ? vm->lay->name : NULL));
	json_object_object_add(o, "checks_passed", json_object_new_int(vm->npassed));
	json_object_object_add(o, "unverified", json_object_new_boolean(vm->unverified));
	json_object_object_add(o, "container", text(vm->target.container));
	return o;
}

static json_object *cost_json(const struct run_info *run)
{
	json_object *o = json_object_new_object();

	json_object_object_add(o, "reader_cpu_ms", number(run->reader_cpu_ms));
	json_object_object_add(o, "bytes_read", u64(run->bytes_read));
	json_object_object_add(o, "probe_hits", u64(run->probe_hits));
	json_object_object_add(o, "probe_ns_per_hit",
			       run->traced && run->probe_hits ? number(run->probe_ns_per_hit) :
								NULL);
	json_object_object_add(o, "overhead_percent", number(run->overhead_percent));
	return o;
}

static int print_document(json_object *doc)
{
	const char *s = json_object_to_json_string_ext(doc, JSON_C_TO_STRING_PLAIN |
							    JSON_C_TO_STRING_NOSLASHESCAPE);
	int err = 0;

	puts(s);
	if (fflush(stdout) || ferror(stdout))
		err = -1;
	json_object_put(doc);
	return err;
}

int out_json(const struct report *r)
{
	json_object *doc = json_object_new_object(), *o, *notes = json_object_new_array(), *totals;
	const struct run_info *run = &r->run;
	time_t now = time(NULL);
	char at[32];
	struct tm tm;
	size_t i;

	gmtime_r(&now, &tm);
	strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", &tm);
	json_object_object_add(doc, "schema", json_object_new_int(1));
	json_object_object_add(doc, "command", text(run->command));
	json_object_object_add(doc, "at", text(at));
	json_object_object_add(doc, "duration_ms", u64(run->duration_ns / 1000000));
	json_object_object_add(doc, "target", r->vm ? target_json(r->vm) : NULL);
	totals = json_object_new_object();
	if (r->sections) {
		o = json_object_new_object();
		for (i = 0; i < r->ntables; i++) {
			json_object *section = json_object_new_object();

			json_object_object_add(section, "rows", rows_json(&r->tables[i]));
			json_object_object_add(section, "totals", totals_json(&r->tables[i]));
			json_object_object_add(o, r->tables[i].name, section);
		}
		json_object_object_add(doc, "sections", o);
	} else {
		json_object_object_add(doc, "rows", rows_json(&r->tables[0]));
		json_object_put(totals);
		totals = totals_json(&r->tables[0]);
	}
	if (run->have_coverage)
		json_object_object_add(totals, "coverage", coverage_json(run));
	json_object_object_add(doc, "totals", totals);
	json_object_object_add(doc, "faults", u64(run->faults));
	json_object_object_add(doc, "skipped", u64(run->skipped));
	json_object_object_add(doc, "lost", u64(run->lost));
	for (i = 0; i < run->nnotes; i++)
		json_object_array_add(notes, text(run->notes[i]));
	json_object_object_add(doc, "notes", notes);
	json_object_object_add(doc, "cost", cost_json(run));
	return print_document(doc);
}

void out_json_error(const struct failure *f)
{
	json_object *doc = json_object_new_object(), *e = json_object_new_object();

	json_object_object_add(e, "code", text(failure_code(f->status)));
	json_object_object_add(e, "message", text(f->message));
	json_object_object_add(e, "hint", text(f->hint));
	json_object_object_add(doc, "error", e);
	print_document(doc);
}
