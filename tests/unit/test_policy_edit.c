/* SPDX-License-Identifier: Apache-2.0 */
/* test_policy_edit.c - edits of a policy's text: the bytes that come out, in every style of YAML. */
#include "policy_fixture.h"

#include "policy/edit.h"

#define S(x) slice_str(x)
#define EP(h, p) {.host = SLICE_LIT(h), .port = p}
#define HEAD "version: 1\nnetwork_policies:\n"

static struct edit open_text(const char *text)
{
	struct policy_diags d = {0};
	struct edit e = {0};
	int r = edit_open(S(text), &d, &e);

	if (r < 0)
		policy_diags_print(&d, "text", stderr);
	assert_int_equal(r, 0);
	policy_diags_done(&d);
	return e;
}

/* The text, whether the last edit went through, and the end of the edit. */
static void gives(struct edit *e, int r, const char *want)
{
	if (r < 0)
		print_error("refused: %s\n", e->why);
	assert_int_equal(r, 0);
	assert_string_equal(e->text, want);
	edit_done(e);
}

/* Refused with a reason that has these words, and nothing changed. */
static void refused(struct edit *e, int r, const char *text, const char *words)
{
	assert_int_equal(r, -EINVAL);
	if (!strstr(e->why, words))
		fail_msg("'%s' lacks '%s'", e->why, words);
	assert_string_equal(e->text, text);
	edit_done(e);
}

static const struct edit_binary curl[] = {{SLICE_LIT("/usr/bin/curl"), false}};

static void block_to(const char *text, const char *want)
{
	const struct edit_endpoint ep = {.host = SLICE_LIT("api.github.com"),
					 .port = 443,
					 .protocol = SLICE_LIT("rest"),
					 .access = SLICE_LIT("read-only")};
	struct edit e = open_text(text);

	gives(&e, edit_add_block(&e, ep.host, &ep, curl, 1, NULL), want);
}

#define NEW_BLOCK(nl)                                                                              \
	"  api_github_com:" nl "    endpoints:" nl                                                 \
	"      - {host: api.github.com, port: 443, protocol: rest, access: read-only}" nl          \
	"    binaries: [{path: /usr/bin/curl}]"
#define NEW_FLOW                                                                                   \
	"api_github_com: {endpoints: [{host: api.github.com, port: 443, protocol: rest, access: "  \
	"read-only}], binaries: [{path: /usr/bin/curl}]}"
#define OLD_BLOCK                                                                                  \
	"  a:\n    endpoints: [{host: a.b, port: 1}]\n    binaries: [{path: /a}]"

static void test_add_block(void **state)
{
	(void)state;
	block_to("version: 1\n", "version: 1\nnetwork_policies:\n" NEW_BLOCK("\n") "\n");
	block_to("version: 1", "version: 1\nnetwork_policies:\n" NEW_BLOCK("\n"));
	block_to("version: 1 # one\n\n# end\n",
		 "version: 1 # one\nnetwork_policies:\n" NEW_BLOCK("\n") "\n\n# end\n");
	block_to("version: 1\r\n", "version: 1\r\nnetwork_policies:\r\n" NEW_BLOCK("\r\n") "\r\n");
	block_to(HEAD, HEAD NEW_BLOCK("\n") "\n");
	block_to("version: 1\nnetwork_policies: {}   # none\nprocess: {run_as_user: u}\n",
		 "version: 1\nnetwork_policies:    # none\n" NEW_BLOCK(
			 "\n") "\nprocess: {run_as_user: u}\n");
	block_to("version: 1\nnetwork_policies: null\n",
		 "version: 1\nnetwork_policies: \n" NEW_BLOCK("\n") "\n");
	block_to("version: 1\nnetwork_policies: ~ # x\n",
		 "version: 1\nnetwork_policies:  # x\n" NEW_BLOCK("\n") "\n");
	block_to(HEAD OLD_BLOCK " # why\n# more\nprocess: {run_as_user: u}\n",
		 HEAD OLD_BLOCK " # why\n" NEW_BLOCK("\n") "\n# more\nprocess: {run_as_user: u}\n");
	block_to("{version: 1}", "{version: 1, network_policies: {" NEW_FLOW "}}");
	block_to("{version: 1, network_policies: null}",
		 "{version: 1, network_policies: {" NEW_FLOW "}}");
	block_to("{\"version\": 1, \"network_policies\": {}}\n",
		 "{\"version\": 1, \"network_policies\": {" NEW_FLOW "}}\n");
	block_to("version: 1\nnetwork_policies: { # nothing\n }\n",
		 "version: 1\nnetwork_policies: { # nothing\n " NEW_FLOW "}\n");
	block_to("--- \nversion: 1\n...\n", "--- \nversion: 1\nnetwork_policies:\n" NEW_BLOCK(
						    "\n") "\n...\n");
	block_to("\xef\xbb\xbfversion: 1 # \xc3\xa9\xe2\x82\xac\nprocess: {run_as_user: u} # "
		 "\xf0\x9f\x90\x82\n",
		 "\xef\xbb\xbfversion: 1 # \xc3\xa9\xe2\x82\xac\nprocess: {run_as_user: u} # "
		 "\xf0\x9f\x90\x82\nnetwork_policies:\n" NEW_BLOCK("\n") "\n");
}

static void test_keys(void **state)
{
	const struct edit_endpoint ep = EP("API.x.com", 1), v6 = EP("[2606:4700::1]", 2);
	struct edit e = open_text("version: 1\n");

	(void)state;
	assert_int_equal(edit_add_block(&e, ep.host, &ep, curl, 1, NULL), 0);
	if (edit_add_block(&e, ep.host, &ep, curl, 1, NULL) < 0)
		fail_msg("%s", e.why);
	assert_int_equal(edit_add_block(&e, v6.host, &v6, curl, 1, NULL), 0);
	assert_true(slice_eq_str(e.policy->blocks[0].key, "api_x_com"));
	assert_true(slice_eq_str(e.policy->blocks[1].key, "api_x_com_2"));
	assert_true(slice_eq_str(e.policy->blocks[2].key, "host_2606_4700_1"));
	edit_done(&e);
}

/* Endpoint b.c:2 to the first block. */
static void endpoint_to(const char *text, const char *comment, const char *want)
{
	const struct edit_endpoint ep = EP("b.c", 2);
	struct edit e = open_text(text);

	gives(&e, edit_add_endpoint(&e, 0, &ep, comment), want);
}

#define TAIL "    binaries: [{path: /a}]\n"

static void test_add_endpoint(void **state)
{
	(void)state;
	endpoint_to(HEAD "  a:\n    endpoints: [{host: a.b, port: 1}]\n" TAIL, NULL,
		    HEAD "  a:\n    endpoints: [{host: a.b, port: 1}, {host: b.c, port: 2}]\n" TAIL);
	endpoint_to(HEAD "  a:\n    endpoints: [{host: a.b, port: 1},]\n" TAIL, NULL,
		    HEAD
		    "  a:\n    endpoints: [{host: a.b, port: 1}, {host: b.c, port: 2},]\n" TAIL);
	endpoint_to(HEAD "  a:\n    endpoints: [{host: a.b, port: 1}] # x\n" TAIL, "seen\ntwice",
		    HEAD "  a:\n    endpoints: [{host: a.b, port: 1},\n        # seen\n        # "
			 "twice\n        {host: b.c, port: 2}] # x\n" TAIL);
	endpoint_to(HEAD "  a:\n    endpoints: [\n      {host: a.b, port: 1} # one\n    ]\n" TAIL,
		    NULL,
		    HEAD "  a:\n    endpoints: [\n      {host: a.b, port: 1}, # one\n      {host: "
			 "b.c, port: 2}\n    ]\n" TAIL);
	endpoint_to(HEAD "  a:\n    endpoints: [\n      {host: a.b, port: 1}, # one\n    ]\n" TAIL,
		    "c",
		    HEAD "  a:\n    endpoints: [\n      {host: a.b, port: 1}, # one\n      # c\n    "
			 "  {host: b.c, port: 2}\n    ]\n" TAIL);
	endpoint_to(HEAD "  a:\n    endpoints:\n      - {host: a.b, port: 1} # one\n      # two\n\n" TAIL,
		    NULL,
		    HEAD "  a:\n    endpoints:\n      - {host: a.b, port: 1} # one\n      - {host: "
			 "b.c, port: 2}\n      # two\n\n" TAIL);
	endpoint_to(HEAD "  a:\n    endpoints:\n    - # x\n      host: 'a.b'\n      port: 1\n" TAIL,
		    "c",
		    HEAD "  a:\n    endpoints:\n    - # x\n      host: 'a.b'\n      port: 1\n    # "
			 "c\n    - {host: b.c, port: 2}\n" TAIL);
	endpoint_to("version: 1\nnetwork_policies: {a: {binaries: [{path: /a}], endpoints: [{host: "
		    "a.b, port: 1}]}}",
		    NULL,
		    "version: 1\nnetwork_policies: {a: {binaries: [{path: /a}], endpoints: [{host: "
		    "a.b, port: 1}, {host: b.c, port: 2}]}}");
	endpoint_to(HEAD " a:\r\n  endpoints:\r\n  - host: >-\r\n      a.b\r\n    port: 1\r\n"
			 "  binaries: [{path: /a}]\r\n",
		    NULL,
		    HEAD " a:\r\n  endpoints:\r\n  - host: >-\r\n      a.b\r\n    port: 1\n"
			 "  - {host: b.c, port: 2}\r\n  binaries: [{path: /a}]\r\n");
	endpoint_to(HEAD " a:\n  binaries: [{path: /a}]\n  endpoints:\n  - port: 1\n    host: |-\n"
			 "      a.b\n\n",
		    NULL,
		    HEAD " a:\n  binaries: [{path: /a}]\n  endpoints:\n  - port: 1\n    host: |-\n"
			 "      a.b\n\n  - {host: b.c, port: 2}\n");
}

static void test_add_endpoint_with_rules(void **state)
{
	const struct edit_rule rules[] = {{.method = SLICE_LIT("POST"), .path = SLICE_LIT("/a/*")},
					  {.deny = true, .path = SLICE_LIT("/a/b")}};
	const struct edit_endpoint ep = {.host = SLICE_LIT("b.c"),
					 .port = 443,
					 .protocol = SLICE_LIT("rest"),
					 .rules = rules,
					 .nrules = 2,
					 .rules_comment = "once"};
	const char *blocks = HEAD "  a:\n    endpoints:\n      - {host: a.b, port: 1}\n" TAIL;
	const char *flow = HEAD "  a:\n    endpoints: [{host: a.b, port: 1}]\n" TAIL;
	struct edit e = open_text(blocks);

	(void)state;
	gives(&e, edit_add_endpoint(&e, 0, &ep, "why"),
	      HEAD "  a:\n    endpoints:\n      - {host: a.b, port: 1}\n      # why\n      - host: "
		   "b.c\n        port: 443\n        protocol: rest\n        rules:\n          # "
		   "once\n          - allow: {method: POST, path: \"/a/*\"}\n        deny_rules:\n "
		   "         - {path: /a/b}\n" TAIL);
	e = open_text(flow);
	gives(&e, edit_add_endpoint(&e, 0, &ep, "why"),
	      HEAD "  a:\n    endpoints: [{host: a.b, port: 1},\n        # why\n        # once\n   "
		   "     {host: b.c, port: 443, protocol: rest, rules: [{allow: {method: POST, "
		   "path: \"/a/*\"}}], deny_rules: [{path: /a/b}]}]\n" TAIL);
}

static void test_add_binary(void **state)
{
	const char *text = HEAD "  a:\n    binaries:\n    - {path: /a}\n    endpoints: [{host: "
				"a.b, port: 1}]\n";
	struct edit e = open_text(text);

	(void)state;
	gives(&e, edit_add_binary(&e, 0, &(struct edit_binary){S("/opt/x y/**"), true}, "new"),
	      HEAD "  a:\n    binaries:\n    - {path: /a}\n    # new\n    - {path: \"/opt/x "
		   "y/**\", ancestors: false}\n    endpoints: [{host: a.b, port: 1}]\n");
	e = open_text(text);
	refused(&e, edit_add_binary(&e, 0, &(struct edit_binary){S("relative"), false}, NULL), text, "must start with");
	e = open_text(text);
	refused(&e, edit_add_binary(&e, 0, &(struct edit_binary){S("/a\n\"b"), false}, NULL), text, "control");
}

#define REST(more)                                                                                 \
	HEAD "  a:\n    endpoints:\n      - host: a.b\n        port: 1\n        protocol: rest\n" more TAIL

static void rule_to(const char *text, bool deny, const char *want)
{
	const struct edit_rule rule = {deny, SLICE_LIT("GET"), SLICE_LIT("/x")};
	struct edit e = open_text(text);

	gives(&e, edit_add_rule(&e, 0, 0, &rule, NULL), want);
}

static void test_add_rule(void **state)
{
	const struct edit_rule allow = {false, SLICE_LIT("GET"), SLICE_LIT("/x")};
	const struct edit_rule odd = {false, SLICE_LIT("get"), SLICE_LIT("/x")};
	const char *access = REST("        access: full # all\n");
	const char *rules = REST("        rules:\n        - allow: {method: PUT}\n");
	struct edit e;

	(void)state;
	rule_to(rules, false,
		REST("        rules:\n        - allow: {method: PUT}\n        - allow: {method: "
		     "GET, path: /x}\n"));
	rule_to(rules, true,
		REST("        rules:\n        - allow: {method: PUT}\n        deny_rules:\n        "
		     "  - {method: GET, path: /x}\n"));
	rule_to(access, true,
		REST("        access: full # all\n        deny_rules:\n          - {method: GET, "
		     "path: /x}\n"));
	rule_to(REST("        rules: [allow: {method: PUT}]\n"), false,
		REST("        rules: [allow: {method: PUT}, {allow: {method: GET, path: /x}}]\n"));
	rule_to(REST("        deny_rules: [{path: /y}]\n        rules: [{allow: {method: PUT}}]\n"),
		false,
		REST("        deny_rules: [{path: /y}]\n        rules: [{allow: {method: PUT}}, "
		     "{allow: {method: GET, path: /x}}]\n"));
	rule_to(REST("        deny_rules: [{path: /y}]\n        rules: [{allow: {method: PUT}}]\n"),
		true,
		REST("        deny_rules: [{path: /y}, {method: GET, path: /x}]\n        rules: "
		     "[{allow: {method: PUT}}]\n"));
	rule_to("{version: 1, network_policies: {a: {endpoints: [{host: a.b, port: 1, protocol: "
		"rest, access: full}], binaries: [{path: /a}]}}}",
		true,
		"{version: 1, network_policies: {a: {endpoints: [{host: a.b, port: 1, protocol: "
		"rest, access: full, deny_rules: [{method: GET, path: /x}]}], binaries: [{path: "
		"/a}]}}}");
	e = open_text(access);
	refused(&e, edit_add_rule(&e, 0, 0, &allow, NULL), access, "'access', which 'rules' exclude");
	e = open_text(rules);
	refused(&e, edit_add_rule(&e, 0, 0, &odd, NULL), rules, "did you mean 'GET'");
	e = open_text(HEAD OLD_BLOCK "\n");
	refused(&e, edit_add_rule(&e, 0, 0, &allow, NULL), HEAD OLD_BLOCK "\n", "not inspected");
}

/* Removes endpoint i of the first block. */
static void without_endpoint(const char *text, size_t i, uint16_t port, const char *want)
{
	struct edit e = open_text(text);

	gives(&e, edit_remove_endpoint(&e, 0, i, port), want);
}

#define A "{host: a.b, port: 1}"
#define B "{host: b.c, port: 2}"
#define C "{host: c.d, port: 3}"
#define LIST(x) HEAD "  a:\n    endpoints: " x "\n" TAIL

static void test_remove_endpoint(void **state)
{
	(void)state;
	without_endpoint(LIST("[" A ", " B ", " C "]"), 0, 1, LIST("[" B ", " C "]"));
	without_endpoint(LIST("[" A ", " B ", " C "]"), 1, 2, LIST("[" A ", " C "]"));
	without_endpoint(LIST("[" A ", " B ", " C "]"), 2, 3, LIST("[" A ", " B "]"));
	without_endpoint(LIST("[" A ", " B ",]"), 1, 2, LIST("[" A ", ]"));
	without_endpoint(LIST("[\n      " A ", # one\n      " B " # two\n      # end\n    ]"), 1, 2,
			 LIST("[\n      " A " # one\n      # end\n    ]"));
	without_endpoint(LIST("[\n      " A ", # one\n      " B " # two\n    ]"), 0, 1,
			 LIST("[\n      " B " # two\n    ]"));
	without_endpoint(LIST("\n      - " A " # one\n      # about b\n      - " B "\n      - " C),
			 1, 2, LIST("\n      - " A " # one\n      # about b\n      - " C));
	without_endpoint(LIST("\n    - host: a.b\n      port: 1\n    - " B), 0, 1, LIST("\n    - " B));
	without_endpoint(LIST("\n    - # one\n      host: a.b\n      port: 1\n\n    - " B), 0, 1,
			 LIST("\n\n    - " B));
	without_endpoint(LIST("[{host: a.b, ports: [1, 2, 3]}]"), 0, 2,
			 LIST("[{host: a.b, ports: [1, 3]}]"));
	without_endpoint(HEAD "  a:\n    endpoints: [" A "]\n" TAIL "  # of b\n  b:\n    endpoints: [" B
			      "]\n" TAIL,
			 0, 1, HEAD "  # of b\n  b:\n    endpoints: [" B "]\n" TAIL);
	without_endpoint(HEAD "  a:\n    endpoints: [" A "]\n" TAIL "# end", 0, 1, HEAD "# end");
	without_endpoint("{version: 1, network_policies: {a: {endpoints: [" A "], binaries: [{path: "
			 "/a}]}}}",
			 0, 1, "{version: 1, network_policies: {}}");
	without_endpoint(LIST("[" A "]\r\n  # two"), 0, 1, HEAD);
}

static void test_remove_rule(void **state)
{
	const char *one = REST("        rules: [{allow: {method: PUT}}]\n        deny_rules:\n     "
			       "   # no\n        - {path: /y}\n");
	struct edit e = open_text(one);

	(void)state;
	gives(&e, edit_remove_rule(&e, 0, 0, 1), REST("        rules: [{allow: {method: PUT}}]\n"));
	e = open_text(one);
	refused(&e, edit_remove_rule(&e, 0, 0, 0), one, "only allow rule");
	e = open_text(REST("        rules:\n        - allow: {method: PUT}\n        - allow:\n      "
			   "      method: GET\n            path: /x\n"));
	gives(&e, edit_remove_rule(&e, 0, 0, 1),
	      REST("        rules:\n        - allow: {method: PUT}\n"));
	e = open_text(HEAD "  a:\n    endpoints:\n      - deny_rules: [{path: /y}]\n        host: "
			   "a.b\n        port: 1\n        protocol: rest\n        access: full\n" TAIL);
	gives(&e, edit_remove_rule(&e, 0, 0, 0),
	      HEAD "  a:\n    endpoints:\n      - host: a.b\n        port: 1\n        protocol: "
		   "rest\n        access: full\n" TAIL);
}

static void test_aliases(void **state)
{
	const char *text = HEAD "  a: {binaries: &b [{path: /a}], endpoints: &e [&x {host: a.b, "
				"port: 1}, *x]}\n  b: {binaries: *b, endpoints: *e}\n"
				"  c: {binaries: [{path: /c}], endpoints: [{host: a.b, port: 1}, *x]}\n";
	const struct edit_endpoint ep = EP("z.z", 9);
	struct edit e = open_text(text);

	(void)state;
	refused(&e, edit_add_endpoint(&e, 0, &ep, NULL), text, "anchored and used elsewhere");
	e = open_text(text);
	refused(&e, edit_add_endpoint(&e, 1, &ep, NULL), text, "alias of line 3");
	e = open_text(text);
	refused(&e, edit_add_binary(&e, 0, &(struct edit_binary){S("/z"), false}, NULL), text, "used elsewhere");
	e = open_text(text);
	refused(&e, edit_remove_endpoint(&e, 0, 0, 1), text, "used elsewhere");
	e = open_text(text);
	gives(&e, edit_remove_endpoint(&e, 2, 1, 1),
	      HEAD "  a: {binaries: &b [{path: /a}], endpoints: &e [&x {host: a.b, port: 1}, *x]}\n"
		   "  b: {binaries: *b, endpoints: *e}\n"
		   "  c: {binaries: [{path: /c}], endpoints: [{host: a.b, port: 1}]}\n");
}

static void test_refused_by_the_language(void **state)
{
	const struct edit_endpoint bad = EP("*.com", 443), dns = EP("a.b", 53);
	const struct edit_endpoint sql = {
		.host = SLICE_LIT("a.b"), .port = 1, .protocol = SLICE_LIT("restt")};
	const char *text = HEAD OLD_BLOCK "\n";
	struct edit e = open_text(text);

	(void)state;
	refused(&e, edit_add_endpoint(&e, 0, &bad, NULL), text, "top-level");
	e = open_text(text);
	refused(&e, edit_add_block(&e, S("x"), &dns, curl, 1, NULL), text, "port 53");
	e = open_text(text);
	refused(&e, edit_add_endpoint(&e, 0, &sql, NULL), text, "did you mean 'rest'");
}

static void test_comment(void **state)
{
	struct edit e = open_text(HEAD OLD_BLOCK "\n");

	(void)state;
	gives(&e, edit_add_comment(&e, 4, "careful\033"),
	      HEAD "  a:\n    # careful?\n    endpoints: [{host: a.b, port: 1}]\n    binaries: "
		   "[{path: /a}]\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_block),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_add_endpoint),
		cmocka_unit_test(test_add_endpoint_with_rules),
		cmocka_unit_test(test_add_binary),
		cmocka_unit_test(test_add_rule),
		cmocka_unit_test(test_remove_endpoint),
		cmocka_unit_test(test_remove_rule),
		cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_refused_by_the_language),
		cmocka_unit_test(test_comment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
