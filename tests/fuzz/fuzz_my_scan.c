/* SPDX-License-Identifier: ISC
 * The scanner of MySQL's texts on arbitrary bytes. The first two bytes choose the options. Checked
 * beside memory: spans lie inside the text and in its order, the meaning doesn't depend on what is
 * behind the end, a text that is not all there promises nothing, and the two short cuts (texts told
 * by their characters, words skimmed over) find what reading every token finds.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mysql/my_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const unsigned versions[] = {
    0,
    101119u << MY_SCAN_VERSION_SHIFT | MY_SCAN_MARIADB,
    90704u << MY_SCAN_VERSION_SHIFT,
    80036u << MY_SCAN_VERSION_SHIFT,
};

static void check_span(struct my_span at, size_t len)
{
    assert(at.at <= len && at.len <= len - at.at);
}

static void check_names(const char *text, size_t len, const struct my_scan *s, unsigned opts)
{
    char name[64], again[64];
    assert(s->n_names <= MY_SCAN_NAMES && s->n_assigns <= MY_SCAN_ASSIGNS &&
           s->n_volatiles <= MY_SCAN_VOLATILES);
    for (uint32_t i = 0; i < s->n_names; i++) {
        check_span(s->names[i].text, len);
        assert((s->names[i].what & s->flags) == s->names[i].what);
        size_t n = my_scan_name(text, s->names[i].text, name, sizeof name);
        assert(n < sizeof name && n == my_scan_ident(text, s->names[i].text, again, sizeof again));
    }
    for (uint32_t i = 0; i < s->n_assigns; i++) {
        const struct my_scan_assign *a = &s->assigns[i];
        check_span(a->name, len);
        check_span(a->value, len);
        assert(i == 0 || a->name.at >= a[-1].name.at + a[-1].name.len);
        assert(a->scope == MY_SCOPE_NAMES || a->value.at >= a->name.at + a->name.len);
        if (my_scan_literal(text, a->value, opts, name, sizeof name))
            assert(memchr(name, 0, sizeof name) != NULL);
        assert(my_scan_name(text, a->name, name, sizeof name) < sizeof name);
    }
}

static void check(const char *text, size_t len, const struct my_scan *s, unsigned opts)
{
    assert(s->statements >= 1);
    check_names(text, len, s, opts);
    for (uint32_t i = 0; i < s->n_volatiles; i++) {
        const struct my_scan_volatile *v = &s->volatiles[i];
        check_span(v->text, len);
        assert(v->text.len != 0 && v->kind <= MY_V_CONNECTION_ID);
        assert(i == 0 || v->text.at >= v[-1].text.at + v[-1].text.len);
    }
    if (s->alone)
        assert(s->statements == 1 && s->n_volatiles == 1 && s->volatiles[0].item);
    if ((opts & MY_SCAN_CUT) != 0) {
        const uint64_t promises = MY_DO_SET | MY_DO_USE | MY_DO_COMMIT | MY_DO_ROLLBACK;
        assert(!s->alone && (s->flags & MY_DO_SHOW_WARNINGS) == 0);
        assert((s->flags & promises) == 0 || (s->flags & ~promises) != 0 || s->statements > 1);
    }
}

/* A quote without an end is the server's to refuse; a short cut need not see it (TOO_MUCH). */
static void check_equal(const struct my_scan *a, const struct my_scan *b, uint64_t may_differ)
{
    assert(((a->flags ^ b->flags) & ~may_differ) == 0);
    assert(a->statements == b->statements && a->n_names == b->n_names);
    assert(a->n_assigns == b->n_assigns && a->n_volatiles == b->n_volatiles);
    assert(a->alone == b->alone);
    assert(a->no_table == b->no_table || ((a->flags | b->flags) & may_differ) != 0);
    for (uint32_t i = 0; i < a->n_volatiles; i++)
        assert(a->volatiles[i].kind == b->volatiles[i].kind &&
               a->volatiles[i].item == b->volatiles[i].item);
}

/* With white space in front no text is told by its characters, by which a FROM in quotes is taken
 * for one: it reads a table then. */
static void check_plain(const char *text, size_t len, unsigned opts, const struct my_scan *s)
{
    struct my_scan spaced;
    char *copy = malloc(len + 1);
    assert(copy != NULL);
    copy[0] = '\n';
    memcpy(copy + 1, text, len);
    my_scan(copy, len + 1, opts, &spaced);
    spaced.no_table &= s->no_table;
    check_equal(s, &spaced, MY_DO_TOO_MUCH);
    free(copy);
}

/* In a character set of single bytes nothing is skimmed over. What a line comment may begin with is
 * in doubt there, and whether a number that goes over into letters is a function's name. */
static void check_skimmed(const char *text, size_t len, unsigned opts, const struct my_scan *s)
{
    struct my_scan slow;
    for (size_t i = 2; i < len; i++)
        if ((uint8_t)text[i] >= 0x7f && text[i - 1] == '-' && text[i - 2] == '-')
            return;
    my_scan(text, len, opts | (unsigned)MY_CHARSET_BYTES << MY_SCAN_CHARSET_SHIFT, &slow);
    slow.no_table &= s->no_table;
    check_equal(s, &slow, MY_DO_TOO_MUCH | MY_DO_FUNCTION);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct my_scan a, b;
    if (size < 2)
        return 0;
    unsigned charset = data[1] & 7u;
    unsigned opts = (data[0] & 7u) | charset << MY_SCAN_CHARSET_SHIFT | versions[data[1] >> 3 & 3];
    size_t len = size - 2;
    char *text = malloc(len + (len == 0)), *longer = malloc(len + 16);
    assert(text != NULL && longer != NULL);
    memcpy(text, data + 2, len);
    memcpy(longer, data + 2, len);
    memcpy(longer + len, "'`\"*/(@ 12345678", 16);
    memset(&a, 0x5a, sizeof a);
    memset(&b, 0xa5, sizeof b);
    my_scan(text, len, opts, &a);
    my_scan(longer, len, opts, &b);
    check(text, len, &a, opts);
    check_equal(&a, &b, MY_DO_TOO_MUCH);
    assert(a.flags == b.flags);
    if ((a.flags & MY_DO_KILL) != 0)
        assert(a.kill_id == b.kill_id && a.kill_query == b.kill_query);
    check_plain(text, len, opts, &a);
    if (charset == MY_CHARSET_PLAIN)
        check_skimmed(text, len, opts, &a);
    free(longer);
    free(text);
    return 0;
}
