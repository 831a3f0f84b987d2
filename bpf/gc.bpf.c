// SPDX-License-Identifier: GPL-2.0-only
/*
 * Collections and exits (erl_gc.c, erl_process.c).
 *
 * Probed are the exported ways into the collector, all with the Process as first argument: entry
 * and return.  They nest (a literal collection contains a major one), so the outermost call on a
 * thread counts.  A call may only delay a collection, so what happened is read afterwards: on a
 * normal scheduler its gc_info.garbage_cols went up; a dirty one delays only what may not be
 * collected at all.  gen_gcs tells minor (went up) from major (0).  A hibernation is a major
 * collection that neither counter shows.  A minor attempt that falls through to a major
 * one is one major collection: gen_gcs knows only the outcome.
 *
 * References: refc binaries on off_heap and wrt_bins, counted at entry and at return.  Acquired is
 * what came since the last collection (the fresh ones at entry); given up is what was there at
 * entry, or came from queued messages during the collection (the fresh ones at return), and is
 * not there at return.  In the same way, the words above high_water are those allocated since.
 */
#include "ebeam.bpf.h"

#define PTR_WORDS(a, b) (((a) - (b)) / 8)

static __always_inline __u32 field32(struct eb_thread_state *st, __u32 off)
{
	return process_field(st, off) >> (off & 4) * 8;
}

static __always_inline int read_process(struct eb_thread_state *st, __u64 proc)
{
	return bpf_probe_read_user(st->scratch, cfg.proc_read_bytes & 1023, (void *)proc);
}

/* Process.flags, the same in all releases (erl_process.h) */
#define F_DISABLE_GC (1u << 11)
#define F_ABANDONED_HEAP_USE (1u << 12)
#define F_DELAY_GC (1u << 13)

static __always_inline __u64 alloc_traps(struct eb_thread_state *st)
{
	/* a return is somewhat cheaper than an entry; half is near enough */
	return st->hits[EB_GROUP_ALLOC] + st->returns[EB_GROUP_ALLOC] / 2;
}

/*
 * Words in use, as young_gen_usage() has it: young heap, fragments, old heap, and the heap that
 * was abandoned when a collection was put off; how much of that is used stands in its last word.
 */
static __always_inline __u64 words_in_use(struct eb_thread_state *st)
{
	__u64 abandoned = process_field(st, cfg.proc_abandoned_heap);
	__u64 words = PTR_WORDS(process_field(st, cfg.proc_htop), process_field(st, cfg.proc_heap)) +
		      process_field(st, cfg.proc_mbuf_sz) +
		      PTR_WORDS(process_field(st, cfg.proc_old_htop), process_field(st, cfg.proc_old_heap));

	if (abandoned)
		words += field32(st, cfg.proc_flags) & F_ABANDONED_HEAP_USE ?
				 read_u64(abandoned + 8 * process_field(st, cfg.proc_heap_sz) - 8) :
				 process_field(st, cfg.proc_heap_sz);
	return words;
}

/* Of them, those that were allocated since the last collection. */
static __always_inline __u64 fresh_words(struct eb_thread_state *st, __u64 in_use)
{
	__u64 abandoned = process_field(st, cfg.proc_abandoned_heap);
	__u64 heap = abandoned ? abandoned : process_field(st, cfg.proc_heap);
	__u64 survived = PTR_WORDS(process_field(st, cfg.proc_old_htop),
				   process_field(st, cfg.proc_old_heap)) +
			 PTR_WORDS(process_field(st, cfg.proc_high_water), heap);

	return in_use > survived ? in_use - survived : 0;
}

/* Where what survived the last collection ends; only in st->scratch. */
static __always_inline void set_high_water(struct eb_thread_state *st, __u64 water)
{
	__u32 at = cfg.proc_high_water / 8;

	if (at < EB_SCRATCH_BYTES / 8)
		st->scratch[at] = water;
}

/*
 * When a collection is put off, high_water may be moved to the new heap as well (OTP 27): then it is
 * what was noted at that moment, or at most the end of the abandoned heap.
 */
static __always_inline int high_water_moved(struct eb_thread_state *st, __u64 *end)
{
	__u64 abandoned = process_field(st, cfg.proc_abandoned_heap);
	__u64 water = process_field(st, cfg.proc_high_water);

	*end = abandoned + 8 * process_field(st, cfg.proc_heap_sz);
	return abandoned && (water < abandoned || water > *end);
}

static __always_inline void restore_high_water(struct eb_thread_state *st)
{
	__u64 id = process_field(st, cfg.proc_id), water;
	struct eb_proc *p;

	if (!high_water_moved(st, &water))
		return;
	p = bpf_map_lookup_elem(&procs, &id);
	if (p && p->put_off_heap == process_field(st, cfg.proc_abandoned_heap))
		water = p->put_off_water;
	set_high_water(st, water);
}

/* A call that has only put the collection off: st->scratch holds the Process after it. */
static __always_inline void note_high_water(struct eb_thread_state *st)
{
	__u64 end;
	struct eb_proc *p;

	if (st->gc.abandoned || !high_water_moved(st, &end))
		return;
	p = proc_row(st->gc.id, st->gc.proc);
	if (!p)
		return;
	p->put_off_heap = process_field(st, cfg.proc_abandoned_heap);
	p->put_off_water = st->gc.high_water;
}

static __always_inline void walk_process(struct who *w)
{
	struct eb_thread_state *st = w->st;

	st->walk_refs = st->walk_bytes = st->walk_truncated = 0;
	st->fresh_refs = st->fresh_bytes = 0;
	eb_walk_chain(w->idx, process_field(st, cfg.proc_off_heap_first));
	if (cfg.proc_wrt_bins)
		eb_walk_chain(w->idx, process_field(st, cfg.proc_wrt_bins));
}

SEC("?uprobe")
int eb_on_gc_enter(struct pt_regs *ctx)
{
	__u64 proc = PT_REGS_PARM1(ctx);
	struct eb_thread_state *st;
	__u64 info[2] = {};
	struct who w;

	if (!enter_thread(&w, ctx, EB_GROUP_GC, 1))
		return 0;
	st = w.st;
	count_hit(&w, EB_GROUP_GC);
	/* a call inside of it has its frame below; else its return was missed, and it is over */
	if (st->gc.depth && st->gc.epoch == epochs[EB_GROUP_GC] && PT_REGS_SP(ctx) < st->gc.sp) {
		st->gc.depth++;
		goto out;
	}
	st->gc.depth = 0;
	if (read_process(st, proc))
		goto out;
	restore_high_water(st);
	st->gc.abandoned = process_field(st, cfg.proc_abandoned_heap);
	st->gc.high_water = process_field(st, cfg.proc_high_water);
	st->gc.epoch = epochs[EB_GROUP_GC];
	st->gc.sp = PT_REGS_SP(ctx);
	st->gc.proc = proc;
	st->gc.id = process_field(st, cfg.proc_id);
	st->gc.flags = field32(st, cfg.proc_flags);
	st->gc.state = field32(st, cfg.proc_state);
	st->gc.gen_gcs = process_field(st, cfg.proc_gen_gcs) >> (cfg.proc_gen_gcs & 7) * 8 & 0xffff;
	st->gc.words = words_in_use(st);
	st->gc.fresh_words = fresh_words(st, st->gc.words);
	st->gc.hibernate = EB_COOKIE_WHAT(w.cookie) == EB_GC_HIBERNATE;
	if (w.sched)
		bpf_probe_read_user(info, sizeof(info),
				    (void *)(w.sched + cfg.sched_gc_reclaimed));
	st->gc.reclaimed = info[0];
	st->gc.cols = info[1];
	walk_process(&w);
	st->gc.refs = st->walk_refs;
	st->gc.bytes = st->walk_bytes;
	st->gc.fresh_refs = st->fresh_refs;
	st->gc.fresh_bytes = st->fresh_bytes;
	st->gc.truncated = st->walk_truncated;
	st->gc.deaths = st->gc.death_bytes = 0;
	st->gc.alloc_hits = alloc_traps(st);
	st->gc.depth = 1;
	st->gc.start_ns = bpf_ktime_get_ns();
out:
	leave(&w, EB_GROUP_GC);
	return 0;
}

/*
 * A collection frees and allocates, and each of that traps where the alloc group is on: take the
 * traps, at their measured price, out of the pause.  The price is an average: where it comes to
 * more than the pause was, an eighth of that is left.
 */
static __always_inline __u64 pause_ns(struct eb_thread_state *st, __u64 now)
{
	__u64 raw = now - st->gc.start_ns;
	__u64 own = (alloc_traps(st) - st->gc.alloc_hits) * cfg.alloc_hit_ns;

	return own + raw / 8 < raw ? raw - own : raw / 8;
}

/* What came to a process since its last collection: heap words, references to refc binaries. */
static __always_inline void account_fresh(struct eb_proc *p, __u64 ns, __u64 words, __u64 refs,
					  __u64 bytes)
{
	if (!p->first_ns) {
		p->first_ns = ns;
		p->first_words = words;
		p->first_refs = refs;
		p->first_bytes = bytes;
		return;
	}
	add(p->allocated_words, words);
	add(p->acquired, refs);
	add(p->acquired_bytes, bytes);
}

/* What the outermost call on this thread has done; st->scratch holds the Process after it. */
static __always_inline void account_gc(struct who *w, __u64 pause)
{
	struct eb_thread_state *st = w->st;
	__u64 info[2] = {}, gen_gcs, refs, bytes, released, released_bytes;
	__s64 reclaimed;
	struct eb_proc *p;
	int done, counted;

	gen_gcs = process_field(st, cfg.proc_gen_gcs) >> (cfg.proc_gen_gcs & 7) * 8 & 0xffff;
	if (w->sched)
		bpf_probe_read_user(info, sizeof(info),
				    (void *)(w->sched + cfg.sched_gc_reclaimed));
	counted = info[1] != st->gc.cols;
	if (st->gc.hibernate)
		/* only a long one is put off, for a dirty scheduler */
		done = !(field32(st, cfg.proc_flags) & cfg.flag_hibernate_pending);
	else if (w->dirty)
		/* counted elsewhere; nothing but these keep garbage_collect() from it there */
		done = !(st->gc.flags & (F_DISABLE_GC | F_DELAY_GC)) &&
		       !(st->gc.state & PSFLG_EXITING) &&
		       !(field32(st, cfg.proc_state) & PSFLG_EXITING);
	else
		done = counted;
	if (!done) {
		note_high_water(st);
		return;
	}
	p = proc_row(st->gc.id, st->gc.proc);
	if (!p)
		return;
	if (!st->gc.hibernate && gen_gcs > st->gc.gen_gcs)
		add(p->minor, 1);
	else
		add(p->major, 1);
	add(p->pause_total_ns, pause);
	if (pause > p->pause_max_ns)
		p->pause_max_ns = pause;
	add(p->pause_hist[log2_slot(pause)], 1);
	reclaimed = counted ? info[0] - st->gc.reclaimed : st->gc.words - words_in_use(st);
	add(p->reclaimed_words, reclaimed);
	p->heap_words = PTR_WORDS(process_field(st, cfg.proc_hend), process_field(st, cfg.proc_heap)) +
			PTR_WORDS(process_field(st, cfg.proc_old_hend), process_field(st, cfg.proc_old_heap)) +
			process_field(st, cfg.proc_mbuf_sz);

	account_fresh(p, st->gc.start_ns, st->gc.fresh_words, st->gc.fresh_refs,
		      st->gc.fresh_bytes);
	walk_process(w);
	/* what queued messages brought in is fresh now; never below nothing */
	refs = st->gc.refs + st->fresh_refs;
	bytes = st->gc.bytes + st->fresh_bytes;
	released = refs > st->walk_refs ? refs - st->walk_refs : 0;
	released_bytes = bytes > st->walk_bytes ? bytes - st->walk_bytes : 0;
	if (st->gc.truncated || st->walk_truncated) {
		/*
		 * A lower bound: the deaths seen meanwhile (none where frees are not watched), or
		 * what of the walked part is certainly gone because all that is left was walked.
		 */
		if (st->walk_truncated || st->gc.deaths > released) {
			released = st->gc.deaths;
			released_bytes = st->gc.death_bytes;
		}
		p->flags |= EB_PROC_PARTIAL;
	}
	add(p->released, released);
	add(p->released_bytes, released_bytes);
	add(p->gc_released_bytes, released_bytes);
}

SEC("?uretprobe")
int eb_on_gc_return(struct pt_regs *ctx)
{
	__u64 now = bpf_ktime_get_ns(), pause;
	struct eb_thread_state *st;
	struct who w;

	if (!enter_thread(&w, ctx, EB_GROUP_GC, 1))
		return 0;
	st = w.st;
	st->returns[EB_GROUP_GC]++;
	pause = pause_ns(st, now);
	if (st->gc.epoch != epochs[EB_GROUP_GC])
		st->gc.depth = 0;
	if (st->gc.depth == 1 && !read_process(st, st->gc.proc) &&
	    process_field(st, cfg.proc_id) == st->gc.id)
		account_gc(&w, pause);
	if (st->gc.depth)
		st->gc.depth--;
	leave(&w, EB_GROUP_GC);
	return 0;
}

/* erts_do_exit_process(Process *, reason): runs once per process, before anything is torn down. */
SEC("?uprobe")
int eb_on_exit(struct pt_regs *ctx)
{
	__u64 proc = PT_REGS_PARM1(ctx);
	struct eb_thread_state *st;
	struct eb_proc *p;
	__u64 id, words;
	struct who w;

	if (!enter_thread(&w, ctx, EB_GROUP_EXIT, 1))
		return 0;
	st = w.st;
	count_hit(&w, EB_GROUP_EXIT);
	if (read_process(st, proc))
		goto out;
	restore_high_water(st);
	id = process_field(st, cfg.proc_id);
	words = fresh_words(st, words_in_use(st));
	p = bpf_map_lookup_elem(&procs, &id);
	/* most processes die without a trace; a row is made only for what they give up */
	if (!p && !(cfg.want_bin_rows && (process_field(st, cfg.proc_off_heap_first) ||
					  (cfg.proc_wrt_bins &&
					   process_field(st, cfg.proc_wrt_bins))))) {
		st->unrowed_words += words;
		goto out;
	}
	p = proc_row(id, proc);
	if (!p)
		goto out;
	eb_identify(id, proc);
	p->flags |= EB_PROC_EXITED;
	walk_process(&w);
	if (st->walk_truncated)
		p->flags |= EB_PROC_PARTIAL;
	account_fresh(p, bpf_ktime_get_ns(), words, st->fresh_refs, st->fresh_bytes);
	add(p->released, st->walk_refs);
	add(p->released_bytes, st->walk_bytes);
out:
	leave(&w, EB_GROUP_EXIT);
	return 0;
}
