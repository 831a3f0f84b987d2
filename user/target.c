// SPDX-License-Identifier: GPL-2.0-only
#include "target.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define HINT_PTRACE "run as root, or give ebeam CAP_SYS_PTRACE"

/* beam.smp and beam.emu, and their relatives: beam.debug.smp, beam.lcnt.emu, ... */
static bool is_beam_name(const char *path)
{
	const char *base = strrchr(path, '/');
	size_t len;

	base = base ? base + 1 : path;
	len = strcspn(base, " ");
	return !strncmp(base, "beam.", 5) && len >= 8 &&
	       (!strncmp(base + len - 4, ".smp", 4) || !strncmp(base + len - 4, ".emu", 4));
}

/* Field n (1-based) of /proc/PID/stat, counted behind the command's closing parenthesis. */
static uint64_t stat_field(pid_t pid, int n)
{
	char path[64], buf[1024], *p;
	int i;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_file(path, buf, sizeof(buf)) < 0)
		return 0;
	p = strrchr(buf, ')');
	for (i = 2; p && i < n; i++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p + 1, NULL, 10) : 0;
}

static bool is_zombie(pid_t pid)
{
	char path[64], buf[1024], *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_file(path, buf, sizeof(buf)) < 0)
		return true;
	p = strrchr(buf, ')');
	return !p || p[2] == 'Z' || p[2] == 'X';
}

/* The node's name as the command line gives it; the VM's own word for it is read later. */
static void node_of_cmdline(pid_t pid, char *node, size_t size)
{
	char path[64], buf[8192];
	const char *p, *end;
	long n;

	node[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	n = read_file(path, buf, sizeof(buf));
	if (n <= 0)
		return;
	end = buf + n;
	for (p = buf; p < end; p += strlen(p) + 1) {
		if (strcmp(p, "-name") && strcmp(p, "-sname"))
			continue;
		p += strlen(p) + 1;
		if (p < end)
			text_escape(p, strlen(p), node, size);
		return;
	}
}

static int by_pid(const void *a, const void *b)
{
	return ((const struct candidate *)a)->pid - ((const struct candidate *)b)->pid;
}

int target_scan(struct candidate **out)
{
	char path[64], exe[PATH_MAX];
	struct candidate *list = NULL;
	struct dirent *de;
	ssize_t len;
	pid_t pid;
	DIR *dir;
	int n = 0;

	*out = NULL;
	dir = opendir("/proc");
	if (!dir)
		return 0;
	while ((de = readdir(dir))) {
		if (!isdigit((unsigned char)de->d_name[0]))
			continue;
		pid = atoi(de->d_name);
		snprintf(path, sizeof(path), "/proc/%d/exe", pid);
		len = readlink(path, exe, sizeof(exe) - 1);
		if (len < 0) {
			/* another user's: its name must do */
			snprintf(path, sizeof(path), "/proc/%d/comm", pid);
			len = read_file(path, exe, sizeof(exe));
			if (len > 0 && exe[len - 1] == '\n')
				len--;
		}
		if (len <= 0)
			continue;
		exe[len] = '\0';
		if (!is_beam_name(exe) || is_zombie(pid))
			continue;
		list = xrealloc(list, (n + 1) * sizeof(*list));
		list[n].pid = pid;
		node_of_cmdline(pid, list[n].node, sizeof(list[n].node));
		n++;
	}
	closedir(dir);
	if (n)
		qsort(list, n, sizeof(*list), by_pid);
	*out = list;
	return n;
}

/* The target's pid inside its own pid namespace: the last number of NSpid. */
static pid_t ns_pid(pid_t pid)
{
	char path[64], buf[4096], *p, *end;
	pid_t last = pid;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (read_file(path, buf, sizeof(buf)) < 0)
		return pid;
	p = strstr(buf, "\nNSpid:");
	if (!p)
		return pid;
	for (p += 7; *p && *p != '\n'; p = end) {
		last = strtol(p, &end, 10);
		if (end == p)
			break;
		while (*end == ' ' || *end == '\t')
			end++;
	}
	return last;
}

/* The short id of the container in whose cgroup a process is: 12 digits of the last long one. */
static void cgroup_id(const char *proc, char *out, size_t size)
{
	char path[64], buf[4096];
	const char *p;
	size_t len;

	out[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%s/cgroup", proc);
	if (read_file(path, buf, sizeof(buf)) <= 0)
		return;
	for (p = buf; *p; p += len ? len : 1) {
		len = strspn(p, "0123456789abcdef");
		if (len >= 32)
			snprintf(out, size, "%.12s", p);
	}
}

/* The container as seen from here: "" where the target is in the same one as ebeam. */
static void container_of_pid(pid_t pid, char *out, size_t size)
{
	char path[64], ours[64], theirs[64], proc[16];
	ssize_t a, b;

	snprintf(proc, sizeof(proc), "%d", pid);
	cgroup_id(proc, out, size);
	cgroup_id("self", ours, sizeof(ours));
	if (out[0] && strcmp(out, ours))
		return;
	out[0] = '\0';
	/* no id of its own, yet another mount namespace or root: a container all the same */
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	a = readlink("/proc/self/ns/mnt", ours, sizeof(ours) - 1);
	b = readlink(path, theirs, sizeof(theirs) - 1);
	if (a > 0 && b > 0 && (a != b || memcmp(ours, theirs, a))) {
		snprintf(out, size, "%.*s", (int)b, theirs);
		return;
	}
	snprintf(path, sizeof(path), "/proc/%d/root", pid);
	b = readlink(path, theirs, sizeof(theirs) - 1);
	if (b > 1)
		snprintf(out, size, "chroot");
}

/* Where the executable is mapped.  The lines of maps name device and inode of the file. */
static int find_mapping(struct target *t)
{
	unsigned int major, minor;
	unsigned long start, end, off, ino;
	char path[64], line[PATH_MAX + 128], perms[8];
	struct stat st;
	FILE *f;
	int err;

	if (stat(t->exe_path, &st)) {
		err = errno;
		return fail(err == EACCES || err == EPERM ? EXIT_PERMISSION : EXIT_FAILED,
			    HINT_PTRACE, "cannot open the executable of pid %d: %s", t->pid,
			    strerror(err));
	}
	snprintf(path, sizeof(path), "/proc/%d/maps", t->pid);
	f = fopen(path, "r");
	if (!f) {
		err = errno;
		return fail(err == EACCES || err == EPERM ? EXIT_PERMISSION : EXIT_FAILED,
			    HINT_PTRACE, "cannot read %s: %s", path, strerror(err));
	}
	t->map_start = 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s %lx %x:%x %lu", &start, &end, perms, &off, &major,
			   &minor, &ino) != 7)
			continue;
		if (ino == st.st_ino && (!t->map_start || start < t->map_start)) {
			t->map_start = start;
			t->map_offset = off;
			t->exe_dev = st.st_dev;
			t->exe_ino = ino;
		}
	}
	fclose(f);
	if (!t->map_start)
		return fail(EXIT_FAILED, "try again; a process that is being replaced has no maps",
			    "pid %d does not map its own executable %s", t->pid, t->exe);
	return 0;
}

int target_open(struct target *t, pid_t pid)
{
	static const char deleted[] = " (deleted)";
	char path[64];
	struct stat st;
	ssize_t len;
	size_t n;
	int err;

	memset(t, 0, sizeof(*t));
	t->pid = pid;
	t->pidfd = -1;
	snprintf(t->exe_path, sizeof(t->exe_path), "/proc/%d/exe", pid);
	snprintf(path, sizeof(path), "/proc/%d", pid);
	if (pid <= 0 || stat(path, &st) || is_zombie(pid))
		return fail(EXIT_USAGE, "`ebeam list` shows the Erlang VMs of this host",
			    "there is no process with pid %d", pid);
	t->start_ticks = stat_field(pid, 22);
	len = readlink(t->exe_path, t->exe, sizeof(t->exe) - 1);
	if (len < 0) {
		err = errno;
		return fail(err == EACCES || err == EPERM ? EXIT_PERMISSION : EXIT_USAGE,
			    HINT_PTRACE, "cannot look at pid %d: %s (needs CAP_SYS_PTRACE)", pid,
			    strerror(err));
	}
	t->exe[len] = '\0';
	n = strlen(deleted);
	if ((size_t)len > n && !strcmp(t->exe + len - n, deleted)) {
		t->exe[len - n] = '\0';
		t->exe_replaced = true;
	}
	if (!is_beam_name(t->exe))
		return fail(EXIT_USAGE, "`ebeam list` shows the Erlang VMs of this host",
			    "pid %d is no Erlang VM: it runs %s", pid, t->exe);
	t->ns_pid = ns_pid(pid);
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
	if (stat(path, &st)) {
		err = errno;
		return fail(err == EACCES || err == EPERM ? EXIT_PERMISSION : EXIT_FAILED,
			    HINT_PTRACE, "cannot look at pid %d: %s (needs CAP_SYS_PTRACE)", pid,
			    strerror(err));
	}
	t->ns_dev = st.st_dev;
	t->ns_ino = st.st_ino;
	container_of_pid(pid, t->container, sizeof(t->container));
	err = find_mapping(t);
	if (err)
		return err;
	t->pidfd = syscall(SYS_pidfd_open, pid, 0);
	return 0;
}

void target_close(struct target *t)
{
	if (t->pidfd >= 0)
		close(t->pidfd);
	t->pidfd = -1;
}

bool target_alive(const struct target *t)
{
	struct pollfd pfd = { .fd = t->pidfd, .events = POLLIN };

	if (t->pidfd >= 0)
		return poll(&pfd, 1, 0) == 0;
	return stat_field(t->pid, 22) == t->start_ticks && !is_zombie(t->pid);
}

double target_uptime_s(const struct target *t)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9 - (double)t->start_ticks / sysconf(_SC_CLK_TCK);
}

uint64_t target_rss(const struct target *t)
{
	char path[64], buf[128];
	unsigned long size, resident;

	snprintf(path, sizeof(path), "/proc/%d/statm", t->pid);
	if (read_file(path, buf, sizeof(buf)) < 0 ||
	    sscanf(buf, "%lu %lu", &size, &resident) != 2)
		return 0;
	return (uint64_t)resident * sysconf(_SC_PAGESIZE);
}

bool have_capability(int cap)
{
	char buf[4096], *p;

	if (read_file("/proc/self/status", buf, sizeof(buf)) < 0)
		return false;
	p = strstr(buf, "\nCapEff:");
	return p && strtoull(p + 8, NULL, 16) >> cap & 1;
}
