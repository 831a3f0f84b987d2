// SPDX-License-Identifier: GPL-2.0-only
/*
 * A whole report as text: of 100 and of 80 columns, in full, on a screen, in other charsets.
 *
 * The text is compared with tests/fixtures/report-*.txt, which EBEAM_GOLDEN=1 writes anew: look
 * at the difference before you commit it.
 */
#include "report_model.h"

#include <locale.h>

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
		"on: while on, they cost 24.4 % of a scheduler, the budget is 2 % "
		"(--max-overhead, --exact); ~: scaled up by the VM's counters",
		"off-heap lists of more than 1000 nodes: 1 processes; what they released is a "
		"lower bound (released_partial)",
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

int main(void)
{
	struct report r;
	struct model m;

	setlocale(LC_CTYPE, "C.UTF-8");
	make_model(&m);
	r = make_report(&m, 5, 5);
	text(&r, "100", 100);
	text(&r, "80", 80);
	free_report();
	in_full(&m);
	fits_screen(&m);
	charsets(&m);
	model_free(&m);
	return done();
}
