/* SPDX-License-Identifier: ISC
 * Quotas: what one user or one database may have of a server's connections by the server's own word
 * (ALTER ROLE .. CONNECTION LIMIT). Of a server whose bound is computed (auto, 75%) they are read
 * with its limits, and bound their pools in the same way; elsewhere the server's refusals teach
 * them (core's failure.c). They are the server's names: what an entry calls its database doesn't
 * count here. With the route table's lock held.
 */
#ifndef WEIR_WORKER_QUOTA_H
#define WEIR_WORKER_QUOTA_H

#include <stdint.h>

struct bound_server;
struct conf_database;
struct route;
struct server_limits;

/* Takes the quotas out of `limits`. */
void quota_learn(struct bound_server *s, struct server_limits *limits);
/* The smaller one of `limit` (0: none) and what the server gives this user, or this database. */
uint32_t quota_of_user(const struct route *r, uint32_t limit);
uint32_t quota_of_database(const struct route *r, const struct conf_database *db, uint32_t limit);

#endif
