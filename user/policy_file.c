/* SPDX-License-Identifier: Apache-2.0 */
/* policy_file.c - a policy from a file: bounded reading, plain errors. */
#include "user/policy_file.h"

#include "user/safetext.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>

/* One error about the file as a whole. */
__attribute__((format(printf, 2, 3))) static void file_error(struct policy_diags *d,
							     const char *fmt, ...)
{
	struct policy_diag *v = reallocarray(d->v, d->n + 1, sizeof(*v));
	char *message = NULL;
	va_list ap;

	d->errors++;
	if (v)
		d->v = v;
	va_start(ap, fmt);
	if (!v || vasprintf(&message, fmt, ap) < 0)
		message = NULL;
	va_end(ap);
	if (message)
		d->v[d->n++] = (struct policy_diag){POLICY_ERROR, 0, 0, message};
}

static int open_policy(const char *path, struct policy_diags *d)
{
	struct stat st;
	_cleanup_close_ int fd = -1;

	if (strcmp(path, "-") == 0)
		return fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	/* nonblocking: opening a FIFO that nobody writes must not hang */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0) {
		int e = errno;

		file_error(d, "cannot be read: %s", strerror(e));
		return -e;
	}
	if (S_ISDIR(st.st_mode)) {
		file_error(d, "is a directory, not a policy file");
		return -EISDIR;
	}
	if (!S_ISREG(st.st_mode) && fcntl(fd, F_SETFL, 0) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* Reads to the end, at most one byte more than a policy may have. */
static int read_text(int fd, struct policy_diags *d, char **ret, size_t *ret_n)
{
	_cleanup_free_ char *buf = malloc(POLICY_TEXT_MAX + 2);
	size_t n = 0;

	if (!buf)
		return -ENOMEM;
	while (n <= POLICY_TEXT_MAX) {
		ssize_t k = read(fd, buf + n, POLICY_TEXT_MAX + 1 - n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0) {
			int e = errno;

			file_error(d, "cannot be read: %s", strerror(e));
			return -e;
		}
		if (k == 0)
			break;
		n += (size_t)k;
	}
	if (n > POLICY_TEXT_MAX) {
		file_error(d, "larger than %u MiB, which no policy may be", POLICY_TEXT_MAX >> 20);
		return -EFBIG;
	}
	buf[n] = 0;
	*ret = steal_ptr(&buf);
	*ret_n = n;
	return 0;
}

int policy_read_file(const char *path, struct policy_diags *diags, char **ret_text, size_t *ret_n)
{
	_cleanup_close_ int fd = open_policy(path, diags);

	return fd < 0 ? fd : read_text(fd, diags, ret_text, ret_n);
}

int policy_load_file(const char *path, struct policy_diags *diags, struct policy **ret,
		     char **ret_text, size_t *ret_n)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int r = policy_read_file(path, diags, &text, &n);

	if (r == 0)
		r = policy_parse((struct slice){(const uint8_t *)text, n}, diags, ret);
	if (r < 0)
		return r;
	if (ret_text)
		*ret_text = steal_ptr(&text);
	if (ret_n)
		*ret_n = n;
	return 0;
}

void policy_file_diags_print(const struct policy_diags *d, const char *path, FILE *out)
{
	_cleanup_free_ char *name = safetext_dup(slice_str(path));

	policy_diags_print(d, name ? name : "policy", out);
}
