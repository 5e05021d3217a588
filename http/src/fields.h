/* What the heads of requests and of replies have in common (RFC 9112, sections 2.2 and 5): lines
 * that end with CRLF, and header fields, kept in a table.
 *
 * Resumable and strict as head.h says: until the head is whole there are only offsets, because its
 * bytes may move. */
#ifndef HTTP_SRC_FIELDS_H
#define HTTP_SRC_FIELDS_H

#include "field_names.h"
#include "scan.h"

#include "core/str.h"

#define HTTP_FIELDS_MAX 100

/* Where the reader of lines stands. A zeroed one is at the beginning. */
typedef struct http_lines {
    uint32_t at;         /* bytes looked at */
    uint32_t line_start; /* of the line being read */
} http_lines;

typedef enum http_line_result {
    HTTP_LINE_PART = 1, /* the bytes end in its middle, or before it */
    HTTP_LINE_WHOLE,
    HTTP_LINE_BAD, /* it ends with a bare LF */
} http_line_result;

/* The next line of `bytes`, which begin with the head's first byte and with what was given before.
 * No byte is looked at twice. `*line`: without its CRLF when WHOLE, else what there is of it. */
http_line_result http_lines_next(http_lines *lines, str bytes, str *line);

typedef struct http_field {
    str name;
    str value; /* without the white space around it */
} http_field;

typedef struct http_fields {
    uint32_t count;
    uint8_t
        first[HTTP_FIELD_NAMES]; /* of a known name: the index of its first field and 1; 0: none */
    const http_scan *scan;
    /* only the first `count` of these are set */
    struct {
        uint32_t name_at, name_len, value_at, value_len;
    } offsets[HTTP_FIELDS_MAX];
    http_field items[HTTP_FIELDS_MAX]; /* once http_fields_slice has made them */
} http_fields;

/* Forgets all fields. */
void http_fields_init(http_fields *fields);

typedef enum http_field_fault {
    HTTP_FIELD_GOOD = 0,
    HTTP_FIELD_MALFORMED,
    HTTP_FIELD_TOO_MANY, /* over `fields_max`, which is at most HTTP_FIELDS_MAX */
} http_field_fault;

/* Adds the field that a line of `bytes` is, which is not empty; scans may read past the line, which
 * ends in a byte of no class. `*reason` says in words what a fault is. */
http_field_fault http_fields_add(http_fields *fields, str bytes, str line, uint32_t fields_max,
                                 const char **reason);
/* Makes slices of the head that now stands at `base`; again when it has moved. */
void http_fields_slice(http_fields *fields, const char *base);
/* Which known name field `index` has; notes it for http_fields_find, so once for each, in order. */
http_field_name http_fields_name(http_fields *fields, uint32_t index);
/* The first field of that name, compared without case, or STR_NONE. */
str http_fields_find(const http_fields *fields, str name);

#endif
