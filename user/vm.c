// SPDX-License-Identifier: GPL-2.0-only
#include "vm.h"
#include "term.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What a build without these symbols is: OTP 29 and later hide all of ERTS's. */
static const char *const needed[] = {
	"etp_otp_release", "etp_erts_version", "erts_proc", "erts_port", "erts_atom_table",
	"erts_allctrs", "erts_allctrs_info", "erts_allctr_thr_spec", "erts_alc_n2td",
	"erts_alc_n2t", "erts_alc_a2ad", "erts_aligned_scheduler_data", "erts_no_schedulers",
};

void vm_check(struct vm *vm, int status, const char *name, const char *fmt, ...)
{
	struct vm_check *c;
	va_list ap;

	if (vm->nchecks == ARRAY_SIZE(vm->checks))
		return;
	c = &vm->checks[vm->nchecks++];
	c->status = status;
	snprintf(c->name, sizeof(c->name), "%s", name);
	va_start(ap, fmt);
	vsnprintf(c->detail, sizeof(c->detail), fmt, ap);
	va_end(ap);
	vm->npassed += status == CHECK_OK;
	log_all("%s: %s: %s", status == CHECK_OK ? "proved" : "NOT proved", c->name, c->detail);
}

static const char *machine_name(int machine)
{
	switch (machine) {
	case EM_X86_64:
		return "x86_64";
	case EM_AARCH64:
		return "aarch64";
	}
	return "unknown";
}

static bool etp_string(struct vm *vm, const char *name, char *buf, size_t size)
{
	char raw[64];
	vmaddr_t addr = symbols_addr(&vm->sym, name);

	if (!addr || !reader_string(&vm->rd, addr, raw, sizeof(raw)))
		return false;
	text_escape(raw, strlen(raw), buf, size);
	return true;
}

/* An exported u32, or @absent where this build has no such symbol. */
static uint32_t etp_u32(struct vm *vm, const char *name, uint32_t absent)
{
	vmaddr_t addr = symbols_addr(&vm->sym, name);
	uint32_t v;

	return addr && reader_u32(&vm->rd, addr, &v) ? v : absent;
}

static int lost_target(struct vm *vm)
{
	if (vm->rd.lost == 1 /* EPERM */)
		return fail(EXIT_PERMISSION, "run as root, or give ebeam CAP_SYS_PTRACE",
			    "cannot read the memory of pid %d: operation not permitted (needs "
			    "CAP_SYS_PTRACE)",
			    vm->target.pid);
	return fail(EXIT_FAILED, "", "pid %d ended while it was looked at", vm->target.pid);
}

static int choose_layout(struct vm *vm)
{
	static const char *const builds[][2] = {
		{ "etp_lock_count", "with lock counting" },
		{ "etp_lock_check", "with lock checking" },
		{ "etp_debug_compiled", "as debug build" },
	};
	char release[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(needed); i++)
		if (!symbols_find(&vm->sym, needed[i]))
			return fail(EXIT_UNSUPPORTED,
				    "use OTP 23 to 28, or a build whose symbols are not stripped",
				    "%s of pid %d hides its symbols: no %s in .%s", vm->target.exe,
				    vm->target.pid, needed[i], vm->sym.source);
	if (!etp_string(vm, "etp_otp_release", release, sizeof(release)) ||
	    !etp_string(vm, "etp_erts_version", vm->erts, sizeof(vm->erts))) {
		if (vm->rd.lost)
			return lost_target(vm);
		return fail(EXIT_UNSUPPORTED, "", "cannot read the OTP release of pid %d",
			    vm->target.pid);
	}
	vm->otp = atoi(release);
	vm->jit = etp_u32(vm, "etp_beamasm", 0);
	for (i = 0; i < ARRAY_SIZE(builds); i++)
		if (etp_u32(vm, builds[i][0], 0))
			return fail(EXIT_UNSUPPORTED, "run an ordinary build of the emulator",
				    "pid %d runs an emulator built %s: its structures differ",
				    vm->target.pid, builds[i][1]);
	if (vm->sym.has_probes)
		return fail(EXIT_UNSUPPORTED, "run an ordinary build of the emulator",
			    "pid %d runs an emulator built with dynamic tracing: its structures "
			    "differ",
			    vm->target.pid);
	vm->row = layout_find(vm->otp, vm->jit, machine_name(vm->sym.machine));
	if (!vm->row)
		return fail(EXIT_UNSUPPORTED, "OTP 23, 25 and 27 on x86_64 are supported",
			    "no layout for OTP %s (erts %s, %s, %s) of pid %d", release, vm->erts,
			    vm->jit ? "jit" : "emu", machine_name(vm->sym.machine),
			    vm->target.pid);
	vm->layout = *vm->row;
	vm->lay = &vm->layout;
	vm->unverified = !vm->lay->facts->tested;
	log_step("pid %d: OTP %d, erts %s, %s, layout %s, symbols from .%s", vm->target.pid,
		 vm->otp, vm->erts, vm->jit ? "jit" : "emu", vm->lay->name, vm->sym.source);
	layout_dump(vm->lay);
	return 0;
}

/* A mask of ErtsPTab: u32 until 25, u64 from 26. */
static bool ptab_mask(struct vm *vm, unsigned int off, uint64_t *v)
{
	*v = 0;
	return reader_copy(&vm->rd, vm->proc_tab + off, v, vm->lay->f.ptab_pix_mask_size & 8 ? 8 : 4);
}

static void read_process_table(struct vm *vm)
{
	const struct layout_fields *f = &vm->lay->f;

	vm->proc_tab = symbols_addr(&vm->sym, "erts_proc");
	vm->port_tab = symbols_addr(&vm->sym, "erts_port");
	vm->atom_tab = symbols_addr(&vm->sym, "erts_atom_table");
	reader_u64(&vm->rd, vm->proc_tab + f->ptab_tab, &vm->tab);
	reader_u32(&vm->rd, vm->proc_tab + f->ptab_max, &vm->proc_max);
	reader_u64(&vm->rd, vm->proc_tab + f->ptab_invalid_element, &vm->invalid_element);
	ptab_mask(vm, f->ptab_pix_mask, &vm->pix_mask);
	ptab_mask(vm, f->ptab_pix_cl_mask, &vm->pix_cl_mask);
	ptab_mask(vm, f->ptab_pix_cli_mask, &vm->pix_cli_mask);
	reader_u32(&vm->rd, vm->proc_tab + f->ptab_pix_cl_shift, &vm->pix_cl_shift);
	reader_u32(&vm->rd, vm->proc_tab + f->ptab_pix_cli_shift, &vm->pix_cli_shift);
	vm->pix_cl_shift &= 63;
	vm->pix_cli_shift &= 63;
}

/* struct pthread's tid: glibc on x86_64, 2.31 to 2.41. */
#define PTHREAD_TID_X86_64 0x2d0

static void add_schedulers(struct vm *vm, const char *array, const char *count,
			   enum sched_kind kind)
{
	const struct layout_fields *f = &vm->lay->f;
	uint32_t n = etp_u32(vm, count, 0), tid;
	vmaddr_t base = symbols_addr(&vm->sym, array);
	uint64_t first, pthread, no;
	struct scheduler *s;
	uint32_t i;

	if (!n || n > VM_MAX_SCHEDULERS || !base || !reader_u64(&vm->rd, base, &first))
		return;
	vm->scheds = xrealloc(vm->scheds, (vm->nscheds + n) * sizeof(*vm->scheds));
	for (i = 0; i < n; i++) {
		s = &vm->scheds[vm->nscheds];
		s->addr = first + (uint64_t)i * f->sched_stride;
		s->kind = kind;
		s->tid = 0;
		if (!reader_u64(&vm->rd, s->addr + f->sched_tid, &pthread) ||
		    !reader_u64(&vm->rd, s->addr +
				(kind == SCHED_NORMAL ? f->sched_no : f->sched_dirty_no), &no))
			continue;
		s->no = no;
		if (reader_u32(&vm->rd, pthread + PTHREAD_TID_X86_64, &tid))
			s->tid = tid;
		vm->nscheds++;
		vm->nnormal += kind == SCHED_NORMAL;
	}
}

static void vm_string_array(struct vm *vm, const char *name, size_t max,
			    char (*out)[VM_NAME])
{
	const struct symbol *sym = symbols_find(&vm->sym, name);
	size_t i, n = sym->size / 8 < max ? sym->size / 8 : max;
	char raw[VM_NAME];
	uint64_t p;

	for (i = 0; i < n; i++)
		if (reader_u64(&vm->rd, sym->addr + vm->sym.bias + 8 * i, &p) && p &&
		    reader_string(&vm->rd, p, raw, sizeof(raw)))
			text_escape(raw, strlen(raw), out[i], VM_NAME);
}

static void read_types(struct vm *vm)
{
	const struct symbol *n2t = symbols_find(&vm->sym, "erts_alc_n2t");
	const struct symbol *n2td = symbols_find(&vm->sym, "erts_alc_n2td");
	size_t i, n = n2td->size / 8, width;
	uint64_t v;

	if (n > VM_MAX_TYPES)
		n = VM_MAX_TYPES;
	vm_string_array(vm, "erts_alc_a2ad", VM_MAX_ALLOCATORS, vm->allocator_name);
	vm_string_array(vm, "erts_alc_n2td", VM_MAX_TYPES, vm->type_name);
	width = n ? n2t->size / n : 0;
	for (i = 0; i < n && (width == 4 || width == 8); i++) {
		v = 0;
		reader_copy(&vm->rd, n2t->addr + vm->sym.bias + width * i, &v, width);
		vm->type_full[i] = v;
		if (!strcmp(vm->type_name[i], "binary"))
			vm->type_binary = v;
		else if (!strcmp(vm->type_name[i], "drv_binary"))
			vm->type_drv_binary = v;
		else if (!strcmp(vm->type_name[i], "proc"))
			vm->type_proc = v;
	}
}

static void add_instance(struct vm *vm, vmaddr_t allctr, unsigned int alloc_no, unsigned int ix)
{
	if (vm->ninsts == VM_MAX_INSTANCES)
		return;
	if (!(vm->ninsts & (vm->ninsts - 1)))
		vm->insts = xrealloc(vm->insts, (vm->ninsts ? 2 * vm->ninsts : 1) *
						sizeof(*vm->insts));
	vm->insts[vm->ninsts++] = (struct instance){ allctr, alloc_no, ix };
}

/* ERTS.md's rule: thr_spec[A] where enabled, else the one instance that `extra` points to. */
static void read_allocators(struct vm *vm)
{
	const struct layout_fields *f = &vm->lay->f;
	vmaddr_t table = symbols_addr(&vm->sym, "erts_allctrs");
	vmaddr_t info = symbols_addr(&vm->sym, "erts_allctrs_info");
	vmaddr_t spec = symbols_addr(&vm->sym, "erts_allctr_thr_spec");
	uint32_t util, enabled, size, j;
	uint64_t array, allctr;
	unsigned int a;

	for (a = 1; a < VM_MAX_ALLOCATORS; a++) {
		if (!vm->allocator_name[a][0] ||
		    !reader_copy(&vm->rd, table + 32 * a, &vm->allctrs[a], 32) ||
		    !reader_u32(&vm->rd, info + f->ainfo_size_of * a + f->ainfo_alloc_util, &util) ||
		    !reader_u32(&vm->rd, info + f->ainfo_size_of * a + f->ainfo_enabled, &enabled) ||
		    !util || !enabled)
			continue;
		if (reader_u32(&vm->rd, spec + f->thrspec_size_of * a + f->thrspec_enabled,
			       &enabled) && enabled) {
			if (!reader_u32(&vm->rd, spec + f->thrspec_size_of * a + f->thrspec_size,
					&size) || size > VM_MAX_SCHEDULERS ||
			    !reader_u64(&vm->rd, spec + f->thrspec_size_of * a + f->thrspec_allctr,
					&array))
				continue;
			for (j = 0; j < size; j++)
				if (reader_u64(&vm->rd, array + 8 * j, &allctr) && allctr)
					add_instance(vm, allctr, a, j);
		} else if (vm->allctrs[a].extra) {
			add_instance(vm, vm->allctrs[a].extra, a, 0);
		}
	}
}

static void read_node_name(struct vm *vm)
{
	vmaddr_t this_node = symbols_addr(&vm->sym, "erts_this_node");
	uint64_t node, sysname;
	const char *text;

	if (this_node && reader_u64(&vm->rd, this_node, &node) &&
	    reader_u64(&vm->rd, node + vm->lay->f.node_sysname, &sysname) &&
	    (text = term_atom(vm, sysname)))
		snprintf(vm->node, sizeof(vm->node), "%s", text);
}

/*
 * '$initial_call' is an atom somewhere in a table of ten thousands.  It is a key in the
 * dictionary of every process that proc_lib started, so a few dictionaries give it away.
 */
static eterm_t find_initial_call_key(struct vm *vm)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t slots[512], proc, dict, words[64], pair[3];
	uint32_t size, seen = 0;
	const char *text;
	size_t i, k, n, at;

	for (at = 0; at < vm->proc_max && seen < 256; at += n) {
		n = vm->proc_max - at < ARRAY_SIZE(slots) ? vm->proc_max - at : ARRAY_SIZE(slots);
		if (!reader_copy(&vm->rd, vm->tab + 8 * at, slots, 8 * n))
			return 0;
		for (i = 0; i < n; i++) {
			proc = slots[i];
			if (!proc || proc == vm->invalid_element)
				continue;
			seen++;
			if (!reader_u64(&vm->rd, proc + f->proc_dictionary, &dict) || !dict ||
			    !reader_u32(&vm->rd, dict + f->dict_array_size, &size) || !size)
				continue;
			if (size > ARRAY_SIZE(words))
				size = ARRAY_SIZE(words);
			if (!reader_copy(&vm->rd, dict + f->dict_data, words, 8 * size))
				continue;
			for (k = 0; k < size; k++) {
				if ((words[k] & 3) != 2 ||
				    !reader_copy(&vm->rd, words[k] & ~7ULL, pair, sizeof(pair)) ||
				    pair[0] != 2 << 6)
					continue;
				text = term_atom(vm, pair[1]);
				if (text && !strcmp(text, "$initial_call"))
					return pair[1];
			}
		}
	}
	return 0;
}

static void forget(struct vm *vm)
{
	term_atoms_free(vm);
	free(vm->scheds);
	free(vm->insts);
	vm->scheds = NULL;
	vm->insts = NULL;
	vm->nscheds = vm->nnormal = vm->ninsts = vm->nchecks = vm->npassed = 0;
}

static int load_and_prove(struct vm *vm)
{
	read_process_table(vm);
	add_schedulers(vm, "erts_aligned_scheduler_data", "erts_no_schedulers", SCHED_NORMAL);
	add_schedulers(vm, "erts_aligned_dirty_cpu_scheduler_data",
		       "erts_no_dirty_cpu_schedulers", SCHED_DIRTY_CPU);
	add_schedulers(vm, "erts_aligned_dirty_io_scheduler_data",
		       "erts_no_dirty_io_schedulers", SCHED_DIRTY_IO);
	read_types(vm);
	read_allocators(vm);
	return prove_layout(vm);
}

/* A VM that has just been started fills its tables still: give it a moment. */
#define YOUNG_S 10
#define YOUNG_TRIES 20
#define YOUNG_PAUSE_NS 100000000

static int vm_load(struct vm *vm, unsigned int flags)
{
	struct timespec pause = { 0, YOUNG_PAUSE_NS };
	int err, try;

	if (choose_layout(vm))
		return -1;
	for (try = 0;; try++) {
		err = load_and_prove(vm);
		if (!err || vm->rd.lost || !vm->target.pid || try == YOUNG_TRIES ||
		    target_uptime_s(&vm->target) > YOUNG_S)
			break;
		failure_clear();
		forget(vm);
		nanosleep(&pause, NULL);
	}
	if (vm->rd.lost)
		return lost_target(vm);
	if (err && !(flags & VM_KEEP_GOING))
		return err;
	read_node_name(vm);
	if (!err && !strchr(vm->node, '@')) {
		log_step("pid %d: the node's name cannot be read", vm->target.pid);
		vm->node[0] = '\0';
	}
	vm->atom_initial_call = find_initial_call_key(vm);
	log_step("pid %d: %s, %zu schedulers, %zu allocator instances, %zu checks passed",
		 vm->target.pid, vm->node[0] ? vm->node : "node name unknown", vm->nscheds,
		 vm->ninsts, vm->npassed);
	return 0;
}

/* EBEAM_RECORD=FILE keeps every byte read, and the symbols in FILE.sym: input for unit tests. */
static void start_recording(struct vm *vm)
{
	const char *path = getenv("EBEAM_RECORD");
	const struct symbol *sym;
	char sympath[4096];
	FILE *f;
	size_t i;

	if (!path)
		return;
	if (reader_tee(&vm->rd, path)) {
		log_warn("cannot record to %s", path);
		return;
	}
	snprintf(sympath, sizeof(sympath), "%s.sym", path);
	f = fopen(sympath, "w");
	for (i = 0; f && i < vm->sym.n; i++) {
		sym = symbols_nth(&vm->sym, i);
		if (!sym->func)
			fprintf(f, "%llx %llx %s\n",
				(unsigned long long)(sym->addr + vm->sym.bias),
				(unsigned long long)sym->size, sym->name);
	}
	if (f)
		fclose(f);
}

int vm_open(struct vm *vm, pid_t pid, const char *symbols, unsigned int flags)
{
	const struct symbols_options opt = {
		.needed = needed, .nneeded = ARRAY_SIZE(needed), .given = symbols,
		.given_may_differ = flags & VM_MANY, .offline = flags & VM_MANY,
	};

	memset(vm, 0, sizeof(*vm));
	vm->target.pidfd = -1;
	if (target_open(&vm->target, pid))
		return -1;
	reader_open_live(&vm->rd, pid);
	if (symbols_open(&vm->sym, &vm->target, &opt))
		goto err;
	start_recording(vm);
	if (vm_load(vm, flags))
		goto err;
	return 0;
err:
	if (!(flags & VM_KEEP_GOING))
		vm_close(vm);
	return -1;
}

int vm_open_recording(struct vm *vm, const char *path)
{
	char sympath[4096];
	int err;

	memset(vm, 0, sizeof(*vm));
	vm->target.pidfd = -1;
	err = reader_open_recording(&vm->rd, path);
	if (err)
		return fail(EXIT_FAILED, "", "cannot read the recording %s: %s", path,
			    strerror(-err));
	snprintf(sympath, sizeof(sympath), "%s.sym", path);
	if (symbols_open_list(&vm->sym, sympath) || vm_load(vm, 0)) {
		vm_close(vm);
		return -1;
	}
	return 0;
}

void vm_close(struct vm *vm)
{
	forget(vm);
	symbols_close(&vm->sym);
	reader_close(&vm->rd);
	target_close(&vm->target);
	memset(vm, 0, sizeof(*vm));
	vm->target.pidfd = -1;
}

bool vm_instance_calls(struct vm *vm, const struct instance *in, uint64_t calls[CALL_N])
{
	return reader_copy(&vm->rd, in->allctr + vm->lay->f.allctr_calls, calls,
			   CALL_N * sizeof(*calls));
}

bool vm_gc_info(struct vm *vm, uint64_t *cols, uint64_t *reclaimed)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t c, r;
	size_t i;

	*cols = *reclaimed = 0;
	for (i = 0; i < vm->nscheds; i++) {
		if (vm->scheds[i].kind != SCHED_NORMAL)
			continue;
		if (!reader_u64(&vm->rd, vm->scheds[i].addr + f->sched_gc_cols, &c) ||
		    !reader_u64(&vm->rd, vm->scheds[i].addr + f->sched_gc_reclaimed, &r))
			return false;
		*cols += c;
		*reclaimed += r;
	}
	return true;
}

const struct scheduler *vm_scheduler_of(const struct vm *vm, pid_t tid)
{
	size_t i;

	for (i = 0; i < vm->nscheds; i++)
		if (vm->scheds[i].tid == tid)
			return &vm->scheds[i];
	return NULL;
}

void scheduler_name(const struct scheduler *s, char *buf, size_t size)
{
	static const char *const kinds[] = { "scheduler", "dirty_cpu", "dirty_io" };

	snprintf(buf, size, "%s %u", kinds[s->kind], s->no);
}
