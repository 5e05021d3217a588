/* Any bytes as a chunked body. However it is cut, the same data comes out and the same bytes are
 * taken; what comes out lies in what went in, and no byte is given twice. */
#include "chunked.h"

#include "tests/support/fuzz.h"

#include <stdlib.h>
#include <string.h>

typedef struct decoded {
    http_chunked_result result;
    char *body;
    size_t len;
    size_t taken;
} decoded;

static void decode(str bytes, size_t step, decoded *out)
{
    http_chunked c;
    http_chunked_init(&c, &(http_chunked_limits){ 1024, 4096 });
    *out = (decoded){ .result = HTTP_CHUNKED_MORE, .body = malloc(bytes.len + 1) };
    invariant(out->body != NULL);
    for (size_t at = 0; at < bytes.len && out->result == HTTP_CHUNKED_MORE; at += step) {
        str data, input = str_slice(bytes, at, step);
        const str piece = input;
        while ((out->result = http_chunked_next(&c, &input, &data)) == HTTP_CHUNKED_DATA) {
            invariant(data.len > 0 && data.ptr >= piece.ptr);
            invariant(data.ptr + data.len == input.ptr);
            memcpy(out->body + out->len, data.ptr, data.len);
            out->len += data.len;
            invariant(out->len <= bytes.len);
        }
        invariant(input.ptr + input.len == piece.ptr + piece.len);
        invariant(out->result != HTTP_CHUNKED_MORE || input.len == 0);
        out->taken += piece.len - input.len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    decoded whole, cut;
    if (len == 0)
        return 0;
    const str bytes = fuzz_text(data + 1, len - 1);
    decode(bytes, bytes.len + 1, &whole);
    decode(bytes, 1U + data[0] % 64U, &cut);
    invariant(whole.result == cut.result && whole.taken == cut.taken);
    invariant(whole.len == cut.len && memcmp(whole.body, cut.body, whole.len) == 0);
    free(whole.body);
    free(cut.body);
    return 0;
}
