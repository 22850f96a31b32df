/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervise.c - the supervisor of one sandbox: start, event loop, shutdown.
 *
 * Start, each step only when the one before has succeeded; a failure undoes everything and is told to the starter:
 *   directories and lock; cgroups; the proxy's listeners; BPF loaded, attached, pinned; image published; proxy started,
 *   image acknowledged, `current` stored; launcher started (it proves the hooks live and builds the walls); answer.
 */
#include "user/globalpolicy.h"
#include "user/blob.h"
#include "user/hostaddr.h"
#include "user/plan.h"
#include "user/refused.h"
#include "user/reload.h"
#include "user/remove.h"
#include "user/revoke.h"
#include "user/start.h"
#include "user/supervise.h"

#include <bpf/libbpf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define TICK_MS 250
#define SUMMARY_TICKS 4 /* a line for what was suppressed, each second */
#define RING_TURN 1024				 /* events in a row: then somebody else has his turn */
#define RING_ALL ((2u << 20) / (8 + sizeof(struct osh_event))) /* more than the ring can hold at a moment (maps.bpf.h) */

uint64_t supervise_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void supervise_stop(struct supervisor *s)
{
	s->stopping = true;
	loop_stop(s->loop);
}

int supervise_fail(struct supervisor *s, const char *fmt, ...)
{
	va_list ap;

	if (!s->failure) {
		va_start(ap, fmt);
		if (vasprintf(&s->failure, fmt, ap) < 0)
			s->failure = NULL;
		va_end(ap);
	}
	if (s->loop)
		supervise_stop(s);
	return -ECANCELED;
}

void supervise_warn(struct supervisor *s, const char *text)
{
	if (s->nwarnings < ARRAY_LEN(s->warnings) && (s->warnings[s->nwarnings] = strdup(text)))
		s->nwarnings++;
	if (s->starter)
		(void)control_send(s->starter->fd, CTL_START_WARNING, text, strlen(text), NULL, 0);
	eventlog_note(&s->events, LOG_L_WARN, "sandbox", text, NULL);
}

/* What stands at the beginning of each segment of the log. */
static void head_log(struct supervisor *s)
{
	char names[128] = "";

	for (enum layer l = 0; l < LAYER_COUNT; l++)
		if (s->missing[l])
			snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", *names ? "," : "", layer_name(l));
	(void)log_set_missing(s->log, names);
}

int supervise_missing(struct supervisor *s, enum layer l, const char *why)
{
	char text[640];

	if (l >= LAYER_COUNT)
		return -EINVAL;
	if (!(s->args.allow_missing & 1u << l))
		return supervise_fail(s, "%s; 'osh-enforce doctor' says what this host lacks, and --allow-missing %s starts "
					 "without this layer", why, layer_name(l));
	if (s->missing[l])
		return 0;
	s->missing[l] = strdup(why);
	if (!s->missing[l])
		return supervise_fail(s, "out of memory");
	snprintf(text, sizeof(text), "layer %s is missing, as --allow-missing permits: %s", layer_name(l), why);
	supervise_warn(s, text);
	head_log(s);
	return 0;
}

const struct image *supervise_image(void *arg, uint64_t gen)
{
	struct supervisor *s = arg;
	const struct published *p = &s->image[gen & 1];

	if (p->base && p->gen == gen)
		return &p->image;
	for (size_t i = 0; i < RETIRED_MAX; i++)
		if (s->retired[i].image.base && s->retired[i].image.gen == gen)
			return &s->retired[i].image.image;
	return NULL;
}

/* --- events ---------------------------------------------------------------------------------------- */

static int on_event(void *arg, void *data, size_t n)
{
	struct supervisor *s = arg;

	const struct osh_event *e = data;

	if (n < sizeof(*e))
		return 0;
	s->record.read++;
	if (e->kind == OSH_EV_LATE)
		reload_late(s);
	else if (s->init.ready) /* before: the launcher's proof */
		record_connect(&s->record, e);
	return --s->ring_left ? 0 : -EAGAIN;
}

static void on_more(struct loop_timer *t)
{
	struct supervisor *s = t->arg;

	supervise_ring(s);
	supervise_flush(s);
}

/* At most max events.  Without a bound, programs that make events as fast as they are read here would keep the
 * supervisor from everything else: a new policy, a swap, the end of the sandbox. */
static void consume(struct supervisor *s, uint32_t max)
{
	uint64_t lost;

	eventlog_clock(&s->events);
	s->ring_left = max;
	if (ring_buffer__consume(s->ring) == -EAGAIN && !s->stopping)
		loop_timer_set(s->loop, &s->ring_more, 1, on_more, s);
	lost = kernel_stat(s->kernel, OSH_STAT_EVENT_LOST_LATE);
	if (lost != s->late_lost) {
		s->late_lost = lost;
		reload_late(s);
	}
}

void supervise_flush(struct supervisor *s)
{
	if (log_flush(s->log) == 0)
		record_written(&s->record);
}

void supervise_ring(struct supervisor *s)
{
	consume(s, RING_TURN);
}

static void on_ring(struct loop_watch *w, uint32_t events)
{
	struct supervisor *s = w->arg;

	(void)events;
	supervise_ring(s);
	supervise_flush(s);
}

void supervise_drain(struct supervisor *s)
{
	consume(s, RING_ALL);
	proxy_drain(s);
	record_all(&s->record);
	record_check(&s->record);
	record_summarise(&s->record, UINT64_MAX);
	supervise_flush(s);
}

static void mark_flow(void *arg, const struct osh_flow *f)
{
	path_marks_add(arg, &f->id);
}

static int mark_flows(void *arg, struct path_marks *m)
{
	return visit_flows(arg, mark_flow, m);
}

static void on_tick(struct loop_timer *t)
{
	struct supervisor *s = t->arg;
	static unsigned int n;

	supervise_ring(s);
	reload_tick(s);
	record_check(&s->record);
	if (++n % SUMMARY_TICKS == 0)
		record_summarise(&s->record, UINT64_MAX);
	if (n % 40 == 0)
		kernel_collect_paths(s->kernel, mark_flows, s->kernel);
	supervise_flush(s);
	if (s->revisions.dirty && revisions_sync(&s->revisions) < 0)
		eventlog_note(&s->events, LOG_L_ERROR, "policy", "revisions could not be written to the disk", NULL);
	loop_timer_set(s->loop, &s->tick, TICK_MS, on_tick, s);
}

static void on_hostaddr(struct loop_watch *w, uint32_t events)
{
	struct supervisor *s = w->arg;

	(void)events;
	if (hostaddr_update(s->kernel, s->hostaddr_fd) < 0)
		eventlog_note(&s->events, LOG_L_ERROR, "sandbox", "the host's addresses could not be read", NULL);
}

static void on_signal(struct loop_watch *w, uint32_t events)
{
	struct supervisor *s = w->arg;
	struct signalfd_siginfo si;
	pid_t pid;

	(void)events;
	while (read(s->signal_fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo != SIGCHLD) {
			supervise_stop(s);
			continue;
		}
		/* The proxy is reaped where its socket closes; init and helpers here. */
		if (s->init.pid > 0 && waitpid(s->init.pid, NULL, WNOHANG) == s->init.pid)
			s->init.pid = 0;
		pid = s->proxy.pid;
		if (pid > 0) {
			siginfo_t i = {0};

			if (waitid(P_PID, (id_t)pid, &i, WEXITED | WNOHANG | WNOWAIT) == 0 && i.si_pid == pid) {
				proxy_drain(s); /* its last words */
				proxy_died(s);
			}
		}
	}
}

/* --- start ------------------------------------------------------------------------------------------ */

static int choose_name(struct supervisor *s)
{
	static const char alphabet[] = "abcdefghijkmnpqrstuvwxyz23456789";
	uint8_t b[6];

	if (s->args.name[0]) {
		snprintf(s->name, sizeof(s->name), "%s", s->args.name);
		return 0;
	}
	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return -EIO;
	memcpy(s->name, "run-", 4);
	for (size_t i = 0; i < sizeof(b); i++)
		s->name[4 + i] = alphabet[b[i] % (sizeof(alphabet) - 1)];
	return 0;
}

static int mark_temporary(const struct supervisor *s)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;

	if (asprintf(&path, "%s/" TEMPORARY_FILE, s->run_dir) < 0)
		return -ENOMEM;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : 0;
}

static int directories(struct supervisor *s)
{
	_cleanup_close_ int all = -1;
	_cleanup_free_ char *lock = NULL, *rev = NULL, *base = NULL, *logs = NULL;
	int r = state_lock(&all);

	if (r < 0)
		return supervise_fail(s, "%s: %s", OSH_RUN_DIR, strerror(-r));
	if (asprintf(&s->run_dir, OSH_RUN_DIR "/%s", s->name) < 0 ||
	    asprintf(&s->state_dir, OSH_STATE_DIR "/%s", s->name) < 0 || asprintf(&lock, "%s/lock", s->run_dir) < 0 ||
	    asprintf(&rev, "%s/revisions", s->state_dir) < 0 || asprintf(&logs, "%s/log", s->state_dir) < 0)
		return supervise_fail(s, "out of memory");
	s->history = access(rev, F_OK) == 0 || errno != ENOENT;
	if (mkdir(s->run_dir, 0700) < 0) {
		free(s->run_dir);
		s->run_dir = NULL; /* not ours to remove */
		return errno == EEXIST ? supervise_fail(s, "a sandbox named '%s' exists; choose another --name, or "
							   "end it with 'osh-enforce delete %s'", s->name, s->name)
				       : supervise_fail(s, OSH_RUN_DIR "/%s: %s", s->name, strerror(errno));
	}
	s->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0 || flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return supervise_fail(s, "%s: %s", lock, strerror(errno));
	if (!s->args.keep && !s->history && (r = mark_temporary(s)) < 0)
		return supervise_fail(s, "%s/" TEMPORARY_FILE ": %s", s->run_dir, strerror(-r));
	r = bpffs_dir(&base);
	if (r < 0)
		return supervise_fail(s, "no bpf file system: %s; mount one with 'mount -t bpf bpf /sys/fs/bpf'", strerror(-r));
	if (asprintf(&s->pin_dir, "%s/%s", base, s->name) < 0)
		return supervise_fail(s, "out of memory");
	/* Who has cleared up may have done it in another mount namespace, where these pins cannot be seen. */
	(void)remove_tree(s->pin_dir);
	if (mkdir(s->pin_dir, 0700) < 0)
		return supervise_fail(s, "%s: %s", s->pin_dir, strerror(errno));
	r = cgroups_create(s->name, &s->cgroups);
	if (r < 0)
		return supervise_fail(s, "cgroup v2: %s%s", strerror(-r),
				      r == -ENOENT ? "; mount it with 'mount -t cgroup2 none /sys/fs/cgroup'" : "");
	s->limits.pids = s->args.pids_max;
	s->limits.memory = s->args.memory_max;
	limits_apply(&s->limits, &s->cgroups, (uid_t)s->args.uid);
	(void)mkdir(OSH_STATE_DIR, 0755);
	(void)remove_state(s->name, true);
	if (mkdir(s->state_dir, 0711) < 0 && errno != EEXIST)
		return supervise_fail(s, "%s: %s", s->state_dir, strerror(errno));
	r = revisions_open(rev, true, &s->revisions);
	if (r == 0)
		r = revisions_recover(&s->revisions, UINT64_MAX);
	if (r == 0)
		r = reload_record(s);
	if (r < 0)
		return supervise_fail(s, "%s: %s", rev, strerror(-r));
	r = log_open(logs, s->name, &s->log);
	return r < 0 ? supervise_fail(s, "%s: %s", logs, strerror(-r)) : 0;
}

static uint32_t random_tag(void)
{
	uint32_t t = 0;

	while (!t && getrandom(&t, sizeof(t), 0) == sizeof(t))
		;
	return t;
}

static void unused_flow(void *arg, const struct osh_flow *f)
{
	(void)arg;
	(void)f;
}

/* The host's sockets that the plan shows, for the LSM layer: it refuses every other peer outside the sandbox. */
static int list_sockets(struct supervisor *s)
{
	_cleanup_free_ char *bytes = NULL;
	struct launch_plan p;
	size_t n;
	int r;

	if (kernel_lsm_missing(s->kernel))
		return 0;
	if (lseek(s->start_fd[SF_PLAN], 0, SEEK_SET) < 0)
		return -errno;
	r = read_whole_fd(s->start_fd[SF_PLAN], PLAN_SIZE_MAX, &bytes, &n);
	if (r == 0)
		r = plan_parse((struct slice){(const uint8_t *)bytes, n}, &p);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < p.nmounts; i++) {
		_cleanup_close_ int fd = -1;

		if (!(p.mounts[i].flags & PLAN_SOCKET))
			continue;
		fd = open(p.mounts[i].path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
		if (fd >= 0) /* gone meanwhile: nothing to reach */
			r = kernel_list_unix(s->kernel, fd);
	}
	plan_done(&p);
	return r;
}

static int kernel_side(struct supervisor *s)
{
	struct kernel_config c = {.cgroups = &s->cgroups,
				  .pin_dir = s->pin_dir,
				  .tag = random_tag(),
				  .uid = (uid_t)s->args.uid,
				  .proxy_port4 = s->proxy.port[0],
				  .proxy_port6 = s->proxy.port[1],
				  .dns_port4 = s->proxy.port[2],
				  .dns_port6 = s->proxy.port[3]};
	const char *what = "";
	int r = kernel_new(&c, &s->kernel);

	if (r < 0)
		return supervise_fail(s, "BPF maps: %s; run 'osh-enforce doctor' to see what this kernel lacks", strerror(-r));
	r = reload_first(s); /* its grace period passes while the programs are verified */
	if (r < 0)
		return supervise_fail(s, "the policy image was not accepted: %s", strerror(-r));
	r = kernel_attach(s->kernel, &c, &what);
	if (r < 0)
		return supervise_fail(s, "BPF program %s: %s; run 'osh-enforce doctor' to see what this kernel lacks", what,
				      strerror(-r));
	r = list_sockets(s);
	if (r < 0)
		return supervise_fail(s, "the host's Unix sockets that the policy lists: %s", strerror(-r));
	s->events.kernel = s->kernel;
	r = record_open(&s->record, s->kernel, &s->events);
	if (r < 0)
		return supervise_fail(s, "BPF maps cannot be mapped: %s", strerror(-r));
	s->ring = ring_buffer__new(kernel_map_fd(s->kernel, KMAP_EVENTS), on_event, s, NULL);
	if (!s->ring)
		return supervise_fail(s, "ring buffer: %s", strerror(errno));
	r = loop_add(s->loop, &s->ring_watch, ring_buffer__epoll_fd(s->ring), EPOLLIN, on_ring, s);
	if (r == 0)
		r = hostaddr_open(s->kernel, &s->hostaddr_fd);
	if (r == 0)
		r = loop_add(s->loop, &s->hostaddr_watch, s->hostaddr_fd, EPOLLIN, on_hostaddr, s);
	if (r == 0) {
		r = visit_flows(s->kernel, unused_flow, NULL);
		if (r < 0)
			return supervise_fail(s, "connections cannot be listed (sock_diag: %s), so a reload could not cut them; "
						 "try 'modprobe tcp_diag'", strerror(-r));
	}
	if (r == 0)
		r = proxy_upstream_servers(s);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(s->proxy.listen_fd); i++)
		if (s->proxy.listen_fd[i] >= 0)
			r = kernel_mark_listener(s->kernel, s->proxy.listen_fd[i]);
	if (r < 0)
		return supervise_fail(s, "kernel tables: %s", strerror(-r));
	return 0;
}

static int start(struct supervisor *s)
{
	int r;

	s->began_ns = supervise_now();
	r = directories(s);

	if (r < 0)
		return r;
	s->events.log = s->log;
	s->events.image = supervise_image;
	s->events.arg = s;
	r = proxy_listen(s);
	if (r < 0)
		return supervise_fail(s, "listeners on loopback: %s; is lo up?", strerror(-r));
	r = proxy_fork(s); /* it loads its libraries while we load the kernel's programs */
	if (r == 0) {
		r = kernel_side(s);
		if (r < 0)
			return r;
		s->kernel_ns = supervise_now();
		r = proxy_hello(s);
	}
	if (r < 0)
		return supervise_fail(s, "the proxy did not start: %s", strerror(-r));
	loop_timer_set(s->loop, &s->tick, TICK_MS, on_tick, s);
	return 0;
}

static void note_started(struct supervisor *s)
{
	uint64_t now = supervise_now();
	char kernel[24], proxy[24], walls[24];

	snprintf(kernel, sizeof(kernel), "%.1f", (double)(s->kernel_ns - s->began_ns) / 1e6);
	snprintf(proxy, sizeof(proxy), "%.1f", (double)(s->proxy_ns - s->kernel_ns) / 1e6);
	snprintf(walls, sizeof(walls), "%.1f", (double)(now - s->proxy_ns) / 1e6);
	eventlog_note(&s->events, LOG_L_INFO, "sandbox", "sandbox started", "user", s->args.user, "kernel_ms", kernel,
		      "proxy_ms", proxy, "walls_ms", walls, NULL);
}

void supervise_advance(struct supervisor *s)
{
	int r;

	if (s->stopping)
		return;
	if (!s->init.pid && !s->init.ready && s->proxy.ready && s->gen == 1) {
		s->proxy_ns = supervise_now();
		r = init_spawn(s);
		if (r < 0)
			supervise_fail(s, "the launcher did not start: %s", strerror(-r));
		return;
	}
	if (s->init.ready && s->starter) {
		r = control_listen(s);
		if (r < 0) {
			supervise_fail(s, "%s/control: %s", s->run_dir, strerror(-r));
			return;
		}
		/* From here on who sets a global policy finds this sandbox. */
		r = global_unchanged(s->args.global);
		if (r < 0) {
			s->failure_code = r;
			supervise_fail(s, "the global policy is being changed: %s", strerror(-r));
			return;
		}
		s->started = (uint64_t)time(NULL);
		note_started(s);
		log_flush(s->log);
		(void)control_send(s->starter->fd, CTL_OK, s->name, strlen(s->name), NULL, 0);
		s->starter = NULL;
	}
}

static int receive_start(struct supervisor *s, int fd)
{
	char buf[sizeof(struct supervise_args) + 1];
	size_t n, nfds = SF_COUNT;
	uint32_t type;
	int r = control_recv(fd, 10000, &type, buf, sizeof(buf), &n, s->start_fd, &nfds);

	if (r < 0)
		return r;
	if (type != CTL_START || n != sizeof(s->args) || nfds != SF_COUNT)
		return -EBADMSG;
	memcpy(&s->args, buf, sizeof(s->args));
	s->args.name[sizeof(s->args.name) - 1] = '\0';
	s->args.user[sizeof(s->args.user) - 1] = '\0';
	s->args.policy_path[sizeof(s->args.policy_path) - 1] = '\0';
	s->args.static_hash[sizeof(s->args.static_hash) - 1] = '\0';
	s->args.hash[sizeof(s->args.hash) - 1] = '\0';
	return s->args.name[0] && !sandbox_name_valid(s->args.name) ? -EINVAL : 0;
}

static int signals(struct supervisor *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0)
		return -errno;
	return loop_add(s->loop, &s->signal_watch, s->signal_fd, EPOLLIN, on_signal, s);
}

static void stop(struct supervisor *s)
{
	struct client *c = s->starter;
	char text[4096];
	int32_t e = s->failure_code ? s->failure_code : -ECANCELED;
	int r = 0;

	s->stopping = true;
	if (s->run_dir) {
		if (s->kernel && s->ring && s->log)
			supervise_drain(s);
		reload_ended(s);
		r = cleanup_sandbox(s->name, s->lock_fd, s->history || (s->args.keep && s->started));
	}
	if (c && s->failure) {
		int n;

		memcpy(text, &e, sizeof(e));
		n = snprintf(text + sizeof(e), sizeof(text) - sizeof(e), "%s%s", s->failure,
			     r < 0 ? "\n(and not everything could be removed again)" : "");
		if (n > (int)(sizeof(text) - sizeof(e)) - 1)
			n = (int)(sizeof(text) - sizeof(e)) - 1;
		(void)control_send(c->fd, CTL_ERROR, text, sizeof(e) + (size_t)n, NULL, 0);
	}
}

int supervise_main(int argc, char **argv)
{
	static struct supervisor s = {.signal_fd = -1, .listen_fd = -1, .hostaddr_fd = -1, .lock_fd = -1,
				      .cgroups = CGROUPS_INIT,
				      .proxy = {.sock = -1, .listen_fd = {-1, -1, -1, -1}, .ca_fd = -1},
				      .init = {.sock = -1}, .refused = {.fd = -1}, .reload = {.image_fd = -1},
				      .revisions = {.dir = -1}, .own_image = -1,
				      .image = {{.map_fd = -1}, {.map_fd = -1}}};
	struct rlimit files = {65536, 65536};
	struct client *c;

	(void)argc;
	(void)argv;
	setsid();
	umask(022);
	if (chdir("/") < 0)
		return 125;
	(void)prctl(PR_SET_NAME, "osh-supervisor");
	limits_protect();
	(void)setrlimit(RLIMIT_NOFILE, &files);
	if (loop_new(&s.loop) < 0 || receive_start(&s, 3) < 0 || choose_name(&s) < 0 || signals(&s) < 0)
		return 125;
	c = client_add(&s, 3, !s.args.keep);
	if (!c)
		return 125;
	s.starter = c;
	if (start(&s) == 0)
		(void)loop_run(s.loop);
	stop(&s);
	return s.failure ? 125 : 0;
}
