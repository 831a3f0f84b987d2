// SPDX-License-Identifier: GPL-2.0-only
/*
 * Integers are divided by ten to the nineteenth, word by word.
 *
 * Floats: exact integer arithmetic, digit by digit, until the digits so far can only mean this
 * float (Steele and White 1990; the bounds are those halfway to its neighbours).  OTP until 24 does
 * just that in io_lib_format; from 25 on it uses Ryu, which gives the same digits but for two
 * cases: a tie between two last digits (up, or to even), and whether the bound itself still means a
 * subnormal.  The layout differs more: see place_old() and place_short().
 */
#include "term_number.h"

#include <stdlib.h>
#include <string.h>

#define TEN19 10000000000000000000ULL
#define OTP_SHORT_FLOATS 25
#define LIMBS 64 /* of 32 bits: 2^1078 * 10^324 and its like need some 36 */
#define MAX_DIGITS 24

char *number_big(const uint64_t *words, size_t n, bool negative)
{
	uint64_t *w = xcalloc(n + 1, sizeof(*w)), *parts;
	size_t nparts = 0, at, i;
	unsigned __int128 v;
	uint64_t rest;
	char *text;

	memcpy(w, words, n * sizeof(*w));
	parts = xcalloc(n * 65 / 63 + 2, sizeof(*parts));
	while (n && !w[n - 1])
		n--;
	while (n) {
		for (rest = 0, i = n; i--;) {
			v = (unsigned __int128)rest << 64 | w[i];
			w[i] = v / TEN19;
			rest = v % TEN19;
		}
		parts[nparts++] = rest;
		while (n && !w[n - 1])
			n--;
	}
	if (!nparts)
		nparts = 1;
	text = xcalloc(nparts + 1, 20);
	at = sprintf(text, "%s%llu", negative ? "-" : "", (unsigned long long)parts[nparts - 1]);
	for (i = nparts - 1; i--;)
		at += sprintf(text + at, "%019llu", (unsigned long long)parts[i]);
	free(parts);
	free(w);
	return text;
}

/* ---- exact arithmetic ------------------------------------------------------------------- */

struct big {
	uint32_t v[LIMBS];
};

static void big_mul(struct big *b, uint32_t m)
{
	uint64_t carry = 0;
	int i;

	for (i = 0; i < LIMBS; i++) {
		carry += (uint64_t)b->v[i] * m;
		b->v[i] = carry;
		carry >>= 32;
	}
}

static void big_pow10(struct big *b, int n)
{
	while (n-- > 0)
		big_mul(b, 10);
}

static struct big big_shifted(uint64_t v, unsigned int by)
{
	struct big b = { { 0 } };
	unsigned int limb = by / 32, bit = by % 32;
	unsigned __int128 x = (unsigned __int128)v << bit;
	int i;

	for (i = 0; i < 4 && limb + i < LIMBS; i++, x >>= 32)
		b.v[limb + i] = x;
	return b;
}

static int big_cmp(const struct big *a, const struct big *b)
{
	int i;

	for (i = LIMBS; i--;)
		if (a->v[i] != b->v[i])
			return a->v[i] < b->v[i] ? -1 : 1;
	return 0;
}

static struct big big_add(const struct big *a, const struct big *b)
{
	struct big sum;
	uint64_t carry = 0;
	int i;

	for (i = 0; i < LIMBS; i++) {
		carry += (uint64_t)a->v[i] + b->v[i];
		sum.v[i] = carry;
		carry >>= 32;
	}
	return sum;
}

static void big_sub(struct big *a, const struct big *b)
{
	int64_t borrow = 0;
	int i;

	for (i = 0; i < LIMBS; i++) {
		borrow += (int64_t)a->v[i] - b->v[i];
		a->v[i] = borrow;
		borrow >>= 32;
	}
}

/* ---- digits --------------------------------------------------------------------------------- */

struct digits {
	char d[MAX_DIGITS + 1];
	int n;
	int place; /* of the point: 0.DIGITS * 10^place */
};

/* r + plus reaches s: the value's upper bound. */
static bool high(const struct big *r, const struct big *plus, const struct big *s, bool included)
{
	struct big sum = big_add(r, plus);
	int c = big_cmp(&sum, s);

	return c > 0 || (c == 0 && included);
}

static void generate(struct big *r, struct big *s, struct big *plus, struct big *minus, bool even,
		     bool ryu, struct digits *out)
{
	bool low_end, high_end;
	struct big twice;
	int digit, c;

	for (out->n = 0; out->n < MAX_DIGITS;) {
		big_mul(r, 10);
		big_mul(plus, 10);
		big_mul(minus, 10);
		for (digit = 0; digit < 9 && big_cmp(r, s) >= 0; digit++)
			big_sub(r, s);
		c = big_cmp(r, minus);
		low_end = c < 0 || (c == 0 && even);
		high_end = high(r, plus, s, even);
		if (low_end || high_end) {
			twice = big_add(r, r);
			c = big_cmp(&twice, s);
			if (!low_end || (high_end && (c > 0 || (c == 0 && (!ryu || digit & 1)))))
				digit++;
			out->d[out->n++] = '0' + digit;
			return;
		}
		out->d[out->n++] = '0' + digit;
	}
}

/* The float is f * 2^e; in units of s it is r, and its bounds are minus below and plus above. */
static void shortest(uint64_t bits, bool ryu, struct digits *out)
{
	uint64_t f = bits & ((1ULL << 52) - 1);
	int e = bits >> 52 & 0x7ff, est;
	bool subnormal = !e, narrow, even;
	struct big r, s, plus, minus;

	if (subnormal)
		e = 1;
	else
		f |= 1ULL << 52;
	e -= 1075;
	/* below a power of two the next float is half as far away */
	narrow = f == 1ULL << 52 && e > -1074;
	/* the older code looks at a subnormal's fraction after it was shifted left */
	even = !(f & 1) || (subnormal && !ryu && f < 1ULL << 52);
	r = big_shifted(f, (e > 0 ? e : 0) + 1 + narrow);
	s = big_shifted(1, (e < 0 ? -e : 0) + 1 + narrow);
	minus = big_shifted(1, e > 0 ? e : 0);
	plus = big_shifted(1, (e > 0 ? e : 0) + narrow);

	/* not more than the decimal logarithm: raised below as far as need be */
	est = (63 - __builtin_clzll(f) + e) * 78913 / (1 << 18) - 1;
	if (est >= 0) {
		big_pow10(&s, est);
	} else {
		big_pow10(&r, -est);
		big_pow10(&plus, -est);
		big_pow10(&minus, -est);
	}
	while (high(&r, &plus, &s, even)) {
		big_mul(&s, 10);
		est++;
	}
	out->place = est;
	generate(&r, &s, &plus, &minus, even, ryu, out);
	out->d[out->n] = 0;
}

/* ---- layout --------------------------------------------------------------------------------- */

static void with_exponent(const struct digits *g, char *out)
{
	sprintf(out, "%c.%se%d", g->d[0], g->n > 1 ? g->d + 1 : "0", g->place - 1);
}

static void with_point(const struct digits *g, char *out)
{
	if (g->place <= 0)
		sprintf(out, "0.%.*s%s", -g->place, "0000000000000000000000", g->d);
	else if (g->place >= g->n)
		sprintf(out, "%s%.*s.0", g->d, g->place - g->n, "0000000000000000000000");
	else
		sprintf(out, "%.*s.%s", g->place, g->d, g->d + g->place);
}

/* Until 24: whichever is shorter, and the point where both are as long. */
static void place_old(const struct digits *g, char *out)
{
	char exponent[16];
	int cost = snprintf(exponent, sizeof(exponent), "%d", g->place - 1) + 1 +
		   (g->n == 1 ? 2 : 1);
	int zeros = g->place < 0 ? 2 - g->place : g->place - g->n + 2;

	if ((g->place >= 0 && g->place < g->n) || zeros <= cost)
		with_point(g, out);
	else
		with_exponent(g, out);
}

/* From 25 on: much the same, but integers from 2^53 on have an exponent. */
static void place_short(const struct digits *g, char *out)
{
	int exp = g->place - g->n, scientific = g->place - 1;
	int lower = g->n == 1 ? -4 : -(g->n + 2), upper = g->n == 1 || scientific >= 10 ? 2 : 1;
	bool point = lower <= exp && exp <= upper;
	uint64_t value = point ? strtoull(g->d, NULL, 10) : 0;

	if ((exp == 0 && value >= 1ULL << 53) || (exp == 1 && value > (1ULL << 52) / 5) ||
	    (exp == 2 && value > (1ULL << 51) / 25))
		point = false;
	if (point)
		with_point(g, out);
	else
		with_exponent(g, out);
}

bool number_float(uint64_t bits, int otp, char out[NUMBER_FLOAT])
{
	bool ryu = otp >= OTP_SHORT_FLOATS, negative = bits >> 63;
	struct digits g;

	bits &= INT64_MAX;
	if (bits >> 52 == 0x7ff)
		return false;
	if (!bits) {
		/* the older code takes both zeros for one */
		strcpy(out, negative && ryu ? "-0.0" : "0.0");
		return true;
	}
	shortest(bits, ryu, &g);
	*out = '-';
	if (ryu)
		place_short(&g, out + negative);
	else
		place_old(&g, out + negative);
	return true;
}
