// SPDX-License-Identifier: GPL-2.0-only
/*
 * One process, for people: what it is, what it does, what is in it; most wanted first.  Cut to a
 * screen or two, unless all is asked for.
 */
#include "report_proc.h"

#include <stdlib.h>
#include <string.h>

#define TERM_LINES 8
#define STATE_LINES 24
#define REGISTER_LINES 5
#define FRAMES 12
#define SHARE_MIN 0.005

struct text {
	const struct proc_row *r;
	struct table *t;
	size_t limit, width;
	bool all;
};

/* As many bytes as fit into so many columns; wide characters are rare, and count as one here. */
static int fitting(const char *s, size_t len, size_t columns)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		if (((unsigned char)s[i] & 0xc0) == 0x80)
			continue;
		if (n++ == columns)
			return i;
	}
	return len;
}

static size_t columns_of(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* A line with a lead, cut where it is too long. */
static void put(struct text *x, struct text_block *b, const char *lead, const char *s, size_t len)
{
	size_t used = columns_of(lead), room = used + 8 < x->width ? x->width - used : 8;
	int n = fitting(s, len, room);

	if ((size_t)n < len && !x->all)
		report_line(b, "%s%.*s...", lead, fitting(s, len, room - 3), s);
	else
		report_line(b, "%s%.*s", lead, (int)len, s);
}

/*
 * A term: behind its lead where it is of one line and fits, else below.  Its further lines are
 * indented already.
 */
static void put_term(struct text *x, struct text_block *b, const char *lead, const char *text,
		     size_t max)
{
	size_t n, lines = 0, left = 0;
	const char *s = text, *end;

	if (!text) {
		report_line(b, "%s-", lead);
		return;
	}
	if (!strchr(text, '\n') && columns_of(lead) + columns_of(text) <= x->width) {
		report_line(b, "%s%s", lead, text);
		return;
	}
	if (lead[strspn(lead, " ")])
		report_line(b, "%.*s", (int)(strlen(lead) - (lead[strlen(lead) - 1] == ' ')), lead);
	for (; s; s = end ? end + 1 : NULL, lines++) {
		end = strchr(s, '\n');
		n = end ? (size_t)(end - s) : strlen(s);
		if (!x->all && lines >= max)
			left++;
		else
			put(x, b, lines ? "" : "      ", s, n);
	}
	if (left)
		report_line(b, "      ... %zu more lines (-l 0 shows all)", left);
}

/* True where the part is there; else its line, saying why not. */
static bool have(struct text *x, enum one_part part, const char *title, struct text_block **b)
{
	char line[160];

	if (x->r->one.missing[part]) {
		snprintf(line, sizeof(line), "%s: - (%s)", title, x->r->one.missing[part]);
		report_block(x->t, line);
		return false;
	}
	if (b)
		*b = report_block(x->t, title);
	return true;
}

static bool shown(const struct text *x, size_t i, size_t most)
{
	return x->all || i < most;
}

static void more(struct text_block *b, const char *what, size_t shown_n, size_t n)
{
	if (n > shown_n)
		report_line(b, "  ... %zu more %s (-l 0 shows all)", n - shown_n, what);
}

/* --- head ------------------------------------------------------------------------------------- */

static void family_line(struct text *x, struct text_block *b)
{
	const struct one *one = &x->r->one;
	char line[1024];
	size_t i, n = 0;

	n += snprintf(line, sizeof(line), "%s", x->r->initial_call ? x->r->initial_call : "-");
	if (one->parent.text && n < sizeof(line))
		n += snprintf(line + n, sizeof(line) - n, ", parent %s", one->parent.text);
	for (i = 0; i < one->nancestors && n < sizeof(line); i++)
		n += snprintf(line + n, sizeof(line) - n, "%s%s", i ? ", " : "; ancestors ",
			      one->ancestors[i].text);
	put(x, b, "  started as  ", line, strlen(line));
	if (one->group_leader.text)
		report_line(b, "  group leader %s", one->group_leader.text);
}

static void memory_lines(struct text *x, struct text_block *b)
{
	const struct proc_row *r = x->r;
	char total[32] = "-", young[32], old[32], stack[32], bins[32], queue[64] = "-";

	if (r->memory_known)
		fmt_bytes(r->memory, total, sizeof(total));
	fmt_bytes(8.0 * r->ps.heap_size, young, sizeof(young));
	fmt_bytes(8.0 * r->ps.old_heap_size, old, sizeof(old));
	fmt_bytes(8.0 * r->ps.stack_size, stack, sizeof(stack));
	report_line(b, "  memory      %s: heap %s, old heap %s, stack %s", total, young, old,
		    r->ps.still ? stack : "-");
	if (r->ps.known & PS_BINS)
		report_line(b, "  binaries    %llu references, %s",
			    (unsigned long long)r->ps.held.refs,
			    fmt_bytes(r->ps.held.bytes, bins, sizeof(bins)));
	if (r->ps.len.known) {
		fmt_count(r->ps.len.len, queue, sizeof(queue));
		if (r->ps.len.in_transit)
			snprintf(queue + strlen(queue), sizeof(queue) - strlen(queue),
				 ", %llu of them in transit",
				 (unsigned long long)r->ps.len.in_transit);
	}
	report_line(b, "  messages    %s%s%s", queue, r->one.message_queue_data ? ", " : "",
		    r->one.message_queue_data ? r->one.message_queue_data : "");
}

static void work_line(struct text *x, struct text_block *b)
{
	const struct proc_row *r = x->r;
	char line[256];
	size_t n;

	n = snprintf(line, sizeof(line), "%llu reductions, %u minor collections since a full one",
		     (unsigned long long)r->ps.reds, r->ps.minor_gcs);
	if (r->one.gc_known && r->one.max_heap_size)
		n += snprintf(line + n, sizeof(line) - n, ", max heap %llu words%s",
			      (unsigned long long)r->one.max_heap_size,
			      r->one.max_kill ? " (kills)" : "");
	put(x, b, "  work        ", line, n);
	n = snprintf(line, sizeof(line), "priority %s", snap_ps_priority(r->ps.state));
	if (r->traps_exit)
		n += snprintf(line + n, sizeof(line) - n, ", traps exits");
	if (r->one.error_handler.text && strcmp(r->one.error_handler.text, "error_handler"))
		snprintf(line + n, sizeof(line) - n, ", error handler %.100s",
			 r->one.error_handler.text);
	put(x, b, "  flags       ", line, strlen(line));
}

static void head(struct text *x)
{
	const struct proc_row *r = x->r;
	struct text_block *b = report_block(x->t, NULL);
	char line[TERM_TEXT + 200];
	size_t n;

	n = snprintf(line, sizeof(line), "%s", r->pid);
	if (r->name)
		n += snprintf(line + n, sizeof(line) - n, "  %s", r->name);
	if (r->label && n < sizeof(line))
		n += snprintf(line + n, sizeof(line) - n, "  label %.*s",
			      fitting(r->label, strlen(r->label), 100), r->label);
	if (r->have_ps && n < sizeof(line))
		n += snprintf(line + n, sizeof(line) - n, "  %s", snap_ps_status(r->ps.state));
	if (r->current_function && n < sizeof(line))
		snprintf(line + n, sizeof(line) - n, " in %s", r->current_function);
	put(x, b, "", line, strlen(line));
	if (r->one.waits_for) {
		n = snprintf(line, sizeof(line), "  waits for   %s", r->one.waits_for);
		if (r->one.waits_name && r->one.waits_name[0] && n < sizeof(line))
			n += snprintf(line + n, sizeof(line) - n, " %.300s", r->one.waits_name);
		if (r->one.waits_in && n < sizeof(line))
			snprintf(line + n, sizeof(line) - n, ", in %.300s", r->one.waits_in);
		put(x, b, "", line, strlen(line));
	}
	if (r->have_ps) {
		memory_lines(x, b);
		work_line(x, b);
	}
	family_line(x, b);
}

/* --- stack and state -------------------------------------------------------------------------- */

static void stack(struct text *x)
{
	const struct one *one = &x->r->one;
	struct text_block *b;
	char lead[64], place[3 * TERM_TEXT];
	size_t i, k, n = one->nframes;
	const char *text;

	if (!have(x, ONE_STACK, "stack", &b))
		return;
	if (n > 1 && !one->frames[n - 1].at->known)
		n--; /* where a process begins: no function */
	for (i = 0; i < one->nx; i++) {
		snprintf(lead, sizeof(lead), "    x%zu = ", i);
		put_term(x, b, lead, one->x[i].text, REGISTER_LINES);
	}
	for (i = 0; i < n && shown(x, i, FRAMES); i++) {
		const struct one_frame *f = &one->frames[i];

		if (f->at->known)
			code_text(f->at, place, sizeof(place));
		else
			snprintf(place, sizeof(place), "(no function) 0x%llx",
				 (unsigned long long)f->pc);
		put(x, b, "  ", place, strlen(place));
		for (k = 0; k < f->ny; k++) {
			snprintf(lead, sizeof(lead), "    y%zu = ", k);
			text = f->y[k].text ? f->y[k].text : "catch";
			if (one->state.text && strlen(text) > 40 && !strcmp(text, one->state.text))
				text = "(the state, see below)";
			put_term(x, b, lead, text, REGISTER_LINES);
		}
	}
	more(b, "frames", i, n);
	if (one->stack_cut)
		report_line(b, "  ... it goes on");
}

static void state(struct text *x)
{
	const struct one *one = &x->r->one;
	static const char *const names[] = { "", "gen_server", "gen_statem", "gen_event" };
	char title[2 * TERM_TEXT];
	struct text_block *b;

	if (one->missing[ONE_STATE] || one->gen.kind == BEHAVIOUR_NONE)
		return;
	snprintf(title, sizeof(title), "state, of %s %s", names[one->gen.kind & 3],
		 one->callback.text ? one->callback.text : "");
	b = report_block(x->t, title);
	put_term(x, b, "  ", one->state.text, STATE_LINES);
}

/* --- messages --------------------------------------------------------------------------------- */

static void census(struct text *x)
{
	const struct census *c = &x->r->one.census;
	size_t i, most = x->limit;
	char title[160], lead[160];
	const char *from;
	struct text_block *b;
	double scale = c->examined ? (double)c->messages / c->examined : 0;

	if (x->r->one.missing[ONE_MESSAGES]) {
		have(x, ONE_MESSAGES, "messages", NULL);
		return;
	}
	if (!c->messages)
		return;
	snprintf(title, sizeof(title), "messages by shape");
	if (c->step > 1)
		snprintf(title, sizeof(title), "messages by shape (estimated: one of %llu examined,"
			 " %llu)", (unsigned long long)c->step,
			 (unsigned long long)c->examined);
	b = report_block(x->t, title);
	for (i = 0; i < c->nrows && shown(x, i, most); i++) {
		snprintf(lead, sizeof(lead), "  %10.0f  ", c->rows[i].count *
			 (c->step > 1 ? scale : 1));
		put(x, b, lead, c->rows[i].shape ? c->rows[i].shape : "(other shapes)",
		    c->rows[i].shape ? strlen(c->rows[i].shape) : 14);
	}
	more(b, "shapes", i, c->nrows);
	if (c->undecoded)
		report_line(b, "  %10llu  (from another node, not decoded yet)",
			    (unsigned long long)c->undecoded);
	if (c->partial)
		report_line(b, "  there are more than could be walked");
	b = report_block(x->t, "first messages");
	for (i = 0; i < c->nfirst; i++) {
		from = c->first[i].sender ? c->first[i].sender : "-";
		snprintf(lead, sizeof(lead), "  %zu %s%.*s: ", i + 1,
			 c->first[i].in_transit ? "in transit, from " : "from ",
			 fitting(from, strlen(from), 24), from);
		put_term(x, b, lead, c->first[i].text ? c->first[i].text : "(not decoded yet)",
			 TERM_LINES);
	}
}

/* --- dictionary, links, binaries -------------------------------------------------------------- */

static void dictionary(struct text *x)
{
	const struct one *one = &x->r->one;
	struct text_block *b;
	char lead[256];
	size_t i;

	if (!one->missing[ONE_DICT] && !one->ndict)
		return;
	if (!have(x, ONE_DICT, "dictionary", &b))
		return;
	for (i = 0; i < one->ndict && shown(x, i, 2 * x->limit); i++) {
		snprintf(lead, sizeof(lead), "  %.*s = ",
			 fitting(one->dict[i].key.text, strlen(one->dict[i].key.text), 60),
			 one->dict[i].key.text);
		put_term(x, b, lead, one->dict[i].value.text, TERM_LINES);
	}
	more(b, "keys", i, one->dict_size);
}

/* "links 12: <0.1.0> <0.2.0>": as many as fit into two lines. */
static void peers(struct text *x, struct text_block *b, const char *what,
		  const struct one_peers *p)
{
	char lead[64];
	char *line;
	size_t i, n, at = 0, room, used;
	unsigned int lines = 0;

	if (!p->n)
		return;
	snprintf(lead, sizeof(lead), "  %-12s %zu: ", what, p->n);
	room = x->width - strlen(lead);
	line = xcalloc(1, x->width * 4 + 4096);
	for (i = used = 0; i < p->n; i++) {
		n = p->v[i].text ? columns_of(p->v[i].text) : 1;
		if (at && used + 1 + n > room) {
			report_line(b, "%*s%s", (int)strlen(lead), lines ? "" : lead, line);
			at = used = 0;
			if (++lines == 2 && !x->all)
				break;
		}
		at += snprintf(line + at, x->width * 4 + 4096 - at, "%s%.4000s", at ? " " : "",
			       p->v[i].text ? p->v[i].text : "?");
		used += n + 1;
		if (at > x->width * 4)
			at = x->width * 4;
	}
	if (at)
		report_line(b, "%*s%s", (int)strlen(lead), lines ? "" : lead, line);
	if (i < p->n)
		report_line(b, "%*s... %zu more (-l 0 shows all)", (int)strlen(lead), "", p->n - i);
	free(line);
}

static void links(struct text *x)
{
	const struct one *one = &x->r->one;
	struct text_block *b;

	if (!one->missing[ONE_LINKS] &&
	    !(one->links.n + one->monitors.n + one->monitored_by.n + one->suspending.n))
		return;
	if (!have(x, ONE_LINKS, "links and monitors", &b))
		return;
	peers(x, b, "links", &one->links);
	peers(x, b, "monitors", &one->monitors);
	peers(x, b, "monitored by", &one->monitored_by);
	peers(x, b, "suspending", &one->suspending);
}

static int largest(const void *pa, const void *pb)
{
	const struct one_binary *a = pa, *b = pb;

	return a->size < b->size ? 1 : a->size > b->size ? -1 : 0;
}

static void binaries(struct text *x)
{
	const struct one *one = &x->r->one;
	struct one_binary *v;
	struct text_block *b;
	char size[32];
	size_t i, most = x->limit < 5 ? x->limit : 5;

	if (one->missing[ONE_BINARIES]) {
		have(x, ONE_BINARIES, "binaries", NULL);
		return;
	}
	if (!one->nbins)
		return;
	b = report_block(x->t, "binaries it refers to, largest first");
	v = xcalloc(one->nbins, sizeof(*v));
	memcpy(v, one->bins, one->nbins * sizeof(*v));
	qsort(v, one->nbins, sizeof(*v), largest);
	for (i = 0; i < one->nbins && shown(x, i, most); i++)
		report_line(b, "  %10s  refc %llu", fmt_bytes(v[i].size, size, sizeof(size)),
			    (unsigned long long)v[i].refc);
	more(b, "references", i, one->nbins);
	free(v);
}

/* --- heap ------------------------------------------------------------------------------------- */

static void heap_row(struct text *x, struct text_block *b, const char *indent, const char *label,
		     uint64_t words, uint64_t of)
{
	char size[32], lead[160];

	snprintf(lead, sizeof(lead), "  %10s %5.1f%%  %s", fmt_bytes(8.0 * words, size,
		 sizeof(size)), of ? 100.0 * words / of : 0, indent);
	put(x, b, lead, label, strlen(label));
}

static void heap_parts(struct text *x, struct text_block *b)
{
	const struct heap_sum *h = &x->r->one.heap;
	char indent[64], label[64];
	size_t i, shown_n = 0;

	for (i = 0; i < h->nparts; i++) {
		const struct heap_part *p = &h->parts[i];

		if (!shown(x, shown_n, 2 * x->limit) || (!x->all && p->words < h->used * SHARE_MIN))
			continue;
		shown_n++;
		snprintf(indent, sizeof(indent), "%*s", 2 * (int)(p->level + 1), "");
		snprintf(label, sizeof(label), "%llu others", (unsigned long long)p->others);
		heap_row(x, b, indent, p->label ? p->label : label, p->words, h->used);
	}
}

static void heap(struct text *x)
{
	const struct heap_sum *h = &x->r->one.heap;
	char title[160], used[32], empty[32];
	size_t *order, i;
	uint64_t rest = 0;
	struct text_block *b;

	if (x->r->one.missing[ONE_HEAP]) {
		have(x, ONE_HEAP, "heap", NULL);
		return;
	}
	snprintf(title, sizeof(title), "heap, by who keeps it: %s used, %s free",
		 fmt_bytes(8.0 * h->used, used, sizeof(used)),
		 fmt_bytes(8.0 * (h->young_free + h->old_free), empty, sizeof(empty)));
	b = report_block(x->t, title);
	order = proc_heap_order(h);
	for (i = 0; i < h->nroots; i++) {
		const struct heap_root *root = &h->roots[order[i]];

		if (!root->words)
			break;
		if (!shown(x, i, x->limit) || (!x->all && root->words < h->used * SHARE_MIN)) {
			rest += root->words;
			continue;
		}
		heap_row(x, b, "", root->label, root->words, h->used);
		if (order[i] == h->largest)
			heap_parts(x, b);
	}
	if (rest)
		heap_row(x, b, "", "(smaller ones)", rest, h->used);
	heap_row(x, b, "", "garbage: gone with the next collections", h->garbage, h->used);
	free(order);
}

void proc_text(const struct proc_row *row, size_t limit, struct table *t)
{
	struct text x = { row, t, limit, out_text_width(), !limit };

	head(&x);
	stack(&x);
	state(&x);
	census(&x);
	dictionary(&x);
	links(&x);
	binaries(&x);
	heap(&x);
}
