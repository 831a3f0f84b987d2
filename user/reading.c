// SPDX-License-Identifier: GPL-2.0-only
#include "reading.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile sig_atomic_t stop_signal;

static void on_signal(int sig)
{
	stop_signal = sig;
}

/* Once: stop after the report under way; twice: at once, there being nothing to clean up. */
static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

void reading_note(struct reading *r, const char *fmt, ...)
{
	va_list ap;

	if (r->nnotes == READING_NOTES) {
		r->not_kept = true;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(r->notes[r->nnotes++], sizeof(r->notes[0]), fmt, ap);
	va_end(ap);
}

static int print_round(struct reading *r, struct table *t, uint64_t start, double cpu,
		       const struct reader *before)
{
	const char *notes[READING_NOTES];
	struct report report = { .vm = &r->vm, .tables = t, .ntables = 1 };
	struct run_info *run = &report.run;
	size_t i;

	for (i = 0; i < r->nnotes; i++)
		notes[i] = r->notes[i];
	if (r->not_kept)
		notes[READING_NOTES - 1] = "there were more notes than are shown here";
	run->command = r->cmd->name;
	run->duration_ns = now_ns() - start;
	run->faults = r->vm.rd.faults - before->faults;
	run->bytes_read = r->vm.rd.bytes_read - before->bytes_read;
	run->reader_cpu_ms = cpu_ms() - cpu;
	run->skipped = r->skipped;
	run->notes = notes;
	run->nnotes = r->nnotes;
	if (r->round && !r->opt->json)
		putchar('\n');
	return print_report(r->opt, &report);
}

/* Returns 1 when there was nothing to print. */
static int one_round(struct reading *r, const struct reading_ops *ops, double cpu,
		     const struct reader *before)
{
	uint64_t start = now_ns();
	struct table t = { 0 };
	int err;

	r->nnotes = r->skipped = 0;
	r->not_kept = false;
	err = ops->round(r, &t);
	if (err < 0 && r->vm.rd.lost) {
		failure_clear();
		fail(r->vm.rd.lost == EPERM ? EXIT_PERMISSION : EXIT_FAILED, "",
		     r->vm.rd.lost == EPERM ? "pid %d may not be read any more" :
					      "pid %d ended while it was read",
		     r->vm.target.pid);
	} else if (!err) {
		err = print_round(r, &t, start, cpu, before);
	}
	report_table_free(&t);
	if (ops->release)
		ops->release(r);
	return err;
}

/* False when the target ended, or a signal came. */
static bool wait_until(struct reading *r, uint64_t when)
{
	struct pollfd pfd = { .fd = r->vm.target.pidfd, .events = POLLIN };
	struct timespec ts;
	uint64_t now, left;

	while (!stop_signal) {
		now = now_ns();
		if (now >= when)
			return target_alive(&r->vm.target);
		left = when - now;
		ts = (struct timespec){ left / 1000000000, left % 1000000000 };
		if (ppoll(&pfd, 1, &ts, NULL) > 0 && pfd.revents)
			return false;
	}
	return false;
}

static int rounds(struct reading *r, const struct reading_ops *ops)
{
	double every = r->opt->interval_s, last_s = r->opt->duration_s, cpu = 0;
	uint64_t start = now_ns(), begun = start, next = start;
	struct reader before = { 0 }; /* the first report's cost is that of opening, too */
	bool printed = false;
	int err;

	for (;; r->round++) {
		err = one_round(r, ops, cpu, &before);
		if (err < 0) {
			/*
			 * The node's end is what -i was waiting for.  Its memory goes a while
			 * before the kernel says so.
			 */
			if (!printed || (r->vm.rd.lost != ESRCH && target_alive(&r->vm.target)))
				return -1;
			failure_clear();
			break;
		}
		printed |= !err;
		next += every * 1e9;
		if (next < now_ns()) /* a round took longer than the interval */
			next = now_ns();
		if (every < 0 || (last_s >= 0 && next > start + last_s * 1e9 + every * 5e8))
			return 0;
		before = r->vm.rd;
		cpu = cpu_ms();
		if (!wait_until(r, next))
			break;
		r->seconds = (now_ns() - begun) / 1e9;
		begun = now_ns();
	}
	if (stop_signal)
		return 0;
	if (!printed)
		return fail(EXIT_FAILED, "", "pid %d ended before there was anything to report",
			    r->vm.target.pid);
	fprintf(stderr, "ebeam: pid %d ended\n", r->vm.target.pid);
	return 0;
}

static int sort_help(const struct reading_ops *ops)
{
	size_t i;

	for (i = 0; i < ops->ncols; i++)
		if (ops->cols[i].flags & COL_NO_SORT)
			continue;
		else
			printf("%-22s %s%s\n", ops->cols[i].key, ops->cols[i].help,
			       strcmp(ops->cols[i].key, ops->default_sort) ? "" : " (default)");
	return 0;
}

static int check_options(const struct cmd *cmd, const struct options *opt,
			 const struct reading_ops *ops)
{
	const struct column *c = report_find(ops->cols, ops->ncols, opt->sort);
	char keys[256] = "";
	size_t i, n = 0;

	if (opt->sort && (!c || c->flags & COL_NO_SORT))
		return fail(EXIT_USAGE, "`--sort help` lists the keys", "no key `%s` to sort by",
			    opt->sort);
	if (opt->by && !ops->bys)
		return fail(EXIT_USAGE, "`ebeam -h` shows the options", "`ebeam %s` has no --by",
			    cmd->name);
	for (i = 0; opt->by && ops->bys[i]; i++) {
		if (!strcmp(opt->by, ops->bys[i]))
			break;
		n += snprintf(keys + n, n < sizeof(keys) ? sizeof(keys) - n : 0, "%s%s",
			      n ? ", " : "", ops->bys[i]);
	}
	if (opt->by && !ops->bys[i])
		return fail(EXIT_USAGE, keys, "cannot sum up by `%s`", opt->by);
	return ops->check ? ops->check(opt) : 0;
}

int reading_run(const struct cmd *cmd, const struct options *opt, const struct reading_ops *ops)
{
	struct reading *r;
	int err = -1;
	pid_t pid;

	if (opt->sort && !strcmp(opt->sort, "help"))
		return sort_help(ops);
	if (check_options(cmd, opt, ops))
		return -1;
	pid = pick_target(opt);
	if (!pid)
		return -1;
	r = xcalloc(1, sizeof(*r));
	r->cmd = cmd;
	r->opt = opt;
	r->limit = opt->limit < 0 ? ops->default_limit : (size_t)opt->limit;
	r->state = xcalloc(1, ops->state_size + 1);
	if (!vm_open(&r->vm, pid, opt->symbols, 0)) {
		catch_signals();
		if (!ops->open || !ops->open(r))
			err = rounds(r, ops);
		if (ops->close)
			ops->close(r);
		vm_close(&r->vm);
	}
	free(r->state);
	free(r);
	return err;
}
