// SPDX-License-Identifier: GPL-2.0-only
/* Memory limits of cgroups, v1 and v2, from trees of files. */
#include "cgroup.h"
#include "tap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char top[64];

static void put(const char *path, const char *text)
{
	char full[256], *p;
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", top, path);
	for (p = full + strlen(top) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(full, 0755);
		*p = '/';
	}
	f = fopen(full, "w");
	if (!f)
		abort();
	fputs(text, f);
	fclose(f);
}

#define V2 "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"
#define V1 "31 30 0:27 / /v1/mem\\040ory rw - cgroup cgroup rw,memory\n"
#define CPU "32 30 0:28 / /v1/cpu rw - cgroup cgroup rw,cpu,memoryless\n"

static void is(const char *what, const char *cgroup, const char *mounts, bool known, uint64_t limit,
	       uint64_t used)
{
	struct cgroup_memory m;

	cgroup_memory_in(cgroup, mounts, top, &m);
	ok(m.known == known && m.limited == (limit != 0) && (!limit || m.limit == limit) &&
		   m.used_known == (used != 0) && (!used || m.used == used),
	   "%s", what);
}

int main(void)
{
	char command[96];

	snprintf(top, sizeof(top), "/tmp/t_cgroup.XXXXXX");
	if (!mkdtemp(top))
		return 1;
	put("/sys/fs/cgroup/a/memory.max", "1000\n");
	put("/sys/fs/cgroup/a/memory.current", "600\n");
	put("/sys/fs/cgroup/a/b/memory.max", "max\n");
	put("/sys/fs/cgroup/a/b/c/memory.max", "5000\n");
	put("/sys/fs/cgroup/a/b/c/memory.current", "10\n");
	put("/sys/fs/cgroup/free/memory.max", "max\n");
	put("/v1/mem ory/memory.limit_in_bytes", "9223372036854771712\n");
	put("/v1/mem ory/x/memory.limit_in_bytes", "700\n");
	put("/v1/mem ory/x/memory.usage_in_bytes", "70\n");
	is("v2: the tightest is above", "0::/a/b/c\n", V2, true, 1000, 600);
	is("v2: at the cgroup itself", "0::/a\n", V2, true, 1000, 600);
	is("v2: none", "0::/free\n", V2, true, 0, 0);
	is("v2: at the root", "0::/\n", V2, true, 0, 0);
	is("v2: a cgroup that is not there", "0::/gone\n", V2, false, 0, 0);
	is("v2: outside of our namespace", "0::/../a\n", V2, false, 0, 0);
	is("v1", "4:memory:/x\n3:cpu:/a\n0::/\n", CPU V1, true, 700, 70);
	is("v1: none", "4:memory:/\n", CPU V1, true, 0, 0);
	is("v1 and v2: the tighter", "4:memory:/x\n0::/a/b\n", V1 V2, true, 700, 70);
	is("a mount of a part", "0::/pod/a\n",
	   "30 23 0:26 /pod /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", true, 1000, 600);
	is("another part than the process is in", "0::/other\n",
	   "30 23 0:26 /pod /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", false, 0, 0);
	is("a name that only begins alike", "0::/podium/a\n",
	   "30 23 0:26 /pod /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", false, 0, 0);
	is("what a container shows of its own", NULL,
	   "30 23 0:26 /pod /sys/fs/cgroup/a rw - cgroup2 cgroup2 rw\n", true, 1000, 600);
	is("no mounts", "0::/a\n", "", false, 0, 0);
	is("lines cut short", "0:\n4:memory\n:\n", "30 23\n - cgroup2\n" V2, false, 0, 0);
	snprintf(command, sizeof(command), "rm -r %s", top);
	if (system(command))
		return 1;
	return done();
}
