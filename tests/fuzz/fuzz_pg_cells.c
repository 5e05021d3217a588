/* Any bytes as a value that is made of values: ranges, multiranges, composites, arrays. What was
 * read is written, as a parameter and as text, and reads the same. The first byte picks the
 * column's type, the second its format; the rest is the column. */
#include "value.h"

#include "core/arena.h"
#include "tests/support/fuzz.h"

#define ARENA_BYTES ((size_t)64 << 20)

static const pg_oid OIDS[] = {
    0, /* text of no type */
    99999,
    PG_OID_RECORD,
    PG_OID_RECORD_ARRAY,
    PG_OID_INT4RANGE,
    PG_OID_INT4RANGE_ARRAY,
    PG_OID_INT4MULTIRANGE,
    PG_OID_INT4MULTIRANGE_ARRAY,
    PG_OID_INT8RANGE,
    PG_OID_INT8MULTIRANGE,
    PG_OID_NUMRANGE,
    PG_OID_NUMRANGE_ARRAY,
    PG_OID_NUMMULTIRANGE,
    PG_OID_NUMMULTIRANGE_ARRAY,
    PG_OID_TSRANGE,
    PG_OID_TSMULTIRANGE,
    PG_OID_TSTZRANGE,
    PG_OID_TSTZRANGE_ARRAY,
    PG_OID_TSTZMULTIRANGE,
    PG_OID_DATERANGE,
    PG_OID_DATEMULTIRANGE,
    PG_OID_DATEMULTIRANGE_ARRAY,
    PG_OID_TEXT_ARRAY,
};

static str encode(arena *a, const pg_value *value)
{
    const size_t size = pg_value_size(value);
    invariant(size != SIZE_MAX);
    char *room = arena_alloc(a, size, 1);
    invariant(pg_value_put(value, room) == room + size);
    return (str){ room, size };
}

/* One, and a list of them with NULLs. `param` makes a parameter of one. */
#define READ_AS(name, param)                                                           \
    static void read_as_##name(arena *a, const pg_cell *cell)                          \
    {                                                                                  \
        name value;                                                                    \
        name again;                                                                    \
        if (error_is_ok(pg_decode_##name(a, cell, &value))) {                          \
            const pg_value as_value = param(value);                                    \
            const str bytes = encode(a, &as_value);                                    \
            const pg_cell written = { as_value.oid, PG_BINARY, bytes };                \
            invariant(error_is_ok(pg_decode_##name(a, &written, &again)));             \
            const pg_value again_value = param(again);                                 \
            invariant(str_eq(bytes, encode(a, &again_value)));                         \
            const str text = name##_format(a, &value);                                 \
            invariant(name##_parse(a, text, &again));                                  \
            invariant(str_eq(text, name##_format(a, &again)));                         \
        }                                                                              \
        opt_##name##_list list;                                                        \
        if (error_is_ok(pg_decode_opt_##name##_list(a, cell, &list))) {                \
            const pg_value as_value = pg_param(list);                                  \
            const pg_cell written = { as_value.oid, PG_BINARY, encode(a, &as_value) }; \
            opt_##name##_list back;                                                    \
            invariant(error_is_ok(pg_decode_opt_##name##_list(a, &written, &back)));   \
            invariant(back.count == list.count);                                       \
            for (size_t i = 0; i < list.count; i++)                                    \
                invariant(back.items[i].has == list.items[i].has);                     \
        }                                                                              \
    }
READ_AS(pg_int4range, pg_param)
READ_AS(pg_int4multirange, pg_param)
READ_AS(pg_int8range, pg_param)
READ_AS(pg_int8multirange, pg_param)
READ_AS(pg_nummultirange, pg_param)
READ_AS(pg_tsrange, pg_param)
READ_AS(pg_tsmultirange, pg_param)
READ_AS(pg_tstzrange, pg_param)
READ_AS(pg_tstzmultirange, pg_param)
READ_AS(pg_daterange, pg_param)
READ_AS(pg_datemultirange, pg_param)
/* pg_param would want a fiber's arena for a copy. */
#define VIEW_OF_NUMRANGE(range) ((pg_value){ .oid = PG_OID_NUMRANGE, .as.numrange = &(range) })
READ_AS(pg_numrange, VIEW_OF_NUMRANGE)

/* A cell is there, or NULL. */
static void touch(const pg_cell *cell)
{
    opt_text text;
    if (error_is_ok(pg_decode_opt_text(NULL, cell, &text)) && text.has)
        str_hash(text.value, 0);
}

static void read_as_record(arena *a, const pg_cell *cell)
{
    pg_record record;
    pg_record again;
    pg_record_list list;
    if (error_is_ok(pg_decode_pg_record_list(a, cell, &list)) && list.count > 0)
        touch(pg_record_cell(&list.items[list.count - 1], 0));
    if (!error_is_ok(pg_decode_pg_record(a, cell, &record)))
        return;
    for (size_t i = 0; i < record.count; i++)
        touch(pg_record_cell(&record, i));
    if (cell->format == PG_BINARY)
        return;
    const str text = pg_record_format(a, &record);
    const pg_cell written = { cell->oid, PG_TEXT, text };
    invariant(error_is_ok(pg_decode_pg_record(a, &written, &again)));
    invariant(again.count == record.count && str_eq(text, pg_record_format(a, &again)));
}

static void read_as_range(arena *a, const pg_cell *cell)
{
    pg_range range;
    pg_range again;
    if (!error_is_ok(pg_decode_pg_range(a, cell, &range)))
        return;
    touch(&range.lower);
    touch(&range.upper);
    if (cell->format == PG_BINARY)
        return;
    const str text = pg_range_format(a, &range);
    const pg_cell written = { cell->oid, PG_TEXT, text };
    invariant(error_is_ok(pg_decode_pg_range(a, &written, &again)));
    invariant(str_eq(text, pg_range_format(a, &again)));
}

static void read_as_multirange(arena *a, const pg_cell *cell)
{
    pg_multirange ranges;
    pg_multirange again;
    if (!error_is_ok(pg_decode_pg_multirange(a, cell, &ranges)) || cell->format == PG_BINARY)
        return;
    const str text = pg_multirange_format(a, &ranges);
    const pg_cell written = { cell->oid, PG_TEXT, text };
    invariant(error_is_ok(pg_decode_pg_multirange(a, &written, &again)));
    invariant(again.count == ranges.count && str_eq(text, pg_multirange_format(a, &again)));
}

/* Types of extensions: what was read is written as it was, but for their numbers' digits. */
#define READ_TEXT_AS(name)                                    \
    static void read_as_##name(arena *a, const pg_cell *cell) \
    {                                                         \
        name value;                                           \
        name again;                                           \
        if (!error_is_ok(pg_decode_##name(a, cell, &value)))  \
            return;                                           \
        const str text = name##_format(a, &value);            \
        invariant(name##_parse(a, text, &again));             \
        invariant(again.count == value.count);                \
        invariant(str_eq(text, name##_format(a, &again)));    \
    }
READ_TEXT_AS(pg_hstore)
READ_TEXT_AS(pg_vector)
READ_TEXT_AS(pg_sparsevec)

static void (*const READERS[])(arena *a, const pg_cell *cell) = {
    read_as_pg_int4range, read_as_pg_int4multirange,
    read_as_pg_int8range, read_as_pg_int8multirange,
    read_as_pg_numrange,  read_as_pg_nummultirange,
    read_as_pg_tsrange,   read_as_pg_tsmultirange,
    read_as_pg_tstzrange, read_as_pg_tstzmultirange,
    read_as_pg_daterange, read_as_pg_datemultirange,
    read_as_record,       read_as_range,
    read_as_multirange,   read_as_pg_hstore,
    read_as_pg_vector,    read_as_pg_sparsevec,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    const pg_cell cell = {
        .oid = OIDS[data[0] % ARRAY_LEN(OIDS)],
        .format = data[1] & 1 ? PG_BINARY : PG_TEXT,
        .bytes = data[1] & 2 ? STR_NONE : fuzz_text(data + 2, len - 2),
    };
    for (size_t i = 0; i < ARRAY_LEN(READERS); i++) {
        arena a;
        arena_init(&a, ARENA_BYTES);
        READERS[i](&a, &cell);
        arena_deinit(&a);
    }
    return 0;
}
