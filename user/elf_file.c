// SPDX-License-Identifier: GPL-2.0-only
#include "elf_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define MAX_SEGMENTS 1024
#define MAX_SECTIONS 65536
#define MAX_NOTES (1 << 20)	/* bytes of one section */
#define MAX_NOTE_SECTIONS 64
#define MAX_CODE (256 << 20)
#define MAX_CRC (1ULL << 30)

/* All of it, or false: what is cut off is not there. */
static bool read_at(const struct elf_file *e, uint64_t off, void *buf, size_t len)
{
	size_t have = 0;
	ssize_t n;

	if (off > e->size || len > e->size - off)
		return false;
	while (have < len) {
		n = pread(e->fd, (char *)buf + have, len - have, off + have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		have += n;
	}
	return true;
}

/* @n entries of @size bytes, in new memory; NULL when they are not all there. */
static void *read_array(const struct elf_file *e, uint64_t off, size_t n, size_t size)
{
	void *p;

	if (!n || off > e->size || n > (e->size - off) / size)
		return NULL;
	p = malloc(n * size + 1);
	if (p && !read_at(e, off, p, n * size)) {
		free(p);
		p = NULL;
	}
	if (p)
		((char *)p)[n * size] = '\0';
	return p;
}

/* --- sections ----------------------------------------------------------------------------------- */

static const char *section_name(const struct elf_file *e, const Elf64_Shdr *sh)
{
	return sh->sh_name < e->names_len ? e->names + sh->sh_name : "";
}

static void read_sections(struct elf_file *e, const Elf64_Ehdr *eh)
{
	uint64_t n = eh->e_shnum, strndx = eh->e_shstrndx;
	Elf64_Shdr first;

	if (eh->e_shentsize != sizeof(first) || !read_at(e, eh->e_shoff, &first, sizeof(first)))
		return;
	/* what does not fit into the header is in the first section's */
	if (!n)
		n = first.sh_size;
	if (strndx == SHN_XINDEX)
		strndx = first.sh_link;
	if (!n || n > MAX_SECTIONS)
		return;
	e->sh = read_array(e, eh->e_shoff, n, sizeof(*e->sh));
	if (!e->sh)
		return;
	e->nsh = n;
	if (strndx >= n || e->sh[strndx].sh_type != SHT_STRTAB ||
	    e->sh[strndx].sh_size > ELF_MAX_STRINGS)
		return;
	e->names = read_array(e, e->sh[strndx].sh_offset, e->sh[strndx].sh_size, 1);
	if (e->names)
		e->names_len = e->sh[strndx].sh_size;
}

/* One byte of 0 is no identity, nor is a row of them. */
static bool identifies(const unsigned char *id, size_t len)
{
	size_t i;

	if (len < 2 || len > ELF_BUILD_ID_MAX)
		return false;
	for (i = 0; i < len; i++)
		if (id[i])
			return true;
	return false;
}

static void read_notes(struct elf_file *e, uint64_t off, uint64_t len)
{
	unsigned char *notes, *desc;
	uint64_t at = 0, descpos;
	Elf64_Nhdr nh;
	size_t i;

	if (e->build_id[0] || len > MAX_NOTES)
		return;
	notes = read_array(e, off, len, 1);
	if (!notes)
		return;
	while (len - at >= sizeof(nh)) {
		memcpy(&nh, notes + at, sizeof(nh));
		descpos = at + sizeof(nh) + ((nh.n_namesz + 3ULL) & ~3ULL);
		if (descpos > len || nh.n_descsz > len - descpos)
			break;
		desc = notes + descpos;
		if (nh.n_type == NT_GNU_BUILD_ID && nh.n_namesz == 4 &&
		    !memcmp(notes + at + sizeof(nh), "GNU", 4) && identifies(desc, nh.n_descsz)) {
			for (i = 0; i < nh.n_descsz; i++)
				sprintf(e->build_id + 2 * i, "%02x", desc[i]);
			break;
		}
		at = descpos + ((nh.n_descsz + 3ULL) & ~3ULL);
		if (at > len)
			break;
	}
	free(notes);
}

/* .gnu_debuglink: a file name, NUL, zeroes up to a multiple of 4, and the CRC32 of that file. */
static void read_debuglink(struct elf_file *e, const Elf64_Shdr *sh)
{
	char raw[sizeof(e->debuglink) + 8];
	size_t len, at;

	if (sh->sh_size > sizeof(raw) || !read_at(e, sh->sh_offset, raw, sh->sh_size))
		return;
	len = strnlen(raw, sh->sh_size);
	at = (len + 4) & ~3UL;
	if (!len || len >= sizeof(e->debuglink) || at + 4 > sh->sh_size)
		return;
	memcpy(e->debuglink, raw, len + 1);
	memcpy(&e->debuglink_crc, raw + at, 4);
}

static void look_over_sections(struct elf_file *e)
{
	unsigned int notes = 0;
	const Elf64_Shdr *sh;
	const char *name;

	for (sh = e->sh; sh < e->sh + e->nsh; sh++) {
		name = section_name(e, sh);
		if (sh->sh_type == SHT_SYMTAB)
			e->has_symtab = true;
		else if (sh->sh_type == SHT_NOTE && !strcmp(name, ".note.stapsdt"))
			e->has_probes = true;
		else if (sh->sh_type == SHT_NOTE && notes++ < MAX_NOTE_SECTIONS)
			read_notes(e, sh->sh_offset, sh->sh_size);
		else if (sh->sh_type == SHT_PROGBITS && !strcmp(name, ".gnu_debuglink"))
			read_debuglink(e, sh);
		else if (sh->sh_type == SHT_PROGBITS &&
			 (!strcmp(name, ".debug_info") || !strcmp(name, ".zdebug_info")))
			e->has_dwarf = sh->sh_size > 0;
	}
}

/* --- the file ----------------------------------------------------------------------------------- */

static int check_header(const struct elf_file *e, Elf64_Ehdr *eh, char *why, size_t size)
{
	memset(eh, 0, sizeof(*eh));
	if (!read_at(e, 0, eh->e_ident, EI_NIDENT) || memcmp(eh->e_ident, ELFMAG, SELFMAG))
		snprintf(why, size, "is no ELF file");
	else if (eh->e_ident[EI_CLASS] != ELFCLASS64)
		snprintf(why, size, "is no 64-bit ELF file");
	else if (eh->e_ident[EI_DATA] != ELFDATA2LSB)
		snprintf(why, size, "is no little-endian ELF file");
	else if (!read_at(e, 0, eh, sizeof(*eh)))
		snprintf(why, size, "is cut off: its ELF header is not complete");
	else if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
		snprintf(why, size, "is an ELF file, but no executable and no debug file of one");
	else
		return 0;
	return -1;
}

int elf_file_open(struct elf_file *e, int fd, char *why, size_t size)
{
	Elf64_Ehdr eh;
	struct stat st;
	size_t i;

	memset(e, 0, sizeof(*e));
	e->fd = fd;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		snprintf(why, size, "is no regular file");
		e->fd = -1;
		return -1;
	}
	e->size = st.st_size;
	if (check_header(e, &eh, why, size)) {
		e->fd = -1;
		return -1;
	}
	e->machine = eh.e_machine;
	if (eh.e_phentsize == sizeof(*e->ph) && eh.e_phnum <= MAX_SEGMENTS)
		e->ph = read_array(e, eh.e_phoff, eh.e_phnum, sizeof(*e->ph));
	e->nph = e->ph ? eh.e_phnum : 0;
	read_sections(e, &eh);
	look_over_sections(e);
	/* only where there are no sections: in a debug file the notes of segments are not there */
	for (i = 0; !e->nsh && i < e->nph; i++)
		if (e->ph[i].p_type == PT_NOTE)
			read_notes(e, e->ph[i].p_offset, e->ph[i].p_filesz);
	return 0;
}

void elf_file_close(struct elf_file *e)
{
	free(e->ph);
	free(e->sh);
	free(e->names);
	if (e->fd > 0)
		close(e->fd);
	memset(e, 0, sizeof(*e));
	e->fd = -1;
}

/* --- symbols ------------------------------------------------------------------------------------ */

int elf_file_symtab(const struct elf_file *e, unsigned int type, struct elf_symtab *t, char *why,
		    size_t size)
{
	const char *name = type == SHT_SYMTAB ? ".symtab" : ".dynsym";
	const Elf64_Shdr *sh, *str;

	memset(t, 0, sizeof(*t));
	for (sh = e->sh; sh < e->sh + e->nsh; sh++)
		if (sh->sh_type == type)
			break;
	if (sh == e->sh + e->nsh) {
		snprintf(why, size, "has no %s%s", name, type == SHT_SYMTAB ? ": stripped" : "");
		return -ENOENT;
	}
	str = sh->sh_link < e->nsh ? &e->sh[sh->sh_link] : NULL;
	if (sh->sh_entsize != sizeof(*t->v) || !str || str->sh_type != SHT_STRTAB) {
		snprintf(why, size, "has a garbled %s", name);
		return -EINVAL;
	}
	if (sh->sh_size / sizeof(*t->v) > ELF_MAX_SYMBOLS || str->sh_size > ELF_MAX_STRINGS) {
		snprintf(why, size, "has a %s of absurd size", name);
		return -EINVAL;
	}
	t->n = sh->sh_size / sizeof(*t->v);
	t->v = read_array(e, sh->sh_offset, t->n, sizeof(*t->v));
	t->names_len = str->sh_size;
	t->names = read_array(e, str->sh_offset, str->sh_size, 1);
	if (!t->v || !t->names) {
		elf_symtab_free(t);
		snprintf(why, size, "is cut off: its %s is not complete", name);
		return -EINVAL;
	}
	return 0;
}

void elf_symtab_free(struct elf_symtab *t)
{
	free(t->v);
	free(t->names);
	memset(t, 0, sizeof(*t));
}

const char *elf_symtab_name(const struct elf_symtab *t, size_t i)
{
	return t->v[i].st_name < t->names_len ? t->names + t->v[i].st_name : "";
}

/* --- comparing ---------------------------------------------------------------------------------- */

static bool read_code(const struct elf_file *e, uint64_t addr, void *buf, size_t len)
{
	const Elf64_Phdr *ph;

	for (ph = e->ph; ph < e->ph + e->nph; ph++)
		if (ph->p_type == PT_LOAD && addr >= ph->p_vaddr &&
		    addr - ph->p_vaddr <= ph->p_filesz &&
		    len <= ph->p_filesz - (addr - ph->p_vaddr) &&
		    ph->p_offset <= e->size)
			return read_at(e, ph->p_offset + (addr - ph->p_vaddr), buf, len);
	return false;
}

static bool same_bytes(const struct elf_file *e, const Elf64_Shdr *sh, const struct elf_file *exe)
{
	static char a[65536], b[65536];
	uint64_t at;
	size_t n;

	for (at = 0; at < sh->sh_size; at += n) {
		n = sh->sh_size - at < sizeof(a) ? sh->sh_size - at : sizeof(a);
		if (!read_at(e, sh->sh_offset + at, a, n) ||
		    !read_code(exe, sh->sh_addr + at, b, n) || memcmp(a, b, n))
			return false;
	}
	return true;
}

int elf_file_same_code(const struct elf_file *e, const struct elf_file *exe)
{
	const Elf64_Shdr *sh;
	uint64_t total = 0;

	for (sh = e->sh; sh < e->sh + e->nsh; sh++) {
		if (sh->sh_type != SHT_PROGBITS || !(sh->sh_flags & SHF_EXECINSTR))
			continue;
		if (sh->sh_size > MAX_CODE - total || !same_bytes(e, sh, exe))
			return 1;
		total += sh->sh_size;
	}
	return total ? 0 : -1;
}

bool elf_file_crc(const struct elf_file *e, uint32_t *crc)
{
	static unsigned char buf[65536];
	uint64_t at;
	size_t n;

	if (e->size > MAX_CRC)
		return false;
	*crc = crc32(0, NULL, 0);
	for (at = 0; at < e->size; at += n) {
		n = e->size - at < sizeof(buf) ? e->size - at : sizeof(buf);
		if (!read_at(e, at, buf, n))
			return false;
		*crc = crc32(*crc, buf, n);
	}
	return true;
}
