// SPDX-License-Identifier: GPL-2.0-only
/*
 * Code ranges, functions and lines, on a VM made by hand: its memory is that of this program.
 *
 * Real ones are read in tests/live/23-stacks.t; here is what no node offers: ranges that lie, code
 * that is half written, tables of other modules.
 */
#include "code.h"
#include "layout.h"
#include "tap.h"
#include "term.h"

#include <stdlib.h>
#include <unistd.h>

#define NMODULES 4
#define NFUN 3
#define CODE_BYTES 4096
#define ATOMS 16

enum { A_FALSE, A_TRUE, A_ONE, A_TWO, A_RUN, A_STOP, A_INFO };
static const char *const atom_texts[] = { "false", "true", "one", "two", "run", "stop", "info" };

static struct vm vm;
static uint64_t data[256]; /* what would be .data and .bss */
static unsigned char code[NMODULES][CODE_BYTES] __attribute__((aligned(16)));
static uint64_t arrays[3][2 * NMODULES];
static unsigned char atom_table[256];
static uint64_t segments[1], segment[1024];
static unsigned char atoms[ATOMS][64];
static uint64_t cells[64];

static uint64_t at(const void *p)
{
	return (uintptr_t)p;
}

static void put(void *base, size_t off, uint64_t v)
{
	memcpy((char *)base + off, &v, 8);
}

static eterm_t atom(unsigned int i)
{
	return i << 6 | 0x0b;
}

static eterm_t small(uint64_t v)
{
	return v << 4 | 0xf;
}

static void make_atoms(void)
{
	const struct layout_fields *f = &vm.lay->f;
	uint32_t i, n = ARRAY_SIZE(atom_texts);
	uint16_t len;

	memcpy(atom_table + f->index_entries, &n, 4);
	put(atom_table, f->index_seg_table, at(segments));
	segments[0] = at(segment);
	for (i = 0; i < n; i++) {
		segment[i] = at(atoms[i]);
		memcpy(atoms[i] + f->atom_index, &i, 4);
		len = strlen(atom_texts[i]);
		memcpy(atoms[i] + f->atom_len, &len, 2);
		put(atoms[i], f->atom_name, at(atom_texts[i]));
	}
	vm.atom_tab = at(atom_table);
}

/* A literal string, as file names are from 25 on. */
static eterm_t string(const char *s, size_t cell)
{
	size_t i, n = strlen(s);

	for (i = 0; i < n; i++) {
		cells[cell + 2 * i] = small((unsigned char)s[i]);
		cells[cell + 2 * i + 1] = i + 1 < n ? at(&cells[cell + 2 * i + 2]) | 1 :
						      vm.lay->facts->nil;
	}
	return at(&cells[cell]) | 1;
}

/* Function k of a module begins at 1024 + 256 k, with its name; its code 40 bytes further. */
static uint64_t function(unsigned int m, unsigned int k)
{
	return at(code[m]) + 1024 + 256 * k;
}

/*
 * run/0, stop/1, info/2.  Lines: run 10 at +40, 11 at +100; stop 20; info has none.
 */
static void make_module(unsigned int m, unsigned int name)
{
	const struct layout_fields *f = &vm.lay->f;
	static const unsigned int names[NFUN] = { A_RUN, A_STOP, A_INFO };
	uint64_t table = at(code[m]) + 2048, fname;
	uint64_t items = table + f->line_func_tab + 8 * (NFUN + 1);
	uint16_t *loc;
	unsigned int k;

	memset(code[m], 0, CODE_BYTES);
	put(code[m], f->code_num_functions, NFUN);
	put(code[m], f->code_line_table, table);
	for (k = 0; k <= NFUN; k++)
		put(code[m], f->code_functions + 8 * k, function(m, k));
	for (k = 0; k < NFUN; k++) {
		put(code[m], 1024 + 256 * k + f->codeinfo_mfa, atom(name));
		put(code[m], 1024 + 256 * k + f->codeinfo_mfa + 8, atom(names[k]));
		put(code[m], 1024 + 256 * k + f->codeinfo_mfa + 16, k);
	}
	/* three addresses, the first two of run */
	put((void *)table, f->line_func_tab, items);
	put((void *)table, f->line_func_tab + 8, items + 16);
	put((void *)table, f->line_func_tab + 16, items + 24);
	put((void *)table, f->line_func_tab + 24, items + 24);
	put((void *)items, 0, function(m, 0) + 40);
	put((void *)items, 8, function(m, 0) + 100);
	put((void *)items, 16, function(m, 1) + 40);
	put((void *)items, 24, function(m, NFUN));
	fname = items + 32;
	put((void *)fname, 0, string("src/one.erl", 0));
	put((void *)table, f->line_fname, fname);
	put((void *)table, f->line_loc_size, 2);
	put((void *)table, f->line_loc_tab, fname + 8);
	loc = (uint16_t *)(fname + 8);
	loc[0] = 10;
	loc[1] = 11;
	loc[2] = 20;
}

/* Record i of r[], with modules @first to @first + n - 1. */
static void set_ranges(unsigned int i, unsigned int first, unsigned int n)
{
	unsigned int k;

	for (k = 0; k < n; k++) {
		arrays[i][2 * k] = at(code[first + k]);
		arrays[i][2 * k + 1] = at(code[first + k]) + CODE_BYTES - 64;
	}
	data[100 + 4 * i] = at(arrays[i]);
	data[100 + 4 * i + 1] = n;
	data[100 + 4 * i + 2] = NMODULES;
	data[100 + 4 * i + 3] = at(arrays[i]);
}

static void make_vm(void)
{
	static struct layout lay;

	memset(&vm, 0, sizeof(vm));
	memset(data, 0, sizeof(data));
	lay = *layout_find(25, true, "x86_64");
	vm.layout = lay;
	vm.lay = &vm.layout;
	vm.otp = 25;
	vm.jit = true;
	reader_open_live(&vm.rd, getpid());
	vm.sym.segs[0] = (struct segment_map){ at(data), 0, sizeof(data), sizeof(data), false,
					       true };
	vm.sym.nsegs = 1;
	make_atoms();
	make_module(0, A_ONE);
	make_module(1, A_TWO);
	make_module(2, A_ONE);
	make_module(3, A_TWO);
	set_ranges(0, 0, 1);
	set_ranges(1, 0, 2);
	set_ranges(2, 0, 3);
}

static struct code *opened(void)
{
	char why[200] = "";
	struct code *c = code_open(&vm, why, sizeof(why));

	if (!c)
		diag("%s", why);
	return c;
}

static void shut(struct code *c)
{
	code_close(c);
	term_atoms_free(&vm);
	reader_close(&vm.rd);
}

static const char *text_at(struct code *c, vmaddr_t pc)
{
	static char text[512];

	code_text(code_at(c, pc), text, sizeof(text));
	return text;
}

static void finds(void)
{
	const struct code_at *a;
	struct code *c;

	make_vm();
	c = opened();
	if (!ok(c, "the ranges are found in the data"))
		return;
	is_u64(code_modules(c), 3, "each module once");
	is_str(text_at(c, function(0, 0) + 40), "one:run/0 (src/one.erl:10)",
	       "a function and a line");
	is_str(text_at(c, function(0, 0) + 99), "one:run/0 (src/one.erl:10)",
	       "up to the next line");
	is_str(text_at(c, function(0, 0) + 100), "one:run/0 (src/one.erl:11)", "the next line");
	is_str(text_at(c, function(1, 1) + 41), "two:stop/1 (src/one.erl:20)", "another module");
	is_str(text_at(c, function(0, 2) + 41), "one:info/2", "no line where there is none");
	is_str(text_at(c, function(0, NFUN)), "", "nothing behind the last function");
	is_str(text_at(c, function(0, 0) - 1), "", "nothing before the first one");
	is_str(text_at(c, 0), "", "nothing at 0");
	is_str(text_at(c, ~0ULL), "", "nothing at the end of memory");
	a = code_at(c, function(0, 1) + 50);
	ok(a == code_at(c, function(0, 1) + 50), "asked again, the same answer");
	ok(a->start == function(0, 1) && a->end == function(0, 2) && a->arity == 1,
	   "where the function is");
	a = code_mfa_at(c, function(0, 1) + vm.lay->f.codeinfo_mfa);
	is_str(a->mfa, "one:stop/1", "by the address of its name");
	ok(!code_mfa_at(c, at(data))->known && !code_mfa_at(c, 8)->known &&
	   !code_mfa_at(c, function(0, 1) + 3)->known, "but not where there is no name");
	ok(code_is_module(c, atom(A_ONE)) && !code_is_module(c, atom(A_RUN)), "names of modules");
	is_u64(code_return(c, 1000), 999, "a return address, with the JIT");
	vm.jit = false;
	is_u64(code_return(c, 1000), 992, "and with the interpreter");
	is_u64(code_refused(c), 0, "all are modules");
	shut(c);
}

static void refreshes(void)
{
	struct code *c;

	make_vm();
	c = opened();
	is_str(text_at(c, function(3, 0) + 40), "", "a module that is not loaded yet");
	ok(!code_refresh(c), "nothing has changed");
	set_ranges(0, 0, 4);
	ok(code_refresh(c), "code was loaded");
	is_str(text_at(c, function(3, 0) + 40), "two:run/0 (src/one.erl:10)", "and is known");
	/* purged: empty; but other arrays have it still, and its memory is other code's */
	arrays[0][1] = arrays[0][0];
	make_module(0, A_TWO);
	put(code[0], vm.lay->f.code_literal_area, 8);
	ok(code_refresh(c), "code was purged, and other code is there");
	is_str(text_at(c, function(0, 0) + 40), "two:run/0 (src/one.erl:10)", "by its new name");
	/* the array is being filled by the loader */
	arrays[1][0] = 0x5a5a5a5a5a5a5a5aULL;
	code_refresh(c);
	is_str(text_at(c, function(1, 0) + 40), "two:run/0 (src/one.erl:10)",
	       "what is half written does not hide the rest");
	shut(c);
}

/* One thing is wrong with module 0: it has no names, and the others have. */
static void refused(const char *what, void (*spoil)(void))
{
	struct code *c;

	make_vm();
	spoil();
	c = opened();
	ok(c && !code_at(c, function(0, 1) + 50)->known && code_at(c, function(1, 1) + 50)->known,
	   "not taken for a module: %s", what);
	shut(c);
}

static void no_functions(void)
{
	put(code[0], vm.lay->f.code_num_functions, 0);
}

static void many_functions(void)
{
	put(code[0], vm.lay->f.code_num_functions, 1ULL << 60);
}

static void backwards(void)
{
	put(code[0], vm.lay->f.code_functions + 8, function(0, 0) - 8);
}

static void outside(void)
{
	put(code[0], vm.lay->f.code_functions + 8 * NFUN, at(code[0]) + CODE_BYTES);
}

static void other_name(void)
{
	put(code[0], 1024 + 512 + vm.lay->f.codeinfo_mfa, atom(A_TWO));
}

static void no_name(void)
{
	put(code[0], 1024 + 512 + vm.lay->f.codeinfo_mfa + 8, small(1));
}

static void no_atom(void)
{
	unsigned int k;

	for (k = 0; k < NFUN; k++)
		put(code[0], 1024 + 256 * k + vm.lay->f.codeinfo_mfa, atom(4000));
}

static void arity(void)
{
	put(code[0], 1024 + vm.lay->f.codeinfo_mfa + 16, 256);
}

/* One thing is wrong with the lines of module 0: functions have names, and no lines. */
static void no_lines(const char *what, size_t off, uint64_t v)
{
	struct code *c;

	make_vm();
	put(code[0], off, v);
	c = opened();
	is_str(c ? text_at(c, function(0, 0) + 40) : "", "one:run/0", "no line: %s", what);
	shut(c);
}

static void lies(void)
{
	const struct layout_fields *f;
	size_t table = 2048, items, i;
	char why[200] = "";

	refused("no functions", no_functions);
	refused("more than there is room for", many_functions);
	refused("functions that do not ascend", backwards);
	refused("one that ends outside", outside);
	refused("functions of two modules", other_name);
	refused("a name that is no atom", no_name);
	refused("an atom that does not exist", no_atom);
	refused("an arity of 256", arity);

	make_vm();
	f = &vm.lay->f;
	items = table + f->line_func_tab + 8 * (NFUN + 1);
	no_lines("there is no table", f->code_line_table, 0);
	no_lines("the table is not readable", f->code_line_table, 4096);
	no_lines("its names are elsewhere", table + f->line_fname, at(cells));
	no_lines("locations of 3 bytes", table + f->line_loc_size, 3);
	no_lines("functions elsewhere", table + f->line_func_tab, at(code[0]));
	no_lines("a function that ends before it begins", table + f->line_func_tab + 8,
		 at(code[0]) + items - 8);
	no_lines("an address of another function", items, function(0, 2));
	no_lines("addresses that descend", items + 8, function(0, 0) + 30);
	no_lines("a file name that is no text", items + 32, small(7));
	cells[60] = small('x');
	cells[61] = at(&cells[60]) | 1;
	no_lines("a file name that does not end", items + 32, at(&cells[60]) | 1);

	make_vm();
	for (i = 0; i < 3; i++)
		data[100 + 4 * i + 1] = NMODULES + 1;
	ok(!code_open(&vm, why, sizeof(why)) && why[0], "more ranges than there is room for: %s",
	   why);
	make_vm();
	for (i = 0; i < 3; i++)
		data[100 + 4 * i + 3] += 8;
	ok(!code_open(&vm, why, sizeof(why)), "a search that ended between two ranges");
	make_vm();
	vm.layout.f.range_end += 8;
	ok(!code_open(&vm, why, sizeof(why)), "offsets outside of their struct are refused");
	make_vm();
	memset(data, 0, sizeof(data));
	ok(!code_open(&vm, why, sizeof(why)), "nothing is found in nothing");
	reader_close(&vm.rd);
}

int main(void)
{
	finds();
	refreshes();
	lies();
	return done();
}
