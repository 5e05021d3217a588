/* The entity tag of a body. */
#ifndef HTTP_SRC_ETAG_H
#define HTTP_SRC_ETAG_H

#include "core/error.h"
#include "core/str.h"

#define HTTP_BODY_TAG_LEN 34 /* a strong tag: 32 hexadecimal digits in quotes */

/* A strong tag, the same for the same type and body and no others.
 *   fails  OUT_OF_MEMORY */
error http_body_tag(char out[HTTP_BODY_TAG_LEN], str content_type, str body);

#endif
