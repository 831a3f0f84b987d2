// SPDX-License-Identifier: GPL-2.0-only
/*
 * terms PID NAME [shapes|limits] - print what a registered process holds in its dictionary
 *
 * For each pair whose key is a small integer I: "I WHAT BYTES\n", the bytes, "\n", where WHAT is p,
 * 0p, P6, P13, size: the forms that tests/nodes/terms.erl asks of the node.  With `shapes': shape.
 * With `limits': how many bytes the text has within small limits, and whether it was cut.
 */
#include "term_print.h"
#include "snap_proc.h"

#include <stdlib.h>
#include <string.h>

static void say(int64_t key, const char *what, const char *text)
{
	printf("%lld %s %zu\n%s\n", (long long)key, what, strlen(text), text);
}

static void print(struct terms *ts, int64_t key, eterm_t t, struct term_limits lim,
		  const char *what)
{
	char *text = term_text(ts, t, &lim, NULL);

	say(key, what, text);
	free(text);
}

static void print_size(struct terms *ts, int64_t key, eterm_t t)
{
	uint64_t budget = 10000000, words;
	char text[32];

	if (term_flat_size(ts, t, &budget, &words))
		snprintf(text, sizeof(text), "%llu", (unsigned long long)words);
	else
		strcpy(text, "?");
	say(key, "size", text);
}

static void print_limited(struct terms *ts, int64_t key, eterm_t t)
{
	struct term_limits lim = { .max_terms = 100000, .max_bytes = 100000 };
	char report[128], *text;
	bool cut;
	int pretty;

	for (pretty = 0; pretty < 2; pretty++) {
		lim.pretty = pretty;
		text = term_text(ts, t, &lim, &cut);
		snprintf(report, sizeof(report), "%zu %d %d", strlen(text), cut,
			 strstr(text, "...") != NULL);
		say(key, pretty ? "pretty" : "line", report);
		free(text);
	}
}

static void print_term(struct terms *ts, int64_t key, eterm_t t, const char *mode)
{
	char *shape;

	if (!strcmp(mode, "shapes")) {
		shape = term_shape(ts, t, 3);
		say(key, "shape", shape);
		free(shape);
	} else if (!strcmp(mode, "limits")) {
		print_limited(ts, key, t);
	} else {
		print(ts, key, t, (struct term_limits){ .pretty = true }, "p");
		print(ts, key, t, (struct term_limits){ 0 }, "0p");
		print(ts, key, t, (struct term_limits){ .pretty = true, .depth = 6 }, "P6");
		print(ts, key, t, (struct term_limits){ .pretty = true, .depth = 13 }, "P13");
		print_size(ts, key, t);
	}
}

/* A slot of a dictionary: a pair, or a list of them. */
static void print_slot(struct terms *ts, eterm_t slot, const char *mode)
{
	eterm_t pair, key, value;
	int64_t n;

	while (slot) {
		if (term_is_cons(slot)) {
			if (!term_list_next(ts, &slot, &pair))
				return;
		} else {
			pair = slot;
			slot = 0;
		}
		if (term_element(ts, pair, 0, &key) && term_element(ts, pair, 1, &value) &&
		    term_small(key, &n))
			print_term(ts, n, value, mode);
	}
}

static bool find(struct vm *vm, const char *name, struct proc_image *p)
{
	struct proc_names names;
	struct proc_ids ids;
	bool found = false;
	size_t i;

	if (snap_proc_ids(vm, &ids))
		return false;
	for (i = 0; i < ids.n && !found; i++) {
		if (snap_proc_image(vm, ids.v[i].addr, p))
			continue;
		snap_proc_names(vm, p, &names);
		found = names.registered && !strcmp(names.registered, name);
		proc_names_free(&names);
	}
	snap_proc_ids_free(&ids);
	return found;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 3 ? argv[3] : "";
	const struct layout_fields *f;
	struct proc_image p;
	struct pages pages;
	struct terms ts;
	uint32_t size, i;
	eterm_t slot;
	struct vm vm;

	if (argc < 3)
		return 2;
	if (vm_open(&vm, atoi(argv[1]), NULL, 0)) {
		fprintf(stderr, "%s\n", failure_get()->message);
		return failure_get()->status;
	}
	if (!find(&vm, argv[2], &p)) {
		fputs("no such process\n", stderr);
		return 1;
	}
	pages_open(&pages, &vm.rd, 4 << 20);
	terms_open(&ts, &vm, &pages);
	f = &vm.lay->f;
	if (!reader_u32(&vm.rd, p.dictionary + f->dict_array_size, &size))
		return 1;
	for (i = 0; i < size; i++)
		if (reader_u64(&vm.rd, p.dictionary + f->dict_data + 8 * (uint64_t)i, &slot))
			print_slot(&ts, slot, mode);
	pages_close(&pages);
	vm_close(&vm);
	return 0;
}
