/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The rows of `ps`, and of what shows processes like it: a process's numbers and names, their
 * columns, the choice of the first N of a million by any column, and groups of processes.
 */
#ifndef EBEAM_PS_ROWS_H
#define EBEAM_PS_ROWS_H

#include "columns.h"
#include "snap_ps.h"

/* What it was at the last round; kept for every process, hence short. */
struct ps_before {
	eterm_t id;
	uint64_t reds;
	int64_t memory, len; /* < 0: not known */
};

struct ps_row {
	struct ps_proc p;
	char pid[40];
	/* NULL: none, or not read */
	char *registered, *label, *initial_call, *function, *waits_for, *group_leader, *parent;
	const char *name; /* the first of these that there is */
	/* with -i */
	bool interval;	  /* compared with the round before */
	bool is_new, dead;
	struct ps_before before;
};

/* Columns; those only shown with -i have no COL_TEXT: see ps_columns_for(). */
extern const struct column ps_columns[];
extern const size_t ps_ncolumns;

/* What must be read for a column's value; whether it is one of the names. */
unsigned int ps_column_parts(const char *key);
bool ps_column_is_name(const char *key);
/* A copy for text with or without -i, with @sort among those that are shown; to be freed. */
struct column *ps_columns_for(bool interval, const char *sort, bool binaries);

/* Fills in what is text: of rows that are shown. */
void ps_row_names(struct ps *ps, struct ps_row *row);
void ps_row_free(struct ps_row *row);
/* A term of theirs as text; NULL: it cannot be read.  To be freed. */
char *ps_term_text(struct ps *ps, eterm_t t);

/* --- the first N ------------------------------------------------------------------------------ */

struct ps_choice {
	struct proc_id who;
	double n;	/* value of the column; missing ones: -1e300 */
	char *text;	/* or this one, owned */
	bool dead;
	struct ps_before before; /* of one that is dead: all there is */
};

struct ps_chooser {
	const struct column *by;
	size_t limit; /* 0: all */
	struct ps_choice *v; /* a heap, the least of them on top, once there are limit */
	size_t n, cap;
	uint64_t seen;
};

void ps_choose(struct ps_chooser *c, const struct ps_row *row);
/* In order, first to last. */
void ps_choose_sort(struct ps_chooser *c);
void ps_choose_free(struct ps_chooser *c);

/* --- groups ----------------------------------------------------------------------------------- */

struct ps_group {
	char *key;  /* as it is printed; NULL: of processes that have none */
	char *name; /* where that is a process, and its name was asked for */
	uint64_t processes;
	/* memory_est: with guesses for those that are unknown; unguessed: for whom there is none */
	uint64_t memory, memory_est, unknown, unguessed;
	uint64_t len, in_transit, queues_unknown, reds;
	uint64_t binary_refs, binary_bytes, bins_unknown;
	uint64_t max_len;
	char max_pid[40];
	uint64_t words[3]; /* what it is known by */
};

struct ps_groups {
	const char *by;
	struct ps_group *v;
	size_t n, cap;
	uint32_t *slots; /* hash table of indices + 1 */
	size_t nslots;
};

extern const char *const ps_group_keys[];
void ps_group_add(struct ps_groups *g, struct ps *ps, const struct ps_row *row);
/* Only how many there are. */
void ps_group_count(struct ps_groups *g, struct ps *ps, const struct ps_row *row, uint64_t n);
/* The one with most processes that has a key, or NULL. */
const struct ps_group *ps_group_largest(const struct ps_groups *g);
/* Fills in its name, where what is shared is a process. */
void ps_group_name(struct ps_group *g, struct ps *ps);
void ps_groups_free(struct ps_groups *g);
/* Columns of a table of groups; to be freed. */
struct column *ps_group_columns(const char *by, bool binaries, size_t *n);

#endif
