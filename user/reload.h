/* SPDX-License-Identifier: Apache-2.0 */
/* reload.h - what else the supervisor's rooms want to know of the policy in force. */
#pragma once

struct supervisor;

/* Hex SHA-256 of the image in force; "" before the first. */
void reload_hash(const struct supervisor *s, char hex[65]);
/* A connect crossed a swap: native connections are re-judged once more, soon. */
void reload_late(struct supervisor *s);
