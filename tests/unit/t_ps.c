// SPDX-License-Identifier: GPL-2.0-only
/*
 * What ps does without a node: where fields stand in all rows, the choice of the first N, and the
 * names of states.
 */
#include "ps_rows.h"
#include "tap.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static bool all(const struct ps_proven *ok)
{
	return ok->registers && ok->psd && ok->queues && ok->links && ok->parent;
}

static struct ps_proven places(const struct layout *row)
{
	static struct vm vm;
	struct ps ps = { .vm = &vm };

	vm.lay = row;
	vm.otp = row->otp;
	snap_ps_places(&ps);
	return ps.ok;
}

/* Each of these, moved, is noticed by where it stands, on every release that has it. */
static const enum layout_field marked[] = {
	LF_proc_arity, LF_proc_max_arg_reg, LF_proc_arg_reg, LF_proc_sig_first, LF_proc_sig_last,
	LF_proc_sig_save, LF_proc_sig_cont, LF_proc_sig_cont_last, LF_proc_sig_signals,
	LF_proc_sig_len, LF_proc_sig_mlenoffs, LF_proc_sig_flags, LF_proc_inq_first,
	LF_proc_inq_last, LF_proc_inq_len, LF_proc_inq_signals, LF_proc_inq_buffers, LF_msg_m,
	LF_msg_size, LF_sig_mlenoffs, LF_proc_links, LF_proc_lt_monitors, LF_proc_monitors,
	LF_ml_right, LF_ml_left, LF_ml_list_next, LF_ml_other, LF_ml_offset, LF_ml_flags,
	LF_ml_type, LF_ml_size, LF_linkdata_size, LF_mondata_size, LF_mondata_origin, LF_mondata_ref,
	LF_proc_parent, LF_proc_psd, LF_psd_data, LF_proc_arity_size,
};

static void test_places(void)
{
	static const unsigned int far[] = { 4096, 0x80000000, 0xfffffff0, 0xfffffff8 };
	static const int by[] = { 8, -8, 4, -4 };
	const struct layout *row;
	struct ps_proven got;
	struct layout moved;
	size_t i, k, m, missed, rows = 0;

	for (i = 0; (row = layout_row(i)); i++, rows++) {
		got = places(row);
		ok(all(&got), "%s: fields stand as they are declared", row->name);
		for (k = missed = 0; k < ARRAY_SIZE(marked); k++)
			for (m = 0; m < ARRAY_SIZE(by); m++) {
				moved = *row;
				*layout_field_at(&moved, marked[k]) += by[m];
				got = places(&moved);
				if (all(&got)) {
					diag("%s %d", layout_field_name(marked[k]), by[m]);
					missed++;
				}
			}
		is_u64(missed, 0, "%s: one that does not is noticed", row->name);
	}
	ok(rows >= 20, "in all %zu rows", rows);
	moved = *layout_row(0);
	for (k = 0; k < ARRAY_SIZE(far); k++) {
		moved.f.proc_reds = far[k];
		got = places(&moved);
		ok(!got.registers && !got.queues && !got.links, "nothing is read at %#x", far[k]);
	}
}

static int largest_first(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x > *y ? -1 : *x < *y;
}

static void test_choice(size_t n, size_t limit)
{
	struct ps_chooser c = {
		.by = report_find(ps_columns, ps_ncolumns, "reductions"), .limit = limit,
	};
	uint64_t *v = xcalloc(n, sizeof(*v));
	struct ps_row row = { 0 };
	bool right = true;
	size_t i, want = limit && limit < n ? limit : n;

	for (i = 0; i < n; i++) {
		v[i] = row.p.reds = (i * 2654435761u) % 1000;
		row.p.who.id = (n - i) << 4 | 3;
		ps_choose(&c, &row);
	}
	qsort(v, n, sizeof(*v), largest_first);
	ps_choose_sort(&c);
	for (i = 0; i < want; i++)
		right &= c.v[i].n == v[i];
	for (i = 1; i < want; i++)
		right &= c.v[i - 1].n != c.v[i].n || c.v[i - 1].who.id < c.v[i].who.id;
	ok(right && c.n == want && c.seen == n, "the first %zu of %zu", limit, n);
	ps_choose_free(&c);
	free(v);
}

static void test_names(void)
{
	static char *const names[] = { "b", NULL, "a", "c", NULL, "aa" };
	struct ps_chooser c = {
		.by = report_find(ps_columns, ps_ncolumns, "name"), .limit = 4,
	};
	struct ps_row row = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		row.name = names[i];
		row.p.who.id = i << 4 | 3;
		ps_choose(&c, &row);
	}
	ps_choose_sort(&c);
	ok(c.n == 4 && !strcmp(c.v[0].text, "a") && !strcmp(c.v[1].text, "aa") &&
	   !strcmp(c.v[2].text, "b") && !strcmp(c.v[3].text, "c"),
	   "names by alphabet, those that have none last");
	ps_choose_free(&c);
}

static void test_states(void)
{
	is_str(snap_ps_status(0), "waiting", "waiting");
	is_str(snap_ps_status(1 << 13), "runnable", "active");
	is_str(snap_ps_status(1 << 13 | 1 << 15), "running", "running is more than runnable");
	is_str(snap_ps_status(1 << 15 | 1 << 17), "garbage_collecting", "and collecting more");
	is_str(snap_ps_status(1 << 16 | 1 << 15), "suspended", "as the node ranks them");
	is_str(snap_ps_status(1 << 11 | 1 << 17), "exiting", "exiting above all");
	is_str(snap_ps_priority(2 << 2), "normal", "normal priority");
	is_str(snap_ps_priority(0), "max", "and max, whatever it runs with");
}

/* --- a process whose dictionary moves all the time -------------------------------------------- */

#define DICTS 65536 /* so many that none is used again while it is looked at */
#define DICT_BYTES 64
#define SCANS 3000

static unsigned char (*dicts)[DICT_BYTES], process[2048] __attribute__((aligned(64)));
static volatile bool stop;

static void put(unsigned char *at, unsigned int off, const void *v, size_t n)
{
	memcpy(at + off, v, n);
	__sync_synchronize();
}

/* One pair in the dictionary that the process has; what it has no more holds anything. */
static void *move(void *arg)
{
	const struct layout_fields *f = arg;
	const uint32_t one = 1, freed = 999999;
	unsigned int i, spin;
	uint64_t at;

	for (i = 0; !stop; i++) {
		at = (uintptr_t)dicts[(i + 1) % DICTS];
		put(dicts[(i + 1) % DICTS], f->dict_num, &one, 4);
		put(process, f->proc_dictionary, &at, 8);
		put(dicts[i % DICTS], f->dict_num, &freed, 4);
		for (spin = 0; spin < 20 * (i % 256) && !stop; spin++)
			__sync_synchronize();
	}
	return NULL;
}

struct told {
	unsigned int known, unknown, wrong;
};

static void on_process(void *arg, const struct ps_proc *p)
{
	struct told *t = arg;

	t->known += !!(p->known & PS_DICT);
	t->unknown += !(p->known & PS_DICT);
	t->wrong += p->known & PS_DICT && p->dict_pairs != 1;
}

static void test_moving(void)
{
	const struct layout *row = layout_find(27, true, "x86_64");
	uint64_t slots[8] = { (uintptr_t)process }, skipped = 0;
	struct told told = { 0 };
	struct ps_scan scan = { .parts = PS_DICT, .found = on_process, .arg = &told };
	static unsigned char table[4096];
	static struct vm vm;
	struct ps ps = { .vm = &vm, .fits = true };
	pthread_t mover;
	const uint32_t one = 1;
	uint64_t id = 3, first;
	int i;

	dicts = xcalloc(DICTS, DICT_BYTES);
	first = (uintptr_t)dicts;
	put(dicts[0], row->f.dict_num, &one, 4);
	vm.lay = row;
	vm.otp = 27;
	vm.proc_max = ARRAY_SIZE(slots);
	vm.tab = (uintptr_t)slots;
	vm.proc_tab = (uintptr_t)table;
	put(table, row->f.ptab_count, &one, 4);
	put(process, row->f.proc_id, &id, 8);
	put(process, row->f.proc_dictionary, &first, 8);
	reader_open_live(&vm.rd, getpid());
	pages_open(&ps.pages, &vm.rd, 1 << 16);
	stop = false;
	pthread_create(&mover, NULL, move, (void *)&row->f);
	for (i = 0; i < SCANS; i++) {
		if (snap_ps_scan(&ps, &scan))
			abort();
		skipped += scan.skipped;
	}
	stop = true;
	pthread_join(mover, NULL);
	diag("%u known, %u unknown", told.known, told.unknown);
	is_u64(told.wrong, 0, "what was freed while it was looked at is not told");
	is_u64(told.known + told.unknown, SCANS, "the process is there each time");
	is_u64(told.unknown, skipped, "and skipped where its dictionary never held still");
	ok(told.known > SCANS / 10, "mostly it did");
	pages_close(&ps.pages);
	free(dicts);
}

int main(void)
{
	test_places();
	test_choice(1000, 20);
	test_choice(1000, 0);
	test_choice(5, 20);
	test_choice(1, 1);
	test_names();
	test_states();
	test_moving();
	return done();
}
