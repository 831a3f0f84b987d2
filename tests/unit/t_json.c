// SPDX-License-Identifier: GPL-2.0-only
/*
 * A whole report as JSON: its keys and values, what is null, what is left out; an empty table, and
 * the document of an error.
 */
#include "columns.h"
#include "report_model.h"

#include <json-c/json.h>
#include <locale.h>

static json_object *at(json_object *o, const char *path)
{
	json_object *v = NULL;

	return json_pointer_get(o, path, &v) ? NULL : v;
}

/* All these keys are there (their values may be null). */
static void has_keys(json_object *o, const char *what, const char *keys)
{
	char copy[1024], *key, *save;
	bool good = json_object_is_type(o, json_type_object);

	snprintf(copy, sizeof(copy), "%s", keys);
	for (key = strtok_r(copy, " ", &save); good && key; key = strtok_r(NULL, " ", &save))
		if (!json_object_object_get_ex(o, key, NULL)) {
			diag("%s has no key %s", what, key);
			good = false;
		}
	ok(good, "JSON: %s has the keys of CONTRACT", what);
}

static json_object *row_named(json_object *rows, const char *name)
{
	size_t i;

	for (i = 0; i < json_object_array_length(rows); i++) {
		json_object *row = json_object_array_get_idx(rows, i), *v = at(row, "/name");

		if (v && !strcmp(json_object_get_string(v), name))
			return row;
	}
	return NULL;
}

static const char *string(json_object *o, const char *path)
{
	json_object *v = at(o, path);

	return v ? json_object_get_string(v) : NULL;
}

/* What lives and died, of whom; samples; what was summed up. */
static void lives(json_object *doc)
{
	json_object *bin = at(doc, "/sections/bin"), *alloc = at(doc, "/sections/alloc"), *row;

	row = row_named(at(bin, "/rows"), "rlo\\xE2\\x80\\xAEevil\\xC2\\x9B31m");
	is_str(string(row, "/acquired_refs"), "262144", "JSON: what came to a process");
	ok(row && !at(row, "/alive") && !at(row, "/alive_bytes"),
	   "JSON: of a sample no exact number");
	is_str(string(row, "/alive_est"), "98304", "JSON: of a sample an estimate");
	ok(at(row, "/lifetime_histogram/0/count") && at(row, "/age_histogram/0/count"),
	   "JSON: lifetimes and ages");
	is_str(string(row, "/held_by/0/pid"), "<0.28074.0>",
	       "JSON: who holds what it made, by pid");
	is_str(string(row, "/held_by/0/bytes"), "6553600", "JSON: how much of it");
	row = row_named(at(bin, "/rows"), LONG_NAME);
	ok(row && !at(row, "/held_by/1/pid"), "JSON: a holder that is no process has no pid");
	is_str(string(row, "/held_by/1/name"), "no process found", "JSON: and says so");
	row = row_named(at(bin, "/rows"), "port #Port<0.5>");
	ok(row && json_object_object_get_ex(row, "acquired_refs", NULL) && !at(row,
	   "/acquired_refs"),
	   "JSON: what came to it is not known");
	is_str(string(bin, "/totals/died_est"), "76695844", "JSON: totals: how many died");
	is_str(string(bin, "/totals/alive_est"), "57521883", "JSON: totals: how many are alive");
	is_str(string(bin, "/totals/born_before_est"), "62345678",
	       "JSON: totals: how many were older");
	is_str(string(bin, "/totals/error_bound"), "31000", "JSON: totals: bounds of each section");
	is_str(string(alloc, "/totals/error_bound"), "2500000", "JSON: totals: by its own measure");
	is_str(string(alloc, "/totals/other_processes"), "60123",
	       "JSON: totals: how many were summed up");
	row = row_named(at(alloc, "/rows"), "scheduler 1");
	ok(row && !at(row, "/live_bytes") && at(row, "/live_bytes_est"),
	   "JSON: what lives, of a sample");
	row = row_named(at(alloc, "/rows"), "port #Port<0.5>");
	ok(row && at(row, "/live_bytes") && !json_object_object_get_ex(row, "live_bytes_est", NULL),
	   "JSON: what lives, of all");
	is_str(string(alloc, "/totals/by_allocator/0/allocator"), "eheap_alloc",
	       "JSON: totals: calls by allocator");
	ok(!strcmp(string(alloc, "/totals/by_allocator/0/frees"), "2") &&
		   !strcmp(string(alloc, "/totals/by_allocator/0/vm_frees"), "20"),
	   "JSON: totals: as seen, and as the VM counted");
	row = at(doc, "/sections/carrier/rows/0");
	is_str(string(row, "/fetched"), "16777216", "JSON: carriers that came from the pool");
	ok(at(row, "/alive_usage") && !at(doc, "/sections/carrier/rows/2/alive_usage"),
	   "JSON: how full new carriers are, if there are any");
}

static void documents(const struct report *r)
{
	char *out = captured(out_json, r);
	json_object *doc = json_tokener_parse(out), *row, *by;

	ok(doc != NULL, "JSON: it parses");
	ok(strchr(out, '\n') == out + strlen(out) - 1, "JSON: one line");
	ok(harmless(out), "JSON: hostile names do not reach the terminal");
	has_keys(
		doc, "the document",
		"schema command at duration_ms target sections totals faults skipped lost "
		 "notes cost");
	has_keys(
		at(doc, "/target"), "target",
		"os_pid node otp_release erts emulator arch schedulers symbols layout "
		 "checks_passed");
	has_keys(at(doc, "/cost"), "cost",
		 "reader_cpu_ms bytes_read probe_hits probe_ns_per_hit overhead_percent");
	has_keys(at(doc, "/sections"), "sections", "alloc bin carrier gc");
	has_keys(
		at(doc, "/sections/alloc/rows/0"), "a row of alloc",
		"pid name initial_call allocator type allocs alloc_bytes frees free_bytes reallocs "
		"size_histogram");
	has_keys(at(doc, "/sections/bin/rows/0"), "a row of bin",
		 "pid name initial_call held_refs held_bytes since_gc created created_bytes freed "
		 "freed_bytes acquired_refs acquired_bytes released_refs released_bytes "
		 "size_histogram lifetime_histogram");
	has_keys(at(doc, "/sections/carrier/rows/0"), "a row of carrier",
		 "created destroyed created_bytes destroyed_bytes size_histogram "
		 "lifetime_histogram by_process");
	has_keys(at(doc, "/sections/gc/rows/0"), "a row of gc",
		 "pid name initial_call minor major pause_total_ns pause_max_ns pause_histogram "
		 "reclaimed_words allocated_words binary_released_bytes heap_words");
	has_keys(at(doc, "/totals/coverage"), "coverage", "alloc gc exit refc");
	ok(!json_object_object_get_ex(at(doc, "/totals/coverage"), "carrier", NULL),
	   "JSON: no coverage of what this command does not watch");
	is_str(string(doc, "/target/otp_release"), "27", "JSON: the release is a string");
	is_str(string(doc, "/target/emulator"), "jit", "JSON: the emulator");
	is_u64(json_object_get_int64(at(doc, "/duration_ms")), 10000, "JSON: the duration");
	is_str(string(doc, "/notes/1"), "and \"another\"", "JSON: notes");
	is_u64(json_object_array_length(at(doc, "/sections/alloc/rows")), 5, "JSON: the cut rows");
	is_u64(json_object_get_int64(at(doc, "/sections/alloc/totals/rows")), 10,
	       "JSON: how many there are");

	row = row_named(at(doc, "/sections/bin/rows"), "\\x1B]0;owned\\x07\\x1B[2Jred");
	ok(row != NULL, "JSON: a hostile name, escaped");
	is_str(string(row, "/pid"), "<0.14037.0>", "JSON: its pid");
	is_str(string(row, "/exited"), "true", "JSON: it died");
	is_str(string(row, "/size_histogram/0/lo"), "8", "JSON: a histogram's bounds");
	is_str(string(row, "/size_histogram/0/hi"), "15", "JSON: both inclusive");
	is_str(string(row, "/size_histogram/0/count"), "3", "JSON: and its count");
	ok(!at(row, "/size_histogram/1"), "JSON: empty slots are left out");
	ok(at(row, "/created_est"), "JSON: an estimate where it was not watched all the time");
	row = row_named(at(doc, "/sections/bin/rows"), "port #Port<0.5>");
	ok(row && json_object_object_get_ex(row, "pid", NULL) && !at(row, "/pid") &&
		   !at(row, "/held_bytes") && !at(row, "/initial_call"),
	   "JSON: what cannot be had is null, not 0");
	row = row_named(at(doc, "/sections/bin/rows"), "rabbit_msg_store");
	ok(row && !json_object_object_get_ex(row, "created_est", NULL),
	   "JSON: no estimate where none is needed");
	/* instance 8 made the most of them; the list is its own */
	by = at(doc, "/sections/carrier/rows/0/by_process");
	ok(json_object_array_length(by) == 2 && !at(by, "/0/pid"),
	   "JSON: by whom carriers were made");
	has_keys(json_object_array_get_idx(by, 0), "by_process", "pid name created created_bytes");
	has_keys(at(doc, "/sections/bin/totals"), "totals of bin", "rows created size_histogram");
	lives(doc);
	is_u64(json_object_get_int64(at(doc, "/sections/gc/totals/pause_histogram/0/lo")), 1024,
	       "JSON: a histogram over all rows, under its own key");
	is_str(string(doc, "/sections/gc/totals/pause_max_ns"), "503316480",
	       "JSON: large numbers are exact");
	json_object_put(doc);
	free(out);
}

/* A single table without a target: rows at the top. */
static int error_document(const struct report *r)
{
	out_json_error(failure_get());
	return 0;
}

static void small(void)
{
	struct report r = { .tables = tables, .ntables = 1, .run = { .command = "gc" } };
	struct model m = { 0 };
	json_object *doc;
	char *out;

	report_table(&m, WANT_GC, NULL, 0, &tables[0]);
	out = captured(out_json, &r);
	doc = json_tokener_parse(out);
	ok(doc && json_object_is_type(at(doc, "/rows"), json_type_array) &&
		   json_object_array_length(at(doc, "/rows")) == 0,
	   "JSON: a single table, empty: rows are an empty list");
	ok(json_object_object_get_ex(doc, "target", NULL) && !at(doc, "/target"),
	   "JSON: no target is null");
	is_str(string(doc, "/totals/minor"), "0", "JSON: its totals are those of the document");
	ok(!json_object_object_get_ex(at(doc, "/totals"), "coverage", NULL),
	   "JSON: no coverage where nothing was watched");
	json_object_put(doc);
	free(out);
	out = captured(out_text, &r);
	ok(strstr(out, "  nothing seen\n"), "text: an empty table says so");
	free(out);
	r.compact = true;
	out = captured(out_text, &r);
	is_str(out, "\ngc: nothing seen\n", "text: an empty table says so in one line");
	free(out);
	report_table_free(&tables[0]);

	failure_clear();
	fail(EXIT_PERMISSION, "run as \"root\"", "cannot read\x1b[31m erts_proc of pid %d", 812);
	fail(EXIT_FAILED, "", "a later failure");
	out = captured(error_document, &r);
	doc = json_tokener_parse(out);
	is_str(string(doc, "/error/code"), "permission", "JSON: an error's code");
	is_str(string(doc, "/error/hint"), "run as \"root\"", "JSON: its hint");
	ok(string(doc, "/error/message") && strstr(string(doc, "/error/message"), "pid 812"),
	   "JSON: its message is that of the first failure");
	ok(harmless(out), "JSON: nor does an error reach the terminal raw");
	json_object_put(doc);
	free(out);
	failure_clear();
}

/* --- trees and blocks --- */

struct leaf {
	struct item *tree, *name;
	uint64_t n;
};

GET_ITEM(leaf_tree, struct leaf, r->tree)
GET_ITEM(leaf_name, struct leaf, r->name)
GET_U(leaf_n, struct leaf, r->n)

static const struct column leaf_columns[] = {
	{ "name", "NAME", UNIT_NONE, COL_TEXT | COL_LOW_BAD, "", leaf_name },
	{ "n", "N", UNIT_NONE, COL_TEXT, "", leaf_n },
	{ "tree", "", UNIT_NONE, COL_NO_SORT, "", leaf_tree },
};

static void trees(void)
{
	struct leaf rows[3] = { { .n = 1 }, { .n = 3 }, { .n = 2 } };
	struct report r = { .tables = tables, .ntables = 1, .run = { .command = "tree" } };
	struct item *list = item_new(ITEM_LIST), *o = item_new(ITEM_OBJECT);
	json_object *doc;
	char *out;

	rows[1].name = item_text("three");
	rows[1].tree = o;
	item_set(o, "list", list);
	item_push(list, item_u64(UINT64_MAX));
	item_push(list, item_text(NULL));
	item_push(list, item_bool(true));
	item_push(list, item_double(0.25));
	item_push(list, item_text("a \"b\""));
	ok(item_get(o, "list") == list && !item_get(o, "other") && !item_get(list, "list"),
	   "a child of an object is found by its key");
	report_rows(&tables[0], "tree", leaf_columns, ARRAY_SIZE(leaf_columns), rows, sizeof(*rows), 3,
		    "no such key", "n", 2);
	report_line(report_block(&tables[0], "a block"), "line %d", 1);
	report_line(&tables[0].blocks[0], "and %s", "another");
	out = captured(out_json, &r);
	doc = json_tokener_parse(out);
	is_str(string(doc, "/rows/0/tree/list/0"), "18446744073709551615",
	       "JSON: a tree's numbers are exact");
	ok(json_object_array_length(at(doc, "/rows/0/tree/list")) == 5 &&
		   !at(doc, "/rows/0/tree/list/1"),
	   "JSON: what a tree does not know is null");
	is_str(string(doc, "/rows/0/tree/list/4"), "a \"b\"", "JSON: its text");
	ok(json_object_array_length(at(doc, "/rows")) == 2 &&
		   !strcmp(string(doc, "/rows/1/n"), "2") &&
		   !strcmp(string(doc, "/totals/rows"), "3"),
	   "JSON: rows by the default key, cut to the limit, all of them counted");
	ok(!at(doc, "/rows/1/tree"), "JSON: no tree is null");
	ok(!strstr(out, "another"), "JSON: blocks of text are not in it");
	json_object_put(doc);
	free(out);
	out = captured(out_text, &r);
	ok(strstr(out, "\n\na block\nline 1\nand another\n"), "text: a block with its title");
	ok(strstr(out, "three  3\n"), "text: a leaf is shown as what it is");
	free(out);
	tables[0].rows_hidden = true;
	out = captured(out_text, &r);
	ok(!strstr(out, "three") && strstr(out, "line 1") && !strstr(out, "more rows"),
	   "text: rows that are hidden");
	free(out);
	report_table_free(&tables[0]);
	item_free(rows[1].name);
	item_free(rows[1].tree);
}

int main(void)
{
	struct report r;
	struct model m;

	setlocale(LC_CTYPE, "C.UTF-8");
	setenv("COLUMNS", "100", 1);
	make_model(&m);
	r = make_report(&m, 5, 0);
	documents(&r);
	free_report();
	small();
	trees();
	model_free(&m);
	return done();
}
