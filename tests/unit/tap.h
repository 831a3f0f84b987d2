/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TAP for the unit tests: one program a file, the plan at the end, details as comments.
 *
 * A check says what holds, not what is tried: it reads as a fact when it passes.  Checks made in
 * a loop are best counted and made one line by the caller: a thousand lines hide the one.
 */
#ifndef TAP_H
#define TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static unsigned int tap_count, tap_failed;

/* Bytes of the target, and names, may end up in a message: never raw on the terminal. */
static inline void tap_quote(const char *s)
{
	if (!s) {
		fputs("(null)", stdout);
		return;
	}
	putchar('"');
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f || *s == '"' || *s == '\\')
			printf("\\x%02x", (unsigned char)*s);
		else
			putchar(*s);
	putchar('"');
}

__attribute__((format(printf, 1, 2))) static inline void diag(const char *fmt, ...)
{
	va_list ap;

	fputs("# ", stdout);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

__attribute__((format(printf, 2, 3))) static inline bool ok(bool good, const char *fmt, ...)
{
	va_list ap;

	printf("%s %u - ", good ? "ok" : "not ok", ++tap_count);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	tap_failed += !good;
	return good;
}

#define is_u64(got, want, ...)                                                                     \
	({                                                                                         \
		uint64_t tap_g = (got), tap_w = (want);                                            \
		if (!ok(tap_g == tap_w, __VA_ARGS__))                                              \
			diag("got %" PRIu64 " (%#" PRIx64 "), want %" PRIu64 " (%#" PRIx64 ")",    \
			     tap_g, tap_g, tap_w, tap_w);                                          \
		tap_g == tap_w;                                                                    \
	})

#define is_str(got, want, ...)                                                                     \
	({                                                                                         \
		const char *tap_g = (got), *tap_w = (want);                                        \
		bool tap_same = tap_g && tap_w ? !strcmp(tap_g, tap_w) : tap_g == tap_w;           \
		if (!ok(tap_same, __VA_ARGS__)) {                                                  \
			fputs("# got  ", stdout);                                                  \
			tap_quote(tap_g);                                                          \
			fputs("\n# want ", stdout);                                                \
			tap_quote(tap_w);                                                          \
			putchar('\n');                                                             \
		}                                                                                  \
		tap_same;                                                                          \
	})

/* The last statement of main(): return done(); */
static inline int done(void)
{
	printf("1..%u\n", tap_count);
	return tap_failed || fflush(stdout) ? 1 : 0;
}

#endif
