/* Traces: which journey through several services a request is a part of. What a caller sends is
 * taken over only when it is valid to the letter; else a new trace begins here. This request's own
 * span is its id, which has the right form and is never used again.
 *
 * Invariant: what is passed on is of version 00 and valid. */
#include "trace.h"

#include "conn.h"
#include "head_fields.h"

#include <sys/random.h>

#define PARENT_LEN (2 + 1 + TRACE_ID_LEN + 1 + TRACE_SPAN_LEN + 1 + 2)

static const http_key TRACE = { "trace" };

static bool is_lower_hex(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (str_hex_digit(s.ptr[i]) < 0 || (s.ptr[i] >= 'A' && s.ptr[i] <= 'F'))
            return false;
    }
    return true;
}

static bool is_id(str s)
{
    return is_lower_hex(s) && str_trim(s, STR("0")).len > 0;
}

bool http_traceparent_parse(str text, http_traceparent *out)
{
    if (text.len < PARENT_LEN || text.ptr[2] != '-' || text.ptr[35] != '-' || text.ptr[52] != '-')
        return false;
    const str version = str_slice(text, 0, 2), flags = str_slice(text, 53, 2);
    const bool is_known = str_eq(version, STR("00"));
    out->trace_id = str_slice(text, 3, TRACE_ID_LEN);
    out->parent_id = str_slice(text, 36, TRACE_SPAN_LEN);
    if (!is_lower_hex(version) || str_eq(version, STR("ff")) || !is_id(out->trace_id) ||
        !is_id(out->parent_id) || !is_lower_hex(flags))
        return false;
    if (text.len > PARENT_LEN && (is_known || text.ptr[PARENT_LEN] != '-'))
        return false;
    out->flags = (uint8_t)(str_hex_digit(flags.ptr[0]) << 4 | str_hex_digit(flags.ptr[1]));
    return true;
}

/* All fields tracestate as one list; STR_NONE past what must be passed on. */
static str trace_state(const http_request *req)
{
    buf all;
    buf_init_arena(&all, &req->conn->arena, TRACE_STATE_LEN_MAX);
    for (uint32_t i = 0; i < req->head.fields.count; i++) {
        const http_field *field = &req->head.fields.items[i];
        if (!str_eq_nocase(field->name, STR("tracestate")) || field->value.len == 0)
            continue;
        if (all.len > 0)
            buf_append_char(&all, ',');
        buf_append(&all, field->value);
    }
    return all.len > 0 && !all.failed ? buf_str(&all) : STR_NONE;
}

static str new_trace_id(const http_request *req)
{
    uint64_t random[2];
    if (getrandom(random, sizeof random, 0) != sizeof random || (random[0] | random[1]) == 0)
        return str_format(&req->conn->arena, "%.16s%.16s", req->id, req->id);
    return str_format(&req->conn->arena, "%016llx%016llx", (unsigned long long)random[0],
                      (unsigned long long)random[1]);
}

const http_trace *http_request_trace(http_request *req)
{
    http_trace *trace = http_value(req, &TRACE);
    if (trace)
        return trace;
    trace = ARENA_NEW(&req->conn->arena, http_trace);
    http_traceparent parent = { .flags = 0 };
    if (http_traceparent_parse(http_head_only(&req->head, STR("traceparent")), &parent)) {
        trace->state = trace_state(req);
    } else {
        parent = (http_traceparent){ .trace_id = new_trace_id(req) };
    }
    trace->trace_id = parent.trace_id;
    trace->parent_id = parent.parent_id;
    trace->span_id = (str){ req->id, sizeof req->id };
    trace->sampled = (parent.flags & TRACE_FLAG_SAMPLED) != 0;
    trace->parent = str_format(&req->conn->arena, "00-%.*s-%.*s-%02x", STR_ARG(trace->trace_id),
                               STR_ARG(trace->span_id), trace->sampled ? TRACE_FLAG_SAMPLED : 0U);
    http_set_value(req, &TRACE, trace);
    return trace;
}
