/* SPDX-License-Identifier: ISC
 * Writes the manual of the settings from their table: docs/configuration.md and docs/weir.ini.5.
 * Built but never installed; `make docs` runs it, and a test compares what is committed.
 */
#include "config.h"

#include "conf/conf_describe.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "markdown") == 0) {
        conf_describe_markdown(stdout);
    } else if (argc == 2 && strcmp(argv[1], "man") == 0) {
        conf_describe_man(stdout);
    } else {
        fprintf(stderr, "usage: gen_docs markdown|man\n");
        return 2;
    }
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
