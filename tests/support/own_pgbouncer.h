/* A PgBouncer of the test's own in front of the test's server, on a Unix socket in a directory of
 * its own; gone with the test. It runs as nobody's root: for root as the user postgres. */
#ifndef TESTS_SUPPORT_OWN_PGBOUNCER_H
#define TESTS_SUPPORT_OWN_PGBOUNCER_H

#include "tests/support/in_fiber.h"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PGBOUNCER      "/usr/sbin/pgbouncer"
#define PGBOUNCER_PORT 6432 /* the name of its socket */

typedef struct own_pgbouncer {
    const char *program; /* NULL: Debian's */
    char dir[64];
    char password[128]; /* of the user brio */
    pid_t process;
} own_pgbouncer;

/* The server that it leads to, from DATABASE_URL_TCP. */
typedef struct bouncer_server {
    char password[128];
    int port;
    char database[64];
} bouncer_server;

UNUSED static void bouncer_file(const own_pgbouncer *b, const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", b->dir, name);
    const int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* `more`: lines of its section [pgbouncer]. */
UNUSED static void bouncer_configure(own_pgbouncer *b, const char *more)
{
    bouncer_server to;
    char text[2048];
    assert_int_equal(sscanf(getenv("DATABASE_URL_TCP"),
                            "postgresql://brio:%127[^@]@127.0.0.1:%d/%63s", to.password, &to.port,
                            to.database),
                     3);
    (void)snprintf(b->password, sizeof b->password, "%s", to.password);
    (void)snprintf(text, sizeof text, "\"brio\" \"%s\"\n", to.password);
    bouncer_file(b, "users", text);
    (void)snprintf(text, sizeof text,
                   "[databases]\n"
                   "tx = host=127.0.0.1 port=%d dbname=%s pool_mode=transaction pool_size=4\n"
                   "single = host=127.0.0.1 port=%d dbname=%s pool_mode=transaction pool_size=1\n"
                   "statement = host=127.0.0.1 port=%d dbname=%s pool_mode=statement pool_size=4\n"
                   "session = host=127.0.0.1 port=%d dbname=%s pool_mode=session pool_size=20\n"
                   "[pgbouncer]\n"
                   "listen_port = %d\n"
                   "unix_socket_dir = %s\n"
                   "auth_type = scram-sha-256\n"
                   "auth_file = %s/users\n"
                   "logfile = %s/log\n"
                   "admin_users = brio\n"
                   "max_client_conn = 200\n"
                   "%s\n",
                   to.port, to.database, to.port, to.database, to.port, to.database, to.port,
                   to.database, PGBOUNCER_PORT, b->dir, b->dir, b->dir, more);
    bouncer_file(b, "ini", text);
}

/* Whether somebody answers on its socket. */
UNUSED static bool bouncer_is_up(const own_pgbouncer *b)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s/.s.PGSQL.%d", b->dir, PGBOUNCER_PORT);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool is_up = connect(fd, (const struct sockaddr *)&at, sizeof at) == 0;
    close(fd);
    return is_up;
}

UNUSED static void bouncer_run(const own_pgbouncer *b, const struct passwd *as)
{
    char ini[128];
    (void)snprintf(ini, sizeof ini, "%s/ini", b->dir);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!freopen("/dev/null", "w", stderr)) /* it has a log */
        _exit(126);
    if (as && (setgid(as->pw_gid) != 0 || setuid(as->pw_uid) != 0))
        _exit(126);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* the change of users has undone it */
    const char *program = b->program ? b->program : PGBOUNCER;
    execl(program, program, "-q", ini, (char *)NULL);
    _exit(127);
}

/* Starts it and waits until it listens. */
UNUSED static void own_pgbouncer_start(own_pgbouncer *b, const char *more)
{
    const struct passwd *as = getuid() == 0 ? getpwnam("postgres") : NULL;
    assert_true(getuid() != 0 || as);
    (void)snprintf(b->dir, sizeof b->dir, "/tmp/brio-bouncer.XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    bouncer_configure(b, more);
    if (as) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/ini", b->dir);
        assert_int_equal(chown(path, as->pw_uid, as->pw_gid), 0);
        (void)snprintf(path, sizeof path, "%s/users", b->dir);
        assert_int_equal(chown(path, as->pw_uid, as->pw_gid), 0);
        assert_int_equal(chown(b->dir, as->pw_uid, as->pw_gid), 0);
    }
    b->process = fork();
    assert_true(b->process >= 0);
    if (b->process == 0)
        bouncer_run(b, as);
    for (int i = 0; i < 600 && !bouncer_is_up(b); i++) {
        assert_int_equal(waitpid(b->process, NULL, WNOHANG), 0); /* it has given up */
        assert_ok(fiber_sleep(50));
    }
    assert_true(bouncer_is_up(b));
}

UNUSED static void own_pgbouncer_stop(own_pgbouncer *b)
{
    static const char *const NAMES[] = { "ini", "users", "log", ".s.PGSQL.6432" };
    assert_int_equal(kill(b->process, SIGKILL), 0);
    assert_int_equal(waitpid(b->process, NULL, 0), b->process);
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", b->dir, NAMES[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(b->dir), 0);
}

/* Where one of its databases is; lives in the fiber's arena. */
UNUSED static str own_pgbouncer_conninfo(const own_pgbouncer *b, const char *database)
{
    return str_format(fiber_arena(),
                      "host=%s port=%d user=brio password=%s dbname=%s sslmode=disable", b->dir,
                      PGBOUNCER_PORT, b->password, database);
}

/* Says something to its console, and waits until that is done. */
UNUSED static void own_pgbouncer_say(const own_pgbouncer *b, const char *command)
{
    char line[512];
    (void)snprintf(line, sizeof line,
                   "PGPASSWORD=%s psql -XAtqw 'host=%s port=%d user=brio dbname=pgbouncer' -c '%s'",
                   b->password, b->dir, PGBOUNCER_PORT, command);
    assert_int_equal(system(line), 0);
}

#endif
