/* Constant answers (http/constant.h) as a worker keeps them. */
#ifndef HTTP_SRC_PREBUILT_H
#define HTTP_SRC_PREBUILT_H

#include "conn.h"

typedef struct http_prebuilt {
    struct http_prebuilt *next; /* of the server */
    struct http_prebuilt **slot;
    const http_server *server;
    int status;
    str content_type;
    str body;
    str fields;    /* "Name: value\r\n"… */
    str tag;       /* among them; STR_NONE: none */
    buf image;     /* the head with its empty line, then the body if `has_body` */
    size_t head;   /* bytes of the head */
    size_t date;   /* where its Date stands */
    bool has_body; /* it is small enough */
} http_prebuilt;

/* Writes the constant that is staged to the client, as of `date`, "\r\nDate: " and all. */
void http_constant_send(const http_request *req, const char *date, bool close);
/* The fields of the constant that is staged, or "". */
str http_constant_fields(const http_request *req);
/* Makes an ordinary answer of a constant that is staged, because something of it is to change.
 *   fails  HTTP_BAD_HEADER past 8 KiB of fields; then nothing has changed */
error http_constant_melt(http_request *req);
/* Frees those of a server, whose last request is over. */
void http_constants_free(http_server *server);

#endif
