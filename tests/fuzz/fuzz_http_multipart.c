/* Any bytes as a multipart body, and the first of them as a Content-Type. However it is cut, the
 * same parts come out, or the same refusal. */
#include "multipart.h"

#include "core/fiber.h"
#include "core/loop.h"
#include "tests/support/fuzz.h"

#include <string.h>

typedef struct cut_source {
    str rest;
    size_t step;
} cut_source;

static error read_cut(void *arg, str *piece)
{
    cut_source *s = arg;
    *piece = str_slice(s->rest, 0, s->step);
    s->rest = str_slice(s->rest, piece->len, s->rest.len);
    return OK;
}

/* A hash of all parts and of how it ended. */
static uint64_t read_all(str body, size_t step)
{
    cut_source source = { body, step };
    http_multipart *m =
        http_multipart_new(fiber_arena(), (multipart_source){ read_cut, &source }, STR("b"), NULL);
    buf all;
    buf_init_arena(&all, fiber_arena(), 1 << 22);
    for (;;) {
        http_part part;
        str piece = STR("-");
        error e = http_multipart_next(m, &part);
        if (e.kind || !part.name.ptr) {
            buf_append_format(&all, "%s", e.kind ? e.kind->name : "end");
            return str_hash(buf_str(&all), 0);
        }
        buf_append(&all, part.name);
        buf_append_char(&all, '|');
        while (!e.kind && piece.len > 0) {
            e = http_part_read(m, &piece);
            if (!e.kind)
                buf_append(&all, piece);
        }
        buf_append_char(&all, '|');
    }
}

typedef struct fuzz_input {
    const uint8_t *data;
    size_t len;
} fuzz_input;

static error run(void *arg)
{
    const fuzz_input *in = arg;
    bool is_multipart;
    const str bytes = fuzz_text(in->data + 1, in->len - 1);
    const str boundary = http_multipart_boundary(fiber_arena(), bytes, &is_multipart);
    invariant(!boundary.ptr || (is_multipart && boundary.len <= MULTIPART_BOUNDARY_MAX));
    invariant(read_all(bytes, bytes.len + 1) == read_all(bytes, 1U + in->data[0] % 32U));
    return OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz_input in = { data, len };
    if (len < 1 || len > 65536)
        return 0;
    invariant(error_is_ok(loop_run_fiber(run, &in)));
    return 0;
}
