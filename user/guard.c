// SPDX-License-Identifier: GPL-2.0-only
#include "guard.h"

#include <stdlib.h>
#include <string.h>

#define SLOT_NS (GUARD_WINDOW_NS / GUARD_SLOTS)

const char *guard_group_name(int group)
{
	static const char *const names[EB_NGROUPS] = {
		[EB_GROUP_ALLOC] = "alloc",
		[EB_GROUP_GC] = "gc",
		[EB_GROUP_EXIT] = "exit",
		[EB_GROUP_CARRIER] = "carrier",
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
		g->groups[i].burst_max = 0;
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

/* The rates of what stays on eat of the same budget. */
static double rates_but(const struct guard *g, int but)
{
	double sum = 0;
	int i;

	for (i = 0; i < EB_NGROUPS; i++)
		if (i != but && g->groups[i].on)
			sum += g->groups[i].rate;
	return sum;
}

void guard_tick(struct guard *g, uint64_t now, size_t nthreads, double (*cost)[EB_NGROUPS],
		bool want[EB_NGROUPS])
{
	double limit = g->budget * GUARD_WINDOW_NS, window, left, pause;
	struct guard_group *gr;
	uint64_t on_for;
	int i, dearest;
	bool over;

	take_in(g, now, nthreads, cost);
	window = worst_window(g);
	for (i = 0; i < EB_NGROUPS; i++) {
		gr = &g->groups[i];
		want[i] = gr->on;
		if (!gr->on)
			continue;
		gr->watched_ns += now - (g->last > gr->on_since ? g->last : gr->on_since);
		on_for = now - gr->on_since;
		if (on_for >= GUARD_TICK_NS / 2)
			gr->rate = gr->burst_max / on_for;
	}
	g->last = now;
	if (g->exact)
		return;

	/* switch off the dearest as long as all together spend more than the budget allows */
	for (;;) {
		dearest = -1;
		over = window > limit;
		for (i = 0; i < EB_NGROUPS; i++) {
			gr = &g->groups[i];
			if (!want[i] || now - gr->on_since < GUARD_TICK_NS / 2)
				continue;
			/* the next tick would come after the burst's end */
			if (!over && now - gr->on_since + GUARD_TICK_NS <= GUARD_BURST_NS)
				continue;
			if (dearest < 0 || gr->rate > g->groups[dearest].rate)
				dearest = i;
		}
		if (dearest < 0)
			break;
		gr = &g->groups[dearest];
		left = 0;
		for (i = 0; i < EB_NGROUPS; i++)
			if (want[i])
				left += g->groups[i].rate;
		if (left <= g->budget && !over)
			break;
		want[dearest] = false;
		/* the pause that makes up for the burst, given what the others cost meanwhile */
		left = 0;
		for (i = 0; i < EB_NGROUPS; i++)
			if (want[i])
				left += g->groups[i].rate;
		left = g->budget - left;
		pause = left > g->budget / 20 ? gr->burst_max / left : gr->burst_max / g->budget * 20;
		gr->off_until = gr->on_since + (uint64_t)pause;
		if (gr->off_until < now)
			gr->off_until = now;
		over = false;
		window = 0;
	}

	/* switch on what has waited long enough, if a burst like the last one still fits */
	window = worst_window(g);
	for (i = 0; i < EB_NGROUPS; i++) {
		gr = &g->groups[i];
		if (!gr->present || gr->on || now < gr->off_until)
			continue;
		if (rates_but(g, i) >= g->budget ||
		    window + gr->rate * GUARD_BURST_NS > limit)
			continue;
		want[i] = true;
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
