/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is in a message queue: the first messages with their senders, and a census of all of them by
 * shape, {'$gen_call',_,{log,_,_}}: 1400000.
 *
 * A queue of millions is walked to its end, but of its messages only some are looked at, evenly
 * spread: `examined` says how many.  Messages in transit (sent, not yet fetched) are told apart.
 */
#ifndef EBEAM_SNAP_CENSUS_H
#define EBEAM_SNAP_CENSUS_H

#include "snap_msgq.h"
#include "term_print.h"

#define CENSUS_WALK 20000000	/* messages that are passed on the way, at most */
#define CENSUS_EXAMINED 200000	/* looked at, by default */
#define CENSUS_SHAPES 4096	/* of different kind; further ones are summed up */

struct census_row {
	char *shape;	 /* NULL: those of no row of their own */
	uint64_t count;	 /* of those examined */
};

struct census_message {
	eterm_t from; /* 0: not told */
	char *sender; /* NULL: not told */
	char *text;   /* NULL: not yet decoded */
	bool cut, in_transit;
};

struct census {
	struct msgq_len len;
	uint64_t messages;	 /* walked, in transit too */
	uint64_t in_transit;	 /* of them */
	uint64_t undecoded;	 /* of those examined: from another node, no term yet */
	uint64_t examined, step; /* one of `step` was */
	bool partial;		 /* there are more than were walked */
	uint64_t bytes;
	bool bytes_known;
	struct census_row *rows; /* most first */
	size_t nrows;
	struct census_message *first;
	size_t nfirst;
	bool first_cut; /* fewer than were asked for: there was too much text */
};

struct census_limits {
	size_t first;	   /* messages kept; SIZE_MAX: all */
	uint64_t examined; /* 0: all */
	struct term_limits text;
	uint64_t *text_left; /* bytes that texts may still take, with what keeping them takes */
};

/* Of the queue of @head, which is of just now: the caller looks again whether it moved. */
void snap_census(struct terms *ts, const struct msgq_head *head, const struct census_limits *lim,
		 struct census *c);
void census_free(struct census *c);

#endif
