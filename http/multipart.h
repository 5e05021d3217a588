/* multipart/form-data (RFC 7578): what a form with files sends, part by part as it arrives, in
 * constant memory: read piece by piece, taken whole when it is small, or saved to a file.
 *
 *   http_multipart *form;
 *   http_part part;
 *   TRY(http_multipart_start(req, NULL, &form));
 *   for (;;) {
 *       TRY(http_multipart_next(form, &part));
 *       if (!part.name.ptr)
 *           break;                                   // that was the last one
 *       if (str_eq(part.name, STR("title")))
 *           TRY(http_part_bytes(form, 200, &title));
 *       else if (str_eq(part.name, STR("photo")))
 *           TRY(http_part_save(form, 10 << 20, &photo)); // photo.fd, until the handler returns
 *   }
 *
 * The whole body is bounded by the route's `body_bytes_max`, and its time by `timeout_ms`. */
#ifndef HTTP_MULTIPART_H
#define HTTP_MULTIPART_H

#include "http/request.h"

typedef struct http_multipart http_multipart;

extern const error_kind HTTP_MULTIPART_EXPECTED; /* INVALID: 415, another content type */

typedef struct http_multipart_options {
    uint32_t parts_max;       /* 0: 100 */
    uint64_t part_bytes_max;  /* 0: as much as the body may have */
    uint64_t files_bytes_max; /* of all that is saved; 0: the same */
    const char *directory;    /* where; NULL: HTTP_UPLOAD_DIR */
} http_multipart_options;

/* One part. Slices live as long as the request. What a client calls its file is no path: never open
 * anything by it. */
typedef struct http_part {
    str name;         /* STR_NONE behind the last part */
    str filename;     /* STR_NONE: a plain field */
    str content_type; /* STR_NONE when the client did not say */
} http_part;

/* Begins to read the body as parts.
 *   options  NULL: the defaults
 *   fails    HTTP_MULTIPART_EXPECTED, HTTP_BAD_REQUEST for a missing or malformed boundary */
error http_multipart_start(http_request *req, const http_multipart_options *options,
                           http_multipart **out);
/* The next part; what was not read of the one before is skipped.
 *   yields  until its head is there
 *   fails   HTTP_BAD_REQUEST: malformed, more than `parts_max`, or it ends without its last
 * boundary; as http_body_read */
YIELDS error http_multipart_next(http_multipart *form, http_part *out);
/* The next bytes of the present part, none at its end.
 *   owns    `*piece` is valid until the next call
 *   fails   HTTP_BODY_TOO_LARGE past `part_bytes_max`; as http_multipart_next */
YIELDS error http_part_read(http_multipart *form, str *piece);
/* All of it, in the request's memory: for plain fields.
 *   fails   HTTP_BODY_TOO_LARGE past `bytes_max`; as http_part_read */
YIELDS error http_part_bytes(http_multipart *form, size_t bytes_max, str *out);

/* A part in a file that has no name: it is gone with its descriptor, however that is closed. */
typedef struct http_part_file {
    int fd; /* to read and write, at its beginning. Reading may wait for a disk: core/offload.h */
    uint64_t bytes;
} http_part_file;
/* What is left of the present part, into a file.
 *   yields  until it is there and written, which offload threads do: a slow disk holds up nobody
 *           but this client
 *   owns    the descriptor is the innermost scope's (core/scope.h), a handler's unless it opens
 *           one: closed when that ends. Who wants it longer has dup(); a name gives it linkat(), as
 *           open(2) says of O_TMPFILE, where the file system of the directory has that
 *   fails   HTTP_BODY_TOO_LARGE past `bytes_max` or the form's limits; HTTP_STORAGE_FULL (507);
 *           HTTP_TOO_MANY_FILES; SYSTEM_FAILED for any other fault of the directory; as
 *           http_part_read. What was written is gone with the scope */
YIELDS error http_part_save(http_multipart *form, uint64_t bytes_max, http_part_file *out);
extern const error_kind HTTP_STORAGE_FULL; /* UNAVAILABLE: 507, no room in the directory */

#endif
