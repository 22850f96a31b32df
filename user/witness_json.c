/* SPDX-License-Identifier: Apache-2.0 */
/* witness_json.c - witnesses and what decided them, as prove and diff print them. */
#include "user/witness_json.h"

#include "user/safetext.h"

json_t *json_safe(const char *s)
{
	_cleanup_free_ char *safe = s ? safetext_dup(slice_str(s)) : NULL;

	return safe ? json_string(safe) : json_null();
}

const char *outcome_name(enum outcome o)
{
	static const char *const names[] = {
		[OUT_NO_CONNECT] = "no_connect", [OUT_NATIVE] = "native",
		[OUT_RELAYED] = "relayed",	 [OUT_ALLOW] = "allow",
		[OUT_AUDIT] = "audit",		 [OUT_MISS] = "miss",
		[OUT_DENY_RULE] = "deny_rule",	 [OUT_TARGET] = "refused_target",
	};

	return names[o];
}

static json_t *ancestors_json(const struct witness *w)
{
	json_t *a = json_array();

	for (size_t i = 0; w->ancestors && w->ancestors[i]; i++)
		json_array_append_new(a, json_safe(w->ancestors[i]));
	return a;
}

json_t *witness_json(const struct witness *w)
{
	json_t *o = json_object();

	json_object_set_new(o, "binary", *w->binary ? json_safe(w->binary) : json_null());
	json_object_set_new(o, "script", json_safe(w->script));
	json_object_set_new(o, "ancestors", ancestors_json(w));
	json_object_set_new(o, "tainted", json_boolean(w->tainted));
	json_object_set_new(o, "host", json_safe(w->host));
	json_object_set_new(o, "port", json_integer(w->port));
	json_object_set_new(o, "inspected", json_boolean(w->inspected));
	json_object_set_new(o, "method", json_safe(w->method));
	json_object_set_new(o, "path", json_safe(w->path));
	json_object_set_new(o, "query", json_safe(w->query));
	if (w->address)
		json_object_set_new(o, "address", json_safe(w->address));
	return o;
}

static const char *block_name(const struct image *img, const struct decided *d)
{
	return d->block == ~0u ? NULL : image_block_name(img, d->block);
}

json_t *decided_json(const struct image *img, const struct decided *d)
{
	json_t *o = json_object();

	json_object_set_new(o, "outcome", json_string(outcome_name(d->outcome)));
	json_object_set_new(o, "block", json_safe(block_name(img, d)));
	json_object_set_new(o, "line", d->line ? json_integer(d->line) : json_null());
	json_object_set_new(o, "rule", *d->rule ? json_safe(d->rule) : json_null());
	return o;
}

char *decided_words(const struct image *img, const char *file, const struct decided *d)
{
	const char *block = block_name(img, d);
	_cleanup_free_ char *text = NULL;
	int r;

	if (d->line)
		r = asprintf(&text, "%s:%u%s%s (block %s)", file, d->line, *d->rule ? ": " : "",
			     d->rule, block ? block : "?");
	else
		r = asprintf(&text, "%s (block %s)", file, block ? block : "?");
	if (r < 0) {
		text = NULL;
		return NULL;
	}
	return safetext_dup(slice_str(text));
}

void witness_print(const char *indent, const struct witness *w, FILE *out)
{
	_cleanup_free_ char *words = witness_words(w);

	fputs(indent, out);
	safetext_print(slice_str(words ? words : "(out of memory)"), out);
	fputc('\n', out);
}
