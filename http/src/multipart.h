/* The parser of multipart bodies, over any source of pieces: for http/multipart.h, tests and
 * fuzzing. */
#ifndef HTTP_SRC_MULTIPART_H
#define HTTP_SRC_MULTIPART_H

#include "core/buf.h"
#include "http/http.h"

#define MULTIPART_BOUNDARY_MAX 70                  /* RFC 2046, 5.1.1 */
#define WINDOW_BYTES_MAX       ((size_t)256 << 10) /* over twice what a stream keeps */

typedef struct multipart_source {
    /* The next bytes, none at the end; valid until the next call. */
    error (*read)(void *arg, str *piece);
    void *arg;
} multipart_source;

typedef enum multipart_state {
    MULTIPART_PREAMBLE = 0,
    MULTIPART_HEAD, /* behind a delimiter */
    MULTIPART_DATA,
    MULTIPART_PART_END, /* the delimiter is next */
    MULTIPART_END,
} multipart_state;

struct http_multipart {
    arena *arena;
    multipart_source source;
    http_multipart_options options; /* with their defaults */
    multipart_state state;
    str delimiter; /* CRLF "--" boundary */
    buf window;
    size_t given; /* bytes of it that were given out and go with the next call */
    bool at_end;  /* the source has no more */
    uint32_t part_count;
    uint64_t part_bytes;
    buf gathered;         /* of a part on its way into a file */
    uint64_t saved_bytes; /* of all files */
};

/* The boundary that a Content-Type names, or STR_NONE when it is not multipart/form-data, missing
 * or malformed. Lives in `a`. */
str http_multipart_boundary(arena *a, str content_type, bool *is_multipart);
/* Memory is of `a`, which must outlive it. To save parts, `options` name a directory. */
http_multipart *http_multipart_new(arena *a, multipart_source source, str boundary,
                                   const http_multipart_options *options);

#endif
