// SPDX-License-Identifier: GPL-2.0-only
/* Which process a word of the user's means: a pid, a registered name, a label. */
#include "snap_one.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BATCH 1024
#define DICT_MAX (1u << 16) /* words of a dictionary that may have a label */

static void add(struct one_found *f, const struct proc_id *id)
{
	if (f->n == f->cap) {
		f->cap = f->cap ? 2 * f->cap : 16;
		f->v = xrealloc(f->v, f->cap * sizeof(*f->v));
	}
	f->v[f->n++] = *id;
}

void one_found_free(struct one_found *f)
{
	free(f->v);
	memset(f, 0, sizeof(*f));
}

/* "<0.12.3>", "0.12.3", "12.3": the node's own part is 0 for its own processes. */
static bool parse_pid(const char *word, uint64_t *number, uint64_t *serial)
{
	unsigned long long v[3];
	bool angle = *word == '<';
	char *end;
	int n;

	word += angle;
	for (n = 0; n < 3; n++) {
		if (!isdigit((unsigned char)*word))
			return false;
		v[n] = strtoull(word, &end, 10);
		word = end;
		if (*word != '.' || n == 2)
			break;
		word++;
	}
	if (n < 1 || n > 2 || strcmp(word, angle ? ">" : "") || (n == 2 && v[0]))
		return false;
	*number = v[n - 1];
	*serial = v[n];
	return true;
}

/*
 * The table's slot of a pid's numbers, as erts_ptab_pixdata2data() has it the other way round: a
 * guess, since the slot's own pid is what counts.
 */
static uint64_t slot_of(const struct vm *vm, uint64_t number, uint64_t serial)
{
	uint64_t data = vm->lay->facts->slot_in_high_word ? number | serial << 15 :
							     number | serial << 28;
	uint64_t low = data & vm->pix_mask;

	return ((low & vm->pix_cl_mask) << vm->pix_cl_shift) |
	       ((low >> vm->pix_cli_shift) & vm->pix_cli_mask);
}

static bool is_at(struct vm *vm, uint64_t slot, const char *text, struct proc_id *id)
{
	char buf[64];

	*id = (struct proc_id){ .slot = slot };
	if (slot >= vm->proc_max || !reader_u64(&vm->rd, vm->tab + 8 * slot, &id->addr) ||
	    !id->addr || id->addr == vm->invalid_element ||
	    !reader_u64(&vm->rd, id->addr + vm->lay->f.proc_id, &id->id))
		return false;
	term_pid_text(vm, id->id, buf, sizeof(buf));
	return !strcmp(buf, text);
}

/* Where it should be, or anywhere: only then the whole table is read. */
static int find_pid(struct vm *vm, uint64_t number, uint64_t serial, struct one_found *f)
{
	struct proc_ids ids;
	struct proc_id id;
	char text[64], buf[64];
	size_t i;

	snprintf(text, sizeof(text), "<0.%llu.%llu>", (unsigned long long)number,
		 (unsigned long long)serial);
	if (is_at(vm, slot_of(vm, number, serial), text, &id)) {
		add(f, &id);
		return 0;
	}
	if (snap_proc_ids(vm, &ids))
		return -1;
	for (i = 0; i < ids.n; i++) {
		term_pid_text(vm, ids.v[i].id, buf, sizeof(buf));
		if (!strcmp(buf, text))
			add(f, &ids.v[i]);
	}
	snap_proc_ids_free(&ids);
	return 0;
}

static void find_name(struct vm *vm, const struct proc_ids *ids, const char *name,
		      struct one_found *f)
{
	struct read_req req[NAME_BATCH];
	uint64_t reg[NAME_BATCH], atom;
	size_t from, k, i;
	const char *text;

	for (from = 0; from < ids->n; from += k) {
		k = ids->n - from < NAME_BATCH ? ids->n - from : NAME_BATCH;
		for (i = 0; i < k; i++)
			req[i] = (struct read_req){ ids->v[from + i].addr + vm->lay->f.proc_reg,
						    &reg[i], 8, false };
		reader_batch(&vm->rd, req, k);
		for (i = 0; i < k; i++) {
			if (!req[i].ok || !reg[i] || (reg[i] & 7) ||
			    !reader_u64(&vm->rd, reg[i] + vm->lay->f.regproc_name, &atom))
				continue;
			text = term_atom(vm, atom);
			if (text && !strcmp(text, name))
				add(f, &ids->v[from + i]);
		}
	}
}

/* A label is any term: its text is what is asked for; of a string also what is in the quotes. */
static bool label_is(struct terms *ts, eterm_t t, const char *word, const char *escaped)
{
	struct term_limits lim = { .max_terms = 10000 };
	char *text = term_text(ts, t, &lim, NULL);
	size_t len = strlen(text), n = strlen(word);
	bool is = !strcmp(text, word) || !strcmp(text, escaped) ||
		  (len == n + 2 && text[0] == '"' && !memcmp(text + 1, word, n)) ||
		  (len == n + 6 && !memcmp(text, "<<\"", 3) && !memcmp(text + 3, word, n));

	free(text);
	return is;
}

static bool pair_label(struct terms *ts, eterm_t pair, eterm_t *label)
{
	const char *name;
	uint64_t arity;
	vmaddr_t at;
	eterm_t key;

	if (!term_is_boxed(pair) || !term_tuple(ts, pair, &arity, &at) || arity != 2 ||
	    !term_element(ts, pair, 0, &key) || !term_is_atom(key))
		return false;
	name = term_atom(ts->vm, key);
	return name && !strcmp(name, "$process_label") && term_element(ts, pair, 1, label);
}

/* The label of a process: what proc_lib keeps in the dictionary. */
static bool find_label(struct terms *ts, vmaddr_t dict, eterm_t *label)
{
	const struct layout_fields *f = &ts->vm->lay->f;
	eterm_t list, head;
	uint32_t size, i, k;
	uint64_t slot;
	bool found = false;

	if (!dict || !pages_copy(ts->pages, dict + f->dict_array_size, &size, sizeof(size)) ||
	    size > DICT_MAX)
		return false;
	for (i = 0; i < size && !found; i++) {
		if (!pages_u64(ts->pages, dict + f->dict_data + 8 * (uint64_t)i, &slot))
			return false;
		found = pair_label(ts, slot, label);
		for (list = slot, k = 0; !found && term_is_cons(list) && k < 64; k++)
			if (!term_list_next(ts, &list, &head))
				break;
			else
				found = pair_label(ts, head, label);
	}
	return found;
}

static void find_labelled(struct terms *ts, const struct proc_ids *ids, const char *word,
			  const char *escaped, struct one_found *f)
{
	uint64_t dict;
	eterm_t label;
	size_t i;

	for (i = 0; i < ids->n; i++)
		if (reader_u64(&ts->vm->rd, ids->v[i].addr + ts->vm->lay->f.proc_dictionary,
			       &dict) &&
		    find_label(ts, dict, &label) && label_is(ts, label, word, escaped))
			add(f, &ids->v[i]);
}

int one_find(struct terms *ts, const char *word, struct one_found *found)
{
	uint64_t number, serial;
	size_t len = strlen(word);
	struct proc_ids ids;
	char bare[TERM_TEXT], escaped[4 * TERM_TEXT];

	memset(found, 0, sizeof(*found));
	found->is_pid = parse_pid(word, &number, &serial);
	if (found->is_pid)
		return find_pid(ts->vm, number, serial, found);
	if (snap_proc_ids(ts->vm, &ids))
		return -1;
	/* 'a b', as the shell has it; control characters as they are, or as they are shown */
	snprintf(bare, sizeof(bare), "%s", word);
	if (len > 2 && len < sizeof(bare) && word[0] == '\'' && word[len - 1] == '\'')
		snprintf(bare, sizeof(bare), "%.*s", (int)len - 2, word + 1);
	text_escape(bare, strlen(bare), escaped, sizeof(escaped));
	find_name(ts->vm, &ids, escaped, found);
	if (!found->n && ts->vm->lay->otp >= 27)
		find_labelled(ts, &ids, word, escaped, found);
	snap_proc_ids_free(&ids);
	return 0;
}
