// SPDX-License-Identifier: GPL-2.0-only
/*
 * The layout read from DWARF: from files that a compiler makes here of each row's own offsets,
 * from files that are wrong, and what an emulator of a release told (tests/fixtures).
 */
#include "dwarf_file.h"
#include "dwarf_source.h"
#include "elf_file.h"
#include "layout.h"
#include "layout_dwarf.h"
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static char dir[] = "/tmp/ebeam-dwarf.XXXXXX";
static char why[256];
static struct layout_fields got;
static struct dwarf_build build;

/* --- files --- */

static const char *in_dir(const char *name)
{
	static char path[4][64];
	static unsigned int turn;
	char *p = path[turn++ % ARRAY_SIZE(path)];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

__attribute__((format(printf, 1, 2))) static bool run(const char *fmt, ...)
{
	char cmd[512], whole[640];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	snprintf(whole, sizeof(whole), "cd %s && timeout 60 %s >log 2>&1", dir, cmd);
	if (!system(whole))
		return true;
	diag("failed: %s", cmd);
	snprintf(whole, sizeof(whole), "sed 's/^/# /' %s/log | head -n 5", dir);
	return system(whole) && false;
}

static void write_source(const char *name, const struct layout *row, const struct source_how *how)
{
	FILE *f = fopen(in_dir(name), "w");

	if (!f) {
		perror(name);
		exit(1);
	}
	source_write(f, row, how);
	fclose(f);
}

static int read_file_of(const char *name, const char *alt)
{
	int fd = open(in_dir(name), O_RDONLY | O_CLOEXEC);
	int alt_fd = alt ? open(in_dir(alt), O_RDONLY | O_CLOEXEC) : -1;
	int err;

	why[0] = '\0';
	memset(&got, 0x5a, sizeof(got));
	err = layout_dwarf_read(fd, alt_fd, &got, &build, why, sizeof(why));
	close(fd);
	if (alt)
		close(alt_fd);
	return err;
}

/* --- rows --- */

static bool same_fields(const struct layout_fields *want)
{
	unsigned int wrong = 0;

#define L(name, strukt, path, kind)                                                                \
	if (got.name != want->name && wrong++ < 5)                                                 \
		diag("%s: got %d, want %d", #name, (int)got.name, (int)want->name);
	EBEAM_LAYOUT_FIELDS(L)
#undef L
	return !wrong;
}

static void gives_row(const char *what, const char *name, const char *alt, const struct layout *row)
{
	int err = read_file_of(name, alt);

	if (err)
		diag("%s: %d, %s", name, err, why);
	ok(!err && same_fields(&row->f), "%s: %s", row->name, what);
}

static void every_row(void)
{
	const struct layout *row;
	size_t i;

	for (i = 0; (row = layout_row(i)); i++) {
		write_source("row.c", row, &(struct source_how){ .turn = i });
		ok(run("gcc -g -shared -fPIC -o row.so row.c"), "%s: a program is made of it",
		   row->name);
		gives_row("each field where the compiler put it", "row.so", NULL, row);
	}
}

static void every_form(const struct layout *row)
{
	static const struct {
		const char *what, *command;
	} forms[] = {
		{ "DWARF 4", "gcc -gdwarf-4 -shared -fPIC -o form.so row.c" },
		{ "DWARF 5", "gcc -gdwarf-5 -shared -fPIC -o form.so row.c" },
		{ "compressed", "gcc -g -gz -shared -fPIC -o form.so row.c" },
		{ "compressed, GNU style",
		  "objcopy --compress-debug-sections=zlib-gnu row.so form.so" },
		{ "the debug file alone", "objcopy --only-keep-debug row.so form.so" },
		{ "types in units of their own",
		  "gcc -g -fdebug-types-section -shared -fPIC -o form.so row.c" },
		{ "the same, DWARF 4",
		  "gcc -gdwarf-4 -fdebug-types-section -shared -fPIC -o form.so row.c" },
		{ "by clang", "clang -gdwarf-5 -shared -fPIC -o form.so row.c" },
		{ "the same, by clang, as C++",
		  "clang -x c++ -gdwarf-5 -fdebug-types-section -shared -fPIC -o form.so row.c" },
		{ "as C++", "clang -x c++ -gdwarf-4 -shared -fPIC -o form.so row.c" },
		{ "optimised when linking", "gcc -g -O2 -flto -shared -fPIC -o form.so row.c" },
		{ "of two units that agree", "gcc -g -shared -fPIC -o form.so row.c row.c" },
	};
	size_t i;

	write_source("row.c", row, &(struct source_how){ .turn = 1 });
	run("gcc -g -shared -fPIC -o row.so row.c");
	for (i = 0; i < ARRAY_SIZE(forms); i++) {
		ok(run("%s", forms[i].command), "made: %s", forms[i].what);
		gives_row(forms[i].what, "form.so", NULL, row);
	}
}

static void shared_dwarf(const struct layout *row)
{
	struct dwarf_alt alt;
	int fd;

	if (system("command -v dwz >/dev/null")) {
		ok(true, "DWARF that files share # SKIP dwz is not installed");
		return;
	}
	write_source("row.c", row, &(struct source_how){ .turn = 2 });
	/* what is shared must be worth it: the structs in two files */
	ok(run("gcc -g -shared -fPIC -Wl,--build-id -o a.so row.c") &&
	   run("gcc -g -shared -fPIC -Wl,--build-id -o b.so row.c") &&
	   run("dwz -m common a.so b.so"), "made: DWARF that files share");
	fd = open(in_dir("a.so"), O_RDONLY | O_CLOEXEC);
	ok(dwarf_file_alt(fd, &alt), "the other file is told");
	is_str(alt.name, "common", "by name");
	ok(strlen(alt.build_id) == 40, "and build id");
	close(fd);
	gives_row("DWARF that files share", "a.so", "common", row);
	ok(read_file_of("a.so", NULL) == -EINVAL && strstr(why, "needs the DWARF of common"),
	   "without the other file: refused, it is named");
	ok(read_file_of("a.so", "row.so") == -EINVAL && strstr(why, "another build"),
	   "with some other one: refused");
	fd = open(in_dir("row.so"), O_RDONLY | O_CLOEXEC);
	ok(!dwarf_file_alt(fd, &alt), "most files need no other");
	close(fd);
}

/* --- what is wrong --- */

/* A file of one row, changed in one point, is refused, and the reason names it. */
static void refused(const char *what, const struct layout *row, const struct source_how *how,
		    const char *flags, int want, const char *named)
{
	int err;

	write_source("bad.c", row, how);
	if (!run("gcc -g %s -shared -fPIC -o bad.so bad.c", flags)) {
		ok(false, "%s: no program", what);
		return;
	}
	err = read_file_of("bad.so", NULL);
	if (!ok(err == want && strstr(why, named), "%s: refused, %s is named", what, named))
		diag("got %d, %s", err, why);
}

static void wrong_structs(const struct layout *row)
{
	refused("a struct is missing", row, &(struct source_how){ .no_struct = "ErtsPTab" }, "",
		-ENOENT, "struct ErtsPTab");
	refused("a member is missing", row, &(struct source_how){ .no_field = "proc_htop" }, "",
		-ENOENT, "Process.htop");
	refused("a member of a nested struct is missing", row,
		&(struct source_how){ .no_field = "ptab_pix_cl_mask" }, "", -ENOENT,
		"ErtsPTab.r.o.pix_cl_mask");
	refused("a bit-field", row, &(struct source_how){ .bit_field = "proc_htop" }, "", -EINVAL,
		"htop is a bit-field");
	refused("an offset far away", row, &(struct source_how){ .far_field = "proc_htop" }, "",
		-EINVAL, "out of range");
	refused("a chain of typedefs", row, &(struct source_how){ .chain = 40 }, "", -EINVAL,
		"chain");
	refused("offsets as expressions", row, &(struct source_how){ .turn = 0 },
		"-gdwarf-2 -gstrict-dwarf", -EINVAL, "is no constant");
	refused("no DWARF", row, &(struct source_how){ .turn = 0 }, "-g0", -EINVAL, "no DWARF");
	ok(run("gcc -g -c -o bad.so bad.c") && read_file_of("bad.so", NULL) == -EINVAL &&
	   strstr(why, "not linked"), "an object that is not linked: refused");
}

static void absent_fields(const struct layout *row)
{
	struct layout lay = *row;

	write_source("may.c", row, &(struct source_how){ .no_field = "proc_wrt_bins" });
	run("gcc -g -shared -fPIC -o may.so may.c");
	ok(row->f.proc_wrt_bins != LAYOUT_ABSENT, "the row has a field that may be absent");
	lay.f.proc_wrt_bins = LAYOUT_ABSENT;
	gives_row("it is, and no other changes", "may.so", NULL, &lay);
}

static void two_units(const struct layout *row)
{
	struct layout other = *row;

	other.f.proc_heap++;
	write_source("a.c", row, &(struct source_how){ .turn = 1 });
	write_source("b.c", &other, &(struct source_how){ .turn = 1 });
	run("gcc -g -shared -fPIC -o two.so a.c b.c");
	ok(read_file_of("two.so", NULL) == -EINVAL && strstr(why, "Process.heap is"),
	   "two units that put a field at different places: refused");
	ok(strstr(why, "a.c") && strstr(why, "b.c"), "both are named");
	write_source("b.c", row, &(struct source_how){ .turn = 1, .no_field = "proc_heap" });
	run("gcc -g -shared -fPIC -o two.so a.c b.c");
	ok(read_file_of("two.so", NULL) == -EINVAL && strstr(why, "but absent in b.c"),
	   "one that does not have a field that the other has: refused");
	write_source("b.c", row, &(struct source_how){ .declare_only = true });
	run("gcc -g -shared -fPIC -o two.so b.c a.c");
	gives_row("a unit that only declares the structs does not count", "two.so", NULL, row);
	write_source("b.c", row, &(struct source_how){ .not_structs = true });
	run("gcc -g -shared -fPIC -o two.so b.c a.c");
	gives_row("a type of the same name that is no struct neither", "two.so", NULL, row);
}

/* What a field is called elsewhere: the first name that is there counts. */
static void alternatives(const struct layout *row)
{
	struct layout other = *row;

	other.f.oh_next += 100;
	write_source("a.c", row, &(struct source_how){ .turn = 0 });
	write_source("b.c", &other, &(struct source_how){ .turn = 1 });
	run("gcc -g -shared -fPIC -o both.so b.c a.c");
	gives_row("of two structs that may have a field the first", "both.so", NULL, row);
	run("gcc -g -shared -fPIC -o both.so b.c");
	gives_row("the second when it is alone", "both.so", NULL, &other);
}

static void build_kind(const struct layout *row)
{
	read_file_of("row.so", NULL);
	ok(!build.frame_pointer && !build.lock_count && !build.lock_check && !build.debug &&
	   !build.vm_probes, "a plain build");
	write_source("kind.c", row, &(struct source_how){ .extra = "char frame_pointer;" });
	run("gcc -g -shared -fPIC -o kind.so kind.c");
	ok(!read_file_of("kind.so", NULL) && build.frame_pointer && !build.lock_count &&
	   !build.debug, "one with frame pointers");
	write_source("kind.c", row,
		     &(struct source_how){ .extra = "struct { char lcnt_carrier, locked; } lock; "
						    "char last_old_htop, dt_utag;" });
	run("gcc -g -shared -fPIC -o kind.so kind.c");
	ok(!read_file_of("kind.so", NULL) && !build.frame_pointer && build.lock_count &&
	   build.lock_check && build.debug && build.vm_probes, "one with all the others");
}

/* --- damaged files --- */

struct image {
	unsigned char *bytes;
	size_t size;
	struct { size_t at, size; } part[3]; /* .debug_info, .debug_abbrev, .debug_str */
};

static void image_load(struct image *im, const char *name)
{
	static const char *const parts[] = { ".debug_info", ".debug_abbrev", ".debug_str" };
	int fd = open(in_dir(name), O_RDONLY | O_CLOEXEC);
	Elf_Scn *scn = NULL;
	size_t strndx, i;
	GElf_Shdr sh;
	Elf *elf;

	elf = elf_begin(fd, ELF_C_READ, NULL);
	elf_getshdrstrndx(elf, &strndx);
	while ((scn = elf_nextscn(elf, scn))) {
		gelf_getshdr(scn, &sh);
		for (i = 0; i < ARRAY_SIZE(parts); i++)
			if (!strcmp(elf_strptr(elf, strndx, sh.sh_name), parts[i])) {
				im->part[i].at = sh.sh_offset;
				im->part[i].size = sh.sh_size;
			}
	}
	elf_end(elf);
	im->size = lseek(fd, 0, SEEK_END);
	im->bytes = xcalloc(1, im->size);
	ok(pread(fd, im->bytes, im->size, 0) == (ssize_t)im->size && im->part[0].size &&
	   im->part[1].size && im->part[2].size, "a file of %zu bytes to damage", im->size);
	close(fd);
}

static int image_read(const struct image *im, size_t size)
{
	int fd = memfd_create("image", MFD_CLOEXEC), err = -1;

	why[0] = '\0';
	if (write(fd, im->bytes, size) == (ssize_t)size)
		err = layout_dwarf_read(fd, -1, &got, &build, why, sizeof(why));
	close(fd);
	return err;
}

static uint64_t seed = 25;

static unsigned int below(unsigned int n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % n;
}

static void truncated(const struct image *im)
{
	unsigned int bad = 0, i;

	for (i = 0; i < 64; i++)
		if (!image_read(im, i * im->size / 64) || !why[0])
			bad++;
	is_u64(bad, 0, "a file that was cut off anywhere is refused, with a reason");
	ok(image_read(im, 16) == -EINVAL && strstr(why, "no ELF"), "cut off within its head");
	ok(image_read(im, 0) == -EINVAL && strstr(why, "no ELF"), "an empty one");
}

static void flipped(struct image *im)
{
	unsigned int rounds = getenv("EBEAM_LONG") ? 20000 : 600;
	unsigned int i, k, p, silent = 0, fine = 0, kinds = 0;
	uint64_t start = now_ns();
	unsigned char old[4];
	size_t at[4];

	for (i = 0; i < rounds; i++) {
		unsigned int n = 1 + below(4);

		for (k = 0; k < n; k++) {
			/* abbreviations are few bytes, and say what all the others mean */
			p = below(8) < 4 ? 1 : below(3);
			at[k] = im->part[p].at + below(im->part[p].size);
			old[k] = im->bytes[at[k]];
			im->bytes[at[k]] = below(256);
		}
		if (!image_read(im, im->size))
			fine++;
		else if (!why[0])
			silent++;
		else
			kinds |= strstr(why, "damaged") ? 1 : 2;
		while (k--)
			im->bytes[at[k]] = old[k];
	}
	is_u64(silent, 0, "%u times bytes were changed: read, or refused with a reason", rounds);
	ok(fine && fine < rounds && kinds == 3, "some do no harm, some damage, some contradict");
	ok(now_ns() - start < rounds * 100000000ULL, "none takes long, on average");
	ok(!image_read(im, im->size), "unchanged it is read");
}

/* A few bytes that stand for many. */
static void inflated(void)
{
	uint64_t huge = 1ULL << 40;
	struct image im = { 0 };

	run("gcc -g -gz -shared -fPIC -o gz.so row.c");
	image_load(&im, "gz.so");
	ok(!image_read(&im, im.size), "compressed");
	memcpy(im.bytes + im.part[0].at + offsetof(Elf64_Chdr, ch_size), &huge, sizeof(huge));
	ok(image_read(&im, im.size) == -EINVAL && strstr(why, "too large"),
	   "compressed, said to become very large: refused");
	free(im.bytes);
}

/* libdw hands out strings as they are. */
static void endless(struct image *im)
{
	unsigned char *strings = im->bytes + im->part[2].at;
	unsigned char *old = xcalloc(1, im->part[2].size);

	memcpy(old, strings, im->part[2].size);
	memset(strings, 'x', im->part[2].size);
	ok(image_read(im, im->size) == -EINVAL && strstr(why, "damaged"),
	   "names that do not end: refused");
	memcpy(strings, old, im->part[2].size);
	free(old);
}

static void damaged(const struct layout *row)
{
	struct image im = { 0 };

	write_source("row.c", row, &(struct source_how){ .turn = 1 });
	run("gcc -g -shared -fPIC -o row.so row.c");
	image_load(&im, "row.so");
	inflated();
	truncated(&im);
	endless(&im);
	flipped(&im);
	im.bytes[EI_CLASS] = ELFCLASS32;
	ok(image_read(&im, im.size) == -EINVAL && strstr(why, "64 bits"), "32 bits: refused");
	free(im.bytes);
}

static bool has_dwarf(const char *name)
{
	struct elf_file e;
	bool has;

	if (elf_file_open(&e, open(in_dir(name), O_RDONLY | O_CLOEXEC), why, sizeof(why)))
		return false;
	has = e.has_dwarf;
	elf_file_close(&e);
	return has;
}

static void present(const struct layout *row)
{
	write_source("row.c", row, &(struct source_how){ .turn = 0 });
	run("gcc -g -shared -fPIC -o row.so row.c");
	run("gcc -shared -fPIC -o plain.so row.c");
	run("objcopy --compress-debug-sections=zlib-gnu row.so gnu.so");
	run("objcopy --compress-debug-sections=zlib row.so zlib.so");
	ok(has_dwarf("row.so") && has_dwarf("gnu.so") && has_dwarf("zlib.so"),
	   "it is known cheaply that a file has DWARF, compressed or not");
	ok(!has_dwarf("plain.so"), "and that one has none");
}

/* --- a real emulator --- */

/* The value recorded for a field: false when it has no line. */
static bool recorded(const char *text, const char *name, unsigned int *value)
{
	char key[80];
	const char *at;

	snprintf(key, sizeof(key), "\n%s ", name);
	at = strstr(text, key);
	if (!at)
		return false;
	at += strlen(key);
	*value = *at == '-' ? LAYOUT_ABSENT : strtoul(at, NULL, 10);
	return true;
}

static void real_emulator(int otp)
{
	const struct layout *row = layout_find(otp, true, "x86_64");
	static char text[65536];
	char path[128], want[64];
	unsigned int missing = 0;
	bool same;

	snprintf(path, sizeof(path), FIXTURES "/otp%d-dwarf.txt", otp);
	snprintf(want, sizeof(want), "\nrow %s\n", row->name);
	if (!ok(read_file(path, text, sizeof(text)) > 0 && strstr(text, want),
		"otp%d-dwarf.txt is what the DWARF of an emulator told, of row %s", otp, row->name))
		return;
#define L(name, strukt, path, kind)                                                                \
	if (!recorded(text, #name, &got.name) && missing++ < 5)                                    \
		diag("%s is not recorded: scripts/otp-root-debug --record %d", #name, otp);
	EBEAM_LAYOUT_FIELDS(L)
#undef L
	is_u64(missing, 0, "otp%d-dwarf.txt: every field is recorded", otp);
	same = same_fields(&row->f);
	ok(same, "otp%d-dwarf.txt: equal to the row", otp);
}

int main(void)
{
	const struct layout *row = layout_find(25, true, "x86_64");

	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	every_row();
	every_form(row);
	shared_dwarf(row);
	wrong_structs(row);
	absent_fields(row);
	two_units(row);
	/* one where nothing else is of either struct */
	alternatives(layout_find(29, true, "x86_64"));
	build_kind(row);
	present(row);
	damaged(row);
	real_emulator(25);
	real_emulator(27);
	run("rm -rf '%s'", dir);
	return done();
}
