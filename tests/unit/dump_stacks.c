// SPDX-License-Identifier: GPL-2.0-only
/*
 * dump_stacks PID [again] - where all processes of a VM are, as a JSON document in a line
 *
 * With `again`, another one for each line on stdin.
 * What snap_stack.h and snap_wait.h have to say, as numbers and plain text: tests/live/23-stacks.t
 * compares it to the node's own answers.
 */
#include "snap_wait.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TRACE 64

static struct vm vm;

static void die(const char *what, const char *why)
{
	const struct failure *f = failure_get();

	fprintf(stderr, "dump_stacks: %s: %s\n", what, f ? f->message : why);
	exit(1);
}

static void string(const char *s)
{
	putchar('"');
	for (; *s; s++)
		printf(*s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
	putchar('"');
}

static bool simple_atom(const char *s)
{
	if (*s < 'a' || *s > 'z')
		return false;
	return s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_")] == 0;
}

/* Terms as ~w has them, of the kinds that the test has; "_" for all others. */
static void term(eterm_t t, char *buf, size_t size, unsigned int depth)
{
	uint64_t w[256], n, i;
	const char *atom;
	size_t at;

	if (t == vm.lay->facts->nil) {
		snprintf(buf, size, "[]");
	} else if (term_is_small(t)) {
		snprintf(buf, size, "%lld", (long long)((int64_t)t >> 4));
	} else if (term_is_pid(t)) {
		term_pid_text(&vm, t, buf, size);
	} else if ((atom = term_atom(&vm, t)) && simple_atom(atom)) {
		snprintf(buf, size, "%s", atom);
	} else if (depth && (t & 3) == 2 && reader_u64(&vm.rd, t & ~7ULL, w) && !(w[0] & 63) &&
		   (n = w[0] >> 6) < ARRAY_SIZE(w) &&
		   (!n || reader_copy(&vm.rd, (t & ~7ULL) + 8, w, 8 * n))) {
		at = snprintf(buf, size, "{");
		for (i = 0; i < n && at < size; i++) {
			term(w[i], buf + at, size - at, depth - 1);
			at += strlen(buf + at);
			at += snprintf(buf + at, size - at, "%s", i + 1 < n ? "," : "");
		}
		if (at < size)
			snprintf(buf + at, size - at, "}");
	} else if (depth && (t & 3) == 1) {
		at = snprintf(buf, size, "[");
		for (i = 0; i < 64 && (t & 3) == 1 && at < size; i++, t = w[1]) {
			if (!reader_copy(&vm.rd, t & ~7ULL, w, 16))
				break;
			at += snprintf(buf + at, size - at, i ? "," : "");
			term(w[0], buf + at, size - at, depth - 1);
			at += strlen(buf + at);
		}
		snprintf(buf + at, size - at, "]");
	} else {
		snprintf(buf, size, "_");
	}
}

/* Atoms, small integers, pids and []; "" for what is none of these. */
static void simple(eterm_t t)
{
	char text[TERM_TEXT] = "";

	if (!term_is_small(t) || ((int64_t)t >> 4 < 10000000000000000 &&
				  (int64_t)t >> 4 > -10000000000000000))
		term(t, text, sizeof(text), 0);
	string(strcmp(text, "_") ? text : "");
}

/* M:F/A+Offset, from the function's name in memory: as the VM prints code pointers. */
static void place(const struct code_at *at, vmaddr_t pc)
{
	char text[2 * TERM_TEXT + 32] = "";

	if (at->known)
		snprintf(text, sizeof(text), "%s+%lld", at->mfa, (long long)(pc - at->info));
	string(text);
}

static void backtrace(struct snap_stacks *s, const struct stack *st)
{
	struct code *code = snap_stacks_code(s);
	const struct stack_frame *fr;
	vmaddr_t last;
	size_t i, k;

	for (last = 0, i = 1; i < st->nframes; i++)
		last = st->frames[i].sp;
	printf("[[\"i\",%llu,", (unsigned long long)st->i);
	place(code_at(code, st->i), st->i);
	printf("]");
	for (i = 0; i < st->nframes; i++) {
		fr = &st->frames[i];
		if (i) {
			printf(",[\"return\",%llu,%llu,", (unsigned long long)(last - fr->sp),
			       (unsigned long long)fr->pc);
			place(code_at(code, fr->pc), fr->pc);
			printf("]");
		}
		for (k = 0; k < fr->ny; k++) {
			if (stack_is_catch(st->words[fr->y + k])) {
				printf(",[\"catches\"]");
				continue;
			}
			printf(",[\"y\",");
			simple(st->words[fr->y + k]);
			printf("]");
		}
	}
	printf("]");
}

static void stacktrace(struct snap_stacks *s, const struct stack *st)
{
	const struct code_at *at[MAX_TRACE];
	size_t i, n, depth = snap_stacks_depth(s);

	n = snap_stacktrace(s, st, at, depth < MAX_TRACE ? depth : MAX_TRACE);
	printf("[");
	for (i = 0; i < n; i++) {
		printf("%s[", i ? "," : "");
		string(at[i]->mfa);
		printf(",");
		if (at[i]->file)
			string(at[i]->file);
		else
			printf("null");
		printf(",%u]", at[i]->line);
	}
	printf("]");
}

/* Null where it is not known, "" where it waits for nobody. */
static void waits(struct snap_stacks *s, const struct proc_id *who, const unsigned char *raw,
		  const struct stack *st)
{
	char text[2 * TERM_TEXT];
	struct waits_for w, one;

	snap_waits_for_many(s, who, &raw, 1, &w);
	snap_waits_for(s, st, &one);
	if (w.known && memcmp(&w, &one, sizeof(w)))
		die("waits_for", "one of many is not as one alone");
	waits_for_text(&vm, &w, text, sizeof(text));
	printf(",\"waits_for\":");
	if (w.known)
		string(text);
	else
		printf("null");
}

/* As sys:get_state() has it; null where there is none. */
static void state(struct snap_stacks *s, const struct stack *st)
{
	static const char *const kinds[] = { NULL, "gen_server", "gen_statem", "gen_event" };
	char text[16384] = "", more[16384], all[16384];
	struct gen_handler h;
	struct gen_state g;
	uint64_t cons[2];
	size_t at = 0;

	snap_gen_state(s, st, &g);
	if (g.kind == BEHAVIOUR_NONE) {
		printf(",\"kind\":null,\"state\":null,\"why\":\"%s\"", g.why);
		return;
	}
	if (g.kind == GEN_SERVER)
		term(g.state, text, sizeof(text), 16);
	if (g.kind == GEN_STATEM) {
		term(g.state, text, sizeof(text), 16);
		term(g.data, more, sizeof(more), 16);
		snprintf(all, sizeof(all), "{%.8000s,%.8000s}", text, more);
		strcpy(text, all);
	}
	for (cons[1] = g.handlers; g.kind == GEN_EVENT && (cons[1] & 3) == 1;) {
		if (!reader_copy(&vm.rd, cons[1] & ~7ULL, cons, 16) || !gen_handler(s, cons[0], &h))
			break;
		at += snprintf(text + at, sizeof(text) - at, "%s{%s,", at ? "," : "[",
			       term_atom(&vm, h.module));
		term(h.id, more, sizeof(more), 16);
		at += snprintf(text + at, sizeof(text) - at, "%.6000s,", more);
		term(h.state, more, sizeof(more), 16);
		at += snprintf(text + at, sizeof(text) - at, "%.6000s}", more);
	}
	if (g.kind == GEN_EVENT)
		snprintf(text + at, sizeof(text) - at, at ? "]" : "[]");
	printf(",\"kind\":\"%s\",\"hibernates\":%s,\"module\":", kinds[g.kind],
	       g.hibernates ? "true" : "false");
	string(g.module ? term_atom(&vm, g.module) : "");
	printf(",\"state\":");
	string(text);
}

static void process(struct snap_stacks *s, const struct proc_id *who, struct stack *st, bool first)
{
	unsigned char raw[1024];
	const struct code_at *at;
	char text[64];

	if (!reader_copy(&vm.rd, who->addr, raw, vm.lay->f.proc_size))
		return;
	term_pid_text(&vm, who->id, text, sizeof(text));
	printf("%s{\"pid\":\"%s\",\"status\":%d", first ? "" : ",", text,
	       snap_stack_read(s, who, 0, st));
	at = snap_current_function(s, raw);
	printf(",\"current_function\":");
	if (at)
		string(at->known ? at->mfa : "undefined");
	else
		printf("null");
	if (st->status == STACK_OK) {
		printf(",\"stacktrace\":");
		stacktrace(s, st);
		printf(",\"nx\":%zu,\"backtrace\":", st->nx);
		backtrace(s, st);
	}
	waits(s, who, raw, st);
	state(s, st);
	printf("}");
}

static void document(struct snap_stacks *s)
{
	struct code *code = snap_stacks_code(s);
	struct stack st = { 0 };
	struct proc_ids ids;
	size_t i;

	if (snap_proc_ids(&vm, &ids))
		die("processes", "unreadable");
	printf("{\"rows\":[");
	for (i = 0; i < ids.n; i++)
		process(s, &ids.v[i], &st, !i);
	printf("],\"modules\":%zu,\"refused\":%zu}\n", code_modules(code), code_refused(code));
	fflush(stdout);
	snap_stack_free(&st);
	snap_proc_ids_free(&ids);
}

int main(int argc, char **argv)
{
	struct snap_stacks *s;
	struct code *code;
	char why[200], line[16];

	if (argc < 2) {
		fputs("usage: dump_stacks PID [again]\n", stderr);
		return 2;
	}
	if (vm_open(&vm, atoi(argv[1]), NULL, 0))
		die("vm", "");
	code = code_open(&vm, why, sizeof(why));
	if (!code)
		die("code", why);
	s = snap_stacks_open(&vm, code, why, sizeof(why));
	if (!s)
		die("stacks", why);
	document(s);
	while (argc > 2 && fgets(line, sizeof(line), stdin)) {
		snap_stacks_refresh(s);
		document(s);
	}
	snap_stacks_close(s);
	code_close(code);
	vm_close(&vm);
	return 0;
}
