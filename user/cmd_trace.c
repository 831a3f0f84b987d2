// SPDX-License-Identifier: GPL-2.0-only
/*
 * trace, alloc, bin --trace, carrier --trace, gc: one attach, one watch, a section each.
 */
#include "cmd.h"
#include "collect.h"
#include "watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_SECONDS 10
#define DEFAULT_LIMIT 20
#define SCREEN_LIMIT 5 /* rows a section in the text of `trace`: all four fit a screen */
#define MAX_NOTES 24
#define STORM_NS 500000000ULL
#define STORM_TICK_NS 5000000ULL

static volatile sig_atomic_t stop_signal;

static void on_signal(int sig)
{
	stop_signal = sig;
}

static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

struct session {
	const struct cmd *cmd;
	const struct options *opt;
	struct vm vm;
	struct watch watch;
	struct collect_base base;
	uint64_t stepped; /* when the guard was last asked, while a look was under way */
	struct vm_counters before;
	uint64_t interval_start;
	bool target_ended;
	char notes[MAX_NOTES][256];
	size_t nnotes;
};

static void note(struct session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(struct session *s, const char *fmt, ...)
{
	va_list ap;

	if (s->nnotes == MAX_NOTES)
		return;
	va_start(ap, fmt);
	vsnprintf(s->notes[s->nnotes++], sizeof(s->notes[0]), fmt, ap);
	va_end(ap);
}

/* What the reader of the numbers must know about them. */
static void make_notes(struct session *s, const struct model *m)
{
	static const char *const consequence[EB_NGROUPS] = {
		[EB_GROUP_ALLOC] = "allocations and binaries",
		[EB_GROUP_GC] = "collections",
		[EB_GROUP_EXIT] = "exits",
		[EB_GROUP_CARRIER] = "carriers",
		[EB_GROUP_REFC] = "references counted by drivers and NIFs",
	};
	const struct guard *g = &s->watch.guard;
	unsigned int partial = 0;
	double needs;
	size_t i;
	int k;

	for (k = 0; k < EB_NGROUPS; k++) {
		if (!g->groups[k].bursts)
			continue;
		note(s, "%s were watched %.1f %% of the time, in bursts from %.1f s on: while on, "
			"they cost %.1f %% of a scheduler, the budget is %g %% (--max-overhead, "
			"--exact); ~: scaled up by the VM's counters",
		     consequence[k], 100 * watch_coverage(&s->watch, k),
		     g->groups[k].first_off / 1e9, 100 * g->groups[k].rate,
		     s->opt->max_overhead);
		needs = guard_needs_percent(g, k);
		if (needs > 0)
			note(s, "%s: needs at least --max-overhead %.2g", consequence[k], needs);
	}
	for (i = 0; i < s->watch.plan.nmissing; i++)
		note(s, "no probe on %s: %s", s->watch.plan.missing[i].name,
		     s->watch.plan.missing[i].why);
	for (i = 0; i < m->whos_cap; i++)
		partial += m->whos[i] && m->whos[i]->partial;
	if (partial)
		note(s, "off-heap lists of more than %d nodes: %u processes; what they released is "
			"a lower bound (released_partial)",
		     EB_CHAIN_MAX, partial);
	if (m->sampled[EB_BIRTH_BINARY] || m->sampled[EB_BIRTH_OTHER])
		note(s, "births came too fast to record each: lifetimes and what is alive are estimates "
			"from a sample");
	if (g->groups[EB_GROUP_ALLOC].bursts)
		note(s, "lifetimes are those within one burst; what is alive is not known (--exact)");
	if (m->skipped)
		note(s, "%llu processes never stood still: what they hold is missing",
		     (unsigned long long)m->skipped);
	if (s->vm.target.exe_replaced)
		note(s, "the VM runs an executable that was replaced on disk since: %s",
		     s->vm.target.exe);
	if (s->vm.unverified)
		note(s, "unverified: no live test has run on OTP %d", s->vm.otp);
	if (s->target_ended)
		note(s, "pid %d ended after %.1f s: what it held at the end is unknown",
		     s->vm.target.pid, (s->watch.end - s->watch.guard.start) / 1e9);
}

static enum alloc_by by_option(const char *by)
{
	if (!by)
		return BY_ROW;
	if (!strcmp(by, "type"))
		return BY_TYPE;
	return !strcmp(by, "process") ? BY_PROCESS : BY_INITIAL_CALL;
}

static bool is_sections(const struct session *s)
{
	return s->cmd->arg & (s->cmd->arg - 1);
}

static size_t row_limit(const struct session *s)
{
	if (s->opt->limit >= 0)
		return s->opt->limit;
	return is_sections(s) && !s->opt->json ? SCREEN_LIMIT : DEFAULT_LIMIT;
}

/* Collects what came in since the last report, and prints it. */
static int report_interval(struct session *s, size_t *rows)
{
	/* in the order of the question: who holds, who makes, what it costs the allocator */
	static const unsigned int order[] = { WANT_BIN, WANT_ALLOC, WANT_CARRIER, WANT_GC };
	struct collect_input in = { .want = s->cmd->arg };
	struct report r = {
		.vm = &s->vm,
		.sections = is_sections(s),
		.compact = is_sections(s) && s->opt->limit, /* -l 0: all there is, however long */
	};
	uint64_t until = s->watch.end ? s->watch.end : now_ns();
	struct vm_counters after;
	struct watch_spent spent;
	struct table tables[4];
	const char *notes[MAX_NOTES];
	struct model m;
	size_t i;
	int g, err;

	collect_counters(&s->vm, &after);
	in.before = &s->before;
	in.after = &after;
	for (g = 0; g < EB_NGROUPS; g++)
		in.partial[g] = s->watch.guard.groups[g].bursts > 0;
	collect(&s->vm, s->watch.probe, &in, &s->base, &m);
	model_alloc_by(&m, by_option(s->opt->by));

	r.tables = tables;
	for (i = 0; i < ARRAY_SIZE(order); i++)
		if (s->cmd->arg & order[i])
			report_table(&m, order[i], s->opt->sort, row_limit(s),
				     &tables[r.ntables++]);
	for (i = *rows = 0; i < r.ntables; i++)
		*rows += tables[i].nrows;
	s->nnotes = 0;
	make_notes(s, &m);
	for (i = 0; i < s->nnotes; i++)
		notes[i] = s->notes[i];
	watch_spent(&s->watch, &spent);
	r.run = (struct run_info){
		.command = s->cmd->name,
		.duration_ns = until - s->interval_start,
		.have_coverage = true,
		.faults = s->vm.rd.faults,
		.skipped = m.skipped,
		.lost = probe_lost(s->watch.probe),
		.reader_cpu_ms = cpu_ms(),
		.bytes_read = s->vm.rd.bytes_read,
		.traced = true,
		.probe_hits = spent.hits,
		.probe_ns_per_hit = spent.hits ? spent.ns / spent.hits : 0,
		.overhead_percent = 100 * spent.share,
		.notes = notes,
		.nnotes = s->nnotes,
	};
	for (g = 0; g < EB_NGROUPS; g++)
		r.run.coverage[g] = watch_coverage(&s->watch, g);
	err = print_report(s->opt, &r);
	for (i = 0; i < r.ntables; i++)
		report_table_free(&tables[i]);
	model_free(&m);
	s->before = after;
	s->interval_start = until;
	return err;
}

static void progress(struct session *s, uint64_t end)
{
	struct watch_spent spent;
	uint64_t now = now_ns();
	int g;

	watch_spent(&s->watch, &spent);
	fprintf(stderr, "\r%5.1f s", (now - s->watch.guard.start) / 1e9);
	if (end != UINT64_MAX)
		fprintf(stderr, " of %.0f", (end - s->watch.guard.start) / 1e9);
	fprintf(stderr, "  %llu hits, %.2f %% of the busiest thread ", (unsigned long long)spent.hits,
		100 * spent.share);
	for (g = 0; g < EB_NGROUPS; g++)
		if (s->watch.plan.groups >> g & 1)
			fprintf(stderr, " %s%s", probe_attached(s->watch.probe, g) ? "+" : "-",
				guard_group_name(g));
	fputs("   ", stderr);
}

/* How long nothing needs to be looked at; when processes come and go by thousands, not long. */
static uint64_t tick_ns(const struct session *s, uint64_t now)
{
	bool storm = s->base.fold.last_ns && now - s->base.fold.last_ns < STORM_NS;

	return storm ? STORM_TICK_NS : watch_tick_ns(&s->watch);
}

/* Until the time is up, a signal, or the end of the target. */
static int watch_until(struct session *s, uint64_t until, uint64_t end)
{
	struct pollfd pfd = { .fd = s->vm.target.pidfd, .events = POLLIN };
	bool tty = isatty(STDERR_FILENO);
	uint64_t now, left, shown = 0;
	struct timespec ts;

	while (!stop_signal && (now = now_ns()) < until) {
		left = until - now;
		if (left > tick_ns(s, now))
			left = tick_ns(s, now);
		ts = (struct timespec){ left / 1000000000, left % 1000000000 };
		if ((ppoll(&pfd, 1, &ts, NULL) > 0 && pfd.revents) ||
		    (pfd.fd < 0 && !target_alive(&s->vm.target))) {
			s->target_ended = true;
			break;
		}
		collect_step(s->watch.probe, &s->base);
		if (watch_step(&s->watch)) {
			if (target_alive(&s->vm.target))
				return -1;
			failure_clear();
			s->target_ended = true;
			break;
		}
		if (tty && now - shown > 200000000) {
			shown = now;
			progress(s, end);
		}
	}
	if (tty)
		fputs("\r\033[K", stderr);
	return 0;
}

/* While processes are looked at, the guard must not wait. */
static void keep_watching(void *arg)
{
	struct session *s = arg;
	uint64_t now = now_ns();

	if (s->watch.end || now - s->stepped < watch_tick_ns(&s->watch))
		return;
	s->stepped = now;
	/* what goes wrong here goes wrong again, where it is looked at */
	if (watch_step(&s->watch))
		failure_clear();
	collect_step(s->watch.probe, &s->base);
}

static int run_session(struct session *s)
{
	const struct options *opt = s->opt;
	bool repeat = opt->interval_s > 0;
	double seconds = opt->duration_s > 0 ? opt->duration_s : DEFAULT_SECONDS;
	uint64_t end, next;
	size_t rows = 0;

	s->interval_start = s->watch.guard.start;
	collect_counters(&s->vm, &s->before);
	s->base.fresh.tick = keep_watching;
	s->base.fresh.tick_arg = s;
	collect_start(&s->vm, s->cmd->arg, &s->base);
	end = repeat && opt->duration_s <= 0 ? UINT64_MAX : now_ns() + (uint64_t)(seconds * 1e9);
	fprintf(stderr, "Tracing %s (pid %d, OTP %d)%s. Hit Ctrl-C to end.\n",
		s->vm.node[0] ? s->vm.node : "beam.smp", s->vm.target.pid, s->vm.otp,
		repeat ? "" : opt->exact ? ", everything, all the time" : "");
	while (!stop_signal && !s->target_ended && now_ns() < end) {
		next = repeat ? now_ns() + (uint64_t)(opt->interval_s * 1e9) : end;
		if (watch_until(s, next < end ? next : end, end))
			return -1;
		if (stop_signal || s->target_ended || next >= end)
			break;
		if (report_interval(s, &rows))
			return -1;
	}
	watch_stop(&s->watch);
	if (report_interval(s, &rows))
		return -1;
	if (s->target_ended && !rows)
		return fail(EXIT_FAILED, "", "pid %d ended before anything was seen",
			    s->vm.target.pid);
	return 0;
}

static int sort_help(const struct cmd *cmd)
{
	static const unsigned int sections[] = { WANT_BIN, WANT_ALLOC, WANT_CARRIER, WANT_GC };
	static const char *const names[] = { "bin", "alloc", "carrier", "gc" };
	const struct column *cols;
	size_t i, k, n;

	for (i = 0; i < ARRAY_SIZE(sections); i++) {
		if (!(cmd->arg & sections[i]))
			continue;
		cols = report_columns(sections[i], &n);
		printf("%s (default %s)\n", names[i], report_default_sort(sections[i]));
		for (k = 0; k < n; k++)
			if (!strstr(cols[k].key, "histogram") && strcmp(cols[k].key, "by_process") &&
			    strcmp(cols[k].key, "held_by"))
				printf("  %-22s %s\n", cols[k].key, cols[k].help);
	}
	return 0;
}

static int check_options(const struct cmd *cmd, const struct options *opt)
{
	static const char *const bys[] = { "type", "process", "initial_call" };
	static const unsigned int sections[] = { WANT_BIN, WANT_ALLOC, WANT_CARRIER, WANT_GC };
	const struct column *cols;
	bool known = !opt->sort;
	size_t i, k, n;

	if ((cmd->arg == WANT_BIN || cmd->arg == WANT_CARRIER) && !opt->trace)
		return fail(EXIT_USAGE, "add --trace", "`ebeam %s` watches: it needs --trace",
			    cmd->name);
	for (i = 0; i < ARRAY_SIZE(sections); i++) {
		if (!(cmd->arg & sections[i]))
			continue;
		cols = report_columns(sections[i], &n);
		for (k = 0; k < n; k++)
			known = known || !strcmp(cols[k].key, opt->sort);
	}
	if (!known)
		return fail(EXIT_USAGE, "`--sort help` lists the keys", "no key `%s` to sort by",
			    opt->sort);
	if (!opt->by)
		return 0;
	if (!(cmd->arg & WANT_ALLOC))
		return fail(EXIT_USAGE, "it belongs to `ebeam alloc`", "`ebeam %s` has no --by",
			    cmd->name);
	for (i = 0; i < ARRAY_SIZE(bys); i++)
		if (!strcmp(bys[i], opt->by))
			return 0;
	return fail(EXIT_USAGE, "type, process or initial_call", "cannot sum up by `%s`", opt->by);
}

int cmd_trace(const struct cmd *cmd, const struct options *opt)
{
	struct session *s;
	char kernel[64];
	int err = -1;
	pid_t pid;

	if (opt->sort && !strcmp(opt->sort, "help"))
		return sort_help(cmd);
	if (check_options(cmd, opt))
		return -1;
	if (kernel_version(kernel, sizeof(kernel)) < KERNEL_MIN)
		return fail(EXIT_UNSUPPORTED, "tracing needs Linux 5.15 or newer; 6.1 is tested",
			    "kernel %s is too old to trace", kernel);
	pid = pick_target(opt);
	if (!pid)
		return -1;
	catch_signals();
	s = xcalloc(1, sizeof(*s));
	s->cmd = cmd;
	s->opt = opt;
	s->base.fold.max_processes = opt->max_processes;
	if (vm_open(&s->vm, pid, opt->symbols, 0))
		goto out;
	if (!watch_open(&s->watch, &s->vm, cmd->arg, opt->max_overhead, opt->exact,
			opt->max_processes))
		err = run_session(s);
	watch_close(&s->watch);
	collect_base_free(&s->base);
	vm_close(&s->vm);
out:
	free(s);
	return err;
}
