/* Any bytes as what a server sends: cut into messages, each read by every reader of messages. What
 * is read are views within the message, or copies that are whole; a report is an error of a kind.
 */
#include "copy_row.h"
#include "wire.h"

#include "core/memory.h"
#include "tests/support/fuzz.h"

#include <string.h>

#define CELLS_MAX 8

static bool is_within(str part, str whole)
{
    return !part.ptr || part.len == 0 ||
           (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void read_report(str body)
{
    pg_report r;
    if (!pg_report_read(body, &r))
        return;
    const str parts[] = { r.severity, r.sqlstate, r.message, r.detail,     r.hint,   r.position,
                          r.where,    r.schema,   r.table,   r.constraint, r.column, r.routine };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        invariant(is_within(parts[i], body) && str_index(parts[i], '\0') == parts[i].len);
    char text[64];
    pg_report_text(&r, text, sizeof text);
    invariant(memchr(text, '\0', sizeof text));
    const error e = pg_report_error(&r);
    invariant(e.kind == pg_error_kind(r.sqlstate));
}

static void read_columns(str body)
{
    pg_column *columns = NULL;
    uint32_t count = 0;
    const error e = pg_columns_read(body, false, &columns, &count);
    invariant(error_is_ok(e) || error_is(e, &PG_PROTOCOL_VIOLATION));
    invariant(error_is_ok(e) || !columns);
    size_t bytes = 2;
    for (uint32_t i = 0; columns && i < count; i++)
        bytes += columns[i].name.len + 1 + 18;
    invariant(!columns || bytes == body.len);
    memory_free(columns);
}

static void read_row(str body)
{
    str cells[CELLS_MAX];
    for (uint32_t count = 0; count <= CELLS_MAX; count++) {
        if (!pg_row_read(body, cells, count))
            continue;
        size_t bytes = 2;
        for (uint32_t i = 0; i < count; i++) {
            invariant(is_within(cells[i], body));
            bytes += 4 + cells[i].len;
        }
        invariant(bytes == body.len);
    }
}

/* As COPY's data, with its header and without: rows of one cell, of two. */
static void read_copy(str body)
{
    for (size_t count = 1; count <= 2; count++) {
        str cells[2], rest = body;
        (void)pg_copy_header_read(&rest);
        for (size_t left = rest.len + 1; left > rest.len;) {
            left = rest.len;
            const pg_copy_part part = pg_copy_row_read(&rest, cells, count);
            invariant((part == PG_COPY_PART_WHOLE || part == PG_COPY_PART_END) ==
                      (rest.len < left));
            for (size_t i = 0; part == PG_COPY_PART_WHOLE && i < count; i++)
                invariant(is_within(cells[i], body));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    str input = fuzz_text(data, len);
    for (;;) {
        pg_message m;
        size_t bytes = 0;
        if (pg_frame_read(input, PG_MESSAGE_BYTES_MAX, &m, &bytes) != PG_FRAME_WHOLE)
            return 0;
        invariant(bytes >= PG_HEADER_BYTES && bytes <= input.len);
        invariant(m.body.len == bytes - PG_HEADER_BYTES);
        read_report(m.body);
        read_columns(m.body);
        read_row(m.body);
        read_copy(m.body);
        (void)pg_tag_rows(m.body);
        input = str_slice(input, bytes, input.len);
    }
}
