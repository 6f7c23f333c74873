/* SPDX-License-Identifier: ISC
 * Session settings as immutable, interned sets: name -> value.
 *
 * Thousands of clients have a handful of different settings between them. Each distinct set exists
 * once per table, so a client's settings are one pointer, "nothing differs" is one comparison, and
 * a set's SQL need not be thought about until two pointers differ. Entries are interned as well:
 * two sets share what they have in common.
 *
 * A table belongs to one worker: no lock, and sets of different tables must not meet. To another
 * worker a set travels packed (var_set_pack). A set is handed out with one reference, which
 * var_set_put() gives back. Every operation leaves its arguments as they were.
 *
 * Names are compared without regard to ASCII case and kept in lower case, but for VAR_REPORT,
 * whose names (DateStyle, TimeZone) are kept as the server spelled them.
 *
 * Bounds: VAR_ENTRIES_MAX entries, a value up to VAR_VALUE_MAX, a set up to VAR_SET_MAX
 * bytes. What exceeds them gets NULL, like running out of memory, and the caller pins the client.
 */
#ifndef WEIR_PROTO_VARS_VAR_SET_H
#define WEIR_PROTO_VARS_VAR_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define VAR_ENTRIES_MAX 256
#define VAR_NAME_MAX    127
#define VAR_VALUE_MAX   (64u * 1024)
#define VAR_SET_MAX     (256u * 1024)

struct var_table;
struct var_set;

enum var_form {
    VAR_PLAIN,  /* a string: quoted when replayed */
    VAR_RAW,    /* SQL as the client wrote it after TO; must come from a scanner that knows it to be
                   one value */
    VAR_BYTES,  /* a string that isn't ASCII, as a startup packet has it: in the database's own
                   encoding, whatever client_encoding is. PostgreSQL only */
    VAR_REPORT, /* a ParameterStatus; never replayed */
};

/* One entry as seen from outside; the strings are NUL-terminated, owned by the set. */
struct var_entry {
    const char *name;
    const char *value;
    uint32_t name_len;
    uint32_t value_len;
    enum var_form form;
    bool proven;
};

struct var_table *var_table_create(void);
/* Every set must have been put back. */
void var_table_destroy(struct var_table **table);

/* The empty set. */
struct var_set *var_set_empty(struct var_table *table);
struct var_set *var_set_get(struct var_set *set);
/* Gives the reference back and clears the pointer; NULL is fine. */
void var_set_put(struct var_set **set);

/* A set in which `name` has this value, or NULL (bounds, memory, a name that no setting can have,
 * a NUL in the value). */
struct var_set *var_set_with(struct var_set *set, const char *name, size_t name_len,
                             enum var_form form, const char *value, size_t value_len)
    __attribute__((warn_unused_result));
/* A set without `name`: the same one if it isn't there. */
struct var_set *var_set_without(struct var_set *set, const char *name, size_t name_len)
    __attribute__((warn_unused_result));

/* Can an entry have this name? */
bool var_name_is_good(const char *name, size_t len);
uint32_t var_set_count(const struct var_set *set);
/* The i-th entry, in the order of the names. */
struct var_entry var_set_at(const struct var_set *set, uint32_t i);
bool var_set_find(const struct var_set *set, const char *name, size_t name_len,
                  struct var_entry *out);

/* Every value of this set was accepted by a server. What one database accepts another may refuse,
 * so keep a table per database and user where that matters. */
void var_set_mark_proven(struct var_set *set);

/* Call `emit` for each entry of `to` that is not the same in `from`. An entry that only `from` has
 * is passed over: the protocol can't take a ParameterStatus back. */
void var_set_each_difference(const struct var_set *from, const struct var_set *to,
                             void (*emit)(void *arg, const struct var_entry *entry), void *arg);

/* A set as bytes, for the way to another worker's table; false when out of memory. */
bool var_set_pack(const struct var_set *set, struct buf *out) __attribute__((warn_unused_result));
/* NULL when the bytes are not exactly one packed set, or out of memory. */
struct var_set *var_set_unpack(struct var_table *table, const void *bytes, size_t len)
    __attribute__((warn_unused_result));

#endif
