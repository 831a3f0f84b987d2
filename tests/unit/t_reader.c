// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reader on hand-made recordings, and on the one process there always is: this one.
 */
#include "reader.h"
#include "tap.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#define BASE 0x10000000ULL

static char path[] = "/tmp/ebeam-reader.XXXXXX";

static void segment(FILE *f, uint64_t addr, uint64_t claimed, const void *bytes, size_t len)
{
	uint64_t head[2] = { addr, claimed };

	fwrite(head, sizeof(head), 1, f);
	fwrite(bytes, 1, len, f);
}

static bool reads(struct reader *rd, vmaddr_t addr, size_t len, const char *want)
{
	char buf[256];

	memset(buf, '?', sizeof(buf));
	return reader_copy(rd, addr, buf, len) && !memcmp(buf, want, len) && buf[len] == '?';
}

/* True when it could not be read, was counted as a fault, and left the buffer alone. */
static bool faults(struct reader *rd, vmaddr_t addr, size_t len)
{
	uint64_t before = rd->faults;
	char buf[256];

	memset(buf, '?', sizeof(buf));
	return !reader_copy(rd, addr, buf, len) && buf[0] == '?' && rd->faults == before + 1;
}

static void recording(void)
{
	struct reader rd;
	uint64_t v64;
	uint32_t v32;
	FILE *f = fopen(path, "wb");

	segment(f, BASE, 16, "0123456789abcdef", 16);
	segment(f, BASE + 16, 16, "ghijklmnopqrstuv", 16);
	segment(f, BASE + 4, 4, "WXYZ", 4);
	segment(f, BASE + 0x2000, 0, "", 0);
	fclose(f);
	is_u64(reader_open_recording(&rd, path), 0, "a recording opens");
	ok(reads(&rd, BASE, 16, "0123456789abcdef"), "a whole segment");
	ok(reads(&rd, BASE + 3, 1, "3") && reads(&rd, BASE + 15, 1, "f"), "a part of it");
	ok(reads(&rd, BASE + 4, 4, "WXYZ") && reads(&rd, BASE + 5, 2, "XY"),
	   "where two overlap the later one wins");
	ok(reads(&rd, BASE + 4, 5, "45678"), "unless it does not hold all that is asked for");
	ok(faults(&rd, BASE + 8, 16), "two segments do not make up for one");
	ok(faults(&rd, BASE - 1, 2), "it begins before the segment");
	ok(faults(&rd, BASE + 31, 2), "it ends behind the segment");
	ok(faults(&rd, BASE + 0x1000, 8), "nothing is there");
	ok(faults(&rd, BASE + 0x2000, 1), "an empty segment holds nothing");
	ok(reader_u64(&rd, BASE, &v64) && v64 == 0x3736353433323130ULL &&
		   reader_u32(&rd, BASE, &v32) && v32 == 0x33323130,
	   "words are little endian");
	is_u64(rd.bytes_read, 16 + 1 + 1 + 4 + 2 + 5 + 8 + 4, "bytes read are counted");
	reader_close(&rd);
}

static void insane(void)
{
	struct reader rd;
	FILE *f = fopen(path, "wb");

	/* as if these had been recorded: the address alone must be refused */
	segment(f, 0, 64, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", 64);
	segment(f, 1ULL << 56, 8, "01234567", 8);
	segment(f, UINT64_MAX - 7, 8, "01234567", 8);
	segment(f, BASE, 8, "01234567", 8);
	fclose(f);
	is_u64(reader_open_recording(&rd, path), 0, "a recording of odd addresses opens");
	ok(faults(&rd, 0, 8) && faults(&rd, 16, 8), "the first page is never read");
	ok(faults(&rd, 1ULL << 56, 8), "nor what no process can map");
	ok(faults(&rd, UINT64_MAX - 7, 8), "nor the end of the address space");
	ok(faults(&rd, UINT64_MAX - 3, 8), "nor what wraps around it");
	ok(faults(&rd, BASE, 0), "nothing cannot be read");
	ok(!reader_copy(&rd, BASE, (char[1]){ 0 }, SIZE_MAX) &&
		   !reader_copy(&rd, BASE, (char[1]){ 0 }, SIZE_MAX - BASE),
	   "a length that wraps around is refused");
	ok(!reader_copy(&rd, BASE + 1, (char[1]){ 0 }, SIZE_MAX - BASE - 8),
	   "a length that is larger than any segment as well");
	reader_close(&rd);
}

static void strings(void)
{
	struct reader rd;
	char buf[128];
	char page[128];
	FILE *f = fopen(path, "wb");

	memset(page, 'x', sizeof(page));
	page[100] = '\0';
	segment(f, BASE, 128, page, 128);
	/* the last bytes of a page, and nothing behind */
	segment(f, BASE + 4096 - 6, 6, "hello", 6);
	segment(f, BASE + 8192 - 5, 5, "world", 5);
	fclose(f);
	reader_open_recording(&rd, path);
	ok(reader_string(&rd, BASE, buf, sizeof(buf)) && strlen(buf) == 100,
	   "a string in two pieces");
	ok(!reader_string(&rd, BASE, buf, 50) && strlen(buf) == 49, "one that is too long is cut");
	ok(reader_string(&rd, BASE + 4096 - 6, buf, sizeof(buf)) && !strcmp(buf, "hello"),
	   "one that ends with its page");
	ok(!reader_string(&rd, BASE + 8192 - 5, buf, sizeof(buf)), "one without an end");
	ok(!reader_string(&rd, BASE + 0x10000, buf, sizeof(buf)), "one that is not there");
	reader_close(&rd);
}

static int opens(void)
{
	struct reader rd;
	int err = reader_open_recording(&rd, path);

	if (!err)
		reader_close(&rd);
	else if (rd.recording)
		return 1; /* it must hold nothing then */
	return err;
}

static void files(void)
{
	uint64_t half = BASE;
	struct reader rd;
	gzFile gz;
	FILE *f;

	f = fopen(path, "wb");
	fclose(f);
	is_u64(opens(), 0, "an empty file is an empty recording");
	f = fopen(path, "wb");
	fwrite(&half, sizeof(half), 1, f);
	fclose(f);
	ok(opens() == -EIO, "a head that is cut off is an error");
	f = fopen(path, "wb");
	segment(f, BASE, 16, "0123", 4);
	fclose(f);
	ok(opens() == -EIO, "a body that is cut off is an error");
	f = fopen(path, "wb");
	segment(f, BASE, 16, "", 0);
	fclose(f);
	ok(opens() == -EIO, "a body that is not there is an error");
	f = fopen(path, "wb");
	segment(f, BASE, UINT64_MAX, "0123", 4);
	fclose(f);
	ok(opens() == -EINVAL, "an absurd length is an error, not memory asked for");
	unlink(path);
	ok(opens() == -ENOENT, "a file that is not there is an error");
	gz = gzopen(path, "wb");
	gzwrite(gz, (uint64_t[]){ BASE, 8 }, 16);
	gzwrite(gz, "01234567", 8);
	gzclose(gz);
	ok(!reader_open_recording(&rd, path) && reads(&rd, BASE, 8, "01234567"),
	   "compressed files are read as well");
	reader_close(&rd);
}

/* Live reads need no privilege on oneself; what was teed serves the same reads again. */
static void live(void)
{
	size_t page = sysconf(_SC_PAGESIZE), i, good = 0;
	char *map =
		mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static struct read_req req[600];
	static uint64_t got[600];
	struct reader rd, again;

	munmap(map + page, page);
	memset(map, 'a', page);
	memset(map + 2 * page, 'b', page);
	reader_open_live(&rd, getpid());
	is_u64(reader_tee(&rd, path), 0, "a live reader records");
	ok(reads(&rd, (vmaddr_t)map, 8, "aaaaaaaa") &&
		   reads(&rd, (vmaddr_t)map + 2 * page, 8, "bbbbbbbb"),
	   "own memory is read");
	ok(!reader_copy(&rd, (vmaddr_t)map + page - 4, got, 8) && rd.faults == 1,
	   "a read into a hole is a fault as a whole");
	ok(faults(&rd, (vmaddr_t)map + page, 8), "a hole is a fault");
	/* a batch with holes and absurd addresses in it: all others are read */
	for (i = 0; i < ARRAY_SIZE(req); i++) {
		req[i] = (struct read_req){(vmaddr_t)map + (i % 2) * 2 * page + i, &got[i], 8,
					   false};
		if (i % 7 == 3)
			req[i].addr = (vmaddr_t)map + page + i;
		if (i % 50 == 49)
			req[i].addr = UINT64_MAX - i;
	}
	rd.faults = 0;
	reader_batch(&rd, req, ARRAY_SIZE(req));
	for (i = 0; i < ARRAY_SIZE(req); i++)
		good += (i % 7 == 3 || i % 50 == 49) ?
				!req[i].ok :
				req[i].ok && got[i] == (i % 2 ? 0x6262626262626262ULL :
								0x6161616161616161ULL);
	is_u64(good, ARRAY_SIZE(req), "in a batch just the bad ones fail");
	for (i = 0, good = 0; i < ARRAY_SIZE(req); i++)
		good += !req[i].ok;
	is_u64(rd.faults, good, "and are counted, each once");
	ok(!rd.lost, "faults are no loss of the target");
	reader_close(&rd);
	is_u64(reader_open_recording(&again, path), 0, "what was recorded opens");
	ok(reads(&again, (vmaddr_t)map, 8, "aaaaaaaa") &&
		   reads(&again, (vmaddr_t)map + 2 * page, 8, "bbbbbbbb") &&
		   faults(&again, (vmaddr_t)map + page, 8),
	   "and serves the same reads");
	reader_close(&again);
	munmap(map, page);
	munmap(map + 2 * page, page);
}

static void gone(void)
{
	struct reader rd;
	uint64_t v;

	/* larger than any pid: no process has it */
	reader_open_live(&rd, 1 << 30);
	ok(!reader_u64(&rd, BASE, &v) && rd.lost == ESRCH, "a process that is not there is lost");
	ok(!reader_u64(&rd, BASE, &v) && rd.faults == 2, "and stays so");
	reader_close(&rd);
}

int main(void)
{
	int fd = mkstemp(path);

	if (fd < 0)
		return 1;
	close(fd);
	recording();
	insane();
	strings();
	files();
	live();
	gone();
	unlink(path);
	return done();
}
