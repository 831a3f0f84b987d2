// SPDX-License-Identifier: GPL-2.0-only
#include "debugfile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- opening ------------------------------------------------------------------------------------ */

/* Component by component, none of them a link. */
static int walk(int root, const char *path)
{
	char name[NAME_MAX + 1];
	int dir, next;
	size_t len;

	dir = fcntl(root, F_DUPFD_CLOEXEC, 0);
	for (; dir >= 0; dir = next) {
		path += strspn(path, "/");
		if (!*path)
			return dir;
		len = strcspn(path, "/");
		if (len > NAME_MAX || !strncmp(path, "..", len == 2 ? 2 : 3)) {
			close(dir);
			errno = ENOENT;
			return -1;
		}
		memcpy(name, path, len);
		name[len] = '\0';
		path += len;
		next = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		close(dir);
	}
	return dir;
}

static int open_path(int root, const char *path, bool links)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int fd;

	if (root < 0)
		return open(path, O_PATH | O_CLOEXEC);
	fd = -1;
	errno = ENOSYS;
	if (links)
		fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
	/* before 5.6 there is none, and old seccomp filters of containers refuse it with EPERM */
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		fd = walk(root, path);
	return fd;
}

int debugfile_open_in(int root, const char *path, bool links)
{
	int fd = open_path(root, path, links), file = -1, err = 0;
	char self[64];
	struct stat st;

	if (fd < 0)
		return -errno;
	/* what it is comes first: to open a device or a FIFO may have effects */
	if (fstat(fd, &st)) {
		err = -errno;
	} else if (!S_ISREG(st.st_mode)) {
		err = -EINVAL;
	} else {
		snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
		file = open(self, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (file < 0)
			err = -errno;
	}
	close(fd);
	return err ? err : file;
}

/* --- does it fit? ------------------------------------------------------------------------------- */

bool debugfile_fits(const struct elf_file *d, const struct elf_file *exe, char *why, size_t size)
{
	if (d->machine != exe->machine) {
		snprintf(why, size, "is for another architecture");
		return false;
	}
	if (d->build_id[0] && exe->build_id[0]) {
		if (!strcmp(d->build_id, exe->build_id))
			return true;
		snprintf(why, size, "build id differs: %.40s, the VM's is %.40s", d->build_id,
			 exe->build_id);
		return false;
	}
	switch (elf_file_same_code(d, exe)) {
	case 0:
		return true;
	case 1:
		snprintf(why, size, "code differs from the VM's (compared byte by byte, %s has no "
			 "build id)", d->build_id[0] ? "the VM" : "it");
		return false;
	}
	snprintf(why, size, "nothing tells whether it is of the VM's build: %s no build id, and it "
		 "has no code to compare", d->build_id[0] ? "the VM has" : "it has");
	return false;
}

static bool has_names(const struct elf_file *d, char *why, size_t size)
{
	if (!d->has_symtab)
		snprintf(why, size, d->nsh ? "has no .symtab: stripped" :
			 "has no sections: stripped or cut off");
	return d->has_symtab;
}

/* The CRC32 proves the file; build ids, where both have one, must not speak against it. */
static bool fits_link(const struct elf_file *d, const struct elf_file *exe, char *why, size_t size)
{
	uint32_t crc;

	if (d->machine != exe->machine || (d->build_id[0] && exe->build_id[0]))
		if (!debugfile_fits(d, exe, why, size))
			return false;
	if (!elf_file_crc(d, &crc)) {
		snprintf(why, size, "cannot be read to its end");
		return false;
	}
	if (crc != exe->debuglink_crc) {
		snprintf(why, size, "CRC32 differs: %08x, .gnu_debuglink says %08x", crc,
			 exe->debuglink_crc);
		return false;
	}
	return true;
}

/* --- the search --------------------------------------------------------------------------------- */

struct search {
	const struct elf_file *exe;
	struct elf_file *d;
	struct rung_result *r;
	int root;	 /* of the VM; -1: cannot be opened */
	char prefix[64]; /* of its paths, as seen from here */
};

enum place { HERE, THERE }; /* on this host, in the VM's root */

/* The path has names that the VM's owner chose: never raw on a terminal. */
static void note(struct search *s, enum place place, const char *path, const char *why)
{
	char *file = s->r->file;
	size_t size = sizeof(s->r->file), len;

	len = snprintf(file, size, "%s", place == THERE ? s->prefix : "");
	text_escape(path, strlen(path), file + len, size - len);
	snprintf(s->r->why, sizeof(s->r->why), "%s", why);
}

/* Why a file is not taken is told of the first one alone. */
static void refuse(struct search *s, enum place place, const char *path, const char *why)
{
	struct rung_result first = *s->r;

	note(s, place, path, why);
	log_all("%s: %s", s->r->file, s->r->why);
	if (first.status == RUNG_REFUSED)
		*s->r = first;
	s->r->status = RUNG_REFUSED;
}

static bool try(struct search *s, enum place place, const char *path, bool by_link)
{
	char why[256] = "";
	bool fits;
	int fd;

	if (place == THERE && s->root < 0)
		return false;
	fd = debugfile_open_in(place == THERE ? s->root : -1, path, true);
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ENAMETOOLONG)
		return false;
	if (fd < 0) {
		refuse(s, place, path, fd == -EINVAL ? "is no regular file" : strerror(-fd));
		return false;
	}
	if (elf_file_open(s->d, fd, why, sizeof(why))) {
		refuse(s, place, path, why);
		close(fd);
		return false;
	}
	if (by_link)
		fits = fits_link(s->d, s->exe, why, sizeof(why));
	else
		fits = debugfile_fits(s->d, s->exe, why, sizeof(why));
	fits = fits && has_names(s->d, why, sizeof(why));
	if (!fits) {
		refuse(s, place, path, why);
		elf_file_close(s->d);
		return false;
	}
	note(s, place, path, "");
	s->r->status = RUNG_GAVE;
	return true;
}

static bool by_build_id(struct search *s, const char *debug_dir)
{
	char path[PATH_MAX];
	const char *id = s->exe->build_id;

	if (!id[0])
		return false;
	snprintf(path, sizeof(path), "%s/.build-id/%.2s/%s.debug", debug_dir, id, id + 2);
	return try(s, HERE, path, false) || try(s, THERE, path, false);
}

/*
 * The folder of the executable as the VM's own root has it.  The kernel names a path as seen from
 * here: that of a chroot starts with the root's own.
 */
static void exe_dir(const struct target *t, char *dir, size_t size)
{
	char link[64], root[PATH_MAX];
	const char *exe = t->exe;
	char *slash;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/root", t->pid);
	n = readlink(link, root, sizeof(root) - 1);
	if (n > 1 && !strncmp(exe, root, n) && exe[n] == '/')
		exe += n;
	snprintf(dir, size, "%s", exe);
	slash = strrchr(dir, '/');
	if (slash)
		*slash = '\0';
}

static bool by_link(struct search *s, const struct target *t, const char *debug_dir)
{
	const char *name = s->exe->debuglink;
	char dir[PATH_MAX], path[3 * PATH_MAX];

	if (!name[0])
		return false;
	if (strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..")) {
		s->r->status = RUNG_REFUSED;
		snprintf(s->r->why, sizeof(s->r->why),
			 "the name in .gnu_debuglink is no plain file name");
		return false;
	}
	exe_dir(t, dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (try(s, THERE, path, true))
		return true;
	snprintf(path, sizeof(path), "%s/.debug/%s", dir, name);
	if (try(s, THERE, path, true))
		return true;
	snprintf(path, sizeof(path), "%s%s/%s", debug_dir, dir, name);
	return try(s, HERE, path, true) || try(s, THERE, path, true);
}

static bool same_root(const struct target *t)
{
	char path[64], ours[64], theirs[PATH_MAX];
	ssize_t a, b;

	snprintf(path, sizeof(path), "/proc/%d/root", t->pid);
	b = readlink(path, theirs, sizeof(theirs));
	if (b != 1)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", t->pid);
	a = readlink("/proc/self/ns/mnt", ours, sizeof(ours));
	b = readlink(path, theirs, sizeof(theirs));
	return a > 0 && a == b && !memcmp(ours, theirs, a);
}

void debugfile_find(const struct elf_file *exe, const struct target *t, const char *debug_dir,
		    struct elf_file *d, struct rung_result *r)
{
	struct search s = { .exe = exe, .d = d, .r = r };
	char root[64];

	memset(r, 0, sizeof(*r));
	memset(d, 0, sizeof(*d));
	d->fd = -1;
	snprintf(root, sizeof(root), "/proc/%d/root", t->pid);
	s.root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (!same_root(t))
		snprintf(s.prefix, sizeof(s.prefix), "%s", root);
	if (!by_build_id(&s, debug_dir) && !by_link(&s, t, debug_dir) &&
	    r->status != RUNG_REFUSED) {
		r->status = RUNG_NOTHING;
		if (!exe->build_id[0] && !exe->debuglink[0])
			snprintf(r->why, sizeof(r->why), "the VM has neither a build id nor a "
				 ".gnu_debuglink to look for");
		else
			snprintf(r->why, sizeof(r->why), "none under %.80s%s", debug_dir,
				 s.root < 0 ? "; the VM's root cannot be opened" : "");
	}
	if (s.root >= 0)
		close(s.root);
}

/* --- a given file ------------------------------------------------------------------------------- */

#define HINT_GIVEN "give the unstripped beam.smp of this very build, or its debug file"

static int open_given(const char *path, struct elf_file *d)
{
	char why[256] = "";
	int fd;

	memset(d, 0, sizeof(*d));
	d->fd = -1;
	fd = debugfile_open_in(-1, path, true);
	if (fd == -EINVAL)
		return fail(EXIT_UNSUPPORTED, HINT_GIVEN, "--symbols %s: it is no regular file",
			    path);
	if (fd < 0)
		return fail(fd == -EACCES || fd == -EPERM ? EXIT_PERMISSION : EXIT_FAILED,
			    fd == -ENOENT ? "check the path" : "",
			    "--symbols %s: cannot open it: %s", path, strerror(-fd));
	if (elf_file_open(d, fd, why, sizeof(why))) {
		close(fd);
		return fail(EXIT_UNSUPPORTED, HINT_GIVEN, "--symbols %s: it %s", path, why);
	}
	return 0;
}

int debugfile_check(const char *path)
{
	struct elf_file d;

	if (open_given(path, &d))
		return -1;
	elf_file_close(&d);
	return 0;
}

int debugfile_given(const char *path, const struct elf_file *exe, bool may_differ,
		    struct elf_file *d, struct rung_result *r)
{
	char why[256] = "";

	memset(r, 0, sizeof(*r));
	snprintf(r->file, sizeof(r->file), "%s", path);
	if (open_given(path, d))
		return -1;
	if (debugfile_fits(d, exe, why, sizeof(why))) {
		r->status = RUNG_GAVE;
		if (has_names(d, why, sizeof(why)))
			return 0;
		elf_file_close(d);
		return fail(EXIT_UNSUPPORTED, HINT_GIVEN, "--symbols %s: it %s", path, why);
	}
	elf_file_close(d);
	r->status = RUNG_REFUSED;
	snprintf(r->why, sizeof(r->why), "%s", why);
	return may_differ ? 0 : fail(EXIT_UNSUPPORTED, HINT_GIVEN, "--symbols %s: %s", path, why);
}
