/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the fields of the VM's structures lie, in this release and flavour.
 *
 * A row is chosen by what the VM says of itself (etp_otp_release, etp_beamasm).  That choice is a
 * claim only: user/prove.c proves it on the live memory before anything else uses it.
 */
#ifndef EBEAM_LAYOUT_USER_H
#define EBEAM_LAYOUT_USER_H

#include "ebeam_layout.h"
#include "util.h"

/* What differs between releases and is no offset. */
struct release_facts {
	int otp;
	bool tested;		 /* live tests run on it; else the report says `unverified` */
	bool slot_in_high_word;	 /* pid term: table slot in the upper 32 bits (until 25) */
	bool atom_name_is_term;	 /* Atom holds a literal binary instead of a pointer (from 28) */
	bool list_has_wrt_bins;	 /* process_info(P, binary) lists wrt_bins (from 26) */
	uint64_t nil;		 /* [] */
	uint32_t bin_header;	 /* thing_word of a refc binary's heap object */
	uint32_t bin_node_bytes; /* of it: what must be read to know next and val */
	uint32_t bin_pad;	 /* bytes a refc binary asks for beyond header and payload */
	uint32_t drv_bin_pad;
	uint32_t tag_words;	 /* of the tag at the end of a block that has one */
	uint32_t carrier_shift;	 /* ERTS_MMAP_SUPERALIGNED_BITS: unit of a block's carrier offset */
	bool shared_pool;	 /* allocators share one pool of carriers by default (23) */
	uint32_t flag_hibernate_pending; /* F_DIRTY_GC_HIBERNATE */
	uint32_t flag_trap_exit;	 /* F_TRAP_EXIT */
};

/* How far the offsets in use may be trusted where no proof reaches them. */
enum layout_trust {
	LAYOUT_EXACT,	  /* the very build that the row was taken from, or its DWARF */
	LAYOUT_RELEASE,	  /* the row of this release and flavour, from another build */
	LAYOUT_NEIGHBOUR, /* the row of another release or flavour; it passed all proofs */
};

struct layout {
	const char *name;
	int otp;
	bool jit;
	const char *arch;
	struct layout_fields f;
	const struct release_facts *facts;
};

/* Of a release; of one that is newer than all of them the newest's.  NULL for older ones. */
const struct release_facts *layout_facts(int otp);

/* Rows that may be tried for one VM: see layout_candidates(). */
#define LAYOUT_CANDIDATES 16

/**
 * layout_candidates() - rows in the order in which to try them on a VM of this kind
 * @rows: filled with at most @max of them
 *
 * First the release's own row, which is to be preferred where several pass; then neighbours of
 * the same architecture: its other flavour, then one release away, then two.  Nothing where the
 * release is unknown.  Returns their number.
 */
size_t layout_candidates(int otp, bool jit, const char *arch, const struct layout **lay, size_t max);
/* How a row is to be trusted for a VM of this kind and build id (hex, "" when it has none). */
enum layout_trust layout_trust_of(const struct layout *row, int otp, bool jit, const char *build_id);
const char *layout_trust_name(enum layout_trust t);
/* Copies a row for a VM of @otp, whose facts it gets; below EXACT without what no proof reaches. */
void layout_take(struct layout *lay, const struct layout *row, int otp, enum layout_trust trust);
/* True where live tests run on this very release, flavour and architecture. */
bool layout_tested(const struct layout *lay);

/* The row for a release and flavour on this architecture; NULL when there is none. */
const struct layout *layout_find(int otp, bool jit, const char *arch);
/* All rows, for tests; NULL past the end. */
const struct layout *layout_row(size_t i);

/* The fields by number, in the order of EBEAM_LAYOUT_FIELDS. */
enum layout_field {
#define L(name, strukt, path, kind) LF_##name,
	EBEAM_LAYOUT_FIELDS(L)
#undef L
	LAYOUT_NFIELDS
};

/* "proc_id", and "Process" */
const char *layout_field_name(enum layout_field field);
const char *layout_field_struct(enum layout_field field);
/* True for what EBEAM_LAYOUT_UNPROVEN lists. */
bool layout_field_unproven(enum layout_field field);
/* True for what EBEAM_LAYOUT_LANDMARKS lists. */
bool layout_field_landmark(enum layout_field field);
/* True for what EBEAM_LAYOUT_READ_FIELDS lists. */
bool layout_field_read(enum layout_field field);
/* The field's place in a row, to be read or changed. */
unsigned int *layout_field_at(struct layout *lay, enum layout_field field);
/* Name, path and value of every field: -vv. */
void layout_dump(const struct layout *lay);

#endif
