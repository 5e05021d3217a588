/* Service files (pg_service.conf): groups of parameters, each under a name.
 *
 *   [billing]
 *   host=db1,db2
 *   dbname=billing */
#ifndef PG_SRC_SERVICE_FILE_H
#define PG_SRC_SERVICE_FILE_H

#include "parameters.h"

/* Sets what the group of that name gives and nobody gave before.
 *   fails  PG_CONNINFO_INVALID: a line of the group that is no parameter=value, or whose parameter
 *          is unknown, not supported, or another service
 *   owns   the values are views of `text` */
error pg_service_file_read(str text, str service, pg_parameters *out, bool *found);

/* Finds the service that the parameters name, if they do, in the file that they name, or in
 * ~/.pg_service.conf and the system's, and sets what it gives.
 *   fails  as above; PG_CONNINFO_INVALID when there is no such file or no such service;
 *          OUT_OF_MEMORY
 *   owns   the values live in `a` */
error pg_service_file_apply(arena *a, pg_parameters *out);

#endif
