// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reports as text: aligned tables within the terminal's width (100 columns where there is no
 * terminal), and log2 histograms in the layout of the BCC tools.
 *
 * A compact report fits a screen.  A section is its totals, its rows, and one line of histogram, a
 * cell for each power of two, its height the share of the fullest:
 *
 *   bin: 15 hold 182.1 MiB; 16571 created (88.3 MiB): 16000 died, 571 alive (3.0 MiB); 9 older freed
 *   PID       NAME     REFS     HELD  ...
 *   <0.86.0>  router  18751  180 MiB  ...
 *   ... 35 more rows   created: 64 B ▁▁▄█▅▁▁▁▁▁···▁ 1 MiB, 46 % in 512..1023 B
 *
 * Where columns do not fit, those go first that have nothing but - or 0 in them, then those that
 * tell least (COL_SOONER); then names are cut.
 *
 * Where the locale's charset is not UTF-8, all that is printed is ASCII: the cells are
 * . : - = + * # and @ (_ for none), and bytes of names beyond ASCII are shown as \xHH.
 */
#include "report.h"

#include <errno.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_WIDTH 100
#define MIN_WIDTH 60
#define MIN_SHRUNK 12 /* a cut column keeps this much */
#define KEEP_SHRUNK 16 /* and this much as long as another column can be left out */
#define CELL 512
#define STARS 40

size_t out_text_width(void)
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

bool out_text_utf8(void)
{
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

/* Text as the terminal can take it: a UTF-8 name's second byte may steer one that is Latin-1. */
static void fit_charset(const char *in, char *buf, size_t size)
{
	bool utf8 = out_text_utf8();
	size_t n = 0;

	for (; *in && n + 5 < size; in++) {
		if (utf8 || !(*in & 0x80))
			buf[n++] = *in;
		else
			n += snprintf(buf + n, size - n, "\\x%02X", (unsigned char)*in);
	}
	buf[n] = '\0';
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

/* Three digits are enough in a table: 15.6 MiB, 182 MiB. */
static void fmt_cell_bytes(double n, char *buf, size_t size)
{
	char text[32], *dot;

	fmt_bytes(n, text, sizeof(text));
	dot = strchr(text, '.');
	if (dot && dot - text > 2 + (n < 0))
		snprintf(buf, size, "%.0f%s", strtod(text, NULL), dot + 2);
	else
		snprintf(buf, size, "%s", text);
}

static bool item_number(const struct item *it, double *n)
{
	if (it && it->kind == ITEM_U64)
		*n = it->u;
	else if (it && it->kind == ITEM_I64)
		*n = it->i;
	else if (it && it->kind == ITEM_DOUBLE)
		*n = it->d;
	else
		return false;
	return true;
}

static void cell(const struct table *t, const struct column *c, const void *row, char *buf,
		 size_t size)
{
	const struct column *est = estimate_of(t, c);
	struct value v = { 0 };
	double n;

	if (est)
		est->get(row, &v);
	if (v.kind) {
		*buf++ = '~';
		size--;
	} else {
		c->get(row, &v);
	}
	switch (v.kind) {
	case VAL_TEXT:
		fit_charset(v.text, buf, size);
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
		break;
	case VAL_ITEM:
		if (!item_number(v.item, &n)) {
			fit_charset(v.item && v.item->kind == ITEM_TEXT ? v.item->text : "-", buf, size);
			return;
		}
		break;
	default:
		snprintf(buf, size, "-");
		return;
	}
	if (c->unit == UNIT_SHARE)
		snprintf(buf, size, "%.0f %%", 100 * n);
	else if (c->unit == UNIT_BYTES)
		fmt_cell_bytes(n, buf, size);
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
		fputs(out_text_utf8() ? "\u2026" : "+", stdout);
		return;
	}
	if (right)
		printf("%*s", (int)(w - len), "");
	fputs(s, stdout);
	if (!right && !last)
		printf("%*s", (int)(w - len), "");
}

/* Bytes of the first n characters of s, which has more. */
static size_t bytes_of(const char *s, size_t n)
{
	size_t i;

	for (i = 0; s[i]; i++)
		if ((s[i] & 0xc0) != 0x80 && !n--)
			break;
	return i;
}

void out_text_fit(const char *in, size_t width, char *buf, size_t size)
{
	const char *mark = out_text_utf8() ? "\u2026" : "+";
	size_t n;

	fit_charset(in, buf, size);
	/* a character that did not fit in whole */
	for (n = strlen(buf); n && (buf[n - 1] & 0xc0) == 0x80; n--)
		;
	if (n && text_width(in) > text_width(buf) && buf[n - 1] & 0x80)
		buf[n - 1] = '\0';
	if (text_width(buf) <= width)
		return;
	n = bytes_of(buf, width - 1);
	snprintf(buf + n, size - n, "%s", mark);
}

/* Prints s from column `at` on, broken at spaces where the line of `width` ends. */
static void put_wrapped(const char *s, size_t at, size_t width)
{
	size_t room = width > at + 20 ? width - at : 20, end, cut;

	while (text_width(s) > room) {
		end = bytes_of(s, room);
		for (cut = end; cut > end / 2 && s[cut] != ' '; cut--)
			;
		if (s[cut] != ' ')
			cut = end;
		printf("%.*s\n%*s", (int)cut, s, (int)at, "");
		s += cut + (s[cut] == ' ');
	}
	fputs(s, stdout);
}

/* A line of prose, continued under its own beginning. */
static void print_wrapped(const char *indent, const char *s)
{
	char buf[2048];

	fit_charset(s, buf, sizeof(buf));
	fputs(indent, stdout);
	put_wrapped(buf, strlen(indent), out_text_width());
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

#define MAX_COLS 64

struct widths {
	size_t w[MAX_COLS], n;
	bool show[MAX_COLS];
	bool idle[MAX_COLS]; /* nothing but - or 0 in it */
};

static bool says_nothing(const char *cell_text)
{
	cell_text += *cell_text == '~';
	return !strcmp(cell_text, "-") || (cell_text[0] == '0' && strchr(" ", cell_text[1]));
}

static void measure(const struct table *t, struct widths *c)
{
	char buf[CELL];
	bool empty;
	size_t i, k;

	memset(c, 0, sizeof(*c));
	c->n = t->ncols < MAX_COLS ? t->ncols : MAX_COLS;
	for (i = 0; i < c->n; i++) {
		c->show[i] = t->cols[i].flags & COL_TEXT;
		c->w[i] = strlen(t->cols[i].title);
		empty = c->idle[i] = true;
		for (k = 0; c->show[i] && k < t->nrows; k++) {
			cell(t, &t->cols[i], t->rows[k], buf, sizeof(buf));
			empty = empty && !strcmp(buf, "-");
			c->idle[i] = c->idle[i] && says_nothing(buf);
			if (text_width(buf) > c->w[i])
				c->w[i] = text_width(buf);
		}
		/* rows summed over all processes have no pid */
		if (empty && t->cols[i].flags & COL_LOW_BAD)
			c->show[i] = false;
	}
}

/* Does it fit when names are cut a little? */
static bool nearly_fits(const struct table *t, const struct widths *c, size_t width)
{
	size_t i, cut = 0;

	for (i = 0; i < c->n; i++)
		if (c->show[i] && t->cols[i].flags & COL_SHRINK && c->w[i] > KEEP_SHRUNK)
			cut += c->w[i] - KEEP_SHRUNK;
	return line_width(c->w, c->show, c->n) <= width + cut;
}

/* Of what is left, the column that tells least; c->n: none may go. */
static size_t least_telling(const struct table *t, const struct widths *c)
{
	size_t i, best = c->n;
	int rank, least = -1;

	for (i = 0; i < c->n; i++) {
		if (!c->show[i] || !(t->cols[i].flags & COL_DROP))
			continue;
		rank = COL_ORDER(t->cols[i].flags) + (c->idle[i] ? 16 : 0);
		if (rank >= least) {
			least = rank;
			best = i;
		}
	}
	return best;
}

/*
 * Leaves columns out until names need little cutting, and takes those back that find room after
 * all, wide ones having gone; then cuts names, the widest first.
 */
static void fit(const struct table *t, struct widths *c, size_t width)
{
	size_t gone[MAX_COLS], n = 0, i, widest;

	while (!nearly_fits(t, c, width) && (i = least_telling(t, c)) < c->n) {
		c->show[i] = false;
		gone[n++] = i;
	}
	while (n-- > 0) {
		c->show[gone[n]] = true;
		if (!nearly_fits(t, c, width))
			c->show[gone[n]] = false;
	}
	while (line_width(c->w, c->show, c->n) > width) {
		widest = c->n;
		for (i = 0; i < c->n; i++)
			if (c->show[i] && t->cols[i].flags & COL_SHRINK && c->w[i] > MIN_SHRUNK &&
			    (widest == c->n || c->w[i] > c->w[widest]))
				widest = i;
		if (widest == c->n)
			return;
		c->w[widest]--;
	}
}

static void print_rows(const struct table *t)
{
	size_t width = out_text_width(), i, k, last = 0;
	struct widths c;
	char buf[CELL];

	measure(t, &c);
	fit(t, &c, width);
	for (i = 0; i < c.n; i++)
		if (c.show[i])
			last = i;
	for (k = 0; k <= t->nrows; k++) {
		for (i = 0; i < c.n; i++) {
			if (!c.show[i])
				continue;
			if (k)
				cell(t, &t->cols[i], t->rows[k - 1], buf, sizeof(buf));
			else
				snprintf(buf, sizeof(buf), "%s", t->cols[i].title);
			if (i == last && t->cols[i].flags & COL_WRAP)
				put_wrapped(buf, line_width(c.w, c.show, c.n) - c.w[i], width);
			else
				put(buf, c.w[i], is_number(&t->cols[i]), i == last);
			if (i != last)
				fputs("  ", stdout);
		}
		putchar('\n');
	}
}

static const char *const hist_units[] = { "value", "bytes", "nsecs", "words" };

struct shape {
	int first, last, peak; /* slots */
	uint64_t max;
	double sum;
};

static bool hist_shape(const struct hist *h, struct shape *s)
{
	int i;

	*s = (struct shape){ .first = -1 };
	for (i = 0; i < HIST_SLOTS; i++) {
		if (!h->slot[i])
			continue;
		if (s->first < 0)
			s->first = i;
		s->last = i;
		s->sum += h->slot[i];
		if (h->slot[i] > s->max) {
			s->max = h->slot[i];
			s->peak = i;
		}
	}
	return s->first >= 0;
}

static int top_slot(const struct table_hist *th)
{
	return (th->slots ? th->slots : EB_HIST_SLOTS) - 1;
}

/* As the BCC tools print them, wide bounds in wider columns. */
static void print_hist(const struct table_hist *th)
{
	const struct hist *h = &th->hist;
	char count[32], hi[32];
	struct shape s;
	int i, k, w;

	if (!hist_shape(h, &s))
		return;
	w = hist_hi(s.last) < 10000000000 ? 10 : hist_hi(s.last) < 10000000000000 ? 13 : 16;
	printf("\n     %-*s : count    %s\n", 2 * w - 1, hist_units[th->unit], th->of);
	for (i = s.first; i <= s.last; i++) {
		/* the top slot has all that is larger */
		snprintf(hi, sizeof(hi), i < top_slot(th) ? "%llu" : "...",
			 (unsigned long long)hist_hi(i));
		printf("%*llu -> %-*s : %-8s |", w, (unsigned long long)hist_lo(i), w, hi,
		       fmt_count(h->slot[i], count, sizeof(count)));
		for (k = 0; k < STARS; k++)
			putchar((double)k * s.max < (double)h->slot[i] * STARS ? '*' : ' ');
		puts("|");
	}
}

/* A bound for people, number and unit apart, as short as it can be: 64 B, 4.1 us, 65 us. */
static const char *fmt_bound(double v, enum unit unit, char *num, size_t size)
{
	static const char *const bytes[] = { " B", " KiB", " MiB", " GiB", " TiB" };
	/* from `limit` of them on, the next unit, which has `units` of them */
	static const struct { const char *name; double limit, units; } ns[] = {
		{ " ns", 1000, 1000 }, { " us", 1000, 1000 }, { " ms", 1000, 1000 },
		{ " s", 100, 60 },     { " min", 100, 60 },   { " h", 48, 24 },
		{ " d", 1e18, 1 },
	};
	unsigned int u = 0;

	if (unit == UNIT_BYTES) {
		for (; v >= 1024 && u + 1 < ARRAY_SIZE(bytes); u++)
			v /= 1024;
		snprintf(num, size, "%.0f", v);
		return bytes[u];
	}
	if (unit == UNIT_NS) {
		for (; v >= ns[u].limit; u++)
			v /= ns[u].units;
		snprintf(num, size, v < 9.95 ? "%.1f" : "%.0f", v);
		if (strlen(num) > 2 && !strcmp(num + strlen(num) - 2, ".0"))
			num[strlen(num) - 2] = '\0';
		return ns[u].name;
	}
	fmt_count(v, num, size);
	return "";
}

/* The upper end of a slot: exact where that is short, else the power of two above it. */
static double hist_end(int slot)
{
	return hist_hi(slot) < 1024 ? hist_hi(slot) : hist_hi(slot) + 1.0;
}

/* The cells from first to last: none, or one of eight heights. */
static void fmt_cells(const struct hist *h, const struct shape *s, char *buf, size_t size)
{
	static const char *const blocks[] = { "\u00b7", "\u2581", "\u2582", "\u2583", "\u2584",
					      "\u2585", "\u2586", "\u2587", "\u2588" };
	static const char *const ascii[] = { "_", ".", ":", "-", "=", "+", "*", "#", "@" };
	const char *const *cells = out_text_utf8() ? blocks : ascii;
	double height;
	size_t n = 0;
	int i;

	for (i = s->first; i <= s->last; i++) {
		height = 8 * (h->slot[i] / (double)s->max);
		/* rounded up: what is there is seen */
		n += snprintf(buf + n, size - n, "%s",
			      cells[(int)height + (height > (int)height)]);
	}
}

/* One line: where it begins, its cells, where it ends, and where most of it is. */
static bool fmt_hist(const struct table_hist *th, char *buf, size_t size)
{
	char lo[32], hi[32], from[32], to[32], cells[4 * HIST_SLOTS];
	const char *lo_unit, *hi_unit, *from_unit, *to_unit;
	int n, top = top_slot(th);
	struct shape s;

	if (!hist_shape(&th->hist, &s))
		return false;
	fmt_cells(&th->hist, &s, cells, sizeof(cells));
	/* nothing bounds the top slot but what it begins with */
	lo_unit = fmt_bound(hist_lo(s.first), th->unit, lo, sizeof(lo));
	hi_unit = fmt_bound(s.last < top ? hist_end(s.last) : hist_lo(s.last),
			    th->unit, hi, sizeof(hi));
	from_unit = fmt_bound(hist_lo(s.peak), th->unit, from, sizeof(from));
	to_unit = fmt_bound(hist_end(s.peak), th->unit, to, sizeof(to));
	n = snprintf(buf, size, "%s: %s%s %s %s%s%s, %.0f %% in ", th->label, lo, lo_unit, cells,
		     hi, hi_unit, s.last < top ? "" : "+",
		     100 * (th->hist.slot[s.peak] / s.sum));
	if (s.peak == top)
		snprintf(buf + n, size - n, "%s%s+", from, from_unit);
	else
		snprintf(buf + n, size - n, "%s%s..%s%s", from,
			 strcmp(from_unit, to_unit) ? from_unit : "", to, to_unit);
	return true;
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

static void fmt_share(double share, char *buf, size_t size)
{
	snprintf(buf, size, "%.*f %%", share < 0.1 ? 1 : 0, 100 * share);
}

static void print_head(const struct report *r)
{
	const struct vm *vm = r->vm;
	const struct run_info *run = &r->run;
	char line[1200], up[40], rss[32], erts[64], schedulers[32], share[16], next[16];
	size_t i, k, n;

	fmt_uptime(target_uptime_s(&vm->target), up, sizeof(up));
	fmt_bytes(target_rss(&vm->target), rss, sizeof(rss));
	snprintf(erts, sizeof(erts), "erts %s, ", vm->erts);
	snprintf(schedulers, sizeof(schedulers), "  %u schedulers", vm->nnormal);
	/* where a line does not hold it, the least of it goes */
	for (i = 0; i < 3; i++) {
		snprintf(line, sizeof(line), "%s  pid %d  OTP %d (%s%s)%s  %s  rss %s%s%s%s",
			 vm->node[0] ? vm->node : "?", vm->target.pid, vm->otp, i ? "" : erts,
			 vm->jit ? "jit" : "emu", i == 2 ? "" : schedulers, up, rss,
			 vm->target.container[0] ? "  in " : "", vm->target.container,
			 vm->unverified ? "  (layout unverified)" : "");
		if (text_width(line) <= out_text_width())
			break;
	}
	print_wrapped("", line);
	if (!run->have_coverage)
		return;
	n = snprintf(line, sizeof(line), "%.*f s:", run->duration_ns < 100e9 ? 1 : 0,
		     run->duration_ns / 1e9);
	for (i = 0; i < EB_NGROUPS; i++) {
		if (run->coverage[i] < 0)
			continue;
		fmt_share(run->coverage[i], share, sizeof(share));
		n += snprintf(line + n, sizeof(line) - n, " %s", guard_group_name(i));
		/* those that have the same in common share it */
		for (k = i + 1; k < EB_NGROUPS && run->coverage[k] < 0; k++)
			;
		if (k < EB_NGROUPS)
			fmt_share(run->coverage[k], next, sizeof(next));
		n += snprintf(line + n, sizeof(line) - n, "%s%s,",
			      k < EB_NGROUPS && !strcmp(share, next) ? "" : " ",
			      k < EB_NGROUPS && !strcmp(share, next) ? "" : share);
	}
	/* in place of the last comma, or of the colon */
	snprintf(line + n - 1, sizeof(line) - n + 1, " of the time");
	print_wrapped("watched for ", line);
}

/* What has no row of its own, and what that means to those that have. */
static void print_other(const struct report *r)
{
	uint64_t processes = 0, events = 0;
	char line[256], bound[32];
	const struct table *t;
	size_t i, n, tables = 0;

	for (i = 0; i < r->ntables; i++) {
		t = &r->tables[i];
		tables += t->other_processes || t->other_events;
		if (t->other_processes > processes)
			processes = t->other_processes;
		if (t->other_events > events)
			events = t->other_events;
	}
	if (!tables)
		return;
	n = snprintf(line, sizeof(line), "%llu %s; any single one differs by at most",
		     (unsigned long long)(processes ? processes : events),
		     processes ? "processes" : "events of processes");
	for (i = 0; i < r->ntables; i++) {
		t = &r->tables[i];
		if (!t->other_processes && !t->other_events)
			continue;
		if (t->other_unit == UNIT_NS)
			fmt_ns(t->other_bound, bound, sizeof(bound));
		else
			fmt_bytes(t->other_bound, bound, sizeof(bound));
		n += snprintf(line + n, sizeof(line) - n, " %s%s%s,", tables > 1 ? t->name : "",
			      tables > 1 ? " " : "", bound);
	}
	line[n - 1] = '\0';
	print_wrapped("other: ", line);
}

static void print_foot(const struct report *r)
{
	const struct run_info *run = &r->run;
	char a[32], b[32], line[256];
	bool cut = false;
	size_t i;
	int n;

	for (i = 0; r->compact && i < r->ntables; i++)
		cut = cut || r->tables[i].nrows < r->tables[i].nrows_all;
	n = snprintf(line, sizeof(line), "%.0f ms CPU, %s read", run->reader_cpu_ms,
		     fmt_bytes(run->bytes_read, a, sizeof(a)));
	if (run->traced)
		snprintf(line + n, sizeof(line) - n,
			 "; %llu hits of %s: %.2f %% of busiest thread",
			 (unsigned long long)run->probe_hits,
			 fmt_ns(run->probe_ns_per_hit, b, sizeof(b)), run->overhead_percent);
	putchar('\n');
	print_other(r);
	print_wrapped("cost: ", line);
	printf("lost %llu, faults %llu, skipped %llu%s\n", (unsigned long long)run->lost,
	       (unsigned long long)run->faults, (unsigned long long)run->skipped,
	       cut ? "; -l 0 shows all rows" : "");
	for (i = 0; i < run->nnotes; i++)
		print_wrapped("note: ", run->notes[i]);
}

static void print_block(const struct text_block *b)
{
	size_t i;

	putchar('\n');
	if (b->title)
		puts(b->title);
	for (i = 0; i < b->n; i++)
		puts(b->lines[i]);
}

static void print_blocks(const struct table *t)
{
	size_t k;

	for (k = 0; k < t->nblocks; k++)
		print_block(&t->blocks[k]);
}

static void print_section(const struct table *t)
{
	size_t k;

	if (t->headline)
		printf("\n%s: %s\n", t->name, t->headline);
	if (t->verdict[0])
		print_wrapped("  ", t->verdict);
	if (t->blocks_first && t->nblocks) {
		print_blocks(t);
		putchar('\n');
	}
	if (t->rows_hidden)
		;
	else if (t->nrows)
		print_rows(t);
	else
		puts("  nothing seen");
	if (t->nrows < t->nrows_all && !t->rows_hidden)
		printf("... %zu more rows (-l 0 shows all)\n", t->nrows_all - t->nrows);
	for (k = 0; k < t->nhists; k++)
		print_hist(&t->hists[k]);
	if (!t->blocks_first)
		print_blocks(t);
}

/* How many rows were cut shares a line with the histogram where both fit. */
static void print_compact(const struct table *t)
{
	size_t width = out_text_width(), k;
	char line[640], more[48] = "", indent[64];

	putchar('\n');
	snprintf(indent, sizeof(indent), "%s: ", t->name);
	print_wrapped(indent, t->nrows ? t->verdict : "nothing seen");
	if (!t->nrows)
		return;
	print_rows(t);
	if (t->nrows < t->nrows_all)
		snprintf(more, sizeof(more), "... %zu more rows", t->nrows_all - t->nrows);
	for (k = 0; k < t->nhists; k++) {
		if (!t->hists[k].main || !fmt_hist(&t->hists[k], line, sizeof(line)))
			continue;
		if (more[0] && strlen(more) + 3 + text_width(line) > width) {
			puts(more);
			more[0] = '\0';
		}
		snprintf(indent, sizeof(indent), "%s%s", more, more[0] ? "   " : "  ");
		print_wrapped(indent, line);
		more[0] = '\0';
	}
	if (more[0])
		puts(more);
}

int out_text(const struct report *r)
{
	size_t i;

	if (r->vm)
		print_head(r);
	for (i = 0; i < r->ntables; i++) {
		if (r->compact)
			print_compact(&r->tables[i]);
		else
			print_section(&r->tables[i]);
	}
	if (r->vm)
		print_foot(r);
	if (fflush(stdout) || ferror(stdout))
		return -1;
	return 0;
}
