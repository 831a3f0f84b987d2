// SPDX-License-Identifier: GPL-2.0-only
#include "ps_rows.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>

#define ROW struct ps_row
/* What the process is asked for: a dead one has none of it. */
#define LIVE(fn, COND, KIND, MEMBER, E) GET_IF(fn, ROW, !r->dead && (COND), KIND, MEMBER, E)
#define LIVE_U(fn, COND, E) LIVE(fn, COND, VAL_U64, u, E)

GET_TEXT(get_pid, ROW, r->pid)
GET_TEXT(get_name, ROW, r->name)
GET_TEXT(get_registered, ROW, r->registered)
GET_TEXT(get_label, ROW, r->label)
GET_TEXT(get_initial_call, ROW, r->initial_call)
GET_TEXT(get_function, ROW, r->function)
GET_TEXT(get_waits_for, ROW, r->waits_for)
GET_TEXT(get_group_leader, ROW, r->group_leader)
GET_TEXT(get_parent, ROW, r->parent)
GET_TEXT(get_status, ROW, r->dead ? NULL : snap_ps_status(r->p.state))
GET_TEXT(get_priority, ROW, r->dead ? NULL : snap_ps_priority(r->p.state))
GET_TEXT(get_queue_data, ROW, r->dead ? NULL : snap_msgq_data(&r->p.queue))
GET_TEXT(get_mark, ROW, r->dead ? "dead" : r->is_new ? "new" : NULL)
LIVE(get_trap_exit, true, VAL_BOOL, b, r->p.traps_exit)
LIVE_U(get_memory, r->p.memory_known, r->p.memory)
LIVE(get_memory_est, r->p.memory_est > 0, VAL_U64, u, r->p.memory_est)
LIVE_U(get_memory_rest, r->p.rest_known, r->p.memory_rest)
LIVE_U(get_len, r->p.len.known, r->p.len.len)
LIVE_U(get_in_transit, r->p.len.known, r->p.len.in_transit)
LIVE_U(get_reds, true, r->interval && !r->is_new ? r->p.reds - r->before.reds : r->p.reds)
LIVE_U(get_total_heap, r->p.total_known, r->p.total_heap_size)
LIVE_U(get_heap, true, r->p.heap_size)
LIVE_U(get_old_heap, true, r->p.old_heap_size)
LIVE_U(get_mbuf, true, r->p.mbuf_size)
LIVE_U(get_stack, r->p.still, r->p.stack_size)
LIVE_U(get_minor_gcs, true, r->p.minor_gcs)
LIVE_U(get_fullsweep, true, r->p.fullsweep_after)
LIVE_U(get_links, r->p.known & PS_LINKS, r->p.links.links)
LIVE_U(get_monitors, r->p.known & PS_LINKS, r->p.links.monitors)
LIVE_U(get_monitored_by, r->p.known & PS_LINKS, r->p.links.monitored_by)
LIVE_U(get_dictionary, r->p.known & PS_DICT, r->p.dict_pairs)
LIVE_U(get_refs, r->p.known & PS_BINS, r->p.held.refs)
LIVE_U(get_bytes, r->p.known & PS_BINS, r->p.held.bytes)

/* As recon's proc_window: what is new has all of it, what is dead lost it. */
static void get_memory_change(const void *row, struct value *v)
{
	const ROW *r = row;
	bool was = !r->is_new && r->before.memory >= 0, is = !r->dead && r->p.memory_known;

	v->kind = VAL_NONE;
	if (!r->interval || (!r->is_new && !was) || (!r->dead && !is))
		return;
	v->kind = VAL_I64;
	v->i = (is ? (int64_t)r->p.memory : 0) - (was ? r->before.memory : 0);
}

static void get_len_change(const void *row, struct value *v)
{
	const ROW *r = row;

	v->kind = VAL_NONE;
	if (!r->interval || (!r->dead && !r->p.len.known) || (!r->is_new && r->before.len < 0))
		return;
	v->kind = VAL_I64;
	v->i = (r->dead ? 0 : (int64_t)r->p.len.len) - (r->is_new ? 0 : r->before.len);
}

#define NAME (COL_LOW_BAD)

const struct column ps_columns[] = {
	{ "pid", "PID", UNIT_NONE, COL_TEXT | NAME, "process", get_pid },
	{ "name", "NAME", UNIT_NONE, COL_TEXT | NAME | COL_SHRINK,
	  "registered name, else label, else initial call", get_name },
	{ "mark", "", UNIT_NONE, NAME, "with -i: new or dead since the last report", get_mark },
	{ "memory", "MEMORY", UNIT_BYTES, COL_TEXT,
	  "bytes, as process_info(P, memory): heaps, stack, messages, links, ...", get_memory },
	{ "memory_est", "", UNIT_BYTES, COL_EST | COL_NO_SORT,
	  "where its queue is too long to be walked, or moves: guessed from its first messages",
	  get_memory_est },
	{ "memory_change", "MEMORY +/-", UNIT_BYTES, 0, "with -i: since the last report",
	  get_memory_change },
	{ "message_queue_len", "MSGQ", UNIT_NONE, COL_TEXT, "messages in its queue", get_len },
	{ "message_queue_len_change", "MSGQ +/-", UNIT_NONE, 0, "with -i: since the last report",
	  get_len_change },
	{ "reductions", "REDS", UNIT_NONE, COL_TEXT | COL_SOONER(1),
	  "work done: since its start, with -i since the last report", get_reds },
	{ "status", "STATUS", UNIT_NONE, COL_TEXT | NAME | COL_SOONER(2),
	  "as process_info(P, status)", get_status },
	{ "waits_for", "WAITS FOR", UNIT_NONE, COL_TEXT | NAME | COL_SHRINK,
	  "process whose answer it waits for", get_waits_for },
	{ "current_function", "CURRENT FUNCTION", UNIT_NONE, COL_TEXT | NAME | COL_SHRINK,
	  "where it is", get_function },
	{ "registered_name", "", UNIT_NONE, NAME, "registered name", get_registered },
	{ "label", "", UNIT_NONE, NAME, "set by proc_lib:set_label/1, from OTP 27 on", get_label },
	{ "initial_call", "", UNIT_NONE, NAME, "what it began with", get_initial_call },
	{ "priority", "", UNIT_NONE, NAME, "max, high, normal, low", get_priority },
	{ "memory_without_messages", "WITHOUT MSGS", UNIT_BYTES, 0, "memory but for its queue",
	  get_memory_rest },
	{ "message_queue_len_in_transit", "IN TRANSIT", UNIT_NONE, 0,
	  "of its messages: sent, not yet fetched by it", get_in_transit },
	{ "message_queue_data", "", UNIT_NONE, NAME, "on_heap or off_heap", get_queue_data },
	{ "total_heap_size", "HEAPS", UNIT_WORDS, 0, "words of all its heaps", get_total_heap },
	{ "heap_size", "HEAP", UNIT_WORDS, 0, "words of the young heap, stack included", get_heap },
	{ "old_heap_size", "OLD HEAP", UNIT_WORDS, 0, "words of the old heap", get_old_heap },
	{ "heap_fragments_size", "FRAGMENTS", UNIT_WORDS, 0, "words of heap fragments (mbuf)",
	  get_mbuf },
	{ "stack_size", "STACK", UNIT_WORDS, 0, "words of the stack; not known while it runs",
	  get_stack },
	{ "minor_gcs", "MINOR", UNIT_NONE, 0, "collections since a full one", get_minor_gcs },
	{ "fullsweep_after", "FULLSWEEP", UNIT_NONE, 0, "after so many a full one", get_fullsweep },
	{ "trap_exit", "TRAPS", UNIT_NONE, 0, "traps exits", get_trap_exit },
	{ "links", "LINKS", UNIT_NONE, 0, "processes and ports linked to", get_links },
	{ "monitors", "MONITORS", UNIT_NONE, 0, "monitors it set", get_monitors },
	{ "monitored_by", "MONITORED BY", UNIT_NONE, 0, "monitors others set on it",
	  get_monitored_by },
	{ "dictionary_size", "DICT", UNIT_NONE, 0, "pairs in its dictionary", get_dictionary },
	{ "binary_refs", "BIN REFS", UNIT_NONE, 0, "refc binaries it holds, duplicates included",
	  get_refs },
	{ "binary_bytes", "BINARIES", UNIT_BYTES, 0, "and their bytes, likewise", get_bytes },
	{ "group_leader", "", UNIT_NONE, NAME, "group leader", get_group_leader },
	{ "parent", "", UNIT_NONE, NAME, "process that spawned it", get_parent },
};
const size_t ps_ncolumns = ARRAY_SIZE(ps_columns);

unsigned int ps_column_parts(const char *key)
{
	static const struct { const char *key; unsigned int parts; } of[] = {
		{ "memory", PS_MEMORY }, { "memory_change", PS_MEMORY },
		{ "memory_without_messages", PS_MEMORY & ~PS_MESSAGES },
		{ "total_heap_size", PS_MESSAGES }, { "links", PS_LINKS }, { "monitors", PS_LINKS },
		{ "monitored_by", PS_LINKS }, { "dictionary_size", PS_DICT },
		{ "binary_refs", PS_BINS }, { "binary_bytes", PS_BINS },
		{ "current_function", PS_FUNCTION }, { "waits_for", PS_WAITS },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(of); i++)
		if (!strcmp(of[i].key, key))
			return of[i].parts;
	return 0;
}

bool ps_column_is_name(const char *key)
{
	const struct column *c = report_find(ps_columns, ps_ncolumns, key);

	return c && c->flags & COL_LOW_BAD;
}

struct column *ps_columns_for(bool interval, const char *sort, bool binaries)
{
	struct column *cols = xcalloc(ps_ncolumns, sizeof(*cols));
	size_t i;

	memcpy(cols, ps_columns, sizeof(ps_columns));
	for (i = 0; i < ps_ncolumns; i++) {
		if (interval && (strstr(cols[i].key, "_change") || !strcmp(cols[i].key, "mark")))
			cols[i].flags |= COL_TEXT | COL_SOONER(3);
		if (binaries && !strncmp(cols[i].key, "binary_", 7))
			cols[i].flags |= COL_TEXT;
		/* what it is sorted by is seen */
		if (sort && !strcmp(cols[i].key, sort) && !(cols[i].flags & COL_EST)) {
			cols[i].flags = (cols[i].flags | COL_TEXT) & ~COL_SOONER(15);
			if (!cols[i].title[0])
				cols[i].title = "SORTED BY";
		}
	}
	return cols;
}

/* --- names ------------------------------------------------------------------------------------ */

#define TEXT_MAX 4096

char *ps_term_text(struct ps *ps, eterm_t t)
{
	struct term_limits lim = { .max_bytes = TEXT_MAX };
	const char *atom;
	char buf[64];

	if (term_is_pid(t)) {
		term_pid_text(ps->vm, t, buf, sizeof(buf));
		return xstrdup(buf);
	}
	if (term_is_atom(t)) {
		atom = term_atom(ps->vm, t);
		return atom ? xstrdup(atom) : NULL;
	}
	return t ? term_text(&ps->terms, t, &lim, NULL) : NULL;
}

static char *initial_call(struct ps *ps, const struct ps_proc *p)
{
	char text[2 * TERM_TEXT];
	uint64_t mfa[3];

	snap_ps_initial_call(ps, p, mfa);
	return term_mfa_text(ps->vm, mfa[0], mfa[1], mfa[2], text, sizeof(text)) ? xstrdup(text) :
										   NULL;
}

void ps_row_names(struct ps *ps, struct ps_row *r)
{
	char text[2 * TERM_TEXT];
	eterm_t t;

	term_pid_text(ps->vm, r->p.who.id, r->pid, sizeof(r->pid));
	if (r->dead)
		return;
	t = snap_ps_registered(ps, &r->p);
	if (t)
		r->registered = ps_term_text(ps, t);
	if (snap_ps_label(ps, &r->p, &t))
		r->label = ps_term_text(ps, t);
	r->initial_call = initial_call(ps, &r->p);
	if (r->p.function && r->p.function->known)
		r->function = xstrdup(r->p.function->mfa);
	if (waits_for_text(ps->vm, &r->p.waits, text, sizeof(text)))
		r->waits_for = xstrdup(text);
	r->group_leader = ps_term_text(ps, r->p.group_leader);
	r->parent = term_is_pid(r->p.parent) ? ps_term_text(ps, r->p.parent) : NULL;
	r->name = r->registered ? r->registered : r->label ? r->label : r->initial_call;
}

void ps_row_free(struct ps_row *r)
{
	free(r->registered);
	free(r->label);
	free(r->initial_call);
	free(r->function);
	free(r->waits_for);
	free(r->group_leader);
	free(r->parent);
}
