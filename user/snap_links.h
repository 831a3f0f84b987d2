/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Links and monitors of a process (or a port), read from its trees: what they are, how many, and
 * the bytes they take, as process_info/2 counts them.
 *
 * A process has three of them: `links`, a tree; `monitors`, a tree of those it set; lt_monitors, a
 * circular list of those others set on it, and of its own whose target is no process.  A record of
 * two ends is shared by both processes, and each is charged its part (erl_monitor_link.c).
 */
#ifndef EBEAM_SNAP_LINKS_H
#define EBEAM_SNAP_LINKS_H

#include "pages.h"
#include "vm.h"

enum ml_kind {
	ML_LINK,	 /* process_info(P, links) */
	ML_MONITOR,	 /* (P, monitors): set by P */
	ML_MONITORED_BY, /* (P, monitored_by): set by another on P */
	ML_OTHER,	 /* none of these lists tells it: see type */
};

/* What is at the other end; the numbers that the VM uses differ from release to release. */
enum ml_type {
	ML_PROC, ML_PORT, ML_TIME_OFFSET, ML_DIST_PROC, ML_DIST_PORT, ML_RESOURCE, ML_NODE,
	ML_NODES, ML_SUSPEND, ML_ALIAS,
};

struct ml_roots {
	vmaddr_t links, monitors, lt_monitors;
};

struct ml_entry {
	enum ml_kind kind;
	enum ml_type type;
	vmaddr_t addr;	/* of its node in the tree or list */
	/*
	 * pid, port or atom (a node's name, clock_service) of the other end; of DIST ones a boxed
	 * external pid, or the node's name where the process was monitored by name.  RESOURCE:
	 * address of the resource.
	 */
	eterm_t other;
	eterm_t name;	/* atom: was monitored by this registered name; or 0 */
	eterm_t node;	/* atom: ... at this node; 0: at its own */
	eterm_t ref;	/* of monitors: the reference, boxed; else 0 */
	uint64_t bytes; /* of it, charged to this process */
};

struct ml_sums {
	uint64_t links, monitors, monitored_by, others; /* entries of each kind */
	uint64_t bytes;	 /* of all of them: their part of process_info(P, memory) */
	bool partial;	 /* they moved, or are too many: no number is right */
};

struct ml_visitor {
	/* true: go on */
	bool (*entry)(void *arg, const struct ml_entry *e);
	void *arg;
};

/* From the bytes of a Process. */
void snap_links_roots(const struct vm *vm, const unsigned char *process, struct ml_roots *roots);
/* Of a port. */
bool snap_links_port_roots(struct vm *vm, vmaddr_t port, struct ml_roots *roots);

/**
 * snap_links_walk() - visit them all
 * @pages: where words are read; forget them first where the answer must be of now
 * @budget: how many may be visited; what is left of it
 * @v: or NULL, for the sums alone
 */
void snap_links_walk(struct vm *vm, struct pages *pages, const struct ml_roots *roots,
		     uint64_t *budget, const struct ml_visitor *v, struct ml_sums *sums);

/* "process", "port", "dist_process": as the node's own lists have it. */
const char *ml_type_name(enum ml_type type);

#endif
