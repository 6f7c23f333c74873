/* SPDX-License-Identifier: ISC
 * libFuzzer target: an auth_file from hell. Whoever is in the list is found by name, within the
 * limits; a refusal says why.
 */
#include "config.h"

#include "conf/userlist.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf_report report;
    conf_report_init(&report);
    struct userlist *list = userlist_parse((const char *)data, size, "fuzz.txt", &report);
    if ((list == NULL) != (report.errors > 0))
        abort();
    for (size_t i = 0; list != NULL && i < userlist_count(list); i++) {
        const struct userlist_user *u = userlist_at(list, i);
        if (userlist_find(list, u->name) != u || strlen(u->name) > USERLIST_NAME_MAX ||
            strlen(u->secret) > USERLIST_SECRET_MAX || userlist_kind_name(u->kind)[0] == '\0')
            abort();
    }
    userlist_free(&list);
    conf_report_fini(&report);
    return 0;
}
