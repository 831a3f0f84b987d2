// SPDX-License-Identifier: GPL-2.0-only
/*
 * Walks within terms: the pairs of a map, the fields of a native record, sizes.
 */
#include "term_read.h"

#include <stdlib.h>
#include <string.h>

#define FLAT_MAP_MAX 1024 /* the VM's limit is 32 */
#define RECORD_MAX (1u << 16)
#define OTP_EMPTY_TUPLE 25 /* from there on {} is a literal that everyone shares */
#define PROC_BIN_WORDS 6
#define REFC_BITS_WORDS 8
#define SUB_BIN_WORDS 5

enum map_node { MAP_FLAT, MAP_NODE_BITMAP, MAP_HEAD_ARRAY, MAP_HEAD_BITMAP };

static bool word(struct terms *ts, vmaddr_t addr, uint64_t *v)
{
	return pages_u64(ts->pages, addr, v);
}

static enum map_node map_node(uint64_t header)
{
	return header >> 6 & 3;
}

/* The children of a node of a hash map: where they are, and how many. */
static unsigned int hash_children(uint64_t header, vmaddr_t addr, vmaddr_t *first)
{
	*first = addr + (map_node(header) == MAP_NODE_BITMAP ? 8 : 16);
	if (map_node(header) == MAP_HEAD_ARRAY)
		return 16;
	return __builtin_popcount(header >> 16 & 0xffff);
}

static bool flat_open(struct terms *ts, vmaddr_t addr, struct term_map_walk *w)
{
	eterm_t keys;
	uint64_t n;

	w->flat = true;
	return word(ts, addr + 8, &w->size) && w->size <= FLAT_MAP_MAX &&
	       word(ts, addr + 16, &keys) && term_tuple(ts, keys, &n, &w->keys) && n == w->size &&
	       (w->values = addr + 24);
}

bool term_map_open(struct terms *ts, eterm_t map, struct term_map_walk *w)
{
	uint64_t header;
	vmaddr_t addr = term_addr(map);

	memset(w, 0, sizeof(*w));
	w->ts = ts;
	if (term_boxed(ts, map, &header) != KIND_MAP || map_node(header) == MAP_NODE_BITMAP)
		return false;
	if (map_node(header) == MAP_FLAT)
		return flat_open(ts, addr, w);
	w->stack[0].n = hash_children(header, addr, &w->stack[0].addr);
	w->depth = 1;
	return word(ts, addr + 8, &w->size);
}

/* A child that is no pair: a node below, or pairs whose keys have the same hash. */
static bool hash_enter(struct term_map_walk *w, eterm_t child)
{
	uint64_t header, n;
	vmaddr_t first;

	if (w->depth == TERM_MAP_DEPTH)
		return false;
	if (term_tuple(w->ts, child, &n, &first)) {
		if (n < 2)
			return false;
	} else if (term_boxed(w->ts, child, &header) == KIND_MAP &&
		   map_node(header) == MAP_NODE_BITMAP) {
		n = hash_children(header, term_addr(child), &first);
		/* nodes that all lead to one without pairs: 16^40 ways to find none */
		if (!n)
			return false;
	} else {
		return false;
	}
	w->stack[w->depth].addr = first;
	w->stack[w->depth].n = n;
	w->stack[w->depth++].at = 0;
	return true;
}

static bool hash_next(struct term_map_walk *w, eterm_t *key, eterm_t *value)
{
	uint64_t pair[2];
	eterm_t child;

	while (w->depth) {
		if (w->stack[w->depth - 1].at == w->stack[w->depth - 1].n) {
			w->depth--;
			continue;
		}
		if (!word(w->ts, w->stack[w->depth - 1].addr + 8 * w->stack[w->depth - 1].at++,
			  &child))
			break;
		if (!term_is_cons(child)) {
			if (hash_enter(w, child))
				continue;
			break;
		}
		if (w->at == w->size || !pages_copy(w->ts->pages, term_addr(child), pair, 16))
			break;
		w->at++;
		*key = pair[0];
		*value = pair[1];
		return true;
	}
	w->bad = w->depth || w->at != w->size;
	return false;
}

bool term_map_next(struct term_map_walk *w, eterm_t *key, eterm_t *value)
{
	if (!w->flat)
		return hash_next(w, key, value);
	if (w->at == w->size)
		return false;
	w->bad = !word(w->ts, w->keys + 8 * w->at, key) ||
		 !word(w->ts, w->values + 8 * w->at, value);
	w->at++;
	return !w->bad;
}

bool term_map_get(struct terms *ts, eterm_t map, eterm_t key, eterm_t *value)
{
	struct term_map_walk w;
	eterm_t k;

	if (!term_map_open(ts, map, &w) || !w.flat)
		return false;
	while (term_map_next(&w, &k, value))
		if (k == key)
			return true;
	return false;
}

bool term_record(struct terms *ts, eterm_t t, struct term_record *r)
{
	uint64_t header, def_header, def[6];
	eterm_t definition;
	uint64_t n;

	if (term_boxed(ts, t, &header) != KIND_RECORD || !(header >> 6) ||
	    !word(ts, term_addr(t) + 8, &definition) || !term_is_boxed(definition) ||
	    !pages_copy(ts->pages, term_addr(definition), def, sizeof(def)))
		return false;
	def_header = def[0];
	r->module = def[3];
	r->name = def[4];
	r->n = (header >> 6) - 1;
	r->values = term_addr(t) + 16;
	r->keys = term_addr(definition) + 48;
	return !(def_header & 0x3f) && term_is_atom(r->module) && term_is_atom(r->name) &&
	       r->n <= RECORD_MAX && def_header >> 6 == 5 + r->n &&
	       term_tuple(ts, def[1], &n, &r->order) && n == r->n;
}

bool term_record_field(struct terms *ts, const struct term_record *r, uint64_t i, eterm_t *key,
		       eterm_t *value)
{
	eterm_t at;
	int64_t n;

	return i < r->n && word(ts, r->order + 8 * i, &at) && term_small(at, &n) && n >= 0 &&
	       (uint64_t)n < r->n && word(ts, r->keys + 8 * n, key) && term_is_atom(*key) &&
	       word(ts, r->values + 8 * n, value);
}

/* ---- sizes ---------------------------------------------------------------------------------- */

uint64_t term_object_words(struct terms *ts, vmaddr_t addr)
{
	struct term_fun f;
	uint64_t header, n;
	enum term_kind kind = term_boxed(ts, addr | 2, &header);

	if (kind == KIND_BAD)
		return 0;
	if (kind == KIND_FUN)
		return term_fun(ts, addr | 2, &f) ? (f.env - addr) / 8 + f.nenv : 0;
	if (kind == KIND_BITS && (header & 0x3f) == 0x28)
		return SUB_BIN_WORDS; /* its header leaves out the last word */
	if (kind != KIND_MAP)
		return (header >> 6) + 1;
	if (map_node(header) == MAP_FLAT)
		return word(ts, addr + 8, &n) && n <= FLAT_MAP_MAX ? 3 + n : 0;
	n = hash_children(header, addr, &addr);
	return n + (map_node(header) == MAP_NODE_BITMAP ? 1 : 2);
}

/* What a copy of a bit string takes: a part of a large one brings its reference with it. */
static bool bits_words(struct terms *ts, eterm_t t, uint64_t header, uint64_t *words)
{
	struct term_bits b;
	unsigned int tail;
	uint64_t bytes;

	if (!term_bits(ts, t, &b))
		return false;
	if (ts->vm->otp >= 27 ? (header & 0x3f) == 0x20 : (header & 0x3f) != 0x28) {
		*words = (header >> 6) + 1;
		return true;
	}
	if (ts->vm->otp >= 27) {
		*words = REFC_BITS_WORDS;
		return true;
	}
	tail = (b.bits & 7) + (b.at & 7);
	bytes = b.bits / 8 + (tail > 8 ? 2 : tail > 0);
	*words = (tail ? SUB_BIN_WORDS : 0) + (b.off_heap ? PROC_BIN_WORDS : 2 + (bytes + 7) / 8);
	return true;
}

struct work {
	struct {
		vmaddr_t addr; /* words that are terms */
		uint64_t n;
	} *v;
	size_t n, cap;
};

static void push(struct work *w, vmaddr_t addr, uint64_t n)
{
	if (!n)
		return;
	if (w->n == w->cap) {
		w->cap = w->cap ? 2 * w->cap : 64;
		w->v = xrealloc(w->v, w->cap * sizeof(*w->v));
	}
	w->v[w->n].addr = addr;
	w->v[w->n++].n = n;
}

/* Adds the words of a boxed object, and pushes what is in it. */
static bool measure(struct terms *ts, eterm_t t, struct work *w, uint64_t *words)
{
	uint64_t header, n, size;
	vmaddr_t addr = term_addr(t);
	struct term_fun f;

	switch (term_boxed(ts, t, &header)) {
	case KIND_BAD:
		return false;
	case KIND_INTERNAL: /* the reference of a fun to where it was made: 27 */
		*words += (header >> 6) + 1;
		return (header & 0x3f) == 0x04 && ts->vm->otp >= 27;
	case KIND_TUPLE:
		n = header >> 6;
		if (!n && ts->vm->otp >= OTP_EMPTY_TUPLE)
			return true;
		*words += n + 1;
		push(w, addr + 8, n);
		return true;
	case KIND_MAP:
		size = term_object_words(ts, addr);
		*words += size;
		if (!size)
			return false;
		n = map_node(header) == MAP_NODE_BITMAP ? 1 : 2;
		push(w, addr + 8 * n, size - n);
		return true;
	case KIND_FUN:
		if (!term_fun(ts, t, &f))
			return false;
		*words += (f.env - addr) / 8 + f.nenv;
		push(w, f.env, f.nenv);
		if (ts->vm->otp < 27) /* the creator, which may be an external pid */
			push(w, f.env - 8, 1);
		return true;
	case KIND_BITS:
		if (!bits_words(ts, t, header, &n))
			return false;
		*words += n;
		return true;
	case KIND_RECORD:
		*words += (header >> 6) + 1;
		push(w, addr + 8, header >> 6);
		return true;
	default:
		*words += (header >> 6) + 1;
		return true;
	}
}

bool term_flat_size(struct terms *ts, eterm_t t, uint64_t *budget, uint64_t *words)
{
	struct work w = { 0 };
	uint64_t cell[2];
	bool ok = true;

	*words = 0;
	for (;;) {
		if (term_is_cons(t)) {
			ok = *budget && pages_copy(ts->pages, term_addr(t), cell, sizeof(cell));
			if (!ok)
				break;
			--*budget;
			*words += 2;
			if ((cell[0] & 3) != 3)
				push(&w, term_addr(t), 1);
			t = cell[1];
			continue;
		}
		if (term_is_boxed(t)) {
			ok = *budget && measure(ts, t, &w, words);
			if (!ok)
				break;
			--*budget;
		} else if ((t & 3) == 0) {
			ok = false;
			break;
		}
		if (!w.n)
			break;
		ok = *budget && word(ts, w.v[w.n - 1].addr, &t);
		if (!ok)
			break;
		/* a hostile tuple is as long as memory */
		--*budget;
		w.v[w.n - 1].addr += 8;
		if (!--w.v[w.n - 1].n)
			w.n--;
	}
	free(w.v);
	return ok;
}
