// SPDX-License-Identifier: GPL-2.0-only
#include "reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <zlib.h>

#define BATCH 256 /* segments per system call: beyond some 64 it gets no cheaper */

struct segment {
	vmaddr_t addr;
	size_t len;
	unsigned char *bytes;
};

struct recording {
	struct segment *segs;
	size_t n;
};

void reader_open_live(struct reader *rd, pid_t pid)
{
	memset(rd, 0, sizeof(*rd));
	rd->pid = pid;
}

static int read_full(gzFile f, void *buf, size_t len)
{
	size_t have = 0;
	int n;

	while (have < len) {
		n = gzread(f, (char *)buf + have, len - have);
		if (n < 0)
			return -EIO;
		if (n == 0)
			return have ? -EIO : 0;
		have += n;
	}
	return 1;
}

int reader_open_recording(struct reader *rd, const char *path)
{
	struct recording *rec;
	uint64_t head[2];
	struct segment *s;
	gzFile f;
	int err;

	memset(rd, 0, sizeof(*rd));
	f = gzopen(path, "rb");
	if (!f)
		return -errno;
	rec = xcalloc(1, sizeof(*rec));
	while ((err = read_full(f, head, sizeof(head))) > 0) {
		if (head[1] > 1 << 28) {
			err = -EINVAL;
			break;
		}
		rec->segs = xrealloc(rec->segs, (rec->n + 1) * sizeof(*rec->segs));
		s = &rec->segs[rec->n++];
		s->addr = head[0];
		s->len = head[1];
		s->bytes = xcalloc(1, s->len);
		err = read_full(f, s->bytes, s->len);
		if (err <= 0) {
			err = -EIO;
			break;
		}
	}
	gzclose(f);
	rd->recording = rec;
	if (err)
		reader_close(rd);
	return err;
}

int reader_tee(struct reader *rd, const char *path)
{
	rd->tee = fopen(path, "wb");
	return rd->tee ? 0 : -errno;
}

void reader_close(struct reader *rd)
{
	size_t i;

	if (rd->tee)
		fclose(rd->tee);
	if (rd->recording) {
		for (i = 0; i < rd->recording->n; i++)
			free(rd->recording->segs[i].bytes);
		free(rd->recording->segs);
		free(rd->recording);
	}
	memset(rd, 0, sizeof(*rd));
}

/* One segment must hold all of it: what was recorded in pieces is read in the same pieces. */
static bool copy_recorded(const struct recording *rec, vmaddr_t addr, void *buf, size_t len)
{
	const struct segment *s;
	size_t i;

	for (i = rec->n; i-- > 0;) {
		s = &rec->segs[i];
		if (addr >= s->addr && addr - s->addr <= s->len && len <= s->len - (addr - s->addr)) {
			memcpy(buf, s->bytes + (addr - s->addr), len);
			return true;
		}
	}
	return false;
}

static void finish(struct reader *rd, struct read_req *r, bool ok)
{
	uint64_t head[2] = { r->addr, r->len };

	r->ok = ok;
	if (!ok) {
		rd->faults++;
		return;
	}
	rd->bytes_read += r->len;
	if (rd->tee) {
		fwrite(head, sizeof(head), 1, rd->tee);
		fwrite(r->buf, 1, r->len, rd->tee);
	}
}

/* Addresses that no Linux process can have would fail a whole batch with EFAULT. */
static bool sane(const struct read_req *r)
{
	vmaddr_t end;

	return r->len && !__builtin_add_overflow(r->addr, r->len, &end) && r->addr >= 4096 &&
	       end < 1ULL << 56;
}

void reader_batch(struct reader *rd, struct read_req *reqs, size_t n)
{
	struct iovec local[BATCH], remote[BATCH];
	size_t i = 0, k, done;
	ssize_t got;

	while (i < n) {
		if (rd->lost || !sane(&reqs[i])) {
			finish(rd, &reqs[i++], false);
			continue;
		}
		if (!rd->pid) {
			finish(rd, &reqs[i],
			       rd->recording &&
				       copy_recorded(rd->recording, reqs[i].addr, reqs[i].buf,
						     reqs[i].len));
			i++;
			continue;
		}
		for (k = 0; k < BATCH && i + k < n && sane(&reqs[i + k]); k++) {
			local[k].iov_base = reqs[i + k].buf;
			local[k].iov_len = reqs[i + k].len;
			remote[k].iov_base = (void *)(uintptr_t)reqs[i + k].addr;
			remote[k].iov_len = reqs[i + k].len;
		}
		got = process_vm_readv(rd->pid, local, k, remote, k, 0);
		if (got < 0 && (errno == ESRCH || errno == EPERM))
			rd->lost = errno;
		/* a short copy ends at the first address that could not be read: skip that one */
		for (done = 0; done < k && got >= (ssize_t)reqs[i + done].len; done++) {
			got -= reqs[i + done].len;
			finish(rd, &reqs[i + done], true);
		}
		if (done < k) {
			finish(rd, &reqs[i + done], false);
			done++;
		}
		i += done;
	}
}

bool reader_copy(struct reader *rd, vmaddr_t addr, void *buf, size_t len)
{
	struct read_req r = { .addr = addr, .buf = buf, .len = len };

	reader_batch(rd, &r, 1);
	return r.ok;
}

bool reader_u64(struct reader *rd, vmaddr_t addr, uint64_t *v)
{
	return reader_copy(rd, addr, v, sizeof(*v));
}

bool reader_u32(struct reader *rd, vmaddr_t addr, uint32_t *v)
{
	return reader_copy(rd, addr, v, sizeof(*v));
}

bool reader_string(struct reader *rd, vmaddr_t addr, char *buf, size_t size)
{
	size_t have = 0, chunk;

	/* in pieces that do not cross a page, so that a string at the end of one can be read */
	while (have < size - 1) {
		chunk = 4096 - ((addr + have) & 4095);
		if (chunk > 64)
			chunk = 64;
		if (chunk > size - 1 - have)
			chunk = size - 1 - have;
		if (!reader_copy(rd, addr + have, buf + have, chunk))
			return false;
		if (memchr(buf + have, 0, chunk))
			return true;
		have += chunk;
	}
	buf[have] = '\0';
	return false;
}
