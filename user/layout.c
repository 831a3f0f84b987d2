// SPDX-License-Identifier: GPL-2.0-only
#include "layout.h"

#include <stddef.h>
#include <string.h>

/*
 * bin_pad: until 23 erts_bin_nrml_alloc() went through the driver's variant, whose CHICKEN_PAD
 * adds 7 bytes (erl_binary.h).  bin_header: make_thing_word of a ProcBin, resp. BinRef.
 * carrier_shift: erl_mmap.h; ERTS_ALC_CPOOL_... shared_pool: until 23 +M<S>cp was one pool for all.
 */
static const struct release_facts releases[] = {
	{ .otp = 23, .tested = true, .slot_in_high_word = true, .nil = 0xfffffffffffffffbULL,
	  .bin_header = 0x160, .bin_node_bytes = 32, .bin_pad = 7, .drv_bin_pad = 7,
	  .carrier_shift = 18, .shared_pool = true, .flag_hibernate_pending = 1 << 19,
	  .tag_words = 1, .flag_trap_exit = 1 << 23 },
	{ .otp = 24, .slot_in_high_word = true, .nil = 0x3b, .bin_header = 0x160,
	  .bin_node_bytes = 32, .drv_bin_pad = 7, .carrier_shift = 14,
	  .flag_hibernate_pending = 1 << 18,
	  .tag_words = 1, .flag_trap_exit = 1 << 22 },
	{ .otp = 25, .tested = true, .slot_in_high_word = true, .nil = 0x3b, .bin_header = 0x160,
	  .bin_node_bytes = 32, .drv_bin_pad = 7, .carrier_shift = 14,
	  .flag_hibernate_pending = 1 << 18,
	  .tag_words = 1, .flag_trap_exit = 1 << 22 },
	{ .otp = 26, .list_has_wrt_bins = true, .nil = 0x3b, .bin_header = 0x160,
	  .bin_node_bytes = 32, .drv_bin_pad = 7, .carrier_shift = 14,
	  .flag_hibernate_pending = 1 << 18,
	  .tag_words = 1, .flag_trap_exit = 1 << 22 },
	{ .otp = 27, .tested = true, .list_has_wrt_bins = true, .nil = 0x3b, .bin_header = 0xa8,
	  .bin_node_bytes = 24, .drv_bin_pad = 7, .carrier_shift = 14,
	  .flag_hibernate_pending = 1 << 18,
	  .tag_words = 2, .flag_trap_exit = 1 << 22 },
	{ .otp = 28, .list_has_wrt_bins = true, .atom_name_is_term = true, .nil = 0x3b,
	  .bin_header = 0xa8, .bin_node_bytes = 24, .drv_bin_pad = 7,
	  .carrier_shift = 14, .flag_hibernate_pending = 1 << 18,
	  .tag_words = 2, .flag_trap_exit = 1 << 22 },
	{ .otp = 29, .tested = true, .list_has_wrt_bins = true, .atom_name_is_term = true,
	  .nil = 0x3b, .bin_header = 0xa8, .bin_node_bytes = 24, .drv_bin_pad = 7,
	  .carrier_shift = 14, .flag_hibernate_pending = 1 << 18,
	  .tag_words = 2, .flag_trap_exit = 1 << 22 },
};

/* The builds whose DWARF or recovered configuration the rows were taken from. */
static const struct { const char *row, *build_id; } builds[] = {
	{ "otp23-x86_64", "6b8d85799dfcc171c2dc2b692ef690c8450e2abb" }, /* Debian 11 */
	{ "otp25-x86_64", "94bcd90b66fca38e41e627fa3a2ec089b2e498be" }, /* Debian 12 */
	{ "otp27-x86_64", "d9c20f2ea54ccc715d68468199ec17a3d3a1ed94" }, /* Debian 13 */
	{ "otp29-x86_64", "a1a858f879ccf28e7871c290914b693182006115" }, /* Debian forky */
};

#include "layout_rows.h"

static const struct release_facts *facts_of(int otp)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(releases); i++)
		if (releases[i].otp == otp)
			return &releases[i];
	return NULL;
}

const struct release_facts *layout_facts(int otp)
{
	const struct release_facts *newest = &releases[ARRAY_SIZE(releases) - 1];

	return otp > newest->otp ? newest : facts_of(otp);
}

/* The generated columns, turned into rows. */
static void fill(void)
{
	size_t i;

	for (i = 0; i < ROWS; i++) {
		rows[i].facts = facts_of(rows[i].otp);
#define L(name, strukt, path, kind) rows[i].f.name = columns.name[i];
		EBEAM_LAYOUT_FIELDS(L)
#undef L
	}
}

const struct layout *layout_row(size_t i)
{
	if (!rows[0].facts)
		fill();
	return i < ROWS ? &rows[i] : NULL;
}

const struct layout *layout_find(int otp, bool jit, const char *arch)
{
	const struct layout *l;
	size_t i;

	for (i = 0; (l = layout_row(i)); i++)
		if (l->facts && l->otp == otp && l->jit == jit && !strcmp(l->arch, arch))
			return l;
	return NULL;
}

size_t layout_candidates(int otp, bool jit, const char *arch, const struct layout **lay, size_t max)
{
	static const int steps[] = { 0, -1, 1, -2, 2 };
	const struct release_facts *facts = layout_facts(otp);
	const struct layout *l;
	size_t i, n = 0;
	int other;

	if (!facts)
		return 0;
	for (i = 0; i < ARRAY_SIZE(steps); i++)
		for (other = 0; other < 2; other++) {
			l = layout_find(facts->otp + steps[i], jit ^ other, arch);
			if (l && n < max)
				lay[n++] = l;
		}
	return n;
}

enum layout_trust layout_trust_of(const struct layout *row, int otp, bool jit, const char *build_id)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(builds); i++)
		if (!strcmp(builds[i].row, row->name) && !strcmp(builds[i].build_id, build_id))
			return LAYOUT_EXACT;
	return row->otp == otp && row->jit == jit ? LAYOUT_RELEASE : LAYOUT_NEIGHBOUR;
}

void layout_take(struct layout *lay, const struct layout *row, int otp, enum layout_trust trust)
{
	int i;

	*lay = *row;
	lay->facts = layout_facts(otp);
	for (i = 0; i < LAYOUT_NFIELDS && trust != LAYOUT_EXACT; i++)
		if (layout_field_unproven(i))
			*layout_field_at(lay, i) = LAYOUT_ABSENT;
}

bool layout_tested(const struct layout *lay)
{
	return lay->facts->tested && lay->jit == (lay->otp > 23) && !strcmp(lay->arch, "x86_64");
}

const char *layout_trust_name(enum layout_trust t)
{
	static const char *const names[] = {
		"exact", "same release, other build", "neighbour",
	};

	return names[t];
}

static const struct { const char *name, *strukt; } fields[] = {
#define L(name, strukt, path, kind) { #name, strukt },
	EBEAM_LAYOUT_FIELDS(L)
#undef L
};

const char *layout_field_name(enum layout_field field)
{
	return fields[field].name;
}

const char *layout_field_struct(enum layout_field field)
{
	return fields[field].strukt;
}

bool layout_field_unproven(enum layout_field field)
{
	switch (field) {
#define U(name) case LF_##name: return true;
	EBEAM_LAYOUT_UNPROVEN(U)
#undef U
	default:
		return false;
	}
}

bool layout_field_landmark(enum layout_field field)
{
	switch (field) {
#define M(name) case LF_##name:
	EBEAM_LAYOUT_LANDMARKS(M)
#undef M
		return true;
	default:
		return false;
	}
}

bool layout_field_read(enum layout_field field)
{
	switch (field) {
#define L(name, strukt, path, kind) case LF_##name:
	EBEAM_LAYOUT_READ_FIELDS(L)
#undef L
		return true;
	default:
		return false;
	}
}

unsigned int *layout_field_at(struct layout *lay, enum layout_field field)
{
	static const size_t at[] = {
#define L(name, strukt, path, kind) offsetof(struct layout_fields, name),
		EBEAM_LAYOUT_FIELDS(L)
#undef L
	};

	return (unsigned int *)((char *)&lay->f + at[field]);
}

void layout_dump(const struct layout *lay)
{
#define L(name, strukt, path, kind)                                                                \
	if (lay->f.name == LAYOUT_ABSENT)                                                          \
		log_all("layout: %s.%s absent", strukt, path);                                     \
	else                                                                                       \
		log_all("layout: %s.%s = %u", strukt, path, lay->f.name);
	EBEAM_LAYOUT_FIELDS(L)
#undef L
}
