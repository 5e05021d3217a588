/* Connection strings: both grammars, the environment, the defaults, and errors that tell no secret.
 */
#include "conninfo_test.h"

#define SOCKETS STR("/var/run/postgresql")

/* --- what is read ----------------------------------------------------------------------------- */

typedef struct good_row {
    const char *text;
    const char *host; /* NULL here and below: the default */
    uint16_t port;    /* 0: 5432 */
    const char *user;
    const char *password;
    const char *database; /* NULL: the user's name */
} good_row;

static void assert_reads(const good_row *row)
{
    pg_conninfo info;
    const error e = parse(str_from_c(row->text), &info);
    if (!error_is_ok(e)) {
        char text[512];
        error_describe(e, text, sizeof text);
        fail_msg("%s: %s", row->text, text);
    }
    const str user = row->user ? str_from_c(row->user) : system_user();
    assert_str_equal(info.hosts[0].name, row->host ? str_from_c(row->host) : SOCKETS);
    assert_int_equal(info.hosts[0].port, row->port ? row->port : 5432);
    assert_str_equal(info.user, user);
    assert_str_equal(info.hosts[0].password, row->password ? str_from_c(row->password) : STR(""));
    assert_str_equal(info.database, row->database ? str_from_c(row->database) : user);
}

static void test_conninfo_uris_are_read(void **state)
{
    (void)state;
    static const good_row ROWS[] = {
        { "postgresql://", NULL, 0, NULL, NULL, NULL },
        { "postgres://", NULL, 0, NULL, NULL, NULL },
        { "postgresql://db", "db", 0, NULL, NULL, NULL },
        { "postgresql://db:5433", "db", 5433, NULL, NULL, NULL },
        { "postgresql://db/shop", "db", 0, NULL, NULL, "shop" },
        { "postgresql://ada@db", "db", 0, "ada", NULL, NULL },
        { "postgresql://ada:secret@db:1/shop", "db", 1, "ada", "secret", "shop" },
        { "postgres://ada:secret@db:65535/shop", "db", 65535, "ada", "secret", "shop" },
        { "postgresql:///shop", NULL, 0, NULL, NULL, "shop" },
        { "postgresql:///shop?host=/run/pg&port=5433", "/run/pg", 5433, NULL, NULL, "shop" },
        { "postgresql:///shop?host=db", "db", 0, NULL, NULL, "shop" },
        { "postgresql://%2Frun%2Fpg/shop", "/run/pg", 0, NULL, NULL, "shop" },
        { "postgresql://:5433/shop", NULL, 5433, NULL, NULL, "shop" },
        { "postgresql://db:/shop", "db", 0, NULL, NULL, "shop" },
        { "postgresql://[::1]", "::1", 0, NULL, NULL, NULL },
        { "postgresql://[::1]:5433/shop", "::1", 5433, NULL, NULL, "shop" },
        { "postgresql://[2001:db8::1]/shop", "2001:db8::1", 0, NULL, NULL, "shop" },
        { "postgresql://[fe80::1%25eth0]/", "fe80::1%eth0", 0, NULL, NULL, NULL },
        { "postgresql://a%40b:p%3Aw%2F%40%25@db/s%3Fp", "db", 0, "a@b", "p:w/@%", "s?p" },
        { "postgresql://ada:a:b@db", "db", 0, "ada", "a:b", NULL },
        { "postgresql://ada:@db", "db", 0, "ada", NULL, NULL },
        { "postgresql://:secret@db", "db", 0, NULL, "secret", NULL },
        { "postgresql://@db", "db", 0, NULL, NULL, NULL },
        { "postgresql://db/?user=ada&password=a+b", "db", 0, "ada", "a+b", NULL },
        { "postgresql://db?dbname=shop", "db", 0, NULL, NULL, "shop" },
        { "postgresql://db/shop?dbname=other", "db", 0, NULL, NULL, "other" },
        { "postgresql://db/shop?user=ada&user=bob", "db", 0, "bob", NULL, "shop" },
        { "postgresql://db/shop?%75ser=%61da", "db", 0, "ada", NULL, "shop" },
        { "postgresql://db/shop?", "db", 0, NULL, NULL, "shop" },
        { "postgresql://db/shop?user=ada&", "db", 0, "ada", NULL, "shop" },
        { "postgresql://db/shop?user=", "db", 0, NULL, NULL, "shop" },
        { "postgresql://db/a/b", "db", 0, NULL, NULL, "a/b" },
        { "postgresql://db/a@b", "db", 0, NULL, NULL, "a@b" },
        { "postgresql://db/sh%20op", "db", 0, NULL, NULL, "sh op" },
        { "postgresql:// ada : secret @ db : 1 / shop ", "db", 1, "ada", "secret", "shop" },
        { "postgresql://gr%C3%BC%C3%9Fe@db", "db", 0,
          "gr\xC3\xBC\xC3\x9F"
          "e",
          NULL, NULL },
        { "postgresql://127.0.0.1/x?sslmode=disable", "127.0.0.1", 0, NULL, NULL, "x" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        assert_reads(&ROWS[i]);
}

static void test_conninfo_pairs_are_read(void **state)
{
    (void)state;
    static const good_row ROWS[] = {
        { "", NULL, 0, NULL, NULL, NULL },
        { "  \t\n ", NULL, 0, NULL, NULL, NULL },
        { "host=db", "db", 0, NULL, NULL, NULL },
        { "host=db port=5433 user=ada password=secret dbname=shop", "db", 5433, "ada", "secret",
          "shop" },
        { " host = db \n port = 5433 ", "db", 5433, NULL, NULL, NULL },
        { "host='/run/p g' dbname='a b'", "/run/p g", 0, NULL, NULL, "a b" },
        { "dbname='it\\'s' user=a\\ b", NULL, 0, "a b", NULL, "it's" },
        { "dbname=it\\'s password='\\\\'", NULL, 0, NULL, "\\", "it's" },
        { "dbname=it's", NULL, 0, NULL, NULL, "it's" },
        { "dbname=a\\", NULL, 0, NULL, NULL, "a" },
        { "host='db'port='5433'", "db", 5433, NULL, NULL, NULL },
        { "host=''", NULL, 0, NULL, NULL, NULL },
        { "host= dbname=shop", "dbname=shop", 0, NULL, NULL, NULL }, /* as libpq has it */
        { "dbname=", NULL, 0, NULL, NULL, NULL },
        { "user=ada user=bob", NULL, 0, "bob", NULL, NULL },
        { "password=a=b", NULL, 0, NULL, "a=b", NULL },
        { "password=%41+", NULL, 0, NULL, "%41+", NULL },
        { "port=' 5433 '", NULL, 5433, NULL, NULL, NULL },
        { "dbname=postgresql://x", NULL, 0, NULL, NULL, "postgresql://x" },
        { "client_encoding=utf8 target_session_attrs=any gssencmode=prefer channel_binding=disable",
          NULL, 0, NULL, NULL, NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        assert_reads(&ROWS[i]);
}

static void test_conninfo_other_parameters_are_read(void **state)
{
    (void)state;
    pg_conninfo info;
    assert_ok(parse(STR("application_name=notes options='-c a=b' connect_timeout=10"), &info));
    assert_str_equal(info.application_name, STR("notes"));
    assert_str_equal(info.options, STR("-c a=b"));
    assert_int_equal(info.connect_timeout_ms, 10000);
    assert_int_equal(info.ssl.mode, PG_SSLMODE_PREFER);
    assert_true(pg_host_is_unix(&info.hosts[0]));
    assert_ok(parse(STR("postgresql://db/?fallback_application_name=psql"), &info));
    assert_str_equal(info.application_name, STR("psql"));
    assert_false(pg_host_is_unix(&info.hosts[0]));
    assert_ok(parse(STR("fallback_application_name=a application_name=b"), &info));
    assert_str_equal(info.application_name, STR("b"));
    assert_false(info.without_connect_timeout);
    assert_ok(parse(STR("connect_timeout=0 tcp_user_timeout=0"), &info));
    assert_int_equal(info.connect_timeout_ms, 0);
    assert_true(info.without_connect_timeout && info.without_peer_timeout);
    assert_ok(parse(STR("connect_timeout=-1"), &info));
    assert_int_equal(info.connect_timeout_ms, 0);
    assert_true(info.without_connect_timeout);
    assert_ok(parse(STR("connect_timeout=''"), &info));
    assert_false(info.without_connect_timeout || info.without_peer_timeout);
    assert_ok(parse(STR("connect_timeout=2147483647"), &info));
    assert_int_equal(info.connect_timeout_ms, UINT32_MAX);
    assert_ok(parse(STR("sslmode=disable"), &info));
    assert_int_equal(info.ssl.mode, PG_SSLMODE_DISABLE);
    assert_ok(parse(STR("sslmode=allow"), &info));
    assert_int_equal(info.ssl.mode, PG_SSLMODE_ALLOW);
    assert_ok(parse(STR("sslmode=require sslmode=prefer"), &info));
    assert_int_equal(info.ssl.mode, PG_SSLMODE_PREFER);
    assert_ok(parse(STR("requiressl=1"), &info));
    assert_int_equal(info.ssl.mode, PG_SSLMODE_REQUIRE);
    assert_ok(parse(STR("postgresql://db/?ssl=true"), &info));
    assert_int_equal(info.ssl.mode, PG_SSLMODE_REQUIRE);
    assert_ok(parse(STR("requiressl=0"), &info));
    assert_int_equal(info.ssl.mode, PG_SSLMODE_PREFER);
}

/* --- several hosts ---------------------------------------------------------------------------- */

typedef struct hosts_row {
    const char *text;
    const char *names; /* with "|" between them */
    const char *addresses;
    const char *ports;
} hosts_row;

static void test_conninfo_lists_of_hosts_are_paired(void **state)
{
    (void)state;
    static const hosts_row ROWS[] = {
        { "host=a,b", "a|b", "|", "5432|5432" },
        { "host=a,b port=1", "a|b", "|", "1|1" },
        { "host=a,b port=1,2", "a|b", "|", "1|2" },
        { "host=a,b,c port=1,,3", "a|b|c", "||", "1|5432|3" },
        { "host=a,,@c", "a|/var/run/postgresql|@c", "||", "5432|5432|5432" },
        { "host=,", "/var/run/postgresql|/var/run/postgresql", "|", "5432|5432" },
        { "hostaddr=127.0.0.1,::1", "|", "127.0.0.1|::1", "5432|5432" },
        { "hostaddr=fe80::1%eth0", "", "fe80::1%eth0", "5432" },
        { "host=a,b hostaddr=127.0.0.1,", "a|b", "127.0.0.1|", "5432|5432" },
        { "host=a,/s hostaddr=,::1", "a|/s", "|::1", "5432|5432" },
        { "postgresql://a,b", "a|b", "|", "5432|5432" },
        { "postgresql://a:1,b:2/", "a|b", "|", "1|2" },
        { "postgresql://a:1,b,c:3/", "a|b|c", "||", "1|5432|3" },
        { "postgresql://a:1,[::1]:2/", "a|::1", "|", "1|2" },
        { "postgresql://u:p@,/", "/var/run/postgresql|/var/run/postgresql", "|", "5432|5432" },
        { "postgresql://a%2Cb/", "a|b", "|", "5432|5432" },
        { "postgresql://a,b/?port=7", "a|b", "|", "7|7" },
        { "postgresql:///?host=a,b&port=1,2", "a|b", "|", "1|2" },
        { "postgresql://a:1,b:2/?host=c,d", "c|d", "|", "1|2" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        pg_conninfo info;
        const error e = parse(str_from_c(ROWS[i].text), &info);
        if (e.kind)
            fail_msg("%s: %.*s", ROWS[i].text, STR_ARG(error_detail_of(e)->text));
        str names = str_from_c(ROWS[i].names), addresses = str_from_c(ROWS[i].addresses);
        str ports = str_from_c(ROWS[i].ports);
        for (uint32_t k = 0; k < info.host_count; k++) {
            assert_true(names.ptr && addresses.ptr && ports.ptr);
            assert_str_equal(info.hosts[k].name, str_cut(&names, '|'));
            assert_str_equal(info.hosts[k].address, str_cut(&addresses, '|'));
            assert_str_equal(str_format(&memory, "%u", info.hosts[k].port), str_cut(&ports, '|'));
        }
        assert_true(!names.ptr && !addresses.ptr && !ports.ptr);
    }
}

static void test_conninfo_too_many_hosts_are_refused(void **state)
{
    (void)state;
    char text[128] = "host=";
    memset(text + 5, ',', PG_HOSTS_MAX);
    pg_conninfo info;
    assert_ok(parse((str){ text, 5 + PG_HOSTS_MAX - 1 }, &info));
    assert_int_equal(info.host_count, PG_HOSTS_MAX);
    assert_fails(PG_CONNINFO_INVALID, parse((str){ text, 5 + PG_HOSTS_MAX }, &info));
}

/* --- what is demanded ------------------------------------------------------------------------- */

static void test_conninfo_demands_are_read(void **state)
{
    (void)state;
    pg_conninfo info;
    assert_ok(parse(STR("host=db"), &info));
    assert_int_equal(info.auth_methods, PG_AUTH_ALL);
    assert_int_equal(info.channel_binding, PG_CHANNEL_BINDING_PREFER);
    assert_int_equal(info.session_attrs, PG_SESSION_ANY);
    assert_int_equal(info.protocol_max, 0);
    assert_int_equal(info.peer_uid, PG_NO_UID);
    assert_false(info.clear_allowed || info.balances_hosts || info.ssl.direct);
    assert_true(info.ssl.mode_is_default);

    assert_ok(parse(STR("require_auth=scram-sha-256,none"), &info));
    assert_int_equal(info.auth_methods, PG_AUTH_SCRAM | PG_AUTH_NONE);
    assert_ok(parse(STR("require_auth=!password,!md5"), &info));
    assert_int_equal(info.auth_methods, PG_AUTH_ALL & ~(PG_AUTH_PASSWORD | PG_AUTH_MD5));
    assert_false(info.clear_allowed);
    assert_ok(parse(STR("require_auth=password,md5"), &info));
    assert_true(info.clear_allowed);
    assert_ok(parse(STR("require_auth=''"), &info));
    assert_int_equal(info.auth_methods, PG_AUTH_ALL);

    assert_ok(parse(STR("channel_binding=require target_session_attrs=prefer-standby "
                        "load_balance_hosts=random requirepeer=root"),
                    &info));
    assert_int_equal(info.channel_binding, PG_CHANNEL_BINDING_REQUIRE);
    assert_int_equal(info.session_attrs, PG_SESSION_PREFER_STANDBY);
    assert_true(info.balances_hosts && !info.least_latency);
    assert_int_equal(info.peer_uid, 0);
    assert_ok(parse(STR("load_balance_hosts=least-latency"), &info));
    assert_true(info.least_latency && !info.balances_hosts);

    assert_ok(parse(STR("max_protocol_version=latest"), &info));
    assert_int_equal(info.protocol_min, 0);
    assert_int_equal(info.protocol_max, 2);
    assert_ok(parse(STR("min_protocol_version=3.2"), &info));
    assert_int_equal(info.protocol_max, 2);
    assert_ok(parse(STR("keepalives=0 keepalives_idle=7 keepalives_interval=8 keepalives_count=9 "
                        "tcp_user_timeout=1234"),
                    &info));
    assert_true(info.without_keepalive);
    assert_int_equal(info.keepalive_idle_s, 7);
    assert_int_equal(info.keepalive_interval_s, 8);
    assert_int_equal(info.keepalive_probes, 9);
    assert_int_equal(info.peer_timeout_ms, 1234);
}

static void test_conninfo_tls_parameters_are_read(void **state)
{
    (void)state;
    pg_conninfo info;
    assert_ok(parse(STR("sslmode=require sslnegotiation=direct sslsni=0 sslcertmode=disable "
                        "sslcert=/c sslcrl=/crl sslcrldir=/d"),
                    &info));
    assert_true(info.ssl.direct && info.ssl.without_sni);
    assert_str_equal(info.ssl.cert_file, STR("")); /* sslcertmode=disable */
    assert_str_equal(info.ssl.crl_file, STR("/crl"));
    assert_str_equal(info.ssl.crl_directory, STR("/d"));
    assert_ok(
        parse(STR("sslcert=/c sslkey=/k sslpassword=p sslmode=verify-ca sslrootcert=/r"), &info));
    assert_str_equal(info.ssl.cert_file, STR("/c"));
    assert_str_equal(info.ssl.key_file, STR("/k"));
    assert_str_equal(info.ssl.key_password, STR("p"));
    assert_str_equal(info.ssl.root_file, STR("/r"));
    /* Whoever names roots wants them used. */
    assert_ok(parse(STR("sslrootcert=/r"), &info));
    assert_int_equal(info.ssl.mode, PG_SSLMODE_VERIFY_FULL);
    assert_ok(parse(STR("sslrootcert=system"), &info));
    assert_int_equal(info.ssl.mode, PG_SSLMODE_VERIFY_FULL);
    assert_ok(parse(STR("sslrootcert=/r sslmode=prefer"), &info));
    assert_int_equal(info.ssl.mode, PG_SSLMODE_PREFER);
    assert_ok(parse(STR("ssl_min_protocol_version=tlsv1.3"), &info));
    assert_true(info.ssl.only_1_3);
    assert_ok(parse(STR("ssl_min_protocol_version=TLSv1 ssl_max_protocol_version=TLSv1.2"), &info));
    assert_true(info.ssl.without_1_3 && !info.ssl.only_1_3);
}

static void test_conninfo_session_variables_are_sent(void **state)
{
    (void)state;
    pg_conninfo info;
    setenv("PGTZ", "Asia/Tokyo", 1);
    setenv("PGDATESTYLE", "DEFAULT", 1);
    assert_ok(pg_conninfo_parse(&memory, STR_NONE, &info));
    for (size_t i = 0; i < ARRAY_LEN(info.session); i += 2)
        assert_str_equal(info.session[i + 1],
                         str_eq(info.session[i], STR("timezone")) ? STR("Asia/Tokyo") : STR(""));
}

/* --- the environment -------------------------------------------------------------------------- */

static void test_conninfo_variables_fill_what_the_text_leaves_out(void **state)
{
    (void)state;
    pg_conninfo info;
    setenv("PGHOST", "db", 1);
    setenv("PGPORT", "5433", 1);
    setenv("PGUSER", "ada", 1);
    setenv("PGPASSWORD", "secret", 1);
    setenv("PGDATABASE", "shop", 1);
    setenv("PGAPPNAME", "notes", 1);
    setenv("PGOPTIONS", "-c a=b", 1);
    setenv("PGCONNECT_TIMEOUT", "3", 1);
    setenv("PGSSLMODE", "allow", 1);
    assert_ok(pg_conninfo_parse(&memory, STR_NONE, &info));
    unsetenv("PGHOST"); /* the result does not point there */
    assert_str_equal(info.hosts[0].name, STR("db"));
    assert_int_equal(info.hosts[0].port, 5433);
    assert_str_equal(info.user, STR("ada"));
    assert_str_equal(info.hosts[0].password, STR("secret"));
    assert_str_equal(info.database, STR("shop"));
    assert_str_equal(info.application_name, STR("notes"));
    assert_str_equal(info.options, STR("-c a=b"));
    assert_int_equal(info.connect_timeout_ms, 3000);
    assert_int_equal(info.ssl.mode, PG_SSLMODE_ALLOW);

    assert_ok(parse(STR("postgresql://bob@other:1/?sslmode=disable"), &info));
    assert_str_equal(info.hosts[0].name, STR("other"));
    assert_int_equal(info.hosts[0].port, 1);
    assert_str_equal(info.user, STR("bob"));
    assert_str_equal(info.hosts[0].password, STR("secret"));
    assert_str_equal(info.database, STR("shop"));
    assert_int_equal(info.ssl.mode, PG_SSLMODE_DISABLE);
    /* An empty parameter asks for the default, not for the variable. */
    assert_ok(parse(STR("dbname='' port=''"), &info));
    assert_str_equal(info.database, STR("ada"));
    assert_int_equal(info.hosts[0].port, 5432);
}

static void test_conninfo_empty_variables_are_as_good_as_none(void **state)
{
    (void)state;
    pg_conninfo info;
    setenv("PGSSLMODE", "", 1);
    setenv("PGPORT", "", 1);
    setenv("PGHOST", "", 1);
    assert_ok(pg_conninfo_parse(&memory, STR_NONE, &info));
    assert_int_equal(info.ssl.mode, PG_SSLMODE_PREFER);
    assert_int_equal(info.hosts[0].port, 5432);
    assert_str_equal(info.hosts[0].name, SOCKETS);
}

static void test_conninfo_bad_variables_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *value;
    } rows[] = {
        { "PGPORT", "hunter2" },        { "PGPORT", "0" },
        { "PGSSLMODE", "verify-full" }, { "PGSSLMODE", "hunter2" },
        { "PGCONNECT_TIMEOUT", "1.5" }, { "PGHOSTADDR", "hunter2" },
        { "PGREQUIREAUTH", "hunter2" }, { "PGCHANNELBINDING", "hunter2" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        pg_conninfo info;
        setenv(rows[i].name, rows[i].value, 1);
        const error e = pg_conninfo_parse(&memory, STR_NONE, &info);
        unsetenv(rows[i].name);
        assert_fails(PG_CONNINFO_INVALID, e);
        const char *text = str_to_c(&memory, error_detail_of(e)->text);
        assert_non_null(strstr(text, rows[i].name));
        assert_null(strstr(text, "hunter2"));
    }
    static char large[PG_PARAMETER_BYTES_MAX + 2];
    memset(large, 'x', sizeof large - 1);
    pg_conninfo info;
    setenv("PGPASSWORD", large, 1);
    assert_fails(PG_CONNINFO_INVALID, pg_conninfo_parse(&memory, STR_NONE, &info));
}

/* --- errors ----------------------------------------------------------------------------------- */

typedef struct bad_row {
    const char *text; /* "hunter2" in it is a secret */
    const char *said; /* in the error */
} bad_row;

static void assert_refuses(const bad_row *row)
{
    pg_conninfo info = { .host_count = 77 };
    const error e = parse(str_from_c(row->text), &info);
    if (!error_is(e, &PG_CONNINFO_INVALID))
        fail_msg("%s was taken", row->text);
    assert_int_equal(info.host_count, 77);
    const char *text = str_to_c(&memory, error_detail_of(e)->text);
    if (!strstr(text, row->said))
        fail_msg("%s: %s", row->text, text);
    if (strstr(text, "hunter2") || strstr(text, "HUNTER2"))
        fail_msg("the secret of %s: %s", row->text, text);
}

static void test_conninfo_malformed_uris_are_refused_without_their_text(void **state)
{
    (void)state;
    static const bad_row ROWS[] = {
        { "postgresql://hunter2:x%", "byte 23" },
        { "postgresql://u:hunter2%4@db", "byte 23" },
        { "postgresql://u:hunter2%4g@db", "byte 23" },
        { "postgresql://u:hunter2%00@db", "%00" },
        { "postgresql://u:hunter2@[::1", "not closed" },
        { "postgresql://u:hunter2@[]", "empty IPv6" },
        { "postgresql://u:hunter2@[::1]x", "byte 29" },
        { "postgresql://u:hunter2@db:x/", "a port is" },
        { "postgresql://u:hunter2@db:0/", "a port is" },
        { "postgresql://u:hunter2@db:65536/", "a port is" },
        { "postgresql://u:hunter2@db:-1/", "a port is" },
        { "postgresql://u:hunter2@db:99999999999999999999/", "a port is" },
        { "postgresql://u:hunter2/x@db/y", "a port is" }, /* host u, port hunter2 */
        { "postgresql://db/?password", "without \"=\"" },
        { "postgresql://db/?hunter2", "without \"=\"" },
        { "postgresql://db/?password=hunter2=", "second \"=\"" },
        { "postgresql://db/?&user=hunter2", "without \"=\"" },
        { "postgresql://db/?user=hunter2&&dbname=x", "without \"=\"" },
        { "postgresql://db/?user=hunter2&hots=x", "parameter hots at byte 31" },
        { "postgresql://db/?=hunter2", "unknown parameter at byte" },
        { "postgresql://db/?HUNTER2=x", "unknown parameter at byte" },
        { "postgresql://db/?pass%20hunter2=x", "unknown parameter at byte" },
        { "postgresql://db/?Host=hunter2", "unknown parameter at byte" },
        { "postgresql://db/?passw%6Frd=hunter2&x=", "parameter x at" },
        { "postgresql://db/?password=hunter2 x", "write %20" },
        { "postgresql://db1 ,db2/?password=hunter2", "write %20" },
        { "postgresql://db/?host=%zz&password=hunter2", "hexadecimal" },
        { "postgresql://db/?ssl=hunter2", "parameter ssl" },
        { "postgresql://db/?connect_timeout=hunter2", "connect_timeout" },
        { "postgresql://u:hunter2@a,[::1", "not closed" },
        { "postgresql://u:hunter2@a,b:x/", "a port is" },
        { "postgresql://u:hunter2@a:1,b:2/?port=3,4,5", "not as many ports" },
        { "postgresql://u:hunter2@a%2", "hexadecimal" },
        { "postgresql://u:hunter2@a:1%2/", "hexadecimal" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        assert_refuses(&ROWS[i]);
}

static void test_conninfo_malformed_pairs_are_refused_without_their_text(void **state)
{
    (void)state;
    static const bad_row ROWS[] = {
        { "hunter2", "byte 1" },
        { "password=x hunter2", "byte 12" },
        { "password=x hunter2 = ", "unknown parameter" },
        { "password hunter2=x", "byte 1" },
        { "=hunter2", "unknown parameter at byte 1" },
        { "password='hunter2", "quote is not closed" },
        { "password='hunter2\\'", "quote is not closed" },
        { "password='hunter2\\", "quote is not closed" },
        { "dbname='x' '='hunter2'", "byte 12" },
        { "hots=hunter2", "parameter hots at byte 1" },
        { "user=x password=hunter2 hots=", "parameter hots at byte 25" },
        { "Host=hunter2", "byte 1" },
        { "port='' port=hunter2", "a port is" },
        { "port='5432 5433'", "a port is" },
        { "port=0x10 password=hunter2", "a port is" },
        { "connect_timeout=2147483648 password=hunter2", "connect_timeout" },
        { "connect_timeout='' connect_timeout=1s", "connect_timeout" },
        { "sslmode=hunter2", "must be one of" },
        { "sslmode=''", "must be one of" },
        { "sslmode=Prefer", "must be one of" },
        { "gssencmode=require", "gssencmode" },
        { "port=5432,5433 password=hunter2", "not as many ports" },
        { "host=a,b port=1,2,3 password=hunter2", "not as many ports" },
        { "host=a,b hostaddr=127.0.0.1 password=hunter2", "not as many addresses" },
        { "hostaddr=localhost password=hunter2", "hostaddr at byte 1 of the connection string" },
        { "hostaddr=1.2.3 password=hunter2", "no numeric address" },
        { "sslmode=verify-ca password=hunter2", "no root certificate" },
        { "sslmode=verify-full password=hunter2", "no root certificate" },
        { "sslmode=require sslrootcert=system password=hunter2",
          "needs an sslmode of verify-full" },
        { "sslnegotiation=direct password=hunter2", "needs an sslmode of require" },
        { "sslnegotiation=hunter2", "sslnegotiation" },
        { "sslcertmode=hunter2", "sslcertmode" },
        { "sslsni=2 password=hunter2", "sslsni" },
        { "sslcompression=2 password=hunter2", "sslcompression" },
        { "ssl_min_protocol_version=SSLv3 password=hunter2", "it must be one of TLSv1" },
        { "ssl_max_protocol_version=TLSv1.1 password=hunter2", "before 1.2" },
        { "ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2", "is above" },
        { "min_protocol_version=3.2 max_protocol_version=3.0", "is above" },
        { "min_protocol_version=3.1", "3.0, 3.2 or latest" },
        { "service=hunter2", "no service file has this service" },
        { "servicefile=/nonexistent/hunter1 service=hunter2", "does not exist" },
        { "channel_binding=Require", "channel_binding" },
        { "target_session_attrs=master", "target_session_attrs" },
        { "load_balance_hosts=1", "load_balance_hosts" },
        { "requirepeer='hunter2'", "no such user" },
        { "require_auth=scram-sha-256,", "is none of" },
        { "require_auth=hunter2", "is none of" },
        { "require_auth=md5,md5 password=hunter2", "named twice" },
        { "require_auth=none,none password=hunter2", "named twice" },
        { "require_auth=md5,!password password=hunter2", "cannot be mixed" },
        { "require_auth=!md5,password password=hunter2", "cannot be mixed" },
        { "require_auth=!!md5 password=hunter2", "is none of" },
        { "replication=database password=hunter2", "replication" },
        { "keepalives_idle=x password=hunter2", "keepalives_idle" },
        { "tcp_user_timeout=1s password=hunter2", "milliseconds" },
        { "krbsrvname=hunter2", "krbsrvname at byte 1 of the connection string is not supported" },
        { "client_encoding=LATIN1", "client_encoding" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        assert_refuses(&ROWS[i]);
}

static void test_conninfo_schemes_are_exact(void **state)
{
    (void)state;
    static const char *const ROWS[] = { "postgresql:/db",    "postgresql:db", "POSTGRESQL://db",
                                        "mysql://hunter2@h", " postgres://d", "postgresql" };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const bad_row row = { ROWS[i], "without \"=\"" };
        assert_refuses(&row);
    }
}

static void test_conninfo_nul_and_length_are_checked(void **state)
{
    (void)state;
    pg_conninfo info;
    assert_fails(PG_CONNINFO_INVALID, parse(STR("host=a\0b"), &info));
    assert_fails(PG_CONNINFO_INVALID, parse(STR("postgresql://a\0b"), &info));
    static char large[PG_PARAMETER_BYTES_MAX + 1];
    memset(large, ' ', sizeof large);
    assert_ok(parse((str){ large, sizeof large - 1 }, &info));
    assert_fails(PG_CONNINFO_INVALID, parse((str){ large, sizeof large }, &info));
}

static void test_conninfo_socket_directory_must_leave_room_for_the_name(void **state)
{
    (void)state;
    char text[128] = "host=/";
    memset(text + 6, 'd', sizeof text - 6);
    pg_conninfo info;
    assert_ok(parse((str){ text, 5 + 92 }, &info)); /* 92 + strlen("/.s.PGSQL.65535") + 1 = 108 */
    assert_int_equal(info.hosts[0].name.len, 92);
    assert_fails(PG_CONNINFO_INVALID, parse((str){ text, 5 + 93 }, &info));
}

static void test_conninfo_cut_anywhere_never_reads_on(void **state)
{
    (void)state;
    static const char *const ROWS[] = {
        "postgresql://a%40b:p%3Aw@[::1]:5433/s%3Fp?application_name=x%20y&sslmode=disable",
        "host='/run/p g' port = 5433 dbname='it\\'s' user=a\\ b sslmode=prefer",
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const str whole = str_from_c(ROWS[i]);
        for (size_t len = 0; len <= whole.len; len++) {
            pg_conninfo info;
            const error e = parse(str_slice(whole, 0, len), &info);
            assert_true(error_is_ok(e) || error_is(e, &PG_CONNINFO_INVALID));
        }
    }
}

static void test_conninfo_without_memory_fails(void **state)
{
    (void)state;
    arena none;
    arena_init(&none, 0);
    pg_conninfo info;
    assert_fails(OUT_OF_MEMORY, pg_conninfo_parse(&none, STR("host=a"), &info));
    arena_deinit(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_conninfo_uris_are_read),
        TEST(test_conninfo_pairs_are_read),
        TEST(test_conninfo_other_parameters_are_read),
        TEST(test_conninfo_lists_of_hosts_are_paired),
        TEST(test_conninfo_too_many_hosts_are_refused),
        TEST(test_conninfo_demands_are_read),
        TEST(test_conninfo_tls_parameters_are_read),
        TEST(test_conninfo_session_variables_are_sent),
        TEST(test_conninfo_variables_fill_what_the_text_leaves_out),
        TEST(test_conninfo_empty_variables_are_as_good_as_none),
        TEST(test_conninfo_bad_variables_are_named),
        TEST(test_conninfo_malformed_uris_are_refused_without_their_text),
        TEST(test_conninfo_malformed_pairs_are_refused_without_their_text),
        TEST(test_conninfo_schemes_are_exact),
        TEST(test_conninfo_nul_and_length_are_checked),
        TEST(test_conninfo_socket_directory_must_leave_room_for_the_name),
        TEST(test_conninfo_cut_anywhere_never_reads_on),
        TEST(test_conninfo_without_memory_fails),
    };
    return cmocka_run_group_tests_name("conninfo", tests, NULL, NULL);
}
