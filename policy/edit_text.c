/* SPDX-License-Identifier: Apache-2.0 */
/* edit_text.c - pieces of a policy as YAML that any reader takes the same way. */
#include "policy/edit_parts.h"
#include "policy/utf8.h"
#include "policy/yaml_tree.h"

static bool plain_byte(uint8_t c, bool first)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/')
		return true;
	return !first && c && strchr("._-", c);
}

/* Readers of YAML 1.1 take more words for truth values than we do. */
static bool old_word(struct slice s)
{
	static const char *const words[] = {"y", "Y", "yes", "Yes", "YES", "n",	  "N",	 "no",
					    "No", "NO", "on", "On", "ON", "off", "Off", "OFF"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (slice_eq_str(s, words[i]))
			return true;
	return false;
}

static bool can_be_plain(struct slice s)
{
	const struct ynode as_read = {.kind = Y_SCALAR, .plain = true, .s = s};

	for (size_t i = 0; i < s.n; i++)
		if (!plain_byte(s.p[i], i == 0))
			return false;
	return s.n && ynode_type(&as_read) == YT_STR && !old_word(s);
}

void edit_put_scalar(FILE *f, struct slice s)
{
	uint32_t c;

	if (can_be_plain(s)) {
		fwrite(s.p, 1, s.n, f);
		return;
	}
	fputc('"', f);
	for (size_t i = 0, k; i < s.n; i += k) {
		k = utf8_decode(s.p + i, s.n - i, &c);
		if (!k) { /* not text: no policy takes it, and the parser says so */
			fprintf(f, "\\x%02X", s.p[i]);
			k = 1;
		} else if (c == '"' || c == '\\') {
			fprintf(f, "\\%c", (int)c);
		} else if (c >= 0x20 && c < 0x7f) {
			fputc((int)c, f);
		} else {
			fprintf(f, c < 0x100 ? "\\x%02X" : c < 0x10000 ? "\\u%04X" : "\\U%08X", c);
		}
	}
	fputc('"', f);
}

void edit_put_rule(FILE *f, const struct edit_rule *r, bool line)
{
	fputs(r->deny ? "{" : line ? "allow: {" : "{allow: {", f);
	if (r->method.n || !r->deny || !r->path.n) {
		fputs("method: ", f);
		edit_put_scalar(f, r->method.n ? r->method : SLICE_LIT("*"));
	}
	if (r->path.n) {
		fputs(r->method.n || !r->deny ? ", path: " : "path: ", f);
		edit_put_scalar(f, r->path);
	}
	fputs(r->deny || line ? "}" : "}}", f);
}

void edit_put_binary(FILE *f, const struct edit_binary *b)
{
	fputs("{path: ", f);
	edit_put_scalar(f, b->path);
	fputs(b->itself ? ", ancestors: false}" : "}", f);
}

/* Every field but the rules, `between` them. */
static void put_fields(FILE *f, const struct edit_endpoint *ep, const char *between)
{
	const struct {
		const char *name;
		struct slice s;
	} words[] = {{"protocol", ep->protocol},
		     {"enforcement", ep->enforcement},
		     {"access", ep->access},
		     {"path", ep->path}};

	if (ep->host.n) {
		fputs("host: ", f);
		edit_put_scalar(f, ep->host);
		fputs(between, f);
	}
	fprintf(f, "port: %u", ep->port);
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (!words[i].s.n)
			continue;
		fprintf(f, "%s%s: ", between, words[i].name);
		edit_put_scalar(f, words[i].s);
	}
	for (size_t i = 0; i < ep->nips; i++) {
		fprintf(f, "%s", i ? ", " : between);
		fputs(i ? "" : "allowed_ips: [", f);
		edit_put_scalar(f, ep->ips[i]);
	}
	if (ep->nips)
		fputc(']', f);
	if (ep->encoded_slash)
		fprintf(f, "%sallow_encoded_slash: true", between);
}

static size_t count(const struct edit_endpoint *ep, bool deny)
{
	size_t n = 0;

	for (size_t i = 0; i < ep->nrules; i++)
		n += ep->rules[i].deny == deny;
	return n;
}

void edit_put_endpoint(FILE *f, const struct edit_endpoint *ep)
{
	fputc('{', f);
	put_fields(f, ep, ", ");
	for (int deny = 0; deny < 2; deny++) {
		size_t left = count(ep, deny);

		if (left)
			fputs(deny ? ", deny_rules: [" : ", rules: [", f);
		for (size_t i = 0; left && i < ep->nrules; i++) {
			if (ep->rules[i].deny != (deny != 0))
				continue;
			edit_put_rule(f, &ep->rules[i], false);
			fputs(--left ? ", " : "]", f);
		}
	}
	fputc('}', f);
}

static void put_lines(FILE *f, const char *indent, const char *comment)
{
	for (const char *p = comment; p && *p;) {
		size_t n = strcspn(p, "\n");

		fprintf(f, "%s# ", indent);
		for (size_t i = 0; i < n; i++)
			fputc(p[i] >= 0x20 && p[i] < 0x7f ? p[i] : '?', f);
		fputc('\n', f);
		p += n + (p[n] != 0);
	}
}

void edit_put_comment(FILE *f, const char *comment)
{
	put_lines(f, "", comment);
}

void edit_put_endpoint_lines(FILE *f, const struct edit_endpoint *ep)
{
	const char *comment = ep->rules_comment;

	fputs("- ", f);
	if (!ep->nrules) {
		edit_put_endpoint(f, ep);
		return;
	}
	put_fields(f, ep, "\n  ");
	for (int deny = 0; deny < 2; deny++) {
		if (count(ep, deny))
			fputs(deny ? "\n  deny_rules:" : "\n  rules:", f);
		for (size_t i = 0; i < ep->nrules; i++) {
			if (ep->rules[i].deny != (deny != 0))
				continue;
			fputc('\n', f);
			put_lines(f, "    ", comment);
			comment = NULL;
			fputs("    - ", f);
			edit_put_rule(f, &ep->rules[i], true);
		}
	}
}
