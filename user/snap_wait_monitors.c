// SPDX-License-Identifier: GPL-2.0-only
/*
 * The monitors of a process, looked up by reference or by target: whom it waits for.
 *
 * They are a tree by reference (erl_monitor_link.c): keys are compared as bytes, and immediate keys
 * (nodes, suspended processes) come before all references.  A node of the tree, the record that it
 * begins, and the reference in it lie side by side, and are copied in one read.
 */
#include "snap_stack_private.h"
#include "snap_wait.h"
#include "term.h"

#include <string.h>

/* ERTS_ML_FLG_*; from 28 on behind seven bits for the type and an alias, in a word of 32 bits */
#define ML_TYPE_BITS 7
#define ML_FLG_TARGET 1u
#define ML_FLG_IN_TABLE 2u
#define ML_FLG_NAME 8u
#define HEADER_REF 0x10
#define MAX_DEPTH 128  /* of a balanced tree of monitors */
#define MAX_WALK 4096  /* monitors that are looked through for a pid */

#define NODE_BYTES 64

struct node {
	vmaddr_t addr;
	uint64_t parent, right, left, other;
	uint16_t offset, key_offset;
	uint32_t flags;
	eterm_t key;
	bool is_ref;
	struct ref_number number;
};

/* One struct after the other, as always; what follows is proven by each node's content. */
static bool offsets_fit(const struct layout_fields *f)
{
	return f->ml_right == 8 && f->ml_left == 16 && f->ml_offset == f->ml_other + 8 &&
	       (f->ml_other == 24 || f->ml_other == 32) && f->ml_size == f->ml_offset + 8 &&
	       f->ml_key_offset == f->ml_offset + 2 && f->ml_flags == f->ml_offset + 4 &&
	       f->ml_size <= NODE_BYTES && f->mondata_size + 64 <= MONITOR_BLOCK &&
	       f->mondata_origin == 0 &&
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

bool wait_ref_number(const struct layout_fields *f, const uint64_t *words, struct ref_number *out)
{
	if ((words[0] & 0x3f) != HEADER_REF || words[0] >> 6 < 2 || words[0] >> 6 > 4)
		return false;
	memcpy(out->n, (const unsigned char *)words + f->oref_num, sizeof(out->n));
	return true;
}

/* The bytes at an address: of the block where it covers them, else read. */
static bool bytes_at(struct snap_stacks *s, const struct monitor_block *b, vmaddr_t addr, void *buf,
		     size_t len)
{
	if (b->ok && addr - b->addr < sizeof(b->raw) && len <= sizeof(b->raw) - (addr - b->addr)) {
		memcpy(buf, b->raw + (addr - b->addr), len);
		return true;
	}
	return reader_copy(&s->vm->rd, addr, buf, len);
}

/*
 * An origin node: its key stands in the record that it begins, ErtsMonitorData.ref, or is what it
 * monitors.  @block is used where it is of this node, else filled.
 */
static bool read_node(struct snap_stacks *s, vmaddr_t addr, struct monitor_block *block,
		      struct node *n)
{
	const struct layout_fields *f = &s->vm->lay->f;
	unsigned char raw[NODE_BYTES];
	uint64_t ref[3], faults;

	memset(n, 0, sizeof(*n));
	if (addr & 7)
		return false;
	if (!block->ok || block->addr != addr) {
		faults = s->vm->rd.faults;
		block->addr = addr;
		block->ok = reader_copy(&s->vm->rd, addr, block->raw, sizeof(block->raw));
		/* it need not all be there; what is needed is read again, below */
		s->vm->rd.faults = faults;
	}
	if (!bytes_at(s, block, addr, raw, f->ml_size))
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
	if (n->key_offset == f->ml_other)
		n->key = n->other;
	else if (n->key_offset + n->offset != f->mondata_ref ||
		 !bytes_at(s, block, addr + n->key_offset, &n->key, 8))
		return false;
	if ((n->key & 3) == 2) {
		if (!bytes_at(s, block, n->key & ~7ULL, ref, sizeof(ref)))
			return false;
		n->is_ref = wait_ref_number(f, ref, &n->number);
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
static int find_ref(struct snap_stacks *s, vmaddr_t root, const struct ref_number *ref,
		    struct monitor_block *block, struct node *n)
{
	vmaddr_t at = root, parent = 0;
	int i, order;

	for (i = 0; i < MAX_DEPTH; i++) {
		if (!at)
			return 0;
		if (!read_node(s, at, block, n) || (i && n->parent != parent))
			return -1;
		order = compare(ref, n);
		if (!order)
			return n->flags & ML_FLG_TARGET ? 0 : 1;
		parent = at;
		at = order < 0 ? n->left : n->right;
	}
	return -1;
}

/* Whether it set a monitor on one of these, and one alone; as find_ref(). */
static int find_target(struct snap_stacks *s, vmaddr_t root, const eterm_t *pids, size_t npids,
		       struct monitor_block *block, struct node *found)
{
	vmaddr_t stack[MAX_DEPTH];
	size_t depth = 0, walked, i;
	struct node n;
	int hits = 0;

	stack[depth++] = root;
	for (walked = 0; depth && walked < MAX_WALK; walked++) {
		if (!read_node(s, stack[--depth], block, &n) || depth + 2 > MAX_DEPTH)
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
 * What the monitor says of the other end: a pid; or, of a process at another node that was
 * monitored by its name, the node, and the name behind the record.  Not of a node or of the clock.
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

int wait_by_refs(struct snap_stacks *s, vmaddr_t root, const struct wait_refs *refs,
		 struct monitor_block *block, struct waits_for *w)
{
	struct monitor_block b = *block;
	struct node n, hit = { 0 };
	int found, hits = 0;
	size_t i;

	for (i = 0; i < refs->n; i++, b = *block) {
		found = find_ref(s, root, &refs->number[i], &b, &n);
		if (found < 0)
			return -1;
		if (found && !hits++) {
			hit = n;
			w->ref = refs->term[i];
		}
	}
	if (hits != 1)
		w->ref = 0;
	if (hits == 1 && !set_target(s, &hit, w))
		return -1;
	return hits;
}

int wait_by_pids(struct snap_stacks *s, vmaddr_t root, const eterm_t *pids, size_t npids,
		 struct monitor_block *block, struct waits_for *w)
{
	struct monitor_block b = *block;
	struct node n;
	int found = find_target(s, root, pids, npids, &b, &n);

	return found > 0 && !set_target(s, &n, w) ? -1 : found;
}
