// SPDX-License-Identifier: GPL-2.0-only
/*
 * Terms as text, without a node: a small heap is put beside a recording, whose atoms it uses.
 *
 * First terms that are right, then the same heap with words garbled: no crash, no hang, budgets
 * kept, and never a control character in the text.  Floats are checked against strtod(): what is
 * printed is read back as the same float, and no shorter text would be.
 */
#include "fixture.h"
#include "tap.h"
#include "term_number.h"
#include "term_print.h"

#include <errno.h>

#define HEAP 0x700000000000ULL
#define WORDS 8192
#define MAX_ROOTS 64
#define ROUNDS 400
#define LONG_ROUNDS 10000
#define LIMIT_TERMS 5000
#define LIMIT_BYTES 20000
#define HOSTILE_TERMS 1000
#define HOSTILE_BYTES 4000
#define HANG_SECONDS 280
#define NIL_DEPTH 3000

static uint64_t rng_state = 88172645463325252ULL;

static uint64_t rnd(uint64_t below)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state * 0x2545f4914f6cdd1dULL % below;
}

/* ---- numbers -------------------------------------------------------------------------------- */

static void one_float(const char *digits, const char *old, const char *new)
{
	double v = strtod(digits, NULL);
	char text[NUMBER_FLOAT];
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	number_float(bits, 23, text);
	is_str(text, old, "%s on 23", digits);
	number_float(bits, 25, text);
	is_str(text, new, "%s on 25", digits);
}

/* Significant digits of a text. */
static int digits_in(const char *s)
{
	char d[NUMBER_FLOAT];
	int n = 0, from = 0;

	for (; *s && *s != 'e'; s++)
		if (*s >= '0' && *s <= '9')
			d[n++] = *s;
	while (n > 1 && d[n - 1] == '0')
		n--;
	while (from < n - 1 && d[from] == '0')
		from++;
	return n - from;
}

static void random_floats(void)
{
	unsigned int i, odd = 0, longer = 0, n = 0;
	char text[NUMBER_FLOAT], other[64];
	uint64_t bits;
	double v, w;
	int otp;

	for (i = 0; i < 20000; i++) {
		bits = rnd(UINT64_MAX);
		if (i % 8 == 0)
			bits &= 0x800fffffffffffffULL >> rnd(52);
		if (i % 8 == 1)
			bits &= 0xfff0000000000000ULL;
		otp = i & 1 ? 23 : 27;
		if (!number_float(bits, otp, text))
			continue;
		memcpy(&v, &bits, sizeof(v));
		w = strtod(text, NULL);
		odd += v != w;
		/* correctly rounded to one digit less it must be another float */
		if (digits_in(text) > 1 && v) {
			snprintf(other, sizeof(other), "%.*e", digits_in(text) - 2, v);
			longer += strtod(other, NULL) == v;
		}
		n++;
	}
	ok(n > 15000 && !odd, "random floats are read back as they were (%u of %u not)", odd, n);
	ok(!longer, "no digit less would do (%u of %u)", longer, n);
}

static void numbers(void)
{
	static const uint64_t one[] = { 1 }, two64[] = { 0, 1 }, big[] = { 0, 0, 0, 1ULL << 63 },
			      ten19[] = { 10000000000000000000ULL }, none[] = { 0, 0 },
			      ten38[] = { 687399551400673280ULL, 5421010862427522170ULL };
	char text[NUMBER_FLOAT], *s;

	is_str(s = number_big(one, 1, false), "1", "a bignum of one");
	free(s);
	is_str(s = number_big(none, 2, false), "0", "a bignum of nothing");
	free(s);
	is_str(s = number_big(two64, 2, true), "-18446744073709551616", "- 2^64");
	free(s);
	is_str(s = number_big(ten19, 1, false), "10000000000000000000", "10^19");
	free(s);
	is_str(s = number_big(ten38, 2, false), "100000000000000000000000000000000000000", "10^38");
	free(s);
	is_str(s = number_big(big, 4, false),
	       "57896044618658097711785492504343953926634992332820282019728792003956564819968",
	       "2^255");
	free(s);
	one_float("0", "0.0", "0.0");
	one_float("-0", "0.0", "-0.0");
	one_float("1", "1.0", "1.0");
	one_float("-0.1", "-0.1", "-0.1");
	one_float("100", "100.0", "100.0");
	one_float("1000", "1.0e3", "1.0e3");
	one_float("12340", "12340.0", "12340.0");
	one_float("0.0001", "0.0001", "0.0001");
	one_float("0.00001", "1.0e-5", "1.0e-5");
	one_float("1e22", "1.0e22", "1.0e22");
	one_float("5e-324", "5.0e-324", "5.0e-324");
	one_float("9007199254740992", "9007199254740992.0", "9.007199254740992e15");
	one_float("9007199254740991", "9007199254740991.0", "9007199254740991.0");
	one_float("1.7976931348623157e308", "1.7976931348623157e308", "1.7976931348623157e308");
	ok(!number_float(0x7ff0000000000000ULL, 27, text) &&
		   !number_float(0xfff8000000000001ULL, 23, text),
	   "infinity and NaN are no floats");
	random_floats();
}

/* ---- a heap --------------------------------------------------------------------------------- */

static uint64_t heap[WORDS];
static unsigned int top;
static struct {
	eterm_t t;
	const char *want;
} roots[MAX_ROOTS];
static unsigned int nroots;
static eterm_t wide_map, no_pairs, vast; /* no roots: see beyond() */
static int otp;
static uint64_t nil;

static vmaddr_t put(uint64_t word)
{
	heap[top] = word;
	return HEAP + 8 * top++;
}

static void root(eterm_t t, const char *want)
{
	roots[nroots].t = t;
	roots[nroots++].want = want;
}

static eterm_t small(int64_t n)
{
	return (uint64_t)n << 4 | 15;
}

static eterm_t cons(eterm_t head, eterm_t tail)
{
	vmaddr_t at = put(head);

	put(tail);
	return at | 1;
}

static eterm_t tuple(unsigned int n, const eterm_t *v)
{
	vmaddr_t at = put((uint64_t)n << 6);

	while (n--)
		put(*v++);
	return at | 2;
}

static eterm_t pair(eterm_t a, eterm_t b)
{
	return tuple(2, (eterm_t[]){ a, b });
}

static eterm_t string(const char *s)
{
	size_t n = strlen(s);
	eterm_t t = nil;

	while (n--)
		t = cons(small(s[n]), t);
	return t;
}

static eterm_t binary(const char *s, unsigned int n)
{
	vmaddr_t at = put((uint64_t)(1 + (n + 7) / 8) << 6 | (otp >= 27 ? 0x20 : 0x24));

	put(otp >= 27 ? 8 * n : n);
	memcpy(heap + top, s, n);
	top += (n + 7) / 8;
	return at | 2;
}

static uint64_t map_header(unsigned int kind, unsigned int arity, unsigned int bitmap)
{
	return (uint64_t)bitmap << 16 | arity << 8 | kind << 6 | (otp >= 27 ? 0x2c : 0x3c);
}

static eterm_t flat_map(unsigned int n, const eterm_t *keys, const eterm_t *values)
{
	eterm_t k = tuple(n, keys);
	vmaddr_t at = put(map_header(0, 1, 0));

	put(n);
	put(k);
	while (n--)
		put(*values++);
	return at | 2;
}

static eterm_t hash_map(eterm_t a, eterm_t b, eterm_t c)
{
	eterm_t p1 = cons(a, small(1)), p2 = cons(b, small(2)), p3 = cons(c, small(3));
	vmaddr_t node, at;

	node = put(map_header(1, 0, 5));
	put(p2);
	put(p3);
	at = put(map_header(3, 1, 0x8001));
	put(3);
	put(p1);
	put(node | 2);
	return at | 2;
}

static eterm_t boxed(uint64_t header, unsigned int n, const uint64_t *v)
{
	vmaddr_t at = put(header);

	while (n--)
		put(*v++);
	return at | 2;
}

static eterm_t deep(unsigned int n)
{
	eterm_t t = nil;

	while (n--)
		t = cons(t, nil);
	return t;
}

/* A hash map of @levels of nodes; both children of each are the one below, which has none. */
static eterm_t bare_map(unsigned int levels)
{
	eterm_t t = put(map_header(1, 0, 0)) | 2;
	vmaddr_t at;

	for (; levels; levels--, t = at | 2) {
		at = put(map_header(levels > 1 ? 1 : 3, levels == 1, 3));
		if (levels == 1)
			put(1);
		put(t);
		put(t);
	}
	return t;
}

static void build(void)
{
	eterm_t t = 1 << 6 | 0xb /* true */, f = 0xb /* false */, cyclic, shared, many[40];
	static const uint64_t two = 0x4000000000000000ULL;
	unsigned int i;
	vmaddr_t at;

	memset(heap, 0, sizeof(heap));
	top = 0;
	nroots = 0;
	root(nil, "[]");
	root(t, "true");
	root(small(-7), "-7");
	root(cons(small(1), cons(t, nil)), "[1,true]");
	root(cons(small(1), small(2)), "[1|2]");
	root(string("text\n\"\\"), "\"text\\n\\\"\\\\\"");
	root(tuple(0, NULL), "{}");
	root(pair(f, string("a")), "{false,\"a\"}");
	root(binary("", 0), "<<>>");
	root(binary("abc\033", 4), "<<\"abc\\e\">>");
	root(binary("\001\377\177", 3), "<<1,255,127>>");
	root(binary("a longer text of a binary", 25), "<<\"a longer text of a binary\">>");
	root(flat_map(0, NULL, NULL), "#{}");
	root(flat_map(2, (eterm_t[]){ t, small(5) }, (eterm_t[]){ f, nil }),
	     "#{true => false,5 => []}");
	root(hash_map(t, small(9), string("k")), "#{true => 1,9 => 2,\"k\" => 3}");
	root(boxed(1 << 6 | 8, 1, (uint64_t[]){ UINT64_MAX }), "18446744073709551615");
	root(boxed(2 << 6 | 12, 2, (uint64_t[]){ 0, 1 }), "-18446744073709551616");
	root(boxed(1 << 6 | 0x18, 1, &two), "2.0");
	root(boxed(2 << 6 | 0x10, 2, (uint64_t[]){ 7ULL << 32 | 0xffffffff, 9ULL << 32 | 8 }),
	     "#Ref<0.9.8.7>");
	/* what is none of the terms of a program, or is not there */
	root(0, "?");
	root(0x1b, "?");
	root(0x1000 | 2, "?");
	root(0x1001, "[?]");
	root((uint64_t)0x7fffffff << 6 | 0xb, "?");
	root(boxed(1 << 6 | (otp >= 27 ? 0x3c : 0x2c), 1, &two), "?");
	root(boxed((1ULL << 40) << 6, 1, &two), "?");
	/* what has no end, or is too deep, or is larger than it seems */
	cyclic = cons(small(1), nil);
	heap[(cyclic - HEAP) / 8 + 1] = cyclic;
	root(cyclic, NULL);
	cyclic = cons(small('a'), nil);
	heap[(cyclic - HEAP) / 8 + 1] = cyclic;
	root(cyclic, NULL);
	at = put(2 << 6);
	put(at | 2);
	put(at | 2);
	root(at | 2, NULL);
	at = put(map_header(1, 0, 1));
	put(at | 2);
	i = put(map_header(3, 1, 1)) - HEAP;
	put(1);
	put(at | 2);
	root((HEAP + i) | 2, "#{?}");
	shared = nil;
	for (i = 0; i < 60; i++)
		shared = pair(shared, shared);
	root(shared, NULL);
	root(deep(NIL_DEPTH), NULL);
	for (i = 0; i < 40; i++)
		many[i] = pair(t, string("some text"));
	root(tuple(40, many), NULL);
	wide_map = flat_map(17, many, many);
	no_pairs = bare_map(38);
	vast = put(3000ULL << 6 | 8) | 2;
}

/* No control character but line breaks; valid UTF-8. */
static bool clean(const char *s)
{
	char escaped[8];
	size_t len;

	for (; *s; s += len) {
		len = (unsigned char)*s < 0x80 ? 1 : (unsigned char)*s < 0xe0 ? 2 :
		      (unsigned char)*s < 0xf0 ? 3 : 4;
		if (*s == '\n')
			continue;
		if (strnlen(s, len) < len)
			return false;
		text_escape(s, len, escaped, sizeof(escaped));
		if (strncmp(escaped, s, len) || escaped[len])
			return false;
	}
	return true;
}

struct vm_with_heap {
	struct vm vm;
	struct pages pages;
	struct terms ts;
};

static void put_heap(const struct fixture *good, const char *path)
{
	struct fixture fx;

	fixture_copy(&fx, good);
	fixture_add(&fx, HEAP, heap, sizeof(heap));
	fixture_write(&fx, path, SIZE_MAX);
	fixture_free(&fx);
}

static void right_terms(struct vm_with_heap *v)
{
	struct term_limits small_ones = { .max_terms = LIMIT_TERMS, .max_bytes = LIMIT_BYTES,
					  .pretty = true };
	unsigned int i, wrong = 0, uncut = 0;
	uint64_t budget, words;
	char *s;
	bool cut;

	for (i = 0; i < nroots; i++) {
		s = term_text(&v->ts, roots[i].t, &small_ones, &cut);
		if (roots[i].want && (strcmp(s, roots[i].want) || cut)) {
			diag("term %u: got %s, want %s", i, s, roots[i].want);
			wrong++;
		}
		if (!roots[i].want && i + 1 < nroots && (!cut || !strstr(s, "..."))) {
			diag("term %u is not cut: %.60s", i, s);
			uncut++;
		}
		wrong += !clean(s);
		free(s);
	}
	is_u64(wrong, 0, "otp %d: %u terms are as the node prints them", otp, nroots);
	is_u64(uncut, 0, "otp %d: endless terms are cut, and marked so", otp);
	budget = 1000;
	ok(term_flat_size(&v->ts, roots[7].t, &budget, &words) && words == 5,
	   "otp %d: words of a tuple with a string", otp);
	budget = 1000;
	ok(!term_flat_size(&v->ts, roots[nroots - 7].t, &budget, &words) && !budget,
	   "otp %d: the size of a cyclic list ends with the budget", otp);
}

static void helpers(struct vm_with_heap *v)
{
	eterm_t list = roots[3].t, e, head;
	uint64_t arity;
	vmaddr_t addr;
	int64_t n;
	char *s;

	ok(term_list_next(&v->ts, &list, &head) && term_small(head, &n) && n == 1 &&
		   term_list_next(&v->ts, &list, &head) && term_is_nil(&v->ts, list) &&
		   !term_list_next(&v->ts, &list, &head), "otp %d: a list, cell by cell", otp);
	ok(term_tuple(&v->ts, roots[7].t, &arity, &addr) && arity == 2 &&
		   term_element(&v->ts, roots[7].t, 0, &e) && e == 0xb &&
		   !term_element(&v->ts, roots[7].t, 2, &e) && !term_element(&v->ts, nil, 0, &e),
	   "otp %d: elements of a tuple, and no others", otp);
	ok(term_map_get(&v->ts, roots[13].t, small(5), &e) && e == nil &&
		   !term_map_get(&v->ts, roots[13].t, small(6), &e), "otp %d: a value by key", otp);
	ok(term_ref_equal(&v->ts, roots[18].t, roots[18].t) &&
		   !term_ref_equal(&v->ts, roots[18].t, roots[17].t), "otp %d: references", otp);
	s = term_shape(&v->ts, roots[7].t, 2);
	is_str(s, "{false,_}", "otp %d: a shape", otp);
	free(s);
}

static void beyond(struct vm_with_heap *v)
{
	char *s;
	bool cut;

	s = term_shape(&v->ts, wide_map, 1);
	ok(strstr(s, ",_ => _,...}"), "otp %d: a key that is left out is told: %s", otp, s);
	free(s);
	s = term_text(&v->ts, no_pairs, NULL, NULL);
	is_str(s, "#{?}", "otp %d: a map of nodes without pairs comes to an end", otp);
	free(s);
	s = term_text(&v->ts, vast, NULL, &cut);
	ok(cut && !strcmp(s, "..."), "otp %d: an integer of 200 kbit is cut: %.60s", otp, s);
	free(s);
}

static void garble(void)
{
	unsigned int i, n = 1 + rnd(rnd(3) ? 6 : 60), at;

	for (i = 0; i < n; i++) {
		at = rnd(top);
		switch (rnd(5)) {
		case 0:
			heap[at] ^= 1ULL << rnd(64);
			break;
		case 1: /* a pointer into the heap, of any tag */
			heap[at] = HEAP + 8 * rnd(top) + rnd(4);
			break;
		case 2: /* a header of any kind */
			heap[at] = rnd(1ULL << rnd(40)) << 6 | rnd(16) << 2;
			break;
		case 3:
			heap[at] = rnd(UINT64_MAX);
			break;
		case 4:
			heap[at] = heap[rnd(top)];
			break;
		}
	}
}

/* Only the heap is garbled, and atoms that were not used before are gone. */
static void hostile(struct vm_with_heap *v, unsigned int rounds)
{
	struct term_limits lim = { .max_terms = HOSTILE_TERMS, .max_bytes = HOSTILE_BYTES };
	static const struct fixture empty;
	unsigned int i, k, dirty = 0, too_long = 0;
	uint64_t worst = 0, took, budget, words;
	const char *path = fixture_tmp();
	char *s;

	for (i = 0; i < rounds; i++) {
		build();
		garble();
		put_heap(&empty, path);
		reader_close(&v->vm.rd);
		if (reader_open_recording(&v->vm.rd, path))
			abort();
		pages_forget(&v->pages);
		took = now_ns();
		for (k = 0; k < nroots; k++) {
			lim.pretty = rnd(2);
			lim.depth = rnd(3) ? 0 : 1 + rnd(20);
			lim.column = rnd(100);
			lim.width = rnd(4) ? 0 : rnd(120);
			s = term_text(&v->ts, roots[k].t, &lim, NULL);
			dirty += !clean(s);
			too_long += strlen(s) > 5 * HOSTILE_BYTES + 2000;
			free(s);
			s = term_shape(&v->ts, roots[k].t, 1 + rnd(4));
			dirty += !clean(s);
			free(s);
			budget = HOSTILE_TERMS;
			term_flat_size(&v->ts, roots[k].t, &budget, &words);
		}
		took = now_ns() - took;
		if (took > worst)
			worst = took;
	}
	is_u64(dirty, 0, "otp %d: %u garbled heaps: no control character gets out", otp, rounds);
	is_u64(too_long, 0, "otp %d: texts stay within their limits", otp);
	ok(worst < 20000000000ULL, "otp %d: the slowest heap took %" PRIu64 " us", otp,
	   worst / 1000);
}

static void release(int of, unsigned int rounds)
{
	const char *path = fixture_tmp();
	static struct vm_with_heap v;
	struct fixture good;

	otp = of;
	nil = layout_facts(of)->nil;
	build();
	fixture_read(&good, of);
	put_heap(&good, path);
	fixture_symbols(of, path, NULL);
	if (!ok(!vm_open_recording(&v.vm, path), "otp %d: the recording opens", of))
		return;
	pages_open(&v.pages, &v.vm.rd, 1 << 20);
	terms_open(&v.ts, &v.vm, &v.pages);
	right_terms(&v);
	helpers(&v);
	beyond(&v);
	hostile(&v, rounds);
	pages_close(&v.pages);
	vm_close(&v.vm);
	fixture_free(&good);
}

int main(void)
{
	unsigned int rounds = getenv("EBEAM_LONG") ? LONG_ROUNDS : ROUNDS;
	size_t i;

	alarm(HANG_SECONDS);
	numbers();
	for (i = 0; i < ARRAY_SIZE(releases); i++)
		release(releases[i], rounds);
	fixture_tidy();
	return done();
}
