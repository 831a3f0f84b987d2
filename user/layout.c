// SPDX-License-Identifier: GPL-2.0-only
#include "layout.h"

#include <string.h>

/*
 * bin_pad: until 23 erts_bin_nrml_alloc() went through the driver's variant, whose CHICKEN_PAD
 * adds 7 bytes (erl_binary.h).  bin_header: make_thing_word of a ProcBin, resp. BinRef.
 * carrier_shift: erl_mmap.h; ERTS_ALC_CPOOL_... shared_pool: until 23 +M<S>cp was one pool for all.
 */
static const struct release_facts releases[] = {
	{ .otp = 23, .tested = true, .slot_in_high_word = true, .nil = 0xfffffffffffffffbULL,
	  .bin_header = 0x160, .bin_node_bytes = 32, .bin_pad = 7, .drv_bin_pad = 7,
	  .carrier_shift = 18, .shared_pool = true, .flag_hibernate_pending = 1 << 19 },
	{ .otp = 24, .slot_in_high_word = true, .nil = 0x3b, .bin_header = 0x160,
	  .bin_node_bytes = 32, .drv_bin_pad = 7, .carrier_shift = 14,
	  .flag_hibernate_pending = 1 << 18 },
	{ .otp = 25, .tested = true, .slot_in_high_word = true, .nil = 0x3b, .bin_header = 0x160,
	  .bin_node_bytes = 32, .drv_bin_pad = 7, .carrier_shift = 14,
	  .flag_hibernate_pending = 1 << 18 },
	{ .otp = 26, .list_has_wrt_bins = true, .nil = 0x3b, .bin_header = 0x160,
	  .bin_node_bytes = 32, .drv_bin_pad = 7, .carrier_shift = 14,
	  .flag_hibernate_pending = 1 << 18 },
	{ .otp = 27, .tested = true, .list_has_wrt_bins = true, .nil = 0x3b, .bin_header = 0xa8,
	  .bin_node_bytes = 24, .drv_bin_pad = 7, .carrier_shift = 14,
	  .flag_hibernate_pending = 1 << 18 },
	{ .otp = 28, .list_has_wrt_bins = true, .atom_name_is_term = true, .nil = 0x3b,
	  .bin_header = 0xa8, .bin_node_bytes = 24, .drv_bin_pad = 7,
	  .carrier_shift = 14, .flag_hibernate_pending = 1 << 18 },
	{ .otp = 29, .tested = true, .list_has_wrt_bins = true, .atom_name_is_term = true,
	  .nil = 0x3b, .bin_header = 0xa8, .bin_node_bytes = 24, .drv_bin_pad = 7,
	  .carrier_shift = 14, .flag_hibernate_pending = 1 << 18 },
};

static struct layout rows[] = {
#include "layout_rows.h"
};

static const struct release_facts *facts_of(int otp)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(releases); i++)
		if (releases[i].otp == otp)
			return &releases[i];
	return NULL;
}

const struct layout *layout_row(size_t i)
{
	if (i >= ARRAY_SIZE(rows))
		return NULL;
	rows[i].facts = facts_of(rows[i].otp);
	return &rows[i];
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
