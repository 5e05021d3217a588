/* Every error a user of notes can cause: the answer's status and its problem, which fields it
 * names, that nothing is stored or changed by it, and that it tells nothing of the inside. */
#include "notes_test.h"

static char ada[TOKEN_BYTES_MAX], bob[TOKEN_BYTES_MAX];
static int64_t adas_note;

static int setup(void **state)
{
    notes_setup(state);
    sign_up(ADA, ada);
    sign_up(BOB, bob);
    adas_note = make_note(ada, "Mine", "Not yours");
    return 0;
}

/* Asks, wants this problem, and that all stays as it was. Returns the faulty fields as
 * "path:code path:code". */
static str refused(const char *what, const question *q, int status, const char *detail)
{
    answer a;
    buf fields;
    const str before = stored();
    ask_question(q, &a);
    check_problem(what, &a, status, detail);
    buf_init_arena(&fields, fiber_arena(), 65536);
    const json *errors = status == 422 ? member_of(&a, "errors") : NULL;
    for (size_t i = 0; errors && i < errors->array.count; i++) {
        const json *item = &errors->array.items[i];
        const str path = json_find(item, STR("path"))->string;
        const str code = json_find(item, STR("code"))->string;
        assert_int_equal(item->object.count, 3);
        assert_true(json_find(item, STR("message"))->string.len > 0);
        buf_append_format(&fields, "%s%.*s:%.*s", i ? " " : "", STR_ARG(path), STR_ARG(code));
    }
    answer_free(&a);
    assert_str_equal(stored(), before);
    return buf_str(&fields);
}

/* A JSON body as it stands, " for ". */
static question raw_json(const char *token, const char *request, str body)
{
    return (
        question){ .token = token, .request = request, .type = "application/json", .body = body };
}

static question with_json(const char *token, const char *request, const char *body)
{
    return raw_json(token, request, json_unquote(fiber_arena(), body));
}

/* The routes that read a body, each with a good one. */
typedef struct body_route {
    const char *request;
    const char *good;
    bool guarded;
} body_route;

static char patch_request[64]; /* "PATCH /notes/<ada's>" */

static const body_route BODY_ROUTES[] = {
    { "POST /register", "{'email':'x@example.com','password':'" PASSWORD "'}", false },
    { "POST /login", "{'email':'" ADA "','password':'" PASSWORD "'}", false },
    { "POST /notes", "{'title':'t','body':'b'}", true },
    { patch_request, "{'title':'t','body':'b'}", true },
};

static const char *token_for(const body_route *r)
{
    (void)snprintf(patch_request, sizeof patch_request, "PATCH /notes/%ld", (long)adas_note);
    return r->guarded ? ada : NULL;
}

/* --- bodies that are no JSON ----------------------------------------------------------------- */

typedef struct malformed {
    const char *name;
    str text;
} malformed;

static const malformed MALFORMED[] = {
    { "empty", { "", 0 } },
    { "space", { "  \n", 3 } },
    { "cut off", { "{\"title\":\"t\"", 12 } },
    { "no value", { "{\"title\":}", 10 } },
    { "comma", { "{\"title\":\"t\",}", 14 } },
    { "two values", { "{} {}", 5 } },
    { "form", { "title=t&body=b", 14 } },
    { "unquoted", { "{title:1}", 9 } },
    { "single quotes", { "{'title':'t'}", 13 } },
    { "NaN", { "{\"title\":NaN}", 13 } },
    { "byte order mark", { "\xEF\xBB\xBF{}", 5 } },
    { "NUL byte", { "{\"title\":\"a\0b\"}", 15 } },
    { "NUL behind", { "{}\0", 3 } },
    { "NUL escaped", { "{\"title\":\"a\\u0000b\"}", 20 } },
    { "NUL escaped in a key", { "{\"ti\\u0000tle\":\"a\"}", 19 } },
    { "raw newline", { "{\"title\":\"a\nb\"}", 15 } },
    { "bad escape", { "{\"title\":\"\\x41\"}", 16 } },
    { "lone surrogate", { "{\"title\":\"\\ud800\"}", 18 } },
    { "UTF-8: lone byte", { "{\"title\":\"\xFF\"}", 13 } },
    { "UTF-8: overlong", { "{\"title\":\"\xC0\x80\"}", 14 } },
    { "UTF-8: surrogate", { "{\"title\":\"\xED\xA0\x80\"}", 15 } },
    { "UTF-8: too far", { "{\"title\":\"\xF4\x90\x80\x80\"}", 16 } },
    { "UTF-8: cut off", { "{\"title\":\"\xE2\x82\"}", 14 } },
    { "UTF-16", { "{\0\"\0t\0", 6 } },
};

static void test_body_that_is_no_json_is_400(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BODY_ROUTES); i++) {
        const body_route *r = &BODY_ROUTES[i];
        for (size_t k = 0; k < ARRAY_LEN(MALFORMED); k++) {
            const question q = raw_json(token_for(r), r->request, MALFORMED[k].text);
            refused(MALFORMED[k].name, &q, 400, "The body is not valid JSON.");
        }
    }
}

static void test_body_nested_too_deeply_is_400(void **state)
{
    (void)state;
    static char deep[200000];
    memset(deep, '[', sizeof deep);
    for (size_t i = 0; i < ARRAY_LEN(BODY_ROUTES); i++) {
        const body_route *r = &BODY_ROUTES[i];
        const question q = raw_json(token_for(r), r->request, (str){ deep, sizeof deep });
        refused("deep", &q, 400, "The body is not valid JSON.");
    }
}

static void test_body_of_another_type_is_415(void **state)
{
    (void)state;
    static const char *const TYPES[] = { NULL,
                                         "",
                                         "text/plain",
                                         "application/x-www-form-urlencoded",
                                         "multipart/form-data; boundary=x",
                                         "application/jsonx",
                                         "application/json-patch+json",
                                         "application",
                                         "text/html; application/json" };
    for (size_t i = 0; i < ARRAY_LEN(BODY_ROUTES); i++) {
        const body_route *r = &BODY_ROUTES[i];
        for (size_t k = 0; k < ARRAY_LEN(TYPES); k++) {
            question q = with_json(token_for(r), r->request, r->good);
            q.type = TYPES[k];
            refused(TYPES[k] ? TYPES[k] : "no type", &q, 415,
                    "The body must be of type application/json.");
        }
    }
}

/* --- bodies that are too large --------------------------------------------------------------- */

static str spaces(size_t count)
{
    char *text = ARENA_NEW_ARRAY(fiber_arena(), char, count);
    memset(text, ' ', count);
    return (str){ text, count };
}

static void test_body_over_the_limit_is_413(void **state)
{
    (void)state;
    const str large = spaces((1 << 20) + 1);
    for (size_t i = 0; i < ARRAY_LEN(BODY_ROUTES); i++) {
        const body_route *r = &BODY_ROUTES[i];
        question q = raw_json(token_for(r), r->request, large);
        refused("sent", &q, 413, NULL);
        q.body = STR_NONE;
        q.header = "Content-Length: 99999999999";
        refused("announced", &q, 413, NULL);
    }
}

static void test_body_of_just_the_limit_is_read(void **state)
{
    (void)state;
    char *text = ARENA_NEW_ARRAY(fiber_arena(), char, 1 << 20);
    memset(text, ' ', 1 << 20);
    memcpy(text, "{}", 2);
    const question q = raw_json(ada, "POST /notes", (str){ text, 1 << 20 });
    assert_str_equal(refused("1 MiB", &q, 422, NULL), STR("title:required body:required"));
}

static void test_body_in_chunks_over_the_limit_is_413(void **state)
{
    (void)state;
    const str before = stored();
    for (size_t i = 0; i < ARRAY_LEN(BODY_ROUTES); i++) {
        const body_route *r = &BODY_ROUTES[i];
        peer p;
        answer a;
        peer_connect(&p, server.port);
        send_question(&p, &(question){ .token = token_for(r),
                                       .request = r->request,
                                       .type = "application/json",
                                       .header = "Transfer-Encoding: chunked" });
        const str part = spaces(65536);
        for (int k = 0; k < 20; k++) {
            peer_send(&p, STR("10000\r\n"));
            peer_send(&p, part);
            peer_send(&p, STR("\r\n"));
        }
        peer_read(&p, false, &a);
        check_problem(r->request, &a, 413, NULL);
        answer_free(&a);
        peer_close(&p);
    }
    assert_str_equal(stored(), before);
}

/* --- fields ---------------------------------------------------------------------------------- */

typedef struct field_case {
    const char *name;
    const char *body;
    const char *faults;
} field_case;

static const field_case CREDENTIALS[] = {
    { "nothing", "{}", "email:required password:required" },
    { "an array", "[]", ":wrong_type" },
    { "a string", "'email'", ":wrong_type" },
    { "null", "null", ":wrong_type" },
    { "a number", "1", ":wrong_type" },
    { "no password", "{'email':'a@example.com'}", "password:required" },
    { "no e-mail", "{'password':'" PASSWORD "'}", "email:required" },
    { "nulls", "{'email':null,'password':null}", "email:null password:null" },
    { "numbers", "{'email':1,'password':2.5}", "email:wrong_type password:wrong_type" },
    { "nested", "{'email':{},'password':['x']}", "email:wrong_type password:wrong_type" },
    { "booleans", "{'email':true,'password':false}", "email:wrong_type password:wrong_type" },
    { "short password", "{'email':'a@example.com','password':'1234567'}", "password:too_short" },
    { "short password of emoji",
      "{'email':'a@example.com','password':'\xF0\x9F\x98\x80\xF0\x9F\x98\x80\xF0\x9F\x98\x80'}",
      "password:too_short" },
    { "no at", "{'email':'example.com','password':'" PASSWORD "'}", "email:format" },
    { "no host", "{'email':'a@','password':'" PASSWORD "'}", "email:format" },
    { "no name", "{'email':'@example.com','password':'" PASSWORD "'}", "email:format" },
    { "two ats", "{'email':'a@b@example.com','password':'" PASSWORD "'}", "email:format" },
    { "space", "{'email':'a b@example.com','password':'" PASSWORD "'}", "email:format" },
    { "newline", "{'email':'a@example.com\\n','password':'" PASSWORD "'}", "email:format" },
    { "empty e-mail", "{'email':'','password':'" PASSWORD "'}", "email:format" },
    { "all wrong", "{'email':'nobody','password':'x','extra':1}",
      "email:format password:too_short extra:unknown_field" },
    { "a role", "{'email':'a@example.com','password':'" PASSWORD "','role':'admin'}",
      "role:unknown_field" },
    { "an id", "{'id':1,'email':'a@example.com','password':'" PASSWORD "'}", "id:unknown_field" },
    { "a hash", "{'email':'a@example.com','password':'" PASSWORD "','hash':'x'}",
      "hash:unknown_field" },
    { "twice", "{'email':'a@example.com','email':'b@example.com','password':'" PASSWORD "'}",
      "email:duplicate" },
    { "other case", "{'Email':'a@example.com','password':'" PASSWORD "'}",
      "Email:unknown_field email:required" },
};

static const field_case NOTES_CASES[] = {
    { "nothing", "{}", "title:required body:required" },
    { "an array", "[{'title':'t','body':'b'}]", ":wrong_type" },
    { "null", "null", ":wrong_type" },
    { "no title", "{'body':'b'}", "title:required" },
    { "no body", "{'title':'t'}", "body:required" },
    { "empty title", "{'title':'','body':'b'}", "title:too_short" },
    { "nulls", "{'title':null,'body':null}", "title:null body:null" },
    { "numbers", "{'title':1,'body':-0.5e3}", "title:wrong_type body:wrong_type" },
    { "nested", "{'title':['t'],'body':{'b':1}}", "title:wrong_type body:wrong_type" },
    { "unknown", "{'title':'t','body':'b','colour':'red'}", "colour:unknown_field" },
    { "somebody else's", "{'title':'t','body':'b','owner':2}", "owner:unknown_field" },
    { "id and time", "{'title':'t','body':'b','id':1,'created_at':'2026-01-01T00:00:00Z'}",
      "id:unknown_field created_at:unknown_field" },
    { "title twice", "{'title':'t','title':'u','body':'b'}", "title:duplicate" },
    { "twice by escape", "{'title':'t','\\u0074itle':'u','body':'b'}", "title:duplicate" },
    { "all wrong", "{'title':'','body':7,'x':1,'y':null}",
      "title:too_short body:wrong_type x:unknown_field y:unknown_field" },
};

static const field_case PATCH_CASES[] = {
    { "an array", "[]", ":wrong_type" },
    { "null", "null", ":wrong_type" },
    { "null title", "{'title':null}", "title:null" },
    { "null body", "{'body':null,'title':'t'}", "body:null" },
    { "empty title", "{'title':'','body':'changed'}", "title:too_short" },
    { "number", "{'title':5,'body':'changed'}", "title:wrong_type" },
    { "unknown", "{'title':'changed','text':'b'}", "text:unknown_field" },
    { "id", "{'title':'changed','id':99}", "id:unknown_field" },
    { "twice", "{'title':'t','title':'u'}", "title:duplicate" },
    { "both wrong", "{'title':'','body':false}", "title:too_short body:wrong_type" },
};

static void run_field_cases(const char *token, const char *request, const field_case *cases,
                            size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const question q = with_json(token, request, cases[i].body);
        const str faults = refused(cases[i].name, &q, 422, "The body has invalid fields.");
        if (!str_eq(faults, str_from_c(cases[i].faults)))
            print_error("%s, %s:\n", request, cases[i].name);
        assert_str_equal(faults, str_from_c(cases[i].faults));
    }
}

static void test_fields_of_an_account_are_422_each_named(void **state)
{
    (void)state;
    run_field_cases(NULL, "POST /register", CREDENTIALS, ARRAY_LEN(CREDENTIALS));
    run_field_cases(NULL, "POST /login", CREDENTIALS, ARRAY_LEN(CREDENTIALS));
}

static void test_fields_of_a_note_are_422_each_named(void **state)
{
    (void)state;
    run_field_cases(ada, "POST /notes", NOTES_CASES, ARRAY_LEN(NOTES_CASES));
}

static void test_fields_of_a_change_are_422_each_named(void **state)
{
    (void)state;
    run_field_cases(ada, on_note("PATCH", adas_note), PATCH_CASES, ARRAY_LEN(PATCH_CASES));
}

/* `count` times a text, in the arena. */
static const char *repeat(const char *text, size_t count)
{
    const size_t len = strlen(text);
    char *out = ARENA_NEW_ARRAY(fiber_arena(), char, len *count + 1);
    for (size_t i = 0; i < count; i++)
        memcpy(out + i * len, text, len);
    return out;
}

static void expect_faults(const char *token, const char *request, str body, const char *faults)
{
    const question q = with_json(token, request, str_to_c(fiber_arena(), body));
    assert_str_equal(refused(request, &q, 422, "The body has invalid fields."), str_from_c(faults));
}

static void test_fields_that_are_too_long_are_422(void **state)
{
    (void)state;
    arena *a = fiber_arena();
    const char *patch = on_note("PATCH", adas_note);
    static const char *const CHARACTERS[] = { "x", "\xC3\xBC", "\xF0\x9F\x98\x80",
                                              "\\ud83d\\ude00" };
    for (size_t i = 0; i < ARRAY_LEN(CHARACTERS); i++) {
        const char *title = repeat(CHARACTERS[i], 201), *body = repeat(CHARACTERS[i], 65537);
        const str both = str_format(a, "{'title':'%s','body':'%s'}", title, body);
        expect_faults(ada, "POST /notes", both, "title:too_long body:too_long");
        expect_faults(ada, patch, both, "title:too_long body:too_long");
        expect_faults(ada, patch, str_format(a, "{'body':'%s'}", body), "body:too_long");
        expect_faults(
            NULL, "POST /register",
            str_format(a, "{'email':'a@example.com','password':'%s'}", repeat(CHARACTERS[i], 1025)),
            "password:too_long");
    }
    expect_faults(
        NULL, "POST /register",
        str_format(a, "{'email':'%s@example.com','password':'" PASSWORD "'}", repeat("a", 65)),
        "email:format");
    expect_faults(NULL, "POST /register",
                  str_format(a, "{'email':'a@%sde','password':'" PASSWORD "'}", repeat("b.", 126)),
                  "email:too_long");
}

static void test_fields_without_end_are_422_with_a_bounded_list(void **state)
{
    (void)state;
    buf body;
    answer a;
    buf_init_arena(&body, fiber_arena(), 1 << 20);
    buf_append_char(&body, '{');
    for (int i = 0; i < 20000; i++)
        buf_append_format(&body, "%s\"field_%d\":%d", i ? "," : "", i, i);
    buf_append_char(&body, '}');
    const question q = raw_json(ada, "POST /notes", buf_str(&body));
    ask_question(&q, &a);
    check_problem("20000 fields", &a, 422, NULL);
    assert_true(member_of(&a, "errors")->array.count <= JSON_FIELDS_MAX);
    answer_free(&a);
}

/* --- who is asking --------------------------------------------------------------------------- */

static const char *const GUARDED[] = { "GET /notes",        "POST /notes",       "GET /notes/%ld",
                                       "PATCH /notes/%ld",  "DELETE /notes/%ld", "GET /users",
                                       "GET /notes?limit=0" };

/* On every guarded route, with a good body and with a bad one: the token comes first. */
static void expect_401(const char *what, const char *header, const char *challenge)
{
    const str before = stored();
    for (size_t i = 0; i < 2 * ARRAY_LEN(GUARDED); i++) {
        char request[128];
        answer a;
        (void)snprintf(request, sizeof request, GUARDED[i / 2], (long)adas_note);
        question q = { .request = request, .header = header };
        if (strncmp(request, "P", 1) == 0) {
            q.type = i % 2 ? "application/json" : "text/plain";
            q.body = i % 2 ? STR("{\"title\":\"Yours\",\"body\":\"now\"}") : STR("?");
        }
        ask_question(&q, &a);
        if (a.status != 401)
            print_error("%s (%s):\n", what, header ? header : "");
        check_problem(request, &a, 401, NULL);
        assert_str_equal(answer_header(&a, "www-authenticate"), str_from_c(challenge));
        answer_free(&a);
    }
    assert_str_equal(stored(), before);
}

#define CHALLENGE "Bearer realm=\"api\""
#define INVALID   CHALLENGE ", error=\"invalid_token\""

static void test_token_missing_is_401_on_every_guarded_route(void **state)
{
    (void)state;
    expect_401("none", NULL, CHALLENGE);
    expect_401("empty", "Authorization:", CHALLENGE);
    expect_401("no token", "Authorization: Bearer", CHALLENGE);
    expect_401("spaces", "Authorization: Bearer    ", CHALLENGE);
    expect_401("basic", "Authorization: Basic YWRhOmFkYQ==", CHALLENGE);
    expect_401("another header", "Authorisation: Bearer x", CHALLENGE);
    expect_401("cookie", "Cookie: token=x", CHALLENGE);
}

static void expect_token_401(const char *what, const char *token)
{
    expect_401(
        what, str_to_c(fiber_arena(), str_format(fiber_arena(), "Authorization: Bearer %s", token)),
        INVALID);
}

#define HS256  "{'alg':'HS256','typ':'JWT'}"
#define CLAIMS "{'sub':'%ld','role':'%s','iat':%ld,'exp':%ld}"

static const char *claims(int64_t id, const char *role, long issued, long expires)
{
    const long now = (long)time(NULL);
    return str_to_c(fiber_arena(),
                    str_format(fiber_arena(), CLAIMS, (long)id, role, now + issued, now + expires));
}

/* Ada's account. */
static int64_t adas_id(void)
{
    return count_of("select id from accounts where email = '" ADA "'");
}

static void test_token_made_as_the_program_does_is_taken(void **state)
{
    (void)state;
    const char *token = make_token(SECRET, HS256, claims(adas_id(), "member", -10, 600));
    expect(token, "GET /notes", NULL, 200,
           "{'items':[" NOTE_OF("Mine", "Not yours") "],'next':null}");
}

static void test_token_garbage_is_401_on_every_guarded_route(void **state)
{
    (void)state;
    expect_token_401("word", "garbage");
    expect_token_401("dots", "..");
    expect_token_401("three parts", "a.b.c");
    expect_token_401("four parts", "a.b.c.d");
    expect_token_401("no base64", "!!!.???.***");
    expect_token_401("two tokens",
                     str_to_c(fiber_arena(), str_format(fiber_arena(), "%s %s", ada, bob)));
    expect_token_401("high bytes", "\xFF\xFE.\xC3\xBC.\x80");
    expect_token_401("long", repeat("A", 7000));
}

static void test_token_tampered_is_401_on_every_guarded_route(void **state)
{
    (void)state;
    arena *a = fiber_arena();
    char token[TOKEN_BYTES_MAX];
    const char *admins = make_token("wrong", HS256, claims(adas_id(), "admin", -10, 600));
    const char *good_mac = strrchr(ada, '.');
    expect_token_401("a role with another token's signature",
                     str_to_c(a, str_format(a, "%.*s%s", (int)(strrchr(admins, '.') - admins),
                                            admins, good_mac)));
    expect_token_401("no signature",
                     str_to_c(a, str_format(a, "%.*s", (int)(good_mac - ada + 1), ada)));
    expect_token_401("no dot", str_to_c(a, str_format(a, "%.*s", (int)(good_mac - ada), ada)));
    for (size_t at = 5; at < strlen(ada); at += strlen(ada) / 4) {
        memcpy(token, ada, sizeof token);
        token[at] = token[at] == 'A' ? 'B' : 'A';
        expect_token_401("a changed character", token);
    }
    expect_token_401("padded", str_to_c(a, str_format(a, "%s=", ada)));
}

static void test_token_of_another_key_or_way_is_401_on_every_guarded_route(void **state)
{
    (void)state;
    const char *good = claims(adas_id(), "admin", -10, 600);
    expect_token_401("foreign", make_token("another secret, of somebody else's", HS256, good));
    expect_token_401("no key", make_token("", HS256, good));
    expect_token_401("alg none", make_token(SECRET, "{'alg':'none'}", good));
    expect_token_401("alg HS512", make_token(SECRET, "{'alg':'HS512','typ':'JWT'}", good));
    expect_token_401("alg RS256", make_token(SECRET, "{'alg':'RS256','typ':'JWT'}", good));
    expect_token_401("no alg", make_token(SECRET, "{'typ':'JWT'}", good));
    expect_token_401("critical", make_token(SECRET, "{'alg':'HS256','crit':['x'],'x':1}", good));
}

static void test_token_with_bad_claims_is_401_on_every_guarded_route(void **state)
{
    (void)state;
    static const char *const CLAIM_CASES[] = {
        "{}",
        "[]",
        "null",
        "{'sub':'1','role':'member'}",
        "{'sub':'x','role':'member','exp':4000000000}",
        "{'role':'member','exp':4000000000}",
        "{'sub':'1','exp':4000000000}",
        "{'sub':'1','role':7,'exp':4000000000}",
        "{'sub':'1','role':'member','exp':'4000000000'}",
        "{'sub':'99999999999999999999','role':'member','exp':4000000000}",
        "{'sub':'1','role':'member','exp':4000000000,'nbf':3999999999}",
        "{'sub':'1','role':'member','exp':4000000000",
    };
    for (size_t i = 0; i < ARRAY_LEN(CLAIM_CASES); i++)
        expect_token_401(CLAIM_CASES[i], make_token(SECRET, HS256, CLAIM_CASES[i]));
}

static void test_token_expired_is_401_and_says_so(void **state)
{
    (void)state;
    const char *token = make_token(SECRET, HS256, claims(adas_id(), "member", -3600, -60));
    expect_401(
        "expired",
        str_to_c(fiber_arena(), str_format(fiber_arena(), "Authorization: Bearer %s", token)),
        INVALID ", error_description=\"The token has expired\"");
}

static void test_token_scheme_in_any_case_is_taken(void **state)
{
    (void)state;
    answer a;
    const str header = str_format(fiber_arena(), "aUTHORIZATION:\tbEARER  %s ", ada);
    ask_question(&(question){ .request = "GET /notes", .header = str_to_c(fiber_arena(), header) },
                 &a);
    check_status("GET /notes", &a, 200);
    answer_free(&a);
}

static void test_role_that_is_not_enough_is_403(void **state)
{
    (void)state;
    answer a;
    const str before = stored();
    ask(ada, "GET /users", NULL, &a);
    check_problem("GET /users", &a, 403, "This account may not do that.");
    assert_str_equal(answer_header(&a, "www-authenticate"),
                     STR(CHALLENGE ", error=\"insufficient_scope\""));
    answer_free(&a);
    refuse(make_token(SECRET, HS256, claims(adas_id(), "Admin", -10, 600)), "GET /users", NULL,
           403);
    refuse(make_token(SECRET, HS256, claims(adas_id(), "admin ", -10, 600)), "GET /users", NULL,
           403);
    refuse(make_token(SECRET, HS256, claims(adas_id(), "administrator", -10, 600)), "GET /users",
           NULL, 403);
    assert_str_equal(stored(), before);
}

static void test_login_unknown_and_wrong_password_are_the_same_401(void **state)
{
    (void)state;
    answer wrong, unknown;
    const str before = stored();
    ask(NULL, "POST /login", "{'email':'" ADA "','password':'correct horse batterz'}", &wrong);
    ask(NULL, "POST /login", "{'email':'nobody@example.com','password':'" PASSWORD "'}", &unknown);
    check_problem("wrong password", &wrong, 401, NULL);
    check_problem("unknown", &unknown, 401, NULL);
    assert_str_equal(wrong.body, unknown.body);
    answer_free(&wrong);
    answer_free(&unknown);
    refuse(NULL, "POST /login", "{'email':'" ADA "','password':'" PASSWORD " '}", 401);
    refuse(NULL, "POST /login", "{'email':'" ADA "','password':'Correct horse battery'}", 401);
    refuse(NULL, "POST /login", "{'email':'%@example.com','password':'" PASSWORD "'}", 401);
    assert_str_equal(stored(), before);
}

/* --- what belongs to somebody else ----------------------------------------------------------- */

static void test_foreign_note_is_404_and_stays_as_it_was(void **state)
{
    (void)state;
    char boss[TOKEN_BYTES_MAX];
    sign_up("boss@example.com", boss);
    make_admin("boss@example.com", boss);
    const str before = stored();
    const char *const strangers[] = { bob, boss };
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++) {
        refuse(strangers[i], on_note("GET", adas_note), NULL, 404);
        refuse(strangers[i], on_note("PATCH", adas_note), "{'title':'Taken'}", 404);
        refuse(strangers[i], on_note("PATCH", adas_note), "{}", 404);
        refuse(strangers[i], on_note("DELETE", adas_note), NULL, 404);
        expect(strangers[i], "GET /notes", NULL, 200, "{'items':[],'next':null}");
    }
    assert_str_equal(stored(), before);
    expect(ada, on_note("GET", adas_note), NULL, 200, NOTE_OF("Mine", "Not yours"));
}

static void test_note_missing_answers_as_a_foreign_one(void **state)
{
    (void)state;
    answer foreign, missing;
    ask(bob, on_note("GET", adas_note), NULL, &foreign);
    ask(bob, "GET /notes/123456789", NULL, &missing);
    check_problem("foreign", &foreign, 404, NULL);
    check_problem("missing", &missing, 404, NULL);
    assert_str_equal(foreign.body, missing.body);
    answer_free(&foreign);
    answer_free(&missing);
}

static void test_account_deleted_keeps_a_token_that_can_do_nothing(void **state)
{
    (void)state;
    char gone[TOKEN_BYTES_MAX];
    sign_up("gone@example.com", gone);
    make_note(gone, "Last words", "");
    assert_ok(pg_execute(db, NULL, "delete from accounts where email = 'gone@example.com'"));
    const str before = stored();
    expect(gone, "GET /notes", NULL, 200, "{'items':[],'next':null}");
    refuse(gone, "POST /notes", "{'title':'Ghost','body':''}", 409);
    assert_str_equal(stored(), before);
}

/* --- addresses ------------------------------------------------------------------------------- */

static void test_note_with_an_id_that_is_none_is_404(void **state)
{
    (void)state;
    static const char *const IDS[] = { "abc",
                                       "1.0",
                                       "+1",
                                       "1e3",
                                       "0x1",
                                       "-",
                                       "--1",
                                       "0",
                                       "-1",
                                       "9223372036854775807",
                                       "9223372036854775808",
                                       "-9223372036854775808",
                                       "-9223372036854775809",
                                       "99999999999999999999999999999999999999",
                                       "1%20",
                                       "%201",
                                       "1%27%20or%201=1",
                                       "%ef%bc%91",
                                       "null" };
    static const char *const METHODS[] = { "GET", "PATCH", "DELETE" };
    for (size_t i = 0; i < ARRAY_LEN(IDS) * ARRAY_LEN(METHODS); i++) {
        char request[256];
        const char *method = METHODS[i % ARRAY_LEN(METHODS)];
        (void)snprintf(request, sizeof request, "%s /notes/%s", method,
                       IDS[i / ARRAY_LEN(METHODS)]);
        question q = { .token = ada, .request = request };
        if (strcmp(method, "PATCH") == 0)
            q = with_json(ada, request, "{'title':'Changed'}");
        refused(request, &q, 404, NULL);
    }
}

static void test_unknown_address_is_404(void **state)
{
    (void)state;
    static const char *const REQUESTS[] = { "GET /",          "GET /note",       "GET /notess",
                                            "GET /notes/1/2", "GET /Notes",      "POST /registers",
                                            "GET /users/1",   "DELETE /users/1", "GET /favicon.ico",
                                            "GET /notes/1/",  "GET /metrics/x" };
    for (size_t i = 0; i < ARRAY_LEN(REQUESTS); i++) {
        refused(REQUESTS[i], &(question){ .token = ada, .request = REQUESTS[i] }, 404, NULL);
        refused(REQUESTS[i], &(question){ .request = REQUESTS[i] }, 404, NULL);
    }
}

typedef struct method_case {
    const char *path;
    const char *wrong[8];
    const char *allow;
} method_case;

static const method_case METHOD_CASES[] = {
    { "/register", { "GET", "HEAD", "PUT", "PATCH", "DELETE", "BREW" }, "POST, OPTIONS" },
    { "/login", { "GET", "PUT", "PATCH", "DELETE" }, "POST, OPTIONS" },
    { "/notes", { "PUT", "PATCH", "DELETE" }, "GET, HEAD, POST, OPTIONS" },
    { "/notes/1", { "POST", "PUT" }, "GET, HEAD, PATCH, DELETE, OPTIONS" },
    { "/users", { "POST", "PUT", "PATCH", "DELETE" }, "GET, HEAD, OPTIONS" },
    { "/health", { "POST", "DELETE" }, "GET, HEAD, OPTIONS" },
};

static void test_method_that_is_wrong_is_405_with_allow(void **state)
{
    (void)state;
    const str before = stored();
    for (size_t i = 0; i < ARRAY_LEN(METHOD_CASES); i++) {
        const method_case *c = &METHOD_CASES[i];
        for (size_t k = 0; c->wrong[k]; k++) {
            char request[128];
            answer a;
            (void)snprintf(request, sizeof request, "%s %s", c->wrong[k], c->path);
            const char *body = c->wrong[k][0] == 'P' ? "{'title':'t','body':'b'}" : NULL;
            ask(k % 2 ? ada : NULL, request, body, &a);
            if (strcmp(c->wrong[k], "HEAD") == 0)
                check_status(request, &a, 405);
            else
                check_problem(request, &a, 405, "This resource has no such method.");
            assert_str_equal(answer_header(&a, "allow"), str_from_c(c->allow));
            answer_free(&a);
        }
    }
    assert_str_equal(stored(), before);
}

/* --- queries --------------------------------------------------------------------------------- */

static void test_limit_that_is_none_is_422(void **state)
{
    (void)state;
    static const char *const LIMITS[] = { "0",   "%FF", "5%C0%80", "-1",          "501",
                                          "abc", "",    "1.5",     "99999999999", "+5",
                                          "5x",  "1e2", "0x10",    "%205" };
    char boss[TOKEN_BYTES_MAX];
    log_in("boss@example.com", boss);
    for (size_t i = 0; i < 2 * ARRAY_LEN(LIMITS); i++) {
        char request[256];
        (void)snprintf(request, sizeof request, "GET %s?limit=%s", i % 2 ? "/users" : "/notes",
                       LIMITS[i / 2]);
        const str faults =
            refused(request, &(question){ .token = i % 2 ? boss : ada, .request = request }, 422,
                    "The query has invalid fields.");
        assert_str_equal(faults, STR("limit:out_of_range"));
    }
}

static void test_cursor_that_is_none_is_400(void **state)
{
    (void)state;
    static const char *const CURSORS[] = { "a",    "1",   "null",  "AAAAAAAAAAAAAAAAAAAAAA",
                                           "....", "%FF", "a%20b", "'%20or%201=1",
                                           "=",    "" };
    for (size_t i = 0; i < ARRAY_LEN(CURSORS); i++) {
        char request[256];
        (void)snprintf(request, sizeof request, "GET /notes?cursor=%s", CURSORS[i]);
        refused(request, &(question){ .token = ada, .request = request }, 400,
                "The cursor does not belong to this list.");
    }
}

static void test_query_that_is_not_encoded_well_is_400(void **state)
{
    (void)state;
    static const char *const QUERIES[] = { "limit=%zz", "cursor=%zz",  "cursor=%4", "limit=%",
                                           "limit=%00", "cursor=a%00", "x=%00" };
    for (size_t i = 0; i < ARRAY_LEN(QUERIES); i++) {
        char request[256];
        (void)snprintf(request, sizeof request, "GET /notes?%s", QUERIES[i]);
        refused(request, &(question){ .token = ada, .request = request }, 400, NULL);
    }
}

static void test_cursor_tampered_is_400_or_a_page_of_ones_own(void **state)
{
    (void)state;
    char cursor[256], boss[TOKEN_BYTES_MAX];
    answer a;
    for (int i = 0; i < 3; i++)
        make_note(bob, "Of Bob", "");
    ask(bob, "GET /notes?limit=1", NULL, &a);
    (void)snprintf(cursor, sizeof cursor, "%.*s", STR_ARG(member_of(&a, "next")->string));
    answer_free(&a);
    log_in("boss@example.com", boss);
    char request[512];
    (void)snprintf(request, sizeof request, "GET /users?cursor=%s", cursor);
    refuse(boss, request, NULL, 400); /* of another list */
    const str before = stored();
    for (size_t i = 0; i < 4 * strlen(cursor); i++) {
        (void)snprintf(request, sizeof request, "GET /notes?cursor=%s", cursor);
        char *at = request + strlen("GET /notes?cursor=") + i / 4;
        *at = "AZ9_"[i % 4];
        ask(ada, request, NULL, &a);
        assert_true(a.status == 200 || a.status == 400);
        assert_null(strstr(a.bytes, "Of Bob"));
        answer_free(&a);
    }
    assert_str_equal(stored(), before);
}

/* --- conflicts ------------------------------------------------------------------------------- */

static void test_email_taken_is_409(void **state)
{
    (void)state;
    const question q =
        with_json(NULL, "POST /register", "{'email':'" ADA "','password':'another password'}");
    refused("taken", &q, 409, "This already exists.");
    log_in(ADA, ada); /* with the old one */
    refuse(NULL, "POST /login", "{'email':'" ADA "','password':'another password'}", 401);
}

/* The same question by many at once: one gets `first`, all others `later`. */
static void ask_by_many(const question *q, int first, int later)
{
    peer crowd[12];
    int firsts = 0, laters = 0;
    for (size_t i = 0; i < ARRAY_LEN(crowd); i++) {
        peer_connect(&crowd[i], server.port);
        send_question(&crowd[i], q);
    }
    for (size_t i = 0; i < ARRAY_LEN(crowd); i++) {
        answer a;
        peer_read(&crowd[i], false, &a);
        check_discreet(q->request, &a);
        firsts += a.status == first;
        laters += a.status == later;
        answer_free(&a);
        peer_close(&crowd[i]);
    }
    assert_int_equal(firsts, 1);
    assert_int_equal(laters, ARRAY_LEN(crowd) - 1);
}

static void test_email_registered_by_many_at_once_is_taken_once(void **state)
{
    (void)state;
    const question q =
        with_json(NULL, "POST /register", "{'email':'race@example.com','password':'" PASSWORD "'}");
    ask_by_many(&q, 201, 409);
    assert_int_equal(count_of("select count(*) from accounts where email = 'race@example.com'"), 1);
}

static void test_note_deleted_by_many_at_once_is_deleted_once(void **state)
{
    (void)state;
    const int64_t id = make_note(ada, "Short-lived", "");
    ask_by_many(&(question){ .token = ada, .request = on_note("DELETE", id) }, 204, 404);
    refuse(ada, on_note("PATCH", id), "{'title':'Undead'}", 404);
}

/* --- afterwards ------------------------------------------------------------------------------ */

static void test_log_at_its_finest_tells_no_secrets(void **state)
{
    (void)state;
    await(server_logged(&server, "request refused"));
    assert_false(server_logged(&server, "request failed"));
    assert_false(server_logged(&server, PASSWORD));
    assert_false(server_logged(&server, SECRET));
    assert_false(server_logged(&server, "argon2id"));
    assert_false(server_logged(&server, strrchr(ada, '.')));
    assert_false(server_logged(&server, "Not yours"));
    assert_true(http_metric(server.port, "http_faults_total") == 0);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body_that_is_no_json_is_400),
        cmocka_unit_test(test_body_nested_too_deeply_is_400),
        cmocka_unit_test(test_body_of_another_type_is_415),
        cmocka_unit_test(test_body_over_the_limit_is_413),
        cmocka_unit_test(test_body_of_just_the_limit_is_read),
        cmocka_unit_test(test_body_in_chunks_over_the_limit_is_413),
        cmocka_unit_test(test_fields_of_an_account_are_422_each_named),
        cmocka_unit_test(test_fields_of_a_note_are_422_each_named),
        cmocka_unit_test(test_fields_of_a_change_are_422_each_named),
        cmocka_unit_test(test_fields_that_are_too_long_are_422),
        cmocka_unit_test(test_fields_without_end_are_422_with_a_bounded_list),
        cmocka_unit_test(test_token_missing_is_401_on_every_guarded_route),
        cmocka_unit_test(test_token_made_as_the_program_does_is_taken),
        cmocka_unit_test(test_token_garbage_is_401_on_every_guarded_route),
        cmocka_unit_test(test_token_tampered_is_401_on_every_guarded_route),
        cmocka_unit_test(test_token_of_another_key_or_way_is_401_on_every_guarded_route),
        cmocka_unit_test(test_token_with_bad_claims_is_401_on_every_guarded_route),
        cmocka_unit_test(test_token_expired_is_401_and_says_so),
        cmocka_unit_test(test_token_scheme_in_any_case_is_taken),
        cmocka_unit_test(test_role_that_is_not_enough_is_403),
        cmocka_unit_test(test_login_unknown_and_wrong_password_are_the_same_401),
        cmocka_unit_test(test_foreign_note_is_404_and_stays_as_it_was),
        cmocka_unit_test(test_note_missing_answers_as_a_foreign_one),
        cmocka_unit_test(test_account_deleted_keeps_a_token_that_can_do_nothing),
        cmocka_unit_test(test_note_with_an_id_that_is_none_is_404),
        cmocka_unit_test(test_unknown_address_is_404),
        cmocka_unit_test(test_method_that_is_wrong_is_405_with_allow),
        cmocka_unit_test(test_limit_that_is_none_is_422),
        cmocka_unit_test(test_cursor_that_is_none_is_400),
        cmocka_unit_test(test_query_that_is_not_encoded_well_is_400),
        cmocka_unit_test(test_cursor_tampered_is_400_or_a_page_of_ones_own),
        cmocka_unit_test(test_email_taken_is_409),
        cmocka_unit_test(test_email_registered_by_many_at_once_is_taken_once),
        cmocka_unit_test(test_note_deleted_by_many_at_once_is_deleted_once),
        cmocka_unit_test(test_log_at_its_finest_tells_no_secrets),
    };
    return cmocka_run_group_tests(tests, setup, notes_teardown);
}

int main(void)
{
    return run_with_database(run);
}
