// SPDX-License-Identifier: GPL-2.0-only
/* The table of ports, copies of them, and what proves their offsets: see snap_port.h. */
#include "snap_port.h"
#include "snap_links.h"
#include "snap_proc.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>

#define PORT_BYTES 1024
#define TABLE_CHUNK 4096 /* slots per read */
#define PORTS_MAX (1u << 27)
#define NAME_BYTES 512 /* of a port's name: a command line */
#define TRIES 4
#define VOTES 64 /* ports that prove the offsets */
#define LINKS_BUDGET 1000000 /* of all ports together */
#define PAGES_BYTES (1 << 20)
#define LEAVING (PORT_EXITING | PORT_CLOSING | PORT_FREE | PORT_INITIALIZING)

static const char *const names[PORT_NPROVEN] = {
	"state", "connected", "name", "driver", "registered name", "queue and bytes", "os_pid",
	"links and monitors",
};

/* --- one port --------------------------------------------------------------------------------- */

struct port_copy {
	vmaddr_t addr;
	unsigned char raw[PORT_BYTES];
	size_t len;
};

static uint64_t port_word(const struct port_copy *c, unsigned int off, unsigned int n)
{
	uint64_t v = 0;

	if (off >= c->len || c->len - off < n)
		return 0;
	memcpy(&v, c->raw + off, n);
	return v;
}

/* As much of a Port as any field needs. */
static size_t port_bytes(const struct layout_fields *f)
{
	const unsigned int all[] = {
		f->proc_id, f->port_reg, f->port_links, f->port_lt_monitors, f->port_monitors,
		f->port_connected, f->port_bytes_in, f->port_bytes_out, f->port_ioq_size + 40,
		f->port_name, f->port_driver, f->port_os_pid, f->port_linebuf, f->port_state,
		f->port_control_flags,
	};
	size_t i, len = 0;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i] <= PORT_BYTES - 8 && all[i] + 8 > len)
			len = all[i] + 8;
	return len;
}

static bool port_copy(struct vm *vm, vmaddr_t addr, struct port_copy *c)
{
	c->addr = addr;
	c->len = port_bytes(&vm->lay->f);
	return !(addr & 7) && reader_copy(&vm->rd, addr, c->raw, c->len);
}

static uint64_t slot_of(const struct snap_port *s, eterm_t id)
{
	return s->vm->lay->facts->slot_in_high_word ? id >> 32 : id >> 4 & s->mask;
}

static char *read_text(struct vm *vm, vmaddr_t at)
{
	char raw[NAME_BYTES], text[4 * NAME_BYTES + 4];
	bool cut = false;

	if (!at)
		return NULL;
	if (!reader_string(&vm->rd, at, raw, sizeof(raw))) {
		/* a long one, or none: what was read of it */
		raw[sizeof(raw) - 1] = '\0';
		if (!reader_copy(&vm->rd, at, raw, sizeof(raw) - 1))
			return NULL;
		cut = strlen(raw) == sizeof(raw) - 1;
	}
	text_escape(raw, strlen(raw), text, sizeof(text) - 3);
	if (cut)
		strcat(text, "...");
	return xstrdup(text);
}

/*
 * erts_driver_t begins with its neighbours in the list of drivers, then its name: atom, and text.
 */
static char *driver_name(struct vm *vm, vmaddr_t driver)
{
	const char *atom;
	uint64_t head[4];
	char *text;

	if (!driver || driver & 7 || !reader_copy(&vm->rd, driver, head, sizeof(head)) ||
	    !(atom = term_atom(vm, head[2])))
		return NULL;
	text = read_text(vm, head[3]);
	if (text && strcmp(text, atom)) {
		free(text);
		return NULL;
	}
	return text;
}

static eterm_t registered(struct vm *vm, const struct port_copy *c, bool *fits)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t reg = port_word(c, f->port_reg, 8), back = 0, name = 0;

	*fits = !reg || (!(reg & 7) && reader_u64(&vm->rd, reg + f->regproc_pt, &back) &&
			 back == c->addr && reader_u64(&vm->rd, reg + f->regproc_name, &name) &&
			 term_is_atom(name));
	return *fits ? name : 0;
}

static void read_links(struct snap_port *s, const struct port_copy *c, uint64_t *budget,
		       struct port_row *p)
{
	const struct layout_fields *f = &s->vm->lay->f;
	struct ml_roots roots = {
		.links = port_word(c, f->port_links, 8),
		.monitors = port_word(c, f->port_monitors, 8),
		.lt_monitors = port_word(c, f->port_lt_monitors, 8),
	};
	struct ml_sums sums;

	snap_links_walk(s->vm, &s->pages, &roots, budget, NULL, &sums);
	p->linked = !sums.partial;
	p->links = sums.links;
	p->monitors = sums.monitors;
	p->monitored_by = sums.monitored_by;
}

static void decode(struct snap_port *s, const struct port_copy *c, struct port_row *p)
{
	const struct layout_fields *f = &s->vm->lay->f;
	bool fits;

	memset(p, 0, sizeof(*p));
	p->addr = c->addr;
	p->id = port_word(c, f->proc_id, 8);
	p->connected = port_word(c, f->port_connected, 8);
	p->state = port_word(c, f->port_state, 4);
	p->input = port_word(c, f->port_bytes_in, 8);
	p->output = port_word(c, f->port_bytes_out, 8);
	p->queue_size = port_word(c, f->port_ioq_size, 8);
	p->os_pid = port_word(c, f->port_os_pid, 8);
	p->reg_name = registered(s->vm, c, &fits);
}

/* --- all ports -------------------------------------------------------------------------------- */

/* 1: it is one; 0: it is leaving; 2: not there any more; -1: it moved each time. */
static int read_port(struct snap_port *s, uint64_t slot, uint64_t *budget, struct port_row *p)
{
	const struct layout_fields *f = &s->vm->lay->f;
	struct reader *rd = &s->vm->rd;
	struct port_copy c;
	uint64_t addr, id, reg;
	int try;

	for (try = 0; try < TRIES; try++) {
		if (!reader_u64(rd, s->tab + 8 * slot, &addr) || !addr || addr == s->invalid)
			return 2;
		if (!port_copy(s->vm, addr, &c))
			continue;
		decode(s, &c, p);
		if (!term_is_port(p->id) || slot_of(s, p->id) != slot)
			continue;
		if (s->proven[PORT_PROVEN_NAME])
			p->name = read_text(s->vm, port_word(&c, f->port_name, 8));
		if (s->proven[PORT_PROVEN_DRIVER])
			p->driver = driver_name(s->vm, port_word(&c, f->port_driver, 8));
		if (s->proven[PORT_PROVEN_LINKS])
			read_links(s, &c, budget, p);
		/* is it still that port, of that name? */
		if (reader_u64(rd, addr + f->proc_id, &id) && id == p->id &&
		    reader_u64(rd, addr + f->port_reg, &reg) &&
		    reg == port_word(&c, f->port_reg, 8)) {
			if (!(s->proven[PORT_PROVEN_STATE] && p->state & LEAVING))
				return 1;
			free(p->name);
			free(p->driver);
			return 0;
		}
		free(p->name);
		free(p->driver);
		pages_forget(&s->pages);
	}
	return -1;
}

/* The slots that are in use. */
static int used_slots(struct snap_port *s, uint64_t **slots, size_t *n)
{
	uint64_t at, k, i, *v = xcalloc(TABLE_CHUNK, sizeof(*v));
	size_t cap = 0;

	*slots = NULL;
	*n = 0;
	for (at = 0; at < s->max; at += k) {
		k = s->max - at < TABLE_CHUNK ? s->max - at : TABLE_CHUNK;
		if (!reader_copy(&s->vm->rd, s->tab + 8 * at, v, 8 * k)) {
			free(v);
			return -1;
		}
		for (i = 0; i < k; i++) {
			if (!v[i] || v[i] == s->invalid)
				continue;
			if (*n == cap) {
				cap = cap ? 2 * cap : 256;
				*slots = xrealloc(*slots, cap * sizeof(**slots));
			}
			(*slots)[(*n)++] = at + i;
		}
	}
	free(v);
	return 0;
}

int snap_port_all(struct snap_port *s, struct ports *out)
{
	uint64_t *slots, budget = LINKS_BUDGET;
	size_t i, n;
	int got;

	memset(out, 0, sizeof(*out));
	pages_forget(&s->pages);
	if (used_slots(s, &slots, &n)) {
		free(slots);
		return -1;
	}
	out->v = xcalloc(n, sizeof(*out->v));
	for (i = 0; i < n; i++) {
		got = read_port(s, slots[i], &budget, &out->v[out->n]);
		out->n += got == 1;
		out->leaving += !got;
		out->skipped += got < 0;
	}
	free(slots);
	return 0;
}

void snap_ports_free(struct ports *p)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		free(p->v[i].name);
		free(p->v[i].driver);
	}
	free(p->v);
	memset(p, 0, sizeof(*p));
}

void port_state_text(uint32_t state, char *buf, size_t size)
{
	static const struct { uint32_t bit; const char *name; } flags[] = {
		{ PORT_DISTRIBUTION, "distribution" }, { PORT_BINARY_IO, "binary" },
		{ PORT_SOFT_EOF, "eof" }, { PORT_LINEBUF_IO, "line" },
		{ PORT_SEND_CLOSED, "send_closed" }, { PORT_SPECIFIC_LOCK, "port_lock" },
		{ PORT_HALT, "halt" },
	};
	size_t i, n = 0;

	buf[0] = '\0';
	for (i = 0; i < ARRAY_SIZE(flags); i++)
		if (state & flags[i].bit && n < size)
			n += snprintf(buf + n, size - n, "%s%s", n ? " " : "", flags[i].name);
}

/* --- proof ------------------------------------------------------------------------------------ */

/* One port's words, against what they say of each other. */
struct votes {
	size_t n, state, connected, alive, name, driver, reg, queue, os_pid, linked;
};

/*
 * The queue's vectors: begin and end of an array, and of what is used of it.  At first that array
 * is one in the port itself; what is used has as many bytes as the queue counts (ErtsIOQueue).
 */
static bool queue_fits(struct vm *vm, const struct port_copy *c)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t size = port_word(c, f->port_ioq_size, 8), v[4], iov[2], sum = 0, at;
	unsigned int i;

	for (i = 0; i < 4; i++)
		v[i] = port_word(c, f->port_ioq_size + 8 + 8 * i, 8);
	if (!v[0] && !v[1])
		return !size; /* not made yet, or torn down */
	if (v[0] & 7 || v[0] > v[2] || v[2] > v[3] || v[3] > v[1] || v[1] - v[0] > 1 << 24 ||
	    (v[2] == v[3]) != !size)
		return false;
	for (i = 0, at = v[2]; at < v[3] && i < 1024; at += 16, i++) {
		if (!reader_copy(&vm->rd, at, iov, sizeof(iov)))
			return false;
		sum += iov[1];
	}
	return at < v[3] || sum == size;
}

/* The fields of a link's node, and of the record that has both its ends: as they are declared. */
static bool links_declared(const struct layout_fields *f)
{
	return !f->ml_list_next && f->ml_right == 8 && f->ml_left == 16 &&
	       f->ml_offset == f->ml_other + 8 && f->ml_flags == f->ml_offset + 4 &&
	       f->ml_size == f->ml_flags + 4 && f->linkdata_size == 2 * f->ml_size + 8 &&
	       !f->mondata_origin && f->mondata_ref == 2 * f->ml_size &&
	       f->mondata_size == f->mondata_ref + 16 && f->port_links == f->proc_links &&
	       f->port_monitors == f->proc_monitors && f->port_lt_monitors == f->proc_lt_monitors;
}

static void vote(struct snap_port *s, const struct port_copy *c, struct votes *v)
{
	const struct layout_fields *f = &s->vm->lay->f;
	uint32_t state = port_word(c, f->port_state, 4);
	eterm_t pid = port_word(c, f->port_connected, 8);
	int64_t os_pid = port_word(c, f->port_os_pid, 8);
	uint64_t budget = LINKS_BUDGET;
	struct proc_image p;
	struct ml_roots roots = {
		.links = port_word(c, f->port_links, 8),
		.monitors = port_word(c, f->port_monitors, 8),
		.lt_monitors = port_word(c, f->port_lt_monitors, 8),
	};
	struct ml_sums sums;
	char *text;
	bool fits;

	v->n++;
	v->state += state & PORT_CONNECTED && state < 1u << 14;
	v->connected += term_is_pid(pid) && term_pid_slot(s->vm, pid) < s->vm->proc_max;
	v->alive += term_is_pid(pid) && !snap_proc_find(s->vm, pid, &p);
	text = read_text(s->vm, port_word(c, f->port_name, 8));
	v->name += text && text[0];
	free(text);
	text = driver_name(s->vm, port_word(c, f->port_driver, 8));
	v->driver += text != NULL;
	free(text);
	registered(s->vm, c, &fits);
	v->reg += fits;
	v->queue += queue_fits(s->vm, c);
	v->os_pid += os_pid >= -1 && os_pid <= 1 << 22;
	if (!links_declared(f))
		return;
	snap_links_walk(s->vm, &s->pages, &roots, &budget, NULL, &sums);
	v->linked += !sums.partial;
}

/* Of a port that was there before and after; what goes meanwhile says nothing. */
static void vote_if_still(struct snap_port *s, uint64_t slot, struct votes *v)
{
	struct votes before = *v;
	struct port_copy c;
	uint64_t addr, again;
	eterm_t id;

	if (!reader_u64(&s->vm->rd, s->tab + 8 * slot, &addr) || !addr || addr == s->invalid ||
	    !port_copy(s->vm, addr, &c))
		return;
	id = port_word(&c, s->vm->lay->f.proc_id, 8);
	if (slot_of(s, id) != slot)
		return;
	pages_forget(&s->pages);
	vote(s, &c, v);
	if (!reader_u64(&s->vm->rd, s->tab + 8 * slot, &again) || again != addr ||
	    !port_copy(s->vm, addr, &c) || port_word(&c, s->vm->lay->f.proc_id, 8) != id ||
	    port_word(&c, s->vm->lay->f.port_state, 4) & LEAVING)
		*v = before;
}

static bool most(size_t good, size_t n)
{
	return n && good >= n - n / 8;
}

/*
 * A driver's structure proves where its address lies, and with it the words around that; a queue's
 * vectors in the port itself the ones before.  What a port has in common with a process lies as
 * there.
 */
static void conclude(struct snap_port *s, const struct votes *v)
{
	const struct layout_fields *f = &s->vm->lay->f;
	bool words, *proven = s->proven;

	words = f->port_driver == f->port_name + 8 && f->port_os_pid == f->port_name + 24 &&
		f->port_linebuf == f->port_name + 40 && f->port_state == f->port_linebuf + 8 &&
		f->port_control_flags == f->port_state + 4;
	proven[PORT_PROVEN_STATE] = words && most(v->state, v->n);
	proven[PORT_PROVEN_CONNECTED] = most(v->connected, v->n) && v->alive >= v->n / 2;
	proven[PORT_PROVEN_NAME] = words && most(v->name, v->n) && most(v->driver, v->n);
	proven[PORT_PROVEN_DRIVER] = words && most(v->driver, v->n);
	proven[PORT_PROVEN_REG] = f->port_reg == f->proc_reg && f->regproc_pt == f->regproc_p + 8 &&
				  most(v->reg, v->n);
	proven[PORT_PROVEN_QUEUE] = f->port_bytes_in == f->port_connected + 24 &&
				    f->port_bytes_out == f->port_bytes_in + 8 &&
				    f->port_ioq_size == f->port_bytes_out + 16 &&
				    most(v->queue, v->n) && proven[PORT_PROVEN_CONNECTED];
	proven[PORT_PROVEN_OS_PID] = words && most(v->os_pid, v->n) && most(v->driver, v->n);
	proven[PORT_PROVEN_LINKS] = links_declared(f) && proven[PORT_PROVEN_CONNECTED] &&
				    most(v->linked, v->n);
}

static void prove(struct snap_port *s, const uint64_t *slots, size_t n)
{
	struct votes v = { 0 };
	size_t i, k = 0;
	int p;

	for (i = 0; i < n && v.n < VOTES; i++)
		vote_if_still(s, slots[i], &v);
	conclude(s, &v);
	for (p = 0; p < PORT_NPROVEN; p++)
		if (!s->proven[p] && k < sizeof(s->unproven))
			k += snprintf(s->unproven + k, sizeof(s->unproven) - k, "%s%s",
				      k ? ", " : "", names[p]);
}

static bool read_table(struct snap_port *s)
{
	const struct layout_fields *f = &s->vm->lay->f;
	struct reader *rd = &s->vm->rd;
	vmaddr_t tab = s->vm->port_tab;
	uint32_t max;

	s->mask = 0;
	if (!tab || !reader_u64(rd, tab + f->ptab_tab, &s->tab) ||
	    !reader_u32(rd, tab + f->ptab_max, &max) || f->ptab_pix_mask_size > 8 ||
	    !reader_copy(rd, tab + f->ptab_pix_mask, &s->mask, f->ptab_pix_mask_size) ||
	    !reader_u64(rd, tab + f->ptab_invalid_element, &s->invalid))
		return false;
	s->max = max;
	return s->tab && max && !(max & (max - 1)) && max <= PORTS_MAX;
}

int snap_port_open(struct snap_port *s, struct vm *vm)
{
	uint64_t *slots = NULL;
	size_t n = 0;

	memset(s, 0, sizeof(*s));
	s->vm = vm;
	pages_open(&s->pages, &vm->rd, PAGES_BYTES);
	if (!read_table(s) || used_slots(s, &slots, &n)) {
		free(slots);
		return fail(EXIT_UNSUPPORTED, "`ebeam doctor` shows what is known of this build",
			    "pid %d: its table of ports cannot be read", vm->target.pid);
	}
	prove(s, slots, n);
	free(slots);
	return 0;
}

void snap_port_close(struct snap_port *s)
{
	pages_close(&s->pages);
}
