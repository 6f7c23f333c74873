/* SPDX-License-Identifier: ISC
 * See look_up.h.
 */
#include "config.h"

#include "worker/look_up.h"

#include "conf/conf_setting.h"

#include <string.h>

/* Both protocols have one setting, whose default is PostgreSQL's. */
static const char *query_of(const struct conf_settings *cs, const struct conf_database *asked,
                            const struct protocol *protocol)
{
    const char *usual = conf_setting_default(conf_setting_find("auth_query"), false);
    if (asked->auth_query != NULL)
        return asked->auth_query;
    return protocol->auth_query != NULL && strcmp(cs->auth_query, usual) == 0 ? protocol->auth_query
                                                                              : cs->auth_query;
}

bool look_up_find(const struct conf *conf, const char *database, struct look_up *out)
{
    const struct conf_settings *cs = conf_settings(conf);
    const struct conf_database *asked = conf_database_find(conf, database);
    if (asked == NULL)
        return false;
    const char *via = asked->auth_dbname != NULL ? asked->auth_dbname : cs->auth_dbname;
    const struct conf_database *db = via[0] != '\0' ? conf_database_find(conf, via) : asked;
    const struct protocol *protocol = db != NULL ? protocol_of(db->proto) : NULL;
    const char *as = asked->auth_user != NULL ? asked->auth_user : cs->auth_user;
    if (protocol == NULL || protocol->server->ask_secret == NULL || as[0] == '\0')
        return false;
    *out = (struct look_up){.db = db,
                            .protocol = protocol,
                            .database = db == asked ? database : db->name,
                            .as = as,
                            .query = query_of(cs, asked, protocol)};
    return true;
}

struct params_kept *look_up_params(const struct look_up *l, const struct conf *conf,
                                   const struct userlist *users)
{
    struct dial_as as = {.user = l->as, .database = l->database};
    const struct userlist_user *u = users != NULL ? userlist_find(users, l->as) : NULL;
    if (l->db->user != NULL && strcmp(l->db->user, l->as) == 0)
        as.password = l->db->password;
    struct server_keys keys;
    if (as.password == NULL && u != NULL && protocol_secret(l->protocol, u)) {
        enum keys_kind kind = l->protocol->server->keys(u->secret, NULL, &keys);
        as.password = kind == KEYS_PASSWORD ? u->secret : NULL;
        as.keys = kind == KEYS_FOUND ? &keys : NULL;
    }
    struct params_kept *kept = params_keep(conf, l->db, &as);
    explicit_bzero(&keys, sizeof keys);
    return kept;
}
