/* SPDX-License-Identifier: ISC
 * See pg_rights.h.
 */
#include "config.h"

#include "proto/pg/pg_rights.h"

#include "proto/vars/vars.h"

#include <stdatomic.h>
#include <string.h>

static const char *const names[] = {"role", "session_authorization"};
static _Atomic uint32_t changes; /* to roles, that weir has seen */

bool pg_rights_reset_all(struct var_set **set, struct var_set *base)
{
    struct var_set *fresh = vars_get(base);
    struct var_entry e;
    bool ok = true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t n = strlen(names[i]);
        ok &= var_set_find(*set, names[i], n, &e)
                  ? vars_take(&fresh, vars_with(fresh, names[i], n, e.form, e.value, e.value_len))
                  : vars_take(&fresh, vars_without(fresh, names[i], n));
    }
    return vars_take(set, fresh) && ok;
}

void pg_rights_on_tag(const char *tag, size_t n)
{
    static const char role[] = " ROLE"; /* CREATE, ALTER, DROP; of users and groups as well */
    size_t len = sizeof role - 1;
    if (n > len && memcmp(tag + n - len, role, len) == 0)
        atomic_fetch_add(&changes, 1);
}

/* The server goes by a role's number: one that was dropped and created again has another, and who
 * asks for it by its name would get the rights of nobody. */
void pg_rights_doubt(struct var_set **applied, uint32_t *seen)
{
    uint32_t now = atomic_load(&changes);
    struct var_entry e;
    if (*seen == now)
        return;
    *seen = now;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t n = strlen(names[i]);
        if (var_set_find(*applied, names[i], n, &e))
            (void)vars_take(applied, vars_with(*applied, names[i], n, VAR_PLAIN, "", 0));
    }
}
