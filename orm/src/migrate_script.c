/* Cuts SQL at its semicolons. A lexer knows what may hide one: strings (with backslashes only after
 * an E), quoted names, dollar quotes, line comments and nested block comments. On its tokens, a
 * semicolon ends a statement outside of parentheses and outside of a routine's BEGIN ATOMIC … END.
 *
 * Strings are read as with standard_conforming_strings = on. A script that turns it off may be cut
 * wrongly; the runner's check of the transaction's number catches what could slip through then.
 *
 * Invariant: every token and every statement lies within the text; what lies between two tokens is
 * white space and comments. */
#include "migrate_script.h"

#include "orm/migrate.h"

#include <string.h>

typedef enum token_kind {
    TOKEN_END,
    TOKEN_WORD,    /* a keyword or name */
    TOKEN_LITERAL, /* a string, a quoted name, a number */
    TOKEN_SYMBOL,  /* one other character */
    TOKEN_OPEN,    /* what begins here does not end */
} token_kind;

typedef struct token {
    token_kind kind;
    str text;
    uint32_t line;
} token;

typedef struct lexer {
    const char *pos;
    const char *end;
    uint32_t line;
} lexer;

/* --- characters ------------------------------------------------------------------------------ */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_name(char c)
{
    return is_name_start(c) || is_digit(c);
}

static bool at(const lexer *l, const char *p, const char *text)
{
    const size_t len = strlen(text);
    return (size_t)(l->end - p) >= len && memcmp(p, text, len) == 0;
}

/* Moves on to `to`, counting lines. */
static void advance(lexer *l, const char *to)
{
    invariant(to >= l->pos && to <= l->end);
    for (; l->pos < to; l->pos++)
        l->line += *l->pos == '\n';
}

/* --- what may hide a semicolon: each returns the end, or NULL when there is none -------------- */

static const char *line_comment_end(const lexer *l, const char *p)
{
    const char *end = memchr(p, '\n', (size_t)(l->end - p));
    return end ? end : l->end;
}

static const char *block_comment_end(const lexer *l, const char *p)
{
    uint32_t depth = 0;
    while (p < l->end) {
        if (at(l, p, "/*")) {
            depth++;
            p += 2;
        } else if (at(l, p, "*/")) {
            depth--;
            p += 2;
            if (depth == 0)
                return p;
        } else {
            p++;
        }
    }
    return NULL;
}

/* `p` is at the opening quote, which doubled stands for itself. */
static const char *quoted_end(const lexer *l, const char *p, bool backslashes)
{
    const char quote = *p++;
    while (p < l->end) {
        if (backslashes && *p == '\\') {
            p += l->end - p > 1 ? 2 : 1;
        } else if (*p != quote) {
            p++;
        } else if (p + 1 < l->end && p[1] == quote) {
            p += 2;
        } else {
            return p + 1;
        }
    }
    return NULL;
}

/* A string may go on after a line break, and does so in the same manner: E'…' \n '…'. */
static const char *escape_string_end(const lexer *l, const char *p)
{
    const char *end = quoted_end(l, p, true);
    while (end) {
        bool line_break = false;
        const char *next = end;
        for (; next < l->end && is_space(*next); next++)
            line_break |= *next == '\n' || *next == '\r';
        if (!line_break || next == l->end || *next != '\'')
            break;
        end = quoted_end(l, next, true);
    }
    return end;
}

/* The end of the `$tag$` at `p`, or `p` when none begins there. */
static const char *dollar_tag_end(const lexer *l, const char *p)
{
    const char *q = p + 1;
    if (q < l->end && is_name_start(*q)) {
        while (q < l->end && is_name(*q))
            q++;
    }
    return q < l->end && *q == '$' ? q + 1 : p;
}

static const char *dollar_quoted_end(const lexer *l, const char *p)
{
    const char *body = dollar_tag_end(l, p);
    const size_t tag_len = (size_t)(body - p);
    invariant(tag_len >= 2);
    const char *close = memmem(body, (size_t)(l->end - body), p, tag_len);
    return close ? close + tag_len : NULL;
}

/* --- tokens ---------------------------------------------------------------------------------- */

/* Returns false at a block comment that does not end. */
static bool skip_space(lexer *l)
{
    for (;;) {
        const char *p = l->pos;
        while (p < l->end && is_space(*p))
            p++;
        advance(l, p);
        if (at(l, p, "--"))
            p = line_comment_end(l, p);
        else if (at(l, p, "/*"))
            p = block_comment_end(l, p);
        else
            return true;
        if (!p)
            return false;
        advance(l, p);
    }
}

static const char *word_end(const lexer *l, const char *p)
{
    while (p < l->end && (is_name(*p) || *p == '$'))
        p++;
    return p;
}

static const char *number_end(const lexer *l, const char *p)
{
    while (p < l->end && (is_name(*p) || *p == '.'))
        p++;
    return p;
}

static token_kind literal_at(const lexer *l, const char *p, const char **end)
{
    if (*p == '\'' || *p == '"')
        *end = quoted_end(l, p, false);
    else if ((*p == 'e' || *p == 'E') && at(l, p + 1, "'"))
        *end = escape_string_end(l, p + 1);
    else if (*p == '$' && dollar_tag_end(l, p) != p)
        *end = dollar_quoted_end(l, p);
    else if (is_digit(*p))
        *end = number_end(l, p);
    else
        return TOKEN_SYMBOL;
    return *end ? TOKEN_LITERAL : TOKEN_OPEN;
}

static token next_token(lexer *l)
{
    token t = { .kind = TOKEN_OPEN };
    const bool closed = skip_space(l);
    t.line = l->line;
    const char *p = l->pos;
    if (!closed)
        return t;
    if (p == l->end) {
        t.kind = TOKEN_END;
        t.text = str_between(p, p);
        return t;
    }
    const char *end = p + 1;
    t.kind = literal_at(l, p, &end);
    if (t.kind == TOKEN_OPEN)
        return t;
    if (t.kind == TOKEN_SYMBOL && is_name_start(*p)) {
        t.kind = TOKEN_WORD;
        end = word_end(l, p);
    }
    t.text = str_between(p, end);
    advance(l, end);
    return t;
}

static bool word_is(token t, str keyword)
{
    return t.kind == TOKEN_WORD && str_eq_nocase(t.text, keyword);
}

static bool symbol_is(token t, char c)
{
    return t.kind == TOKEN_SYMBOL && t.text.ptr[0] == c;
}

/* --- what cannot be part of a migration ------------------------------------------------------- */

static bool is_rollback_to_savepoint(lexer *l)
{
    token t = next_token(l);
    if (word_is(t, STR("work")) || word_is(t, STR("transaction")))
        t = next_token(l);
    return word_is(t, STR("to"));
}

static bool is_copy_with_client(lexer *l)
{
    token before = next_token(l);
    for (token t = before; t.kind != TOKEN_END; t = next_token(l)) {
        invariant(t.kind != TOKEN_OPEN); /* the whole statement was read before */
        if ((word_is(t, STR("stdin")) && word_is(before, STR("from"))) ||
            (word_is(t, STR("stdout")) && word_is(before, STR("to"))))
            return true;
        before = t;
    }
    return false;
}

/* Savepoints may be used: they cannot end the transaction. */
static bool is_transaction_control(lexer *l, token first)
{
    static const char *const ALWAYS[] = { "begin", "start", "commit", "end", "abort" };
    for (size_t i = 0; i < ARRAY_LEN(ALWAYS); i++) {
        if (word_is(first, str_from_c(ALWAYS[i])))
            return true;
    }
    if (word_is(first, STR("rollback")))
        return !is_rollback_to_savepoint(l);
    return word_is(first, STR("prepare")) && word_is(next_token(l), STR("transaction"));
}

static error refuse_unfit(str file, const orm_statement *s)
{
    lexer l = { s->sql.ptr, s->sql.ptr + s->sql.len, s->line };
    const token first = next_token(&l);
    if (symbol_is(first, '\\'))
        return error_set(&ORM_MIGRATION_BAD, "%.*s:%u: psql's commands do not work here",
                         STR_ARG(file), s->line);
    if (word_is(first, STR("copy"))) {
        if (is_copy_with_client(&l))
            return error_set(&ORM_MIGRATION_BAD,
                             "%.*s:%u: COPY from or to the client does not work here; write INSERT",
                             STR_ARG(file), s->line);
        return OK;
    }
    if (is_transaction_control(&l, first))
        return error_set(&ORM_MIGRATION_BAD,
                         "%.*s:%u: %.*s: a migration is one transaction already and must not begin "
                         "or end one",
                         STR_ARG(file), s->line, STR_ARG(first.text));
    return OK;
}

/* --- statements ------------------------------------------------------------------------------ */

#define HEAD_WORDS 4 /* CREATE OR REPLACE FUNCTION */

/* What decides whether a semicolon ends the statement. */
typedef struct nesting {
    uint32_t parens;
    uint32_t blocks; /* BEGIN ATOMIC, and CASE within */
    token head[HEAD_WORDS];
    uint32_t words;
    token word; /* the last one */
} nesting;

static bool is_routine(const nesting *n)
{
    const token *h = n->head;
    if (n->words < 2 || !word_is(h[0], STR("create")))
        return false;
    const token *kind = h + 1;
    if (n->words >= HEAD_WORDS && word_is(h[1], STR("or")) && word_is(h[2], STR("replace")))
        kind = h + 3;
    return word_is(*kind, STR("function")) || word_is(*kind, STR("procedure"));
}

static void nesting_add_word(nesting *n, token t)
{
    const token before = n->word;
    n->word = t;
    if (n->words < HEAD_WORDS)
        n->head[n->words] = t;
    n->words++;
    if (n->parens > 0 || !is_routine(n))
        return;
    const bool opens = n->blocks > 0 ? word_is(t, STR("case"))
                                     : word_is(t, STR("atomic")) && word_is(before, STR("begin"));
    if (opens)
        n->blocks++;
    else if (word_is(t, STR("end")) && n->blocks > 0)
        n->blocks--;
}

static void nesting_add(nesting *n, token t)
{
    if (t.kind == TOKEN_WORD)
        nesting_add_word(n, t);
    else if (symbol_is(t, '('))
        n->parens++;
    else if (symbol_is(t, ')') && n->parens > 0)
        n->parens--;
}

void orm_script_init(orm_script *s, str file, str text, uint32_t line)
{
    *s = (orm_script){ .file = file, .pos = text.ptr, .end = text.ptr + text.len, .line = line };
}

error orm_script_next(orm_script *s, orm_statement *out)
{
    lexer l = { s->pos, s->end, s->line };
    nesting n = { 0 };
    const char *begin = NULL;
    const char *end = NULL;
    *out = (orm_statement){ .sql = str_between(s->end, s->end), .line = s->line };
    for (;;) {
        const token t = next_token(&l);
        if (t.kind == TOKEN_OPEN)
            return error_set(&ORM_MIGRATION_BAD,
                             "%.*s:%u: a quote or comment begins here and does not end",
                             STR_ARG(s->file), t.line);
        if (t.kind == TOKEN_END)
            break;
        if (symbol_is(t, ';') && n.parens == 0 && n.blocks == 0) {
            if (begin)
                break;
            continue; /* nothing between two semicolons */
        }
        if (!begin) {
            begin = t.text.ptr;
            out->line = t.line;
        }
        end = t.text.ptr + t.text.len;
        nesting_add(&n, t);
    }
    s->pos = l.pos;
    s->line = l.line;
    if (!begin)
        return OK;
    out->sql = str_between(begin, end);
    return refuse_unfit(s->file, out);
}
