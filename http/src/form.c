/* Pairs of names and values, as forms send them and queries hold them, into the struct of a shape:
 * the same checks and the same answer as for JSON, every fault by its field's name.
 *
 * A field that is a list takes every pair of its name; any other takes one. */
#include "conn.h"

#include <string.h>

static ERROR_KIND(HTTP_PAIRS_INVALID, ERROR_INVALID, "The fields are invalid.");
ERROR_KIND(HTTP_FORM_EXPECTED, ERROR_INVALID,
           "The body must be of type application/x-www-form-urlencoded.");

#define FIELDS_MAX 128 /* of one shape */
#define FAULTS_MAX 64
#define PAIRS_MAX  1000
#define NAME_SHOWN 64 /* bytes of an unknown name that are told */

typedef struct binder {
    arena *arena;
    const shape *shape;
    char *out;
    bool seen[FIELDS_MAX];
    error_field *faults;
    size_t fault_count;
} binder;

/* The layout that all X_list share. */
typedef struct __attribute__((may_alias)) list_member {
    char *items;
    size_t count;
} list_member;

static void add_fault(binder *b, str path, const char *code, str message)
{
    if (b->fault_count == FAULTS_MAX)
        return;
    if (!b->faults)
        b->faults = ARENA_NEW_ARRAY(b->arena, error_field, FAULTS_MAX);
    b->faults[b->fault_count++] = (error_field){ path, str_from_c(code), message };
}

static void add_item(binder *b, const shape_field *field, str value)
{
    const shape_type item_type = { .kind = field->type->kind,
                                   .arity = SHAPE_ONE,
                                   .bytes = field->type->value_bytes,
                                   .value_bytes = field->type->value_bytes };
    const shape_field item = { .name = field->name, .type = &item_type };
    list_member *member = (list_member *)(void *)(b->out + field->offset);
    const size_t bytes = item_type.bytes, count = member->count;
    if ((count & (count - 1)) == 0) /* it is full at each power of two, and doubles */
        member->items =
            arena_grow(b->arena, member->items, count * bytes, (count ? 2 * count : 1) * bytes, 16);
    str message;
    const char *code =
        shape_parse_text(b->arena, &item, value, member->items + member->count * bytes, &message);
    member->count++;
    if (code)
        add_fault(b, field->name, code, message);
}

static void bind_pair(binder *b, str name, str value)
{
    for (uint32_t i = 0; i < b->shape->field_count; i++) {
        const shape_field *field = &b->shape->fields[i];
        str message;
        if (!str_eq(field->name, name) || field->hidden)
            continue;
        const bool again = b->seen[i];
        b->seen[i] = true;
        if (field->read_only || field->generated) {
            add_fault(b, field->name, "read_only", STR("cannot be set"));
        } else if (field->type->arity == SHAPE_LIST) {
            add_item(b, field, value);
        } else if (again) {
            add_fault(b, field->name, "duplicate", STR("stands twice"));
        } else {
            const char *code =
                shape_parse_text(b->arena, field, value, b->out + field->offset, &message);
            if (code)
                add_fault(b, field->name, code, message);
        }
        return;
    }
    size_t shown = name.len < NAME_SHOWN ? name.len : NAME_SHOWN;
    while (shown > 0 && shown < name.len && ((unsigned char)name.ptr[shown] & 0xC0) == 0x80)
        shown--;
    add_fault(b, str_slice(name, 0, shown), "unknown_field", STR("is not known"));
}

static void check_list_len(binder *b, const shape_field *field)
{
    const list_member *member = (const list_member *)(const void *)(b->out + field->offset);
    if (member->count < field->min_len)
        add_fault(b, field->name, "too_short",
                  str_format(b->arena, "must have at least %u items", field->min_len));
    else if (field->max_len && member->count > field->max_len)
        add_fault(b, field->name, "too_long",
                  str_format(b->arena, "must have at most %u items", field->max_len));
}

static void check_missing(binder *b)
{
    for (uint32_t i = 0; i < b->shape->field_count; i++) {
        const shape_field *field = &b->shape->fields[i];
        if (field->hidden || field->read_only || field->generated)
            continue;
        if (field->type->arity == SHAPE_LIST)
            check_list_len(b, field);
        else if (!b->seen[i] && field->type->arity != SHAPE_OPTIONAL && !field->optional)
            add_fault(b, field->name, "required", STR("is required"));
    }
}

error http_pairs_bind(arena *a, str text, const shape *of, void *out)
{
    binder b = { .arena = a, .shape = of, .out = out };
    invariant(of->field_count <= FIELDS_MAX);
    memset(out, 0, of->bytes);
    for (size_t pairs = 0; text.len > 0; pairs++) {
        if (pairs == PAIRS_MAX)
            return error_set(&HTTP_BAD_REQUEST, "more than %d pairs", PAIRS_MAX);
        str value = str_cut(&text, '&');
        str name = str_cut(&value, '=');
        if (name.len == 0 && !value.ptr)
            continue; /* "a=1&&b=2" */
        if (!value.ptr)
            value = STR("");
        if (!http_percent_decode(a, name, true, &name) ||
            !http_percent_decode(a, value, true, &value))
            return error_set(&HTTP_BAD_REQUEST, "a pair that cannot be decoded");
        bind_pair(&b, name, value);
    }
    check_missing(&b);
    return b.fault_count == 0 ? OK : error_set_fields(&HTTP_PAIRS_INVALID, b.faults, b.fault_count);
}

error http_form_shape(http_request *req, shape_fn *of, void *out)
{
    str type = http_header(req, STR("content-type")), text;
    invariant(req->match.route &&
              req->match.route->body == of); /* the route declares what it reads */
    if (!str_eq_nocase(str_trim(str_cut(&type, ';'), STR(" \t")),
                       STR("application/x-www-form-urlencoded")))
        return error_set(&HTTP_FORM_EXPECTED, "another content type");
    TRY(http_body_bytes(req, &text));
    return http_pairs_bind(&req->conn->arena, text, of(), out);
}

error http_query_shape(http_request *req, shape_fn *of, void *out)
{
    const str query = req->target.query.ptr ? req->target.query : STR("");
    return http_pairs_bind(&req->conn->arena, query, of(), out);
}
