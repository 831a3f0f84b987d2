/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a report consists of, whatever its form: a head about target and run, and tables of rows
 * with columns.  One column table per section feeds text headers, JSON keys and `--sort help`.
 * out_text.c and out_json.c render it; neither knows how anything was found.
 */
#ifndef EBEAM_REPORT_H
#define EBEAM_REPORT_H

#include "guard.h"
#include "item.h"
#include "model.h"
#include "vm.h"

/* VAL_HIST: NULL is an empty one */
enum value_kind { VAL_NONE, VAL_U64, VAL_I64, VAL_DOUBLE, VAL_TEXT, VAL_BOOL, VAL_HIST, VAL_BY,
		  VAL_HOLDERS, VAL_CALLS, VAL_ITEM };

struct value {
	enum value_kind kind; /* VAL_NONE: cannot be had: null in JSON, - in text */
	union {
		uint64_t u;
		int64_t i;
		double d;
		const char *text;
		bool b;
		const struct hist *hist;
		const struct carrier_row *by;
		const struct bin_row *holders;
		const struct model *calls;
		const struct item *item; /* in JSON only, unless it is text or a number */
	};
};

enum unit { UNIT_NONE, UNIT_BYTES, UNIT_NS, UNIT_WORDS, UNIT_SHARE };

enum {
	COL_TEXT = 1,	 /* shown in text, space permitting */
	COL_SHRINK = 2,	 /* may be cut to make a line fit */
	COL_EST = 4,	 /* only where something was not watched all the time */
	COL_DROP = 8,	 /* goes where the terminal is narrow; COL_SOONER(n): in that order */
	COL_LOW_BAD = 16, /* sorts ascending: names */
	COL_NO_SORT = 64, /* lists and the like */
	COL_WRAP = 32,	  /* the last column: goes on in the next line */
};

/* Of columns that go, the highest n first: 0 to 15. */
#define COL_SOONER(n) (COL_DROP | (n) << 8)
#define COL_ORDER(flags) ((flags) >> 8 & 15)

struct column {
	const char *key;
	const char *title;
	enum unit unit;
	unsigned int flags;
	const char *help;
	void (*get)(const void *row, struct value *v);
};

struct total {
	const char *key;
	struct value value;
};

#define TABLE_TOTALS 40
#define TABLE_HISTS 3

/* A histogram over all rows of a table. */
struct table_hist {
	struct hist hist;
	const char *key;   /* in JSON's totals */
	const char *label; /* in the line of a compact report */
	const char *of;	   /* what it counts, in full */
	enum unit unit;	   /* of what its bounds are */
	bool main;	   /* shown in a compact report, too */
	int slots;	   /* the last of them has no upper bound; 0: EB_HIST_SLOTS */
};

/* Lines of text that no table could show: a map, bars, a printed term.  Not in JSON. */
struct text_block {
	char *title; /* or NULL */
	char **lines; /* fit for the terminal: escaped, within out_text_width() */
	size_t n, cap;
};

struct table {
	const char *name;     /* the section: "bin" */
	const char *headline; /* what the rows answer */
	const struct column *cols;
	size_t ncols;
	const void **rows; /* sorted, cut to the limit */
	size_t nrows, nrows_all;
	struct total totals[TABLE_TOTALS];
	size_t ntotals;
	char verdict[200]; /* one line of text: the totals, in words */
	struct table_hist hists[TABLE_HISTS];
	size_t nhists;
	/* processes, or events, that got no row of their own; how wrong any one process may be */
	uint64_t other_processes, other_events, other_bound;
	enum unit other_unit;
	struct text_block *blocks; /* shown below the rows; owned */
	size_t nblocks;
	bool rows_hidden; /* in text: the blocks tell it all */
	bool blocks_first; /* in text: above the rows */
};

struct run_info {
	const char *command;
	uint64_t duration_ns;
	bool have_coverage;
	double coverage[EB_NGROUPS]; /* < 0: not among the sites of this command */
	uint64_t faults, skipped, lost;
	double reader_cpu_ms;
	uint64_t bytes_read;
	bool traced;
	uint64_t probe_hits;
	double probe_ns_per_hit, overhead_percent;
	const char **notes;
	size_t nnotes;
};

struct report {
	const struct vm *vm; /* NULL: no single target */
	struct run_info run;
	struct table *tables;
	size_t ntables;
	bool sections; /* JSON: tables under `sections`, else one table's rows under `rows` */
	bool compact;  /* text: a line of totals and one of histogram a section, to fit a screen */
};

/* The sections of a trace, by WANT_* bit (probe.h). */
const struct column *report_columns(unsigned int section, size_t *n);
const char *report_default_sort(unsigned int section);

/**
 * report_table() - make a section's table from a model
 * @sort:  key, or NULL for the section's own; unknown keys fall back to it
 * @limit: rows kept, 0 for all
 */
void report_table(const struct model *m, unsigned int section, const char *sort, size_t limit,
		  struct table *t);
/* A table of rows of the caller's, in the given order. */
void report_plain(struct table *t, const char *name, const struct column *cols, size_t ncols,
		  const void *rows, size_t row_size, size_t nrows);
void report_table_free(struct table *t);
/*
 * The same, sorted by @sort, or by @default_sort where that is NULL or no key, and cut to @limit rows
 * (0: all).
 */
void report_rows(struct table *t, const char *name, const struct column *cols, size_t ncols,
		 const void *rows, size_t row_size, size_t nrows, const char *sort,
		 const char *default_sort, size_t limit);
/* A new block of text, and a line in it (printf; copied). */
struct text_block *report_block(struct table *t, const char *title);
void report_line(struct text_block *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Columns of the terminal, 100 where there is none. */
size_t out_text_width(void);
/* May text have characters beyond ASCII? */
bool out_text_utf8(void);
/* Text (escaped already) as the terminal can take it, cut to @width columns. */
void out_text_fit(const char *in, size_t width, char *buf, size_t size);
/* Render to stdout; -1 when it cannot be written (errno). */
int out_text(const struct report *r);
int out_json(const struct report *r);
/* The error document of --json. */
void out_json_error(const struct failure *f);

#endif
