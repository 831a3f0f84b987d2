/* SPDX-License-Identifier: GPL-2.0-only */
/* Between the files that read tables: snap_ets.c, snap_ets_prove.c, snap_ets_rows.c. */
#ifndef EBEAM_SNAP_ETS_PRIVATE_H
#define EBEAM_SNAP_ETS_PRIVATE_H

#include "snap_ets.h"

#define ETS_TABLE_BYTES 512 /* at most, of a DbTable */
#define ETS_TYPES (ETS_SET | ETS_BAG | ETS_DUPLICATE_BAG | ETS_ORDERED_SET | ETS_CA_ORDERED_SET)
#define ETS_HASH (ETS_SET | ETS_BAG | ETS_DUPLICATE_BAG)
#define ETS_ACCESS (ETS_PRIVATE | ETS_PROTECTED | ETS_PUBLIC)

/* A table's bytes, and what its tid's magic binary says. */
struct table_copy {
	vmaddr_t addr;
	unsigned char raw[ETS_TABLE_BYTES];
	size_t len;
	vmaddr_t next, prev, btid;
	uint32_t refn[3];
	bool alive; /* the tid leads back: not being deleted */
};

/* A word of @n bytes of the copy; 0 where the offset is not in it. */
uint64_t table_word(const struct table_copy *c, unsigned int off, unsigned int n);
/* False when there is no table at @addr (any more). */
bool table_copy(struct vm *vm, vmaddr_t addr, struct table_copy *c);
#define COUNT_TRIES 20 /* each half a millisecond after the one before */
/*
 * Reads size and memory; false while the node itself sums them up, or when they are no such
 * numbers.
 */
bool table_count(struct vm *vm, vmaddr_t addr, const struct table_copy *c, bool decentral,
		 unsigned int tries, uint64_t *size, uint64_t *bytes);

/* Are the offsets what the tables say?  Fills in s->proven and s->unproven. */
void snap_ets_prove(struct snap_ets *s, const struct ets_tables *all);

#endif
