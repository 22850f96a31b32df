/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage.c - every help text, and option reading with messages that say what to do.
 *
 * Nothing here runs a command or looks at the system.
 */
#include "user/usage.h"

#include "policy/diag.h"
#include "user/safetext.h"

#include <stdarg.h>

struct help {
	const char *name, *summary;
	const char *synopsis; /* without "osh-enforce " */
	const char *text;
};

static const struct help helps[] = {
	{"run", "run a command so that it can only do what a policy allows",
	 "run [OPTIONS] [--] COMMAND [ARGUMENT...]",
	 "Starts a sandbox, runs COMMAND in it on this terminal, and removes the sandbox when "
	 "COMMAND\n"
	 "ends.  COMMAND is found on the PATH of the user it runs as: the policy's run_as_user, "
	 "else\n"
	 "the user who called sudo.\n"
	 "\n"
	 "Policy and sandbox:\n"
	 "  --policy FILE         the policy (default: $OSH_ENFORCE_POLICY, else the built-in "
	 "one)\n"
	 "  --name NAME           name of the sandbox: [a-z0-9][a-z0-9_.-]*, at most 48 bytes\n"
	 "                        (default: one is chosen)\n"
	 "  --allow-missing LAYER start although LAYER cannot be shown to work here: landlock,\n"
	 "                        seccomp or proxy-jail (repeatable); status and log say so\n"
	 "  --pids-max N          processes and threads at once (default: 4096; max: no limit)\n"
	 "  --memory-max SIZE     memory: 512M, 2G, max (default: all but a tenth of the host's)\n"
	 "  --keep                keep the sandbox when COMMAND ends, until `osh-enforce delete`\n"
	 "  --dry-run             say what would be allowed and how the walls would stand; run "
	 "nothing\n"
	 "\n"
	 "Network:\n"
	 "  --add-host NAME:IP    NAME resolves to IP in this sandbox (repeatable)\n"
	 "  --upstream-ca FILE    PEM certificates to trust upstream, beside the system's "
	 "(repeatable)\n"
	 "\n"
	 "Files and environment:\n"
	 "  --workdir D           directory to start in (default: the current one)\n"
	 "  --allow-any-workdir   accept a workdir that opens too much: /, /etc, a whole home\n"
	 "  --ro PATH             also show PATH, read-only (repeatable)\n"
	 "  --rw PATH             also show PATH, read-write (repeatable)\n"
	 "  --env K=V             set variable K (repeatable)\n"
	 "  --env K               pass variable K on from the caller\n"
	 "  --env-file F          set the variables in F, one K=V a line (repeatable)\n"
	 "\n"
	 "  -v, --verbose         say what is done, and which variables were not passed on\n"
	 "  -h, --help            this text\n"
	 "\n"
	 "Exit status: that of COMMAND; 128+N if signal N ended it; 127 not found; 126 found but "
	 "not\n"
	 "executable; 125 when osh-enforce itself failed.\n"},
	{"exec", "run one more command in a running sandbox",
	 "exec NAME [--] COMMAND [ARGUMENT...]",
	 "Runs COMMAND in the sandbox NAME, on this terminal, with the rights that its policy "
	 "gives\n"
	 "now, and ends with its exit status (see `osh-enforce run --help`).\n"
	 "\n"
	 "  -h, --help            this text\n"},
	{"connect", "open a shell in a running sandbox", "connect NAME",
	 "Opens the shell of the sandbox's user in the sandbox NAME, on this terminal.\n"
	 "\n"
	 "  -h, --help            this text\n"},
	{"list", "list the sandboxes of this host", "list [--format text|json]",
	 "One line a sandbox: name, running or dead, user, policy, revision, hash of what is in "
	 "force,\n"
	 "commands, uptime.  A dead\n"
	 "sandbox is one whose supervisor is gone: nothing it denied opens; `delete` clears it "
	 "up.\n"
	 "\n"
	 "      --format F        text (default) or json\n"
	 "  -h, --help            this text\n"},
	{"status", "show everything about one sandbox", "status [NAME] [--format text|json]",
	 "NAME may be left out when one sandbox runs.\n"
	 "\n"
	 "      --format F        text (default) or json\n"
	 "  -h, --help            this text\n"
	 "\n"
	 "Exit status: 0 running, 1 no such sandbox, 3 dead.\n"},
	{"reload", "give a running sandbox another policy, at once and whole",
	 "reload [NAME] --policy FILE [--wait] [--timeout S]",
	 "Checks FILE, then swaps the network rules of the sandbox: all of them or none.  Running\n"
	 "processes gain and lose rights like new ones; connections that FILE does not allow are "
	 "cut.\n"
	 "A file that changes a static section (files, identity) is refused, naming the field.  "
	 "NAME\n"
	 "may be left out when one sandbox runs.  Short for `policy set --wait`.\n"
	 "\n"
	 "      --policy FILE     the policy ('-': standard input)\n"
	 "      --wait            accepted for clarity: it always returns when every decision is\n"
	 "                        made by the new policy, or when it failed\n"
	 "      --timeout S       give up after S seconds (default 60); the old policy stays\n"
	 "  -h, --help            this text\n"
	 "\n"
	 "Exit status: 0 loaded; 1 refused, with all errors printed; 124 timed out.\n"},
	{"delete", "end a sandbox and remove all it left", "delete NAME",
	 "Kills what runs in the sandbox NAME and removes its cgroup, BPF pins, files and logs.\n"
	 "\n"
	 "  -h, --help            this text\n"},
	{"logs", "show what was allowed and denied", "logs [NAME] [OPTIONS]",
	 "NAME may be left out when one sandbox runs.\n"
	 "\n"
	 "      --since D         only the last 90s, 5m, 2h, 1d; or since a time as "
	 "2030-01-31T12:00:00Z\n"
	 "      --level L         debug, info, warn, error: that level and above.  Allows are "
	 "info,\n"
	 "                        denies and audit hits are warn\n"
	 "      --tail            go on with what comes, until Ctrl-C or the sandbox is deleted\n"
	 "      --format F        logfmt (default) or json: one object a line\n"
	 "  -h, --help            this text\n"},
	{"policy", "check, question and change policies", "policy SUBCOMMAND [ARGUMENT...]", NULL},
	/* Subcommands of policy, shown by `policy --help`. */
	{"policy check", "say everything that is wrong with a policy",
	 "policy check [--strict] [--format text|json] FILE...",
	 "Prints every error and warning of each FILE ('-': standard input) with line and column.\n"
	 "Warnings are for what is allowed but hardly meant: a binary that the sandbox can "
	 "replace,\n"
	 "a host that begins with '**', an endpoint or deny rule that changes nothing, a rule that\n"
	 "can never match, a binary that is a symbolic link here.\n"
	 "\n"
	 "      --strict          warnings count as errors\n"
	 "      --format F        text (default) or json: one object a file, of several files an\n"
	 "                        array of them\n"
	 "  -h, --help            this text\n"
	 "\n"
	 "Exit status: 0 good (warnings included, but for --strict), 1 has errors.\n"},
	{"policy explain", "say what a policy decides, by which line, and what came nearest",
	 "policy explain FILE --binary P --host H --port N [OPTIONS]",
	 "Asks FILE ('-': standard input) about one connection, or one request on it, and says what it\n"
	 "decides, which lines decide, and for a denial what would have come nearest.\n"
	 "\n"
	 "      --binary P        executable of the program; a symbolic link counts as the file it\n"
	 "                        leads to on this host\n"
	 "      --script P        the script that the executable runs\n"
	 "      --ancestor P      executable of a process that it descends from (repeatable)\n"
	 "      --tainted         it was started with loader variables (LD_PRELOAD and the like),\n"
	 "                        or under a seccomp filter\n"
	 "      --host H          host name or address, as the program gives it\n"
	 "      --port N          port\n"
	 "      --method M        a request: its method,\n"
	 "      --path T          its target as sent ('?query' may follow), read as the proxy reads it,\n"
	 "      --query K=V       and more of its query, decoded (repeatable)\n"
	 "      --format F        text (default) or json\n"
	 "  -h, --help            this text\n"
	 "\n"
	 "Exit status: 0 allowed (also by 'enforcement: audit', which is said), 1 denied, 2 trouble.\n"},
	{"policy test", "check that a policy decides as its cases expect",
	 "policy test FILE CASES... [--format text|json] [-v]",
	 "Asks FILE every question in the files of cases and prints each answer that is not the expected\n"
	 "one, with its explanation.  A file of cases is YAML:\n"
	 "\n"
	 "  cases:\n"
	 "    - {name: curl reads, binary: /usr/bin/curl, host: api.github.com, port: 443,\n"
	 "       method: GET, path: /zen, expect: allow}\n"
	 "\n"
	 "method and path are left out for the connection alone; script, ancestors, tainted, query and\n"
	 "policy (which block must decide) may be added; expect is allow, deny or audit.  A case may say\n"
	 "instead what must never be allowed, proven for all requests (`osh-enforce policy prove --help`):\n"
	 "\n"
	 "    - {name: nobody deletes, never: host=api.github.com method=DELETE}\n"
	 "\n"
	 "Symbolic links are not followed: the result is the same on every host.\n"
	 "\n"
	 "      --format F        text (default) or json\n"
	 "  -v, --verbose         name the cases that pass, too\n"
	 "  -h, --help            this text\n"
	 "\n"
	 "Exit status: 0 all passed, 1 some failed, 2 a file cannot be used.\n"},
	{"policy update", "add or remove single rules of a running sandbox",
	 "policy update [NAME] OPERATION... [--dry-run] [--wait] [--timeout S]",
	 "Edits the text of the policy in force, keeping every other byte of it, and sets the "
	 "result as\n"
	 "one new revision: all operations, in the order given, or none.  NAME may be left out "
	 "when one\n"
	 "sandbox runs.\n"
	 "\n"
	 "      --add-endpoint HOST:PORT[:ACCESS[:PROTOCOL[:ENFORCEMENT]]]\n"
	 "                        ACCESS is read-only, read-write or full, and PROTOCOL then rest;\n"
	 "                        without ACCESS the bytes are not looked at.  Goes to the block "
	 "that\n"
	 "                        has exactly the programs of --binary, else to a new one\n"
	 "      --binary PATH     program that may use the added endpoints, all of them "
	 "(repeatable)\n"
	 "      --add-allow HOST:PORT:METHOD:GLOB\n"
	 "      --add-deny HOST:PORT:METHOD:GLOB\n"
	 "                        a rule for the endpoint of that host and port\n"
	 "      --remove-endpoint HOST:PORT\n"
	 "                        its block goes with its last endpoint\n"
	 "      --remove-rule HOST:PORT:METHOD:GLOB\n"
	 "      --dry-run         print the new text; change nothing\n"
	 "      --wait            return when every decision is made by the new policy\n"
	 "      --timeout S       give up after S seconds\n"
	 "  -h, --help            this text\n"
	 "\n"
	 "An IPv6 address goes in brackets: [2001:db8::1]:443.\n"
	 "\n"
	 "Exit status: 0 done, or nothing to change; 1 refused; 124 timed out.\n"},
	{"policy diff", "say what another policy allows and denies, by meaning",
	 "policy diff OLD NEW [--format text|json]",
	 "Compares what two policies mean, not what they say: files that say the same in another order, or\n"
	 "in other words, do not differ.  Each difference comes with a request that the two decide\n"
	 "differently and the lines that decide it:\n"
	 "\n"
	 "  + allowed now         NEW lets it pass, OLD did not\n"
	 "  - denied now          OLD let it pass, NEW does not\n"
	 "  ~ changed             connections are inspected or no longer; what passes only because of\n"
	 "                        audit mode; what addresses a name may resolve to; static sections\n"
	 "\n"
	 "Exact, over all callers, hosts and requests there are.  Either file may be '-': standard input.\n"
	 "Symbolic links in binaries are followed as `run` does.\n"
	 "\n"
	 "      --format F        text (default) or json\n"
	 "  -h, --help            this text\n"
	 "\n"
	 "Exit status: 0 no difference; 1 they differ; 2 a file has errors, or the policies are too complex\n"
	 "to be compared exactly.\n"},
	{"policy prove", "show that no request like this can be allowed, or one that is",
	 "policy prove FILE --never 'EXPR' [--never ...] [--format text|json]",
	 "Shows that no request that EXPR describes can be allowed by the policy FILE ('-': standard\n"
	 "input), or prints one that is, with the line that allows it.  Exact, over all paths, hosts and\n"
	 "requests there are; nothing is sampled.  EXPR is a list of KEY=VALUE that must all hold:\n"
	 "\n"
	 "  binary=GLOB           the executable, with any script and any ancestors\n"
	 "  script=GLOB|none      the script that it runs\n"
	 "  ancestor=none|GLOB    no ancestors; or one at least like this\n"
	 "  tainted=yes|no        started with loader variables, or not\n"
	 "  host=PATTERN          as in a policy, and also '**.test'; or an address or network, for\n"
	 "                        connections to the address itself\n"
	 "  port=N|N-M\n"
	 "  method=M  path=GLOB\n"
	 "  query.NAME=GLOB       the parameter is there, with one value at least like this\n"
	 "\n"
	 "What is left out may be anything.  A connection that is not inspected counts as allowing every\n"
	 "method, path and query, and so does audit mode.  Symbolic links in the policy's binaries are\n"
	 "followed as `run` does.\n"
	 "\n"
	 "      --never 'EXPR'    what must never be allowed (repeatable)\n"
	 "      --format F        text (default) or json\n"
	 "  -h, --help            this text\n"
	 "\n"
	 "Exit status: 0 all proven; 1 something is allowed, too complex for an exact answer, or FILE\n"
	 "has errors.\n"},
	{"policy suggest", "write the smallest addition that would allow what was denied",
	 "policy suggest [NAME] [--since D] [--generalise] [-o FILE]",
	 "Reads what the sandbox's log says was denied, or let through by audit, and prints the policy "
	 "in\n"
	 "force with the smallest addition that would allow it.  Every other byte stays; each addition "
	 "has\n"
	 "its evidence in a comment.  What is not suggested, and why, goes to standard error: deny "
	 "rules\n"
	 "are never undone.  Nothing is changed: read it, then `osh-enforce reload`.  NAME may be left "
	 "out\n"
	 "when one sandbox runs.\n"
	 "\n"
	 "A denied connection to port 80 or 443 is answered with an inspected, read-only endpoint: "
	 "what\n"
	 "more the program needs is denied as requests, and the next suggestion adds just those.\n"
	 "\n"
	 "      --since D         only denials of the last 90s, 5m, 2h, 1d; or since a time as\n"
	 "                        2030-01-31T12:00:00Z\n"
	 "      --generalise      path segments that are numbers, UUIDs or hashes become '*'\n"
	 "  -o, --output FILE     write the policy to FILE\n"
	 "  -h, --help            this text\n"
	 "\n"
	 "Exit status: 0, also when there is nothing to suggest and the policy is printed as it is; "
	 "1.\n"},
	{"policy set", "give a running sandbox, or all sandboxes, another policy",
	 "policy set [NAME] --policy FILE [--wait] [--timeout S]\n"
	 "       osh-enforce policy set --global --policy FILE [--wait] [--timeout S]",
	 "Checks FILE and makes it the sandbox's next revision; it comes into force as with "
	 "`reload`.\n"
	 "What is refused is on record too, as failed.  NAME may be left out when one sandbox runs.\n"
	 "\n"
	 "With --global FILE's network rules are in force in every sandbox, running or started "
	 "later,\n"
	 "instead of its own, until `policy delete --global`: in all of them or, when one refuses, "
	 "in\n"
	 "none.  Meanwhile a single sandbox cannot be set.  FILE may leave the static sections "
	 "(files,\n"
	 "identity) out, or must say what each running sandbox was started with.\n"
	 "\n"
	 "      --policy FILE     the policy ('-': standard input)\n"
	 "      --wait            return when it is loaded or failed; else when it is accepted\n"
	 "      --timeout S       give up after S seconds (default 60); the old policy stays\n"
	 "  -h, --help            this text\n"
	 "\n"
	 "Exit status: 0 accepted (--wait: loaded); 1 refused, with all errors printed; 124 timed "
	 "out.\n"},
	{"policy get", "print a policy as it was set", "policy get [NAME | --global] [--rev N] [--full]",
	 "Prints the policy in force, or revision N, exactly as it was set, under a header of "
	 "comments:\n"
	 "revision, hash, status, times, source.  What it prints can be set again and has the same "
	 "hash;\n"
	 "the header of an earlier `get` is not repeated.  On a terminal, bytes that could harm it "
	 "are\n"
	 "shown as \\xNN.\n"
	 "\n"
	 "      --rev N           revision N, failed and superseded ones included\n"
	 "      --full            add, as comments, the files and identity that stand in the "
	 "sandbox\n"
	 "                        whatever the text says, and whether the global policy overrules "
	 "it\n"
	 "  -h, --help            this text\n"
	 "\n"
	 "Exit status: 0; 1 there is no such sandbox or revision, or its text is too old.\n"},
	{"policy list", "list the revisions of a sandbox's policy",
	 "policy list [NAME | --global] [--format text|json]",
	 "One line a revision: number, status, time, hash, where it came from, and why it failed.  "
	 "The\n"
	 "hash is over what the policy says, not how: comments, spacing and order do not change it.  "
	 "At\n"
	 "most 1000 revisions and 64 MiB of texts are kept; the oldest go first.  The revisions of "
	 "a\n"
	 "sandbox that was started with --keep outlive its supervisor, until `osh-enforce delete`.\n"
	 "\n"
	 "      --format F        text (default) or json\n"
	 "  -h, --help            this text\n"},
	{"policy delete", "delete the global policy: every sandbox goes back to its own",
	 "policy delete --global [--timeout S]",
	 "Each running sandbox is back at its own last loaded revision, all of them or none.\n"
	 "\n"
	 "      --timeout S       give up after S seconds (default 60)\n"
	 "  -h, --help            this text\n"
	 "\n"
	 "Exit status: 0; 1 there is none, or a sandbox refused; 124 timed out.\n"},
	{"doctor", "try what this kernel offers, and say how to get what is missing",
	 "doctor [--seccomp] [--format text|json]",
	 "Tries each thing that osh-enforce is built on, by doing it in a child process and a "
	 "cgroup\n"
	 "of its own, and cleans up.  Without root it tries what it can.\n"
	 "\n"
	 "      --seccomp         try nothing: print the system calls and sockets that a sandbox\n"
	 "                        does not have, each with its answer and reason\n"
	 "      --format F        text (default) or json\n"
	 "  -h, --help            this text\n"
	 "\n"
	 "Exit status: 0 when everything required is there, else 1.\n"},
};

static const struct help *help_find(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_LEN(helps); i++)
		if (strcmp(helps[i].name, name) == 0)
			return &helps[i];
	return NULL;
}

const char *usage_summary(const char *name)
{
	const struct help *h = help_find(name);

	return h ? h->summary : NULL;
}

static bool is_subcommand(const struct help *h)
{
	return strchr(h->name, ' ') != NULL;
}

/* Of a command that has no text of its own. */
static void print_subcommands(const char *name, FILE *out)
{
	size_t n = strlen(name);

	fputs("Subcommands:\n", out);
	for (size_t i = 0; i < ARRAY_LEN(helps); i++)
		if (strncmp(helps[i].name, name, n) == 0 && helps[i].name[n] == ' ')
			fprintf(out, "  %-9s %s\n", helps[i].name + n + 1, helps[i].summary);
	fprintf(out, "\n  osh-enforce %s SUBCOMMAND --help    more on one of them\n", name);
}

static void print_program(FILE *out)
{
	fputs("usage: osh-enforce COMMAND [OPTIONS]\n"
	      "\n"
	      "Runs programs so that they can only do what a policy file says: which files they "
	      "see, and,\n"
	      "per executable, which hosts, ports and HTTP requests.\n"
	      "\n"
	      "Commands:\n",
	      out);
	for (size_t i = 0; i < ARRAY_LEN(helps); i++)
		if (!is_subcommand(&helps[i]))
			fprintf(out, "  %-9s %s\n", helps[i].name, helps[i].summary);
	fputs("\n"
	      "  osh-enforce COMMAND --help    more on one command\n"
	      "  osh-enforce --version\n"
	      "\n"
	      "First steps:\n"
	      "  sudo osh-enforce doctor\n"
	      "  sudo osh-enforce run --policy policy.yaml -- curl https://api.github.com/zen\n"
	      "  sudo osh-enforce logs --since 5m\n",
	      out);
}

void usage_print(const char *name, FILE *out)
{
	const struct help *h = help_find(name);

	if (!h) {
		print_program(out);
		return;
	}
	fprintf(out, "usage: osh-enforce %s\n\n%s", h->synopsis, h->text ? h->text : "");
	if (!h->text)
		print_subcommands(h->name, out);
}

int usage_status(const char *name)
{
	static const char *const own[] = {"run", "exec", "connect"};

	for (size_t i = 0; name && i < ARRAY_LEN(own); i++)
		if (strcmp(own[i], name) == 0)
			return USAGE_EXIT_RUN;
	return USAGE_EXIT;
}

const char *usage_suggest(const char *name)
{
	const char *known[ARRAY_LEN(helps)];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(helps); i++)
		if (!is_subcommand(&helps[i]))
			known[n++] = helps[i].name;
	return diag_suggest(slice_str(name), known, n);
}

int usage_error(const char *name, const char *fmt, ...)
{
	bool known = help_find(name) != NULL;
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	fprintf(stderr, "osh-enforce%s%s: ", known ? " " : "", known ? name : "");
	safetext_print(slice_str(text ? text : "wrong usage"), stderr); /* it quotes what was typed or pasted */
	fprintf(stderr, "\nTry: osh-enforce %s%s--help\n", known ? name : "", known ? " " : "");
	return usage_status(name);
}

/* The long option that was meant by `--word` (or `--word=value`). */
static const char *option_suggest(struct slice word, const struct option *longopts)
{
	const char *known[64];
	size_t n = 0;

	while (n < ARRAY_LEN(known) && longopts[n].name) {
		known[n] = longopts[n].name;
		n++;
	}
	return diag_suggest(word, known, n);
}

static void bad_long_option(const char *cmd, const char *arg, const struct option *longopts)
{
	struct slice word = {(const uint8_t *)arg + 2, strcspn(arg + 2, "=")};
	const char *meant = option_suggest(word, longopts);

	for (const struct option *o = longopts; o->name; o++)
		if (o->has_arg == no_argument && slice_eq_str(word, o->name)) {
			usage_error(cmd, "option '--%s' takes no value", o->name);
			return;
		}
	if (meant)
		usage_error(cmd, "unknown option '--%.*s' (did you mean '--%s'?)", (int)word.n,
			    (const char *)word.p, meant);
	else
		usage_error(cmd, "unknown option '--%.*s'", (int)word.n, (const char *)word.p);
}

/* Values of longopts are chars for options with a short form, other numbers for the rest. */
static void missing_value(const char *cmd, const struct option *longopts, int val)
{
	for (const struct option *o = longopts; o->name; o++)
		if (o->val == val) {
			usage_error(cmd, "option '--%s' needs a value", o->name);
			return;
		}
	usage_error(cmd, "option '-%c' needs a value", val);
}

int usage_getopt(int argc, char **argv, const char *shortopts, const struct option *longopts)
{
	char s[64];
	int before = optind ? optind : 1, c;

	/* A ':' after the ordering character makes getopt tell "no value" from "unknown". */
	snprintf(s, sizeof(s), "%.1s:%s", *shortopts == '+' ? "+" : "",
		 shortopts + (*shortopts == '+'));
	opterr = 0;
	c = getopt_long(argc, argv, s, longopts, NULL);
	if (c == ':') {
		missing_value(argv[0], longopts, optopt);
		return '?';
	}
	if (c == '?') {
		const char *arg = argv[optind > before ? optind - 1 : before];

		if (arg && strncmp(arg, "--", 2) == 0)
			bad_long_option(argv[0], arg, longopts);
		else
			usage_error(argv[0], "unknown option '-%c'", optopt);
	}
	return c;
}

int usage_choice(const char *name, const char *option, const char *value, const char *a,
		 const char *b)
{
	if (strcmp(value, a) == 0)
		return 0;
	if (strcmp(value, b) == 0)
		return 1;
	usage_error(name, "--%s: '%s' is neither %s nor %s", option, value, a, b);
	return -EINVAL;
}
