// SPDX-License-Identifier: GPL-2.0-only
#include "watch.h"

#include <stdlib.h>
#include <string.h>

/*
 * The price is measured in a tight loop, with everything in the caches.  In a VM at work a hit takes
 * some third more (`make bench` compares them).
 */
#define IN_THE_WILD 1.35
#define BODY_NS 600 /* of a program that was not timed yet */

/*
 * Adds what each thread was hit since the last time to its cost so far, by group: traps at their
 * measured price, and the programs' own time at what it is on average.  Returns the number of
 * threads; *hits: all hits so far.
 */
static size_t take_costs(struct watch *w, uint64_t *hits)
{
	const volatile struct eb_thread_state *st;
	uint64_t entries, returns, timed;
	struct watch_seen *seen;
	size_t n, i;
	double body;
	int g;

	st = probe_thread_states(w->probe, &n);
	*hits = 0;
	for (i = 0; i < n; i++)
		for (g = 0; g < EB_NGROUPS; g++) {
			seen = &w->seen[i][g];
			entries = st[i].hits[g];
			returns = st[i].returns[g];
			timed = st[i].body_hits[g];
			/* programs of hot groups are timed now and then */
			body = timed ? (double)st[i].body_ns[g] / timed : BODY_NS;
			w->paid[i][g] += (entries - seen->hits) * (w->ns[g] + body) +
					 (returns - seen->returns) * (w->return_ns + body);
			*seen = (struct watch_seen){ entries, returns };
			*hits += entries + returns;
		}
	return n;
}

static int switch_groups(struct watch *w, const bool want[EB_NGROUPS])
{
	int g;

	/* the rare ones first: the hot ones cost while the others are set */
	for (g = EB_NGROUPS - 1; g >= 0; g--) {
		if (!(w->plan.groups >> g & 1) || want[g] == probe_attached(w->probe, g))
			continue;
		if (want[g]) {
			if (probe_attach(w->probe, g))
				return -1;
		} else {
			probe_detach(w->probe, g);
		}
		guard_switched(&w->guard, g, want[g], now_ns());
		log_all("group %s %s", guard_group_name(g), want[g] ? "on" : "off");
	}
	return 0;
}

int watch_open(struct watch *w, struct vm *vm, unsigned int want, double max_overhead, bool exact,
	       unsigned int max_processes)
{
	bool stepped = false, on[EB_NGROUPS];
	size_t i;
	int g;

	memset(w, 0, sizeof(*w));
	w->seen = xcalloc(EB_MAX_THREADS, sizeof(*w->seen));
	w->paid = xcalloc(EB_MAX_THREADS, sizeof(*w->paid));
	probe_kernel_check(&w->kernel);
	if (probe_plan(vm, &w->kernel, want, &w->plan))
		return -1;
	for (i = 0; i < w->plan.nmissing; i++)
		log_warn("no probe on %s: %s", w->plan.missing[i].name, w->plan.missing[i].why);
	for (i = 0; i < w->plan.n; i++)
		if (w->plan.sites[i].site.class == SITE_STEPPED) {
			stepped = true;
			/* worth a word where it is hit often */
			if (w->plan.sites[i].group != EB_GROUP_CARRIER &&
			    w->plan.sites[i].group != EB_GROUP_REFC)
				log_warn("%s can only be single-stepped (`%s`): each hit costs "
					 "some ten times more", w->plan.sites[i].site.name,
					 w->plan.sites[i].site.insn);
		}
	if (!w->kernel.err && probe_calibrate(&w->kernel, stepped, &w->cost))
		return -1;
	for (g = 0; g < EB_NGROUPS; g++)
		w->ns[g] = probe_group_ns(&w->plan, g, &w->cost) * IN_THE_WILD;
	w->return_ns = probe_return_ns(&w->cost) * IN_THE_WILD;
	w->probe = probe_open(vm, &w->plan, &w->kernel, &w->cost, want, max_processes);
	if (!w->probe)
		return -1;
	guard_init(&w->guard, max_overhead, exact, w->plan.groups, now_ns());
	for (g = 0; g < EB_NGROUPS; g++)
		on[g] = true;
	if (switch_groups(w, on))
		return -1;
	/* attaching took its time: the watch begins now, with everything on */
	w->guard.start = w->guard.last = now_ns();
	for (g = 0; g < EB_NGROUPS; g++)
		w->guard.groups[g].on_since = w->guard.start;
	return 0;
}

static void tell_guard(struct watch *w, bool want[EB_NGROUPS])
{
	uint64_t hits;
	size_t n = take_costs(w, &hits);

	guard_tick(&w->guard, now_ns(), n, w->paid, want);
}

int watch_step(struct watch *w)
{
	bool want[EB_NGROUPS];

	tell_guard(w, want);
	return switch_groups(w, want);
}

uint64_t watch_tick_ns(const struct watch *w)
{
	return w->guard.exact ? 5 * GUARD_TICK_NS : GUARD_TICK_NS;
}

void watch_stop(struct watch *w)
{
	bool want[EB_NGROUPS];

	if (!w->probe || w->end)
		return;
	probe_stop(w->probe);
	/*
	 * Perf links close one after another, and while they do reading the target's memory waits
	 * for its mmap lock, a second and more: there the report comes first.
	 */
	if (w->kernel.multi)
		probe_detach_all(w->probe);
	tell_guard(w, want); /* the last hits, and the time up to now */
	w->end = now_ns();
}

void watch_close(struct watch *w)
{
	probe_close(w->probe);
	guard_free(&w->guard);
	free(w->seen);
	free(w->paid);
	memset(w, 0, sizeof(*w));
}

void watch_spent(struct watch *w, struct watch_spent *s)
{
	uint64_t until = w->end ? w->end : now_ns();
	size_t n, i;
	double sum;
	int g;

	memset(s, 0, sizeof(*s));
	n = take_costs(w, &s->hits);
	for (i = 0; i < n; i++) {
		for (sum = g = 0; g < EB_NGROUPS; g++)
			sum += w->paid[i][g];
		s->ns += sum;
		if (sum > s->busiest_ns)
			s->busiest_ns = sum;
	}
	if (until > w->guard.start)
		s->share = s->busiest_ns / (until - w->guard.start);
}

double watch_coverage(const struct watch *w, int group)
{
	if (!(w->plan.groups >> group & 1))
		return -1;
	return guard_coverage(&w->guard, group, w->end ? w->end : now_ns());
}
