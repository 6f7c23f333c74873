/* SPDX-License-Identifier: ISC
 * What functions and triggers of the user's own do to the session, unseen. See pg_session.h.
 *
 * `SELECT f()` shows nothing of a temporary table that f() makes, a role that it sets, a lock that
 * it takes; `INSERT INTO t` nothing of t's triggers, `SELECT FROM v` of the functions in a view. So
 * when a loan is over in which a function, a table or a view was used of which nothing is known
 * yet, the server is asked what is there (PG_PH_TRUTH), as after a text that shows it. If it is as
 * before the name counts as harmless from then on, on every connection: the question costs a round
 * trip once for each name, not for each use. Whoever changes something is asked about each time.
 *
 * A name is as its database, its user and the search_path see it, and with its schema if it was
 * said; what is done to a table counts, for triggers are for one of that. Where something is used
 * that has no name to be read (a comment in front of a parenthesis), or more than there is room
 * for, it is asked each time.
 *
 * What changes a function, a trigger or a view makes all names unknown again, once it is done and
 * once it is committed, and so does time: not everybody who changes them comes through here.
 *
 * The server doesn't list custom settings (my.var): they are asked for by the names that functions'
 * sources show. What does so only now and then is found harmless in between. See
 * docs/known-gaps.md.
 */
#include "config.h"

#include "base/fnv.h"
#include "proto/pg/pg_scan.h"
#include "proto/pg/pg_session.h"
#include "proto/pg/pg_text.h"

#include <stdatomic.h>
#include <string.h>

/* Marks of harmless names, each as one database, user and search_path has it: two bits for each.
 * Too full it would have names that nobody knows: then all are forgotten. */
#define BITS      (1u << 20)
#define BITS_MAX  (BITS / 4)
#define FORGET_US (UINT64_C(60) * 1000000)
static _Atomic uint64_t harmless[BITS / 64];
static _Atomic uint32_t n_bits;
static _Atomic uint32_t generation = 1; /* of what is known; a statement notes it */
static _Atomic uint64_t since_us;       /* when all of it was unknown */
/* Sources are read through more rarely: of ten megabytes it takes the server a quarter of a second.
 */
#define SOURCES_EVERY 10u
static _Atomic uint32_t sources = 1;

static bool is_set(uint32_t bit)
{
    uint64_t word = atomic_load_explicit(&harmless[bit / 64], memory_order_relaxed);
    return (word >> bit % 64 & 1) != 0;
}

static uint32_t other_bit(uint32_t mark)
{
    return mark * 2654435769u >> 12;
}

static bool is_harmless(uint32_t mark)
{
    return is_set(mark % BITS) && is_set(other_bit(mark));
}

/* Two threads at once forget twice, which costs a few questions more. */
static void forget(void)
{
    for (size_t word = 0; word < BITS / 64; word++)
        atomic_store_explicit(&harmless[word], 0, memory_order_relaxed);
    atomic_store_explicit(&n_bits, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
}

static void learn(uint32_t mark)
{
    const uint32_t bits[] = {mark % BITS, other_bit(mark)};
    for (size_t i = 0; i < 2; i++) {
        uint64_t bit = UINT64_C(1) << bits[i] % 64;
        uint64_t was = atomic_fetch_or_explicit(&harmless[bits[i] / 64], bit, memory_order_relaxed);
        if ((was & bit) == 0 &&
            atomic_fetch_add_explicit(&n_bits, 1, memory_order_relaxed) >= BITS_MAX)
            forget();
    }
}

/* What is behind a name differs between databases, users and search_paths. */
static uint32_t place_of(const struct pg_client *c, const struct pg_server *s)
{
    struct var_entry e;
    uint32_t place = fnv_add(FNV_START, &s->place, sizeof s->place);
    if (var_set_count(c->current) != 0 && var_set_find(c->current, "search_path", 11, &e))
        place = fnv_add(place, e.value, e.value_len);
    return place;
}

void pg_hidden_begin(struct pg_server *s)
{
    s->n_hidden = 0;
    s->hidden_undone = s->untimed = false;
    if (s->hidden_altered) /* without a COMMIT of its own */
        pg_hidden_on_tag(s, "COMMIT");
}

/* Is all that it uses known? What is not is remembered, as far as there is room. */
static bool note(const struct pg_client *c, struct pg_server *s, uint32_t place,
                 const uint32_t *used, uint32_t n, const char *sql, size_t len)
{
    bool too_many = n > PG_SCAN_USED_MAX;
    uint32_t unknown = too_many;
    for (uint32_t i = 0; !too_many && i < n; i++) {
        uint32_t mark = fnv_add(place, &used[i], sizeof used[i]);
        if (is_harmless(mark))
            continue;
        unknown++;
        if (s->n_hidden < PG_SCAN_USED_MAX)
            s->hidden[s->n_hidden++] = mark;
        else
            too_many = true;
    }
    if (too_many) { /* to be asked about, and nothing to be learnt from the answer */
        s->hidden_undone = true;
        if (s->n_hidden == 0)
            s->n_hidden = 1;
    }
    if (unknown != 0)
        pg_note_pin(c, s, sql, len);
    return unknown == 0;
}

void pg_hidden_note(const struct pg_client *c, struct pg_server *s, const struct pg_scan *scan,
                    const char *sql, size_t n)
{
    if (scan->n_used != 0 && !s->in_session)
        (void)note(c, s, place_of(c, s), scan->used, scan->n_used, sql, n);
}

void pg_hidden_note_stmt(const struct pg_client *c, struct pg_server *s, struct pg_stmt *stmt)
{
    if (s->in_session)
        return;
    uint32_t place = place_of(c, s), now = atomic_load_explicit(&generation, memory_order_relaxed);
    now = fnv_add(place, &now, sizeof now) | 1; /* not 0 */
    if (atomic_load_explicit(&stmt->heard, memory_order_relaxed) == now)
        return;
    if (note(c, s, place, stmt->used, stmt->n_used, (const char *)stmt->body, stmt->text_len))
        atomic_store_explicit(&stmt->heard, now, memory_order_relaxed);
}

/* Names alone: what a value looks like differs between who sets it and the server. */
static bool same_names(const struct var_set *a, const struct var_set *b)
{
    struct var_entry had;
    for (uint32_t i = 0; i < var_set_count(b); i++) {
        struct var_entry e = var_set_at(b, i);
        if (!var_set_find(a, e.name, e.name_len, &had))
            return false;
    }
    return var_set_count(a) == var_set_count(b);
}

void pg_hidden_answered(struct pg_server *s, bool pins_are_new)
{
    if (!s->hidden_undone && !pins_are_new && same_names(s->applied, s->truth))
        for (uint32_t i = 0; i < s->n_hidden; i++)
            learn(s->hidden[i]);
    s->hidden_undone = false;
}

void pg_hidden_age(uint64_t now_us)
{
    uint64_t since = atomic_load_explicit(&since_us, memory_order_relaxed);
    if (now_us < since + FORGET_US) /* another worker may be ahead */
        return;
    atomic_store_explicit(&since_us, now_us, memory_order_relaxed);
    if (since == 0)
        return;
    forget();
    if (atomic_load_explicit(&generation, memory_order_relaxed) % SOURCES_EVERY == 0)
        atomic_fetch_add_explicit(&sources, 1, memory_order_relaxed);
}

uint32_t pg_hidden_sources(void)
{
    return atomic_load_explicit(&sources, memory_order_relaxed);
}

void pg_hidden_on_tag(struct pg_server *s, const char *tag)
{
    static const char *const tags[] = {
        "CREATE FUNCTION", "ALTER FUNCTION", "CREATE EXTENSION",
        "ALTER EXTENSION", "CREATE TRIGGER", "ALTER TABLE",
        "CREATE VIEW",     "CREATE RULE",    "CREATE PROCEDURE",
    };
    if (tag[0] == 'R' && strcmp(tag, "ROLLBACK") == 0) {
        s->hidden_undone = true;
        s->hidden_altered = false;
    }
    if (tag[0] != 'C' && tag[0] != 'A')
        return;
    bool altered = false;
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
        altered = altered || strcmp(tag, tags[i]) == 0;
    /* Up to its COMMIT others have what was there before. */
    bool over =
        strcmp(tag, "COMMIT PREPARED") == 0 || (strcmp(tag, "COMMIT") == 0 && s->hidden_altered);
    s->hidden_altered = altered || (s->hidden_altered && !over);
    if (altered || over) {
        forget();
        atomic_fetch_add_explicit(&sources, 1, memory_order_relaxed);
    }
}
