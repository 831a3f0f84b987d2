// SPDX-License-Identifier: GPL-2.0-only
#include "snap_ps.h"
#include "term.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_BYTES (4u << 20)
#define CHUNK_BYTES (256u << 10) /* of processes, read at once */
#define GAP_BYTES 2048	 /* between two of them that is read along: no page lies in it */
#define PROCESS_MAX 2048
#define RETRIES 8
#define SAMPLE 2000	 /* messages of a long queue that are walked to guess at the rest */
#define GUESS_MAX 1e15	 /* bytes: no memory has more */
#define LINKS_MAX 100000000ULL
#define REFS_MAX 100000000ULL
#define DICT_MAX (1u << 24)
#define LABEL_INDEX_MAX 4096 /* atoms that the VM is built with come first */

#define STATE_SUSPENDED (1u << 16)
#define STATE_ACTIVE (1u << 13 | 1u << 20 | 1u << 28) /* ACTIVE, ACTIVE_SYS, DIRTY_ACTIVE_SYS */
#define STATE_RUNNING                                                                              \
	(PSFLG_RUNNING | PSFLG_RUNNING_SYS | PSFLG_DIRTY_RUNNING | PSFLG_DIRTY_RUNNING_SYS)
#define STATE_GONE (PSFLG_FREE | PSFLG_EXITING)

const char *snap_ps_status(uint32_t state)
{
	return state & PSFLG_FREE      ? "free" :
	       state & PSFLG_EXITING   ? "exiting" :
	       state & PSFLG_GC	       ? "garbage_collecting" :
	       state & STATE_SUSPENDED ? "suspended" :
	       state & STATE_RUNNING   ? "running" :
	       state & STATE_ACTIVE    ? "runnable" :
					 "waiting";
}

const char *snap_ps_priority(uint32_t state)
{
	static const char *const names[] = { "max", "high", "normal", "low" };

	return names[state >> 2 & 3];
}

/* --- from the struct -------------------------------------------------------------------------- */

static uint64_t words_between(uint64_t from, uint64_t to)
{
	return to > from ? (to - from) / 8 : 0;
}

static unsigned int arity_of(const struct layout_fields *f, const unsigned char *raw)
{
	return f->proc_arity_size == 1 ? raw[f->proc_arity] : raw_u32(raw, f->proc_arity) & 0xff;
}

/* erts_process_memory(), what of it stands in the struct. */
static uint64_t own_bytes(const struct ps *ps, const unsigned char *raw, const struct ps_proc *p)
{
	const struct layout_fields *f = &ps->vm->lay->f;
	uint64_t sum = f->proc_size + 8 * (p->heap_size + p->mbuf_size + p->old_heap_size);

	if (raw_u64(raw, f->proc_abandoned_heap))
		sum += 8 * words_between(raw_u64(raw, f->proc_heap), raw_u64(raw, f->proc_hend));
	if (ps->ok.registers && raw_u64(raw, f->proc_arg_reg) != p->who.addr + f->proc_def_arg_reg)
		sum += 8 * arity_of(f, raw);
	if (ps->ok.psd && raw_u64(raw, f->proc_psd))
		sum += f->psd_size;
	return sum;
}

static void decode_links(struct ps *ps, const unsigned char *raw, struct ps_proc *p)
{
	const struct layout_fields *f = &ps->vm->lay->f;

	if (ps->ok.links)
		snap_links_roots(ps->vm, raw, &p->roots);
	if (ps->ok.parent)
		p->parent = raw_u64(raw, f->proc_parent);
	if (ps->ok.queues) {
		snap_msgq_head(ps->vm, raw, &p->queue);
		snap_msgq_len(ps->vm, &p->queue, &p->len);
	}
}

static void decode(struct ps *ps, const struct proc_id *who, const unsigned char *raw,
		   struct ps_proc *p)
{
	const struct layout_fields *f = &ps->vm->lay->f;
	uint64_t old = raw_u64(raw, f->proc_old_heap), old_end = raw_u64(raw, f->proc_old_hend);

	memset(p, 0, sizeof(*p));
	p->who = *who;
	p->who.id = raw_u64(raw, f->proc_id);
	p->state = raw_u32(raw, f->proc_state);
	p->flags = raw_u32(raw, f->proc_flags);
	p->traps_exit = p->flags & ps->vm->lay->facts->flag_trap_exit;
	p->still = !(p->state & (STATE_GONE | STATE_RUNNING | PSFLG_GC));
	p->reds = raw_u64(raw, f->proc_reds);
	p->heap_size = raw_u64(raw, f->proc_heap_sz);
	p->mbuf_size = raw_u64(raw, f->proc_mbuf_sz);
	p->old_heap_size = old && old_end ? words_between(old, old_end) : 0;
	p->stack_size = words_between(raw_u64(raw, f->proc_stop), raw_u64(raw, f->proc_hend));
	memcpy(&p->minor_gcs, raw + f->proc_gen_gcs, 2);
	memcpy(&p->fullsweep_after, raw + f->proc_max_gen_gcs, 2);
	p->group_leader = raw_u64(raw, f->proc_group_leader);
	p->reg = raw_u64(raw, f->proc_reg);
	p->dictionary = raw_u64(raw, f->proc_dictionary);
	p->off_heap = raw_u64(raw, f->proc_off_heap_first);
	p->mbuf = raw_u64(raw, f->proc_mbuf);
	if (f->proc_wrt_bins != LAYOUT_ABSENT)
		p->wrt_bins = raw_u64(raw, f->proc_wrt_bins);
	memcpy(p->initial, raw + f->proc_initial, sizeof(p->initial));
	decode_links(ps, raw, p);
	p->own_bytes = own_bytes(ps, raw, p);
}

/* --- what takes a walk ------------------------------------------------------------------------ */

static bool read_dict(struct ps *ps, struct ps_proc *p)
{
	const struct layout_fields *f = &ps->vm->lay->f;
	uint32_t size;

	if (!p->dictionary)
		return true;
	if (!pages_copy(&ps->pages, p->dictionary + f->dict_array_size, &size, 4) ||
	    !pages_u64(&ps->pages, p->dictionary + f->dict_num, &p->dict_pairs) ||
	    size > DICT_MAX || p->dict_pairs > 64ULL * DICT_MAX)
		return false;
	p->dict_bytes = f->dict_data + 8ULL * size;
	return true;
}

/* struct saved_calls: len, n, cur, then len pointers; psd->data[1] leads to it. */
static bool read_extra(struct ps *ps, const unsigned char *raw, struct ps_proc *p)
{
	const struct layout_fields *f = &ps->vm->lay->f;
	uint64_t psd = raw_u64(raw, f->proc_psd), calls;
	int32_t len;

	if (!psd)
		return true;
	if (!pages_u64(&ps->pages, psd + f->psd_data + 8, &calls))
		return false;
	if (!calls)
		return true;
	if (!pages_copy(&ps->pages, calls, &len, 4) || len < 1 || len > 1 << 20)
		return false;
	p->extra_bytes = 24 + 8 * (len - 1ULL);
	return true;
}

/*
 * A queue that is too long to be walked is looked at where it begins.  The rest is taken to be like
 * the later half of that: the first messages may still have found room on the heap.
 */
static uint64_t guess_messages(struct ps *ps, struct ps_proc *p)
{
	uint64_t budget = SAMPLE / 2, more;
	struct msgq_sums half;
	double guess;

	snap_msgq_walk(ps->vm, &ps->pages, &p->queue, &budget, NULL, &half);
	budget = SAMPLE;
	snap_msgq_walk(ps->vm, &ps->pages, &p->queue, &budget, NULL, &p->messages);
	if (!p->len.known || p->messages.messages <= half.messages ||
	    p->len.len < p->messages.messages || p->messages.bytes < half.bytes)
		return 0;
	more = p->messages.messages - half.messages;
	guess = p->messages.bytes + (double)(p->messages.bytes - half.bytes) / more *
					    (p->len.len - p->messages.messages);
	return guess < GUESS_MAX ? guess : 0;
}

static bool read_messages(struct ps *ps, struct ps_proc *p, uint64_t *est)
{
	uint64_t budget, most = ps->full ? UINT64_MAX : PS_WALK_MAX;

	*est = 0;
	/* a marker of a receive may be there without a message */
	if (!p->queue.inner.first && p->len.known && !p->len.len) {
		p->messages.words_known = true;
		return true;
	}
	if (!ps->full && most > ps->walk_left)
		most = ps->walk_left;
	if (!p->len.known || p->len.len > most) {
		p->long_queue = p->len.known;
		*est = guess_messages(ps, p);
		return false;
	}
	/* what comes meanwhile is walked, too; a torn list does not go on for ever */
	most = budget = 2 * p->len.len + 1000;
	snap_msgq_walk(ps->vm, &ps->pages, &p->queue, &budget, NULL, &p->messages);
	budget = most - budget;
	ps->walk_left -= ps->full ? 0 : budget < ps->walk_left ? budget : ps->walk_left;
	*est = p->messages.bytes;
	return !p->messages.partial && p->messages.words_known;
}

static bool read_bins(struct ps *ps, struct ps_proc *p, const struct ps_bins *bins)
{
	struct held_walk walk = { .refs_budget = ps->refs_left };
	struct proc_image image;
	int i, err = 0;

	if (bins && bins->known) {
		p->held.refs = bins->refs;
		p->held.bytes = bins->bytes;
		return true;
	}
	for (i = 0; i < RETRIES; i++) {
		walk.refs_budget = ps->refs_left;
		err = snap_held_bins(ps->vm, &p->who, &walk, &p->held, &image);
		if (err != -EAGAIN)
			break;
	}
	ps->refs_left = walk.refs_budget;
	return !err && !p->held.partial;
}

static bool read_waits(struct ps *ps, const unsigned char *raw, struct ps_proc *p)
{
	p->waits = (struct waits_for){ 0 };
	if (!ps->stacks)
		return false;
	if (!p->still)
		return true;
	p->waits.known = true;
	if (snap_may_wait(ps->stacks, raw) &&
	    snap_stack_read(ps->stacks, &p->who, WAITS_FOR_WORDS, &ps->stack) == STACK_OK)
		snap_waits_for(ps->stacks, &ps->stack, &p->waits);
	return true;
}

static void sum_memory(struct ps *ps, struct ps_proc *p, bool messages, uint64_t est)
{
	const unsigned int rest = PS_LINKS | PS_DICT | PS_EXTRA;

	p->rest_known = (p->known & rest) == rest && ps->ok.registers;
	p->memory_rest = p->own_bytes + p->links.bytes + p->dict_bytes + p->extra_bytes;
	p->memory_known = p->rest_known && messages;
	p->memory = p->memory_rest + p->messages.bytes;
	p->memory_est = p->rest_known && !p->memory_known && est ? p->memory_rest + est : 0;
}

static void sum_heap(struct ps *ps, struct ps_proc *p, bool messages)
{
	p->total_heap_size = p->heap_size + p->old_heap_size + p->mbuf_size;
	p->total_known = ps->ok.queues;
	if (!ps->ok.queues || !(p->queue.flags & MSGQ_ON_HEAP))
		return;
	p->total_known = messages || (p->len.known && !p->len.len);
	if (messages)
		p->total_heap_size += p->messages.attached_words;
}

/* The parts that were asked for. */
static void walk(struct ps *ps, const unsigned char *raw, unsigned int parts,
		 const struct ps_bins *bins, struct ps_proc *p)
{
	bool messages = false;
	uint64_t est = 0;

	if (parts & PS_LINKS && ps->ok.links) {
		snap_links_walk(ps->vm, &ps->pages, &p->roots, &ps->links_left, NULL, &p->links);
		p->known |= p->links.partial ? 0 : PS_LINKS;
	}
	if (parts & PS_MESSAGES && ps->ok.queues) {
		messages = read_messages(ps, p, &est);
		p->known |= messages ? PS_MESSAGES : 0;
	}
	if (parts & PS_DICT && read_dict(ps, p))
		p->known |= PS_DICT;
	if (parts & PS_EXTRA && ps->ok.psd && read_extra(ps, raw, p))
		p->known |= PS_EXTRA;
	if (parts & PS_BINS && read_bins(ps, p, bins))
		p->known |= PS_BINS;
	if (parts & PS_FUNCTION && ps->stacks)
		p->function = snap_current_function(ps->stacks, raw);
	if (parts & PS_WAITS && read_waits(ps, raw, p))
		p->known |= PS_WAITS;
	sum_heap(ps, p, messages);
	if (parts & PS_MEMORY)
		sum_memory(ps, p, messages, est);
}

/* --- what moves ------------------------------------------------------------------------------- */

/* Does it lead elsewhere than it did?  Where it led nowhere nothing was walked. */
static bool differs(const unsigned char *a, const unsigned char *b, unsigned int off)
{
	return off != LAYOUT_ABSENT && raw_u64(a, off) && raw_u64(a, off) != raw_u64(b, off);
}

/* A message that was fetched, or received, has gone from where it was. */
static bool queues_moved(const struct layout_fields *f, const unsigned char *a,
			 const unsigned char *b)
{
	const unsigned int firsts[] = { f->proc_sig_first, f->proc_sig_cont, f->proc_inq_first,
					f->proc_inq_buffers };
	bool any = false, changed = raw_u64(b, f->proc_sig_len) < raw_u64(a, f->proc_sig_len);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(firsts); i++) {
		if (firsts[i] == LAYOUT_ABSENT)
			continue;
		any |= raw_u64(a, firsts[i]) != 0;
		changed |= raw_u64(a, firsts[i]) != raw_u64(b, firsts[i]);
	}
	return any && changed;
}

/* A collection moves the nodes of binaries. */
static bool bins_moved(const struct layout_fields *f, const unsigned char *a,
		       const unsigned char *b)
{
	bool any = raw_u64(a, f->proc_off_heap_first) || raw_u64(a, f->proc_mbuf) ||
		   (f->proc_wrt_bins != LAYOUT_ABSENT && raw_u64(a, f->proc_wrt_bins));

	return any && ((raw_u32(a, f->proc_state) | raw_u32(b, f->proc_state)) & PSFLG_GC ||
		       raw_u64(a, f->proc_heap) != raw_u64(b, f->proc_heap) ||
		       raw_u64(a, f->proc_old_heap) != raw_u64(b, f->proc_old_heap) ||
		       raw_u64(a, f->proc_old_htop) != raw_u64(b, f->proc_old_htop) ||
		       memcmp(a + f->proc_gen_gcs, b + f->proc_gen_gcs, 2) ||
		       differs(a, b, f->proc_mbuf) || differs(a, b, f->proc_wrt_bins));
}

/*
 * Of the parts that were walked those that begin elsewhere now: what they were walked in may have
 * been freed meanwhile, and hold anything.  What is only added behaves: new messages come last, new
 * nodes first.  Links need no such look: their walk notices.
 */
static unsigned int moved(const struct ps *ps, const unsigned char *a, const unsigned char *b,
			  unsigned int parts)
{
	const struct layout_fields *f = &ps->vm->lay->f;
	unsigned int m = 0;

	if (ps->ok.queues && queues_moved(f, a, b))
		m |= PS_MESSAGES;
	if (differs(a, b, f->proc_dictionary))
		m |= PS_DICT;
	if (ps->ok.psd && differs(a, b, f->proc_psd))
		m |= PS_EXTRA;
	if (bins_moved(f, a, b))
		m |= PS_BINS;
	return m & parts;
}

/* Was there something torn in what was walked that another try may find whole? */
static bool torn(const struct ps *ps, const struct ps_proc *p, unsigned int parts)
{
	return (parts & PS_LINKS && p->links.partial && ps->links_left) ||
	       (parts & PS_MESSAGES && p->messages.partial && !p->long_queue);
}

/* What never held still is not known; of its messages what was seen is a guess. */
static void forget(struct ps *ps, struct ps_proc *p, unsigned int parts, unsigned int m)
{
	uint64_t guess = p->memory_est ? p->memory_est - p->memory_rest : p->messages.bytes;

	p->known &= ~m;
	sum_heap(ps, p, p->known & PS_MESSAGES);
	if (parts & PS_MEMORY)
		sum_memory(ps, p, p->known & PS_MESSAGES, guess);
}

/* Gone since the table was read, or another one's memory by now. */
static bool is_gone(const struct ps *ps, const struct proc_id *who, const unsigned char *raw)
{
	const struct layout_fields *f = &ps->vm->lay->f;
	uint64_t id = raw_u64(raw, f->proc_id);

	return !term_is_pid(id) || term_pid_slot(ps->vm, id) != who->slot ||
	       raw_u32(raw, f->proc_state) & PSFLG_FREE;
}

/*
 * @p was walked from @raw, which is @again by now: once more until nothing that was walked has
 * moved meanwhile.  False when it has gone.
 */
static bool settle(struct ps *ps, struct ps_scan *s, const struct proc_id *who, unsigned int parts,
		   unsigned char *raw, unsigned char *again, struct ps_proc *p)
{
	const struct layout_fields *f = &ps->vm->lay->f;
	unsigned int m, check = parts;
	eterm_t id = p->who.id;
	int i;

	for (i = 0; !is_gone(ps, who, again) && raw_u64(again, f->proc_id) == id; i++) {
		m = moved(ps, raw, again, check);
		if (!m && !torn(ps, p, parts))
			return true;
		if (i == RETRIES) {
			forget(ps, p, parts, m);
			s->skipped++;
			return true;
		}
		if (raw_u32(again, f->proc_state) & PSFLG_EXITING)
			return false;
		memcpy(raw, again, f->proc_size);
		pages_forget(&ps->pages);
		decode(ps, who, raw, p);
		walk(ps, raw, parts, NULL, p);
		check = parts & ~PS_BINS; /* alone they are walked by who looks himself */
		if (!reader_copy(&ps->vm->rd, who->addr, again, f->proc_size))
			return false;
	}
	return false;
}

/* --- all of them ------------------------------------------------------------------------------ */

static int by_address(const void *a, const void *b)
{
	const struct proc_id *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static void start(struct ps *ps)
{
	ps->walk_left = PS_WALK_ALL;
	ps->links_left = LINKS_MAX;
	ps->refs_left = REFS_MAX;
	pages_forget(&ps->pages);
}

/* Whether this one's stack is looked at, too. */
static unsigned int waits_part(struct ps *ps, struct ps_scan *s, const unsigned char *raw)
{
	if (!s->waits_each || !ps->stacks || !snap_may_wait(ps->stacks, raw))
		return 0;
	if (s->may_wait++ % s->waits_each)
		return 0;
	s->waits_looks++;
	if (s->waits_most && s->waits_looks % s->waits_most == 0)
		s->waits_each *= 2;
	return PS_WAITS;
}

/* One of a chunk: its bytes, now and after all of them were walked. */
struct seen {
	const struct proc_id *who;
	unsigned char *raw, *again;
	unsigned int parts;
	bool is;
	struct ps_proc p;
};

static void look_at(struct ps *ps, struct ps_scan *s, const struct ps_bins *bins, struct seen *one)
{
	one->is = false;
	if (is_gone(ps, one->who, one->raw))
		return;
	if (raw_u32(one->raw, ps->vm->lay->f.proc_state) & PSFLG_EXITING) {
		s->exiting++;
		return;
	}
	one->is = true;
	one->parts = s->parts | waits_part(ps, s, one->raw);
	decode(ps, one->who, one->raw, &one->p);
	walk(ps, one->raw, one->parts & ~PS_WAITS, bins, &one->p);
}

/* Whom they wait for, of all of a chunk in few reads. */
static void look_at_waits(struct ps *ps, size_t n, struct seen *v)
{
	const unsigned char *raw[PS_CHUNK];
	struct waits_for waits[PS_CHUNK];
	struct proc_id who[PS_CHUNK];
	size_t at[PS_CHUNK], i, k = 0;

	for (i = 0; i < n; i++) {
		if (!v[i].is || !(v[i].parts & PS_WAITS))
			continue;
		raw[k] = v[i].raw;
		who[k] = v[i].p.who;
		at[k++] = i;
	}
	if (!k || !ps->stacks)
		return;
	snap_waits_for_many(ps->stacks, who, raw, k, waits);
	for (i = 0; i < k; i++) {
		v[at[i]].p.waits = waits[i];
		v[at[i]].p.known |= PS_WAITS;
	}
}

static void tell(struct ps *ps, struct ps_scan *s, struct seen *one)
{
	if (!one->is || !settle(ps, s, one->who, one->parts, one->raw, one->again, &one->p))
		return;
	s->found_n++;
	s->found(s->arg, &one->p);
}

/* n processes that lie close together: their bytes at once; false where some of them are gone. */
static bool read_chunk(struct ps *ps, struct ps_scan *s, size_t n, struct seen *v)
{
	size_t len = v[n - 1].raw - v[0].raw + ps->vm->lay->f.proc_size, i;
	const unsigned char *raw[PS_CHUNK];
	struct ps_bins bins[PS_CHUNK];

	pages_forget(&ps->pages);
	if (!reader_copy(&ps->vm->rd, v[0].who->addr, v[0].raw, len))
		return false;
	for (i = 0; i < n; i++)
		raw[i] = v[i].raw;
	if (s->parts & PS_BINS)
		snap_ps_bins(ps->vm, raw, n, bins);
	for (i = 0; i < n; i++)
		look_at(ps, s, s->parts & PS_BINS ? &bins[i] : NULL, &v[i]);
	look_at_waits(ps, n, v);
	if (!reader_copy(&ps->vm->rd, v[0].who->addr, v[0].again, len))
		for (i = 0; i < n; i++)
			v[i].is = v[i].is && reader_copy(&ps->vm->rd, v[i].who->addr, v[i].again,
							 ps->vm->lay->f.proc_size);
	for (i = 0; i < n; i++)
		tell(ps, s, &v[i]);
	return true;
}

/* How many, from the first on, are read at once. */
static size_t chunk_of(const struct proc_ids *ids, size_t from, size_t size)
{
	const struct proc_id *v = ids->v + from;
	size_t n;

	for (n = 1; from + n < ids->n && n < PS_CHUNK; n++)
		if (v[n].addr - v[n - 1].addr > size + GAP_BYTES ||
		    v[n].addr + size - v[0].addr > CHUNK_BYTES)
			break;
	return n;
}

int snap_ps_scan(struct ps *ps, struct ps_scan *s)
{
	size_t size = ps->vm->lay->f.proc_size, from, n;
	unsigned char *raw, *again;
	struct proc_ids ids;
	struct seen *v;
	size_t i;

	s->found_n = s->exiting = s->skipped = s->may_wait = s->waits_looks = 0;
	if (!ps->fits || size > PROCESS_MAX - PS_SLACK || snap_proc_slots(ps->vm, &ids))
		return -1;
	start(ps);
	qsort(ids.v, ids.n, sizeof(*ids.v), by_address);
	raw = xcalloc(2, CHUNK_BYTES + PS_SLACK);
	again = raw + CHUNK_BYTES + PS_SLACK;
	v = xcalloc(PS_CHUNK, sizeof(*v));
	for (from = 0; from < ids.n && !ps->vm->rd.lost; from += n) {
		n = chunk_of(&ids, from, size);
		for (i = 0; i < n; i++) {
			v[i].who = &ids.v[from + i];
			v[i].raw = raw + (v[i].who->addr - ids.v[from].addr);
			v[i].again = again + (v[i].raw - raw);
		}
		if (!read_chunk(ps, s, n, v) && n > 1)
			for (i = 0; i < n; i++)
				read_chunk(ps, s, 1, &v[i]);
	}
	free(v);
	free(raw);
	snap_proc_ids_free(&ids);
	return ps->vm->rd.lost ? -1 : 0;
}

/* --- one -------------------------------------------------------------------------------------- */

/* Did nothing change that a walk begins at? */
static bool same(const struct ps_proc *a, const struct ps_proc *b)
{
	return a->heap_size == b->heap_size && a->old_heap_size == b->old_heap_size &&
	       a->mbuf_size == b->mbuf_size && a->dictionary == b->dictionary &&
	       a->reg == b->reg && a->reds == b->reds && a->own_bytes == b->own_bytes &&
	       !memcmp(&a->queue, &b->queue, sizeof(a->queue)) &&
	       !memcmp(&a->roots, &b->roots, sizeof(a->roots));
}

int snap_ps_read(struct ps *ps, const struct proc_id *who, unsigned int parts, struct ps_proc *p)
{
	size_t size = ps->vm->lay->f.proc_size;
	unsigned char raw[PROCESS_MAX], again[PROCESS_MAX];
	struct ps_proc after;
	int i;

	if (!ps->fits || size > PROCESS_MAX - PS_SLACK)
		return -ESRCH;
	for (i = 0; i < RETRIES; i++) {
		start(ps);
		if (!reader_copy(&ps->vm->rd, who->addr, raw, size))
			return -ESRCH;
		decode(ps, who, raw, p);
		if (p->who.id != who->id || p->state & STATE_GONE)
			return -ESRCH;
		walk(ps, raw, parts, NULL, p);
		if (!reader_copy(&ps->vm->rd, who->addr, again, size))
			return -ESRCH;
		decode(ps, who, again, &after);
		if (after.who.id != who->id || after.state & STATE_GONE)
			return -ESRCH;
		if (same(p, &after) && !torn(ps, p, parts))
			return 0;
	}
	/* it runs: what its other walks found was true at some moment */
	forget(ps, p, parts, moved(ps, raw, again, parts & ~PS_BINS));
	return 0;
}

bool snap_ps_find(struct ps *ps, eterm_t pid, struct proc_id *who)
{
	struct vm *vm = ps->vm;
	uint64_t slot = term_pid_slot(vm, pid), addr, id;

	if (!term_is_pid(pid) || slot >= vm->proc_max ||
	    !reader_u64(&vm->rd, vm->tab + 8 * slot, &addr) || !addr ||
	    addr == vm->invalid_element ||
	    !reader_u64(&vm->rd, addr + vm->lay->f.proc_id, &id) || id != pid)
		return false;
	*who = (struct proc_id){ addr, pid, slot };
	return true;
}

/* --- names ------------------------------------------------------------------------------------ */

/* A pair {Key, Value} of a dictionary. */
static bool pair_value(struct ps *ps, eterm_t pair, eterm_t key, eterm_t *value)
{
	uint64_t t[3];

	if ((pair & 3) != 2 || !pages_copy(&ps->pages, pair & ~7ULL, t, sizeof(t)) ||
	    t[0] != 2 << 6 || t[1] != key)
		return false;
	*value = t[2];
	return true;
}

static bool slot_value(struct ps *ps, eterm_t slot, eterm_t key, eterm_t *value)
{
	uint64_t cons[2];
	int i;

	if ((slot & 3) == 2)
		return pair_value(ps, slot, key, value);
	/* keys that hash alike: a list of pairs */
	for (i = 0; i < 256 && (slot & 3) == 1; i++, slot = cons[1]) {
		if (!pages_copy(&ps->pages, slot & ~7ULL, cons, sizeof(cons)))
			return false;
		if (pair_value(ps, cons[0], key, value))
			return true;
	}
	return false;
}

bool snap_ps_dict_find(struct ps *ps, vmaddr_t dictionary, eterm_t key, eterm_t *value)
{
	const struct layout_fields *f = &ps->vm->lay->f;
	uint64_t slots[64];
	uint32_t size, at, i, n;

	if (!dictionary || !key ||
	    !pages_copy(&ps->pages, dictionary + f->dict_array_size, &size, 4) || size > DICT_MAX)
		return false;
	for (at = 0; at < size; at += n) {
		n = size - at < 64 ? size - at : 64;
		if (!pages_copy(&ps->pages, dictionary + f->dict_data + 8ULL * at, slots, 8 * n))
			return false;
		for (i = 0; i < n; i++)
			if (slot_value(ps, slots[i], key, value))
				return true;
	}
	return false;
}

/* The atom is one that the VM is built with, from 27 on. */
static eterm_t label_key(struct ps *ps)
{
	const char *text;
	uint64_t i;

	if (ps->label_sought || ps->vm->otp < 27)
		return ps->label_key;
	ps->label_sought = true;
	for (i = 0; i < LABEL_INDEX_MAX; i++) {
		text = term_atom_index(ps->vm, i);
		if (text && !strcmp(text, "$process_label")) {
			ps->label_key = i << 6 | 0xb;
			break;
		}
	}
	return ps->label_key;
}

bool snap_ps_label(struct ps *ps, const struct ps_proc *p, eterm_t *label)
{
	return p->dictionary && snap_ps_dict_find(ps, p->dictionary, label_key(ps), label);
}

void snap_ps_initial_call(struct ps *ps, const struct ps_proc *p, uint64_t mfa[3])
{
	uint64_t t[4];
	eterm_t v;

	memcpy(mfa, p->initial, sizeof(p->initial));
	if (p->dictionary && snap_ps_dict_find(ps, p->dictionary, ps->vm->atom_initial_call, &v) &&
	    (v & 3) == 2 && pages_copy(&ps->pages, v & ~7ULL, t, sizeof(t)) && t[0] == 3 << 6 &&
	    term_is_small(t[3])) {
		memcpy(mfa, t + 1, 24);
		mfa[2] >>= 4;
	}
}

eterm_t snap_ps_registered(struct ps *ps, const struct ps_proc *p)
{
	uint64_t name;

	if (!p->reg || !pages_u64(&ps->pages, p->reg + ps->vm->lay->f.regproc_name, &name) ||
	    !term_is_atom(name))
		return 0;
	return name;
}

/* ---------------------------------------------------------------------------------------------- */

void snap_ps_open(struct ps *ps, struct vm *vm, char *why, size_t why_size)
{
	char no_code[200] = "", no_stacks[200] = "";
	size_t n;

	memset(ps, 0, sizeof(*ps));
	ps->vm = vm;
	pages_open(&ps->pages, &vm->rd, CACHE_BYTES);
	terms_open(&ps->terms, vm, &ps->pages);
	start(ps);
	snap_ps_prove(ps, why, why_size);
	ps->code = code_open(vm, no_code, sizeof(no_code));
	ps->stacks = snap_stacks_open(vm, ps->code, no_stacks, sizeof(no_stacks));
	n = strlen(why);
	if ((!ps->code || !ps->stacks) && n < why_size)
		snprintf(why + n, why_size - n, "%sno functions: %s", n ? "; " : "",
			 ps->code ? no_stacks : no_code);
}

void snap_ps_refresh(struct ps *ps)
{
	if (ps->stacks)
		snap_stacks_refresh(ps->stacks);
}

void snap_ps_close(struct ps *ps)
{
	snap_stack_free(&ps->stack);
	snap_stacks_close(ps->stacks);
	code_close(ps->code);
	pages_close(&ps->pages);
}
