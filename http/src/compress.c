/* Compression of answers as they leave. The layer itself only says what the client takes, and
 * stands in as the request's filter: it is called when the whole answer is staged and every layer
 * has returned, or when the head of one in pieces is about to leave.
 *
 *   staged    --worth it, smaller--> coded bytes in its place          else as it is
 *   in pieces --worth it--> each piece coded and flushed --end--> the coding's end
 *
 * Bodies over INLINE_BYTES_MAX are coded on an offload thread; pieces over it a part at a time,
 * with everybody's turn in between.
 *
 * Invariant: an answer says Content-Encoding exactly when its bytes are coded, and whatever might
 * have been coded for another client says Vary. */
#include "accept.h"
#include "coded_tag.h"
#include "conditional.h"
#include "encoder.h"
#include "head_fields.h"
#include "layer.h"
#include "mime.h"
#include "prebuilt.h"
#include "scan.h"

#include "core/offload.h"

static ERROR_KIND(HTTP_ENCODING_BROKEN, ERROR_INTERNAL,
                  "The server could not complete the request.");

#define BODY_BYTES_MIN_DEFAULT 1024
#define BODY_BYTES_MAX_DEFAULT ((size_t)16 << 20)
#define PIECES_MAX_DEFAULT     64
#define INLINE_BYTES_MAX       65536
#define FIELD_BYTES            ((size_t)64) /* a line's name, and what is added to its value */

static const struct {
    http_coding coding;
    const http_codec *codec;
    int level_default;
    int level_inline; /* up to here INLINE_BYTES_MAX take 1.5 ms at most */
    int level_max;
} CODINGS[] = {
    { HTTP_CODING_ZSTD, &HTTP_CODEC_ZSTD, 3, 9, 19 },
    { HTTP_CODING_BR, &HTTP_CODEC_BR, 4, 7, 11 },
    { HTTP_CODING_GZIP, &HTTP_CODEC_GZIP, 5, 7, 9 },
};

/* The options, checked and with their defaults. */
typedef struct compress_plan {
    size_t body_bytes_min;
    size_t body_bytes_max;
    uint32_t pieces_max;
    struct {
        int level;
        int level_pieces;        /* in place, whatever the level */
        size_t inline_bytes_max; /* of a staged body */
    } by_coding[HTTP_CODINGS];
    http_coding codings[HTTP_COMPRESS_CODINGS_MAX];
    size_t coding_count;
    str types[HTTP_COMPRESS_TYPES_MAX];
    size_t type_count; /* 0: http_mime_compressible */
} compress_plan;

/* Of a request. */
typedef struct compression {
    const compress_plan *plan;
    http_accepted accepted;
    http_coding coding;    /* what it gets if the answer is worth it */
    str none_match;        /* If-None-Match as it came */
    http_encoder *encoder; /* at work on the answer; NULL: none */
} compression;

/* --- the start -------------------------------------------------------------------------------- */

static error set_level(const char *name, int given, size_t i, compress_plan *plan)
{
    if (given < 0 || given > CODINGS[i].level_max)
        return error_set(&HTTP_LAYER_INVALID, "http_compress: %s %d is not one of 1 to %d", name,
                         given, CODINGS[i].level_max);
    const int level = given ? given : CODINGS[i].level_default, most = CODINGS[i].level_inline;
    plan->by_coding[CODINGS[i].coding].level = level;
    plan->by_coding[CODINGS[i].coding].level_pieces = level < most ? level : most;
    plan->by_coding[CODINGS[i].coding].inline_bytes_max = level <= most ? INLINE_BYTES_MAX : 0;
    return OK;
}

static error add_coding(compress_plan *plan, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(CODINGS); i++) {
        if (!str_eq(http_coding_name(CODINGS[i].coding), str_from_c(name)))
            continue;
        for (size_t k = 0; k < plan->coding_count; k++) {
            if (plan->codings[k] == CODINGS[i].coding)
                return error_set(&HTTP_LAYER_INVALID, "http_compress: coding %s twice", name);
        }
        plan->codings[plan->coding_count++] = CODINGS[i].coding;
        return OK;
    }
    return error_set(&HTTP_LAYER_INVALID, "http_compress: coding \"%s\" is not zstd, br or gzip",
                     name);
}

/* "application/json", "text/" and a star: two tokens, and a star is one. */
static error add_type(compress_plan *plan, const char *type)
{
    str rest = str_from_c(type);
    const str kind = str_cut(&rest, '/');
    if (http_is_token(kind) && rest.ptr && http_is_token(rest)) {
        plan->types[plan->type_count++] = str_from_c(type);
        return OK;
    }
    return error_set(&HTTP_LAYER_INVALID, "http_compress: \"%s\" is no media type", type);
}

error http_compress_prepare(arena *a, const void *given, const void **out)
{
    static const http_compress_options none = { 0 };
    const http_compress_options *o = given ? given : &none;
    compress_plan *plan = ARENA_NEW(a, compress_plan);
    plan->body_bytes_min = o->body_bytes_min ? o->body_bytes_min : BODY_BYTES_MIN_DEFAULT;
    plan->body_bytes_max = o->body_bytes_max ? o->body_bytes_max : BODY_BYTES_MAX_DEFAULT;
    plan->pieces_max = o->pieces_max ? o->pieces_max : PIECES_MAX_DEFAULT;
    if (plan->body_bytes_min > plan->body_bytes_max)
        return error_set(&HTTP_LAYER_INVALID, "http_compress: body_bytes_min over body_bytes_max");
    TRY(set_level("zstd_level", o->zstd_level, 0, plan));
    TRY(set_level("br_level", o->br_level, 1, plan));
    TRY(set_level("gzip_level", o->gzip_level, 2, plan));
    for (size_t i = 0; i < HTTP_COMPRESS_CODINGS_MAX && o->codings[i]; i++)
        TRY(add_coding(plan, o->codings[i]));
    for (size_t i = 0; plan->coding_count < ARRAY_LEN(CODINGS) && !o->codings[0]; i++)
        plan->codings[plan->coding_count++] = CODINGS[i].coding;
    for (size_t i = 0; i < HTTP_COMPRESS_TYPES_MAX && o->types[i]; i++)
        TRY(add_type(plan, o->types[i]));
    *out = plan;
    return OK;
}

/* --- what is worth it ------------------------------------------------------------------------- */

static bool type_is_listed(const compress_plan *plan, str content_type)
{
    const str type = str_trim(str_cut(&content_type, ';'), STR(" \t"));
    if (plan->type_count == 0)
        return http_mime_compressible(type);
    for (size_t i = 0; i < plan->type_count; i++) {
        const str listed = plan->types[i];
        const bool kind = listed.ptr[listed.len - 1] == '*';
        if (kind ? str_eq_nocase(str_slice(type, 0, listed.len - 1),
                                 str_slice(listed, 0, listed.len - 1))
                 : str_eq_nocase(type, listed))
            return true;
    }
    return false;
}

/* Nobody has said that the answer is to leave as it is, and no field is about its very bytes. */
static bool may_be_changed(const http_request *req)
{
    static const str about_bytes[] = {
        { "Content-Encoding", 16 },
        { "Content-Range", 13 },
        { "Content-Digest", 14 }, /* RFC 9530 */
        { "Repr-Digest", 11 },
    };
    const http_route *route = req->match.route;
    if (req->uncompressed || (route && route->uncompressed))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(about_bytes); i++) {
        if (http_reply_header(req, about_bytes[i]).ptr)
            return false;
    }
    return !http_reply_lists(req, STR("Cache-Control"), STR("no-transform"));
}

static bool refuses_identity(const compression *c)
{
    return c->accepted.quality[HTTP_CODING_IDENTITY] == 0;
}

/* Whether an answer of so many bytes, or HTTP_LENGTH_UNKNOWN, is one to be coded for those who take
 * that. To who refuses identity no body is too small. */
static bool is_worth_it(const http_request *req, const compression *c, uint64_t bytes)
{
    const int status = req->status;
    return status >= 200 && status != 204 && status != 206 && status != 304 &&
           bytes >= (refuses_identity(c) ? 1 : c->plan->body_bytes_min) &&
           type_is_listed(c->plan, req->content_type) && may_be_changed(req);
}

/* --- header fields ---------------------------------------------------------------------------- */

static bool have_room(const http_request *req, size_t bytes)
{
    const buf *headers = &req->headers;
    return headers->bytes_max - headers->len >= bytes;
}

/* False, and nothing changed, when there is no room. */
static bool add_vary(http_request *req)
{
    const str name = STR("Vary"), ours = STR("Accept-Encoding");
    const str value = http_reply_list(req, name);
    if (http_reply_lists(req, name, ours) || http_reply_lists(req, name, STR("*")))
        return true;
    const str merged =
        value.len ? str_format(&req->conn->arena, "%.*s, %.*s", STR_ARG(value), STR_ARG(ours))
                  : ours;
    return error_is_ok(http_replace_header(req, name, merged));
}

/* The same, for an answer that is about to be coded. */
static bool say_coded(http_request *req, http_coding coding)
{
    const str tag = http_reply_header(req, STR("ETag"));
    if (!have_room(req, 2 * FIELD_BYTES + tag.len))
        return false;
    error e = http_set_header(req, STR("Content-Encoding"), http_coding_name(coding));
    if (error_is_ok(e) && tag.ptr)
        e = http_replace_header(req, STR("ETag"), http_coded_tag(&req->conn->arena, tag, coding));
    invariant(error_is_ok(e)); /* there is room, and a tag that could be set can be set again */
    return true;
}

/* RFC 9110, 15.4.5: a 304 has the tag that a 200 would have had; whether its body would have been
 * coded nobody knows, but the client has said which one it holds. */
static void name_variant(http_request *req, const compression *c)
{
    const str tag = http_reply_header(req, STR("ETag"));
    if (!c->none_match.ptr || !tag.ptr || http_etags_have(c->none_match, tag, true))
        return;
    for (size_t i = 0; i < c->plan->coding_count; i++) {
        const str coded = http_coded_tag(&req->conn->arena, tag, c->plan->codings[i]);
        if (c->accepted.quality[c->plan->codings[i]] == 0 ||
            !http_etags_have(c->none_match, coded, true) ||
            !have_room(req, coded.len + FIELD_BYTES))
            continue;
        const error e = http_replace_header(req, STR("ETag"), coded);
        invariant(error_is_ok(e));
        return;
    }
}

/* --- whole bodies ----------------------------------------------------------------------------- */

static http_encoder *acquire(http_request *req, const compression *c, uint32_t held_max)
{
    for (size_t i = 0; i < ARRAY_LEN(CODINGS); i++) {
        if (CODINGS[i].coding == c->coding)
            return http_encoder_acquire(&req->conn->server->encoders, CODINGS[i].codec, held_max);
    }
    unreachable();
}

typedef struct whole_body {
    http_encoder *encoder;
    int level;
    http_encode_io io;
    http_encoded result;
} whole_body;

/* On an offload thread, or in place. */
static error encode_whole(void *arg)
{
    whole_body *b = arg;
    b->result = http_encoder_begin(b->encoder, b->level, b->io.in.len)
                    ? http_encoder_step(b->encoder, &b->io)
                    : HTTP_ENCODED_BROKEN;
    return OK;
}

/* What the coded bytes may take: less than the body, unless that is refused. */
static size_t room_for(const compression *c, size_t bytes)
{
    return refuses_identity(c) ? bytes + bytes / 8 + 1024 : bytes - 1;
}

/* The staged body, coded; STR_NONE when it is to leave as it is. */
static YIELDS str encode_staged(http_request *req, compression *c)
{
    const size_t bytes = req->reply.len;
    if (bytes > c->plan->body_bytes_max)
        return STR_NONE;
    char *out = arena_try_alloc(&req->conn->arena, room_for(c, bytes), 1);
    c->encoder = out ? acquire(req, c, 0) : NULL;
    if (!c->encoder)
        return STR_NONE;
    whole_body b = { .encoder = c->encoder,
                     .level = c->plan->by_coding[c->coding].level,
                     .io = { req->reply, out, room_for(c, bytes), true } };
    const bool in_place = bytes <= c->plan->by_coding[c->coding].inline_bytes_max;
    const error e = in_place ? encode_whole(&b) : offload(encode_whole, &b);
    http_encoder_release(&c->encoder);
    if (e.kind) {
        log_debug("not compressed", LOG_ERR(e));
        return STR_NONE;
    }
    return b.result == HTTP_ENCODED_ALL ? str_between(out, b.io.out) : STR_NONE;
}

static YIELDS void compress_staged(http_request *req)
{
    compression *c = req->filter_state;
    if (req->status == 304 && may_be_changed(req)) {
        (void)add_vary(req);
        name_variant(req, c);
    }
    if (!is_worth_it(req, c, req->reply.len) || http_constant_melt(req).kind || !add_vary(req) ||
        c->coding == HTTP_CODING_IDENTITY)
        return;
    const str coded = encode_staged(req, c);
    if (coded.ptr && say_coded(req, c->coding))
        req->reply = coded;
}

/* --- pieces ----------------------------------------------------------------------------------- */

static void compress_start(http_request *req)
{
    compression *c = req->filter_state;
    if (!is_worth_it(req, c, req->length) || !add_vary(req) || c->coding == HTTP_CODING_IDENTITY)
        return;
    c->encoder = acquire(req, c, c->plan->pieces_max);
    if (!c->encoder)
        return;
    if (http_encoder_begin(c->encoder, c->plan->by_coding[c->coding].level_pieces,
                           HTTP_ENCODE_PIECES) &&
        say_coded(req, c->coding))
        req->filtered = true;
    else
        http_encoder_release(&c->encoder);
}

/* `in` is at most INLINE_BYTES_MAX. */
static YIELDS error encode_part(http_request *req, http_encoder *e, str in, bool ends)
{
    http_encode_io io = { .in = in, .ends = ends };
    http_encoded result;
    do {
        io.out = e->piece;
        io.room = sizeof e->piece;
        result = http_encoder_step(e, &io);
        if (result == HTTP_ENCODED_BROKEN)
            return error_set(&HTTP_ENCODING_BROKEN, "in the middle of a response");
        if (io.out > e->piece)
            TRY(http_reply_send(req, str_between(e->piece, io.out)));
    } while (result == HTTP_ENCODED_FULL);
    return OK;
}

static YIELDS error compress_write(http_request *req, str bytes)
{
    const compression *c = req->filter_state;
    for (size_t at = 0; at < bytes.len; at += INLINE_BYTES_MAX) {
        if (at > 0)
            TRY(fiber_yield());
        TRY(encode_part(req, c->encoder, str_slice(bytes, at, INLINE_BYTES_MAX), false));
    }
    return OK;
}

static YIELDS error compress_finish(http_request *req)
{
    const compression *c = req->filter_state;
    return encode_part(req, c->encoder, STR(""), true);
}

static void compress_release(http_request *req)
{
    compression *c = req->filter_state;
    http_encoder_release(&c->encoder);
}

/* --- the layer -------------------------------------------------------------------------------- */

static const http_filter FILTER = {
    .staged = compress_staged,
    .start = compress_start,
    .write = compress_write,
    .finish = compress_finish,
    .release = compress_release,
};

/* Handlers and layers see tags as they set them. Of a coding that the client does not take now a
 * tag stays: it is not what it would get, and a 304 would make a cache hand out what it holds. */
static void undo_tags(http_request *req, const compression *c)
{
    uint32_t taken = 0;
    for (http_coding i = HTTP_CODING_BR; i < HTTP_CODING_IDENTITY; i++)
        taken |= (uint32_t)(c->accepted.quality[i] > 0) << i;
    http_fields *fields = &req->head.fields;
    for (uint32_t i = 0; i < fields->count; i++) {
        http_field *f = &fields->items[i];
        if (str_eq_nocase(f->name, STR("If-None-Match")))
            f->value = http_coded_tags_undo(&req->conn->arena, f->value, taken);
        else if (str_eq_nocase(f->name, STR("If-Match")))
            f->value = http_coded_tags_undo(&req->conn->arena, f->value, UINT32_MAX);
    }
}

error http_compress(http_request *req, const http_next *next)
{
    arena *a = &req->conn->arena;
    const compress_plan *plan = next->options;
    compression *c = req->filter ? req->filter_state : ARENA_NEW(a, compression);
    if (!req->filter) {
        c->none_match = http_head_list(a, &req->head, STR("If-None-Match"));
        c->accepted = http_accept_encoding(http_head_list(a, &req->head, STR("Accept-Encoding")));
        undo_tags(req, c);
    }
    c->plan = plan;
    c->coding = http_accept_first(&c->accepted, plan->codings, plan->coding_count);
    req->filter = &FILTER;
    req->filter_state = c;
    return http_proceed(req, next);
}
