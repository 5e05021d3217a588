/* Content codings undone by the libraries' own decoders, for tests of what encodes them. */
#ifndef TESTS_SUPPORT_DECODER_H
#define TESTS_SUPPORT_DECODER_H

#include "core/str.h"

typedef struct decoder decoder;

/* Of "zstd", "br" or "gzip"; "identity" leaves the bytes as they are. NULL for another. */
decoder *decoder_new(const char *coding);
void decoder_free(decoder **owner);
/* Takes all of `bytes` and writes all that they stand for, at most `room` bytes, to `out`; adds
 * their number to `*len`. False when they are no such coding, or more. */
bool decoder_take(decoder *d, str bytes, char *out, size_t room, size_t *len);
/* Whether the body's end was seen, with nothing behind it. */
bool decoder_at_end(const decoder *d);
/* All of a body at once: false unless it is whole. */
bool decode_all(const char *coding, str bytes, char *out, size_t room, size_t *len);

#endif
