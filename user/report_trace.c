// SPDX-License-Identifier: GPL-2.0-only
/* The tables of a trace: columns, totals and verdicts of its four sections. */
#include "columns.h"
#include "fold.h"
#include "probe.h"

#include <stdlib.h>
#include <string.h>

#define WHO_COLUMNS(prefix)                                                                        \
	{ "pid", "PID", UNIT_NONE, COL_TEXT | COL_LOW_BAD, "Erlang pid", prefix##_pid },           \
	{ "name", "NAME", UNIT_NONE, COL_TEXT | COL_SHRINK | COL_LOW_BAD,                          \
	  "registered name, else initial call; or what ran outside of any process",                \
	  prefix##_name },                                                                         \
	{ "initial_call", "INITIAL CALL", UNIT_NONE, COL_LOW_BAD,                                  \
	  "'$initial_call' of proc_lib, else the spawned function", prefix##_initial }

#define GET_WHO(prefix, ROW)                                                                       \
	GET_TEXT(prefix##_pid, ROW, r->who ? r->who->pid : NULL)                                   \
	GET_TEXT(prefix##_initial, ROW, r->who ? r->who->initial_call : NULL)                      \
	GET_IF(prefix##_exited, ROW, r->who && r->who->pid, VAL_BOOL, b, r->who->exited)

/* In a column of its own, without the pid beside it. */
static const char *name_of(const struct who *w)
{
	return w->name ? w->name : w->pid;
}

/* --- alloc -------------------------------------------------------------------------------------- */

GET_WHO(alloc, struct alloc_row)
GET_TEXT(alloc_name, struct alloc_row, r->who ? r->who->name : r->group)
GET_TEXT(alloc_allocator, struct alloc_row, r->allocator)
GET_TEXT(alloc_type, struct alloc_row, r->type_name)
GET_U(alloc_allocs, struct alloc_row, r->allocs)
GET_U(alloc_alloc_bytes, struct alloc_row, r->alloc_bytes)
GET_U(alloc_frees, struct alloc_row, r->frees)
GET_U(alloc_free_bytes, struct alloc_row, r->free_bytes)
GET_U(alloc_reallocs, struct alloc_row, r->reallocs)
GET_IF(alloc_live, struct alloc_row, r->live_known && !r->live_est, VAL_U64, u, r->live)
GET_IF(alloc_live_bytes, struct alloc_row, r->live_known && !r->live_est, VAL_U64, u,
       r->live_bytes)
GET_IF(alloc_live_est, struct alloc_row, r->live_known && r->live_est, VAL_U64, u, r->live)
GET_IF(alloc_live_bytes_est, struct alloc_row, r->live_known && r->live_est, VAL_U64, u,
       r->live_bytes)
GET_EST(alloc_allocs_est, struct alloc_row, allocs_est)
GET_EST(alloc_frees_est, struct alloc_row, frees_est)
GET_EST(alloc_reallocs_est, struct alloc_row, reallocs_est)
GET_HIST(alloc_hist, struct alloc_row, sizes)

static const struct column alloc_columns[] = {
	WHO_COLUMNS(alloc),
	{ "allocator", "ALLOCATOR", UNIT_NONE, COL_TEXT | COL_SOONER(3) | COL_LOW_BAD,
	  "allocator, as the VM names it", alloc_allocator },
	{ "type", "TYPE", UNIT_NONE, COL_TEXT | COL_SHRINK | COL_LOW_BAD,
	  "allocation type, as the VM names it", alloc_type },
	{ "allocs", "ALLOCS", UNIT_NONE, COL_TEXT, "allocations", alloc_allocs },
	{ "alloc_bytes", "BYTES", UNIT_BYTES, COL_TEXT, "bytes asked for", alloc_alloc_bytes },
	{ "frees", "FREES", UNIT_NONE, COL_TEXT | COL_SOONER(2), "frees", alloc_frees },
	{ "free_bytes", "FREED", UNIT_BYTES, COL_TEXT | COL_SOONER(4),
	  "bytes of the blocks freed, as the allocator counts them (header and padding included)",
	  alloc_free_bytes },
	{ "reallocs", "REALLOCS", UNIT_NONE, COL_TEXT | COL_SOONER(5), "reallocations", alloc_reallocs },
	{ "live", "LIVE", UNIT_NONE, 0, "of these allocations, how many are alive at the end",
	  alloc_live },
	{ "live_bytes", "LIVE", UNIT_BYTES, COL_TEXT | COL_SOONER(1),
	  "bytes asked for by those", alloc_live_bytes },
	{ "live_est", "LIVE~", UNIT_NONE, COL_EST, "alive, from a sample of the allocations",
	  alloc_live_est },
	{ "live_bytes_est", "LIVE~", UNIT_BYTES, COL_EST, "their bytes, from a sample",
	  alloc_live_bytes_est },
	{ "allocs_est", "ALLOCS~", UNIT_NONE, COL_EST,
	  "allocations, scaled by the VM's own counters", alloc_allocs_est },
	{ "frees_est", "FREES~", UNIT_NONE, COL_EST, "frees, scaled", alloc_frees_est },
	{ "reallocs_est", "REALLOCS~", UNIT_NONE, COL_EST, "reallocations, scaled",
	  alloc_reallocs_est },
	{ "size_histogram", "", UNIT_BYTES, 0, "allocations by bytes asked for", alloc_hist },
	{ "exited", "", UNIT_NONE, 0, "the process died under watch", alloc_exited },
};

/* --- bin ---------------------------------------------------------------------------------------- */

GET_WHO(bin, struct bin_row)
GET_TEXT(bin_name, struct bin_row, r->who->name)
GET_IF(bin_held_refs, struct bin_row, r->held_known, VAL_U64, u, r->held_refs)
GET_IF(bin_held_bytes, struct bin_row, r->held_known, VAL_U64, u, r->held_bytes)
GET_IF(bin_since_gc, struct bin_row, r->held_known, VAL_U64, u, r->since_gc)
GET_IF(bin_writable, struct bin_row, r->held_known, VAL_U64, u, r->writable_bytes)
GET_U(bin_created, struct bin_row, r->created)
GET_U(bin_created_bytes, struct bin_row, r->created_bytes)
GET_U(bin_freed, struct bin_row, r->freed)
GET_U(bin_freed_bytes, struct bin_row, r->freed_bytes)
GET_U(bin_released, struct bin_row, r->released)
GET_U(bin_released_bytes, struct bin_row, r->released_bytes)
GET_IF(bin_acquired, struct bin_row, r->acquired_known, VAL_U64, u, r->acquired)
GET_IF(bin_acquired_bytes, struct bin_row, r->acquired_known, VAL_U64, u, r->acquired_bytes)
GET_IF(bin_alive, struct bin_row, r->alive_known && !r->births_sampled, VAL_U64, u, r->alive)
GET_IF(bin_alive_bytes, struct bin_row, r->alive_known && !r->births_sampled, VAL_U64, u,
       r->alive_bytes)
GET_IF(bin_alive_est, struct bin_row, r->alive_known && r->births_sampled, VAL_U64, u, r->alive)
GET_IF(bin_alive_bytes_est, struct bin_row, r->alive_known && r->births_sampled, VAL_U64, u,
       r->alive_bytes)
GET(bin_lives, struct bin_row, VAL_HIST, hist, r->lives)
GET_IF(bin_ages, struct bin_row, r->alive_known, VAL_HIST, hist, r->ages)
GET_IF(bin_held_by, struct bin_row, r->alive_known, VAL_HOLDERS, holders, r)
GET_TEXT(bin_held_by_text, struct bin_row,
	 !r->nheld_by ? NULL : r->held_by[0].who ? name_of(r->held_by[0].who) : "no process found")
GET_EST(bin_created_est, struct bin_row, created_est)
GET_EST(bin_freed_est, struct bin_row, freed_est)
GET(bin_hist, struct bin_row, VAL_HIST, hist, r->sizes)
GET(bin_held_partial, struct bin_row, VAL_BOOL, b, r->held_partial)
GET(bin_released_partial, struct bin_row, VAL_BOOL, b, r->who->partial)

static const struct column bin_columns[] = {
	WHO_COLUMNS(bin),
	{ "held_refs", "REFS", UNIT_NONE, COL_TEXT | COL_SOONER(6),
	  "references to refc binaries held at the end, as process_info(P, binary) lists them",
	  bin_held_refs },
	{ "held_bytes", "HELD", UNIT_BYTES, COL_TEXT, "bytes of those binaries (own sizes)",
	  bin_held_bytes },
	{ "since_gc", "SINCE GC", UNIT_BYTES, COL_TEXT | COL_SOONER(1),
	  "bytes of refc binaries that came to it since its last collection",
	  bin_since_gc },
	{ "created", "#CREATED", UNIT_NONE, COL_TEXT | COL_SOONER(5), "refc binaries created",
	  bin_created },
	{ "created_bytes", "CREATED", UNIT_BYTES, COL_TEXT, "their bytes", bin_created_bytes },
	{ "acquired_refs", "ACQUIRED", UNIT_NONE, COL_TEXT | COL_SOONER(2),
	  "references that came to it, created by itself or received", bin_acquired },
	{ "acquired_bytes", "BYTES", UNIT_BYTES, 0, "bytes of the binaries referenced",
	  bin_acquired_bytes },
	{ "freed", "#FREED", UNIT_NONE, COL_TEXT | COL_SOONER(7),
	  "refc binaries whose last reference it gave up", bin_freed },
	{ "freed_bytes", "FREED", UNIT_BYTES, COL_TEXT | COL_SOONER(8), "their bytes", bin_freed_bytes },
	{ "released_refs", "RELEASED", UNIT_NONE, COL_TEXT | COL_SOONER(9),
	  "references given up by its collections and its exit", bin_released },
	{ "released_bytes", "BYTES", UNIT_BYTES, 0, "bytes of the binaries referenced",
	  bin_released_bytes },
	{ "alive", "ALIVE", UNIT_NONE, 0, "of those it created under watch, how many are alive",
	  bin_alive },
	{ "alive_bytes", "ALIVE", UNIT_BYTES, COL_TEXT | COL_SOONER(3), "bytes of those",
	  bin_alive_bytes },
	{ "alive_est", "ALIVE~", UNIT_NONE, COL_EST, "alive, from a sample of the births",
	  bin_alive_est },
	{ "alive_bytes_est", "ALIVE~", UNIT_BYTES, COL_EST, "their bytes, from a sample",
	  bin_alive_bytes_est },
	{ "held_by_first", "HELD BY", UNIT_NONE, COL_TEXT | COL_SHRINK | COL_SOONER(4) | COL_LOW_BAD,
	  "who holds most of those that are alive", bin_held_by_text },
	{ "held_by", "", UNIT_NONE, 0, "who holds those that are alive", bin_held_by },
	{ "created_est", "CREATED~", UNIT_NONE, COL_EST, "created, scaled by the VM's counters",
	  bin_created_est },
	{ "freed_est", "FREED~", UNIT_NONE, COL_EST, "freed, scaled", bin_freed_est },
	{ "writable_bytes", "WRITABLE", UNIT_BYTES, 0,
	  "bytes of binaries it is appending to; part of held_bytes from OTP 26 on", bin_writable },
	{ "size_histogram", "", UNIT_BYTES, 0, "binaries created, by own size", bin_hist },
	{ "lifetime_histogram", "", UNIT_NS, 0,
	  "binaries it created under watch that died, by lifetime in ns", bin_lives },
	{ "age_histogram", "", UNIT_NS, 0,
	  "binaries it created under watch that are alive, by age in ns", bin_ages },
	{ "exited", "", UNIT_NONE, 0, "the process died under watch", bin_exited },
	{ "held_partial", "", UNIT_NONE, 0, "part of its lists could not be read",
	  bin_held_partial },
	{ "released_partial", "", UNIT_NONE, 0,
	  "a list was longer than the kernel walks: released is a lower bound",
	  bin_released_partial },
};

/* --- carrier ------------------------------------------------------------------------------------ */

static const char *const kind_names[] = { "mbc", "sbc" };
static const char *const source_names[] = { "mseg", "sys_alloc" };

static uint64_t unused_bytes(const struct carrier_row *r)
{
	return r->carriers_size - r->blocks_size;
}

GET_TEXT(carrier_allocator, struct carrier_row, r->allocator)
GET_U(carrier_instance, struct carrier_row, r->instance)
GET_TEXT(carrier_kind, struct carrier_row, kind_names[r->kind & 1])
GET_TEXT(carrier_source, struct carrier_row, source_names[r->source & 1])
GET_U(carrier_created, struct carrier_row, r->created)
GET_U(carrier_destroyed, struct carrier_row, r->destroyed)
GET_U(carrier_created_bytes, struct carrier_row, r->created_bytes)
GET_U(carrier_destroyed_bytes, struct carrier_row, r->destroyed_bytes)
GET_U(carrier_grown, struct carrier_row, r->grown)
GET_U(carrier_grown_bytes, struct carrier_row, r->grown_bytes)
GET_U(carrier_shrunk, struct carrier_row, r->shrunk)
GET_U(carrier_shrunk_bytes, struct carrier_row, r->shrunk_bytes)
GET_IF(carrier_carriers, struct carrier_row, r->stats_known, VAL_U64, u, r->carriers)
GET_IF(carrier_size, struct carrier_row, r->stats_known, VAL_U64, u, r->carriers_size)
GET_IF(carrier_unused, struct carrier_row, r->stats_known, VAL_U64, u, unused_bytes(r))
GET_IF(carrier_usage, struct carrier_row, r->stats_known && r->carriers_size, VAL_DOUBLE, d,
       (double)r->blocks_size / r->carriers_size)
GET_U(carrier_abandoned, struct carrier_row, r->abandoned)
GET_U(carrier_abandoned_bytes, struct carrier_row, r->abandoned_bytes)
GET_U(carrier_fetched, struct carrier_row, r->fetched)
GET_U(carrier_fetched_bytes, struct carrier_row, r->fetched_bytes)
GET_IF(carrier_destroyed_usage, struct carrier_row, r->destroyed_bytes, VAL_DOUBLE, d,
       (double)r->destroyed_used / r->destroyed_bytes)
GET_IF(carrier_alive, struct carrier_row, r->alive_known, VAL_U64, u, r->alive)
GET_IF(carrier_alive_bytes, struct carrier_row, r->alive_known, VAL_U64, u, r->alive_bytes)
GET_IF(carrier_alive_usage, struct carrier_row, r->alive_known && r->alive_bytes, VAL_DOUBLE, d,
       (double)r->alive_used / r->alive_bytes)
GET_HIST(carrier_lives, struct carrier_row, lives)
GET_TEXT(carrier_by_text, struct carrier_row, r->nby ? name_of(r->by[0].who) : NULL)
GET(carrier_by, struct carrier_row, VAL_BY, by, r)
GET_HIST(carrier_hist, struct carrier_row, sizes)

static const struct column carrier_columns[] = {
	{ "allocator", "ALLOCATOR", UNIT_NONE, COL_TEXT | COL_LOW_BAD, "allocator",
	  carrier_allocator },
	{ "instance", "INST", UNIT_NONE, COL_TEXT | COL_LOW_BAD,
	  "instance: 0 is shared, n belongs to scheduler n", carrier_instance },
	{ "kind", "KIND", UNIT_NONE, COL_TEXT | COL_LOW_BAD, "mbc: many blocks, sbc: one block",
	  carrier_kind },
	{ "source", "SOURCE", UNIT_NONE, COL_TEXT | COL_LOW_BAD | COL_SOONER(8),
	  "where its memory comes from", carrier_source },
	{ "created", "#CREATED", UNIT_NONE, COL_TEXT | COL_SOONER(6), "carriers created", carrier_created },
	{ "created_bytes", "CREATED", UNIT_BYTES, COL_TEXT, "their bytes", carrier_created_bytes },
	{ "destroyed", "#DESTROYED", UNIT_NONE, COL_TEXT | COL_SOONER(9), "carriers destroyed",
	  carrier_destroyed },
	{ "destroyed_bytes", "BYTES", UNIT_BYTES, COL_DROP, "their bytes",
	  carrier_destroyed_bytes },
	{ "grown", "GROWN", UNIT_NONE, 0, "single-block carriers grown in place or moved",
	  carrier_grown },
	{ "grown_bytes", "BYTES", UNIT_BYTES, 0, "by so many bytes", carrier_grown_bytes },
	{ "shrunk", "SHRUNK", UNIT_NONE, 0, "single-block carriers shrunk", carrier_shrunk },
	{ "shrunk_bytes", "BYTES", UNIT_BYTES, 0, "by so many bytes", carrier_shrunk_bytes },
	{ "abandoned", "TO POOL", UNIT_NONE, COL_TEXT | COL_SOONER(3),
	  "carriers that it abandoned to the pool, being little used", carrier_abandoned },
	{ "abandoned_bytes", "BYTES", UNIT_BYTES, 0, "their bytes", carrier_abandoned_bytes },
	{ "fetched", "FETCHED", UNIT_NONE, COL_TEXT | COL_SOONER(5),
	  "carriers that it fetched from the pool", carrier_fetched },
	{ "fetched_bytes", "BYTES", UNIT_BYTES, 0, "their bytes", carrier_fetched_bytes },
	{ "destroyed_usage", "", UNIT_SHARE, 0,
	  "share in blocks of carriers when they were destroyed; an mbc goes when it is empty",
	  carrier_destroyed_usage },
	{ "alive", "NEW", UNIT_NONE, 0, "carriers created under watch that are alive", carrier_alive },
	{ "alive_bytes", "BYTES", UNIT_BYTES, 0, "their bytes", carrier_alive_bytes },
	{ "alive_usage", "NEW USED", UNIT_SHARE, COL_TEXT | COL_SOONER(4),
	  "share in blocks of carriers created under watch that are alive", carrier_alive_usage },
	{ "carriers", "CARRIERS", UNIT_NONE, 0,
	  "carriers of this instance and kind at the end, pool included", carrier_carriers },
	{ "carriers_size", "SIZE NOW", UNIT_BYTES, COL_TEXT | COL_SOONER(7), "their bytes", carrier_size },
	{ "unused_bytes", "UNUSED", UNIT_BYTES, COL_TEXT, "of them in no block", carrier_unused },
	{ "usage", "USAGE", UNIT_SHARE, COL_TEXT, "share of them in blocks", carrier_usage },
	{ "made_by", "MADE BY", UNIT_NONE, COL_TEXT | COL_SHRINK | COL_SOONER(2) | COL_LOW_BAD,
	  "whose allocations made most of the bytes necessary", carrier_by_text },
	{ "by_process", "", UNIT_NONE, 0, "whose allocations made them necessary", carrier_by },
	{ "size_histogram", "", UNIT_BYTES, 0, "carriers created, by size", carrier_hist },
	{ "lifetime_histogram", "", UNIT_NS, 0,
	  "carriers created under watch and destroyed, by lifetime in ns", carrier_lives },
};

/* --- gc ----------------------------------------------------------------------------------------- */

GET_WHO(gc, struct gc_row)
GET_TEXT(gc_name, struct gc_row, r->who->name)
GET_U(gc_minor, struct gc_row, r->minor)
GET_U(gc_major, struct gc_row, r->major)
GET_U(gc_pause, struct gc_row, r->pause_total_ns)
GET_U(gc_max, struct gc_row, r->pause_max_ns)
GET(gc_reclaimed, struct gc_row, VAL_I64, i, r->reclaimed_words)
GET_U(gc_released, struct gc_row, r->released_bytes)
GET_U(gc_heap, struct gc_row, r->heap_words)
GET_IF(gc_allocated, struct gc_row, r->allocated_known, VAL_U64, u, r->allocated_words)
GET_EST(gc_minor_est, struct gc_row, minor_est)
GET_EST(gc_major_est, struct gc_row, major_est)
GET_HIST(gc_hist, struct gc_row, pauses)
GET(gc_released_partial, struct gc_row, VAL_BOOL, b, r->who->partial)

static const struct column gc_columns[] = {
	WHO_COLUMNS(gc),
	{ "minor", "MINOR", UNIT_NONE, COL_TEXT, "minor collections", gc_minor },
	{ "major", "MAJOR", UNIT_NONE, COL_TEXT, "major collections, hibernation included",
	  gc_major },
	{ "pause_total_ns", "PAUSE", UNIT_NS, COL_TEXT, "time in collections", gc_pause },
	{ "pause_max_ns", "LONGEST", UNIT_NS, COL_TEXT | COL_SOONER(1), "longest collection", gc_max },
	{ "reclaimed_words", "RECLAIMED", UNIT_WORDS, COL_TEXT | COL_SOONER(2), "heap words reclaimed",
	  gc_reclaimed },
	{ "allocated_words", "ALLOCATED", UNIT_WORDS, COL_TEXT,
	  "heap words allocated; most of that never reaches an allocator", gc_allocated },
	{ "binary_released_bytes", "BIN RELEASED", UNIT_BYTES, COL_TEXT | COL_SOONER(4),
	  "bytes of refc binaries that lost a reference", gc_released },
	{ "heap_words", "HEAP NOW", UNIT_WORDS, COL_TEXT | COL_SOONER(3),
	  "words of its heaps after the last collection", gc_heap },
	{ "minor_est", "MINOR~", UNIT_NONE, COL_EST, "minor, scaled by the VM's counters",
	  gc_minor_est },
	{ "major_est", "MAJOR~", UNIT_NONE, COL_EST, "major, scaled", gc_major_est },
	{ "pause_histogram", "", UNIT_NS, 0, "collections by duration", gc_hist },
	{ "exited", "", UNIT_NONE, 0, "the process died under watch", gc_exited },
	{ "released_partial", "", UNIT_NONE, 0,
	  "a list was longer than the kernel walks: binary_released_bytes is a lower bound",
	  gc_released_partial },
};

/* --- tables ------------------------------------------------------------------------------------- */

const struct column *report_columns(unsigned int section, size_t *n)
{
	switch (section) {
	case WANT_ALLOC:
		*n = ARRAY_SIZE(alloc_columns);
		return alloc_columns;
	case WANT_BIN:
		*n = ARRAY_SIZE(bin_columns);
		return bin_columns;
	case WANT_CARRIER:
		*n = ARRAY_SIZE(carrier_columns);
		return carrier_columns;
	case WANT_GC:
		*n = ARRAY_SIZE(gc_columns);
		return gc_columns;
	}
	*n = 0;
	return NULL;
}

const char *report_default_sort(unsigned int section)
{
	switch (section) {
	case WANT_ALLOC:
		return "alloc_bytes";
	case WANT_BIN:
		return "held_bytes";
	case WANT_CARRIER:
		return "unused_bytes";
	}
	return "pause_total_ns";
}

/* The rest, when not every process could have a row of its own. */
static void total_other(struct table *t, const struct model *m, enum fold_metric metric)
{
	if (!m->other.processes && !m->other.overflows)
		return;
	t->other_processes = m->other.processes;
	t->other_events = m->other.overflows;
	t->other_bound = m->other.bound[metric];
	t->other_unit = metric == FOLD_GC ? UNIT_NS : UNIT_BYTES;
	report_total(t, "other_processes", m->other.processes);
	report_total(t, "error_bound", m->other.bound[metric]);
}

static void sum_alloc(const struct model *m, struct table *t)
{
	uint64_t allocs = 0, bytes = 0, frees = 0, freed = 0, reallocs = 0, live = 0;
	bool live_known = true, est = false;
	const struct alloc_row *r;
	struct hist *h = report_hist(t, "size_histogram", UNIT_BYTES, EB_HIST_SLOTS, "sizes",
				  "allocations by bytes asked for");
	char a[32], b[32], c[32], d[32], e[32];
	size_t i, n;

	for (i = 0; i < m->alloc.n; i++) {
		r = &m->alloc.v[i];
		allocs += r->allocs;
		bytes += r->alloc_bytes;
		frees += r->frees;
		freed += r->free_bytes;
		reallocs += r->reallocs;
		live += r->live_bytes;
		live_known = live_known && r->live_known;
		est = est || r->live_est;
		hist_add(h, &r->sizes);
	}
	report_total(t, "allocs", allocs);
	report_total(t, "alloc_bytes", bytes);
	report_total(t, "frees", frees);
	report_total(t, "free_bytes", freed);
	report_total(t, "reallocs", reallocs);
	if (live_known)
		report_total(t, est ? "live_bytes_est" : "live_bytes", live);
	t->totals[t->ntotals++] = (struct total){ "by_allocator", { .kind = VAL_CALLS, .calls = m } };
	total_other(t, m, FOLD_ALLOC);
	n = snprintf(t->verdict, sizeof(t->verdict), "%s allocs (%s), %s frees",
		     fmt_count(allocs, a, sizeof(a)), fmt_bytes(bytes, b, sizeof(b)),
		     fmt_count(frees, c, sizeof(c)));
	if (live_known)
		snprintf(t->verdict + n, sizeof(t->verdict) - n, ", %s reallocs; %s%s live",
			 fmt_count(reallocs, e, sizeof(e)), est ? "~" : "",
			 fmt_bytes(live, d, sizeof(d)));
	else
		snprintf(t->verdict + n, sizeof(t->verdict) - n, " (%s), %s reallocs seen",
			 fmt_bytes(freed, d, sizeof(d)), fmt_count(reallocs, e, sizeof(e)));
	t->headline = "who allocates, and what";
}

static void sum_bin(const struct model *m, struct table *t)
{
	uint64_t refs = 0, held = 0, created = 0, bytes = 0, freed = 0, freed_bytes = 0;
	uint64_t released = 0, released_bytes = 0, holders = 0, died = 0;
	uint64_t acquired = 0, acquired_bytes = 0, alive = 0, alive_bytes = 0;
	bool alive_known = m->bin.n > 0, est = m->sampled[EB_BIRTH_BINARY];
	const struct bin_row *r;
	struct hist *h = report_hist(t, "size_histogram", UNIT_BYTES, EB_HIST_SLOTS, "created",
				  "binaries created by size");
	struct hist *lives = report_hist(t, "lifetime_histogram", UNIT_NS, EB_LIFE_SLOTS, "lived",
				      "binaries born and dead under watch, by lifetime");
	struct hist *ages = report_hist(t, "age_histogram", UNIT_NS, EB_LIFE_SLOTS, "aged",
				     "binaries born under watch and alive, by age");
	char a[32], b[32], c[32], d[32], e[32];
	bool acquired_known = !m->bin.n;
	size_t i, n;

	for (i = 0; i < m->bin.n; i++) {
		r = &m->bin.v[i];
		holders += r->held_known && r->held_refs;
		refs += r->held_refs;
		held += r->held_bytes;
		created += r->created;
		bytes += r->created_bytes;
		freed += r->freed;
		freed_bytes += r->freed_bytes;
		released += r->released;
		released_bytes += r->released_bytes;
		died += r->died;
		if (r->acquired_known && EB_KEY_TAG(r->who->key) != EB_KEY_API) {
			acquired += r->acquired;
			acquired_bytes += r->acquired_bytes;
			acquired_known = true;
		}
		alive += r->alive;
		alive_bytes += r->alive_bytes;
		alive_known = alive_known && r->alive_known;
		hist_add(h, r->sizes);
		hist_add(lives, r->lives);
		hist_add(ages, r->ages);
	}
	report_total(t, "held_refs", refs);
	report_total(t, "held_bytes", held);
	report_total(t, "created", created);
	report_total(t, "created_bytes", bytes);
	report_total(t, "freed", freed);
	report_total(t, "freed_bytes", freed_bytes);
	report_total(t, "released_refs", released);
	report_total(t, "released_bytes", released_bytes);
	report_total_if(t, "acquired_refs", acquired_known, acquired);
	report_total_if(t, "acquired_bytes", acquired_known, acquired_bytes);
	report_total(t, est ? "died_est" : "died", died);
	if (m->born_before_known)
		report_total(t, est ? "born_before_est" : "born_before", m->born_before);
	if (alive_known) {
		report_total(t, est ? "alive_est" : "alive", alive);
		report_total(t, est ? "alive_bytes_est" : "alive_bytes", alive_bytes);
	}
	total_other(t, m, FOLD_BIN);
	n = snprintf(t->verdict, sizeof(t->verdict), "%llu hold %s; %s created (%s)",
		     (unsigned long long)holders, fmt_bytes(held, a, sizeof(a)),
		     fmt_count(created, b, sizeof(b)), fmt_bytes(bytes, c, sizeof(c)));
	if (alive_known && m->born_before_known)
		snprintf(t->verdict + n, sizeof(t->verdict) - n,
			 ": %s%s died, %s%s alive (%s); %s%s older freed", est ? "~" : "",
			 fmt_count(died, a, sizeof(a)), est ? "~" : "",
			 fmt_count(alive, b, sizeof(b)), fmt_bytes(alive_bytes, c, sizeof(c)),
			 est ? "~" : "", fmt_count(m->born_before, d, sizeof(d)));
	else
		snprintf(t->verdict + n, sizeof(t->verdict) - n, ", %s freed (%s) seen",
			 fmt_count(freed, d, sizeof(d)), fmt_bytes(freed_bytes, e, sizeof(e)));
	t->headline = "who holds refc binaries, and who makes and frees them";
}

static void sum_carrier(const struct model *m, struct table *t)
{
	uint64_t created = 0, bytes = 0, destroyed = 0, gone = 0, grown = 0, unused = 0, size = 0;
	uint64_t abandoned = 0, fetched = 0;
	const struct carrier_row *r;
	struct hist *h = report_hist(t, "size_histogram", UNIT_BYTES, EB_HIST_SLOTS, "created",
				  "carriers created by size");
	struct hist *lives = report_hist(t, "lifetime_histogram", UNIT_NS, EB_LIFE_SLOTS, "lived",
				      "carriers born and gone under watch, by lifetime");
	char a[32], b[32], c[32], d[32], e[32];
	size_t i;

	for (i = 0; i < m->carrier.n; i++) {
		r = &m->carrier.v[i];
		created += r->created;
		bytes += r->created_bytes;
		destroyed += r->destroyed;
		gone += r->destroyed_bytes;
		grown += r->grown;
		if (r->stats_known) {
			unused += unused_bytes(r);
			size += r->carriers_size;
		}
		hist_add(h, &r->sizes);
		hist_add(lives, &r->lives);
		abandoned += r->abandoned;
		fetched += r->fetched;
	}
	report_total(t, "abandoned", abandoned);
	report_total(t, "fetched", fetched);
	report_total(t, "created", created);
	report_total(t, "created_bytes", bytes);
	report_total(t, "destroyed", destroyed);
	report_total(t, "destroyed_bytes", gone);
	report_total(t, "grown", grown);
	report_total(t, "carriers_size", size);
	report_total(t, "unused_bytes", unused);
	snprintf(t->verdict, sizeof(t->verdict),
		 "%s of %s unused; %s created (%s), %s destroyed", fmt_bytes(unused, a, sizeof(a)),
		 fmt_bytes(size, b, sizeof(b)), fmt_count(created, c, sizeof(c)),
		 fmt_bytes(bytes, d, sizeof(d)), fmt_count(destroyed, e, sizeof(e)));
	t->headline = "which allocators take and return carriers, and how empty they are";
}

static void sum_gc(const struct model *m, struct table *t)
{
	uint64_t minor = 0, major = 0, pause = 0, max = 0, released = 0, reclaimed = 0;
	uint64_t allocated = m->unrowed_words;
	bool allocated_known = !m->gc.n;
	const struct gc_row *r;
	struct hist *h = report_hist(t, "pause_histogram", UNIT_NS, EB_HIST_SLOTS, "pauses",
				  "collections by duration");
	char a[32], b[32], c[32], d[32], e[32];
	size_t i;

	for (i = 0; i < m->gc.n; i++) {
		r = &m->gc.v[i];
		minor += r->minor;
		major += r->major;
		pause += r->pause_total_ns;
		if (r->pause_max_ns > max)
			max = r->pause_max_ns;
		reclaimed += r->reclaimed_words;
		released += r->released_bytes;
		allocated += r->allocated_words;
		allocated_known = allocated_known || r->allocated_known;
		hist_add(h, &r->pauses);
	}
	report_total(t, "minor", minor);
	report_total(t, "major", major);
	report_total(t, "pause_total_ns", pause);
	report_total(t, "pause_max_ns", max);
	t->totals[t->ntotals++] =
		(struct total){ "reclaimed_words", { .kind = VAL_I64, .i = (int64_t)reclaimed } };
	report_total_if(t, "allocated_words", allocated_known, allocated);
	report_total(t, "binary_released_bytes", released);
	total_other(t, m, FOLD_GC);
	snprintf(t->verdict, sizeof(t->verdict),
		 "%s minor, %s major took %s, max %s; %s %s",
		 fmt_count(minor, a, sizeof(a)), fmt_count(major, b, sizeof(b)),
		 fmt_ns(pause, c, sizeof(c)), fmt_ns(max, d, sizeof(d)),
		 allocated_known ? "allocated" : "reclaimed",
		 fmt_bytes(8.0 * (allocated_known ? (double)allocated : (int64_t)reclaimed), e,
			   sizeof(e)));
	t->headline = "who collects garbage, and for how long";
}

static bool is_other(const void *row)
{
	const struct who *who = *(const struct who *const *)row; /* first in all but carriers' */

	return who && who->key == EB_KEY_OTHER;
}

/* Keeps the first rows; the last makes room for one that sums up others, where none is there. */
static void cut_rows(struct table *t, size_t limit, bool have_who)
{
	size_t i = 0;

	while (have_who && i < t->nrows && !is_other(t->rows[i]))
		i++;
	t->nrows = limit;
	if (have_who && i < t->nrows_all && i >= limit)
		t->rows[limit > 1 ? limit - 1 : t->nrows++] = t->rows[i];
}

void report_table(const struct model *m, unsigned int section, const char *sort, size_t limit,
		  struct table *t)
{
	const struct column *by, *then = NULL;
	const void *rows = NULL;
	size_t size = 0, n = 0;

	memset(t, 0, sizeof(*t));
	t->cols = report_columns(section, &t->ncols);
	switch (section) {
	case WANT_ALLOC:
		t->name = "alloc";
		rows = m->alloc.v, n = m->alloc.n, size = sizeof(*m->alloc.v);
		sum_alloc(m, t);
		then = report_find(t->cols, t->ncols, "free_bytes");
		break;
	case WANT_BIN:
		t->name = "bin";
		rows = m->bin.v, n = m->bin.n, size = sizeof(*m->bin.v);
		sum_bin(m, t);
		then = report_find(t->cols, t->ncols, "created_bytes");
		break;
	case WANT_CARRIER:
		t->name = "carrier";
		rows = m->carrier.v, n = m->carrier.n, size = sizeof(*m->carrier.v);
		sum_carrier(m, t);
		then = report_find(t->cols, t->ncols, "created_bytes");
		break;
	case WANT_GC:
		t->name = "gc";
		rows = m->gc.v, n = m->gc.n, size = sizeof(*m->gc.v);
		sum_gc(m, t);
		break;
	}
	by = report_find(t->cols, t->ncols, sort);
	if (!by)
		by = report_find(t->cols, t->ncols, report_default_sort(section));
	report_sort(t, rows, size, n, by, then);
	if (limit && t->nrows > limit)
		cut_rows(t, limit, section != WANT_CARRIER);
}

