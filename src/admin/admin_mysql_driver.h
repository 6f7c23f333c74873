/* SPDX-License-Identifier: ISC
 * What MySQL's programs, drivers and pools send to any server (SET NAMES, SELECT @@version_comment,
 * SHOW VARIABLES, BEGIN ...), answered in the console's stead, so that they can be pointed at it;
 * and MySQL's own words for some of the console's commands.
 *
 * Pure but for the result's memory. Any thread.
 */
#ifndef WEIR_ADMIN_ADMIN_MYSQL_DRIVER_H
#define WEIR_ADMIN_ADMIN_MYSQL_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct admin_result;

#define ADMIN_MYSQL_ITEMS    32 /* of one SELECT; Connector/J's has 24 */
#define ADMIN_MYSQL_NAME_MAX 64

struct admin_mysql_said {
    struct admin_result *result; /* the answer, the caller's; or NULL: the console is asked ... */
    char command[64];            /* ... this, or, when it is "", the text as it stands */
    uint16_t set, clear;         /* status flags that change with it */
    char names[ADMIN_MYSQL_ITEMS][ADMIN_MYSQL_NAME_MAX]; /* the result's columns may point here */
};

/* One statement. `id`: of the connection. false: out of memory. */
bool admin_mysql_driver(const char *text, size_t len, uint32_t id, const char *version,
                        struct admin_mysql_said *said) __attribute__((warn_unused_result));

#endif
