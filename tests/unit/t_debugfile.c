// SPDX-License-Identifier: GPL-2.0-only
/*
 * Separate debug files: where they are found, which are refused, roots that are hostile, and a
 * debuginfod server.
 */
#include "tap.h"
#include "samples.h"
#include "debuginfod.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

static struct symbols s;
static struct rung_result *const found = &s.rungs[RUNG_DEBUGFILE];

static int open_sample(const char *name, const struct symbols_options *opt)
{
	struct target t = sample_target(name, 0);

	failure_clear();
	return symbols_open(&s, &t, opt);
}

/* --- the places --------------------------------------------------------------------------------- */

/* With @file at @place the executable @exe finds its static functions. */
static void finds(const char *exe, const char *file, const char *place, const char *what)
{
	struct symbols_options opt = SAMPLE_OPTIONS(sample_static);
	const char *at;

	shell("mkdir -p \"$(dirname '%s')\" && cp %s '%s'", place, file, place);
	ok(!open_sample(exe, &opt) && found->status == RUNG_GAVE && !symbols_missing(&s) &&
	   symbols_find(&s, "create_carrier"), "%s", what);
	at = strstr(found->file, place);
	if (!ok(at && !strcmp(at, place), "%s: the file is named", what))
		diag("%s: %s", found->file, found->why);
	ok(!strcmp(s.source, "debugfile") && symbols_find(&s, "driver_alloc")->rung == RUNG_DYNSYM,
	   "%s: both tables are used", what);
	ok(symbols_dwarf_fd(&s) >= 0 && symbols_dwarf_fd(&s) != s.exe.fd, "%s: its DWARF", what);
	symbols_close(&s);
	shell("rm '%s'", place);
}

/* The path below dbg that the build id of a sample makes. */
static const char *id_path(const char *exe)
{
	static char path[256];

	open_sample(exe, NULL);
	snprintf(path, sizeof(path), "dbg/.build-id/%.2s/%.128s.debug", s.build_id, s.build_id + 2);
	symbols_close(&s);
	return path;
}

static void places(void)
{
	struct symbols_options opt = SAMPLE_OPTIONS(sample_static);
	char mirror[PATH_MAX + 64];

	shell("mkdir away && mv vm.debug noid.debug away");
	ok(!open_sample("vm.linked", &opt) && found->status == RUNG_NOTHING &&
	   strstr(found->why, "none under"), "no debug file: said so");
	symbols_close(&s);
	ok(!open_sample("noid.stripped", &opt) && found->status == RUNG_NOTHING &&
	   strstr(found->why, "neither a build id"), "nothing to look for it by: said so");
	symbols_close(&s);
	finds("vm.stripped", "away/vm.debug", id_path("vm.stripped"), "by build id");
	finds("vm.linked", "away/vm.debug", "vm.debug", "by debuglink, beside the executable");
	finds("vm.linked", "away/vm.debug", ".debug/vm.debug", "by debuglink, in .debug");
	snprintf(mirror, sizeof(mirror), "dbg%s/vm.debug", sample_dir);
	finds("vm.linked", "away/vm.debug", mirror, "by debuglink, in the folder for all");
	finds("noid.linked", "away/noid.debug", "noid.debug", "by debuglink, no build id: CRC32");
	finds("vm.stripped", "vm", id_path("vm.stripped"), "an unstripped file serves, too");
	shell("mv away/* .; rmdir away; rm -rf dbg .debug");
}

static void skips(const char *exe, const char *make, const char *words, const char *what)
{
	struct symbols_options opt = SAMPLE_OPTIONS(sample_static);

	shell("%s", make);
	ok(!open_sample(exe, &opt) && found->status == RUNG_REFUSED && strstr(found->why, words) &&
	   symbols_missing(&s), "%s: refused", what);
	diag("%s: %s", found->file, found->why);
	symbols_close(&s);
	shell("rm -rf dbg .debug");
}

static void wrong_files(void)
{
	char cmd[2048], id[300];

	snprintf(id, sizeof(id), "%s", id_path("vm.stripped"));
#define AT_ID(how)                                                                                 \
	(snprintf(cmd, sizeof(cmd), "mkdir -p $(dirname %s) && " how " %s", id, id), cmd)
	skips("vm.stripped", AT_ID("cp other.debug"), "build id differs", "a file of another build");
	skips("vm.stripped", AT_ID("cp vm.c"), "is no ELF file", "no ELF file");
	skips("vm.stripped", AT_ID("cp vm.stripped"), "has no .symtab", "a stripped file");
	skips("vm.stripped", AT_ID("mkfifo"), "is no regular file", "a FIFO");
	skips("vm.stripped", AT_ID("mkdir"), "is no regular file", "a folder");
	skips("vm.stripped", AT_ID("ln -s /dev/zero"), "is no regular file", "a device");
	skips("vm.stripped", AT_ID("head -c 3000 vm.debug >"), "cut off", "one that is cut off");
	shell("cp noid.debug keep && printf x >> noid.debug");
	skips("noid.linked", "mkdir -p dbg", "CRC32 differs", "another CRC32");
	shell("mv keep noid.debug; cp vm.debug keep; cp other.debug vm.debug");
	skips("vm.linked", "mkdir -p dbg", "build id differs", "debuglink to another build");
	shell("mv keep vm.debug");
	/* what is refused does not end the search */
	shell("mkdir .debug && cp vm.debug .debug/vm.debug && mv vm.debug keep && "
	      "cp other.debug vm.debug");
	open_sample("vm.linked", &(struct symbols_options){ .debug_dir = "/nowhere" });
	ok(found->status == RUNG_GAVE && strstr(found->file, ".debug/vm.debug") && !found->why[0],
	   "a wrong file first, then the right one");
	symbols_close(&s);
	shell("rm -r .debug; mv keep vm.debug");
}

static void hostile_links(void)
{
	static const char *const names[] = { "../noid.debug", "/etc/passwd", "..", "a/b" };
	struct symbols_options opt = SAMPLE_OPTIONS(sample_static);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		shell("printf '%s\\0\\0\\0\\0\\0\\0\\0\\0\\0' | head -c 20 > link && objcopy "
		      "--add-section .gnu_debuglink=link noid.stripped bad.link", names[i]);
		ok(!open_sample("bad.link", &opt) && found->status == RUNG_REFUSED &&
		   strstr(found->why, "no plain file name"), "debuglink to %s: not followed",
		   names[i]);
		symbols_close(&s);
	}
	shell("printf 'a\\033[2J\\0\\0\\0\\0\\0\\0\\0' > link && cp vm.c \"$(printf 'a\\033[2J')\" && "
	      "objcopy --add-section .gnu_debuglink=link noid.stripped bad.link");
	ok(!open_sample("bad.link", &opt) && found->status == RUNG_REFUSED &&
	   strstr(found->file, "/a\\x1B[2J"), "a debuglink for the terminal: shown escaped");
	symbols_close(&s);
	shell("head -c 300 /dev/zero | tr '\\0' x > link && objcopy "
	      "--add-section .gnu_debuglink=link noid.stripped bad.link");
	ok(!open_sample("bad.link", &opt) && found->status == RUNG_NOTHING,
	   "a debuglink without an end is none");
	symbols_close(&s);
}

/* --- a root that is not ours -------------------------------------------------------------------- */

static void opens_in(int root, const char *path, bool links, int want, const char *what)
{
	int fd = debugfile_open_in(root, path, links);
	char buf[8] = "";

	if (fd >= 0) {
		if (read(fd, buf, 6) < 0)
			buf[0] = '\0';
		close(fd);
	}
	if (!ok(want ? fd == want : fd >= 0 && !strcmp(buf, "inside"), "%s%s", what,
		links ? "" : ", without openat2"))
		diag("%d %s, %s", fd, fd < 0 ? strerror(-fd) : "open", buf);
}

static void roots(void)
{
	int root, i;

	shell("echo outside > secret && mkdir -p root/usr/lib root/etc && echo inside > "
	      "root/usr/lib/f && ln -s /usr/lib/f root/absolute && ln -s ../../../../usr/lib/f "
	      "root/etc/up && ln -s usr/lib/../lib/f root/relative && ln -s %s/secret root/out && "
	      "ln -s ../secret root/out2 && ln -s loop root/loop && mkfifo root/fifo && "
	      "ln -s /proc/self/root/etc/passwd root/magic && ln -s usr/lib root/dir", sample_dir);
	root = open(sample("root"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (i = 1; i >= 0; i--) {
		opens_in(root, "/usr/lib/f", i, 0, "a file in a root");
		opens_in(root, "//usr/./lib//f", i, 0, "slashes and dots");
		opens_in(root, "/fifo", i, -EINVAL, "a FIFO");
		opens_in(root, "/usr", i, -EINVAL, "a folder");
		opens_in(root, "/usr/nothing", i, -ENOENT, "what is not there");
		opens_in(root, "/usr/lib/f/g", i, -ENOTDIR, "below a file");
	}
	opens_in(root, "/absolute", true, 0, "an absolute link, meant from that root");
	opens_in(root, "/etc/up", true, 0, "a link that climbs above it");
	opens_in(root, "/relative", true, 0, "a relative link");
	opens_in(root, "/dir/f", true, 0, "a linked folder");
	opens_in(root, "/../../usr/lib/f", true, 0, "a path that climbs");
	opens_in(root, "/out", true, -ENOENT, "a link to a file outside");
	opens_in(root, "/out2", true, -ENOENT, "a relative one");
	opens_in(root, "/loop", true, -ELOOP, "a loop of links");
	opens_in(root, "/../secret", false, -ENOENT, "a path that climbs");
	opens_in(root, "/absolute", false, -EINVAL, "a link is not followed");
	opens_in(root, "/dir/f", false, -ENOTDIR, "nor one to a folder");
	opens_in(root, "/out", false, -EINVAL, "nor one to the outside");
	close(root);
}

/* A child in a root of its own has its debug file there, as a container has. */
static void container(void)
{
	struct symbols_options opt = SAMPLE_OPTIONS(sample_static);
	struct target t;
	char dir[PATH_MAX + 16], link[64], own[PATH_MAX];
	int ready[2];
	pid_t child;
	char byte;

	if (geteuid()) {
		ok(true, "a root of its own # SKIP needs chroot(2): not root");
		return;
	}
	shell("mkdir -p cage/opt/erl cage/dbg/opt/erl && cp vm.linked cage/opt/erl/vm && "
	      "cp vm.debug cage/dbg/opt/erl/vm.debug && ln -s / cage/top");
	if (pipe(ready))
		return;
	child = fork();
	if (!child) {
		if (!chroot(sample("cage")) && !chdir("/") && write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	if (read(ready[0], &byte, 1) != 1)
		diag("the child does not answer");
	t = sample_target("cage/opt/erl/vm", child);
	opt.debug_dir = "/dbg";
	ok(!symbols_open(&s, &t, &opt) && found->status == RUNG_GAVE && !symbols_missing(&s),
	   "a debug file in the VM's own root");
	snprintf(link, sizeof(link), "/proc/%d/root/dbg/opt/erl/vm.debug", child);
	is_str(found->file, link, "is named as seen from here");
	symbols_close(&s);
	snprintf(dir, sizeof(dir), "%s/cage", sample_dir);
	snprintf(own, sizeof(own), "mv cage/dbg/opt/erl/vm.debug outside.debug && ln -s "
		 "%.3000s/outside.debug cage/dbg/opt/erl/vm.debug", sample_dir);
	shell("%s", own);
	ok(!symbols_open(&s, &t, &opt) && found->status == RUNG_NOTHING && symbols_missing(&s),
	   "a link out of that root leads nowhere");
	symbols_close(&s);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(ready[0]);
	close(ready[1]);
}

/* --- --symbols ---------------------------------------------------------------------------------- */

static void given(const char *exe, const char *file, int status, const char *words)
{
	struct symbols_options opt = SAMPLE_OPTIONS(sample_static);
	int err;

	shell("rm -rf vmdir && mkdir vmdir && cp %s vmdir/vm", exe);
	opt.given = file[0] == '/' ? file : sample(file);
	err = open_sample("vmdir/vm", &opt);
	if (!status)
		ok(!err && !symbols_missing(&s) && s.rungs[RUNG_GIVEN].status == RUNG_GAVE &&
		   !strcmp(s.source, "file"), "%s with --symbols %s", exe, file);
	else
		ok(err && failure_get() && (int)failure_get()->status == status &&
		   strstr(failure_get()->message, words) &&
		   strstr(failure_get()->message, opt.given), "%s with --symbols %s: exit %d", exe,
		   file, status);
	if (status && failure_get())
		diag("%s (%s)", failure_get()->message, failure_get()->hint);
	symbols_close(&s);
}

static void given_files(void)
{
	struct symbols_options opt = SAMPLE_OPTIONS(sample_static);
	pid_t child;
	int st;

	shell("mkdir in; mkfifo pipe; cp vm.debug closed; chmod 000 closed");
	given("vm.stripped", "vm.debug", 0, "");
	given("vm.stripped", "vm", 0, "");
	given("noid.stripped", "noid", 0, "");
	given("vm.stripped", "other.debug", EXIT_UNSUPPORTED, "build id differs");
	given("vm.stripped", "other", EXIT_UNSUPPORTED, "build id differs");
	given("noid.stripped", "noid_other", EXIT_UNSUPPORTED, "code differs");
	given("noid.stripped", "noid.debug", EXIT_UNSUPPORTED, "nothing tells");
	given("vm.stripped", "noid_other", EXIT_UNSUPPORTED, "code differs");
	given("vm.stripped", "vm.stripped", EXIT_UNSUPPORTED, "has no .symtab");
	given("vm.stripped", "vm.c", EXIT_UNSUPPORTED, "is no ELF file");
	given("vm.stripped", "in", EXIT_UNSUPPORTED, "no regular file");
	given("vm.stripped", "pipe", EXIT_UNSUPPORTED, "no regular file");
	given("vm.stripped", "/dev/null", EXIT_UNSUPPORTED, "no regular file");
	given("vm.stripped", "nothing", EXIT_FAILED, "No such file");
	fflush(stdout);
	child = fork();
	if (!child) {
		if (!geteuid() && (chmod(sample_dir, 0755) || setgid(65534) || setuid(65534)))
			_exit(1);
		failure_clear();
		_exit(debugfile_check(sample("closed")) && failure_get()->status ==
		      EXIT_PERMISSION ? 0 : 1);
	}
	waitpid(child, &st, 0);
	is_u64(st, 0, "one that may not be read: exit 4");
	opt.given = sample("other");
	opt.given_may_differ = true;
	ok(!open_sample("vm.stripped", &opt) && s.rungs[RUNG_GIVEN].status == RUNG_REFUSED,
	   "one of many VMs: a file of another build is left alone");
	symbols_close(&s);
}

/* --- debuginfod --------------------------------------------------------------------------------- */

static const char server[] =
	"import http.server, sys, time\n"
	"class H(http.server.BaseHTTPRequestHandler):\n"
	"    def do_GET(self):\n"
	"        mode = self.path.split('/')[1]\n"
	"        if mode == 'none':\n"
	"            self.send_error(404)\n"
	"            return\n"
	"        data = open({'right': 'vm.debug', 'wrong': 'other.debug', 'slow': 'vm.debug',\n"
	"                     'junk': 'vm.c'}[mode], 'rb').read()\n"
	"        assert self.path.split('/')[2] == 'buildid' and self.path.endswith('/debuginfo')\n"
	"        self.send_response(200)\n"
	"        self.send_header('Content-Length', str(len(data)))\n"
	"        self.end_headers()\n"
	"        if mode == 'slow':\n"
	"            self.wfile.write(data[:100])\n"
	"            self.wfile.flush()\n"
	"            time.sleep(60)\n"
	"        self.wfile.write(data)\n"
	"    def log_message(self, *args):\n"
	"        pass\n"
	"s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H)\n"
	"s.daemon_threads = True\n"
	"print(s.server_port, flush=True)\n"
	"s.serve_forever()\n";

static pid_t start_server(int *port)
{
	int out[2];
	char buf[16] = "";
	pid_t child;

	if (pipe(out))
		return -1;
	child = fork();
	if (!child) {
		dup2(out[1], STDOUT_FILENO);
		alarm(120); /* it does not outlive a test that is killed for long */
		if (!chdir(sample_dir))
			execlp("python3", "python3", "-c", server, NULL);
		_exit(127);
	}
	close(out[1]);
	*port = read(out[0], buf, sizeof(buf) - 1) > 0 ? atoi(buf) : 0;
	close(out[0]);
	return child;
}

static unsigned int fetch_s = 2;

static void asks(int port, const char *mode, enum rung_status want, const char *words,
		 const char *what)
{
	struct symbols_options opt = SAMPLE_OPTIONS(sample_static);
	struct rung_result *r = &s.rungs[RUNG_DEBUGINFOD];
	char url[64];

	shell("rm -rf cache && mkdir -p cache alone && cp vm.stripped alone/vm");
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/%s", port, mode);
	setenv("DEBUGINFOD_URLS", mode[0] ? url : "", 1);
	opt.offline = false;
	opt.fetch_s = fetch_s;
	ok(!open_sample("alone/vm", &opt) && r->status == want && strstr(r->why, words) &&
	   !symbols_missing(&s) == (want == RUNG_GAVE), "debuginfod: %s", what);
	if (want == RUNG_GAVE)
		ok(!strcmp(s.source, "debuginfod") && symbols_find(&s, "create_carrier") &&
		   strstr(r->file, "cache") && symbols_dwarf_fd(&s) == s.debug.fd &&
		   s.debug.fd >= 0, "debuginfod: source, file and DWARF");
	else
		diag("%s%s%s", r->file, r->file[0] ? ": " : "", r->why);
	symbols_close(&s);
}

static sig_atomic_t got;

static void on_usr(int sig)
{
	got = sig;
}

/* The signal that ends a transfer reaches who handled it before. */
static void interrupted(int port)
{
	uint64_t start = now_ns();
	pid_t child;

	signal(SIGINT, on_usr);
	fflush(stdout);
	child = fork();
	if (!child) {
		nanosleep(&(struct timespec){ 0, 300000000 }, NULL);
		kill(getppid(), SIGINT);
		_exit(0);
	}
	fetch_s = 40;
	asks(port, "slow", RUNG_NOTHING, "interrupted", "a signal ends it");
	waitpid(child, NULL, 0);
	is_u64(got, SIGINT, "debuginfod: and is handed on");
	ok(now_ns() - start < 20000000000ULL, "debuginfod: soon");
	signal(SIGINT, SIG_DFL);
}

static void debuginfod(void)
{
	struct symbols_options opt = SAMPLE_OPTIONS(sample_exported);
	const char *library = debuginfod_library;
	int port = 0, fd;
	pid_t child;
	char path[64], why[256] = "";

	unsetenv("DEBUGINFOD_URLS");
	setenv("no_proxy", "127.0.0.1", 1);
	setenv("DEBUGINFOD_CACHE_PATH", sample("cache"), 1);
	asks(0, "", RUNG_NOTHING, "DEBUGINFOD_URLS is not set", "no server is named");
	debuginfod_library = "libdebuginfod-that-is-not-there.so.1";
	asks(1, "right", RUNG_NOTHING, "install libdebuginfod1", "the library is missing");
	debuginfod_library = library;
	fd = debuginfod_fetch("0000", 1, path, sizeof(path), why, sizeof(why));
	if (fd < 0 && strstr(why, "cannot be loaded") && !getenv("CI")) {
		ok(true, "debuginfod # SKIP no libdebuginfod.so.1: run scripts/setup test");
		return;
	}
	child = start_server(&port);
	if (!port && !getenv("CI")) {
		ok(true, "debuginfod # SKIP no python3 to be a server");
		return;
	}
	asks(port, "right", RUNG_GAVE, "", "the debug file of a server");
	asks(port, "none", RUNG_NOTHING, "no server of DEBUGINFOD_URLS has build", "404");
	asks(port, "wrong", RUNG_REFUSED, "build id differs", "a file of another build");
	asks(port, "junk", RUNG_REFUSED, "is no ELF file", "no ELF file");
	asks(1, "right", RUNG_NOTHING, "cannot be asked", "nobody listens");
	asks(port, "slow", RUNG_NOTHING, "no answer in full within 2 s", "a server that stalls");
	interrupted(port);
	/* as long as nothing that is needed is missing no server is asked */
	opt.offline = false;
	ok(!open_sample("alone/vm", &opt) && s.rungs[RUNG_DEBUGINFOD].status == RUNG_UNTRIED,
	   "debuginfod: not asked where all is there");
	symbols_close(&s);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

int main(void)
{
	samples_make();
	places();
	wrong_files();
	hostile_links();
	roots();
	container();
	given_files();
	debuginfod();
	return done();
}
