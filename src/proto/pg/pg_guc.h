/* SPDX-License-Identifier: ISC
 * Session settings as immutable, interned sets: name -> value.
 *
 * Thousands of clients have a handful of different settings between them. Each distinct set exists
 * once per table, so a client's settings are one pointer, "nothing differs" is one comparison, and
 * a set's SQL need not be thought about until two pointers differ. Entries are interned as well:
 * two sets share what they have in common.
 *
 * A table belongs to one worker: no lock, and sets of different tables must not meet. To another
 * worker a set travels packed (pg_guc_pack). A set is handed out with one reference, which
 * pg_guc_put() gives back. Every operation leaves its arguments as they were.
 *
 * Names are compared without regard to ASCII case and kept in lower case, but for PG_GUC_REPORT,
 * whose names (DateStyle, TimeZone) are kept as the server spelled them.
 *
 * Bounds: PG_GUC_ENTRIES_MAX entries, a value up to PG_GUC_VALUE_MAX, a set up to PG_GUC_SET_MAX
 * bytes. What exceeds them gets NULL, like running out of memory, and the caller pins the client.
 */
#ifndef WEIR_PROTO_PG_GUC_H
#define WEIR_PROTO_PG_GUC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define PG_GUC_ENTRIES_MAX 256
#define PG_GUC_NAME_MAX    127
#define PG_GUC_VALUE_MAX   (64u * 1024)
#define PG_GUC_SET_MAX     (256u * 1024)

struct pg_guc_table;
struct pg_guc_set;

enum pg_guc_form {
    PG_GUC_PLAIN,  /* a string: quoted when replayed */
    PG_GUC_RAW,    /* SQL as the client wrote it after TO; must come from PG_SCAN_SET_SIMPLE */
    PG_GUC_REPORT, /* a ParameterStatus; never replayed */
};

/* One entry as seen from outside; the strings are NUL-terminated, owned by the set. */
struct pg_guc_entry {
    const char *name;
    const char *value;
    uint32_t name_len;
    uint32_t value_len;
    enum pg_guc_form form;
    bool proven;
};

/* What pg_guc_diff() has to say about the SQL that it wrote. */
struct pg_guc_diff {
    uint32_t changes; /* 0: nothing to send */
    uint32_t split;   /* not 0: the text is two Query messages, the second begins here, because
                         client_encoding changes and what follows is not ASCII */
    bool proven;      /* every value was accepted by a server before */
    bool privileged;  /* role or session_authorization: don't send it in one write with a client's
                         message, which would run with the wrong rights if this SQL failed */
};

struct pg_guc_table *pg_guc_table_create(void);
/* Every set must have been put back. */
void pg_guc_table_destroy(struct pg_guc_table **table);

/* The empty set. */
struct pg_guc_set *pg_guc_empty(struct pg_guc_table *table);
struct pg_guc_set *pg_guc_get(struct pg_guc_set *set);
/* Gives the reference back and clears the pointer; NULL is fine. */
void pg_guc_put(struct pg_guc_set **set);

/* A set in which `name` has this value, or NULL (bounds, memory, a name that no setting can have,
 * a NUL in the value). */
struct pg_guc_set *pg_guc_with(struct pg_guc_set *set, const char *name, size_t name_len,
                               enum pg_guc_form form, const char *value, size_t value_len)
    __attribute__((warn_unused_result));
/* A set without `name`: the same one if it isn't there. */
struct pg_guc_set *pg_guc_without(struct pg_guc_set *set, const char *name, size_t name_len)
    __attribute__((warn_unused_result));

uint32_t pg_guc_count(const struct pg_guc_set *set);
/* The i-th entry, in the order of the names. */
struct pg_guc_entry pg_guc_at(const struct pg_guc_set *set, uint32_t i);
bool pg_guc_find(const struct pg_guc_set *set, const char *name, size_t name_len,
                 struct pg_guc_entry *out);

/* Every value of this set was accepted by a server. What one database accepts another may refuse,
 * so keep a table per database and user where that matters. */
void pg_guc_mark_proven(struct pg_guc_set *set);

/* Append to `sql` the statements that bring a server connection from `have` to `want`, not
 * NUL-terminated, "; " between them. `base` (may be NULL) is what the connection got when it was
 * opened: RESET leads there, and it counts as what the server has where `have` is silent.
 * Order: rights are taken back first, granted last. False when out of memory; then `sql` is as it
 * was. transaction_* is never written. */
bool pg_guc_diff(const struct pg_guc_set *have, const struct pg_guc_set *want,
                 const struct pg_guc_set *base, struct buf *sql, struct pg_guc_diff *out)
    __attribute__((warn_unused_result));

/* Call `emit` for each entry of `to` that is not the same in `from`. An entry that only `from` has
 * is passed over: the protocol can't take a ParameterStatus back. */
void pg_guc_each_difference(const struct pg_guc_set *from, const struct pg_guc_set *to,
                            void (*emit)(void *arg, const struct pg_guc_entry *entry), void *arg);

/* A set as bytes, for the way to another worker's table; false when out of memory. */
bool pg_guc_pack(const struct pg_guc_set *set, struct buf *out) __attribute__((warn_unused_result));
/* NULL when the bytes are not exactly one packed set, or out of memory. */
struct pg_guc_set *pg_guc_unpack(struct pg_guc_table *table, const void *bytes, size_t len)
    __attribute__((warn_unused_result));

#endif
