// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cache of found symbols: what is stored comes back, and nothing is taken from a file or a
 * folder that others could have written, or that is not whole.
 */
#include "tap.h"
#include "samples.h"
#include "symcache.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <zlib.h>

#define ID "94bcd90b66fca38e41e627fa3a2ec089b2e498be"

static struct symbols s;
static char why[512], folder[PATH_MAX + 32], file[PATH_MAX + 128];
static uint64_t code, data;

/* The executable as it is without what was found. */
static void fresh(void)
{
	struct target t = sample_target("vm.stripped", 0);

	symbols_close(&s);
	if (symbols_open(&s, &t, NULL))
		printf("Bail out! %s\n", failure_get()->message);
	code = symbols_find(&s, "enif_alloc")->addr + 1;
	data = symbols_find(&s, "erts_proc")->addr + 1;
}

static bool store(void)
{
	fresh();
	symbols_add(&s, "garbage_collect", code, 0, true, RUNG_BOOTSTRAP);
	symbols_add(&s, "erts_ranges", data, 8, false, RUNG_BOOTSTRAP);
	return !symcache_store(ID, &s, why, sizeof(why));
}

static bool load(void)
{
	fresh();
	return symcache_load(ID, &s, why, sizeof(why));
}

static void is_refused(const char *words, const char *what)
{
	bool loaded = load();

	if (!ok(!loaded && strstr(why, words) && !s.rungs[RUNG_BOOTSTRAP].symbols,
		"%s: refused", what))
		diag("%s, %s", loaded ? "loaded" : "not loaded", why);
}

static size_t read_it(char *buf, size_t size)
{
	FILE *f = fopen(file, "r");
	size_t n = f ? fread(buf, 1, size - 1, f) : 0;

	if (f)
		fclose(f);
	buf[n] = '\0';
	return n;
}

static void write_it(const char *text, size_t len)
{
	FILE *f = fopen(file, "w");

	fwrite(text, 1, len, f);
	fclose(f);
	chmod(file, 0600);
}

/* With a right checksum: another wrong is what it is refused for. */
static void write_signed(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void write_signed(const char *fmt, ...)
{
	static char text[100000];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text) - 32, fmt, ap);
	va_end(ap);
	n += sprintf(text + n, "crc32 %08lx\n", crc32(0, (unsigned char *)text, n));
	write_it(text, n);
}

#define HEAD "ebeam-symbols 1 " EBEAM_VERSION "\nbuild-id " ID "\n"

static void round_trip(void)
{
	const struct symbol *fn, *var;
	struct stat st;

	is_refused("No such file", "nothing is kept yet");
	ok(store(), "stored");
	ok(load(), "loaded");
	fn = symbols_find(&s, "garbage_collect");
	var = symbols_find(&s, "erts_ranges");
	ok(fn && fn->addr == code && !fn->size && fn->func && fn->rung == RUNG_BOOTSTRAP,
	   "a function, as it was");
	ok(var && var->addr == data && var->size == 8 && !var->func, "data, as it was");
	is_u64(s.rungs[RUNG_BOOTSTRAP].symbols, 2, "and nothing else: the file's own are not kept");
	ok(!stat(folder, &st) && (st.st_mode & 07777) == 0700, "the folder is ours alone");
	ok(!stat(file, &st) && (st.st_mode & 07777) == 0600, "so is the file");
	ok(!symcache_load("94bcd9", &s, why, sizeof(why)), "nothing of another build");
	ok(store() && load(), "stored again, in its place");
	symcache_drop(ID);
	is_refused("No such file", "dropped");
	fresh();
	ok(symcache_store(ID, &s, why, sizeof(why)) && strstr(why, "nothing"),
	   "nothing found, nothing kept");
}

static void build_ids(void)
{
	static const char *const ids[] = { "", "ab", "../../etc/x", "ABCDEF", "94bcd9/..", "0x12345" };
	char cmd[64];
	size_t i, good = 0;

	store();
	for (i = 0; i < ARRAY_SIZE(ids); i++)
		good += !symcache_load(ids[i], &s, why, sizeof(why)) && strstr(why, "no build id") &&
			symcache_store(ids[i], &s, why, sizeof(why)) && strstr(why, "no build id");
	is_u64(good, i, "what is no build id is no file name");
	snprintf(cmd, sizeof(cmd), "ls -A home/.cache/ebeam | wc -l | grep -qx 1");
	shell("%s", cmd);
	ok(true, "and left nothing behind");
}

static void contents(void)
{
	char good[4096], bad[4096], other[32];
	size_t len, i, refused = 0;

	store();
	len = read_it(good, sizeof(good));
	for (i = 0; i < len; i++) {
		write_it(good, i);
		refused += !load() && !s.rungs[RUNG_BOOTSTRAP].symbols;
	}
	is_u64(refused, len, "cut off anywhere: refused");
	for (i = refused = 0; i < len; i++) {
		memcpy(bad, good, len);
		bad[i] ^= 1 << i % 8;
		write_it(bad, len);
		refused += !load() && !s.rungs[RUNG_BOOTSTRAP].symbols;
	}
	is_u64(refused, len, "a bit of any byte changed: refused");
	write_it(good, len);
	ok(load(), "as it was: loaded");
	write_it("", 0);
	is_refused("garbled", "empty");
	write_signed(HEAD "garbage_collect %" PRIx64 " 0 func\n", code);
	ok(load() && symbols_find(&s, "garbage_collect"), "written by hand: loaded");
	write_signed("ebeam-symbols 2 " EBEAM_VERSION "\nbuild-id " ID "\nx %" PRIx64 " 0 func\n", code);
	is_refused("another version", "another format");
	write_signed("ebeam-symbols 1 0.0.0\nbuild-id " ID "\nx %" PRIx64 " 0 func\n", code);
	is_refused("another version", "another version");
	write_signed("ebeam-symbols 1 " EBEAM_VERSION "\nbuild-id 94bcd9\nx %" PRIx64 " 0 func\n", code);
	is_refused("another build", "another build under this name");
	write_signed(HEAD "x %" PRIx64 " 0 func\ny 7fffffffffff 0 func\n", code);
	is_refused("outside", "an address outside of the executable");
	write_signed(HEAD "x %" PRIx64 " ffffffff 0 func\n", code);
	is_refused("garbled", "too many words");
	write_signed(HEAD "x %" PRIx64 " 0 func more\n", code);
	is_refused("garbled", "words behind the end");
	write_signed(HEAD "x %" PRIx64 " ffffffff data\n", code);
	is_refused("outside", "an end outside of it");
	write_signed(HEAD "x %" PRIx64 " ffffffffffffffff data\n", code);
	is_refused("outside", "an end that wraps");
	write_signed(HEAD "x %" PRIx64 " 0 what\n", code);
	is_refused("garbled", "neither function nor data");
	write_signed(HEAD "\033[m %" PRIx64 " 0 func\n", code);
	is_refused("garbled", "a name that is none");
	write_signed(HEAD "%0200d %" PRIx64 " 0 func\n", 1, code);
	is_refused("garbled", "a name of absurd length");
	write_signed(HEAD);
	is_refused("is empty", "no symbol");
	write_signed(HEAD "%070000d", 1);
	is_refused("too large", "a file of absurd size");
	snprintf(other, sizeof(other), "%s", "crc32 0\n");
	write_it(other, strlen(other));
	is_refused("garbled", "a checksum alone");
}

static void places(void)
{
	store();
	chmod(file, 0620);
	is_refused("can be written by others", "a file that its group may write");
	chmod(file, 0602);
	is_refused("can be written by others", "one that all may write");
	chmod(file, 0600);
	ok(load(), "with its mode again: loaded");
	chmod(folder, 0770);
	is_refused("folder can be written by others", "a folder that its group may write");
	chmod(folder, 0703);
	is_refused("folder can be written by others", "one that all may write");
	fresh();
	symbols_add(&s, "x", code, 0, true, RUNG_BOOTSTRAP);
	ok(symcache_store(ID, &s, why, sizeof(why)) && strstr(why, "written by others"),
	   "nor is anything stored there");
	chmod(folder, 0700);
	shell("mv '%s' kept && ln -s \"$PWD/kept\" '%s'", file, file);
	is_refused("is a link", "a link");
	shell("rm '%s' && mkfifo '%s' && chmod 600 '%s'", file, file, file);
	is_refused("no regular file", "a FIFO");
	shell("rm '%s' && mkdir '%s'", file, file);
	is_refused("no regular file", "a folder in its place");
	ok(!store() && strstr(why, "Is a directory"), "that cannot be replaced");
	shell("rmdir '%s' && mv kept '%s'", file, file);
	ok(load(), "back in its place: loaded");
	shell("mv '%s' away && ln -s \"$PWD/away\" '%s'", folder, folder);
	is_refused("is a link", "a folder that is a link");
	ok(!store() && strstr(why, "is a link"), "nor is anything stored there");
	shell("rm '%s' && mv away '%s'", folder, folder);
	ok(load(), "the folder is back: loaded");
	shell("rm -r '%s' && echo > '%s'", folder, folder);
	is_refused("no folder", "a file in the folder's place");
	ok(!store() && strstr(why, "no folder"), "nor is anything stored");
	shell("rm '%s'", folder);
}

static void environment(void)
{
	char path[PATH_MAX];

	store();
	setenv("XDG_CACHE_HOME", sample("xdg"), 1);
	is_refused("xdg/ebeam", "what is kept at home is not what XDG_CACHE_HOME has");
	setenv("XDG_CACHE_HOME", sample("no/such"), 1);
	symcache_folder(path, sizeof(path));
	is_str(path, folder, "an XDG_CACHE_HOME that cannot be made does not count");
	setenv("XDG_CACHE_HOME", sample("xdg/"), 1);
	ok(store() && load(), "a slash behind it does no harm");
	shell("rm -r xdg");
	setenv("XDG_CACHE_HOME", sample("xdg"), 1);
	ok(store(), "XDG_CACHE_HOME that is not there yet");
	symcache_folder(path, sizeof(path));
	is_str(path, sample("xdg/ebeam"), "the folder is there");
	ok(load(), "and serves");
	setenv("XDG_CACHE_HOME", "relative", 1);
	symcache_folder(path, sizeof(path));
	is_str(path, folder, "a relative XDG_CACHE_HOME does not count");
	ok(!chdir(sample_dir) && store() && access("relative", F_OK) && load() && !chdir("/"),
	   "and is not made");
	setenv("XDG_CACHE_HOME", "", 1);
	symcache_folder(path, sizeof(path));
	is_str(path, folder, "an empty one neither");
	unsetenv("XDG_CACHE_HOME");
}

/* --- what takes root ---------------------------------------------------------------------------- */

static void as_root(const char *what, void (*fn)(void))
{
	if (geteuid())
		ok(true, "%s # SKIP takes root", what);
	else
		fn();
}

static void owners(void)
{
	char path[PATH_MAX];

	store();
	if (chown(file, 65534, 65534))
		diag("chown: %s", strerror(errno));
	is_refused("belongs to another user", "a file of another user");
	if (chown(file, 0, 0) || chown(folder, 65534, 65534))
		diag("chown: %s", strerror(errno));
	is_refused("folder belongs to another user", "a folder of another user");
	ok(!store() && strstr(why, "belongs to another user"), "nor is anything stored there");
	if (chown(folder, 0, 0) || chown(sample("home"), 65534, 65534))
		diag("chown: %s", strerror(errno));
	symcache_folder(path, sizeof(path));
	ok(strncmp(path, sample_dir, strlen(sample_dir)),
	   "HOME of another user, as with sudo: our own from the passwd entry");
	diag("%s", path);
	setenv("XDG_CACHE_HOME", sample("home/.cache"), 1);
	if (chown(sample("home/.cache"), 65534, 65534))
		diag("chown: %s", strerror(errno));
	symcache_folder(path, sizeof(path));
	ok(strncmp(path, sample_dir, strlen(sample_dir)), "XDG_CACHE_HOME of another user the same");
	unsetenv("XDG_CACHE_HOME");
	if (chown(sample("home"), 0, 0) || chown(sample("home/.cache"), 0, 0))
		diag("chown: %s", strerror(errno));
}

/* In a mount namespace of its own: a full, then a read-only file system. */
static int in_tmpfs(void)
{
	char fill[4096] = { 0 };
	int fd;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", sample("home"), "tmpfs", 0, "size=64k,mode=700"))
		return 2;
	if (!store() || !load())
		return 3;
	fd = open(sample("home/fill"), O_WRONLY | O_CREAT, 0600);
	while (write(fd, fill, sizeof(fill)) > 0)
		;
	close(fd);
	if (store() || !strstr(why, "No space left"))
		return 4;
	if (!load())
		return 5; /* what was there before is whole still */
	if (system("ls -A $HOME/.cache/ebeam | wc -l | grep -qx 1"))
		return 6; /* and there is no half file beside it */
	if (mount(NULL, sample("home"), NULL, MS_REMOUNT | MS_RDONLY, NULL))
		return 7;
	if (store() || !strstr(why, "Read-only") || !load())
		return 8;
	return 0;
}

static void full(void)
{
	int st;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (!child)
		_exit(in_tmpfs());
	waitpid(child, &st, 0);
	is_u64(WEXITSTATUS(st), 0,
	       "a full disk, and a read-only one: said so, and what was there stays");
}

int main(void)
{
	samples_make();
	shell("mkdir home");
	unsetenv("XDG_CACHE_HOME");
	setenv("HOME", sample("home"), 1);
	snprintf(folder, sizeof(folder), "%s/home/.cache/ebeam", sample_dir);
	snprintf(file, sizeof(file), "%s/%s.symbols", folder, ID);
	round_trip();
	build_ids();
	contents();
	places();
	environment();
	as_root("another owner", owners);
	as_root("a full disk", full);
	symbols_close(&s);
	return done();
}
