// SPDX-License-Identifier: GPL-2.0-only
#include "snap_stack_private.h"
#include "snap_wait.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>

#define PSFLG_ACTIVE (1u << 13)
#define BATCH 256

/* --- the function that waits ------------------------------------------------------------------ */

/* What functions are for this, remembered by where processes wait in them. */
enum role {
	ROLE_NONE, /* not asked yet */
	ROLE_ANY,
	ROLE_SERVER, /* its registers are its state: whom it waits for next is not known */
	ROLE_START,  /* waits for a process that it has just started, without a monitor */
	ROLE_STRANGE, /* no function */
};

static bool is_named(struct snap_stacks *s, const struct code_at *at, const char *module,
		     const char *function)
{
	const char *m = term_atom(s->vm, at->module), *f = term_atom(s->vm, at->function);

	return m && f && !strcmp(m, module) && !strcmp(f, function);
}

static enum role find_role(struct snap_stacks *s, const struct code_at *at)
{
	const char *f = at->known ? term_atom(s->vm, at->function) : NULL;

	if (!f)
		return ROLE_STRANGE;
	if (strstr(f, "loop") || is_named(s, at, "gen_event", "fetch_msg") ||
	    is_named(s, at, "erlang", "hibernate"))
		return ROLE_SERVER;
	if (is_named(s, at, "proc_lib", "sync_start_link") ||
	    is_named(s, at, "proc_lib", "sync_start"))
		return ROLE_START;
	return ROLE_ANY;
}

static enum role role_of(struct snap_stacks *s, vmaddr_t i)
{
	size_t slot = (i ^ i >> 8) % ROLES;

	if (s->roles[slot].i != i || !s->roles[slot].role) {
		s->roles[slot].i = i;
		s->roles[slot].role = find_role(s, code_at(s->code, i));
	}
	return s->roles[slot].role;
}

/* Whether it may wait for somebody: it is in a receive, has a monitor, or is starting a process. */
static bool may_wait(struct snap_stacks *s, uint32_t state, vmaddr_t i, uint64_t monitors)
{
	enum role role;

	if (state & (PSFLG_ACTIVE | PSFLG_DIRTY_RUNNING))
		return false;
	role = role_of(s, i);
	return role == ROLE_START || (role == ROLE_ANY && monitors);
}

bool snap_may_wait(struct snap_stacks *s, const void *raw)
{
	const struct layout_fields *f = &s->vm->lay->f;
	uint64_t monitors, i;
	uint32_t state;

	memcpy(&state, (const unsigned char *)raw + f->proc_state, sizeof(state));
	memcpy(&monitors, (const unsigned char *)raw + f->proc_monitors, sizeof(monitors));
	memcpy(&i, (const unsigned char *)raw + f->proc_i, sizeof(i));
	return s->code && s->monitors_known && !(state & STACK_NOT_STILL) &&
	       may_wait(s, state, i, monitors);
}

/* --- its registers ---------------------------------------------------------------------------- */

/* What the function keeps, and what of it was read. */
struct kept {
	eterm_t pids[WAIT_REFS_MAX]; /* and ports; not its own */
	eterm_t boxed[WAIT_REFS_MAX];
	uint64_t words[WAIT_REFS_MAX][3]; /* of the boxed ones */
	size_t npids, nboxed;
	struct wait_refs refs;
};

static void add_pid(struct kept *k, eterm_t t, eterm_t self)
{
	size_t i;

	for (i = 0; i < k->npids && k->pids[i] != t; i++)
		;
	if (i == k->npids && t != self)
		k->pids[k->npids++] = t;
}

/* The registers of the innermost function; @req is filled with what must be read of them. */
static size_t look_at_registers(const struct stack *st, struct kept *k, struct read_req *req)
{
	const struct stack_frame *fr = &st->frames[0];
	eterm_t t;
	size_t i;

	k->npids = k->nboxed = 0;
	for (i = 0; i < fr->ny && i < WAIT_REFS_MAX; i++) {
		t = st->words[fr->y + i];
		if (term_is_pid(t) || term_is_port(t)) {
			add_pid(k, t, st->id);
		} else if ((t & 3) == 2) {
			k->boxed[k->nboxed] = t;
			req[k->nboxed] = (struct read_req){ t & ~7ULL, k->words[k->nboxed],
							    sizeof(k->words[0]), false };
			k->nboxed++;
		}
	}
	return k->nboxed;
}

/* The references among them, each once. */
static void take_refs(struct snap_stacks *s, struct kept *k, const struct read_req *req)
{
	struct wait_refs *r = &k->refs;
	struct ref_number number;
	size_t i, j;

	r->n = 0;
	for (i = 0; i < k->nboxed; i++) {
		if (!req[i].ok || !wait_ref_number(&s->vm->lay->f, k->words[i], &number))
			continue;
		for (j = 0; j < r->n && memcmp(&r->number[j], &number, sizeof(number)); j++)
			;
		if (j < r->n)
			continue;
		r->number[r->n] = number;
		r->term[r->n++] = k->boxed[i];
	}
}

/* --- the answer ------------------------------------------------------------------------------- */

static void answer(struct snap_stacks *s, const struct stack *st, const struct kept *k,
		   struct monitor_block *block, struct waits_for *w)
{
	int found = 0;

	memset(w, 0, sizeof(*w));
	w->known = true;
	if (role_of(s, st->i) == ROLE_START && k->npids == 1) {
		w->pid = k->pids[0];
		w->waits = true;
	} else if (st->monitors) {
		found = wait_by_refs(s, st->monitors, &k->refs, block, w);
		if (!found && k->npids)
			found = wait_by_pids(s, st->monitors, k->pids, k->npids, block, w);
	}
	if (found < 0)
		memset(w, 0, sizeof(*w));
	else if (w->waits)
		w->in = st->frames[0].at;
}

void snap_waits_for(struct snap_stacks *s, const struct stack *st, struct waits_for *w)
{
	struct read_req req[WAIT_REFS_MAX];
	struct monitor_block block = { 0 };
	struct kept k;

	memset(w, 0, sizeof(*w));
	if (st->status != STACK_OK || !st->nframes || !s->code || !s->monitors_known)
		return;
	w->known = true;
	if (st->nx || !may_wait(s, st->state, st->i, st->monitors))
		return;
	reader_batch(&s->vm->rd, req, look_at_registers(st, &k, req));
	take_refs(s, &k, req);
	answer(s, st, &k, &block, w);
}

/* --- of many ---------------------------------------------------------------------------------- */

/* Stacks, registers and monitors of many processes, each kind read side by side. */
struct wait_batch {
	struct stack stack[BATCH];
	struct kept kept[BATCH];
	struct monitor_block block[BATCH];
	unsigned char again[BATCH][STACK_PROC_MAX];
	struct read_req req[BATCH * WAIT_REFS_MAX];
	size_t which[BATCH]; /* the process of each */
	size_t n;
};

static void read_stacks(struct snap_stacks *s, struct wait_batch *b, const struct proc_id *who,
			const unsigned char *const *raw)
{
	size_t i, k = 0, n = 0;
	struct stack *st;
	int got[BATCH];

	for (i = 0; i < b->n; i++) {
		st = &b->stack[i];
		got[i] = snap_stack_prepare(s, &who[b->which[i]], raw[b->which[i]],
					    WAITS_FOR_WORDS, st, &b->req[n]);
		n += got[i] > 0 ? got[i] : 0;
	}
	reader_batch(&s->vm->rd, b->req, n);
	for (i = 0; i < b->n; i++) {
		for (; got[i] > 0 && b->req[k].ok; got[i]--)
			k++;
		if (!got[i])
			snap_stack_take(s, &b->stack[i]);
		else if (got[i] > 0)
			k += got[i];
	}
}

static void read_registers(struct snap_stacks *s, struct wait_batch *b)
{
	size_t i, n;

	for (i = 0, n = 0; i < b->n; i++)
		if (b->stack[i].status == STACK_OK)
			n += look_at_registers(&b->stack[i], &b->kept[i], &b->req[n]);
	reader_batch(&s->vm->rd, b->req, n);
	for (i = 0, n = 0; i < b->n; i++)
		if (b->stack[i].status == STACK_OK) {
			take_refs(s, &b->kept[i], &b->req[n]);
			n += b->kept[i].nboxed;
		}
}

/* The root of each tree of monitors, and then the Process again: is all of one moment? */
static void read_monitors(struct snap_stacks *s, struct wait_batch *b)
{
	struct read_req *req = b->req;
	uint64_t faults = s->vm->rd.faults;
	size_t i, n = 0;

	/* who is starting a process may have none */
	for (i = 0; i < b->n; i++) {
		b->block[i].addr = b->stack[i].monitors;
		b->block[i].ok = false;
		if (b->block[i].addr)
			req[n++] = (struct read_req){ b->block[i].addr, b->block[i].raw,
						      MONITOR_BLOCK, false };
	}
	reader_batch(&s->vm->rd, req, n);
	/* more than the node of the tree is asked for: what lies behind it need not be there */
	s->vm->rd.faults = faults;
	for (i = n = 0; i < b->n; i++)
		if (b->block[i].addr)
			b->block[i].ok = req[n++].ok;
	for (i = 0; i < b->n; i++)
		req[i] = (struct read_req){ b->stack[i].addr, b->again[i], s->vm->lay->f.proc_size,
					    false };
	reader_batch(&s->vm->rd, req, b->n);
}

static void wait_batch(struct snap_stacks *s, struct wait_batch *b, const struct proc_id *who,
		       const unsigned char *const *raw, struct waits_for *out)
{
	struct waits_for *w;
	struct stack one = { 0 };
	size_t i;

	read_stacks(s, b, who, raw);
	read_registers(s, b);
	read_monitors(s, b);
	for (i = 0; i < b->n; i++) {
		w = &out[b->which[i]];
		if (b->stack[i].status != STACK_OK || !b->req[i].ok ||
		    !snap_stack_same(s, raw[b->which[i]], b->again[i])) {
			/* it moved: again, alone */
			snap_stack_read(s, &who[b->which[i]], WAITS_FOR_WORDS, &one);
			snap_waits_for(s, &one, w);
		} else if (!b->stack[i].nx) {
			answer(s, &b->stack[i], &b->kept[i], &b->block[i], w);
		}
	}
	snap_stack_free(&one);
	b->n = 0;
}

void snap_waits_for_many(struct snap_stacks *s, const struct proc_id *who,
			 const unsigned char *const *raw, size_t n, struct waits_for *out)
{
	uint32_t state;
	size_t i;

	memset(out, 0, n * sizeof(*out));
	if (!s->code || !s->monitors_known)
		return;
	if (!s->batch)
		s->batch = xcalloc(1, sizeof(*s->batch));
	for (i = 0; i < n; i++) {
		memcpy(&state, raw[i] + s->vm->lay->f.proc_state, sizeof(state));
		out[i].known = !(state & STACK_NOT_STILL);
		if (!snap_may_wait(s, raw[i]))
			continue;
		s->batch->which[s->batch->n++] = i;
		if (s->batch->n == BATCH)
			wait_batch(s, s->batch, who, raw, out);
	}
	if (s->batch->n)
		wait_batch(s, s->batch, who, raw, out);
}

void snap_waits_close(struct snap_stacks *s)
{
	size_t i;

	for (i = 0; s->batch && i < BATCH; i++)
		snap_stack_free(&s->batch->stack[i]);
	free(s->batch);
}

bool waits_for_text(struct vm *vm, const struct waits_for *w, char *buf, size_t size)
{
	const char *name, *node;

	buf[0] = 0;
	if (!w->waits)
		return false;
	name = w->name ? term_atom(vm, w->name) : NULL;
	node = w->node ? term_atom(vm, w->node) : NULL;
	if (term_is_pid(w->pid))
		term_pid_text(vm, w->pid, buf, size);
	else if (term_is_port(w->pid))
		term_port_text(vm, w->pid, buf, size);
	else if (name && node)
		snprintf(buf, size, "{%s,%s}", name, node);
	else if (node)
		snprintf(buf, size, "process at %s", node);
	return buf[0];
}
