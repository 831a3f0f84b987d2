/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lies behind a boxed term: kinds by header, and the decoded parts of the kinds that have a
 * layout of their own.  For term_*.c; the interface of terms is term_print.h.
 */
#ifndef EBEAM_TERM_READ_H
#define EBEAM_TERM_READ_H

#include "term_print.h"

enum term_kind {
	KIND_BAD, KIND_TUPLE, KIND_BIG, KIND_REF, KIND_FUN, KIND_EXPORT, KIND_FLOAT, KIND_RECORD,
	KIND_BITS, KIND_EXTERNAL_PID, KIND_EXTERNAL_PORT, KIND_EXTERNAL_REF, KIND_MAP,
	KIND_INTERNAL, /* an object that no term of a program is: match state, BinRef, FunRef */
};

static inline vmaddr_t term_addr(eterm_t t)
{
	return t & ~7ULL;
}

/* Kind of a boxed term, and its header. */
enum term_kind term_boxed(struct terms *ts, eterm_t t, uint64_t *header);

/* Words of an integer that is printed: its digits take a time that grows with their square. */
#define TERM_BIG_MAX 2048

/* A bit string: @bits of them from bit @at behind @addr, the highest bit of a byte first. */
struct term_bits {
	vmaddr_t addr;
	uint64_t at, bits;
	bool off_heap; /* the bytes are a refc binary's */
};

bool term_bits(struct terms *ts, eterm_t t, struct term_bits *b);
/* Copies @n bytes of the bit string from its byte @from on; the last one may have fewer bits. */
bool term_bits_copy(struct terms *ts, const struct term_bits *b, uint64_t from, size_t n,
		    unsigned char *out);

/* A fun: where it was made (index, uniq), or, of an exported one, what it calls. */
struct term_fun {
	bool exported;
	eterm_t module, function;
	uint32_t arity, index, uniq;
	uint64_t nenv; /* terms that it holds on to, from the address env */
	vmaddr_t env;
};

bool term_fun(struct terms *ts, eterm_t t, struct term_fun *f);

/* Numbers of a reference, local or external, and the name of its node (an atom, 0: this one). */
struct term_ref_parts {
	eterm_t node;
	unsigned int n;
	uint32_t num[8];
};

bool term_ref_parts(struct terms *ts, eterm_t t, struct term_ref_parts *r);

/* An external pid or port: node name, 0 where the VM prints it as one of its own; data. */
bool term_external(struct terms *ts, eterm_t t, eterm_t *node, uint64_t data[1]);

/*
 * A map.  @node of the first call is the map; walks its pairs in the order of maps:iterator/1.
 * @stack belongs to the walk.
 */
#define TERM_MAP_DEPTH 40

struct term_map_walk {
	struct terms *ts;
	uint64_t size; /* as the map tells it */
	bool flat, bad;
	vmaddr_t keys, values;
	uint64_t at; /* of a flat one */
	unsigned int depth;
	struct {
		vmaddr_t addr;
		unsigned int n, at;
	} stack[TERM_MAP_DEPTH];
};

bool term_map_open(struct terms *ts, eterm_t map, struct term_map_walk *w);
/* false at the end, and where it is torn: bad is set. */
bool term_map_next(struct term_map_walk *w, eterm_t *key, eterm_t *value);

/* OTP 29: {hdr, definition, values...}; it is {hdr, order, hash, module, name, _, keys...}. */
struct term_record {
	eterm_t module, name;
	uint64_t n;
	vmaddr_t keys, values, order;
};

bool term_record(struct terms *ts, eterm_t t, struct term_record *r);
/* Its i-th field as declared; keys and values themselves are in the order of the atoms. */
bool term_record_field(struct terms *ts, const struct term_record *r, uint64_t i, eterm_t *key,
		       eterm_t *value);

#endif
