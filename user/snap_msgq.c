// SPDX-License-Identifier: GPL-2.0-only
#include "snap_msgq.h"

#include <string.h>

#define BUFFERS 64	   /* ERTS_PROC_SIG_INQ_BUFFERED_NR_OF_BUFFERS */
#define SLOT_MAX 256
#define SIGNALS_MAX 4096   /* other signals followed to count the messages between them */
#define FRAGS_MAX 100000   /* fragments of one message */
#define MESSAGE_MAX 128
#define RECV_MARKER_BYTES 56 /* sizeof(ErtsRecvMarker): they are in the inner queue, from 24 on */
#define BYTES_MAX (1ULL << 47) /* of all messages: an address space */
#define LEN_DELAYED 64	   /* FS_DELAYED_PSIGQS_LEN, until 26: `len` is an offset for a moment */

/* erl_message.h: a header of an external pid's kind, which no message begins with */
static bool is_signal(eterm_t tag)
{
	return (tag & 0x3f) == 0x30;
}

void snap_msgq_head(const struct vm *vm, const unsigned char *process, struct msgq_head *h)
{
	const struct layout_fields *f = &vm->lay->f;

	memset(h, 0, sizeof(*h));
	h->inner.first = raw_u64(process, f->proc_sig_first);
	h->inner.len = raw_u64(process, f->proc_sig_len);
	h->middle.first = raw_u64(process, f->proc_sig_cont);
	h->middle.signal = raw_u64(process, f->proc_sig_signals);
	if (f->proc_sig_mlenoffs != LAYOUT_ABSENT)
		h->middle.len = raw_u64(process, f->proc_sig_mlenoffs);
	h->outer.first = raw_u64(process, f->proc_inq_first);
	h->outer.signal = raw_u64(process, f->proc_inq_signals);
	h->outer.len = raw_u64(process, f->proc_inq_len);
	if (f->proc_inq_buffers != LAYOUT_ABSENT)
		h->buffers = raw_u64(process, f->proc_inq_buffers);
	h->save = raw_u64(process, f->proc_sig_save);
	memcpy(&h->flags, process + f->proc_sig_flags, sizeof(h->flags));
}

bool snap_msgq_read(struct vm *vm, vmaddr_t process, struct msgq_head *h)
{
	unsigned char raw[2048 + 64];

	if (vm->lay->f.proc_size > sizeof(raw) - 64 ||
	    !reader_copy(&vm->rd, process, raw, vm->lay->f.proc_size))
		return false;
	snap_msgq_head(vm, raw, h);
	return true;
}

const char *snap_msgq_data(const struct msgq_head *h)
{
	switch (h->flags & (MSGQ_OFF_HEAP | MSGQ_ON_HEAP)) {
	case MSGQ_OFF_HEAP:
		return "off_heap";
	case MSGQ_ON_HEAP:
		return "on_heap";
	default:
		return NULL;
	}
}

/* --- how long --------------------------------------------------------------------------------- */

/*
 * From 27 on a queue counts what stands behind its last other signal, and each of those what stands
 * before it, up to the one before that.
 */
static bool list_len(struct vm *vm, const struct msgq_list *l, uint64_t *len)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t sum = l->len, at = l->signal, sig, head[4];
	unsigned int i;

	for (i = 0; f->sig_mlenoffs != LAYOUT_ABSENT && at; i++) {
		if (i == SIGNALS_MAX || !reader_u64(&vm->rd, at, &sig) || sig & 7 ||
		    !reader_copy(&vm->rd, sig, head, sizeof(head)) || !is_signal(head[2]))
			return false;
		sum += head[f->sig_mlenoffs / 8 & 3];
		at = head[1];
	}
	*len = sum;
	return sum < 1ULL << 40;
}

/* The buffers of the outer queue, from one copy of them. */
static bool read_buffers(struct vm *vm, vmaddr_t buffers, struct msgq_list lists[BUFFERS])
{
	const struct layout_fields *f = &vm->lay->f;
	unsigned char raw[BUFFERS * SLOT_MAX], *q;
	size_t size = f->inqbuf_slot_size, i;
	vmaddr_t self;

	if (size > SLOT_MAX || f->inqbuf_queue + 40ULL > size ||
	    !reader_copy(&vm->rd, buffers + f->inqbuf_slots, raw, BUFFERS * size))
		return false;
	for (i = 0; i < BUFFERS; i++) {
		q = raw + i * size + f->inqbuf_queue;
		self = buffers + f->inqbuf_slots + i * size + f->inqbuf_queue;
		lists[i] = (struct msgq_list){ raw_u64(q, 0), raw_u64(q, 24), raw_u64(q, 16) };
		/* first, last, length, signals: an empty one's last points to its first */
		if (!lists[i].first && raw_u64(q, 8) != self)
			return false;
	}
	return true;
}

void snap_msgq_len(struct vm *vm, const struct msgq_head *h, struct msgq_len *len)
{
	bool whole = vm->lay->f.sig_mlenoffs == LAYOUT_ABSENT; /* len counts the middle, too */
	struct msgq_list lists[BUFFERS];
	uint64_t middle = 0, outer, one;
	size_t i;

	memset(len, 0, sizeof(*len));
	if (h->inner.len < 0 || (whole && h->flags & LEN_DELAYED))
		return;
	if ((!whole && !list_len(vm, &h->middle, &middle)) || !list_len(vm, &h->outer, &outer))
		return;
	if (h->buffers) {
		if (!read_buffers(vm, h->buffers, lists))
			return;
		for (i = 0; i < BUFFERS; i++, outer += one)
			if (!list_len(vm, &lists[i], &one))
				return;
	}
	len->in_transit = middle + outer;
	len->len = h->inner.len + len->in_transit;
	len->known = len->len < 1ULL << 40;
}

/* --- one by one ------------------------------------------------------------------------------- */

struct walk {
	struct vm *vm;
	struct pages *pages;
	uint64_t *budget;
	const struct msgq_visitor *v;
	struct msgq_sums *sums;
	bool stopped;
};

/* erts_used_frag_sz() */
static bool frag_words(struct walk *w, vmaddr_t frag, uint64_t *words)
{
	const struct layout_fields *f = &w->vm->lay->f;
	unsigned int i;
	uint64_t used;

	for (i = 0; frag; i++) {
		if (i == FRAGS_MAX || frag & 7 ||
		    !pages_u64(w->pages, frag + f->frag_used_size, &used) || used >= 1ULL << 40 ||
		    !pages_u64(w->pages, frag + f->frag_next, &frag))
			return false;
		*words += used;
	}
	return true;
}

/*
 * From another node, not yet decoded: behind the fragment's words stands an ErtsDistExternal, which
 * begins with the words that the term will take, or -1 as long as nobody has asked.
 */
static bool external_words(struct walk *w, struct msgq_message *m)
{
	const struct layout_fields *f = &w->vm->lay->f;
	uint64_t used, size;

	if (!pages_u64(w->pages, m->attached + f->frag_used_size, &used) || used >= 1ULL << 40 ||
	    !pages_u64(w->pages, m->attached + f->frag_mem + 8 * used, &size))
		return false;
	m->words_known = size < 1ULL << 40;
	if (m->words_known)
		m->words = size + (m->token == w->vm->lay->facts->nil ? 0 : used);
	return true;
}

static bool message_words(struct walk *w, struct msgq_message *m)
{
	m->words_known = true;
	if (!m->attached)
		return true;
	if (m->attached == 1)
		return frag_words(w, m->addr + w->vm->lay->f.msg_frag, &m->words);
	return m->term ? frag_words(w, m->attached, &m->words) : external_words(w, m);
}

static bool visit(struct walk *w, struct msgq_message *m)
{
	struct msgq_sums *s = w->sums;

	if (!message_words(w, m))
		return false;
	s->messages++;
	s->in_transit += m->in_transit;
	s->attached_words += m->words;
	s->bytes += w->vm->lay->f.msg_size + 8 * m->words;
	s->words_known &= m->words_known;
	if (m->words >= BYTES_MAX / 8 || s->bytes >= BYTES_MAX)
		return false;
	if (w->v)
		w->stopped = !w->v->message(w->v->arg, m);
	return true;
}

static bool walk_list(struct walk *w, vmaddr_t at, bool in_transit)
{
	const struct layout_fields *f = &w->vm->lay->f;
	unsigned char raw[MESSAGE_MAX];
	struct msgq_message m;
	vmaddr_t next;

	for (; at && !w->stopped; at = next) {
		if (!*w->budget || at & 7 || !pages_copy(w->pages, at, raw, f->msg_frag))
			return false;
		--*w->budget;
		next = raw_u64(raw, f->msg_next);
		memset(&m, 0, sizeof(m));
		m.addr = at;
		m.attached = raw_u64(raw, f->msg_attached);
		m.term = raw_u64(raw, f->msg_m);
		m.token = raw_u64(raw, f->msg_m + 8);
		m.from = raw_u64(raw, f->msg_m + 16);
		m.in_transit = in_transit;
		if (!is_signal(m.term)) {
			if (!visit(w, &m))
				return false;
		} else if (!in_transit) {
			w->sums->bytes += RECV_MARKER_BYTES;
		}
	}
	return true;
}

/* The words of a message that are read come before the fragment that may be part of it. */
static bool message_fits(const struct layout_fields *f)
{
	const uint64_t size = f->msg_frag;

	return size <= MESSAGE_MAX && f->msg_next + 8ULL <= size &&
	       f->msg_attached + 8ULL <= size && f->msg_m + 24ULL <= size;
}

void snap_msgq_walk(struct vm *vm, struct pages *pages, const struct msgq_head *h,
		    uint64_t *budget, const struct msgq_visitor *v, struct msgq_sums *sums)
{
	struct walk w = { vm, pages, budget, v, sums, false };
	struct msgq_list lists[BUFFERS];
	size_t i;
	bool ok;

	memset(sums, 0, sizeof(*sums));
	sums->words_known = true;
	ok = message_fits(&vm->lay->f) && walk_list(&w, h->inner.first, false) &&
	     walk_list(&w, h->middle.first, true) && walk_list(&w, h->outer.first, true);
	if (ok && h->buffers && !w.stopped) {
		ok = read_buffers(vm, h->buffers, lists);
		for (i = 0; ok && i < BUFFERS; i++)
			ok = walk_list(&w, lists[i].first, true);
	}
	sums->partial = !ok;
}
