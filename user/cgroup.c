// SPDX-License-Identifier: GPL-2.0-only
#include "cgroup.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* v1 says 2^63 less a page where there is no limit. */
#define NO_LIMIT (1ULL << 60)

struct mount {
	bool v2;
	char root[PATH_MAX], point[PATH_MAX];
};

/* A word of mountinfo: spaces and the like are \ooo in it. */
static void unescape(const char *in, char *out, size_t size)
{
	size_t n = 0;

	for (; *in && n + 1 < size; in++) {
		if (*in == '\\' && strspn(in + 1, "01234567") >= 3) {
			out[n++] = (in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0');
			in += 3;
		} else {
			out[n++] = *in;
		}
	}
	out[n] = '\0';
}

/* Is WORD one of the words of LIST, which commas divide? */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word), n;

	for (; *list; list += n + (list[n] == ',')) {
		n = strcspn(list, ",");
		if (n == len && !strncmp(list, word, n))
			return true;
	}
	return false;
}

/* A line of mountinfo; false where it is no mount of a memory controller. */
static bool parse_mount(char *line, struct mount *m)
{
	char *word[64], *save = NULL, *w;
	size_t n = 0, dash = 0;

	for (w = strtok_r(line, " ", &save); w && n < ARRAY_SIZE(word);
	     w = strtok_r(NULL, " ", &save)) {
		if (!dash && n > 5 && !strcmp(w, "-"))
			dash = n;
		word[n++] = w;
	}
	if (!dash || dash + 3 >= n)
		return false;
	m->v2 = !strcmp(word[dash + 1], "cgroup2");
	if (!m->v2 && (strcmp(word[dash + 1], "cgroup") || !has_word(word[dash + 3], "memory")))
		return false;
	unescape(word[3], m->root, sizeof(m->root));
	unescape(word[4], m->point, sizeof(m->point));
	return true;
}

/* The path of the process's cgroup in the hierarchy of that mount. */
static bool path_in(const char *cgroup, bool v2, char *out, size_t size)
{
	char controllers[512];
	const char *p, *colon;
	size_t len;

	for (p = cgroup; *p; p += len + (p[len] == '\n')) {
		len = strcspn(p, "\n");
		colon = memchr(p, ':', len);
		if (!colon || sscanf(colon, ":%511[^:\n]:", controllers) != 1)
			controllers[0] = '\0';
		if (!colon || (v2 ? controllers[0] || *p != '0' : !has_word(controllers, "memory")))
			continue;
		colon = memchr(colon + 1, ':', p + len - colon - 1);
		if (!colon || (size_t)(p + len - colon) > size)
			return false;
		snprintf(out, size, "%.*s", (int)(p + len - colon - 1), colon + 1);
		return true;
	}
	return false;
}

static bool read_number(const char *folder, const char *file, uint64_t *n)
{
	char path[2 * PATH_MAX + 64], text[64], *end;

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	if (read_file(path, text, sizeof(text)) <= 0)
		return false;
	if (!strncmp(text, "max", 3)) {
		*n = UINT64_MAX;
		return true;
	}
	*n = strtoull(text, &end, 10);
	return end != text;
}

static void one_level(const char *folder, bool v2, struct cgroup_memory *m)
{
	uint64_t limit;

	if (!read_number(folder, v2 ? "memory.max" : "memory.limit_in_bytes", &limit))
		return;
	m->known = true;
	if (limit >= NO_LIMIT || (m->limited && limit >= m->limit))
		return;
	m->limited = true;
	m->limit = limit;
	m->used_known = read_number(folder, v2 ? "memory.current" : "memory.usage_in_bytes",
				    &m->used);
}

/* From the cgroup at PATH below the mount up to the mount itself. */
static void all_levels(const struct mount *mount, const char *path, const char *prefix,
		       struct cgroup_memory *m)
{
	char folder[PATH_MAX + 64];
	size_t top, n;

	top = snprintf(folder, sizeof(folder), "%s%s", prefix, mount->point);
	n = top + strlen(path);
	if (n >= sizeof(folder))
		return;
	strcpy(folder + top, path);
	if (access(folder, F_OK))
		return;
	/* the root of v2 has no files, and no limit */
	m->known |= mount->v2 && (!strcmp(path, "/") || !*path);
	for (;;) {
		while (n > top && folder[n - 1] == '/')
			n--;
		folder[n] = '\0';
		one_level(folder, mount->v2, m);
		if (n <= top)
			return;
		while (n > top && folder[n - 1] != '/')
			n--;
	}
}

/* What of the cgroup's path lies below the root of the mount; NULL: it is not seen there. */
static const char *below(const char *path, const char *root)
{
	size_t len = strcmp(root, "/") ? strlen(root) : 0;

	if (strncmp(path, root, len) || (path[len] && path[len] != '/') || strstr(path, "/.."))
		return NULL;
	return path + len;
}

void cgroup_memory_in(const char *cgroup, const char *mountinfo, const char *prefix,
		      struct cgroup_memory *m)
{
	char *lines = xstrdup(mountinfo), *save = NULL, *line;
	struct mount *mount = xcalloc(1, sizeof(*mount));
	char path[PATH_MAX];
	const char *rest;

	memset(m, 0, sizeof(*m));
	for (line = strtok_r(lines, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!parse_mount(line, mount))
			continue;
		rest = "";
		if (cgroup)
			rest = path_in(cgroup, mount->v2, path, sizeof(path)) ?
				       below(path, mount->root) : NULL;
		if (rest)
			all_levels(mount, rest, prefix, m);
	}
	free(mount);
	free(lines);
}

static bool read_text(pid_t pid, const char *name, char *buf, size_t size)
{
	char path[64];
	long n;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	n = read_file(path, buf, size);
	return n > 0;
}

void cgroup_memory(pid_t pid, struct cgroup_memory *m)
{
	static char cgroup[1 << 16], mounts[1 << 18];
	char prefix[32];

	memset(m, 0, sizeof(*m));
	if (read_text(pid, "cgroup", cgroup, sizeof(cgroup)) &&
	    read_text(getpid(), "mountinfo", mounts, sizeof(mounts)))
		cgroup_memory_in(cgroup, mounts, "", m);
	/* from another container: what its own mounts show it */
	snprintf(prefix, sizeof(prefix), "/proc/%d/root", pid);
	if (!m->known && read_text(pid, "mountinfo", mounts, sizeof(mounts)))
		cgroup_memory_in(NULL, mounts, prefix, m);
}
