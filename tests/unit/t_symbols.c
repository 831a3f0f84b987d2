// SPDX-License-Identifier: GPL-2.0-only
/*
 * Symbols of small executables: the two tables, what counts as a name, merging, and files that
 * are broken in every way.
 */
#include "tap.h"
#include "samples.h"

#include <sys/mman.h>

static struct symbols s;

static int open_sample(const char *name, const struct symbols_options *opt)
{
	struct target t = sample_target(name, 0);

	failure_clear();
	return symbols_open(&s, &t, opt);
}

static bool is_on(const char *name, enum rung rung)
{
	const struct symbol *sym = symbols_find(&s, name);

	return sym && sym->rung == rung;
}

static void symtab(void)
{
	struct symbols_options opt = SAMPLE_OPTIONS(sample_static);
	const struct symbol *sym, *exact;
	uint64_t off;

	ok(!open_sample("vm", &opt), "an unstripped executable");
	is_str(s.source, "symtab", "its source");
	ok(is_on("enif_alloc", RUNG_SYMTAB), "an exported name is taken from the first table");
	sym = symbols_find(&s, "create_carrier");
	ok(sym && !strcmp(sym->name, "create_carrier.isra.0"), "found behind a compiler's suffix");
	ok(!symbols_find(&s, "half"), "part of a function is not the function");
	ok(!symbols_find(&s, "counter"), "nor is a variable of a function: digits are no suffix");
	ok(!symbols_find(&s, "tls_thing"), "a thread-local variable has no address");
	ok(!symbols_find(&s, "create_carr"), "the beginning of a name is not the name");
	exact = symbols_find(&s, "twice");
	ok(exact && !strcmp(exact->name, "twice"), "the exact name wins over a suffix");
	exact = symbols_find(&s, "garbage_collect");
	ok(exact && !strcmp(exact->name, "garbage_collect") && exact->func && !exact->global,
	   "a static function");
	exact = symbols_find(&s, "erts_proc");
	ok(exact && !exact->func && exact->global && exact->size == 16, "exported data, with size");
	is_u64(symbols_addr(&s, "erts_proc"), exact->addr + MAP_START, "the load bias is added");
	is_u64(symbols_addr(&s, "no_such_name"), 0, "no address where there is no name");
	exact = symbols_at(&s, sym->addr + s.bias + sym->size - 1);
	ok(exact == sym, "the last byte of a function is its own");
	ok(symbols_at(&s, MAP_START) == NULL, "the file's header is no function's");
	ok(symbols_file_offset(&s, sym->addr, &off), "code has an offset in the file");
	ok(!symbols_file_offset(&s, symbols_find(&s, "erts_proc")->addr, &off), "data has none");
	ok(symbols_dwarf_fd(&s) >= 0 && symbols_dwarf_fd(&s) == s.exe.fd, "its own DWARF");
	ok(!symbols_missing(&s), "nothing is missing");
	is_u64(s.rungs[RUNG_SYMTAB].needed, 2, "both needed names came from one rung");
	is_u64(s.rungs[RUNG_DYNSYM].needed, 0, "and none of the other");
	is_u64(strlen(s.build_id), 40, "the build id");
	symbols_close(&s);
	ok(!open_sample("noid", NULL) && !s.build_id[0], "no build id; and nothing is needed");
	symbols_close(&s);
}

static void dynsym(void)
{
	struct symbols_options opt = SAMPLE_OPTIONS(sample_exported);
	struct symbols_options more = SAMPLE_OPTIONS(sample_static);

	ok(!open_sample("vm.stripped", &opt), "a stripped executable");
	is_str(s.source, "dynsym", "its source");
	is_u64(s.rungs[RUNG_DYNSYM].needed, 3, "has all that is needed");
	ok(s.rungs[RUNG_SYMTAB].status == RUNG_NOTHING, "the first rung gave nothing");
	is_str(s.rungs[RUNG_SYMTAB].why, "has no .symtab: stripped", "and says why");
	ok(!symbols_find(&s, "create_carrier"), "no static function");
	is_u64(symbols_dwarf_fd(&s), -1, "no DWARF");
	symbols_close(&s);
	ok(!open_sample("vm.stripped", &more), "that names are missing is no failure");
	is_str(symbols_missing(&s), "garbage_collect", "the missing one is named");
	is_str(s.source, "dynsym", "the source is what gave the others");
	ok(s.rungs[RUNG_DEBUGINFOD].status == RUNG_UNTRIED, "offline: no server is asked");
	symbols_add(&s, "garbage_collect", 0x1234, 0, true, RUNG_BOOTSTRAP);
	is_str(s.source, "bootstrap", "until another rung gives them");
	ok(!symbols_missing(&s) && s.rungs[RUNG_BOOTSTRAP].needed == 1, "then nothing is missing");
	symbols_close(&s);
}

static void merging(void)
{
	struct symbols_options opt = SAMPLE_OPTIONS(sample_static);
	struct symbol first;
	size_t i, before, sorted = 0, same = 0;

	opt.given = sample("vm.debug");
	ok(!open_sample("vm.stripped", &opt), "dynsym and a debug file");
	ok(is_on("driver_alloc", RUNG_DYNSYM) && is_on("create_carrier", RUNG_GIVEN),
	   "names of both, an earlier rung wins");
	for (i = 0; i + 1 < s.n; i++)
		sorted += symbols_nth(&s, i)->addr <= symbols_nth(&s, i + 1)->addr;
	is_u64(sorted, s.n - 1, "by address, over both rungs");
	for (i = 0; i < s.n; i++)
		same += !strcmp(symbols_nth(&s, i)->name, "driver_alloc");
	is_u64(same, 1, "a name of both is there once");
	ok(is_on("enif_alloc", RUNG_DYNSYM), "an exact name before a suffix of a later rung");
	before = s.n;
	first = *symbols_find(&s, "driver_alloc");
	symbols_add(&s, "driver_alloc", 0x1000, 1, true, RUNG_BOOTSTRAP);
	symbols_add(&s, "create_carrier", 0x1000, 1, true, RUNG_BOOTSTRAP);
	ok(s.n == before && symbols_find(&s, "driver_alloc")->addr == first.addr,
	   "a name that is there is left alone, suffix or not");
	symbols_add(&s, "aaa", 0x1, 4, true, RUNG_BOOTSTRAP);
	symbols_add(&s, "zzz", 0x7fffffff, 4, true, RUNG_BOOTSTRAP);
	symbols_add(&s, "mmm", first.addr, 4, true, RUNG_BOOTSTRAP);
	ok(is_on("aaa", RUNG_BOOTSTRAP) && is_on("zzz", RUNG_BOOTSTRAP) &&
	   is_on("mmm", RUNG_BOOTSTRAP) && is_on("create_carrier", RUNG_GIVEN),
	   "added ones are found among the others");
	ok(symbols_nth(&s, 0)->addr == 1 && symbols_nth(&s, s.n - 1)->addr == 0x7fffffff,
	   "and are in order of address");
	is_str(symbols_at(&s, s.bias + 3)->name, "aaa", "by address, the lowest");
	is_str(symbols_at(&s, s.bias + 0x80000002)->name, "zzz", "and the highest");
	is_str(symbols_at(&s, s.bias + first.addr)->name, "driver_alloc",
	       "at one address the longer one");
	symbols_close(&s);
}

/* A table as that of a large VM, and larger: what is quadratic does not come back in time. */
static void many(void)
{
	enum { N = 200000 };
	struct elf_symtab t = { .n = N, .names_len = N * 16 };
	struct symbols_options opt = SAMPLE_OPTIONS(sample_exported);
	double start = cpu_ms();
	size_t i, found = 0;
	char name[32];

	open_sample("vm.stripped", &opt);
	t.v = calloc(N, sizeof(*t.v));
	t.names = calloc(N, 16);
	for (i = 0; i < N; i++) {
		snprintf(t.names + 16 * i, 16, "%s%06zu%s", i % 2 ? "f" : "g", i,
			 i % 3 ? "" : ".isra.0");
		t.v[i] = (Elf64_Sym){ .st_name = 16 * i, .st_shndx = 1, .st_size = 1,
				      .st_value = s.segs[1].vaddr + i % s.segs[1].memsz };
	}
	is_u64(symbols_merge(&s, &t, RUNG_DEBUGFILE), N, "%d symbols come in", N);
	for (i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "%s%06zu", i % 2 ? "f" : "g", i);
		found += is_on(name, RUNG_DEBUGFILE);
	}
	is_u64(found, N, "all are found by their plain names");
	ok(cpu_ms() - start < 20000, "in no time");
	diag("%.0f ms", cpu_ms() - start);
	symbols_close(&s);
}

/* Names and addresses that no linker makes. */
static void odd_symbols(void)
{
	static const char *const names[] = {
		"", "$x", "two words", "\033[31m", "\xc3\xa4", "fine",
	};
	struct elf_symtab t = { .n = 12, .names_len = 64 };
	size_t i, at = 1;
	uint64_t good;

	open_sample("vm.stripped", NULL);
	good = s.segs[1].vaddr + 1;
	t.v = calloc(t.n, sizeof(*t.v));
	t.names = calloc(1, t.names_len + 1);
	for (i = 0; i < ARRAY_SIZE(names); i++, at += strlen(t.names + at) + 1) {
		strcpy(t.names + at, names[i]);
		t.v[i] = (Elf64_Sym){ .st_name = at, .st_shndx = 1, .st_value = good };
	}
	at -= 5;
	t.v[6] = (Elf64_Sym){ .st_name = 0xffffffff, .st_shndx = 1, .st_value = good };
	t.v[7] = (Elf64_Sym){ .st_name = at, .st_shndx = 1, .st_value = 1ULL << 60 };
	t.v[8] = (Elf64_Sym){ .st_name = at, .st_shndx = SHN_UNDEF, .st_value = good };
	t.v[9] = (Elf64_Sym){ .st_name = at, .st_shndx = SHN_ABS, .st_value = good };
	t.v[10] = (Elf64_Sym){ .st_name = at, .st_shndx = 1, .st_info = STT_TLS, .st_value = good };
	t.v[11] = (Elf64_Sym){ .st_name = at, .st_shndx = 1, .st_value = 0 };
	is_u64(symbols_merge(&s, &t, RUNG_DEBUGFILE), 1, "of odd symbols one is taken");
	ok(is_on("fine", RUNG_DEBUGFILE), "the sound one");
	symbols_close(&s);
}

/* --- broken files ------------------------------------------------------------------------------- */

static unsigned char *image;
static size_t image_len;

static void load_image(const char *name)
{
	FILE *f = fopen(sample(name), "r");

	image = realloc(image, 1 << 20);
	image_len = f ? fread(image, 1, 1 << 20, f) : 0;
	if (f)
		fclose(f);
}

/* As executable, and as given file of the sound executable; false where a rule is broken. */
static bool opens_sanely(const unsigned char *bytes, size_t len)
{
	struct symbols_options opt = SAMPLE_OPTIONS(sample_static);
	struct target t = sample_target("vm.stripped", 0), bad = t;
	int fd = memfd_create("elf", MFD_CLOEXEC);
	bool good = write(fd, bytes, len) == (ssize_t)len;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	snprintf(bad.exe_path, sizeof(bad.exe_path), "%s", path);
	failure_clear();
	if (symbols_open(&s, &bad, &opt)) {
		good &= failure_get() != NULL;
	} else {
		good &= s.n > 0 && s.source != NULL;
		symbols_find(&s, "create_carrier");
		symbols_at(&s, MAP_START + 0x1100);
	}
	symbols_close(&s);
	opt.given = path;
	failure_clear();
	if (symbols_open(&s, &t, &opt))
		good &= failure_get() && failure_get()->status == EXIT_UNSUPPORTED;
	else
		good &= s.rungs[RUNG_GIVEN].status != RUNG_UNTRIED;
	symbols_close(&s);
	close(fd);
	return good;
}

static void refused(const char *what, size_t at, unsigned char byte, const char *words)
{
	struct symbols_options opt = SAMPLE_OPTIONS(sample_static);
	unsigned char saved = image[at];
	FILE *f = fopen(sample("bad"), "w");

	image[at] = byte;
	fwrite(image, 1, image_len, f);
	fclose(f);
	image[at] = saved;
	ok(open_sample("bad", &opt) && failure_get() && failure_get()->status == EXIT_UNSUPPORTED &&
	   strstr(failure_get()->message, words), "%s: refused, and said so", what);
	if (failure_get())
		diag("%s", failure_get()->message);
	symbols_close(&s);
}

static void headers(void)
{
	size_t whole;

	load_image("vm");
	whole = image_len;
	refused("no ELF file", 1, 'X', "is no ELF file");
	refused("32 bits", EI_CLASS, ELFCLASS32, "is no 64-bit ELF file");
	refused("big-endian", EI_DATA, ELFDATA2MSB, "is no little-endian ELF file");
	refused("an object file", offsetof(Elf64_Ehdr, e_type), ET_REL, "no executable");
	refused("no segments", offsetof(Elf64_Ehdr, e_phnum), 0, "segments do not match");
	refused("no sections, so no symbols", offsetof(Elf64_Ehdr, e_shentsize), 1,
		"has no symbols");
	image_len = 40;
	refused("cut off", 0, ELFMAG0, "is cut off");
	image_len = 0;
	refused("empty", 0, ELFMAG0, "is no ELF file");
	image_len = whole;
}

static Elf64_Shdr *section(unsigned int type)
{
	Elf64_Ehdr *eh = (Elf64_Ehdr *)image;
	Elf64_Shdr *sh = (Elf64_Shdr *)(image + eh->e_shoff);
	unsigned int i;

	for (i = 0; i < eh->e_shnum; i++)
		if (sh[i].sh_type == type)
			return &sh[i];
	abort();
}

/* A table that lies about itself: the rung is refused with the reason, the others hold. */
static void absurd_table(const char *what, uint64_t *field, uint64_t value, const char *words)
{
	struct symbols_options opt = SAMPLE_OPTIONS(sample_exported);
	uint64_t saved = *field;
	FILE *f = fopen(sample("bad"), "w");

	*field = value;
	fwrite(image, 1, image_len, f);
	fclose(f);
	*field = saved;
	ok(!open_sample("bad", &opt) && !strcmp(s.source, "dynsym") && !symbols_missing(&s) &&
	   s.rungs[RUNG_SYMTAB].status == RUNG_REFUSED && strstr(s.rungs[RUNG_SYMTAB].why, words),
	   "%s: .dynsym serves", what);
	diag("%s", s.rungs[RUNG_SYMTAB].why);
	symbols_close(&s);
}

static void tables(void)
{
	Elf64_Shdr *sh, *str;

	load_image("vm");
	sh = section(SHT_SYMTAB);
	str = (Elf64_Shdr *)(image + ((Elf64_Ehdr *)image)->e_shoff) + sh->sh_link;
	absurd_table("2^60 symbols", &sh->sh_size, 24ULL << 60, "absurd size");
	absurd_table("more than the file holds", &sh->sh_size, 24 * 100000, "is cut off");
	absurd_table("beyond the end of the file", &sh->sh_offset, 1ULL << 40, "is cut off");
	absurd_table("at an offset that wraps", &sh->sh_offset, UINT64_MAX - 8, "is cut off");
	absurd_table("entries of 0 bytes", &sh->sh_entsize, 0, "garbled");
	absurd_table("entries of 1 byte", &sh->sh_entsize, 1, "garbled");
	absurd_table("names of absurd size", &str->sh_size, 1ULL << 62, "absurd size");
	absurd_table("names beyond the end", &str->sh_offset, 1ULL << 40, "is cut off");
}

/* Notes that lie: an identity of nothing is none. */
static void build_ids(void)
{
	Elf64_Shdr *note;
	unsigned char *p;
	FILE *f;
	int i;

	for (i = 0; i < 4; i++) {
		load_image("vm");
		note = section(SHT_NOTE);
		p = image + note->sh_offset;
		while (memcmp(p + 12, "GNU", 4) || p[8] != NT_GNU_BUILD_ID)
			p += 4;
		if (i == 0)
			p[4] = 0;
		else if (i == 1)
			memset(p + 16, 0, 20);
		else if (i == 2)
			p[4] = 1;
		else
			memset(p + 4, 0xff, 4);
		f = fopen(sample("bad"), "w");
		fwrite(image, 1, image_len, f);
		fclose(f);
		ok(!open_sample("bad", NULL) && !s.build_id[0], "a build id of %s is none",
		   ((const char *[]){ "0 bytes", "zeroes", "one byte", "4 GiB" })[i]);
		symbols_close(&s);
	}
}

static uint64_t seed = 88172645463325252ULL;

static uint64_t roll(void)
{
	seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
	return seed;
}

static void fuzz(const char *name)
{
	size_t rounds = getenv("EBEAM_LONG") ? 20000 : 2000, good = 0, i, k, at;
	static unsigned char copy[1 << 20];
	Elf64_Ehdr *eh;

	load_image(name);
	eh = (Elf64_Ehdr *)image;
	for (i = 0; i < rounds; i++) {
		memcpy(copy, image, image_len);
		for (k = 0; k <= roll() % 8; k++) {
			at = roll() % image_len;
			/* half of them where they hurt: the headers and the table of sections */
			if (i % 2 && roll() % 2)
				at = roll() % sizeof(*eh);
			else if (i % 2)
				at = eh->e_shoff + roll() % (eh->e_shnum * sizeof(Elf64_Shdr));
			copy[at] = roll() % 3 ? roll() : roll() % 2 ? 0xff : 0;
		}
		good += opens_sanely(copy, image_len);
	}
	is_u64(good, rounds, "%s, bytes changed at random: opened, or refused", name);
	for (i = good = k = 0; i < image_len; i += 1 + roll() % (image_len / 500), k++)
		good += opens_sanely(image, i);
	is_u64(good, k, "%s, cut off anywhere", name);
}

int main(void)
{
	samples_make();
	symtab();
	dynsym();
	merging();
	many();
	odd_symbols();
	headers();
	tables();
	build_ids();
	fuzz("vm");
	fuzz("vm.debug");
	free(image);
	return done();
}
