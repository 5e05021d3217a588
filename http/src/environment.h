/* The environment of the program: the process's, and beneath it a file that can be read again. */
#ifndef HTTP_SRC_ENVIRONMENT_H
#define HTTP_SRC_ENVIRONMENT_H

#include "core/error.h"

/* Adds the variables of the file that CONFIG_FILE names, if it names one; a variable that the
 * process was given wins.
 *   given   what the process was given, as execve takes it; for the process's life
 *   fails   CONFIG_INVALID with file and line, SYSTEM_FAILED, OUT_OF_MEMORY */
error http_environment_load(char ***given);

#endif
