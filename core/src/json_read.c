/* JSON straight into structs. One pass; a value is stored where it belongs, checked against its
 * field's attributes, and every fault is collected with its path. A wrong value is skipped (and
 * still checked to be JSON), so that one answer names all that is wrong.
 *
 * A path is a chain of nodes on the C stack, made into text only when there is a fault to report.
 */
#include "json_cursor.h"
#include "shape_check.h"
#include "shape_layout.h"

#include "core/json.h"

#include <string.h>

#define FIELDS_MAX     128 /* of one shape: as many bits say which were seen */
#define NAME_BYTES_MAX 64  /* of a member in a path: a client's are as long as it likes */
#define PATH_BYTES_MAX ((size_t)(JSON_DEPTH_MAX + 1) * (NAME_BYTES_MAX + 4))

ERROR_KIND(JSON_INVALID, ERROR_INVALID, "The body has invalid fields.");

typedef struct path {
    const struct path *outer; /* NULL: the whole body */
    str name;                 /* of a member; STR_NONE: an element */
    size_t index;
} path;

typedef struct reader {
    json_cursor c;
    error_field *faults;
    size_t fault_count;
    bool foreign; /* what another program wrote, not input to us */
} reader;

static bool read_member(reader *r, uint32_t depth, const path *at, const shape_field *field,
                        char *member);

/* --- faults ---------------------------------------------------------------------------------- */

static void append_name(buf *out, str name)
{
    if (out->len > 0)
        buf_append_char(out, '.');
    if (name.len <= NAME_BYTES_MAX) {
        buf_append(out, name);
        return;
    }
    size_t len = NAME_BYTES_MAX;
    while (((unsigned char)name.ptr[len] & 0xC0) == 0x80)
        len--; /* not within a character */
    buf_append(out, str_slice(name, 0, len));
    buf_append(out, STR("\xE2\x80\xA6"));
}

static void append_path(buf *out, const path *innermost)
{
    const path *nodes[JSON_DEPTH_MAX + 1];
    size_t count = 0;
    for (const path *p = innermost; p; p = p->outer) {
        invariant(count < ARRAY_LEN(nodes));
        nodes[count++] = p;
    }
    while (count-- > 0) {
        if (nodes[count]->name.ptr) {
            append_name(out, nodes[count]->name);
            continue;
        }
        buf_append_char(out, '[');
        buf_append_uint64(out, nodes[count]->index);
        buf_append_char(out, ']');
    }
}

static void add_fault(reader *r, const path *at, const char *code, str message)
{
    if (r->fault_count == JSON_FIELDS_MAX)
        return;
    if (!r->faults)
        r->faults = ARENA_NEW_ARRAY(r->c.arena, error_field, JSON_FIELDS_MAX);
    buf text;
    buf_init_arena(&text, r->c.arena, PATH_BYTES_MAX);
    append_path(&text, at);
    r->faults[r->fault_count++] = (error_field){ buf_str(&text), str_from_c(code), message };
}

/* Reports, skips the value at the cursor. False only when the text is malformed. */
static bool refuse(reader *r, uint32_t depth, const path *at, const char *code, str message)
{
    add_fault(r, at, code, message);
    return json_cursor_skip(&r->c, depth, NULL);
}

/* --- scalars --------------------------------------------------------------------------------- */

static str expected(const shape_type *type)
{
    switch (type->kind) {
    case SHAPE_BOOL:
        return STR("must be true or false");
    case SHAPE_INT2:
    case SHAPE_INT4:
    case SHAPE_INT8:
        return STR("must be an integer");
    case SHAPE_FLOAT8:
        return STR("must be a number");
    case SHAPE_TEXT:
    case SHAPE_BYTEA:
    case SHAPE_TIMESTAMPTZ:
    case SHAPE_UUID:
        return STR("must be a string");
    case SHAPE_STRUCT:
        return STR("must be an object");
    case SHAPE_JSONB:
        return STR("must be a value");
    }
    unreachable();
}

/* Whether a value that begins with `first` can be of the kind. */
static bool may_begin(shape_kind kind, char first)
{
    const bool number = first == '-' || (first >= '0' && first <= '9');
    switch (kind) {
    case SHAPE_BOOL:
        return first == 't' || first == 'f';
    case SHAPE_INT2:
    case SHAPE_INT4:
    case SHAPE_INT8:
    case SHAPE_FLOAT8:
        return number;
    case SHAPE_TEXT:
    case SHAPE_BYTEA:
    case SHAPE_TIMESTAMPTZ:
    case SHAPE_UUID:
        return first == '"';
    case SHAPE_STRUCT:
        return first == '{';
    case SHAPE_JSONB:
        return true;
    }
    unreachable();
}

static bool store_number(reader *r, const path *at, const shape_field *field, void *to)
{
    str text;
    bool integer;
    if (!json_cursor_number(&r->c, &text, &integer))
        return false;
    shape_fault fault;
    if (field->type->kind == SHAPE_FLOAT8) {
        double *number = to;
        if (float8_parse(text, number))
            fault = shape_check_double(r->c.arena, field, *number);
        else
            fault = (shape_fault){ "out_of_range", STR("is too large for a double") };
    } else if (!integer) {
        fault = (shape_fault){ "wrong_type", expected(field->type) };
    } else {
        int64_t value;
        if (str_to_int64(text, &value))
            fault = shape_store_int(r->c.arena, field, value, to);
        else
            fault = (shape_fault){ "out_of_range", STR("is out of the range of 64 bits") };
    }
    if (fault.code)
        add_fault(r, at, fault.code, fault.message);
    return true;
}

static bool store_string(reader *r, const path *at, const shape_field *field, void *to)
{
    str text;
    if (!json_cursor_string(&r->c, &text))
        return false;
    shape_fault fault;
    if (field->type->kind == SHAPE_TEXT) {
        *(str *)to = text;
        fault = shape_check_text(r->c.arena, field, text);
    } else {
        fault = shape_store_text_form(r->c.arena, field, text, to);
    }
    if (fault.code)
        add_fault(r, at, fault.code, fault.message);
    return true;
}

/* --- structs and lists ----------------------------------------------------------------------- */

/* Which fields of one object were seen. */
typedef struct seen_set {
    uint64_t bits[FIELDS_MAX / 64];
    uint32_t next; /* the field behind the last one found: most objects keep the shape's order */
} seen_set;

static const shape_field *find_field(const shape *of, str name, seen_set *seen, uint32_t *index)
{
    for (uint32_t i = 0; i < of->field_count; i++) {
        const uint32_t at = seen->next < of->field_count ? seen->next : 0;
        seen->next = at + 1;
        if (str_eq(of->fields[at].name, name)) {
            *index = at;
            return &of->fields[at];
        }
    }
    return NULL;
}

static bool see(seen_set *seen, uint32_t index)
{
    const uint64_t bit = (uint64_t)1 << (index % 64);
    const bool before = seen->bits[index / 64] & bit;
    seen->bits[index / 64] |= bit;
    return before;
}

static bool has_seen(const seen_set *seen, uint32_t index)
{
    return seen->bits[index / 64] >> (index % 64) & 1;
}

/* One "name": value of an object. */
/* NOLINTNEXTLINE(misc-no-recursion): `depth` bounds it */
static bool read_pair(reader *r, uint32_t depth, const path *at, const shape *of, char *out,
                      seen_set *seen)
{
    path here = { .outer = at };
    if (!json_cursor_string(&r->c, &here.name))
        return false;
    if (!json_cursor_take(&r->c, ':'))
        return json_cursor_fail(&r->c, "':' is missing");
    uint32_t index;
    const shape_field *field = find_field(of, here.name, seen, &index);
    if (!field || field->hidden)
        return r->foreign ? json_cursor_skip(&r->c, depth, NULL)
                          : refuse(r, depth, &here, "unknown_field", STR("is not known"));
    if (see(seen, index))
        return refuse(r, depth, &here, "duplicate", STR("stands twice"));
    if ((field->read_only || field->generated) && !r->foreign)
        return refuse(r, depth, &here, "read_only", STR("cannot be set"));
    return read_member(r, depth, &here, field, out + field->offset);
}

static bool must_be_given(const reader *r, const shape_field *f)
{
    return f->type->arity != SHAPE_OPTIONAL && !f->optional && !f->hidden &&
           (r->foreign || (!f->read_only && !f->generated));
}

/* NOLINTNEXTLINE(misc-no-recursion): `depth` bounds it */
static bool read_struct(reader *r, uint32_t depth, const path *at, const shape *of, char *out)
{
    invariant(of->field_count <= FIELDS_MAX);
    if (depth >= JSON_DEPTH_MAX)
        return json_cursor_fail(&r->c, "nested too deeply");
    seen_set seen = { 0 };
    r->c.at++;
    if (!json_cursor_take(&r->c, '}')) {
        do {
            if (!read_pair(r, depth + 1, at, of, out, &seen))
                return false;
        } while (json_cursor_take(&r->c, ','));
        if (!json_cursor_take(&r->c, '}'))
            return json_cursor_fail(&r->c, "',' or '}' is missing");
    }
    for (uint32_t i = 0; i < of->field_count; i++) {
        const path missing = { .outer = at, .name = of->fields[i].name };
        if (must_be_given(r, &of->fields[i]) && !has_seen(&seen, i))
            add_fault(r, &missing, "required", STR("is required"));
    }
    return true;
}

/* One X at the cursor. */
/* NOLINTNEXTLINE(misc-no-recursion): `depth` bounds it */
static bool read_value(reader *r, uint32_t depth, const path *at, const shape_field *field,
                       char *to)
{
    const shape_type *type = field->type;
    const char first = json_cursor_peek(&r->c);
    if (first == 'n' && type->kind != SHAPE_JSONB)
        return refuse(r, depth, at, "null", STR("must not be null"));
    if (!may_begin(type->kind, first))
        return refuse(r, depth, at, "wrong_type", expected(type));
    switch (type->kind) {
    case SHAPE_BOOL:
        *(bool *)to = first == 't';
        return json_cursor_literal(&r->c, first == 't' ? STR("true") : STR("false"));
    case SHAPE_INT2:
    case SHAPE_INT4:
    case SHAPE_INT8:
    case SHAPE_FLOAT8:
        return store_number(r, at, field, to);
    case SHAPE_TEXT:
    case SHAPE_BYTEA:
    case SHAPE_TIMESTAMPTZ:
    case SHAPE_UUID:
        return store_string(r, at, field, to);
    case SHAPE_JSONB:
        return json_cursor_skip(&r->c, depth, &((jsonb *)(void *)to)->text);
    case SHAPE_STRUCT:
        return read_struct(r, depth, at, type->nested(), to);
    }
    unreachable();
}

/* Room for one item more, zeroed. Once there is a fault nobody will see the items, so all share the
 * first one's place: a body of wrong items takes no more than itself. */
static char *add_item(reader *r, any_list *list, size_t bytes)
{
    const size_t count = list->count++;
    if (r->fault_count > 0 && list->items)
        return memset(list->items, 0, bytes);
    list->items = json_cursor_room(&r->c, list->items, count, bytes);
    return memset(list->items + count * bytes, 0, bytes);
}

/* One element, which is only counted when there are too many already. */
/* NOLINTNEXTLINE(misc-no-recursion): `depth` bounds it */
static bool read_item(reader *r, uint32_t depth, const path *at, const shape_field *item,
                      uint32_t count_max, any_list *list)
{
    const path here = { .outer = at, .index = list->count };
    if (count_max && list->count >= count_max) {
        list->count++;
        return json_cursor_skip(&r->c, depth, NULL);
    }
    return read_value(r, depth, &here, item, add_item(r, list, item->type->value_bytes));
}

/* NOLINTNEXTLINE(misc-no-recursion): `depth` bounds it */
static bool read_list(reader *r, uint32_t depth, const path *at, const shape_field *field,
                      any_list *list)
{
    const char first = json_cursor_peek(&r->c);
    if (first == 'n')
        return refuse(r, depth, at, "null", STR("must not be null"));
    if (first != '[')
        return refuse(r, depth, at, "wrong_type", STR("must be an array"));
    if (depth >= JSON_DEPTH_MAX)
        return json_cursor_fail(&r->c, "nested too deeply");
    /* An element is checked by the item's kind only: the attributes speak of the list. */
    const shape_field item = { .name = field->name, .type = field->type };
    *list = (any_list){ 0 };
    r->c.at++;
    if (!json_cursor_take(&r->c, ']')) {
        do {
            if (!read_item(r, depth + 1, at, &item, field->max_len, list))
                return false;
        } while (json_cursor_take(&r->c, ','));
        if (!json_cursor_take(&r->c, ']'))
            return json_cursor_fail(&r->c, "',' or ']' is missing");
    }
    const shape_fault fault = shape_check_len(r->c.arena, field, list->count, "item");
    if (fault.code)
        add_fault(r, at, fault.code, fault.message);
    return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): `depth` bounds it */
static bool read_member(reader *r, uint32_t depth, const path *at, const shape_field *field,
                        char *member)
{
    any_optional *optional = (any_optional *)(void *)member;
    switch (field->type->arity) {
    case SHAPE_ONE:
        return read_value(r, depth, at, field, member);
    case SHAPE_LIST:
        return read_list(r, depth, at, field, (any_list *)(void *)member);
    case SHAPE_OPTIONAL:
        if (json_cursor_peek(&r->c) == 'n' && (field->nullable || r->foreign)) {
            *optional = (any_optional){ .is_null = field->nullable };
            return json_cursor_literal(&r->c, STR("null"));
        }
        *optional = (any_optional){ .has = true };
        return read_value(r, depth, at, field, member + field->type->value_offset);
    }
    unreachable();
}

static error parse_shape(arena *a, str text, const shape *of, void *out, bool foreign)
{
    reader r = { .foreign = foreign };
    json_cursor_init(&r.c, a, text);
    bool good;
    if (json_cursor_peek(&r.c) == '{')
        good = read_struct(&r, 0, NULL, of, out);
    else
        good = refuse(&r, 0, NULL, "wrong_type", STR("must be an object"));
    if (!good || !json_cursor_finish(&r.c))
        return json_cursor_error(&r.c);
    if (r.fault_count > 0)
        return error_set_fields(&JSON_INVALID, r.faults, r.fault_count);
    return OK;
}

error json_parse_shape(arena *a, str text, const shape *of, void *out)
{
    return parse_shape(a, text, of, out, false);
}

error json_parse_shape_foreign(arena *a, str text, const shape *of, void *out)
{
    return parse_shape(a, text, of, out, true);
}
