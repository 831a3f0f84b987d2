/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Message queues: how long, which takes no walk; and message by message, which takes one.
 *
 * A process has three of them (erl_message.h): the inner queue is the message queue; the outer
 * one, and from 25 on up to 64 buffers of it, holds what was sent and not yet fetched, signals of
 * other kinds among it; the middle one what was fetched and still waits for those signals.  Asked
 * by process_info/2 the process first fetches and handles all of them: so the answer counts the
 * messages of all three.
 */
#ifndef EBEAM_SNAP_MSGQ_H
#define EBEAM_SNAP_MSGQ_H

#include "pages.h"
#include "vm.h"

#define MSGQ_OFF_HEAP 1 /* ErtsSignalPrivQueues.flags */
#define MSGQ_ON_HEAP 2
#define MSGQ_CHANGING 4

struct msgq_list {
	vmaddr_t first;	 /* ErtsMessage*, or 0 */
	vmaddr_t signal; /* the pointer to its first signal that is no message, or 0 */
	int64_t len;	 /* of its messages: all (until 26), or those behind the last such signal */
};

/* From the bytes of a Process. */
struct msgq_head {
	struct msgq_list inner, middle, outer;
	vmaddr_t buffers; /* array of buffers of the outer queue, or 0 */
	vmaddr_t save;	  /* next message to be looked at by the receive under way: pointer to it */
	uint32_t flags;
};

struct msgq_len {
	uint64_t len;	     /* process_info(P, message_queue_len) */
	uint64_t in_transit; /* of them: sent, and not yet fetched by the process */
	bool known;	     /* false: it moved, or has more other signals than were followed */
};

struct msgq_message {
	vmaddr_t addr;
	eterm_t term;	   /* m[0]; 0: not yet decoded, from another node */
	eterm_t token;	   /* m[1]: of seq_trace; nil: none */
	eterm_t from;	   /* m[2]: the sender's pid, or another term where it is not known */
	uint64_t attached; /* address of the fragments that hold the term; 1: inline; 0: heap */
	uint64_t words;	   /* of these fragments */
	bool words_known;
	bool in_transit;
};

struct msgq_sums {
	uint64_t messages, in_transit; /* visited */
	uint64_t attached_words;       /* of all; with on_heap part of total_heap_size */
	uint64_t bytes;		       /* their part of process_info(P, memory) */
	bool partial;		       /* budget spent, or the queue moved: there are more */
	bool words_known; /* false: some come from another node, not decoded: bytes are more */
};

struct msgq_visitor {
	/* true: go on */
	bool (*message)(void *arg, const struct msgq_message *m);
	void *arg;
};

void snap_msgq_head(const struct vm *vm, const unsigned char *process, struct msgq_head *head);
/* The same, read; false when the Process cannot be read. */
bool snap_msgq_read(struct vm *vm, vmaddr_t process, struct msgq_head *head);

/* A few words at most are read, mostly none. */
void snap_msgq_len(struct vm *vm, const struct msgq_head *head, struct msgq_len *len);

/**
 * snap_msgq_walk() - visit the messages, first to last
 * @budget: how many messages may be visited; what is left of it
 * @v: or NULL, for the sums alone
 */
void snap_msgq_walk(struct vm *vm, struct pages *pages, const struct msgq_head *head,
		    uint64_t *budget, const struct msgq_visitor *v, struct msgq_sums *sums);

/* "on_heap", "off_heap"; NULL: neither. */
const char *snap_msgq_data(const struct msgq_head *head);

#endif
