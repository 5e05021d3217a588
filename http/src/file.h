/* Files as answers: opened and judged by the handler, sent when it has returned. */
#ifndef HTTP_SRC_FILE_H
#define HTTP_SRC_FILE_H

#include "accept.h"
#include "range.h"

#include "core/stream.h"
#include "http/request.h"

/* What was opened for a request. Lives in its arena; the file is let go of with the request. */
typedef struct http_file {
    stream_file *source;
    bool is_directory;
    uint64_t bytes; /* as of its opening */
    int64_t modified_s;
    str etag;
    str type;
    http_coding coding;
    bool varies;                       /* there are neighbours in other codings */
    http_range parts[HTTP_RANGES_MAX]; /* of it, to be sent */
    size_t part_count;
} http_file;

/* Opens a file below `root` and stages it; a directory is only reported: nothing is staged then.
 *   yields, fails  as http_reply_file */
YIELDS error http_file_stage(http_request *req, const char *root, str path, bool *is_directory);
/* Sends the staged file, on the request's fiber: small ones as a staged body, others a window at a
 * time.
 *   fails  STREAM_FILE_FAILED, OFFLOAD_FULL; HTTP_CLIENT_GONE, HTTP_CLIENT_SLOW */
YIELDS error http_file_send(http_request *req);
/* Closes it, and nulls the pointer; NULL is allowed. */
void http_file_close(http_file **f);

#endif
