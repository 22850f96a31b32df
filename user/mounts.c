/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mounts.c - builds the tree of files that a sandbox sees, and leaves the host's behind.
 *
 * The order, and why:
 *   1. private mount and IPC namespaces, propagation off: nothing done here reaches the host,
 * nothing of the host arrives later
 *   2. a stage on /proc: the one directory that is never the source of a bind, so that covering it
 * hides nothing
 *   3. the plan's mounts, parents first; each is made detached, given its final attributes, and
 * only then attached, so that no read-only tree is writable for a moment; writable directories on
 * the way to a read-only one are held in their places first
 *   4. our own files over the host's; then the root itself read-only
 *   5. pivot_root, and the host's tree is detached
 *
 * Nothing is looked up by a path in which a symbolic link could stand: the sources with
 * RESOLVE_NO_SYMLINKS, the places component by component from a descriptor of the new root.
 * Directories are made only in trees of our own.
 */
#include "user/mounts.h"

#include "user/hidesock.h"

#include "user/blob.h"
#include "user/strv.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define STAGE "/proc"
#define STAGE_ROOT STAGE "/root"
#define STAGE_FILES STAGE "/files"

#define TRUST_MAX (16u << 20)
#define NSSWITCH_MAX (1u << 20)

struct builder {
	const struct launch_plan *plan;
	const struct warner *warner;
	int root; /* O_PATH, the new root */
	char **ret_error;
};

void warner_say(const struct warner *w, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (!w || !w->warn)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	w->warn(w->userdata, text);
}

static int say(struct builder *b, int r, const char *what, const char *path)
{
	return error_text(b->ret_error, r, "%s %s: %s", what, path, strerror(-r));
}

static int open_beneath(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve};
	int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* ------------------------------------------------------------------------- where things go to --
 */

/* Is what stands at this path, before anything else is put there, a tree of our own? */
static bool ours(const struct builder *b, const char *path)
{
	const struct plan_mount *m = plan_covering(b->plan, path);

	return !m || m->kind == PLAN_TMPFS || m->kind == PLAN_HOME;
}

static bool in_home(const struct builder *b, const char *path)
{
	const struct plan_mount *m = plan_covering(b->plan, path);

	return m && m->kind == PLAN_HOME;
}

static int make_entry(const struct builder *b, int dir, const char *path, const char *name,
		      mode_t mode)
{
	char parent[PATH_MAX];
	int r;

	snprintf(parent, sizeof(parent), "%.*s", (int)(name - path), path);
	if (parent[1])
		parent[strlen(parent) - 1] = '\0';
	if (!ours(b, parent))
		return -ENOENT;
	r = S_ISDIR(mode) ? mkdirat(dir, name, mode & 07777) : mknodat(dir, name, mode, 0);
	if (r < 0)
		return -errno;
	/* Or nothing else could be put beside a mount point in the sandbox's home. */
	if (in_home(b, parent) &&
	    fchownat(dir, name, b->plan->uid, b->plan->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

/*
 * Opens (O_PATH) a place in the new root; what is missing on the way is made where the tree is
 * ours: directories, and at the end a directory or an empty file, by mode.  -ENOENT: missing in a
 * tree of the host's.
 */
static int place(const struct builder *b, const char *path, mode_t mode)
{
	_cleanup_close_ int at = open_beneath(b->root, ".", O_PATH | O_DIRECTORY, 0);
	char copy[PATH_MAX];
	char *s = copy;

	if (strlen(path) >= sizeof(copy))
		return -ENAMETOOLONG;
	strcpy(copy, path);
	while (at >= 0 && *(s += strspn(s, "/"))) {
		char *name = s;
		bool last;
		int next, r;

		s += strcspn(s, "/");
		last = *s == '\0';
		*s = '\0';
		next = open_beneath(at, name, O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
		if (next == -ENOENT) {
			r = make_entry(b, at, copy, name, last ? mode : S_IFDIR | 0755);
			if (r < 0)
				return r;
			next = open_beneath(at, name, O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
		}
		if (next < 0)
			return next;
		close(at);
		at = next;
		if (!last)
			*s = '/';
	}
	return steal_fd(&at);
}

/* Puts a detached mount at a path of the new root. */
static int attach(const struct builder *b, int mount, const char *path, mode_t mode)
{
	_cleanup_close_ int at = place(b, path, mode);

	if (at < 0)
		return at;
	return move_mount(mount, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0
		       ? -errno
		       : 0;
}

/* ------------------------------------------------------------------------------ detached mounts --
 */

static int set_attributes(int mount, uint64_t attributes, bool recursive)
{
	struct mount_attr a = {.attr_set = attributes, .propagation = MS_PRIVATE};

	return mount_setattr(mount, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0u), &a,
			     sizeof(a)) < 0
		       ? -errno
		       : 0;
}

/* A detached copy of the host's tree at path, with these attributes on every mount in it. */
static int clone_tree(const char *path, uint64_t attributes, mode_t *ret_mode)
{
	_cleanup_close_ int at =
		open_beneath(AT_FDCWD, path, O_PATH, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	_cleanup_close_ int tree = -1;
	struct stat st;
	int r;

	if (at < 0)
		return at;
	if (fstat(at, &st) < 0)
		return -errno;
	tree = open_tree(at, "",
			 AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return -errno;
	r = set_attributes(tree, attributes, true);
	if (r < 0)
		return r;
	*ret_mode = S_ISDIR(st.st_mode) ? S_IFDIR | 0755 : S_IFREG | 0644;
	return steal_fd(&tree);
}

struct fs_option {
	const char *key, *value;
};

/* A new file system. n options; the ones from `n_must` on are left out where the kernel does not
 * know them. */
static int new_mount(const char *type, const struct fs_option *options, size_t n, size_t n_must,
		     unsigned int attributes)
{
	_cleanup_close_ int fs = fsopen(type, FSOPEN_CLOEXEC);
	int mount;

	if (fs < 0)
		return -errno;
	for (size_t i = 0; i < n; i++)
		if (fsconfig(fs, FSCONFIG_SET_STRING, options[i].key, options[i].value, 0) < 0 &&
		    i < n_must)
			return -errno;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	mount = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
	return mount < 0 ? -errno : mount;
}

static int new_tmpfs(const char *mode, const char *size)
{
	const struct fs_option options[] = {{"mode", mode}, {"size", size}};

	return new_mount("tmpfs", options, 2, 2, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

/* hidepid=ptraceable (Linux 5.8): /proc/PID is there only for who may trace PID, and Landlock
 * forbids that across the sandbox's border.  A bind of the host's /proc would show every process
 * and its environment. */
static int new_proc(void)
{
	const struct fs_option options[] = {{"hidepid", "ptraceable"}};

	return new_mount("proc", options, 1, 0,
			 MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
				 MOUNT_ATTR_NOEXEC);
}

/* An instance of its own: in the host's, the user's other terminals could be read and written. gid
 * 5: tty. */
static int new_devpts(void)
{
	const struct fs_option options[] = {{"ptmxmode", "0666"}, {"mode", "0620"}, {"gid", "5"}};

	return new_mount("devpts", options, 3, 3, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
}

/* Makes dir/name with this owner if missing; refuses anything that is not a directory. */
static int make_directory(int dir, const char *name, mode_t mode, uid_t uid, gid_t gid)
{
	_cleanup_close_ int fd = -1;

	if (mkdirat(dir, name, mode) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fchown(fd, uid, gid) < 0 || fchmod(fd, mode) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* The sandbox's own home, OSH_STATE_DIR/NAME/home/WHICH, on the host's disk and not in memory. */
static int new_home(const struct launch_plan *p, const char *path)
{
	const char *which = strcmp(path, IDENTITY_SANDBOX_HOME) == 0 ? "sandbox" : "user";
	_cleanup_close_ int state = -1, own = -1, home = -1, leaf = -1;
	char full[PATH_MAX];
	mode_t mode;

	if (mkdir(OSH_STATE_DIR, 0755) < 0 && errno != EEXIST)
		return -errno;
	state = open(OSH_STATE_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (state < 0)
		return -errno;
	if (mkdirat(state, p->name, 0700) < 0 && errno != EEXIST)
		return -errno;
	own = openat(state, p->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (own < 0)
		return -errno;
	home = make_directory(own, "home", 0700, 0, 0);
	if (home < 0)
		return home;
	leaf = make_directory(home, which, 0700, p->uid, p->gid);
	if (leaf < 0)
		return leaf;
	snprintf(full, sizeof(full), "%s/%s/home/%s", OSH_STATE_DIR, p->name, which);
	return clone_tree(full, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, &mode);
}

static int new_private(const struct plan_mount *m)
{
	if (strcmp(m->path, "/tmp") == 0 || strcmp(m->path, "/dev/shm") == 0)
		return new_tmpfs("1777", "25%");
	return new_tmpfs("0755", "16m");
}

static int detached_mount(const struct builder *b, const struct plan_mount *m, mode_t *ret_mode)
{
	*ret_mode = S_IFDIR | 0755;
	switch (m->kind) {
	case PLAN_BIND:
		return clone_tree(m->path,
				  MOUNT_ATTR_NOSUID |
					  (m->flags & PLAN_DEVICE ? 0u : MOUNT_ATTR_NODEV) |
					  (m->flags & PLAN_RW ? 0u : MOUNT_ATTR_RDONLY),
				  ret_mode);
	case PLAN_TMPFS:
		return new_private(m);
	case PLAN_HOME:
		return new_home(b->plan, m->path);
	case PLAN_PROC:
		return new_proc();
	case PLAN_DEVPTS:
		return new_devpts();
	default:
		return -EINVAL;
	}
}

/* ------------------------------------------------------------------------------ directories held --
 */

/* Makes a directory a mount point, which cannot be renamed, by a bind of itself. */
static int hold(const struct builder *b, const char *dir)
{
	_cleanup_close_ int at = place(b, dir, S_IFDIR | 0755), mount = -1;
	struct statx st;

	if (at < 0)
		return at;
	if (statx(at, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, 0, &st) < 0)
		return -errno;
	if (st.stx_attributes & STATX_ATTR_MOUNT_ROOT)
		return 0;
	mount = open_tree(at, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (mount < 0 ||
	    move_mount(mount, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

/*
 * A mount stays with the directory that it is on, wherever that goes: were one of the directories on
 * the way to it renamed, the sandbox could put a file of its own where the policy's path leads.  So
 * those that it could rename are held.  Before anything is mounted below them: the bind of a
 * directory hides what was.
 */
static int hold_way(const struct builder *b, const char *path)
{
	char dir[PATH_MAX];
	int r = 0;

	if (strlen(path) >= sizeof(dir))
		return -ENAMETOOLONG;
	for (const char *s = path + 1; r == 0 && (s = strchr(s, '/')); s++) {
		snprintf(dir, sizeof(dir), "%.*s", (int)(s - path), path);
		if (plan_must_hold(b->plan, dir))
			r = hold(b, dir);
	}
	return r;
}

static int add_mount(struct builder *b, const struct plan_mount *m)
{
	mode_t mode;
	_cleanup_close_ int mount = detached_mount(b, m, &mode);
	int r = mount < 0 ? mount : hold_way(b, m->path);

	if (r == 0)
		r = attach(b, mount, m->path, mode);

	if (r == 0)
		return 0;
	if (m->flags & PLAN_OPTIONAL) {
		warner_say(b->warner, "%s: not shown in the sandbox: %s%s", m->path, strerror(-r),
			   r == -ELOOP ? " (it became a symbolic link)" : "");
		return 0;
	}
	return say(b, r, "cannot show in the sandbox:", m->path);
}

/* ------------------------------------------------------------------------------------ the stage --
 */

static int private_namespaces(struct builder *b)
{
	/* IPC too: SysV shared memory and POSIX message queues of the host's user are files by
	 * another name. */
	if (unshare(CLONE_NEWNS | CLONE_NEWIPC) < 0)
		return say(b, -errno, "cannot unshare", "the mount and IPC namespaces");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return say(b, -errno, "cannot make mounts private below", "/");
	return 0;
}

static bool root_is_bound(const struct launch_plan *p)
{
	return p->nmounts && p->mounts[0].kind == PLAN_BIND && strcmp(p->mounts[0].path, "/") == 0;
}

/* The root: an empty tmpfs, or the host's read-only tree where the policy lists "/".  Cloned before
 * the stage stands, which else would be in it. */
static int open_stage(struct builder *b)
{
	mode_t mode;
	_cleanup_close_ int root =
		root_is_bound(b->plan)
			? clone_tree("/", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
				     &mode)
			: new_tmpfs("0755", "16m");

	if (root < 0)
		return say(b, root, "cannot make", "the root directory");
	if (mount("tmpfs", STAGE, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700,size=64m") <
		    0 ||
	    mkdir(STAGE_ROOT, 0755) < 0 || mkdir(STAGE_FILES, 0755) < 0)
		return say(b, -errno, "cannot make a stage on", STAGE);
	if (move_mount(root, "", AT_FDCWD, STAGE_ROOT, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return say(b, -errno, "cannot mount", STAGE_ROOT);
	b->root = open(STAGE_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return b->root < 0 ? say(b, -errno, "cannot open", STAGE_ROOT) : 0;
}

/* ------------------------------------------------------------------------- links and small things
 * -- */

static int add_symlink(const struct builder *b, const char *path, const char *target)
{
	const char *name = strrchr(path, '/') + 1;
	char parent[PATH_MAX];
	_cleanup_close_ int dir = -1;
	struct stat st;

	if ((size_t)(name - path) >= sizeof(parent))
		return -ENAMETOOLONG;
	snprintf(parent, sizeof(parent), "%.*s", (int)(name - path), path);
	dir = place(b, parent, S_IFDIR | 0755);
	if (dir < 0)
		return dir;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0; /* a bind shows the host's own */
	if (parent[1])
		parent[strlen(parent) - 1] = '\0';
	if (!ours(b, parent))
		return -EROFS;
	return symlinkat(target, dir, name) < 0 ? -errno : 0;
}

static int add_links(struct builder *b)
{
	static const struct plan_link device_links[] = {
		{(char *)"/dev/fd", (char *)"/proc/self/fd"},
		{(char *)"/dev/stdin", (char *)"/proc/self/fd/0"},
		{(char *)"/dev/stdout", (char *)"/proc/self/fd/1"},
		{(char *)"/dev/stderr", (char *)"/proc/self/fd/2"},
		{(char *)"/dev/ptmx", (char *)"pts/ptmx"},
	};
	int r;

	for (size_t i = 0; i < b->plan->nlinks; i++) {
		r = add_symlink(b, b->plan->links[i].path, b->plan->links[i].target);
		if (r < 0 && r != -ENOENT)
			return say(b, r, "cannot make the symbolic link", b->plan->links[i].path);
	}
	for (size_t i = 0; i < ARRAY_LEN(device_links); i++) {
		r = add_symlink(b, device_links[i].path, device_links[i].target);
		if (r < 0 && r != -EROFS)
			return say(b, r, "cannot make the symbolic link", device_links[i].path);
	}
	return 0;
}

/* XDG_RUNTIME_DIR is not handed on, but programs guess it. */
static int add_runtime_dir(struct builder *b)
{
	char path[64];
	_cleanup_close_ int fd = -1;

	if (!ours(b, "/run"))
		return 0;
	snprintf(path, sizeof(path), "/run/user/%u", b->plan->uid);
	fd = place(b, path, S_IFDIR | 0700);
	if (fd < 0)
		return say(b, fd, "cannot make", path);
	return fchownat(fd, "", b->plan->uid, b->plan->gid, AT_EMPTY_PATH) < 0
		       ? say(b, -errno, "cannot own", path)
		       : 0;
}

/* ------------------------------------------------------------------------------- files of our own
 * -- */

static int stage_file(const char *name, struct slice text)
{
	_cleanup_close_ int dir = open(STAGE_FILES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd =
		dir < 0 ? -1 : openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		return -errno;
	while (text.n) {
		ssize_t k = write(fd, text.p, text.n);

		if (k <= 0)
			return k < 0 ? -errno : -EIO;
		text.p += k;
		text.n -= (size_t)k;
	}
	return fchmod(fd, 0644) < 0 ? -errno : 0; /* whatever the umask */
}

/* Where a path leads to inside the new root, a last component that does not exist included:
 * /etc/resolv.conf is often a link into /run, which is empty here.  One string after the other is
 * at least as long as the path itself. */
static int inside_target(const struct builder *b, const char *path, char ret[PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%s", path);
	for (unsigned i = 0; i < 8; i++) {
		char target[PATH_MAX], joined[2 * PATH_MAX];
		_cleanup_close_ int at = open_beneath(b->root, ret, O_PATH | O_NOFOLLOW,
						      RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
		ssize_t n;

		if (at < 0)
			return at == -ENOENT ? 0 : at;
		n = readlinkat(at, "", target, sizeof(target) - 1);
		if (n < 0)
			return 0; /* not a link */
		target[n] = '\0';
		if (target[0] == '/')
			snprintf(joined, sizeof(joined), "%s", target);
		else
			snprintf(joined, sizeof(joined), "%.*s%s",
				 (int)(strrchr(ret, '/') + 1 - ret), ret, target);
		if (strlen(joined) >= PATH_MAX)
			return -ENAMETOOLONG;
		strcpy(ret, joined);
	}
	return -ELOOP;
}

/* Takes "." and ".." out of an absolute path, by spelling alone. */
static void normalise(char *path)
{
	char out[PATH_MAX] = "";
	size_t n = 0;

	for (char *s = path, *end; *(s += strspn(s, "/")); s = end) {
		size_t k = strcspn(s, "/");

		end = s + k;
		if (k == 1 && s[0] == '.')
			continue;
		if (k == 2 && s[0] == '.' && s[1] == '.') {
			while (n && out[--n] != '/')
				;
			continue;
		}
		out[n++] = '/';
		memcpy(out + n, s, k);
		n += k;
	}
	out[n] = '\0';
	strcpy(path, n ? out : "/");
}

/* Binds a staged file, read-only, over a path of the new root.  -ENOENT: the host's tree has no
 * such file. */
static int overlay(const struct builder *b, const char *name, const char *path)
{
	char target[PATH_MAX], staged[PATH_MAX];
	_cleanup_close_ int at = -1, mount = -1;
	mode_t mode;
	int r = inside_target(b, path, target);

	if (r < 0)
		return r;
	at = open_beneath(b->root, target, O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	if (at == -ENOENT) {
		normalise(target);
		at = place(b, target, S_IFREG | 0644);
	}
	if (at < 0)
		return at;
	snprintf(staged, sizeof(staged), STAGE_FILES "/%s", name);
	mount = clone_tree(staged,
			   MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
				   MOUNT_ATTR_NOEXEC,
			   &mode);
	if (mount < 0)
		return mount;
	return move_mount(mount, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0
		       ? -errno
		       : 0;
}

char *nsswitch_with_dns(const char *text)
{
	char *out = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&out, &n);

	if (!f)
		return NULL;
	for (const char *s = text; *s;) {
		size_t line = strcspn(s, "\n"), blank = strspn(s, " \t");
		bool hosts = line >= blank + 6 && strncmp(s + blank, "hosts:", 6) == 0;

		if (!hosts)
			fprintf(f, "%.*s\n", (int)line, s);
		s += line + (s[line] == '\n');
	}
	fputs("hosts: files dns\n", f);
	if (fclose(f) != 0) {
		free(out);
		return NULL;
	}
	return out;
}

/* Loopback only; what else the host's file says is known to the sandbox's resolver. */
static int stage_hosts(void)
{
	char host[65] = "", text[256];
	size_t n;

	gethostname(host, sizeof(host) - 1);
	n = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
	snprintf(text, sizeof(text),
		 "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n%s%.*s%s",
		 n ? "127.0.1.1 " : "", (int)n, host, n ? "\n" : "");
	return stage_file("hosts", slice_str(text));
}

static int stage_nsswitch(void)
{
	_cleanup_free_ char *host = NULL, *text = NULL;
	size_t n;

	if (read_whole_file("/etc/nsswitch.conf", NSSWITCH_MAX, &host, &n) < 0)
		return stage_file("nsswitch.conf", SLICE_LIT("hosts: files dns\n"));
	text = nsswitch_with_dns(host);
	return text ? stage_file("nsswitch.conf", slice_str(text)) : -ENOMEM;
}

static int stage_trust(int fd)
{
	_cleanup_free_ char *pem = NULL;
	size_t n;
	int r;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	r = read_whole_fd(fd, TRUST_MAX, &pem, &n);
	return r < 0 ? r
		     : stage_file("ca-certificates.crt", (struct slice){(const uint8_t *)pem, n});
}

/* Any address will do as the server: port 53 is the sandbox's resolver, whatever a program writes
 * there.  No search list: it would make other names out of the ones that the policy means. */
static int stage_files(int trust_fd)
{
	int r = stage_file("resolv.conf", SLICE_LIT("nameserver 198.18.0.1\noptions ndots:1\n"));

	if (r == 0)
		r = stage_hosts();
	if (r == 0)
		r = stage_nsswitch();
	return r < 0 ? r : stage_trust(trust_fd);
}

static int add_files(struct builder *b, int trust_fd)
{
	static const char *const names[] = {"resolv.conf", "hosts", "nsswitch.conf"};
	int r = stage_files(trust_fd);

	if (r < 0)
		return say(b, r, "cannot write", "the sandbox's own files");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char path[64];

		snprintf(path, sizeof(path), "/etc/%s", names[i]);
		r = overlay(b, names[i], path);
		if (r < 0 && r != -ENOENT) /* missing on the host: the C library's defaults are what
					      we want */
			return say(b, r, "cannot put our file over", path);
	}
	for (size_t i = 0; b->plan->trust && b->plan->trust[i]; i++) {
		r = overlay(b, "ca-certificates.crt", b->plan->trust[i]);
		if (r < 0)
			return say(b, r, "cannot put the trust bundle over", b->plan->trust[i]);
	}
	r = overlay(b, "ca-certificates.crt", PLAN_TRUST_FILE);
	if (r < 0 && !(b->plan->trust && b->plan->trust[0]))
		warner_say(b->warner, "%s: no trust bundle there: %s", PLAN_TRUST_FILE,
			   strerror(-r));
	return 0;
}

/* ------------------------------------------------------------------------------------- the turn --
 */

static int turn(struct builder *b)
{
	int r = set_attributes(b->root, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
			       false);

	if (r < 0)
		return say(b, r, "cannot make read-only:", "the root directory");
	/* pivot_root(".", ".") puts the old root over the new one, and the umount takes it off
	 * again; see pivot_root(2). */
	if (fchdir(b->root) < 0)
		return say(b, -errno, "cannot enter", "the new root directory");
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return error_text(
			b->ret_error, -errno, "cannot change the root directory: %s%s",
			strerror(errno),
			errno == EINVAL
				? "; on an initramfs, switch_root to a mounted file system first"
				: "");
	if (umount2(".", MNT_DETACH) < 0)
		return say(b, -errno, "cannot detach", "the host's root directory");
	return chdir("/") < 0 ? say(b, -errno, "cannot enter", "/") : 0;
}

/* Sockets of the host that lie in what the plan shows. */
static int cover_sockets(struct builder *b, FILE *list)
{
	char path[PATH_MAX] = "/proc/net/unix";
	int r = hide_sockets(list, b->root, b->plan, path);

	if (r < 0)
		return say(b, r, "cannot hide the host's Unix socket", path);
	if (r > 0)
		warner_say(b->warner, "%d Unix socket%s of the host hidden; list one in filesystem_policy.unix_sockets to reach it",
			   r, r == 1 ? "" : "s");
	return 0;
}

int mounts_build(const struct launch_plan *p, int trust_fd, const struct warner *w,
		 char **ret_error)
{
	struct builder b = {.plan = p, .warner = w, .root = -1, .ret_error = ret_error};
	_cleanup_fclose_ FILE *sockets = hide_sockets_open();
	mode_t mask = umask(0);
	int r;

	*ret_error = NULL;
	r = private_namespaces(&b);
	if (r == 0)
		r = open_stage(&b);
	for (size_t i = root_is_bound(p) ? 1 : 0; r == 0 && i < p->nmounts; i++)
		r = add_mount(&b, &p->mounts[i]);
	if (r == 0)
		r = add_links(&b);
	if (r == 0)
		r = add_runtime_dir(&b);
	if (r == 0)
		r = add_files(&b, trust_fd);
	if (r == 0)
		r = cover_sockets(&b, sockets);
	if (r == 0)
		r = turn(&b);
	if (b.root >= 0)
		close(b.root);
	umask(mask);
	return r;
}
