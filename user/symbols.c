// SPDX-License-Identifier: GPL-2.0-only
#include "symbols.h"
#include "debuginfod.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_SYMBOLS (4 * ELF_MAX_SYMBOLS) /* of all rungs */
#define MAX_NAME 512
#define FETCH_S 60

const char *rung_name(enum rung rung)
{
	static const char *const names[RUNG_N] = {
		"symtab", "dynsym", "debugfile", "file", "debuginfod", "bootstrap",
	};

	return rung < RUNG_N ? names[rung] : "none";
}

/* --- the two orders ----------------------------------------------------------------------------- */

static int order(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* At one address the longest first, a local label never hides a function; then by rung. */
static int compare_addr(const struct symbol *x, const struct symbol *y)
{
	int c = order(x->addr, y->addr);

	if (!c)
		c = order(y->size, x->size);
	if (!c)
		c = order(x->rung, y->rung);
	if (!c)
		c = order(y->global, x->global);
	return c ? c : strcmp(x->name, y->name);
}

/* Of several that have one name the first is the one that is meant. */
static int compare_name(const struct symbol *x, const struct symbol *y)
{
	int c = strcmp(x->name, y->name);

	if (!c)
		c = order(x->rung, y->rung);
	if (!c)
		c = order(y->global, x->global);
	return c ? c : order(x->addr, y->addr);
}

static int by_addr(const void *a, const void *b, void *s)
{
	const struct symbol *syms = ((struct symbols *)s)->syms;

	return compare_addr(&syms[*(const uint32_t *)a], &syms[*(const uint32_t *)b]);
}

static int by_name(const void *a, const void *b, void *s)
{
	const struct symbol *syms = ((struct symbols *)s)->syms;

	return compare_name(&syms[*(const uint32_t *)a], &syms[*(const uint32_t *)b]);
}

static void reserve(struct symbols *s, size_t n)
{
	if (s->n + n <= s->capacity)
		return;
	s->capacity = s->n + n > 2 * s->capacity ? s->n + n : 2 * s->capacity;
	s->syms = xrealloc(s->syms, s->capacity * sizeof(*s->syms));
	s->by_addr = xrealloc(s->by_addr, s->capacity * sizeof(*s->by_addr));
	s->by_name = xrealloc(s->by_name, s->capacity * sizeof(*s->by_name));
}

static void own(struct symbols *s, void *p)
{
	s->owned = xrealloc(s->owned, (s->nowned + 1) * sizeof(*s->owned));
	s->owned[s->nowned++] = p;
}

static void sort(struct symbols *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		s->by_addr[i] = s->by_name[i] = i;
	if (!s->n)
		return;
	qsort_r(s->by_addr, s->n, sizeof(*s->by_addr), by_addr, s);
	qsort_r(s->by_name, s->n, sizeof(*s->by_name), by_name, s);
}

/* Where the last of syms belongs in an index of all before it. */
static void insert(struct symbols *s, uint32_t *index,
		   int (*compare)(const void *, const void *, void *))
{
	uint32_t it = s->n - 1;
	size_t lo = 0, hi = it, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (compare(&index[mid], &it, s) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	memmove(&index[lo + 1], &index[lo], (it - lo) * sizeof(*index));
	index[lo] = it;
}

/* --- finding ------------------------------------------------------------------------------------ */

/* Position in by_name, below @n, of the first symbol whose name is not below @name. */
static size_t lower_bound(const struct symbols *s, const char *name, size_t n)
{
	size_t lo = 0, mid;

	while (lo < n) {
		mid = lo + (n - lo) / 2;
		if (strcmp(s->syms[s->by_name[mid]].name, name) < 0)
			lo = mid + 1;
		else
			n = mid;
	}
	return lo;
}

static const struct symbol *find_exact(const struct symbols *s, const char *name, size_t n)
{
	size_t at = lower_bound(s, name, n);

	if (at == n || strcmp(s->syms[s->by_name[at]].name, name))
		return NULL;
	return &s->syms[s->by_name[at]];
}

/* The whole function under a suffix of the compiler's: .isra.0, .constprop.0, .lto_priv.0. */
static bool is_variant(const char *suffix)
{
	return isalpha((unsigned char)suffix[0]) && !strstr(suffix - 1, ".cold") &&
	       !strstr(suffix - 1, ".part");
}

const struct symbol *symbols_find(const struct symbols *s, const char *name)
{
	const struct symbol *found = find_exact(s, name, s->n), *sym;
	char prefix[MAX_NAME];
	size_t at, len;

	len = snprintf(prefix, sizeof(prefix), "%s.", name);
	if (found || len >= sizeof(prefix))
		return found;
	for (at = lower_bound(s, prefix, s->n); at < s->n; at++) {
		sym = &s->syms[s->by_name[at]];
		if (strncmp(sym->name, prefix, len))
			break;
		if (is_variant(sym->name + len) && (!found || sym->rung < found->rung))
			found = sym;
	}
	return found;
}

vmaddr_t symbols_addr(const struct symbols *s, const char *name)
{
	const struct symbol *sym = symbols_find(s, name);

	return sym ? sym->addr + s->bias : 0;
}

const struct symbol *symbols_nth(const struct symbols *s, size_t i)
{
	return &s->syms[s->by_addr[i]];
}

const struct symbol *symbols_at(const struct symbols *s, vmaddr_t addr)
{
	uint64_t link = addr - s->bias;
	const struct symbol *best = NULL;
	size_t lo = 0, hi = s->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (symbols_nth(s, mid)->addr <= link)
			lo = mid + 1;
		else
			hi = mid;
	}
	/* of several at one address the first is the one that is meant */
	for (; lo > 0; lo--) {
		if (best && symbols_nth(s, lo - 1)->addr != best->addr)
			break;
		if (symbols_nth(s, lo - 1)->func)
			best = symbols_nth(s, lo - 1);
	}
	return best && (link == best->addr || link - best->addr < best->size) ? best : NULL;
}

/* --- adding ------------------------------------------------------------------------------------- */

/* Names end up in reports; what no compiler emits is left out. */
static bool is_name(const char *name)
{
	size_t len;

	/* $x and $d mark code and data on arm64 */
	if (!*name || *name == '$')
		return false;
	for (len = 0; name[len]; len++)
		if (!isgraph((unsigned char)name[len]) || len == MAX_NAME)
			return false;
	return true;
}

bool symbols_inside(const struct symbols *s, uint64_t link_addr)
{
	size_t i;

	for (i = 0; i < s->nsegs; i++)
		if (link_addr >= s->segs[i].vaddr &&
		    link_addr - s->segs[i].vaddr < s->segs[i].memsz)
			return true;
	return !s->nsegs;
}

static bool is_usable(const struct symbols *s, const Elf64_Sym *sym)
{
	unsigned int type = ELF64_ST_TYPE(sym->st_info);

	/* the value of a thread-local one is no address */
	return sym->st_value && sym->st_shndx != SHN_UNDEF && sym->st_shndx != SHN_ABS &&
	       sym->st_shndx != SHN_COMMON && type != STT_TLS && type != STT_FILE &&
	       type != STT_SECTION && symbols_inside(s, sym->st_value);
}

/* Bookkeeping of a rung after symbols came in: the needed names it gave, and the source. */
static void count_needed(struct symbols *s, enum rung rung)
{
	const struct symbol *sym;
	size_t i;

	s->rungs[rung].needed = 0;
	for (i = 0; i < s->nneeded; i++) {
		sym = symbols_find(s, s->needed[i]);
		s->rungs[rung].needed += sym && sym->rung == rung;
	}
	if (!s->source || (s->rungs[rung].needed && rung > s->source_rung)) {
		s->source_rung = rung;
		s->source = rung_name(rung);
	}
}

static bool is_api(const char *name)
{
	return !strncmp(name, "enif_", 5) || !strncmp(name, "driver_", 7);
}

size_t symbols_merge(struct symbols *s, struct elf_symtab *t, enum rung rung)
{
	size_t i, before = s->n;
	const struct symbol *have;
	const char *name;

	reserve(s, t->n < MAX_SYMBOLS - s->n ? t->n : MAX_SYMBOLS - s->n);
	for (i = 0; i < t->n && s->n < MAX_SYMBOLS; i++) {
		name = elf_symtab_name(t, i);
		if (!is_usable(s, &t->v[i]) || !is_name(name) || (s->api_only && !is_api(name)))
			continue;
		have = find_exact(s, name, before);
		if (have && have->rung < rung)
			continue;
		s->syms[s->n++] = (struct symbol){
			.name = name, .addr = t->v[i].st_value, .size = t->v[i].st_size,
			.func = ELF64_ST_TYPE(t->v[i].st_info) == STT_FUNC,
			.global = ELF64_ST_BIND(t->v[i].st_info) != STB_LOCAL, .rung = rung,
		};
	}
	own(s, t->names);
	t->names = NULL;
	elf_symtab_free(t);
	sort(s);
	s->rungs[rung].symbols += s->n - before;
	if (s->n > before)
		count_needed(s, rung);
	return s->n - before;
}

static void append(struct symbols *s, const char *name, uint64_t addr, uint64_t size, bool func,
		   enum rung rung)
{
	char *copy = xstrdup(name);

	own(s, copy);
	reserve(s, 1);
	s->syms[s->n++] = (struct symbol){ copy, addr, size, func, true, rung };
}

void symbols_add(struct symbols *s, const char *name, uint64_t addr, uint64_t size, bool func,
		 enum rung rung)
{
	if (s->n == MAX_SYMBOLS || symbols_find(s, name))
		return;
	append(s, name, addr, size, func, rung);
	insert(s, s->by_addr, by_addr);
	insert(s, s->by_name, by_name);
	s->rungs[rung].status = RUNG_GAVE;
	s->rungs[rung].symbols++;
	count_needed(s, rung);
}

void symbols_drop(struct symbols *s, enum rung rung)
{
	size_t i, n = 0;

	for (i = 0; i < s->n; i++)
		if (s->syms[i].rung != rung)
			s->syms[n++] = s->syms[i];
	s->n = n;
	sort(s);
	memset(&s->rungs[rung], 0, sizeof(s->rungs[rung]));
	s->source_rung = RUNG_SYMTAB;
	s->source = NULL;
	for (i = 0; i < RUNG_N; i++)
		if (s->rungs[i].symbols)
			count_needed(s, i);
}

int symbols_open_list(struct symbols *s, const char *path)
{
	unsigned long long addr, size;
	char line[512], name[256];
	FILE *f;

	memset(s, 0, sizeof(*s));
	s->exe.fd = s->debug.fd = -1;
	f = fopen(path, "r");
	if (!f)
		return fail(EXIT_FAILED, "", "cannot open %s: %s", path, strerror(errno));
	while (s->n < MAX_SYMBOLS && fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx %llx %255s", &addr, &size, name) == 3)
			append(s, name, addr, size, false, RUNG_DYNSYM);
	fclose(f);
	sort(s);
	s->machine = EM_X86_64;
	s->rungs[RUNG_DYNSYM].status = RUNG_GAVE;
	s->rungs[RUNG_DYNSYM].symbols = s->n;
	count_needed(s, RUNG_DYNSYM);
	return 0;
}

/* --- the ladder --------------------------------------------------------------------------------- */

static int open_executable(struct symbols *s, const struct target *t)
{
	char why[256] = "";
	int fd, err;

	fd = open(t->exe_path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		err = errno;
		return fail(err == EACCES || err == EPERM ? EXIT_PERMISSION : EXIT_FAILED,
			    "run as root, or give ebeam CAP_SYS_PTRACE", "cannot open %s: %s",
			    t->exe_path, strerror(err));
	}
	if (elf_file_open(&s->exe, fd, why, sizeof(why))) {
		close(fd);
		return fail(EXIT_UNSUPPORTED, "ebeam knows 64-bit VMs on x86_64",
			    "%s of pid %d %s", t->exe, t->pid, why);
	}
	s->machine = s->exe.machine;
	s->has_probes = s->exe.has_probes;
	memcpy(s->build_id, s->exe.build_id, sizeof(s->build_id));
	return 0;
}

/* Segments; and the one that the first mapping belongs to gives the bias. */
static int read_segments(struct symbols *s, const struct target *t)
{
	const Elf64_Phdr *ph;
	uint64_t lowest = UINT64_MAX;

	for (ph = s->exe.ph; ph < s->exe.ph + s->exe.nph && s->nsegs < ARRAY_SIZE(s->segs); ph++) {
		if (ph->p_type == PT_GNU_EH_FRAME)
			s->eh_frame_hdr = ph->p_vaddr;
		if (ph->p_type != PT_LOAD)
			continue;
		s->segs[s->nsegs++] = (struct segment_map){
			.vaddr = ph->p_vaddr, .offset = ph->p_offset, .filesz = ph->p_filesz,
			.memsz = ph->p_memsz, .exec = ph->p_flags & PF_X,
			.write = ph->p_flags & PF_W,
		};
		if (t->map_offset >= (ph->p_offset & ~4095ULL) &&
		    t->map_offset <= ph->p_offset + ph->p_filesz && lowest == UINT64_MAX)
			lowest = ph->p_vaddr - ph->p_offset + t->map_offset;
	}
	if (lowest == UINT64_MAX)
		return fail(EXIT_UNSUPPORTED, "",
			    "%s: its segments do not match the memory of pid %d", t->exe, t->pid);
	s->bias = t->map_start - (lowest & ~4095ULL);
	return 0;
}

static void add_table(struct symbols *s, const struct elf_file *e, unsigned int type,
		      enum rung rung)
{
	struct rung_result *r = &s->rungs[rung];
	struct elf_symtab t;
	int err;

	err = elf_file_symtab(e, type, &t, r->why, sizeof(r->why));
	if (err) {
		r->status = err == -ENOENT ? RUNG_NOTHING : RUNG_REFUSED;
		return;
	}
	r->status = RUNG_GAVE;
	symbols_merge(s, &t, rung);
	if (!r->symbols)
		snprintf(r->why, sizeof(r->why), "has no symbol that is new");
}

/* Takes the file over: it stays open where it is the one with DWARF. */
static void add_file(struct symbols *s, struct elf_file *d, enum rung rung)
{
	add_table(s, d, SHT_SYMTAB, rung);
	if (d->has_dwarf && !s->exe.has_dwarf && s->debug.fd < 0)
		s->debug = *d;
	else
		elf_file_close(d);
}

static void fetch(struct symbols *s, unsigned int timeout_s)
{
	struct rung_result *r = &s->rungs[RUNG_DEBUGINFOD];
	struct elf_file d;
	int fd;

	r->status = RUNG_NOTHING;
	fd = debuginfod_fetch(s->build_id, timeout_s, r->file, sizeof(r->file), r->why,
			      sizeof(r->why));
	if (fd < 0)
		return;
	r->status = RUNG_REFUSED;
	if (elf_file_open(&d, fd, r->why, sizeof(r->why))) {
		close(fd);
	} else if (!debugfile_fits(&d, &s->exe, r->why, sizeof(r->why))) {
		elf_file_close(&d);
	} else {
		r->why[0] = '\0';
		add_file(s, &d, RUNG_DEBUGINFOD);
	}
}

/* The rungs behind the executable's own tables. */
static int add_files(struct symbols *s, const struct target *t, const struct symbols_options *opt)
{
	struct elf_file d;

	debugfile_find(&s->exe, t, opt->debug_dir ? opt->debug_dir : DEBUG_DIR, &d,
		       &s->rungs[RUNG_DEBUGFILE]);
	if (s->rungs[RUNG_DEBUGFILE].status == RUNG_GAVE)
		add_file(s, &d, RUNG_DEBUGFILE);
	if (opt->given && debugfile_given(opt->given, &s->exe, opt->given_may_differ, &d,
					  &s->rungs[RUNG_GIVEN]))
		return -1;
	if (s->rungs[RUNG_GIVEN].status == RUNG_GAVE) {
		add_file(s, &d, RUNG_GIVEN);
		if (s->rungs[RUNG_GIVEN].status != RUNG_GAVE)
			return fail(EXIT_UNSUPPORTED,
				    "give the unstripped beam.smp of this very build, or its debug "
				    "file", "--symbols %s: it %s", opt->given,
				    s->rungs[RUNG_GIVEN].why);
	}
	if (!opt->offline && symbols_missing(s))
		fetch(s, opt->fetch_s ? opt->fetch_s : FETCH_S);
	return 0;
}

static void log_rungs(const struct symbols *s)
{
	const struct rung_result *r;
	int i;

	for (i = 0; i < RUNG_N; i++) {
		r = &s->rungs[i];
		if (r->status == RUNG_GAVE)
			log_step("symbols: %s: %zu, %zu of the %zu that are needed%s%s",
				 rung_name(i), r->symbols, r->needed, s->nneeded,
				 r->file[0] ? ", from " : "", r->file);
		else if (r->status != RUNG_UNTRIED)
			log_step("symbols: %s: %s%s%s", rung_name(i), r->file,
				 r->file[0] ? ": " : "", r->why);
	}
}

int symbols_open(struct symbols *s, const struct target *t, const struct symbols_options *opt)
{
	static const struct symbols_options nothing;

	memset(s, 0, sizeof(*s));
	s->exe.fd = s->debug.fd = -1;
	opt = opt ? opt : &nothing;
	s->needed = opt->needed;
	s->nneeded = opt->nneeded;
	s->api_only = opt->api_only;
	if (open_executable(s, t) || read_segments(s, t))
		goto err;
	add_table(s, &s->exe, SHT_SYMTAB, RUNG_SYMTAB);
	add_table(s, &s->exe, SHT_DYNSYM, RUNG_DYNSYM);
	if (add_files(s, t, opt))
		goto err;
	log_rungs(s);
	if (!s->n) {
		fail(EXIT_UNSUPPORTED, "name its unstripped file or its debug file with --symbols",
		     "%s of pid %d has no symbols, and no debug file of it was found", t->exe,
		     t->pid);
		goto err;
	}
	return 0;
err:
	symbols_close(s);
	return -1;
}

void symbols_close(struct symbols *s)
{
	size_t i;

	for (i = 0; i < s->nowned; i++)
		free(s->owned[i]);
	free(s->owned);
	free(s->syms);
	free(s->by_addr);
	free(s->by_name);
	elf_file_close(&s->exe);
	elf_file_close(&s->debug);
	memset(s, 0, sizeof(*s));
	s->exe.fd = s->debug.fd = -1;
}

const char *symbols_missing(const struct symbols *s)
{
	size_t i;

	for (i = 0; i < s->nneeded; i++)
		if (!symbols_find(s, s->needed[i]))
			return s->needed[i];
	return NULL;
}

int symbols_dwarf_fd(const struct symbols *s)
{
	return s->exe.has_dwarf ? s->exe.fd : s->debug.fd;
}

/* --- the executable's bytes --------------------------------------------------------------------- */

static const struct segment_map *segment_of(const struct symbols *s, uint64_t addr)
{
	size_t i;

	for (i = 0; i < s->nsegs; i++)
		if (addr >= s->segs[i].vaddr && addr - s->segs[i].vaddr < s->segs[i].filesz)
			return &s->segs[i];
	return NULL;
}

bool symbols_file_offset(const struct symbols *s, uint64_t link_addr, uint64_t *offset)
{
	const struct segment_map *seg = segment_of(s, link_addr);

	if (!seg || !seg->exec)
		return false;
	*offset = link_addr - seg->vaddr + seg->offset;
	return true;
}

size_t symbols_code(const struct symbols *s, uint64_t link_addr, void *buf, size_t len)
{
	const struct segment_map *seg = segment_of(s, link_addr);
	ssize_t n;

	if (!seg)
		return 0;
	if (len > seg->filesz - (link_addr - seg->vaddr))
		len = seg->filesz - (link_addr - seg->vaddr);
	n = pread(s->exe.fd, buf, len, link_addr - seg->vaddr + seg->offset);
	return n > 0 ? n : 0;
}
