// SPDX-License-Identifier: GPL-2.0-only
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

int verbosity;

static struct failure failure;

static void vlog(const char *prefix, const char *fmt, va_list ap)
{
	fputs(prefix, stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

#define LOG(prefix)                                                                                \
	do {                                                                                       \
		va_list ap;                                                                        \
		va_start(ap, fmt);                                                                 \
		vlog(prefix, fmt, ap);                                                             \
		va_end(ap);                                                                        \
	} while (0)

void log_warn(const char *fmt, ...)
{
	LOG("ebeam: ");
}

void log_step(const char *fmt, ...)
{
	if (verbosity >= 1)
		LOG("ebeam: ");
}

void log_all(const char *fmt, ...)
{
	if (verbosity >= 2)
		LOG("ebeam: ");
}

int fail(enum exit_status status, const char *hint, const char *fmt, ...)
{
	struct failure f = { .status = status };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f.message, sizeof(f.message), fmt, ap);
	va_end(ap);
	snprintf(f.hint, sizeof(f.hint), "%s", hint);
	if (failure.status)
		log_step("%s", f.message);
	else
		failure = f;
	return -1;
}

const struct failure *failure_get(void)
{
	return failure.status ? &failure : NULL;
}

void failure_clear(void)
{
	memset(&failure, 0, sizeof(failure));
}

const char *failure_code(enum exit_status status)
{
	switch (status) {
	case EXIT_OK:
		return "ok";
	case EXIT_FAILED:
		return "failed";
	case EXIT_USAGE:
		return "usage";
	case EXIT_UNSUPPORTED:
		return "unsupported";
	case EXIT_PERMISSION:
		return "permission";
	}
	return "failed";
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

double cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static void out_of_memory(void)
{
	fputs("ebeam: out of memory\n", stderr);
	exit(EXIT_FAILED);
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *xrealloc(void *old, size_t size)
{
	void *p = realloc(old, size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

char *xstrdup(const char *s)
{
	char *p = strdup(s);

	if (!p)
		out_of_memory();
	return p;
}

long read_file(const char *path, char *buf, size_t size)
{
	size_t have = 0;
	ssize_t n;
	int fd, err = 0;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (have < size - 1) {
		n = read(fd, buf + have, size - 1 - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = -errno;
		if (n <= 0)
			break;
		have += n;
	}
	buf[have] = '\0';
	close(fd);
	return err ? err : (long)have;
}

const char *fmt_count(double n, char *buf, size_t size)
{
	static const char units[] = "MGTPE";
	unsigned int u = 0;

	if (n > -1e7 && n < 1e7) {
		snprintf(buf, size, "%.0f", n);
		return buf;
	}
	for (n /= 1e6; (n >= 1e4 || n <= -1e4) && units[u + 1]; u++)
		n /= 1e3;
	snprintf(buf, size, "%.1f%c", n, units[u]);
	return buf;
}

const char *fmt_bytes(double bytes, char *buf, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	unsigned int u = 0;

	while ((bytes >= 1024 || bytes <= -1024) && u + 1 < ARRAY_SIZE(units)) {
		bytes /= 1024;
		u++;
	}
	snprintf(buf, size, u ? "%.1f %s" : "%.0f %s", bytes, units[u]);
	return buf;
}

const char *fmt_ns(double ns, char *buf, size_t size)
{
	if (ns < 1e3)
		snprintf(buf, size, "%.0f ns", ns);
	else if (ns < 1e6)
		snprintf(buf, size, "%.1f us", ns / 1e3);
	else if (ns < 1e9)
		snprintf(buf, size, "%.1f ms", ns / 1e6);
	else
		snprintf(buf, size, "%.2f s", ns / 1e9);
	return buf;
}

/* Length of the valid UTF-8 sequence at s (at most len bytes), 0 when there is none. */
static size_t utf8_sequence(const unsigned char *s, size_t len)
{
	size_t n, i;
	uint32_t cp;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if ((s[0] & 0xf0) == 0xe0)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (n > len)
		return 0;
	cp = s[0] & (0x7f >> n);
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (s[i] & 0x3f);
	}
	/* overlong forms, surrogates, C1 controls, direction overrides, beyond Unicode */
	if ((n == 3 && cp < 0x800) || (n == 4 && (cp < 0x10000 || cp > 0x10ffff)) ||
	    (cp >= 0xd800 && cp <= 0xdfff) || (cp >= 0x80 && cp < 0xa0) ||
	    (cp >= 0x200e && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e) ||
	    (cp >= 0x2066 && cp <= 0x2069) || cp == 0xfeff)
		return 0;
	return n;
}

void text_escape(const char *in, size_t len, char *out, size_t size)
{
	const unsigned char *s = (const unsigned char *)in;
	size_t i = 0, o = 0, n;

	while (i < len) {
		n = utf8_sequence(s + i, len - i);
		if (n == 1 && (s[i] < 0x20 || s[i] == 0x7f))
			n = 0;
		if (o + (n ? n : 4) >= size)
			break;
		if (n) {
			memcpy(out + o, s + i, n);
			o += n;
			i += n;
		} else {
			snprintf(out + o, size - o, "\\x%02X", s[i]);
			o += 4;
			i++;
		}
	}
	out[o] = '\0';
}

/* EBEAM_TEST_KERNEL=5.4 lets a test see what an older kernel would get to see. */
int kernel_version(char *text, size_t size)
{
	const char *pretend = getenv("EBEAM_TEST_KERNEL");
	int major = 0, minor = 0;
	struct utsname u;

	uname(&u);
	snprintf(text, size, "%.40s", pretend ? pretend : u.release);
	sscanf(text, "%d.%d", &major, &minor);
	return major * 1000 + minor;
}
