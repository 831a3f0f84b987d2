// SPDX-License-Identifier: GPL-2.0-only
/*
 * A whole report, made by hand: as text of 100 and of 80 columns, in full, and as JSON.
 *
 * The text is compared with tests/fixtures/report-*.txt, which EBEAM_GOLDEN=1 writes anew: look
 * at the difference before you commit it.
 */
#include "probe.h"
#include "report.h"
#include "tap.h"

#include <json-c/json.h>
#include <locale.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const unsigned int sections[] = { WANT_ALLOC, WANT_BIN, WANT_CARRIER, WANT_GC };

/* What out_text() and the like print, as a string. */
static char *captured(int (*print)(const struct report *r), const struct report *r)
{
	FILE *to = tmpfile();
	int saved, err;
	char *text;
	long len;

	fflush(stdout);
	saved = dup(STDOUT_FILENO);
	dup2(fileno(to), STDOUT_FILENO);
	err = print(r);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	len = lseek(fileno(to), 0, SEEK_END);
	text = xcalloc(1, len + 1);
	if (err || pread(fileno(to), text, len, 0) != len)
		abort();
	fclose(to);
	return text;
}

/* Names come into a model escaped: see term.c. */
static struct who *who(struct model *m, uint64_t key, const char *pid, const char *name,
		       const char *initial_call)
{
	char buf[1100];
	bool is_new;
	struct who *w = model_who_add(m, key, &is_new);

	if (!is_new)
		return w;
	w->pid = pid ? xstrdup(pid) : NULL;
	if (name) {
		text_escape(name, strlen(name), buf, sizeof(buf));
		w->name = xstrdup(buf);
	}
	if (initial_call) {
		text_escape(initial_call, strlen(initial_call), buf, sizeof(buf));
		w->initial_call = xstrdup(buf);
	}
	return w;
}

#define LONG_NAME                                                                                  \
	"a_registered_name_that_somebody_thought_should_say_everything_about_its_process_and_more"

static void add_other(struct model *m, const struct who *other)
{
	struct alloc_row *a = vec_add(&m->alloc);
	struct bin_row *b = vec_add(&m->bin);
	struct gc_row *g = vec_add(&m->gc);

	a->who = b->who = g->who = other;
	a->allocator = "eheap_alloc";
	a->type_name = "heap";
	a->allocs = a->frees = 60000;
	a->alloc_bytes = a->free_bytes = 7;
	a->live_known = true;
	a->allocs_est = a->frees_est = a->reallocs_est = -1;
	b->created = b->freed = 60100;
	b->created_est = b->freed_est = -1;
	b->alive_known = b->births_sampled = true;
	g->minor = 60123;
	g->minor_est = g->major_est = -1;
}

static void make_model(struct model *m)
{
	static const char *const names[] = {
		"rabbit_msg_store", "\xd0\xb6\xd0\xb4\xd0\xb0\xe6\x97\xa5\xe6\x9c\xac", LONG_NAME,
		"\x1b]0;owned\a\x1b[2Jred", "nul\x01\x7f\x80\xff\r\nnew",
		"rlo\xe2\x80\xae" "evil\xc2\x9b" "31m", NULL,
	};
	static const char *const allocators[] = { "eheap_alloc", "binary_alloc", "driver_alloc" };
	static const char *const types[] = { "heap", "drv_select_data_state", "binary" };
	struct who *other;
	char pid[32];
	uint64_t i, big;

	memset(m, 0, sizeof(*m));
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(pid, sizeof(pid), "<0.%llu.%llu>", (unsigned long long)(i * 4679),
			 (unsigned long long)(i == 2 ? 8191 : 0));
		who(m, i << 4 | 3, pid, names[i],
		    i == 4 ? NULL : i == 3 ? "\x1b[31mmod:fun/1" : "gen_server:init_it/6");
	}
	who(m, 0x77, NULL, "port #Port<0.5>", NULL);
	who(m, 0x10f, NULL, "scheduler 1", NULL);
	other = who(m, EB_KEY_OTHER, NULL, "other", NULL);
	model_who(m, 3 << 4 | 3)->exited = true;
	model_who(m, 2 << 4 | 3)->partial = true;
	for (i = 0; i < ARRAY_SIZE(names) + 2; i++) {
		const struct who *w = model_who(m, i < 7 ? i << 4 | 3 : i == 7 ? 0x77 : 0x10f);
		struct alloc_row *a = vec_add(&m->alloc);
		struct bin_row *b = vec_add(&m->bin);
		struct gc_row *g = vec_add(&m->gc);
		struct carrier_row *c = vec_add(&m->carrier);

		big = 1ULL << 3 * i;
		a->who = w;
		a->type = i;
		a->allocator = allocators[i % 3];
		a->type_name = types[i % 3];
		a->allocs = a->frees = 3 * big;
		a->alloc_bytes = a->free_bytes = 1000 * big;
		a->reallocs = big;
		a->allocs_est = a->frees_est = a->reallocs_est = i % 2 ? 1.5 * big : -1;
		a->sizes.slot[4 * i] = big;
		a->live_known = true;
		a->live_est = i % 3 == 2;
		a->live = 2 * big;
		a->live_bytes = 700 * big;
		b->who = w;
		b->held_known = i < 6;
		b->held_partial = i == 5;
		b->held_refs = b->created = b->freed = b->released = 7 * big;
		b->held_bytes = b->since_gc = b->created_bytes = 500 * big;
		b->freed_bytes = b->released_bytes = b->writable_bytes = 400 * big;
		b->created_est = b->freed_est = i % 2 ? 1e4 * big : -1;
		hist_at(&b->sizes)->slot[i] = i;
		b->acquired_known = i < 6;
		b->acquired = 8 * big;
		b->acquired_bytes = 640 * big;
		b->died = 4 * big;
		b->died_bytes = 160 * big;
		b->alive_known = b->births_sampled = true;
		b->alive = 3 * big;
		b->alive_bytes = 340 * big;
		hist_at(&b->lives)->slot[20 + i] = 4 * big;
		hist_at(&b->ages)->slot[HIST_SLOTS - 9 + i] = 3 * big;
		b->nheld_by = i % 4;
		b->held_by = xcalloc(3, sizeof(*b->held_by));
		b->held_by[0] = (struct bin_holder){ model_who(m, i < 4 ? 2 << 4 | 3 : 6 << 4 | 3),
						     2 * big, 200 * big };
		b->held_by[1] = (struct bin_holder){ NULL, big, 100 * big };
		b->held_by[2] = (struct bin_holder){ w, 1, 40 };
		g->who = w;
		g->minor = g->major = 11 * big;
		g->pause_total_ns = 900 * big;
		g->pause_max_ns = 30 * big;
		g->reclaimed_words = i == 3 ? -(int64_t)big : (int64_t)big;
		g->released_bytes = g->heap_words = 233 * big;
		g->minor_est = g->major_est = i % 2 ? 12.0 * big : -1;
		g->pauses.slot[10 + i] = 100 - i;
		g->allocated_known = i != 4;
		g->allocated_words = 5000 * big;
		c->allctr = 0x7000 + i;
		c->allocator = allocators[i % 3];
		c->instance = i;
		c->kind = i % 2;
		c->source = i / 2 % 2;
		c->created = c->destroyed = c->grown = c->shrunk = big;
		c->created_bytes = c->destroyed_bytes = c->grown_bytes = c->shrunk_bytes =
			32768 * big;
		c->stats_known = i != 4;
		c->carriers = 5;
		c->carriers_size = 100000 * big;
		c->blocks_size = 25000 * big;
		c->nby = i % 3;
		c->by = xcalloc(2, sizeof(*c->by));
		c->by[0] = (struct carrier_by){ w, big, 32768 * big };
		c->by[1] = (struct carrier_by){ model_who(m, 0x10f), 1, 32768 };
		c->sizes.slot[15 + i] = big;
		c->lives.slot[30 + i] = big;
		c->abandoned = i % 2 ? 0 : 3 * big;
		c->abandoned_bytes = 32768 * c->abandoned;
		c->fetched = c->abandoned / 3;
		c->fetched_bytes = c->abandoned_bytes / 3;
		c->destroyed_used = i % 2 ? c->destroyed_bytes : 0;
		c->alive_known = i != 5;
		c->alive = i == 6 ? 0 : big / 2;
		c->alive_bytes = 32768 * c->alive;
		c->alive_used = c->alive_bytes / (i + 1);
	}
	/* too many processes: the lightest were summed up */
	m->other = (struct other_rows){ 60123, 7, { 2500000, 31000, 2100000 } };
	add_other(m, other);
	m->sampled[EB_BIRTH_BINARY] = true;
	m->born_before = 62345678;
	m->born_before_known = true;
	m->vm_calls_known = true;
	m->ncalls = 2;
	m->calls[0] = (struct call_row){ "eheap_alloc", { 1, 2, 3 }, { 10, 20, 30 } };
	m->calls[1] = (struct call_row){ "binary_alloc", { 4, 5, 6 }, { 4, 5, 6 } };
}

static struct vm vm;
static struct table tables[4];
static const char *notes[] = { "one thing to say", "and \"another\"" };

/* @first: rows of the first section, @others: of the others; 0: all */
static struct report make_report(const struct model *m, size_t first, size_t others)
{
	struct report r = { .vm = &vm, .tables = tables, .ntables = 4, .sections = true,
			    .compact = true };
	int i;

	vm.otp = 27;
	vm.jit = true;
	vm.nnormal = 2;
	vm.npassed = 24;
	vm.lay = layout_find(27, true, "x86_64");
	vm.sym.source = "dynsym";
	snprintf(vm.erts, sizeof(vm.erts), "15.2.7");
	snprintf(vm.node, sizeof(vm.node), "rabbit@host");
	for (i = 0; i < 4; i++)
		report_table(m, sections[i], NULL, i ? others : first, &tables[i]);
	r.run = (struct run_info){
		.command = "trace", .duration_ns = 10 * 1000000000ULL, .have_coverage = true,
		.coverage = { 0.034, 1, 1, -1, 1 }, .faults = 1, .skipped = 2,
		.lost = 3, .reader_cpu_ms = 12.34, .bytes_read = 123456, .traced = true,
		.probe_hits = 98765, .probe_ns_per_hit = 512.3, .overhead_percent = 1.25,
		.notes = notes, .nnotes = 2,
	};
	return r;
}

static size_t width(const char *s, size_t len)
{
	size_t n = 0, i;

	for (i = 0; i < len; i++)
		n += (s[i] & 0xc0) != 0x80;
	return n;
}

/* Longest line, in characters. */
static size_t widest(const char *text)
{
	size_t max = 0, len;

	for (; *text; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		if (width(text, len) > max)
			max = width(text, len);
	}
	return max;
}

static void show_wide(const char *text, size_t max)
{
	size_t len;

	for (; *text; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		if (width(text, len) > max)
			diag("%zu: %.*s", width(text, len), (int)len, text);
	}
}

/* Control characters other than the end of a line, and what steers a terminal's direction. */
static bool harmless(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	for (; *s; s++)
		if ((*s < 0x20 && *s != '\n') || *s == 0x7f || (*s == 0xc2 && s[1] < 0xa0) ||
		    !strncmp((const char *)s, "\xe2\x80\xae", 3)) {
			diag("byte %#x in: %.40s", *s, s + 1);
			return false;
		}
	return true;
}

/* Started 90 s ago: "up 1 min", whenever the test runs. */
static void fix_uptime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	vm.target.start_ticks = (ts.tv_sec > 90 ? ts.tv_sec - 90 : 0) * sysconf(_SC_CLK_TCK);
}

/* Compares line by line, so that a failure shows where it differs. */
static void is_golden(const char *text, const char *name)
{
	static char want[1 << 16];
	char path[512];
	size_t line = 1, n, k;
	const char *a = text, *b = want;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", FIXTURES, name);
	if (getenv("EBEAM_GOLDEN")) {
		f = fopen(path, "w");
		if (!f)
			abort();
		fputs(text, f);
		fclose(f);
	}
	if (read_file(path, want, sizeof(want)) < 0)
		want[0] = '\0';
	while (*a && *b) {
		n = strcspn(a, "\n");
		k = strcspn(b, "\n");
		if (n != k || memcmp(a, b, n))
			break;
		a += n + (a[n] == '\n');
		b += k + (b[k] == '\n');
		line++;
	}
	if (!ok(!*a && !*b, "the text is that of %s", name)) {
		diag("line %zu is  |%.*s|", line, (int)strcspn(a, "\n"), a);
		diag("it should be |%.*s|", (int)strcspn(b, "\n"), b);
	}
}

static void free_report(void)
{
	int i;

	for (i = 0; i < 4; i++)
		report_table_free(&tables[i]);
}

static void text(const struct report *r, const char *columns, size_t max)
{
	char name[64], *out;

	setenv("COLUMNS", columns, 1);
	out = captured(out_text, r);
	ok(widest(out) <= max, "%s columns: no line is longer (%zu)", columns, widest(out));
	show_wide(out, max);
	ok(harmless(out), "%s columns: hostile names do not reach the terminal", columns);
	ok(strstr(out, "\\x1B]0;"), "%s columns: they are shown escaped", columns);
	ok(strstr(out, "... 4 more rows") && strstr(out, "; -l 0 shows all rows\n"),
	   "%s columns: what was cut is said", columns);
	snprintf(name, sizeof(name), "report-%s.txt", columns);
	is_golden(out, name);
	free(out);
}

/* Everything, as with -l 0: all rows, all histograms as the BCC tools print them. */
static void in_full(const struct model *m)
{
	struct report r = make_report(m, 0, 0);
	char *out;

	r.compact = false;
	setenv("COLUMNS", "100", 1);
	out = captured(out_text, &r);
	ok(widest(out) <= 100, "in full: no line is longer (%zu)", widest(out));
	ok(harmless(out), "in full: hostile names do not reach the terminal");
	ok(!strstr(out, "more rows") && !strstr(out, "-l 0"), "in full: nothing was cut");
	is_golden(out, "report-full.txt");
	free(out);
	free_report();
	r = make_report(m, 3, 0);
	r.compact = false;
	out = captured(out_text, &r);
	ok(strstr(out, "\n... 7 more rows (-l 0 shows all)\n"),
	   "a section alone: what was cut is said");
	free(out);
	free_report();
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* What a busy node's report has on top of the golden one: a long name, every group, long notes. */
static void fits_screen(const struct model *m)
{
	static const char *long_notes[] = {
		"allocations and binaries were watched 15.3 % of the time, in bursts from 0.1 s "
		"on: while on, they cost 24.4 % of a scheduler, the budget is 2 % (--max-overhead, --exact); "
		"~: scaled up by the VM's counters",
		"off-heap lists of more than 1000 nodes: 1 processes; what they released is a lower "
		"bound (released_partial)",
	};
	struct report r = make_report(m, 5, 5);
	size_t n;
	char *out;
	int i;

	snprintf(vm.node, sizeof(vm.node), "rabbit@db-1.example.net");
	r.run.coverage[3] = 1;
	r.run.duration_ns = 3600 * 1000000000ULL;
	r.run.notes = long_notes;
	for (i = 0; i < 4; i++)
		if (tables[i].nrows != 5)
			diag("section %s is not full", tables[i].name);
	setenv("COLUMNS", "100", 1);
	out = captured(out_text, &r);
	n = count_lines(out);
	ok(n <= 48, "100 columns: full sections and long notes fit a screen (%zu lines)", n);
	free(out);
	setenv("COLUMNS", "80", 1);
	out = captured(out_text, &r);
	n = count_lines(out);
	ok(n <= 50, "80 columns: full sections and long notes fit a screen (%zu lines)", n);
	free(out);
	snprintf(vm.node, sizeof(vm.node), "rabbit@host");
	free_report();
}

static bool is_ascii(const char *text)
{
	for (; *text; text++)
		if (*text & 0x80) {
			diag("byte %#x in: %.40s", (unsigned char)*text, text);
			return false;
		}
	return true;
}

/* Bytes of UTF-8 come in whole sequences: at most three bytes of continuation, none alone. */
static bool is_utf8(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	int more = 0;

	for (; *s; s++) {
		if ((*s & 0xc0) == 0x80 ? !more-- : more)
			return false;
		if (*s >= 0xc0)
			more = *s >= 0xf0 ? 3 : *s >= 0xe0 ? 2 : 1;
	}
	return !more;
}

static void charsets(const struct model *m)
{
	struct report r = make_report(m, 5, 5);
	static char cyrillic[600];
	const char *note = cyrillic;
	char columns[16], *out, *name;
	int i, w;

	for (i = 0; i < 290; i++)
		memcpy(cyrillic + 2 * i, "\xd0\xb6", 2);
	r.run.notes = &note;
	r.run.nnotes = 1;
	for (w = 10; w <= 400; w += 5) {
		snprintf(columns, sizeof(columns), "%d", w);
		setenv("COLUMNS", columns, 1);
		out = captured(out_text, &r);
		if (!is_utf8(out) || !harmless(out) || (w >= 75 && widest(out) > (size_t)w))
			break;
		free(out);
	}
	ok(w > 400,
	   "any width: whole characters, nothing raw, from 75 columns on no line is longer");
	if (w <= 400) {
		diag("at %d columns", w);
		free(out);
	}

	setenv("COLUMNS", "100", 1);
	setlocale(LC_CTYPE, "C");
	out = captured(out_text, &r);
	ok(is_ascii(out), "no UTF-8 in the locale: all is ASCII");
	ok(harmless(out), "no UTF-8 in the locale: hostile names do not reach the terminal");
	ok(widest(out) <= 100, "no UTF-8 in the locale: no line is longer (%zu)", widest(out));
	ok(strstr(out, "created: 2 B .:-=+*#@ 511 B, 22 % in 256..511 B\n"),
	   "no UTF-8 in the locale: heights of a histogram");
	ok(strstr(out, "0 B .___.___."), "no UTF-8 in the locale: empty cells");
	name = strstr(out, "a_registered_");
	ok(name && name[strcspn(name, " \n") - 1] == '+',
	   "no UTF-8 in the locale: the mark of a cut name");
	ok(strstr(out, "note: \\xD0\\xB6\\xD0\\xB6"),
	   "no UTF-8 in the locale: letters beyond ASCII are escaped");
	free(out);
	free_report();
	r = make_report(m, 0, 0);
	r.compact = false;
	out = captured(out_text, &r);
	ok(is_ascii(out) && strstr(out, " \\xD0\\xB6\\xD0"),
	   "no UTF-8 in the locale: so are names, in full reports as well");
	free(out);
	free_report();
	setlocale(LC_CTYPE, "C.UTF-8");
}

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

/* --- JSON ------------------------------------------------------------ */

static json_object *at(json_object *o, const char *path)
{
	json_object *v = NULL;

	return json_pointer_get(o, path, &v) ? NULL : v;
}

/* All these keys are there (their values may be null). */
static void has_keys(json_object *o, const char *what, const char *keys)
{
	char copy[1024], *key, *save;
	bool good = json_object_is_type(o, json_type_object);

	snprintf(copy, sizeof(copy), "%s", keys);
	for (key = strtok_r(copy, " ", &save); good && key; key = strtok_r(NULL, " ", &save))
		if (!json_object_object_get_ex(o, key, NULL)) {
			diag("%s has no key %s", what, key);
			good = false;
		}
	ok(good, "JSON: %s has the keys of CONTRACT", what);
}

static json_object *row_named(json_object *rows, const char *name)
{
	size_t i;

	for (i = 0; i < json_object_array_length(rows); i++) {
		json_object *row = json_object_array_get_idx(rows, i), *v = at(row, "/name");

		if (v && !strcmp(json_object_get_string(v), name))
			return row;
	}
	return NULL;
}

static const char *string(json_object *o, const char *path)
{
	json_object *v = at(o, path);

	return v ? json_object_get_string(v) : NULL;
}

/* What lives and died, of whom; samples; what was summed up. */
static void lives(json_object *doc)
{
	json_object *bin = at(doc, "/sections/bin"), *alloc = at(doc, "/sections/alloc"), *row;

	row = row_named(at(bin, "/rows"), "rlo\\xE2\\x80\\xAEevil\\xC2\\x9B31m");
	is_str(string(row, "/acquired_refs"), "262144", "JSON: what came to a process");
	ok(row && !at(row, "/alive") && !at(row, "/alive_bytes"),
	   "JSON: of a sample no exact number");
	is_str(string(row, "/alive_est"), "98304", "JSON: of a sample an estimate");
	ok(at(row, "/lifetime_histogram/0/count") && at(row, "/age_histogram/0/count"),
	   "JSON: lifetimes and ages");
	is_str(string(row, "/held_by/0/pid"), "<0.28074.0>",
	       "JSON: who holds what it made, by pid");
	is_str(string(row, "/held_by/0/bytes"), "6553600", "JSON: how much of it");
	row = row_named(at(bin, "/rows"), LONG_NAME);
	ok(row && !at(row, "/held_by/1/pid"), "JSON: a holder that is no process has no pid");
	is_str(string(row, "/held_by/1/name"), "no process found", "JSON: and says so");
	row = row_named(at(bin, "/rows"), "port #Port<0.5>");
	ok(row && json_object_object_get_ex(row, "acquired_refs", NULL) && !at(row,
	   "/acquired_refs"),
	   "JSON: what came to it is not known");
	is_str(string(bin, "/totals/died_est"), "76695844", "JSON: totals: how many died");
	is_str(string(bin, "/totals/alive_est"), "57521883", "JSON: totals: how many are alive");
	is_str(string(bin, "/totals/born_before_est"), "62345678",
	       "JSON: totals: how many were older");
	is_str(string(bin, "/totals/error_bound"), "31000", "JSON: totals: bounds of each section");
	is_str(string(alloc, "/totals/error_bound"), "2500000", "JSON: totals: by its own measure");
	is_str(string(alloc, "/totals/other_processes"), "60123",
	       "JSON: totals: how many were summed up");
	row = row_named(at(alloc, "/rows"), "scheduler 1");
	ok(row && !at(row, "/live_bytes") && at(row, "/live_bytes_est"),
	   "JSON: what lives, of a sample");
	row = row_named(at(alloc, "/rows"), "port #Port<0.5>");
	ok(row && at(row, "/live_bytes") && !json_object_object_get_ex(row, "live_bytes_est", NULL),
	   "JSON: what lives, of all");
	is_str(string(alloc, "/totals/by_allocator/0/allocator"), "eheap_alloc",
	       "JSON: totals: calls by allocator");
	ok(!strcmp(string(alloc, "/totals/by_allocator/0/frees"), "2") &&
		   !strcmp(string(alloc, "/totals/by_allocator/0/vm_frees"), "20"),
	   "JSON: totals: as seen, and as the VM counted");
	row = at(doc, "/sections/carrier/rows/0");
	is_str(string(row, "/fetched"), "16777216", "JSON: carriers that came from the pool");
	ok(at(row, "/alive_usage") && !at(doc, "/sections/carrier/rows/2/alive_usage"),
	   "JSON: how full new carriers are, if there are any");
}

static void documents(const struct report *r)
{
	char *out = captured(out_json, r);
	json_object *doc = json_tokener_parse(out), *row, *by;

	ok(doc != NULL, "JSON: it parses");
	ok(strchr(out, '\n') == out + strlen(out) - 1, "JSON: one line");
	ok(harmless(out), "JSON: hostile names do not reach the terminal");
	has_keys(
		doc, "the document",
		"schema command at duration_ms target sections totals faults skipped lost "
		 "notes cost");
	has_keys(
		at(doc, "/target"), "target",
		"os_pid node otp_release erts emulator arch schedulers symbols layout "
		 "checks_passed");
	has_keys(at(doc, "/cost"), "cost",
		 "reader_cpu_ms bytes_read probe_hits probe_ns_per_hit overhead_percent");
	has_keys(at(doc, "/sections"), "sections", "alloc bin carrier gc");
	has_keys(
		at(doc, "/sections/alloc/rows/0"), "a row of alloc",
		"pid name initial_call allocator type allocs alloc_bytes frees free_bytes reallocs "
		"size_histogram");
	has_keys(at(doc, "/sections/bin/rows/0"), "a row of bin",
		 "pid name initial_call held_refs held_bytes since_gc created created_bytes freed "
		 "freed_bytes acquired_refs acquired_bytes released_refs released_bytes "
		 "size_histogram lifetime_histogram");
	has_keys(at(doc, "/sections/carrier/rows/0"), "a row of carrier",
		 "created destroyed created_bytes destroyed_bytes size_histogram "
		 "lifetime_histogram by_process");
	has_keys(at(doc, "/sections/gc/rows/0"), "a row of gc",
		 "pid name initial_call minor major pause_total_ns pause_max_ns pause_histogram "
		 "reclaimed_words allocated_words binary_released_bytes heap_words");
	has_keys(at(doc, "/totals/coverage"), "coverage", "alloc gc exit refc");
	ok(!json_object_object_get_ex(at(doc, "/totals/coverage"), "carrier", NULL),
	   "JSON: no coverage of what this command does not watch");
	is_str(string(doc, "/target/otp_release"), "27", "JSON: the release is a string");
	is_str(string(doc, "/target/emulator"), "jit", "JSON: the emulator");
	is_u64(json_object_get_int64(at(doc, "/duration_ms")), 10000, "JSON: the duration");
	is_str(string(doc, "/notes/1"), "and \"another\"", "JSON: notes");
	is_u64(json_object_array_length(at(doc, "/sections/alloc/rows")), 5, "JSON: the cut rows");
	is_u64(json_object_get_int64(at(doc, "/sections/alloc/totals/rows")), 10,
	       "JSON: how many there are");

	row = row_named(at(doc, "/sections/bin/rows"), "\\x1B]0;owned\\x07\\x1B[2Jred");
	ok(row != NULL, "JSON: a hostile name, escaped");
	is_str(string(row, "/pid"), "<0.14037.0>", "JSON: its pid");
	is_str(string(row, "/exited"), "true", "JSON: it died");
	is_str(string(row, "/size_histogram/0/lo"), "8", "JSON: a histogram's bounds");
	is_str(string(row, "/size_histogram/0/hi"), "15", "JSON: both inclusive");
	is_str(string(row, "/size_histogram/0/count"), "3", "JSON: and its count");
	ok(!at(row, "/size_histogram/1"), "JSON: empty slots are left out");
	ok(at(row, "/created_est"), "JSON: an estimate where it was not watched all the time");
	row = row_named(at(doc, "/sections/bin/rows"), "port #Port<0.5>");
	ok(row && json_object_object_get_ex(row, "pid", NULL) && !at(row, "/pid") &&
		   !at(row, "/held_bytes") && !at(row, "/initial_call"),
	   "JSON: what cannot be had is null, not 0");
	row = row_named(at(doc, "/sections/bin/rows"), "rabbit_msg_store");
	ok(row && !json_object_object_get_ex(row, "created_est", NULL),
	   "JSON: no estimate where none is needed");
	/* instance 8 made the most of them; the list is its own */
	by = at(doc, "/sections/carrier/rows/0/by_process");
	ok(json_object_array_length(by) == 2 && !at(by, "/0/pid"),
	   "JSON: by whom carriers were made");
	has_keys(json_object_array_get_idx(by, 0), "by_process", "pid name created created_bytes");
	has_keys(at(doc, "/sections/bin/totals"), "totals of bin", "rows created size_histogram");
	lives(doc);
	is_u64(json_object_get_int64(at(doc, "/sections/gc/totals/pause_histogram/0/lo")), 1024,
	       "JSON: a histogram over all rows, under its own key");
	is_str(string(doc, "/sections/gc/totals/pause_max_ns"), "503316480",
	       "JSON: large numbers are exact");
	json_object_put(doc);
	free(out);
}

/* A single table without a target: rows at the top. */
static int error_document(const struct report *r)
{
	out_json_error(failure_get());
	return 0;
}

static void small(void)
{
	struct report r = { .tables = tables, .ntables = 1, .run = { .command = "gc" } };
	struct model m = { 0 };
	json_object *doc;
	char *out;

	report_table(&m, WANT_GC, NULL, 0, &tables[0]);
	out = captured(out_json, &r);
	doc = json_tokener_parse(out);
	ok(doc && json_object_is_type(at(doc, "/rows"), json_type_array) &&
		   json_object_array_length(at(doc, "/rows")) == 0,
	   "JSON: a single table, empty: rows are an empty list");
	ok(json_object_object_get_ex(doc, "target", NULL) && !at(doc, "/target"),
	   "JSON: no target is null");
	is_str(string(doc, "/totals/minor"), "0", "JSON: its totals are those of the document");
	ok(!json_object_object_get_ex(at(doc, "/totals"), "coverage", NULL),
	   "JSON: no coverage where nothing was watched");
	json_object_put(doc);
	free(out);
	out = captured(out_text, &r);
	ok(strstr(out, "  nothing seen\n"), "text: an empty table says so");
	free(out);
	r.compact = true;
	out = captured(out_text, &r);
	is_str(out, "\ngc: nothing seen\n", "text: an empty table says so in one line");
	free(out);
	report_table_free(&tables[0]);

	failure_clear();
	fail(EXIT_PERMISSION, "run as \"root\"", "cannot read\x1b[31m erts_proc of pid %d", 812);
	fail(EXIT_FAILED, "", "a later failure");
	out = captured(error_document, &r);
	doc = json_tokener_parse(out);
	is_str(string(doc, "/error/code"), "permission", "JSON: an error's code");
	is_str(string(doc, "/error/hint"), "run as \"root\"", "JSON: its hint");
	ok(string(doc, "/error/message") && strstr(string(doc, "/error/message"), "pid 812"),
	   "JSON: its message is that of the first failure");
	ok(harmless(out), "JSON: nor does an error reach the terminal raw");
	json_object_put(doc);
	free(out);
	failure_clear();
}

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
	struct report r;
	struct model m;

	setlocale(LC_CTYPE, "C.UTF-8");
	make_model(&m);
	fix_uptime();
	r = make_report(&m, 5, 5);
	text(&r, "100", 100);
	text(&r, "80", 80);
	free_report();
	in_full(&m);
	fits_screen(&m);
	charsets(&m);
	histograms();
	columns();
	heads();
	cut();
	verdicts();
	others();
	r = make_report(&m, 5, 0);
	documents(&r);
	free_report();
	small();
	units();
	model_free(&m);
	return done();
}
