/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostsection.c - finds a command as its user would, and what must be visible for it to start.
 *
 * Nothing of the user's is run, and nothing of the user's is opened by root: the search is done by
 * a child with the user's ids, which sends back three strings.
 */
#include "user/hostsection.h"

#include "user/blob.h"
#include "user/strv.h"

#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define CLAUDE_PATH "/usr/local/bin/claude" /* how the default policy names it */
#define NODE_PATH "/usr/bin/node"

void host_section_done(struct host_section *h)
{
	free(h->found);
	free(h->real);
	free(h->interpreter);
	free(h->link.path);
	free(h->link.target);
	strv_free(h->ro);
	strv_free(h->rw);
	strv_free(h->path);
	*h = (struct host_section){0};
}

static void host_section_donep(struct host_section *h)
{
	host_section_done(h);
}

/* ------------------------------------------------------------------------------------ as the user
 * -- */

/* Runs fn in a child with the ids of `id`; what it writes to out comes back.  -ECHILD: it did not
 * end well. */
static int as_user(const struct identity *id, void (*fn)(void *arg, FILE *out), void *arg,
		   char **ret, size_t *ret_n)
{
	_cleanup_close_ int in = -1;
	int ends[2], status, r;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		FILE *out = fdopen(ends[1], "w");

		if (!out || setgroups(id->ngroups, id->groups) < 0 ||
		    setresgid(id->gid, id->gid, id->gid) < 0 ||
		    setresuid(id->uid, id->uid, id->uid) < 0)
			_exit(1);
		fn(arg, out);
		_exit(fclose(out) == 0 ? 0 : 1);
	}
	close(ends[1]);
	in = ends[0];
	if (pid < 0)
		return -errno;
	r = read_whole_fd(in, 1u << 20, ret, ret_n);
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return r < 0 ? r : -ECHILD;
	return r;
}

/* ------------------------------------------------------------------------------------- the search
 * -- */

static int add_newest_node(char ***dirs, const char *home)
{
	_cleanup_free_ char *pattern = NULL;
	const char *best = NULL;
	glob_t g;
	int r = 0;

	if (asprintf(&pattern, "%s/.nvm/versions/node/*/bin", home) < 0) {
		pattern = NULL;
		return -ENOMEM;
	}
	if (glob(pattern, GLOB_NOSORT, NULL, &g) != 0)
		return 0;
	for (size_t i = 0; i < g.gl_pathc; i++)
		if (!best || strverscmp(g.gl_pathv[i], best) > 0)
			best = g.gl_pathv[i];
	if (best && !strv_has(*dirs, best))
		r = strv_add(dirs, best);
	globfree(&g);
	return r;
}

static int add_path(char ***dirs, const char *path)
{
	int r = 0;

	for (const char *s = path; r == 0 && s && *s; s += *s == ':') {
		size_t n = strcspn(s, ":");
		_cleanup_free_ char *dir = strndup(s, n);

		if (!dir)
			return -ENOMEM;
		/* Only absolute and clean ones: "." on a PATH is whatever directory someone stands
		 * in. */
		if (dir[0] == '/' && !strstr(dir, "/../") && !strstr(dir, "/./") &&
		    !strv_has(*dirs, dir))
			r = strv_add(dirs, dir);
		s += n;
	}
	return r;
}

char **command_directories(const char *path, const char *home)
{
	static const char *const in_home[] = {".local/bin",   "bin",	  ".npm-global/bin",
					      ".volta/bin",   ".bun/bin", ".cargo/bin",
					      ".claude/local"};
	char **dirs = NULL;
	int r = add_path(&dirs, path);

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(in_home); i++) {
		char *dir = NULL;

		if (asprintf(&dir, "%s/%s", home, in_home[i]) < 0)
			r = -ENOMEM;
		else if (strv_has(dirs, dir))
			free(dir);
		else
			r = strv_take(&dirs, dir);
	}
	if (r == 0)
		r = add_newest_node(&dirs, home);
	if (r == 0)
		r = add_path(&dirs, "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin");
	return r < 0 ? strv_free(dirs) : dirs;
}

struct search {
	const char *command, *workdir;
	char *const *dirs;
};

static bool executable(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static bool search_dirs(char *const *dirs, const char *name, char ret[PATH_MAX])
{
	for (size_t i = 0; dirs && dirs[i]; i++)
		if (snprintf(ret, PATH_MAX, "%s/%s", dirs[i], name) < PATH_MAX && executable(ret))
			return true;
	return false;
}

static bool locate(const struct search *s, char ret[PATH_MAX])
{
	if (!strchr(s->command, '/'))
		return search_dirs(s->dirs, s->command, ret);
	if (s->command[0] == '/')
		return snprintf(ret, PATH_MAX, "%s", s->command) < PATH_MAX && executable(ret);
	return snprintf(ret, PATH_MAX, "%s/%s", s->workdir, s->command) < PATH_MAX &&
	       executable(ret);
}

/* What "#!" in the file names: the interpreter, or behind env the program looked for on PATH.  "":
 * not a script. */
static void interpreter_of(const struct search *s, const char *file, char ret[PATH_MAX])
{
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char line[PATH_MAX] = "", *word, *more;
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	ret[0] = '\0';
	if (n < 2 || line[0] != '#' || line[1] != '!')
		return;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	word = strtok_r(line + 2, " \t\r", &more);
	if (word && strcmp(word, "/usr/bin/env") == 0) {
		do {
			word = strtok_r(NULL, " \t\r", &more);
		} while (word && (word[0] == '-' || strchr(word, '=')));
		if (!word || strchr(word, '/') || !search_dirs(s->dirs, word, ret))
			ret[0] = '\0';
	} else if (word && word[0] == '/')
		snprintf(ret, PATH_MAX, "%s", word);
}

/* In the child: found NUL real NUL interpreter NUL. */
static void search_as_user(void *arg, FILE *out)
{
	const struct search *s = arg;
	char found[PATH_MAX], real[PATH_MAX], interpreter[PATH_MAX], real_interpreter[PATH_MAX];

	if (!locate(s, found) || !realpath(found, real))
		return;
	interpreter_of(s, real, interpreter);
	if (!*interpreter || !realpath(interpreter, real_interpreter))
		real_interpreter[0] = '\0';
	fprintf(out, "%s%c%s%c%s%c", found, 0, real, 0, real_interpreter, 0);
}

/* The n-th NUL-terminated string of what the child sent, as an absolute path; else NULL. */
static char *answer(const char *text, size_t n, unsigned which)
{
	const char *s = text, *end = text + n;

	for (; which && s < end; which--)
		s += strnlen(s, (size_t)(end - s)) + 1;
	if (s >= end || !memchr(s, '\0', (size_t)(end - s)) || s[0] != '/')
		return NULL;
	return strdup(s);
}

/* ------------------------------------------------------------------------------------ install
 * trees -- */

/* The part of path up to the end of `upto`, which points into it. */
static char *prefix(const char *path, const char *upto)
{
	return strndup(path, (size_t)(upto - path));
}

/* s points behind a slash: the end of this component. */
static const char *component_end(const char *s)
{
	return s + strcspn(s, "/");
}

/* home/REL/: the tree is home/REL and `more` components below it. */
static char *tree_in_home(const char *real, const char *home, const char *rel, unsigned more)
{
	size_t n = strlen(home), k = strlen(rel);
	const char *s;

	if (strncmp(real, home, n) != 0 || real[n] != '/' || strncmp(real + n + 1, rel, k) != 0 ||
	    real[n + 1 + k] != '/')
		return NULL;
	s = real + n + 1 + k;
	for (; more; more--) {
		if (*s != '/')
			return NULL;
		s = component_end(s + 1);
	}
	return *s == '/' ? prefix(real, s) : NULL; /* never the executable itself */
}

static char *tree_of_node_package(const char *real)
{
	const char *mark = strstr(real, "/node_modules/"), *s;

	if (!mark)
		return NULL;
	s = mark + strlen("/node_modules/");
	if (*s == '@')
		s = component_end(s) + 1; /* a scope */
	/* The modules beside it are its dependencies. */
	return *s && *component_end(s) ? prefix(real, mark + strlen("/node_modules")) : NULL;
}

char *install_tree(const char *real, const char *home)
{
	static const struct {
		const char *rel;
		unsigned more;
	} in_home[] = {
		{".nvm/versions/node", 1},
		{".volta", 0},
		{".bun", 0},
		{".local/share/claude/versions", 0},
		{".pyenv/versions", 1},
		{".local/share/pipx/venvs", 1},
		{".local/pipx/venvs", 1},
		{".local/share/uv/tools", 1},
		{".local/share/uv/python", 1},
		{".deno", 0},
		{".asdf/installs", 2},
		{".local/share/mise/installs", 2},
		{".claude/local", 0},
		{".opencode", 0},
	};
	char *tree = NULL;

	for (size_t i = 0; !tree && i < ARRAY_LEN(in_home); i++)
		tree = tree_in_home(real, home, in_home[i].rel, in_home[i].more);
	if (!tree && strncmp(real, "/opt/", 5) == 0 && *component_end(real + 5))
		tree = prefix(real, component_end(real + 5));
	return tree ? tree : tree_of_node_package(real);
}

/* ------------------------------------------------------------------------------------ the section
 * -- */

static bool is_claude(const struct host_section *h)
{
	const char *base = strrchr(h->found, '/') + 1;

	return strcmp(base, "claude") == 0 || strstr(h->real, "/@anthropic-ai/claude-code/") ||
	       strstr(h->real, "/claude/versions/");
}

/* In the child: what Claude Code keeps between sessions, so that it is not lost with the sandbox's
 * own home. */
static void create_claude_files(void *arg, FILE *out)
{
	const char *home = arg;
	char path[PATH_MAX];
	int fd;

	(void)out;
	if (snprintf(path, sizeof(path), "%s/.claude", home) < (int)sizeof(path))
		(void)!mkdir(path, 0700);
	if (snprintf(path, sizeof(path), "%s/.claude.json", home) >= (int)sizeof(path))
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0) {
		(void)!write(fd, "{}\n", 3);
		close(fd);
	}
}

static int add_claude_files(struct host_section *h, const struct identity *id, bool create)
{
	_cleanup_free_ char *pattern = NULL, *ignored = NULL;
	size_t n;
	glob_t g;
	int r = create ? as_user(id, create_claude_files, id->home, &ignored, &n) : 0;

	if (r < 0)
		return r;
	if (asprintf(&pattern, "%s/.claude*", id->home) < 0) {
		pattern = NULL;
		return -ENOMEM;
	}
	if (glob(pattern, 0, NULL, &g) != 0)
		return 0;
	for (size_t i = 0; r == 0 && i < g.gl_pathc; i++)
		r = strv_add(&h->rw, g.gl_pathv[i]);
	globfree(&g);
	return r;
}

static int add_executable(struct host_section *h, const char *real, const char *home)
{
	char *tree = install_tree(real, home);
	int r = tree ? strv_take(&h->ro, tree) : 0;

	return r < 0 ? r : strv_add(&h->ro, real);
}

static int add_directory_of(struct host_section *h, const char *file)
{
	_cleanup_free_ char *dir = prefix(file, strrchr(file, '/'));

	if (!dir)
		return -ENOMEM;
	return *dir && !strv_has(h->path, dir) ? strv_add(&h->path, dir) : 0;
}

static int fill(struct host_section *h, const struct identity *id, bool create)
{
	int r = add_executable(h, h->real, id->home);

	h->claude = is_claude(h);
	if (r == 0 && h->interpreter)
		r = add_executable(h, h->interpreter, id->home);
	if (r == 0)
		r = add_directory_of(h, h->found);
	if (r == 0 && h->interpreter)
		r = add_directory_of(h, h->interpreter);
	if (r == 0 && h->claude)
		r = add_claude_files(h, id, create);
	if (r == 0 && strcmp(h->found, h->real) != 0) {
		h->link.path = strdup(h->found);
		h->link.target = strdup(h->real);
		if (!h->link.path || !h->link.target)
			r = -ENOMEM;
	}
	return r;
}

int host_section_find(const struct identity *id, const char *path, const char *command,
		      const char *workdir, bool create, struct host_section *ret)
{
	_cleanup_(host_section_donep) struct host_section h = {0};
	_cleanup_strv_ char **dirs = command_directories(path, id->home);
	struct search s = {.command = command, .workdir = workdir, .dirs = dirs};
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int r;

	if (!dirs)
		return -ENOMEM;
	r = as_user(id, search_as_user, &s, &text, &n);
	if (r < 0)
		return r;
	h.found = answer(text, n, 0);
	h.real = answer(text, n, 1);
	h.interpreter = answer(text, n, 2);
	if (h.found && h.real) {
		r = fill(&h, id, create);
		if (r < 0)
			return r;
	}
	*ret = h;
	h = (struct host_section){0};
	return 0;
}

/* A shell that starts Claude Code is not it; a JavaScript engine that runs its code is. */
static bool is_script_engine(const char *path)
{
	static const char *const names[] = {"node", "nodejs", "bun", "deno"};
	const char *base = strrchr(path, '/') + 1;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(base, names[i]) == 0)
			return true;
	return false;
}

int host_section_apply(struct policy *p, const struct host_section *h)
{
	int r = 0;

	if (!h->found || !h->claude)
		return 0;
	if (strcmp(h->real, CLAUDE_PATH) != 0)
		r = policy_add_binary_like(p, CLAUDE_PATH, h->real);
	/* A script is known by the path that it was called by. */
	if (r >= 0 && strcmp(h->found, h->real) != 0 && strcmp(h->found, CLAUDE_PATH) != 0)
		r = policy_add_binary_like(p, CLAUDE_PATH, h->found);
	if (r >= 0 && h->interpreter && is_script_engine(h->interpreter) &&
	    strcmp(h->interpreter, NODE_PATH) != 0)
		r = policy_add_binary_like(p, NODE_PATH, h->interpreter);
	return r < 0 ? r : 0;
}
