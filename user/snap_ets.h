/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ETS tables, read from outside: all that ets:all() lists, what ets:info/1 tells of each, and on
 * request what their rows keep alive in refc binaries.
 *
 * The truth: each scheduler has a ring of the tables that were made on it (ErtsSchedulerData); a
 * table's magic binary (its tid) leads back to it until it is deleted, which is how each is known
 * to be one still.  Tables come and go while the rings are walked: see snap_ets_tables().
 */
#ifndef EBEAM_SNAP_ETS_H
#define EBEAM_SNAP_ETS_H

#include "vm.h"

/* DbTableCommon.status and .type: the same positions in all releases (erl_db_util.h) */
enum {
	ETS_PRIVATE = 1 << 0, ETS_PROTECTED = 1 << 1, ETS_PUBLIC = 1 << 2, ETS_DELETE = 1 << 3,
	ETS_SET = 1 << 4, ETS_BAG = 1 << 5, ETS_DUPLICATE_BAG = 1 << 6, ETS_ORDERED_SET = 1 << 7,
	ETS_CA_ORDERED_SET = 1 << 8, ETS_FINE_LOCKED = 1 << 9, ETS_FREQ_READ = 1 << 10,
	ETS_NAMED = 1 << 11, ETS_BUSY = 1 << 12, ETS_FIXED_LOCKS = 1 << 13, ETS_AUTO = 1 << 14,
};

/* What the offsets were proven for; what is not, is not known of any table. */
enum ets_proof {
	ETS_PROVEN_LIST,    /* the rings, and the tids that lead back: without it, nothing */
	ETS_PROVEN_STATUS,  /* type, protection, named, concurrency */
	ETS_PROVEN_NAME,
	ETS_PROVEN_OWNER,
	ETS_PROVEN_HEIR,
	ETS_PROVEN_KEYPOS,
	ETS_PROVEN_COMPRESS,
	ETS_PROVEN_FIXED,
	ETS_PROVEN_COUNTERS, /* size and memory */
	ETS_PROVEN_HASH,     /* rows of hash tables */
	ETS_PROVEN_TREE,     /* of ordered_set */
	ETS_PROVEN_CATREE,   /* of ordered_set with write_concurrency */
	ETS_NPROVEN,
};

struct ets_table {
	vmaddr_t addr; /* DbTable* */
	vmaddr_t btid; /* its magic binary */
	uint32_t refn[3]; /* of the tid */
	unsigned int sched; /* number of the scheduler that made it */
	eterm_t name, owner, heir; /* heir: a pid, or the atom none */
	uint32_t status, type;	   /* ETS_* */
	uint32_t keypos;
	bool compressed, fixed, decentral;
	bool counted; /* size and memory are known */
	uint64_t size, memory_bytes;
	/* of snap_ets_binaries() */
	bool walked;	   /* all rows were */
	uint64_t rows_seen; /* those deleted while the table was fixed included */
	uint64_t binaries, binary_bytes; /* each once, however many rows refer to it */
	/* where the rows are */
	uint64_t root, nactive, nslots, nsegs;
};

struct ets_tables {
	struct ets_table *v;
	size_t n;
	uint64_t deleting; /* left out: they are being deleted */
	uint64_t skipped;  /* that moved, each time they were looked for */
};

struct snap_ets {
	struct vm *vm;
	bool proven[ETS_NPROVEN];
	char unproven[160]; /* names of what is not, for a note; "" */
};

/**
 * snap_ets_open() - prove the offsets on the tables there are
 *
 * -1 with a failure noted when no table could be told to be one.
 */
int snap_ets_open(struct snap_ets *s, struct vm *vm);

/**
 * snap_ets_tables() - all tables, as ets:all() lists them, each once
 *
 * Where a table went away under the walk it goes on from the last one that is still there.
 * Oracles: ets:all(), ets:info/1.  -1 when the rings cannot be read.
 */
int snap_ets_tables(struct snap_ets *s, struct ets_tables *out);
void snap_ets_free(struct ets_tables *t);

/* What a walk of rows may still cost, for all tables together. */
struct ets_budget {
	uint64_t rows;	   /* to be read */
	uint64_t binaries; /* references to be kept in mind, of one table */
};

/**
 * snap_ets_binaries() - the refc binaries that a table's rows refer to
 * @seen: told each binary, once per table; may be NULL
 *
 * Fills in @t->walked, .rows_seen, .binaries and .binary_bytes; walked is false where the table
 * changed too much, or the budget is used up.  Oracle: ets:info(T, binary), without its duplicates.
 */
void snap_ets_binaries(struct snap_ets *s, struct ets_table *t, struct ets_budget *budget,
		       void (*seen)(void *arg, vmaddr_t binary, uint64_t bytes), void *arg);

/* "set", "private"; NULL where status is none of that */
const char *ets_type_name(const struct ets_table *t);
const char *ets_protection_name(const struct ets_table *t);
/* "true", "false", "auto", or a number of locks as the node tells it. */
const char *ets_write_concurrency(const struct ets_table *t);
/* As ets:i() names it: the name of a named table, else "#Ref<0.1.2.3>". */
void ets_id_text(struct vm *vm, const struct ets_table *t, char *buf, size_t size);

#endif
