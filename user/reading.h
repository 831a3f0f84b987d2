/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A command that only reads the VM's memory: no probe is set, nothing runs in the node, it is never
 * stopped.  Opens the VM, makes one report, or one each interval (-i) until stopped, and closes.
 *
 * The command fills in struct reading_ops; its round() reads, and makes the table of its report.
 */
#ifndef EBEAM_READING_H
#define EBEAM_READING_H

#include "cmd.h"
#include "columns.h"

#define READING_NOTES 32

struct reading {
	const struct cmd *cmd;
	const struct options *opt;
	struct vm vm;
	void *state;	    /* ops->state_size bytes, zeroed; the command's own */
	unsigned int round; /* 0 is the first */
	double seconds;	    /* from the beginning of the last round to this one's; 0 at first */
	uint64_t skipped;   /* to be counted by round(): items that moved while they were read */
	size_t limit;	    /* rows to keep: -l, or the command's own; 0: all */
	/* filled by reading_note() */
	char notes[READING_NOTES][256];
	size_t nnotes;
	bool not_kept; /* more notes than that */
};

struct reading_ops {
	const struct column *cols; /* for --sort */
	size_t ncols;
	const char *default_sort;
	const char *const *bys; /* keys of --by, NULL at the end; NULL: it has none */
	size_t default_limit;	/* rows shown without -l; 0: all */
	size_t state_size;
	/* Looks at the options: before the VM is opened.  May be NULL. */
	int (*check)(const struct options *opt);
	/* After the VM was opened, once.  May be NULL. */
	int (*open)(struct reading *r);
	/*
	 * Reads, and makes the table, to be freed by report_table_free().  0: print it; 1: there is
	 * nothing to print yet, the next round has something to compare with; -1: failed.
	 */
	int (*round)(struct reading *r, struct table *t);
	/* After the table was printed (also after a round that failed): frees what it points to. */
	void (*release)(struct reading *r);
	/* At the end, once, also where open() failed.  May be NULL. */
	void (*close)(struct reading *r);
};

int reading_run(const struct cmd *cmd, const struct options *opt, const struct reading_ops *ops);

/* What the reader of the numbers must know about them: of this round. */
void reading_note(struct reading *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
