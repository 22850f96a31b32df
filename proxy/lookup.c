/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup.c - look-ups as described in lookup.h, with c-ares driven by the proxy's loop.
 *
 * A job is one name on its way through upstream:
 *
 *   started     in the table of jobs, two c-ares queries outstanding, timer armed for the time-out
 *   settled     out of the table, result in the cache; delivers to its waits in the next turn of
 *               the loop, so that no callback runs inside c-ares or inside lookup_start()
 *   freed       when it has delivered and c-ares has given both queries back
 *
 * When one family has brought addresses, the other has one second more: servers that drop AAAA
 * queries must not cost five.  Every option c-ares would else look up in files or the environment
 * is given explicitly, so it opens none but its random source, once.
 */
#include "proxy/lookup.h"

#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <uthash.h>
#include <utlist.h>

#include "proxy/dns.h"

#define QUERY_TIMEOUT_MS 1500 /* c-ares: first try; doubles */
#define QUERY_TRIES 2
#define SECOND_FAMILY_MS 1000
#define SECOND_FAMILY_MIN 4u /* places kept in struct resolved for the other family */
#define EDNS_SIZE 1232
#define HOSTS_TTL LOOKUP_TTL_MAX
#define NS_PER_S 1000000000ull

struct cached {
	UT_hash_handle hh;
	uint64_t expires;
	int error;
	struct resolved res;
	char name[];
};

struct query { /* one of the two c-ares queries of a job */
	struct job *job;
	bool done;
	int error; /* as lookup_fn */
	size_t n;
	uint32_t ttl; /* smallest, seconds */
	struct resolved_addr a[RESOLVED_MAX];
};

struct job {
	UT_hash_handle hh; /* while started */
	struct lookup *l;
	struct job *prev, *next; /* all jobs */
	struct loop_timer timer;
	struct lookup_wait *waits;
	struct query a, aaaa;
	unsigned outstanding;
	bool settled, delivered;
	int error;
	struct resolved res;
	char name[];
};

struct lookup_wait {
	struct lookup_wait *prev, *next; /* of the job, or of l->ready */
	struct lookup *l;
	struct job *job; /* NULL: known at the start, delivered by timer */
	struct loop_timer timer;
	lookup_fn cb;
	void *arg;
	int error;
	struct resolved res;
};

struct ares_watch {
	struct ares_watch *prev, *next;
	struct loop_watch watch;
};

struct lookup {
	struct loop *loop;
	struct hosts *hosts;
	ares_channel channel;
	bool has_servers;
	struct loop_timer ares_timer;
	struct ares_watch *watches;
	struct job *jobs;     /* uthash: started */
	struct job *all_jobs; /* utlist */
	size_t njobs;
	struct lookup_wait *ready;
	struct cached *cache; /* uthash, oldest first */
};

/* ------------------------------------------------------------------------------------- cache -- */

static void cache_drop(struct lookup *l, struct cached *c)
{
	HASH_DEL(l->cache, c);
	free(c);
}

static void cache_put(struct lookup *l, struct slice name, int error, const struct resolved *res,
		      uint64_t expires)
{
	struct cached *c;

	HASH_FIND(hh, l->cache, name.p, (unsigned)name.n, c);
	if (c)
		cache_drop(l, c);
	else if (HASH_COUNT(l->cache) >= LOOKUP_CACHE_MAX)
		cache_drop(l, l->cache);
	c = calloc(1, sizeof(*c) + name.n + 1);
	if (!c)
		return;
	memcpy(c->name, name.p, name.n);
	c->error = error;
	c->res = *res;
	c->expires = expires;
	HASH_ADD_KEYPTR(hh, l->cache, c->name, (unsigned)name.n, c);
}

/* Never asked upstream (RFC 6761 section 6.3), whatever the host's file says. */
static void loopback(struct resolved *ret)
{
	*ret = (struct resolved){.n = 2};
	ret->a[0].family = 4;
	memcpy(ret->a[0].addr, (const uint8_t[4]){127, 0, 0, 1}, 4);
	ret->a[1].family = 6;
	ret->a[1].addr[15] = 1;
}

bool lookup_known(struct lookup *l, struct slice name, int *ret_error, struct resolved *ret)
{
	uint64_t now = loop_now(l->loop);
	struct cached *c;

	if (dns_name_is_localhost(name)) {
		loopback(ret);
		ret->expires = now + HOSTS_TTL * NS_PER_S;
		*ret_error = 0;
		return true;
	}
	if (hosts_find(l->hosts, name, ret)) {
		ret->expires = now + HOSTS_TTL * NS_PER_S;
		*ret_error = 0;
		return true;
	}
	if (!l->has_servers) {
		*ret_error = -ENOENT;
		*ret = (struct resolved){.expires = now};
		return true;
	}
	HASH_FIND(hh, l->cache, name.p, (unsigned)name.n, c);
	if (!c)
		return false;
	if (c->expires <= now) {
		cache_drop(l, c);
		return false;
	}
	*ret_error = c->error;
	*ret = c->res;
	return true;
}

/* ----------------------------------------------------------------------- c-ares and the loop -- */


static void on_ares_timer(struct loop_timer *t);

static void ares_arm(struct lookup *l)
{
	struct timeval tv, *t = ares_timeout(l->channel, NULL, &tv);

	if (t)
		loop_timer_set(l->loop, &l->ares_timer,
			       (uint64_t)t->tv_sec * 1000 + (uint64_t)t->tv_usec / 1000 + 1,
			       on_ares_timer, l);
	else
		loop_timer_stop(l->loop, &l->ares_timer);
}

static void on_ares_timer(struct loop_timer *t)
{
	struct lookup *l = t->arg;

	ares_process_fd(l->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	ares_arm(l);
}

static void on_ares_socket(struct loop_watch *w, uint32_t events)
{
	struct lookup *l = w->arg;
	int fd = w->fd;
	bool failed = events & (EPOLLERR | EPOLLHUP);

	ares_process_fd(l->channel, (events & EPOLLIN) || failed ? fd : ARES_SOCKET_BAD,
			(events & EPOLLOUT) || failed ? fd : ARES_SOCKET_BAD);
	ares_arm(l);
}

static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	uint32_t events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);
	struct lookup *l = arg;
	struct ares_watch *w;

	DL_FOREACH(l->watches, w)
		if (w->watch.fd == fd)
			break;
	if (w && events) {
		loop_mod(l->loop, &w->watch, events);
	} else if (w) {
		loop_del(l->loop, &w->watch);
		DL_DELETE(l->watches, w);
		free(w);
	} else if (events) {
		w = calloc(1, sizeof(*w));
		/* Unwatched, its queries time out. */
		if (w && loop_add(l->loop, &w->watch, fd, events, on_ares_socket, l) == 0)
			DL_APPEND(l->watches, w);
		else
			free(w);
	}
}

/* -------------------------------------------------------------------------------------- jobs -- */

static void job_put(struct job *j)
{
	if (!j->delivered || j->outstanding)
		return;
	DL_DELETE(j->l->all_jobs, j);
	j->l->njobs--;
	free(j);
}

static void on_deliver(struct loop_timer *t)
{
	struct job *j = t->arg;
	struct lookup_wait *w;

	while ((w = j->waits)) {
		DL_DELETE(j->waits, w);
		w->cb(w->arg, j->error, &j->res);
		free(w);
	}
	j->delivered = true;
	job_put(j);
}

/* Both families into one list, some room kept for the second. */
static void merge(struct job *j)
{
	size_t room6 = j->aaaa.n < SECOND_FAMILY_MIN ? j->aaaa.n : SECOND_FAMILY_MIN;

	for (size_t i = 0; i < j->a.n && j->res.n < RESOLVED_MAX - room6; i++)
		j->res.a[j->res.n++] = j->a.a[i];
	for (size_t i = 0; i < j->aaaa.n && j->res.n < RESOLVED_MAX; i++)
		j->res.a[j->res.n++] = j->aaaa.a[i];
}

static int job_error(const struct job *j)
{
	if (j->res.n)
		return 0;
	if (j->a.error == -ETIMEDOUT || j->aaaa.error == -ETIMEDOUT || !j->a.done || !j->aaaa.done)
		return -ETIMEDOUT;
	if (j->a.error == -EAGAIN || j->aaaa.error == -EAGAIN)
		return -EAGAIN;
	return j->a.error == -ENOENT || j->aaaa.error == -ENOENT ? -ENOENT : -ENODATA;
}

static uint64_t job_ttl(const struct job *j)
{
	uint32_t ttl = LOOKUP_TTL_MAX;

	if (j->error == -ENOENT || j->error == -ENODATA)
		return LOOKUP_TTL_NEGATIVE;
	if (j->error)
		return LOOKUP_TTL_FAILED;
	if (j->a.n && j->a.ttl < ttl)
		ttl = j->a.ttl;
	if (j->aaaa.n && j->aaaa.ttl < ttl)
		ttl = j->aaaa.ttl;
	return ttl < LOOKUP_TTL_MIN ? LOOKUP_TTL_MIN : ttl;
}

static void settle(struct job *j)
{
	struct lookup *l = j->l;

	if (j->settled)
		return;
	j->settled = true;
	merge(j);
	j->error = job_error(j);
	j->res.expires = loop_now(l->loop) + job_ttl(j) * NS_PER_S;
	HASH_DEL(l->jobs, j);
	cache_put(l, slice_str(j->name), j->error, &j->res, j->res.expires);
	loop_timer_set(l->loop, &j->timer, 0, on_deliver, j);
}

static void on_timeout(struct loop_timer *t)
{
	settle(t->arg);
}

static int ares_error(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return 0;
	case ARES_ENODATA:
		return -ENODATA;
	case ARES_ENOTFOUND:
		return -ENOENT;
	case ARES_ETIMEOUT:
		return -ETIMEDOUT;
	default:
		return -EAGAIN;
	}
}

static void query_add(struct query *q, uint8_t family, const void *addr, size_t n, int ttl)
{
	uint32_t t = ttl < 0 ? 0 : (uint32_t)ttl;

	if (q->n == RESOLVED_MAX)
		return;
	if (q->n == 0 || t < q->ttl)
		q->ttl = t;
	q->a[q->n].family = family;
	memcpy(q->a[q->n++].addr, addr, n);
}

static int read_a(struct query *q, const unsigned char *buf, int len)
{
	struct ares_addrttl v[RESOLVED_MAX];
	int n = ARRAY_LEN(v), status = ares_parse_a_reply(buf, len, NULL, v, &n);

	for (int i = 0; status == ARES_SUCCESS && i < n; i++)
		query_add(q, 4, &v[i].ipaddr, 4, v[i].ttl);
	return status;
}

static int read_aaaa(struct query *q, const unsigned char *buf, int len)
{
	struct ares_addr6ttl v[RESOLVED_MAX];
	int n = ARRAY_LEN(v), status = ares_parse_aaaa_reply(buf, len, NULL, v, &n);

	for (int i = 0; status == ARES_SUCCESS && i < n; i++)
		query_add(q, 6, &v[i].ip6addr, 16, v[i].ttl);
	return status;
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *buf, int len)
{
	struct query *q = arg;
	struct job *j = q->job;

	(void)timeouts;
	j->outstanding--;
	if (j->settled || status == ARES_EDESTRUCTION || status == ARES_ECANCELLED) {
		job_put(j);
		return;
	}
	if (status == ARES_SUCCESS)
		status = q == &j->a ? read_a(q, buf, len) : read_aaaa(q, buf, len);
	q->error = ares_error(status);
	if (q->error == 0 && q->n == 0)
		q->error = -ENODATA;
	q->done = true;
	if (j->a.done && j->aaaa.done)
		settle(j);
	else if (q->n)
		loop_timer_set(j->l->loop, &j->timer, SECOND_FAMILY_MS, on_timeout, j);
}

static int job_start(struct lookup *l, struct slice name, struct job **ret)
{
	struct job *j;

	if (l->njobs >= LOOKUP_JOBS_MAX)
		return -EAGAIN;
	j = calloc(1, sizeof(*j) + name.n + 1);
	if (!j)
		return -ENOMEM;
	memcpy(j->name, name.p, name.n);
	j->l = l;
	j->a.job = j->aaaa.job = j;
	j->outstanding = 2;
	DL_APPEND(l->all_jobs, j);
	l->njobs++;
	HASH_ADD_KEYPTR(hh, l->jobs, j->name, (unsigned)name.n, j);
	loop_timer_set(l->loop, &j->timer, LOOKUP_TIMEOUT_MS, on_timeout, j);
	/* May answer at once; the job lives on until it has delivered. */
	ares_query(l->channel, j->name, ns_c_in, ns_t_a, on_answer, &j->a);
	ares_query(l->channel, j->name, ns_c_in, ns_t_aaaa, on_answer, &j->aaaa);
	ares_arm(l);
	*ret = j;
	return 0;
}

/* ------------------------------------------------------------------------------------- waits -- */

static void on_ready(struct loop_timer *t)
{
	struct lookup_wait *w = t->arg;

	DL_DELETE(w->l->ready, w);
	w->cb(w->arg, w->error, &w->res);
	free(w);
}

int lookup_start(struct lookup *l, struct slice name, lookup_fn cb, void *arg,
		 struct lookup_wait **ret)
{
	_cleanup_free_ struct lookup_wait *w = calloc(1, sizeof(*w));
	struct job *j;
	int r;

	if (!w)
		return -ENOMEM;
	if (name.n == 0 || name.n > DNS_NAME_TEXT_MAX)
		return -EINVAL;
	w->l = l;
	w->cb = cb;
	w->arg = arg;
	if (lookup_known(l, name, &w->error, &w->res)) {
		DL_APPEND(l->ready, w);
		loop_timer_set(l->loop, &w->timer, 0, on_ready, w);
		*ret = steal_ptr(&w);
		return 0;
	}
	HASH_FIND(hh, l->jobs, name.p, (unsigned)name.n, j);
	if (!j) {
		r = job_start(l, name, &j);
		if (r < 0)
			return r;
	}
	w->job = j;
	DL_APPEND(j->waits, w);
	*ret = steal_ptr(&w);
	return 0;
}

void lookup_cancel(struct lookup_wait *w)
{
	if (!w)
		return;
	if (w->job) {
		DL_DELETE(w->job->waits, w);
	} else {
		loop_timer_stop(w->l->loop, &w->timer);
		DL_DELETE(w->l->ready, w);
	}
	free(w);
}

/* ----------------------------------------------------------------------------- start and end -- */

/* "1.2.3.4:53,[2001:db8::1]:53" for c-ares; servers of an unknown family are left out. */
static void format_servers(const struct wire_hello *hello, char *ret, size_t size)
{
	char text[INET6_ADDRSTRLEN];
	size_t n = 0;

	ret[0] = '\0';
	for (uint32_t i = 0; i < hello->nnameservers && i < WIRE_NAMESERVERS_MAX; i++) {
		bool v6 = hello->nameservers[i].family == 6;
		unsigned port = hello->nameservers[i].port ? hello->nameservers[i].port : 53;

		if (!v6 && hello->nameservers[i].family != 4)
			continue;
		if (!inet_ntop(v6 ? AF_INET6 : AF_INET, hello->nameservers[i].addr, text,
			       sizeof(text)))
			continue;
		n += (size_t)snprintf(ret + n, size - n, "%s%s%s%s:%u", n ? "," : "", v6 ? "[" : "",
				      text, v6 ? "]" : "", port);
	}
}

static int open_channel(struct lookup *l, const struct wire_hello *hello)
{
	char lookups[] = "b", servers[WIRE_NAMESERVERS_MAX * (INET6_ADDRSTRLEN + 16)];
	struct ares_options o = {
		.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS,
		.timeout = QUERY_TIMEOUT_MS,
		.tries = QUERY_TRIES,
		.ndots = 1,
		.lookups = lookups,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = l,
		.ednspsz = EDNS_SIZE,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
		   ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_EDNSPSZ |
		   ARES_OPT_SERVERS | ARES_OPT_DOMAINS | ARES_OPT_SORTLIST | ARES_OPT_NOROTATE;

	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		return -ENOMEM;
	if (ares_init_options(&l->channel, &o, mask) != ARES_SUCCESS) {
		ares_library_cleanup();
		return -ENOMEM;
	}
	format_servers(hello, servers, sizeof(servers));
	if (!servers[0])
		return 0;
	if (ares_set_servers_ports_csv(l->channel, servers) != ARES_SUCCESS)
		return -EINVAL;
	l->has_servers = true;
	return 0;
}

int lookup_new(struct loop *loop, const struct wire_hello *hello, struct hosts *hosts,
	       struct lookup **ret)
{
	struct lookup *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->loop = loop;
	r = open_channel(l, hello);
	if (r < 0) {
		lookup_free(l);
		return r;
	}
	l->hosts = hosts;
	*ret = l;
	return 0;
}

static void free_jobs(struct lookup *l)
{
	struct lookup_wait *w, *wnext;
	struct job *j, *next;

	HASH_CLEAR(hh, l->jobs);
	DL_FOREACH_SAFE(l->all_jobs, j, next) {
		loop_timer_stop(l->loop, &j->timer);
		DL_FOREACH_SAFE(j->waits, w, wnext)
			free(w);
		free(j);
	}
}

struct lookup *lookup_free(struct lookup *l)
{
	struct lookup_wait *w, *next;
	struct cached *c, *cnext;

	if (!l)
		return NULL;
	if (l->channel) {
		struct job *j;

		/* Its callbacks come now and must only count down. */
		DL_FOREACH(l->all_jobs, j)
			j->settled = true, j->delivered = false;
		ares_destroy(l->channel);
		ares_library_cleanup();
	}
	loop_timer_stop(l->loop, &l->ares_timer);
	free_jobs(l);
	DL_FOREACH_SAFE(l->ready, w, next) {
		loop_timer_stop(l->loop, &w->timer);
		free(w);
	}
	HASH_ITER(hh, l->cache, c, cnext)
		cache_drop(l, c);
	hosts_free(l->hosts);
	free(l);
	return NULL;
}
