/* Any bytes as a cell of any type: what is written of it is one JSON value, by the short way and by
 * the long one the same, or it is refused. The first byte picks the type; the rest is the cell. */
#include "json_cell.h"

#include "core/json.h"
#include "tests/support/fuzz.h"

#include <stdlib.h>
#include <string.h>

static const pg_oid OIDS[] = {
    PG_OID_INT4,
    PG_OID_NUMERIC,
    PG_OID_FLOAT8,
    PG_OID_BOOL,
    PG_OID_TEXT,
    PG_OID_JSON,
    PG_OID_JSONB,
    PG_OID_BYTEA,
    PG_OID_DATE,
    PG_OID_TIMESTAMP,
    PG_OID_TIMESTAMPTZ,
    PG_OID_UUID,
    PG_OID_RECORD,
    99999,
    PG_OID_INT4_ARRAY,
    PG_OID_NUMERIC_ARRAY,
    PG_OID_BOOL_ARRAY,
    PG_OID_TEXT_ARRAY,
    PG_OID_JSON_ARRAY,
    PG_OID_JSONB_ARRAY,
    PG_OID_DATE_ARRAY,
    PG_OID_BYTEA_ARRAY,
    PG_OID_TIMESTAMP_ARRAY,
    PG_OID_TIMESTAMPTZ_ARRAY,
    PG_OID_XML_ARRAY,
    PG_OID_BOX_ARRAY,
    PG_OID_INTERVAL_ARRAY,
    PG_OID_RECORD_ARRAY,
};

/* The short way, to memory of just the size that it is promised. */
static size_t put(pg_json_kind kind, str cell, char **out)
{
    *out = malloc(cell.len + PG_JSON_CELL_BYTES);
    invariant(*out != NULL);
    return pg_json_put(*out, kind, cell);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    const pg_json_type type = pg_json_type_of(OIDS[data[0] % ARRAY_LEN(OIDS)]);
    const str cell = fuzz_text(data + 1, len - 1);
    buf out, scratch;
    buf_init(&out, (size_t)64 << 20);
    buf_init(&scratch, (size_t)64 << 20);
    const bool good = type.element ? pg_json_append_array(&out, &type, cell, &scratch)
                                   : pg_json_append(&out, type.kind, cell);
    invariant(!out.failed && (!good || json_is_valid(buf_str(&out))));
    if (!type.element) {
        char *text;
        const size_t put_len = put(type.kind, cell, &text);
        invariant(put_len == 0 || (good && str_eq((str){ text, put_len }, buf_str(&out))));
        free(text);
    }
    buf_deinit(&out);
    buf_deinit(&scratch);
    return 0;
}
