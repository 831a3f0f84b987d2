// SPDX-License-Identifier: GPL-2.0-only
/* Mappings, residency and threads of a process, from /proc. */
#include "smaps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MAX_MAPPINGS 1000000

/* --- smaps ------------------------------------------------------------------------------------ */

/* "55d0-55e0 rw-p 00000000 08:01 42   /path": false when the line is a field of a mapping. */
static bool parse_head(char *line, struct mapping *m)
{
	unsigned long long start, end, inode;
	int at = 0;
	size_t len;

	if (sscanf(line, "%llx-%llx %4s %*x %*s %llu %n", &start, &end, m->perms, &inode,
		   &at) < 4 || end <= start)
		return false;
	m->start = start;
	m->end = end;
	line += at;
	len = strcspn(line, "\n");
	/* the end of a path tells more than its beginning */
	if (len >= sizeof(m->name)) {
		line += len - (sizeof(m->name) - 1);
		len = sizeof(m->name) - 1;
	}
	text_escape(line, len, m->name, sizeof(m->name));
	m->file = inode && m->name[0] == '/' && strncmp(m->name, "/memfd:", 7) &&
		  strncmp(m->name, "/dev/shm/", 9) && strncmp(m->name, "/dev/zero", 9) &&
		  strncmp(m->name, "/SYSV", 5);
	return true;
}

static void parse_field(const char *line, struct mapping *m)
{
	static const struct { const char *name; size_t at; } fields[] = {
		{ "Rss:", offsetof(struct mapping, rss) },
		{ "Swap:", offsetof(struct mapping, swap) },
		{ "LazyFree:", offsetof(struct mapping, lazy_free) },
		{ "AnonHugePages:", offsetof(struct mapping, huge) },
	};
	size_t i, len;

	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		len = strlen(fields[i].name);
		if (!strncmp(line, fields[i].name, len))
			*(uint64_t *)((char *)m + fields[i].at) =
				strtoull(line + len, NULL, 10) * 1024;
	}
}

/* False where the mapping ended in between: a mapping is one read of the file, as a rule. */
static int read_mappings(FILE *f, struct smaps *s)
{
	struct mapping next;
	size_t cap = 0, size = 0;
	char *line = NULL;

	memset(&next, 0, sizeof(next));
	while (getline(&line, &size, f) > 0) {
		/* fields begin with a capital letter, heads with a hex digit in lower case */
		if (line[0] >= 'A' && line[0] <= 'Z') {
			if (s->n)
				parse_field(line, &s->v[s->n - 1]);
			continue;
		}
		if (!parse_head(line, &next) || s->n == MAX_MAPPINGS)
			continue;
		if (s->n == cap) {
			cap = cap ? 2 * cap : 256;
			s->v = xrealloc(s->v, cap * sizeof(*s->v));
		}
		s->v[s->n++] = next;
		memset(&next, 0, sizeof(next));
	}
	free(line);
	return ferror(f) ? -EIO : 0;
}

int smaps_read(pid_t pid, bool counts, struct smaps *s)
{
	char path[64];
	size_t i;
	FILE *f;
	int err;

	memset(s, 0, sizeof(*s));
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, counts ? "smaps" : "maps");
	f = fopen(path, "re");
	if (!f)
		return -errno;
	setvbuf(f, NULL, _IOFBF, 1 << 16);
	err = read_mappings(f, s);
	fclose(f);
	for (i = 0; i < s->n; i++) {
		s->rss += s->v[i].rss;
		s->swap += s->v[i].swap;
		s->lazy_free += s->v[i].lazy_free;
		s->huge += s->v[i].huge;
	}
	/* of a process that ended, or of another user's, the file is there and empty */
	if (!err && !s->n)
		err = -ESRCH;
	return err;
}

/* A number of a file of lines `name: number kB` or `name number`; 0 when it is not there. */
static uint64_t number_in(const char *path, const char *name)
{
	char buf[16384], *p = buf;
	size_t len = strlen(name);

	if (read_file(path, buf, sizeof(buf)) <= 0)
		return 0;
	for (; p; p = strchr(p, '\n'), p += p != NULL)
		if (!strncmp(p, name, len))
			return strtoull(p + len, NULL, 10);
	return 0;
}

uint64_t smaps_lazy_free(pid_t pid)
{
	char path[64];

	if (!number_in("/proc/vmstat", "pglazyfree "))
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	return number_in(path, "LazyFree:") * 1024;
}

uint64_t smaps_swap(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return number_in(path, "VmSwap:") * 1024;
}

void smaps_free(struct smaps *s)
{
	free(s->v);
	memset(s, 0, sizeof(*s));
}

const struct mapping *smaps_find(const struct smaps *s, vmaddr_t addr)
{
	size_t lo = 0, hi = s->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (s->v[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->n && s->v[lo].start <= addr ? &s->v[lo] : NULL;
}

/* --- pagemap ---------------------------------------------------------------------------------- */

/* linux/fs.h of 6.7; older headers lack it */
struct scan_region {
	uint64_t start, end, categories;
};

struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN _IOWR('f', 16, struct scan_arg)
#define SCAN_KERNEL 6007 /* the first that has it */
#define SCAN_PRESENT (1 << 3)
#define SCAN_ZERO (1 << 5)
#define SCAN_HUGE (1 << 6)

#define PAGEMAP_PRESENT (1ULL << 63)
#define PAGEMAP_FILE (1ULL << 61)
#define PAGEMAP_EXCLUSIVE (1ULL << 56)

/* Returns 0 where the kernel has no such call, -1 when it failed. */
static int scan_runs(struct residency *r, vmaddr_t start, vmaddr_t end,
		     void (*each)(void *arg, vmaddr_t start, vmaddr_t end), void *arg)
{
	struct scan_region v[512];
	/* the page of zeros that untouched memory reads as is no memory of the process */
	struct scan_arg a = {
		.size = sizeof(a), .end = end, .vec = (uintptr_t)v, .vec_len = ARRAY_SIZE(v),
		.category_mask = SCAN_PRESENT | SCAN_ZERO, .category_inverted = SCAN_ZERO,
		.return_mask = SCAN_PRESENT | SCAN_HUGE,
	};
	int n, i;

	for (a.start = start; a.start < end; a.start = a.walk_end) {
		a.walk_end = 0;
		n = ioctl(r->fd, SCAN, &a);
		if (n < 0)
			return errno == ENOTTY || errno == EINVAL ? 0 : -1;
		for (i = 0; i < n; i++) {
			if (v[i].categories & SCAN_HUGE)
				r->huge += v[i].end - v[i].start;
			each(arg, v[i].start, v[i].end);
		}
		if (a.walk_end <= a.start)
			return -1;
	}
	return 1;
}

static void none(void *arg, vmaddr_t start, vmaddr_t end)
{
	(void)arg;
	(void)start;
	(void)end;
}

int residency_open(struct residency *r, pid_t pid)
{
	char path[64], kernel[48];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	r->fd = open(path, O_RDONLY | O_CLOEXEC);
	r->huge = 0;
	r->page = sysconf(_SC_PAGESIZE);
	if (r->fd < 0)
		return -errno;
	/* a page that is not there is as good as any */
	r->scan = kernel_version(kernel, sizeof(kernel)) >= SCAN_KERNEL &&
		  scan_runs(r, r->page, 2 * r->page, none, NULL) > 0;
	return 0;
}

void residency_close(struct residency *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

/* Pages of zeros are present, but neither of a file nor the process' own. */
static bool counts(uint64_t entry)
{
	return entry & PAGEMAP_PRESENT && entry & (PAGEMAP_FILE | PAGEMAP_EXCLUSIVE);
}

static bool entry_runs(struct residency *r, vmaddr_t start, vmaddr_t end,
		       void (*each)(void *arg, vmaddr_t start, vmaddr_t end), void *arg)
{
	uint64_t entries[4096], from = 0, at = start;
	bool open = false;
	ssize_t got;
	size_t i, n;

	while (at < end) {
		n = (end - at) / r->page;
		if (n > ARRAY_SIZE(entries))
			n = ARRAY_SIZE(entries);
		got = pread(r->fd, entries, n * sizeof(*entries), at / r->page * sizeof(*entries));
		if (got <= 0)
			return false;
		for (i = 0; i < got / sizeof(*entries); i++, at += r->page) {
			if (counts(entries[i]) == open)
				continue;
			if (open)
				each(arg, from, at);
			open = !open;
			from = at;
		}
	}
	if (open)
		each(arg, from, end);
	return true;
}

bool residency_runs(struct residency *r, vmaddr_t start, vmaddr_t end,
		    void (*each)(void *arg, vmaddr_t start, vmaddr_t end), void *arg)
{
	start &= ~(r->page - 1);
	end = (end + r->page - 1) & ~(r->page - 1);
	if (end <= start)
		return true;
	if (r->scan)
		return scan_runs(r, start, end, each, arg) > 0;
	return entry_runs(r, start, end, each, arg);
}
