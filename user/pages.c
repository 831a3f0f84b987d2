// SPDX-License-Identifier: GPL-2.0-only
#include "pages.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 4096ULL
#define AHEAD 4
#define MIN_SLOTS 16

enum page_state { EMPTY, GOOD, BAD };

struct page {
	vmaddr_t addr;
	enum page_state state; /* BAD: it cannot be read */
	unsigned char *bytes;
};

void pages_open(struct pages *p, struct reader *rd, size_t bytes)
{
	unsigned char *all;
	size_t i;

	p->rd = rd;
	p->ahead = AHEAD;
	p->nslots = MIN_SLOTS;
	while (2 * p->nslots * PAGE <= bytes)
		p->nslots *= 2;
	p->slots = xcalloc(p->nslots, sizeof(*p->slots));
	all = xcalloc(p->nslots, PAGE);
	for (i = 0; i < p->nslots; i++)
		p->slots[i].bytes = all + i * PAGE;
}

void pages_close(struct pages *p)
{
	if (p->slots)
		free(p->slots[0].bytes);
	free(p->slots);
	memset(p, 0, sizeof(*p));
}

void pages_forget(struct pages *p)
{
	size_t i;

	for (i = 0; i < p->nslots; i++)
		p->slots[i].state = EMPTY;
}

static struct page *slot_of(struct pages *p, vmaddr_t page)
{
	return &p->slots[page / PAGE & (p->nslots - 1)];
}

/*
 * The page and those behind it, in one system call.  Only the first one's absence is a fault: the
 * others were not asked for.
 */
static struct page *fetch(struct pages *p, vmaddr_t page)
{
	struct read_req req[AHEAD];
	struct page *s;
	uint64_t faults;
	unsigned int i, n;

	for (n = 0; n < p->ahead && n < AHEAD; n++) {
		s = slot_of(p, page + n * PAGE);
		if (n && s->state != EMPTY && s->addr == page + n * PAGE)
			break;
		s->addr = page + n * PAGE;
		s->state = BAD;
		req[n] = (struct read_req){ s->addr, s->bytes, PAGE, false };
	}
	reader_batch(p->rd, req, 1);
	s = slot_of(p, page);
	if (req[0].ok) {
		s->state = GOOD;
		faults = p->rd->faults;
		reader_batch(p->rd, req + 1, n - 1);
		p->rd->faults = faults;
	}
	for (i = 1; i < n; i++)
		slot_of(p, req[i].addr)->state = req[i].ok ? GOOD : EMPTY;
	return s;
}

void pages_own(struct pages *p, const void *own, size_t bytes)
{
	p->own = own;
	p->own_bytes = bytes;
}

bool pages_copy(struct pages *p, vmaddr_t addr, void *buf, size_t len)
{
	unsigned char *to = buf;
	struct page *s;
	vmaddr_t end;
	size_t n, at;

	if (!len || __builtin_add_overflow(addr, len, &end))
		return false;
	if (p->own_bytes && addr >= PAGES_OWN && end <= PAGES_OWN + p->own_bytes) {
		memcpy(to, (const unsigned char *)p->own + (addr - PAGES_OWN), len);
		return true;
	}
	/* large objects do not push out everything else */
	if (len > 16 * PAGE)
		return reader_copy(p->rd, addr, buf, len);
	for (; len; len -= n, addr += n, to += n) {
		at = addr & (PAGE - 1);
		n = PAGE - at < len ? PAGE - at : len;
		s = slot_of(p, addr - at);
		if (s->state == EMPTY || s->addr != addr - at)
			s = fetch(p, addr - at);
		if (s->state == BAD)
			return false;
		memcpy(to, s->bytes + at, n);
	}
	return true;
}

bool pages_u64(struct pages *p, vmaddr_t addr, uint64_t *v)
{
	return pages_copy(p, addr, v, sizeof(*v));
}
