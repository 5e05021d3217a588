/* Multipart bodies. Bytes are gathered in a window just large enough that a delimiter, which may
 * come in any number of pieces, is found whole in it; data in front of where one could begin is
 * given out.
 *
 *   PREAMBLE --delimiter--> HEAD --empty line--> DATA --delimiter--> HEAD
 *                             `--"--" behind a delimiter--> END
 *
 * Invariant: the window begins behind everything that was given out. */
#include "multipart.h"

#include "conn.h"

#include <string.h>

ERROR_KIND(HTTP_MULTIPART_EXPECTED, ERROR_INVALID, "The body must be of type multipart/form-data.");

#define PART_HEAD_BYTES   8192
#define PART_FIELDS_MAX   32
#define PARTS_MAX_DEFAULT 100

static error malformed(const char *why)
{
    return error_set(&HTTP_BAD_REQUEST, "multipart: %s", why);
}

/* --- the boundary -------------------------------------------------------------------------------
 */

static bool is_boundary(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        const char c = s.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c != '\0' && strchr("'()+_,-./:=? ", c))))
            return false;
    }
    return s.len > 0 && s.len <= MULTIPART_BOUNDARY_MAX && s.ptr[s.len - 1] != ' ';
}

/* Takes `key=value` off the front of "; key=value; …", the value quoted or not. False when there is
 * none, or it is malformed. */
static bool take_parameter(arena *a, str *rest, str *key, str *value)
{
    const str blanks = STR(" \t");
    *rest = str_trim(*rest, blanks);
    if (rest->len == 0 || rest->ptr[0] != ';')
        return false;
    *rest = str_trim(str_slice(*rest, 1, rest->len), blanks);
    const size_t equals = str_index(*rest, '=');
    *key = str_slice(*rest, 0, equals);
    if (equals == rest->len || key->len == 0)
        return false;
    *rest = str_slice(*rest, equals + 1, rest->len);
    if (rest->len == 0 || rest->ptr[0] != '"') {
        const size_t end = str_index(*rest, ';');
        *value = str_trim(str_slice(*rest, 0, end), blanks);
        *rest = str_slice(*rest, end, rest->len);
        return true;
    }
    char *to = arena_alloc(a, rest->len, 1);
    size_t len = 0, i = 1;
    for (; i < rest->len && rest->ptr[i] != '"'; i++) {
        /* Browsers escape by percent; only \" and \\ are taken as quoted pairs, so that a path that
         * an old one sends keeps its backslashes. */
        if (rest->ptr[i] == '\\' && i + 1 < rest->len &&
            (rest->ptr[i + 1] == '"' || rest->ptr[i + 1] == '\\'))
            i++;
        to[len++] = rest->ptr[i];
    }
    if (i >= rest->len)
        return false;
    *value = (str){ to, len };
    *rest = str_slice(*rest, i + 1, rest->len);
    return true;
}

/* Where the parameters of a field value begin. */
static str cut_parameters(str *value)
{
    const size_t semicolon = str_index(*value, ';');
    const str parameters = str_slice(*value, semicolon, value->len);
    *value = str_trim(str_slice(*value, 0, semicolon), STR(" \t"));
    return parameters;
}

str http_multipart_boundary(arena *a, str content_type, bool *is_multipart)
{
    str rest = cut_parameters(&content_type), key, value;
    *is_multipart = str_eq_nocase(content_type, STR("multipart/form-data"));
    while (*is_multipart && take_parameter(a, &rest, &key, &value)) {
        if (str_eq_nocase(key, STR("boundary")))
            return is_boundary(value) ? value : STR_NONE;
    }
    return STR_NONE;
}

/* --- the window ---------------------------------------------------------------------------------
 */

static str window(const http_multipart *m)
{
    return str_slice(buf_str(&m->window), m->given, m->window.len);
}

static void drop(http_multipart *m, size_t bytes)
{
    m->given += bytes;
}

/* More bytes behind those in the window; at the end none. */
static error fill(http_multipart *m)
{
    str piece;
    if (m->at_end)
        return malformed("it ends without its last boundary");
    TRY(m->source.read(m->source.arg, &piece));
    m->at_end = piece.len == 0;
    buf_consume(&m->window, m->given);
    m->given = 0;
    buf_append(&m->window, piece);
    return buf_status(&m->window);
}

static error need(http_multipart *m, size_t bytes)
{
    while (window(m).len < bytes)
        TRY(fill(m));
    return OK;
}

/* --- heads --------------------------------------------------------------------------------------
 */

/* The line at the front of the window, without its CRLF, and past it. */
static error take_line(http_multipart *m, size_t *head_bytes, str *line)
{
    for (;;) {
        const str w = window(m);
        const char *lf = w.len ? memchr(w.ptr, '\n', w.len) : NULL;
        const size_t len = lf ? (size_t)(lf - w.ptr) : w.len;
        if (*head_bytes + len > PART_HEAD_BYTES)
            return malformed("the head of a part is too long");
        if (!lf) {
            TRY(fill(m));
            continue;
        }
        if (len == 0 || lf[-1] != '\r')
            return malformed("a line ends without CR");
        *head_bytes += len + 1;
        *line = str_copy(m->arena, str_slice(w, 0, len - 1));
        drop(m, len + 1);
        return OK;
    }
}

static error take_disposition(http_multipart *m, str value, http_part *part)
{
    str rest = cut_parameters(&value), key;
    if (!str_eq_nocase(value, STR("form-data")))
        return malformed("a part is no form-data");
    while (take_parameter(m->arena, &rest, &key, &value)) {
        if (!str_is_utf8(value) || str_index(value, '\0') < value.len)
            return malformed("a name is no UTF-8 text");
        if (str_eq_nocase(key, STR("name")))
            part->name = value;
        else if (str_eq_nocase(key, STR("filename")))
            part->filename = value;
    }
    return str_trim(rest, STR(" \t")).len == 0 ? OK : malformed("a malformed Content-Disposition");
}

static error take_head(http_multipart *m, http_part *part)
{
    size_t head_bytes = 0;
    for (uint32_t fields = 0;; fields++) {
        str line;
        TRY(take_line(m, &head_bytes, &line));
        if (line.len == 0)
            break;
        if (fields == PART_FIELDS_MAX)
            return malformed("a part has too many fields");
        const size_t colon = str_index(line, ':');
        const str name = str_slice(line, 0, colon);
        const str value = str_trim(str_slice(line, colon + 1, line.len), STR(" \t"));
        if (colon == line.len || !http_is_token(name))
            return malformed("a malformed field of a part");
        if (str_eq_nocase(name, STR("content-disposition")))
            TRY(take_disposition(m, value, part));
        else if (str_eq_nocase(name, STR("content-type")))
            part->content_type = value;
    }
    return part->name.ptr ? OK : malformed("a part has no name");
}

/* --- parts --------------------------------------------------------------------------------------
 */

http_multipart *http_multipart_new(arena *a, multipart_source source, str boundary,
                                   const http_multipart_options *options)
{
    http_multipart *m = ARENA_NEW(a, http_multipart);
    m->arena = a;
    m->source = source;
    m->options = options ? *options : (http_multipart_options){ 0 };
    if (m->options.parts_max == 0)
        m->options.parts_max = PARTS_MAX_DEFAULT;
    if (m->options.part_bytes_max == 0)
        m->options.part_bytes_max = UINT64_MAX;
    if (m->options.files_bytes_max == 0)
        m->options.files_bytes_max = UINT64_MAX;
    m->delimiter = str_format(a, "\r\n--%.*s", STR_ARG(boundary));
    buf_init_arena(&m->window, a, WINDOW_BYTES_MAX);
    buf_init_arena(&m->gathered, a, WINDOW_BYTES_MAX);
    /* The first delimiter has no CRLF before it when nothing does: as if one had come. */
    buf_append(&m->window, STR("\r\n"));
    return m;
}

/* Data up to the next delimiter, as much of it as is there; none when the delimiter is next. */
static error take_data(http_multipart *m, str *out)
{
    for (;;) {
        const str w = window(m);
        const char *found = w.len ? memmem(w.ptr, w.len, m->delimiter.ptr, m->delimiter.len) : NULL;
        size_t len = w.len >= m->delimiter.len ? w.len - m->delimiter.len + 1 : 0;
        if (found)
            len = (size_t)(found - w.ptr);
        if (found || len > 0) {
            *out = str_slice(w, 0, len);
            drop(m, len);
            return OK;
        }
        TRY(fill(m));
    }
}

/* Past a delimiter at the front of the window, to what it says: another part, or the end. */
static error take_delimiter(http_multipart *m)
{
    drop(m, m->delimiter.len);
    TRY(need(m, 2));
    if (str_starts_with(window(m), STR("--"))) {
        m->state = MULTIPART_END; /* what follows is an epilogue */
        return OK;
    }
    const str blanks = STR(" \t"); /* RFC 2046 allows them here */
    for (size_t i = 0; window(m).len > 0 && str_index(blanks, window(m).ptr[0]) < blanks.len; i++) {
        if (i == MULTIPART_BOUNDARY_MAX)
            return malformed("a boundary does not end");
        drop(m, 1);
        TRY(need(m, 2));
    }
    if (!str_starts_with(window(m), STR("\r\n")))
        return malformed("a boundary does not end its line");
    drop(m, 2);
    m->state = MULTIPART_HEAD;
    return OK;
}

error http_multipart_next(http_multipart *m, http_part *out)
{
    *out = (http_part){ 0 };
    str skipped = STR("-");
    while (m->state == MULTIPART_PREAMBLE || m->state == MULTIPART_DATA) {
        TRY(take_data(m, &skipped));
        if (skipped.len == 0)
            m->state = MULTIPART_PART_END;
    }
    if (m->state == MULTIPART_PART_END)
        TRY(take_delimiter(m));
    if (m->state == MULTIPART_END)
        return OK;
    if (++m->part_count > m->options.parts_max)
        return malformed("too many parts");
    TRY(take_head(m, out));
    m->part_bytes = 0;
    m->state = MULTIPART_DATA;
    return OK;
}

error http_part_read(http_multipart *m, str *piece)
{
    *piece = STR("");
    if (m->state != MULTIPART_DATA)
        return OK;
    TRY(take_data(m, piece));
    if (piece->len == 0)
        m->state = MULTIPART_PART_END;
    m->part_bytes += piece->len;
    if (m->part_bytes > m->options.part_bytes_max)
        return error_set(&HTTP_BODY_TOO_LARGE, "a part of over %llu bytes",
                         (unsigned long long)m->options.part_bytes_max);
    return OK;
}

error http_part_bytes(http_multipart *m, size_t bytes_max, str *out)
{
    buf all;
    str piece;
    buf_init_arena(&all, m->arena, bytes_max);
    do {
        TRY(http_part_read(m, &piece));
        buf_append(&all, piece);
        if (all.failed)
            return error_set(&HTTP_BODY_TOO_LARGE, "a part of over %zu bytes", bytes_max);
    } while (piece.len > 0);
    *out = buf_str(&all);
    return OK;
}

/* --- of a request -------------------------------------------------------------------------------
 */

static error read_body(void *arg, str *piece)
{
    return http_body_read(arg, piece);
}

error http_multipart_start(http_request *req, const http_multipart_options *options,
                           http_multipart **out)
{
    bool is_multipart;
    const str type = http_header(req, STR("content-type"));
    const str boundary = http_multipart_boundary(&req->conn->arena, type, &is_multipart);
    if (!is_multipart)
        return error_set(&HTTP_MULTIPART_EXPECTED, "another content type");
    if (!boundary.ptr)
        return malformed("no boundary, or a malformed one");
    const multipart_source body = { read_body, req };
    *out = http_multipart_new(&req->conn->arena, body, boundary, options);
    if (!(*out)->options.directory)
        (*out)->options.directory =
            str_format(&req->conn->arena, "%.*s", STR_ARG(req->conn->server->settings->upload_dir))
                .ptr;
    return OK;
}
