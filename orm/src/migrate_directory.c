/* The directory of migrations on the disk: which there are, what they hold, and how the next one is
 * made. Strict about everything that ends in .sql and blind to the rest; nothing is half read.
 *
 * Plain blocking file calls: this is a command-line program's code, no server runs in its process.
 *
 * Invariant: a list is sorted by version, and no version is in it twice. */
#include "migrate_file.h"

#include "core/buf.h"
#include "orm/migrate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEW_FILE_TEXT STR("-- migrate:up\n\n\n-- migrate:down\n\n")

/* --- the list -------------------------------------------------------------------------------- */

static int compare_versions(const void *a, const void *b)
{
    const orm_migration *left = a;
    const orm_migration *right = b;
    if (left->version != right->version)
        return left->version < right->version ? -1 : 1;
    return str_compare(left->title, right->title);
}

static error list_add(arena *a, str dir, str file_name, orm_migrations *list)
{
    orm_migration m;
    if (!orm_migration_parse_name(str_copy(a, file_name), &m))
        return error_set(
            &ORM_MIGRATION_BAD,
            "%.*s/%.*s: a migration is named NNNN_name.sql: at least four digits, then "
            "a-z, 0-9 and _",
            STR_ARG(dir), STR_ARG(file_name));
    if (list->count == ORM_MIGRATIONS_MAX)
        return error_set(&ORM_MIGRATION_BAD, "%.*s: more than %d migrations", STR_ARG(dir),
                         ORM_MIGRATIONS_MAX);
    m.path = str_format(a, "%.*s/%.*s", STR_ARG(dir), STR_ARG(file_name));
    list->items[list->count++] = m;
    return OK;
}

/* Room for one more; doubles, so that the arena holds at most twice what is needed. */
static void list_reserve(arena *a, orm_migrations *list, size_t *capacity)
{
    if (list->count < *capacity)
        return;
    const size_t more = *capacity ? *capacity * 2 : 16;
    list->items = arena_grow(a, list->items, *capacity * sizeof(orm_migration),
                             more * sizeof(orm_migration), _Alignof(orm_migration));
    *capacity = more;
}

static error list_entries(arena *a, str dir, DIR *open_dir, orm_migrations *list)
{
    size_t capacity = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(open_dir);
        if (!entry && errno)
            return error_set_errno(&SYSTEM_FAILED, errno, "cannot read the directory %.*s",
                                   STR_ARG(dir));
        if (!entry)
            return OK;
        const str name = str_from_c(entry->d_name);
        if (name.len < 4 || !str_eq_nocase(str_slice(name, name.len - 4, 4), STR(".sql")))
            continue;
        list_reserve(a, list, &capacity);
        TRY(list_add(a, dir, name, list));
    }
}

error orm_migrations_list(arena *a, str dir, orm_migrations *out)
{
    *out = (orm_migrations){ 0 };
    DIR *open_dir = opendir(str_to_c(a, dir));
    if (!open_dir)
        return error_set_errno(&SYSTEM_FAILED, errno,
                               "cannot open the directory of migrations %.*s", STR_ARG(dir));
    const error e = list_entries(a, dir, open_dir, out);
    (void)closedir(open_dir);
    if (e.kind || out->count == 0)
        return e;
    qsort(out->items, out->count, sizeof *out->items, compare_versions);
    for (size_t i = 1; i < out->count; i++) {
        const orm_migration *m = &out->items[i];
        if (m[-1].version == m->version)
            return error_set(&ORM_MIGRATION_BAD, "%.*s and %.*s have the same number",
                             STR_ARG(m[-1].path), STR_ARG(m->path));
    }
    return OK;
}

/* --- reading --------------------------------------------------------------------------------- */

/* Appends all of an open file to `b`. */
static error read_all(int fd, str path, buf *b)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return error_set_errno(&SYSTEM_FAILED, errno, "cannot read %.*s", STR_ARG(path));
    if (!S_ISREG(info.st_mode))
        return error_set(&ORM_MIGRATION_BAD, "%.*s: is not a file", STR_ARG(path));
    if (info.st_size > ORM_MIGRATION_BYTES_MAX)
        return error_set(&ORM_MIGRATION_BAD, "%.*s: is larger than %d MiB", STR_ARG(path),
                         ORM_MIGRATION_BYTES_MAX / 1048576);
    size_t room = (size_t)info.st_size + 1; /* one more, to see the end with the first read */
    for (;;) {
        char *at = buf_reserve(b, room);
        TRY(buf_status(b));
        const ssize_t got = read(fd, at, room);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(&SYSTEM_FAILED, errno, "cannot read %.*s", STR_ARG(path));
        if (got == 0)
            return OK;
        buf_commit(b, (size_t)got);
        room = room > (size_t)got ? room - (size_t)got : 1;
    }
}

/* O_NONBLOCK: a FIFO is refused instead of waited for. */
static error read_file(arena *a, str path, buf *b)
{
    const int fd = open(str_to_c(a, path), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set_errno(&SYSTEM_FAILED, errno, "cannot open %.*s", STR_ARG(path));
    const error e = read_all(fd, path, b);
    (void)close(fd);
    return e;
}

static error read_one(arena *a, orm_migration *m, buf *b)
{
    orm_migration_text text;
    buf_reset(b);
    TRY(read_file(a, m->path, b));
    TRY(orm_migration_parse(m->path, buf_str(b), &text, &m->reversible));
    return orm_migration_checksum(text.up, m->checksum);
}

error orm_migrations_read(arena *a, orm_migrations *migrations)
{
    error e = OK;
    buf b; /* one for all: what the files hold together may be more than an arena does */
    buf_init(&b, ORM_MIGRATION_BYTES_MAX + 1);
    for (size_t i = 0; i < migrations->count && !e.kind; i++)
        e = read_one(a, &migrations->items[i], &b);
    buf_deinit(&b);
    return e;
}

error orm_migration_load(arena *a, const orm_migration *m, orm_migration_text *out)
{
    orm_migration now = *m;
    buf b;
    buf_init_arena(&b, a, ORM_MIGRATION_BYTES_MAX + 1);
    TRY(read_file(a, m->path, &b));
    TRY(orm_migration_parse(m->path, buf_str(&b), out, &now.reversible));
    TRY(orm_migration_checksum(out->up, now.checksum));
    if (memcmp(now.checksum, m->checksum, sizeof now.checksum) != 0)
        return error_set(&ORM_MIGRATION_BAD, "%.*s: changed while migrations ran; run again",
                         STR_ARG(m->path));
    return OK;
}

/* --- the next one ---------------------------------------------------------------------------- */

static error write_new(int fd, str path)
{
    const str text = NEW_FILE_TEXT;
    const ssize_t put = write(fd, text.ptr, text.len);
    if (put < 0)
        return error_set_errno(&SYSTEM_FAILED, errno, "cannot write %.*s", STR_ARG(path));
    if ((size_t)put < text.len)
        return error_set_errno(&SYSTEM_FAILED, ENOSPC, "cannot write %.*s", STR_ARG(path));
    return OK;
}

error orm_migration_new(arena *a, str dir, str name, str *path)
{
    orm_migrations all;
    invariant(orm_migration_name_is_good(name));
    TRY(orm_migrations_list(a, dir, &all));
    const int64_t newest = all.count ? all.items[all.count - 1].version : 0;
    *path =
        str_format(a, "%.*s/%04lld_%.*s.sql", STR_ARG(dir), (long long)newest + 1, STR_ARG(name));
    orm_migration made;
    if (!orm_migration_parse_name(str_slice(*path, dir.len + 1, path->len), &made)) {
        invariant(all.count > 0); /* the first number fits */
        return error_set(&ORM_MIGRATION_BAD, "%.*s: there is no number after that of %.*s",
                         STR_ARG(dir), STR_ARG(all.items[all.count - 1].title));
    }
    const char *path_c = str_to_c(a, *path);
    const int fd = open(path_c, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return error_set_errno(&SYSTEM_FAILED, errno, "cannot make %.*s", STR_ARG(*path));
    const error e = write_new(fd, *path);
    (void)close(fd);
    if (e.kind)
        (void)unlink(path_c);
    return e;
}
