/* Rows of bits: views of the server's bytes, or packed from its text. Bits behind the last are zero
 * in what is sent, whatever the caller's are, and must be in what is received. */
#include "bits.h"

#include "decoder.h"
#include "reader.h"

static size_t bytes_of(size_t count)
{
    return count / 8 + (count % 8 > 0);
}

bool pg_bits_at(const pg_bits *bits, size_t index)
{
    invariant(index < bits->count);
    return bits->bytes[index / 8] >> (7 - index % 8) & 1;
}

str pg_bits_format(arena *a, const pg_bits *bits)
{
    char *text = arena_alloc(a, bits->count + 1, 1);
    for (size_t i = 0; i < bits->count; i++)
        text[i] = pg_bits_at(bits, i) ? '1' : '0';
    return (str){ text, bits->count };
}

bool pg_bits_parse(arena *a, str text, pg_bits *out)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '0' && text.ptr[i] != '1')
            return false;
    }
    uint8_t *bytes = arena_try_alloc(a, bytes_of(text.len) + 1, 1);
    if (!bytes)
        return false;
    memset(bytes, 0, bytes_of(text.len) + 1);
    for (size_t i = 0; i < text.len; i++)
        bytes[i / 8] = (uint8_t)(bytes[i / 8] | (text.ptr[i] == '1') << (7 - i % 8));
    *out = (pg_bits){ bytes, text.len };
    return true;
}

static bool read_binary(str bytes, pg_bits *out)
{
    pg_reader r = pg_reader_of(bytes);
    const uint32_t count = pg_reader_u32(&r);
    const str rest = pg_reader_rest(&r);
    if (r.failed || rest.len != bytes_of(count))
        return false;
    if (count % 8 > 0 && (unsigned char)rest.ptr[rest.len - 1] & (0xFF >> count % 8))
        return false;
    *out = (pg_bits){ (const uint8_t *)rest.ptr, count };
    return true;
}

size_t pg_bits_size(const pg_bits *bits)
{
    return 4 + bytes_of(bits->count);
}

char *pg_bits_put(const pg_bits *bits, char *at)
{
    at = pg_put32(at, (uint32_t)bits->count);
    char *end = pg_put_bytes(at, bits->bytes, bytes_of(bits->count));
    if (bits->count % 8 > 0)
        end[-1] = (char)(end[-1] & ~(0xFF >> bits->count % 8));
    return end;
}

static bool read_pg_bits(arena *a, const pg_cell *cell, void *out)
{
    if (cell->oid != PG_OID_BIT && cell->oid != PG_OID_VARBIT)
        return false;
    return cell->format == PG_TEXT ? pg_bits_parse(a, cell->bytes, out)
                                   : read_binary(cell->bytes, out);
}

PG_DECODERS(pg_bits, pg_bits, PG_OID_VARBIT, PG_OID_BIT)
