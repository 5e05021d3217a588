/* A PostgreSQL of the test's own that speaks TLS too, with the certificate `server` of tls_files.h:
 *
 *   tls_files_make();
 *   own_postgres_do(&pg, "start");
 *   secure_postgres(&pg);                                     // stopped, told, started again
 *   secure_postgres_at(&pg, &address, password, sizeof password); // 127.0.0.1, as the user brio */
#ifndef TESTS_SUPPORT_SECURE_POSTGRES_H
#define TESTS_SUPPORT_SECURE_POSTGRES_H

#include "core/stream.h"
#include "tests/support/own_postgres.h"
#include "tests/support/tls_files.h"

#include <fcntl.h>
#include <sys/stat.h>

UNUSED static void secure_postgres_line(const char *dir, const char *name, char *out, size_t bytes)
{
    char path[768];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    assert_non_null(fgets(out, (int)bytes, f));
    (void)fclose(f);
    out[strcspn(out, "\n")] = '\0';
}

/* Writes a file of the data directory, as the user that the server runs as. */
UNUSED static void secure_postgres_put(const own_postgres *pg, const char *name, str text)
{
    char path[768], home[512];
    struct stat owner;
    secure_postgres_line(pg->dir, "home", home, sizeof home);
    (void)snprintf(path, sizeof path, "%s/data", home);
    assert_int_equal(stat(path, &owner), 0);
    (void)snprintf(path, sizeof path, "%s/data/%s", home, name);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.ptr, text.len), text.len);
    assert_int_equal(fchown(fd, owner.st_uid, owner.st_gid), 0);
    close(fd);
}

/* Starts it again, with TLS. It logs nothing of the connections that tests break off. */
UNUSED static void secure_postgres(own_postgres *pg)
{
    char pem[16384];
    FILE *f = fopen(tls_file_path("server"), "re");
    assert_non_null(f);
    const size_t len = fread(pem, 1, sizeof pem, f);
    (void)fclose(f);
    own_postgres_do(pg, "stop");
    secure_postgres_put(pg, "server.crt", (str){ pem, len });
    secure_postgres_put(pg, "server.key", (str){ pem, len });
    secure_postgres_put(pg, "postgresql.auto.conf", STR("ssl = on\nlog_min_messages = panic\n"));
    own_postgres_do(pg, "start");
}

/* Where it listens, and the password of brio. */
UNUSED static void secure_postgres_at(const own_postgres *pg, address *at, char *password,
                                      size_t bytes)
{
    char home[512], port[16], text[64];
    secure_postgres_line(pg->dir, "home", home, sizeof home);
    secure_postgres_line(home, "port", port, sizeof port);
    secure_postgres_line(home, "password", password, bytes);
    (void)snprintf(text, sizeof text, "127.0.0.1:%s", port);
    assert_true(address_parse(str_from_c(text), at));
}

#endif
