// SPDX-License-Identifier: GPL-2.0-only
/* proc: everything about one process. */
#include "report_proc.h"
#include "reading.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGES 10
#define PAGES_BYTES (32u << 20)
#define JSON_TERMS 100000   /* subterms printed of a term, at most */
#define TEXT_TERMS 2000
#define TEXT_DEPTH 20
#define JSON_STACK 1000000 /* words of the stack */
#define TEXT_STACK 4096
#define ENTRIES 100000	    /* of the dictionary */
#define TEXT_BYTES (32u << 20) /* of all terms together */
#define TERM_COLUMN 7	    /* where a term begins: report_proc_text.c */

struct proc_state {
	struct pages pages;
	struct terms terms;
	struct ps ps;
	struct code *code;
	struct snap_stacks *stacks;
	char ps_why[200], code_why[200], why[200];
	struct one_reader reader;
	struct proc_row row;
	struct one_found found;
	struct proc_id who; /* once it is found, it stays the one that is meant */
};

static int check(const struct options *opt)
{
	if (!opt->object)
		return fail(EXIT_USAGE, "`ebeam proc '<0.12.0>'`, `ebeam proc logger`",
			    "which process? a pid, a registered name or a label");
	return 0;
}

static void set_limits(struct reading *r, struct proc_state *s)
{
	struct one_limits *lim = &s->reader.lim;
	const struct options *opt = r->opt;
	bool all = !r->limit;

	lim->text.pretty = true;
	lim->text.max_terms = opt->max_terms > 0 ? (uint64_t)opt->max_terms :
			      opt->max_terms == 0 || all ? 0 :
			      opt->json		  ? JSON_TERMS : TEXT_TERMS;
	lim->text.depth = opt->depth >= 0 ? (unsigned int)opt->depth :
			  opt->json || all ? 0 : TEXT_DEPTH;
	if (!opt->json) {
		lim->text.column = TERM_COLUMN;
		lim->text.width = out_text_width();
	}
	lim->messages = all ? SIZE_MAX : r->limit;
	lim->examined = all ? 0 : CENSUS_EXAMINED;
	lim->stack_words = all ? 0 : opt->json ? JSON_STACK : TEXT_STACK;
	lim->entries = all ? 0 : ENTRIES;
	lim->text_bytes = all ? 0 : TEXT_BYTES;
}

static int open_proc(struct reading *r)
{
	struct proc_state *s = r->state;

	pages_open(&s->pages, &r->vm.rd, PAGES_BYTES);
	terms_open(&s->terms, &r->vm, &s->pages);
	snap_ps_open(&s->ps, &r->vm, s->ps_why, sizeof(s->ps_why));
	s->code = code_open(&r->vm, s->code_why, sizeof(s->code_why));
	s->stacks = snap_stacks_open(&r->vm, s->code, s->why, sizeof(s->why));
	s->reader.vm = &r->vm;
	s->reader.ts = &s->terms;
	s->reader.stacks = s->stacks;
	s->reader.no_stacks = s->why;
	s->reader.queues_proven = s->ps.ok.queues;
	s->reader.links_proven = s->ps.ok.links;
	one_prove(&s->reader);
	set_limits(r, s);
	return 0;
}

/* Several processes have the label: which of them is the user's to say. */
static int several(struct reading *r, const struct one_found *found, const char *word)
{
	struct proc_names names;
	struct proc_image image;
	char pid[64], hint[400] = "";
	size_t i, n = 0;

	for (i = 0; i < found->n && i < 8; i++) {
		term_pid_text(&r->vm, found->v[i].id, pid, sizeof(pid));
		memset(&names, 0, sizeof(names));
		if (!snap_proc_image(&r->vm, found->v[i].addr, &image))
			snap_proc_names(&r->vm, &image, &names);
		n += snprintf(hint + n, sizeof(hint) - n, "%s%s (%.40s)", i ? ", " : "one of: ",
			      pid, names.initial_call ? names.initial_call : "-");
		proc_names_free(&names);
		if (n >= sizeof(hint))
			break;
	}
	if (i < found->n && n + 4 < sizeof(hint))
		snprintf(hint + n, sizeof(hint) - n, ", ...");
	return fail(EXIT_USAGE, hint, "%zu processes have the label %.200s", found->n, word);
}

static int find(struct reading *r, struct proc_state *s)
{
	char word[4 * TERM_TEXT];

	if (s->who.addr)
		return 0;
	one_found_free(&s->found);
	if (one_find(&s->terms, r->opt->object, &s->found))
		return fail(EXIT_FAILED, "", "cannot read the process table of pid %d",
			    r->vm.target.pid);
	text_escape(r->opt->object, strlen(r->opt->object), word, sizeof(word));
	if (!s->found.n && s->found.is_pid)
		return fail(EXIT_USAGE, "`ebeam ps` lists the processes", "pid %s is not alive",
			    word);
	if (!s->found.n)
		return fail(EXIT_USAGE, "`ebeam ps` lists the processes",
			    "no process has the name%s %.200s",
			    r->vm.lay->otp >= 27 ? " or label" : "", word);
	if (s->found.n > 1)
		return several(r, &s->found, word);
	s->who = s->found.v[0];
	return 0;
}

static void fill_row(struct reading *r, struct proc_state *s)
{
	struct proc_row *row = &s->row;
	const struct one *one = &row->one;
	const struct code_at *at = NULL;
	char text[2 * TERM_TEXT];
	unsigned char raw[1024];
	eterm_t label, name;
	uint64_t mfa[3];

	term_pid_text(&r->vm, s->who.id, row->pid, sizeof(row->pid));
	row->have_ps = !snap_ps_read(&s->ps, &s->who, PS_ALL, &row->ps);
	if (!row->have_ps)
		return;
	row->traps_exit = row->ps.traps_exit;
	row->memory_known = row->ps.memory_known;
	row->memory = row->ps.memory;
	if (!row->memory_known && row->ps.rest_known && !one->missing[ONE_MESSAGES] &&
	    one->census.bytes_known) {
		row->memory_known = true;
		row->memory = row->ps.memory_rest + one->census.bytes;
	}
	name = snap_ps_registered(&s->ps, &row->ps);
	row->name = name ? term_atom(&r->vm, name) : NULL;
	pages_forget(&s->pages);
	if (snap_ps_label(&s->ps, &row->ps, &label))
		row->label = term_text(&s->terms, label, NULL, NULL);
	snap_ps_initial_call(&s->ps, &row->ps, mfa);
	if (term_mfa_text(&r->vm, mfa[0], mfa[1], mfa[2], text, sizeof(text)))
		row->initial_call = xstrdup(text);
	if (s->stacks && r->vm.lay->f.proc_size <= sizeof(raw) &&
	    reader_copy(&r->vm.rd, s->who.addr, raw, r->vm.lay->f.proc_size))
		at = snap_current_function(s->stacks, raw);
	if (at && at->known)
		row->current_function = xstrdup(at->mfa);
	/* where code says no more than that, what the process says of itself: it hibernates */
	row->at = !one->missing[ONE_STACK] && one->nframes && one->frames[0].at->known ?
			  one->frames[0].at : at;
}

static void notes(struct reading *r, struct proc_state *s)
{
	static const char *const names[ONE_PARTS] = { "settings", "stack", "state", "dictionary",
						      "links", "messages", "binaries", "heap" };
	const struct one *one = &s->row.one;
	int i;

	if (s->ps_why[0])
		reading_note(r, "%s", s->ps_why);
	if (!s->code)
		reading_note(r, "functions: %s", s->code_why);
	for (i = 0; i < ONE_PARTS; i++)
		if (one->missing[i])
			reading_note(r, "%s: %s", names[i], one->missing[i]);
	if (!one->missing[ONE_STATE] && one->gen.in_loop && one->gen.why)
		reading_note(r, "state: %s", one->gen.why);
	if (one->census.step > 1)
		reading_note(r, "message_census: one of %llu messages was examined, %llu of %llu",
			     (unsigned long long)one->census.step,
			     (unsigned long long)one->census.examined,
			     (unsigned long long)one->census.messages);
	if (one->census.partial)
		reading_note(r, "messages: there are more than were walked");
	if (one->links_partial)
		reading_note(r, "links: there are more than were walked");
	if (one->monitored_by.unknown)
		reading_note(r, "monitored_by: %zu resources of NIFs have no name",
			     one->monitored_by.unknown);
	if (one->bins_partial)
		reading_note(r, "binaries: there are more than were walked");
	if (one->dict_size > one->ndict)
		reading_note(r, "dictionary: %zu of %zu keys are shown", one->ndict,
			     one->dict_size);
	if (one->census.first_cut || !s->reader.text_left)
		reading_note(r, "terms: there is more text than may be kept, the rest is left out");
	if (one->stack_cut)
		reading_note(r, "backtrace: its lowest frames are left out");
}

static int round_proc(struct reading *r, struct table *t)
{
	struct proc_state *s = r->state;
	char word[4 * TERM_TEXT];
	int err;

	if (s->stacks && r->round)
		snap_stacks_refresh(s->stacks);
	pages_forget(&s->pages);
	if (find(r, s))
		return -1;
	err = one_read(&s->reader, &s->who, &s->row.one);
	if (err && s->row.one.missing[ONE_SETTINGS]) {
		text_escape(r->opt->object, strlen(r->opt->object), word, sizeof(word));
		return fail(EXIT_USAGE, "", s->found.is_pid ? "pid %.200s is not alive" :
			    "process %.200s is not alive any more", word);
	}
	fill_row(r, s);
	notes(r, s);
	proc_report(&r->vm, &s->row, r->opt->json, r->limit, t);
	return 0;
}

static void release(struct reading *r)
{
	struct proc_state *s = r->state;

	proc_row_free(&s->row);
}

static void close_proc(struct reading *r)
{
	struct proc_state *s = r->state;

	one_found_free(&s->found);
	snap_stacks_close(s->stacks);
	code_close(s->code);
	snap_ps_close(&s->ps);
	pages_close(&s->pages);
}

static struct reading_ops ops = {
	.cols = proc_columns, .default_sort = "pid", .default_limit = MESSAGES,
	.state_size = sizeof(struct proc_state), .check = check, .open = open_proc,
	.round = round_proc, .release = release, .close = close_proc,
};

int cmd_proc(const struct cmd *cmd, const struct options *opt)
{
	ops.ncols = proc_ncolumns;
	return reading_run(cmd, opt, &ops);
}
