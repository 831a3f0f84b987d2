// SPDX-License-Identifier: GPL-2.0-only
#include "snap_held.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define FRAGS_MAX 100000
#define RETRIES 25     /* rounds for processes that move */
#define REST_ROUNDS 3  /* of them, for processes that just run */
#define RETRY_NS 1000000
#define HELD_BATCH 128 /* images read at a time: soon enough to be still true when walked */

/*
 * Nodes of a chain lie close together on the heap, newest first, until a collection has moved them:
 * then they may be all over it.  So a node is read as part of its page, and the page kept for the
 * next ones, of a heap of up to 16 MiB all of them.  Those that came in messages may lie each in a
 * fragment of its own, wherever that is: then pages do not pay, and nodes are read alone.
 */
#define PAGE 4096
#define PAGES 4096
#define LONELY 16      /* pages read in a row for one node each */
#define LONELY_TRY 256 /* from then on, every so many nodes a page again */
#define BIN_BATCH 512

struct page_cache {
	uint64_t round; /* of the walk: pages of earlier ones do not count */
	unsigned int lonely; /* nodes since one was found in a page that was there */
	struct { vmaddr_t base; uint64_t round; } page[PAGES];
	unsigned char bytes[PAGES][PAGE]; /* memory is taken when used */
};

static bool cached_copy(struct vm *vm, struct page_cache *pc, vmaddr_t addr, void *buf, size_t len)
{
	vmaddr_t base = addr & ~(vmaddr_t)(PAGE - 1);
	size_t off = addr - base, k = base / PAGE % PAGES;

	if (off + len > PAGE)
		return reader_copy(&vm->rd, addr, buf, len);
	if (pc->page[k].base == base && pc->page[k].round == pc->round) {
		pc->lonely = 0;
	} else {
		if (pc->lonely++ >= LONELY && pc->lonely % LONELY_TRY)
			return reader_copy(&vm->rd, addr, buf, len);
		pc->page[k].round = 0;
		/* a heap may begin or end inside of the page: then just the node */
		if (!reader_copy(&vm->rd, base, pc->bytes[k], PAGE))
			return reader_copy(&vm->rd, addr, buf, len);
		pc->page[k].base = base;
		pc->page[k].round = pc->round;
	}
	memcpy(buf, pc->bytes[k] + off, len);
	return true;
}

struct bin_sum {
	uint64_t refs, bytes, fresh_refs, fresh_bytes;
	vmaddr_t pending[BIN_BATCH]; /* Binary addresses whose size is still to be read */
	bool fresh[BIN_BATCH];
	size_t n;
	bool partial;
};

static void sum_flush(struct vm *vm, struct bin_sum *s)
{
	struct read_req req[BIN_BATCH];
	uint64_t sizes[BIN_BATCH];
	size_t i;

	for (i = 0; i < s->n; i++)
		req[i] = (struct read_req){ s->pending[i] + vm->lay->f.bin_orig_size, &sizes[i], 8,
					    false };
	reader_batch(&vm->rd, req, s->n);
	for (i = 0; i < s->n; i++) {
		if (!req[i].ok || sizes[i] >= 1ULL << 47) {
			s->partial = true;
			continue;
		}
		s->bytes += sizes[i];
		if (s->fresh[i])
			s->fresh_bytes += sizes[i];
	}
	s->n = 0;
}

/* Did this node come since the last collection?  See bpf/core.bpf.c, which has the same rule. */
static bool is_fresh(const struct proc_image *p, vmaddr_t node)
{
	vmaddr_t heap = p->abandoned_heap ? p->abandoned_heap : p->heap;

	return !(node >= heap && node < p->high_water) &&
	       !(node >= p->old_heap && node < p->old_hend);
}

/*
 * From OTP 27 on the mark of the last collection is moved when one is put off, for a moment: the
 * next one is due.
 */
static bool mark_moved(const struct proc_image *p)
{
	return p->abandoned_heap && (p->high_water < p->abandoned_heap ||
				     p->high_water > p->abandoned_heap + 8 * p->heap_sz);
}

static void sum_chain(struct vm *vm, struct page_cache *pc, struct held_walk *walk,
		      const struct proc_image *image, vmaddr_t first, bool tell, struct bin_sum *s)
{
	const struct release_facts *r = vm->lay->facts;
	vmaddr_t at = first;
	uint64_t node[4];
	bool fresh;

	while (at) {
		if (!walk->refs_budget || (at & 7) ||
		    !cached_copy(vm, pc, at, node, r->bin_node_bytes)) {
			s->partial = true;
			break;
		}
		walk->refs_budget--;
		fresh = is_fresh(image, at);
		if (!fresh && walk->fresh_only)
			break; /* newest first */
		if (node[0] == r->bin_header) {
			s->refs++;
			s->fresh_refs += fresh;
			s->fresh[s->n] = fresh;
			s->pending[s->n++] = node[vm->lay->f.oh_val / 8 & 3];
			if (walk->on_ref && tell)
				walk->on_ref(walk->arg, s->pending[s->n - 1]);
			if (s->n == BIN_BATCH)
				sum_flush(vm, s);
		}
		at = node[vm->lay->f.oh_next / 8 & 3];
	}
	sum_flush(vm, s);
}

/*
 * Did the chains hold still between two looks?  A collection moves them; all else only prepends
 * nodes to off_heap, which leaves what was walked a true answer of a moment ago.  So a process
 * that runs need not stop for us, as long as it does not collect.
 */
static bool same(const struct proc_image *a, const struct proc_image *b)
{
	return a->id == b->id &&
	       !((a->state | b->state) & (PSFLG_GC | PSFLG_EXITING | PSFLG_FREE)) &&
	       a->heap == b->heap && a->old_heap == b->old_heap && a->old_htop == b->old_htop &&
	       a->gen_gcs == b->gen_gcs && a->wrt_bins == b->wrt_bins && a->mbuf == b->mbuf &&
	       b->off_heap_overhead >= a->off_heap_overhead;
}

/* Heap allocated since the last collection; an abandoned heap's use is not told by the struct. */
static void fresh_words(const struct proc_image *p, struct held_bins *out)
{
	out->words_known = p->still && !p->abandoned_heap && p->htop >= p->high_water &&
			   p->high_water >= p->heap;
	if (out->words_known)
		out->fresh_words = (p->htop - p->high_water) / 8 + p->mbuf_sz;
}

static int walk_image(struct vm *vm, const struct proc_id *who, const struct proc_image *image,
		      struct held_walk *walk, struct held_bins *out)
{
	static struct page_cache *pc;
	struct bin_sum sum = { 0 }, wrt = { 0 };
	struct proc_image after;
	uint64_t frag, head[2], first;
	int i;

	memset(out, 0, sizeof(*out));
	if (!image->addr || image->id != who->id || image->state & (PSFLG_FREE | PSFLG_EXITING))
		return -ESRCH;
	if (mark_moved(image))
		return -EAGAIN;
	fresh_words(image, out);
	if (!image->off_heap_first && !image->wrt_bins && !image->mbuf)
		return 0;
	if (!pc)
		pc = xcalloc(1, sizeof(*pc));
	pc->round++;
	pc->lonely = 0;
	sum_chain(vm, pc, walk, image, image->off_heap_first, true, &sum);
	sum_chain(vm, pc, walk, image, image->wrt_bins,
		  !walk->listed_only || vm->lay->facts->list_has_wrt_bins, &wrt);
	for (frag = image->mbuf, i = 0; frag; frag = head[0], i++) {
		if (i == FRAGS_MAX || vm->lay->f.frag_next == LAYOUT_ABSENT ||
		    !reader_u64(&vm->rd, frag + vm->lay->f.frag_next, &head[0]) ||
		    !reader_u64(&vm->rd, frag + vm->lay->f.frag_off_heap_first, &first)) {
			sum.partial = true;
			break;
		}
		sum_chain(vm, pc, walk, image, first, true, &sum);
	}
	if (snap_proc_image(vm, who->addr, &after) || after.id != who->id)
		return -ESRCH;
	if (!same(image, &after))
		return -EAGAIN;
	out->refs = sum.refs + (vm->lay->facts->list_has_wrt_bins ? wrt.refs : 0);
	out->bytes = sum.bytes + (vm->lay->facts->list_has_wrt_bins ? wrt.bytes : 0);
	out->writable_refs = wrt.refs;
	out->writable_bytes = wrt.bytes;
	out->fresh_refs = sum.fresh_refs + wrt.fresh_refs;
	out->fresh_bytes = sum.fresh_bytes + wrt.fresh_bytes;
	out->partial = sum.partial || wrt.partial;
	return 0;
}

int snap_held_bins(struct vm *vm, const struct proc_id *who, struct held_walk *walk,
		   struct held_bins *out, struct proc_image *image)
{
	snap_proc_images(vm, who, 1, image);
	return walk_image(vm, who, image, walk, out);
}

long snap_held_all(struct vm *vm, struct held_walk *walk, const struct held_visitor *v)
{
	static struct proc_image images[HELD_BATCH];
	struct timespec pause = { 0, RETRY_NS };
	struct held_bins held;
	struct proc_ids ids;
	size_t from, k, i, left, moved;
	int round, err;

	if (snap_proc_ids(vm, &ids))
		return -1;
	left = ids.n;
	for (round = 0; round < RETRIES && left; round++) {
		if (round)
			nanosleep(&pause, NULL);
		for (from = moved = 0; from < left; from += k) {
			k = left - from < HELD_BATCH ? left - from : HELD_BATCH;
			snap_proc_images(vm, ids.v + from, k, images);
			for (i = 0; i < k; i++) {
				v->start(v->arg);
				err = walk_image(vm, &ids.v[from + i], &images[i], walk, &held);
				/* what a process that runs has allocated takes a moment of rest */
				if (err == -EAGAIN ||
				    (!err && !held.words_known && round < REST_ROUNDS))
					ids.v[moved++] = ids.v[from + i];
				else if (!err)
					v->found(v->arg, &ids.v[from + i], &held);
			}
		}
		left = moved;
	}
	snap_proc_ids_free(&ids);
	return left;
}
