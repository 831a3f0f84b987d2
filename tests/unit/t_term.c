// SPDX-License-Identifier: GPL-2.0-only
/*
 * Text out of the VM: what is escaped and what stays, and pids as the node prints them.
 *
 * Atoms and pids of real nodes are compared in t_vm.c; here are the cases that no node offers.
 */
#include "fixture.h"
#include "snap_proc.h"
#include "tap.h"
#include "term.h"

/* Escapes a literal, NULs included, into a buffer of `size`. */
#define is_escaped(in, size, want, what)                                                           \
	do {                                                                                       \
		char esc[256];                                                                     \
		memset(esc, '?', sizeof(esc));                                                     \
		text_escape(in, sizeof(in) - 1, esc, size);                                        \
		is_str(esc, want, "%s", what);                                                     \
		if ((size_t)(size) < sizeof(esc))                                                  \
			ok(esc[size] == '?', "%s: nothing beyond the buffer", what);               \
	} while (0)

static void escapes(void)
{
	char c[2] = "", out[64], want[8];
	unsigned int i, good = 0;

	is_escaped("gen_server:loop/7", 256, "gen_server:loop/7", "plain text stays");
	is_escaped("", 256, "", "nothing stays nothing");
	is_escaped("a\x1b[31mred\a\r\n\t\x7f", 256, "a\\x1B[31mred\\x07\\x0D\\x0A\\x09\\x7F",
		   "control characters");
	is_escaped("a\0b", 256, "a\\x00b", "a NUL does not end it");
	for (i = 0; i < 256; i++) {
		c[0] = i;
		text_escape(c, 1, out, sizeof(out));
		snprintf(want, sizeof(want), i >= 0x20 && i < 0x7f ? "%c" : "\\x%02X", i);
		good += !strcmp(out, want);
	}
	is_u64(good, 256, "single bytes: the printable ones of ASCII stay, all others do not");

	is_escaped("\xc3\xa9t\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x98\x80", 256,
		   "\xc3\xa9t\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x98\x80",
		   "UTF-8 of 2, 3 and 4 bytes stays");
	is_escaped("\xc3", 256, "\\xC3", "a sequence that is cut off");
	is_escaped("\xe6\x97", 256, "\\xE6\\x97", "one of three bytes, cut off");
	is_escaped("\xc3(", 256, "\\xC3(", "a lead byte without its continuation");
	is_escaped("\x80\xbf", 256, "\\x80\\xBF", "continuation bytes alone");
	is_escaped("\xc0\xaf\xc1\xbf", 256, "\\xC0\\xAF\\xC1\\xBF", "overlong forms of 2 bytes");
	is_escaped("\xe0\x80\xaf", 256, "\\xE0\\x80\\xAF", "of 3 bytes");
	is_escaped("\xf0\x80\x80\xaf", 256, "\\xF0\\x80\\x80\\xAF", "of 4 bytes");
	is_escaped("\xed\xa0\x80", 256, "\\xED\\xA0\\x80", "a surrogate");
	is_escaped("\xf4\x90\x80\x80", 256, "\\xF4\\x90\\x80\\x80", "beyond Unicode");
	is_escaped("\xf5\x80\x80\x80\xff\xfe", 256, "\\xF5\\x80\\x80\\x80\\xFF\\xFE",
		   "bytes that are in no UTF-8");
	is_escaped("\xc2\x85\xc2\x9b", 256, "\\xC2\\x85\\xC2\\x9B", "C1 controls, CSI among them");
	is_escaped("\xc2\xa0", 256, "\xc2\xa0", "what follows them stays");
	is_escaped("\xe2\x80\xae\xe2\x80\xaa\xe2\x80\x8f", 256,
		   "\\xE2\\x80\\xAE\\xE2\\x80\\xAA\\xE2\\x80\\x8F",
		   "direction overrides and marks");
	is_escaped("\xe2\x81\xa6\xe2\x81\xa9", 256, "\\xE2\\x81\\xA6\\xE2\\x81\\xA9",
		   "direction isolates");
	is_escaped("\xe2\x80\xa8\xe2\x80\xa9", 256, "\\xE2\\x80\\xA8\\xE2\\x80\\xA9",
		   "line and paragraph separators");
	is_escaped("\xef\xbb\xbf", 256, "\\xEF\\xBB\\xBF", "a byte order mark");
}

static void cuts(void)
{
	is_escaped("abcdef", 4, "abc", "cut to the buffer");
	is_escaped("abc", 4, "abc", "just fits");
	is_escaped("abc", 1, "", "a buffer for the end only");
	is_escaped("ab\xc3\xa9", 4, "ab", "no half sequence at the end");
	is_escaped("ab\xc3\xa9", 5, "ab\xc3\xa9", "the whole one, where it fits");
	is_escaped("ab\x1b", 6, "ab", "no half escape at the end");
	is_escaped("ab\x1b", 7, "ab\\x1B", "the whole one, where it fits");
}

/* Random bytes: the result is always printable, and again its own escape. */
static void any_bytes(void)
{
	unsigned int i, k, good = 0, rounds = 20000;
	char in[48], out[256], again[256];
	uint64_t x = 88172645463325252ULL;

	for (i = 0; i < rounds; i++) {
		for (k = 0; k < sizeof(in); k++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			/* often a lead byte or a continuation */
			in[k] = x >> 20 & 1 ? x >> 32 : 0x80 | (x >> 32 & 0x7f);
		}
		text_escape(in, sizeof(in), out, sizeof(out));
		text_escape(out, strlen(out), again, sizeof(again));
		for (k = 0; out[k] && (unsigned char)out[k] >= 0x20 && out[k] != 0x7f; k++)
			;
		good += !out[k] && !strcmp(out, again);
	}
	is_u64(good, rounds, "random bytes: no control character, and stable when escaped again");
}

static void is_pid(const struct vm *vm, eterm_t pid, const char *want, const char *what)
{
	char buf[64];

	term_pid_text(vm, pid, buf, sizeof(buf));
	is_str(buf, want, "%s", what);
}

/* Until 25: slot in the upper half; in the lower one 15 bits of number, 13 of serial, and tag. */
static void old_pids(void)
{
	struct vm vm = { .lay = layout_find(25, true, "x86_64") };

	ok(vm.lay->facts->slot_in_high_word, "otp 25 keeps the slot in the upper half");
	is_pid(&vm, 0x3, "<0.0.0>", "otp 25: the first pid");
	is_pid(&vm, 0x0000000a00000553, "<0.85.0>", "otp 25: number without serial");
	is_pid(&vm, 0x7fff3ULL, "<0.32767.0>", "otp 25: the last number of the first round");
	is_pid(&vm, 0x80003ULL, "<0.0.1>", "otp 25: the next one");
	is_pid(&vm, 0xfffffff3ULL, "<0.32767.8191>", "otp 25: the largest");
	is_pid(&vm, 0xffffffff00000053ULL, "<0.5.0>", "otp 25: the slot is no part of the text");
	is_u64(term_pid_slot(&vm, 0x0000000a00000553), 10, "otp 25: the slot");
}

/*
 * From 26 on: ids in slot order.  The constants are those of a table of 1024 slots, as the
 * recordings have them; 0x3ff is then split into 128 cache lines of 8 words.
 */
static void new_pids(void)
{
	struct vm vm = { .lay = layout_find(27, true, "x86_64"), .pix_mask = 0x3ff,
			 .pix_cl_mask = 0x7f, .pix_cl_shift = 3, .pix_cli_mask = 0x7,
			 .pix_cli_shift = 7 };
	unsigned int slot, data, seen[1024] = { 0 }, good = 0, i;
	char buf[64];

	is_pid(&vm, 0x3, "<0.0.0>", "otp 27: the first pid");
	is_pid(&vm, 8 << 4 | 3, "<0.1.0>", "otp 27: the second pid is in the next cache line");
	is_pid(&vm, 1 << 4 | 3, "<0.128.0>",
	       "otp 27: after all lines, the second word of the first");
	is_pid(&vm, 0x3ff << 4 | 3, "<0.1023.0>", "otp 27: the last of the first round");
	is_pid(&vm, 0x400 << 4 | 3, "<0.1024.0>", "otp 27: the first of the second round");
	is_pid(&vm, (1ULL << 28 | 8) << 4 | 3, "<0.1.1>", "otp 27: 28 bits of number, then serial");
	is_u64(term_pid_slot(&vm, (0x12345ULL << 10 | 77) << 4 | 3), 77, "otp 27: the slot");
	for (slot = 0; slot < 1024; slot++) {
		term_pid_text(&vm, (uint64_t)slot << 4 | 3, buf, sizeof(buf));
		if (sscanf(buf, "<0.%u.0>", &data) == 1 && data < 1024)
			seen[data]++;
	}
	for (i = 0; i < 1024; i++)
		good += seen[i] == 1;
	is_u64(good, 1024, "otp 27: every slot has a number of its own");
}

/* The tables of the recordings: the constants above are theirs, and port ids print likewise. */
static void recorded(void)
{
	struct vm vm;
	char buf[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(releases); i++) {
		if (!ok(!vm_open_recording(&vm, fixture_path(releases[i], "rec.gz")),
			"otp %d: the recording opens", releases[i]))
			continue;
		is_u64(vm.proc_max, 1024, "otp %d: slots", releases[i]);
		is_u64(vm.pix_mask, 0x3ff, "otp %d: mask of slots", releases[i]);
		is_u64(vm.pix_cl_mask << vm.pix_cl_shift | vm.pix_cli_mask, 0x3ff,
		       "otp %d: its parts", releases[i]);
		is_u64(vm.pix_cl_shift, 3, "otp %d: words in a line, log2", releases[i]);
		is_u64(vm.pix_cli_shift, 7, "otp %d: lines, log2", releases[i]);
		is_str(term_atom_index(&vm, 1), "true", "otp %d: an atom by index", releases[i]);
		ok(term_atom_index(&vm, 1) == term_atom_index(&vm, 1),
		   "otp %d: is kept for the next time", releases[i]);
		ok(!term_atom_index(&vm, 1 << 20) && !term_atom_index(&vm, UINT64_MAX),
		   "otp %d: there is no atom beyond the table", releases[i]);
		ok(!term_atom(&vm, 0x3) && !term_atom(&vm, 0xf) && !term_atom(&vm, 0),
		   "otp %d: what is no atom has no text", releases[i]);
		ok(term_mfa_text(&vm, 1 << 6 | 0xb, 0 << 6 | 0xb, 255, buf, sizeof(buf)) &&
			   !strcmp(buf, "true:false/255"),
		   "otp %d: module, function and arity", releases[i]);
		ok(!term_mfa_text(&vm, 1 << 6 | 0xb, 0x3, 1, buf, sizeof(buf)) &&
			   !term_mfa_text(&vm, 1 << 6 | 0xb, 0xb, 256, buf, sizeof(buf)),
		   "otp %d: no function, or no arity: no text", releases[i]);
		ok(term_mfa_text(&vm, 1 << 6 | 0xb, 0xb, 0, buf, 8) && !strcmp(buf, "true:fa"),
		   "otp %d: cut to the buffer", releases[i]);
		vm_close(&vm);
	}
}

static void ports(void)
{
	struct vm vm = { .lay = layout_find(25, true, "x86_64") };
	char buf[64];

	term_port_text(&vm, 0x0000000300000057, buf, sizeof(buf));
	is_str(buf, "#Port<0.5>", "otp 25: a port");
	term_port_text(&vm, 0x57, buf, 6);
	is_str(buf, "#Port", "cut to the buffer");
	ok(term_is_port(0x57) && !term_is_port(0x53) && term_is_pid(0x53) && !term_is_pid(0x57) &&
		   term_is_atom(0x4b) && !term_is_atom(0x53) && term_is_small(0x1f) &&
		   !term_is_small(0x1b),
	   "tags tell pids, ports, atoms and small integers apart");
}

int main(void)
{
	escapes();
	cuts();
	any_bytes();
	old_pids();
	new_pids();
	ports();
	recorded();
	return done();
}
