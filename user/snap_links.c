// SPDX-License-Identifier: GPL-2.0-only
#include "snap_links.h"
#include "term.h"

#include <string.h>

#define DEPTH_MAX 128 /* a red-black tree of 2^64 entries has this depth */
#define NODE_MAX 96

/* ERTS_ML_FLG_*: the same in all releases, but that from 28 on the type stands before them */
#define FLG_TARGET 1
#define FLG_IN_TABLE 2
#define FLG_NAME 8
#define FLG_EXTENDED 16
#define FLG_SPAWN_PENDING 32
#define TYPE_BITS 7
#define TYPE_MASK 15

/* ERTS_MON_TYPE_*, then ERTS_LNK_TYPE_*: 24 put monitors of remote ports and aliases between */
static const signed char types_23[] = {
	ML_PROC, ML_PORT, ML_TIME_OFFSET, ML_DIST_PROC, ML_RESOURCE, ML_NODE, ML_NODES, ML_SUSPEND,
	ML_PROC, ML_PORT, ML_DIST_PROC,
};
static const signed char types_24[] = {
	ML_PROC, ML_PORT, ML_TIME_OFFSET, ML_DIST_PROC, ML_DIST_PORT, ML_RESOURCE, ML_NODE,
	ML_NODES, ML_SUSPEND, ML_ALIAS, ML_PROC, ML_PORT, ML_DIST_PROC,
};

const char *ml_type_name(enum ml_type type)
{
	static const char *const names[] = {
		"process", "port", "time_offset", "dist_process", "dist_port", "resource", "node",
		"nodes", "suspend", "alias",
	};

	return names[type];
}

/* A walk under way. */
struct walk {
	struct vm *vm;
	struct pages *pages;
	uint64_t *budget;
	const struct ml_visitor *v;
	struct ml_sums *sums;
	bool stopped; /* by the visitor */
};

/* A node of a tree or list, copied. */
struct node {
	vmaddr_t addr, parent, left, right, next;
	eterm_t other;
	uint64_t unlinking; /* the word behind it: of links */
	uint16_t offset, flags, type;
};

/* Offsets are what a debug file says, or a test: any of them may lie anywhere. */
static bool node_fits(const struct layout_fields *f)
{
	const uint64_t size = f->ml_size;

	return size + 8 <= NODE_MAX && f->ml_right >= 8 && f->ml_right + 8ULL <= size &&
	       f->ml_left + 8ULL <= size && f->ml_list_next + 8ULL <= size &&
	       f->ml_other + 8ULL <= size && f->ml_offset + 2ULL <= size &&
	       f->ml_flags + 4ULL <= size;
}

static bool read_node(struct walk *w, vmaddr_t addr, struct node *n)
{
	const struct layout_fields *f = &w->vm->lay->f;
	unsigned char raw[NODE_MAX];
	uint32_t wide;

	if (addr & 7 || !pages_copy(w->pages, addr, raw, f->ml_size + 8))
		return false;
	n->addr = addr;
	n->parent = raw_u64(raw, f->ml_right - 8) & ~7ULL;
	n->right = raw_u64(raw, f->ml_right);
	n->left = raw_u64(raw, f->ml_left);
	n->next = raw_u64(raw, f->ml_list_next);
	n->other = raw_u64(raw, f->ml_other);
	n->unlinking = raw_u64(raw, f->ml_size);
	n->offset = raw_u16(raw, f->ml_offset);
	n->flags = raw_u16(raw, f->ml_flags);
	n->type = raw_u16(raw, f->ml_flags + 2);
	if (f->ml_type == LAYOUT_ABSENT) { /* flags has 32 bits, the type among them */
		memcpy(&wide, raw + f->ml_flags, sizeof(wide));
		n->type = wide & TYPE_MASK;
		n->flags = wide >> TYPE_BITS;
	}
	return n->flags & FLG_IN_TABLE && n->offset <= f->ml_size;
}

/* Words of a boxed pid or reference; an immediate has none. */
static bool boxed_words(struct walk *w, eterm_t t, uint64_t *words)
{
	uint64_t header;

	if ((t & 3) == 3)
		return true;
	if ((t & 3) != 2 || !pages_u64(w->pages, t & ~7ULL, &header) || header >> 6 > 64)
		return false;
	*words += (header >> 6) + 1;
	return true;
}

static bool read_u32(struct walk *w, vmaddr_t addr, uint32_t *v)
{
	return pages_copy(w->pages, addr, v, sizeof(*v));
}

/* erts_link_size() */
static bool link_bytes(struct walk *w, const struct node *n, uint64_t *bytes)
{
	const struct layout_fields *f = &w->vm->lay->f;
	bool old = w->vm->otp < 24, far = n->flags & FLG_EXTENDED;
	vmaddr_t data = n->addr - n->offset;
	uint64_t header;
	uint32_t refc = 1;

	*bytes = old ? f->linkdata_size : f->ml_size;
	if (far) {
		/* behind the data: off-heap list, dist entry, from 24 on an id; then the pid */
		if (!pages_u64(w->pages, data + f->linkdata_size + (old ? 16 : 24), &header) ||
		    header >> 6 > 64)
			return false;
		*bytes = f->linkdata_size + (old ? 24 : 32) + 8 * (header >> 6);
	}
	if ((old || far) && (!read_u32(w, data + f->linkdata_size - 8, &refc) || !refc || refc > 2))
		return false;
	*bytes /= refc;
	return true;
}

/* Of an extended one the terms behind it that are its own. */
static bool extended_words(struct walk *w, const struct node *n, enum ml_type type, eterm_t ref,
			   uint64_t *words)
{
	const struct layout_fields *f = &w->vm->lay->f;
	vmaddr_t data = n->addr - n->offset;
	uint64_t origin, target;

	if (type == ML_NODE || type == ML_NODES)
		return true;
	if (!boxed_words(w, ref, words))
		return false;
	if (type != ML_DIST_PROC && type != ML_DIST_PORT)
		return true;
	return pages_u64(w->pages, data + f->mondata_origin + f->ml_other, &origin) &&
	       pages_u64(w->pages, data + f->ml_size + f->ml_other, &target) &&
	       boxed_words(w, origin, words) && boxed_words(w, target, words);
}

/* erts_monitor_size(); a record's two ends are together in one piece of memory. */
static bool monitor_bytes(struct walk *w, const struct node *n, enum ml_type type, eterm_t ref,
			  uint64_t *bytes)
{
	const struct layout_fields *f = &w->vm->lay->f;
	unsigned int ref_words = w->vm->otp < 24 ? 3 : 4; /* sizeof(ErtsRefThing) */
	vmaddr_t data = n->addr - n->offset;
	uint64_t words = 0;
	uint32_t refc;

	if (!read_u32(w, data + f->mondata_ref + 8, &refc) || !refc || refc > 2)
		return false;
	if (type == ML_ALIAS)
		*bytes = f->mondata_size;
	else if (type == ML_SUSPEND)
		*bytes = f->mondata_size + 16;
	else if (!(n->flags & FLG_EXTENDED))
		*bytes = f->mondata_size + 8 * ref_words;
	else if (extended_words(w, n, type, ref, &words))
		*bytes = f->mondata_size + 24 + 8 * words;
	else
		return false;
	*bytes /= refc;
	return true;
}

/* Which of process_info's lists has it: collect_one_*() of erl_bif_info.c. */
static enum ml_kind kind_of(const struct node *n, enum ml_type type)
{
	switch (type) {
	case ML_PROC:
	case ML_PORT:
	case ML_DIST_PROC:
	case ML_DIST_PORT:
		if (n->flags & FLG_TARGET)
			return ML_MONITORED_BY;
		return n->flags & FLG_SPAWN_PENDING ? ML_OTHER : ML_MONITOR;
	case ML_TIME_OFFSET:
		return n->flags & FLG_TARGET ? ML_OTHER : ML_MONITOR;
	case ML_RESOURCE:
		return n->flags & FLG_TARGET ? ML_MONITORED_BY : ML_OTHER;
	default:
		return ML_OTHER;
	}
}

static bool fill_monitor(struct walk *w, const struct node *n, struct ml_entry *e)
{
	const struct layout_fields *f = &w->vm->lay->f;
	vmaddr_t data = n->addr - n->offset, dist;

	if (!pages_u64(w->pages, data + f->mondata_ref, &e->ref) ||
	    !monitor_bytes(w, n, e->type, e->ref, &e->bytes))
		return false;
	e->kind = kind_of(n, e->type);
	if (!(n->flags & FLG_NAME))
		return true;
	/* ErtsMonitorDataExtended: name, off-heap list, ErtsMonLnkDist*: it begins with the node */
	return pages_u64(w->pages, data + f->mondata_size, &e->name) &&
	       pages_u64(w->pages, data + f->mondata_size + 16, &dist) &&
	       (!dist || pages_u64(w->pages, dist, &e->node)) && term_is_atom(e->name);
}

static bool fill_link(struct walk *w, const struct node *n, struct ml_entry *e)
{
	const struct layout_fields *f = &w->vm->lay->f;
	uint64_t unlinking = n->unlinking;

	/* from 24 on a link is there until the other side knows that it is not */
	if (w->vm->otp < 24)
		unlinking = 0;
	else if (n->flags & FLG_EXTENDED &&
		 !pages_u64(w->pages, n->addr - n->offset + f->linkdata_size + 16, &unlinking))
		return false;
	e->kind = unlinking ? ML_OTHER : ML_LINK;
	return link_bytes(w, n, &e->bytes);
}

/* False where it is none: it moved. */
static bool visit(struct walk *w, const struct node *n, bool links)
{
	const signed char *types = w->vm->otp < 24 ? types_23 : types_24;
	size_t ntypes = w->vm->otp < 24 ? sizeof(types_23) : sizeof(types_24);
	struct ml_entry e = { .addr = n->addr, .other = n->other };

	if (n->type >= ntypes || (n->type >= ntypes - 3) != links)
		return false;
	e.type = types[n->type];
	if (!(links ? fill_link(w, n, &e) : fill_monitor(w, n, &e)))
		return false;
	w->sums->bytes += e.bytes;
	w->sums->links += e.kind == ML_LINK;
	w->sums->monitors += e.kind == ML_MONITOR;
	w->sums->monitored_by += e.kind == ML_MONITORED_BY;
	w->sums->others += e.kind == ML_OTHER;
	if (w->v)
		w->stopped = !w->v->entry(w->v->arg, &e);
	return true;
}

static bool spend(struct walk *w)
{
	if (!*w->budget)
		return false;
	--*w->budget;
	return true;
}

/* In order of their keys, as the node's own lists; every node must lead back to its parent. */
static bool walk_tree(struct walk *w, vmaddr_t root, bool links)
{
	struct node stack[DEPTH_MAX], n;
	vmaddr_t at = root, parent = 0;
	size_t depth = 0;

	while ((at || depth) && !w->stopped) {
		while (at) {
			if (depth == DEPTH_MAX || !spend(w) ||
			    !read_node(w, at, &stack[depth]) || stack[depth].parent != parent ||
			    (stack[depth].left && stack[depth].left == stack[depth].right))
				return false;
			parent = at;
			at = stack[depth++].left;
		}
		n = stack[--depth];
		if (!visit(w, &n, links))
			return false;
		at = n.right;
		parent = n.addr;
	}
	return true;
}

/*
 * The list is a ring.  Its first node is the oldest, and often the next to go: a ring that it has
 * just left would be walked round and round, were not one node of it remembered, each time twice as
 * far on.
 */
static bool walk_list(struct walk *w, vmaddr_t first)
{
	uint64_t steps = 0, until = 2;
	struct node n = { .next = first };
	vmaddr_t been = 0;

	if (!first)
		return true;
	do {
		if (!spend(w) || !read_node(w, n.next, &n) || !visit(w, &n, false))
			return false;
		if (++steps == until) {
			until *= 2;
			been = n.addr;
		}
		if (n.next == been)
			return false;
	} while (n.next != first && !w->stopped);
	return true;
}

void snap_links_roots(const struct vm *vm, const unsigned char *process, struct ml_roots *roots)
{
	roots->links = raw_u64(process, vm->lay->f.proc_links);
	roots->monitors = raw_u64(process, vm->lay->f.proc_monitors);
	roots->lt_monitors = raw_u64(process, vm->lay->f.proc_lt_monitors);
}

bool snap_links_port_roots(struct vm *vm, vmaddr_t port, struct ml_roots *roots)
{
	const struct layout_fields *f = &vm->lay->f;

	return reader_u64(&vm->rd, port + f->port_links, &roots->links) &&
	       reader_u64(&vm->rd, port + f->port_monitors, &roots->monitors) &&
	       reader_u64(&vm->rd, port + f->port_lt_monitors, &roots->lt_monitors);
}

void snap_links_walk(struct vm *vm, struct pages *pages, const struct ml_roots *roots,
		     uint64_t *budget, const struct ml_visitor *v, struct ml_sums *sums)
{
	struct walk w = { vm, pages, budget, v, sums, false };

	memset(sums, 0, sizeof(*sums));
	sums->partial = !node_fits(&vm->lay->f) || !walk_tree(&w, roots->links, true);
	if (!w.stopped && !sums->partial)
		sums->partial = !walk_tree(&w, roots->monitors, false);
	if (!w.stopped && !sums->partial)
		sums->partial = !walk_list(&w, roots->lt_monitors);
}
