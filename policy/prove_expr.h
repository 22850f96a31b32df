/* SPDX-License-Identifier: Apache-2.0 */
/* prove_expr.h - a parsed expression, between prove_expr.c (reads) and prove.c (answers). */
#pragma once

#include "policy/prove.h"

enum expr_which { EXPR_ANY, EXPR_NONE, EXPR_GLOB };

struct expr_program {
	enum expr_which which;
	struct slice glob;
};

struct prove_expr {
	struct arena arena;
	struct slice binary; /* n == 0: any */
	struct expr_program script, ancestor;
	int tainted; /* 0 no, 1 yes, -1 any */
	struct slice host_text;
	bool has_host, host_literal;
	struct table_dfa host;
	uint16_t from, to;
	struct slice method, path; /* n == 0: any */
	struct table_dfa path_dfa;
	struct query_want *query;
	struct slice *query_text;
	size_t nquery, query_cap, text_cap;
};
