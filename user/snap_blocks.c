// SPDX-License-Identifier: GPL-2.0-only
/*
 * The blocks of one carrier.  A block's header word has its size, flags in the low bits, and, of
 * one in use, the distance to its carrier in the high ones (erl_alloc_util.c, Block_t); the next
 * block begins where it ends, so a carrier is walked from border to border.
 *
 * What is at a border says it all: the tag or the size that the block before it ends with, and the
 * header of the next one.  Where blocks are small they are copied with all that is between them, in
 * large pieces; where they are large the borders alone are.
 */
#include "snap_carrier.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define THIS_FREE 1u
#define PREV_FREE 2u
#define LAST_BLOCK 4u
#define FLAGS 7ULL
#define HAS_TAG (1ULL << 63)
#define USED_SIZE 0xfffffffff8ULL /* of one in use: the bits above are the distance */
#define FREE_SIZE 0x7ffffffffffffff8ULL
#define DISTANCE_SHIFT 40
#define DISTANCE_MASK 0x7fffffULL
#define MIN_BLOCK 16

#define WINDOW (1 << 20)
#define PAGE 4096
#define BEFORE 16 /* bytes of a border: in front of it, and behind */
#define AFTER 16
/*
 * Up to so many bytes between borders, what lies between is copied, too: as fast as a system call
 * for each border.
 */
#define DENSE 8192

/* --- sizes ------------------------------------------------------------------------------------ */

struct size_rule size_rule_blocks(const struct vm *vm)
{
	return (struct size_rule){ 128, BLOCK_SLOTS, 0, vm->otp >= 27 };
}

/* instrument's 512 is doubled by the VM; from 27 on it leaves the first slot out, too. */
struct size_rule size_rule_free(const struct vm *vm)
{
	return (struct size_rule){ 1024, FREE_SLOTS, vm->otp >= 27, vm->otp >= 27 };
}

static unsigned int log2_of(uint64_t v)
{
	return 63 - __builtin_clzll(v);
}

unsigned int size_slot(const struct size_rule *rule, uint64_t size)
{
	uint64_t n = size / rule->start;
	unsigned int slot;

	if (rule->doubled)
		slot = rule->skip + (n ? log2_of(n) + 1 : 0);
	else
		slot = rule->skip + log2_of(n + 1);
	return slot < rule->slots ? slot : rule->slots - 1;
}

/* Where a slot begins, counted from the first that is used. */
static uint64_t begins(const struct size_rule *rule, unsigned int slot)
{
	if (rule->doubled)
		return slot ? rule->start << (slot - 1) : 0;
	return rule->start * ((1ULL << slot) - 1);
}

uint64_t size_slot_lo(const struct size_rule *rule, unsigned int slot)
{
	return slot > rule->skip ? begins(rule, slot - rule->skip) : 0;
}

uint64_t size_slot_hi(const struct size_rule *rule, unsigned int slot)
{
	if (slot + 1 >= rule->slots)
		return UINT64_MAX;
	return slot < rule->skip ? 0 : begins(rule, slot - rule->skip + 1) - 1;
}

/* --- what is copied --------------------------------------------------------------------------- */

void block_window_open(struct block_window *w, struct reader *rd)
{
	*w = (struct block_window){ .rd = rd, .buf = xcalloc(1, WINDOW) };
}

void block_window_close(struct block_window *w)
{
	free(w->buf);
	w->buf = NULL;
}

/* Bytes from @addr on, up to @end where more is to be had; NULL when they cannot be read. */
static const unsigned char *window_at(struct block_window *w, vmaddr_t addr, size_t len,
				      vmaddr_t end)
{
	size_t most = w->most && w->most < WINDOW ? w->most : WINDOW, take;

	if (addr >= w->base && addr - w->base < w->len && len <= w->len - (addr - w->base))
		return w->buf + (addr - w->base);
	take = w->gap <= DENSE ? most : PAGE - addr % PAGE;
	if (take < len)
		take = len;
	if (take > end - addr)
		take = end - addr;
	w->len = 0;
	if (take < len || !reader_copy(w->rd, addr, w->buf, take))
		return NULL;
	w->base = addr;
	w->len = take;
	return w->buf;
}

static uint64_t get(const unsigned char *at)
{
	uint64_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

/* --- blocks ----------------------------------------------------------------------------------- */

/* The header that comes next, @head, and the word behind it. */
static bool header_fits(const struct block_walk *b, vmaddr_t at, uint64_t head, uint64_t behind,
			bool prev_free)
{
	vmaddr_t carrier;

	if (!!(head & PREV_FREE) != prev_free)
		return false;
	if (head & THIS_FREE)
		return !prev_free && !(head & HAS_TAG) && behind == b->carrier;
	carrier = (at >> b->shift << b->shift) -
		  ((head >> DISTANCE_SHIFT & DISTANCE_MASK) << b->shift);
	return carrier == b->carrier;
}

static void count_free(struct block_walk *b, uint64_t size)
{
	b->free_blocks++;
	b->free_bytes += size;
	b->free_sizes.slot[size_slot(&b->free_rule, size)]++;
	if (size > b->largest_free)
		b->largest_free = size;
}

static void count_used(struct block_walk *b, uint64_t head, uint64_t size,
		       const unsigned char *end)
{
	unsigned int slot = size_slot(&b->block_rule, size);
	uint64_t words[2] = { 0 };

	b->blocks++;
	b->bytes += size;
	b->sizes.slot[slot]++;
	if (!(head & HAS_TAG)) {
		b->untagged.slot[slot]++;
	} else if (b->on_tag) {
		memcpy(words, end - 8 * b->tag_words, 8 * b->tag_words);
		b->on_tag(b->arg, words, size);
	}
}

int block_walk(struct block_window *w, struct block_walk *b)
{
	vmaddr_t at = b->carrier + b->header, end = b->carrier + b->size, next;
	const unsigned char *border;
	bool prev_free = false;
	uint64_t head, size;

	b->blocks = b->bytes = b->free_blocks = b->free_bytes = b->largest_free = 0;
	memset(&b->sizes, 0, sizeof(b->sizes));
	memset(&b->free_sizes, 0, sizeof(b->free_sizes));
	memset(&b->untagged, 0, sizeof(b->untagged));
	w->len = 0;
	if (end < b->carrier || b->header > b->size || b->size - b->header < MIN_BLOCK ||
	    b->tag_words > 2)
		return -EAGAIN;
	border = window_at(w, at, AFTER, end);
	if (!border)
		return -EFAULT;
	for (;;) {
		head = get(border);
		if (!header_fits(b, at, head, get(border + 8), prev_free))
			return -EAGAIN;
		size = head & (head & THIS_FREE ? FREE_SIZE : USED_SIZE);
		if (size < MIN_BLOCK || size > end - at ||
		    (!(head & LAST_BLOCK)) != (size < end - at))
			return -EAGAIN;
		next = at + size;
		if (next != end && end - next < MIN_BLOCK)
			return -EAGAIN;
		w->gap = (3 * w->gap + size) / 4;
		border = window_at(w, next - BEFORE, next == end ? BEFORE : BEFORE + AFTER, end);
		if (!border)
			return -EFAULT;
		border += BEFORE;
		if (head & THIS_FREE) {
			/* its size is repeated for the block behind it, where there is one */
			if (next != end && get(border - 8) != size)
				return -EAGAIN;
			count_free(b, size);
		} else {
			count_used(b, head, size, border);
		}
		if (next == end)
			return 0;
		prev_free = head & THIS_FREE;
		at = next;
	}
}

uint64_t block_single_size(uint64_t header, uint64_t carrier_size, uint64_t header_size)
{
	uint64_t size = header & FREE_SIZE;

	/* all three flags at once: what no block of a multi-block carrier has */
	if ((header & FLAGS) != FLAGS || size < MIN_BLOCK || header_size > carrier_size ||
	    size > carrier_size - header_size)
		return 0;
	return size;
}
