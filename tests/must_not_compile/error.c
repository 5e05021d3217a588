/*
 * error -- the mistakes with errors that a compiler must find.
 *
 * Each WRONG_… is one mistake; without any of them the file is a right program.
 */
#include "core/error.h"

error may_fail(void);
error handed_on(void);

error may_fail(void)
{
#ifdef WRONG_NUMBER
    return -1;
#endif
#ifdef WRONG_NULL
    return NULL;
#endif
#ifdef WRONG_BOOLEAN
    return false;
#endif
    return OK;
}

error handed_on(void)
{
#ifdef WRONG_CONDITION
    if (may_fail())
        return OK;
#endif
#ifdef WRONG_RESULT
    int result = may_fail();
#endif
#ifdef WRONG_IGNORED
    may_fail();
#endif
#ifdef WRONG_IGNORED_AFTER_ANOTHER
    TRY(may_fail());
    may_fail();
#endif
    TRY(may_fail());
    return OK;
}
