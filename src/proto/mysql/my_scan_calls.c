/* SPDX-License-Identifier: ISC
 * See my_scan.h: calls of functions that are not the server's. What such a one does to the session
 * is not in the text. A name that is taken for one by mistake, a table's say, is asked about for
 * nothing.
 */
#include "config.h"

#include "base/fnv.h"
#include "proto/mysql/my_scan_priv.h"

#include <stdlib.h>

#define NAME_ROOM 27u

static const char builtin[][NAME_ROOM] = {
#define MY_BUILTIN(name) name,
#include "proto/mysql/my_builtin.def"
#undef MY_BUILTIN
};

static uint8_t upper(char c)
{
    return (uint8_t)(c >= 'a' && c <= 'z' ? c - 32 : c);
}

struct word {
    const char *p;
    uint32_t n;
};

/* For bsearch(): as strcmp() has it, of the word in capital letters. */
static int compare(const void *key, const void *row)
{
    const struct word *w = key;
    const char *name = row;
    for (uint32_t i = 0; i < w->n; i++)
        if (upper(w->p[i]) != (uint8_t)name[i])
            return upper(w->p[i]) - (uint8_t)name[i];
    return -(int)(uint8_t)name[w->n];
}

static bool is_builtin(const char *p, uint32_t n)
{
    const struct word w = {p, n};
    if ((n > 3 && my_word_is(p, 3, "ST_", 3)) || (n > 5 && my_word_is(p, 5, "JSON_", 5)))
        return true;
    return n < NAME_ROOM && bsearch(&w, builtin, sizeof builtin / sizeof builtin[0],
                                    sizeof builtin[0], compare) != NULL;
}

static uint32_t skip_space_back(const char *p, uint32_t end)
{
    while (end > 0 && (my_lex_class[(uint8_t)p[end - 1]] & MY_C_SPACE) != 0)
        end--;
    return end;
}

/* Where the name begins that ends at `end`; `end`: there is none. */
static uint32_t begin_of(const char *p, uint32_t end)
{
    uint32_t at = end;
    if (end > 1 && (p[end - 1] == '`' || p[end - 1] == '"')) {
        for (at = end - 1; at > 0 && p[at - 1] != p[end - 1];)
            at--;
        return at > 0 ? at - 1 : end;
    }
    while (at > 0 && my_is_name((uint8_t)p[at - 1]))
        at--;
    return at;
}

static bool is_number(const char *p, uint32_t n)
{
    while (n > 0 && (my_lex_class[(uint8_t)p[n - 1]] & MY_C_DIGIT) != 0)
        n--;
    return n == 0;
}

bool my_scan_is_call(const char *text, uint32_t end, struct my_span *name)
{
    end = skip_space_back(text, end);
    uint32_t at = begin_of(text, end);
    if (is_number(text + at, end - at)) /* or nothing */
        return false;
    uint32_t before = skip_space_back(text, at);
    if (before > 1 && text[before - 1] == '.') { /* of a schema */
        before = skip_space_back(text, before - 1);
        at = begin_of(text, before);
        before = skip_space_back(text, at);
    } else if (is_builtin(text + at, end - at)) {
        return false;
    }
    uint32_t word = begin_of(text, before);
    *name = (struct my_span){at, end - at};
    return !my_word_is(text + word, before - word, "INTO", 4); /* a table and its columns */
}

void my_scan_add_call(struct scanner *s, struct my_span name)
{
    uint32_t h = s->out->calls != 0 ? s->out->calls : FNV_START;
    for (uint32_t i = 0; i < name.len; i++) {
        uint8_t c = upper(s->lex.text[name.at + i]);
        h = fnv_add(h, &c, 1);
    }
    h = fnv_add(h, "(", 1);
    s->out->calls = h != 0 ? h : 1;
}
