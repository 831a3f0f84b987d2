// SPDX-License-Identifier: GPL-2.0-only
/* Processes summed up by what they have in common: --by. */
#include "ps_rows.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>

const char *const ps_group_keys[] = {
	"registered_name", "label", "initial_call", "current_function", "waits_for", "status",
	"priority", "group_leader", "parent", "message_queue_data", NULL,
};

/* --- what a process is known by --------------------------------------------------------------- */

static uint64_t hash_text(const char *s)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	while (*s)
		h = (h ^ (unsigned char)*s++) * 0x100000001b3ULL;
	return h;
}

/* Three words, found without making text of them; zeros for a process that has no such key. */
static void words_of(const struct ps_groups *g, struct ps *ps, const struct ps_row *row,
		     uint64_t w[3])
{
	const struct ps_proc *p = &row->p;
	const char *by = g->by, *text = NULL;
	char *label;

	memset(w, 0, 3 * sizeof(*w));
	if (!strcmp(by, "registered_name")) {
		w[0] = snap_ps_registered(ps, p);
	} else if (!strcmp(by, "initial_call")) {
		snap_ps_initial_call(ps, p, w);
	} else if (!strcmp(by, "group_leader")) {
		w[0] = p->group_leader;
	} else if (!strcmp(by, "parent")) {
		w[0] = term_is_pid(p->parent) ? p->parent : 0;
	} else if (!strcmp(by, "current_function")) {
		w[0] = p->function && p->function->known ? p->function->module : 0;
		w[1] = w[0] ? p->function->function : 0;
		w[2] = w[0] ? p->function->arity : 0;
	} else if (!strcmp(by, "waits_for")) {
		w[0] = p->waits.pid ? p->waits.pid : p->waits.name ? p->waits.name : p->waits.node;
		w[1] = p->waits.node;
		w[2] = p->waits.waits;
	} else if (!strcmp(by, "status")) {
		text = snap_ps_status(p->state);
	} else if (!strcmp(by, "priority")) {
		text = snap_ps_priority(p->state);
	} else if (!strcmp(by, "message_queue_data")) {
		text = ps->ok.queues ? snap_msgq_data(&p->queue) : NULL;
	} else if (!strcmp(by, "label") && snap_ps_label(ps, p, &w[0]) && (w[0] & 3) != 3) {
		/* a term of its own in each process */
		label = ps_term_text(ps, w[0]);
		w[0] = label ? hash_text(label) : 0;
		w[1] = 1;
		free(label);
	}
	if (text)
		w[0] = (uintptr_t)text;
}

static char *key_text(const struct ps_groups *g, struct ps *ps, const struct ps_row *row,
		      const uint64_t w[3])
{
	char text[2 * TERM_TEXT];
	eterm_t label;

	if (!w[0])
		return NULL;
	if (!strcmp(g->by, "initial_call") || !strcmp(g->by, "current_function"))
		return term_mfa_text(ps->vm, w[0], w[1], w[2], text, sizeof(text)) ? xstrdup(text) :
										     NULL;
	if (!strcmp(g->by, "waits_for"))
		return waits_for_text(ps->vm, &row->p.waits, text, sizeof(text)) ? xstrdup(text) :
										   NULL;
	if (!strcmp(g->by, "label"))
		return snap_ps_label(ps, &row->p, &label) ? ps_term_text(ps, label) : NULL;
	if (!strcmp(g->by, "registered_name") || !strcmp(g->by, "group_leader") ||
	    !strcmp(g->by, "parent"))
		return ps_term_text(ps, w[0]);
	return xstrdup((const char *)(uintptr_t)w[0]);
}

/* --- the table of groups ---------------------------------------------------------------------- */

static size_t place(const struct ps_groups *g, const uint64_t w[3])
{
	uint64_t h = (w[0] * 0x9e3779b97f4a7c15ULL ^ w[1]) * 0x9e3779b97f4a7c15ULL ^ w[2];
	size_t at = (h ^ h >> 32) & (g->nslots - 1);

	while (g->slots[at] && memcmp(g->v[g->slots[at] - 1].words, w, 24))
		at = (at + 1) & (g->nslots - 1);
	return at;
}

static void grow(struct ps_groups *g)
{
	size_t i;

	g->nslots = g->nslots ? 2 * g->nslots : 1024;
	free(g->slots);
	g->slots = xcalloc(g->nslots, sizeof(*g->slots));
	for (i = 0; i < g->n; i++)
		g->slots[place(g, g->v[i].words)] = i + 1;
}

static struct ps_group *group_of(struct ps_groups *g, struct ps *ps, const struct ps_row *row)
{
	struct ps_group *new;
	uint64_t w[3];
	size_t at;

	words_of(g, ps, row, w);
	if (2 * g->n >= g->nslots)
		grow(g);
	at = place(g, w);
	if (g->slots[at])
		return &g->v[g->slots[at] - 1];
	if (g->n == g->cap) {
		g->cap = g->cap ? 2 * g->cap : 64;
		g->v = xrealloc(g->v, g->cap * sizeof(*g->v));
	}
	new = &g->v[g->n++];
	memset(new, 0, sizeof(*new));
	memcpy(new->words, w, sizeof(w));
	new->key = key_text(g, ps, row, w);
	g->slots[at] = g->n;
	return new;
}

void ps_group_count(struct ps_groups *g, struct ps *ps, const struct ps_row *row, uint64_t n)
{
	group_of(g, ps, row)->processes += n;
}

const struct ps_group *ps_group_largest(const struct ps_groups *g)
{
	const struct ps_group *best = NULL;
	size_t i;

	for (i = 0; i < g->n; i++)
		if (g->v[i].key && (!best || g->v[i].processes > best->processes))
			best = &g->v[i];
	return best;
}

/* Of the process that a group has in common. */
void ps_group_name(struct ps_group *g, struct ps *ps)
{
	struct ps_row row = { 0 };
	struct proc_id who;

	if (!g->name && snap_ps_find(ps, g->words[0], &who) && !snap_ps_read(ps, &who, 0, &row.p)) {
		ps_row_names(ps, &row);
		g->name = row.name ? xstrdup(row.name) : NULL;
	}
	ps_row_free(&row);
}

void ps_group_add(struct ps_groups *g, struct ps *ps, const struct ps_row *row)
{
	struct ps_group *to = group_of(g, ps, row);
	const struct ps_proc *p = &row->p;

	to->processes++;
	to->unknown += !p->memory_known;
	to->unguessed += !p->memory_known && !p->memory_est;
	to->memory += p->memory_known ? p->memory : 0;
	to->memory_est += p->memory_known ? p->memory : p->memory_est;
	to->queues_unknown += !p->len.known;
	to->len += p->len.len;
	to->in_transit += p->len.in_transit;
	to->reds += row->interval && !row->is_new ? p->reds - row->before.reds : p->reds;
	to->bins_unknown += !(p->known & PS_BINS);
	to->binary_bytes += p->held.bytes;
	to->binary_refs += p->held.refs;
	if (p->len.len > to->max_len) {
		to->max_len = p->len.len;
		term_pid_text(ps->vm, p->who.id, to->max_pid, sizeof(to->max_pid));
	}
}

void ps_groups_free(struct ps_groups *g)
{
	size_t i;

	for (i = 0; i < g->n; i++) {
		free(g->v[i].key);
		free(g->v[i].name);
	}
	free(g->v);
	free(g->slots);
	memset(g, 0, sizeof(*g));
}

/* --- columns ---------------------------------------------------------------------------------- */

#define G struct ps_group

GET_TEXT(get_key, G, r->key)
GET_TEXT(get_name, G, r->name)
GET_U(get_processes, G, r->processes)
GET_IF(get_memory, G, !r->unknown, VAL_U64, u, r->memory)
GET_IF(get_memory_est, G, r->unknown && !r->unguessed, VAL_U64, u, r->memory_est)
GET_IF(get_len, G, !r->queues_unknown, VAL_U64, u, r->len)
GET_IF(get_in_transit, G, !r->queues_unknown, VAL_U64, u, r->in_transit)
GET_U(get_reds, G, r->reds)
GET_IF(get_max_len, G, !r->queues_unknown, VAL_U64, u, r->max_len)
GET_TEXT(get_max_pid, G, r->max_len ? r->max_pid : NULL)
GET_IF(get_refs, G, !r->bins_unknown, VAL_U64, u, r->binary_refs)
GET_IF(get_bytes, G, !r->bins_unknown, VAL_U64, u, r->binary_bytes)

static const struct column columns[] = {
	{ "", "", UNIT_NONE, COL_TEXT | COL_LOW_BAD | COL_SHRINK, "what they share", get_key },
	{ "name", "NAME", UNIT_NONE, COL_TEXT | COL_LOW_BAD | COL_SHRINK | COL_NO_SORT,
	  "of that process", get_name },
	{ "processes", "PROCESSES", UNIT_NONE, COL_TEXT, "how many", get_processes },
	{ "memory", "MEMORY", UNIT_BYTES, COL_TEXT, "bytes of all of them", get_memory },
	{ "memory_est", "", UNIT_BYTES, COL_EST | COL_NO_SORT,
	  "guessed for those with very long queues", get_memory_est },
	{ "message_queue_len", "MSGQ", UNIT_NONE, COL_TEXT, "messages in their queues", get_len },
	{ "message_queue_len_in_transit", "", UNIT_NONE, 0, "of these, not yet fetched",
	  get_in_transit },
	{ "message_queue_len_max", "LONGEST", UNIT_NONE, COL_TEXT, "the longest queue of them",
	  get_max_len },
	{ "message_queue_len_max_pid", "OF", UNIT_NONE, COL_TEXT | COL_LOW_BAD, "and whose it is",
	  get_max_pid },
	{ "reductions", "REDS", UNIT_NONE, COL_TEXT | COL_SOONER(1), "work done by all of them",
	  get_reds },
	{ "binary_refs", "", UNIT_NONE, 0, "refc binaries they hold; with --binaries", get_refs },
	{ "binary_bytes", "BINARIES", UNIT_BYTES, 0, "and their bytes", get_bytes },
};

struct column *ps_group_columns(const char *by, bool binaries, size_t *n)
{
	struct column *cols = xcalloc(ARRAY_SIZE(columns), sizeof(*cols));

	memcpy(cols, columns, sizeof(columns));
	*n = ARRAY_SIZE(columns);
	cols[0].key = by;
	cols[0].title = !strcmp(by, "waits_for")	? "WAIT FOR" :
			!strcmp(by, "initial_call")	? "INITIAL CALL" :
			!strcmp(by, "current_function") ? "CURRENT FUNCTION" :
			!strcmp(by, "registered_name")	? "NAME" :
			!strcmp(by, "label")		? "LABEL" :
			!strcmp(by, "status")		? "STATUS" :
			!strcmp(by, "priority")		? "PRIORITY" :
			!strcmp(by, "group_leader")	? "GROUP LEADER" :
			!strcmp(by, "parent")		? "PARENT" :
							  "QUEUE DATA";
	if (binaries)
		cols[*n - 1].flags |= COL_TEXT;
	return cols;
}
