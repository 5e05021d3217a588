/* One UTF-8 sequence, for those who walk text that may be malformed. */
#ifndef CORE_SRC_UTF8_H
#define CORE_SRC_UTF8_H

#include "core/base.h"

/* Bytes of the well-formed sequence at the front of [p, p + left), `left` > 0 (RFC 3629 section 4);
 * 0 when there is none. */
size_t utf8_sequence(const unsigned char *p, size_t left);

#endif
