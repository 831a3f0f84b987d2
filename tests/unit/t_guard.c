// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guard against a simulated node: threads whose sites cost so much per second while they are
 * on, told to the guard at its ticks, and its decisions carried out.  What it promises is then
 * read off the whole history, window by window.
 */
#include "guard.h"
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#define MS 1000000ULL
#define SECOND (1000 * MS)
#define STEP (5 * MS) /* the history's grain; windows begin at each */
#define MAX_STEPS 12100
#define THREADS 4
#define WINDOW_STEPS (GUARD_WINDOW_NS / STEP)

struct sim {
	struct guard g;
	double rate[THREADS][EB_NGROUPS]; /* share of the thread's time while the group is on */
	double cost[THREADS][EB_NGROUPS];
	double history[THREADS][MAX_STEPS]; /* all groups together, up to a step */
	bool on[EB_NGROUPS];
	uint64_t now, start, tick;
	unsigned int steps;
	/* seen */
	uint64_t on_ns[EB_NGROUPS], on_since[EB_NGROUPS], longest[EB_NGROUPS], total_ns;
	unsigned int times_off[EB_NGROUPS];
	double worst; /* share of any window */
};

static struct sim s;
static uint64_t rng = 88172645463325252ULL;

static uint64_t rnd(uint64_t below)
{
	rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
	return rng % below;
}

static void sim_init(double percent, bool exact, unsigned int groups)
{
	int i;

	guard_free(&s.g);
	memset(&s, 0, sizeof(s));
	s.now = s.start = 1000 * SECOND;
	s.tick = GUARD_TICK_NS;
	guard_init(&s.g, percent, exact, groups, s.now);
	for (i = 0; i < EB_NGROUPS; i++) {
		s.on[i] = groups >> i & 1;
		if (s.on[i])
			guard_switched(&s.g, i, true, s.now);
		s.on_since[i] = s.now;
	}
}

static void all_threads(int group, double rate)
{
	int t;

	for (t = 0; t < THREADS; t++)
		s.rate[t][group] = rate;
}

static void spend(uint64_t ns)
{
	double window;
	int t, i;

	for (t = 0; t < THREADS; t++) {
		for (i = 0; i < EB_NGROUPS; i++)
			if (s.on[i])
				s.cost[t][i] += s.rate[t][i] * ns;
		s.history[t][s.steps + 1] = 0;
		for (i = 0; i < EB_NGROUPS; i++)
			s.history[t][s.steps + 1] += s.cost[t][i];
		window = s.history[t][s.steps + 1];
		if (s.steps + 1 >= WINDOW_STEPS)
			window -= s.history[t][s.steps + 1 - WINDOW_STEPS];
		if (window / GUARD_WINDOW_NS > s.worst)
			s.worst = window / GUARD_WINDOW_NS;
	}
	s.steps++;
	s.now += ns;
	s.total_ns += ns;
	for (i = 0; i < EB_NGROUPS; i++) {
		if (!s.on[i])
			continue;
		s.on_ns[i] += ns;
		if (s.now - s.on_since[i] > s.longest[i])
			s.longest[i] = s.now - s.on_since[i];
	}
}

static void tick(void)
{
	bool want[EB_NGROUPS];
	int i;

	guard_tick(&s.g, s.now, THREADS, s.cost, want);
	for (i = 0; i < EB_NGROUPS; i++) {
		if (want[i] == s.on[i])
			continue;
		s.on[i] = want[i];
		s.on_since[i] = s.now;
		s.times_off[i] += !want[i];
		guard_switched(&s.g, i, want[i], s.now);
	}
}

/* Ticks come when they come: jitter is a share of a tick, in percent. */
static void run(uint64_t ns, unsigned int jitter)
{
	uint64_t until = s.now + ns, next = s.now + s.tick;

	while (s.now < until && s.steps + 1 < MAX_STEPS) {
		spend(STEP);
		if (s.now < next)
			continue;
		tick();
		next = s.now + s.tick + (jitter ? rnd(s.tick * jitter / 100) : 0);
	}
}

static bool coverage_is_right(int group)
{
	double want = (double)s.on_ns[group] / s.total_ns;
	double got = guard_coverage(&s.g, group, s.now);

	if (got < want - 1e-6 || got > want + 1e-6) {
		diag("%s: coverage %.6f, was on for %.6f of the time", guard_group_name(group), got,
		     want);
		return false;
	}
	return true;
}

static bool all_coverages(void)
{
	bool good = true;
	int i;

	for (i = 0; i < EB_NGROUPS; i++)
		good &= coverage_is_right(i);
	return good;
}

#define ALL ((1u << EB_NGROUPS) - 1)

static void cheap(void)
{
	double all = 0.003 * EB_NGROUPS;
	unsigned int off = 0;
	int i;

	sim_init(2, false, ALL);
	for (i = 0; i < EB_NGROUPS; i++)
		all_threads(i, 0.003);
	run(60 * SECOND, 0);
	for (i = 0; i < EB_NGROUPS; i++)
		off += s.times_off[i];
	ok(!off, "groups that fit into the budget together are never switched off");
	ok(s.worst > 0.99 * all && s.worst < 1.01 * all, "the simulation adds up (%.4f)", s.worst);
	ok(s.g.worst > 0.92 * all && s.g.worst < 1.04 * all, "the guard knows what it cost (%.4f)",
	   s.g.worst);
	for (i = 0; i < EB_NGROUPS; i++)
		ok(guard_coverage(&s.g, i, s.now) > 0.999999 &&
			   guard_needs_percent(&s.g, i) == 0,
		   "%s: watched all the time, needs no more", guard_group_name(i));
}

static void hot(void)
{
	sim_init(2, false, ALL);
	all_threads(EB_GROUP_ALLOC, 0.4);
	all_threads(EB_GROUP_GC, 0.004);
	run(60 * SECOND, 0);
	ok(s.times_off[EB_GROUP_ALLOC] > 3, "a hot group is switched off");
	ok(s.longest[EB_GROUP_ALLOC] <= GUARD_BURST_NS + GUARD_TICK_NS,
	   "each time within 100 ms and a tick (%.0f ms)", s.longest[EB_GROUP_ALLOC] / 1e6);
	ok(!s.times_off[EB_GROUP_GC] && !s.times_off[EB_GROUP_EXIT] &&
		   !s.times_off[EB_GROUP_CARRIER] && !s.times_off[EB_GROUP_REFC],
	   "the cheap ones beside it stay on");
	ok(s.worst <= 0.02, "no window costs more than the budget (%.2f %%)", 100 * s.worst);
	ok(s.g.worst > 0.9 * s.worst && s.g.worst < 1.1 * s.worst + 0.001,
	   "the guard knows what it cost (%.2f %%)", 100 * s.g.worst);
	ok(guard_coverage(&s.g, EB_GROUP_ALLOC, s.now) > 0.01,
	   "it is watched for a good part of what the budget allows (%.2f %%)",
	   100 * guard_coverage(&s.g, EB_GROUP_ALLOC, s.now));
	ok(all_coverages(), "coverage is the time on over all of the time");
}

/* Only one thread is hot: it alone decides; and it may be another one later. */
static void one_thread(void)
{
	sim_init(2, false, ALL);
	s.rate[2][EB_GROUP_ALLOC] = 0.5;
	run(30 * SECOND, 0);
	ok(s.times_off[EB_GROUP_ALLOC] > 1 && s.worst <= 0.02,
	   "one hot thread among four is bounded by itself (%.2f %%)", 100 * s.worst);
	s.rate[2][EB_GROUP_ALLOC] = 0;
	s.rate[0][EB_GROUP_ALLOC] = 0.5;
	run(30 * SECOND, 0);
	ok(s.worst <= 0.02, "then another one (%.2f %%)", 100 * s.worst);
}

static void exact(void)
{
	int i;

	sim_init(2, true, ALL);
	for (i = 0; i < EB_NGROUPS; i++)
		all_threads(i, 0.2);
	run(30 * SECOND, 0);
	for (i = 0; i < EB_NGROUPS; i++)
		ok(s.on[i] && !s.times_off[i] && guard_coverage(&s.g, i, s.now) > 0.999999,
		   "exact: %s stays on", guard_group_name(i));
	ok(s.g.worst > 0.7, "exact: what it costs is told all the same");
}

static void absent(void)
{
	sim_init(2, false, 1u << EB_GROUP_GC);
	all_threads(EB_GROUP_GC, 0.001);
	run(20 * SECOND, 0);
	ok(!s.on[EB_GROUP_ALLOC] && !s.on[EB_GROUP_EXIT] && !s.on[EB_GROUP_CARRIER],
	   "groups without sites are never switched on");
	ok(guard_coverage(&s.g, EB_GROUP_ALLOC, s.now) == 0 &&
		   guard_needs_percent(&s.g, EB_GROUP_ALLOC) == 0,
	   "nor said to need anything");
	ok(s.on[EB_GROUP_GC] && !s.times_off[EB_GROUP_GC], "the one there is stays on");
}

static void load_steps(void)
{
	uint64_t before;

	sim_init(2, false, ALL);
	all_threads(EB_GROUP_ALLOC, 0.001);
	run(20 * SECOND, 0);
	ok(!s.times_off[EB_GROUP_ALLOC], "a calm node is watched all the time");
	all_threads(EB_GROUP_ALLOC, 0.8);
	before = s.now;
	while (s.on[EB_GROUP_ALLOC] && s.now < before + SECOND)
		run(STEP, 0), tick();
	ok(s.now - before <= GUARD_BURST_NS + GUARD_TICK_NS,
	   "a storm begins: switched off within 100 ms and a tick (%.0f ms)",
	   (s.now - before) / 1e6);
	run(15 * SECOND, 0);
	ok(s.worst <= 0.021, "and the budget is kept (%.2f %%)", 100 * s.worst);
	all_threads(EB_GROUP_ALLOC, 0.001);
	run(20 * SECOND, 0);
	ok(s.on[EB_GROUP_ALLOC], "the storm is over: it is watched again");
	before = s.on_ns[EB_GROUP_ALLOC];
	run(2 * SECOND, 0);
	ok(s.on_ns[EB_GROUP_ALLOC] - before == 2 * SECOND, "and all the time");
	ok(all_coverages(), "coverage is the time on over all of the time");
}

/* A budget so small that one tick of the group would break it: after the first burst, none. */
static void too_small(void)
{
	double needs;
	unsigned int bursts;

	sim_init(0.01, false, ALL);
	all_threads(EB_GROUP_ALLOC, 0.9);
	run(30 * SECOND, 0);
	bursts = s.times_off[EB_GROUP_ALLOC];
	ok(bursts >= 1 && !s.on[EB_GROUP_ALLOC] && bursts < 3,
	   "a budget of 0.01 %%: off after the first burst, and for long (%u bursts)", bursts);
	ok(all_coverages(), "coverage of so little is right as well");

	/* never on at all: switched off before the first tick was over */
	sim_init(0.01, false, 1u << EB_GROUP_ALLOC);
	s.g.groups[EB_GROUP_ALLOC].rate = 0.9;
	guard_switched(&s.g, EB_GROUP_ALLOC, false, s.now);
	needs = guard_needs_percent(&s.g, EB_GROUP_ALLOC);
	ok(needs > 0.17 && needs < 0.19,
	   "a group never watched: one tick at 90 %% of the time is 0.18 %% of a window (%.3f)",
	   needs);
}

/* Any window of 10 s, whatever rates and budgets, jitter and bursts of the load. */
static void any_load(void)
{
	static const double budgets[] = { 0.5, 1, 2, 5, 20 };
	static const double rates[] = { 0.001, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0 };
	unsigned int i, k, cases = 0, kept = 0, short_enough = 0, right = 0, round;
	double budget, over, allowed;
	int group, t;

	for (i = 0; i < ARRAY_SIZE(budgets); i++)
		for (k = 0; k < ARRAY_SIZE(rates); k++) {
			budget = budgets[i] / 100;
			sim_init(budgets[i], false, ALL);
			all_threads(EB_GROUP_ALLOC, rates[k]);
			run(60 * SECOND, 25);
			cases++;
			/* what one burst may cost before the guard can know better */
			over = rates[k] * (GUARD_BURST_NS + 2 * GUARD_TICK_NS) / GUARD_WINDOW_NS;
			allowed = over > budget ? over : budget;
			if (s.worst <= allowed * 1.0001)
				kept++;
			else
				diag("budget %.1f %%, rate %.3f: worst %.3f %%, allowed %.3f",
				     budgets[i], rates[k], 100 * s.worst, 100 * allowed);
			short_enough += !s.times_off[EB_GROUP_ALLOC] ||
					s.longest[EB_GROUP_ALLOC] <=
						GUARD_BURST_NS + 2 * GUARD_TICK_NS;
			right += all_coverages();
		}
	is_u64(kept, cases, "steady loads: no window of 10 s is above the budget");
	is_u64(short_enough, cases, "steady loads: no burst is longer than allowed");
	is_u64(right, cases, "steady loads: coverage is right");

	cases = kept = right = 0;
	for (round = 0; round < 40; round++) {
		budget = budgets[1 + rnd(3)] / 100;
		sim_init(100 * budget, false, ALL);
		while (s.total_ns < 60 * SECOND) {
			group = rnd(EB_NGROUPS);
			for (t = 0; t < THREADS; t++)
				s.rate[t][group] = rnd(3) ? rates[rnd(4)] : rates[rnd(7)] / 4;
			run((20 + rnd(3000)) * MS, 25);
		}
		cases++;
		right += all_coverages();
		/* groups that turn dear all at once are noticed a burst later */
		if (s.worst <= 1.1 * budget + 0.001)
			kept++;
		else
			diag("round %u, budget %.1f %%: worst window %.3f %%", round, 100 * budget,
			     100 * s.worst);
	}
	is_u64(kept, cases, "changing loads: no window of 10 s is far above the budget");
	is_u64(right, cases, "changing loads: coverage is right");
}

/* The reader was held up: a tick comes late, or threads come and go. */
static void late(void)
{
	bool want[EB_NGROUPS];
	uint64_t on_at;

	sim_init(2, false, ALL);
	all_threads(EB_GROUP_ALLOC, 0.4);
	run(5 * SECOND, 0);
	s.now += 3600 * SECOND;
	guard_tick(&s.g, s.now, THREADS, s.cost, want);
	ok(s.g.threads[0].window == 0 || s.g.threads[0].window < 1e6,
	   "an hour without a tick: the window is empty (%.0f ns)", s.g.threads[0].window);
	on_at = s.now;
	guard_tick(&s.g, on_at, THREADS, s.cost, want);
	ok(want[EB_GROUP_GC], "two ticks at one time do no harm");
	guard_tick(&s.g, on_at + 1, 0, s.cost, want);
	guard_tick(&s.g, on_at + 2, 1, s.cost, want);
	ok(s.g.nthreads == THREADS, "threads that are not told of any more are kept");
}

int main(void)
{
	cheap();
	hot();
	one_thread();
	exact();
	absent();
	load_steps();
	too_small();
	any_load();
	late();
	is_str(guard_group_name(EB_GROUP_CARRIER), "carrier", "groups have names");
	is_str(guard_group_name(EB_GROUP_REFC), "refc", "the last one, too");
	guard_free(&s.g);
	return done();
}
