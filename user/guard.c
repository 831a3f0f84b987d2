// SPDX-License-Identifier: GPL-2.0-only
#include "guard.h"

#include <stdlib.h>
#include <string.h>

#define SLOT_NS (GUARD_WINDOW_NS / GUARD_SLOTS)
#define MEMORY_NS (2 * GUARD_BURST_NS) /* what a rate is averaged over */
#define CALM_SHARE 0.8 /* of the budget for groups that are always on; the rest for bursts */

const char *guard_group_name(int group)
{
	static const char *const names[EB_NGROUPS] = {
		[EB_GROUP_ALLOC] = "alloc",
		[EB_GROUP_GC] = "gc",
		[EB_GROUP_EXIT] = "exit",
		[EB_GROUP_CARRIER] = "carrier",
		[EB_GROUP_REFC] = "refc",
	};

	return names[group];
}

void guard_init(struct guard *g, double percent, bool exact, unsigned int groups, uint64_t now)
{
	int i;

	memset(g, 0, sizeof(*g));
	g->budget = percent / 100;
	g->exact = exact;
	g->start = g->last = now;
	for (i = 0; i < EB_NGROUPS; i++)
		g->groups[i].present = groups >> i & 1;
}

void guard_free(struct guard *g)
{
	free(g->threads);
	g->threads = NULL;
	g->nthreads = 0;
}

static void roll_window(struct guard *g, uint64_t now)
{
	uint64_t slot = (now - g->start) / SLOT_NS, s;
	size_t t;

	if (slot - g->slot_no > GUARD_SLOTS)
		g->slot_no = slot - GUARD_SLOTS;
	for (s = g->slot_no + 1; s <= slot; s++)
		for (t = 0; t < g->nthreads; t++) {
			g->threads[t].window -= g->threads[t].slot[s % GUARD_SLOTS];
			g->threads[t].slot[s % GUARD_SLOTS] = 0;
		}
	g->slot_no = slot;
}

static void take_in(struct guard *g, uint64_t now, size_t nthreads, double (*cost)[EB_NGROUPS])
{
	struct guard_thread *th;
	double delta;
	size_t t;
	int i;

	if (nthreads > g->nthreads) {
		g->threads = xrealloc(g->threads, nthreads * sizeof(*g->threads));
		memset(g->threads + g->nthreads, 0,
		       (nthreads - g->nthreads) * sizeof(*g->threads));
		g->nthreads = nthreads;
	}
	roll_window(g, now);
	for (i = 0; i < EB_NGROUPS; i++)
		g->groups[i].burst_max = g->groups[i].tick_max = 0;
	for (t = 0; t < nthreads; t++) {
		th = &g->threads[t];
		for (i = 0; i < EB_NGROUPS; i++) {
			delta = cost[t][i] - th->total[i];
			th->total[i] = cost[t][i];
			th->burst[i] += delta;
			th->slot[g->slot_no % GUARD_SLOTS] += delta;
			th->window += delta;
			if (th->burst[i] > g->groups[i].burst_max)
				g->groups[i].burst_max = th->burst[i];
			if (delta > g->groups[i].tick_max)
				g->groups[i].tick_max = delta;
		}
		if (th->window / GUARD_WINDOW_NS > g->worst)
			g->worst = th->window / GUARD_WINDOW_NS;
	}
}

static double worst_window(const struct guard *g)
{
	double w = 0;
	size_t t;

	for (t = 0; t < g->nthreads; t++)
		if (g->threads[t].window > w)
			w = g->threads[t].window;
	return w;
}

/* How dear each group is now: over the burst at first, then over the last moments. */
static void measure(struct guard *g, uint64_t now)
{
	uint64_t dt = now - g->last;
	struct guard_group *gr;
	uint64_t on_for;
	int i;

	for (i = 0; i < EB_NGROUPS; i++) {
		gr = &g->groups[i];
		if (!gr->on)
			continue;
		gr->watched_ns += now - (g->last > gr->on_since ? g->last : gr->on_since);
		on_for = now - gr->on_since;
		if (on_for < GUARD_TICK_NS / 2)
			continue; /* too short to judge */
		if (on_for <= MEMORY_NS || !dt)
			gr->rate = gr->burst_max / on_for;
		else
			gr->rate += (gr->tick_max / dt - gr->rate) *
				    (dt < MEMORY_NS ? (double)dt / MEMORY_NS : 1);
	}
	g->last = now;
}

/*
 * The cheapest groups are watched all the time as long as they fit into the budget together;
 * those that do not fit are hot, and share what is left of it.  Returns the share of each.
 */
static double find_hot(const struct guard *g, bool hot[EB_NGROUPS])
{
	bool placed[EB_NGROUPS] = { false };
	int i, n, cheapest, nhot = 0;
	double sum = 0, left;

	for (n = 0; n < EB_NGROUPS; n++) {
		cheapest = -1;
		for (i = 0; i < EB_NGROUPS; i++)
			if (!placed[i] &&
			    (cheapest < 0 || g->groups[i].rate < g->groups[cheapest].rate))
				cheapest = i;
		placed[cheapest] = true;
		hot[cheapest] = g->groups[cheapest].present &&
				sum + g->groups[cheapest].rate > g->budget * CALM_SHARE;
		if (hot[cheapest])
			nhot++;
		else
			sum += g->groups[cheapest].rate;
	}
	left = g->budget - sum;
	if (left < g->budget * (1 - CALM_SHARE))
		left = g->budget * (1 - CALM_SHARE);
	return nhot ? left / nhot : 0;
}

static void pause_group(struct guard_group *gr, uint64_t now, double share)
{
	uint64_t on_for = now - gr->on_since;

	if (on_for > MEMORY_NS)
		on_for = MEMORY_NS;
	/* so long that the burst, spread over burst and pause, costs its share */
	gr->off_until = now - on_for + (uint64_t)(gr->rate * on_for / share);
	if (gr->off_until < now + GUARD_TICK_NS)
		gr->off_until = now + GUARD_TICK_NS;
}

void guard_tick(struct guard *g, uint64_t now, size_t nthreads, double (*cost)[EB_NGROUPS],
		bool want[EB_NGROUPS])
{
	double limit = g->budget * GUARD_WINDOW_NS, window, share;
	bool hot[EB_NGROUPS];
	struct guard_group *gr;
	int i, dearest = -1;

	take_in(g, now, nthreads, cost);
	measure(g, now);
	for (i = 0; i < EB_NGROUPS; i++)
		want[i] = g->groups[i].on;
	if (g->exact)
		return;
	window = worst_window(g);
	share = find_hot(g, hot);
	for (i = 0; i < EB_NGROUPS; i++) {
		gr = &g->groups[i];
		if (!gr->present)
			continue;
		if (!gr->on) {
			/* a burst like the last one must still fit */
			want[i] = now >= gr->off_until &&
				  window + gr->rate * GUARD_BURST_NS <= limit;
		} else if (hot[i] && now - gr->on_since + GUARD_TICK_NS > GUARD_BURST_NS) {
			/* the next tick would come after the burst's end */
			want[i] = false;
			pause_group(gr, now, share);
		}
	}
	if (window <= limit)
		return;
	/* past the budget all the same: the dearest goes, unless it costs next to nothing */
	for (i = 0; i < EB_NGROUPS; i++)
		if (want[i] && g->groups[i].on && g->groups[i].rate > g->budget / 10 &&
		    (dearest < 0 || g->groups[i].rate > g->groups[dearest].rate))
			dearest = i;
	if (dearest >= 0) {
		want[dearest] = false;
		pause_group(&g->groups[dearest], now, share > 0 ? share : g->budget);
	}
}

void guard_switched(struct guard *g, int group, bool on, uint64_t now)
{
	struct guard_group *gr = &g->groups[group];
	size_t t;

	if (gr->on == on)
		return;
	gr->on = on;
	if (on) {
		gr->on_since = now;
		gr->burst_max = 0;
		for (t = 0; t < g->nthreads; t++)
			g->threads[t].burst[group] = 0;
		return;
	}
	if (now > g->last)
		gr->watched_ns += now - g->last;
	gr->bursts++;
	if (!gr->first_off)
		gr->first_off = now - g->start;
}

double guard_coverage(const struct guard *g, int group, uint64_t now)
{
	const struct guard_group *gr = &g->groups[group];
	uint64_t watched = gr->watched_ns;

	if (gr->on && now > g->last)
		watched += now - (g->last > gr->on_since ? g->last : gr->on_since);
	if (now <= g->start)
		return gr->on ? 1 : 0;
	return watched >= now - g->start ? 1 : (double)watched / (now - g->start);
}

double guard_needs_percent(const struct guard *g, int group)
{
	const struct guard_group *gr = &g->groups[group];

	if (!gr->present || gr->watched_ns)
		return 0;
	return 100.0 * gr->rate * GUARD_TICK_NS / GUARD_WINDOW_NS;
}
