/* SPDX-License-Identifier: Apache-2.0 */
/* suggest_log.c - a line of the log to a denial; equal ones are counted. */
#include "user/suggest_log.h"

#include "user/logview.h"
#include "user/safetext.h"

#include <jansson.h>

#define ANCESTORS_MAX 64
#define TARGET_CUT 4096 /* WIRE_TARGET_MAX: as long as this, the rest may be missing */
#define METHOD_CUT 32

/* Strings of a line as the bytes they stand for. */
struct fields {
	json_t *o;
	bool full; /* more than a line of ours has */
	size_t n;
	struct slice anc[ANCESTORS_MAX];
	char buf[65536];
};

static struct slice get(struct fields *f, const char *key)
{
	const json_t *v = json_object_get(f->o, key);
	struct slice s = {NULL, 0};
	size_t n, o = 0;
	char *p;

	if (!json_is_string(v))
		return s;
	n = json_string_length(v);
	if (n >= sizeof(f->buf) - f->n) {
		f->full = true;
		return s;
	}
	p = f->buf + f->n;
	memcpy(p, json_string_value(v), n);
	for (size_t i = 0; i < n;) {
		uint8_t byte;
		size_t k = safetext_unescape((struct slice){(uint8_t *)p + i, n - i}, &byte);

		p[o++] = k ? (char)byte : p[i];
		i += k ? k : 1;
	}
	p[o] = 0;
	f->n += o + 1;
	return (struct slice){(const uint8_t *)p, o};
}

static bool starts(struct slice s, const char *with)
{
	size_t n = strlen(with);

	return s.n >= n && memcmp(s.p, with, n) == 0;
}

static bool ends(struct slice s, const char *with)
{
	size_t n = strlen(with);

	return s.n >= n && memcmp(s.p + s.n - n, with, n) == 0;
}

/* Reasons that an addition to the policy can answer. */
static bool is_miss(struct slice reason)
{
	return slice_eq_str(reason, "no matching network policy") ||
	       starts(reason, "binary not in policy ");
}

static const char *why(struct slice reason)
{
	return reason.n ? (const char *)reason.p : "no reason given";
}

/* Comma-separated paths; a path with a comma in it falls apart, and none of its parts is ever
 * suggested: they only help to find the endpoint that decided. */
static void read_ancestors(struct fields *f, struct denial *d)
{
	struct slice s = get(f, "ancestors");

	for (size_t i = 0, n; i < s.n && d->nanc < ANCESTORS_MAX; i += n + 1) {
		for (n = 0; i + n < s.n && s.p[i + n] != ','; n++)
			;
		if (n && s.p[i] == '/')
			f->anc[d->nanc++] = (struct slice){s.p + i, n};
	}
	d->anc = f->anc;
}

/* false: nothing was denied. */
static bool read_connect(struct fields *f, struct denial *d)
{
	struct slice reason = get(f, "deny_reason");

	if (!slice_eq_str(get(f, "action"), "deny"))
		return false;
	if (!is_miss(reason))
		d->why_not = why(reason);
	return true;
}

static bool read_request(struct fields *f, struct denial *d)
{
	struct slice decision = get(f, "l7_decision"), reason = get(f, "l7_deny_reason");

	d->audit = slice_eq_str(decision, "audit");
	if (!d->audit && !slice_eq_str(decision, "deny"))
		return false;
	d->method = get(f, "l7_action");
	d->path = get(f, "l7_target");
	d->request = d->method.n > 0;
	if (!d->request && !is_miss(reason))
		d->why_not = why(reason);
	else if (d->request && !ends(reason, " not permitted by policy") &&
		 !ends(reason, " blocked by deny rule"))
		d->why_not = why(reason);
	else if (d->request && (d->path.n >= TARGET_CUT || d->method.n >= METHOD_CUT))
		d->why_not = "its path or method may be cut in the log";
	return true;
}

static bool read_where(struct fields *f, struct denial *d)
{
	json_int_t port = json_integer_value(json_object_get(f->o, "dst_port"));

	d->host = get(f, "dst_host");
	d->binary = get(f, "binary");
	d->script = get(f, "script");
	if (port < 0 || port > 65535)
		return false;
	d->port = (uint16_t)port;
	if (!d->why_not && (!d->host.n || !port))
		d->why_not = "no destination";
	if (!d->why_not && (!d->binary.n || d->binary.p[0] != '/'))
		d->why_not = "no identity";
	if (!d->why_not && d->script.n && d->script.p[0] != '/')
		d->why_not = "no identity";
	return !d->request || (d->path.n > 0 && d->path.p[0] == '/') || d->why_not;
}

/* ------------------------------------------------------------------------------- counting -- */

static uint64_t mix(uint64_t h, struct slice s)
{
	return hash_bytes(h, s.p, s.n);
}

static uint64_t denial_hash(const struct denial *d)
{
	uint64_t h = mix(mix((uint64_t)d->port << 1 | d->request, d->host), d->binary);

	h = mix(mix(mix(h, d->script), d->method), d->path);
	return mix(h, slice_str(d->why_not));
}

static bool same_ancestors(const struct denial *a, const struct denial *b)
{
	if (a->nanc != b->nanc)
		return false;
	for (size_t i = 0; i < a->nanc; i++)
		if (!slice_eq(a->anc[i], b->anc[i]))
			return false;
	return true;
}

/* Against the one that is entered at the end. */
static bool same_denial(const void *ctx, uint32_t i)
{
	const struct denials *all = ctx;
	const struct denial *a = &all->v[i], *b = &all->v[all->n];

	return a->request == b->request && a->port == b->port && a->audit == b->audit &&
	       slice_eq(a->host, b->host) && slice_eq(a->binary, b->binary) &&
	       slice_eq(a->script, b->script) && slice_eq(a->method, b->method) &&
	       slice_eq(a->path, b->path) &&
	       slice_eq(slice_str(a->why_not), slice_str(b->why_not)) && same_ancestors(a, b);
}

/* The strings of a line live as long as it does; those of a denial longer. */
static int keep(struct denials *all, struct denial *d)
{
	struct slice *const strings[] = {&d->host, &d->binary, &d->script, &d->method, &d->path};
	struct slice *anc = arena_alloc(&all->arena, (d->nanc + 1) * sizeof(*anc));
	bool oom = !anc;

	for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
		strings[i]->p = (const uint8_t *)arena_copy(&all->arena, *strings[i]);
		oom |= !strings[i]->p;
	}
	for (size_t i = 0; !oom && i < d->nanc; i++) {
		anc[i] = d->anc[i];
		anc[i].p = (const uint8_t *)arena_copy(&all->arena, anc[i]);
		oom |= !anc[i].p;
	}
	if (d->why_not) {
		d->why_not = arena_copy(&all->arena, slice_str(d->why_not));
		oom |= !d->why_not;
	}
	d->anc = anc;
	return oom ? -ENOMEM : 0;
}

static int count(struct denials *all, const struct denial *d)
{
	struct denial *e;
	uint32_t at = 0;
	int r;

	r = array_grow(&all->v, &all->cap, all->n + 1, sizeof(*all->v));
	if (r < 0)
		return r;
	all->v[all->n] = *d;
	r = hmap_intern(&all->map, denial_hash(d), same_denial, all, (uint32_t)all->n, &at);
	if (r < 0)
		return r;
	if (at == DENIALS_MAX) { /* one too many, here or before */
		all->dropped++;
		return 0;
	}
	if (r == 0)
		return keep(all, &all->v[all->n++]);
	e = &all->v[at];
	e->count++;
	if (d->first_ns < e->first_ns)
		e->first_ns = d->first_ns;
	if (d->last_ns > e->last_ns)
		e->last_ns = d->last_ns;
	return 0;
}

int denials_add_line(struct denials *all, struct slice line)
{
	struct denial d = {.count = 1};
	struct fields f;
	enum log_level level;
	struct slice kind;
	bool denied;
	int r = 0;

	if (log_line_head(line, &d.first_ns, &level) < 0) {
		all->odd++;
		return 0;
	}
	if (level < LOG_L_WARN)
		return 0;
	f.n = 0;
	f.full = false;
	f.o = json_loadb((const char *)line.p, line.n, JSON_REJECT_DUPLICATES, NULL);
	if (!f.o) {
		all->odd++;
		return 0;
	}
	d.last_ns = d.first_ns;
	kind = get(&f, "kind");
	denied = slice_eq_str(kind, "request") ? read_request(&f, &d) : read_connect(&f, &d);
	if (denied && read_where(&f, &d))
		read_ancestors(&f, &d);
	else
		f.full |= denied;
	if (f.full)
		all->odd++;
	else if (denied)
		r = count(all, &d);
	json_decref(f.o);
	return r;
}

void denials_done(struct denials *d)
{
	free(d->v);
	hmap_done(&d->map);
	arena_done(&d->arena);
	*d = (struct denials){0};
}
