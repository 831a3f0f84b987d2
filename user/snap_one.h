/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Everything about one process: finding it, and reading it.
 *
 * A process may run while it is read.  Each part of the answer is read between two looks at the
 * Process: where they differ it is read again, a few times, and then left out, with a note.  So
 * each part is true of a moment; of a process at rest all are of the same.
 *
 * What can be had of a process that runs all the time: what is in the Process itself, its
 * dictionary, links, messages and binaries.  Its stack and registers are in the CPU's registers.
 */
#ifndef EBEAM_SNAP_ONE_H
#define EBEAM_SNAP_ONE_H

#include "snap_census.h"
#include "snap_heap.h"
#include "snap_links.h"
#include "snap_proc.h"
#include "snap_wait.h"

/* Processes that a word means: more than one can have the same label. */
struct one_found {
	struct proc_id *v;
	size_t n, cap;
	bool is_pid; /* the word was a pid */
};

/**
 * one_find() - the process that the user means
 * @word: "<0.12.0>", "0.12.0" or "12.0"; a registered name; a label (OTP 27 and later)
 *
 * Names are tried first, then labels.  0, also where there is none; -1 when the process table
 * cannot be read.
 */
int one_find(struct terms *ts, const char *word, struct one_found *found);
void one_found_free(struct one_found *found);

/* Text of a term; NULL: cannot be had. */
struct one_text {
	char *text;
	bool cut;
};

struct one_frame {
	const struct code_at *at; /* see snap_stack.h */
	vmaddr_t pc;
	struct one_text *y; /* text NULL: a catch tag */
	size_t ny;
};

struct one_pair {
	struct one_text key, value;
};

struct one_peer {
	char *text; /* "<0.12.0>", "{name,node}"; NULL: not known */
	const char *type;
};

struct one_peers {
	struct one_peer *v;
	size_t n, cap;
	size_t unknown; /* of them have no text */
};

struct one_binary {
	vmaddr_t addr;
	uint64_t size, refc;
};

/* Parts of the answer, each read in a moment of its own. */
enum one_part {
	ONE_SETTINGS, ONE_STACK, ONE_STATE, ONE_DICT, ONE_LINKS, ONE_MESSAGES, ONE_BINARIES,
	ONE_HEAP, ONE_PARTS
};

struct one {
	struct proc_id who;
	struct proc_image image; /* as seen first */
	const char *missing[ONE_PARTS]; /* why a part cannot be had; NULL: it is there */
	/* settings */
	struct one_text group_leader, parent, error_handler;
	bool gc_known, msgq_known;
	uint64_t min_heap_size, min_bin_vheap_size, max_heap_size, fullsweep_after, minor_gcs;
	bool max_kill, max_log, max_shared;
	const char *message_queue_data;
	/* stack */
	struct one_frame *frames;
	size_t nframes;
	bool stack_cut;
	struct one_text *x;
	size_t nx;
	const struct code_at **trace; /* current_stacktrace */
	size_t ntrace;
	uint64_t catchlevel;
	bool waits_known;
	char *waits_for, *waits_in;
	char *waits_name; /* of whom it waits for: registered, or its initial call */
	/* state */
	struct gen_state gen;
	struct one_text state, callback;
	/* dictionary */
	struct one_pair *dict;
	size_t ndict, dict_cap;
	size_t dict_size; /* ndict, or more than were kept */
	struct one_text *ancestors;
	size_t nancestors;
	/* links and monitors */
	struct one_peers links, monitors, monitored_by, suspending;
	bool links_partial;
	struct census census;
	struct one_binary *bins;
	size_t nbins, bins_cap;
	bool bins_partial;
	struct heap_sum heap;
};

struct one_limits {
	struct term_limits text; /* of each term */
	size_t messages;	 /* kept */
	uint64_t examined;	 /* messages looked at in the census; 0: all */
	size_t stack_words;	 /* 0: all */
	size_t entries;		 /* of the dictionary; 0: all, up to millions */
	uint64_t text_bytes;	 /* of all terms together; 0: ONE_TEXT_BYTES */
};

#define ONE_TEXT_BYTES (256ULL << 20)

struct one_reader {
	struct vm *vm;
	struct terms *ts;
	struct snap_stacks *stacks; /* NULL: stacks cannot be read */
	const char *no_stacks;	    /* then: why */
	struct one_limits lim;
	uint64_t text_left;	    /* of lim.text_bytes, in the one_read() under way */
	/* by one_prove() */
	bool gc_proven, roots_proven, psd_proven, objects_proven;
	/* by snap_ps_open() */
	bool queues_proven, links_proven;
};

/* Proves the fields that only this reads; what does not hold is missing in struct one. */
void one_prove(struct one_reader *r);

/**
 * one_read() - read all of it
 *
 * 0; -ESRCH where it is not alive any more, also where it ended meanwhile: what was read until then
 * is in @one all the same, where any was.
 */
int one_read(struct one_reader *r, const struct proc_id *who, struct one *one);
void one_free(struct one *one);

#endif
