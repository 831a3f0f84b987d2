// SPDX-License-Identifier: GPL-2.0-only
#include "dwarf_file.h"
#include "util.h"

#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <errno.h>
#include <gelf.h>
#include <string.h>

#define MAX_DEBUG_BYTES (512ULL << 20) /* of all debug sections of a file, uncompressed */

/* The name of a section that has contents, else NULL. */
static const char *section_name(Elf *elf, Elf_Scn *scn, GElf_Shdr *sh)
{
	size_t strndx;

	if (elf_getshdrstrndx(elf, &strndx) || !gelf_getshdr(scn, sh) ||
	    sh->sh_type == SHT_NOBITS || !sh->sh_size)
		return NULL;
	return elf_strptr(elf, strndx, sh->sh_name);
}

static bool has_info(Elf *elf)
{
	Elf_Scn *scn = NULL;
	const char *name;
	GElf_Shdr sh;

	while ((scn = elf_nextscn(elf, scn))) {
		name = section_name(elf, scn, &sh);
		if (name && (!strcmp(name, ".debug_info") || !strcmp(name, ".zdebug_info")))
			return true;
	}
	return false;
}

/* All that libdw may load, uncompressed, is bounded: a few bytes can stand for gigabytes. */
static bool is_bounded(Elf *elf)
{
	Elf_Scn *scn = NULL;
	uint64_t left = MAX_DEBUG_BYTES;
	const char *name;
	GElf_Chdr ch;
	GElf_Shdr sh;
	ssize_t size;

	while ((scn = elf_nextscn(elf, scn))) {
		name = section_name(elf, scn, &sh);
		if (!name || !strstr(name, "debug"))
			continue;
		size = sh.sh_size;
		if (sh.sh_flags & SHF_COMPRESSED)
			size = gelf_getchdr(scn, &ch) ? (ssize_t)ch.ch_size : -1;
		else if (name[1] == 'z')
			size = dwelf_scn_gnu_compressed_size(scn);
		if (size < 0 || (uint64_t)size > left)
			return false;
		left -= size;
	}
	return true;
}

static bool is_elf(Elf *elf)
{
	return elf && elf_kind(elf) == ELF_K_ELF && gelf_getclass(elf) == ELFCLASS64;
}

/*
 * libdw leaves the relocations of a file that is not linked to its caller: such a file would be
 * misread.  That of dwz says it is one, and has none.
 */
static bool has_relocations(Elf *elf)
{
	Elf_Scn *scn = NULL;
	GElf_Ehdr eh;
	GElf_Shdr sh;

	if (!gelf_getehdr(elf, &eh))
		return true;
	while (eh.e_type == ET_REL && (scn = elf_nextscn(elf, scn)))
		if (!gelf_getshdr(scn, &sh) || sh.sh_type == SHT_REL || sh.sh_type == SHT_RELA)
			return true;
	return false;
}

/* Read, not mapped: another process may truncate a debug file meanwhile. */
static Elf *open_elf(int fd)
{
	elf_version(EV_CURRENT);
	return elf_begin(fd, ELF_C_READ, NULL);
}

__attribute__((format(printf, 3, 4))) static int refuse(char *why, size_t why_size, const char *fmt,
							...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* names in it may come from the file */
	if (why_size)
		text_escape(text, strlen(text), why, why_size);
	return -EINVAL;
}

static const char *open_one(int fd, Elf **elf, Dwarf **dbg)
{
	*elf = open_elf(fd);
	if (!is_elf(*elf))
		return "is no ELF file of 64 bits";
	if (!has_info(*elf))
		return "has no DWARF (.debug_info)";
	if (has_relocations(*elf))
		return "is not linked";
	if (!is_bounded(*elf))
		return "has debug sections that are damaged or too large";
	*dbg = dwarf_begin_elf(*elf, DWARF_C_READ, NULL);
	return *dbg ? NULL : "has damaged DWARF";
}

/* Once libdw has them, the sections are uncompressed, and are where it will read them. */
static void note_sections(struct dwarf_file *f, Elf *elf)
{
	Elf_Scn *scn = NULL;
	const char *name;
	Elf_Data *data;
	GElf_Shdr sh;

	while (elf && (scn = elf_nextscn(elf, scn)) && f->nsections < DWARF_FILE_SECTIONS) {
		name = section_name(elf, scn, &sh);
		data = name && strstr(name, "debug") ? elf_rawdata(scn, NULL) : NULL;
		if (!data || !data->d_buf)
			continue;
		f->section[f->nsections].start = data->d_buf;
		f->section[f->nsections++].end = (const char *)data->d_buf + data->d_size;
	}
}

/*
 * The two files of a dwz pair must be of one build.  A reference to a file that was not given
 * would have libdw look for it by a name out of the file: never with files that name one.
 */
static int join(struct dwarf_file *f, char *why, size_t why_size)
{
	const void *want, *have;
	const char *name, *ignored;
	ssize_t n = dwelf_dwarf_gnu_debugaltlink(f->dbg, &name, &want);

	if (n < 0)
		return refuse(why, why_size, "has a damaged .gnu_debugaltlink");
	if (!n)
		return 0;
	if (!f->alt_dbg)
		return refuse(why, why_size, "needs the DWARF of %s", name);
	if (dwelf_elf_gnu_build_id(f->alt_elf, &have) != n || memcmp(have, want, n))
		return refuse(why, why_size, "needs %s, but of another build", name);
	if (dwelf_dwarf_gnu_debugaltlink(f->alt_dbg, &ignored, &have))
		return refuse(why, why_size, "needs %s, which needs yet another file", name);
	dwarf_setalt(f->dbg, f->alt_dbg);
	return 0;
}

int dwarf_file_open(struct dwarf_file *f, int fd, int alt_fd, char *why, size_t why_size)
{
	const char *bad;
	int err;

	memset(f, 0, sizeof(*f));
	bad = open_one(fd, &f->elf, &f->dbg);
	if (bad) {
		err = refuse(why, why_size, "%s", bad);
		goto fail;
	}
	bad = alt_fd < 0 ? NULL : open_one(alt_fd, &f->alt_elf, &f->alt_dbg);
	if (bad) {
		err = refuse(why, why_size, "shares DWARF with a file that %s", bad);
		goto fail;
	}
	err = join(f, why, why_size);
	if (err)
		goto fail;
	note_sections(f, f->elf);
	note_sections(f, f->alt_elf);
	return 0;
fail:
	dwarf_file_close(f);
	return err;
}

void dwarf_file_close(struct dwarf_file *f)
{
	dwarf_end(f->dbg);
	elf_end(f->elf);
	dwarf_end(f->alt_dbg);
	elf_end(f->alt_elf);
	memset(f, 0, sizeof(*f));
}

bool dwarf_file_has_string(const struct dwarf_file *f, const char *s)
{
	size_t i;

	for (i = 0; i < f->nsections; i++)
		if (s >= f->section[i].start && s < f->section[i].end)
			return memchr(s, '\0', f->section[i].end - s);
	return false;
}

/* .gnu_debugaltlink: the name, NUL, the build id. */
static bool read_alt(Elf *elf, struct dwarf_alt *alt)
{
	Elf_Scn *scn = NULL;
	Elf_Data *data = NULL;
	const char *name;
	size_t len, i;
	GElf_Shdr sh;

	while (!data && (scn = elf_nextscn(elf, scn))) {
		name = section_name(elf, scn, &sh);
		if (name && !strcmp(name, ".gnu_debugaltlink"))
			data = elf_rawdata(scn, NULL);
	}
	if (!data || !data->d_buf)
		return false;
	len = strnlen(data->d_buf, data->d_size);
	if (len >= sizeof(alt->name) || len + 1 >= data->d_size ||
	    data->d_size - len - 1 >= sizeof(alt->build_id) / 2)
		return false;
	strcpy(alt->name, data->d_buf);
	for (i = 0; i < data->d_size - len - 1; i++)
		sprintf(alt->build_id + 2 * i, "%02x", ((unsigned char *)data->d_buf)[len + 1 + i]);
	return true;
}

bool dwarf_file_alt(int fd, struct dwarf_alt *alt)
{
	Elf *elf = open_elf(fd);
	bool found = is_elf(elf) && read_alt(elf, alt);

	elf_end(elf);
	return found;
}
