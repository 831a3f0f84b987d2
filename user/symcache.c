// SPDX-License-Identifier: GPL-2.0-only
#include "symcache.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define FORMAT 1
#define MAX_FILE 65536
#define MAX_CACHED 1024
#define MAX_CACHED_NAME 127
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.$@"

/* --- the folder --------------------------------------------------------------------------------- */

/* Ours, and nobody else's to write: NULL, or what is wrong with it. */
static const char *distrust(const struct stat *st)
{
	if (st->st_uid != geteuid())
		return "belongs to another user";
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return "can be written by others";
	return NULL;
}

static bool is_own_folder(const char *path)
{
	struct stat st;

	return path && path[0] == '/' && !stat(path, &st) && S_ISDIR(st.st_mode) &&
	       st.st_uid == geteuid();
}

/* Not there yet, in a folder of ours: to load and to store it is the same place. */
static bool is_own_to_make(const char *path)
{
	char parent[PATH_MAX], *slash;
	struct stat st;

	if (path[0] != '/' || strlen(path) >= sizeof(parent) || !lstat(path, &st))
		return false;
	strcpy(parent, path);
	while ((slash = strrchr(parent, '/')) && slash > parent && !slash[1])
		*slash = '\0';
	slash[slash == parent] = '\0';
	return is_own_folder(parent);
}

/*
 * The parent of our folder.  HOME, and XDG_CACHE_HOME, may be of the user who called sudo: in their
 * folders nothing of ours is made.
 */
static bool find_base(char *path, size_t size, bool create)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	const struct passwd *pw;
	int len;

	if (xdg && strlen(xdg) < size && (is_own_folder(xdg) || is_own_to_make(xdg))) {
		if (create)
			mkdir(xdg, 0700);
		snprintf(path, size, "%s", xdg);
		return true;
	}
	if (!is_own_folder(home)) {
		pw = getpwuid(geteuid());
		home = pw ? pw->pw_dir : NULL;
	}
	if (!is_own_folder(home))
		return false;
	len = snprintf(path, size, "%s/.cache", home);
	if (len < 0 || (size_t)len >= size)
		return false;
	if (create)
		mkdir(path, 0700);
	return true;
}

void symcache_folder(char *path, size_t size)
{
	char base[PATH_MAX - 16];
	int len;

	path[0] = '\0';
	if (!find_base(base, sizeof(base), false))
		return;
	len = snprintf(path, size, "%s/ebeam", base);
	if (len < 0 || (size_t)len >= size)
		path[0] = '\0';
}

static int open_folder(bool create, char *path, size_t path_size, char *why, size_t size)
{
	char base[PATH_MAX - 16];
	const char *wrong;
	struct stat st;
	int dir;

	if (create)
		find_base(base, sizeof(base), true);
	symcache_folder(path, path_size);
	if (!path[0]) {
		snprintf(why, size, "there is no home folder that belongs to uid %d", geteuid());
		return -1;
	}
	if (create)
		mkdir(path, 0700);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0) {
		snprintf(why, size, "%.150s: %s", path,
			 errno == ELOOP || errno == ENOTDIR ? "is a link, or no folder" :
			 strerror(errno));
		return -1;
	}
	wrong = fstat(dir, &st) ? strerror(errno) : distrust(&st);
	if (wrong) {
		snprintf(why, size, "%.150s: the folder %s", path, wrong);
		close(dir);
		return -1;
	}
	return dir;
}

/* It becomes part of a path. */
static bool file_name(const char *build_id, char *name, size_t size)
{
	size_t len = strlen(build_id);

	if (len < 4 || len > 2 * ELF_BUILD_ID_MAX || len != strspn(build_id, "0123456789abcdef"))
		return false;
	snprintf(name, size, "%s.symbols", build_id);
	return true;
}

/* --- reading ------------------------------------------------------------------------------------ */

static const char *read_all(int fd, char *buf, size_t *len)
{
	struct stat st;
	const char *wrong;
	ssize_t n;

	if (fstat(fd, &st))
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "is no regular file";
	wrong = distrust(&st);
	if (wrong)
		return wrong;
	if (st.st_size >= MAX_FILE)
		return "is too large";
	for (*len = 0; *len < MAX_FILE - 1; *len += n) {
		n = read(fd, buf + *len, MAX_FILE - 1 - *len);
		if (n < 0)
			return strerror(errno);
		if (!n)
			break;
	}
	buf[*len] = '\0';
	return NULL;
}

struct cached {
	char name[MAX_CACHED_NAME + 1];
	unsigned long long addr, size;
	bool func;
};

static bool parse_line(const char *line, struct cached *c)
{
	char kind[8];
	int end = 0;

	if (sscanf(line, "%127[" NAME_CHARS "] %llx %llx %7s%n", c->name, &c->addr, &c->size, kind,
		   &end) != 4 || line[end])
		return false;
	c->func = !strcmp(kind, "func");
	return c->func || !strcmp(kind, "data");
}

/* The last line covers all before it: nothing is looked at that is not whole. */
static bool is_whole(char *text, size_t len)
{
	char *last = NULL, want[32];
	size_t i;

	if (!len || strlen(text) != len || text[len - 1] != '\n')
		return false;
	for (i = 0; i + 1 < len; i++)
		if (text[i] == '\n')
			last = text + i + 1;
	if (!last)
		return false;
	snprintf(want, sizeof(want), "crc32 %08lx\n",
		 crc32(0, (const unsigned char *)text, last - text));
	if (strcmp(last, want))
		return false;
	*last = '\0';
	return true;
}

static const char *parse(char *text, size_t len, const char *build_id, const struct symbols *s,
			 struct cached *v, size_t *n)
{
	char head[64], id[2 * ELF_BUILD_ID_MAX + 16], *line, *save;

	if (!is_whole(text, len))
		return "is garbled";
	snprintf(head, sizeof(head), "ebeam-symbols %d %s", FORMAT, EBEAM_VERSION);
	snprintf(id, sizeof(id), "build-id %s", build_id);
	line = strtok_r(text, "\n", &save);
	if (!line || strcmp(line, head))
		return "is of another version of ebeam";
	line = strtok_r(NULL, "\n", &save);
	if (!line || strcmp(line, id))
		return "is of another build";
	for (*n = 0; (line = strtok_r(NULL, "\n", &save)); (*n)++) {
		if (*n == MAX_CACHED || !parse_line(line, &v[*n]))
			return "is garbled";
		if (!symbols_inside(s, v[*n].addr) ||
		    (v[*n].size && (v[*n].addr + v[*n].size - 1 < v[*n].addr ||
				    !symbols_inside(s, v[*n].addr + v[*n].size - 1))))
			return "has an address outside of the executable";
	}
	return *n ? NULL : "is empty";
}

bool symcache_load(const char *build_id, struct symbols *s, char *why, size_t size)
{
	char path[PATH_MAX], name[2 * ELF_BUILD_ID_MAX + 16], *text = NULL;
	const char *wrong = NULL;
	struct cached *v = NULL;
	size_t n = 0, len = 0, i;
	int dir, fd = -1;

	why[0] = '\0';
	if (!file_name(build_id, name, sizeof(name))) {
		snprintf(why, size, "the VM has no build id to keep anything by");
		return false;
	}
	dir = open_folder(false, path, sizeof(path), why, size);
	if (dir < 0)
		return false;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		wrong = errno == ELOOP ? "is a link" : strerror(errno);
	text = xcalloc(1, MAX_FILE);
	v = xcalloc(MAX_CACHED, sizeof(*v));
	if (!wrong)
		wrong = read_all(fd, text, &len);
	if (!wrong)
		wrong = parse(text, len, build_id, s, v, &n);
	for (i = 0; !wrong && i < n; i++)
		symbols_add(s, v[i].name, v[i].addr, v[i].size, v[i].func, RUNG_BOOTSTRAP);
	if (wrong)
		snprintf(why, size, "%.100s/%.40s: %s", path, name, wrong);
	free(v);
	free(text);
	if (fd >= 0)
		close(fd);
	close(dir);
	return !wrong;
}

/* --- writing ------------------------------------------------------------------------------------ */

/* The text of a file; NULL where there is nothing to keep, or it would not be read again. */
static char *format(const char *build_id, const struct symbols *s, size_t *len)
{
	char *text = NULL;
	size_t i, n = 0;
	FILE *f = open_memstream(&text, len);

	if (!f)
		return NULL;
	fprintf(f, "ebeam-symbols %d %s\nbuild-id %s\n", FORMAT, EBEAM_VERSION, build_id);
	for (i = 0; i < s->n; i++) {
		const struct symbol *sym = symbols_nth(s, i);

		if (sym->rung != RUNG_BOOTSTRAP)
			continue;
		if (strlen(sym->name) > MAX_CACHED_NAME ||
		    sym->name[strspn(sym->name, NAME_CHARS)] || n++ == MAX_CACHED) {
			n = 0;
			break;
		}
		fprintf(f, "%s %llx %llx %s\n", sym->name, (unsigned long long)sym->addr,
			(unsigned long long)sym->size, sym->func ? "func" : "data");
	}
	fflush(f);
	fprintf(f, "crc32 %08lx\n", crc32(0, (const unsigned char *)text, *len));
	if (fclose(f) || !n || *len >= MAX_FILE) {
		free(text);
		return NULL;
	}
	return text;
}

static int write_all(int fd, const char *text, size_t len)
{
	ssize_t n;

	for (; len; text += n, len -= n) {
		n = write(fd, text, len);
		if (n < 0 && errno == EINTR)
			n = 0;
		if (n < 0)
			return -1;
	}
	return fchmod(fd, 0600);
}

/* Under a name of its own first: a reader sees all of it or nothing. */
static int replace(int dir, const char *name, const char *text, size_t len)
{
	char tmp[2 * ELF_BUILD_ID_MAX + 48];
	int fd, err;

	snprintf(tmp, sizeof(tmp), ".%s.%d", name, getpid());
	unlinkat(dir, tmp, 0); /* of a run that was killed, and had our pid */
	fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = write_all(fd, text, len) ? -errno : 0;
	if (close(fd) && !err)
		err = -errno;
	if (!err && renameat(dir, tmp, dir, name))
		err = -errno;
	if (err)
		unlinkat(dir, tmp, 0);
	return err;
}

int symcache_store(const char *build_id, const struct symbols *s, char *why, size_t size)
{
	char path[PATH_MAX], name[2 * ELF_BUILD_ID_MAX + 16], *text;
	size_t len = 0;
	int dir, err;

	why[0] = '\0';
	if (!file_name(build_id, name, sizeof(name))) {
		snprintf(why, size, "the VM has no build id to keep anything by");
		return -1;
	}
	text = format(build_id, s, &len);
	if (!text) {
		snprintf(why, size, "there is nothing that could be kept");
		return -1;
	}
	dir = open_folder(true, path, sizeof(path), why, size);
	if (dir >= 0) {
		err = replace(dir, name, text, len);
		close(dir);
		if (err)
			snprintf(why, size, "%.100s/%.40s: %s", path, name, strerror(-err));
	}
	free(text);
	return why[0] ? -1 : 0;
}

void symcache_drop(const char *build_id)
{
	char path[PATH_MAX], name[2 * ELF_BUILD_ID_MAX + 16], why[256];
	int dir;

	if (!file_name(build_id, name, sizeof(name)))
		return;
	dir = open_folder(false, path, sizeof(path), why, sizeof(why));
	if (dir < 0)
		return;
	unlinkat(dir, name, 0);
	close(dir);
}
