// SPDX-License-Identifier: GPL-2.0-only
/*
 * Layouts that do not belong to a recording: the proof must refuse every one but the right one.
 *
 * All other rows; the right row with one field moved; and the right row as another patch release
 * might have it, with eight bytes more, or less, before any of a structure's members, so that all
 * behind it move.  What no proof notices must be out of use: EBEAM_LAYOUT_UNPROVEN lists it, and
 * nothing else.  Recordings hold some bytes around all that was read (see record.c), so that most
 * wrong reads succeed, as in a live VM.
 */
#include "fixture.h"
#include "prove.h"
#include "tap.h"
#include "term.h"

#include <stddef.h>

#define HANG_SECONDS 600

/*
 * True when the recording is refused because its memory does not fit the layout; @in_doubt: fields
 * that are out of use where it is not, NULL if that is of no interest.
 */
static bool refused_or(const char *path, char *why, size_t size, bool *in_doubt)
{
	const struct failure *f;
	struct vm vm;
	bool good;

	if (!vm_open_recording(&vm, path)) {
		if (in_doubt)
			memcpy(in_doubt, vm.unproven, sizeof(vm.unproven));
		vm_close(&vm);
		snprintf(why, size, "accepted");
		return false;
	}
	f = failure_get();
	good = f && f->status == EXIT_UNSUPPORTED && strstr(f->message, "does not fit");
	snprintf(why, size, "%s", f ? f->message : "no failure noted");
	failure_clear();
	return good;
}

static bool refused(const char *path, char *why, size_t size)
{
	return refused_or(path, why, size, NULL);
}

static void put_symbol(struct fixture *fx, const struct symbols *sym, const char *name,
		       const void *bytes, size_t len)
{
	unsigned char *p = fixture_at(fx, symbols_addr(sym, name), len);

	if (!p)
		abort();
	memcpy(p, bytes, len);
}

/* What a VM says of itself, by the symbols of its own; from OTP 29 on it is in one text. */
static void claim(struct fixture *bad, const struct vm *vm, const struct layout *row)
{
	uint32_t flavour = row->jit;
	char text[96];

	if (!symbols_find(&vm->sym, "etp_otp_release")) {
		snprintf(text, sizeof(text), "Erlang/OTP %d%%s [erts-%d.0] [64-bit]%s", row->otp,
			 row->otp - 12, row->jit ? " [jit]" : "");
		put_symbol(bad, &vm->sym, "erts_system_version", text, strlen(text) + 1);
		return;
	}
	snprintf(text, sizeof(text), "%d", row->otp);
	put_symbol(bad, &vm->sym, "etp_otp_release", text, strlen(text) + 1);
	snprintf(text, sizeof(text), "%d.0", row->otp - 12);
	put_symbol(bad, &vm->sym, "etp_erts_version", text, strlen(text) + 1);
	if (symbols_find(&vm->sym, "etp_beamasm"))
		put_symbol(bad, &vm->sym, "etp_beamasm", &flavour, sizeof(flavour));
	else
		fixture_add(bad, 0x800000, &flavour, sizeof(flavour));
}

/* Refused; or read by the row that is right, tried as a neighbour, and marked for it. */
static bool not_misread(const char *path, const struct layout *right, char *why, size_t size)
{
	struct vm vm;
	bool good;

	if (refused(path, why, size))
		return true;
	if (vm_open_recording(&vm, path))
		return false;
	good = vm.row == right && vm.trust == LAYOUT_NEIGHBOUR && vm.unverified;
	snprintf(why, size, "read by %s (%s)", vm.lay->name, layout_trust_name(vm.trust));
	vm_close(&vm);
	return good;
}

/* A release that no row is for: the nearest ones are tried, and the right one is found. */
static void from_the_future(int otp)
{
	struct layout next = { .otp = 30, .jit = true };
	const char *path = fixture_tmp();
	struct fixture fx, bad;
	struct vm vm;

	fixture_read(&fx, otp);
	if (!ok(!vm_open_recording(&vm, fx.path), "otp %d: the recording opens", otp))
		return;
	fixture_copy(&bad, &fx);
	claim(&bad, &vm, &next);
	fixture_symbols(otp, path, NULL);
	fixture_write(&bad, path, SIZE_MAX);
	vm_close(&vm);
	if (ok(!vm_open_recording(&vm, path), "otp 30, which is as %d: its row passes", otp)) {
		ok(vm.otp == 30 && vm.row->otp >= 28 && vm.unverified &&
			   vm.trust == LAYOUT_NEIGHBOUR,
		   "it is a neighbour, and unverified");
		vm_close(&vm);
	}
	failure_clear();
	fixture_free(&bad);
	fixture_free(&fx);
}

/* The VM says that it is another release: only its memory gives the lie to it. */
static void impostors(int otp)
{
	const struct layout *right, *row;
	const char *path = fixture_tmp();
	struct fixture fx, bad;
	bool has_beamasm;
	char why[600];
	struct vm vm;
	size_t i;

	fixture_read(&fx, otp);
	if (!ok(!vm_open_recording(&vm, fx.path), "otp %d: the recording opens", otp))
		return;
	right = vm.row;
	has_beamasm = symbols_find(&vm.sym, "etp_beamasm");
	for (i = 0; (row = layout_row(i)); i++) {
		if (row == right || strcmp(row->arch, right->arch))
			continue;
		fixture_copy(&bad, &fx);
		claim(&bad, &vm, row);
		fixture_symbols(otp, path, has_beamasm ? NULL : "800000 4 etp_beamasm\n");
		fixture_write(&bad, path, SIZE_MAX);
		fixture_free(&bad);
		ok(not_misread(path, right, why, sizeof(why)), "otp %d: says it is %s: not misread",
		   otp, row->name);
		diag("%s", why);
	}
	vm_close(&vm);
	fixture_free(&fx);
}

/* The right release, but the offsets of another row. */
static void swapped_rows(int otp)
{
	const struct layout *row;
	struct layout *right;
	struct layout_fields keep;
	char path[512], why[600];
	struct vm vm;
	size_t i;

	snprintf(path, sizeof(path), "%s", fixture_path(otp, "rec.gz"));
	if (!ok(!vm_open_recording(&vm, path), "otp %d: the recording opens", otp))
		return;
	right = (struct layout *)vm.row;
	vm_close(&vm);
	keep = right->f;
	for (i = 0; (row = layout_row(i)); i++) {
		if (row == right)
			continue;
		right->f = row->f;
		ok(refused(path, why, sizeof(why)), "otp %d: with the offsets of %s: refused", otp,
		   row->name);
		diag("%s", why);
		right->f = keep;
	}
}

/* --- members moved ---------------------------------------------------------------- */

static const struct {
	const char *strukt, *path;
} fields[] = {
#define L(name, strukt, path, kind) { strukt, path },
	EBEAM_LAYOUT_FIELDS(L)
#undef L
};

/* A release's recording, and its row, to be altered. */
struct bench {
	int otp;
	char path[128];
	struct layout *row;
	struct layout_fields keep;
	unsigned int refused, accepted;
};

static void bench_open(struct bench *b, int otp)
{
	struct fixture fx;

	memset(b, 0, sizeof(*b));
	b->otp = otp;
	b->row = (struct layout *)layout_find(otp, otp > 23, "x86_64");
	b->keep = b->row->f;
	/* unpacked once: it is opened some hundred times */
	fixture_read(&fx, otp);
	snprintf(b->path, sizeof(b->path), "%s", fixture_tmp());
	fixture_write(&fx, b->path, SIZE_MAX);
	fixture_symbols(otp, b->path, NULL);
	fixture_free(&fx);
}

static bool is_size(int field)
{
	return fields[field].path[0] == '#';
}

/* The width of a member, which is neither. */
static bool is_width(int field)
{
	return !is_size(field) && strchr(fields[field].path, '#');
}

static unsigned int *at(struct bench *b, int field)
{
	return layout_field_at(b->row, field);
}

/* What moved must have been noticed, or be out of use; landmarks may go either way. */
static void verdict(struct bench *b, const char *what)
{
	bool in_doubt[LAYOUT_NFIELDS] = { false }, in_use = false, listed = false, moved, good;
	unsigned int nmoved = 0;
	struct layout was = { .f = b->keep };
	char why[600];
	int i;

	good = refused_or(b->path, why, sizeof(why), in_doubt);
	for (i = 0; i < LAYOUT_NFIELDS; i++) {
		moved = *at(b, i) != *layout_field_at(&was, i);
		in_use |= moved && !layout_field_landmark(i) && !in_doubt[i] &&
			  !layout_field_read(i);
		nmoved += moved;
		listed |= moved && layout_field_unproven(i);
	}
	b->refused += good;
	b->accepted += !good;
	if (!good && in_use)
		ok(false, "otp %d: %s: %s", b->otp, what, why);
	if (good && listed && nmoved == 1)
		ok(false, "otp %d: %s: noticed, though it is listed as unproven", b->otp, what);
	b->row->f = b->keep;
}

static void moved_fields(struct bench *b)
{
	char what[128];
	int i, step;

	for (i = 0; i < LAYOUT_NFIELDS; i++)
		for (step = -8; step <= 8; step += 4) {
			if (!step || *at(b, i) == LAYOUT_ABSENT || *at(b, i) + step > 1 << 20 ||
			    layout_field_read(i))
				continue;
			*at(b, i) += step;
			snprintf(what, sizeof(what), "%s moved by %d", layout_field_name(i), step);
			verdict(b, what);
		}
}

/* Structures that are part of another: that one's members behind them move as well. */
static void move_outer(struct bench *b, const char *strukt, int step)
{
	int sizes = 1;

	if (!strcmp(strukt, "BlockStats_t")) {
		sizes = 12; /* ERTS_ALC_A_COUNT */
		b->row->f.cstats_size += sizes * step;
	}
	if (sizes > 1 || !strcmp(strukt, "CarriersStats_t"))
		b->row->f.allctr_mbcs += sizes * step;
	/* aligned to cache lines */
	if (!strcmp(strukt, "ErtsSchedulerData"))
		b->row->f.sched_stride += 8 * step;
}

/* Eight bytes inserted before (or taken away in front of) what lies at @from or behind. */
static void insert(struct bench *b, const char *strukt, unsigned int from, int step, bool outer)
{
	char what[128];
	int i;

	for (i = 0; i < LAYOUT_NFIELDS; i++) {
		if (strcmp(fields[i].strukt, strukt) || *at(b, i) == LAYOUT_ABSENT || is_width(i))
			continue;
		if (is_size(i) || *at(b, i) >= from)
			*at(b, i) += step;
	}
	if (outer)
		move_outer(b, strukt, step);
	snprintf(what, sizeof(what), "%s: %d bytes at %u%s", strukt, step, from,
		 outer ? ", and those around it" : "");
	verdict(b, what);
}

static bool first_of(const struct bench *b, int field)
{
	int i;

	for (i = 0; i < field; i++)
		if (!strcmp(fields[i].strukt, fields[field].strukt) &&
		    *at((struct bench *)b, i) == *at((struct bench *)b, field) && !is_size(i) &&
		    !is_width(i))
			return false;
	return true;
}

static void inserted(struct bench *b)
{
	unsigned int from;
	int i;

	for (i = 0; i < LAYOUT_NFIELDS; i++) {
		from = *at(b, i);
		if (is_size(i) || is_width(i) || from == LAYOUT_ABSENT || !first_of(b, i))
			continue;
		insert(b, fields[i].strukt, from, 8, false);
		insert(b, fields[i].strukt, from, 8, true);
		if (from < 8)
			continue;
		insert(b, fields[i].strukt, from, -8, false);
		insert(b, fields[i].strukt, from, -8, true);
	}
}

static void altered_rows(int otp)
{
	struct bench b;
	struct vm vm;

	bench_open(&b, otp);
	moved_fields(&b);
	ok(b.refused > 200, "otp %d: of %u rows with one field moved %u are refused", otp,
	   b.refused + b.accepted, b.refused);
	b.refused = b.accepted = 0;
	prove_skips_order = true;
	inserted(&b);
	prove_skips_order = false;
	ok(b.refused > 200, "otp %d: of %u rows with bytes inserted or taken away %u are refused",
	   otp, b.refused + b.accepted, b.refused);
	if (ok(!vm_open_recording(&vm, b.path), "otp %d: all fields back in place, it opens again",
	       otp))
		vm_close(&vm);
	failure_clear();
}

/* --- rows ------------------------------------------------------------------------- */

static void rows_in_order(void)
{
	const char *from = "", *to = "";
	const struct layout *row;
	size_t i;

	for (i = 0; (row = layout_row(i)); i++)
		if (!ok(prove_order(row, &from, &to), "%s: members stand as they are declared",
			row->name))
			diag("%s and %s", from, to);
	ok(i >= 20, "%zu rows", i);
}

static void candidates(void)
{
	static const char *const want[] = {
		"otp25-x86_64", "otp25-x86_64-emu", "otp24-x86_64", "otp24-x86_64-emu",
		"otp26-x86_64", "otp26-x86_64-emu",
	};
	const struct layout *lay[LAYOUT_CANDIDATES];
	size_t i, n = layout_candidates(25, true, "x86_64", lay, LAYOUT_CANDIDATES);

	ok(n > ARRAY_SIZE(want), "%zu rows can be tried on a VM of OTP 25", n);
	for (i = 0; i < ARRAY_SIZE(want) && i < n; i++)
		is_str(lay[i]->name, want[i], "number %zu of them", i + 1);
	is_u64(layout_candidates(25, true, "x86_64", lay, 2), 2, "no more than there is room for");
	is_u64(layout_candidates(22, false, "x86_64", lay, LAYOUT_CANDIDATES), 0,
	       "none for a release that is not known");
	is_u64(layout_trust_of(lay[0], 25, true, "94bcd90b66fca38e41e627fa3a2ec089b2e498be"),
	       LAYOUT_EXACT, "Debian's build of 25 is known");
	is_u64(layout_trust_of(lay[0], 25, true, ""), LAYOUT_RELEASE, "a build without id is not");
	is_u64(layout_trust_of(lay[0], 26, true, ""), LAYOUT_NEIGHBOUR,
	       "on another release it is a neighbour's");
	ok(layout_tested(lay[0]) && !layout_tested(lay[1]) &&
		   !layout_tested(layout_find(25, true, "aarch64")),
	   "a row is tested on its own flavour and architecture only");
}

int main(void)
{
	size_t i;

	alarm(HANG_SECONDS);
	rows_in_order();
	candidates();
	for (i = 0; i < ARRAY_SIZE(releases); i++) {
		impostors(releases[i]);
		swapped_rows(releases[i]);
		altered_rows(releases[i]);
	}
	from_the_future(29);
	fixture_tidy();
	return done();
}
