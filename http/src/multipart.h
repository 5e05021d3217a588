/* The parser of multipart bodies, over any source of pieces: for http/multipart.h, tests and
 * fuzzing. */
#ifndef HTTP_SRC_MULTIPART_H
#define HTTP_SRC_MULTIPART_H

#include "core/buf.h"
#include "http/multipart.h"

#define MULTIPART_BOUNDARY_MAX 70 /* RFC 2046, 5.1.1 */

typedef struct multipart_source {
    /* The next bytes, none at the end; valid until the next call. */
    error (*read)(void *arg, str *piece);
    void *arg;
} multipart_source;

/* The boundary that a Content-Type names, or STR_NONE when it is not multipart/form-data, missing
 * or malformed. Lives in `a`. */
str http_multipart_boundary(arena *a, str content_type, bool *is_multipart);
/* Memory is of `a`, which must outlive it. */
http_multipart *http_multipart_new(arena *a, multipart_source source, str boundary,
                                   const http_multipart_options *options);

#endif
