// SPDX-License-Identifier: GPL-2.0-only
/* Options, the table of commands, choice of the target, exit status. */
#include "cmd.h"
#include "probe.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WANT_ALL (WANT_ALLOC | WANT_BIN | WANT_CARRIER | WANT_GC)

static const struct cmd commands[] = {
	{ "info", "a node at a glance: how near its limits it is, how busy, how configured", 0, cmd_info,
	  "",
	  "  ebeam info                       processes, ports, atoms and memory against limits\n"
	  "  ebeam info -v                    and the atoms that were made last\n", false },
	{ "ps", "Erlang processes: memory, queues, what they do and whom they wait for", 0, cmd_ps,
	  "[--by KEY] [--binaries] [--full]",
	  "  ebeam ps                         the 20 with most memory\n"
	  "  ebeam ps --sort message_queue_len   longest queues first\n"
	  "  ebeam ps --by waits_for          who keeps others waiting\n"
	  "  ebeam ps --by initial_call --sort memory\n"
	  "  ebeam ps -i 2                    what changes, every 2 s\n", false },
	{ "proc", "everything about one process: what it does, waits for, holds, and is sent", 0,
	  cmd_proc, "PID|NAME [--depth N] [--max-terms N]",
	  "  ebeam proc logger                a registered name\n"
	  "  ebeam proc '<0.123.0>' -l 0      all of it, nothing cut\n"
	  "  ebeam proc 0.123.0 --json        one JSON document\n", true },
	{ "mem", "where the memory is: allocators, erlang:memory(), and the way to RSS", 0, cmd_mem,
	  "[--each]",
	  "  ebeam mem                        the OS says 15 GB, the node 7: what is the rest?\n"
	  "  ebeam mem --each --sort usage    instances of allocators, one by one\n"
	  "  ebeam mem -i 10                  and what has changed, each 10 s\n", false },
	{ "carrier", "how full carriers are, block by block; --trace: created and destroyed",
	  WANT_CARRIER, cmd_carrier, "[--each | --map | --by creator|type | --trace]",
	  "  ebeam carrier --map              how full each carrier is, at a glance\n"
	  "  ebeam carrier --each --sort usage  the carriers that are fullest\n"
	  "  ebeam carrier --by creator       who allocated the binaries that there are\n"
	  "  ebeam carrier --trace -d 300     rare events: watching long costs next to nothing\n", false },
	{ "ets", "tables: owner, rows, memory, and the binaries their rows keep", 0, cmd_ets,
	  "[--binaries] [--by owner|type|name]",
	  "  ebeam ets -n rabbit              the largest tables\n"
	  "  ebeam ets --binaries             and what refc binaries their rows keep alive\n"
	  "  ebeam ets -i 10 --sort memory_change   those that grow\n"
	  "  ebeam ets --by owner             summed up by owning process\n", false },
	{ "port", "ports: owner, queue, bytes in and out", 0, cmd_port, "[--by name|driver|owner]",
	  "  ebeam port -n rabbit             longest queues first, then most traffic\n"
	  "  ebeam port -i 5 --sort output_change   who writes most\n"
	  "  ebeam port --by name             how many of each kind\n", false },
	{ "trace", "where memory goes and who holds it: the other four with one attach", WANT_ALL,
	  cmd_trace, "[-d SEC]",
	  "  ebeam trace                      the only Erlang VM of this host, for 10 s\n"
	  "  ebeam trace -n rabbit -d 60      node rabbit@..., for a minute\n"
	  "  ebeam trace -p 812 --json        one JSON document\n"
	  "  ebeam trace -i 5                 a report every 5 s until Ctrl-C\n", false },
	{ "alloc", "allocations, by Erlang process and type", WANT_ALLOC, cmd_trace,
	  "[--by type|process|initial_call]",
	  "  ebeam alloc -p 812 --by type     what is allocated, whoever does it\n"
	  "  ebeam alloc --sort frees -l 0    all rows, most frees first\n", false },
	{ "bin", "--trace: refc binaries, and who holds, creates and frees them", WANT_BIN, cmd_trace,
	  "--trace",
	  "  ebeam bin --trace -d 30          watch for half a minute, then look at who holds\n", false },
	{ "gc", "collections and their pauses, by Erlang process", WANT_GC, cmd_trace, "",
	  "  ebeam gc --sort pause_max_ns     longest pauses first\n", false },
	{ "list", "the Erlang VMs of this host", 0, cmd_list, "",
	  "  ebeam list\n  ebeam list --json\n", false },
	{ "doctor", "what works here: kernel, capabilities, symbols, layout proof, every site", 0,
	  cmd_doctor, "", "  ebeam doctor -p 812\n", false },
};

#define TRACING "trace alloc bin carrier gc"
#define READING "info ps proc mem carrier ets port"

/* What each option is, and for which commands; NULL: all that look at one node. */
static const struct { const char *commands, *text; } option_help[] = {
	{ NULL, "  -p, --pid OS_PID          the beam.smp to look at (default: the only one)\n"
		"  -n, --node NAME           the same by node name, full or short\n" },
	{ TRACING, "  -d, --duration SEC        how long (default 10); Ctrl-C ends early\n" },
	{ TRACING " " READING,
	  "  -i, --interval SEC        a report every SEC until stopped, or for -d SEC\n" },
	{ "ps alloc carrier ets port",
	  "      --by KEY              sum up by KEY; ps: initial_call, waits_for, status, ...;\n"
	  "                            alloc: type, process, initial_call; carrier: creator, type;\n"
	  "                            ets: owner, type, name; port: name, driver, owner\n" },
	{ "carrier mem", "      --each                a row per carrier; mem: per instance\n" },
	{ "carrier", "      --map                 how full each carrier is, drawn\n" },
	{ "ps ets", "      --binaries            refc binaries held by processes, or by rows of tables\n" },
	{ "ps", "      --full                walk message queues of any length\n" },
	{ "proc", "      --depth N             nesting of terms that is shown\n"
		  "      --max-terms N         subterms of each term that are shown\n" },
	{ "bin carrier", "      --trace               watch by probes for a while\n" },
	{ TRACING,
	  "      --max-overhead PCT    tracing: may take PCT % of any scheduler's time (default 2)\n"
	  "      --exact               tracing: watch everything all the time, whatever it costs\n"
	  "      --max-processes N     tracing: keep the N heaviest processes apart, sum up the rest\n"
	  "                            (default 16384)\n" },
	{ NULL, "      --symbols FILE        names of the VM's functions: its unstripped beam.smp, or its\n"
		"                            debug file, where none is found by build id\n"
		"      --json                one JSON document on stdout\n"
		"      --sort KEY            order of the rows (`--sort help` lists the keys)\n"
		"  -l, --limit N             rows shown (default 20, in text of `trace` 5; 0: all)\n"
		"  -v, -vv                   steps taken; everything (on stderr)\n"
		"  -V, --version             -h, --help\n" },
};

static bool has_name(const char *names, const char *name)
{
	size_t len = strlen(name);

	for (; *names; names += strcspn(names, " "), names += *names == ' ')
		if (!strncmp(names, name, len) && (names[len] == ' ' || !names[len]))
			return true;
	return false;
}

static void usage(FILE *out, const struct cmd *cmd)
{
	size_t i;

	if (cmd) {
		fprintf(out, "usage: ebeam [-v] %s%s%s [-p OS_PID | -n NODE] [options]\n\n%s\n",
			cmd->name, cmd->args[0] ? " " : "", cmd->args, cmd->summary);
	} else {
		fprintf(out, "usage: ebeam [-v] COMMAND [-p OS_PID | -n NODE] [options]\n\n"
			     "Watches a running Erlang VM (beam.smp) from outside: where its memory "
			     "goes, and what keeps it.\n\n");
		for (i = 0; i < ARRAY_SIZE(commands); i++)
			fprintf(out, "%s  %-9s %s\n",
				!i ? "commands that read its memory, and set no probe:\n" :
				!strcmp(commands[i].name, "trace") ? "those that watch it by uprobes:\n" :
				!strcmp(commands[i].name, "list") ? "and:\n" : "",
				commands[i].name, commands[i].summary);
	}
	fprintf(out, "\noptions:\n");
	for (i = 0; i < ARRAY_SIZE(option_help); i++)
		if (!cmd || !option_help[i].commands || has_name(option_help[i].commands, cmd->name))
			fputs(option_help[i].text, out);
	if (cmd) {
		fprintf(out, "\nexamples:\n%s", cmd->examples);
	} else {
		fprintf(out, "\nexamples:\n");
		for (i = 0; i < ARRAY_SIZE(commands); i++)
			fprintf(out, "%.*s\n", (int)strcspn(commands[i].examples, "\n"),
				commands[i].examples);
	}
}

/* --- the target --------------------------------------------------------------------------------- */

static void list_candidates(const struct candidate *c, int n, char *buf, size_t size)
{
	size_t len = 0;
	int i;

	buf[0] = '\0';
	for (i = 0; i < n && len + 40 < size; i++)
		len += snprintf(buf + len, size - len, "%s%d%s%s%s", i ? ", " : "", c[i].pid,
				c[i].node[0] ? " (" : "", c[i].node, c[i].node[0] ? ")" : "");
	if (i < n)
		snprintf(buf + len, size - len, ", ...");
}

/* Full names must be equal; a short one equals the part before the @. */
static bool node_matches(const char *have, const char *want)
{
	size_t len = strcspn(have, "@");

	if (strchr(want, '@'))
		return strchr(have, '@') ? !strcmp(have, want) :
					   strlen(have) == strcspn(want, "@") &&
						   !strncmp(have, want, strlen(have));
	return strlen(want) == len && !strncmp(have, want, len);
}

/* @why: what kept a VM from being asked, "" if all could be. */
static pid_t find_node(const struct candidate *c, int n, const struct options *opt, char *why,
		       size_t size)
{
	const char *name = opt->node;
	pid_t found = 0;
	int i, hits = 0;
	struct vm vm;

	for (i = 0; i < n; i++)
		if (c[i].node[0] && node_matches(c[i].node, name)) {
			found = c[i].pid;
			hits++;
		}
	if (hits == 1)
		return found;
	/* a name that the node took later, or one of several alike: ask the VMs' memory */
	for (i = hits = 0; i < n; i++) {
		if (!vm_open(&vm, c[i].pid, opt->symbols, VM_MANY)) {
			if (node_matches(vm.node, name)) {
				found = c[i].pid;
				hits++;
			}
			vm_close(&vm);
		}
		if (failure_get() && !why[0])
			snprintf(why, size, "%s", failure_get()->message);
		failure_clear();
	}
	return hits == 1 ? found : 0;
}

pid_t pick_target(const struct options *opt)
{
	struct candidate *c;
	char names[400], why[512] = "";
	pid_t pid = 0;
	int n;

	if (opt->pid)
		return opt->pid;
	n = target_scan(&c);
	list_candidates(c, n, names, sizeof(names));
	if (!n) {
		fail(EXIT_USAGE, "start one, or name another with -p",
		     "no Erlang VM (beam.smp) runs on this host");
	} else if (opt->node) {
		pid = find_node(c, n, opt, why, sizeof(why));
		if (!pid)
			fail(EXIT_USAGE, why[0] ? why : "choose one with -p OS_PID",
			     "no single Erlang VM is node %s; running: %s", opt->node, names);
	} else if (n > 1) {
		fail(EXIT_USAGE, "choose one with -p OS_PID or -n NODE",
		     "%d Erlang VMs run on this host: %s", n, names);
	} else {
		pid = c[0].pid;
	}
	free(c);
	return pid;
}

/* --- output ------------------------------------------------------------------------------------- */

int print_report(const struct options *opt, const struct report *r)
{
	int err;

	errno = 0;
	if (!(opt->json ? out_json(r) : out_text(r)))
		return 0;
	err = errno;
	/* nobody reads any more: quiet, as head(1) expects; else the reason matters */
	if (err == EPIPE)
		fail(EXIT_FAILED, "", "the reader of the report has gone");
	else
		fail(EXIT_FAILED, "free some space, or write elsewhere",
		     "cannot write the report: %s", strerror(err ? err : EIO));
	return -1;
}

static int finish(const struct options *opt)
{
	const struct failure *f = failure_get();

	if (!f)
		return EXIT_OK;
	if (opt->json && strncmp(f->message, "cannot write", 12))
		out_json_error(f);
	if (!opt->json || verbosity || !strncmp(f->message, "cannot write", 12))
		fprintf(stderr, "ebeam: %s%s%s%s\n", f->message, f->hint[0] ? " (" : "", f->hint,
			f->hint[0] ? ")" : "");
	return f->status;
}

/* --- options ------------------------------------------------------------------------------------ */

static int bad_number(const char *what, const char *arg)
{
	return fail(EXIT_USAGE, "`ebeam -h` shows the options", "%s: `%s` is no valid number", what,
		    arg);
}

static int parse_double(const char *what, const char *arg, double min, double max, double *out)
{
	char *end;

	*out = strtod(arg, &end);
	if (end == arg || *end || !(*out >= min && *out <= max))
		return bad_number(what, arg);
	return 0;
}

static int parse_long(const char *what, const char *arg, long min, long max, long *out)
{
	char *end;

	errno = 0;
	*out = strtol(arg, &end, 10);
	if (errno || end == arg || *end || *out < min || *out > max)
		return bad_number(what, arg);
	return 0;
}

enum { OPT_JSON = 256, OPT_SORT, OPT_MAX_OVERHEAD, OPT_MAX_PROCESSES, OPT_EXACT, OPT_TRACE, OPT_BY,
       OPT_SYMBOLS, OPT_EACH, OPT_MAP, OPT_BINARIES, OPT_DEPTH, OPT_MAX_TERMS, OPT_FULL };

static const struct option long_options[] = {
	{ "pid", required_argument, NULL, 'p' },
	{ "node", required_argument, NULL, 'n' },
	{ "duration", required_argument, NULL, 'd' },
	{ "interval", required_argument, NULL, 'i' },
	{ "limit", required_argument, NULL, 'l' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "sort", required_argument, NULL, OPT_SORT },
	{ "max-overhead", required_argument, NULL, OPT_MAX_OVERHEAD },
	{ "max-processes", required_argument, NULL, OPT_MAX_PROCESSES },
	{ "exact", no_argument, NULL, OPT_EXACT },
	{ "trace", no_argument, NULL, OPT_TRACE },
	{ "symbols", required_argument, NULL, OPT_SYMBOLS },
	{ "by", required_argument, NULL, OPT_BY },
	{ "each", no_argument, NULL, OPT_EACH },
	{ "map", no_argument, NULL, OPT_MAP },
	{ "binaries", no_argument, NULL, OPT_BINARIES },
	{ "full", no_argument, NULL, OPT_FULL },
	{ "depth", required_argument, NULL, OPT_DEPTH },
	{ "max-terms", required_argument, NULL, OPT_MAX_TERMS },
	{ "verbose", no_argument, NULL, 'v' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int parse(int argc, char **argv, struct options *opt, bool *help, bool *version)
{
	long pid;
	int c, err = 0;

	opterr = 0;
	/* whether errors are JSON must be known before the first one */
	for (c = 1; c < argc; c++)
		opt->json |= !strcmp(argv[c], "--json");
	while (!err && (c = getopt_long(argc, argv, ":p:n:d:i:l:vVh", long_options, NULL)) != -1) {
		switch (c) {
		case 'p':
			err = parse_long("--pid", optarg, 1, 1 << 30, &pid);
			opt->pid = pid;
			break;
		case 'n':
			opt->node = optarg;
			break;
		case 'd':
			err = parse_double("--duration", optarg, 0.01, 1e7, &opt->duration_s);
			break;
		case 'i':
			err = parse_double("--interval", optarg, 0.05, 1e6, &opt->interval_s);
			break;
		case 'l':
			err = parse_long("--limit", optarg, 0, 1 << 30, &opt->limit);
			break;
		case OPT_JSON:
			opt->json = true;
			break;
		case OPT_SORT:
			opt->sort = optarg;
			break;
		case OPT_MAX_OVERHEAD:
			err = parse_double("--max-overhead", optarg, 0.001, 100,
					   &opt->max_overhead);
			break;
		case OPT_MAX_PROCESSES:
			err = parse_long("--max-processes", optarg, 16, 1 << 20,
					 &opt->max_processes);
			break;
		case OPT_EXACT:
			opt->exact = true;
			break;
		case OPT_TRACE:
			opt->trace = true;
			break;
		case OPT_SYMBOLS:
			opt->symbols = optarg;
			break;
		case OPT_BY:
			opt->by = optarg;
			break;
		case OPT_EACH:
			opt->each = true;
			break;
		case OPT_MAP:
			opt->map = true;
			break;
		case OPT_BINARIES:
			opt->binaries = true;
			break;
		case OPT_FULL:
			opt->full = true;
			break;
		case OPT_DEPTH:
			err = parse_long("--depth", optarg, 1, 1 << 20, &opt->depth);
			break;
		case OPT_MAX_TERMS:
			err = parse_long("--max-terms", optarg, 1, 1 << 30, &opt->max_terms);
			break;
		case 'v':
			verbosity++;
			break;
		case 'V':
			*version = true;
			break;
		case 'h':
			*help = true;
			break;
		case ':':
			return fail(EXIT_USAGE, "`ebeam -h` shows the options",
				    "option %s needs a value", argv[optind - 1]);
		default:
			return fail(EXIT_USAGE, "`ebeam -h` shows the options",
				    "unknown option %s", argv[optind - 1]);
		}
	}
	return err;
}

static const struct cmd *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* An option that the command does not have is a mistake, not to be ignored. */
static int check_scope(const struct cmd *cmd, const struct options *opt)
{
	const struct { bool given; const char *option, *commands; } scopes[] = {
		{ opt->each, "each", "carrier mem" },
		{ opt->map, "map", "carrier" },
		{ opt->binaries, "binaries", "ets ps" },
		{ opt->depth >= 0, "depth", "proc" },
		{ opt->max_terms >= 0, "max-terms", "proc" },
		{ opt->full, "full", "ps" },
		{ opt->trace, "trace", "bin carrier" },
		{ opt->exact, "exact", TRACING },
		{ opt->interval_s >= 0, "interval", TRACING " " READING },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(scopes); i++)
		if (scopes[i].given && !has_name(scopes[i].commands, cmd->name))
			return fail(EXIT_USAGE, "`ebeam -h` shows the options",
				    "`ebeam %s` has no --%s", cmd->name, scopes[i].option);
	return 0;
}

static int run(int argc, char **argv, struct options *opt)
{
	bool help = false, version = false;
	const struct cmd *cmd = NULL;

	if (parse(argc, argv, opt, &help, &version))
		return -1;
	if (version) {
		puts("ebeam " EBEAM_VERSION);
		return 0;
	}
	if (optind < argc) {
		cmd = find_command(argv[optind]);
		if (!cmd)
			return fail(EXIT_USAGE, "`ebeam -h` lists them", "unknown command `%s`",
				    argv[optind]);
		if (cmd->takes_object && optind + 1 < argc)
			opt->object = argv[++optind];
		if (optind + 1 < argc)
			return fail(EXIT_USAGE, "`ebeam -h` shows the options",
				    "unexpected argument `%s`", argv[optind + 1]);
	}
	if (help) {
		usage(stdout, cmd);
		return 0;
	}
	if (!cmd) {
		if (!opt->json)
			usage(stderr, NULL);
		return fail(EXIT_USAGE, "`ebeam trace` is the main one", "no command given");
	}
	opt->command = cmd->name;
	if (check_scope(cmd, opt) || (opt->symbols && debugfile_check(opt->symbols)))
		return -1;
	return cmd->run(cmd, opt);
}

int main(int argc, char **argv)
{
	struct options opt = {
		.duration_s = -1, .interval_s = -1, .limit = -1, .max_overhead = 2,
		.max_processes = 16384, .depth = -1, .max_terms = -1,
	};

	setlocale(LC_CTYPE, ""); /* text may go to a terminal that knows no UTF-8 */
	signal(SIGPIPE, SIG_IGN); /* a write then fails with EPIPE, and probes are taken out */
	run(argc, argv, &opt);
	return finish(&opt);
}
