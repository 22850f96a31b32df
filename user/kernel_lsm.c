/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_lsm.c - BPF LSM by trying, never by version. */
#include "user/kernel_lsm.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>

bool lsm_offered(const char **ret_why)
{
	struct btf *btf;
	int id;

	*ret_why = "this kernel has no inode storage (CONFIG_BPF_LSM)";
	if (libbpf_probe_bpf_map_type(BPF_MAP_TYPE_INODE_STORAGE, NULL) != 1)
		return false;
	btf = btf__load_vmlinux_btf();
	id = btf ? btf__find_by_name_kind(btf, "bpf_lsm_unix_stream_connect", BTF_KIND_FUNC) : -1;
	btf__free(btf);
	*ret_why = id < 0 ? "not built into this kernel (CONFIG_BPF_LSM)" : NULL;
	return id >= 0;
}

/* AF_KEY: the family is looked for only after the LSM was asked, so that nothing is loaded or made either way. */
static _Noreturn void attempt(void)
{
	int fd = socket(AF_KEY, SOCK_RAW | SOCK_CLOEXEC, 0);

	_exit(fd < 0 && errno == EPERM ? 0 : 1);
}

bool lsm_live(const struct cgroups *c)
{
	pid_t pid = cgroup_fork(c->fd[CGROUP_AGENT], 0);
	int status;

	if (pid == 0)
		attempt();
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
