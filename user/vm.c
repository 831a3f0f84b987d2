// SPDX-License-Identifier: GPL-2.0-only
#include "prove.h"
#include "vm_private.h"

#include <stdlib.h>
#include <string.h>

/* Without these nothing can be read.  OTP 29 and later hide them: see bootstrap.h. */
static const char *const needed[] = {
	"erts_proc", "erts_port", "erts_atom_table", "erts_allctrs", "erts_alc_n2td",
	"erts_alc_n2t", "erts_alc_a2ad", "erts_aligned_scheduler_data",
};

void vm_check(struct vm *vm, int status, const char *name, const char *fmt, ...)
{
	struct vm_check *c;
	va_list ap;

	/* none may get lost: one that failed refuses the layout */
	if (vm->nchecks == ARRAY_SIZE(vm->checks))
		abort();
	c = &vm->checks[vm->nchecks++];
	c->status = status;
	snprintf(c->name, sizeof(c->name), "%s", name);
	va_start(ap, fmt);
	vsnprintf(c->detail, sizeof(c->detail), fmt, ap);
	va_end(ap);
	vm->npassed += status == CHECK_OK;
	log_all("%s: %s: %s", status == CHECK_OK ? "proved" : "NOT proved", c->name, c->detail);
}

int vm_lost(struct vm *vm)
{
	if (vm->rd.lost == 1 /* EPERM */)
		return fail(EXIT_PERMISSION, "run as root, or give ebeam CAP_SYS_PTRACE",
			    "cannot read the memory of pid %d: operation not permitted (needs "
			    "CAP_SYS_PTRACE)",
			    vm->target.pid);
	return fail(EXIT_FAILED, "", "pid %d ended while it was looked at", vm->target.pid);
}

static int vm_load(struct vm *vm, unsigned int flags)
{
	int err;

	if (vm_identify(vm))
		return -1;
	err = vm_find_layout(vm, flags & VM_KEEP_GOING);
	if (vm->rd.lost || (err && !(flags & VM_KEEP_GOING)))
		return -1;
	vm_read_names(vm);
	if (err)
		return 0; /* the failure is noted, the checks tell more */
	if (!strchr(vm->node, '@')) {
		log_step("pid %d: the node's name cannot be read", vm->target.pid);
		vm->node[0] = '\0';
	}
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
	vm_forget(vm);
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
