/* SPDX-License-Identifier: ISC
 * What a server said of itself when a connection was opened: what clients are greeted with, and the
 * values that a session begins with. Immutable and counted; any thread.
 */
#ifndef WEIR_PROTO_MYSQL_MY_REPORT_H
#define WEIR_PROTO_MYSQL_MY_REPORT_H

#include "proto/vars/vars.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct my_report {
    _Atomic uint32_t refs;
    char version[64];
    uint8_t charset; /* the server's default collation, if it fits the greeting */
    bool mariadb;
    uint32_t late_caps;   /* of MY_CAPS_LATE, what it has */
    unsigned scan_opts;   /* my_scan_server() of the version */
    struct var_set *base; /* variables of a session that has set nothing; NULL: not known */
};

struct my_report *my_report_create(const char *version, uint8_t charset, bool mariadb);
struct my_report *my_report_get(struct my_report *r);
/* Gives the reference back and clears the pointer; NULL is fine. */
void my_report_put(struct my_report **r);

/* ---- collations: the number in a handshake and its names ---- */

enum my_collation_of {
    MY_OF_MYSQL = 1,
    MY_OF_MARIADB = 2,
    MY_OF_BOTH = 3,
};

struct my_collation {
    uint16_t id;
    uint8_t of; /* enum my_collation_of: who has it */
    const char *charset, *collation;
};
/* NULL: not known to a server of that kind. */
const struct my_collation *my_collation_find(unsigned id, enum my_collation_of of);
/* Of two or four bytes a character: no server reads statements in it. */
bool my_collation_is_wide(const struct my_collation *col);

#endif
