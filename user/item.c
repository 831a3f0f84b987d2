// SPDX-License-Identifier: GPL-2.0-only
#include "item.h"

#include <stdlib.h>
#include <string.h>

struct item *item_new(enum item_kind kind)
{
	struct item *it = xcalloc(1, sizeof(*it));

	it->kind = kind;
	return it;
}

struct item *item_u64(uint64_t u)
{
	struct item *it = item_new(ITEM_U64);

	it->u = u;
	return it;
}

struct item *item_double(double d)
{
	struct item *it = item_new(ITEM_DOUBLE);

	it->d = d;
	return it;
}

struct item *item_bool(bool b)
{
	struct item *it = item_new(ITEM_BOOL);

	it->b = b;
	return it;
}

struct item *item_text(const char *text)
{
	struct item *it = item_new(text ? ITEM_TEXT : ITEM_NULL);

	if (text)
		it->text = xstrdup(text);
	return it;
}

static bool has_children(const struct item *it)
{
	return it->kind == ITEM_LIST || it->kind == ITEM_OBJECT;
}

void item_free(struct item *it)
{
	size_t i;

	if (!it)
		return;
	if (it->kind == ITEM_TEXT)
		free(it->text);
	for (i = 0; has_children(it) && i < it->list.n; i++)
		item_free(it->list.v[i]);
	if (has_children(it))
		free(it->list.v);
	free(it);
}

struct item *item_push(struct item *list, struct item *child)
{
	if (list->list.n == list->list.cap) {
		list->list.cap = list->list.cap ? 2 * list->list.cap : 8;
		list->list.v = xrealloc(list->list.v, list->list.cap * sizeof(*list->list.v));
	}
	list->list.v[list->list.n++] = child;
	return child;
}

struct item *item_set(struct item *object, const char *key, struct item *child)
{
	child->key = key;
	return item_push(object, child);
}

const struct item *item_get(const struct item *object, const char *key)
{
	size_t i;

	for (i = 0; object && object->kind == ITEM_OBJECT && i < object->list.n; i++)
		if (!strcmp(object->list.v[i]->key, key))
			return object->list.v[i];
	return NULL;
}
