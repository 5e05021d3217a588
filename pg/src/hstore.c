/* hstore's text: pairs between quotes, with a backslash before a quote or backslash in them.
 * Nothing else is read than what the server writes. */
#include "decoder.h"
#include "quoted.h"

#include "core/buf.h"
#include "core/fiber.h"

static bool take(str *rest, str what)
{
    if (!str_starts_with(*rest, what))
        return false;
    *rest = str_slice(*rest, what.len, rest->len);
    return true;
}

/* Takes what stands between quotes. */
static bool take_quoted(arena *a, str *rest, str *out)
{
    bool escaped;
    if (!pg_quoted_take_item(rest, out, &escaped))
        return false;
    if (!escaped)
        return true;
    invariant(a != NULL);
    char *text = arena_try_alloc(a, out->len, 1);
    if (text)
        *out = (str){ text, pg_quoted_plain(*out, text) };
    return text != NULL;
}

static bool take_pair(arena *a, str *rest, pg_hstore_pair *out)
{
    if (!take_quoted(a, rest, &out->key) || !take(rest, STR("=>")))
        return false;
    out->value = STR_NONE;
    return take(rest, STR("NULL")) || take_quoted(a, rest, &out->value);
}

/* At most as many pairs as there are arrows. */
static size_t count_arrows(str text)
{
    size_t count = 0;
    for (size_t i = 1; i < text.len; i++)
        count += text.ptr[i - 1] == '=' && text.ptr[i] == '>';
    return count;
}

bool pg_hstore_parse(arena *a, str text, pg_hstore *out)
{
    const size_t most = count_arrows(text);
    pg_hstore_pair *pairs = NULL;
    invariant(a != NULL || most == 0);
    if (most > 0)
        pairs = arena_try_alloc(a, most * sizeof *pairs, _Alignof(pg_hstore_pair));
    if (most > 0 && !pairs)
        return false;
    size_t count = 0;
    str rest = text;
    while (rest.len > 0) {
        if (count == most || (count > 0 && !take(&rest, STR(", "))) ||
            !take_pair(a, &rest, &pairs[count]))
            return false;
        count++;
    }
    *out = (pg_hstore){ pairs, count };
    return true;
}

static void put_quoted(buf *out, str text)
{
    buf_append_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            buf_append_char(out, '\\');
        buf_append_char(out, text.ptr[i]);
    }
    buf_append_char(out, '"');
}

str pg_hstore_format(arena *a, const pg_hstore *hstore)
{
    buf out;
    buf_init_arena(&out, a, SIZE_MAX / 2);
    for (size_t i = 0; i < hstore->count; i++) {
        const pg_hstore_pair *pair = &hstore->items[i];
        if (i > 0)
            buf_append(&out, STR(", "));
        put_quoted(&out, pair->key);
        buf_append(&out, STR("=>"));
        if (pair->value.ptr)
            put_quoted(&out, pair->value);
        else
            buf_append(&out, STR("NULL"));
    }
    return buf_str(&out);
}

const pg_hstore_pair *pg_hstore_find(const pg_hstore *hstore, str key)
{
    for (size_t i = 0; i < hstore->count; i++) {
        if (str_eq(hstore->items[i].key, key))
            return &hstore->items[i];
    }
    return NULL;
}

static bool read_pg_hstore(arena *a, const pg_cell *cell, void *out)
{
    return pg_cell_is_foreign(cell) && pg_hstore_parse(a, cell->bytes, out);
}
PG_DECODERS(pg_hstore, pg_hstore, 0)
PG_LITERAL_PARAMS(pg_hstore)
