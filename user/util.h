/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Talk, failures, time and small text helpers.
 *
 * Reports go to stdout; all talk goes to stderr.  A command that fails says so once, where the
 * object is known, with fail(): code, one line, and the next step.  main() prints it, as text or
 * as the JSON error document, and turns the code into the exit status.
 */
#ifndef EBEAM_UTIL_H
#define EBEAM_UTIL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t vmaddr_t; /* an address in the target, never dereferenced here */
typedef uint64_t eterm_t;  /* an Erlang term word */

/* Words of a copy of the target's memory, wherever in it they lie; the caller has checked that. */
static inline uint64_t raw_u64(const void *raw, size_t off)
{
	uint64_t v;

	memcpy(&v, (const char *)raw + off, sizeof(v));
	return v;
}

static inline uint32_t raw_u32(const void *raw, size_t off)
{
	uint32_t v;

	memcpy(&v, (const char *)raw + off, sizeof(v));
	return v;
}

static inline uint16_t raw_u16(const void *raw, size_t off)
{
	uint16_t v;

	memcpy(&v, (const char *)raw + off, sizeof(v));
	return v;
}

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Exit status of ebeam: CONTRACT. */
enum exit_status {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_UNSUPPORTED = 3,
	EXIT_PERMISSION = 4,
};

extern int verbosity;

void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* log_step: -v, what is being done; log_all: -vv, everything. */
void log_step(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_all(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/**
 * fail() - note why the command ends: object, action, cause; then the next step
 * @status: exit status of the process
 * @hint:   what the user can do, or ""
 *
 * The first failure stands; a later one is only logged.  Returns -1 for `return fail(...)`.
 */
int fail(enum exit_status status, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

struct failure {
	enum exit_status status;
	char message[512];
	char hint[512];
};

const struct failure *failure_get(void);
void failure_clear(void);
/* A stable word for the status, for the JSON error's `code`. */
const char *failure_code(enum exit_status status);

uint64_t now_ns(void);
/* CPU time of this process. */
double cpu_ms(void);

/* Allocation of our own, bounded memory: ends the program when there is none. */
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);

/* Reads a whole small file into buf, NUL-terminated; bytes read or -errno. */
long read_file(const char *path, char *buf, size_t size);

/* Formats a count for people: in full below ten millions, then 57.5M, 1.2G, 18.4E. */
const char *fmt_count(double n, char *buf, size_t size);
/* Formats bytes for people: 999 B, 1.5 KiB, 12.3 MiB. */
const char *fmt_bytes(double bytes, char *buf, size_t size);
/* Formats nanoseconds for people: 950 ns, 1.5 us, 12.3 ms, 1.2 s. */
const char *fmt_ns(double ns, char *buf, size_t size);

/* Kernel release as major * 1000 + minor, and its text. */
int kernel_version(char *text, size_t size);

/**
 * text_escape() - make text from the VM safe to print
 *
 * Valid printable UTF-8 stays; control characters and bytes that are no UTF-8 become \xHH.
 * Truncates to what fits into @out, always NUL-terminated.
 */
void text_escape(const char *in, size_t len, char *out, size_t size);

#endif
