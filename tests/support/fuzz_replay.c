/* The main of a fuzz target that is built without libFuzzer: runs it on every file of the folders
 * named, or on the files named. So a build without clang still runs all that fuzzing ever found.
 *
 * Each input stands in memory of exactly its size. A folder that has nothing to run is a mistake in
 * the call, and fails. */
#include "tests/support/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool run_file(const char *path)
{
    struct stat about;
    FILE *file = fopen(path, "rb");
    if (!file || stat(path, &about) != 0) {
        perror(path);
        return false;
    }
    const size_t len = (size_t)about.st_size;
    uint8_t *bytes = malloc(len ? len : 1);
    const bool whole = bytes && fread(bytes, 1, len, file) == len;
    if (whole) {
        printf("%s\n", path); /* before the run: the last one printed is the culprit */
        fflush(stdout);
        LLVMFuzzerTestOneInput(bytes, len);
    }
    free(bytes);
    fclose(file);
    return whole;
}

static int order(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool run_folder(const char *path)
{
    struct dirent **entries;
    const int count = scandir(path, &entries, is_visible, order);
    if (count < 0) {
        perror(path);
        return false;
    }
    bool good = count > 0;
    for (int i = 0; i < count; i++) {
        char name[4096];
        const int len = snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        good = len > 0 && (size_t)len < sizeof name && run_file(name) && good;
        free(entries[i]);
    }
    free(entries);
    return good;
}

int main(int argc, char **argv)
{
    bool good = argc > 1;
    for (int i = 1; i < argc; i++) {
        struct stat about;
        const bool is_folder = stat(argv[i], &about) == 0 && S_ISDIR(about.st_mode);
        good = (is_folder ? run_folder(argv[i]) : run_file(argv[i])) && good;
    }
    if (!good)
        fprintf(stderr, "usage: %s FILE|FOLDER..., each with something to run\n", argv[0]);
    return good ? 0 : 1;
}
