// SPDX-License-Identifier: GPL-2.0-only
#include "debuginfod.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *debuginfod_library = "libdebuginfod.so.1";

/* elfutils/debuginfod.h, which need not be there to build */
struct client;
typedef int (*progress_fn)(struct client *c, long a, long b);

struct library {
	struct client *(*begin)(void);
	void (*end)(struct client *c);
	int (*find)(struct client *c, const unsigned char *id, int len, char **path);
	void (*set_progress)(struct client *c, progress_fn fn);
};

static struct {
	uint64_t until, shown;
	bool terminal, line, late;
	const char *build_id;
} state;

static volatile sig_atomic_t got_signal;

static void on_signal(int sig)
{
	got_signal = sig;
}

/* Called every second at least, also while nothing comes; not 0 ends the transfer. */
static int progress(struct client *c, long done, long total)
{
	uint64_t now = now_ns();
	char a[32], b[32];

	(void)c;
	if (got_signal)
		return 1;
	if (now >= state.until) {
		state.late = true;
		return 1;
	}
	if (!state.terminal || now - state.shown < 200000000)
		return 0;
	state.shown = now;
	state.line = true;
	fprintf(stderr, "\rebeam: debuginfod: debug file of %.12s: ", state.build_id);
	if (total > 0 && done >= 0)
		fprintf(stderr, "%s of %s\033[K", fmt_bytes(done, a, sizeof(a)),
			fmt_bytes(total, b, sizeof(b)));
	else
		fprintf(stderr, "waiting\033[K");
	return 0;
}

static bool load(struct library *l, char *why, size_t size)
{
	void *so = dlopen(debuginfod_library, RTLD_NOW | RTLD_LOCAL);

	if (!so) {
		snprintf(why, size, "%s cannot be loaded: install libdebuginfod1 (Debian, Ubuntu) "
			 "or elfutils-debuginfod-client (Fedora)", debuginfod_library);
		return false;
	}
	/* it stays: it has set up libcurl for the whole program */
	l->begin = (struct client *(*)(void))dlsym(so, "debuginfod_begin");
	l->end = (void (*)(struct client *))dlsym(so, "debuginfod_end");
	l->find = (int (*)(struct client *, const unsigned char *, int, char **))dlsym(
		so, "debuginfod_find_debuginfo");
	l->set_progress =
		(void (*)(struct client *, progress_fn))dlsym(so, "debuginfod_set_progressfn");
	if (l->begin && l->end && l->find && l->set_progress)
		return true;
	snprintf(why, size, "%s lacks a function that is needed", debuginfod_library);
	return false;
}

static int find(const struct library *l, struct client *c, const char *build_id, char **path)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction sa = { .sa_handler = on_signal }, old[ARRAY_SIZE(signals)];
	size_t i;
	int fd;

	got_signal = 0;
	for (i = 0; i < ARRAY_SIZE(signals); i++) {
		sigaction(signals[i], NULL, &old[i]);
		if (old[i].sa_handler != SIG_IGN)
			sigaction(signals[i], &sa, NULL);
	}
	fd = l->find(c, (const unsigned char *)build_id, 0, path);
	for (i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &old[i], NULL);
	if (state.line)
		fputs("\r\033[K", stderr);
	if (got_signal)
		raise(got_signal);
	return fd;
}

int debuginfod_fetch(const char *build_id, unsigned int timeout_s, char *path, size_t path_size,
		     char *why, size_t size)
{
	const char *urls = getenv("DEBUGINFOD_URLS");
	char *where = NULL;
	struct client *c;
	struct library l;
	int fd;

	path[0] = '\0';
	if (!urls || !urls[strspn(urls, " ")]) {
		snprintf(why, size, "DEBUGINFOD_URLS is not set");
		return -1;
	}
	if (!build_id[0]) {
		snprintf(why, size, "the VM has no build id to ask for");
		return -1;
	}
	if (!load(&l, why, size))
		return -1;
	c = l.begin();
	if (!c) {
		snprintf(why, size, "%s cannot be started: %s", debuginfod_library,
			 strerror(errno));
		return -1;
	}
	memset(&state, 0, sizeof(state));
	state.until = now_ns() + timeout_s * 1000000000ULL;
	state.terminal = isatty(STDERR_FILENO);
	state.build_id = build_id;
	l.set_progress(c, progress);
	log_step("debuginfod: asking for the debug file of build %s", build_id);
	fd = find(&l, c, build_id, &where);
	l.end(c);
	if (fd >= 0)
		snprintf(path, path_size, "%s", where ? where : "");
	else if (got_signal)
		snprintf(why, size, "interrupted");
	else if (state.late)
		snprintf(why, size, "no answer in full within %u s", timeout_s);
	else if (fd == -ENOENT)
		snprintf(why, size, "no server of DEBUGINFOD_URLS has build %.40s", build_id);
	else
		snprintf(why, size, "the servers of DEBUGINFOD_URLS cannot be asked: %s",
			 strerror(-fd));
	free(where);
	return fd < 0 ? -1 : fd;
}
