/* SPDX-License-Identifier: ISC
 * See protocols.h.
 */
#include "config.h"

#include "worker/protocols.h"

#include "proto/mysql/my_dial.h"
#include "proto/mysql/my_login.h"
#include "proto/mysql/my_proto.h"
#include "proto/pg/pg_login.h"

static const struct protocol table[PROTOCOLS] = {
    [CONF_PROTO_POSTGRES] =
        {
            .login = &pg_login_ops,
            .relay = &pg_proto_ops,
            .server = &pg_server_ops,
            .conf = CONF_PROTO_POSTGRES,
            .unix_name = ".s.PGSQL.",
            .alpn = "postgresql",
            .url_scheme = "postgres",
        },
    [CONF_PROTO_MYSQL] =
        {
            .login = &my_login_ops,
            .relay = &my_proto_ops,
            .server = &my_server_ops,
            .conf = CONF_PROTO_MYSQL,
            .unix_name = ".s.MYSQL.",
            .url_scheme = "mysql",
            .auth_query = "SELECT User, authentication_string FROM mysql.user WHERE User = $1"
                          " ORDER BY Host = '%' DESC LIMIT 1",
            .tls_request_bytes = 4 + 32,
        },
};

bool protocols_init(struct err *e)
{
    for (unsigned door = 0; door < PROTOCOLS; door++)
        if (protocol_at(door) != NULL && !protocol_at(door)->login->init(e))
            return false;
    return true;
}

const struct protocol *protocol_at(unsigned door)
{
    return door < PROTOCOLS && table[door].relay != NULL ? &table[door] : NULL;
}

const struct protocol *protocol_of(enum conf_proto proto)
{
    return protocol_at((unsigned)proto);
}

bool protocol_secret(const struct protocol *p, const struct userlist_user *u)
{
    switch (u->kind) {
    case USERLIST_PLAIN:
        break;
    case USERLIST_MD5:
    case USERLIST_SCRAM:
        return p->conf == CONF_PROTO_POSTGRES;
    case USERLIST_NATIVE:
    case USERLIST_CACHING_SHA2:
        return p->conf == CONF_PROTO_MYSQL;
    }
    return u->secret[0] != '\0';
}

int protocol_port(const struct protocol *p, const struct conf_settings *cs)
{
    return p->conf == CONF_PROTO_MYSQL ? cs->mysql_port : cs->listen_port;
}
