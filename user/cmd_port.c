// SPDX-License-Identifier: GPL-2.0-only
/*
 * port: the ports of the node, whose they are, what waits in their queues, what went through
 * them.
 */
#include "reading.h"
#include "snap_port.h"
#include "snap_proc.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>

enum event { EVENT_NONE, EVENT_NEW, EVENT_DEAD };

struct row {
	struct port_row p;
	const bool *proven; /* of struct snap_port */
	char id[48], connected[32], state[80];
	char *connected_name;
	const char *registered; /* borrowed from the VM's atoms */
	enum event event;
	bool compared; /* with the last round */
	int64_t input_change, output_change, queue_change;
	/* of a group */
	const char *group;
	uint64_t ports;
};

/* --- columns ---------------------------------------------------------------------------------- */

#define PROVEN(WHAT) (r->proven[PORT_PROVEN_##WHAT])
#define LINKED (PROVEN(LINKS) && r->p.linked)

GET_TEXT(get_id, struct row, r->id)
GET_TEXT(get_name, struct row, PROVEN(NAME) ? r->p.name : NULL)
GET_TEXT(get_driver, struct row, PROVEN(DRIVER) ? r->p.driver : NULL)
GET_TEXT(get_registered, struct row, PROVEN(REG) ? r->registered : NULL)
GET_TEXT(get_connected, struct row,
	 PROVEN(CONNECTED) && r->connected[0] ? r->connected : NULL)
GET_TEXT(get_connected_name, struct row, r->connected_name)
GET_IF(get_os_pid, struct row, PROVEN(OS_PID) && r->p.os_pid >= 0, VAL_U64, u, r->p.os_pid)
GET_IF(get_input, struct row, PROVEN(QUEUE), VAL_U64, u, r->p.input)
GET_IF(get_output, struct row, PROVEN(QUEUE), VAL_U64, u, r->p.output)
GET_IF(get_queue, struct row, PROVEN(QUEUE), VAL_U64, u, r->p.queue_size)
GET_IF(get_input_change, struct row, r->compared, VAL_I64, i, r->input_change)
GET_IF(get_output_change, struct row, r->compared, VAL_I64, i, r->output_change)
GET_IF(get_queue_change, struct row, r->compared, VAL_I64, i, r->queue_change)
GET_TEXT(get_event, struct row, r->event == EVENT_NEW  ? "new" :
				r->event == EVENT_DEAD ? "dead" : NULL)
GET_IF(get_links, struct row, LINKED, VAL_U64, u, r->p.links)
GET_IF(get_monitors, struct row, LINKED, VAL_U64, u, r->p.monitors)
GET_IF(get_monitored_by, struct row, LINKED, VAL_U64, u, r->p.monitored_by)
GET_TEXT(get_state, struct row, PROVEN(STATE) ? r->state : NULL)
GET_TEXT(get_group, struct row, r->group)
GET_U(get_ports, struct row, r->ports)

#define TRAFFIC                                                                                    \
	{ "queue_size", "QUEUE", UNIT_BYTES, COL_TEXT, "bytes waiting in the driver's queue",      \
	  get_queue },                                                                             \
	{ "queue_change", "+QUEUE", UNIT_BYTES, COL_TEXT | COL_SOONER(6),                          \
	  "bytes more than an interval ago", get_queue_change },                                   \
	{ "input", "IN", UNIT_BYTES, COL_TEXT, "bytes read from it, ever", get_input },            \
	{ "input_change", "+IN", UNIT_BYTES, COL_TEXT | COL_SOONER(7),                             \
	  "of them in the last interval", get_input_change },                                      \
	{ "output", "OUT", UNIT_BYTES, COL_TEXT, "bytes written to it, ever", get_output },        \
	{ "output_change", "+OUT", UNIT_BYTES, COL_TEXT | COL_SOONER(8),                           \
	  "of them in the last interval", get_output_change }

static const struct column columns[] = {
	{ "id", "PORT", UNIT_NONE, COL_TEXT | COL_LOW_BAD, "the port", get_id },
	{ "name", "NAME", UNIT_NONE, COL_TEXT | COL_SHRINK | COL_LOW_BAD,
	  "what it was opened with: a driver, a command", get_name },
	{ "driver", "DRIVER", UNIT_NONE, COL_TEXT | COL_LOW_BAD | COL_SOONER(10), "its driver",
	  get_driver },
	{ "connected", "OWNER", UNIT_NONE, COL_TEXT | COL_LOW_BAD | COL_SOONER(1),
	  "pid of the process it is connected to", get_connected },
	{ "connected_name", "OWNED BY", UNIT_NONE, COL_TEXT | COL_SHRINK | COL_LOW_BAD,
	  "that one's registered name, else its initial call", get_connected_name },
	{ "os_pid", "OS PID", UNIT_NONE, COL_TEXT | COL_SOONER(9),
	  "the process of the OS that it started", get_os_pid },
	TRAFFIC,
	{ "event", "", UNIT_NONE, COL_TEXT | COL_LOW_BAD | COL_SOONER(11),
	  "new or dead since the last interval", get_event },
	{ "registered_name", "REGISTERED", UNIT_NONE, COL_LOW_BAD, "its own registered name",
	  get_registered },
	{ "links", "LINKS", UNIT_NONE, 0, "processes linked to it", get_links },
	{ "monitors", "MONITORS", UNIT_NONE, 0, "processes it monitors", get_monitors },
	{ "monitored_by", "MONITORED BY", UNIT_NONE, 0, "that monitor it", get_monitored_by },
	{ "state", "STATE", UNIT_NONE, COL_LOW_BAD, "how it was opened", get_state },
};

static const struct column group_columns[] = {
	{ "group", "GROUP", UNIT_NONE, COL_TEXT | COL_SHRINK | COL_LOW_BAD, "what they share",
	  get_group },
	{ "ports", "PORTS", UNIT_NONE, COL_TEXT, "how many", get_ports },
	TRAFFIC,
};

/* --- rows ------------------------------------------------------------------------------------- */

struct port_state {
	struct snap_port snap;
	struct ports now, last;
	struct row *rows, *groups;
	size_t nrows, ngroups;
	struct column cols[ARRAY_SIZE(columns)]; /* a copy, less what has nothing to show */
};

static char *name_of(struct vm *vm, eterm_t pid)
{
	struct proc_names names = { 0 };
	struct proc_image p;
	char *name;

	if (!term_is_pid(pid) || snap_proc_find(vm, pid, &p))
		return NULL;
	snap_proc_names(vm, &p, &names);
	name = names.registered ? names.registered : names.initial_call;
	name = name ? xstrdup(name) : NULL;
	proc_names_free(&names);
	return name;
}

static void fill_row(struct reading *r, struct port_state *s, const struct port_row *p,
		     struct row *row)
{
	row->p = *p;
	row->proven = s->snap.proven;
	row->ports = 1;
	term_port_text(&r->vm, p->id, row->id, sizeof(row->id));
	if (term_is_pid(p->connected))
		term_pid_text(&r->vm, p->connected, row->connected, sizeof(row->connected));
	if (s->snap.proven[PORT_PROVEN_CONNECTED])
		row->connected_name = name_of(&r->vm, p->connected);
	if (p->reg_name)
		row->registered = term_atom(&r->vm, p->reg_name);
	port_state_text(p->state, row->state, sizeof(row->state));
}

static int by_id(const void *a, const void *b)
{
	const struct port_row *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

/* Most bytes first: the order of those that are equal in what they are sorted by. */
static int by_traffic(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	uint64_t p = x->p.input + x->p.output, q = y->p.input + y->p.output;

	return p > q ? -1 : p < q;
}

static void changes(struct row *row, const struct port_row *now, const struct port_row *old)
{
	row->compared = row->proven[PORT_PROVEN_QUEUE];
	row->input_change = (now ? now->input : 0) - (old ? old->input : 0);
	row->output_change = (now ? now->output : 0) - (old ? old->output : 0);
	row->queue_change = (now ? now->queue_size : 0) - (old ? old->queue_size : 0);
}

/* Against the last round; ports that went are rows, too: what they did since nobody knows. */
static void compare(struct reading *r, struct port_state *s)
{
	struct port_row *old, *end = s->last.v + s->last.n;
	struct row *row;
	size_t i;

	if (!r->round)
		return;
	for (i = 0; i < s->nrows; i++) {
		row = &s->rows[i];
		old = bsearch(&row->p, s->last.v, s->last.n, sizeof(*old), by_id);
		changes(row, &row->p, old);
		row->event = old ? EVENT_NONE : EVENT_NEW;
		if (old)
			old->addr = 0; /* is there still */
	}
	for (old = s->last.v; old < end; old++) {
		if (!old->addr)
			continue;
		row = &s->rows[s->nrows++];
		fill_row(r, s, old, row);
		row->event = EVENT_DEAD;
		row->p.queue_size = 0;
	}
}

/* --- groups ----------------------------------------------------------------------------------- */

static const char *group_of(const struct options *opt, const struct row *r)
{
	struct value v = { 0 };

	if (!strcmp(opt->by, "name"))
		get_name(r, &v);
	else if (!strcmp(opt->by, "driver"))
		get_driver(r, &v);
	else if (r->connected_name)
		get_connected_name(r, &v);
	else
		get_connected(r, &v);
	return v.kind ? v.text : "-";
}

static int by_group(const void *a, const void *b)
{
	const struct row *const *x = a, *const *y = b;

	return strcmp((*x)->group, (*y)->group);
}

static void make_groups(struct reading *r, struct port_state *s)
{
	/* rows stay where they are: a group may be named by the text of a pid in one */
	struct row **order = xcalloc(s->nrows, sizeof(struct row *));
	const struct row *row;
	struct row *g = NULL;
	size_t i;

	s->groups = xcalloc(s->nrows, sizeof(*s->groups));
	for (i = 0; i < s->nrows; i++) {
		order[i] = &s->rows[i];
		order[i]->group = group_of(r->opt, order[i]);
	}
	qsort(order, s->nrows, sizeof(*order), by_group);
	for (i = 0; i < s->nrows; i++) {
		row = order[i];
		if (!g || strcmp(g->group, row->group)) {
			g = &s->groups[s->ngroups++];
			g->group = row->group;
			g->proven = row->proven;
			g->compared = r->round && row->proven[PORT_PROVEN_QUEUE];
		}
		if (row->event == EVENT_DEAD)
			continue;
		g->ports++;
		g->p.queue_size += row->p.queue_size;
		g->p.input += row->p.input;
		g->p.output += row->p.output;
		g->queue_change += row->queue_change;
		g->input_change += row->input_change;
		g->output_change += row->output_change;
	}
	free(order);
}

/* --- the report ------------------------------------------------------------------------------- */

static int port_open(struct reading *r)
{
	struct port_state *s = r->state;

	return snap_port_open(&s->snap, &r->vm);
}

static void sum_up(struct reading *r, struct port_state *s, struct table *t)
{
	bool proven = s->snap.proven[PORT_PROVEN_QUEUE];
	const struct row *row, *longest = NULL;
	uint64_t in = 0, out = 0, queued = 0;
	char a[32], b[32], c[32], d[160] = "";
	size_t i, n = 0, unlinked = 0;

	for (i = 0; i < s->nrows; i++) {
		row = &s->rows[i];
		if (row->event == EVENT_DEAD)
			continue;
		n++;
		unlinked += s->snap.proven[PORT_PROVEN_LINKS] && !row->p.linked;
		in += row->p.input;
		out += row->p.output;
		queued += row->p.queue_size;
		if (row->p.queue_size && (!longest || row->p.queue_size > longest->p.queue_size))
			longest = row;
	}
	report_total(t, "ports", n);
	report_total(t, "closing", s->now.leaving);
	report_total_if(t, "queue_size", proven, queued);
	report_total_if(t, "input", proven, in);
	report_total_if(t, "output", proven, out);
	if (s->snap.unproven[0])
		reading_note(r, "this build keeps elsewhere, and so is not known: %s",
			     s->snap.unproven);
	if (unlinked)
		reading_note(r, "links and monitors of %zu ports could not all be read: they "
			     "changed, or are too many", unlinked);
	if (!proven) {
		snprintf(t->verdict, sizeof(t->verdict), "%zu port%s", n, n == 1 ? "" : "s");
		return;
	}
	if (longest)
		snprintf(d, sizeof(d), "; longest queue: %s %.40s (%.40s) %s", longest->id,
			 longest->p.name ? longest->p.name : "-",
			 longest->connected_name ? longest->connected_name : longest->connected,
			 fmt_bytes(longest->p.queue_size, a, sizeof(a)));
	snprintf(t->verdict, sizeof(t->verdict), "%zu port%s, %s queued, %s in, %s out%s", n,
		 n == 1 ? "" : "s",
		 fmt_bytes(queued, a, sizeof(a)), fmt_bytes(in, b, sizeof(b)),
		 fmt_bytes(out, c, sizeof(c)), d);
}

/* In text, no columns of change before there is one; JSON always has all keys. */
static const struct column *shown(const struct reading *r, struct port_state *s,
				  const struct column *all, size_t n)
{
	static const char *const change[] = { "input_change", "output_change", "queue_change",
					      "event" };
	size_t i, k;

	memcpy(s->cols, all, n * sizeof(*all));
	for (i = 0; i < n; i++)
		for (k = 0; k < ARRAY_SIZE(change) && !r->round; k++)
			if (!strcmp(all[i].key, change[k]))
				s->cols[i].flags &= ~COL_TEXT;
	return s->cols;
}

static int port_round(struct reading *r, struct table *t)
{
	const struct column *cols = r->opt->by ? group_columns : columns;
	size_t i, ncols = r->opt->by ? ARRAY_SIZE(group_columns) : ARRAY_SIZE(columns);
	struct port_state *s = r->state;

	if (snap_port_all(&s->snap, &s->now))
		return fail(EXIT_FAILED, "", "pid %d: its table of ports cannot be read",
			    r->vm.target.pid);
	r->skipped = s->now.skipped;
	s->rows = xcalloc(s->now.n + s->last.n, sizeof(*s->rows));
	for (i = 0; i < s->now.n; i++)
		fill_row(r, s, &s->now.v[i], &s->rows[i]);
	s->nrows = s->now.n;
	compare(r, s);
	cols = shown(r, s, cols, ncols);
	if (r->opt->by) {
		make_groups(r, s);
		report_rows(t, "port", cols, ncols, s->groups, sizeof(*s->groups), s->ngroups,
			    r->opt->sort, "ports", r->limit);
	} else {
		qsort(s->rows, s->nrows, sizeof(*s->rows), by_traffic);
		report_rows(t, "port", cols, ncols, s->rows, sizeof(*s->rows), s->nrows,
			    r->opt->sort, "queue_size", r->limit);
	}
	t->headline = "ports";
	sum_up(r, s, t);
	return 0;
}

static void port_release(struct reading *r)
{
	struct port_state *s = r->state;
	size_t i;

	for (i = 0; i < s->nrows; i++)
		free(s->rows[i].connected_name);
	free(s->rows);
	free(s->groups);
	s->rows = s->groups = NULL;
	s->nrows = s->ngroups = 0;
	snap_ports_free(&s->last);
	s->last = s->now;
	memset(&s->now, 0, sizeof(s->now));
	if (s->last.n)
		qsort(s->last.v, s->last.n, sizeof(*s->last.v), by_id);
}

static void port_close(struct reading *r)
{
	struct port_state *s = r->state;

	snap_ports_free(&s->last);
	snap_port_close(&s->snap);
}

int cmd_port(const struct cmd *cmd, const struct options *opt)
{
	static const char *const bys[] = { "name", "driver", "owner", NULL };
	static const struct reading_ops ops = {
		.cols = columns,
		.ncols = ARRAY_SIZE(columns),
		.default_sort = "queue_size",
		.bys = bys,
		.default_limit = 20,
		.state_size = sizeof(struct port_state),
		.open = port_open,
		.round = port_round,
		.release = port_release,
		.close = port_close,
	};

	return reading_run(cmd, opt, &ops);
}
