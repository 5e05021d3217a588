/* Every route of notes as it is meant to be used, with the JSON that comes back. */
#include "notes_test.h"

static char ada[TOKEN_BYTES_MAX], bob[TOKEN_BYTES_MAX];

/* --- accounts -------------------------------------------------------------------------------- */

static void test_register_then_login_gives_a_token(void **state)
{
    (void)state;
    expect(NULL, "POST /register", "{'email':'" ADA "','password':'" PASSWORD "'}", 201,
           ACCOUNT_OF(ADA));
    expect(NULL, "POST /login", "{'email':'" ADA "','password':'" PASSWORD "'}", 200,
           "{'token':'<text>'}");
    log_in(ADA, ada);
    sign_up(BOB, bob);
    assert_int_equal(count_of("select count(*) from accounts"), 2);
    assert_int_equal(count_of("select count(*) from accounts where password_hash like "
                              "'$argon2id$v=19$m=1024,t=1,p=1$%'"),
                     2);
    assert_int_equal(count_of("select count(distinct password_hash) from accounts"), 2);
}

static void test_register_longest_email_and_password_are_taken(void **state)
{
    (void)state;
    char email[255], body[8192], password[4 * 1024 + 1] = "";
    (void)snprintf(email, sizeof email, "%064d@%063d.%063d.%058d.de", 0, 0, 0, 0);
    assert_int_equal(strlen(email), 254);
    for (int i = 0; i < 1024; i++)
        memcpy(password + 4 * (size_t)i, "\xF0\x9F\x94\x91", 5);
    (void)snprintf(body, sizeof body, "{'email':'%s','password':'%s'}", email, password);
    answer a;
    ask(NULL, "POST /register", body, &a);
    check_status("POST /register", &a, 201);
    answer_free(&a);
    expect(NULL, "POST /login", body, 200, "{'token':'<text>'}");
}

/* --- notes ----------------------------------------------------------------------------------- */

static void test_note_is_created_shown_changed_and_deleted(void **state)
{
    (void)state;
    answer a;
    ask(ada, "POST /notes", "{'title':'First','body':'Hello'}", &a);
    check_body("POST /notes", &a, 201, "application/json", NOTE_OF("First", "Hello"));
    const int64_t id = member_of(&a, "id")->integer;
    const str made = str_copy(fiber_arena(), a.body);
    answer_free(&a);
    ask(ada, on_note("GET", id), NULL, &a);
    check_status("GET", &a, 200);
    assert_str_equal(a.body, made);
    answer_free(&a);
    expect(ada, on_note("PATCH", id), "{'title':'Second'}", 200, NOTE_OF("Second", "Hello"));
    expect(ada, on_note("PATCH", id), "{'body':'Bye'}", 200, NOTE_OF("Second", "Bye"));
    expect(ada, on_note("PATCH", id), "{'body':'','title':'Third'}", 200, NOTE_OF("Third", ""));
    expect(ada, on_note("GET", id), NULL, 200, NOTE_OF("Third", ""));
    expect(ada, "GET /notes", NULL, 200, "{'items':[" NOTE_OF("Third", "") "],'next':null}");
    expect(ada, on_note("DELETE", id), NULL, 204, NULL);
    refuse(ada, on_note("GET", id), NULL, 404);
    refuse(ada, on_note("DELETE", id), NULL, 404);
    expect(ada, "GET /notes", NULL, 200, "{'items':[],'next':null}");
}

static void test_note_patch_changes_only_what_it_names(void **state)
{
    (void)state;
    answer a, b;
    const int64_t id = make_note(ada, "Kept", "Kept too");
    const int64_t other = make_note(ada, "Other", "Other");
    ask(ada, on_note("GET", id), NULL, &a);
    ask(ada, on_note("PATCH", id), "{}", &b);
    check_status("PATCH with nothing", &b, 200);
    assert_str_equal(a.body, b.body); /* created_at included */
    answer_free(&a);
    answer_free(&b);
    expect(ada, on_note("PATCH", id), "{'title':'New'}", 200, NOTE_OF("New", "Kept too"));
    expect(ada, on_note("GET", other), NULL, 200, NOTE_OF("Other", "Other"));
    expect(ada, on_note("DELETE", id), NULL, 204, NULL);
    expect(ada, on_note("GET", other), NULL, 200, NOTE_OF("Other", "Other"));
    expect(ada, on_note("DELETE", other), NULL, 204, NULL);
}

typedef struct text_case {
    const char *name;
    const char *json; /* as sent */
    const char *sql;  /* as stored, by PostgreSQL's own escapes */
} text_case;

static const text_case TEXTS[] = {
    { "quotes", "\\\"it\\u0027s\\\"", "U&'\"it''s\"'" },
    { "backslash", "a\\\\b", "'a\\b'" },
    { "controls", "\\u0001\\t\\n\\r\\u001f", "E'\\x01\\t\\n\\r\\x1f'" },
    { "umlauts", "gr\xC3\xBC\xC3\x9F", "U&'gr\\00fc\\00df'" },
    { "surrogates", "\\ud83d\\ude00", "U&'\\+01F600'" },
    { "emoji", "\xF0\x9F\x98\x80", "U&'\\+01F600'" },
    { "last character", "\xF4\x8F\xBF\xBF", "U&'\\+10FFFF'" },
    { "separators", "\\u2028\\u2029", "U&'\\2028\\2029'" },
    { "a statement", "\\u0027; drop table notes; --", "'''; drop table notes; --'" },
    { "parameters", "$1 $2 %s %n ?", "'$1 $2 %s %n ?'" },
    { "markup", "<script>&amp;</script>", "'<script>&amp;</script>'" },
    { "space", " ", "' '" },
};

static void test_note_any_text_comes_back_as_it_was_sent(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        const text_case *t = &TEXTS[i];
        answer a;
        pg_rows rows;
        json sent;
        const int64_t id = make_note(ada, t->json, t->json);
        assert_ok(pg_query(db, &rows,
                           str_format(fiber_arena(),
                                      "select id from notes where title = %s and body = %s", t->sql,
                                      t->sql)));
        if (rows.count != 1)
            print_error("%s is not stored as sent\n", t->name);
        assert_int_equal(rows.count, 1);
        assert_ok(json_parse(fiber_arena(), str_format(fiber_arena(), "\"%s\"", t->json), &sent));
        ask(ada, on_note("GET", id), NULL, &a);
        assert_str_equal(member_of(&a, "title")->string, sent.string);
        assert_str_equal(member_of(&a, "body")->string, sent.string);
        answer_free(&a);
        expect(ada, on_note("DELETE", id), NULL, 204, NULL);
    }
}

/* `count` emoji, each one character and four bytes. */
static const char *emoji(size_t count)
{
    char *text = ARENA_NEW_ARRAY(fiber_arena(), char, 4 * count + 1);
    for (size_t i = 0; i < count; i++)
        memcpy(text + 4 * i, "\xF0\x9F\x98\x80", 4);
    return text;
}

static void test_note_lengths_are_counted_in_characters(void **state)
{
    (void)state;
    static char body[400000];
    answer a;
    (void)snprintf(body, sizeof body, "{'title':'%s','body':'%s'}", emoji(200), emoji(65536));
    ask(ada, "POST /notes", body, &a);
    check_status("as long as may be", &a, 201);
    assert_int_equal(member_of(&a, "title")->string.len, 800);
    assert_int_equal(member_of(&a, "body")->string.len, 4 * 65536);
    const int64_t id = member_of(&a, "id")->integer;
    answer_free(&a);
    expect(ada, on_note("DELETE", id), NULL, 204, NULL);
}

/* --- pages ----------------------------------------------------------------------------------- */

#define MANY 1203

static void make_many_notes(void)
{
    assert_ok(pg_execute(db, NULL, "delete from notes"));
    assert_ok(pg_execute(db, NULL,
                         "insert into notes (account_id, title, body) select a.id, n::text, 'body'"
                         " from generate_series(1, 1203) n, accounts a where a.email in ($1, $2)",
                         STR(ADA), STR(BOB)));
}

/* Reads a page behind `cursor` (NULL: the first); the JSON lives in the fiber's arena. */
static json read_page(const char *path, const char *token, int limit, const char *cursor)
{
    char request[1024];
    answer a;
    json page;
    (void)snprintf(request, sizeof request, "GET %s?limit=%d%s%s", path, limit,
                   cursor ? "&cursor=" : "", cursor ? cursor : "");
    ask(token, request, NULL, &a);
    check_status(request, &a, 200);
    assert_ok(json_parse(fiber_arena(), str_copy(fiber_arena(), a.body), &page));
    assert_int_equal(page.object.count, 2);
    assert_str_equal(page.object.items[0].key, STR("items"));
    assert_str_equal(page.object.items[1].key, STR("next"));
    answer_free(&a);
    return page;
}

static const json *items_of(const json *page)
{
    return json_find(page, STR("items"));
}

/* The cursor of the page behind, or NULL. */
static const char *next_of(const json *page)
{
    const json *next = json_find(page, STR("next"));
    return next->type == JSON_NULL ? NULL : str_to_c(fiber_arena(), next->string);
}

/* Walks all pages: each of the MANY notes comes once, the newest first. */
static void walk(int limit)
{
    const char *cursor = NULL;
    int64_t wanted = MANY, pages = 0;
    do {
        const json page = read_page("/notes", ada, limit, cursor);
        const json *items = items_of(&page);
        cursor = next_of(&page);
        pages++;
        assert_int_equal(items->array.count, wanted < limit ? wanted : limit);
        for (size_t i = 0; i < items->array.count; i++, wanted--) {
            int64_t title;
            assert_true(
                str_to_int64(json_find(&items->array.items[i], STR("title"))->string, &title));
            assert_int_equal(title, wanted);
        }
    } while (cursor);
    assert_int_equal(wanted, 0);
    assert_int_equal(pages, (MANY + limit - 1) / limit);
}

static void test_list_pages_show_each_note_once_newest_first(void **state)
{
    (void)state;
    make_many_notes();
    walk(500);
    walk(401); /* 3 * 401 = 1203: the last page is full, and the last */
    walk(100);
    walk(67);
    const json one = read_page("/notes", ada, 1, NULL);
    assert_int_equal(items_of(&one)->array.count, 1);
    assert_non_null(next_of(&one));
}

static void test_list_without_limit_has_fifty(void **state)
{
    (void)state;
    answer a;
    make_many_notes();
    ask(ada, "GET /notes", NULL, &a);
    check_status("GET /notes", &a, 200);
    assert_int_equal(member_of(&a, "items")->array.count, 50);
    assert_int_equal(member_of(&a, "next")->type, JSON_STRING);
    answer_free(&a);
}

static void test_list_pages_while_notes_come_and_go_skip_and_repeat_none(void **state)
{
    (void)state;
    make_many_notes();
    const json first = read_page("/notes", ada, 10, NULL);
    const char *cursor = next_of(&first);
    make_note(ada, "new", "");
    assert_ok(pg_execute(db, NULL, "delete from notes where title in ('1194', '1193')"));
    const json second = read_page("/notes", ada, 10, cursor);
    const json *items = items_of(&second)->array.items;
    assert_str_equal(json_find(&items[0], STR("title"))->string, STR("1192"));
    assert_str_equal(json_find(&items[9], STR("title"))->string, STR("1183"));
}

static void test_list_behind_anothers_cursor_shows_ones_own(void **state)
{
    (void)state;
    make_many_notes();
    const json hers = read_page("/notes", ada, 300, NULL);
    const char *cursor = next_of(&hers);
    int64_t seen = 0;
    while (cursor) {
        const json his = read_page("/notes", bob, 500, cursor);
        for (size_t i = 0; i < items_of(&his)->array.count; i++, seen++) {
            const int64_t id = json_find(&items_of(&his)->array.items[i], STR("id"))->integer;
            pg_rows rows;
            assert_ok(pg_query(db, &rows,
                               "select 1 from notes n, accounts a where n.account_id = a.id and "
                               "a.email = $1 and n.id = $2",
                               STR(BOB), id));
            assert_int_equal(rows.count, 1);
        }
        cursor = next_of(&his);
    }
    assert_true(seen <= MANY);
}

/* --- the administrator ----------------------------------------------------------------------- */

static void test_users_are_listed_for_the_administrator(void **state)
{
    (void)state;
    char carol[TOKEN_BYTES_MAX];
    sign_up("carol@example.com", carol);
    refuse(carol, "GET /users", NULL, 403);
    make_admin("carol@example.com", carol);
    assert_ok(pg_execute(db, NULL, "delete from accounts where email not like '%@example.com'"));
    expect(carol, "GET /users", NULL, 200,
           "{'items':[" ACCOUNT_OF(ADA) "," ACCOUNT_OF(
               BOB) ",{'id':'<integer>','email':'carol@example.com','role':'admin','created_at':"
                    "'<time>'}],'next':null}");
    const json first = read_page("/users", carol, 2, NULL);
    assert_int_equal(items_of(&first)->array.count, 2);
    const json last = read_page("/users", carol, 2, next_of(&first));
    assert_int_equal(items_of(&last)->array.count, 1);
    assert_null(next_of(&last));
    expect(carol, "GET /notes", NULL, 200, "{'items':[],'next':null}");
}

/* --- what every program has ------------------------------------------------------------------ */

static void test_health_and_metrics_need_no_token(void **state)
{
    (void)state;
    expect(NULL, "GET /health", NULL, 200, "{'status':'ok'}");
    assert_true(http_metric(server.port, "http_requests_total") > 0);
    assert_true(http_metric(server.port, "http_faults_total") == 0);
}

static void test_head_answers_as_get_without_a_body(void **state)
{
    (void)state;
    answer head, get;
    ask(ada, "HEAD /notes", NULL, &head);
    ask(ada, "GET /notes", NULL, &get);
    check_status("HEAD /notes", &head, 200);
    assert_str_equal(answer_header(&head, "content-length"), answer_header(&get, "content-length"));
    assert_int_equal(head.body.len, 0);
    answer_free(&head);
    answer_free(&get);
}

static void test_connection_serves_request_after_request(void **state)
{
    (void)state;
    peer p;
    answer a;
    peer_connect(&p, server.port);
    for (int i = 0; i < 50; i++) {
        send_question(&p, &(question){ .token = ada,
                                       .request = "POST /notes",
                                       .type = "application/json; charset=utf-8",
                                       .body = STR("{\"title\":\"again\",\"body\":\"\"}") });
        send_question(&p, &(question){ .token = ada, .request = "GET /notes?limit=1" });
        peer_read(&p, false, &a);
        check_status("POST /notes", &a, 201);
        const int64_t id = member_of(&a, "id")->integer;
        answer_free(&a);
        peer_read(&p, false, &a);
        check_status("GET /notes", &a, 200);
        assert_int_equal(json_find(&member_of(&a, "items")->array.items[0], STR("id"))->integer,
                         id);
        answer_free(&a);
    }
    peer_close(&p);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_register_then_login_gives_a_token),
        cmocka_unit_test(test_register_longest_email_and_password_are_taken),
        cmocka_unit_test(test_note_is_created_shown_changed_and_deleted),
        cmocka_unit_test(test_note_patch_changes_only_what_it_names),
        cmocka_unit_test(test_note_any_text_comes_back_as_it_was_sent),
        cmocka_unit_test(test_note_lengths_are_counted_in_characters),
        cmocka_unit_test(test_list_pages_show_each_note_once_newest_first),
        cmocka_unit_test(test_list_without_limit_has_fifty),
        cmocka_unit_test(test_list_pages_while_notes_come_and_go_skip_and_repeat_none),
        cmocka_unit_test(test_list_behind_anothers_cursor_shows_ones_own),
        cmocka_unit_test(test_users_are_listed_for_the_administrator),
        cmocka_unit_test(test_health_and_metrics_need_no_token),
        cmocka_unit_test(test_head_answers_as_get_without_a_body),
        cmocka_unit_test(test_connection_serves_request_after_request),
    };
    return cmocka_run_group_tests(tests, notes_setup, notes_teardown);
}

int main(void)
{
    return run_with_database(run);
}
