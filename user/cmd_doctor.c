// SPDX-License-Identifier: GPL-2.0-only
/*
 * doctor: everything that must be right for a trace, checked one by one: kernel, capabilities, the
 * VM's symbols, the proof of its layout, what the reading commands need, and every probe site with the
 * instruction under it.
 */
#include "check_reads.h"
#include "cmd.h"
#include "hits.h"
#include "probe.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

struct check {
	char name[80], detail[512], hint[512]; /* copied: a failure is gone when they are shown */
	const char *status;
};

struct checkup {
	struct check *v;
	size_t n;
	bool failed;
};

static const char *const status_names[] = { "ok", "warn", "fail", "skip" };

static void add(struct checkup *c, int status, const char *name, const char *hint,
		const char *fmt, ...) __attribute__((format(printf, 5, 6)));
static void add(struct checkup *c, int status, const char *name, const char *hint,
		const char *fmt, ...)
{
	struct check *k;
	va_list ap;

	c->v = xrealloc(c->v, (c->n + 1) * sizeof(*c->v));
	k = &c->v[c->n++];
	snprintf(k->name, sizeof(k->name), "%s", name);
	k->status = status_names[status];
	snprintf(k->hint, sizeof(k->hint), "%s", hint);
	c->failed |= status == CHECK_FAIL;
	va_start(ap, fmt);
	vsnprintf(k->detail, sizeof(k->detail), fmt, ap);
	va_end(ap);
}

static void get_status(const void *row, struct value *v)
{
	v->kind = VAL_TEXT;
	v->text = ((const struct check *)row)->status;
}
static void get_check(const void *row, struct value *v)
{
	v->kind = VAL_TEXT;
	v->text = ((const struct check *)row)->name;
}
static void get_detail(const void *row, struct value *v)
{
	v->kind = VAL_TEXT;
	v->text = ((const struct check *)row)->detail;
}
static void get_hint(const void *row, struct value *v)
{
	const struct check *c = row;

	v->kind = c->hint[0] ? VAL_TEXT : VAL_NONE;
	v->text = c->hint;
}

static const struct column columns[] = {
	{ "status", "STATUS", UNIT_NONE, COL_TEXT | COL_LOW_BAD, "", get_status },
	{ "check", "CHECK", UNIT_NONE, COL_TEXT | COL_LOW_BAD, "", get_check },
	{ "detail", "DETAIL", UNIT_NONE, COL_TEXT | COL_WRAP | COL_LOW_BAD, "", get_detail },
	{ "hint", "HINT", UNIT_NONE, COL_LOW_BAD, "", get_hint },
};

static void check_host(struct checkup *c, struct probe_kernel *k)
{
	static const struct { int cap; const char *name, *why; } caps[] = {
		{ CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "to read the memory of VMs" },
		{ 39, "CAP_BPF", "to load the probes" },
		{ 38, "CAP_PERFMON", "to set uprobes" },
	};
	bool admin = have_capability(CAP_SYS_ADMIN);
	struct probe_cost cost;
	char kernel[64];
	size_t i;

	if (kernel_version(kernel, sizeof(kernel)) < KERNEL_MIN)
		add(c, CHECK_FAIL, "kernel", "Linux 5.15 or newer is needed to trace", "%s", kernel);
	else
		add(c, CHECK_OK, "kernel", "", "%s", kernel);
	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		if (have_capability(caps[i].cap) || (i && admin))
			add(c, CHECK_OK, caps[i].name, "", "%s", caps[i].why);
		else
			add(c, CHECK_FAIL, caps[i].name, "run as root, or give ebeam this capability",
			    "missing; needed %s", caps[i].why);
	}
	probe_kernel_check(k);
	if (k->err) {
		add(c, CHECK_FAIL, "bpf", "a missing capability, a seccomp filter or lockdown",
		    "a program of two instructions is refused: %s", strerror(k->err));
		return;
	}
	add(c, CHECK_OK, "bpf", "", "programs can be loaded");
	if (k->multi)
		add(c, CHECK_OK, "uprobe_multi", "", "one link for many sites");
	else
		add(c, CHECK_WARN, "uprobe_multi", "kernel 6.6 and newer have it",
		    "missing: one perf link per site, detaching takes longer");
	if (k->session)
		add(c, CHECK_OK, "uprobe_session", "", "a return is probed only where it matters");
	else
		add(c, CHECK_WARN, "uprobe_session", "kernel 6.13 and newer have it",
		    "missing: the return of every allocation is probed for lifetimes");
	if (probe_calibrate(k, true, &cost)) {
		add(c, CHECK_FAIL, "uprobes", "the perf or uprobe subsystem may be switched off",
		    "a probe on ebeam itself does not work");
		failure_clear();
		return;
	}
	add(c, CHECK_OK, "uprobes", "", "a hit costs %.0f ns, with return %.0f ns, single-stepped %.0f "
	    "ns", cost.entry, cost.ret, cost.stepped);
}

#define ALL_SECTIONS (WANT_ALLOC | WANT_BIN | WANT_CARRIER | WANT_GC)

static int check_sites(struct checkup *c, struct vm *vm, const struct probe_kernel *k)
{
	struct probe_plan plan;
	const struct probe_site *s;
	char name[80];
	size_t i;

	if (probe_plan(vm, k, ALL_SECTIONS, &plan)) {
		add(c, CHECK_FAIL, "functions", failure_get()->hint, "%s", failure_get()->message);
		return -1;
	}
	add(c, CHECK_OK, "functions", "", "the code is what the symbols say");
	for (i = 0; i < plan.n; i++) {
		s = &plan.sites[i];
		snprintf(name, sizeof(name), "site %s%s", s->site.name, s->is_return ? " return" : "");
		add(c, s->site.class == SITE_STEPPED ? CHECK_WARN : CHECK_OK, name,
		    s->site.class == SITE_STEPPED ? "each hit costs some ten times more" : "",
		    "`%s` at +%u, %s; address 0x%llx, offset 0x%llx", s->site.insn, s->site.skip,
		    site_class_name(s->site.class),
		    (unsigned long long)(s->site.link_addr + s->site.skip + vm->sym.bias),
		    (unsigned long long)s->site.offset);
	}
	for (i = 0; i < plan.nmissing; i++) {
		snprintf(name, sizeof(name), "site %s", plan.missing[i].name);
		add(c, CHECK_WARN, name, "what it would show is missing", "%s", plan.missing[i].why);
	}
	return 0;
}

/* Few calls say little: their counts cannot be read at the same moment. */
#define FEW_CALLS 20

static void judge_hits(struct checkup *c, const struct site_hits *h)
{
	char name[80];

	snprintf(name, sizeof(name), "hits %s", h->name);
	if (!h->watched_ns)
		add(c, CHECK_SKIP, name, "try again with a higher --max-overhead",
		    "not watched within the budget");
	else if (!h->counted)
		add(c, h->hits ? CHECK_OK : CHECK_SKIP, name, "",
		    "%llu hits; the VM keeps no count of its own", (unsigned long long)h->hits);
	else if (!h->hits && !h->vm)
		add(c, CHECK_SKIP, name, "", "not called in this second");
	else if (h->vm >= FEW_CALLS && !h->hits)
		add(c, CHECK_WARN, name,
		    "the compiler may have inlined it; what only this site shows is missing",
		    "silent: no hit, while the VM counted %llu calls", (unsigned long long)h->vm);
	else if (h->vm >= FEW_CALLS && h->hits < h->vm / 10 * 9)
		add(c, CHECK_WARN, name, "part of the callers may bypass it",
		    "%llu hits, while the VM counted %llu calls", (unsigned long long)h->hits,
		    (unsigned long long)h->vm);
	else
		add(c, CHECK_OK, name, "", "%llu hits, %llu calls by the VM's own counter",
		    (unsigned long long)h->hits, (unsigned long long)h->vm);
}

/* A second of watching, within the budget: does every site see what the VM counts? */
static void check_hits(struct checkup *c, struct vm *vm, const struct options *opt)
{
	struct site_hits *h = NULL;
	struct watch w;
	size_t n = 0, i;

	if (!watch_open(&w, vm, ALL_SECTIONS, opt->max_overhead, false, 1024))
		h = hits_compare(vm, &w, 1000000000, &n);
	if (!h) {
		add(c, CHECK_FAIL, "hits", failure_get() ? failure_get()->hint : "", "%s",
		    failure_get() ? failure_get()->message : "the sites cannot be watched");
		failure_clear();
	}
	watch_stop(&w);
	for (i = 0; i < n; i++)
		judge_hits(c, &h[i]);
	watch_close(&w);
	free(h);
}

/* A line for each rung of the ladder: what it gave, or why it gave nothing. */
static void check_symbols(struct checkup *c, const struct symbols *s)
{
	static const int status[] = {
		[RUNG_UNTRIED] = CHECK_SKIP, [RUNG_NOTHING] = CHECK_SKIP,
		[RUNG_REFUSED] = CHECK_WARN, [RUNG_GAVE] = CHECK_OK,
	};
	const struct rung_result *r;
	char name[80], all[40];
	int i;

	add(c, CHECK_OK, "build id", "", "%s", s->build_id[0] ? s->build_id : "none");
	for (i = 0; i < RUNG_N; i++) {
		r = &s->rungs[i];
		snprintf(name, sizeof(name), "symbols %s", rung_name(i));
		if (r->status == RUNG_UNTRIED) {
			add(c, CHECK_SKIP, name, "", i == RUNG_GIVEN ? "no --symbols FILE given" :
			    symbols_missing(s) ? "not tried" : "not needed: no name is missing");
		} else if (r->status != RUNG_GAVE) {
			add(c, status[r->status], name,
			    r->status == RUNG_REFUSED && i == RUNG_DEBUGFILE ?
			    "install the debug file of this very build" : "", "%s%s%s", r->file,
			    r->file[0] ? ": " : "", r->why);
		} else {
			snprintf(all, sizeof(all),
				 r->needed == s->nneeded ? "all %zu" : "%zu of the %zu", r->needed,
				 s->nneeded);
			add(c, CHECK_OK, name, "", "%zu, %s needed%s%s", r->symbols, all,
			    r->file[0] ? "; " : "", r->file);
		}
	}
}

static void tell_read(void *arg, const char *part, const char *command, const char *why)
{
	char name[80];

	snprintf(name, sizeof(name), "read %s", part);
	add(arg, why[0] ? CHECK_WARN : CHECK_OK, name,
	    why[0] ? "what rests on it is missing in the reports" : "", "for %s%s%s", command,
	    why[0] ? ": " : "", why);
}

static void check_vm(struct checkup *c, struct vm *vm, const struct probe_kernel *k, pid_t pid,
		     const struct options *opt)
{
	int err = vm_open(vm, pid, opt->symbols, VM_KEEP_GOING);
	size_t i;

	if (vm->target.map_start)
		add(c, CHECK_OK, "memory", "", "pid %d runs %s%s", pid, vm->target.exe,
		    vm->target.exe_replaced ? " (replaced on disk since)" : "");
	if (vm->sym.n)
		check_symbols(c, &vm->sym);
	for (i = 0; i < vm->nchecks; i++)
		add(c, vm->checks[i].status, vm->checks[i].name,
		    vm->checks[i].status == CHECK_FAIL ? "this build may be patched" : "", "%s",
		    vm->checks[i].detail);
	/* also where vm_open() went on: not every reason is a check */
	if (failure_get())
		add(c, CHECK_FAIL, "target", failure_get()->hint, "%s", failure_get()->message);
	if (err || failure_get())
		return;
	check_reads(vm, tell_read, c);
	if (!check_sites(c, vm, k) && !k->err)
		check_hits(c, vm, opt);
}

int cmd_doctor(const struct cmd *cmd, const struct options *opt)
{
	struct report r = { .run = { .command = "doctor" } };
	uint64_t start = now_ns();
	struct failure first = { 0 };
	struct checkup c = { 0 };
	struct probe_kernel k;
	struct table t;
	struct vm vm;
	pid_t pid;
	int err;

	pid = pick_target(opt);
	if (!pid)
		return -1;
	check_host(&c, &k);
	check_vm(&c, &vm, &k, pid, opt);
	if (failure_get())
		first = *failure_get();
	failure_clear();
	report_plain(&t, "doctor", columns, ARRAY_SIZE(columns), c.v, sizeof(*c.v), c.n);
	r.vm = opt->json ? &vm : NULL;
	r.tables = &t;
	r.ntables = 1;
	r.run.duration_ns = now_ns() - start;
	r.run.reader_cpu_ms = cpu_ms();
	r.run.bytes_read = vm.rd.bytes_read;
	r.run.faults = vm.rd.faults;
	err = print_report(opt, &r);
	/* the report is the message; the status says whether a trace would work */
	if (!err && first.status)
		exit(first.status);
	if (!err && c.failed)
		exit(k.err == 1 || !have_capability(CAP_SYS_PTRACE) ? EXIT_PERMISSION :
								     EXIT_UNSUPPORTED);
	report_table_free(&t);
	vm_close(&vm);
	free(c.v);
	return err;
}
