// SPDX-License-Identifier: GPL-2.0-only
#include "symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_SYMBOLS 1000000

static int by_addr(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	/* at one address the longest one first: a local label never hides a function */
	return x->size > y->size ? -1 : x->size < y->size;
}

static void read_table(struct symbols *s, Elf_Scn *scn, const GElf_Shdr *sh)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t i, n = sh->sh_entsize ? sh->sh_size / sh->sh_entsize : 0;
	const char *name;
	GElf_Sym sym;

	if (!data || n > MAX_SYMBOLS)
		return;
	s->syms = xcalloc(n, sizeof(*s->syms));
	s->n = 0;
	for (i = 0; i < n; i++) {
		if (!gelf_getsym(data, i, &sym) || !sym.st_value || sym.st_shndx == SHN_UNDEF)
			continue;
		name = elf_strptr(s->elf, sh->sh_link, sym.st_name);
		if (!name || !*name)
			continue;
		s->syms[s->n].name = name;
		s->syms[s->n].addr = sym.st_value;
		s->syms[s->n].size = sym.st_size;
		s->syms[s->n].func = GELF_ST_TYPE(sym.st_info) == STT_FUNC;
		s->syms[s->n].rung = sh->sh_type == SHT_SYMTAB ? RUNG_SYMTAB : RUNG_DYNSYM;
		s->n++;
	}
	qsort(s->syms, s->n, sizeof(*s->syms), by_addr);
}

static void read_build_id(struct symbols *s, Elf_Scn *scn)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t off = 0, name, desc, i;
	GElf_Nhdr nh;

	while (data && (off = gelf_getnote(data, off, &nh, &name, &desc)) > 0) {
		if (nh.n_type != NT_GNU_BUILD_ID || nh.n_descsz > sizeof(s->build_id) / 2 - 1)
			continue;
		for (i = 0; i < nh.n_descsz; i++)
			sprintf(s->build_id + 2 * i, "%02x",
				((unsigned char *)data->d_buf)[desc + i]);
		return;
	}
}

static int read_sections(struct symbols *s)
{
	Elf_Scn *scn = NULL, *dynsym = NULL;
	GElf_Shdr sh, dynsym_sh;
	size_t strndx;
	const char *name;

	if (elf_getshdrstrndx(s->elf, &strndx))
		return -1;
	while ((scn = elf_nextscn(s->elf, scn))) {
		if (!gelf_getshdr(scn, &sh))
			continue;
		name = elf_strptr(s->elf, strndx, sh.sh_name);
		if (sh.sh_type == SHT_SYMTAB) {
			read_table(s, scn, &sh);
			if (s->n)
				s->source = "symtab";
		} else if (sh.sh_type == SHT_DYNSYM) {
			dynsym = scn;
			dynsym_sh = sh;
		} else if (sh.sh_type == SHT_NOTE) {
			if (name && !strcmp(name, ".note.stapsdt"))
				s->has_probes = true;
			else
				read_build_id(s, scn);
		}
	}
	if (!s->n && dynsym) {
		free(s->syms);
		read_table(s, dynsym, &dynsym_sh);
		s->source = "dynsym";
	}
	return s->n ? 0 : -1;
}

int symbols_open(struct symbols *s, const struct target *t)
{
	uint64_t lowest = UINT64_MAX;
	size_t i, n;
	GElf_Phdr ph;
	GElf_Ehdr eh;
	int err;

	memset(s, 0, sizeof(*s));
	elf_version(EV_CURRENT);
	s->fd = open(t->exe_path, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0) {
		err = errno;
		return fail(err == EACCES || err == EPERM ? EXIT_PERMISSION : EXIT_FAILED,
			    "run as root, or give ebeam CAP_SYS_PTRACE", "cannot open %s: %s",
			    t->exe_path, strerror(err));
	}
	s->elf = elf_begin(s->fd, ELF_C_READ_MMAP, NULL);
	if (!s->elf || elf_kind(s->elf) != ELF_K_ELF || !gelf_getehdr(s->elf, &eh) ||
	    gelf_getclass(s->elf) != ELFCLASS64) {
		fail(EXIT_UNSUPPORTED, "", "%s is no 64-bit ELF file", t->exe);
		goto err;
	}
	s->machine = eh.e_machine;
	if (elf_getphdrnum(s->elf, &n))
		n = 0;
	for (i = 0; i < n && s->nsegs < ARRAY_SIZE(s->segs); i++) {
		if (!gelf_getphdr(s->elf, i, &ph) || ph.p_type != PT_LOAD)
			continue;
		s->segs[s->nsegs++] = (struct segment_map){
			.vaddr = ph.p_vaddr, .offset = ph.p_offset, .filesz = ph.p_filesz,
			.memsz = ph.p_memsz, .exec = ph.p_flags & PF_X, .write = ph.p_flags & PF_W,
		};
		/* the segment that the first mapping belongs to gives the bias */
		if (t->map_offset >= (ph.p_offset & ~4095ULL) &&
		    t->map_offset <= ph.p_offset + ph.p_filesz && lowest == UINT64_MAX)
			lowest = ph.p_vaddr - ph.p_offset + t->map_offset;
	}
	if (lowest == UINT64_MAX) {
		fail(EXIT_UNSUPPORTED, "", "%s: its segments do not match the memory of pid %d",
		     t->exe, t->pid);
		goto err;
	}
	s->bias = t->map_start - (lowest & ~4095ULL);
	if (read_sections(s)) {
		fail(EXIT_UNSUPPORTED, "use a build that keeps its dynamic symbols",
		     "%s has no symbols", t->exe);
		goto err;
	}
	return 0;
err:
	symbols_close(s);
	return -1;
}

int symbols_open_list(struct symbols *s, const char *path)
{
	unsigned long long addr, size;
	char line[512], name[256];
	FILE *f;

	memset(s, 0, sizeof(*s));
	f = fopen(path, "r");
	if (!f)
		return fail(EXIT_FAILED, "", "cannot open %s: %s", path, strerror(errno));
	while (s->n < MAX_SYMBOLS && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx %llx %255s", &addr, &size, name) != 3)
			continue;
		symbols_add(s, name, addr, size, false, RUNG_DYNSYM);
	}
	fclose(f);
	s->machine = EM_X86_64;
	s->source = "dynsym";
	return 0;
}

void symbols_add(struct symbols *s, const char *name, uint64_t addr, uint64_t size, bool func,
		 enum rung rung)
{
	struct symbol sym = { NULL, addr, size, func, rung };
	size_t at = s->n;

	if (symbols_find(s, name) || s->n == MAX_SYMBOLS)
		return;
	s->owned = xrealloc(s->owned, (s->nowned + 1) * sizeof(*s->owned));
	sym.name = s->owned[s->nowned++] = xstrdup(name);
	s->syms = xrealloc(s->syms, (s->n + 1) * sizeof(*s->syms));
	while (at > 0 && by_addr(&s->syms[at - 1], &sym) > 0)
		at--;
	memmove(&s->syms[at + 1], &s->syms[at], (s->n - at) * sizeof(sym));
	s->syms[at] = sym;
	s->n++;
}

void symbols_close(struct symbols *s)
{
	size_t i;

	for (i = 0; i < s->nowned; i++)
		free(s->owned[i]);
	free(s->owned);
	free(s->syms);
	if (s->elf)
		elf_end(s->elf);
	if (s->fd > 0)
		close(s->fd);
	memset(s, 0, sizeof(*s));
}

static bool is_variant(const char *have, const char *want, size_t len)
{
	return !strncmp(have, want, len) && have[len] == '.' && !strstr(have + len, ".cold") &&
	       !strstr(have + len, ".part");
}

const struct symbol *symbols_find(const struct symbols *s, const char *name)
{
	const struct symbol *variant = NULL;
	size_t i, len = strlen(name);

	for (i = 0; i < s->n; i++) {
		if (!strcmp(s->syms[i].name, name))
			return &s->syms[i];
		if (is_variant(s->syms[i].name, name, len))
			variant = &s->syms[i];
	}
	return variant;
}

vmaddr_t symbols_addr(const struct symbols *s, const char *name)
{
	const struct symbol *sym = symbols_find(s, name);

	return sym ? sym->addr + s->bias : 0;
}

const struct symbol *symbols_at(const struct symbols *s, vmaddr_t addr)
{
	uint64_t link = addr - s->bias;
	const struct symbol *best = NULL;
	size_t lo = 0, hi = s->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (s->syms[mid].addr <= link)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo > 0; lo--) {
		if (!s->syms[lo - 1].func)
			continue;
		best = &s->syms[lo - 1];
		break;
	}
	return best && (link == best->addr || link - best->addr < best->size) ? best : NULL;
}

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
	n = pread(s->fd, buf, len, link_addr - seg->vaddr + seg->offset);
	return n > 0 ? n : 0;
}
