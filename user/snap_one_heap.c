// SPDX-License-Identifier: GPL-2.0-only
/* The heap of a process: what the collector would take for its roots (erl_gc.c, setup_rootset). */
#include "snap_one_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOT_FRAMES 200 /* with registers of their own in the account */
#define ROOT_KEYS 10000
#define PSD_NATIVE_CALL 5 /* ERTS_PSD_NFUNC_TRAP_WRAPPER */

static void root_of_key(void *arg, eterm_t pair, eterm_t key, eterm_t value, eterm_t list)
{
	struct term_limits lim = { .depth = 5, .max_terms = 30, .max_bytes = 60 };
	static const char lead[] = "dictionary ";
	struct one_arg *a = arg;
	char label[160] = "dictionary, other keys", *text;
	size_t n = sizeof(lead) - 1;

	(void)value;
	(void)list;
	if (a->one->heap.nroots < ROOT_KEYS) {
		text = term_text(a->r->ts, key, &lim, NULL);
		memcpy(label, lead, sizeof(lead));
		/* cut between characters */
		text_escape(text, strlen(text), label + n, sizeof(label) - n);
		free(text);
	}
	heap_root_add(&a->one->heap, label, pair);
}

static void root_of_list(void *arg, eterm_t pair, eterm_t key, eterm_t value, eterm_t list)
{
	struct one_arg *a = arg;

	(void)pair;
	(void)key;
	(void)value;
	if (list)
		heap_root_add(&a->one->heap, "dictionary", list);
}

static bool root_of_message(void *arg, const struct msgq_message *m)
{
	struct one_arg *a = arg;

	if (!m->attached && m->term && ((m->term | m->token | m->from) & 3)) {
		heap_root_add(&a->one->heap, "messages", m->term);
		heap_root_add(&a->one->heap, "messages", m->token);
		heap_root_add(&a->one->heap, "messages", m->from);
	}
	return true;
}

static void stack_roots(struct one *one, const struct stack *st)
{
	char label[2 * TERM_TEXT + 64];
	size_t i, k;

	for (i = 0; i < st->nx; i++) {
		snprintf(label, sizeof(label), "register x%zu", i);
		heap_root_add(&one->heap, label, st->x[i]);
	}
	for (i = 0; i < st->nframes; i++) {
		const struct stack_frame *f = &st->frames[i];

		for (k = 0; k < f->ny && f->y + k < st->nwords; k++) {
			if (i < ROOT_FRAMES)
				snprintf(label, sizeof(label), "%s y%zu",
					 f->at->known ? f->at->mfa : "(no function)", k);
			else
				snprintf(label, sizeof(label), "stack, deeper frames");
			heap_root_add(&one->heap, label, st->words[f->y + k]);
		}
	}
}

/* Arguments of a native function that was called and has not returned. */
static bool native_roots(struct one_reader *r, struct one *one, const unsigned char *raw)
{
	const struct layout_fields *f = &r->vm->lay->f;
	unsigned int at = r->vm->lay->otp < 24 ? 96 : 104, i;
	uint64_t psd = one_raw(raw, f->proc_psd), call = 0, w;
	int32_t argc;

	if (!psd)
		return true;
	if (!reader_u64(&r->vm->rd, psd + f->psd_data + 8 * PSD_NATIVE_CALL, &call))
		return false;
	if (!call)
		return true;
	if ((call & 7) || !reader_copy(&r->vm->rd, call + at, &argc, sizeof(argc)) || argc > 255)
		return false;
	for (i = 0; argc > 0 && i < (unsigned int)argc; i++) {
		if (!reader_u64(&r->vm->rd, call + at + 8 + 8 * i, &w))
			return false;
		heap_root_add(&one->heap, "others", w);
	}
	return true;
}

static bool other_roots(struct one_reader *r, struct one *one, const struct proc_image *p)
{
	const struct layout_fields *f = &r->vm->lay->f;
	unsigned char raw[PROC_BYTES_MAX];

	if (!reader_copy(&r->vm->rd, p->addr, raw, f->proc_size))
		return false;
	heap_root_add(&one->heap, "others", one_raw(raw, f->proc_seq_token));
	heap_root_add(&one->heap, "others", one_raw(raw, f->proc_fvalue));
	heap_root_add(&one->heap, "others", one_raw(raw, f->proc_ftrace));
	heap_root_add(&one->heap, "others", p->group_leader);
	if (r->vm->lay->otp >= 25)
		heap_root_add(&one->heap, "others", one_raw(raw, f->proc_parent));
	return native_roots(r, one, raw);
}

static bool all_roots(struct one_reader *r, struct one *one, const struct proc_image *p,
		      const char **why)
{
	struct one_arg a = { r, one };
	struct msgq_visitor v = { root_of_message, &a };
	uint64_t budget = CENSUS_WALK;
	struct stack st = { 0 };
	struct msgq_head head;
	struct msgq_sums sums;
	enum stack_status got;

	got = snap_stack_read(r->stacks, &one->who, 0, &st);
	if (got != STACK_OK)
		*why = one_stack_why(got);
	else if (st.cut)
		*why = "its stack has too many frames";
	else
		stack_roots(one, &st);
	snap_stack_free(&st);
	if (*why || !one_dict(r, p->dictionary, root_of_key, &a) ||
	    !one_dict(r, p->dictionary, root_of_list, &a) ||
	    !snap_msgq_read(r->vm, p->addr, &head))
		return false;
	/* messages that are not on its heap are told by the census */
	if ((head.flags & (MSGQ_OFF_HEAP | MSGQ_CHANGING)) != MSGQ_OFF_HEAP) {
		snap_msgq_walk(r->vm, r->ts->pages, &head, &budget, &v, &sums);
		if (sums.partial)
			return false;
	}
	return other_roots(r, one, p);
}

bool one_read_heap(struct one_reader *r, struct one *one, const struct proc_image *p,
		      const char **why)
{
	struct heap *h;
	int err = -EAGAIN;

	h = snap_heap_open(r->vm, p, why);
	if (!h)
		return false;
	if (all_roots(r, one, p, why)) {
		err = snap_heap_trace(h, r->ts, &one->heap);
		if (err)
			*why = err == -EFAULT ? "not all of it can be read" :
			       err == -E2BIG  ? "its terms are nested too deeply" :
						"its objects are not as they should be";
	}
	snap_heap_close(h);
	return !err;
}
