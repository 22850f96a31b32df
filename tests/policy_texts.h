/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_texts.h - policies of any size, written by the yard: honest ones (shapes) for what a policy
 * costs, and nasty ones, each the worst of its kind, for what it may not cost.  For bench/ and tests.
 */
#pragma once

#include "policy/policy.h"

/* ------------------------------------------------------------------------------- honest -- */

/* Numbers have five digits, so that what is asked is of one length, however many there are. */

static void text_head(FILE *f, const char *binaries)
{
	fprintf(f, "version: 1\nnetwork_policies:\n  a:\n");
	if (binaries)
		fprintf(f, "    binaries: [{path: %s}]\n", binaries);
}

static void text_hosts(FILE *f, unsigned int n)
{
	text_head(f, "/b/a");
	fprintf(f, "    endpoints: [\n");
	for (unsigned int i = 0; i < n; i++)
		fprintf(f, "{host: h%05u.example.com, port: 443},\n", i);
	fprintf(f, "]\n");
}

/* Half of the hosts are patterns. */
static void text_wild(FILE *f, unsigned int n)
{
	static const char *const forms[] = {"h%05u.example.com", "*.w%05u.example.com", "e%05u.example.com",
					    "**.d%05u.example.com", "f%05u.example.com", "a-*.p%05u.exa.com"};

	text_head(f, "/b/a");
	fprintf(f, "    endpoints: [\n");
	for (unsigned int i = 0; i < n; i++) {
		fprintf(f, "{host: '");
		fprintf(f, forms[i % ARRAY_LEN(forms)], i);
		fprintf(f, "',port: 443},\n");
	}
	fprintf(f, "]\n");
}

static void text_rule(FILE *f, unsigned int i)
{
	static const char *const methods[] = {"GET", "PUT", "POST"};
	static const char *const tails[] = {"", "/*", "/**", "/*/x"};

	fprintf(f, "{allow: {method: %s,path: /r%05u%s}},\n", methods[i % ARRAY_LEN(methods)], i,
		tails[i / 3 % ARRAY_LEN(tails)]);
}

static void text_rules(FILE *f, unsigned int n)
{
	text_head(f, "/b/a");
	fprintf(f, "    endpoints:\n    - host: api.example.com\n      port: 443\n"
		   "      protocol: rest\n      rules: [\n");
	for (unsigned int i = 0; i < n; i++)
		text_rule(f, i);
	fprintf(f, "]\n");
}

/* A hundred rules for each host. */
static void text_spread(FILE *f, unsigned int n)
{
	text_head(f, "/b/a");
	fprintf(f, "    endpoints: [\n");
	for (unsigned int i = 0; i < n; i++) {
		if (i % 100 == 0)
			fprintf(f, "%s{host: h%05u.example.com, port: 443, protocol: rest, rules: [\n",
				i ? "]},\n" : "", i / 100);
		text_rule(f, i);
	}
	fprintf(f, "]}]\n");
}

/* A tenth of the binaries are patterns. */
static void text_binaries(FILE *f, unsigned int n)
{
	text_head(f, NULL);
	fprintf(f, "    endpoints: [{host: a.example.com, port: 443}]\n    binaries: [\n");
	for (unsigned int i = 0; i < n; i++)
		fprintf(f, i % 10 ? "{path: /usr/local/bin/b%05u},\n" : "{path: '/opt/*/bin/b%05u'},\n", i);
	fprintf(f, "]\n");
}

static const struct shape {
	const char *name, *what;
	void (*text)(FILE *f, unsigned int n);
} policy_shapes[] = {
	{"hosts", "hosts, one endpoint each", text_hosts},
	{"rules", "rules of one endpoint, half of them globs", text_rules},
	{"spread", "rules, a hundred for each host", text_spread},
	{"wild", "hosts, half of them patterns", text_wild},
	{"binaries", "binaries, a tenth of them patterns", text_binaries},
};


/* -------------------------------------------------------------------------------- nasty -- */

/* Each writes patterns until the text has about `bytes` bytes. */

static void nasty_rules_head(FILE *f)
{
	text_head(f, "/b/a");
	fprintf(f, "    endpoints:\n    - host: api.example.com\n      port: 443\n"
		   "      protocol: rest\n      rules: [\n");
}

static bool nasty_more(FILE *f, size_t bytes)
{
	return ftello(f) + 160 < (off_t)bytes;
}

/* A repeatable stream of numbers. */
static unsigned int nasty_random(unsigned int below)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (unsigned int)(x >> 33) % below;
}

/* `**` and a letter, again and again. */
static void nasty_star_letters(FILE *f, size_t bytes)
{
	nasty_rules_head(f);
	while (nasty_more(f, bytes)) {
		fprintf(f, "{allow: {method: '*', path: '/");
		for (unsigned int k = 0; k < 12; k++)
			fprintf(f, "**%c", 'a' + (int)nasty_random(26));
		fprintf(f, "'}},\n");
	}
	fprintf(f, "]\n");
}

/* One pattern as long as may be. */
static void nasty_star_long(FILE *f, size_t bytes)
{
	nasty_rules_head(f);
	do {
		fprintf(f, "{allow: {method: '*', path: '/");
		for (unsigned int k = 0; k < 1350; k++)
			fprintf(f, "**%c", 'a' + (int)nasty_random(26));
		fprintf(f, "'}},\n");
	} while (ftello(f) + 4200 < (off_t)bytes);
	fprintf(f, "]\n");
}

/* Rules that may each match for good, each under a condition of its own, so that all are kept. */
static void nasty_star_conditions(FILE *f, size_t bytes)
{
	nasty_rules_head(f);
	for (unsigned int i = 0; nasty_more(f, bytes); i++)
		fprintf(f, "{allow: {method: '*', path: '/**/x%u/**', query: {q: '%u'}}},\n", i, i);
	fprintf(f, "]\n");
}

/* Many characters behind a star: each position is in or out. */
static void nasty_star_questions(FILE *f, size_t bytes)
{
	nasty_rules_head(f);
	for (unsigned int i = 0; nasty_more(f, bytes); i++)
		fprintf(f, "{allow: {method: '*', path: '/**%c????????????????%c'}},\n",
			'a' + (int)(i % 26), 'a' + (int)(i / 26 % 26));
	fprintf(f, "]\n");
}

/* A character of any shape takes some sixty nodes. */
static void nasty_questions(FILE *f, size_t bytes)
{
	nasty_rules_head(f);
	while (ftello(f) + 4200 < (off_t)bytes) {
		fprintf(f, "{allow: {method: '*', path: '/%u", nasty_random(1u << 30));
		for (unsigned int k = 0; k < 4000; k++)
			fputc('?', f);
		fprintf(f, "'}},\n");
	}
	fprintf(f, "]\n");
}

/* Sets of characters, all different, from one node. */
static void nasty_classes(FILE *f, size_t bytes)
{
	nasty_rules_head(f);
	while (nasty_more(f, bytes)) {
		fprintf(f, "{allow: {method: '*', path: '/[");
		for (unsigned int k = 0; k < 8; k++)
			fputc((k & 1 ? 'a' : 'A') + (int)nasty_random(26), f);
		fprintf(f, "]x'}},\n");
	}
	fprintf(f, "]\n");
}

static void nasty_star_classes(FILE *f, size_t bytes)
{
	nasty_rules_head(f);
	while (nasty_more(f, bytes)) {
		fprintf(f, "{allow: {method: '*', path: '/**[");
		for (unsigned int k = 0; k < 8; k++)
			fputc((k & 1 ? 'a' : 'A') + (int)nasty_random(26), f);
		fprintf(f, "]x'}},\n");
	}
	fprintf(f, "]\n");
}

/* Braces that multiply to what one pattern may have, before a long tail. */
static void nasty_braces(FILE *f, size_t bytes)
{
	nasty_rules_head(f);
	while (ftello(f) + 4200 < (off_t)bytes) {
		fprintf(f, "{allow: {method: '*', path: '/%u", nasty_random(1u << 30));
		for (unsigned int k = 0; k < 8; k++)
			fprintf(f, "{a,b}");
		for (unsigned int k = 0; k < 4000; k++)
			fputc('c', f);
		fprintf(f, "'}},\n");
	}
	fprintf(f, "]\n");
}

static void nasty_braces_short(FILE *f, size_t bytes)
{
	nasty_rules_head(f);
	while (nasty_more(f, bytes))
		fprintf(f, "{allow: {method: '*', path: '/{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}%u'}},\n",
			nasty_random(1u << 30));
	fprintf(f, "]\n");
}

static void nasty_hosts_head(FILE *f)
{
	text_head(f, "/b/a");
	fprintf(f, "    endpoints: [\n");
}

/* Stars inside labels. */
static void nasty_host_stars(FILE *f, size_t bytes)
{
	nasty_hosts_head(f);
	while (nasty_more(f, bytes)) {
		fprintf(f, "{host: '");
		for (unsigned int k = 0; k < 10; k++)
			fprintf(f, "*%c", 'a' + (int)nasty_random(26));
		fprintf(f, ".x.y', port: 1},\n");
	}
	fprintf(f, "]\n");
}

/* Whole labels that are stars, at every place. */
static void nasty_host_labels(FILE *f, size_t bytes)
{
	nasty_hosts_head(f);
	while (nasty_more(f, bytes)) {
		fprintf(f, "{host: '");
		for (unsigned int k = 0; k < 10; k++)
			if (nasty_random(2))
				fprintf(f, "*.");
			else
				fprintf(f, "%c.", 'a' + (int)nasty_random(4));
		fprintf(f, "x.y', port: 1},\n");
	}
	fprintf(f, "]\n");
}

static void nasty_host_suffixes(FILE *f, size_t bytes)
{
	nasty_hosts_head(f);
	while (nasty_more(f, bytes)) {
		fprintf(f, "{host: '**");
		for (unsigned int k = 0; k < 10; k++)
			fprintf(f, ".%c", 'a' + (int)nasty_random(2));
		fprintf(f, ".y', port: %u},\n", 1000 + nasty_random(60000));
	}
	fprintf(f, "]\n");
}

/* One host, as many endpoints as fit. */
static void nasty_one_host(FILE *f, size_t bytes)
{
	nasty_hosts_head(f);
	while (nasty_more(f, bytes))
		fprintf(f, "{host: a.b,port: 1},\n");
	fprintf(f, "]\n");
}

/* Every endpoint matches every host, on a port of its own. */
static void nasty_any_host(FILE *f, size_t bytes)
{
	nasty_hosts_head(f);
	for (unsigned int i = 0; nasty_more(f, bytes); i++)
		fprintf(f, "{host: '**', port: %u},\n{host: h%u.x, port: %u},\n", 1000 + i % 60000, i,
			1000 + nasty_random(60000));
	fprintf(f, "]\n");
}

static void nasty_networks(FILE *f, size_t bytes)
{
	nasty_hosts_head(f);
	for (unsigned int i = 0; nasty_more(f, bytes); i++)
		fprintf(f, "{port: %u,allowed_ips: ['%x::/%u', '%u.%u.0.0/%u']},\n", 1 + i % 50,
			0x2400 + nasty_random(0x800), 16 + nasty_random(49), 11 + nasty_random(80),
			nasty_random(255), 8 + nasty_random(17));
	fprintf(f, "]\n");
}

static void nasty_binaries(FILE *f, size_t bytes)
{
	text_head(f, NULL);
	fprintf(f, "    endpoints: [{host: a.example.com, port: 443}]\n    binaries: [\n");
	while (nasty_more(f, bytes)) {
		fprintf(f, "{path: '/");
		for (unsigned int k = 0; k < 8; k++)
			fprintf(f, "**/%c*", 'a' + (int)nasty_random(26));
		fprintf(f, "'},\n");
	}
	fprintf(f, "]\n");
}

/* Blocks whose binaries overlap in every way: sets of blocks instead of states. */
static void nasty_blocks(FILE *f, size_t bytes)
{
	fprintf(f, "version: 1\nnetwork_policies:\n");
	for (unsigned int i = 0; i < 500 && nasty_more(f, bytes); i++)
		fprintf(f, "  b%u: {endpoints: [{host: '*%c%c*.x.y', port: 1}], "
			   "binaries: [{path: '/**%c%c**'}]}\n",
			i, 'a' + (int)(i % 26), 'a' + (int)(i / 26), 'a' + (int)(i % 26),
			'a' + (int)(i / 26));
}

/* One long string, again and again by its anchor. */
static void nasty_alias_string(FILE *f, size_t bytes)
{
	text_head(f, NULL);
	fprintf(f, "    endpoints: [{host: a.example.com, port: 443}]\n    binaries: [{path: &p '/");
	for (unsigned int k = 0; k < 4000; k++)
		fputc('a', f);
	fprintf(f, "**'},\n");
	while (nasty_more(f, bytes))
		fprintf(f, "{path: *p},");
	fprintf(f, "]\n");
}

/* One list of rules for many endpoints. */
static void nasty_alias_rules(FILE *f, size_t bytes)
{
	text_head(f, "/b/a");
	fprintf(f, "    endpoints:\n    - {host: a.b, port: 1, protocol: rest, rules: &r [\n");
	for (unsigned int i = 0; i < 90 && nasty_more(f, bytes); i++)
		text_rule(f, i);
	fprintf(f, "]}\n");
	for (unsigned int i = 0; i < 5500 && nasty_more(f, bytes); i++)
		fprintf(f, "    - {host: h%u.b, port: 1, protocol: rest, rules: *r}\n", i);
}

/* As many endpoints as aliases make. */
static void nasty_alias_endpoints(FILE *f, size_t bytes)
{
	text_head(f, "/b/a");
	fprintf(f, "    endpoints: [&e {host: '**.x.y', port: 1},\n");
	while (nasty_more(f, bytes) && ftello(f) < 2400000)
		fprintf(f, "*e,");
	fprintf(f, "]\n");
}

/* All ports, for many hosts. */
static void nasty_ports(FILE *f, size_t bytes)
{
	text_head(f, "/b/a");
	fprintf(f, "    endpoints:\n    - {host: a.b, ports: &p [");
	for (unsigned int i = 1000; i < 61000 && nasty_more(f, bytes); i++)
		fprintf(f, "%u,", i);
	fprintf(f, "]}\n");
	for (unsigned int i = 0; i < 60 && nasty_more(f, bytes); i++)
		fprintf(f, "    - {host: '*%u.b.c', ports: *p}\n", i);
}

/* Conditions on many values, all of them stars. */
static void nasty_queries(FILE *f, size_t bytes)
{
	nasty_rules_head(f);
	while (nasty_more(f, bytes)) {
		fprintf(f, "{allow: {method: GET, path: '/**', query: {q: {any: [");
		for (unsigned int k = 0; k < 6; k++)
			fprintf(f, "'*%c*%c*%c*',", 'a' + (int)nasty_random(26),
				'a' + (int)nasty_random(26), 'a' + (int)nasty_random(26));
		fprintf(f, "]}}}},\n");
	}
	fprintf(f, "]\n");
}

/* Nothing of it is right. */
static void nasty_errors(FILE *f, size_t bytes)
{
	text_head(f, "/b/a");
	fprintf(f, "    endpoints: [");
	while (nasty_more(f, bytes))
		fprintf(f, "a,");
	fprintf(f, "]\n");
}

static void nasty_keys(FILE *f, size_t bytes)
{
	fprintf(f, "{");
	for (unsigned int i = 0; nasty_more(f, bytes); i++)
		fprintf(f, "%u: ,", i % 300000);
	fprintf(f, "}\n");
}

static const struct nasty {
	const char *name;
	void (*text)(FILE *f, size_t bytes);
} policy_nasties[] = {
	{"star-letters", nasty_star_letters},	{"star-long", nasty_star_long},
	{"star-conditions", nasty_star_conditions}, {"star-questions", nasty_star_questions},
	{"questions", nasty_questions},		{"classes", nasty_classes},
	{"star-classes", nasty_star_classes},	{"braces", nasty_braces},
	{"braces-short", nasty_braces_short},	{"host-stars", nasty_host_stars},
	{"host-labels", nasty_host_labels},	{"host-suffixes", nasty_host_suffixes},
	{"one-host", nasty_one_host},		{"any-host", nasty_any_host},
	{"networks", nasty_networks},		{"binaries", nasty_binaries},
	{"blocks", nasty_blocks},		{"alias-string", nasty_alias_string},
	{"alias-rules", nasty_alias_rules},	{"alias-endpoints", nasty_alias_endpoints},
	{"ports", nasty_ports},			{"queries", nasty_queries},
	{"errors", nasty_errors},
	{"keys", nasty_keys},
};
