/* SPDX-License-Identifier: GPL-2.0-only */
/* Commands: the options they share, and their entry points. */
#ifndef EBEAM_CMD_H
#define EBEAM_CMD_H

#include "report.h"
#include "vm.h"

struct options {
	const char *command;
	pid_t pid; /* 0: not given */
	const char *node;
	const char *symbols; /* file of --symbols, or NULL */
	const char *object;  /* what the command is about: the process of `proc`; or NULL */
	double duration_s, interval_s; /* < 0: not given */
	bool json, exact, trace;
	bool each, map, binaries; /* --each, --map, --binaries */
	bool full; /* --full: walk queues of any length */
	const char *sort, *by;
	long depth, max_terms;	/* -1: the command's own */
	long limit; /* -1: the command's own */
	double max_overhead; /* percent */
	long max_processes;  /* rows kept while tracing */
};

struct cmd {
	const char *name;
	const char *summary;
	unsigned int arg; /* sections of a tracing command */
	int (*run)(const struct cmd *cmd, const struct options *opt);
	const char *args;     /* as in usage */
	const char *examples; /* real ones, for -h */
	bool takes_object;    /* one word behind its name */
};

int cmd_trace(const struct cmd *cmd, const struct options *opt);
int cmd_list(const struct cmd *cmd, const struct options *opt);
int cmd_doctor(const struct cmd *cmd, const struct options *opt);
int cmd_info(const struct cmd *cmd, const struct options *opt);
int cmd_ps(const struct cmd *cmd, const struct options *opt);
int cmd_proc(const struct cmd *cmd, const struct options *opt);
int cmd_mem(const struct cmd *cmd, const struct options *opt);
int cmd_carrier(const struct cmd *cmd, const struct options *opt);
int cmd_ets(const struct cmd *cmd, const struct options *opt);
int cmd_port(const struct cmd *cmd, const struct options *opt);

/* The pid that -p, -n, or the lack of both, means; 0 with a failure noted. */
pid_t pick_target(const struct options *opt);

#define KERNEL_MIN 5015 /* oldest that has all we use: attach cookies, ring of helpers */

/* Prints a report in the form asked for; notes the failure when stdout cannot take it. */
int print_report(const struct options *opt, const struct report *r);

#endif
