/* SPDX-License-Identifier: ISC
 * weir --check: connect to every database and say what was found.
 */
#ifndef WEIR_CHECK_H
#define WEIR_CHECK_H

#include <stdio.h>

struct conf;
struct conf_report;

/* Print a table (server version, role, its connection limit, how many are left, the bound weir will
 * keep) and one line for each problem. Blocks. Returns the exit code. */
int check_run(const struct conf *conf, struct conf_report *report, FILE *to);

#endif
