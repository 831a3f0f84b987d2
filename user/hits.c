// SPDX-License-Identifier: GPL-2.0-only
#include "hits.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* One moment: hits of every site so far, and the VM's counters of the same calls. */
struct moment {
	uint64_t ns, hits[PROBE_MAX_SITES], vm[PROBE_MAX_SITES];
	bool ok;
};

/* Which of an instance's counters a carrier site goes with; -1: none. */
static int carrier_call(const struct probe_site *s)
{
	static const enum alloc_call calls[2][3] = {
		{ CALL_MSEG_ALLOC, CALL_MSEG_REALLOC, CALL_MSEG_DEALLOC },
		{ CALL_SYS_ALLOC, CALL_SYS_REALLOC, CALL_SYS_FREE },
	};
	unsigned int what = EB_COOKIE_WHAT(s->site.cookie);

	if (s->prog != PROG_CARRIER_ENTER && s->prog != PROG_CARRIER_BELOW)
		return -1;
	return calls[!!(what & EB_CARRIER_SYS)][what & 3];
}

static unsigned int callback_of(const struct layout_fields *f, int call)
{
	switch (call) {
	case CALL_MSEG_ALLOC:
		return f->allctr_mseg_alloc;
	case CALL_MSEG_REALLOC:
		return f->allctr_mseg_realloc;
	case CALL_MSEG_DEALLOC:
		return f->allctr_mseg_dealloc;
	case CALL_SYS_ALLOC:
		return f->allctr_sys_alloc;
	case CALL_SYS_REALLOC:
		return f->allctr_sys_realloc;
	}
	return f->allctr_sys_dealloc;
}

static int alloc_call(const struct probe_site *s)
{
	switch (s->prog) {
	case PROG_ALLOC:
	case PROG_ALLOC_SESSION:
		return CALL_ALLOC;
	case PROG_REALLOC:
	case PROG_REALLOC_SESSION:
		return CALL_REALLOC;
	case PROG_FREE:
		return CALL_FREE;
	default:
		return -1;
	}
}

static uint64_t entry_point(const struct vm *vm, unsigned int allocator, int call)
{
	return call == CALL_ALLOC ? vm->allctrs[allocator].alloc :
	       call == CALL_FREE  ? vm->allctrs[allocator].free :
				    vm->allctrs[allocator].realloc;
}

static bool is_counted(const struct probe_site *s)
{
	return alloc_call(s) >= 0 || carrier_call(s) >= 0 || s->prog == PROG_GC_ENTER ||
	       (s->prog == PROG_POOL && EB_COOKIE_WHAT(s->site.cookie) == EB_POOL_FETCH);
}

/* Which counter of an instance goes with a site: an enum alloc_call, or one of these. */
enum { FEED_FETCH = CALL_N, FEED_NONE };

/* By instance and site; entry points and callbacks do not change, so they are read once. */
static unsigned char *read_feeds(struct vm *vm, const struct probe_plan *plan)
{
	const struct layout_fields *f = &vm->lay->f;
	unsigned char *feeds = xcalloc(vm->ninsts * plan->n + 1, 1), *feed = feeds;
	const struct probe_site *s;
	uint64_t fn;
	size_t i, k;
	int call;

	for (i = 0; i < vm->ninsts; i++)
		for (k = 0; k < plan->n; k++, feed++) {
			s = &plan->sites[k];
			*feed = FEED_NONE;
			if (!is_counted(s) || s->prog == PROG_GC_ENTER)
				continue;
			call = alloc_call(s);
			if (call >= 0) {
				fn = entry_point(vm, vm->insts[i].alloc_no, call);
			} else {
				call = carrier_call(s) >= 0 ? carrier_call(s) : FEED_FETCH;
				if (!reader_u64(&vm->rd, vm->insts[i].allctr +
						(call == FEED_FETCH ? f->allctr_add_mbc :
								      callback_of(f, call)), &fn))
					continue;
			}
			if (fn == (s->callback ? s->callback : s->site.link_addr + vm->sym.bias))
				*feed = call;
		}
	return feeds;
}

static void take_moment(struct vm *vm, const struct watch *w, const unsigned char *feed,
			struct moment *m)
{
	const struct probe_plan *plan = &w->plan;
	const volatile struct eb_thread_state *st;
	uint64_t counts[CALL_N + 1], cols = 0, reclaimed;
	size_t threads, i, k;

	memset(m, 0, sizeof(*m));
	m->ok = vm_gc_info(vm, &cols, &reclaimed);
	for (i = 0; m->ok && i < vm->ninsts; i++) {
		m->ok = vm_instance_calls(vm, &vm->insts[i], counts) &&
			reader_u64(&vm->rd, vm->insts[i].allctr + vm->lay->f.allctr_pool_fetch,
				   &counts[FEED_FETCH]);
		for (k = 0; m->ok && k < plan->n; k++, feed++)
			if (*feed != FEED_NONE)
				m->vm[k] += counts[*feed];
	}
	st = probe_thread_states(w->probe, &threads);
	for (k = 0; k < plan->n; k++) {
		for (i = 0; i < threads; i++)
			m->hits[k] += st[i].site_hits[k];
		if (plan->sites[k].prog == PROG_GC_ENTER)
			m->vm[k] = cols;
	}
	m->ns = now_ns();
}

static void add_between(const struct moment *a, const struct moment *b, const struct watch *w,
			struct site_hits *h)
{
	size_t k;

	if (!a->ok || !b->ok)
		return;
	for (k = 0; k < w->plan.n; k++) {
		if (!probe_attached(w->probe, w->plan.sites[k].group))
			continue;
		h[k].hits += b->hits[k] - a->hits[k];
		h[k].vm += b->vm[k] - a->vm[k];
		h[k].watched_ns += b->ns - a->ns;
	}
}

/* The VM counts collections, not by which function they were asked for: one entry for all. */
static void join_gc(const struct probe_plan *plan, struct site_hits *h)
{
	struct site_hits *first = NULL;
	size_t k;

	for (k = 0; k < plan->n; k++) {
		if (plan->sites[k].prog != PROG_GC_ENTER)
			continue;
		if (!first) {
			first = &h[k];
			first->name = "collections";
		} else {
			first->hits += h[k].hits;
			h[k].name = NULL;
		}
	}
}

struct site_hits *hits_compare(struct vm *vm, struct watch *w, uint64_t ns, size_t *n)
{
	struct site_hits *h = xcalloc(w->plan.n + 1, sizeof(*h));
	struct timespec ts = { 0, watch_tick_ns(w) };
	uint64_t until = now_ns() + ns;
	unsigned char *feeds = read_feeds(vm, &w->plan);
	struct moment before, after;
	size_t k;

	while (now_ns() < until) {
		/* between two steps no group is switched */
		take_moment(vm, w, feeds, &before);
		nanosleep(&ts, NULL);
		take_moment(vm, w, feeds, &after);
		add_between(&before, &after, w, h);
		if (watch_step(w)) {
			free(feeds);
			free(h);
			return NULL;
		}
	}
	free(feeds);
	for (k = 0; k < w->plan.n; k++) {
		h[k].name = w->plan.sites[k].site.name;
		h[k].counted = is_counted(&w->plan.sites[k]);
	}
	join_gc(&w->plan, h);
	for (*n = k = 0; k < w->plan.n; k++)
		if (h[k].name && !w->plan.sites[k].is_return)
			h[(*n)++] = h[k];
	return h;
}
