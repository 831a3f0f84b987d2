// SPDX-License-Identifier: GPL-2.0-only
/*
 * ets: the tables of the node, whose they are, how large, how they grow, and what they keep
 * alive.
 */
#include "reading.h"
#include "snap_ets.h"
#include "snap_proc.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>

/* Half a minute of walking at worst; told when it was not enough. */
#define BUDGET_ROWS (1ULL << 26)
#define BUDGET_BINARIES (1ULL << 24)

enum event { EVENT_NONE, EVENT_NEW, EVENT_DEAD };

struct ets_row {
	struct ets_table t;
	const bool *proven; /* of struct snap_ets */
	char *id, *owner_name;
	const char *name; /* borrowed from the VM's atoms */
	char owner[32], heir[32], options[8];
	bool with_binaries; /* they were asked for */
	enum event event;
	bool compared; /* with the last round */
	int64_t size_change, memory_change;
	/* of a group */
	const char *group;
	uint64_t tables;
};

/* --- columns ---------------------------------------------------------------------------------- */

#define PROVEN(WHAT) (r->proven[ETS_PROVEN_##WHAT])
#define COUNTED (r->t.counted && PROVEN(COUNTERS))
#define WORDS ((r->t.memory_bytes + 7) / 8)

GET_TEXT(get_id, struct ets_row, r->id)
GET_TEXT(get_name, struct ets_row, r->name)
GET_TEXT(get_type, struct ets_row, PROVEN(STATUS) ? ets_type_name(&r->t) : NULL)
GET_TEXT(get_protection, struct ets_row, PROVEN(STATUS) ? ets_protection_name(&r->t) : NULL)
GET_TEXT(get_owner, struct ets_row, PROVEN(OWNER) ? r->owner : NULL)
GET_TEXT(get_owner_name, struct ets_row, r->owner_name)
GET_TEXT(get_heir, struct ets_row, PROVEN(HEIR) ? r->heir : NULL)
GET_IF(get_size, struct ets_row, COUNTED, VAL_U64, u, r->t.size)
GET_IF(get_memory, struct ets_row, COUNTED, VAL_U64, u, WORDS)
GET_IF(get_bytes, struct ets_row, COUNTED, VAL_U64, u, r->t.memory_bytes)
GET_IF(get_size_change, struct ets_row, r->compared, VAL_I64, i, r->size_change)
GET_IF(get_memory_change, struct ets_row, r->compared, VAL_I64, i, r->memory_change)
GET_TEXT(get_event, struct ets_row, r->event == EVENT_NEW  ? "new" :
				    r->event == EVENT_DEAD ? "dead" : NULL)
GET_IF(get_binaries, struct ets_row, r->with_binaries && r->t.walked, VAL_U64, u, r->t.binaries)
GET_IF(get_binary_bytes, struct ets_row, r->with_binaries && r->t.walked, VAL_U64, u,
       r->t.binary_bytes)
GET_IF(get_compressed, struct ets_row, PROVEN(COMPRESS), VAL_BOOL, b, r->t.compressed)
GET_IF(get_named, struct ets_row, PROVEN(STATUS), VAL_BOOL, b, r->t.type & ETS_NAMED)
GET_IF(get_keypos, struct ets_row, PROVEN(KEYPOS), VAL_U64, u, r->t.keypos)
GET_IF(get_read, struct ets_row, PROVEN(STATUS), VAL_BOOL, b, r->t.type & ETS_FREQ_READ)
GET_IF(get_decentral, struct ets_row, PROVEN(COUNTERS), VAL_BOOL, b, r->t.decentral)
GET_IF(get_fixed, struct ets_row, PROVEN(FIXED), VAL_BOOL, b, r->t.fixed)
GET_U(get_tables, struct ets_row, r->tables)
GET_TEXT(get_group, struct ets_row, r->group)

/* true and false are what the node says, not text */
static void get_write(const void *row, struct value *v)
{
	const struct ets_row *r = row;
	const char *text = ets_write_concurrency(&r->t);

	v->kind = PROVEN(STATUS) ? VAL_TEXT : VAL_NONE;
	v->text = text;
	if (v->kind && (!strcmp(text, "true") || !strcmp(text, "false"))) {
		v->kind = VAL_BOOL;
		v->b = *text == 't';
	}
}

GET_TEXT(get_options, struct ets_row, PROVEN(STATUS) ? r->options : NULL)

#define SIZES                                                                                      \
	{ "size", "ROWS", UNIT_NONE, COL_TEXT, "rows", get_size },                                 \
	{ "size_change", "+ROWS", UNIT_NONE, COL_TEXT | COL_SOONER(9),                             \
	  "rows more than an interval ago", get_size_change },                                     \
	{ "memory", "WORDS", UNIT_WORDS, 0, "words, as ets:info/2 tells", get_memory },            \
	{ "memory_bytes", "MEMORY", UNIT_BYTES, COL_TEXT,                                          \
	  "the same in bytes; without the payload of refc binaries", get_bytes },                  \
	{ "memory_change", "+MEMORY", UNIT_BYTES, COL_TEXT | COL_SOONER(8),                        \
	  "bytes more than an interval ago", get_memory_change },                                  \
	{ "binary_bytes", "BINARIES", UNIT_BYTES, COL_TEXT | COL_SOONER(7),                        \
	  "bytes of the refc binaries its rows refer to, each once (--binaries)",                  \
	  get_binary_bytes },                                                                      \
	{ "binaries", "BINARIES", UNIT_NONE, 0, "how many these are", get_binaries }

static const struct column columns[] = {
	{ "name", "TABLE", UNIT_NONE, COL_TEXT | COL_SHRINK | COL_LOW_BAD,
	  "name it was made with, a named table or not", get_name },
	{ "id", "ID", UNIT_NONE, COL_TEXT | COL_LOW_BAD | COL_SOONER(11),
	  "name of a named table, else its reference", get_id },
	{ "type", "TYPE", UNIT_NONE, COL_TEXT | COL_LOW_BAD | COL_SOONER(3), "set, bag, ...",
	  get_type },
	{ "protection", "ACCESS", UNIT_NONE, COL_TEXT | COL_LOW_BAD | COL_SOONER(6),
	  "public, protected or private", get_protection },
	{ "owner", "OWNER", UNIT_NONE, COL_TEXT | COL_LOW_BAD | COL_SOONER(2), "pid of its owner",
	  get_owner },
	{ "owner_name", "OWNED BY", UNIT_NONE, COL_TEXT | COL_SHRINK | COL_LOW_BAD,
	  "the owner's registered name, else its initial call", get_owner_name },
	SIZES,
	{ "event", "", UNIT_NONE, COL_TEXT | COL_LOW_BAD | COL_SOONER(10),
	  "new or dead since the last interval", get_event },
	{ "options", "OPT", UNIT_NONE, COL_TEXT | COL_LOW_BAD | COL_SOONER(5),
	  "r(ead) w(rite) a(uto) concurrency, c(ompressed), d(ecentralized counters), f(ixed)",
	  get_options },
	{ "compressed", "", UNIT_NONE, 0, "is it", get_compressed },
	{ "named_table", "", UNIT_NONE, 0, "is it", get_named },
	{ "keypos", "KEYPOS", UNIT_NONE, 0, "position of the key", get_keypos },
	{ "read_concurrency", "", UNIT_NONE, 0, "is it on", get_read },
	{ "write_concurrency", "", UNIT_NONE, COL_LOW_BAD, "true, false or auto", get_write },
	{ "decentralized_counters", "", UNIT_NONE, 0, "has it such", get_decentral },
	{ "heir", "", UNIT_NONE, COL_LOW_BAD, "pid of its heir, or none", get_heir },
	{ "fixed", "", UNIT_NONE, 0, "is it fixed by safe_fixtable or a traversal", get_fixed },
};

static const struct column group_columns[] = {
	{ "group", "GROUP", UNIT_NONE, COL_TEXT | COL_SHRINK | COL_LOW_BAD, "what they share",
	  get_group },
	{ "tables", "TABLES", UNIT_NONE, COL_TEXT, "how many", get_tables },
	SIZES,
};

/* --- rows ------------------------------------------------------------------------------------- */

struct owner {
	eterm_t pid;
	char *name;
};

struct ets_state {
	struct snap_ets snap;
	struct ets_tables now, last;
	struct ets_row *rows, *groups;
	size_t nrows, ngroups;
	struct owner *owners;
	size_t nowners;
	struct column cols[ARRAY_SIZE(columns)]; /* a copy, less what has nothing to show */
};

static int by_pid(const void *a, const void *b)
{
	const struct owner *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static char *name_of(struct vm *vm, eterm_t pid)
{
	struct proc_names names = { 0 };
	struct proc_image p;
	char *name;

	if (snap_proc_find(vm, pid, &p))
		return NULL;
	snap_proc_names(vm, &p, &names);
	name = names.registered ? names.registered : names.initial_call;
	name = name ? xstrdup(name) : NULL;
	proc_names_free(&names);
	return name;
}

/* Names of all owners, each looked up once. */
static void find_owners(struct vm *vm, struct ets_state *s)
{
	size_t i, k = 0;

	s->owners = xcalloc(s->now.n, sizeof(*s->owners));
	for (i = 0; i < s->now.n; i++)
		s->owners[i].pid = s->now.v[i].owner;
	qsort(s->owners, s->now.n, sizeof(*s->owners), by_pid);
	for (i = 0; i < s->now.n; i++)
		if (!k || s->owners[i].pid != s->owners[k - 1].pid)
			s->owners[k++] = s->owners[i];
	s->nowners = k;
	for (i = 0; i < k && s->snap.proven[ETS_PROVEN_OWNER]; i++)
		s->owners[i].name = name_of(vm, s->owners[i].pid);
}

static const char *owner_name(const struct ets_state *s, eterm_t pid)
{
	struct owner key = { .pid = pid }, *o;

	o = bsearch(&key, s->owners, s->nowners, sizeof(key), by_pid);
	return o ? o->name : NULL;
}

/* What is not as it mostly is, a letter each. */
static void set_options(struct ets_row *r)
{
	const char *write = ets_write_concurrency(&r->t);

	snprintf(r->options, sizeof(r->options), "%s%s%s%s%s",
		 r->t.type & ETS_FREQ_READ ? "r" : "",
		 *write == 'f' ? "" : *write == 'a' ? "a" : "w",
		 PROVEN(COMPRESS) && r->t.compressed ? "c" : "",
		 PROVEN(COUNTERS) && r->t.decentral ? "d" : "",
		 PROVEN(FIXED) && r->t.fixed ? "f" : "");
}

static void fill_row(struct reading *r, struct ets_state *s, const struct ets_table *t,
		     struct ets_row *row)
{
	const char *name = owner_name(s, t->owner);
	char id[TERM_TEXT];

	row->t = *t;
	row->proven = s->snap.proven;
	row->with_binaries = r->opt->binaries;
	row->tables = 1;
	if (s->snap.proven[ETS_PROVEN_NAME])
		row->name = term_atom(&r->vm, t->name);
	if (!(t->type & ETS_NAMED) || s->snap.proven[ETS_PROVEN_NAME]) {
		ets_id_text(&r->vm, t, id, sizeof(id));
		row->id = s->snap.proven[ETS_PROVEN_STATUS] ? xstrdup(id) : NULL;
	}
	term_pid_text(&r->vm, t->owner, row->owner, sizeof(row->owner));
	if (term_is_pid(t->heir))
		term_pid_text(&r->vm, t->heir, row->heir, sizeof(row->heir));
	else
		snprintf(row->heir, sizeof(row->heir), "none");
	row->owner_name = name ? xstrdup(name) : NULL;
	set_options(row);
}

static int by_identity(const void *a, const void *b)
{
	const struct ets_table *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return memcmp(x->refn, y->refn, sizeof(x->refn));
}

/* Against the last round; tables that went are rows, too. */
static void compare(struct reading *r, struct ets_state *s)
{
	struct ets_table *old, *end = s->last.v + s->last.n;
	struct ets_row *row;
	size_t i;

	if (!r->round)
		return;
	for (i = 0; i < s->nrows; i++) {
		row = &s->rows[i];
		old = bsearch(&row->t, s->last.v, s->last.n, sizeof(*old), by_identity);
		row->compared = row->t.counted && (!old || old->counted) &&
				s->snap.proven[ETS_PROVEN_COUNTERS];
		row->size_change = row->t.size - (old ? old->size : 0);
		row->memory_change = row->t.memory_bytes - (old ? old->memory_bytes : 0);
		row->event = old ? EVENT_NONE : EVENT_NEW;
		if (old)
			old->sched = 0; /* is there still */
	}
	for (old = s->last.v; old < end; old++) {
		if (!old->sched)
			continue;
		row = &s->rows[s->nrows++];
		fill_row(r, s, old, row);
		row->event = EVENT_DEAD;
		row->compared = old->counted && s->snap.proven[ETS_PROVEN_COUNTERS];
		row->size_change = -(int64_t)old->size;
		row->memory_change = -(int64_t)old->memory_bytes;
		row->t.size = row->t.memory_bytes = row->t.binaries = row->t.binary_bytes = 0;
	}
}

/* --- groups ----------------------------------------------------------------------------------- */

static const char *group_of(const struct options *opt, const struct ets_row *r)
{
	struct value v = { 0 };

	if (!strcmp(opt->by, "type"))
		get_type(r, &v);
	else if (!strcmp(opt->by, "name"))
		get_name(r, &v);
	else if (r->owner_name)
		get_owner_name(r, &v);
	else
		get_owner(r, &v);
	return v.kind ? v.text : "-";
}

static int by_group(const void *a, const void *b)
{
	const struct ets_row *const *x = a, *const *y = b;

	return strcmp((*x)->group, (*y)->group);
}

static void add_to_group(struct ets_row *g, const struct ets_row *r)
{
	g->tables += r->event != EVENT_DEAD;
	g->t.size += r->t.size;
	g->t.memory_bytes += r->t.memory_bytes;
	g->t.counted &= r->t.counted;
	g->t.binaries += r->t.binaries;
	g->t.binary_bytes += r->t.binary_bytes;
	g->t.walked &= r->t.walked;
	g->compared &= r->compared;
	g->size_change += r->size_change;
	g->memory_change += r->memory_change;
}

static void make_groups(struct reading *r, struct ets_state *s)
{
	/* rows stay where they are: a group may be named by the text of a pid in one */
	struct ets_row **order = xcalloc(s->nrows, sizeof(struct ets_row *));
	struct ets_row *g = NULL;
	size_t i;

	s->groups = xcalloc(s->nrows, sizeof(*s->groups));
	for (i = 0; i < s->nrows; i++) {
		order[i] = &s->rows[i];
		order[i]->group = group_of(r->opt, order[i]);
	}
	qsort(order, s->nrows, sizeof(*order), by_group);
	for (i = 0; i < s->nrows; i++) {
		if (!g || strcmp(g->group, order[i]->group)) {
			g = &s->groups[s->ngroups++];
			g->group = order[i]->group;
			g->proven = s->snap.proven;
			g->with_binaries = r->opt->binaries;
			g->t.counted = g->t.walked = g->compared = true;
		}
		add_to_group(g, order[i]);
	}
	free(order);
}

/* --- the report ------------------------------------------------------------------------------- */

static int ets_open(struct reading *r)
{
	struct ets_state *s = r->state;

	return snap_ets_open(&s->snap, &r->vm);
}

static void note_quality(struct reading *r, const struct ets_state *s, size_t uncounted,
			 size_t unwalked)
{
	if (s->snap.unproven[0])
		reading_note(r, "this build keeps elsewhere, and so is not known: %s",
			     s->snap.unproven);
	if (uncounted && s->snap.proven[ETS_PROVEN_COUNTERS])
		reading_note(r, "%zu tables' size was being summed up by the node each time it was "
			     "read", uncounted);
	if (unwalked)
		reading_note(r, "the rows of %zu tables could not all be read: they changed too "
			     "much, or are too many", unwalked);
}

static void sum_up(struct reading *r, struct ets_state *s, struct table *t)
{
	bool proven = s->snap.proven[ETS_PROVEN_COUNTERS], walked = r->opt->binaries;
	const struct ets_row *row, *largest = NULL;
	uint64_t size = 0, bytes = 0, words = 0, binaries = 0;
	size_t i, n = 0, uncounted = 0, unwalked = 0;
	char a[32], b[32], c[32], d[64] = "";

	for (i = 0; i < s->nrows; i++) {
		row = &s->rows[i];
		if (row->event == EVENT_DEAD)
			continue;
		n++;
		uncounted += !row->t.counted;
		unwalked += walked && !row->t.walked;
		if (!row->t.counted)
			continue;
		size += row->t.size;
		bytes += row->t.memory_bytes;
		words += (row->t.memory_bytes + 7) / 8;
		binaries += row->t.walked ? row->t.binary_bytes : 0;
		if (!largest || row->t.memory_bytes > largest->t.memory_bytes)
			largest = row;
	}
	report_total(t, "tables", n);
	report_total_if(t, "size", proven && !uncounted, size);
	report_total_if(t, "memory", proven && !uncounted, words);
	report_total_if(t, "memory_bytes", proven && !uncounted, bytes);
	report_total_if(t, "binary_bytes", walked && !unwalked, binaries);
	note_quality(r, s, uncounted, unwalked);
	if (!proven || !largest) {
		snprintf(t->verdict, sizeof(t->verdict), "%zu tables", n);
		return;
	}
	if (walked)
		snprintf(d, sizeof(d), " and %s%s of binaries", unwalked ? "at least " : "",
			 fmt_bytes(binaries, a, sizeof(a)));
	snprintf(t->verdict, sizeof(t->verdict),
		 "%zu tables, %s%s rows, %s%s; largest: %.60s (%.40s) %s", n,
		 uncounted ? "at least " : "", fmt_count(size, a, sizeof(a)),
		 fmt_bytes(bytes, b, sizeof(b)), d,
		 largest->name ? largest->name : "-",
		 largest->owner_name ? largest->owner_name : largest->owner,
		 fmt_bytes(largest->t.memory_bytes, c, sizeof(c)));
}

static void walk_rows(struct reading *r, struct ets_state *s)
{
	struct ets_budget budget = { .rows = BUDGET_ROWS, .binaries = BUDGET_BINARIES };
	size_t i;

	for (i = 0; i < s->now.n; i++)
		snap_ets_binaries(&s->snap, &s->now.v[i], &budget, NULL, NULL);
}

/* In text, no columns for what was not asked for; JSON always has all keys. */
static const struct column *shown(const struct reading *r, struct ets_state *s,
				  const struct column *all, size_t n)
{
	static const char *const changes[] = { "size_change", "memory_change", "event" };
	size_t i, k;

	memcpy(s->cols, all, n * sizeof(*all));
	for (i = 0; i < n; i++) {
		for (k = 0; k < ARRAY_SIZE(changes) && !r->round; k++)
			if (!strcmp(all[i].key, changes[k]))
				s->cols[i].flags &= ~COL_TEXT;
		if (!r->opt->binaries && !strcmp(all[i].key, "binary_bytes"))
			s->cols[i].flags &= ~COL_TEXT;
	}
	return s->cols;
}

static int ets_round(struct reading *r, struct table *t)
{
	const struct column *cols = r->opt->by ? group_columns : columns;
	size_t i, ncols = r->opt->by ? ARRAY_SIZE(group_columns) : ARRAY_SIZE(columns);
	struct ets_state *s = r->state;

	if (snap_ets_tables(&s->snap, &s->now))
		return fail(EXIT_FAILED, "", "pid %d: its schedulers' tables cannot be read",
			    r->vm.target.pid);
	if (r->opt->binaries)
		walk_rows(r, s);
	r->skipped = s->now.skipped;
	find_owners(&r->vm, s);
	s->rows = xcalloc(s->now.n + s->last.n, sizeof(*s->rows));
	for (i = 0; i < s->now.n; i++)
		fill_row(r, s, &s->now.v[i], &s->rows[i]);
	s->nrows = s->now.n;
	compare(r, s);
	cols = shown(r, s, cols, ncols);
	if (r->opt->by) {
		make_groups(r, s);
		report_rows(t, "ets", cols, ncols, s->groups, sizeof(*s->groups), s->ngroups,
			    r->opt->sort, "memory", r->limit);
	} else {
		report_rows(t, "ets", cols, ncols, s->rows, sizeof(*s->rows), s->nrows,
			    r->opt->sort, "memory", r->limit);
	}
	t->headline = "tables";
	sum_up(r, s, t);
	return 0;
}

static void ets_release(struct reading *r)
{
	struct ets_state *s = r->state;
	size_t i;

	for (i = 0; i < s->nrows; i++) {
		free(s->rows[i].id);
		free(s->rows[i].owner_name);
	}
	for (i = 0; i < s->nowners; i++)
		free(s->owners[i].name);
	free(s->owners);
	free(s->rows);
	free(s->groups);
	s->owners = NULL;
	s->rows = s->groups = NULL;
	s->nowners = s->nrows = s->ngroups = 0;
	snap_ets_free(&s->last);
	s->last = s->now;
	memset(&s->now, 0, sizeof(s->now));
	if (s->last.n)
		qsort(s->last.v, s->last.n, sizeof(*s->last.v), by_identity);
}

static void ets_close(struct reading *r)
{
	struct ets_state *s = r->state;

	snap_ets_free(&s->last);
}

int cmd_ets(const struct cmd *cmd, const struct options *opt)
{
	static const char *const bys[] = { "owner", "type", "name", NULL };
	static const struct reading_ops ops = {
		.cols = columns,
		.ncols = ARRAY_SIZE(columns),
		.default_sort = "memory",
		.bys = bys,
		.default_limit = 20,
		.state_size = sizeof(struct ets_state),
		.open = ets_open,
		.round = ets_round,
		.release = ets_release,
		.close = ets_close,
	};

	return reading_run(cmd, opt, &ops);
}
