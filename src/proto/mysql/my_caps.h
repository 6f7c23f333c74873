/* SPDX-License-Identifier: ISC
 * Numbers of the MySQL client/server protocol: capabilities, status flags, commands, errors.
 * After "MySQL Source Code Documentation, Client/Server Protocol" and MariaDB's page of that name.
 * Pure constants.
 */
#ifndef WEIR_PROTO_MYSQL_MY_CAPS_H
#define WEIR_PROTO_MYSQL_MY_CAPS_H

#include <stdint.h>

#define MY_HEAD_BYTES  4u
#define MY_PACKET_FULL 0xffffffu /* a payload of this length goes on in the next packet */
#define MY_SALT_BYTES  20u

/* ---- capabilities ---- */

#define MY_CAP_LONG_PASSWORD     (1u << 0) /* also CLIENT_MYSQL: not a MariaDB with extensions */
#define MY_CAP_FOUND_ROWS        (1u << 1)
#define MY_CAP_LONG_FLAG         (1u << 2)
#define MY_CAP_CONNECT_WITH_DB   (1u << 3)
#define MY_CAP_COMPRESS          (1u << 5)
#define MY_CAP_LOCAL_FILES       (1u << 7)
#define MY_CAP_IGNORE_SPACE      (1u << 8)
#define MY_CAP_PROTOCOL_41       (1u << 9)
#define MY_CAP_INTERACTIVE       (1u << 10)
#define MY_CAP_SSL               (1u << 11)
#define MY_CAP_TRANSACTIONS      (1u << 13)
#define MY_CAP_SECURE_CONNECTION (1u << 15)
#define MY_CAP_MULTI_STATEMENTS  (1u << 16)
#define MY_CAP_MULTI_RESULTS     (1u << 17)
#define MY_CAP_PS_MULTI_RESULTS  (1u << 18)
#define MY_CAP_PLUGIN_AUTH       (1u << 19)
#define MY_CAP_CONNECT_ATTRS     (1u << 20)
#define MY_CAP_PLUGIN_LENENC     (1u << 21)
#define MY_CAP_SESSION_TRACK     (1u << 23)
/* weir's own place for MariaDB's MARIADB_CLIENT_EXTENDED_METADATA: definitions of columns have a
 * block more, which says uuid, inet6, json. On the wire it is one of four bytes that stand where
 * others have zeroes, and that count where CLIENT_MYSQL is not set. */
#define MY_CAP_EXTENDED (1u << 31)
#define MY_EXT_METADATA (1u << 3)
/* And for its MARIADB_CLIENT_STMT_BULK_OPERATIONS. */
#define MY_CAP_BULK  (1u << 30)
#define MY_EXT_BULK  (1u << 2)
#define MY_CAPS_LATE (MY_CAP_EXTENDED | MY_CAP_BULK)

/* What weir offers its clients (with SSL beside it where there is a certificate). Not
 * DEPRECATE_EOF: docs/architecture.md says why one dialect serves everybody. */
#define MY_CAPS_OFFERED                                                                            \
    (MY_CAP_LONG_PASSWORD | MY_CAP_FOUND_ROWS | MY_CAP_LONG_FLAG | MY_CAP_CONNECT_WITH_DB |        \
     MY_CAP_LOCAL_FILES | MY_CAP_IGNORE_SPACE | MY_CAP_PROTOCOL_41 | MY_CAP_INTERACTIVE |          \
     MY_CAP_TRANSACTIONS | MY_CAP_SECURE_CONNECTION | MY_CAP_MULTI_STATEMENTS |                    \
     MY_CAP_MULTI_RESULTS | MY_CAP_PS_MULTI_RESULTS | MY_CAP_PLUGIN_AUTH | MY_CAP_CONNECT_ATTRS |  \
     MY_CAP_PLUGIN_LENENC | MY_CAP_SESSION_TRACK)

/* What a server connection has for good, so that clients which differ in it share none: whether
 * rows found are counted, and (set where there is no such thing) whether a statement may have
 * several results. Without that a CALL has an error (1312), and one that executes it no result of
 * the parameters: a client that doesn't know several results would take the second for the next
 * answer. */
#define MY_CAPS_OF_POOL (MY_CAP_FOUND_ROWS | MY_CAP_MULTI_RESULTS)
#define MY_CAPS_SINGLE  (MY_CAP_MULTI_RESULTS | MY_CAP_PS_MULTI_RESULTS)

/* What weir asks of servers, as far as they have it. */
#define MY_CAPS_WANTED                                                                             \
    (MY_CAP_LONG_PASSWORD | MY_CAP_LONG_FLAG | MY_CAP_LOCAL_FILES | MY_CAP_PROTOCOL_41 |           \
     MY_CAP_TRANSACTIONS | MY_CAP_SECURE_CONNECTION | MY_CAP_MULTI_STATEMENTS |                    \
     MY_CAP_MULTI_RESULTS | MY_CAP_PS_MULTI_RESULTS | MY_CAP_PLUGIN_AUTH | MY_CAP_CONNECT_ATTRS |  \
     MY_CAP_PLUGIN_LENENC | MY_CAP_SESSION_TRACK | MY_CAPS_LATE)

/* ---- status flags ---- */

#define MY_ST_IN_TRANS     0x0001u
#define MY_ST_AUTOCOMMIT   0x0002u
#define MY_ST_MORE_RESULTS 0x0008u
#define MY_ST_CURSOR       0x0040u
#define MY_ST_LAST_ROW     0x0080u
#define MY_ST_OUT_PARAMS   0x1000u /* what a prepared CALL leaves in its parameters */
/* What outlives the statement that it was said of: in a transaction, autocommit, the two modes of
 * reading texts, a read-only transaction. */
#define MY_ST_LASTING       (1u | 2u | 0x200u | 0x2000u | 0x8000u)
#define MY_ST_STATE_CHANGED 0x4000u

/* ---- commands ---- */

enum my_command {
    MY_COM_SLEEP = 0x00,
    MY_COM_QUIT = 0x01,
    MY_COM_INIT_DB = 0x02,
    MY_COM_QUERY = 0x03,
    MY_COM_FIELD_LIST = 0x04,
    MY_COM_REFRESH = 0x07,
    MY_COM_SHUTDOWN = 0x08,
    MY_COM_STATISTICS = 0x09,
    MY_COM_PROCESS_INFO = 0x0a,
    MY_COM_PROCESS_KILL = 0x0c,
    MY_COM_DEBUG = 0x0d,
    MY_COM_PING = 0x0e,
    MY_COM_CHANGE_USER = 0x11,
    MY_COM_BINLOG_DUMP = 0x12,
    MY_COM_TABLE_DUMP = 0x13,
    MY_COM_REGISTER_SLAVE = 0x15,
    MY_COM_STMT_PREPARE = 0x16,
    MY_COM_STMT_EXECUTE = 0x17,
    MY_COM_STMT_SEND_LONG_DATA = 0x18,
    MY_COM_STMT_CLOSE = 0x19,
    MY_COM_STMT_RESET = 0x1a,
    MY_COM_SET_OPTION = 0x1b,
    MY_COM_STMT_FETCH = 0x1c,
    MY_COM_BINLOG_DUMP_GTID = 0x1e,
    MY_COM_RESET_CONNECTION = 0x1f,
    MY_COM_STMT_BULK_EXECUTE = 0xfa,
};

/* ---- errors ---- */

#define MY_ER_CON_COUNT            1040 /* 08004 */
#define MY_ER_DB_ACCESS_DENIED     1044 /* 42000 */
#define MY_ER_ACCESS_DENIED        1045 /* 28000 */
#define MY_ER_UNKNOWN_COM          1047 /* 08S01 */
#define MY_ER_HANDSHAKE            1043 /* 08S01 */
#define MY_ER_BAD_DB               1049 /* 42000 */
#define MY_ER_BAD_TABLE            1051 /* 42S02 */
#define MY_ER_SERVER_SHUTDOWN      1053 /* 08S01 */
#define MY_ER_NO_SUCH_THREAD       1094 /* HY000 */
#define MY_ER_PACKET_TOO_LARGE     1153 /* 08S01 */
#define MY_ER_MALFORMED            1835 /* HY000 */
#define MY_ER_WRONG_ARGUMENTS      1210 /* HY000 */
#define MY_ER_USER_CONNECTIONS     1203 /* 42000 */
#define MY_ER_LOCK_DEADLOCK        1213 /* 40001 */
#define MY_ER_UNKNOWN_STMT         1243 /* HY000 */
#define MY_ER_UNSUPPORTED_PS       1295 /* HY000 */
#define MY_ER_QUERY_INTERRUPTED    1317 /* 70100 */
#define MY_ER_USER_LIMIT           1226 /* 42000 */
#define MY_ER_WRONG_VALUE_FOR_VAR  1231 /* 42000 */
#define MY_ER_MAX_PREPARED         1461 /* 42000 */
#define MY_ER_CLIENT_INTERACTION   4031 /* HY000 */
#define MY_ER_OUT_OF_RESOURCES     1041 /* HY000 */
#define MY_ER_NOT_SUPPORTED_AUTH   1251 /* 08004 */
#define MY_ER_PACKETS_OUT_OF_ORDER 1156 /* 08S01 */
#define MY_ER_NET_READ_INTERRUPTED 1159 /* 08S01 */
#define MY_ER_SECURE_TRANSPORT     3159 /* HY000 */
#define MY_ER_UNKNOWN              1105 /* HY000 */
#define MY_ER_LOCAL_INFILE         4166 /* HY000, MariaDB's number */
#define MY_ER_LOCAL_INFILE_MYSQL   3948 /* 42000 */
#define MY_ER_ACCESS_DENIED_NOPW   1698 /* 28000 */
#define MY_CR_CONN_HOST            2003
#define MY_CR_SERVER_LOST          2013
/* What MariaDB's Connector/C is told instead: from a server it takes 2000 to 2999 for a malformed
 * packet, and its user would see that and not the text. */
#define MY_ER_NET_READ           1158 /* 08S01 */
#define MY_ER_CONNECT_TO_FOREIGN 1429 /* HY000 */

#endif
