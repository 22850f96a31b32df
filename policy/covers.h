/* SPDX-License-Identifier: Apache-2.0 */
/* covers.h - one endpoint and one destination, without compiling: for tools that ask about few. */
#pragma once

#include "policy/model.h"

/* Is the endpoint for this destination, port included?  As the image would decide. */
bool endpoint_covers(const struct pol_endpoint *e, const struct dest *d);
bool endpoint_has_port(const struct pol_endpoint *e, uint16_t port);
/* Does it name exactly this host (not: match it)?  Patterns are hosts too here. */
bool endpoint_names(const struct pol_endpoint *e, struct slice host);
