/* The two grammars of connection strings, as libpq reads them, so that a string which works with
 * psql works here.
 *
 * Decoding never lengthens, so one buffer as long as the text takes all values; a list of hosts in
 * a URI becomes two lists, of which the commas are the only bytes that count twice.
 *
 * Error texts hold a place, never a piece of the text: it may be the password, also when the string
 * is malformed. */
#include "conninfo_text.h"

#include <string.h>

#define SPACES " \t\n\v\f\r"

typedef struct parser {
    const char *start;
    const char *at;
    const char *end;
    char *room;      /* for what is decoded: as much as is left of the text, and more */
    char *port_room; /* the same, for a URI's list of ports */
    pg_parameters *out;
} parser;
/* Invariant: start <= at <= end. */

static size_t position_of(const parser *p, const char *at)
{
    return (size_t)(at - p->start) + 1;
}

static error malformed(const parser *p, const char *at, const char *what)
{
    return error_set(&PG_CONNINFO_INVALID, "the connection string is malformed at byte %zu: %s",
                     position_of(p, at), what);
}

static error set_by_name(const parser *p, str name, str value, const char *at)
{
    return pg_parameters_set(p->out, name, (pg_given){ value, PG_ORIGIN_TEXT, position_of(p, at) });
}

/* --- pairs: host=db dbname='a b' -------------------------------------------------------------- */

static bool is_space(char c)
{
    return str_index(STR(SPACES), c) < sizeof SPACES - 1;
}

static void skip_spaces(parser *p)
{
    while (p->at < p->end && is_space(*p->at))
        p->at++;
}

/* A value up to a space or, when it begins with a quote, to the next one. A backslash takes the
 * next byte as it is; the last byte of the text, it counts as nothing. */
static error parse_pair_value(parser *p, str *value)
{
    const char *opening = p->at;
    const bool quoted = p->at < p->end && *p->at == '\'';
    char *const from = p->room;
    if (quoted)
        p->at++;
    for (; p->at < p->end; p->at++) {
        if (quoted ? *p->at == '\'' : is_space(*p->at))
            break;
        if (*p->at == '\\' && ++p->at == p->end)
            break;
        *p->room++ = *p->at;
    }
    if (quoted) {
        if (p->at == p->end)
            return malformed(p, opening, "a quote is not closed");
        p->at++;
    }
    *value = str_between(from, p->room);
    return OK;
}

static error parse_pairs(parser *p)
{
    for (skip_spaces(p); p->at < p->end; skip_spaces(p)) {
        const char *name_at = p->at;
        while (p->at < p->end && *p->at != '=' && !is_space(*p->at))
            p->at++;
        const str name = str_between(name_at, p->at);
        skip_spaces(p);
        if (p->at == p->end || *p->at != '=')
            return malformed(p, name_at, "a parameter's name without \"=\" behind it");
        p->at++;
        skip_spaces(p);
        str value = STR_NONE;
        TRY(parse_pair_value(p, &value));
        TRY(set_by_name(p, name, value, name_at));
    }
    return OK;
}

/* --- URIs ------------------------------------------------------------------------------------- */

/* The byte at the cursor; 0, which the text does not hold, at its end. */
static char peek(const parser *p)
{
    return p->at < p->end ? *p->at : '\0';
}

/* Moves to the first of the bytes in `stops`, or to the end; returns what was passed. */
static str take_until(parser *p, str stops)
{
    const char *from = p->at;
    while (p->at < p->end && str_index(stops, *p->at) == stops.len)
        p->at++;
    return str_between(from, p->at);
}

/* Percent-decodes to `*room`, and moves that on; '+' is a plus. */
static error decode_to(const parser *p, str encoded, char **room)
{
    for (size_t i = 0; i < encoded.len; i++) {
        if (encoded.ptr[i] != '%') {
            *(*room)++ = encoded.ptr[i];
            continue;
        }
        const str digits = str_slice(encoded, i + 1, 2);
        const int high = digits.len == 2 ? str_hex_digit(digits.ptr[0]) : -1;
        const int low = digits.len == 2 ? str_hex_digit(digits.ptr[1]) : -1;
        if (high < 0 || low < 0)
            return malformed(p, encoded.ptr + i, "\"%\" without two hexadecimal digits");
        if (high + low == 0)
            return malformed(p, encoded.ptr + i, "%00 is not allowed");
        *(*room)++ = (char)(high << 4 | low);
        i += 2;
    }
    return OK;
}

/* Spaces around it are passed over, as libpq has it since 18; those inside are to be encoded. */
static error trim(const parser *p, bool front, bool back, str *encoded)
{
    while (front && encoded->len > 0 && encoded->ptr[0] == ' ')
        *encoded = str_slice(*encoded, 1, encoded->len);
    while (back && encoded->len > 0 && encoded->ptr[encoded->len - 1] == ' ')
        encoded->len--;
    const size_t at = str_index(*encoded, ' ');
    return at == encoded->len ? OK : malformed(p, encoded->ptr + at, "a space: write %20");
}

static error decode(parser *p, str encoded, str *out)
{
    char *const from = p->room;
    TRY(trim(p, true, true, &encoded));
    TRY(decode_to(p, encoded, &p->room));
    *out = str_between(from, p->room);
    return OK;
}

/* A part of the URI before its query; an empty one counts as not given. */
static error set_part(parser *p, const char *name, str encoded)
{
    if (encoded.len == 0)
        return OK;
    str value = STR_NONE;
    TRY(decode(p, encoded, &value));
    return set_by_name(p, str_from_c(name), value, encoded.ptr);
}

/* user:password@, when there is an '@' before the first '/'. */
static error parse_credentials(parser *p)
{
    const char *from = p->at;
    str password = take_until(p, STR("@/"));
    if (peek(p) != '@') {
        p->at = from;
        return OK;
    }
    p->at++;
    const str user = str_cut(&password, ':');
    TRY(set_part(p, "user", user));
    return password.ptr ? set_part(p, "password", password) : OK;
}

/* Whether anything was said of them. */
typedef struct host_lists {
    bool hosts;
    bool ports;
} host_lists;

static error parse_bracketed_host(parser *p, str *host)
{
    const char *opening = p->at++;
    *host = take_until(p, STR("]"));
    if (p->at == p->end)
        return malformed(p, opening, "\"[\" is not closed");
    if (host->len == 0)
        return malformed(p, opening, "an empty IPv6 address");
    p->at++;
    const char next = peek(p);
    if (next && str_index(STR(":/?,"), next) == 4)
        return malformed(p, p->at, "what follows \"]\" is none of : / ?");
    return OK;
}

/* host:port, behind what the lists have. Spaces may stand around each list, not around each place.
 */
static error parse_host_and_port(parser *p, bool first, host_lists *lists)
{
    str host, port = STR("");
    if (peek(p) == '[')
        TRY(parse_bracketed_host(p, &host));
    else
        host = take_until(p, STR(":/?,"));
    if (peek(p) == ':') {
        p->at++;
        port = take_until(p, STR("/?,"));
    }
    const bool last = peek(p) != ',';
    lists->hosts = lists->hosts || host.len > 0 || !last;
    lists->ports = lists->ports || port.len > 0 || !last;
    TRY(trim(p, first, last, &host));
    TRY(trim(p, first, last, &port));
    TRY(decode_to(p, host, &p->room));
    return decode_to(p, port, &p->port_room);
}

/* host:port,host:port,... The two lists have as many places, also where one has nothing. */
static error parse_hosts(parser *p)
{
    const char *from = p->at;
    char *const hosts = p->room, *const ports = p->port_room;
    host_lists lists = { 0 };
    TRY(parse_host_and_port(p, true, &lists));
    while (peek(p) == ',') {
        p->at++;
        *p->room++ = ',';
        *p->port_room++ = ',';
        TRY(parse_host_and_port(p, false, &lists));
    }
    const str host_list = str_between(hosts, p->room);
    const str port_list = str_between(ports, p->port_room);
    if (lists.hosts)
        TRY(set_by_name(p, STR("host"), host_list, from));
    return lists.ports ? set_by_name(p, STR("port"), port_list, from) : OK;
}

static error parse_query_parameter(parser *p)
{
    const char *name_at = p->at;
    const str encoded_name = take_until(p, STR("=&"));
    if (peek(p) != '=')
        return malformed(p, name_at, "a parameter without \"=\"");
    p->at++;
    const str encoded_value = take_until(p, STR("=&"));
    if (peek(p) == '=')
        return malformed(p, name_at, "a parameter with a second \"=\"");
    if (peek(p) == '&')
        p->at++;
    str name;
    str value = STR_NONE;
    TRY(decode(p, encoded_name, &name));
    TRY(decode(p, encoded_value, &value));
    if (str_eq(name, STR("ssl")) && str_eq(value, STR("true"))) { /* JDBC's way */
        name = STR("sslmode");
        value = STR("require");
    }
    return set_by_name(p, name, value, name_at);
}

/* The cursor is behind "postgresql://". */
static error parse_uri(parser *p)
{
    TRY(parse_credentials(p));
    TRY(parse_hosts(p));
    if (peek(p) == '/') {
        p->at++;
        TRY(set_part(p, "dbname", take_until(p, STR("?"))));
    }
    if (peek(p) == '?')
        p->at++;
    while (p->at < p->end)
        TRY(parse_query_parameter(p));
    return OK;
}

error pg_conninfo_text_parse(arena *a, str text, pg_parameters *out)
{
    parser p = { .start = text.ptr ? text.ptr : "", .out = out };
    if (text.len > PG_PARAMETER_BYTES_MAX)
        return error_set(&PG_CONNINFO_INVALID, "the connection string is longer than %d bytes",
                         PG_PARAMETER_BYTES_MAX);
    p.at = p.start;
    p.end = p.start + text.len;
    const size_t nul = str_index(text, '\0');
    if (nul < text.len)
        return malformed(&p, p.start + nul, "a NUL");
    p.room = arena_try_alloc(a, 2 * text.len, 1);
    if (!p.room)
        return error_set(&OUT_OF_MEMORY, "no memory for a connection string");
    p.port_room = p.room + text.len;
    static const str SCHEMES[] = { { "postgresql://", 13 }, { "postgres://", 11 } };
    for (size_t i = 0; i < ARRAY_LEN(SCHEMES); i++) {
        if (str_starts_with(text, SCHEMES[i])) {
            p.at += SCHEMES[i].len;
            return parse_uri(&p);
        }
    }
    return parse_pairs(&p);
}
