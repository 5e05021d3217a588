/* Connecting to a real server of the test's own: every sslmode with every kind of certificate,
 * every way to be asked for a password, several hosts, password files, and a cancel over TLS. */
#include "tests/support/database.h"
#include "tests/support/own_postgres.h"
#include "tests/support/tls_files.h"

#include <fcntl.h>
#include <sys/stat.h>

static own_postgres server;
static bool is_18;     /* and not Debian's 15 */
static char data[512]; /* its data directory */
static char socket_dir[128];
static int port;

/* --- the server ------------------------------------------------------------------------------- */

static void read_line(const char *dir, const char *name, char *out, size_t bytes)
{
    char path[768];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    assert_non_null(fgets(out, (int)bytes, f));
    out[strcspn(out, "\n")] = '\0';
    (void)fclose(f);
}

/* Into the data directory, as the user that the server runs as. */
static void write_data(const char *name, const char *text, size_t len, int flags)
{
    char path[768];
    struct stat owner;
    (void)snprintf(path, sizeof path, "%s/%s", data, name);
    const int fd = open(path, O_WRONLY | O_CREAT | flags, 0600);
    assert_true(fd >= 0 && stat(data, &owner) == 0);
    assert_int_equal(write(fd, text, len), len);
    assert_int_equal(fchown(fd, owner.st_uid, owner.st_gid), 0);
    close(fd);
}

static void use_certificate(const char *name)
{
    char text[16384];
    FILE *f = fopen(tls_file_path(name), "re");
    assert_non_null(f);
    const size_t len = fread(text, 1, sizeof text, f);
    (void)fclose(f);
    write_data("server.crt", text, len, O_TRUNC);
    write_data("server.key", text, len, O_TRUNC);
    f = fopen(tls_file_path("ca"), "re");
    assert_non_null(f);
    const size_t ca_len = fread(text, 1, sizeof text, f);
    (void)fclose(f);
    write_data("ca.crt", text, ca_len, O_TRUNC);
}

static const char HBA[] = "hostssl all scram_user 127.0.0.1/32 scram-sha-256\n"
                          "hostnossl all scram_user 127.0.0.1/32 scram-sha-256\n"
                          "host all prepared 127.0.0.1/32 scram-sha-256\n"
                          "host all md5_user 127.0.0.1/32 md5\n"
                          "host all clear_user 127.0.0.1/32 password\n"
                          "host all trust_user 127.0.0.1/32 trust\n"
                          "local all trust_user trust\n"
                          "hostssl all ada 127.0.0.1/32 cert\n"
                          "hostssl all tls_only 127.0.0.1/32 trust\n"
                          "hostnossl all plain_only 127.0.0.1/32 trust\n"
                          "local all brio scram-sha-256\n"
                          "local all scram_user scram-sha-256\n"
                          "host all brio 127.0.0.1/32 scram-sha-256\n";

static void restart(const char *certificate)
{
    own_postgres_do(&server, "stop");
    if (certificate)
        use_certificate(certificate);
    static const char ON[] = "ssl = on\nssl_ca_file = 'ca.crt'\nlog_min_messages = fatal\n";
    static const char OFF[] = "ssl = off\nlog_min_messages = fatal\n";
    const char *conf = certificate ? ON : OFF;
    write_data("postgresql.auto.conf", conf, strlen(conf), O_TRUNC);
    own_postgres_do(&server, "start");
}

/* --- asking ----------------------------------------------------------------------------------- */

/* Where connections lead that need TCP; `more` follows. */
static const char *tcp(const char *more)
{
    return str_to_c(fiber_arena(),
                    str_format(fiber_arena(), "host=127.0.0.1 port=%d dbname=brio %s", port, more));
}

/* One value, by a pool of its own; or the error in `text`. */
static bool ask(const char *conninfo, const char *sql, char *text, size_t bytes)
{
    pg_pool *db;
    pg_rows rows;
    str value = STR("");
    error e = pg_pool_open(
        &(pg_pool_options){ .conninfo = str_from_c(conninfo), .connections_max = 1 }, &db);
    if (!e.kind) {
        e = pg_query(db, &rows, sql);
        if (!e.kind)
            e = pg_get(&rows, 0, 0, &value);
        (void)snprintf(text, bytes, "%.*s", STR_ARG(value));
    }
    if (e.kind)
        error_describe(e, text, bytes);
    const bool answered = !e.kind;
    pg_pool_close(&db);
    return answered;
}

#define TLS_USED "select ssl::text from pg_stat_ssl where pid = pg_backend_pid()"

static void assert_answer(const char *conninfo, const char *sql, const char *answer)
{
    char text[1024];
    if (!ask(conninfo, sql, text, sizeof text) || strcmp(text, answer) != 0)
        fail_msg("%s: %s instead of %s", conninfo, text, answer);
}

static void assert_connects(const char *conninfo)
{
    assert_answer(conninfo, "select 'yes'", "yes");
}

static void assert_refused(const char *conninfo, const char *said)
{
    char text[1024];
    if (ask(conninfo, "select 'yes'", text, sizeof text))
        fail_msg("%s: connected", conninfo);
    if (!strstr(text, said))
        fail_msg("%s: \"%s\" is not in: %s", conninfo, said, text);
    if (strstr(text, "pencil"))
        fail_msg("%s tells the password: %s", conninfo, text);
}

static void run_sql(const char *sql)
{
    pg_pool *db;
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .conninfo = str_from_c(server.url), .connections_max = 1 }, &db));
    assert_ok(pg_execute(db, NULL, sql));
    pg_pool_close(&db);
}

/* --- sslmode ---------------------------------------------------------------------------------- */

typedef struct mode_row {
    const char *certificate; /* of the server; NULL: it has no TLS */
    const char *answers[6];  /* disable to verify-full: "true", "false", or of an error */
} mode_row;

static void check_modes(const mode_row *row)
{
    static const char *const MODES[] = { "disable", "allow",     "prefer",
                                         "require", "verify-ca", "verify-full" };
    for (size_t i = 0; i < ARRAY_LEN(MODES); i++) {
        char conninfo[512];
        (void)snprintf(conninfo, sizeof conninfo,
                       "host=localhost hostaddr=127.0.0.1 port=%d dbname=brio user=trust_user "
                       "sslmode=%s %s%s",
                       port, MODES[i], i >= 4 ? "sslrootcert=" : "",
                       i >= 4 ? tls_file_path("ca") : "");
        const char *answer = row->answers[i];
        if (strcmp(answer, "true") == 0 || strcmp(answer, "false") == 0)
            assert_answer(conninfo, TLS_USED, answer);
        else
            assert_refused(conninfo, answer);
    }
}

static void test_connect_modes_take_the_certificates_they_should(void **state)
{
    (void)state;
    static const mode_row ROWS[] = {
        { NULL,
          { "false", "false", "false", "does not speak TLS", "does not speak TLS",
            "does not speak TLS" } },
        { "expired", { "false", "false", "true", "true", "expired", "expired" } },
        { "self", { "false", "false", "true", "true", "self-signed", "self-signed" } },
        { "rsa", { "false", "false", "true", "true", "true", "mismatch" } }, /* of another name */
        { "server", { "false", "false", "true", "true", "true", "true" } },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        restart(ROWS[i].certificate);
        check_modes(&ROWS[i]);
    }
}

static void test_connect_root_certificate_is_used_by_weaker_modes_too(void **state)
{
    (void)state;
    char more[256];
    (void)snprintf(more, sizeof more, "user=trust_user sslmode=require sslrootcert=%s",
                   tls_file_path("foreign-ca"));
    assert_refused(tcp(more), "certificate verify failed");
    (void)snprintf(more, sizeof more, "user=trust_user sslmode=prefer sslrootcert=%s",
                   tls_file_path("foreign-ca"));
    assert_answer(tcp(more), TLS_USED, "false");
    (void)snprintf(more, sizeof more, "user=trust_user sslrootcert=%s", tls_file_path("ca"));
    assert_answer(tcp(more), TLS_USED, "true");
    (void)snprintf(more, sizeof more, "user=trust_user sslrootcert=%s",
                   tls_file_path("foreign-ca"));
    assert_refused(tcp(more), "certificate verify failed"); /* naming roots means verify-full */
    assert_refused(tcp("user=trust_user sslrootcert=system"), "certificate verify failed");
    assert_refused(tcp("user=trust_user sslrootcert=/nonexistent"), "/nonexistent");
}

static void test_connect_name_is_checked_where_the_address_is_given(void **state)
{
    (void)state;
    char text[512];
    (void)snprintf(text, sizeof text,
                   "host=localhost hostaddr=127.0.0.1 port=%d dbname=brio user=trust_user "
                   "sslmode=verify-full sslrootcert=%s",
                   port, tls_file_path("ca"));
    assert_answer(text, TLS_USED, "true");
    (void)snprintf(text, sizeof text,
                   "host=elsewhere hostaddr=127.0.0.1 port=%d dbname=brio user=trust_user "
                   "sslmode=verify-full sslrootcert=%s",
                   port, tls_file_path("ca"));
    assert_refused(text, "mismatch");
    (void)snprintf(text, sizeof text,
                   "hostaddr=127.0.0.1 port=%d dbname=brio user=trust_user sslmode=verify-full "
                   "sslrootcert=%s",
                   port, tls_file_path("ca"));
    assert_refused(text, "no server name");
}

static void test_connect_versions_of_tls_are_kept_to(void **state)
{
    (void)state;
    static const char VERSION[] = "select version from pg_stat_ssl where pid = pg_backend_pid()";
    assert_answer(tcp("user=trust_user sslmode=require"), VERSION, "TLSv1.3");
    assert_answer(tcp("user=trust_user sslmode=require ssl_max_protocol_version=TLSv1.2"), VERSION,
                  "TLSv1.2");
    assert_answer(tcp("user=trust_user sslmode=require ssl_min_protocol_version=TLSv1.3 sslsni=0"),
                  VERSION, "TLSv1.3");
}

static void test_connect_second_way_is_taken_only_where_it_helps(void **state)
{
    (void)state;
    assert_answer(tcp("user=tls_only sslmode=allow"), TLS_USED, "true");
    assert_answer(tcp("user=plain_only sslmode=prefer"), TLS_USED, "false");
    assert_refused(tcp("user=tls_only sslmode=disable"), "28000");
    assert_refused(tcp("user=plain_only sslmode=require"), "28000");
    assert_refused(tcp("user=nobody sslmode=allow"), "28000");
    assert_refused(tcp("user=scram_user password=wrong sslmode=prefer"), "28P01");
}

/* --- revoked certificates --------------------------------------------------------------------- */

static void *read_pem(const char *name, bool key)
{
    FILE *f = fopen(tls_file_path(name), "re");
    assert_non_null(f);
    void *read = key ? (void *)PEM_read_PrivateKey(f, NULL, NULL, NULL)
                     : (void *)PEM_read_X509(f, NULL, NULL, NULL);
    (void)fclose(f);
    assert_non_null(read);
    return read;
}

/* A list of the CA's, in which the certificate stands if one is named. */
static void write_crl(const char *path, const char *revoked)
{
    X509 *ca = read_pem("ca", false);
    EVP_PKEY *key = read_pem("ca", true);
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *now = X509_gmtime_adj(NULL, -60), *later = X509_gmtime_adj(NULL, 3600);
    assert_true(X509_CRL_set_version(crl, 1) &&
                X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) &&
                X509_CRL_set1_lastUpdate(crl, now) && X509_CRL_set1_nextUpdate(crl, later));
    if (revoked) {
        X509 *certificate = read_pem(revoked, false);
        X509_REVOKED *entry = X509_REVOKED_new();
        assert_true(X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(certificate)) &&
                    X509_REVOKED_set_revocationDate(entry, now) &&
                    X509_CRL_add0_revoked(crl, entry));
        X509_free(certificate);
    }
    assert_true(X509_CRL_sort(crl) && X509_CRL_sign(crl, key, EVP_sha256()) > 0);
    FILE *f = fopen(path, "we");
    assert_true(f && PEM_write_X509_CRL(f, crl));
    (void)fclose(f);
    ASN1_TIME_free(now);
    ASN1_TIME_free(later);
    X509_CRL_free(crl);
    EVP_PKEY_free(key);
    X509_free(ca);
}

static void test_connect_revoked_certificate_is_refused(void **state)
{
    (void)state;
    char path[128], more[512];
    (void)snprintf(path, sizeof path, "%s/crl", tls_files_directory);
    (void)snprintf(more, sizeof more,
                   "user=trust_user sslmode=verify-full sslrootcert=%s sslcrl=%s",
                   tls_file_path("ca"), path);
    write_crl(path, "rsa");
    assert_answer(tcp(more), TLS_USED, "true");
    write_crl(path, "server");
    assert_refused(tcp(more), "revoked");
    unlink(path);
    assert_refused(tcp(more), "revocation list");
}

/* A directory of lists, each under a name made of its issuer's. */
static void test_connect_revoked_certificate_is_found_in_a_directory(void **state)
{
    (void)state;
    char directory[128], path[192], more[512];
    X509 *ca = read_pem("ca", false);
    (void)snprintf(directory, sizeof directory, "%s/crls", tls_files_directory);
    (void)snprintf(path, sizeof path, "%s/%08lx.r0", directory,
                   X509_NAME_hash_ex(X509_get_subject_name(ca), NULL, NULL, NULL));
    X509_free(ca);
    assert_int_equal(mkdir(directory, 0700), 0);
    (void)snprintf(more, sizeof more,
                   "user=trust_user sslmode=verify-full sslrootcert=%s sslcrldir=%s",
                   tls_file_path("ca"), directory);
    write_crl(path, "rsa");
    assert_answer(tcp(more), TLS_USED, "true");
    write_crl(path, "server");
    assert_refused(tcp(more), "revoked");
    unlink(path);
    rmdir(directory);
}

/* --- passwords -------------------------------------------------------------------------------- */

static void test_connect_scram_binds_to_the_certificate(void **state)
{
    (void)state;
    assert_connects(tcp("user=scram_user password=pencil sslmode=require"));
    assert_connects(tcp("user=scram_user password=pencil sslmode=require channel_binding=require"));
    assert_connects(tcp("user=scram_user password=pencil sslmode=require channel_binding=disable"));
    assert_connects(tcp("user=scram_user password=pencil sslmode=disable"));
    assert_refused(tcp("user=scram_user password=pencil sslmode=disable channel_binding=require"),
                   "channel_binding=require");
    assert_refused(tcp("user=scram_user password=no sslmode=require channel_binding=require"),
                   "28P01");
    assert_refused(tcp("user=scram_user sslmode=require"), "none is set");
    assert_refused(tcp("user=trust_user sslmode=require channel_binding=require"),
                   "channel_binding=require");
    assert_refused(tcp("user=md5_user password=pencil sslmode=require channel_binding=require"),
                   "channel_binding=require");
}

static void test_connect_binding_follows_the_certificate(void **state)
{
    (void)state;
    restart("rsa"); /* signed with SHA-384 */
    assert_connects(tcp("user=scram_user password=pencil sslmode=require channel_binding=require"));
    restart("pss"); /* whose signature says its hash in its parameters */
    assert_connects(tcp("user=scram_user password=pencil sslmode=require channel_binding=require"));
    restart("ed25519"); /* whose signatures have no hash to bind to */
    assert_connects(tcp("user=scram_user password=pencil sslmode=require"));
    assert_refused(tcp("user=scram_user password=pencil sslmode=require channel_binding=require"),
                   "channel_binding=require");
    restart("server");
}

static void test_connect_weaker_methods_are_answered_where_they_may(void **state)
{
    (void)state;
    assert_connects(tcp("user=md5_user password=pencil sslmode=disable"));
    assert_refused(tcp("user=md5_user password=no sslmode=disable"), "28P01");
    assert_connects(tcp("user=clear_user password=pencil sslmode=require"));
    assert_refused(tcp("user=clear_user password=no sslmode=require"), "28P01");
    assert_refused(tcp("user=clear_user password=pencil sslmode=disable"), "clear text");
    assert_connects(tcp("user=clear_user password=pencil sslmode=disable require_auth=password"));
    assert_connects(tcp("user=trust_user sslmode=disable"));
}

static void test_connect_methods_that_are_not_required_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *user;
        const char *required;
        const char *said; /* NULL: connects */
    } rows[] = {
        { "scram_user", "scram-sha-256", NULL },
        { "scram_user", "md5,scram-sha-256", NULL },
        { "scram_user", "!md5", NULL },
        { "scram_user", "md5", "require_auth" },
        { "scram_user", "!scram-sha-256", "require_auth" },
        { "md5_user", "md5", NULL },
        { "md5_user", "scram-sha-256", "require_auth" },
        { "md5_user", "!md5,!password", "require_auth" },
        { "clear_user", "password", NULL },
        { "clear_user", "scram-sha-256,md5", "require_auth" },
        { "clear_user", "!password", "require_auth" },
        { "trust_user", "none", NULL },
        { "trust_user", "!md5", NULL },
        { "trust_user", "!none", "require_auth" },
        { "trust_user", "scram-sha-256", "require_auth" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char more[256];
        (void)snprintf(more, sizeof more, "user=%s password=pencil sslmode=require require_auth=%s",
                       rows[i].user, rows[i].required);
        if (rows[i].said)
            assert_refused(tcp(more), rows[i].said);
        else
            assert_connects(tcp(more));
    }
}

/* Set in one form, typed in another: the server prepares them, and so do we. */
static void test_connect_passwords_are_prepared_as_the_server_does(void **state)
{
    (void)state;
    static const struct {
        const char *set;
        const char *typed;
        bool same;
    } rows[] = {
        { "caf\xC3\xA9", "cafe\xCC\x81", true },
        { "\xEF\xAC\x81sh", "fish", true },
        { "IX", "I\xC2\xADX", true },
        { "a\xC2\xA0z", "a z", true },
        { "\xE2\x85\xA8", "IX", true },
        { "\xED\x95\x9C", "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", true },
        { "\xEF\xAC\x81\xF0\x9F\x98\x80", "\xEF\xAC\x81\xF0\x9F\x98\x80", true }, /* too new */
        { "\xEF\xAC\x81\xF0\x9F\x98\x80", "fi\xF0\x9F\x98\x80", false },
        { "\xD7\x90x\xEF\xAC\x81", "\xD7\x90x\xEF\xAC\x81", true }, /* of both directions */
        { "\xD7\x90x\xEF\xAC\x81", "\xD7\x90xfi", false },
        { "\xC2\xAD", "\xC2\xAD", true }, /* nothing would be left */
        { "caf\xC3\xA9", "cafe", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char sql[256], more[256];
        (void)snprintf(sql, sizeof sql, "alter role prepared password '%s'", rows[i].set);
        run_sql(sql);
        (void)snprintf(more, sizeof more, "user=prepared password='%s' sslmode=disable",
                       rows[i].typed);
        if (rows[i].same)
            assert_connects(tcp(more));
        else
            assert_refused(tcp(more), "28P01");
    }
}

static void test_connect_password_file_is_used(void **state)
{
    (void)state;
    char path[128], more[256], line[128];
    (void)snprintf(path, sizeof path, "%s/passfile", tls_files_directory);
    const int fd = open(path, O_WRONLY | O_CREAT, 0600);
    const int len = snprintf(line, sizeof line, "127.0.0.1:%d:brio:scram_user:pencil\n", port);
    assert_int_equal(write(fd, line, (size_t)len), len);
    close(fd);
    (void)snprintf(more, sizeof more, "user=scram_user passfile=%s", path);
    assert_connects(tcp(more));
    assert_int_equal(chmod(path, 0644), 0);
    assert_refused(tcp(more), "chmod 600");
    unlink(path);
}

/* --- our certificate -------------------------------------------------------------------------- */

/* The client's key anew, encrypted. */
static void write_locked_key(const char *path, const char *password)
{
    EVP_PKEY *key = read_pem("client", true);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(PEM_write_PrivateKey(f, key, EVP_aes_256_cbc(), (const unsigned char *)password,
                                     (int)strlen(password), NULL, NULL));
    (void)fclose(f);
    assert_int_equal(chmod(path, 0600), 0);
    EVP_PKEY_free(key);
}

static void test_connect_certificate_proves_who_we_are(void **state)
{
    (void)state;
    char more[512], locked[128];
    const char *client = tls_file_path("client"), *foreign = tls_file_path("foreign-client");
    assert_int_equal(chmod(client, 0600), 0);
    assert_int_equal(chmod(foreign, 0600), 0);
    (void)snprintf(more, sizeof more, "user=ada sslmode=require sslcert=%s", client);
    assert_connects(tcp(more));
    (void)snprintf(more, sizeof more, "user=ada sslmode=require sslcert=%s sslkey=%s", client,
                   client);
    assert_connects(tcp(more));
    (void)snprintf(more, sizeof more,
                   "user=ada sslmode=require sslcert=%s sslcertmode=require require_auth=none",
                   client);
    assert_connects(tcp(more));
    (void)snprintf(more, sizeof more, "user=ada sslmode=require sslcert=%s sslcertmode=disable",
                   client);
    assert_refused(tcp(more), "28000");
    assert_refused(tcp("user=ada sslmode=require"), "28000");
    assert_refused(tcp("user=trust_user sslmode=require sslcertmode=require"),
                   "sslcertmode=require");
    (void)snprintf(more, sizeof more, "user=ada sslmode=require sslcert=%s", foreign);
    assert_refused(tcp(more), "127.0.0.1"); /* by an alert, which may come after all else */
    (void)snprintf(more, sizeof more, "user=scram_user password=pencil sslmode=require sslcert=%s",
                   client);
    assert_connects(tcp(more)); /* not asked to prove it */

    (void)snprintf(locked, sizeof locked, "%s/locked", tls_files_directory);
    write_locked_key(locked, "open sesame");
    (void)snprintf(more, sizeof more,
                   "user=ada sslmode=require sslcert=%s sslkey=%s sslpassword='open sesame'",
                   client, locked);
    assert_connects(tcp(more));
    (void)snprintf(more, sizeof more,
                   "user=ada sslmode=require sslcert=%s sslkey=%s sslpassword=pencil", client,
                   locked);
    assert_refused(tcp(more), "private key");
    (void)snprintf(more, sizeof more, "user=ada sslmode=require sslcert=%s sslkey=%s", client,
                   locked);
    assert_refused(tcp(more), "private key");
    assert_int_equal(chmod(locked, 0644), 0);
    assert_refused(tcp(more), "chmod 600");
    unlink(locked);
}

typedef struct secret {
    const char *password; /* NULL: it is not known */
    int asked;
} secret;

static ERROR_KIND(NO_SECRET, ERROR_UNAVAILABLE, "Nobody knows the password.");

static error tell_password(void *arg, str key_file, str *password)
{
    secret *known = arg;
    known->asked++;
    assert_true(str_ends_with(key_file, STR("/locked")));
    if (!known->password)
        return error_set(&NO_SECRET, "the vault is shut");
    *password = str_copy(fiber_arena(), str_from_c(known->password));
    return OK;
}

/* Opens a pool with it. */
static error open_locked(const char *more, secret *known, pg_pool **out)
{
    char text[1024];
    const pg_hooks hooks = { .key_password = tell_password, .arg = known };
    (void)snprintf(text, sizeof text, "user=ada sslmode=require sslcert=%s sslkey=%s/locked %s",
                   tls_file_path("client"), tls_files_directory, more);
    const pg_pool_options options = { .conninfo = str_from_c(tcp(text)), .hooks = &hooks };
    TRY(pg_pool_open(&options, out));
    const error e = pg_execute(*out, NULL, "select 1");
    pg_pool_close(out);
    return e;
}

static void assert_key_refused(const char *more, secret known, const char *said)
{
    char text[1024];
    pg_pool *db;
    const error e = open_locked(more, &known, &db);
    assert_ptr_equal(e.kind, &PG_CONNINFO_INVALID);
    error_describe(e, text, sizeof text);
    if (!strstr(text, said))
        fail_msg("\"%s\" is not in: %s", said, text);
    assert_null(strstr(text, "sesame"));
    assert_int_equal(known.asked, more[0] == '\0');
}

static void test_connect_password_of_the_key_is_asked_for_once(void **state)
{
    (void)state;
    char locked[128];
    pg_pool *db;
    secret known = { .password = "open sesame" };
    assert_int_equal(chmod(tls_file_path("client"), 0600), 0);
    (void)snprintf(locked, sizeof locked, "%s/locked", tls_files_directory);
    write_locked_key(locked, "open sesame");
    assert_ok(open_locked("", &known, &db));
    assert_int_equal(known.asked, 1);
    assert_key_refused("", (secret){ .password = "open sesam" }, "private key");
    assert_key_refused("", (secret){ .password = "" }, "private key");
    assert_key_refused("", (secret){ .password = NULL }, "key_password: the vault is shut");
    assert_ok(open_locked("sslpassword='open sesame'", &(secret){ .password = "no" }, &db));
    assert_key_refused("sslpassword=no", (secret){ .password = "open sesame" }, "private key");
    unlink(locked);
}

/* --- Unix sockets ----------------------------------------------------------------------------- */

static void test_connect_peer_behind_a_socket_is_who_it_must_be(void **state)
{
    (void)state;
    char text[512];
    const char *owner = geteuid() == 0 ? "postgres" : NULL;
    static const char FORMAT[] = "host=%s port=%d dbname=brio user=trust_user %s%s";
    (void)snprintf(text, sizeof text, FORMAT, socket_dir, port, "sslmode=verify-full sslrootcert=",
                   tls_file_path("ca")); /* a socket has no TLS, and needs none */
    assert_connects(text);
    if (owner) {
        (void)snprintf(text, sizeof text, FORMAT, socket_dir, port, "requirepeer=", owner);
        assert_connects(text);
        (void)snprintf(text, sizeof text, FORMAT, socket_dir, port, "requirepeer=", "root");
        assert_refused(text, "runs as another user");
    } else {
        (void)snprintf(text, sizeof text, FORMAT, socket_dir, port, "requirepeer=", "root");
        assert_refused(text, "runs as another user");
    }
    (void)snprintf(text, sizeof text, FORMAT, "127.0.0.1", port, "requirepeer=", "root");
    assert_connects(text);
}

/* --- several hosts ---------------------------------------------------------------------------- */

static void test_connect_goes_to_the_next_host(void **state)
{
    (void)state;
    char text[512];
    (void)snprintf(text, sizeof text,
                   "host=127.0.0.1,%s,/nonexistent,127.0.0.1 port=1,1,%d,%d dbname=brio "
                   "user=trust_user",
                   "no-such-host.invalid", port, port);
    assert_connects(text);
    (void)snprintf(text, sizeof text, "postgresql://trust_user@127.0.0.1:1,127.0.0.1:%d/brio",
                   port);
    assert_connects(text);
    (void)snprintf(text, sizeof text,
                   "host=127.0.0.1,127.0.0.1 port=1,1 dbname=brio user=trust_user");
    assert_refused(text, "port 1: ");
}

static void test_connect_kind_of_session_is_what_is_wanted(void **state)
{
    (void)state;
    static const char READ_ONLY[] = "options='-c default_transaction_read_only=on'";
    static const struct {
        const char *wanted;
        bool here;
        bool read_only;
    } rows[] = {
        { "any", true, true },     { "read-write", true, false }, { "read-only", false, true },
        { "primary", true, true }, { "standby", false, false },   { "prefer-standby", true, true },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (int read_only = 0; read_only < 2; read_only++) {
            char more[256];
            (void)snprintf(more, sizeof more, "user=trust_user target_session_attrs=%s %s",
                           rows[i].wanted, read_only ? READ_ONLY : "");
            if (read_only ? rows[i].read_only : rows[i].here)
                assert_connects(tcp(more));
            else
                assert_refused(tcp(more), "the server ");
        }
    }
}

static void test_connect_random_hosts_are_all_tried(void **state)
{
    (void)state;
    char text[512], answer[256];
    int by_socket = 0, by_tcp = 0;
    (void)snprintf(text, sizeof text,
                   "host=127.0.0.1,%s port=%d dbname=brio user=trust_user sslmode=disable "
                   "load_balance_hosts=random",
                   socket_dir, port);
    for (int i = 0; i < 100 && (by_socket == 0 || by_tcp == 0); i++) {
        assert_true(ask(text, "select coalesce(host(inet_client_addr()), 'socket')", answer,
                        sizeof answer));
        if (strcmp(answer, "socket") == 0)
            by_socket++;
        else
            by_tcp++;
    }
    assert_true(by_socket > 0 && by_tcp > 0);
}

/* --- cancel ----------------------------------------------------------------------------------- */

static error sleep_long(void *arg)
{
    pg_rows rows;
    return pg_query((pg_pool *)arg, &rows, "select pg_sleep(300)::text");
}

static int64_t backend(pg_pool *db)
{
    pg_rows rows;
    int64_t pid = 0;
    assert_ok(pg_query(db, &rows, "select pg_backend_pid()::int8"));
    assert_ok(pg_get(&rows, 0, 0, &pid));
    return pid;
}

/* The one connection is free again long before the statement would end, and is the same: the server
 * took the cancel and said so. */
static void check_cancel(const char *more)
{
    pg_pool *db;
    const str conninfo = str_from_c(tcp(more));
    assert_ok(pg_pool_open(&(pg_pool_options){ .conninfo = conninfo,
                                               .connections_max = 1,
                                               .acquire_timeout_ms = 60000 },
                           &db));
    const int64_t pid = backend(db);
    for (int i = 0; i < 3; i++) {
        assert_fails(TIMED_OUT, scope_call(&(scope_options){ .deadline_ms = 200 }, sleep_long, db));
        assert_int_equal(backend(db), pid);
    }
    pg_pool_close(&db);
}

static void test_connect_cancel_goes_over_tls(void **state)
{
    (void)state;
    check_cancel("user=trust_user sslmode=require connect_timeout=20");
}

/* --- what came later -------------------------------------------------------------------------- */

/* Keys of 3.2 are longer, and the server takes a cancel with one. */
static void test_connect_protocol_is_what_both_speak(void **state)
{
    (void)state;
    assert_connects(tcp("user=scram_user password=pencil max_protocol_version=3.2"));
    if (!is_18) {
        assert_refused(tcp("user=trust_user min_protocol_version=3.2"), "min_protocol_version");
        return;
    }
    assert_connects(tcp("user=scram_user password=pencil min_protocol_version=3.2"));
    check_cancel("user=trust_user sslmode=require min_protocol_version=3.2");
}

static void test_connect_tls_begins_at_once(void **state)
{
    (void)state;
    char more[256];
    (void)snprintf(more, sizeof more,
                   "user=trust_user sslmode=verify-full sslrootcert=%s sslnegotiation=direct",
                   tls_file_path("ca"));
    if (!is_18) {
        assert_refused(tcp(more), "127.0.0.1"); /* it takes the handshake for a startup message */
        return;
    }
    assert_answer(tcp(more), TLS_USED, "true");
    assert_connects(tcp("user=scram_user password=pencil sslmode=require sslnegotiation=direct "
                        "channel_binding=require"));
    check_cancel("user=trust_user sslmode=require sslnegotiation=direct");
}

/* --- the group -------------------------------------------------------------------------------- */

static int start_server(void **state)
{
    (void)state;
    char home[256], number[16];
    unsetenv("PGPASSFILE");
    setenv("HOME", "/nonexistent", 1); /* no files of the user's */
    if (!tls_files_make())
        return -1;
    own_postgres_do(&server, "start");
    read_line(server.dir, "home", home, sizeof home);
    read_line(home, "port", number, sizeof number);
    read_line(home, "socket_dir", socket_dir, sizeof socket_dir);
    port = atoi(number); /* NOLINT(cert-err34-c): the script wrote it */
    (void)snprintf(data, sizeof data, "%s/data", home);
    static const char *const ROLES[] = {
        "create role scram_user login password 'pencil'",
        "create role prepared login password 'pencil'",
        "create role clear_user login password 'pencil'",
        "create role trust_user login",
        "create role ada login",
        "create role tls_only login",
        "create role plain_only login",
        /* md5('pencil' || 'md5_user') */
        "create role md5_user login password 'md529e3d0a0b4f3e9dd311543f9993a8476'",
    };
    for (size_t i = 0; i < ARRAY_LEN(ROLES); i++)
        run_sql(ROLES[i]);
    write_data("pg_hba.conf", HBA, sizeof HBA - 1, O_TRUNC);
    restart("server");
    return 0;
}

static int remove_server(void **state)
{
    (void)state;
    own_postgres_do(&server, "remove");
    tls_files_remove();
    return 0;
}

static int run_group(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect_root_certificate_is_used_by_weaker_modes_too),
        cmocka_unit_test(test_connect_name_is_checked_where_the_address_is_given),
        cmocka_unit_test(test_connect_versions_of_tls_are_kept_to),
        cmocka_unit_test(test_connect_second_way_is_taken_only_where_it_helps),
        cmocka_unit_test(test_connect_revoked_certificate_is_refused),
        cmocka_unit_test(test_connect_revoked_certificate_is_found_in_a_directory),
        cmocka_unit_test(test_connect_scram_binds_to_the_certificate),
        cmocka_unit_test(test_connect_weaker_methods_are_answered_where_they_may),
        cmocka_unit_test(test_connect_methods_that_are_not_required_are_refused),
        cmocka_unit_test(test_connect_passwords_are_prepared_as_the_server_does),
        cmocka_unit_test(test_connect_password_file_is_used),
        cmocka_unit_test(test_connect_certificate_proves_who_we_are),
        cmocka_unit_test(test_connect_password_of_the_key_is_asked_for_once),
        cmocka_unit_test(test_connect_peer_behind_a_socket_is_who_it_must_be),
        cmocka_unit_test(test_connect_goes_to_the_next_host),
        cmocka_unit_test(test_connect_kind_of_session_is_what_is_wanted),
        cmocka_unit_test(test_connect_random_hosts_are_all_tried),
        cmocka_unit_test(test_connect_cancel_goes_over_tls),
        cmocka_unit_test(test_connect_protocol_is_what_both_speak),
        cmocka_unit_test(test_connect_tls_begins_at_once),
        cmocka_unit_test(test_connect_binding_follows_the_certificate),
        cmocka_unit_test(test_connect_modes_take_the_certificates_they_should),
    };
    return cmocka_run_group_tests_name("connect", tests, start_server, remove_server);
}

/* With "18": against that server, whose programs BRIO_TEST_PG18 names. */
int main(int argc, char **argv)
{
    is_18 = argc > 1 && strcmp(argv[1], "18") == 0;
    const char *bin = getenv("BRIO_TEST_PG18");
    if (!getenv("BRIO_TEST_PG") || (is_18 && (!bin || !bin[0]))) {
        (void)fprintf(stderr, "skipped: %s is not set\n",
                      getenv("BRIO_TEST_PG") ? "BRIO_TEST_PG18" : "BRIO_TEST_PG");
        return EXIT_SKIPPED;
    }
    if (is_18)
        setenv("BRIO_PG_BIN", bin, 1);
    return run_in_fiber(run_group);
}
