/* notes: private notes with accounts. */
#include "notes.h"

#include <brio/auth.h>
#include <brio/orm.h>
#include <brio/pg.h>

/* ---- tables: one list gives the struct, JSON, validation, typed columns and OpenAPI ---- */

#define ACCOUNT_FIELDS(F)                                                  \
    F(id, int8, .primary_key = true, .generated = true)                    \
    F(email, text, .unique = true, .format = FORMAT_EMAIL, .max_len = 254) \
    F(password_hash, text, .hidden = true)                                 \
    F(role, text, .read_only = true)                                       \
    F(created_at, timestamptz, .generated = true)
ORM_TABLE(account, "accounts", ACCOUNT_FIELDS)

#define NOTE_FIELDS(F)                                            \
    F(id, int8, .primary_key = true, .generated = true)           \
    F(account_id, int8, .hidden = true, .references = "accounts") \
    F(title, text, .min_len = 1, .max_len = 200)                  \
    F(body, text, .max_len = 65536)                               \
    F(created_at, timestamptz, .generated = true)
ORM_TABLE(note, "notes", NOTE_FIELDS)

/* ---- what clients send and get ---- */

#define CREDENTIALS_FIELDS(F)                              \
    F(email, text, .format = FORMAT_EMAIL, .max_len = 254) \
    F(password, text, .min_len = 8, .max_len = 1024)
SHAPE(credentials, CREDENTIALS_FIELDS)

#define NOTE_INPUT_FIELDS(F)                     \
    F(title, text, .min_len = 1, .max_len = 200) \
    F(body, text, .max_len = 65536)
SHAPE(note_input, NOTE_INPUT_FIELDS)

#define NOTE_PATCH_FIELDS(F)                         \
    F(title, opt_text, .min_len = 1, .max_len = 200) \
    F(body, opt_text, .max_len = 65536)
SHAPE(note_patch, NOTE_PATCH_FIELDS)

#define TOKEN_FIELDS(F) F(token, text)
SHAPE(token_reply, TOKEN_FIELDS)

static pg_pool *db; /* workers are processes: a global belongs to one worker */

/* ---- accounts ---- */

static error register_account(http_request *req)
{
    credentials in;
    TRY(http_body(req, credentials, &in)); /* 400, 413, or 422 naming each bad field */
    account a = { .email = in.email, .role = STR("member") };
    TRY(auth_hash_password(in.password, &a.password_hash));
    TRY(orm_insert(db, account, &a)); /* taken e-mail: 409 from the unique constraint */
    return http_reply(req, 201, account, &a);
}

static error login(http_request *req)
{
    credentials in;
    TRY(http_body(req, credentials, &in));
    account a;
    bool known;
    TRY(orm_find(db, account, &a, &known, orm_where(account, email, EQ, in.email)));
    TRY(auth_verify_password(in.password, known ? a.password_hash
                                                : STR_NONE)); /* 401; same time, known or not */
    token_reply out = { .token = auth_issue(a.id, a.role) };
    return http_reply(req, 200, token_reply, &out);
}

/* ---- notes: an owner sees only their own; a foreign note is "not found" ---- */

static note_filter own_note(const http_request *req)
{
    return orm_all_of(note, orm_where(note, id, EQ, http_path_int8(req, "id")),
                      orm_where(note, account_id, EQ, auth_user(req)->id));
}

static error show_note(http_request *req)
{
    note n;
    TRY(orm_get(db, note, &n, own_note(req))); /* NOT_FOUND: 404 */
    return http_reply(req, 200, note, &n);
}

static error list_notes(http_request *req)
{
    note_page page;
    TRY(orm_page(db, note, &page, http_page_query(req), orm_desc(note, id),
                 orm_where(note, account_id, EQ, auth_user(req)->id)));
    return http_reply_page(req, note, &page);
}

static error create_note(http_request *req)
{
    note_input in;
    TRY(http_body(req, note_input, &in));
    note n = { .account_id = auth_user(req)->id, .title = in.title, .body = in.body };
    TRY(orm_insert(db, note, &n));
    return http_reply(req, 201, note, &n);
}

static error change_note(http_request *req)
{
    note_patch in;
    TRY(http_body(req, note_patch, &in));
    note n;
    TRY(orm_update(db, note, &n, own_note(req),
                   orm_set_some(note, in, title, body))); /* RETURNING into n */
    return http_reply(req, 200, note, &n);
}

static error delete_note(http_request *req)
{
    TRY(orm_delete(db, note, own_note(req)));
    return http_reply_empty(req, 204);
}

static error list_accounts(http_request *req)
{
    account_page page;
    TRY(orm_page(db, account, &page, http_page_query(req), orm_asc(account, id)));
    return http_reply_page(req, account, &page);
}

/* ---- routes: the guard is a column; a route without one refuses to start ---- */

static error auth_admin(http_request *req) /* a guard is a function */
{
    return auth_require_role(req, STR("admin"));
}

static const http_route routes[] = {
    { HTTP_POST, "/register", register_account, http_public, .body = SHAPE_OF(credentials),
      .reply = SHAPE_OF(account) },
    { HTTP_POST, "/login", login, http_public, .body = SHAPE_OF(credentials),
      .reply = SHAPE_OF(token_reply) },
    { HTTP_GET, "/notes", list_notes, auth_required, .reply = PAGE_OF(note) },
    { HTTP_POST, "/notes", create_note, auth_required, .body = SHAPE_OF(note_input),
      .reply = SHAPE_OF(note) },
    { HTTP_GET, "/notes/:id<int8>", show_note, auth_required, .reply = SHAPE_OF(note) },
    { HTTP_PATCH, "/notes/:id<int8>", change_note, auth_required, .body = SHAPE_OF(note_patch),
      .reply = SHAPE_OF(note) },
    { HTTP_DELETE, "/notes/:id<int8>", delete_note, auth_required },
    { HTTP_GET, "/users", list_accounts, auth_admin, .reply = PAGE_OF(account) },
};

/* ---- start ---- */

static error on_worker_start(void)
{
    return pg_pool_open(NULL, &db); /* NULL: DATABASE_URL */
}

static void on_worker_stop(void)
{
    pg_pool_close(&db);
}

const http_app notes_app = {
    .name = "notes",
    .routes = HTTP_ROUTES(routes),
    .on_worker_start = on_worker_start,
    .on_worker_stop = on_worker_stop,
    .metrics = { &PG_METRICS },
    .settings = { PG_SETTINGS, AUTH_SETTINGS, ORM_MIGRATE_SETTINGS },
    .commands = { orm_migrate_command("migrations/notes") },
};
