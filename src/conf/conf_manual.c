/* SPDX-License-Identifier: ISC
 * The manual of the file: docs/configuration.md and weir.ini(5), written from the same rows that
 * the parser reads. The content is here once; two writers know how each form marks it up.
 */
#include "config.h"

#include "conf/conf_describe.h"

#include "conf/conf_priv.h"

#include <stdio.h>
#include <string.h>

/* What a form has to be able to say. Texts may hold `code`. */
struct writer {
    void (*heading)(FILE *to, const char *text);
    void (*para)(FILE *to, const char *text);
    void (*example)(FILE *to, const char *lines);
    /* A setting or option: its name, the facts about it, what it does, a note or "". */
    void (*term)(FILE *to, const char *name, const char *facts, const char *help, const char *note);
};

/* --- Markdown --- */

static void md_heading(FILE *to, const char *text)
{
    (void)fprintf(to, "\n## %s\n", text);
}

static void md_para(FILE *to, const char *text)
{
    (void)fprintf(to, "\n%s\n", text);
}

static void md_example(FILE *to, const char *lines)
{
    (void)fprintf(to, "\n```ini\n%s```\n", lines);
}

static void md_term(FILE *to, const char *name, const char *facts, const char *help,
                    const char *note)
{
    (void)fprintf(to, "\n- **`%s`**%s%s  \n  %s%s%s\n", name, facts[0] == '\0' ? "" : " — ", facts,
                  help, note[0] == '\0' ? "" : " ", note);
}

/* --- man --- */

/* Roff: backslashes, hyphens and a dot at the start of a line mean something; `code` is bold. */
static void man_text(FILE *to, const char *text)
{
    bool bold = false;
    for (const char *p = text; *p != '\0'; p++) {
        bool first = p == text || p[-1] == '\n';
        if (*p == '`') {
            bold = !bold;
            (void)fputs(bold ? "\\fB" : "\\fR", to);
        } else if (*p == '\\') {
            (void)fputs("\\e", to);
        } else if (*p == '-') {
            (void)fputs("\\-", to);
        } else if (first && (*p == '.' || *p == '\'')) {
            (void)fprintf(to, "\\&%c", *p);
        } else {
            (void)fputc(*p, to);
        }
    }
}

static void man_heading(FILE *to, const char *text)
{
    (void)fputs(".SH \"", to);
    man_text(to, text);
    (void)fputs("\"\n", to);
}

static void man_para(FILE *to, const char *text)
{
    (void)fputs(".PP\n", to);
    man_text(to, text);
    (void)fputc('\n', to);
}

static void man_example(FILE *to, const char *lines)
{
    (void)fputs(".PP\n.nf\n.RS 4\n", to);
    man_text(to, lines);
    (void)fputs(".RE\n.fi\n", to);
}

static void man_term(FILE *to, const char *name, const char *facts, const char *help,
                     const char *note)
{
    (void)fputs(".TP\n.B ", to);
    man_text(to, name);
    (void)fputc('\n', to);
    man_text(to, help);
    if (note[0] != '\0') {
        (void)fputc('\n', to);
        man_text(to, note);
    }
    if (facts[0] != '\0') {
        (void)fputs("\n.br\n(", to);
        man_text(to, facts);
        (void)fputc(')', to);
    }
    (void)fputc('\n', to);
}

/* --- the content --- */

static void write_file(const struct writer *w, FILE *to)
{
    w->heading(to, "The file");
    w->para(to, "Sections in brackets, `key = value` below them. A line that starts with `;` or "
                "`#` is a comment, and so is what follows a blank and `;` outside single quotes. "
                "`%include name` reads another file. `[weir]` holds the settings; `[pgbouncer]` is "
                "accepted for the same, so that a pgbouncer.ini starts weir as it is: then `;` "
                "inside a line is nothing special, a duplicate is a warning, and PgBouncer's "
                "default holds for the settings that name one below.");
    w->para(to, "Times take `ms`, `s`, `min`, `h`, `d`; a bare number is seconds. Sizes take "
                "`kB`, `MB`, `GB`; a bare number is bytes. Switches are 0 or 1, no or yes, off or "
                "on.");
    w->para(to, "Later sources win: defaults, the file, the environment (`WEIR_<KEY>` for every "
                "setting, `WEIR_URL` and `WEIR_URL_<NAME>` for a database), the command line. A "
                "relative name of a file is looked for beside the configuration file, then in the "
                "working directory.");
    w->para(to, "An unknown key, a value out of range, a duplicate: an error with file and line, "
                "all of them at once. On reload the running settings stay then.");
    w->example(to, "[weir]\n"
                   "listen_addr = 127.0.0.1\n"
                   "max_server_connections = 80     ; for each database server\n"
                   "auth_file = userlist.txt\n"
                   "\n"
                   "[databases]\n"
                   "shop   = postgres://app@db1.internal:5432/shop?sslmode=verify-full\n"
                   "legacy = host=db2 port=5432 dbname=old user=app\n"
                   "*      = postgres://db1.internal:5432\n"
                   "\n"
                   "[servers]\n"
                   "db1.internal:5432 = max_server_connections=40\n"
                   "\n"
                   "[users]\n"
                   "app = pool_size=50\n"
                   "\n"
                   "[functions]\n"
                   "getUsers = guarantee=5 limit=30 weight=2\n"
                   "*        = limit=30\n");
}

static void write_settings(const struct writer *w, FILE *to)
{
    for (int group = 0; group < CONF_GROUP_COUNT; group++) {
        char heading[96];
        (void)snprintf(heading, sizeof heading, "[weir]: %s",
                       conf_group_title((enum conf_group)group));
        w->heading(to, heading);
        const struct conf_setting *row;
        for (size_t i = 0; (row = conf_setting_at(i)) != NULL; i++) {
            if ((int)row->group != group)
                continue;
            char range[192], facts[512], pgb[64] = "";
            conf_setting_range(row, range, sizeof range);
            if (row->pgb_defval != NULL)
                (void)snprintf(pgb, sizeof pgb, " (under [pgbouncer]: %s)",
                               row->pgb_defval[0] == '\0' ? "empty" : row->pgb_defval);
            (void)snprintf(facts, sizeof facts, "default %s%s%s%s%s",
                           row->defval[0] == '\0' ? "empty" : row->defval, pgb,
                           range[0] == '\0' ? "" : "; ", range,
                           row->reload ? "" : "; needs a restart");
            w->term(to, row->name, facts, row->help, row->note);
        }
    }
}

static void write_options(const struct writer *w, FILE *to, enum conf_kind kind)
{
    const struct conf_setting *row;
    for (size_t i = 0; (row = conf_option_at(kind, i)) != NULL; i++) {
        char range[192];
        conf_setting_range(row, range, sizeof range);
        w->term(to, row->name, range, row->help, "");
    }
}

static void write_databases(const struct writer *w, FILE *to)
{
    w->heading(to, "[databases]");
    w->para(to, "`name = connection`. The connection is a URL (`postgres://`, `postgresql://`, "
                "`mysql://`, `mariadb://`; percent-encoded; several hosts as `h1:p1,h2:p2`; "
                "options behind `?`, or after a blank), or PgBouncer's list of `key=value`, where "
                "a value with a blank stands in single quotes and a quote inside is doubled. The "
                "name `*` takes every name that has no line of its own. A name with special "
                "characters stands in double quotes.");
    w->para(to,
            "For PostgreSQL every connection parameter of libpq may be given (host, hostaddr, "
            "port, sslmode, sslrootcert, target_session_attrs, service, passfile, options and "
            "the others), and client_encoding, datestyle and timezone. For MySQL there are host, "
            "port, socket (the Unix socket's file), charset, connect_timeout, ssl-mode (as "
            "MySQL's programs have it, or sslmode as libpq), ssl-ca, ssl-cert and ssl-key. "
            "Beside them:");
    write_options(w, to, CONF_KIND_DATABASE);
    w->term(to, "password_file", "", "A file whose first line is the password.", "");
    w->term(to, "password_env", "", "An environment variable that holds the password.", "");
}

static void write_entries(const struct writer *w, FILE *to)
{
    write_databases(w, to);
    w->heading(to, "[servers]");
    w->para(to, "`host:port = option=value ...`, named as in [databases], lists included: "
                "`h1:5432,h2:5432`.");
    write_options(w, to, CONF_KIND_SERVER);
    w->heading(to, "[users]");
    w->para(to, "`user = option=value ...`. A user's option comes before the database's, which "
                "comes before the setting.");
    write_options(w, to, CONF_KIND_USER);
    w->heading(to, "[functions]");
    w->para(to, "`name = option=value ...`. A name may be a glob (`report_*`). The line of exactly "
                "the name holds, else the first glob that fits, and `*` last; lines are not added "
                "up.");
    write_options(w, to, CONF_KIND_FUNCTION);
}

static void write_auth_file(const struct writer *w, FILE *to)
{
    w->heading(to, "The auth_file");
    w->para(to, "One user a line, both in double quotes (a quote inside is doubled); `;` or `#` "
                "starts a comment line. The secret is a plain password, or what the database "
                "stores: `md5` and 32 hexadecimal digits, `SCRAM-SHA-256$...`, `*` and 40 "
                "hexadecimal digits, `$A$005$...`.");
    w->example(to, "\"app\" \"secret\"\n"
                   "\"report\" \"SCRAM-SHA-256$4096:c2FsdA==$...:...\"\n");
}

static void write_ignored(const struct writer *w, FILE *to)
{
    const struct conf_ignored *row;
    w->heading(to, "Settings of PgBouncer without meaning here");
    w->para(to, "Each is one warning when it is given, never a refusal; so is a [peers] section.");
    for (size_t i = 0; (row = conf_ignored_at(i)) != NULL; i++)
        w->term(to, row->name, "", row->why, "");
}

static void write_all(const struct writer *w, FILE *to)
{
    write_file(w, to);
    write_settings(w, to);
    write_entries(w, to);
    write_auth_file(w, to);
    write_ignored(w, to);
}

void conf_describe_markdown(FILE *to)
{
    static const struct writer w = {md_heading, md_para, md_example, md_term};
    (void)fputs("# Configuration of weir\n\nGenerated from the table of settings "
                "(`src/conf/conf_settings.def`); don't edit.\n",
                to);
    write_all(&w, to);
}

void conf_describe_man(FILE *to)
{
    static const struct writer w = {man_heading, man_para, man_example, man_term};
    (void)fputs(".\\\" Generated from the table of settings; don't edit.\n"
                ".TH WEIR.INI 5 \"\" \"weir " PACKAGE_VERSION "\" \"weir\"\n"
                ".SH NAME\nweir.ini \\- configuration of weir, the SQL connection proxy\n",
                to);
    write_all(&w, to);
    (void)fputs(".SH \"SEE ALSO\"\n.BR weir (1)\n", to);
}
