// SPDX-License-Identifier: GPL-2.0-only
#include "vm.h"
#include "bootstrap.h"
#include "prove.h"
#include "symcache.h"
#include "term.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Without these nothing can be read.  OTP 29 and later hide them: see bootstrap.h. */
static const char *const needed[] = {
	"erts_proc", "erts_port", "erts_atom_table", "erts_allctrs", "erts_alc_n2td",
	"erts_alc_n2t", "erts_alc_a2ad", "erts_aligned_scheduler_data",
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

/* What a VM prints as its version, with what it was built with: see bootstrap_text(). */
static bool version_text(struct vm *vm, char *text, size_t size)
{
	uint64_t link = vm->sym.exe.fd >= 0 ? bootstrap_text(&vm->sym) : 0;
	vmaddr_t addr = link ? link + vm->sym.bias : symbols_addr(&vm->sym, "erts_system_version");
	unsigned int otp;

	/* it is longer than the buffer in no build: what does not end there is no such text */
	if (!addr || !reader_string(&vm->rd, addr, text, size) ||
	    sscanf(text, "Erlang/OTP %u%%s [erts-%31[0-9.]]", &otp, vm->erts) != 2)
		return false;
	vm->otp = otp;
	vm->jit = strstr(text, " [jit");
	return true;
}

/* Builds whose structures differ from those of an ordinary one. */
static int refuse_build(struct vm *vm, const char *text)
{
	static const struct { const char *symbol, *tag, *how; } builds[] = {
		{ "etp_lock_count", "[lock-counting]", "with lock counting" },
		{ "etp_lock_check", "[lock-checking]", "with lock checking" },
		{ "etp_debug_compiled", "[debug-compiled]", "as debug build" },
		{ NULL, "[dtrace]", "with dynamic tracing" },
		{ NULL, "[systemtap]", "with dynamic tracing" },
		{ NULL, "[lttng]", "with dynamic tracing" },
		{ NULL, "[hipe]", "with HiPE" },
		{ NULL, "[valgrind-compiled]", "for valgrind" },
		{ NULL, "[address-sanitizer]", "with the address sanitizer" },
		{ NULL, "[32-bit]", "for 32 bits" },
	};
	const char *how = vm->sym.has_probes ? "with dynamic tracing" : NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(builds) && !how; i++)
		if (strstr(text, builds[i].tag) ||
		    (builds[i].symbol && etp_u32(vm, builds[i].symbol, 0)))
			how = builds[i].how;
	if (!how)
		return 0;
	return fail(EXIT_UNSUPPORTED, "run an ordinary build of the emulator",
		    "pid %d runs an emulator built %s: its structures differ", vm->target.pid, how);
}

/* Release and flavour, as the VM tells them: a claim only, until the layout is proven. */
static int identify(struct vm *vm)
{
	char release[64], text[512] = "";
	bool told;

	told = version_text(vm, text, sizeof(text));
	if (etp_string(vm, "etp_otp_release", release, sizeof(release)) &&
	    etp_string(vm, "etp_erts_version", vm->erts, sizeof(vm->erts))) {
		if (told && vm->otp != atoi(release))
			return fail(EXIT_UNSUPPORTED, "run an ordinary build of the emulator",
				    "pid %d says that it is OTP %s, and that it is OTP %d",
				    vm->target.pid, release, vm->otp);
		vm->otp = atoi(release);
		vm->jit = etp_u32(vm, "etp_beamasm", 0);
	} else if (vm->rd.lost) {
		return lost_target(vm);
	} else if (!told) {
		return fail(EXIT_UNSUPPORTED, "is it a beam.smp? `ebeam doctor` shows more",
			    "cannot tell the OTP release of pid %d from %s", vm->target.pid,
			    vm->target.exe);
	}
	if (vm->otp < OTP_MIN)
		return fail(EXIT_UNSUPPORTED, "OTP 23 is the oldest that is supported",
			    "pid %d runs OTP %d (erts %s)", vm->target.pid, vm->otp, vm->erts);
	return refuse_build(vm, text);
}

static int choose_layout(struct vm *vm)
{
	vm->row = layout_find(vm->otp, vm->jit, machine_name(vm->sym.machine));
	if (!vm->row)
		return fail(EXIT_UNSUPPORTED, "OTP 23, 25, 27 and 29 on x86_64 are supported",
			    "no layout for OTP %d (erts %s, %s, %s) of pid %d", vm->otp, vm->erts,
			    vm->jit ? "jit" : "emu", machine_name(vm->sym.machine),
			    vm->target.pid);
	vm->trust = layout_trust_of(vm->row, vm->otp, vm->jit, vm->sym.build_id);
	layout_take(&vm->layout, vm->row, vm->otp, vm->trust);
	vm->lay = &vm->layout;
	vm->unverified = !layout_tested(vm->lay);
	log_step("pid %d: OTP %d, erts %s, %s, layout %s, symbols from .%s", vm->target.pid,
		 vm->otp, vm->erts, vm->jit ? "jit" : "emu", vm->lay->name, vm->sym.source);
	layout_dump(vm->lay);
	return 0;
}

/* Searches code and memory for what no other rung has: see bootstrap.h. */
static int search_symbols(struct vm *vm)
{
	struct functions f;
	uint64_t start = now_ns(), faults = vm->rd.faults, text;
	char why[256];
	int err;

	if (functions_open(&f, &vm->sym, why, sizeof(why)))
		return fail(EXIT_UNSUPPORTED,
			    "give an unstripped beam.smp or its debug file: --symbols FILE",
			    "%s of pid %d hides its symbols, and cannot be searched: %s",
			    vm->target.exe, vm->target.pid, why);
	/* for recordings, which have no file to look into */
	text = bootstrap_text(&vm->sym);
	if (text)
		symbols_add(&vm->sym, "erts_system_version", text, 0, false, RUNG_BOOTSTRAP);
	err = bootstrap_data(vm, &f);
	if (!err)
		bootstrap_code(&vm->sym, &f);
	functions_close(&f);
	/* a search tries addresses that need not be any */
	vm->rd.faults = faults;
	if (vm->rd.lost)
		return lost_target(vm);
	if (!err)
		log_step("pid %d: symbols found in code and memory, %.1f ms", vm->target.pid,
			 (now_ns() - start) / 1e6);
	return err;
}

/* The last rung, for what the others did not find; what was found before is kept by build id. */
static int find_symbols(struct vm *vm)
{
	uint64_t start = now_ns();
	char why[512];

	vm->from_cache = false;
	if (!symbols_missing(&vm->sym))
		return 0;
	if (vm->target.pid && !vm->sym.api_only) {
		vm->from_cache = symcache_load(vm->sym.build_id, &vm->sym, why, sizeof(why));
		if (vm->from_cache)
			log_step("pid %d: symbols come from the cache, %.1f ms", vm->target.pid,
				 (now_ns() - start) / 1e6);
		else
			log_step("pid %d: %s", vm->target.pid, why);
	}
	if (vm->from_cache && !symbols_missing(&vm->sym))
		return 0;
	vm->from_cache = false;
	return search_symbols(vm);
}

/* Once all is proven: for the next run.  Not being able to keep it is no failure. */
static void keep_symbols(struct vm *vm)
{
	char why[512];

	if (vm->from_cache || vm->sym.api_only || !vm->target.pid ||
	    vm->sym.source_rung != RUNG_BOOTSTRAP)
		return;
	if (symcache_store(vm->sym.build_id, &vm->sym, why, sizeof(why)))
		log_step("pid %d: symbols are not kept: %s", vm->target.pid, why);
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

/* struct pthread's tid: glibc 2.31 to 2.43. */
#define PTHREAD_TID_X86_64 0x2d0
#define PTHREAD_TID_AARCH64 0xd0
#define PID_MAX (1u << 22)

bool vm_pthread_tid(struct vm *vm, uint64_t pthread, uint32_t *tid)
{
	unsigned int off = vm->sym.machine == EM_AARCH64 ? PTHREAD_TID_AARCH64 : PTHREAD_TID_X86_64;

	return reader_u32(&vm->rd, pthread + off, tid) && *tid && *tid <= PID_MAX;
}

/*
 * How many elements an array has whose count is hidden: they number themselves, and each has a
 * thread.
 */
static uint32_t count_schedulers(struct vm *vm, vmaddr_t first, enum sched_kind kind)
{
	const struct layout_fields *f = &vm->lay->f;
	uint32_t n, type, tid;
	uint64_t no, pthread;
	vmaddr_t at;

	for (n = 0; n < VM_MAX_SCHEDULERS; n++) {
		at = first + (uint64_t)n * f->sched_stride;
		if (!reader_u32(&vm->rd, at + f->sched_type, &type) || type != kind ||
		    !reader_u64(&vm->rd, at + (kind == SCHED_NORMAL ? f->sched_no :
								      f->sched_dirty_no), &no) ||
		    no != n + 1 || !reader_u64(&vm->rd, at + f->sched_tid, &pthread) ||
		    !vm_pthread_tid(vm, pthread, &tid))
			break;
	}
	return n;
}

static void add_schedulers(struct vm *vm, const char *array, const char *count,
			   enum sched_kind kind)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t first, pthread, no, faults = vm->rd.faults;
	vmaddr_t base = symbols_addr(&vm->sym, array);
	struct scheduler *s;
	uint32_t i, n, tid;

	if (!base || !reader_u64(&vm->rd, base, &first))
		return;
	if (symbols_find(&vm->sym, count)) {
		n = etp_u32(vm, count, 0);
	} else {
		n = count_schedulers(vm, first, kind);
		vm->rd.faults = faults; /* what lies behind the last need not be readable */
	}
	if (!n || n > VM_MAX_SCHEDULERS)
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
		if (vm_pthread_tid(vm, pthread, &tid))
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

/* An Allctr_t that says so itself: its allocator's number and its index. */
static bool is_instance(struct vm *vm, vmaddr_t allctr, unsigned int a, unsigned int ix)
{
	const struct layout_fields *f = &vm->lay->f;
	uint32_t no, have;

	return reader_u32(&vm->rd, allctr + f->allctr_alloc_no, &no) && no == a &&
	       reader_u32(&vm->rd, allctr + f->allctr_ix, &have) && have == ix;
}

/*
 * The word `extra` of an entry of erts_allctrs is 0 for the system's malloc, else the allocator's
 * one instance, or its ErtsAllocatorThrSpec_t, which has an instance per scheduler and one for all
 * others (erl_alloc.c, set_au_allocator).
 */
static void read_allocators(struct vm *vm)
{
	const struct layout_fields *f = &vm->lay->f;
	vmaddr_t table = symbols_addr(&vm->sym, "erts_allctrs"), spec;
	uint32_t enabled, size, dd, j;
	uint64_t array, allctr, faults = vm->rd.faults;
	unsigned int a;

	for (a = 1; a < VM_MAX_ALLOCATORS; a++) {
		if (!vm->allocator_name[a][0] ||
		    !reader_copy(&vm->rd, table + 32 * a, &vm->allctrs[a], 32) ||
		    !vm->allctrs[a].extra)
			continue;
		spec = vm->allctrs[a].extra;
		if (is_instance(vm, spec, a, 0)) {
			add_instance(vm, spec, a, 0);
			continue;
		}
		if (!reader_u32(&vm->rd, spec + f->thrspec_enabled, &enabled) || enabled != 1 ||
		    !reader_u32(&vm->rd, spec + f->thrspec_dd, &dd) ||
		    !reader_u32(&vm->rd, spec + f->thrspec_size, &size) ||
		    size > VM_MAX_SCHEDULERS ||
		    !reader_u64(&vm->rd, spec + f->thrspec_allctr, &array))
			continue;
		vm->allctrs_preferred[a] = dd;
		vm->allctrs_specific[a] = !dd;
		for (j = 0; j < size; j++)
			if (reader_u64(&vm->rd, array + 8 * j, &allctr) && allctr)
				add_instance(vm, allctr, a, j);
	}
	/* an `extra` was taken for what it is not */
	vm->rd.faults = faults;
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
	memset(vm->allctrs_preferred, 0, sizeof(vm->allctrs_preferred));
	memset(vm->allctrs_specific, 0, sizeof(vm->allctrs_specific));
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

	if (identify(vm) || choose_layout(vm) || find_symbols(vm))
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
	if (err && vm->from_cache) {
		/* what was kept is of no use: as if there were no cache */
		failure_clear();
		forget(vm);
		symcache_drop(vm->sym.build_id);
		symbols_drop(&vm->sym, RUNG_BOOTSTRAP);
		vm->from_cache = false;
		err = search_symbols(vm) || load_and_prove(vm) ? -1 : 0;
	}
	if (err && !(flags & VM_KEEP_GOING))
		return err;
	if (!err)
		keep_symbols(vm);
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

/* The name under which a recording's companion has a range of code. */
#define RECORDED_CODE "@code"

bool vm_is_code(const struct vm *vm, vmaddr_t addr)
{
	const struct symbol *code;
	uint64_t offset;

	if (vm->target.pid)
		return symbols_file_offset(&vm->sym, addr - vm->sym.bias, &offset);
	code = symbols_find(&vm->sym, RECORDED_CODE);
	return code && addr >= code->addr && addr - code->addr < code->size;
}

/* EBEAM_RECORD=FILE keeps every byte read, and the symbols in FILE.sym: input for unit tests. */
static void start_recording(struct vm *vm)
{
	const char *path = getenv("EBEAM_RECORD");

	if (path && reader_tee(&vm->rd, path))
		log_warn("cannot record to %s", path);
}

static void record_symbols(struct vm *vm)
{
	const char *path = getenv("EBEAM_RECORD");
	const struct symbol *sym;
	char sympath[4096];
	FILE *f;
	size_t i;

	if (!path)
		return;
	snprintf(sympath, sizeof(sympath), "%s.sym", path);
	f = fopen(sympath, "w");
	for (i = 0; f && i < vm->sym.n; i++) {
		sym = symbols_nth(&vm->sym, i);
		if (!sym->func)
			fprintf(f, "%llx %llx %s\n",
				(unsigned long long)(sym->addr + vm->sym.bias),
				(unsigned long long)sym->size, sym->name);
	}
	for (i = 0; f && i < vm->sym.nsegs; i++)
		if (vm->sym.segs[i].exec)
			fprintf(f, "%llx %llx " RECORDED_CODE "\n",
				(unsigned long long)(vm->sym.segs[i].vaddr + vm->sym.bias),
				(unsigned long long)vm->sym.segs[i].filesz);
	if (f)
		prove_record_tasks(vm, f);
	if (f)
		fclose(f);
}

int vm_open(struct vm *vm, pid_t pid, const char *symbols, unsigned int flags)
{
	const struct symbols_options opt = {
		.needed = needed, .nneeded = ARRAY_SIZE(needed), .given = symbols,
		.given_may_differ = flags & VM_MANY, .offline = flags & VM_MANY,
		/* for tests: as if the VM named no more than OTP 29 does */
		.api_only = getenv("EBEAM_IGNORE_SYMBOLS"),
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
	record_symbols(vm);
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
