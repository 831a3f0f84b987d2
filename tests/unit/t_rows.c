// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pairs, and the probes' rows: arithmetic over every member, finding by key, what is new since
 * the last report, and summing up the lightest when there are too many.
 */
#include "fake_probe.h"
#include "fold.h"
#include "tap.h"

static uint64_t rng = 0x2545f4914f6cdd1dULL;

static uint64_t rnd(void)
{
	rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
	return rng * 0x9e3779b97f4a7c15ULL;
}

static void fill(void *at, size_t size)
{
	uint32_t word;
	size_t i;

	for (i = 0; i + sizeof(word) <= size; i += sizeof(word)) {
		word = rnd() >> 36;
		memcpy((char *)at + i, &word, sizeof(word));
	}
}

/* --- pairs -------------------------------------------------------------------------------------- */

#define MANY 5000

/* Number i of a set of keys; all differ, but in ways that a hash may not see. */
static void key_of(int set, uint64_t i, uint64_t *a, uint64_t *b)
{
	*a = i << 4 | 3;
	*b = 0;
	switch (set) {
	case 1: /* differ in the highest bits alone */
		*a = i << 48, *b = 7;
		break;
	case 2: /* a and b undo each other where one is turned by half a word */
		*a = i << 32 | i, *b = i << 32 | i;
		break;
	case 3: /* only the second differs */
		*a = 0x1003, *b = i;
		break;
	case 4: /* the same two, in either order */
		*a = i & 1 ? i : i + 1, *b = i & 1 ? i + 1 : i;
		break;
	}
}

static void pairs(void)
{
	static const char *const sets[] = { "pids", "high bits", "a hash of 0", "types",
	"swapped" };
	struct pairs p = { 0 };
	uint64_t a, b, i;
	int set, good;

	ok(pairs_find(&p, 0, 0) == -1 && pairs_find(&p, 3, 4) == -1, "pairs: none in an empty map");
	for (set = 0; set < (int)ARRAY_SIZE(sets); set++) {
		/* numbers are given out in order, again and again the same */
		for (i = good = 0; i < MANY; i++) {
			key_of(set, i, &a, &b);
			good += pairs_find(&p, a, b) == -1 && pairs_add(&p, a, b) == i &&
				pairs_add(&p, a, b) == i && p.n == i + 1;
		}
		is_u64(good, MANY, "pairs: %s: numbers from 0 upwards", sets[set]);
		for (i = good = 0; i < MANY; i++) {
			key_of(set, i, &a, &b);
			good += pairs_find(&p, a, b) == (long)i;
		}
		is_u64(good, MANY, "pairs: %s: each is found after the map has grown", sets[set]);
		for (i = MANY, good = 0; i < 2 * MANY; i++) {
			key_of(set, i, &a, &b);
			good += pairs_find(&p, a, b) == -1;
		}
		is_u64(good, MANY, "pairs: %s: what was not added is absent", sets[set]);
		ok(p.cap >= 2 * (p.n - 1) && p.cap <= 8 * p.n, "pairs: %s: at most half full",
		   sets[set]);
		pairs_free(&p);
		ok(!p.cap && pairs_find(&p, a, b) == -1, "pairs: %s: empty again", sets[set]);
	}
}

/* --- arithmetic --------------------------------------------------------------------------------- */

/* What is no sum, as spans of struct eb_proc: names, flags, maxima, and what fresh.c reckons with. */
static const struct {
	size_t at, size;
} proc_kept[] = {
#define SPAN(from, to) { offsetof(struct eb_proc, from), \
			 offsetof(struct eb_proc, to) - offsetof(struct eb_proc, from) }
	SPAN(initial, created), SPAN(acquired, minor), SPAN(pause_max_ns, reclaimed_words),
	SPAN(heap_words, size_hist),
#undef SPAN
};

static bool is_kept(size_t at)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(proc_kept); i++)
		if (at >= proc_kept[i].at && at < proc_kept[i].at + proc_kept[i].size)
			return true;
	return false;
}

/* Words of a and b that differ; those that are no sums are not looked at. */
static unsigned int differ(const struct eb_proc *a, const struct eb_proc *b)
{
	unsigned int n = 0;
	size_t at;

	for (at = 0; at < sizeof(*a); at += 4)
		n += !is_kept(at) && memcmp((char *)a + at, (char *)b + at, 4);
	return n;
}

static void proc_arithmetic(void)
{
	size_t at, sums = 0, kept = 0, hists = offsetof(struct eb_proc, size_hist), k;
	struct eb_proc a = { 0 }, b = { 0 }, was;

	fill(&a, sizeof(a));
	fill(&b, sizeof(b));
	b.pause_max_ns = a.pause_max_ns - 1;
	a.flags = EB_PROC_EXITED;
	b.flags = EB_PROC_PARTIAL | EB_PROC_EXITED;
	was = a;
	proc_add(&a, &b);
	/* member by member: 8 bytes wide up to the histograms, 4 in them */
	for (at = 0; at < sizeof(a); at += at < hists ? 8 : 4) {
		uint64_t x = 0, y = 0, sum = 0;
		size_t size = at < hists ? 8 : 4;

		if (is_kept(at)) {
			kept++;
			continue;
		}
		for (k = 0; k < 3; k++)
			memcpy(k == 0 ? &x : k == 1 ? &y : &sum,
			       (char *)(k == 0 ? &was : k == 1 ? &b : &a) + at, size);
		if (size == 4 ? (uint32_t)(x + y) == sum : x + y == sum)
			sums++;
		else
			diag("at byte %zu: %#" PRIx64 " + %#" PRIx64 " is %#" PRIx64, at, x, y, sum);
	}
	is_u64(sums + kept, hists / 8 + (sizeof(a) - hists) / 4, "proc_add: each member is a sum");
	is_u64(a.pause_max_ns, was.pause_max_ns, "proc_add: of the longest pauses the longer");
	is_u64(a.flags, EB_PROC_EXITED | EB_PROC_PARTIAL,
	       "proc_add: what falls short makes the sum fall short");
	b.flags = EB_PROC_EXITED;
	a.flags = 0;
	proc_add(&a, &b);
	is_u64(a.flags, 0, "proc_add: a sum of processes has not exited");
	proc_sub(&a, &b);
	proc_sub(&a, &b);
	is_u64(differ(&a, &was), 0, "proc_sub: takes off what proc_add adds, member by member");
	b.pause_max_ns = was.pause_max_ns + 1;
	proc_add(&a, &b);
	is_u64(a.pause_max_ns, b.pause_max_ns, "proc_add: and the other way round");
	a = was;
	proc_sub(&a, &b);
	ok(!memcmp(a.initial, was.initial, offsetof(struct eb_proc, created)) &&
		   a.pause_max_ns == was.pause_max_ns && a.heap_words == was.heap_words &&
		   !memcmp(&a.acquired, &was.acquired,
			   offsetof(struct eb_proc, minor) - offsetof(struct eb_proc, acquired)),
	   "proc_sub: names, flags, maxima and what fresh.c reckons with stay");
}

/* Rows whose members are all sums, of one width up to a histogram, of another in it. */
static void all_sums(const char *what, void (*add)(void *, const void *),
		     void (*sub)(void *, const void *), size_t size, size_t hists)
{
	char a[1024] = { 0 }, b[1024] = { 0 }, was[1024];
	size_t at, wrong = 0, width;

	fill(a, size);
	fill(b, size);
	memcpy(was, a, size);
	sub(a, b);
	for (at = 0; at < size; at += width) {
		uint64_t x = 0, y = 0, rest = 0;

		width = at < hists ? 8 : 4;
		memcpy(&x, was + at, width);
		memcpy(&y, b + at, width);
		memcpy(&rest, a + at, width);
		wrong += width == 4 ? (uint32_t)(x - y) != rest : x - y != rest;
	}
	is_u64(wrong, 0, "%s_sub: each member is a difference", what);
	if (!add)
		return;
	add(a, b);
	ok(!memcmp(a, was, size), "%s_add: adds what it takes off", what);
}

static void add_a(void *a, const void *b)
{
	alloc_add(a, b);
}

static void sub_a(void *a, const void *b)
{
	alloc_sub(a, b);
}

static void sub_c(void *a, const void *b)
{
	carrier_sub(a, b);
}

/* --- finding by key ----------------------------------------------------------------------------- */

static void index_of(enum probe_map map, size_t n)
{
	struct map_copy c = { 0 };
	struct row_index ix;
	size_t ks = rows_key_size(map), i, good = 0, absent = 0;
	char *key = xcalloc(1, ks);

	/* every second number is there */
	for (i = 0; i < n; i++) {
		memset(key, 0, ks);
		memcpy(key + (i & 1 ? ks - 4 : 0), &(uint32_t){ 2 * i + 2 }, 4);
		c.keys = xrealloc(c.keys, (i + 1) * ks);
		memcpy((char *)c.keys + i * ks, key, ks);
		c.n = i + 1;
	}
	row_index_make(&ix, &c, ks);
	for (i = 0; i < n; i++) {
		good += row_index_find(&ix, (char *)c.keys + i * ks) == (long)i;
		memcpy(key, (char *)c.keys + i * ks, ks);
		key[ks - 1] ^= 0x40;
		absent += row_index_find(&ix, key) == -1;
	}
	memset(key, 0, ks);
	ok(good == n && absent == n && row_index_find(&ix, key) == -1,
	   "keys of %zu bytes: each of %zu is found, no other is", ks, n);
	row_index_free(&ix);
	map_copy_free(&c);
	ok(!c.keys && !c.n, "a copy is free");
	free(key);
}

/* --- what is new since the last report ---------------------------------------------------------- */

static struct eb_proc *proc(uint64_t who)
{
	return fake_put(MAP_PROCS, &who);
}

static struct eb_alloc *alloc(uint64_t who, uint32_t type)
{
	return fake_put(MAP_ALLOC, &(struct eb_alloc_key){ .who = who, .type = type });
}

#define PID(n) ((uint64_t)(n) << 4 | 3)

static struct eb_proc *proc_of(const struct map_copy *c, uint64_t who)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (((uint64_t *)c->keys)[i] == who)
			return (struct eb_proc *)c->values + i;
	return NULL;
}

static void intervals(void)
{
	struct map_copy base = { 0 }, now, cbase = { 0 };
	struct eb_carrier *carrier;

	rows_read_new(NULL, MAP_PROCS, &base, &now);
	ok(!now.n && !base.n, "nothing was seen: no rows");
	map_copy_free(&now);
	proc(PID(1))->created = 5;
	proc(PID(1))->heap_words = 100;
	proc(PID(2))->created = 7;
	rows_read_new(NULL, MAP_PROCS, &base, &now);
	ok(now.n == 2 && proc_of(&now, PID(1))->created == 5 && proc_of(&now, PID(2))->created == 7,
	   "the first report has all there is");
	map_copy_free(&now);
	proc(PID(1))->created = 9;
	proc(PID(3))->created = 1;
	rows_read_new(NULL, MAP_PROCS, &base, &now);
	ok(proc_of(&now, PID(1))->created == 4 && proc_of(&now, PID(2))->created == 0 &&
		   proc_of(&now, PID(3))->created == 1,
	   "the second has what came in between");
	is_u64(proc_of(&now, PID(1))->heap_words, 100, "what is no sum is as it is now");
	ok(proc_of(&base, PID(1))->created == 9 && proc_of(&base, PID(2))->created == 7,
	   "the whole stays known");
	map_copy_free(&now);
	map_copy_free(&base);
	carrier = fake_put(MAP_CARRIER, &(struct eb_carrier_key){ .allctr = 1 });
	carrier->created = 2;
	carrier->life_hist[EB_LIFE_SLOTS - 1] = 3;
	alloc(PID(1), 8)->frees = 4;
	rows_read_new(NULL, MAP_CARRIER, &cbase, &now);
	map_copy_free(&now);
	carrier->created = 5;
	carrier->life_hist[EB_LIFE_SLOTS - 1] = 4;
	rows_read_new(NULL, MAP_CARRIER, &cbase, &now);
	ok(((struct eb_carrier *)now.values)->created == 3 &&
		   ((struct eb_carrier *)now.values)->life_hist[EB_LIFE_SLOTS - 1] == 1,
	   "the same of carriers");
	map_copy_free(&now);
	map_copy_free(&cbase);
	rows_read_new(NULL, MAP_ALLOC, &base, &now);
	map_copy_free(&now);
	alloc(PID(1), 8)->frees = 10;
	alloc(PID(1), 9)->frees = 1;
	rows_read_new(NULL, MAP_ALLOC, &base, &now);
	ok(now.n == 2 && ((struct eb_alloc *)now.values)[0].frees == 6 &&
		   ((struct eb_alloc *)now.values)[1].frees == 1,
	   "the same of allocations, by process and type");
	map_copy_free(&now);
	map_copy_free(&base);
	fake_clear();
}

/* --- summing up --------------------------------------------------------------------------------- */

static void weights(void)
{
	struct fold none = { 0 };
	struct eb_proc p = { .created_bytes = 3, .acquired_bytes = 4, .pause_total_ns = 9 };

	ok(fold_weight(&p, 50, FOLD_ALLOC) == 50 && fold_weight(NULL, 50, FOLD_ALLOC) == 50,
	   "fold: allocations weigh by their bytes");
	ok(fold_weight(&p, 50, FOLD_BIN) == 7 && !fold_weight(NULL, 50, FOLD_BIN),
	   "fold: binaries by those created and those that came");
	ok(fold_weight(&p, 50, FOLD_GC) == 9 && !fold_weight(NULL, 50, FOLD_GC),
	   "fold: collections by their time");
	fold_reported(&none);
	ok(!none.types.n && !none.proc.created, "fold: a report when nothing was summed up");
}

static void due(void)
{
	struct fold f = { .max_processes = 100 };

	fake_counts.procs_made = 100;
	fake_counts.alloc_rows_made = 200;
	ok(!fold_due(&f, NULL), "fold: not due while all fit");
	fake_counts.procs_made = 101;
	ok(fold_due(&f, NULL), "fold: due when there are many processes");
	f.procs_gone = 1;
	ok(!fold_due(&f, NULL), "fold: those taken out count no more");
	fake_counts.alloc_rows_made = 201;
	ok(fold_due(&f, NULL), "fold: due when there are many rows of allocations");
	f.alloc_rows_gone = 1;
	ok(!fold_due(&f, NULL), "fold: nor do rows of allocations");
	fake_clear();
}

static void fold(struct fold *f, struct map_copy *procs, struct map_copy *allocs)
{
	struct map_copy none[2] = { { 0 } };

	fold_run(f, NULL, procs ? procs : &none[0], allocs ? allocs : &none[1]);
}

/* Twenty processes, the one numbered n with n units of something; ten of them are kept. */
static void choice(void)
{
	struct fold f = { .max_processes = 13 };
	uint64_t thread = 77 << 8 | EB_KEY_THREAD, api = EB_API_DRV_INC << 8 | EB_KEY_API;
	uint64_t port = 5 << 4 | 7;
	size_t i, left = 0;

	for (i = 1; i <= 20; i++)
		proc(PID(i))->created_bytes = 1000 + i;
	/* light in one way, heavy in another */
	proc(PID(1))->pause_total_ns = 5;
	alloc(PID(2), 8)->alloc_bytes = 600;
	/* never chosen */
	proc(thread)->created = 1;
	proc(api)->created = 1;
	proc(EB_KEY_OTHER)->created = 1;
	proc(port)->created = 1;
	fold(&f, NULL, NULL);
	ok(fake_find(MAP_PROCS, &thread) && fake_find(MAP_PROCS, &api) &&
		   fake_find(MAP_PROCS, &(uint64_t){ EB_KEY_OTHER }),
	   "fold: threads, functions and the others' row stay, however light");
	ok(!fake_find(MAP_PROCS, &port), "fold: ports are as many as processes");
	ok(fake_find(MAP_PROCS, &(uint64_t){ PID(1) }) &&
	   fake_find(MAP_PROCS, &(uint64_t){ PID(2) }),
	   "fold: the heaviest by any measure stay");
	is_u64(fake_maps[MAP_PROCS].n, 10, "fold: three quarters of the rows are left");
	for (i = 16; i <= 20; i++)
		left += !!fake_find(MAP_PROCS, &(uint64_t){ PID(i) });
	is_u64(left, 5, "fold: the lightest of the rest went");
	is_u64(f.folded, 14, "fold: it says how many");
	is_u64(f.procs_gone, 14, "fold: and that they are gone");
	is_u64(f.proc.created, 1, "fold: their sum, of counts");
	is_u64(f.proc.created_bytes, 13 * 1000 + (3 + 15) * 13 / 2, "fold: their sum, of bytes");
	is_u64(fold_bound(&f, FOLD_BIN, 0), 1015, "fold: none of them had more than the bound");
	is_u64(fold_bound(&f, FOLD_GC, 0), 0, "fold: each measure has a bound of its own");
	fold_free(&f);
	fake_clear();

	/* of equal weight: those that have ended go first */
	f = (struct fold){ .max_processes = 13 };
	for (i = 1; i <= 20; i++) {
		proc(PID(i))->created_bytes = 7;
		proc(PID(i))->flags = i % 2 ? EB_PROC_EXITED : 0;
	}
	fold(&f, NULL, NULL);
	for (i = 2, left = 0; i <= 20; i += 2)
		left += !!fake_find(MAP_PROCS, &(uint64_t){ PID(i) });
	is_u64(left, 10, "fold: of equally light ones those that ended go");
	fold_free(&f);
	fake_clear();

	/* few processes, many types */
	f = (struct fold){ .max_processes = 13 };
	for (i = 0; i < 40; i++) {
		proc(PID(1 + i / 10))->created = 1;
		alloc(PID(1 + i / 10), i % 10)->alloc_bytes = 100 * (i / 10) + 1;
		alloc(PID(1 + i / 10), i % 10)->allocs = 1;
	}
	fold(&f, NULL, NULL);
	is_u64(fake_maps[MAP_ALLOC].n, 20, "fold: rows of allocations go down to their room");
	ok(!fake_find(MAP_PROCS, &(uint64_t){ PID(1) }) &&
	   !fake_find(MAP_PROCS, &(uint64_t){ PID(2) }) &&
		   fake_find(MAP_PROCS, &(uint64_t){ PID(3) }),
	   "fold: whole processes go");
	ok(f.types.n == 10 && f.alloc_rows_gone == 20 && f.allocs[3].allocs == 2 &&
		   f.allocs[3].alloc_bytes == 102 && f.alloc_types[3] == 3,
	   "fold: their sums are by type");
	is_u64(fold_bound(&f, FOLD_ALLOC, 0), 1010, "fold: the bound is on a process, all types");
	fold_reported(&f);
	ok(!f.allocs[3].allocs && f.types.n == 10, "fold: what was reported is gone from the sums");
	ok(f.folded == 2 && fold_bound(&f, FOLD_ALLOC, 0) == 1010,
	   "fold: the bound is that of the whole run");
	fold_free(&f);
	fake_clear();
}

/* What was reported of a row before it was taken out is not reported again. */
static void folded_after_report(void)
{
	struct fold f = { .max_processes = 1 };
	struct map_copy procs = { 0 }, allocs = { 0 }, now;
	uint64_t i;

	for (i = 1; i <= 2; i++) {
		proc(PID(i))->created = 10;
		proc(PID(i))->created_bytes = 10 * i;
		alloc(PID(i), 8)->allocs = 10;
		alloc(PID(i), 8)->alloc_bytes = 10 * i;
	}
	rows_read_new(NULL, MAP_PROCS, &procs, &now);
	map_copy_free(&now);
	rows_read_new(NULL, MAP_ALLOC, &allocs, &now);
	map_copy_free(&now);
	proc(PID(1))->created = 13;
	alloc(PID(1), 8)->allocs = 14;
	fold(&f, &procs, &allocs);
	is_u64(f.folded, 1, "fold between reports: the lighter of two goes");
	is_u64(f.proc.created, 3, "fold between reports: what was reported is not summed up");
	ok(f.types.n == 1 && f.allocs[0].allocs == 4,
	   "fold between reports: nor is it of allocations");
	proc(PID(1))->created = 2;
	rows_read_new(NULL, MAP_PROCS, &procs, &now);
	is_u64(proc_of(&now, PID(1))->created, 2,
	       "fold between reports: a new row starts from nothing");
	map_copy_free(&now);
	map_copy_free(&procs);
	map_copy_free(&allocs);
	fold_reported(&f);
	is_u64(f.proc.created, 0, "fold between reports: sums start from nothing after a report");
	fold_free(&f);
	fake_clear();
}

/* Rows that go while it looks, or grow. */
static void grow_it(enum probe_map map, const void *key)
{
	if (map == MAP_PROCS)
		proc(*(uint64_t *)key)->created_bytes = 500;
}

static void lose_it(enum probe_map map, const void *key)
{
	fake_maps[map].n = 0;
}

static void meanwhile(void)
{
	struct fold f = { .max_processes = 1 };

	proc(PID(1))->created_bytes = 1;
	proc(PID(2))->created_bytes = 9;
	fake_before_take = grow_it;
	fold(&f, NULL, NULL);
	ok(f.proc.created_bytes == 500 && fold_bound(&f, FOLD_BIN, 0) >= 500,
	   "fold: a row that grew meanwhile is within the bound");
	fold_free(&f);
	fake_clear();
	f = (struct fold){ .max_processes = 1 };
	proc(PID(1))->created_bytes = 1;
	proc(PID(2))->created_bytes = 9;
	fake_before_take = lose_it;
	fold(&f, NULL, NULL);
	ok(!f.folded && !f.procs_gone && !f.proc.created_bytes,
	   "fold: a row that is gone is not summed up");
	fold_free(&f);
	fake_clear();
}

/*
 * Processes come, work, and end; rows are summed up now and then; in the end no process's row may
 * be wrong by more than the bound.
 */
static unsigned int bounded(unsigned int room, bool overflow)
{
	enum { PROCS = 60 };
	struct fold f = { .max_processes = room };
	uint64_t truth[PROCS] = { 0 }, overflowed = 0, shown, all = 0, sum;
	bool ended[PROCS] = { false };
	unsigned int wrong = 0, i, k, n;
	struct eb_proc *row;

	for (i = 0; i < 4000; i++) {
		k = rnd() >> 8 & 1 ? rnd() % PROCS : rnd() % 8;
		if (ended[k])
			continue;
		n = rnd() % 100;
		truth[k] += n;
		all += n;
		if (overflow && !fake_find(MAP_PROCS, &(uint64_t){ PID(k) }) && rnd() % 4 == 0) {
			overflowed += n;
			continue;
		}
		row = proc(PID(k));
		row->created_bytes += n;
		if (i > 1000 && rnd() % 50 == 0) {
			row->flags |= EB_PROC_EXITED;
			ended[k] = true;
		}
		if (rnd() % 100 == 0)
			fold(&f, NULL, NULL);
	}
	sum = f.proc.created_bytes + overflowed;
	for (k = 0; k < PROCS; k++) {
		row = fake_find(MAP_PROCS, &(uint64_t){ PID(k) });
		shown = row ? row->created_bytes : 0;
		sum += shown;
		if (shown > truth[k] || truth[k] - shown > fold_bound(&f, FOLD_BIN, overflowed))
			wrong++;
	}
	if (sum != all)
		wrong++;
	fold_free(&f);
	fake_clear();
	return wrong;
}

static void bounds(void)
{
	struct fold f = { .dead_max = { 10, 10, 10 }, .live_sum = { 3, 30, 10 } };
	unsigned int i, wrong[2] = { 0 };

	ok(fold_bound(&f, 0, 0) == 10 && fold_bound(&f, 1, 0) == 30,
	   "bound: the heaviest that ended, or all rounds of one that lives");
	ok(fold_bound(&f, 0, 5) == 15 && fold_bound(&f, 1, 5) == 35,
	   "bound: what found the map full may have been any one's, on top of it");
	/* taken out twice: while it lived, and when it had ended */
	f = (struct fold){ .max_processes = 1 };
	for (i = 0; i < 2; i++) {
		proc(PID(1))->created_bytes = 10;
		proc(PID(1))->flags = i ? EB_PROC_EXITED : 0;
		proc(PID(2))->created_bytes = 100;
		fold(&f, NULL, NULL);
	}
	is_u64(fold_bound(&f, FOLD_BIN, 0), 20,
	       "bound: taken out while it lived and when it had ended");
	fold_free(&f);
	fake_clear();
	for (i = 0; i < 200; i++)
		wrong[i & 1] += bounded(4 + i % 40, i & 1);
	is_u64(wrong[0], 0, "bound: no process is wrong by more, and nothing is lost");
	is_u64(wrong[1], 0, "bound: nor where a map was full");
}

int main(void)
{
	pairs();
	proc_arithmetic();
	all_sums("alloc", add_a, sub_a, sizeof(struct eb_alloc), offsetof(struct eb_alloc, size_hist));
	all_sums("carrier", NULL, sub_c, sizeof(struct eb_carrier),
		 offsetof(struct eb_carrier, size_hist));
	index_of(MAP_PROCS, 1);
	index_of(MAP_PROCS, 3000);
	index_of(MAP_ALLOC, 3000);
	index_of(MAP_CARRIER, 3000);
	intervals();
	weights();
	due();
	choice();
	folded_after_report();
	meanwhile();
	bounds();
	return done();
}
