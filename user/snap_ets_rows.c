// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the rows of a table keep alive: a walk of its buckets or of its tree, and of each row's
 * chain of off-heap terms.
 *
 * Rows are read by the thousand in one call, a frontier at a time: all buckets of a segment, then
 * all that come next in them; trees depth first, many branches at once.  Nothing recurses.  The
 * table may change under it: a row of a bucket must hash to it, a row is a tuple that has a key,
 * and in the end the rows must be as many as the table counts.
 */
#include "snap_ets_private.h"

#include <stdlib.h>
#include <string.h>

#define ROW_BYTES 64
#define NODE_BYTES 256 /* of a node of a CA tree */
#define BATCH 1024
#define SEGMENT 2048	    /* buckets of all segments but the first, of which it has 256 */
#define FIRST_SEGMENT 256
#define BUCKETS_A_ROW 64     /* empty ones that cost as much as a row */
#define PENDING_MAX (1u << 20) /* of a tree: log n times BATCH */
/* things that were no rows, and a 16th of all, before a walk is given up */
#define ODD_MAX 1024
#define BIN_BYTES 40

struct walk {
	struct snap_ets *s;
	struct ets_table *t;
	struct ets_budget *budget;
	size_t len;	    /* of a row, to be read */
	unsigned int at;    /* of the DbTerm in it */
	uint64_t rows, dead; /* dead: deleted, but kept while the table is fixed */
	uint64_t odd, odd_max; /* what moved, or was no row */
	bool over;	    /* budget, or too odd */
	vmaddr_t oh[BATCH]; /* off-heap terms to be looked at */
	size_t noh;
	vmaddr_t *bins;
	size_t nbins, cap;
};

/* --- off-heap chains -------------------------------------------------------------------------- */

static bool off_heap_kind(uint64_t header)
{
	switch (header & 0x3f) {
	case 0x10: case 0x14: case 0x04: case 0x20: case 0x28: case 0x30: case 0x34: case 0x38:
		return true;
	default:
		return false;
	}
}

static void odd(struct walk *w)
{
	w->over |= ++w->odd > w->odd_max;
}

static void add_bin(struct walk *w, vmaddr_t bin)
{
	if (w->nbins >= w->budget->binaries) {
		w->over = true;
		return;
	}
	if (w->nbins == w->cap) {
		w->cap = w->cap ? 2 * w->cap : 1024;
		w->bins = xrealloc(w->bins, w->cap * sizeof(*w->bins));
	}
	w->bins[w->nbins++] = bin;
}

/* The chains of many rows, a step of each at a time.  In compressed rows they are not aligned. */
static void follow_off_heap(struct walk *w)
{
	const struct layout_fields *f = &w->s->vm->lay->f;
	const struct release_facts *r = w->s->vm->lay->facts;
	struct read_req req[BATCH];
	uint64_t node[BATCH][4];
	size_t i, n, left;

	for (left = w->noh; left && !w->over; left = n) {
		for (i = 0; i < left; i++)
			req[i] = (struct read_req){ w->oh[i], node[i], r->bin_node_bytes, false };
		reader_batch(&w->s->vm->rd, req, left);
		for (i = n = 0; i < left; i++) {
			if (!req[i].ok || !off_heap_kind(node[i][0]) || !w->budget->rows) {
				w->over |= !w->budget->rows;
				odd(w);
				continue;
			}
			w->budget->rows--;
			if (node[i][0] == r->bin_header)
				add_bin(w, node[i][f->oh_val / 8 & 3]);
			if (node[i][f->oh_next / 8 & 3])
				w->oh[n++] = node[i][f->oh_next / 8 & 3];
		}
	}
	w->noh = 0;
}

/* --- rows ------------------------------------------------------------------------------------- */

static uint64_t row_word(const struct walk *w, const unsigned char *row, unsigned int off)
{
	uint64_t v = 0;

	if (off <= w->len - 8)
		memcpy(&v, row + off, 8);
	return v;
}

/* A tuple with the key in it, and what it has off the heap. */
static bool take_row(struct walk *w, const unsigned char *row)
{
	const struct layout_fields *f = &w->s->vm->lay->f;
	uint64_t tuple = row_word(w, row, w->at + f->dbterm_tpl);
	uint64_t first = row_word(w, row, w->at + f->dbterm_first_oh);

	if (tuple & 0x3f || tuple >> 6 < w->t->keypos || tuple >> 32)
		return false;
	w->rows++;
	if (first) {
		w->oh[w->noh++] = first;
		if (w->noh == BATCH)
			follow_off_heap(w);
	}
	return true;
}

/* Reads rows; false when there is to be an end of it. */
static bool read_rows(struct walk *w, const vmaddr_t *at, size_t n, struct read_req *req,
		      unsigned char (*rows)[ROW_BYTES])
{
	size_t i;

	if (w->budget->rows < n) {
		w->over = true;
		return false;
	}
	w->budget->rows -= n;
	for (i = 0; i < n; i++)
		req[i] = (struct read_req){ at[i], rows[i], w->len, false };
	reader_batch(&w->s->vm->rd, req, n);
	return true;
}

/* --- hash tables ------------------------------------------------------------------------------ */

struct chain {
	vmaddr_t at;
	uint64_t bucket;
};

/* As hash_to_ix(): a table that grows splits a bucket at a time. */
static bool in_bucket(const struct ets_table *t, uint32_t hash, uint64_t bucket)
{
	uint64_t mask = FIRST_SEGMENT - 1, ix;

	while (mask + 1 < t->nactive)
		mask = 2 * mask + 1;
	ix = hash & mask;
	if (ix >= t->nactive)
		ix &= mask >> 1;
	return ix == bucket;
}

/* Deleted rows of a fixed table: a word of their own until 27, then the upmost bit of the hash. */
static bool is_dead(const struct walk *w, uint64_t hvalue)
{
	return w->s->vm->otp < 28 ? hvalue >> 32 & 1 : hvalue >> 63;
}

static void follow_chains(struct walk *w, struct chain *c, size_t n)
{
	static unsigned char rows[BATCH][ROW_BYTES];
	const struct layout_fields *f = &w->s->vm->lay->f;
	struct read_req req[BATCH];
	vmaddr_t at[BATCH];
	uint64_t hash;
	size_t i, left, from, k, base = w->t->nactive;

	for (; n && !w->over; n = left) {
		for (from = left = 0; from < n && !w->over; from += k) {
			k = n - from < BATCH ? n - from : BATCH;
			for (i = 0; i < k; i++)
				at[i] = c[from + i].at;
			if (!read_rows(w, at, k, req, rows))
				return;
			for (i = 0; i < k; i++) {
				hash = row_word(w, rows[i], f->hterm_hvalue);
				/* of a table that grows or shrinks meanwhile nothing can be said */
				if (!req[i].ok || at[i] & 7 || !base ||
				    !in_bucket(w->t, hash, c[from + i].bucket) ||
				    !take_row(w, rows[i])) {
					odd(w);
					continue;
				}
				w->dead += is_dead(w, hash);
				c[left] = c[from + i];
				c[left].at = row_word(w, rows[i], f->hterm_next);
				left += c[left].at != 0;
			}
		}
	}
}

static void walk_hash(struct walk *w)
{
	static uint64_t heads[SEGMENT];
	static struct chain chains[SEGMENT];
	const struct ets_table *t = w->t;
	struct reader *rd = &w->s->vm->rd;
	uint64_t bucket, seg, n, i, k;
	const struct layout_fields *f = &w->s->vm->lay->f;

	/* the first segment table lies in the table, right behind the pointer to it */
	if (t->nactive < FIRST_SEGMENT || t->nactive > t->nslots ||
	    (t->nslots - FIRST_SEGMENT) % SEGMENT || !t->nsegs ||
	    t->nsegs < 1 + (t->nslots - FIRST_SEGMENT) / SEGMENT ||
	    (t->nsegs == 1 && t->root != t->addr + f->hash_segtab + 8)) {
		w->over = true;
		return;
	}
	for (bucket = 0; bucket < t->nactive && !w->over; bucket += n) {
		n = bucket ? SEGMENT : FIRST_SEGMENT;
		if (n > t->nactive - bucket)
			n = t->nactive - bucket;
		i = (bucket + SEGMENT - FIRST_SEGMENT) / SEGMENT;
		/* empty buckets take their time, too: there may be said to be four billions */
		if (w->budget->rows < n / BUCKETS_A_ROW) {
			w->over = true;
			return;
		}
		w->budget->rows -= n / BUCKETS_A_ROW;
		if (!reader_u64(rd, t->root + 8 * i, &seg) || seg & 7 ||
		    !reader_copy(rd, seg, heads, 8 * (bucket ? SEGMENT : n))) {
			w->over = true;
			return;
		}
		/* a segment begins with the bucket whose number is a multiple of its size */
		for (i = k = 0; i < n; i++)
			if (heads[(bucket + i) & (SEGMENT - 1)])
				chains[k++] = (struct chain){
					heads[(bucket + i) & (SEGMENT - 1)], bucket + i
				};
		follow_chains(w, chains, k);
	}
}

/* --- trees ------------------------------------------------------------------------------------ */

struct pending {
	vmaddr_t *v;
	size_t n, cap;
};

static void push(struct walk *w, struct pending *p, vmaddr_t at)
{
	if (!at)
		return;
	if (at & 7 || p->n == PENDING_MAX) {
		odd(w);
		return;
	}
	if (p->n == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 4096;
		p->v = xrealloc(p->v, p->cap * sizeof(*p->v));
	}
	p->v[p->n++] = at;
}

static void walk_tree(struct walk *w, vmaddr_t *roots, size_t n)
{
	static unsigned char rows[BATCH][ROW_BYTES];
	const struct layout_fields *f = &w->s->vm->lay->f;
	struct read_req req[BATCH];
	struct pending p = { 0 };
	vmaddr_t at[BATCH];
	size_t i, k;

	for (i = 0; i < n; i++)
		push(w, &p, roots[i]);
	while (p.n && !w->over) {
		k = p.n < BATCH ? p.n : BATCH;
		p.n -= k;
		memcpy(at, p.v + p.n, k * sizeof(*at));
		if (!read_rows(w, at, k, req, rows))
			break;
		for (i = 0; i < k; i++) {
			if (!req[i].ok || !take_row(w, rows[i])) {
				odd(w);
				continue;
			}
			push(w, &p, row_word(w, rows[i], f->tterm_left));
			push(w, &p, row_word(w, rows[i], f->tterm_right));
		}
	}
	free(p.v);
}

/*
 * A tree of route nodes with a tree of rows at each leaf, a base node.  Both begin with whether it
 * is a base node; what comes before their pointers is a lock each, and what is needed to free them
 * later (erl_db_catree.h).
 */
static void walk_catree(struct walk *w)
{
	const struct layout_fields *f = &w->s->vm->lay->f;
	const unsigned int base_root = 8 + f->table_rwlock_size + 16;
	const unsigned int route_left = 8 + 32 + f->table_fixlock_size + 8;
	unsigned char node[NODE_BYTES];
	struct pending routes = { 0 }, roots = { 0 };
	uint64_t word[2];
	size_t len;
	vmaddr_t at;

	len = (base_root > route_left ? base_root : route_left) + 16;
	if (len > NODE_BYTES || f->table_rwlock_size > NODE_BYTES ||
	    f->table_fixlock_size > NODE_BYTES) {
		w->over = true;
		return;
	}
	push(w, &routes, w->t->root);
	while (routes.n && !w->over) {
		at = routes.v[--routes.n];
		/* a route node's end may lie before that of a base node */
		if (!w->budget->rows || !reader_copy(&w->s->vm->rd, at, node, len)) {
			w->over |= !w->budget->rows;
			odd(w);
			continue;
		}
		w->budget->rows--;
		if (node[0] > 1) {
			odd(w);
			continue;
		}
		memcpy(word, node + (node[0] ? base_root : route_left), sizeof(word));
		push(w, node[0] ? &roots : &routes, word[0]);
		if (!node[0])
			push(w, &routes, word[1]);
	}
	walk_tree(w, roots.v, roots.n);
	free(routes.v);
	free(roots.v);
}

/* --- binaries --------------------------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
	vmaddr_t x = *(const vmaddr_t *)a, y = *(const vmaddr_t *)b;

	return x < y ? -1 : x > y;
}

static size_t unique(vmaddr_t *v, size_t n)
{
	size_t i, k = 0;

	if (n)
		qsort(v, n, sizeof(*v), by_address);
	for (i = 0; i < n; i++)
		if (!i || v[i] != v[i - 1])
			v[k++] = v[i];
	return k;
}

static bool has_blocks(const struct vm *vm)
{
	size_t i;

	for (i = 0; i < vm->ninsts; i++)
		if (!strcmp(vm->allocator_name[vm->insts[i].alloc_no], "binary_alloc"))
			return true;
	return false;
}

/*
 * One that was freed since has another's bytes: nobody refers to it, or it is larger than the block
 * that it is in, whose header comes before it (Block_t; the allocator may be malloc, which has
 * none).
 */
static bool is_binary(const struct layout_fields *f, const unsigned char *raw, bool blocks,
		      uint64_t *bytes)
{
	uint64_t head, refc, size;

	memcpy(&head, raw, 8);
	memcpy(&refc, raw + 8 + f->bin_refc, 8);
	memcpy(bytes, raw + 8 + f->bin_orig_size, 8);
	if (!refc || refc >= 1ULL << 40 || *bytes >= 1ULL << 47)
		return false;
	size = (head & 7) == 7 ? head & 0x7ffffffffffffff8ULL : head & 0xfffffffff8ULL;
	return !blocks || (((head & 7) == 7 || !(head & 1)) && *bytes + f->bin_data + 8 <= size);
}

static void sum_binaries(struct walk *w, void (*seen)(void *arg, vmaddr_t binary, uint64_t bytes),
			 void *arg)
{
	static unsigned char raw[BATCH][BIN_BYTES];
	const struct layout_fields *f = &w->s->vm->lay->f;
	bool blocks = has_blocks(w->s->vm);
	struct read_req req[BATCH];
	uint64_t bytes;
	size_t i, k, from;

	if (f->bin_refc > BIN_BYTES - 16 || f->bin_orig_size > BIN_BYTES - 16) {
		w->over = true;
		return;
	}
	w->nbins = unique(w->bins, w->nbins);
	for (from = 0; from < w->nbins; from += k) {
		k = w->nbins - from < BATCH ? w->nbins - from : BATCH;
		for (i = 0; i < k; i++)
			req[i] = (struct read_req){ w->bins[from + i] - 8, raw[i], BIN_BYTES,
						    false };
		reader_batch(&w->s->vm->rd, req, k);
		for (i = 0; i < k; i++) {
			if (!req[i].ok || !is_binary(f, raw[i], blocks, &bytes)) {
				odd(w);
				continue;
			}
			w->t->binaries++;
			w->t->binary_bytes += bytes;
			if (seen)
				seen(arg, w->bins[from + i], bytes);
		}
	}
}

/* --- a table ---------------------------------------------------------------------------------- */

/*
 * One row's bytes; false when the fields of a DbTerm do not lie one behind the other, as
 * declared.
 */
static bool shape(struct walk *w, const struct layout_fields *f)
{
	bool tree = !(w->t->type & ETS_HASH);
	const unsigned int off[] = {
		w->at + f->dbterm_first_oh, w->at + f->dbterm_tpl,
		tree ? f->tterm_left : f->hterm_next, tree ? f->tterm_right : f->hterm_hvalue,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(off); i++) {
		if (off[i] > ROW_BYTES - 8)
			return false;
		if (off[i] + 8 > w->len)
			w->len = off[i] + 8;
	}
	return f->dbterm_size == f->dbterm_first_oh + 8 && f->dbterm_tpl == f->dbterm_size + 8 &&
	       (!tree || f->tterm_right == f->tterm_left + 8);
}

/*
 * As many as the table counts.  Where rows are replaced or come and go meanwhile, nearly: that is
 * for tables whose rows were proven to be where they are looked for.
 */
static bool all_seen(const struct walk *w, uint64_t before, uint64_t after, bool proven)
{
	uint64_t rows = w->rows - w->dead, low = before < after ? before : after,
		 high = before < after ? after : before, slack;

	if (w->over)
		return false;
	if (before == after && rows == before && !w->odd)
		return true;
	slack = before == after ? before / 64 : high - low + high / 16 + 16;
	return proven && w->odd <= slack && rows + slack >= low && rows <= high + slack;
}

void snap_ets_binaries(struct snap_ets *s, struct ets_table *t, struct ets_budget *budget,
		       void (*seen)(void *arg, vmaddr_t binary, uint64_t bytes), void *arg)
{
	const struct layout_fields *f = &s->vm->lay->f;
	bool tree = !(t->type & ETS_HASH);
	struct walk *w = xcalloc(1, sizeof(*w));
	struct table_copy c;
	uint64_t after, bytes;
	enum ets_proof kind;

	kind = !tree ? ETS_PROVEN_HASH :
	       t->type & ETS_ORDERED_SET ? ETS_PROVEN_TREE : ETS_PROVEN_CATREE;
	w->s = s;
	w->t = t;
	w->budget = budget;
	w->odd_max = ODD_MAX + t->size / 16;
	w->at = tree ? f->tterm_dbterm : f->hterm_dbterm;
	t->walked = false;
	t->rows_seen = t->binaries = t->binary_bytes = 0;
	if (t->counted && shape(w, f)) {
		if (!tree)
			walk_hash(w);
		else if (t->type & ETS_ORDERED_SET)
			walk_tree(w, &t->root, 1);
		else
			walk_catree(w);
		follow_off_heap(w);
		sum_binaries(w, seen, arg);
		t->rows_seen = w->rows;
		t->walked =
		    table_copy(s->vm, t->addr, &c) && c.alive && c.btid == t->btid &&
		    table_count(s->vm, t->addr, &c, t->decentral, COUNT_TRIES, &after, &bytes) &&
		    all_seen(w, t->size, after, s->proven[kind]);
	}
	free(w->bins);
	free(w);
}
