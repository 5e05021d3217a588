/* Media types by the extension of a file's name. */
#ifndef HTTP_SRC_MIME_H
#define HTTP_SRC_MIME_H

#include "core/str.h"

typedef struct http_mime {
    str type;          /* with its charset where that is text */
    bool compressible; /* smaller when compressed: text, and formats that are not packed already */
} http_mime;

/* Of a path or a name, by what stands behind its last dot, in any case;
 * application/octet-stream when that is unknown or there is none. */
http_mime http_mime_of(str path);
/* Whether a media type, without parameters and in any case, is worth compressing: text, JSON, XML,
 * and what the table of extensions says. */
bool http_mime_compressible(str type);

#endif
