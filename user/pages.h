/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A cache of the target's pages, for walks of many small objects that lie close together: terms,
 * messages, trees.  Whole pages are copied, once, and words are served from the copies.
 *
 * A copy is as old as the first word that was asked of its page: a walk that must see two moments
 * (re-checks of identity) reads by the reader, or calls pages_forget() in between.
 */
#ifndef EBEAM_PAGES_H
#define EBEAM_PAGES_H

#include "reader.h"

struct page;

struct pages {
	struct reader *rd;
	struct page *slots; /* by address; a page pushes out the one that was in its slot */
	size_t nslots;
	unsigned int ahead; /* pages to copy in one read where the first one is missing */
	const void *own;    /* see pages_own() */
	size_t own_bytes;
};

/* Where words of our own are: no process has memory there. */
#define PAGES_OWN 0x1000ULL

/* @bytes: how much to keep, at least 64 KiB; memory is taken at once. */
void pages_open(struct pages *p, struct reader *rd, size_t bytes);
void pages_close(struct pages *p);
void pages_forget(struct pages *p);

/*
 * Serves @bytes at PAGES_OWN: terms that the node would make of others before it prints them.
 * Borrowed, until it is called with 0 bytes.
 */
void pages_own(struct pages *p, const void *own, size_t bytes);

/* As reader_copy(): false when not all of it can be read. */
bool pages_copy(struct pages *p, vmaddr_t addr, void *buf, size_t len);
bool pages_u64(struct pages *p, vmaddr_t addr, uint64_t *v);

#endif
