/* SPDX-License-Identifier: ISC
 * A made-up world for the tests of src/admin: rows to show and orders that are written down.
 */
#ifndef WEIR_TESTS_FAKE_ADMIN_H
#define WEIR_TESTS_FAKE_ADMIN_H

#include "admin/admin.h"

#include <stdbool.h>

struct fake_admin {
    struct loop *loop;
    struct admin *admin;
    struct admin_source source;
    struct admin_control control;
    const char *odd_name; /* a function's name, to be escaped */
    bool draining, down;  /* no bound is reachable */
    bool silent;          /* a collect is kept, not answered */
    bool partial;         /* one worker is missing */
    struct admin_collect *kept;
    char log[512];                  /* orders, one line each */
    struct admin_order *kept_order; /* a WAIT_CLOSE */
};

struct fake_admin *fake_admin_create(void);
void fake_admin_destroy(struct fake_admin **w);

#endif
