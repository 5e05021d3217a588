/* A command of a program: `app NAME ARGUMENTS…`. Libraries offer them, the program lists them. */
#ifndef CORE_COMMAND_H
#define CORE_COMMAND_H

#include "core/error.h"

typedef struct command command;
struct command {
    const char *name;  /* "migrate"; NULL ends a list */
    const char *usage; /* "up|down|status|new NAME   applies the SQL migrations" */
    /* Runs with what follows the name; prints to standard output. The error is printed by the
     * caller and makes the exit status 1. */
    error (*run)(const command *self, int argc, char **argv);
    const char *argument; /* what the library's macro was given */
};

#endif
