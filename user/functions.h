/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The functions of an executable that names none: where each begins and ends, who calls whom, who
 * mentions which address.
 *
 * Even a stripped file keeps its unwind table (.eh_frame_hdr), an entry per function.  Calls and
 * mentions are looked for as bytes, in one pass over the code, and then confirmed by disassembling
 * the function around them: the same four bytes may be anything.  All addresses are link
 * addresses.  x86_64 only.
 *
 * The file may be hostile: functions of absurd length are left out, and what is disassembled is
 * bounded; beyond that nothing more is found.
 */
#ifndef EBEAM_FUNCTIONS_H
#define EBEAM_FUNCTIONS_H

#include "symbols.h"

struct function {
	uint64_t addr;
	uint32_t size;
};

struct functions {
	struct function *v; /* by address */
	size_t n;
	unsigned char *text; /* the code segment's bytes */
	uint64_t text_addr;
	size_t text_len;
	bool absolute; /* not relocatable: addresses may stand in the code as they are */
	struct place { /* every place that looks like a reference, once one was asked for */
		uint64_t target;
		uint32_t disp; /* where in the text its displacement stands */
		bool address;  /* a lea; else a branch to a function's start */
	} *places;
	size_t nplaces;
	size_t disasm; /* the disassembler's handle */
	size_t budget; /* bytes that may still be disassembled: a hostile file has no end */
};

/* Fails, with the reason, where the file has no such table or its code cannot be decoded here. */
int functions_open(struct functions *f, const struct symbols *s, char *why, size_t why_size);
void functions_close(struct functions *f);

/* The function that begins at, or covers, an address; NULL when none does. */
const struct function *functions_at(const struct functions *f, uint64_t addr);

enum xref_kind {
	XREF_CALL,    /* call rel32 */
	XREF_JUMP,    /* jmp or jcc rel32 */
	XREF_ADDRESS, /* lea of it; mov of an absolute one, where the file is not relocatable */
};

struct xref {
	enum xref_kind kind;
	const struct function *from;
};

/*
 * Who calls or jumps to the function at @target, once per function and kind, at most @max; its own
 * jumps to its start are left out.
 */
size_t functions_branches(struct functions *f, uint64_t target, struct xref *out,
			  size_t max);
/* Who takes the address of something. */
size_t functions_mentions(struct functions *f, uint64_t addr, struct xref *out, size_t max);

/*
 * The function that a part belongs to: compilers put unlikely code elsewhere, with an entry of its
 * own, reached by jumps only.  A function that is called is its own owner.
 */
const struct function *functions_owner(struct functions *f, const struct function *part);

/* What one instruction refers to. */
enum code_ref_kind {
	CODE_LOAD,     /* reads data at addr */
	CODE_ADDRESS,  /* takes addr */
	CODE_CALL,     /* calls addr */
	CODE_JUMP,     /* jumps to addr, outside of the function */
	CODE_CALL_PTR, /* calls or jumps to what the word at addr points to */
	CODE_FIRST_ARG, /* sets the first argument to the constant addr */
};

struct code_ref {
	enum code_ref_kind kind;
	uint64_t addr;
};

/* In order of the code, at most @max. */
size_t functions_refs(struct functions *f, uint64_t addr, struct code_ref *out, size_t max);

#endif
