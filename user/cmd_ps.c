// SPDX-License-Identifier: GPL-2.0-only
/*
 * ps: the processes of a node, the first by any number that process_info/2 tells, or summed up by
 * what they have in common; with -i what changed.
 *
 * All are looked at once, and only what the order needs is read of them; then those that are shown
 * are read again, with everything.
 */
#include "ps_rows.h"
#include "reading.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>

#define LIMIT 20
#define WAITS_MOST 20000 /* stacks that are looked at; beyond, one of each two, then of four, ... */
#define WAITS_FEW 10	 /* so few that wait for one are no news */
#define NAME_COLUMNS 24	 /* of a name in the verdict */
#define NAME_BYTES (4 * NAME_COLUMNS + 8)

struct ps_totals {
	uint64_t processes, memory, memory_est, unknown, unguessed, long_queues, other_guesses;
	uint64_t len, in_transit, queues_unknown, reds, heap_size, born, died;
	uint64_t running, runnable, waiting, suspended, collecting;
	struct proc_id longest;
	uint64_t longest_len;
};

struct ps_state {
	struct ps ps;
	char why[512];
	const struct column *by; /* of the choice; NULL with --by */
	unsigned int parts;
	unsigned int row_parts; /* of the rows that are shown */
	bool names;
	struct ps_chooser chooser;
	struct ps_groups groups, waiting;
	struct ps_scan *scan; /* under way */
	struct ps_totals sum;
	struct ps_row *rows;
	size_t nrows;
	struct column *cols;
	/* -i: of the round before, by id; and what is to be that of the next */
	bool interval;
	struct ps_before *before, *now;
	bool *met; /* of `before`: still there */
	size_t nbefore, nnow, cap;
};

/* --- with -i: what was before ----------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
	const struct ps_before *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static struct ps_before as_it_is(const struct ps_proc *p)
{
	return (struct ps_before){
		p->who.id, p->reds, p->memory_known ? (int64_t)p->memory : -1,
		p->len.known ? (int64_t)p->len.len : -1,
	};
}

static void remember(struct ps_state *s, const struct ps_proc *p)
{
	if (s->nnow == s->cap) {
		s->cap = s->cap ? s->cap + s->cap / 2 : 1024;
		s->now = xrealloc(s->now, s->cap * sizeof(*s->now));
	}
	s->now[s->nnow++] = as_it_is(p);
}

/* What is shown is what the next round compares with, also where it was read a moment later. */
static void remember_again(struct ps_state *s, const struct ps_proc *p)
{
	struct ps_before key = { .id = p->who.id }, *was;

	was = s->nnow ? bsearch(&key, s->now, s->nnow, sizeof(key), by_id) : NULL;
	if (was)
		*was = as_it_is(p);
}

static void compare(struct ps_state *s, struct ps_row *row)
{
	struct ps_before key = { .id = row->p.who.id }, *was;

	row->interval = s->nbefore > 0;
	if (!row->interval)
		return;
	was = bsearch(&key, s->before, s->nbefore, sizeof(key), by_id);
	/* work is not undone: its pid was given again */
	if (was && was->reds > row->p.reds)
		was = NULL;
	row->is_new = !was;
	if (was) {
		row->before = *was;
		s->met[was - s->before] = true;
	}
}

static void choose_dead(struct ps_state *s)
{
	struct ps_row row;
	size_t i;

	for (i = 0; i < s->nbefore; i++) {
		if (s->met[i])
			continue;
		s->sum.died++;
		memset(&row, 0, sizeof(row));
		row.p.who.id = s->before[i].id;
		row.interval = row.dead = true;
		row.before = s->before[i];
		if (s->by)
			ps_choose(&s->chooser, &row);
	}
}

/* What was looked at now is what the next round compares with. */
static void turn(struct ps_state *s)
{
	free(s->before);
	free(s->met);
	s->before = s->now;
	s->nbefore = s->nnow;
	s->met = xcalloc(s->nbefore, sizeof(*s->met));
	s->now = NULL;
	s->nnow = s->cap = 0;
}

/* --- all of them ------------------------------------------------------------------------------ */

static void add_up(struct ps_totals *t, const struct ps_row *row)
{
	const struct ps_proc *p = &row->p;
	const char *status = snap_ps_status(p->state);

	t->processes++;
	t->unknown += !p->memory_known;
	t->unguessed += !p->memory_known && !p->memory_est;
	t->long_queues += p->memory_est && p->long_queue;
	t->other_guesses += p->memory_est && !p->long_queue;
	t->memory += p->memory_known ? p->memory : 0;
	t->memory_est += p->memory_known ? p->memory : p->memory_est;
	t->queues_unknown += !p->len.known;
	t->len += p->len.len;
	t->in_transit += p->len.in_transit;
	t->reds += row->interval && !row->is_new ? p->reds - row->before.reds : p->reds;
	t->heap_size += p->heap_size + p->old_heap_size + p->mbuf_size;
	t->born += row->is_new;
	t->running += !strcmp(status, "running");
	t->runnable += !strcmp(status, "runnable");
	t->waiting += !strcmp(status, "waiting");
	t->suspended += !strcmp(status, "suspended");
	t->collecting += !strcmp(status, "garbage_collecting");
	if (p->len.len > t->longest_len) {
		t->longest_len = p->len.len;
		t->longest = p->who;
	}
}

static void found(void *arg, const struct ps_proc *p)
{
	struct ps_state *s = arg;
	struct ps_row row = { .p = *p };

	if (s->interval) {
		remember(s, p);
		compare(s, &row);
	}
	add_up(&s->sum, &row);
	if (p->known & PS_WAITS && p->waits.waits)
		ps_group_count(&s->waiting, &s->ps, &row, s->scan->waits_each);
	if (s->names)
		ps_row_names(&s->ps, &row);
	if (s->by)
		ps_choose(&s->chooser, &row);
	else
		ps_group_add(&s->groups, &s->ps, &row);
	ps_row_free(&row);
}

/* --- those that are shown --------------------------------------------------------------------- */

static void read_rows(struct ps_state *s)
{
	struct ps_choice *ch;
	struct ps_row *row;
	size_t i;

	ps_choose_sort(&s->chooser);
	s->rows = xcalloc(s->chooser.n, sizeof(*s->rows));
	for (i = 0; i < s->chooser.n; i++) {
		ch = &s->chooser.v[i];
		row = &s->rows[s->nrows];
		if (!ch->dead && snap_ps_read(&s->ps, &ch->who, s->row_parts, &row->p)) {
			memset(row, 0, sizeof(*row));
			continue; /* it ended since */
		}
		if (ch->dead) {
			row->p.who = ch->who;
			row->interval = row->dead = true;
			row->before = ch->before;
		} else if (s->interval) {
			compare(s, row);
			remember_again(s, &row->p);
		}
		ps_row_names(&s->ps, row);
		s->nrows++;
	}
}

/* --- the report ------------------------------------------------------------------------------- */

static void totals(const struct ps_state *s, const struct ps_scan *scan, struct table *t)
{
	const struct ps_totals *m = &s->sum;
	bool est = m->unknown && !m->unguessed;

	report_total(t, "processes", m->processes);
	report_total(t, "exiting", scan->exiting);
	report_total_if(t, "memory", !m->unknown && s->parts & PS_MEMORY, m->memory);
	if (est)
		report_total(t, "memory_est", m->memory_est);
	report_total_if(t, "message_queue_len", !m->queues_unknown, m->len);
	report_total_if(t, "message_queue_len_in_transit", !m->queues_unknown, m->in_transit);
	report_total(t, "reductions", m->reds);
	report_total(t, "heap_words", m->heap_size);
	report_total(t, "running", m->running);
	report_total(t, "runnable", m->runnable);
	report_total(t, "waiting", m->waiting);
	report_total(t, "suspended", m->suspended);
	report_total(t, "garbage_collecting", m->collecting);
	if (s->interval) {
		report_total(t, "born", m->born);
		report_total(t, "died", m->died);
	}
}

/* A name within the verdict: not so long that it fills the line, nor cut inside of a character. */
static const char *short_name(const char *name, char buf[NAME_BYTES])
{
	out_text_fit(name ? name : "", NAME_COLUMNS, buf, NAME_BYTES);
	return buf;
}

/* "logger <0.61.0>", or "m:f/a <0.61.0>" */
static void who_is(struct ps_state *s, const struct proc_id *who, char *buf, size_t size)
{
	struct ps_row row = { 0 };
	char name[NAME_BYTES];

	buf[0] = '\0';
	if (!snap_ps_read(&s->ps, who, 0, &row.p)) {
		ps_row_names(&s->ps, &row);
		snprintf(buf, size, "%s%s%s", short_name(row.name, name), row.name ? " " : "",
			 row.pid);
	}
	ps_row_free(&row);
}

/* Whom most of those that wait for another one wait for. */
static size_t most_wait(struct ps_state *s, const struct ps_scan *scan, char *buf, size_t size)
{
	const struct ps_group *most = ps_group_largest(&s->waiting);
	char a[32], name[NAME_BYTES], key[NAME_BYTES];

	if (!most || most->processes < WAITS_FEW)
		return 0;
	ps_group_name((struct ps_group *)most, &s->ps);
	return snprintf(buf, size, "; %s%s wait for %s%s%s", scan->waits_each > 1 ? "~" : "",
			fmt_count(most->processes, a, sizeof(a)), short_name(most->name, name),
			most->name ? " " : "", short_name(most->key, key));
}

static void verdict(struct ps_state *s, const struct ps_scan *scan, struct table *t)
{
	const struct ps_totals *m = &s->sum;
	char a[32], b[32], who[NAME_BYTES + 48], more[2 * NAME_BYTES + 64] = "";
	size_t size = sizeof(t->verdict), n;

	n = snprintf(t->verdict, size, "%s processes", fmt_count(m->processes, a, sizeof(a)));
	if (scan->exiting)
		n += snprintf(t->verdict + n, size - n, ", %llu exiting",
			      (unsigned long long)scan->exiting);
	if (s->interval && (m->born || m->died))
		n += snprintf(t->verdict + n, size - n, " (+%s -%s)",
			      fmt_count(m->born, a, sizeof(a)), fmt_count(m->died, b, sizeof(b)));
	if (s->parts & PS_MEMORY && !m->unguessed)
		n += snprintf(t->verdict + n, size - n, ", %s%s", m->unknown ? "~" : "",
			      fmt_bytes(m->memory_est, a, sizeof(a)));
	if (m->running + m->runnable > 1)
		n += snprintf(t->verdict + n, size - n, "; %s run or could",
			      fmt_count(m->running + m->runnable, a, sizeof(a)));
	if (m->suspended)
		n += snprintf(t->verdict + n, size - n, "; %s suspended",
			      fmt_count(m->suspended, a, sizeof(a)));
	/* whole, or not at all */
	if (n + most_wait(s, scan, more, sizeof(more)) < size)
		n += snprintf(t->verdict + n, size - n, "%s", more);
	if (!m->longest_len || n + 60 > size)
		return;
	who_is(s, &m->longest, who, sizeof(who));
	n += snprintf(t->verdict + n, size - n, "; longest queue %s",
		      fmt_count(m->longest_len, a, sizeof(a)));
	if (n + strlen(who) + 2 < size && who[0])
		snprintf(t->verdict + n, size - n, ": %s", who);
}

static void notes(struct reading *r, const struct ps_state *s)
{
	const char *one = s->sum.other_guesses == 1 ? "a process is guessed: its messages" :
						      "processes is guessed: their messages";

	if (s->why[0])
		reading_note(r, "%s", s->why);
	if (s->sum.long_queues)
		reading_note(r, "%llu long %s not walked: memory of %s is guessed from the first "
			     "messages; --full walks all", (unsigned long long)s->sum.long_queues,
			     s->sum.long_queues == 1 ? "queue was" : "queues were",
			     s->sum.long_queues == 1 ? "that process" : "those processes");
	if (s->sum.other_guesses)
		reading_note(r, "memory of %llu %s moved while they were read, or come from "
			     "another node and are not decoded yet",
			     (unsigned long long)s->sum.other_guesses, one);
}

static int ps_round(struct reading *r, struct table *t)
{
	struct ps_state *s = r->state;
	struct ps_scan scan = { .parts = s->parts, .found = found, .arg = s };
	const char *sort = r->opt->sort, *other = s->interval ? "reductions" : "memory";
	bool first = s->interval && !s->nbefore;
	size_t ncols = ps_ncolumns, i;

	memset(&s->sum, 0, sizeof(s->sum));
	s->chooser = (struct ps_chooser){ .by = s->by, .limit = r->limit };
	s->groups.by = r->opt->by;
	s->waiting.by = "waits_for";
	s->scan = &scan;
	scan.waits_each = 1;
	scan.waits_most = s->parts & PS_WAITS ? 0 : WAITS_MOST;
	snap_ps_refresh(&s->ps);
	s->ps.full = r->opt->full;
	if (snap_ps_scan(&s->ps, &scan))
		return fail(EXIT_FAILED, "", "the process table cannot be read");
	if (s->nnow)
		qsort(s->now, s->nnow, sizeof(*s->now), by_id);
	if (first) {
		turn(s);
		return 1;
	}
	choose_dead(s);
	if (s->by) {
		read_rows(s);
		s->cols = ps_columns_for(s->interval, sort, r->opt->binaries);
		report_rows(t, "ps", s->cols, ncols, s->rows, sizeof(*s->rows), s->nrows, sort,
			    other, 0);
		t->nrows_all = s->chooser.seen;
	} else {
		s->cols = ps_group_columns(r->opt->by, r->opt->binaries, &ncols);
		report_rows(t, "ps", s->cols, ncols, s->groups.v, sizeof(*s->groups.v), s->groups.n,
			    sort, "processes", r->limit);
		for (i = 0; i < t->nrows; i++)
			ps_group_name((struct ps_group *)t->rows[i], &s->ps);
	}
	totals(s, &scan, t);
	verdict(s, &scan, t);
	notes(r, s);
	r->skipped += scan.skipped;
	if (s->interval)
		turn(s);
	return 0;
}

static void ps_release(struct reading *r)
{
	struct ps_state *s = r->state;
	size_t i;

	for (i = 0; i < s->nrows; i++)
		ps_row_free(&s->rows[i]);
	free(s->rows);
	free(s->cols);
	ps_choose_free(&s->chooser);
	ps_groups_free(&s->groups);
	ps_groups_free(&s->waiting);
	s->rows = NULL;
	s->cols = NULL;
	s->nrows = 0;
}

static int ps_open(struct reading *r)
{
	struct ps_state *s = r->state;
	const char *by = r->opt->by, *sort = r->opt->sort;

	s->interval = r->opt->interval_s >= 0;
	s->parts = PS_MEMORY | (r->opt->binaries && by ? PS_BINS : 0);
	if (by) {
		s->parts |= ps_column_parts(by) | (sort ? ps_column_parts(sort) : 0);
	} else {
		s->by = report_find(ps_columns, ps_ncolumns,
				    sort ? sort : s->interval ? "reductions" : "memory");
		s->parts |= ps_column_parts(s->by->key);
		s->names = ps_column_is_name(s->by->key);
	}
	/* no text shows them unasked, and long lists of a busy node take their time */
	s->row_parts = PS_ALL;
	if (!r->opt->json && !r->opt->binaries)
		s->row_parts &= ~PS_BINS | s->parts;
	snap_ps_open(&s->ps, &r->vm, s->why, sizeof(s->why));
	if (!s->ps.fits && !r->vm.rd.lost)
		return fail(EXIT_UNSUPPORTED, "", "fields of processes lie outside of them in layout "
			    "%s", r->vm.lay->name);
	return 0;
}

static void ps_close(struct reading *r)
{
	struct ps_state *s = r->state;

	free(s->before);
	free(s->now);
	free(s->met);
	snap_ps_close(&s->ps);
}

int cmd_ps(const struct cmd *cmd, const struct options *opt)
{
	struct reading_ops ops = {
		.cols = ps_columns,
		.ncols = ps_ncolumns,
		.default_sort = opt->interval_s >= 0 ? "reductions" : "memory",
		.bys = ps_group_keys,
		.default_limit = LIMIT,
		.state_size = sizeof(struct ps_state),
		.open = ps_open,
		.round = ps_round,
		.release = ps_release,
		.close = ps_close,
	};
	struct column *groups = NULL;
	int err;

	if (opt->by) {
		groups = ps_group_columns(opt->by, false, &ops.ncols);
		ops.cols = groups;
		ops.default_sort = "processes";
	}
	err = reading_run(cmd, opt, &ops);
	free(groups);
	return err;
}
