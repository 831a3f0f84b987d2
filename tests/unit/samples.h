/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Small executables in a folder of the test's own, made with gcc, strip and objcopy: a program
 * with exported and static functions, its debug file, and relatives of both.
 */
#ifndef SAMPLES_H
#define SAMPLES_H

#include "symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAP_START 0x555555000000ULL

/* What a VM's static functions look like after the compiler, by name alone. */
static const char sample_source[] =
	"#define F(c, asmname) \\\n"
	"	static int __attribute__((noinline, used)) c(int x) __asm__(asmname); \\\n"
	"	static int c(int x) { __asm__ volatile(\"\"); return x + sizeof(asmname) + VARIANT; }\n"
	"F(create_carrier, \"create_carrier.isra.0\")\n"
	"F(cold, \"garbage_collect.cold\")\n"
	"F(half, \"half.part.0\")\n"
	"F(plain, \"garbage_collect\")\n"
	"F(twice, \"twice.constprop.0\")\n"
	"F(twice_exact, \"twice\")\n"
	"F(nogo, \"enif_alloc.isra.0\")\n"
	"static int __attribute__((used)) counter __asm__(\"counter.1234\") = 7;\n"
	"static int __attribute__((used)) ranges = 9;\n"
	"static __thread int __attribute__((used)) tls_thing = 5;\n"
	"int enif_alloc(int x) { return plain(create_carrier(x)) + tls_thing; }\n"
	"int driver_alloc(int x) { return x * 3; }\n"
	"int erts_proc[4] = { 1, 2, 3, 4 };\n"
	"int main(void) { return enif_alloc(1) + driver_alloc(2) + half(cold(twice(twice_exact(\n"
	"	nogo(counter + ranges))))); }\n";

static char sample_dir[PATH_MAX];

static inline const char *sample(const char *name)
{
	static char path[8][PATH_MAX + 256];
	static unsigned int turn;

	turn = (turn + 1) % 8;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", sample_dir, name);
	return path[turn];
}

/* Ends the test where it fails: nothing could be said without the samples. */
__attribute__((format(printf, 1, 2))) static inline void shell(const char *fmt, ...)
{
	char cmd[8192];
	va_list ap;
	int n;

	n = snprintf(cmd, sizeof(cmd), "cd '%s' && { ", sample_dir);
	va_start(ap, fmt);
	n += vsnprintf(cmd + n, sizeof(cmd) - n, fmt, ap);
	va_end(ap);
	snprintf(cmd + n, sizeof(cmd) - n, "; } >/dev/null");
	if (system(cmd)) {
		printf("Bail out! cannot make the samples: %s\n", cmd);
		exit(1);
	}
}

static inline void samples_remove(void)
{
	char cmd[PATH_MAX + 32];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", sample_dir);
	if (system(cmd))
		diag("%s is left behind", sample_dir);
}

static inline void samples_make(void)
{
	const char *tmp = getenv("TMPDIR");
	FILE *f;

	snprintf(sample_dir, sizeof(sample_dir), "%s/ebeam-unit.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(sample_dir))
		exit(1);
	atexit(samples_remove);
	f = fopen(sample("vm.c"), "w");
	fputs(sample_source, f);
	fclose(f);
	shell("make_one() { gcc -g -O1 -w -pie -fpie -rdynamic -nostartfiles -Wl,-e,main -DVARIANT=$1 "
	      "-Wl,--build-id=$2 -o $3 vm.c && strip -o $3.stripped $3 && "
	      "objcopy --only-keep-debug $3 $3.debug && "
	      "objcopy --add-gnu-debuglink=$3.debug $3.stripped $3.linked; } && "
	      "make_one 1 sha1 vm && make_one 2 sha1 other && make_one 1 none noid && "
	      "make_one 3 none noid_other");
}

/* The program of pid as if it were a VM; of this process where 0. */
static inline struct target sample_target(const char *name, pid_t pid)
{
	struct target t = { .pid = pid ? pid : getpid(), .pidfd = -1, .map_start = MAP_START };

	snprintf(t.exe, sizeof(t.exe), "%s", sample(name));
	snprintf(t.exe_path, sizeof(t.exe_path), "%s", sample(name));
	return t;
}

static const char *const sample_exported[] = { "enif_alloc", "driver_alloc", "erts_proc" };
static const char *const sample_static[] = { "enif_alloc", "garbage_collect" };

/* Where debug files are looked for; offline. */
#define SAMPLE_OPTIONS(names)                                                                      \
	{                                                                                          \
		.needed = names, .nneeded = ARRAY_SIZE(names), .debug_dir = sample("dbg"),         \
		.offline = true,                                                                   \
	}

#endif
