// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which layout is this VM's?  Layouts are tried, likeliest first, until one passes every proof.
 *
 * A layout needs the tables to be proven on, and where a build hides them a search for them needs a
 * layout: so both are looked for together.
 */
#include "bootstrap.h"
#include "dwarf_file.h"
#include "layout_dwarf.h"
#include "symcache.h"
#include "vm_private.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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
		return vm_lost(vm);
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

/* --- layouts to try ----------------------------------------------------------------------------- */

#define MAX_ATTEMPTS (LAYOUT_CANDIDATES + 1)

struct attempt {
	struct layout layout;
	const struct layout *row; /* NULL: from DWARF */
	enum layout_trust trust;
};

/*
 * What the VM's own DWARF says.  A debug file may share part of it with others (dwz): that one is
 * looked for where the debug file names it, on this host.  Where it cannot be read: false, with @why.
 */
static bool dwarf_attempt(struct vm *vm, struct attempt *a, char *why, size_t why_size)
{
	int fd = symbols_dwarf_fd(&vm->sym), alt_fd = -1, err;
	const struct symbols *sym = &vm->sym;
	struct dwarf_alt alt;

	if (fd < 0)
		return false;
	if (dwarf_file_alt(fd, &alt) && alt.name[0] == '/')
		alt_fd = debugfile_open_in(-1, alt.name, true);
	memset(a, 0, sizeof(*a));
	err = layout_dwarf_read(fd, alt_fd, &a->layout.f, NULL, why, why_size);
	if (alt_fd >= 0)
		close(alt_fd);
	if (err) {
		log_step("pid %d: no layout from DWARF: %s", vm->target.pid, why);
		return false;
	}
	a->layout.name = "dwarf";
	a->layout.otp = vm->otp;
	a->layout.jit = vm->jit;
	a->layout.arch = vm->arch;
	a->layout.facts = layout_facts(vm->otp);
	a->trust = LAYOUT_EXACT;
	log_step("pid %d: layout read from the DWARF of %s", vm->target.pid,
		 sym->debug.fd >= 0 ? "its debug file" : "the executable");
	return true;
}

/*
 * An interpreter that was configured with the JIT has the JIT's structures, one without has its own:
 * what tells is whether there are frame pointers (ERLANG_FRAME_POINTERS in the build's config.h,
 * whose text is in the VM).
 */
static bool has_jit_layout(const struct vm *vm)
{
	static const char config[] = "config.h.  Generated from config.h.in",
			  define[] = "#define ERLANG_FRAME_POINTERS";

	if (vm->jit || vm->otp < 25 || strcmp(vm->arch, "x86_64") || !vm->target.pid ||
	    !bootstrap_has_text(&vm->sym, config))
		return vm->jit;
	return bootstrap_has_text(&vm->sym, define);
}

static size_t layouts_to_try(struct vm *vm, struct attempt *out, char *why, size_t why_size)
{
	const struct layout *rows[LAYOUT_CANDIDATES];
	bool jit = has_jit_layout(vm);
	size_t i, n, k = 0;

	k += dwarf_attempt(vm, &out[k], why, why_size);
	n = layout_candidates(vm->otp, jit, vm->arch, rows, ARRAY_SIZE(rows));
	for (i = 0; i < n; i++, k++) {
		out[k].row = rows[i];
		out[k].trust = layout_trust_of(rows[i], vm->otp, jit, vm->sym.build_id);
		layout_take(&out[k].layout, rows[i], vm->otp, out[k].trust);
	}
	return k;
}

/*
 * EBEAM_TEST_MOVE=FIELD:BYTES[,...], for tests: as if these fields lay elsewhere.  What is wrong must be
 * noticed, or make no difference: it must never be shown.
 */
static void move_fields(struct layout *lay)
{
	const char *spec = getenv("EBEAM_TEST_MOVE");
	size_t len;
	int i;

	for (; spec && *spec; spec += strcspn(spec, ","), spec += *spec == ',') {
		len = strcspn(spec, ":,");
		for (i = 0; i < LAYOUT_NFIELDS && spec[len] == ':'; i++)
			if (strlen(layout_field_name(i)) == len &&
			    !strncmp(layout_field_name(i), spec, len))
				*layout_field_at(lay, i) += atoi(spec + len + 1);
	}
}

static void take(struct vm *vm, const struct attempt *a)
{
	vm->row = a->row;
	vm->layout = a->layout;
	move_fields(&vm->layout);
	vm->lay = &vm->layout;
	vm->trust = a->trust;
	vm->unverified = a->trust == LAYOUT_NEIGHBOUR || vm->jit != a->layout.jit ||
			 !layout_tested(vm->lay);
	memset(vm->unproven, 0, sizeof(vm->unproven));
	log_step("pid %d: OTP %d, erts %s, %s, layout %s (%s), symbols from .%s", vm->target.pid,
		 vm->otp, vm->erts, vm->jit ? "jit" : "emu", vm->lay->name,
		 layout_trust_name(vm->trust), vm->sym.source);
	layout_dump(vm->lay);
}

/* --- proving one -------------------------------------------------------------------------------- */

/* A VM that has just been started fills its tables still: give it a moment. */
#define YOUNG_S 10
#define YOUNG_TRIES 20
#define YOUNG_PAUSE_NS 100000000

static int load_and_prove(struct vm *vm)
{
	vm_read_tables(vm);
	return prove_layout(vm);
}

static int try_layout(struct vm *vm, const struct attempt *a, bool patient)
{
	struct timespec pause = { 0, YOUNG_PAUSE_NS };
	int err, try;

	vm_forget(vm);
	take(vm, a);
	if (find_symbols(vm))
		return -1;
	for (try = 0;; try++) {
		err = load_and_prove(vm);
		if (!err || vm->rd.lost || !vm->target.pid || !patient || try == YOUNG_TRIES ||
		    target_uptime_s(&vm->target) > YOUNG_S)
			break;
		failure_clear();
		vm_forget(vm);
		/* what a field could not be proven by may be there then */
		take(vm, a);
		nanosleep(&pause, NULL);
	}
	if (err && vm->from_cache && !vm->rd.lost) {
		/* what was kept is of no use: as if there were no cache */
		failure_clear();
		vm_forget(vm);
		take(vm, a);
		symcache_drop(vm->sym.build_id);
		symbols_drop(&vm->sym, RUNG_BOOTSTRAP);
		vm->from_cache = false;
		err = search_symbols(vm) || load_and_prove(vm) ? -1 : 0;
	}
	return err;
}

int vm_find_layout(struct vm *vm, bool keep_going)
{
	struct attempt *attempts = xcalloc(MAX_ATTEMPTS, sizeof(*attempts));
	struct failure first = { 0 };
	char dwarf_why[256] = "";
	size_t i, n;
	int err = -1;

	n = layouts_to_try(vm, attempts, dwarf_why, sizeof(dwarf_why));
	if (!n)
		fail(EXIT_UNSUPPORTED, "OTP 23 to 29 on x86_64 and arm64 have one; a build with "
		     "DWARF brings its own", "no layout for OTP %d (erts %s, %s, %s) of pid %d",
		     vm->otp, vm->erts, vm->jit ? "jit" : "emu", vm->arch, vm->target.pid);
	for (i = 0; i < n; i++) {
		err = try_layout(vm, &attempts[i], i == 0);
		if (!err || vm->rd.lost)
			break;
		if (failure_get() && !i)
			first = *failure_get();
		/* found with wrong offsets, if at all */
		symbols_drop(&vm->sym, RUNG_BOOTSTRAP);
		if (i + 1 < n)
			failure_clear();
	}
	if (vm->rd.lost) {
		failure_clear();
		err = vm_lost(vm);
	} else if (err && n) {
		failure_clear();
		if (keep_going && try_layout(vm, &attempts[0], false))
			failure_clear();
		fail(first.status, first.hint, "%s", first.message);
	} else if (!err) {
		keep_symbols(vm);
	}
	/* behind the checks of the layout in use: each attempt begins with none */
	if (dwarf_why[0])
		vm_check(vm, CHECK_WARN, "layout dwarf", "%s", dwarf_why);
	free(attempts);
	return err;
}
