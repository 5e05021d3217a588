/* Any bytes as a request head. However it is cut, and whatever vector unit reads it, the outcome is
 * the same; what is accepted is
 * inside the bytes, holds nothing that could be read in two ways, and is read the same again when
 * it is written out. */
#include "authority.h"
#include "head.h"
#include "target.h"

#include "core/buf.h"
#include "tests/support/fuzz.h"

#include <string.h>

static const http_head_limits LIMITS = { 8192, 32768, HTTP_FIELDS_MAX };

static http_head_result parse(http_head *h, const http_scan *scan, str bytes, size_t step)
{
    http_head_result r = HTTP_HEAD_INCOMPLETE;
    http_head_init(h);
    h->fields.scan = scan;
    for (size_t given = step; r == HTTP_HEAD_INCOMPLETE; given += step) {
        const str part = str_slice(bytes, 0, given);
        r = http_head_parse(h, part, &LIMITS);
        if (part.len == bytes.len)
            break;
    }
    return r;
}

static void check_inside(str bytes, str s)
{
    invariant(s.ptr >= bytes.ptr && s.ptr + s.len <= bytes.ptr + bytes.len);
    invariant(str_index(s, '\r') == s.len && str_index(s, '\n') == s.len);
    invariant(str_index(s, '\0') == s.len);
}

static void check_same(const http_head *a, const http_head *b)
{
    invariant(a->method == b->method && str_eq(a->method_name, b->method_name));
    invariant(str_eq(a->target, b->target) && a->minor_version == b->minor_version);
    invariant(a->keep_alive == b->keep_alive && a->chunked == b->chunked);
    invariant(a->expects_continue == b->expects_continue);
    invariant(a->has_content_length == b->has_content_length);
    invariant(a->content_length == b->content_length);
    invariant(a->fields.count == b->fields.count);
    for (uint32_t i = 0; i < a->fields.count; i++)
        invariant(str_eq(a->fields.items[i].name, b->fields.items[i].name) &&
                  str_eq(a->fields.items[i].value, b->fields.items[i].value));
}

static void check_done(const http_head *h, str bytes)
{
    invariant(h->bytes <= bytes.len && h->method != HTTP_CONNECT);
    invariant(!(h->chunked && h->has_content_length));
    invariant(h->target.len > 0 && h->method_name.len > 0);
    check_inside(bytes, h->method_name);
    check_inside(bytes, h->target);
    uint32_t hosts = 0;
    http_authority authority;
    for (uint32_t i = 0; i < h->fields.count; i++) {
        check_inside(bytes, h->fields.items[i].name);
        check_inside(bytes, h->fields.items[i].value);
        invariant(h->fields.items[i].name.len > 0);
        if (str_eq_nocase(h->fields.items[i].name, STR("host"))) {
            invariant(http_authority_parse(h->fields.items[i].value, &authority));
            hosts++;
        }
    }
    invariant(hosts <= 1 && (hosts == 1 || h->minor_version == 0));
    str rest;
    const str named = http_target_authority(h->target, &rest);
    invariant(!named.ptr || (http_authority_parse(named, &authority) && authority.host.len > 0));
    invariant(!named.ptr || hosts == 0 || str_eq(http_head_find(h, STR("host")), named));
}

static void check_written_again(const http_head *h)
{
    static http_head again;
    buf out;
    buf_init(&out, 1 << 20);
    buf_append(&out, h->method_name);
    buf_append_char(&out, ' ');
    buf_append(&out, h->target);
    buf_append_format(&out, " HTTP/1.%u\r\n", h->minor_version);
    for (uint32_t i = 0; i < h->fields.count; i++) {
        buf_append(&out, h->fields.items[i].name);
        buf_append_char(&out, ':');
        buf_append(&out, h->fields.items[i].value);
        buf_append(&out, STR("\r\n"));
    }
    buf_append(&out, STR("\r\n"));
    invariant(error_is_ok(buf_status(&out)));
    invariant(parse(&again, http_scan_pick(), buf_str(&out), out.len) == HTTP_HEAD_DONE);
    check_same(h, &again);
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static http_head whole, cut;
    if (len == 0)
        return 0;
    const str bytes = fuzz_text(data + 1, len - 1);
    const http_head_result r = parse(&whole, http_scan_pick(), bytes, bytes.len + 1);
    size_t count;
    const http_scan *const *scans = http_scan_all(&count);
    for (size_t i = 0; i < count; i++) {
        invariant(parse(&cut, scans[i], bytes, 1U + data[0] % 64U) == r);
        if (r == HTTP_HEAD_BAD)
            invariant(whole.status == cut.status && whole.reason == cut.reason);
        if (r != HTTP_HEAD_DONE)
            continue;
        check_same(&whole, &cut);
        invariant(whole.bytes == cut.bytes);
    }
    if (r == HTTP_HEAD_BAD)
        invariant(whole.status >= 400 && whole.status <= 599);
    if (r == HTTP_HEAD_DONE) {
        check_done(&whole, bytes);
        check_written_again(&whole);
    }
    return 0;
}
