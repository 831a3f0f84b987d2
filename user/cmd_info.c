// SPDX-License-Identifier: GPL-2.0-only
/*
 * info: a node at a glance.  Which limit is near, how busy the schedulers are, how the allocators
 * are configured; with -v the atoms that were made last, for who makes atoms without end.
 */
#include "reading.h"
#include "snap_info.h"

#include <stdlib.h>
#include <string.h>

#define NEWEST 20
#define NEAR 0.85 /* of a limit: say so */

struct info_row {
	struct snap_info s;
	struct known reductions, context_switches; /* of the interval */
	struct item *queues, *allocators, *mseg, *atoms;
};

struct info_state {
	struct snap_info_proof proof;
	struct info_row row;
	struct known reductions, context_switches; /* at the last round */
};

/* --- the row ---------------------------------------------------------------------------------- */

#define GET_KNOWN(fn, M) GET_IF(fn, struct info_row, r->M.is, VAL_U64, u, r->M.n)

GET_KNOWN(get_processes, s.processes)
GET_KNOWN(get_process_limit, s.process_limit)
GET_KNOWN(get_ports, s.ports)
GET_KNOWN(get_port_limit, s.port_limit)
GET_KNOWN(get_atoms, s.atoms)
GET_KNOWN(get_atom_limit, s.atom_limit)
GET_KNOWN(get_tables, s.tables)
GET_U(get_schedulers, struct info_row, r->s.schedulers)
GET_KNOWN(get_online, s.online)
GET_U(get_dirty_cpu, struct info_row, r->s.dirty_cpu)
GET_KNOWN(get_dirty_cpu_online, s.dirty_cpu_online)
GET_U(get_dirty_io, struct info_row, r->s.dirty_io)
GET_KNOWN(get_run_queue, s.run_queue)
GET_ITEM(get_run_queues, struct info_row, r->queues)
GET_KNOWN(get_reductions, reductions)
GET_KNOWN(get_switches, context_switches)
GET_IF(get_uptime, struct info_row, r->s.uptime_s > 0, VAL_DOUBLE, d, r->s.uptime_s)
GET_IF(get_rss, struct info_row, r->s.rss, VAL_U64, u, r->s.rss)
GET_IF(get_cgroup_limit, struct info_row, r->s.cgroup.limited, VAL_U64, u, r->s.cgroup.limit)
GET_IF(get_cgroup_used, struct info_row, r->s.cgroup.limited &&r->s.cgroup.used_known, VAL_U64, u,
       r->s.cgroup.used)
GET_ITEM(get_allocators, struct info_row, r->allocators)
GET_ITEM(get_mseg, struct info_row, r->mseg)
GET_ITEM(get_newest, struct info_row, r->atoms)

static const struct column columns[] = {
	{ "processes", "", UNIT_NONE, 0, "processes there are", get_processes },
	{ "process_limit", "", UNIT_NONE, 0, "and can be: +P", get_process_limit },
	{ "ports", "", UNIT_NONE, 0, "ports there are", get_ports },
	{ "port_limit", "", UNIT_NONE, 0, "and can be: +Q", get_port_limit },
	{ "atoms", "", UNIT_NONE, 0, "atoms there are; none is ever freed", get_atoms },
	{ "atom_limit", "", UNIT_NONE, 0, "and can be: +t; beyond it the VM ends", get_atom_limit },
	{ "tables", "", UNIT_NONE, 0, "ETS tables", get_tables },
	{ "schedulers", "", UNIT_NONE, 0, "scheduler threads", get_schedulers },
	{ "schedulers_online", "", UNIT_NONE, 0, "those in use", get_online },
	{ "dirty_cpu_schedulers", "", UNIT_NONE, 0, "dirty CPU schedulers", get_dirty_cpu },
	{ "dirty_cpu_schedulers_online", "", UNIT_NONE, 0, "those in use", get_dirty_cpu_online },
	{ "dirty_io_schedulers", "", UNIT_NONE, 0, "dirty I/O schedulers", get_dirty_io },
	{ "run_queue", "", UNIT_NONE, 0, "runnable, as statistics(run_queue)", get_run_queue },
	{ "run_queues", "", UNIT_NONE, COL_NO_SORT,
	  "by queue, as statistics(run_queue_lengths_all)", get_run_queues },
	{ "reductions", "", UNIT_NONE, 0, "since the start; with -i in the interval",
	  get_reductions },
	{ "context_switches", "", UNIT_NONE, 0, "likewise", get_switches },
	{ "uptime_s", "", UNIT_NONE, 0, "of the OS process", get_uptime },
	{ "rss", "", UNIT_BYTES, 0, "resident memory", get_rss },
	{ "cgroup_limit", "", UNIT_BYTES, 0, "tightest memory limit of its cgroups",
	  get_cgroup_limit },
	{ "cgroup_used", "", UNIT_BYTES, 0, "used of it, as the kernel counts it",
	  get_cgroup_used },
	{ "allocators", "", UNIT_NONE, COL_NO_SORT, "settings, as system_info({allocator,A})",
	  get_allocators },
	{ "mseg_alloc", "", UNIT_NONE, COL_NO_SORT, "settings of its cache", get_mseg },
	{ "newest_atoms", "", UNIT_NONE, COL_NO_SORT, "with -v: those made last", get_newest },
};

static struct item *number_or_null(const struct known *k)
{
	return k->is ? item_u64(k->n) : item_new(ITEM_NULL);
}

static struct item *switch_or_null(const struct known *k)
{
	return k->is ? item_bool(k->n) : item_new(ITEM_NULL);
}

static struct item *allocator_item(const struct info_allocator *a)
{
	struct item *o = item_new(ITEM_OBJECT);
	int i;

	item_set(o, "allocator", item_text(a->allocator));
	item_set(o, "first_instance", a->enabled ? item_u64(a->first) : item_new(ITEM_NULL));
	item_set(o, "last_instance", a->enabled ? item_u64(a->last) : item_new(ITEM_NULL));
	item_set(o, "e", item_bool(a->enabled));
	item_set(o, "as", item_text(a->strategy));
	item_set(o, "cp", item_text(a->pool));
	for (i = 0; i < SET_N; i++)
		item_set(o, info_setting_name(i),
			 info_setting_is_switch(i) ? switch_or_null(&a->set[i]) :
						     number_or_null(&a->set[i]));
	return o;
}

static void make_items(struct info_row *r)
{
	const struct snap_info *s = &r->s;
	size_t i;

	if (s->nqueues)
		r->queues = item_new(ITEM_LIST);
	for (i = 0; i < s->nqueues; i++)
		item_push(r->queues, number_or_null(&s->queues[i]));
	r->allocators = item_new(ITEM_LIST);
	for (i = 0; i < s->nallocators; i++)
		item_push(r->allocators, allocator_item(&s->allocators[i]));
	r->mseg = item_new(ITEM_OBJECT);
	item_set(r->mseg, "amcbf", number_or_null(&s->mseg.amcbf));
	item_set(r->mseg, "rmcbf", number_or_null(&s->mseg.rmcbf));
	item_set(r->mseg, "mcs", number_or_null(&s->mseg.mcs));
	if (s->nnewest)
		r->atoms = item_new(ITEM_LIST);
	for (i = 0; i < s->nnewest; i++)
		item_push(r->atoms, item_text(s->newest_atoms[i]));
}

/* --- text ------------------------------------------------------------------------------------- */

struct limit {
	const char *name;
	bool known;
	uint64_t now, most;
	bool bytes;
	const char *what; /* of whose limit it is */
};

static double share(const struct limit *l)
{
	return l->known && l->most ? (double)l->now / l->most : -1;
}

static size_t get_limits(const struct snap_info *s, struct limit l[4])
{
	const struct cgroup_memory *c = &s->cgroup;

	l[0] = (struct limit){ "processes", s->processes.is && s->process_limit.is,
			       s->processes.n, s->process_limit.n, false, "+P" };
	l[1] = (struct limit){ "ports", s->ports.is && s->port_limit.is, s->ports.n,
			       s->port_limit.n, false, "+Q" };
	l[2] = (struct limit){ "atoms", s->atoms.is && s->atom_limit.is, s->atoms.n,
			       s->atom_limit.n, false, "+t" };
	l[3] = (struct limit){ "memory", c->limited && (c->used_known || s->rss),
			       c->used_known ? c->used : s->rss, c->limit, true, "cgroup" };
	return 4;
}

static void make_verdict(struct table *t, const struct snap_info *s)
{
	struct limit l[4];
	const struct limit *most = NULL;
	size_t i, n = get_limits(s, l), len = 0;

	for (i = 0; i < n; i++) {
		if (!most || share(&l[i]) > share(most))
			most = &l[i];
		if (share(&l[i]) > NEAR)
			len += snprintf(t->verdict + len, sizeof(t->verdict) - len,
					"%s %s at %.0f %% of the limit (%s)",
					len ? "," : "NEAR A LIMIT:", l[i].name, 100 * share(&l[i]),
					l[i].what);
	}
	if (!len && share(most) >= 0)
		snprintf(t->verdict, sizeof(t->verdict),
			 "no limit is near: the fullest, %s, is at %.*f %% (%s)", most->name,
			 share(most) < 0.1, 100 * share(most), most->what);
}

#define SIDE 64

static void fmt_amount(uint64_t n, bool bytes, char *buf, size_t size)
{
	if (bytes)
		fmt_bytes(n, buf, size);
	else
		snprintf(buf, size, "%llu", (unsigned long long)n);
}

static void fmt_limit(const struct limit *l, char *line)
{
	char now[32], most[32];

	fmt_amount(l->now, l->bytes, now, sizeof(now));
	fmt_amount(l->most, l->bytes, most, sizeof(most));
	if (share(l) >= 0)
		snprintf(line, SIDE, "%-9s %9.12s of %-9.12s %4.0f %%%s", l->name, now, most,
			 100 * share(l), share(l) > NEAR ? " !" : "");
}

static void fmt_online(const char *name, unsigned int n, const struct known *online, char *line)
{
	if (online && online->is)
		snprintf(line, SIDE, "%-11s %llu of %u online", name, (unsigned long long)online->n,
			 n);
	else if (online)
		snprintf(line, SIDE, "%-11s %u, how many online: -", name, n);
	else
		snprintf(line, SIDE, "%-11s %u", name, n);
}

static const char *fmt_known(const struct known *k, char *buf, size_t size)
{
	if (k->is)
		fmt_count(k->n, buf, size);
	else
		snprintf(buf, size, "-");
	return buf;
}

/* All queues where that is short; else the longest. */
static void fmt_queues(const struct snap_info *s, char *line)
{
	char total[32], list[SIDE] = "";
	size_t i, n = 0, longest = 0;

	fmt_known(&s->run_queue, total, sizeof(total));
	for (i = 0; i < s->nqueues; i++) {
		if (s->queues[i].is && s->queues[i].n > s->queues[longest].n)
			longest = i;
		if (n + 24 >= sizeof(list) || !s->queues[i].is)
			continue;
		n += snprintf(list + n, sizeof(list) - n, "%s%llu",
			      !n ? "" : i < s->schedulers ? " " : " | ",
			      (unsigned long long)s->queues[i].n);
	}
	if (n <= 20 && s->nqueues <= 8)
		snprintf(line, SIDE, "run queue   %.10s: %.20s", total, list);
	else if (s->run_queue.n)
		snprintf(line, SIDE, "run queue   %.10s, longest %llu", total,
			 (unsigned long long)s->queues[longest].n);
	else
		snprintf(line, SIDE, "run queue   %.10s", total);
}

static void limits_block(struct table *t, const struct info_row *r)
{
	char left[8][SIDE] = { "" }, right[8][SIDE] = { "" }, a[32], b[32];
	const struct snap_info *s = &r->s;
	struct text_block *block = report_block(t, NULL);
	size_t i, k = 0, n;
	struct limit l[4];

	n = get_limits(s, l);
	for (i = 0; i < n; i++) {
		fmt_limit(&l[i], left[k]);
		k += left[k][0] != '\0';
	}
	if (!s->cgroup.limited)
		snprintf(left[k++], SIDE, "%-9s %9s    %s", "memory",
			 fmt_bytes(s->rss, a, sizeof(a)),
			 s->cgroup.known ? "no cgroup limit" : "cgroup limit: -");
	else if (s->rss)
		snprintf(left[k++], SIDE, "%-9s %9s", "rss", fmt_bytes(s->rss, a, sizeof(a)));
	snprintf(left[k++], SIDE, "%-9s %9s", "tables", fmt_known(&s->tables, a, sizeof(a)));
	fmt_online("schedulers", s->schedulers, &s->online, right[0]);
	fmt_online("dirty CPU", s->dirty_cpu, &s->dirty_cpu_online, right[1]);
	fmt_online("dirty I/O", s->dirty_io, NULL, right[2]);
	fmt_queues(s, right[3]);
	snprintf(right[4], SIDE, "reductions  %s", fmt_known(&r->reductions, a, sizeof(a)));
	snprintf(right[5], SIDE, "switches    %s", fmt_known(&r->context_switches, b, sizeof(b)));
	for (i = 0; i < ARRAY_SIZE(left); i++)
		if (left[i][0] || right[i][0])
			report_line(block, "%-44s  %s", left[i], right[i]);
}

/* Sizes of no end are ~0. */
static const char *fmt_size(const struct known *k, char *buf, size_t size)
{
	if (!k->is)
		snprintf(buf, size, "-");
	else if (k->n == UINT64_MAX)
		snprintf(buf, size, "none");
	else
		fmt_bytes(k->n, buf, size);
	return buf;
}

/* Of an allocator's instances those of the schedulers, which come last, do the work. */
static void allocators_block(struct table *t, const struct snap_info *s)
{
	struct text_block *block = report_block(
		t, "allocators: settings of the schedulers' instances, as +M flags name them");
	const struct info_allocator *a;
	char sbct[32], lmbcs[32], smbcs[32], acul[32], amcbf[32], rmcbf[32], mcs[32];
	size_t i;

	report_line(block, "%-13s %-10s %9s %9s %9s %4s  %-9s %s", "ALLOCATOR", "as", "sbct",
		    "lmbcs", "smbcs", "acul", "cp", "t");
	for (i = 0; i < s->nallocators; i++) {
		a = &s->allocators[i];
		if (i + 1 < s->nallocators && s->allocators[i + 1].allocator == a->allocator)
			continue;
		if (!a->enabled)
			report_line(block, "%-13s  disabled", a->allocator);
		else
			report_line(block, "%-13s %-10s %9s %9s %9s %4s  %-9s %s",
				    a->allocator, a->strategy ? a->strategy : "-",
				    fmt_size(&a->set[SET_SBCT], sbct, sizeof(sbct)),
				    fmt_size(&a->set[SET_LMBCS], lmbcs, sizeof(lmbcs)),
				    fmt_size(&a->set[SET_SMBCS], smbcs, sizeof(smbcs)),
				    fmt_known(&a->set[SET_ACUL], acul, sizeof(acul)),
				    a->pool ? a->pool : "-",
				    !a->set[SET_T].is ? "-" : a->set[SET_T].n ? "true" : "false");
	}
	report_line(block, "%-13s  cache: mcs %s, amcbf %s, rmcbf %s %%", "mseg_alloc",
		    fmt_known(&s->mseg.mcs, mcs, sizeof(mcs)),
		    fmt_size(&s->mseg.amcbf, amcbf, sizeof(amcbf)),
		    fmt_known(&s->mseg.rmcbf, rmcbf, sizeof(rmcbf)));
}

static void atoms_block(struct table *t, const struct snap_info *s)
{
	struct text_block *block;
	char line[2048];
	size_t i;

	if (!s->nnewest)
		return;
	block = report_block(t, "newest atoms, the last one first");
	for (i = 0; i < s->nnewest; i++) {
		out_text_fit(s->newest_atoms[i] ? s->newest_atoms[i] : "-", out_text_width() - 2,
			     line, sizeof(line));
		report_line(block, "  %s", line);
	}
}

/* --- rounds ----------------------------------------------------------------------------------- */

static int open_info(struct reading *r)
{
	struct info_state *st = r->state;

	snap_info_open(&r->vm, &st->proof);
	return 0;
}

static struct known since(const struct known *now, const struct known *before, bool interval)
{
	struct known d = *now;

	if (interval && now->is) {
		d.is = before->is && now->n >= before->n;
		d.n = now->n - before->n;
	}
	return d;
}

static void notes(struct reading *r, const struct info_state *st)
{
	const struct snap_info *s = &st->row.s;
	size_t i;

	for (i = 0; i < st->proof.nwhy; i++)
		reading_note(r, "%s", st->proof.why[i]);
	if (s->blocked_or_offline)
		reading_note(r, "all schedulers but one are suspended: offline, or blocked by "
				"system_flag(multi_scheduling)");
	if (s->online_unclear)
		reading_note(r, "schedulers and their run queues did not agree on who is online");
	if (s->queues_unclear)
		reading_note(r, "run queues moved while they were read: some lengths are left out");
	if (!s->cgroup.known)
		reading_note(r, "the cgroups of pid %d cannot be seen from here",
			     r->vm.target.pid);
}

static int info_round(struct reading *r, struct table *t)
{
	struct info_state *st = r->state;
	struct info_row *row = &st->row;

	memset(row, 0, sizeof(*row));
	if (snap_info_read(&r->vm, &st->proof, verbosity ? r->limit ? r->limit : SIZE_MAX : 0,
			   &row->s))
		return -1;
	row->reductions = since(&row->s.reductions, &st->reductions, r->round > 0);
	row->context_switches = since(&row->s.context_switches, &st->context_switches,
				      r->round > 0);
	st->reductions = row->s.reductions;
	st->context_switches = row->s.context_switches;
	make_items(row);
	notes(r, st);
	report_plain(t, "info", columns, ARRAY_SIZE(columns), row, sizeof(*row), 1);
	t->rows_hidden = true;
	make_verdict(t, &row->s);
	limits_block(t, row);
	allocators_block(t, &row->s);
	atoms_block(t, &row->s);
	return 0;
}

static void release_info(struct reading *r)
{
	struct info_row *row = &((struct info_state *)r->state)->row;

	item_free(row->queues);
	item_free(row->allocators);
	item_free(row->mseg);
	item_free(row->atoms);
	snap_info_free(&row->s);
	memset(row, 0, sizeof(*row));
}

int cmd_info(const struct cmd *cmd, const struct options *opt)
{
	static const struct reading_ops ops = {
		.cols = columns,
		.ncols = ARRAY_SIZE(columns),
		.default_sort = "processes",
		.default_limit = NEWEST,
		.state_size = sizeof(struct info_state),
		.open = open_info,
		.round = info_round,
		.release = release_info,
	};

	return reading_run(cmd, opt, &ops);
}
