/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a trace has found: plain rows, named and sorted, that own all they hold.  No I/O here;
 * collect.c fills it from the probes' maps and from the VM's memory, report.c shows it.
 */
#ifndef EBEAM_MODEL_H
#define EBEAM_MODEL_H

#include "ebeam_shared.h"
#include "util.h"

/* Who: an Erlang process, a port, or a thread. */
struct who {
	uint64_t key;	    /* EB_KEY_* */
	char *pid;	    /* "<0.N.S>", NULL for ports and threads */
	char *name;	    /* registered name, else initial call; what ran, where it is no process */
	char *initial_call; /* NULL: unknown or no process */
	bool exited;	    /* died under watch */
	bool partial;	    /* a chain was too long to walk in the kernel */
	bool came;	    /* what came to it is in its rows */
	size_t bin_row;	    /* 1 + index of its row in model.bin, 0: none yet */
	size_t gc_row;	    /* the same in model.gc */
};

#define HIST_SLOTS EB_LIFE_SLOTS

struct hist {
	uint64_t slot[HIST_SLOTS]; /* see EB_HIST_SLOTS */
};

struct alloc_row {
	const struct who *who;	/* NULL: grouped by type */
	const char *group;	/* initial call, when grouped by it */
	uint32_t type;
	const char *allocator, *type_name; /* NULL: grouped over all */
	uint64_t allocs, alloc_bytes, frees, free_bytes, reallocs;
	double allocs_est, frees_est, reallocs_est; /* < 0: watched all the time, none needed */
	/* allocated under watch and alive; est: from a sample of the births */
	bool live_known, live_est;
	uint64_t live, live_bytes;
	struct hist sizes;
};

struct bin_holder {
	const struct who *who; /* NULL: no process was found that holds them */
	uint64_t binaries, bytes;
};

struct bin_row {
	const struct who *who;
	bool held_known; /* a live process whose lists were read */
	bool held_partial;
	uint64_t held_refs, held_bytes, since_gc, writable_bytes;
	uint64_t created, created_bytes, freed, freed_bytes, released, released_bytes;
	bool acquired_known;
	uint64_t acquired, acquired_bytes;
	double created_est, freed_est;
	/* of those that it created under watch */
	uint64_t died, died_bytes;
	bool alive_known, births_sampled;
	uint64_t alive, alive_bytes;
	/* NULL: empty, as in most of the many rows that only hold */
	struct hist *sizes, *lives, *ages;
	struct bin_holder *held_by; /* who holds those that are alive; most bytes first */
	size_t nheld_by;
};

struct carrier_by {
	const struct who *who;
	uint64_t created, created_bytes;
};

struct carrier_row {
	uint64_t allctr;
	const char *allocator;
	unsigned int instance, kind, source;
	uint64_t created, destroyed, created_bytes, destroyed_bytes;
	uint64_t grown, grown_bytes, shrunk, shrunk_bytes;
	uint64_t abandoned, abandoned_bytes, fetched, fetched_bytes, destroyed_used;
	/* created under watch and alive: how many, and what of them is in blocks */
	uint64_t alive, alive_bytes, alive_used;
	bool alive_known;
	/* of the instance's carriers of that kind, at the end, pool included */
	bool stats_known;
	uint64_t carriers, carriers_size, blocks_size;
	struct hist sizes, lives;
	struct carrier_by *by;
	size_t nby;
};

struct gc_row {
	const struct who *who;
	uint64_t minor, major, pause_total_ns, pause_max_ns, released_bytes, heap_words;
	int64_t reclaimed_words;
	bool allocated_known;
	uint64_t allocated_words;
	double minor_est, major_est;
	struct hist pauses;
};

#define VEC(type)                                                                                  \
	struct {                                                                                   \
		type *v;                                                                           \
		size_t n, cap;                                                                     \
	}

/* Appends a zeroed element and returns it. */
#define vec_add(vec)                                                                               \
	(((vec)->n == (vec)->cap ?                                                                 \
		  ((vec)->cap = (vec)->cap ? 2 * (vec)->cap : 64,                                  \
		   (vec)->v = xrealloc((vec)->v, (vec)->cap * sizeof(*(vec)->v)), 0) :             \
		  0),                                                                              \
	 memset(&(vec)->v[(vec)->n], 0, sizeof(*(vec)->v)), &(vec)->v[(vec)->n++])

/* What the probes counted of an allocator's calls, and what the VM did (Allctr_t.calls). */
struct call_row {
	const char *allocator;
	uint64_t seen[EB_NCALLS], vm[EB_NCALLS]; /* EB_CALL_* */
};

/* The rest, when not every process could have a row. */
struct other_rows {
	uint64_t processes;	/* rows that were summed up */
	uint64_t overflows;	/* events that found the table full */
	uint64_t bound[3];	/* by enum fold_metric: any single process' amount may be wrong by */
};

struct model {
	struct who **whos; /* open addressing by key; power of two */
	size_t whos_cap, nwhos;
	VEC(struct alloc_row) alloc;
	VEC(struct bin_row) bin;
	VEC(struct carrier_row) carrier;
	VEC(struct gc_row) gc;
	uint64_t skipped; /* processes that would not hold still */
	struct call_row calls[EB_MAX_ALLOCATORS];
	size_t ncalls;
	bool vm_calls_known;
	struct other_rows other;
	uint64_t born_before; /* binaries freed under watch that were older than it */
	bool born_before_known;
	bool sampled[EB_NBIRTHS]; /* not every birth was recorded */
	uint64_t lost_births;
	uint64_t unrowed_words; /* heap of processes that ended without a collection */
	char **groups; /* strings that grouped rows point to */
	size_t ngroups;
};

enum alloc_by { BY_ROW, BY_TYPE, BY_PROCESS, BY_INITIAL_CALL };

/* The entry of a key, or NULL; model_who_add() makes one when there is none. */
struct who *model_who(const struct model *m, uint64_t key);
struct who *model_who_add(struct model *m, uint64_t key, bool *is_new);
void model_free(struct model *m);

/* Merges the alloc rows of a type, a process, or an initial call into one each. */
void model_alloc_by(struct model *m, enum alloc_by by);

/* @from: NULL is an empty one. */
void hist_add(struct hist *to, const struct hist *from);
/* The histogram that a pointer is for, made when there is none yet. */
struct hist *hist_at(struct hist **at);
void hist_from_u32(struct hist *to, const uint32_t *slots, size_t n);
/* The slot of a value, and bounds of a slot, inclusive. */
unsigned int hist_slot(uint64_t value);
uint64_t hist_lo(unsigned int slot);
uint64_t hist_hi(unsigned int slot);

#endif
