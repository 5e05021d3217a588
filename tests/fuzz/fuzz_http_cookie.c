/* Any lines as what a cookie is made of, and as Cookie fields. What is set is one field that says
 * just what was asked for, keeps what the name promises, and comes back as it was set; what is
 * found in a field is a whole value of it, found by cutting it up another way too. */
#include "conn.h"

#include "tests/support/fuzz.h"

#include <string.h>

#define ARENA_BYTES ((size_t)16 << 20)

static http_conn conn;
static http_request request;

static void begin(void)
{
    conn = (http_conn){ .request = &request };
    request = (http_request){ .conn = &conn };
    arena_init(&conn.arena, ARENA_BYTES);
    buf_init_arena(&request.headers, &conn.arena, HTTP_HEADERS_BYTES_MAX);
}

static void add_cookie_field(str value)
{
    http_fields *f = &request.head.fields;
    if (http_is_value(value) && f->count < HTTP_FIELDS_MAX)
        f->items[f->count++] = (http_field){ STR("cookie"), value };
}

/* The value of the first pair of that name, found from the back. */
static str reference(str field, str name)
{
    str found = STR_NONE;
    for (size_t end = field.len;;) {
        size_t from = end;
        while (from > 0 && field.ptr[from - 1] != ';')
            from--;
        const str pair = str_trim(str_slice(field, from, end - from), STR(" \t"));
        const size_t equals = str_index(pair, '=');
        if (equals < pair.len && str_eq(str_slice(pair, 0, equals), name))
            found = str_slice(pair, equals + 1, pair.len);
        if (from == 0)
            return found;
        end = from - 1;
    }
}

static bool contains_nocase(str text, str word)
{
    for (size_t i = 0; i + word.len <= text.len; i++) {
        if (str_eq_nocase(str_slice(text, i, word.len), word))
            return true;
    }
    return false;
}

/* What a browser demands of one of these names (RFC 6265bis, 4.1.3). */
static void check_promises(const http_cookie_options *c, str attributes)
{
    const bool host = str_eq_nocase(str_slice(c->name, 0, 7), STR("__host-"));
    const bool secure = str_eq_nocase(str_slice(c->name, 0, 9), STR("__secure-"));
    invariant(!(host || secure) || contains_nocase(attributes, STR("; Secure")));
    invariant(!host || str_starts_with(attributes, STR("; Path=/; ")));
    invariant(!host || !contains_nocase(attributes, STR("; Domain=")));
}

static void check_set(const http_cookie_options *c)
{
    if (!error_is_ok(http_set_cookie(&request, c))) {
        invariant(request.headers.len == 0);
        return;
    }
    const str line = buf_str(&request.headers);
    invariant(line.len > 2 && str_index(line, '\r') == line.len - 2);
    invariant(str_index(line, '\n') == line.len - 1 && str_index(line, '\0') == line.len);
    const str set = http_reply_header(&request, STR("Set-Cookie"));
    const size_t end = str_index(set, ';');
    invariant(end == c->name.len + 1 + c->value.len);
    check_promises(c, str_slice(set, end, set.len));
    request.head.fields.count = 0;
    add_cookie_field(str_slice(set, 0, end)); /* as the browser sends it back */
    invariant(str_eq(http_cookie(&request, c->name), c->value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    begin();
    str rest = fuzz_text(data + 1, len - 1);
    const str name = str_cut(&rest, '\n');
    const str value = rest.ptr ? str_cut(&rest, '\n') : STR("");
    const str path = rest.ptr ? str_cut(&rest, '\n') : STR("");
    const str domain = rest.ptr ? str_cut(&rest, '\n') : STR("");
    str first = STR_NONE;
    while (rest.ptr) {
        const str field = str_cut(&rest, '\n');
        if (!http_is_value(field))
            continue;
        if (!first.ptr && request.head.fields.count < HTTP_FIELDS_MAX)
            first = reference(field, name);
        add_cookie_field(field);
    }
    const str found = http_cookie(&request, name);
    invariant((found.ptr != NULL) == (first.ptr != NULL) && str_eq(found, first));
    invariant(str_index(found, ';') == found.len);
    check_set(&(http_cookie_options){ .name = name,
                                      .value = value,
                                      .path = path,
                                      .domain = domain,
                                      .max_age_s = (int64_t)(data[0] & 3) - 1,
                                      .same_site = (http_same_site)((data[0] >> 2) % 3),
                                      .over_plain_http = (data[0] & 16) != 0,
                                      .readable_by_scripts = (data[0] & 32) != 0 });
    arena_deinit(&conn.arena);
    return 0;
}
