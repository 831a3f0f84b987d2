// SPDX-License-Identifier: GPL-2.0-only
/*
 * The recorded VMs, read as live ones would be: the layout is proven, and names, pids, initial
 * calls and held binaries of every process are what the node itself said at that moment.
 */
#include "fixture.h"
#include "snap_held.h"
#include "tap.h"
#include "term.h"

#include <json-c/json.h>

struct tally {
	unsigned int seen, names, calls, refs, bytes, whole, found;
	unsigned int registered, holders; /* that the test has something to look at */
};

static json_object *key(json_object *o, const char *name)
{
	json_object *v = NULL;

	json_object_object_get_ex(o, name, &v);
	return v;
}

static int64_t number(json_object *o, const char *name)
{
	return json_object_get_int64(key(o, name));
}

/* As ebeam gives it out: escaped; names may contain NUL. */
static void escaped(json_object *s, char *buf, size_t size)
{
	text_escape(json_object_get_string(s), json_object_get_string_len(s), buf, size);
}

static json_object *process_of(json_object *oracle, const char *pid)
{
	json_object *list = key(oracle, "processes"), *o;
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++) {
		o = json_object_array_get_idx(list, i);
		if (!strcmp(json_object_get_string(key(o, "pid")), pid))
			return o;
	}
	return NULL;
}

static bool same_text(const char *pid, const char *what, const char *got, const char *want)
{
	bool same = got && want ? !strcmp(got, want) : got == want;

	if (!same)
		diag("%s: %s is %s, the node says %s", pid, what, got ? got : "-",
		     want ? want : "-");
	return same;
}

static bool same_number(const char *pid, const char *what, uint64_t got, uint64_t want)
{
	if (got != want)
		diag("%s: %s is %" PRIu64 ", the node says %" PRIu64, pid, what, got, want);
	return got == want;
}

static void check_names(struct vm *vm, const struct proc_image *p, const char *pid,
			json_object *o, struct tally *t)
{
	json_object *name = key(o, "registered_name"), *mfa = key(o, "initial_call");
	char reg[TERM_TEXT], m[TERM_TEXT], f[TERM_TEXT], call[2 * TERM_TEXT + 8];
	struct proc_names names;

	snap_proc_names(vm, p, &names);
	if (name)
		escaped(name, reg, sizeof(reg));
	t->registered += name != NULL;
	t->names += same_text(pid, "registered_name", names.registered, name ? reg : NULL);
	escaped(json_object_array_get_idx(mfa, 0), m, sizeof(m));
	escaped(json_object_array_get_idx(mfa, 1), f, sizeof(f));
	snprintf(call, sizeof(call), "%s:%s/%d", m, f,
		 json_object_get_int(json_object_array_get_idx(mfa, 2)));
	t->calls += same_text(pid, "initial_call", names.initial_call, call);
	proc_names_free(&names);
}

static void check_process(struct vm *vm, const struct proc_id *id, json_object *oracle,
			  struct tally *t)
{
	struct held_walk walk = { .refs_budget = 1000000 };
	struct proc_image image, again;
	struct held_bins held;
	json_object *o;
	char pid[64];

	term_pid_text(vm, id->id, pid, sizeof(pid));
	o = process_of(oracle, pid);
	if (!o) {
		diag("the node has no %s", pid);
		return;
	}
	t->seen++;
	t->found += !snap_proc_find(vm, id->id, &again) && again.addr == id->addr;
	if (snap_held_bins(vm, id, &walk, &held, &image)) {
		diag("%s cannot be walked", pid);
		return;
	}
	check_names(vm, &image, pid, o, t);
	t->holders += held.refs > 0;
	t->refs += same_number(pid, "references", held.refs, number(o, "binary_refs"));
	t->bytes += same_number(pid, "bytes", held.bytes, number(o, "binary_bytes"));
	t->whole += !held.partial;
}

static unsigned int schedulers(const struct vm *vm, enum sched_kind kind)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < vm->nscheds; i++)
		n += vm->scheds[i].kind == kind && vm->scheds[i].tid > 0;
	return n;
}

static void check_vm(struct vm *vm, int otp, json_object *oracle)
{
	struct tally t = { 0 };
	struct proc_ids ids;
	unsigned int n;
	char name[32];
	size_t i;

	ok(vm->npassed >= 55, "otp %d: %zu checks of the layout pass", otp, vm->npassed);
	for (i = 0, n = 0; i < vm->nchecks; i++)
		n += vm->checks[i].status == CHECK_SKIP;
	is_u64(n, 0, "otp %d: none is skipped", otp);
	is_u64(vm->trust, LAYOUT_RELEASE, "otp %d: the build is not known", otp);
	for (i = 0, n = 0; i < LAYOUT_NFIELDS; i++)
		n += vm->unproven[i] && !layout_field_unproven(i);
	is_u64(n, 0, "otp %d: each field could be proven", otp);
	is_u64(vm->otp, atoi(json_object_get_string(key(oracle, "otp_release"))),
	       "otp %d: release", otp);
	is_str(vm->erts, json_object_get_string(key(oracle, "erts")), "otp %d: erts", otp);
	is_str(vm->node, json_object_get_string(key(oracle, "node")), "otp %d: node name", otp);
	is_u64(schedulers(vm, SCHED_NORMAL), number(oracle, "schedulers"),
	       "otp %d: schedulers, their threads known", otp);
	is_u64(schedulers(vm, SCHED_DIRTY_CPU), number(oracle, "dirty_cpu"),
	       "otp %d: dirty cpu schedulers", otp);
	is_u64(schedulers(vm, SCHED_DIRTY_IO), number(oracle, "dirty_io"),
	       "otp %d: dirty io schedulers", otp);
	scheduler_name(&vm->scheds[vm->nnormal], name, sizeof(name));
	is_str(name, "dirty_cpu 1", "otp %d: name of the scheduler behind the ordinary ones", otp);
	is_str(term_atom(vm, vm->atom_initial_call), "$initial_call",
	       "otp %d: the atom '$initial_call' is found", otp);

	if (!ok(!snap_proc_ids(vm, &ids), "otp %d: the process table is read", otp))
		return;
	n = number(oracle, "process_count");
	is_u64(ids.n, n, "otp %d: processes", otp);
	is_u64(ids.used, n, "otp %d: slots in use", otp);
	for (i = 0; i < ids.n; i++)
		check_process(vm, &ids.v[i], oracle, &t);
	is_u64(t.seen, n, "otp %d: all pids print as in the node", otp);
	is_u64(t.found, n, "otp %d: all pids are found by their slot", otp);
	is_u64(t.names, n, "otp %d: all registered names", otp);
	is_u64(t.calls, n, "otp %d: all initial calls", otp);
	is_u64(t.refs, n, "otp %d: all numbers of references", otp);
	is_u64(t.bytes, n, "otp %d: all bytes of binaries", otp);
	is_u64(t.whole, n, "otp %d: no list was cut", otp);
	ok(t.registered > 30 && t.holders > 15, "otp %d: %u have a name, %u hold binaries", otp,
	   t.registered, t.holders);
	is_u64(vm->rd.faults, 0, "otp %d: every address read had been recorded", otp);
	ok(!snap_proc_find(vm, 0x3, &(struct proc_image){ 0 }) ||
		   ids.v[0].id == 0x3,
	   "otp %d: a pid that is not there is not found", otp);
	ok(snap_proc_find(vm, ids.v[5].id ^ 1ULL << 30, &(struct proc_image){ 0 }),
	   "otp %d: nor is an earlier one of the same slot", otp);
	snap_proc_ids_free(&ids);
}

/* What vm_load read of types and allocators, against what is the same in every OTP release. */
static void check_allocators(struct vm *vm, int otp)
{
	unsigned int a = VM_TYPE_ALLOCATOR(vm->type_binary), n = 0, code = 0;
	size_t i;

	is_str(vm->allocator_name[a], "binary_alloc", "otp %d: the type binary's allocator", otp);
	is_str(vm->type_name[VM_TYPE_NUMBER(vm->type_binary)], "binary",
	       "otp %d: the type's number leads back to its name", otp);
	is_str(vm->type_name[VM_TYPE_NUMBER(vm->type_drv_binary)], "drv_binary",
	       "otp %d: and that of drv_binary", otp);
	for (i = 0; i < vm->ninsts; i++)
		n += vm->insts[i].alloc_no == a;
	/* one a scheduler, and one for all others */
	is_u64(n, vm->nnormal + 1, "otp %d: instances of binary_alloc", otp);
	for (i = 1; i < VM_MAX_ALLOCATORS; i++)
		code += !vm->allocator_name[i][0] || (vm->allctrs[i].alloc && vm->allctrs[i].free);
	is_u64(code, VM_MAX_ALLOCATORS - 1, "otp %d: all allocators have entry points", otp);
}

int main(void)
{
	json_object *oracle;
	struct vm vm;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(releases); i++) {
		int otp = releases[i];

		oracle = json_object_from_file(fixture_path(otp, "json"));
		if (!ok(oracle != NULL, "otp %d: the node's own answers", otp))
			continue;
		if (ok(!vm_open_recording(&vm, fixture_path(otp, "rec.gz")),
		       "otp %d: the recording opens", otp)) {
			check_vm(&vm, otp, oracle);
			check_allocators(&vm, otp);
			vm_close(&vm);
		} else if (failure_get()) {
			diag("%s", failure_get()->message);
		}
		failure_clear();
		json_object_put(oracle);
	}
	return done();
}
