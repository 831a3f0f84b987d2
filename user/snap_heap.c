// SPDX-License-Identifier: GPL-2.0-only
#include "snap_heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SHIFT 13 /* 8192 words, 64 KiB */
#define CHUNK_WORDS (1UL << CHUNK_SHIFT)
#define CHUNKS_KEPT 4096 /* 256 MiB */
#define HEAP_WORDS_MAX (1ULL << 37) /* a TiB: no heap */
#define FRAGS_MAX 1000000
#define DEPTH_MAX (1UL << 22) /* entries of the stack of a trace: 64 MiB */
#define PART_LEVELS 6
#define PART_TOP 3	 /* parts named per level */
#define PART_SHARE 10	 /* a part below this share (1/n) of the root is not looked into */
#define PARTS_WORDS 8	 /* times the heap: what looking for parts may cost */

/* Words of the copy have one number through all areas: see place(). */
struct area {
	vmaddr_t start, end;
	uint64_t first; /* number of its first word */
};

/* Words still to be followed: terms, one after the other. */
struct pending {
	vmaddr_t at;
	uint64_t left;
};

struct heap {
	struct vm *vm;
	struct area *areas; /* by address */
	size_t nareas, areas_cap, last;
	uint64_t words;
	uint64_t **chunks;
	size_t nchunks, *kept, nkept, oldest; /* kept: a ring of those that are loaded */
	uint64_t *marks;
	struct pending *stack;
	size_t depth, depth_cap;
	uint64_t young, old, frags, young_free, old_free, stack_words;
	uint64_t spent; /* words traced since the marks were last counted */
	int err;
};

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

	if ((frag & 7) || !reader_u64(&h->vm->rd, frag + f->frag_next, next) ||
	    !reader_u64(&h->vm->rd, frag + f->frag_used_size, &used) ||
	    !reader_u64(&h->vm->rd, frag + f->frag_alloc_size, &size) || used > size ||
	    !add_area(h, frag + f->frag_mem, used))
		return false;
	h->frags += used;
	return true;
}

static bool add_frags(struct heap *h, vmaddr_t frag)
{
	size_t n;

	for (n = 0; frag; n++)
		if (n == FRAGS_MAX || !add_frag(h, frag, &frag))
			return false;
	return true;
}

/* Messages that were received: what they brought stays in their fragments until a collection. */
static bool add_message_frags(struct heap *h, vmaddr_t msg)
{
	const struct layout_fields *f = &h->vm->lay->f;
	uint64_t attached;
	size_t n;

	for (n = 0; msg; n++) {
		if (n == FRAGS_MAX || (msg & 7) ||
		    !reader_u64(&h->vm->rd, msg + f->msg_attached, &attached) ||
		    !add_frags(h, attached == 1 ? msg + f->msg_frag : attached) ||
		    !reader_u64(&h->vm->rd, msg + f->msg_next, &msg))
			return false;
	}
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

struct heap *snap_heap_open(struct vm *vm, const struct proc_image *p, const char **why,
			    bool *again)
{
	struct heap *h;

	*again = true;
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
static bool place(struct heap *h, vmaddr_t addr, uint64_t *n)
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

static bool word_no(struct heap *h, uint64_t n, uint64_t *w)
{
	size_t c = n >> CHUNK_SHIFT;

	if (!h->chunks[c] && !load_chunk(h, c))
		return false;
	*w = h->chunks[c][n & (CHUNK_WORDS - 1)];
	return true;
}

/* A word of an object that begins in an area: all of it is there, else the copy is torn. */
static bool word_at(struct heap *h, vmaddr_t addr, uint64_t *w)
{
	uint64_t n;

	if (!place(h, addr, &n)) {
		if (!h->err)
			h->err = -EAGAIN;
		return false;
	}
	return word_no(h, n, w);
}

/* --- objects ------------------------------------------------------------------------------------ */

/* Size of an object with its header; terms in it: @n words from the @from'th on, and one more. */
struct shape {
	uint64_t words, from, n;
	uint64_t extra; /* a word that is a term, too; 0: none */
};

static bool map_shape(struct heap *h, vmaddr_t at, uint64_t hdr, struct shape *s)
{
	uint64_t arity = hdr >> 8 & 255, size = 0;

	if (!(hdr >> 6 & 3)) {
		if (!word_at(h, at + 8, &size))
			return false;
		*s = (struct shape){ 2 + arity + size, 2, arity + size, 0 };
	} else {
		size = __builtin_popcountll(hdr >> 16 & 0xffff);
		*s = (struct shape){ 1 + arity + size, 1 + arity, size, 0 };
	}
	return size < HEAP_WORDS_MAX;
}

/* Until OTP 26: creator, and an environment behind it. */
static bool old_fun_shape(struct heap *h, vmaddr_t at, struct shape *s)
{
	const struct layout_fields *f = &h->vm->lay->f;
	uint64_t n;

	if (f->fun_num_free == LAYOUT_ABSENT || f->fun_creator == LAYOUT_ABSENT ||
	    !word_at(h, at + (f->fun_num_free & ~7u), &n))
		return false;
	n = f->fun_arity_size == 1 ? n >> 8 * (f->fun_num_free & 7) & 255 : n;
	*s = (struct shape){ f->fun_env / 8 + n, f->fun_env / 8, n, f->fun_creator / 8 };
	return n < 1024;
}

/* As the collector knows them: erl_term.h, erl_gc.c. */
static bool object_shape(struct heap *h, vmaddr_t at, uint64_t hdr, struct shape *s)
{
	int otp = h->vm->lay->otp;
	bool old = otp < 27;

	*s = (struct shape){ 1 + (hdr >> 6), 0, 0, 0 };
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
		*s = (struct shape){ 2 + (hdr >> 16 & 255), 2, hdr >> 16 & 255, 0 };
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
			*s = (struct shape){ 5, 0, 0, h->vm->lay->f.subbits_orig / 8 };
		break;
	case 0x28: /* part of a binary; from 27 on the reference to one */
		if (old)
			*s = (struct shape){ h->vm->lay->f.subbin_orig / 8 + 1, 0, 0,
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

/* --- the trace ------------------------------------------------------------------------------------ */

static bool marked(struct heap *h, uint64_t n)
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
static uint64_t enter(struct heap *h, eterm_t t)
{
	vmaddr_t at = t & ~(vmaddr_t)7;
	struct shape s = { 2, 0, 2, 0 };
	uint64_t n, hdr, last;

	if (((t & 3) != 1 && (t & 3) != 2) || !place(h, at, &n) || marked(h, n))
		return 0;
	if ((t & 3) == 2 &&
	    (!word_no(h, n, &hdr) || (hdr & 3) || !object_shape(h, at, hdr, &s))) {
		if (!h->err)
			h->err = -EAGAIN;
		return 0;
	}
	if (!place(h, at + 8 * (s.words - 1), &last) || last - n != s.words - 1) {
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
static uint64_t trace(struct heap *h, eterm_t t)
{
	struct pending *p;
	uint64_t sum, w;
	vmaddr_t at;

	h->depth = 0;
	sum = enter(h, t);
	while (h->depth && !h->err) {
		p = &h->stack[h->depth - 1];
		at = p->at;
		p->at += 8;
		if (!--p->left)
			h->depth--; /* the tail of a list does not go deeper */
		if (!word_at(h, at, &w))
			break;
		sum += enter(h, w);
	}
	h->spent += sum;
	return sum;
}

/* --- parts of the largest root ---------------------------------------------------------------------- */

/* The parts of one term, as they are measured. */
struct level {
	struct heap *h;
	struct terms *ts;
	eterm_t stop_at;	/* leave the marks as they are before this part; 0: none */
	uint64_t stop_no;
	uint64_t no;		/* of the part that comes next */
	uint64_t sum, own;
	struct { struct heap_part part; uint64_t no; } top[PART_TOP];
	size_t ntop;
	bool stopped;
};

enum label_kind { LABEL_ELEMENT, LABEL_ITEM, LABEL_KEY, LABEL_FREE, LABEL_TAIL };

static char *part_label(struct level *l, enum label_kind kind, uint64_t no, eterm_t key)
{
	struct term_limits lim = { .depth = 4, .max_terms = 20, .max_bytes = 60 };
	char buf[160], *text;

	switch (kind) {
	case LABEL_KEY:
		text = term_text(l->ts, key, &lim, NULL);
		snprintf(buf, sizeof(buf), "key %s", text);
		free(text);
		break;
	case LABEL_ELEMENT:
		snprintf(buf, sizeof(buf), "element %llu", (unsigned long long)no);
		break;
	case LABEL_ITEM:
		snprintf(buf, sizeof(buf), "item %llu", (unsigned long long)no);
		break;
	case LABEL_FREE:
		snprintf(buf, sizeof(buf), "variable %llu", (unsigned long long)no);
		break;
	case LABEL_TAIL:
		snprintf(buf, sizeof(buf), "tail");
		break;
	}
	return xstrdup(buf);
}

/* Measures a part, and keeps it among the largest of its level.  False: stop here. */
static bool part(struct level *l, enum label_kind kind, uint64_t no, eterm_t key, eterm_t t)
{
	uint64_t words, this = l->no++;
	size_t i;

	if (l->stop_at && this == l->stop_no) {
		l->stopped = true;
		return false;
	}
	words = kind == LABEL_KEY ? trace(l->h, key) : 0;
	words += trace(l->h, t);
	if (l->h->err)
		return false;
	l->sum += words;
	if (!words || l->stop_at)
		return true;
	for (i = l->ntop; i && l->top[i - 1].part.words < words; i--)
		;
	if (i == PART_TOP)
		return true;
	if (l->ntop == PART_TOP)
		free(l->top[--l->ntop].part.label);
	memmove(&l->top[i + 1], &l->top[i], (l->ntop - i) * sizeof(l->top[0]));
	l->ntop++;
	l->top[i].no = this;
	l->top[i].part = (struct heap_part){ .label = part_label(l, kind, no, key), .term = t,
					     .words = words };
	return true;
}

/* Marks an object that is looked into, but nothing in it. */
static void take(struct level *l, eterm_t t)
{
	l->h->depth = 0;
	l->own += enter(l->h, t);
	l->h->depth = 0;
}

static void list_parts(struct level *l, eterm_t t)
{
	uint64_t no, w[2], n;

	for (no = 1; (t & 3) == 1; no++) {
		if (!place(l->h, t & ~7ULL, &n) || (marked(l->h, n)))
			return;
		if (!word_no(l->h, n, &w[0]) || !word_at(l->h, (t & ~7ULL) + 8, &w[1]))
			return;
		take(l, t);
		if (!part(l, LABEL_ITEM, no, 0, w[0]))
			return;
		t = w[1];
	}
	part(l, LABEL_TAIL, 0, 0, t);
}

static void flat_map_parts(struct level *l, vmaddr_t at)
{
	uint64_t size, keys, i, k, v;

	if (!word_at(l->h, at + 8, &size) || !word_at(l->h, at + 16, &keys))
		return;
	l->own += trace(l->h, keys); /* the tuple of keys, and what is large in them */
	for (i = 0; i < size; i++) {
		k = 0;
		if (!term_element(l->ts, keys, i, &k) || !word_at(l->h, at + 24 + 8 * i, &v) ||
		    !part(l, LABEL_KEY, 0, k, v))
			return;
	}
}

/* Nodes of a hash map: at most so many levels, and 16 children each. */
#define HASH_LEVELS 20

static void hash_map_parts(struct level *l, eterm_t root)
{
	struct { vmaddr_t at; uint64_t left; } path[HASH_LEVELS];
	uint64_t n, w, hdr, pair[2];
	struct shape s;
	int depth = 0;
	eterm_t t = root;

	for (;;) {
		if (((t & 3) == 1 || ((t & 3) == 2 && t != root)) &&
		    (!place(l->h, t & ~7ULL, &n) || marked(l->h, n)))
			t = 0; /* shared with what came before */
		if ((t & 3) == 2) { /* a node */
			if (depth == HASH_LEVELS || !word_at(l->h, t & ~7ULL, &hdr) ||
			    !object_shape(l->h, t & ~7ULL, hdr, &s))
				return;
			if (t != root)
				take(l, t);
			path[depth].at = (t & ~7ULL) + 8 * s.from;
			path[depth++].left = s.n;
		} else if ((t & 3) == 1) { /* a pair */
			if (!word_no(l->h, n, &pair[0]) ||
			    !word_at(l->h, (t & ~7ULL) + 8, &pair[1]))
				return;
			take(l, t);
			if (!part(l, LABEL_KEY, 0, pair[0], pair[1]))
				return;
		}
		while (depth && !path[depth - 1].left)
			depth--;
		if (!depth || !word_at(l->h, path[depth - 1].at, &w))
			return;
		path[depth - 1].at += 8;
		path[depth - 1].left--;
		t = w;
	}
}

static void boxed_parts(struct level *l, eterm_t t)
{
	vmaddr_t at = t & ~7ULL;
	bool old = l->h->vm->lay->otp < 27;
	uint64_t n, hdr, i, w;
	struct shape s;

	if (!place(l->h, at, &n) || marked(l->h, n) || !word_no(l->h, n, &hdr) ||
	    !object_shape(l->h, at, hdr, &s))
		return;
	take(l, t);
	if ((hdr & 0x3f) == (old ? 0x3c : 0x2c)) {
		if (hdr >> 6 & 3)
			hash_map_parts(l, t);
		else
			flat_map_parts(l, at);
		return;
	}
	for (i = 0; i < s.n; i++)
		if (!word_at(l->h, at + 8 * (s.from + i), &w) ||
		    !part(l, (hdr & 0x3f) == 0x14 ? LABEL_FREE : LABEL_ELEMENT, i + 1, 0, w))
			return;
}

static void measure(struct level *l, eterm_t t)
{
	if ((t & 3) == 1)
		list_parts(l, t);
	else if ((t & 3) == 2)
		boxed_parts(l, t);
}

static void add_part(struct heap_sum *s, struct heap_part p)
{
	if (s->nparts == s->parts_cap) {
		s->parts_cap = s->parts_cap ? 2 * s->parts_cap : 16;
		s->parts = xrealloc(s->parts, s->parts_cap * sizeof(*s->parts));
	}
	s->parts[s->nparts++] = p;
}

/*
 * Down from the root's largest term into the largest part of each level.  @base: the marks as they
 * are before that term.
 */
static void find_parts(struct heap *h, struct terms *ts, struct heap_sum *s, eterm_t t,
		       uint64_t *base)
{
	uint64_t most = s->roots[s->largest].words, named, size = (h->words / 64 + 1) * 8;
	unsigned int depth;
	size_t i;

	for (depth = 0; depth < PART_LEVELS && !h->err; depth++) {
		struct level l = { .h = h, .ts = ts }, to = { .h = h, .ts = ts };

		if (h->spent > PARTS_WORDS * h->words) {
			s->parts_cut = true;
			return;
		}
		memcpy(h->marks, base, size);
		measure(&l, t);
		if (!depth)
			s->own = l.own;
		for (i = named = 0; i < l.ntop; i++) {
			l.top[i].part.level = depth;
			add_part(s, l.top[i].part);
			named += l.top[i].part.words;
		}
		if (l.sum > named)
			add_part(s, (struct heap_part){ .level = depth, .words = l.sum - named,
							.others = l.no - l.ntop });
		if (!l.ntop || l.top[0].part.words < most / PART_SHARE || l.top[0].part.words < 64)
			return;
		/* the same again, up to the part that is looked into next */
		memcpy(h->marks, base, size);
		to.stop_at = 1;
		to.stop_no = l.top[0].no;
		measure(&to, t);
		if (!to.stopped)
			return;
		memcpy(base, h->marks, size);
		t = l.top[0].part.term;
	}
}

/* As they are read: a part, what is in it, and then the other parts of its level. */
static void nest_parts(struct heap_sum *s)
{
	struct heap_part *from = s->parts, *to = xcalloc(s->nparts + 1, sizeof(*to));
	size_t first[PART_LEVELS + 1], n = 0, i, k;
	unsigned int levels = 0, l;

	for (i = 0; i < s->nparts; i++)
		if (from[i].level == levels)
			first[levels++] = i;
	for (l = 0; l < levels; l++)
		to[n++] = from[first[l]];
	for (l = levels; l--;)
		for (k = first[l] + 1; k < s->nparts && from[k].level == l; k++)
			to[n++] = from[k];
	free(s->parts);
	s->parts = to;
	s->parts_cap = s->nparts + 1;
}

/* Marks what is before the largest root, and its terms up to its largest. */
static void look_into(struct heap *h, struct terms *ts, struct heap_sum *s)
{
	uint64_t size = (h->words / 64 + 1) * 8, *base = xcalloc(1, size), words, most = 0;
	struct heap_root *r = &s->roots[s->largest];
	size_t i, k, best = 0;

	memset(h->marks, 0, size);
	for (i = 0; i < s->largest; i++)
		for (k = 0; k < s->roots[i].n; k++)
			trace(h, s->roots[i].terms[k]);
	for (k = 0; k < r->n; k++) {
		if (r->n > 1)
			memcpy(base, h->marks, size);
		words = r->n > 1 ? trace(h, r->terms[k]) : 1;
		if (words > most) {
			most = words;
			best = k;
		}
		if (k > 100)
			break;
	}
	if (r->n > 1) {
		memset(h->marks, 0, size);
		for (i = 0; i < s->largest; i++)
			for (k = 0; k < s->roots[i].n; k++)
				trace(h, s->roots[i].terms[k]);
		for (k = 0; k < best; k++)
			trace(h, r->terms[k]);
	}
	memcpy(base, h->marks, size);
	h->spent = 0;
	if (r->n && !h->err)
		find_parts(h, ts, s, r->terms[best], base);
	nest_parts(s);
	free(base);
}

int snap_heap_trace(struct heap *h, struct terms *ts, struct heap_sum *s)
{
	uint64_t reached = 0;
	size_t i, k;

	h->spent = 0;
	for (i = 0; i < s->nroots && !h->err; i++) {
		struct heap_root *r = &s->roots[i];

		for (k = r->words = 0; k < r->n && !h->err; k++)
			r->words += trace(h, r->terms[k]);
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
		look_into(h, ts, s);
	return h->err;
}

/* --- roots ------------------------------------------------------------------------------------------ */

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
