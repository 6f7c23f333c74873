/* SPDX-License-Identifier: ISC
 * main() for a fuzz target that was built without libFuzzer: feeds it the files named on the
 * command line, so that every corpus is an ordinary test of `make check` with any compiler.
 *
 * Each input lies in a heap block of exactly its size, where AddressSanitizer or valgrind see the
 * first byte read past it. Inputs of up to PREFIX_MAX bytes are also given cut at every length:
 * a parser must take any beginning of a valid message.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX_MAX 512
#define INPUT_MAX  (16L << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

/* The target sees a copy, never the reader's own buffer. */
static void replay_bytes(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (copy == NULL)
        abort();
    if (size > 0)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = NULL;
    long size;
    int rc = -1;

    if (f == NULL)
        goto out;
    if (fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0 || size > INPUT_MAX)
        goto out;
    rewind(f);
    data = malloc((size_t)size + 1);
    if (data == NULL || fread(data, 1, (size_t)size, f) != (size_t)size)
        goto out;
    /* The name first: after a crash it is the last line of the log. */
    printf("# %s\n", path);
    fflush(stdout);
    replay_bytes(data, (size_t)size);
    if (size <= PREFIX_MAX) {
        for (size_t cut = 0; cut < (size_t)size; cut++)
            replay_bytes(data, cut);
    }
    rc = 0;
out:
    if (rc != 0)
        fprintf(stderr, "%s: can't be read: %s\n", path, strerror(errno));
    free(data);
    if (f != NULL)
        fclose(f);
    return rc;
}

int main(int argc, char **argv)
{
    int failed = 0;

    if (LLVMFuzzerInitialize != NULL)
        LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++)
        failed |= replay_file(argv[i]) != 0;
    return failed;
}
