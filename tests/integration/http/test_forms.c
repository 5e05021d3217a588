/* Forms, queries as structs, and cookies, over the wire. */
#include "tests/support/http_test.h"

#include <stdio.h>
#include <string.h>

typedef struct form_case {
    const char *name;
    const char *pairs;
    int status;
    const char *contains; /* of the answer's body */
} form_case;

static const form_case FORMS[] = {
    { "all", "name=Ada+L%C3%B6v&age=36&news=true&tags=a&tags=b%26c", 200,
      "{\"name\":\"Ada L\xC3\xB6v\",\"age\":36,\"news\":true,\"tags\":[\"a\",\"b&c\"]}" },
    { "least", "name=A&age=0", 200, "{\"name\":\"A\",\"age\":0,\"news\":null,\"tags\":[]}" },
    { "empty pairs between", "&name=A&&age=1&", 200, "\"age\":1" },
    { "missing", "", 422, "\"path\":\"name\",\"code\":\"required\"" },
    { "missing, the other too", "", 422, "\"path\":\"age\",\"code\":\"required\"" },
    { "wrong type", "name=A&age=old", 422, "\"path\":\"age\",\"code\":\"wrong_type\"" },
    { "out of range", "name=A&age=151", 422, "\"path\":\"age\",\"code\":\"too_big\"" },
    { "too long", "name=AAAAAAAAAAAAAAAAAAAAA&age=1", 422, "\"code\":\"too_long\"" },
    { "empty", "name=&age=1", 422, "\"code\":\"too_short\"" },
    { "no value", "name&age=1", 422, "\"code\":\"too_short\"" },
    { "twice", "name=A&age=1&age=2", 422, "\"path\":\"age\",\"code\":\"duplicate\"" },
    { "unknown", "name=A&age=1&admin=true", 422, "\"path\":\"admin\",\"code\":\"unknown_field\"" },
    { "too many items", "name=A&age=1&tags=1&tags=2&tags=3&tags=4", 422, "\"path\":\"tags\"" },
    { "bad escape", "name=%zz&age=1", 400, NULL },
    { "NUL", "name=a%00b&age=1", 400, NULL },
    { "not UTF-8", "name=%ff&age=1", 400, NULL },
};

static void check_form(const form_case *c, peer *p)
{
    answer a;
    peer_read(p, false, &a);
    check_status(c->name, &a, c->status);
    if (c->contains && !memmem(a.body.ptr, a.body.len, c->contains, strlen(c->contains))) {
        print_error("%s: no %s in %.*s\n", c->name, c->contains, STR_ARG(a.body));
        fail();
    }
    answer_free(&a);
}

static void test_forms_are_bound_and_every_fault_is_named(void **state)
{
    (void)state;
    peer p;
    server_start(&server, getenv("LAYERED"), ENVIRONMENT("WORKERS=1"));
    peer_connect(&p, server.port);
    for (size_t i = 0; i < ARRAY_LEN(FORMS); i++) {
        peer_sendf(&p,
                   "POST /signup HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n"
                   "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n\r\n%s",
                   strlen(FORMS[i].pairs), FORMS[i].pairs);
        check_form(&FORMS[i], &p);
        if (FORMS[i].status == 400)
            continue; /* a query like this is refused with its target */
        peer_sendf(&p, "GET /search?%s HTTP/1.1\r\nHost: x\r\n\r\n", FORMS[i].pairs);
        check_form(&FORMS[i], &p);
    }
    peer_close(&p);
}

static void test_forms_of_another_type_are_refused(void **state)
{
    (void)state;
    peer p;
    answer a;
    server_start(&server, getenv("LAYERED"), ENVIRONMENT("WORKERS=1"));
    peer_connect(&p, server.port);
    peer_sendf(&p, "POST /signup HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                   "Content-Type: application/json\r\n\r\n{}");
    peer_read(&p, false, &a);
    check_status("JSON", &a, 415);
    answer_free(&a);
    peer_close(&p);
}

static void test_forms_of_too_many_pairs_are_refused(void **state)
{
    (void)state;
    char pairs[4400];
    size_t len = 0;
    peer p;
    answer a;
    for (int i = 0; i < 1001; i++) {
        memcpy(pairs + len, "x=1&", 4);
        len += 4;
    }
    server_start(&server, getenv("LAYERED"), ENVIRONMENT("WORKERS=1"));
    peer_connect(&p, server.port);
    peer_sendf(&p,
               "POST /signup HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n"
               "Content-Type: application/x-www-form-urlencoded\r\n\r\n%.*s",
               len, (int)len, pairs);
    peer_read(&p, false, &a);
    check_status("pairs", &a, 400);
    answer_free(&a);
    peer_close(&p);
}

typedef struct cookie_case {
    const char *kind;
    const char *header; /* NULL: refused with 500, and nothing is set */
} cookie_case;

static const cookie_case COOKIES[] = {
    { "", "session=abc.def-_=; Path=/; Secure; HttpOnly; SameSite=Lax" },
    { "free", "theme=dark; Path=/app; Domain=example.com; Max-Age=3600; SameSite=Strict" },
    { "delete", "session=abc.def-_=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax" },
    { "split", NULL },
    { "newline", NULL },
    { "name", NULL },
    { "host", NULL },
    { "secure", NULL },
    { "none", NULL },
};

static void test_cookies_are_set_safely_or_not_at_all(void **state)
{
    (void)state;
    server_start(&server, getenv("LAYERED"), ENVIRONMENT("WORKERS=1"));
    for (size_t i = 0; i < ARRAY_LEN(COOKIES); i++) {
        char path[64];
        answer a;
        (void)snprintf(path, sizeof path, "/cookies?kind=%s", COOKIES[i].kind);
        http_get(server.port, path, &a);
        check_status(path, &a, COOKIES[i].header ? 204 : 500);
        const str header = answer_header(&a, "set-cookie");
        if (COOKIES[i].header)
            assert_true(str_eq(header, str_from_c(COOKIES[i].header)));
        else
            assert_null(header.ptr);
        answer_free(&a);
    }
}

static void test_cookies_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        const char *value;
    } cases[] = {
        { "", "(none)" },
        { "Cookie: session=1\r\n", "1" },
        { "Cookie: a=2; session=1; session=3\r\n", "1" },
        { "Cookie: a=2;session=a=b\r\n", "a=b" },
        { "Cookie: sessions=2; xsession=3\r\n", "(none)" },
        { "Cookie: session\r\n", "(none)" },
        { "Cookie: a=1\r\nCookie: session=4\r\n", "4" },
        { "Cookie: session=\r\n", "" },
    };
    peer p;
    server_start(&server, getenv("LAYERED"), ENVIRONMENT("WORKERS=1"));
    peer_connect(&p, server.port);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        answer a;
        peer_sendf(&p, "GET /cookie HTTP/1.1\r\nHost: x\r\n%s\r\n", cases[i].fields);
        peer_read(&p, false, &a);
        check_status(cases[i].fields, &a, 200);
        assert_true(str_eq(a.body, str_from_c(cases[i].value)));
        answer_free(&a);
    }
    peer_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_forms_are_bound_and_every_fault_is_named, server_teardown),
        cmocka_unit_test_teardown(test_forms_of_another_type_are_refused, server_teardown),
        cmocka_unit_test_teardown(test_forms_of_too_many_pairs_are_refused, server_teardown),
        cmocka_unit_test_teardown(test_cookies_are_set_safely_or_not_at_all, server_teardown),
        cmocka_unit_test_teardown(test_cookies_are_read, server_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
