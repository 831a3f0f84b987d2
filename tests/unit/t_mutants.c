// SPDX-License-Identifier: GPL-2.0-only
/*
 * Recordings that were tampered with.
 *
 * Garbled memory must not crash, hang or run away with the reader, neither while the layout is
 * proven nor when a VM that was proven goes bad later.  (Layouts that do not belong to a recording
 * are t_layout.c's.)
 */
#include "fixture.h"
#include "snap_held.h"
#include "tap.h"
#include "term.h"

#include <errno.h>

#define HANG_SECONDS 280 /* of the whole program; it takes a tenth of that under ASan */
#define ROUND_NS 20000000000ULL
#define BUDGET 5000

static uint64_t rng_state;

static uint64_t rnd(uint64_t below)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state * 0x2545f4914f6cdd1dULL % below;
}

static void seed(uint64_t n)
{
	rng_state = n * 0x9e3779b97f4a7c15ULL + 1;
	rnd(2);
}

/* A random place, with the same chance for small segments as for large ones. */
static unsigned char *place(struct fixture *fx, size_t len, vmaddr_t *addr)
{
	struct seg *s;
	uint64_t at;

	do
		s = &fx->v[rnd(fx->n)];
	while (s->len < len + 8);
	at = rnd(s->len - len) & ~7ULL;
	*addr = s->addr + at;
	return s->bytes + at;
}

/* A word that points to something recorded is what walks follow: that one is worth changing. */
static unsigned char *pointer(struct fixture *fx, vmaddr_t *addr)
{
	unsigned char *p = NULL;
	uint64_t v;
	int i;

	for (i = 0; i < 2000; i++) {
		p = place(fx, 8, addr);
		memcpy(&v, p, 8);
		if (v > 4096 && fixture_at(fx, v & ~7ULL, 8))
			break;
	}
	return p;
}

static uint64_t nasty(struct fixture *fx, vmaddr_t self)
{
	static const uint64_t words[] = {
		0, 1, 7, 4095, 4096, 1ULL << 47, UINT64_MAX, UINT64_MAX - 7, INT64_MAX,
		0x7fffffff, 0xffffffff, 0x8000000000000000ULL, 0xfffffffffffff000ULL,
	};
	vmaddr_t other;

	switch (rnd(4)) {
	case 0:
		return self;
	case 1:
		pointer(fx, &other);
		return other;
	case 2:
		place(fx, 8, &other);
		return other + rnd(8);
	}
	return words[rnd(ARRAY_SIZE(words))];
}

enum { FLIP, DROP, POINT, BLEND, MUTANTS };

static const char *const mutant_names[] = {
	"bytes flipped", "segments dropped", "pointers replaced", "all of these",
};

static void mutate(struct fixture *fx, int how)
{
	unsigned int i, n = 1 + rnd(rnd(4) ? 8 : 200);
	unsigned char *p;
	uint64_t v;
	vmaddr_t addr;
	size_t k;

	for (i = 0; i < n; i++) {
		switch (how == BLEND ? (int)rnd(BLEND) : how) {
		case FLIP:
			p = place(fx, 8, &addr);
			p[rnd(8)] ^= 1 << rnd(8);
			break;
		case DROP:
			k = rnd(fx->n);
			free(fx->v[k].bytes);
			fx->v[k] = fx->v[--fx->n];
			break;
		case POINT:
			p = pointer(fx, &addr);
			v = nasty(fx, addr);
			memcpy(p, &v, 8);
			break;
		}
	}
}

struct bounds {
	uint64_t worst_ns, worst_read;
	unsigned int opened, refused, unsupported, over_budget;
};

/* Everything a report reads of processes, with a budget; true while that is kept. */
static bool walk_all(struct vm *vm)
{
	struct held_walk walk = { .refs_budget = BUDGET };
	uint64_t left, cols, words, calls[CALL_N], refs = 0;
	struct proc_image image;
	struct proc_names names;
	struct held_bins held;
	struct proc_ids ids;
	char text[64];
	size_t i;

	if (!snap_proc_ids(vm, &ids)) {
		for (i = 0; i < ids.n; i++) {
			left = walk.refs_budget;
			term_pid_text(vm, ids.v[i].id, text, sizeof(text));
			term_port_text(vm, ids.v[i].id, text, sizeof(text));
			snap_proc_find(vm, ids.v[i].id, &image);
			if (snap_held_bins(vm, &ids.v[i], &walk, &held, &image) == 0) {
				refs += held.refs + held.writable_refs;
				snap_proc_names(vm, &image, &names);
				proc_names_free(&names);
			}
			if (walk.refs_budget > left)
				return false;
		}
		snap_proc_ids_free(&ids);
	}
	for (i = 0; i < vm->ninsts; i++)
		vm_instance_calls(vm, &vm->insts[i], calls);
	vm_gc_info(vm, &cols, &words);
	/* from 26 on the writable ones are part of refs as well */
	return refs <= 2 * BUDGET;
}

static void round_of(int otp, const struct fixture *good, struct vm *proven, int how,
		     struct bounds *b)
{
	const char *path = fixture_tmp();
	uint64_t start = now_ns(), took, read;
	struct fixture bad;
	struct vm vm;

	fixture_copy(&bad, good);
	mutate(&bad, how);
	fixture_write(&bad, path, SIZE_MAX);
	fixture_free(&bad);

	if (!vm_open_recording(&vm, path)) {
		b->opened++;
		b->over_budget += !walk_all(&vm);
		vm_close(&vm);
	} else {
		b->refused++;
		b->unsupported += failure_get() && failure_get()->status == EXIT_UNSUPPORTED;
	}
	failure_clear();
	/* a VM whose memory goes bad after its layout was proven */
	reader_close(&proven->rd);
	term_atoms_free(proven);
	if (reader_open_recording(&proven->rd, path))
		abort();
	b->over_budget += !walk_all(proven);
	read = proven->rd.bytes_read;
	took = now_ns() - start;
	if (took > b->worst_ns)
		b->worst_ns = took;
	if (read > b->worst_read)
		b->worst_read = read;
}

static void garbled(int otp, unsigned int rounds)
{
	struct fixture good;
	struct vm proven;
	unsigned int i;
	int how;

	fixture_read(&good, otp);
	fixture_symbols(otp, fixture_tmp(), NULL);
	if (!ok(!vm_open_recording(&proven, good.path), "otp %d: the recording opens", otp))
		return;
	for (how = 0; how < MUTANTS; how++) {
		struct bounds b = { 0 };

		for (i = 0; i < rounds; i++) {
			seed(otp * 1000003ULL + how * 10007 + i);
			round_of(otp, &good, &proven, how, &b);
		}
		ok(!b.over_budget && b.worst_ns < ROUND_NS && b.worst_read < 64 << 20,
		   "otp %d: %u rounds of %s end within their bounds", otp, rounds,
		   mutant_names[how]);
		diag("%u opened, %u refused; at worst %.0f ms, %.1f MiB read; %u beyond budget",
		     b.opened, b.refused, b.worst_ns / 1e6, b.worst_read / 1048576.0,
		     b.over_budget);
		/* damage beyond what a proof tolerates must end as this, not as anything else */
		ok(b.refused && b.unsupported == b.refused,
		   "otp %d: %s: whatever is refused is refused as unsupported", otp,
		   mutant_names[how]);
	}
	vm_close(&proven);
	fixture_free(&good);
}

/* --- damage where it hurts ------------------------------------------------------------ */

/* A proven VM with its recording at hand, to be altered in one place. */
struct bench {
	struct fixture fx;
	struct vm vm;
	struct proc_id id; /* the process `many`, with some 800 binaries on its list */
	struct proc_image image;
	struct { unsigned char *at; uint64_t was; } undo[8];
	size_t nundo, nsegs;
};

static bool bench_open(struct bench *b, int otp)
{
	struct proc_names names;
	struct proc_ids ids;
	bool found = false;
	size_t i;

	memset(b, 0, sizeof(*b));
	fixture_read(&b->fx, otp);
	b->nsegs = b->fx.n;
	if (vm_open_recording(&b->vm, b->fx.path) || snap_proc_ids(&b->vm, &ids))
		return false;
	for (i = 0; i < ids.n && !found; i++) {
		if (snap_proc_image(&b->vm, ids.v[i].addr, &b->image))
			continue;
		snap_proc_names(&b->vm, &b->image, &names);
		found = names.registered && !strcmp(names.registered, "many");
		b->id = ids.v[i];
		proc_names_free(&names);
	}
	snap_proc_ids_free(&ids);
	return found;
}

/* Where it was recorded it is changed in place: reads are served by a segment that holds all. */
static void put_word(struct bench *b, vmaddr_t addr, uint64_t v)
{
	unsigned char *p = fixture_at(&b->fx, addr, sizeof(v));

	if (!p) {
		fixture_add(&b->fx, addr, &v, sizeof(v));
		return;
	}
	b->undo[b->nundo].at = p;
	memcpy(&b->undo[b->nundo++].was, p, sizeof(v));
	memcpy(p, &v, sizeof(v));
}

static void bench_reopen(struct bench *b)
{
	fixture_write(&b->fx, fixture_tmp(), SIZE_MAX);
	reader_close(&b->vm.rd);
	if (reader_open_recording(&b->vm.rd, fixture_tmp()))
		abort();
	while (b->nundo) {
		b->nundo--;
		memcpy(b->undo[b->nundo].at, &b->undo[b->nundo].was, sizeof(uint64_t));
	}
	while (b->fx.n > b->nsegs)
		free(b->fx.v[--b->fx.n].bytes);
}

/* Walks the process with what was put in, then forgets that. */
static int bench_walk(struct bench *b, struct held_walk *walk, struct held_bins *held)
{
	struct proc_image image;

	bench_reopen(b);
	*walk = (struct held_walk){ .refs_budget = BUDGET };
	return snap_held_bins(&b->vm, &b->id, walk, held, &image);
}

static void targeted(int otp)
{
	const struct layout_fields *f;
	struct proc_names names;
	struct held_walk walk;
	struct held_bins held;
	uint64_t first, second, val, whole, got;
	struct bench b;

	if (!ok(bench_open(&b, otp), "otp %d: the process `many` is there", otp))
		return;
	f = &b.vm.lay->f;
	first = b.image.off_heap_first;
	memcpy(&second, fixture_at(&b.fx, first + f->oh_next, 8), 8);
	memcpy(&val, fixture_at(&b.fx, first + f->oh_val, 8), 8);

	ok(!bench_walk(&b, &walk, &held) && held.refs > 700 && !held.partial,
	   "otp %d: undamaged, the list is walked to its end", otp);
	whole = held.refs;

	put_word(&b, first + f->oh_next, first);
	ok(!bench_walk(&b, &walk, &held) && held.partial && held.refs == BUDGET &&
		   !walk.refs_budget,
	   "otp %d: a node that is its own next: the budget ends it, and it says so", otp);
	put_word(&b, second + f->oh_next, first);
	ok(!bench_walk(&b, &walk, &held) && held.partial && held.refs == BUDGET,
	   "otp %d: a circle of two nodes: the same", otp);
	/* where it leads there is a node like any other: only its address is odd */
	put_word(&b, first + f->oh_next, 0xa00004);
	fixture_add(&b.fx, 0xa00004,
		    (uint64_t[]){ b.vm.lay->facts->bin_header, val, 0, val }, 32);
	ok(!bench_walk(&b, &walk, &held) && held.partial && held.refs == 1,
	   "otp %d: a next that is not aligned ends the walk as partial", otp);
	put_word(&b, first + f->oh_next, 0x5000000000);
	ok(!bench_walk(&b, &walk, &held) && held.partial && held.refs == 1,
	   "otp %d: a next that cannot be read ends the walk as partial", otp);
	put_word(&b, first + f->oh_val, 0x5000000000);
	ok(!bench_walk(&b, &walk, &held) && held.partial && held.refs == whole,
	   "otp %d: a binary that cannot be read: all references, yet partial", otp);
	put_word(&b, val + f->bin_orig_size, UINT64_MAX);
	ok(!bench_walk(&b, &walk, &held) && held.partial && held.bytes < 1 << 20,
	   "otp %d: an absurd size is not added up", otp);
	put_word(&b, first, 0x1234);
	ok(!bench_walk(&b, &walk, &held) && !held.partial && held.refs == whole - 1,
	   "otp %d: a node of another kind is not counted", otp);

	put_word(&b, b.id.addr + f->proc_mbuf, 0x900000);
	put_word(&b, 0x900000 + f->frag_next, 0x900000);
	put_word(&b, 0x900000 + f->frag_off_heap_first, 0);
	ok(!bench_walk(&b, &walk, &held) && held.partial,
	   "otp %d: a heap fragment that is its own next: ended, and partial", otp);
	put_word(&b, b.id.addr + f->proc_id, b.id.id + 16);
	is_u64(-bench_walk(&b, &walk, &held), ESRCH, "otp %d: another process in its place", otp);
	memcpy(&val, fixture_at(&b.fx, b.id.addr + f->proc_state, 8), 8);
	put_word(&b, b.id.addr + f->proc_state, val | 1 << 11);
	is_u64(-bench_walk(&b, &walk, &held), ESRCH, "otp %d: it is exiting", otp);
	put_word(&b, b.id.addr + f->proc_state, val | 1 << 17);
	is_u64(-bench_walk(&b, &walk, &held), EAGAIN, "otp %d: it is collecting", otp);

	/* a dictionary of one slot: a list of pairs that never ends */
	put_word(&b, b.id.addr + f->proc_dictionary, 0x600000);
	put_word(&b, 0x600000 + f->dict_array_size, 1);
	put_word(&b, 0x600000 + f->dict_data, 0x700001);
	got = UINT64_MAX;
	fixture_add(&b.fx, 0x700000, (uint64_t[]){ 0x700002, 0x700001, 0 }, 24);
	bench_reopen(&b);
	if (!snap_proc_image(&b.vm, b.id.addr, &b.image)) {
		snap_proc_names(&b.vm, &b.image, &names);
		got = b.vm.rd.bytes_read;
		is_str(names.initial_call, "record:hold/1",
		       "otp %d: a dictionary that never ends: the plain initial call", otp);
		proc_names_free(&names);
	}
	ok(got < 1 << 16, "otp %d: and it is soon given up", otp);
	vm_close(&b.vm);
	fixture_free(&b.fx);
}

int main(void)
{
	bool more = getenv("EBEAM_LONG");
	size_t i;

	alarm(more ? 20 * HANG_SECONDS : HANG_SECONDS);
	for (i = 0; i < ARRAY_SIZE(releases); i++) {
		garbled(releases[i], more ? 1000 : 60);
		targeted(releases[i]);
	}
	fixture_tidy();
	return done();
}
