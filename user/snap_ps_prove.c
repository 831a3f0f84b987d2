// SPDX-License-Identifier: GPL-2.0-only
/*
 * Are the fields that `ps` reads where this layout says?  Looked at on the node's own processes.
 *
 * Most of them have a mark that nothing else has: an empty queue's `last` points to its `first`,
 * arg_reg to def_arg_reg, a tree's node to its parent, a link to a process that has it too.  The
 * others have no content of their own in a quiet node, and are known by where they stand: as far
 * from a marked one as they are declared.
 */
#include "ebeam_shared.h"
#include "prove.h"
#include "snap_ps.h"
#include "term.h"

#include <string.h>

#define SEEN 512  /* processes looked at */
#define FIRST 256 /* numbers of processes */
#define PROCESS_MAX 2048
#define LINKS_MAX 20000	 /* of one process */
#define LINKS_ALL 1000000 /* of all, and of those that they lead to */

/* --- how far apart they stand ----------------------------------------------------------------- */

struct pair {
	enum layout_field from, to;
	int bytes;
	int first, last; /* releases */
};

#define P(from, to, bytes) { LF_##from, LF_##to, bytes, 0, 99 }
#define P_IN(from, to, bytes, first, last) { LF_##from, LF_##to, bytes, first, last }

static const struct pair registers[] = {
	P_IN(proc_arity, proc_max_arg_reg, 16, 23, 26),
	P_IN(proc_arg_reg, proc_max_arg_reg, 8, 23, 26),
	P_IN(proc_arity, proc_max_arg_reg, 1, 27, 99),
	P_IN(proc_arg_reg, proc_def_arg_reg, 8, 27, 99),
	P_IN(proc_max_arg_reg, proc_def_arg_reg, 8, 23, 26),
};

static const struct pair queues[] = {
	P(proc_sig_first, proc_sig_last, 8), P(proc_sig_last, proc_sig_save, 8),
	P_IN(proc_sig_save, proc_sig_cont, 8, 23, 26),
	P_IN(proc_sig_cont, proc_sig_len, 40, 23, 26),
	P_IN(proc_sig_len, proc_sig_flags, 8, 23, 26),
	P_IN(proc_sig_save, proc_sig_len, 8, 27, 99), P_IN(proc_sig_len, proc_sig_cont, 8, 27, 99),
	P_IN(proc_sig_cont, proc_sig_mlenoffs, 32, 27, 99),
	P_IN(proc_sig_mlenoffs, proc_sig_flags, 16, 27, 99),
	P(proc_sig_cont, proc_sig_cont_last, 8),
	P(proc_sig_cont, proc_sig_signals, 16), P(proc_inq_first, proc_inq_last, 8),
	P(proc_inq_first, proc_inq_len, 16), P(proc_inq_first, proc_inq_signals, 24),
	P(proc_inq_first, proc_inq_buffers, 40), P(msg_attached, msg_m, 8),
	P_IN(msg_m, sig_mlenoffs, 8, 27, 99),
};

static const struct pair links[] = {
	P(proc_reg, proc_links, 8), P(proc_links, proc_lt_monitors, 8),
	P(proc_lt_monitors, proc_monitors, 8), P(ml_list_next, ml_right, 8),
	P(ml_right, ml_left, 8),
	P(ml_other, ml_offset, 8), P(ml_offset, ml_key_offset, 2), P(ml_offset, ml_flags, 4),
	P(ml_flags, ml_type, 2), P(ml_flags, ml_size, 4), P(mondata_ref, mondata_size, 16),
};

static const struct pair parents[] = { P(proc_initial, proc_parent, 32) };

static const struct pair psds[] = { P(proc_mbuf_sz, proc_psd, 8) };

static bool apart(const struct vm *vm, const struct pair *p, size_t n)
{
	unsigned int a, b;
	size_t i;

	for (i = 0; i < n; i++) {
		a = *layout_field_at((struct layout *)vm->lay, p[i].from);
		b = *layout_field_at((struct layout *)vm->lay, p[i].to);
		if (vm->otp < p[i].first || vm->otp > p[i].last || a == LAYOUT_ABSENT ||
		    b == LAYOUT_ABSENT)
			continue;
		if (a + p[i].bytes != b) {
			log_step("%s and %s are not as far apart as they are declared",
				 layout_field_name(p[i].from), layout_field_name(p[i].to));
			return false;
		}
	}
	return true;
}

#define APART(vm, pairs) apart(vm, pairs, ARRAY_SIZE(pairs))

/* What the code knows by itself. */
static bool shapes(const struct vm *vm)
{
	const struct layout_fields *f = &vm->lay->f;

	return f->ml_list_next == 0 && f->ml_right == 8 && f->mondata_origin == 0 &&
	       (f->ml_type == LAYOUT_ABSENT) == (vm->otp >= 28) &&
	       f->linkdata_size == 2 * f->ml_size + 8 && f->mondata_ref == 2 * f->ml_size &&
	       (f->sig_mlenoffs == LAYOUT_ABSENT || f->sig_mlenoffs == 24);
}

static bool messages(const struct vm *vm)
{
	const struct layout_fields *f = &vm->lay->f;

	return f->msg_size == f->msg_frag + f->frag_mem + 8 &&
	       (f->sig_mlenoffs != LAYOUT_ABSENT) == (vm->otp >= 27) &&
	       (f->proc_sig_mlenoffs != LAYOUT_ABSENT) == (vm->otp >= 27) &&
	       (f->proc_inq_buffers != LAYOUT_ABSENT) == (vm->otp >= 25);
}

/* --- what they hold --------------------------------------------------------------------------- */

struct tally {
	unsigned int seen, own_registers, six_registers, arities, inner, middle, outer, kinds, lens;
	unsigned int psds, psds_fit, psds_right, parents, parent_pids;
	unsigned int walked, walks, links, links_right, monitors, monitors_right;
	uint64_t links_left; /* of LINKS_ALL */
};

static void tally_registers(const struct vm *vm, vmaddr_t addr, const unsigned char *raw,
			    struct tally *t)
{
	const struct layout_fields *f = &vm->lay->f;
	bool byte = f->proc_arity_size == 1;
	uint64_t arity = byte ? raw[f->proc_arity] : raw_u64(raw, f->proc_arity);
	uint32_t max;

	memcpy(&max, raw + f->proc_max_arg_reg, 4);
	t->own_registers += raw_u64(raw, f->proc_arg_reg) == addr + f->proc_def_arg_reg;
	/* as many as there is room for in the struct */
	t->six_registers += byte ? raw[f->proc_max_arg_reg] == 6 : max == 6;
	t->arities += arity <= 255;
}

/* An empty queue's last points to its first; another's to a word that is 0, its end. */
static bool ends(struct vm *vm, vmaddr_t addr, const unsigned char *raw, unsigned int first,
		 unsigned int last)
{
	uint64_t end = raw_u64(raw, last), nil;

	if (!raw_u64(raw, first))
		return end == addr + first;
	return !(end & 7) && reader_u64(&vm->rd, end, &nil) && !nil;
}

static void tally_queues(struct vm *vm, vmaddr_t addr, const unsigned char *raw, struct tally *t)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t len = raw_u64(raw, f->proc_sig_len);
	struct msgq_head h;

	snap_msgq_head(vm, raw, &h);
	t->inner += ends(vm, addr, raw, f->proc_sig_first, f->proc_sig_last);
	t->middle += ends(vm, addr, raw, f->proc_sig_cont, f->proc_sig_cont_last);
	t->outer += ends(vm, addr, raw, f->proc_inq_first, f->proc_inq_last);
	t->kinds += snap_msgq_data(&h) && h.flags < 1 << 20;
	t->lens += h.inner.first || h.middle.first || !len;
}

/* The array fills its block, unless what was left of it was too small for another. */
static void tally_psd(struct vm *vm, const unsigned char *raw, struct tally *t)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t psd = raw_u64(raw, f->proc_psd), hdr, need = 8 + f->psd_size;

	if (!psd)
		return;
	t->psds++;
	if (psd & 7 || !reader_u64(&vm->rd, psd - 8, &hdr))
		return;
	if (!prove_has_instances(vm, "std_alloc"))
		need = (need + 15) & ~15ULL;
	t->psds_fit += EB_BLOCK_BYTES(hdr) >= need;
	t->psds_right += EB_BLOCK_BYTES(hdr) == need;
}

static void tally_parent(struct vm *vm, const unsigned char *raw, struct tally *t)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t parent = raw_u64(raw, f->proc_parent);

	t->parents += term_is_pid(parent) || term_is_atom(parent) || (parent & 3) == 2 ||
		      parent == vm->lay->facts->nil;
	t->parent_pids += term_is_pid(parent);
}

/* --- links lead back -------------------------------------------------------------------------- */

struct back {
	struct ps *ps;
	struct tally *t;
	eterm_t self;	 /* whose links are visited */
	eterm_t wanted;	 /* who must be among them */
	enum ml_kind kind;
	bool found;
};

static bool look_for(void *arg, const struct ml_entry *e)
{
	struct back *b = arg;

	b->found |= e->kind == b->kind && e->other == b->wanted;
	return !b->found;
}

/* Walks those of a process, no more than there is time for: false when they are too many. */
static bool walk_some(struct ps *ps, struct tally *t, const unsigned char *raw,
		      const struct ml_visitor *v, struct ml_sums *sums)
{
	uint64_t most = t->links_left < LINKS_MAX ? t->links_left : LINKS_MAX, left = most;
	struct ml_roots roots;

	snap_links_roots(ps->vm, raw, &roots);
	snap_links_walk(ps->vm, &ps->pages, &roots, &left, v, sums);
	/* what it led to was walked meanwhile, too */
	t->links_left -= most - left < t->links_left ? most - left : t->links_left;
	return left > 0;
}

/* Has the other process the other end?  -1: it has more of them than are looked at. */
static int leads_back(struct back *b, const struct ml_entry *e)
{
	struct back other = { .wanted = b->self,
			      .kind = e->kind == ML_LINK ? ML_LINK : ML_MONITORED_BY };
	struct ml_visitor v = { look_for, &other };
	unsigned char raw[PROCESS_MAX + PS_SLACK];
	struct proc_id who;
	struct ml_sums sums;

	if (!snap_ps_find(b->ps, e->other, &who) ||
	    !reader_copy(&b->ps->vm->rd, who.addr, raw, b->ps->vm->lay->f.proc_size))
		return 0;
	if (!walk_some(b->ps, b->t, raw, &v, &sums) && !other.found)
		return -1;
	return other.found;
}

static bool look_at_link(void *arg, const struct ml_entry *e)
{
	struct back *b = arg;
	int back;

	if (e->type != ML_PROC || !term_is_pid(e->other) ||
	    (e->kind != ML_LINK && e->kind != ML_MONITOR))
		return true;
	back = leads_back(b, e);
	if (back >= 0 && e->kind == ML_LINK) {
		b->t->links++;
		b->t->links_right += back;
	} else if (back >= 0) {
		b->t->monitors++;
		b->t->monitors_right += back;
	}
	return b->t->links + b->t->monitors < 200;
}

static void tally_links(struct ps *ps, eterm_t id, const unsigned char *raw, struct tally *t)
{
	struct back b = { .ps = ps, .t = t, .self = id };
	struct ml_visitor v = { look_at_link, &b };
	struct ml_sums sums;

	if (t->links + t->monitors >= 200 || !t->links_left ||
	    !walk_some(ps, t, raw, &v, &sums))
		return;
	t->walks++;
	t->walked += !sums.partial;
}

/* --- the verdict ------------------------------------------------------------------------------ */

static bool mostly(unsigned int good, unsigned int of)
{
	return of && 2 * good >= of;
}

static void judge(struct ps *ps, const struct tally *t)
{
	log_all("ps: %u seen; registers %u %u %u; queues %u %u %u %u %u; psd %u/%u; parents %u %u; "
		"links %u/%u, %u/%u, %u/%u", t->seen, t->own_registers,
		t->six_registers, t->arities, t->inner, t->middle, t->outer, t->kinds, t->lens,
		t->psds_right, t->psds, t->parents, t->parent_pids,
		t->walked, t->walks, t->links_right, t->links, t->monitors_right, t->monitors);
	ps->ok.registers = ps->ok.registers && mostly(t->own_registers, t->seen) &&
			   mostly(t->six_registers, t->seen) && t->arities == t->seen;
	ps->ok.queues = ps->ok.queues && t->seen && prove_enough(t->inner, t->seen, 16) &&
			prove_enough(t->middle, t->seen, 16) &&
			prove_enough(t->outer, t->seen, 16) &&
			prove_enough(t->kinds, t->seen, 16) &&
			prove_enough(t->lens, t->seen, 16);
	ps->ok.psd = ps->ok.psd && prove_enough(t->psds_fit, t->psds, 16) &&
		     mostly(t->psds_right, t->psds);
	ps->ok.parent = ps->ok.parent && prove_enough(t->parents, t->seen, 16) &&
			mostly(t->parent_pids, t->seen);
	ps->ok.links = ps->ok.links && t->links && prove_enough(t->walked, t->walks, 16) &&
		       prove_enough(t->links_right, t->links, 16) &&
		       prove_enough(t->monitors_right, t->monitors, 16);
}

/* Or not far behind its end, where a test moved them: all copies have room there. */
static bool all_inside(const struct vm *vm)
{
	uint64_t end = vm->lay->f.proc_size + (uint64_t)PS_SLACK;
	unsigned int off;
	size_t i;

	for (i = 0; i < LAYOUT_NFIELDS; i++) {
		off = *layout_field_at((struct layout *)vm->lay, i);
		if (i == LF_proc_arity_size) /* no offset */
			continue;
		if (!strcmp(layout_field_struct(i), "Process") && off != LAYOUT_ABSENT &&
		    off + 8ULL > end)
			return false;
	}
	return true;
}

/* Nothing is read at an offset that does not even stand where it should. */
void snap_ps_places(struct ps *ps)
{
	struct vm *vm = ps->vm;
	const struct layout_fields *f = &vm->lay->f;

	memset(&ps->ok, 0, sizeof(ps->ok));
	ps->fits = all_inside(vm);
	if (!ps->fits)
		return;
	ps->ok.registers = APART(vm, registers) && f->proc_arity_size == (vm->otp < 27 ? 8 : 1);
	ps->ok.queues = APART(vm, queues) && messages(vm);
	ps->ok.psd = APART(vm, psds) && f->psd_data == 0;
	ps->ok.parent = APART(vm, parents);
	ps->ok.links = APART(vm, links) && shapes(vm);
}

static void tell(const struct ps *ps, char *why, size_t size)
{
	const struct ps_proven *ok = &ps->ok;
	size_t n = 0;

	why[0] = '\0';
	if (ok->registers && ok->psd && ok->queues && ok->links && ok->parent)
		return;
	n += snprintf(why, size, "not proven on this VM, and missing:");
	if (!ok->queues && n < size)
		n += snprintf(why + n, size - n, " message queues,");
	if (!ok->links && n < size)
		n += snprintf(why + n, size - n, " links and monitors,");
	if (!(ok->registers && ok->psd && ok->queues && ok->links) && n < size)
		n += snprintf(why + n, size - n, " memory,");
	if (!ok->parent && n < size)
		n += snprintf(why + n, size - n, " parent,");
	if (n && n < size)
		why[n - 1] = '\0';
}

/* False for a process that is running, or gone. */
static bool look_at(struct ps *ps, const struct proc_id *who, struct tally *t)
{
	struct vm *vm = ps->vm;
	const struct layout_fields *f = &vm->lay->f;
	unsigned char raw[PROCESS_MAX + PS_SLACK];
	uint32_t state;
	uint64_t id;

	if (!reader_copy(&vm->rd, who->addr, raw, f->proc_size))
		return false;
	id = raw_u64(raw, f->proc_id);
	memcpy(&state, raw + f->proc_state, 4);
	if (!term_is_pid(id) || term_pid_slot(vm, id) != who->slot ||
	    state & (PSFLG_FREE | PSFLG_EXITING | PSFLG_RUNNING | PSFLG_RUNNING_SYS | PSFLG_GC |
		     PSFLG_DIRTY_RUNNING | PSFLG_DIRTY_RUNNING_SYS))
		return false;
	t->seen++;
	if (ps->ok.registers)
		tally_registers(vm, who->addr, raw, t);
	if (ps->ok.queues)
		tally_queues(vm, who->addr, raw, t);
	if (ps->ok.psd)
		tally_psd(vm, raw, t);
	if (ps->ok.parent)
		tally_parent(vm, raw, t);
	if (ps->ok.links)
		tally_links(ps, id, raw, t);
	return true;
}

/* Those that the node began with, and that every node has: with links, names and tables. */
static void look_at_first(struct ps *ps, struct tally *t)
{
	struct vm *vm = ps->vm;
	struct proc_id who = { 0 };
	uint64_t data, addr;

	for (data = 0; data < FIRST; data++) {
		who.slot = (data >> vm->pix_cli_shift & vm->pix_cli_mask) |
			   (data & vm->pix_cl_mask) << vm->pix_cl_shift;
		if (who.slot < vm->proc_max && reader_u64(&vm->rd, vm->tab + 8 * who.slot, &addr) &&
		    addr && addr != vm->invalid_element) {
			who.addr = addr;
			look_at(ps, &who, t);
		}
	}
}

void snap_ps_prove(struct ps *ps, char *why, size_t why_size)
{
	struct tally t = { .links_left = LINKS_ALL };
	struct proc_ids ids;
	size_t i, step;

	memset(&ps->ok, 0, sizeof(ps->ok));
	ps->fits = all_inside(ps->vm);
	if (ps->vm->lay->f.proc_size <= PROCESS_MAX && !snap_proc_slots(ps->vm, &ids)) {
		step = ids.n > SEEN ? ids.n / SEEN : 1;
		snap_ps_places(ps);
		if (ps->fits)
			look_at_first(ps, &t);
		for (i = 0; ps->fits && i < ids.n; i += step)
			look_at(ps, &ids.v[i], &t);
		snap_proc_ids_free(&ids);
		judge(ps, &t);
	}
	tell(ps, why, why_size);
}
