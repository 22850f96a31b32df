/* SPDX-License-Identifier: Apache-2.0 */
/* suggest.c - from denials to edits; the plan is in suggest.h. */
#include "policy/suggest.h"

#include "policy/covers.h"
#include "policy/diag.h"
#include "policy/host.h"
#include "policy/image_view.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <time.h>

#define NS_PER_S 1000000000ull

/* Denials that one edit answers: the same program, host, port, method and pattern. */
struct group {
	const struct denial *d; /* the last of them */
	char *pattern;		/* of the path; NULL: a connection */
	uint64_t count, first_ns, last_ns;
	size_t distinct;
	bool told; /* why it is not suggested */
};

enum judgement {
	J_ALLOWED,
	J_CONNECT,   /* the connection is denied */
	J_REQUEST,   /* the request is, or let through by audit, as nothing allows it */
	J_DENY_RULE, /* by a deny rule: left alone */
	J_ODD,	     /* the policy in force would not read it so */
};

struct judged {
	enum judgement j;
	struct connect_decision c;
	struct request_decision r;
};

struct work {
	const struct suggest_options *o;
	struct suggestion *s;
	uint8_t *bytes; /* compiled from s->e */
	struct image img;
	struct group *groups;
	size_t ngroups;
};

/* --------------------------------------------------------------------------------- notes -- */

__attribute__((format(printf, 2, 3))) static int note(struct work *w, const char *fmt, ...)
{
	char **v = reallocarray(w->s->notes, w->s->nnotes + 1, sizeof(*v));
	va_list ap;
	int r;

	if (!v)
		return -ENOMEM;
	w->s->notes = v;
	va_start(ap, fmt);
	r = vasprintf(&v[w->s->nnotes], fmt, ap);
	va_end(ap);
	if (r < 0)
		return -ENOMEM;
	w->s->nnotes++;
	return 0;
}

static const char *times(uint64_t count, char buf[32])
{
	if (count == 1)
		return "once";
	snprintf(buf, 32, "%llu times", (unsigned long long)count);
	return buf;
}

#define TEXT(s) (int)((s).n < 2000 ? (s).n : 2000), (s).n ? (const char *)(s).p : ""

/* "/usr/bin/curl POST /x at host:443" or "/usr/bin/curl to host:443" */
static char *words(const struct denial *d)
{
	const struct slice none = {NULL, 0};
	bool script = d->script.n > 0;
	bool v6 = d->host.n && memchr(d->host.p, ':', d->host.n) && d->host.p[0] != '[';
	char *out;

	if (asprintf(&out, "%.*s%s%.*s%s %.*s%s%.*s%s %s%.*s%s:%u",
		     TEXT(script ? d->script : d->binary), script ? " (run by " : "",
		     TEXT(script ? d->binary : none), script ? ")" : "",
		     TEXT(d->method), d->request ? " " : "", TEXT(d->path),
		     d->request ? " at" : "to", v6 ? "[" : "", TEXT(d->host), v6 ? "]" : "",
		     d->port) < 0)
		return NULL;
	return out;
}

__attribute__((format(printf, 4, 5))) static int note_denial(struct work *w, const struct denial *d,
							     uint64_t count, const char *fmt, ...)
{
	_cleanup_free_ char *what = words(d), *why = NULL;
	char buf[32];
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&why, fmt, ap) < 0)
		why = NULL;
	va_end(ap);
	if (!what || !why)
		return -ENOMEM;
	return note(w, "not suggested: %s (%s): %s", what, times(count, buf), why);
}

/* ------------------------------------------------------------------------------- judging -- */

static int compile(struct work *w)
{
	_cleanup_(policy_diags_done) struct policy_diags d = {0};
	uint8_t *bytes = NULL;
	size_t n = 0;
	int r = w->o->prepare ? w->o->prepare(w->o->arg, w->s->e.policy) : 0;

	if (r == 0)
		r = policy_compile(w->s->e.policy, &d, &bytes, &n);
	if (r < 0)
		return r;
	free(w->bytes);
	w->bytes = bytes;
	return image_open(&w->img, bytes, n);
}

static void judge_request(const struct work *w, const struct denial *d, struct judged *ret)
{
	struct canonical_target t;
	const struct request q = {.method = d->method, .path = d->path};

	if (ret->c.verdict == CONNECT_NATIVE ||
	    image_flow_treatment(&w->img, &ret->c) == FLOW_SKIP)
		return; /* requests are not read there (any more) */
	if (canonical_target(d->path, image_encoded_slash(&w->img, &ret->c), &t) != TARGET_OK ||
	    !slice_eq(d->path, (struct slice){(const uint8_t *)t.path, t.path_n})) {
		ret->j = J_ODD;
		return;
	}
	image_decide_request(&w->img, &ret->c, &q, &ret->r);
	if (ret->r.verdict != REQUEST_ALLOW)
		ret->j = ret->r.by_deny_rule ? J_DENY_RULE : J_REQUEST;
}

static void judge(const struct work *w, const struct denial *d, struct judged *ret)
{
	const struct ident_paths id = {
		.exe = d->binary, .script = d->script, .anc = d->anc, .nanc = d->nanc};
	struct block_bits bits;
	struct dest dest;

	*ret = (struct judged){.j = J_ALLOWED};
	image_ident_bits(&w->img, &id, &bits);
	dest_from_text(&dest, d->host, d->port);
	image_decide_connect(&w->img, &bits, &dest, &ret->c);
	if (ret->c.verdict == CONNECT_DENY)
		ret->j = J_CONNECT;
	else if (d->request)
		judge_request(w, d, ret);
}

/* ------------------------------------------------------------------------------ evidence -- */

static void put_time(FILE *f, uint64_t ns)
{
	time_t t = (time_t)(ns / NS_PER_S);
	char buf[40];
	struct tm tm;

	if (gmtime_r(&t, &tm) && strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%SZ", &tm))
		fputs(buf, f);
}

/* "3 times, first ..., last ...: /usr/bin/curl POST /x at host:443" and more lines. */
static char *evidence(const struct group *g, const char *more)
{
	_cleanup_free_ char *what = words(g->d);
	char buf[32], *out = NULL;
	size_t n;
	FILE *f = what ? open_memstream(&out, &n) : NULL;

	if (!f)
		return NULL;
	fprintf(f, "%s, ", times(g->count, buf));
	if (g->count > 1 && g->first_ns / NS_PER_S != g->last_ns / NS_PER_S) {
		fputs("first ", f);
		put_time(f, g->first_ns);
		fputs(", ", f);
	}
	if (g->count > 1)
		fputs("last ", f);
	put_time(f, g->last_ns);
	fputs(": ", f);
	for (const char *p = what; *p; p++)
		fputc(*p == '\n' ? '?' : *p, f);
	if (g->distinct > 1)
		fprintf(f, " (one of %zu paths)", g->distinct);
	if (g->d->audit)
		fputs(" (let through: audit)", f);
	if (more)
		fprintf(f, "\n%s", more);
	if (fclose(f) != 0)
		return NULL;
	return out;
}

/* ---------------------------------------------------------------------------- connections -- */

static bool web_port(uint16_t port)
{
	return port == 80 || port == 443;
}

/* Does the block give nothing but this host and port, and no more of it than would be suggested? */
static bool block_is_for(const struct pol_block *b, const struct denial *d)
{
	const struct pol_endpoint *e = &b->endpoints[0];

	if (b->nendpoints != 1 || e->nports != 1 || e->ports[0] != d->port ||
	    !endpoint_names(e, d->host))
		return false;
	if (web_port(d->port))
		return pol_inspected(e) && e->access == ACCESS_READ_ONLY && !e->path.n;
	return e->protocol == PROTO_TCP && e->tls == TLS_NATIVE;
}

/* Has the block the program itself, not what it starts, and no other? */
static bool block_has_only(const struct pol_block *b, const char *binary)
{
	const struct pol_binary *x = &b->binaries[0];

	return b->nbinaries == 1 && !x->ancestors && !x->tainted && slice_eq_str(x->path, binary);
}

static const struct slice *program(const struct denial *d)
{
	return d->script.n ? &d->script : &d->binary;
}

/* To a block of the program's own: one that is there, else a new one. */
static int add_own(struct work *w, const char *binary, const struct edit_endpoint *ep,
		   const char *comment)
{
	const struct edit_binary own = {slice_str(binary), true};
	struct edit *e = &w->s->e;

	for (size_t b = 0; b < e->policy->nblocks; b++) {
		int r = block_has_only(&e->policy->blocks[b], binary)
				? edit_add_endpoint(e, b, ep, comment)
				: -EINVAL;

		if (r != -EINVAL)
			return r;
	}
	return edit_add_block(e, ep->host, ep, &own, 1, comment);
}

static int add_connection(struct work *w, const struct group *g, const char *binary)
{
	const struct edit_binary own = {slice_str(binary), true};
	struct edit_endpoint ep = {.host = g->d->host, .port = g->d->port};
	_cleanup_free_ char *comment = NULL, *plain = evidence(g, NULL);
	struct edit *e = &w->s->e;

	if (web_port(ep.port)) {
		ep.protocol = SLICE_LIT("rest");
		ep.access = SLICE_LIT("read-only");
	}
	comment = evidence(g, ep.access.n ? "reading only: what else it needs shows as denied "
					    "requests, for another suggestion"
					  : "the bytes are not looked at");
	if (!comment || !plain)
		return -ENOMEM;
	for (size_t b = 0; b < e->policy->nblocks; b++) {
		int r = block_is_for(&e->policy->blocks[b], g->d)
				? edit_add_binary(e, b, &own, plain)
				: -EINVAL;

		if (r != -EINVAL)
			return r;
	}
	return add_own(w, binary, &ep, comment);
}

/* What no policy can name, said in the language's own words. */
static int check_host(struct work *w, const struct group *g, bool *ret_ok)
{
	char buf[HOST_MAX + 64], why[160];
	struct pol_endpoint x = {0};
	struct slice host = g->d->host;

	*ret_ok = false;
	if (host.n == 0 || host.n > HOST_MAX)
		return note_denial(w, g->d, g->count, "no host name");
	if (host_parse(host, buf, &x, why, sizeof(why)) < 0)
		return note_denial(w, g->d, g->count, "the host %s", why);
	if (x.host_kind == HOST_PATTERN)
		return note_denial(w, g->d, g->count, "the host is a pattern");
	*ret_ok = true;
	return 0;
}

/* ------------------------------------------------------------------------------- requests -- */

/* Where an endpoint of the image stands in the policy: they are numbered alike. */
static bool locate(const struct policy *p, uint32_t number, size_t *ret_block, size_t *ret_endpoint)
{
	for (size_t b = 0; b < p->nblocks; b++) {
		if (number < p->blocks[b].nendpoints) {
			*ret_block = b;
			*ret_endpoint = number;
			return true;
		}
		number -= (uint32_t)p->blocks[b].nendpoints;
	}
	return false;
}

static bool selected(const struct image *img, const struct img_endpoint *e, struct slice path)
{
	const struct osh_img_dfa *d = &view_l7(img)->dfa;

	return !(e->flags & IMG_EP_SELECTOR) ||
	       view_accept(img, d, view_walk(img, d, e->selector, path)) != 0;
}

/* The endpoint of the deciding block that a rule could be added to (*ret_rules), and one that the
 * new endpoint can be modelled on; SIZE_MAX: none. */
struct deciding {
	size_t block, rules, model;
	bool counts; /* the model's selector takes the path */
};

static bool takes_rules(const struct pol_endpoint *e, const struct denial *d)
{
	bool slash = memmem(d->path.p, d->path.n, "%2F", 3) != NULL;

	return e->access == ACCESS_NONE && e->nports == 1 && endpoint_names(e, d->host) &&
	       (!slash || e->encoded_slash);
}

static void find_deciding(const struct work *w, const struct denial *d, const struct judged *j,
			  struct deciding *ret)
{
	const struct policy *p = w->s->e.policy;
	struct view_eps eps = view_eps(&w->img, j->c.dstset);

	*ret = (struct deciding){j->r.block, SIZE_MAX, SIZE_MAX, false};
	for (uint32_t i = 0; i < eps.n; i++) {
		const struct img_endpoint *e = view_endpoint(&w->img, eps.v[i]);
		size_t block, at;
		bool counts;

		if (e->block != j->r.block || !(e->flags & IMG_EP_INSPECTED) ||
		    !locate(p, eps.v[i], &block, &at) || block != e->block)
			continue;
		counts = selected(&w->img, e, d->path);
		if (counts && ret->rules == SIZE_MAX &&
		    takes_rules(&p->blocks[block].endpoints[at], d))
			ret->rules = at;
		if (ret->model == SIZE_MAX || (counts && !ret->counts)) {
			ret->model = at;
			ret->counts = counts;
		}
	}
}

static char *net_text(const struct pol_net *n)
{
	char addr[INET6_ADDRSTRLEN], *out;

	if (!inet_ntop(n->family == 4 ? AF_INET : AF_INET6, n->addr, addr, sizeof(addr)) ||
	    asprintf(&out, "%s/%u", addr, n->prefix) < 0)
		return NULL;
	return out;
}

/* An endpoint beside the model: the same mode, selector and addresses, so that no other request is
 * judged in another way. */
static int add_beside(struct work *w, const struct group *g, const struct deciding *at,
		      const char *binary, const char *comment)
{
	struct edit *e = &w->s->e;
	const struct pol_endpoint *model = &e->policy->blocks[at->block].endpoints[at->model];
	const struct edit_rule rule = {false, g->d->method, slice_str(g->pattern)};
	struct edit_endpoint ep = {.host = g->d->host,
				   .port = g->d->port,
				   .protocol = SLICE_LIT("rest"),
				   .path = at->counts ? model->path : slice_str(g->pattern),
				   .encoded_slash = strstr(g->pattern, "%2F") != NULL,
				   .rules = &rule,
				   .nrules = 1,
				   .rules_comment = comment};
	_cleanup_free_ struct slice *ips = calloc(model->nips + 1, sizeof(*ips));
	struct arena arena = {0};
	int r = ips ? 0 : -ENOMEM;

	if (at->counts && model->enforcement == AUDIT)
		ep.enforcement = SLICE_LIT("audit");
	if (ep.path.n) { /* the model goes when the text changes */
		ep.path = slice_str(arena_copy(&arena, ep.path));
		r = ep.path.p ? r : -ENOMEM;
	}
	for (size_t i = 0; r == 0 && i < model->nips; i++) {
		_cleanup_free_ char *net = net_text(&model->ips[i]);

		ips[i] = slice_str(net ? arena_copy(&arena, slice_str(net)) : NULL);
		r = ips[i].p ? 0 : -ENOMEM;
	}
	ep.ips = ips;
	ep.nips = model->nips;
	if (r == 0)
		r = edit_add_endpoint(e, at->block, &ep, NULL);
	if (r == -EINVAL) /* a block that cannot be edited: one of the program's own */
		r = add_own(w, binary, &ep, NULL);
	arena_done(&arena);
	return r;
}

static int add_request(struct work *w, const struct group *g, const struct judged *j,
		       const char *binary)
{
	const struct edit_rule rule = {false, g->d->method, slice_str(g->pattern)};
	_cleanup_free_ char *comment = evidence(g, NULL);
	struct deciding at;
	int r = -EINVAL;

	if (!comment)
		return -ENOMEM;
	find_deciding(w, g->d, j, &at);
	if (at.rules != SIZE_MAX)
		r = edit_add_rule(&w->s->e, at.block, at.rules, &rule, comment);
	if (r == -EINVAL && at.model != SIZE_MAX)
		r = add_beside(w, g, &at, binary, comment);
	return r;
}

/* --------------------------------------------------------------------------------- groups -- */

static bool same_host(struct slice a, struct slice b)
{
	char x[HOST_MAX + 1], y[HOST_MAX + 1];
	size_t n = host_lower(a, x), m = host_lower(b, y);

	return n ? n == m && memcmp(x, y, n) == 0 : slice_eq(a, b);
}

static bool in_group(const struct group *g, const struct denial *d, const char *pattern)
{
	return g->d->request == d->request && g->d->port == d->port &&
	       slice_eq(*program(g->d), *program(d)) && slice_eq(g->d->method, d->method) &&
	       same_host(g->d->host, d->host) &&
	       (!pattern || strcmp(g->pattern, pattern) == 0);
}

static void join(struct group *g, const struct denial *d)
{
	if (d->last_ns >= g->last_ns) {
		g->d = d;
		g->last_ns = d->last_ns;
	}
	if (d->first_ns < g->first_ns)
		g->first_ns = d->first_ns;
	g->count += d->count;
	g->distinct++;
}

static int group_add(struct work *w, const struct denial *d)
{
	_cleanup_free_ char *pattern =
		d->request ? suggest_path_pattern(d->path, w->o->generalise) : NULL;

	if (d->request && !pattern)
		return -ENOMEM;
	for (size_t i = 0; i < w->ngroups; i++) {
		if (!in_group(&w->groups[i], d, pattern))
			continue;
		join(&w->groups[i], d);
		return 0;
	}
	w->groups[w->ngroups++] =
		(struct group){d,	    steal_ptr(&pattern), d->count, d->first_ns,
			       d->last_ns, 1,			 false};
	return 0;
}

/* HEAD behind the other requests, as a rule for GET covers it.  Connections last: a program joins a
 * block only when that gives it no more than it asked for, requests included. */
static int rank(const struct group *g)
{
	return !g->d->request ? 2 : slice_eq_str(g->d->method, "HEAD");
}

static int cmp_group(const void *pa, const void *pb)
{
	const struct group *a = pa, *b = pb;

	if (rank(a) != rank(b))
		return rank(a) - rank(b);
	return a->first_ns < b->first_ns ? -1 : a->first_ns > b->first_ns;
}

static int refused(struct work *w, struct group *g)
{
	g->told = true;
	return note_denial(w, g->d, g->count, "%s", w->s->e.why);
}

/* One edit, or a connection and then a rule. */
static int answer(struct work *w, struct group *g)
{
	_cleanup_free_ char *binary = suggest_binary_pattern(*program(g->d));
	struct judged j;
	bool ok;
	int r;

	g->told = !binary;
	if (!binary)
		return errno == EINVAL ? note_denial(w, g->d, g->count,
						     "its path cannot be written in a policy")
				       : -ENOMEM;
	r = check_host(w, g, &ok);
	g->told = !ok;
	for (int step = 0; r == 0 && ok && step < 2; step++) {
		judge(w, g->d, &j);
		if (j.j != J_CONNECT && j.j != J_REQUEST)
			break;
		r = j.j == J_CONNECT ? add_connection(w, g, binary)
				     : add_request(w, g, &j, binary);
		if (r == -EINVAL)
			return refused(w, g);
		w->s->edits += r == 0;
		if (r == 0)
			r = compile(w);
	}
	return r;
}

/* ------------------------------------------------------------------------------- warnings -- */

static int warnings_of(const struct work *w, struct policy_diags *ret)
{
	_cleanup_(policy_freep) struct policy *p = NULL;
	int r = policy_parse((struct slice){(const uint8_t *)w->s->e.text, w->s->e.n}, ret, &p);

	if (r == 0 && w->o->lint)
		r = w->o->lint(w->s->e.policy, &w->img, ret);
	return r;
}

/* The same but for the lines it names: those move. */
static bool same_warning(const char *a, const char *b)
{
	for (;; a++, b++) {
		if (strncmp(a, "line ", 5) == 0 && strncmp(b, "line ", 5) == 0) {
			a += 5 + strspn(a + 5, "0123456789");
			b += 5 + strspn(b + 5, "0123456789");
		}
		if (*a != *b || !*a)
			return *a == *b;
	}
}

/* Takes those out of `now` that were there before. */
static void keep_new(struct policy_diags *now, const struct policy_diags *was)
{
	_cleanup_free_ bool *used = calloc(was->n + 1, sizeof(*used));
	size_t out = 0;

	for (size_t i = 0; i < now->n; i++) {
		size_t k = 0;

		if (now->v[i].severity != POLICY_WARNING) {
			free(now->v[i].message);
			continue;
		}
		while (used && k < was->n &&
		       (used[k] || !same_warning(was->v[k].message, now->v[i].message)))
			k++;
		if (used && k < was->n) {
			used[k] = true;
			free(now->v[i].message);
		} else {
			now->v[out++] = now->v[i];
		}
	}
	now->n = now->warnings = out;
}

/* Says at each new warning's place that it is there; from below, so that lines above stay. */
static int mark_warnings(struct work *w, const struct policy_diags *was)
{
	_cleanup_(policy_diags_done) struct policy_diags now = {0};
	int r = warnings_of(w, &now), above = 0;

	keep_new(&now, was);
	for (size_t i = now.n; r == 0 && i-- > 0;) {
		const char *m = strstr(now.v[i].message, "line ") ? "see its output" : NULL;
		_cleanup_free_ char *text = NULL;

		if (now.v[i].line <= 0 || now.v[i].line == above)
			continue;
		above = now.v[i].line;
		if (asprintf(&text, "policy check warns here: %s", m ? m : now.v[i].message) < 0) {
			text = NULL;
			return -ENOMEM;
		}
		r = edit_add_comment(&w->s->e, now.v[i].line, text);
		r = r == -EINVAL ? 0 : r; /* no place for a comment: said on the side only */
	}
	if (r == 0 && now.n)
		r = compile(w);
	if (r == 0)
		r = warnings_of(w, &w->s->warnings);
	keep_new(&w->s->warnings, was);
	return r;
}

/* -------------------------------------------------------------------------------- together -- */

void suggestion_done(struct suggestion *s)
{
	edit_done(&s->e);
	for (size_t i = 0; i < s->nnotes; i++)
		free(s->notes[i]);
	free(s->notes);
	policy_diags_done(&s->warnings);
	*s = (struct suggestion){0};
}

/* Sorts a denial: told why not, allowed by now, or to be answered (*ret_open). */
static int take(struct work *w, const struct denial *d, bool *ret_open)
{
	struct judged j;

	*ret_open = false;
	if (d->why_not)
		return note_denial(w, d, d->count, "%s", d->why_not);
	judge(w, d, &j);
	if (j.j == J_ALLOWED) {
		w->s->already++;
		return 0;
	}
	if (j.j == J_ODD)
		return note_denial(w, d, d->count, "its path is not in canonical form");
	if (j.j == J_DENY_RULE)
		return note_denial(w, d, d->count,
				   "a deny rule forbids it (line %u), and deny rules are never undone",
				   j.r.rule_line);
	*ret_open = true;
	return group_add(w, d);
}

static bool told(const struct work *w, const struct denial *d)
{
	for (size_t i = 0; i < w->ngroups; i++)
		if (w->groups[i].told && in_group(&w->groups[i], d, NULL))
			return true;
	return false;
}

/* Every denial is decided once more: what is said to be covered is. */
static int verify(struct work *w, const struct denial *v, size_t n, const bool *open)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct judged j;

		if (!open[i])
			continue;
		judge(w, &v[i], &j);
		if (j.j == J_ALLOWED)
			w->s->allowed++;
		else if (w->s->edits && !told(w, &v[i]))
			r = note_denial(w, &v[i], v[i].count, "the suggestion does not cover it");
	}
	return r;
}

static int run(struct work *w, const struct denial *v, size_t n)
{
	_cleanup_(policy_diags_done) struct policy_diags was = {0};
	_cleanup_free_ bool *open = calloc(n + 1, sizeof(*open));
	int r;

	w->groups = calloc(n + 1, sizeof(*w->groups));
	r = w->groups && open ? compile(w) : -ENOMEM;
	if (r == 0)
		r = warnings_of(w, &was);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = take(w, &v[i], &open[i]);
	if (w->ngroups)
		qsort(w->groups, w->ngroups, sizeof(*w->groups), cmp_group);
	for (size_t i = 0; r == 0 && i < w->ngroups; i++)
		r = answer(w, &w->groups[i]);
	if (r == 0 && w->s->edits)
		r = mark_warnings(w, &was);
	return r < 0 ? r : verify(w, v, n, open);
}

int suggest(struct slice text, const struct denial *v, size_t n, const struct suggest_options *o,
	    struct policy_diags *diags, struct suggestion *ret)
{
	struct suggestion s = {0};
	struct work w = {.o = o, .s = &s};
	int r = edit_open(text, diags, &s.e);

	if (r == 0)
		r = run(&w, v, n);
	for (size_t i = 0; i < w.ngroups; i++)
		free(w.groups[i].pattern);
	free(w.groups);
	free(w.bytes);
	if (r < 0)
		suggestion_done(&s);
	else
		*ret = s;
	return r;
}
