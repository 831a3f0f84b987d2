// SPDX-License-Identifier: GPL-2.0-only
#include "snap_heap_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SHIFT 13 /* 8192 words, 64 KiB */
#define CHUNK_WORDS (1UL << CHUNK_SHIFT)
#define CHUNKS_KEPT 4096 /* 256 MiB */
#define HEAP_WORDS_MAX (1ULL << 33) /* 64 GiB: its marks take one */
#define FRAGS_MAX 1000000 /* fragments and messages, all together */
#define DEPTH_MAX (1UL << 22) /* entries of the stack of a trace: 64 MiB */

/* --- the copy --------------------------------------------------------------------------------- */

static bool add_area(struct heap *h, vmaddr_t start, uint64_t words)
{
	struct area *a;

	if (!words)
		return true;
	if ((start & 7) || words > HEAP_WORDS_MAX || h->words + words > HEAP_WORDS_MAX)
		return false;
	if (h->nareas == h->areas_cap) {
		h->areas_cap = h->areas_cap ? 2 * h->areas_cap : 16;
		h->areas = xrealloc(h->areas, h->areas_cap * sizeof(*h->areas));
	}
	a = &h->areas[h->nareas++];
	*a = (struct area){ start, start + 8 * words, 0 };
	h->words += words;
	return true;
}

static int by_address(const void *pa, const void *pb)
{
	const struct area *a = pa, *b = pb;

	return a->start < b->start ? -1 : a->start > b->start;
}

/* Numbers the areas; false where two overlap: no heap looks like that. */
static bool number_areas(struct heap *h)
{
	uint64_t n = 0;
	size_t i;

	qsort(h->areas, h->nareas, sizeof(*h->areas), by_address);
	for (i = 0; i < h->nareas; i++) {
		if (i && h->areas[i].start < h->areas[i - 1].end)
			return false;
		h->areas[i].first = n;
		n += (h->areas[i].end - h->areas[i].start) / 8;
	}
	return true;
}

static bool add_frag(struct heap *h, vmaddr_t frag, vmaddr_t *next)
{
	const struct layout_fields *f = &h->vm->lay->f;
	uint64_t used, size;

	if (h->nfrags++ == FRAGS_MAX || (frag & 7) ||
	    !reader_u64(&h->vm->rd, frag + f->frag_next, next) ||
	    !reader_u64(&h->vm->rd, frag + f->frag_used_size, &used) ||
	    !reader_u64(&h->vm->rd, frag + f->frag_alloc_size, &size) || used > size ||
	    !add_area(h, frag + f->frag_mem, used))
		return false;
	h->frags += used;
	return true;
}

static bool add_frags(struct heap *h, vmaddr_t frag)
{
	while (frag)
		if (!add_frag(h, frag, &frag))
			return false;
	return true;
}

/* Messages that were received: what they brought stays in their fragments until a collection. */
static bool add_message_frags(struct heap *h, vmaddr_t msg)
{
	const struct layout_fields *f = &h->vm->lay->f;
	uint64_t attached;

	while (msg)
		if (h->nfrags++ == FRAGS_MAX || (msg & 7) ||
		    !reader_u64(&h->vm->rd, msg + f->msg_attached, &attached) ||
		    !add_frags(h, attached == 1 ? msg + f->msg_frag : attached) ||
		    !reader_u64(&h->vm->rd, msg + f->msg_next, &msg))
			return false;
	return true;
}

static bool find_areas(struct heap *h, const struct proc_image *p)
{
	if (p->htop < p->heap || p->hend < p->htop || p->stop < p->htop || p->stop > p->hend ||
	    (p->old_heap && (p->old_htop < p->old_heap || p->old_hend < p->old_htop)))
		return false;
	h->young = (p->htop - p->heap) / 8;
	h->young_free = (p->stop - p->htop) / 8;
	h->stack_words = (p->hend - p->stop) / 8;
	if (p->old_heap) {
		h->old = (p->old_htop - p->old_heap) / 8;
		h->old_free = (p->old_hend - p->old_htop) / 8;
	}
	return add_area(h, p->heap, h->young) && add_area(h, p->old_heap, h->old) &&
	       add_frags(h, p->mbuf) && add_message_frags(h, p->msg_frag) && number_areas(h);
}

struct heap *snap_heap_open(struct vm *vm, const struct proc_image *p, const char **why)
{
	struct heap *h;

	if (!p->still) {
		*why = "it runs";
		return NULL;
	}
	if (p->abandoned_heap) {
		*why = "a collection of it is put off";
		return NULL;
	}
	h = xcalloc(1, sizeof(*h));
	h->vm = vm;
	if (!find_areas(h, p)) {
		*why = "its areas are not where they should be";
		snap_heap_close(h);
		return NULL;
	}
	h->nchunks = (h->words + CHUNK_WORDS - 1) >> CHUNK_SHIFT;
	h->chunks = xcalloc(h->nchunks + 1, sizeof(*h->chunks));
	h->kept = xcalloc(CHUNKS_KEPT, sizeof(*h->kept));
	h->marks = xcalloc(h->words / 64 + 1, 8);
	return h;
}

void snap_heap_close(struct heap *h)
{
	size_t i;

	if (!h)
		return;
	for (i = 0; h->chunks && i < h->nchunks; i++)
		free(h->chunks[i]);
	free(h->chunks);
	free(h->kept);
	free(h->marks);
	free(h->areas);
	free(h->stack);
	free(h);
}

/* The area of a word's number. */
static struct area *area_of(struct heap *h, uint64_t n)
{
	size_t low = 0, high = h->nareas, mid;

	while (high - low > 1) {
		mid = (low + high) / 2;
		if (h->areas[mid].first <= n)
			low = mid;
		else
			high = mid;
	}
	return &h->areas[low];
}

static bool load_chunk(struct heap *h, size_t c)
{
	uint64_t n = (uint64_t)c << CHUNK_SHIFT, end = n + CHUNK_WORDS, k;
	uint64_t *to = NULL;
	struct area *a;

	if (h->nkept == CHUNKS_KEPT) {
		to = h->chunks[h->kept[h->oldest]];
		h->chunks[h->kept[h->oldest]] = NULL;
	} else {
		h->nkept++;
		to = xcalloc(CHUNK_WORDS, 8);
	}
	h->kept[h->oldest] = c;
	h->oldest = (h->oldest + 1) % CHUNKS_KEPT;
	h->chunks[c] = to;
	if (end > h->words)
		end = h->words;
	for (a = area_of(h, n); n < end; a++, n += k) {
		k = (a->end - a->start) / 8 - (n - a->first);
		if (k > end - n)
			k = end - n;
		if (!reader_copy(&h->vm->rd, a->start + 8 * (n - a->first),
				 to + (n & (CHUNK_WORDS - 1)), 8 * k)) {
			h->err = -EFAULT;
			return false;
		}
	}
	return true;
}

/* The number of the word at an address; false where that is in no area. */
bool heap_place(struct heap *h, vmaddr_t addr, uint64_t *n)
{
	struct area *a = &h->areas[h->last];
	size_t low = 0, high = h->nareas, mid;

	if (!h->nareas || (addr & 7))
		return false;
	if (addr < a->start || addr >= a->end) {
		while (high - low > 1) {
			mid = (low + high) / 2;
			if (h->areas[mid].start <= addr)
				low = mid;
			else
				high = mid;
		}
		a = &h->areas[low];
		if (addr < a->start || addr >= a->end)
			return false;
		h->last = low;
	}
	*n = a->first + (addr - a->start) / 8;
	return true;
}

bool heap_word_no(struct heap *h, uint64_t n, uint64_t *w)
{
	size_t c = n >> CHUNK_SHIFT;

	if (!h->chunks[c] && !load_chunk(h, c))
		return false;
	*w = h->chunks[c][n & (CHUNK_WORDS - 1)];
	return true;
}

/* A word of an object that begins in an area: all of it is there, else the copy is torn. */
bool heap_word(struct heap *h, vmaddr_t addr, uint64_t *w)
{
	uint64_t n;

	if (!heap_place(h, addr, &n)) {
		if (!h->err)
			h->err = -EAGAIN;
		return false;
	}
	return heap_word_no(h, n, w);
}

/* --- objects ---------------------------------------------------------------------------------- */

static bool map_shape(struct heap *h, vmaddr_t at, uint64_t hdr, struct heap_shape *s)
{
	uint64_t arity = hdr >> 8 & 255, size = 0;

	if (!(hdr >> 6 & 3)) {
		if (!heap_word(h, at + 8, &size))
			return false;
		*s = (struct heap_shape){ 2 + arity + size, 2, arity + size, 0 };
	} else {
		size = __builtin_popcountll(hdr >> 16 & 0xffff);
		*s = (struct heap_shape){ 1 + arity + size, 1 + arity, size, 0 };
	}
	return size < HEAP_WORDS_MAX;
}

/* Until OTP 26: creator, and an environment behind it. */
static bool old_fun_shape(struct heap *h, vmaddr_t at, struct heap_shape *s)
{
	const struct layout_fields *f = &h->vm->lay->f;
	uint64_t n;

	if (f->fun_num_free == LAYOUT_ABSENT || f->fun_creator == LAYOUT_ABSENT ||
	    !heap_word(h, at + (f->fun_num_free & ~7u), &n))
		return false;
	n = f->fun_arity_size == 1 ? n >> 8 * (f->fun_num_free & 7) & 255 : n;
	*s = (struct heap_shape){ f->fun_env / 8 + n, f->fun_env / 8, n, f->fun_creator / 8 };
	return n < 1024;
}

/* As the collector knows them: erl_term.h, erl_gc.c. */
bool heap_shape(struct heap *h, vmaddr_t at, uint64_t hdr, struct heap_shape *s)
{
	int otp = h->vm->lay->otp;
	bool old = otp < 27;

	*s = (struct heap_shape){ 1 + (hdr >> 6), 0, 0, 0 };
	switch (hdr & 0x3f) {
	case 0x00:
		s->from = 1;
		s->n = hdr >> 6;
		break;
	case 0x04: /* match state; from 27 on a reference to a fun's entry */
		s->extra = old ? 1 : 0;
		break;
	case 0x08: case 0x0c: case 0x10: case 0x18: case 0x30: case 0x34: case 0x38:
		break;
	case 0x14:
		if (old)
			return old_fun_shape(h, at, s);
		*s = (struct heap_shape){ 2 + (hdr >> 16 & 255), 2, hdr >> 16 & 255, 0 };
		break;
	case 0x1c: /* export fun, or from 29 on a record */
		if (otp >= 29) {
			s->from = 1;
			s->n = hdr >> 6;
		} else if (otp > 24) {
			return false;
		}
		break;
	case 0x20: /* refc binary; from 27 on bits on the heap */
		break;
	case 0x24: /* bytes on the heap; from 27 on part of a binary, or a match context */
		if (!old)
			*s = (struct heap_shape){ 5, 0, 0, h->vm->lay->f.subbits_orig / 8 };
		break;
	case 0x28: /* part of a binary; from 27 on the reference to one */
		if (old)
			*s = (struct heap_shape){ h->vm->lay->f.subbin_orig / 8 + 1, 0, 0,
					     h->vm->lay->f.subbin_orig / 8 };
		break;
	case 0x2c:
		return !old && map_shape(h, at, hdr, s);
	case 0x3c:
		return old && map_shape(h, at, hdr, s);
	default:
		return false;
	}
	return s->words < HEAP_WORDS_MAX;
}

/* --- the trace -------------------------------------------------------------------------------- */

bool heap_marked(struct heap *h, uint64_t n)
{
	return h->marks[n / 64] >> (n & 63) & 1;
}

static bool push(struct heap *h, vmaddr_t at, uint64_t left)
{
	if (h->depth == h->depth_cap) {
		if (h->depth_cap >= DEPTH_MAX) {
			h->err = -E2BIG;
			return false;
		}
		h->depth_cap = h->depth_cap ? 2 * h->depth_cap : 1024;
		h->stack = xrealloc(h->stack, h->depth_cap * sizeof(*h->stack));
	}
	h->stack[h->depth++] = (struct pending){ at, left };
	return true;
}

/* Marks one object, and has its terms followed; 0 where it was marked, or is not of this heap. */
uint64_t heap_enter(struct heap *h, eterm_t t)
{
	vmaddr_t at = t & ~(vmaddr_t)7;
	struct heap_shape s = { 2, 0, 2, 0 };
	uint64_t n, hdr, last;

	if (((t & 3) != 1 && (t & 3) != 2) || !heap_place(h, at, &n) || heap_marked(h, n))
		return 0;
	if ((t & 3) == 2 &&
	    (!heap_word_no(h, n, &hdr) || (hdr & 3) || !heap_shape(h, at, hdr, &s))) {
		if (!h->err)
			h->err = -EAGAIN;
		return 0;
	}
	if (!heap_place(h, at + 8 * (s.words - 1), &last) || last - n != s.words - 1) {
		h->err = -EAGAIN;
		return 0;
	}
	h->marks[n / 64] |= 1ULL << (n & 63);
	if ((s.extra && !push(h, at + 8 * s.extra, 1)) ||
	    (s.n && !push(h, at + 8 * s.from, s.n)))
		return 0;
	return s.words;
}

/* Words that a term reaches and that were not marked before. */
uint64_t heap_trace(struct heap *h, eterm_t t)
{
	struct pending *p;
	uint64_t sum, w;
	vmaddr_t at;

	h->depth = 0;
	sum = heap_enter(h, t);
	while (h->depth && !h->err) {
		p = &h->stack[h->depth - 1];
		at = p->at;
		p->at += 8;
		if (!--p->left)
			h->depth--; /* the tail of a list does not go deeper */
		if (!heap_word(h, at, &w))
			break;
		sum += heap_enter(h, w);
	}
	h->spent += sum;
	return sum;
}

/* --- all of it -------------------------------------------------------------------------------- */

int snap_heap_trace(struct heap *h, struct terms *ts, struct heap_sum *s)
{
	uint64_t reached = 0;
	size_t i, k;

	h->spent = 0;
	for (i = 0; i < s->nroots && !h->err; i++) {
		struct heap_root *r = &s->roots[i];

		for (k = r->words = 0; k < r->n && !h->err; k++)
			r->words += heap_trace(h, r->terms[k]);
		reached += r->words;
		if (r->words > s->roots[s->largest].words)
			s->largest = i;
	}
	s->young_used = h->young;
	s->old_used = h->old;
	s->fragments = h->frags;
	s->used = h->words;
	s->young_free = h->young_free;
	s->old_free = h->old_free;
	s->stack = h->stack_words;
	if (!h->err && reached > h->words)
		h->err = -EAGAIN;
	if (h->err)
		return h->err;
	s->garbage = h->words - reached;
	if (s->nroots && s->roots[s->largest].words >= 64)
		heap_parts(h, ts, s);
	return h->err;
}

/* --- roots ------------------------------------------------------------------------------------ */

void heap_root_add(struct heap_sum *s, const char *label, eterm_t term)
{
	struct heap_root *r = s->nroots ? &s->roots[s->nroots - 1] : NULL;

	if (!r || strcmp(r->label, label)) {
		if (s->nroots == s->cap) {
			s->cap = s->cap ? 2 * s->cap : 32;
			s->roots = xrealloc(s->roots, s->cap * sizeof(*s->roots));
		}
		r = &s->roots[s->nroots++];
		memset(r, 0, sizeof(*r));
		r->label = xstrdup(label);
	}
	if (r->n == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 1;
		r->terms = xrealloc(r->terms, r->cap * sizeof(*r->terms));
	}
	r->terms[r->n++] = term;
}

void heap_sum_free(struct heap_sum *s)
{
	size_t i;

	for (i = 0; i < s->nroots; i++) {
		free(s->roots[i].label);
		free(s->roots[i].terms);
	}
	for (i = 0; i < s->nparts; i++)
		free(s->parts[i].label);
	free(s->roots);
	free(s->parts);
	memset(s, 0, sizeof(*s));
}
