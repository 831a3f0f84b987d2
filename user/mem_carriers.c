// SPDX-License-Identifier: GPL-2.0-only
/*
 * Addresses of all carriers, from the lists that they are on: each instance's of multi-block and
 * single-block carriers, its carriers that wait to be destroyed, and the pools' rings.
 *
 * All lists are walked side by side, so that a step of all of them is one read.
 */
#include "mem_map.h"

#include <stdlib.h>
#include <string.h>

#define CARRIER_BYTES 1024
#define SBC_BYTES 32 /* all that there is of a Carrier_t in one with a single block */
#define MAX_CARRIERS (8u << 20)
#define TRIES 4

enum list { LIST_MBC, LIST_SBC, LIST_DC, LIST_RING };

struct walk {
	enum list list;
	uint32_t inst;
	vmaddr_t at;	/* the next carrier; 0: done */
	vmaddr_t head;	/* of a ring: its sentinel */
	struct mem_ranges found;
	unsigned int tries;
	bool failed;
};

struct walks {
	struct vm *vm;
	const struct snap_mem *m;
	struct walk *v;
	size_t n;
	size_t carriers, longest; /* so many are counted, and more: no list is longer */
};

void mem_ranges_add(struct mem_ranges *r, const struct mem_range *one)
{
	if (r->n == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 16;
		r->v = xrealloc(r->v, r->cap * sizeof(*r->v));
	}
	r->v[r->n++] = *one;
}

static vmaddr_t carrier_of(const struct layout_fields *f, const struct walk *w, uint64_t link)
{
	link &= ~3ULL;
	return w->list != LIST_RING ? link : link == w->head ? 0 : link - f->carrier_cpool;
}

/* To the first carrier of a list. */
static void begin(struct walks *ws, struct walk *w)
{
	const struct layout_fields *f = &ws->vm->lay->f;
	vmaddr_t allctr = ws->m->insts[w->inst].in->allctr, at;
	uint64_t first = 0;

	at = w->list == LIST_MBC ? allctr + f->allctr_mbc_list :
	     w->list == LIST_SBC ? allctr + f->allctr_sbc_list :
	     w->list == LIST_DC ? allctr + f->allctr_dc_list :
				  w->head + f->carrier_pool_next - f->carrier_cpool;
	w->failed = !reader_u64(&ws->vm->rd, at, &first);
	w->at = w->failed ? 0 : carrier_of(f, w, first);
	ws->carriers -= w->found.n;
	w->found.n = 0;
}

static void again(struct walks *ws, struct walk *w)
{
	if (++w->tries < TRIES)
		begin(ws, w);
	else
		w->at = 0, w->failed = true;
}

static uint32_t inst_of(const struct walks *ws, vmaddr_t allctr, uint32_t guess)
{
	size_t i;

	if (ws->m->insts[guess].in->allctr == allctr)
		return guess;
	for (i = 0; i < ws->m->ninsts && ws->m->insts[i].in->allctr != allctr; i++)
		;
	return i;
}

/* One carrier was copied: take it, and go to the next. */
static void step(struct walks *ws, struct walk *w, const unsigned char *raw)
{
	const struct layout_fields *f = &ws->vm->lay->f;
	uint64_t owner = raw_u64(raw, f->carrier_allctr) & ~7ULL;
	uint64_t chdr = raw_u64(raw, f->carrier_chdr);
	struct mem_range r = { .start = w->at, .end = w->at + (chdr & ~7ULL), .kind = PART_USED,
			       .inst = w->inst };

	if (w->list == LIST_RING || w->list == LIST_DC) {
		/* who made it counts it, whoever used it last */
		r.inst = inst_of(ws, raw_u64(raw, f->carrier_creator), w->inst);
		r.pooled = w->list == LIST_RING;
	} else if (owner != ws->m->insts[w->inst].in->allctr) {
		r.inst = ws->m->ninsts;
	}
	if (r.inst >= ws->m->ninsts || r.end <= r.start || r.end >> 47 ||
	    w->found.n >= ws->longest || ++ws->carriers > MAX_CARRIERS) {
		again(ws, w);
		return;
	}
	/* in one with a single block, all behind its head is that block's, but for the last page */
	r.used = w->list == LIST_SBC ? raw_u64(raw, SBC_BYTES) & ~7ULL :
				       raw_u64(raw, f->carrier_blocks_size);
	if (r.used > r.end - r.start)
		r.used = r.end - r.start;
	mem_ranges_add(&w->found, &r);
	w->at = carrier_of(f, w, raw_u64(raw, w->list == LIST_RING ? f->carrier_pool_next :
								  f->carrier_next));
}

static void walk_all(struct walks *ws)
{
	const struct layout_fields *f = &ws->vm->lay->f;
	size_t len = f->carrier_blocks_size + 8, i, k, n;
	struct read_req *reqs = xcalloc(ws->n + 1, sizeof(*reqs));
	unsigned char *buf = xcalloc(ws->n + 1, CARRIER_BYTES);
	size_t *who = xcalloc(ws->n + 1, sizeof(*who));

	for (;;) {
		for (i = n = 0; i < ws->n; i++) {
			if (!ws->v[i].at)
				continue;
			who[n] = i;
			reqs[n] = (struct read_req){
				.addr = ws->v[i].at, .buf = buf + n * CARRIER_BYTES,
				.len = ws->v[i].list == LIST_SBC ? SBC_BYTES + 8 : len,
			};
			n++;
		}
		if (!n || ws->vm->rd.lost)
			break;
		reader_batch(&ws->vm->rd, reqs, n);
		for (k = 0; k < n; k++)
			if (reqs[k].ok)
				step(ws, &ws->v[who[k]], reqs[k].buf);
			else
				again(ws, &ws->v[who[k]]);
	}
	free(reqs);
	free(buf);
	free(who);
}

static void add_walk(struct walks *ws, enum list list, uint32_t inst, vmaddr_t head)
{
	ws->v[ws->n] = (struct walk){ .list = list, .inst = inst, .head = head };
	begin(ws, &ws->v[ws->n++]);
}

static void add_walks(struct walks *ws)
{
	const struct layout_fields *f = &ws->vm->lay->f;
	uint64_t *heads = xcalloc(ws->m->ninsts + 1, sizeof(*heads));
	size_t i, k, nheads = 0;
	uint64_t head;

	for (i = 0; i < ws->m->ninsts; i++) {
		if (!ws->m->insts[i].read)
			continue;
		add_walk(ws, LIST_MBC, i, 0);
		add_walk(ws, LIST_SBC, i, 0);
		if (!ws->m->insts[i].pooled)
			continue;
		add_walk(ws, LIST_DC, i, 0);
		if (!reader_u64(&ws->vm->rd, ws->m->insts[i].in->allctr + f->allctr_sentinel,
				&head))
			continue;
		for (k = 0; k < nheads && heads[k] != head; k++)
			;
		if (k < nheads)
			continue;
		heads[nheads++] = head;
		add_walk(ws, LIST_RING, i, head);
	}
	free(heads);
}

/* A list that moves, or is none, may go round and round. */
static size_t longest(const struct snap_mem *m)
{
	uint64_t n = 0;
	size_t i, k;

	for (i = 0; i < m->ninsts; i++)
		for (k = 0; k < MEM_KINDS; k++)
			n += m->insts[i].of[k].carriers.now;
	return n < MAX_CARRIERS / 4 ? 2 * n + 4096 : MAX_CARRIERS;
}

/* What is looked at of a carrier lies in what is copied. */
static bool layout_fits(const struct layout_fields *f)
{
	const unsigned int head[] = { f->carrier_chdr, f->carrier_next, f->carrier_allctr };
	const unsigned int more[] = { f->carrier_creator, f->carrier_pool_next,
				      f->carrier_blocks_size };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(head); i++)
		if (head[i] > SBC_BYTES - 8)
			return false;
	for (i = 0; i < ARRAY_SIZE(more); i++)
		if (more[i] > CARRIER_BYTES - 8 || more[i] > f->carrier_blocks_size)
			return false;
	return true;
}

bool mem_carriers(struct vm *vm, const struct snap_mem *m, struct mem_ranges *r, uint64_t *moved)
{
	struct walks ws = { .vm = vm, .m = m, .longest = longest(m) };
	uint64_t failed = 0, faults = vm->rd.faults;
	size_t i, k;

	*moved = 0;
	if (!layout_fits(&vm->lay->f))
		return false;
	ws.v = xcalloc(4 * m->ninsts + 1, sizeof(*ws.v));
	add_walks(&ws);
	walk_all(&ws);
	for (i = 0; i < ws.n; i++) {
		failed += ws.v[i].failed;
		for (k = 0; k < ws.v[i].found.n; k++)
			mem_ranges_add(r, &ws.v[i].found.v[k]);
		free(ws.v[i].found.v);
	}
	free(ws.v);
	/* a link that went away while it was followed is no fault: the list was read again */
	vm->rd.faults = faults;
	*moved = failed;
	return true;
}
