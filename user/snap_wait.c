// SPDX-License-Identifier: GPL-2.0-only
#include "snap_stack_private.h"
#include "snap_wait.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>

#define PSFLG_ACTIVE (1u << 13)
/* ERTS_ML_FLG_*; from 28 on behind seven bits for the type and an alias, in a word of 32 bits */
#define ML_TYPE_BITS 7
#define ML_FLG_TARGET 1u
#define ML_FLG_IN_TABLE 2u
#define ML_FLG_NAME 8u
#define MAX_DEPTH 128  /* of a balanced tree of monitors */
#define MAX_WALK 4096  /* monitors that are looked through for a pid */
#define MAX_KEPT 64    /* registers of a function that are looked at */
#define REF_WORDS 5
#define HEADER_REF 0x10
#define NODE_BYTES 64

/*
 * The monitors that a process set are a tree by reference (erl_monitor_link.c): the key is compared as
 * bytes, and immediate keys (nodes, suspended processes) come before all references.
 */
struct ref_number {
	unsigned char n[12];
};

struct node {
	vmaddr_t addr;
	uint64_t parent, right, left, other;
	uint16_t offset, key_offset;
	uint32_t flags;
	eterm_t key;
	bool is_ref;
	struct ref_number number;
};

/* One struct after the other, as always; what follows from there is proven by each node's content. */
static bool offsets_fit(const struct layout_fields *f)
{
	return f->ml_right == 8 && f->ml_left == 16 && f->ml_offset == f->ml_other + 8 &&
	       (f->ml_other == 24 || f->ml_other == 32) && f->ml_size == f->ml_offset + 8 &&
	       f->ml_key_offset == f->ml_offset + 2 && f->ml_flags == f->ml_offset + 4 &&
	       f->ml_size <= NODE_BYTES && f->mondata_origin == 0 &&
	       f->mondata_ref == 2 * f->ml_size && f->mondata_size == f->mondata_ref + 16 &&
	       f->oref_num == 12;
}

void snap_waits_open(struct snap_stacks *s)
{
	s->monitors_known = offsets_fit(&s->vm->lay->f);
}

static uint64_t word(const unsigned char *raw, unsigned int off)
{
	uint64_t v;

	memcpy(&v, raw + off, 8);
	return v;
}

static uint16_t half(const unsigned char *raw, unsigned int off)
{
	uint16_t v;

	memcpy(&v, raw + off, 2);
	return v;
}

/* The numbers of a local reference, from the words of its heap object; false where it is none. */
static bool ref_number(const struct layout_fields *f, const uint64_t *words, struct ref_number *out)
{
	if ((words[0] & 0x3f) != HEADER_REF || words[0] >> 6 < 2 || words[0] >> 6 > 4)
		return false;
	memcpy(out->n, (const unsigned char *)words + f->oref_num, sizeof(out->n));
	return true;
}

/*
 * An origin node: its key stands in the record that it begins, ErtsMonitorData.ref, or is what it
 * monitors.
 */
static bool read_node(struct snap_stacks *s, vmaddr_t addr, struct node *n)
{
	const struct layout_fields *f = &s->vm->lay->f;
	unsigned char raw[NODE_BYTES];
	uint64_t ref[3];

	memset(n, 0, sizeof(*n));
	if (addr & 7 || !reader_copy(&s->vm->rd, addr, raw, f->ml_size))
		return false;
	n->addr = addr;
	n->parent = word(raw, f->ml_right - 8) & ~7ULL;
	n->right = word(raw, f->ml_right);
	n->left = word(raw, f->ml_left);
	n->other = word(raw, f->ml_other);
	n->offset = half(raw, f->ml_offset);
	n->key_offset = half(raw, f->ml_key_offset);
	n->flags = half(raw, f->ml_flags);
	if (f->ml_type == LAYOUT_ABSENT) {
		memcpy(&n->flags, raw + f->ml_flags, sizeof(n->flags));
		n->flags >>= ML_TYPE_BITS;
	}
	if (!(n->flags & ML_FLG_IN_TABLE) || n->offset > f->mondata_size ||
	    (n->right | n->left) & 7)
		return false;
	/* one of the other end: others monitor this process by way of a remote node */
	if (n->key_offset == f->ml_other) {
		n->key = n->other;
	} else if (n->key_offset + n->offset != f->mondata_ref ||
		   !reader_u64(&s->vm->rd, addr + n->key_offset, &n->key)) {
		return false;
	}
	if ((n->key & 3) == 2) {
		if (!reader_copy(&s->vm->rd, n->key & ~7ULL, ref, sizeof(ref)))
			return false;
		n->is_ref = ref_number(f, ref, &n->number);
	}
	return true;
}

/* Where the reference is in order, against the node's key. */
static int compare(const struct ref_number *ref, const struct node *n)
{
	if (n->is_ref)
		return memcmp(ref->n, n->number.n, sizeof(ref->n));
	return (n->key & 3) == 2 ? -1 : 1;
}

/* 1 and @n: found; 0: there is no such monitor; -1: not known. */
static int find_monitor(struct snap_stacks *s, vmaddr_t root, const struct ref_number *ref,
			struct node *n)
{
	vmaddr_t at = root, parent = 0;
	int i, order;

	for (i = 0; i < MAX_DEPTH; i++) {
		if (!at)
			return 0;
		if (!read_node(s, at, n) || (i && n->parent != parent))
			return -1;
		order = compare(ref, n);
		if (!order)
			return n->flags & ML_FLG_TARGET ? 0 : 1;
		parent = at;
		at = order < 0 ? n->left : n->right;
	}
	return -1;
}

/* Whether it set a monitor on this process; as find_monitor(). */
static int find_target(struct snap_stacks *s, vmaddr_t root, const eterm_t *pids, size_t npids,
		       struct node *found)
{
	vmaddr_t stack[MAX_DEPTH];
	size_t depth = 0, walked, i;
	struct node n;
	int hits = 0;

	stack[depth++] = root;
	for (walked = 0; depth && walked < MAX_WALK; walked++) {
		if (!read_node(s, stack[--depth], &n) || depth + 2 > MAX_DEPTH)
			return -1;
		if (n.left)
			stack[depth++] = n.left;
		if (n.right)
			stack[depth++] = n.right;
		for (i = 0; i < npids; i++)
			if (n.other == pids[i] && n.is_ref && !(n.flags & ML_FLG_TARGET)) {
				if (hits && found->other != n.other)
					return 0;
				hits++;
				*found = n;
			}
	}
	return depth ? -1 : hits > 0;
}

/* --- the registers of the function that waits --------------------------------------------------- */

static bool named(struct snap_stacks *s, const struct code_at *at, const char *module,
		  const char *function)
{
	const char *m = term_atom(s->vm, at->module), *f = term_atom(s->vm, at->function);

	return m && f && !strcmp(m, module) && (!function || !strcmp(f, function));
}

/* Its registers are its state: whom it waits for next is not known before a message comes. */
static bool is_server(struct snap_stacks *s, const struct code_at *at)
{
	const char *f = term_atom(s->vm, at->function);

	return (f && strstr(f, "loop")) || named(s, at, "gen_event", "fetch_msg") ||
	       named(s, at, "erlang", "hibernate");
}

/* proc_lib waits for a process that it has just started, without a monitor (start_link). */
static bool is_start(struct snap_stacks *s, const struct code_at *at)
{
	return named(s, at, "proc_lib", "sync_start_link") || named(s, at, "proc_lib", "sync_start");
}

struct kept {
	eterm_t refs[MAX_KEPT];
	struct ref_number numbers[MAX_KEPT];
	eterm_t pids[MAX_KEPT]; /* and ports */
	size_t nrefs, npids;
};

static void add_pid(struct kept *k, eterm_t t, eterm_t self)
{
	size_t i;

	for (i = 0; i < k->npids && k->pids[i] != t; i++)
		;
	if (i == k->npids && t != self)
		k->pids[k->npids++] = t;
}

/* Local references and pids among the registers of the innermost function, each once. */
static void look_at_registers(struct snap_stacks *s, const struct stack *st, struct kept *k)
{
	const struct stack_frame *fr = &st->frames[0];
	uint64_t words[MAX_KEPT][3];
	struct read_req req[MAX_KEPT];
	eterm_t boxed[MAX_KEPT], t;
	struct ref_number number;
	size_t i, j, n = 0;

	k->nrefs = k->npids = 0;
	for (i = 0; i < fr->ny && i < MAX_KEPT; i++) {
		t = st->words[fr->y + i];
		if (term_is_pid(t) || term_is_port(t)) {
			add_pid(k, t, st->id);
		} else if ((t & 3) == 2) {
			boxed[n] = t;
			req[n] = (struct read_req){ t & ~7ULL, words[n], sizeof(words[n]), false };
			n++;
		}
	}
	reader_batch(&s->vm->rd, req, n);
	for (i = 0; i < n; i++) {
		if (!req[i].ok || !ref_number(&s->vm->lay->f, words[i], &number))
			continue;
		for (j = 0; j < k->nrefs && memcmp(&k->numbers[j], &number, sizeof(number)); j++)
			;
		if (j < k->nrefs)
			continue;
		k->numbers[k->nrefs] = number;
		k->refs[k->nrefs++] = boxed[i];
	}
}

/* --- the answer --------------------------------------------------------------------------------- */

/* The node of a boxed external pid: ExternalThing.node->sysname. */
static eterm_t node_of(struct snap_stacks *s, eterm_t remote)
{
	const struct layout_fields *f = &s->vm->lay->f;
	uint64_t header, node, name;

	if (!reader_u64(&s->vm->rd, remote & ~7ULL, &header) || (header & 0x3f) != 0x30 ||
	    !reader_u64(&s->vm->rd, (remote & ~7ULL) + f->ext_node, &node) ||
	    !reader_u64(&s->vm->rd, node + f->node_sysname, &name) || !term_atom(s->vm, name))
		return 0;
	return name;
}

/*
 * What the monitor says of the other end: a pid; or, of a process at another node that was monitored by
 * its name, the node, and the name behind the record.  Not of a node or of the clock.
 */
static bool set_target(struct snap_stacks *s, const struct node *n, struct waits_for *w)
{
	const struct layout_fields *f = &s->vm->lay->f;
	uint64_t name = 0;

	if (n->flags & ML_FLG_NAME &&
	    (!reader_u64(&s->vm->rd, n->addr - n->offset + f->mondata_size, &name) ||
	     !term_atom(s->vm, name)))
		return false;
	w->name = name;
	if (term_is_pid(n->other) || term_is_port(n->other)) {
		w->pid = n->other;
	} else if ((n->other & 3) == 2) {
		w->remote = n->other;
		w->node = node_of(s, n->other);
		if (!w->node)
			return false;
	} else if (term_atom(s->vm, n->other) && name) {
		w->node = n->other;
	} else {
		return false;
	}
	return w->waits = true;
}

bool snap_may_wait(struct snap_stacks *s, const void *raw)
{
	const struct layout_fields *f = &s->vm->lay->f;
	uint32_t state;

	memcpy(&state, (const unsigned char *)raw + f->proc_state, 4);
	return !(state & (STACK_NOT_STILL | PSFLG_ACTIVE | PSFLG_DIRTY_RUNNING)) &&
	       (word(raw, f->proc_monitors) || word(raw, f->proc_links));
}

/* -1: not known. */
static int waits_by_ref(struct snap_stacks *s, const struct stack *st, const struct kept *k,
			struct waits_for *w)
{
	struct node n, hit = { 0 };
	int found, hits = 0;
	size_t i;

	for (i = 0; i < k->nrefs; i++) {
		found = find_monitor(s, st->monitors, &k->numbers[i], &n);
		if (found < 0)
			return -1;
		if (found && !hits++) {
			hit = n;
			w->ref = k->refs[i];
		}
	}
	if (hits != 1)
		w->ref = 0;
	if (hits == 1 && !set_target(s, &hit, w))
		return -1;
	return hits;
}

void snap_waits_for(struct snap_stacks *s, const struct stack *st, struct waits_for *w)
{
	const struct code_at *at;
	struct kept k;
	struct node n;
	int found;

	memset(w, 0, sizeof(*w));
	if (st->status != STACK_OK || !st->nframes || !s->code || !s->monitors_known)
		return;
	w->known = true;
	at = st->frames[0].at;
	if (st->state & (PSFLG_ACTIVE | PSFLG_DIRTY_RUNNING) || st->nx || !at->known ||
	    is_server(s, at))
		return;
	if (!st->monitors && !is_start(s, at))
		return;
	w->in = at;
	look_at_registers(s, st, &k);
	if (is_start(s, at) && k.npids == 1) {
		w->pid = k.pids[0];
		w->waits = true;
		return;
	}
	found = st->monitors ? waits_by_ref(s, st, &k, w) : 0;
	if (!found && k.npids && st->monitors) {
		found = find_target(s, st->monitors, k.pids, k.npids, &n);
		if (found > 0 && !set_target(s, &n, w))
			found = -1;
	}
	if (found < 0) {
		memset(w, 0, sizeof(*w));
		return;
	}
	if (!w->waits)
		w->in = NULL;
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
