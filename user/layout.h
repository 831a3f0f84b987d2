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
	uint32_t carrier_shift;	 /* ERTS_MMAP_SUPERALIGNED_BITS: unit of a block's carrier offset */
	bool shared_pool;	 /* allocators share one pool of carriers by default (23) */
	uint32_t flag_hibernate_pending; /* F_DIRTY_GC_HIBERNATE */
};

struct layout {
	const char *name;
	int otp;
	bool jit;
	const char *arch;
	struct layout_fields f;
	const struct release_facts *facts;
};

/* The row for a release and flavour on this architecture; NULL when there is none. */
const struct layout *layout_find(int otp, bool jit, const char *arch);
/* All rows, for tests; NULL past the end. */
const struct layout *layout_row(size_t i);
/* Name, path and value of every field: -vv. */
void layout_dump(const struct layout *lay);

#endif
