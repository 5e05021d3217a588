/*
 * log -- the mistakes with log fields that a compiler must find.
 *
 * Each WRONG_… is one mistake; without any of them the file is a right program.
 */
#include "core/log.h"

void say(str name, const char *text);

void say(str name, const char *text)
{
    const str constant = name;
    log_info("said", LOG_STR("name", name), LOG_STR("again", constant), LOG_CSTR("text", text));
#ifdef WRONG_C_STRING
    log_info("said", LOG_STR("text", text));
#endif
#ifdef WRONG_LITERAL
    log_info("said", LOG_STR("text", "literal"));
#endif
}
