// SPDX-License-Identifier: GPL-2.0-only
/* The page cache: on the one process there always is, this one, with pages that are not there. */
#include "pages.h"
#include "tap.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096UL
#define PAGES 64

static unsigned char *area; /* PAGES pages; the last one is not there */

static vmaddr_t at(size_t off)
{
	return (vmaddr_t)(uintptr_t)area + off;
}

static bool reads(struct pages *p, size_t off, size_t len)
{
	static unsigned char buf[32 * PAGE];

	memset(buf, 0, sizeof(buf));
	return pages_copy(p, at(off), buf, len) && !memcmp(buf, area + off, len) && !buf[len];
}

static void words(struct pages *p)
{
	uint64_t v, bytes;

	ok(reads(p, 16, 8) && reads(p, PAGE - 4, 8), "words, also one that lies on two pages");
	bytes = p->rd->bytes_read;
	ok(reads(p, 24, 100) && reads(p, PAGE + 8, 8) && p->rd->bytes_read == bytes,
	   "what was read is not read again");
	area[24]++;
	ok(pages_u64(p, at(24), &v) && v != *(uint64_t *)(area + 24),
	   "it is as old as it was read");
	pages_forget(p);
	ok(pages_u64(p, at(24), &v) && v == *(uint64_t *)(area + 24), "until it is forgotten");
	ok(reads(p, 100, 20 * PAGE), "what is larger than the cache likes is read as well");
	ok(!pages_copy(p, at(0), &v, 0) && !pages_copy(p, UINT64_MAX - 3, &v, 8),
	   "nothing, and what wraps around, cannot be read");
}

static void absent(struct pages *p)
{
	size_t last = (PAGES - 1) * PAGE;
	uint64_t v, faults;

	pages_forget(p);
	p->rd->faults = 0;
	ok(reads(p, last - 8, 8), "the last word before a page that is not there");
	is_u64(p->rd->faults, 0, "reading ahead into it is no fault");
	ok(!pages_u64(p, at(last - 4), &v) && !pages_u64(p, at(last), &v),
	   "no word in it, nor into it");
	faults = p->rd->faults;
	ok(faults >= 1 && !pages_u64(p, at(last + 8), &v) && p->rd->faults == faults,
	   "it is tried once");
	pages_forget(p);
	mprotect(area + last, PAGE, PROT_READ | PROT_WRITE);
	ok(reads(p, last, 8), "when it has come, it can be read");
	mprotect(area + last, PAGE, PROT_NONE);
}

/* A cache of 16 pages, used for 63: each must be served by what is its own. */
static void crowded(struct pages *p)
{
	unsigned int wrong = 0, i, off;

	pages_forget(p);
	srand(7);
	for (i = 0; i < 20000; i++) {
		off = rand() % ((PAGES - 1) * PAGE - 64);
		wrong += !reads(p, off, 1 + rand() % 64);
	}
	is_u64(wrong, 0, "20000 reads of more pages than it holds");
}

int main(void)
{
	struct reader rd;
	struct pages p;
	size_t i;

	area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		abort();
	for (i = 0; i < PAGES * PAGE; i++)
		area[i] = 1 + i * 7 % 251;
	mprotect(area + (PAGES - 1) * PAGE, PAGE, PROT_NONE);
	reader_open_live(&rd, getpid());
	pages_open(&p, &rd, 16 * PAGE);
	words(&p);
	absent(&p);
	crowded(&p);
	pages_close(&p);
	return done();
}
