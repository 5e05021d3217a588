/* Queries of the full text search, in the server's text and bytes.
 *
 * A query is a tree, kept as its tokens with operators behind their operands. The server's binary
 * form has an operator before its operands, the right one first: just those tokens from the end.
 * Its text has operators between them, and parentheses where they are needed. Nothing here calls
 * itself, so no depth has to be limited: what is still to be written, and operators that wait for
 * their right operand, stand on a stack in the arena.
 *
 * Invariant: a query that was read has all operands of its operators, and nothing beside one tree.
 */
#include "decoder.h"
#include "reader.h"
#include "textsearch.h"

#define WIRE_WORD     1
#define WIRE_OPERATOR 2

static int operand_count(pg_tsquery_kind kind)
{
    switch (kind) {
    case PG_TSQUERY_WORD:
        return 0;
    case PG_TSQUERY_NOT:
        return 1;
    case PG_TSQUERY_AND:
    case PG_TSQUERY_OR:
    case PG_TSQUERY_PHRASE:
        return 2;
    }
    unreachable();
}

static int priority_of(pg_tsquery_kind kind)
{
    static const int PRIORITIES[] = { 5, 4, 2, 1, 3 };
    return PRIORITIES[kind];
}

/* Whether the tokens are none, or one tree. */
static bool is_query(const pg_tsquery_token *tokens, size_t count)
{
    size_t trees = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t operands = (size_t)operand_count(tokens[i].kind);
        if (trees < operands)
            return false;
        trees = trees - operands + 1;
    }
    return trees == (count > 0);
}

/* --- writing text ----------------------------------------------------------------------------- */

/* What is still to be written: a token with all below it, or a closing parenthesis, or an operator
 * alone. */
typedef struct part {
    enum {
        PART_TREE,
        PART_OPERATOR,
        PART_CLOSE
    } what;
    uint32_t token;
    int parent_priority;
    bool right_of_phrase;
} part;

typedef struct writer {
    buf text;
    const pg_tsquery_token *tokens;
    uint32_t *starts; /* of each token: the first one of its tree */
    part *parts;
    size_t count;
} writer;

static void push(writer *w, part p)
{
    w->parts[w->count++] = p;
}

static void put_word_token(buf *b, const pg_tsquery_token *token)
{
    pg_put_word(b, token->word);
    if (token->prefix || token->weights)
        buf_append_char(b, ':');
    if (token->prefix)
        buf_append_char(b, '*');
    for (int i = 0; i < 4; i++) {
        if (token->weights & (PG_TSQUERY_WEIGHT_A >> i))
            buf_append_char(b, (char)('A' + i));
    }
}

static void put_operator(buf *b, const pg_tsquery_token *token)
{
    if (token->kind == PG_TSQUERY_AND)
        buf_append(b, STR(" & "));
    else if (token->kind == PG_TSQUERY_OR)
        buf_append(b, STR(" | "));
    else if (token->distance == 1)
        buf_append(b, STR(" <-> "));
    else
        buf_append_format(b, " <%u> ", (unsigned)token->distance);
}

/* Writes a word, or what stands before an operator's first operand, and pushes the rest. */
static void put_tree(writer *w, const part *p)
{
    const pg_tsquery_token *token = &w->tokens[p->token];
    if (token->kind == PG_TSQUERY_WORD) {
        put_word_token(&w->text, token);
        return;
    }
    const bool phrase = token->kind == PG_TSQUERY_PHRASE;
    const int priority = priority_of(token->kind);
    if (priority < p->parent_priority || (phrase && p->right_of_phrase)) {
        buf_append(&w->text, STR("( "));
        push(w, (part){ .what = PART_CLOSE });
    }
    const uint32_t right = p->token - 1;
    if (token->kind == PG_TSQUERY_NOT) {
        buf_append_char(&w->text, '!');
        push(w, (part){ PART_TREE, right, priority, false });
        return;
    }
    push(w, (part){ PART_TREE, right, priority, phrase });
    push(w, (part){ .what = PART_OPERATOR, .token = p->token });
    push(w, (part){ PART_TREE, w->starts[right] - 1, priority, false });
}

static void find_starts(const pg_tsquery *query, uint32_t *starts)
{
    for (uint32_t i = 0; i < query->count; i++) {
        const int operands = operand_count(query->tokens[i].kind);
        starts[i] = operands == 0 ? i : starts[i - 1];
        if (operands == 2)
            starts[i] = starts[starts[i - 1] - 1];
    }
}

str pg_tsquery_format(arena *a, const pg_tsquery *query)
{
    invariant(query->count < UINT32_MAX / 4 && is_query(query->tokens, query->count));
    if (query->count == 0)
        return STR("");
    size_t bytes = 1;
    for (size_t i = 0; i < query->count; i++)
        bytes += 2 * query->tokens[i].word.len + 16;
    writer w = { .tokens = query->tokens };
    buf_init_arena(&w.text, a, bytes);
    w.starts = arena_alloc(a, query->count * sizeof *w.starts, _Alignof(uint32_t));
    w.parts = arena_alloc(a, (query->count * 3 + 1) * sizeof *w.parts, _Alignof(part));
    find_starts(query, w.starts);
    push(&w, (part){ PART_TREE, (uint32_t)query->count - 1, 0, false });
    while (w.count > 0) {
        const part p = w.parts[--w.count];
        switch (p.what) {
        case PART_TREE:
            put_tree(&w, &p);
            break;
        case PART_OPERATOR:
            put_operator(&w.text, &w.tokens[p.token]);
            break;
        case PART_CLOSE:
            buf_append(&w.text, STR(" )"));
            break;
        }
    }
    return buf_str(&w.text);
}

/* --- reading text ----------------------------------------------------------------------------- */

/* An operator, or an opening parenthesis, that waits. */
typedef struct waiting {
    pg_tsquery_kind kind;
    bool is_parenthesis;
    uint16_t distance;
} waiting;

typedef struct text_reader {
    arena *a;
    str rest;
    pg_tsquery_token *tokens;
    size_t count;
    waiting *stack;
    size_t depth;
} text_reader;

static void pop_operator(text_reader *r)
{
    const waiting w = r->stack[--r->depth];
    r->tokens[r->count++] = (pg_tsquery_token){ .kind = w.kind, .distance = w.distance };
}

static bool take_word_token(text_reader *r)
{
    pg_tsquery_token token = { .kind = PG_TSQUERY_WORD };
    if (!pg_take_word(r->a, &r->rest, &token.word))
        return false;
    if (pg_take_char(&r->rest, ':')) {
        token.prefix = pg_take_char(&r->rest, '*');
        for (int i = 0; i < 4; i++) {
            if (pg_take_char(&r->rest, (char)('A' + i)))
                token.weights = (uint8_t)(token.weights | PG_TSQUERY_WEIGHT_A >> i);
        }
        if (!token.prefix && !token.weights)
            return false;
    }
    r->tokens[r->count++] = token;
    return true;
}

/* All that may stand before a word, and that. */
static bool take_operand(text_reader *r)
{
    for (;;) {
        if (pg_take_char(&r->rest, '!'))
            r->stack[r->depth++] = (waiting){ .kind = PG_TSQUERY_NOT };
        else if (pg_take_char(&r->rest, '('))
            r->stack[r->depth++] = (waiting){ .is_parenthesis = true };
        else if (!pg_take_char(&r->rest, ' '))
            return take_word_token(r);
    }
}

static bool take_distance(str *rest, uint16_t *out)
{
    *out = 1;
    return (pg_take_char(rest, '-') || pg_take_small(rest, out)) && pg_take_char(rest, '>') &&
           *out <= PG_TSQUERY_DISTANCE_MAX;
}

/* The operator between two operands: those before it that bind as much have theirs now. */
static bool take_operator(text_reader *r)
{
    waiting w = { .kind = PG_TSQUERY_AND };
    if (pg_take_char(&r->rest, '|'))
        w.kind = PG_TSQUERY_OR;
    else if (pg_take_char(&r->rest, '<'))
        w.kind = PG_TSQUERY_PHRASE;
    else if (!pg_take_char(&r->rest, '&'))
        return false;
    if (w.kind == PG_TSQUERY_PHRASE && !take_distance(&r->rest, &w.distance))
        return false;
    while (r->depth > 0 && !r->stack[r->depth - 1].is_parenthesis &&
           priority_of(r->stack[r->depth - 1].kind) >= priority_of(w.kind))
        pop_operator(r);
    r->stack[r->depth++] = w;
    return true;
}

static bool close_parenthesis(text_reader *r)
{
    while (r->depth > 0 && !r->stack[r->depth - 1].is_parenthesis)
        pop_operator(r);
    if (r->depth == 0)
        return false;
    r->depth--;
    return true;
}

static bool take_tokens(text_reader *r)
{
    for (;;) {
        if (!take_operand(r))
            return false;
        while (r->rest.len > 0) {
            if (pg_take_char(&r->rest, ')')) {
                if (!close_parenthesis(r))
                    return false;
            } else if (!pg_take_char(&r->rest, ' ')) {
                break;
            }
        }
        if (r->rest.len == 0)
            break;
        if (!take_operator(r))
            return false;
    }
    while (r->depth > 0 && !r->stack[r->depth - 1].is_parenthesis)
        pop_operator(r);
    return r->depth == 0;
}

bool pg_tsquery_parse(arena *a, str text, pg_tsquery *out)
{
    if (text.len == 0) {
        *out = (pg_tsquery){ 0 };
        return true;
    }
    text_reader r = { .a = a, .rest = text };
    const size_t operators = pg_count_of(text, "!&|<(");
    const size_t room = pg_count_of(text, "'") / 2 + operators;
    r.tokens = arena_try_alloc(a, room * sizeof *r.tokens, _Alignof(pg_tsquery_token));
    r.stack = arena_try_alloc(a, operators * sizeof *r.stack, _Alignof(waiting));
    if (!r.tokens || !r.stack || !take_tokens(&r))
        return false;
    invariant(r.count <= room && is_query(r.tokens, r.count));
    *out = (pg_tsquery){ r.tokens, r.count };
    return true;
}

/* --- binary ----------------------------------------------------------------------------------- */

static bool read_word(pg_reader *r, pg_tsquery_token *out)
{
    const uint8_t weights = pg_reader_u8(r);
    const uint8_t prefix = pg_reader_u8(r);
    const str word = pg_reader_cstring(r);
    *out = (pg_tsquery_token){ .word = word, .prefix = prefix == 1, .weights = weights };
    return weights <= 0xF && prefix <= 1 && word.len <= PG_LEXEME_BYTES_MAX;
}

static bool read_operator(pg_reader *r, pg_tsquery_token *out)
{
    const uint8_t kind = pg_reader_u8(r);
    *out = (pg_tsquery_token){ .kind = (pg_tsquery_kind)kind };
    if (kind < PG_TSQUERY_NOT || kind > PG_TSQUERY_PHRASE)
        return false;
    if (kind == PG_TSQUERY_PHRASE)
        out->distance = pg_reader_u16(r);
    return out->distance <= PG_TSQUERY_DISTANCE_MAX;
}

static bool read_binary(arena *a, str bytes, pg_tsquery *out)
{
    pg_reader r = pg_reader_of(bytes);
    const uint32_t count = pg_reader_u32(&r);
    if (r.failed || count > pg_reader_left(&r) / 2)
        return false;
    pg_tsquery_token *tokens =
        arena_try_alloc(a, count * sizeof *tokens, _Alignof(pg_tsquery_token));
    if (!tokens)
        return false;
    for (uint32_t i = count; i > 0; i--) {
        const uint8_t what = pg_reader_u8(&r);
        const bool good = what == WIRE_WORD       ? read_word(&r, &tokens[i - 1])
                          : what == WIRE_OPERATOR ? read_operator(&r, &tokens[i - 1])
                                                  : false;
        if (!good)
            return false;
    }
    if (!pg_reader_done(&r) || !is_query(tokens, count))
        return false;
    *out = (pg_tsquery){ tokens, count };
    return true;
}

static bool read_pg_tsquery(arena *a, const pg_cell *cell, void *out)
{
    if (cell->oid != PG_OID_TSQUERY)
        return false;
    return cell->format == PG_TEXT ? pg_tsquery_parse(a, cell->bytes, out)
                                   : read_binary(a, cell->bytes, out);
}

PG_DECODERS(pg_tsquery, pg_tsquery, PG_OID_TSQUERY)
