/* One table of methods, for all that read or write their names. Its order is that of lists shown to
 * clients, and GET, which most requests have, is found first. */
#include "method.h"

#include "core/buf.h"

#define LIST_BYTES_MAX 80 /* of all names with ", " between */

static const struct {
    http_method method;
    str name;
} METHODS[] = {
    { HTTP_GET, { "GET", 3 } },         { HTTP_HEAD, { "HEAD", 4 } },
    { HTTP_POST, { "POST", 4 } },       { HTTP_PUT, { "PUT", 3 } },
    { HTTP_PATCH, { "PATCH", 5 } },     { HTTP_DELETE, { "DELETE", 6 } },
    { HTTP_TRACE, { "TRACE", 5 } },     { HTTP_OPTIONS, { "OPTIONS", 7 } },
    { HTTP_CONNECT, { "CONNECT", 7 } },
};

http_method http_method_of(str name)
{
    for (size_t i = 0; i < ARRAY_LEN(METHODS); i++) {
        if (str_eq(METHODS[i].name, name))
            return METHODS[i].method;
    }
    return HTTP_METHOD_OTHER;
}

const char *http_method_name(http_method method)
{
    for (size_t i = 0; i < ARRAY_LEN(METHODS); i++) {
        if (METHODS[i].method == method)
            return METHODS[i].name.ptr;
    }
    return "?";
}

str http_method_list(arena *a, uint32_t methods)
{
    buf text;
    buf_init_arena(&text, a, LIST_BYTES_MAX);
    for (size_t i = 0; i < ARRAY_LEN(METHODS); i++) {
        if (!(methods >> METHODS[i].method & 1))
            continue;
        if (text.len > 0)
            buf_append(&text, STR(", "));
        buf_append(&text, METHODS[i].name);
    }
    return buf_str(&text);
}
