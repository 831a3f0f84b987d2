/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All of the target's memory passes through here: bounded copies by process_vm_readv, in batches.
 *
 * An unreadable address is a fault: counted, told to the caller, and the walk goes on.  Losing
 * the target or the permission ends the command.  A reader can also serve a recording (tests),
 * and can make one: every copy that succeeded, with its address.  Nothing is ever written to the
 * target.
 */
#ifndef EBEAM_READER_H
#define EBEAM_READER_H

#include <sys/types.h>
#include "util.h"

struct recording;

struct reader {
	pid_t pid;		     /* 0: a recording */
	struct recording *recording; /* source, when pid is 0 */
	FILE *tee;		     /* where copies are recorded, or NULL */
	uint64_t bytes_read;
	uint64_t faults;
	int lost; /* errno once the target is gone or out of reach: nothing more can be read */
};

struct read_req {
	vmaddr_t addr;
	void *buf;
	size_t len;
	bool ok; /* out: all len bytes were copied */
};

/* Where a test, or a later core file, takes the bytes from: see reader_open_recording(). */
void reader_open_live(struct reader *rd, pid_t pid);
/**
 * reader_open_recording() - serve reads from a file that reader_tee() made
 *
 * The format: repeated { u64 address, u64 length, bytes }, little endian, gzip'ed or not.  Later
 * entries win where they overlap.  Returns 0 or -errno.
 */
int reader_open_recording(struct reader *rd, const char *path);
int reader_tee(struct reader *rd, const char *path);
void reader_close(struct reader *rd);

/* Copies len bytes; false and counted as a fault when not all of them can be read. */
bool reader_copy(struct reader *rd, vmaddr_t addr, void *buf, size_t len);
bool reader_u64(struct reader *rd, vmaddr_t addr, uint64_t *v);
bool reader_u32(struct reader *rd, vmaddr_t addr, uint32_t *v);

/* Many copies in few system calls; each request says whether it succeeded. */
void reader_batch(struct reader *rd, struct read_req *reqs, size_t n);

/* Copies a NUL-terminated string, at most size - 1 bytes; false when unreadable or unterminated. */
bool reader_string(struct reader *rd, vmaddr_t addr, char *buf, size_t size);

#endif
