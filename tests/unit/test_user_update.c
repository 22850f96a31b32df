/* SPDX-License-Identifier: Apache-2.0 */
/* test_user_update.c - `policy update`: its words, where they go, what it refuses; covers.h against the
 * compiled decision. */
#include "policy_fixture.h"

#include "policy/covers.h"
#include "user/update_ops.h"

#define HEAD "version: 1\nnetwork_policies:\n"
#define API                                                                                        \
	"  api:\n    endpoints:\n      - {host: api.x.com, port: 443, protocol: rest, rules: "        \
	"[{allow: {method: GET, path: /a}}]}\n    binaries: [{path: /c}]\n"

struct word {
	enum update_kind kind;
	const char *text;
};

/* Applies up to n words with binary /c.  Returns the error (malloced) or NULL; the text in *ret. */
static char *apply(const char *text, const struct word *w, size_t n, char **ret, char **ret_said)
{
	const struct edit_binary binaries[] = {{SLICE_LIT("/c"), false}};
	struct policy_diags d = {0};
	struct update_op ops[8];
	char *error = NULL, *said = NULL;
	size_t said_n, changes;
	struct edit e;
	FILE *f;

	for (size_t i = 0; i < n; i++)
		if (update_op_parse(w[i].kind, w[i].text, &ops[i], &error) < 0)
			return error;
	assert_int_equal(edit_open(slice_str(text), &d, &e), 0);
	policy_diags_done(&d);
	f = open_memstream(&said, &said_n);
	assert_non_null(f);
	(void)update_apply(&e, ops, n, binaries, 1, f, &changes, &error);
	fclose(f);
	*ret = strdup(e.text);
	if (ret_said)
		*ret_said = said;
	else
		free(said);
	edit_done(&e);
	return error;
}

static void becomes(const char *text, const struct word *w, size_t n, const char *want)
{
	char *got = NULL;
	char *error = apply(text, w, n, &got, NULL);

	if (error)
		fail_msg("refused: %s", error);
	assert_string_equal(got, want);
	free(got);
}

static void fails(const char *text, enum update_kind kind, const char *word, const char *words)
{
	const struct word w = {kind, word};
	char *got = NULL;
	char *error = apply(text, &w, 1, &got, NULL);

	if (!error)
		fail_msg("'%s' was taken", word);
	if (!strstr(error, words))
		fail_msg("'%s' lacks '%s'", error, words);
	free(error);
	free(got);
}

static void test_words(void **state)
{
	(void)state;
	fails(HEAD, UPDATE_ADD_ENDPOINT, "api.x.com", "the port is missing");
	fails(HEAD, UPDATE_ADD_ENDPOINT, ":443", "the host is missing");
	fails(HEAD, UPDATE_ADD_ENDPOINT, "a.b:x", "'x' is no port");
	fails(HEAD, UPDATE_ADD_ENDPOINT, "a.b:0", "1 to 65535");
	fails(HEAD, UPDATE_ADD_ENDPOINT, "a.b:70000", "1 to 65535");
	fails(HEAD, UPDATE_ADD_ENDPOINT, "2606:4700::1:443", "brackets");
	fails(HEAD, UPDATE_ADD_ENDPOINT, "[2606:4700::1", "not closed");
	fails(HEAD, UPDATE_ADD_ENDPOINT, "[2606:4700::1]x:1", "follow the ']'");
	fails(HEAD, UPDATE_ADD_ENDPOINT, "a.b:1:full:rest:audit:x", "too many words");
	fails(HEAD, UPDATE_ADD_ENDPOINT, "a.b:1:readonly", "did you mean 'read-only'");
	fails(HEAD, UPDATE_ADD_ENDPOINT, "*.com:1", "top-level");
	fails(HEAD, UPDATE_REMOVE_ENDPOINT, "a.b:1:full", "too many words");
	fails(HEAD, UPDATE_ADD_ALLOW, "a.b:1:GET", "the path is missing");
	fails(HEAD, UPDATE_ADD_ALLOW, "a.b:1", "the method is missing");
}

static void test_add_endpoint(void **state)
{
	const struct word native = {UPDATE_ADD_ENDPOINT, "b.c:22"};
	const struct word rest = {UPDATE_ADD_ENDPOINT, "[2606:4700::1]:443:read-only"};
	const struct word ruled[] = {{UPDATE_ADD_ENDPOINT, "b.c:443::rest"},
				     {UPDATE_ADD_ALLOW, "b.c:443:GET:/v1/a:b"},
				     {UPDATE_ADD_DENY, "b.c:443:*:/v1/z"}};

	(void)state;
	becomes(HEAD API, &native, 1,
		HEAD "  api:\n    endpoints:\n      - {host: api.x.com, port: 443, protocol: rest, "
		     "rules: [{allow: {method: GET, path: /a}}]}\n      - {host: b.c, port: 22}\n    "
		     "binaries: [{path: /c}]\n");
	becomes(HEAD "  o:\n    endpoints: [{host: o.o, port: 1}]\n    binaries: [{path: /c}, "
		     "{path: /d}]\n",
		&rest, 1,
		HEAD "  o:\n    endpoints: [{host: o.o, port: 1}]\n    binaries: [{path: /c}, "
		     "{path: /d}]\n  host_2606_4700_1:\n    endpoints:\n      - {host: "
		     "\"[2606:4700::1]\", port: 443, protocol: rest, access: read-only}\n    "
		     "binaries: [{path: /c}]\n");
	becomes("version: 1\n", ruled, 3,
		HEAD "  b_c:\n    endpoints:\n      - host: b.c\n        port: 443\n        "
		     "protocol: rest\n        rules:\n          - allow: {method: GET, path: "
		     "\"/v1/a:b\"}\n        deny_rules:\n          - {path: /v1/z}\n    binaries: "
		     "[{path: /c}]\n");
}

static void test_there_already(void **state)
{
	const char *text = HEAD "  x:\n    endpoints: [{host: b.c, port: 22}, {host: d.e, port: 1, "
				"protocol: rest, access: full}]\n    binaries: [{path: /c}]\n";
	const struct word w[] = {{UPDATE_ADD_ENDPOINT, "B.C:22"},
				 {UPDATE_ADD_ENDPOINT, "d.e:1:full"}};

	(void)state;
	becomes(text, w, 2, text);
}

static void test_rules(void **state)
{
	const struct word w[] = {{UPDATE_ADD_ALLOW, "api.x.com:443:POST:/b"},
				 {UPDATE_ADD_DENY, "api.x.com:443:DELETE:**"},
				 {UPDATE_REMOVE_RULE, "api.x.com:443:GET:/a"}};
	const struct word gone = {UPDATE_REMOVE_ENDPOINT, "api.x.com:443"};

	(void)state;
	becomes(HEAD API, w, 3,
		HEAD "  api:\n    endpoints:\n      - {host: api.x.com, port: 443, protocol: rest, "
		     "rules: [{allow: {method: POST, path: /b}}], deny_rules: [{method: DELETE, "
		     "path: \"**\"}]}\n    binaries: [{path: /c}]\n");
	becomes(HEAD API, &gone, 1, HEAD);
}

#define TWO                                                                                        \
	HEAD "  a:\n    endpoints:\n      - {host: a.b, port: 1, protocol: rest, access: read-only}\n" \
	     "      - {host: a.b, port: 1, protocol: rest, rules: [{allow: {method: PUT}}]}\n"     \
	     "      - {host: l.l, port: 1}\n      - {host: \"*.x.com\", port: 443}\n"              \
	     "      - {host: p.p, ports: [1, 2], protocol: rest, rules: [{allow: {method: PUT}}]}\n" \
	     "    binaries: [{path: /c}]\n"

static void test_which(void **state)
{
	const struct word beside = {UPDATE_ADD_ALLOW, "a.b:1:POST:/b"};
	char *got = NULL, *error = apply(TWO, &beside, 1, &got, NULL);

	(void)state;
	assert_null(error); /* of two in one block the one with rules */
	assert_non_null(strstr(got, "[{allow: {method: PUT}}, {allow: {method: POST, path: /b}}]}\n"
				    "      - {host: l.l"));
	free(got);
	fails(TWO, UPDATE_REMOVE_ENDPOINT, "a.b:1", "at lines 5, 6");
	fails(TWO, UPDATE_ADD_ALLOW, "l.l:1:GET:/", "not inspected");
	fails(TWO, UPDATE_ADD_ALLOW, "l.l:2:GET:/", "line 7 has this host, but not on port 2");
	fails(TWO, UPDATE_ADD_ALLOW, "y.x.com:443:GET:/", "'*.x.com' (line 8) covers it");
	fails(TWO, UPDATE_ADD_ALLOW, "p.q:1:GET:/", "did you mean 'p.p'");
	fails(TWO, UPDATE_ADD_ALLOW, "p.p:1:GET:/", "other ports too");
	fails(TWO, UPDATE_REMOVE_RULE, "a.b:1:GET:/", "no rule");
	fails(TWO, UPDATE_REMOVE_RULE, "a.b:1:PUT:**", "only allow rule");
}

/* ------------------------------------------------------------------------------- covers -- */

static void test_covers(void **state)
{
	static const char *const hosts[] = {"*",	 "**",	   "*.x.y",    "**.x.y", "a*.x.y",
					    "*a.x.y",	 "a*b*c.y", "*.*.y",   "**.*.y", "x.y",
					    "10.1.2.3",	 "*-*.x.y", "**.a*.y", "a.*.c",	 "2606:4700::1"};
	static const char *const names[] = {"x",     "x.y",    "a.x.y",	 "b.a.x.y", "aa.x.y",
					    "abc.y", "axbxc.y", "ac.y",	 "a.b.y",   "a-b.x.y",
					    "-.x.y", "a.b.c",  "a.b.c.d", "10.1.2.3", "::ffff:10.1.2.3",
					    "A.X.Y.", "1.2.3.4", "[2606:4700::1]", "c.a.y", "abxc.y"};

	(void)state;
	for (size_t h = 0; h < ARRAY_LEN(hosts); h++) {
		const struct ask ask = {"/a", NULL, 443, NULL, false};
		struct fixture_image img;
		struct policy *p;
		char text[300];

		snprintf(text, sizeof(text),
			 HEAD "  a: {endpoints: [{host: \"%s\", port: 443, allowed_ips: "
			      "[1.2.3.0/24]}], binaries: [{path: /a}]}\n",
			 hosts[h]);
		p = fixture_policy(slice_str(text));
		fixture_compile(p, &img);
		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			struct ask a = ask;
			struct connect_decision c;
			struct dest d;

			a.host = names[i];
			fixture_connect(&img.img, &a, &c);
			dest_from_text(&d, slice_str(names[i]), 443);
			if (endpoint_covers(&p->blocks[0].endpoints[0], &d) !=
			    (c.verdict != CONNECT_DENY))
				fail_msg("%s and %s", hosts[h], names[i]);
		}
		fixture_image_done(&img);
		policy_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),  cmocka_unit_test(test_add_endpoint),
		cmocka_unit_test(test_there_already), cmocka_unit_test(test_rules),
		cmocka_unit_test(test_which),  cmocka_unit_test(test_covers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
