/* Any bytes as what a server sends on a connection: a head, and the body it announces. However they
 * are cut, and whatever vector unit reads them, the outcome is the same; what is accepted is inside
 * the bytes and is read the same again when it is written out. */
#include "reply_body.h"

#include "core/buf.h"
#include "tests/support/fuzz.h"

#include <string.h>

#define HEAD_BYTES_MAX 4096

/* What a reader makes of the bytes. */
typedef struct reading {
    http_reply_head head;
    http_reply_result result;
    http_piece_result piece; /* how the body ended, when DONE */
    uint64_t body_hash;
    size_t body_bytes;
    size_t bytes; /* taken, of head and body */
} reading;

static void read_body(reading *r, http_reply_pieces *pieces, str bytes, bool ends)
{
    str rest = bytes, data;
    do {
        const char *from = rest.ptr;
        r->piece = http_reply_pieces_next(pieces, &rest, ends, &data);
        invariant(rest.ptr >= from && rest.ptr + rest.len == bytes.ptr + bytes.len);
        if (r->piece != HTTP_PIECE_DATA)
            continue;
        invariant(data.len > 0 && data.ptr >= from && data.ptr + data.len <= rest.ptr);
        for (size_t i = 0; i < data.len; i++) /* not of the pieces, which depend on the cuts */
            r->body_hash = r->body_hash * 31 + (unsigned char)data.ptr[i];
        r->body_bytes += data.len;
    } while (r->piece == HTTP_PIECE_DATA);
    r->bytes += bytes.len - rest.len;
}

static void read_all(reading *r, const http_scan *scan, str bytes, size_t step, http_method asked,
                     bool ends)
{
    http_reply_pieces pieces;
    memset(r, 0, sizeof *r);
    http_reply_head_init(&r->head);
    r->head.fields.scan = scan;
    for (size_t given = step;; given += step) {
        const bool all = given >= bytes.len;
        const str part = str_slice(bytes, r->bytes, (all ? bytes.len : given) - r->bytes);
        if (r->result == HTTP_REPLY_DONE) {
            read_body(r, &pieces, part, ends && all);
        } else {
            r->result = http_reply_head_parse(&r->head, part, HEAD_BYTES_MAX);
            if (r->result == HTTP_REPLY_DONE) {
                invariant(r->head.bytes <= part.len);
                r->bytes = r->head.bytes;
                http_reply_pieces_init(&pieces, &r->head, asked);
                read_body(r, &pieces, str_slice(part, r->head.bytes, part.len), ends && all);
            }
        }
        const bool goes_on = r->result == HTTP_REPLY_DONE ? r->piece == HTTP_PIECE_MORE
                                                          : r->result == HTTP_REPLY_INCOMPLETE;
        if (all || !goes_on)
            return;
    }
}

static void check_same_head(const http_reply_head *a, const http_reply_head *b)
{
    invariant(a->status == b->status && a->minor_version == b->minor_version);
    invariant(a->framing.keep_alive == b->framing.keep_alive);
    invariant(a->framing.chunked == b->framing.chunked);
    invariant(a->framing.has_content_length == b->framing.has_content_length);
    invariant(a->framing.content_length == b->framing.content_length);
    invariant(a->fields.count == b->fields.count);
    for (uint32_t i = 0; i < a->fields.count; i++)
        invariant(str_eq(a->fields.items[i].name, b->fields.items[i].name) &&
                  str_eq(a->fields.items[i].value, b->fields.items[i].value));
}

static void check_same(const reading *a, const reading *b)
{
    invariant(a->result == b->result);
    if (a->result == HTTP_REPLY_BAD || a->result == HTTP_REPLY_TOO_LARGE)
        invariant(a->head.reason && a->head.reason == b->head.reason);
    if (a->result != HTTP_REPLY_DONE)
        return;
    check_same_head(&a->head, &b->head);
    invariant(a->piece == b->piece && a->bytes == b->bytes);
    invariant(a->body_bytes == b->body_bytes && a->body_hash == b->body_hash);
}

static void check_done(const http_reply_head *h, str bytes, http_method asked)
{
    invariant(h->status >= 100 && h->status <= 599 && h->bytes <= bytes.len);
    invariant(!(h->framing.chunked && h->framing.has_content_length));
    invariant(http_reply_body_of(h, asked) != HTTP_REPLY_UNTIL_CLOSE ||
              !http_reply_keeps_alive(h, asked));
    for (uint32_t i = 0; i < h->fields.count; i++) {
        const http_field *f = &h->fields.items[i];
        invariant(f->name.len > 0 && f->name.ptr >= bytes.ptr);
        invariant(f->value.ptr + f->value.len <= bytes.ptr + h->bytes);
        invariant(str_index(f->value, '\r') == f->value.len);
        invariant(str_index(f->value, '\n') == f->value.len);
        invariant(str_index(f->value, '\0') == f->value.len);
    }
}

static void check_written_again(const http_reply_head *h)
{
    static http_reply_head again;
    buf out;
    buf_init(&out, 1 << 20);
    buf_append_format(&out, "HTTP/1.%u %03u\r\n", h->minor_version, h->status);
    for (uint32_t i = 0; i < h->fields.count; i++) {
        buf_append(&out, h->fields.items[i].name);
        buf_append_char(&out, ':');
        buf_append(&out, h->fields.items[i].value);
        buf_append(&out, STR("\r\n"));
    }
    buf_append(&out, STR("\r\n"));
    invariant(error_is_ok(buf_status(&out)));
    http_reply_head_init(&again);
    invariant(http_reply_head_parse(&again, buf_str(&out), HEAD_BYTES_MAX) == HTTP_REPLY_DONE);
    check_same_head(h, &again);
    buf_deinit(&out);
}

/* The first byte: 6 bits of how it is cut, whether HEAD was asked, whether the connection ends. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static reading whole, cut;
    if (len == 0)
        return 0;
    const http_method asked = data[0] & 64 ? HTTP_HEAD : HTTP_GET;
    const bool ends = data[0] & 128;
    const str bytes = fuzz_text(data + 1, len - 1);
    read_all(&whole, http_scan_pick(), bytes, bytes.len + 1, asked, ends);
    size_t count;
    const http_scan *const *scans = http_scan_all(&count);
    for (size_t i = 0; i < count; i++) {
        read_all(&cut, scans[i], bytes, 1U + data[0] % 64U, asked, ends);
        check_same(&whole, &cut);
    }
    if (whole.result == HTTP_REPLY_DONE) {
        check_done(&whole.head, bytes, asked);
        check_written_again(&whole.head);
    }
    return 0;
}
