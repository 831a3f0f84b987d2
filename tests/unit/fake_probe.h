/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's maps, made by hand: what probe_read_map() and the like answer from in a test.
 *
 * The tests link against libebeam.a: as long as a test defines all of probe.c that it needs, the
 * linker does not look for the real one.
 */
#ifndef FAKE_PROBE_H
#define FAKE_PROBE_H

#include "rows.h"

#include <stdlib.h>
#include <string.h>

static struct fake_map {
	char *keys, *values;
	size_t n;
} fake_maps[MAP_CARRIERS + 1];
static struct probe_counts fake_counts;
static unsigned int fake_taken; /* calls of probe_take() that found an entry */
/* Called before each: what happens meanwhile in the VM. */
static void (*fake_before_take)(enum probe_map map, const void *key);

static inline void *fake_find(enum probe_map map, const void *key)
{
	struct fake_map *m = &fake_maps[map];
	size_t i, ks = rows_key_size(map);

	for (i = 0; i < m->n; i++)
		if (!memcmp(m->keys + i * ks, key, ks))
			return m->values + i * rows_value_size(map);
	return NULL;
}

/* The value of a key, made (zeroed) when it is not there. */
static inline void *fake_put(enum probe_map map, const void *key)
{
	struct fake_map *m = &fake_maps[map];
	size_t ks = rows_key_size(map), vs = rows_value_size(map);
	void *value = fake_find(map, key);

	if (value)
		return value;
	m->keys = xrealloc(m->keys, (m->n + 1) * ks);
	m->values = xrealloc(m->values, (m->n + 1) * vs);
	memcpy(m->keys + m->n * ks, key, ks);
	value = m->values + m->n++ * vs;
	return memset(value, 0, vs);
}

static inline void fake_clear(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fake_maps); i++) {
		free(fake_maps[i].keys);
		free(fake_maps[i].values);
	}
	memset(fake_maps, 0, sizeof(fake_maps));
	memset(&fake_counts, 0, sizeof(fake_counts));
	fake_before_take = NULL;
	fake_taken = 0;
}

size_t probe_read_map(const struct probe *p, enum probe_map map, void **keys, void **values)
{
	const struct fake_map *m = &fake_maps[map];
	size_t ks = rows_key_size(map), vs = rows_value_size(map);

	*keys = xcalloc(m->n + 1, ks);
	*values = xcalloc(m->n + 1, vs);
	if (m->n) {
		memcpy(*keys, m->keys, m->n * ks);
		memcpy(*values, m->values, m->n * vs);
	}
	return m->n;
}

bool probe_take(const struct probe *p, enum probe_map map, const void *key, void *value)
{
	struct fake_map *m = &fake_maps[map];
	size_t ks = rows_key_size(map), vs = rows_value_size(map), at;
	char *found;

	if (fake_before_take)
		fake_before_take(map, key);
	found = fake_find(map, key);
	if (!found)
		return false;
	memcpy(value, found, vs);
	at = (found - m->values) / vs;
	m->n--;
	memmove(m->keys + at * ks, m->keys + (at + 1) * ks, (m->n - at) * ks);
	memmove(m->values + at * vs, m->values + (at + 1) * vs, (m->n - at) * vs);
	fake_taken++;
	return true;
}

void probe_counts(const struct probe *p, struct probe_counts *c)
{
	*c = fake_counts;
}

#endif
