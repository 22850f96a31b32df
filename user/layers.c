/* SPDX-License-Identifier: Apache-2.0 */
/* layers.c - names of the walls (layers.h). */
#include "user/layers.h"

#include "policy/diag.h"
#include "user/strv.h"

static const struct {
	const char *name;
	bool optional;
} layers[LAYER_COUNT] = {
#define X(id, name, optional) {name, optional},
	LAYERS(X)
#undef X
};

const char *layer_name(enum layer l)
{
	return l < LAYER_COUNT ? layers[l].name : "unknown";
}

int layer_parse_optional(const char *text, enum layer *ret, char **ret_error)
{
	const char *known[LAYER_COUNT], *meant;
	size_t n = 0;

	*ret_error = NULL;
	for (enum layer l = 0; l < LAYER_COUNT; l++) {
		if (strcmp(layers[l].name, text) == 0) {
			if (!layers[l].optional)
				return error_text(ret_error, -EINVAL,
						  "%s cannot be missing: the other layers rely on it; 'osh-enforce doctor' "
						  "says what this host lacks",
						  text);
			*ret = l;
			return 0;
		}
		if (layers[l].optional)
			known[n++] = layers[l].name;
	}
	meant = diag_suggest(slice_str(text), known, n);
	if (meant)
		return error_text(ret_error, -EINVAL, "no layer has the name '%s' (did you mean '%s'?)", text, meant);
	return error_text(ret_error, -EINVAL, "no layer has the name '%s'; want landlock, seccomp, proxy-jail or bpf-lsm",
			  text);
}
