// SPDX-License-Identifier: GPL-2.0-only
/* list: the Erlang VMs of this host, those that cannot be looked at included, with the reason. */
#include "cmd.h"

#include <stdlib.h>
#include <string.h>

struct list_row {
	pid_t pid;
	char node[512], otp[16], erts[32], layout[64], symbols[16], container[80], reason[512];
	bool known, jit, supported;
	const char *arch;
	double uptime_s;
	uint64_t rss;
};

#define GET_TEXT(name, member)                                                                     \
	static void get_##name(const void *row, struct value *v)                                   \
	{                                                                                          \
		const struct list_row *r = row;                                                    \
		v->kind = r->member[0] ? VAL_TEXT : VAL_NONE;                                      \
		v->text = r->member;                                                               \
	}
GET_TEXT(node, node)
GET_TEXT(otp, otp)
GET_TEXT(erts, erts)
GET_TEXT(layout, layout)
GET_TEXT(symbols, symbols)
GET_TEXT(container, container)
GET_TEXT(reason, reason)

static void get_pid(const void *row, struct value *v)
{
	v->kind = VAL_U64;
	v->u = ((const struct list_row *)row)->pid;
}

static void get_emulator(const void *row, struct value *v)
{
	const struct list_row *r = row;

	v->kind = r->known ? VAL_TEXT : VAL_NONE;
	v->text = r->jit ? "jit" : "emu";
}

static void get_arch(const void *row, struct value *v)
{
	const struct list_row *r = row;

	v->kind = r->arch ? VAL_TEXT : VAL_NONE;
	v->text = r->arch;
}

static void get_uptime(const void *row, struct value *v)
{
	const struct list_row *r = row;

	v->kind = r->uptime_s > 0 ? VAL_DOUBLE : VAL_NONE;
	v->d = r->uptime_s;
}

static void get_rss(const void *row, struct value *v)
{
	const struct list_row *r = row;

	v->kind = r->rss ? VAL_U64 : VAL_NONE;
	v->u = r->rss;
}

static void get_supported(const void *row, struct value *v)
{
	v->kind = VAL_BOOL;
	v->b = ((const struct list_row *)row)->supported;
}

static const struct column columns[] = {
	{ "os_pid", "PID", UNIT_NONE, COL_TEXT, "", get_pid },
	{ "node", "NODE", UNIT_NONE, COL_TEXT | COL_SHRINK | COL_LOW_BAD, "", get_node },
	{ "otp_release", "OTP", UNIT_NONE, COL_TEXT, "", get_otp },
	{ "erts", "ERTS", UNIT_NONE, COL_TEXT, "", get_erts },
	{ "emulator", "EMU", UNIT_NONE, COL_TEXT, "", get_emulator },
	{ "arch", "ARCH", UNIT_NONE, COL_DROP, "", get_arch },
	{ "uptime_s", "UP (s)", UNIT_NONE, COL_TEXT, "", get_uptime },
	{ "rss", "RSS", UNIT_BYTES, COL_TEXT, "", get_rss },
	{ "container", "CONTAINER", UNIT_NONE, COL_TEXT | COL_DROP | COL_LOW_BAD, "",
	  get_container },
	{ "symbols", "SYMBOLS", UNIT_NONE, COL_TEXT | COL_DROP, "", get_symbols },
	{ "layout", "LAYOUT", UNIT_NONE, COL_DROP, "", get_layout },
	{ "supported", "OK", UNIT_NONE, COL_TEXT, "", get_supported },
	{ "reason", "REASON", UNIT_NONE, COL_TEXT | COL_SHRINK | COL_LOW_BAD, "", get_reason },
};

/* Returns whether the file of --symbols, if there is one, is of this VM's build. */
static bool look_at(const struct candidate *c, const char *symbols, struct list_row *r,
		    uint64_t *faults, uint64_t *bytes)
{
	struct target t = { .pid = c->pid, .pidfd = -1 };
	struct vm vm;
	bool fits;

	memset(r, 0, sizeof(*r));
	r->pid = c->pid;
	snprintf(r->node, sizeof(r->node), "%s", c->node);
	r->rss = target_rss(&t);
	if (vm_open(&vm, c->pid, symbols, VM_KEEP_GOING | VM_MANY)) {
		snprintf(r->reason, sizeof(r->reason), "%s",
			 failure_get() ? failure_get()->message : "unknown");
	} else {
		r->supported = !failure_get();
		if (!r->supported)
			snprintf(r->reason, sizeof(r->reason), "%s", failure_get()->message);
		else if (vm.unverified)
			snprintf(r->reason, sizeof(r->reason), "unverified: not tested live");
	}
	if (vm.node[0])
		snprintf(r->node, sizeof(r->node), "%s", vm.node);
	if (vm.otp)
		snprintf(r->otp, sizeof(r->otp), "%d", vm.otp);
	snprintf(r->erts, sizeof(r->erts), "%s", vm.erts);
	if (vm.lay) {
		snprintf(r->layout, sizeof(r->layout), "%s", vm.lay->name);
		r->arch = vm.lay->arch;
	}
	r->known = vm.otp > 0;
	r->jit = vm.jit;
	if (vm.sym.source)
		snprintf(r->symbols, sizeof(r->symbols), "%s", vm.sym.source);
	snprintf(r->container, sizeof(r->container), "%s", vm.target.container);
	if (vm.target.start_ticks)
		r->uptime_s = target_uptime_s(&vm.target);
	*faults += vm.rd.faults;
	*bytes += vm.rd.bytes_read;
	fits = vm.sym.rungs[RUNG_GIVEN].status == RUNG_GAVE;
	vm_close(&vm);
	failure_clear();
	return fits;
}

int cmd_list(const struct cmd *cmd, const struct options *opt)
{
	struct report r = { .run = { .command = "list" } };
	uint64_t start = now_ns();
	struct candidate *c;
	struct list_row *rows;
	struct table t;
	int i, n, err = -1;
	bool fits = false;

	n = target_scan(&c);
	rows = xcalloc(n, sizeof(*rows));
	for (i = 0; i < n; i++)
		fits |= look_at(&c[i], opt->symbols, &rows[i], &r.run.faults, &r.run.bytes_read);
	if (opt->symbols && !fits) {
		fail(EXIT_UNSUPPORTED, "`ebeam doctor` tells the build id of a VM",
		     "--symbols %s: it is of the build of no VM on this host", opt->symbols);
		goto out;
	}
	report_plain(&t, "list", columns, ARRAY_SIZE(columns), rows, sizeof(*rows), n);
	r.tables = &t;
	r.ntables = 1;
	r.run.duration_ns = now_ns() - start;
	r.run.reader_cpu_ms = cpu_ms();
	err = print_report(opt, &r);
	report_table_free(&t);
out:
	free(rows);
	free(c);
	return err;
}
