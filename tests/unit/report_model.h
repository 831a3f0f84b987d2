/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A whole report, made by hand, of a model with hostile names and large numbers: what the tests of
 * text and of JSON render, and the means to have what is printed as a string.
 */
#ifndef REPORT_MODEL_H
#define REPORT_MODEL_H

#include "probe.h"
#include "report.h"
#include "tap.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const unsigned int sections[] = { WANT_ALLOC, WANT_BIN, WANT_CARRIER, WANT_GC };

/* What out_text() and the like print, as a string. */
static inline char *captured(int (*print)(const struct report *r), const struct report *r)
{
	FILE *to = tmpfile();
	int saved, err;
	char *text;
	long len;

	fflush(stdout);
	saved = dup(STDOUT_FILENO);
	dup2(fileno(to), STDOUT_FILENO);
	err = print(r);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	len = lseek(fileno(to), 0, SEEK_END);
	text = xcalloc(1, len + 1);
	if (err || pread(fileno(to), text, len, 0) != len)
		abort();
	fclose(to);
	return text;
}

/* Names come into a model escaped: see term.c. */
static inline struct who *who(struct model *m, uint64_t key, const char *pid, const char *name,
			      const char *initial_call)
{
	char buf[1100];
	bool is_new;
	struct who *w = model_who_add(m, key, &is_new);

	if (!is_new)
		return w;
	w->pid = pid ? xstrdup(pid) : NULL;
	if (name) {
		text_escape(name, strlen(name), buf, sizeof(buf));
		w->name = xstrdup(buf);
	}
	if (initial_call) {
		text_escape(initial_call, strlen(initial_call), buf, sizeof(buf));
		w->initial_call = xstrdup(buf);
	}
	return w;
}

#define LONG_NAME                                                                                  \
	"a_registered_name_that_somebody_thought_should_say_everything_about_its_process_and_more"

static inline void add_other(struct model *m, const struct who *other)
{
	struct alloc_row *a = vec_add(&m->alloc);
	struct bin_row *b = vec_add(&m->bin);
	struct gc_row *g = vec_add(&m->gc);

	a->who = b->who = g->who = other;
	a->allocator = "eheap_alloc";
	a->type_name = "heap";
	a->allocs = a->frees = 60000;
	a->alloc_bytes = a->free_bytes = 7;
	a->live_known = true;
	a->allocs_est = a->frees_est = a->reallocs_est = -1;
	b->created = b->freed = 60100;
	b->created_est = b->freed_est = -1;
	b->alive_known = b->births_sampled = true;
	g->minor = 60123;
	g->minor_est = g->major_est = -1;
}

static inline void make_model(struct model *m)
{
	static const char *const names[] = {
		"rabbit_msg_store", "\xd0\xb6\xd0\xb4\xd0\xb0\xe6\x97\xa5\xe6\x9c\xac", LONG_NAME,
		"\x1b]0;owned\a\x1b[2Jred", "nul\x01\x7f\x80\xff\r\nnew",
		"rlo\xe2\x80\xae" "evil\xc2\x9b" "31m", NULL,
	};
	static const char *const allocators[] = { "eheap_alloc", "binary_alloc", "driver_alloc" };
	static const char *const types[] = { "heap", "drv_select_data_state", "binary" };
	struct who *other;
	char pid[32];
	uint64_t i, big;

	memset(m, 0, sizeof(*m));
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(pid, sizeof(pid), "<0.%llu.%llu>", (unsigned long long)(i * 4679),
			 (unsigned long long)(i == 2 ? 8191 : 0));
		who(m, i << 4 | 3, pid, names[i],
		    i == 4 ? NULL : i == 3 ? "\x1b[31mmod:fun/1" : "gen_server:init_it/6");
	}
	who(m, 0x77, NULL, "port #Port<0.5>", NULL);
	who(m, 0x10f, NULL, "scheduler 1", NULL);
	other = who(m, EB_KEY_OTHER, NULL, "other", NULL);
	model_who(m, 3 << 4 | 3)->exited = true;
	model_who(m, 2 << 4 | 3)->partial = true;
	for (i = 0; i < ARRAY_SIZE(names) + 2; i++) {
		const struct who *w = model_who(m, i < 7 ? i << 4 | 3 : i == 7 ? 0x77 : 0x10f);
		struct alloc_row *a = vec_add(&m->alloc);
		struct bin_row *b = vec_add(&m->bin);
		struct gc_row *g = vec_add(&m->gc);
		struct carrier_row *c = vec_add(&m->carrier);

		big = 1ULL << 3 * i;
		a->who = w;
		a->type = i;
		a->allocator = allocators[i % 3];
		a->type_name = types[i % 3];
		a->allocs = a->frees = 3 * big;
		a->alloc_bytes = a->free_bytes = 1000 * big;
		a->reallocs = big;
		a->allocs_est = a->frees_est = a->reallocs_est = i % 2 ? 1.5 * big : -1;
		a->sizes.slot[4 * i] = big;
		a->live_known = true;
		a->live_est = i % 3 == 2;
		a->live = 2 * big;
		a->live_bytes = 700 * big;
		b->who = w;
		b->held_known = i < 6;
		b->held_partial = i == 5;
		b->held_refs = b->created = b->freed = b->released = 7 * big;
		b->held_bytes = b->since_gc = b->created_bytes = 500 * big;
		b->freed_bytes = b->released_bytes = b->writable_bytes = 400 * big;
		b->created_est = b->freed_est = i % 2 ? 1e4 * big : -1;
		hist_at(&b->sizes)->slot[i] = i;
		b->acquired_known = i < 6;
		b->acquired = 8 * big;
		b->acquired_bytes = 640 * big;
		b->died = 4 * big;
		b->died_bytes = 160 * big;
		b->alive_known = b->births_sampled = true;
		b->alive = 3 * big;
		b->alive_bytes = 340 * big;
		hist_at(&b->lives)->slot[20 + i] = 4 * big;
		hist_at(&b->ages)->slot[HIST_SLOTS - 9 + i] = 3 * big;
		b->nheld_by = i % 4;
		b->held_by = xcalloc(3, sizeof(*b->held_by));
		b->held_by[0] = (struct bin_holder){ model_who(m, i < 4 ? 2 << 4 | 3 : 6 << 4 | 3),
						     2 * big, 200 * big };
		b->held_by[1] = (struct bin_holder){ NULL, big, 100 * big };
		b->held_by[2] = (struct bin_holder){ w, 1, 40 };
		g->who = w;
		g->minor = g->major = 11 * big;
		g->pause_total_ns = 900 * big;
		g->pause_max_ns = 30 * big;
		g->reclaimed_words = i == 3 ? -(int64_t)big : (int64_t)big;
		g->released_bytes = g->heap_words = 233 * big;
		g->minor_est = g->major_est = i % 2 ? 12.0 * big : -1;
		g->pauses.slot[10 + i] = 100 - i;
		g->allocated_known = i != 4;
		g->allocated_words = 5000 * big;
		c->allctr = 0x7000 + i;
		c->allocator = allocators[i % 3];
		c->instance = i;
		c->kind = i % 2;
		c->source = i / 2 % 2;
		c->created = c->destroyed = c->grown = c->shrunk = big;
		c->created_bytes = c->destroyed_bytes = c->grown_bytes = c->shrunk_bytes =
			32768 * big;
		c->stats_known = i != 4;
		c->carriers = 5;
		c->carriers_size = 100000 * big;
		c->blocks_size = 25000 * big;
		c->nby = i % 3;
		c->by = xcalloc(2, sizeof(*c->by));
		c->by[0] = (struct carrier_by){ w, big, 32768 * big };
		c->by[1] = (struct carrier_by){ model_who(m, 0x10f), 1, 32768 };
		c->sizes.slot[15 + i] = big;
		c->lives.slot[30 + i] = big;
		c->abandoned = i % 2 ? 0 : 3 * big;
		c->abandoned_bytes = 32768 * c->abandoned;
		c->fetched = c->abandoned / 3;
		c->fetched_bytes = c->abandoned_bytes / 3;
		c->destroyed_used = i % 2 ? c->destroyed_bytes : 0;
		c->alive_known = i != 5;
		c->alive = i == 6 ? 0 : big / 2;
		c->alive_bytes = 32768 * c->alive;
		c->alive_used = c->alive_bytes / (i + 1);
	}
	/* too many processes: the lightest were summed up */
	m->other = (struct other_rows){ 60123, 7, { 2500000, 31000, 2100000 } };
	add_other(m, other);
	m->sampled[EB_BIRTH_BINARY] = true;
	m->born_before = 62345678;
	m->born_before_known = true;
	m->vm_calls_known = true;
	m->ncalls = 2;
	m->calls[0] = (struct call_row){ "eheap_alloc", { 1, 2, 3 }, { 10, 20, 30 } };
	m->calls[1] = (struct call_row){ "binary_alloc", { 4, 5, 6 }, { 4, 5, 6 } };
}

static struct vm vm;
static struct table tables[4];
static const char *notes[] = { "one thing to say", "and \"another\"" };

/* Started 90 s ago: "up 1 min", whenever the test runs. */
static inline void make_vm(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	vm.target.start_ticks = (ts.tv_sec > 90 ? ts.tv_sec - 90 : 0) * sysconf(_SC_CLK_TCK);
	vm.otp = 27;
	vm.jit = true;
	vm.nnormal = 2;
	vm.npassed = 24;
	vm.lay = layout_find(27, true, "x86_64");
	vm.sym.source = "dynsym";
	snprintf(vm.erts, sizeof(vm.erts), "15.2.7");
	snprintf(vm.node, sizeof(vm.node), "rabbit@host");
}

/* @first: rows of the first section, @others: of the others; 0: all */
static inline struct report make_report(const struct model *m, size_t first, size_t others)
{
	struct report r = { .vm = &vm, .tables = tables, .ntables = 4, .sections = true,
			    .compact = true };
	int i;

	make_vm();
	for (i = 0; i < 4; i++)
		report_table(m, sections[i], NULL, i ? others : first, &tables[i]);
	r.run = (struct run_info){
		.command = "trace", .duration_ns = 10 * 1000000000ULL, .have_coverage = true,
		.coverage = { 0.034, 1, 1, -1, 1 }, .faults = 1, .skipped = 2,
		.lost = 3, .reader_cpu_ms = 12.34, .bytes_read = 123456, .traced = true,
		.probe_hits = 98765, .probe_ns_per_hit = 512.3, .overhead_percent = 1.25,
		.notes = notes, .nnotes = 2,
	};
	return r;
}

static inline void free_report(void)
{
	int i;

	for (i = 0; i < 4; i++)
		report_table_free(&tables[i]);
}

/* Control characters other than the end of a line, and what steers a terminal's direction. */
static inline bool harmless(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	for (; *s; s++)
		if ((*s < 0x20 && *s != '\n') || *s == 0x7f || (*s == 0xc2 && s[1] < 0xa0) ||
		    !strncmp((const char *)s, "\xe2\x80\xae", 3)) {
			diag("byte %#x in: %.40s", *s, s + 1);
			return false;
		}
	return true;
}

#endif
