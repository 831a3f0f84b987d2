// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parts of a report's text: histograms, which columns and rows are shown, the head, what is
 * said in words, and numbers with their units.
 */
#include "report_model.h"

#include <locale.h>

/* --- histograms ------------------------------------------------------ */

static void get_text(const void *row, struct value *v)
{
	v->kind = VAL_TEXT;
	v->text = row;
}

/* A table of one row, with histograms. */
static char *with_hists(const struct table_hist *hists, size_t n, bool compact)
{
	static const struct column col = {
		"key", "KEY", UNIT_NONE, COL_TEXT | COL_LOW_BAD, "", get_text,
	};
	struct table t;
	struct report r = { .tables = &t, .ntables = 1, .compact = compact };
	char *out;

	report_plain(&t, "section", &col, 1, "row", 4, 1);
	snprintf(t.verdict, sizeof(t.verdict), "totals");
	t.nhists = n;
	memcpy(t.hists, hists, n * sizeof(*hists));
	out = captured(out_text, &r);
	report_table_free(&t);
	return out;
}

struct count {
	int slot;
	uint64_t n;
};

static struct table_hist hist_of(enum unit unit, const struct count *counts)
{
	struct table_hist h = {
		.key = "k", .label = "x", .of = "things", .unit = unit, .main = true,
	};

	for (; counts->n; counts++)
		h.hist.slot[counts->slot] = counts->n;
	return h;
}

#define HIST(unit, ...) hist_of(unit, (const struct count[]){ __VA_ARGS__, { 0, 0 } })

static void is_line(struct table_hist h, const char *want, const char *what)
{
	char *out = with_hists(&h, 1, true), *line = strstr(out, "row\n");

	line = line ? line + 4 : out;
	line[strcspn(line, "\n")] = '\0';
	is_str(line, want, "histogram in a line: %s", what);
	free(out);
}

static void histograms(void)
{
	static const uint64_t huge = UINT64_MAX;
	struct table_hist two[2];
	char *out, *bar;
	size_t len;

	is_line(HIST(UNIT_BYTES, { 6, 3 }), "  x: 64 B █ 127 B, 100 % in 64..127 B", "one slot");
	is_line(HIST(UNIT_BYTES, { 0, 1 }), "  x: 0 B █ 1 B, 100 % in 0..1 B", "the lowest");
	is_line(HIST(UNIT_NS, { 10, 7 }, { 11, 7 }, { 12, 7 }, { 13, 7 }),
		"  x: 1 us ████ 16 us, 25 % in 1..2 us", "all equal");
	is_line(HIST(UNIT_BYTES, { 9, 1 }, { 10, 1 }, { 11, 2 }, { 14, 4 }, { 15, 8 }),
		"  x: 512 B ▁▁▂··▄█ 64 KiB, 50 % in 32..64 KiB", "empty ones between");
	is_line(HIST(UNIT_BYTES, { 19, 1000 }, { 20, 1 }),
		"  x: 512 KiB █▁ 2 MiB, 100 % in 512 KiB..1 MiB", "few are seen; two units");
	is_line(HIST(UNIT_BYTES, { 38, 1 }), "  x: 256 GiB █ 512 GiB, 100 % in 256..512 GiB",
		"the last but one");
	is_line(HIST(UNIT_BYTES, { 37, 1 }, { 39, 3 }),
		"  x: 128 GiB ▃·█ 512 GiB+, 75 % in 512 GiB+", "the top slot has no end");
	is_line(HIST(UNIT_NS, { 9, 1 }, { 39, 1 }),
		"  x: 512 ns █·····························█ 9.2 min+, 50 % in 512 ns..1 us",
		"nor has that of durations");
	two[0] = HIST(UNIT_NS, { 38, 1 }, { 39, 1 }, { 47, 2 });
	two[0].slots = EB_LIFE_SLOTS;
	is_line(two[0], "  x: 4.6 min ▄▄·······█ 39 h+, 50 % in 39 h+",
		"lifetimes are counted further");
	two[0] = HIST(UNIT_NS, { 40, 1 });
	two[0].slots = EB_LIFE_SLOTS;
	is_line(two[0], "  x: 18 min █ 37 min, 100 % in 18..37 min", "and have ends there");
	is_line(HIST(UNIT_NS, { 12, 2 }, { 29, 1 }),
		"  x: 4.1 us █················▄ 1.1 s, 67 % in 4.1..8.2 us", "broken units");
	is_line(HIST(UNIT_BYTES, { 3, huge }, { 4, huge - 1 }, { 5, huge / 2 + 1 }, { 6, 1 }),
		"  x: 8 B ██▄▁ 127 B, 40 % in 8..15 B",
		"counts beyond 2^53, and their sum beyond 2^64");
	is_line(HIST(UNIT_WORDS, { 10, 1 }), "  x: 1024 █ 2048, 100 % in 1024..2048",
		"words have no unit");
	is_line((struct table_hist){ .label = "x", .main = true }, "", "an empty one has none");

	two[0] = HIST(UNIT_BYTES, { 3, 1 });
	two[1] = HIST(UNIT_NS, { 39, huge }, { 3, 1 });
	two[1].label = "y";
	two[1].main = false;
	out = with_hists(two, 2, true);
	ok(strstr(out, "  x: 8 B") && !strstr(out, "y: "), "compact: the main histogram only");
	free(out);
	two[1].main = true;
	out = with_hists(two, 2, true);
	ok(strstr(out, "  x: 8 B █ 15 B, 100 % in 8..15 B\n  y: 8 ns"), "compact: two main ones");
	free(out);
	two[1].main = false;
	out = with_hists(two, 2, false);
	ok(strstr(out, "     bytes               : count    things\n"
		       "         8 -> 15         : 1        |********"),
	   "in full: all histograms, the first");
	ok(strstr(out, "     nsecs                     : count    things\n"
		       "            8 -> 15            : 1        |*  "),
	   "in full: wider where bounds are, a single one is seen");
	ok(strstr(out, " 549755813888 -> ...           : 18.4E    |**********"),
	   "in full: the top slot has no end; large counts");
	bar = strstr(out, "nsecs");
	for (len = 0; bar && (bar = strchr(bar, '\n')) && bar[1]; bar++)
		if (!len)
			len = strcspn(bar + 1, "\n");
		else if (strcspn(bar + 1, "\n") != len)
			break;
	ok(bar && !bar[1], "in full: bars are aligned");
	free(out);
}

/* --- columns, rows ------------------------------------------------------------ */

struct five {
	uint64_t v[5];
};

#define GET_FIVE(n)                                                                                \
	static void get_##n(const void *row, struct value *v)                                      \
	{                                                                                          \
		v->kind = VAL_U64;                                                                 \
		v->u = ((const struct five *)row)->v[n];                                           \
	}
GET_FIVE(0)
GET_FIVE(1)
GET_FIVE(2)
GET_FIVE(3)
GET_FIVE(4)

static void get_est(const void *row, struct value *v)
{
	v->kind = ((const struct five *)row)->v[2] == 9 ? VAL_DOUBLE : VAL_NONE;
	v->d = 0;
}

static void is_header(const struct five *row, const char *want, const char *what)
{
	/* of 16 characters, but one of 6 */
	static const struct column cols[] = {
		{ "a", "A_AAAAAAAAAAAAAA", UNIT_NONE, COL_TEXT, "", get_0 },
		{ "b", "B_BBBBBBBBBBBBBB", UNIT_NONE, COL_TEXT | COL_SOONER(3), "", get_1 },
		{ "c", "C_CCCCCCCCCCCCCC", UNIT_NONE, COL_TEXT | COL_SOONER(1), "", get_2 },
		{ "d", "D_DDDD", UNIT_NONE, COL_TEXT | COL_SOONER(4), "", get_3 },
		{ "e", "E_EEEEEEEEEEEEEE", UNIT_BYTES, COL_TEXT | COL_SOONER(1), "", get_4 },
		{ "c_est", "F_", UNIT_NONE, COL_EST, "", get_est },
	};
	struct table t;
	struct report r = { .tables = &t, .ntables = 1, .compact = true };
	char *out, *line, got[16] = "";
	size_t n = 0;

	report_plain(&t, "t", cols, ARRAY_SIZE(cols), row, sizeof(*row), 1);
	out = captured(out_text, &r);
	line = strchr(out + 1, '\n') + 1;
	line[strcspn(line, "\n")] = '\0';
	for (; *line; line++)
		if (line[1] == '_')
			got[n++] = *line;
	is_str(got, want, "columns: %s", what);
	free(out);
	report_table_free(&t);
}

static void columns(void)
{
	const struct five full = { { 1, 1, 1, 1, 1 } };

	setenv("COLUMNS", "78", 1);
	is_header(&full, "ABCDE", "all that fit are shown");
	setenv("COLUMNS", "77", 1);
	is_header(&full, "ABCE", "the least telling goes");
	setenv("COLUMNS", "69", 1);
	is_header(&full, "ACDE", "then the next; what went before returns where there is room");
	setenv("COLUMNS", "60", 1);
	is_header(&full, "ACDE", "the same, just");
	is_header(&(struct five){ { 1, 1, 0, 1, 1 } }, "ABDE",
		  "one of zeros goes before all others");
	is_header(&(struct five){ { 1, 1, 1, 1, 0 } }, "ABCD", "bytes as well");
	is_header(&(struct five){ { 1, 1, 9, 1, 1 } }, "ABDE", "and estimates of zero");
	is_header(&(struct five){ { 1, 1, 0, 1, 0 } }, "ABCD", "of equal ones the last");
	is_header(&(struct five){ { 0, 1, 1, 1, 0 } }, "ABCD", "but none that must stay");
	setenv("COLUMNS", "100", 1);
	is_header(&(struct five){ { 0 } }, "ABCDE", "zeros are shown where there is room");
}

static void is_head(const char *width, const char *want)
{
	struct report r = { .vm = &vm };
	char *out;

	setenv("COLUMNS", width, 1);
	out = captured(out_text, &r);
	out[strcspn(out, "\n")] = '\0';
	is_str(out, want, "%s columns: the head says so much", width);
	free(out);
}

static void heads(void)
{
	make_vm();
	is_head("78",
		"rabbit@host  pid 0  OTP 27 (erts 15.2.7, jit)  2 schedulers  up 1 min  rss 0 B");
	is_head("77", "rabbit@host  pid 0  OTP 27 (jit)  2 schedulers  up 1 min  rss 0 B");
	is_head("64", "rabbit@host  pid 0  OTP 27 (jit)  up 1 min  rss 0 B");
}

static void is_rows(struct model *m, size_t limit, const char *sort, const char *want,
		    const char *what)
{
	struct table t;
	char got[64] = "";
	const struct bin_row *r;
	size_t i;

	report_table(m, WANT_BIN, sort, limit, &t);
	for (i = 0; i < t.nrows; i++) {
		r = t.rows[i];
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? " " : "",
			 r->who->name);
	}
	is_str(got, want, "rows: %s", what);
	if (t.nrows_all != m->bin.n)
		ok(false, "rows: it is said how many there are");
	report_table_free(&t);
}

static void cut(void)
{
	struct model m = { 0 };
	struct bin_row *b;
	struct table t;
	uint64_t i;

	for (i = 0; i < 6; i++) {
		char name[2] = { 'a' + i, '\0' };

		b = vec_add(&m.bin);
		b->who = who(&m, i << 4 | 3, NULL, name, NULL);
		b->held_known = b->alive_known = true;
		b->held_bytes = 60 - i;
		b->births_sampled = i & 1;
		b->alive_bytes = 10 + i;
	}
	is_rows(&m, 0, NULL, "a b c d e f", "all of them");
	is_rows(&m, 3, NULL, "a b c", "the first three");
	is_rows(&m, 0, "alive_bytes", "f e d c b a",
		"by a number, or its estimate where it is not known");
	b = vec_add(&m.bin);
	b->who = who(&m, EB_KEY_OTHER, NULL, "other", NULL);
	b->held_known = true;
	b->held_bytes = 1;
	is_rows(&m, 0, NULL, "a b c d e f other", "all, the sum of others last");
	is_rows(&m, 3, NULL, "a b other", "the sum of others stays");
	is_rows(&m, 6, NULL, "a b c d e other", "in place of the last");
	is_rows(&m, 7, NULL, "a b c d e f other", "where all fit none goes");
	is_rows(&m, 1, NULL, "a other", "but not of the only one");
	b->held_bytes = 59;
	b->created_bytes = 1;
	is_rows(&m, 3, NULL, "a other b", "where it belongs if it is heavy");
	b->held_bytes = 1;
	vec_add(&m.bin)->who = b->who;
	is_rows(&m, 3, NULL, "a b other", "once, if there are two");
	model_free(&m);

	/* carriers are nobody's: their rows begin with an address */
	memset(&m, 0, sizeof(m));
	for (i = 0; i < 4; i++)
		vec_add(&m.carrier)->allctr = 0x1000 * i;
	report_table(&m, WANT_CARRIER, NULL, 2, &t);
	ok(t.nrows == 2 && t.nrows_all == 4,
	   "rows: carriers are cut without a look at whose they are");
	report_table_free(&t);
	model_free(&m);
}

static void is_verdict(const struct model *m, unsigned int section, const char *want,
		       const char *what)
{
	struct table t;

	report_table(m, section, NULL, 0, &t);
	is_str(t.verdict, want, "in words: %s", what);
	report_table_free(&t);
}

/* The value of a total; VAL_NONE where it is not known. */
static struct value total(const struct model *m, unsigned int section, const char *key)
{
	struct value v = { .kind = VAL_BOOL };
	struct table t;
	size_t i;

	report_table(m, section, NULL, 0, &t);
	for (i = 0; i < t.ntotals; i++)
		if (!strcmp(t.totals[i].key, key))
			v = t.totals[i].value;
	report_table_free(&t);
	return v;
}

static void verdicts(void)
{
	struct model m = { 0 };
	struct bin_row *b;
	struct alloc_row *a;
	struct gc_row *g;

	a = vec_add(&m.alloc);
	a->who = who(&m, 0x13, "<0.1.0>", "a", NULL);
	a->allocs = 5, a->alloc_bytes = 500, a->frees = 3, a->free_bytes = 310, a->reallocs = 1;
	a->live_known = true, a->live = 2, a->live_bytes = 200;
	b = vec_add(&m.bin);
	b->who = a->who;
	b->held_known = true, b->held_refs = 9, b->held_bytes = 900;
	b->created = 7, b->created_bytes = 700, b->freed = 6, b->freed_bytes = 600, b->died = 4;
	b->alive_known = true, b->alive = 3, b->alive_bytes = 300;
	m.born_before = 2, m.born_before_known = true;
	g = vec_add(&m.gc);
	g->who = a->who;
	g->minor = 3, g->major = 1, g->pause_total_ns = 900, g->pause_max_ns = 500;
	g->reclaimed_words = 64;
	g->allocated_known = true, g->allocated_words = 100;
	m.unrowed_words = 28;

	is_verdict(&m, WANT_ALLOC, "5 allocs (500 B), 3 frees, 1 reallocs; 200 B live",
		   "what lives");
	is_verdict(&m, WANT_BIN,
		   "1 hold 900 B; 7 created (700 B): 4 died, 3 alive (300 B); 2 older freed",
		   "what became of those created, and what was older");
	is_verdict(&m, WANT_GC, "3 minor, 1 major took 900 ns, max 500 ns; allocated 1.0 KiB",
		   "what was allocated, by those without a row too");
	a->live_est = b->births_sampled = m.sampled[EB_BIRTH_BINARY] = true;
	is_verdict(&m, WANT_ALLOC, "5 allocs (500 B), 3 frees, 1 reallocs; ~200 B live",
		   "of a sample");
	is_verdict(&m, WANT_BIN,
		   "1 hold 900 B; 7 created (700 B): ~4 died, ~3 alive (300 B); ~2 older freed",
		   "of a sample");
	a->live_known = b->alive_known = g->allocated_known = m.born_before_known = false;
	is_verdict(&m, WANT_ALLOC, "5 allocs (500 B), 3 frees (310 B), 1 reallocs seen",
		   "what lives is not known");
	is_verdict(&m, WANT_BIN, "1 hold 900 B; 7 created (700 B), 6 freed (600 B) seen",
		   "nor of binaries");
	is_verdict(&m, WANT_GC, "3 minor, 1 major took 900 ns, max 500 ns; reclaimed 512 B",
		   "nor what was allocated");
	ok(total(&m, WANT_GC, "allocated_words").kind == VAL_NONE &&
		   total(&m, WANT_BIN, "acquired_refs").kind == VAL_NONE &&
		   total(&m, WANT_BIN, "acquired_bytes").kind == VAL_NONE,
	   "totals of what is not known of anyone: null");
	b->acquired_known = g->allocated_known = true;
	b->acquired = 8;
	ok(total(&m, WANT_GC, "allocated_words").u == 128 && total(&m, WANT_BIN,
	   "acquired_refs").u == 8,
	   "totals of what is known");
	model_free(&m);
}

/* What has no row of its own. */
static void is_other(struct table *t, size_t n, const char *want, const char *what)
{
	struct report r = { .vm = &vm, .tables = t, .ntables = n };
	char *out = captured(out_text, &r), *line = strstr(out, "\nother: ");

	if (line)
		line[1 + strcspn(line + 1, "\n")] = '\0';
	is_str(line ? line + 1 : NULL, want, "others: %s", what);
	free(out);
}

static void others(void)
{
	struct table t[2] = { { .name = "alloc" }, { .name = "gc", .other_unit = UNIT_NS } };

	setenv("COLUMNS", "100", 1);
	t[0].other_unit = UNIT_BYTES;
	is_other(t, 2, NULL, "nothing is said where all have rows");
	t[0].other_processes = 12;
	t[0].other_bound = 2048;
	is_other(t, 1, "other: 12 processes; any single one differs by at most 2.0 KiB",
		 "one section");
	t[1].other_processes = 12;
	t[1].other_bound = 2048;
	is_other(t, 2,
		 "other: 12 processes; any single one differs by at most alloc 2.0 KiB, gc 2.0 us",
		 "two sections, each in its unit");
	t[0].other_processes = 0;
	t[0].other_events = 3;
	is_other(t, 1, "other: 3 events of processes; any single one differs by at most 2.0 KiB",
		 "events, where no row was taken out");
}

/* --- units ------------------------------------------------------------------ */

static void is_fmt(const char *got, const char *want)
{
	is_str(got, want, "written for people: %s", want);
}

static void units(void)
{
	char b[32];

	is_fmt(fmt_bytes(0, b, sizeof(b)), "0 B");
	is_fmt(fmt_bytes(1023, b, sizeof(b)), "1023 B");
	is_fmt(fmt_bytes(1536, b, sizeof(b)), "1.5 KiB");
	is_fmt(fmt_bytes(-3.0 * 1048576, b, sizeof(b)), "-3.0 MiB");
	is_fmt(fmt_bytes(5e15, b, sizeof(b)), "4547.5 TiB");
	is_fmt(fmt_count(9999999, b, sizeof(b)), "9999999");
	is_fmt(fmt_count(57521883, b, sizeof(b)), "57.5M");
	is_fmt(fmt_count(-2.5e10, b, sizeof(b)), "-25.0G");
	is_fmt(fmt_count(1.8446744073709552e19, b, sizeof(b)), "18.4E");
	is_fmt(fmt_ns(950, b, sizeof(b)), "950 ns");
	is_fmt(fmt_ns(1500, b, sizeof(b)), "1.5 us");
	is_fmt(fmt_ns(12.34e6, b, sizeof(b)), "12.3 ms");
	is_fmt(fmt_ns(61e9, b, sizeof(b)), "61.00 s");
}

int main(void)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	setenv("COLUMNS", "100", 1);
	histograms();
	columns();
	heads();
	cut();
	verdicts();
	others();
	units();
	return done();
}
