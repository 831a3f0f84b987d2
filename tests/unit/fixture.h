/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The recordings of tests/fixtures, made by scripts/record-fixture: their releases, and the means
 * to alter one: its segments in memory, written out again as another recording.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "vm.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static const int releases[] = { 23, 25, 27, 29 };

struct seg {
	uint64_t addr, len;
	unsigned char *bytes;
};

struct fixture {
	struct seg *v;
	size_t n;
	char path[512];
};

static inline const char *fixture_path(int otp, const char *suffix)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/otp%d.%s", FIXTURES, otp, suffix);
	return path;
}

static inline void fixture_read(struct fixture *fx, int otp)
{
	uint64_t head[2];
	struct seg *s;
	gzFile f;

	memset(fx, 0, sizeof(*fx));
	snprintf(fx->path, sizeof(fx->path), "%s", fixture_path(otp, "rec.gz"));
	f = gzopen(fx->path, "rb");
	while (f && gzread(f, head, sizeof(head)) == sizeof(head)) {
		fx->v = xrealloc(fx->v, (fx->n + 1) * sizeof(*fx->v));
		s = &fx->v[fx->n++];
		s->addr = head[0];
		s->len = head[1];
		s->bytes = xcalloc(1, s->len);
		if (gzread(f, s->bytes, s->len) != (int)s->len)
			abort();
	}
	if (!f || !fx->n)
		abort();
	gzclose(f);
}

static inline void fixture_copy(struct fixture *to, const struct fixture *from)
{
	size_t i;

	*to = *from;
	to->v = xcalloc(from->n, sizeof(*to->v));
	for (i = 0; i < from->n; i++) {
		to->v[i] = from->v[i];
		to->v[i].bytes = xcalloc(1, from->v[i].len);
		memcpy(to->v[i].bytes, from->v[i].bytes, from->v[i].len);
	}
}

static inline void fixture_free(struct fixture *fx)
{
	size_t i;

	for (i = 0; i < fx->n; i++)
		free(fx->v[i].bytes);
	free(fx->v);
	memset(fx, 0, sizeof(*fx));
}

/* Where len bytes at an address of the target lie; NULL when they were not recorded. */
static inline unsigned char *fixture_at(struct fixture *fx, vmaddr_t addr, size_t len)
{
	size_t i;

	for (i = 0; i < fx->n; i++)
		if (addr >= fx->v[i].addr && len <= fx->v[i].len &&
		    addr - fx->v[i].addr <= fx->v[i].len - len)
			return fx->v[i].bytes + (addr - fx->v[i].addr);
	return NULL;
}

static inline void fixture_add(struct fixture *fx, vmaddr_t addr, const void *bytes, size_t len)
{
	struct seg *s;

	fx->v = xrealloc(fx->v, (fx->n + 1) * sizeof(*fx->v));
	s = &fx->v[fx->n++];
	s->addr = addr;
	s->len = len;
	s->bytes = xcalloc(1, len);
	memcpy(s->bytes, bytes, len);
}

/* Writes it out; skips segment `without` (SIZE_MAX: none). */
static inline void fixture_write(const struct fixture *fx, const char *path, size_t without)
{
	uint64_t head[2];
	FILE *f = fopen(path, "wb");
	size_t i;

	if (!f)
		abort();
	for (i = 0; i < fx->n; i++) {
		if (i == without)
			continue;
		head[0] = fx->v[i].addr;
		head[1] = fx->v[i].len;
		fwrite(head, sizeof(head), 1, f);
		fwrite(fx->v[i].bytes, 1, fx->v[i].len, f);
	}
	if (fclose(f))
		abort();
}

/* The symbols of a release beside `path`, with one more line where `extra` is not NULL. */
static inline void fixture_symbols(int otp, const char *path, const char *extra)
{
	char to[512], buf[16384];
	long n = read_file(fixture_path(otp, "rec.gz.sym"), buf, sizeof(buf));
	FILE *f;

	snprintf(to, sizeof(to), "%s.sym", path);
	f = fopen(to, "w");
	if (!f || n <= 0)
		abort();
	fwrite(buf, 1, n, f);
	if (extra)
		fputs(extra, f);
	fclose(f);
}

/* A path for altered recordings in a folder of this run; fixture_tidy() removes both. */
static char fixture_dir[64];

static inline const char *fixture_tmp(void)
{
	static char path[128];

	if (!fixture_dir[0]) {
		snprintf(fixture_dir, sizeof(fixture_dir), "/tmp/ebeam-unit.XXXXXX");
		if (!mkdtemp(fixture_dir))
			abort();
	}
	snprintf(path, sizeof(path), "%s/rec", fixture_dir);
	return path;
}

static inline void fixture_tidy(void)
{
	char path[128];

	if (!fixture_dir[0])
		return;
	snprintf(path, sizeof(path), "%s/rec", fixture_dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/rec.sym", fixture_dir);
	unlink(path);
	rmdir(fixture_dir);
}

#endif
