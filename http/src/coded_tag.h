/* Entity tags of coded bodies. A strong tag stands for certain bytes, so that of a coded body is
 * another one (RFC 9110, 8.8.3.3): "x" in gzip is "x--gzip". A weak tag stands for what they mean,
 * and stays. */
#ifndef HTTP_SRC_CODED_TAG_H
#define HTTP_SRC_CODED_TAG_H

#include "accept.h"

#include "core/arena.h"

/* The tag of the coded body, in `a`; `tag` itself when it is weak, or no tag. */
str http_coded_tag(arena *a, str tag, http_coding coding);
/* A list of tags with those of coded bodies as what they were made of, in `a`; the others, and
 * those of codings that are not in `codings` (bit n: http_coding n), as they are. */
str http_coded_tags_undo(arena *a, str list, uint32_t codings);

#endif
