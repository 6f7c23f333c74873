/* SPDX-License-Identifier: ISC
 * A client of PostgreSQL or of MySQL, for the programs of the demo: as a function's driver is one,
 * by libpq and by MariaDB's Connector/C. One thread for each connection at a time.
 *
 * A DSN is words of the form name=value: host, port, user, password, dbname, application_name, and
 * sslmode=require or disable, sslrootcert; for PostgreSQL whatever else libpq takes.
 */
#ifndef WEIR_DEMO_ENGINE_H
#define WEIR_DEMO_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

enum want { WANT_READ, WANT_WRITE, WANT_NOTHING, WANT_FAILED };

struct engine {
    const char *name;
    /* How many connections of clients the server sees, the asking one left out. */
    const char *count_sql;

    /* Waiting: NULL or false, and the text, when it failed. */
    void *(*open)(const char *dsn, char *error, size_t room);
    bool (*run)(void *conn, const char *sql, char *error, size_t room);
    /* The first column of the first row, as a number; negative: it failed. */
    int (*number)(void *conn, const char *sql);

    /* Not waiting: what the socket must be ready for before the next step; WANT_NOTHING: it is
     * done. */
    void *(*start)(const char *dsn, enum want *want);
    enum want (*connect_step)(void *conn, unsigned ready);
    enum want (*query)(void *conn, const char *sql);
    enum want (*query_step)(void *conn, unsigned ready);
    int (*fd)(void *conn);
    const char *(*error)(void *conn); /* of the step that failed */

    void (*close)(void *conn);
};
#define READY_READ  1u
#define READY_WRITE 2u

extern const struct engine engine_postgres, engine_mysql;
/* By its name; NULL: there is none. */
const struct engine *engine_find(const char *name);

#endif
