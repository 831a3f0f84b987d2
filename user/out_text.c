// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reports as text: aligned tables within the terminal's width (100 columns where there is no
 * terminal), and log2 histograms in the layout of the BCC tools.
 */
#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_WIDTH 100
#define MIN_WIDTH 60
#define MIN_SHRUNK 12 /* a cut column keeps this much */
#define CELL 512
#define STARS 40

static size_t term_width(void)
{
	const char *env = getenv("COLUMNS");
	struct winsize ws;
	long n = 0;

	if (isatty(STDOUT_FILENO) && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws))
		n = ws.ws_col;
	else if (env)
		n = atol(env);
	if (n <= 0)
		n = DEFAULT_WIDTH;
	return n < MIN_WIDTH ? MIN_WIDTH : n > 400 ? 400 : n;
}

/* Characters, not bytes: continuation bytes take no column. */
static size_t text_width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

static void fmt_count(double n, char *buf, size_t size)
{
	if (n > -1e7 && n < 1e7)
		snprintf(buf, size, "%.0f", n);
	else if (n < 1e10)
		snprintf(buf, size, "%.1fM", n / 1e6);
	else
		snprintf(buf, size, "%.1fG", n / 1e9);
}

/* The column that has a number scaled up, of a column that was not watched all the time. */
static const struct column *estimate_of(const struct table *t, const struct column *c)
{
	size_t i, len = strlen(c->key);

	for (i = 0; i < t->ncols; i++)
		if (t->cols[i].flags & COL_EST && !strncmp(t->cols[i].key, c->key, len) &&
		    !strcmp(t->cols[i].key + len, "_est"))
			return &t->cols[i];
	return NULL;
}

static void cell(const struct table *t, const struct column *c, const void *row, char *buf,
		 size_t size)
{
	const struct column *est = estimate_of(t, c);
	struct value v = { 0 };
	double n;

	if (est)
		est->get(row, &v);
	if (v.kind == VAL_DOUBLE) {
		*buf++ = '~';
		fmt_count(v.d, buf, size - 1);
		return;
	}
	c->get(row, &v);
	switch (v.kind) {
	case VAL_TEXT:
		snprintf(buf, size, "%s", v.text);
		return;
	case VAL_BOOL:
		snprintf(buf, size, "%s", v.b ? "yes" : "no");
		return;
	case VAL_U64:
		n = v.u;
		break;
	case VAL_I64:
		n = v.i;
		break;
	case VAL_DOUBLE:
		n = v.d;
		if (!strcmp(c->key, "usage")) {
			snprintf(buf, size, "%.0f %%", 100 * n);
			return;
		}
		break;
	default:
		snprintf(buf, size, "-");
		return;
	}
	if (c->unit == UNIT_BYTES)
		fmt_bytes(n, buf, size);
	else if (c->unit == UNIT_NS)
		fmt_ns(n, buf, size);
	else
		fmt_count(n, buf, size);
}

static bool is_number(const struct column *c)
{
	return !(c->flags & COL_LOW_BAD) && !(c->flags & COL_SHRINK);
}

/* Prints s in w columns, cut in the end if need be. */
static void put(const char *s, size_t w, bool right, bool last)
{
	size_t len = text_width(s), n;

	if (len > w) {
		for (n = 0; *s && n + 1 < w; s++) {
			if ((s[1] & 0xc0) != 0x80)
				n++;
			putchar(*s);
		}
		fputs("\u2026", stdout);
		return;
	}
	if (right)
		printf("%*s", (int)(w - len), "");
	fputs(s, stdout);
	if (!right && !last)
		printf("%*s", (int)(w - len), "");
}

/* Prints s from column `at` on, broken at spaces where the line of `width` ends. */
static void put_wrapped(const char *s, size_t at, size_t width)
{
	size_t room = width > at + 20 ? width - at : 20, len, cut;

	while ((len = text_width(s)) > room) {
		for (cut = room; cut > room / 2 && s[cut] != ' '; cut--)
			;
		if (s[cut] != ' ')
			cut = room;
		printf("%.*s\n%*s", (int)cut, s, (int)at, "");
		s += cut + (s[cut] == ' ');
	}
	fputs(s, stdout);
}

/* A line of prose, continued under its own beginning. */
static void print_wrapped(const char *indent, const char *s)
{
	fputs(indent, stdout);
	put_wrapped(s, strlen(indent), term_width());
	putchar('\n');
}

static size_t line_width(const size_t *w, const bool *show, size_t n)
{
	size_t sum = 0, i;

	for (i = 0; i < n; i++)
		if (show[i])
			sum += w[i] + 2;
	return sum ? sum - 2 : 0;
}

static void print_rows(const struct table *t)
{
	size_t width = term_width(), w[64] = { 0 }, total, i, k, cut, last = 0;
	bool show[64] = { false }, empty;
	char buf[CELL];

	for (i = 0; i < t->ncols && i < ARRAY_SIZE(w); i++) {
		show[i] = t->cols[i].flags & COL_TEXT;
		w[i] = strlen(t->cols[i].title);
		empty = true;
		for (k = 0; show[i] && k < t->nrows; k++) {
			cell(t, &t->cols[i], t->rows[k], buf, sizeof(buf));
			empty = empty && !strcmp(buf, "-");
			if (text_width(buf) > w[i])
				w[i] = text_width(buf);
		}
		/* rows summed over all processes have no pid */
		if (empty && t->cols[i].flags & COL_LOW_BAD)
			show[i] = false;
	}
	/* leave columns out from the right as long as cutting names would not do; then cut */
	for (i = t->ncols; i-- > 0;) {
		for (k = cut = 0; k < t->ncols; k++)
			if (show[k] && t->cols[k].flags & COL_SHRINK && w[k] > MIN_SHRUNK)
				cut += w[k] - MIN_SHRUNK;
		if (line_width(w, show, t->ncols) > width + cut && t->cols[i].flags & COL_DROP)
			show[i] = false;
	}
	for (i = 0; i < t->ncols; i++) {
		total = line_width(w, show, t->ncols);
		if (total <= width || !show[i] || !(t->cols[i].flags & COL_SHRINK))
			continue;
		cut = total - width;
		w[i] = w[i] > MIN_SHRUNK + cut ? w[i] - cut : w[i] < MIN_SHRUNK ? w[i] : MIN_SHRUNK;
	}
	for (i = 0; i < t->ncols; i++)
		if (show[i])
			last = i;
	for (k = 0; k <= t->nrows; k++) {
		for (i = 0; i < t->ncols; i++) {
			if (!show[i])
				continue;
			if (k)
				cell(t, &t->cols[i], t->rows[k - 1], buf, sizeof(buf));
			else
				snprintf(buf, sizeof(buf), "%s", t->cols[i].title);
			if (i == last && t->cols[i].flags & COL_WRAP)
				put_wrapped(buf, line_width(w, show, t->ncols) - w[i], width);
			else
				put(buf, w[i], is_number(&t->cols[i]), i == last);
			if (i != last)
				fputs("  ", stdout);
		}
		putchar('\n');
	}
}

static const char *const hist_units[] = { "value", "bytes", "nsecs", "words" };

static void print_hist(const struct table_hist *th)
{
	const struct hist *h = &th->hist;
	uint64_t max = 0, n;
	char count[32];
	int first = -1, last = -1, i, k;

	for (i = 0; i < EB_HIST_SLOTS; i++) {
		if (!h->slot[i])
			continue;
		if (first < 0)
			first = i;
		last = i;
		if (h->slot[i] > max)
			max = h->slot[i];
	}
	if (first < 0)
		return;
	printf("\n     %-19s : count    %s\n", hist_units[th->unit], th->of);
	for (i = first; i <= last; i++) {
		n = h->slot[i];
		fmt_count(n, count, sizeof(count));
		printf("%10llu -> %-10llu : %-8s |", (unsigned long long)hist_lo(i),
		       (unsigned long long)hist_hi(i), count);
		for (k = 0; k < STARS; k++)
			putchar((double)k * max < (double)n * STARS ? '*' : ' ');
		puts("|");
	}
}

static void fmt_uptime(double s, char *buf, size_t size)
{
	unsigned long m = s / 60;

	if (m < 1)
		snprintf(buf, size, "up %.0f s", s);
	else if (m < 120)
		snprintf(buf, size, "up %lu min", m);
	else if (m < 48 * 60)
		snprintf(buf, size, "up %lu h %lu min", m / 60, m % 60);
	else
		snprintf(buf, size, "up %lu d %lu h", m / 1440, m / 60 % 24);
}

static void print_head(const struct report *r)
{
	const struct vm *vm = r->vm;
	const struct run_info *run = &r->run;
	char line[1200], up[40], rss[32];
	size_t i, n;

	fmt_uptime(target_uptime_s(&vm->target), up, sizeof(up));
	snprintf(line, sizeof(line), "%s  pid %d  OTP %d (erts %s, %s)  %u schedulers  %s  rss %s%s%s%s",
		 vm->node[0] ? vm->node : "?", vm->target.pid, vm->otp, vm->erts,
		 vm->jit ? "jit" : "emu", vm->nnormal, up,
		 fmt_bytes(target_rss(&vm->target), rss, sizeof(rss)),
		 vm->target.container[0] ? "  in " : "", vm->target.container,
		 vm->unverified ? "  (layout unverified)" : "");
	print_wrapped("", line);
	if (!run->have_coverage)
		return;
	printf("watched for %.1f s:", run->duration_ns / 1e9);
	for (i = n = 0; i < EB_NGROUPS; i++)
		if (run->coverage[i] >= 0)
			printf("%s %s %.*f %%", n++ ? "," : "", guard_group_name(i),
			       run->coverage[i] < 0.1 ? 1 : 0, 100 * run->coverage[i]);
	puts(" of the time");
}

static void print_foot(const struct report *r)
{
	const struct run_info *run = &r->run;
	char a[32], b[32], line[256];
	size_t i;
	int n;

	n = snprintf(line, sizeof(line), "%.0f ms of CPU for ebeam, %s read", run->reader_cpu_ms,
		     fmt_bytes(run->bytes_read, a, sizeof(a)));
	if (run->traced)
		snprintf(line + n, sizeof(line) - n,
			 "; %llu hits of %s: %.2f %% of the busiest thread's time",
			 (unsigned long long)run->probe_hits,
			 fmt_ns(run->probe_ns_per_hit, b, sizeof(b)), run->overhead_percent);
	putchar('\n');
	print_wrapped("cost: ", line);
	printf("lost %llu, faults %llu, skipped %llu\n", (unsigned long long)run->lost,
	       (unsigned long long)run->faults, (unsigned long long)run->skipped);
	for (i = 0; i < run->nnotes; i++)
		print_wrapped("note: ", run->notes[i]);
}

int out_text(const struct report *r)
{
	const struct table *t;
	size_t i, k;

	if (r->vm)
		print_head(r);
	for (i = 0; i < r->ntables; i++) {
		t = &r->tables[i];
		if (t->headline)
			printf("\n%s: %s\n", t->name, t->headline);
		if (t->verdict[0])
			print_wrapped("  ", t->verdict);
		if (t->nrows)
			print_rows(t);
		else
			puts("  nothing seen");
		if (t->nrows < t->nrows_all)
			printf("... %zu more rows (-l 0 shows all)\n", t->nrows_all - t->nrows);
		for (k = 0; k < t->nhists; k++)
			print_hist(&t->hists[k]);
	}
	if (r->vm)
		print_foot(r);
	if (fflush(stdout) || ferror(stdout))
		return -1;
	return 0;
}
