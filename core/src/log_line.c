/* Log lines, logfmt or JSON. Text is escaped in both alike: what could end a line, a quote or a
 * field, steer a terminal, or show letters in another order than they stand, becomes an escape.
 * What does not fit is cut with a mark, so that a line stays whole: valid JSON, one newline.
 *
 * Everything here is async-signal-safe but for log_line_field on an error or a double.
 *
 * Invariant: until log_line_end, LINE_END_BYTES are kept free; a cut takes the first four of them
 * for its mark and quote, and happens once, because nothing is begun in a line without room. */
#include "log_line.h"

#include "utf8.h"

#include "core/scalar.h"

#include <math.h>
#include <string.h>

#define CUT_MARK       "\xE2\x80\xA6" /* … */
#define LINE_END_BYTES 32             /* the mark, a quote, the field "cut", the end */
#define ERROR_BYTES    1536
#define SECONDS_A_DAY  86400

/* Bytes before the reserve, into which only a cut text's mark and quote and the line's end go. */
static size_t room(const log_line *line)
{
    const size_t ceiling = line->bytes_max - LINE_END_BYTES;
    return line->len < ceiling ? ceiling - line->len : 0;
}

static void put(log_line *line, str s)
{
    invariant(s.len <= line->bytes_max - line->len);
    memcpy(line->text + line->len, s.ptr, s.len);
    line->len += s.len;
}

/* --- text ------------------------------------------------------------------------------------ */

/* Shown as itself between quotes. */
static bool is_plain(char c)
{
    return (unsigned char)c >= ' ' && (unsigned char)c < 0x7F && c != '"' && c != '\\';
}

/* The code point of a well-formed sequence of two or three bytes. */
static uint32_t code_point(const char *p, size_t len)
{
    const uint32_t a = (unsigned char)p[0], b = (unsigned char)p[1] & 0x3FU;
    if (len == 2)
        return (a & 0x1FU) << 6 | b;
    return (a & 0x0FU) << 12 | b << 6 | ((unsigned char)p[2] & 0x3FU);
}

/* C1 controls, line and paragraph separators, and what turns the direction of writing. */
static bool is_treacherous(uint32_t c)
{
    return (c >= 0x80 && c <= 0x9F) || c == 0x061C || (c >= 0x200B && c <= 0x200F) ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF;
}

static size_t put_unicode_escape(char out[8], uint32_t c)
{
    static const char HEX[] = "0123456789abcdef";
    out[0] = '\\';
    out[1] = 'u';
    for (uint32_t i = 0; i < 4; i++)
        out[2 + i] = HEX[c >> (12 - 4 * i) & 15];
    return 6;
}

/* The text for what stands at the front of `s`, which is not plain, in `out`; `*taken` is how many
 * bytes of `s` it is for. */
static size_t escape(str s, char out[8], size_t *taken)
{
    static const char SHORT[] = "\"\"\\\\\nn\rr\tt";
    const unsigned char c = (unsigned char)s.ptr[0];
    *taken = 1;
    for (size_t i = 0; i + 1 < sizeof SHORT; i += 2) {
        if (s.ptr[0] == SHORT[i]) {
            out[0] = '\\';
            out[1] = SHORT[i + 1];
            return 2;
        }
    }
    if (c < 0x80)
        return put_unicode_escape(out, c);
    const size_t len = utf8_sequence((const unsigned char *)s.ptr, s.len);
    if (len == 0)
        return put_unicode_escape(out, 0xFFFD);
    *taken = len;
    const uint32_t point = len < 4 ? code_point(s.ptr, len) : 0x10000;
    if (is_treacherous(point))
        return put_unicode_escape(out, point);
    memcpy(out, s.ptr, len);
    return len;
}

/* In quotes; cut where the line is full. */
static void put_quoted(log_line *line, str s)
{
    put(line, STR("\""));
    while (s.len > 0) {
        size_t plain = 0;
        while (plain < s.len && is_plain(s.ptr[plain]))
            plain++;
        char escaped[8];
        size_t taken = plain, len = plain;
        if (plain == 0)
            len = escape(s, escaped, &taken);
        const bool fits = len <= room(line);
        if (plain > 0)
            put(line, str_slice(s, 0, fits ? plain : room(line)));
        else if (fits)
            put(line, (str){ escaped, len });
        if (!fits) {
            line->cut = true;
            put(line, STR(CUT_MARK));
            break;
        }
        s = str_slice(s, taken, s.len);
    }
    put(line, STR("\""));
}

static bool plain_in_logfmt(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_plain(s.ptr[i]) || s.ptr[i] == ' ' || s.ptr[i] == '=')
            return false;
    }
    return s.len > 0;
}

static void put_text(log_line *line, str s)
{
    if (line->format == LOG_LOGFMT && s.len <= room(line) && plain_in_logfmt(s))
        put(line, s);
    else
        put_quoted(line, s);
}

/* --- time ------------------------------------------------------------------------------------ */

static void put_digits(log_line *line, int64_t value, uint32_t digits)
{
    char text[8];
    invariant(digits <= sizeof text);
    for (uint32_t i = digits; i > 0; i--, value /= 10)
        text[i - 1] = (char)('0' + value % 10);
    put(line, (str){ text, digits });
}

/* RFC 3339 in UTC with milliseconds: always 24 characters. The calendar is computed here because
 * gmtime_r takes a lock. Years count from March, so that the leap day is the last of its year:
 * 400 years have 146,097 days, and day 719,468 of that count is 1970-01-01. */
static void put_time(log_line *line, struct timespec now)
{
    const int64_t seconds = now.tv_sec > 0 ? now.tv_sec : 0; /* a clock that was never set */
    const int64_t of_day = seconds % SECONDS_A_DAY;
    const int64_t days = seconds / SECONDS_A_DAY + 719468;
    const int64_t of_era = days % 146097;
    const int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const int64_t of_year = of_era - (year * 365 + year / 4 - year / 100);
    const int64_t month = (5 * of_year + 2) / 153; /* 0 is March */
    const int64_t day = of_year - (153 * month + 2) / 5 + 1;
    put_digits(line, days / 146097 * 400 + year + (month >= 10), 4);
    put(line, STR("-"));
    put_digits(line, month < 10 ? month + 3 : month - 9, 2);
    put(line, STR("-"));
    put_digits(line, day, 2);
    put(line, STR("T"));
    put_digits(line, of_day / 3600, 2);
    put(line, STR(":"));
    put_digits(line, of_day / 60 % 60, 2);
    put(line, STR(":"));
    put_digits(line, of_day % 60, 2);
    put(line, STR("."));
    put_digits(line, now.tv_nsec / 1000000, 3);
    put(line, STR("Z"));
}

/* --- lines ----------------------------------------------------------------------------------- */

static str level_name(log_level level)
{
    switch (level) {
    case LOG_DEBUG:
        return STR("debug");
    case LOG_INFO:
        return STR("info");
    case LOG_WARN:
        return STR("warn");
    case LOG_ERROR:
        return STR("error");
    case LOG_OFF:
        break;
    }
    return STR("off");
}

/* Keys are the program's own; still none may look like two. */
static void put_key(log_line *line, str key)
{
    const bool braces = line->format == LOG_JSON;
    put(line, braces ? STR(",\"") : STR(" "));
    for (size_t i = 0; i < key.len; i++) {
        const char c =
            is_plain(key.ptr[i]) && key.ptr[i] != ' ' && key.ptr[i] != '=' ? key.ptr[i] : '_';
        put(line, (str){ &c, 1 });
    }
    put(line, braces ? STR("\":") : STR("="));
}

void log_line_begin(log_line *line, struct timespec now, log_level level, str message,
                    str request_id)
{
    const bool braces = line->format == LOG_JSON;
    invariant(line->bytes_max >= LOG_LINE_BYTES_MIN);
    line->len = 0;
    line->cut = false;
    put(line, braces ? STR("{\"time\":\"") : STR("time="));
    put_time(line, now);
    put(line, braces ? STR("\",\"level\":\"") : STR(" level="));
    put(line, level_name(level));
    put(line, braces ? STR("\",\"message\":") : STR(" message="));
    put_text(line, message);
    if (request_id.ptr) {
        const log_field field = LOG_STR("request_id", request_id);
        log_line_field(line, &field);
    }
}

/* Apart, so that only lines with an error pay for its space on the stack. */
__attribute__((noinline)) static void put_error(log_line *line, error e)
{
    char text[ERROR_BYTES];
    error_describe(e, text, sizeof text);
    put_text(line, str_from_c(text));
}

static void put_double(log_line *line, double value)
{
    char text[FLOAT8_TEXT_MAX];
    if (isfinite(value))
        put(line, (str){ text, float8_format(text, value) });
    else if (line->format == LOG_JSON)
        put(line, STR("null"));
    else
        put(line, isnan(value) ? STR("nan") : value > 0 ? STR("inf") : STR("-inf"));
}

static void put_value(log_line *line, const log_field *field)
{
    char text[INT64_TEXT_MAX];
    switch (field->type) {
    case LOG_FIELD_STR:
        put_text(line, field->string);
        return;
    case LOG_FIELD_INT:
        put(line, (str){ text, int64_format(text, field->integer) });
        return;
    case LOG_FIELD_UINT:
        put(line, (str){ text, uint64_format(text, field->natural) });
        return;
    case LOG_FIELD_DOUBLE:
        put_double(line, field->number);
        return;
    case LOG_FIELD_BOOL:
        put(line, field->boolean ? STR("true") : STR("false"));
        return;
    case LOG_FIELD_ERROR:
        put_error(line, field->error);
        return;
    }
    unreachable();
}

void log_line_field(log_line *line, const log_field *field)
{
    const str key = str_from_c(field->key);
    if (room(line) < key.len + FLOAT8_TEXT_MAX + 8) {
        line->cut = true;
        return;
    }
    put_key(line, key);
    put_value(line, field);
}

void log_line_end(log_line *line)
{
    const bool braces = line->format == LOG_JSON;
    if (line->cut)
        put(line, braces ? STR(",\"cut\":true") : STR(" cut=true"));
    put(line, braces ? STR("}\n") : STR("\n"));
}
