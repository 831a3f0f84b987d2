/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The report of `proc`: one row for JSON, blocks of text for people, both of one struct proc_row.
 */
#ifndef EBEAM_REPORT_PROC_H
#define EBEAM_REPORT_PROC_H

#include "report.h"
#include "snap_one.h"
#include "snap_ps.h"

struct proc_row {
	struct one one;
	struct ps_proc ps;
	bool have_ps;
	const char *name;	  /* registered; NULL: none */
	char pid[64], *label, *initial_call, *current_function;
	bool traps_exit;
	const struct code_at *at; /* current_location; NULL: it runs */
	bool memory_known;
	uint64_t memory;
	/* filled by proc_report(): what JSON has, that is no number and no text */
	struct item *stacktrace, *location, *backtrace, *registers, *messages, *census, *dictionary;
	struct item *links, *monitors, *monitored_by, *suspending, *ancestors, *binaries;
	struct item *gc, *heap;
};

extern const struct column proc_columns[];
extern const size_t proc_ncolumns;

/* Makes the table of the row: @json its items, else its blocks of text. */
void proc_report(struct vm *vm, struct proc_row *row, bool json, size_t limit, struct table *t);
void proc_row_free(struct proc_row *row);

/* report_proc_text.c: the blocks.  @limit: entries of lists, and lines of terms; 0: all. */
void proc_text(const struct proc_row *row, size_t limit, struct table *t);
/* What fills the heap, most first, and the order of roots in it; to be freed. */
size_t *proc_heap_order(const struct heap_sum *h);

#endif
